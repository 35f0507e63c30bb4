"""A month told: what its days left behind, counted from stored facts.

Where the facts come from is `store/months.py`. What is told has the shape of a day's digest
(domain/digests.py) with sections of its own; its Markdown body says the same with links.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

from app.domain.digests import Document, Item, Section, Sentence
from app.domain.evidence import listed
from app.domain.latex import plain_latex
from app.domain.records import AuthorKind, PredictionState
from app.domain.summaries import literal

GROWN, NEW, BEST, ANSWERED, OPENED, PREDICTIONS, TENSIONS = 12, 20, 10, 20, 8, 20, 15
MEMBERS = 4  # of a thread, those that joined last


@dataclass(frozen=True)
class Ref:
    """A page or a paper by name. `slug` is its page, `url` where a paper without one is read."""

    title: str
    slug: str = ""
    url: str = ""

    @property
    def name(self) -> str:
        """Its title in plain letters on one line."""
        return plain_latex(self.title) or self.slug or self.url


@dataclass(frozen=True)
class Joined:
    """A paper that joined a thread on a day (ISO), and its contribution in one line."""

    paper: Ref
    day: str
    note: str = ""


@dataclass(frozen=True)
class Grown:
    """A thread that grew: how many papers joined in the month, how many it had at its end."""

    thread: Ref
    joined: int
    papers: int
    newest: tuple[Joined, ...] = ()


@dataclass(frozen=True)
class Kept:
    """The kept papers of a topic that came in a month, by week of it; `topic` "" for none."""

    topic: str
    weeks: tuple[int, ...]

    @property
    def papers(self) -> int:
        return sum(self.weeks)


@dataclass(frozen=True)
class Best:
    """A paper of the month by its marks (1 to 10, or None), and the sources that spoke of it."""

    paper: Ref
    day: str
    relevance: int | None = None
    novelty: int | None = None
    sources: tuple[str, ...] = ()


@dataclass(frozen=True)
class Asked:
    """A question of a page; `answer` is the paper that answers it."""

    text: str
    number: int
    page: Ref
    day: str = ""
    answer: Ref | None = None


@dataclass(frozen=True)
class Predicted:
    """A prediction with the page that made it, its due date and how it stands."""

    text: str
    page: Ref
    made: str = ""
    due: str = ""
    state: PredictionState = PredictionState.OPEN
    resolved: str = ""
    probability: float | None = None


@dataclass(frozen=True)
class Tension:
    """A claim against another: the page that contradicts, the one contradicted, and the evidence."""

    page: Ref
    other: Ref
    said: str = ""


@dataclass(frozen=True)
class Day:
    """A day on which something came in; papers of its listing, and how many of them were kept."""

    day: str
    digest: bool = False
    listing: bool = False
    papers: int = 0
    kept: int = 0


@dataclass(frozen=True)
class Month:
    """All that is told of a month (`2026-05`). Lists are cut; their counts are not.

    `until` is the last day that it knows of, "" when the month is over. `ledger` as of a digest.
    """

    month: str
    until: str = ""
    grown: tuple[Grown, ...] = ()
    threads_grown: int = 0
    new_threads: tuple[Ref, ...] = ()
    new_concepts: tuple[Ref, ...] = ()
    kept: tuple[Kept, ...] = ()
    best: tuple[Best, ...] = ()
    answered: tuple[Asked, ...] = ()
    opened: tuple[Asked, ...] = ()
    made: tuple[Predicted, ...] = ()
    due: tuple[Predicted, ...] = ()
    resolved: tuple[Predicted, ...] = ()
    tensions: tuple[Tension, ...] = ()
    days: tuple[Day, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)
    ledger: Mapping[str, Any] = field(default_factory=dict)

    def count(self, name: str, given: Sequence[Any]) -> int:
        """How many there are of a list that may be cut."""
        return max(self.counts.get(name, 0), len(given))


# ---------------------------------------------------------------- dates

_MONTH = re.compile(r"[0-9]{4}-(0[1-9]|1[0-2])")


def is_month(text: str) -> bool:
    """Whether this is a month as months are written: `2026-05`; of the year 9999, with no day after, none."""
    return _MONTH.fullmatch(text) is not None and "0000" < text[:4] < "9999"


def first_and_last(month: str) -> tuple[date, date]:
    """The first and the last day of a month."""
    first = date.fromisoformat(f"{month}-01")
    last = (first.replace(day=28) + timedelta(4)).replace(day=1) - timedelta(1)
    return first, last


def weeks_of(month: str) -> list[tuple[int, int]]:
    """The weeks of a month, from Monday to Sunday as far as they are in it: days of the month."""
    first, last = first_and_last(month)
    found, begin = [], 1
    for day in range(1, last.day + 1):
        if first.replace(day=day).isoweekday() == 7 or day == last.day:
            found.append((begin, day))
            begin = day + 1
    return found


def week_of(month: str, day: str) -> int:
    """In which week of its month a day (ISO) is, from 0 on; of a day that nobody knows the first."""
    number = int(day[8:10]) if day.startswith(month) and day[8:10].isdigit() else 1
    return next(at for at, (_, end) in enumerate(weeks_of(month)) if number <= end)


def in_words(month: str) -> str:
    """`2026-05` as "May 2026"."""
    return f"{date.fromisoformat(f'{month}-01'):%B %Y}"


def _day(text: str) -> str:
    """A day as it stands in a text: "8 May"; a month or a year as it is known."""
    try:
        found = date.fromisoformat(text)
    except ValueError:
        return in_words(text) if is_month(text) else text
    return f"{found.day} {found:%B}"


def _due(text: str) -> str:
    try:
        return f"{_day(text)} {date.fromisoformat(text).year}"
    except ValueError:
        return _day(text)


# ---------------------------------------------------------------- words


def _plural(count: int, word: str, many: str = "") -> str:
    return f"{count:,} {word if count == 1 else many or word + 's'}"


def _are(count: int, word: str) -> str:
    """ "one paper was", "2 papers were", "no paper was": the beginning of a sentence."""
    if count < 2:
        return f"{'one' if count else 'no'} {word} was"
    return f"{_plural(count, word)} were"


def framing(month: Month) -> str:
    """What the month was, in a sentence or two that are counted."""
    papers = month.count("listed", ())
    kept = sum(each.papers for each in month.kept)
    when = f"Up to {_day(month.until)}, " if month.until else ""
    told = []
    if papers:
        on = _plural(sum(day.listing for day in month.days), "day")
        told.append(f"{_are(papers, 'paper')} listed on {on}")
    told.append(
        f"{kept:,} {'was' if kept == 1 else 'were'} kept"
        if papers
        else f"{_are(kept, 'paper')} kept"
    )
    said = when + (f"{told[0]} and {told[1]}" if told[1:] else told[0]) + "."
    if month.grown:
        most = month.grown[0]
        said += f" {_plural(month.threads_grown, 'thread')} grew, {most.thread.name} most: {_plural(most.joined, 'paper')} joined it."
    return said[:1].upper() + said[1:]


def score(resolved: Iterable[Predicted]) -> str:
    """How the predictions judged in a month turned out, in a sentence; "" for none."""
    judged = [
        each
        for each in resolved
        if each.state in (PredictionState.CAME_TRUE, PredictionState.FAILED)
    ]
    if not judged:
        return ""
    true = sum(each.state == PredictionState.CAME_TRUE for each in judged)
    said = f"Of {_plural(len(judged), 'prediction')} judged, {true:,} came true and {len(judged) - true:,} failed."
    given = [
        (each.probability, each.state == PredictionState.CAME_TRUE)
        for each in judged
        if each.probability is not None
    ]
    if given:
        brier = sum((probability - came) ** 2 for probability, came in given) / len(given)
        said += (
            f" Brier score {brier:.2f} over {_plural(len(given), 'probability', 'probabilities')}."
        )
    return said


def _grew(each: Grown) -> str:
    return f"{_plural(each.joined, 'paper')} joined, {each.papers:,} in all."


def _marks(each: Best) -> str:
    parts = []
    if each.relevance is not None:
        parts.append(f"relevance {each.relevance}")
    if each.novelty is not None:
        parts.append(f"novelty {each.novelty}")
    if len(each.sources) > 1:
        parts.append(f"cross-source: {listed(each.sources)}")
    if each.day:
        parts.append(_day(each.day))
    return ", ".join(parts)


_STATES = {
    PredictionState.OPEN: "open",
    PredictionState.CAME_TRUE: "came true",
    PredictionState.FAILED: "failed",
    PredictionState.WITHDRAWN: "withdrawn",
}


def _stands(each: Predicted) -> str:
    due = f"due {_due(each.due)}" if each.due else "no due date"
    return f"{due}, {_STATES[each.state]}"


# ---------------------------------------------------------------- as a document


def document(month: Month) -> Document:
    """The month as programs get it: sections of a digest, what is counted beside each item."""
    sections = [
        Section("framing", "Framing", ((_told(framing(month)),),)),
        _section(
            "threads",
            "Threads that grew",
            [
                _item(
                    each.thread,
                    "thread",
                    _grew(each),
                    joined=each.joined,
                    papers=each.papers,
                    newest=[
                        {
                            "paper": j.paper.slug or j.paper.url,
                            "title": j.paper.name,
                            "day": j.day,
                            "note": j.note,
                        }
                        for j in each.newest
                    ],
                )
                for each in month.grown
            ],
        ),
        _section(
            "new",
            "New threads and concepts",
            [_item(each, "thread") for each in month.new_threads]
            + [_item(each, "concept") for each in month.new_concepts],
        ),
        _section(
            "best",
            "Best papers",
            [
                _item(
                    each.paper,
                    "paper",
                    _marks(each),
                    sources=each.sources,
                    day=each.day,
                    relevance=each.relevance,
                    novelty=each.novelty,
                )
                for each in month.best
            ],
        ),
        _section(
            "topics",
            "Papers kept by topic and week",
            [
                Item(
                    each.topic or "no topic",
                    kind="topic",
                    extra={"papers": each.papers, "weeks": list(each.weeks)},
                )
                for each in month.kept
            ],
        ),
        _section(
            "questions",
            "Questions",
            [
                _item(
                    each.page,
                    "answered" if each.answer else "opened",
                    each.text,
                    number=each.number,
                    answer=(each.answer.slug or each.answer.url) if each.answer else None,
                )
                for each in (*month.answered, *month.opened)
            ],
        ),
        _section(
            "predictions",
            "Predictions",
            [
                _item(each.page, kind, each.text, due=each.due, state=each.state.value)
                for kind, some in (
                    ("made", month.made),
                    ("due", month.due),
                    ("resolved", month.resolved),
                )
                for each in some
            ],
            said=score(month.resolved),
        ),
        _section(
            "contradictions",
            "Contradictions",
            [
                _item(each.page, "contradicts", each.said, target=each.other.slug)
                for each in month.tensions
            ],
        ),
        _section(
            "days",
            "Days",
            [
                Item(
                    _day(each.day),
                    kind="digest" if each.digest else "listing",
                    ref=each.day,
                    url=_address(each),
                    extra={"papers": each.papers, "kept": each.kept},
                )
                for each in month.days
            ],
        ),
    ]
    return Document(month.month, tuple(each for each in sections if each), dict(month.ledger))


def _told(text: str) -> Sentence:
    return Sentence(text, by=AuthorKind.AGENT)


def _section(name: str, title: str, items: Sequence[Item], *, said: str = "") -> Section | None:
    return Section(name, title, ((_told(said),),) if said else (), tuple(items)) if items else None


def _item(of: Ref, kind: str, said: str = "", *, sources: Sequence[str] = (), **extra: Any) -> Item:
    hook = (Sentence(said, (of.slug,) if of.slug else (), AuthorKind.AGENT),) if said else ()
    return Item(
        of.name, kind=kind, ref=of.slug, url=of.url, hook=hook, sources=tuple(sources), extra=extra
    )


def _address(day: Day) -> str:
    return f"/today/{day.day}" if day.digest else f"/triage/{day.day}"


# ---------------------------------------------------------------- as a text


def as_markdown(month: Month) -> str:
    """The month as the text of its page."""
    parts = [literal(framing(month))]
    if month.grown:
        parts += ["## Threads that grew", _threads(month)]
    if month.new_threads or month.new_concepts:
        parts += ["## New threads and concepts", _new(month)]
    if month.best:
        rows = [f"{_link(each.paper)}{_after(literal(_marks(each)))}" for each in month.best]
        parts += ["## Best papers", _numbered(rows)]
    if month.kept:
        parts += ["## Papers kept by topic and week", _table(month)]
    if month.answered or month.opened:
        parts += ["## Questions", *_questions(month)]
    if month.made or month.due or month.resolved:
        parts += ["## Predictions", *_predictions(month)]
    if month.tensions:
        rows = [
            f"{_link(each.page)} contradicts {_link(each.other)}{_after(_quoted(each.said))}"
            for each in month.tensions
        ]
        parts += ["## Contradictions", _bullets(rows, month.count("tensions", month.tensions))]
    if month.days:
        parts += ["## Days", _bullets([_day_row(each) for each in month.days])]
    if month.ledger:
        parts += ["## Ledger", _bullets(_ledger(month.ledger))]
    return "\n\n".join(parts) + "\n"


def _link(of: Ref) -> str:
    """A page as a wikilink, a paper without one as a link to where it is read."""
    if of.slug:
        shown = re.sub(r"[\[\]|]", lambda sign: {"[": "(", "]": ")", "|": "/"}[sign[0]], of.name)
        return f"[[{of.slug}|{shown}]]" if shown.strip() else f"[[{of.slug}]]"
    if of.url and not re.search(r"[<>\s]", of.url):
        return f"[{literal(of.name)}](<{of.url}>)"
    return literal(of.name)


def _after(said: str) -> str:
    return f": {said}" if said else ""


def _quoted(said: str) -> str:
    return f"“{literal(' '.join(said.split()))}”" if said.strip() else ""


def _bullets(rows: Sequence[str], of: int = 0) -> str:
    left = of - len(rows)
    return "\n".join(f"- {row}" for row in (*rows, *([f"and {left:,} more"] if left > 0 else ())))


def _numbered(rows: Sequence[str]) -> str:
    return "\n".join(f"{at}. {row}" for at, row in enumerate(rows, 1))


def _threads(month: Month) -> str:
    rows = []
    for each in month.grown:
        inner = [
            f"\n  - {_day(joined.day)}: {_link(joined.paper)}"
            + (f", {literal(' '.join(joined.note.split()))}" if joined.note else "")
            for joined in each.newest
        ]
        rows.append(f"{_link(each.thread)}: {_grew(each)}{''.join(inner)}")
    return _bullets(rows, month.threads_grown)


def _new(month: Month) -> str:
    rows = []
    for words, name, found in (
        ("thread", "new_threads", month.new_threads),
        ("concept", "new_concepts", month.new_concepts),
    ):
        if found:
            count = month.count(name, found)
            left = count - len(found)
            some = [*map(_link, found), *([f"{left:,} more"] if left else [])]
            rows.append(f"{_plural(count, f'new {words}')}: {listed(some)}.")
    return _bullets(rows)


def _table(month: Month) -> str:
    weeks = weeks_of(month.month)
    heads = ["topic", "kept", *(f"{a}\u2011{b}" if a != b else f"{a}" for a, b in weeks)]
    lines = [_row(heads), _row(["---", *("--:" for _ in heads[1:])])]
    for each in month.kept:
        numbers = [f"{each.papers:,}", *(f"{n:,}" if n else "" for n in each.weeks)]
        lines.append(_row([literal(each.topic or "no topic"), *numbers]))
    return "\n".join(lines)


def _row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _questions(month: Month) -> list[str]:
    answered, opened = (
        month.count("answered", month.answered),
        month.count("opened", month.opened),
    )
    said = f"{_are(answered, 'question')} answered, and {opened:,} came up."
    parts = [said[:1].upper() + said[1:]]
    if month.answered:
        rows = [
            f"{_link(each.answer)} answers question {each.number} of {_link(each.page)}{_after(_quoted(each.text))}"
            for each in month.answered
            if each.answer
        ]
        parts.append(_bullets(rows, answered))
    if month.opened:
        rows = [f"{_quoted(each.text)} ({_link(each.page)})" for each in month.opened]
        parts += ["**Opened**", _bullets(rows, opened)]
    return parts


def _predictions(month: Month) -> list[str]:
    parts = [said] if (said := score(month.resolved)) else []
    for words, name, found in (
        ("Made", "made", month.made),
        ("Came due", "due", month.due),
        ("Judged", "resolved", month.resolved),
    ):
        if found:
            rows = [f"{_quoted(each.text)} ({_link(each.page)}): {_stands(each)}" for each in found]
            parts += [f"**{words}**", _bullets(rows, month.count(name, found))]
    return parts


def _day_row(day: Day) -> str:
    told = [f"[{_day(day.day)}]({_address(day)})"]
    if day.papers:
        told.append(f"{_plural(day.papers, 'paper')}, {day.kept:,} kept")
    if day.digest and day.listing:
        told.append(f"[listing](/triage/{day.day})")
    return ": ".join(told[:2]) + "".join(f", {each}" for each in told[2:])


def _ledger(ledger: Mapping[str, Any]) -> list[str]:
    rows = []
    for name, words in (("sources", "Came in"), ("papers", "Papers")):
        if found := {k: v for k, v in ledger.get(name, {}).items() if v}:
            rows.append(
                f"{words}: " + ", ".join(f"{literal(str(k))} {v:,}" for k, v in found.items())
            )
    for name, words in (("created", "Pages created"), ("updated", "Pages updated")):
        if found := ledger.get("pages", {}).get(name):
            rows.append(f"{words}: " + ", ".join(f"{k} {v:,}" for k, v in found.items()))
    rows.append(f"Cost: ${ledger.get('cost_usd', '0.00')}")
    if struck := ledger.get("struck"):
        rows.append(f"{_plural(struck, 'sentence')} of a model struck by the checker")
    return rows
