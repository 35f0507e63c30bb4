"""Questions as rows: what a page asks, how each stands, and what answered it.

How a question stands is the reader's word; where they said nothing, an accepted `answers` link that
names it makes it answered. So an undo of that decision opens it again by itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlmodel import Session, col, select

from app.domain import questions
from app.domain.identifiers import title_key
from app.domain.questions import Standing
from app.domain.records import (
    Decision,
    Link,
    LinkStatus,
    Origin,
    Page,
    Paper,
    Question,
    QuestionState,
    Relation,
)
from app.errors import NotFound
from app.store.db import LARGEST_ID, rows

PER_PAGE = 50


@dataclass(frozen=True)
class QuestionRow:
    """A question of a page. `state` is how it stands, `said` the reader's word alone.

    `day` is when it was asked, as far as that is known (ISO or ""). `by` is the (slug, title) of the
    page whose accepted link answers it, None without one.
    """

    id: int
    number: int
    text: str
    state: QuestionState
    said: QuestionState
    day: str
    withdrawn: bool
    page_id: int
    slug: str
    title: str
    by: tuple[str, str] | None = None


_ANSWERS = sa.and_(col(Link.relation) == Relation.ANSWERS, col(Link.status) == LinkStatus.ACCEPTED)
_IS_ANSWERED = (
    sa.exists().where(col(Link.question_id) == col(Question.id), _ANSWERS).correlate(Question)
)


def stands() -> Any:
    """How a question stands, as an expression over the table `question`."""
    answered = sa.and_(col(Question.state) == QuestionState.OPEN, _IS_ANSWERED)
    return sa.case(
        (answered, QuestionState.ANSWERED.value), else_=sa.cast(col(Question.state), sa.String)
    )


def is_open() -> Any:
    """Whether a question waits for its answer (open, or answered in part)."""
    return sa.and_(
        ~col(Question.withdrawn),
        col(Question.state) != QuestionState.ANSWERED,
        (col(Question.state) == QuestionState.PARTLY) | ~_IS_ANSWERED,
    )


_ASKED = sa.func.coalesce(
    sa.func.nullif(col(Question.day), ""),
    sa.func.nullif(col(Paper.came), ""),
    col(Paper.published),
    "",
)


def _rows(*where: Any) -> sa.Select[Any]:
    return (
        sa.select(
            col(Question.id),
            col(Question.number),
            col(Question.text),
            stands().label("stands"),
            col(Question.state),
            _ASKED.label("asked"),
            col(Question.withdrawn),
            col(Question.page_id),
            col(Page.slug),
            col(Page.title),
        )
        .join(Page, col(Page.id) == col(Question.page_id))
        .outerjoin(Paper, col(Paper.page_id) == col(Question.page_id))
        .where(*where)
    )


def _read(session: Session, statement: sa.Select[Any], **values: Any) -> list[QuestionRow]:
    found = rows(session, statement, **values)
    by = answered_by(session, [row.id for row in found if row.stands != QuestionState.OPEN])
    return [
        QuestionRow(
            id=row.id,
            number=row.number,
            text=row.text,
            state=QuestionState(row.stands),
            said=row.state,
            day=row.asked,
            withdrawn=row.withdrawn,
            page_id=row.page_id,
            slug=row.slug,
            title=row.title,
            by=by.get(row.id),
        )
        for row in found
    ]


def answered_by(session: Session, question_ids: Sequence[int]) -> dict[int, tuple[str, str]]:
    """The page that answers each of these questions, by accepted link; of several the newest link."""
    if not question_ids:
        return {}
    found = rows(session, _BY, ids=list(question_ids))
    return {row.question_id: (row.slug, row.title) for row in found}


_BY = (
    sa.select(col(Link.question_id), col(Page.slug), col(Page.title))
    .join(Page, col(Page.id) == col(Link.source_id))
    .where(col(Link.question_id).in_(sa.bindparam("ids", expanding=True)), _ANSWERS)
    .order_by(col(Link.id))
)


def of_page(session: Session, page_id: int) -> list[QuestionRow]:
    """What a page asks, in its order; two statements."""
    return _read(session, _OF_PAGE, page=page_id)


_OF_PAGE = _rows(col(Question.page_id) == sa.bindparam("page")).order_by(col(Question.number))


def open_of(session: Session, page_ids: Iterable[int]) -> list[QuestionRow]:
    """The questions of these pages that still wait for an answer, by page and number."""
    ids = sorted(set(page_ids))
    found: list[QuestionRow] = []
    for start in range(0, len(ids), 1_000):
        found += _read(session, _OPEN_OF, ids=ids[start : start + 1_000])
    return found


_OPEN_OF = _rows(
    col(Question.page_id).in_(sa.bindparam("ids", expanding=True)), is_open()
).order_by(col(Question.page_id), col(Question.number))


def of_thread(session: Session, page_id: int) -> list[QuestionRow]:
    """What a thread and its accepted members ask, by title of the page and number; two statements."""
    return _read(session, _OF_THREAD, page=page_id)


def _in_thread() -> Any:
    page: sa.BindParameter[int] = sa.bindparam("page")
    members = sa.select(col(Link.source_id)).where(
        col(Link.target_id) == page,
        col(Link.relation) == Relation.PART_OF,
        col(Link.status) == LinkStatus.ACCEPTED,
    )
    raised = col(Question.page_id)
    return raised.in_(members) | (raised == page)


_OF_THREAD = _rows(_in_thread(), ~col(Question.withdrawn)).order_by(
    col(Page.title), col(Question.number)
)


def get(session: Session, question_id: int) -> Question:
    """Raises NotFound."""
    found = session.get(Question, question_id) if 0 < question_id <= LARGEST_ID else None
    if found is None:
        raise NotFound("There is no such question any more: the text that asked it was changed.")
    return found


def row(session: Session, question_id: int) -> QuestionRow:
    """Raises NotFound."""
    get(session, question_id)
    return _read(session, _rows(col(Question.id) == question_id))[0]


# ---------------------------------------------------------------- lists


def listed(
    session: Session,
    *,
    state: QuestionState | None = None,
    thread: str = "",
    concept: str = "",
    before: int = 0,
    limit: int = PER_PAGE,
) -> list[QuestionRow]:
    """Questions, the newest first, of one state or all, whatever was withdrawn left out.

    `thread` and `concept` are slugs: what the page itself and its accepted members ask, or the pages
    about it. `before` is the id of the last one shown.
    """
    where: list[Any] = [~col(Question.withdrawn)]
    if state is not None:
        where.append(stands() == state.value)
    for slug, relation in ((thread, Relation.PART_OF), (concept, Relation.ABOUT)):
        if slug:
            where.append(col(Question.page_id).in_(_belonging(slug, relation)))
    if before:
        where.append(col(Question.id) < before)
    return _read(session, _rows(*where).order_by(col(Question.id).desc()).limit(limit))


def _belonging(slug: str, relation: Relation) -> Any:
    page = sa.select(col(Page.id)).where(col(Page.slug) == slug)
    members = sa.select(col(Link.source_id)).where(
        col(Link.target_id).in_(page),
        col(Link.relation) == relation,
        col(Link.status) == LinkStatus.ACCEPTED,
    )
    return sa.union_all(page, members)


def counts(session: Session) -> dict[QuestionState, int]:
    """How many questions stand how, without what was withdrawn. Every question is looked at."""
    found = dict.fromkeys(QuestionState, 0)
    for row in rows(session, _COUNTS):
        found[QuestionState(row.stands)] = row.number
    return found


_EACH = sa.select(stands().label("stands")).where(~col(Question.withdrawn)).subquery()
_COUNTS = sa.select(_EACH.c.stands, sa.func.count().label("number")).group_by(_EACH.c.stands)


# ---------------------------------------------------------------- in step with the text


def follow(session: Session, page_id: int, body: str, *, fresh: bool = False) -> None:
    """Bring the questions of a page in step with those its text lists. Part of the write path.

    Of one that went, what was decided stays; a waiting proposal that would answer it goes with it.
    """
    wanted = questions.asked(body) if questions.poses(body) else []
    if fresh:
        _add(session, page_id, wanted, in_text=True)
        return
    standing = {each.id or 0: each for each in session.exec(_standing(page_id))}
    if not wanted and not any(each.in_text for each in standing.values()):
        return
    decided = _decided(session, list(standing))
    steps = questions.in_step(
        [
            Standing(
                id=one,
                text=each.text,
                in_text=each.in_text,
                kept=each.state != QuestionState.OPEN or one in decided,
                withdrawn=each.withdrawn,
            )
            for one, each in standing.items()
        ],
        wanted,
    )
    for one, text in steps.reworded.items():
        standing[one].text, standing[one].in_text, standing[one].withdrawn = text, True, False
        session.add(standing[one])
    if left := [*steps.withdrawn, *steps.gone]:
        waiting = _undecided_proposals(left)
        session.connection().execute(sa.delete(Link).where(col(Link.id).in_(waiting)))
    for one in steps.withdrawn:
        standing[one].withdrawn = True
        session.add(standing[one])
    for one in steps.gone:
        session.delete(standing[one])
    session.flush()
    _add(session, page_id, steps.new, in_text=True)


def asking(session: Session, page_ids: Sequence[int]) -> set[int]:
    """Which of these pages have questions."""
    asked = sa.select(col(Question.page_id)).where(col(Question.page_id).in_(page_ids)).distinct()
    return set(session.connection().execute(asked).scalars())


def reword(session: Session, page_id: int, before: str, body: str) -> None:
    """Let the questions of a text be the same ones in a text that only writes its links otherwise."""
    if not questions.poses(before):
        return
    old, new = questions.asked(before), questions.asked(body)
    if len(old) != len(new):
        return  # two became one: `follow` finds which
    said = {one: other for one, other in zip(old, new, strict=True) if one != other}
    if said:
        for each in session.exec(_standing(page_id)):
            each.text = said.get(each.text, each.text)
            session.add(each)
        session.flush()


def _standing(page_id: int) -> Any:
    return select(Question).where(Question.page_id == page_id).order_by(col(Question.number))


def _decided(session: Session, question_ids: Sequence[int]) -> set[int]:
    """Those of which a person decided whether something answers them."""
    if not question_ids:
        return set()
    found = session.connection().execute(
        sa.select(col(Link.question_id)).where(
            col(Link.question_id).in_(question_ids),
            (col(Link.status) != LinkStatus.PROPOSED) | _HAS_DECISIONS,
        )
    )
    return {one for (one,) in found if one is not None}


_HAS_DECISIONS = sa.exists().where(col(Decision.link_id) == col(Link.id)).correlate(Link)


def _undecided_proposals(question_ids: Sequence[int]) -> Any:
    return sa.select(col(Link.id)).where(
        col(Link.question_id).in_(question_ids),
        col(Link.status) == LinkStatus.PROPOSED,
        col(Link.origin) == Origin.LINKER,
        ~_HAS_DECISIONS,
    )


def add(session: Session, page_id: int, texts: Iterable[str], *, day: str = "") -> int:
    """Questions of a page that do not stand in its text; how many it did not have before."""
    known = {title_key(each.text) for each in session.exec(_standing(page_id))}
    new = []
    for text in texts:
        if text.strip() and title_key(text) not in known:
            known.add(title_key(text))
            new.append(text)
    _add(session, page_id, new, in_text=False, day=day)
    return len(new)


def called(session: Session, page_id: int, text: str) -> Question | None:
    """The question of a page that has this text, as texts are compared."""
    key = title_key(text)
    every = session.exec(_standing(page_id))
    return next((each for each in every if title_key(each.text) == key), None)


def _add(
    session: Session, page_id: int, texts: Sequence[str], *, in_text: bool, day: str = ""
) -> None:
    if not texts:
        return
    last = sa.select(sa.func.max(col(Question.number))).where(col(Question.page_id) == page_id)
    number = session.scalar(last) or 0
    for place, text in enumerate(texts, start=1):
        session.add(
            Question(page_id=page_id, number=number + place, text=text, day=day, in_text=in_text)
        )
    session.flush()
