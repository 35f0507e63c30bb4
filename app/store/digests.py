"""The facts that a day's digest is told from, read in a fixed number of statements and then some for
each thread that is told.

A paper is of the day when its listing announced it as new and it is kept, or picked and not dropped;
when another source spoke of it that day; or when it came that day and was kept.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from typing import Any
from urllib.parse import quote

import sqlalchemy as sa
from sqlmodel import Session, col, select

from app.domain import summaries, telling
from app.domain.markdown import plain_text
from app.domain.predictions import deadline
from app.domain.records import (
    Digest,
    Done,
    Identifier,
    Item,
    Link,
    LinkStatus,
    Listing,
    Mention,
    Page,
    PageKind,
    Paper,
    PaperState,
    Prediction,
    PredictionState,
    PredictionTouch,
    Question,
    Relation,
    Source,
    SourceKind,
    Thread,
)
from app.domain.sentences import sentences
from app.domain.telling import (
    Answering,
    Day,
    Foretold,
    Joining,
    Known,
    OtherFact,
    PaperFact,
    Relating,
    Said,
    ThreadFact,
)
from app.store import assessments, ledger, listings, papers, threads
from app.store import questions as asked_of
from app.store.db import generations, rows, rows_of

NEAR_TOLD = 40  # papers of which it is told what they are most like
OTHERS = 40
_BODY = 2_000  # characters of a page that its gloss is looked for in
_DAY: sa.BindParameter[str] = sa.bindparam("day")
_IDS: sa.BindParameter[Any] = sa.bindparam("ids", expanding=True)
_STATES = (LinkStatus.ACCEPTED, LinkStatus.PROPOSED)


def of_day(session: Session, day: str) -> Digest | None:
    """The digest of a day or month, whoever told it."""
    return session.exec(select(Digest).where(Digest.day == day)).first()


def days_with_something(session: Session, *, until: str, limit: int) -> list[str]:
    """The days up to this one on which a listing came in or a source spoke of something, newest first."""
    listed: Any = sa.select(col(Listing.day).label("day"))
    spoken = sa.select(col(Mention.day)).where(sa.func.length(col(Mention.day)) == 10)
    every = sa.union(listed, spoken).subquery()
    statement = sa.select(every.c.day).where(every.c.day <= until).order_by(every.c.day.desc())
    return list(session.connection().execute(statement.limit(limit)).scalars())


def told(session: Session, days: Sequence[str]) -> dict[str, Digest]:
    """The digests of these days, by day."""
    statement = select(Digest).where(col(Digest.day).in_(list(days)))
    return {each.day: each for each in session.exec(statement)}


def seen(session: Session, step: str, subjects: Sequence[int]) -> dict[int, str]:
    """The state of the wiki in which a step last looked at each of these."""
    statement = sa.select(col(Done.subject_id), col(Done.seen)).where(
        col(Done.step) == step, col(Done.subject_id).in_(list(subjects))
    )
    return dict(session.connection().execute(statement).all())


def state(session: Session) -> str:
    """Changes with whatever a digest is told from. A page's own text does not count: it is told here."""
    counted = generations(session)
    tables = ("link", "paper", "prediction", "question")
    return ".".join(str(counted.get(rows_of(table), 0)) for table in tables)


def has_something(session: Session, day: str) -> bool:
    """Whether anything came in on a day: a listing, a mention, an item or a kept paper."""
    return any(
        session.connection().execute(statement, {"day": day}).first() for statement in _SOMETHING
    )


_SOMETHING = (
    sa.select(col(Listing.day)).where(col(Listing.day) == _DAY),
    sa.select(col(Mention.id)).where(col(Mention.day) == _DAY).limit(1),
    sa.select(col(Item.id))
    .where(col(Item.published) == _DAY, col(Item.page_id).is_not(None))
    .limit(1),
    sa.select(col(Paper.id))
    .where(col(Paper.came) == _DAY, col(Paper.state) == PaperState.KEPT)
    .limit(1),
)


# ---------------------------------------------------------------- all of it


