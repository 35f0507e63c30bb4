"""Answers of arXiv's API and its listings, from files and from a server on loopback."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from app.domain.items import Bundle, PaperArrival
from app.domain.records import Announced
from app.errors import Invalid, NotFetched, Unreadable
from app.sources.arxiv import (
    AGAIN,
    SPACING,
    ArxivAtom,
    ArxivConnector,
    ArxivListing,
    ListingConnector,
)
from app.sources.base import File
from app.sources.connectors import Fetched, Wanted
from app.sources.http import Transport
from tests.servers.arxiv import ArxivServer, Asked, Unpaced, api_answer, listing
from tests.sources.bundles import documents, paper, rejected

SAMPLES = Path(__file__).parents[3] / "shared/data/formats/arxiv_api"
TODAY = date(2026, 5, 8)


def atom(*papers: dict[str, Any]) -> File:
    _, body = api_answer(papers, {"max_results": "100"})
    return File("answer.xml", body)


def rss(*papers: dict[str, Any], form: str = "rss") -> File:
    return File("listing.xml", listing(papers, ["cs.CL"], "2026-05-08", form))


def only(bundle: Bundle) -> PaperArrival:
    (document,) = documents(bundle)
    (arrival,) = document.arrivals
    assert isinstance(arrival, PaperArrival)
    return arrival


# ---------------------------------------------------------------- the API's answers


def test_an_entry_of_the_api_is_a_paper_of_its_listing() -> None:
    told = paper(
        1,
        title="On the\n   $k$-means of\u200b  things",
        abstract="  First line\nruns on.\n  A second paragraph\nwith &lt; in it.\n",
        versions=["2026-05-07T12:00:00Z", "2026-05-09T12:00:00Z"],
        doi="10.1234/ABC.5",
        journal="Journal of Cases 5, 2026",
        comment="12 pages. Code: https://github.com/ada/cases.git.",
    )
    bundle = ArxivAtom().read(atom(told))
    found = only(bundle)
    assert found.refs == ("arxiv:2605.00001v2", "doi:10.1234/abc.5")
    assert found.title == "On the $k$-means of things"
    assert found.abstract == "First line runs on.\n\nA second paragraph with < in it."
    assert found.authors == ("Ada Park", "Ben Quill")
    assert (found.published, found.venue) == ("2026-05-07", "Journal of Cases 5, 2026")
    assert found.categories == ("cs.CL", "cs.LG")
    assert found.code_url == "https://github.com/ada/cases"
    # Its first version was new on Friday; that there is a second is noted with its identifier.
    assert (found.day, found.announced, found.version) == ("2026-05-08", Announced.NEW, 1)
    (document,) = documents(bundle)
    assert (document.key, document.published) == ("2605.00001", "2026-05-08")
    assert document.url == "https://arxiv.org/abs/2605.00001"


def test_the_same_entry_has_the_same_hash_and_a_changed_one_another() -> None:
    one, again = (documents(ArxivAtom().read(atom(paper(1))))[0] for _ in range(2))
    other = documents(ArxivAtom().read(atom(paper(1, title="Another title"))))[0]
    assert one.hash == again.hash != other.hash and len(one.hash) == 64


def test_an_error_of_the_api_is_said_in_words() -> None:
    _, body = api_answer([], {"id_list": "abc"})
    (problem,) = rejected(ArxivAtom().read(File("error.xml", body)))
    assert problem.reason == "arXiv answers: incorrect id format for abc."


def test_an_empty_answer_has_no_papers_and_nothing_wrong() -> None:
    assert list(ArxivAtom().read(atom()).documents) == []


def test_old_ids_and_ids_twice_in_one_answer() -> None:
    old = paper(1, id="cond-mat/0001001")
    older, newer = paper(2), paper(2, versions=["2026-05-07T12:00:00Z"] * 2, title="Put right")
    found = documents(ArxivAtom().read(atom(old, older, newer)))
    assert [each.key for each in found] == ["cond-mat/0001001", "2605.00002"]
    assert found[1].title == "Put right"


def test_what_breaks_off_keeps_what_was_whole() -> None:
    file = atom(paper(1), paper(2), paper(3))
    cut = file.data[: file.data.rindex(b"<summary>")]
    bundle = ArxivAtom().read(File("cut.xml", cut))
    assert [each.key for each in documents(bundle)] == ["2605.00001", "2605.00002"]
    assert "breaks off" in rejected(bundle)[0].reason


@pytest.mark.parametrize("at", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "yesterday", ""])
def test_a_date_that_is_a_slip_leaves_the_paper_without_a_day(at: str) -> None:
    found = only(ArxivAtom().read(atom(paper(1, versions=[at]))))
    assert (found.day, found.published, found.announced) == ("", "", None)


def test_an_entry_without_title_or_id_is_refused_and_the_others_read() -> None:
    bundle = ArxivAtom().read(atom(paper(1, title=""), paper(2, id="nothing"), paper(3)))
    assert [each.key for each in documents(bundle)] == ["2605.00003"]
    assert [each.reason for each in rejected(bundle)] == [
        "arxiv:2605.00001 has no title.",
        "'http://arxiv.org/abs/nothingv1' is no arXiv id.",
    ]


def test_a_withdrawn_paper_says_so() -> None:
    said = paper(1, comment="This paper has been withdrawn by the authors due to an error")
    (document,) = documents(ArxivAtom().read(atom(said)))
    assert document.state == {"withdrawn": True}
    (document,) = documents(ArxivAtom().read(atom(paper(2, comment="12 pages"))))
    assert document.state == {}


def test_other_encodings_and_entities_of_html_are_read() -> None:
    text = atom(paper(1, title="Über Größe")).data.decode()
    assert only(ArxivAtom().read(File("a", text.encode("utf-16")))).title == "Über Größe"
    latin = text.replace("UTF-8", "ISO-8859-1").encode("latin-1")
    assert only(ArxivAtom().read(File("a", latin))).title == "Über Größe"
    html = text.replace("Über", "&Uuml;ber&nbsp;\x01").encode()
    assert only(ArxivAtom().read(File("a", html))).title == "Über Größe"


BOMB = b"""<?xml version="1.0"?><!DOCTYPE feed [<!ENTITY a "aaaaaaaaaa">%s]>
<feed xmlns="http://www.w3.org/2005/Atom"><id>https://arxiv.org/api/x</id><title>&%s;</title></feed>"""
GROWS = b"".join(
    b'<!ENTITY b%d "&b%d;&b%d;&b%d;">' % (n, n - 1, n - 1, n - 1) for n in range(1, 40)
)


