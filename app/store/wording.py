"""By what names the texts link to pages: those that lead to the page here and to its file elsewhere.

Obsidian follows the names of files alone (`domain.following`); here a title, another name, an address
or a former one lead to a page as well. What links so is found here, and written so that both follow.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlmodel import Session, col, select

from app.domain.file_names import is_file_name, stem
from app.domain.following import finds
from app.domain.markdown import (
    WikiLink,
    Wording,
    is_linkable,
    link_keys,
    name_key,
    reword_wikilinks,
    wikilinks,
)
from app.domain.records import GONE, Link, Mirror, Origin, Page
from app.store import pages
from app.store.pages import Author, PageRef
from app.store.remembered import chunks

_NAME = re.compile(r"\[\[([^\[\]|\n]+)|\]\(\s*<?([^()<>\n]+\.md)")


@dataclass(frozen=True)
class Astray:
    """A link in the text of a page that Obsidian does not follow to the file of the page it means.

    `says` is the link as it stands. `wording` is how both follow it; None where nothing does: a link
    that says how by a word before `::`, or a page whose file is called otherwise than any name of it.
    """

    slug: str
    title: str
    says: str
    target: PageRef
    wording: Wording | None


# ---------------------------------------------------------------- a page under another name


@dataclass(frozen=True)
class Called:
    """The names of a page by which texts linked to it, before it got others. `path` is its file's."""

    keys: frozenset[str]
    title: str
    slug: str
    path: str

    @property
    def file(self) -> str:
        """The key of its file's name, or of the one that it would get."""
        own = self.title if is_file_name(self.title) else self.slug
        return name_key(stem(self.path) if self.path else own)


def called(session: Session, page: Page) -> Called:
    """How a page is called now: by its title, by its address, and by the name of its file."""
    assert page.id is not None
    path = _paths(session, [page.id]).get(page.id, "")
    keys = {name_key(page.title), page.slug} | ({name_key(stem(path))} if path else set())
    meant = pages.resolve(session, keys)
    mine = frozenset(key for key in keys if key in meant and meant[key].id == page.id)
    return Called(mine, page.title, page.slug, path)


def writers(session: Session, page_id: int) -> int:
    """How many pages link to one in their texts."""
    statement = sa.select(sa.func.count(sa.distinct(col(Link.source_id)))).where(
        col(Link.target_id) == page_id,
        col(Link.source_id) != page_id,
        col(Link.origin) == Origin.AUTHOR,
    )
    return session.connection().execute(statement).scalar_one()


def follow(session: Session, page: Page, before: Called, *, author: Author, now: datetime) -> int:
    """Write what a page is called now into the texts that link to it by what it was called.

    What a link shows stays where it has a text of its own. How many other pages were changed.
    """
    assert page.id is not None
    wording = _new_wording(session, page, before)
    old = set(before.keys)
    if page.slug == before.slug not in (name_key(before.title), before.file):
        old.discard(page.slug)  # it leads here as before, and no file was ever called so
    if _stays(before):
        old.discard(before.file)
    changed = 0
    for some in chunks(sorted({page.id, *pages.linked_to(session, [page.id])})):
        several = session.exec(select(Page).where(col(Page.id).in_(some), pages.standing())).all()
        texts = (
            (
                each,
                _with(session, each.body, page.id, lambda key: wording if key in old else None),
                author,
            )
            for each in several
        )
        was = page.version
        changed += pages.reword(session, texts, now=now, note=pages.TO_RENAMED)
        changed -= page.version - was  # its own text is not another one
    return changed


def _stays(before: Called) -> bool:
    """Whether a page's file keeps its name: a person gave it one of its own."""
    return before.file not in (name_key(before.title), before.slug)


def _new_wording(session: Session, page: Page, before: Called) -> Wording:
    """The name that will lead to the page and to its file, and what it shows."""
    name = page.title
    if _stays(before):
        name = stem(before.path)
    elif not is_file_name(name) or _others_file(session, page, name):
        name = page.slug
    meant = pages.resolve(session, [name]).get(name_key(name))
    if not is_linkable(name) or meant is None or meant.id != page.id:
        name = page.slug
    return Wording(name, page.title)


def _others_file(session: Session, page: Page, name: str) -> bool:
    taken = sa.select(col(Mirror.id)).where(
        col(Mirror.stem_key) == name_key(name),
        col(Mirror.page_id).is_not(None),
        col(Mirror.page_id) != page.id,
    )
    return session.connection().execute(taken.limit(1)).first() is not None


def _with(
    session: Session, body: str, page_id: int, wording: Callable[[str], Wording | None]
) -> str:
    """A text with its links to one page written by a wording of the names by which they say it."""
    links = wikilinks(body) if "/" in body or ".md" in body else []
    # Of a name that has several ways to be read the first that leads anywhere counts.
    several = [key for link in links if len(keys := link_keys(link.target)) > 1 for key in keys]
    meant = pages.resolve(session, several) if several else {}

    def of(link: WikiLink) -> Wording | None:
        keys = link_keys(link.target)
        if len(keys) > 1:
            keys = tuple(key for key in keys if key in meant)[:1]
            if keys and meant[keys[0]].id != page_id:
                return None
        return wording(keys[0]) if keys else None

    return reword_wikilinks(body, of)


