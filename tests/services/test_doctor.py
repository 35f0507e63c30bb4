"""Doctor: what is derived is mended until it is as if made anew; what cannot be is named."""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Engine
from sqlmodel import SQLModel

from app.domain.records import (
    Assessment,
    AuthorKind,
    Decision,
    Listing,
    ListingPaper,
    Page,
    PageKind,
    Paper,
    PaperState,
    RunState,
    Topic,
    Verdict,
)
from app.services.doctor import Finding, Patient, examine
from app.services.vault.sync import Sync
from app.store import derived, items, pages, runs, snapshots, vectors
from app.store.db import SHOWN, generation, open_engine, reading, writing
from app.store.pages import PERSON, Author, Content
from app.vault.folder import Vault
from tests.factories import THEN, make_engine

BODY = """# On tides

Six papers strong: [[Tide]] and [[extends::Moon]], [[Nobody wrote this]].

## Open questions

- Does the moon pull the tide at night?
- Why twice a day?
"""
MODEL = Author(AuthorKind.MODEL, "m", "prompt@1")


@pytest.fixture
def patient(tmp_path: Path) -> Iterator[Patient]:
    """A wiki with something of everything that is derived."""
    data = tmp_path / "data"
    data.mkdir()
    engine = make_engine(data)
    raw = items.keep_raw(data / "raw", b"bytes")
    with writing(engine) as session:
        items.note_raw(session, raw, 5, now=THEN)
        for title, kind, body, aliases in (
            ("Tide", PageKind.CONCEPT, "Of water.", ("ebb and flow",)),
            ("Moon", PageKind.CONCEPT, "Of rock. [[Tide]].", ()),
            ("Of tides and moons", PageKind.NOTE, BODY, ("moon note",)),
        ):
            content = Content(title=title, kind=kind, body=body, aliases=aliases)
            pages.create(session, content, author=PERSON, now=THEN)
        page = pages.get(session, "moon")
        content = pages.content_of(session, page)
        said = "Of rock. [[Tide]].\n\n## Origin\n\nA model says where from.\n"
        pages.revise(
            session,
            page,
            Content(title="Moon", kind=PageKind.CONCEPT, body=said, aliases=content.aliases),
            author=MODEL,
            now=THEN,
        )
        session.add(Topic(id="sea", name="Sea", position=0))
        for number in (1, 2):
            paper = Paper(
                state=PaperState.WAITING,
                title=f"Paper {number}",
                title_key=f"paper{number}",
                published="2026-05-01",
                created_at=THEN,
            )
            session.add(paper)
            session.flush()
            session.add(
                Assessment(
                    paper_id=paper.id or 0,
                    day="2026-05-02",
                    scorer="person",
                    topic_id="sea",
                    relevance=7,
                    novelty=number,
                    at=THEN,
                )
            )
        session.add(Listing(day="2026-05-02"))
        session.flush()
        session.add(ListingPaper(day="2026-05-02", paper_id=1))
        session.flush()
        vectors.want(session, "m@1", setting="m")
    yield Patient(engine, data, data / "raw", data / "vault")
    engine.dispose()


# What is counted or numbered as it comes, and says nothing.
_UNTOLD = {"generation", "unmirrored", "lease", "hold"}


def rows(engine: Engine) -> dict[str, list[Any]]:
    with reading(engine) as session:
        found = {}
        for table in SQLModel.metadata.sorted_tables:
            if table.name in _UNTOLD:
                continue
            columns = [
                column
                for column in table.columns
                if not (table.name in ("title_word", "link", "question") and column.name == "id")
            ]
            found[table.name] = sorted(
                map(tuple, session.connection().execute(sa.select(*columns))), key=repr
            )
        return found


def doctor(patient: Patient, **options: Any) -> dict[str, Finding]:
    return {each.check: each for each in examine(patient, now=THEN, **options)}


def sql(patient: Patient, *statements: str) -> None:
    """Break something, past everything that would notice."""
    with patient.engine.execution_options(write="alone").connect() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)
        connection.commit()


