"""Paper to paper: reads what papers say of one another, and proposes what a sentence says.

The rule is `domain/relations.py`. A paper is read when it comes or its text changes; then its own
new names are looked for in the papers read before, by the word index, and those are read again.
Like the linker: `take_up` and `read` in transactions, `think` in none, `store` in one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlmodel import Session, col

from app.domain.records import Done, Origin, PageKind, PageText, Paper, Relation
from app.domain.relations import (
    RELATIONS,
    Finding,
    Other,
    Quotation,
    candidates,
    counterpart,
    findings,
    judged,
    reason,
)
from app.store import corpus, links, relations, runs
from app.store.corpus import chunks
from app.store.relations import NameIndex, Text
from app.store.vectors import VectorIndex

STEP = "relate"
BATCH = 500
_AGAIN = "again:"  # before the hash in Done.seen: to be read again, its own names being no news


@dataclass(frozen=True)
class Proposal:
    """A finding with what a person needs to judge it. `evidence` as links store it."""

    finding: Finding
    proposed: bool
    reason: str
    evidence: list[dict[str, Any]]


@dataclass(frozen=True)
class Work:
    """What a batch thinks about: texts of the papers and of those they name, findings not judged yet.

    `again` are papers read before that say a name which is new with this batch.
    """

    papers: tuple[int, ...]
    found: dict[int, list[Finding]]
    texts: dict[int, Text]
    ids: dict[int, set[str]]
    decided: set[tuple[int, int]]
    nearness: dict[tuple[int, int], float]
    again: frozenset[int] = frozenset()


# ---------------------------------------------------------------- what waits


def pending(session: Session, *, now: datetime) -> int:
    """How many kept papers were not read for what they say of others, as they stand."""
    waiting = _waiting(now=now, session=session).subquery()
    counting = sa.select(sa.func.count()).select_from(waiting)
    return session.connection().execute(counting).scalar_one()


def _waiting(session: Session, *, now: datetime) -> sa.Select[Any]:
    return (
        sa.select(col(PageText.page_id))
        .join(Paper, col(Paper.page_id) == col(PageText.page_id))
        .outerjoin(Done, (col(Done.step) == STEP) & (col(Done.subject_id) == col(PageText.page_id)))
        .where(
            sa.func.coalesce(col(Done.seen), "") != col(PageText.hash),
            col(PageText.page_id).not_in(runs.blocked(session, STEP, now=now)),
        )
    )


def take_up(session: Session, *, owner: str, now: datetime) -> list[int]:
    """The next papers to read; no other worker gets them while `owner` is at work."""
    waiting = _waiting(session, now=now)
    return runs.take_up(session, STEP, waiting, limit=BATCH, owner=owner)


def read(
    session: Session,
    index: VectorIndex | None,
    wanted: Sequence[int],
    names: NameIndex | None = None,
    *,
    spread: bool = True,
) -> Work:
    """What these papers say of others, by the ids of their pages; pages that went are left out.

    With the `names` of earlier batches only those that changed are read. Without `spread` earlier
    papers are not looked for that say a name of these.
    """
    names = names or NameIndex()
    names.refresh(session)
    texts = relations.texts(session, wanted)
    found = {
        page: findings(page, text.title, text.text, names.names, besides=names.concepts)
        for page, text in texts.items()
    }
    said = {each.name for some in found.values() for each in some}
    ordinary = names.ordinary(session, said)
    found = {
        page: [each for each in some if each.name not in ordinary] for page, some in found.items()
    }
    targets = {each.target for some in found.values() for each in some}
    pairs = {(each.source, each.target) for some in found.values() for each in some}
    return Work(
        papers=tuple(page for page in wanted if page in texts),
        found=found,
        texts=texts | relations.texts(session, targets - texts.keys()),
        ids=relations.identifiers(session, targets),
        decided=relations.decided(session, texts.keys()),
        nearness=_nearness(session, index, pairs),
        again=_to_read_again(session, texts, names) if spread else frozenset(),
    )


def _to_read_again(session: Session, texts: dict[int, Text], names: NameIndex) -> frozenset[int]:
    """Papers read before that say a name of these, where the names are news."""
    seen: dict[int, str] = {}
    for some in chunks(sorted(texts)):
        seen |= dict(
            session.connection()
            .execute(
                sa.select(col(Done.subject_id), col(Done.seen)).where(
                    col(Done.step) == STEP, col(Done.subject_id).in_(some)
                )
            )
            .all()
        )
    news = [page for page in texts if not seen.get(page, "").startswith(_AGAIN)]
    new = [name for page in news for name in names.names.of(page)]
    return frozenset(relations.saying(session, new, step=STEP) - texts.keys())


def _nearness(
    session: Session, index: VectorIndex | None, pairs: set[tuple[int, int]]
) -> dict[tuple[int, int], float]:
    """Cosines of pairs of papers of which both have a vector."""
    if index is None or not pairs:
        return {}
    index.refresh(session)
    if not index.dim:
        return {}
    pages = sorted({page for pair in pairs for page in pair})
    row = {page: at for at, page in enumerate(pages)}
    vectors = index.matrix_for(session, pages)
    return {
        (one, other): float(vectors[row[one]] @ vectors[row[other]])
        for one, other in pairs
        if vectors[row[one]].any() and vectors[row[other]].any()
    }


# ---------------------------------------------------------------- thinking


def think(work: Work, *, limit: int = 10, proposed_only: bool = False) -> list[Proposal]:
    """Each paper's `limit` best candidates of each relation, the surest first, proposed or not."""
    made: list[Proposal] = []
    for page in work.papers:
        text = work.texts[page]
        sure = [one for each in work.found[page] if (one := _judged(work, text, each)) is not None]
        made += [
            _argued(work, text, finding, proposed)
            for finding, proposed in candidates(sure, limit=limit)
            if proposed or not proposed_only
        ]
    return made


