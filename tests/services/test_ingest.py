"""Ingest: the same document twice, in any order, from several sources, over what a person did."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Engine
from sqlmodel import Session, col, select

from app.domain.identifiers import parse_id, slugify
from app.domain.items import (
    Arrival,
    AssessmentArrival,
    Document,
    MentionArrival,
    PageArrival,
    PaperArrival,
    Rejected,
    SourceRef,
    TopicArrival,
)
from app.domain.records import (
    Announced,
    Assessment,
    AssessmentTopic,
    AuthorKind,
    Decision,
    Item,
    Link,
    LinkStatus,
    ListingPaper,
    Mention,
    Page,
    PageKind,
    PageText,
    Paper,
    PaperState,
    PaperVector,
    Raw,
    RedLink,
    Relation,
    Revision,
    SourceKind,
    Topic,
    Verdict,
)
from app.errors import CerebroError, Unreadable
from app.services import pages as editing
from app.services import review
from app.services.ingest import Outcome, Report, import_files
from app.sources.base import File
from app.sources.interchange import Interchange
from app.store import links, pages, papers
from app.store.db import generation, reading, writing
from app.store.pages import Content
from tests.factories import make_engine

NOW = datetime(2026, 5, 14, 9, 0, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)
TITLES = Path(__file__).parents[2] / "../shared/corpora/own/titles.jsonl"
Row = dict[str, Any]


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    made = make_engine(tmp_path)
    yield made
    made.dispose()


@dataclass(frozen=True)
class Told:
    """A reader of one document that a test makes up: any bytes mean these arrivals."""

    arrivals: Sequence[Arrival | Rejected]
    kind: SourceKind = SourceKind.LISTING
    key: str = "told"
    format: str = "told"

    def recognises(self, file: File) -> bool:
        return True

    def read(self, file: File) -> Document:
        return Document(
            source=SourceRef(key=self.kind.value, kind=self.kind, name="A saved page"),
            key=self.key,
            format=self.format,
            title=file.name,
            arrivals=self.arrivals,
            published="2026-05-14",
        )


def take(engine: Engine, *rows: Row, now: datetime = NOW, name: str = "facts.jsonl") -> Report:
    """Import interchange rows as one file."""
    data = "\n".join(json.dumps(row) for row in rows).encode()
    with writing(engine) as session:
        [(_, report)] = import_files(
            session, [File(name, data)], [Interchange()], raw_folder=None, now=now
        )
    assert isinstance(report, Report)
    return report


def tell(
    engine: Engine,
    *arrivals: Arrival | Rejected,
    kind: SourceKind = SourceKind.LISTING,
    key: str = "told",
    now: datetime = NOW,
) -> Report:
    """Import a saved page that says these things; such a page adds but does not correct."""
    with writing(engine) as session:
        [(_, report)] = import_files(
            session, [File(key, b"x")], [Told(arrivals, kind, key)], raw_folder=None, now=now
        )
    assert isinstance(report, Report)
    return report


def concept(slug: str, title: str = "", **fields: Any) -> Row:
    return {"type": "concept", "id": slug, "title": title or slug.replace("-", " "), **fields}


def paper(number: int, title: str = "", **fields: Any) -> Row:
    return {
        "type": "paper",
        "id": f"arxiv:2605.{number:05}",
        "title": title or f"Tide gauge study {number}",
        **fields,
    }


def about(number: int, slug: str, **fields: Any) -> Row:
    return {
        "type": "link",
        "source": f"arxiv:2605.{number:05}",
        "relation": "about",
        "target": slug,
        **fields,
    }


def kept(number: int, verdict: str = "keep", **fields: Any) -> Row:
    return {
        "type": "decision",
        "paper": f"arxiv:2605.{number:05}",
        "verdict": verdict,
        **fields,
    }


def the_paper(session: Session, number: int) -> Paper:
    identifier = parse_id(f"arxiv:2605.{number:05}")
    assert identifier is not None
    found = papers.by_id(session, identifier)
    assert found is not None
    return found


def rows_of(session: Session) -> dict[str, int]:
    """How many rows each table has."""
    tables = (Page, Paper, Link, Revision, Decision, Mention, Item, RedLink, Assessment, Topic)
    return {
        table.__name__: session.scalar(sa.select(sa.func.count()).select_from(table)) or 0
        for table in tables
    }


WIKI = (
    {"type": "topic", "id": "tides", "name": "Tides", "keep": "tides", "tier": 1},
    concept("kv-cache", "KV cache", aliases=["key-value cache"], text="See [[tide tables]]."),
    concept("tide-tables", text="A table of tides."),
    paper(1, abstract="We cache keys.", references=["arxiv:2605.00002"]),
    paper(2, day="2026-05-14"),
    paper(3, day="2026-05-14"),
    {"type": "thread", "id": "slack-water", "title": "Slack water", "claim": "It is short."},
    {"type": "page", "id": "a-note", "kind": "note", "title": "A note", "text": "[[KV cache]]"},
    about(1, "kv-cache", at="2026-05-08T09:00:00Z", evidence=[{"quote": "We cache keys."}]),
    about(2, "tide-tables", status="accepted"),
    {"type": "link", "source": "arxiv:2605.00001", "relation": "part-of", "target": "slack-water"},
    kept(3, "drop", at="2026-05-14T08:00:00Z"),
)


# ---------------------------------------------------------------- twice, and in any order


def test_the_same_file_twice_changes_nothing(engine: Engine) -> None:
    first = take(engine, *WIKI)
    assert not first.rejected
    with reading(engine) as session:
        before, counted = rows_of(session), generation(session)
    second = take(engine, *WIKI, now=LATER)
    assert not second.rejected
    assert second.total(Outcome.NEW) == second.total(Outcome.CHANGED) == 0
    assert second.total(Outcome.SAME) == first.total(Outcome.NEW)
    with reading(engine) as session:
        assert rows_of(session) == before
        assert generation(session) == counted


def state(engine: Engine) -> dict[str, object]:
    """What an import left behind, without the numbers that depend on the order of lines."""
    with reading(engine) as session:
        slugs: dict[int | None, str] = {p.id: p.slug for p in session.exec(select(Page))}
        return {
            "pages": sorted((p.slug, p.kind, p.title, p.body) for p in session.exec(select(Page))),
            "papers": sorted((p.title, p.state) for p in session.exec(select(Paper))),
            "links": sorted(
                (slugs[link.source_id], link.relation, slugs[link.target_id], link.status)
                for link in session.exec(select(Link))
            ),
            "red": sorted(red.name for red in session.exec(select(RedLink))),
        }


@pytest.mark.parametrize("turn", range(0, len(WIKI), 3))
def test_the_order_of_lines_does_not_matter(tmp_path: Path, engine: Engine, turn: int) -> None:
    take(engine, *WIKI)
    folder = tmp_path / "other"
    folder.mkdir()
    other = make_engine(folder)
    report = take(other, *WIKI[turn:][::-1], *WIKI[:turn])
    assert not report.rejected
    assert state(other) == state(engine)
    other.dispose()


def test_links_hold_whatever_the_order_of_files(engine: Engine) -> None:
    files = [
        File("a.jsonl", json.dumps(about(1, "kv-cache")).encode()),
        File("b.jsonl", json.dumps(concept("kv-cache")).encode()),
        File("c.jsonl", json.dumps(paper(1)).encode()),
    ]
    with writing(engine) as session:
        results = import_files(session, files, [Interchange()], raw_folder=None, now=NOW)
    assert all(isinstance(report, Report) and not report.rejected for _, report in results)
    with reading(engine) as session:
        assert links.count(session, LinkStatus.ACCEPTED) == 1


def test_of_two_words_on_one_link_the_later_one_counts_in_either_order(
    tmp_path: Path, engine: Engine
) -> None:
    words = [
        about(1, "kv-cache", status="accepted", at="2026-05-08T09:00:00Z"),
        about(1, "kv-cache", status="rejected", at="2026-05-09T09:00:00Z"),
    ]
    for number, order in enumerate(permutations(words)):
        folder = tmp_path / str(number)
        folder.mkdir()
        wiki = make_engine(folder)
        for _ in range(2):  # and once more: it must not swing back
            take(wiki, paper(1), concept("kv-cache"), *order)
            with reading(wiki) as session:
                assert session.exec(select(Link)).one().status is LinkStatus.REJECTED
        wiki.dispose()


def test_of_two_decisions_on_one_paper_the_later_one_counts_in_either_order(
    tmp_path: Path,
) -> None:
    words = [kept(1, at="2026-05-08T09:00:00Z"), kept(1, "drop", at="2026-05-09T09:00:00Z")]
    for number, order in enumerate(permutations(words)):
        folder = tmp_path / str(number)
        folder.mkdir()
        wiki = make_engine(folder)
        for _ in range(2):
            report = take(wiki, paper(1, day="2026-05-08"), *order)
            assert not report.rejected
            with reading(wiki) as session:
                assert the_paper(session, 1).state is PaperState.DROPPED
                assert pages.count(session) == 0
        wiki.dispose()


def test_a_dropped_paper_of_a_plain_file_stays_dropped_when_the_file_comes_again(
    engine: Engine,
) -> None:
    rows = (paper(1), kept(1, "drop", at="2026-05-09T09:00:00Z"))
    for _ in range(3):
        assert not take(engine, *rows).rejected
        with reading(engine) as session:
            assert the_paper(session, 1).state is PaperState.DROPPED


def test_an_older_version_that_comes_later_does_not_replace_a_newer_one(engine: Engine) -> None:
    take(engine, paper(1, "Tides, revised", abstract="New.") | {"id": "arxiv:2605.00001v2"})
    take(engine, paper(1, "Tides", abstract="Old.") | {"id": "arxiv:2605.00001v1"})
    with reading(engine) as session:
        found = the_paper(session, 1)
        assert (found.title, found.abstract) == ("Tides, revised", "New.")
        [identifier] = papers.identifiers_of(session, found.id or 0)
        assert identifier.versions == [1, 2]


# ---------------------------------------------------------------- listings


def on(day: str, number: int = 1, **fields: Any) -> Row:
    return paper(number, day=day, **fields)


def listed(engine: Engine, day: str) -> list[tuple[str, int | None, Announced | None]]:
    """The listing of a day: title, version and what was announced."""
    with reading(engine) as session:
        rows = session.exec(
            select(Paper.title, ListingPaper.version, ListingPaper.announced)
            .join(ListingPaper, col(ListingPaper.paper_id) == col(Paper.id))
            .where(ListingPaper.day == day)
            .order_by(col(ListingPaper.position), col(Paper.id))
        )
        return [(title, version, announced) for title, version, announced in rows]


def queued(engine: Engine) -> list[tuple[int, str]]:
    """Papers that wait and the day under which they do."""
    with reading(engine) as session:
        return [(row.id, row.came) for row in papers.waiting(session)]


def test_a_listing_names_versions_and_what_it_announced(engine: Engine) -> None:
    take(
        engine,
        on("2026-05-13", 1, announced="new"),
        on("2026-05-13", 2, version=3, announced="replaced"),
        on("2026-05-13", 3) | {"id": "arxiv:2605.00003v2"},
        {"type": "paper", "id": "doi:10.1000/x", "title": "D", "day": "2026-05-13", "version": 4},
    )
    assert {(version, announced) for _, version, announced in listed(engine, "2026-05-13")} == {
        (None, Announced.NEW),
        (3, Announced.REPLACED),
        (2, None),
        (4, None),
    }
    with reading(engine) as session:
        [identifier] = papers.identifiers_of(session, the_paper(session, 2).id or 0)
        assert identifier.versions == [3]


def test_a_paper_listed_again_keeps_its_day_and_is_no_second_paper(engine: Engine) -> None:
    take(engine, on("2026-05-12", announced="new", version=1))
    before = queued(engine)
    take(engine, on("2026-05-13", announced="replaced", version=2))
    take(engine, on("2026-05-14", announced="cross"))
    take(engine, on("2026-05-15"))
    assert queued(engine) == before == [(before[0][0], "2026-05-12")]
    assert [listed(engine, f"2026-05-{day}")[0][1:] for day in (12, 13, 14, 15)] == [
        (1, Announced.NEW),
        (2, Announced.REPLACED),
        (None, Announced.CROSS),
        (None, None),
    ]


def test_a_paper_that_is_announced_as_new_again_waits_under_the_newer_day(engine: Engine) -> None:
    take(engine, on("2026-05-12"))
    take(engine, on("2026-05-14", announced="new"))
    assert [came for _, came in queued(engine)] == ["2026-05-14"]


def test_the_order_in_which_listings_come_does_not_matter(engine: Engine) -> None:
    for day in ("2026-05-14", "2026-05-12", "2026-05-13"):
        take(engine, on(day))
    assert [came for _, came in queued(engine)] == ["2026-05-12"]


@pytest.mark.parametrize("verdict", [Verdict.DROP, Verdict.KEEP, Verdict.DEFER])
def test_a_decided_paper_does_not_wait_again_when_it_is_listed_again(
    engine: Engine, verdict: Verdict
) -> None:
    take(engine, on("2026-05-12"))
    with writing(engine) as session:
        review.decide_paper(session, the_paper(session, 1).id or 0, verdict, now=NOW)
    with reading(engine) as session:
        state = the_paper(session, 1).state
    take(engine, on("2026-05-13", announced="new", version=2, abstract="Now with more."))
    assert queued(engine) == []
    with reading(engine) as session:
        assert the_paper(session, 1).state is state


def test_what_a_listing_says_later_of_the_same_day_is_filled_in(engine: Engine) -> None:
    tell(engine, PaperArrival(refs=("arxiv:2605.00001",), title="Tides", day="2026-05-12"))
    tell(
        engine,
        PaperArrival(
            refs=("arxiv:2605.00001v2",),
            title="Tides",
            day="2026-05-12",
            announced=Announced.REPLACED,
        ),
        key="again",
    )
    assert listed(engine, "2026-05-12") == [("Tides", 2, Announced.REPLACED)]


@pytest.mark.parametrize(
    "title",
    [
        "HERONS: A STUDY OF $O(n)$ TIDES",
        "Herons -- a study of O(n) tides.",
        r"{\em Herons}: A Study of $O(n)$ {T}ides",
        "  Herons: A\tStudy of O(n) Tides ",
    ],
)
def test_a_title_written_otherwise_is_the_same_paper(engine: Engine, title: str) -> None:
    tell(engine, PaperArrival(refs=(), title="Herons: A Study of O(n) Tides", day="2026-05-12"))
    tell(
        engine,
        PaperArrival(refs=("arxiv:2605.00001v1",), title=title, day="2026-05-13"),
        key="again",
    )
    assert len(queued(engine)) == 1


def test_rows_that_prove_to_be_one_paper_hand_over_listings_and_vectors(engine: Engine) -> None:
    tell(engine, PaperArrival(refs=("doi:10.1000/x",), title="Tides", day="2026-05-12"), key="a")
    take(engine, on("2026-05-13", title="Tides, long"))
    with writing(engine) as session:
        for found in session.exec(select(Paper)):
            for model in ("m", str(found.id)):
                session.add(
                    PaperVector(paper_id=found.id or 0, model=model, text_hash="h", data=b"0")
                )
    tell(
        engine,
        PaperArrival(refs=("doi:10.1000/x", "arxiv:2605.00001"), title="Tides"),
        key="b",
    )
    with reading(engine) as session:
        [found] = session.exec(select(Paper)).all()
        assert sorted(session.exec(select(ListingPaper.day))) == ["2026-05-12", "2026-05-13"]
        models = session.exec(select(PaperVector.model).where(PaperVector.paper_id == found.id))
        assert sorted(models) == ["1", "2", "m"]
        assert found.came == "2026-05-12"


# ---------------------------------------------------------------- what was extracted


def extracted(engine: Engine) -> str:
    """A paper that the reader kept, with the summary from its abstract; its address."""
    take(
        engine, on("2026-05-12", abstract="We propose a gauge for tides. It saves 3% of all power.")
    )
    with writing(engine) as session:
        review.decide_paper(session, the_paper(session, 1).id or 0, Verdict.KEEP, now=NOW)
        page = session.get(Page, the_paper(session, 1).page_id)
        assert page is not None
        assert page.author_kind is AuthorKind.EXTRACT
        return page.slug


def test_an_import_that_only_names_a_paper_leaves_its_summary_extracted(engine: Engine) -> None:
    slug = extracted(engine)
    body = body_of(engine, slug)
    take(engine, paper(1, aliases=["Gauge study"]))
    with reading(engine) as session:
        page = pages.get(session, slug)
        assert (page.body, page.author_kind, page.version) == (body, AuthorKind.EXTRACT, 2)
        text = session.get(PageText, page.id)
        assert text is not None
        assert text.text == "We propose a gauge for tides. It saves 3% of all power."


@pytest.mark.parametrize("kind", [SourceKind.FILE, SourceKind.LISTING])
def test_a_text_of_its_own_takes_the_place_of_an_extracted_one(
    engine: Engine, kind: SourceKind
) -> None:
    slug = extracted(engine)
    tell(
        engine,
        PaperArrival(refs=("arxiv:2605.00001",), title="Tide gauge study 1", text="Told."),
        kind=kind,
        key="text",
    )
    assert body_of(engine, slug) == "Told."


# ---------------------------------------------------------------- one paper, many documents


def test_a_second_version_is_the_same_paper_changed(engine: Engine) -> None:
    tell(engine, PaperArrival(refs=("arxiv:2605.00001v1",), title="Tides", abstract="Old."))
    report = tell(
        engine,
        PaperArrival(refs=("arxiv:2605.00001v2",), title="Tides", abstract="New."),
        key="next day",
    )
    assert report.counts["paper", Outcome.CHANGED] == 1
    with reading(engine) as session:
        assert session.exec(select(Paper)).one().abstract == "New."


def test_one_paper_in_several_documents_is_one_paper(engine: Engine) -> None:
    tell(engine, PaperArrival(refs=("arxiv:2605.00001",), title="Tides"), key="a")
    tell(
        engine,
        PaperArrival(refs=("doi:10.1000/tides",), title="TIDES", venue="Coast"),
        kind=SourceKind.DIGEST,
        key="b",
    )
    tell(
        engine,
        PaperArrival(refs=("doi:10.1000/TIDES",), title="Something else", authors=("Ada",)),
        kind=SourceKind.PODCAST,
        key="c",
    )
    with reading(engine) as session:
        found = session.exec(select(Paper)).one()
        assert (found.title, found.venue, found.authors) == ("Tides", "Coast", ["Ada"])
        known = [f"{i.scheme}:{i.value}" for i in papers.identifiers_of(session, found.id or 0)]
        assert known == ["arxiv:2605.00001", "doi:10.1000/tides"]


def test_a_saved_page_adds_to_a_paper_and_does_not_correct_it(engine: Engine) -> None:
    take(engine, paper(1, abstract="As its authors wrote."))
    tell(
        engine,
        PaperArrival(refs=("arxiv:2605.00001",), title="Tides!", abstract="Cut", venue="Coast"),
    )
    with reading(engine) as session:
        found = the_paper(session, 1)
        assert found.title == "Tide gauge study 1"
        assert (found.abstract, found.venue) == ("As its authors wrote.", "Coast")


def mention(ref: str, section: str, text: str = "") -> MentionArrival:
    return MentionArrival(paper=ref, section=section, text=text)


def test_a_paper_known_by_title_joins_when_its_id_is_known_and_keeps_its_mentions(
    engine: Engine,
) -> None:
    tell(
        engine,
        PaperArrival(refs=(), title="Slack water"),
        mention("title:Slack water", "Deep Dives", "first"),
        key="monday",
    )
    # Another row of the same work, whose title is told differently.
    tell(
        engine,
        PaperArrival(refs=("arxiv:2605.00001",), title="Slack Water: a study"),
        mention("arxiv:2605.00001", "Deep Dives", "second"),
        mention("arxiv:2605.00001", "Quick Hits", "third"),
        key="monday",
    )
    with reading(engine) as session:
        assert len(session.exec(select(Paper)).all()) == 2
    tell(engine, PaperArrival(refs=("arxiv:2605.00001",), title="Slack water"), key="tuesday")
    with reading(engine) as session:
        joined = session.exec(select(Paper)).one()
        said = {
            (m.section, m.text)
            for m in session.exec(select(Mention).where(Mention.paper_id == joined.id))
        }
        # One item says one thing of a paper in one section; nothing else is lost.
        assert {section for section, _ in said} == {"Deep Dives", "Quick Hits"}
        assert ("Quick Hits", "third") in said


def test_joining_keeps_the_page_and_what_links_to_it(engine: Engine) -> None:
    take(engine, {"type": "paper", "id": "slack-water", "title": "Slack water"})
    take(engine, {"type": "page", "id": "n", "title": "N", "text": "[[Slack water]]"})
    take(engine, paper(1, "Slack water: a study", day="2026-05-14"))
    tell(engine, PaperArrival(refs=("arxiv:2605.00001",), title="Slack water"))
    with reading(engine) as session:
        found = session.exec(select(Paper)).one()
        page = session.get(Page, found.page_id)
        assert page is not None
        assert page.slug == "slack-water"
        assert [row.slug for row in links.backlinks(session, page.id or 0)] == ["n"]
        text = session.connection().execute(
            sa.text("SELECT names FROM page_text WHERE page_id = :id"), {"id": page.id}
        )
        assert "2605.00001" in text.scalar_one()


def test_joining_keeps_marks_of_the_same_scorer_on_other_days(engine: Engine) -> None:
    def marks(ref: str, day: str) -> AssessmentArrival:
        return AssessmentArrival(paper=ref, day=day, scorer="s", relevance=5, novelty=5, topics=())

    tell(engine, PaperArrival(refs=(), title="T"), marks("title:T", "2026-05-13"), key="a")
    tell(
        engine,
        PaperArrival(refs=("arxiv:2605.00001",), title="T, long"),
        marks("arxiv:2605.00001", "2026-05-14"),
        key="b",
    )
    tell(engine, PaperArrival(refs=("arxiv:2605.00001",), title="T"), key="c")
    with reading(engine) as session:
        assert sorted(a.day for a in session.exec(select(Assessment))) == [
            "2026-05-13",
            "2026-05-14",
        ]


def test_two_arxiv_ids_with_the_same_title_stay_two(engine: Engine) -> None:
    for _ in range(2):
        take(engine, paper(1, "Introduction"), paper(2, "Introduction"))
    with reading(engine) as session:
        assert len(session.exec(select(Paper)).all()) == 2
        assert sorted(p.slug for p in session.exec(select(Page))) == [
            "introduction",
            "introduction-2",
        ]


def test_two_kept_papers_that_prove_to_be_one_keep_both_their_pages(engine: Engine) -> None:
    take(engine, paper(1, "Slack water", text="Mine."))
    take(
        engine,
        {"type": "paper", "id": "doi:10.1000/slack", "title": "Still water", "text": "Yours."},
    )
    take(
        engine,
        paper(1, "Slack water", identifiers=["doi:10.1000/slack"]),
    )
    with reading(engine) as session:
        for page in session.exec(select(Page)):
            assert papers.of_page(session, page.id or 0) is not None, page.slug
        assert {p.body for p in session.exec(select(Page))} == {"Mine.", "Yours."}


def test_a_paper_that_waits_can_be_named_by_the_slug_it_was_given(engine: Engine) -> None:
    waiting = {"type": "paper", "id": "my--paper", "title": "A paper of mine", "day": "2026-05-14"}
    take(engine, waiting)
    report = take(engine, {"type": "decision", "paper": "my--paper", "verdict": "keep"})
    assert not report.rejected
    with reading(engine) as session:
        page = session.exec(select(Page)).one()
        assert page.slug == "my--paper"
        kept_paper = session.exec(select(Paper)).one()
        assert papers.reference(session, kept_paper) == "my--paper"


def test_a_paper_named_by_a_slug_is_known_by_it_whatever_its_title(engine: Engine) -> None:
    take(engine, {"type": "paper", "id": "my-paper", "title": "First title"})
    report = take(engine, {"type": "paper", "id": "my-paper", "title": "Second title"})
    assert report.counts["paper", Outcome.CHANGED] == 1
    with reading(engine) as session:
        assert session.exec(select(Paper)).one().title == "Second title"
        assert pages.get(session, "my-paper").title == "Second title"


def test_a_second_slug_of_one_paper_leads_to_its_page(engine: Engine) -> None:
    report = take(
        engine,
        paper(1, "Slack water"),
        {"type": "paper", "id": "sw-paper", "title": "Slack water"},
        concept("tides"),
        {"type": "link", "source": "sw-paper", "relation": "about", "target": "tides"},
    )
    assert not report.rejected
    with reading(engine) as session:
        found = pages.named(session, "sw-paper")
        assert found is not None
        assert found.slug == "slack-water"


def test_a_slug_that_a_concept_has_is_refused_to_a_paper(engine: Engine) -> None:
    report = take(
        engine, concept("tides"), {"type": "paper", "id": "tides", "title": "A paper on tides"}
    )
    assert [r.reason for r in report.rejected] == [
        "'tides' is a concept here, not a paper. Give it another id."
    ]


# ---------------------------------------------------------------- over what a person did


def edit(engine: Engine, slug: str, **changes: Any) -> None:
    """A person's save of a page as it stands, but for these fields."""
    with writing(engine) as session:
        page = pages.get(session, slug)
        before = pages.content_of(session, page)
        fields = {
            "title": before.title,
            "kind": before.kind,
            "body": before.body,
            "aliases": before.aliases,
            "tags": before.tags,
        }
        content = Content(**{**fields, **changes})
        editing.save(session, slug, content, base=page.version, now=NOW)


