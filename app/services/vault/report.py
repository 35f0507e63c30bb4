"""What a pass of syncing did, in words and as programs get it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Report:
    """What a sync did, by paths; `refused` has sentences by path ("" is the folder itself).

    `waiting` is what it left for another time: pages without their file, files not taken up.
    """

    written: list[str] = field(default_factory=list)
    taken: list[str] = field(default_factory=list)
    merged: list[str] = field(default_factory=list)
    conflicts: list[str] = field(default_factory=list)
    made: list[str] = field(default_factory=list)
    moved: list[str] = field(default_factory=list)
    copied: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)  # pages, because their files were deleted
    deleted: list[str] = field(default_factory=list)  # files, because their pages are gone
    renamed: dict[str, str] = field(
        default_factory=dict
    )  # what pages of moved files are called now
    refused: dict[str, str] = field(default_factory=dict)
    decisions: int = 0
    waiting: int = 0

    _DONE = (
        "written",
        "taken",
        "merged",
        "conflicts",
        "made",
        "moved",
        "copied",
        "removed",
        "deleted",
    )

    def counts(self) -> dict[str, int]:
        """How many of each, those of nothing left out."""
        found = {name: len(getattr(self, name)) for name in self._DONE}
        return {name: number for name, number in found.items() if number}

    @property
    def done(self) -> int:
        """How many files or pages were changed."""
        return sum(self.counts().values())

    @property
    def in_words(self) -> str:
        """Such as "3 written, 1 edited outside"; "" when nothing was done."""
        return _told(self.counts())

    def words_but(self, *names: str) -> str:
        """The same without some kinds."""
        return _told({name: n for name, n in self.counts().items() if name not in names})

    @property
    def taken_up(self) -> str:
        """The same of what files changed in the wiki."""
        return self.words_but("written", "deleted")

    def lines(self, *, but: str = "") -> list[tuple[str, list[str]]]:
        """What was done, in words, with the paths; but for one kind."""
        return [
            (_WORDS[name].removeprefix("{:,} "), getattr(self, name))
            for name in self.counts()
            if name != but
        ]

    def as_json(self, refused: Mapping[str, str]) -> dict[str, Any]:
        """As programs get it, with what stands refused by paths."""
        return {
            **{name: getattr(self, name) for name in self._DONE},
            "renamed": self.renamed,
            "refused": [{"path": p, "reason": r} for p, r in sorted(refused.items())],
            "decisions": self.decisions,
            "waiting": self.waiting,
        }


def _told(counts: dict[str, int]) -> str:
    return ", ".join(_WORDS[name].format(number) for name, number in counts.items())


_WORDS = {
    "written": "{:,} written",
    "taken": "{:,} edited outside",
    "merged": "{:,} edited on both sides and merged",
    "conflicts": "{:,} in conflict",
    "made": "{:,} made outside",
    "moved": "{:,} moved",
    "copied": "{:,} copied",
    "removed": "{:,} deleted outside",
    "deleted": "{:,} taken away",
}
