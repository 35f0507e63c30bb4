"""Reads a saved page of a personalised daily arXiv listing: what a scorer chose that day, and why.

The page holds a funnel, what the run cost, a coverage table, a contents list, the entries by topic
and the prompt in full. It is read as text, HTML or Markdown alike. Its papers go into that day's
listing undecided: that another reader's scorer chose them is a mark, not a decision. The numbers
the page states about itself are checked against what was read.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import NamedTuple

from app.domain.identifiers import PaperId, clean_date, parse_arxiv, slugify
from app.domain.items import (
    Arrival,
    AssessmentArrival,
    Document,
    ListingArrival,
    PaperArrival,
    Ref,
    Rejected,
    SourceRef,
    TopicArrival,
)
from app.domain.records import SourceKind
from app.errors import Unreadable
from app.sources.base import File
from app.sources.page_text import page_lines

SOURCE = SourceRef(
    key="personalized-daily-arxiv",
    kind=SourceKind.LISTING,
    name="Personalized Daily ArXiv Papers",
)

_TITLE = re.compile(r"daily\s+arxiv\s+papers?\b(.*)", re.IGNORECASE)
_LABEL = re.compile(
    r"\s*(?:\*\*|__)?(arxiv id|primary topic|also matches|authors?|abstract|comment|topic match"
    r"|relevance|novelty|hotspot paper tags|hotspot tags|tags|categories|published)"
    r"\s*:\s*(?:\*\*|__)?\s*",
    re.IGNORECASE,
)
_OPENING = frozenset(["arxiv id", "primary topic", "also matches", "authors", "abstract"])
_FLOWING = frozenset(["abstract", "comment", "topic match"])
_NUMBERED = re.compile(r"\s*(\d{1,4})[.)]\s+(\S.*)")
_NOVELTY = re.compile(r" (?:\*\*)?novelty\s*:\s*(?:\*\*)?", re.IGNORECASE)
_HEADING = re.compile(r"\s*(\S.{0,250}?)\s*\((\d{1,4})\)\s*")
_PROMPT = re.compile(r"\s*paper selection prompt\s*", re.IGNORECASE)
_AMOUNT = re.compile(r"\d[\d,]*(?:\.\d+)?|(?<![\w.])(?:-|–|—|n/?a)(?![\w.])", re.IGNORECASE)
_REGISTRY_ENTRY = re.compile(r"(?:^|\s)-\s+(?=[A-Za-z0-9][\w.-]{0,99}:\s)")
_SUFFIX = re.compile(r"(?:jr|sr)\.?|i{2,3}|iv", re.IGNORECASE)
_LARGEST = 2**31 - 1
_MONTHS = "jan feb mar apr may jun jul aug sep oct nov dec".split()  # noqa: SIM905


@dataclass(frozen=True)
class TriagePage:
    format: str = "triage-page"

    def recognises(self, file: File) -> bool:
        """The title of such a page at the top, or entries with the marks it gives."""
        start = "\n".join(page_lines(_beginning(file, 400_000)))
        if _TITLE.search(start[:6000]):
            return True
        lowered = start.lower()
        return all(f"{word}:" in lowered for word in ("arxiv id", "relevance", "novelty"))

    def read(self, file: File) -> Document:
        """Read one day's page. Raises Unreadable when it names no day and no paper."""
        lines = page_lines(file)
        title, day = _title_and_day(lines, file.name)
        if not day:
            raise Unreadable(f"{file.name} names no day, in its title or in its file name.")
        page = _PageReader(day=day)
        arrivals = tuple(page.read(lines))
        if not page.entries and not page.listing_found:
            raise Unreadable(f"{file.name} holds neither the table nor the papers of a listing.")
        return Document(
            source=SOURCE,
            key=day,
            format=self.format,
            title=title or f"{SOURCE.name} {day}",
            published=day,
            arrivals=arrivals,
        )


def _beginning(file: File, size: int) -> File:
    return File(name=file.name, data=file.data[:size])


# ---------------------------------------------------------------- title, day, neighbours


