"""The editor: completion by keyboard, preview, drafts, conflicts, and no text lost on the way out."""

from __future__ import annotations

from dataclasses import replace

from playwright.sync_api import Page, expect

from app.bootstrap import App
from app.services import pages as editing
from app.store import pages
from app.store.db import reading, writing
from tests.browser.conftest import Heard

EDIT = "/w/fog-signal/edit"
OPTIONS = "#completions [role=option]"


def body_of(app: App, slug: str) -> str:
    with reading(app.engine) as session:
        return pages.get(session, slug).body


def changed_elsewhere(app: App, slug: str, body: str) -> None:
    """Another person's save, behind the browser's back."""
    with writing(app.engine) as session:
        page = pages.get(session, slug)
        content = replace(pages.content_of(session, page), body=body)
        editing.save(session, slug, content, base=page.version, now=app.clock())


def typing(page: Page, text: str) -> None:
    page.locator("#body").fill("")
    page.locator("#body").press_sequentially(text)


def chosen(page: Page) -> str:
    """The option that the text field names as the current one, as a listener would hear it."""
    name = page.locator("#body").get_attribute("aria-activedescendant")
    return page.locator(f"#completions #{name}").inner_text() if name else ""


def test_a_link_is_completed_by_arrows_and_enter(page: Page) -> None:
    page.goto(EDIT)
    typing(page, "Hear [[ti")
    expect(page.locator("#completions")).to_be_visible()
    expect(page.locator("#status")).to_contain_text("offered")
    assert "Tide clock" in chosen(page)
    page.keyboard.press("ArrowDown")
    second = chosen(page)
    assert second
    assert "Tide clock" not in second
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    expect(page.locator("#body")).to_have_value("Hear [[Tide clock]]")
    expect(page.locator("#completions")).to_be_hidden()
    page.keyboard.type(" and")
    expect(page.locator("#body")).to_have_value("Hear [[Tide clock]] and")


def test_tab_completes_too_and_an_alias_keeps_its_words(page: Page) -> None:
    page.goto(EDIT)
    typing(page, "See [[tidal")
    expect(page.locator(OPTIONS).first).to_contain_text("tidal clock")
    page.keyboard.press("Tab")
    expect(page.locator("#body")).to_have_value("See [[Tide clock|tidal clock]]")
    expect(page.locator("#body")).to_be_focused()


