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
from app.domain.confidence import Weights
from app.domain.linking import ConceptText, PaperText
from app.domain.words import STOP, Lexicon
from app.pipeline import VAULT, pending
from app.services import health
from app.services.search import search
from app.settings import Settings
from app.sources.base import File
from app.sources.interchange import Interchange
from app.store.db import reading
from app.store.vectors import count_pending, serving
from app.web.app import create
from bench import first_places, vault, wiki
from bench.fit_linker import CuratedList
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
        waits = [each for each in pending(session, app) if each[0] != VAULT.waits]
        assert waits == []


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


# ---------------------------------------------------------------- the vault test

NOTE = """# Frogs

What frogs do at night.

## References
- #PAPER [Loud frogs of the north (Reed 2019)](https://arxiv.org/abs/1901.00001)
\t- Says that frogs of the north are loud
- [A tool for counting frogs](https://example.org/tool)
\t- [Counting in the dark (2020)](http://arxiv.org/pdf/2002.00002v3.pdf)
\t- still here
- #PAPER [Quiet ponds (Marsh, 2021)](https://example.org/ponds)
\t- https://arxiv.org/abs/2103.00003
Loud frogs -- of the North were heard again.
"""


def test_a_hidden_paper_leaves_with_its_entry_and_takes_nothing_else() -> None:
    left = vault.without(NOTE, ["1901.00001", "2002.00002", "2103.00003"])
    assert [line.strip() for line in left.split("\n") if line.strip()] == [
        "# Frogs",
        "What frogs do at night.",
        "## References",
        "- [A tool for counting frogs](https://example.org/tool)",
        "- still here",
        "Loud frogs -- of the North were heard again.",
    ]
    assert vault.without(NOTE, []) == NOTE


@pytest.mark.parametrize(
    ("arxiv_id", "title"),
    [
        ("1901.00001", "Loud frogs of the north"),
        ("2002.00002", "Counting in the dark"),
        ("2103.00003", "Quiet ponds"),
        ("2209.09999", ""),
    ],
)
def test_a_paper_is_called_what_the_page_calls_it(arxiv_id: str, title: str) -> None:
    assert vault.title_of(NOTE, arxiv_id) == title


@pytest.mark.parametrize(
    ("words", "title"),
    [
        ("[2001.00001] Loud frogs", "Loud frogs"),
        ("Loud frogs (paper on arXiv) (Reed 2019)", "Loud frogs"),
        ("Loud (very loud) frogs. (Reed & Marsh, 2019)", "Loud (very loud) frogs"),
        ("https://arxiv.org/pdf/2001.00001", ""),
        ("PDF", ""),
    ],
)
def test_a_title_is_what_a_catalogue_has(words: str, title: str) -> None:
    assert vault.clean_title(words) == title


def hidden(arxiv_id: str, title: str, *pages: str, abstract: str = "") -> vault.HiddenPaper:
    return vault.HiddenPaper(arxiv_id, title, abstract, frozenset(pages))


def test_no_page_holds_a_hidden_title_however_it_is_set() -> None:
    papers = [hidden("1901.00001", "Loud Frogs of the North", "frogs.md")]
    other = vault.Page("ponds.md", "Ponds", "Of ponds.\nHere loud frogs\nof the north live.\nEnd.")
    pages, short = vault.hide([vault.Page("frogs.md", "Frogs", NOTE), other], papers)
    assert short == 0
    assert all("loud frogs of the north" not in vault.flat(page.text) for page in pages)
    assert pages[1].text == "Of ponds.\nEnd."


def test_short_titles_stay_in_the_pages_and_are_counted() -> None:
    pages, short = vault.hide(
        [vault.Page("frogs.md", "Frogs", "All about tree frogs.")],
        [hidden("1901.00001", "Tree frogs", "frogs.md")],
    )
    assert (short, pages[0].text) == (1, "All about tree frogs.")


def test_recall_is_of_each_papers_pages_and_a_paper_without_an_answer_counts() -> None:
    papers = [hidden("1", "a", "x", "y"), hidden("2", "b", "z"), hidden("3", "c", "x")]
    found = vault.figures(papers, {"1": ["x", "q", "y"], "2": ["q", "z"]})
    assert found == pytest.approx({"recall@1": 0.5 / 3, "recall@5": 2 / 3, "mrr": (1 + 1 / 2) / 3})


def test_the_baseline_ranks_by_words_and_learns_from_linked_papers() -> None:
    pages = (vault.Page("frogs.md", "Frogs", "ponds"), vault.Page("stars.md", "Stars", "the sky"))
    papers = (
        hidden("1", "Frogs in ponds", "frogs.md"),
        hidden("2", "Quasars glow", "stars.md"),
        hidden("3", "Quasars redder than red", "stars.md"),
    )
    question = vault.Question(pages, papers, untitled=0, short=0)
    assert vault.by_words(question, ())["1"][0] == "frogs.md"
    taught = vault.by_words(question, papers[:2])
    assert taught == {"3": ["stars.md", "frogs.md"]}


