"""What a person wrote on a page, on every path that writes one: it stands byte for byte.

A machine's text, and what an import says anew, waits as a proposal with its diff; nothing is written
over a person's words unseen.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlmodel import Session, col, select

from app import syncing
from app.bootstrap import READERS, App
from app.domain import ownership
from app.domain.items import (
    Bundle,
    DigestArrival,
    Document,
    EpisodeArrival,
    MentionArrival,
    PageArrival,
    SourceRef,
)
from app.domain.records import (
    ActKind,
    AuthorKind,
    Change,
    ChangeKind,
    Digest,
    Link,
    LinkStatus,
    Page,
    PageKind,
    Relation,
    Revision,
    Source,
    SourceKind,
    Thread,
    Verdict,
)
from app.errors import Conflict, EditConflict
from app.services import acts as undoing
from app.services import digest, mentions, months, removal, review, threads
from app.services import pages as editing
from app.services.ingest import Report, import_files, store_delivery
from app.services.linker import shipped_weights
from app.settings import Settings
from app.sources.base import File
from app.store import acts, edits, pages, prose, sections
from app.store.db import reading, writing
from app.store.pages import PERSON, Author
from app.worker import Worker
from tests.factories import make_engine

NOW = datetime(2026, 5, 14, 9, 0, tzinfo=UTC)
DAY = "2026-05-14"
VAULT = Author(AuthorKind.VAULT, "vault")
MINE = "My own words: tea cools — naïvely — as  Newton said. \t‘Quote’ {{brace}} \\alpha $x_1$."
OURS = Author(AuthorKind.AGENT, "linker")


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    settings = Settings(data=tmp_path / "data", embedding_model="none", timezone="UTC", now=NOW)
    settings.data.mkdir()
    engine = make_engine(settings.data)
    yield App(settings, engine, shipped_weights(None))
    engine.dispose()


def load(app: App, *rows: dict[str, Any]) -> Report:
    data = "\n".join(json.dumps(row) for row in rows).encode()
    with writing(app.engine) as session:
        [(_, report)] = import_files(
            session, [File("notes.jsonl", data)], READERS, raw_folder=None, now=NOW
        )
    assert isinstance(report, Report) and not report.rejected, report
    return report


def deliver(app: App, document: Document) -> None:
    """What a fetch of a feed brought, as that source says it now."""
    with writing(app.engine) as session:
        source = session.exec(select(Source).where(Source.key == document.source.key)).first()
        if source is None:
            source = Source(
                key=document.source.key,
                kind=document.source.kind,
                name=document.source.name,
                created_at=NOW,
            )
            session.add(source)
            session.flush()
        bundle = Bundle(source=document.source, format="told", documents=(document,))
        report = store_delivery(session, bundle, source, raw_sha256="f" * 64, size=10, now=NOW)
        assert not report.rejected, report


def body(app: App, slug: str) -> str:
    with reading(app.engine) as session:
        return pages.get(session, slug).body


def waiting(app: App) -> list[Change]:
    with reading(app.engine) as session:
        found = session.exec(
            select(Change)
            .where(Change.kind == ChangeKind.EDIT, Change.status == LinkStatus.PROPOSED)
            .order_by(col(Change.id))
        ).all()
        session.expunge_all()
        return list(found)


def write(app: App, slug: str, change: Callable[[str], str], *, author: Author = PERSON) -> str:
    """A person's edit of a page; its text then."""
    with writing(app.engine) as session:
        page = pages.get(session, slug)
        content = pages.content_of(session, page)
        new = pages.Content(
            title=content.title,
            kind=content.kind,
            body=change(content.body),
            aliases=content.aliases,
            tags=content.tags,
        )
        editing.save(session, slug, new, base=page.version, now=NOW, author=author)
    return body(app, slug)


def annotated(text: str) -> str:
    """The text with a paragraph of a person's in its first section, and a changed word in its last."""
    return text.replace("\n\n## Later", f"\n\n{MINE}\n\n## Later", 1).replace("warm", "hot", 1)


