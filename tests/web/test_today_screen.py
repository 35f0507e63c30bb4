"""Today and the days before it, told by a digest, by a listing, or by nothing yet."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from starlette.testclient import TestClient

from app.bootstrap import App
from app.domain.items import (
    Arrival,
    DigestArrival,
    Document,
    ListingArrival,
    MentionArrival,
    PageArrival,
    PaperArrival,
    Section,
    SourceRef,
)
from app.domain.records import PageKind, RunState, SourceKind, Subscription
from app.services import subscriptions
from app.services.ingest import Report, import_files
from app.sources.base import File
from app.sources.connectors import Found
from app.store import runs
from app.store.db import writing
from tests.web.conftest import PARTIAL, Statements, listed, load, marks, member, parsed, words


@dataclass(frozen=True)
class Handed:
    """A reader of one document that is known beforehand."""

    document: Document
    format: str = "handed"

    def recognises(self, file: File) -> bool:
        return True

    def read(self, file: File) -> Document:
        return self.document


def bring(app: App, kind: SourceKind, key: str, *arrivals: Arrival) -> None:
    """Store one document as if a reader had found these things in it."""
    document = Document(
        source=SourceRef(key=kind.value, kind=kind, name=kind.value),
        key=key,
        format="handed",
        title=f"{kind.value} of {key}",
        arrivals=arrivals,
    )
    with writing(app.engine) as session:
        [(_, report)] = import_files(
            session,
            [File(key, repr(arrivals).encode())],
            [Handed(document)],
            raw_folder=None,
            now=app.clock(),
        )
    assert isinstance(report, Report), report
    assert not report.rejected, report.rejected


def digest(app: App, day: str, *, deep: int = 2, hits: int = 2, framing: str = "") -> None:
    """A day's digest with papers 1..deep told at length and the following ones in a line."""
    numbers = range(1, deep + hits + 1)
    bring(
        app,
        SourceKind.DIGEST,
        day,
        DigestArrival(
            day=day,
            page=PageArrival(ref=f"digest-{day}", kind=PageKind.DIGEST, title=f"Digest {day}", text="All of it."),
            framing=framing or "One question ran through the day.",
            sections=(Section(name="deep-dives", title="Deep Dives", items=("Paper 1",)),),
            ledger={
                "sources": {"feeds": {"count": 12, "detail": "12 posts"}, "mail": {"count": None}},
                "pages_updated": {"count": 4, "groups": [{"count": 4}]},
                "items": 16,
                "cost": "none",
            },
        ),
        *(PaperArrival(refs=(f"arxiv:2605.{n:05}",), title=f"Told paper {n}", keep=True) for n in numbers),
        *(
            MentionArrival(
                paper=f"arxiv:2605.{n:05}",
                section="Deep Dives" if n <= deep else "Quick Hits",
                day=day,
                text=f"**Paper {n}** is told first. It goes on. A third sentence stays out.",
            )
            for n in numbers
        ),
    )  # fmt: skip


def listing(app: App, day: str, **funnel: Any) -> None:
    bring(app, SourceKind.LISTING, day, ListingArrival(day=day, **funnel))


def first(page: Any) -> list[str]:
    return [words(h) for h in page.select(".items > li > h3")]


def also(page: Any) -> list[str]:
    return [words(a) for a in page.select(".also-kept > li > a")]


def test_an_empty_wiki_welcomes_and_says_where_to_begin(client: TestClient) -> None:
    page = parsed(client.get("/"))
    assert words(page.h1) == "Thursday 14 May"
    assert "This wiki is empty" in words(page.select_one(".empty"))
    assert page.select_one(".empty a")["href"] == "/import"


def test_a_wiki_with_pages_but_no_days_is_not_called_empty(client: TestClient, app: App) -> None:
    load(app, [{"type": "concept", "id": "cache", "title": "Cache"}])
    assert "Nothing new has come in today." in words(parsed(client.get("/")).select_one(".empty"))


