"""Pages: reading, editing, history, and the index of all of them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from secrets import token_hex
from typing import Annotated, Any
from urllib.parse import urlencode

import sqlalchemy as sa
from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from markupsafe import Markup
from sqlmodel import Session, col
from starlette.datastructures import FormData

from app.domain import graph
from app.domain.identifiers import is_slug, parse_arxiv, parse_doi, slugify
from app.domain.markdown import first_words
from app.domain.ownership import MACHINES, author_words
from app.domain.records import (
    GONE,
    KINDS,
    Alias,
    AliasKind,
    AuthorKind,
    ChangeKind,
    Digest,
    Draft,
    Episode,
    Link,
    LinkStatus,
    Page,
    PageKind,
    Paper,
    RedLink,
    Relation,
    Source,
    Thread,
)
from app.domain.summaries import MARK
from app.errors import EditConflict, Invalid, NotFound
from app.reading import filler, rendered, resolver
from app.rendering import plain_title, render_body
from app.services import pages as editing
from app.services import removal
from app.services.removal import Removed
from app.store import (
    changes,
    concepts,
    joining,
    links,
    mirror,
    pages,
    papers,
    predictions,
    prose,
    questions,
    sections,
    threads,
    wording,
)
from app.store.db import LARGEST_ID
from app.store.pages import Content, Place
from app.web import met
from app.web.deps import (
    Form,
    Reads,
    TheApp,
    UnlessKnown,
    Writes,
    bodies,
    facts,
    lines,
    sent,
    text,
    the_app,
    whole,
)
from app.web.memory import Facts
from app.web.routes import past
from app.web.routes.removal import gone
from app.web.routes.threads import order_of, thread_context
from app.web.rows import listed_words, prediction_rows, question_rows
from app.web.templating import Failure, is_partial, keep_form, plural
from app.web.templating import page as screen

router = APIRouter(include_in_schema=False)

PER_PAGE = 100
_KINDS = [kind.value for kind in KINDS]


# ---------------------------------------------------------------- reading


@router.get("/w/{slug}.md")
def raw_markdown(slug: str, session: Reads) -> Response:
    """The body as it was written."""
    page = pages.get(session, slug)
    return PlainTextResponse(page.body, media_type="text/markdown; charset=utf-8")


@router.get("/w/{slug}.json")
def raw_json(slug: str, session: Reads) -> JSONResponse:
    return JSONResponse(as_json(session, pages.get(session, slug)))


def as_json(session: Session, page: Page) -> dict[str, object]:
    """A page with its names and accepted links, as programs get it."""
    assert page.id is not None
    content = pages.content_of(session, page)
    paper = papers.of_page(session, page.id) if page.kind == PageKind.PAPER else None
    return {
        "slug": page.slug,
        "id": papers.reference(session, paper) if paper else page.slug,
        "kind": page.kind.value,
        "title": page.title,
        "aliases": list(content.aliases),
        "tags": list(content.tags),
        "version": page.version,
        "created_at": page.created_at.isoformat(),
        "updated_at": page.updated_at.isoformat(),
        "body": page.body,
        "paper": _paper_json(session, paper) if paper else None,
        "met": met.as_json(session, paper) if paper else None,
        "links": [
            {"relation": row.relation.value, "target": row.slug, "origin": row.origin.value}
            for row in links.outgoing(session, page.id)
        ],
        "backlinks": [
            {"relation": row.relation.value, "source": row.slug}
            for row in links.backlinks(session, page.id, limit=500)
        ],
    }


def _paper_json(session: Session, paper: Paper) -> dict[str, object]:
    assert paper.id is not None
    return {
        "identifiers": {i.scheme: i.value for i in papers.identifiers_of(session, paper.id)},
        "authors": paper.authors,
        "published": paper.published,
        "venue": paper.venue,
        "categories": paper.categories,
        "abstract": paper.abstract,
    }


@router.get("/w/{slug}", dependencies=[UnlessKnown])
def read(request: Request, slug: str, session: Reads, app: TheApp) -> Response:
    page = pages.head(session, slug)
    if page is None or page.kind == PageKind.REMOVED:
        return _elsewhere(request, session, slug)
    if page.kind == PageKind.MERGED:
        heir = concepts.heir(session, page.id)
        if heir is None:
            raise NotFound(f"There is no page at {slug[:100]!r}.")
        return RedirectResponse(f"/w/{heir.slug}", 307)  # an undo brings the page back
    if request.query_params.get("asof", "").strip():
        return past.read(request, session, page, head_of(page), app)
    if page.kind == PageKind.DIGEST:
        digest = session.get(Digest, page.id)
        if digest is not None:
            place = "digest" if len(digest.day) == 7 else "today"  # a month, or a day
            return RedirectResponse(f"/{place}/{digest.day}", 303)
    context = page_context(request, session, page)
    context["notice"] = _NOTICES.get(request.query_params.get("saved", ""), "")
    if page.kind == PageKind.THREAD:
        context |= thread_context(
            session,
            page.id,
            today=app.today(),
            slug=page.slug,
            after=request.query_params.get("after", ""),
            known=facts(request),
        )
        return screen(request, "threads/thread.html", **context)
    return screen(request, "pages/page.html", **context)


_NOTICES = {
    "merged": "Saved. Your edit and one made meanwhile were put together.",
    "linked": "Saved, and written into the pages that link here. Activity can undo it as a whole.",
    "settled": "Saved. The file follows; the other text is in the history.",
    "restored": "The earlier text is back, as a new revision.",
    "back": "Put back, with its names and links.",
    "back-elsewhere": "Put back. Another page has its address now: it lives here.",
    "renamed": "Moved. The old address leads here.",
    "joined": "Merged. It can be undone in Review, under Decided.",
    "member": "Saved. It can be undone in Review, under Decided.",
    "split": "Split. It can be undone in Review, under Decided.",
}


def _elsewhere(request: Request, session: Session, slug: str) -> Response:
    """An alias or a former address leads to its page; any other name has none yet, or none any more."""
    found = pages.named(session, slug) or pages.addressed(session, slug)
    if found is None:
        removed = removal.removed(session, slug)
        if removed is not None:
            return gone(request, removed)
        free = slug if is_slug(slug) else ""
        raise NotFound(f"There is no page at {slug[:100]!r}.", slug=free)
    # A browser keeps a 308 for good: a merge undone, or a rename turned back, would not be seen.
    asof = request.query_params.get("asof", "")[:40]
    query = f"?{urlencode({'asof': asof})}" if asof else ""
    return RedirectResponse(f"/w/{found.slug}{query}", 308, headers={"Cache-Control": "no-cache"})


@router.get("/arxiv/{identifier:path}")
def by_arxiv(identifier: str, session: Reads) -> Response:
    return _by_identifier(session, parse_arxiv(identifier), f"arXiv {identifier}")


@router.get("/doi/{identifier:path}")
def by_doi(identifier: str, session: Reads) -> Response:
    return _by_identifier(session, parse_doi(identifier), f"DOI {identifier}")


def _by_identifier(session: Session, identifier: Any, words: str) -> Response:
    paper = papers.by_id(session, identifier) if identifier else None
    page = session.get(Page, paper.page_id) if paper and paper.page_id else None
    if page is None:
        raise NotFound(f"No paper with {words[:100]} has a page here.")
    return RedirectResponse(f"/w/{page.slug}", 303)


def page_context(request: Request, session: Session, page: Any) -> dict[str, Any]:
    """What every layout of a page shows; `page` is a row of `pages.head`."""
    known = facts(request)
    aliases = pages.aliases_of(session, page.id)
    counts = links.counts(session, page.id)
    written = bodies(request).get(
        session,
        (page.id, page.version),
        lambda: _shown_body(session, page),
        resolver(session),
        filler(session, the_app(request).zone),
    )
    backlinks = _one_a_page(
        [_backlink(row, (page.title, *aliases)) for row in links.backlinks(session, page.id)]
    )
    paper = papers.facts_of(session, page.id) if page.kind == PageKind.PAPER else None
    stub = not page.written and page.kind in (PageKind.CONCEPT, PageKind.NOTE)
    return {
        "page": head_of(page),
        "aliases": aliases,
        "tags": pages.tags_of(session, page.id),
        "facts": _facts(known, session, page, counts),
        "body": written.html + _piece(session, page),
        "contents": written.contents,
        "paper": _paper(session, paper) if paper else None,
        "used_by": [],
        "mentions": backlinks if stub else [],
        "threads": _thread_neighbours(known, session, page.id) if counts["threads"] else [],
        "conflict": bool(mirror.in_conflict(session, [page.id])),
        "neighbours": _neighbours(session, page.id),
        "suggestions": [_suggestion(row) for row in links.suggestions(session, page.id)],
        "backlinks": [] if stub else backlinks[:5],
        "backlink_total": counts["incoming"],
        "provenance": _provenance(page) + _machines(session, page),
        "duplicates": _duplicates(session, page) if page.kind == PageKind.CONCEPT else [],
        "questions": question_rows(questions.of_page(session, page.id)),
        "predictions": prediction_rows(predictions.of_page(session, page.id)),
        "met": met.told(session, paper) if paper else None,
        "struck": prose.struck(session, page.id) if page.kind == PageKind.DIGEST else [],
    }


@dataclass(frozen=True)
class _Head:
    slug: str
    title: str
    kind: str
    version: int
    updated_at: Any
    author: str
    author_kind: str
    unreviewed: bool
    extracted: bool
    gone: bool


def head_of(page: Any) -> _Head:
    """Of a row of `pages.head`."""
    return _Head(
        slug=page.slug,
        title=page.title,
        kind=page.kind.value,
        version=page.version,
        updated_at=page.updated_at,
        author=page.author,
        author_kind=page.author_kind.value,
        unreviewed=page.author_kind == AuthorKind.MODEL,
        extracted=page.author_kind == AuthorKind.EXTRACT,
        gone=page.kind in GONE,
    )


def _shown_body(session: Session, page: Any) -> str:
    """The text of a page; that it is extracted, the page says beside it."""
    body = pages.body_of(session, page.id)
    return body.removeprefix(MARK) if page.author_kind == AuthorKind.EXTRACT else body


def _duplicates(session: Session, page: Any) -> list[dict[str, str]]:
    """Concepts that are proposed to be one with this one, surest first."""
    rows = changes.waiting(session, kind=ChangeKind.MERGE, page_id=page.id, limit=3)
    return [
        {"slug": row.target_slug, "title": row.target_title, "reason": row.reason}
        if row.source_id == page.id
        else {"slug": row.source_slug, "title": row.source_title, "reason": row.reason}
        for row in rows
    ]


def _facts(known: Facts, session: Session, page: Any, counts: Mapping[str, int]) -> list[str]:
    words = []
    if counts["incoming"] and page.kind in (PageKind.CONCEPT, PageKind.THREAD):
        number = known.get(
            session,
            ("papers", page.id),
            lambda: links.papers_linking(session, page.id),
            of=("link", "page"),
        )
        if number:
            words.append(plural(number, "paper"))
    if counts["threads"]:
        words.append(f"in {counts['threads']} thread{'s' if counts['threads'] != 1 else ''}")
    return words


def _backlink(row: Any, names: tuple[str, ...]) -> dict[str, Any]:
    return {
        "id": row.id,
        "slug": row.slug,
        "title": row.title,
        "kind": row.kind.value,
        "relation": row.relation.value,
        "sentence_parts": _sentence(row.evidence, names),
    }


def _one_a_page(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Backlinks with each page once: what says more than a mention, with the mention's sentence."""
    merged: dict[str, dict[str, Any]] = {}
    for link in found:
        known = merged.setdefault(link["slug"], link)
        if known["relation"] == "mentions" and link["relation"] != "mentions":
            known["relation"] = link["relation"]
        known["sentence_parts"] = known["sentence_parts"] or link["sentence_parts"]
    return list(merged.values())