def told(version: int) -> str:
    """What a source says: each time another first paragraph, and from the third on a new section."""
    news = "" if version < 3 else f"\n\n## News\n\nOnly version {version} says this."
    return (
        f"Tea was told of, version {version}.\n\nIt is a drink.\n\n"
        f"## Later\n\nIt stays warm.\n\nAnd is drunk.{news}\n"
    )


FEED = SourceRef(key="tea feed", kind=SourceKind.FEED, name="Tea feed")
SHOW = SourceRef(key="tea show", kind=SourceKind.PODCAST, name="Tea show")


def jsonl(kind: str) -> Callable[[App, int], str]:
    def come(app: App, version: int) -> str:
        ref = "arxiv:2605.00001" if kind == "paper" else "tea"
        row = {"type": kind, "id": ref, "title": "Tea", "text": told(version)}
        row |= {"thread": {"claim": "Tea is warm."}, "paper": {"keep": True, "slug": "tea"}}.get(
            kind, {}
        )
        load(app, row)
        with reading(app.engine) as session:
            return session.exec(select(Page.slug).where(Page.title == "Tea")).one()

    return come


def article(app: App, version: int) -> str:
    page = PageArrival(
        ref="url:https://tea.example/1", kind=PageKind.ARTICLE, title="Tea", text=told(version)
    )
    entry = Document(
        source=FEED, key="1", format="rss", title="Tea", arrivals=(page,), hash=f"h{version}"
    )
    deliver(app, entry)
    return "tea"


def episode(app: App, version: int) -> str:
    page = PageArrival(
        ref="url:https://tea.example/2", kind=PageKind.EPISODE, title="Tea", text=told(version)
    )
    entry = Document(
        source=SHOW,
        key="2",
        format="rss",
        title="Tea",
        arrivals=(EpisodeArrival(page=page, published=DAY),),
        hash=f"h{version}",
    )
    deliver(app, entry)
    return "tea"


SOURCES = {
    "concept": jsonl("concept"),
    "note": jsonl("page"),
    "thread": jsonl("thread"),
    "paper": jsonl("paper"),
    "article of a feed": article,
    "episode of a show": episode,
}


@pytest.mark.parametrize("author", [PERSON, VAULT], ids=["in the wiki", "in the vault"])
@pytest.mark.parametrize("come", SOURCES.values(), ids=SOURCES.keys())
def test_a_source_that_says_something_else_proposes_it(
    app: App, come: Callable[[App, int], str], author: Author
) -> None:
    slug = come(app, 1)
    come(app, 2)
    assert "version 2" in body(app, slug), "nobody wrote on it: it is brought up to date"
    mine = write(app, slug, annotated, author=author)
    assert MINE in mine and "hot" in mine
    for version in (2, 1, 2):  # what came before says nothing new
        come(app, version)
        assert body(app, slug) == mine
    assert waiting(app) == []
    for version in (3, 3, 4, 4):
        come(app, version)
        assert body(app, slug) == mine
        assert len(waiting(app)) == 1
    [change] = waiting(app)
    with reading(app.engine) as session:
        page = pages.get(session, slug)
        assert edits.refusal(session, page, change.content) == ""
        proposed = edits.edited(page.body, change.content)
    assert "version 4" in proposed and "Only version 4 says this." in proposed
    assert MINE in proposed and "hot" in proposed, "both edits are in it: they touch other lines"
    with writing(app.engine) as session:
        done = review.decide(session, f"c{change.id}", Verdict.ACCEPT, now=NOW)
    assert body(app, slug) == proposed
    come(app, 4)
    assert (body(app, slug), waiting(app)) == (proposed, [])
    with writing(app.engine) as session:
        review.undo(session, done.id, now=NOW)
    assert body(app, slug) == mine
    with writing(app.engine) as session:
        review.decide(session, f"c{change.id}", Verdict.REJECT, now=NOW)
    come(app, 4)
    assert (body(app, slug), waiting(app)) == (mine, []), "what was rejected is not asked again"


