"""The numbers the linker judges by: how like a paper is to each concept, in fourteen ways.

`texts.py` holds what can be said before anybody decided anything, `Judge` what follows from who is
linked to what. It is sums: a concept's are made anew when a paper was linked to it or taken away,
and all others stay. Work is in blocks of papers; the weighing is linking.py's.
"""

from collections.abc import Callable, Collection
from copy import copy
from functools import cached_property

import numpy as np
from scipy import sparse

from app.domain.texts import (
    SLAB,
    Array,
    Flags,
    Moved,
    Rows,
    Texts,
    View,
    added,
    blocks,
    carried,
    dense,
    inverse,
    ordinary,
    turned,
)

FEATURES = (
    "papers", "papers lead", "classifier", "classifier lead", "neighbours", "neighbours lead",
    "size", "name", "name lead", "mention", "mention lead", "title mention", "title mention lead",
    "familiar", "graph",
)  # fmt: skip
NEIGHBOURS = 30  # decided papers that vote
FEW = 5  # of them, that tell whether a paper is familiar
ROUNDING = np.float32(1e-5)  # two ways to compute one product differ by less
REFUSED = 0.5  # what a rejected paper weighs, turned round, against an accepted one


class Judge:
    """Turns papers into FEATURES, given who belongs to what."""

    def __init__(
        self,
        texts: Texts,
        members: sparse.csr_matrix,
        rejected: sparse.csr_matrix,
        near: sparse.csr_matrix,
        *,
        earlier: "Judge | None" = None,
        moved: Moved | None = None,
    ) -> None:
        """members, rejected: (papers, concepts), members may weigh less than one; near: (papers,
        papers), one where two papers are neighbours in the graph. earlier: a judge over the same
        texts, or over earlier ones (`moved` says where what stood there); what follows from pairs
        and texts that are the same is taken over."""
        self.texts, self.members, self.near = texts, members.tocsr(), near.tocsr()
        self.size = np.asarray(self.members.sum(axis=0), np.float32).ravel()
        self.verdicts = (self.members - REFUSED * rejected).tocsr()
        self.verdicts.eliminate_zeros()
        self.is_decided = np.diff(self.verdicts.indptr) > 0
        self.decided = np.flatnonzero(self.is_decided)
        change = _Change(self, earlier, moved or Moved.nothing(*texts.shape))
        before = earlier.profiles if earlier else [None] * len(texts.views)
        self.profiles: list[_Profiles] = [
            _Profiles(view, self.members, change, profile)
            for view, profile in zip(texts.views, before, strict=False)
        ]
        self.ridge = _Ridge(self, change)
        sample = texts.ordinary_rows()
        self.weights = texts.weights(self.size)
        likeness = added(
            weight * profile.summed(sample)
            for weight, profile in zip(self.weights, self.profiles, strict=False)
        )
        self.ordinary_papers = ordinary(likeness, len(sample))

    def features(self, rows: Rows, names: Collection[str] = FEATURES) -> Array:
        """(rows, concepts, FEATURES); a paper that counts for a concept is taken out first.

        Zero are those not among the names. In memory each feature lies by itself: `[..., number]`
        is one piece.
        """
        found = np.zeros((len(FEATURES), len(rows), self.texts.shape[1]), np.float32)

        def put(name: str, of: Callable[[Rows], Array]) -> None:
            lead = f"{name} lead"
            if name in names or lead in names:
                found[FEATURES.index(name)] = numbers = of(rows)
                if lead in FEATURES:
                    found[FEATURES.index(lead)] = _lead(numbers)

        texts = self.texts
        put("papers", lambda rows: self._likeness(rows) - self.ordinary_papers)
        put("classifier", self._classifier)
        put("size", self._size)
        put("name", lambda rows: texts.name_likeness(rows) - texts.ordinary_name)
        put("mention", lambda rows: texts.mentions(rows, texts.text))
        put("title mention", lambda rows: texts.mentions(rows, texts.title))
        if {"neighbours", "neighbours lead", "familiar"} & {*names}:
            votes, familiar = self._votes(rows)
            put("neighbours", lambda rows: votes)
            put("familiar", lambda rows: familiar[:, None])
        put("graph", self._graph)
        return np.moveaxis(found, 0, -1)

    def only(self, columns: Rows) -> "Judge":
        """This judge over some of the concepts: a lead is then one over the others among these."""
        found = copy(self)
        found.texts = self.texts.only(columns)
        found.members, found.verdicts = self.members[:, columns], self.verdicts[:, columns]
        found.size, found.ordinary_papers = self.size[columns], self.ordinary_papers[columns]
        pairs = zip(found.texts.views, self.profiles, strict=True)
        found.profiles = [profile.only(view, columns) for view, profile in pairs]
        found.ridge = copy(self.ridge)
        found.ridge.slopes = self.ridge.slopes[:, columns]
        found.__dict__.pop("_by_concept", None)
        return found

    def shared_words(self, rows: Rows, columns: Rows) -> list[tuple[str, ...]]:
        """For each pair the words that make the paper like the concept's profile.

        The paper's own share in the profile is taken out: it does not speak for itself.
        """
        papers: sparse.csr_matrix = self.texts.by_words.papers[rows]
        own = np.asarray(self.members[rows, columns], np.float32).ravel()
        shared = _looked_up(self.profiles[0].turned, papers, columns).copy()
        shared.data -= np.repeat(own, np.diff(papers.indptr)) * papers.data
        shared.data *= papers.data
        shared.data[shared.data < 1e-6] = 0
        shared.eliminate_zeros()
        return self.texts.written(shared)

    def resembles(self, rows: Rows, columns: Rows, most: int = 3) -> list[tuple[int, ...]]:
        """For each pair the accepted papers of the concept that are nearest to the paper.

        Rows of papers, the nearest first, the paper itself left out; only those near at all.
        """
        found: list[tuple[int, ...]] = [()] * len(rows)
        for column in np.unique(columns).tolist():
            start, end = self._by_concept.indptr[column : column + 2]
            members = self._by_concept.indices[start:end][self._by_concept.data[start:end] == 1]
            asked = np.flatnonzero(columns == column)
            near = self.texts.space(rows[asked]) @ self.texts.space(members).T
            near[rows[asked][:, None] == members] = 0
            order = np.argsort(-near, axis=1, kind="stable")[:, :most]
            for pair, likeness, first in zip(asked.tolist(), near, order, strict=True):
                found[pair] = tuple(members[first][likeness[first] > 0].tolist())
        return found

    @cached_property
    def _by_concept(self) -> sparse.csc_matrix:
        return self.members.tocsc()

    def _likeness(self, rows: Rows) -> Array:
        return added(
            weight * profile.likeness(rows)
            for weight, profile in zip(self.weights, self.profiles, strict=False)
        )

    def _size(self, rows: Rows) -> Array:
        own = self.members[rows].toarray()
        return np.asarray(np.log1p(np.maximum(self.size - own, 0)), np.float32)

    def _classifier(self, rows: Rows) -> Array:
        """Ridge over all concepts; for a decided paper the answer had it been left out."""
        space = self.texts.space(rows)
        answer = space @ self.ridge.slopes
        pull = np.vecdot(space @ self.ridge.inverse, space)[:, None]
        pull = np.where(self.is_decided[rows][:, None], np.minimum(pull, np.float32(0.99)), 0)
        return np.asarray((answer - pull * self.verdicts[rows].toarray()) / (1 - pull), np.float32)

    def _votes(self, rows: Rows) -> tuple[Array, Array]:
        """What the nearest decided papers belong to, the nearer the louder; and how near they are.

        (rows, concepts) and (rows,). A paper far from all that was decided is likely about nothing
        that the wiki has, whichever concept is best.
        """
        total = len(self.decided)
        if not total:
            none = np.zeros((len(rows), self.texts.shape[1]), np.float32)
            return none, np.zeros(len(rows), np.float32)
        at, row, near, rank = self._nearest(rows)
        voice = near**8
        shares = voice / (np.bincount(at, voice, len(rows)) + 1e-9)[at]
        ends = np.searchsorted(at, np.arange(len(rows) + 1))
        shape = len(rows), self.texts.shape[0]
        votes = sparse.csr_matrix((shares.astype(np.float32), row, ends), shape)
        loudest = np.where(rank < FEW, near, 0)
        familiar = np.bincount(at, loudest, len(rows)) / min(FEW, total)
        return dense(votes @ self.verdicts), familiar.astype(np.float32)

    def _graph(self, rows: Rows) -> Array:
        """What the papers belong to that it shares a thread, references or a citation with: the
        share of them in each concept, those that are in none counted too."""
        joined = self.near[rows]
        counts = np.maximum(np.asarray(joined.sum(axis=1), np.float32).ravel(), 1)[:, None]
        return np.asarray(dense(joined @ self.verdicts) / counts, np.float32)

    def _nearest(self, rows: Rows) -> tuple[Rows, Rows, Array, Rows]:
        """Of each paper the NEIGHBOURS decided ones nearest to it, nearest first, itself left out.

        As (number of the row, row of the decided one, how near, rank); by row, and only those that
        are near at all.
        """
        parts, total = self.texts.parts, self.texts.shape[0]
        asked = [part[rows] for part in parts]
        # As many of a sample are at least so near, and the paper itself may be one of them.
        last = len(self._some) - NEIGHBOURS - 1
        least = np.full((len(rows), 1), -np.inf, np.float32)
        if last > 0:
            least = np.partition(np.hstack(asked) @ self._some.T, last, axis=1)[:, [last]]
            least -= ROUNDING
        found = [np.zeros(0, np.int64)]
        values = [np.zeros(0, np.float32)]
        # All papers, decided or not: a slice is not copied, and most are.
        for start in range(0, total, SLAB):
            slab = slice(start, start + SLAB)
            if not self.is_decided[slab].any():
                continue
            near = added(some @ part[slab].T for some, part in zip(asked, parts, strict=True))
            at, place = np.nonzero((near >= least) & self.is_decided[slab])
            found.append(at * total + (place + start))
            values.append(near[at, place])
        keys = _first(np.concatenate(found), np.concatenate(values), total)
        # Once more, now each by itself: a product of blocks depends on what else is in the block.
        at, row = keys // total, keys % total
        near = added(
            np.vecdot(some[at], part[row]) for some, part in zip(asked, parts, strict=True)
        )
        order = np.lexsort((-near, at))
        order = order[(near[order] > 0) & (rows[at[order]] != row[order])]
        at, row, near = at[order], row[order], near[order]
        rank = np.arange(len(at)) - np.searchsorted(at, at)
        first = rank < NEIGHBOURS
        return at[first], row[first], near[first], rank[first]

    @cached_property
    def _some(self) -> Array:
        """Every so manieth decided paper."""
        return self.texts.space(self.decided[:: max(len(self.decided) // SLAB, 1)])


def _first(keys: Rows, near: Array, total: int) -> Rows:
    """The keys (row * total + place) that may be among the nearest of their row.

    One more than NEIGHBOURS, for the paper itself, and those that are as near but for rounding.
    """
    order = np.lexsort((-near, keys // total))
    keys, near = keys[order], near[order]
    row = keys // total
    last = np.minimum(
        np.searchsorted(row, row) + NEIGHBOURS, np.searchsorted(row, row, "right") - 1
    )
    return np.asarray(keys[near >= near[last] - 2 * ROUNDING])


class _Change:
    """What differs between a judge and an earlier one.

    columns: of each concept where it stood, -1 if all of it is to be made anew, because its text
    changed, a paper came to it or went, or the text of one of its papers changed. came: rows of
    papers that were not decided as they stand; went: papers that were, in the space they stood in.
    """

    def __init__(self, judge: Judge, earlier: Judge | None, moved: Moved) -> None:
        if earlier is None:
            self.earlier, self.columns = None, np.full(judge.texts.shape[1], -1)
            self.came, self.went = judge.decided, None
            return
        self.earlier = earlier.ridge
        touched = moved.concepts < 0
        for now, then in ((judge.members, earlier.members), (judge.verdicts, earlier.verdicts)):
            touched |= _touched(now, then, moved)
        self.columns = np.where(touched, -1, moved.concepts)
        kept = np.flatnonzero(moved.papers >= 0)
        still = kept[judge.is_decided[kept] & earlier.is_decided[moved.papers[kept]]]
        self.came = np.setdiff1d(judge.decided, still)
        gone = np.setdiff1d(earlier.decided, moved.papers[still])
        first = earlier.texts.dimensions - judge.texts.dimensions
        self.went = earlier.texts.space(gone)[:, first:]

    @property
    def touched(self) -> Rows:
        """The concepts that are made anew."""
        return np.flatnonzero(self.columns < 0)


def _touched(now: sparse.csr_matrix, then: sparse.csr_matrix, moved: Moved) -> Flags:
    """The columns that are not what they were, or had a paper that went or changed."""
    differ = (now - moved.matrix(then)).tocoo()
    found = np.zeros(now.shape[1], bool)
    found[differ.col[differ.data != 0]] = True
    old = then.tocoo()
    column = inverse(moved.concepts, then.shape[1])[old.col]
    gone = inverse(moved.papers, then.shape[0])[old.row] < 0
    found[column[gone & (column >= 0)]] = True
    return found


class _Ridge:
    """One linear classifier over all concepts (ridge), from sums over the decided papers."""

    def __init__(self, judge: Judge, change: _Change) -> None:
        texts, count = judge.texts, judge.texts.dimensions
        # In double precision: papers are added to it and taken away for months.
        self.inner = np.zeros((count, count))
        self.moments = np.zeros((texts.shape[1], count), np.float32)
        if change.earlier is not None:
            first = len(change.earlier.inner) - count  # without meaning, it had that before words
            self.inner += change.earlier.inner[first:, first:]
            kept = np.flatnonzero(change.columns >= 0)
            self.moments[kept] = change.earlier.moments[change.columns[kept], first:]
        for rows in blocks(change.came, SLAB):
            part = texts.space(rows)
            self.inner += part.T @ part
        if change.went is not None:
            self.inner -= change.went.T @ change.went
        said = judge.verdicts[:, change.touched]
        for rows in blocks(np.flatnonzero(np.diff(said.indptr)), SLAB):
            self.moments[change.touched] += dense(said[rows].T @ texts.space(rows))
        self.inverse = np.linalg.inv(self.inner + np.eye(count)).astype(np.float32)
        self.slopes = self.inverse @ self.moments.T


class _Profiles:
    """What each concept looks like in one view: its own text and its papers, summed.

    turned: the sums, a concept a column; squares: their squared lengths.
    """

    def __init__(
        self,
        view: View,
        members: sparse.csr_matrix,
        change: _Change,
        earlier: "_Profiles | None",
    ) -> None:
        self.view, self.members = view, members
        touched = change.touched
        own = sparse.diags(view.spoken[touched]) @ view.concepts[touched]
        fresh = members[:, touched].T @ view.papers + own
        squares = fresh.multiply(fresh) if sparse.issparse(fresh) else fresh**2
        self.squares = np.asarray(squares.sum(axis=1), np.float32).ravel()
        if earlier is None:
            self.turned = turned(fresh)
            return
        kept = np.flatnonzero(change.columns >= 0)
        squares = np.empty(len(change.columns), np.float32)
        squares[touched], squares[kept] = self.squares, earlier.squares[change.columns[kept]]
        self.squares = squares
        if isinstance(fresh, np.ndarray):
            self.turned = carried(earlier.turned.T, fresh, change.columns).T
        else:
            self.turned = _with_columns(earlier.turned, fresh, change.columns, touched)

    def only(self, view: View, columns: Rows) -> "_Profiles":
        """Those of some concepts, with the view of them."""
        found = copy(self)
        found.view, found.members = view, self.members[:, columns]
        found.squares, found.turned = self.squares[columns], self.turned[:, columns]
        return found

    def likeness(self, rows: Rows) -> Array:
        """Cosine of each paper with each profile, the paper's own share taken out of it."""
        own = self.members[rows].toarray()
        product = dense(self.view.papers[rows] @ self.turned)
        left = np.maximum(self.squares - 2 * own * product + own**2, 1e-6)
        return np.asarray((product - own) / np.sqrt(left), np.float32)

    def summed(self, rows: Rows) -> Array:
        """The likenesses of some papers, added up: (concepts,).

        All papers at once as if none had a share in a profile, and then the few that have one.
        """
        papers = self.view.papers[rows]
        lengths = np.sqrt(np.maximum(self.squares, 1e-6))
        whole = np.asarray(papers.sum(axis=0) @ self.turned).ravel() / lengths
        own = self.members[rows].tocoo()
        product = self._products(papers[own.row], own.col)
        left = np.maximum(self.squares[own.col] - 2 * own.data * product + own.data**2, 1e-6)
        change = (product - own.data) / np.sqrt(left) - product / lengths[own.col]
        return np.asarray(whole + np.bincount(own.col, change, len(whole)), np.float32)

    def _products(self, papers: sparse.csr_matrix | Array, columns: Rows) -> Array:
        """The product of each row with one profile each."""
        if isinstance(papers, np.ndarray):
            return np.asarray(np.vecdot(papers, self.turned.T[columns]), np.float32)
        shared = _looked_up(self.turned, papers, columns).multiply(papers)
        return np.asarray(shared.sum(axis=1), np.float32).ravel()


def _looked_up(
    profiles: sparse.csr_matrix, papers: sparse.csr_matrix, columns: Rows
) -> sparse.csr_matrix:
    """What profile `columns[n]` has for the stems of paper n, and nothing else of it."""
    of = np.repeat(columns, np.diff(papers.indptr))
    if not len(of):  # the library answers an empty question with another kind of matrix
        return papers
    found = np.asarray(profiles[papers.indices, of], np.float32).ravel()
    return sparse.csr_matrix((found, papers.indices, papers.indptr), shape=papers.shape)


def _with_columns(
    old: sparse.csr_matrix, fresh: sparse.csr_matrix, columns: Rows, touched: Rows
) -> sparse.csr_matrix:
    """The old columns where they stand now (`columns`), and rows of `fresh` as columns `touched`."""
    shape = fresh.shape[1], len(columns)
    where = inverse(columns, old.shape[1])
    # There are millions of numbers: they are copied only if some go or change their place.
    if (where >= 0).all():
        data, indices, ends = old.data, old.indices, old.indptr
    else:
        kept = (where >= 0)[old.indices]
        ends = np.append(0, np.cumsum(kept, dtype=np.int32))[old.indptr]
        data, indices = old.data[kept], old.indices[kept]
    if not np.array_equal(where[where >= 0], np.flatnonzero(where >= 0)):
        indices = where.astype(np.int32)[indices]
    parts = sparse.csr_matrix((data, indices, ends), shape=(old.shape[0], shape[1]))
    stayed = _taller(parts, shape[0])
    if not len(touched):
        return stayed
    stayed.sort_indices()
    came = fresh.tocoo()
    return stayed + sparse.csr_matrix((came.data, (came.col, touched[came.row])), shape=shape)


def _taller(profiles: sparse.csr_matrix, stems: int) -> sparse.csr_matrix:
    """The same with empty rows for stems that were met later."""
    ends = profiles.indptr
    ends = np.append(ends, np.full(stems - profiles.shape[0], ends[-1], ends.dtype))
    return sparse.csr_matrix(
        (profiles.data, profiles.indices, ends), shape=(stems, profiles.shape[1])
    )


def _lead(scores: Array) -> Array:
    """By how much each concept leads the best other one of the same paper (below zero: trails)."""
    if scores.shape[1] < 2:
        return np.zeros_like(scores)
    second, best = np.partition(scores, -2, axis=1)[:, -2:].T
    rival = np.where(scores >= best[:, None], second[:, None], best[:, None])
    return np.asarray(scores - rival, np.float32)