def _title_and_day(lines: Sequence[str], name: str) -> tuple[str, str]:
    for line in lines[:200]:
        plain = _plain(line)
        if (match := _TITLE.search(plain)) and (day := _day_in(match[1])):
            return plain, day
    return "", _day_in(name)


def _day_in(text: str) -> str:
    """The first date of the text as YYYY-MM-DD: ISO, 05/08/2026 (month first) or in words."""
    for match in re.finditer(r"(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})(?!\d)", text):
        return _iso(match[1], match[2], match[3])
    for match in re.finditer(r"(?<!\d)(\d{1,2})/(\d{1,2})/(\d{4})", text):
        return _iso(match[3], match[1], match[2])
    for match in re.finditer(r"([A-Za-z]{3,9})\.?\s+(\d{1,2}),?\s+(\d{4})", text):
        if match[1][:3].lower() in _MONTHS:
            return _iso(match[3], str(_MONTHS.index(match[1][:3].lower()) + 1), match[2])
    return ""


def _iso(year: str, month: str, day: str) -> str:
    whole = clean_date(f"{year}-{month:0>2}-{day:0>2}")
    return whole if len(whole) == 10 else ""


def _neighbour(lines: Iterable[str], words: str, date: str) -> str:
    """The date written after the words of a navigation link, on that line or the next."""
    joined = "\n".join(islice(lines, 60))
    match = re.search(rf"{words}[^\d\n]{{0,60}}\n?[^\d\n]{{0,60}}({date})(?![\d-])", joined, re.I)
    return clean_date(match[1]) if match else ""


def _plain(line: str) -> str:
    """A line without Markdown: heading and quotation marks, bold, anchors, the address of a link."""
    if not line:
        return ""
    text = line.strip().lstrip("#>").strip()
    text = re.sub(r"<a\s[^<>]*>|</a>", "", text).replace("**", "").strip()
    opens, closes = text.find("["), text.rfind("](")
    if 0 <= opens < closes and ")" in text[closes:]:
        text = text[:opens] + text[opens + 1 : closes] + text[text.index(")", closes) + 1 :]
    return text.strip()


# ---------------------------------------------------------------- entries


class _Topic(NamedTuple):
    id: str
    name: str


@dataclass
class _Entry:
    """One numbered block: a title and the labelled fields under it, as they are written."""

    title: str
    section: str
    fields: dict[str, str] = field(default_factory=dict)
    open_field: str = ""
    broken: bool = False

    def add(self, label: str, text: str) -> None:
        known = self.fields.get(label)
        self.fields[label] = f"{known}\n{text}" if known and text else (known or text)
        self.open_field, self.broken = label, False

    def go_on(self, line: str) -> bool:
        """Take a line that has no label; False when no field here runs over lines."""
        if self.open_field not in _FLOWING:
            return False
        gap = "\n\n" if self.broken else "\n"
        self.fields[self.open_field] += f"{gap if self.fields[self.open_field] else ''}{line}"
        self.broken = False
        return True

    @property
    def is_listed_only(self) -> bool:
        """A line of the contents, which names the authors and nothing else."""
        return set(self.fields) <= {"authors"}


