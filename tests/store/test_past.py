"""What was: a wiki that is worked on for weeks, photographed every evening, and asked for each of them later."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from random import Random

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Engine
from sqlmodel import Session, col, select

from app.domain.records import (
    GONE,
    Change,
    ChangeKind,
    Decision,
    Link,
    LinkStatus,
    Page,
    PageKind,
    Relation,
    Verdict,
)
from app.errors import CerebroError
from app.services import pages as editing
from app.services import removal, review
from app.store import graph, history, links, pages, past
from app.store.db import reading, writing
from app.store.pages import PERSON, Content
from tests.factories import THEN, make_engine, make_link

Row = tuple[int, int, str, str]  # source, target, relation, status
STANDING = (LinkStatus.ACCEPTED, LinkStatus.PROPOSED)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    made = make_engine(tmp_path)
    yield made
    made.dispose()


@dataclass(frozen=True)
class Photo:
    """The wiki of one evening: pages by id, and links between them that are accepted or wait."""

    pages: dict[int, tuple[str, PageKind, str, frozenset[str]]]
    links: set[Row]


def photo(session: Session) -> Photo:
    """Taken at the time, from the tables."""
    standing = [page for page in session.exec(select(Page)) if page.kind not in GONE]
    found = {
        page.id or 0: (
            page.title,
            page.kind,
            page.body,
            frozenset(pages.aliases_of(session, page.id or 0)),
        )
        for page in standing
    }
    rows = session.exec(select(Link).where(col(Link.status).in_(STANDING)))
    return Photo(
        found,
        {
            (row.source_id, row.target_id, row.relation.value, row.status.value)
            for row in rows
            if row.source_id in found and row.target_id in found
        },
    )


def developed(session: Session, moment: datetime) -> Photo:
    """The same of an earlier moment, from what pages, graph and lists of links tell of it."""
    then = past.before(session, moment)
    found = {}
    for page in session.exec(select(Page)).all():
        revision = history.in_force(session, page.id or 0, moment)
        was = then.called(page)
        if revision is None or page.id in then.gone or was.kind in GONE:
            continue
        assert (was.title, was.kind) == (revision.title, revision.kind)
        aliases = frozenset(revision.aliases)
        found[page.id or 0] = (revision.title, revision.kind, revision.body, aliases)
    rows = links.edges_among(session, list(found), before=moment)
    edges = past.edges(then, rows, found, statuses=STANDING, both=True)
    seen = [(e.source_id, e.target_id, e.relation.value, e.status.value) for e in edges]
    assert len(seen) == len(set(seen)), "a link is told twice"
    accepted = {row[:3] for row in seen if row[3] == "accepted"}
    ids = {page.slug: page.id or 0 for page in session.exec(select(Page))}
    lists = {
        (page_id, ids[row.slug], row.relation.value)
        for page_id in found
        for row in history.links_then(session, page_id, then, outgoing=True)
    }
    back = {
        (ids[row.slug], page_id, row.relation.value)
        for page_id in found
        for row in history.links_then(session, page_id, then, outgoing=False)
    }
    assert accepted == lists == back
    network = graph.read(session, graph.Span(before=moment), then)
    drawn = {tuple(sorted(row[:2])) for row in accepted}
    left, right = network.matrix.nonzero()
    shown = {
        tuple(sorted((int(network.ids[a]), int(network.ids[b]))))
        for a, b in zip(left, right, strict=True)
    }
    assert shown == drawn
    return Photo(found, set(seen))


# ---------------------------------------------------------------- a reader who does anything


NAMES = ("Tide", "Moon", "Harbour", "Chart", "Pilot", "Gauge", "Shoal", "Buoy")
WORDS = (*NAMES, "low water", "spring", "neap", "ebb", "extends::Moon", "uses::Tide")


@dataclass
class Reader:
    """Does one thing after another, whatever comes to mind; what is refused is not done."""

    session: Session
    random: Random
    now: datetime
    done: list[str] = field(default_factory=list)

    def something(self) -> None:
        act: Callable[[], object] = self.random.choice(
            [
                *(self.write, self.write, self.write, self.add, self.move, self.call),
                *(self.propose, self.propose, self.decide, self.decide, self.correct),
                *(self.merge, self.remove, self.undo, self.undo, self.restore, self.split),
            ]
        )
        try:
            with self.session.begin_nested():
                act()
        except CerebroError:
            return
        self.done.append(act.__name__)

    def page(self) -> Page:
        found = [each for each in self.session.exec(select(Page)) if each.kind not in GONE]
        return self.random.choice(found)

    def text(self) -> str:
        said = self.random.sample(WORDS, self.random.randint(0, 4))
        return " ".join(f"It is near [[{word}]]." for word in said)

    def save(self, page: Page, **fields: object) -> None:
        content = replace(pages.content_of(self.session, page), **fields)  # type: ignore[arg-type]
        editing.save(self.session, page.slug, content, base=page.version, now=self.now)

    def write(self) -> None:
        self.save(self.page(), body=self.text())

    def add(self) -> None:
        title = f"{self.random.choice(NAMES)} {self.random.choice(['', '', 'II', 'III'])}".strip()
        content = Content(title=title, kind=PageKind.CONCEPT, body=self.text())
        pages.create(self.session, content, author=PERSON, now=self.now)

    def move(self) -> None:
        slug = self.random.choice(["low-water", "spring", "neap", "ebb", "moon", "tide"])
        title = self.random.choice(["", self.random.choice(WORDS[:12])])
        editing.rename(self.session, self.page().slug, slug, now=self.now, title=title)

    def call(self) -> None:
        names = self.random.sample(("low water", "spring", "neap", "ebb", "Moon"), 2)
        self.save(self.page(), aliases=tuple(names[: self.random.randint(0, 2)]))

    def propose(self) -> None:
        one, other = self.page(), self.page()
        relation = self.random.choice([Relation.ABOUT, Relation.USES, Relation.MENTIONS])
        if one.id == other.id or links.between(self.session, one.id or 0, other.id or 0, relation):
            return
        made = make_link(
            self.session, one.id or 0, other.id or 0, relation, status=LinkStatus.PROPOSED
        )
        links.get(self.session, made).created_at = self.now

    def waiting(self) -> int:
        found = self.session.exec(select(Link.id).where(Link.status == LinkStatus.PROPOSED)).all()
        return self.random.choice([0, *(each or 0 for each in found)])

    def decide(self) -> None:
        verdict = self.random.choice(
            [Verdict.ACCEPT, Verdict.ACCEPT, Verdict.REJECT, Verdict.DEFER]
        )
        review.decide(self.session, self.waiting(), verdict, now=self.now)

    def correct(self) -> None:
        review.decide(
            self.session,
            self.waiting(),
            Verdict.ACCEPT,
            now=self.now,
            relation=self.random.choice([Relation.EXTENDS, Relation.USES]),
            target=self.random.choice(["", self.page().slug]),
        )

    def merge(self) -> None:
        review.merge(self.session, self.page().slug, self.page().slug, now=self.now)

    def split(self) -> None:
        page = self.page()
        held = self.session.exec(
            select(Link.source_id).where(
                Link.target_id == page.id,
                Link.relation == Relation.ABOUT,
                Link.status == LinkStatus.ACCEPTED,
            )
        ).all()
        review.split(
            self.session,
            page.slug,
            title=f"{page.title} half {self.now:%j%H%M%S%f}",
            aliases=pages.aliases_of(self.session, page.id or 0)[:1],
            members=list(held)[:1],
            now=self.now,
        )

    def remove(self) -> None:
        removal.remove(self.session, self.page().slug, now=self.now)

    def undo(self) -> None:
        # Undoing a split takes a page away whole: no earlier day has it (docs/decisions/0053).
        split = select(Change.id).where(Change.kind == ChangeKind.SPLIT)
        found = self.session.exec(
            select(Decision.id).where(
                col(Decision.undone).is_(False),
                col(Decision.undoes_id).is_(None),
                col(Decision.change_id).is_(None) | col(Decision.change_id).not_in(split),
            )
        ).all()
        review.undo(
            self.session, self.random.choice([0, *(each or 0 for each in found)]), now=self.now
        )

    def restore(self) -> None:
        page = self.page()
        number = self.random.randint(1, page.version)
        editing.restore(self.session, page.slug, number, now=self.now)


DAYS = 18


@pytest.mark.parametrize(
    "seed",
    [
        0,
        15,
        25,
        *(
            pytest.param(seed, marks=pytest.mark.soak)
            for seed in range(30)
            if seed not in (0, 15, 25)
        ),
    ],
)
def test_every_evening_is_told_as_it_was(engine: Engine, seed: int) -> None:
    random, taken = Random(seed), dict[datetime, Photo]()
    for number in range(DAYS):
        with writing(engine) as session:
            reader = Reader(session, random, THEN + timedelta(days=number))
            for _ in range(12 if not number else 5):
                reader.now += timedelta(minutes=7)
                (reader.add if not number and reader.now.minute % 2 else reader.something)() if (
                    session.exec(sa.select(sa.func.count()).select_from(Page)).scalar_one() > 1  # type: ignore[call-overload]
                ) else reader.add()
        with reading(engine) as session:
            taken[THEN + timedelta(days=number, hours=12)] = photo(session)
    with reading(engine) as session:
        for moment, shot in taken.items():
            found = developed(session, moment)
            assert found.pages == shot.pages, moment
            assert found.links == shot.links, moment


def test_the_statements_do_not_grow_with_the_wiki(engine: Engine) -> None:
    def grown(first: int, last: int) -> int:
        with writing(engine) as session:
            for number in range(first, last):
                body = f"Near [[Stone {number - 1}]]."
                content = Content(title=f"Stone {number}", kind=PageKind.CONCEPT, body=body)
                page = pages.create(session, content, author=PERSON, now=THEN)
                if number % 10 == 0:
                    edited = replace(content, body=body + " Again.", aliases=(f"Rock {number}",))
                    pages.revise(session, page, edited, author=PERSON, now=THEN + timedelta(days=2))
        asked: list[object] = []

        def note(*given: object) -> None:
            asked.append(given[2])

        sa.event.listen(engine, "before_cursor_execute", note)
        with reading(engine) as session:
            then = past.before(session, THEN + timedelta(days=1))
        sa.event.remove(engine, "before_cursor_execute", note)
        assert len(then.pages) == last // 10
        return len(asked)

    assert grown(0, 50) == grown(50, 500)


@pytest.mark.parametrize(
    "brought", ["abc", 7, {"a": 1}, [1], [["a", "b", "no time", 0]], [["a", "b", "2026-05-08", 0]]]
)
def test_what_an_import_brought_by_the_name_of_former_addresses_is_none(
    engine: Engine, brought: object
) -> None:
    with writing(engine) as session:
        content = Content(title="Cup", kind=PageKind.CONCEPT, body="Of [[Cup]].")
        page = pages.create(session, content, author=PERSON, now=THEN)
        page.extra = {pages.FORMER: brought}
        session.add(page)
        editing.rename(session, "cup", "mug", now=THEN + timedelta(days=1))
        assert len(pages.former_addresses(page.extra)) == 1
    with reading(engine) as session:
        then = past.before(session, THEN + timedelta(hours=1))
        assert [each.slug for each in then.pages.values()] == ["cup"]
