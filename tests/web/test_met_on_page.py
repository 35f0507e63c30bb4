"""Where a paper was met: on its page, in the API, and as the mark of two sources in lists."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from sqlmodel import Session, select
from starlette.testclient import TestClient

from app.bootstrap import App
from app.domain.items import (
    Arrival,
    Bundle,
    Document,
    LinkArrival,
    MentionArrival,
    PageArrival,
    PaperArrival,
    SourceRef,
)
from app.domain.records import Assessment, PageKind, Relation, Source, SourceKind, Verdict
from app.services import review
from app.services.ingest import store_delivery
from app.store import papers
from app.store.db import reading, writing
from tests.web.conftest import Statements, load
from tests.web.conftest import parsed as soup

TITLE = "Slack Water Keeps Time on Harbour Gauges"
ARXIV = "arxiv:2605.00001"


def deliver(
    app: App,
    source: str,
    kind: SourceKind,
    format: str,
    *documents: tuple[str, Iterable[Arrival], dict[str, object]],
    site: str = "",
    day: str = "2026-05-11",
) -> None:
    """Store entries of a source: key, arrivals and state each."""
    ref = SourceRef(key=source, kind=kind, name=source, url=site)
    with writing(app.engine) as session:
        row = session.exec(select(Source).where(Source.key == source)).first()
        if row is None:
            row = Source(key=source, kind=kind, name=source, url=site, created_at=app.clock())
            session.add(row)
            session.flush()
        read = [
            Document(
                source=ref,
                key=key,
                format=format,
                title=f"Entry {key}",
                url=f"{site}/{key}" if site else "",
                arrivals=arrivals,
                published=day,
                hash=f"{key} {state}",
                state=state,
            )
            for key, arrivals, state in documents
        ]
        bundle = Bundle(source=ref, format=format, documents=read)
        report = store_delivery(session, bundle, row, raw_sha256="f" * 64, size=9, now=app.clock())
        assert not report.rejected


def listed(app: App) -> None:
    paper = PaperArrival(refs=(ARXIV,), title=TITLE, day="2026-05-08", published="2026-05-08")
    deliver(app, "arXiv cs.CL", SourceKind.LISTING, "arxiv-rss", ("1", (paper,), {}))


def spoken(text: str = "", **facts: str) -> tuple[Arrival, ...]:
    return (MentionArrival(paper=ARXIV, section="", text=text, **facts),)  # type: ignore[arg-type]


def kept(app: App) -> str:
    with writing(app.engine) as session:
        paper = papers.named(session, ARXIV)
        assert paper is not None
        review.decide_paper(session, paper.id or 0, Verdict.KEEP, now=app.clock())
    return "/w/slack-water-keeps-time-on-harbour-gauges"


def test_a_page_tells_where_when_and_how_it_was_met(app: App, client: TestClient) -> None:
    listed(app)
    daily = PaperArrival(refs=(ARXIV,), title=TITLE, day="2026-05-09")
    deliver(
        app,
        "Hugging Face daily papers",
        SourceKind.LISTING,
        "hf-daily",
        ("1", (daily,), {"upvotes": 34}),
        site="https://huggingface.co/papers",
        day="2026-05-09",
    )
    text = f"Nice idea. We could not reproduce the results of {TITLE}. <b>Sorry</b>."
    deliver(
        app,
        "r/tides",
        SourceKind.FORUM,
        "reddit",
        ("a", spoken(text), {"score": 120, "comments": 1}),
        site="https://www.reddit.com/r/tides",
    )
    shown = soup(client.get(kept(app)))
    section = shown.select_one("section.said")
    assert section is not None
    words = " ".join(section.get_text(" ").split())
    assert (
        "cross-source : arXiv listing, Hugging Face daily papers, r/tides "
        "listed by arXiv cs.CL on 8 May 2026 Hugging Face daily papers, 34 upvotes on 9 May 2026"
        in words
    )
    assert "11 May 2026, 3 days after it appeared r/tides score 120 1 comment disputes it" in words
    assert [mark.get_text() for mark in section.select("mark")] == ["could not reproduce"]
    assert "<b>Sorry</b>" in words  # as text
    assert section.select_one("a[href='https://www.reddit.com/r/tides/a']")


def test_the_api_tells_the_same(app: App, client: TestClient) -> None:
    listed(app)
    deliver(
        app, "Tide Notes", SourceKind.FEED, "feed", ("a", spoken("It is new."), {"starred": True})
    )
    kept(app)
    met = client.get("/api/v1/pages/slack-water-keeps-time-on-harbour-gauges").json()["met"]
    assert met["sources"] == ["arXiv listing", "Tide Notes"]
    assert met["standing"] == [{"words": "listed by arXiv cs.CL", "day": "2026-05-08", "url": ""}]
    assert met["mentions_total"] == 1
    assert met["mentions"] == [
        {
            "where": "Entry a",
            "url": "",
            "day": "2026-05-11",
            "source": "Tide Notes",
            "relation": "",
            "state": ["starred"],
            "stance": "",
            "lag": 3,
            "tier": None,
            "tier_reason": "",
            "text": "It is new.",
            "why_it_matters": "",
        }
    ]


def test_many_mentions_are_folded_the_newest_first(app: App, client: TestClient) -> None:
    listed(app)
    deliver(
        app,
        "Tide Notes",
        SourceKind.FEED,
        "feed",
        *(
            (f"p{n}", spoken("word " * 2_000, day=f"2026-04-{n % 30 + 1:02}"), {})
            for n in range(60)
        ),
    )
    page = client.get(kept(app))
    assert len(page.content) < 60_000
    section = soup(page).select_one("section.said")
    assert section is not None
    assert len(section.select(":scope > article")) == 6
    assert "54 earlier mentions" in section.get_text()
    assert "and 14 before these" in section.get_text()
    assert "30 April" in section.select(":scope > article")[0].get_text()


def test_a_page_takes_as_many_statements_for_many_mentions(
    app: App, client: TestClient, statements: Statements
) -> None:
    listed(app)
    address = kept(app)
    counted = []
    for number in (1, 20):
        deliver(
            app,
            "Tide Notes",
            SourceKind.FEED,
            "feed",
            *((f"{number} {n}", spoken("It is new."), {}) for n in range(number)),
        )
        client.get(address)
        statements.seen.clear()
        client.get(f"{address}?saved={number}")
        counted.append(len(statements))
    assert counted[0] == counted[1]


def test_what_covers_and_recommends_is_on_both_pages(app: App, client: TestClient) -> None:
    ref = "url:https://example.org/e1"
    page = PageArrival(ref=ref, kind=PageKind.ARTICLE, title="On tides", text="About tides.")
    joins = tuple(
        LinkArrival(source=ref, relation=relation, target=target, note=note)
        for relation, target, note in (
            (Relation.COVERS, ARXIV, "in full"),
            (Relation.RECOMMENDS, "arxiv:2605.00002", "for its gauges"),
            (Relation.RECOMMENDS, "url:https://example.org/moon", ""),
        )
    )
    listed(app)
    deliver(app, "Tide Notes", SourceKind.FEED, "feed", ("e1", (page, *joins), {}))
    before = soup(client.get("/w/on-tides"))
    prose = before.select_one(".prose")
    assert prose is not None
    assert [link["href"] for link in prose.select("a")] == [
        "https://arxiv.org/abs/2605.00001",
        "https://arxiv.org/abs/2605.00002",
        "https://example.org/moon",
    ]
    assert "(2026-05-11) for its gauges" in prose.get_text()
    address = kept(app)
    after = soup(client.get("/w/on-tides")).select_one(".prose")
    assert after is not None
    assert next(link["href"] for link in after.select("a")) == address
    section = soup(client.get(address)).select_one("section.said")
    assert section is not None
    assert "Entry e1 covers it 11 May 2026" in " ".join(section.get_text(" ").split())
    assert section.select_one("a[href='/w/on-tides']")


@pytest.mark.parametrize("second", ["r/tides", "arXiv cs.LG"])
def test_the_mark_of_two_sources_and_the_tier_it_gives(
    app: App, client: TestClient, second: str
) -> None:
    """A forum is a second source; another service of the same listing is none."""
    listed(app)
    load(app, [{"type": "topic", "id": "tides", "name": "Tides", "keep": "tides", "tier": 3}])
    with writing(app.engine) as session:
        paper = papers.named(session, ARXIV)
        assert paper is not None and paper.id is not None
        session.add(
            Assessment(
                paper_id=paper.id,
                day="2026-05-08",
                scorer="local",
                relevance=8,
                novelty=5,
                topic_id="tides",
                score=0.8,
                tier=3,
                tier_reason="Tides is a topic of tier 3",
                at=app.clock(),
            )
        )
    if second == "r/tides":
        deliver(app, second, SourceKind.FORUM, "reddit", ("a", spoken(), {}))
    else:
        again = PaperArrival(refs=(ARXIV,), title=TITLE, day="2026-05-08")
        deliver(app, second, SourceKind.LISTING, "arxiv-atom", ("x", (again,), {}))
    marked = second == "r/tides"
    for address in ("/inbox", "/triage/2026-05-08"):
        assert ("cross-source" in client.get(address).text) == marked
    with reading(app.engine) as session:
        assert tier_of(session) == (
            (2, "Tides is a topic of tier 3; seen by two sources (arXiv listing and r/tides), which raises it by one")
            if marked
            else (3, "Tides is a topic of tier 3")
        )  # fmt: skip


def tier_of(session: Session) -> tuple[int | None, str]:
    row = session.exec(select(Assessment)).one()
    return row.tier, row.tier_reason