def _judged(work: Work, text: Text, finding: Finding) -> Finding | None:
    pair = finding.source, finding.target
    other = work.texts.get(finding.target)
    if other is None or pair in work.decided:
        return None
    cited = None
    if text.references:
        cited = not work.ids.get(finding.target, set()).isdisjoint(text.references)
    return judged(
        finding,
        Other(other.title, other.text, other.published),
        title=text.title,
        published=text.published,
        cited=cited,
        nearness=work.nearness.get(pair),
    )


def _argued(work: Work, text: Text, finding: Finding, proposed: bool) -> Proposal:
    evidence = [_evidence(each, text) for each in finding.quotations]
    if finding.relation == Relation.CONTRADICTS:
        other = work.texts[finding.target]
        said = counterpart(finding, Other(other.title, other.text))
        if said is not None:
            theirs = _evidence(said, other)
            evidence.append({**theirs, "where": f"{finding.name.text}, {theirs['where']}"})
    return Proposal(finding, proposed, reason(finding), evidence)


def _evidence(quotation: Quotation, text: Text) -> dict[str, Any]:
    where = quotation.where
    if where == "text" and quotation.text in text.abstract:
        where = "abstract"
    return {
        "quotation": quotation.text,
        "where": where,
        "verbatim": True,
        "spans": [list(span) for span in quotation.spans],
    }


# ---------------------------------------------------------------- writing


def store(
    session: Session,
    work: Work,
    proposals: Sequence[Proposal],
    *,
    now: datetime,
    owner: str = "",
) -> int:
    """Put what is proposed into Review; how many new proposals that made.

    Waiting proposals of these relations that would not be made any more are withdrawn. What is
    decided stands. Of a worker (`owner`) only the papers count that it still holds.
    """
    mine = set(work.papers)
    if owner:
        mine = runs.let_go(session, STEP, work.papers, owner=owner)
    wanted = [each for each in proposals if each.proposed and each.finding.source in mine]
    needed = mine | {each.finding.target for each in wanted}
    alive = corpus.alive(session, needed, PageKind.PAPER)
    kept: dict[int, set[tuple[int, Relation]]] = {page: set() for page in sorted(mine & alive)}
    made = 0
    for each in wanted:
        finding = each.finding
        if not {finding.source, finding.target} <= alive:
            continue
        kept[finding.source].add((finding.target, finding.relation))
        made += links.propose(
            session,
            source_id=finding.source,
            target_id=finding.target,
            relation=finding.relation,
            confidence=finding.confidence,
            reason=each.reason,
            evidence=each.evidence,
            signals=signals_json(finding),
            text_hash=work.texts[finding.source].hash,
            origin=Origin.LINKER,
            now=now,
        )
    for page in links.with_proposals(session, list(kept), of=RELATIONS):
        links.withdraw_proposals(session, page, keep=kept[page], of=RELATIONS)
    runs.done(session, STEP, {page: work.texts[page].hash for page in kept})
    others = corpus.alive(session, work.again, PageKind.PAPER)
    again = {
        page: f"{_AGAIN}{text.hash}" for page, text in relations.texts(session, others).items()
    }
    runs.done(session, STEP, again)
    return made


def signals_json(finding: Finding) -> list[dict[str, Any]]:
    """Signals as links store them: name, its part of the log-odds, the words behind it."""
    ranked = sorted(finding.signals, key=lambda signal: -signal.weight)
    return [
        {"name": each.name, "value": round(each.weight, 3), "words": list(each.words)}
        for each in ranked
    ]


def as_json(proposals: Sequence[Proposal], names: dict[int, str]) -> list[dict[str, Any]]:
    """Candidates as programs get them; `names` are those of papers."""
    return [
        {
            "paper": names[each.finding.source],
            "target": names[each.finding.target],
            "relation": each.finding.relation.value,
            "confidence": round(each.finding.confidence, 6),
            "proposed": each.proposed,
            "reason": each.reason,
            "evidence": each.evidence,
            "signals": signals_json(each.finding),
        }
        for each in proposals
    ]
