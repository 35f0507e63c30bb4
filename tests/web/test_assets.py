"""The files of the interface: installed once, checked against their hash, cached for ever."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from app.domain.atlas import LEVELS
from app.errors import Unavailable, Unreadable
from app.web.assets import IMMUTABLE, ROOT, SCRIPTS, Assets, Static, install, listed, sha384

LIBRARY = b"/* a library */ (() => {})();\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A checkout with one package that npm has brought already."""
    package = tmp_path / "node_modules" / "lib" / "dist"
    package.mkdir(parents=True)
    (package / "lib.min.js").write_bytes(LIBRARY)
    scripts = tmp_path / "static" / "js"
    scripts.mkdir(parents=True)
    (tmp_path / "static" / "app.css").write_text("body { color: red }\n", encoding="utf-8")
    for name in SCRIPTS:
        (scripts / f"{name}.js").write_text(f"// {name}\n", encoding="utf-8")
    wanted = {
        "package": "lib",
        "file": "dist/lib.min.js",
        "name": "lib-1.2.3.min.js",
        "short": "htmx.js",
        "sha384": sha384(LIBRARY),
    }
    (tmp_path / "assets.json").write_text(json.dumps({"files": [wanted]}), encoding="utf-8")
    return tmp_path


def served(root: Path) -> TestClient:
    web = FastAPI()
    web.mount("/static", Static(Assets.load(root)))
    return TestClient(web, base_url="http://localhost")


def test_files_are_copied_and_named_in_the_manifest(root: Path) -> None:
    said = install(root)
    assert said == ["copied lib-1.2.3.min.js", "wrote static/manifest.json"]
    assert (root / "static/vendor/lib-1.2.3.min.js").read_bytes() == LIBRARY
    manifest = json.loads((root / "static/manifest.json").read_text(encoding="utf-8"))
    assert manifest == {
        "htmx.js": {"url": "/static/vendor/lib-1.2.3.min.js", "integrity": sha384(LIBRARY)}
    }


def test_a_second_time_nothing_is_done_and_npm_is_not_needed(root: Path) -> None:
    install(root)
    (root / "node_modules" / "lib" / "dist" / "lib.min.js").unlink()
    assert install(root) == ["the files of the interface are there"]


def test_a_damaged_copy_is_made_again(root: Path) -> None:
    install(root)
    (root / "static/vendor/lib-1.2.3.min.js").write_bytes(b"cut sho")
    assert "copied lib-1.2.3.min.js" in install(root)
    assert (root / "static/vendor/lib-1.2.3.min.js").read_bytes() == LIBRARY


def test_without_a_lock_file_npm_fails_in_one_sentence_and_nothing_is_copied(root: Path) -> None:
    (root / "node_modules" / "lib" / "dist" / "lib.min.js").write_bytes(b"somebody else's library")
    (root / "package.json").write_text('{"private": true}', encoding="utf-8")
    with pytest.raises(Unavailable, match="npm"):
        install(root)
    assert not (root / "static" / "vendor").exists()


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"files": [{"package": "lib"}]}', '{"files": 3}']
)
def test_a_list_that_is_no_list_is_said_to_be_unreadable(root: Path, text: str) -> None:
    (root / "assets.json").write_text(text, encoding="utf-8")
    with pytest.raises(Unreadable, match=r"assets\.json"):
        install(root)


