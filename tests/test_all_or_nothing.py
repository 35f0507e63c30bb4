"""Whatever step of a change fails, nothing of it happened; what did not fail happened whole.

Each change is tried with a fault at its first statement, its second, and so on to its commit, until it
passes; after each fault every table is as it was. Of long changes some of the steps are tried, spread
over all of them, and each one of the commit; `make soak` tries more of them in a larger wiki.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy.engine import Engine
from sqlmodel import Session, col, select

from app.bootstrap import build
from app.domain import records
from app.domain.records import Link, LinkStatus, PageKind, Verdict
from app.services import acts as undoing
from app.services import pages as editing
from app.services import removal, review
from app.settings import Settings
from app.store import pages
from app.store.db import writing
from app.store.items import keep_raw
from app.store.pages import Content
from app.web.app import create
from tests import databases
from tests.factories import THEN, make_engine, make_link, make_page
from tests.faults import Planned, failing, fingerprint, killed_at

BACKLINKS = 30  # in the suite; a thousand in the long form
TRIED = 10  # faults of one change in the suite, spread over its steps
SOAKED = 40  # in the long form: a rename with a thousand backlinks has twenty thousand steps

Act = Callable[[Session], Any]


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    made = make_engine(tmp_path)
    yield made
    made.dispose()


def fill(engine: Engine, backlinks: int) -> None:
    """A hub that others link to, a concept that means the same, and a paper with a proposal."""
    with writing(engine) as session:
        hub = make_page(session, "Hub", text="What all turn to. [[Nowhere]]", aliases=("Nave",))
        other = make_page(session, "Hubs", text="The same, twice. [[Hub]]", tags=("wheel",))
        paper = make_page(
            session, "On hubs", PageKind.PAPER, text="Says of hubs.", published="2026-05-01"
        )
        make_link(session, paper, other)
        make_link(session, paper, hub, status=LinkStatus.PROPOSED, confidence=0.7)
        for number in range(backlinks):
            content = Content(
                title=f"Spoke {number}",
                kind=PageKind.NOTE,
                body=f"Number {number} turns about the [[Hub]] and [[wheel-{number}]].",
            )
            pages.create(session, content, author=pages.PERSON, now=THEN, slug=f"spoke-{number}")


def all_or_nothing(engine: Engine, act: Act, *, tried: int = TRIED) -> int:
    """Try a change with a fault at each step, or at some, until it passes; how many steps it has."""
    before = fingerprint(engine)
    sure = _steps_before_commit(engine, act)
    spread = max(1, sure // tried)
    at = 1
    while True:
        with failing(engine, at) as counted:
            try:
                with writing(engine) as session:
                    act(session)
            except Planned:
                pass
        after = fingerprint(engine)
        if not counted.failed:
            assert after != before
            return at - 1
        changed = [name for name in before if before[name] != after[name]]
        assert not changed, f"a fault at step {at} left something in {changed}"
        at += spread if at + spread <= sure else 1  # and each one of the commit


def _steps_before_commit(engine: Engine, act: Act) -> int:
    """How many statements a change takes; it is thrown away again."""
    with failing(engine, None) as counted, suppress(_Enough), writing(engine) as session:
        act(session)
        session.flush()
        raise _Enough
    return counted.steps


class _Enough(Exception):
    pass


# ---------------------------------------------------------------- the changes


def save(session: Session) -> None:
    """An edit that changes every field, makes a red link and leads to another page."""
    content = Content(
        title="The hub",
        kind=PageKind.NOTE,
        body="What all turn to. [[Hubs]] and [[nowhere else]].\n\n## Open\n\n- Does it turn?",
        aliases=("Nave", "Boss"),
        tags=("wheel",),
    )
    editing.save(session, "hub", content, base=1, now=THEN)


def create_wanted(session: Session) -> None:
    """A page that others linked to before it was there."""
    content = Content(title="Wheel-1", kind=PageKind.NOTE, body="It turns about the [[Hub]].")
    editing.save(session, "wheel-1", content, base=0, now=THEN)


def rename(session: Session) -> None:
    """With the new name written into every text that links here, as one act."""
    editing.rename(session, "hub", "nave-of-all", now=THEN, title="Nave of all", links=True)


def undo_rename(session: Session) -> None:
    undoing.undo(session, session.exec(select(records.Act.id)).one() or 0, now=THEN)


def accept(session: Session) -> None:
    review.decide(session, _proposal(session), Verdict.ACCEPT, now=THEN)


def correct(session: Session) -> None:
    """Accepted with another target: what was proposed is rejected, and a link is made."""
    review.decide(session, _proposal(session), Verdict.ACCEPT, now=THEN, target="spoke-1")


def merge(session: Session) -> None:
    review.merge(session, "hub", "hubs", now=THEN)


def remove(session: Session) -> None:
    removal.remove(session, "hub", now=THEN)


def undo(session: Session) -> None:
    """Of whatever was decided last."""
    review.undo(session, None, now=THEN)


def put_back(session: Session) -> None:
    removal.restore(session, "hub", now=THEN)


def _proposal(session: Session) -> int:
    found = session.exec(select(Link.id).where(col(Link.status) == LinkStatus.PROPOSED)).one()
    assert found is not None
    return found


CHANGES: dict[str, tuple[Act, ...]] = {
    "an edit": (save,),
    "a page that was wanted": (create_wanted,),
    "a rename, and its undo": (rename, undo_rename),
    "an accepted proposal, and its undo": (accept, undo),
    "a corrected proposal, and its undo": (correct, undo),
    "a merge, and its undo": (merge, undo),
    "a removal, and its undo": (remove, undo),
    "a page that is put back": (remove, put_back),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_that_fails_at_any_step_left_nothing(engine: Engine, change: str) -> None:
    fill(engine, BACKLINKS)
    for act in CHANGES[change]:
        assert all_or_nothing(engine, act) > 3


@pytest.mark.soak
@pytest.mark.parametrize("change", CHANGES)
def test_a_change_of_a_page_with_a_thousand_backlinks_that_fails_at_any_step_left_nothing(
    engine: Engine, change: str
) -> None:
    fill(engine, 1_000)
    for act in CHANGES[change]:
        steps = all_or_nothing(engine, act, tried=SOAKED)
        print(f"{change}, {act.__name__}: {steps} steps")


def test_an_undo_leads_back_to_what_was(engine: Engine) -> None:
    """But for what is only added to, and how the word index lies on the disk."""
    fill(engine, 3)
    added = {"change", "decision", "generation", "sqlite_sequence", "unmirrored"}
    # The rows are put in without what follows from their texts; whoever comes back has it.
    added |= {"page_text", "red_link", "unencoded"}
    for act in (accept, correct, remove):
        before = fingerprint(engine)
        with writing(engine) as session:
            act(session)
        with writing(engine) as session:
            undo(session)
        after = fingerprint(engine)
        changed = {name for name in after if after[name] != before[name]}
        assert {name for name in changed if not name.startswith("page_fts_")} <= added


# ---------------------------------------------------------------- the same over HTTP


def test_a_save_that_fails_at_any_step_is_never_answered_as_done(
    engine: Engine, tmp_path: Path
) -> None:
    fill(engine, 3)
    app = build(
        Settings(data=tmp_path, database_url=databases.url_of(tmp_path), embedding_model="none")
    )
    page = {"title": "Hub", "body": "Another text about [[Hubs]] and [[elsewhere]]."}
    before = fingerprint(engine)
    at, status = 0, 500
    with TestClient(create(app), base_url="http://127.0.0.1", raise_server_exceptions=False) as web:
        while status >= 500:
            at += 1
            with failing(app.engine, at) as counted:
                answer = web.put("/api/v1/pages/hub", json=page, headers={"If-Match": '"1"'})
            status = answer.status_code
            assert counted.failed == (status >= 500), f"step {at} was answered with {status}"
            if counted.failed:
                assert fingerprint(engine) == before
                assert answer.json()["error"]["message"]
    assert status == 200 and at > 10
    assert fingerprint(engine) != before
    app.engine.dispose()


# ---------------------------------------------------------------- files


def test_bytes_of_an_import_are_there_whole_or_not_at_all_whatever_step_is_the_last(
    tmp_path: Path,
) -> None:
    data = b"What came in. " * 1_000
    digest = sha256(data).hexdigest()
    number, ended = 0, True
    while ended:
        number += 1
        folder = tmp_path / f"raw-{number}"
        ended = killed_at(number, partial(keep_raw, folder, data))
        whole = folder / digest[:2] / digest
        if whole.exists():
            assert whole.read_bytes() == data
        assert keep_raw(folder, data) == digest
        assert whole.read_bytes() == data
    assert number > 4
