"""Records of OAI-PMH in their formats, and the harvest of a repository on loopback."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from app.domain.items import Document, PaperArrival
from app.domain.records import Announced
from app.errors import NotFetched, Unreadable
from app.sources.arxiv import SPACING
from app.sources.base import File
from app.sources.connectors import Fetched, Wanted
from app.sources.http import Transport
from app.sources.oai import OaiConnector, OaiRecords
from tests.servers.arxiv import ArxivServer, Unpaced, oai_answer
from tests.sources.bundles import documents, paper, reasons

TODAY = date(2026, 5, 9)


def answer(*papers: dict[str, Any], prefix: str = "arXivRaw", **query: str) -> File:
    with ArxivServer(papers) as server:
        asked = {"verb": "ListRecords", "metadataPrefix": prefix, **query}
        return File("records.xml", oai_answer(server.state, asked, "https://oaipmh.arxiv.org/oai"))


def papers_of(document: Document) -> list[PaperArrival]:
    found = list(document.arrivals)
    assert all(isinstance(each, PaperArrival) for each in found)
    return [each for each in found if isinstance(each, PaperArrival)]


# ---------------------------------------------------------------- records


@pytest.mark.parametrize("prefix", ["arXiv", "arXivRaw", "oai_dc"])
def test_a_record_is_a_paper_in_every_format(prefix: str) -> None:
    file = answer(
        paper(
            1,
            doi="10.1234/x",
            comment="Code at https://gitlab.com/a/b",
            categories=["cs.CL", "math-ph"],
            versions=["2026-05-07T12:00:00Z"],
        ),
        prefix=prefix,
    )
    assert OaiRecords().recognises(file)
    (document,) = documents(OaiRecords().read(file))
    (found,) = papers_of(document)
    assert document.key == "2605.00001" and "doi:10.1234/x" in found.refs
    assert found.refs[0].startswith("arxiv:2605.00001")
    assert found.title == "A study of case 1"
    assert found.abstract == "We look at case 1 and find it to be so."
    assert found.authors == ("Ada Park", "Ben Quill")
    assert found.categories == ("cs.CL", "math-ph")
    assert (found.published, found.day) == ("2026-05-07", "2026-05-08")
    assert found.announced is Announced.NEW and found.code_url == "https://gitlab.com/a/b"


@pytest.mark.parametrize("prefix", ["arXiv", "arXivRaw", "oai_dc"])
def test_a_new_version_is_replaced_on_its_day_and_was_new_on_the_first(prefix: str) -> None:
    told = paper(1, versions=["2026-03-02T12:00:00Z", "2026-05-07T12:00:00Z"], day="2026-05-08")
    (document,) = documents(OaiRecords().read(answer(told, prefix=prefix)))
    before, found = papers_of(document)
    assert (before.day, before.announced, before.version) == ("2026-03-03", Announced.NEW, 1)
    assert (found.day, found.announced) == ("2026-05-08", Announced.REPLACED)
    assert document.published == "2026-05-08"


def test_a_doi_added_long_after_lists_nothing_again() -> None:
    times = ["2026-01-05T12:00:00Z", "2026-02-02T12:00:00Z"]
    told = paper(1, versions=times, datestamp="2026-05-08", doi="10.1234/x")
    (document,) = documents(OaiRecords().read(answer(told)))
    (found,) = papers_of(document)
    assert (found.day, found.announced, found.version) == ("2026-01-06", Announced.NEW, 1)
    assert found.refs[0] == "arxiv:2605.00001v2"


def test_what_was_deleted_is_said_and_the_others_are_read() -> None:
    bundle = OaiRecords().read(answer(paper(1, deleted=True), paper(2)))
    assert [each.key for each in documents(bundle)] == ["2605.00002"]
    assert reasons(bundle) == ["The repository says that it was deleted."]


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ({"from": "2030-01-01"}, "it has no records of these days"),
        ({"resumptionToken": "old"}, "resumption token"),
        ({"metadataPrefix": "marc"}, "metadataPrefix"),
        ({"metadataPrefix": ""}, "argument"),
        ({"verb": "Nonsense"}, "ListRecords"),
    ],
)
def test_an_error_is_said_in_words(query: dict[str, str], words: str) -> None:
    (reason,) = reasons(OaiRecords().read(answer(paper(1), **query)))
    assert words in reason and reason.endswith(".")


def test_records_of_other_repositories_and_formats() -> None:
    head = '<OAI-PMH xmlns="http://www.openarchives.org/OAI/2.0/"><responseDate>2026-05-08T00:00:00Z</responseDate>'
    head += "<request verb='ListRecords'>https://repository.example.org/oai</request><ListRecords>"
    dc = (
        '<record><header><identifier>oai:example:7</identifier></header><metadata><dc xmlns:d="http://dc">'
        "<d:title>A thesis</d:title><d:creator>Park, Ada</d:creator><d:date>2026</d:date>"
        "<d:identifier>https://repository.example.org/7</d:identifier></dc></metadata></record>"
    )
    marc = "<record><header><identifier>oai:example:8</identifier></header><metadata><marc/></metadata></record>"
    bare = "<record><header><identifier>oai:example:9</identifier></header></record>"
    bundle = OaiRecords().read(
        File("r.xml", f"{head}{dc}{marc}{bare}</ListRecords></OAI-PMH>".encode())
    )
    assert bundle.source.key == "oai:repository.example.org"
    (document,) = documents(bundle)
    (found,) = papers_of(document)
    assert found.refs == ("url:https://repository.example.org/7",) and found.authors == (
        "Ada Park",
    )
    assert (found.day, found.published, document.key) == ("", "2026", "oai:example:7")
    assert reasons(bundle) == [
        "Its format 'marc' is none of arXiv, arXivRaw and oai_dc.",
        "It has no header or no metadata.",
    ]


def test_what_breaks_off_keeps_what_was_whole_and_bombs_are_refused() -> None:
    data = answer(paper(1), paper(2)).data
    bundle = OaiRecords().read(File("cut.xml", data[: data.rindex(b"<abstract>")]))
    assert [each.key for each in documents(bundle)] == ["2605.00001"]
    assert "breaks off" in reasons(bundle)[0]
    bomb = b'<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><OAI-PMH>&a;</OAI-PMH>'
    with pytest.raises(Unreadable, match="refused"):
        OaiRecords().read(File("bomb.xml", bomb))
    with pytest.raises(Unreadable, match="no answer of OAI-PMH"):
        OaiRecords().read(File("page.html", b"<html/>"))


def test_dates_that_are_slips_leave_the_paper_without_a_day() -> None:
    data = answer(paper(1)).data.replace(b"Wed, 06 May 2026", b"Wed, 06 May 9999")
    (document,) = documents(OaiRecords().read(File("r.xml", data)))
    (found,) = papers_of(document)
    assert (found.day, found.published) == ("", "")


# ---------------------------------------------------------------- the harvest


@pytest.fixture
def server() -> Iterator[ArxivServer]:
    with ArxivServer([paper(n) for n in range(1, 26)], page=10) as running:
        yield running


def web(server: ArxivServer) -> Unpaced:
    return Unpaced(Transport(allow={server.pair}))


def wanted(server: ArxivServer, cursor: Any = None, **facts: Any) -> Wanted:
    options = {"metadataPrefix": "arXivRaw", "set": "cs:cs:CL"}
    return Wanted(server.oai, options, cursor or {}, TODAY, **{"since": "2026-04-09", **facts})


def harvest(server: ArxivServer, cursor: Any = None, **facts: Any) -> list[Fetched]:
    return list(OaiConnector().fetch(web(server), wanted(server, cursor, **facts)))


def keys(fetched: list[Fetched]) -> list[str]:
    return [
        each.key
        for one in fetched
        if one.data
        for each in documents(OaiRecords().read(File(one.name, one.data, url=one.url)))
    ]


ALL = [f"2605.{n:05d}" for n in range(1, 26)]


def test_a_harvest_follows_its_tokens_and_then_asks_from_its_day(server: ArxivServer) -> None:
    asking = web(server)
    fetched = list(OaiConnector().fetch(asking, wanted(server)))
    assert keys(fetched) == ALL and set(asking.spacings) == {SPACING}
    assert server.asked[0].query == {
        "verb": "ListRecords", "metadataPrefix": "arXivRaw", "set": "cs:cs:CL", "from": "2026-04-09",
    }  # fmt: skip
    assert set(server.asked[1].query) == {"verb", "resumptionToken"}
    assert [each.total for each in fetched] == [25, 25, 25]
    assert fetched[-1].cursor == {"from": "2026-05-08"}
    harvest(server, fetched[-1].cursor)
    assert server.asked[3].query["from"] == "2026-05-07"  # a day of overlap


def test_a_harvest_that_was_killed_goes_on_at_its_token(server: ArxivServer) -> None:
    begun = OaiConnector().fetch(web(server), wanted(server))
    came = [next(begun), next(begun)]
    begun.close()
    rest = harvest(server, came[-1].cursor)
    assert keys(came + rest) == ALL and len(server.asked) == 3
    assert rest[-1].cursor == {"from": "2026-05-08"}


def test_a_token_that_has_expired_begins_the_harvest_anew(server: ArxivServer) -> None:
    begun = OaiConnector().fetch(web(server), wanted(server))
    came = [next(begun)]
    begun.close()
    server.forget_tokens()
    rest = harvest(server, came[-1].cursor)
    assert sorted(set(keys(came + rest))) == ALL
    assert server.asked[2].query["from"] == "2026-04-09"


def test_a_token_that_never_holds_ends_the_harvest_in_words(server: ArxivServer) -> None:
    server.state.fault = lambda asked: (
        (200, answer(resumptionToken="gone").data) if "resumptionToken" in asked.query else None
    )
    with pytest.raises(NotFetched, match="resumption token") as refused:
        harvest(server)
    assert refused.value.again and len(server.asked) < 12


def test_a_token_that_leads_to_itself_ends_the_harvest(server: ArxivServer) -> None:
    page = answer(paper(1)).data.replace(
        b"</ListRecords>", b"<resumptionToken>same</resumptionToken></ListRecords>"
    )
    server.state.fault = lambda asked: (200, page)
    with pytest.raises(NotFetched, match="go on from the page that it just gave"):
        harvest(server)


def test_a_day_without_records_is_no_failure(server: ArxivServer) -> None:
    server.papers.clear()
    (only,) = harvest(server)
    assert only.data == b"" and only.cursor == {"from": "2026-05-08"}


def test_other_errors_are_said_and_not_tried_again(server: ArxivServer) -> None:
    asked = replace(wanted(server), options={"metadataPrefix": "marc"})
    with pytest.raises(NotFetched, match="metadataPrefix") as refused:
        list(OaiConnector().fetch(web(server), asked))
    assert not refused.value.again


def test_a_page_that_breaks_off_is_asked_for_again(server: ArxivServer) -> None:
    broken = {"count": 1}

    def fault(asked: Any) -> tuple[int, bytes] | None:
        if "resumptionToken" in asked.query and broken["count"]:
            broken["count"] -= 1
            return 200, answer(*server.papers).data[:2_000]
        return None

    server.state.fault = fault
    assert keys(harvest(server)) == ALL


def test_a_back_fill_asks_from_its_first_day_until_its_last(server: ArxivServer) -> None:
    days = {"first": "2026-05-08", "last": "2026-05-08"}
    server.papers.append(paper(99, day="2026-05-09"))
    whole = harvest(server, {"from": "2026-05-09"}, **days)
    assert keys(whole) == ALL and whole[-1].cursor["from"] == "2026-05-09"
    assert (server.asked[0].query["from"], server.asked[0].query["until"]) == ("2026-05-08",) * 2
    assert keys(harvest(server, whole[0].cursor, **days)) == ALL[10:]
    assert harvest(server, whole[-1].cursor, **days) == []


def test_the_service_of_arxiv_is_found_by_its_address() -> None:
    found = OaiConnector().finds("https://oaipmh.arxiv.org/oai?verb=ListRecords&set=cs:cs:CL")
    assert (
        found
        and found.options == {"set": "cs:cs:CL"}
        and found.url == "https://oaipmh.arxiv.org/oai"
    )
    assert OaiConnector().finds("http://export.arxiv.org/oai2")
    assert OaiConnector().finds("https://example.org/oai") is None
