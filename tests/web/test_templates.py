"""Templates: what none of them may hold, how their words are made, and errors as answers."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from zoneinfo import ZoneInfo

import pytest
from bs4 import BeautifulSoup
from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import Response
from fastapi.testclient import TestClient

from app import errors
from app.domain.records import Relation
from app.web import templating
from app.web.assets import ROOT, Assets
from app.web.security import Security
from app.web.templating import RELATION_WORDS, TEMPLATES, Dates, Nav, fragment, page, plural

NOW = datetime(2026, 5, 14, 9, 30, tzinfo=UTC)
ALL = sorted(TEMPLATES.rglob("*.html"))
PARTIAL = {"HX-Request": "true", "HX-Request-Type": "partial"}
SOURCES = {path.relative_to(TEMPLATES).as_posix(): path.read_text(encoding="utf-8") for path in ALL}


# ---------------------------------------------------------------- what no template may hold

FORBIDDEN = {
    "code in an attribute of htmx": r"""hx-on\b|["']\s*(js|javascript):""",
    "a filter in a trigger, which needs eval": r"hx-trigger=\"[^\"]*\[",
    "an event attribute": r"\son[a-z]+\s*=",
    "a style of its own": r"\sstyle\s*=|<style",
    "a script of its own": r"<script(?![^>]*\ssrc=)",
    "an image or file of another host": r"(src|href)=\"(https?:)?//",
    "text that is not escaped": r"\|\s*safe\b|autoescape",
    "navigation by htmx": r"hx-boost",
}


@pytest.mark.parametrize("what", FORBIDDEN)
@pytest.mark.parametrize("name", SOURCES)
def test_no_template_holds(name: str, what: str) -> None:
    text = re.sub(r"\{#.*?#\}", "", SOURCES[name], flags=re.DOTALL)
    assert re.search(FORBIDDEN[what], text) is None


@pytest.mark.parametrize("name", SOURCES)
def test_every_template_opens_with_what_it_is_given(name: str) -> None:
    assert SOURCES[name].startswith("{#-")


@pytest.mark.parametrize("name", SOURCES)
def test_a_form_that_htmx_sends_is_a_form_without_it(name: str) -> None:
    for form in BeautifulSoup(SOURCES[name], "html.parser").find_all("form"):
        if form.has_attr("hx-post"):
            assert form.get("action") == form["hx-post"], form
            assert form.get("method") == "post", form
        if form.has_attr("hx-get"):
            assert form.get("action") == form["hx-get"], form


@pytest.mark.parametrize("name", SOURCES)
def test_a_form_that_htmx_sends_says_where_errors_go(name: str) -> None:
    for form in BeautifulSoup(SOURCES[name], "html.parser").find_all("form", {"hx-post": True}):
        assert form.get("hx-status:4xx") == "target:#alert swap:innerHTML", form
        assert form.get("hx-status:5xx") == "target:#alert swap:innerHTML", form


def test_the_checker_of_htmx_finds_nothing_of_its_older_version() -> None:
    checker = ROOT / "node_modules" / "htmx.org" / "dist" / "scripts" / "upgrade-check.py"
    if not checker.is_file():
        pytest.skip("the files of the interface are not installed")
    done = subprocess.run(
        [sys.executable, str(checker), str(TEMPLATES)], capture_output=True, text=True, check=False
    )
    assert not re.search(r"\.html:\d+: \[", done.stdout), done.stdout


# ---------------------------------------------------------------- words


def dates(zone: str = "UTC") -> Dates:
    return Dates(lambda: NOW, ZoneInfo(zone))


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (date(2026, 5, 4), "4 May 2026"),
        (datetime(2026, 5, 14, 23, 30, tzinfo=UTC), "14 May 2026"),
        ("2026-05-07", "7 May 2026"),
        ("2026-05-07T10:00:00Z", "7 May 2026"),
        ("2026-05", "May 2026"),
        ("2026", "2026"),
        ("", ""),
        (None, ""),
        ("in press", "in press"),
        ("2026-13", "2026-13"),
    ],
)
def test_dates_in_words(value: object, words: str) -> None:
    assert dates().date(value) == words


def test_a_day_is_a_day_of_the_readers_zone() -> None:
    late = datetime(2026, 5, 14, 23, 30, tzinfo=UTC)
    assert dates("Asia/Tokyo").date(late) == "15 May 2026"
    assert dates("Asia/Tokyo").clock(late) == "08:30:00"


@pytest.mark.parametrize(
    ("day", "words"),
    [
        (date(2026, 5, 14), "Thursday 14 May"),
        ("2026-05-13", "Wednesday 13 May"),
        ("2025-12-31", "Wednesday 31 December 2025"),
        ("someday", "someday"),
    ],
)
def test_days_as_headings(day: object, words: str) -> None:
    assert dates().day(day) == words