@pytest.mark.parametrize(
    "data",
    [
        BOMB % (b'<!ENTITY b0 "x">' + GROWS, b"b39"),
        BOMB % (b'<!ENTITY b SYSTEM "file:///etc/passwd">', b"b"),
        b'<feed xmlns="http://www.w3.org/2005/Atom"><id>https://arxiv.org/api/x</id>'
        + b"<a>" * 5_000,
    ],
)
def test_unsafe_xml_is_refused(data: bytes) -> None:
    for reader in (ArxivAtom(), ArxivListing()):
        with pytest.raises(Unreadable, match="refused"):
            reader.read(File("bomb.xml", data))


def test_an_entity_of_its_own_is_not_put_in() -> None:
    data = BOMB % (b"", b"a")
    assert "aaaaaaaaaa" not in repr(list(ArxivAtom().read(File("a", data)).documents))


def test_a_blog_that_writes_of_arxiv_is_no_listing() -> None:
    words = (
        "I read the updates on arXiv.org by https://rss.arxiv.org/ and http://arxiv.org/api/query."
    )
    for name, entry in (("rss", "item"), ("feed", "entry")):
        data = f"<{name}><title>A blog</title><{entry}><title>{words}</title></{entry}></{name}>"
        file = File("blog.xml", data.encode())
        assert not ArxivAtom().recognises(file) and not ArxivListing().recognises(file)