def test_where_all_is_well_nothing_is_written(patient: Patient) -> None:
    before = rows(patient.engine)
    with reading(patient.engine) as session:
        shown = generation(session, SHOWN)
    found = doctor(patient)
    assert [each for each in found.values() if not each.ok or each.wrong] == []
    assert rows(patient.engine) == before
    with reading(patient.engine) as session:
        assert generation(session, SHOWN) == shown


BREAKS = {
    "names": ["UPDATE page SET title_key = 'x' WHERE slug = 'tide'", "UPDATE alias SET key = 'x'"],
    "links in texts": ["DELETE FROM link WHERE relation = 'extends'"],
    "links to pages nobody wrote": ["DELETE FROM red_link"],
    "search texts": ["UPDATE page_text SET text = 'x', hash = 'y' WHERE title = 'Tide'"],
    "questions": ["DELETE FROM question WHERE number = 2"],
    "sections": ["DELETE FROM page_section"],
    "numbers in texts": [
        "DELETE FROM page_number",
        "INSERT INTO page_number VALUES (1, 0, 'claim', 'x', '')",
    ],
    "words of titles": ["DELETE FROM title_word"],
    "papers": ["UPDATE paper SET score = 9, topic_id = NULL, came = '1999'"],
    "titles of papers": ["UPDATE paper SET title_key = 'x'"],
    "vectors": ["DELETE FROM unencoded"],
}


@pytest.mark.parametrize("check", BREAKS)
def test_what_is_derived_is_made_right_again(patient: Patient, check: str) -> None:
    doctor(patient)  # keys of the fixture that were written by hand
    before = rows(patient.engine)
    sql(patient, *BREAKS[check])
    broken = rows(patient.engine)
    assert broken != before
    told = doctor(patient, dry_run=True)[check]
    assert (told.ok, told.mended) == (False, False)
    assert told.wrong
    assert "to be" in told.says
    assert rows(patient.engine) == broken  # nothing was changed
    found = doctor(patient)[check]
    assert (found.ok, found.mended, found.wrong) == (True, True, told.wrong)
    assert rows(patient.engine) == before
    again = doctor(patient)
    assert [each for each in again.values() if each.wrong] == []


def test_all_of_it_broken_at_once_is_as_if_made_anew(patient: Patient) -> None:
    doctor(patient)
    before = rows(patient.engine)
    sql(patient, *(statement for each in BREAKS.values() for statement in each))
    sql(patient, "DELETE FROM page_text WHERE title <> 'Tide'")
    found = doctor(patient)
    assert all(each.ok for each in found.values())
    others = {"vectors", "links to pages nobody wrote"}  # came right with the texts and their links
    assert {name for name, each in found.items() if each.mended} >= set(BREAKS) - others
    assert rows(patient.engine) == before
    with writing(patient.engine) as session:
        assert derived.rebuild(session).total == 0
    assert rows(patient.engine) == before


def test_who_remembers_something_looks_anew_after_a_repair(patient: Patient) -> None:
    with reading(patient.engine) as session:
        shown = generation(session, SHOWN)
    sql(patient, *BREAKS["papers"])
    doctor(patient)
    with reading(patient.engine) as session:
        assert generation(session, SHOWN) > shown


def found_by(patient: Patient, word: str) -> list[str]:
    from app.domain.queries import Filters, parse_query
    from app.store import search

    with reading(patient.engine) as session:
        ids = {each for each, _ in search.match(session, parse_query(word), Filters()).ranked}
        return sorted(session.get_one(Page, each).slug for each in ids)


def test_the_word_index_is_made_anew_from_the_texts(patient: Patient) -> None:
    from tests import databases

    assert found_by(patient, "water") == ["tide"]
    if databases.on_postgresql():
        sql(patient, "UPDATE page_text SET words = to_tsvector('nothing'), name_words = NULL")
    else:
        sql(patient, "INSERT INTO page_fts(page_fts) VALUES('delete-all')")
    assert found_by(patient, "water") == []
    found = doctor(patient)
    assert any(found[name].mended for name in ("word index", "words of pages"))
    assert found_by(patient, "water") == ["tide"]
    assert not any(each.wrong for each in doctor(patient).values())


