"""A second look at links that the linker is unsure of, by a model, when the reader switched it on.

A call is about one paper and the concepts it is unsure of, so a text that gives orders can reach no
other paper's links. Of the wiki's pages the model is told the names of concepts and nothing that is
written on them. What comes back moves a proposal's confidence a little and stands in its reason;
it accepts and rejects nothing, and no rule accepts what it was moved by. What a call left out is
asked again, three times in all. Nothing here calls anybody: the pipeline does.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlmodel import Session

from app.domain.money import LLMSettings
from app.domain.second_look import SCHEMA, Said, SecondLook
from app.domain.second_look import read as read_reply
from app.domain.untrusted import plain
from app.llm.base import Answer, Failure, Prompt, Request
from app.llm.prompts import THINKING, PaperText, fill, load, untrusted
from app.store import judging, links, runs, second_look
from app.store.second_look import STEP, Pair

PURPOSE, LOOK_AGAIN = "second look", STEP
A_DAY = 60  # pairs that a model is asked about, at most
A_CALL = 8  # concepts of one paper
TRIES = 3
TOKENS_A_PAIR = 150  # of a reply, generously: a quotation of 300 characters and the fields
SHORTEST, LONGEST = timedelta(minutes=1), timedelta(hours=1)  # between calls that are refused


@dataclass(frozen=True)
class Work:
    """What a call is about: a paper by its page, and proposals by what the model calls concepts."""

    page_id: int
    model: str
    prompt: Prompt
    title: str
    abstract: str
    hash: str
    pairs: Mapping[str, Pair]

    @property
    def request(self) -> Request:
        paper = untrusted(PaperText(f"p{self.page_id}", self.title, self.abstract))
        concepts = "\n".join(_shown(name, pair) for name, pair in self.pairs.items())
        count = "1 concept" if len(self.pairs) == 1 else f"{len(self.pairs)} concepts"
        return Request(
            model=self.model,
            system=self.prompt.system,
            user=fill(self.prompt.user, {"paper": paper, "concepts": concepts, "count": count}),
            most_tokens=THINKING + TOKENS_A_PAIR * len(self.pairs),
            schema=SCHEMA,
            effort="low",
        )


def _shown(name: str, pair: Pair) -> str:
    said = {"id": name, "name": plain(pair.name)[:300]}
    return json.dumps(said, ensure_ascii=False).replace("<", "\\u003c")


def pending(session: Session, chosen: LLMSettings, *, today: str, now: datetime) -> int:
    """How many pairs a model may be asked about now."""
    if not _is_on(session, chosen, now=now):
        return 0
    left = A_DAY - second_look.asked_on(session, PURPOSE, today)
    return second_look.count(session, now=now, limit=left) if left > 0 else 0


def _is_on(session: Session, chosen: LLMSettings, *, now: datetime) -> bool:
    """The pause is that of judging: a service that refuses one call refuses the other."""
    on = chosen.second_look and chosen.model and chosen.daily
    return bool(on) and judging.paused(session, now=now) is None


def take_up(
    session: Session, chosen: LLMSettings, *, owner: str, today: str, now: datetime
) -> Work | None:
    """The next paper with the concepts it is unsure of; None when there is nothing to ask."""
    if not _is_on(session, chosen, now=now):
        return None
    clock = time.time()
    held = set(session.connection().execute(runs.held(STEP, clock=clock)).scalars())
    # What others are at may not be written down as calls yet.
    left = A_DAY - second_look.asked_on(session, PURPOSE, today) - A_CALL * len(held)
    if left <= 0:
        return None
    found = second_look.waiting(session, now=now, limit=A_DAY + A_CALL * len(held))
    page_id = next((page for page, _ in found if page not in held), None)
    paper = second_look.paper(session, page_id) if page_id is not None else None
    if page_id is None or paper is None:
        return None
    taken = [link for page, link in found if page == page_id][: min(A_CALL, left)]
    named = {f"c{at}": pair for at, pair in enumerate(second_look.pairs(session, taken), 1)}
    if not named:
        return None
    runs.hold(session, STEP, [page_id], owner=owner, clock=clock)
    return Work(
        page_id, chosen.model, load("second_look"), paper.title, paper.abstract, paper.hash, named
    )


def store(
    session: Session, work: Work, answer: Answer, *, owner: str, now: datetime
) -> tuple[int, int]:
    """Keep what a reply says; (pairs answered, pairs not). Nothing once the paper is not `owner`'s."""
    if not runs.let_go(session, STEP, [work.page_id], owner=owner):
        return 0, 0
    if isinstance(answer, Failure):
        wait = min(max(timedelta(seconds=answer.wait or 0), SHORTEST), LONGEST)
        judging.pause(session, answer.reason, until=now + wait)
        if not answer.free or not answer.later:
            runs.failed(session, STEP, work.page_id, answer.reason, now=now, park_after=TRIES)
        return 0, len(work.pairs)
    judging.go_on(session)
    text = "" if answer.stop == "refusal" else answer.text
    told = read_reply(text, list(work.pairs), title=work.title, abstract=work.abstract)
    for name, said in told.items():
        _sway(session, work, work.pairs[name], said)
    if left := len(work.pairs) - len(told):
        why = _STOPPED.get(answer.stop, "The reply left it out, or was not in the form asked for.")
        runs.failed(session, STEP, work.page_id, why, now=now, park_after=TRIES)
    else:
        runs.forget(session, STEP, [work.page_id])
    return len(told), left


_STOPPED = {"refusal": "The model refused to answer.", "max_tokens": "The reply was cut off."}


def _sway(session: Session, work: Work, pair: Pair, said: Said) -> None:
    """Move a proposal that still waits on the texts the model was shown, once."""
    now = second_look.standing(session, work.page_id, pair.link)
    if now is None or now[1:] != (work.hash, pair.hash):
        return
    link = now[0]
    if links.second_look(link) is None:
        links.sway(
            session,
            link,
            SecondLook(said.fits, said.quote, work.model, work.hash, pair.hash, link.confidence),
        )
