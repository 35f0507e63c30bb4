"""Reads cere-bro's own interchange format: JSON lines, as docs/guide.md begins to tell it.

One line is one thing and is judged by itself: a bad line is `Rejected` with its number and a
sentence, and the next one is read. Lines are gone through one by one, so a large file costs no more
memory than its bytes. Nothing here looks into the database.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from hashlib import sha256
from io import BytesIO
from typing import TypeVar

from app.domain import interchange
from app.domain.identifiers import clean_date, is_slug, parse_id
from app.domain.items import (
    Arrival,
    AssessmentArrival,
    DecisionArrival,
    Document,
    LinkArrival,
    PageArrival,
    PaperArrival,
    PredictionArrival,
    QuestionArrival,
    Quotation,
    Ref,
    Rejected,
    SourceRef,
    ThreadArrival,
    TopicArrival,
    Unread,
)
from app.domain.records import (
    Announced,
    LinkStatus,
    PageKind,
    PredictionState,
    QuestionState,
    Relation,
    Role,
    SourceKind,
    Verdict,
)
from app.errors import Unreadable
from app.sources.base import File

MAX_LINE_BYTES = 8_000_000
MAX_NAME = 2_000
MAX_DEPTH = 20
_LARGEST = 2**63 - 1
_TOPIC_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,199}")
_PAGE_KINDS = (PageKind.NOTE, PageKind.ARTICLE, PageKind.EPISODE, PageKind.DIGEST, PageKind.CONCEPT)
_DECISIONS = (Verdict.KEEP, Verdict.DROP, Verdict.DEFER)
_VERSION = re.compile(r"v?([1-9][0-9]{0,3})")
_SURROGATE = re.compile("[\ud800-\udfff]")

Choice = TypeVar("Choice", bound=StrEnum)


class BadLine(Exception):
    """Why a line is not taken, as one sentence."""


@dataclass(frozen=True)
class Interchange:
    format: str = "jsonl"

    def recognises(self, file: File) -> bool:
        """The first line that is not blank is a JSON object with a `type`."""
        for line in _lines(file.data):
            if not line.strip():
                continue
            try:
                return isinstance(parse(line).get("type"), str)
            except BadLine:
                return False
        return False

    def read(self, file: File) -> Document:
        """Read the file line by line; the arrivals are made as they are asked for."""
        if not file.data or file.data.isspace():
            raise Unreadable(f"{file.name} is empty.")
        if b"\x00" in file.data[:1000] and not file.data.startswith((b"\xff\xfe", b"\xfe\xff")):
            raise Unreadable(f"{file.name} is not a text file.")
        return Document(
            source=SourceRef(key="file", kind=SourceKind.FILE, name="Imported files"),
            key=f"{self.format}:{sha256(file.data).hexdigest()[:16]}",
            format=self.format,
            title=file.name,
            arrivals=_arrivals(file.data),
        )


def is_whole(start: bytes) -> bool:
    """Whether a file that begins with these bytes holds a whole wiki, as an export writes it."""
    first = next(iter(_lines(start)), b"")
    if len(first) > 1_000:
        return False
    try:
        return parse(first).get("type") == interchange.HEAD
    except BadLine:
        return False


def _arrivals(data: bytes) -> Iterator[Arrival | Rejected]:
    whole = is_whole(data[:2_000])
    for number, line in enumerate(_lines(data), start=1):
        if not line.strip():
            continue
        try:
            fields = parse(line)
            if whole and (number == 1 or fields.get("type") == interchange.END):
                continue
            if whole and not _is_for_others(fields):
                yield Unread(str(fields.get("type"))[:40])
            else:
                yield _arrival(_Row(fields))
        except BadLine as bad:
            yield Rejected(where=f"line {number}", reason=str(bad))


def _is_for_others(fields: dict[str, object]) -> bool:
    """Whether a line of a whole wiki says something to any wiki; its own rows are taken out of it."""
    for inside in ("row", "page", "thread"):
        if isinstance(fields.get(inside), dict):
            del fields[inside]
    return fields.get("type") in _TYPES


def _lines(data: bytes) -> Iterator[bytes]:
    """The lines, without byte order mark; UTF-16 is turned into UTF-8 first."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        data = data.decode("utf-16", "replace").encode("utf-8", "replace")
    stream = BytesIO(data)
    if data.startswith(b"\xef\xbb\xbf"):
        stream.seek(3)
    return iter(stream)


