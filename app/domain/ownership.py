"""Whose a section of a page is: its body cut at its headings, and who wrote each piece last.

A section is a heading of the body with what stands under it up to the next one, of any level; what
stands before the first is a section too. It belongs to who changed its text last: moved to another
place or under another heading it keeps its owner. A machine proposes another text for what a machine
owns, and for nothing else. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

from app.domain.grammar import parse
from app.domain.markdown import headings_of
from app.domain.records import AuthorKind

MACHINES = frozenset({AuthorKind.MODEL, AuthorKind.AGENT, AuthorKind.EXTRACT})
"""Whose sections a machine may propose another text for. What was imported is somebody's own."""

PEOPLE = frozenset({AuthorKind.PERSON, AuthorKind.VAULT})
"""Whose revisions a person wrote, in the wiki or in a file of the vault: no machine writes over them."""


def author_words(kind: AuthorKind, name: str = "") -> str:
    """Who wrote something, as a reader is told."""
    return "you" if kind == AuthorKind.PERSON else name or _AUTHORS[kind]


_AUTHORS = {
    AuthorKind.MODEL: "a model",
    AuthorKind.AGENT: "an agent",
    AuthorKind.IMPORT: "an import",
    AuthorKind.VAULT: "the vault",
    AuthorKind.EXTRACT: "extraction",
}


_FENCE = re.compile(r"[ \t]*#|[ \t]*(?:=+|-+)[ \t]*$", re.M)


@dataclass(frozen=True)
class Section:
    """A piece of a body: `body[start:end]`, of which `body[start:text]` is the heading.

    `key` names it within its page: the anchor of its heading, "" for what stands before the first.
    """

    key: str
    title: str
    level: int
    start: int
    text: int
    end: int
    hash: str


@dataclass(frozen=True)
class Owner:
    """Who wrote a section last: a kind of author, its name, and the prompt when a model did."""

    kind: AuthorKind
    name: str = ""
    prompt: str = ""

    @property
    def is_machine(self) -> bool:
        return self.kind in MACHINES


@dataclass(frozen=True)
class Owned:
    """A section by its key and the hash of its text, and whose it is."""

    key: str
    hash: str
    owner: Owner


def text_hash(text: str) -> str:
    """What names a section's text; blanks at line ends and around it make no difference."""
    said = "\n".join(line.rstrip() for line in text.strip().splitlines())
    return sha256(said.encode("utf-8", "replace")).hexdigest()[:16] if said else ""


def sections(body: str) -> list[Section]:
    """The body cut at its headings, in order; one piece when it has none or cannot be read.

    The first piece has no heading and is left out when it is blank, unless it is all there is.
    """
    heads = _heads(body) if _FENCE.search(body) else []
    cuts = [("", "", 0, 0, 0), *heads]
    found = []
    for place, (key, title, level, start, text) in enumerate(cuts):
        end = cuts[place + 1][3] if place + 1 < len(cuts) else len(body)
        piece = Section(key, title, level, start, text, end, text_hash(body[text:end]))
        if key or piece.hash or len(cuts) == 1:
            found.append(piece)
    return found


def _heads(body: str) -> list[tuple[str, str, int, int, int]]:
    """(key, title, level, where it begins, where its text begins) of the headings that cut the body.

    One within a quotation or a list cuts nothing.
    """
    document = parse(body)
    starts = [0]
    for found in re.finditer(r"\r\n?|\n", body):
        starts.append(found.end())
    starts.append(len(body))
    opened = [token for token in document.tokens if token.type == "heading_open"]
    heads = []
    for token, heading in zip(opened, headings_of(document), strict=True):
        if token.level == 0 and token.map:
            first, last = (min(line, len(starts) - 1) for line in token.map)
            heads.append((heading.anchor, heading.text, heading.level, starts[first], starts[last]))
    return heads


def owners(before: Sequence[Owned], body: str, author: Owner) -> list[Owned]:
    """Who owns the sections of a body that `author` wrote over one whose sections were `before`'s.

    A section under its old heading with its old text keeps its owner; so does one whose text stood
    under another heading, or elsewhere. All else is the author's.
    """
    by_key = {each.key: each for each in before}
    now = sections(body)
    kept = {
        each.key: by_key[each.key].owner
        for each in now
        if each.key in by_key and by_key[each.key].hash == each.hash
    }
    moved: dict[str, list[Owner]] = {}
    for old in before:
        if old.hash and old.key not in kept:
            moved.setdefault(old.hash, []).append(old.owner)
    found = []
    for each in now:
        owner = kept.get(each.key)
        if owner is None:
            others = moved.get(each.hash, [])
            owner = others.pop(0) if others else author
        found.append(Owned(each.key, each.hash, owner))
    return found


# ---------------------------------------------------------------- writing a section


def named(body: str, key: str) -> Section | None:
    """The section of this key."""
    return next((each for each in sections(body) if each.key == key), None)


def text_of(body: str, section: Section) -> str:
    """What stands under a section's heading, without the blank lines around it."""
    return body[section.text : section.end].strip()


def before_all(body: str, text: str) -> str:
    """The body with a text before its first heading, where it has none there."""
    return "\n\n".join(part for part in (text.strip(), body.lstrip("\n")) if part)


def written(body: str, key: str, text: str) -> str:
    """The body with another text under a heading that it has. Raises KeyError when it has none."""
    section = named(body, key)
    if section is None:
        raise KeyError(key)
    head, tail = body[: section.text].rstrip("\n"), body[section.end :].lstrip("\n")
    return "\n\n".join(part for part in (head, text.strip(), tail.rstrip()) if part) + "\n"


def added(body: str, title: str, text: str, *, level: int = 2) -> str:
    """The body with a section at its end."""
    head = f"{'#' * level} {title}"
    return "\n\n".join(part for part in (body.rstrip(), head, text.strip()) if part) + "\n"


def removed(body: str, key: str) -> str:
    """The body without a section, heading and all. Raises KeyError when it has none of this key."""
    section = named(body, key)
    if section is None:
        raise KeyError(key)
    parts = (body[: section.start].rstrip(), body[section.end :].strip("\n").rstrip())
    return "\n\n".join(part for part in parts if part) + "\n"
