"""The first steps of a new reader: interests become topics; a sample day comes and goes.

The sample is of invented papers (app/sources/sample_day.jsonl), each marked by `sample` among its
extra fields. It is taken out as one thing, but for pages that a person wrote on.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlmodel import Session, col, select

from app.domain.interests import INTERESTS
from app.domain.records import (
    AuthorKind,
    Decision,
    Digest,
    Item,
    Listing,
    ListingPaper,
    Page,
    Paper,
    Preference,
    Revision,
    Subscription,
    Topic,
)
from app.domain.untrusted import line
from app.errors import Invalid
from app.store import preferences, vectors
from app.store import topics as stored
from app.store.db import bump

SAMPLE_NAME = "sample-day.jsonl"
OWN_MOST = 8  # topics in one's own words
# Lower than of other new topics: before the first decision the scorer is sure of nothing.
THRESHOLD = 0.075
_NAME_WORDS, _NAME_SIGNS = 8, 60
_PEOPLE = (AuthorKind.PERSON, AuthorKind.AGENT, AuthorKind.VAULT)


@dataclass(frozen=True)
class Standing:
    """Where the first steps stand. `sample_day` is the day of the sample, '' without one."""

    new: bool  # nothing is decided, no source is fetched, and nobody said that they know their way
    sample_day: str


def standing(session: Session) -> Standing:
    """Two statements at most."""
    row = session.connection().execute(_STANDING).one()
    return Standing(new=not any(row[:3]), sample_day=row[3] or "")


def _said(name: str) -> sa.ScalarSelect[str]:
    return sa.select(col(Preference.value)).where(col(Preference.name) == name).scalar_subquery()


_STANDING = sa.select(
    sa.exists(sa.select(col(Subscription.source_id))),
    sa.exists(sa.select(col(Decision.id)).where(col(Decision.who) != "import")),
    _said(preferences.WELCOME).is_not(None),
    _said(preferences.SAMPLE_DAY),
)


def own_interests(text: str) -> list[tuple[str, str]]:
    """The name and the keep text of each line somebody wrote. Raises Invalid for too many."""
    lines = [each for raw in text.splitlines() if (each := line(raw).strip(" -*\u2022"))]
    if len(lines) > OWN_MOST:
        raise Invalid(
            f"Write at most {OWN_MOST} lines here, one interest on each; Topics takes more later.",
            fields={"own": f"At most {OWN_MOST} lines."},
        )
    found = []
    for each in lines:
        name = " ".join(each.split()[:_NAME_WORDS])[:_NAME_SIGNS].rstrip(" ,;:.")
        if not any(sign.isalnum() for sign in name):
            raise Invalid(
                f"{each[:40]!r} says nothing: write some words.", fields={"own": "Words."}
            )
        found.append((name[:1].upper() + name[1:], each))
    return found


def choose(session: Session, ids: Collection[str], own: Sequence[tuple[str, str]]) -> int:
    """Make topics of the interests that are chosen and of one's own; how many are new.

    Raises Invalid when there is no topic after it.
    """
    known = {topic.id for topic in session.exec(select(Topic))}
    names = {topic.name.casefold() for topic in stored.listed(session)}
    position, made = len(known), 0
    wanted = [
        Topic(
            id=each.id,
            name=each.name,
            keep=each.keep,
            filter=each.filter,
            tier=each.tier,
            threshold=THRESHOLD,
        )
        for each in INTERESTS
        if each.id in ids and each.id not in known
    ]
    for name, keep in own:
        if name.casefold() in names:
            continue
        names.add(name.casefold())
        wanted.append(
            Topic(
                id=_free_id(name, known | {t.id for t in wanted}),
                name=name,
                keep=keep,
                tier=1,
                threshold=THRESHOLD,
            )
        )
    for topic in wanted:
        topic.position, made = position + made, made + 1
        session.add(topic)
    session.flush()
    if not known and not made:
        raise Invalid(
            "Choose at least one interest, or write your own.",
            fields={"interest": "Choose one, or write your own."},
        )
    if made:
        bump(session)
    return made


def _free_id(name: str, taken: Collection[str]) -> str:
    kept = "".join(sign if sign.isascii() and sign.isalnum() else " " for sign in name.lower())
    base = "_".join(kept.split())[:50].strip("_") or "interest"
    number, found = 2, base
    while found in taken:
        found, number = f"{base}_{number}", number + 1
    return found


def sample_papers(session: Session) -> int:
    """How many papers of the sample are there."""
    day = standing(session).sample_day
    return len(_sample(session, day)) if day else 0


def _sample(session: Session, day: str) -> list[Paper]:
    found = session.exec(
        select(Paper)
        .join(ListingPaper, col(ListingPaper.paper_id) == col(Paper.id))
        .where(ListingPaper.day == day)
    )
    return [paper for paper in found if paper.extra.get("sample") is True]


@dataclass(frozen=True)
class Removed:
    """How many papers of the sample are gone, and how many stay since a person wrote on their page."""

    gone: int
    stay: int


def remove_sample(session: Session) -> Removed:
    """Take the sample out with its pages, its marks, what was decided of it, and its day."""
    day = standing(session).sample_day
    gone = stay = 0
    if day:
        vectors.make_way(session)
        for paper in _sample(session, day):
            page = session.get(Page, paper.page_id) if paper.page_id else None
            if page is not None and _written_on(session, page):
                paper.extra = {k: v for k, v in paper.extra.items() if k != "sample"}
                session.add(paper)
                stay += 1
                continue
            paper.page_id = None
            session.add(paper)
            session.flush()
            if page is not None:
                session.delete(page)
            session.delete(paper)
            gone += 1
        session.flush()
        for item in session.exec(
            select(Item).where(Item.title == SAMPLE_NAME, Item.format == "jsonl")
        ):
            session.delete(item)
        _empty_day(session, day)
    preferences.set_sample_day(session, None)
    bump(session)
    return Removed(gone, stay)


def _written_on(session: Session, page: Page) -> bool:
    wrote = sa.exists().where(
        col(Revision.page_id) == page.id, col(Revision.author_kind).in_(_PEOPLE)
    )
    return bool(session.scalar(sa.select(wrote)))


def _empty_day(session: Session, day: str) -> None:
    """A day on which nothing else was listed is gone, and so is its digest, unless somebody edited it."""
    listed = sa.exists().where(col(ListingPaper.day) == day)
    listing = session.get(Listing, day)
    if listing is None or session.scalar(sa.select(listed)):
        return
    session.delete(listing)
    digest = session.exec(select(Digest).where(Digest.day == day)).first()
    page = session.get(Page, digest.page_id) if digest else None
    if page is not None and not _written_on(session, page):
        session.delete(page)
    session.flush()