def _sentence(evidence: list[dict[str, Any]], names: tuple[str, ...]) -> list[tuple[str, bool]]:
    """The first quotation of a link with its marked words, or the page's name in it."""
    if not evidence:
        return []
    first = evidence[0]
    quotation = str(first.get("quotation", ""))
    return parts(quotation, first.get("spans") or _named_in(quotation, names))


def _named_in(sentence: str, names: tuple[str, ...]) -> list[list[int]]:
    folded = sentence.lower()
    for name in names:
        start = folded.find(name.lower())
        if name and start >= 0 and len(folded) == len(sentence):
            return [[start, start + len(name)]]
    return []


def parts(quotation: str, spans: list[Any]) -> list[tuple[str, bool]]:
    """A quotation cut into pieces, marked or not. Spans out of order or bounds are left out."""
    cut: list[tuple[str, bool]] = []
    at = 0
    for start, end in sorted((int(a), int(b)) for a, b in spans):
        if at <= start < end <= len(quotation):
            if start > at:
                cut.append((quotation[at:start], False))
            cut.append((quotation[start:end], True))
            at = end
    if at < len(quotation):
        cut.append((quotation[at:], False))
    return cut


def _suggestion(row: Any) -> dict[str, object]:
    first = row.evidence[0] if row.evidence else {}
    return {
        "id": row.id,
        "slug": row.slug,
        "title": row.title,
        "kind": row.kind.value,
        "relation": row.relation.value,
        "confidence": row.confidence,
        "quotation_parts": parts(str(first.get("quotation", "")), first.get("spans") or []),
        "reason": row.reason,
        "outgoing": bool(row.outgoing),
    }