def test_a_page_that_no_revision_says_is_kept_as_it_stands(patient: Patient) -> None:
    sql(
        patient,
        "UPDATE page SET body = 'torn' WHERE slug = 'tide'",
        "DELETE FROM revision WHERE page_id = (SELECT id FROM page WHERE slug = 'moon') AND number = 2",
    )
    assert doctor(patient)["history"].wrong == 2
    with reading(patient.engine) as session:
        tide, moon = pages.get(session, "tide"), pages.get(session, "moon")
        assert tide.id
        assert moon.id
        assert (tide.version, tide.body) == (2, "torn")
        assert pages.revision(session, tide.id, 1).body == "Of water."
        assert pages.revision(session, tide.id, 2).body == "torn"
        assert pages.revision(session, moon.id, 2).body == moon.body
    assert not any(each.wrong for each in doctor(patient).values())


def test_whose_a_section_is_is_read_from_the_history(patient: Patient) -> None:
    """A person's section of a page that a model wrote last must not become the model's."""
    from app.store import sections

    with reading(patient.engine) as session:
        before = sections.of_page(session, pages.get(session, "moon"))
    assert {each.owner.kind for each in before} == {AuthorKind.PERSON, AuthorKind.MODEL}
    sql(patient, "DELETE FROM page_section")
    doctor(patient)
    with reading(patient.engine) as session:
        assert sections.of_page(session, pages.get(session, "moon")) == before


def test_what_dead_workers_left_is_ended(patient: Patient) -> None:
    with writing(patient.engine) as session:
        run = runs.start(session, "worker", owner="dead", now=THEN)
    sql(
        patient,
        "INSERT INTO lease (name, owner, until) VALUES ('worker dead', 'dead', 1)",
        "INSERT INTO hold (step, subject_id, owner, until) VALUES ('encode', 1, 'dead', 1)",
    )
    found = doctor(patient)["workers"]
    assert (found.ok, found.wrong) == (True, 3)
    with reading(patient.engine) as session:
        assert runs.get(session, run.id or 0).state == RunState.FAILED


def test_somebody_who_is_at_work_is_left_alone(patient: Patient) -> None:
    with runs.at_work(patient.engine) as owner:
        with writing(patient.engine) as session:
            run = runs.start(session, "worker", owner=owner, now=THEN)
            runs.hold(session, "encode", [1], owner=owner, clock=time.time())
        assert doctor(patient)["workers"].wrong == 0
        with reading(patient.engine) as session:
            assert runs.get(session, run.id or 0).state == RunState.RUNNING


# ---------------------------------------------------------------- the vault


@pytest.fixture
def mirrored(patient: Patient) -> Patient:
    synced(patient)
    return patient


def synced(patient: Patient) -> None:
    sync = Sync(patient.engine, Vault(patient.vault), clock=lambda: THEN)
    sync.begin()
    sync.open()
    for _ in range(3):
        sync.look()
        sync.write()
        time.sleep(0.35)
    sync.tell_decisions()


def files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "replaced" not in path.parts
    }


def test_a_mirror_that_is_in_step_is_well(mirrored: Patient) -> None:
    assert doctor(mirrored)["vault"] == Finding(
        "vault", True, "every file has the bytes that were written or taken up"
    )


def test_a_file_with_other_bytes_and_the_same_time_is_looked_at_anew(mirrored: Patient) -> None:
    path = next(mirrored.vault.glob("concepts/Tide.md"))
    told, data = path.stat(), path.read_bytes()
    path.write_bytes(data.replace(b"Of water.", b"Of waves."))
    os.utime(path, ns=(told.st_atime_ns, told.st_mtime_ns))
    assert not doctor(mirrored, dry_run=True)["vault"].ok
    assert doctor(mirrored)["vault"].wrong == 1
    synced(mirrored)
    with reading(mirrored.engine) as session:
        assert pages.get(session, "tide").body == "Of waves."
    assert doctor(mirrored)["vault"].wrong == 0


