"""New concepts: terms that several papers share and no page has become proposals in Review.

Papers are read for their terms as their texts change. Of the terms that a batch touched, those with
enough papers are judged (domain/termhood.py), and the best wait in Review with a first definition in
the papers' own words. Nobody is flooded: at most `MOST` wait at once.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from itertools import islice
from typing import Any

import sqlalchemy as sa
from sqlmodel import Session, col

from app.domain import definitions, termhood
from app.domain.definitions import Said, Text
from app.domain.markdown import name_key
from app.domain.records import Change, ChangeKind, Done, LinkStatus, Origin, PageText
from app.domain.termhood import Covered, Subject, Use
from app.domain.terms import Term
from app.domain.terms import terms as terms_of
from app.store import changes, pages, runs
from app.store import terms as stored
from app.store.db import generation, rows_of

STEP = "terms"
BATCH = 500  # papers
MOST = 36  # new concepts that wait at once
FEW = 12  # waiting ones, below which what there was no place for is looked for again
FLOOR = 0.45  # confidence of what is proposed
_GLANCED = 2_000  # terms of a batch that are looked at
_JUDGED = 250  # terms of a batch that are looked at closely
_PAPERS = 200  # of a term
_QUOTED = 3  # papers
_READ = 16  # papers of a subject that are read for a definition
_STATE = "new concepts"  # the row of `Done` that says what the waiting ones were checked against
_DOUBLED, _MORE = 2, 3  # papers since a rejection: so many times as many, and so many more


@dataclass(frozen=True)
class Taken:
    """Papers to read for their terms, and the hash of each text."""

    texts: tuple[Text, ...]
    hashes: dict[int, str]


@dataclass(frozen=True)
class Field:
    """What is known of the terms to judge, by the ids of papers' and concepts' pages.

    `waiting` are the keys of the new concepts that waited then: these alone are judged anew.
    """

    uses: tuple[Use, ...]
    papers: int
    counts: dict[str, int]
    full: dict[str, str]
    names: tuple[tuple[int, str], ...]
    placed: tuple[tuple[int, int, bool], ...]
    waiting: frozenset[str]
    state: str  # of the pages, when they were read
    left_out: bool  # some terms that might have deserved a look


@dataclass(frozen=True)
class Standing:
    """A change that was made for a subject before, as it stands: it waits, or it was rejected."""

    key: str
    status: LinkStatus
    title: str
    reason: str
    content: dict[str, Any]
    evidence: list[dict[str, Any]]
    at: datetime

    @property
    def waits(self) -> bool:
        return self.status == LinkStatus.PROPOSED

    @property
    def members(self) -> list[int]:
        return list(self.content.get("members", ()))


def _standing(session: Session, keys: Iterable[str]) -> dict[str, Standing]:
    """What stands under these keys, free of the session."""
    return {
        _bare(key): Standing(
            key=key,
            status=change.status,
            title=change.title,
            reason=change.reason,
            content=change.content,
            evidence=change.evidence,
            at=change.decided_at or change.created_at,
        )
        for key, change in changes.keyed(session, (f"concept:{key}" for key in keys)).items()
    }


@dataclass(frozen=True)
class Chosen:
    """A subject to propose, and what stands of it before; None for a new one.

    `papers` are rows of store/terms.papers, the earliest first; `read` names the first ones and what
    they say, and `texts` are these, to quote from: none where what waits was quoted from them.
    """

    subject: Subject
    key: str
    standing: Standing | None
    papers: tuple[Any, ...]
    read: str
    texts: tuple[Text, ...]


# ---------------------------------------------------------------- what waits


def pending(session: Session, *, now: datetime) -> int:
    """How many papers wait to be read; one more when the waiting new concepts are to be checked."""
    waiting = stored.waiting(STEP, session, now=now).subquery()
    papers = (
        session.connection().execute(sa.select(sa.func.count()).select_from(waiting)).scalar_one()
    )
    return papers + is_due(session)


def is_due(session: Session) -> bool:
    """Whether the waiting new concepts are to be looked at, with or without new papers."""
    return _due(session) != ""


def _due(session: Session) -> str:
    """ "refill" when there is room again for terms that were left out, "check" when pages changed
    since the waiting new concepts were looked at, else "".
    """
    known, _, left_out = _state(session).partition(" ")
    waiting = stored.count_waiting(session)
    if left_out and waiting < FEW:
        return "refill"
    return "check" if waiting and known != _now(session) else ""


def _state(session: Session) -> str:
    row = session.get(Done, (_STATE, 0), populate_existing=True)
    return row.seen if row else ""


def _now(session: Session) -> str:
    """Names the state of pages and names: a page made, renamed or gone is another."""
    return ":".join(str(generation(session, rows_of(table))) for table in ("page", "alias"))


def _waiting(session: Session) -> list[Change]:
    return changes.of_kind(session, ChangeKind.CONCEPT)


def take_up(session: Session, *, owner: str, now: datetime) -> Taken:
    """The next papers to read; no other worker gets them while `owner` is at work."""
    clock = time.time()
    free = stored.waiting(STEP, session, now=now).where(
        col(PageText.page_id).not_in(runs.held(STEP, clock=clock))
    )
    rows = session.connection().execute(free.order_by(col(PageText.page_id)).limit(BATCH))
    hashes: dict[int, str] = dict(rows.all())
    runs.hold(session, STEP, list(hashes), owner=owner, clock=clock)
    return Taken(stored.texts(session, list(hashes)), hashes)


def extract(taken: Taken) -> dict[int, list[Term]]:
    """The terms of each paper."""
    return {each.paper: terms_of(each.title, each.text) for each in taken.texts}


def store(session: Session, found: Mapping[int, Sequence[Term]], *, owner: str) -> set[str]:
    """Keep the terms of the papers that `owner` still holds; the keys that changed hands.

    The papers stay held: they are done when what their terms propose is stored too (`propose`).
    """
    mine = runs.still_held(session, STEP, list(found), owner=owner)
    return stored.replace(session, {page: found[page] for page in found if page in mine})


# ---------------------------------------------------------------- judging


def survey(session: Session, touched: Collection[str]) -> Field:
    """What is known of the terms a batch touched, and of those that wait.

    With room for terms that were left out ("refill") every term counts as touched.
    """
    standing = _waiting(session)
    waiting = {key for change in standing for key in _terms(change)}
    every = _due(session) == "refill"
    state, papers = _now(session), stored.count(session)
    most = termhood.too_common(papers)
    rows = stored.shared(session, None if every else {*touched, *waiting})
    counts = {row.key: int(row.papers) for row in rows}
    likely = sorted(
        (row for row in rows if row.papers <= most),
        key=lambda row: (
            row.key not in waiting,
            -termhood.promise(row.papers, row.titled, row.weight),
            row.key,
        ),
    )
    names = stored.names(session)
    open_keys = _open(session, [row.key for row in likely[:_GLANCED]], names, counts)
    judged = open_keys[:_JUDGED]
    full = termhood.expansions(stored.pairs(session, _parts(judged)))
    keys = {variant for key in judged for variant in termhood.variants(key, full)}
    more = stored.shared(session, keys - counts.keys())
    counts |= {row.key: int(row.papers) for row in more}
    uses = stored.uses(session, {key: counts[key] for key in keys & counts.keys()}, most=_PAPERS)
    return Field(
        uses=tuple(uses),
        papers=papers,
        counts=counts,
        full=full,
        names=tuple(names),
        placed=tuple(stored.placed(session, {use.paper for use in uses})),
        waiting=frozenset(change.key for change in standing),
        state=state,
        left_out=not every and (len(likely) > _GLANCED or len(open_keys) > _JUDGED),
    )


def _open(
    session: Session,
    keys: Sequence[str],
    names: Iterable[tuple[int, str]],
    counts: Mapping[str, int],
) -> list[str]:
    """Those of the keys that no concept says and that were not decided, at a first look."""
    covered = Covered(names, {})
    known = _standing(session, keys)
    return [
        key
        for key in keys
        if not covered.says(key) and (key not in known or _is_open(known[key], counts[key]))
    ]


def _terms(change: Change) -> list[str]:
    """The keys of a new concept's terms."""
    return [_bare(change.key), *map(str, change.content.get("terms", ()))]


