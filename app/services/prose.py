"""The day's digest as prose by a model, place by place, on top of the one told from facts alone.

The local digest is there first and stays where a model gives nothing. A call is about some places of one
day: three deep dives, the threads, or the opening. The model is shown what was told there, with the
papers and pages it rests on by their ids; its sentences are checked against those, and what fails is
struck. Once a person saved the page it is theirs, and nothing is asked any more. Nothing here calls
anybody: the pipeline does.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

from sqlmodel import Session

from app.domain import prose
from app.domain.digests import Document, SectionName, Sentence
from app.domain.money import LLMSettings
from app.domain.prose import Fact, Place, Wanted
from app.domain.records import AuthorKind
from app.domain.untrusted import line
from app.llm.base import Answer, Failure, Prompt, Request
from app.llm.prompts import THINKING, fill, load
from app.store import judging, runs
from app.store import prose as stored
from app.store import second_look as asked
from app.store.pages import Author

PURPOSE, STEP = "digest", "prose"
BACK = 1  # days before today that are still written
QUIET = timedelta(minutes=10)  # that a telling has to stand: a day's papers come one after another
A_DAY = 24  # calls about digests, at most
TRIES = 3
MOST_FACTS = 40  # texts in one call, and as many counts
LONG, SHORT = 4_000, 2_000  # characters of a text: of what is told in full, of the rest
TOKENS_A_SENTENCE = 120  # of a reply, generously
SHORTEST, LONGEST = timedelta(minutes=1), timedelta(hours=1)


@dataclass(frozen=True)
class Work:
    """What a call is about: places of a day's digest as it stood under `key`."""

    page_id: int
    day: str
    key: str
    model: str
    prompt: Prompt
    places: tuple[Place, ...]
    wanted: tuple[Wanted, ...]
    facts: tuple[Fact, ...]

    @property
    def request(self) -> Request:
        values = {
            "day": self.day,
            "parts": "\n".join(each.row for each in self.wanted),
            "facts": "\n".join(each.row for each in self.facts),
        }
        most = sum(each.most for each in self.wanted)
        return Request(
            model=self.model,
            system=self.prompt.system,
            user=fill(self.prompt.user, values),
            most_tokens=THINKING + TOKENS_A_SENTENCE * most,
            schema=prose.SCHEMA,
            effort="low",
        )


# ---------------------------------------------------------------- what waits


def pending(session: Session, chosen: LLMSettings, *, today: date, now: datetime) -> int:
    """How many days have places that a model may be asked to write now."""
    return len(_waiting(session, chosen, today=today, now=now))


def _waiting(session: Session, chosen: LLMSettings, *, today: date, now: datetime) -> list[int]:
    if not (chosen.prose and chosen.model and chosen.daily):
        return []
    if judging.paused(session, now=now) is not None:
        return []
    if asked.asked_on(session, PURPOSE, today.isoformat()) >= A_DAY:
        return []
    since = (today - timedelta(days=BACK)).isoformat()
    rows = stored.candidates(session, since=since, told_before=now - QUIET)
    blocked = set(session.connection().execute(runs.blocked(session, STEP, now=now)).scalars())
    found = []
    for row in rows:
        if row.page_id in blocked:
            continue
        told = stored.standing(session, row.page_id)
        if told is not None and prose.waiting(told[1]):
            found.append(row.page_id)
    return found


def take_up(
    session: Session, chosen: LLMSettings, *, owner: str, today: date, now: datetime
) -> Work | None:
    """The places of the next call; None when there is nothing to ask."""
    clock = time.time()
    held = set(session.connection().execute(runs.held(STEP, clock=clock)).scalars())
    for page_id in _waiting(session, chosen, today=today, now=now):
        if page_id in held:
            continue
        told = stored.standing(session, page_id)
        waiting = prose.waiting(told[1]) if told is not None else []
        if told is None or not waiting:
            continue
        digest, document = told
        runs.hold(session, STEP, [page_id], owner=owner, clock=clock)
        # The opening last: it may speak of all the day.
        group = min((each.group for each in waiting), key=lambda name: (name == "opening", name))
        places = tuple(each for each in waiting if each.group == group)
        wanted = tuple(
            Wanted(f"part{at}", each.what, each.least, each.most, each.key, each.basis)
            for at, each in enumerate(places, 1)
        )
        return Work(
            *(page_id, digest.day, digest.key, chosen.model, load("digest")),
            *(places, wanted, tuple(_facts(session, document, places))),
        )
    return None


