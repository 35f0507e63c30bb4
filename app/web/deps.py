"""What routes are given: the App, a session to read, a session to write, and small readers of forms.

Also what is remembered between requests, and the answer to a browser that has a screen already.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, cast

from fastapi import Depends, Request
from sqlmodel import Session
from starlette.datastructures import FormData

from app.bootstrap import App
from app.store.db import reading, writing
from app.web.memory import Bodies, Facts, Fragments, Sent, changes
from app.web.templating import is_partial, keep, tagged


def the_app(request: Request) -> App:
    return cast(App, request.app.state.app)


def _reads(request: Request) -> Iterator[Session]:
    with reading(the_app(request).engine) as session:
        request.state.reads = session  # the navigation is counted in it too
        try:
            yield session
        finally:
            request.state.reads = None


def _writes(request: Request) -> Iterator[Session]:
    with writing(the_app(request).engine) as session:
        yield session


async def _form(request: Request) -> FormData:
    """The posted fields, whatever they are: each route says itself what it cannot use."""
    form = await request.form(max_fields=2000, max_files=20)
    keep(request, form)
    return form


def facts(request: Request) -> Facts:
    """What was counted over the whole wiki, until it changes."""
    return cast(Facts, request.app.state.facts)


def bodies(request: Request) -> Bodies:
    """Texts as HTML, as long as they would be written the same."""
    return cast(Bodies, request.app.state.bodies)


def fragments(request: Request) -> Fragments:
    """Parts of screens that have been written before."""
    return cast(Fragments, request.app.state.fragments)


def sent(request: Request) -> Sent:
    """Forms that were sent lately."""
    return cast(Sent, request.app.state.sent)


def _unless_known(request: Request, session: Annotated[Session, Depends(_reads)]) -> None:
    """Answer 304 at once when the browser has this screen of this state of the wiki.

    Only for screens that show nothing but rows of the database, preferences and the day.
    """
    stands = changes(session)
    if stands is not None and not is_partial(request):
        tagged(request, *stands)


TheApp = Annotated[App, Depends(the_app)]
Reads = Annotated[Session, Depends(_reads)]
# Scope "function": the commit happens before the answer leaves, and a failed one is an error.
Writes = Annotated[Session, Depends(_writes, scope="function")]
UnlessKnown = Depends(_unless_known)
Form = Annotated[FormData, Depends(_form)]


def text(form: FormData, name: str, default: str = "") -> str:
    """A posted field as text; the first of several, `default` when it is missing or a file."""
    value: Any = form.get(name, default)
    return value if isinstance(value, str) else default


def lines(form: FormData, name: str) -> tuple[str, ...]:
    """A posted field that holds one value a line."""
    return tuple(line.strip() for line in text(form, name).splitlines() if line.strip())


def whole(value: str, default: int, *, least: int = 0, most: int = 1_000_000_000) -> int:
    """A whole number from a query or form, kept within bounds; `default` for what is none."""
    digits = value.strip()
    if not digits.isascii() or not digits.isdigit() or len(digits) > 12:
        return default
    return max(least, min(most, int(digits)))
