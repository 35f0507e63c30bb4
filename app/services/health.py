"""Health: whether what is stored, what is derived from it and what the texts say agree, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta, tzinfo
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode

import sqlalchemy as sa
from sqlmodel import Session, col, select

from app.domain.identifiers import slugify
from app.domain.live_claims import Claim, Filled, Unread, Verb, written
from app.domain.live_claims import read as read_claim
from app.domain.markdown import link_keys, name_key, wikilinks
from app.domain.records import GONE, ChangeKind, Page, PageKind, PageText, Raw
from app.domain.threads import day_of
from app.domain.typed_counters import Counter, Counts, live_form
from app.domain.typed_counters import read as read_counter
from app.store import changes, live_claims, numbers, pages, threads, topics, wording
from app.store.db import broken_references, damage
from app.store.pages import PageRef


@dataclass(frozen=True)
class Finding:
    """One check: its name, whether all is well, and what was found in a sentence."""

    check: str
    ok: bool
    says: str


def check(session: Session, *, raw_folder: Path) -> list[Finding]:
    """Look at the database and what belongs to it. Changes nothing."""
    return [_integrity(session), _references(session), _texts(session), _raw(session, raw_folder)]


def _integrity(session: Session) -> Finding:
    found = damage(session)
    if not found:
        return Finding("database", True, "whole")
    return Finding("database", False, f"damaged: {'; '.join(found[:3])}. Restore a backup.")


def _references(session: Session) -> Finding:
    broken = broken_references(session)
    if not broken:
        return Finding("references", True, "every row points at a row that is there")
    return Finding("references", False, f"{broken} rows point at rows that are gone")


def _texts(session: Session) -> Finding:
    missing = session.scalar(
        sa.select(sa.func.count())
        .select_from(Page)
        .outerjoin(PageText, col(PageText.page_id) == col(Page.id))
        .where(col(PageText.page_id).is_(None), col(Page.kind).not_in(GONE))
    )
    if not missing:
        return Finding("search", True, "every page can be found")
    return Finding("search", False, f"{missing} pages are not in the index. Save them once.")


def _raw(session: Session, folder: Path) -> Finding:
    missing = [
        digest
        for digest in session.exec(select(Raw.sha256))
        if not (folder / digest[:2] / digest).is_file()
    ]
    if not missing:
        return Finding("raw bytes", True, "every kept item has its bytes")
    return Finding("raw bytes", False, f"the bytes of {len(missing)} items are gone: {missing[0]}…")


# ---------------------------------------------------------------- the wiki's texts against its graph

MOST = 500  # findings of one kind that are looked at; there is more to do than to list then
READ = 5_000  # texts with links that are read for those that go astray, the newest pages
STALE = 3  # accepted papers that a concept's text does not know yet


@dataclass(frozen=True)
class Doubt:
    """One thing that is not as a text says, or that wants a hand.

    `says` is what stands there and `found` what the graph says. `url` leads to where it is put right,
    by what `todo` says. A typed counter has a `live` form, offered in place of `says` at the place
    `start` of the page's `version`.
    """

    slug: str
    title: str
    says: str
    found: str
    url: str
    todo: str
    live: str = ""
    start: int = 0
    version: int = 0


@dataclass(frozen=True)
class Check:
    """What one look found: `total` counts everything, `doubts` are the first of it."""

    name: str
    title: str
    total: int
    doubts: tuple[Doubt, ...]


def as_json(checks: Sequence[Check]) -> list[dict[str, object]]:
    """What was found, as programs get it."""
    return [
        {
            "check": check.name,
            "title": check.title,
            "total": check.total,
            "findings": [
                {
                    "page": doubt.slug,
                    "title": doubt.title,
                    "says": doubt.says,
                    "found": doubt.found,
                    "live": doubt.live,
                    "fix": doubt.url,
                }
                for doubt in check.doubts
            ],
        }
        for check in checks
    ]


def lint(session: Session, zone: tzinfo | None = None) -> list[Check]:
    """Whether the wiki's texts and its graph agree. A fixed number of statements; changes nothing.

    `zone` is the reader's (None: the system's): the day of `asof:` ends there.
    """
    return [
        _checked("typed-counters", "Typed counters that disagree", typed_counters(session)),
        _checked("live-claims", "Live claims that do not hold", _live_claims(session, zone)),
        *_others(session),
        _astray(session),
    ]


def _checked(name: str, title: str, doubts: Sequence[Doubt]) -> Check:
    return Check(name, title, len(doubts), tuple(doubts))


def typed_counters(session: Session) -> list[Doubt]:
    """Numbers of papers that somebody typed and the graph does not count so.

    A counter is of the thread that its paragraph names by its title, or links to; else of the page
    itself, if it is a thread or a concept; else of the only thread that the page is part of. What
    is of none of these is left alone.
    """
    rows = numbers.listed(session, typed=True, limit=MOST)
    if not rows:
        return []
    subjects = _subjects(session, rows)
    asked: list[tuple[Any, Counter, Claim]] = []
    for row, subject in zip(rows, subjects, strict=True):
        counter = read_counter(row.says)
        if subject is not None and counter is not None:
            asked.append((row, counter, _claim(row, counter, subject)))
    said = live_claims.fill(session, list(dict.fromkeys(claim for _, _, claim in asked)))
    return [
        _doubt(row, counter, claim, said[claim])
        for row, counter, claim in asked
        if said[claim].words and said[claim].words != f"{counter.number:,}"
    ]


@dataclass(frozen=True)
class _Subject:
    slug: str
    kind: str


def _subjects(session: Session, rows: Sequence[Any]) -> list[_Subject | None]:
    titles = sorted(
        ((name_key(title), slug) for slug, title in threads.names(session)),
        key=lambda pair: -len(pair[0]),
    )
    linked = [
        [link.target for link in wikilinks(row.around)] if "[[" in row.around else []
        for row in rows
    ]
    keys = {key for names in linked for name in names for key in link_keys(name)}
    pages_by = pages.resolve(session, keys) if keys else {}
    part_of = numbers.threads_of(session, sorted({row.page_id for row in rows}))
    return [
        _subject(row, names, titles, pages_by, part_of.get(row.page_id, []))
        for row, names in zip(rows, linked, strict=True)
    ]


def _subject(
    row: Any,
    names: Sequence[str],
    titles: Sequence[tuple[str, str]],
    known: Mapping[str, PageRef],
    part_of: Sequence[str],
) -> _Subject | None:
    around = name_key(row.around)
    for key, slug in titles:
        if len(key) > 5 and key in around:
            return _Subject(slug, "thread")
    led = [known[key] for name in names for key in link_keys(name) if key in known]
    for kind in ("thread", "concept"):
        if found := next((page for page in led if page.kind == kind), None):
            return _Subject(found.slug, kind)
    if row.kind in (PageKind.THREAD, PageKind.CONCEPT):
        return _Subject(row.slug, row.kind.value)
    return _Subject(part_of[0], "thread") if len(part_of) == 1 else None


def _claim(row: Any, counter: Counter, subject: _Subject) -> Claim:
    """What the graph is asked: up to the day of a digest or of a paper, which says it of that day."""
    given = day_of(row.day or row.published)
    until = ""
    if given is not None and len(row.day or row.published) == len("2026-05-14"):
        until = given.isoformat()
    since = ""
    if counter.counts is Counts.WINDOW:
        last = given or row.updated_at.date()
        until = last.isoformat()
        since = (last - timedelta(days=max(0, counter.days - 1))).isoformat()
    names = {"threads" if subject.kind == "thread" else "concepts": (subject.slug,)}
    return Claim(Verb.COUNT, kind="paper", since=since, until=until, **names)  # type: ignore[arg-type]


def _doubt(row: Any, counter: Counter, claim: Claim, filled: Filled) -> Doubt:
    return Doubt(
        slug=row.slug,
        title=row.title,
        says=row.says,
        found=filled.title,
        url=filled.href,
        todo="See what is counted",
        live=live_form(counter, written(claim)),
        start=row.start,
        version=row.version,
    )


def _live_claims(session: Session, zone: tzinfo | None) -> list[Doubt]:
    rows = numbers.listed(session, typed=False, limit=MOST)
    read_all = {row.says: read_claim(row.says[2:-2]) for row in rows}
    claims = {each for each in read_all.values() if isinstance(each, Claim)}
    wrong: dict[str, str] = {
        says: each.why for says, each in read_all.items() if isinstance(each, Unread)
    }
    found = live_claims.find(session, claims, zone)
    # Only `none` can turn false: of the others it is enough that their names are there.
    nones = [each for each in claims if each.verb is Verb.NONE and not isinstance(found[each], str)]
    filled = live_claims.fill(session, nones, zone)
    for says, each in read_all.items():
        if isinstance(each, Claim):
            why = found[each]
            if isinstance(why, str):
                wrong[says] = why
            elif each in filled and filled[each].off:
                wrong[says] = filled[each].title + "."
    return [
        Doubt(
            row.slug, row.title, row.says, wrong[row.says], f"/w/{row.slug}/edit", "Edit the page"
        )
        for row in rows
        if row.says in wrong
    ]


def _others(session: Session) -> list[Check]:
    stale = numbers.stale_concepts(session, least=STALE, limit=MOST)
    against = numbers.contradicted(session, limit=MOST)
    wanted = pages.wanted(session, limit=MOST)
    alone = pages.orphans(session)
    return [
        _checked(
            "stale-concepts",
            "Concepts with papers their text does not know",
            [
                Doubt(
                    row.slug,
                    row.title,
                    "",
                    f"{row.papers} papers were accepted since the last edit",
                    f"/w/{row.slug}/edit",
                    "Edit the page",
                )
                for row in stale
            ],
        ),
        _checked(
            "contradicted",
            "Open threads with papers against them",
            [
                Doubt(
                    row.slug,
                    row.title,
                    "",
                    "1 paper contradicts it"
                    if row.papers == 1
                    else f"{row.papers} papers contradict it",
                    f"/w/{row.slug}",
                    "Open the thread",
                )
                for row in against
            ],
        ),
        _checked("topics", "Topics without a page", _topics(session)),
        Check(
            "dead-links",
            "Links to pages that nobody wrote",
            pages.wanted_count(session),
            tuple(
                Doubt(
                    slugify(row.name),
                    row.name,
                    f"[[{row.name}]]",
                    f"linked from {row[2]} page" + ("" if row[2] == 1 else "s"),
                    f"/w/{slugify(row.name)}/edit?" + urlencode({"title": row.name}),
                    "Write the page",
                )
                for row in (_Wanted(*each) for each in wanted)
            ),
        ),
        Check(
            "orphans",
            "Pages that stand alone",
            len(alone),
            tuple(
                Doubt(
                    row.slug,
                    row.title,
                    "",
                    "no link touches it",
                    f"/w/{row.slug}/edit",
                    "Write a link",
                )
                for row in pages.rows_of(session, alone[:MOST])
            ),
        ),
        _checked("duplicates", "Pages that may be one", _duplicates(session)),
    ]


ASTRAY = "astray-links"


def _astray(session: Session) -> Check:
    """Links that lead to a page here by a name that no file has: of the newest texts."""
    found = [
        each
        for _, links in wording.astray(session, limit=READ)
        for each in links
        if each.wording is not None
    ]
    return Check(
        ASTRAY,
        "Links that Obsidian does not follow",
        len(found),
        tuple(
            Doubt(
                each.slug,
                each.title,
                each.says,
                f"leads to {each.target.title} here alone.",
                f"/w/{each.slug}/edit",
                "Edit the page",
            )
            for each in found[:MOST]
        ),
    )


class _Wanted(NamedTuple):
    key: str
    name: str
    pages: int


def _topics(session: Session) -> list[Doubt]:
    listed = [topic for topic in topics.listed(session) if not topic.retired]
    known = pages.resolve(session, [name for t in listed for name in (t.name, t.id)])
    return [
        Doubt(
            slugify(topic.name),
            topic.name,
            "",
            "no page has its name",
            f"/w/{slugify(topic.name)}/edit?" + urlencode({"title": topic.name, "kind": "concept"}),
            "Write the page",
        )
        for topic in listed
        if name_key(topic.name) not in known and name_key(topic.id) not in known
    ]


def _duplicates(session: Session) -> list[Doubt]:
    return [
        Doubt("", row.title, "", row.reason, f"/review?change=c{row.id}", "Decide in Review")
        for row in changes.of_kind(session, ChangeKind.MERGE)[:MOST]
    ]
