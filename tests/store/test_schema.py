"""The schema: the migrations make exactly what the records say, once, and can be asked again."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy.engine import Engine
from sqlmodel import SQLModel

from app.domain import records
from app.errors import Unavailable
from app.store import schema
from app.store.db import migrating, open_engine
from tests import databases

ROOT = Path(__file__).parents[2]


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    made = open_engine(f"sqlite:///{tmp_path}/a b%20c/wiki.sqlite3")
    yield made
    made.dispose()


def config_on(connection: sa.Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(schema.MIGRATIONS))
    config.attributes["connection"] = connection
    return config


def test_the_newest_revision_is_the_last_migration() -> None:
    assert ScriptDirectory(str(schema.MIGRATIONS)).get_current_head() == schema.NEWEST


def test_a_new_database_is_brought_up_to_date_once(engine: Engine) -> None:
    assert schema.current(engine) is None
    assert schema.upgrade(engine)
    assert schema.current(engine) == schema.NEWEST
    assert not schema.upgrade(engine)


def test_two_that_start_at_once_bring_it_up_to_date_once(tmp_path: Path) -> None:
    script = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from app.store import schema\n"
        "from app.store.db import open_engine\n"
        "engine = open_engine(sys.argv[2]); schema.upgrade(engine); print(schema.current(engine))\n"
    )
    command_line = [sys.executable, "-c", script, str(ROOT), f"sqlite:///{tmp_path}/wiki.sqlite3"]
    started = [
        subprocess.Popen(command_line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    for each in started:
        said, wrong = each.communicate(timeout=120)
        assert (said.strip(), each.returncode) == (schema.NEWEST, 0), wrong


def test_the_migrations_make_what_the_records_say(engine: Engine) -> None:
    schema.upgrade(engine)
    with engine.connect() as connection:
        command.check(config_on(connection))  # raises when a migration is missing
    with engine.connect() as connection:
        tables = set(sa.inspect(connection).get_table_names())
    assert {table.name for table in SQLModel.metadata.sorted_tables} <= tables
    assert records.Page.__tablename__ in tables


def test_the_full_text_index_follows_by_triggers(engine: Engine) -> None:
    schema.upgrade(engine)
    with engine.connect() as connection:
        triggers = set(
            connection.exec_driver_sql(
                "SELECT name FROM sqlite_master WHERE type = 'trigger'"
            ).scalars()
        )
    assert {"page_text_insert", "page_text_update", "page_text_delete"} <= triggers


def test_downgrade_leaves_nothing_and_upgrade_makes_it_again(engine: Engine) -> None:
    schema.upgrade(engine)
    with engine.execution_options(write=True).connect() as connection:
        command.downgrade(config_on(connection), "base")
        connection.commit()
    with engine.connect() as connection:
        assert sa.inspect(connection).get_table_names() == ["alembic_version"]
    assert schema.upgrade(engine)
    with engine.connect() as connection:
        command.check(config_on(connection))


def test_a_database_of_a_newer_program_is_left_alone(engine: Engine) -> None:
    schema.upgrade(engine)
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = 'from_2031'")
    with pytest.raises(Unavailable, match="from_2031"):
        schema.upgrade(engine)
    assert schema.current(engine) == "from_2031"


@pytest.mark.parametrize("table", ["page", "subscription"])  # of the first step, and of a late one
def test_an_upgrade_that_fails_leaves_the_database_as_it_was(engine: Engine, table: str) -> None:
    mine = sa.table(table, sa.column("mine"))
    with engine.begin() as connection:
        connection.execute(
            sa.schema.CreateTable(sa.Table(table, sa.MetaData(), sa.Column("mine", sa.Text)))
        )
        connection.execute(sa.insert(mine), [{"mine": "kept"}])
    with pytest.raises(sa.exc.OperationalError):
        schema.upgrade(engine)
    with engine.connect() as connection:
        assert set(sa.inspect(connection).get_table_names()) == {table}
        assert connection.execute(sa.select(mine.c.mine)).scalar() == "kept"


THEN = datetime(2026, 5, 14, 9, 0, tzinfo=UTC)


def fill(connection: sa.Connection, table: str, /, **values: Any) -> None:
    """A row of a table as an older program wrote it."""
    connection.execute(sa.insert(sa.table(table, *map(sa.column, values))), [values])


def of_an_older_program(connection: sa.Connection) -> None:
    """A paper, two concepts, their links, and decisions: one undone, one a correction."""
    for number, kind in ((1, "paper"), (2, "concept"), (3, "concept")):
        named = {"slug": f"p{number}", "title": "P", "title_key": "p", "kind": kind}
        written = {"author_kind": "person", "author": "", "extra": "{}", "body": "", "version": 1}
        fill(connection, "page", id=number, created_at=THEN, updated_at=THEN, **named, **written)
    for number, status, signals in (
        (1, "accepted", '[{"name": "mention"}]'),
        (2, "rejected", "[]"),
    ):
        ends = {"source_id": 1, "target_id": number + 1, "relation": "about", "status": status}
        told = {"origin": "linker", "confidence": 0.5, "evidence": "[]", "signals": signals}
        rest = dict.fromkeys(("note", "day", "reason", "text_hash"), "")
        fill(connection, "link", id=number, created_at=THEN, extra="{}", **ends, **told, **rest)
    for number, verdict, link_id, before, undoes_id in (
        (1, "reject", 1, "{}", None),
        (2, "reject", 1, "{}", 1),
        (3, "accept", 1, "{}", None),
        (4, "accept", 2, '{"made": 9}', None),
        (5, "defer", 2, "{}", None),
    ):
        about = {"verdict": verdict, "link_id": link_id, "undoes_id": undoes_id, "before": before}
        fill(
            connection,
            "decision",
            id=number,
            at=THEN,
            who="person",
            reason="",
            batch="b",
            undone=number == 1,
            **about,
        )


def test_proposals_upgrade_keeps_every_decision_and_downgrade_every_page(tmp_path: Path) -> None:
    engine = open_engine(databases.url_of(tmp_path))
    with migrating(engine) as connection:
        command.downgrade(config_on(connection), "0006")
    with engine.execution_options(write="alone").connect() as connection:
        of_an_older_program(connection)
        connection.commit()
    assert schema.upgrade(engine)
    with engine.execution_options(write="alone").connect() as connection:
        rows = connection.exec_driver_sql(
            "SELECT id, undoes_id, agreed, signal, kind, concept_id FROM decision ORDER BY id"
        ).all()
        assert rows == [
            (1, None, False, "mention", "about", 2),
            (2, 1, None, "", "", None),
            (3, None, True, "mention", "about", 2),
            (4, None, False, "", "about", 3),
            (5, None, None, "", "", None),
        ]
        connection.exec_driver_sql("UPDATE page SET kind = 'merged', title_key = '' WHERE id = 3")
        connection.commit()
        with pytest.raises(sa.exc.IntegrityError):  # references are watched again
            connection.exec_driver_sql("UPDATE decision SET link_id = 99")
    with migrating(engine) as connection:
        command.downgrade(config_on(connection), "0006")
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM decision").scalar() == 5
        kinds = connection.exec_driver_sql("SELECT kind, title_key FROM page ORDER BY id").all()
        assert kinds == [("paper", "p"), ("concept", "p"), ("concept", "p3")]
    engine.dispose()


def test_triage_upgrade_picks_from_the_new_threshold_where_none_could_be_chosen(
    tmp_path: Path,
) -> None:
    engine = open_engine(databases.url_of(tmp_path))
    with migrating(engine) as connection:
        command.downgrade(config_on(connection), "0007")
    with engine.execution_options(write="alone").connect() as connection:
        for name, threshold in (("old", 0.5), ("other", 0.7)):
            texts = {"name": "T", "keep": "", "filter": "", "extra": "{}"}
            fill(connection, "topic", id=name, tier=2, threshold=threshold, position=0, **texts)
        connection.commit()
    assert schema.upgrade(engine)
    with engine.connect() as connection:
        found = connection.exec_driver_sql("SELECT id, threshold FROM topic ORDER BY id").all()
        default = records.Topic.model_fields["threshold"].default
        assert found == [("old", default), ("other", 0.7)]
    engine.dispose()


def test_sources_upgrade_keeps_items_and_what_they_mention_and_downgrade_too(
    tmp_path: Path,
) -> None:
    engine = open_engine(databases.url_of(tmp_path))
    with migrating(engine) as connection:
        command.downgrade(config_on(connection), "0009")
    with engine.execution_options(write="alone").connect() as connection:
        for statement in (
            "INSERT INTO source VALUES (1, 'gauges', 'listing', 'Gauges', '', '', '2026-05-08 09:00:00')",
            "INSERT INTO paper (id, state, title, title_key, abstract, authors, venue, published, "
            "categories, \"references\", code_url, extra, created_at) VALUES (1, 'waiting', 'Tides', "
            "'tides', '', '[]', '', '', '[]', '[]', '', '{}', '2026-05-08 09:00:00')",
            "INSERT INTO item (id, source_id, key, format, title, url, published, received_at, hash) "
            "VALUES (1, 1, 'day', 'triage-page', 'Day', '', '', '2026-05-08 09:00:00', 'h')",
            "INSERT INTO mention (item_id, paper_id, section, day, text, source_name, tier_reason, "
            "why_it_matters) VALUES (1, 1, 'entries', '2026-05-08', 'It says so.', '', '', '')",
        ):
            connection.exec_driver_sql(statement)
        connection.commit()
    assert schema.upgrade(engine)
    with engine.execution_options(write="alone").connect() as connection:
        assert connection.exec_driver_sql("SELECT key, hash, paper_id FROM item").all() == [
            ("day", "h", None)
        ]
        assert connection.exec_driver_sql("SELECT text, stance FROM mention").all() == [
            ("It says so.", None)
        ]
        connection.exec_driver_sql("UPDATE item SET paper_id = 1")
        connection.commit()
        with pytest.raises(sa.exc.IntegrityError):  # references are watched again
            connection.exec_driver_sql("UPDATE item SET paper_id = 99")
    with migrating(engine) as connection:
        command.downgrade(config_on(connection), "0009")
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM mention").scalar() == 1
        assert connection.exec_driver_sql("SELECT key FROM item").scalars().all() == ["day"]
    engine.dispose()


_A_PAPER = sa.text(
    """INSERT INTO paper (id, state, title, title_key, abstract, authors, venue, published, categories,
    "references", code_url, extra, created_at)
    VALUES (:id, 'waiting', 'T', 't', '', '[]', '', '', '[]', '[]', '', '{}', '2026-05-08 09:00:00')"""
)
_ITS_MARKS = sa.text(
    """INSERT INTO assessment (paper_id, day, scorer, prompt, comment, topic_comment, tags, at, relevance,
    novelty, score)
    VALUES (:paper, '2026-05-08', 's', '', '', '', '[]', '2026-05-08 09:00:00', :relevance, :novelty,
    :score)"""
)


def test_the_order_of_the_inbox_is_told_anew_by_an_upgrade_and_again_by_a_downgrade(
    tmp_path: Path,
) -> None:
    engine = open_engine(databases.url_of(tmp_path))
    with migrating(engine) as connection:
        command.downgrade(config_on(connection), "0010")
    marks = {
        1: (3, 9, 0.02),  # off the reader's topics, and new
        2: (8, 2, 0.3),
        3: (7, 4, None),  # a page that came in says no chance
        4: (None, None, None),
        5: None,
    }
    with engine.execution_options(write="alone").connect() as connection:
        for number, told in marks.items():
            connection.execute(_A_PAPER, {"id": number})
            if told is not None:
                relevance, novelty, score = told
                values = {"paper": number, "relevance": relevance, "novelty": novelty}
                connection.execute(_ITS_MARKS, {**values, "score": score})
        connection.commit()

    def best_first() -> list[tuple[int, float]]:
        with engine.connect() as connection:
            rows = connection.exec_driver_sql("SELECT id, score FROM paper ORDER BY score DESC, id")
            return [(row[0], round(row[1], 4)) for row in rows]

    before = best_first()
    assert [number for number, _ in before] == [1, 3, 2, 4, 5]
    assert schema.upgrade(engine)
    assert best_first() == [(2, 0.3), (3, 0.2166), (1, 0.02), (4, 0.0), (5, 0.0)]
    with engine.execution_options(write="alone").connect() as connection:
        connection.exec_driver_sql("UPDATE assessment SET score = 0.9 WHERE paper_id = 1")
        connection.exec_driver_sql("DELETE FROM assessment WHERE paper_id = 2")
        connection.commit()
    assert best_first()[:2] == [(1, 0.9), (3, 0.2166)]
    assert best_first()[-1] == (5, 0.0)
    with migrating(engine) as connection:
        command.downgrade(config_on(connection), "0010")
    assert dict(best_first()) == {1: 12.891, 2: 0.0, 3: 11.0, 4: 0.0, 5: 0.0}
    engine.dispose()
