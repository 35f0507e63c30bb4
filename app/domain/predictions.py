"""Predictions: what a text says will come by when, when it is due, and how well a reader foretells.

Dates are read from words relative to the day a prediction was made. A due date is a day, a month or
a year in ISO form, of which the last day counts. Pure.
"""

from __future__ import annotations

import calendar
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from app.domain.identifiers import title_key
from app.domain.markdown import plain_text
from app.domain.records import PredictionState
from app.domain.sentences import after_mark, sentence_spans

LONGEST = 1_000  # characters of a prediction
MOST = 20  # of one text

STATE_WORDS = {
    PredictionState.OPEN: "open",
    PredictionState.CAME_TRUE: "came true",
    PredictionState.FAILED: "failed",
    PredictionState.WITHDRAWN: "withdrawn",
}


@dataclass(frozen=True)
class Stated:
    """A prediction as a text states it; `due` is "" where it names no day."""

    text: str
    due: str = ""


def deadline(due: str) -> date | None:
    """The last day of a due date: of a month its last, of a year December the 31st."""
    parts = due.split("-")
    try:
        year = int(parts[0])
        month = int(parts[1]) if len(parts) > 1 else 12
        day = int(parts[2]) if len(parts) > 2 else calendar.monthrange(year, month)[1]
        return date(year, month, day)
    except (ValueError, IndexError, calendar.IllegalMonthError):
        return None


# ---------------------------------------------------------------- dates in words

_MONTHS = {
    name.lower(): number
    for names in (calendar.month_name, calendar.month_abbr)
    for number, name in enumerate(names)
    if name
} | {"sept": 9}
_MONTH = r"(?:" + "|".join(sorted(_MONTHS, key=len, reverse=True)) + r")\b\.?"
_NUMBERS = {
    name: number
    for number, name in enumerate(
        [
            "one",
            "two",
            "three",
            "four",
            "five",
            "six",
            "seven",
            "eight",
            "nine",
            "ten",
            "eleven",
            "twelve",
        ],
        start=1,
    )
} | {"a": 1, "an": 1}
_YEAR = r"(?:19|20)\d{2}"
_END = r"(?:the )?(?:(?P<end>end|close)(?: of)? |(?P<early>beginning|start)(?: of)? )?(?:the )?"
_WHEN = re.compile(
    rf"\b(?P<how>by|before|until|till|in|during|within|no later than) {_END}(?:"
    r"(?:(?:next|coming|following) )?(?P<count>\d{1,3}|"
    + "|".join(_NUMBERS)
    + r")[ -](?P<unit>day|week|month|quarter|year)s?\b"
    r"|(?P<iso>(?:19|20)\d{2}-\d{2}(?:-\d{2})?)\b"
    rf"|(?:(?P<qyear1>{_YEAR})[ -]?(?P<q1>[qh][1-4])|(?P<q2>[qh][1-4])(?: of)?[ ,-]?(?: ?(?P<qyear2>{_YEAR}))?)\b"
    rf"|(?P<day1>\d{{1,2}})(?:st|nd|rd|th)? (?P<month1>{_MONTH})(?:,? (?P<myear1>{_YEAR}))?"
    rf"|(?P<month2>{_MONTH}) (?P<day2>\d{{1,2}})(?:st|nd|rd|th)?\b(?:,? (?P<myear2>{_YEAR}))?"
    rf"|(?P<month3>{_MONTH})(?:(?: of)?,? (?P<myear3>{_YEAR}))?"
    rf"|(?P<year>{_YEAR})\b"
    r"|(?P<spoken>next year|next month|next week|next quarter|this year|this month|this quarter|year-end|year(?=[\s,.;:!)]|$))"
    r")",
    re.I,
)
_ISO = re.compile(r"\d{4}(?:-\d{2}(?:-\d{2})?)?")


def given_due(text: str, made: date) -> str:
    """A due date as a person writes it: `2026-09-30`, `2026-09`, `2026`, or words as in a text.

    "" for whatever says no date, and for one that never was.
    """
    plain = " ".join(text.split())
    if _ISO.fullmatch(plain):
        return plain if deadline(plain) is not None and int(plain[:4]) > 0 else ""
    return due_in(plain, made) or due_in(f"by {plain}", made) or due_in(f"in {plain}", made)


