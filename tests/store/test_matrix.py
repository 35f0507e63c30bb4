"""Rows in memory: what is nearest is so, whichever way it is found, and states do not mix."""

import numpy as np
import pytest
from numpy.typing import NDArray

from app.store import matrix
from app.store.matrix import Rows

DIM = 40


def units(count: int, *, seed: int = 3, dim: int = DIM) -> NDArray[np.float32]:
    rows = np.random.default_rng(seed).normal(size=(count, dim)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def ids(*numbers: int) -> NDArray[np.int64]:
    return np.array(numbers, np.int64)


def filled(count: int, *, seed: int = 3, dim: int = DIM) -> Rows:
    made = units(count, seed=seed, dim=dim)
    numbers = np.arange(1, count + 1)
    parts = ((numbers[at : at + 64], made[at : at + 64]) for at in range(0, count, 64))
    return Rows.none().extended(parts, expected=count)


@pytest.fixture(params=["exact", "signs first"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "signs first":
        monkeypatch.setattr(matrix, "EXACT_UP_TO", 10)
        monkeypatch.setattr(matrix, "CANDIDATES", 150)
        monkeypatch.setattr(matrix, "_SLAB", 128)
    return str(request.param)


def test_what_is_nearest_is_found_either_way(way: str) -> None:
    made, kept = units(700), filled(700)
    assert bool(kept.signs.size) == (way == "signs first")
    generator = np.random.default_rng(5)
    for _ in range(20):
        query = made[generator.integers(700)] + 0.05 * generator.normal(size=DIM)
        query = (query / np.linalg.norm(query)).astype(np.float32)
        order = np.argsort(-(made @ query))
        found = kept.nearest(query, limit=3)
        assert found[0][0] == order[0] + 1
        assert found[0][1] == pytest.approx(float(made[order[0]] @ query), abs=1e-5)
        assert [cosine for _, cosine in found] == sorted((c for _, c in found), reverse=True)


def test_only_what_is_allowed_is_found(way: str) -> None:
    made, kept = units(900), filled(900)
    for allowed in (ids(), ids(5), np.arange(1, 30), np.arange(1, 901, 2), ids(5, 4_000)):
        there = allowed[allowed <= 900]
        found = kept.nearest(made[4], limit=4, allowed=allowed)
        assert {page for page, _ in found} <= set(there.tolist())
        assert len(found) == min(4, len(there))
        if 5 in there:
            assert found[0][0] == 5


def test_alike_rows_come_by_id_and_all_of_them(way: str) -> None:
    same = np.repeat(units(1), 300, axis=0)
    kept = Rows.none().extended([(np.arange(1, 301), same)])
    found = kept.nearest(same[0], limit=300)
    assert sorted(page for page, _ in found) == list(range(1, 301))
    assert [page for page, _ in kept.nearest(same[0], limit=300)] == [p for p, _ in found]


def test_row_of_zeros_is_near_nothing(way: str) -> None:
    rows = units(50)
    rows[7] = 0
    kept = Rows.none().extended([(np.arange(1, 51), rows)])
    found = dict(kept.nearest(rows[3], limit=50))
    assert found[8] == 0
    assert kept.nearest(np.zeros(DIM, np.float32), limit=2)


@pytest.mark.parametrize("dim", [1, 63, 64, 65, 130])
def test_any_length_will_do(way: str, dim: int) -> None:
    made, kept = units(40, dim=dim), filled(40, dim=dim)
    assert kept.dim == dim
    best = kept.nearest(made[11], limit=1)[0]
    assert best[1] == pytest.approx(1, abs=1e-5)
    assert kept.nearest(np.ones(dim + 1, np.float32), limit=1) == []


def test_new_rows_take_the_place_of_old_ones_and_old_states_stand(way: str) -> None:
    first = filled(200)
    query = units(1, seed=9)[0]
    before = first.nearest(query, limit=5)
    second = first.extended([(ids(3, 201), np.stack([query, -query]))])
    assert second.room is first.room  # nothing was copied
    assert (len(first), len(second)) == (200, 201)
    assert second.nearest(query, limit=1)[0] == (3, pytest.approx(1, abs=1e-5))
    assert first.nearest(query, limit=5) == before
    third = second.without(np.array([n for n in range(1, 202) if n != 3]))
    assert len(third) == 200
    assert 3 not in {page for page, _ in third.nearest(query, limit=300)}
    assert second.nearest(query, limit=1)[0][0] == 3
    assert sorted(third.page_ids().tolist()) == [*range(1, 3), *range(4, 202)]
    assert third.extended([]) is third


def test_room_that_is_used_up_is_made_anew_without_the_rows_of_nobody(
    way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(matrix, "_SPARE", 8)
    kept = filled(20)
    for turn in range(30):
        made = units(10, seed=100 + turn)
        kept = kept.extended([(np.arange(1, 11), made)], expected=10)
        assert len(kept) == 20
        assert len(kept.room) <= 80
        for page in (1, 10):
            assert kept.nearest(made[page - 1], limit=1)[0][0] == page
        assert np.allclose(kept.of(np.arange(11, 21)), units(20)[10:])


def test_rows_that_come_when_nobody_said_how_many_find_room(
    way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(matrix, "_SPARE", 4)
    made = units(500)
    parts = ((np.arange(at + 1, at + 51), made[at : at + 50]) for at in range(0, 500, 50))
    kept = Rows.none().extended(parts)
    assert np.array_equal(kept.of(np.arange(1, 501)), made)


def test_rows_of_pages_are_in_the_order_asked_for() -> None:
    made, kept = units(30), filled(30)
    found = kept.of(ids(7, 99, 0, 1, 7, -4))
    assert np.array_equal(found[[0, 3, 4]], made[[6, 0, 6]])
    assert not found[[1, 2, 5]].any()
    assert kept.of(ids()).shape == (0, DIM)
    assert Rows.none().of(ids(1, 2)).shape == (2, 0)
    assert Rows.none().nearest(made[0], limit=3) == []


def test_rows_of_another_length_are_left_out() -> None:
    kept = filled(5).extended([(ids(9), units(1, dim=7)), (ids(), units(0))])
    assert len(kept) == 5
    with pytest.raises(ValueError, match="read-only"):
        kept.matrix[0, 0] = 1


def test_crossing_the_border_gives_all_rows_signs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matrix, "EXACT_UP_TO", 100)
    monkeypatch.setattr(matrix, "CANDIDATES", 30)
    kept = filled(100)
    assert not kept.signs.size
    late = units(60, seed=8)
    kept = kept.extended([(np.arange(101, 161), late)])
    assert kept.signs.size
    for page, row in ((1, units(100)[0]), (100, units(100)[99]), (101, late[0]), (160, late[59])):
        assert kept.nearest(row, limit=1)[0][0] == page
