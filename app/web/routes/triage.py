"""The page of a day: its funnel and cost, the queue, contents and entries; months, and the hotspot list.

A day may have a thousand papers and a page weighs 60 kB: contents and lists are titles, entries with
their abstracts come some at a time. What is picked is what reaches the threshold of its topic.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response
from sqlmodel import Session

from app.bootstrap import App
from app.domain.identifiers import whole_day
from app.domain.records import Announced, Decision, Listing, PaperState, Verdict
from app.errors import Conflict, Invalid, NotFound
from app.rendering import plain_title
from app.services import review
from app.services.costs import at_most
from app.store import calls, listings, papers
from app.store.calls import Spent
from app.store.db import LARGEST_ID
from app.web.deps import Form, Reads, TheApp, UnlessKnown, Writes, facts, text, whole
from app.web.routes.inbox import addresses, as_shown
from app.web.routes.judging import offer
from app.web.templating import page as screen
from app.web.templating import plural

router = APIRouter(include_in_schema=False)

QUEUED = 3  # papers of the queue; its last row fetches more
CONTENTS = 90  # titles
ENTRY_TEXT = 4_500  # characters of abstracts below the contents: formulas grow as they are shown
ENTRY_INSTEAD = 70  # more for each title that the contents have not
PAGE_ENTRIES = 12  # on a page of entries alone
PAGE_TEXT = 17_000
PROMPT = 1_500  # characters of a prompt that the page of its day has room for
ROWS = 100  # of a list of titles
SHOWN = 5  # papers named before many are dropped
_CONTENT_AUTHORS, _ENTRY_AUTHORS = 3, 40

_MONTH = re.compile(r"(?!0000)\d{4}-(0[1-9]|1[0-2])", re.ASCII)
_WRITE_DAY = "A day is written year, month, day: /triage/2026-05-14; a month /triage/2026-05."
_LISTS = {
    "all": "All papers of the listing",
    "marked": "Scanned",
    "picked": "Picked",
    "kept": "Kept",
    "dropped": "Dropped",
    "undecided": "Undecided",
    "unmarked": "Without marks",
    "seen": "Seen before",
}
_ANNOUNCED = {Announced.REPLACED: "replaced", Announced.CROSS: "cross-listed"}


@router.get("/triage", dependencies=[UnlessKnown])
def newest(request: Request, session: Reads) -> Response:
    """The newest day of a listing; how to get one where there is none."""
    day = listings.newest(session)
    if day:
        return RedirectResponse(f"/triage/{day}", 303)
    return screen(request, "triage/none.html")


@router.get("/triage/hotspots", dependencies=[UnlessKnown])
def hotspots(request: Request, session: Reads, day: str = "", before: str = "") -> Response:
    """Papers with a tag, newest first: what a day talks about, and what opens new ground."""
    wanted, edge = whole_day(day), whole_day(before)
    if (day and wanted is None) or (before and edge is None):
        raise NotFound("A day is written year, month, day: /triage/hotspots?day=2026-05-14.")
    found, more = listings.hotspots(session, day=_iso(wanted), before=_iso(edge))
    urls = addresses(session, [row.id for row in found if not row.slug])
    days: dict[str, list[dict[str, object]]] = {}
    for row in found[: ROWS * 2]:
        days.setdefault(row.day, []).append(
            {
                "title": row.title,
                "url": f"/w/{row.slug}" if row.slug else urls.get(row.id, ""),
                "tags": _words(row.tags),
                "comment": row.hotspot_comment or row.comment,
                "relevance": row.relevance,
                "novelty": row.novelty,
                "state": _state(row),
            }
        )
    return screen(
        request, "triage/hotspots.html", days=days, day=_iso(wanted), more=more, newest=not edge
    )


@router.get("/triage/{day}", dependencies=[UnlessKnown])
def day(request: Request, session: Reads, app: TheApp, day: str) -> Response:
    """A day in full, entries from one paper on (`from`, `topic`), a list of its titles (`list`), or a month."""
    if _MONTH.fullmatch(day):
        return _month(request, session, day)
    shown = _read(session, day)
    asked = request.query_params
    if asked.get("list") in _LISTS:
        return _listed(request, session, shown, asked["list"], whole(asked.get("page", ""), 1))
    if asked.get("list") == "prompt":
        return screen(request, "triage/prompt.html", **shown.head, prompt=shown.listing.prompt)
    if "from" in asked or "topic" in asked:
        return _some_entries(
            request, session, shown, whole(asked.get("from", ""), 0), asked.get("topic", "")
        )
    return _in_full(request, session, app, shown)


@router.get("/triage/{day}/rest", dependencies=[UnlessKnown])
def rest(request: Request, session: Reads, day: str) -> Response:
    """Asks before many papers of a day are dropped at once: how many, and the first of them."""
    shown = _read(session, day)
    below = whole(request.query_params.get("below", ""), 0, most=100)
    return screen(
        request,
        "triage/rest.html",
        **shown.head,
        below=below,
        count=len(found := shown.rest(below)),
        those=_fingerprint(found),
        first=found[:SHOWN],
        most=review.MAX_PAPERS,
    )


@router.post("/triage/{day}/rest")
def drop_rest(form: Form, session: Writes, app: TheApp, day: str) -> Response:
    """Drop those papers, as one action with one undo. Conflict when they are others meanwhile."""
    shown = _read(session, day)
    found = shown.rest(whole(text(form, "below"), 0, most=100))
    if text(form, "those") != _fingerprint(found):
        raise Conflict(
            "The papers of this day changed meanwhile, and nothing was dropped. Look again at "
            f"/triage/{day}/rest."
        )
    if not found:
        raise Invalid("There is nothing to drop: no paper of this day is below that.")
    done = review.decide_papers(session, [row.id for row in found], Verdict.DROP, now=app.clock())
    return RedirectResponse(f"/triage/{day}?done={done.decisions[0].id}", 303)


def _fingerprint(rows: Sequence[Any]) -> str:
    """Which papers were asked about, so that no others are dropped by the answer."""
    ids = ",".join(str(row.id) for row in sorted(rows, key=lambda row: row.id))
    return hashlib.sha256(ids.encode()).hexdigest()[:16]


# ---------------------------------------------------------------- a day


@dataclass(frozen=True)
class _Day:
    """A day's listing with its rows, best first; `entries` are those it tells in full."""

    listing: Listing
    previous: str
    following: str
    rows: Sequence[Any]

    @property
    def day(self) -> str:
        return self.listing.day

    @property
    def head(self) -> dict[str, Any]:
        return {"day": self.day, "previous": self.previous, "next": self.following}

    @property
    def entries(self) -> list[Any]:
        """New papers that are picked, and those the reader kept though they are not; by topic."""
        chosen = [
            row
            for row in self.rows
            if not row.seen and (row.picked or row.state == PaperState.KEPT)
        ]
        topics: dict[str, list[Any]] = {}
        for row in chosen:
            topics.setdefault(row.topic_id or "", []).append(row)
        best_first = sorted(topics.values(), key=lambda rows: (not rows[0].topic_id, -len(rows)))
        return [row for rows in best_first for row in rows]

    def rest(self, below: int) -> list[Any]:
        """Undecided papers with marks that are not picked; or those whose score is below so
        many hundredths.
        """
        return [
            row
            for row in self.rows
            if row.state == PaperState.WAITING
            and row.assessment is not None
            and (row.score < below / 100 - 1e-9 if below else not row.picked)
        ]

    def of(self, name: str) -> list[Any]:
        """The rows of one of the lists."""
        undecided = (PaperState.WAITING, PaperState.DEFERRED)
        return {
            "all": lambda: list(self.rows),
            "marked": lambda: [r for r in self.rows if r.assessment is not None],
            "picked": lambda: [r for r in self.rows if r.picked],
            "kept": lambda: [r for r in self.rows if r.state == PaperState.KEPT],
            "dropped": lambda: [r for r in self.rows if r.state == PaperState.DROPPED],
            "undecided": lambda: [r for r in self.rows if r.state in undecided],
            "unmarked": lambda: [
                r for r in self.rows if r.assessment is None and r.state in undecided
            ],
            "seen": lambda: [r for r in self.rows if r.seen],
        }[name]()


