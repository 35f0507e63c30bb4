"""Commits of the vault to its own git repository, where the reader wants them: off unless switched on.

A message says in words what changed and who wrote it. What keeps a commit from being made is told with
the vault's other problems, and holds up nothing else.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.engine import Engine
from sqlmodel import Session, col

from app.domain.ownership import PEOPLE
from app.domain.records import AuthorKind, Revision
from app.errors import CerebroError
from app.store import mirror, preferences
from app.store.db import generation, reading, writing
from app.store.preferences import Commits
from app.vault.names import is_page, stem

if TYPE_CHECKING:
    from app.vault.git import Changed

PROBLEM = ".git"  # the path under which it is told what keeps a commit from being made
_NAMED = 50  # files that a message names
_AUTHORS = {
    AuthorKind.PERSON: "you",
    AuthorKind.VAULT: "you, in the vault",
    AuthorKind.IMPORT: "imports",
    AuthorKind.EXTRACT: "extraction",
    AuthorKind.AGENT: "the machine",
}


def is_due(session: Session, *, today: str) -> bool:
    """Whether the vault is to be committed now: something changed since, and the day allows it."""
    chosen = preferences.commits(session)
    if chosen is Commits.OFF:
        return False
    day, counted, _ = preferences.committed(session)
    if chosen is Commits.DAILY and day == today:
        return False
    return generation(session) != counted


def make(engine: Engine, root: Path, *, now: datetime, today: str) -> str:
    """Commit what changed of the vault; the commit's id, "" when nothing did or it could not be made.

    Why it could not is kept as a problem of the vault, until a commit is made.
    """
    from app.vault import git  # what it needs would slow every command's start

    with reading(engine) as session:
        stands = generation(session)
        _, _, last = preferences.committed(session)
        newest, written = _written(session, last)
    try:
        made = git.record(
            root,
            lambda changed: (message(changed, written), "" if _by_hand(written) else git.MACHINE),
            now=now,
        )
    except CerebroError as error:
        with writing(engine, alone=False) as session:
            mirror.note_problem(session, PROBLEM, str(error), now=now)
        return ""
    with writing(engine, alone=False) as session:
        mirror.solved(session, [PROBLEM])
        preferences.set_committed(session, today, stands, newest)
    return made


def _written(session: Session, after: int) -> tuple[int, Counter[tuple[AuthorKind, str]]]:
    """The newest revision's id, and how many there are since that one by who wrote them."""
    newest = session.connection().execute(_NEWEST).scalar() or 0
    rows = session.connection().execute(_BY_AUTHOR, {"after": after, "newest": newest})
    return newest, Counter({(AuthorKind(kind), name): count for kind, name, count in rows})


_NEWEST = sa.select(sa.func.max(col(Revision.id)))
_BY_AUTHOR = (
    sa.select(col(Revision.author_kind), col(Revision.author), sa.func.count())
    .where(col(Revision.id) > sa.bindparam("after"), col(Revision.id) <= sa.bindparam("newest"))
    .group_by(col(Revision.author_kind), col(Revision.author))
)


def _by_hand(written: Counter[tuple[AuthorKind, str]]) -> bool:
    """Whether the person alone wrote: git knows what they are called."""
    return bool(written) and all(kind in PEOPLE for kind, _ in written)


def message(changed: Changed, written: Counter[tuple[AuthorKind, str]]) -> str:
    """What a commit says: how many pages, who wrote them, and which they are."""
    parts = [("changed", changed.changed), ("new", changed.new), ("gone", changed.gone)]
    pages = [(word, [path for path in paths if is_page(path)]) for word, paths in parts]
    counts = [(word, len(paths)) for word, paths in pages if paths]
    said = ", ".join(
        f"{count:,} {'page ' if count == 1 else 'pages '}{word}" if n == 0 else f"{count:,} {word}"
        for n, (word, count) in enumerate(counts)
    )
    lines = [f"{said[:1].upper()}{said[1:]}" if said else "Decisions and links"]
    if written:
        lines += ["", f"Written by {_by(written)}."]
    named = [f"{word}: {_one_line(stem(path))}" for word, paths in pages for path in paths]
    if named:
        lines += ["", *named[:_NAMED]]
        if len(named) > _NAMED:
            lines.append(f"and {len(named) - _NAMED:,} more")
    return "\n".join(lines) + "\n"


def _by(written: Counter[tuple[AuthorKind, str]]) -> str:
    by: Counter[str] = Counter()
    for (kind, name), count in written.items():
        by[_AUTHORS.get(kind) or _one_line(name) or "a model"] += count
    return _listed([f"{name} ({count:,})" for name, count in by.most_common()])


def _listed(words: Sequence[str]) -> str:
    return f"{', '.join(words[:-1])} and {words[-1]}" if len(words) > 1 else "".join(words)


def _one_line(text: str) -> str:
    return " ".join(text.split())[:200]
