"""Today: the newest day of the wiki, and every day before it. Also the phone's "More".

A day is told by its digest where there is one, else by its listing. Nothing here writes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import sqlalchemy as sa
from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response
from sqlmodel import Session, col, select

from app.bootstrap import App
from app.domain.digests import Item as Digested
from app.domain.digests import Section, SectionName, ledger_in_words
from app.domain.identifiers import whole_day
from app.domain.markdown import plain_text, sentences
from app.domain.records import (
    Assessment,
    Digest,
    Item,
    Link,
    LinkStatus,
    Listing,
    ListingPaper,
    Mention,
    Page,
    Paper,
    PaperState,
    Relation,
    RunState,
)
from app.errors import NotFound
from app.services import digest as service
from app.services import first_steps
from app.services.costs import at_most
from app.store import calls, links, mirror, pages, papers, runs, sources
from app.store import threads as threads_of
from app.store.calls import Sum
from app.store.threads import ThreadRow
from app.web.deps import Reads, TheApp, UnlessKnown, Writes, facts
from app.web.routes.inbox import addresses
from app.web.routes.page import page_context
from app.web.routes.threads import counted
from app.web.rows import due_rows
from app.web.templating import page as screen
from app.web.templating import plural, untagged

router = APIRouter(include_in_schema=False)

FIRST = 5  # papers of a listing that are worth reading first
ALSO = 100  # rows below them; a page may weigh 60 kB
MOVED = 6
SUMMARY = 500  # characters
FRAMING = 60  # words
LEDGER = 10  # numbers
_NO_DAY = "There is no such day. A day is written year, month, day: /today/2026-05-14."


@dataclass(frozen=True)
class Day:
    """A day as it stands in the wiki; at least one of the two is there, or nothing ever came in."""

    day: date
    digest: Digest | None = None
    listing: Listing | None = None


@dataclass(frozen=True)
class Entry:
    """A paper of a day, with what the digest says of it. `place` is its order in what it is from."""

    id: int
    state: PaperState
    score: float
    said: str = ""
    deep: bool = False
    place: int = 0


@router.get("/", dependencies=[UnlessKnown])
def today(request: Request, session: Reads, app: TheApp) -> Response:
    """The newest day there is; on a wiki without any, today."""
    newest, _ = _beside(session, _LATER_THAN_ANY)
    found = whole_day(newest or "")
    day = Day(app.today()) if found is None else _day(session, found)
    outage = sources.outage(session)
    if outage is not None:
        untagged(request)  # the next try moves with every one that fails
    return _shown(request, session, app, day, failed=_failed(session), outage=outage)


@router.get("/today/{day}", dependencies=[UnlessKnown])
def one_day(request: Request, session: Reads, app: TheApp, day: str) -> Response:
    """A day of the past. Raises NotFound for a day on which nothing came in."""
    wanted = whole_day(day)
    if wanted is None:
        raise NotFound(_NO_DAY)
    found = _day(session, wanted)
    if found.digest is None and found.listing is None:
        raise NotFound(f"Nothing came in on {wanted.day} {wanted:%B %Y}.")
    if found.digest and request.query_params.get("view") == "full":
        slug = session.scalar(sa.select(col(Page.slug)).where(col(Page.id) == found.digest.page_id))
        page = pages.head(session, slug or "")
        if page is not None:
            context = page_context(request, session, page)
            return screen(request, "pages/page.html", **context, days=_days_around(session, wanted))
    return _shown(request, session, app, found, failed=None)


def _days_around(session: Session, day: date) -> list[dict[str, str]]:
    """Ways out of a digest in full: the day in short, the days beside it, its file."""
    previous, following = _beside(session, day.isoformat())
    told = [
        ("In short", f"/today/{day}", ""),
        ("previous day", f"/today/{previous}" if previous else "", "prev"),
        ("next day", f"/today/{following}" if following else "", "next"),
        ("keep as a file", f"/today/{day}.html", ""),
    ]
    return [{"words": words, "url": url, "rel": rel} for words, url, rel in told if url]


@router.post("/today/{day}/tell")
def tell_again(session: Writes, app: TheApp, day: str) -> Response:
    """Tell a day's digest anew from what is stored now. Raises Conflict where it is not ours."""
    service.tell_again(session, day, zone=app.settings.zone, now=app.clock())
    return RedirectResponse(f"/today/{day}", 303)


