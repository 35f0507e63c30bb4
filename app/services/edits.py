"""Texts for pages that a model proposes, when the reader switched it on: each waits in Review.

A kept paper whose text is the extracted summary gets one in prose; a concept with three or more papers
accepted since its section "Recent" was written gets that section anew. What a person wrote is never
among it: a proposal touches sections that a machine owns, or adds one. Each sentence names what it
rests on and is checked; what fails is struck, and shown beside the proposal. The same papers are never
proposed with twice. Of a concept the model is told the name and the papers, and nothing that stands on
its page. Nothing here calls anybody: the pipeline does.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlmodel import Session

from app.domain import ownership, prose
from app.domain.digests import Sentence
from app.domain.evidence import short_title
from app.domain.money import LLMSettings
from app.domain.prose import Fact, Wanted
from app.domain.records import ChangeKind, Origin, Page, PageKind
from app.domain.summaries import literal
from app.domain.untrusted import line
from app.llm.base import Answer, Failure, Prompt, Request
from app.llm.prompts import THINKING, fill, load
from app.store import changes, edits, judging, pages, runs, sections
from app.store import second_look as asked

PURPOSE, STEP = "page texts", "page edits"
A_DAY = 20  # pages that a model is asked about, at most
OF_LATE = timedelta(days=30)  # what is older is nobody's news
MOST_PAPERS = 12  # of a concept in one section
TRIES = 3
LOOKED_AT = 40  # pages that are looked through for one to write
SHORTEST, LONGEST = timedelta(minutes=1), timedelta(hours=1)
TOKENS_A_SENTENCE = 120  # of a reply, generously

_SUMMARY = (
    ("problem", "Problem", "The problem that the paper takes up.", 0, 2),
    ("approach", "What it does", "What the paper does and what is new in it.", 1, 4),
    ("results", "Results", "What came of it, with the numbers.", 0, 4),
    ("limits", "Limits", "What it says it leaves open or does not do.", 0, 2),
)
_RECENT = Wanted(
    "recent",
    "The section: a sentence for each paper, the newest first, then at most one or two on several.",
    2,
    MOST_PAPERS,
    "recent",
)


@dataclass(frozen=True)
class Work:
    """What a call is about: one page, the section it would write and the texts it may rest on.

    `before_hash` is that of the section as it stands, None where the page has none.
    """

    page_id: int
    title: str
    version: int
    section: str
    heading: str
    before_hash: str | None
    model: str
    prompt: Prompt
    wanted: tuple[Wanted, ...]
    facts: tuple[Fact, ...]
    papers: tuple[int, ...] = ()

    @property
    def request(self) -> Request:
        values = {
            "parts": "\n".join(each.row for each in self.wanted),
            "facts": "\n".join(each.row for each in self.facts),
            "concept": line(self.title)[:300],
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


def pending(session: Session, chosen: LLMSettings, *, today: str, now: datetime) -> int:
    """How many pages a model may be asked to write now."""
    left = _left(session, chosen, today=today, now=now)
    return len(_waiting(session, now=now, limit=left)) if left > 0 else 0


def _left(session: Session, chosen: LLMSettings, *, today: str, now: datetime) -> int:
    if not (chosen.edits and chosen.model and chosen.daily):
        return 0
    if judging.paused(session, now=now) is not None:
        return 0
    return A_DAY - asked.asked_on(session, PURPOSE, today)


def _waiting(session: Session, *, now: datetime, limit: int) -> list[int]:
    """Pages to write, concepts first; not those that failed and are not to be tried yet."""
    since = now - OF_LATE
    blocked = set(session.connection().execute(runs.blocked(session, STEP, now=now)).scalars())
    stale = edits.stale_concepts(session, since=since, limit=LOOKED_AT)
    fresh = edits.extracted_papers(session, since=since, limit=LOOKED_AT)
    found: list[int] = []
    for page_id in (*stale, *fresh):
        if page_id in blocked or len(found) >= limit:
            continue
        if page_id in fresh or _news(session, page_id, now=now):
            found.append(page_id)
    return found


def _news(session: Session, concept: int, *, now: datetime) -> list[Any]:
    """The papers of a concept that a section about what is new would tell of; [] for too few new."""
    page = edits.page(session, concept)
    owned = {each.key: each for each in sections.of_page(session, page)} if page else {}
    recent = owned.get(edits.RECENT)
    if page is None or (recent is not None and not recent.owner.is_machine):
        return []
    since = max(edits.changed_at(session, page, edits.RECENT), now - OF_LATE)
    rows = edits.new_papers(session, concept, since=since, limit=MOST_PAPERS)
    known = edits.known_papers(session, concept, edits.RECENT)
    return rows if sum(row.page not in known for row in rows) >= edits.NEW_PAPERS else []


def take_up(
    session: Session, chosen: LLMSettings, *, owner: str, today: str, now: datetime
) -> Work | None:
    """The next page to write; None when there is nothing to ask."""
    clock = time.time()
    held = set(session.connection().execute(runs.held(STEP, clock=clock)).scalars())
    # What others are at may not be written down as calls yet.
    left = _left(session, chosen, today=today, now=now) - len(held)
    if left <= 0:
        return None
    for page_id in _waiting(session, now=now, limit=left + len(held)):
        work = None if page_id in held else _work(session, chosen, page_id, now=now)
        if work is not None:
            runs.hold(session, STEP, [page_id], owner=owner, clock=clock)
            return work
    return None


def _work(session: Session, chosen: LLMSettings, page_id: int, *, now: datetime) -> Work | None:
    page = edits.page(session, page_id)
    if page is None:
        return None
    if page.kind == PageKind.CONCEPT:
        return _of_concept(session, chosen, page, _news(session, page_id, now=now))
    return _of_paper(session, chosen, page)


def _of_paper(session: Session, chosen: LLMSettings, page: Page) -> Work | None:
    assert page.id is not None
    row = edits.paper(session, page.id)
    first = ownership.named(page.body, "")
    if row is None or not row.abstract.strip() or first is None:
        return None
    fact = prose.paper_fact(page.slug, row.title, row.abstract, day=row.published)
    wanted = tuple(Wanted(name, what, least, most, name) for name, _, what, least, most in _SUMMARY)
    return Work(
        *(page.id, page.title, page.version, "", "", first.hash),
        *(chosen.model, load("page"), wanted, (fact,)),
        papers=(page.id,),
    )


def _of_concept(
    session: Session, chosen: LLMSettings, page: Page, rows: Sequence[Any]
) -> Work | None:
    assert page.id is not None
    if not rows:
        return None
    owned = {each.key: each for each in sections.of_page(session, page)}.get(edits.RECENT)
    facts = tuple(
        prose.paper_fact(row.slug, row.title, row.abstract, longest=2_000, day=row.published)
        for row in rows
    )
    return Work(
        *(page.id, page.title, page.version, edits.RECENT, "Recent"),
        *(owned.hash if owned else None, chosen.model, load("concept"), (_RECENT,), facts),
        papers=tuple(row.page for row in rows),
    )


# ---------------------------------------------------------------- what came back


def store(
    session: Session, work: Work, answer: Answer, *, owner: str, now: datetime
) -> tuple[int, int]:
    """Propose what a reply says, where enough of it stands; (pages proposed, pages not).

    Nothing once the page is not `owner`'s, or was changed meanwhile.
    """
    if not runs.let_go(session, STEP, [work.page_id], owner=owner):
        return 0, 0
    if isinstance(answer, Failure):
        wait = min(max(timedelta(seconds=answer.wait or 0), SHORTEST), LONGEST)
        judging.pause(session, answer.reason, until=now + wait)
        if not answer.free or not answer.later:
            runs.failed(session, STEP, work.page_id, answer.reason, now=now, park_after=TRIES)
        return 0, 1
    judging.go_on(session)
    text = "" if answer.stop == "refusal" else answer.text
    told = prose.read(text, work.wanted, work.facts)
    written = _written(work, told)
    if not written:
        why = _STOPPED.get(answer.stop, "") or _too_little(told.values())
        runs.failed(session, STEP, work.page_id, why, now=now, park_after=TRIES)
        return 0, 1
    runs.forget(session, STEP, [work.page_id])
    return (1, 0) if _propose(session, work, told, written, now=now) else (0, 1)


_STOPPED = {"refusal": "The model refused to answer.", "max_tokens": "The reply was cut off."}


def _too_little(told: Iterable[Sequence[Sentence]]) -> str:
    out = [each for some in told for each in some if each.struck]
    if not out:
        return "The reply was not in the form asked for, or said too little."
    return f"Too little of the reply stands: {out[0].struck}"


def _written(work: Work, told: dict[str, tuple[Sentence, ...]]) -> str:
    """The section's text; "" when too little of it stands."""
    stand = {key: prose.standing(some) for key, some in told.items()}
    if any(len(stand.get(each.key, ())) < each.least for each in work.wanted):
        return ""
    if work.section == edits.RECENT:
        titles = {fact.id: short_title(str(fact.shown["title"])) for fact in work.facts}
        return "\n".join(_row(each, titles) for each in stand["recent"])
    parts = [
        f"**{title}.** {literal(' '.join(each.text for each in stand[name]))}"
        for name, title, *_ in _SUMMARY
        if stand.get(name)
    ]
    mark = f"*Written by {literal(work.model)} from the abstract; numbers and names were checked.*"
    return "\n\n".join([mark, *parts])


