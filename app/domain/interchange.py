"""A whole wiki as lines of JSON: which line holds which row, and how a row is read back from it.

The first line says that the file is one, the last how many lines stand before it. Between them each
line is one thing: first the fields that the interchange format has for it, so that any reader of that
format understands it, then under `row` (`page` and `thread` for the rows that belong to it) the columns
these fields do not say. Types come in the order of `TYPES`, lines of a type in the order of their keys,
and every reference leads to a line further up. What is empty is left out. Pure.
"""

from __future__ import annotations

import math
import re
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlmodel import SQLModel

from app.domain import records
from app.domain.identifiers import is_slug, title_key
from app.domain.markdown import name_key
from app.domain.records import PageKind

HEAD, END = "wiki", "end"
FORMAT, VERSION = "cere-bro", 1
FIRST = {"type": HEAD, "format": FORMAT, "version": VERSION}
_LARGEST, _LARGEST_BIG = 2**31 - 1, 2**63 - 1
_SHA256 = re.compile(r"[0-9a-f]{64}")


class BadRow(Exception):
    """Why a line is not taken, as one sentence."""


@dataclass(frozen=True)
class Part:
    """The rows of one table in a type of line.

    `fields` are fields of the line by the column that they say; the other columns are in the field
    `inside`. `spread`: what `extra` has are fields of the line, as they came. `optional`: a line may
    have no such row.
    """

    table: type[SQLModel]
    inside: str = "row"
    fields: Mapping[str, str] = field(default_factory=dict)
    spread: bool = False
    optional: bool = False

    @property
    def name(self) -> str:
        return str(self.table.__tablename__)


@dataclass(frozen=True)
class LineType:
    """A type of line. `order` are its fields: those that say columns, and those for other readers.

    The latter are made of other rows, and are not read back. `kinds` are those of the pages it holds.
    """

    name: str
    parts: tuple[Part, ...]
    order: tuple[str, ...] = ()
    kinds: tuple[PageKind, ...] = ()

    @property
    def known(self) -> frozenset[str]:
        """Every field that a line of this type may have beside what its `extra` holds."""
        return frozenset(("type", *self.order, *(part.inside for part in self.parts)))


def _like(name: str, table: type[SQLModel]) -> LineType:
    return LineType(name, (Part(table),))


def _pages(name: str, *kinds: PageKind) -> LineType:
    said = {"slug": "id", "title": "title", "body": "text"}
    alone = len(kinds) == 1
    return LineType(
        name,
        (
            Part(records.Page, fields=said if alone else {**said, "kind": "kind"}, spread=True),
            Part(records.Thread, "thread", {"claim": "claim"}, optional=True),
        ),
        ("id", *(() if alone else ("kind",)), "title", "claim", "aliases", "tags", "text"),
        kinds,
    )


def _same(*names: str) -> dict[str, str]:
    return {name: name for name in names}


def _two(
    name: str, table: type[SQLModel], fields: Mapping[str, str], first: tuple[str, ...]
) -> tuple[LineType, LineType]:
    """Two types of line for a table: of what the format has words for, and `other_…` of what it has not.

    Without words are a link to a page that is gone, and a decision that is on no paper or was undone.
    """
    order = tuple(dict.fromkeys((*first, *fields.values())))
    parts = (Part(table, fields=fields),)
    return LineType(name, parts, order), LineType(f"other_{name}", parts, order)


_PAPER = {
    "title": "title",
    "abstract": "abstract",
    "authors": "authors",
    "venue": "venue",
    "published": "published",
    "categories": "categories",
    "references": "references",
    "code_url": "code",
}
_LINK = {
    "relation": "relation",
    "status": "status",
    "role": "role",
    "note": "note",
    "day": "day",
    "decided_at": "at",
    "confidence": "confidence",
    "reason": "reason",
    "evidence": "evidence",
}
_PREDICTION = _same("text", "made", "due", "probability", "state", "resolved", "resolution")
_ASSESSMENT = {
    "day": "day",
    "scorer": "scorer",
    "relevance": "relevance",
    "novelty": "novelty",
    "topic_id": "primary_topic",
    "comment": "comment",
    "topic_comment": "topic_comment",
    "tags": "tags",
}

