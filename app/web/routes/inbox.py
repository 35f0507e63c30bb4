"""The Inbox: papers that wait for a decision, and the deciding.

It shows and hands on; what a decision means is services.review's to say.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any
from urllib.parse import quote, urlencode

import sqlalchemy as sa
from fastapi import APIRouter, Depends, Path, Query, Request
from fastapi.responses import RedirectResponse, Response
from sqlmodel import Session, col

from app.domain.identifiers import clean_date
from app.domain.records import Identifier, PageKind, Paper, PaperState, Verdict
from app.domain.tiers import CROSS_SOURCE
from app.rendering import plain_title
from app.services import review
from app.store import listings
from app.store import papers as store
from app.web.deps import Form, Reads, TheApp, UnlessKnown, Writes, facts, text, whole
from app.web.memory import Facts
from app.web.templating import is_partial, page

router = APIRouter(include_in_schema=False)

NEAR = 2  # pages of a kind that a row names
PER_PAGE = 12  # each carries its abstract, and a page may weigh 60 kB
BEST, NEWEST, LATER = "best", "newest", "later"
_SORTS = {BEST: "best first", NEWEST: "newest first", LATER: "put off for later"}
_DONE = {Verdict.KEEP: "Kept", Verdict.DROP: "Dropped", Verdict.DEFER: "Put off"}

PaperNumber = Annotated[int, Path(ge=1, le=2**63 - 1)]


@dataclass(frozen=True)
class Asked:
    """A view of the Inbox as its address says it. `minimum` is the least score, in hundredths.

    `after` is the last paper of the page before: it holds the place while papers are decided.
    """

    topic: str = ""
    minimum: int = 0
    sort: str = BEST
    day: str = ""
    picked: bool = False
    page: int = 1
    after: int = 0

    @property
    def state(self) -> PaperState:
        return PaperState.DEFERRED if self.sort == LATER else PaperState.WAITING

    def url(self, **changes: Any) -> str:
        """The address of this view with other values; from its first page on, unless told."""
        asked = replace(self, **{"page": 1, "after": 0, **changes})
        fields = {
            "topic": asked.topic,
            "min": str(asked.minimum) if asked.minimum else "",
            "sort": "" if asked.sort == BEST else asked.sort,
            "day": asked.day,
            "picked": "1" if asked.picked else "",
            "page": str(asked.page) if asked.page > 1 else "",
            "after": str(asked.after) if asked.after else "",
        }
        query = urlencode({name: value for name, value in fields.items() if value})
        return f"/inbox?{query}" if query else "/inbox"


def _asked(
    topic: str = "",
    minimum: Annotated[str, Query(alias="min")] = "",
    sort: str = "",
    day: str = "",
    picked: str = "",
    page: str = "",
    after: str = "",
) -> Asked:
    return Asked(
        topic=topic.strip().replace("\0", "\ufffd"),  # which no topic has, and every engine takes
        minimum=whole(minimum, 0, most=100),
        sort=sort if sort in _SORTS else BEST,
        day=clean_date(day),
        picked=picked == "1",
        page=whole(page, 1, least=1, most=100_000),
        after=whole(after, 0),
    )


@router.get("/inbox", dependencies=[UnlessKnown])
def inbox(request: Request, session: Reads, asked: Annotated[Asked, Depends(_asked)]) -> Response:
    """Papers that wait, best first. A partial request gets the rows of one page alone."""
    rows = _waiting(session, asked)
    more = None
    if len(rows) > PER_PAGE:
        more = asked.url(page=asked.page + 1, after=rows[PER_PAGE - 1].id)
    papers = as_shown(session, rows[:PER_PAGE])
    if is_partial(request):
        return page(request, "inbox/_rows.html", papers=papers, more=more)
    if not papers and asked != Asked():
        # The last of these was decided just now, or there never were any: here is what is left.
        return RedirectResponse(asked.url() if asked.page > 1 else "/inbox", 303)
    known = facts(request)
    put_off = known.get(
        session, "papers put off", lambda: store.count(session, PaperState.DEFERRED), of=("paper",)
    )
    return page(
        request,
        "inbox/page.html",
        papers=papers,
        total=_count(known, session, asked),
        topics=_topics(known, session, asked),
        sorts=_sorts(asked, put_off=put_off),
        more=more,
        next_scan="",
        minimum=asked.minimum or None,
        lower=asked.url(minimum=0),
        listing=listings.newest(session),
        day=asked.day,
        picked=asked.picked,
        every=asked.url(picked=False),
    )


@router.post("/inbox/{paper_id}")
def decide(
    request: Request, app: TheApp, form: Form, session: Writes, paper_id: PaperNumber
) -> Response:
    """Keep, drop or put off one paper. Conflict when that was done elsewhere meanwhile."""
    verdict = review.verdict(text(form, "decision"), of="paper")
    decision = review.decide_paper(
        session, paper_id, verdict, now=app.clock(), reason=text(form, "reason")
    )
    if not is_partial(request):
        return RedirectResponse(_back(text(form, "next")), 303)
    paper = session.get(Paper, paper_id)
    title = plain_title(paper.title) if paper else ""
    return page(
        request,
        "review/_toast.html",
        toast={"words": f"{_DONE[verdict]}: {title}", "undo": decision.id},
        removed=[],
        restored=[],
        counts=None,
        papers=[],
        inbox=store.count(session),
    )


def _back(wanted: str) -> str:
    """Where to go after a decision: a view of the Inbox or a day that the form names, or the Inbox."""
    named = wanted.startswith(("/inbox?", "/triage/")) and wanted.isprintable()
    return wanted if named and "\\" not in wanted else "/inbox"


def _sorts(asked: Asked, *, put_off: int) -> list[dict[str, object]]:
    return [
        {"words": words, "url": asked.url(sort=name), "current": name == asked.sort}
        for name, words in _SORTS.items()
        if name != LATER or put_off
    ]


def _topics(known: Facts, session: Session, asked: Asked) -> list[dict[str, object]]:
    """The topics of the papers in view, most first, behind "all topics"."""
    view = {
        "day": asked.day,
        "minimum": asked.minimum,
        "state": asked.state,
        "picked": asked.picked,
    }
    counted: list[Any] = known.get(
        session,
        ("papers by topic", *view.values()),
        lambda: store.count_by_topic(session, **view),  # type: ignore[arg-type]
        of=("paper",),
    )
    choices: list[dict[str, object]] = [
        {
            "words": "all topics",
            "count": sum(row.papers for row in counted),
            "url": asked.url(topic=""),
            "current": not asked.topic,
        }
    ]
    choices += [
        {
            "words": row.name,
            "count": row.papers,
            "url": asked.url(topic=row.id),
            "current": row.id == asked.topic,
        }
        for row in counted
        if row.id is not None
    ]
    return choices if len(choices) > 1 else []


def paper_rows(session: Session, paper_ids: Collection[int]) -> list[dict[str, object]]:
    """These papers as inbox/_paper.html shows them, best first: for those an undo puts back.

    Of a thousand that one action had dropped, as many as a page has: the others are there again too.
    """
    return as_shown(session, store.marked(session, paper_ids)[:PER_PAGE])


def as_shown(session: Session, rows: list[Any]) -> list[dict[str, object]]:
    """Rows of store.papers.waiting as inbox/_paper.html shows them; five statements for any number."""
    ids = [row.id for row in rows]
    urls = addresses(session, ids)
    near = listings.near_pages(session, [row.evidence for row in rows])
    met = store.sources_of(session, ids)
    listed = listings.listed_on(session, ids)
    return [
        {
            "id": row.id,
            "title": row.title,
            "abstract": row.abstract,
            "authors": row.authors,
            "published": row.published or row.came,
            "topic": row.topic or "",
            "relevance": row.relevance,
            "novelty": row.novelty,
            "comment": row.comment or row.topic_comment or "",
            "url": urls.get(row.id, ""),
            "deferred": row.state == PaperState.DEFERRED,
            "again": _again(listed.get(row.id)),
            "sources": met[row.id] if len(met[row.id]) >= CROSS_SOURCE else [],
            "tier": row.tier,
            "tier_reason": row.tier_reason or "",
            "tags": [tag.replace("_", " ") for tag in row.tags or ()],
            **_among(near, row.evidence),
        }
        for row in rows
    ]


def _again(listed: Any) -> str:
    """What is to know of a paper that came more than once, or in a later version than its first."""
    if listed is None:
        return ""
    said = [f"version {listed.version}"] if (listed.version or 1) > 1 else []
    if listed.first < listed.last:
        said.append(f"first listed on {listed.first}, last on {listed.last}")
    return ", ".join(said)


def _among(pages: Mapping[int, Any], evidence: Sequence[dict[str, Any]] | None) -> dict[str, Any]:
    """What the wiki holds around a paper: the nearest pages, and concepts it would be linked to."""
    there = [pages[page] for page in listings.near(evidence) if page in pages]
    return {
        "near": [page for page in there if page.kind != PageKind.CONCEPT][:NEAR],
        "would_link": [page for page in there if page.kind == PageKind.CONCEPT][:NEAR],
    }


# ---------------------------------------------------------------- statements


def _waiting(session: Session, asked: Asked) -> list[Any]:
    """The rows of one page, and one more when there are more."""
    return store.waiting(
        session,
        day=asked.day,
        topic=asked.topic,
        minimum=asked.minimum,
        state=asked.state,
        picked=asked.picked,
        newest=asked.sort == NEWEST,
        after=asked.after,
        limit=PER_PAGE + 1,
        offset=0 if asked.after else (asked.page - 1) * PER_PAGE,
    )


def _count(known: Facts, session: Session, asked: Asked) -> int:
    view = (asked.day, asked.topic, asked.minimum, asked.state, asked.picked)
    return known.get(
        session,
        ("papers", *view),
        lambda: store.count(
            session,
            asked.state,
            day=asked.day,
            topic=asked.topic,
            minimum=asked.minimum,
            picked=asked.picked,
        ),
        of=("paper",),
    )


_SITES = {"arxiv": "https://arxiv.org/abs/", "doi": "https://doi.org/"}


def addresses(session: Session, paper_ids: Collection[int]) -> dict[int, str]:
    """Where each paper can be read outside: arXiv, else by DOI, else its own address."""
    urls: dict[int, str] = {}
    rows = session.connection().execute(_ADDRESSES, {"ids": list(paper_ids)}) if paper_ids else ()
    for paper_id, scheme, value in rows:
        url = _SITES[scheme] + quote(value, safe="/:;(),._-") if scheme in _SITES else value
        if url.startswith(("https://", "http://")):
            urls.setdefault(paper_id, url)
    return urls


_ADDRESSES: Any = (
    sa.select(col(Identifier.paper_id), col(Identifier.scheme), col(Identifier.value))
    .where(
        col(Identifier.paper_id).in_(sa.bindparam("ids", expanding=True)),
        col(Identifier.scheme).in_(["arxiv", "doi", "url"]),
    )
    .order_by(col(Identifier.scheme), col(Identifier.id))
)
