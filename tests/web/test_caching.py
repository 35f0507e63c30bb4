"""What browsers and the process keep of screens: never shown when it is not so any more."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlmodel import Session, col, select
from starlette.testclient import TestClient

from app.bootstrap import App
from app.domain.records import (
    Assessment,
    Lease,
    Link,
    LinkStatus,
    PageKind,
    Preference,
    RunState,
    Thread,
    Verdict,
)
from app.rendering import LinkTarget
from app.services import review
from app.services.linker import shipped_weights
from app.settings import Settings
from app.store import pages, papers, runs
from app.store.db import COUNTED, SHOWN, generation, reading, rows_of, writing
from app.store.pages import PERSON, Content
from app.web.app import create
from app.web.memory import Bodies, Facts, Fragments
from tests.factories import make_engine
from tests.web.conftest import NOW, PARTIAL, Statements, listed, load, marks, member, parsed, words

ROOT = Path(__file__).parents[2]
WIKI: list[dict[str, Any]] = [
    {"type": "concept", "id": "tides", "title": "Tides", "text": "See [[moon]] and [[wind]]."},
    {"type": "concept", "id": "wind", "title": "Wind", "text": "It blows."},
    {"type": "thread", "id": "pull", "title": "Pull", "claim": "The moon pulls."},
    {"type": "paper", "id": "arxiv:2605.00001", "title": "On tides", "abstract": "Tides."},
    {"type": "link", "source": "arxiv:2605.00001", "relation": "about", "target": "tides",
     "status": "proposed", "confidence": 0.8, "evidence": [{"quote": "Tides."}]},
    member(1, "pull", day="2026-05-13"),
    listed(2), marks(2, 6, 6),
]  # fmt: skip
SCREENS = [
    "/", "/today/2026-05-14", "/inbox", "/review", "/review?tab=decided", "/review?tab=tension",
    "/review/record", "/rules",
    "/w/tides", "/w/on-tides", "/w/pull", "/w/tides/links", "/w/tides/history", "/w/tides/diff",
    "/pages", "/pages?by=kind", "/pages?by=recent", "/pages?by=orphans", "/pages?by=wanted",
    "/threads", "/more",
]  # fmt: skip


@pytest.fixture
def wiki(app: App) -> App:
    load(app, WIKI)
    return app


class _Given(Exception):
    """Ends a transaction without a commit."""


def tag(response: Any) -> str:
    assert response.status_code == 200
    found: str = response.headers["etag"]
    assert found.startswith('W/"')
    return found


def again(client: TestClient, path: str, known: str, **headers: str) -> int:
    status: int = client.get(path, headers={"If-None-Match": known, **headers}).status_code
    return status


# ---------------------------------------------------------------- 304


@pytest.mark.parametrize("path", [path for path in SCREENS if "tension" not in path])
def test_a_screen_that_is_as_it_was_is_not_sent_again(
    wiki: App, client: TestClient, statements: Statements, path: str
) -> None:
    first = client.get(path)
    statements.seen.clear()
    second = client.get(path, headers={"If-None-Match": f'"other", {tag(first)}'})
    assert (second.status_code, second.content) == (304, b"")
    assert len([each for each in statements.seen if each.startswith("SELECT")]) == 1
    for header in ("etag", "cache-control", "content-security-policy", "x-content-type-options"):
        assert second.headers[header] == first.headers[header]
    assert first.headers["cache-control"] == "private, no-cache"
    assert "HX-Request, HX-Request-Type" in second.headers.get_list("vary")
    assert client.head(path, headers={"If-None-Match": tag(first)}).status_code == 304


@pytest.mark.parametrize("known", ["", "*", '"', 'W/"', "W/", '"x-9"', 'W/"-"', "é", "," * 500, '"a-' + "9" * 90 + '"'])  # fmt: skip
def test_a_tag_that_is_none_of_ours_gets_the_whole_screen(
    wiki: App, client: TestClient, known: str
) -> None:
    own = tag(client.get("/w/tides"))
    for sent in (known, own.replace("-", "-x"), own[:-2] + '٣"'):
        headers = {"If-None-Match": sent.encode("utf-8")}
        assert client.get("/w/tides", headers=headers).status_code == 200, sent


def _save(session: Session, body: str = "It blows harder.") -> None:
    page = pages.get(session, "wind")
    content = Content(title="Wind", kind=PageKind.CONCEPT, body=body)
    pages.revise(session, page, content, author=PERSON, now=NOW)


def _create(session: Session) -> None:
    pages.create(session, Content(title="Moon", kind=PageKind.NOTE), author=PERSON, now=NOW)


def _decide_link(session: Session) -> None:
    link_id = session.connection().execute(
        sa.select(col(Link.id)).where(col(Link.status) == LinkStatus.PROPOSED)
    )
    review.decide(session, link_id.scalar_one(), Verdict.REJECT, now=NOW)


def _decide_paper(session: Session) -> None:
    paper = papers.named(session, "arxiv:2605.00002")
    assert paper is not None
    review.decide_paper(session, paper.id or 0, Verdict.DROP, now=NOW)


def _undo(session: Session) -> None:
    _decide_link(session)
    review.undo(session, None, now=NOW)


def _strengthen(session: Session) -> None:
    """What the linker does to a proposal that still waits."""
    link = session.connection().execute(
        sa.select(col(Link.id)).where(col(Link.status) == LinkStatus.PROPOSED)
    )
    proposal = session.get(Link, link.scalar_one())
    assert proposal is not None
    proposal.confidence = 0.95
    session.add(proposal)


CHANGES: dict[str, Callable[[Session], object]] = {
    "an edit": _save,
    "a new page": _create,
    "a rename": lambda s: pages.rename(s, pages.get(s, "wind"), "gale", now=NOW),
    "a decision on a link": _decide_link,
    "a decision on a paper": _decide_paper,
    "an undo": _undo,
    "a surer proposal": _strengthen,
    "a link by SQL": lambda s: s.connection().execute(sa.update(Link).values(note="so")),
    "a row by text": lambda s: s.connection().execute(sa.text("UPDATE page SET author = 'x'")),
    "a thread marked": lambda s: s.connection().execute(sa.update(Thread).values(claim="No.")),
    "a preference": lambda s: s.add(Preference(name="x", value="y")),
    "a job": lambda s: runs.start(s, "worker", now=NOW),
    "a judgement": lambda s: s.connection().execute(
        sa.insert(Assessment).values(paper_id=2, scorer="x", relevance=9, at=NOW, tags=[])
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_after_any_change_every_screen_is_sent_anew(
    wiki: App, client: TestClient, change: str
) -> None:
    known = {path: tag(client.get(path)) for path in SCREENS if "tension" not in path}
    with writing(wiki.engine) as session:
        CHANGES[change](session)
    for path, before in known.items():
        assert again(client, path, before) != 304, path


def test_what_no_screen_shows_leaves_tags_as_they_are(wiki: App, client: TestClient) -> None:
    known = tag(client.get("/w/tides"))
    with writing(wiki.engine) as session:
        pages.keep_draft(session, "tides", base=1, title="T", body="Half.", now=NOW)
        session.merge(Lease(name="worker", owner="me", until=1.0))
    assert again(client, "/w/tides", known) == 304


def test_what_was_rolled_back_or_only_read_is_no_change(wiki: App) -> None:
    def shown() -> int:
        with reading(wiki.engine) as session:
            return generation(session, SHOWN)

    before = shown()
    with suppress(_Given), writing(wiki.engine) as session:
        _save(session)
        raise _Given
    with writing(wiki.engine) as session:
        pages.head(session, "tides")
    with writing(wiki.engine):
        pass
    assert shown() <= before + 1, "at most one too many; never one too few"
    now = shown()
    with writing(wiki.engine) as session, session.begin_nested():
        _save(session)
    assert shown() == now + 1


def test_a_tag_is_of_one_address_one_reader_and_one_process(wiki: App, client: TestClient) -> None:
    known = tag(client.get("/pages"))
    assert again(client, "/pages?by=title", known) == 200
    assert again(client, "/pages", known, Cookie="theme=dark") == 200
    assert again(client, "/pages", known, Cookie="keys=off") == 200
    assert again(client, "/pages", known, **{"HX-Request": "true"}) == 200
    with TestClient(create(wiki), base_url="http://127.0.0.1:8000") as restarted:
        assert again(restarted, "/pages", known) == 200


def test_parts_errors_and_screens_that_move_by_themselves_have_no_tag(
    wiki: App, client: TestClient
) -> None:
    for path in ("/inbox", "/review"):
        assert "etag" not in client.get(path, headers=PARTIAL).headers
    for path in ("/jobs", "/settings", "/search", "/w/tides/edit", "/w/nowhere", "/review?tab=tension"):  # fmt: skip
        assert "etag" not in client.get(path).headers, path


@pytest.mark.parametrize(
    ("age", "later", "status"),
    [
        (timedelta(seconds=20), timedelta(seconds=30), 304),
        (timedelta(seconds=20), timedelta(seconds=41), 200),  # "just now" has become a minute
        (timedelta(minutes=5), timedelta(seconds=59), 304),
        (timedelta(minutes=5), timedelta(seconds=61), 200),
        (timedelta(hours=3, minutes=10), timedelta(minutes=49), 304),
        (timedelta(hours=3, minutes=10), timedelta(minutes=51), 200),
        (timedelta(days=3), timedelta(hours=14), 304),
        (timedelta(days=3), timedelta(hours=16), 200),  # midnight: "today" is another day
    ],
)
def test_words_about_time_are_never_kept_longer_than_they_are_true(
    tmp_path: Path, age: timedelta, later: timedelta, status: int
) -> None:
    engine = make_engine(tmp_path)
    clock = [NOW]

    class Moving(Settings):
        @property
        def clock(self) -> Callable[[], datetime]:
            return lambda: clock[0]

    settings = Moving(data=tmp_path, embedding_model="none", timezone="UTC")
    app = App(settings, engine, shipped_weights(None))
    with writing(engine) as session:
        content = Content(title="Tides", kind=PageKind.NOTE, body="High.")
        pages.create(session, content, author=PERSON, now=NOW - age)
    with TestClient(create(app), base_url="http://127.0.0.1:8000") as client:
        known = tag(client.get("/w/tides"))
        clock[0] = NOW + later
        assert again(client, "/w/tides", known) == status
    engine.dispose()


# ---------------------------------------------------------------- the process's own memory


def elsewhere(app: App, script: str) -> None:
    """Run a change in another process, as the worker or a second server would."""
    code = f"""
