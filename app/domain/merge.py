"""Two texts that grew from one, joined by lines; and two versions of a text, laid side by side.

Pure: it knows text, not pages. Lines end at `\\n` alone, so `\\r\\n` and a missing last newline
come through as they are, and nothing else that looks like a line end breaks a line.
"""

from __future__ import annotations

import re
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from enum import StrEnum

MINE, MIDDLE, THEIRS = "<<<<<<< mine", "=======", ">>>>>>> theirs"
IN_FILE, ON_PAGE = "<<<<<<< in the file", ">>>>>>> on the page"
_MAX_LINE_COMPARISONS = 4_000_000  # beyond, texts count as changed from end to end
_MAX_WORD_COMPARISONS = 100_000  # beyond, a line counts as wholly changed
_MAX_MARKED_LINES = 300  # in one rewritten stretch; nobody reads the marks of more
_WORD = re.compile(r"\w+|\s+|[^\w\s]")


@dataclass(frozen=True)
class Merge:
    """The joined text; not `clean` when it holds `conflicts` places set between marks.

    `alike` counts the places in which both made the same change, which stands there once.
    """

    text: str
    clean: bool
    conflicts: int
    alike: int = 0


@dataclass(frozen=True)
class _Change:
    """Lines `start` to `end` of the base became `lines` (an insertion when start == end)."""

    start: int
    end: int
    lines: tuple[str, ...]


def merge3(base: str, mine: str, theirs: str, *, marks: tuple[str, str] = (MINE, THEIRS)) -> Merge:
    """Join the changes that `mine` and `theirs` each made to `base`.

    Changes to different lines, and the same change made twice, join cleanly, even side by side.
    Where both changed the same lines, or put different lines in the same place, both versions stand
    between conflict `marks`, mine first: nothing that either side wrote is lost.
    """
    if mine == theirs or theirs == base:
        return Merge(mine, True, 0, int(mine != base and theirs != base))
    if mine == base:
        return Merge(theirs, True, 0)
    old = _lines(base)
    newline = "\r\n" if "\r\n" in base + mine + theirs else "\n"
    parts: list[str] = []
    conflicts = alike = at = 0
    for start, end, ours, others in _regions(_changes(old, mine), _changes(old, theirs)):
        parts += old[at:start]
        my_lines, their_lines = _applied(old, start, end, ours), _applied(old, start, end, others)
        if not others or my_lines == their_lines:
            parts += my_lines
            alike += bool(ours and others)
        elif not ours:
            parts += their_lines
        else:
            conflicts += 1
            parts += [marks[0] + newline, *_ended(my_lines, newline), MIDDLE + newline]
            parts += [*_ended(their_lines, newline), marks[1] + newline]
        at = end
    parts += old[at:]
    joined = "".join([*_ended(parts[:-1], newline), *parts[-1:]])
    return Merge(joined, conflicts == 0, conflicts, alike)


def _lines(text: str) -> list[str]:
    """The lines with their line ends; joined they are the text."""
    return [line for line in re.split(r"(?<=\n)", text) if line]


def _ended(lines: Sequence[str], newline: str) -> list[str]:
    """Lines that can be followed by others: only the last one of a text may lack its end."""
    return [line if line.endswith("\n") else line + newline for line in lines]


def _changes(old: list[str], text: str) -> list[_Change]:
    new = _lines(text)
    return [
        _Change(i1, i2, tuple(new[j1:j2]))
        for tag, i1, i2, j1, j2 in _opcodes(old, new)
        if tag != "equal"
    ]


def _opcodes(old: list[str], new: list[str]) -> list[tuple[str, int, int, int, int]]:
    """difflib's opcodes; what both ends share is set aside first, and hard cases are not begun."""
    head = _shared(old, new)
    tail = _shared(old[head:][::-1], new[head:][::-1])
    a, b = old[head : len(old) - tail], new[head : len(new) - tail]
    codes: list[tuple[str, int, int, int, int]]
    if _comparisons(a, b) > _MAX_LINE_COMPARISONS:
        codes = [("replace", 0, len(a), 0, len(b))]
    else:
        codes = list(SequenceMatcher(None, a, b).get_opcodes())
    moved = [
        (tag, i1 + head, i2 + head, j1 + head, j2 + head)
        for tag, i1, i2, j1, j2 in codes
        if i2 > i1 or j2 > j1
    ]
    first = [("equal", 0, head, 0, head)] if head else []
    rest = [("equal", len(old) - tail, len(old), len(new) - tail, len(new))] if tail else []
    return first + moved + rest


def _comparisons(a: list[str], b: list[str]) -> int:
    """About how many comparisons difflib would make, which leaves out what is on every line."""
    counts = Counter(b)
    most = len(b) if len(b) < 200 else len(b) // 100 + 1
    return sum(counts[item] for item in a if counts[item] <= most) * (len(a).bit_length() + 1)


def _shared(a: Sequence[str], b: Sequence[str]) -> int:
    """How many items both sequences begin with."""
    count = 0
    for left, right in zip(a, b, strict=False):
        if left != right:
            break
        count += 1
    return count


