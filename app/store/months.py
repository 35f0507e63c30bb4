"""What a month left behind: the facts that its overview is told from, in a fixed number of statements.

A month is written as text, `2026-05`; its days are from `2026-05-01` to `2026-05-31`, and what is known
by month alone (`2026-05`) counts too. Pages are counted by the moments they were written at, between
`begin` and `end`, where the reader's days begin and end.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy.orm import aliased
from sqlmodel import Session, col

from app.domain import months
from app.domain.months import (
    Asked,
    Best,
    Day,
    Grown,
    Joined,
    Kept,
    Month,
    Predicted,
    Ref,
    Tension,
    first_and_last,
    week_of,
    weeks_of,
)
from app.domain.records import (
    Assessment,
    Digest,
    Identifier,
    Link,
    LinkStatus,
    Listing,
    ListingPaper,
    Page,
    PageKind,
    Paper,
    PaperState,
    Prediction,
    PredictionState,
    Question,
    Relation,
    Topic,
    choice,
)
from app.domain.tiers import CROSS_SOURCE
from app.store import ledger, listings, papers, threads
from app.store.db import rows

_FIRST: sa.BindParameter[str] = sa.bindparam("first")
_LAST: sa.BindParameter[str] = sa.bindparam("last")
_CROSS_RISES = (
    2  # by which the odds count of a paper that two sources spoke of: a mark of relevance
)
_LOOKED_AT = 60  # the best papers, among which those rise


def facts(
    session: Session, month: str, *, begin: datetime, end: datetime, until: str = ""
) -> Month:
    """All that is told of a month; up to the day `until` (ISO) when it is not over."""
    between = {"first": month, "last": until or f"{month}-31"}
    grown = _grown(session, month, between)
    made, made_count = _predicted(session, _MADE, between, months.PREDICTIONS)
    due, due_count = _predicted(
        session, _DUE, _due_within(month, between, running=bool(until)), months.PREDICTIONS
    )
    resolved, resolved_count = _predicted(session, _RESOLVED, between, 1000)
    answered, answered_count = _cut(rows(session, _ANSWERED, **between), months.ANSWERED)
    asked = {row.text: row for row in reversed(rows(session, _OPENED, **between))}
    opened, opened_count = _cut(list(reversed(asked.values())), months.OPENED)
    tensions, tension_count = _cut(rows(session, _TENSIONS, **between), months.TENSIONS)
    found_threads, thread_count = _new(session, PageKind.THREAD, begin, end)
    found_concepts, concept_count = _new(session, PageKind.CONCEPT, begin, end)
    days = _days(session, month, until)
    kept = _kept(session, month, between)
    listed = rows(session, _PAPERS_LISTED, **between)[0][0]
    return Month(
        month=month,
        until=until,
        grown=grown[: months.GROWN],
        threads_grown=len(grown),
        new_threads=found_threads,
        new_concepts=found_concepts,
        kept=kept,
        best=_best(session, between),
        answered=tuple(
            Asked(
                row.text,
                row.number,
                Ref(row.asker_title, row.asker_slug),
                row.moved,
                Ref(row.title, row.slug),
            )
            for row in answered
        ),
        opened=tuple(
            Asked(row.text, row.number, Ref(row.title, row.slug), row.moved) for row in opened
        ),
        made=made,
        due=due,
        resolved=resolved,
        tensions=tuple(
            Tension(
                Ref(row.title, row.slug), Ref(row.other_title, row.other_slug), _said(row.evidence)
            )
            for row in tensions
        ),
        days=days,
        counts={
            "answered": answered_count,
            "opened": opened_count,
            "made": made_count,
            "due": due_count,
            "resolved": resolved_count,
            "tensions": tension_count,
            "new_threads": thread_count,
            "new_concepts": concept_count,
            "listed": listed,
        },
        ledger=_ledger(session, month, between, begin, end, listed, kept),
    )


def beside(session: Session, month: str) -> tuple[str, str]:
    """The months before and after this one in which something came in; "" for none."""
    row = rows(session, _BESIDE, first=f"{month}-01", last=f"{month}-99")[0]
    before = max((each for each in row[:2] if each), default="")
    after = min((each for each in row[2:] if each), default="")
    return before[:7], after[:7]


def newest(session: Session) -> str:
    """The newest month in which something came in; "" for none."""
    before, _ = beside(session, "9999-12")
    return before


def months_with_days(session: Session, *, before: str) -> list[str]:
    """Every month before this one with a digest of a day or a listing, oldest first."""
    return [row.month for row in rows(session, _WITH_DAYS, before=before)]


def is_known(session: Session, month: str) -> bool:
    """Whether a month has a digest, its own or of a day, or a listing."""
    return bool(rows(session, _IS_KNOWN, first=month, last=f"{month}-99"))


def has_listing(session: Session, month: str) -> bool:
    """Whether a listing came in during a month: then /triage has a page of it too."""
    return bool(rows(session, _LISTED, first=f"{month}-01", last=f"{month}-31"))


# ---------------------------------------------------------------- threads and pages


def _grown(session: Session, month: str, between: dict[str, str]) -> tuple[Grown, ...]:
    """Threads that papers joined, those that grew most first."""
    _, last = first_and_last(month)
    found = []
    for row in threads.all_threads(session, today=last):
        joined = sum(
            number
            for day, number in row.recent.items()
            if between["first"] <= day <= between["last"]
        )
        if joined:
            found.append((joined, row))
    found.sort(key=lambda each: (-each[0], -each[1].numbers.papers, each[1].title.casefold()))
    newest = _members(session, [row.page_id for _, row in found[: months.GROWN]], between)
    return tuple(
        Grown(Ref(row.title, row.slug), joined, row.numbers.papers, tuple(newest[row.page_id]))
        for joined, row in found
    )


def _members(
    session: Session, thread_ids: Sequence[int], between: dict[str, str]
) -> dict[int, list[Joined]]:
    """The papers that joined last, thread by thread."""
    found: dict[int, list[Joined]] = defaultdict(list)
    for row in rows(session, _JOINED, threads=list(thread_ids), **between) if thread_ids else ():
        if len(found[row.target_id]) < months.MEMBERS:
            paper = Ref(row.title, row.slug)
            found[row.target_id].append(Joined(paper, row.moved, row.note))
    return found


_MOVED = sa.func.coalesce(
    sa.func.nullif(col(Link.day), ""), sa.func.nullif(col(Paper.published), ""), col(Paper.came), ""
)
_JOINED = (
    sa.select(
        col(Link.target_id), col(Page.slug), col(Page.title), col(Link.note), _MOVED.label("moved")
    )
    .select_from(Link)
    .join(Page, col(Page.id) == col(Link.source_id))
    .outerjoin(Paper, col(Paper.page_id) == col(Link.source_id))
    .where(
        col(Link.target_id).in_(sa.bindparam("threads", expanding=True)),
        col(Link.relation) == Relation.PART_OF,
        col(Link.status) == LinkStatus.ACCEPTED,
        _MOVED.between(_FIRST, _LAST),
    )
    .order_by(_MOVED.desc(), col(Link.id).desc())
)


def _new(
    session: Session, kind: PageKind, begin: datetime, end: datetime
) -> tuple[tuple[Ref, ...], int]:
    """Pages of a kind that were written in a month, in order of their titles, and how many."""
    found, count = _cut(rows(session, _CREATED_OF, kind=kind, begin=begin, end=end), months.NEW)
    return tuple(Ref(row.title, row.slug) for row in found), count


_WRITTEN = col(Page.created_at).between(sa.bindparam("begin"), sa.bindparam("end"))
_CREATED_OF = (
    sa.select(col(Page.title), col(Page.slug))
    .where(col(Page.kind) == sa.bindparam("kind", type_=choice(PageKind)), _WRITTEN)
    .order_by(col(Page.title_key))
)


# ---------------------------------------------------------------- papers


def _kept(session: Session, month: str, between: dict[str, str]) -> tuple[Kept, ...]:
    """Kept papers by topic and week, most first, those of no topic last."""
    weeks = len(weeks_of(month))
    found: dict[str, list[int]] = defaultdict(lambda: [0] * weeks)
    for topic, day, number in rows(session, _KEPT, **between):
        found[topic or ""][week_of(month, day)] += number
    ordered = sorted(
        found.items(), key=lambda each: (not each[0], -sum(each[1]), each[0].casefold())
    )
    return tuple(Kept(topic, tuple(numbers)) for topic, numbers in ordered)


_CAME = col(Paper.came).between(_FIRST, _LAST)
_KEPT = (
    sa.select(col(Topic.name), col(Paper.came), sa.func.count())
    .select_from(Paper)
    .outerjoin(Topic, col(Topic.id) == col(Paper.topic_id))
    .where(col(Paper.state) == PaperState.KEPT, _CAME)
    .group_by(col(Topic.name), col(Paper.came))
)


def _best(session: Session, between: dict[str, str]) -> tuple[Best, ...]:
    """The papers of a month that are likeliest kept; those that two sources spoke of rise."""
    found = rows(session, _MARKED, **between)
    ids = [row.id for row in found]
    sources = papers.sources_of(session, ids)

    def rank(row: Any) -> tuple[float, int]:
        rises = _CROSS_RISES if len(sources[row.id]) >= CROSS_SOURCE else 1
        return -rises * row.score / max(1 - row.score, 1e-9), row.id

    best = sorted(found, key=rank)[: months.BEST]
    urls = _addresses(session, [row.id for row in best if not row.slug])
    return tuple(
        Best(
            Ref(row.title, row.slug or "", urls.get(row.id, "")),
            row.came,
            row.relevance,
            row.novelty,
            tuple(sources[row.id]),
        )
        for row in best
    )


_NEWEST_MARKS = (
    sa.select(sa.func.max(col(Assessment.id)))
    .where(col(Assessment.paper_id) == col(Paper.id))
    .correlate(Paper)
    .scalar_subquery()
)
_TOP = (
    sa.select(col(Paper.id), col(Paper.score))
    .where(col(Paper.state) != PaperState.DROPPED, _CAME, col(Paper.score) > 0)
    .order_by(col(Paper.score).desc(), col(Paper.id))
    .limit(_LOOKED_AT)
    .subquery()
)
_MARKED = (
    sa.select(
        col(Paper.id),
        col(Paper.title),
        col(Paper.score),
        col(Paper.came),
        col(Page.slug),
        col(Assessment.relevance),
        col(Assessment.novelty),
    )
    .select_from(_TOP)
    .join(Paper, col(Paper.id) == _TOP.c.id)
    .outerjoin(Page, col(Page.id) == col(Paper.page_id))
    .outerjoin(Assessment, col(Assessment.id) == _NEWEST_MARKS)
)


def _addresses(session: Session, paper_ids: Sequence[int]) -> dict[int, str]:
    """Where papers without a page are read: arXiv, else by DOI."""
    urls: dict[int, str] = {}
    for paper_id, scheme, value in rows(session, _NAMED, ids=list(paper_ids)) if paper_ids else ():
        urls.setdefault(paper_id, _SITES[scheme] + quote(value, safe="/:;.,_-"))
    return urls


_SITES = {"arxiv": "https://arxiv.org/abs/", "doi": "https://doi.org/"}
_NAMED = (
    sa.select(col(Identifier.paper_id), col(Identifier.scheme), col(Identifier.value))
    .where(
        col(Identifier.paper_id).in_(sa.bindparam("ids", expanding=True)),
        col(Identifier.scheme).in_(sorted(_SITES)),
    )
    .order_by(col(Identifier.scheme), col(Identifier.id))
)


# ---------------------------------------------------------------- questions, predictions, tensions

_Asker, _Other = aliased(Page), aliased(Page)
_SOURCE_CAME = sa.func.coalesce(sa.func.nullif(col(Link.day), ""), col(Paper.came), "")
_BETWEEN_CAME = _SOURCE_CAME.between(_FIRST, _LAST)
_ANSWERED: Any = (
    sa.select(
        col(Question.text),
        col(Question.number),
        col(_Asker.title).label("asker_title"),
        col(_Asker.slug).label("asker_slug"),
        col(Page.title),
        col(Page.slug),
        _SOURCE_CAME.label("moved"),
    )
    .select_from(Link)
    .join(Question, col(Question.id) == col(Link.question_id))
    .join(_Asker, col(_Asker.id) == col(Question.page_id))
    .join(Page, col(Page.id) == col(Link.source_id))
    .outerjoin(Paper, col(Paper.page_id) == col(Link.source_id))
    .where(
        col(Link.relation) == Relation.ANSWERS,
        col(Link.status) == LinkStatus.ACCEPTED,
        _BETWEEN_CAME,
    )
    .order_by(_SOURCE_CAME, col(Link.id))
)
_RAISED = sa.func.coalesce(sa.func.nullif(col(Question.day), ""), col(Paper.came), "")
_OPENED = (
    sa.select(
        col(Question.text),
        col(Question.number),
        col(Page.title),
        col(Page.slug),
        _RAISED.label("moved"),
    )
    .select_from(Question)
    .join(Page, col(Page.id) == col(Question.page_id))
    .outerjoin(Paper, col(Paper.page_id) == col(Question.page_id))
    .where(_RAISED.between(_FIRST, _LAST), ~col(Question.withdrawn))
    .order_by(_RAISED.desc(), col(Question.number), col(Question.id))
)
_TENSIONS = (
    sa.select(
        col(Page.title),
        col(Page.slug),
        col(_Other.title).label("other_title"),
        col(_Other.slug).label("other_slug"),
        col(Link.evidence),
    )
    .select_from(Link)
    .join(Page, col(Page.id) == col(Link.source_id))
    .join(_Other, col(_Other.id) == col(Link.target_id))
    .outerjoin(Paper, col(Paper.page_id) == col(Link.source_id))
    .where(
        col(Link.relation) == Relation.CONTRADICTS,
        col(Link.status) == LinkStatus.ACCEPTED,
        _BETWEEN_CAME,
    )
    .order_by(_SOURCE_CAME, col(Link.id))
)


def _said(evidence: Iterable[dict[str, Any]]) -> str:
    return next((str(each["quotation"]) for each in evidence if each.get("quotation")), "")


def _predictions(*where: sa.ColumnElement[bool]) -> Any:
    return (
        sa.select(
            col(Prediction.text),
            col(Prediction.made),
            col(Prediction.due),
            col(Prediction.state),
            col(Prediction.resolved),
            col(Prediction.probability),
            col(Page.title),
            col(Page.slug),
        )
        .join(Page, col(Page.id) == col(Prediction.page_id))
        .where(*where)
        .order_by(col(Prediction.due), col(Prediction.id))
    )


_MADE = _predictions(col(Prediction.made).between(_FIRST, _LAST))
# A year is due on its last day.
_DUE = _predictions(
    col(Prediction.due).between(_FIRST, _LAST) | (col(Prediction.due) == sa.bindparam("year"))
)
_RESOLVED = _predictions(
    col(Prediction.resolved).between(_FIRST, _LAST), col(Prediction.state) != PredictionState.OPEN
)


def _due_within(month: str, between: dict[str, str], *, running: bool) -> dict[str, str]:
    """A month, or a year, is due on its last day: in a month that runs it is not due yet."""
    return {
        **between,
        "first": f"{month}-01" if running else month,
        "year": month[:4] if month.endswith("-12") and not running else "-",
    }


def _predicted(
    session: Session, statement: Any, values: dict[str, str], most: int
) -> tuple[tuple[Predicted, ...], int]:
    found, count = _cut(rows(session, statement, **values), most)
    return tuple(
        Predicted(
            row.text,
            Ref(row.title, row.slug),
            made=row.made,
            due=row.due,
            state=row.state,
            resolved=row.resolved,
            probability=row.probability,
        )
        for row in found
    ), count


def _cut(found: list[Any], most: int) -> tuple[list[Any], int]:
    return found[:most], len(found)


# ---------------------------------------------------------------- days and the ledger


def _days(session: Session, month: str, until: str) -> tuple[Day, ...]:
    """The days on which something came in, oldest first."""
    told = {row.day for row in rows(session, _TOLD, first=f"{month}-01", last=f"{month}-31")}
    listed = {row.day for row in listings.of_month(session, month)}
    counts = listings.counts(session, month)
    found = []
    for day in sorted(told | listed):
        if until and day > until:
            continue
        row = counts.get(day)
        found.append(
            Day(
                day,
                day in told,
                day in listed,
                papers=row.papers if row else 0,
                kept=row.kept if row else 0,
            )
        )
    return tuple(found)


def _ledger(
    session: Session,
    month: str,
    between: dict[str, str],
    begin: datetime,
    end: datetime,
    listed: int,
    kept: Sequence[Kept],
) -> dict[str, Any]:
    """What came in, what was written, and what it cost; counted, as in a day's digest."""
    told = ledger.counted(session, f"{month}-01", between["last"], begin=begin, end=end)
    return {"papers": {"listed": listed, "kept": sum(each.papers for each in kept)}} | told


