"""The JSON API: the commands again, for programs. Errors are {"error": {"code", "message", "id"}}."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Header, Query, Request
from fastapi.encoders import jsonable_encoder
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema, field_validator
from sqlmodel import Session

from app import fetching
from app.domain.identifiers import is_slug
from app.domain.months import in_words, is_month
from app.domain.records import KINDS, ChangeKind, Page, PageKind, QuestionState, Relation
from app.errors import Conflict, EditConflict, Invalid, NotFound
from app.services import (
    acts,
    backup,
    costs,
    health,
    linker,
    months,
    predictions,
    questions,
    removal,
    review,
    rules,
    subscriptions,
    triage,
)
from app.services import digest as telling
from app.services import graph as graphs
from app.services import history as past
from app.services import pages as editing
from app.services import threads as keeping
from app.services import topics as registry
from app.services.search import search as find
from app.store import activity, assessments, changes, editions, links, pages, papers, record
from app.store import predictions as stored_predictions
from app.store import questions as stored_questions
from app.store import rules as stored_rules
from app.store import sources as stored_sources
from app.store import topics as stored_topics
from app.store.db import LARGEST_ID, reading, writing
from app.store.pages import Content
from app.web.deps import Reads, TheApp, Writes, facts
from app.web.routes import atlas
from app.web.routes.page import as_json
from app.web.routes.threads import Listed, look_for, named_in
from app.web.routes.topics import recorded

router = APIRouter(prefix="/api/v1", tags=["cere-bro"])

Slug = Annotated[str, Field(max_length=300)]
_REFUSED: dict[int | str, dict[str, Any]] = {
    400: {"description": "The request cannot be read, or its Host is not served here"},
    403: {"description": "Another site asked for the change"},
    404: {"description": "There is no such thing"},
    409: {"description": "It changed or was decided meanwhile"},
    413: {"description": "The body is too large"},
    422: {"description": "A field is wrong"},
    503: {"description": "A part of the wiki is not available now"},
}


_KIND = {"type": "string", "enum": [kind.value for kind in KINDS]}


class PageIn(BaseModel):
    """A page as a program writes it. What is left out stays as it is."""

    model_config = ConfigDict(extra="ignore")

    title: str | None = Field(None, max_length=500)
    kind: Annotated[str, WithJsonSchema(_KIND)] | None = None
    body: str | None = Field(None, max_length=pages.MAX_BODY)
    aliases: list[str] | None = Field(None, max_length=200)
    tags: list[str] | None = Field(None, max_length=200)
    note: str = Field("", max_length=500)
    links: bool = Field(
        False,
        description="Whether another title is written into the pages that link here by the old one.",
    )

    @field_validator("kind")
    @classmethod
    def _is_a_kind(cls, kind: str | None) -> str | None:
        if kind is not None and kind not in _KIND["enum"]:
            raise ValueError(f"{kind[:40]!r} is no kind of page. Use {', '.join(KINDS)}")
        return kind


class RestoreIn(BaseModel):
    """The version of a page that is to be the newest again."""

    version: int = Field(ge=1, le=LARGEST_ID)


class RuleIn(BaseModel):
    """A rule that accepts `about` links: of one concept, or of all where none is named."""

    concept: str = Field("", max_length=300, description="A title, alias or address; empty: all")
    least: float = Field(description="Accept from this confidence on, 0.5 to 1")
    preview: bool = Field(False, description="Only say what it would do")


class QuestionIn(BaseModel):
    """The reader's word on a question."""

    state: str = Field(description="open, partly or answered")


class PredictionIn(BaseModel):
    """A prediction of a page."""

    page: str = Field(max_length=500, description="The address or the title of the page")
    text: str = Field(max_length=5000)
    due: str = Field("", max_length=100, description="A day, month or year, or words: in 90 days")
    made: str = Field("", max_length=40, description="A day; empty: today")
    probability: float | None = Field(None, ge=0, le=1)


class JudgementIn(BaseModel):
    """How a prediction turned out; `open` takes a judgement back."""

    state: str = Field(description="came-true, failed, withdrawn or open")
    resolution: str = Field("", max_length=5000, description="Why")
    page: str = Field("", max_length=500, description="The page that is the evidence")
    quotation: str = Field("", max_length=5000, description="Words that stand in its text")
    day: str = Field("", max_length=40, description="A day; empty: today")


class TopicIn(BaseModel):
    """A topic as a program writes it. What is left out stays as it is."""

    model_config = ConfigDict(extra="ignore")

    name: str | None = Field(None, max_length=2000)
    keep: str | None = Field(None, max_length=20_000)
    filter: str | None = Field(None, max_length=20_000)
    tier: int | None = Field(None, ge=1, le=4)
    threshold: float | None = Field(
        None, ge=0, le=1, description="A paper is picked from this score on"
    )
    place: int | None = Field(None, ge=1, le=10_000, description="In the list, from 1 on")
    retired: bool | None = None

    def over(self, standing: dict[str, str]) -> dict[str, str]:
        """The fields of a topic with what is given here in their place."""
        given = self.model_dump(exclude={"retired"}, exclude_none=True)
        return standing | {name: str(value) for name, value in given.items()}


class TrialIn(TopicIn):
    """A topic as it might be, and the day to try it on."""

    day: str = Field("", max_length=40, description="Of a listing; empty: the newest")


class DecisionIn(BaseModel):
    """A decision on one proposal."""

    decision: str = Field(description="accept, reject or defer")
    reason: str = Field("", max_length=1000)
    relation: Relation | None = None
    target: str = Field("", max_length=500)
    title: str = Field("", max_length=500, description="Of a new page: another title.")
    members: list[int] | None = Field(
        None, max_length=5000, description="Of a new page: the papers to link, of those offered."
    )
    claim: str = Field("", max_length=1000, description="Of a new thread: another claim.")
    swap: bool = Field(False, description="Of a merge: the other of the two concepts stays.")