def test_what_is_no_feed_is_unreadable() -> None:
    for reader in (ArxivAtom(), ArxivListing()):
        with pytest.raises(Unreadable):
            reader.read(File("page.html", b"<html><body>Rate exceeded</body></html>"))


@pytest.mark.skipif(not SAMPLES.is_dir(), reason="the shared samples are not here")
def test_every_sample_of_the_api_is_read_or_refused_in_words() -> None:
    papers = 0
    for path in sorted(SAMPLES.iterdir()):
        file = File(path.name, path.read_bytes())
        assert ArxivAtom().recognises(file) and not ArxivListing().recognises(file), path.name
        bundle = ArxivAtom().read(file)
        for each in documents(bundle):
            found = only(replace(bundle, documents=(each,)))
            assert (
                found.title and found.abstract and found.authors and found.published and found.day
            )
            papers += 1
        assert all(each.reason.endswith(".") for each in rejected(bundle))
    assert papers > 80


# ---------------------------------------------------------------- listings


@pytest.mark.parametrize("form", ["rss", "atom"])
@pytest.mark.parametrize(
    ("said", "announced"),
    [
        ("new", Announced.NEW),
        ("cross", Announced.CROSS),
        ("replace", Announced.REPLACED),
        ("replace-cross", Announced.REPLACED),
    ],
)
def test_a_listing_says_what_it_announces(form: str, said: str, announced: Announced) -> None:
    told = paper(
        1, announced=said, versions=["x", "y"], doi="10.1234/x", abstract="If a < b, it\nholds."
    )
    found = only(ArxivListing().read(rss(told, form=form)))
    assert (found.day, found.announced, found.version) == ("2026-05-08", announced, 2)
    assert found.refs == ("arxiv:2605.00001v2", "doi:10.1234/x")
    assert found.abstract == "If a < b, it holds."
    assert found.authors == ("Ada Park", "Ben Quill")
    assert found.categories == ("cs.CL", "cs.LG")


def test_a_listing_of_earlier_years_is_read_too() -> None:
    data = b"""<?xml version="1.0"?>
<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns="http://purl.org/rss/1.0/"
 xmlns:dc="http://purl.org/dc/elements/1.1/">
<channel rdf:about="http://arxiv.org/"><title>cs.CL updates on arXiv.org</title>
<dc:date>2021-03-04T20:30:00-05:00</dc:date></channel>
<item rdf:about="http://arxiv.org/abs/2103.00001">
<title>A case of old. (arXiv:2103.00001v3 [cs.CL] UPDATED)</title>
<link>http://arxiv.org/abs/2103.00001</link>
<description>&lt;p&gt;It was so,\nonce.&lt;/p&gt;</description>
<dc:creator>&lt;a href="http://arxiv.org/find/a"&gt;Ada Park&lt;/a&gt;, &lt;a href="b"&gt;B. Quill Jr.&lt;/a&gt;</dc:creator>
</item></rdf:RDF>"""
    file = File("old.rdf", data)
    assert ArxivListing().recognises(file) and not ArxivAtom().recognises(file)
    found = only(ArxivListing().read(file))
    assert (found.title, found.abstract) == ("A case of old.", "It was so, once.")
    assert found.authors == ("Ada Park", "B. Quill Jr.")
    assert (found.refs, found.announced) == (("arxiv:2103.00001v3",), Announced.REPLACED)


def test_one_paper_in_two_parts_of_a_listing_is_new() -> None:
    bundle = ArxivListing().read(rss(paper(1, announced="cross"), paper(1, announced="new")))
    assert only(bundle).announced is Announced.NEW


