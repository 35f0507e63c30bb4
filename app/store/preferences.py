"""Preferences: what a person changed on a screen and every process goes by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from enum import StrEnum

import sqlalchemy as sa
from sqlmodel import Session, col

from app.domain import money
from app.domain.money import LLMSettings
from app.domain.record import threshold_of
from app.domain.records import Preference
from app.store.db import bump, rows

_FLOOR = "linker_floor"


def floor(session: Session) -> float | None:
    """From which confidence on links are proposed; None when nobody chose."""
    found = session.get(Preference, _FLOOR)
    return threshold_of(found.value) if found else None


def set_floor(session: Session, value: float | None) -> None:
    """Choose it, or leave it to the linker again (None). Papers are then looked at anew."""
    _put(session, _FLOOR, None if value is None else str(value))
    bump(session, "concepts")


LLM = (
    "llm_model",
    "llm_daily_budget",
    "llm_monthly_budget",
    "llm_batches",
    "llm_papers",
    "llm_second_look",
    "llm_prose",
    "llm_edits",
)
"""Names of what was chosen for the language model. Budgets are in dollars, "" where there is none."""


def llm(session: Session) -> LLMSettings:
    """What was chosen for the language model; what was not is as nobody chose it."""
    statement = sa.select(col(Preference.name), col(Preference.value)).where(
        col(Preference.name).in_(LLM)
    )
    kept: dict[str, str] = dict(rows(session, statement))
    chosen = LLMSettings(
        model=kept.get("llm_model", ""),
        daily=money.parsed(kept.get("llm_daily_budget", "")) or 0,
        monthly=money.parsed(kept.get("llm_monthly_budget", "")),
        second_look=kept.get("llm_second_look") == "on",
        prose=kept.get("llm_prose") != "off",
        edits=kept.get("llm_edits") == "on",
        batches=kept.get("llm_batches") != "off",
    )
    papers = kept.get("llm_papers", "")
    # A file of a whole wiki brings what it likes, and a number of 5,000 digits is none.
    is_number = papers.isdecimal() and len(papers) < 10
    return replace(chosen, papers=int(papers)) if is_number else chosen


def set_llm(session: Session, values: Mapping[str, str | None]) -> None:
    """Keep what was chosen, by the names in `LLM`; None forgets a choice."""
    for name, value in values.items():
        assert name in LLM, name
        _put(session, name, value)


def _put(session: Session, name: str, value: str | None) -> None:
    found = session.get(Preference, name)
    if value is None:
        if found is not None:
            session.delete(found)
    elif found is None:
        session.add(Preference(name=name, value=value))
    else:
        found.value = value
        session.add(found)


class Commits(StrEnum):
    """When the vault is committed to its git repository."""

    OFF = "off"
    EACH = "each"  # after each change-set
    DAILY = "daily"


_COMMITS, _COMMITTED = "vault_git", "vault_git_done"


def commits(session: Session) -> Commits:
    """What the reader chose; off when nobody did."""
    found = session.get(Preference, _COMMITS)
    return Commits(found.value) if found and found.value in set(Commits) else Commits.OFF


def set_commits(session: Session, value: Commits) -> None:
    """Choose it. What was committed stays."""
    _put(session, _COMMITS, None if value is Commits.OFF else value.value)


def committed(session: Session) -> tuple[str, int, int]:
    """Of the last commit: its day, what the wiki's counter of changes was, the newest revision's id."""
    found = session.get(Preference, _COMMITTED)
    parts = found.value.split() if found else []
    if len(parts) != 3 or not all(each.isdecimal() for each in parts[1:]):
        return "", -1, 0
    return parts[0], int(parts[1]), int(parts[2])


def set_committed(session: Session, day: str, generation: int, revision: int) -> None:
    """Remember a commit, for what is new since."""
    _put(session, _COMMITTED, f"{day} {generation} {revision}")


WELCOME, SAMPLE_DAY = "welcome", "sample_day"


def set_welcomed(session: Session) -> None:
    """The reader has taken the first steps, or does not want them."""
    _put(session, WELCOME, "done")
    session.flush()


def set_sample_day(session: Session, day: str | None) -> None:
    """On which day the sample papers stand; None when they are gone."""
    _put(session, SAMPLE_DAY, day)
    session.flush()


_BACKUPS, _BACKED_UP, _BACKUP_TROUBLE = "backups", "backups_done", "backups_trouble"


def backups_wanted(session: Session) -> bool:
    """Whether a backup a day is made; it is unless somebody chose otherwise."""
    found = session.get(Preference, _BACKUPS)
    return found is None or found.value != "off"


def set_backups_wanted(session: Session, wanted: bool) -> None:
    """Choose it. The backups that are there stay."""
    _put(session, _BACKUPS, None if wanted else "off")


def backed_up(session: Session) -> tuple[str, int]:
    """Of the last daily backup: its day, and what its maker counted as changes until then."""
    found = session.get(Preference, _BACKED_UP)
    parts = found.value.split() if found else []
    if len(parts) != 2 or not parts[1].isdecimal() or len(parts[1]) > 18:
        return "", -1
    return parts[0], int(parts[1])


def set_backed_up(session: Session, day: str, changes: int) -> None:
    """Remember a daily backup."""
    _put(session, _BACKED_UP, f"{day} {changes}")


def backup_trouble(session: Session) -> tuple[float, str]:
    """When the last daily backup failed (seconds since 1970), and why in words; (0, "") if it did not."""
    found = session.get(Preference, _BACKUP_TROUBLE)
    at, _, why = found.value.partition(" ") if found else ("", "", "")
    return (float(at), why) if at.isdecimal() and len(at) < 12 else (0.0, "")


def set_backup_trouble(session: Session, at: float, why: str) -> None:
    """Keep why it failed; "" when it did not."""
    _put(session, _BACKUP_TROUBLE, f"{int(at)} {why}" if why else None)
