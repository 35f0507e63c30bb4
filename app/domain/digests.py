"""A digest as a document: sections, items, and sentences that each name what they rest on.

What a day's facts become in sections is told here, purely; where facts come from is
`services/digest.py`. A document is stored as JSON beside the page whose Markdown body it was written
out to; the body is what people read and edit.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from app.domain.latex import laid_out
from app.domain.records import AuthorKind
from app.domain.summaries import literal
from app.domain.tiers import CROSS_SOURCE
from app.domain.untrusted import line


class SectionName(StrEnum):
    """The sections of a digest, in the order in which they are told."""

    FRAMING = "framing"
    TLDR = "tldr"
    BIG_PICTURE = "big-picture"
    DEEP_DIVES = "deep-dives"
    CONNECTING = "connecting-the-dots"
    INDUSTRY = "industry-pulse"
    WATCHING = "worth-watching"
    QUICK_HITS = "quick-hits"
    LEDGER = "ledger"


TITLES = {
    SectionName.FRAMING: "Framing",
    SectionName.TLDR: "TL;DR",
    SectionName.BIG_PICTURE: "The Big Picture",
    SectionName.DEEP_DIVES: "Deep Dives",
    SectionName.CONNECTING: "Connecting the Dots",
    SectionName.INDUSTRY: "Industry Pulse",
    SectionName.WATCHING: "Worth Watching",
    SectionName.QUICK_HITS: "Quick Hits",
    SectionName.LEDGER: "Ledger",
}


@dataclass(frozen=True)
class Sentence:
    """One sentence, plain text, and what it rests on.

    `ids` are the references (`arxiv:…`, `doi:…`, a page's slug) of the texts that must hold its
    numbers and names. `by`: EXTRACT word for word from one of them, AGENT counted or put together by
    us from stored facts, MODEL written by a model, PERSON. `struck` is why the checker took it out of
    the text, "" when it stands. `links` are words of the text with the address that they lead to, in
    the order in which they stand; `lead` says whose words follow and is no part of them.
    """

    text: str
    ids: tuple[str, ...] = ()
    by: AuthorKind = AuthorKind.AGENT
    struck: str = ""
    links: tuple[tuple[str, str], ...] = ()
    lead: str = ""

    def as_json(self) -> dict[str, Any]:
        told: dict[str, Any] = {"text": self.text, "ids": list(self.ids), "by": self.by.value}
        told |= {"links": [list(each) for each in self.links]} if self.links else {}
        told |= {"lead": self.lead} if self.lead else {}
        return told | ({"struck": self.struck} if self.struck else {})

    @classmethod
    def read(cls, told: Mapping[str, Any]) -> Sentence:
        return cls(
            str(told.get("text", "")),
            tuple(map(str, told.get("ids", ()))),
            AuthorKind(told.get("by", AuthorKind.AGENT)),
            str(told.get("struck", "")),
            tuple((str(words), str(url)) for words, url in told.get("links", ())),
            str(told.get("lead", "")),
        )


@dataclass(frozen=True)
class Part:
    """A part of an item under a name of its own: "problem", "takeaways", "why-it-matters" …"""

    name: str
    title: str
    sentences: tuple[Sentence, ...]
    listed: bool = False  # told as a list, one sentence a row; numbered where it is questions

    def as_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "title": self.title,
            "listed": self.listed,
            "sentences": [each.as_json() for each in self.sentences],
        }

    @classmethod
    def read(cls, told: Mapping[str, Any]) -> Part:
        return cls(
            str(told.get("name", "")),
            str(told.get("title", "")),
            tuple(Sentence.read(each) for each in told.get("sentences", ())),
            bool(told.get("listed", False)),
        )


@dataclass(frozen=True)
class Item:
    """One entry of a section: a deep dive, a thread, a prediction, a quick hit.

    `ref` names what it is about (`arxiv:…` or a slug), `url` where that is read; `threads` are slugs,
    `signals` the names of what joins it to what was known ("confirmation", "n-of-a-kind" …).
    """

    title: str
    kind: str = "paper"
    ref: str = ""
    url: str = ""
    hook: tuple[Sentence, ...] = ()
    parts: tuple[Part, ...] = ()
    diagram: str = ""
    tier: int | None = None
    tier_reason: str = ""
    sources: tuple[str, ...] = ()
    signals: tuple[str, ...] = ()
    threads: tuple[str, ...] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        return {
            "title": self.title,
            "kind": self.kind,
            "ref": self.ref,
            "url": self.url,
            "hook": [each.as_json() for each in self.hook],
            "parts": [each.as_json() for each in self.parts],
            "diagram": self.diagram,
            "tier": self.tier,
            "tier_reason": self.tier_reason,
            "sources": list(self.sources),
            "signals": list(self.signals),
            "threads": list(self.threads),
            **self.extra,
        }

    @classmethod
    def read(cls, told: Mapping[str, Any] | str) -> Item:
        """Read what is stored; of a digest that came in an item is its title alone."""
        if isinstance(told, str):
            return cls(told)
        known = {"title", "kind", "ref", "url", "hook", "parts", "diagram", "tier", "tier_reason"}
        known |= {"sources", "signals", "threads"}
        return cls(
            title=str(told.get("title", "")),
            kind=str(told.get("kind", "paper")),
            ref=str(told.get("ref", "")),
            url=str(told.get("url", "")),
            hook=tuple(Sentence.read(each) for each in told.get("hook", ())),
            parts=tuple(Part.read(each) for each in told.get("parts", ())),
            diagram=str(told.get("diagram", "")),
            tier=told.get("tier"),
            tier_reason=str(told.get("tier_reason", "")),
            sources=tuple(map(str, told.get("sources", ()))),
            signals=tuple(map(str, told.get("signals", ()))),
            threads=tuple(map(str, told.get("threads", ()))),
            extra={name: value for name, value in told.items() if name not in known},
        )


@dataclass(frozen=True)
class Section:
    """A section: paragraphs of sentences, then items. `text` is that of one that came in, Markdown."""

    name: str
    title: str
    paragraphs: tuple[tuple[Sentence, ...], ...] = ()
    items: tuple[Item, ...] = ()
    text: str = ""

    def as_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "title": self.title,
            "paragraphs": [[each.as_json() for each in some] for some in self.paragraphs],
            "items": [each.as_json() for each in self.items],
            "text": self.text,
        }

    @classmethod
    def read(cls, told: Mapping[str, Any]) -> Section:
        return cls(
            name=str(told.get("name", "")),
            title=str(told.get("title", "")),
            paragraphs=tuple(
                tuple(Sentence.read(each) for each in some) for some in told.get("paragraphs", ())
            ),
            items=tuple(Item.read(each) for each in told.get("items", ())),
            text=str(told.get("text", "")),
        )


@dataclass(frozen=True)
class Document:
    """A day (`2026-05-14`) or a month (`2026-05`) told: its sections in order, and the ledger.

    The ledger is counted, never typed: {"sources": {name: number}, "papers": {...}, "pages":
    {"created": {kind: n}, "updated": {kind: n}}, "cost_usd": "0.12", "struck": n}.
    """

    day: str
    sections: tuple[Section, ...]
    ledger: Mapping[str, Any] = field(default_factory=dict)

    def section(self, name: str) -> Section | None:
        return next((each for each in self.sections if each.name == name), None)

    def as_json(self) -> dict[str, Any]:
        """As `cerebro digest --json` prints it."""
        return {
            "day": self.day,
            "sections": [each.as_json() for each in self.sections],
            "ledger": dict(self.ledger),
        }


def framing(document: Document) -> str:
    """The sentence or sentences that frame a day; "" where there are none."""
    section = document.section(SectionName.FRAMING)
    every = (each for some in section.paragraphs for each in some) if section else ()
    return " ".join(each.text for each in every if not each.struck)


# ---------------------------------------------------------------- as the text of a page


def as_markdown(document: Document) -> str:
    """The document as the body of its page: what was struck is left out, and nothing in it has power.

    Sentences from a text stand in quotation marks; ours link what they name. A section of a digest
    that came in is its own text.
    """
    parts = []
    for section in document.sections:
        told = section.text.strip() or "\n\n".join(_section_parts(section))
        if not told:
            continue
        if section.name == SectionName.FRAMING:
            parts.append(told)
        else:
            parts.append(f"## {literal(line(section.title))}\n\n{told}")
    if ledger := ledger_in_words(document.ledger):
        parts.append(f"## {TITLES[SectionName.LEDGER]}\n\n{ledger}")
    return "\n\n".join(parts) + ("\n" if parts else "")


def _section_parts(section: Section) -> Iterator[str]:
    told = [said for some in section.paragraphs if (said := _run(some))]
    if section.name in _ROWS:
        if section.items:
            yield "\n".join(_row(item) for item in section.items)
        yield from told  # what is left over
        return
    if section.name == SectionName.TLDR and len(told) > 1:
        yield "\n".join(f"- {said}" for said in told)
    else:
        yield from told
    for item in section.items:
        yield from _item_parts(item)


_ROWS = (SectionName.QUICK_HITS, SectionName.INDUSTRY, SectionName.WATCHING)


def _row(item: Item) -> str:
    """An item on one line: its title, what it says, and where it was met."""
    title = literal(_typeset(line(item.title)))
    head = _inline(title) if item.kind == "prediction" else f"**{_link(title, item.url)}**"
    said = " ".join(
        told
        for some in (item.hook, *(part.sentences for part in item.parts))
        if (told := _run(some))
    )
    end = "" if title[-1:] in ".!?…" else "."
    source = f"{literal(item.sources[0])}." if item.kind != "paper" and item.sources else ""
    return "- " + " ".join(each for each in (f"{head}{end}", said, source) if each)


def _item_parts(item: Item) -> Iterator[str]:
    yield f"### {_link(literal(_typeset(line(item.title))), item.url)}"
    if about := _about(item):
        yield about
    if hook := _run(item.hook):
        yield hook
    shown = item.diagram.strip("\n")
    for place, part in enumerate(item.parts):
        if shown and place == 1:
            yield _fenced(shown)
            shown = ""
        standing = [each for each in part.sentences if not each.struck]
        if not standing:
            continue
        name = f"**{literal(part.title)}.**" if part.title else ""
        if part.listed and len(standing) > 1:
            mark = "1." if part.name == "research-angle" else "-"
            rows = "\n".join(f"{mark} {_inline(_said(each))}" for each in standing)
            yield f"{name}\n\n{rows}" if name else rows
        else:
            yield f"{name} {_run(standing)}".strip()
    if shown:
        yield _fenced(shown)


def _about(item: Item) -> str:
    """Where a deep dive is from, why it is told, and where it is read."""
    if item.kind != "paper":
        return ""
    told = []
    if item.sources:
        mark = "cross-source: " if len(item.sources) >= CROSS_SOURCE else ""
        told.append(literal(f"{mark}{', '.join(item.sources)}"))
    if item.tier:
        told.append(f"tier {item.tier}")
    if topic := line(str(item.extra.get("topic") or "")):
        told.append(literal(topic))
    marks = [
        f"{name} {item.extra[name]}"
        for name in ("relevance", "novelty")
        if isinstance(item.extra.get(name), int)
    ]
    if marks:
        told.append(", ".join(marks))
    if signals := [each for each in item.signals if each != "n-of-a-kind"]:
        told.append(literal(", ".join(signals)))  # the other one is told in words below
    read = item.extra.get("read")
    if isinstance(read, str) and read:
        told.append(_link("the paper", read))
    decide = item.extra.get("decide")
    if isinstance(decide, str) and decide:
        told.append(_link("keep or drop", decide))
    return f"*{' · '.join(told)}*" if told else ""


def _run(sentences: Iterable[Sentence]) -> str:
    return _inline(" ".join(_said(each) for each in sentences if not each.struck))


def _inline(text: str) -> str:
    """Text that begins a line and is no heading, list, quotation or rule for all that."""
    found = _BLOCK.match(text)
    return f"{text[: found.start(1)]}\\{text[found.start(1) :]}" if found else text


_BLOCK = re.compile(r"\s*(?:\d{1,9})?([#>+=~:.)-])")


def _said(sentence: Sentence) -> str:
    """A sentence as Markdown: words of others in quotation marks, what we name linked."""
    lead = literal(line(sentence.lead))
    if lead:
        lead += " "
    text = line(sentence.text)
    if sentence.by == AuthorKind.EXTRACT:
        return f"{lead}“{literal(_read(text))}”"
    told, rest = [], text
    for words, url in sentence.links:
        before, found, after = rest.partition(line(words))
        if found and words:
            told += [literal(_read(before)), _link(literal(_read(found)), url)]
            rest = after
    return lead + "".join([*told, literal(_read(rest))])


def _read(text: str) -> str:
    """Its LaTeX read: macros as letters; formulas stay formulas, which the page sets."""
    return laid_out(text, _typeset, lambda source: f"${source}$")


def _typeset(text: str) -> str:
    """What LaTeX writes with several signs: dashes, ties and quotation marks; emphasis has none."""
    text = _EMPHASIS.sub(r"\1", text)
    text = _DASHES.sub(lambda found: "—" if len(found[0]) == 3 else "–", text)
    return _QUOTES.sub(r"‘\1’", _TIE.sub("\N{NO-BREAK SPACE}", text))


_EMPHASIS = re.compile(r"(?<![\\w*])\*{1,3}([^\s*](?:[^*]{0,80}[^\s*])?)\*{1,3}(?![\w*])")
_DASHES = re.compile(r"(?<!-)-{2,3}(?!-)")
_TIE = re.compile(r"(?<=[\w.)\]])~(?=[\w(]|$)|^~(?=\w)")
_QUOTES = re.compile(r"``([^`']{1,80})''")


def _link(words: str, url: str) -> str:
    if not url:
        return words
    return f"[{words}](<{_UNSAFE.sub('', url)}>)"


_UNSAFE = re.compile(r"[<>\\\s]")


def _fenced(diagram: str) -> str:
    longest = max((len(run) for run in re.findall(r"`{3,}", diagram)), default=2)
    fence = "`" * (longest + 1)
    return f"{fence}\n{diagram}\n{fence}"


def ledger_in_words(ledger: Mapping[str, Any]) -> str:
    """The ledger in sentences; "" when it holds no number."""
    pages = ledger.get("pages")
    pages = pages if isinstance(pages, Mapping) else {}
    told = [
        f"{words}: {counts}."
        for words, found in (
            ("Came in", ledger.get("sources")),
            ("Papers", ledger.get("papers")),
            ("Links", ledger.get("links")),
            ("Pages written", pages.get("created")),
            ("Pages changed", pages.get("updated")),
        )
        if (counts := _counts(found))
    ]
    cost = ledger.get("cost_usd")
    if isinstance(cost, str) and cost.strip("0."):
        told.append(f"Calls of a model: ${cost}.")
    return " ".join(told)


def _counts(found: object) -> str:
    if not isinstance(found, Mapping):
        return ""
    told = [
        f"{literal(line(str(name)))} {number:,}"
        for name, number in found.items()
        if isinstance(number, int) and number
    ]
    return ", ".join(told)