class PaperDecisionIn(BaseModel):
    """A decision on one paper of the Inbox."""

    decision: str = Field(description="keep, drop or defer")
    reason: str = Field("", max_length=1000)


# ---------------------------------------------------------------- finding


@router.get("/search", responses=_REFUSED)
def search(
    session: Reads,
    app: TheApp,
    q: Annotated[str, Query(max_length=2000)] = "",
    mode: str = "both",
    kind: str | None = None,
    thread: str | None = None,
    topic: str | None = None,
    tag: str | None = None,
    since: Annotated[str | None, Query(alias="from")] = None,
    until: Annotated[str | None, Query(alias="to")] = None,
    sort: str = "relevance",
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    offset: Annotated[int, Query(ge=0, le=100_000)] = 0,
) -> dict[str, object]:
    """Pages by words, by meaning, or both, with why each was found.

    `total` counts all there are, or is the least there are where `more` is true; the first `reach`
    can be had by `offset`. `facets` count the first `counted`.
    """
    found = find(
        session,
        q,
        mode=mode,
        kind=kind or None,
        thread=thread or None,
        since=since or None,
        until=until or None,
        tag=tag or None,
        topic=topic or None,
        sort=sort,
        limit=limit,
        offset=offset,
        index=app.index,
        query_encoder=app.query_encoder,
    )
    facets = found.facets
    return {
        "total": found.total,
        "more": found.more,
        "reach": found.reach,
        "mode": str(found.mode),
        "notice": found.notice,
        "counted": found.counted,
        "facets": {
            name: [
                {"value": each.value, "label": each.label, "count": each.count} for each in counts
            ]
            for name, counts in (
                ("kind", facets.kinds),
                ("thread", facets.threads),
                ("topic", facets.topics),
                ("year", facets.years),
            )
        },
        "hits": [
            {
                "slug": hit.slug,
                "title": hit.title,
                "kind": str(hit.kind),
                "score": round(hit.score, 6),
                "why": str(hit.why),
                "date": hit.date,
                "snippet": [{"text": words, "marked": marked} for words, marked in hit.snippet],
                "threads": [each.slug for each in hit.threads],
            }
            for hit in found.hits
        ],
    }


@router.get("/pages/{slug}", responses=_REFUSED)
def read_page(slug: Slug, session: Reads) -> Response:
    """One page with its links; its version is the ETag."""
    page = _page(session, slug)
    return JSONResponse(as_json(session, page), headers={"ETag": f'"{page.version}"'})


@router.get("/pages/{slug}/raw", responses=_REFUSED, response_class=PlainTextResponse)
def read_raw(slug: Slug, session: Reads) -> Response:
    """The Markdown of a page as it was written."""
    page = _page(session, slug)
    return PlainTextResponse(page.body, headers={"ETag": f'"{page.version}"'})


@router.get("/pages/{slug}/related", responses=_REFUSED)
def related(
    slug: Slug,
    session: Reads,
    app: TheApp,
    limit: Annotated[int, Query(ge=1, le=graphs.MOST_RELATED)] = 10,
) -> dict[str, object]:
    """Pages near this one in the graph that are not linked with it, the nearest first."""
    page = _page(session, slug)
    found = graphs.related(session, app.graph, page, limit=limit)
    return {"page": page.slug, "related": [_node(node) for node in found]}


def _page(session: Session, slug: str) -> Page:
    return removal.standing(session, slug)


@router.put("/pages/{slug}", responses={**_REFUSED, 201: {"description": "A new page"}})
def write_page(
    slug: Slug,
    new: PageIn,
    session: Writes,
    app: TheApp,
    if_match: Annotated[str | None, Header()] = None,
) -> Response:
    """Save a page. `If-Match` names the version the edit began from (the ETag of a read).

    An edit of a page that moved on is merged; where both changed the same lines the answer is 409
    with both texts. A page that does not exist is made. With `links` another title is written into
    the pages that link to it by the old one, and all of it can be undone as one act.
    """
    if not is_slug(slug):
        raise Invalid("An address may hold small letters, digits and hyphens.")
    page = pages.by_slug(session, slug) or pages.former(session, slug)
    base = _base(if_match, page, slug)
    before = pages.content_of(session, page) if page else None
    content = Content(
        title=new.title if new.title is not None else (before.title if before else slug),
        kind=PageKind(new.kind) if new.kind else (before.kind if before else PageKind.NOTE),
        body=new.body if new.body is not None else (before.body if before else ""),
        aliases=tuple(new.aliases)
        if new.aliases is not None
        else (before.aliases if before else ()),
        tags=tuple(new.tags) if new.tags is not None else (before.tags if before else ()),
    )
    try:
        with session.begin_nested():
            saved = editing.save(
                session,
                page.slug if page else slug,
                content,
                base=base,
                now=app.clock(),
                note=new.note,
                links=new.links,
            )
    except EditConflict as error:
        return _both_texts(error)
    return JSONResponse(
        as_json(session, saved.page),
        200 if page else 201,
        headers={"ETag": f'"{saved.page.version}"'},
    )


def _both_texts(error: EditConflict) -> Response:
    return JSONResponse(
        {
            "error": {"code": error.code, "message": str(error), "id": ""},
            "mine": error.mine,
            "theirs": error.theirs,
            "merged": error.merged,
            "version": error.revision,
        },
        409,
    )


