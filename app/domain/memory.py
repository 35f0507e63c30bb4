"""What is remembered of a rejected pair, and what counts as new evidence for it.

A pair that was rejected returns only when something is there that was not when it was rejected:

    a name      the paper says a name of the concept whole, and did not say it then: its text
                changed, or the concept has a new name
    papers      of the five papers of the concept that are nearest to it, three or more were
                accepted since, and the linker is clearly surer than it was

What was weighed once is remembered for good, so the same evidence never brings a pair back twice.
Pure: no database and no clock.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from app.domain.evidence import listed, short_title

ACCEPTED_SINCE = 3  # papers, of the nearest
SURER = 0.15  # by how much the confidence has to have grown, as a probability
_MOST_NAMES = 200  # that are remembered of one pair


@dataclass(frozen=True)
class Rejection:
    """How things stood when a pair was rejected.

    `said` are the names of the concept that the paper said, in stems (evidence.name_stems), over
    all rejections of the pair. `confidence` is the linker's; None when it was somebody else's.
    """

    at: datetime
    text_hash: str
    said: frozenset[str]
    confidence: float | None = None
    weighed: datetime | None = None

    def as_json(self) -> dict[str, object]:
        return {
            "at": self.at.isoformat(),
            "text_hash": self.text_hash,
            "said": sorted(self.said)[:_MOST_NAMES],
            "confidence": self.confidence,
            "weighed": self.weighed.isoformat() if self.weighed else None,
        }

    @classmethod
    def parse(cls, stored: object) -> Rejection | None:
        """What `as_json` wrote; None for anything else."""
        if not isinstance(stored, Mapping):
            return None
        said, sure = stored.get("said"), stored.get("confidence")
        at = _moment(stored.get("at"))
        if at is None:
            return None
        return cls(
            at=at,
            text_hash=str(stored.get("text_hash") or ""),
            said=frozenset(map(str, said)) if isinstance(said, list) else frozenset(),
            confidence=float(sure) if isinstance(sure, int | float) else None,
            weighed=_moment(stored.get("weighed")),
        )

    def after(
        self, text_hash: str, said: Collection[str], sure: float | None, **moments: datetime
    ) -> Rejection:
        """This memory with what was weighed later: nothing that was known is forgotten."""
        known = [each for each in (self.confidence, sure) if each is not None]
        return replace(
            self,
            text_hash=text_hash,
            said=self.said | {*said},
            confidence=max(known, default=None),
            **moments,
        )


def _moment(stored: object) -> datetime | None:
    try:
        at = datetime.fromisoformat(str(stored))
    except ValueError:
        return None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Returned:
    """Why a pair is back: one sentence that names its rejection and what is new.

    `since` is the memory that was looked at, `said` and `confidence` what was weighed now.
    """

    why: str
    since: Rejection
    said: frozenset[str]
    confidence: float

    def memory(self, at: datetime, text_hash: str) -> Rejection:
        """What takes the place of `since`: the same evidence will not bring the pair back again."""
        return self.since.after(text_hash, self.said, self.confidence, weighed=at)


def new_names(rejection: Rejection, said: Mapping[str, str]) -> dict[str, str]:
    """Of the names that the paper says now {stems: as it writes them}, those it did not say then."""
    return {key: written for key, written in said.items() if key not in rejection.said}


def joined_since(
    rejection: Rejection, nearest: Sequence[int], accepted: Mapping[int, datetime]
) -> list[int]:
    """Of the nearest papers of the concept, those accepted since, nearest first."""
    since = rejection.weighed or rejection.at
    return [paper for paper in nearest if paper in accepted and accepted[paper] > since]


def returned(
    rejection: Rejection,
    *,
    concept: str,
    said: Mapping[str, str],
    text_hash: str,
    joined: Sequence[str],
    confidence: float,
) -> Returned | None:
    """Whether there is new evidence for a pair that the linker would propose, and which.

    `said` is {stems: as the paper writes it} for every name that the paper says whole, `joined` the
    titles of the nearest papers that were accepted since.
    """
    names = new_names(rejection, said)
    before = rejection.confidence
    if names:
        quoted = listed([f"\u201c{name}\u201d" for name in list(names.values())[:2]])
        new = (
            f"the paper says {quoted}"
            if text_hash != rejection.text_hash
            else f"{concept} is also called {quoted}, which the paper says"
        )
    elif len(joined) >= ACCEPTED_SINCE and before is not None and confidence >= before + SURER:
        shown = listed([short_title(title) for title in joined[:ACCEPTED_SINCE]])
        new = (
            f"{shown}, which it resembles, were accepted into {concept}, "
            f"and the confidence rose from {before:.2f} to {confidence:.2f}"
        )
    else:
        return None
    return Returned(
        why=f"Rejected on {rejection.at.day} {rejection.at:%B %Y}; since then {new}.",
        since=rejection,
        said=frozenset(said),
        confidence=confidence,
    )
