"""What to take along: the whole wiki in files that others read, or its papers as a bibliography."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from tempfile import TemporaryFile
from typing import IO

from fastapi import APIRouter, Query, Request
from fastapi.responses import PlainTextResponse, Response, StreamingResponse
from sqlmodel import Session

from app.bootstrap import App
from app.domain.records import PaperState
from app.errors import Invalid, NotFound, Unavailable
from app.exporting import into_archive
from app.services import export
from app.services.graph import graphml
from app.services.interchange import whole
from app.store import pages, papers
from app.store.db import reading
from app.web.deps import Reads, TheApp
from app.web.templating import page

router = APIRouter(include_in_schema=False)

MOST = 20_000  # pages and papers together that are written while somebody waits
_PIECE = 1 << 16


@dataclass(frozen=True)
class _Whole:
    """A way to take the whole wiki along; `write` writes it into a file."""

    words: str
    about: str
    target: str  # of the command that does the same
    suffix: str
    media_type: str
    write: Callable[[App, IO[bytes]], None]


def _jsonl(app: App, file: IO[bytes]) -> None:
    with reading(app.engine) as session:
        file.writelines(line.encode() for line in whole(session))


def _graph(app: App, file: IO[bytes]) -> None:
    with reading(app.engine) as session:
        file.writelines(piece.encode() for piece in graphml(session, app.graph))


def _archive(format: str) -> Callable[[App, IO[bytes]], None]:
    return lambda app, file: into_archive(app.engine, format, file, zone=app.zone)


_WHOLE = {
    "jsonl": _Whole(
        "JSON lines",
        "everything but the bytes of what arrived: read back into an empty wiki, it is this one again",
        "wiki.jsonl",
        "jsonl",
        "application/x-ndjson",
        _jsonl,
    ),
    "markdown": _Whole(
        "Markdown",
        "every page as a file, for Obsidian or any editor, with decisions and links beside them",
        "FOLDER",
        "zip",
        "application/zip",
        _archive("markdown"),
    ),
    "site": _Whole(
        "Site",
        "every page as HTML with an index, to be read in a browser without any server",
        "FOLDER",
        "zip",
        "application/zip",
        _archive("site"),
    ),
    "graphml": _Whole(
        "Graph",
        "pages and accepted links as GraphML, for Gephi and networkx",
        "wiki.graphml",
        "graphml",
        "application/graphml+xml",
        _graph,
    ),
}
_BIBLIOGRAPHIES = {"bibtex": "BibTeX", "csl": "CSL-JSON", "ris": "RIS"}


@router.get("/export")
def exported(
    request: Request,
    app: TheApp,
    session: Reads,
    format: str = "",
    q: str = Query(default="", max_length=2_000),
) -> Response:
    """What there is to take along; with `format` the file itself.

    `bibtex`, `csl` and `ris` are all kept papers, or those that the search `q` finds; `jsonl`,
    `markdown`, `site` and `graphml` the whole wiki.
    """
    if not format:
        return _screen(request, session)
    if format not in _WHOLE:
        if format not in export.FORMATS:
            known = ", ".join((*_WHOLE, *export.FORMATS))
            raise Invalid(f"There is no format {format[:40]!r} to export. Use one of: {known}.")
        chosen = export.format_of(format)
        pieces = export.bibliography(partial(reading, app.engine), format, q)
        return _download(
            app, (p.encode("utf-8", "replace") for p in pieces), chosen.media_type, chosen.suffix
        )
    if q.strip():
        raise Invalid(f"{format} is exported whole. Leave the search out.")
    if too_large := _too_large(session):
        raise Invalid(f"{too_large} cerebro export --format {format} -o {_WHOLE[format].target}")
    return _download(app, _spooled(app, format), _WHOLE[format].media_type, _WHOLE[format].suffix)


def _screen(request: Request, session: Session) -> Response:
    formats: list[dict[str, object]] = [
        {"format": name, "words": each.words, "about": each.about, "target": each.target}
        for name, each in _WHOLE.items()
    ]
    formats += [
        {"format": name, "words": words, "narrowed": True}
        for name, words in _BIBLIOGRAPHIES.items()
    ]
    return page(request, "export/page.html", formats=formats, too_large=_too_large(session))


def _too_large(session: Session) -> str:
    """Why the whole wiki is not written while somebody waits, or ""."""
    size = pages.count(session) + sum(papers.count(session, state) for state in PaperState)
    if size <= MOST:
        return ""
    return "This wiki is too large to be written while you wait. Use the command in a terminal:"


def _spooled(app: App, format: str) -> Iterator[bytes]:
    """The file, written before the first of it is sent: whoever reads slowly keeps no database open."""
    with ExitStack() as opened:
        try:
            file = opened.enter_context(TemporaryFile(dir=app.settings.data))
            _WHOLE[format].write(app, file)
            file.seek(0)
        except OSError as error:
            raise Unavailable(f"The export cannot be written: {error.strerror}.") from error
        opened.pop_all()  # whoever sends it closes it
    return _sent(file)


def _sent(file: IO[bytes]) -> Iterator[bytes]:
    with file:
        while piece := file.read(_PIECE):
            yield piece


def _download(app: App, pieces: Iterator[bytes], media_type: str, suffix: str) -> Response:
    name = f"cere-bro-{app.today().isoformat()}.{suffix}"
    text = "" if suffix == "zip" else "; charset=utf-8"
    return StreamingResponse(
        pieces,
        media_type=f"{media_type}{text}",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


@router.get("/w/{slug}/cite")
def cite(slug: str, session: Reads) -> Response:
    """The BibTeX entry of one paper, as text."""
    page = pages.get(session, slug)
    assert page.id is not None
    entry = export.cited(session, page.id)
    if not entry:
        raise NotFound(f"{page.title} is not a paper: only papers are cited.")
    return PlainTextResponse(entry)
