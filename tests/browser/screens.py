"""Every screen of the program, and how a browser gets to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from playwright.sync_api import Page

from app.bootstrap import App
from tests.browser.feeds import (
    FIRST,
    answer_with_a_feed,
    begin_job,
    bring_sources,
    lose_sources,
    remove_a_source,
)
from tests.browser.wiki import DAY, dispute, propose_changes, take_out


@dataclass(frozen=True)
class Screen:
    """A screen by its name, its address, and what is done there before it is looked at.

    `first` is done to the wiki before; `then` in the browser.
    """

    name: str
    path: str
    then: Callable[[Page], None] | None = None
    status: int = 200
    first: Callable[[App], None] | None = None

    def open(self, page: Page, app: App) -> None:
        """Go there, and wait until nothing moves."""
        if self.first:
            self.first(app)
        answer = page.goto(self.path)
        assert answer is not None
        assert answer.status == self.status, f"{self.path} answered {answer.status}"
        if self.then:
            self.then(page)
        page.evaluate("document.fonts.ready.then(() => 0)")


def _conflict(page: Page) -> None:
    """Save what was begun from a revision that another edit has overtaken in the same line."""
    page.locator("[name=base_rev]").first.evaluate("field => { field.value = '1' }")
    page.fill("#body", "A text that has nothing in common with the one it began from.")
    page.locator(".save .primary").click()
    page.locator(".conflict").wait_for()


def _refused(page: Page) -> None:
    page.fill("#title", "   ")
    page.locator(".save .primary").click()
    page.locator("#summary").wait_for()


def _previewed(page: Page) -> None:
    line = '{"type":"paper","id":"arxiv:2605.09999","title":"A pasted paper about $x^2$"}\n'
    page.fill("#text", line + '{"type":"concept","id":"pasted","title":"Pasted"}\n{"type":"paper"}')
    page.locator(".import .primary").click()
    page.locator(".counts").wait_for()


def _first_opened(page: Page) -> None:
    page.locator("#queue > li summary").first.click()


def _palette(page: Page) -> None:
    page.locator(".find").click()
    page.locator("#palette-list [role=option]").first.wait_for()


def _price_refused(page: Page) -> None:
    page.fill("#price-input", "much")
    page.locator("#prices .import button").last.click()
    page.locator("#price-problem").wait_for()


def _budget_refused(page: Page) -> None:
    page.fill("#llm-daily", "a lot")
    page.locator("#model .primary").click()
    page.locator("#llm-problem").wait_for()


def _tried(page: Page) -> None:
    page.fill("#threshold", "0")
    page.locator("button[formaction]").first.click()
    page.locator("#trial").wait_for()


def _topic_refused(page: Page) -> None:
    page.fill("#name", "   ")
    page.fill("#threshold", "much")
    page.locator("#form .primary").click()
    page.locator("#summary").wait_for()


def _topic_conflict(page: Page) -> None:
    page.locator("#form [name=base]").evaluate("field => { field.value = 'another' }")
    page.locator("#form .primary").click()
    page.locator("[aria-label='Changed elsewhere']").wait_for()


def _claim_conflict(page: Page) -> None:
    page.locator("details:has(#claim) > summary").click()
    page.locator("form:has(#claim) [name=base]").evaluate("field => { field.value = 'another' }")
    page.fill("#claim", "Noise tells the time, and so does its absence.")
    page.locator("form:has(#claim) .choices button").first.click()
    page.locator(".problem").wait_for()


def _looked_at(page: Page) -> None:
    page.fill("#text", "https://harbour.example.org/feed")
    page.locator(".search .primary").click()
    page.locator("[name=found]").first.wait_for(state="attached")


def _not_found(page: Page) -> None:
    page.fill("#text", "certainly no source")
    page.locator(".search .primary").click()
    page.locator("#problem").wait_for()


def _schedule_refused(page: Page) -> None:
    page.fill("#every", "often")
    page.locator("#schedule .primary").click()
    page.locator("#summary").wait_for()


def _all_opened(page: Page) -> None:
    closed = page.locator("main details:not([open]) > summary")
    while closed.count():
        closed.first.click()


def _sent_in_vain(page: Page) -> None:
    """Send a form whose words are refused: they are shown, to be put right and sent again."""
    page.evaluate(
        """() => {
          const form = document.createElement("form");
          Object.assign(form, { method: "post", action: "/w/tide-clock/rename" });
          for (const [name, value] of [["slug", "Not An Address"], ["title", "A title of many words"]]) {
            const field = document.createElement("input");
            Object.assign(field, { name, value });
            form.append(field);
          }
          document.body.append(form);
          form.submit();
        }"""
    )
    page.locator(".failure textarea").first.wait_for()


def _help(page: Page) -> None:
    page.keyboard.press("?")
    page.locator("#help .keys").wait_for()


SCREENS = (
    Screen("today", "/"),
    Screen("today, when nothing can come in", "/", first=lose_sources),
    Screen("first steps", "/welcome"),
    Screen("day of a listing", f"/today/{DAY}"),
    Screen("day of a digest", "/today/2031-03-03"),
    Screen("digest in full", f"/today/{DAY}?view=full"),
    Screen("month", f"/digest/{DAY[:7]}"),
    Screen("inbox", "/inbox"),
    Screen("inbox, one open", "/inbox?sort=newest", _first_opened),
    Screen("triage, a day", f"/triage/{DAY}"),
    Screen("triage, entries", f"/triage/{DAY}?topic=topic-1"),
    Screen("triage, a list", f"/triage/{DAY}?list=all"),
    Screen("triage, the prompt", f"/triage/{DAY}?list=prompt"),
    Screen("triage, the rest", f"/triage/{DAY}/rest?below=20"),
    Screen("triage, a month", f"/triage/{DAY[:7]}"),
    Screen("triage, hotspots", "/triage/hotspots"),
    Screen("review", "/review"),
    Screen(
        "review, new concepts, threads and texts",
        "/review?tab=concepts",
        _all_opened,
        first=propose_changes,
    ),
    Screen("review, tension", "/review?tab=tension"),
    Screen("concept, merged", "/w/tide-clock/merge?into=fog-signal"),
    Screen("concept, split", "/w/tide-clock/split"),
    Screen("review, decided", "/review?tab=decided"),
    Screen("review, asked for all", "/review?sure=1"),
    Screen("record", "/review/record?threshold=0.8&concept=fog-signal"),
    Screen("record, refused", "/review/record?threshold=lots"),
    Screen("rules", "/rules"),
    Screen("rules, previewed", "/rules?least=0.9&concept=fog-signal"),
    Screen("rule", "/rules/1?confirm=end"),
    Screen("concept", "/w/tide-clock"),
    Screen("stub", "/w/ebb-line"),
    Screen("paper", "/arxiv/2605.00001"),
    Screen("paper met in a digest", "/w/lilypad-landing-without-a-splash"),
    Screen("thread", "/w/noise-is-a-clock"),
    Screen("episode", "/w/why-slack-water-keeps-time"),
    Screen("edit", "/w/tide-clock/edit"),
    Screen("edit, conflict", "/w/tide-clock/edit", _conflict),
    Screen("edit, refused", "/w/tide-clock/edit", _refused),
    Screen("new page", "/new"),
    Screen("page, removed", "/w/ebb-line", status=410, first=take_out),
    Screen("new page in the place of a removed one", "/w/ebb-line/edit", first=take_out),
    Screen("history", "/w/tide-clock/history"),
    Screen("diff", "/w/tide-clock/diff?from=1&to=2"),
    Screen("who wrote what", "/w/tide-clock/blame"),
    Screen("decisions of links", "/w/tide-clock/decisions"),
    Screen("link, its history", "/links/1/history"),
    Screen("as of a day", f"/w/tide-clock?asof={DAY}"),
    Screen("as of a day before", "/w/tide-clock?asof=2020-01-01", status=404),
    Screen("as of no day", "/w/tide-clock?asof=soon", status=422),
    Screen("thread, as of a day", f"/w/noise-is-a-clock?asof={DAY}"),
    Screen("concept, in conflict", "/w/tide-clock", first=dispute),
    Screen("conflict with a file", "/w/tide-clock/conflict", first=dispute),
    Screen("no conflict", "/w/fog-signal/conflict", status=404),
    Screen("vault", "/vault"),
    Screen("activity", "/activity"),
    Screen("activity, narrowed", "/activity?page=tide-clock&day=2031-03-04"),
    Screen("history, to be removed", "/w/tide-clock/history", _all_opened),
    Screen("vault, with problems", "/vault", first=dispute),
    Screen("links", "/w/tide-clock/links"),
    Screen("pages", "/pages"),
    Screen("pages by kind", "/pages?by=kind"),
    Screen("pages, recent", "/pages?by=recent"),
    Screen("pages, orphans", "/pages?by=orphans"),
    Screen("pages, wanted", "/pages?by=wanted"),
    Screen("threads", "/threads"),
    Screen("threads, searched", "/threads?q=gauges&asof=2026-04-01"),
    Screen("thread, joined", "/w/noise-is-a-clock/merge"),
    Screen("thread, split", "/w/noise-is-a-clock/split"),
    Screen("thread, a member", "/w/noise-is-a-clock/members"),
    Screen("thread, its claim changed elsewhere", "/w/noise-is-a-clock", _claim_conflict),
    Screen("questions", "/questions", _all_opened),
    Screen("predictions", "/predictions"),
    Screen("health", "/health"),
    Screen("live claim", "/live?q=count+kind:paper"),
    Screen("prediction", "/predictions/1"),
    Screen("predictions, resolved", "/predictions?state=resolved"),
    Screen("topics", "/topics"),
    Screen("topic, new", "/topics/_new"),
    Screen("topic, tried", "/topics/topic-0", _tried),
    Screen("topic, refused", "/topics/topic-0", _topic_refused),
    Screen("topic, conflict", "/topics/topic-0", _topic_conflict),
    Screen("atlas", "/atlas?of=came"),
    Screen("atlas, a year", "/atlas?range=year&of=kept"),
    Screen("atlas, another day", "/atlas?asof=2026-04-01"),
    Screen("atlas, growth", "/atlas/growth?of=came&asof=never", _all_opened),
    Screen("atlas, sources", "/atlas/sources?of=papers&range=all"),
    Screen("atlas, kept share", "/atlas/kept?range=6-months"),
    Screen("atlas, papers", "/atlas/papers?of=came&from=2026-05-11&to=2026-05-14"),
    Screen("atlas, items", "/atlas/items?source=2&from=2020-01-01&to=2031-12-31"),
    Screen("search, nothing asked", "/search"),
    Screen("search", "/search?q=gauges"),
    Screen("search by thread", "/search?q=gauges&group=thread&mode=words"),
    Screen("search, nothing found", "/search?q=xylophones+of+brass"),
    Screen("import", "/import"),
    Screen("import, previewed", "/import", _previewed),
    Screen("sources, none yet", "/sources"),
    Screen("sources", "/sources", first=bring_sources),
    Screen("sources, looked at", "/sources", _looked_at, first=answer_with_a_feed),
    Screen("sources, not found", "/sources", _not_found, first=bring_sources),
    Screen("source", f"/sources/{FIRST}", _all_opened, first=bring_sources),
    Screen("source, refused", f"/sources/{FIRST + 1}", _schedule_refused, first=bring_sources),
    Screen("source, to be removed", f"/sources/{FIRST + 3}?confirm=remove", first=bring_sources),
    Screen("source, removed", f"/sources/{FIRST}", status=410, first=remove_a_source),
    Screen("source, what it brought", f"/sources/{FIRST}/items?of=kept", first=bring_sources),
    Screen("jobs", "/jobs"),
    Screen("jobs, with fetches", "/jobs", first=bring_sources),
    Screen("job", f"/jobs/{FIRST}", first=begin_job),
    Screen("costs", "/costs?period=all"),
    Screen("costs, a price refused", "/costs", _price_refused),
    Screen("settings", "/settings"),
    Screen("settings, a budget refused", "/settings", _budget_refused),
    Screen("more", "/more"),
    Screen("no such page", "/w/nowhere", status=404),
    Screen("refused, with what was written", "/more", _sent_in_vain),
    Screen("palette", "/pages?by=recent", _palette),
    Screen("keys", "/threads", _help),
)