@router.get("/more", dependencies=[UnlessKnown])
def more(request: Request) -> Response:
    """What the phone's bottom bar has no room for."""
    return screen(request, "more.html")


def _shown(
    request: Request,
    session: Session,
    app: App,
    day: Day,
    *,
    failed: dict[str, str] | None,
    outage: sources.Outage | None = None,
) -> Response:
    entries = _entries(session, day)
    first, others = _parted(day, entries)
    also = others[:ALSO]
    shown = [*first, *also]
    rows = _papers(session, [entry.id for entry in shown])
    page_ids = [row.page_id for row in rows.values() if row.page_id]
    around = _Around(
        day=day.day.isoformat(),
        rows=rows,
        urls=addresses(session, [row.id for row in rows.values() if not row.slug]),
        threads=threads_of.of_pages(session, page_ids),
        tensions=_tensions(session, page_ids),
        suggestions=_suggestions(session, page_ids),
    )
    previous, following = _beside(session, day.day.isoformat())
    kept = sum(entry.state == PaperState.KEPT for entry in entries)
    listing = day.listing
    # A page that came in tells what it selected; of a listing of our own the reader's word counts.
    selected = bool(listing and listing.item_id is not None and listing.kept is not None)
    known = facts(request)
    holds = known.get(session, "pages", lambda: pages.count(session), of=("page",))
    return screen(
        request,
        "today/page.html",
        day=day.day,
        previous=previous,
        next=following,
        kept=listing.kept if selected and listing else kept,
        scanned=listing.scanned if listing else None,
        best=max((entry.score for entry in entries if entry.score), default=None),
        framing=_short(day.digest.framing, FRAMING) if day.digest else "",
        first=[around.item(entry) for entry in first],
        also=[around.line(entry) for entry in also],
        # A digest that came in tells what it chose; one of our own also what only stands listed.
        all_kept=selected
        or bool(day.digest and not day.digest.teller)
        or all(e.state == PaperState.KEPT for e in also),
        moved=_moved(counted(request, session, app, day=day.day), day.day, any_time=not shown),
        selected=selected,
        holds=holds,
        waiting=known.get(session, "waiting", lambda: _waiting(session), of=("link", "paper"))
        | {"conflicts": mirror.conflict_count(session)},
        pace="",
        made=_made(session, day, left_out=len(others) - len(also)),
        full=f"/today/{day.day}?view=full" if day.digest else "",
        tells=bool(day.digest or day.listing) and service.is_ours(session, day.day.isoformat()),
        told=bool(day.digest),
        due_predictions=due_rows(session, app.today()),
        failed=failed,
        outage=outage,
        has_pages=holds > 0,
        **_first_steps(session, day.day.isoformat()),
    )


def _first_steps(session: Session, day: str) -> dict[str, Any]:
    """Whether to offer a new reader the first steps, and how many papers of a day are the sample's."""
    standing = first_steps.standing(session)
    sample = first_steps.sample_papers(session) if standing.sample_day == day else 0
    return {"offered": standing.new, "sample": sample}


def _waiting(session: Session) -> dict[str, int]:
    return {
        "links": links.count(session) + links.count(session, tension=True),
        "papers": papers.count(session),
    }


def _parted(day: Day, entries: list[Entry]) -> tuple[list[Entry], list[Entry]]:
    """What is worth reading first, and the rest: by the digest's word, else by the marks."""
    if any(entry.deep for entry in entries):
        ranked = sorted(entries, key=lambda e: e.place)
        return [e for e in ranked if e.deep], [e for e in ranked if not e.deep]
    standing = [e for e in entries if e.state != PaperState.DROPPED]
    ranked = sorted(standing, key=lambda e: (-e.score, e.state != PaperState.KEPT, e.place))
    told = [e for e in ranked if e.score or e.state == PaperState.KEPT][:FIRST]
    return told, [e for e in ranked if e not in told]


@dataclass(frozen=True)
class _Around:
    """What is known around the papers of a day, by paper id or page id."""

    day: str
    rows: dict[int, Any]
    urls: dict[int, str]
    threads: dict[int, list[tuple[str, str]]]
    tensions: dict[int, dict[str, str]]
    suggestions: Counter[int]

    def line(self, entry: Entry) -> dict[str, object]:
        row = self.rows[entry.id]
        joins = self.threads.get(row.page_id) or []
        return {
            "url": f"/w/{row.slug}"
            if row.slug
            else self.urls.get(row.id, f"/inbox?day={self.day}"),
            "title": row.title,
            "kind": "paper",
            "thread": {"slug": joins[0][0], "title": joins[0][1]} if joins else None,
            "relevance": row.relevance,
            "novelty": row.novelty,
        }

    def item(self, entry: Entry) -> dict[str, object]:
        row = self.rows[entry.id]
        return self.line(entry) | {
            "summary": _summary(plain_text(entry.said) or row.abstract or row.comment or ""),
            "contradicts": self.tensions.get(row.page_id),
            "suggestions": self.suggestions[row.page_id],
            "paper_id": row.id,
            "state": row.state.value,
        }


