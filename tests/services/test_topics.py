"""Topics edited and tried out: what is refused, what two editors see, and what a day would be."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Engine
from sqlmodel import Session

from app.domain.records import (
    Assessment,
    EmbeddingModel,
    Generation,
    Listing,
    ListingPaper,
    Paper,
    PaperState,
    PaperVector,
    TextVector,
    Topic,
)
from app.errors import Conflict, Invalid, NotFound
from app.services import topics
from app.store import paper_vectors
from app.store import topics as stored
from app.store.db import reading, writing
from app.store.vectors import Matrix
from tests.factories import THEN, make_engine

GOOD = {"name": "Boats", "keep": "sailing hulls, tides", "filter": "", "tier": "1"}
DAY = "2026-05-08"


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    made = make_engine(tmp_path)
    yield made
    made.dispose()


def make(session: Session, **fields: str) -> Topic:
    return topics.make(session, topics.wanted({**GOOD, **fields}))


def order(session: Session) -> list[str]:
    return [topic.id for topic in stored.listed(session)]


# ---------------------------------------------------------------- fields


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("Memory of agents", "memory_of_agents"),
        ("  KV-cache & batching!  ", "kv_cache_batching"),
        ("RL 2.0", "rl_2_0"),
        ("记忆", ""),
        ("Mémoire", "m_moire"),
        ("x" * 300, "x" * 60),
    ],
)
def test_an_id_is_proposed_from_the_name(name: str, found: str) -> None:
    assert topics.proposed_id(name) == found


def test_fields_are_cleaned_and_a_new_topic_gets_its_id() -> None:
    found = topics.wanted(
        {"name": " Two\u202e  words\n", "keep": "a\r\nb\x00 ", "threshold": "20%", "place": "3"}
    )
    assert (found.id, found.name, found.keep) == ("two_words", "Two words", "a\nb")
    assert (found.tier, found.threshold, found.place) == (2, 0.2, 3)


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("name", "", "a name"),
        ("name", " \u200b ", "a name"),
        ("name", "x" * 201, "at most 200"),
        ("keep", "x" * 8001, "at most 8,000"),
        ("filter", "x" * 8001, "at most 8,000"),
        ("id", "_new", "begins with a letter"),
        ("id", "a b", "begins with a letter"),
        ("id", "a/b", "begins with a letter"),
        ("id", "x" * 201, "begins with a letter"),
        ("name", "记忆", "begins with a letter"),
        ("tier", "0", "1, 2, 3 or 4"),
        ("tier", "two", "1, 2, 3 or 4"),
        ("threshold", "1.5", "0 to 1"),
        ("threshold", "-0.1", "0 to 1"),
        ("threshold", "nan", "0 to 1"),
        ("threshold", "much", "0 to 1"),
        ("place", "0", "whole number"),
        ("place", "first", "whole number"),
        ("place", "9" * 400, "whole number"),
    ],
)
def test_a_field_that_is_wrong_has_its_sentence(field: str, value: str, says: str) -> None:
    with pytest.raises(Invalid) as refused:
        topics.wanted({**GOOD, field: value})
    blamed = "id" if value == "记忆" else field
    assert list(refused.value.fields) == [blamed]
    assert says in refused.value.fields[blamed]


def test_everything_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(Invalid) as refused:
        topics.wanted({"name": "", "tier": "9", "threshold": "x", "id": "-"})
    assert set(refused.value.fields) == {"name", "id", "tier", "threshold"}


# ---------------------------------------------------------------- writing


def test_a_topic_is_made_changed_and_moved(engine: Engine) -> None:
    with writing(engine) as session:
        for name in ("Boats", "Tea", "Stones"):
            make(session, name=name)
        assert order(session) == ["boats", "tea", "stones"]
        make(session, name="First", place="1")
        assert order(session) == ["first", "boats", "tea", "stones"]
        tea = stored.get(session, "tea")
        kept = {**topics.fields_of(tea), "threshold": "0.3", "place": "99"}
        topics.save(session, topics.wanted(kept, topic_id="tea"), base=topics.base_of(tea))
        assert order(session) == ["first", "boats", "stones", "tea"]
    with reading(engine) as session:
        assert stored.get(session, "tea").threshold == 0.3


def test_an_id_is_taken_once(engine: Engine) -> None:
    with writing(engine) as session:
        make(session)
        with pytest.raises(Invalid, match="already") as refused:
            make(session, name="Other boats", id="boats")
        assert "taken" in refused.value.fields["id"]
        assert order(session) == ["boats"]


def test_of_two_editors_the_second_is_told(engine: Engine) -> None:
    with writing(engine) as session:
        base = topics.base_of(make(session))
        topics.save(session, topics.wanted({**GOOD, "keep": "masts"}, topic_id="boats"), base=base)
    with writing(engine) as session:
        with pytest.raises(Conflict, match="changed elsewhere"):
            topics.save(
                session, topics.wanted({**GOOD, "keep": "oars"}, topic_id="boats"), base=base
            )
        with pytest.raises(Conflict):
            topics.retire(session, "boats", retired=True, base=base)
        assert stored.get(session, "boats").keep == "masts"
        with pytest.raises(NotFound):
            topics.save(session, topics.wanted(GOOD, topic_id="sheds"), base=base)


def test_moving_others_is_no_conflict(engine: Engine) -> None:
    with writing(engine) as session:
        base = topics.base_of(make(session))
        make(session, name="Tea", place="1")
        topics.save(session, topics.wanted({**GOOD, "keep": "oars"}, topic_id="boats"), base=base)
        assert order(session) == ["tea", "boats"]


def test_a_retired_topic_keeps_its_papers_and_comes_back(engine: Engine) -> None:
    with writing(engine) as session:
        made = make(session)
        make(session, name="Tea")
        topics.retire(session, "boats", retired=True, base=topics.base_of(made))
        assert order(session) == ["tea", "boats"]
        topics.retire(session, "boats", retired=False, base=topics.base_of(made))
        assert order(session) == ["boats", "tea"]


def test_examples_are_for_an_empty_list(engine: Engine) -> None:
    with writing(engine) as session:
        made = topics.add_examples(session)
        assert order(session) == [topic.id for topic in made]
        assert all(topics.wanted(topics.fields_of(topic), topic_id=topic.id) for topic in made)
        with pytest.raises(Conflict, match="already"):
            topics.add_examples(session)
    with reading(engine) as session:
        assert len(stored.listed(session)) == len(topics.EXAMPLES) == 3


# ---------------------------------------------------------------- tried out on a day

KINDS = (
    ("Sailing hulls in tides", "Hulls that are sailing through tides with sails and keels."),
    ("Brewing leaves in kettles", "Leaves are brewing in kettles of green and black tea."),
    ("Granite in quarries", "Stones are cut in quarries from granite and from marble."),
)


def listing(session: Session, day: str, count: int = 30) -> list[int]:
    session.add(Listing(day=day))
    found = []
    for n in range(count):
        title, abstract = KINDS[n % 3]
        made = Paper(
            title=f"{title} {n}",
            title_key=f"{title} {n} {day}",
            abstract=f"{abstract} Number {n}.",
            state=PaperState.WAITING,
            created_at=THEN,
        )
        session.add(made)
        session.flush()
        assert made.id is not None
        session.add(ListingPaper(day=day, paper_id=made.id, position=n))
        found.append(made.id)
    session.flush()
    return found


def trial(engine: Engine, asked: topics.Wanted | None, encoder: Any = None, **more: str) -> Any:
    with reading(engine) as session:
        work = topics.read(session, asked, **more)
    return topics.think(work, encoder)


def tables(engine: Engine) -> list[Any]:
    with reading(engine) as session:
        return [
            session.connection().execute(sa.select(sa.inspect(table).local_table)).all()
            for table in (Topic, Assessment, TextVector, Paper, Generation)
        ]


def test_a_new_topic_shows_what_would_be_picked_and_stores_nothing(engine: Engine) -> None:
    with writing(engine) as session:
        listing(session, DAY)
        make(session, name="Tea", keep="brewing leaves, kettles", threshold="0.04")
    before = tables(engine)
    found = trial(engine, topics.wanted({**GOOD, "threshold": "0.04"}))
    assert (found.day, found.papers, found.unencoded) == (DAY, 30, 0)
    assert found.picked_after > found.picked_before
    assert found.gained_count == found.picked_after - found.picked_before + found.lost_count
    assert found.gained
    assert all("Sailing" in row.title and row.after.topic == "boats" for row in found.gained)
    assert found.gained[0].after.score >= found.gained[-1].after.score
    assert tables(engine) == before


def test_a_higher_threshold_loses_and_no_other_topic_is_touched(engine: Engine) -> None:
    with writing(engine) as session:
        listing(session, DAY)
        make(session, name="Tea", keep="brewing leaves, kettles", threshold="0.01")
        boats = make(session, threshold="0.01")
        kept = topics.fields_of(boats) | {"threshold": "1"}
    found = trial(engine, topics.wanted(kept, topic_id="boats"))
    assert (found.gained_count, found.moved_count, found.renamed_count) == (0, 0, 0)
    assert found.lost_count == found.picked_before - found.picked_after > 0
    assert {row.before.topic for row in found.lost} == {"boats"}
    same = trial(engine, topics.wanted(topics.fields_of(boats), topic_id="boats"))
    assert (same.gained_count, same.lost_count) == (0, 0)


def test_a_day_without_a_topic_is_as_if_it_were_retired(engine: Engine) -> None:
    with writing(engine) as session:
        listing(session, DAY)
        make(session, threshold="0.01")
        make(session, name="Tea", keep="brewing leaves, kettles", threshold="0.01")
    found = trial(engine, None, topic_id="boats")
    assert found.lost_count and not any(row.after.topic == "boats" for row in found.renamed)
    assert {row.before.topic for row in found.renamed} == {"boats"}


def test_a_day_is_judged_by_what_was_decided_before_it(engine: Engine) -> None:
    with writing(engine) as session:
        earlier = listing(session, "2026-05-07")
        today = listing(session, DAY)
        later = listing(session, "2026-05-11")
        for papers, state in ((earlier, "kept"), (today, "dropped"), (later, "dropped")):
            session.connection().execute(
                sa.update(Paper).where(Paper.id.in_(papers)).values(state=PaperState(state))  # type: ignore[union-attr]
            )
        make(session)
    with reading(engine) as session:
        work = topics.read(session, topics.wanted(GOOD, topic_id="boats"), day=DAY)
    assert {each.paper.id for each in work.judged} == set(earlier)
    assert {work.states[paper] for paper in today} == {PaperState.DROPPED}


def test_a_day_without_a_listing_is_refused(engine: Engine) -> None:
    asked = topics.wanted(GOOD)
    with reading(engine) as session, pytest.raises(Invalid, match="no listing yet"):
        topics.read(session, asked)
    with writing(engine) as session:
        listing(session, DAY, 1)
    with reading(engine) as session:
        for day in ("2026-05-09", "yesterday", "2026-02-31"):
            with pytest.raises(Invalid, match="no listing of") as refused:
                topics.read(session, asked, day=day)
            assert "day" in refused.value.fields


class Answers:
    """A query encoder that answers so often, then no more."""

    def __init__(self, times: int) -> None:
        self.times = times
        self.asked: list[str] = []

    def encode_query(self, text: str, model: str = "") -> Matrix | None:
        assert model == "model@1"
        self.asked.append(text)
        if len(self.asked) > self.times:
            return None
        vector = np.zeros(8, np.float32)
        vector[len(self.asked) % 8] = 1
        return vector


def test_only_what_has_no_vector_is_encoded_and_what_is_left_is_said(engine: Engine) -> None:
    with writing(engine) as session:
        session.add(EmbeddingModel(id="model@1", dim=8, wanted=True, serves=True))
        session.flush()
        for paper in listing(session, DAY, 9):
            data = paper_vectors.to_bytes(np.eye(8, dtype=np.float32)[paper % 8])
            session.add(PaperVector(paper_id=paper, model="model@1", text_hash="", data=data))
        known = paper_vectors.text_hash("tides")
        data = paper_vectors.to_bytes(np.eye(8, dtype=np.float32)[0])
        session.add(TextVector(model="model@1", hash=known, data=data))
    asked = topics.wanted(GOOD)
    encoder = Answers(9)
    assert trial(engine, asked, encoder).unencoded == 0
    assert encoder.asked == ["Boats", "sailing hulls"]
    assert trial(engine, asked, Answers(1)).unencoded == 1
    silent = Answers(0)
    assert trial(engine, asked, silent).unencoded == 2
    assert len(silent.asked) == 1, "who does not answer once is not asked again"
    assert trial(engine, asked, None).unencoded == 2