def facts(session: Session, day: str, *, begin: datetime, end: datetime) -> Day:
    """All that is told of a day (ISO), whose moments are those from `begin` to `end`."""
    listing = session.get(Listing, day)
    listed = listings.papers_of(session, day)
    said = _said(session, day)
    wanted = {row.id for row in listed if _is_told(row)} | said.keys()
    wanted |= {row.id for row in rows(session, _KEPT, day=day)}
    found = rows(session, _PAPERS, ids=sorted(wanted)) if wanted else []
    told = _papers(session, day, found, said)
    pages = {row.page_id: row.id for row in found if row.page_id}
    every = [row for row in listed if not row.seen]
    return Day(
        day=day,
        papers=told,
        threads=_threads(session, day, pages),
        relations=_relations(session, pages),
        answers=_answers(session, pages),
        predictions=_predictions(session, day, pages),
        others=_others(session, day, begin),
        held=_held(session, pages),
        listed=(listing.fetched or len(listed)) if listing else None,
        # A page that came in tells what it selected and not what was new of all.
        new=0 if listing and listing.item_id and listing.kept is not None else len(every),
        picked=sum(bool(row.picked) for row in every),
        ledger=_ledger(session, day, listed, found, begin, end),
    )


def _is_told(row: Any) -> bool:
    if row.seen or row.state == PaperState.DROPPED:
        return False
    return row.state == PaperState.KEPT or bool(row.picked)


_KEPT = sa.select(col(Paper.id)).where(col(Paper.came) == _DAY, col(Paper.state) == PaperState.KEPT)
_PAPERS = (
    sa.select(
        col(Paper.id),
        col(Paper.title),
        col(Paper.state),
        col(Paper.score),
        col(Paper.page_id),
        col(Page.slug),
    )
    .outerjoin(Page, col(Page.id) == col(Paper.page_id))
    .where(col(Paper.id).in_(_IDS), col(Paper.state) != PaperState.DROPPED)
    .order_by(col(Paper.score).desc(), col(Paper.id))
)


def _said(session: Session, day: str) -> dict[int, list[Said]]:
    """What sources beside the listing said of papers on a day, by paper."""
    found: dict[int, list[Said]] = defaultdict(list)
    for row in rows(session, _SAID, day=day):
        said = Said(row.name, row.section, row.text, plain_text(row.why_it_matters))
        found[row.paper_id].append(said)
    return found


_SAID = (
    sa.select(
        col(Mention.paper_id),
        col(Mention.section),
        col(Mention.text),
        col(Mention.why_it_matters),
        col(Source.name),
    )
    .join(Item, col(Item.id) == col(Mention.item_id))
    .join(Source, col(Source.id) == col(Item.source_id))
    .where(
        col(Mention.day) == _DAY,
        col(Source.kind).not_in([SourceKind.LISTING, SourceKind.FILE]),
    )
    .order_by(col(Mention.id))
)


def _papers(
    session: Session, day: str, found: Sequence[Any], said: dict[int, list[Said]]
) -> tuple[PaperFact, ...]:
    ids = [row.id for row in found]
    texts = listings.texts(session, ids)
    marks = {row.id: row for row in rows(session, _MARKS, ids=ids)} if ids else {}
    sources = papers.sources_of(session, ids)
    names = _identifiers(session, ids)
    about = _concepts(session, [row.page_id for row in found if row.page_id])
    near = {row.id: listings.near(texts[row.id].evidence)[:3] for row in found[:NEAR_TOLD]}
    known = _known(session, {page for some in near.values() for page in some})
    open_questions: dict[int, list[str]] = defaultdict(list)
    pages = [row.page_id for row in found if row.page_id]
    for question in asked_of.open_of(session, pages):
        open_questions[question.page_id].append(question.text)
    told = []
    for row in found:
        text, mark = texts[row.id], marks.get(row.id)
        ref, read = names.get(row.id, (row.slug or "", ""))
        told.append(
            PaperFact(
                id=row.id,
                title=row.title,
                ref=ref,
                url=f"/w/{row.slug}" if row.slug else read or f"/inbox?day={day}",
                abstract=text.abstract,
                kept=row.state == PaperState.KEPT,
                score=row.score,
                relevance=mark.relevance if mark else None,
                novelty=mark.novelty if mark else None,
                topic=(mark.topic or "") if mark else "",
                criterion=_criterion(text.evidence),
                comment=_comment(text),
                scorer=text.scorer or "",
                tier=text.tier,
                tier_reason=text.tier_reason or "",
                sources=tuple(sources[row.id]),
                said=tuple(said.get(row.id, ())),
                near=tuple(known[page] for page in near.get(row.id, ()) if page in known),
                concepts=tuple(known for known, _ in about.get(row.page_id, ())),
                likely=frozenset(
                    known.ref for known, sure in about.get(row.page_id, ()) if not sure
                ),
                questions=tuple(open_questions.get(row.page_id, ())),
                diagram=_diagram(said.get(row.id, ())),
                read=read,
            )
        )
    return tuple(told)


