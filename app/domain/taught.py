"""What decisions taught, kept until a share of them are new.

Weights bent to a reader and papers that stand in for concepts cost as much to find as a day's
papers cost to link, and one decision more hardly moves them.
"""

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from app.domain.learning import Learned
from app.domain.texts import Flags, Moved, Rows

AGAIN = 0.1, 100  # so many new decisions teach anew: a share of those known, at most so many


@dataclass(frozen=True)
class StandIns:
    """Waiting papers that stand in for concepts without papers: (papers, concepts), how sure each.

    `looked` are the papers that were looked at for that, `cold` the concepts.
    """

    members: sparse.csr_matrix
    looked: Flags
    cold: Flags

    @classmethod
    def none(cls, papers: int, cold: Flags) -> "StandIns":
        """Of these concepts, no paper looked at."""
        members = sparse.csr_matrix((papers, len(cold)), dtype=np.float32)
        return cls(members, np.zeros(papers, bool), cold)

    def carried(self, moved: Moved, cold: Flags) -> "StandIns":
        """The same where papers and concepts stand now; none when a concept came to be cold."""
        concepts = np.flatnonzero(cold)
        if not self.cold[moved.concepts[concepts]].all() or (moved.concepts[concepts] < 0).any():
            return StandIns.none(len(moved.papers), cold)
        kept = moved.papers >= 0
        looked = kept & self.looked[moved.papers]
        return StandIns(moved.matrix(self.members), looked, cold)


@dataclass(frozen=True)
class Taught:
    """What the decisions of one moment taught: `decided` are the pairs as sorted keys.

    `learned` is None until somebody asks.
    """

    stand_ins: StandIns
    decided: Rows
    learned: Learned | None = None

    def holds(self, decided: Rows) -> bool:
        """Whether not much was decided since."""
        share, most = AGAIN
        news = len(np.setxor1d(self.decided, decided, assume_unique=True))
        return news <= min(share * len(self.decided), most)
