"""The wiki's papers as bibliographies, and back again."""

from __future__ import annotations

import io
import json
import zipfile
from functools import partial

import pytest
from bs4 import BeautifulSoup
from sqlmodel import col, select
from starlette.testclient import TestClient

from app.bootstrap import READERS, App
from app.domain.records import Paper
from app.errors import Invalid
from app.exporting import FOLDERS
from app.services.export import FORMATS, bibliography
from app.services.ingest import Outcome, Report, import_files
from app.services.interchange import whole
from app.sources.base import File
from app.store.db import reading, writing
from app.web.routes import export as routes
from tests.web.conftest import app, client, load  # noqa: F401

LIBRARY = r"""
@article{doe21,
  title = {Tides of {\O}resund \& the {BERT} gauge}, author = {Doe, Ana and {Gauge Office} and others},
  journal = {Journal of Tides}, year = 2021, month = may, volume = 3, pages = {1--9},
  doi = {10.1000/Tide_1}, keywords = {sea, {high, low}}, abstract = {Half of it, 50\% at $x_1$.},
  annote = {Mine alone}
}
@phdthesis{lee, title = {Harbours: a {History}}, author = {van der Lee, Jr, Bo}, school = {Bay University}, year = {in press}}
@online{page, title = {Gauges}, url = {https://example.org/gauges}, date = {2020-02-03}, editor = {Roe, Cy}}
@misc{bay, title = {Bays}, author = {Doe, Ana}, eprint = {2101.00001}, archiveprefix = {arXiv}, primaryclass = {physics.ao-ph}, year = 2021}
"""
ARXIV = {
    "type": "paper",
    "id": "arxiv:2605.00001",
    "title": "Shoals of $n$ fish & other # things",
    "authors": ["Ana de la Cruz", "Wei Li", "The Shoal Collaboration"],
    "published": "2026-05-07",
    "categories": ["q-bio.PE", "cs.LG"],
    "abstract": "A shoal -- of {many} fish_es.",
}


def take(app: App, text: str, name: str) -> Report:  # noqa: F811
    with writing(app.engine) as session:
        [(_, report)] = import_files(
            session, [File(name, text.encode())], READERS, raw_folder=None, now=app.clock()
        )
    assert isinstance(report, Report), report
    return report


def exported(app: App, format: str, query: str = "") -> str:  # noqa: F811
    return "".join(bibliography(partial(reading, app.engine), format, query))


@pytest.fixture
def library(app: App) -> App:  # noqa: F811
    report = take(app, LIBRARY, "library.bib")
    assert (report.total(Outcome.NEW), report.rejected) == (4, [])
    load(app, [ARXIV])
    return app


@pytest.mark.parametrize("format", FORMATS)
def test_importing_our_own_export_changes_nothing(library: App, format: str) -> None:
    written = exported(library, format)
    report = take(library, written, f"export.{FORMATS[format].suffix}")
    assert report.rejected == []
    assert report.by_kind() == {"paper": {"same": 5}}
    assert exported(library, format) == written


@pytest.mark.parametrize("format", FORMATS)
def test_another_wiki_gets_all_of_it_from_an_export(library: App, tmp_path, format: str) -> None:  # type: ignore[no-untyped-def]
    from app.services.linker import shipped_weights
    from app.settings import Settings
    from tests.factories import make_engine

    there = tmp_path / "there"
    there.mkdir()
    other = App(
        Settings(data=there, embedding_model="none"), make_engine(there), shipped_weights(None)
    )
    take(other, exported(library, format), f"export.{FORMATS[format].suffix}")
    told = {item["id"]: item for item in json.loads(exported(other, "csl"))}
    other.engine.dispose()
    given = {item["id"]: item for item in json.loads(exported(library, "csl"))}
    assert (
        told.keys()
        == given.keys()
        == {"doe21", "lee", "page", "bay", "delacruzShoalsFishOther2026"}
    )
    for key, item in given.items():
        for part in ("title", "author", "issued", "DOI", "keyword", "abstract", "container-title"):
            assert told[key].get(part) == item.get(part), (key, part)


def test_bibtex_is_what_tex_reads(library: App) -> None:
    written = exported(library, "bibtex")
    assert r"title = {Tides of Øresund \& the {BERT} gauge}" in written
    assert "author = {Doe, Ana and {Gauge Office} and others}" in written
    assert r"keywords = {{high, low}, sea}" in written
    assert "author = {van der Lee, Jr, Bo}" in written
    assert "year = {in press}" in written
    assert r"title = {Shoals of $n$ fish \& other \# things}" in written
    assert "author = {de la Cruz, Ana and Li, Wei and {The Shoal Collaboration}}" in written
    assert (
        "eprint = {2605.00001},\n  archiveprefix = {arXiv},\n  primaryclass = {q-bio.PE}" in written
    )
    assert "doi = {10.1000/Tide_1}" in written
    assert "Mine alone" not in written  # the reader's page is no part of a bibliography