_MARKS = listings.marks_of(_IDS)


def _criterion(evidence: Sequence[dict[str, Any]] | None) -> str:
    """The piece of a topic that a paper met."""
    found = (each for each in evidence or () if each.get("kind") == "criterion")
    return next((str(each.get("text", "")) for each in found), "")


def _comment(row: Any) -> str:
    """What a scorer other than the local one says of a paper's topic, else of the paper; whole."""
    if row.scorer in (None, assessments.LOCAL):
        return ""
    said = " ".join((row.topic_comment or row.comment or "").split())
    return said if said[-1:] in (".", "!", "?") and said[:1].isupper() else ""


def _diagram(said: Iterable[Said]) -> str:
    """A text diagram that a source drew: the first block of code in what it said."""
    for each in said:
        _, fence, rest = each.text.partition("```")
        if fence:
            inside = rest.partition("```")[0]
            drawn = inside.partition("\n")[2].rstrip()
            if "\n" in drawn:
                return drawn
    return ""


def _identifiers(session: Session, ids: Sequence[int]) -> dict[int, tuple[str, str]]:
    """How programs name papers, and where they are read: arXiv before DOI before others."""
    found: dict[int, tuple[str, str]] = {}
    for row in rows(session, _NAMES, ids=list(ids)) if ids else ():
        site = _SITES.get(row.scheme)
        url = site + quote(row.value, safe="/:;.,_-") if site else ""
        url = row.value if row.scheme == "url" and row.value.startswith("http") else url
        found.setdefault(row.paper_id, (f"{row.scheme}:{row.value}", url))
    return found


_SITES = {"arxiv": "https://arxiv.org/abs/", "doi": "https://doi.org/"}
_NAMES = (
    sa.select(col(Identifier.paper_id), col(Identifier.scheme), col(Identifier.value))
    .where(col(Identifier.paper_id).in_(_IDS))
    .order_by(col(Identifier.scheme), col(Identifier.id))
)


def _concepts(session: Session, pages: Sequence[int]) -> dict[int, list[tuple[Known, bool]]]:
    """The concepts that pages are about, and whether that was accepted or is suggested alone."""
    found: dict[int, list[tuple[Known, bool]]] = defaultdict(list)
    for row in rows(session, _ABOUT, ids=list(pages)) if pages else ():
        known = Known(row.title, f"/w/{row.slug}", row.slug)
        found[row.source_id].append((known, row.status == LinkStatus.ACCEPTED))
    return found


_IS_ABOUT = (
    col(Link.relation) == Relation.ABOUT,
    col(Link.status) == LinkStatus.ACCEPTED,
)
_ABOUT = (
    sa.select(col(Link.source_id), col(Page.slug), col(Page.title), col(Link.status))
    .join(Page, col(Page.id) == col(Link.target_id))
    .where(
        col(Link.source_id).in_(_IDS),
        col(Link.relation) == Relation.ABOUT,
        col(Link.status).in_(_STATES),
    )
    .order_by(col(Link.source_id), col(Page.title))
)


def _held(session: Session, pages: dict[int, int]) -> dict[str, int]:
    """How many other papers the concepts of these pages have, by slug."""
    if not pages:
        return {}
    mine = sa.select(col(Link.target_id)).where(col(Link.source_id).in_(_IDS), *_IS_ABOUT)
    statement = (
        sa.select(col(Page.slug), sa.func.count())
        .join(Link, col(Link.target_id) == col(Page.id))
        .where(col(Page.id).in_(mine), col(Link.source_id).not_in(_IDS), *_IS_ABOUT)
        .group_by(col(Page.slug))
    )
    return dict(rows(session, statement, ids=sorted(pages)))


# ---------------------------------------------------------------- pages that were there before