TYPES: tuple[LineType, ...] = (
    LineType(
        "topic",
        (
            Part(
                records.Topic,
                fields=_same("id", "name", "keep", "filter", "tier", "threshold"),
                spread=True,
            ),
        ),
        ("id", "name", "keep", "filter", "tier", "threshold"),
    ),
    _pages("concept", PageKind.CONCEPT),
    _pages("thread", PageKind.THREAD),
    _pages("page", PageKind.NOTE, PageKind.ARTICLE, PageKind.EPISODE, PageKind.DIGEST),
    _pages("other_page", PageKind.PAPER, *records.GONE),
    LineType(
        "paper",
        (
            Part(records.Page, "page", {"slug": "slug", "body": "text"}, optional=True),
            Part(records.Paper, "row", _PAPER, spread=True),
        ),
        (
            *("id", "identifiers", "slug", *_PAPER.values(), "aliases", "tags"),
            *("day", "position", "announced", "version", "keep", "text"),
        ),
        (PageKind.PAPER,),
    ),
    *_two("link", records.Link, _LINK, ("source", "relation", "target")),
    _like("change", records.Change),
    *_two("decision", records.Decision, _same("verdict", "at", "reason"), ("paper",)),
    *_two("question", records.Question, _same("text", "state", "day"), ("page",)),
    *_two("prediction", records.Prediction, _PREDICTION, ("page",)),
    _like("prediction_touch", records.PredictionTouch),
    _like("alias", records.Alias),
    _like("page_tag", records.PageTag),
    _like("identifier", records.Identifier),
    _like("revision", records.Revision),
    _like("page_section", records.PageSection),
    _like("vault_conflict", records.VaultConflict),
    _like("draft", records.Draft),
    _like("source", records.Source),
    _like("subscription", records.Subscription),
    _like("source_fetch", records.Fetch),
    _like("raw", records.Raw),
    _like("delivery", records.Delivery),
    _like("item", records.Item),
    _like("mention", records.Mention),
    _like("loose_mention", records.LooseMention),
    _like("loose_link", records.LooseLink),
    _like("digest", records.Digest),
    _like("episode", records.Episode),
    _like("listing", records.Listing),
    _like("listing_paper", records.ListingPaper),
    _like("model_call", records.ModelCall),
    _like("price", records.Price),
    _like("model_batch", records.ModelBatch),
    LineType(
        "assessment",
        (Part(records.Assessment, fields=_ASSESSMENT),),
        ("paper", *_ASSESSMENT.values(), "topics"),
    ),
    _like("assessment_topic", records.AssessmentTopic),
    _like("rule", records.Rule),
    _like("act", records.Act),
    _like("undo_log", records.UndoLog),
    _like("preference", records.Preference),
)
"""Every type of line, in the order of the file."""

BY_NAME: Mapping[str, LineType] = {each.name: each for each in TYPES}

LEFT_OUT: frozenset[type[SQLModel]] = frozenset(
    (
        # Derived, and made anew where the file is read.
        *(records.PageText, records.TitleWord, records.RedLink, records.PageNumber),
        *(records.PaperTerm, records.Unencoded, records.Unmirrored, records.Generation),
        *(records.EmbeddingModel, records.Vector, records.PaperVector),
        *(records.TextVector, records.QueryVector),
        # The machine's own: of its work, of the hosts it asks, of the files of one vault.
        *(records.Run, records.Attempt, records.Done, records.Hold, records.Lease),
        *(records.FetchHost, records.Mirror, records.VaultProblem),
    )
)
"""The tables of which no line is written."""

_COLUMNS_LEFT: Mapping[type[SQLModel], frozenset[str]] = {
    records.Paper: frozenset(("score", "topic_id", "came")),
    records.Act: frozenset(("run_id",)),  # runs stay behind
}


# ---------------------------------------------------------------- columns


@dataclass(frozen=True)
class Column:
    """A column as a file has it: `read` makes its value of JSON, or raises BadRow."""

    name: str
    read: Callable[[Any], Any]
    missing: Callable[[], Any]  # what stands there when the line says nothing, or BadRow
    references: tuple[str, str] | None
    is_key: bool


@cache
def columns(table: type[SQLModel]) -> Mapping[str, Column]:
    """The columns of a table that lines have, in their order."""
    hints = typing.get_type_hints(table)
    made: sa.Table = table.__table__  # type: ignore[attr-defined]
    left = _COLUMNS_LEFT.get(table, frozenset())
    return {
        each.name: _column(table, each, hints[each.name])
        for each in made.columns
        if each.name not in left
    }


def _column(table: type[SQLModel], made: sa.Column[Any], hint: Any) -> Column:
    keys = tuple(made.foreign_keys)
    identity = made.primary_key or bool(keys)
    read = _reader(made, hint, low=1 if identity else None)
    if made.name in ("sha256", "raw_sha256"):
        read = _sha256(read)
    return Column(
        made.name,
        read,
        _missing(table, made, hint),
        (keys[0].column.table.name, keys[0].column.name) if keys else None,
        made.primary_key,
    )


def _missing(table: type[SQLModel], made: sa.Column[Any], hint: Any) -> Callable[[], Any]:
    given = table.model_fields[made.name]
    if (table, made.name) == (records.Revision, "body"):
        return lambda: None  # that of its page
    if hint is str and given.is_required():
        return str
    if given.is_required() or made.primary_key:
        return lambda: _refuse(f'"{made.name}" is missing.')
    return lambda: given.get_default(call_default_factory=True)