def test_what_machines_read_in_the_vault_is_written_anew(mirrored: Patient) -> None:
    with writing(mirrored.engine) as session:
        page = pages.get(session, "tide")
        session.add(Decision(at=THEN, verdict=Verdict.ACCEPT, link_id=1))
        assert page.id
    synced(mirrored)
    before = files(mirrored.vault)
    (mirrored.vault / ".cerebro/pages/tide.json").unlink()
    (mirrored.vault / ".cerebro/pages/moon.json").write_bytes(b"{}")
    (mirrored.vault / ".cerebro/decisions.jsonl").unlink()
    assert doctor(mirrored)["vault"].wrong == 3
    synced(mirrored)
    assert files(mirrored.vault) == before
    assert doctor(mirrored)["vault"].wrong == 0


def test_a_vault_that_vanished_is_named_and_nothing_is_deleted(mirrored: Patient) -> None:
    shutil.rmtree(mirrored.vault)
    found = doctor(mirrored)["vault"]
    assert not found.ok
    assert "cerebro sync --anew" in found.says
    with reading(mirrored.engine) as session:
        assert pages.get(session, "tide").kind == PageKind.CONCEPT


def test_pages_that_nobody_noted_are_written(mirrored: Patient) -> None:
    sql(mirrored, "UPDATE mirror SET version = 0", "DELETE FROM unmirrored")
    assert doctor(mirrored)["mirror"].wrong == 3
    synced(mirrored)
    assert doctor(mirrored)["mirror"].wrong == 0


# ---------------------------------------------------------------- what cannot be mended


def test_raw_bytes_that_are_gone_or_others_are_named(patient: Patient) -> None:
    path = next(patient.raw.glob("*/*"))
    path.write_bytes(b"other")
    found = doctor(patient)["raw bytes"]
    assert not found.ok
    assert path.name in found.says
    assert "hold other bytes" in found.says
    path.unlink()
    found = doctor(patient)["raw bytes"]
    assert not found.ok
    assert "cannot be read" in found.says
    assert "backup" in found.says


def test_bytes_of_no_item_are_kept_and_old_temporary_files_are_not(patient: Patient) -> None:
    extra = patient.raw / "ab" / f"ab{'0' * 62}"
    extra.parent.mkdir()
    extra.write_bytes(b"x")
    old, new = patient.raw / "ab" / "tmpold", patient.raw / "ab" / "tmpnew"
    left = patient.data / "backups" / ".cerebro-backup-x"
    left.mkdir(parents=True)
    others = patient.data / "tmp-of-mine"
    others.mkdir()
    (others / "text.md").write_bytes(b"x")
    for path in (old, new):
        path.write_bytes(b"x")
    for path in (old, left, others):
        os.utime(path, (1e9, 1e9))
    assert doctor(patient, dry_run=True)["temporary files"].wrong == 2
    assert old.exists()
    found = doctor(patient)
    assert "1 file (0.0 MB) belong to no item" in found["raw bytes"].says
    assert found["raw bytes"].ok
    assert (found["temporary files"].ok, found["temporary files"].wrong) == (True, 2)
    assert (extra.exists(), old.exists(), new.exists(), left.exists()) == (True, False, True, False)
    assert (others / "text.md").exists()


@pytest.mark.sqlite_only
def test_rows_that_point_at_nothing_go_where_they_say_nothing_and_are_named_where_they_do(
    patient: Patient,
) -> None:
    sql(
        patient,
        "PRAGMA foreign_keys=OFF",
    )
    driver = sqlite3.connect(patient.engine.url.database or "")
    driver.execute("INSERT INTO red_link VALUES (99, 'x', 'X', 'mentions', '')")
    driver.commit()
    found = doctor(patient)["references"]
    assert (found.ok, found.wrong, found.mended) == (True, 1, True)
    driver.execute("DELETE FROM page WHERE slug = 'tide'")
    driver.commit()
    driver.close()
    found = doctor(patient)["references"]
    assert not found.ok
    assert "Restore a backup" in found.says