def _bare(key: str) -> str:
    return key.removeprefix("concept:")


def _parts(keys: Iterable[str]) -> set[str]:
    """Every run of stems in these keys: what an acronym may stand for in them."""
    found: set[str] = set()
    for key in keys:
        stems = key.split()
        found.update(
            " ".join(stems[start:end])
            for start in range(len(stems))
            for end in range(start + 1, len(stems) + 1)
        )
    return found


def judge(field: Field) -> list[Subject]:
    """The subjects that deserve a page and that no concept says, best first."""
    fits = {paper for paper, _, _ in field.placed}
    found = termhood.subjects(
        field.uses,
        papers=field.papers,
        full=field.full,
        counts=field.counts,
        unplaced={use.paper for use in field.uses} - fits,
    )
    covered = Covered(field.names, field.full)
    linked: dict[int, list[int]] = {}
    for paper, concept, accepted in field.placed:
        if accepted:
            linked.setdefault(paper, []).append(concept)
    return [
        subject
        for subject in found
        if subject.confidence >= FLOOR
        and not covered.has(
            subject, Counter(each for paper in subject.papers for each in linked.get(paper, ()))
        )
    ]


def choose(session: Session, found: Sequence[Subject], field: Field) -> tuple[list[Chosen], bool]:
    """What to propose of these, with the papers to quote; and whether there was no place for some.

    Left out is what has a page of any kind, and what was decided, unless it was rejected and has
    many more papers since.
    """
    likely = found[: 4 * MOST]
    standing = _standing(session, (key for each in likely for key in _variants(each, field.full)))
    taken = pages.resolve(session, (name for each in likely for name in _names(each)))
    chosen: list[Chosen] = []
    left_out = field.left_out
    for subject in likely:
        if any(name_key(name) in taken for name in _names(subject)):
            continue
        known = [standing[k] for k in _variants(subject, field.full) if k in standing]
        if any(not _is_open(each, len(subject.papers)) for each in known):
            continue
        if len(chosen) >= MOST:
            left_out = True
            break
        before = next((each for each in known if each.waits), known[0] if known else None)
        key = before.key if before else f"concept:{subject.key}"
        papers = tuple(stored.papers(session, subject.papers))
        read = _read(papers[:_READ])
        if before is not None and _is_told(before, subject, read):
            texts: tuple[Text, ...] = ()
        else:
            texts = stored.texts(session, [row.id for row in papers[:_READ]])
        chosen.append(Chosen(subject, key, before, papers, read, texts))
    return chosen, left_out


