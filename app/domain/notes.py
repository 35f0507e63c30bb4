"""A page as its file in the vault says it: what `vault` reads and writes, and `services/vault` compares.

Front matter holds, in this order and where there is something to say: `id` (the page's slug), `kind`,
`title`, `aliases`, `tags`, `identifiers`, the facts of its kind, and for each relation a list of
wikilinks to the pages it is linked to. The text follows the front matter as it stands. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from app.domain.markdown import name_key, tags_in
from app.domain.records import PageKind, Relation

FACTS: Mapping[PageKind, tuple[str, ...]] = {
    PageKind.PAPER: ("authors", "published", "venue", "categories", "code"),
    PageKind.THREAD: ("claim", "status"),
    PageKind.DIGEST: ("day",),
    PageKind.EPISODE: ("published",),
}
"""The fields of a kind beside those that every page has; `authors` and `categories` are lists."""


@dataclass(frozen=True)
class NamedLink:
    """An accepted link as front matter has it: its relation, and the page by a name.

    Written, `name` is what a wikilink must say for other tools to find the file. Read, it is whatever
    stood there: a file's name, a slug, a title or an identifier.
    """

    relation: Relation
    name: str


@dataclass(frozen=True, kw_only=True)
class Note:
    """All that a file says. Read from a file, `id` is '' and `kind` None where it says none.

    `links` are those that stand in front matter; wikilinks in the text are the text's own. `members`
    are the papers that the file of a thread lists by name: such a list is read, and never written.
    """

    id: str = ""
    kind: PageKind | None = None
    title: str = ""
    aliases: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    identifiers: tuple[str, ...] = ()
    facts: Mapping[str, str | tuple[str, ...]] = field(default_factory=dict)
    links: tuple[NamedLink, ...] = ()
    members: tuple[str, ...] = ()
    body: str = ""

    @property
    def every_tag(self) -> tuple[str, ...]:
        """The tags of front matter, then those that stand in the text alone (`#tag`)."""
        said = {name_key(tag) for tag in self.tags}
        return (*self.tags, *(tag for tag in tags_in(self.body) if name_key(tag) not in said))
