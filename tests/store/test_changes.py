"""Changes as rows: made once, brought up to date, withdrawn, and listed surest first."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.engine import Engine
from sqlmodel import Session

from app.domain.records import ChangeKind, Decision, LinkStatus, Origin, Verdict
from app.errors import NotFound
from app.store import changes
from app.store.db import writing
from tests.factories import THEN, make_engine, make_page


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    made = make_engine(tmp_path)
    yield made
    made.dispose()


@pytest.fixture
def session(engine: Engine) -> Iterator[Session]:
    with writing(engine) as opened:
        yield opened


def propose(session: Session, key: str, **values: Any) -> bool:
    given: dict[str, Any] = {
        "kind": ChangeKind.CONCEPT,
        "title": key,
        "confidence": 0.5,
        "reason": "",
        "content": {},
        "evidence": [],
        "signals": [],
        "origin": Origin.LINKER,
        "now": THEN,
    }
    return changes.propose(session, key=key, **{**given, **values})


def keys(session: Session, **asked: Any) -> list[str]:
    return [row.key for row in changes.waiting(session, **asked)]


def test_a_change_is_made_once_and_brought_up_to_date(session: Session) -> None:
    assert propose(session, "a")
    assert not propose(session, "a", confidence=0.7, content={"members": [1]})
    [row] = changes.waiting(session)
    assert (row.confidence, row.content) == (0.7, {"members": [1]})
    assert (row.source_id, row.target_slug) == (None, None)


def test_decided_ones_are_left_alone(session: Session) -> None:
    propose(session, "a")
    [change] = changes.keyed(session, ["a", "no such key"]).values()
    for status in (LinkStatus.ACCEPTED, LinkStatus.REJECTED, LinkStatus.DEFERRED):
        change.status = status
        session.add(change)
        assert not propose(session, "a", confidence=0.9)
        assert changes.get(session, change.id or 0).confidence == 0.5


def test_waiting_ones_are_listed_surest_first_and_go_on_after_the_last_one_shown(
    session: Session,
) -> None:
    for key, confidence in (("a", 0.5), ("b", 0.9), ("c", 0.5), ("d", 0.1)):
        propose(session, key, confidence=confidence)
    assert keys(session) == ["b", "c", "a", "d"]
    first = changes.waiting(session, limit=2)
    assert keys(session, after=first[-1].id) == ["a", "d"]
    assert keys(session, above=0.5) == ["b", "c", "a"]
    assert keys(session, status=LinkStatus.DEFERRED) == []
    assert keys(session, after=999) == ["b", "c", "a", "d"], "one that went is no place"
    assert changes.count(session) == 4


def test_those_about_a_page_name_both_sides(session: Session) -> None:
    one, other = make_page(session, "One"), make_page(session, "Other")
    propose(session, "m", kind=ChangeKind.MERGE, source_id=one, target_id=other)
    propose(session, "n")
    for page_id in (one, other):
        [row] = changes.waiting(session, kind=ChangeKind.MERGE, page_id=page_id)
        assert (row.source_slug, row.target_title) == ("one", "Other")
    assert changes.merge_key(other, one) == changes.merge_key(one, other)


def test_a_withdrawn_one_goes_unless_somebody_decided_it_before(session: Session) -> None:
    for key in ("a", "b", "c"):
        propose(session, key)
    found = changes.keyed(session, ["b", "c"])
    session.add(Decision(at=THEN, verdict=Verdict.REJECT, change_id=found["b"].id, undone=True))
    found["c"].status = LinkStatus.REJECTED
    session.add(found["c"])
    session.flush()
    assert changes.withdraw(session, ["a", "b", "c", "never"]) == 1
    assert set(changes.keyed(session, ["a", "b", "c"])) == {"b", "c"}


@pytest.mark.parametrize("number", [0, -1, 7, 2**63, 10**40])
def test_a_number_that_no_change_has_is_not_found(session: Session, number: int) -> None:
    with pytest.raises(NotFound):
        changes.get(session, number)


def test_the_id_of_one_taken_back_is_never_given_again(session: Session) -> None:
    propose(session, "a")
    [first] = changes.waiting(session)
    changes.withdraw(session, ["a"])
    propose(session, "b")
    [second] = changes.waiting(session)
    assert second.id > first.id, "whoever still sees the first one decides about the second"
    with pytest.raises(NotFound):
        changes.get(session, first.id)
