"""WCAG 2.2 A and AA by axe-core on every screen, in both themes, wide and on a phone; and room to zoom."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Page

from app.bootstrap import App
from app.web.assets import ROOT
from tests.browser.conftest import OpenPage
from tests.browser.screens import SCREENS, Screen

AXE = ROOT / "node_modules" / "axe-core" / "axe.min.js"
pytestmark = pytest.mark.skipif(
    not AXE.is_file(), reason="axe-core is not installed: run `npm ci --ignore-scripts`"
)
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
# Only colours differ between the themes, so the second look at a width asks for these alone.
COLOURS = ["color-contrast", "link-in-text-block"]

# Text that is cut off where it stands, apart from what is hidden from sight on purpose.
_CUT_OFF = """
() => [...document.querySelectorAll("main *, .nav *, .top *")].filter((e) => {
  const style = getComputedStyle(e), box = e.getBoundingClientRect();
  if (box.width < 2 || box.height < 2 || !e.textContent.trim() || e.closest(".hidden, svg, math")) return false;
  const clips = (axis) => /hidden|clip/.test(style["overflow" + axis]);
  return (clips("X") && e.scrollWidth > e.clientWidth + 1) || (clips("Y") && e.scrollHeight > e.clientHeight + 1
    && style.webkitLineClamp === "none");
}).map((e) => `${e.tagName}.${e.className}: ${e.textContent.trim().slice(0, 60)}`)
"""
_WIDER = """
() => document.documentElement.scrollWidth <= innerWidth ? [] : [...document.querySelectorAll("body *")].filter((e) =>
  e.getBoundingClientRect().right > innerWidth + 1 && !e.closest(".scroll, pre, table, math, .tabs, dialog:not([open])"))
  .map((e) => `${e.tagName}.${e.className}: ${e.textContent.trim().slice(0, 40)}`).slice(0, 8).concat([`${document.documentElement.scrollWidth} px`])
"""


# What scrolls sideways by itself has to be reached by keys too; a row of links is.
_STUCK = """
() => [...document.querySelectorAll("main *")].filter((e) => e.clientWidth && e.scrollWidth > e.clientWidth + 1
  && /auto|scroll/.test(getComputedStyle(e).overflowX) && e.tabIndex < 0 && !e.matches(".tabs"))
  .map((e) => `${e.tagName}.${e.className}: scrolls, and cannot be focused`)
"""
_AT_320 = (_WIDER, _CUT_OFF, _STUCK)


def violations(page: Page, *, rules: list[str] | None = None) -> list[str]:
    """What axe finds on the page as it stands: rule, element and why, one line each."""
    only: dict[str, Any] = (
        {"type": "rule", "values": rules} if rules else {"type": "tag", "values": TAGS}
    )
    found: list[dict[str, Any]] = page.evaluate(
        "only => axe.run(document, {runOnly: only, resultTypes: ['violations'], preload: false}).then(r => r.violations)",
        only,
    )
    return [
        f"{rule['id']}: {node['html'][:160]}: {node['failureSummary'][:300]}"
        for rule in found
        for node in rule["nodes"]
    ]


@pytest.mark.parametrize("screen", SCREENS, ids=lambda each: each.name)
def test_a_screen_serves_everybody_wide_narrow_light_dark_and_enlarged(
    screen: Screen, open_page: OpenPage, app: App
) -> None:
    page = open_page(bypass_csp=True, reduced_motion="reduce")
    page.context.add_init_script(path=AXE)
    screen.open(page, app)
    found = {"wide, light": violations(page)}
    page.emulate_media(color_scheme="dark")
    found["wide, dark"] = violations(page, rules=COLOURS)
    page.set_viewport_size({"width": 390, "height": 844})
    found["phone, dark"] = violations(page)
    page.emulate_media(color_scheme="light")
    found["phone, light"] = violations(page, rules=COLOURS)
    page.set_viewport_size({"width": 320, "height": 640})
    found["at 320 px"] = [line for look in _AT_320 for line in page.evaluate(look)]
    page.set_viewport_size({"width": 1280, "height": 800})
    page.evaluate("document.documentElement.style.fontSize = '200%'")
    found["in text twice as large"] = page.evaluate(_WIDER) + page.evaluate(_CUT_OFF)
    lines = [f"{look}: {line}" for look, said in found.items() for line in said]
    assert not lines, "\n".join(lines)