@router.delete("/pages/{slug}", responses=_REFUSED)
def remove_page(
    slug: Slug,
    session: Writes,
    app: TheApp,
    if_match: Annotated[str | None, Header()] = None,
    reason: Annotated[str, Query(max_length=1000)] = "",
) -> dict[str, object]:
    """Take a page out of the wiki. `If-Match` names the version that was read, or is *.

    Its text and history are kept; undoing the decision that the answer names puts it back. Until
    then its address answers 410.
    """
    page = _page(session, slug)
    base = _base(if_match, page, slug)
    decision = removal.remove(session, page.slug, base=base, now=app.clock(), reason=reason)
    return {"removed": slug, "decision": decision.id}


def _base(if_match: str | None, page: Page | None, slug: str) -> int:
    """The version an edit began from. Raises Invalid where it is needed and missing.

    Raises Conflict for "*" at a former address: it is not known what would be written over.
    """
    if page is None:
        return 0
    tag = (if_match or "").strip().removeprefix("W/").strip('"')
    if tag == "*" and page.slug != slug:
        raise Conflict(f"This page is at {page.slug!r} now: read it and save it there.")
    if tag == "*":
        return page.version
    if not tag.isascii() or not tag.isdigit() or len(tag) > 12:
        raise Invalid(
            "This page exists: send If-Match with the ETag of the version you edited, or *.",
            fields={"If-Match": "Send the ETag that reading the page gave."},
        )
    return int(tag)


# ---------------------------------------------------------------- what was


_Before = Annotated[int, Query(ge=0, le=LARGEST_ID, description="`next` of the part before")]
_Number = Annotated[int, Field(ge=0, le=LARGEST_ID)]


@router.get("/pages/{slug}/history", responses=_REFUSED)
def history_of(
    slug: Slug,
    session: Reads,
    before: _Before = 0,
    limit: Annotated[int, Query(ge=1, le=200)] = past.REVISIONS,
) -> dict[str, object]:
    """The versions of a page, newest first: when, by whom, why, and what of it changed.

    `next` is the `before` of the next part, null at the end.
    """
    return past.revisions(session, _page(session, slug), before=before, limit=limit)


@router.get("/pages/{slug}/history/{number}", responses=_REFUSED)
def one_revision(slug: Slug, number: _Number, session: Reads) -> dict[str, object]:
    """One version of a page with its text and names."""
    return past.revision(session, _page(session, slug), number)


@router.get("/pages/{slug}/blame", responses=_REFUSED)
def who_wrote_what(
    slug: Slug,
    session: Reads,
    start: Annotated[
        int, Query(ge=0, le=LARGEST_ID, alias="from", description="`next` of the part before")
    ] = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = past.PARAGRAPHS,
) -> dict[str, object]:
    """Each paragraph of a page with the versions that its words come from, the last one first.

    `oldest` is the first version that was read: above 1, what it is said to have written may be older.
    """
    return past.blamed(session, _page(session, slug), start=start, limit=limit)


@router.get("/pages/{slug}/diff", responses=_REFUSED)
def what_changed(
    slug: Slug,
    session: Reads,
    older: Annotated[
        int | None, Query(ge=0, le=LARGEST_ID, alias="from", description="0: from nothing")
    ] = None,
    newer: Annotated[int | None, Query(ge=1, le=LARGEST_ID, alias="to")] = None,
) -> dict[str, object]:
    """What changed between two versions, by line and word; without numbers, by the last one."""
    return past.difference(session, _page(session, slug), older, newer)


@router.get("/pages/{slug}/asof/{day}", responses=_REFUSED)
def page_on_a_day(slug: Slug, day: str, session: Reads, app: TheApp) -> dict[str, object]:
    """A page as it stood at the end of a day (2026-05-14), where the reader is: text, names, links."""
    on = past.day_of(day, app.today())
    return past.then(session, _page(session, slug), on, app.zone)


@router.get("/pages/{slug}/decisions", responses=_REFUSED)
def decided_of_page(
    slug: Slug,
    session: Reads,
    before: _Before = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 50,
) -> dict[str, object]:
    """What was decided of a page's links, newest first, undone or not; `next` as in its history."""
    return past.decisions_of(session, _page(session, slug), before=before, limit=limit)


@router.post("/pages/{slug}/restore", responses=_REFUSED)
def restore_page(
    slug: Slug,
    given: RestoreIn,
    session: Writes,
    app: TheApp,
    if_match: Annotated[str | None, Header()] = None,
) -> Response:
    """Bring an earlier version back as a new one. `If-Match` names the version that was read, or is *.

    Where the page moved on since, the answer is 409 with both texts, and nothing is written.
    """
    page = _page(session, slug)
    base = _base(if_match, page, slug)
    try:
        saved = editing.restore(session, page.slug, given.version, now=app.clock(), base=base)
    except EditConflict as error:
        return _both_texts(error)
    return JSONResponse(as_json(session, saved.page), headers={"ETag": f'"{saved.page.version}"'})


@router.get("/links/{id}/history", responses=_REFUSED)
def history_of_link(
    id: int,
    session: Reads,
    before: _Before = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 200,
) -> dict[str, object]:
    """One link: where it comes from, how it stands, and all that was decided of it, newest first."""
    return past.of_link(session, id, before=before, limit=limit)


# ---------------------------------------------------------------- what happened