def due_in(text: str, made: date) -> str:
    """The due date that a sentence names, relative to the day it was made; "" where it names none.

    The first of several that is not over then.
    """
    for match in _WHEN.finditer(text):
        due = _due(match, made)
        last = deadline(due) if due else None
        if last is not None and last >= made:
            return due
    return ""


def _due(match: re.Match[str], made: date) -> str:
    got = {name: (text or "").lower() for name, text in match.groupdict().items()}
    before = (got["how"] == "before" and not got["end"]) or bool(got["early"])
    try:
        if got["count"]:
            return _later(got, made)
        if got["spoken"]:
            return _spoken(got["spoken"], got["how"], made)
        if got["iso"]:
            return _before(got["iso"]) if before else got["iso"]
        if quarter := got["q1"] or got["q2"]:
            return _quarter(quarter, got["qyear1"] or got["qyear2"], before, made)
        for number in ("1", "2", "3"):
            if word := got[f"month{number}"]:
                month = _MONTHS[word.rstrip(".")]
                day = got.get(f"day{number}", "")
                if (
                    match[f"month{number}"].rstrip(".") == "may"
                    and not day
                    and not got[f"myear{number}"]
                ):
                    return ""  # "it may", far more often
                return _month(month, day, got[f"myear{number}"], before, made)
        return _before(got["year"]) if before else got["year"]
    except (ValueError, OverflowError):
        return ""


def _later(got: dict[str, str], made: date) -> str:
    if got["how"] not in ("in", "within", "during"):
        return ""
    number = int(got["count"]) if got["count"].isdigit() else _NUMBERS[got["count"]]
    match got["unit"]:
        case "day":
            return (made + timedelta(days=number)).isoformat()
        case "week":
            return (made + timedelta(weeks=number)).isoformat()
        case "month":
            return _months_on(made, number)
        case "quarter":
            return _months_on(made, 3 * number)
    return _months_on(made, 12 * number)


def _months_on(made: date, number: int) -> str:
    months = made.year * 12 + made.month - 1 + number
    year, month = divmod(months, 12)
    last = calendar.monthrange(year, month + 1)[1]
    return date(year, month + 1, min(made.day, last)).isoformat()


