"""What speaks of a paper that is not there yet joins it when it comes, once, whatever comes first."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import permutations
from pathlib import Path

import pytest
from sqlalchemy.engine import Engine
from sqlmodel import Session, col, select

from app.domain.identifiers import parse_id
from app.domain.items import (
    Arrival,
    Bundle,
    Document,
    EpisodeArrival,
    LinkArrival,
    MentionArrival,
    PageArrival,
    PaperArrival,
    SourceRef,
)
from app.domain.records import (
    Item,
    Link,
    LinkStatus,
    LooseLink,
    LooseMention,
    Mention,
    Page,
    PageKind,
    Paper,
    PaperState,
    Relation,
    Source,
    SourceKind,
    Stance,
    Verdict,
)
from app.services import review
from app.services.ingest import Report, store_delivery
from app.store import papers
from app.store.db import reading, writing
from tests.factories import make_engine

NOW = datetime(2026, 5, 14, 9, 0, tzinfo=UTC)
TITLE = "Slack Water Keeps Time on Harbour Gauges"
ARXIV = "arxiv:2605.00001"


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    made = make_engine(tmp_path)
    yield made
    made.dispose()


def deliver(
    engine: Engine,
    *arrivals: Arrival,
    key: str,
    source: str = "a feed",
    kind: SourceKind = SourceKind.FEED,
    hash: str = "h",
    published: str = "2026-05-10",
) -> Report:
    """Store one entry of a source."""
    ref = SourceRef(key=source, kind=kind, name=source.title())
    document = Document(
        source=ref,
        key=key,
        format="told",
        title=f"Entry {key}",
        arrivals=arrivals,
        published=published,
        hash=hash,
    )
    with writing(engine) as session:
        standing = session.exec(select(Source).where(Source.key == source)).first()
        if standing is None:
            standing = Source(key=source, kind=kind, name=ref.name, created_at=NOW)
            session.add(standing)
            session.flush()
        bundle = Bundle(source=ref, format="told", documents=(document,))
        return store_delivery(session, bundle, standing, raw_sha256="f" * 64, size=9, now=NOW)


def paper(*refs: str, title: str = TITLE, **facts: object) -> PaperArrival:
    return PaperArrival(refs=refs or (ARXIV,), title=title, **facts)  # type: ignore[arg-type]


def list_paper(engine: Engine, arrival: PaperArrival, key: str = "listed") -> Report:
    return deliver(engine, arrival, key=key, source="a listing", kind=SourceKind.LISTING)


def article(
    key: str, *joins: Arrival, title: str = "On tides", text: str = "About tides."
) -> tuple[Arrival, ...]:
    ref = f"url:https://example.org/{key}"
    return (PageArrival(ref=ref, kind=PageKind.ARTICLE, title=title, text=text), *joins)


def said(session: Session) -> list[tuple[str, str, str]]:
    """Every mention: key of the item, title of the paper, section."""
    return sorted(
        session.exec(
            select(Item.key, Paper.title, Mention.section)
            .join(Mention, col(Mention.item_id) == col(Item.id))
            .join(Paper, col(Paper.id) == col(Mention.paper_id))
        )
    )


def the_links(engine: Engine) -> list[tuple[str, Relation, str, str]]:
    with reading(engine) as session:
        slugs = dict(session.exec(select(Page.id, Page.title)).all())
        return [
            (slugs[link.source_id], link.relation, slugs[link.target_id], link.day)
            for link in session.exec(select(Link).order_by(col(Link.id)))
        ]


def keep(engine: Engine) -> None:
    with writing(engine) as session:
        found = papers.named(session, ARXIV)
        assert found is not None
        review.decide_paper(session, found.id or 0, Verdict.KEEP, now=NOW)


def test_ten_that_spoke_of_a_paper_are_its_mentions_when_it_comes(engine: Engine) -> None:
    for number in range(10):
        deliver(
            engine,
            MentionArrival(paper=ARXIV, section="", day=f"2026-05-0{number}", text="It is new."),
            key=f"post {number}",
        )
    with reading(engine) as session:
        assert len(session.exec(select(LooseMention)).all()) == 10
        assert said(session) == []
    list_paper(engine, paper())
    with reading(engine) as session:
        assert said(session) == [(f"post {n}", TITLE, "") for n in range(10)]
        assert session.exec(select(LooseMention)).all() == []


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_the_order_in_which_things_come_is_no_matter(
    engine: Engine, order: tuple[int, int, int]
) -> None:
    """A post names the arXiv id, another the DOI; the paper has both, learnt one after the other."""
    come = (
        lambda: deliver(
            engine,
            MentionArrival(paper=ARXIV, section="s", text="First."),
            MentionArrival(paper="doi:10.1234/tide", section="s", text="Again."),
            key="post",
        ),
        lambda: list_paper(engine, paper(ARXIV), key="one"),
        lambda: list_paper(engine, paper("doi:10.1234/tide"), key="two"),
    )
    for number in (*order, *order):
        come[number]()
    with reading(engine) as session:
        assert said(session) == [("post", TITLE, "s")]
        assert session.exec(select(LooseMention)).all() == []
        assert len(session.exec(select(Paper)).all()) == 1


def test_two_rows_that_prove_to_be_one_paper_keep_every_mention_and_item(engine: Engine) -> None:
    list_paper(engine, paper("doi:10.1234/tide", title="Another title of it"), key="one")
    list_paper(engine, paper(ARXIV), key="two")
    deliver(engine, MentionArrival(paper=ARXIV, section=""), key="post 1")
    deliver(engine, MentionArrival(paper="doi:10.1234/tide", section=""), key="post 2")
    list_paper(engine, paper(ARXIV, "doi:10.1234/tide"), key="three")
    with reading(engine) as session:
        assert len(session.exec(select(Paper)).all()) == 1
        assert len(said(session)) == 2
        listed = session.exec(select(Item).where(col(Item.paper_id).is_not(None))).all()
        assert sorted(item.key for item in listed) == ["one", "three", "two"]


def test_titles_are_looked_for_and_addresses_are_no_papers(engine: Engine) -> None:
    list_paper(engine, paper())
    report = deliver(
        engine,
        MentionArrival(paper=f"title:{TITLE.upper()}", section=""),
        MentionArrival(paper="title:A Title That Nobody Knows Here", section=""),
        MentionArrival(paper="url:https://example.org/somewhere", section=""),
        key="post",
    )
    with reading(engine) as session:
        assert said(session) == [("post", TITLE, "")]
        assert session.exec(select(LooseMention)).all() == []
    assert report.by_kind() == {"mention": {"new": 1}}
    assert len(report.rejected) == 1


def test_a_changed_entry_fills_what_waits_and_repeats_nothing(engine: Engine) -> None:
    deliver(engine, MentionArrival(paper=ARXIV, section="", text="Old."), key="p", hash="1")
    deliver(engine, MentionArrival(paper=ARXIV, section="", text="New."), key="p", hash="2")
    list_paper(engine, paper())
    deliver(engine, MentionArrival(paper=ARXIV, section="", text="Newest."), key="p", hash="3")
    with reading(engine) as session:
        assert [row.text for row in session.exec(select(Mention))] == ["Newest."]


def test_a_stance_is_read_of_what_speaks_and_again_when_the_title_is_known(engine: Engine) -> None:
    text = f"We could not reproduce the results of {TITLE}."
    deliver(engine, MentionArrival(paper=ARXIV, section="", text=text), key="post")
    deliver(
        engine,
        MentionArrival(paper=ARXIV, section="", text=text),
        key="page",
        source="a digest",
        kind=SourceKind.DIGEST,
    )
    list_paper(engine, paper())
    deliver(engine, MentionArrival(paper=ARXIV, section="", text="It is listed."), key="later")
    with reading(engine) as session:
        stances = session.exec(
            select(Item.key, Mention.stance).join(Mention, col(Mention.item_id) == col(Item.id))
        )
        assert dict(stances.all()) == {"post": Stance.DISPUTES, "page": None, "later": None}


# ---------------------------------------------------------------- covers, recommends


def episode(*joins: Arrival) -> tuple[Arrival, ...]:
    page = PageArrival(ref="url:https://example.org/e1", kind=PageKind.EPISODE, title="Episode 1")
    return (EpisodeArrival(page=page, published="2026-05-10"), *joins)


RECOMMENDS = (
    LinkArrival(
        source="url:https://example.org/e1",
        relation=Relation.RECOMMENDS,
        target=ARXIV,
        note="for its gauges",
    ),
    LinkArrival(
        source="url:https://example.org/e1",
        relation=Relation.RECOMMENDS,
        target="url:https://example.org/tides",
    ),
)


def test_what_is_recommended_before_it_is_there_is_linked_when_it_is(engine: Engine) -> None:
    report = deliver(engine, *episode(*RECOMMENDS), key="e1", source="a show")
    assert report.rejected == []
    assert the_links(engine) == []
    list_paper(engine, paper())
    with reading(engine) as session:
        assert said(session) == [("e1", TITLE, "Recommended reading")]
        row = session.exec(select(Paper)).one()
        assert (row.state, row.page_id) == (PaperState.WAITING, None)  # nothing is kept by itself
    deliver(engine, *article("tides"), key="a1")
    keep(engine)
    assert the_links(engine) == [
        ("Episode 1", Relation.RECOMMENDS, "On tides", "2026-05-10"),
        ("Episode 1", Relation.RECOMMENDS, TITLE, "2026-05-10"),
    ]
    deliver(engine, *episode(*RECOMMENDS), key="e1", source="a show", hash="again")
    assert len(the_links(engine)) == 2
    with reading(engine) as session:
        assert session.exec(select(LooseLink)).all() == []
        assert session.exec(select(Link.note).where(col(Link.note) != "")).all() == [
            "for its gauges"
        ]


def test_a_paper_kept_first_is_linked_at_once(engine: Engine) -> None:
    list_paper(engine, paper())
    keep(engine)
    deliver(engine, *episode(*RECOMMENDS), key="e1", source="a show")
    assert the_links(engine) == [("Episode 1", Relation.RECOMMENDS, TITLE, "2026-05-10")]


def test_undoing_a_keep_takes_the_link_and_keeping_again_brings_it_back(engine: Engine) -> None:
    deliver(engine, *episode(*RECOMMENDS), key="e1", source="a show")
    list_paper(engine, paper())
    for _ in range(2):
        keep(engine)
        assert len(the_links(engine)) == 1
        with writing(engine) as session:
            review.undo(session, None, now=NOW)
        assert the_links(engine) == []
    with reading(engine) as session:
        assert len(session.exec(select(LooseLink)).all()) == 2


def test_a_link_that_somebody_rejected_does_not_come_back(engine: Engine) -> None:
    list_paper(engine, paper())
    keep(engine)
    deliver(engine, *episode(*RECOMMENDS), key="e1", source="a show")
    with writing(engine) as session:
        link = session.exec(select(Link)).one()
        link.status = LinkStatus.REJECTED
        session.add(link)
    deliver(engine, *episode(*RECOMMENDS), key="e1", source="a show", hash="again")
    with reading(engine) as session:
        assert session.exec(select(Link.status)).all() == [LinkStatus.REJECTED]


def test_two_identifiers_of_one_paper_are_one_link(engine: Engine) -> None:
    both = tuple(
        LinkArrival(source="url:https://example.org/e1", relation=Relation.COVERS, target=target)
        for target in (ARXIV, "doi:10.1234/tide")
    )
    deliver(engine, *episode(*both), key="e1", source="a show")
    list_paper(engine, paper(ARXIV, "doi:10.1234/tide"))
    keep(engine)
    assert len(the_links(engine)) == 1


def test_an_article_chiefly_about_one_paper_covers_it(engine: Engine) -> None:
    mention = MentionArrival(paper=ARXIV, section="")
    deliver(
        engine,
        *article("one", mention, text=f"Today: {TITLE.lower()}, at last."),
        key="one",
    )
    other = MentionArrival(paper="arxiv:2605.00002", section="")
    deliver(engine, *article("two", mention, other, text=f"Both, {TITLE} too."), key="two")
    named = f"Reading \u201c{TITLE}\u201d"
    deliver(engine, *article("three", mention, other, title=named), key="three")
    list_paper(engine, paper())
    keep(engine)
    assert [link[0] for link in the_links(engine)] == ["On tides", named]
    with reading(engine) as session:
        sources = session.exec(select(Link.reason).where(Link.relation == Relation.COVERS))
        assert sources.all() == [
            "It links this paper only, and says its title.",
            "Its title says the title of the paper.",
        ]


def test_a_link_to_nothing_is_refused_in_words(engine: Engine) -> None:
    nowhere = LinkArrival(
        source="url:https://example.org/e1", relation=Relation.RECOMMENDS, target="no-such-page"
    )
    report = deliver(engine, *episode(nowhere), key="e1", source="a show")
    assert [each.reason for each in report.rejected] == [
        "There is nothing called 'no-such-page' here or in this file."
    ]


def test_identifiers_added_twice_join_once(engine: Engine) -> None:
    deliver(engine, MentionArrival(paper=ARXIV, section=""), key="post")
    list_paper(engine, paper("doi:10.1234/tide"))
    identifier = parse_id(ARXIV)
    assert identifier is not None
    with writing(engine) as session:
        row = session.exec(select(Paper)).one()
        assert papers.add_identifiers(session, row, [identifier, identifier])
        assert not papers.add_identifiers(session, row, [identifier])
    with reading(engine) as session:
        assert said(session) == [("post", TITLE, "")]
