"""A first day for a new reader: invented papers, listed on one day, judged and told like any other.

Beside the pipeline, like an import: what it brings in is pending work for the worker.
"""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

from sqlmodel import Session

from app.domain.records import ActKind
from app.services.first_steps import SAMPLE_NAME, sample_papers
from app.services.ingest import Report, import_files
from app.sources.base import File
from app.sources.interchange import Interchange
from app.store import acts, preferences

SAMPLE = Path(__file__).parent / "sources" / "sample_day.jsonl"


def bring_sample(session: Session, day: str, *, now: datetime) -> int:
    """List the sample papers on `day`, unless they are there; how many there are then."""
    if found := sample_papers(session):
        return found
    rows = [json.loads(row) for row in SAMPLE.read_text("utf-8").splitlines()]
    for position, row in enumerate(rows):
        row |= {"day": day, "published": day, "position": position}
    data = "\n".join(json.dumps(row) for row in rows).encode()
    acts.begin(session, ActKind.IMPORT, "The papers of the sample day", now=now)
    [(_, report)] = import_files(
        session, [File(SAMPLE_NAME, data)], (Interchange(),), raw_folder=None, now=now
    )
    assert isinstance(report, Report), report
    preferences.set_sample_day(session, day)
    return sample_papers(session)
