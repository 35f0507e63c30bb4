"""The wiki as a site of plain files: every page as HTML, an index by kind and letter, one stylesheet.

It runs no script, loads nothing from elsewhere and works from a folder without a server: all links are
relative. Pages are written by the one renderer, as the wiki stands at one moment.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import tzinfo
from functools import cache
from html import escape
from importlib.resources import files as resources
from itertools import groupby
from string import Template
from typing import Any
from urllib.parse import unquote, urlsplit

from sqlmodel import Session

from app.domain.records import KINDS, PageKind
from app.reading import rendered
from app.rendering import outward, render_abstract, render_title
from app.store import site
from app.store.site import Shown
from app.vault.names import stem_of

_SOME = 200  # pages read at a time
MOST_LINKS = 1_000  # of one sort on one page

_SITES = {
    "arxiv": "https://arxiv.org/abs/",
    "doi": "https://doi.org/",
    "openreview": "https://openreview.net/forum?id=",
    "s2": "https://www.semanticscholar.org/paper/",
}

File = tuple[str, Iterable[bytes]]
_NAMES = {kind: f"{kind.value}s" for kind in PageKind}


def files(
    session: Session,
    *,
    zone: tzinfo | None,
    progress: Callable[[int], None] = lambda pages: None,
) -> Iterator[File]:
    """Paths, with slashes, and what each file holds. The session sees one moment; `zone` is the reader's."""
    yield "style.css", [_stored("standalone.css").encode(), _stored("site.css").encode()]
    index = _Index()
    ids: list[int] = []
    for page_id, slug, title, key, kind in site.titles(session):
        index.add(slug, title, key, kind)
        ids.append(page_id)
    yield from index.files()
    known = index.slugs
    for start in range(0, len(ids), _SOME):
        for each in site.shown(session, ids[start : start + _SOME]):
            yield f"w/{_file(each.page.slug)}", [_page(session, each, known, zone).encode()]
        session.expunge_all()
        progress(min(start + _SOME, len(ids)))


def _file(slug: str) -> str:
    return f"{stem_of('', slug)}.html"


def _html(*, title: str, kind: str, heading: str, body: str, up: str, trail: str = "") -> str:
    """A file of the site; `title` is plain text, all else HTML."""
    return _template("site.html").substitute(
        title=escape(title), kind=kind, heading=heading, body=body, up=up, trail=trail
    )


@cache
def _template(name: str) -> Template:
    return Template(_stored(name))


@cache
def _stored(name: str) -> str:
    return resources("app.services").joinpath(name).read_text("utf-8")


# ---------------------------------------------------------------- the index


class _Index:
    """The titles of the wiki by kind and first letter, in the order they come: by kind and title."""

    def __init__(self) -> None:
        self.slugs: set[str] = set()
        self._kinds: dict[PageKind, dict[str, list[tuple[str, str]]]] = {}

    def add(self, slug: str, title: str, key: str, kind: PageKind) -> None:
        self.slugs.add(slug)
        self._kinds.setdefault(kind, {}).setdefault(_letter(key), []).append((slug, title))

    def files(self) -> Iterator[File]:
        kinds = [kind for kind in KINDS if kind in self._kinds]
        rows = "".join(
            f"<dt>{_NAMES[kind].capitalize()}</dt><dd>{self._letters(kind, 'index/')}</dd>"
            for kind in kinds
        )
        empty = "<p>Nothing is written yet.</p>"
        total = f"{len(self.slugs):,} page{'' if len(self.slugs) == 1 else 's'}"
        body = f"<dl>{rows}</dl>" if rows else empty
        start = _html(title="Index", kind=total, heading="Index", body=body, up="")
        yield "index.html", [start.encode()]
        for kind in kinds:
            for letter, pages in self._kinds[kind].items():
                yield f"index/{_letter_file(kind, letter)}", [self._list(kind, letter, pages)]

    def _letters(self, kind: PageKind, folder: str) -> str:
        return '<span class="letters">{}</span>'.format(
            " ".join(
                f'<a href="{folder}{_letter_file(kind, letter)}">{_shown(letter)}</a>'
                for letter in sorted(self._kinds[kind])
            )
        )

    def _list(self, kind: PageKind, letter: str, pages: list[tuple[str, str]]) -> bytes:
        entries = "".join(
            f'<li><a href="../w/{_file(slug)}">{render_title(title)}</a></li>'
            for slug, title in pages
        )
        name = f"{_NAMES[kind].capitalize()}, {_shown(letter)}"
        body = f'<p>{self._letters(kind, "")}</p><ul class="links">{entries}</ul>'
        return _html(title=name, kind="Index", heading=name, body=body, up="../").encode()