def _variants(subject: Subject, full: Mapping[str, str]) -> list[str]:
    return sorted({*subject.keys, *termhood.variants(subject.key, full)})


def _names(subject: Subject) -> tuple[str, ...]:
    return (subject.title, *subject.aliases)


def _is_open(standing: Standing, papers: int) -> bool:
    """Whether what stands may be proposed: it waits, or there is new evidence."""
    before = len(standing.members)
    return standing.waits or (
        standing.status == LinkStatus.REJECTED
        and papers >= _DOUBLED * before
        and papers >= before + _MORE
    )


def _read(papers: Sequence[Any]) -> str:
    """Names these papers and what each says now."""
    return sha256(" ".join(f"{row.id}:{row.hash}" for row in papers).encode()).hexdigest()[:12]


def _is_told(standing: Standing, subject: Subject, read: str) -> bool:
    """Whether a change waits under this title that was quoted from just these papers and texts."""
    return (
        standing.waits and standing.title == subject.title and standing.content.get("read") == read
    )


# ---------------------------------------------------------------- writing


def argue(chosen: Sequence[Chosen], field: Field, *, now: datetime) -> list[dict[str, Any]]:
    """What `changes.propose` is to be told of each, in the papers' own words."""
    concepts = len({concept for concept, _ in field.names})
    return [_argued(each, concepts, now) for each in chosen]


def _argued(chosen: Chosen, concepts: int, now: datetime) -> dict[str, Any]:
    subject, standing = chosen.subject, chosen.standing
    waits = standing is not None and standing.waits
    if standing is not None and not chosen.texts:
        body, evidence = str(standing.content.get("body", "")), standing.evidence
    else:
        body, evidence = _quoted(chosen)
    again = _again(chosen, now)
    reason = _reason(len(subject.papers), concepts, chosen.papers[0].published, again=bool(again))
    return {
        "key": chosen.key,
        "title": subject.title,
        "confidence": subject.confidence,
        "reason": f"{again}; {reason}" if again and waits else reason,
        "content": {
            "aliases": list(subject.aliases),
            "body": body,
            "members": list(subject.papers),
            "terms": [*subject.keys, *subject.longer],
            "read": chosen.read,
        },
        "evidence": evidence,
        "signals": _signals(subject),
        "again": "" if waits else again,
    }