def _neighbours(session: Session, page_id: int) -> dict[str, object] | None:
    """The page and its nearest neighbours as a drawing of a few nodes."""
    edges = _edges(links.edges_around(session, [page_id]))
    near = graph.strongest(page_id, edges, limit=graph.DRAWN)
    if not near:
        return None
    nodes = {page_id, *near}
    named = {row.id: row for row in session.connection().execute(_NAMED, {"ids": list(nodes)})}
    labels = _labels(session, named)
    drawn = graph.among(nodes, _edges(links.edges_among(session, nodes)))
    near = sorted(near, key=lambda node: (named[node].kind.value, named[node].title))
    places = graph.around(page_id, near)
    linked = {end for edge in drawn if not edge.proposed for end in (edge.source, edge.target)}
    return {
        "width": graph.WIDTH,
        "height": graph.HEIGHT,
        "nodes": [
            {
                "x": places[node].x,
                "y": places[node].y,
                "title": named[node].title,
                "label": labels[node],
                "slug": named[node].slug,
                "kind": named[node].kind.value,
                "focus": node == page_id,
                "proposed": node not in linked,
            }
            for node in (page_id, *near)
        ],
        "edges": [
            {
                "x1": places[edge.source].x,
                "y1": places[edge.source].y,
                "x2": places[edge.target].x,
                "y2": places[edge.target].y,
                "proposed": edge.proposed,
            }
            for edge in drawn
        ],
    }