def test_two_edits_of_one_line_are_shown_side_by_side(app: App) -> None:
    slug = article(app, 1)
    mine = write(app, slug, lambda text: text.replace("version 1", f"by me. {MINE}"))
    article(app, 2)
    assert body(app, slug) == mine
    [change] = waiting(app)
    [section] = change.content["sections"]
    assert "version 2" in section["text"] and MINE not in section["text"]
    with reading(app.engine) as session:
        assert edits.refusal(session, pages.get(session, slug), change.content) == ""
    write(app, slug, lambda text: text + "\nMore of mine.\n")  # elsewhere on the page
    with reading(app.engine) as session:
        assert edits.refusal(session, pages.get(session, slug), change.content) == ""
    write(app, slug, lambda text: text.replace("by me", "by me alone"))
    with writing(app.engine) as session, pytest.raises(Conflict, match="changed since"):
        review.decide(session, f"c{change.id}", Verdict.ACCEPT, now=NOW)
    assert MINE in body(app, slug)


def test_a_text_that_a_person_took_out_does_not_come_back(app: App) -> None:
    load(app, {"type": "concept", "id": "tea", "title": "Tea", "text": told(1)})
    write(app, "tea", lambda _: "")
    load(app, {"type": "concept", "id": "tea", "title": "Tea", "text": told(1)})
    assert (body(app, "tea"), waiting(app)) == ("", [])


def test_a_section_that_a_source_adds_first_stands_first(app: App) -> None:
    load(app, {"type": "concept", "id": "tea", "title": "Tea", "text": "## Later\n\nWarm.\n"})
    write(app, "tea", lambda text: f"{text}\n{MINE}\n")
    news = "Told before all.\n\n## Later\n\nWarm.\n"
    load(app, {"type": "concept", "id": "tea", "title": "Tea", "text": news})
    [change] = waiting(app)
    with writing(app.engine) as session:
        done = review.decide(session, f"c{change.id}", Verdict.ACCEPT, now=NOW)
    assert body(app, "tea").startswith("Told before all.\n\n## Later")
    assert MINE in body(app, "tea")
    with writing(app.engine) as session:
        review.undo(session, done.id, now=NOW)
    assert body(app, "tea") == f"## Later\n\nWarm.\n\n{MINE}\n"


def test_an_import_that_comes_again_keeps_a_claim_and_a_line_of_the_readers(app: App) -> None:
    rows = (
        {"type": "thread", "id": "warm", "title": "Warm tea", "claim": "Tea is warm."},
        {"type": "paper", "id": "arxiv:2605.00001", "title": "On tea", "keep": True, "slug": "p"},
        {
            "type": "link",
            "source": "p",
            "relation": "part-of",
            "target": "warm",
            "note": "its line",
            "day": DAY,
        },
    )
    load(app, *rows)
    with writing(app.engine) as session:
        threads.edit(session, "warm", claim="Tea is hot, I say.", status="open", now=NOW)
        [link] = session.exec(select(Link).where(Link.relation == Relation.PART_OF)).all()
        threads.change_member(
            session, "warm", link.id or 0, role="starts", line="my line", day=DAY, now=NOW
        )
    load(app, *rows)
    load(app, {**rows[0], "claim": "Tea is lukewarm."}, rows[1], {**rows[2], "note": "another"})
    with reading(app.engine) as session:
        page = pages.get(session, "warm")
        assert session.get_one(Thread, page.id).claim == "Tea is hot, I say."
        [link] = session.exec(select(Link).where(Link.relation == Relation.PART_OF)).all()
        assert (link.note, link.role) == ("my line", "starts")


# ---------------------------------------------------------------- digests


