"""Search, and what is offered while somebody types: the palette and the names after `[[`.

It turns addresses into questions for services.search and store.search, and answers into rows for
templates. It ranks nothing itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any
from urllib.parse import urlencode

import numpy as np
from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import Response
from numpy.typing import NDArray
from sqlmodel import Session
from starlette.background import BackgroundTask

from app.bootstrap import App
from app.domain.identifiers import slugify
from app.domain.markdown import is_linkable, name_key
from app.domain.queries import clean, has_letters, parse_query
from app.domain.records import PageKind
from app.errors import Invalid, Unavailable
from app.rendering import plain_title
from app.services import search as service
from app.services.search import Mode, Results, Sort
from app.store import pages, vectors
from app.store.db import writing
from app.store.search import Completion, Count, Hit, Why, complete
from app.web.deps import Reads, TheApp, whole
from app.web.templating import is_partial, kind_word, page

router = APIRouter(include_in_schema=False)

PER_PAGE = 20
RECENT = 12
OFFERED = 8
BY_THREAD = "thread"
_WHY = {Why.RECENT: "filter"}


@dataclass(frozen=True)
class Asked:
    """One search as its address says it; `url` is the address of a search that differs a little."""

    q: str = ""
    mode: str = Mode.BOTH.value
    kind: str = ""
    thread: str = ""
    topic: str = ""
    tag: str = ""
    since: str = ""
    until: str = ""
    sort: str = Sort.RELEVANCE.value
    group: str = ""
    page: int = 1

    @property
    def kept(self) -> dict[str, str]:
        """What the form sends along beside words and mode."""
        fields = {
            "kind": self.kind,
            "thread": self.thread,
            "topic": self.topic,
            "tag": self.tag,
            "from": self.since,
            "to": self.until,
            "sort": "" if self.sort == Sort.RELEVANCE else self.sort,
            "group": self.group,
        }
        return {name: value for name, value in fields.items() if value}

    def url(self, **changes: Any) -> str:
        """The address of this search with other values; from its first page on, unless told."""
        asked = replace(self, **{"page": 1, **changes})
        fields = {"q": asked.q, "mode": "" if asked.mode == Mode.BOTH else asked.mode, **asked.kept}
        if asked.page > 1:
            fields["page"] = str(asked.page)
        query = urlencode({name: value for name, value in fields.items() if value})
        return f"/search?{query}" if query else "/search"


def _asked(
    q: str = "",
    mode: str = "",
    kind: str = "",
    thread: str = "",
    topic: str = "",
    tag: str = "",
    since: Annotated[str, Query(alias="from")] = "",
    until: Annotated[str, Query(alias="to")] = "",
    sort: str = "",
    group: str = "",
    page: str = "",
) -> Asked:
    return Asked(
        q=clean(q),
        mode=mode.strip() or Mode.BOTH.value,
        kind=kind.strip(),
        thread=thread.strip(),
        topic=clean(topic),
        tag=clean(tag),
        since=since.strip(),
        until=until.strip(),
        sort=sort.strip() or Sort.RELEVANCE.value,
        group=BY_THREAD if group == BY_THREAD else "",
        page=whole(page, 1, least=1, most=100_000),
    )


@router.get("/search")
def search(
    request: Request, session: Reads, app: TheApp, asked: Annotated[Asked, Depends(_asked)]
) -> Response:
    """Results of a search, as the whole screen or as the part that changes while one types."""
    typing = is_partial(request)
    made: list[tuple[str, str, NDArray[np.float32]]] = []
    status = 200
    try:
        asked, results = _find(session, app, asked, made, typing=typing)
    except Invalid as error:
        asked, results, status = replace(asked, page=1), Results(notice=str(error)), 422
    response = page(
        request,
        "search/_results.html" if typing else "search/page.html",
        status_code=status,
        **_context(asked, results),
    )
    if made and not typing:
        response.background = BackgroundTask(_remember, app, made)
    return response


def _find(
    session: Session,
    app: App,
    asked: Asked,
    made: list[tuple[str, str, NDArray[np.float32]]],
    *,
    typing: bool,
) -> tuple[Asked, Results]:
    """The results, and the search they answer: a page behind the last one is the last one."""
    results = service.search(
        session,
        asked.q,
        mode=asked.mode,
        kind=asked.kind or None,
        thread=asked.thread or None,
        since=asked.since or None,
        until=asked.until or None,
        tag=asked.tag or None,
        topic=asked.topic or None,
        sort=asked.sort,
        limit=PER_PAGE if asked.q else RECENT,
        offset=(asked.page - 1) * PER_PAGE if asked.q else 0,
        typing=typing,
        faceted=bool(asked.q),
        index=app.index,
        query_encoder=app.query_encoder,
        remember=lambda model, text, vector: made.append((model, text, vector)),
    )
    if asked.q and results.reach and not results.hits:
        last = -(-results.reach // PER_PAGE)
        return _find(
            session, app, replace(asked, page=min(last, asked.page - 1)), made, typing=typing
        )
    return asked, results


def _remember(app: App, made: Sequence[tuple[str, str, NDArray[np.float32]]]) -> None:
    """Keep the vectors of queries, after the answer is gone: nobody waits for the write."""
    try:
        with writing(app.engine) as session:
            for model, text, vector in made:
                vectors.remember(session, model, text, vector, now=app.clock())
    except Unavailable:
        return  # it is made again the next time


def _context(asked: Asked, results: Results) -> dict[str, Any]:
    context: dict[str, Any] = {
        "q": asked.q,
        "mode": asked.mode,
        "kept": asked.kept,
        "notice": results.notice,
        "total": results.total,
        "more_than": results.more,
        "counted": results.counted if results.counted < results.total else 0,
        "results": [],
        "groups": None,
        "filters": [],
        "grouped": None,
        "create": "",
        "pager": None,
        "recent": [],
    }
    if not asked.q:
        return context | {"recent": [_row(hit) for hit in results.hits]}
    if not results.hits:
        return context | {"create": _creatable(asked)}
    return context | {
        "results": [_row(hit) for hit in results.hits],
        "groups": _groups(results) if asked.group else None,
        "grouped": _switch(asked),
        "filters": _filters(asked, results),
        "pager": _pager(asked, results),
    }


def _row(hit: Hit) -> dict[str, object]:
    return {
        "slug": hit.slug,
        "title": hit.title,
        "kind": hit.kind.value,
        "snippet": hit.snippet,
        "why": _WHY.get(hit.why, hit.why.value),
        "threads": hit.threads,
    }


def _groups(results: Results) -> list[dict[str, object]]:
    return [
        {
            "title": group.thread.title if group.thread else "In no thread",
            "slug": group.thread.slug if group.thread else "",
            "results": [_row(hit) for hit in group.hits],
        }
        for group in results.by_thread()
    ]


def _switch(asked: Asked) -> dict[str, str]:
    if asked.group:
        return {"url": asked.url(group=""), "words": "one list"}
    return {"url": asked.url(group=BY_THREAD), "words": "group by thread"}


def _filters(asked: Asked, results: Results) -> list[dict[str, object]]:
    """What the results may be narrowed to. A choice that is made can be taken back."""
    facets = results.facets
    years = asked.since if asked.since == asked.until else f"{asked.since} to {asked.until}".strip()

    def chosen(name: str, value: str) -> str:
        return asked.url(since=value, until=value) if name == "year" else asked.url(**{name: value})

    def group(
        name: str, counts: Iterable[Count], current: str, *, least: int = 2
    ) -> dict[str, object]:
        counted = tuple(counts)
        choices: list[dict[str, object]] = []
        if current:
            choices.append(
                {"words": f"any {name}", "count": None, "url": chosen(name, ""), "current": False}
            )
        if current and current not in {each.value for each in counted}:
            choices.append({"words": current, "count": None, "url": asked.url(), "current": True})
        if current or len(counted) >= least:
            choices += [
                {
                    "words": plain_title(each.label),
                    "count": each.count,
                    "url": chosen(name, each.value),
                    "current": each.value == current,
                }
                for each in counted
            ]
        return {"name": name.capitalize(), "choices": choices}

    kinds = [Count(each.value, kind_word(each.label), each.count) for each in facets.kinds]
    return [
        group("kind", kinds, asked.kind),
        group("thread", facets.threads, asked.thread),
        group("topic", facets.topics, asked.topic, least=1),
        group("year", facets.years, years),
        group("tag", (), asked.tag),
    ]


def _pager(asked: Asked, results: Results) -> dict[str, object]:
    first = (asked.page - 1) * PER_PAGE + 1
    last = first + len(results.hits) - 1
    return {
        "previous": asked.url(page=asked.page - 1) if asked.page > 1 else None,
        "next": asked.url(page=asked.page + 1) if last < results.reach else None,
        "first": first,
        "last": last,
        "total": results.reach,
    }


def _creatable(asked: Asked) -> str:
    """The address a page called like the query would have; "" when the query is no name."""
    query = parse_query(asked.q)
    if query.filters or query.excluded or not has_letters(query.plain):
        return ""
    return slugify(query.plain)


# ---------------------------------------------------------------- the palette

_COMMANDS = (
    ("New page", "/new"),
    ("Go to Today", "/"),
    ("Go to Inbox", "/inbox"),
    ("Go to Review", "/review"),
    ("Go to Pages", "/pages"),
    ("Go to Threads", "/threads"),
    ("Go to Topics", "/topics"),
    ("Go to Atlas", "/atlas"),
    ("Go to this month", "/digest"),
    ("Go to Questions", "/questions"),
    ("Go to Predictions", "/predictions"),
    ("Go to Health", "/health"),
    ("Go to Vault", "/vault"),
    ("Go to Activity", "/activity"),
    ("Go to Search", "/search"),
    ("Go to Sources", "/sources"),
    ("Go to Jobs", "/jobs"),
    ("Go to Settings", "/settings"),
    ("Add a source", "/sources"),
    ("Import papers or notes", "/import"),
    ("Export", "/export"),
    ("Export papers as BibTeX", "/export?format=bibtex"),
    ("First steps", "/welcome"),
)


@router.get("/_/palette")
def palette(request: Request, session: Reads, q: str = "") -> Response:
    """What the palette offers: pages and commands; `>` commands alone, `#` threads alone."""
    text = clean(q)
    if text.startswith(">"):
        groups = [("Commands", _commands(text[1:]))]
    elif text.startswith("#"):
        groups = [("Threads", _threads(session, text[1:]))]
    elif not text:
        found = complete(session, "", limit=OFFERED)
        groups = [("Recent", _offered(found)), ("Commands", _commands(""))]
    else:
        groups = [
            ("Pages", _offered(complete(session, text, limit=OFFERED))),
            ("Commands", _commands(text)),
        ]
    named = [{"name": name, "items": items} for name, items in groups]
    return page(request, "palette/_results.html", groups=named, q=text)


def _commands(text: str) -> list[dict[str, str]]:
    """The commands whose words begin with every word typed."""
    typed = text.casefold().split()
    return [
        {"url": url, "title": title, "kind": "", "hint": ""}
        for title, url in _COMMANDS
        if all(any(w.startswith(t) for w in title.casefold().split()) for t in typed)
    ]


def _threads(session: Session, text: str) -> list[dict[str, str]]:
    found = service.search(
        session,
        text,
        mode=Mode.WORDS,
        kind=PageKind.THREAD.value,
        limit=OFFERED,
        typing=True,
        faceted=False,
    )
    return [
        {"url": f"/w/{hit.slug}", "title": hit.title, "kind": hit.kind.value, "hint": ""}
        for hit in found.hits
        if hit.kind is PageKind.THREAD  # an operator in the text may have asked for another kind
    ]


def _offered(found: Iterable[Completion]) -> list[dict[str, str]]:
    return [
        {
            "url": f"/w/{each.slug}",
            "title": each.title,
            "kind": each.kind.value,
            "hint": plain_title(each.alias),
        }
        for each in found
    ]


# ---------------------------------------------------------------- after [[


@router.get("/_/complete")
def completions(request: Request, session: Reads, q: str = "") -> Response:
    """Pages to link to while a name is typed after `[[`, and whether a new one may be made."""
    text = clean(q)
    found = complete(session, text, limit=OFFERED)
    meant = pages.resolve(session, [text, *(each.title for each in found)])
    offered = [_insertable(each, meant.get(name_key(each.title))) for each in found]
    create = bool(text) and is_linkable(text) and name_key(text) not in meant
    return page(request, "pages/_complete.html", q=text, pages=offered, create=create)


def _insertable(each: Completion, meant: pages.PageRef | None) -> dict[str, str]:
    """A name that leads to just this page: its title, or its address where the title would not."""
    kind = each.kind.value
    if meant is not None and meant.id == each.page_id and is_linkable(each.title):
        return {"title": each.title, "alias": each.alias, "kind": kind}
    return {"title": each.slug, "alias": plain_title(each.title), "kind": kind}
