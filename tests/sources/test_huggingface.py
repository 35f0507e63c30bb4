"""Hugging Face's daily papers: its API, lists that were saved of it, and the connector."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from html import escape
from pathlib import Path
from typing import Any

import pytest

from app.domain.items import Bundle, Document, PaperArrival
from app.errors import Invalid, NotFetched, Unreadable
from app.sources.base import File
from app.sources.connectors import Fetched, Wanted
from app.sources.http import Transport
from app.sources.huggingface import LIMIT, DailyPapers, DailyPapersConnector
from tests.servers.arxiv import ArxivServer, Asked, Unpaced
from tests.sources.bundles import documents, reasons

SAMPLES = Path(__file__).parents[3] / "shared/data/formats"
TODAY = date(2026, 5, 8)


def entry(
    number: int, *, day: str = "2026-05-08", upvotes: int = 7, **inner: Any
) -> dict[str, Any]:
    """An entry as the API has it."""
    return {
        "paper": {
            "id": f"2605.{number:05d}",
            "authors": [
                {"name": "Ada Park"},
                {"name": "Gone", "hidden": True},
                {"name": "Ben Quill"},
            ],
            "publishedAt": "2026-05-06T20:00:00.000Z",
            "submittedOnDailyAt": f"{day}T00:00:00.000Z",
            "title": f"An outline of\npart {number}",
            "summary": f"Part {number} is\noutlined.",
            "upvotes": upvotes,
            "githubRepo": "https://github.com/ada/parts",
            **inner,
        },
        "publishedAt": "2026-05-06T20:00:00.000Z",
        "title": f"An outline of part {number}",
        "numComments": 3,
    }


def saved(*entries: Any, name: str = "papers.json") -> File:
    return File(name, json.dumps(list(entries)).encode())


def only(bundle: Bundle) -> tuple[Document, PaperArrival]:
    (document,) = documents(bundle)
    (arrival,) = document.arrivals
    assert isinstance(arrival, PaperArrival)
    return document, arrival


# ---------------------------------------------------------------- lists


def test_an_entry_is_a_paper_of_its_day_with_upvotes_and_comments() -> None:
    file = saved(entry(1))
    assert DailyPapers().recognises(file)
    document, found = only(DailyPapers().read(file))
    assert (document.key, document.url) == (
        "2605.00001",
        "https://huggingface.co/papers/2605.00001",
    )
    assert document.state == {"upvotes": 7, "comments": 3}
    assert (found.refs, found.title) == (("arxiv:2605.00001",), "An outline of part 1")
    assert found.abstract == "Part 1 is outlined." and found.authors == ("Ada Park", "Ben Quill")
    assert (found.day, found.published, found.announced) == ("2026-05-08", "2026-05-06", None)
    assert found.code_url == "https://github.com/ada/parts" and found.extra == {"upvotes": 7}


def test_a_few_more_upvotes_change_the_state_and_not_the_paper() -> None:
    few, more, twice = (
        documents(DailyPapers().read(saved(entry(1, upvotes=n))))[0] for n in (5, 7, 12)
    )
    assert few.hash == more.hash != twice.hash and few.state != more.state


def test_lists_that_tools_saved_flat_are_read_too() -> None:
    flat = {
        "source": "huggingface", "type": "paper", "title": "Flat", "url": "https://arxiv.org/abs/2605.00002",
        "published_date": "2026-05-01T20:00:00.000Z",
        "metadata": {"paper_id": "2605.00002", "upvotes": 40, "num_comments": 2, "authors": ["Ada Park"],
                     "summary": "All of it.", "fetch_date": "2026-05-08"},
    }  # fmt: skip
    listed = {
        "source_id": "hf_papers", "title": "Listed", "summary": "It is cut off...",
        "url": "https://huggingface.co/papers/2605.00003", "published_at": "2026-05-08T00:00:00.000Z",
        "authors": ["Ben Quill"], "metadata": {"upvotes": 9, "github_url": None},
    }  # fmt: skip
    for each, number in ((flat, 2), (listed, 3)):
        assert DailyPapers().recognises(saved(each))
        document, found = only(DailyPapers().read(saved(each)))
        assert document.key == f"2605.{number:05d}" and found.day == "2026-05-08"
        assert found.abstract == ("All of it." if number == 2 else "")
        assert document.state["upvotes"] in (40, 9) and len(found.authors) == 1


def test_a_feed_of_the_daily_papers_is_read() -> None:
    words = "<p><b>Authors:</b> Ada Park, Ben Quill</p><p><b>Upvotes:</b> 52</p><p><b>Summary:</b> So it is.</p>"
    data = (
        '<?xml version="1.0"?><rss version="2.0"><channel><title>Hugging Face Daily Papers</title>'
        "<link>https://huggingface.co/papers</link><lastBuildDate>Fri, 08 May 2026 00:40:03 +0000</lastBuildDate>"
        f"<item><title>A feed</title><link>https://arxiv.org/abs/2605.00004</link><description>{escape(words)}"
        "</description></item><item><title>No paper</title><link>https://example.org</link></item></channel></rss>"
    )
    file = File("papers.rss.xml", data.encode())
    assert DailyPapers().recognises(file)
    bundle = DailyPapers().read(file)
    document, found = only(bundle)
    assert found.day == "2026-05-08" and document.state == {"upvotes": 52}
    assert found.authors == ("Ada Park", "Ben Quill") and found.abstract == "So it is."
    assert reasons(bundle) == ["It has no arXiv id."]


def test_the_day_may_stand_in_the_name_or_the_address_alone() -> None:
    bare = entry(1)
    del bare["paper"]["submittedOnDailyAt"]
    _, found = only(DailyPapers().read(saved(bare, name="papers-2026-05-09.json")))
    assert found.day == "2026-05-09"
    file = replace(saved(bare), url="https://huggingface.co/api/daily_papers?date=2026-05-10")
    _, found = only(DailyPapers().read(file))
    assert found.day == "2026-05-10"


def test_odd_entries_are_refused_and_the_others_read() -> None:
    odd = entry(9, upvotes=-4, title=None)
    bundle = DailyPapers().read(
        saved(
            entry(1),
            "text",
            {},
            {"paper": {"id": "x", "title": "Nowhere"}},
            odd,
            entry(1),
            entry(2),
        )
    )
    assert [each.key for each in documents(bundle)] == ["2605.00001", "2605.00009", "2605.00002"]
    assert documents(bundle)[1].state == {"comments": 3}
    assert reasons(bundle) == ["It is no object.", "It has no title.", "It has no arXiv id."]


@pytest.mark.parametrize("data", [b"[{", b'{"a": 1}', b'"text"', b"[" * 100_000, b"\xff\xfe\x00"])
def test_what_is_no_list_is_unreadable(data: bytes) -> None:
    with pytest.raises(Unreadable):
        DailyPapers().read(File("papers.json", data))


@pytest.mark.parametrize(
    "data",
    [b'[{"type": "article-journal", "title": "x"}]', b'[{"id": 1}]', b"[]", b"{}", b"<rss/>"],
)
def test_other_files_are_not_taken_for_a_list(data: bytes) -> None:
    assert not DailyPapers().recognises(File("other", data))


@pytest.mark.skipif(not SAMPLES.is_dir(), reason="the shared samples are not here")
def test_every_sample_of_daily_papers_is_read() -> None:
    named = ["rss/hf_daily_papers.rss.xml", "rss/hf_weekly_papers.rss.xml"]
    named += ["json/huggingface_daily_papers_parsed.json"]
    named += [f"digest_sources/2026-05-0{n}/hf_papers.json" for n in (7, 8)]
    for name in named:
        file = File(name, (SAMPLES / name).read_bytes())
        assert DailyPapers().recognises(file), name
        bundle = DailyPapers().read(file)
        assert len(documents(bundle)) > 5 and not reasons(bundle), name
        for each in documents(bundle):
            _, found = only(replace(bundle, documents=(each,)))
            assert found.day and found.authors and each.state["upvotes"] >= 0
    for path in (SAMPLES / "rss").iterdir():
        if not path.name.startswith("hf_"):
            assert not DailyPapers().recognises(File(path.name, path.read_bytes())), path.name


# ---------------------------------------------------------------- fetching


@pytest.fixture
def server() -> Iterator[ArxivServer]:
    days = [(TODAY - timedelta(days=n)).isoformat() for n in range(60)]
    daily: dict[str, list[Any]] = {
        day: [entry(100 * n + k, day=day) for k in range(3)] for n, day in enumerate(days)
    }
    daily["2026-05-03"] = []  # a Sunday
    with ArxivServer(daily=daily) as running:
        yield running


def wanted(server: ArxivServer, cursor: Any = None, **facts: Any) -> Wanted:
    return Wanted(server.hf, {}, cursor or {}, TODAY, **{"since": "2026-04-29", **facts})


def fetch(server: ArxivServer, asked: Wanted) -> list[Fetched]:
    return list(DailyPapersConnector().fetch(Unpaced(Transport(allow={server.pair})), asked))


def days(server: ArxivServer) -> list[str]:
    return [each.query["date"] for each in server.asked]


def test_each_day_since_the_first_comes_and_then_the_last_few_again(server: ArxivServer) -> None:
    fetched = fetch(server, wanted(server))
    assert len(fetched) == 10 and sum(not each.data for each in fetched) == 1
    assert fetched[-1].cursor == {"day": "2026-05-08"}
    assert days(server)[0] == "2026-04-29"
    server.asked.clear()
    fetch(server, wanted(server, fetched[-1].cursor))
    assert days(server) == ["2026-05-06", "2026-05-07", "2026-05-08"]


def test_a_fetch_that_was_killed_goes_on_with_its_day(server: ArxivServer) -> None:
    begun = DailyPapersConnector().fetch(Unpaced(Transport(allow={server.pair})), wanted(server))
    came = [next(begun) for _ in range(4)]
    begun.close()
    server.asked.clear()
    rest = fetch(server, wanted(server, came[-1].cursor))
    assert days(server)[0] == "2026-05-03" and len(came + rest) == 10
    assert rest[-1].cursor == {"day": "2026-05-08"}


def test_a_day_that_has_not_begun_there_is_no_failure(server: ArxivServer) -> None:
    server.state.today = "2026-05-07"
    assert fetch(server, wanted(server))[-1].cursor["day"] == "2026-05-07"

    def fault(asked: Asked) -> tuple[int, bytes] | None:
        return (400, b"{}") if asked.query["date"] < "2026-05-05" else None

    server.state.fault = fault
    with pytest.raises(NotFetched):
        fetch(server, wanted(server))


def test_a_back_fill_brings_its_days_alone(server: ArxivServer) -> None:
    span = {"first": "2026-04-01", "last": "2026-04-03"}
    whole = fetch(server, wanted(server, {"day": "2026-05-08"}, **span))
    assert days(server) == ["2026-04-01", "2026-04-02", "2026-04-03"]
    assert [(each.seen, each.total) for each in whole] == [(1, 3), (2, 3), (3, 3)]
    assert whole[-1].cursor["day"] == "2026-05-08"
    server.asked.clear()
    fetch(server, wanted(server, whole[0].cursor, **span))
    assert days(server) == ["2026-04-02", "2026-04-03"]
    assert fetch(server, wanted(server, whole[-1].cursor, **span)) == []


def test_a_day_with_more_papers_than_a_page_comes_whole(server: ArxivServer) -> None:
    many = [entry(3_000 + n) for n in range(LIMIT + 5)]
    server.state.daily["2026-05-08"] = many
    fetched = fetch(server, wanted(server, {"day": "2026-05-08"}))
    found = {
        each.key
        for one in fetched
        if one.data
        for each in documents(DailyPapers().read(File(one.name, one.data, url=one.url)))
    }
    assert {each["paper"]["id"] for each in many} <= found


def test_an_answer_that_is_no_list_is_said(server: ArxivServer) -> None:
    server.state.fault = lambda asked: (200, b"<html>busy</html>")
    with pytest.raises(NotFetched, match="not whole JSON"):
        fetch(server, wanted(server))


def test_the_daily_papers_are_found_by_name_and_address() -> None:
    connector = DailyPapersConnector()
    for text in (
        "https://huggingface.co/papers",
        "hf.co/papers/date/2026-05-08",
        "HF daily papers",
    ):
        assert connector.finds(text), text
    for text in ("https://huggingface.co/blog", "papers", "cs.CL", "https://example.org/papers"):
        assert connector.finds(text) is None, text
    with pytest.raises(Invalid, match="one paper"):
        connector.finds("https://huggingface.co/papers/2605.00001")