@router.get("/activity", responses=_REFUSED)
def what_happened(
    session: Reads,
    app: TheApp,
    kind: Annotated[str, Query(max_length=20)] = "",
    who: Annotated[str, Query(max_length=40)] = "",
    page: Annotated[str, Query(max_length=300)] = "",
    day: Annotated[str, Query(max_length=40)] = "",
    after: Annotated[str, Query(max_length=80)] = "",
    limit: Annotated[int, Query(ge=1, le=1000)] = 50,
) -> dict[str, object]:
    """What happened, newest first: saves, decisions, removals, and what was done as a whole.

    `kind` is save, decision, removal, merge or act; `who` you, machine or a rule (rule:3); `page` an
    address, `day` an ISO day. `next` is the `after` of the next part, null at the end.
    """
    asked = activity.Asked(what=activity.what(kind), who=who, page=page, day=day)
    place = activity.Place.read(after)
    events, more = activity.listed(session, asked, zone=app.zone, after=place, limit=limit)
    return {
        "activity": [activity.as_json(each) for each in events],
        "next": str(more) if more else None,
    }


@router.post("/activity/{act}/undo", responses=_REFUSED)
def undo_act(act: int, session: Writes, app: TheApp) -> dict[str, object]:
    """Take back an import, a delivery or a run as a whole; what was worked on since stays, and is named."""
    return acts.undo(session, act, now=app.clock()).as_json()


# ---------------------------------------------------------------- review


@router.get("/review", responses=_REFUSED)
def proposals(
    request: Request,
    session: Reads,
    thread: Annotated[str, Query(max_length=300)] = "",
    limit: Annotated[int, Query(ge=1, le=1000)] = 50,
    offset: Annotated[int, Query(ge=0, le=1_000_000)] = 0,
    after: Annotated[int, Query(ge=0, le=LARGEST_ID)] = 0,
    tension_after: Annotated[int, Query(ge=0, le=LARGEST_ID)] = 0,
    changes_after: Annotated[int, Query(ge=0, le=LARGEST_ID)] = 0,
    kind: Annotated[
        Literal["", "link", "concept", "thread", "merge", "split", "edit"], Query()
    ] = "",
) -> dict[str, object]:
    """What waits for a decision, the surest first; claims in tension and changes of concepts apart.

    `kind` keeps proposals of one kind: link, concept, merge or split.

    `next` is the `after` of the next part, null at the end; `tension_next` and `changes_next`
    likewise. What is decided
    meanwhile makes the next part neither skip nor repeat, as `offset` would.
    """
    parts = [
        links.proposals(
            session,
            thread=thread,
            tension=tension,
            after=last,
            limit=limit + 1,
            offset=0 if last else offset,
        )
        for tension, last in ((False, after), (True, tension_after))
        if kind in ("", "link")
    ] or [[], []]
    changed = []
    if kind != "link":
        wanted = ChangeKind(kind) if kind else None
        changed = changes.waiting(session, kind=wanted, after=changes_after, limit=limit + 1)
    rows, tensions = (part[:limit] for part in parts)
    further, tensions_further = (part[limit - 1].id if part[limit:] else None for part in parts)
    near = links.resembled(session, [*rows, *tensions])
    return {
        "waiting": facts(request).get(session, "links", lambda: links.count(session), of=("link",)),
        "proposals": [_proposal(row, near[row.id]) for row in rows],
        "next": further,
        "tension": [_proposal(row, near[row.id]) for row in tensions],
        "tension_next": tensions_further,
        "changes": [changes.as_json(row) for row in changed[:limit]],
        "changes_next": changed[limit - 1].id if changed[limit:] else None,
    }


def _proposal(row: Any, resembles: list[dict[str, str]]) -> dict[str, object]:
    return {
        "id": row.id,
        "kind": "link",
        "source": {"slug": row.source_slug, "title": row.source_title},
        "relation": row.relation.value,
        "target": {"slug": row.target_slug, "title": row.target_title},
        "confidence": round(row.confidence, 6),
        "reason": row.reason,
        "evidence": row.evidence,
        "resembles": resembles,
        "signals": row.signals,
        **({"question": row.question_text} if row.question_text else {}),
    }


async def _posted(request: Request) -> dict[str, Any]:
    """What was posted, as JSON or as a form."""
    if request.headers.get("content-type", "").startswith("application/json"):
        try:
            return json.loads(await request.body())  # type: ignore[no-any-return]
        except (ValueError, RecursionError) as error:
            raise Invalid("The body is no JSON.") from error
    form = await request.form()
    given: dict[str, Any] = {k: v for k, v in form.items() if isinstance(v, str)}
    given = {k: v for k, v in given.items() if v or k == "decision"}
    if "members" in form:
        given["members"] = [each for each in form.getlist("members") if each]
    return given


async def _decision(request: Request) -> DecisionIn:
    """The decision of a request on a proposal."""
    try:
        return DecisionIn.model_validate(await _posted(request))
    except ValueError as error:
        raise Invalid(
            "A decision needs `decision`: accept, reject or defer; and may have reason, of a link "
            "relation and target, of a new page title and members, of a thread claim, of a merge swap."
        ) from error


@router.post("/review/{id}", responses=_REFUSED)
def decide(
    id: str, given: Annotated[DecisionIn, Depends(_decision)], session: Writes, app: TheApp
) -> dict[str, object]:
    """Accept, reject or defer a proposal: a link by its number, a change by "c" and its number.

    Form fields or JSON: decision, reason; of a link relation, target; of a new concept or thread
    title, members; of a thread claim; of a merge swap.
    """
    which = review.reference(id)
    made = review.decide(
        session,
        which,
        review.verdict(given.decision, of="link"),
        now=app.clock(),
        reason=given.reason,
        relation=given.relation,
        target=given.target,
        title=given.title,
        members=given.members,
        claim=given.claim,
        swap=given.swap,
    )
    return {
        "id": str(which) if which.change else which.number,
        "decision": made.id,
        "verdict": made.verdict.value,
    }


