"""Links that this wiki follows and Obsidian does not: how many there are, and writing them so that both do.

`[[another name]]` becomes `[[Name of the file|another name]]`: what is shown stays. Links that say how,
such as `[[uses::Page]]`, stay as they are: there is no way to write one in a text that both read.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlmodel import Session

from app.domain.records import ActKind
from app.store import acts, wording
from app.store.pages import PERSON


@dataclass(frozen=True)
class Worded:
    """What was written: `links` of `pages`, and how many links `stay` that nothing can be done about."""

    pages: int
    links: int
    stay: int
    act: int | None = None

    @property
    def in_words(self) -> str:
        if not self.pages:
            return "There was no link to write."
        links = "1 link" if self.links == 1 else f"{self.links:,} links"
        return f"Wrote {links} in {self.pages:,} page{'' if self.pages == 1 else 's'}."

    def as_json(self) -> dict[str, object]:
        return {"pages": self.pages, "links": self.links, "stay": self.stay, "act": self.act}


def word(session: Session, *, now: datetime) -> Worded:
    """Write all that can be written so that both follow it, as one act of the person who asks."""
    doing = acts.begin(session, ActKind.WORDING, "Links by the names of files", now=now)
    written, links, stay = 0, 0, 0
    for page_id, some in list(wording.astray(session)):  # all are found before one is written
        done = wording.word(session, page_id, some, author=PERSON, now=now)
        written, links = written + bool(done), links + done
        stay += sum(each.wording is None for each in some)
    return Worded(written, links, stay, doing.id)