def body_of(engine: Engine, slug: str) -> str:
    with reading(engine) as session:
        return pages.get(session, slug).body


def test_a_file_corrects_a_page_that_only_files_wrote(engine: Engine) -> None:
    take(engine, concept("tides", text="Old."))
    take(engine, concept("tides", text="New."))
    assert body_of(engine, "tides") == "New."


def test_an_empty_text_leaves_a_text_as_it_is(engine: Engine) -> None:
    take(engine, concept("tides", text="Text."))
    take(engine, concept("tides", text=None), concept("tides", text=""))
    assert body_of(engine, "tides") == "Text."


def test_what_a_person_wrote_is_never_overwritten(engine: Engine) -> None:
    take(engine, concept("tides", text="Imported."))
    edit(engine, "tides", body="Mine.")
    # The first import after the edit adds a name; the second must still see a person's page.
    take(engine, concept("tides", "Other title", text="Imported.", aliases=["ebb and flow"]))
    take(engine, concept("tides", "Other title", text="Imported again."))
    assert body_of(engine, "tides") == "Mine."
    with reading(engine) as session:
        page = pages.get(session, "tides")
        assert page.title == "tides"
        assert pages.aliases_of(session, page.id or 0) == ["ebb and flow"]


def test_what_a_person_took_out_stays_out(engine: Engine) -> None:
    row = concept("tides", text="Imported.", aliases=["ebb"], tags=["sea"])
    take(engine, row)
    edit(engine, "tides", body="", aliases=(), tags=())
    report = take(engine, row)
    assert report.counts["concept", Outcome.SAME] == 1
    with reading(engine) as session:
        assert pages.content_of(session, pages.get(session, "tides")) == Content(
            title="tides", kind=PageKind.CONCEPT
        )


