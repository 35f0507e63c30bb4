"""Threads that are likely one, and those that only touch."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from app.domain.same_threads import near_same


def pairs(*held: tuple[int, int]) -> NDArray[np.int64]:
    return np.array(held, np.int64).reshape(-1, 2)


def test_claims_that_say_nearly_the_same_are_one_thread() -> None:
    claims = {
        1: "Keys and values can be kept at half the precision",
        2: "Values and keys can be kept at half the precision on phones",
        3: "Benchmarks leak into the training data of large models",
        4: "",
    }
    [found] = near_same(claims, pairs())
    assert (found.one, found.other) == (1, 2)
    assert found.reason == "Their claims say nearly the same."
    assert 0.5 < found.confidence < 1


def test_short_claims_say_nothing() -> None:
    assert near_same({1: "Scale wins", 2: "Scale wins"}, pairs()) == []


def test_most_members_in_both_are_one_thread() -> None:
    claims = {1: "", 2: "", 3: ""}
    both = [(page, thread) for page in (10, 11, 12) for thread in (1, 2)]
    [found] = near_same(claims, pairs(*both, (13, 1), (13, 3), (14, 3), (10, 3)))
    assert (found.one, found.other, found.shared) == (1, 2, (10, 11, 12))
    assert found.reason == "3 of the 3 members of the smaller one are in both."


@pytest.mark.parametrize(
    "members",
    [
        pairs((10, 1), (10, 2), (11, 1), (11, 2)),  # too few
        pairs(*((p, t) for p in (1, 2, 3) for t in (1, 2)), *((p, 1) for p in (4, 5)),
              *((p, 2) for p in (6, 7))),  # three of five
        pairs(*((p, t) for p in (1, 2, 3) for t in (1, 9))),  # a thread that is gone
    ],
)  # fmt: skip
def test_some_members_in_both_are_not_enough(members: NDArray[np.int64]) -> None:
    assert near_same({1: "", 2: ""}, members) == []
