"""What a page's file is called, and which files of a folder are pages. Pure.

A stem is the title where every file system takes it as it stands, so that `[[KV cache]]` finds the
file in Obsidian too, and otherwise the slug.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Container, Mapping
from pathlib import PurePosixPath

from app.domain.file_names import MAX_STEM, is_device, is_file_name, is_page, stem
from app.domain.records import PageKind

__all__ = [
    "FOLDERS",
    "MAX_STEM",
    "free_path",
    "is_page",
    "kind_of_folder",
    "path_key",
    "stem",
    "stem_key",
    "stem_of",
]

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

_KINDS = {folder: kind for kind, folder in FOLDERS.items()}


def stem_of(title: str, slug: str) -> str:
    """What the file of a page is called, without `.md`. Twins are the caller's to see (free_path)."""
    return title if is_file_name(title) else _safe(slug)


def path_key(path: str) -> str:
    """A path as file systems compare that fold case and accents: twins have one key."""
    folded = unicodedata.normalize("NFD", path).casefold()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", folded))


def stem_key(path: str) -> str:
    """The key of a file's name without folder and ending: a wikilink finds a file by it."""
    return path_key(stem(path))


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
    return f"{slug}_" if is_device(slug) else slug