def _known(session: Session, page_ids: Iterable[int]) -> dict[int, Known]:
    """Pages as they are named in a digest: title, address, when they came, and what they say."""
    ids = sorted(set(page_ids))
    found = {}
    for row in rows(session, _KNOWN, ids=ids) if ids else ():
        gloss = _gloss(row)
        day = row.came or row.published or ""
        found[row.id] = Known(row.title, f"/w/{row.slug}", row.slug, day, gloss)
    return found


def _gloss(row: Any) -> str:
    """One sentence that says what a page is: what its paper does, its claim, or its first words."""
    if row.abstract:
        told = summaries.extract(row.title, row.abstract)
        for each in told.sentences if told else ():
            if each.role == summaries.Role.APPROACH:
                return " ".join(each.text.split())
    if row.claim:
        return str(row.claim)
    first = sentences(plain_text(row.body))[:1]
    whole = first and first[0][-1:] in ".!?" and len(row.body) > len(first[0])
    return " ".join(first[0].split()) if whole else ""


_KNOWN = (
    sa.select(
        col(Page.id),
        col(Page.slug),
        col(Page.title),
        col(Paper.came),
        col(Paper.published),
        col(Paper.abstract),
        col(Thread.claim),
        sa.func.substr(col(Page.body), 1, _BODY).label("body"),
    )
    .outerjoin(Paper, col(Paper.page_id) == col(Page.id))
    .outerjoin(Thread, col(Thread.page_id) == col(Page.id))
    .where(col(Page.id).in_(_IDS))
)


# ---------------------------------------------------------------- threads, relations, answers


def _threads(session: Session, day: str, pages: dict[int, int]) -> tuple[ThreadFact, ...]:
    """The threads that papers of the day are in, or might be, as they stood on that day."""
    if not pages:
        return ()
    joined: dict[int, list[Joining]] = defaultdict(list)
    for row in rows(session, _JOINED, ids=sorted(pages), day=day):
        joined[row.target_id].append(
            Joining(
                pages[row.source_id],
                row.role.value if row.role else "",
                row.note,
                suggested=row.status == LinkStatus.PROPOSED,
            )
        )
    if not joined:
        return ()
    every = {
        row.page_id: row for row in threads.all_threads(session, today=date.fromisoformat(day))
    }
    roles = threads.roles(session, list(joined), day=day)
    told = []
    for page_id, some in joined.items():
        thread = every.get(page_id)
        if thread is None:
            continue
        before = [
            each
            for each in threads.members_before(
                session, page_id, day, limit=telling.EARLIER_TOLD + len(some)
            )
            if each.page_id not in pages
        ]
        told.append(
            ThreadFact(
                title=thread.title,
                slug=thread.slug,
                claim=thread.claim,
                papers=thread.numbers.papers,
                since=thread.numbers.since,
                joined=tuple(some),
                earlier=tuple(
                    (
                        Known(
                            each.paper_title,
                            f"/w/{each.paper_slug}",
                            each.paper_slug,
                            each.day,
                            each.note,
                        ),
                        each.role,
                    )
                    for each in before[: telling.EARLIER_TOLD]
                ),
                questions=tuple(row.text for row in asked_of.open_of(session, [page_id])),
                roles=roles.get(page_id, {}),
            )
        )
    return tuple(told)


_LINKED = (
    col(Link.source_id).in_(_IDS),
    col(Link.status).in_(_STATES),
)
_JOINED = (
    sa.select(
        col(Link.source_id), col(Link.target_id), col(Link.role), col(Link.note), col(Link.status)
    )
    .outerjoin(Paper, col(Paper.page_id) == col(Link.source_id))
    .where(
        *_LINKED,
        col(Link.relation) == Relation.PART_OF,
        # Who joined later is not told on this day: the numbers beside it would leave it out.
        sa.or_(
            col(Link.status) != LinkStatus.ACCEPTED,
            threads.membership() <= sa.bindparam("day"),
        ),
    )
    .order_by(col(Link.confidence).desc(), col(Link.id))
)


def _relations(session: Session, pages: dict[int, int]) -> tuple[Relating, ...]:
    found = rows(session, _RELATED, ids=sorted(pages)) if pages else []
    known = _known(session, (row.target_id for row in found))
    return tuple(
        Relating(
            pages[row.source_id],
            row.relation.value,
            known[row.target_id],
            _quotation(row.evidence),
            suggested=row.status == LinkStatus.PROPOSED,
        )
        for row in found
        if row.target_id in known
    )


