"""Questions: the list of what pages leave open, and the small form that says how one stands."""

from __future__ import annotations

from urllib.parse import urlencode

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from app.domain.records import QuestionState
from app.services import questions as service
from app.store import pages
from app.store import questions as store
from app.store.db import LARGEST_ID
from app.web.deps import Form, Reads, UnlessKnown, Writes, facts, text, whole
from app.web.rows import back_to, question_rows
from app.web.templating import page as screen

router = APIRouter(include_in_schema=False)


@router.get("/questions", dependencies=[UnlessKnown])
def listed(request: Request, session: Reads) -> Response:
    """Open questions, the newest first; or those of another state, of a thread or about a concept."""
    query = request.query_params
    given = query.get("state", "open")
    state = QuestionState(given) if given in {each.value for each in QuestionState} else None
    kept = {name: query[name][:300] for name in ("thread", "concept") if query.get(name)}
    chosen = state.value if state else "all"
    before = whole(query.get("before", ""), 0, most=LARGEST_ID)
    rows = store.listed(
        session,
        state=state,
        thread=kept.get("thread", ""),
        concept=kept.get("concept", ""),
        before=before,
        limit=store.PER_PAGE + 1,
    )
    shown = rows[: store.PER_PAGE]
    counts: dict[QuestionState, int] | None = None
    if not kept:
        counts = facts(request).get(
            session,
            "questions",
            lambda: store.counts(session),
            of=("link", "page", "question"),
        )
    only = [
        {"name": name, "slug": slug, "title": found.title if found else slug}
        for name, slug in kept.items()
        for found in [pages.by_slug(session, slug)]
    ]
    here = _url(chosen, kept, before=before)
    return screen(
        request,
        "questions/page.html",
        rows=question_rows(shown),
        tabs=[
            (_url(each, kept), words, number, each == chosen)
            for each, words, number in _tabs(counts)
        ],
        chosen=chosen,
        only=only,
        back=here,
        first=_url(chosen, kept) if before else None,
        more=_url(chosen, kept, before=shown[-1].id) if rows[store.PER_PAGE :] else None,
    )


def _tabs(counts: dict[QuestionState, int] | None) -> list[tuple[str, str, int | None]]:
    words = {"open": "Open", "partly": "Partly answered", "answered": "Answered"}
    found: list[tuple[str, str, int | None]] = [
        (state.value, words[state.value], counts[state] if counts else None)
        for state in QuestionState
    ]
    return [*found, ("all", "All", sum(counts.values()) if counts else None)]


def _url(state: str, kept: dict[str, str], *, before: int = 0) -> str:
    fields = {"state": "" if state == "open" else state, **kept}
    fields["before"] = str(before) if before else ""
    query = urlencode({name: value for name, value in fields.items() if value})
    return f"/questions?{query}" if query else "/questions"


@router.post("/questions/{question_id}")
def say(question_id: int, form: Form, session: Writes) -> Response:
    """Note the reader's word on a question."""
    row = service.set_state(session, question_id, text(form, "state"))
    return RedirectResponse(back_to(text(form, "back"), f"/w/{row.slug}") + f"#q{row.id}", 303)
