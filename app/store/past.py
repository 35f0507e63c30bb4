"""How pages and links stood just before a moment, worked out backwards from now.

Three things change links, and each leaves what is needed to turn it back:

    decisions       how they found their link (`before`), and what an undo took away
    merges, splits  which links they moved, changed, made and took away (`remembered.difference`);
    and removals    the newest is turned back first, together with the decisions in between
    texts           say their links themselves: those of pages that were edited since, or that link by
                    a name which somebody took or gave up since, are read again with the names of then

All other links stood as they stand now. So the cost goes with what happened since, not with the wiki.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import aliased
from sqlmodel import Session, col

from app.domain.markdown import link_keys, name_key, wikilinks
from app.domain.records import (
    GONE,
    Alias,
    AliasKind,
    Change,
    ChangeKind,
    Decision,
    Link,
    LinkStatus,
    Origin,
    Page,
    PageKind,
    RedLink,
    Relation,
    Revision,
    Role,
    Verdict,
)
from app.store import decisions, links, pages, remembered
from app.store.remembered import Memory

_SOME = 10_000  # ids in one statement
_LINK = Link.__table__  # type: ignore[attr-defined]


Key = tuple[int, int, Relation]  # of a link: source, target, relation


@dataclass(frozen=True)
class PastLink:
    """A link as it stood then. `id` is 0 where it stood in a text alone and has no row any more."""

    id: int
    source_id: int
    target_id: int
    relation: Relation
    status: LinkStatus
    origin: Origin
    role: Role | None = None
    note: str = ""
    day: str = ""
    confidence: float = 1.0
    came: datetime | None = None  # when it came to stand


@dataclass(frozen=True)
class PastEdge:
    """A link of then as pictures need it."""

    source_id: int
    target_id: int
    relation: Relation
    status: LinkStatus
    confidence: float

    @property
    def weight(self) -> float:
        return links.weight(self.relation, self.confidence)


@dataclass(frozen=True)
class Was:
    """What a page was called then, where it was, and of which kind it was."""

    slug: str
    title: str
    kind: PageKind


@dataclass(frozen=True)
class Past:
    """What was otherwise just before `moment`: all else is as it is now, for what there was by then.

    `replaced` are the links of today by id, in whose place `links` stand; `pages` those that were edited,
    merged or removed since, as they were; `gone` those that were merged or removed at the time.
    """

    moment: datetime
    replaced: Mapping[int, Key] = field(default_factory=dict)
    links: tuple[PastLink, ...] = ()
    pages: Mapping[int, Was] = field(default_factory=dict)
    gone: frozenset[int] = frozenset()

    def of(self, page_ids: Collection[int]) -> list[PastLink]:
        """Those of `links` that touch one of these pages."""
        return [
            each for each in self.links if each.source_id in page_ids or each.target_id in page_ids
        ]

    def replaced_at(self, page_ids: Collection[int]) -> list[int]:
        """The ids of links of today that touch one of these pages and do not count."""
        return [
            link_id
            for link_id, key in self.replaced.items()
            if key[0] in page_ids or key[1] in page_ids
        ]

    def called(self, row: Any) -> Any:
        """A row of today with `id`, `slug`, `title` and `kind`, called as it was then.

        A page that was renamed is where it is now: its former addresses lead there.
        """
        was = self.pages.get(row.id)
        return replace(was, slug=row.slug) if was and row.kind not in GONE else was or row

    def still(self, key: Key) -> bool:
        """Whether a link of today, by its source, target and relation, stood then as its row says."""
        return not (key in self._keys or key[0] in self.gone or key[1] in self.gone)

    @cached_property
    def _keys(self) -> frozenset[Key]:
        return frozenset(self.replaced.values())


def edges(
    past: Past,
    rows: Iterable[Any],
    page_ids: Collection[int],
    *,
    statuses: Collection[LinkStatus],
    both: bool = False,
    since: datetime | None = None,
) -> list[PastEdge]:
    """Edges of today's rows as they stood then, with those that have no such row any more.

    At one of the pages, or with `both` ends among them; accepted before proposed, then the surest first.
    """
    found = [
        PastEdge(row.source_id, row.target_id, row.relation, row.status, row.confidence)
        for row in rows
        if past.still((row.source_id, row.target_id, row.relation))
    ]
    among = all if both else any
    found += [
        PastEdge(each.source_id, each.target_id, each.relation, each.status, each.confidence)
        for each in past.links
        if each.status in statuses
        and among((each.source_id in page_ids, each.target_id in page_ids))
        and (since is None or (each.came is not None and each.came >= since))
    ]
    return sorted(
        found, key=lambda e: (e.status.value, -e.confidence, e.source_id, e.target_id, e.relation)
    )


def before(session: Session, moment: datetime) -> Past:
    """What was otherwise just before a moment."""
    events = _events(session, moment)
    moves = _moves(session, moment)
    states = _states(session, moment, events, moves)
    _turn_back_pages(states, events, moves)
    then = {page_id: state for page_id, state in states.items() if not state.gone}
    said = _said(session, moment, states)
    rows = _rows_since(session, moment, events, said)
    replaced = {link_id: _key(row) for link_id, row in rows.items()}
    own = _turn_back_links(session, moment, events, rows)
    gone = frozenset(page_id for page_id, state in states.items() if state.gone)
    return Past(
        moment=moment,
        replaced=replaced,
        links=tuple(_joined(session, moment, own, said, rows, gone)),
        pages={
            page_id: Was(state.slug, state.title, state.kind) for page_id, state in then.items()
        },
        gone=gone,
    )


def _key(row: Memory) -> Key:
    return row["source_id"], row["target_id"], Relation(row["relation"])


def _chunks(ids: Iterable[int]) -> Iterable[list[int]]:
    every = sorted(ids)
    return (every[start : start + _SOME] for start in range(0, len(every), _SOME))


# ---------------------------------------------------------------- what happened since


@dataclass(frozen=True)
class _Event:
    """A merge, split or removal since then, or its undo. `did` is what it did."""

    at: datetime
    id: int
    kind: ChangeKind
    undo: bool
    source_id: int | None
    target_id: int | None
    did: Memory


_DOING = (ChangeKind.MERGE, ChangeKind.SPLIT, ChangeKind.REMOVE)


def _events(session: Session, moment: datetime) -> list[_Event]:
    """The newest first."""
    undone = aliased(Decision)
    statement = (
        sa.select(
            col(Decision.at),
            col(Decision.id),
            col(Decision.undoes_id),
            col(Decision.before),
            col(undone.before).label("undone"),
            col(Change.id).label("change"),
            col(Change.kind),
            col(Change.source_id),
            col(Change.target_id),
            col(Change.status),
            sa.case((col(Change.kind) == ChangeKind.REMOVE, col(Change.content))).label("content"),
        )
        .join(Change, col(Change.id) == col(Decision.change_id))
        .outerjoin(undone, col(undone.id) == col(Decision.undoes_id))
        .where(
            col(Decision.at) >= moment,
            col(Decision.verdict) == Verdict.ACCEPT,
            col(Change.kind).in_(_DOING),
        )
        .order_by(col(Decision.id).desc())
    )
    found: list[_Event] = []
    turned: dict[int, bool] = {}  # whether the sides of a merge are swapped now
    for row in session.connection().execute(statement):
        memory = (row.undone if row.undoes_id is not None else row.before) or {}
        did = row.content if row.kind == ChangeKind.REMOVE else memory.get("did")
        if not isinstance(did, dict):
            continue  # decided before a rebuild: no file says what it did
        source, target = row.source_id, row.target_id
        # An undo puts the sides back in the order of the proposal, whichever of them went.
        swapped = bool(memory.get("swapped"))
        if swapped != turned.setdefault(row.change, swapped and row.status == LinkStatus.ACCEPTED):
            source, target = target, source
        source, target = did.get("pages", (source, target))
        undo = row.undoes_id is not None
        found.append(_Event(row.at, row.id, row.kind, undo, source, target, did))
    return found


# ---------------------------------------------------------------- pages


@dataclass
class _State:
    """A page that was there then and is or was called otherwise, edited, merged or removed since.

    `names` are all that it was called by title and other names from then on; `renamed` says whether
    any way to name it changed. `body` is None where its text is that of today.
    """

    slug: str
    title: str
    kind: PageKind
    aliases: frozenset[str]
    redirects: set[str] = field(default_factory=set)
    body: str | None = None
    at: datetime | None = None
    gone: bool = False
    renamed: bool = False

    def ranked(self) -> dict[str, int]:
        """The keys it was found by, each with its rank as in `pages.holders`."""
        if self.gone:
            return {}
        found = dict.fromkeys(self.redirects, 3)
        found |= dict.fromkeys(self.aliases, 2)
        return found | {name_key(self.title): 1, self.slug: 0}


def _states(
    session: Session, moment: datetime, events: Sequence[_Event], moves: Sequence[_Move]
) -> dict[int, _State]:
    """The pages that were there then and that something happened to since, with texts and names of then."""
    named = {each for one in events for each in (one.source_id, one.target_id) if each is not None}
    moved = {each for move in moves for each in (move.page_id, move.lost)}
    conditions: list[Any] = [col(Page.updated_at) >= moment]
    conditions += [col(Page.id).in_(some) for some in _chunks(named | moved)]
    states: dict[int, _State] = {}
    for condition in conditions:
        for row in session.connection().execute(_in_force(moment, condition)):
            states[row.id] = _State(
                slug=row.slug,
                title=row.title,
                kind=row.kind,
                aliases=frozenset(filter(None, map(name_key, row.aliases))),
                body=row.body if row.updated_at >= moment or row.id in named else None,
                at=row.at,
                gone=row.kind_now in GONE,
                renamed=row.id in named or row.id in moved,
            )
    later = sa.select(col(Revision.page_id), col(Revision.title), col(Revision.aliases)).join(
        Page, col(Page.id) == col(Revision.page_id)
    )
    since = later.where(
        col(Page.updated_at) >= moment,
        col(Page.created_at) < moment,
        col(Revision.at) >= moment,
    )
    for row in session.connection().execute(since):
        state = states.get(row.page_id)
        if state is not None and not state.renamed:
            keys = frozenset(filter(None, map(name_key, row.aliases)))
            same = name_key(row.title) == name_key(state.title) and keys == state.aliases
            state.renamed = not same
    renamed = {page_id for page_id, state in states.items() if state.renamed}
    for some in _chunks(renamed):
        led = sa.select(col(Alias.page_id), col(Alias.key)).where(
            col(Alias.page_id).in_(some), col(Alias.kind) == AliasKind.REDIRECT
        )
        for page_id, key in session.connection().execute(led):
            states[page_id].redirects.add(key)
    return states


def _in_force(moment: datetime, condition: Any) -> sa.Select[Any]:
    """Pages that were there at a moment, each with its revision of then."""
    newest = (
        sa.select(sa.func.max(Revision.number))
        .where(col(Revision.page_id) == col(Page.id), col(Revision.at) < moment)
        .correlate(Page)
        .scalar_subquery()
    )
    return (
        sa.select(
            col(Page.id),
            col(Page.slug),
            col(Page.kind).label("kind_now"),
            col(Page.updated_at),
            *(getattr(Revision, name) for name in ("title", "kind", "aliases", "at")),
            # Most texts of papers link to nothing: they are not even read.
            sa.case(
                (
                    col(Revision.body).contains("[[") | col(Revision.body).contains(".md"),
                    col(Revision.body),
                ),
                else_="",
            ).label("body"),
        )
        .join(
            Revision,
            (col(Revision.page_id) == col(Page.id)) & (col(Revision.number) == newest),
        )
        .where(col(Page.created_at) < moment, condition)
    )


@dataclass(frozen=True)
class _Move:
    """A page that was given another address since. `lost` is the page that it had led to until then, or 0."""

    at: datetime
    page_id: int
    old: str
    new: str
    lost: int


def _moves(session: Session, moment: datetime) -> list[_Move]:
    found: list[_Move] = []
    redirected = sa.select(col(Alias.page_id)).where(col(Alias.kind) == AliasKind.REDIRECT)
    conditions: list[Any] = [col(Page.id).in_(redirected) | col(Page.kind).in_(GONE)]
    seen = {0}
    while conditions:
        lost: set[int] = set()
        for condition in conditions:
            asked = sa.select(col(Page.id), col(Page.extra)).where(
                condition, col(Page.extra)[pages.FORMER].as_string().is_not(None)
            )
            for page_id, extra in session.connection().execute(asked):
                seen.add(page_id)
                moves = [
                    _Move(datetime.fromisoformat(at), page_id, old, new, other)
                    for old, new, at, other in pages.former_addresses(extra)
                ]
                found += [move for move in moves if move.at >= moment]
                lost |= {move.lost for move in moves}
        # One that lost the last address that led to it is known by the page that took it.
        conditions = [col(Page.id).in_(some) for some in _chunks(lost - seen)]
        seen |= lost
    return found


def _turn_back_pages(
    states: Mapping[int, _State], events: Sequence[_Event], moves: Sequence[_Move]
) -> None:
    """The newest first: pages as `states` has them now, to how they were."""
    steps: list[_Event | _Move] = [*moves, *reversed(events)]
    for step in sorted(steps, key=lambda step: step.at)[::-1]:
        if isinstance(step, _Move):
            _move_back(states, step)
        elif step.kind is not ChangeKind.SPLIT:
            _stand_again(states, step)


def _move_back(states: Mapping[int, _State], move: _Move) -> None:
    if page := states.get(move.page_id):
        page.slug = move.old
        page.redirects.discard(name_key(move.old))
    if other := states.get(move.lost):
        other.redirects.add(name_key(move.new))


def _stand_again(states: Mapping[int, _State], event: _Event) -> None:
    """Turn a merge or a removal back; of its undo, that the page was gone."""
    source, target = states.get(event.source_id or 0), states.get(event.target_id or 0)
    if event.kind is ChangeKind.REMOVE:
        aliases, was = event.did.get("rows", {}).get(Alias.__name__, []), event.did["page"]
    else:
        aliases, was = event.did["source"]["aliases"], event.did["source"]
        keys = set(map(name_key, event.did["addresses"]))
        if target is not None:
            target.redirects = target.redirects | keys if event.undo else target.redirects - keys
    if source is not None:
        source.gone = event.undo
        if not event.undo:
            source.slug = was["slug"]
            source.redirects = {
                row["key"] for row in aliases if row["kind"] == AliasKind.REDIRECT.value
            }


# ---------------------------------------------------------------- what texts said


_Said = dict[Key, datetime | None]


def _said(session: Session, moment: datetime, states: Mapping[int, _State]) -> dict[int, _Said]:
    """By page what its text said then: of pages whose links may have been other ones."""
    read = {page_id: state for page_id, state in states.items() if state.body is not None}
    again = _linked_by_name(session, moment, states) - read.keys()
    texts: dict[int, tuple[str, datetime | None]] = {
        page_id: (state.body or "", state.at) for page_id, state in read.items() if not state.gone
    }
    for some in _chunks(again):
        asked = sa.select(col(Page.id), col(Page.body), col(Page.updated_at), col(Page.kind)).where(
            col(Page.id).in_(some), col(Page.created_at) < moment
        )
        for row in session.connection().execute(asked):
            gone = states[row.id].gone if row.id in states else row.kind in GONE
            if not gone:
                texts[row.id] = (row.body, row.updated_at)
    found = {page_id: wikilinks(body) if body else [] for page_id, (body, _) in texts.items()}
    keys = {key for some in found.values() for link in some for key in link_keys(link.target)}
    meant = _meant(session, moment, keys, states)
    said: dict[int, _Said] = {page_id: {} for page_id in (*read, *again)}
    for page_id, written in found.items():
        for link in written:
            target = next((meant[k] for k in link_keys(link.target) if k in meant), None)
            if target is not None and target != page_id:
                key = (page_id, target, pages.relation_of(link.relation))
                said[page_id].setdefault(key, texts[page_id][1])
    return said


def _meant(
    session: Session, moment: datetime, keys: Collection[str], states: Mapping[int, _State]
) -> dict[str, int]:
    """The page that each name meant then."""
    young = set(_created_since(session, moment))
    best: dict[str, tuple[int, int]] = {}
    for key, rank, ref in pages.holders(session, keys):
        known = states.get(ref.id)
        if ref.id not in young and (known is None or not known.renamed):
            best[key] = min(best.get(key, (rank, ref.id)), (rank, ref.id))
    for page_id, state in states.items():
        if state.renamed:
            for key, rank in state.ranked().items():
                if key in keys:
                    best[key] = min(best.get(key, (rank, page_id)), (rank, page_id))
    return {key: page_id for key, (_, page_id) in best.items()}


def _created_since(session: Session, moment: datetime) -> list[int]:
    asked = sa.select(col(Page.id)).where(
        col(Page.updated_at) >= moment, col(Page.created_at) >= moment
    )
    return [each or 0 for each in session.connection().execute(asked).scalars()]


def _linked_by_name(session: Session, moment: datetime, states: Mapping[int, _State]) -> set[int]:
    """Pages whose text links by a name that means or meant another page than before."""
    renamed = {page_id: state for page_id, state in states.items() if state.renamed}
    source, target = aliased(Page), aliased(Page)
    found = set(
        session.connection()
        .execute(
            sa.select(col(Link.source_id))
            .join(target, col(target.id) == col(Link.target_id))
            .join(source, col(source.id) == col(Link.source_id))
            .where(
                # Made since by no edit of its text: by the name of a page that came, or that went again.
                (col(Link.created_at) >= moment)
                | ((col(target.updated_at) >= moment) & (col(target.created_at) >= moment)),
                col(source.created_at) < moment,
                col(Link.origin) == Origin.AUTHOR,
            )
            .distinct()
        )
        .scalars()
    )
    names = {key for state in renamed.values() for key in state.ranked()}
    bare = {each for key in names for each in link_keys(key)}
    # Themselves too: what names its own page is no link now.
    rivals = renamed.keys() | {ref.id for _, _, ref in pages.holders(session, names)}
    found |= rivals
    for some in _chunks(rivals):
        found |= pages.linked_to(session, some)
    for start in range(0, len(bare), _SOME):
        asked = sa.select(col(RedLink.page_id)).where(
            col(RedLink.key).in_(sorted(bare)[start : start + _SOME])
        )
        found |= set(session.connection().execute(asked).scalars())
    return found


# ---------------------------------------------------------------- links


def _rows_since(
    session: Session, moment: datetime, events: Sequence[_Event], said: Mapping[int, _Said]
) -> dict[int, Memory]:
    """The rows of today of every link that may have stood otherwise, by more than a plain decision."""
    ids: set[int] = set()
    for event in events:
        if event.kind is ChangeKind.SPLIT:
            ids.update(event.did["links"])
            continue
        became = event.did["links"]
        ids.update(entry[0] for entry in became["changed"])
        ids.update(*became["moved"].values(), (row["id"] for row in became["gone"]))
    asked = sa.select(col(Decision.link_id)).where(
        col(Decision.at) >= moment,
        col(Decision.link_id).is_not(None),
        col(Decision.before)["memory"][links.RETURNED].as_string().is_not(None),
    )
    ids.update(each for each in session.connection().execute(asked).scalars() if each)
    rows: dict[int, Memory] = {}
    for some in _chunks(ids):
        rows |= remembered.links(session, _LINK.c.id.in_(some))
    back = col(Link.extra)[links.RETURNED].as_string().is_not(None)
    rows |= remembered.links(
        session, (col(Link.status) == LinkStatus.PROPOSED) & (col(Link.created_at) < moment) & back
    )
    for some in _chunks(said):
        # All that a text says now, and what it said then: whoever else says it now.
        for link_id, row in remembered.links(session, col(Link.source_id).in_(some)).items():
            key = _key(row)
            if row["origin"] == Origin.AUTHOR.value or key in said[row["source_id"]]:
                rows[link_id] = row
    # What a text says that was not read again stands as its row says. It is here because its number was
    # once that of another link, which is gone.
    return {
        link_id: row
        for link_id, row in rows.items()
        if row["origin"] != Origin.AUTHOR.value or row["source_id"] in said
    }


def _turn_back_links(
    session: Session, moment: datetime, events: Sequence[_Event], rows: Mapping[int, Memory]
) -> dict[int, Memory]:
    """These links as their rows were then, what a text said over set aside (see `_own`)."""
    then = {link_id: _own(row) for link_id, row in rows.items()}
    steps: list[tuple[int, Any]] = [(event.id, event) for event in events]
    steps += [(row.id, row) for row in _decisions(session, moment, rows)]
    for _, step in sorted(steps, key=lambda step: step[0], reverse=True):
        if not isinstance(step, _Event):
            _undecided(then, step)
        elif step.kind is ChangeKind.SPLIT:
            here, there = step.source_id, step.did["page"]
            for link_id in step.did["links"]:
                to, of = (there, here) if step.undo else (here, there)
                _set(then, step, link_id, {"target_id": to}, {"target_id": of})
        elif step.undo:
            _did_again(then, step)
        else:
            _undid(then, step)
    return then


def _own(row: Memory) -> Memory:
    """A row as it would be if no text said it: without a status where it is only there because of one."""
    if row["origin"] != Origin.AUTHOR.value:
        return dict(row)
    stood = row["extra"].get(pages.SAID_OVER)
    if not isinstance(stood, dict):
        return {**row, "status": None}
    return {
        **row,
        **{name: stood[name] for name in ("origin", "status", "decided_at") if name in stood},
    }


def _decisions(session: Session, moment: datetime, rows: Mapping[int, Memory]) -> list[Any]:
    """Decisions since about these links, and undos that took a link away: whichever."""
    undone = aliased(Decision)
    asked = (
        sa.select(
            col(Decision.id),
            col(Decision.link_id),
            col(Decision.before),
            col(Decision.undoes_id),
            col(undone.verdict),
            col(undone.before).label("undone"),
        )
        .outerjoin(undone, col(undone.id) == col(Decision.undoes_id))
        .where(col(Decision.at) >= moment)
    )
    took = asked.where(
        col(Decision.undoes_id).is_not(None),
        col(Decision.before)[decisions.TOOK].as_string().is_not(None),
    )
    found = {row.id: row for row in session.connection().execute(took)}
    for some in _chunks(rows):
        for row in session.connection().execute(asked.where(col(Decision.link_id).in_(some))):
            found[row.id] = row
    return list(found.values())


def _undecided(then: dict[int, Memory], decision: Any) -> None:
    if took := decision.before.get(decisions.TOOK):
        _put(then, took)
    link = then.get(decision.link_id)
    if link is None:
        return
    if decision.undoes_id is not None:
        made = (decision.undone or {}).get("made") is not None
        link["status"] = (LinkStatus.REJECTED if made else links.STATUS[decision.verdict]).value
        return
    before = decision.before
    link["status"] = before.get("status", link["status"])
    if "memory" in before:
        kept = {
            k: v for k, v in link["extra"].items() if k not in (links.REJECTION, links.RETURNED)
        }
        link["extra"] = {**kept, **before["memory"]}
    if said := before.get(links.MEMBER):
        link |= {"role": said["role"], "note": said["note"], "day": said["day"]}


def _undid(then: dict[int, Memory], event: _Event) -> None:
    """Turn a merge or a removal back."""
    became = event.did["links"]
    for link_id, old, new in became["changed"]:
        _set(then, event, link_id, old, new)
    for column, link_ids in became["moved"].items():
        for link_id in link_ids:
            _set(then, event, link_id, {column: event.source_id}, {column: event.target_id})
    for row in became["gone"]:
        _put(then, row)


def _did_again(then: dict[int, Memory], event: _Event) -> None:
    """Turn the undo of a merge or a removal back: it stood then."""
    became = event.did["links"]
    for link_id, old, new in became["changed"]:
        _set(then, event, link_id, new, old)
    for column, link_ids in became["moved"].items():
        for link_id in link_ids:
            _set(then, event, link_id, {column: event.target_id}, {column: event.source_id})
    for row in became["gone"]:
        if row["id"] in then and _is_same(then[row["id"]], row):
            del then[row["id"]]


def _is_same(one: Memory, other: Memory) -> bool:
    """Whether two rows are of one link: the number of one that went is given to another."""
    return _key(one) == _key(other) and one["created_at"] == other["created_at"]


def _put(then: dict[int, Memory], row: Memory) -> None:
    own = _own(row)
    if own["status"] is None:
        return  # texts say that themselves
    taken = row["id"] in then and not _is_same(then[row["id"]], row)
    then[min(0, *then) - 1 if taken else row["id"]] = own


def _set(
    then: Mapping[int, Memory], event: _Event, link_id: int, values: Memory, where: Memory
) -> None:
    """Set the columns of a link that have the values that the act itself gave them."""
    link = then.get(link_id)
    if link is None or datetime.fromisoformat(link["created_at"]) > event.at:
        return  # one that came later has the number of one that went
    values, where = _own_columns(link, values), _own_columns(link, where)
    for name, value in values.items():
        if link.get(name) == where.get(name):
            link[name] = value


def _own_columns(link: Memory, values: Memory) -> Memory:
    """Some columns of a row, with the status that it has of its own (see `_own`)."""
    if "status" not in values and "origin" not in values:
        return values
    own = _own({**link, "extra": {}, **values})
    return {**values, **{name: own[name] for name in ("status", "origin") if name in values}}


def _joined(
    session: Session,
    moment: datetime,
    own: Mapping[int, Memory],
    said: Mapping[int, _Said],
    rows: Mapping[int, Memory],
    gone: Collection[int],
) -> Iterable[PastLink]:
    """What texts said then, and the other links of then that no text said."""
    by_pair = {}
    for link_id, row in own.items():
        if row["status"] is None or datetime.fromisoformat(row["created_at"]) >= moment:
            continue
        by_pair[_key(row)] = (link_id, row)
    standing = {_key(row): link_id for link_id, row in rows.items()}
    for some in said.values():
        for key, at in some.items():
            link_id, row = by_pair.pop(key, (standing.get(key, 0), {}))
            if key[0] in gone or key[1] in gone:
                continue
            yield PastLink(
                max(0, link_id),
                *key,
                status=LinkStatus.ACCEPTED,
                origin=Origin.AUTHOR,
                came=at,
                confidence=row.get("confidence", 1.0),
                **_member(row),
            )
    there = _there(session, moment, {end for key in by_pair for end in key[:2]})
    for key, (link_id, row) in by_pair.items():
        if key[0] in gone or key[1] in gone or not {key[0], key[1]} <= there:
            continue
        decided = row["decided_at"] or row["created_at"]
        yield PastLink(
            max(0, link_id),
            *key,
            status=_returned(row, moment),
            origin=Origin(row["origin"]),
            came=datetime.fromisoformat(decided),
            confidence=row["confidence"],
            **_member(row),
        )


def _member(row: Memory) -> dict[str, Any]:
    if not row:
        return {}
    role = Role(row["role"]) if row["role"] else None
    return {"role": role, "note": row["note"], "day": row["day"]}


def _returned(row: Memory, moment: datetime) -> LinkStatus:
    """The status of a link; of one that came back since, the rejected one that it was."""
    status = LinkStatus(row["status"])
    if status == LinkStatus.PROPOSED and links.RETURNED in row["extra"]:
        weighed = (row["extra"].get(links.REJECTION) or {}).get("weighed")
        if weighed and datetime.fromisoformat(weighed) >= moment:
            return LinkStatus.REJECTED
    return status


def _there(session: Session, moment: datetime, page_ids: Collection[int]) -> set[int]:
    """Those of the pages that were there and still have a row: one that an undo took away has none, and
    its number may be another's.
    """
    found: set[int] = set()
    for some in _chunks(page_ids):
        asked = sa.select(col(Page.id)).where(col(Page.id).in_(some), col(Page.created_at) < moment)
        found.update(each or 0 for each in session.connection().execute(asked).scalars())
    return found