def _spoken(words: str, how: str, made: date) -> str:
    quarter = 3 * ((made.month + 2) // 3)
    match words:
        case "next year":
            return str(made.year + 1)
        case "next month":
            return _months_on(made.replace(day=1), 1)[:7]
        case "next week":
            return (made + timedelta(days=13 - made.weekday())).isoformat()
        case "next quarter":
            return _months_on(date(made.year, quarter, 1), 3)[:7]
        case "this month":
            return f"{made:%Y-%m}"
        case "this quarter":
            return f"{made.year:04}-{quarter:02}"
        case "year":  # "by the end of the year"; "in the year" says nothing
            return str(made.year) if how in ("by", "before", "until", "till") else ""
    return str(made.year)


def _quarter(name: str, year: str, before: bool, made: date) -> str:
    if name[0] == "h" and name[1] > "2":
        return ""
    last = int(name[1]) * (3 if name[0] == "q" else 6)
    first = last - (2 if name[0] == "q" else 5)
    due = f"{int(year) if year else made.year:04}-{first if before else last:02}"
    due = _before(due) if before else due
    end = deadline(due)
    if not year and end is not None and end < made:
        return f"{int(due[:4]) + 1:04}{due[4:]}"
    return due


def _month(month: int, day: str, year: str, before: bool, made: date) -> str:
    due = f"{int(year) if year else made.year:04}-{month:02}" + (f"-{int(day):02}" if day else "")
    if deadline(due) is None:
        return ""
    due = _before(due) if before else due
    end = deadline(due)
    if not year and end is not None and end < made:
        due = f"{int(due[:4]) + 1:04}{due[4:]}"
    return due if deadline(due) is not None else ""


def _before(due: str) -> str:
    """The last that is before a day, a month or a year, as exact as that is."""
    year, *rest = map(int, due.split("-"))
    if not rest:
        return f"{year - 1:04}"
    if len(rest) == 1:
        return f"{date(year, rest[0], 1) - timedelta(days=1):%Y-%m}"
    return (date(year, *rest) - timedelta(days=1)).isoformat()


# ---------------------------------------------------------------- what a text foretells

_EXPECTS = re.compile(
    r"\b(?:will|won['’]t|shall|expects?|expected|predicts?|predicted|forecasts?|anticipates?|bets?|"
    r"is likely|are likely|likely to|going to|is set to|are set to|should (?:see|expect|be|have|arrive|"
    r"appear|ship|land|show|fall|rise|reach)|would be surpris\w+|on track to)\b",
    re.I,
)
_SAYS_WHO = re.compile(
    r"\b(?:must|deadline|submit|submissions?|registration|registers?|apply|applications?|tickets?)\b",
    re.I,
)


def stated(text: str, made: date) -> list[Stated]:
    """Sentences of a Markdown text that say what is to come, and by when.

    Conservative: it needs a word of expectation and a date that is not over when it was made.
    """
    found: dict[str, Stated] = {}
    for sentence in _sentences(text):
        if not _EXPECTS.search(sentence) or _SAYS_WHO.search(sentence):
            continue
        if due := due_in(sentence, made):
            found.setdefault(title_key(sentence), Stated(sentence, due))
    return list(found.values())[:MOST]


def watched(entries: Iterable[str], made: date) -> list[Stated]:
    """What entries of a section "Worth Watching" foretell: of each its first sentence that does.

    A due date is not asked for there, a word of expectation is.
    """
    found: dict[str, Stated] = {}
    for entry in entries:
        for sentence in _sentences(entry):
            due = due_in(sentence, made)
            if _EXPECTS.search(sentence):
                found.setdefault(title_key(sentence), Stated(sentence, due))
                break
    return list(found.values())[:MOST]


def entries_of(section: str) -> list[str]:
    """The entries of a section in Markdown: its list items, else its paragraphs."""
    items = [match[1] for line in section.split("\n") if (match := _ENTRY.match(line))]
    return items or [part for part in re.split(r"\n\s*\n", section) if part.strip()]


_ENTRY = re.compile(r"[ \t]*(?:[-*+•]|\d{1,3}[.)])[ \t]+(.+)")


def _sentences(text: str) -> Iterator[str]:
    plain = plain_text(text)
    for start, end in sentence_spans(plain):
        start = after_mark(plain, start, end)
        sentence = " ".join(plain[start:end].split())
        if 25 <= len(sentence) <= 400 and not sentence.endswith("?"):
            yield sentence


# ---------------------------------------------------------------- evidence


def stands_in(quotation: str, texts: Iterable[str]) -> bool:
    """Whether the words stand in one of the texts as they are, but for white space."""
    sought = " ".join(quotation.split())
    return bool(sought) and any(sought in " ".join(text.split()) for text in texts)


# ---------------------------------------------------------------- the score


@dataclass(frozen=True)
class Judged:
    """A prediction that came true or failed, on a day (ISO), and the probability it was given."""

    came_true: bool
    resolved: str
    probability: float | None = None


@dataclass(frozen=True)
class Tally:
    """How predictions turned out. `brier` is the mean squared distance of the probability from what
    came, 0 (best) to 1, over the `weighed` ones that had a probability; None without any.
    """

    name: str  # the month "2026-05", "" of all
    resolved: int
    came_true: int
    weighed: int
    brier: float | None

    @property
    def share(self) -> float | None:
        return self.came_true / self.resolved if self.resolved else None


@dataclass(frozen=True)
class Score:
    """All of them, and month by month of their resolution, the oldest first."""

    total: Tally
    months: tuple[Tally, ...]


def score(judged: Sequence[Judged]) -> Score:
    """How well was foretold; what was withdrawn is not judged."""
    by_month: dict[str, list[Judged]] = defaultdict(list)
    for each in judged:
        by_month[each.resolved[:7]].append(each)
    return Score(
        _tally("", judged),
        tuple(_tally(month, some) for month, some in sorted(by_month.items())),
    )


def _tally(name: str, judged: Sequence[Judged]) -> Tally:
    weighed = [
        (each.probability - each.came_true) ** 2 for each in judged if each.probability is not None
    ]
    return Tally(
        name,
        resolved=len(judged),
        came_true=sum(each.came_true for each in judged),
        weighed=len(weighed),
        brier=sum(weighed) / len(weighed) if weighed else None,
    )
