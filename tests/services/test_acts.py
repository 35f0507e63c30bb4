"""An import, a delivery, a run, a look at the vault: undone as a whole, and what stays is named."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlmodel import Session, SQLModel, col, select

from app.bootstrap import App
from app.domain.records import (
    Act,
    ActKind,
    Assessment,
    AuthorKind,
    Change,
    ChangeKind,
    Decision,
    Digest,
    Identifier,
    Item,
    Link,
    LinkStatus,
    Listing,
    Mention,
    Origin,
    Page,
    PageKind,
    Paper,
    PaperState,
    Relation,
    Revision,
    Run,
    RunState,
    VaultConflict,
    Verdict,
)
from app.errors import Conflict, NotFound
from app.importing import import_paths
from app.services import acts as undoing
from app.services import pages as editing
from app.services import removal, review
from app.services.acts import Undone
from app.services.linker import shipped_weights
from app.settings import Settings
from app.store import acts, links, pages
from app.store.db import reading, writing
from app.store.pages import IMPORT, PERSON, Author, Content
from tests.factories import THEN, make_engine

LATER = THEN + timedelta(days=1)
Row = dict[str, Any]
ROWS: list[Row] = [
    {"type": "concept", "id": "kv-cache", "title": "KV cache", "text": "Keys, see [[paging]]."},
    {"type": "concept", "id": "paging", "title": "Paging", "text": "Memory in pages."},
    {
        "type": "paper",
        "id": "arxiv:2605.00001",
        "title": "Paged keys",
        "abstract": "We keep the cache in pages.",
        "authors": ["Ada Example"],
        "published": "2026-05-07",
        "slug": "paged-keys",
        "keep": True,
        "text": "It pages, see [[KV cache]].",
    },
    {"type": "paper", "id": "arxiv:2605.00002", "title": "Unread", "day": "2026-05-08"},
    {
        "type": "link",
        "source": "arxiv:2605.00001",
        "relation": "about",
        "target": "kv-cache",
        "status": "accepted",
    },
    {
        "type": "link",
        "source": "arxiv:2605.00001",
        "relation": "about",
        "target": "paging",
        "status": "proposed",
    },
    {
        "type": "assessment",
        "paper": "arxiv:2605.00002",
        "scorer": "m",
        "relevance": 7,
        "novelty": 6,
        "day": "2026-05-08",
    },
]


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    engine = make_engine(tmp_path)
    yield App(Settings(data=tmp_path / "data", now=THEN), engine, shipped_weights(None))
    engine.dispose()


def imported(app: App, tmp_path: Path, rows: list[Row], name: str = "a.jsonl") -> int:
    path = tmp_path / name
    path.write_text("\n".join(json.dumps(row) for row in rows), "utf-8")
    result = import_paths(app, [path])
    assert result.refused == [], result.refused
    with reading(app.engine) as session:
        return newest(session)


def newest(session: Session) -> int:
    found = session.exec(select(Act.id).order_by(col(Act.id).desc())).first()
    assert found is not None
    return found


def undone(app: App, act_id: int) -> Undone:
    with writing(app.engine) as session:
        return undoing.undo(session, act_id, now=LATER)


_NOT_COMPARED = {
    *("generation", "unmirrored", "page_vector", "title_word", "unencoded", "page_text_data"),
    *("act", "raw", "source", "done"),
}


def state(app: App) -> dict[str, list[Row]]:
    """Every row of the wiki, but for acts and removals: these go on."""
    found: dict[str, list[Row]] = {}
    with reading(app.engine) as session:
        for name, table in sorted(SQLModel.metadata.tables.items()):
            if name not in _NOT_COMPARED:
                rows = session.connection().execute(sa.select(table))
                found[name] = sorted((dict(row._mapping) for row in rows), key=repr)
    of_removals = [row["id"] for row in found["change"] if row["kind"] == ChangeKind.REMOVE]
    found["change"] = [row for row in found["change"] if row["id"] not in of_removals]
    found["decision"] = [row for row in found["decision"] if row["change_id"] not in of_removals]
    return found


def standing(session: Session) -> list[str]:
    return sorted(row.slug for row in pages.listed(session))


def test_an_import_is_undone_as_a_whole_and_can_come_again(app: App, tmp_path: Path) -> None:
    act = imported(app, tmp_path, ROWS)
    before = state(app)
    done = undone(app, act)
    assert done.stays == []
    assert list(done.in_words()) == [
        "Undone, Import of a.jsonl: 3 pages removed, 2 papers gone, 1 entry forgotten "
        "(KV cache, Paging, Paged keys)."
    ]
    with reading(app.engine) as session:
        assert standing(session) == []
        for table in (Paper, Item, Identifier, Assessment, Mention, Listing):
            assert session.exec(select(table)).all() == [], table  # type: ignore[call-overload]
        row = session.get_one(Act, done.act)
        assert (row.kind, row.undoes_id, row.words) == (
            ActKind.UNDO,
            act,
            "Undo: Import of a.jsonl",
        )
        assert row.counts == {"removed": 3, "papers": 2, "items": 1}
        assert session.get_one(Act, act).undone
    again = imported(app, tmp_path, ROWS)
    with reading(app.engine) as session:
        assert standing(session) == ["kv-cache", "paged-keys", "paging"]
        assert len(session.exec(select(Paper)).all()) == 2
        assert acts.counted(session, [again])[again] == acts.counted(session, [act])[act] | {
            "papers": 2, "links": 2, "items": 1
        }  # fmt: skip
    after = state(app)
    assert len(after["link"]) >= len(before["link"])


def test_an_undo_is_undone_and_all_is_as_it_was(app: App, tmp_path: Path) -> None:
    act = imported(app, tmp_path, ROWS)
    before = state(app)
    first = undone(app, act)
    second = undone(app, first.act)
    assert second.stays == [] and second.counts["back"] == 3
    after = state(app)
    for name, rows in before.items():
        assert after[name] == rows, name
    with reading(app.engine) as session:
        assert not session.get_one(Act, act).undone
        assert session.get_one(Act, first.act).undone
    with pytest.raises(Conflict, match=f"Undo act {act} itself"):
        undone(app, second.act)
    third = undone(app, act)
    assert third.counts["removed"] == 3


def test_bad_numbers_and_a_second_undo_are_said_no_to(app: App, tmp_path: Path) -> None:
    for number in (0, -3, 4711, 2**40):
        with pytest.raises(NotFound, match="There is no act"):
            undone(app, number)
    act = imported(app, tmp_path, ROWS)
    undone(app, act)
    with pytest.raises(Conflict, match="undone already"):
        undone(app, act)


def test_an_edited_page_stays_and_is_named(app: App, tmp_path: Path) -> None:
    act = imported(app, tmp_path, ROWS)
    with writing(app.engine) as session:
        content = pages.content_of(session, pages.get(session, "paging"))
        mine = replace(content, body="Mine: see [[KV cache]].")
        editing.save(session, "paging", mine, base=1, now=LATER)
    done = undone(app, act)
    assert [(each.slug, each.why) for each in done.stays] == [("paging", "you edited them since")]
    assert list(done.in_words())[1] == "1 stays: you edited them since (Paging)."
    with reading(app.engine) as session:
        assert standing(session) == ["paging"]
        assert pages.get(session, "paging").body == "Mine: see [[KV cache]]."
        assert pages.wanted_count(session) == 1, "what it linked to is red"
        assert session.exec(select(Item)).all() == []


def test_a_page_whose_file_waits_to_be_put_together_stays(app: App, tmp_path: Path) -> None:
    act = imported(app, tmp_path, ROWS)
    with writing(app.engine) as session:
        page = pages.get(session, "paging")
        session.add(VaultConflict(page_id=page.id or 0, base=1, text="Mine.", hash="h", at=LATER))
    done = undone(app, act)
    assert [each.slug for each in done.stays] == ["paging"]


def test_what_was_decided_about_stays(app: App, tmp_path: Path) -> None:
    act = imported(app, tmp_path, ROWS)
    with writing(app.engine) as session:
        link = session.exec(select(Link).where(Link.status == LinkStatus.PROPOSED)).one()
        review.decide(session, link.id or 0, Verdict.ACCEPT, now=LATER)
        unread = session.exec(select(Paper).where(Paper.title == "Unread")).one()
        review.decide_paper(session, unread.id or 0, Verdict.KEEP, now=LATER)
    done = undone(app, act)
    assert {each.slug for each in done.stays} == {"paged-keys", "paging"}
    assert {each.why for each in done.stays} == {"you decided about them since"}
    with reading(app.engine) as session:
        assert standing(session) == ["paged-keys", "paging", "unread"]
        stand = session.exec(select(Link).where(Link.status == LinkStatus.ACCEPTED)).all()
        assert [each.relation for each in stand] == [Relation.ABOUT]
        assert len(session.exec(select(Paper)).all()) == 2
        assert session.exec(select(Item)).all() == []


def test_a_page_that_it_only_changed_gets_its_text_back(app: App, tmp_path: Path) -> None:
    imported(app, tmp_path, ROWS)
    changed = [{**ROWS[1], "text": "Other words.", "aliases": ["pager"], "tags": ["memory"]}]
    act = imported(app, tmp_path, changed, "b.jsonl")
    done = undone(app, act)
    assert done.counts == {"texts": 1, "items": 1}
    with reading(app.engine) as session:
        page = pages.get(session, "paging")
        content = pages.content_of(session, page)
        assert (content.body, content.aliases, content.tags) == ("Memory in pages.", (), ())
        last = pages.revision(session, page.id or 0, page.version)
        assert (page.version, last.author_kind) == (3, AuthorKind.IMPORT)
        assert last.note == "what changed it was undone as a whole"
    second = undone(app, done.act)
    with reading(app.engine) as session:
        assert pages.get(session, "paging").body == "Other words.", "and forth again"
        assert second.stays == []


LINES = [f"Line {number}.\n" for number in range(12)]


def test_what_a_person_wrote_elsewhere_in_it_is_joined(app: App, tmp_path: Path) -> None:
    base = {"type": "concept", "id": "long", "title": "Long"}
    imported(app, tmp_path, [{**base, "text": "".join(LINES)}])
    theirs = [*LINES[:10], "Line ten, told anew.\n", LINES[11]]
    act = imported(app, tmp_path, [{**base, "text": "".join(theirs)}], "b.jsonl")
    with writing(app.engine) as session:
        content = pages.content_of(session, pages.get(session, "long"))
        mine = replace(content, body=content.body.replace("Line 1.", "Line one, mine."))
        editing.save(session, "long", mine, base=2, now=LATER)
    done = undone(app, act)
    assert (done.stays, done.counts["texts"]) == ([], 1)
    with reading(app.engine) as session:
        body = pages.get(session, "long").body
        assert body == "".join(["Line 0.\n", "Line one, mine.\n", *LINES[2:]])


def test_what_does_not_join_stays_and_is_named(app: App, tmp_path: Path) -> None:
    base = {"type": "concept", "id": "short", "title": "Short"}
    imported(app, tmp_path, [{**base, "text": "First."}])
    act = imported(app, tmp_path, [{**base, "text": "Second."}], "b.jsonl")
    with writing(app.engine) as session:
        content = pages.content_of(session, pages.get(session, "short"))
        editing.save(session, "short", replace(content, body="Third."), base=2, now=LATER)
    done = undone(app, act)
    assert [(each.slug, each.why) for each in done.stays] == [
        ("short", "its text was edited at the same place")
    ]
    with reading(app.engine) as session:
        assert pages.get(session, "short").body == "Third."


def test_what_another_import_tells_of_too_stays(app: App, tmp_path: Path) -> None:
    act = imported(app, tmp_path, ROWS)
    other = imported(app, tmp_path, [{**ROWS[1], "text": "Told anew."}, ROWS[3]], "b.jsonl")
    done = undone(app, act)
    assert [each.slug for each in done.stays] == ["paging"]
    assert done.stays[0].why == "something else tells of them as well"
    with reading(app.engine) as session:
        assert standing(session) == ["paging"]
    done = undone(app, other)
    with reading(app.engine) as session:
        assert pages.get(session, "paging").body == "Memory in pages."


def test_undone_last_first_nothing_is_left(app: App, tmp_path: Path) -> None:
    first = imported(app, tmp_path, ROWS)
    second = imported(app, tmp_path, [{**ROWS[1], "text": "Told anew."}], "b.jsonl")
    undone(app, second)
    undone(app, first)
    with reading(app.engine) as session:
        assert standing(session) == []
        assert session.exec(select(Paper)).all() == []


def test_a_paper_that_was_there_is_as_it_was_before_it_was_kept(app: App, tmp_path: Path) -> None:
    imported(app, tmp_path, [{**ROWS[3]}])
    act = imported(app, tmp_path, [{**ROWS[3], "keep": True, "text": "Kept."}], "b.jsonl")
    with reading(app.engine) as session:
        assert standing(session) == ["unread"]
    undone(app, act)
    with reading(app.engine) as session:
        paper = session.exec(select(Paper)).one()
        assert (paper.state, paper.page_id, standing(session)) == (PaperState.WAITING, None, [])
    imported(app, tmp_path, [{**ROWS[3], "keep": True, "text": "Kept."}], "b.jsonl")
    with reading(app.engine) as session:
        assert standing(session) == ["unread"]


def test_one_page_of_an_undone_import_can_be_put_back_alone(app: App, tmp_path: Path) -> None:
    act = imported(app, tmp_path, ROWS)
    first = undone(app, act)
    with writing(app.engine) as session:
        back = removal.restore(session, "paged-keys", now=LATER)
        assert back.kind == PageKind.PAPER
    with reading(app.engine) as session:
        paper = session.exec(select(Paper)).one()
        assert (paper.page_id, paper.state) == (back.id, PaperState.KEPT)
        assert session.exec(select(Identifier.value)).one() == "2605.00001"
    second = undone(app, first.act)
    assert second.counts["back"] == 2
    with reading(app.engine) as session:
        assert standing(session) == ["kv-cache", "paged-keys", "paging"]
        assert len(session.exec(select(Paper)).all()) == 2


def test_what_came_again_meanwhile_is_not_brought_back_twice(app: App, tmp_path: Path) -> None:
    act = imported(app, tmp_path, ROWS)
    first = undone(app, act)
    imported(app, tmp_path, ROWS)
    second = undone(app, first.act)
    assert {each.why for each in second.stays} == {"another page has its address since"}
    with reading(app.engine) as session:
        assert standing(session) == ["kv-cache", "paged-keys", "paging"]
        assert len(session.exec(select(Paper)).all()) == 2
        assert len(session.exec(select(Item)).all()) == 1


def test_a_run_is_undone_with_its_proposals_and_what_a_rule_decided(
    app: App, tmp_path: Path
) -> None:
    imported(app, tmp_path, ROWS)
    before = state(app)
    with (
        acts.doing(app.engine, ActKind.WORK, "A run of the worker", clock=app.clock) as act,
        writing(app.engine) as session,
    ):
        one, other = (pages.get(session, slug) for slug in ("kv-cache", "paging"))
        waits = Link(
            source_id=one.id or 0,
            target_id=other.id or 0,
            relation=Relation.ABOUT,
            status=LinkStatus.PROPOSED,
            origin=Origin.LINKER,
            created_at=THEN,
        )
        links.add(session, waits)
        links.add(
            session,
            Link(
                source_id=other.id or 0,
                target_id=one.id or 0,
                relation=Relation.ABOUT,
                status=LinkStatus.PROPOSED,
                origin=Origin.LINKER,
                created_at=THEN,
            ),
        )
        review.decide(session, waits.id or 0, Verdict.ACCEPT, now=THEN, who="rule:1")
        was = session.exec(
            select(Link).where(Link.status == LinkStatus.PROPOSED, Link.origin == Origin.IMPORT)
        ).one()
        review.decide(session, was.id or 0, Verdict.REJECT, now=THEN, who="rule:1")
        session.add(
            Change(
                kind=ChangeKind.CONCEPT,
                key="concept:x",
                title="X",
                status=LinkStatus.PROPOSED,
                origin=Origin.LINKER,
                created_at=THEN,
            )
        )
        made = pages.create(
            session,
            Content(title="Digest of a day", kind=PageKind.DIGEST, body="Told."),
            author=Author(AuthorKind.AGENT, "teller"),
            now=THEN,
        )
        session.add(Digest(page_id=made.id or 0, day="2026-05-08"))
    assert act.id is not None
    done = undone(app, act.id)
    assert done.stays == []
    assert done.counts == {"removed": 1, "proposals": 3, "decisions": 2}
    after = state(app)
    for name in ("link", "digest", "change", "paper", "item"):
        assert after[name] == before[name], name
    with reading(app.engine) as session:
        standing_now = select(Decision).where(
            col(Decision.undone).is_(False),
            col(Decision.undoes_id).is_(None),
            col(Decision.link_id).is_not(None),
        )
        assert session.exec(standing_now).all() == []


def test_one_that_was_partly_undone_is_undone_with_what_is_left(app: App, tmp_path: Path) -> None:
    imported(app, tmp_path, ROWS)
    with (
        acts.doing(app.engine, ActKind.VAULT, "The vault", clock=app.clock) as act,
        writing(app.engine) as session,
    ):
        gone = removal.remove(session, "paging", now=THEN)
        link = session.exec(
            select(Link).where(Link.status == LinkStatus.ACCEPTED, Link.relation == Relation.ABOUT)
        ).one()
        new = pages.create(
            session,
            Content(title="From a file", kind=PageKind.NOTE),
            author=Author(AuthorKind.VAULT, "vault"),
            now=THEN,
        )
        assert link is not None and new is not None
    with writing(app.engine) as session:
        review.undo(session, gone.id, now=LATER)
        removal.remove(session, "from-a-file", now=LATER)
    assert act.id is not None
    done = undone(app, act.id)
    assert (done.counts, done.stays) == ({}, [])
    assert list(done.in_words()) == ["Undone, The vault: there was nothing left to do."]
    with reading(app.engine) as session:
        assert standing(session) == ["kv-cache", "paged-keys", "paging"]


def test_what_somebody_wrote_into_the_vault_stays(app: App) -> None:
    vault = Author(AuthorKind.VAULT, "vault")
    with writing(app.engine) as session:
        old = pages.create(
            session,
            Content(title="Old", kind=PageKind.NOTE, body="As it was."),
            author=PERSON,
            now=THEN,
        )
        old_id = old.id or 0
    with (
        acts.doing(app.engine, ActKind.VAULT, "Files of the vault", clock=app.clock) as act,
        writing(app.engine) as session,
    ):
        pages.create(
            session,
            Content(title="Mine", kind=PageKind.NOTE, body="My file."),
            author=vault,
            now=THEN,
        )
        old = session.get_one(Page, old_id)
        pages.revise(
            session,
            old,
            replace(pages.content_of(session, old), body="As in the file."),
            author=vault,
            now=THEN,
        )
    assert act.id is not None
    done = undone(app, act.id)
    assert [(stays.title, stays.why) for stays in done.stays] == [
        ("Mine", "their files are yours: whoever deletes one removes its page")
    ]
    with reading(app.engine) as session:
        assert standing(session) == ["mine", "old"]
        assert session.get_one(Page, old_id).body == "As it was."


def test_a_look_at_the_vault_is_undone_with_the_pages_it_removed(app: App, tmp_path: Path) -> None:
    imported(app, tmp_path, ROWS)
    before = state(app)
    with (
        acts.doing(app.engine, ActKind.VAULT, "The vault", clock=app.clock) as act,
        writing(app.engine) as session,
    ):
        removal.remove(session, "paging", now=THEN, reason="its file was deleted in the vault")
        removal.remove(session, "kv-cache", now=THEN)
    assert act.id is not None
    done = undone(app, act.id)
    assert done.counts == {"decisions": 2}
    after = state(app)
    for name, rows in before.items():
        assert after[name] == rows, name


def test_a_run_that_goes_on_is_left(app: App) -> None:
    with writing(app.engine) as session:
        run = Run(trigger="worker", state=RunState.RUNNING, started_at=THEN)
        session.add(run)
        session.flush()
        act = acts.begin(session, ActKind.WORK, "A run", now=THEN, run_id=run.id)
        pages.create(session, Content(title="A", kind=PageKind.NOTE), author=IMPORT, now=THEN)
    assert act.id is not None
    with pytest.raises(Conflict, match="still going"):
        undone(app, act.id)


def test_it_is_one_transaction(app: App, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    act = imported(app, tmp_path, ROWS)
    before = state(app)

    def fails(*_: object, **__: object) -> None:
        raise RuntimeError

    monkeypatch.setattr("app.store.forgetting.take_items", fails)
    with pytest.raises(RuntimeError):
        undone(app, act)
    assert state(app) == before
    with reading(app.engine) as session:
        assert not session.get_one(Act, act).undone
        assert session.exec(select(Page).where(Page.kind == PageKind.REMOVED)).all() == []
        assert session.exec(select(Revision)).all()
