"""A proposed thread in Review: changed, accepted, undone, in the browser, the API and as a command."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.testclient import TestClient

from app.bootstrap import App
from app.domain.records import ChangeKind, Origin
from app.store import changes, pages
from app.store.db import reading, writing
from tests.web.conftest import NOW, load, parsed, words

CLAIM = "A few anchors <b>carry</b> the load of the fleet."


@pytest.fixture
def proposal(app: App) -> tuple[str, list[int]]:
    """A thread of three papers that waits; its name and the ids of their pages."""
    rows: list[dict[str, Any]] = [
        {"type": "paper", "id": f"arxiv:2605.{n:05}", "title": f"Paper {n}", "abstract": CLAIM}
        for n in (1, 2, 3)
    ]
    load(app, rows)
    with reading(app.engine) as session:
        ids = [pages.get(session, f"paper-{n}").id or 0 for n in (1, 2, 3)]
    members = [
        {"page": page, "role": "supports", "line": CLAIM, "day": f"2026-05-0{at}"}
        for at, page in enumerate(ids, 1)
    ]
    evidence = [
        {
            "quotation": CLAIM,
            "where": "abstract",
            "verbatim": True,
            "spans": [[6, 13]],
            "page": f"paper-{n}",
        }
        for n in (1, 2, 3)
    ]
    with writing(app.engine) as session:
        changes.propose(
            session,
            kind=ChangeKind.THREAD,
            key="thread:anchor load",
            title="Anchors and load",
            confidence=0.7,
            reason="Three papers say much the same of it, and no thread does.",
            content={"claim": CLAIM, "claim_from": ids[0], "members": members, "concepts": []},
            evidence=evidence,
            signals=[],
            origin=Origin.LINKER,
            now=NOW,
        )
        [change] = changes.keyed(session, ["thread:anchor load"]).values()
        return f"c{change.id}", ids


def test_the_row_shows_what_would_be_written(
    client: TestClient, proposal: tuple[str, list[int]]
) -> None:
    page = parsed(client.get("/review?tab=concepts"))
    row = page.select_one(f"#s{proposal[0]}")
    assert row is not None
    assert "new thread Anchors and load" in words(row)
    assert row.select_one("textarea[name=title]").text == "Anchors and load"  # type: ignore[union-attr]
    assert row.select_one("textarea[name=claim]").text == CLAIM  # type: ignore[union-attr]
    assert [each["value"] for each in row.select("input[name=member]")] == list(
        map(str, proposal[1])
    )
    assert "supports, 2026-05-01" in words(row)
    assert len(row.select("blockquote mark")) == 3
    assert not row.select("blockquote b")


def test_it_is_accepted_with_another_name_claim_and_members_and_undone(
    client: TestClient, app: App, proposal: tuple[str, list[int]]
) -> None:
    name, ids = proposal
    given: dict[str, Any] = {
        "decision": "accept",
        "title": "Few anchors",
        "claim": "Few anchors are enough.",
        "members": "1",
        "member": list(map(str, ids[:2])),
    }
    answer = client.post(f"/review/{name}", data=given, follow_redirects=False)
    assert answer.status_code == 303
    thread = parsed(client.get("/w/few-anchors"))
    assert "Few anchors are enough." in words(thread)
    assert "Paper 2" in words(thread) and "Paper 3" not in words(thread)
    assert "a new thread" in words(parsed(client.get("/review?tab=decided")))
    [undo] = parsed(client.get("/review?tab=decided")).select('form[action^="/decisions/"]')
    assert client.post(undo["action"], data={}, follow_redirects=False).status_code == 303
    assert client.get("/w/few-anchors", follow_redirects=False).status_code == 404
    with reading(app.engine) as session:
        assert changes.count(session) == 1


def test_the_api_lists_and_decides_it(client: TestClient, proposal: tuple[str, list[int]]) -> None:
    name, ids = proposal
    [row] = client.get("/api/v1/review?kind=thread").json()["changes"]
    assert row["id"] == name and row["content"]["claim"] == CLAIM
    bad = client.post(f"/api/v1/review/{name}", json={"decision": "accept", "members": ids[:1]})
    assert bad.status_code == 422
    made = client.post(f"/api/v1/review/{name}", json={"decision": "accept", "claim": "Enough."})
    assert made.status_code == 200
    assert client.get("/api/v1/pages/anchors-and-load").json()["kind"] == "thread"


def test_a_claim_too_long_is_refused_in_words(
    client: TestClient, proposal: tuple[str, list[int]]
) -> None:
    given = {"decision": "accept", "claim": "x" * 1_001}
    answer = client.post(f"/review/{proposal[0]}", data=given, follow_redirects=False)
    assert answer.status_code == 422
    assert "A claim is one sentence" in answer.text
