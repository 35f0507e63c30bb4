"""A page being read: cards, suggestions, contents; and hostile text in every place that shows text."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from app.bootstrap import App
from app.domain.records import LinkStatus, PageKind
from app.store import pages
from app.store.db import reading, writing
from app.store.pages import Content
from tests.browser import wiki
from tests.browser.conftest import OpenPage
from tests.browser.wiki import statuses


def test_a_card_opens_with_the_focus_and_escape_closes_it(page: Page) -> None:
    page.goto("/w/tide-clock")
    link = page.locator(".prose a", has_text="Slack water").first
    link.focus()
    card = page.locator("#hover-card")
    expect(card).to_contain_text("Slack water")
    expect(link).to_have_attribute("aria-describedby", "hover-card")
    page.keyboard.press("Escape")
    expect(card).to_have_count(0)
    expect(link).to_be_focused()


def test_a_card_opens_under_the_pointer_and_stays_while_the_pointer_is_in_it(page: Page) -> None:
    page.goto("/w/tide-clock")
    page.locator(".prose a", has_text="Slack water").first.hover()
    card = page.locator("#hover-card")
    expect(card).to_be_visible()
    card.hover()
    page.wait_for_timeout(400)
    expect(card).to_be_visible()
    page.locator("h1").hover()
    expect(card).to_have_count(0)


def test_a_missing_page_has_no_card(page: Page) -> None:
    page.goto("/w/tide-clock")
    page.locator(".prose a.missing").first.focus()
    page.wait_for_timeout(300)
    expect(page.locator("#hover-card")).to_have_count(0)


def test_a_suggestion_is_accepted_where_it_stands_and_taken_back(page: Page, app: App) -> None:
    page.goto("/w/kelp-memory")
    item = page.locator(".rail li[id]").first
    link = int((item.get_attribute("id") or "").removeprefix("s"))
    item.get_by_role("button", name="Accept").click()
    expect(page.locator(f"#s{link}")).to_have_count(0)
    assert statuses(app, [link]) == [LinkStatus.ACCEPTED]
    page.locator(".toast").get_by_role("button", name="Undo").click()
    expect(page.locator(".toast")).to_contain_text("Undone")
    assert statuses(app, [link]) == [LinkStatus.PROPOSED]


def test_a_wide_table_and_long_lines_scroll_in_themselves_on_a_phone(open_page: OpenPage) -> None:
    page = open_page(width=390, height=844)
    page.goto("/w/tide-clock")
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    code = page.locator(".prose pre")
    assert code.evaluate("e => e.scrollWidth > e.clientWidth")
    code.focus()
    expect(code).to_be_focused()


# ---------------------------------------------------------------- hostile text

EVIL = "\"><img src=x onerror=alert(1)><script>alert(2)</script>'{{7*7}}${alert(3)}"
LINKS = (
    "[go](javascript:alert(4)) <a href='javascript:alert(5)' onclick=alert(6)>go</a> "
    "![x](https://elsewhere.example/x.png) <img src=https://elsewhere.example/y.png> "
    "<iframe src=https://elsewhere.example></iframe> <svg onload=alert(7)></svg> "
    "<div hx-get=/w/tide-clock hx-trigger=load hx-target=body>take over</div> "
    "<form action=https://elsewhere.example><button>go</button></form> "
    "[[Tide clock|<b onmouseover=alert(8)>]] $\\href{javascript:alert(9)}{x}$ <style>*{display:none}</style> "
    "<meta http-equiv=refresh content='0;url=https://elsewhere.example'> <base href=https://elsewhere.example>"
)  # fmt: skip


def test_hostile_text_stays_text_wherever_it_is_shown(page: Page, app: App) -> None:
    wiki.bring(
        app,
        [
            {"type": "concept", "id": "evil", "title": f"Evil {EVIL}", "aliases": [f"alias {EVIL}"], "tags": [f"tag {EVIL}"], "text": f"{EVIL}\n\n## {EVIL}\n\n{LINKS}\n\n```{EVIL}\n{EVIL}\n```"},
            {"type": "paper", "id": "arxiv:2605.06666", "title": f"Paper {EVIL} $x<y$", "abstract": f"{EVIL} says much. {LINKS}", "authors": [EVIL], "venue": EVIL, "code": "javascript:alert(10)", "questions": [EVIL]},
            {"type": "paper", "id": "arxiv:2605.06667", "title": f"Listed {EVIL}", "abstract": EVIL, "authors": [EVIL], "day": wiki.DAY},
            {"type": "assessment", "paper": "arxiv:2605.06667", "scorer": "test", "day": wiki.DAY, "relevance": 10, "novelty": 10, "comment": EVIL},
            {"type": "thread", "id": "evil-thread", "title": f"Thread {EVIL}", "claim": EVIL, "text": EVIL, "questions": [EVIL]},
            {"type": "link", "source": "arxiv:2605.06666", "relation": "part-of", "target": "evil-thread", "note": EVIL, "day": wiki.DAY},
            {"type": "link", "source": "arxiv:2605.06666", "relation": "about", "target": "evil", "status": "proposed", "confidence": 0.99, "reason": EVIL, "evidence": [{"quote": f"{EVIL} says much.", "where": EVIL}]},
        ],
    )  # fmt: skip
    for path in (
        "/w/evil", "/w/evil/edit", "/w/evil/history", "/w/evil/links", "/w/evil/diff", "/w/evil-thread", "/arxiv/2605.06666", "/review", "/inbox",
        f"/today/{wiki.DAY}", "/threads", "/pages?by=kind", "/_/card/evil", "/_/complete?q=Evil", "/_/palette?q=Evil",
    ):  # fmt: skip
        page.goto(path)
        assert "onerror=alert(1)" in (page.locator("body").inner_text() + page.content()), path
        for each in page.locator("a[data-open], .prose a").all():
            assert not (each.get_attribute("href") or "").startswith("javascript"), path
    page.goto("/search")
    page.locator("#q").fill(EVIL)
    page.wait_for_url("**/search?q=**")
    page.keyboard.press("Control+k")
    expect(page.locator("#palette input")).to_be_focused()
    page.keyboard.type("Evil")
    page.locator("#palette-list [role=option]").first.wait_for()
    page.goto("/review")
    expect(page.locator("#queue > li[aria-current=true]")).to_be_visible()
    page.keyboard.press("a")
    expect(page.locator(".toast")).to_contain_text("onerror=alert(1)")
    page.goto("/w/fog-signal/edit")
    page.locator("#body").fill(LINKS + EVIL)
    expect(page.locator("#preview")).to_contain_text("onerror=alert(1)")
    page.locator("#body").press("End")
    page.keyboard.type(" [[evil")
    page.locator("#completions [role=option]").first.wait_for()
    page.keyboard.press("Control+Enter")
    page.wait_for_url("**/w/fog-signal")
    page.locator(".prose a[href='/w/tide-clock']").first.hover()
    expect(page.locator("#hover-card")).to_be_visible()
    assert page.evaluate("document.querySelectorAll('.prose :is(img, script, iframe, form, style, meta, base, div[hx-get])').length") == 0  # fmt: skip


def test_a_mention_is_linked_from_the_rail_where_it_stands(page: Page, app: App) -> None:
    with writing(app.engine) as session:
        body = Content(title="Pilot log", kind=PageKind.NOTE, body="The moon drift was late.")
        pages.create(session, body, author=pages.PERSON, now=wiki.NOW)
    page.goto("/w/moon-drift")
    row = page.locator(".rail #mentions li", has_text="Pilot log")
    page.locator(".rail #mentions").scroll_into_view_if_needed()
    expect(row.locator("mark")).to_have_text("moon drift")
    row.get_by_role("button", name="Link").click()
    expect(row).to_have_count(0)
    expect(page.locator(".toast")).to_contain_text("Linked in the text: Pilot log")
    with reading(app.engine) as session:
        linked = "The [[Moon drift|moon drift]] was late."
        assert pages.get(session, "pilot-log").body == linked