def test_a_digest_tells_the_day(client: TestClient, app: App) -> None:
    digest(app, "2026-05-14")
    load(app, [{"type": "thread", "id": "shared", "title": "Shared state", "claim": "It is shared."},
               member(1, "shared", day="2026-05-14"), marks(1, 9, 7)])  # fmt: skip
    page = parsed(client.get("/"))
    assert words(page.select_one(".lede")) == "One question ran through the day."
    assert first(page) == ["Told paper 1", "Told paper 2"]
    assert also(page) == ["Told paper 3", "Told paper 4"]
    item = page.select_one(".items > li")
    assert words(item.select_one(".summary")) == "Paper 1 is told first. It goes on."
    assert "relevance 9" in words(item)
    assert "joins Shared state" in words(item)
    assert item.h3.a["href"] == "/w/told-paper-1"
    assert item.form is None
    assert "4 papers kept" in words(page.select_one(".bar-head"))


def test_how_the_page_was_made_can_be_followed(client: TestClient, app: App) -> None:
    digest(app, "2026-05-14")
    made = parsed(client.get("/")).select("aside section")[-1]
    assert "Feeds 12, pages updated 4, items 16." in words(made)
    full = parsed(client.get("/")).find("a", string="Read the digest in full")
    assert "All of it." in words(parsed(client.get(full["href"])).select_one(".prose"))


def test_a_digest_page_leads_to_its_day(client: TestClient, app: App) -> None:
    digest(app, "2026-05-14")
    answer = client.get("/w/digest-2026-05-14")
    assert (answer.status_code, answer.headers["location"]) == (303, "/today/2026-05-14")
    assert client.get("/today/2026-05-14").status_code == 200


def test_a_long_framing_is_cut_to_whole_sentences(client: TestClient, app: App) -> None:
    sentence = "This sentence has exactly eight words in it. "
    digest(app, "2026-05-14", framing=sentence * 20)
    told = words(parsed(client.get("/")).select_one(".lede"))
    assert told.count("This sentence") == 7
    assert told.endswith("in it.")


def test_a_listing_tells_the_day_where_there_is_no_digest(client: TestClient, app: App) -> None:
    listing(app, "2026-05-14", fetched=1200, scanned=1086, kept=7, model="a-model",
            prompt_cost_usd=1.05, completion_cost_usd=0.51)  # fmt: skip
    load(app, [*(listed(n) for n in range(1, 9)), *(marks(n, n + 1, 5) for n in range(1, 8))])
    page = parsed(client.get("/"))
    assert "7 papers selected of 1,086 scanned" in words(page.select_one(".bar-head"))
    assert first(page) == [f"Listed paper {n}" for n in (7, 6, 5, 4, 3)]
    assert len(also(page)) == 3
    assert (
        words(page.select_one(".items .summary")) == "Abstract number 7. It has a second sentence."
    )
    assert page.select_one(".items h3 a")["href"] == "https://arxiv.org/abs/2605.00007"
    made = words(page.select("aside section")[-1])
    for sentence in ("1,200 entries fetched.", "Judged by a-model.", "$1.56.", "8 papers of this day to decide."):  # fmt: skip
        assert sentence in made


def test_a_very_long_day_shows_its_best_papers_and_counts_the_rest(
    client: TestClient, app: App
) -> None:
    load(app, [*(listed(n) for n in range(1, 121)), marks(120, 9, 9)])
    answer = client.get("/")
    page = parsed(answer)
    assert first(page) == ["Listed paper 120"]
    assert len(also(page)) == 100
    assert "19 papers more than are shown here." in words(page.select("aside section")[-1])
    assert len(answer.content) < 60_000


def test_a_paper_is_kept_or_dropped_where_it_stands(client: TestClient, app: App) -> None:
    load(app, [listed(1), listed(2), marks(1, 8, 8), marks(2, 7, 7)])
    page = parsed(client.get("/"))
    form = page.select_one("#i1 form")
    answer = parsed(client.post(form["action"], data={"decision": "keep"}, headers=PARTIAL))
    assert "Kept: Listed paper 1" in words(answer.select_one(".toast"))
    client.post(page.select_one("#i2 form")["action"], data={"decision": "drop"})
    after = parsed(client.get("/"))
    assert first(after) == ["Listed paper 1"]
    assert after.select_one("#i1 form") is None
    assert after.select_one("#i1 h3 a")["href"] == "/w/listed-paper-1"
    assert "1 paper kept" in words(after.select_one(".bar-head"))


