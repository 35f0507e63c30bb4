"""The linker: reads what the wiki knows, lets the rule rank, and stores proposals with evidence.

The rule itself is `domain/linking.py`. Here stand the three moves around it, each of its own
transaction or none: `read` reads, `rank_papers` thinks, `store` writes proposals into Review.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from importlib import resources
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlmodel import Session, col

from app.domain import evidence, memory
from app.domain.linking import (
    Candidate,
    ConceptText,
    Pair,
    PaperText,
    Rows,
    Weights,
    rank,
)
from app.domain.records import (
    Done,
    Link,
    LinkStatus,
    Origin,
    PageKind,
    PageText,
    Paper,
    Relation,
)
from app.errors import Misconfigured, NotFound
from app.store import corpus, links, papers, runs
from app.store.corpus import Library
from app.store.db import generation
from app.store.vectors import VectorIndex

STEP = "link"
BATCH = 2000
RESEMBLED = 3  # accepted papers that are shown beside a proposal


def shipped_weights(path: Path | None = None) -> Weights:
    """The fitted weights that come with the program, or those of CEREBRO_LINKER_WEIGHTS.

    Raises Misconfigured for a file that is missing or holds no weights.
    """
    if path is None:
        shipped = resources.files("app.domain").joinpath("linker_weights.json")
        return Weights.parse(shipped.read_text(encoding="utf-8"))
    try:
        return Weights.parse(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise Misconfigured(f"CEREBRO_LINKER_WEIGHTS: {path} cannot be read: {error}.") from error


@dataclass(frozen=True)
class Work:
    """What a batch of the linker thinks about; ids are those of pages, pairs two columns of them.

    `papers` are to be linked and `texts` is what they say, `seen` is the state in which each was
    read, `hashes` the text. `facts` are those of every kept paper, `library` what was fitted of such.
    `rejections` are those of these papers, by pair, and `joined` says of each concept among them
    which papers were accepted since, and when.
    """

    papers: tuple[int, ...]
    seen: dict[int, str]
    hashes: dict[int, str]
    facts: corpus.Facts
    library: Library
    texts: dict[int, PaperText]
    excluded: Rows
    abstracts: dict[int, str]
    rejections: Mapping[Pair, memory.Rejection]
    joined: Mapping[int, Mapping[int, datetime]]

    @property
    def concepts(self) -> tuple[ConceptText, ...]:
        return self.facts.concepts


@dataclass(frozen=True)
class Proposal:
    """A candidate with what a person needs to judge it.

    `returns` is there for a pair that was rejected and has new evidence.
    """

    candidate: Candidate
    reason: str
    evidence: tuple[evidence.Quotation, ...]
    returns: memory.Returned | None = None

    @property
    def line(self) -> str:
        """The reason, after what brought the pair back if it was rejected."""
        return f"{self.returns.why} {self.reason}" if self.returns else self.reason

    @property
    def resembles(self) -> tuple[int, ...]:
        """The pages of the papers it is most like, those that the reason names among them."""
        return self.candidate.resembles[:RESEMBLED]


# ---------------------------------------------------------------- what waits


def pending(session: Session, *, now: datetime) -> int:
    """How many kept papers wait to be linked: see `_waiting`."""
    waiting = _waiting(session, now=now).subquery()
    return (
        session.connection().execute(sa.select(sa.func.count()).select_from(waiting)).scalar_one()
    )


def _waiting(session: Session, *, now: datetime) -> sa.Select[Any]:
    """Selects page ids of papers that the linker has not seen as they stand.

    Without an accepted `about` link: in this state of text and concepts. With one, only where
    proposals wait that quote another text.
    """
    state = col(PageText.hash) + f":{generation(session, 'concepts')}"
    seen = sa.func.coalesce(col(Done.seen), "")
    is_of_another_text = ~seen.startswith(col(PageText.hash) + ":")
    return (
        sa.select(col(PageText.page_id))
        .join(Paper, col(Paper.page_id) == col(PageText.page_id))
        .outerjoin(Done, (col(Done.step) == STEP) & (col(Done.subject_id) == col(PageText.page_id)))
        .where(
            seen != state,
            sa.or_(
                ~_has(LinkStatus.ACCEPTED),
                sa.and_(
                    is_of_another_text,
                    _has(LinkStatus.PROPOSED, LinkStatus.DEFERRED, origin=Origin.LINKER),
                ),
            ),
            col(PageText.page_id).not_in(runs.blocked(session, STEP, now=now)),
        )
    )


def _has(*statuses: LinkStatus, origin: Origin | None = None) -> sa.Exists:
    """Whether a paper has an `about` link that stands so."""
    found = sa.exists().where(
        col(Link.source_id) == col(PageText.page_id),
        col(Link.relation) == Relation.ABOUT,
        col(Link.status).in_(statuses),
    )
    return found if origin is None else found.where(col(Link.origin) == origin)


def take_up(session: Session, *, owner: str, now: datetime) -> list[int]:
    """The next papers to link; no other worker gets them while `owner` is at work."""
    waiting = _waiting(session, now=now)
    return runs.take_up(session, STEP, waiting, limit=BATCH, owner=owner)


def read(
    session: Session,
    index: VectorIndex | None,
    wanted: Sequence[int],
    library: Library | None = None,
) -> Work:
    """What there is to know for linking these papers, by the ids of their pages.

    With the `library` of earlier batches only the texts that changed since are read.
    """
    library = library or Library()
    facts, known = library.facts(session, index), library.hashes
    present = [page_id for page_id in wanted if page_id in known]
    state = generation(session, "concepts")
    rejections = _rejections(session, present)
    return Work(
        papers=tuple(present),
        seen={page_id: f"{known[page_id]}:{state}" for page_id in present},
        hashes={page_id: known[page_id] for page_id in present},
        facts=facts,
        library=library,
        texts={paper.id: paper for paper in corpus.texts(session, present)},
        excluded=corpus.excluded(session, present),
        abstracts=corpus.abstracts(session, present),
        rejections=rejections,
        joined=_joined(session, rejections),
    )


def _rejections(session: Session, page_ids: Sequence[int]) -> dict[Pair, memory.Rejection]:
    """What is remembered of the rejected pairs of these papers, where anything is."""
    rows = links.rejected_from(session, page_ids, Relation.ABOUT)
    known = {
        (row.source_id, row.target_id): memory.Rejection.parse(row.extra.get(links.REJECTION))
        for row in rows
    }
    return {pair: found for pair, found in known.items() if found is not None}


def _joined(
    session: Session, rejections: Mapping[Pair, memory.Rejection]
) -> dict[int, dict[int, datetime]]:
    """Of each concept of these pairs the papers accepted since the first of its rejections."""
    if not rejections:
        return {}
    concepts = sorted({concept for _, concept in rejections})
    earliest = min(rejection.at for rejection in rejections.values())
    found: dict[int, dict[int, datetime]] = {}
    for row in links.accepted_since(session, concepts, Relation.ABOUT, earliest):
        found.setdefault(row.target_id, {})[row.source_id] = row.decided_at
    return found


def page_of(session: Session, name: str) -> int:
    """The page of a kept paper, by identifier or address. Raises NotFound when there is none."""
    found = papers.named(session, name)
    if found is None or found.page_id is None:
        raise NotFound(f"There is no kept paper {name!r}. Name it by arxiv:…, doi:… or its page.")
    return found.page_id


def unlinked(session: Session) -> list[int]:
    """Every kept paper without an accepted `about` link, seen before or not: ids of their pages."""
    rows = session.connection().execute(
        sa.select(col(PageText.page_id))
        .join(Paper, col(Paper.page_id) == col(PageText.page_id))
        .where(~_has(LinkStatus.ACCEPTED))
        .order_by(col(PageText.page_id))
    )
    return [page_id for (page_id,) in rows]


# ---------------------------------------------------------------- thinking


def rank_papers(
    work: Work, weights: Weights, *, limit: int = 10, proposed_only: bool = False
) -> list[Proposal]:
    """Each paper's `limit` best concepts, surest first, with evidence; proposed or not.

    With `proposed_only` no evidence is sought for what would not be proposed.
    """
    if not work.papers or not work.concepts:
        return []
    knowledge = work.library.know("about", work.facts, weights)
    concepts = {concept.id: concept for concept in work.concepts}
    said = _names_said(work, concepts)
    maybe = {pair for pair in said if _may_return(work, pair, said[pair])}
    candidates = rank(
        work.papers,
        knowledge,
        limit=limit,
        excluded=work.excluded,
        reopened=maybe,
        proposed_only=proposed_only,
    )
    returned: dict[Pair, memory.Returned] = {}
    stays: set[Pair] = set()
    for each in candidates:
        pair = each.paper, each.concept
        if pair in maybe:
            found = _returned(work, each, concepts[each.concept].name, said[pair])
            if found is None:
                stays.add(pair)
            else:
                returned[pair] = found
    if stays:  # they took the places of others
        again = {paper for paper, _ in stays}
        anew = rank(
            sorted(again),
            knowledge,
            limit=limit,
            excluded=work.excluded,
            reopened=[*returned],
            proposed_only=proposed_only,
        )
        order = {paper: place for place, paper in enumerate(work.papers)}
        candidates = [each for each in candidates if each.paper not in again] + anew
        candidates.sort(key=lambda each: order[each.paper])
    return [
        _argued(work, each, concepts[each.concept], returned.get((each.paper, each.concept)))
        for each in candidates
    ]


def _names_said(work: Work, concepts: Mapping[int, ConceptText]) -> dict[Pair, dict[str, str]]:
    """Of each rejected pair the names of the concept that the paper says now."""
    names: dict[int, dict[int, list[str]]] = {}
    for paper, concept in work.rejections:
        if concept in concepts:
            named = concepts[concept]
            names.setdefault(paper, {})[concept] = [named.name, *named.aliases]
    found: dict[Pair, dict[str, str]] = {}
    for paper, by_concept in names.items():
        every = [name for some in by_concept.values() for name in some]
        said = evidence.names_said(work.texts[paper], every)
        for concept, some in by_concept.items():
            keys = dict.fromkeys(map(evidence.name_stems, some))
            found[paper, concept] = {key: said[key] for key in keys if key in said}
    return found


def _may_return(work: Work, pair: Pair, said: Mapping[str, str]) -> bool:
    """Whether there may be new evidence for a rejected pair: a look that spares most the ranking."""
    rejection = work.rejections[pair]
    joined = work.joined.get(pair[1], {})
    return bool(memory.new_names(rejection, said)) or (
        len(memory.joined_since(rejection, [*joined], joined)) >= memory.ACCEPTED_SINCE
    )


def _returned(
    work: Work, candidate: Candidate, name: str, said: Mapping[str, str]
) -> memory.Returned | None:
    """Why the pair may be proposed again; None when it would not be, or nothing is new."""
    if not candidate.proposed:
        return None
    rejection = work.rejections[candidate.paper, candidate.concept]
    joined = work.joined.get(candidate.concept, {})
    return memory.returned(
        rejection,
        concept=name,
        said=said,
        text_hash=work.hashes[candidate.paper],
        joined=_titles(work, memory.joined_since(rejection, candidate.resembles, joined)),
        confidence=candidate.confidence,
    )


def _argued(
    work: Work, candidate: Candidate, concept: ConceptText, returned: memory.Returned | None
) -> Proposal:
    paper = work.texts[candidate.paper]
    abstract = work.abstracts.get(candidate.paper, "")
    quotations = evidence.quotations(paper, concept, candidate.signals)
    return Proposal(
        candidate,
        reason=evidence.reason(candidate, paper, concept, _titles(work, candidate.resembles)),
        evidence=tuple(
            replace(each, where="abstract")
            if each.where == "text" and each.text in abstract
            else each
            for each in quotations
        ),
        returns=returned,
    )


def _titles(work: Work, page_ids: Sequence[int]) -> list[str]:
    titles = work.library.titles
    return [titles[page_id] for page_id in page_ids if page_id in titles]


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

    Waiting proposals that the linker would not make any more are withdrawn. What is linked or
    decided is left as it is, but for a rejected pair that returns. Of a worker (`owner`) only the
    papers count that it still holds.
    """
    made = 0
    mine = set(work.papers)
    if owner:
        mine = runs.let_go(session, STEP, work.papers, owner=owner)
    kept: dict[int, set[tuple[int, Relation]]] = {
        page_id: set() for page_id in work.papers if page_id in mine
    }
    wanted = [
        (each, each.candidate)
        for each in proposals
        if each.candidate.proposed and each.candidate.paper in kept
    ]
    # A page may be gone since it was read.
    needed = {*kept, *(candidate.concept for _, candidate in wanted)}
    alive = corpus.alive(session, needed, PageKind.PAPER, PageKind.CONCEPT)
    standing = links.standing(session, sorted(kept), Relation.ABOUT)
    known = {
        concept.id for concept in work.concepts
    }  # a merged one keeps links that nobody rejected
    for link in standing.values():
        rejected = link.status == LinkStatus.REJECTED and link.target_id in known
        if rejected and links.rejection(link) is None:
            links.remember(session, link, at=link.decided_at or now)  # rejected by an older version
    for proposal, candidate in wanted:
        pair = candidate.paper, candidate.concept
        if not {*pair} <= alive:
            continue
        kept[candidate.paper].add((candidate.concept, Relation.ABOUT))
        made += links.propose(
            session,
            source_id=candidate.paper,
            target_id=candidate.concept,
            relation=Relation.ABOUT,
            confidence=candidate.confidence,
            reason=proposal.reason,
            evidence=evidence_json(proposal),
            signals=signals_json(candidate),
            text_hash=work.hashes.get(candidate.paper, ""),
            origin=Origin.LINKER,
            now=now,
            resembles=proposal.resembles,
            returns=proposal.returns,
            among=standing,
        )
    for (paper, concept), link in standing.items():
        waits = link.status in (LinkStatus.PROPOSED, LinkStatus.DEFERRED)
        if waits and (concept, Relation.ABOUT) not in kept[paper]:
            _forget_what_is_not_said(session, link, work.texts[paper])
    for page_id in links.with_proposals(session, sorted(kept)):
        links.withdraw_proposals(session, page_id, keep=kept[page_id])
    seen = {page_id: work.seen[page_id] for page_id in kept if page_id in alive}
    runs.done(session, STEP, seen)
    return made