@dataclass
class _PageReader:
    """What is being gathered from one page."""

    day: str
    entries: list[_Entry] = field(default_factory=list)
    titles_by_authors: dict[str, str] = field(default_factory=dict)
    problems: list[Rejected] = field(default_factory=list)
    headings: dict[str, str] = field(default_factory=dict)
    listing_found: bool = False

    def read(self, lines: Sequence[str]) -> Iterator[Arrival | Rejected]:
        heads = (n for n, line in enumerate(lines) if _heads_the_prompt(line))
        end = next(heads, None)
        body, prompt = lines[:end], _prompt_of(lines[end + 1 :]) if end is not None else ""
        head_end = self._entries_of(body)
        head = [_plain(line) for line in body[:head_end]]
        listing = self._listing(head, prompt)
        coverage = _coverage(head, self.headings)
        topics = _Topics.of(prompt, coverage, [entry.section for entry in self.entries])
        papers = list(self._papers(topics, listing.model or SOURCE.key))
        yield listing
        yield from topics.arrivals(prompt)
        yield from papers
        self._check_counts(coverage, listing.kept, topics)
        yield from self.problems

    # -- lines to entries

    def _entries_of(self, lines: Sequence[str]) -> int:
        """Gather the entries; returns the number of lines before the first numbered one."""
        plain = [_plain(line) if line.lstrip()[:1] in "#>[*-" else line.strip() for line in lines]
        head_end = 0
        section, entry, skip = "", None, -1
        found: list[_Entry] = []
        for number, line in enumerate(plain):
            if number <= skip or not line:
                if entry is not None and not line:
                    entry.broken = True
                continue
            numbered = _NUMBERED.fullmatch(line)
            if numbered and (opened := _opening(plain, number)):
                title, skip = opened
                head_end = head_end or number
                title, _, authors = _plain(title).partition(" Authors: ")
                entry = _Entry(title=title.strip(), section=section)
                if authors:
                    entry.add("authors", authors)
                found.append(entry)
            elif label := _LABEL.match(lines[number]) or _LABEL.match(line):
                entry = self._labelled(found, entry, label, section)
            elif _is_rule(line):
                continue
            elif (heading := _HEADING.fullmatch(line)) and _heads_a_list(plain, number):
                section, entry = heading[1], None
                self.headings[heading[1] + heading[2]] = heading[1]
            elif entry is None or entry.is_listed_only:
                continue
            elif not entry.go_on(line) and numbered:
                self.problems.append(
                    Rejected(where=_short(line), reason="Nothing stands under this title.")
                )
        self._sort_out(found)
        return head_end or len(lines)

    def _labelled(
        self, found: list[_Entry], entry: _Entry | None, label: re.Match[str], section: str
    ) -> _Entry | None:
        name, text = _label_name(label[1]), label.string[label.end() :].strip()
        if entry is None or (name == "arxiv id" and "arxiv id" in entry.fields):
            if name not in _OPENING:
                return entry
            entry = _Entry(title="", section=section)
            found.append(entry)
        if name == "relevance":
            text = " ".join(text.split())
            if both := _NOVELTY.search(text):
                entry.add("novelty", text[both.end() :])
                text = text[: both.start()]
        entry.add(name, text)
        return entry

    def _sort_out(self, found: list[_Entry]) -> None:
        """Tell the lines of the contents from entries, and give a lost title back from them."""
        for entry in found:
            if entry.is_listed_only and not self.entries:
                self.titles_by_authors[entry.fields.get("authors", "")] = entry.title
            elif entry.is_listed_only:
                self.problems.append(
                    Rejected(where=_short(entry.title), reason="The entry is cut off.")
                )
            else:
                entry.title = entry.title or self.titles_by_authors.get(
                    entry.fields.get("authors", "\n"), ""
                )
                self.entries.append(entry)

    # -- entries to arrivals

    def _papers(self, topics: _Topics, scorer: str) -> Iterator[Arrival]:
        marked = any("relevance" in entry.fields for entry in self.entries)
        merged: dict[Ref, tuple[int, PaperArrival, AssessmentArrival]] = {}
        for number, entry in enumerate(self.entries, start=1):
            where = f"paper {number}"
            ref = self._ref(entry, where)
            if ref is None:
                continue
            if marked and not {"relevance", "novelty"} & set(entry.fields):
                self.problems.append(
                    Rejected(where=f"{where}, {_short(entry.title)}", reason="It has no marks.")
                )
            position = merged[ref][0] if ref in merged else len(merged) + 1
            paper = _paper(entry, ref, self.day, position)
            marks = self._assessment(entry, ref, topics, scorer, where)
            if ref in merged:
                _, first_paper, first_marks = merged[ref]
                paper, marks = _joined(first_paper, paper), _joined_marks(first_marks, marks)
            merged[ref] = position, paper, marks
        for _, paper, marks in merged.values():
            yield paper
            yield marks

    def _ref(self, entry: _Entry, where: str) -> Ref | None:
        written = entry.fields.get("arxiv id", "").strip()
        found = _arxiv_id(entry)
        if found and entry.title:
            return str(found)
        if entry.title:
            reason = f"{written[:60]!r} is no arXiv id" if written else "It has no arXiv id"
            self._reject(f"{where}, {_short(entry.title)}", f"{reason}; it is known by its title.")
            return f"title:{entry.title}"
        self._reject(where, f"It has no title ({written or 'nor an arXiv id'}).")
        return None

    def _assessment(
        self, entry: _Entry, ref: Ref, topics: _Topics, scorer: str, where: str
    ) -> AssessmentArrival:
        ids, unknown = topics.matched(entry)
        for name in unknown:
            self._reject(where, f"It names a topic that the page does not list: {name[:100]!r}.")
        fields = entry.fields
        return AssessmentArrival(
            paper=ref,
            day=self.day,
            scorer=scorer,
            relevance=self._mark(fields, "relevance", where),
            novelty=self._mark(fields, "novelty", where),
            topics=ids,
            comment=fields.get("comment", ""),
            topic_comment=fields.get("topic match", ""),
            tags=tuple(re.findall(r"[A-Za-z][\w-]*", fields.get("tags", ""))),
        )

    def _mark(self, fields: dict[str, str], name: str, where: str) -> int | None:
        written = fields.get(name, "").strip()
        if not written:
            return None
        match = re.match(r"(\d{1,3})(?:\.0)?(?:\s*/\s*10)?(?![\d.])", written)
        if match and 1 <= int(match[1]) <= 10:
            return int(match[1])
        self._reject(where, f"Its {name} {written[:20]!r} is no whole number from 1 to 10.")
        return None

    def _reject(self, where: str, reason: str) -> None:
        self.problems.append(Rejected(where=where, reason=reason))

    # -- the table, and whether it agrees

    def _listing(self, head: Sequence[str], prompt: str) -> ListingArrival:
        table = _usage(head)
        self.listing_found = bool(table.model or table.tokens or table.funnel or prompt)
        prompt_tokens, completion_tokens, total = _three(table.tokens)
        prompt_cost, completion_cost, _ = _three(table.cost)
        fetched, scanned, kept = _three(table.funnel)
        if None not in (total, prompt_tokens, completion_tokens) and total != (
            (prompt_tokens or 0) + (completion_tokens or 0)
        ):
            self._reject("token table", "Prompt and completion tokens do not add up to the total.")
        return ListingArrival(
            day=self.day,
            fetched=_whole(fetched),
            scanned=_whole(scanned),
            kept=_whole(kept),
            model=table.model,
            prompt_tokens=_whole(prompt_tokens),
            completion_tokens=_whole(completion_tokens),
            prompt_cost_usd=prompt_cost,
            completion_cost_usd=completion_cost,
            prompt=prompt,
            previous_day=_neighbour(head, r"previous\s+day", r"\d{4}-\d{2}-\d{2}"),
            next_day=_neighbour(head, r"next\s+day", r"\d{4}-\d{2}-\d{2}"),
            month=_neighbour(head, r"monthly\s+overview", r"\d{4}-\d{2}"),
        )

    def _check_counts(self, coverage: dict[str, int], kept: int | None, topics: _Topics) -> None:
        read = Counter(topics.home(entry) for entry in self.entries)
        for name, stated in coverage.items():
            if read[_key(name)] != stated:
                self._reject(
                    "coverage table",
                    f"{name}: the table says {stated}, {read[_key(name)]} were read.",
                )
        different = len({entry.fields.get("arxiv id") or entry.title for entry in self.entries})
        if kept is not None and kept not in (different, len(self.entries)):
            self._reject("paper table", f"It says {kept} relevant papers, {different} were read.")


