"""What is read for papers that bear on questions and predictions: who waits, and what both say.

Two things wait: a kept paper that was not read against all that is open, and something asked that no
recent paper was read against. Both are known by the table `done`, under two names of a step.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlmodel import Session, col

from app.domain.bearing import Asked, Bearing, Board, Read, best, rarity_of
from app.domain.records import (
    Done,
    Page,
    PageText,
    Paper,
    Prediction,
    PredictionState,
    Question,
)
from app.store import questions, runs
from app.store.corpus import Library, chunks
from app.store.vectors import VectorIndex

PAPERS = 500  # in one batch
ROWS = 200
RECENT = 400  # of the newest papers something new is held against


@dataclass(frozen=True)
class Kind:
    """What papers may bear on: a table with the column `text`, and which of its rows are open."""

    step: str
    table: type[Question] | type[Prediction]
    is_open: Callable[[], Any]
    day: Any  # from when on, as an expression; over Page and its Paper too

    @property
    def news(self) -> str:
        """The name under which `done` knows what was asked and is not new any more."""
        return f"{self.step}: new"


QUESTIONS = Kind(
    "answers",
    Question,
    questions.is_open,
    sa.func.coalesce(
        sa.func.nullif(col(Question.day), ""),
        sa.func.nullif(col(Paper.came), ""),
        sa.func.nullif(col(Paper.published), ""),
        sa.func.substr(sa.cast(col(Page.created_at), sa.String), 1, 10),
    ),
)
PREDICTIONS = Kind(
    "predictions",
    Prediction,
    lambda: col(Prediction.state) == PredictionState.OPEN,
    sa.func.coalesce(
        sa.func.nullif(col(Prediction.made), ""),
        sa.func.substr(sa.cast(col(Page.created_at), sa.String), 1, 10),
    ),
)


@dataclass(frozen=True)
class Taken:
    """Papers to read against all that is open, and what is new, to hold against recent papers."""

    papers: tuple[int, ...] = ()
    new: tuple[int, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.papers or self.new)


def _papers_waiting(session: Session, kind: Kind, *, now: datetime) -> sa.Select[Any]:
    return (
        sa.select(col(PageText.page_id))
        .join(Paper, col(Paper.page_id) == col(PageText.page_id))
        .outerjoin(
            Done, (col(Done.step) == kind.step) & (col(Done.subject_id) == col(PageText.page_id))
        )
        .where(
            sa.func.coalesce(col(Done.seen), "") != col(PageText.hash),
            col(PageText.page_id).not_in(runs.blocked(session, kind.step, now=now)),
        )
    )


def _news(session: Session, kind: Kind, *, now: datetime) -> sa.Select[Any]:
    table = kind.table
    return (
        sa.select(col(table.id))
        .outerjoin(Done, (col(Done.step) == kind.news) & (col(Done.subject_id) == col(table.id)))
        .where(
            sa.func.coalesce(col(Done.seen), "") != col(table.text),
            col(table.id).not_in(runs.blocked(session, kind.news, now=now)),
            kind.is_open(),
        )
    )


def pending(session: Session, kind: Kind, *, now: datetime) -> int:
    """How many papers and new rows wait; of no papers and of nothing asked nothing waits."""
    some = sa.select(col(kind.table.id)).where(kind.is_open()).limit(1)
    if session.connection().execute(some).first() is None:
        return 0
    number = 0
    for waiting in (_papers_waiting(session, kind, now=now), _news(session, kind, now=now)):
        counting = sa.select(sa.func.count()).select_from(waiting.subquery())
        number += session.connection().execute(counting).scalar_one()
    return number


def take_up(session: Session, kind: Kind, *, owner: str, now: datetime) -> Taken:
    """The next of both; no other worker gets them while `owner` is at work."""
    if not pending(session, kind, now=now):
        return Taken()
    papers = runs.take_up(
        session,
        kind.step,
        _papers_waiting(session, kind, now=now),
        limit=PAPERS,
        owner=owner,
        newest=True,
    )
    new = runs.take_up(
        session, kind.news, _news(session, kind, now=now), limit=ROWS, owner=owner, newest=True
    )
    return Taken(tuple(papers), tuple(new))


def asked(session: Session, kind: Kind) -> list[Asked]:
    """All that is open, with the day from which on papers may bear on it."""
    found = session.connection().execute(
        sa.select(
            col(kind.table.id), col(kind.table.page_id), col(kind.table.text), kind.day.label("day")
        )
        .join(Page, col(Page.id) == col(kind.table.page_id))
        .outerjoin(Paper, col(Paper.page_id) == col(Page.id))
        .where(kind.is_open())
        .order_by(col(kind.table.id))
    )
    return [Asked(row.id, row.page_id, row.text, row.day or "") for row in found]


@dataclass(frozen=True)
class PaperRead:
    """A kept paper: what is read of it, its abstract, and the hash of its text."""

    read: Read
    abstract: str
    hash: str


@dataclass(frozen=True)
class Work:
    """What a batch thinks about: all that is open, and papers by page.

    The taken ones are held against all of it, the others, read before, against what is new.
    """

    taken: Taken
    asked: tuple[Asked, ...]
    papers: dict[int, PaperRead]
    rarity: Callable[[str], float]
    near: Callable[[int, int], float | None]

    def found(self) -> list[Bearing]:
        """What the papers bear on, of each the few surest."""
        whole, new = set(self.taken.papers), set(self.taken.new)
        everything = Board(self.asked, self.rarity)
        news = Board([each for each in self.asked if each.id in new], self.rarity)
        made: list[Bearing] = []
        for page, paper in sorted(self.papers.items()):
            board = everything if page in whole else news
            made += best(board.bearings(paper.read, self.near))
        return made


def read(
    session: Session, kind: Kind, index: VectorIndex | None, taken: Taken, library: Library
) -> Work:
    """What there is to know for a batch: for what is new, the papers that came last too."""
    all_asked = asked(session, kind)
    pages = {*taken.papers, *(recent(session) if taken.new else ())}
    return Work(
        taken,
        tuple(all_asked),
        papers(session, pages),
        rarity(library, session),
        nearness(session, index, all_asked, pages),
    )


def still(session: Session, kind: Kind, taken: Taken, owner: str) -> tuple[set[int], set[int]]:
    """The papers and new rows that a worker still holds, its holds ended; all without `owner`."""
    if not owner:
        return set(taken.papers), set(taken.new)
    return (
        runs.let_go(session, kind.step, taken.papers, owner=owner),
        runs.let_go(session, kind.news, taken.new, owner=owner),
    )


def done(session: Session, kind: Kind, work: Work, mine: set[int], new: set[int]) -> None:
    """Note what was read, as it stood."""
    texts = {each.id: each.text for each in work.asked if each.id in new}
    hashes = {page: work.papers[page].hash for page in mine if page in work.papers}
    runs.done(session, kind.step, hashes)
    runs.done(session, kind.news, texts)


_CAME = sa.func.coalesce(sa.func.nullif(col(Paper.came), ""), col(Paper.published), "")


def papers(session: Session, page_ids: Collection[int]) -> dict[int, PaperRead]:
    """These kept papers by page."""
    found: dict[int, PaperRead] = {}
    for some in chunks(sorted(page_ids)):
        for row in session.connection().execute(
            sa.select(
                col(PageText.page_id),
                col(PageText.title),
                col(PageText.text),
                col(PageText.hash),
                col(Paper.abstract),
                _CAME.label("came"),
            )
            .join(Paper, col(Paper.page_id) == col(PageText.page_id))
            .where(col(PageText.page_id).in_(some))
        ):
            found[row.page_id] = PaperRead(
                Read(row.page_id, row.title, row.text, row.came), row.abstract, row.hash
            )
    return found


def recent(session: Session) -> list[int]:
    """The kept papers that came last, whatever is asked anew is held against them."""
    statement = (
        sa.select(col(Paper.page_id))
        .where(col(Paper.page_id).is_not(None))
        .order_by(_CAME.desc(), col(Paper.id).desc())
        .limit(RECENT)
    )
    return [one for one in session.connection().execute(statement).scalars() if one is not None]


def rarity(library: Library, session: Session) -> Callable[[str], float]:
    """What each stem weighs, by how many of the kept papers say it."""
    library.refresh(session)
    papers_, lexicon = library.papers, library.lexicon
    documents = papers_.text.getnnz(axis=0)

    class _Counts(dict[str, int]):
        def get(self, stem: str, default: Any = 0) -> Any:
            column = lexicon.column(stem)
            known = column is not None and column < len(documents)
            return int(documents[column]) if known else default

    return rarity_of(_Counts(), len(papers_.ids))


def nearness(
    session: Session, index: VectorIndex | None, asked_of: Sequence[Asked], pages: Collection[int]
) -> Callable[[int, int], float | None]:
    """How near each of these papers is to the page that asked: the cosine of their vectors.

    A question has no vector of its own; that of its page says what it is about.
    """
    if index is None:
        return lambda page, one: None
    index.refresh(session)
    if not index.dim:
        return lambda page, one: None
    asker = {each.id: each.page for each in asked_of}
    every = sorted({*pages, *asker.values()})
    row = {page: at for at, page in enumerate(every)}
    vectors = index.matrix_for(session, every)

    def near(page: int, one: int) -> float | None:
        some, other = vectors[row[page]], vectors[row[asker[one]]]
        return float(some @ other) if some.any() and other.any() else None

    return near
