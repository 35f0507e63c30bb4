"""Reads the notes of an Obsidian vault: Markdown files that are called what their files are called.

Links, embeds, headings, blocks and aliases within the text are read where every text is
(domain/markdown.py); here are its other customs. Drawings and boards are no notes, and are refused in
words; pictures and other attachments are left where they are, and counted by whoever imports.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from app.domain.identifiers import slugify
from app.domain.items import Document
from app.errors import Unreadable
from app.sources.base import File
from app.sources.markdown_folder import read_note

FOLDER = ".obsidian"  # what a vault has
_NOTES = (".md", ".markdown")
_BOARD = (".canvas",)
_DRAWING = re.compile(r"^excalidraw-plugin\s*:", re.MULTILINE)


@dataclass(frozen=True)
class Obsidian:
    """`names` are the files that are known to lie in a vault; of `doubles` several have one name."""

    format: str = "obsidian"
    names: frozenset[str] = field(default=frozenset(), repr=False)
    doubles: frozenset[str] = field(default=frozenset(), repr=False)

    def recognises(self, file: File) -> bool:
        """A file of a vault, or what only a vault has: a board, a drawing."""
        return file.name in self.names or _is_board(file) or _is_drawing(file)

    def read(self, file: File) -> Document:
        """One note, one page. Raises Unreadable for what is no note."""
        if _is_board(file):
            raise Unreadable(
                f"{file.name} is a Canvas board: its cards are no notes of their own. Copy what is "
                "written on them into a note."
            )
        if _is_drawing(file):
            raise Unreadable(
                f"{file.name} is an Excalidraw drawing, not a note: it stays where it is."
            )
        if not _is_note(file.name) and file.name in self.names:
            raise Unreadable(f"{file.name} is an attachment, not a note.")
        ref = (
            slugify(str(PurePosixPath(_path(file.name)).with_suffix("")))
            if file.name in self.doubles
            else ""
        )
        return read_note(file, format=self.format, vault=True, ref=ref)


def of_vault(names: Iterable[str]) -> tuple[Obsidian, Counter[str]]:
    """The reader of a vault with these files, and how many attachments of each kind it has.

    What is no note, board or drawing is an attachment; those are not among its names.
    """
    notes, left = [], Counter[str]()
    for name in names:
        if _is_note(name) or name.lower().endswith(_BOARD):
            notes.append(name)
        else:
            left[PurePosixPath(_path(name)).suffix.lower().lstrip(".") or "without an ending"] += 1
    # Two notes of one name in two folders are two pages: each is called by its folder too.
    stems = Counter(_stem(name) for name in notes)
    doubles = frozenset(name for name in notes if stems[_stem(name)] > 1)
    return Obsidian(names=frozenset(notes), doubles=doubles), left


def _path(name: str) -> str:
    return name.replace("\\", "/")


def _stem(name: str) -> str:
    return PurePosixPath(_path(name)).stem.casefold()


def _is_note(name: str) -> bool:
    return name.lower().endswith(_NOTES)


def _is_board(file: File) -> bool:
    return file.name.lower().endswith(_BOARD)


def _is_drawing(file: File) -> bool:
    if file.name.lower().endswith((".excalidraw", ".excalidraw.md")):
        return True
    start = file.data[:2_000]
    return (
        start.startswith(b"---") and _DRAWING.search(start.decode("utf-8", "replace")) is not None
    )