def test_a_page_that_a_person_only_named_takes_its_first_text_from_a_file(engine: Engine) -> None:
    with writing(engine) as session:
        content = Content(title="Tides", kind=PageKind.CONCEPT)
        editing.save(session, "tides", content, base=0, now=NOW)
    take(engine, concept("tides", text="A text."))
    assert body_of(engine, "tides") == "A text."


def test_a_title_that_a_person_gave_a_paper_stays(engine: Engine) -> None:
    take(engine, paper(1, "Tides"))
    edit(engine, "tides", title="Tides (read twice)")
    take(engine, paper(1, "Tides, camera ready"))
    with reading(engine) as session:
        assert pages.get(session, "tides").title == "Tides (read twice)"
        assert the_paper(session, 1).title == "Tides, camera ready"


def decide(engine: Engine, verdict: Verdict, at: datetime = NOW) -> None:
    """A person decides the one proposal there is."""
    with writing(engine) as session:
        link = session.exec(select(Link)).one()
        review.decide(session, link.id or 0, verdict, now=at)


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        ("", LinkStatus.REJECTED),
        ("2026-05-14T08:59:59Z", LinkStatus.REJECTED),
        ("2026-05-14T09:00:00Z", LinkStatus.REJECTED),
        ("2026-05-14", LinkStatus.REJECTED),
        ("2026-05-14T11:00:00+03:00", LinkStatus.REJECTED),
        ("2026-05-14T09:00:01Z", LinkStatus.ACCEPTED),
        ("2026-05-15", LinkStatus.ACCEPTED),
    ],
)
def test_a_decision_of_a_person_is_replaced_only_by_a_later_one(
    engine: Engine, at: str, expected: LinkStatus
) -> None:
    take(engine, paper(1), concept("tides"), about(1, "tides", status="proposed"))
    decide(engine, Verdict.REJECT)
    take(engine, about(1, "tides", status="accepted", at=at), now=LATER)
    with reading(engine) as session:
        assert session.exec(select(Link)).one().status is expected