_NAMED = sa.select(col(Page.id), col(Page.slug), col(Page.title), col(Page.kind)).where(
    col(Page.id).in_(sa.bindparam("ids", expanding=True))
)


def _labels(session: Session, named: Mapping[int, Any]) -> dict[int, str]:
    """A short name for each page: of a paper its shortest alias, else what stands before a colon."""
    labels = {node: plain_title(row.title).partition(":")[0] for node, row in named.items()}
    for node, name in session.connection().execute(_OTHER_NAMES, {"ids": list(named)}):
        if named[node].kind == PageKind.PAPER and len(name) < len(labels[node]):
            labels[node] = name
    return labels


_OTHER_NAMES = sa.select(col(Alias.page_id), col(Alias.name)).where(
    col(Alias.page_id).in_(sa.bindparam("ids", expanding=True)),
    col(Alias.kind) == AliasKind.NAME,
)


def _edges(rows: list[Any]) -> list[graph.Edge]:
    return [
        graph.Edge(row.source_id, row.target_id, row.status == LinkStatus.PROPOSED, row.confidence)
        for row in rows
    ]


def _thread_neighbours(known: Facts, session: Session, page_id: int) -> list[dict[str, object]]:
    """For each thread a page stands in: the members before and after it."""
    beside: list[tuple[Any, int | None, int | None]] = []
    for thread in threads.of_page(session, page_id):
        order = order_of(known, session, thread.id)
        at = next((n for n, member in enumerate(order) if member.page_id == page_id), -1)
        before = order[at - 1].link_id if at > 0 else None
        after = order[at + 1].link_id if 0 <= at < len(order) - 1 else None
        beside.append((thread, before, after))
    wanted = [each for _, before, after in beside for each in (before, after) if each]
    slugs = {row.link_id: row.slug for row in threads.members(session, wanted)}
    return [
        {
            "slug": thread.slug,
            "title": thread.title,
            "previous": slugs.get(before or 0),
            "next": slugs.get(after or 0),
        }
        for thread, before, after in beside
    ]


def _paper(session: Session, paper: Any) -> dict[str, object]:
    """What a page tells of its paper, a row of `papers.facts_of`."""
    return {
        "authors": paper.authors,
        "venue": paper.venue,
        "published": paper.published,
        "ids": [_identifier(*row) for row in papers.identifier_rows(session, paper.id)],
        "abstract": paper.abstract,
        "code_url": paper.code_url if paper.code_url.startswith(("https://", "http://")) else "",
        "scores": [dict(row._mapping) for row in papers.assessments_of(session, paper.id)],
        "tldr": tldr if isinstance(tldr := paper.extra.get("tldr"), str) else "",
        "takeaways": [],
    }


def _identifier(scheme: str, value: str) -> tuple[str, str]:
    match scheme:
        case "arxiv":
            return f"arXiv:{value}", f"https://arxiv.org/abs/{value}"
        case "doi":
            return f"doi:{value}", f"https://doi.org/{value}"
        case "url":
            return "link", value
        case "openreview":
            return f"OpenReview {value}", f"https://openreview.net/forum?id={value}"
        case "s2":
            return "Semantic Scholar", f"https://www.semanticscholar.org/paper/{value}"
        case _:
            return f"{scheme}:{value}", ""


def _piece(session: Session, page: Any) -> Markup:
    """Of an episode its takeaways and chapters, of an article too what it covers and recommends."""
    if page.kind not in (PageKind.EPISODE, PageKind.ARTICLE):
        return Markup()
    said = _episode(session, page.id) if page.kind == PageKind.EPISODE else []
    for heading, relation in (
        ("The paper", Relation.COVERS),
        ("Recommended reading", Relation.RECOMMENDS),
    ):
        if found := _read_on(session, page.id, relation):
            said += [f"## {heading}", "", *found, ""]
    return render_body("\n".join(said), resolver(session), id_prefix="e-").html


def _episode(session: Session, page_id: int) -> list[str]:
    """Takeaways and chapters of an episode, as lines of Markdown."""
    episode = session.get(Episode, page_id)
    if episode is None:
        return []
    length = f"{episode.minutes} minutes" if episode.minutes else ""
    show = session.get(Source, episode.source_id)
    told = (show.name if show else "", episode.published, length)
    said = [" · ".join(each for each in told if each), ""]
    if episode.ai_generated:
        said += [f"*{episode.ai_generated}*", ""]
    if episode.takeaways:
        said += ["## Takeaways", "", *(f"- {t}" for t in episode.takeaways), ""]
    if episode.chapters:
        said += ["## Chapters", ""]
        for chapter in episode.chapters:
            minutes, seconds = divmod(int(chapter["at"]), 60)
            said.append(f"- {minutes:02}:{seconds:02} **{chapter['title']}** {chapter['text']}")
        said.append("")
    return said


