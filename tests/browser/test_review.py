"""Review by keyboard: no key is lost however fast, and what went wrong stays in sight."""

from __future__ import annotations

from itertools import cycle, islice

import pytest
from playwright.sync_api import Locator, Page, Route, expect
from sqlmodel import col, select

from app.bootstrap import App
from app.domain.records import Decision, Link, LinkStatus, Relation, Verdict
from app.services import review
from app.store import links
from app.store.db import reading, writing
from tests.browser.conftest import Heard, OpenPage
from tests.browser.wiki import statuses

ROWS = "#queue > li[id]:not([data-going])"
ACCEPTED, REJECTED, PROPOSED = LinkStatus.ACCEPTED, LinkStatus.REJECTED, LinkStatus.PROPOSED


def rows(page: Page) -> list[int]:
    """The links that stand in the queue, from the top."""
    ids: list[str] = page.eval_on_selector_all(ROWS, "rows => rows.map((row) => row.id)")
    return [int(each.removeprefix("s")) for each in ids]


def settled(page: Page, left: int) -> None:
    """Wait until the server has answered everything and so many rows are left."""
    expect(page.locator("#queue > li[data-going]")).to_have_count(0)
    expect(page.locator("#queue > li[id]")).to_have_count(left)


def focused(page: Page) -> str:
    found: str = page.evaluate("document.activeElement.id")
    return found


def current(page: Page) -> Locator:
    return page.locator("#queue > li[aria-current]")


def decided(app: App, ids: list[int]) -> list[tuple[int | None, Verdict]]:
    with reading(app.engine) as session:
        found = session.exec(
            select(Decision).where(col(Decision.link_id).in_(ids)).order_by(col(Decision.id))
        )
        return [(each.link_id, each.verdict) for each in found]


def test_of_twenty_keys_pressed_at_once_none_is_lost_and_none_doubled(page: Page, app: App) -> None:
    page.goto("/review")
    shown = rows(page)
    keys = list(islice(cycle("aar"), 20))
    for key in keys:
        page.keyboard.press(key)
    settled(page, 30)
    wanted = [ACCEPTED if key == "a" else REJECTED for key in keys]
    assert statuses(app, shown[:20]) == wanted
    assert statuses(app, shown[20:]) == [PROPOSED] * 30
    assert sorted(link for link, _ in decided(app, shown) if link) == sorted(shown[:20])
    assert focused(page) == f"s{shown[20]}"
    expect(page.locator("#nav-review")).to_have_text("97")


def test_undo_puts_the_row_back_where_it_was_and_gives_it_the_focus(page: Page, app: App) -> None:
    page.goto("/review")
    shown = rows(page)
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("a")
    settled(page, 49)
    assert statuses(app, [shown[2]]) == [ACCEPTED]
    assert focused(page) == f"s{shown[3]}"
    page.keyboard.press("u")
    settled(page, 50)
    expect(page.locator(f"#s{shown[2]}")).to_be_focused()
    assert rows(page) == shown
    assert statuses(app, [shown[2]]) == [PROPOSED]
    page.keyboard.press("r")
    settled(page, 49)
    assert statuses(app, [shown[2]]) == [REJECTED]


def test_undo_takes_back_the_last_key_though_an_earlier_answer_took_its_time(
    page: Page, app: App
) -> None:
    page.goto("/review")
    shown = rows(page)
    held: list[Route] = []
    page.route(f"**/review/{shown[1]}", lambda route: held.append(route))
    for key in "ara":
        page.keyboard.press(key)
    expect(page.locator(f"#s{shown[0]}")).to_have_count(0)
    page.wait_for_timeout(300)  # in which the third answer would come, had it been asked for
    page.keyboard.press("u")
    held[0].continue_()
    expect(page.locator(f"#s{shown[2]}")).to_be_focused()
    settled(page, 48)
    assert statuses(app, shown[:3]) == [ACCEPTED, REJECTED, PROPOSED]
    assert [link for link, _ in decided(app, shown)] == [*shown[:3], shown[2]]


def test_undo_pressed_before_the_answer_came_takes_back_that_decision(page: Page, app: App) -> None:
    page.goto("/review")
    first = rows(page)[0]
    page.keyboard.press("a")
    page.keyboard.press("u")
    expect(page.locator(f"#s{first}")).to_be_focused()
    settled(page, 50)
    assert statuses(app, [first]) == [PROPOSED]


def test_a_row_decided_elsewhere_stays_and_says_so(page: Page, app: App) -> None:
    page.goto("/review")
    shown = rows(page)
    with writing(app.engine) as session:
        review.decide(session, shown[0], Verdict.REJECT, now=app.clock())
    page.keyboard.press("a")
    alert = page.locator("#alert")
    expect(alert).to_contain_text("decided already")
    row = page.locator(f"#s{shown[0]}")
    expect(row).to_be_visible()
    expect(row.locator(".problem")).to_contain_text("decided already")
    assert statuses(app, shown[:1]) == [REJECTED]
    assert focused(page) == f"s{shown[1]}"
    page.keyboard.press("a")
    settled(page, 49)
    assert statuses(app, shown[1:2]) == [ACCEPTED]
    expect(row).to_be_visible()