def test_an_undo_is_a_decision_too(engine: Engine) -> None:
    rows = (paper(1), concept("tides"), about(1, "tides", status="proposed"))
    take(engine, *rows)
    decide(engine, Verdict.ACCEPT)
    with writing(engine) as session:
        review.undo(session, None, now=NOW)
    take(engine, about(1, "tides", status="accepted", at="2026-05-01"))
    with reading(engine) as session:
        assert session.exec(select(Link)).one().status is LinkStatus.PROPOSED


@pytest.mark.parametrize("verdict", [Verdict.DROP, Verdict.DEFER])
def test_a_paper_that_a_person_put_away_is_not_kept_by_a_mere_mention(
    engine: Engine, verdict: Verdict
) -> None:
    take(engine, paper(1, day="2026-05-14"), concept("tides"))
    with writing(engine) as session:
        review.decide_paper(session, the_paper(session, 1).id or 0, verdict, now=NOW)
        stands = the_paper(session, 1).state
    for row in (paper(1), paper(1, keep=True), kept(1, at="2026-05-14T08:00:00Z"), kept(1)):
        take(engine, row)
        with reading(engine) as session:
            assert the_paper(session, 1).state is stands
    report = take(engine, about(1, "tides", at="2026-05-14T08:00:00Z"))
    assert "was decided otherwise" in report.rejected[0].reason
    assert not take(engine, about(1, "tides", at="2026-05-14T10:00:00Z")).rejected
    with reading(engine) as session:
        assert the_paper(session, 1).state is PaperState.KEPT


