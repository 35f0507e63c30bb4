"""How a screen becomes HTML: the template environment, its filters, and errors as pages.

It owns the rule of what is a whole page and what a part of one, and turns every error into an
answer a person can use. It asks no database anything: counts and texts are given to it.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from jinja2 import Environment, FileSystemLoader
from markupsafe import Markup, escape
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException

from app import errors
from app.domain.money import dollars
from app.domain.records import Relation
from app.domain.untrusted import plain as visible
from app.rendering import plain_title, render_abstract, render_title
from app.web.assets import Assets

log = logging.getLogger("cerebro.web")

TEMPLATES = Path(__file__).parent / "templates"
RELATION_WORDS: Mapping[str, str] = {
    Relation.ABOUT: "is about",
    Relation.PART_OF: "belongs to",
    Relation.EXTENDS: "extends",
    Relation.CONFIRMS: "confirms",
    Relation.CONTRADICTS: "contradicts",
    Relation.USES: "uses",
    Relation.COMPARES: "compares with",
    Relation.ANSWERS: "answers",
    Relation.COVERS: "covers",
    Relation.RECOMMENDS: "recommends",
    Relation.BROADER: "is a kind of",
    Relation.RELATED: "is related to",
    Relation.MENTIONS: "mentions",
}


@dataclass(frozen=True, kw_only=True)
class Nav:
    """What the navigation counts. None leaves a number out; "" leaves a line out."""

    today: int | None = None
    inbox: int | None = None
    review: int | None = None
    pages: int | None = None
    threads: int | None = None
    job: str = ""
    sources: str = ""
    cost: str = ""


@dataclass(frozen=True, kw_only=True)
class Failure:
    """An error as a person reads it: what happened, what was kept, what to do.

    `write` is the address of a page that is not there and could be written. `posted` is what the
    reader had sent: (field, value, whether it is words of theirs), to be sent again to `action`.
    """

    status: int
    code: str
    heading: str
    message: str
    kept: str = ""
    todo: str = ""
    write: str = ""
    id: str = ""
    fields: Mapping[str, str] = field(default_factory=dict)
    posted: Sequence[tuple[str, str, bool]] = ()
    action: str = ""


# ---------------------------------------------------------------- words


def number(value: object) -> str:
    """12345 -> "12,345"; None -> ""; anything that is no number as it is."""
    if value is None:
        return ""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f"{value:,}"
    return str(value)


def plural(count: int, word: str, many: str = "") -> str:
    """1, "paper" -> "1 paper"; 1086, "paper" -> "1,086 papers"."""
    return f"{count:,} {word if count == 1 else many or word + 's'}"


def every(minutes: int) -> str:
    """How often, in words: 60 -> "every hour", 360 -> "every 6 hours", 10080 -> "every week"."""
    for unit, word in ((7 * 24 * 60, "week"), (24 * 60, "day"), (60, "hour"), (1, "minute")):
        if minutes >= unit and minutes % unit == 0:
            number = minutes // unit
            return f"every {word}" if number == 1 else f"every {number:,} {word}s"
    return ""


def size(bytes_: int) -> str:
    """How large something is: "840 bytes", "12 kB", "3.4 MB"."""
    if bytes_ < 1_000:
        return plural(bytes_, "byte")
    return f"{bytes_ / 1_000:,.0f} kB" if bytes_ < 1_000_000 else f"{bytes_ / 1_000_000:,.1f} MB"


def kind_word(kind: str) -> str:
    """The kind of a page as it is shown: "paper" -> "Paper"."""
    return str(kind).capitalize()


@lru_cache(maxsize=64)
def badge(kind: str) -> Markup:
    """A kind as shape and colour (by CSS) and word."""
    name = escape(kind)
    return Markup(f'<span class="kind {name}">{escape(kind_word(kind))}</span>')


@lru_cache(maxsize=64)
def mark(kind: str) -> Markup:
    """The shape of a kind alone, where the word stands beside it or in the next column."""
    name, word = escape(kind), escape(kind_word(kind))
    hidden = f'<span class="hidden">{word}: </span>'
    return Markup(f'<span class="kind only {name}" title="{word}">{hidden}</span>')


def marked(parts: Iterable[tuple[str, bool]]) -> Markup:
    """Text with its matched words marked, from pieces (text, matched); formulas are laid out."""
    written = (f"<mark>{escape(text)}</mark>" if hit else _laid_out(text) for text, hit in parts)
    return Markup("".join(written))


def _laid_out(text: str) -> Markup:
    """A piece of a sentence, with the blanks around it."""
    inner = text.strip()
    if not inner or ("$" not in inner and "\\" not in inner):
        return escape(text)
    before, _, after = text.partition(inner)
    return escape(before) + render_title(inner) + escape(after)


def relation_words(relation: str) -> str:
    """A relation between its two pages in words: "part-of" -> "belongs to"."""
    return RELATION_WORDS.get(relation, str(relation).replace("-", " "))


def confidence(value: float) -> str:
    return f"{min(value, 0.99):.2f}"


# Of the screen that is being written: when its words about time cease to be true.
_AGES: ContextVar[list[datetime] | None] = ContextVar("ages", default=None)


class Dates:
    """Dates in words, in the reader's time zone. `zone` None is the zone of the system."""

    def __init__(self, clock: Callable[[], datetime], zone: tzinfo | None) -> None:
        self._clock = clock
        self._zone = zone

    def local(self, at: datetime) -> datetime:
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(self._zone)

    def now(self) -> datetime:
        return self.local(self._clock())

    def date(self, value: object) -> str:
        """A date, a moment or ISO text of a year, month or day: "14 May 2026", "May 2026", "2026"."""
        match value:
            case datetime():
                return _day_month(self.local(value)) + f" {self.local(value).year}"
            case date():
                return f"{_day_month(value)} {value.year}"
            case str() if len(value) == 7:
                parsed = _parsed(value + "-01")
                return f"{parsed:%B %Y}" if parsed else value
            case str():
                parsed = _parsed(value[:10])
                return f"{_day_month(parsed)} {parsed.year}" if parsed else value
        return ""

    def day(self, value: object) -> str:
        """A day as a heading: "Thursday 14 May", with the year when it is not this one."""
        parsed = _parsed(value[:10]) if isinstance(value, str) else value
        if isinstance(parsed, datetime):
            parsed = self.local(parsed).date()
        if not isinstance(parsed, date):
            return str(value or "")
        words = f"{parsed:%A} {_day_month(parsed)}"
        return words if parsed.year == self.now().year else f"{words} {parsed.year}"

    def age(self, value: object) -> str:
        """How long ago a moment was, in words; a date when that says more (after two weeks)."""
        if not isinstance(value, datetime):
            return self.date(value)
        at, now = self.local(value), self.now()
        passed, days = now - at, (now.date() - at.date()).days
        if passed < timedelta(0):
            self._holds_until(at)
            return self.date(value)
        if days > 13:
            return self.date(value)
        if passed < timedelta(hours=1):
            minutes = passed.seconds // 60
            self._holds_until(at + timedelta(minutes=minutes + 1))
            return plural(minutes, "minute") + " ago" if minutes else "just now"
        if days == 0:
            hours = passed.seconds // 3600
            self._holds_until(at + timedelta(hours=hours + 1))
            return plural(hours, "hour") + " ago"
        return "yesterday" if days == 1 else f"{days} days ago"

    def soon(self, value: datetime | None) -> str:
        """When a moment to come is: "in 12 minutes", "at 06:10", "tomorrow at 06:10"; "now" if past."""
        if value is None:
            return ""
        at, now = self.local(value), self.now()
        ahead, days = at - now, (at.date() - now.date()).days
        if ahead <= timedelta(0):
            return "now"
        if ahead < timedelta(hours=1):
            minutes = -(-int(ahead.total_seconds()) // 60) or 1
            return "in " + plural(minutes, "minute")
        if days < 2:
            return f"{'tomorrow ' if days else ''}at {at:%H:%M}"
        return f"on {_day_month(at)} at {at:%H:%M}"

    def when(self, value: datetime | None) -> Markup:
        """A moment in words, the exact time behind it; nothing for none."""
        if not value:
            return Markup()
        exact, day, age = iso(value), escape(self.date(value)), escape(self.age(value))
        return Markup(f'<time datetime="{exact}" title="{day}">{age}</time>')

    def midnight(self) -> datetime:
        """When the reader's day ends, and every "today" and "yesterday" with it."""
        tomorrow = self.now().date() + timedelta(days=1)
        return self.local(datetime.combine(tomorrow, time(), self._zone).astimezone(UTC))

    def _holds_until(self, moment: datetime) -> None:
        if told := _AGES.get():
            told.append(moment)

    def clock(self, value: datetime) -> str:
        return f"{self.local(value):%H:%M:%S}"


def iso(value: object) -> str:
    """A moment or date as the `datetime` attribute wants it."""
    return value.isoformat() if isinstance(value, date) else str(value or "")


def _parsed(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def _day_month(value: date) -> str:
    return f"{value.day} {value:%B}"


# ---------------------------------------------------------------- pages and parts


class _Environment(Environment):
    """Jinja's, which for the key of a dictionary first tries, and fails, to find an attribute."""

    def getattr(self, obj: Any, attribute: str) -> Any:
        if type(obj) is dict and attribute in obj:
            return obj[attribute]
        return super().getattr(obj, attribute)


class Templates:
    """The environment of one application; kept at `app.state.templates`."""

    def __init__(
        self,
        *,
        assets: Assets,
        nav: Callable[[Request], Nav],
        clock: Callable[[], datetime],
        zone: tzinfo | None = None,
    ) -> None:
        self._nav = nav
        self._process = secrets.token_hex(8)
        self._dates = Dates(clock, zone)
        self.env = _Environment(
            loader=FileSystemLoader(TEMPLATES),
            autoescape=True,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        self.env.filters.update(
            title=render_title,
            plain=plain_title,
            abstract=render_abstract,
            number=number,
            plural=plural,
            kind=kind_word,
            relation=relation_words,
            confidence=confidence,
            date=self._dates.date,
            day=self._dates.day,
            age=self._dates.age,
            clock=self._dates.clock,
            iso=iso,
            badge=badge,
            mark=mark,
            marked=marked,
            when=self._dates.when,
            soon=self._dates.soon,
            every=every,
            size=size,
            dollars=dollars,
            visible=visible,
        )
        self.env.globals["asset"] = assets.asset

    def render(self, request: Request, name: str, context: Mapping[str, object]) -> str:
        """A template as text, with what every template may use (nav, theme, keys, now, partial)."""
        shared: dict[str, object] = {
            "nav": self._counted(request),
            "theme": _one_of(request.cookies.get("theme"), "light", "dark"),
            "keys": request.cookies.get("keys") != "off",
            "now": self._dates.now(),
            "partial": is_partial(request),
            "request": request,
        }
        return self.env.get_template(name).render(shared | dict(context))

    def tagged(
        self, request: Request, name: str, context: Mapping[str, object]
    ) -> tuple[str, dict[str, str]]:
        """A screen as text, and the headers by which a browser may ask for it again.

        The tag names the state of the wiki, the address and the reader's choices, and says until
        when the words about time on the screen are true: without asking anybody, it is known then
        whether a browser may go on showing what it has.
        """
        ages = [self._dates.midnight()]
        token = _AGES.set(ages)
        try:
            text = self.render(request, name, context)
        finally:
            _AGES.reset(token)
        until = int(min(ages).timestamp())
        return text, {"ETag": f'W/"{request.state.tag}-{until}"', "Cache-Control": CACHING}

    def known(self, request: Request, stands: int) -> str:
        """The tag of a request's If-None-Match that is still true, or ""; notes the request's own.

        `stands` is the wiki's counter of changes. A tag is this process's own: after a restart,
        which may have brought another version, other settings or a restored wiki, none is known.
        """
        theme, keys = request.cookies.get("theme", ""), request.cookies.get("keys", "")
        kind = request.headers.get("hx-request", "") + request.headers.get("hx-request-type", "")
        path = request.url.path + "?" + request.url.query
        named = "\0".join((self._process, str(stands), path, theme, keys, kind))
        request.state.tag = sha256(named.encode()).hexdigest()[:20]
        for each in request.headers.get("if-none-match", "").split(",")[:20]:
            tag, _, until = each.strip().removeprefix("W/").strip('"').partition("-")
            if tag != request.state.tag or not until.isascii() or not until.isdigit():
                continue
            if self._dates.now().timestamp() < int(until[:15]):
                return f'W/"{tag}-{until}"'
        return ""

    def _counted(self, request: Request) -> Nav:
        # An error page must come out even when the database is what failed.
        try:
            return self._nav(request)
        except Exception:
            log.exception("the navigation could not be counted")
            return Nav()


def is_partial(request: Request) -> bool:
    """Whether htmx asked for a part of a page (a history restore and a plain link did not)."""
    return (
        request.headers.get("hx-request") == "true"
        and request.headers.get("hx-request-type") == "partial"
    )


def page(
    request: Request,
    name: str,
    *,
    status_code: int = 200,
    headers: Mapping[str, str] | None = None,
    **context: object,
) -> HTMLResponse:
    """A template as an answer: a whole screen, or a part that was asked for by name."""
    if status_code == 200 and getattr(request.state, "tag", None):
        text, tags = _templates(request).tagged(request, name, context)
        return HTMLResponse(text, 200, {**tags, **(headers or {})})
    text = _rendered(request, name, context)
    return HTMLResponse(text, status_code, dict(headers) if headers else None)


CACHING = "private, no-cache"  # kept by the browser alone, and asked about each time


class NotModified(Exception):
    """Ends a request whose answer the browser has."""

    def __init__(self, tag: str) -> None:
        self.tag = tag


def tagged(request: Request, stands: int) -> None:
    """Give the answer to this request an ETag; raises NotModified when the browser has that answer.

    `stands` is the counter of changes that the answer will be made from, or an earlier one.
    """
    if tag := _templates(request).known(request, stands):
        raise NotModified(tag)


def untagged(request: Request) -> None:
    """This answer shows what no counter counts: it goes out without an ETag after all."""
    request.state.tag = ""


async def _on_known(request: Request, error: Exception) -> Response:
    assert isinstance(error, NotModified)
    return Response(status_code=304, headers={"ETag": error.tag, "Cache-Control": CACHING})


def fragment(
    request: Request, name: str, *, url: str, status_code: int = 200, **context: object
) -> Response:
    """The part `name` for htmx; anyone else is sent on to the page at `url` (303)."""
    if is_partial(request):
        return HTMLResponse(_rendered(request, name, context), status_code)
    return RedirectResponse(url, 303)


def _rendered(request: Request, name: str, context: Mapping[str, object]) -> str:
    return _templates(request).render(request, name, context)


def written(request: Request, name: str, **context: object) -> str:
    """A part of a screen that is written from its own context alone, without navigation or clock."""
    return _templates(request).env.get_template(name).render(context)


def _templates(request: Request) -> Templates:
    return cast(Templates, request.app.state.templates)


def _one_of(value: str | None, *allowed: str) -> str:
    return value if value in allowed else ""


# ---------------------------------------------------------------- errors


def install(
    app: FastAPI,
    *,
    assets: Assets,
    nav: Callable[[Request], Nav],
    clock: Callable[[], datetime],
    zone: tzinfo | None = None,
) -> Templates:
    """Give `app` its templates, and answers in words for every error it knows.

    What nobody foresaw is answered by `crashed`, which the security middleware calls: it stands
    outside of everything that could fail.
    """
    templates = Templates(assets=assets, nav=nav, clock=clock, zone=zone)
    app.state.templates = templates
    app.add_exception_handler(NotModified, _on_known)
    app.add_exception_handler(errors.CerebroError, _on_refusal)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    return templates


def crashed(request: Request, error: Exception) -> Response:
    """The answer to an error nobody foresaw; the log has it under the id that is shown."""
    failure = Failure(
        status=500,
        code="internal",
        heading="Something went wrong here",
        message="This is a fault of the program, not yours.",
        kept="What was saved before is safe; this last step was not done.",
        todo="Try once more. If it stays, the log says where it happened.",
        id=_new_id(),
    )
    log.error("%s %r failed, id %s", request.method, _path(request), failure.id, exc_info=error)
    return answer(request, failure)


def answer(request: Request, failure: Failure) -> Response:
    """A failure as JSON for programs, as a line for a part of a page, as a page otherwise."""
    if _path(request).startswith("/api/"):
        told = {"code": failure.code, "message": failure.message, "id": failure.id}
        if failure.fields:
            return JSONResponse({"error": told | {"fields": dict(failure.fields)}}, failure.status)
        return JSONResponse({"error": told}, failure.status)
    if is_partial(request):
        return page(request, "errors/_alert.html", status_code=failure.status, error=failure)
    again = getattr(request.state, "again", None)
    if failure.status >= 500 and again is not None:
        try:
            return cast(Response, again(failure))
        except Exception:
            log.exception("the form could not be shown again")
    posted = _posted(request)
    if failure.status >= 500 or any(words for _, _, words in posted):
        failure = replace(failure, posted=posted, action=_address(request))
    return page(request, "errors/page.html", status_code=failure.status, error=failure)


def keep(request: Request, form: FormData) -> None:
    """Remember what was posted: whatever becomes of it, the answer can show it again."""
    request.state.posted = form


def keep_form(request: Request, again: Callable[[Failure], Response]) -> None:
    """Where this request fails for no fault of its own, `again` shows its form with what was written."""
    request.state.again = again


def _posted(request: Request) -> list[tuple[str, str, bool]]:
    """The fields of a posted form, in order; files are not kept, nor a password."""
    form = getattr(request.state, "posted", None)
    if form is None or request.method != "POST":
        return []
    return [
        (name, value, len(value) > 40 or len(value.split()) > 1)
        for name, value in form.multi_items()
        if isinstance(value, str) and "password" not in name
    ]


def _address(request: Request) -> str:
    query = request.scope.get("query_string", b"").decode("latin-1")
    return quote(_path(request)) + (f"?{query}" if query else "")


_REFUSALS: tuple[tuple[type[errors.CerebroError], int, str, str], ...] = (
    (errors.Gone, 410, "That was removed", "Put it back, or begin at Today."),
    (errors.NotFound, 404, "Not found", "Search for it by its title, or begin at Today."),
    (errors.Invalid, 422, "That does not work", "Go back, put it right and send it again."),
    (errors.Conflict, 409, "That cannot be done now", "Load the page again to see how it stands."),
    (errors.Unreadable, 415, "This could not be read", "Check that the file is whole."),
    # No fault of ours, and nothing of ours is amiss: what was asked for did not come.
    (errors.NotFetched, 422, "That did not come", "Look at the address, or try again later."),
    (errors.Unavailable, 503, "Not available now", "Try again in a moment."),
)


def _on_refusal(request: Request, error: Exception) -> Response:
    status, heading, todo = next(
        (
            (status, heading, todo)
            for kind, status, heading, todo in _REFUSALS
            if isinstance(error, kind)
        ),
        (500, "Something is set up wrong", "The log says more."),
    )
    if status == 503 and "disk is full" in str(error):
        status = 507
    return _told(
        request,
        Failure(
            status=status,
            code=getattr(error, "code", "error"),
            heading=heading,
            message=str(error) or heading + ".",
            kept=_kept(request),
            todo=todo,
            write=error.slug if isinstance(error, errors.NotFound) else "",
            id=_new_id(),
            fields=error.fields if isinstance(error, errors.Invalid) else {},
        ),
    )


_HTTP: Mapping[int, tuple[str, str, str]] = {
    400: ("bad_request", "That was not understood", "The request is not well formed."),
    401: ("unauthorized", "Sign in first", "This wiki asks for its password."),
    403: ("forbidden", "Not allowed", "This request may not be made from there."),
    404: ("not_found", "Nothing is here", "No page has this address."),
    405: ("method_not_allowed", "Not that way", "This address cannot be used in that way."),
    413: ("too_large", "Too large", "That is more than this wiki takes at once."),
    415: (
        "unsupported_media_type",
        "This could not be read",
        "That kind of data is not taken here.",
    ),
    429: ("too_many", "Too many tries", "Wait a minute, then try again."),
}


def _on_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code < 400:
        return Response(status_code=error.status_code, headers=error.headers)
    code, heading, message = _HTTP.get(
        error.status_code, ("error", "That did not work", "The request could not be answered.")
    )
    failure = Failure(
        status=error.status_code,
        code=code,
        heading=heading,
        message=message,
        kept=_kept(request),
        todo="Search for it, or begin at Today." if error.status_code == 404 else "",
        id=_new_id(),
    )
    response = _told(request, failure)
    response.headers.update(error.headers or {})
    return response


def _on_invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    fields = {_field(each["loc"]): _sentence(each["msg"]) for each in error.errors()}
    return _told(
        request,
        Failure(
            status=422,
            code="invalid",
            heading="That does not work",
            message=f"The request has {plural(len(fields), 'field')} that cannot be used: "
            + ", ".join(fields)
            + ".",
            kept=_kept(request),
            todo="Go back, put it right and send it again.",
            id=_new_id(),
            fields=fields,
        ),
    )


def _told(request: Request, failure: Failure) -> Response:
    level = logging.ERROR if failure.status >= 500 else logging.INFO
    log.log(
        level,
        "%s %r: %d %r, id %s",
        request.method,
        _path(request),
        failure.status,
        failure.message,
        failure.id,
    )
    return answer(request, failure)


def _kept(request: Request) -> str:
    return "" if request.method in ("GET", "HEAD") else "Nothing was changed."


def _field(location: tuple[Any, ...]) -> str:
    return ".".join(str(part) for part in location[1:] or location)


def _sentence(message: str) -> str:
    return message[:1].upper() + message[1:].rstrip(".") + "."


def _path(request: Request) -> str:
    # Never request.url: it believes the Host header.
    return str(request.scope.get("path", ""))


def _new_id() -> str:
    return secrets.token_hex(4)