def _heads_the_prompt(line: str) -> bool:
    return len(line) < 100 and _PROMPT.fullmatch(_plain(line)) is not None


def _opening(plain: Sequence[str], number: int) -> tuple[str, int] | None:
    """The title that begins at a numbered line and the last line of it, if an entry begins there.

    An entry's title, on up to three lines, is followed by one of the labels that stand first; a
    line of the contents may hold its authors itself. A numbered line inside an abstract does not.
    """
    match = _NUMBERED.fullmatch(plain[number])
    title = match[2] if match else ""
    if " Authors: " in title:
        return title, number
    last, seen = number, 1
    for below in range(number + 1, min(number + 12, len(plain))):
        line = plain[below]
        if not line:
            continue
        if label := _LABEL.match(line):
            return (title, last) if _label_name(label[1]) in _OPENING else None
        if seen == 3 or _NUMBERED.fullmatch(line) or _is_rule(line):
            return None
        title, last, seen = f"{title} {line}", below, seen + 1
    return None


def _heads_a_list(plain: Sequence[str], number: int) -> bool:
    """Whether the next line that is not blank is numbered, or the list below is empty."""
    for line in plain[number + 1 : number + 6]:
        if line and not _is_rule(line):
            return _NUMBERED.fullmatch(line) is not None or _HEADING.fullmatch(line) is not None
    return True


