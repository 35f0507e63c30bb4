"""Live claims: `{{count thread:locatable-signal}}` in a text is a number that the wiki counts.

    claim    = "{{" verb selector* "}}"          on one line
    verb     = count | first | latest | since | none
    selector = name ":" value                    a value with spaces stands in "quotes"

What is counted are pages that answer every selector, or with `kind:question` and `kind:prediction`
what those pages ask and foretell. Any text has a reading: what is no claim comes back as `Unread`
with a sentence that says why, and nothing here raises.

    thread: concept: page:   the page is part of it, about it, linked to it (each may stand twice)
    relation:                how it is linked to the concept or page; a role's name is read as `role:`
    role:                    what it does in the thread, or in any thread where none is named
    kind: topic: tag:        what it is; the topic it was sorted under; what it is tagged with
    since: until:            its day, as a thread dates its members; a day, a month or a year
    asof:                    as the links stood at the end of that day
    state:                   of questions (open, partly, answered) or predictions (open, came-true,
                             failed, withdrawn)
"""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from enum import StrEnum

from app.domain.records import KINDS, PredictionState, QuestionState, Relation, Role

MOST_CLAIMS = 50  # in one text; what follows is shown as it is written
MOST_CHARACTERS = 300  # between the braces
MOST_SELECTORS = 8


class Verb(StrEnum):
    COUNT = "count"
    FIRST = "first"
    LATEST = "latest"
    SINCE = "since"
    NONE = "none"


class Noun(StrEnum):
    """What is counted."""

    PAGE = "page"
    QUESTION = "question"
    PREDICTION = "prediction"


@dataclass(frozen=True)
class Claim:
    """A claim as it was read. Names are as written; days are ISO days, the first and the last meant.

    `source` is how it is written in one way only: two claims that say the same have the same one.
    """

    verb: Verb
    noun: Noun = Noun.PAGE
    threads: tuple[str, ...] = ()
    concepts: tuple[str, ...] = ()
    pages: tuple[str, ...] = ()
    relation: Relation | None = None
    role: Role | None = None
    kind: str = ""
    topic: str = ""
    tags: tuple[str, ...] = ()
    since: str = ""
    until: str = ""
    asof: str = ""
    state: str = ""
    source: str = field(default="", compare=False)

    def names(self) -> tuple[tuple[str, str], ...]:
        """Every page it names, with what that page has to be: "thread", "concept" or ""."""
        return (
            *((name, "thread") for name in self.threads),
            *((name, "concept") for name in self.concepts),
            *((name, "") for name in self.pages),
        )


@dataclass(frozen=True)
class Unread:
    """What stands between braces and is no claim; `why` is a sentence for its author."""

    source: str
    why: str


@dataclass(frozen=True)
class Filled:
    """What a claim says now.

    `words` is shown, and leads to `href` ("" leads nowhere); `after` follows it, outside of the link.
    `title` says in a sentence what was counted, or what is wrong. `off` marks a claim that does not
    hold or cannot be read.
    """

    words: str
    href: str
    title: str
    after: str = ""
    off: bool = False

    def plain(self) -> str:
        return self.words + self.after


LIVE = re.compile(r"\{\{([ \t]*[A-Za-z][^{}\n]{0,998})\}\}")
_PART = re.compile(r'\s*(?:([A-Za-z]+):(?:"([^"]{1,200})"|([^\s"]{1,200}))|([^\s:"]+))(?=\s|$)')
_MANY = {"thread": "threads", "concept": "concepts", "page": "pages", "tag": "tags"}
_DAYS = ("since", "until", "asof")
_ONCE = ("relation", "role", "kind", "topic", *_DAYS, "state")
_ROLE_TOO = frozenset({"extends", "contradicts"})  # words that are a relation and a role
_STATES: Mapping[Noun, frozenset[str]] = {
    Noun.QUESTION: frozenset(state.value for state in QuestionState),
    Noun.PREDICTION: frozenset(state.value for state in PredictionState),
}


def read(inner: str) -> Claim | Unread:
    """What stands between `{{` and `}}`."""
    try:
        return _read(inner)
    except _Wrong as wrong:
        return Unread(inner.strip(), str(wrong))