def _read_on(session: Session, page_id: int, relation: Relation) -> list[str]:
    """What a page covers or recommends, a line of Markdown each, with its day and the reason given.

    What has no page here is named too, with the address where it is read.
    """
    rows = session.connection().execute(
        sa.select(col(Page.slug), col(Page.title), col(Link.note), col(Link.day))
        .join(Link, col(Link.target_id) == col(Page.id))
        .where(
            col(Link.source_id) == page_id,
            col(Link.relation) == relation,
            col(Link.status) == LinkStatus.ACCEPTED,
        )
        .order_by(col(Link.id))
    )
    found = [
        f"- [[{row.slug}|{_plain(row.title)}]] {_behind(row.day, row.note)}".rstrip()
        for row in rows
    ]
    for row in joining.loose_links(session, page_id, relation):
        words, url = _identifier(row.scheme, row.value) if row.scheme else ("", "")
        name = _plain(row.title) or (row.value if row.scheme == "url" else words)
        shown = f"[{_plain(name)}](<{url}>)" if url and not _UNSAFE.search(url) else _plain(name)
        found.append(f"- {shown} {_behind(row.day, row.note)}".rstrip())
    return found


def _behind(day: str, note: str) -> str:
    return " ".join(each for each in (f"({day})" if day else "", note) if each)


def _plain(title: str) -> str:
    return _NO_LINK_SIGNS.sub(" ", plain_title(title))


_UNSAFE = re.compile(r"[<>\s\\]")
_NO_LINK_SIGNS = re.compile(r"[|\[\]]+")


def _provenance(page: Any) -> list[dict[str, str]]:
    found: list[dict[str, str]] = []
    if page.author_kind == AuthorKind.IMPORT:
        found.append({"words": f"imported {page.created_at:%Y-%m-%d}", "url": ""})
    found.append({"words": f"version {page.version}", "url": f"/w/{page.slug}/history"})
    found.append({"words": "who wrote what", "url": f"/w/{page.slug}/blame"})
    return found


def _machines(session: Session, page: Any) -> list[dict[str, str]]:
    """Which sections of a page that people and machines wrote together are a machine's, and whose the others."""
    rows = sections.kept(session, page.id)
    own = [row for row in rows if row.owner in MACHINES]
    if not own or len(own) == len(rows):
        return []
    others = {author_words(row.owner, row.author): None for row in rows if row not in own}
    return [
        {
            "words": f"\u201c{row.key.replace('-', ' ') or 'The beginning'}\u201d is written by "
            f"{author_words(row.owner, row.author)}, {row.at:%Y-%m-%d}",
            "url": f"#{row.key}" if row.key else "",
        }
        for row in own
    ] + [{"words": f"All else is written by {listed_words(list(others))}", "url": ""}]


# ---------------------------------------------------------------- links


@router.get("/w/{slug}/links", dependencies=[UnlessKnown])
def all_links(request: Request, slug: str, session: Reads) -> Response:
    """Every link of a page; of those to it a hundred at a time, `before` being the last one shown."""
    page = shown(session, slug)
    names = (page.title, *pages.aliases_of(session, page.id))
    before = whole(request.query_params.get("before", ""), 0, most=LARGEST_ID)
    found = links.backlinks(session, page.id, limit=PER_PAGE + 1, before=before)
    more = f"/w/{page.slug}/links?before={found[PER_PAGE - 1].id}" if found[PER_PAGE:] else None
    backlinks = [_backlink(row, names) for row in found[:PER_PAGE]]
    if is_partial(request):
        return screen(request, "pages/_linked.html", backlinks=backlinks, more=more)
    return screen(
        request,
        "pages/links.html",
        page=head_of(page),
        backlink_total=links.counts(session, page.id)["incoming"],
        outgoing=[
            {
                "id": row.id,
                "slug": row.slug,
                "title": row.title,
                "kind": row.kind.value,
                "relation": row.relation.value,
                "note": row.note,
                "origin": row.origin.value,
            }
            for row in links.outgoing(session, page.id, limit=1000)
        ],
        backlinks=backlinks,
        more=more,
        suggestions=[_suggestion(row) for row in links.suggestions(session, page.id, limit=50)],
        red_links=[
            {"name": red.name, "slug": slugify(red.name), "sentence": red.sentence}
            for red in session.connection().execute(_RED_LINKS, {"page": page.id})
        ],
    )