def _read(session: Session, day: str) -> _Day:
    """Raises NotFound, naming the days beside it, for a day without a listing."""
    wanted = whole_day(day)
    if wanted is None:
        raise NotFound(f"There is no such day. {_WRITE_DAY}")
    previous, following = listings.beside(session, day)
    listing = session.get(Listing, day)
    if listing is None:
        near = " and ".join(f"/triage/{each}" for each in (previous, following) if each)
        nearest = f" The nearest days are at {near}." if near else ""
        raise NotFound(f"No listing came in for {wanted.day} {wanted:%B %Y}.{nearest}")
    return _Day(listing, previous, following, listings.papers_of(session, day))


def _in_full(request: Request, session: Session, app: App, shown: _Day) -> Response:
    entries = shown.entries
    titles = entries[:CONTENTS]
    first = _cut(session, entries, ENTRY_TEXT + ENTRY_INSTEAD * (CONTENTS - len(titles)))
    queue = papers.waiting(session, day=shown.day, picked=True, limit=QUEUED + 1)
    more = None
    if len(queue) > QUEUED:
        more = f"/inbox?{urlencode({'day': shown.day, 'picked': 1, 'page': 2, 'after': queue[QUEUED - 1].id})}"
    return screen(
        request,
        "triage/day.html",
        **shown.head,
        listing=shown.listing,
        short=len(shown.listing.prompt) <= PROMPT,
        funnel=_funnel(shown),
        usage=_usage(shown.listing, calls.of_listing(session, shown.day)),
        coverage=_coverage(shown.day, entries),
        contents=_contents(session, titles),
        left_out=max(0, len(entries) - CONTENTS),
        papers=as_shown(session, queue[:QUEUED]),
        more=more,
        back=f"/triage/{shown.day}",
        inbox=papers.count(session),
        picked=sum(r.state == PaperState.WAITING and bool(r.picked) for r in shown.rows),
        undecided=sum(r.state == PaperState.WAITING for r in shown.rows),
        rest=len(shown.rest(0)),
        unmarked=len(shown.of("unmarked")),
        entries=_entries(session, first),
        following_entry=_following(shown.day, entries, first),
        seen=_seen(session, shown.day),
        done=_done(session, request.query_params.get("done", "")),
        offer=offer(session, app, shown.day),
    )


