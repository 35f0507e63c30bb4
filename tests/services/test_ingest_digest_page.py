"""A digest page goes whole into the wiki, and a second time changes nothing."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from app.services.ingest import import_files
from app.sources.base import File
from app.store.db import writing
from tests.factories import make_engine
from tests.sources.test_digest_page import POND, READER


def test_everything_finds_its_place_in_the_wiki_and_twice_changes_nothing(tmp_path: Path) -> None:
    engine = make_engine(tmp_path)
    file = File(name="pond.txt", data=POND.encode())
    reports = []
    for _ in range(2):
        with writing(engine) as session:
            now = datetime(2031, 3, 3, 12, tzinfo=UTC)
            (result,) = import_files(session, [file], [READER], raw_folder=None, now=now)
        reports.append(result[1])

    first, second = reports
    assert not isinstance(first, Exception)
    assert not isinstance(second, Exception)
    assert [rejected.where for rejected in first.rejected] == [
        f"line {POND.split(chr(10)).index('... nothing') + 1} (Quick Hits)"
    ]
    assert first.by_kind()["link"] == {"new": 12}
    assert {outcome for counts in second.by_kind().values() for outcome in counts} == {"same"}
