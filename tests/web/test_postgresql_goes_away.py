"""The web on a PostgreSQL server whose connections end under it."""

from __future__ import annotations

import pytest
from starlette.testclient import TestClient

from app.bootstrap import App
from tests import databases, postgresql_goes_away

pytestmark = pytest.mark.postgresql_only


def test_nothing_is_lost_or_halved_and_nobody_sees_an_error(app: App) -> None:
    answered = postgresql_goes_away.run(app, rounds=10)
    assert set(answered) <= {200, 201, 409, 503}


@pytest.mark.soak
def test_a_hundred_times(app: App) -> None:
    answered = postgresql_goes_away.run(app, rounds=100)
    print(dict(answered))
    assert set(answered) <= {200, 201, 409, 503}


def test_a_server_that_is_away_is_a_503_and_comes_back(app: App, client: TestClient) -> None:
    name = app.engine.url.database
    assert client.get("/pages").status_code == 200
    databases.admin(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
    try:
        databases.end_connections(app.engine)
        for path in ("/pages", "/", "/api/v1/review", "/healthz"):
            answer = client.get(path)
            assert answer.status_code == 503, (path, answer.text)
            assert "Traceback" not in answer.text
    finally:
        databases.admin(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
    assert client.get("/pages").status_code == 200
