"""What docker compose starts: one set of services with each profile, and one profile in force."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

ROOT = Path(__file__).parents[1]
SERVICES: dict[str, Any] = YAML(typ="safe").load((ROOT / "docker-compose.yml").read_text())[
    "services"
]


def of(profile: str) -> dict[str, Any]:
    return {name: each for name, each in SERVICES.items() if profile in each["profiles"]}


def workers(profile: str) -> int:
    return sum(
        each.get("deploy", {}).get("replicas", 1)
        for each in of(profile).values()
        if each.get("command") == ["cerebro", "worker"]
    )


def test_every_service_has_one_profile_and_sqlite_is_in_force() -> None:
    assert all(len(each["profiles"]) == 1 for each in SERVICES.values())
    assert "COMPOSE_PROFILES=sqlite" in (ROOT / ".env").read_text().splitlines()


def test_sqlite_is_one_web_and_one_worker() -> None:
    assert set(of("sqlite")) == {"web", "worker"}
    assert workers("sqlite") == 1
    for each in of("sqlite").values():
        assert "CEREBRO_DATABASE_URL" not in each["environment"]


def test_secrets_are_handed_on_and_written_nowhere() -> None:
    for each in SERVICES.values():
        if "build" in each:
            for secret in ("ANTHROPIC_API_KEY", "CEREBRO_SMTP"):
                assert each["environment"][secret] is None


def test_postgres_is_one_web_two_workers_and_the_database_they_wait_for() -> None:
    services = of("postgres")
    assert len(services) == 3
    assert workers("postgres") == 2
    for name, each in services.items():
        if name != "postgres":
            assert each["environment"]["CEREBRO_DATABASE_URL"].startswith("postgresql://")
            assert each["depends_on"]["postgres"]["condition"] == "service_healthy"


def test_every_port_is_published_on_loopback_alone() -> None:
    ports = [port for each in SERVICES.values() for port in each.get("ports", [])]
    assert ports == ["127.0.0.1:8000:8000"] * 2
