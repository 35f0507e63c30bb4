"""A model's second look at a pair that the linker is unsure of: what it says, and what that moves.

The model reads one paper's title and abstract and says of each concept whether the paper is about
it. Its word moves the linker's confidence by at most `MOVES` in log-odds and decides nothing: "yes"
counts only with a quotation that stands in the paper as it was shown, and a pair that it named twice
counts as not answered. Pure: no model, no database, no clock.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import exp, isfinite, log
from typing import Any

from app.domain.untrusted import line

LEAST, MOST = 0.3, 0.7  # confidences between which the linker is unsure
MOVES = 1.0  # log-odds: 0.5 becomes 0.73 or 0.27
SHORTEST, LONGEST = 12, 300  # characters of a quotation that counts
SIGNAL = "second look"


class Fits(StrEnum):
    """Whether a paper is about a concept, as a model says."""

    YES = "yes"
    NO = "no"
    UNSURE = "unsure"


SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "answers": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "concept": {"type": "string"},
                    "fits": {"type": "string", "enum": [each.value for each in Fits]},
                    "quote": {"type": "string"},
                },
                "required": ["concept", "fits", "quote"],
                "additionalProperties": False,
            },
        }
    },
    "required": ["answers"],
    "additionalProperties": False,
}


@dataclass(frozen=True)
class Said:
    """What a reply says of one concept. `quote` stands in the paper; "" where there is none."""

    fits: Fits
    quote: str = ""


def read(reply: str, concepts: Sequence[str], *, title: str, abstract: str) -> dict[str, Said]:
    """What a reply says of the concepts that were asked about, by their names in the request.

    Left out is what it does not say in the form that was asked for, or says twice.
    """
    try:
        told = json.loads(reply)
    except (ValueError, RecursionError):
        return {}
    rows = told.get("answers") if isinstance(told, dict) else None
    found: dict[str, Said | None] = {}
    for row in rows if isinstance(rows, list) else ():
        name = row.get("concept") if isinstance(row, dict) else None
        if not isinstance(name, str) or name not in concepts:
            continue
        found[name] = None if name in found else _said(row, (line(title), line(abstract)))
    return {name: said for name, said in found.items() if said is not None}


def _said(row: Mapping[str, Any], texts: Sequence[str]) -> Said | None:
    fits, quote = row.get("fits"), row.get("quote")
    if not isinstance(fits, str) or fits not in set(Fits) or not isinstance(quote, str):
        return None
    quote = line(quote)
    if not SHORTEST <= len(quote) <= LONGEST or not any(quote in text for text in texts):
        quote = ""
    if fits == Fits.YES and not quote:
        return Said(Fits.UNSURE)
    return Said(Fits(fits), quote)


@dataclass(frozen=True)
class SecondLook:
    """A second look as a link keeps it.

    `paper` and `concept` are the hashes of the texts it was made on: with others it counts no more.
    `confidence` is the linker's own.
    """

    fits: Fits
    quote: str
    model: str
    paper: str
    concept: str
    confidence: float

    @property
    def moved(self) -> float:
        """The confidence with what was said."""
        way = {Fits.YES: MOVES, Fits.NO: -MOVES, Fits.UNSURE: 0.0}[self.fits]
        if not way or not 0 < self.confidence < 1:
            return self.confidence
        return 1 / (1 + exp(-(log(self.confidence / (1 - self.confidence)) + way)))

    @property
    def signal(self) -> dict[str, Any] | None:
        """Its part of the log-odds, as links keep signals; None where it moves nothing."""
        if self.fits == Fits.UNSURE:
            return None
        return {"name": SIGNAL, "value": MOVES if self.fits == Fits.YES else -MOVES, "words": []}

    @property
    def words(self) -> str:
        """One sentence for the reason of a proposal."""
        quoted = f": \u201c{self.quote}\u201d" if self.quote else ""
        what = {
            Fits.YES: f"finds that it fits{quoted}",
            Fits.NO: f"finds that it does not fit{quoted}",
            Fits.UNSURE: "is unsure too",
        }[self.fits]
        return f"A second look by {self.model} {what}."

    def as_json(self) -> dict[str, Any]:
        return {**vars(self), "fits": self.fits.value}

    @classmethod
    def parse(cls, kept: object) -> SecondLook | None:
        """What `as_json` wrote; None for anything else."""
        if not isinstance(kept, dict) or kept.keys() != cls.__dataclass_fields__.keys():
            return None
        texts = [value for name, value in kept.items() if name != "confidence"]
        sure = kept["confidence"]
        if not all(isinstance(each, str) for each in texts) or kept["fits"] not in set(Fits):
            return None
        if not isinstance(sure, float | int) or not isfinite(sure):
            return None
        return cls(**{**kept, "fits": Fits(kept["fits"]), "confidence": float(sure)})