def test_the_same_paper_on_another_day_is_told_anew() -> None:
    monday = rss(paper(1))
    tuesday = File("l", listing([paper(1, day="2026-05-12")], ["cs.CL"], "2026-05-12"))
    one, other = (documents(ArxivListing().read(each))[0] for each in (monday, tuesday))
    assert one.key == other.key and one.hash != other.hash


def test_a_listing_without_entries_has_none() -> None:
    assert list(ArxivListing().read(rss()).documents) == []


# ---------------------------------------------------------------- sources named in words


def test_categories_are_found_in_words_and_addresses() -> None:
    connector = ArxivConnector()
    for text in (
        "cs.CL",
        "cs.cl",
        "arxiv:cs.CL",
        "https://arxiv.org/list/cs.CL/recent",
        "arXiv cs.CL",
    ):
        found = connector.finds(text)
        assert found and found.options == {"categories": "cs.CL"} and found.key == "arxiv:cs.CL", (
            text
        )
    both = connector.finds("arxiv:cs.LG,cs.CL")
    assert both and both.key == "arxiv:cs.CL,cs.LG"
    whole = connector.finds("https://arxiv.org/list/cs/new")
    assert whole and whole.options == {"categories": "cs.*"}
    asked = connector.finds(
        "http://export.arxiv.org/api/query?search_query=cat:cs.CL+AND+ti:case&start=5"
    )
    assert asked and asked.options == {"query": "cat:cs.CL AND ti:case"}
    for text in (
        "r/MachineLearning",
        "https://example.org/feed",
        "cats.dogs",
        "some words",
        "",
        "cs",
    ):
        assert connector.finds(text) is None, text


@pytest.mark.parametrize(
    "text", ["arxiv:cs.XX", "arxiv:2605.00001", "https://arxiv.org/abs/2605.00001"]
)
def test_what_arxiv_has_not_is_said(text: str) -> None:
    with pytest.raises(Invalid, match=r"cs\.CL"):
        ArxivConnector().finds(text)


def test_feeds_of_arxiv_are_found_by_their_addresses() -> None:
    for text in ("https://rss.arxiv.org/rss/cs.CL+cs.LG", "rss.arxiv.org/atom/cs.CL+cs.LG"):
        found = ListingConnector().finds(text)
        assert found and found.url == "https://rss.arxiv.org/rss/cs.CL+cs.LG"
    assert ListingConnector().finds("https://example.org/rss/cs.CL") is None


# ---------------------------------------------------------------- fetching from the API


@pytest.fixture
def server() -> Iterator[ArxivServer]:
    with ArxivServer(paper(n) for n in range(1, 26)) as running:
        yield running


def web(server: ArxivServer) -> Unpaced:
    return Unpaced(Transport(allow={server.pair}))


def wanted(server: ArxivServer, cursor: Any = None, **facts: Any) -> Wanted:
    options = {"categories": "cs.CL", "page": "10"}
    return Wanted(server.api, options, cursor or {}, TODAY, **{"since": "2026-04-08", **facts})


def keys(fetched: list[Fetched]) -> list[str]:
    return [
        each.key
        for one in fetched
        if one.data
        for each in documents(ArxivAtom().read(File(one.name, one.data, url=one.url)))
    ]


def everything(server: ArxivServer) -> set[str]:
    return {str(each["id"]) for each in server.papers}


def test_all_pages_come_newest_first_and_three_seconds_apart(server: ArxivServer) -> None:
    asking = web(server)
    fetched = list(ArxivConnector().fetch(asking, wanted(server)))
    assert set(keys(fetched)) == everything(server)
    assert [each.name for each in fetched] == [
        "papers 1 to 10",
        "papers 10 to 19",
        "papers 19 to 25",
    ]
    assert set(asking.spacings) == {SPACING}
    first = server.asked[0].query
    assert first["search_query"] == "cat:cs.CL" and first["sortBy"] == "submittedDate"
    assert (first["sortOrder"], first["max_results"]) == ("descending", "10")