_RED_LINKS = (
    sa.select(col(RedLink.name), col(RedLink.sentence))
    .where(col(RedLink.page_id) == sa.bindparam("page"))
    .order_by(col(RedLink.key))
    .limit(1000)
)


def shown(session: Session, slug: str) -> Any:
    """The page at this address as a row of `pages.head`. Raises NotFound."""
    page = pages.head(session, slug)
    if page is None:
        raise NotFound(f"There is no page at {slug!r}.")
    return page


# ---------------------------------------------------------------- editing


@dataclass
class _Fields:
    """The editor's fields as text, as they are shown again after an error."""

    title: str = ""
    kind: str = PageKind.NOTE.value
    aliases: str = ""
    tags: str = ""
    body: str = ""
    base_rev: str = ""
    sent: str = ""  # names this very form, so that it counts once however often it is sent
    linked: int = 0  # pages that link here in their texts
    links: bool = True  # whether another title is written into those


@router.get("/new")
def new(request: Request) -> Response:
    title = request.query_params.get("title", "")[:500]
    return _editor(request, "new-page", _Fields(title=title, kind="concept"), new=True)


@router.get("/w/{slug}/edit")
def edit(request: Request, slug: str, session: Reads) -> Response:
    page = pages.by_slug(session, slug)
    draft = session.get(Draft, slug[:200])
    if page is None:
        moved = pages.former(session, slug)
        if moved is not None:
            return RedirectResponse(f"/w/{moved.slug}/edit", 303)
        if not is_slug(slug):
            raise NotFound("An address may hold small letters, digits and hyphens.")
        title = request.query_params.get("title", "")[:500] or slug.replace("-", " ").capitalize()
        fields = _Fields(title=title, kind=PageKind.CONCEPT.value)
        gone = removal.namesake(session, slug, title)
        return _editor(request, slug, fields, new=True, draft=draft, gone=gone)
    content = pages.content_of(session, page)
    fields = _Fields(
        title=content.title,
        kind=content.kind.value,
        aliases="\n".join(content.aliases),
        tags="\n".join(content.tags),
        body=content.body,
        base_rev=str(page.version),
        linked=wording.writers(session, page.id or 0),
    )
    return _editor(request, slug, fields, new=False, draft=draft)


def _editor(
    request: Request,
    slug: str,
    form: _Fields,
    *,
    new: bool,
    status: int = 200,
    errors: dict[str, str] | None = None,
    draft: Draft | None = None,
    preview: Markup | None = None,
    conflict: EditConflict | None = None,
    unsaved: str = "",
    gone: Removed | None = None,
) -> Response:
    if draft is not None and draft.body == form.body:
        draft = None
    form = replace(form, sent=token_hex(8))
    return screen(
        request,
        "pages/edit.html",
        status_code=status,
        slug=slug,
        new=new,
        kinds=_KINDS,
        form=form,
        errors=errors or {},
        draft=draft,
        preview=preview,
        conflict=conflict,
        unsaved=unsaved,
        gone=gone,
    )


def _edited(request: Request, slug: str, form: Form) -> FormData:
    """The posted editor; where the disk is full or the database busy, it comes back as it was sent."""

    def again(failure: Failure) -> Response:
        fields = _fields(form)
        new = not fields.base_rev.strip()
        return _editor(
            request, slug, fields, new=new, status=failure.status, unsaved=failure.message
        )

    keep_form(request, again)
    return form


def _fields(form: FormData) -> _Fields:
    return _Fields(
        title=text(form, "title"),
        kind=text(form, "kind"),
        aliases=text(form, "aliases"),
        tags=text(form, "tags"),
        body=text(form, "body"),
        base_rev=text(form, "base_rev"),
        sent=text(form, "sent"),
        linked=whole(text(form, "linked"), 0),
        links="links" in form,
    )


@router.post("/w/{slug}/edit")
def save(
    request: Request,
    slug: str,
    form: Annotated[FormData, Depends(_edited)],
    session: Writes,
    app: TheApp,
) -> Response:
    fields = _fields(form)
    if slug == "new-page" and fields.title.strip() and not fields.base_rev.strip():
        slug = pages.free_slug(session, slugify(fields.title))
    fields.kind = fields.kind or _kind_of(session, slug)
    if "preview" in form:
        shown = rendered(session, fields.body, app.zone)
        return _editor(request, slug, fields, new=not fields.base_rev.strip(), preview=shown.html)
    again = sent(request).again(fields.sent, slug, fields)
    try:
        content = _content(slug, form, fields)
        base = _base(fields.base_rev)
        with session.begin_nested():
            saved = editing.save(
                session, slug, content, base=base, now=app.clock(), links=fields.links
            )
    except Invalid as error:
        errors = error.fields or {"": str(error)}
        return _editor(
            request, slug, fields, new=not fields.base_rev.strip(), status=422, errors=errors
        )
    except EditConflict as error:
        if again and error.mine == error.theirs:  # a second click on the button
            return RedirectResponse(f"/w/{slug}", 303)
        fields.body, fields.base_rev = error.merged, str(error.revision)
        return _editor(request, slug, fields, new=False, status=409, conflict=error)
    notice = "?saved=merged" if saved.merged else "?saved=linked" if saved.linked else ""
    return RedirectResponse(f"/w/{saved.page.slug}{notice}", 303)