def _summary(text: str) -> str:
    """The first two sentences, cut where they are very long."""
    told = " ".join(sentences(text[: SUMMARY * 4])[:2])
    return told if len(told) <= SUMMARY else told[:SUMMARY].rsplit(" ", 1)[0] + " …"


def _short(text: str, words: int) -> str:
    """Whole sentences of at most so many words; the first one in any case, if need be cut."""
    kept: list[str] = []
    for sentence in sentences(text):
        if kept and sum(len(each.split()) for each in [*kept, sentence]) > words:
            break
        kept.append(sentence)
    told = " ".join(kept).split()
    return " ".join(told) if len(told) <= words else " ".join(told[:words]) + " …"


def _moved(rows: list[ThreadRow], day: date, *, any_time: bool) -> list[dict[str, object]]:
    """Threads that gained members in the week up to this day, most first; or at `any_time`."""
    moving = [row for row in rows if row.numbers.this_week or any_time]
    moving.sort(key=lambda row: row.title.casefold())
    moving.sort(key=lambda row: (row.numbers.this_week, row.numbers.latest), reverse=True)
    return [
        {
            "slug": row.slug,
            "title": row.title,
            "papers": row.numbers.papers,
            "questions": row.questions,
            "today": row.recent.get(day.isoformat(), 0),
            "points": row.numbers.weekly,
        }
        for row in moving[:MOVED]
    ]


def _made(session: Session, day: Day, *, left_out: int) -> list[dict[str, str]]:
    """Where this page comes from, in sentences."""
    said: list[tuple[str, str]] = []
    if day.listing:
        said += _made_by_listing(session, day.listing)
    if left_out:
        said.append((f"{plural(left_out, 'paper')} more than are shown here.", ""))
    waiting = _waiting_of(session, day.day.isoformat())
    if waiting:
        said.append((f"{plural(waiting, 'paper')} of this day to decide.", f"/inbox?day={day.day}"))
    if day.digest:
        ours = day.digest.teller
        told = ledger_in_words(day.digest.ledger) if ours else _ledger(day.digest.ledger)
        said += [(told, "")] if told else []
        if day.digest.struck:
            struck = plural(day.digest.struck, "sentence")
            said.append((f"{struck} of the model struck.", f"/today/{day.digest.day}?view=full"))
        slug = session.scalar(sa.select(col(Page.slug)).where(col(Page.id) == day.digest.page_id))
        said += [
            ("Edit the digest.", f"/w/{slug}/edit"),
            ("Keep it as a file.", f"/today/{day.digest.day}.html"),
        ]
    if day.digest or day.listing:
        said.append(("The month.", f"/digest/{day.day:%Y-%m}"))
    return [{"words": words, "url": url} for words, url in said]


def _made_by_listing(session: Session, listing: Listing) -> list[tuple[str, str]]:
    page = f"/triage/{listing.day}"
    said = [("The listing in full.", page)]
    if listing.fetched is not None:
        said.append((f"{plural(listing.fetched, 'entry', 'entries')} fetched.", f"{page}?list=all"))
    if listing.kept is not None and listing.item_id is None:
        picked = f"{plural(listing.kept, 'paper')} picked by your topics."
        said.append((picked, f"{page}?list=picked"))
    if listing.model:
        said.append((f"Judged by {listing.model}.", ""))
    costs = [c for c in (listing.prompt_cost_usd, listing.completion_cost_usd) if c is not None]
    if costs:
        said.append((f"${sum(costs):.2f}.", ""))
    used = sum((each.sum for each in calls.of_listing(session, listing.day)), Sum())
    if used.calls:
        said.append((f"Calls of a model: {at_most(used)}.", "/costs"))
    return said


def _ledger(ledger: dict[str, Any]) -> str:
    """The numbers that the digest itself states, in a line."""
    told = [f"{name.replace('_', ' ')} {count:,}" for name, count in _ledger_counts(ledger)]
    line = ", ".join(told[:LEDGER])
    return line[:1].upper() + line[1:] + "." if line else ""