def test_the_next_fetch_begins_where_the_last_ended_with_an_overlap(server: ArxivServer) -> None:
    connector = ArxivConnector()
    last = list(connector.fetch(web(server), wanted(server)))[-1].cursor
    assert last == {"newest": "2026-05-06T20:25:00+00:00", "query": "cat:cs.CL"}
    server.papers.insert(0, paper(1_000, versions=["2026-05-20T12:00:00Z"]))
    # Held back by moderators: it appears under its old time.
    server.papers.append(paper(30, versions=["2026-05-04T12:00:00Z"]))
    older = [paper(100 + n, versions=["2026-04-20T12:00:00Z"]) for n in range(40)]
    server.papers.extend(older)
    later = replace(wanted(server, last), today=date(2026, 5, 21))
    fetched = list(connector.fetch(web(server), later))
    assert {"2605.01000", "2605.00030"} <= set(keys(fetched))
    assert len(fetched) == 3  # it stops in what is older than what it brought, less the overlap


def test_other_categories_begin_at_their_own_month(server: ArxivServer) -> None:
    server.papers.append(paper(70, categories=["cs.IR"], versions=["2026-04-20T12:00:00Z"]))
    last = list(ArxivConnector().fetch(web(server), wanted(server)))[-1].cursor
    both = replace(wanted(server, last), options={"categories": "cs.CL,cs.IR", "page": "10"})
    assert "2605.00070" in keys(list(ArxivConnector().fetch(web(server), both)))


def test_a_fetch_that_was_killed_goes_on_at_its_page(server: ArxivServer) -> None:
    whole = list(ArxivConnector().fetch(web(server), wanted(server)))
    for stop in range(1, len(whole)):
        begun = ArxivConnector().fetch(web(server), wanted(server))
        came = [next(begun) for _ in range(stop)]
        begun.close()
        asked = len(server.asked)
        rest = list(ArxivConnector().fetch(web(server), wanted(server, came[-1].cursor)))
        assert keys(came + rest) == keys(whole)
        assert len(server.asked) - asked == len(whole) - stop
        assert rest[-1].cursor == whole[-1].cursor


def test_papers_that_come_in_between_pages_push_none_out(server: ArxivServer) -> None:
    before = everything(server)
    fetched = []
    for n, each in enumerate(ArxivConnector().fetch(web(server), wanted(server))):
        fetched.append(each)
        if n < 2:
            server.papers.extend(paper(100 + n * 10 + k) for k in range(4))
    assert before <= set(keys(fetched))
    again = list(ArxivConnector().fetch(web(server), wanted(server, fetched[-1].cursor)))
    assert set(keys(fetched + again)) == everything(server)


def test_papers_that_go_between_pages_pull_none_past(server: ArxivServer) -> None:
    fetched = []
    for each in ArxivConnector().fetch(web(server), wanted(server)):
        if not fetched:
            del server.papers[-1]  # of the first page
        fetched.append(each)
    assert set(keys(fetched)) >= everything(server)


def test_a_page_that_came_back_empty_too_early_is_asked_for_again(server: ArxivServer) -> None:
    empties = {"count": 2}

    def fault(asked: Asked) -> tuple[int, bytes] | None:
        if asked.query.get("start") == "9" and empties["count"]:
            empties["count"] -= 1
            status, body = api_answer([], {"start": "9", "max_results": "10"})
            return status, body.replace(
                b">0</opensearch:totalResults>", b">25</opensearch:totalResults>"
            )
        return None

    server.state.fault = fault
    assert set(keys(list(ArxivConnector().fetch(web(server), wanted(server))))) == everything(
        server
    )


