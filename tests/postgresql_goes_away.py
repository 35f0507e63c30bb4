"""Writers over HTTP while an administrator ends every connection again and again.

What was acknowledged is there, whole; what was not is there whole or not at all; nobody is
answered with anything but done, changed meanwhile, or not available now. The suite runs a short
form, `make soak` a hundred rounds.
"""

from __future__ import annotations

import threading
import time
from collections import Counter

import sqlalchemy as sa
from starlette.testclient import TestClient

from app.bootstrap import App
from app.store.db import reading
from app.web.app import create
from tests import databases

WRITERS = 3


def run(app: App, rounds: int) -> Counter[int]:
    """How often each status was answered; raises AssertionError for a half or a lost write."""
    answered: Counter[int] = Counter()
    acknowledged: dict[str, int] = {}
    over = threading.Event()

    def write(number: int) -> None:
        with TestClient(create(app), base_url="http://127.0.0.1:8000") as client:
            turn = 0
            while not over.is_set():
                turn += 1
                slug = f"page-{number}-{turn // 2}"  # each page is made, then changed
                body = f"Turn {turn}. [[page-{number}-{turn // 3}]] and [[nowhere {turn}]]"
                answer = client.put(
                    f"/api/v1/pages/{slug}",
                    json={"title": f"Page {number} {turn}", "body": body},
                    headers={"If-Match": "*"},
                )
                answered[answer.status_code] += 1
                if answer.status_code in (200, 201):
                    acknowledged[slug] = acknowledged.get(slug, 0) + 1
                elif answer.status_code == 503:
                    assert answer.json()["error"]["message"]

    threads = [threading.Thread(target=write, args=(number,)) for number in range(WRITERS)]
    for thread in threads:
        thread.start()
    for _ in range(rounds):
        seen, until = sum(acknowledged.values()), time.monotonic() + 20
        while sum(acknowledged.values()) == seen and time.monotonic() < until:
            time.sleep(0.01)  # some write went through since the last cut: cut the next ones
        databases.end_connections(app.engine)
    over.set()
    for thread in threads:
        thread.join()
    with TestClient(create(app), base_url="http://127.0.0.1:8000") as client:
        assert client.get("/pages").status_code == 200  # it recovers without a restart
    _check(app, acknowledged)
    return answered


def _check(app: App, acknowledged: dict[str, int]) -> None:
    with reading(app.engine) as session:
        found = {
            slug: (version, revisions, texts)
            for slug, version, revisions, texts in session.connection().execute(_WHOLE)
        }
    assert acknowledged
    for slug, writes in acknowledged.items():
        assert slug in found, f"{slug} was acknowledged and is gone"
        assert found[slug][0] >= writes, f"a change of {slug} was acknowledged and is gone"
    for slug, (version, revisions, texts) in found.items():
        assert revisions == version, f"{slug} is at version {version} and has {revisions} revisions"
        assert texts == 1, f"{slug} has no searchable text"


_WHOLE = sa.text(
    """SELECT page.slug, page.version,
        (SELECT COUNT(*) FROM revision WHERE revision.page_id = page.id),
        (SELECT COUNT(*) FROM page_text WHERE page_text.page_id = page.id)
    FROM page"""
)
