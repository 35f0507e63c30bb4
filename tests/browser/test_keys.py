"""The palette, the keys of every screen, and that they can be turned off."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

OPTIONS = "#palette-list [role=option]"


def chosen(page: Page) -> str:
    name = page.locator("#palette input").get_attribute("aria-activedescendant")
    return page.locator(f"#palette-list #{name}").inner_text() if name else ""


def test_the_palette_finds_by_typing_and_opens_by_enter(page: Page) -> None:
    page.goto("/threads")
    page.keyboard.press("Control+k")
    field = page.locator("#palette input")
    expect(field).to_be_focused()
    expect(page.locator(OPTIONS).first).to_be_visible()
    page.keyboard.type("kelp")
    expect(page.locator(OPTIONS).first).to_contain_text("Kelp")
    expect(page.locator(f"{OPTIONS}[aria-selected=true]")).to_have_count(1)
    first = chosen(page)
    page.keyboard.press("ArrowDown")
    second = chosen(page)
    assert second != first
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowDown")
    assert chosen(page) == second
    title = second.splitlines()[0].strip()
    page.keyboard.press("Enter")
    page.wait_for_url("**/w/*")
    expect(page.locator("h1")).to_have_text(title)


def test_escape_closes_the_palette_and_gives_the_focus_back(page: Page) -> None:
    page.goto("/threads")
    link = page.locator(".threads h2 a").first
    link.focus()
    page.keyboard.press("Control+k")
    expect(page.locator("#palette")).to_be_visible()
    expect(page.locator("#palette input")).to_be_focused()
    page.keyboard.type("x")
    page.keyboard.press("Escape")
    expect(page.locator("#palette")).to_be_hidden()
    expect(link).to_be_focused()


def test_the_palette_offers_commands_and_threads_alone(page: Page) -> None:
    page.goto("/threads")
    page.locator(".find").click()
    expect(page.locator("#palette input")).to_be_focused()
    page.keyboard.type(">import")
    expect(page.locator(OPTIONS)).to_have_count(1)
    page.keyboard.press("Control+a")
    page.keyboard.type("#kelp")
    expect(page.locator(OPTIONS)).to_have_text(["Kelp forgets lastThread"])
    page.locator(OPTIONS).click()
    page.wait_for_url("**/w/kelp-forgets-last")


def test_a_name_nobody_has_is_handed_to_the_search(page: Page) -> None:
    page.goto("/threads")
    page.keyboard.press("Control+k")
    expect(page.locator("#palette input")).to_be_focused()
    page.keyboard.type("xylophones of brass & co")
    expect(page.locator(OPTIONS)).to_contain_text(["Search the texts"])
    page.keyboard.press("Enter")
    page.wait_for_url("**/search?q=*")
    expect(page.locator("#q")).to_have_value("xylophones of brass & co")


def test_a_question_mark_lists_the_keys_and_escape_closes_them(page: Page) -> None:
    page.goto("/review")
    page.keyboard.press("?")
    expect(page.locator("#help")).to_be_visible()
    page.keyboard.press("a")
    expect(page.locator("#queue > li[data-going]")).to_have_count(0)
    page.keyboard.press("Escape")
    expect(page.locator("#help")).to_be_hidden()
    expect(page.locator("#queue > li[id]")).to_have_count(50)
    page.keyboard.press("?")
    page.locator("#help").get_by_role("button", name="Close").click()
    expect(page.locator("#help")).to_be_hidden()


@pytest.mark.parametrize(
    ("keys", "path"),
    [("gt", "/"), ("gi", "/inbox"), ("gr", "/review"), ("gp", "/pages"), ("gh", "/threads"), ("/", "/search")],
)  # fmt: skip
def test_keys_lead_to_the_screens(keys: str, path: str, page: Page) -> None:
    page.goto("/more")
    for key in keys:
        page.keyboard.press(key)
    page.wait_for_url(f"**{path}")


def test_a_slash_goes_to_the_field_of_the_search_and_types_nothing(page: Page) -> None:
    page.goto("/search?q=gauges")
    page.locator(".results a").first.focus()
    page.keyboard.press("/")
    expect(page.locator("#q")).to_be_focused()
    expect(page.locator("#q")).to_have_value("gauges")
    page.keyboard.type("gr")
    expect(page.locator("#q")).to_have_value("gr")


@pytest.mark.parametrize(
    ("key", "url"),
    [("e", "**/w/tide-clock/edit"), ("l", "**/w/tide-clock/links"), ("h", "**/w/tide-clock/history")],
)  # fmt: skip
def test_a_page_is_edited_and_looked_into_by_key(key: str, url: str, page: Page) -> None:
    page.goto("/w/tide-clock")
    page.keyboard.press(key)
    page.wait_for_url(url)


def test_keys_go_to_the_headings_and_along_the_thread(page: Page) -> None:
    page.goto("/arxiv/2605.00003")
    first = page.url
    page.keyboard.press("n")
    page.wait_for_url(lambda url: url != first)
    page.keyboard.press("p")
    page.wait_for_url(first)
    page.set_viewport_size({"width": 1360, "height": 400})
    page.goto("/w/tide-clock")
    page.keyboard.press("]")
    page.keyboard.press("]")
    assert page.evaluate("scrollY") > 200
    lower = page.evaluate("scrollY")
    page.keyboard.press("[")
    assert 0 < page.evaluate("scrollY") < lower
    page.keyboard.press("[")
    page.keyboard.press("[")
    assert page.evaluate("scrollY") == 0


def test_single_keys_can_be_turned_off_and_the_palette_stays(page: Page) -> None:
    page.goto("/settings")
    page.get_by_label("Single keys act").uncheck()
    page.get_by_role("button", name="Save").click()
    page.goto("/review")
    for key in "arjgt":
        page.keyboard.press(key)
    page.wait_for_timeout(150)
    assert page.url.endswith("/review")
    expect(page.locator("#queue > li[id]")).to_have_count(50)
    expect(page.locator(".legend")).to_be_hidden()
    page.keyboard.press("Control+k")
    expect(page.locator("#palette")).to_be_visible()


def test_the_chosen_theme_is_there_before_the_first_paint(page: Page) -> None:
    page.goto("/settings")
    page.get_by_label("Dark").check()
    page.get_by_role("button", name="Save").click()
    page.goto("/pages")
    colour = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
    assert colour == "rgb(22, 23, 26)"
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")


def test_the_skip_link_comes_first_and_leads_past_the_navigation(page: Page) -> None:
    page.goto("/w/tide-clock")
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("document.querySelector('main').contains(document.activeElement)")
