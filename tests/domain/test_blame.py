"""Who wrote each paragraph last."""

from __future__ import annotations

import pytest

from app.domain.blame import blame

FIRST = "One line of it.\nA second line.\n\nAnother paragraph.\n"


def who(*texts: str) -> list[tuple[str, tuple[int, ...]]]:
    """The paragraphs of the last text with their revisions; texts are numbered from 1."""
    return [(each.text, each.revisions) for each in blame(enumerate(texts, 1))]


def test_no_revision_and_an_empty_text_have_no_paragraphs() -> None:
    assert blame([]) == []
    assert who("") == []
    assert who(FIRST, " \n\n\t\n") == []


def test_a_paragraph_belongs_to_the_revision_that_wrote_its_words() -> None:
    assert who(FIRST, FIRST.replace("Another", "A third")) == [
        ("One line of it.\nA second line.", (1,)),
        ("A third paragraph.", (2,)),
    ]


def test_a_paragraph_of_several_hands_names_them_the_newest_first() -> None:
    second = FIRST.replace("A second line", "A better line")
    third = second.replace("\n\n", "\nAnd one more.\n\n", 1)
    assert who(FIRST, second, third)[0][1] == (3, 2, 1)


def test_lines_are_counted_from_one_and_paragraphs_know_where_they_begin() -> None:
    assert [each.line for each in blame([(1, "\n\n# Head\nText.\n\n\nMore.\n")])] == [3, 4, 7]


def test_a_moved_paragraph_stays_with_who_wrote_it() -> None:
    parts = [f"Paragraph number {n}." for n in range(6)]
    moved = [parts[5], *parts[:5]]
    assert all(revisions == (1,) for _, revisions in who("\n\n".join(parts), "\n\n".join(moved)))


def test_what_stands_twice_is_told_apart_by_its_neighbours() -> None:
    first = "Alpha.\n\n---\n\nBeta.\n"
    second = "Alpha.\n\n---\n\nNew here.\n\n---\n\nBeta.\n"
    found = who(first, second)
    assert [revisions for _, revisions in found] == [(1,), (1,), (2,), (2,), (1,)]


@pytest.mark.parametrize(
    "second",
    [
        "One line of it. A second line.\n\nAnother paragraph.\n",  # broken anew
        "One line\nof it.\nA second line.\n\nAnother paragraph.\n",  # cut in two
        "  One   line of it.\t\nA second line.  \n\n\n\nAnother paragraph.",  # blanks alone
        "One line of it.\nA second line.\nAnother paragraph.\n",  # two paragraphs joined
        "One line of it.\n\nA second line.\n\nAnother paragraph.\n",  # one cut in two
        "One line of it.\r\nA second line.\r\n\r\nAnother paragraph.\r\n",
    ],
)
def test_blanks_and_line_ends_are_nobodys_work(second: str) -> None:
    assert {revisions for _, revisions in who(FIRST, second)} == {(1,)}


def test_lines_of_two_hands_that_are_joined_belong_to_the_newer_one() -> None:
    second = "One line of it.\nA newer line.\n"
    assert who("One line of it.\n", second, "One line of it. A newer line.\n") == [
        ("One line of it. A newer line.", (2,))
    ]
    third = "One line of it. A newer\nline.\n"
    assert who("One line of it.\n", second, third)[0][1] == (2,)


def test_words_added_to_a_joined_paragraph_are_new() -> None:
    assert who(FIRST, "One line of it. A second line, longer.\n")[0][1] == (2,)


def test_a_text_brought_back_whole_brings_back_who_wrote_it() -> None:
    second = FIRST.replace("Another", "A third")
    assert [r for _, r in who(FIRST, second, "Gone.\n", second)] == [(1,), (2,)]
    assert [r for _, r in who(FIRST, "", FIRST + "\nMore.\n")] == [(3,), (3,), (3,)]


def test_headings_and_fenced_blocks_are_pieces_of_their_own() -> None:
    text = "Before.\n# Head\nUnder it.\n\n```python\na = 1\n\n# no heading\n```\nAfter.\n"
    assert [each.text for each in blame([(1, text)])] == [
        "Before.",
        "# Head",
        "Under it.",
        "```python\na = 1\n\n# no heading\n```",
        "After.",
    ]


def test_a_fence_that_is_never_closed_runs_to_the_end() -> None:
    assert [each.text for each in blame([(1, "```\na\n\nb\n\n")])] == ["```\na\n\nb"]


def test_every_word_of_the_text_is_in_one_paragraph() -> None:
    text = "a\n\n\n  b\nc\n#\n## d ##\n~~~~\ne\n\n```\n~~~~\n\x0c\n\u2028f\n\n"
    said = "".join("".join(each.text.split()) for each in blame([(1, "x\n"), (2, text)]))
    assert said == "".join(text.split())
