"""Who wrote each paragraph of a text last, worked out from its revisions. Pure.

Lines are followed from revision to revision as Heckel's algorithm follows them (Communications of
the ACM 21, 1978): a line that both texts have once is the same line wherever it stands, its
neighbours follow it, and what repeats is taken in order. That costs as much as the texts are long
and knows a moved paragraph again. Blanks are nobody's work: a line that was indented, broken
anew, joined with its neighbour or cut in two stays with who wrote its words.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

_HEADING = re.compile(r" {0,3}#{1,6}(?:[ \t]|$)")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")


@dataclass(frozen=True)
class Paragraph:
    """Lines `line` (from 1) and following of a text that stand together, without the blank ones around.

    `revisions` are those that its words come from, the newest first: the first of them wrote it last.
    """

    text: str
    line: int
    revisions: tuple[int, ...]


@dataclass(frozen=True)
class _Text:
    """The lines of a revision that hold words: each with its blanks evened out, and whose it is."""

    keys: list[str]
    origins: list[int]


def blame(revisions: Iterable[tuple[int, str]]) -> list[Paragraph]:
    """The paragraphs of the last of these texts, each with the revisions that wrote it.

    `revisions` are numbers and texts, the oldest first. What stands in the first one counts as
    written by it. A revision that brings an earlier text back whole brings back who wrote it; one
    that only takes words away from a line has written that line anew.
    """
    known: dict[str, _Text] = {}
    evened = _Evened()
    now, text = _Text([], []), ""
    for number, text in revisions:
        now = known.get(text) or _followed(now, evened.keys_of(text), number)
        known[text] = now
    return list(_paragraphs(text, now.origins))


class _Evened(dict[str, str]):
    """Lines with their blanks evened out; most of them are looked up once for each revision."""

    def __missing__(self, line: str) -> str:
        self[line] = key = " ".join(line.split())
        return key

    def keys_of(self, text: str) -> list[str]:
        return list(filter(None, map(self.__getitem__, text.split("\n"))))


def _followed(old: _Text, keys: list[str], number: int) -> _Text:
    """The lines `keys` of revision `number` with their origins, given those of the one before."""
    head = _shared(old.keys, keys)
    tail = _shared(reversed(old.keys[head:]), reversed(keys[head:]))
    old_end, new_end = len(old.keys) - tail, len(keys) - tail
    origins = _matched(
        old.keys[head:old_end], keys[head:new_end], old.origins[head:old_end], number
    )
    return _Text(keys, [*old.origins[:head], *origins, *old.origins[old_end:]])


def _shared(a: Iterable[str], b: Iterable[str]) -> int:
    """How many items both begin with."""
    count = 0
    for left, right in zip(a, b, strict=False):
        if left != right:
            break
        count += 1
    return count


def _matched(a: Sequence[str], b: Sequence[str], origins: Sequence[int], number: int) -> list[int]:
    """For each line of `b`: the origin of the line of `a` that it was, or `number`."""
    was = _pairs(a, b)
    found = [origins[at] if at >= 0 else number for at in was]
    lost = [True] * len(a)
    for at in was:
        if at >= 0:
            lost[at] = False
    for (i1, i2), (j1, j2) in _rewritten(was, lost):
        if _same_words(a[i1:i2], b[j1:j2]):
            found[j1:j2] = _reflowed(a[i1:i2], b[j1:j2], origins[i1:i2])
    return found


def _pairs(a: Sequence[str], b: Sequence[str]) -> list[int]:
    """For each line of `b` the place in `a` of the line that it was; -1 for a new one."""
    was = [-1] * len(b)
    taken = [False] * len(a)

    def pair(i: int, j: int) -> None:
        was[j], taken[i] = i, True

    in_a, in_b = Counter(a), Counter(b)
    place = {key: at for at, key in enumerate(a)}
    for j, key in enumerate(b):
        if in_b[key] == 1 == in_a[key]:
            pair(place[key], j)
    for j in range(len(b) - 1):  # what follows a line that is known
        i = was[j] + 1
        if i and was[j + 1] < 0 and i < len(a) and not taken[i] and a[i] == b[j + 1]:
            pair(i, j + 1)
    for j in range(len(b) - 1, 0, -1):  # what stands before one
        i = was[j] - 1
        if i >= 0 and was[j - 1] < 0 and not taken[i] and a[i] == b[j - 1]:
            pair(i, j - 1)
    left: defaultdict[str, deque[int]] = defaultdict(deque)
    for i, key in enumerate(a):
        if not taken[i]:
            left[key].append(i)
    for j, key in enumerate(b):
        if was[j] < 0 and left[key]:
            pair(left[key].popleft(), j)
    return was


def _rewritten(
    was: Sequence[int], lost: Sequence[bool]
) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    """Runs of new lines, each with the run of lost ones that stood between the same neighbours."""
    j = 0
    while j < len(was):
        if was[j] >= 0:
            j += 1
            continue
        start = j
        while j < len(was) and was[j] < 0:
            j += 1
        i = was[start - 1] + 1 if start else 0
        end = i
        while end < len(lost) and lost[end]:
            end += 1
        if end > i:
            yield (i, end), (start, j)


def _same_words(a: Sequence[str], b: Sequence[str]) -> bool:
    """Whether two runs of lines differ in nothing but blanks and line ends."""
    return "".join(a).replace(" ", "") == "".join(b).replace(" ", "")


def _reflowed(a: Sequence[str], b: Sequence[str], origins: Sequence[int]) -> list[int]:
    """The origins of lines `b` that have the words of lines `a`: of each the newest among its words."""
    ends: list[int] = []
    at = 0
    for line in a:
        at += len(line.replace(" ", ""))
        ends.append(at)
    found = []
    first = at = 0
    for line in b:
        at += len(line.replace(" ", ""))
        last = first
        while ends[last] < at:
            last += 1
        found.append(max(origins[first : last + 1]))
        first = last + 1 if ends[last] == at else last
    return found


def _paragraphs(text: str, origins: Sequence[int]) -> Iterator[Paragraph]:
    """The text cut at blank lines and around headings; a fenced block is one piece, blank lines and all."""
    lines = text.split("\n")
    words = iter(origins)
    for start, end in _pieces(lines):
        own = {next(words) for line in lines[start:end] if line.strip()}
        said = "\n".join(line.removesuffix("\r") for line in lines[start:end])
        yield Paragraph(said.rstrip(), start + 1, tuple(sorted(own, reverse=True)))


def _pieces(lines: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Where the pieces of a text begin and end; all lines with words are in one of them."""
    start, fence = -1, ""
    for number, line in enumerate(lines):
        mark = _FENCE.match(line)
        if fence:
            if mark and mark[1].startswith(fence) and not line[mark.end() :].strip():
                yield start, number + 1
                start, fence = -1, ""
            continue
        heading = _HEADING.match(line)
        if start >= 0 and (mark or heading or not line.strip()):
            yield start, number
            start = -1
        if mark:
            start, fence = number, mark[1]
        elif heading:
            yield number, number + 1
        elif line.strip() and start < 0:
            start = number
    if start >= 0:
        yield start, len(lines)
