"""OpenReview: notes of both versions of its API, saved lists, and the connector."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from app.bootstrap import READERS
from app.domain.items import Document, PaperArrival, Rejected
from app.errors import Invalid, NotFetched, Unreadable
from app.sources import openreview
from app.sources.base import File, reader_for
from app.sources.connectors import Fetched, Response, Wanted
from app.sources.http import Transport
from app.sources.openreview import BROUGHT_ON, OpenReview, OpenReviewConnector
from tests.servers.pages import Page, Site

SAVED = Path(__file__).resolve().parents[3] / "shared/data/formats/openreview/colm2024.json.gz"
VENUE = "Tides.cc/2026/Conference"


def ms(day: str) -> int:
    return int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp() * 1000)


def note(id: str = "aB3dE5fGh1", changed: str = "2026-05-10", **content: Any) -> dict[str, Any]:
    told = {"title": "Tides of a bay", "abstract": "It rises.", "authors": ["Ana Doe"], **content}
    return {
        "id": id,
        "forum": id,
        "invitations": [f"{VENUE}/-/Submission"],
        "cdate": ms("2026-02-01"),
        "tcdate": ms(changed),
        "tmdate": ms(changed),
        "content": {name: {"value": value} for name, value in told.items()},
    }


def reply(kind: str, forum: str = "aB3dE5fGh1", **content: Any) -> dict[str, Any]:
    return {
        "id": f"r{kind}{len(str(content))}",
        "forum": forum,
        "replyto": forum,
        "invitations": [f"{VENUE}/Submission1/-/{kind}"],
        "content": {name: {"value": value} for name, value in content.items()},
    }


def read(value: object, **headers: str) -> list[Document | Rejected]:
    file = File("notes.json", json.dumps(value).encode(), headers=headers)
    return list(OpenReview().read(file).documents)


def one(value: object) -> tuple[Document, PaperArrival]:
    [document] = read(value)
    assert isinstance(document, Document), document
    [arrival] = document.arrivals
    assert isinstance(arrival, PaperArrival)
    return document, arrival


def test_a_submission_of_the_second_version_with_its_reviews() -> None:
    submission = note(venue="Tides 2026 Poster", venueid=VENUE, TLDR="Bays.")
    submission["details"] = {
        "replies": [
            reply("Official_Review", rating=8),
            reply("Official_Review", rating="5: marginal"),
            reply("Meta_Review", recommendation="1"),
            reply("Decision", decision="Accept (poster)"),
            reply("Official_Comment", comment="8 of 9"),
        ]
    }
    document, told = one({"notes": [submission], "count": 1})
    assert document.key == "aB3dE5fGh1"
    assert document.state == {"score": 6.5, "reviews": 2, "decision": "Accept (poster)"}
    assert document.url == "https://openreview.net/forum?id=aB3dE5fGh1"
    assert told.refs == ("openreview:aB3dE5fGh1",)
    assert (told.title, told.authors) == ("Tides of a bay", ("Ana Doe",))
    assert (told.venue, told.published) == ("Tides 2026 Poster", "2026-02-01")
    assert not told.keep


def test_the_first_version_and_reviews_beside_their_submission() -> None:
    submission = {
        "id": "aB3dE5fGh1",
        "forum": "aB3dE5fGh1",
        "invitation": f"{VENUE}/-/Blind_Submission",
        "cdate": ms("2021-02-01"),
        "content": {
            "title": "Tides",
            "authors": ["Anonymous"],
            "venue": "Submitted to Tides 2021",
            "arxiv": "https://arxiv.org/abs/2101.00001",
        },
    }
    review = {
        "id": "r1",
        "forum": "aB3dE5fGh1",
        "replyto": "aB3dE5fGh1",
        "invitation": f"{VENUE}/Paper1/-/Official_Review",
        "content": {"rating": "7: Good paper, accept"},
    }
    document, told = one([review, submission])
    assert document.state == {"score": 7.0, "reviews": 1}
    assert told.refs == ("openreview:aB3dE5fGh1", "arxiv:2101.00001")
    assert (told.authors, told.venue) == ((), "")


def test_a_saved_list_with_ratings_in_a_row() -> None:
    row = {
        "id": "0AbCdEfGhI",
        "title": "Tides",
        "author": "Ana Doe;Bo Lee",
        "status": "Poster",
        "rating": "5;7;7;7",
        "bibtex": "@inproceedings{a,\nbooktitle={Conference on Tides},\nyear={2024}\n}",
    }
    document, told = one([row])
    assert document.state == {"score": 6.5, "reviews": 4, "decision": "Poster"}
    assert told.authors == ("Ana Doe", "Bo Lee")
    assert (told.venue, told.published) == ("Conference on Tides", "2024")


def test_papers_wait_under_the_day_they_came_and_the_day_is_no_change() -> None:
    first, second = (read([note()], **{BROUGHT_ON: day})[0] for day in ("2026-05-14", "2026-05-15"))
    assert isinstance(first, Document)
    assert isinstance(second, Document)
    [arrival] = first.arrivals
    assert isinstance(arrival, PaperArrival)
    assert arrival.day == "2026-05-14"
    assert first.hash == second.hash


@pytest.mark.parametrize(
    "value",
    [
        {"notes": [note(title="")]},
        {"notes": [{**note(), "id": "../x", "forum": "../x"}]},
        {"notes": [7]},
        {"notes": [{"content": {"title": {"value": {"a": 1}}}}]},
    ],
)
def test_what_cannot_be_read_is_refused_in_words(value: object) -> None:
    [refused] = read(value)
    assert isinstance(refused, Rejected)
    assert refused.reason.endswith(".")


@pytest.mark.parametrize("data", [b"", b"[", b"[" * 100_000, b'{"notes": 7}', b"7"])
def test_what_is_no_answer(data: bytes) -> None:
    with pytest.raises(Unreadable):
        OpenReview().read(File("notes.json", data))


def test_odd_values_lose_themselves_alone() -> None:
    odd = note(authors=7, abstract=["x"], venue=7)
    odd |= {
        "cdate": 10**30,
        "details": {"replies": [7, {"content": 7}, reply("Official_Review", rating=True)]},
    }
    document, told = one([odd])
    assert document.state == {}
    assert (told.authors, told.abstract, told.published) == ((), "", "2026-05-10")


def test_it_is_known_by_its_content() -> None:
    for value in ({"notes": [note()]}, [note()]):
        assert reader_for(File("x", json.dumps(value).encode()), READERS).format == "openreview"


# ---------------------------------------------------------------- connector


class Web:
    """Answers as the API would, from a list of notes."""

    def __init__(self, *notes: Mapping[str, Any]) -> None:
        self.notes = list(notes)
        self.asked: list[str] = []

    def get(self, url: str, **_: Any) -> Response:
        self.asked.append(url)
        query = dict(part.split("=", 1) for part in url.partition("?")[2].split("&"))
        by = query["sort"].removesuffix(":desc")
        rows = sorted(self.notes, key=lambda each: -each[by])
        at, many = int(query["offset"]), int(query["limit"])
        body = {"notes": rows[at : at + many], "count": len(rows)}
        return Response(url=url, status=200, headers={"a": "b"}, data=json.dumps(body).encode())


def fetch(web: Any, **more: Any) -> list[Fetched]:
    given = {
        "url": f"https://api2.openreview.net/notes?content.venueid={VENUE}",
        "options": {"venue": VENUE},
        "cursor": {},
        "today": date(2026, 5, 14),
        "since": "2026-04-14",
        **more,
    }
    return list(OpenReviewConnector().fetch(web, Wanted(**given)))


def ids(fetched: list[Fetched]) -> list[str]:
    return [each["id"] for one in fetched if one.data for each in json.loads(one.data)["notes"]]


@pytest.fixture(autouse=True)
def _two_a_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openreview, "PAGE", 2)
    monkeypatch.setattr(openreview, "SPACING", 0.0)


def test_the_first_fetch_brings_what_changed_of_late() -> None:
    web = Web(*(note(f"paper{n}00000", f"2026-0{n}-10") for n in (1, 2, 3, 4, 5)))
    first, second = fetch(web, since="2026-03-15")
    assert ids([first]) == ["paper500000", "paper400000"]
    assert second.cursor == {"changed": ms("2026-05-10")}
    assert (first.seen, first.total, first.headers[BROUGHT_ON]) == (2, 5, "2026-05-14")
    assert "content.venueid=Tides.cc/2026/Conference" in web.asked[0]


def test_a_killed_fetch_goes_on_and_the_next_brings_what_changed_since() -> None:
    web = Web(*(note(f"paper{n}00000", f"2026-05-0{n}") for n in (1, 2, 3, 4, 5)))
    first, *rest = fetch(web)
    again = fetch(web, cursor=first.cursor)
    assert ids(again) == ids(rest) == ["paper300000", "paper200000", "paper100000"]
    done = again[-1].cursor
    assert done == {"changed": ms("2026-05-05")}
    web.notes[0] = note("paper100000", "2026-05-13")
    later, last = fetch(web, cursor=done)
    assert ids([later])[0] == "paper100000"
    assert last.cursor == {"changed": ms("2026-05-13")}


def test_a_back_fill_brings_days_and_leaves_the_mark_alone() -> None:
    web = Web(*(note(f"paper{n}00000", f"2026-0{n}-10") for n in (1, 2, 3, 4, 5)))
    cursor = {"changed": ms("2026-05-10")}
    found = fetch(web, first="2026-02-01", last="2026-02-28", cursor=cursor)
    assert "paper200000" in ids(found)
    assert "paper500000" not in ids(found)
    assert found[-1].cursor == {**cursor, "fill": {"done": True}}


def test_an_empty_venue_and_nonsense() -> None:
    [nothing] = fetch(Web())
    assert nothing.data == b""
    with Site({"/notes": Page(b"<html>", kind="text/html")}) as site:
        with pytest.raises(NotFetched, match="not JSON"):
            fetch(Transport(allow={site.pair}), url=site.at(f"/notes?content.venueid={VENUE}"))
        site.pages["/notes"] = Page(b'{"notes": 7}')
        with pytest.raises(NotFetched, match="list of submissions"):
            fetch(Transport(allow={site.pair}), url=site.at("/notes"))
    with pytest.raises(NotFetched, match="no venue"):
        fetch(Web(), options={}, url="https://api2.openreview.net/notes")


def test_how_a_venue_is_named() -> None:
    connector = OpenReviewConnector()
    found = connector.finds(f"https://openreview.net/group?id={VENUE}#tab-accept")
    assert found is not None
    assert (found.key, found.options) == (f"openreview:{VENUE}", {"venue": VENUE})
    assert found.url == f"https://api2.openreview.net/notes?content.venueid={VENUE}"
    submitted = connector.finds(
        f"https://api2.openreview.net/notes?invitation={VENUE}/-/Submission"
    )
    assert submitted is not None
    assert submitted.options == {"invitation": f"{VENUE}/-/Submission"}
    assert connector.finds("https://example.org/group?id=x") is None
    for text in (
        "https://openreview.net/forum?id=aB3dE5fGh1",
        "https://openreview.net/group?id=../x",
    ):
        with pytest.raises(Invalid, match="ICLR"):
            connector.finds(text)


@pytest.mark.skipif(not SAVED.is_file(), reason="the saved list is not there")
def test_a_saved_conference() -> None:
    file = File("colm2024.json", gzip.decompress(SAVED.read_bytes()))
    documents = list(reader_for(file, READERS).read(file).documents)  # type: ignore[union-attr]
    assert len(documents) == 299
    for each in documents:
        assert isinstance(each, Document)
        assert each.state["reviews"] >= 1
