"""Preferences: what a person changed on a screen and every process goes by."""

from __future__ import annotations

from sqlmodel import Session

from app.domain.record import threshold_of
from app.domain.records import Preference
from app.store.db import bump

_FLOOR = "linker_floor"


def floor(session: Session) -> float | None:
    """From which confidence on links are proposed; None when nobody chose."""
    found = session.get(Preference, _FLOOR)
    return threshold_of(found.value) if found else None


def set_floor(session: Session, value: float | None) -> None:
    """Choose it, or leave it to the linker again (None). Papers are then looked at anew."""
    found = session.get(Preference, _FLOOR)
    if value is None:
        if found is not None:
            session.delete(found)
    elif found is None:
        session.add(Preference(name=_FLOOR, value=str(value)))
    else:
        found.value = str(value)
        session.add(found)
    bump(session, "concepts")