# ---------------------------------------------------------------- links that are not followed elsewhere


def astray(
    session: Session, *, after: int = 0, limit: int | None = None
) -> Iterator[tuple[int, list[Astray]]]:
    """Pages by id after one, each with the links of its text that Obsidian does not follow.

    `limit` is how many texts with links to pages are looked at, the newest pages; None is all. What
    leads nowhere here either is not among them.
    """
    for some in chunks(_linking(session, after=after, limit=limit)):
        yield from _astray_in(session, some)


def _linking(session: Session, *, after: int, limit: int | None) -> list[int]:
    """Pages whose texts link to pages."""
    statement = (
        sa.select(col(Page.id))
        .where(
            col(Page.id) > after,
            col(Page.kind).not_in(GONE),
            sa.exists().where(
                col(Link.source_id) == col(Page.id), col(Link.origin) == Origin.AUTHOR
            ),
        )
        .order_by(col(Page.id).desc())
        .limit(limit)
    )
    return [page_id or 0 for page_id in session.connection().execute(statement).scalars()]


_TARGETS = (
    sa.select(col(Link.source_id), col(Mirror.path))
    .join(Mirror, col(Mirror.page_id) == col(Link.target_id))
    .where(
        col(Link.source_id).in_(sa.bindparam("ids", expanding=True)),
        col(Link.origin) == Origin.AUTHOR,
    )
)
_TEXTS = sa.select(col(Page.id), col(Page.slug), col(Page.title), col(Page.body)).where(
    col(Page.id).in_(sa.bindparam("ids", expanding=True))
)


def _astray_in(session: Session, ids: Sequence[int]) -> list[tuple[int, list[Astray]]]:
    connection = session.connection()
    paths: dict[int, list[str]] = {}
    for source_id, path in connection.execute(_TARGETS, {"ids": ids}):
        paths.setdefault(source_id, []).append(path)
    doubted = [
        (row, links)
        for row in connection.execute(_TEXTS, {"ids": ids})
        if _may_go_astray(row.body, paths.get(row.id or 0, ()))
        and (links := [each for each in wikilinks(row.body) if each.target])
    ]
    keys = {key for _, links in doubted for link in links for key in link_keys(link.target)}
    meant = pages.resolve(session, keys) if keys else {}
    refs = {ref.id: ref for ref in meant.values()}
    files = _paths(session, list(refs))
    names = pages.file_names(session, refs.values())
    found = []
    for row, links in doubted:
        wrong = []
        for link in links:
            target = next((meant[k] for k in link_keys(link.target) if k in meant), None)
            if target is None:
                continue
            path = files.get(target.id) or f"{_file_to_be(target)}.md"
            if link.relation or not finds(link.target, path):
                says = row.body[link.start : link.end]
                wording = _followed(link, target, names[target.id], path)
                wrong.append(Astray(row.slug, row.title, says, target, wording))
        if wrong:
            found.append((row.id or 0, wrong))
    return found


def _may_go_astray(body: str, paths: Sequence[str]) -> bool:
    """A look that spares most texts a parse: whether a link has a name that is none of these files'."""
    for found in _NAME.finditer(body):
        name = (found[1] or found[2]).partition("#")[0].removesuffix("\\")
        if name.strip() and not any(finds(name, path) for path in paths):
            return True
    return False


def _followed(link: WikiLink, target: PageRef, name: str, path: str) -> Wording | None:
    """How a link is written so that it shows what it shows, and leads to its page here and there."""
    if link.relation or not finds(name, path):
        return None
    shown = " \N{SECTION SIGN} ".join(filter(None, (link.target, link.heading)))
    return Wording(name, shown)


def _file_to_be(page: PageRef) -> str:
    """What the file of a page will be called that has none yet."""
    return page.title if is_file_name(page.title) else page.slug


def _paths(session: Session, page_ids: Sequence[int]) -> dict[int, str]:
    """The paths of the files of these pages; of those that have one."""
    found: dict[int, str] = {}
    for some in chunks(page_ids):
        rows = sa.select(col(Mirror.page_id), col(Mirror.path)).where(
            col(Mirror.page_id).in_(some), ~col(Mirror.path).startswith(".")
        )
        found |= {page_id or 0: path for page_id, path in session.connection().execute(rows)}
    return found


def word(
    session: Session, page_id: int, links: Collection[Astray], *, author: Author, now: datetime
) -> int:
    """Write these links of a page so that both follow them; how many."""
    wordings = {each.says: each.wording for each in links if each.wording is not None}
    page = session.get(Page, page_id)
    if page is None or page.kind in GONE or not wordings:
        return 0
    before = page.body
    body = reword_wikilinks(before, lambda link: wordings.get(before[link.start : link.end]))
    if not pages.reword(session, [(page, body, author)], now=now, note=pages.BY_FILES):
        return 0
    return sum(before[link.start : link.end] in wordings for link in wikilinks(before))