def test_an_accepted_link_keeps_a_paper_that_waits(engine: Engine) -> None:
    take(engine, paper(1, day="2026-05-14"), concept("tides"))
    with reading(engine) as session:
        assert the_paper(session, 1).state is PaperState.WAITING
        assert pages.count(session) == 1
    take(engine, about(1, "tides"))
    with reading(engine) as session:
        assert the_paper(session, 1).state is PaperState.KEPT
        assert links.count(session, LinkStatus.ACCEPTED) == 1


@pytest.mark.parametrize("status", ["proposed", "rejected", "deferred"])
def test_a_link_that_is_not_accepted_keeps_no_paper(engine: Engine, status: str) -> None:
    report = take(
        engine, paper(1, day="2026-05-14"), concept("tides"), about(1, "tides", status=status)
    )
    assert [r.reason for r in report.rejected] == [
        "arxiv:2605.00001 is not kept, so nothing is linked to it."
    ]
    with reading(engine) as session:
        assert the_paper(session, 1).state is PaperState.WAITING


def test_a_wikilink_outranks_an_import_and_what_was_decided_returns_with_its_end(
    engine: Engine,
) -> None:
    take(engine, concept("ebb"), concept("tides", text="Text."))
    row = {
        "type": "link",
        "source": "tides",
        "relation": "related",
        "target": "ebb",
        "status": "rejected",
        "evidence": [{"quote": "Not so."}],
    }
    take(engine, row)
    edit(engine, "tides", body="[[related::ebb]]")
    take(engine, row | {"at": "2026-06-01"})
    with reading(engine) as session:
        assert session.exec(select(Link)).one().status is LinkStatus.ACCEPTED
    edit(engine, "tides", body="No more.")
    with reading(engine) as session:
        link = session.exec(select(Link)).one()
        assert link.status is LinkStatus.REJECTED
        assert [e["quotation"] for e in link.evidence] == ["Not so."]
        assert {*link.extra} == {"rejection"}