def _row(sentence: Sentence, titles: dict[str, str]) -> str:
    named = ", ".join(f"[[{each}|{_label(titles.get(each, each))}]]" for each in sentence.ids)
    return f"- {literal(sentence.text)}" + (f" {named}" if named else "")


def _label(title: str) -> str:
    """A title as the text of a wikilink, which ends at a bracket and is no place for a bar."""
    return literal(" ".join(title.translate(_NO_LABEL).split()))


_NO_LABEL = str.maketrans("[]|\n", "    ")


def _propose(
    session: Session,
    work: Work,
    told: dict[str, tuple[Sentence, ...]],
    written: str,
    *,
    now: datetime,
) -> bool:
    every = [each for some in told.values() for each in some]
    out = [each for each in every if each.struck]
    content = {
        "base": work.version,
        "author": {"name": work.model, "prompt": work.prompt.label},
        "sections": [
            {
                "key": work.section,
                "title": work.heading,
                "before_hash": work.before_hash,
                "text": pages.by_file_names(session, written),
                "sentences": [each.as_json() for each in prose.standing(every)],
            }
        ],
        "papers": list(work.papers),
        "struck": [each.as_json() for each in out],
    }
    page = edits.page(session, work.page_id)
    if edits.refusal(session, page, content):
        return False
    count = len(work.papers)
    reason = (
        f"{count} papers were accepted since"
        if work.section
        else "The text is the extracted summary"
    )
    if out:
        were = "sentence was" if len(out) == 1 else "sentences were"
        reason += f"; {len(out)} {were} struck by the checker"
    return changes.propose(
        session,
        kind=ChangeKind.EDIT,
        key=edits.key(work.page_id, work.section or "summary", work.papers),
        title=work.title,
        target_id=work.page_id,
        confidence=len(prose.standing(every)) / len(every),
        reason=f"{reason}.",
        content=content,
        evidence=[],
        signals=[],
        origin=Origin.MODEL,
        now=now,
    )