def written(claim: Claim) -> str:
    """The claim as text between its braces, always in the same order."""
    parts = [claim.verb.value]
    for name in (*_MANY, *_ONCE):
        if name in _MANY:
            parts += [f"{name}:{_quoted(value)}" for value in getattr(claim, _MANY[name])]
        elif value := str(getattr(claim, name) or ""):
            parts.append(f"{name}:{_quoted(value)}")
    if claim.noun is not Noun.PAGE:
        parts.append(f"kind:{claim.noun.value}")
    return " ".join(parts)


def found(text: str) -> Iterator[re.Match[str]]:
    """Everything that is written like a claim, without regard to code and formulas."""
    return LIVE.finditer(text)


class _Wrong(ValueError):
    pass


def _read(inner: str) -> Claim:
    text = inner.strip()
    if len(text) > MOST_CHARACTERS:
        raise _Wrong(f"A live claim has {MOST_CHARACTERS} characters at most.")
    verb, given = _parts(text)
    many: dict[str, list[str]] = {name: [] for name in _MANY}
    once: dict[str, str] = {}
    for name, value in given:
        if name in _MANY:
            if value not in many[name]:
                many[name].append(value)
        elif name not in _ONCE:
            raise _Wrong(f"There is no selector {name}: here. Use {_listed((*_MANY, *_ONCE))}.")
        elif name in once:
            raise _Wrong(f"{name}: can be given once.")
        else:
            once[name] = value
    if not given:
        raise _Wrong(f"{verb.value} of what? Name a thread:, a concept: or another selector.")
    noun, kind = _kind(once.get("kind", ""))
    relation, role = _how(once, bool(many["thread"]), bool(many["concept"] or many["page"]))
    days = {name: _days(name, once[name]) for name in _DAYS if name in once}
    if noun is not Noun.PAGE and "asof" in days:
        raise _Wrong(f"asof: does not work for {noun.value}s. Use until: instead.")
    made = Claim(
        verb=verb,
        noun=noun,
        threads=tuple(many["thread"]),
        concepts=tuple(many["concept"]),
        pages=tuple(many["page"]),
        relation=relation,
        role=role,
        kind=kind,
        topic=once.get("topic", ""),
        tags=tuple(many["tag"]),
        since=days["since"][0] if "since" in days else "",
        until=days["until"][1] if "until" in days else "",
        asof=days["asof"][1] if "asof" in days else "",
        state=_state(noun, once.get("state", "")),
        source=text,
    )
    return made


def _parts(text: str) -> tuple[Verb, list[tuple[str, str]]]:
    given: list[tuple[str, str]] = []
    verb: Verb | None = None
    at = 0
    while at < len(text):
        part = _PART.match(text, at)
        if part is None:
            rest = text[at:].strip()
            raise _Wrong(f'“{rest[:40]}” cannot be read. Write name:value, or name:"a value".')
        at = part.end()
        if word := part[4]:
            if verb is not None:
                raise _Wrong(f"“{word[:40]}” needs a name before it, such as thread:{word[:40]}.")
            if word.lower() not in {each.value for each in Verb}:
                raise _Wrong(f"No live claim is called “{word[:40]}”. Use {_listed(Verb)}.")
            verb = Verb(word.lower())
            continue
        if verb is None:
            raise _Wrong(f"A live claim begins with {_listed(Verb)}.")
        given.append((part[1].lower(), " ".join((part[2] or part[3] or "").split())))
        if len(given) > MOST_SELECTORS:
            raise _Wrong(f"A live claim has {MOST_SELECTORS} selectors at most.")
        if not given[-1][1]:
            raise _Wrong(f"{given[-1][0]}: has no value.")
    if verb is None:
        raise _Wrong(f"A live claim begins with {_listed(Verb)}.")
    return verb, given


def _kind(value: str) -> tuple[Noun, str]:
    word = value.lower()
    for noun in (Noun.QUESTION, Noun.PREDICTION):
        if word in (noun.value, noun.value + "s"):
            return noun, ""
    kinds = [kind.value for kind in KINDS]
    if word and word not in kinds:
        raise _Wrong(f"No kind is called “{value[:40]}”. Use {_listed((*kinds, *list(Noun)[1:]))}.")
    return Noun.PAGE, word