def _ledger_counts(ledger: dict[str, Any]) -> Iterator[tuple[str, int]]:
    """Names with a number, or with a `count`, at the top or one below (the sources)."""
    for name, value in ledger.items():
        count = value.get("count") if isinstance(value, dict) else value
        if isinstance(count, int) and not isinstance(count, bool):
            yield name, count
        elif isinstance(value, dict):
            yield from _ledger_counts({k: v for k, v in value.items() if isinstance(v, dict)})


def _failed(session: Session) -> dict[str, str] | None:
    """Where the last run stopped, if it did."""
    last = next(iter(runs.recent(session, limit=1)), None)
    if last is None or last.state != RunState.FAILED:
        return None
    steps = [str(step.get("name", "")) for step in last.steps]
    failing = [str(step.get("name", "")) for step in last.steps if step.get("failed")]
    lines = last.log.splitlines()
    message = lines[-1].strip() if lines else "It ended before it was done."
    return {
        "step": (failing or steps or [last.trigger])[-1],
        "message": message if message.endswith((".", "!", "?")) else message + ".",
    }


# ---------------------------------------------------------------- statements


# Months have digests too; a day is written with ten characters.
def _days(table: Any, edge: Any, *, before: bool) -> Any:
    day = col(table.day)
    found = sa.func.max(day) if before else sa.func.min(day)
    beyond = day < edge if before else day > edge
    return sa.select(found).where(beyond, sa.func.length(day) == 10).scalar_subquery()


_DAY: sa.BindParameter[str] = sa.bindparam("day")
_BESIDE = sa.select(
    *(_days(table, _DAY, before=before) for before in (True, False) for table in (Digest, Listing))
)
_LATER_THAN_ANY = ":"  # sorts behind every digit


def _beside(session: Session, day: str) -> tuple[str | None, str | None]:
    """The day before and the day after this one on which something came in."""
    told, listed, *later = session.connection().execute(_BESIDE, {"day": day}).one()
    earlier = [each for each in (told, listed) if each]
    following = [each for each in later if each]
    return max(earlier, default=None), min(following, default=None)


def _day(session: Session, day: date) -> Day:
    digest = session.exec(select(Digest).where(Digest.day == day.isoformat())).first()
    return Day(day, digest, session.get(Listing, day.isoformat()))


def _entries(session: Session, day: Day) -> list[Entry]:
    """The papers of a day: those its digest speaks of, else those of its listing."""
    if day.digest and day.digest.teller:
        told = _told(session, day.digest)
        if told:
            return told
    if day.digest:
        mentioned = _mentioned(session, day.digest.page_id)
        if mentioned:
            return mentioned
    return _listed(session, day.day.isoformat()) if day.listing else []


def _papers(session: Session, paper_ids: Sequence[int]) -> dict[int, Any]:
    """Papers by id, with their newest marks and the address of their page if they have one."""
    rows = session.connection().execute(_PAPERS, {"ids": list(paper_ids)}) if paper_ids else ()
    return {row.id: row for row in rows}


_NEWEST_MARKS = (
    sa.select(sa.func.max(col(Assessment.id)))
    .where(col(Assessment.paper_id) == col(Paper.id))
    .correlate(Paper)
    .scalar_subquery()
)
_PAPERS: Any = (
    sa.select(
        col(Paper.id),
        col(Paper.title),
        col(Paper.abstract),
        col(Paper.state),
        col(Paper.page_id),
        col(Page.slug),
        col(Assessment.relevance),
        col(Assessment.novelty),
        col(Assessment.comment),
    )
    .select_from(Paper)
    .outerjoin(Page, col(Page.id) == col(Paper.page_id))
    .outerjoin(Assessment, col(Assessment.id) == _NEWEST_MARKS)
    .where(col(Paper.id).in_(sa.bindparam("ids", expanding=True)))
)


def _told(session: Session, digest: Digest) -> list[Entry]:
    """The papers that a digest of our own tells of, in its order."""
    said: dict[int, tuple[str, bool]] = {}
    for section in map(Section.read, digest.sections):
        for item in section.items:
            paper_id = item.extra.get("paper_id")
            if isinstance(paper_id, int):
                deep = section.name == SectionName.DEEP_DIVES
                said.setdefault(paper_id, (_words_of(item), deep))
    found = {row.id: row for row in session.connection().execute(_STATES, {"ids": list(said)})}
    return [
        Entry(paper_id, found[paper_id].state, found[paper_id].score, words, deep, place)
        for place, (paper_id, (words, deep)) in enumerate(said.items())
        if paper_id in found
    ]