def _refuse(reason: str) -> Any:
    raise BadRow(reason)


def _reader(made: sa.Column[Any], hint: Any, *, low: int | None = None) -> Callable[[Any], Any]:
    name = made.name
    if isinstance(hint, types.UnionType):
        inner = [each for each in hint.__args__ if each is not type(None)]
        read = _reader(made, inner[0], low=low)
        return read if made.primary_key else lambda value: None if value is None else read(value)
    if name == "evidence":
        return lambda value: _evidence(_shaped(name, value, hint))
    if isinstance(made.type, sa.JSON):
        return lambda value: _shaped(name, value, hint)
    if hint is datetime:
        return lambda value: _moment(name, value)
    if issubclass(hint, StrEnum):
        return lambda value: _word(name, value, hint)
    if hint is int:
        most = _LARGEST_BIG if isinstance(made.type, sa.BigInteger) else _LARGEST
        return lambda value: _whole(name, value, -most if low is None else low, most)
    if hint is float:
        return lambda value: _number(name, value)
    return lambda value: _shaped(name, value, hint)


def _sha256(read: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def checked(value: Any) -> Any:
        value = read(value)
        if value is not None and not _SHA256.fullmatch(value):
            raise BadRow("A hash of raw bytes is no SHA-256.")
        return value

    return checked


def _moment(name: str, value: Any) -> datetime:
    try:
        moment = datetime.fromisoformat(value)
        if moment.tzinfo is not None:
            return moment.astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        pass
    raise BadRow(f'"{name}" is not a time in ISO form with its zone.')


def _word(name: str, value: Any, words: type[StrEnum]) -> StrEnum:
    try:
        return words(value)
    except ValueError:
        raise BadRow(f'"{name}" is none of {", ".join(words)}.') from None


def _whole(name: str, value: Any, low: int, high: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise BadRow(f'"{name}" is not a whole number from {low} to {high}.')
    return value


def _number(name: str, value: Any) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        raise BadRow(f'"{name}" is not a number.')
    return float(value)


_KINDS = {
    str: "a text",
    bool: "true or false",
    int: "a whole number",
    list: "a list",
    dict: "an object",
}


def _shaped(name: str, value: Any, hint: Any) -> Any:
    """The value, when it is made as its column says, lists and objects through and through."""
    if hint is Any:
        return value
    kind = typing.get_origin(hint) or hint
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise BadRow(f'"{name}" is not {_KINDS.get(kind, "what it should be")}.')
    inner = typing.get_args(hint)
    if kind is list:
        for each in value:
            _shaped(name, each, inner[0])
    elif kind is dict:
        for each in value.values():
            _shaped(name, each, inner[1])
    return value


_EVIDENCE = {
    **dict.fromkeys(("quotation", "text", "where", "kind"), str),
    "verbatim": bool,
    "spans": list[list[int]],
}


def _evidence(value: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Evidence, when what screens show of it is made as they need it."""
    for each in value:
        for name, hint in _EVIDENCE.items():
            if name in each:
                _shaped(name, each[name], hint)
    return value


# ---------------------------------------------------------------- what follows from other columns

_FOLLOWS: Mapping[tuple[type[SQLModel], str], Callable[[Mapping[str, Any]], Any]] = {
    (records.Page, "title_key"): lambda row: name_key(row["title"]),
    (records.Paper, "title_key"): lambda row: title_key(row["title"]),
    (records.Alias, "key"): lambda row: name_key(row["name"]),
}
"""Columns that a line has only where they say something else."""


def _plain(value: Any) -> Any:
    """A value as JSON has it."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return value.value if isinstance(value, StrEnum) else value


def _goes_without(column: Column, value: Any) -> bool:
    """Whether a value is empty, and is what a reader puts where nothing is said."""
    if value is not None and value is not False and not isinstance(value, str | list | dict):
        return False
    try:
        return not value and type(missing := column.missing()) is type(value) and missing == value
    except BadRow:
        return False


# ---------------------------------------------------------------- a line of rows


def line(kind: LineType, rows: Mapping[str, Mapping[str, Any]], told: Mapping[str, Any]) -> Any:
    """The fields of a line, in order: of its `rows`, by the name of their table, and what is `told`."""
    fields: dict[str, Any] = dict(told)
    insides: dict[str, dict[str, Any]] = {}
    spread: dict[str, Any] = {}
    for part in kind.parts:
        row = rows.get(part.name)
        if row is None:
            continue
        inside: dict[str, Any] = {}
        for name, column in columns(part.table).items():
            value = row[name]
            follows = _FOLLOWS.get((part.table, name))
            if follows is not None and follows(row) == value:
                continue
            if name == "extra" and part.spread:
                spread = {key: each for key, each in value.items() if key not in kind.known}
                value = {key: each for key, each in value.items() if key in kind.known}
            elif name == "evidence" and name in part.fields:
                if not _can_be_quoted(value):
                    inside[name] = value
                    continue
                value = _renamed(value, "quotation", "quote")
            if _is_written_elsewhere(kind, part, name, row, rows):
                continue
            if follows is None and _goes_without(column, value):
                continue
            if name in part.fields:
                fields[part.fields[name]] = _plain(value)
            else:
                inside[name] = _plain(value)
        insides[part.inside] = inside
    ordered = {"type": kind.name}
    ordered |= {name: fields[name] for name in kind.order if name in fields}
    return {**ordered, **spread, **insides}


def _is_written_elsewhere(
    kind: LineType,
    part: Part,
    name: str,
    row: Mapping[str, Any],
    rows: Mapping[str, Mapping[str, Any]],
) -> bool:
    """Whether the line says a column by another one: its type the kind, a paper its page's title."""
    if part.table is records.Page and name == "kind":
        return len(kind.kinds) == 1
    if part.table is records.Page and name == "title" and "paper" in rows:
        return bool(row["title"] == rows["paper"]["title"])
    return part.inside in ("page", "thread") and name in ("page_id",)


def _can_be_quoted(evidence: list[Any]) -> bool:
    """Whether evidence can be told with the format's name for a quotation, and back again."""
    return all(
        isinstance(each.get("quotation"), str)
        and "quote" not in each
        and isinstance(each.get("where", ""), str)
        for each in evidence
    )


def _renamed(evidence: list[Any], old: str, new: str) -> list[Any]:
    return [
        {(new if key == old else key): value for key, value in each.items()} for each in evidence
    ]


# ---------------------------------------------------------------- rows of a line


def rows_of(kind: LineType, fields: Mapping[str, Any]) -> Iterator[tuple[Part, dict[str, Any]]]:
    """The rows of a line, checked by their columns, in the order they are stored. Raises BadRow.

    A revision without a text has None there: it is that of its page.
    """
    others = {name: value for name, value in fields.items() if name not in kind.known}
    if others and not any(part.spread for part in kind.parts):
        raise BadRow(f"This version knows no field {_named(others)} of such a line.")
    page_id = None
    for part in kind.parts:
        inside = fields.get(part.inside)
        if inside is None and part.optional:
            continue
        if not isinstance(inside, dict):
            raise BadRow(f'"{part.inside}" is missing, or is no object.')
        given = dict(inside)
        for name, said in part.fields.items():
            if said in fields:
                given[name] = _renamed_back(fields[said]) if name == "evidence" else fields[said]
        if part.spread:
            given["extra"] = {**_object(given.get("extra")), **others}
        if part.table is records.Page:
            _page_of_line(kind, given, fields)
        if part.inside == "thread":
            given["page_id"] = page_id
        yield part, (row := _row(part.table, given))
        if part.table is records.Page:
            page_id = row["id"]


def _named(fields: Mapping[str, Any]) -> str:
    name = str(next(iter(fields)))
    return f'"{name[:40]}"'


def _object(value: Any) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise BadRow('"extra" is not an object.')
    return value


def _renamed_back(evidence: Any) -> Any:
    if not isinstance(evidence, list) or not all(isinstance(each, dict) for each in evidence):
        raise BadRow('"evidence" is not a list of objects.')
    return _renamed(evidence, "quote", "quotation")


def _page_of_line(kind: LineType, given: dict[str, Any], fields: Mapping[str, Any]) -> None:
    if len(kind.kinds) == 1:
        given["kind"] = kind.kinds[0].value
    elif given.get("kind") not in kind.kinds:
        raise BadRow(f'"kind" is none of {", ".join(kind.kinds)}.')
    if kind.name == "paper":
        given.setdefault("title", fields.get("title"))
    if not isinstance(given.get("slug"), str) or not is_slug(given["slug"]):
        raise BadRow("The address of a page is no slug ([a-z0-9-]).")


def _row(table: type[SQLModel], given: dict[str, Any]) -> dict[str, Any]:
    row: dict[str, Any] = {}
    known = columns(table)
    if unknown := given.keys() - known.keys():
        raise BadRow(f"This version knows no field {_named(dict.fromkeys(sorted(unknown)))} there.")
    for name, column in known.items():
        if name in given:
            row[name] = column.read(given[name])
        elif (table, name) in _FOLLOWS:
            continue
        else:
            row[name] = column.missing()
    for (of, name), follows in _FOLLOWS.items():
        if of is table and name not in row:
            row[name] = follows(row)
    return row
