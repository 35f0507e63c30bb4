"""What a day's facts become: its digest, told from what is stored alone. Pure.

A sentence is either counted by us, and then it names what it counts, or stands word for word in a
text of its own, and then it is quoted. Nothing is said twice in one digest, and what has no facts is
left out: no section is there for its own sake.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from itertools import combinations
from typing import Any

from app.domain import summaries
from app.domain.digests import TITLES, Document, Item, Part, Section, SectionName, Sentence
from app.domain.evidence import listed, short_title
from app.domain.latex import plain_latex
from app.domain.markdown import plain_text
from app.domain.records import AuthorKind, PredictionState
from app.domain.sentences import sentences
from app.domain.threads import day_of
from app.domain.words import STOP, stems

DEEP_LEAST, DEEP_MOST = 5, 8
QUICK_MOST = 40
THREADS_TOLD = 8
EARLIER_TOLD = 4
OF_A_KIND = 3
TLDR_MOST = 6
PICTURED = 4  # paragraphs of threads and relations
HEARD = 3  # sentences of what another source says
_ALIKE = 0.8  # shared words from which on two sentences say the same
_LONG = 280  # characters of a sentence in the quick hits, while there is a shorter one
_A_TOPIC = 3  # deep dives of one topic, while others wait


# ---------------------------------------------------------------- facts


@dataclass(frozen=True)
class Known:
    """A page that was there before: what it is called, where it is read, since when, and its gloss.

    `gloss` is one sentence: what it adds to a thread, else the first thing its text says it does.
    """

    title: str
    url: str
    ref: str
    day: str = ""
    gloss: str = ""


@dataclass(frozen=True)
class Said:
    """What a source beside the listing said of a paper. `text` and `why` are Markdown."""

    source: str
    section: str = ""
    text: str = ""
    why: str = ""


@dataclass(frozen=True)
class PaperFact:
    """A paper of the day. `url` is its page, else where it waits; `read` where its text is read."""

    id: int
    title: str
    ref: str
    url: str
    abstract: str = ""
    kept: bool = False
    score: float = 0.0
    relevance: int | None = None
    novelty: int | None = None
    topic: str = ""
    criterion: str = ""
    tier: int | None = None
    tier_reason: str = ""
    sources: tuple[str, ...] = ()
    said: tuple[Said, ...] = ()
    near: tuple[Known, ...] = ()
    concepts: tuple[Known, ...] = ()
    likely: frozenset[str] = frozenset()  # refs of those concepts that are suggested alone
    questions: tuple[str, ...] = ()
    comment: str = ""  # a scorer's word on why it matters, and whose
    scorer: str = ""
    diagram: str = ""
    read: str = ""

    @property
    def name(self) -> str:
        return short_title(plain_latex(self.title))


@dataclass(frozen=True)
class Joining:
    """A paper of the day in a thread; `suggested` while nobody accepted it."""

    paper: int
    role: str
    line: str
    suggested: bool = False


@dataclass(frozen=True)
class ThreadFact:
    """A thread that papers of the day join, in its numbers of that day."""

    title: str
    slug: str
    claim: str
    papers: int
    since: str
    joined: tuple[Joining, ...]
    earlier: tuple[tuple[Known, str], ...] = ()  # and the role of each
    questions: tuple[str, ...] = ()
    roles: Mapping[str, int] = field(default_factory=dict)  # members of each, today's among them

    @property
    def url(self) -> str:
        return f"/w/{self.slug}"


@dataclass(frozen=True)
class Relating:
    """What a paper of the day says of an earlier one: "confirms", "contradicts", "extends" …"""

    paper: int
    relation: str
    other: Known
    quotation: str = ""
    suggested: bool = False


@dataclass(frozen=True)
class Answering:
    """That a paper of the day may answer a question that an earlier page asked."""

    paper: int
    question: str
    number: int
    asker: Known
    quotation: str = ""
    suggested: bool = False


@dataclass(frozen=True)
class Foretold:
    """A prediction that the day is about. `why` is "due", "touched", "made" or "resolved"."""

    text: str
    by: Known
    due: str
    why: str
    state: PredictionState = PredictionState.OPEN
    paper: int | None = None
    quotation: str = ""


@dataclass(frozen=True)
class OtherFact:
    """Something of the day that is no paper: an article, an episode, a newsletter's piece."""

    title: str
    url: str
    ref: str
    kind: str
    source: str = ""
    sentence: str = ""


@dataclass(frozen=True)
class Day:
    """All that is told of a day. `listed` is None when no listing came in."""

    day: str
    papers: tuple[PaperFact, ...] = ()
    threads: tuple[ThreadFact, ...] = ()
    relations: tuple[Relating, ...] = ()
    answers: tuple[Answering, ...] = ()
    predictions: tuple[Foretold, ...] = ()
    others: tuple[OtherFact, ...] = ()
    held: Mapping[str, int] = field(default_factory=dict)  # papers of a concept before, by its ref
    listed: int | None = None
    new: int = 0  # of those listed; the others stood on an earlier day
    picked: int = 0
    ledger: Mapping[str, Any] = field(default_factory=dict)


# ---------------------------------------------------------------- what was said already


