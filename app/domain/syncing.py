"""A page, its file, and what both said when they last agreed: what is to be done about the three.

A file is known by where it lies and by the `id` it names (`place`); what it says is held against the
page by the last version both had in common (`join`). Fields always join: names that either side has
stay unless one side took them out (tags of the text count as said), and of a value that both changed the file's counts, because a person
wrote it there; what gave way is told. The text joins line by line, or is a conflict: then the page keeps
its own. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from unicodedata import normalize

from app.domain.markdown import name_key
from app.domain.merge import Merge, merge3
from app.domain.notes import FACTS, NamedLink, Note
from app.domain.records import PageKind, Relation

MASS = 9
"""Files that may vanish at once: of more than these, if they are also `SHARE` of all, none is believed."""
SHARE = 0.2


class Action(StrEnum):
    """What is to be done about a page and its file."""

    SAME = "same"  # both say what they said
    WRITE = "write"  # the page moved on, or has no file yet
    TAKE = "take"  # the file moved on
    MERGE = "merge"  # both did, and join
    CONFLICT = "conflict"  # both did, and do not
    MOVED = "moved"  # the file lies elsewhere
    DELETED = "deleted"  # the file is gone, and the page stands as the file said it
    NEW = "new"  # a file of no page
    COPY = "copy"  # a file that names a page whose own file still stands


def place(
    *,
    owner: str | None,
    said: str | None,
    elsewhere: bool,
) -> Action:
    """Whose a file is. `owner` is the page whose file lay there, `said` the one that its id names now.

    `elsewhere`: the file of the page it names still stands in its own place. None is no such page.
    TAKE: it is its owner's, as before, whatever it says. The rest is MOVED, COPY or NEW.
    """
    if said is not None and said != owner and not elsewhere:
        return Action.MOVED
    if owner is not None:
        return Action.TAKE
    return Action.NEW if said is None else Action.COPY


def believed(vanished: int, known: int) -> bool:
    """Whether so many files out of all that are known were deleted, rather than a folder lost."""
    return vanished <= MASS or vanished <= known * SHARE


def gone(*, written: bool, version: int, mirrored: int) -> Action:
    """What the absence of a file means: `written` says that there was one of version `mirrored`."""
    return Action.DELETED if written and version <= mirrored else Action.WRITE


@dataclass(frozen=True)
class Joined:
    """What page and file say together.

    `note` has the joined fields, and the text: the page's own where the two do not join (`text` is the
    merge). `put_in` and `taken_out` are links as the file names them. `gave_way` has, by field, what the
    page said of a value that both changed.
    """

    action: Action
    note: Note
    text: Merge
    put_in: tuple[NamedLink, ...] = ()
    taken_out: tuple[NamedLink, ...] = ()
    gave_way: Mapping[str, str] | None = None


def join(base: Note, page: Note, file: Note) -> Joined:
    """Join what the file says now with what the page says, both grown from `base`.

    A file that says no id, kind or title means those it had; so does one whose front matter is gone
    altogether, of every field.
    """
    file = _completed(base, file)
    over: dict[str, str] = {}

    def of(name: str, old: str, theirs: str, mine: str) -> str:
        if mine == old:
            return theirs
        if theirs not in (old, mine):
            over[name] = theirs
        return mine

    title = of("title", base.title, page.title, file.title)
    kind = page.kind if file.kind == base.kind else file.kind
    facts = dict(page.facts)
    for name in {*base.facts, *file.facts}:
        old, mine = base.facts.get(name, ""), file.facts.get(name, "")
        theirs = page.facts.get(name, "")
        if mine == old:
            continue
        if theirs not in (old, mine):
            over[name] = theirs if isinstance(theirs, str) else ", ".join(theirs)
        facts[name] = mine
    text = merge3(spoken(base.body), spoken(file.body), spoken(page.body))
    note = replace(
        page,
        title=title,
        kind=kind,
        aliases=joined_names(base.aliases, page.aliases, file.aliases),
        tags=joined_names(base.every_tag, page.tags, file.every_tag),
        identifiers=joined_names(base.identifiers, page.identifiers, file.identifiers),
        facts=facts,
        body=text.text if text.clean else page.body,
    )
    put_in = _without(file.links, base.links)
    taken_out = _without(base.links, file.links)
    moved_on = spoken(page.body) != spoken(base.body)
    if not text.clean:
        action = Action.CONFLICT
    elif note == page and not put_in and not taken_out:
        action = Action.SAME
    else:
        action = (
            Action.MERGE if moved_on and spoken(file.body) != spoken(base.body) else Action.TAKE
        )
    return Joined(action, note, text, put_in, taken_out, over)


def _completed(base: Note, file: Note) -> Note:
    """The file with what it does not say, and cannot mean to take away."""
    if says_nothing(file) and not says_nothing(base):
        return replace(base, body=file.body)
    return replace(
        file,
        id=file.id or base.id,
        kind=file.kind or base.kind,
        title=file.title.strip() or base.title,
    )


def says_nothing(note: Note) -> bool:
    """Whether a note has its text alone."""
    return note == Note(body=note.body)


def spoken(body: str) -> str:
    """A text as pages hold it: lines end at `\\n`, and there is no NUL."""
    return body.replace("\x00", "").replace("\r\n", "\n").replace("\r", "\n")


def joined_names(base: Sequence[str], page: Sequence[str], file: Sequence[str]) -> tuple[str, ...]:
    """Names that either side has, less those that one side took out; in the page's order, then the file's."""
    sides = [{name_key(name) for name in names} for names in (page, file)]
    old = {name_key(name) for name in base}
    taken = {key for key in old if not all(key in side for side in sides)}
    kept: dict[str, str] = {}
    for name in (*page, *file):
        key = name_key(name)
        if key and key not in taken:
            kept.setdefault(key, name)
    return tuple(kept.values())


def _without(links: Iterable[NamedLink], others: Iterable[NamedLink]) -> tuple[NamedLink, ...]:
    there = {(link.relation, name_key(link.name)) for link in others}
    found = {
        (link.relation, name_key(link.name)): link
        for link in links
        if (link.relation, name_key(link.name)) not in there
    }
    return tuple(found.values())


# ---------------------------------------------------------------- names of files


def renamed(old: str, new: str, *, title: str) -> Renamed:
    """What it means that a person called a file `new` that was called `old`, of a page of this title."""
    if old == new:
        return Renamed.NOTHING
    return Renamed.TITLE if normalize("NFC", old) == normalize("NFC", title) else Renamed.ALIAS


class Renamed(StrEnum):
    """What another name of a file does to its page."""

    NOTHING = "nothing"
    TITLE = "title"  # the page is called so from now on
    ALIAS = "alias"  # it also goes by that name


def worded(note: Note, said: Note, *, by_folder: PageKind) -> Note:
    """What a file is to say, in the words it has: `said` are its fields as they stand.

    Links keep theirs where they find the same files: in other case, or with a folder. A tag that stands
    in the text is not said again. A kind that its folder says is not either, and then what other kinds
    would tell by is somebody else's.
    """
    words = {_short(link): link for link in said.links}
    links = tuple(
        link if "/" in link.name or link in said.links else words.get(_short(link), link)
        for link in note.links
    )
    in_text = {name_key(tag) for tag in replace(note, tags=said.tags).every_tag[len(said.tags) :]}
    note = replace(
        note, links=links, tags=tuple(tag for tag in note.tags if name_key(tag) not in in_text)
    )
    if said.kind is not None or note.kind is not by_folder:
        return note
    others = {
        name: value for name, value in said.facts.items() if name not in FACTS.get(by_folder, ())
    }
    return replace(note, kind=None, facts={**others, **note.facts})


def _short(link: NamedLink) -> tuple[Relation, str]:
    return link.relation, name_key(link.name.removesuffix(".md").rpartition("/")[2])
