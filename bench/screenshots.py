"""`make screenshots`: pictures of every screen, desktop and phone, light and dark, to be looked at.

Starts the program on a wiki of its own (the starter wiki, and the sample documents when they are
beside the checkout) and writes PNG files into `build/screenshots` or the folder given.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from bench.process import ROOT, SHARED, cerebro, run, server

PORT = 8795
DAY = "2026-05-14"  # of the sample digest: what the day says is told of it
SCREENS = {
    "today": "/",
    "digest": f"/today/{DAY}?view=full",
    "month": f"/digest/{DAY[:7]}",
    "inbox": "/inbox",
    "review": "/review",
    "proposals": "/review?tab=concepts",
    "decided": "/review?tab=decided",
    "record": "/review/record",
    "rules": "/rules",
    "concept": "/w/kv-cache",
    "paper": "/w/paged-attention",
    "thread": "/w/idle-cache",
    "merge": "/w/kv-cache/merge",
    "split": "/w/kv-cache/split",
    "mentions": "/w/kv-cache/mentions",
    "edit": "/w/kv-cache/edit",
    "history": "/w/kv-cache/history",
    "blame": "/w/kv-cache/blame",
    "decisions": "/w/kv-cache/decisions",
    "link-history": "/links/1/history",
    "as-of": f"/w/idle-cache?asof={DAY}",
    "links": "/w/kv-cache/links",
    "pages": "/pages",
    "threads": "/threads",
    "join": "/w/idle-cache/merge",
    "questions": "/questions",
    "predictions": "/predictions",
    "health": "/health",
    "activity": "/activity",
    "vault": "/vault",
    "live": "/live?q=count+kind:paper",
    "prediction": "/predictions/1",
    "topics": "/topics",
    "topic": "/topics/_new",
    "atlas": "/atlas?of=came",
    "growth": "/atlas/growth?of=came",
    "atlas-sources": "/atlas/sources?of=papers",
    "kept-share": "/atlas/kept",
    "search": "/search?q=cache",
    "import": "/import",
    "sources": "/sources",
    "jobs": "/jobs",
    "more": "/more",
    "costs": "/costs",
    "settings": "/settings",
    "missing": "/w/no-such-page",
}
LOOKS = {
    "desktop-light": ((1360, 860), "light"),
    "desktop-dark": ((1360, 860), "dark"),
    "phone-light": ((390, 844), "light"),
    "phone-dark": ((390, 844), "dark"),
}


def main() -> None:
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "build" / "screenshots"
    out.mkdir(parents=True, exist_ok=True)
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        sys.exit("No Chromium is on the path.")
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder)
        serve = cerebro("serve", "--no-worker", "--port", str(PORT))
        with server(serve, data, PORT):
            pass  # the first start loads the starter wiki
        seeds = SHARED / "data" / "seeds"
        if seeds.is_dir():
            run(cerebro("import", str(seeds)), data)
        run(cerebro("worker", "--once"), data)
        with server(serve, data, PORT), sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=chromium,
                args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
            )
            for look, (size, scheme) in LOOKS.items():
                _shoot(browser, out, look, size, scheme)
            browser.close()
    print(f"{len(SCREENS) * len(LOOKS)} pictures in {out}")


def _shoot(browser: Browser, out: Path, look: str, size: tuple[int, int], scheme: str) -> None:
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]},
        color_scheme="dark" if scheme == "dark" else "light",
    )
    page = context.new_page()
    for name, path in SCREENS.items():
        page.goto(f"http://127.0.0.1:{PORT}{path}")
        page.screenshot(path=out / f"{name}-{look}.png")
    context.close()


if __name__ == "__main__":
    main()