def _kind_of(session: Session, slug: str) -> str:
    """The kind of a page whose form names none: the one it has; of a new page that of a note."""
    page = pages.by_slug(session, slug) or pages.former(session, slug)
    return page.kind.value if page is not None and page.kind in KINDS else PageKind.NOTE.value


def _content(slug: str, form: Any, fields: _Fields) -> Content:
    if not is_slug(slug):
        raise Invalid("An address may hold small letters, digits and hyphens.")
    if fields.kind not in _KINDS:
        raise Invalid(
            f"No kind of page is called {fields.kind[:40]!r}.",
            fields={"kind": f"Choose one of {', '.join(_KINDS)}."},
        )
    return Content(
        title=fields.title,
        kind=PageKind(fields.kind),
        body=fields.body,
        aliases=lines(form, "aliases"),
        tags=lines(form, "tags"),
    )


def _base(value: str) -> int:
    """The revision an edit began from; '' is a new page."""
    if not value.strip():
        return 0
    if not value.strip().isascii() or not value.strip().isdigit() or len(value) > 12:
        raise Invalid("The revision this edit began from is missing. Copy your text and reload.")
    return int(value)


@router.post("/_/preview")
def preview(request: Request, form: Form, session: Reads, app: TheApp) -> Response:
    shown = rendered(session, text(form, "body"), app.zone)
    return screen(request, "pages/_preview.html", preview=shown.html)


@router.post("/_/draft/{slug}", status_code=204)
def draft(slug: str, form: Form, session: Writes, app: TheApp) -> Response:
    if is_slug(slug) and text(form, "body"):
        pages.keep_draft(
            session,
            slug,
            base=whole(text(form, "base_rev"), 0),
            title=text(form, "title"),
            body=text(form, "body"),
            now=app.clock(),
        )
    return Response(status_code=204)


@router.post("/w/{slug}/rename")
def rename(slug: str, form: Form, session: Writes, app: TheApp) -> Response:
    page = editing.rename(
        session,
        slug,
        text(form, "slug"),
        title=text(form, "title"),
        now=app.clock(),
        links="links" in form,
    )
    return RedirectResponse(f"/w/{page.slug}?saved=renamed", 303)


# ---------------------------------------------------------------- the index, the card


@router.get("/_/card/{slug}")
def card(request: Request, slug: str, session: Reads) -> Response:
    page = shown(session, slug)
    counts = links.counts(session, page.id)
    thread = session.get(Thread, page.id) if page.kind == PageKind.THREAD else None
    extracted = page.author_kind == AuthorKind.EXTRACT  # the abstract itself reads better
    lead = (thread.claim if thread else "") or (
        "" if extracted else pages.body_of(session, page.id)
    )
    if not lead and page.kind == PageKind.PAPER:
        paper = papers.facts_of(session, page.id)
        lead = paper.abstract if paper else ""
    told = _facts(facts(request), session, page, counts)
    return screen(
        request,
        "pages/_card.html",
        card={
            "slug": page.slug,
            "title": page.title,
            "kind": page.kind.value,
            "words": first_words(lead, 40),
            "facts": told or [f"{counts['incoming']} links here"],
        },
    )


@router.get("/pages", dependencies=[UnlessKnown])
def index(request: Request, session: Reads) -> Response:
    """All pages, a hundred at a time: by title, by kind, the last changed, orphans, and what is wanted."""
    query = request.query_params
    known = facts(request)
    asked = _Asked.read(query)
    context: dict[str, Any] = {
        "view": asked.view,
        "counts": {
            "title": known.get(session, "pages", lambda: pages.count(session), of=("page",)),
            "orphans": len(_orphans(known, session)),
            "wanted": known.get(
                session, "wanted", lambda: pages.wanted_count(session), of=("red_link",)
            ),
        },
        "letters": [],
        "kinds": [],
        "groups": [],
        "wanted": [],
        "pager": None,
    }
    if asked.view == "wanted":
        return _wanted(request, session, asked, context)
    if asked.view == "title":
        found = known.get(session, "letters", lambda: pages.letters(session), of=("page",))
        context["letters"] = [_letter(each, asked.letter) for each in found]
    if asked.view == "kind":
        numbers = known.get(session, "kinds", lambda: pages.kinds(session), of=("page",))
        context["kinds"] = [_kind(kind, number, asked.kind) for kind, number in numbers]
    rows, total = _listed(known, session, asked)
    context["groups"] = _grouped(rows, asked.view)
    context["pager"] = _pager(asked, rows, total)
    return screen(request, "pages/index.html", **context)