def test_papers_nobody_marked_are_not_called_worth_reading_first(
    client: TestClient, app: App
) -> None:
    load(app, [listed(1), listed(2)])
    page = parsed(client.get("/"))
    assert first(page) == []
    assert len(also(page)) == 2


def test_a_day_on_which_nothing_was_kept_says_so(client: TestClient, app: App) -> None:
    load(app, [{"type": "concept", "id": "cache", "title": "Cache"}, listed(1), marks(1, 5, 2)])
    listing(app, "2026-05-14", scanned=1086, kept=0)
    client.post("/inbox/1", data={"decision": "drop"})
    empty = words(parsed(client.get("/")).select_one(".empty"))
    assert "No papers were kept today. 1,086 scanned; best score 0.06." in empty


def test_days_are_joined_to_those_that_exist(client: TestClient, app: App) -> None:
    load(
        app, [listed(1, day="2026-05-04"), listed(2, day="2026-05-11"), listed(3, day="2026-04-30")]
    )
    digest(app, "2026-05-14", deep=1, hits=0)
    newest = parsed(client.get("/"))
    assert newest.select_one("a[rel=prev]")["href"] == "/today/2026-05-11"
    assert newest.select_one("a[rel=next]") is None
    middle = parsed(client.get("/today/2026-05-04"))
    assert words(middle.h1) == "Monday 4 May"
    assert middle.select_one("a[rel=prev]")["href"] == "/today/2026-04-30"
    assert middle.select_one("a[rel=next]")["href"] == "/today/2026-05-11"


@pytest.mark.parametrize(
    ("day", "sentence"),
    [
        ("2026-05-13", "Nothing came in on 13 May 2026."),
        ("1999-01-01", "Nothing came in on 1 January 1999."),
        ("0001-01-01", "Nothing came in on 1 January 1."),
        ("2026-02-30", "There is no such day."),
        ("2026-5-1", "There is no such day."),
        ("20260514", "There is no such day."),
        ("2026-W20-4", "There is no such day."),
        ("tomorrow", "There is no such day."),
        ("'; DROP TABLE digest; --", "There is no such day."),
        ("%00", "There is no such day."),
        ("9" * 400, "There is no such day."),
    ],
)
def test_a_day_that_is_not_there_is_not_found(
    client: TestClient, app: App, day: str, sentence: str
) -> None:
    load(app, [listed(1)])
    answer = client.get(f"/today/{day}")
    assert answer.status_code == 404
    assert sentence in words(parsed(answer).select_one(".lede"))


def test_threads_that_moved_are_counted_up_to_the_day(client: TestClient, app: App) -> None:
    rows: list[dict[str, Any]] = [
        {"type": "thread", "id": name, "title": name.capitalize(), "claim": "A claim."}
        for name in ("busy", "quiet")
    ]
    rows += [listed(n, day="2026-05-07", keep=True) for n in range(1, 6)] + [listed(6)]
    rows += [member(n, "busy", day=day) for n, day in ((1, "2026-05-05"), (2, "2026-05-13"), (3, "2026-05-14"))]  # fmt: skip
    rows += [member(4, "quiet", day="2026-02-01")]
    load(app, rows)
    moved = parsed(client.get("/")).select(".moved > li")
    assert [words(li.a) for li in moved] == ["Busy"]
    assert "3 papers · +1 today" in words(moved[0])
    earlier = parsed(client.get("/today/2026-05-07")).select_one(".moved > li")
    assert "1 paper" in words(earlier)
    assert "today" not in words(earlier)


def test_what_waits_is_counted(client: TestClient, app: App) -> None:
    load(
        app,
        [
            listed(1),
            {"type": "concept", "id": "cache", "title": "Cache"},
            {"type": "concept", "id": "memory", "title": "Memory"},
            {"type": "link", "source": "cache", "relation": "related", "target": "memory", "status": "proposed"},
        ],
    )  # fmt: skip
    found = {a["href"]: words(a) for a in parsed(client.get("/")).select("aside a")}
    assert found["/review"] == "1 link suggestion"
    assert found["/inbox"] == "1 paper in the inbox"