_TOLD = sa.select(col(Digest.day)).where(
    col(Digest.day).between(_FIRST, _LAST), sa.func.length(col(Digest.day)) == 10
)
_PAPERS_LISTED = sa.select(sa.func.count(sa.distinct(col(ListingPaper.paper_id)))).where(
    col(ListingPaper.day).between(_FIRST, _LAST)
)


def _edge(table: Any, *, before: bool) -> Any:
    day = col(table.day)
    found = sa.func.max(day) if before else sa.func.min(day)
    return sa.select(found).where(day < _FIRST if before else day > _LAST).scalar_subquery()


_BESIDE = sa.select(
    *(_edge(table, before=before) for before in (True, False) for table in (Digest, Listing))
)
_MONTHS = sa.union(
    sa.select(sa.func.substr(col(Listing.day), 1, 7).label("month")),
    sa.select(sa.func.substr(col(Digest.day), 1, 7)).where(sa.func.length(col(Digest.day)) == 10),
).subquery()
_WITH_DAYS = (
    sa.select(_MONTHS.c.month)
    .where(_MONTHS.c.month < sa.bindparam("before"))
    .order_by(_MONTHS.c.month)
)
_IS_KNOWN = sa.union_all(
    *(
        sa.select(sa.literal(1)).where(col(table.day).between(_FIRST, _LAST))
        for table in (Digest, Listing)
    )
).limit(1)
_LISTED = sa.select(sa.literal(1)).where(col(Listing.day).between(_FIRST, _LAST)).limit(1)
