"""Open problems: which ones a page's own text poses, and how they follow it when it is edited.

A question belongs to a page and has a state. The text may be edited: the one that was reworded
keeps its state, and what was decided of one that is gone is kept. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher

from app.domain.identifiers import title_key
from app.domain.markdown import plain_text
from app.domain.sentences import sentence_spans

MOST = 40  # questions of one text
LONGEST = 1_000  # characters of one
SAME = 0.75  # from this likeness on a reworded question is the same one, 0..1

_NAMES = r"(?:open (?:questions?|problems?)|research (?:angles?|questions?)|questions left open)"
_HEADING = re.compile(r"(#{1,6})[ \t]+(.+?)[ \t#]*$")
_HEADS = re.compile(rf"[*_]*{_NAMES}[*_]*[:.]?[*_]*", re.I)
_LABEL = re.compile(rf"[*_]{{2}}{_NAMES}[:.]?[*_]{{2}}[:.]?[ \t]*|{_NAMES}:[ \t]*", re.I)
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_ITEM = re.compile(r"[ \t]{0,3}(?:[-*+•]|\d{1,3}[.)])[ \t]+(?:\[[ xX]\][ \t]+)?(.*)")
_NUMBERED = re.compile(
    r"(\b(?:and|or)\s|(?<=[.?!:;,…)\"”*])\s|^)?(?<!\w)\((\d{1,2})\)\s+(?:(?=([A-Z]))|(?=\S))"
)


def asked(body: str) -> list[str]:
    """The questions under the headings "Open questions" or "Research angle" of a Markdown text.

    Also of a paragraph that begins with one of these as its label. List items, else `(1) … (2) …`
    taken apart, else each paragraph; plain text, in order, each once.
    """
    found: dict[str, str] = {}
    for block in _blocks(body):
        for text in _items(block):
            plain = " ".join(plain_text(text).split())[:LONGEST].strip()
            if len(plain) > 3:
                found.setdefault(title_key(plain), plain)
    return list(found.values())[:MOST]


def poses(body: str) -> bool:
    """Whether it is worth looking for questions: most texts have none of the headings."""
    return re.search(_NAMES, body, re.I) is not None


def _blocks(body: str) -> Iterator[list[str]]:
    """The lines of each part of the text that lists questions."""
    block: list[str] | None = None
    level, fence = 0, ""
    for line in body.split("\n"):
        mark = _FENCE.match(line)
        if fence or mark:
            if not fence and mark:
                fence = mark[1][0] * 3
            elif mark and mark[1].startswith(fence):
                fence = ""
            continue
        heading = _HEADING.fullmatch(line.rstrip())
        if heading:
            if block is not None and len(heading[1]) > level > 0:
                continue  # a heading inside the section
            if block:
                yield block
            is_ours = _HEADS.fullmatch(heading[2]) is not None
            block, level = ([], len(heading[1])) if is_ours else (None, 0)
            continue
        label = _LABEL.match(line)
        if label and level == 0:
            if block:
                yield block
            block = [line[label.end() :]]
            continue
        if block is not None:
            # What a label began ends with its paragraph, or with the list right under it.
            ends = level == 0 and not line.strip() and any(each.strip() for each in block)
            block.append(line)
            if ends:
                yield block
                block = None
    if block:
        yield block


def _items(lines: Sequence[str]) -> list[str]:
    items: list[str] = []
    paragraphs: list[str] = []
    open_item = fresh = False
    for line in lines:
        item = _ITEM.fullmatch(line)
        if item:
            items.append(item[1])
            open_item = True
        elif not line.strip():
            open_item, fresh = False, True
        elif items and _ITEM.fullmatch(line.lstrip()):
            open_item = False  # what is said under an item
        elif open_item:
            items[-1] += " " + line.strip()
        elif items and line[:1] in " \t":
            continue
        elif paragraphs and not fresh:
            paragraphs[-1] += " " + line.strip()
        else:
            paragraphs.append(line.strip())
            fresh = False
    if items:
        return items
    return [piece for paragraph in paragraphs for piece in numbered(paragraph)]


def numbered(text: str) -> list[str]:
    """`(1) … (2) …` taken apart, without what leads up to the first; else one question.

    A number counts when it is the next one due and stands after a mark or "and", or before a
    capital: "sinks (3) times" is no third question.
    """
    cuts: list[tuple[int, int]] = []
    for match in _NUMBERED.finditer(text):
        opens = match[1] or match.start() == 0 or match[3] or len(cuts) == 0
        if opens and int(match[2]) == len(cuts) + 1:
            cuts.append(match.span())
    if not cuts:
        return [text] if text else []
    ends = [start for start, _ in cuts[1:]] + [len(text)]
    pieces = [text[cut[1] : end].strip().rstrip(",;") for cut, end in zip(cuts, ends, strict=True)]
    return [piece for piece in pieces if piece]


# ---------------------------------------------------------------- what an abstract leaves open

_LEFT = re.compile(
    r"\b(?:we|this (?:paper|work)) leaves? (?:\w+ ){0,12}?(?:to|for) future (?:work|research)"
    r"|\b(?:left|leaving|remains?) (?:\w+ ){0,3}?(?:to|for) future (?:work|research)"
    r"|\b(?:is|are) left (?:as|to|for) (?:an? )?(?:open (?:problem|question)|future)",
    re.I,
)
_OPEN = re.compile(
    r"\b(?:remains?|is still|are still) (?:an? )?(?:\w+ )?(?:open|unclear|unknown|unresolved|unanswered)\b"
    r"|\bopen (?:question|problem)s?\b",
    re.I,
)
_OWN = re.compile(
    r"\b(?:in this (?:paper|work)|here,? we|we (?:\w+ )?(?:propos|introduc|present|study|investigat|"
    r"address|answer|show|develop|resolv|clos|settl|solv|find|prove|examin|analy[sz]))",
    re.I,
)


def left_open(abstract: str) -> list[str]:
    """Sentences in which a paper plainly says what it leaves open, word for word; two at most.

    An abstract mostly names an open problem in order to say that it is solved now. So a sentence
    that calls something open counts at the end alone, when none after it says what the paper does.
    """
    if not (_LEFT.search(abstract) or _OPEN.search(abstract)):
        return []
    said = [" ".join(abstract[start:end].split()) for start, end in sentence_spans(abstract)]
    found = []
    for place, sentence in enumerate(said):
        if not 40 <= len(sentence) <= 400:
            continue
        last = place >= max(1, len(said) - 2)
        solved = any(_OWN.search(later) for later in (sentence, *said[place + 1 :]))
        if _LEFT.search(sentence) or (last and _OPEN.search(sentence) and not solved):
            found.append(sentence)
    return found[:2]


# ---------------------------------------------------------------- in step with the text


@dataclass(frozen=True)
class Standing:
    """A question as it is stored. `in_text`: it came from the text; `kept`: something was decided."""

    id: int
    text: str
    in_text: bool
    kept: bool = False
    withdrawn: bool = False


@dataclass(frozen=True)
class Steps:
    """What brings the stored questions in step with a text; texts by id of the question."""

    reworded: dict[int, str] = field(default_factory=dict)  # and those that are in the text again
    new: tuple[str, ...] = ()
    withdrawn: tuple[int, ...] = ()
    gone: tuple[int, ...] = ()


def in_step(standing: Sequence[Standing], wanted: Sequence[str]) -> Steps:
    """How the stored questions follow a text that now asks `wanted`.

    The same words are the same question, wherever it came from; then the most alike of those that
    stood in the text. What is left over there is gone, or withdrawn if something was decided of it.
    """
    by_key = {title_key(each.text): each for each in standing}
    matched: dict[int, str] = {}
    left: list[str] = []
    for text in wanted:
        same = by_key.get(title_key(text))
        if same is not None and same.id not in matched:
            matched[same.id] = text
        else:
            left.append(text)
    followed = {each.id: each for each in standing if each.in_text and each.id not in matched}
    alike = sorted(
        (
            (-_alike(each.text, text), number, each.id)
            for number, text in enumerate(left)
            for each in followed.values()
        )
    )
    taken: set[int] = set()
    for likeness, number, one in alike:
        if -likeness < SAME:
            break
        if number not in taken and one in followed:
            matched[one] = left[number]
            taken.add(number)
            del followed[one]
    before = {each.id: each for each in standing}
    return Steps(
        reworded={
            one: text
            for one, text in matched.items()
            if before[one].text != text or before[one].withdrawn or not before[one].in_text
        },
        new=tuple(text for number, text in enumerate(left) if number not in taken),
        withdrawn=tuple(one for one, each in followed.items() if each.kept and not each.withdrawn),
        gone=tuple(one for one, each in followed.items() if not each.kept),
    )


def _alike(one: str, other: str) -> float:
    """How alike two wordings are, 0..1, by words."""
    some, others = one.casefold().split(), other.casefold().split()
    return SequenceMatcher(None, some, others, autojunk=False).ratio()