def test_a_library_may_correct_what_it_alone_told(library: App) -> None:
    corrected = LIBRARY.replace("Harbours: a {History}", "Harbours and Bays").replace(
        "title = {Bays}", "title = {Bays at last}"
    )
    load(
        library, [{"type": "paper", "id": "arxiv:2101.00001", "title": "Bays", "day": "2026-05-14"}]
    )
    take(library, corrected, "library.bib")
    titles = {item["title"] for item in json.loads(exported(library, "csl"))}
    assert "Harbours and Bays" in titles
    assert "Bays" in titles  # a listing told of that one too


def test_a_library_that_knows_less_takes_nothing_away(library: App) -> None:
    rows = [
        {
            "type": "paper",
            "id": "doi:10.1000/ebb.9",
            "title": "Ebb and Flood of Small Harbours",
            "authors": ["Ada Pier", "Ben Quay", "Cleo Mole"],
            "published": "2017-06-12",
        }
    ]
    take(library, "\n".join(json.dumps(row) for row in rows), "facts.jsonl")
    poorer = "@article{ebb, title={Ebb and Flood of Small Harbours}, author={Pier, Ada}, year=2017, doi={10.1000/ebb.9}}"
    take(library, poorer, "poorer.bib")
    take(library, poorer.replace("year=2017", "year=2017, journal={Tides}"), "poorer.bib")
    with reading(library.engine) as session:
        paper = session.exec(select(Paper).where(col(Paper.title).contains("Ebb"))).one()
        assert paper.authors == ["Ada Pier", "Ben Quay", "Cleo Mole"]
        assert (paper.published, paper.venue) == ("2017-06-12", "Tides")


def test_two_works_of_one_title_and_two_keys_of_one_work(app: App) -> None:  # noqa: F811
    take(
        app,
        """@book{one, title = {Deep Tides}, author = {Doe, Ana}, year = 2016}
        @article{two, title = {Deep tides}, author = {Lee, Bo}, year = 2015}
        @misc{three, title = {Deep Tides}, author = {A. Doe}}""",
        "library.bib",
    )
    written = exported(app, "bibtex")
    assert written.count("\n@") == 1  # two entries
    assert "ids = {three}" in written


def test_a_query_narrows(library: App) -> None:
    def keys(query: str) -> set[str]:
        return {item["id"] for item in json.loads(exported(library, "csl", query))}

    assert keys("tides") == {"doe21"}
    assert keys("tag:sea") == {"doe21"}
    assert keys("year:2020..2021 tides") == {"doe21"}
    assert keys("kind:concept") == set()
    assert keys('title:"harbours"') == {"lee"}
    assert exported(library, "bibtex", "nowhere") == ""
    assert json.loads(exported(library, "csl", "nowhere")) == []


def test_a_format_that_there_is_not(app: App) -> None:  # noqa: F811
    with pytest.raises(Invalid, match="bibtex, csl, ris"):
        exported(app, "docx")


def test_export_and_citation_over_http(library: App, client: TestClient) -> None:  # noqa: F811
    answer = client.get("/export", params={"format": "ris", "q": "tag:sea"})
    assert answer.headers["content-disposition"] == 'attachment; filename="cere-bro-2026-05-14.ris"'
    assert answer.text.startswith("TY  - JOUR\r\nID  - doe21\r\n")
    assert client.get("/export?format=docx").status_code == 422
    page = client.get("/w/bays")
    assert "/w/bays/cite" in page.text
    cited = client.get("/w/bays/cite")
    assert cited.headers["content-type"].startswith("text/plain")
    assert cited.text.startswith("@misc{bay,")
    load(library, [{"type": "concept", "id": "tide", "title": "Tide"}])
    assert client.get("/w/tide/cite").status_code == 404
    assert client.get("/w/none/cite").status_code == 404


