"""Stand-ins for what is slow or outside: deterministic, and real in what they do."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from app.domain.words import stems


class HashingEncoder:
    """An encoder without a model: each stem of a text adds to a few numbers its hash chooses.

    Texts that share words are near each other; the same text always has the same unit vector.
    """

    def __init__(self, dim: int = 64) -> None:
        self.dim = dim
        self.model = f"hashing/{dim}@1"
        self.setting = f"hashing/{dim}"

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        rows = np.zeros((len(texts), self.dim), np.float32)
        for row, text in enumerate(texts):
            for stem in stems(text) or ["?"]:
                digest = blake2b(stem.encode("utf-8", "replace"), digest_size=16).digest()
                for at in range(0, 16, 4):
                    place = int.from_bytes(digest[at : at + 3], "big") % self.dim
                    rows[row, place] += 1.0 if digest[at + 3] % 2 else -1.0
            if not rows[row].any():
                rows[row, 0] = 1.0
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)