def _letter(title_key: str) -> str:
    """The letter that a title is listed under, "0" for whatever begins with none of A to Z."""
    first = title_key[:1].upper()
    return first if "A" <= first <= "Z" else "0"


def _letter_file(kind: PageKind, letter: str) -> str:
    return f"{kind.value}-{letter.lower()}.html"


def _shown(letter: str) -> str:
    return "#" if letter == "0" else letter


# ---------------------------------------------------------------- a page


def _page(session: Session, each: Shown, known: set[str], zone: tzinfo | None) -> str:
    page = each.page
    parts = [_facts(each)]
    if each.thread and each.thread.claim:
        parts.append(f"<blockquote><p>{render_title(each.thread.claim)}</p></blockquote>")
    if each.paper and each.paper.abstract:
        parts.append(f"<h2>Abstract</h2>{render_abstract(each.paper.abstract)}")
    body = str(rendered(session, page.body, zone).html) if page.body else ""
    parts.append(outward(body, base="", lead=lambda href: _lead(href, known)))
    if each.questions:
        asked = "".join(f"<li>{render_title(text)}</li>" for text in each.questions)
        parts.append(f"<h2>Open questions</h2><ul>{asked}</ul>")
    parts += _linked("Links", each.out)
    parts += _linked("Linked from", each.back)
    letter = _letter(page.title_key)
    where = f"../index/{_letter_file(page.kind, letter)}"
    return _html(
        title=page.title,
        kind=page.kind.value,
        heading=str(render_title(page.title)),
        body="\n".join(filter(None, parts)),
        up="../",
        trail=f'<a href="{where}">{_NAMES[page.kind].capitalize()}, {_shown(letter)}</a>',
    )


def _lead(href: str, known: set[str]) -> str | None:
    """Where an address of the wiki leads in the site; None where the site has nothing of it."""
    try:
        parts = urlsplit(href)
    except ValueError:
        return None
    start, _, slug = unquote(parts.path).rpartition("/")
    if start != "/w" or slug not in known or parts.netloc:
        return None
    return _file(slug) + (f"#{parts.fragment}" if parts.fragment else "")


def _facts(each: Shown) -> str:
    rows: list[tuple[str, str]] = []
    if each.paper:
        rows += [("Authors", escape(", ".join(each.paper.authors)))]
        rows += [
            (
                "Published",
                escape(" · ".join(filter(None, (each.paper.published, each.paper.venue)))),
            )
        ]
        rows += [("Code", _outside(each.paper.code_url, each.paper.code_url))]
    if each.thread:
        rows += [("Status", each.thread.status.value)]
    if each.digest:
        rows += [("Day", escape(each.digest.day))]
    if each.episode:
        rows += [("Published", escape(each.episode.published))]
    named = [
        _outside(f"{_SITES.get(scheme, '')}{value}", f"{scheme}:{value}")
        for scheme, value in each.identifiers
    ]
    rows += [("Identifiers", " ".join(named))]
    rows += [("Also called", escape("; ".join(each.aliases)))]
    rows += [("Tags", escape(", ".join(each.tags)))]
    told = "".join(f"<dt>{name}</dt><dd>{words}</dd>" for name, words in rows if words)
    return f"<dl>{told}</dl>" if told else ""


def _outside(address: str, words: str) -> str:
    """A link to the web; the words alone where the address is none."""
    if not address.lower().startswith(("https://", "http://")):
        return escape(words)
    return f'<a href="{escape(address)}" rel="noopener noreferrer">{escape(words)}</a>'


def _linked(heading: str, links: list[Any]) -> Iterator[str]:
    if not links:
        return
    yield f"<h2>{heading}</h2>"
    for relation, some in groupby(links, key=lambda link: link.relation):
        rows = list(some)
        entries = "".join(_entry(link) for link in rows[:MOST_LINKS])
        left = len(rows) - MOST_LINKS
        more = f"<li><small>and {left:,} more</small></li>" if left > 0 else ""
        yield f'<h3>{relation.value}</h3><ul class="links">{entries}{more}</ul>'


def _entry(link: Any) -> str:
    said = " · ".join(filter(None, (link.role.value if link.role else "", link.note)))
    small = f" <small>{escape(said)}</small>" if said else ""
    return f'<li><a href="{_file(link.slug)}">{render_title(link.title)}</a>{small}</li>'
