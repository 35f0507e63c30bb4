"""What an act made, and whether anybody or anything else had to do with it since."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlmodel import Session, col

from app.domain.records import (
    GONE,
    Act,
    ActKind,
    AuthorKind,
    Change,
    Decision,
    Item,
    Link,
    LinkStatus,
    Listing,
    ListingPaper,
    LooseLink,
    Mention,
    Origin,
    Page,
    Paper,
    Prediction,
    PredictionState,
    Question,
    QuestionState,
    Revision,
    Rule,
    Thread,
    ThreadStatus,
    VaultConflict,
)
from app.store import pages
from app.store.remembered import chunks


class Why(StrEnum):
    """Why something that an act made stays when the act is undone."""

    EDITED = "edited"
    DECIDED = "decided"
    TOLD = "told"
    A_FILE = "a file"


def made_by(session: Session, act_id: int) -> list[int]:
    """The pages that an act made and that are still pages, in the order it made them."""
    statement = (
        sa.select(col(Revision.page_id))
        .join(Page, col(Page.id) == col(Revision.page_id))
        .where(
            col(Revision.act_id) == act_id, col(Revision.number) == 1, col(Page.kind).not_in(GONE)
        )
        .order_by(col(Revision.id))
    )
    return list(session.connection().execute(statement).scalars())


def since(session: Session, act_id: int, page_ids: Sequence[int]) -> dict[int, Why]:
    """Which of these pages were worked on by people, or told of by others, since the act made them."""
    mine, found = set(page_ids), dict[int, Why]()
    for some in chunks(page_ids):
        for why, statement in _signs(act_id, some):
            for page_id in session.connection().execute(statement).scalars():
                if page_id in mine:
                    found.setdefault(page_id, why)
    return found


def _other(column: Any, act_id: int) -> sa.ColumnElement[bool]:
    return sa.or_(column.is_(None), column != act_id)


def _written(act_id: int) -> tuple[sa.ColumnElement[bool], ...]:
    """Of revisions: not of the act, and of none that was undone, nor of an undo."""
    undone = sa.exists().where(
        col(Act.id) == col(Revision.act_id), col(Act.undone) | (col(Act.kind) == ActKind.UNDO)
    )
    return _other(col(Revision.act_id), act_id), ~undone.correlate(Revision)


def _stands(act_id: int) -> tuple[Any, ...]:
    """Of decisions: by a person, not of the act, and not undone."""
    return (
        _other(col(Decision.act_id), act_id),
        col(Decision.who) == "person",
        col(Decision.undone).is_(False),
        col(Decision.undoes_id).is_(None),
    )


def _signs(act_id: int, some: Sequence[int]) -> Iterator[tuple[Why, sa.Select[Any]]]:
    """Statements that select the ids of pages, by what they are a sign of."""
    yield (
        Why.EDITED,
        sa.select(col(Revision.page_id)).where(
            col(Revision.page_id).in_(some),
            *_written(act_id),
            *pages.written_by_people(),
        ),
    )
    for table, condition in (
        (Question, col(Question.state) != QuestionState.OPEN),
        (Prediction, col(Prediction.state) != PredictionState.OPEN),
        (Thread, col(Thread.status) != ThreadStatus.OPEN),
    ):
        here: Any = table.page_id
        yield Why.EDITED, sa.select(here).where(here.in_(some), condition)
    # Its file says something else, that nobody has put together with it yet.
    yield (
        Why.EDITED,
        sa.select(col(VaultConflict.page_id)).where(col(VaultConflict.page_id).in_(some)),
    )
    for side in (col(Link.source_id), col(Link.target_id)):
        yield (
            Why.DECIDED,
            sa.select(side)
            .join(Decision, col(Decision.link_id) == col(Link.id))
            .where(side.in_(some), *_stands(act_id)),
        )
        yield (
            Why.TOLD,
            sa.select(side).where(
                side.in_(some),
                _other(col(Link.act_id), act_id),
                col(Link.origin) == Origin.IMPORT,
                col(Link.status) == LinkStatus.ACCEPTED,
            ),
        )
    for column in (col(Change.source_id), col(Change.target_id)):
        yield (
            Why.DECIDED,
            sa.select(column)
            .join(Decision, col(Decision.change_id) == col(Change.id))
            .where(column.in_(some), *_stands(act_id)),
        )
    yield (
        Why.DECIDED,
        sa.select(col(Paper.page_id))
        .join(Decision, col(Decision.paper_id) == col(Paper.id))
        .where(col(Paper.page_id).in_(some), *_stands(act_id)),
    )
    yield Why.DECIDED, sa.select(col(Rule.concept_id)).where(col(Rule.concept_id).in_(some))
    yield (
        Why.TOLD,
        sa.select(col(Revision.page_id)).where(
            col(Revision.page_id).in_(some),
            *_written(act_id),
            col(Revision.author_kind) == AuthorKind.IMPORT,
        ),
    )
    yield (
        Why.TOLD,
        sa.select(col(Item.page_id)).where(
            col(Item.page_id).in_(some), _other(col(Item.act_id), act_id)
        ),
    )


def papers_alone(session: Session, act_id: int, gone: Collection[int]) -> list[int]:
    """The papers that an act brought, and that nothing else has to do with; `gone` are pages that go."""
    rows = session.connection().execute(
        sa.select(col(Paper.id), col(Paper.page_id)).where(col(Paper.act_id) == act_id)
    )
    going = set(gone)
    alone = {paper or 0 for paper, page in rows if page is None or page in going}
    for some in chunks(sorted(alone)):
        for statement in _else_told(act_id, some):
            alone.difference_update(session.connection().execute(statement).scalars())
        said = sa.select(col(LooseLink.paper_id), col(LooseLink.source_id)).where(
            col(LooseLink.paper_id).in_(some)
        )
        for paper_id, page_id in session.connection().execute(said):
            if page_id not in going:
                alone.discard(paper_id or 0)
    return sorted(alone)


def _else_told(act_id: int, some: Sequence[int]) -> Iterator[sa.Select[Any]]:
    """Statements that select the ids of papers that something else has to do with."""
    yield sa.select(col(Decision.paper_id)).where(
        col(Decision.paper_id).in_(some),
        _other(col(Decision.act_id), act_id),
        col(Decision.undone).is_(False),
        col(Decision.undoes_id).is_(None),
    )
    yield (
        sa.select(col(Mention.paper_id))
        .join(Item, col(Item.id) == col(Mention.item_id))
        .where(col(Mention.paper_id).in_(some), _other(col(Item.act_id), act_id))
    )
    yield sa.select(col(Item.paper_id)).where(
        col(Item.paper_id).in_(some), _other(col(Item.act_id), act_id)
    )
    yield (
        sa.select(col(ListingPaper.paper_id))
        .join(Listing, col(Listing.day) == col(ListingPaper.day))
        .join(Item, col(Item.id) == col(Listing.item_id))
        .where(col(ListingPaper.paper_id).in_(some), _other(col(Item.act_id), act_id))
    )