@pytest.mark.parametrize("author", [PERSON, VAULT], ids=["in the wiki", "in the vault"])
def test_a_day_and_a_month_that_a_person_edited_are_told_no_more(app: App, author: Author) -> None:
    def listed(number: int, title: str, day: str) -> dict[str, Any]:
        return {"type": "paper", "id": f"arxiv:2604.{number:05}", "title": title, "day": day}

    load(app, *(listed(n, f"Tea {n}", "2026-04-14") for n in (1, 2, 3)))
    with writing(app.engine) as session:
        assert digest.store(session, digest.read(session, "2026-04-14", zone=UTC), now=NOW)
        work = months.read(session, "2026-04", today=date(2026, 5, 14), zone=UTC)
        assert months.store(session, work, now=NOW)
        session.flush()
        slugs = dict(
            session.connection()
            .execute(
                sa.select(col(Digest.day), col(Page.slug)).join(
                    Page, col(Page.id) == col(Digest.page_id)
                )
            )
            .all()
        )
    mine = {day: write(app, slug, lambda t: f"{MINE}\n\n{t}", author=author) for day, slug in slugs.items()}  # fmt: skip
    # Somebody else's revision comes after: it is still a person's page.
    with writing(app.engine) as session:
        for slug in slugs.values():
            page = pages.get(session, slug)
            content = pages.content_of(session, page)
            pages.revise(
                session,
                page,
                pages.Content(
                    title=content.title, kind=content.kind, body=content.body, tags=("told",)
                ),
                author=OURS,
                now=NOW,
            )
    load(app, listed(4, "Tea 4, much later", "2026-04-14"))
    later = NOW + timedelta(days=1)
    with writing(app.engine) as session:
        assert not digest.store(session, digest.read(session, "2026-04-14", zone=UTC), now=later)
        with pytest.raises(Conflict):
            digest.tell_again(session, "2026-04-14", zone=UTC, now=later)
        work = months.read(session, "2026-04", today=date(2026, 5, 15), zone=UTC)
        assert not months.store(session, work, now=later)
        page = pages.get(session, slugs["2026-04-14"])
        assert prose.standing(session, page.id or 0) is None
        assert prose.candidates(session, since="2026-01-01", told_before=later) == []
    assert {day: body(app, slug) for day, slug in slugs.items()} == mine


def test_a_digest_that_came_in_and_was_edited_keeps_the_edit(app: App) -> None:
    def come(version: int) -> None:
        page = PageArrival(ref="that-day", kind=PageKind.DIGEST, title="A day", text=told(version))
        one = DigestArrival(page=page, day=DAY, framing="", sections=(), ledger={})
        deliver(
            app,
            Document(
                source=FEED, key=DAY, format="x", title="A day", arrivals=(one,), hash=f"{version}"
            ),
        )

    come(1)
    mine = write(app, "that-day", annotated)
    come(2)
    assert body(app, "that-day") == mine
    assert len(waiting(app)) == 1


# ---------------------------------------------------------------- whatever else writes on a page


def merged_into(app: App, session: Session) -> None:
    review.merge(session, "mine", "tea", now=NOW)


def merged_from(app: App, session: Session) -> None:
    review.merge(session, "tea", "mine", now=NOW)


def merged_and_back(app: App, session: Session) -> None:
    review.undo(session, review.merge(session, "mine", "tea", now=NOW).id, now=NOW)


def split(app: App, session: Session) -> None:
    review.split(session, "mine", title="Cooling", aliases=["Chill"], members=[], now=NOW)


def split_and_back(app: App, session: Session) -> None:
    done = review.split(session, "mine", title="Cooling", aliases=[], members=[], now=NOW)
    review.undo(session, done.id, now=NOW)


def mention_linked(app: App, session: Session) -> None:
    mentions.link(session, "tea", "mine", now=NOW)


def renamed(app: App, session: Session) -> None:
    editing.rename(session, "mine", "mine-too", title="Mine, too", now=NOW)


def target_renamed(app: App, session: Session) -> None:
    editing.rename(session, "tea", "chai", title="Chai", now=NOW)


def at_work(app: App, session: Session) -> None:
    session.commit()
    Worker(app).once("test")


def imported_over(app: App, session: Session) -> None:
    session.commit()
    load(app, {"type": "concept", "id": "mine", "title": "Mine", "text": "Theirs.", "tags": ["t"]})
    load(app, {"type": "concept", "id": "mine", "title": "Mine", "text": "Theirs, again."})