_VIEWS = ("title", "kind", "recent", "orphans", "wanted")


@dataclass(frozen=True)
class _Asked:
    """A view of the index as its address says it.

    `after` or `before` is the place of the row it goes on from, and `number` says which page of the
    list that is; an address with a number alone leads to that page too.
    """

    view: str
    letter: str
    kind: str
    number: int
    after: Place | None
    before: Place | None

    @classmethod
    def read(cls, query: Mapping[str, str]) -> _Asked:
        """From any query; what is no value of a field is left out."""
        view, kind = query.get("by", ""), query.get("kind", "")
        letter = query.get("letter", "").lower()[:1]
        return cls(
            view=view if view in _VIEWS else "title",
            letter=letter if letter.isprintable() else "",
            kind=kind if kind in _KINDS else "",
            number=whole(query.get("page", ""), 1, least=1, most=100_000),
            after=Place.read(query.get("after", "")),
            before=Place.read(query.get("before", "")),
        )

    @property
    def recent(self) -> bool:
        return self.view == "recent"

    @property
    def start(self) -> int:
        """How many rows stand before this page of the list."""
        return (self.number - 1) * PER_PAGE

    def url(self, number: int, **places: Place) -> str:
        """The address of another page of the same list."""
        kept = {"by": self.view}
        kept |= {"letter": self.letter} if self.letter and self.view == "title" else {}
        kept |= {"kind": self.kind} if self.kind and self.view == "kind" else {}
        if number > 1:
            kept |= {"page": str(number), **{side: str(place) for side, place in places.items()}}
        return f"/pages?{urlencode(kept)}"


def _letter(letter: str, current: str) -> dict[str, object]:
    return {
        "letter": letter.upper(),
        "url": f"/pages?{urlencode({'by': 'title', 'letter': letter})}",
        "current": letter == current,
    }


def _kind(kind: PageKind, number: int, current: str) -> dict[str, object]:
    return {
        "kind": kind.value,
        "count": number,
        "url": f"/pages?by=kind&kind={kind.value}",
        "current": kind.value == current,
    }


def _orphans(known: Facts, session: Session) -> list[int]:
    return known.get(session, "orphans", lambda: pages.orphans(session), of=("link", "page"))


def _listed(known: Facts, session: Session, asked: _Asked) -> tuple[list[Any], int]:
    """The rows of one page of the index, and how many there are in all."""
    if asked.view == "orphans":
        alone = _orphans(known, session)
        return pages.rows_of(session, alone[asked.start : asked.start + PER_PAGE]), len(alone)
    kind = PageKind(asked.kind) if asked.view == "kind" and asked.kind else None
    letter = asked.letter if asked.view == "title" else ""
    total = known.get(
        session,
        ("pages", kind, letter) if kind or letter else "pages",
        lambda: pages.count(session, kind, letter=letter),
        of=("page",),
    )
    rows = pages.listed(
        session,
        recent=asked.recent,
        kind=kind,
        letter=letter,
        after=asked.after,
        before=asked.before,
        limit=PER_PAGE,
        offset=0 if asked.after or asked.before else asked.start,
    )
    return rows, total


def _grouped(rows: list[Any], view: str) -> list[dict[str, object]]:
    groups: dict[str, list[dict[str, object]]] = {}
    for row in rows:
        name = {"title": row.title_key[:1].upper(), "kind": row.kind.value.capitalize()}.get(view)
        groups.setdefault(name or "", []).append(
            {
                "slug": row.slug,
                "title": row.title,
                "kind": row.kind.value,
                "links": row.links,
                "updated_at": row.updated_at,
            }
        )
    return [{"name": name, "pages": found} for name, found in groups.items()]


def _pager(asked: _Asked, rows: list[Any], total: int) -> dict[str, object] | None:
    if total <= PER_PAGE or not rows:
        return None
    first, last = (pages.place_of(rows[at], recent=asked.recent) for at in (0, -1))
    shown = asked.start + len(rows)
    before, after = ({}, {}) if asked.view == "orphans" else ({"before": first}, {"after": last})
    return {
        "previous": asked.url(asked.number - 1, **before) if asked.number > 1 else None,
        "next": asked.url(asked.number + 1, **after) if shown < total else None,
        "first": asked.start + 1,
        "last": shown,
        "total": total,
    }


WANTED = 500  # lines of a name and a number


def _wanted(request: Request, session: Session, asked: _Asked, context: dict[str, Any]) -> Response:
    """What is linked to and not written, the most wanted first."""
    rows = pages.wanted(session, after=asked.after, limit=WANTED + 1)
    context["wanted"] = [
        {"name": name, "slug": slugify(name), "count": number} for _, name, number in rows[:WANTED]
    ]
    if rows[WANTED:]:
        key, _, number = rows[WANTED - 1]
        context["more"] = asked.url(asked.number + 1, after=Place(key, number))
    return screen(request, "pages/index.html", **context)
