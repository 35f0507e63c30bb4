"""A site on loopback: an answer for each path, conditional where it has an ETag, 404 for the rest."""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.servers.hostile import Server, Talk


@dataclass
class Page:
    """What a path answers. `location` sends elsewhere; `etag` makes 304 of a request that knows it."""

    body: bytes = b""
    kind: str = "application/xml"
    status: str = "200 OK"
    etag: str = ""
    location: str = ""
    headers: dict[str, str] = field(default_factory=dict)


class Site(Server):
    """`pages` by path (with the query, else without it); they may change while it serves."""

    def __init__(self, pages: dict[str, Page]) -> None:
        self.pages = pages
        super().__init__(self._answer)

    def at(self, path: str) -> str:
        return self.url.rstrip("/") + path

    @property
    def paths(self) -> list[str]:
        """What was asked for, in order."""
        return [asked.path for asked in self.asked]

    def _answer(self, talk: Talk) -> None:
        path = talk.request.path
        page = self.pages.get(path) or self.pages.get(path.partition("?")[0])
        if page is None:
            talk.answer(b"nothing here", status="404 Not Found")
        elif page.etag and talk.request.headers.get("if-none-match") == page.etag:
            talk.answer(status="304 Not Modified", etag=page.etag)
        else:
            talk.answer(
                page.body,
                status=page.status,
                content_type=page.kind,
                etag=page.etag,
                location=page.location,
                **page.headers,
            )