_RELATED: Any = (
    sa.select(
        col(Link.source_id),
        col(Link.target_id),
        col(Link.relation),
        col(Link.status),
        col(Link.evidence),
    )
    .join(Page, col(Page.id) == col(Link.target_id))
    .where(
        *_LINKED,
        col(Link.relation).in_([Relation.CONFIRMS, Relation.CONTRADICTS, Relation.EXTENDS]),
        col(Page.kind) == PageKind.PAPER,
    )
    .order_by(col(Link.confidence).desc(), col(Link.id))
)


def _quotation(evidence: Sequence[dict[str, Any]] | None) -> str:
    """The first quotation that is word for word and whole."""
    for each in evidence or ():
        said = " ".join(str(each.get("quotation", "")).split())
        if each.get("verbatim", True) and said[-1:] in (".", "!", "?") and said[:1].isupper():
            return said
    return ""


def _answers(session: Session, pages: dict[int, int]) -> tuple[Answering, ...]:
    found = rows(session, _ANSWERED, ids=sorted(pages)) if pages else []
    known = _known(session, (row.target_id for row in found))
    return tuple(
        Answering(
            pages[row.source_id],
            row.text,
            row.number,
            known[row.target_id],
            _quotation(row.evidence),
            suggested=row.status == LinkStatus.PROPOSED,
        )
        for row in found
        if row.target_id in known
    )


_ANSWERED: Any = (
    sa.select(
        col(Link.source_id),
        col(Link.target_id),
        col(Link.status),
        col(Link.evidence),
        col(Question.text),
        col(Question.number),
    )
    .join(Question, col(Question.id) == col(Link.question_id))
    .where(*_LINKED, col(Link.relation) == Relation.ANSWERS)
    .order_by(col(Link.confidence).desc(), col(Link.id))
)


# ---------------------------------------------------------------- predictions


def _predictions(session: Session, day: str, pages: dict[int, int]) -> tuple[Foretold, ...]:
    """Those that came due on the day, were judged or made on it, or that its papers bear on."""
    touched = rows(session, _TOUCHED, ids=sorted(pages)) if pages else []
    found = rows(session, _FORETOLD, day=day, begins=f"{day[:7]}")
    known = _known(session, (row.page_id for row in [*touched, *found]))
    told: dict[int, Foretold] = {}
    for row in touched:
        told[row.id] = _foretold(
            row, "touched", known, paper=pages[row.toucher], quotation=row.quotation
        )
    for row in found:
        falls_due = deadline(row.due) == date.fromisoformat(day)
        why = "due" if row.state == PredictionState.OPEN and falls_due else ""
        why = why or ("resolved" if row.resolved == day else "")
        why = why or ("made" if row.made == day else "")
        if why and row.id not in told:
            told[row.id] = _foretold(row, why, known)
    return tuple(told.values())


def _foretold(
    row: Any, why: str, known: dict[int, Known], *, paper: int | None = None, quotation: str = ""
) -> Foretold:
    return Foretold(
        row.text, known[row.page_id], row.due, why, row.state, paper=paper, quotation=quotation
    )


_OF_A_PREDICTION = (
    col(Prediction.id),
    col(Prediction.page_id),
    col(Prediction.text),
    col(Prediction.made),
    col(Prediction.due),
    col(Prediction.state),
    col(Prediction.resolved),
)
_TOUCHED: Any = (
    sa.select(
        *_OF_A_PREDICTION,
        col(PredictionTouch.page_id).label("toucher"),
        col(PredictionTouch.quotation),
    )
    .join(PredictionTouch, col(PredictionTouch.prediction_id) == col(Prediction.id))
    .where(
        col(PredictionTouch.page_id).in_(_IDS),
        col(PredictionTouch.dismissed).is_(False),
        col(Prediction.state) == PredictionState.OPEN,
    )
    .order_by(col(PredictionTouch.confidence).desc(), col(Prediction.id))
)
_FORETOLD = (
    sa.select(*_OF_A_PREDICTION)
    .where(
        (col(Prediction.made) == _DAY)
        | (col(Prediction.resolved) == _DAY)
        | (col(Prediction.due) == _DAY)
        | (col(Prediction.due) == sa.bindparam("begins"))
        | (col(Prediction.due) == sa.func.substr(_DAY, 1, 4))
    )
    .order_by(col(Prediction.due), col(Prediction.id))
)


# ---------------------------------------------------------------- what is no paper, and the ledger