def _some_entries(
    request: Request, session: Session, shown: _Day, start: int, topic: str
) -> Response:
    """Entries from one paper on, of one topic or of all."""
    entries = shown.entries
    name = ""
    if topic:
        entries = [row for row in entries if row.topic_id == topic]
        if not entries:
            raise NotFound(f"No paper of this day is picked for the topic {topic[:100]!r}.")
        name = entries[0].topic
    ids = [row.id for row in entries]
    if start and start not in ids:
        raise NotFound(f"Paper {start} has no entry on this day: /triage/{shown.day}.")
    at = ids.index(start) if start else 0
    chosen = _cut(session, entries[at:], PAGE_TEXT)
    return screen(
        request,
        "triage/entries.html",
        **shown.head,
        topic=name,
        entries=_entries(session, chosen),
        first=at + 1,
        last=at + len(chosen),
        total=len(entries),
        previous_entry=_address(shown.day, ids[max(0, at - PAGE_ENTRIES)], topic) if at else "",
        following_entry=_following(shown.day, entries, chosen, topic),
    )


def _listed(request: Request, session: Session, shown: _Day, name: str, number: int) -> Response:
    """A list of titles: those of one number of the funnel."""
    found = shown.of(name)
    number = max(1, min(number, -(-len(found) // ROWS) or 1))
    start = (number - 1) * ROWS
    some = found[start : start + ROWS]
    urls = addresses(session, [row.id for row in some if not row.slug])
    address = f"/triage/{shown.day}?list={name}&page="
    return screen(
        request,
        "triage/list.html",
        **shown.head,
        words=_LISTS[name],
        lists=[
            {
                "words": words,
                "url": f"/triage/{shown.day}?list={key}",
                "count": len(shown.of(key)),
                "current": key == name,
            }
            for key, words in _LISTS.items()
        ],
        rows=[
            {
                "title": row.title,
                "url": f"/w/{row.slug}" if row.slug else urls.get(row.id, ""),
                "topic": row.topic,
                "relevance": row.relevance,
                "novelty": row.novelty,
                "state": _state(row),
            }
            for row in some
        ],
        pager={
            "previous": f"{address}{number - 1}" if number > 1 else None,
            "next": f"{address}{number + 1}" if start + ROWS < len(found) else None,
            "first": start + 1,
            "last": start + len(some),
            "total": len(found),
        },
    )


def _cut(session: Session, rows: Sequence[Any], room: int) -> list[tuple[Any, Any]]:
    """The first of these rows with their texts, so many that the page stays within its weight."""
    texts = listings.texts(session, [row.id for row in rows[:PAGE_ENTRIES]])
    chosen: list[tuple[Any, Any]] = []
    length = 0
    for row in rows[:PAGE_ENTRIES]:
        said = texts[row.id]
        length += len(said.abstract) + 40 * said.abstract.count("$")
        if chosen and length > room:
            break
        chosen.append((row, said))
    return chosen


def _address(day: str, paper: int, topic: str = "") -> str:
    query = urlencode({"from": paper} | ({"topic": topic} if topic else {}))
    return f"/triage/{day}?{query}#e{paper}"


def _following(
    day: str, entries: Sequence[Any], shown: Sequence[tuple[Any, Any]], topic: str = ""
) -> str:
    """Where the entries after those shown are; "" when these are the last."""
    if not shown:
        return ""
    ids = [row.id for row in entries]
    after = ids.index(shown[-1][0].id) + 1
    return _address(day, ids[after], topic) if after < len(ids) else ""


def _entries(session: Session, chosen: Sequence[tuple[Any, Any]]) -> list[dict[str, Any]]:
    ids = [row.id for row, _ in chosen]
    urls = addresses(session, ids)
    matched = listings.matched(session, [row.assessment for row, _ in chosen if row.assessment])
    pages = listings.near_pages(session, [said.evidence for _, said in chosen])
    met = papers.sources_of(session, ids)
    found = []
    for row, said in chosen:
        near = [pages[page] for page in listings.near(said.evidence) if page in pages]
        found.append(
            {
                "id": row.id,
                "title": row.title,
                "page": f"/w/{row.slug}" if row.slug else "",
                "url": urls.get(row.id, ""),
                "arxiv": urls.get(row.id, "").removeprefix("https://arxiv.org/abs/")
                if "arxiv.org/abs/" in urls.get(row.id, "")
                else "",
                "topic": row.topic,
                "also": [
                    name for key, name in matched.get(row.assessment, ()) if key != row.topic_id
                ],
                "authors": said.authors[:_ENTRY_AUTHORS],
                "abstract": said.abstract,
                "comment": said.comment or "",
                "topic_comment": said.topic_comment or "",
                "relevance": row.relevance,
                "novelty": row.novelty,
                "tier": said.tier,
                "tier_reason": said.tier_reason or "",
                "tags": _words(said.tags),
                "hotspot_comment": said.hotspot_comment or "",
                "near": near[:3],
                "sources": met[row.id] if len(met[row.id]) > 1 else [],
                "scorer": row.scorer or "",
                "state": _state(row),
            }
        )
    return found


def _contents(session: Session, entries: Sequence[Any]) -> list[dict[str, Any]]:
    """Titles by topic, numbered, each with its first authors."""
    authors = listings.authors(session, [row.id for row in entries])
    topics: dict[str, list[dict[str, object]]] = {}
    for row in entries:
        names = authors.get(row.id) or []
        topics.setdefault(row.topic or "No topic", []).append(
            {
                "id": row.id,
                "title": row.title,
                "authors": ", ".join(names[:_CONTENT_AUTHORS])
                + (
                    f" and {len(names) - _CONTENT_AUTHORS} more"
                    if len(names) > _CONTENT_AUTHORS
                    else ""
                ),
                "state": _state(row),
            }
        )
    return [{"topic": topic, "papers": found} for topic, found in topics.items()]


def _coverage(day: str, entries: Sequence[Any]) -> list[dict[str, object]]:
    numbers: dict[tuple[str, str], int] = {}
    for row in entries:
        key = row.topic_id or "", row.topic or "No topic"
        numbers[key] = numbers.get(key, 0) + 1
    return [
        {
            "name": name,
            "count": count,
            "url": f"/triage/{day}?{urlencode({'topic': key})}" if key else "",
            "topic": f"/topics/{key}" if key else "",
        }
        for (key, name), count in numbers.items()
    ]


def _funnel(shown: _Day) -> list[dict[str, object]]:
    """From what arXiv announced to what was kept; a number leads to its papers where we have them."""
    listing = shown.listing
    imported = listing.item_id is not None
    marked = len(shown.of("marked"))
    steps: list[tuple[str, int | None, str]] = [
        ("in the listing", listing.fetched or len(shown.rows), "all"),
        (
            "scanned",
            listing.scanned if imported and listing.scanned is not None else marked,
            "marked",
        ),
        (
            "picked",
            listing.kept if imported and listing.kept is not None else len(shown.of("picked")),
            "picked",
        ),
        ("kept", len(shown.of("kept")), "kept"),
        ("dropped", len(shown.of("dropped")), "dropped"),
    ]
    return [
        {"words": words, "count": count, "url": f"/triage/{shown.day}?list={name}"}
        for words, count, name in steps
    ]


def _usage(listing: Listing, used: Sequence[Spent]) -> list[dict[str, object]]:
    """Tokens and cost of a day: what its page told, and what our own calls about it were booked as."""
    found: list[dict[str, object]] = []
    prompt, completion = listing.prompt_tokens, listing.completion_tokens
    money = listing.prompt_cost_usd, listing.completion_cost_usd
    if listing.model:
        found.append(
            {
                "model": listing.model,
                "what": "told by the page",
                "prompt": prompt,
                "completion": completion,
                "total": _total(prompt, completion),
                "costs": [_dollars(each) for each in (*money, _total(*money))],
            }
        )
    for spent in used:
        told = spent.sum
        cost = at_most(told) if told.calls else "nothing"
        if told.unknown:
            cost = f"{cost}, cost unknown of {plural(told.unknown, 'call')}"
        found.append(
            {
                "model": spent.model,
                "what": f"{spent.purpose}, {plural(told.calls, 'call')}",
                "prompt": told.input_tokens,
                "completion": told.output_tokens,
                "total": told.input_tokens + told.output_tokens,
                "costs": ["", "", cost],
            }
        )
    return found


def _total(one: Any, other: Any) -> Any:
    return None if one is None and other is None else (one or 0) + (other or 0)


def _dollars(amount: float | None) -> str:
    return "unknown" if amount is None else f"${amount:,.2f}"


def _seen(session: Session, day: str) -> list[dict[str, object]]:
    """Papers of this listing that came before: when, what is new, and what was decided."""
    found = papers.seen_before(session, day, limit=ROWS)
    urls = addresses(session, [row.paper_id for row in found])
    said = []
    for row in found:
        what = [_ANNOUNCED[row.announced]] if row.announced in _ANNOUNCED else []
        if row.version and row.version > (row.version_before or 1):
            what.append(f"version {row.version}")
        said.append(
            {
                "title": row.title,
                "url": urls.get(row.paper_id, ""),
                "first": row.first_day,
                "what": ", ".join(what) or "listed again",
                "state": _state(row),
            }
        )
    return said


def _done(session: Session, number: str) -> dict[str, object] | None:
    """What was dropped just now, so that it can be undone without scripts; None when it was."""
    decision = (
        session.get(Decision, found) if (found := whole(number, 0, most=LARGEST_ID)) else None
    )
    if decision is None or decision.undone or decision.paper_id is None or decision.undoes_id:
        return None
    return {"undo": decision.id}


def _state(row: Any) -> str:
    """What the reader decided, in a word; "" where nothing was."""
    state = PaperState(row.state)
    return {PaperState.WAITING: "", PaperState.DEFERRED: "later"}.get(state, state.value)


def _words(tags: Sequence[str] | None) -> list[str]:
    return [tag.replace("_", " ") for tag in tags or ()]


def _iso(day: date | None) -> str:
    return day.isoformat() if day else ""


# ---------------------------------------------------------------- a month


def _month(request: Request, session: Session, month: str) -> Response:
    """The days of a month in a table, with totals."""
    known = facts(request)
    counts = known.get(
        session, ("month", month), lambda: listings.counts(session, month), of=("paper",)
    )
    found = [(each, counts.get(each.day)) for each in listings.of_month(session, month)]
    previous, following = listings.months_beside(session, month)
    if not found:
        near = " and ".join(f"/triage/{each}" for each in (previous, following) if each)
        nearest = f" The nearest months are at {near}." if near else ""
        raise NotFound(f"No listing came in in {_month_words(month)}.{nearest}")
    best = known.get(
        session,
        ("best papers", month),
        lambda: listings.best_of(session, {each.day: n.best for each, n in found if n and n.best}),
        of=("page", "paper"),
    )
    urls = addresses(session, [row.id for row in best.values() if not row.slug])
    used = calls.of_listings(session, f"{month}-01", f"{month}-31")
    days = [
        _day_row(each, n, best.get(each.day), _usage(each, used.get(each.day, ())), urls)
        for each, n in found
    ]
    return screen(
        request,
        "triage/month.html",
        month=month,
        words=_month_words(month),
        previous=previous,
        next=following,
        days=days,
        totals={
            name: sum(each[name] or 0 for each in days)
            for name in ("fetched", "scanned", "picked", "kept", "waiting")
        },
    )


def _day_row(
    listing: Listing,
    counts: Any,
    best: Any,
    usage: Sequence[Mapping[str, Any]],
    urls: Mapping[int, str],
) -> dict[str, Any]:
    imported = listing.item_id is not None
    costs = [each["costs"][-1] for each in usage]
    return {
        "day": listing.day,
        "fetched": listing.fetched or (counts.papers if counts else 0),
        "scanned": listing.scanned,
        "picked": listing.kept
        if imported and listing.kept is not None
        else (counts.picked if counts else 0),
        "kept": counts.kept if counts else 0,
        "waiting": counts.waiting if counts else 0,
        "cost": " + ".join(costs) or "no call",
        "best": {
            "title": plain_title(best.title),
            "url": f"/w/{best.slug}" if best.slug else urls.get(best.id, ""),
        }
        if best
        else None,
    }


def _month_words(month: str) -> str:
    return f"{date.fromisoformat(month + '-01'):%B %Y}"
