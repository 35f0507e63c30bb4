import json
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import sqlalchemy as sa
from numpy.typing import NDArray
from sqlalchemy.engine import Engine
from sqlmodel import Session

from app.domain.records import Assessment, PageKind, Paper, Topic
from app.embeddings.base import Direct
from app.errors import Invalid
from app.services import search as search_module
from app.services.search import (
    NO_ENCODER,
    NO_VECTORS,
    ONLY_MEANING,
    ONLY_SIGNS,
    ONLY_TITLES,
    Mode,
    search,
)
from app.store import search as stored
from app.store import vectors
from app.store.db import reading, writing
from app.store.search import Why
from app.store.vectors import NewVector, VectorIndex
from tests.factories import make_engine, make_link, make_page
from tests.fakes import HashingEncoder

HOSTILE = Path(__file__).parents[3] / "shared" / "corpora" / "own" / "search-queries.jsonl"


class Meanings(HashingEncoder):
    """Knows that a few words mean the same, as a real model would."""

    SAME: ClassVar = {"automobile": "car", "vehicle": "car", "purring": "cat", "feline": "cat"}

    def encode(self, texts):  # type: ignore[no-untyped-def]
        words = [re.findall(r"[a-z]+", text.lower()) for text in texts]
        return super().encode([" ".join(self.SAME.get(w, w) for w in each) for each in words])


class Nobody:
    def encode_query(self, text: str, model: str = "") -> None:
        return None


ENCODER = Meanings(dim=128)
CLOCK = datetime(2026, 5, 8, tzinfo=UTC)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    opened = make_engine(tmp_path)
    with writing(opened) as session:
        car = make_page(session, "Car engines", PageKind.PAPER, text="car car", published="2025-03")
        make_page(session, "Automobile repair", PageKind.NOTE, text="automobile", tags=("shop",))
        make_page(session, "Cat behaviour", PageKind.PAPER, text="cat cat", published="2026-01-05")
        make_page(session, "Engines in boats", text="boats on water with other parts")
        thread = make_page(session, "Motion pays", PageKind.THREAD, text="a claim on motion")
        make_link(session, car, thread)
        encode_all(session)
    yield opened
    opened.dispose()


def encode_all(session: Session) -> None:
    waiting = vectors.pending(session, ENCODER.model, limit=100)
    rows = ENCODER.encode([each.text for each in waiting])
    vectors.save(
        session,
        [
            NewVector(p.page_id, ENCODER.model, p.hash, r)
            for p, r in zip(waiting, rows, strict=True)
        ],
    )


@pytest.fixture
def session(engine: Engine) -> Iterator[Session]:
    with reading(engine) as opened:
        yield opened


def full() -> dict[str, object]:
    return {"index": VectorIndex(ENCODER.model), "query_encoder": Direct(ENCODER)}


def slugs(results: object) -> list[str]:
    return [hit.slug for hit in results.hits]  # type: ignore[attr-defined]


def test_each_hit_says_why_it_is_there(session: Session) -> None:
    found = search(session, "car", mode="both", **full())  # type: ignore[arg-type]
    assert {hit.slug: hit.why for hit in found.hits} == {
        "car-engines": Why.BOTH,
        "automobile-repair": Why.MEANING,
    }
    assert slugs(found)[0] == "car-engines"
    assert (found.mode, found.notice, found.total) == (Mode.BOTH, "", 2)


def test_words_alone_and_meaning_alone(session: Session) -> None:
    by_words = search(session, "automobile", mode="words", **full())  # type: ignore[arg-type]
    assert slugs(by_words) == ["automobile-repair"]
    assert by_words.hits[0].why is Why.WORDS
    by_meaning = search(session, "automobile", mode="meaning", **full())  # type: ignore[arg-type]
    assert set(slugs(by_meaning)) == {"automobile-repair", "car-engines"}
    assert by_meaning.mode is Mode.MEANING
    assert {hit.why for hit in by_meaning.hits} == {Why.MEANING}