@pytest.mark.parametrize(
    ("ago", "words"),
    [
        (timedelta(0), "just now"),
        (timedelta(minutes=1), "1 minute ago"),
        (timedelta(minutes=59), "59 minutes ago"),
        (timedelta(hours=9), "9 hours ago"),
        (timedelta(hours=10), "yesterday"),
        (timedelta(days=2), "2 days ago"),
        (timedelta(days=13), "13 days ago"),
        (timedelta(days=14), "30 April 2026"),
        (timedelta(days=-1), "15 May 2026"),
    ],
)
def test_ages_in_words(ago: timedelta, words: str) -> None:
    assert dates().age(NOW - ago) == words


@pytest.mark.parametrize(("count", "words"), [(0, "0 papers"), (1, "1 paper"), (1086, "1,086 papers")])  # fmt: skip
def test_counts_in_words(count: int, words: str) -> None:
    assert plural(count, "paper") == words


def test_every_relation_has_its_words() -> None:
    assert set(RELATION_WORDS) == {relation.value for relation in Relation}


# ---------------------------------------------------------------- pages, parts and errors


def broken_nav(request: Request) -> Nav:
    raise errors.Unavailable("The database file cannot be opened.")


def screens(assets: Assets | None = None, **options: object) -> FastAPI:
    web = FastAPI(openapi_url=None)
    given = {"nav": lambda request: Nav(review=1234, inbox=0), "clock": lambda: NOW} | options
    templating.install(web, assets=assets or Assets.load(), **given)  # type: ignore[arg-type]
    web.add_middleware(Security, crashed=templating.crashed)

    @web.get("/more")
    def more(request: Request) -> Response:
        return page(request, "more.html")

    @web.get("/raise/{name}")
    @web.post("/raise/{name}")
    @web.get("/api/v1/raise/{name}")
    def raises(name: str) -> Response:
        if name == "HTTPException":
            raise HTTPException(429, headers={"Retry-After": "60"})
        if name == "full":
            raise errors.Unavailable("The disk is full: nothing was saved.")
        if name == "Invalid":
            raise errors.Invalid("The title is empty.", fields={"title": "Give it a title."})
        kind = getattr(errors, name, RuntimeError)
        raise kind("What <b>happened</b>.")

    @web.get("/number/{number}")
    def number(number: int) -> Response:
        return Response(str(number))

    @web.get("/part")
    def part(request: Request) -> Response:
        card = SimpleNamespace(slug="a", title="A & B", kind="concept", words="", facts=[])
        return fragment(request, "pages/_card.html", url="/w/a", card=card)

    return web


@pytest.fixture
def client() -> Iterator[TestClient]:
    with TestClient(screens(), base_url="http://localhost", follow_redirects=False) as client:
        yield client


FAILURES = [
    ("NotFound", 404, "not_found"),
    ("Invalid", 422, "invalid"),
    ("Conflict", 409, "conflict"),
    ("Unreadable", 415, "unreadable"),
    ("Unavailable", 503, "unavailable"),
    ("full", 507, "unavailable"),
    ("Misconfigured", 500, "misconfigured"),
    ("HTTPException", 429, "too_many"),
    ("unforeseen", 500, "internal"),
]


@pytest.mark.parametrize(("name", "status", "code"), FAILURES)
def test_an_error_is_a_page_with_its_id(
    client: TestClient, name: str, status: int, code: str
) -> None:
    answer = client.get(f"/raise/{name}")
    soup = BeautifulSoup(answer.text, "html.parser")
    assert answer.status_code == status
    assert len(soup.find_all("h1")) == 1
    assert re.fullmatch(r"[0-9a-f]{8}", soup.select_one(".failure code").text)  # type: ignore[union-attr]
    assert "<b>happened" not in answer.text
    assert "Traceback" not in answer.text


@pytest.mark.parametrize(("name", "status", "code"), FAILURES)
def test_an_error_is_a_line_for_a_part_of_a_page(
    client: TestClient, name: str, status: int, code: str
) -> None:
    answer = client.post(f"/raise/{name}", headers=PARTIAL)
    soup = BeautifulSoup(answer.text, "html.parser")
    assert answer.status_code == status
    assert soup.find("html") is None
    assert soup.select_one(".alert p") is not None


@pytest.mark.parametrize(("name", "status", "code"), FAILURES)
def test_an_error_is_json_for_a_program(
    client: TestClient, name: str, status: int, code: str
) -> None:
    answer = client.get(f"/api/v1/raise/{name}")
    told = answer.json()["error"]
    assert answer.status_code == status
    assert told["code"] == code
    assert told["message"]
    assert re.fullmatch(r"[0-9a-f]{8}", told["id"])


def test_a_change_that_failed_says_that_nothing_was_changed(client: TestClient) -> None:
    assert "Nothing was changed." in client.post("/raise/Conflict").text
    assert "Nothing was changed." not in client.get("/raise/Conflict").text