class _Once:
    """Sentences that were told: none is told again, nor one that says the same in other words."""

    def __init__(self) -> None:
        self._told: list[frozenset[str]] = []

    def take(self, text: str) -> bool:
        """Whether a sentence is new; it counts as told then."""
        said = frozenset(stem for stem in stems(text) if stem not in STOP)
        if not said:
            return False
        for other in self._told:
            if len(said & other) >= _ALIKE * min(len(said), len(other)) and (
                min(len(said), len(other)) >= 4 or said == other
            ):
                return False
        self._told.append(said)
        return True


# ---------------------------------------------------------------- the whole


def tell(day: Day) -> Document:
    """A day's digest. Of a day without anything the ledger alone is left."""
    teller = _Teller(day)
    # In the order in which they may take a sentence: what is told above is not told again below.
    made = {
        SectionName.FRAMING: teller.framing(),
        SectionName.TLDR: teller.tldr(),
        SectionName.BIG_PICTURE: teller.big_picture(),
        SectionName.DEEP_DIVES: teller.deep_dives(),
        SectionName.CONNECTING: teller.connecting(),
        SectionName.WATCHING: teller.watching(),
        SectionName.INDUSTRY: teller.industry(),
        SectionName.QUICK_HITS: teller.quick_hits(),
    }
    sections = [made[name] for name in SectionName if name in made]
    told = tuple(each for each in sections if each is not None)
    return Document(day.day, told, dict(day.ledger))