@router.post("/decisions/{id}/undo", responses=_REFUSED)
def undo(id: int, session: Writes, app: TheApp) -> dict[str, object]:
    """Take back a decision, with all others of the same action."""
    taken = review.undo(session, id, now=app.clock()).decisions
    return {"undone": [each.id for each in taken]}


@router.get("/record", responses=_REFUSED)
def the_record(request: Request, session: Reads, app: TheApp) -> dict[str, object]:
    """How the linker's proposals were decided, by confidence, signal, kind, concept and week."""
    today = app.clock().date()
    return facts(request).get(
        session,
        ("record", "told", today),
        lambda: record.told(session, today=today),
        of=("decision",),
    )


@router.get("/rules", responses=_REFUSED)
def all_rules(session: Reads) -> list[dict[str, object]]:
    """Every rule with what it did, those in force first."""
    return [rules.told(row) for row in stored_rules.listed(session)]


@router.post("/rules", responses={**_REFUSED, 201: {"description": "A new rule"}})
def make_rule(given: RuleIn, session: Writes, app: TheApp) -> Response:
    """Switch a rule on, which accepts what waits at once; with `preview` only say what it would do."""
    wanted = rules.wanted(session, concept=given.concept, least=given.least)
    if given.preview:
        found = rules.preview(session, wanted)
        return JSONResponse(
            {
                "concept": wanted.concept[1] if wanted.concept else None,
                "least": wanted.least,
                "waiting": found.waiting,
                "first": [row.id for row in found.first],
                "decided_by_person": {
                    "count": found.decided.count,
                    "accepted": found.decided.accepted,
                },
            }
        )
    rule, _ = rules.make(session, wanted, now=app.clock())
    [row] = stored_rules.listed(session, rule_id=rule.id)
    return JSONResponse(rules.told(row), 201)


@router.post("/rules/{id}/end", responses=_REFUSED)
def end_rule(id: int, session: Writes, app: TheApp) -> dict[str, object]:
    """Switch a rule off; what it accepted stands."""
    rules.end(session, id, now=app.clock())
    [row] = stored_rules.listed(session, rule_id=id)
    return rules.told(row)


@router.post("/rules/{id}/undo", responses=_REFUSED)
def undo_rule(id: int, session: Writes, app: TheApp) -> dict[str, object]:
    """Take back all that a rule accepted, and end it."""
    taken = rules.undo(session, id, now=app.clock())
    return {"rule": id, "undone": taken.undone, "stay": list(taken.stay)}


@router.get("/papers/{id:path}/candidates", responses=_REFUSED)
def candidates(
    id: str,
    session: Reads,
    app: TheApp,
    limit: Annotated[int, Query(ge=1, le=100)] = 10,
) -> dict[str, object]:
    """What the linker thinks a kept paper is about, below the floor too; nothing is stored."""
    if not id.strip():
        raise NotFound("Name a paper: arxiv:…, doi:… or its page.")
    work = linker.read(session, app.index, [linker.page_of(session, id)], app.library)
    names = papers.references(session, [*work.papers, *(each.id for each in work.concepts)])
    ranked = linker.rank_papers(work, app.weights_in_force(session), limit=limit)
    near = links.named(session, linker.resembled(ranked))
    found = linker.as_json(ranked, names, near)
    return {
        "paper": id,
        "candidates": [{k: v for k, v in each.items() if k != "paper"} for each in found],
    }


# ---------------------------------------------------------------- triage


@router.get("/triage", responses=_REFUSED)
def triaged(session: Reads, day: Annotated[str, Query(max_length=40)] = "") -> dict[str, object]:
    """The papers of a day's listing by how likely you keep them; of the newest without a day.

    `unassessed` counts papers that wait without marks: the worker is about to give them some.
    """
    which = triage.day_asked(session, day)
    return {
        "day": which,
        "unassessed": assessments.count_unassessed(session, which),
        "papers": [triage.as_json(row) for row in assessments.of_day(session, which)],
    }


async def _of_paper(request: Request) -> PaperDecisionIn:
    """The decision of a request on a paper of the Inbox."""
    try:
        return PaperDecisionIn.model_validate(await _posted(request))
    except ValueError as error:
        raise Invalid(
            "A decision needs `decision`: keep, drop or defer; and may have a reason."
        ) from error


@router.post("/inbox/{id:path}", responses=_REFUSED)
def decide_paper(
    id: str, given: Annotated[PaperDecisionIn, Depends(_of_paper)], session: Writes, app: TheApp
) -> dict[str, object]:
    """Keep, drop or put off a paper that waits: arxiv:…, doi:… or its name. Form fields or JSON."""
    verdict = review.verdict(given.decision, of="paper")
    paper = papers.named(session, id)
    if paper is None or paper.id is None:
        raise NotFound(f"There is no paper {id[:100]!r}. Name it arxiv:…, doi:… or by its page.")
    made = review.decide_paper(session, paper.id, verdict, now=app.clock(), reason=given.reason)
    return {"paper": id, "decision": made.id, "verdict": made.verdict.value}


@router.get("/topics", responses=_REFUSED)
def all_topics(request: Request, session: Reads, app: TheApp) -> list[dict[str, object]]:
    """Every topic in its order with its record, by week too, and the threshold that asks for."""
    found = recorded(request, session, app)
    return [
        registry.told(topic, found.get(topic.id, stored_topics.Record()))
        for topic in stored_topics.listed(session)
    ]