def test_a_run_that_failed_is_told_above_the_day(client: TestClient, app: App) -> None:
    load(app, [listed(1), marks(1, 8, 8)])
    with writing(app.engine) as session:
        run = runs.start(session, "morning", now=app.clock())
        assert run.id is not None
        runs.note(session, run.id, step="encode", done=3, failed=0, line="")
        runs.note(session, run.id, step="link", done=0, failed=1, line="The disk is full")
        runs.finish(session, run.id, RunState.FAILED, now=app.clock())
    page = parsed(client.get("/"))
    assert "The last run stopped at “link”: The disk is full." in words(page.select_one(".warn"))
    assert first(page) == ["Listed paper 1"]
    assert parsed(client.get("/today/2026-05-14")).select_one(".warn") is None


def test_more_lists_what_the_phone_has_no_room_for(client: TestClient) -> None:
    page = parsed(client.get("/more"))
    assert {a["href"] for a in page.select(".more-list a")} >= {"/pages", "/threads", "/settings"}


def test_titles_and_summaries_have_no_power(client: TestClient, app: App) -> None:
    load(app, [listed(1, title="<img src=x onerror=alert(1)> {{ 7*7 }}", abstract="<script>alert(1)</script> Then."),
               marks(1, 9, 9)])  # fmt: skip
    answer = client.get("/")
    assert parsed(answer).select_one("main img, main script") is None
    assert "{{ 7*7 }}" in answer.text


@pytest.mark.parametrize("told_by", ["listing", "digest"])
def test_a_full_day_asks_the_database_no_more(
    client: TestClient, app: App, statements: Statements, told_by: str
) -> None:
    def asked() -> int:
        client.get("/")
        statements.seen.clear()
        assert client.get("/").status_code == 200
        return len(statements)

    def grow(start: int, stop: int) -> None:
        load(app, [listed(n) for n in range(start, stop)])
        load(app, [marks(n, 5, 5) for n in range(start, stop)])
        load(app, [{"type": "thread", "id": f"t-{start}", "title": f"T {start}", "claim": "So."}])
        load(app, [member(n, f"t-{start}", day="2026-05-14") for n in range(start, stop)])

    grow(1, 11)
    if told_by == "digest":
        digest(app, "2026-05-14", deep=5, hits=5)
    few = asked()
    grow(11, 51)
    if told_by == "digest":
        digest(app, "2026-05-14", deep=5, hits=45)
    assert asked() == few


# ---------------------------------------------------------------- when nothing can come in


def subscribe(app: App, number: int, **its: Any) -> None:
    found = Found(
        key=f"feed:{number}", connector="feed", url=f"https://{number}.example.org/", name="Yak"
    )
    with writing(app.engine) as session:
        source = subscriptions.add(session, found, connectors=app.connectors, now=app.clock())
        row = session.get_one(Subscription, source.id)
        for name, value in its.items():
            setattr(row, name, value)
        session.add(row)


def outage(client: TestClient) -> str:
    found = parsed(client.get("/")).select_one(".day .notice.warn")
    return words(found) if found else ""


def test_today_says_when_every_source_failed_why_and_when_it_is_tried_again(
    client: TestClient, app: App
) -> None:
    now = app.clock()
    assert outage(client) == ""
    subscribe(app, 1, failures=2, last_error="No <b>such</b> host.", tried_at=now,
              due_at=now + timedelta(minutes=20))  # fmt: skip
    told = outage(client)
    assert told.startswith("Nothing can come in: your only source failed. No <b>such</b> host. ")
    assert "Next try in 20 minutes." in told
    subscribe(app, 2, stopped="It is gone (410).", tried_at=now - timedelta(hours=1))
    assert "all 2 sources failed. The last said: No <b>such</b> host." in outage(client)
    # One that was never asked may be well, and one that is paused is the reader's own wish.
    subscribe(app, 3, paused=True)
    assert "all 2 sources failed" in outage(client)
    subscribe(app, 4)
    assert outage(client) == ""


def test_sources_that_are_all_stopped_have_no_next_try(client: TestClient, app: App) -> None:
    subscribe(app, 1, stopped="It is gone (410).", tried_at=app.clock())
    told = outage(client)
    assert "It is gone (410). Nothing is asked again until you resume it." in told
    screen = client.get("/")
    assert parsed(screen).select_one(".day .notice a")["href"] == "/sources"
    assert "ETag" not in screen.headers  # its next try moves where no counter sees it