def test_without_an_answer_of_the_encoder_words_answer_and_say_so(session: Session) -> None:
    index = VectorIndex(ENCODER.model)
    for encoder in (Nobody(), None, Direct(HashingEncoder(dim=9))):
        for mode in ("both", "meaning"):
            found = search(session, "car", mode=mode, index=index, query_encoder=encoder)
            assert slugs(found) == ["car-engines"]
            assert found.notice == NO_ENCODER
            assert found.mode is Mode.WORDS


def test_without_vectors_words_answer(session: Session) -> None:
    found = search(session, "car", index=VectorIndex("new model"), query_encoder=Direct(ENCODER))
    assert (slugs(found), found.notice) == (["car-engines"], NO_VECTORS)
    switched_off = search(session, "car")
    assert (slugs(switched_off), switched_off.notice) == (["car-engines"], "")


def test_nothing_by_words_gives_what_is_nearest_by_meaning(session: Session) -> None:
    found = search(session, "vehicle", mode="words", **full())  # type: ignore[arg-type]
    assert set(slugs(found)) == {"car-engines", "automobile-repair"}
    assert found.notice == ONLY_MEANING
    assert {hit.why for hit in found.hits} == {Why.MEANING}
    nothing = search(session, "brontosaurus walrus", mode="both", **full())  # type: ignore[arg-type]
    assert (nothing.hits, nothing.total, nothing.notice) == ((), 0, "Nothing was found.")


def test_mistyped_title_is_offered_first(session: Session) -> None:
    found = search(session, "behavoiur", mode="both", **full())  # type: ignore[arg-type]
    assert slugs(found)[0] == "cat-behaviour"
    assert found.hits[0].why is Why.TITLE
    assert found.notice == ONLY_TITLES


def test_page_called_just_so_comes_first(engine: Engine) -> None:
    with writing(engine) as session:
        make_page(session, "Repair repair repair", text="automobile repair " * 50)
    with reading(engine) as session:
        found = search(session, "Automobile Repair")
        assert slugs(found)[0] == "automobile-repair"
        scores = [hit.score for hit in found.hits]
        assert scores == sorted(scores, reverse=True)


def test_filters_and_operators_hold_for_meaning_too(session: Session) -> None:
    cases: dict[str, set[str]] = {
        "automobile kind:paper": {"car-engines"},
        "automobile year:2025": {"car-engines"},
        "automobile thread:motion-pays": {"car-engines"},
        "automobile tag:shop": {"automobile-repair"},
        "automobile -repair": {"car-engines"},
        'automobile "car engines"': {"car-engines"},
        "automobile kind:digest": set(),
    }
    for text, expected in cases.items():
        found = search(session, text, mode="meaning", **full())  # type: ignore[arg-type]
        assert set(slugs(found)) == expected, text
    beside = search(session, "automobile", kind="paper", **full())  # type: ignore[arg-type]
    assert slugs(beside) == ["car-engines"]


def test_operators_in_the_text_win_over_filters_beside_it(session: Session) -> None:
    found = search(session, "kind:note automobile", kind="paper", since="2030")
    assert found.filters.kind is PageKind.NOTE
    assert search(session, "year:2025 car", since="2030", until="2031").total == 1


def test_without_text_recent_pages_come_filtered_and_counted(engine: Engine) -> None:
    with writing(engine) as session:
        make_page(session, "Newest", at=datetime(2026, 6, 1, tzinfo=UTC))
    with reading(engine) as session:
        everything = search(session, "")
        assert everything.total == 6
        assert slugs(everything)[0] == "newest"
        assert {hit.why for hit in everything.hits} == {Why.RECENT}
        papers = search(session, "  kind:paper ", sort="date")
        assert slugs(papers) == ["cat-behaviour", "car-engines"]
        assert [(c.value, c.count) for c in papers.facets.kinds] == [("paper", 2)]
        assert [(c.value, c.count) for c in papers.facets.years] == [("2026", 1), ("2025", 1)]
        assert [c.value for c in papers.facets.threads] == ["motion-pays"]


def test_sorting_by_date_keeps_the_same_pages(session: Session) -> None:
    by_relevance = search(session, "car cat", mode="words")
    by_date = search(session, "car cat", mode="words", sort="date")
    assert set(slugs(by_relevance)) == set(slugs(by_date)) == {"car-engines", "cat-behaviour"}
    assert slugs(by_date) == ["cat-behaviour", "car-engines"]


