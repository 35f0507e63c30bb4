"""The floor of bench/web.py: the rows of each screen by raw sqlite3, in one Jinja template."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from jinja2 import Environment

_TEMPLATE = Environment(autoescape=True).from_string(
    "<!doctype html><html lang=en><title>floor</title><body><nav>{% for n in nav %}<a href=/>{{ n }}</a>"
    "{% endfor %}</nav><ul>{% for row in rows %}<li>{% for value in row %}<p>{{ value }}</p>{% endfor %}"
    "</li>{% endfor %}</ul></body></html>"
)
_PATH = Path(os.environ.get("CEREBRO_DATA", "data")) / "cerebro.sqlite3"
_connection = sqlite3.connect(f"file:{_PATH}?mode=ro", uri=True, check_same_thread=False)

_PAGE = """SELECT title, body, (SELECT abstract FROM paper WHERE page_id = page.id) FROM page
WHERE slug = ?"""
_BACKLINKS = """SELECT page.title, link.relation, link.evidence FROM link
JOIN page ON page.id = link.source_id JOIN page target ON target.id = link.target_id
WHERE target.slug = ? AND link.status = 'accepted' LIMIT 50"""
_REVIEW = """SELECT a.title, link.relation, b.title, link.confidence, link.evidence FROM link
JOIN page a ON a.id = link.source_id JOIN page b ON b.id = link.target_id
WHERE link.status = 'proposed' ORDER BY link.confidence DESC LIMIT 50"""
_SEARCH = """SELECT page.title, page.kind, snippet(page_fts, 2, '', '', '…', 20) FROM page_fts
JOIN page ON page.id = page_fts.rowid WHERE page_fts MATCH ? ORDER BY bm25(page_fts, 5, 3, 1) LIMIT 20"""
_INDEX = "SELECT title, kind, updated_at FROM page ORDER BY title_key LIMIT 100 OFFSET ?"
_NAV = """SELECT (SELECT count(*) FROM paper WHERE state = 'waiting'),
(SELECT count(*) FROM link WHERE status = 'proposed'), (SELECT count(*) FROM page WHERE kind = 'thread')"""


def _rows(path: str, query: dict[str, list[str]]) -> list[Any]:
    if path.startswith("/w/"):
        slug = path[3:]
        return _all(_PAGE, slug) + _all(_BACKLINKS, slug)
    if path == "/review":
        return _all(_REVIEW)
    if path in ("/search", "/_/palette"):
        return _all(_SEARCH, f'"{query["q"][0]}"')
    if path == "/pages":
        return _all(_INDEX, 100 * (int(query["page"][0]) - 1))
    return []


def _all(statement: str, *values: object) -> list[Any]:
    return _connection.execute(statement, values).fetchall()


async def application(
    scope: dict[str, Any],
    receive: Callable[[], Awaitable[Any]],
    send: Callable[[dict[str, Any]], Awaitable[None]],
) -> None:
    """A bare ASGI application."""
    if scope["type"] != "http":
        return
    rows = _rows(scope["path"], parse_qs(scope["query_string"].decode()))
    body = _TEMPLATE.render(nav=_all(_NAV)[0], rows=rows).encode()
    headers = [(b"content-type", b"text/html; charset=utf-8")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