def _is_rule(line: str) -> bool:
    return len(line) >= 3 and not line.strip("-*_ ")


def _label_name(written: str) -> str:
    name = " ".join(written.lower().split())
    return {"author": "authors", "hotspot paper tags": "tags", "hotspot tags": "tags"}.get(
        name, name
    )


def _arxiv_id(entry: _Entry) -> PaperId | None:
    written = entry.fields.get("arxiv id", "").strip()
    return parse_arxiv(_plain(written)) or parse_arxiv(written.split(" ")[0])


def _paper(entry: _Entry, ref: Ref, day: str, position: int) -> PaperArrival:
    fields, found = entry.fields, _arxiv_id(entry)
    version = f"v{found.version}" if found and found.version else ""
    return PaperArrival(
        refs=() if ref.startswith("title:") else (f"{ref}{version}",),
        title=entry.title,
        abstract=fields.get("abstract", ""),
        authors=_authors(fields.get("authors", "")),
        published=clean_date(fields.get("published", "")),
        categories=tuple(
            re.findall(r"[a-z][a-z-]*(?:\.[A-Za-z-]{2,})?", fields.get("categories", ""))
        ),
        day=day,
        position=position,
    )


def _joined(first: PaperArrival, again: PaperArrival) -> PaperArrival:
    """A paper that stands under two topics, once."""
    longer = max(first.abstract, again.abstract, key=len)
    return PaperArrival(
        refs=first.refs,
        title=first.title,
        abstract=longer,
        authors=first.authors or again.authors,
        published=first.published or again.published,
        categories=first.categories or again.categories,
        day=first.day,
        position=first.position,
    )


def _joined_marks(first: AssessmentArrival, again: AssessmentArrival) -> AssessmentArrival:
    return AssessmentArrival(
        paper=first.paper,
        day=first.day,
        scorer=first.scorer,
        relevance=first.relevance or again.relevance,
        novelty=first.novelty or again.novelty,
        topics=tuple(dict.fromkeys((*first.topics, *again.topics))),
        comment=first.comment or again.comment,
        topic_comment=first.topic_comment or again.topic_comment,
        tags=tuple(dict.fromkeys((*first.tags, *again.tags))),
    )


def _authors(text: str) -> tuple[str, ...]:
    """The names, without the affiliations some have in brackets; LaTeX accents stay."""
    text = " ".join(text.split())
    if text.count("(") == text.count(")"):
        text = re.sub(r" ?\([^()]*\)", "", text)
    names: list[str] = []
    for part in text.split(","):
        name = part.strip()
        if names and _SUFFIX.fullmatch(name):
            names[-1] = f"{names[-1]}, {name}"
        elif name:
            names.append(name)
    return tuple(names)


# ---------------------------------------------------------------- topics