@pytest.mark.sqlite_only
def test_triggers_and_indexes_that_were_dropped_are_made_again(patient: Patient) -> None:
    before = _made(patient.engine)
    sql(patient, "DROP TRIGGER page_text_update", "DROP INDEX ix_page_title_key")
    assert not doctor(patient, dry_run=True)["schema"].ok
    found = doctor(patient)["schema"]
    assert (found.ok, found.wrong) == (True, 2)
    assert "ix_page_title_key, page_text_update" in found.says
    assert _made(patient.engine) == before


@pytest.mark.postgresql_only
def test_each_function_trigger_and_index_that_was_dropped_on_a_server_is_made_again(
    patient: Patient,
) -> None:
    with reading(patient.engine) as session:
        before = snapshots._made_on_server(session)
    functions = [name.split()[1] for name in before if name.startswith("function ")]
    triggers = [name.split(" on ") for name in before if " on " in name]
    indexes = [name for name in before if " " not in name]
    assert len(functions) > 5 and len(triggers) > 5 and len(indexes) > 50
    assert doctor(patient)["schema"].wrong == 0
    dropped = [
        *(f'DROP TRIGGER "{name}" ON "{table}"' for name, table in triggers),
        *(f"DROP FUNCTION {name} CASCADE" for name in functions),
        *(f'DROP INDEX "{name}"' for name in indexes),
    ]
    sql(patient, *dropped)
    assert doctor(patient, dry_run=True)["schema"].wrong == len(before)
    found = doctor(patient)["schema"]
    assert (found.ok, found.wrong, found.mended) == (True, len(before), True)
    with reading(patient.engine) as session:
        made = snapshots._made_on_server(session)
        assert set(made) == set(before)
        # PostgreSQL words the condition of this one otherwise when it reads its own words.
        assert {name for name in made if made[name] != before[name]} <= {"ix_revision_of_people"}
        beside = "SELECT count(*) FROM pg_namespace WHERE nspname = 'cerebro_doctor'"
        assert session.connection().exec_driver_sql(beside).scalar() == 0


def _made(engine: Engine) -> set[tuple[str, str]]:
    with engine.connect() as connection:
        return {
            (row.name, row.sql)
            for row in connection.exec_driver_sql("SELECT name, sql FROM sqlite_master")
        }


def _damage(patient: Patient, *names: str) -> Patient:
    """The same wiki with the first page of these tables or indexes overwritten."""
    path = Path(patient.engine.url.database or "")
    sql(patient, "SELECT 1")
    patient.engine.dispose()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        roots = [
            connection.execute(
                "SELECT rootpage FROM sqlite_master WHERE name = ?", (name,)
            ).fetchone()[0]
            for name in names
        ]
    connection.close()
    data = bytearray(path.read_bytes())
    for root in roots:
        data[(root - 1) * 4096 + 8 : root * 4096] = bytes(4096 - 8)
    harmed = path.with_name("harmed.sqlite3")
    harmed.write_bytes(data)
    return replace(patient, engine=open_engine(f"sqlite:///{harmed}"))


@pytest.mark.sqlite_only
def test_a_damaged_index_is_made_anew_and_a_damaged_table_is_named(patient: Patient) -> None:
    before = rows(patient.engine)
    harmed = _damage(patient, "ix_page_title_key")
    assert not doctor(harmed, dry_run=True)["database"].ok
    found = doctor(harmed)["database"]
    assert (found.ok, found.mended) == (True, True)
    assert rows(harmed.engine) == before
    harmed.engine.dispose()
    harmed = _damage(patient, "revision")
    (only,) = doctor(harmed).values()
    assert (only.check, only.ok) == ("database", False)
    assert "restore a backup" in only.says
    harmed.engine.dispose()
    shutil.rmtree(patient.data)