class _Teller:
    """Tells one day; what is picked for the deep dives is said once and nowhere else at length."""

    def __init__(self, day: Day) -> None:
        self.day = day
        self.once = _Once()
        self.papers = {each.id: each for each in day.papers}
        self.threads: dict[int, list[ThreadFact]] = {}
        for thread in day.threads:
            for each in thread.joined:
                self.threads.setdefault(each.paper, []).append(thread)
        self.signals = self._signals()
        self.dives = self._picked()
        self.kinds = self._of_a_kind()

    # ------------------------------------------------------------ signals

    def _signals(self) -> dict[int, list[str]]:
        found: dict[int, list[str]] = {}
        names = {"confirms": "confirmation", "contradicts": "contradiction"}
        for relating in self.day.relations:
            if relating.relation in names:
                found.setdefault(relating.paper, []).append(names[relating.relation])
        for answering in self.day.answers:
            found.setdefault(answering.paper, []).append("gap filled")
        for foretold in self.day.predictions:
            if foretold.why == "touched" and foretold.paper is not None:
                found.setdefault(foretold.paper, []).append("prediction touched")
        for thread in self.day.threads:
            if thread.papers >= OF_A_KIND and any(not each.suggested for each in thread.joined):
                for each in thread.joined:
                    found.setdefault(each.paper, []).append("n-of-a-kind")
        return {paper: list(dict.fromkeys(some)) for paper, some in found.items()}

    # ------------------------------------------------------------ deep dives

    def _rank(self, paper: PaperFact) -> tuple[float, ...]:
        """What is told at length: the tier, then what joins it to the wiki, then its marks."""
        joins = 2 * len(self.signals.get(paper.id, ())) + len(self.threads.get(paper.id, ()))
        cross = len(paper.sources) > 1
        return (
            paper.kept,
            -(paper.tier or 4) + cross + min(joins, 3) / 2,
            paper.score,
            len(paper.abstract) > 0,
            _SHARE.search(paper.abstract) is not None,  # a result in numbers, all else being equal
            -paper.id,
        )

    def _picked(self) -> list[PaperFact]:
        ranked = sorted(self.day.papers, key=self._rank, reverse=True)
        ranked = [each for each in ranked if each.abstract or each.said]
        most = min(DEEP_MOST, max(DEEP_LEAST, len(ranked) // 4))
        chosen: list[PaperFact] = []
        of_topic: Counter[str] = Counter()
        for each in ranked:
            if len(chosen) < most and (not each.topic or of_topic[each.topic] < _A_TOPIC):
                chosen.append(each)
                of_topic[each.topic] += 1
        chosen += [each for each in ranked if each not in chosen][: most - len(chosen)]
        return sorted(chosen, key=self._rank, reverse=True)

    def deep_dives(self) -> Section | None:
        return _section(SectionName.DEEP_DIVES, items=[self._dive(each) for each in self.dives])

    def _dive(self, paper: PaperFact) -> Item:
        found = summaries.extract(paper.title, paper.abstract) if paper.abstract else None
        of: dict[summaries.Role, list[str]] = {}
        told: list[str] = []
        for each in found.sentences if found else ():
            role = each.role
            if role == summaries.Role.PROBLEM and _OF_OURS.match(each.text):
                role = summaries.Role.APPROACH  # "We compare …" is no problem
            before = _leant_on(each.text, paper.abstract, told)
            theirs = role == summaries.Role.APPROACH and any(
                summaries.tells_a_problem(text) and not _is_ours(text) for text in before
            )
            of.setdefault(summaries.Role.PROBLEM if theirs else role, []).extend(before)
            of.setdefault(role, []).append(each.text)
            told += [*before, each.text]
        parts = [
            self._quoted(paper, "problem", "The problem", of.get(summaries.Role.PROBLEM, [])),
            self._quoted(paper, "what-it-is", "What it is", of.get(summaries.Role.APPROACH, [])),
            self._quoted(
                paper, "takeaways", "Takeaways", of.get(summaries.Role.RESULT, []), rows=True
            ),
            self._quoted(paper, "limits", "Limits", of.get(summaries.Role.LIMITS, [])),
            self._heard(paper),
            self._novelty(paper),
            self._joins(paper),
            self._why(paper),
            self._angle(paper),
        ]
        return Item(
            title=plain_latex(paper.title),
            ref=paper.ref,
            url=paper.url,
            hook=self._hook(paper),
            parts=tuple(each for each in parts if each is not None),
            diagram=paper.diagram,
            tier=paper.tier,
            tier_reason=paper.tier_reason,
            sources=paper.sources,
            signals=tuple(self.signals.get(paper.id, ())),
            threads=tuple(each.slug for each in self.threads.get(paper.id, ())),
            extra={
                "paper_id": paper.id,
                "relevance": paper.relevance,
                "novelty": paper.novelty,
                "kept": paper.kept,
                "topic": paper.topic,
                "read": paper.read,
                "decide": "" if paper.kept else f"/inbox?day={self.day.day}",
            },
        )

    def _quoted(
        self, paper: PaperFact, name: str, title: str, texts: Sequence[str], *, rows: bool = False
    ) -> Part | None:
        told = [text for text in texts if self.once.take(text)]
        sentences = tuple(_extract(text, paper.ref) for text in told)
        return Part(name, title, sentences, listed=rows) if sentences else None

    def _hook(self, paper: PaperFact) -> tuple[Sentence, ...]:
        """The thread that it joins, in its role and with the count that it makes."""
        for thread in self.threads.get(paper.id, ()):
            each = next(each for each in thread.joined if each.paper == paper.id)
            if each.suggested:
                continue
            does = f"{each.role} the claim of" if each.role in _BEARS else "joins"
            count = _count(thread.papers, "paper")
            text = f"It {does} “{thread.title}”, which now has {count}."
            links = ((thread.title, thread.url), (count, f"{thread.url}#timeline"))
            return (Sentence(text, (paper.ref, thread.slug), links=links),)
        return ()

    def _heard(self, paper: PaperFact) -> Part | None:
        """What another source says of it, in the first sentences of that source."""
        told: list[Sentence] = []
        for said in paper.said:
            text = plain_text(said.text.partition("```")[0])
            whole = [each for each in sentences(text) if _is_whole(each)]
            best = sorted(whole[1:], key=_is_number, reverse=True)[: HEARD - 1]
            some = [each for each in whole if each in (whole[0], *best)]
            some = [each for each in some if self.once.take(each)]
            for place, each in enumerate(some):
                told.append(_extract(each, paper.ref, lead="" if place else f"{said.source}: "))
        return Part("heard", "What others say", tuple(told)) if told else None

    def _novelty(self, paper: PaperFact) -> Part | None:
        """Against what the wiki holds: the pages it is most like, by name, date and gloss."""
        near = [each for each in paper.near if each.ref != paper.ref][:2]
        if not near:
            return None
        names = listed([_dated(each) for each in near])
        told = [
            Sentence(
                f"What the wiki held that is most like it: {names}.",
                (paper.ref, *(each.ref for each in near)),
                links=_links(near),
            )
        ]
        for each in near:
            if self._glosses(each):
                told.append(_extract(each.gloss, each.ref, lead=f"{_short(each.title)}: "))
                break
        return Part("novelty", "What is new", tuple(told))

    def _glosses(self, known: Known) -> bool:
        """Whether a page has a gloss that is short enough to stand beside its name, and new here."""
        gloss = known.gloss
        return 0 < len(gloss) <= _LONG and not _POINTS_BACK.match(gloss) and self.once.take(gloss)

    def _joins(self, paper: PaperFact) -> Part | None:
        """The signals of a paper, each with what it joins, when that was and what it says."""
        told: list[Sentence] = []
        for relating in self.day.relations:
            if relating.paper == paper.id:
                told += self._related(paper, relating)
        for answering in self.day.answers:
            if answering.paper == paper.id:
                told += self._answered(paper, answering)
        for foretold in self.day.predictions:
            if foretold.paper == paper.id and foretold.why == "touched":
                told += self._touched(paper, foretold)
        return Part("signals", "How it joins what was known", tuple(told)) if told else None

    def _related(self, paper: PaperFact, each: Relating) -> list[Sentence]:
        verb = _VERBS.get(each.relation, f"is linked as “{each.relation}” to")
        may = "Suggested: it" if each.suggested else "It"
        told = [
            Sentence(
                f"{may} {verb} {_dated(each.other)}.",
                (paper.ref, each.other.ref),
                links=_links([each.other]),
            )
        ]
        if each.quotation and self.once.take(each.quotation):
            told.append(_extract(each.quotation, paper.ref))
        return told

    def _answered(self, paper: PaperFact, each: Answering) -> list[Sentence]:
        may = "It may answer" if each.suggested else "It answers"
        told = [
            Sentence(
                f"{may} question {each.number} of {_dated(each.asker)}: {each.question}",
                (paper.ref, each.asker.ref),
                links=_links([each.asker]),
            )
        ]
        if each.quotation and self.once.take(each.quotation):
            told.append(_extract(each.quotation, paper.ref))
        return told

    def _touched(self, paper: PaperFact, each: Foretold) -> list[Sentence]:
        told = [
            Sentence(
                f"It bears on the prediction of {_dated(each.by)}: {each.text}",
                (paper.ref, each.by.ref),
                links=_links([each.by]),
            )
        ]
        if each.quotation and self.once.take(each.quotation):
            told.append(_extract(each.quotation, paper.ref))
        return told

    def _why(self, paper: PaperFact) -> Part | None:
        why = next((each for each in paper.said if each.why), None)
        if why is not None and self.once.take(why.why):
            told = _extract(why.why, paper.ref, lead=f"{why.source}: ")
            return Part("why-it-matters", "Why it matters", (told,))
        if paper.comment and paper.scorer and self.once.take(paper.comment):
            told = _extract(paper.comment, paper.ref, lead=f"{paper.scorer}: ")
            return Part("why-it-matters", "Why it matters", (told,))
        reasons = []
        if len(paper.sources) > 1:
            reasons.append(f"{_number(len(paper.sources))} sources speak of it independently")
        if paper.criterion and paper.topic:
            reasons.append(f"it meets “{paper.criterion}” of your topic {paper.topic}")
        if not reasons:
            return None
        text = "; ".join(reasons)
        told = Sentence(f"{text[:1].upper()}{text[1:]}.", (paper.ref,))
        return Part("why-it-matters", "Why it matters", (told,))

    def _angle(self, paper: PaperFact) -> Part | None:
        told = [text for text in paper.questions if self.once.take(text)]
        sentences = tuple(_extract(text, paper.ref) for text in told)
        return Part("research-angle", "Research angle", sentences, True) if sentences else None

    # ------------------------------------------------------------ threads

    def connecting(self) -> Section | None:
        items = [self._thread(each) for each in self._by_size()[:THREADS_TOLD]]
        return _section(SectionName.CONNECTING, items=items)

    def _by_size(self) -> list[ThreadFact]:
        def moved(thread: ThreadFact) -> tuple[int, int, str]:
            sure = sum(not each.suggested for each in thread.joined)
            return (-sure, -len(thread.joined), thread.title.casefold())

        return sorted(self.day.threads, key=moved)

    def _thread(self, thread: ThreadFact) -> Item:
        sure = [each for each in thread.joined if not each.suggested]
        offered = [each for each in thread.joined if each.suggested]
        told = []
        if thread.claim and self.once.take(thread.claim):
            told.append(_extract(_ended(thread.claim), thread.slug))
        count = f"{_count(thread.papers, 'paper')} since {_month(thread.since)}"
        names = listed([self._with_role(each) for each in sure or offered])
        if sure:
            verb = "joins" if len(sure) == 1 else "join"
            text = f"Today {names} {verb}, which makes {count}."
        else:
            verb = "is" if len(offered) == 1 else "are"
            text = f"{names} {verb} suggested for it; without that it has {count}."
        refs = [self.papers[each.paper] for each in (sure or offered)]
        told.append(
            Sentence(
                text,
                (thread.slug, *(each.ref for each in refs)),
                links=(
                    *((each.name, each.url) for each in refs),
                    (count, f"{thread.url}#timeline"),
                ),
            )
        )
        for each in sure:
            paper = self.papers[each.paper]
            if each.line and self.once.take(each.line):
                by = AuthorKind.EXTRACT if each.line in paper.abstract else AuthorKind.AGENT
                told.append(Sentence(_ended(each.line), (paper.ref,), by, lead=f"{paper.name}:"))
        if sure and offered:
            some = [self.papers[each.paper] for each in offered]
            told.append(
                Sentence(
                    f"Suggested beside: {listed([each.name for each in some])}.",
                    (thread.slug, *(each.ref for each in some)),
                    links=tuple((each.name, each.url) for each in some),
                )
            )
        earlier = []
        for known, role in thread.earlier[:EARLIER_TOLD]:
            gloss = known.gloss if self._glosses(known) else ""
            does = f" {role} it" if role else ""
            earlier.append(
                Sentence(
                    f"{_dated(known)}{does}{f': {_glossed(known)}' if gloss else '.'}",
                    (known.ref,),
                    links=_links([known]),
                )
            )
        missing = [
            _extract(text, thread.slug) for text in thread.questions[:3] if self.once.take(text)
        ]
        parts = [Part("today", "", tuple(told))]
        if earlier:
            parts.append(Part("earlier", "Before", tuple(earlier), listed=True))
        if missing:
            parts.append(Part("missing", "Still open", tuple(missing), listed=True))
        return Item(
            title=thread.title,
            kind="thread",
            ref=thread.slug,
            url=thread.url,
            parts=tuple(parts),
            extra={"papers": thread.papers, "since": thread.since},
        )

    def _with_role(self, each: Joining) -> str:
        return f"{self.papers[each.paper].name}{f' ({each.role})' if each.role else ''}"

    # ------------------------------------------------------------ the big picture

    def big_picture(self) -> Section | None:
        """What the day means: what it joins, and what of it is of one kind."""
        moved = [self._moved(each) for each in self._by_size()]
        paragraphs = [each for each in moved if each][: PICTURED - 1]
        for relating in self.day.relations:
            if relating.relation in ("confirms", "contradicts") and len(paragraphs) < PICTURED:
                paper = self.papers[relating.paper]
                may = "may " if relating.suggested else ""
                verb = _VERBS[relating.relation] if not may else _BARE[relating.relation]
                told = [
                    Sentence(
                        f"{paper.name} {may}{verb} {_dated(relating.other)}.",
                        (paper.ref, relating.other.ref),
                        links=((paper.name, paper.url), *_links([relating.other])),
                    )
                ]
                if self._glosses(relating.other):
                    told.append(
                        _extract(
                            relating.other.gloss,
                            relating.other.ref,
                            lead=f"{_short(relating.other.title)}: ",
                        )
                    )
                paragraphs.append(tuple(told))
        paragraphs += self.kinds[:3]
        return _section(SectionName.BIG_PICTURE, paragraphs=paragraphs)

    def _roles(self, some: Sequence[Joining]) -> str:
        """ "A and B support and C contradicts": who does what for a claim."""
        of: dict[str, list[str]] = {}
        for each in some:
            role = each.role if each.role in _BEARS else "joins"
            of.setdefault(role, []).append(self.papers[each.paper].name)
        told = [f"{listed(who)} {_agreed(role, len(who))}" for role, who in of.items()]
        return " and ".join(told) if len(told) < 3 else listed(told)

    def _moved(self, thread: ThreadFact) -> tuple[Sentence, ...]:
        """What the papers of the day do for a thread's claim, what its members say of it together,
        and an earlier one that they stand with or against.
        """
        sure = [each for each in thread.joined if not each.suggested and each.role in _BEARS]
        if not sure:
            return ()
        papers = [self.papers[each.paper] for each in sure]
        does = self._roles(sure[:4])
        refs = (thread.slug, *(each.ref for each in papers))
        links = (*((each.name, each.url) for each in papers[:4]), (thread.title, thread.url))
        told = [Sentence(f"{does} the claim of “{thread.title}”.", refs, links=links)]
        if balance := _balance(thread.roles):
            link = ((balance, f"{thread.url}#timeline"),)
            told.append(Sentence(f"Of its members {balance}.", (thread.slug,), links=link))
        roles = {each.role for each in sure}
        for known, role in thread.earlier:
            beside = role in roles and role != "contradicts"
            against = ("contradicts" in roles) != (role == "contradicts") and role in _BEARS
            if (beside or against) and self._glosses(known):
                said = "Earlier" if beside else "On the other side"
                text = f"{said}, {_dated(known)}: {_glossed(known)}"
                told.append(Sentence(text, (known.ref,), links=_links([known])))
                break
        return tuple(told)

    def _of_a_kind(self) -> list[tuple[Sentence, ...]]:
        """Concepts that three or more papers of the day are about, alone or two of them together."""
        of: dict[str, list[PaperFact]] = {}
        known: dict[str, Known] = {}
        for paper in self.day.papers:
            for concept in paper.concepts:
                known[concept.ref] = concept
                of.setdefault(concept.ref, []).append(paper)
        told = []
        seen: set[frozenset[int]] = set()
        pairs = []
        for one, two in combinations(sorted(of), 2):
            both = [paper for paper in of[one] if paper in of[two]]
            if len(both) >= OF_A_KIND:
                pairs.append(((one, two), both))
        alone = [((ref,), some) for ref, some in of.items() if len(some) >= OF_A_KIND]
        for refs, some in sorted([*pairs, *alone], key=lambda each: (-len(each[1]), each[0])):
            papers = frozenset(each.id for each in some)
            if any(len(papers & other) >= len(papers) - 1 for other in seen):
                continue
            seen.add(papers)
            told.append(self._kind([known[ref] for ref in refs], some))
        return told

    def _kind(self, concepts: Sequence[Known], papers: Sequence[PaperFact]) -> tuple[Sentence, ...]:
        names = " and ".join(each.title for each in concepts)
        shown = sorted(papers, key=self._rank, reverse=True)[:5]
        more = len(papers) - len(shown)
        list_of = listed([*(each.name for each in shown), *([f"{more} more"] if more else [])])
        refs = {each.ref for each in concepts}
        unsure = sum(bool(refs & each.likely) for each in papers)
        one, all_unsure = len(concepts) == 1, unsure == len(papers)
        verb = "are about" if one else "join"
        if all_unsure:  # nobody accepted a link of them yet
            verb = "may be about" if one else "may join"
        as_far = f" ({_number(unsure)} as suggested)" if unsure and not all_unsure else ""
        told = [
            Sentence(
                f"{_number(len(papers)).capitalize()} papers of the day{as_far} {verb} {names}: "
                f"{list_of}.",
                (*(each.ref for each in concepts), *(each.ref for each in papers)),
                links=(*_links(concepts), *((each.name, each.url) for each in shown)),
            )
        ]
        if len(concepts) == 1 and (before := self.day.held.get(concepts[0].ref)):
            told.append(
                Sentence(
                    f"Before them the wiki had {_count(before, 'paper')} about {concepts[0].title}.",
                    (concepts[0].ref,),
                    links=((_count(before, "paper"), concepts[0].url),),
                )
            )
        return tuple(told)

    # ------------------------------------------------------------ the rest

    def watching(self) -> Section | None:
        order = {"due": 0, "resolved": 1, "touched": 2, "made": 3}
        items = []
        for each in sorted(self.day.predictions, key=lambda each: (order[each.why], each.due)):
            if not self.once.take(each.text):
                continue
            when = f", due {_day(each.due)}" if each.due else ""
            said = {
                "due": f"Due {_day(each.due)}, and to be judged: predicted by {_dated(each.by)}.",
                "resolved": f"{_STATES[each.state]}: predicted by {_dated(each.by)}.",
                "touched": f"Predicted by {_dated(each.by)}{when}.",
                "made": f"Predicted today by {_short(each.by.title)}{when}.",
            }[each.why]
            items.append(
                Item(
                    title=each.text,
                    kind="prediction",
                    ref=each.by.ref,
                    url="/predictions",
                    parts=(
                        Part(
                            "stands", "", (Sentence(said, (each.by.ref,), links=_links([each.by])),)
                        ),
                    ),
                    extra={"due": each.due, "why": each.why, "state": each.state.value},
                )
            )
        return _section(SectionName.WATCHING, items=items)

    def quick_hits(self) -> Section | None:
        dives = {each.id for each in self.dives}
        rest = sorted(
            (each for each in self.day.papers if each.id not in dives), key=self._rank, reverse=True
        )
        items = [self._hit(each) for each in rest[:QUICK_MOST]]
        section = _section(SectionName.QUICK_HITS, items=items)
        more = len(rest) - QUICK_MOST
        if section is None or more <= 0:
            return section
        words = f"{more:,} more {'paper' if more == 1 else 'papers'}"
        left = Sentence(
            f"{words} of the day {'is' if more == 1 else 'are'} on its listing.",
            links=((words, f"/triage/{self.day.day}"),),
        )
        return Section(section.name, section.title, ((left,),), section.items)

    def _hit(self, paper: PaperFact) -> Item:
        found = summaries.extract(paper.title, paper.abstract) if paper.abstract else None
        every = found.sentences if found else ()
        best = [each.text for each in every if each.role == summaries.Role.RESULT and _tells(each)]
        best += [each.text for each in every if each.role == summaries.Role.APPROACH]
        best.sort(key=lambda text: (_leans(text), len(text) > _LONG))
        told = next((text for text in best if self.once.take(text)), None)
        hook = (_extract(told, paper.ref),) if told else self._in_short(paper)
        return Item(
            title=plain_latex(paper.title),
            ref=paper.ref,
            url=paper.url,
            hook=hook,
            tier=paper.tier,
            tier_reason=paper.tier_reason,
            sources=paper.sources,
            signals=tuple(self.signals.get(paper.id, ())),
            threads=tuple(each.slug for each in self.threads.get(paper.id, ())),
            extra={"paper_id": paper.id},
        )

    def _in_short(self, paper: PaperFact) -> tuple[Sentence, ...]:
        """The first sentence that another source says of a paper."""
        for said in paper.said:
            for each in sentences(plain_text(said.text.partition("```")[0]))[:1]:
                if _is_whole(each) and self.once.take(each):
                    return (_extract(each, paper.ref, lead=f"{said.source}: "),)
        return ()

    def industry(self) -> Section | None:
        items = [
            Item(
                title=plain_latex(each.title),
                kind=each.kind,
                ref=each.ref,
                url=each.url,
                hook=(_extract(each.sentence, each.ref),)
                if each.sentence and self.once.take(each.sentence)
                else (),
                sources=(each.source,) if each.source else (),
            )
            for each in self.day.others
        ]
        return _section(SectionName.INDUSTRY, items=items)

    # ------------------------------------------------------------ what happened

    def tldr(self) -> Section | None:
        told = [*self._funnel(), *self._happened()][:TLDR_MOST]
        told += self._topics()[: max(0, TLDR_MOST - 2 - len(told))]
        told += self._results(TLDR_MOST - len(told))
        return _section(SectionName.TLDR, paragraphs=[(each,) for each in told])

    def _topics(self) -> list[Sentence]:
        """What the day was about: the topics with most papers, each with those to read first."""
        of: dict[str, list[PaperFact]] = {}
        for paper in sorted(self.day.papers, key=self._rank, reverse=True):
            if paper.topic:
                of.setdefault(paper.topic, []).append(paper)
        told = []
        for topic, some in sorted(of.items(), key=lambda each: (-len(each[1]), each[0])):
            if len(some) < OF_A_KIND or len(self.day.papers) < DEEP_LEAST:
                break
            shown = some[:3]
            more = [f"{len(some) - 3:,} more"] if len(some) > 3 else []
            told.append(
                Sentence(
                    f"{topic}: {listed([*(each.name for each in shown), *more])}.",
                    tuple(each.ref for each in some),
                    links=tuple((each.name, each.url) for each in shown),
                )
            )
        return told

    def _results(self, most: int) -> list[Sentence]:
        """Results in numbers of papers that have another one to tell below."""
        told: list[Sentence] = []
        for paper in self.dives:
            found = summaries.extract(paper.title, paper.abstract) if paper.abstract else None
            results = [
                each.text
                for each in (found.sentences if found else ())
                if each.role == summaries.Role.RESULT
            ]
            best = [
                text
                for text in results
                if _is_number(text) and not _leans(text) and len(text) <= _LONG
            ]
            if len(told) >= min(2, most):
                break
            rest = [text for text in results if text not in best[:1]]
            if best and rest and not any(map(_leans, rest)) and self.once.take(best[0]):
                told.append(_extract(best[0], paper.ref, lead=f"{paper.name}: "))
        return told

    def _funnel(self) -> list[Sentence]:
        day, kept = self.day, sum(each.kept for each in self.day.papers)
        told = []
        if day.listed is not None:
            here = f"/triage/{day.day}"
            parts = [f"{_count(day.listed, 'paper')} came in"]
            links = [(parts[0], f"{here}?list=all")]
            if 0 < day.new < day.listed:
                parts.append(f"{day.new:,} of them new")
            if day.picked:
                parts.append(f"{day.picked:,} were picked by your topics")
                links.append((f"{day.picked:,} were picked", f"{here}?list=picked"))
            if kept:
                parts.append(f"{_is(kept, 'kept')}")
            told.append(Sentence(f"{listed(parts)}.", (), links=tuple(links)))
        elif kept:
            told.append(Sentence(f"{_count(kept, 'paper')} {'was' if kept == 1 else 'were'} kept."))
        return told

    def _happened(self) -> list[Sentence]:
        told: list[Sentence] = []
        for thread in self._by_size():
            sure = [self.papers[each.paper] for each in thread.joined if not each.suggested]
            if sure and len(told) < 2:
                names = listed([each.name for each in sure[:3]])
                verb = "joins" if len(sure) == 1 else "join"
                count = f"now {_count(thread.papers, 'paper')}"
                if len(sure) > 3:
                    names = f"{names} and others"
                told.append(
                    Sentence(
                        f"{names} {verb} “{thread.title}”, {count}.",
                        (thread.slug, *(each.ref for each in sure)),
                        links=(
                            *((each.name, each.url) for each in sure[:3]),
                            (thread.title, thread.url),
                            (count, f"{thread.url}#timeline"),
                        ),
                    )
                )
        crossed = [each for each in self.day.papers if len(each.sources) > 1]
        if crossed:
            names = listed([each.name for each in crossed[:3]])
            count = _count(len(crossed), "paper")
            verb = "was" if len(crossed) == 1 else "were"
            told.append(
                Sentence(
                    f"{count} {verb} met in two or more independent sources: {names}"
                    f"{' and others' if len(crossed) > 3 else ''}.",
                    tuple(each.ref for each in crossed),
                    links=tuple((each.name, each.url) for each in crossed[:3]),
                )
            )
        contradicting = [each for each in self.day.relations if each.relation == "contradicts"]
        for relating in contradicting[:1]:
            paper = self.papers[relating.paper]
            verb = "may contradict" if relating.suggested else "contradicts"
            told.append(
                Sentence(
                    f"{paper.name} {verb} {_dated(relating.other)}.",
                    (paper.ref, relating.other.ref),
                    links=((paper.name, paper.url), *_links([relating.other])),
                )
            )
        for answering in self.day.answers[:1]:
            paper = self.papers[answering.paper]
            verb = "may answer" if answering.suggested else "answers"
            told.append(
                Sentence(
                    f"{paper.name} {verb} question {answering.number} of {_dated(answering.asker)}.",
                    (paper.ref, answering.asker.ref),
                    links=((paper.name, paper.url), *_links([answering.asker])),
                )
            )
        due = sum(each.why == "due" for each in self.day.predictions)
        if due:
            count = _count(due, "prediction")
            told.append(Sentence(f"{count} came due.", links=((count, "/predictions?state=due"),)))
        return told

    # ------------------------------------------------------------ framing

    def framing(self) -> Section | None:
        """One sentence: what joins the most of the day, else what it was about."""
        told = self._frame()
        return _section(SectionName.FRAMING, paragraphs=[(told,)]) if told else None

    def _frame(self) -> Sentence | None:
        for thread in self._by_size():
            sure = [self.papers[each.paper] for each in thread.joined if not each.suggested]
            if len(sure) > 1 or (sure and thread.papers >= OF_A_KIND):
                shown = [each for each in thread.joined if not each.suggested][:3]
                does = self._roles(shown)
                count = _count(thread.papers, "paper")
                claim = thread.claim.rstrip(".") or thread.title
                self.once.take(claim)
                return Sentence(
                    f"{does} a claim that now has {count} since {_month(thread.since)}: {claim}.",
                    (thread.slug, *(self.papers[each.paper].ref for each in shown)),
                    links=(
                        *(
                            (self.papers[each.paper].name, self.papers[each.paper].url)
                            for each in shown
                        ),
                        (count, thread.url),
                    ),
                )
        if not self.day.papers:
            return None
        many = len(self.day.papers)
        count = f"{_number(many).capitalize()} {'paper' if many == 1 else 'papers'}"
        came = self.day.listed or 0
        of = f" of {came:,}" if came > many else ""
        of = f" of {self.day.new:,} new" if came > self.day.new > many else of
        first = [each.name for each in self.dives[: 1 if many == 1 else 2]]
        if not first:
            return Sentence(f"{count}{of} {'is' if many == 1 else 'are'} told here.")
        names = listed(first)
        told = f"{count}{of}: {names}." if many == 1 else f"{count}{of}; first to read: {names}."
        links = tuple((each.name, each.url) for each in self.dives[: len(first)])
        return Sentence(told, tuple(each.ref for each in self.dives[: len(first)]), links=links)


# ---------------------------------------------------------------- words

_VERBS = {
    "confirms": "confirms",
    "contradicts": "contradicts",
    "extends": "extends",
    "uses": "uses",
    "compares": "compares itself with",
    "answers": "answers",
}
_BEARS = ("starts", "supports", "extends", "contradicts", "formalises", "measures", "applies")
_BARE = {"confirms": "confirm", "contradicts": "contradict"}
_STATES = {
    PredictionState.OPEN: "Open",
    PredictionState.CAME_TRUE: "Came true",
    PredictionState.FAILED: "Failed",
    PredictionState.WITHDRAWN: "Withdrawn",
}
_NUMBERS = (
    *("no", "one", "two", "three", "four", "five", "six"),
    *("seven", "eight", "nine", "ten", "eleven", "twelve"),
)


def _section(
    name: SectionName,
    *,
    paragraphs: Sequence[tuple[Sentence, ...]] = (),
    items: Sequence[Item] = (),
) -> Section | None:
    if not paragraphs and not items:
        return None
    return Section(name.value, TITLES[name], tuple(paragraphs), tuple(items))


def _extract(text: str, ref: str, *, lead: str = "") -> Sentence:
    return Sentence(" ".join(text.split()), (ref,), AuthorKind.EXTRACT, lead=lead)


def _short(title: str) -> str:
    return short_title(plain_latex(title))


def _dated(known: Known) -> str:
    when = day_of(known.day)
    return f"{_short(known.title)} ({_day(known.day)})" if when else _short(known.title)


def _links(some: Iterable[Known]) -> tuple[tuple[str, str], ...]:
    return tuple((_short(each.title), each.url) for each in some)


def _day(text: str) -> str:
    """ "14 May 2026" of a day, "May 2026" of a month, the year of a year."""
    found = day_of(text)
    if found is None:
        return text
    parts = text.count("-")
    if parts == 0:
        return str(found.year)
    return f"{found:%B %Y}" if parts == 1 else f"{found.day} {found:%B %Y}"


def _month(text: str) -> str:
    found: date | None = day_of(text)
    return f"{found:%B %Y}" if found and "-" in text else text or "its beginning"


def _number(count: int) -> str:
    return _NUMBERS[count] if 0 <= count < len(_NUMBERS) else f"{count:,}"


def _count(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _is(count: int, participle: str) -> str:
    return f"{count:,} {'was' if count == 1 else 'were'} {participle}"


def _tells(each: summaries.Extracted) -> bool:
    """Whether a result can stand alone: it says a number."""
    return _is_number(each.text)


def _is_number(text: str) -> bool:
    return any(sign.isdigit() for sign in text)


_SHARE = re.compile(r"\d\s?(?:\\?%|x\b|×|\$?\\times)")


def _is_whole(text: str) -> bool:
    return text[-1:] in ".!?" and 25 <= len(text) <= 400


def _agreed(role: str, many: int) -> str:
    """A role as a verb that agrees: "supports" of one, "support" of several."""
    return role if many == 1 else role.removesuffix("s")


def _glossed(known: Known) -> str:
    """The gloss as a sentence; in quotation marks where its "we" would be ours."""
    told = _ended(known.gloss)
    return f"“{told}”" if _is_ours(told) else told


def _ended(text: str) -> str:
    """A line as a sentence: what ends in no sign ends in a full stop."""
    return text if text[-1:] in ".!?…" else f"{text}."


def _balance(roles: Mapping[str, int]) -> str:
    """ "four support it and one contradicts it" of how many members have each role."""
    told = [
        f"{_number(many)} {_agreed(role, many)}" for role in _BEARS if (many := roles.get(role, 0))
    ]
    return f"{listed(told)} it" if told and sum(roles.values()) >= OF_A_KIND else ""


# ---------------------------------------------------------------- sentences that lean on others

# Words at the head of a sentence that speak of the one before it. "This paper" speaks of itself.
_OF_ITSELF = r"(?!\W+(?:\w+\W+)?(?:paper|work|article|study|survey|report|thesis|review|tutorial))"
_POINTS_BACK = re.compile(
    rf"(?:\W*\w+){{0,5}}?\W*\b(?:th(?:is|ese|ose)|such){_OF_ITSELF}\b"
    r"|\W*(?:it|they|its|their|both|here|then)\b"
    r"|(?:\W*\w+){1,3}?\W+(?:its|their)\b",
    re.I,
)
_PIECE = re.compile(r"\W*(?:\d\)|[ivx]+\)|[a-z]+\b(?!-))")  # of a list, or cut
_GOES_ON = re.compile(
    r"\W*(?:first|second|third|lastly|finally|furthermore|moreover|however|thus|therefore|hence|"
    r"additionally|in addition|specifically|instead|by contrast|in contrast|consequently|similarly|"
    r"we (?:then|next|now|further|also)|our solution)(?:ly)?\b",
    re.I,
)
_OF_OURS = re.compile(r"\W*(?:(?:here|in this \w+)\W+)?we\b", re.I)


_OF_OTHERS = re.compile(
    r"\W*(?:recent|prior|previous|existing|earlier|related|concurrent)(?:ly)? (?:\w+ ){0,2}?"
    r"(?:works?|stud(?:y|ies)|papers?|approach(?:es)?|methods?|results?|literature)\b",
    re.I,
)


def _leans(text: str) -> bool:
    """Whether a sentence does not stand for its paper alone: it follows another, or is of others."""
    found = (_POINTS_BACK, _GOES_ON, _PIECE, _OF_OTHERS)
    return any(pattern.match(text) for pattern in found)


def _is_ours(text: str) -> bool:
    """Whether a sentence speaks of the paper itself."""
    return re.search(r"\b(?:we|our|this (?:paper|work|article))\b", text, re.I) is not None


def _leant_on(text: str, abstract: str, told: Sequence[str]) -> list[str]:
    """The sentence before one that points back at it, if it is whole and not the last that was told."""
    if not _POINTS_BACK.match(text):
        return []
    every = sentences(abstract)
    place = every.index(text) if text in every else 0
    before = every[place - 1] if place else ""
    if not before or before in told or before[-1] not in ".!?" or _POINTS_BACK.match(before):
        return []
    return [before]