def _facts(session: Session, document: Document, places: Sequence[Place]) -> list[Fact]:
    """What is shown for these places: texts by their ids, then what was counted or put together."""
    own = list(dict.fromkeys(each for place in places for each in place.ids))
    told = prose.all_sentences(_about(document, places))
    ids = list(dict.fromkeys([*own, *(each for _, sentence in told for each in sentence.ids)]))
    texts = stored.texts(session, ids)
    full = set(own)
    facts = [
        prose.paper_fact(
            each,
            text.title,
            text.text,
            longest=LONG if each in full else SHORT,
            kind=text.kind,
            day=text.day,
        )
        for each, text in list(texts.items())[:MOST_FACTS]
    ]
    return facts + _counted(told, {fact.id for fact in facts})


def _about(document: Document, places: Sequence[Place]) -> Document:
    """The part of a document that these places tell of; all but the ledger for the opening."""
    if any("/" not in place.key for place in places):
        kept = tuple(each for each in document.sections if each.name != SectionName.LEDGER)
        return replace(document, sections=kept)
    names = {place.key.split("/", 1)[0] for place in places}
    items = {place.key.split("/", 1)[1].rpartition("/")[0] for place in places}
    return replace(
        document,
        sections=tuple(
            replace(
                section,
                paragraphs=(),
                items=tuple(each for each in section.items if (each.ref or each.title) in items),
            )
            for section in document.sections
            if section.name in names
        ),
    )


def _counted(told: Iterable[tuple[str, Sentence]], known: set[str]) -> list[Fact]:
    """Sentences that were counted or put together from stored facts, and those of the texts that are
    not shown themselves. What a model wrote before is no fact.
    """
    facts, seen = list[Fact](), set[str]()
    for title, sentence in told:
        if sentence.struck or sentence.by == AuthorKind.MODEL or sentence.text in seen:
            continue
        if sentence.by == AuthorKind.EXTRACT and known.issuperset(sentence.ids):
            continue
        seen.add(sentence.text)
        shown: Mapping[str, object] = {
            "under": line(title)[:200],
            "says": line(sentence.text)[:1_000],
            "about": list(sentence.ids)[: prose.MOST_IDS],
        }
        facts.append(Fact(f"f{len(facts) + 1}", shown, sentence.ids))
        if len(facts) >= MOST_FACTS:
            break
    return facts


# ---------------------------------------------------------------- what came back


def store(
    session: Session, work: Work, answer: Answer, *, owner: str, now: datetime
) -> tuple[int, int]:
    """Write what stands of a reply into the day; (places written, places not).

    Nothing once the day is not `owner`'s, was told anew meanwhile, or is a person's.
    """
    if not runs.let_go(session, STEP, [work.page_id], owner=owner):
        return 0, 0
    if isinstance(answer, Failure):
        wait = min(max(timedelta(seconds=answer.wait or 0), SHORTEST), LONGEST)
        judging.pause(session, answer.reason, until=now + wait)
        if not answer.free or not answer.later:
            runs.failed(session, STEP, work.page_id, answer.reason, now=now, park_after=TRIES)
        return 0, len(work.places)
    judging.go_on(session)
    standing = stored.standing(session, work.page_id)
    if standing is None or standing[0].key != work.key:
        return 0, len(work.places)
    digest, document = standing
    text = "" if answer.stop == "refusal" else answer.text
    told = prose.read(text, work.wanted, work.facts)
    if not told:
        why = _STOPPED.get(answer.stop, "The reply was not in the form asked for.")
        runs.failed(session, STEP, work.page_id, why, now=now, park_after=TRIES)
        return 0, len(work.places)
    runs.forget(session, STEP, [work.page_id])
    made, written = prose.begun(document), 0
    for place in work.places:
        said = told.get(place.key, ())
        written += len(prose.standing(said)) >= place.least
        made = prose.put(made, place, said)
    made = prose.linked(prose.note(made, work.places))
    every = [each for _, each in prose.all_sentences(made)]
    by_model = any(each.by == AuthorKind.MODEL and not each.struck for each in every)
    stored.write(
        session,
        digest,
        made,
        teller=work.model if by_model else digest.teller,
        struck=sum(bool(each.struck) for each in every),
        author=Author(AuthorKind.MODEL, work.model, work.prompt.label),
        now=now,
    )
    return written, len(work.places) - written


_STOPPED = {"refusal": "The model refused to answer.", "max_tokens": "The reply was cut off."}