def test_escape_closes_the_list_and_never_the_editor(page: Page) -> None:
    page.goto(EDIT)
    typing(page, "See [[ti")
    expect(page.locator("#completions")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#completions")).to_be_hidden()
    page.keyboard.press("Escape")
    page.keyboard.press("Enter")
    expect(page.locator("#body")).to_have_value("See [[ti\n")
    expect(page.locator("#body")).to_be_focused()


def test_a_name_without_a_page_is_offered_to_be_made(page: Page) -> None:
    page.goto(EDIT)
    typing(page, "See [[zzz nothing")
    expect(page.locator(OPTIONS)).to_have_text(["create “zzz nothing”"])
    page.keyboard.press("Enter")
    expect(page.locator("#body")).to_have_value("See [[zzz nothing]]")


def test_an_option_is_taken_by_the_mouse(page: Page) -> None:
    page.goto(EDIT)
    typing(page, "[[kelp m")
    page.locator(OPTIONS).first.click()
    expect(page.locator("#body")).to_have_value("[[Kelp memory]]")
    expect(page.locator("#body")).to_be_focused()


def test_the_list_of_names_opens_at_the_line_that_is_written(page: Page) -> None:
    page.goto(EDIT)
    page.locator("#body").fill("line\n" * 12)
    page.locator("#body").press("End")
    page.keyboard.type("[[ti")
    expect(page.locator("#completions")).to_be_visible()
    text, shown = page.locator("#body").bounding_box(), page.locator("#completions").bounding_box()
    assert text
    assert shown
    assert 12 * 20 < shown["y"] - text["y"] < 14 * 26


def test_the_preview_follows_what_is_typed(page: Page) -> None:
    page.goto(EDIT)
    expect(page.locator("#preview h3, #preview h2")).to_have_text("Measured")
    typing(page, "Now *here* and $x^2$ and [[Nowhere yet]]")
    expect(page.locator("#preview em")).to_have_text("here")
    expect(page.locator("#preview math")).to_be_visible()
    expect(page.locator("#preview a.missing")).to_have_text("Nowhere yet")
    page.keyboard.press("Control+Shift+P")
    expect(page.locator("#preview")).to_be_focused()


def test_control_enter_saves(page: Page, app: App) -> None:
    page.goto(EDIT)
    typing(page, "Saved by keys.")
    page.keyboard.press("Control+Enter")
    page.wait_for_url("**/w/fog-signal")
    expect(page.locator(".prose")).to_have_text("Saved by keys.")
    assert body_of(app, "fog-signal") == "Saved by keys."


def test_a_draft_is_kept_and_offered_on_return(page: Page, heard: Heard) -> None:
    page.goto(EDIT)
    with page.expect_response("**/_/draft/fog-signal"):
        typing(page, "A text nobody saved.")
    heard.stays = False
    page.goto("/w/fog-signal")
    page.goto(EDIT)
    offered = page.locator("#draft")
    expect(offered).to_contain_text("unsaved text")
    expect(page.locator("#body")).not_to_have_value("A text nobody saved.")
    offered.get_by_role("button", name="Put it in the editor").click()
    expect(page.locator("#body")).to_have_value("A text nobody saved.")
    expect(page.locator("#preview")).to_contain_text("A text nobody saved.")
    page.keyboard.press("Control+Enter")
    page.wait_for_url("**/w/fog-signal")
    page.goto(EDIT)
    expect(page.locator("#draft")).to_have_count(0)


def test_leaving_with_unsaved_text_asks_and_leaving_without_does_not(
    page: Page, heard: Heard
) -> None:
    page.goto(EDIT)
    page.locator("#body").click()
    page.get_by_role("link", name="Cancel").click()
    page.wait_for_url("**/w/fog-signal")
    page.goto(EDIT)
    typing(page, "Not saved")
    heard.stays = True
    page.get_by_role("link", name="Cancel").click()
    expect(page.locator("#body")).to_have_value("Not saved")
    assert heard.asked_to_leave == 1
    heard.stays = False
    page.get_by_role("link", name="Cancel").click()
    page.wait_for_url("**/w/fog-signal")
    assert heard.asked_to_leave == 2


def test_two_edits_of_one_line_show_both_texts_and_lose_neither(page: Page, app: App) -> None:
    page.goto(EDIT)
    typing(page, "My own words about the horn.")
    changed_elsewhere(app, "fog-signal", "Other words about the bell.")
    page.locator(".save .primary").click()
    conflict = page.locator(".conflict")
    expect(conflict).to_contain_text("Nothing is lost")
    for text in ("My own words about the horn.", "Other words about the bell."):
        expect(conflict.locator("pre", has_text=text)).to_have_count(1)
        assert text in page.locator("#body").input_value()
    typing(page, "Horn and bell.")
    page.keyboard.press("Control+Enter")
    page.wait_for_url("**/w/fog-signal")
    assert body_of(app, "fog-signal") == "Horn and bell."


def test_of_two_edits_that_do_not_merge_ones_own_can_be_saved_as_it_was(
    page: Page, app: App
) -> None:
    page.goto(EDIT)
    typing(page, "My own words about the horn.")
    changed_elsewhere(app, "fog-signal", "Other words about the bell.")
    page.locator(".save .primary").click()
    page.get_by_role("button", name="Save my text as it was").click()
    page.wait_for_url("**/w/fog-signal")
    assert body_of(app, "fog-signal") == "My own words about the horn."


def test_two_edits_of_different_lines_are_put_together(page: Page, app: App) -> None:
    page.goto("/w/tide-clock/edit")
    before = body_of(app, "tide-clock")
    page.locator("#body").fill(before.replace("A last line.", "My last line."))
    changed_elsewhere(app, "tide-clock", before.replace("Counted by hand.", "Counted twice."))
    page.keyboard.press("Control+Enter")
    page.wait_for_url("**/w/tide-clock?saved=merged")
    expect(page.locator(".notice")).to_contain_text("put together")
    assert "My last line." in body_of(app, "tide-clock")
    assert "Counted twice." in body_of(app, "tide-clock")


def test_what_is_wrong_is_said_at_the_field_and_the_text_stays(page: Page) -> None:
    page.goto(EDIT)
    typing(page, "A text worth keeping.")
    page.fill("#title", "   ")
    page.locator(".save .primary").click()
    expect(page.locator("#summary")).to_be_focused()
    title = page.locator("#title")
    expect(title).to_have_attribute("aria-invalid", "true")
    described = title.get_attribute("aria-describedby")
    expect(page.locator(f"#{described}")).to_be_visible()
    expect(page.locator("#body")).to_have_value("A text worth keeping.")


def test_a_new_page_is_written_and_its_wanted_link_followed(page: Page, app: App) -> None:
    page.goto("/new")
    page.fill("#title", "Brass bells")
    typing(page, "They ring. See [[Winter ferries]].")
    page.keyboard.press("Control+Enter")
    page.wait_for_url("**/w/brass-bells")
    page.locator(".prose a.missing").click()
    page.wait_for_url("**/w/winter-ferries/edit**")
    expect(page.locator("#title")).to_have_value("Winter ferries")
