"""Every screen keeps to the content policy, to our host and to its budgets of bytes and counts.

The listening of conftest's pages fails a test for a breach of the policy or a foreign request.
Times are never asserted here: `python -m bench browser` prints them.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, Response

from app.bootstrap import App
from app.web.assets import ROOT
from tests.browser import wiki
from tests.browser.conftest import OpenPage
from tests.browser.screens import SCREENS, Screen

HTML, HTML_GZ, REVIEW_HTML = 60_000, 14_000, 120_000
CSS, CSS_GZ, JS_GZ, FONTS = 24_000, 7_000, 24_000, 140_000
FIRST_VISIT, LATER = 9, 2
NODES, SHIFT = 1500, 0.01

_WATCH_SHIFTS = """
window.shifted = 0;
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) if (!entry.hadRecentInput) window.shifted += entry.value;
}).observe({ type: "layout-shift", buffered: true });
"""
_WEIGHED = """() => ({
  nodes: document.querySelectorAll("*").length,
  shift: window.shifted,
  requests: 1 + performance.getEntriesByType("resource").filter((e) => e.transferSize > 0).length,
})"""


def documents(page: Page) -> list[Response]:
    """Fills with the documents that the page loads from now on."""
    found: list[Response] = []
    page.on(
        "response",
        lambda answer: found.append(answer) if answer.request.resource_type == "document" else None,
    )
    return found


@pytest.mark.parametrize("screen", SCREENS, ids=lambda each: each.name)
def test_a_screen_keeps_to_the_policy_and_to_its_budgets(
    screen: Screen, open_page: OpenPage, app: App
) -> None:
    page = open_page()
    page.add_init_script(_WATCH_SHIFTS)
    loaded = documents(page)
    screen.open(page, app)
    weight = page.evaluate(_WEIGHED)
    html = loaded[-1].body()
    over = {
        "html": len(html) > (REVIEW_HTML if screen.path.startswith("/review") else HTML),
        "html gz": len(gzip.compress(html, 6)) > HTML_GZ,
        "nodes": weight["nodes"] > NODES,
        "shift": weight["shift"] > SHIFT,
        "requests": weight["requests"] > FIRST_VISIT,
    }
    assert not any(over.values()), (over, weight, len(html), len(gzip.compress(html, 6)))


@pytest.mark.parametrize("path", ["/", "/inbox", "/review", "/w/tide-clock", "/search?q=gauges"])
def test_a_later_visit_asks_for_the_page_and_nothing_it_has(path: str, page: Page) -> None:
    page.goto("/settings")
    page.goto(path)
    page.evaluate("document.fonts.ready.then(() => 0)")
    assert page.evaluate(_WEIGHED)["requests"] <= LATER


def _ending(*ends: str) -> Callable[[str], bool]:
    return lambda url: url.split("?")[0].endswith(ends)


def test_styles_scripts_and_fonts_keep_to_their_budgets(page: Page) -> None:
    page.goto("/w/tide-clock")
    page.evaluate("document.fonts.ready.then(() => 0)")
    urls: list[str] = page.evaluate(
        "performance.getEntriesByType('resource').map((entry) => entry.name)"
    )

    def served(*ends: str) -> bytes:
        bodies = [page.request.get(url).body() for url in set(filter(_ending(*ends), urls))]
        assert bodies, f"nothing was loaded that ends in {ends}"
        return b"".join(bodies)

    styles, scripts, fonts = served(".css"), served(".js"), served(".woff2")
    assert len(styles) <= CSS
    assert len(gzip.compress(styles)) <= CSS_GZ
    assert len(gzip.compress(scripts)) <= JS_GZ
    assert len(fonts) <= FONTS
    every_font = (ROOT / "static" / "vendor").glob("*.woff2")
    assert sum(font.stat().st_size for font in every_font) <= FONTS


# ---------------------------------------------------------------- drawings


_LABELS = """() => {
  const box = document.querySelector("svg.map").getBoundingClientRect();
  const labels = [...document.querySelectorAll("svg.map text")].map((text) => [text.textContent, text.getBoundingClientRect()]);
  const outside = labels.filter(([, b]) => b.left < box.left - .5 || b.right > box.right + .5 || b.top < box.top - .5 || b.bottom > box.bottom + .5);
  const covered = [];
  for (const [i, [name, a]] of labels.entries()) for (const [other, b] of labels.slice(i + 1)) {
    const over = Math.min(a.right, b.right) - Math.max(a.left, b.left), deep = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
    if (over > 1 && deep > 3) covered.push(`${name} / ${other}: ${over.toFixed(1)} x ${deep.toFixed(1)}`);
  }
  return { count: labels.length, outside: outside.map(([name]) => name), covered };
}"""


@pytest.mark.parametrize("width", [1360, 900, 390])
def test_the_names_in_the_drawing_of_neighbours_stand_apart_and_inside(
    width: int, open_page: OpenPage, app: App
) -> None:
    rows = []
    for count in range(1, 10):
        names = [f"Wooden masts, mammals and moons of bay {count} {n}" for n in range(count)]
        slugs = [f"near-{count}-{n}" for n in range(count)]
        text = " ".join(f"[[{slug}]]" for slug in slugs)
        hub = {"title": f"Mammoth moorings of {count}", "text": text}
        rows += [{"type": "concept", "id": f"hub-{count}", **hub}]
        rows += [
            {"type": "page", "id": slug, "kind": "note", "title": name}
            for slug, name in zip(slugs, names, strict=True)
        ]
    wiki.bring(app, rows)
    page = open_page(width=width)
    page.goto("/settings")  # so that the fonts are there
    page.evaluate("document.fonts.ready.then(() => 0)")
    for path in [*(f"/w/hub-{count}" for count in range(1, 10)), "/w/tide-clock", "/w/kelp-memory"]:
        page.goto(path)
        drawn: dict[str, Any] = page.evaluate(_LABELS)
        assert drawn["count"] >= 2
        assert (path, drawn["outside"], drawn["covered"]) == (path, [], [])