@router.put("/topics/{id}", responses={**_REFUSED, 201: {"description": "A new topic"}})
def save_topic(
    id: str,
    given: TopicIn,
    session: Writes,
    app: TheApp,
    if_match: Annotated[str | None, Header()] = None,
) -> Response:
    """Save a topic, or make one. `If-Match` names the state the edit began from (its `etag`), or *."""
    standing = stored_topics.find(session, id)
    if standing is None:
        made = registry.make(session, registry.wanted(given.over({"id": id})))
    else:
        base = (if_match or "").strip().removeprefix("W/").strip('"')
        if not base:
            raise Invalid(
                "This topic exists: send If-Match with the etag that the list gave, or *.",
                fields={"If-Match": "Send the etag that the list gave."},
            )
        base = registry.base_of(standing) if base == "*" else base
        asked = registry.wanted(given.over(registry.fields_of(standing)), topic_id=id)
        made = registry.save(session, asked, base=base)
    if given.retired is not None and given.retired != made.retired:
        made = registry.retire(session, id, retired=given.retired, base=registry.base_of(made))
    record = stored_topics.records(session, today=app.today())[made.id]
    return JSONResponse(
        registry.told(made, record),
        200 if standing else 201,
        headers={"ETag": f'"{registry.base_of(made)}"'},
    )


@router.post("/topics/{id}/try", responses=_REFUSED)
def try_topic(id: str, given: TrialIn, app: TheApp) -> dict[str, object]:
    """What a day would be with a topic as given, new or changed, or retired; nothing is stored."""
    with reading(app.engine) as session:
        standing = stored_topics.find(session, id)
        asked = None
        if not given.retired:
            kept = registry.fields_of(standing) if standing else {"id": id}
            asked = registry.wanted(given.over(kept), topic_id=id if standing else "")
        work = registry.read(session, asked, topic_id=id, day=given.day)
    return registry.trial_told(registry.think(work, app.query_encoder))


# ---------------------------------------------------------------- sources


class SourceIn(BaseModel):
    """A source to subscribe to."""

    address: str = Field(
        max_length=2000, description="An address, or words: cs.CL, r/MachineLearning"
    )
    connector: str = Field(
        "", max_length=40, description="Outright; empty: whatever is found there"
    )
    options: dict[str, str | int | float | bool] = Field(default_factory=dict, max_length=50)
    name: str = Field("", max_length=200)
    every_minutes: int | None = Field(None, description="From 5 to 44,640; empty: as is polite")
    preview: bool = Field(False, description="Only say what would come in")


class SourceEdit(BaseModel):
    """What is to change of a source. What is left out stays as it is."""

    name: str | None = Field(None, max_length=200)
    every_minutes: int | None = None
    options: dict[str, str | int | float | bool] | None = Field(None, max_length=50)


class DaysIn(BaseModel):
    """Days of a back-fill, inclusive; without them what is new."""

    model_config = ConfigDict(populate_by_name=True)

    first: str = Field("", alias="from", max_length=40, description="A day like 2026-05-14")
    last: str = Field("", alias="to", max_length=40, description="Default: the first")


@router.get("/sources", responses=_REFUSED)
def all_sources(request: Request, session: Reads) -> list[dict[str, object]]:
    """Every source that is fetched: how it stands, what it brought, when it is tried next."""
    counts = facts(request).get(
        session, "source counts", lambda: stored_sources.counted(session), of=()
    )
    counts = stored_sources.recounted(session, counts)
    return [fetching.told(row) for row in stored_sources.listed(session, counts=counts)]


@router.post("/sources", responses={**_REFUSED, 201: {"description": "A new source"}})
def add_source(given: SourceIn, app: TheApp) -> Response:
    """Subscribe to what an address leads to: of a list of feeds to each, else to the likeliest.

    With `preview` say what would come in, and keep nothing.
    """
    if given.connector:
        found, is_list = [fetching.named(app, given.address, connector=given.connector)], False
    else:
        found, is_list = fetching.find_all(app, given.address)
    chosen = [
        fetching.with_choices(each, options=given.options, name="" if is_list else given.name)
        for each in (found if is_list else found[:1])
    ]
    if given.preview:
        return _json([fetching.preview(app, each).as_json() for each in chosen[:1]], 200)
    with writing(app.engine) as session:
        made = []
        for each in chosen:
            try:
                source = subscriptions.add(
                    session,
                    each,
                    connectors=app.connectors,
                    every_minutes=given.every_minutes,
                    now=app.clock(),
                )
            except Conflict:
                if not is_list:
                    raise
                continue
            made.append(fetching.told(stored_sources.of(session, source.id or 0, counts={})))
    return _json(made, 201)


def _json(value: object, status: int) -> Response:
    return JSONResponse(jsonable_encoder(value), status)


@router.get("/sources/{id}", responses=_REFUSED)
def one_source(id: int, session: Reads) -> dict[str, object]:
    """A source with its last fetches, and what each brought."""
    row = stored_sources.of(session, id)
    fetches = stored_sources.fetches(session, id)
    brought = stored_sources.brought(session, [each.id or 0 for each in fetches])
    told = [fetching.fetch_told(each, brought.get(each.id or 0)) for each in fetches]
    return fetching.told(row) | {"fetches": told}


@router.put("/sources/{id}", responses=_REFUSED)
def edit_source(id: int, given: SourceEdit, session: Writes, app: TheApp) -> dict[str, object]:
    """Change a source. With other options it is fetched like one that is new."""
    subscriptions.edit(
        session,
        id,
        connectors=app.connectors,
        name=given.name,
        every_minutes=given.every_minutes,
        options=given.options,
        now=app.clock(),
    )
    return fetching.told(stored_sources.of(session, id))


