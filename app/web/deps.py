"""What routes are given: the App, a session to read, a session to write, and small readers of forms."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, cast

from fastapi import Depends, Request
from sqlmodel import Session
from starlette.datastructures import FormData

from app.bootstrap import App
from app.store.db import reading, writing


def the_app(request: Request) -> App:
    return cast(App, request.app.state.app)


def _reads(request: Request) -> Iterator[Session]:
    with reading(the_app(request).engine) as session:
        yield session


def _writes(request: Request) -> Iterator[Session]:
    with writing(the_app(request).engine) as session:
        yield session


async def _form(request: Request) -> FormData:
    """The posted fields, whatever they are: each route says itself what it cannot use."""
    return await request.form(max_fields=2000, max_files=20)


TheApp = Annotated[App, Depends(the_app)]
Reads = Annotated[Session, Depends(_reads)]
# Scope "function": the commit happens before the answer leaves, and a failed one is an error.
Writes = Annotated[Session, Depends(_writes, scope="function")]
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
