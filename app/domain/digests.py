"""A digest as a document: sections, items, and sentences that each name what they rest on.

What a day's facts become in sections is told here, purely; where facts come from is
`services/digest.py`. A document is stored as JSON beside the page whose Markdown body it was written
out to; the body is what people read and edit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from app.domain.records import AuthorKind


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
    the text, "" when it stands.
    """

    text: str
    ids: tuple[str, ...] = ()
    by: AuthorKind = AuthorKind.AGENT
    struck: str = ""

    def as_json(self) -> dict[str, Any]:
        told: dict[str, Any] = {"text": self.text, "ids": list(self.ids), "by": self.by.value}
        return told | ({"struck": self.struck} if self.struck else {})

    @classmethod
    def read(cls, told: Mapping[str, Any]) -> Sentence:
        return cls(
            str(told.get("text", "")),
            tuple(map(str, told.get("ids", ()))),
            AuthorKind(told.get("by", AuthorKind.AGENT)),
            str(told.get("struck", "")),
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
