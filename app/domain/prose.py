"""Prose by a model: what it is asked for, what its reply says, and what of that stands.

A model is shown facts, each with an id, and asked for parts, each with a name. Its reply gives
sentences for each part, and the ids that each sentence rests on. Every sentence is held against the
texts of those ids (`checking`): what fails is struck, and kept with the reason. A part of which too
little stands is not used. The same is asked of a digest, a paper's page and a concept's. Pure.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any

from app.domain.checking import LONGEST, check
from app.domain.digests import Document, Item, Part, Section, SectionName, Sentence
from app.domain.evidence import short_title
from app.domain.records import AuthorKind
from app.domain.untrusted import line, plain, prose

MOST_IDS = 12  # that one sentence may rest on
_MOST_SENTENCES = 12  # of one part, whatever was asked for
_REPEATED = "It says again what was said before."

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "parts": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "part": {"type": "string"},
                    "sentences": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "properties": {
                                "text": {"type": "string"},
                                "ids": {"type": "array", "items": {"type": "string"}},
                            },
                            "required": ["text", "ids"],
                            "additionalProperties": False,
                        },
                    },
                },
                "required": ["part", "sentences"],
                "additionalProperties": False,
            },
        }
    },
    "required": ["parts"],
    "additionalProperties": False,
}


@dataclass(frozen=True)
class Fact:
    """What a model may rest on. `shown` is what it reads; `rests_on` what its id stands for later.

    A paper or page rests on itself (None); a count of ours on those that were counted.
    """

    id: str
    shown: Mapping[str, Any]
    rests_on: tuple[str, ...] | None = None

    @property
    def text(self) -> str:
        """What a sentence that names this fact may say."""
        return "\n".join(_said(self.shown))

    @property
    def row(self) -> str:
        """The fact as one line of JSON that no text in it ends."""
        told = {"id": self.id, **self.shown}
        return json.dumps(told, ensure_ascii=False).replace("<", "\\u003c")


def _said(value: Any) -> list[str]:
    if isinstance(value, Mapping):
        return [each for part in value.values() for each in _said(part)]
    if isinstance(value, list | tuple):
        return [each for part in value for each in _said(part)]
    return [str(value)] if value not in (None, "") else []


def paper_fact(id: str, title: str, abstract: str, *, longest: int = 6_000, **more: Any) -> Fact:
    """A paper or page by its own words, made plain."""
    return Fact(
        id,
        {
            "title": line(title)[:500],
            **{name: value for name, value in more.items() if value not in (None, "", [], ())},
            "text": plain(abstract).strip()[:longest],
        },
    )


@dataclass(frozen=True)
class Wanted:
    """A part that is asked for. `name` is what the model calls it, `what` says in words what to write.

    `least` sentences have to stand, `most` are asked for. `key` is the place it is for, `basis` the
    state of what is told there without a model.
    """

    name: str
    what: str
    least: int
    most: int
    key: str = ""
    basis: str = ""

    @property
    def row(self) -> str:
        told = {"part": self.name, "write": self.what, "sentences": self.most}
        return json.dumps(told, ensure_ascii=False).replace("<", "\\u003c")


def read(
    reply: str, wanted: Sequence[Wanted], facts: Sequence[Fact]
) -> dict[str, tuple[Sentence, ...]]:
    """The sentences of each part of a reply, by the part's key: those that stand and those struck.

    Left out is a part that was not asked for, that the reply does not have or has twice, and what is
    not in the form asked for. Links and markup are taken out of the words.
    """
    try:
        told = json.loads(reply)
    except (ValueError, RecursionError):
        return {}
    rows = told.get("parts") if isinstance(told, dict) else None
    asked = {each.name: each for each in wanted}
    known = {fact.id: fact for fact in facts}
    found: dict[str, tuple[Sentence, ...] | None] = {}
    seen = set[str]()
    for row in rows if isinstance(rows, list) else ():
        name = row.get("part") if isinstance(row, dict) else None
        if not isinstance(name, str) or name not in asked:
            continue
        key = asked[name].key
        found[key] = None if key in found else _sentences(row.get("sentences"), known, seen)
    return {key: told for key, told in found.items() if told}


def _sentences(
    rows: object, known: Mapping[str, Fact], seen: set[str]
) -> tuple[Sentence, ...] | None:
    made = []
    for row in (rows if isinstance(rows, list) else [])[:_MOST_SENTENCES]:
        text, ids = (row.get("text"), row.get("ids")) if isinstance(row, dict) else (None, None)
        if not isinstance(text, str) or not isinstance(ids, list):
            continue
        said = prose(text, LONGEST)
        if not said:
            continue
        named = [each for each in ids if isinstance(each, str)][:MOST_IDS]
        made.append(_checked(said, named, known, seen))
    return tuple(made) or None


def _checked(
    said: str, named: Sequence[str], known: Mapping[str, Fact], seen: set[str]
) -> Sentence:
    unknown = [each for each in named if each not in known]
    rests: dict[str, None] = {}
    for each in named:
        if each in known:
            own = known[each].rests_on
            rests |= dict.fromkeys((each,) if own is None else own)
    problem = f"It names {line(unknown[0])[:60]!r}, which it was not shown." if unknown else ""
    if not problem:
        problem = check(said, [known[each].text for each in named], tuple(rests))
    key = " ".join(said.casefold().split())
    if not problem and key in seen:
        problem = _REPEATED
    seen.add(key)
    return Sentence(said, tuple(rests), AuthorKind.MODEL, problem)


def standing(sentences: Iterable[Sentence]) -> tuple[Sentence, ...]:
    """Those that were not struck."""
    return tuple(each for each in sentences if not each.struck)


# ---------------------------------------------------------------- of a digest

WRITTEN = "prose"
"""In a document's ledger: {"basis": {key of a place: the state of what was told there without a model},
"done": [keys that a model was asked about]}."""

_SECTIONS = {
    SectionName.FRAMING: (
        "One sentence that frames the day: what its papers have in common, or the one thing that "
        "matters. No list.",
        1,
        1,
    ),
    SectionName.TLDR: (
        "What happened: one sentence for each of the most important papers, with its strongest number.",
        2,
        5,
    ),
    SectionName.BIG_PICTURE: (
        "What it means: how today's papers join what the wiki held before, with earlier pages by name "
        "and date and the threads by their counts; interpretation that the facts carry, no summary.",
        2,
        8,
    ),
}
_OF_A_DIVE = (
    ("hook", "One or two sentences that say why to read this paper, without hype.", 1, 2),
    ("problem", "The problem it takes up.", 1, 2),
    ("what-it-is", "What it does, and what of that is new.", 1, 4),
    ("takeaways", "What came of it: one result a sentence, with its numbers.", 1, 5),
    (
        "why-it-matters",
        "Why it matters to somebody who works on this: what changes if it holds.",
        1,
        2,
    ),
)
_TITLES = {
    "problem": "The problem",
    "what-it-is": "What it is",
    "takeaways": "Takeaways",
    "why-it-matters": "Why it matters",
}
_BEHIND = ("limits", "novelty", "signals", "why-it-matters", "research-angle")
"""Parts of a deep dive before which one that was not told yet goes."""
_OF_A_THREAD = (
    "together",
    "How today's papers join this thread: which earlier ones they support, extend or contradict, "
    "and what is still missing.",
    1,
    4,
)


@dataclass(frozen=True)
class Place:
    """A place in a digest that a model may write, with the ids that are told of there."""

    key: str
    what: str
    least: int
    most: int
    basis: str
    ids: tuple[str, ...] = ()
    group: str = ""  # what is asked for in one call


def places(document: Document) -> list[Place]:
    """The places of a document, as it was told without a model, in the order it is read."""
    whole = _basis(
        [each.as_json() for each in document.sections if each.name != SectionName.LEDGER]
    )
    found = []
    for section in document.sections:
        if section.name in _SECTIONS and not _is_empty(section):
            what, least, most = _SECTIONS[SectionName(section.name)]
            found.append(Place(section.name, what, least, most, whole, group="opening"))
        for at, item in enumerate(section.items):
            if section.name == SectionName.DEEP_DIVES:
                parts: Sequence[tuple[str, str, int, int]] = _OF_A_DIVE
                group = f"dives {at // 3}"
            elif section.name == SectionName.CONNECTING:
                parts, group = (_OF_A_THREAD,), "threads"
            else:
                continue
            basis = _basis(item.as_json())
            for name, what, least, most in parts:
                key = f"{section.name}/{item.ref or item.title}/{name}"
                about = f"Of {line(item.title)[:200]!r} ({item.ref or 'no id'}). {what}"
                found.append(Place(key, about, least, most, basis, ids_of_item(item), group))
    return found


def _is_empty(section: Section) -> bool:
    return not section.items and not any(section.paragraphs)


def _basis(told: Any) -> str:
    text = json.dumps(told, ensure_ascii=False, sort_keys=True, default=str)
    return sha256(text.encode("utf-8", "replace")).hexdigest()[:16]


def ids_of_item(item: Item) -> tuple[str, ...]:
    """All that an item rests on, itself first."""
    every = [*item.hook, *(each for part in item.parts for each in part.sentences)]
    ids = [item.ref, *(one for sentence in every for one in sentence.ids), *item.threads]
    return tuple(dict.fromkeys(filter(None, ids)))


def all_sentences(document: Document) -> list[tuple[str, Sentence]]:
    """Every sentence of a document, struck ones too, with the title it stands under."""
    found = []
    for section in document.sections:
        found += [(section.title, each) for some in section.paragraphs for each in some]
        for item in section.items:
            told = [*item.hook, *(each for part in item.parts for each in part.sentences)]
            found += [(item.title, each) for each in told]
    return found


def struck(document: Document) -> list[tuple[str, Sentence]]:
    """The sentences that were taken out, each with the title it stood under."""
    return [(title, each) for title, each in all_sentences(document) if each.struck]


def linked(document: Document) -> Document:
    """The document with what its model sentences name linked, as its other sentences have it."""
    known: dict[str, str] = {}
    for section in document.sections:
        for item in section.items:
            if item.url and item.title:
                known[short_title(item.title)] = item.url
    for _, sentence in all_sentences(document):
        known |= {words: url for words, url in sentence.links if sentence.by != AuthorKind.MODEL}

    def link(each: Sentence) -> Sentence:
        if each.by != AuthorKind.MODEL or each.struck:
            return each
        return replace(each, links=_links(each.text, known))

    return replace(
        document,
        sections=tuple(
            replace(
                section,
                paragraphs=tuple(tuple(map(link, some)) for some in section.paragraphs),
                items=tuple(
                    replace(
                        item,
                        hook=tuple(map(link, item.hook)),
                        parts=tuple(
                            replace(part, sentences=tuple(map(link, part.sentences)))
                            for part in item.parts
                        ),
                    )
                    for item in section.items
                ),
            )
            for section in document.sections
        ),
    )


def _links(text: str, known: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """The known names that a text says, each once and none within another, in their order."""
    found: list[tuple[int, int, str]] = []
    for words in sorted(known, key=len, reverse=True):
        at = text.find(words) if len(words) > 2 else -1
        end = at + len(words)
        whole = at >= 0 and not text[at - 1 : at].isalnum() and not text[end : end + 1].isalnum()
        if whole and all(end <= start or at >= stop for start, stop, _ in found):
            found.append((at, end, words))
    return tuple((words, known[words]) for _, _, words in sorted(found))


def begun(document: Document) -> Document:
    """The document that remembers how it was told without a model."""
    if document.ledger.get(WRITTEN):
        return document
    return _noted(document, {each.key: each.basis for each in places(document)}, ())


def waiting(document: Document) -> list[Place]:
    """The places that no model was asked about as they are told now."""
    _, done = _written(document)
    return [each for each in places(document) if each.key not in done]


def _written(document: Document) -> tuple[dict[str, str], set[str]]:
    kept = document.ledger.get(WRITTEN)
    if not isinstance(kept, Mapping):
        return {}, set()
    return dict(kept.get("basis", {})), set(kept.get("done", ()))


def _noted(document: Document, basis: Mapping[str, str], done: Iterable[str]) -> Document:
    kept = {"basis": dict(basis), "done": sorted(done)}
    return replace(document, ledger={**document.ledger, WRITTEN: kept})


def put(document: Document, place: Place, told: Sequence[Sentence]) -> Document:
    """The document with what a model wrote at a place, where enough of it stands.

    Otherwise what was told there stays, and what was struck is kept beside it.
    """
    enough = len(standing(told)) >= place.least
    kept = tuple(told) if enough else tuple(each for each in told if each.struck)
    name, _, rest = place.key.partition("/")
    sections = tuple(
        _in_section(section, rest, kept, instead=enough) if section.name == name else section
        for section in document.sections
    )
    return replace(document, sections=sections)


def note(document: Document, found: Iterable[Place]) -> Document:
    """The document that knows of these places that a model was asked about them."""
    basis, done = _written(document)
    return _noted(document, basis, done | {each.key for each in found})


def _in_section(
    section: Section, rest: str, told: tuple[Sentence, ...], *, instead: bool
) -> Section:
    if not rest:
        if instead:
            # What happened is told row by row, all else in a paragraph.
            apart = section.name == SectionName.TLDR
            return replace(
                section, paragraphs=tuple((each,) for each in told) if apart else (told,)
            )
        return replace(section, paragraphs=(*section.paragraphs, told)) if told else section
    of, _, name = rest.rpartition("/")
    items = tuple(
        _in_item(item, name, told, instead=instead) if (item.ref or item.title) == of else item
        for item in section.items
    )
    return replace(section, items=items)


def _in_item(item: Item, name: str, told: tuple[Sentence, ...], *, instead: bool) -> Item:
    if name == "hook":
        return replace(item, hook=told if instead else (*item.hook, *told))
    at = next((place for place, part in enumerate(item.parts) if part.name == name), None)
    if at is not None:
        old = item.parts[at]
        part = replace(old, sentences=told if instead else (*old.sentences, *told))
        return replace(item, parts=(*item.parts[:at], part, *item.parts[at + 1 :]))
    if not told:
        return item
    part = Part(name, _TITLES.get(name, ""), told, listed=name == "takeaways")
    before = _BEHIND[_BEHIND.index(name) + 1 :] if name in _BEHIND else _BEHIND
    places = (place for place, each in enumerate(item.parts) if each.name in before)
    at = 0 if name == _OF_A_THREAD[0] else next(places, len(item.parts))
    return replace(item, parts=(*item.parts[:at], part, *item.parts[at:]))


def carried(old: Document, new: Document) -> Document:
    """A day told anew without a model, with what a model wrote where nothing changed since.

    So a paper that comes later in the day costs the prose of its own places, not that of all.
    """
    basis, done = _written(old)
    kept = [each for each in places(new) if each.key in done and basis.get(each.key) == each.basis]
    if not kept:
        return new
    made = begun(new)
    for place in kept:
        made = put(made, place, _model_sentences(old, place.key))
    return note(made, kept)


def _model_sentences(document: Document, key: str) -> tuple[Sentence, ...]:
    name, _, rest = key.partition("/")
    section = document.section(name)
    if section is None:
        return ()
    if not rest:
        every = [each for some in section.paragraphs for each in some]
    else:
        of, _, part = rest.rpartition("/")
        item = next((each for each in section.items if (each.ref or each.title) == of), None)
        if item is None:
            return ()
        some = next((each.sentences for each in item.parts if each.name == part), ())
        every = list(item.hook if part == "hook" else some)
    return tuple(each for each in every if each.by == AuthorKind.MODEL)
