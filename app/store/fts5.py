"""The word index of SQLite: FTS5 over page_text, kept by triggers, with porter stems and prefixes.

A person's words reach it as quoted strings, never as its syntax. `store/tsvector.py` offers the
same functions for PostgreSQL; `store/search.py` asks whichever the session's engine needs.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from secrets import token_hex
from typing import Any

import sqlalchemy as sa
from sqlmodel import Session

from app.domain.excerpts import Marked, excerpt, written_words
from app.domain.queries import Field, index_words
from app.domain.words import stem

_ROW: sa.ColumnElement[int] = sa.literal_column("page_fts.rowid", sa.Integer())
# The page of a row. With the plus, the planner cannot look up a row of the index by it: it would ask
# the index once for every page.
ROW: sa.ColumnElement[int] = sa.literal_column("+page_fts.rowid", sa.Integer())
_TEXT: sa.ColumnElement[str] = sa.literal_column("page_fts.text", sa.String())
_INDEX: sa.ColumnElement[str] = sa.literal_column("page_fts", sa.String())
_FROM = sa.text("page_fts")
_WEIGHTS = {False: (5.0, 3.0, 1.0), True: (8.0, 5.0, 1.0)}  # of title, names and text

LONG = 10_000  # characters of a text that are too many for snippet()
SHOWN = 100_000  # characters of a text in which the place to show is looked for

Searchable = tuple[int, str, str, str]  # page id, title, names, text


# ---------------------------------------------------------------- expressions


def term(text: str, *, begins: bool = False, field: Field | None = None) -> str:
    """The words of the text, one after the other; with `begins` the last may be a beginning."""
    quoted = '"' + text.replace('"', '""') + '"' + ("*" if begins else "")
    return f"({{{field.value}}} : {quoted})" if field else quoted


def every(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"({' AND '.join(parts)})"


def some(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"({' OR '.join(parts)})"


def without(expression: str, unwanted: Sequence[str]) -> str:
    return f"({expression} NOT {some(unwanted)})" if unwanted else expression


# ---------------------------------------------------------------- statements


def found(
    expression: str, left: Sequence[sa.ColumnElement[bool]] = (), *, names: bool = False
) -> sa.Select[Any]:
    """Selects `id` of the pages that match, in title or names alone with `names`.

    `left` are conditions on ROW.
    """
    if names:
        expression = f"{{title names}} : ({expression})"
    found = sa.select(_ROW.label("id")).select_from(_FROM)
    return found.where(_INDEX.op("MATCH")(expression), *left)


def score(expression: str, *, names: bool = False) -> sa.ColumnElement[float]:
    """How well a row of `found` matches; a title counts more than a name, a name than the text."""
    return -sa.func.bm25(_INDEX, *_WEIGHTS[names], type_=sa.Float())


def one_of(column: sa.ColumnElement[int]) -> sa.ColumnElement[bool]:
    """Whether the column is one of the numbers that the parameter `ids` lists."""
    listed = sa.func.json_each(sa.bindparam("ids", type_=sa.String())).table_valued("value")
    return column.in_(sa.select(listed.c.value))


def ids(numbers: Collection[int]) -> object:
    """The value of that parameter."""
    return json.dumps(list(numbers))


def day(moment: sa.ColumnElement[Any]) -> sa.ColumnElement[str]:
    """The ISO day of a moment."""
    return sa.func.substr(sa.type_coerce(moment, sa.String()), 1, 10)


def contains(column: sa.ColumnElement[str], part: str) -> sa.ColumnElement[bool]:
    """Whether the text holds the part letter for letter."""
    return sa.func.instr(column, part) > 0


# ---------------------------------------------------------------- marks


def snippets(
    session: Session, terms: Sequence[tuple[str, bool]], pages: Collection[int]
) -> Mapping[int, Marked]:
    """Where any of the terms, (text, begins), stands in the texts of these pages, with marks."""
    # Unguessable, so that no text can mark itself.
    token = token_hex(4)
    start, end = f"\x02{token}", f"\x03{token}"
    # What snippet() takes grows with the square of the words found: a long text is read here.
    long = sa.func.length(_TEXT) > LONG
    shown = sa.func.snippet(_INDEX, 2, start, end, "…", 36)
    rows = session.connection().execute(
        sa.select(
            ROW,
            sa.case((~long, shown), else_=""),
            sa.case((long, sa.func.substr(_TEXT, 1, SHOWN)), else_=""),
        )
        .select_from(_FROM)
        .where(
            _INDEX.op("MATCH")(some([term(text, begins=begins) for text, begins in terms])),
            one_of(_ROW),
        ),
        {"ids": ids(pages)},
    )
    return {
        page_id: _parts(part, start, end) if part else _read(text, terms)
        for page_id, part, text in rows
    }


def _read(text: str, terms: Sequence[tuple[str, bool]]) -> Marked:
    sought = [([stem(word) for word in index_words(text)], begins) for text, begins in terms]
    return excerpt(text, written_words(text), [each for each in sought if each[0]], stem)


def _parts(text: str, start: str, end: str) -> Marked:
    parts: list[tuple[str, bool]] = []
    first, *others = " ".join(text.split()).split(start)
    parts.append((first, False))
    for piece in others:
        marked, _, after = piece.partition(end)
        parts += [(marked, True), (after, False)]
    return tuple(part for part in parts if part[0])


# ---------------------------------------------------------------- writing


def index(session: Session, rows: Sequence[Searchable]) -> None:
    """Nothing is to be done: triggers write the index with the rows of page_text."""


def wrong(session: Session, rows: Sequence[Searchable]) -> int:
    """How many of these rows the index does not find by all their words: known of the whole alone."""
    return 0


def is_whole(session: Session) -> bool:
    """Whether the index says the same as page_text. Reads all of both."""
    try:
        session.connection().exec_driver_sql(
            "INSERT INTO page_fts(page_fts, rank) VALUES('integrity-check', 1)"
        )
    except sa.exc.DatabaseError as error:
        if "malformed" not in str(error.orig) and "corrupt" not in str(error.orig):
            raise
        return False
    return True


def rebuild(session: Session) -> None:
    """Read the index anew from page_text, after rows came in past the triggers."""
    session.connection().exec_driver_sql("INSERT INTO page_fts(page_fts) VALUES('rebuild')")