def test_notes_of_one_name_are_asked_for_apart_and_only_the_linked_ones_are_linked() -> None:
    pages = (vault.Page("a/frogs.md", "Frogs", ""), vault.Page("b/frogs.md", "Frogs", "folded"))
    papers = (
        hidden("1901.00001", "Singing in ponds", "a/frogs.md", abstract="They sing."),
        hidden("1902.00002", "Folding squares of paper", "b/frogs.md", "elsewhere.md"),
    )
    question = vault.Question(pages, papers, untitled=0, short=0)
    rows = vault.interchange(question, papers[1:])
    data = "\n".join(json.dumps(row) for row in rows).encode()
    arrivals = list(Interchange().read(File(name="wiki.jsonl", data=data)).arrivals)
    assert [type(each).__name__ for each in arrivals] == [
        "PageArrival", "PageArrival", "PaperArrival", "PaperArrival", "LinkArrival",
    ]  # fmt: skip
    assert rows[2]["published"] == "2019-01"
    linked = rows[-1]
    assert linked["target"] == rows[1]["id"] != rows[0]["id"]
    said = "\n".join(
        json.dumps({"paper": "arxiv:1901.00001", "relation": relation, "target": target})
        for relation, target in (
            ("about", rows[1]["id"]),
            ("uses", rows[0]["id"]),
            ("about", rows[0]["id"]),
            ("about", "something-else"),
        )
    )
    ranked, printed = vault.answered(question, said)
    assert ranked == {"1901.00001": ["b/frogs.md", "a/frogs.md"]}
    assert printed["1901.00001 a/frogs.md"]["target"] == rows[0]["id"]


# ---------------------------------------------------------------- first places


def a_list() -> CuratedList:
    """Two headings; papers of each in turn."""
    subjects = ("frogs singing in ponds", "quasars glowing in the sky")
    return CuratedList(
        name="somebody/frogs-and-stars",
        concepts=(ConceptText(0, "Frogs"), ConceptText(1, "Quasars | stars")),
        papers=tuple(
            PaperText(at, f"Paper {at} on {subjects[at % 2]}", f"We watch {subjects[at % 2]}.")
            for at in range(12)
        ),
        gold=frozenset((at, at % 2) for at in range(12)),
        lexicon=Lexicon(),
    )


def test_first_places_are_the_best_concept_of_each_later_paper_on_one_line() -> None:
    weights = first_places.weights_of(None, "somebody/frogs-and-stars")
    places = first_places.first_places(a_list(), weights)
    assert [place.candidate.paper for place in places] == list(range(6, 12))
    assert all(place.right for place in places)
    *told, every, _, _ = first_places.lines(places)
    assert len(told) == 6 and "6 first places, the list agrees with 1.00" in every
    for line in told:
        assert len(line.split(" | ")) == 4 and "\n" not in line
    assert places[0].quotation in (a_list().papers[6].text, a_list().papers[6].title)


def test_weights_are_those_of_the_fold_that_left_the_list_out(tmp_path: Path) -> None:
    shipped = first_places.weights_of(None, "")
    other = Weights(shipped.scales, 0.75)
    (tmp_path / "folds.json").write_text('{"a": 0, "b": 1}', encoding="utf-8")
    (tmp_path / "fold-0.json").write_text(shipped.dump(), encoding="utf-8")
    (tmp_path / "fold-1.json").write_text(other.dump(), encoding="utf-8")
    assert first_places.weights_of(tmp_path, "a").floor == shipped.floor
    assert first_places.weights_of(tmp_path, "b").floor == 0.75


def test_a_sample_is_spread_over_the_whole() -> None:
    assert first_places.spread(range(10), 5) == [0, 2, 4, 6, 8]
    assert first_places.spread([1, 2], 5) == [1, 2]
    assert first_places.spread([], 5) == []


def test_proposals_of_every_kind_are_told_in_one_line() -> None:
    told = list(
        first_places.proposal_lines(
            [
                {
                    "id": 7,
                    "kind": "link",
                    "relation": "about",
                    "source": "a-paper",
                    "target": "frogs",
                    "confidence": 0.8,
                    "reason": "It says frogs.",
                    "evidence": [{"quotation": "Frogs\nsing."}],
                },
                {"id": "c7", "kind": "concept", "title": "Tree frogs", "confidence": 0.5},
            ]
        )
    )
    assert told == [
        '1 0.80 about: frogs <- a-paper | It says frogs. | "Frogs sing."',
        "2 0.50 concept: Tree frogs |  | (nothing quoted)",
        "about: 1; concept: 1",
    ]