# ---------------------------------------------------------------- pages and their names


def test_unknown_fields_are_kept(engine: Engine) -> None:
    take(
        engine,
        concept("tides", mood="calm"),
        paper(1, shelf={"row": 3}),
        about(1, "tides", weight=[1, 2]),
        {"type": "topic", "id": "t", "name": "T", "colour": "blue"},
    )
    take(engine, concept("tides", season="spring"))
    with reading(engine) as session:
        assert pages.get(session, "tides").extra == {"mood": "calm", "season": "spring"}
        assert the_paper(session, 1).extra == {"shelf": {"row": 3}}
        assert session.exec(select(Link)).one().extra == {"weight": [1, 2]}
        assert session.exec(select(Topic)).one().extra == {"colour": "blue"}


def test_titles_that_differ_only_in_case_are_two_pages(engine: Engine) -> None:
    arrivals = [
        PageArrival(ref="", kind=PageKind.NOTE, title=title, text=title)
        for title in ("Polish", "polish", "POLISH")
    ]
    for _ in range(2):
        tell(engine, *arrivals, kind=SourceKind.FILE)
    with reading(engine) as session:
        found = session.exec(select(Page).order_by(col(Page.id))).all()
        assert [(p.title, p.body, p.slug) for p in found] == [
            ("Polish", "Polish", "polish"),
            ("polish", "polish", "polish-2"),
            ("POLISH", "POLISH", "polish-3"),
        ]