def test_pages_that_stay_empty_end_the_fetch_and_it_goes_on_there_later(
    server: ArxivServer,
) -> None:
    server.state.fault = lambda asked: (
        api_answer([], asked.query) if asked.query.get("start") != "0" else None
    )
    came: list[Fetched] = []
    with pytest.raises(NotFetched, match="without papers") as refused:
        came.extend(ArxivConnector().fetch(web(server), wanted(server)))
    assert refused.value.again and len(server.asked) == 1 + AGAIN
    server.state.fault = None
    rest = list(ArxivConnector().fetch(web(server), wanted(server, came[-1].cursor)))
    assert set(keys(came + rest)) == everything(server)


def test_a_page_that_breaks_off_is_asked_for_again(server: ArxivServer) -> None:
    broken = {"count": 1}

    def fault(asked: Asked) -> tuple[int, bytes] | None:
        if asked.query.get("start") == "9" and broken["count"]:
            broken["count"] -= 1
            _, body = api_answer(server.papers, asked.query)
            return 200, body[: len(body) // 2]
        return None

    server.state.fault = fault
    assert set(keys(list(ArxivConnector().fetch(web(server), wanted(server))))) == everything(
        server
    )


def test_an_error_in_place_of_an_answer_is_said(server: ArxivServer) -> None:
    server.state.fault = lambda asked: (200, api_answer([], {"id_list": "abc"})[1])
    with pytest.raises(NotFetched, match="incorrect id format for abc") as refused:
        list(ArxivConnector().fetch(web(server), wanted(server)))
    assert not refused.value.again
    server.state.fault = lambda asked: (200, b"<html>Rate exceeded.</html>")
    with pytest.raises(NotFetched, match="something else"):
        list(ArxivConnector().fetch(web(server), wanted(server)))


def test_a_back_fill_asks_for_its_days_and_goes_on_in_them(server: ArxivServer) -> None:
    server.papers.extend(paper(500 + n, versions=["2026-04-01T12:00:00Z"]) for n in range(15))
    days = {"first": "2026-05-08", "last": "2026-05-08"}
    kept = {"newest": "2026-05-07T00:00:00+00:00"}
    whole = list(ArxivConnector().fetch(web(server), wanted(server, kept, **days)))
    assert set(keys(whole)) == {
        str(each["id"]) for each in server.papers if each["id"] < "2605.00500"
    }
    assert "submittedDate:[202605061800 TO 202605082359]" in server.asked[0].query["search_query"]
    assert whole[0].total == 25 and whole[-1].cursor["newest"] == kept["newest"]
    rest = list(ArxivConnector().fetch(web(server), wanted(server, whole[0].cursor, **days)))
    assert [each.name for each in rest] == [each.name for each in whole[1:]]
    assert list(ArxivConnector().fetch(web(server), wanted(server, whole[-1].cursor, **days))) == []
    # Other days begin at their beginning.
    other = {"first": "2026-04-02", "last": "2026-04-02"}
    found = list(ArxivConnector().fetch(web(server), wanted(server, whole[0].cursor, **other)))
    assert len(set(keys(found))) == 15


def test_the_first_fetch_brings_a_month_and_not_all_there_is(server: ArxivServer) -> None:
    server.papers.extend(paper(500 + n, versions=["2025-01-01T12:00:00Z"]) for n in range(40))
    fetched = list(ArxivConnector().fetch(web(server), wanted(server)))
    assert {f"2605.{n:05d}" for n in range(1, 26)} <= set(keys(fetched))
    assert len(fetched) == 3
    # Of a query that had nothing new of late: its newest month.
    late = replace(wanted(server), today=date(2026, 11, 1), since="2026-10-02")
    assert keys(list(ArxivConnector().fetch(web(server), late))) == keys(fetched)


def test_a_time_in_the_future_does_not_become_the_mark(server: ArxivServer) -> None:
    server.papers.append(paper(99, versions=["2031-01-01T00:00:00Z"]))
    last = list(ArxivConnector().fetch(web(server), wanted(server)))[-1].cursor
    assert str(last["newest"]) < "2026-05-10"


def test_an_answer_deeper_than_the_api_goes_is_asked_for_anew(
    server: ArxivServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.sources.arxiv.DEEPEST", 15)
    fetched = list(ArxivConnector().fetch(web(server), wanted(server)))
    assert set(keys(fetched)) == everything(server)
    assert any("submittedDate:" in each.query["search_query"] for each in server.asked)
    assert all(int(each.query["start"]) < 25 for each in server.asked)


def test_a_service_that_gives_one_page_without_end_is_left(server: ArxivServer) -> None:
    def fault(asked: Asked) -> tuple[int, bytes]:
        _, body = api_answer(server.papers, {**asked.query, "start": "0"})
        return 200, body.replace(b"opensearch:totalResults", b"opensearch:nothing")

    server.state.fault = fault
    assert len(list(ArxivConnector().fetch(web(server), wanted(server)))) == 2


def test_a_query_in_the_address_is_asked_as_it_stands(server: ArxivServer) -> None:
    asked = Wanted(f"{server.api}?search_query=ti:%22case+7%22", {}, {}, TODAY, since="2026-04-08")
    assert keys(list(ArxivConnector().fetch(web(server), asked))) == ["2605.00007"]
    with pytest.raises(NotFetched, match="categories or a query"):
        list(ArxivConnector().fetch(web(server), Wanted(server.api, {}, {}, TODAY)))


def test_two_requests_are_three_seconds_apart_in_earnest(
    server: ArxivServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the real transport: it waits as long as it was asked to, by a clock that is wound on."""
    wound = {"on": 0.0}
    real = time.monotonic
    monkeypatch.setattr("app.sources.http.time.monotonic", lambda: real() + wound["on"])
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        wound["on"] += seconds

    monkeypatch.setattr("app.sources.http.time.sleep", sleep)
    from app.sources.http import Turns

    transport = Transport(allow={server.pair}, pace=Turns(clock=lambda: real() + wound["on"]))
    fetched = list(ArxivConnector().fetch(transport, wanted(server)))
    assert len(fetched) == 3 and sum(slept) > 2 * SPACING - 1.0


# ---------------------------------------------------------------- fetching listings


def test_a_listing_comes_whole_and_only_when_it_changed(server: ArxivServer) -> None:
    asked = Wanted(f"{server.root}/rss/cs.CL", {}, {}, TODAY)
    (fetched,) = ListingConnector().fetch(web(server), asked)
    assert fetched.format == "arxiv-rss" and fetched.seen == 25
    (again,) = ListingConnector().fetch(web(server), replace(asked, cursor=fetched.cursor))
    assert again.data == b"" and again.cursor == fetched.cursor
    server.state.today = "2026-05-09"  # a Saturday: nothing is listed
    (empty,) = ListingConnector().fetch(web(server), replace(asked, cursor=fetched.cursor))
    assert empty.data == b""


def test_a_listing_has_no_earlier_days(server: ArxivServer) -> None:
    asked = Wanted(f"{server.root}/rss/cs.CL", {}, {}, TODAY, first="2026-05-01", last="2026-05-02")
    with pytest.raises(NotFetched, match="newest day alone") as refused:
        list(ListingConnector().fetch(web(server), asked))
    assert not refused.value.again


def test_categories_may_be_an_option_of_a_listing(server: ArxivServer) -> None:
    asked = Wanted(server.root, {"categories": "cs.CL,cs.LG"}, {}, TODAY)
    list(ListingConnector().fetch(web(server), asked))
    assert server.asked[0].path == "/rss/cs.CL+cs.LG"


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("cs.XX", "'cs.XX' is no category of arXiv"),
        ("2605.00001", "is one paper: import https://arxiv.org/abs/2605.00001"),
        ("arxiv:2605.00001v2", "is one paper: import https://arxiv.org/abs/2605.00001"),
    ],
)
def test_what_is_nearly_a_category_is_told_so(said: str, words: str) -> None:
    with pytest.raises(Invalid, match=re.escape(words)):
        ArxivConnector().finds(said)
