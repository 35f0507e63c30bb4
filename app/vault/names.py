"""What a page's file is called, and which files of a folder are pages. Pure.

A stem is the title where every file system takes it as it stands, so that `[[KV cache]]` finds the
file in Obsidian too, and otherwise the slug.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Container, Mapping
from pathlib import PurePosixPath

from app.domain.records import PageKind

FOLDERS: Mapping[PageKind, str] = {
    PageKind.CONCEPT: "concepts",
    PageKind.PAPER: "papers",
    PageKind.THREAD: "threads",
    PageKind.DIGEST: "digests",
    PageKind.ARTICLE: "articles",
    PageKind.EPISODE: "episodes",
    PageKind.NOTE: "notes",
}
"""Where the file of a page is made; a person may move it anywhere."""

MAX_STEM = 120  # bytes: with folder, `.md` and a conflict copy's mark well below 255
_KINDS = {folder: kind for kind, folder in FOLDERS.items()}
_FORBIDDEN = re.compile(r'[\\/:*?"<>|#^\[\]]')
# What no eye sees, or sees as a blank that it is not.
_UNSEEN = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
_DEVICE = re.compile(
    r"(?:con|prn|aux|nul|conin\$|conout\$|(?:com|lpt)[0-9¹²³])[ ]*(?:\..*)?", re.IGNORECASE
)
_OTHERS = re.compile(
    r"""\.sync-conflict- | \(conflict | \(conflicted[ ]copy | 's[ ]conflicted[ ]copy
      | ^~ | ~$ | ^\#.*\#$ | \.(?:tmp|temp|swp|swo|swx|part|partial|crdownload|icloud|bak|orig)$""",
    re.IGNORECASE | re.VERBOSE,
)


def stem_of(title: str, slug: str) -> str:
    """What the file of a page is called, without `.md`. Twins are the caller's to see (free_path)."""
    return title if _is_file_name(title) else _safe(slug)


def path_key(path: str) -> str:
    """A path as file systems compare that fold case and accents: twins have one key."""
    folded = unicodedata.normalize("NFD", path).casefold()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", folded))


def stem_key(path: str) -> str:
    """The key of a file's name without folder and ending: a wikilink finds a file by it."""
    return path_key(stem(path))


def stem(path: str) -> str:
    """A file's name without folder and ending."""
    name = path.rpartition("/")[2]
    return name[:-3] if name.lower().endswith(".md") else name


def is_page(path: str) -> bool:
    """Whether a file of this path (relative, with slashes) is taken for a page.

    Hidden files and folders, what editors and sync programs leave beside a file (temp files, backups,
    conflict copies), names that are no Unicode, and what does not end in .md are none.
    """
    parts = path.split("/")
    if any(not part or part.startswith(".") for part in parts):
        return False
    if not parts[-1].lower().endswith(".md") or not _is_text(path):
        return False
    # Both `x.tmp.md` and `x.md~`: the mark stands before the ending or instead of it.
    return _OTHERS.search(stem(path)) is None


def kind_of_folder(path: str) -> PageKind | None:
    """The kind that a file's folder says, the innermost that says one; None when none does."""
    for part in reversed(PurePosixPath(path).parts[:-1]):
        if kind := _KINDS.get(part.casefold()):
            return kind
    return None


def free_path(kind: PageKind, title: str, slug: str, taken: Container[str]) -> str:
    """The path of a new file. `taken` has the stem_key of every file of the vault.

    A twin gets the slug, and a number behind it when that is taken too: with `_`, which no slug has.
    """
    folder = FOLDERS[kind]
    safe = _safe(slug)
    for candidate in (stem_of(title, slug), safe):
        if path_key(candidate) not in taken:
            return f"{folder}/{candidate}.md"
    number = 2
    while path_key(f"{safe}_{number}") in taken:
        number += 1
    return f"{folder}/{safe}_{number}.md"


def _safe(slug: str) -> str:
    return f"{slug}_" if _DEVICE.fullmatch(slug) else slug


def _is_file_name(title: str) -> bool:
    if not title or title != title.strip() or title[0] in ".-" or title[-1] == ".":
        return False
    if _FORBIDDEN.search(title) or _DEVICE.fullmatch(title) or title.lower().endswith(".md"):
        return False
    if any(unicodedata.category(sign) in _UNSEEN for sign in title):
        return False
    if any(sign.isspace() and sign != " " for sign in title):
        return False
    if not unicodedata.is_normalized("NFC", title) or len(title.encode()) > MAX_STEM:
        return False
    return is_page(f"{title}.md")


def _is_text(path: str) -> bool:
    try:
        path.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return "\x00" not in path
