"""An import that is undone leaves nothing: the complete export is the one before, but for history."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import col, select

from app.bootstrap import App
from app.domain.records import (
    Act,
    ActKind,
    Item,
    Link,
    Page,
    Paper,
    PaperState,
    Source,
    Subscription,
    Topic,
)
from app.importing import import_paths
from app.services import acts as undoing
from app.services import interchange, subscriptions
from app.services import pages as editing
from app.services.acts import Undone
from app.services.ingest import store_delivery
from app.services.linker import shipped_weights
from app.settings import Settings
from app.sources.base import File, reader_for
from app.sources.connectors import Found
from app.store import acts, items, pages, undo_log
from app.store.db import reading, writing
from tests.factories import THEN, make_engine

LATER = THEN + timedelta(days=1)
SEEDS = Path(__file__).parents[3] / "shared" / "data" / "seeds"
Line = dict[str, Any]

# What there was before: half of what the files below tell of, in other words.
BASE: list[Line] = [
    {"type": "topic", "id": "tea", "name": "Tea", "keep": "Tea.", "tier": 2},
    {"type": "concept", "id": "steeping", "title": "Steeping", "text": "Water on leaves."},
    {"type": "concept", "id": "kettle", "title": "Kettle", "text": "It boils."},
    {"type": "paper", "id": "arxiv:2605.00001", "title": "Leaves in water", "keep": True},
    {"type": "paper", "id": "arxiv:2605.00002", "title": "Unread leaves", "day": "2026-05-08"},
    {"type": "paper", "id": "doi:10.1000/cup", "title": "The shape of a cup"},
    {"type": "thread", "id": "hotter", "title": "Hotter is faster", "claim": "Heat helps."},
    {
        "type": "link",
        "source": "arxiv:2605.00001",
        "relation": "about",
        "target": "steeping",
        "status": "proposed",
    },
]
FACTS: Line = {
    "abstract": "We steep leaves at three heats and wait.",
    "authors": ["Ada Example", "Bo Sample"],
    "published": "2026-05-07",
    "venue": "Tea Letters",
    "categories": ["cs.LG"],
    "references": ["arxiv:2605.00002"],
}
JSONL: list[Line] = [
    {"type": "topic", "id": "tea", "name": "Tea and heat", "keep": "Heat.", "tier": 1},
    {"type": "topic", "id": "cups", "name": "Cups", "keep": "Cups.", "tier": 3},
    {
        "type": "concept",
        "id": "steeping",
        "title": "Steeping",
        "text": "Leaves give taste to water, see [[Kettle]].",
        "aliases": ["infusion"],
        "tags": ["heat"],
        "colour": "brown",
    },
    {"type": "concept", "id": "saucer", "title": "Saucer", "text": "Below a cup."},
    {
        "type": "paper",
        "id": "arxiv:2605.00001v2",
        "identifiers": ["doi:10.1000/leaves"],
        "title": "Leaves in warm water",
        "slug": "leaves",
        "text": "It warms, see [[steeping]].",
        "questions": ["How warm?"],
        "shade": "green",
        **FACTS,
    },
    {"type": "paper", "id": "arxiv:2605.00002", "title": "Unread leaves", "keep": True, **FACTS},
    {"type": "paper", "id": "arxiv:2605.00003", "title": "Cold leaves", "day": "2026-05-09"},
    {"type": "thread", "id": "hotter", "title": "Hotter is faster", "claim": "Heat helps most."},
    {
        "type": "link",
        "source": "arxiv:2605.00001",
        "relation": "about",
        "target": "steeping",
        "status": "accepted",
        "note": "chiefly",
        "evidence": [{"quote": "We steep leaves"}],
    },
    {"type": "question", "page": "kettle", "text": "Does it sing?", "state": "answered"},
    {
        "type": "prediction",
        "page": "kettle",
        "text": "It boils by noon.",
        "due": "2027",
        "probability": 0.5,
    },
    {
        "type": "assessment",
        "paper": "arxiv:2605.00002",
        "scorer": "m",
        "relevance": 7,
        "novelty": 6,
        "day": "2026-05-08",
        "topics": ["cups"],
    },
    {"type": "decision", "paper": "doi:10.1000/cup", "verdict": "drop", "at": "2026-05-10"},
]
BIB = """@article{leaves, title={Leaves in water}, author={Example, Ada and Sample, Bo}, year=2026,
  journal={Tea Letters}, eprint={2605.00001}, archiveprefix={arXiv}, abstract={We steep.}}
@book{cup, title={The shape of a cup}, author={Sample, Bo}, year={2020}, doi={10.1000/cup},
  publisher={Clay}}
