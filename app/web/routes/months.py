"""The overview of a month: what its days left behind, with the days themselves."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from app.domain.identifiers import whole_day
from app.domain.months import in_words
from app.errors import Invalid, NotFound
from app.reading import rendered
from app.rendering import Rendered
from app.services import months
from app.services.months import Told
from app.store import months as found
from app.store import pages
from app.web.deps import Reads, TheApp, UnlessKnown, facts
from app.web.templating import page

router = APIRouter(include_in_schema=False)


@router.get("/digest")
def newest(session: Reads) -> Response:
    """The newest month in which something came in; Today, which says so, where nothing ever did."""
    month = found.newest(session)
    return RedirectResponse(f"/digest/{month}" if month else "/", 303)


@router.get("/digest/{month}", dependencies=[UnlessKnown])
def month(request: Request, session: Reads, app: TheApp, month: str) -> Response:
    """A month told: its page, or while it runs what its days say so far. A day leads to that day.

    Raises NotFound.
    """
    if whole_day(month):
        return RedirectResponse(f"/today/{month}", 303)
    today = app.today()

    def made() -> tuple[Told, Rendered]:
        told = months.shown(session, month, today=today, zone=app.zone)
        return told, rendered(session, told.body, app.zone)

    try:
        told, text = facts(request).get(session, ("month", month, today), made, of=_SHOWN)
    except Invalid as error:
        raise NotFound("A month is written year and month: /digest/2026-05.") from error
    except NotFound as error:
        raise NotFound(f"{error} {_nearest(found.beside(session, month))}".strip()) from None
    previous, following = found.beside(session, month)
    slug = pages.rows_of(session, [told.page_id])[0].slug if told.page_id else ""
    return page(
        request,
        "digests/month.html",
        month=month,
        words=in_words(month),
        previous=previous,
        next=following,
        previous_words=in_words(previous) if previous else "",
        next_words=in_words(following) if following else "",
        running=told.running,
        slug=slug,
        body=text.html,
        contents=text.contents,
        listed=found.has_listing(session, month),
    )


# What a month is told from, and what its links and counters lead to.
_SHOWN = (
    *("alias", "decision", "digest", "link", "model_call", "page", "paper"),
    *("prediction", "question"),
)


def _nearest(beside: tuple[str, str]) -> str:
    near = [f"/digest/{each}" for each in beside if each]
    return f"The nearest months are at {' and '.join(near)}." if near else ""
