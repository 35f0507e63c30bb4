"""The made-up wikis of the measurements are wikis: whole, the same each time, and served."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient
from sqlalchemy.engine import Engine

from app.bootstrap import build
from app.domain.words import STOP
from app.pipeline import pending
from app.services import health
from app.services.search import search
from app.settings import Settings
from app.store.db import reading
from app.store.vectors import count_pending, serving
from app.web.app import create
from bench import wiki
from bench.language import Language, figures
from bench.measuring import Cost, Measured, lines
from bench.process import cpu_below, cpu_of
from tests import databases
from tests.factories import make_engine

PAGES = 200


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Engine]:
    folder = tmp_path_factory.mktemp("wiki")
    engine = make_engine(folder)
    wiki.build(engine, PAGES)
    return folder, engine


def rows(engine: Engine, statement: str) -> list[tuple[object, ...]]:
    with reading(engine) as session:
        return [tuple(row) for row in session.connection().execute(sa.text(statement))]


def test_it_has_as_many_pages_as_asked_for_each_with_text_vector_and_revision(
    built: tuple[Path, Engine],
) -> None:
    _, engine = built
    for table in ("page", "page_text", "page_vector"):
        assert rows(engine, f"SELECT COUNT(*) FROM {table}") == [(PAGES,)]  # noqa: S608
    without = """SELECT COUNT(*) FROM page WHERE NOT EXISTS (
        SELECT 1 FROM revision WHERE revision.page_id = page.id AND number = page.version
        AND revision.body = page.body)"""
    assert rows(engine, without) == [(0,)]
    stale = """SELECT COUNT(*) FROM page_text JOIN page_vector AS vector ON vector.page_id = page_text.page_id
        WHERE vector.text_hash <> page_text.hash"""
    assert rows(engine, stale) == [(0,)]


def test_every_kind_of_row_the_program_reads_is_there(built: tuple[Path, Engine]) -> None:
    _, engine = built
    for table in (
        "alias", "page_tag", "paper", "identifier", "topic", "source", "item", "mention", "listing",
        "listing_paper", "assessment", "assessment_topic", "thread", "question", "digest", "episode",
        "link", "decision", "red_link",
    ):  # fmt: skip
        assert rows(engine, f"SELECT COUNT(*) FROM {table}") != [(0,)], table  # noqa: S608
    statuses = {status for (status,) in rows(engine, "SELECT DISTINCT status FROM link")}
    assert {"accepted", "proposed", "rejected"} <= statuses
    states = {state for (state,) in rows(engine, "SELECT DISTINCT state FROM paper")}
    assert states == {"kept", "waiting", "deferred", "dropped"}


def test_what_is_derived_agrees_and_nothing_waits_for_the_worker(
    built: tuple[Path, Engine],
) -> None:
    folder, engine = built
    app = build(Settings(data=folder, database_url=databases.url_of(folder), now=wiki.NOW))
    with reading(engine) as session:
        found = health.check(session, raw_folder=folder / "raw")
        assert [finding for finding in found if not finding.ok] == []
        assert serving(session) == wiki.vector_model()
        assert count_pending(session, wiki.vector_model()) == 0
        assert pending(session, app) == []


def test_evidence_stands_in_the_abstract_it_is_from(built: tuple[Path, Engine]) -> None:
    _, engine = built
    quoted = rows(
        engine,
        """SELECT link.evidence, paper.abstract FROM link JOIN paper ON paper.page_id = link.source_id
        WHERE link.relation = 'about' AND link.status = 'proposed'""",
    )
    assert quoted
    for evidence, abstract in quoted:
        (quotation,) = json.loads(evidence) if isinstance(evidence, str) else evidence
        assert quotation["quotation"] in str(abstract)
        assert all(0 <= a < b <= len(quotation["quotation"]) for a, b in quotation["spans"])


def test_a_search_finds_the_page_whose_title_it_is(built: tuple[Path, Engine]) -> None:
    _, engine = built
    slug, title = rows(engine, "SELECT slug, title FROM page WHERE kind = 'paper' ORDER BY id")[20]
    with reading(engine) as session:
        assert search(session, str(title), mode="words").hits[0].slug == slug


def test_every_screen_shows_it(built: tuple[Path, Engine]) -> None:
    folder, engine = built
    settings = Settings(
        data=folder, database_url=databases.url_of(folder), now=wiki.NOW, embedding_model="none"
    )
    slugs = [
        slug for (slug,) in rows(engine, "SELECT MIN(slug) FROM page GROUP BY kind ORDER BY 1")
    ]
    with TestClient(create(build(settings)), base_url="http://127.0.0.1") as client:
        for path in ("/", "/review", "/inbox", "/threads", "/pages", *(f"/w/{s}" for s in slugs)):
            answer = client.get(path)
            assert answer.status_code == 200, path
            assert "bench" not in answer.text.lower() or path != "/", path


def test_the_same_seed_gives_the_same_wiki(tmp_path: Path) -> None:
    said = []
    for name in ("one", "two"):
        folder = tmp_path / name
        folder.mkdir()
        engine = make_engine(folder)
        wiki.build(engine, 60)
        said.append(
            [
                rows(engine, f"SELECT * FROM {table} ORDER BY 1, 2")  # noqa: S608
                for table in ("page", "paper", "link", "decision", "page_vector")
            ]
        )
    assert said[0] == said[1]


def test_vectors_are_units_and_near_within_a_cluster() -> None:
    made = wiki.Vectors(4, seed=1).rows(np.repeat(np.arange(4), 50))
    assert np.allclose(np.linalg.norm(made, axis=1), 1, atol=1e-5)
    cosines = made @ made.T
    within = np.mean([cosines[a : a + 50, a : a + 50].mean() for a in range(0, 200, 50)])
    assert abs(within - wiki.COSINE) < 0.05
    assert abs(cosines[:50, 50:].mean()) < 0.1


def test_the_language_has_the_frequencies_that_were_measured() -> None:
    language = Language(1_000_000, seed=1)
    drawn = language.ranks(200_000)
    counts = np.bincount(drawn, minlength=len(language.words)) / len(drawn)
    zipf = figures()["zipf"]
    expected = (np.arange(1, len(counts) + 1) + zipf["offset"]) ** -zipf["exponent"]
    expected /= expected.sum()
    assert np.allclose(counts[:20], expected[:20], rtol=0.2)
    little = [word for word in language.words[:100] if word in STOP]
    assert little == [word for place, word in figures()["little_words"] if place < 100]
    assert len(set(language.words)) == len(language.words)
    smaller = Language(1_000, seed=1)
    assert language.words[: len(smaller.words)] == smaller.words


def test_growth_is_the_exponent_of_the_cost_and_floors_are_ratios() -> None:
    table = {
        size: [Measured("linear", size / 100, size / 200), Measured("flat", 3.0)]
        for size in (1_000, 10_000, 100_000)
    }
    _, linear, flat = lines(table)
    assert linear.endswith("1.00") and "2.0x" in linear
    assert flat.endswith("0.00") and "x" not in flat
    assert Cost((1.0, 2.0, 3.0)).p50 == 2.0


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_clock_of_a_process_counts_its_own_work() -> None:
    import os

    before = cpu_of(os.getpid()), cpu_below(os.getpid())
    sum(range(3_000_000))
    assert cpu_of(os.getpid()) - before[0] > 0.005
    assert cpu_below(os.getpid()) - before[1] > 0.005