def _others(session: Session, day: str, begin: datetime) -> tuple[OtherFact, ...]:
    """Articles and episodes that came in on a day, alone or among others from one source."""
    found = {row.slug: row for row in rows(session, _OTHERS, day=day, limit=OTHERS)}
    for row in rows(session, _COVERING, day=day, begin=begin, limit=OTHERS):
        found.setdefault(row.slug, row)
    return tuple(
        OtherFact(
            title=row.title,
            url=f"/w/{row.slug}",
            ref=row.slug,
            kind=row.kind.value,
            source="" if row.source_kind == SourceKind.FILE else row.name,
            sentence=_first_sentence(row.body),
        )
        for row in list(found.values())[:OTHERS]
    )


def _first_sentence(body: str) -> str:
    first = sentences(plain_text(body))[:1]
    whole = first and first[0][-1:] in ".!?" and 25 <= len(first[0]) <= 400
    return " ".join(first[0].split()) if whole else ""


_OTHERS: Any = (
    sa.select(
        col(Page.slug),
        col(Page.title),
        col(Page.kind),
        col(Source.name),
        col(Source.kind).label("source_kind"),
        sa.func.substr(col(Page.body), 1, _BODY).label("body"),
    )
    .join(Item, col(Item.page_id) == col(Page.id))
    .join(Source, col(Source.id) == col(Item.source_id))
    .where(
        col(Item.published) == _DAY,
        col(Page.kind).in_([PageKind.ARTICLE, PageKind.EPISODE]),
    )
    .order_by(col(Page.kind), col(Page.id))
    .limit(sa.bindparam("limit"))
)


# An episode has no item of its own where a show came in as one page: it is found by what it covers.
_COVERING: Any = (
    sa.select(
        col(Page.id),
        col(Page.slug),
        col(Page.title),
        col(Page.kind),
        sa.func.min(col(Source.name)).label("name"),
        sa.literal(SourceKind.PODCAST).label("source_kind"),
        sa.func.substr(col(Page.body), 1, _BODY).label("body"),
    )
    .join(Link, col(Link.source_id) == col(Page.id))
    .join(Paper, col(Paper.page_id) == col(Link.target_id))
    .join(Mention, col(Mention.paper_id) == col(Paper.id))
    .join(Item, col(Item.id) == col(Mention.item_id))
    .join(Source, col(Source.id) == col(Item.source_id))
    .where(
        col(Mention.day) == _DAY,
        col(Link.relation) == Relation.COVERS,
        col(Link.status) == LinkStatus.ACCEPTED,
        col(Page.kind).in_([PageKind.ARTICLE, PageKind.EPISODE]),
        col(Page.created_at) >= sa.bindparam("begin"),
        col(Source.kind) == SourceKind.PODCAST,
    )
    .group_by(col(Page.id), col(Page.slug), col(Page.title), col(Page.kind), col(Page.body))
    .order_by(col(Page.id))
    .limit(sa.bindparam("limit"))
)


def _ledger(
    session: Session,
    day: str,
    listed: Sequence[Any],
    told: Sequence[Any],
    begin: datetime,
    end: datetime,
) -> dict[str, Any]:
    states = {row.id: row.state for row in told} | {row.id: row.state for row in listed}
    numbers = {
        "listed": len(listed),
        "seen before": sum(bool(row.seen) for row in listed),
        "picked": sum(bool(row.picked) for row in listed if not row.seen),
        "kept": sum(state == PaperState.KEPT for state in states.values()),
        "dropped": sum(state == PaperState.DROPPED for state in states.values()),
    }
    links = {row[0].value: row[1] for row in rows(session, _LINKS, begin=begin, end=end)}
    counted = ledger.counted(session, day, day, begin=begin, end=end)
    for kinds in counted.get("pages", {}).values():
        kinds.pop(PageKind.DIGEST.value, None)  # this one among them, each time that it is told
    return {"papers": numbers, "links": links, **counted}


_LINKS = (
    sa.select(col(Link.status), sa.func.count())
    .where(
        col(Link.created_at) >= sa.bindparam("begin"),
        col(Link.created_at) < sa.bindparam("end"),
        col(Link.relation) != Relation.MENTIONS,
        col(Link.status).in_(_STATES),
    )
    .group_by(col(Link.status))
    .order_by(col(Link.status))
)