def _forget_what_is_not_said(session: Session, link: Link, paper: PaperText) -> None:
    """Of a proposal that stays although it is not made anew: no quotation that the text lost."""
    said = [
        each
        for each in link.evidence
        if not each.get("verbatim")
        or str(each.get("quotation", ""))
        in (paper.title if each.get("where") == "title" else paper.text)
    ]
    if len(said) < len(link.evidence):
        link.evidence = said
        session.add(link)


def as_json(
    proposals: Sequence[Proposal], names: Mapping[int, str], near: Mapping[int, Mapping[str, str]]
) -> list[dict[str, Any]]:
    """Candidates as programs get them. names: of papers and concepts; near: of what they resemble."""
    return [
        {
            "paper": names[each.candidate.paper],
            "target": names[each.candidate.concept],
            "relation": Relation.ABOUT.value,
            "confidence": round(each.candidate.confidence, 6),
            "proposed": each.candidate.proposed,
            "reason": each.line,
            "evidence": evidence_json(each),
            "resembles": [near[page_id] for page_id in each.resembles if page_id in near],
            "signals": signals_json(each.candidate),
        }
        for each in proposals
    ]


def resembled(proposals: Sequence[Proposal]) -> set[int]:
    """The pages that any of them resembles."""
    return {page_id for each in proposals for page_id in each.resembles}


def evidence_json(proposal: Proposal) -> list[dict[str, Any]]:
    """Quotations as links store them and programs get them."""
    return [
        {
            "quotation": quotation.text,
            "where": quotation.where,
            "verbatim": True,
            "spans": [list(span) for span in quotation.spans],
        }
        for quotation in proposal.evidence
    ]


def signals_json(candidate: Candidate) -> list[dict[str, Any]]:
    """Signals as links store them: name, its part of the log-odds, the words that matched."""
    return [
        {"name": signal.kind.value, "value": signal.weight, "words": list(signal.words)}
        for signal in candidate.signals
    ]