def test_a_concept_is_not_swallowed_by_another_that_has_its_name_as_an_alias(
    tmp_path: Path,
) -> None:
    rows = [
        concept("rl", "RL", aliases=["reinforcement-learning"]),
        concept("reinforcement-learning", "Reinforcement learning"),
    ]
    for number, order in enumerate(permutations(rows)):
        folder = tmp_path / str(number)
        folder.mkdir()
        wiki = make_engine(folder)
        take(wiki, *order)
        with reading(wiki) as session:
            assert sorted(p.slug for p in session.exec(select(Page))) == [
                "reinforcement-learning",
                "rl",
            ]
        wiki.dispose()


def test_a_page_that_was_moved_is_found_at_its_former_address(engine: Engine) -> None:
    take(engine, concept("tides", text="Old."))
    with writing(engine) as session:
        editing.rename(session, "tides", "ebb-and-flow", now=NOW)
    take(engine, concept("tides", text="New."))
    with reading(engine) as session:
        assert session.exec(select(Page)).one().body == "New."


@pytest.mark.parametrize(
    "written", ["[[Tides]]", "[[tides]]", "[[sea/Tides]]", "[[tides.md]]", "[t](tides.md)"]
)
def test_a_red_link_becomes_a_link_when_its_page_comes(engine: Engine, written: str) -> None:
    take(engine, {"type": "page", "id": "n", "title": "N", "text": written})
    with reading(engine) as session:
        assert len(session.exec(select(RedLink)).all()) == 1
    take(engine, concept("tides", "Tides"))
    with reading(engine) as session:
        assert session.exec(select(RedLink)).all() == []
        page = pages.get(session, "tides")
        assert [row.slug for row in links.backlinks(session, page.id or 0)] == ["n"]


def test_a_wikilink_moves_to_a_page_with_a_better_claim_to_the_name(engine: Engine) -> None:
    take(engine, concept("ebb", aliases=["Tides"]))
    take(engine, {"type": "page", "id": "n", "title": "N", "text": "[[Tides]]"})
    with reading(engine) as session:
        assert links.counts(session, pages.get(session, "ebb").id or 0)["incoming"] == 1
    take(engine, concept("tides", "Tides"))
    with reading(engine) as session:
        assert links.counts(session, pages.get(session, "ebb").id or 0)["incoming"] == 0
        assert links.counts(session, pages.get(session, "tides").id or 0)["incoming"] == 1


def test_an_address_that_a_waiting_paper_has_is_refused_to_an_article(engine: Engine) -> None:
    url = "url:https://example.org/tides"
    take(engine, {"type": "paper", "id": url, "title": "Tides", "day": "2026-05-14"})
    report = take(engine, {"type": "page", "kind": "article", "id": url, "title": "Tides"})
    assert "waits in the Inbox" in report.rejected[0].reason


def test_every_odd_title_becomes_a_page_of_its_own_or_is_refused_with_a_reason(
    engine: Engine,
) -> None:
    if not TITLES.is_file():
        pytest.skip("the corpus of titles is not here")
    titles = [json.loads(line)["title"] for line in TITLES.read_text("utf-8").splitlines()]
    arrivals = [
        PageArrival(ref="", kind=PageKind.NOTE, title=title, text=f"Number {number}.")
        for number, title in enumerate(titles)
    ]
    first = tell(engine, *arrivals, kind=SourceKind.FILE)
    plain = [" ".join(t.replace("\x00", "").split()) for t in titles]
    refused = [t for t in plain if not t or len(t) > pages.MAX_TITLE]
    assert len(first.rejected) == len(refused)
    again = tell(engine, *arrivals, kind=SourceKind.FILE, now=LATER)
    assert again.total(Outcome.NEW) == 0
    with reading(engine) as session:
        found = session.exec(select(Page)).all()
        slugs = {p.slug for p in found}
        assert len(slugs) == len(found)
        assert {p.title for p in found} == {_stored(t) for t in plain if t not in refused}
        for page in found:
            named = pages.named(session, page.title)
            assert named is not None, page.title


def _stored(title: str) -> str:
    return title.encode("utf-8", "replace").decode()