import sys
from datetime import UTC, datetime
from app.domain.records import PageKind
from app.store import pages
from app.store.db import open_engine, writing
from app.store.pages import PERSON, Content
NOW = datetime(2026, 5, 14, 9, 0, tzinfo=UTC)
with writing(open_engine(sys.argv[1])) as session:
    {script}
"""
    url = app.engine.url.render_as_string(hide_password=False)
    subprocess.run([sys.executable, "-c", code, url], check=True, cwd=ROOT, timeout=60)


def test_a_red_link_is_a_link_as_soon_as_another_process_has_made_the_page(
    wiki: App, client: TestClient
) -> None:
    assert parsed(client.get("/w/tides")).select("a.missing")
    assert parsed(client.get("/w/tides")).select("a.missing")
    elsewhere(wiki, "pages.create(session, Content(title='Moon', kind=PageKind.NOTE), author=PERSON, now=NOW)")  # fmt: skip
    page = parsed(client.get("/w/tides"))
    assert not page.select("a.missing")
    assert page.select_one('.prose a[href="/w/moon"]')
    elsewhere(wiki, "pages.rename(session, pages.get(session, 'moon'), 'luna', now=NOW)")
    assert parsed(client.get("/w/tides")).select_one('.prose a[href="/w/luna"]')


def test_a_text_that_another_process_saved_is_shown_at_once(wiki: App, client: TestClient) -> None:
    assert "It blows." in words(parsed(client.get("/w/wind")).main)
    elsewhere(
        wiki,
        "pages.revise(session, pages.get(session, 'wind'), Content(title='Wind', "
        "kind=PageKind.CONCEPT, body='Still.'), author=PERSON, now=NOW)",
    )
    assert "Still." in words(parsed(client.get("/w/wind")).main)


def test_counts_follow_every_change(wiki: App, client: TestClient) -> None:
    def numbers() -> tuple[str, str]:
        page = parsed(client.get("/pages"))
        return words(page.select_one("#nav-inbox")), words(page.select_one(".tabs .n"))

    assert numbers() == numbers() == ("1", "4")
    load(wiki, [listed(3), {"type": "concept", "id": "sea", "title": "Sea"}])
    assert numbers() == ("2", "5")
    with writing(wiki.engine) as session:
        run = runs.start(session, "worker", now=NOW)
        runs.finish(session, run.id or 0, RunState.FAILED, now=NOW)
    assert "The last job failed" in client.get("/pages").text


def test_a_long_quotation_that_changed_in_its_middle_is_shown(
    wiki: App, client: TestClient
) -> None:
    def propose(word: str) -> None:
        quotation = f"{'The moon pulls. ' * 20}{word} {'The sea follows. ' * 20}"
        with writing(wiki.engine) as session:
            link = session.exec(select(Link).where(Link.status == LinkStatus.PROPOSED)).one()
            link.evidence = [{"quotation": quotation, "where": "text", "verbatim": True}]
            session.add(link)

    propose("Twice")
    assert "Twice" in client.get("/review").text
    propose("Daily")
    assert "Daily" in client.get("/review").text


def test_a_body_is_written_once_and_again_when_its_links_lead_elsewhere(wiki: App) -> None:
    kept = Bodies()
    asked: list[str] = []
    leads: dict[str, LinkTarget] = {}

    def shown(version: int = 1, body: str = "See [[moon]].") -> str:
        def read() -> str:
            asked.append("text")
            return body

        with reading(wiki.engine) as session:
            return kept.get(session, (1, version), read, lambda keys: dict(leads)).html

    def change() -> None:
        """Another page changes: what was written anew is compared, and links are looked up."""
        with writing(wiki.engine) as session:
            _save(session, f"It blows {len(asked)}.")

    assert "missing" in shown()
    assert shown() == shown()
    assert asked == ["text"]
    change()
    assert "missing" in shown()
    leads["moon"] = LinkTarget("moon", "Moon", "note")
    assert "missing" in shown(), "nothing was written: this cannot be"
    change()
    assert 'href="/w/moon"' in shown()
    assert "Two" in shown(2, "Two.")
    change()
    assert "Other" in shown(2, "Other."), "a page that took the number of one that is gone"


def test_what_is_kept_is_bounded(wiki: App) -> None:
    kept, facts, fragments = Bodies(most=20_000), Facts(most=10), Fragments(most=2_000)
    with reading(wiki.engine) as session:
        for number in range(100):
            kept.get(session, (number, 1), lambda: "word " * 200, lambda keys: {})
            facts.get(session, number, lambda: 1, of=("page",))
            fragments.get(number, lambda: "x" * 100)
    assert kept._size <= 20_000
    assert 0 < len(kept._kept) < 10
    assert len(facts._known) <= 10
    assert fragments._size <= 2_000
    assert 0 < len(fragments._kept) <= 5


def test_a_writer_sees_its_own_rows_and_leaves_nothing_behind(wiki: App) -> None:
    facts = Facts()

    def count(session: Session) -> int:
        return facts.get(session, "pages", lambda: pages.count(session), of=("page",))

    with reading(wiki.engine) as session:
        before = count(session)
    with suppress(_Given), writing(wiki.engine) as session:
        _create(session)
        assert count(session) == before + 1
        raise _Given
    with reading(wiki.engine) as session:
        assert count(session) == before


@pytest.mark.parametrize(
    ("change", "tables"),
    [
        ("an edit", {"page"}),
        ("a new page", {"page", "red_link", "link"}),
        ("a rename", {"page", "alias"}),
        ("a decision on a link", {"link", "decision"}),
        ("a decision on a paper", {"paper", "decision"}),
        ("a judgement", {"paper"}),
        ("a thread marked", {"page"}),
        ("a job", {"run"}),
    ],
)
def test_each_table_counts_the_writes_into_it(wiki: App, change: str, tables: set[str]) -> None:
    def counted() -> dict[str, int]:
        with reading(wiki.engine) as session:
            return {table: generation(session, rows_of(table)) for table in COUNTED}

    before = counted()
    with writing(wiki.engine) as session:
        CHANGES[change](session)
    after = counted()
    assert {table for table in COUNTED if after[table] != before[table]} >= tables


def test_what_goes_with_a_page_is_counted_too(wiki: App) -> None:
    with reading(wiki.engine) as session:
        before = generation(session, rows_of("link"))
    with writing(wiki.engine) as session:
        session.delete(pages.get(session, "tides"))
    with reading(wiki.engine) as session:
        assert generation(session, rows_of("link")) > before