def spoken_of(app: App, session: Session) -> None:
    session.commit()
    load(app, {"type": "paper", "id": "arxiv:2605.00007", "title": "On tea", "keep": True})
    said = MentionArrival(paper="arxiv:2605.00007", section="", text="Mine and tea.")
    deliver(
        app, Document(source=FEED, key="9", format="rss", title="T", arrivals=(said,), hash="1")
    )


def removed_and_back(app: App, session: Session) -> None:
    removal.remove(session, "mine", now=NOW)
    removal.restore(session, "mine", now=NOW)


def import_undone(app: App, session: Session) -> None:
    """An import that touched the page after the person did is taken back as a whole."""
    acts.begin(session, ActKind.IMPORT, "more.jsonl", now=NOW)
    page = pages.get(session, "mine")
    tagged = replace(pages.content_of(session, page), tags=("told",))
    pages.revise(session, page, tagged, author=pages.IMPORT, now=NOW)
    act = acts.current(session)
    session.commit()
    assert act is not None and act.id is not None
    with writing(app.engine) as later:
        undoing.undo(later, act.id, now=NOW)


def in_step_with_the_vault(app: App, session: Session) -> None:
    session.commit()
    syncing.once(app, "test")
    load(app, {"type": "concept", "id": "mine", "title": "Mine", "text": "Theirs, later."})
    syncing.once(app, "test")


PATHS: list[Callable[[App, Session], None]] = [
    *(merged_into, merged_from, merged_and_back, split, split_and_back, mention_linked, renamed),
    *(target_renamed, at_work, imported_over, spoken_of, removed_and_back, import_undone),
    in_step_with_the_vault,
]


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.__name__)
@pytest.mark.parametrize("author", [PERSON, VAULT], ids=["in the wiki", "in the vault"])
def test_a_paragraph_stands_after_whatever_writes_on_pages(
    app: App, author: Author, path: Callable[[App, Session], None]
) -> None:
    load(
        app,
        {"type": "concept", "id": "tea", "title": "Tea", "text": "A drink.\n", "aliases": ["Chai"]},
        {"type": "concept", "id": "mine", "title": "Mine", "text": "Old.\n", "aliases": ["Chill"]},
    )
    write(app, "mine", lambda _: f"Of tea.\n\n## Words\n\n{MINE}\n", author=author)
    with writing(app.engine) as session:
        path(app, session)
    with reading(app.engine) as session:
        holding = session.exec(
            select(Page).where(col(Page.body).contains(MINE, autoescape=True), ~col(Page.kind).in_(["merged", "removed"]))
        ).all()  # fmt: skip
        assert len(holding) == 1
        owned = [
            each
            for each in sections.of_page(session, holding[0])
            if MINE in holding[0].body and each.hash == ownership.text_hash(MINE)
        ]
        assert [each.owner.kind for each in owned] == [author.kind], "and it is still the person's"


def test_an_old_edit_of_a_page_that_moved_on_loses_neither_text(app: App) -> None:
    load(app, {"type": "concept", "id": "tea", "title": "Tea", "text": "One.\n\nTwo.\n"})
    mine = write(app, "tea", lambda text: text.replace("One.", MINE))
    theirs = pages.Content(title="Tea", kind=PageKind.CONCEPT, body="Uno.\n\nTwo.\n")
    with writing(app.engine) as session, pytest.raises(EditConflict) as refused:
        editing.save(session, "tea", theirs, base=1, now=NOW)
    assert MINE in refused.value.theirs and "Uno." in refused.value.mine
    assert body(app, "tea") == mine
    with writing(app.engine) as session:
        editing.restore(session, "tea", 1, now=NOW)
    with reading(app.engine) as session:
        assert MINE in session.exec(select(Revision.body).where(Revision.number == 2)).one()
    with writing(app.engine) as session:
        editing.restore(session, "tea", 2, now=NOW)
    assert body(app, "tea") == mine