def _key(name: str) -> str:
    return " ".join(name.casefold().split())


@dataclass(frozen=True)
class _Topics:
    """The topics of a page by the key of their names, in the order they are first named."""

    by_key: dict[str, _Topic]

    @classmethod
    def of(cls, prompt: str, coverage: dict[str, int], sections: Iterable[str]) -> _Topics:
        """From the prompt's registry; a topic it does not hold gets an id made of its name."""
        by_key = {_key(topic.name): topic for topic in _registry(prompt)}
        for name in (*coverage, *filter(None, sections)):
            by_key.setdefault(_key(name), _Topic(slugify(name).replace("-", "_"), name))
        return cls(by_key)

    def arrivals(self, prompt: str) -> Iterator[TopicArrival]:
        wanted = _criteria(prompt)
        described = {topic: text for topic, (_, text) in _registry_entries(prompt).items()}
        for key, topic in self.by_key.items():
            keep, filter_text = wanted.get(key, ("", ""))
            description = described.get(topic.id, "")
            yield TopicArrival(
                id=topic.id,
                name=topic.name,
                keep=keep,
                filter=filter_text,
                extra={"description": description} if description else {},
            )

    def matched(self, entry: _Entry) -> tuple[tuple[str, ...], list[str]]:
        """The ids an entry matches, its primary topic first; and the names the page lacks."""
        names, unknown = self._split(entry.fields.get("also matches", ""))
        primary = _key(entry.fields.get("primary topic", ""))
        if primary and primary not in self.by_key:
            unknown.insert(0, entry.fields["primary topic"])
        keys = [primary, *names] if primary in self.by_key else [_key(entry.section), *names]
        ids = [self.by_key[key].id for key in keys if key in self.by_key]
        return tuple(dict.fromkeys(ids)), unknown

    def home(self, entry: _Entry) -> str:
        """The key of the topic an entry is counted under: its section, or its primary topic."""
        return _key(entry.section) or _key(entry.fields.get("primary topic", ""))

    def _split(self, text: str) -> tuple[list[str], list[str]]:
        """Names are joined by commas and hold commas: the longest name that is known counts."""
        parts = [part.strip() for part in text.replace("\n", " ").split(",")]
        longest = max((key.count(",") + 1 for key in self.by_key), default=1)
        known: list[str] = []
        unknown: list[str] = []
        at = 0
        while at < len(parts):
            for size in range(min(longest, len(parts) - at), 0, -1):
                key = _key(", ".join(parts[at : at + size]))
                if key in self.by_key:
                    known.append(key)
                    at += size
                    break
            else:
                if parts[at]:
                    unknown.append(parts[at])
                at += 1
        return known, unknown


def _registry(prompt: str) -> list[_Topic]:
    return [_Topic(topic, name) for topic, (name, _) in _registry_entries(prompt).items()]


def _registry_entries(prompt: str) -> dict[str, tuple[str, str]]:
    """The prompt's "Topic Registry": id -> name and description."""
    entries: dict[str, tuple[str, str]] = {}
    for chunk in _REGISTRY_ENTRY.split(_prompt_section(prompt, "topic registry"))[1:]:
        topic, _, rest = chunk.partition(":")
        name, _, description = " ".join(rest.split()).partition(" - ")
        if name.strip():
            entries.setdefault(topic.strip(), (name.strip(), description.strip()))
    return entries


def _criteria(prompt: str) -> dict[str, tuple[str, str]]:
    """The prompt's "Relevant Topics": key of the name -> what to keep and what to filter."""
    found: dict[str, tuple[str, str]] = {}
    paragraph = ""
    for line in [*_prompt_section(prompt, "relevant topics").split("\n"), ""]:
        numbered = _NUMBERED.fullmatch(line)
        if numbered or not line.strip():
            name, _, rest = paragraph.partition("- Keep:")
            keep, _, filter_text = rest.partition("- Filter:")
            if keep.strip():
                found[_key(name)] = (" ".join(keep.split()), " ".join(filter_text.split()))
            paragraph = numbered[2] if numbered else ""
        elif paragraph:
            paragraph = f"{paragraph} {line.strip()}"
    return found