# ---------------------------------------------------------------- one line


def parse(line: bytes, *, most: int = MAX_LINE_BYTES) -> dict[str, object]:
    """The object in a line of `most` bytes, its texts such as a database takes. Raises BadLine."""
    if len(line) > most:
        raise BadLine(f"The line is longer than {most // 1_000_000} MB.")
    text = line.decode("utf-8", "replace").strip()
    try:
        value = json.loads(text, parse_constant=_refuse, parse_float=_float, parse_int=_int)
    except RecursionError:
        raise BadLine("The JSON is nested too deeply.") from None
    except json.JSONDecodeError as error:
        raise BadLine(f"This is not JSON: {error.msg} at character {error.pos + 1}.") from None
    if not isinstance(value, dict):
        raise BadLine("This is not a JSON object.")
    return {_clean_text(key): _clean(item) for key, item in value.items()}


def _refuse(name: str) -> object:
    raise BadLine(f"{name} is not a number that JSON knows.")


def _float(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise BadLine("A number is too large.")
    return number


def _int(text: str) -> int:
    if len(text) > 20 or abs(int(text)) > _LARGEST:
        raise BadLine("A number is too large.")
    return int(text)


def _clean(value: object, depth: int = 0) -> object:
    """The value with lone surrogates replaced; no database takes them, or a NUL."""
    if depth > MAX_DEPTH:
        raise BadLine("The JSON is nested too deeply.")
    if isinstance(value, str):
        return _clean_text(value)
    if isinstance(value, list):
        return [_clean(item, depth + 1) for item in value]
    if isinstance(value, dict):
        return {_clean_text(key): _clean(item, depth + 1) for key, item in value.items()}
    return value


def _clean_text(text: str) -> str:
    if "\x00" in text:
        raise BadLine("A text holds a NUL character.")
    return _SURROGATE.sub("\ufffd", text)


class _Row:
    """The fields of a line. What is asked for is checked; what never is asked for is `rest()`."""

    def __init__(self, fields: dict[str, object]) -> None:
        self._fields = fields

    def _take(self, name: str) -> object:
        return self._fields.pop(name, None)

    def rest(self) -> dict[str, object]:
        """The fields nobody has taken: unknown ones, kept as they are. Ask for it last."""
        return self._fields

    def text(self, name: str) -> str:
        """A text exactly as given; '' where it is missing or null."""
        value = self._take(name)
        if value is None:
            return ""
        if not isinstance(value, str):
            raise BadLine(f'"{name}" is not a text.')
        return value

    def name(self, name: str) -> str:
        """A text that must be there."""
        value = self.text(name)
        if not value.strip():
            raise BadLine(f'"{name}" is missing or empty.')
        if len(value) > MAX_NAME:
            raise BadLine(f'"{name}" is longer than {MAX_NAME:,} characters.')
        return value

    def texts(self, name: str, *, of: str = "") -> tuple[str, ...]:
        """A list of texts, or of objects whose text is in `of`; empty ones are passed over."""
        value = self._take(name)
        if value is None:
            return ()
        if not isinstance(value, list):
            raise BadLine(f'"{name}" is not a list.')
        texts = [item.get(of) if of and isinstance(item, dict) else item for item in value]
        if not all(text is None or isinstance(text, str) for text in texts):
            raise BadLine(f'"{name}" is not a list of texts.')
        return tuple(text for text in texts if isinstance(text, str) and text.strip())

    def published(self) -> str:
        """A date as far as it is known: a year, a month or a day; '' for anything else."""
        value = self._take("published")
        if isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        if value is not None and not isinstance(value, str):
            raise BadLine('"published" is not a date.')
        return clean_date(value)

    def day(self, name: str, *, whole: bool = False) -> str:
        """An ISO date or ''; `whole` refuses a year or a month alone."""
        given = self.text(name).strip()
        day = clean_date(given)
        if given and (not day or (whole and len(day) != 10)):
            raise BadLine(f'"{name}" is not a date (YYYY-MM-DD).')
        return day

    def time(self, name: str) -> str:
        """An ISO date or time as given, or ''."""
        given = self.text(name).strip()
        if not given:
            return ""
        try:
            time = datetime.fromisoformat(given)
            (time if time.tzinfo else time.replace(tzinfo=UTC)).astimezone(UTC)
        except (ValueError, OverflowError):
            raise BadLine(f'"{name}" is not a date or time in ISO form.') from None
        return given

    def version(self) -> int | None:
        """The number of a version (3, "v3"); what is none belongs to somebody else and stays."""
        given = _VERSION.fullmatch(str(self._fields.get("version", "")).strip())
        if given is None:
            return None
        self._take("version")
        return int(given[1])

    def announced(self) -> Announced | None:
        """What the listing said of a paper, in one of its words; any other word stays."""
        given = self._fields.get("announced")
        word = given.strip().lower() if isinstance(given, str) else ""
        try:
            found = Announced(word)
        except ValueError:
            return None
        self._take("announced")
        return found

    def whole_number(self, name: str, low: int, high: int) -> int | None:
        value = self._take(name)
        if value is None:
            return None
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise BadLine(f'"{name}" is not a whole number from {low} to {high}.')
        return value

    def share(self, name: str) -> float | None:
        value = self._take(name)
        if value is None:
            return None
        if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= 1:
            raise BadLine(f'"{name}" is not a number from 0 to 1.')
        return float(value)

    def flag(self, name: str) -> bool | None:
        value = self._take(name)
        if value is not None and not isinstance(value, bool):
            raise BadLine(f'"{name}" is neither true nor false.')
        return value

    def choice(self, name: str, choices: type[Choice] | tuple[Choice, ...]) -> Choice | None:
        """One of a closed set of words; None where it is missing."""
        given = self.text(name).strip()
        if not given:
            return None
        for choice in choices:
            if choice.value == given.lower():
                return choice
        words = ", ".join(choice.value for choice in choices)
        raise BadLine(f'"{name}" is {_short(given)}; it is one of {words}.')

    def required_choice(self, name: str, choices: type[Choice] | tuple[Choice, ...]) -> Choice:
        choice = self.choice(name, choices)
        if choice is None:
            raise BadLine(f'"{name}" is missing or empty.')
        return choice

    def slug(self, name: str) -> str:
        value = self.name(name)
        if not is_slug(value):
            raise BadLine(f'"{name}" is {_short(value)}, which is no slug ([a-z0-9-]).')
        return value

    def ref(self, name: str) -> Ref:
        """A slug as given, or an identifier in its usual form, without version."""
        value = self.name(name)
        if is_slug(value):
            return value
        if found := parse_id(value):
            return str(found)
        raise BadLine(
            f'"{name}" is {_short(value)}: neither a slug nor arxiv:, doi: or url: '
            "with an identifier."
        )

    def quotations(self, name: str) -> tuple[Quotation, ...]:
        value = self._take(name)
        if value is None:
            return ()
        if not isinstance(value, list):
            raise BadLine(f'"{name}" is not a list.')
        return tuple(_quotation(name, item) for item in value)


def _quotation(name: str, item: object) -> Quotation:
    if isinstance(item, str):
        return Quotation(quote=item)
    if isinstance(item, dict):
        quote, where = item.get("quote"), item.get("where")
        if isinstance(quote, str) and isinstance(where, str | None):
            return Quotation(quote=quote, where=where or "")
    raise BadLine(f'"{name}" is not a list of {{"quote", "where"}}.')


def _short(text: str) -> str:
    shown = text if len(text) <= 60 else text[:57] + "…"
    return json.dumps(shown, ensure_ascii=False)


# ---------------------------------------------------------------- the types


def _arrival(row: _Row) -> Arrival:
    kind = row.text("type")
    if not kind.strip():
        raise BadLine(f'"type" is missing or empty. Types: {", ".join(_TYPES)}.')
    if read := _TYPES.get(kind):
        return read(row)
    raise BadLine(f"{_short(kind)} is no type of line. Types: {', '.join(_TYPES)}.")


def _topic(row: _Row) -> TopicArrival:
    topic = row.name("id")
    if not _TOPIC_ID.fullmatch(topic):
        raise BadLine(
            f'"id" is {_short(topic)}; a topic\'s id is made of letters, digits, "_", "-" and ".".'
        )
    name, keep, filter_text = row.name("name"), row.text("keep"), row.text("filter")
    tier = row.whole_number("tier", 1, 4) or 2
    threshold = row.share("threshold")
    return TopicArrival(
        id=topic,
        name=name,
        keep=keep,
        filter=filter_text,
        tier=tier,
        threshold=threshold,
        extra=row.rest(),
    )


def _page_of(row: _Row, ref: Ref, kind: PageKind) -> PageArrival:
    title, text = row.name("title"), row.text("text")
    aliases, tags = row.texts("aliases"), row.texts("tags")
    questions = row.texts("questions", of="text")
    return PageArrival(
        ref=ref,
        kind=kind,
        title=title,
        text=text,
        aliases=aliases,
        tags=tags,
        questions=questions,
        extra=row.rest(),
    )


def _concept(row: _Row) -> PageArrival:
    return _page_of(row, row.slug("id"), PageKind.CONCEPT)


def _thread(row: _Row) -> ThreadArrival:
    slug, claim = row.slug("id"), row.text("claim")
    return ThreadArrival(page=_page_of(row, slug, PageKind.THREAD), claim=claim)


def _page(row: _Row) -> PageArrival:
    kind = row.choice("kind", _PAGE_KINDS) or PageKind.NOTE
    ref = row.ref("id")
    if not is_slug(ref) and not ref.startswith("url:"):
        raise BadLine(f'"id" is {_short(ref)}: an identifier of a paper; give it "type":"paper".')
    return _page_of(row, ref, kind)


def _paper(row: _Row) -> PaperArrival:
    refs, slug = _paper_ids(row)
    title = _one_line(row.name("title"))
    day = row.day("day", whole=True)
    keep = row.flag("keep")
    references = row.texts("references")
    version = row.version()
    refs = _versioned(refs, version)
    arrival = PaperArrival(
        refs=refs,
        title=title,
        abstract=row.text("abstract"),
        authors=row.texts("authors", of="name"),
        published=row.published(),
        venue=row.text("venue"),
        categories=row.texts("categories"),
        references=tuple(ref for text in references if (ref := _reference(text))),
        code_url=row.text("code"),
        day=day,
        position=row.whole_number("position", 0, 1_000_000) or 0,
        announced=row.announced(),
        version=version,
        keep=keep if keep is not None else not day,
        slug=slug,
        text=row.text("text"),
        aliases=row.texts("aliases"),
        tags=row.texts("tags"),
        questions=row.texts("questions", of="text"),
        extra=row.rest(),
    )
    unread = [text for text in references if not _reference(text)]
    if unread:
        row.rest()["unread_references"] = unread
    return arrival


def _paper_ids(row: _Row) -> tuple[tuple[Ref, ...], str]:
    """The identifiers, versions kept, and the slug; `id` may be either."""
    given, slug = row.name("id"), row.text("slug").strip()
    if slug and not is_slug(slug):
        raise BadLine(f'"slug" is {_short(slug)}, which is no slug ([a-z0-9-]).')
    others = [(name, text) for name in ("identifiers",) for text in row.texts(name)]
    if doi := row.text("doi").strip():
        others.append(("doi", doi if doi.lower().startswith("doi:") else f"doi:{doi}"))
    if not is_slug(given):
        others.insert(0, ("id", given))
    refs: list[Ref] = []
    for name, text in others:
        found = parse_id(text)
        if found is None:
            raise BadLine(
                f'"{name}" is {_short(text)}: neither a slug nor arxiv:, doi: or url: '
                "with an identifier."
            )
        refs.append(str(found) + (f"v{found.version}" if found.version else ""))
    return tuple(dict.fromkeys(refs)), slug or (given if is_slug(given) else "")


def _versioned(refs: tuple[Ref, ...], version: int | None) -> tuple[Ref, ...]:
    """Its identifiers, an arXiv id without a version with the one that the line names beside it."""
    found = next((each for ref in refs if (each := parse_id(ref)) and each.scheme == "arxiv"), None)
    if found is None or version is None or found.version is not None:
        return refs
    named = f"{found}v{version}"
    return tuple(named if parse_id(ref) == found else ref for ref in refs)


def _one_line(title: str) -> str:
    """A paper's title as the catalogues break it over lines, put back on one."""
    return " ".join(title.split()) if "\n" in title else title


def _reference(text: str) -> Ref:
    if is_slug(text) or text.startswith("title:"):
        return text
    return str(parse_id(text) or "")


def _link(row: _Row) -> LinkArrival:
    source, relation = row.ref("source"), row.required_choice("relation", Relation)
    target, role = row.ref("target"), row.choice("role", Role)
    if source == target:
        raise BadLine("The link leads from a page to itself.")
    if role and relation is not Relation.PART_OF:
        raise BadLine('A "role" is for links of relation part-of only.')
    return LinkArrival(
        source=source,
        relation=relation,
        target=target,
        status=row.choice("status", LinkStatus) or LinkStatus.ACCEPTED,
        role=role,
        note=row.text("note"),
        day=row.day("day"),
        at=row.time("at"),
        confidence=row.share("confidence"),
        reason=row.text("reason"),
        evidence=row.quotations("evidence"),
        extra=row.rest(),
    )


def _decision(row: _Row) -> DecisionArrival:
    return DecisionArrival(
        paper=row.ref("paper"),
        verdict=row.required_choice("verdict", _DECISIONS),
        at=row.time("at"),
        reason=row.text("reason"),
    )


def _assessment(row: _Row) -> AssessmentArrival:
    primary, topics = row.text("primary_topic").strip(), row.texts("topics")
    return AssessmentArrival(
        paper=row.ref("paper"),
        day=row.day("day", whole=True),
        scorer=row.name("scorer"),
        relevance=row.whole_number("relevance", 1, 10),
        novelty=row.whole_number("novelty", 1, 10),
        topics=tuple(dict.fromkeys([primary, *topics] if primary else topics)),
        comment=row.text("comment"),
        topic_comment=row.text("topic_comment"),
        tags=row.texts("tags"),
    )


def _question(row: _Row) -> QuestionArrival:
    return QuestionArrival(
        page=row.ref("page"),
        text=row.name("text"),
        state=row.choice("state", QuestionState),
        day=row.day("day"),
    )


def _prediction(row: _Row) -> PredictionArrival:
    page, text = row.ref("page"), row.name("text")
    state = row.choice("state", PredictionState) or PredictionState.OPEN
    resolved = row.day("resolved", whole=True)
    if state is PredictionState.OPEN and resolved:
        raise BadLine('It has "resolved" and its "state" is open.')
    return PredictionArrival(
        page=page,
        text=text,
        made=row.day("made", whole=True),
        due=row.text("due").strip(),
        probability=row.share("probability"),
        state=state,
        resolved=resolved,
        resolution=row.text("resolution"),
        extra=row.rest(),
    )


_TYPES: dict[str, Callable[[_Row], Arrival]] = {
    "topic": _topic,
    "concept": _concept,
    "paper": _paper,
    "thread": _thread,
    "page": _page,
    "link": _link,
    "decision": _decision,
    "assessment": _assessment,
    "question": _question,
    "prediction": _prediction,
}