def test_what_there_is_to_take_along(library: App, client: TestClient) -> None:  # noqa: F811
    page = BeautifulSoup(client.get("/export").text, "html.parser")
    offered = {link["href"] for link in page.select("main li a")}
    assert offered == {f"/export?format={name}" for name in ("jsonl", "graphml", *FOLDERS)}
    assert {button["value"] for button in page.select("main form button")} == set(FORMATS)
    for name in ("jsonl", "graphml", *FOLDERS):
        answer = client.get(f"/export?format={name}")
        assert answer.status_code == 200 and answer.content, name
        assert "attachment" in answer.headers["content-disposition"]
        if name in FOLDERS:
            with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
                assert archive.testzip() is None and len(archive.namelist()) > 4
    with reading(library.engine) as session:
        assert client.get("/export?format=jsonl").text == "".join(whole(session))
    assert client.get("/export?format=jsonl&q=tide").status_code == 422
    assert not [path for path in library.settings.data.iterdir() if path.name.startswith("tmp")]


def test_of_a_large_wiki_the_command_is_named(
    library: App,
    client: TestClient,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(routes, "MOST", 3)
    page = client.get("/export").text
    assert "cerebro export --format jsonl -o wiki.jsonl" in page
    answer = client.get("/export?format=site")
    assert answer.status_code == 422 and "cerebro export --format site" in answer.text
    assert client.get("/export?format=bibtex").status_code == 200


# What once made a paper other than it was, when our own export of it came back.
ODD_BIB = r"""
@misc{Doe&Roe(2020), title = {Reefs and their keys}, author = {Doe, Ana}, year = 2020}
@unpublished{talk, title = {Spits}, author = {Doe, Ana}, howpublished = {Spit day}, eventtitle = {Coast week}, year = 2021}
@article{numbers, title = {Two serial numbers}, author = {Doe, Ana}, journal = {Dunes}, isbn = {0278-0062}, issn = {1558-254X}, year = 1999}
@article{words, title = {Words}, author = {Doe, Ana}, year = 1999, keywords = {{dune; high, dry}}}
@article{bars, title = {Bars}, author = {Doe, Ana | Roe, Cy | Lee, Bo}, year = 1999}
@online{untitled, url = {https://example.org/named-once}}
@online{titled, title = {A page}, url = {https://example.org/named-once}}
@misc{web, title = {A page, twice}, url = {https://example.org/twice}}
@misc{web2, title = {A Page, Twice}, url = {https://example.org/twice}, howpublished = {\url{https://example.org/x}}}
"""
ODD_ZOTERO = [
    {"itemType": "thesis", "citationKey": "t", "title": "Cliffs", "publisher": "Bay University",
     "creators": [{"creatorType": "author", "firstName": "Cuba, Jr.", "lastName": "Doe"}]},
    {"itemType": "conferencePaper", "citationKey": "c", "title": "Coves", "conferenceName": "Cove Days",
     "creators": [{"creatorType": "author", "firstName": "Al", "lastName": "Roe"},
                  {"creatorType": "author", "name": "others"}]},
    {"itemType": "newspaperArticle", "citationKey": "n", "title": "Floods of old", "date": "1273?~"},
    {"itemType": "journalArticle", "citationKey": "u", "title": "Addresses",
     "url": "https://doi.org/10.1007/978-3-030-0\\_8", "publicationTitle": "Webs"},
]  # fmt: skip


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize(
    ("text", "name"), [(ODD_BIB, "odd.bib"), (json.dumps(ODD_ZOTERO), "odd.json")]
)
def test_importing_our_own_export_of_odd_entries_changes_nothing(
    app: App,  # noqa: F811
    text: str,
    name: str,
    format: str,
) -> None:
    assert len(take(app, text, name).rejected) == text.count("{untitled,")
    written = exported(app, format)
    report = take(app, written, f"export.{FORMATS[format].suffix}")
    assert set(report.by_kind()["paper"]) == {"same"}
    assert exported(app, format) == written


def test_what_managers_write_in_their_own_way_is_understood(app: App) -> None:  # noqa: F811
    take(app, ODD_BIB, "odd.bib")
    take(app, json.dumps(ODD_ZOTERO), "odd.json")
    told = {item["id"]: item for item in json.loads(exported(app, "csl"))}
    assert told["t"]["publisher"] == "Bay University"
    assert told["t"]["author"] == [{"family": "Doe", "given": "Cuba", "suffix": "Jr."}]
    assert told["c"]["container-title"] == "Cove Days"
    assert told["c"]["author"] == [{"family": "Roe", "given": "Al"}, {"literal": "others"}]
    assert told["n"]["issued"] == {"date-parts": [[1273]]}
    assert told["u"]["DOI"] == "10.1007/978-3-030-0_8"
    assert told["talk"]["container-title"] == "Spit day"
    assert (told["numbers"]["ISSN"], told["numbers"]["ISBN"]) == ("1558-254X", "0278-0062")
    assert told["words"]["keyword"] == "dune; high, dry; "
    assert len(told["bars"]["author"]) == 3
