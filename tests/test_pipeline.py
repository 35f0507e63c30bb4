"""The linker run at once: rows of every relation, paper by paper, and the steps of the worker."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlmodel import Session, col, select

from app import pipeline
from app.bootstrap import App
from app.domain.records import Link, LinkStatus, PageKind, Relation, Thread
from app.pipeline import link_now
from app.services.linker import shipped_weights
from app.settings import Settings
from app.store import runs
from app.store.db import reading, writing
from tests.factories import make_engine, make_link, make_page

NOW = datetime(2026, 5, 14, 9, 0, tzinfo=UTC)


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    settings = Settings(data=tmp_path, embedding_model="none", timezone="UTC", now=NOW)
    made = App(settings, make_engine(tmp_path), shipped_weights())
    yield made
    made.engine.dispose()


@pytest.fixture
def ids(app: App) -> dict[str, int]:
    """A concept, a thread with a member, and two papers of which one builds on the other."""
    with writing(app.engine) as session:
        found = {
            "tea": make_page(session, "Tea brewing", text="Leaves steep in water."),
            "boats": make_page(session, "Boats wait for nothing", PageKind.THREAD),
            "tide": paper(session, "TideNet: Forecasting Slack Water", "Tides turn.", "2026-01-01"),
            "fog": paper(session, "FogNet: Tides in Fog", "We build on TideNet.", "2026-02-01"),
        }
        session.add(Thread(page_id=found["boats"], claim="Boats at slack water lose no time."))
        make_link(session, found["tide"], found["boats"])
    return found


def paper(session: Session, title: str, text: str, published: str) -> int:
    return make_page(session, title, PageKind.PAPER, text=text, published=published)


def of_paper(rows: list[dict[str, Any]], paper: str) -> list[tuple[str, str]]:
    return [(row["relation"], row["target"]) for row in rows if row["paper"] == paper]


@pytest.mark.usefixtures("ids")
def test_the_candidates_of_a_paper_are_of_every_relation_in_order(app: App) -> None:
    rows, made = link_now(app)
    fog = "fognet-tides-in-fog"
    assert of_paper(rows, fog) == [
        ("about", "tea-brewing"),
        ("extends", "tidenet-forecasting-slack-water"),
        ("part-of", "boats-wait-for-nothing"),
    ]
    [said] = [row for row in rows if row["relation"] == "extends"]
    assert said["proposed"] is True and said["evidence"][0]["quotation"] == "We build on TideNet."
    [joins] = [row for row in rows if row["relation"] == "part-of" and row["paper"] == fog]
    assert joins["role"] in {"supports", "extends"}
    papers = [row["paper"] for row in rows]
    assert papers == sorted(papers, key=papers.index)  # the rows of one paper stand together
    assert made >= 1
    assert link_now(app) == (rows, 0)


def test_one_paper_has_its_own_rows_alone(app: App, ids: dict[str, int]) -> None:
    rows, _ = link_now(app, paper="fognet-tides-in-fog", limit=1)
    assert {row["paper"] for row in rows} == {"fognet-tides-in-fog"}
    assert ids


def test_the_worker_reads_and_compares_and_then_nothing_is_pending(
    app: App, ids: dict[str, int]
) -> None:
    steps = {step.name: step for step in pipeline.STEPS}
    with runs.at_work(app.engine) as owner:
        for name in ("link", "relate", "thread"):
            while steps[name].run(app, owner).done:
                pass
    with reading(app.engine) as session:
        assert [steps[name].pending(session, app) for name in ("link", "relate", "thread")] == [
            0
        ] * 3
        found = session.exec(
            select(Link).where(Link.status == LinkStatus.PROPOSED, Link.source_id == ids["fog"])
        ).all()
        assert (ids["tide"], Relation.EXTENDS) in {
            (each.target_id, each.relation) for each in found
        }
        held = session.connection().execute(sa.text("SELECT count(*) FROM hold")).scalar()
        assert held == 0
    with writing(app.engine) as session:
        session.connection().execute(
            sa.update(Thread).where(col(Thread.page_id) == ids["boats"]).values(claim="Another.")
        )
        assert steps["thread"].pending(session, app) == 2
        assert steps["relate"].pending(session, app) == 0