def test_every_odd_title_survives_the_interchange_format(engine: Engine) -> None:
    if not TITLES.is_file():
        pytest.skip("the corpus of titles is not here")
    titles = [json.loads(line)["title"] for line in TITLES.read_text("utf-8").splitlines()]
    rows = [
        {"type": "page", "id": f"{slugify(title)}-{number}"[-190:].strip("-"), "title": title}
        for number, title in enumerate(titles)
    ]
    report = take(engine, *rows)
    taken = report.total(Outcome.NEW)
    assert taken + len(report.rejected) == len(rows)
    assert taken >= len(rows) - 6
    assert all(rejected.reason for rejected in report.rejected)


# ---------------------------------------------------------------- topics, marks, raw bytes


def test_a_topic_line_may_say_its_threshold_and_leaves_it_when_it_does_not(engine: Engine) -> None:
    line = {"type": "topic", "id": "t", "name": "T"}

    def threshold(**fields: Any) -> float:
        take(engine, {**line, **fields})
        with reading(engine) as session:
            return session.exec(select(Topic)).one().threshold

    assert threshold() == Topic.model_fields["threshold"].default
    assert threshold(threshold=0.4) == 0.4
    assert threshold(keep="tides") == 0.4
    assert threshold(threshold=0) == 0


def test_topics_of_marks_follow_when_the_marks_change(engine: Engine) -> None:
    def marks(*topics: str) -> AssessmentArrival:
        return AssessmentArrival(
            paper="arxiv:2605.00001",
            day="2026-05-14",
            scorer="s",
            relevance=7,
            novelty=3,
            topics=topics,
        )

    listed = PaperArrival(refs=("arxiv:2605.00001",), title="T", day="2026-05-14")
    tell(engine, listed, marks("a", "b"))  # the topics are not known yet
    topics = [TopicArrival(id=name, name=name) for name in "abc"]
    tell(engine, *topics, listed, marks("a", "b"))
    report = tell(engine, listed, marks("b", "c"))
    assert report.counts["assessment", Outcome.CHANGED] == 1
    assert tell(engine, listed, marks("b", "c")).counts["assessment", Outcome.SAME] == 1
    with reading(engine) as session:
        assert session.exec(select(Assessment)).one().topic_id == "b"
        assert sorted(t.topic_id for t in session.exec(select(AssessmentTopic))) == ["b", "c"]


def test_a_proposal_without_confidence_is_not_a_sure_one(engine: Engine) -> None:
    take(engine, paper(1), concept("tides"), about(1, "tides", status="proposed"))
    with reading(engine) as session:
        assert session.exec(select(Link)).one().confidence == 0.5


def test_raw_bytes_are_kept_once_under_their_hash(engine: Engine, tmp_path: Path) -> None:
    data = json.dumps(concept("tides")).encode()
    for _ in range(2):
        with writing(engine) as session:
            import_files(
                session,
                [File("a.jsonl", data)],
                [Interchange()],
                raw_folder=tmp_path / "raw",
                now=NOW,
            )
    with reading(engine) as session:
        raw = session.exec(select(Raw)).one()
        assert (tmp_path / "raw" / raw.sha256[:2] / raw.sha256).read_bytes() == data
        assert session.exec(select(Item)).one().raw_sha256 == raw.sha256


def test_a_file_that_nobody_can_read_harms_no_other(engine: Engine) -> None:
    files = [
        File("bad.bin", b"\x89PNG\r\n"),
        File("empty", b""),
        File("good.jsonl", json.dumps(concept("tides")).encode()),
    ]
    with writing(engine) as session:
        results = dict(import_files(session, files, [Interchange()], raw_folder=None, now=NOW))
    assert isinstance(results["bad.bin"], Unreadable)
    assert isinstance(results["empty"], CerebroError)
    assert isinstance(results["good.jsonl"], Report)
    with reading(engine) as session:
        assert pages.count(session) == 1


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (about(9, "tides"), "No paper 'arxiv:2605.00009' is here or in this file."),
        (about(1, "nowhere"), "There is no page 'nowhere' here or in this file."),
        (kept(9), "No paper 'arxiv:2605.00009' is here or in this file."),
        (concept("a-note", "A note", text="x"), "is a note here, not a concept"),
        (concept("long", "x" * 501), "A title may have 500 characters at most."),
        (paper(5, "x" * 501), "A title may have 500 characters at most."),
    ],
)
def test_what_cannot_be_stored_is_refused_with_its_reason(
    engine: Engine, row: Row, reason: str
) -> None:
    report = take(
        engine,
        paper(1),
        concept("tides"),
        {"type": "page", "id": "a-note", "title": "A note"},
        row,
    )
    assert report.total(Outcome.NEW) == 3
    assert len(report.rejected) == 1
    assert reason in report.rejected[0].reason


def test_a_page_cannot_be_linked_to_itself_by_two_of_its_names(engine: Engine) -> None:
    report = take(
        engine,
        paper(1, slug="tide-paper"),
        {
            "type": "link",
            "source": "arxiv:2605.00001",
            "relation": "extends",
            "target": "tide-paper",
        },
    )
    assert report.rejected[0].reason == "A page cannot be linked to itself."


def test_imported_pages_say_who_wrote_them(engine: Engine) -> None:
    take(engine, concept("tides", text="x"), name="my facts.jsonl")
    with reading(engine) as session:
        revision = session.exec(select(Revision)).one()
        assert revision.author_kind is AuthorKind.IMPORT
        assert revision.note == "my facts.jsonl"


def test_relation_of_a_wikilink_is_read(engine: Engine) -> None:
    take(engine, concept("tides"), concept("ebb", text="[[extends::tides]] [[likes::tides]]"))
    with reading(engine) as session:
        found = {link.relation for link in session.exec(select(Link))}
        assert found == {Relation.EXTENDS, Relation.MENTIONS}