@router.delete("/sources/{id}", responses=_REFUSED)
def remove_source(id: int, session: Writes, app: TheApp) -> dict[str, object]:
    """Fetch a source no more; what came in from it stays."""
    return {"source": id, "words": subscriptions.remove(session, id, now=app.clock())}


@router.post("/sources/{id}/pause", responses=_REFUSED)
def pause_source(id: int, session: Writes) -> dict[str, object]:
    """Fetch a source no more by itself, until it is resumed."""
    subscriptions.pause(session, id)
    return fetching.told(stored_sources.of(session, id))


@router.post("/sources/{id}/resume", responses=_REFUSED)
def resume_source(id: int, session: Writes, app: TheApp) -> dict[str, object]:
    """Fetch a source by itself again, whatever stopped it."""
    subscriptions.resume(session, id, now=app.clock())
    return fetching.told(stored_sources.of(session, id))


@router.post("/sources/{id}/fetch", responses={**_REFUSED, 202: {"description": "It waits"}})
def fetch_source(id: int, given: DaysIn, session: Writes, app: TheApp) -> Response:
    """Ask for what is new of a source, or for what it had on a range of days; a worker fetches it."""
    if given.last and not given.first:
        raise Invalid("Say where the days begin.", fields={"from": "A day like 2026-05-14."})
    if given.first:
        fetch = subscriptions.backfill(
            session, id, given.first, given.last, today=app.today(), now=app.clock()
        )
    else:
        fetch = subscriptions.ask(session, id, now=app.clock())
    return _json(fetching.fetch_told(fetch), 202)


@router.post("/fetches/{id}/cancel", responses=_REFUSED)
def cancel_fetch(id: int, session: Writes, app: TheApp) -> dict[str, object]:
    """End a fetch: at once when it waits, after its present request when it runs."""
    return fetching.fetch_told(subscriptions.cancel(session, id, now=app.clock()))


# ---------------------------------------------------------------- threads, graph, health


@router.get("/threads", responses=_REFUSED)
def all_threads(
    request: Request,
    session: Reads,
    app: TheApp,
    q: Annotated[str, Query(max_length=2_000, description="Words, or a sentence")] = "",
    status: Annotated[str, Query(description="growing, dormant, contradicted or closed")] = "",
    moved: Annotated[str, Query(description="week: with a new member in the last week")] = "",
    between: Annotated[str, Query(max_length=2_000, description="Concepts, with commas")] = "",
    asof: Annotated[str, Query(description="A day; without one, today")] = "",
    members: bool = False,
) -> list[dict[str, object]]:
    """Threads with their computed counters: the best match first, without `q` the last moved.

    Words and meaning are looked for in claims and in members. A thread is between concepts when it
    has members about each of them. As of a day, members that joined later do not count.
    """
    if moved not in ("", "week"):
        raise Invalid("Threads moved this week, or any: moved is week.", fields={"moved": "week"})
    asked = Listed(q, status.strip(), moved == "week", named_in(between), asof.strip())
    found = look_for(request, session, app, asked)
    return keeping.as_json(session, found.rows, until=found.day, members=members)


@router.get("/threads/{slug}", responses=_REFUSED)
def one_thread(
    request: Request,
    session: Reads,
    app: TheApp,
    slug: str,
    asof: Annotated[str, Query(description="A day; without one, today")] = "",
) -> dict[str, object]:
    """A thread with its counters, concepts and members, also as they stood on a day."""
    found = look_for(request, session, app, Listed(asof=asof.strip()))
    page = keeping.get(session, slug)
    rows = [row for row in found.rows if row.page_id == page.id]
    [told] = keeping.as_json(session, rows, until=found.day, members=True)
    return told


