"""With JavaScript off, everything that matters works by links, buttons and forms."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from app.bootstrap import App
from app.domain.identifiers import PaperId
from app.domain.records import LinkStatus, PageKind, PaperState
from app.store import pages, papers
from app.store.db import reading, writing
from app.store.pages import Content
from tests.browser import wiki
from tests.browser.conftest import OpenPage
from tests.browser.wiki import statuses


@pytest.fixture
def plain(open_page: OpenPage) -> Page:
    """A browser that runs no scripts."""
    return open_page(java_script_enabled=False)


def test_links_are_decided_by_button_and_taken_back_from_the_list(plain: Page, app: App) -> None:
    plain.goto("/review")
    row = plain.locator("#queue > li[id]").first
    link = int((row.get_attribute("id") or "").removeprefix("s"))
    row.get_by_role("button", name="Accept").click()
    expect(plain).to_have_url(f"{plain.url.split('/review')[0]}/review")
    assert statuses(app, [link]) == [LinkStatus.ACCEPTED]
    expect(plain.locator(f"#s{link}")).to_have_count(0)
    plain.get_by_role("link", name="Decided").click()
    plain.locator("#decided > li").first.get_by_role("button").click()
    assert statuses(app, [link]) == [LinkStatus.PROPOSED]
    expect(plain.locator(f"#s{link}")).to_be_visible()


def test_a_relation_is_changed_and_several_links_are_rejected_at_once(
    plain: Page, app: App
) -> None:
    plain.goto("/review")
    ids = [
        int((row.get_attribute("id") or "").removeprefix("s"))
        for row in plain.locator("#queue > li[id]").all()[:4]
    ]
    plain.locator(f"#s{ids[0]} a.rel").click()
    plain.locator(f"#s{ids[0]} select").select_option("extends")
    plain.locator(f"#s{ids[0]}").get_by_role("button", name="Accept").click()
    assert statuses(app, ids[:1]) == [LinkStatus.REJECTED]  # and the other one stands
    for each in ids[1:3]:
        plain.locator(f"#s{each} [form=bulk]").check()
    plain.get_by_role("button", name="Reject the selected").click()
    assert statuses(app, ids[1:]) == [
        LinkStatus.REJECTED,
        LinkStatus.REJECTED,
        LinkStatus.PROPOSED,
    ]


def test_the_queue_goes_on_by_a_link(plain: Page) -> None:
    plain.goto("/review")
    last = plain.locator("#queue > li[id]").last.get_attribute("id")
    plain.locator("#queue .more a").click()
    expect(plain.locator("#queue > li[id]").first).to_be_visible()
    expect(plain.locator(f"#{last}")).to_have_count(0)


def test_a_paper_of_the_inbox_is_read_and_kept(plain: Page, app: App) -> None:
    plain.goto("/inbox")
    row = plain.locator("#queue > li[id]").first
    row.locator("summary").click()
    expect(row.locator(".prose")).to_be_visible()
    row.get_by_role("button", name="Keep").click()
    expect(plain.locator("h1")).to_have_text("Inbox")
    with reading(app.engine) as session:
        assert papers.count(session, PaperState.WAITING) == 23


def test_a_page_is_edited_looked_at_and_saved(plain: Page, app: App) -> None:
    plain.goto("/w/fog-signal")
    plain.get_by_role("link", name="Edit").click()
    plain.fill("#body", "Heard before it is seen, with *emphasis* and [[Tide clock]].")
    plain.get_by_role("button", name="Preview").click()
    expect(plain.locator("#preview em")).to_have_text("emphasis")
    expect(plain.locator("#body")).to_have_value(
        "Heard before it is seen, with *emphasis* and [[Tide clock]]."
    )
    plain.locator(".save .primary").click()
    expect(plain.locator(".prose em")).to_have_text("emphasis")
    with reading(app.engine) as session:
        assert pages.get(session, "fog-signal").version == 2
    plain.get_by_role("link", name="history").first.click()
    plain.get_by_role("button", name="Restore").first.click()
    expect(plain.locator(".prose")).to_contain_text("is what the bay does to it")


def test_a_search_is_asked_by_form_and_narrowed_by_links(plain: Page) -> None:
    plain.goto("/search")
    plain.fill("#q", "gauges")
    plain.get_by_label("Words", exact=True).check()
    plain.get_by_role("button", name="Search").click()
    expect(plain).to_have_url(f"{plain.url.split('/search')[0]}/search?q=gauges&mode=words")
    before = plain.locator(".results > li").count()
    plain.locator(".filters").get_by_role("link", name="Concept").click()
    assert "kind=concept" in plain.url
    assert 0 < plain.locator(".results > li").count() < before
    expect(plain.locator(".filters [aria-current]")).to_have_text("Concept")


def test_files_and_pasted_text_are_shown_before_they_come_in(plain: Page, app: App) -> None:
    plain.goto("/import")
    row = b'{"type":"paper","id":"arxiv:2605.09999","title":"A paper from a file"}'
    plain.set_input_files("#files", {"name": "new.jsonl", "mimeType": "text/plain", "buffer": row})
    plain.get_by_role("button", name="See what would come in").click()
    expect(plain.locator(".counts")).to_contain_text("new1")
    with reading(app.engine) as session:
        assert papers.by_id(session, PaperId("arxiv", "2605.09999")) is None
    plain.get_by_role("button", name="Import 1 thing").click()
    expect(plain.locator(".notice")).to_contain_text("1 new")
    plain.goto("/arxiv/2605.09999")
    expect(plain.locator("h1")).to_have_text("A paper from a file")


def test_find_and_the_drawing_lead_on_without_scripts(plain: Page) -> None:
    plain.goto("/w/tide-clock")
    plain.locator("svg.map a").first.click()
    expect(plain.locator("h1")).to_be_visible()
    plain.locator(".find").click()
    expect(plain.locator("#q")).to_be_visible()


def test_theme_and_keys_are_chosen_without_scripts(plain: Page) -> None:
    plain.goto("/settings")
    plain.get_by_label("Dark").check()
    plain.get_by_label("Single keys act").uncheck()
    plain.get_by_role("button", name="Save").click()
    expect(plain.locator("html")).to_have_attribute("data-theme", "dark")
    expect(plain.locator("html")).to_have_attribute("data-keys", "off")
    plain.goto("/review")
    expect(plain.locator(".legend")).to_be_hidden()


def test_a_mention_is_linked_from_a_page_of_its_own(plain: Page, app: App) -> None:
    with writing(app.engine) as session:
        body = Content(title="Pilot log", kind=PageKind.NOTE, body="The moon drift was late.")
        pages.create(session, body, author=pages.PERSON, now=wiki.NOW)
    plain.goto("/w/moon-drift")
    plain.locator(".rail #mentions a").click()
    row = plain.locator("#main li", has_text="Pilot log")
    row.get_by_role("button", name="Link").click()
    expect(plain.locator("#main li", has_text="Pilot log")).to_have_count(0)
    with reading(app.engine) as session:
        linked = "The [[Moon drift|moon drift]] was late."
        assert pages.get(session, "pilot-log").body == linked