def test_screens_follow_each_other_without_gap_or_repeat(engine: Engine) -> None:
    with writing(engine) as session:
        for number in range(23):
            make_page(session, f"Walrus {number}", text="walrus of the sea")
        encode_all(session)
    with reading(engine) as session:
        options = full()
        whole = search(session, "walrus", limit=100, **options)  # type: ignore[arg-type]
        seen: list[str] = []
        for offset in range(0, 30, 5):
            screen = search(session, "walrus", limit=5, offset=offset, **options)  # type: ignore[arg-type]
            assert screen.total == whole.total == 23
            seen += slugs(screen)
        assert seen == slugs(whole)
        assert search(session, "walrus", limit=0, offset=-5).total == 23


def test_hits_are_grouped_by_thread(session: Session) -> None:
    groups = search(session, "car automobile", mode="words").by_thread()
    assert [(g.thread.slug if g.thread else None, [h.slug for h in g.hits]) for g in groups] == [
        ("motion-pays", ["car-engines"]),
        (None, ["automobile-repair"]),
    ]


def test_vector_of_a_query_is_remembered_once_and_used_again(engine: Engine) -> None:
    kept: list[tuple[str, str, NDArray[np.float32]]] = []
    options = full()
    with reading(engine) as session:
        search(session, "automobile kind:paper", remember=lambda *v: kept.append(v), **options)  # type: ignore[arg-type]
    ((model, text, vector),) = kept
    assert (model, text) == (ENCODER.model, "automobile")
    with writing(engine) as session:
        vectors.remember(session, model, text, vector, now=CLOCK)
    with reading(engine) as session:
        found = search(
            session,
            "automobile",
            mode="meaning",
            index=VectorIndex(ENCODER.model),
            query_encoder=Nobody(),
            remember=lambda *v: kept.append(v),
        )
    assert (found.notice, found.total, len(kept)) == ("", 2, 1)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if a few pages were very many."""
    for module in (search_module, stored):
        monkeypatch.setattr(module, "RANKED", 6)
    monkeypatch.setattr(stored, "BROAD", 12)


@pytest.mark.usefixtures("small")
def test_all_are_counted_though_only_the_best_are_reached(engine: Engine) -> None:
    with writing(engine) as session:
        for number in range(16):
            make_page(session, f"Walrus {number}", PageKind.NOTE, text="walrus of the sea")
        encode_all(session)
    with reading(engine) as session:
        found = search(session, "walrus", limit=100)
        assert (found.total, found.more, found.reach, found.counted) == (16, False, 6, 6)
        assert len(found.hits) == 6
        assert sum(each.count for each in found.facets.kinds) == 6
        assert search(session, "walrus", limit=4, offset=4).total == 16
        assert search(session, "walrus", limit=4, offset=8).hits == ()
        noted = search(session, "walrus", kind="note")
        assert (noted.total, noted.more) == (13, True)
        both = search(session, "walrus", **full())  # type: ignore[arg-type]
        # What meaning adds has the words too: it is counted once, and says so.
        assert both.total == 16
        assert both.reach == 16
        assert {hit.why for hit in both.hits} == {Why.BOTH}
        recent = search(session, "kind:note", limit=5, offset=10)
        assert (len(recent.hits), recent.total, recent.reach, recent.counted) == (5, 17, 17, 6)
        assert search(session, "walrus", faceted=False).facets.kinds == ()


def test_a_title_with_a_mistyped_word_comes_before_pages_with_some_of_the_words(
    engine: Engine,
) -> None:
    with writing(engine) as session:
        for number in range(12):
            make_page(session, f"Number {number} of boats", text="engines engines engines")
    with reading(engine) as session:
        found = search(session, "enigne behaviour boats engines car")
        assert found.total > 3
        typo = search(session, "behavoiur cat")
        assert (slugs(typo)[0], typo.hits[0].why) == ("cat-behaviour", Why.TITLE)
        assert typo.notice == ""


def test_topics_and_fields_narrow_and_a_topic_nobody_has_is_named(engine: Engine) -> None:
    with writing(engine) as session:
        session.add(Topic(id="motion", name="Motion"))
        paper = session.scalars(sa.select(Paper.id).where(Paper.title == "Car engines")).one()  # type: ignore[call-overload]
        session.flush()
        session.add(Assessment(paper_id=paper, scorer="local", topic_id="motion", at=CLOCK))
    with reading(engine) as session:
        options = full()
        for asked in (
            {"text": "automobile topic:motion"},
            {"text": "automobile", "topic": "motion"},
        ):
            found = search(session, mode="meaning", **asked, **options)  # type: ignore[arg-type]
            assert slugs(found) == ["car-engines"]
            assert [(each.value, each.label) for each in found.facets.topics] == [
                ("motion", "Motion")
            ]
        assert search(session, "car topic:none").notice == "There is no topic none."
        by_title = search(session, "title:engines", **options)  # type: ignore[arg-type]
        assert set(slugs(by_title)) == {"car-engines", "engines-in-boats"}
        assert slugs(search(session, "author:nobody")) == []
        tagged = search(session, "automobile", tag="#Shop")
        assert slugs(tagged) == ["automobile-repair"]


@pytest.mark.parametrize(
    "asked",
    [
        {"mode": "magic"},
        {"kind": "banana"},
        {"sort": "random"},
        {"thread": "../x"},
        {"since": "yesterday"},
        {"until": "08.05.2026"},
    ],
)
def test_filter_that_cannot_be_is_refused_by_name(session: Session, asked: dict[str, str]) -> None:
    with pytest.raises(Invalid) as refused:
        search(session, "car", **asked)  # type: ignore[arg-type]
    assert list(refused.value.fields) == list(asked)


def test_why_nothing_was_found_is_said(session: Session) -> None:
    assert search(session, "car thread:none-such").notice == "No thread has the address none-such."
    assert search(session, "car kind:digest").notice == "Nothing was found with these filters."
    assert search(session, "%%").notice == ONLY_SIGNS


LEAKS = re.compile(
    r"\b(sql\w*|fts\d?|syntax|match|operationalerror|traceback|rowid|column)\b", re.I
)


def test_hostile_queries_have_an_answer_or_a_plain_message(session: Session) -> None:
    if not HOSTILE.is_file():
        pytest.skip("no ../shared here")
    queries = [json.loads(line)["q"] for line in HOSTILE.read_text("utf-8").splitlines()]
    assert len(queries) > 30
    options = full()
    for text in queries:
        for mode in Mode:
            for typing in (False, True):
                begun = time.process_time()
                found = search(session, text, mode=mode, typing=typing, **options)  # type: ignore[arg-type]
                assert time.process_time() - begun < 1.0, text
                assert found.hits or found.notice, text
                assert not LEAKS.search(found.notice), text


def test_number_of_statements_does_not_grow_with_the_results(engine: Engine) -> None:
    with writing(engine) as session:
        for number in range(60):
            make_page(session, f"Walrus {number}", text="walrus of the sea")
    counted: list[str] = []
    sa.event.listen(engine, "before_cursor_execute", lambda *event: counted.append(event[2]))
    needed = []
    for limit in (10, 50):
        counted.clear()
        with reading(engine) as session:
            assert len(search(session, "walrus", limit=limit).hits) == limit
        needed.append(len(counted))
    assert needed[0] == needed[1] <= 10


@pytest.mark.parametrize("typed", ["kv cahce", "kv chache"])
def test_of_names_that_are_as_near_the_shortest_comes_first(engine: Engine, typed: str) -> None:
    with writing(engine) as session:
        names = ("key value cache", "keys and values kept")
        wanted = make_page(session, "KV cache", aliases=names)
        make_page(session, "KVTuner: tuning every layer of a KV cache", PageKind.PAPER)
        make_page(session, "Eviction for tides", PageKind.PAPER, text="A tide evicts.")
    with reading(engine) as session:
        assert search(session, typed, mode="words").hits[0].page_id == wanted
