"""Search while typing, and the way back."""

from __future__ import annotations

from playwright.sync_api import Page, expect


def test_typing_replaces_the_results_and_the_address(page: Page) -> None:
    page.goto("/search")
    expect(page.locator("#q")).to_be_focused()
    page.keyboard.type("gau")
    expect(page).to_have_url(page.url.split("/search")[0] + "/search?q=gau&mode=both")
    expect(page.locator(".results mark").first).to_contain_text("gau", ignore_case=True)
    page.keyboard.type("ges")
    expect(page).to_have_url(page.url.split("/search")[0] + "/search?q=gauges&mode=both")
    expect(page.locator("#q")).to_be_focused()
    expect(page.locator("#status")).to_contain_text("result")
    assert page.locator("#results").count() == 1
    page.get_by_label("Words", exact=True).check()
    page.wait_for_url("**/search?q=gauges&mode=words")


def test_back_restores_the_results_that_were_left(page: Page) -> None:
    page.goto("/threads")
    page.goto("/search")
    expect(page.locator("#q")).to_be_focused()
    page.keyboard.type("kelp")
    page.wait_for_url("**/search?q=kelp**")
    result = page.locator(".results .title a").first
    title = result.inner_text()
    result.click()
    page.wait_for_url("**/w/**")
    page.go_back()
    page.wait_for_url("**/search?q=kelp**")
    expect(page.locator("#q")).to_have_value("kelp")
    expect(page.locator(".results .title a").first).to_have_text(title)
    page.go_back()
    expect(page.locator("h1")).to_have_text("Threads")


def test_a_search_for_nothing_there_offers_a_page_of_that_name(page: Page) -> None:
    page.goto("/search")
    expect(page.locator("#q")).to_be_focused()
    page.keyboard.type("brass xylophones")
    page.get_by_role("link", name="Create a page called").click()
    page.wait_for_url("**/w/brass-xylophones/edit**")
    expect(page.locator("#title")).to_have_value("Brass xylophones")


def test_a_filter_is_kept_while_the_words_change(page: Page) -> None:
    page.goto("/search?q=tide")
    page.locator(".filters").get_by_role("link", name="Concept").click()
    page.wait_for_url("**kind=concept**")
    page.locator("#q").fill("kelp")
    page.wait_for_url("**q=kelp**")
    assert "kind=concept" in page.url
    expect(page.locator(".results .kind.paper")).to_have_count(0)
