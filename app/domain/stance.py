"""How a sentence speaks of a paper: whether it supports it, disputes it, or does neither. Pure.

Few cues, and each must point at the paper: what confirms or contradicts has the paper behind it ("we
could not reproduce the results of X"), what does not hold has it before ("the main claim of X does
not hold up"). A sentence that asks, supposes or lists says neither, and so does one that says both:
a stance that is not there does no harm, a wrong one does.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from app.domain.records import Stance

_LONGEST = 4_000  # characters that are looked at
_NEAR = 90  # characters between a cue and the paper it points at


@dataclass(frozen=True)
class Said:
    """A stance, and the words that say it: `text[start:end]` for each span."""

    stance: Stance
    spans: tuple[tuple[int, int], ...]


_S, _D = Stance.SUPPORTS, Stance.DISPUTES
_RESULTS = (
    r"(?:results?|findings?|claims?|conclusions?|numbers|effects?|observations?|theorem|proof)"
)
_TOO = r"(?:\w+ly )?"  # "largely", "independently"

# Of a verb that has no object here.
_ALONE = r"(?= *(?:[.,;:!)]|$|(?:in|on|under|when|at|outside|for|with|beyond|once|across)\b))"

# The paper stands behind these.
_BEFORE: Sequence[tuple[Stance, str]] = (
    (
        _D,
        r"(?:fail(?:s|ed)?|unable|attempt(?:s|ed)? and failed) to (?:reproduce|replicate|confirm)",
    ),
    (_D, r"(?:could|can|did|do|does)(?:n['\u2019]t| ?not) (?:reproduce|replicate|confirm|support)"),
    (_D, r"contradict(?:s|ed|ing)?"),
    (_D, r"(?:refut|disprov|dispute|debunk)(?:es|ed|ing|s|e)?\b"),
    (_D, r"(?:calls?|called|calling) into question"),
    (_D, r"(?:casts?|casting) (?:serious |some |much )?doubt (?:up)?on"),
    (_D, r"(?:raises?|raised) (?:serious )?doubts about"),
    (_D, r"(?:is|are|seems?|being) at odds with"),
    (_D, r"contrary to"),
    (_D, r"disagree[sd]? with"),
    (
        _D,
        r"(?:finds?|found|spotted|reports?) (?:an |a |several |serious )?(?:errors?|flaws?|bugs?|mistakes?) in",
    ),
    (_D, r"(?:not|un|n['\u2019]t) ?(?:convinced|persuaded) by"),
    (_D, r"(?:sceptical|skeptical) (?:of|about)"),
    (_S, rf"(?<!to be ){_TOO}(?:reproduce[sd]|replicate[sd])"),
    (_S, r"we (?:reproduce|replicate|confirm)"),
    (_S, r"(?:able|managed) to (?:reproduce|replicate|confirm)"),
    (_S, rf"{_TOO}(?:confirm(?:s|ed|ing)?|corroborat(?:es?|ed|ing)|vindicat(?:es?|ed|ing))"),
    (_S, r"(?:is|are|was|were|seems?) (?:\w+ly )?(?:consistent|in line|in agreement) with"),
    (
        _S,
        r"(?:lends?|lending|gives?|adds?|provides?) (?:\w+ )?(?:support|weight|evidence) (?:to|for)",
    ),
    (_S, r"backs? up"),
    (_S, r"agree[sd]? with"),
)
# And before these.
_AFTER: Sequence[tuple[Stance, str]] = (
    (_D, r"(?:do|does|did|could|can)(?:n['\u2019]t| ?not) (?:hold(?: up)?|stand up|survive)\b"),
    (_D, r"(?:could|can)(?:n['\u2019]t| ?not) be (?:replicated|reproduced|confirmed)"),
    (_D, r"(?:do|does|did|could)(?:n['\u2019]t| ?not) (?:replicate|reproduce)" + _ALONE),
    (_D, r"fail(?:s|ed)? to (?:replicate|reproduce|hold up)" + _ALONE),
    (_D, r"(?:is|are|was|were|looks?|seems?) (?:\w+ly )?(?:flawed|overstated|overblown|misleading|cherry-?picked|unconvincing|wrong)"),
    (_D, r"(?:has|have) (?:since )?been (?:refuted|disproved|debunked|retracted|called into question)"),
    (_D, r"(?:was|were|is) (?:since |later )?retracted"),
    (_D, r"overstates? (?:its|their|the)"),
    (_S, r"(?:holds?|held) up(?: well)?"),
    (_S, r"(?:has|have) (?:since |now )?been (?:\w+ly )?(?:replicated|reproduced|confirmed|corroborated)"),
    (_S, r"(?:was|were) (?:\w+ly )?(?:replicated|reproduced|confirmed) by"),
    (_S, r"replicate[sd]? (?:well|cleanly|without)"),
    (_S, r"stands? up (?:well|to)"),
)  # fmt: skip

# The paper, when a sentence that speaks of one does not say its name.
_IT = re.compile(
    rf"\b(?:(?:this|that|the|their|these|those|its|whose) (?:\w+ )?(?:paper|preprint|work|study|article|authors?['\u2019]?(?:s['\u2019]?)?"
    rf"|{_RESULTS}))\b",
    re.IGNORECASE,
)
_NAMED = re.compile(
    r"arxiv[: ]?\d{4}\.\d{4,5}(?:v\d+)?|(?:https?://)?(?:www\.)?arxiv\.org/\S+|\b10\.\d{4,9}/\S+"
    r"|openreview\.net/\S+",
    re.IGNORECASE,
)
_SUPPOSED = re.compile(
    r"\b(?:if|whether|would|might|may|should|to see|to test|try(?:ing)? to|tried to|hop(?:e|es|ing) to"
    r"|needs? to be|remains? to be|has yet to|have yet to|yet to be|until|unless|supposed|asks?|question of)\b",
    re.IGNORECASE,
)
_NOT = re.compile(
    r"(?:\b(?:not|never|no|nor|neither|hardly|nothing|nobody|without|none|few)\b|n['\u2019]t\b)(?! only)[^,;:]{0,24}$",
    re.IGNORECASE,
)
_SENTENCE = re.compile(r"[^.!?;\n]+(?:[.!?;](?!\s|$)[^.!?;\n]*)*[.!?;]?")
_WE = re.compile(
    r"\b(?:we|i|our|my|independent|replications?|re-?analys[ie]s|reproduction|follow-?up)\b",
    re.IGNORECASE,
)
_PAUSE = re.compile(r"[,;:]|\b(?:but|because|whereas)\b", re.IGNORECASE)
# Where another subject may begin.
_PART = re.compile(
    r"[;:]|, (?:but|while|whereas|and|which|so)\b|\b(?:but|because|whereas|that|shows?|finds?|argues?"
    r"|claims|suggests?|proves?|reports?|says?)\b",
    re.IGNORECASE,
)


def _compiled(cues: Sequence[tuple[Stance, str]]) -> tuple[tuple[Stance, re.Pattern[str]], ...]:
    return tuple((stance, re.compile(rf"\b{cue}", re.IGNORECASE)) for stance, cue in cues)


_LEADING, _TRAILING = _compiled(_BEFORE), _compiled(_AFTER)


def said_of(text: str, names: Iterable[str] = ()) -> Said | None:
    """The stance of a text that speaks of a paper, with the words that say it; None for neither.

    `names` are what the paper goes by there: its identifier, its title. A text that names several
    papers speaks of the one that is named next to the cue.
    """
    text = text[:_LONGEST]
    called = [name for name in names if len(name) > 3]
    found: dict[Stance, list[tuple[int, int]]] = {}
    for match in _SENTENCE.finditer(text):
        if match[0].rstrip().endswith("?"):
            continue
        for stance, start, end in _cues(match[0], called):
            found.setdefault(stance, []).append((match.start() + start, match.start() + end))
    if len(found) != 1:
        return None  # nothing, or both
    ((stance, spans),) = found.items()
    return Said(stance, tuple(sorted(set(spans))))


def stance_of(text: str, names: Iterable[str] = ()) -> Stance | None:
    """As `said_of`, without the words."""
    found = said_of(text, names)
    return found.stance if found else None


def _cues(sentence: str, names: Sequence[str]) -> list[tuple[Stance, int, int]]:
    own, others = _places(sentence, names)
    found: list[tuple[Stance, int, int]] = []
    for cues, behind in ((_LEADING, True), (_TRAILING, False)):
        for stance, pattern in cues:
            for match in pattern.finditer(sentence):
                start, end = match.span()
                if any(start < e and s < end for _, s, e in found):
                    continue  # what stands first in the list says more
                if _SUPPOSED.search(sentence, 0, start) or _NOT.search(sentence[:start]):
                    continue
                if _points(sentence, start, end, own, others, behind=behind):
                    found.append((stance, start, end))
    return found


def _places(
    sentence: str, names: Sequence[str]
) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Where a sentence names the paper, and where it names others."""
    folded = sentence.casefold()
    named = [match.span() for match in _NAMED.finditer(sentence)]
    own = []
    for name in map(str.casefold, names):
        at = folded.find(name) if len(folded) == len(sentence) else -1
        if at >= 0:
            own.append((at, at + len(name)))
    own += [span for span in named if any(s < span[1] and span[0] < e for s, e in own)]
    others = [span for span in named if span not in own]
    if not own and len(others) == 1:
        own, others = others, []  # the one it names is the one it speaks of
    return own, others