def test_without_installed_files_our_own_are_served_and_the_others_are_not_named(
    root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assets = Assets.load(root)
    assert assets.asset("htmx.js") is None
    assert assets.asset("app.css") is not None
    assert [record.message for record in caplog.records] == [
        "Fonts and htmx are not installed: pages are plain. Run `cerebro assets`."
    ]


@pytest.mark.parametrize("text", ["{", "[]", '{"htmx.js": 1}', '{"htmx.js": {"url": "/x"}}'])
def test_a_broken_manifest_is_the_same_as_none(root: Path, text: str) -> None:
    (root / "static" / "manifest.json").write_text(text, encoding="utf-8")
    assert Assets.load(root).asset("htmx.js") is None


def test_what_has_its_version_or_hash_in_its_address_never_expires(root: Path) -> None:
    install(root)
    assets = Assets.load(root)
    with served(root) as client:
        for name in ("htmx.js", "app.css", "app.js"):
            asset = assets.asset(name)
            assert asset is not None
            answer = client.get(asset.url)
            assert answer.status_code == 200
            assert answer.headers["cache-control"] == IMMUTABLE
            assert sha384(answer.content) == asset.integrity


@pytest.mark.parametrize("path", ["/static/app.css", "/static/app.css?v=old", "/static/js/keys.js"])
def test_an_address_without_the_present_hash_is_asked_for_again(root: Path, path: str) -> None:
    with served(root) as client:
        answer = client.get(path)
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-cache"


@pytest.mark.parametrize(
    "path", ["/static/manifest.json", "/static/nothing", "/static/../assets.json", "/static/%2e%2e/assets.json"]
)  # fmt: skip
def test_nothing_but_the_files_of_the_interface_is_served(root: Path, path: str) -> None:
    install(root)
    with served(root) as client:
        assert client.get(path).status_code == 404


def test_scripts_of_ours_are_one_file_in_their_order(root: Path) -> None:
    script = Assets.load(root).own["app.js"].decode()
    assert script == "".join(f"// {name}\n" for name in SCRIPTS)


def test_scripts_cannot_be_posted_to(root: Path) -> None:
    with served(root) as client:
        assert client.post("/static/app.js").status_code == 405


# ---------------------------------------------------------------- the real ones


def test_every_script_is_served() -> None:
    assert {path.stem for path in (ROOT / "static" / "js").glob("*.js")} == set(SCRIPTS)


def test_names_carry_the_version_that_the_lock_file_pins() -> None:
    locked = json.loads((ROOT / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    for each in listed(ROOT):
        version = locked[f"node_modules/{each.package}"]["version"]
        assert version in each.name, each.name


def test_the_lock_file_has_a_hash_for_everything_and_names_no_registry() -> None:
    text = (ROOT / "package-lock.json").read_text(encoding="utf-8")
    packages = [each for path, each in json.loads(text)["packages"].items() if path]
    assert all(each["integrity"].startswith("sha512-") for each in packages)
    assert "resolved" not in text
    assert "registry" not in text


def test_every_font_of_the_style_sheet_is_a_listed_file() -> None:
    css = (ROOT / "static" / "app.css").read_text(encoding="utf-8")
    fonts = set(re.findall(r"url\(vendor/([^)]+)\)", css))
    assert fonts == {each.name for each in listed(ROOT) if each.name.endswith(".woff2")}


def test_no_rule_of_the_style_sheet_is_for_a_name_that_nothing_has() -> None:
    css = (ROOT / "static" / "app.css").read_text(encoding="utf-8")
    selectors = re.findall(r"([^{};]+)\{", re.sub(r'/\*.*?\*/|"[^"]*"', "", css, flags=re.DOTALL))
    names = set(re.findall(r"[.#]([a-zA-Z][\w-]*)", " ".join(selectors)))
    files = [*(ROOT / "app").rglob("*.html"), *(ROOT / "app").rglob("*.py")]
    files += (ROOT / "static" / "js").glob("*.js")
    said = set()
    for path in files:
        said |= set(re.findall(r"[a-zA-Z][\w-]*", path.read_text(encoding="utf-8")))
    shades = {f"h{level}" for level in range(1, LEVELS + 1)}  # written as a letter and a number
    assert len(names) > 100
    assert names - said - shades == set()


def test_style_sheet_and_scripts_keep_their_budget() -> None:
    css = (ROOT / "static" / "app.css").read_bytes()
    scripts = Assets.load(ROOT).own["app.js"]
    assert len(css) <= 24_000
    assert len(gzip.compress(css, 9)) <= 7_000
    assert len(gzip.compress(scripts, 9)) <= 6_000


def test_installed_fonts_keep_their_budget() -> None:
    fonts = [each.target(ROOT) for each in listed(ROOT) if each.name.endswith(".woff2")]
    if not all(path.is_file() for path in fonts):
        pytest.skip("the files of the interface are not installed")
    assert sum(path.stat().st_size for path in fonts) <= 140_000