@router.get("/questions", responses=_REFUSED)
def all_questions(
    session: Reads,
    state: Annotated[str, Query(description="open, partly, answered or all")] = "open",
    thread: Annotated[str, Query(max_length=300)] = "",
    concept: Annotated[str, Query(max_length=300)] = "",
    before: Annotated[int, Query(ge=0, le=LARGEST_ID, description="Id of the last one seen")] = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> list[dict[str, object]]:
    """What pages leave open, the newest first; of a thread and its members, or about a concept."""
    known = [each.value for each in QuestionState]
    if state not in (*known, "all"):
        raise Invalid(f"{state[:40]!r} is no state of a question: {', '.join(known)} or all.")
    rows = stored_questions.listed(
        session,
        state=None if state == "all" else QuestionState(state),
        thread=thread,
        concept=concept,
        before=before,
        limit=limit,
    )
    return [questions.as_json(row) for row in rows]


@router.post("/questions/{id}", responses=_REFUSED)
def say_of_question(id: int, given: QuestionIn, session: Writes) -> dict[str, object]:
    """Note how a question stands; `open` takes the word back, and accepted answers count."""
    return questions.as_json(questions.set_state(session, id, given.state))


@router.get("/predictions", responses=_REFUSED)
def all_predictions(
    session: Reads,
    app: TheApp,
    show: Annotated[Literal["open", "due", "resolved"], Query()] = "open",
    after: Annotated[str, Query(max_length=40, description="`place` of the last one seen")] = "",
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> list[dict[str, object]]:
    """Predictions: the open ones, the soonest due first; those that are due; or the judged ones."""
    if show == "due":
        rows = stored_predictions.due(session, until=app.today().isoformat(), limit=limit)
    elif show == "resolved":
        rows = stored_predictions.resolved(session, after=after, limit=limit)
    else:
        rows = stored_predictions.open_ones(session, after=after, limit=limit)
    return [{**predictions.as_json(row), "place": stored_predictions.place_of(row)} for row in rows]


@router.post("/predictions", responses={**_REFUSED, 201: {"description": "A new prediction"}})
def predict(given: PredictionIn, session: Writes, app: TheApp) -> Response:
    """Note what a page foretells."""
    row = predictions.add(
        session,
        given.page,
        given.text,
        due=given.due,
        made=given.made,
        probability=given.probability,
        today=app.today(),
        now=app.clock(),
    )
    return JSONResponse(predictions.as_json(row), 201)


@router.post("/predictions/{id}", responses=_REFUSED)
def judge(id: int, given: JudgementIn, session: Writes, app: TheApp) -> dict[str, object]:
    """Judge a prediction. A quotation has to stand in the text of its page, word for word."""
    row = predictions.resolve(
        session,
        id,
        given.state,
        resolution=given.resolution,
        page=given.page,
        quotation=given.quotation,
        day=given.day,
        today=app.today(),
    )
    return predictions.as_json(row)


@router.get("/digest", responses=_REFUSED)
def newest_digest(session: Reads) -> dict[str, object]:
    """The digest of the newest day that has one."""
    return _digest(session, editions.newest_day(session))


@router.get("/digest/{day}", responses=_REFUSED)
def one_digest(session: Reads, app: TheApp, day: str) -> dict[str, object]:
    """The digest of a day (2026-05-14) or a month (2026-05), with the text of its page.

    A month that runs has no page yet: it is told as it stands.
    """
    if is_month(day):
        told = months.shown(session, day, today=app.today(), zone=app.zone)
        if told.page_id is None:
            title = f"Digest of {in_words(day)}"
            return told.document.as_json() | {"title": title, "teller": "local", "text": told.body}
    return _digest(session, day)


@router.post("/digest/{day}", responses=_REFUSED)
def tell_day(session: Writes, app: TheApp, day: str) -> dict[str, object]:
    """Tell a day from what is stored, or tell it anew; what a person edited is not told over."""
    telling.tell_again(session, day, zone=app.settings.zone, now=app.clock())
    session.flush()
    return _digest(session, day)


def _digest(session: Session, day: str) -> dict[str, object]:
    found = editions.of_day(session, day)
    told = editions.document(session, found.page_id).as_json()
    return told | {"title": found.title, "teller": found.teller, "text": found.body}


@router.get("/atlas", responses=_REFUSED)
def the_atlas(
    request: Request,
    session: Reads,
    app: TheApp,
    range: Annotated[str, Query(description="12-weeks, 6-months, year or all")] = "12-weeks",
    of: Annotated[str, Query(description="picked, kept or came")] = "picked",
    asof: Annotated[str, Query(description="A day; without one, today")] = "",
) -> dict[str, object]:
    """Papers by topic and week, what grew and faded, sources, and what was kept.

    Weeks begin on a Monday. `change` is how many times doubled a share of all papers is, drawn
    towards 0 where papers are few; `sure` where chance alone hardly does as much.
    """
    return atlas.as_json(request, session, app, range=range, of=of, asof=asof)


@router.get("/graph", responses=_REFUSED)
def graph(
    session: Reads,
    app: TheApp,
    focus: Annotated[str, Query(max_length=300)] = "",
    depth: Annotated[int, Query(ge=1, le=3)] = 2,
    limit: Annotated[int, Query(ge=1, le=graphs.MOST_NODES)] = graphs.MOST_NODES,
    kind: str = "",
    thread: str = "",
    since: str = "",
    asof: str = "",
) -> dict[str, object]:
    """The neighbourhood of a page, or the pages of the highest rank, with the links among them.

    At most 300 nodes, the highest PageRank first: from the focus where there is one. `left_out`
    counts those there was no room for. `since` and `asof` are days: links that came to stand
    from then on, and links as they stood at the end of that day.
    """
    wanted = graphs.filters(
        kind=kind, thread=thread, since=since, asof=asof, today=app.today(), zone=app.zone
    )
    if focus.strip():
        page = _page(session, focus)
        picture = graphs.around(session, app.graph, page, wanted, depth=depth, limit=limit)
    else:
        picture = graphs.whole(session, app.graph, wanted, limit=limit)
    return {
        "focus": picture.focus,
        "nodes": [_node(node) for node in picture.nodes],
        "edges": [
            {
                "source": edge.source,
                "target": edge.target,
                "relation": edge.relation,
                "status": edge.status,
                "weight": round(edge.weight, 6),
            }
            for edge in picture.edges
        ],
        "left_out": picture.left_out,
    }


def _node(node: graphs.Node) -> dict[str, object]:
    at = {} if node.distance is None else {"distance": node.distance}
    return {
        "slug": node.slug,
        "title": node.title,
        "kind": node.kind.value,
        "community": node.community,
        "score": float(f"{node.score:.6g}"),
        **at,
    }


@router.get("/costs", responses=_REFUSED)
def spent(session: Reads, app: TheApp) -> dict[str, object]:
    """What calls of the model cost, by day, month and use, the budgets, and the prices in force."""
    return costs.told(session, app.llm_in_force(session), app.today().isoformat())


@router.get("/health", responses=_REFUSED)
def checks(session: Reads, app: TheApp) -> dict[str, object]:
    """Whether what is stored, what is derived from it and what the texts say agree.

    `ok` is of what is stored; `texts` lists what wants a hand, each with its fix.
    """
    findings = health.check(session, raw_folder=app.raw_folder)
    kept = backup.kept(session, app.settings.data)
    findings.append(health.Finding("backups", not (kept.on and kept.trouble), kept.says))
    return {
        "ok": all(finding.ok for finding in findings),
        "checks": [{"check": f.check, "ok": f.ok, "says": f.says} for f in findings],
        "texts": health.as_json(health.lint(session, app.zone)),
    }
