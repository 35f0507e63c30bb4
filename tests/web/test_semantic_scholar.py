"""What Semantic Scholar says of a paper is on the paper's page."""

from __future__ import annotations

import json
from typing import Any

from sqlmodel import select

from app.bootstrap import App
from app.domain.records import Identifier, Paper
from app.services.ingest import store_delivery
from app.sources.base import File
from app.sources.semantic_scholar import SemanticScholar
from app.store import items
from app.store.db import reading, writing
from tests.sources.test_semantic_scholar import ANSWER
from tests.web.conftest import load


def test_references_and_the_tldr_reach_the_paper_and_its_page(app: App, client: Any) -> None:
    load(app, [{"type": "paper", "id": "arxiv:2605.00001", "title": "Tides of a bay"}])
    bundle = SemanticScholar().read(File("a", json.dumps(ANSWER).encode()))
    with writing(app.engine) as session:
        source = items.source(session, bundle.source, now=app.clock())
        store_delivery(session, bundle, source, raw_sha256="0" * 64, size=1, now=app.clock())
    with reading(app.engine) as session:
        [paper] = session.exec(select(Paper)).all()
        assert paper.references == ["arxiv:2101.00001", "doi:10.1000/y", f"s2:{'d' * 40}"]
        schemes = {row.scheme for row in session.exec(select(Identifier)).all()}
        assert schemes == {"arxiv", "s2"}
    shown = client.get("/w/tides-of-a-bay").text
    assert "The bay has tides." in shown
    assert "Semantic Scholar" in shown