def _quoted(chosen: Chosen) -> tuple[str, list[dict[str, Any]]]:
    """The first definition as the body of a page, and a quotation of each of the first papers."""
    papers = {row.id: row for row in chosen.papers}
    keys = chosen.subject.keys
    best = definitions.definition(keys, chosen.texts)
    said = (use for text in chosen.texts if (use := definitions.use(keys, text)))
    return (
        _body(best[0], best[1], papers[best[0].paper]) if best else "",
        [_evidence(each, papers[each.paper]) for each in islice(said, _QUOTED)],
    )


def _again(chosen: Chosen, now: datetime) -> str:
    """What is new since the subject was rejected, in words; "" when it never was."""
    standing = chosen.standing
    if standing is None:
        return ""
    if standing.waits:
        before = _REJECTED.match(standing.reason)
        rejected = before[0] if before else ""
    else:
        at = standing.at
        day = f"{at.day} {_MONTHS[at.month - 1]}" + (f" {at.year}" if at.year != now.year else "")
        rejected = f"Rejected on {day} with {len(standing.members)} papers"
    return f"{rejected}; now {len(chosen.subject.papers)} papers use it" if rejected else ""


_REJECTED = re.compile(r"Rejected on [\w ]+ with \d+ papers")


def _reason(papers: int, concepts: int, since: str, *, again: bool) -> str:
    many = f"more than {papers}" if papers >= _PAPERS else str(papers)
    none = {
        0: "your wiki has no concept yet",
        1: "your one concept does not say it",
    }.get(concepts, f"none of your {concepts:,} concepts says it")
    first = none if again else f"{many} papers use the term, {none}"
    return f"{first}; since {_month(since)}." if since else f"{first}."


_MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July"),
    *("August", "September", "October", "November", "December"),
)


def _month(day: str) -> str:
    year, _, rest = day.partition("-")
    month = rest[:2]
    return (
        f"{_MONTHS[int(month) - 1]} {year}" if month.isdigit() and 1 <= int(month) <= 12 else year
    )


def _body(said: Said, defines: bool, paper: Any) -> str:
    """The quotation, marked as one, and whose it is."""
    title = " ".join(paper.title.translate(_NO_LABEL).split())
    what = "Defined in" if defines else "Used in"
    return f"> {definitions.as_markdown(said.text)}\n\n{what} [[{paper.slug}|{title}]]; quoted as it stands there.\n"


_NO_LABEL = str.maketrans({"[": "(", "]": ")", "|": "/", "\n": " ", "`": "'"})


def _evidence(said: Said, paper: Any) -> dict[str, Any]:
    return {
        "quotation": said.text,
        "where": said.where,
        "verbatim": True,
        "spans": [list(span) for span in said.spans],
        "page": paper.slug,
        "title": paper.title,
    }


def _signals(subject: Subject) -> list[dict[str, Any]]:
    return [{"name": name, "value": value, "words": []} for name, value in subject.signals]


def propose(
    session: Session,
    told: Sequence[dict[str, Any]],
    taken: Taken,
    *,
    field: Field,
    left_out: bool,
    owner: str,
    now: datetime,
) -> int:
    """Put the new concepts into Review and end the batch; how many new ones that made.

    Those that waited and would not be proposed any more are withdrawn; what another worker proposed
    meanwhile stays. A page made meanwhile counts.
    """
    there = pages.resolve(session, (name for each in told for name in _told_names(each)))
    kept = [each for each in told if not any(name_key(n) in there for n in _told_names(each))]
    changes.withdraw(session, field.waiting - {each["key"] for each in kept})
    made = sum(
        changes.propose(session, kind=ChangeKind.CONCEPT, origin=Origin.LINKER, now=now, **each)
        for each in kept
    )
    mine = runs.let_go(session, STEP, list(taken.hashes), owner=owner)
    alive = {text.paper for text in taken.texts}
    seen = {page: stored.state(taken.hashes[page]) for page in mine & alive}
    runs.done(session, STEP, seen)
    runs.done(session, _STATE, {0: field.state + (" left" if left_out else "")})
    return made


def _told_names(told: Mapping[str, Any]) -> list[str]:
    return [told["title"], *told["content"]["aliases"]]
