"""Digests for readers elsewhere: the Atom feed, and a digest as one file to keep."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from functools import partial
from hashlib import sha256
from xml.etree import ElementTree

from fastapi import APIRouter, Request
from fastapi.responses import Response
from sqlmodel import Session

from app import __version__
from app.bootstrap import App
from app.domain.latex import readable
from app.domain.markdown import first_words, plain_text
from app.domain.ownership import PEOPLE
from app.reading import filler, resolver, told
from app.rendering import outward, plain_title
from app.services.sending import as_file
from app.store import editions
from app.store.editions import Edition
from app.web.deps import Reads, TheApp, bodies, facts
from app.web.templating import CACHING

router = APIRouter(include_in_schema=False)

ENTRIES = 20
SUMMARY = 60  # words
ATOM = "http://www.w3.org/2005/Atom"
NOTHING_YET = datetime(1970, 1, 1, tzinfo=UTC)


@router.get("/feed.xml")
def feed(request: Request, session: Reads, app: TheApp) -> Response:
    """The newest digests, newest first, each in full (RFC 4287); 304 for who has them so."""
    base = base_of(request, app)
    text, tag = facts(request).get(
        session,
        ("feed", base, app.today()),
        lambda: _feed(request, session, base, app.zone),
        of=_SHOWN_IN_BODIES,
    )
    headers = {"ETag": tag, "Cache-Control": CACHING}
    known = [each.strip() for each in request.headers.get("if-none-match", "").split(",")[:20]]
    # What is compressed on its way is the same text: a tag may come back as a weak one.
    if "*" in known or tag in (each.removeprefix("W/") for each in known):
        return Response(status_code=304, headers=headers)
    return Response(text, media_type="application/atom+xml; charset=utf-8", headers=headers)


# What the text of a digest is written from: its page, where links lead, and what counters count.
_SHOWN_IN_BODIES = ("alias", "digest", "link", "page", "paper", "prediction", "question")


def _feed(request: Request, session: Session, base: str, zone: tzinfo | None) -> tuple[bytes, str]:
    """The feed, and a tag that names this text."""
    found = editions.newest(session, limit=ENTRIES)
    root = ElementTree.Element("feed", {"xmlns": ATOM, "xml:lang": "en"})
    add = partial(ElementTree.SubElement, root)
    add("id").text = editions.feed_id(session)
    add("title").text = "cere-bro: digests"
    add("subtitle").text = "What came, what it means, and how it joins what was known."
    add("updated").text = _moment(max((each.updated for each in found), default=NOTHING_YET))
    add("link", {"rel": "self", "type": "application/atom+xml", "href": f"{base}/feed.xml"})
    add("link", {"rel": "alternate", "type": "text/html", "href": f"{base}/"})
    add("generator", {"version": __version__}).text = "cere-bro"
    ElementTree.SubElement(add("author"), "name").text = "cere-bro"
    for each in found:
        summary = _summary(session, each, zone)
        root.append(_entry(each, summary, _html(request, session, each, zone), base))
    text = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return text, f'"{sha256(text).hexdigest()[:32]}"'


def _entry(edition: Edition, summary: str, html: str, base: str) -> ElementTree.Element:
    entry = ElementTree.Element("entry")
    add = partial(ElementTree.SubElement, entry)
    address = f"{base}{edition.path}"
    add("id").text = edition.id
    add("title").text = readable(edition.title)
    add("updated").text = _moment(edition.updated)
    add("published").text = _moment(edition.made)
    add("link", {"rel": "alternate", "type": "text/html", "href": address})
    if summary:
        add("summary").text = readable(summary)
    content = outward(html, base=base, at=edition.path, formulas=False)
    add("content", {"type": "html"}).text = readable(content)
    return entry


def _summary(session: Session, edition: Edition, zone: tzinfo | None) -> str:
    """What the digest says of itself; of a text that a person edited, how it begins."""
    if edition.author_kind in PEOPLE or not edition.framing:
        return plain_title(first_words(told(session, edition.body, zone), SUMMARY))
    return plain_title(plain_text(edition.framing))


def _html(request: Request, session: Session, edition: Edition, zone: tzinfo | None) -> str:
    """The text of a digest as its page shows it, kept as long as that stands."""
    return (
        bodies(request)
        .get(
            session,
            (edition.page_id, edition.version),
            lambda: edition.body,
            resolver(session),
            filler(session, zone),
        )
        .html
    )


def _moment(value: datetime) -> str:
    return value.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


@router.get("/today/{day}.html")
@router.get("/digest/{day}.html")
def file(request: Request, session: Reads, app: TheApp, day: str) -> Response:
    """The digest of a day or month as one HTML file to keep. Raises Invalid or NotFound."""
    edition = editions.of_day(session, day)
    told = as_file(edition, _html(request, session, edition, app.zone), base=base_of(request, app))
    return Response(
        told,
        media_type="text/html; charset=utf-8",
        headers={
            "Content-Disposition": f'attachment; filename="digest-{edition.day}.html"',
            "Cache-Control": CACHING,
        },
    )


def base_of(request: Request, app: App) -> str:
    """Where this wiki is, without a slash at the end: as it was set, else as it was asked for."""
    return app.settings.base_url or f"{request.url.scheme}://{request.url.netloc}"