def _points(
    sentence: str,
    start: int,
    end: int,
    own: Sequence[tuple[int, int]],
    others: Sequence[tuple[int, int]],
    *,
    behind: bool,
) -> bool:
    """Whether the cue at `start` to `end` has the paper on its own side, near and in its clause."""
    if behind:
        piece = sentence[end : end + _NEAR]
        cut = _PAUSE.search(piece)
        until = end + (cut.start() if cut else len(piece))
        there = [s for s, _ in own if end <= s < until]
        if others and (not there or any(end <= s < min(there) for s, _ in others)):
            return False
        if there:
            return True
        # The paper is what does it: it confirms or contradicts something else.
        if any(e <= start for _, e in own) and not _WE.search(sentence, 0, start):
            return False
        it = _IT.search(sentence, end, until)
        if it is None:
            return False
        return it.start() - end < 30 and not _IT.search(sentence, 0, start)
    begin = max(0, start - _NEAR)
    cuts = [cut.end() for cut in _PART.finditer(sentence, begin, start)]
    begin = cuts[-1] if cuts else begin
    if any(begin <= s < start for s, _ in others):
        return any(begin <= s < start for s, _ in own) and not any(
            max((s for s, _ in own if s < start), default=0) < s < start for s, _ in others
        )
    if any(begin <= s < start for s, _ in own):
        return True
    return _IT.search(sentence, begin, start) is not None
