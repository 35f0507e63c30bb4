"""Semantic Scholar: its answers read, and the connector that asks about the wiki's own papers."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from app.bootstrap import READERS
from app.domain.items import Document, PaperArrival, Rejected
from app.errors import Invalid, NotFetched, Unreadable
from app.sources.base import File, reader_for
from app.sources.connectors import Fetched, Response, Wanted
from app.sources.http import Transport
from app.sources.semantic_scholar import AT_ONCE, SemanticScholar, SemanticScholarConnector
from tests.servers.pages import Page, Site

RECORDINGS = (
    Path(__file__).resolve().parents[3] / "shared" / "data" / "formats" / "semantic_scholar"
)
TODAY = date(2026, 5, 14)
OWN = "a" * 40
ANSWER = {
    "paperId": OWN,
    "externalIds": {"ArXiv": "2605.00001", "DOI": "10.48550/arXiv.2605.00001", "CorpusId": 7},
    "title": "Tides of a bay",
    "abstract": "It rises.",
    "venue": "arXiv.org",
    "year": 2026,
    "publicationDate": "2026-05-07",
    "citationCount": 3,
    "authors": [{"authorId": "1", "name": "Ana Doe"}],
    "tldr": {"model": "tldr@v2.0.0", "text": "The bay has tides."},
    "references": [
        {"paperId": "b" * 40, "externalIds": {"ArXiv": "2101.00001", "DOI": "10.1000/x"}},
        {"paperId": "c" * 40, "externalIds": {"DOI": "10.1000/Y"}},
        {"paperId": "d" * 40, "externalIds": None},
        {"paperId": None, "externalIds": None},
        {"paperId": "b" * 40, "externalIds": {"ArXiv": "2101.00001"}},
    ],
}


def read(value: object) -> list[Document | Rejected]:
    return list(SemanticScholar().read(File("answer.json", json.dumps(value).encode())).documents)


def arrival(document: Document | Rejected) -> PaperArrival:
    assert isinstance(document, Document), document
    [only] = document.arrivals
    assert isinstance(only, PaperArrival)
    return only


def test_a_paper_and_what_it_cites() -> None:
    [document] = read(ANSWER)
    told = arrival(document)
    assert isinstance(document, Document)
    assert (document.key, document.state) == (f"s2:{OWN}", {"citations": 3})
    assert told.refs == ("arxiv:2605.00001", f"s2:{OWN}")
    assert told.references == ("arxiv:2101.00001", "doi:10.1000/y", f"s2:{'d' * 40}")
    assert (told.published, told.venue) == ("2026-05-07", "")
    assert told.extra == {"tldr": "The bay has tides."}
    assert not told.keep
    assert not told.day


@pytest.mark.parametrize(
    "value",
    [
        {"total": 1, "offset": 0, "data": [ANSWER]},
        {"offset": 0, "data": [{"citingPaper": ANSWER}]},
        {"recommendedPapers": [ANSWER]},
        [ANSWER],
    ],
)
def test_lists_of_all_kinds(value: object) -> None:
    assert arrival(read(value)[0]).title == "Tides of a bay"
    assert reader_for(File("x", json.dumps(value).encode()), READERS).format == "semantic-scholar"


def test_what_is_not_known_there_is_said() -> None:
    known, none, odd, empty = read([ANSWER, None, 7, {"paperId": OWN, "title": ""}])
    assert isinstance(known, Document)
    for refused in (none, odd, empty):
        assert isinstance(refused, Rejected)
    assert isinstance(none, Rejected)
    assert (none.where, "does not know" in none.reason) == ("paper 2", True)
    [error] = read({"error": "Paper with id ARXIV:x not found", "asked": "arxiv:2605.00009"})
    assert isinstance(error, Rejected)
    assert error.where == "arxiv:2605.00009"


@pytest.mark.parametrize("data", [b"", b"[", b"[" * 100_000, b'{"a": 1}', b"7", b'{"title": "x"'])
def test_what_is_no_answer(data: bytes) -> None:
    with pytest.raises(Unreadable):
        SemanticScholar().read(File("answer.json", data))


@pytest.mark.parametrize(
    "broken",
    [
        {"title": ["x"]},
        {"externalIds": "x", "authors": 7, "references": {"a": 1}, "tldr": 7},
        {"year": "2026", "publicationDate": 7, "citationCount": True},
        {"year": 10**30, "citationCount": -1},
    ],
)
def test_odd_values_lose_themselves_alone(broken: Mapping[str, Any]) -> None:
    [document] = read(ANSWER | dict(broken))
    assert isinstance(document, Document) == ("title" not in broken)


KNOWN = "/paper/ARXIV:2605.00001"


def said(value: object) -> Page:
    return Page(json.dumps(value).encode(), kind="application/json")


def ask(server: Site, *papers: str, **more: Any) -> list[Fetched]:
    wanted = Wanted(url=server.url, options={}, cursor={}, today=TODAY, papers=papers)
    wanted = Wanted(**{**wanted.__dict__, **more})
    web = Transport(allow={server.pair})
    return list(SemanticScholarConnector(name="semantic-scholar").fetch(web, wanted))


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.sources.semantic_scholar.SPACING", 0.0)


def test_each_paper_is_asked_about_once_a_month() -> None:
    other = said({**ANSWER, "paperId": "e" * 40})
    with Site({KNOWN: said(ANSWER), "/paper/DOI:10.1000%2Fx": other}) as server:
        first, second = ask(server, "arxiv:2605.00001", "doi:10.1000/x", "openreview:abcdefgh")
        assert [each.name for each in (first, second)] == ["arxiv:2605.00001", "doi:10.1000/x"]
        assert json.loads(first.data)["paperId"] == OWN
        assert (second.seen, second.total) == (2, 2)
        assert "references.externalIds" in server.asked[0].path
        # Killed after the first: it goes on with the second. Next day: nothing is asked.
        assert [each.name for each in ask(server, "arxiv:2605.00001", "doi:10.1000/x", cursor=first.cursor)] == ["doi:10.1000/x"]  # fmt: skip
        [nothing] = ask(server, "arxiv:2605.00001", "doi:10.1000/x", cursor=second.cursor)
        assert nothing.data == b""
        later = date(2026, 6, 20)
        assert len(ask(server, "arxiv:2605.00001", cursor=second.cursor, today=later)) == 1


def test_an_unknown_paper_does_not_end_the_fetch() -> None:
    with Site({KNOWN: said(ANSWER)}) as server:
        unknown, known = ask(server, "doi:10.1000/none", "arxiv:2605.00001")
        [refused] = SemanticScholar().read(File("a", unknown.data)).documents
        assert isinstance(refused, Rejected)
        assert refused.where == "doi:10.1000/none"
        assert json.loads(known.data)["paperId"] == OWN


def test_too_many_requests_and_a_wrong_key_are_said() -> None:
    busy = Page(status="429 Too Many Requests", headers={"retry_after": "7"})
    with Site({KNOWN: busy}) as server:
        with pytest.raises(NotFetched) as slow:
            ask(server, "arxiv:2605.00001")
        assert (slow.value.again, slow.value.after) == (True, 7)
        server.pages[KNOWN] = Page(status="403 Forbidden")
        with pytest.raises(NotFetched, match="CEREBRO_S2_KEY") as wrong:
            ask(server, "arxiv:2605.00001", secret="hush")
        assert not wrong.value.again
        assert "hush" not in str(wrong.value)
        assert server.asked[-1].headers["x-api-key"] == "hush"


def test_a_fetch_asks_about_so_many_papers_at_most() -> None:
    class Web:
        asked = 0

        def get(self, url: str, **_: Any) -> Response:
            self.asked += 1
            return Response(url=url, status=200, headers={}, data=json.dumps(ANSWER).encode())

    web = Web()
    papers = tuple(f"arxiv:2605.{number:05}" for number in range(AT_ONCE + 50))
    wanted = Wanted(url="", options={}, cursor={}, today=TODAY, papers=papers)
    *_, last = SemanticScholarConnector().fetch(web, wanted)  # type: ignore[arg-type]
    assert (web.asked, len(last.cursor["asked"])) == (AT_ONCE, AT_ONCE)


def test_how_it_is_named() -> None:
    connector = SemanticScholarConnector()
    for text in (
        "Semantic Scholar",
        "semantic-scholar",
        "https://api.semanticscholar.org/graph/v1",
    ):
        found = connector.finds(text)
        assert found is not None
        assert found.url == "https://api.semanticscholar.org/graph/v1"
    assert connector.finds("https://example.org/semanticscholar.org") is None
    assert connector.finds("https://notsemanticscholar.org") is None
    with pytest.raises(Invalid, match="one paper"):
        connector.finds("https://www.semanticscholar.org/paper/Tides/abc")


@pytest.mark.skipif(not RECORDINGS.is_dir(), reason="the recordings are not there")
def test_recorded_answers() -> None:
    papers = 0
    for path in sorted(RECORDINGS.glob("*.vcr.yaml.gz")):
        text = gzip.decompress(path.read_bytes()).decode()
        for quoted in re.findall(r"(?:content|string): '((?:[^']|'')*)'", text):
            body = re.sub(r"\n\n\s*", "\n", quoted.replace("''", "'"))
            body = re.sub(r"\n\s+", " ", body)
            for each in read(json.loads(body, strict=False)):
                papers += isinstance(each, Document)
    assert papers > 1_000