def test_a_wrong_field_is_named(client: TestClient) -> None:
    assert "Give it a title." in client.get("/raise/Invalid").text
    answer = client.get("/number/three")
    assert answer.status_code == 422
    assert "number" in answer.text


def test_what_nobody_foresaw_is_in_the_log_under_the_id_that_is_shown(
    client: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    shown = client.get("/api/v1/raise/unforeseen").json()["error"]["id"]
    [record] = [record for record in caplog.records if record.exc_info]
    assert shown in record.getMessage()


def test_an_address_with_line_breaks_stays_one_line_in_the_log(
    client: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO", logger="cerebro.web"):
        client.get("/nothing%0d%0aforged: line")
    assert all("\n" not in record.getMessage() for record in caplog.records)


def test_an_unknown_address_and_a_wrong_method_are_pages(client: TestClient) -> None:
    assert "No page has this address." in client.get("/nothing").text
    wrong = client.post("/more")
    assert wrong.status_code == 405
    assert wrong.headers["allow"] == "GET"
    assert BeautifulSoup(wrong.text, "html.parser").find("h1") is not None


def test_headers_of_an_error_are_kept(client: TestClient) -> None:
    assert client.get("/raise/HTTPException").headers["retry-after"] == "60"


def test_an_error_page_comes_out_when_the_database_is_what_failed() -> None:
    with TestClient(screens(nav=broken_nav), base_url="http://localhost") as client:
        answer = client.get("/raise/Unavailable")
    assert answer.status_code == 503
    assert "What &lt;b&gt;happened" in answer.text


@pytest.mark.parametrize(
    ("headers", "whole"),
    [
        ({}, True),
        ({"HX-Request": "true"}, True),
        ({"HX-Request": "true", "HX-Request-Type": "full"}, True),
        ({"HX-Request-Type": "partial"}, True),
        ({"HX-History-Restore-Request": "true", "HX-Request-Type": "full"}, True),
        (PARTIAL, False),
    ],
    ids=str,
)
def test_a_part_is_answered_only_to_who_asked_for_a_part(
    client: TestClient, headers: dict[str, str], whole: bool
) -> None:
    answer = client.get("/part", headers=headers)
    if whole:
        assert (answer.status_code, answer.headers["location"]) == (303, "/w/a")
    else:
        assert (answer.status_code, "A &amp; B" in answer.text) == (200, True)


# ---------------------------------------------------------------- the frame of every screen


def frame(client: TestClient, **cookies: str) -> BeautifulSoup:
    text = "; ".join(f"{name}={value}" for name, value in cookies.items())
    return BeautifulSoup(client.get("/more", headers={"Cookie": text}).text, "html.parser")


def test_the_skip_link_is_first_and_leads_to_the_text(client: TestClient) -> None:
    soup = frame(client)
    link = soup.body.find("a")  # type: ignore[union-attr]
    assert link["href"] == "#main"  # type: ignore[index]
    assert soup.find(id="main").name == "main"  # type: ignore[union-attr]


def test_the_two_live_regions_are_there_from_the_start(client: TestClient) -> None:
    soup = frame(client)
    assert [each["id"] for each in soup.find_all(role="status")] == ["status"]
    assert [each["id"] for each in soup.find_all(role="alert")] == ["alert"]


def test_navigation_counts_and_marks_where_one_is(client: TestClient) -> None:
    soup = frame(client)
    assert soup.find(id="nav-review").text == "1,234"  # type: ignore[union-attr]
    assert soup.find(id="nav-inbox").text == ""  # type: ignore[union-attr]
    [current] = soup.nav.find_all(attrs={"aria-current": "page"})  # type: ignore[union-attr]
    assert current["href"] == "/more"


@pytest.mark.parametrize(
    ("cookie", "theme"), [("dark", "dark"), ("light", "light"), ('"><b', None)]
)
def test_the_theme_is_in_the_page_before_anything_is_drawn(
    client: TestClient, cookie: str, theme: str | None
) -> None:
    assert frame(client, theme=cookie).html.get("data-theme") == theme  # type: ignore[union-attr]


def test_single_keys_can_be_turned_off(client: TestClient) -> None:
    assert frame(client, keys="off").html.get("data-keys") == "off"  # type: ignore[union-attr]
    assert frame(client).html.get("data-keys") is None  # type: ignore[union-attr]


def test_without_installed_files_a_page_is_plain_and_still_works(tmp_path: Path) -> None:
    assets = Assets.load(tmp_path)
    with TestClient(screens(assets), base_url="http://localhost") as client:
        soup = frame(client)
    assert soup.find_all("script") == soup.find_all("link", rel="stylesheet") == []
    assert soup.find("h1").text == "More"  # type: ignore[union-attr]


def test_scripts_are_deferred_and_checked_by_the_browser(client: TestClient) -> None:
    scripts = frame(client).find_all("script")
    assert scripts
    for script in scripts:
        assert script.has_attr("defer")
        assert script["integrity"].startswith("sha384-")
