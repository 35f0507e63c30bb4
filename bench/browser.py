"""What each main screen weighs in a browser, and how long a decision key takes, beside the budgets.

Starts the program on a wiki of its own, of invented rows, and drives the Chromium on the path.
First paint and key times are of this machine at this moment: they are printed, never judged.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

from bench.process import cerebro, run, server
from bench.web import synthetic

PORT = 8796
PAGES = 1_200
KEYS = 30
SCREENS = {
    "today": "/",
    "inbox": "/inbox",
    "review": "/review",
    "page": "/w/concept-0",
    "paper": "/arxiv/2601.00000",
    "edit": "/w/concept-0/edit",
    "pages": "/pages",
    "threads": "/threads",
    "search": "/search?q=ka&mode=words",
}
BUDGET = (
    "budget     9 first, 2 later      60 (review 120) raw   1,500    0.010   600 warm, 1,000 cold"
)

# Set before any script of the page runs; read when the page has come to rest.
_WATCH = """
window.seen = { shift: 0, largest: 0 };
const watch = (type, note) => new PerformanceObserver((list) => list.getEntries().forEach(note)).observe({ type, buffered: true });
watch("layout-shift", (entry) => { if (!entry.hadRecentInput) seen.shift += entry.value; });
watch("largest-contentful-paint", (entry) => { seen.largest = entry.startTime; });
"""
_READ = """() => {
  const loaded = performance.getEntriesByType("resource"), [page] = performance.getEntriesByType("navigation");
  return {
    requests: 1 + loaded.filter((entry) => entry.transferSize > 0).length,
    bytes: page.transferSize + loaded.reduce((sum, entry) => sum + entry.transferSize, 0),
    html: page.decodedBodySize,
    nodes: document.querySelectorAll("*").length,
    shift: seen.shift,
    first: performance.getEntriesByName("first-contentful-paint")[0]?.startTime ?? 0,
    largest: seen.largest,
  };
}"""
# Resolves with the milliseconds from a key to the answer having taken its row away.
_GONE = """(key) => new Promise((done) => {
  const row = document.querySelector("#queue > [aria-current]"), began = performance.now();
  new MutationObserver((_, watch) => {
    if (!row.isConnected) { watch.disconnect(); requestAnimationFrame(() => done(performance.now() - began)); }
  }).observe(document.getElementById("queue"), { childList: true });
  document.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
})"""


def rows() -> list[dict[str, object]]:
    """A wiki of concepts, papers and proposals, and a day's listing that waits in the Inbox."""
    listed: list[dict[str, object]] = [
        {
            "type": "paper",
            "id": f"arxiv:2609.{n:05}",
            "title": f"Listed paper {n} on $O(n^{n})$ things",
            "abstract": "It says what it does. " * 30,
            "published": "2026-09-01",
            "day": "2026-09-01",
        }
        for n in range(40)
    ]
    marks: list[dict[str, object]] = [
        {
            "type": "assessment",
            "paper": row["id"],
            "scorer": "bench",
            "day": "2026-09-01",
            "relevance": n % 10 + 1,
            "novelty": 5,
        }
        for n, row in enumerate(listed)
    ]
    return [*synthetic(PAGES), *listed, *marks]


def main() -> None:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        sys.exit("No Chromium is on the path.")
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder)
        file = data / "wiki.jsonl"
        file.write_text("\n".join(json.dumps(row) for row in rows()), encoding="utf-8")
        run(cerebro("import", str(file)), data)
        serve = cerebro("serve", "--no-worker", "--port", str(PORT))
        with server(serve, data, PORT), sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=chromium,
                args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
            )
            _screens(browser)
            _keys(browser)
            browser.close()


def _screens(browser: Browser) -> None:
    print(
        f"{'screen':10} {'requests':>9} {'kB':>9} {'html kB':>22} {'nodes':>7} {'shift':>8} {'first/largest paint ms':>24}"
    )
    print(BUDGET)
    for name, path in SCREENS.items():
        page = _opened(browser)
        cold, warm = _visit(page, path), _visit(page, path)
        page.context.close()
        for when, seen in (("cold", cold), ("warm", warm)):
            print(
                f"{name if when == 'cold' else '':10} {when} {seen['requests']:4} {seen['bytes'] / 1000:9.0f} "
                f"{seen['html'] / 1000:22.1f} {seen['nodes']:7,} {seen['shift']:8.3f} "
                f"{seen['first']:14.0f} / {seen['largest']:5.0f}"
            )


def _opened(browser: Browser) -> Page:
    context = browser.new_context(viewport={"width": 1360, "height": 860})
    context.add_init_script(_WATCH)
    return context.new_page()


def _visit(page: Page, path: str) -> dict[str, Any]:
    page.goto(f"http://127.0.0.1:{PORT}{path}")
    page.evaluate("document.fonts.ready.then(() => 0)")
    page.wait_for_timeout(300)
    seen: dict[str, Any] = page.evaluate(_READ)
    return seen


def _keys(browser: Browser) -> None:
    page = _opened(browser)
    page.goto(f"http://127.0.0.1:{PORT}/review")
    took = sorted(page.evaluate(_GONE, "ra"[n % 2]) for n in range(KEYS))
    page.context.close()
    print(
        f"\ndecision key to row gone, {KEYS} keys one by one: p50 {took[KEYS // 2]:.0f} ms, "
        f"p95 {took[round(0.95 * KEYS) - 1]:.0f} ms (budget: p95 120 ms)"
    )


if __name__ == "__main__":
    main()