def _prompt_section(prompt: str, heading: str) -> str:
    """The lines below a heading of the prompt, up to the next heading."""
    lines = prompt.split("\n")
    heads = {"scoring criteria", "topic registry", "papers", "instructions", "relevant topics"}
    start = next((n for n, line in enumerate(lines) if _heading_key(line) == heading), None)
    if start is None:
        return ""
    rest = lines[start + 1 :]
    end = next((n for n, line in enumerate(rest) if _heading_key(line) in heads), len(rest))
    return "\n".join(rest[:end])


def _heading_key(line: str) -> str:
    return _key(line.strip().lstrip("#").strip().rstrip(":"))


def _prompt_of(lines: Sequence[str]) -> str:
    """The prompt in full, without the quotation marks a Markdown page sets before its lines."""
    unquoted = [re.sub(r"^\s?>\s?", "", line) for line in lines]
    return "\n".join(unquoted).strip()


# ---------------------------------------------------------------- tables


class _Usage(NamedTuple):
    model: str
    tokens: list[float | None]
    cost: list[float | None]
    funnel: list[float | None]


def _usage(head: Sequence[str]) -> _Usage:
    """The usage table: `model Tokens prompt completion total fetched scanned kept`, `Cost …`."""
    model = ""
    tokens: list[float | None] = []
    cost: list[float | None] = []
    funnel: list[float | None] = []
    previous = ""
    for line in filter(None, head):
        plain = line.replace("`", "").replace("|", " ").strip()
        before, word, after = _around(plain, "tokens")
        if word and len(amounts := _amounts(after)) >= 2 and not tokens:
            model = before or (previous if len(previous.split()) == 1 else "")
            tokens, funnel = amounts[:3], amounts[3:6]
        elif plain.lower().startswith("cost") and not cost:
            cost = _amounts(plain[4:])[:3]
        elif (total := re.match(r"total relevant papers:\s*(\d+)", plain, re.I)) and not funnel:
            funnel = [None, None, float(total[1])]
        previous = plain
    return _Usage(model.strip(), tokens, cost, funnel)


def _around(text: str, word: str) -> tuple[str, str, str]:
    at = text.lower().find(word)
    if at < 0:
        return text, "", ""
    return text[:at].strip(), word, text[at + len(word) :]


def _amounts(text: str) -> list[float | None]:
    """The numbers of a row in order; a dash or n/a is None."""
    found = [match[0] for match in _AMOUNT.finditer(text)][:12]
    return [
        float(amount.replace(",", "")[:15]) if amount[0].isdigit() else None for amount in found
    ]


def _three(amounts: Sequence[float | None]) -> tuple[float | None, float | None, float | None]:
    padded = [*amounts, None, None, None]
    return padded[0], padded[1], padded[2]


def _whole(amount: float | None) -> int | None:
    return None if amount is None or amount > _LARGEST else int(amount)


def _coverage(head: Sequence[str], headings: Mapping[str, str]) -> dict[str, int]:
    """The coverage table: topic -> papers. A saved text may join name and number (`Memory9`).

    A name that itself ends in a digit is told apart by the headings below, which say `Name (9)`.
    """
    start = next(
        (n for n, line in enumerate(head) if _key(line).startswith("topic coverage")), None
    )
    if start is None:
        return {}
    coverage: dict[str, int] = {}
    for line in head[start + 1 :]:
        key = _key(line)
        if key.startswith("table of contents"):
            break
        row = line.replace("|", " ").strip()
        name = row.rstrip("0123456789")
        number = row[len(name) :]
        if found := headings.get(row):
            name, number = found, row[len(found) :]
        if _HEADING.fullmatch(line) or not name.strip() or not 0 < len(number) < 6:
            continue
        coverage[name.strip()] = int(number)
    return coverage


def _short(text: str) -> str:
    return text if len(text) <= 80 else text[:79] + "…"