def _regions(
    mine: list[_Change], theirs: list[_Change]
) -> Iterator[tuple[int, int, list[_Change], list[_Change]]]:
    """Runs of changes that touch the same lines, in order: start, end, my changes, their changes."""
    waiting = deque(
        sorted(
            [(change.start, change.end, 0, change) for change in mine]
            + [(change.start, change.end, 1, change) for change in theirs],
            key=lambda item: item[:3],
        )
    )
    while waiting:
        start, end, side, change = waiting.popleft()
        sides: tuple[list[_Change], list[_Change]] = ([], [])
        sides[side].append(change)
        while waiting and _overlaps(start, end, waiting[0][3]):
            _, next_end, side, change = waiting.popleft()
            sides[side].append(change)
            end = max(end, next_end)
        yield start, end, sides[0], sides[1]


def _overlaps(start: int, end: int, change: _Change) -> bool:
    """Whether a change that begins at or after `start` shares lines, or its place, with the run."""
    return change.start < end or (start == end == change.start == change.end)


def _applied(old: list[str], start: int, end: int, changes: list[_Change]) -> list[str]:
    lines: list[str] = []
    at = start
    for change in changes:
        lines += [*old[at : change.start], *change.lines]
        at = change.end
    return lines + old[at:end]


# ------------------------------------------------------------------------------ side by side


class RowKind(StrEnum):
    SAME = "same"
    ADDED = "added"
    REMOVED = "removed"
    GAP = "gap"


@dataclass(frozen=True)
class DiffRow:
    """One line of a comparison, without its line end.

    `old_no` and `new_no` count from 1, None on the side that has no such line. `spans` are pieces
    of the line, each with whether it is what changed; a line that was only added or removed is one
    unmarked piece. A gap stands for `hidden` unchanged lines and carries the numbers of the first.
    """

    kind: RowKind
    old_no: int | None
    new_no: int | None
    spans: tuple[tuple[str, bool], ...] = ()
    hidden: int = 0


def diff_lines(old: str, new: str, *, context: int = 3) -> list[DiffRow]:
    """Compare two texts by lines, words marked where a line was rewritten.

    Of a long unchanged stretch `context` lines beside each change remain, the rest is one gap.
    Equal texts give no rows. A line that changed only in its line end is shown as removed and added.
    """
    if old == new:
        return []
    a, b = _lines(old), _lines(new)
    codes = _opcodes(a, b)
    rows: list[DiffRow] = []
    for place, (tag, i1, i2, j1, j2) in enumerate(codes):
        if tag == "equal":
            before = context if place else 0
            after = context if place < len(codes) - 1 else 0
            rows += _unchanged(a[i1:i2], i1, j1, before, after)
        else:
            rows += _rewritten(a[i1:i2], b[j1:j2], i1, j1)
    return rows


def _unchanged(lines: list[str], i: int, j: int, before: int, after: int) -> Iterator[DiffRow]:
    hidden = len(lines) - before - after
    for n, line in enumerate(lines):
        if hidden > 1 and n == before:
            yield DiffRow(RowKind.GAP, i + n + 1, j + n + 1, hidden=hidden)
        if hidden <= 1 or not before <= n < before + hidden:
            yield DiffRow(RowKind.SAME, i + n + 1, j + n + 1, ((_shown(line), False),))


def _rewritten(old: list[str], new: list[str], i: int, j: int) -> Iterator[DiffRow]:
    """Removed lines, then added ones, paired in order for the marks within them."""
    both = zip(old[:_MAX_MARKED_LINES], new[:_MAX_MARKED_LINES], strict=False)
    pairs = [_marked(_shown(a), _shown(b)) for a, b in both]
    for n, line in enumerate(old):
        spans = pairs[n][0] if n < len(pairs) else ((_shown(line), False),)
        yield DiffRow(RowKind.REMOVED, i + n + 1, None, spans)
    for n, line in enumerate(new):
        spans = pairs[n][1] if n < len(pairs) else ((_shown(line), False),)
        yield DiffRow(RowKind.ADDED, None, j + n + 1, spans)


def _shown(line: str) -> str:
    return line.removesuffix("\n").removesuffix("\r")


_Spans = tuple[tuple[str, bool], ...]


def _marked(old: str, new: str) -> tuple[_Spans, _Spans]:
    """Both lines in pieces, what differs marked; unmarked when they have too little in common."""
    a, b = _WORD.findall(old), _WORD.findall(new)
    whole = ((old, False),), ((new, False),)
    if old == new or _comparisons(a, b) > _MAX_WORD_COMPARISONS:
        return whole
    matcher = SequenceMatcher(None, a, b)
    if matcher.quick_ratio() < 0.4 or matcher.ratio() < 0.4:
        return whole
    left: list[tuple[str, bool]] = []
    right: list[tuple[str, bool]] = []
    for tag, i1, i2, j1, j2 in matcher.get_opcodes():
        if i2 > i1:
            left.append(("".join(a[i1:i2]), tag != "equal"))
        if j2 > j1:
            right.append(("".join(b[j1:j2]), tag != "equal"))
    return tuple(left), tuple(right)
