"""Import: what files or a web address would bring in, shown first; then the bringing in.

The files of one upload, and what was fetched, lie in the data folder between the two, under the hash of their bytes; the
names a client gives are only ever text. What is read and stored is services.ingest's to say.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import Any

import sqlalchemy as sa
from fastapi import APIRouter, Request
from fastapi.responses import Response
from sqlmodel import Session, col
from starlette.datastructures import FormData, UploadFile

from app.bootstrap import App
from app.domain.items import Rejected
from app.domain.records import ActKind, Page, PageKind, Paper, Revision
from app.errors import CerebroError, Invalid, NotFetched, NotFound, Unreadable
from app.importing import named_in_short, unpacked_files
from app.rendering import plain_title
from app.services import interchange
from app.services.ingest import Outcome, Report, import_files
from app.sources import archive
from app.sources.articles import fetched
from app.sources.base import A_LINE, File, Reader, read_ahead
from app.sources.formats import NAMES
from app.sources.interchange import is_whole
from app.sources.obsidian import FOLDER, of_vault
from app.store import acts, papers
from app.store.db import writing
from app.store.items import keep_raw
from app.web.deps import Form, TheApp, text
from app.web.templating import page

router = APIRouter(include_in_schema=False)

MAX_UPLOAD = 50_000_000  # bytes of all files together
KEPT_SECONDS = 24 * 60 * 60  # how long an upload waits for its confirmation
SAMPLES = 30
REFUSALS = 50
PASTED = "pasted text"
_TOKEN = re.compile(r"[0-9a-f]{64}")
_GONE = (
    "This upload is not here any more: it was imported already, or it waited for more than a day. "
    "Choose the files again."
)


@dataclass(frozen=True)
class Read:
    """What reading some files does to the wiki: its report, what was refused, and examples."""

    report: Report
    refused: tuple[Rejected, ...]
    samples: tuple[dict[str, str], ...] = ()

    @property
    def nothing(self) -> bool:
        """Whether there was nothing in the files that could be taken."""
        return not self.report.counts

    def counts(self) -> dict[str, int]:
        found = {outcome.value: self.report.total(outcome) for outcome in Outcome}
        return found | {"rejected_total": len(self.refused)}


class _Rehearsed(Exception):
    """Ends a rehearsal: nothing of its transaction stays."""

    def __init__(self, read: Read) -> None:
        super().__init__()
        self.read = read


@router.get("/import")
def choose(request: Request, app: TheApp) -> Response:
    """The form."""
    return _screen(request, app)


@router.post("/import")
def preview(request: Request, app: TheApp, form: Form) -> Response:
    """What the files would bring in, or what is at an address. Nothing is written but the bytes."""
    address = text(form, "address").strip()
    try:
        files = _files(form, app, address)
        read = _rehearse(app, files)
    except (Invalid, NotFetched, Unreadable) as error:
        return _screen(request, app, error=str(error), address=address, status_code=422)
    if read.nothing:
        reasons = " ".join(f"{each.where}: {each.reason}" for each in read.refused[:3])
        sentence = f"Nothing in this can be imported. {reasons}".strip()
        return _screen(request, app, error=sentence, address=address, status_code=422)
    shown = {
        "token": _hold(app, files),
        **read.counts(),
        "kinds": _kinds(read.report),
        "samples": read.samples,
        "rejected": read.refused[:REFUSALS],
    }
    return _screen(request, app, preview=shown)


@router.post("/import/run")
def run(request: Request, app: TheApp, form: Form) -> Response:
    """Import an upload that was looked at before; `token` names it."""
    try:
        files = _held(app, text(form, "token"))
    except NotFound as error:
        return _screen(request, app, error=str(error), status_code=404)
    readers = read_ahead(files, _readers(app, files))
    with writing(app.engine) as session:
        before = papers.count(session)
        words = f"Import of {named_in_short([each.name for each in files])}"
        acts.begin(session, ActKind.IMPORT, words, now=app.clock())
        read = _import(session, readers, app, files, raw_folder=app.raw_folder)
        wait = papers.count(session) > before
    _let_go(app, text(form, "token"))
    url, words = ("/inbox", "Look into the inbox") if wait else ("/pages?by=recent", "See them")
    return _screen(request, app, done={**read.counts(), "url": url, "words": words})


def _screen(
    request: Request,
    app: App,
    *,
    error: str = "",
    address: str = "",
    preview: dict[str, Any] | None = None,
    done: dict[str, Any] | None = None,
    status_code: int = 200,
) -> Response:
    return page(
        request,
        "import/page.html",
        status_code=status_code,
        formats=[
            NAMES.get(name, name)
            for name in sorted((reader.format for reader in app.readers), key=_in_order)
        ],
        error=error,
        address=address,
        preview=preview,
        done=done,
    )


def _in_order(format: str) -> tuple[int, str]:
    """Those with a name for people as they are named, then the others."""
    return (list(NAMES).index(format) if format in NAMES else len(NAMES), format)


# ---------------------------------------------------------------- reading


def _rehearse(app: App, files: Sequence[File]) -> Read:
    """Import the files into a transaction that is thrown away."""
    readers = read_ahead(files, _readers(app, files))
    try:
        with writing(app.engine) as session:
            before = _newest(session)
            read = _import(session, readers, app, files, raw_folder=None)
            raise _Rehearsed(Read(read.report, read.refused, _samples(session, before)))
    except _Rehearsed as rehearsed:
        return rehearsed.read


def _import(
    session: Session,
    readers: Sequence[Reader],
    app: App,
    files: Sequence[File],
    *,
    raw_folder: Path | None,
) -> Read:
    """Import what can be read of the files, and say what could not be."""
    report, refused = Report(), []
    readable = []
    for file in files:
        if _is_mark(file):
            continue
        if is_whole(file.data[:2_000]) and interchange.is_empty(session):
            try:
                with session.begin_nested():
                    counts = interchange.restore(session, interchange.lines_of(BytesIO(file.data)))
            except Unreadable as error:
                refused.append(Rejected(where=file.name, reason=str(error)))
            else:
                report.counts.update({(kind, Outcome.NEW): n for kind, n in counts.items()})
            continue
        reason = _unreadable(app, file)
        if reason:
            refused.append(Rejected(where=file.name, reason=reason))
        else:
            readable.append(file)
    for name, found in import_files(
        session, readable, readers, raw_folder=raw_folder, now=app.clock()
    ):
        if isinstance(found, CerebroError):
            refused.append(Rejected(where=name, reason=str(found)))
            continue
        report.add(found)
        refused += [
            Rejected(
                where=f"{name}, {each.where}" if len(files) > 1 else each.where, reason=each.reason
            )
            for each in found.rejected
        ]
    return Read(report, tuple(refused))


def _unreadable(app: App, file: File) -> str:
    """Why a file cannot be read at all, or ""."""
    if not file.data.strip():
        return "It is empty."
    if any(reader.recognises(file) for reader in app.readers):
        return ""
    formats = ", ".join(NAMES.get(reader.format, reader.format) for reader in app.readers)
    return f"It is in no format that can be read here. Those are: {formats}. {A_LINE}"


def _readers(app: App, files: Sequence[File]) -> tuple[Reader, ...]:
    """The readers, first that of notes where the files are those of an Obsidian vault."""
    if not any(_is_mark(file) for file in files):
        return app.readers
    return (of_vault([file.name for file in files if not _is_mark(file)])[0], *app.readers)


def _is_mark(file: File) -> bool:
    """Whether a file is there because an unpacked archive was an Obsidian vault."""
    return file.name == FOLDER


def _kinds(report: Report) -> list[dict[str, object]]:
    return [
        {"words": kind, "count": sum(n for name, n in found.items() if name != Outcome.SAME)}
        for kind, found in report.by_kind().items()
    ]


@dataclass(frozen=True)
class _Newest:
    """The highest ids before an import: what is above them came with it."""

    page: int
    paper: int
    revision: int


def _newest(session: Session) -> _Newest:
    highest = (
        sa.select(sa.func.coalesce(sa.func.max(col(table.id)), 0)).scalar_subquery()
        for table in (Page, Paper, Revision)
    )
    return _Newest(*session.connection().execute(sa.select(*highest)).one())


def _samples(session: Session, before: _Newest) -> tuple[dict[str, str], ...]:
    """Some of what an import made or changed: title, kind, and which of the two."""
    new_papers = sa.select(
        col(Paper.title), sa.literal(PageKind.PAPER.value), sa.literal(Outcome.NEW.value)
    ).where(col(Paper.id) > before.paper)
    new_pages = sa.select(
        col(Page.title), sa.cast(col(Page.kind), sa.String), sa.literal(Outcome.NEW.value)
    ).where(col(Page.id) > before.page, col(Page.kind) != PageKind.PAPER)
    revised = sa.select(col(Revision.page_id)).where(col(Revision.id) > before.revision)
    changed = sa.select(
        col(Page.title), sa.cast(col(Page.kind), sa.String), sa.literal(Outcome.CHANGED.value)
    ).where(col(Page.id) <= before.page, col(Page.id).in_(revised))
    rows: list[tuple[str, str, str]] = []
    for statement in (changed, new_pages, new_papers):
        found = session.connection().execute(statement.limit(SAMPLES // 3))
        rows += [(title, str(kind), str(what)) for title, kind, what in found]
    return tuple({"title": title, "kind": kind, "what": what} for title, kind, what in rows)


# ---------------------------------------------------------------- what was uploaded


def _files(form: FormData, app: App, address: str) -> list[File]:
    """The files, the pasted text and what is at the address of the form.

    An archive is unpacked. Raises Invalid when there are none or too much, Unreadable for an archive
    that is not harmless, NotFetched when nothing comes from the address.
    """
    uploads = [each for each in form.getlist("files") if isinstance(each, UploadFile)]
    uploads = [each for each in uploads if each.filename]
    pasted = text(form, "text")
    size = sum(each.size or 0 for each in uploads) + len(pasted.encode("utf-8", "replace"))
    if size > MAX_UPLOAD:
        raise Invalid(
            f"That is more than {MAX_UPLOAD // 1_000_000} MB at once. Import it in parts, or from "
            "a terminal with `cerebro import`."
        )
    files = []
    for each in uploads:
        files += _unpacked(File(_name(each.filename or ""), each.file.read()))
    if pasted.strip():
        files.append(File(PASTED, pasted.encode("utf-8", "replace")))
    if address:
        files.append(fetched(app.web, address))
        if sum(len(file.data) for file in files) > MAX_UPLOAD:
            raise Invalid(
                f"What is there has more than {MAX_UPLOAD // 1_000_000} MB. Import it from a terminal "
                "with `cerebro import`."
            )
    if not files:
        raise Invalid("Choose a file or paste some text first. The address of a page does too.")
    return files


def _unpacked(file: File) -> list[File]:
    """A file, or what is in it when it is an archive."""
    if not archive.is_archive(file.data[:4]):
        return [file]
    limits = archive.Limits(size=MAX_UPLOAD)
    with archive.opened(file.data, name=file.name, limits=limits, check=False) as packed:
        found, vault = unpacked_files(packed)
        files = [File(each.name, packed.read(each.name)) for each in found]
    return [*files, File(FOLDER, b"{}")] if vault else files


def _name(given: str) -> str:
    """The last part of a client's file name as plain text; readers look at it, no path is made."""
    last = PurePosixPath(given.replace("\\", "/")).name
    plain = " ".join(plain_title(last).split()) if last.isprintable() else ""
    return plain[-200:] or "file"


