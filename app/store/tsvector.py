"""The word index of PostgreSQL: weighted tsvectors beside page_text, with GIN indexes.

Texts and queries are cut into words here, by the rule of SQLite's tokeniser, and handed over as
plain words, so that both engines find the same; the stems are PostgreSQL's own Porter dictionary.
`store/fts5.py` offers the same functions for SQLite.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, TSVECTOR
from sqlmodel import Session

from app.domain.excerpts import Marked, excerpt, written_words
from app.domain.queries import Field, index_words

# PostgreSQL refuses a vector of 1 MB and leaves out a word of 2 kB.
MOST_OF_NAMES = 100_000
MOST_OF_TEXT = 800_000
MOST_LETTERS = 250
SHOWN = 100_000  # characters of a text in which the place to show is looked for

_vectors = sa.table(
    "page_text",
    sa.column("page_id", sa.Integer()),
    sa.column("text", sa.String()),
    sa.column("words", TSVECTOR()),
    sa.column("name_words", TSVECTOR()),
)
ROW: sa.ColumnElement[int] = _vectors.c.page_id
# Made by the migrations: a dictionary of Porter stems without stop words, and what uses it.
_DICTIONARY: sa.ColumnElement[Any] = sa.literal_column("'cerebro_stem'::regdictionary")
_CONFIGURATION: sa.ColumnElement[Any] = sa.literal_column("'cerebro'::regconfig")
_WEIGHT = {Field.TITLE: "A", Field.NAMES: "B"}
# Of D, C, B and A: the text, nothing, the names, the title.
_WEIGHTS: sa.ColumnElement[Any] = sa.literal_column("'{0.1, 0.1, 0.5, 1.0}'::real[]")

Searchable = tuple[int, str, str, str]  # page id, title, names, text


# ---------------------------------------------------------------- expressions


def term(text: str, *, begins: bool = False, field: Field | None = None) -> str:
    """The words of the text, one after the other; with `begins` the last may be a beginning."""
    weight = _WEIGHT[field] if field else ""
    words = [word for word in index_words(text) if len(word) <= MOST_LETTERS]
    if not words:
        return _NOTHING
    *first, last = words
    ends = f":*{weight}" if begins else weight and f":{weight}"
    each = [f"'{word}'" + (weight and f":{weight}") for word in first]
    return "(" + " <-> ".join([*each, f"'{last}'{ends}"]) + ")"


_NOTHING = "('0nothing0' & !'0nothing0')"


def every(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"({' & '.join(parts)})"


def some(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"({' | '.join(parts)})"


def without(expression: str, unwanted: Sequence[str]) -> str:
    return f"({expression} & !{some(unwanted)})" if unwanted else expression


# ---------------------------------------------------------------- statements


def found(
    expression: str, left: Sequence[sa.ColumnElement[bool]] = (), *, names: bool = False
) -> sa.Select[Any]:
    """Selects `id` of the pages that match, in title or names alone with `names`.

    `left` are conditions on ROW.
    """
    found = sa.select(ROW.label("id"))
    return found.where(_vector(names).op("@@")(_query(expression)), *left)


def score(expression: str, *, names: bool = False) -> sa.ColumnElement[float]:
    """How well a row of `found` matches; a title counts more than a name, a name than the text."""
    return sa.func.ts_rank(_WEIGHTS, _vector(names), _query(expression), 1, type_=sa.Float())


def _vector(names: bool) -> sa.ColumnElement[Any]:
    return _vectors.c.name_words if names else _vectors.c.words


def _query(expression: str) -> sa.ColumnElement[Any]:
    return sa.func.to_tsquery(_CONFIGURATION, expression)


def one_of(column: sa.ColumnElement[int]) -> sa.ColumnElement[bool]:
    """Whether the column is one of the numbers that the parameter `ids` lists."""
    listed = sa.bindparam("ids", type_=ARRAY(sa.Integer()))
    return column == sa.any_(sa.cast(listed, ARRAY(sa.Integer())))


def ids(numbers: Collection[int]) -> object:
    """The value of that parameter."""
    return list(numbers)


def day(moment: sa.ColumnElement[Any]) -> sa.ColumnElement[str]:
    """The ISO day of a moment."""
    return sa.func.to_char(sa.func.timezone("UTC", moment), "YYYY-MM-DD")


def contains(column: sa.ColumnElement[str], part: str) -> sa.ColumnElement[bool]:
    """Whether the text holds the part letter for letter."""
    return sa.func.strpos(column, part) > 0


# ---------------------------------------------------------------- marks


def snippets(
    session: Session, terms: Sequence[tuple[str, bool]], pages: Collection[int]
) -> Mapping[int, Marked]:
    """Where any of the terms, (text, begins), stands in the texts of these pages, with marks."""
    asked = [(index_words(text), begins) for text, begins in terms]
    asked = [(words, begins) for words, begins in asked if words]
    shown = sa.func.substr(_vectors.c.text, 1, SHOWN)
    statement = sa.select(_vectors.c.page_id, shown).where(one_of(_vectors.c.page_id))
    rows = session.connection().execute(statement, {"ids": ids(pages)})
    texts = {page_id: text or "" for page_id, text in rows}
    written = {page_id: written_words(text) for page_id, text in texts.items()}
    # No stem begins with another letter than its word: few words have to be asked for.
    first = {word[0] for words, _ in asked for word in words}
    met = {each.word for words in written.values() for each in words if each.word[:1] in first}
    stem = _stems(session, met.union(*(words for words, _ in asked)))
    sought = [([stem.get(word, word) for word in words], begins) for words, begins in asked]
    return {
        page_id: parts
        for page_id, text in texts.items()
        if (parts := excerpt(text, written[page_id], sought, lambda word: stem.get(word, word)))
    }


def _stems(session: Session, words: Collection[str]) -> dict[str, str]:
    word = sa.func.unnest(sa.cast(list(words), ARRAY(sa.String()))).column_valued("word")
    stem = sa.func.ts_lexize(_DICTIONARY, word)
    rows = session.connection().execute(sa.select(word, stem))
    return {word: stems[0] if stems else word for word, stems in rows}


# ---------------------------------------------------------------- writing


def index(session: Session, rows: Sequence[Searchable]) -> None:
    """Write the vectors of these rows of page_text. A very long text is known by its beginning."""
    if values := [_values(row) for row in rows]:
        session.connection().execute(_INDEX, values)


def wrong(session: Session, rows: Sequence[Searchable]) -> int:
    """How many of these rows had other vectors than those of their words; they are right now."""
    return sum(session.connection().execute(_RIGHT, _values(row)).rowcount for row in rows)


def _values(row: Searchable) -> dict[str, object]:
    page_id, title, names, text = row
    return {
        "id": page_id,
        "title": _cut(title, MOST_OF_NAMES),
        "names": _cut(names, MOST_OF_NAMES),
        "text": _cut(text, MOST_OF_TEXT),
    }


def is_whole(session: Session) -> bool:
    """Whether anything is found at all: `wrong` looks at each row."""
    return True


def rebuild(session: Session) -> None:
    """Nothing is to be done: `index` writes every row."""


# A word that is taken out again keeps a phrase from reaching from one field into the next.
_INDEX = sa.text(
    """UPDATE page_text SET
        name_words = ts_delete(
            setweight(to_tsvector('cerebro', :title || ' 0end0of0field0'), 'A')
            || setweight(to_tsvector('cerebro', :names), 'B'), '0end0of0field0'),
        words = ts_delete(
            setweight(to_tsvector('cerebro', :title || ' 0end0of0field0'), 'A')
            || setweight(to_tsvector('cerebro', :names || ' 0end0of0field0'), 'B')
            || setweight(to_tsvector('cerebro', :text), 'D'), '0end0of0field0')
    WHERE page_id = :id"""
)
_RIGHT = sa.text(
    """UPDATE page_text SET name_words = told.name_words, words = told.words
    FROM (SELECT
        ts_delete(
            setweight(to_tsvector('cerebro', :title || ' 0end0of0field0'), 'A')
            || setweight(to_tsvector('cerebro', :names), 'B'), '0end0of0field0') AS name_words,
        ts_delete(
            setweight(to_tsvector('cerebro', :title || ' 0end0of0field0'), 'A')
            || setweight(to_tsvector('cerebro', :names || ' 0end0of0field0'), 'B')
            || setweight(to_tsvector('cerebro', :text), 'D'), '0end0of0field0') AS words
    ) AS told
    WHERE page_id = :id AND (page_text.words IS DISTINCT FROM told.words
        OR page_text.name_words IS DISTINCT FROM told.name_words)"""
)


def _cut(text: str, most: int) -> str:
    """The words of the text, separated by blanks, as many as fit into so many bytes of a vector."""
    words = [word for word in index_words(text) if len(word) <= MOST_LETTERS]
    if len(text) * 4 > most:
        known: set[str] = set()
        for place, word in enumerate(words):
            most -= 2 if word in known else len(word.encode()) + 8
            known.add(word)
            if most < 0:
                return " ".join(words[:place])
    return " ".join(words)
