"""Unit vectors in memory, and which of them are nearest to another: numpy alone, no database.

Up to 200,000 rows every one is multiplied. Beyond that one bit of each number, its sign, is looked
at first: rows whose signs agree best are few, and those are multiplied. The scan of the bits reads
a thirty-second of the memory.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

EXACT_UP_TO = 200_000  # rows that are all multiplied
CANDIDATES = 5_000  # rows that are multiplied after a look at the signs, at least
_SPARE = 32_768  # rows of room for what comes later, at least
_SLAB = 65_536  # rows whose signs are looked at in one go: they stay in the processor's cache
_WORD = 64

Matrix = NDArray[np.float32]
Ids = NDArray[np.int64]
Part = tuple[Ids, Matrix]


@dataclass(frozen=True)
class Rows:
    """Vectors of pages at one moment: row `n` of `matrix` is that of page `ids[n]`. Never changed.

    A later state is made by `extended` and `without`. It shares the memory of this one: new rows
    go into room that this one does not look at, so nothing is copied. Hence of two states made of
    one only the latter may be used, and rows that nobody needs (`gone`, with id 0) stay until the
    room is used up. `signs` has a bit of each number, (words, rows), where there are many rows.
    """

    ids: Ids
    gone: Ids
    room: Matrix
    signs: NDArray[np.uint64]

    @classmethod
    def none(cls) -> Rows:
        return cls(
            np.zeros(0, np.int64),
            np.zeros(0, np.int64),
            np.zeros((0, 0), np.float32),
            np.zeros((0, 0), np.uint64),
        )

    def __len__(self) -> int:
        return len(self.ids) - len(self.gone)

    @property
    def dim(self) -> int:
        """Numbers in a vector; 0 while there is none."""
        return int(self.room.shape[1]) if len(self.ids) else 0

    @property
    def matrix(self) -> Matrix:
        """All rows, (rows, dim), those of nobody too; not to be written."""
        view = self.room[: len(self.ids)]
        view.flags.writeable = False
        return view

    def page_ids(self) -> Ids:
        """The pages that have a row."""
        present: Ids = self.ids[self.ids != 0]
        return present

    # ------------------------------------------------------------ later states

    def extended(self, parts: Iterable[Part], *, expected: int = 0) -> Rows:
        """With these vectors, in place of older ones of the same pages; ids come once each.

        Vectors of another length than the first are left out. `expected` rows get room at once.
        """
        if len(self.gone) and len(self.ids) + expected > len(self.room):
            return self._compact(expected).extended(parts, expected=expected)
        ids, room = [self.ids], self.room
        end = len(self.ids)
        for new, block in parts:
            if end == 0 and room.shape[1] != block.shape[1]:
                room = np.empty((0, block.shape[1]), np.float32)
            if not len(new) or block.shape[1] != room.shape[1]:
                continue
            if end + len(new) > len(room):
                larger = _room(end + max(len(new), expected), room.shape[1])
                larger[:end] = room[:end]
                room = larger
            room[end : end + len(new)] = block
            ids.append(new)
            end += len(new)
        if end == len(self.ids):
            return self
        late = np.concatenate(ids[1:])
        early = self.ids.copy()
        early[np.isin(early, late)] = 0
        later = Rows(np.concatenate([early, late]), self.gone, room, self.signs)
        return later._tidied(signed=len(self.ids) if room is self.room else 0)

    def without(self, present: Ids) -> Rows:
        """Only the vectors of these pages."""
        ids = np.where(np.isin(self.ids, present), self.ids, 0)
        return Rows(ids, np.flatnonzero(ids == 0), self.room, self.signs)

    def _compact(self, expected: int) -> Rows:
        """The same in new room for `expected` rows more, without the rows of nobody."""
        kept = np.flatnonzero(self.ids)
        room = _room(len(kept) + expected, self.room.shape[1])
        np.take(self.room, kept, axis=0, out=room[: len(kept)], mode="clip")
        return Rows(self.ids[kept], kept[:0], room, self.signs)._tidied(signed=0)

    def _tidied(self, *, signed: int) -> Rows:
        """With the signs of all rows, those of the first `signed` being there."""
        gone = np.flatnonzero(self.ids == 0)
        if len(self.ids) <= EXACT_UP_TO:
            return Rows(self.ids, gone, self.room, np.zeros((0, 0), np.uint64))
        signs = self.signs
        if signed == 0 or signs.shape[1] != len(self.room):
            signs = np.empty((-(-self.room.shape[1] // _WORD), len(self.room)), np.uint64)
            signed = 0
        for start in range(signed, len(self.ids), _SLAB):
            end = min(start + _SLAB, len(self.ids))
            signs[:, start:end] = _signs(self.room[start:end]).T
        return Rows(self.ids, gone, self.room, signs)

    # ------------------------------------------------------------ questions

    def nearest(
        self, vector: Matrix, *, limit: int, allowed: Ids | None = None
    ) -> list[tuple[int, float]]:
        """The pages whose rows are nearest to a vector (dim,), as (page id, cosine), nearest first.

        `allowed` names the pages that may be among them. Equal cosines go by id.
        """
        if limit < 1 or not len(self) or vector.size != self.dim:
            return []
        rows = None if allowed is None else np.flatnonzero(np.isin(self.ids, allowed))
        wanted = max(CANDIDATES, 10 * limit)
        if self.signs.size and (rows is None or len(rows) > 4 * wanted):
            rows = self._agreeing(vector, wanted, rows)
        if rows is not None and (self.signs.size or len(rows) * 8 < len(self.ids)):
            ids, cosines = self.ids[rows], _cosines(self.matrix[rows], vector)
        else:  # of many rows the whole product is cheaper than the copy
            ids, cosines = self.ids, _cosines(self.matrix, vector)
            cosines[self.gone] = -np.inf
            if rows is not None:
                ids, cosines = ids[rows], cosines[rows]
        best = _largest(cosines, limit)
        best = best[np.lexsort((ids[best], -cosines[best]))]
        return [(int(ids[row]), float(cosines[row])) for row in best if ids[row]]

    def of(self, page_ids: Ids) -> Matrix:
        """The vectors of these pages, one row each, (len(page_ids), dim); zeros where there is none."""
        found = np.zeros((len(page_ids), self.dim), np.float32)
        if len(self):
            order = np.argsort(self.ids, kind="stable")
            at = np.minimum(np.searchsorted(self.ids, page_ids, sorter=order), len(order) - 1)
            rows = order[at]
            have = (self.ids[rows] == page_ids) & (page_ids != 0)
            found[have] = self.matrix[rows[have]]
        return found

    def _agreeing(self, vector: Matrix, wanted: int, among: Ids | None) -> Ids:
        """The `wanted` rows, or a few more, whose signs agree best with those of the vector."""
        query = _signs(vector.reshape(1, -1))[0]
        count = len(self.ids)
        distances = np.empty(count, np.uint16)
        crossed, bits = np.empty(_SLAB, np.uint64), np.empty(_SLAB, np.uint8)
        for start in range(0, count, _SLAB):
            end = min(start + _SLAB, count)
            slab, size = distances[start:end], end - start
            slab[:] = 0
            for word, each in zip(self.signs, query, strict=True):
                np.bitwise_xor(word[start:end], each, out=crossed[:size])
                np.bitwise_count(crossed[:size], out=bits[:size])
                np.add(slab, bits[:size], out=slab)
        if among is not None:
            distances = distances[among]
        elif len(self.gone):
            distances[self.gone] = np.iinfo(np.uint16).max
        so_far = np.cumsum(np.bincount(distances))
        furthest = int(np.searchsorted(so_far, wanted))
        rows = np.flatnonzero(distances <= furthest)[: 8 * wanted]  # thousands may be alike
        return rows if among is None else among[rows]


def _room(rows: int, dim: int) -> Matrix:
    """Room for these rows and half as many again: memory that nobody writes to costs nothing."""
    return np.empty((rows + max(rows // 2, _SPARE), dim), np.float32)


def _cosines(rows: Matrix, vector: Matrix) -> Matrix:
    """`rows @ vector`, by one thread: those of a matrix product wait for each other by spinning."""
    return np.asarray(np.vecdot(rows, vector.astype(np.float32, copy=False)), np.float32)


def _signs(rows: Matrix) -> NDArray[np.uint64]:
    """One bit a number, 64 to a word: (rows, ceil(dim / 64))."""
    packed = np.packbits(rows > 0, axis=1)
    padded = np.zeros((len(rows), -(-rows.shape[1] // _WORD) * 8), np.uint8)
    padded[:, : packed.shape[1]] = packed
    return padded.view(np.uint64)


def _largest(values: Matrix, count: int) -> Ids:
    if len(values) <= count:
        return np.arange(len(values))
    return np.argpartition(-values, count - 1)[:count]