def _how(
    once: Mapping[str, str], thread: bool, linked: bool
) -> tuple[Relation | None, Role | None]:
    """The relation and the role: whichever word was used for them."""
    role = once.get("role", "").lower().replace("_", "-")
    word = once.get("relation", "").lower().replace("_", "-")
    relations, roles = {each.value for each in Relation}, {each.value for each in Role}
    if role and role not in roles:
        raise _Wrong(f"No role is called “{role[:40]}”. Use {_listed(Role)}.")
    if word and word not in relations | roles:
        raise _Wrong(f"No relation is called “{word[:40]}”. Use {_listed(Relation)}, or a role.")
    if word in roles and (word not in _ROLE_TOO or (thread and not linked)):
        if role and role != word:
            raise _Wrong("relation: and role: name two roles. Leave one out.")
        role, word = word, ""
    if word and not linked:
        raise _Wrong("relation: says how a page is linked. Name a concept: or a page: as well.")
    return Relation(word) if word else None, Role(role) if role else None


def _state(noun: Noun, value: str) -> str:
    word = value.lower().replace("_", "-")
    if not word:
        return ""
    if noun is Noun.PAGE:
        raise _Wrong("state: goes with kind:question or kind:prediction.")
    if word not in _STATES[noun]:
        raise _Wrong(f"A {noun.value} cannot be “{value[:40]}”: {_listed(sorted(_STATES[noun]))}.")
    return word


_DAY = re.compile(r"(\d{4})(?:-(\d{1,2}))?(?:-(\d{1,2}))?", re.ASCII)


def _days(name: str, value: str) -> tuple[str, str]:
    """The first and the last day that a day, a month or a year means."""
    try:
        if not (day := _DAY.fullmatch(value)):
            raise ValueError
        year, month, number = int(day[1]), int(day[2] or 0), int(day[3] or 0)
        if number:
            return (date(year, month, number).isoformat(),) * 2
        first = date(year, month or 1, 1)
        last_month = month or 12
        last = date(year, last_month, monthrange(year, last_month)[1])
    except ValueError as error:
        raise _Wrong(f"{name}: takes a day such as 2026-05-14, a month or a year.") from error
    return first.isoformat(), last.isoformat()


def day_before(day: str) -> str:
    """The day before an ISO day: a month counts from its first day, and is less than that as text."""
    found = date.fromisoformat(day)
    return (found - timedelta(1)).isoformat() if found > date.min else ""


def _quoted(value: str) -> str:
    return value if re.fullmatch(r'[^\s"]+', value) else f'"{value}"'


def _listed(words: object) -> str:
    names = [str(word) for word in words]  # type: ignore[attr-defined]
    return ", ".join(names[:-1]) + " or " + names[-1]


# ------------------------------------------------------------------------------ in words


def named(claim: Claim, titles: Mapping[str, str]) -> str:
    """What is counted, in words: `5 papers` is followed by this. `titles` has titles by name."""
    said: list[str] = []
    for thread in claim.threads:
        said.append(f"in the thread {titles.get(thread, thread)}")
    how = claim.relation.value.replace("-", " ") if claim.relation else ""
    for concept in claim.concepts:
        title = titles.get(concept, concept)
        said.append(f"that {how} {title}" if how and how != "about" else f"about {title}")
    for page in claim.pages:
        said.append(
            f"that {how} {titles.get(page, page)}" if how else f"linked to {titles.get(page, page)}"
        )
    if claim.role:
        said.append(f"with the role {claim.role.value}")
    if claim.topic:
        said.append(f"of the topic {titles.get('topic:' + claim.topic, claim.topic)}")
    said += [f"tagged {tag}" for tag in claim.tags]
    if claim.state:
        said.append(f"that are {claim.state.replace('-', ' ')}")
    if claim.since:
        said.append(f"since {claim.since}")
    if claim.until:
        said.append(f"until {claim.until}")
    if claim.asof:
        said.append(f"as the wiki stood on {claim.asof}")
    return ", ".join(said)


def noun_of(claim: Claim) -> str:
    """The word for one of what is counted."""
    if claim.noun is not Noun.PAGE:
        return claim.noun.value
    if claim.kind:
        return claim.kind
    return "paper" if claim.topic else "page"