def test_what_the_server_never_heard_stays_in_the_queue_and_can_be_sent_again(
    page: Page, app: App, heard: Heard
) -> None:
    heard.expected = "Failed to fetch"
    page.goto("/review")
    first = rows(page)[0]
    page.context.set_offline(True)
    page.keyboard.press("a")
    expect(page.locator("#alert")).to_contain_text("Not saved")
    expect(page.locator(f"#s{first} .problem")).to_be_visible()
    assert statuses(app, [first]) == [PROPOSED]
    page.context.set_offline(False)
    page.locator("#alert").get_by_role("button", name="Retry").click()
    settled(page, 49)
    assert statuses(app, [first]) == [ACCEPTED]


def test_rows_are_selected_to_here_and_accepted_with_one_undo_for_all(page: Page, app: App) -> None:
    page.goto("/review")
    shown = rows(page)
    page.keyboard.press("j")
    page.keyboard.press("x")
    for _ in range(3):
        page.keyboard.press("j")
    page.keyboard.press("X")
    expect(page.locator("#queue :checked")).to_have_count(4)
    expect(page.locator("#bulk")).to_be_visible()
    page.keyboard.press("A")
    settled(page, 46)
    assert statuses(app, shown[:6]) == [PROPOSED, *[ACCEPTED] * 4, PROPOSED]
    expect(page.locator(".toast")).to_contain_text("4 links")
    page.keyboard.press("u")
    settled(page, 50)
    assert rows(page) == shown
    assert statuses(app, shown[:6]) == [PROPOSED] * 6


def test_another_relation_is_chosen_by_key_and_accepted(page: Page, app: App) -> None:
    page.goto("/review")
    first = rows(page)[0]
    page.keyboard.press("e")
    choice = page.locator(f"#s{first} select")
    expect(choice).to_be_focused()
    assert choice.input_value() == "uses"
    choice.select_option("extends")
    page.keyboard.press("Enter")
    assert focused(page) == f"s{first}"
    page.keyboard.press("a")
    settled(page, 49)
    with reading(app.engine) as session:
        proposed = links.get(session, first)
        made = links.between(session, proposed.source_id, proposed.target_id, Relation.EXTENDS)
        assert made is not None
        assert (proposed.status, made.status) == (REJECTED, ACCEPTED)


def test_the_fifty_first_row_comes_by_scrolling_and_none_is_passed_over(
    page: Page, app: App
) -> None:
    with reading(app.engine) as session:
        waiting = [row.id for row in links.proposals(session, limit=500)]
    page.goto("/review")
    assert rows(page) == waiting[:50]
    for _ in range(10):
        page.keyboard.press("a")
    settled(page, 40)
    page.locator("#queue .more").scroll_into_view_if_needed()
    expect(page.locator(f"#s{waiting[50]}")).to_be_attached()
    while page.locator("#queue .more").count():
        page.evaluate("scrollTo(0, document.body.scrollHeight)")
        page.wait_for_timeout(50)
    assert rows(page) == waiting[10:]


def test_the_evidence_of_the_current_row_alone_is_open(page: Page) -> None:
    page.goto("/review")
    for _ in range(2):
        page.keyboard.press("j")
    expect(page.locator("#queue details[open]")).to_have_count(1)
    expect(current(page).locator("details[open] mark, details[open] .quote")).not_to_have_count(0)
    page.keyboard.press("v")
    expect(page.locator("#queue details[open]")).to_have_count(0)


@pytest.mark.parametrize("key", ["Enter", "o"])
def test_a_key_opens_the_page_of_the_current_row(key: str, page: Page) -> None:
    page.goto("/review")
    link = page.locator("#queue > li[id] [data-open]").nth(1)
    url = link.get_attribute("href")
    page.keyboard.press("j")
    page.keyboard.press(key)
    page.wait_for_url(f"**{url}")


def test_what_was_decided_is_undone_from_its_list(page: Page, app: App) -> None:
    page.goto("/review?tab=decided")
    line = page.locator("#decided > li").first
    line.get_by_role("button").click()
    page.wait_for_url("**/review")
    with reading(app.engine) as session:
        undone = session.exec(select(Decision).where(col(Decision.undone).is_(True))).all()
        assert len(undone) == 1
        link = session.get(Link, undone[0].link_id)
        assert link is not None
        assert link.status is PROPOSED


def test_on_a_phone_the_queue_is_decided_by_its_buttons(open_page: OpenPage, app: App) -> None:
    page = open_page(width=390, height=844, has_touch=True, is_mobile=True)
    page.goto("/review")
    shown = rows(page)
    page.locator(f"#s{shown[0]}").get_by_role("button", name="Accept").tap()
    settled(page, 49)
    page.locator(f"#s{shown[1]}").get_by_role("button", name="Reject").tap()
    settled(page, 48)
    assert statuses(app, shown[:2]) == [ACCEPTED, REJECTED]
    page.locator(".toast").get_by_role("button", name="Undo").tap()
    settled(page, 49)
    assert statuses(app, shown[:2]) == [ACCEPTED, PROPOSED]
