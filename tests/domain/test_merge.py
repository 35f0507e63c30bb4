"""Joining two texts that grew from one, and laying two versions side by side."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.merge import DiffRow, RowKind, diff_lines, merge3

CLEAN = [
    # base, mine, theirs, joined
    ("a\nb\nc\n", "A\nb\nc\n", "a\nb\nC\n", "A\nb\nC\n"),
    ("a\nb\n", "A\nb\n", "a\nB\n", "A\nB\n"),  # side by side
    ("a\nb\n", "x\na\nb\n", "A\nb\n", "x\nA\nb\n"),  # put before a line the other changed
    ("a\nb\n", "a\nb\nx\n", "a\nB\n", "a\nB\nx\n"),
    ("a\nb\nc\n", "a\nc\n", "a\nb\nC\n", "a\nC\n"),
    ("a\n", "a\nsame\n", "a\nsame\n", "a\nsame\n"),
    ("a\nb\nc\n", "X\nb\nY\n", "X\nb\nc\n", "X\nb\nY\n"),  # one change made by both
    ("", "mine\n", "", "mine\n"),
    ("a\r\nb\r\n", "A\r\nb\r\n", "a\r\nb\r\nc\r\n", "A\r\nb\r\nc\r\n"),
    ("a\nb", "A\nb", "a\nb\nc", "A\nb\nc"),
    ("a\nb", "a\nB", "x\na\nb", "x\na\nB"),
    ("a\nb\n", "a\nB", "a\nb\nc\n", "a\nB\nc\n"),  # a last line that is no longer the last
    ("a\u2028b\x0bc\n", "a\u2028b\x0bc\nd\n", "z\na\u2028b\x0bc\n", "z\na\u2028b\x0bc\nd\n"),
]


@pytest.mark.parametrize(("base", "mine", "theirs", "joined"), CLEAN)
def test_changes_to_different_lines_join(base: str, mine: str, theirs: str, joined: str) -> None:
    merge = merge3(base, mine, theirs)
    assert (merge.text, merge.clean, merge.conflicts) == (joined, True, 0)


CONFLICTS = [
    (
        ("a\nb\nc\n", "a\nmy b\nc\n", "a\ntheir b\nc\n"),
        "a\n<<<<<<< mine\nmy b\n=======\ntheir b\n>>>>>>> theirs\nc\n",
    ),
    (("", "x", "y"), "<<<<<<< mine\nx\n=======\ny\n>>>>>>> theirs\n"),
    (("a\nb\n", "a\n", "a\nB\n"), "a\n<<<<<<< mine\n=======\nB\n>>>>>>> theirs\n"),
    (
        ("a\r\n", "A\r\n", "Z\r\n"),
        "<<<<<<< mine\r\nA\r\n=======\r\nZ\r\n>>>>>>> theirs\r\n",
    ),
    (
        ("a\nb\nc\nd\n", "1\n2\nc\nd\n", "a\n3\n4\nd\n"),  # overlapping by one line
        "<<<<<<< mine\n1\n2\nc\n=======\na\n3\n4\n>>>>>>> theirs\nd\n",
    ),
]


@pytest.mark.parametrize(("texts", "joined"), CONFLICTS)
def test_changes_to_the_same_lines_stand_side_by_side(
    texts: tuple[str, str, str], joined: str
) -> None:
    merge = merge3(*texts)
    assert (merge.text, merge.clean, merge.conflicts) == (joined, False, 1)


def test_every_conflict_is_counted() -> None:
    base = "".join(f"line {n}\n" for n in range(9))
    mine, theirs = base.replace("line 1", "m1").replace("line 7", "m7"), base.replace("line", "L")
    merge = merge3(base, mine, theirs.replace("L 4", "line 4"))
    assert merge.conflicts == merge.text.count("<<<<<<< mine\n") == 2
    assert not merge.clean


LINES = st.lists(st.sampled_from(["a", "b", "c", "", "d e", "a "]), max_size=8)
TEXTS = st.builds(
    lambda lines, end, last: end.join(lines) + (end if last else ""),
    LINES,
    st.sampled_from(["\n", "\n", "\r\n"]),
    st.booleans(),
)


@given(TEXTS, TEXTS)
def test_a_side_that_changed_nothing_yields_to_the_other(base: str, other: str) -> None:
    for merge in (merge3(base, other, base), merge3(base, base, other), merge3(base, other, other)):
        assert (merge.text, merge.clean) == (other, True)


def _numbered(tag: str, base: list[str], plan: list[int]) -> str:
    """Change the lines of a base by a plan: 0 keeps, 1 rewrites, 2 drops, 3 adds after."""
    lines: list[str] = []
    for number, (line, act) in enumerate(zip(base, plan, strict=True)):
        lines += {
            0: [line],
            1: [f"{tag} rewrote {number}"],
            2: [],
            3: [line, f"{tag} added {number}"],
        }[act]
    return "\n".join(lines)


PLANS = st.integers(1, 8).flatmap(
    lambda size: st.tuples(*[st.lists(st.integers(0, 3), min_size=size, max_size=size)] * 2)
)


@settings(max_examples=300)
@given(PLANS, st.booleans())
def test_nothing_either_side_wrote_is_lost(plans: tuple[list[int], list[int]], ended: bool) -> None:
    base = [f"line {number}" for number in range(len(plans[0]))]
    end = "\n" if ended else ""
    mine = _numbered("mine", base, plans[0]) + end
    theirs = _numbered("theirs", base, plans[1]) + end
    merge = merge3("\n".join(base) + end, mine, theirs)
    merged = merge.text.split("\n")
    for line in [*mine.split("\n"), *theirs.split("\n")]:
        if line.startswith(("mine", "theirs")):
            assert merged.count(line) == 1
    kept = [line for line in base if line in mine.split("\n") and line in theirs.split("\n")]
    assert set(kept) <= set(merged)
    assert merge.clean == (">>>>>>> theirs" not in merged)
    # a plan that touches different lines only, none beside an insertion, never conflicts
    touched = [{n for n, act in enumerate(plan) if act} for plan in plans]
    if not any({n - 1, n, n + 1} & touched[1] for n in touched[0]):
        assert merge.clean


@settings(max_examples=300)
@given(TEXTS, TEXTS, TEXTS)
def test_any_three_texts_merge_and_both_sides_can_be_read_off_a_conflict(
    base: str, mine: str, theirs: str
) -> None:
    merge = merge3(base, mine, theirs)
    assert merge.clean == (merge.conflicts == 0)
    assert merge.text.count("<<<<<<< mine") == merge.conflicts
    if merge.clean:
        return
    text, ours, others = (each.replace("\r\n", "\n") for each in (merge.text, mine, theirs))
    for block in text.split("<<<<<<< mine\n")[1:]:
        my_lines, rest = block.split("=======\n", 1)
        assert my_lines.removesuffix("\n") in ours
        assert rest.split(">>>>>>> theirs\n")[0].removesuffix("\n") in others


def test_long_texts_with_little_in_common_merge_in_time() -> None:
    texts = [
        "".join(f"{(number * step) % 97}\n" for number in range(12_000)) for step in (1, 5, 11)
    ]
    began = time.process_time()
    merge = merge3(*texts)
    diff_lines(texts[0], texts[1])
    assert time.process_time() - began < 4
    assert all(line in merge.text for line in ("<<<<<<< mine", ">>>>>>> theirs"))


# ------------------------------------------------------------------------------ side by side


def _plain(rows: list[DiffRow]) -> list[tuple[str, int | None, int | None, str]]:
    return [
        (row.kind.value, row.old_no, row.new_no, "".join(text for text, _ in row.spans))
        for row in rows
    ]


def test_a_rewritten_line_has_its_changed_words_marked() -> None:
    rows = diff_lines("keep\nthe old cache is slow\n", "keep\nthe new cache is fast\n")
    assert rows == [
        DiffRow(RowKind.SAME, 1, 1, (("keep", False),)),
        DiffRow(
            RowKind.REMOVED,
            2,
            None,
            (("the ", False), ("old", True), (" cache is ", False), ("slow", True)),
        ),
        DiffRow(
            RowKind.ADDED,
            None,
            2,
            (("the ", False), ("new", True), (" cache is ", False), ("fast", True)),
        ),
    ]


def test_added_and_removed_lines_are_whole_and_unmarked() -> None:
    assert diff_lines("a\nb\n", "a\nx y\nb\n")[1] == DiffRow(
        RowKind.ADDED, None, 2, (("x y", False),)
    )
    assert diff_lines("a\nb\n", "b\n")[0] == DiffRow(RowKind.REMOVED, 1, None, (("a", False),))
    assert all(not marked for row in diff_lines("one two", "3 4!") for _, marked in row.spans)


def test_long_unchanged_stretches_are_folded() -> None:
    old = "".join(f"{n}\n" for n in range(1, 31))
    rows = diff_lines(old, old.replace("15\n", "fifteen\n"), context=2)
    assert _plain(rows) == [
        ("gap", 1, 1, ""),
        ("same", 13, 13, "13"),
        ("same", 14, 14, "14"),
        ("removed", 15, None, "15"),
        ("added", None, 15, "fifteen"),
        ("same", 16, 16, "16"),
        ("same", 17, 17, "17"),
        ("gap", 18, 18, ""),
    ]
    assert [row.hidden for row in rows if row.kind is RowKind.GAP] == [12, 13]


def test_equal_texts_have_no_rows() -> None:
    assert diff_lines("a\nb", "a\nb") == []


@given(TEXTS, TEXTS, st.integers(0, 3))
def test_both_texts_can_be_read_off_the_rows(old: str, new: str, context: int) -> None:
    rows = diff_lines(old, new, context=context)
    for text, number in ((old, "old_no"), (new, "new_no")):
        lines = text.split("\n")
        for row in rows:
            at = getattr(row, number)
            if at is not None and row.kind is not RowKind.GAP:
                assert "".join(piece for piece, _ in row.spans) == lines[at - 1].removesuffix("\r")
    if old != new:
        shown = [row.old_no for row in rows if row.old_no and row.kind is not RowKind.GAP]
        hidden = sum(row.hidden for row in rows)
        assert len(shown) + hidden == len(old.split("\n")) - (old.endswith("\n") or not old)
