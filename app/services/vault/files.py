"""The vault as files to take along: every page as Markdown with its front matter, and what lies beside.

The files are those that syncing writes, under the same names, from one moment of the database, whether
or not the vault has caught up with it. Read with `rebuild --from` they make the wiki again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from sqlmodel import Session

from app.domain.records import PageKind
from app.services.vault.writing import bytes_of
from app.store import mirror
from app.store.mirror import Told
from app.vault import journal, names, notes
from app.vault.folder import MACHINERY, MARK, mark_text

_SOME = 200  # pages read at a time

File = tuple[str, Iterable[bytes]]


def files(
    session: Session, *, progress: Callable[[int], None] = lambda pages: None
) -> Iterator[File]:
    """Paths, with slashes, and what each file holds in pieces. The session sees one moment."""
    if wiki := mirror.wiki_name(session):
        yield MARK, [mark_text(wiki)]
    paths, renamed = _paths(session)
    ids = list(paths)
    for start in range(0, len(ids), _SOME):
        told = mirror.told(session, ids[start : start + _SOME])
        for page_id, page in told.items():
            yield paths[page_id], [_text(page, renamed)]
            yield journal.companion_path(page.note.id), [journal.companion_text(page.side)]
        session.expunge_all()
        progress(start + len(told))
    yield f"{MACHINERY}/{journal.DECISIONS}", _decisions(session)


def _paths(session: Session) -> tuple[dict[int, str], dict[str, str]]:
    """The path of each page's file; and of those that have none yet what they will be called, by slug."""
    found: dict[int, str] = {}
    left: list[tuple[int, str, str, PageKind]] = []
    taken: set[str] = set()
    for page_id, slug, title, kind, path in mirror.all_paths(session):
        if path and not path.startswith("."):
            found[page_id] = path
            taken.add(names.stem_key(path))
        else:
            found[page_id] = ""  # in its place in the order
            left.append((page_id, slug, title, kind))
    renamed: dict[str, str] = {}
    for page_id, slug, title, kind in left:
        found[page_id] = names.free_path(kind, title, slug, taken)
        taken.add(names.stem_key(found[page_id]))
        renamed[slug] = names.stem(found[page_id])
    return found, renamed


def _text(told: Told, renamed: dict[str, str]) -> bytes:
    """A page's file, with what a person or another program wrote into its front matter."""
    note = replace(
        told.note,
        links=tuple(
            replace(link, name=renamed.get(link.name, link.name)) for link in told.note.links
        ),
    )
    return notes.render(note) if told.mirror is None else bytes_of(note, told.mirror)


def _decisions(session: Session) -> Iterator[bytes]:
    last = 0
    while lines := mirror.decisions_after(session, last):
        yield "".join(f"{journal.line_text(line)}\n" for _, line in lines).encode()
        last = lines[-1][0]