def _words_of(item: Digested) -> str:
    """What an item says first: what it is, then what came of it."""
    parts = {part.name: part.sentences for part in item.parts}
    told = [
        sentence.text
        for sentences in (parts.get("what-it-is", item.hook), parts.get("takeaways", ()))
        for sentence in sentences[:1]
        if not sentence.struck
    ]
    return " ".join(told)


_STATES = sa.select(col(Paper.id), col(Paper.state), col(Paper.score)).where(
    col(Paper.id).in_(sa.bindparam("ids", expanding=True))
)


def _mentioned(session: Session, page_id: int) -> list[Entry]:
    """Papers the digest on this page speaks of, each once, where it says most."""
    found: dict[int, Entry] = {}
    rows = session.connection().execute(_MENTIONED, {"page": page_id})
    for place, row in enumerate(rows):
        deep = _is_deep(row.section)
        if row.id not in found or (deep and not found[row.id].deep):
            said = row.text or row.why_it_matters
            found[row.id] = Entry(row.id, row.state, row.score, said, deep, place)
    return list(found.values())


_MENTIONED = (
    sa.select(
        col(Paper.id),
        col(Paper.state),
        col(Paper.score),
        col(Mention.section),
        col(Mention.text),
        col(Mention.why_it_matters),
    )
    .join(Mention, col(Mention.paper_id) == col(Paper.id))
    .join(Item, col(Item.id) == col(Mention.item_id))
    .where(col(Item.page_id) == sa.bindparam("page"))
    .order_by(col(Mention.id))
)


def _is_deep(section: str) -> bool:
    return "".join(c for c in section.lower() if c.isalpha()).startswith("deepdive")


def _listed(session: Session, day: str) -> list[Entry]:
    rows = session.connection().execute(_OF_A_LISTING, {"day": day})
    return [Entry(row.id, row.state, row.score, place=n) for n, row in enumerate(rows)]


_OF_A_LISTING: Any = (
    sa.select(col(Paper.id), col(Paper.state), col(Paper.score))
    .join(ListingPaper, col(ListingPaper.paper_id) == col(Paper.id))
    .where(col(ListingPaper.day) == sa.bindparam("day"))
    .order_by(col(ListingPaper.position), col(Paper.id))
)


def _waiting_of(session: Session, day: str) -> int:
    """How many papers of a day's listing wait for a decision."""
    return session.connection().execute(_WAITING_OF, {"day": day}).scalar() or 0


_WAITING_OF = (
    sa.select(sa.func.count())
    .select_from(ListingPaper)
    .join(Paper, col(Paper.id) == col(ListingPaper.paper_id))
    .where(col(ListingPaper.day) == sa.bindparam("day"), col(Paper.state) == PaperState.WAITING)
)


def _tensions(session: Session, page_ids: Sequence[int]) -> dict[int, dict[str, str]]:
    """For each page the page it contradicts: words and address."""
    rows = session.connection().execute(_CONTRADICTED, {"pages": list(page_ids)})
    return {row.source_id: {"words": row.title, "url": f"/w/{row.slug}"} for row in rows}


_CONTRADICTED = (
    sa.select(col(Link.source_id), col(Page.slug), col(Page.title))
    .join(Page, col(Page.id) == col(Link.target_id))
    .where(
        col(Link.source_id).in_(sa.bindparam("pages", expanding=True)),
        col(Link.relation) == Relation.CONTRADICTS,
        col(Link.status) == LinkStatus.ACCEPTED,
    )
    .order_by(col(Link.id).desc())
)


def _suggestions(session: Session, page_ids: Sequence[int]) -> Counter[int]:
    """How many proposals touch each page, on either side."""
    counts: Counter[int] = Counter()
    for statement in _TOUCHING:
        for page_id, number in session.connection().execute(statement, {"pages": list(page_ids)}):
            counts[page_id] += number
    return counts


_TOUCHING = tuple(
    sa.select(col(side), sa.func.count())
    .where(
        col(side).in_(sa.bindparam("pages", expanding=True)),
        col(Link.status) == LinkStatus.PROPOSED,
    )
    .group_by(col(side))
    for side in (Link.source_id, Link.target_id)
)
