"""The Inbox by keyboard: keep, drop, later, undo."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from app.bootstrap import App
from app.domain.records import Paper, PaperState
from app.store import papers
from app.store.db import reading
from tests.browser.conftest import OpenPage
from tests.browser.wiki import DAY

KEPT, DROPPED, DEFERRED, WAITING = (
    PaperState.KEPT,
    PaperState.DROPPED,
    PaperState.DEFERRED,
    PaperState.WAITING,
)


def rows(page: Page) -> list[int]:
    ids: list[str] = page.eval_on_selector_all(
        "#queue > li[id]:not([data-going])", "rows => rows.map((row) => row.id)"
    )
    return [int(each.removeprefix("p")) for each in ids]


def states(app: App, ids: list[int]) -> list[PaperState]:
    with reading(app.engine) as session:
        found = [session.get(Paper, each) for each in ids]
        return [paper.state for paper in found if paper]


def test_papers_are_kept_dropped_put_off_and_taken_back_by_key(page: Page, app: App) -> None:
    page.goto("/inbox")
    shown = rows(page)
    for key in "ars":
        page.keyboard.press(key)
    expect(page.locator("#queue > li[data-going]")).to_have_count(0)
    assert states(app, shown[:4]) == [KEPT, DROPPED, DEFERRED, WAITING]
    expect(page.locator(f"#p{shown[3]}")).to_be_focused()
    expect(page.locator("#nav-inbox")).to_have_text("21")
    page.keyboard.press("u")
    expect(page.locator(f"#p{shown[2]}")).to_be_focused()
    assert rows(page)[:2] == shown[2:4]
    assert states(app, shown[:4]) == [KEPT, DROPPED, WAITING, WAITING]
    expect(page.locator("#nav-inbox")).to_have_text("22")


def test_every_paper_of_the_inbox_can_be_gone_through_by_one_key(page: Page, app: App) -> None:
    page.goto("/inbox?sort=newest")
    for _ in range(24):
        expect(page.locator("#queue > li[aria-current]:not([data-going])")).to_have_count(1)
        page.keyboard.press("r")
    expect(page.locator("#queue > li")).to_have_count(0)
    expect(page.locator(".done")).to_be_visible()
    with reading(app.engine) as session:
        assert papers.count(session, DROPPED) == 24


def test_the_queue_of_a_day_is_gone_through_by_key_where_the_day_is_read(
    page: Page, app: App
) -> None:
    page.goto(f"/triage/{DAY}")
    shown = rows(page)
    page.keyboard.press("a")
    page.keyboard.press("r")
    expect(page.locator("#queue > li[data-going]")).to_have_count(0)
    assert states(app, shown[:2]) == [KEPT, DROPPED]
    expect(page).to_have_url(re.compile(rf"/triage/{DAY}$"))
    page.keyboard.press("u")
    expect(page.locator(f"#p{shown[1]}")).to_be_focused()
    assert states(app, shown[:2]) == [KEPT, WAITING]


def test_the_abstract_opens_with_the_row(page: Page) -> None:
    page.goto("/inbox")
    page.keyboard.press("j")
    opened = page.locator("#queue > li[aria-current] details")
    expect(opened).to_have_attribute("open", "")
    expect(opened.locator(".prose")).to_contain_text("keeps the time of the tide")


@pytest.mark.parametrize("width", [1360, 390])
def test_the_scores_of_all_papers_begin_at_the_same_place(width: int, open_page: OpenPage) -> None:
    page = open_page(width=width)
    page.goto("/inbox")
    starts = page.eval_on_selector_all(
        "#queue summary .ticks", "all => all.map((one) => one.getBoundingClientRect().left)"
    )
    assert len(starts) > 5
    assert max(starts) - min(starts) < 0.5


def test_a_paper_is_kept_from_today_without_leaving_it(page: Page, app: App) -> None:
    page.goto("/today/2026-05-14")
    item = page.locator(".items > li[id]").first
    paper = int((item.get_attribute("id") or "").removeprefix("i"))
    item.get_by_role("button", name="Keep").click()
    expect(page.locator(f"#i{paper}")).to_have_count(0)
    assert states(app, [paper]) == [KEPT]
    page.locator(".toast").get_by_role("button", name="Undo").click()
    expect(page.locator(".toast")).to_contain_text("Undone")
    assert states(app, [paper]) == [WAITING]