@misc{new, title={A pot of one's own}, author={Example, Ada}, year={2021}}
"""
RIS = """TY  - JOUR
TI  - The shape of a cup
AU  - Sample, Bo
PY  - 2020
DO  - 10.1000/cup
AB  - Cups are round.
ER  -

TY  - JOUR
TI  - Lids
AU  - Example, Ada
PY  - 2019
ER  -
"""
CSL = json.dumps(
    [
        {
            "id": "cup",
            "type": "article-journal",
            "title": "The shape of a cup",
            "DOI": "10.1000/cup",
            "author": [{"family": "Sample", "given": "Bo"}],
            "abstract": "Round.",
            "issued": {"date-parts": [[2020, 2]]},
        },
        {"id": "lid", "type": "book", "title": "Lids and their rims"},
    ]
)
OPML = """<opml version="2.0"><head><title>Mine</title></head><body>
<outline text="Tea news" type="rss" xmlUrl="https://tea.example/feed.xml"/>
<outline text="Cup news" type="rss" xmlUrl="https://cup.example/feed.xml"/>
</body></opml>"""
NOTES = {
    "Steeping.md": "---\nid: steeping\nkind: concept\naliases: [brewing]\n---\n\nLeaves and [[Rim]].\n",
    "Rim.md": "# Rim\n\nThe edge, see [[Steeping]].\n",
    "leaves.md": "---\nkind: paper\nid: arxiv:2605.00001\ntitle: Leaves in water\n"
    "links:\n  - {relation: about, target: kettle}\n---\n\nOn leaves.\n",
}
FEED = """<rss version="2.0"><channel><title>Tea news</title><link>https://tea.example/</link>
<item><title>New leaves</title><link>https://tea.example/new</link><guid>new</guid>
<pubDate>Fri, 08 May 2026 08:00:00 GMT</pubDate>
<description>&lt;p&gt;We read &lt;a href="https://arxiv.org/abs/2605.00001"&gt;Leaves in water&lt;/a&gt; and
&lt;a href="https://arxiv.org/abs/2605.00044"&gt;another&lt;/a&gt;.&lt;/p&gt;</description></item>
</channel></rss>"""
MAIL = """From: Tea <tea@example.org>
Subject: Leaves this week
Date: Fri, 08 May 2026 08:00:00 +0000
Message-ID: <1@example.org>
Content-Type: text/plain; charset=utf-8

We read https://arxiv.org/abs/2605.00001 with pleasure.
"""


def _jsonl(lines: list[Line]) -> str:
    return "\n".join(json.dumps(each) for each in lines)


FILES: dict[str, dict[str, str]] = {
    "jsonl": {"a.jsonl": _jsonl(JSONL)},
    "bibtex": {"a.bib": BIB},
    "ris": {"a.ris": RIS},
    "csl": {"a.json": CSL},
    "opml": {"a.opml": OPML},
    "markdown": {f"notes/{name}": text for name, text in NOTES.items()},
    "feed": {"a.xml": FEED},
    "mail": {"a.eml": MAIL},
    "all": {
        "x/a.jsonl": _jsonl(JSONL),
        "x/b.bib": BIB,
        "x/c.ris": RIS,
        "x/d.opml": OPML,
        "x/e.xml": FEED,
        "x/f.eml": MAIL,
        **{f"x/{name}": text for name, text in NOTES.items()},
    },
}


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    engine = make_engine(tmp_path)
    made = App(Settings(data=tmp_path / "data", now=THEN), engine, shipped_weights(None))
    yield made
    engine.dispose()


def put(app: App, folder: Path, files: dict[str, str]) -> int:
    """Import files; the act, 0 where nothing was made."""
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, "utf-8")
    result = import_paths(app, sorted({folder / name.split("/")[0] for name in files}))
    assert not result.failed, result.refused
    with reading(app.engine) as session:
        return session.exec(select(Act.id).order_by(col(Act.id).desc())).first() or 0


def undone(app: App, act_id: int) -> Undone:
    with writing(app.engine) as session:
        return undoing.undo(session, act_id, now=LATER)


_HISTORY = ("act", "undo_log", "decision", "other_decision", "revision", "raw", "end", "change")
_OF_A_TEXT = ("version", "updated_at", "author_kind", "author")  # a text put back is a new version


def exported(app: App) -> list[str]:
    """The complete export without what tells of what was done, in the order of its lines."""
    with reading(app.engine) as session:
        lines = [json.loads(each) for each in interchange.whole(session)]
        gone = set(session.exec(select(Page.id).where(Page.kind == "removed")))
        resting = {
            link.id
            for link in session.exec(select(Link))
            if not gone.isdisjoint((link.source_id, link.target_id))
        }
    kept = []
    for line in lines:
        row = line.get("row", {})
        if line["type"] in _HISTORY or (line["type"] == "other_page" and row["id"] in gone):
            continue
        if line["type"] == "other_link" and row["id"] in resting:
            continue
        for part in ("row", "page"):
            if line["type"] != "alias" and isinstance(line.get(part), dict):
                for name in _OF_A_TEXT:
                    line[part].pop(name, None)
        if line["type"] in ("alias", "link", "question"):
            row.pop("id", None)  # what follows a text is made anew with it
            row.pop("act_id", None)
        if line["type"] == "link" and row["origin"] == "author":
            line.pop("at", None)
            row.pop("created_at", None)
        kept.append(json.dumps(line, sort_keys=True))
    return sorted(kept)


def same(after: list[str], before: list[str]) -> None:
    assert "\n".join(set(after) - set(before)) == "\n".join(set(before) - set(after))


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("half", [False, True], ids=["into an empty wiki", "into half of it"])
def test_nothing_of_it_is_left(app: App, tmp_path: Path, name: str, half: bool) -> None:
    if half:
        put(app, tmp_path, {"base.jsonl": _jsonl(BASE)})
    before = exported(app)
    act = put(app, tmp_path / "files", FILES[name])
    between = exported(app)
    assert between != before
    first = undone(app, act)
    assert first.stays == []
    same(exported(app), before)
    second = undone(app, first.act)
    assert second.stays == []
    same(exported(app), between)
    third = undone(app, act)
    assert third.stays == []
    same(exported(app), before)


@pytest.mark.skipif(not SEEDS.is_dir(), reason="the samples are not here")
def test_nothing_is_left_of_the_samples(app: App, tmp_path: Path) -> None:
    files = sorted(SEEDS.iterdir())
    import_paths(app, files[:1])
    before = exported(app)
    result = import_paths(app, files)
    assert not result.refused
    with reading(app.engine) as session:
        act = session.exec(select(Act.id).order_by(col(Act.id).desc())).first() or 0
    between = exported(app)
    first = undone(app, act)
    assert first.stays == []
    same(exported(app), before)
    undone(app, first.act)
    same(exported(app), between)


def test_what_a_person_changed_in_between_stays_and_is_told(app: App, tmp_path: Path) -> None:
    put(app, tmp_path, {"base.jsonl": _jsonl(BASE)})
    act = put(app, tmp_path / "files", FILES["jsonl"])
    with writing(app.engine) as session:
        saucer = pages.content_of(session, pages.get(session, "saucer"))
        editing.save(session, "saucer", replace(saucer, body="Mine."), base=1, now=LATER)
        cups = session.get_one(Topic, "cups")
        cups.keep = "My cups."
        session.add(cups)
        paper = session.exec(select(Paper).where(Paper.title == "Leaves in warm water")).one()
        paper.venue = "Mine"
        session.add(paper)
    done = undone(app, act)
    told = {each.title: each.why for each in done.stays}
    assert told["Saucer"] == "you edited them since"
    assert told["Leaves in warm water"] == "its venue was changed since"
    assert told["Cups"] == "it was changed since: it is retired"
    with reading(app.engine) as session:
        assert pages.get(session, "saucer").body == "Mine."
        assert session.get_one(Topic, "cups").keep == "My cups."
        paper = session.exec(select(Paper).where(Paper.title == "Leaves in water")).one()
        assert (paper.venue, paper.abstract) == ("Mine", "")


def test_a_source_that_a_person_chose_or_changed_since_stays(app: App, tmp_path: Path) -> None:
    act = put(app, tmp_path / "list", {"a.opml": OPML})
    with writing(app.engine) as session:
        tea, cup = (
            session.exec(select(Source).where(Source.name == name)).one()
            for name in ("Tea news", "Cup news")
        )
        subscriptions.pause(session, tea.id or 0)
        subscription = session.get_one(Subscription, cup.id)
        subscription.failures, subscription.last_error = 3, "It did not answer."  # by the fetching
        session.add(subscription)
    first = undone(app, act)
    assert [(each.title, each.why) for each in first.stays] == [
        ("Tea news", "it was changed since")
    ]
    with reading(app.engine) as session:
        assert session.exec(select(Source).where(Source.name == "Cup news")).first() is None
        assert session.exec(select(Subscription)).one().paused


def test_links_that_follow_a_rename_are_no_edit_of_an_imported_page(
    app: App, tmp_path: Path
) -> None:
    put(app, tmp_path, {"base.jsonl": _jsonl(BASE)})
    line = {"type": "concept", "id": "lid", "title": "Lid", "text": "On a [[Kettle]]."}
    act = put(app, tmp_path / "files", {"a.jsonl": _jsonl([line])})
    with writing(app.engine) as session:
        editing.rename(session, "kettle", "kettle", title="Pot", links=True, now=LATER)
        assert pages.get(session, "lid").body == "On a [[Pot]]."
    assert undone(app, act).stays == []
    with reading(app.engine) as session:
        assert pages.by_slug(session, "lid") is None


def test_a_source_that_is_subscribed_to_since_stays_with_its_subscription(
    app: App, tmp_path: Path
) -> None:
    act = put(app, tmp_path / "feed", {"a.xml": FEED})
    with writing(app.engine) as session:
        source = session.exec(select(Source)).one()
        found = Found(source.key, "feed", "https://tea.example/feed.xml", "Tea")
        subscriptions.add(session, found, connectors=app.connectors, now=LATER)
    undone(app, act)
    with reading(app.engine) as session:
        assert session.exec(select(Item)).all() == []
        assert session.exec(select(Subscription)).one().connector == "feed"


def _delivered(app: App, text: str) -> int:
    """What a fetch of the feed brings; how many papers and articles there are after it."""
    with (
        acts.doing(app.engine, ActKind.DELIVERY, "Tea news", clock=app.clock),
        writing(app.engine) as session,
    ):
        read = reader_for(File("feed.xml", text.encode()), app.readers).read(
            File("feed.xml", text.encode())
        )
        source = items.source(session, read.source, now=THEN)
        digest, size = items.keep_raw(app.raw_folder, text.encode()), len(text)
        store_delivery(session, read, source, raw_sha256=digest, size=size, now=THEN)
    with reading(app.engine) as session:
        return len(pages.listed(session))


def test_what_a_feed_brought_stays_undone_when_it_comes_again(app: App, tmp_path: Path) -> None:
    assert _delivered(app, FEED) == 1
    with reading(app.engine) as session:
        act = session.exec(select(Act.id)).one() or 0
    first = undone(app, act)
    assert first.counts["items"] == 1
    assert _delivered(app, FEED) == 0
    assert _delivered(app, FEED.replace("We read", "We read again")) == 0, "nor told anew"
    second = undone(app, first.act)
    assert second.stays == []
    assert _delivered(app, FEED) == 1
    undone(app, act)
    put(app, tmp_path / "files", {"mine.xml": FEED})
    with reading(app.engine) as session:
        assert len(pages.listed(session)) == 1, "a person brings it"
        assert not session.exec(select(Item)).one().state


def test_what_was_rolled_back_is_no_part_of_it(app: App, tmp_path: Path) -> None:
    put(app, tmp_path, {"base.jsonl": _jsonl(BASE)})
    with (
        acts.doing(app.engine, ActKind.IMPORT, "Mine", clock=app.clock) as act,
        writing(app.engine) as session,
    ):
        kettle = session.get_one(Topic, "tea")
        nested = session.begin_nested()
        kettle.name = "Gone"
        session.add(kettle)
        session.flush()
        session.add(
            Paper(title="Gone", title_key="gone", state=PaperState.WAITING, created_at=THEN)
        )
        session.flush()
        nested.rollback()
        assert not act.made, "its id is free for another's"
        session.refresh(kettle)
        kettle.keep = "Kept."
        session.add(kettle)
    with reading(app.engine) as session:
        newest = session.exec(select(Act).order_by(col(Act.id).desc())).first()
        assert newest is not None and newest.id is not None
        entries = undo_log.of_act(session, newest.id)
    assert entries == [["topic", ["tea"], {"keep": "Tea."}, {"keep": "Kept."}]]


def test_the_newest_undo_is_undone_unless_something_was_decided_since(
    app: App, tmp_path: Path
) -> None:
    act = put(app, tmp_path, FILES["markdown"])
    with reading(app.engine) as session:
        assert undoing.newest_undo(session) is None
    first = undone(app, act)
    with reading(app.engine) as session:
        newest = undoing.newest_undo(session)
        assert newest is not None and newest.id == first.act
    second = undone(app, first.act)
    told = next(second.in_words())
    assert told.startswith("Brought back, Import of notes: 3 pages put back")
    assert "(Leaves in water, " in told or "Rim" in told
    with reading(app.engine) as session:
        assert undoing.newest_undo(session) is None, "what was brought back is undone by its act"