def _folder(app: App) -> Path:
    return app.settings.data / "uploads"


def _hold(app: App, files: Iterable[File]) -> str:
    """Keep the files until they are confirmed; the token that names them, a hash of it all."""
    folder = _folder(app)
    _forget_old(folder)
    listed = [
        {
            "name": file.name,
            "sha256": keep_raw(folder, file.data),
            "url": file.url,
            "headers": {"content-type": file.headers.get("content-type", "")},
        }
        for file in files
    ]
    return keep_raw(folder, json.dumps(listed).encode())


def _held(app: App, token: str) -> list[File]:
    """The files a token names. Raises NotFound when they are gone, or it is no token."""
    try:
        listed = json.loads(_path(app, token).read_bytes())
        return [
            File(
                each["name"], _path(app, each["sha256"]).read_bytes(), each["url"], each["headers"]
            )
            for each in listed
        ]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise NotFound(_GONE) from error


def _path(app: App, digest: str) -> Path:
    if not _TOKEN.fullmatch(digest):
        raise NotFound(_GONE)
    return _folder(app) / digest[:2] / digest


def _let_go(app: App, token: str) -> None:
    """Forget an upload; its bytes, which another upload may share, go with their age."""
    _path(app, token).unlink(missing_ok=True)


def _forget_old(folder: Path) -> None:
    oldest = time.time() - KEPT_SECONDS
    for path in folder.glob("??/*"):
        if path.stat().st_mtime < oldest:
            path.unlink(missing_ok=True)
