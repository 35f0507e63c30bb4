"""Concepts in Review by keyboard: the same keys as for links, and what a person changes first."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect
from sqlmodel import select

from app.bootstrap import App
from app.domain.records import Change, ChangeKind, LinkStatus, Origin, PageKind
from app.domain.records import Page as WikiPage
from app.store import changes, pages
from app.store.db import reading, writing
from tests.browser.wiki import NOW


@pytest.fixture
def waiting(app: App) -> None:
    """Five terms that no page has yet, each with two papers."""
    with writing(app.engine) as session:
        papers = session.exec(
            select(WikiPage.id).where(WikiPage.kind == PageKind.PAPER).order_by(WikiPage.slug)
        ).all()[:2]
        for number in range(5):
            changes.propose(
                session,
                kind=ChangeKind.CONCEPT,
                key=f"concept:{number}",
                title=f"Slack water {number}",
                confidence=0.9 - number / 10,
                reason="two papers say it",
                content={"aliases": [], "body": "Nothing moves.", "members": list(papers)},
                evidence=[],
                signals=[],
                origin=Origin.LINKER,
                now=NOW,
            )


def stand(app: App) -> list[LinkStatus]:
    with reading(app.engine) as session:
        return [each.status for each in session.exec(select(Change).order_by(Change.key))]


def settled(page: Page, left: int) -> None:
    expect(page.locator("#queue > li[data-going]")).to_have_count(0)
    expect(page.locator("#queue > li[id]")).to_have_count(left)


def counted(page: Page, number: str) -> None:
    expect(page.locator(".tabs [aria-current] .n")).to_have_text(number)


@pytest.mark.usefixtures("waiting")
def test_the_keys_of_the_queue_decide_concepts_and_undo_puts_them_back(
    page: Page, app: App
) -> None:
    page.goto("/review?tab=concepts")
    counted(page, "5")
    for key in "ars":
        page.keyboard.press(key)
    settled(page, 2)
    wanted = [LinkStatus.ACCEPTED, LinkStatus.REJECTED, LinkStatus.DEFERRED]
    assert stand(app) == [*wanted, LinkStatus.PROPOSED, LinkStatus.PROPOSED]
    counted(page, "2")
    page.keyboard.press("u")
    settled(page, 3)
    counted(page, "3")
    assert stand(app)[2] == LinkStatus.PROPOSED
    expect(page.locator("#queue > li[aria-current]")).to_contain_text("Slack water 2")
    for key in "xjx":
        page.keyboard.press(key)
    page.keyboard.press("A")
    settled(page, 1)
    with reading(app.engine) as session:
        found = pages.resolve(session, [f"Slack water {number}" for number in range(5)])
    assert sorted(found) == ["slack water 0", "slack water 2", "slack water 3"]


@pytest.mark.usefixtures("waiting")
def test_a_title_and_ticks_are_changed_before_it_is_accepted(page: Page, app: App) -> None:
    page.goto("/review?tab=concepts")
    row = page.locator("#queue > li[aria-current]")
    row.locator("[name=title]").fill("Water that waits")
    row.locator("[name=member]").first.uncheck()
    row.locator("[name=title]").press("Enter")  # a line more in the title, and no decision
    settled(page, 5)
    row.get_by_role("button", name="Accept").click()
    settled(page, 4)
    page.goto("/w/water-that-waits")
    expect(page.locator("h1")).to_have_text("Water that waits")
    expect(page.locator(".head .meta")).to_contain_text("1 paper")


@pytest.mark.usefixtures("waiting")
def test_a_conflict_stays_in_sight_at_its_row(page: Page, app: App) -> None:
    with writing(app.engine) as session:
        content = pages.Content(title="Slack water 0", kind=PageKind.CONCEPT)
        pages.create(session, content, author=pages.PERSON, now=NOW)
    page.goto("/review?tab=concepts")
    page.keyboard.press("a")
    problem = page.locator("#queue > li .problem")
    expect(problem).to_contain_text("There is a page of that name already: Slack water 0")
    settled(page, 5)
