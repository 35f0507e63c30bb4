"""Reads a saved page of a daily wiki digest: a day told in sections, with its papers and threads.

The page is text, Markdown or HTML. Nothing is interpreted beyond what stands there: papers known by
name alone stay without identifier, counts are those the page states, and every thread member
carries the sentence that names it. A damaged page is read as far as it goes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cached_property
from html import unescape
from itertools import islice
from typing import Any, NamedTuple

from app.domain.identifiers import clean_date, parse_arxiv, parse_url, slugify, title_key
from app.domain.items import (
    Arrival,
    DigestArrival,
    Document,
    LinkArrival,
    MentionArrival,
    PageArrival,
    PaperArrival,
    Quotation,
    Ref,
    Rejected,
    Section,
    SourceRef,
    ThreadArrival,
)
from app.domain.questions import numbered
from app.domain.records import LinkStatus, PageKind, Relation, Role, SourceKind
from app.errors import Unreadable
from app.sources.base import File
from app.sources.page_text import is_html, page_lines

_SECTIONS = {
    "framing": "framing",
    "tldr": "tldr",
    "thebigpicture": "big-picture",
    "bigpicture": "big-picture",
    "deepdives": "deep-dives",
    "deepdive": "deep-dives",
    "industrypulse": "industry-pulse",
    "connectingthedots": "connecting-the-dots",
    "worthwatching": "worth-watching",
    "quickhits": "quick-hits",
    "ledger": "ledger",
}
_MONTHS = """
    January February March April May June July August September October November December
""".split()  # noqa: SIM905
_LEDGER = re.compile(r"sources ingested\b", re.IGNORECASE)


@dataclass(frozen=True)
class DigestPage:
    format: str = "digest-page"

    def recognises(self, file: File) -> bool:
        """A day, in a short line at the top or in the file's name, and two sections' names.

        Those that any note may have (a framing, a summary, the big picture) are not enough.
        """
        if file.data.lstrip()[:1] in (b"{", b"["):
            return False
        lines = _lines(File(name=file.name, data=file.data[:400_000]))
        found = {name for line in lines if (name := _section_name(line))}
        telling = found - {"framing", "ledger", "tldr", "big-picture"}
        return len(found) >= 2 and bool(telling) and bool(_day_of(lines, file.name))

    def read(self, file: File) -> Document:
        """Read one day's digest. Raises Unreadable when it names no day, or holds no section."""
        lines = _lines(file)
        day = _day_of(lines, file.name)
        if not day:
            raise Unreadable(f"{file.name} names no day, in its title or in its file name.")
        parts = _parts(_blocks(lines))
        if len(parts) < 2:
            raise Unreadable(f"{file.name} holds none of the sections of a digest.")
        reading = _Reading(day=day, parts=parts)
        arrivals = tuple(reading.arrivals())
        return Document(
            source=SourceRef(key="daily-digest", kind=SourceKind.DIGEST, name=reading.name),
            key=day,
            format=self.format,
            title=reading.title,
            published=day,
            arrivals=arrivals,
        )


# ---------------------------------------------------------------- lines: text, Markdown, HTML

_TAG = re.compile(r"<(/?)(a|strong|b|h[1-6]|pre)(?=[\s>])([^<>]{0,2000})>", re.IGNORECASE)
_HREF = re.compile(r"""href\s*=\s*["'](https?://[^"']{1,2000})["']""", re.IGNORECASE)
_KEPT = re.compile("\ue000(\\d{1,9})\ue001")


def _lines(file: File) -> list[str]:
    """The page's lines; of HTML, with headings, bold, links and drawings written as Markdown."""
    text = file.text()
    if not is_html(text):
        return _dedent(page_lines(file))
    drawings: list[str] = []
    marked = _marked(text.replace("\ue000", "").replace("\ue001", ""), drawings)
    lines: list[str] = []
    for line in page_lines(File(name=file.name, data=marked.encode("utf-8", "replace"))):
        kept = _KEPT.fullmatch(line.strip())
        if kept and int(kept[1]) < len(drawings):
            drawing = drawings[int(kept[1])].strip("\n").split("\n")
            lines += ["```", *(drawn.rstrip() for drawn in drawing), "```"]
        else:
            lines.append(re.sub(r"^• ", "- ", line))
    return lines


def _marked(html: str, drawings: list[str]) -> str:
    out: list[str] = []
    at, address, closes_left = 0, "", True
    for tag in _TAG.finditer(html):
        if tag.start() < at:
            continue
        out.append(html[at : tag.start()])
        at, closing, name = tag.end(), bool(tag[1]), tag[2].lower()
        if name == "pre":
            end = html.find("</pre", at) if not closing and closes_left else -1
            closes_left = closes_left and (closing or end >= 0)
            if end >= 0:
                inner = re.sub(r"<[^<>]{0,500}>", "", html[at:end])
                drawings.append(unescape(inner).replace("\r\n", "\n"))
                out.append(f"<p>\ue000{len(drawings) - 1}\ue001</p>")
                at = end
        elif name == "a":
            if closing:
                out.append(f"]({address})" if address else "")
                address = ""
            elif not address and (found := _HREF.search(tag[3])):
                address = unescape(found[1]).replace(")", "%29")
                out.append("[")
        elif name in ("b", "strong"):
            out.append("**")
        else:
            out.append(tag[0] if closing else f"{tag[0]}{'#' * int(name[1])} ")
    return "".join([*out, html[at:]])


def _dedent(lines: list[str]) -> list[str]:
    """Without the margin that all lines share."""
    margin = min((len(line) - len(line.lstrip(" ")) for line in lines if line.strip()), default=0)
    return [line[margin:] for line in lines] if margin else lines


# ---------------------------------------------------------------- days

_MONTH_NAMES = "|".join(month[:3] for month in _MONTHS)
_ISO = re.compile(r"(?<![\d-])(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})(?!\d)")
_WORDS_FIRST = re.compile(
    rf"\b({_MONTH_NAMES})[a-z]{{0,6}}\.? (\d{{1,2}})(?:st|nd|rd|th)?,? (\d{{4}})\b", re.IGNORECASE
)
_DAY_FIRST = re.compile(
    rf"\b(\d{{1,2}})(?:st|nd|rd|th)? ({_MONTH_NAMES})[a-z]{{0,6}}\.?,? (\d{{4}})\b", re.IGNORECASE
)
_SHORT_DAY = re.compile(r"(?<![\d.-])(?:(\d{4})-)?([01]\d)-([0-3]\d)(?![\d-]|\.\d)")


def _day_of(lines: Sequence[str], name: str) -> str:
    """The day of the digest: the first date in a short line near the top, or in the file name."""
    seen = 0
    for line in lines:
        if line.strip():
            seen += 1
        if seen > 40:
            break
        if len(line) <= 160 and (day := _date_in(line)):
            return day
    return _date_in(name)


def _date_in(text: str) -> str:
    if match := _ISO.search(text):
        return _iso(match[1], match[2], match[3])
    if match := _WORDS_FIRST.search(text):
        return _iso(match[3], _month(match[1]), match[2])
    if match := _DAY_FIRST.search(text):
        return _iso(match[3], _month(match[2]), match[1])
    return ""


def _month(name: str) -> str:
    return str([month[:3].lower() for month in _MONTHS].index(name[:3].lower()) + 1)


def _iso(year: str, month: str, day: str) -> str:
    whole = clean_date(f"{year}-{month:0>2}-{day:0>2}")
    return whole if len(whole) == 10 else ""


def _in_words(day: str) -> str:
    year, month, number = day.split("-")
    return f"{int(number)} {_MONTHS[int(month) - 1]} {year}"


# ---------------------------------------------------------------- the whole page


@dataclass
class _Reading:
    """One page being read: its sections first, then what they tell of."""

    day: str
    parts: list[_Part]
    things: _Things = field(default_factory=lambda: _Things())
    problems: list[Rejected] = field(default_factory=list)

    @property
    def title(self) -> str:
        return f"Digest of {_in_words(self.day)}"

    @cached_property
    def _head(self) -> tuple[list[_Block], list[_Block]]:
        """The lines that only name the page, and the others."""
        named: list[_Block] = []
        others: list[_Block] = []
        for block in self.parts[0].blocks:
            plain = block.plain
            short = len(plain) <= 60 and not plain.endswith((".", "!", "?"))
            dated = len(plain) <= 160 and bool(_date_in(plain)) and not plain.endswith(".")
            is_name = block.kind is _Kind.HEADING or dated or short
            (named if is_name and block.kind is not _Kind.DIAGRAM else others).append(block)
        return named, others

    @property
    def name(self) -> str:
        """The name of the digest, from its title lines."""
        for block in self._head[0]:
            words = _without_date(block.plain)
            if _date_in(block.plain) and words and words.lower() != "daily digest":
                return words if "digest" in words.lower() else f"{words} daily digest"
        return "Daily digest"

    def arrivals(self) -> Iterator[Arrival | Rejected]:
        ledger = [block for part in self.parts if part.name == "ledger" for block in part.blocks]
        facts, groups = _ledger_of(ledger)
        items = [self._items(part) for part in self.parts]
        _use_ledger(groups, self.things)
        threads = list(self._threads(items))
        yield self._digest(items, facts)
        for thing in self.things.all:
            yield thing.arrival()
        yield from _concepts(self._text, groups)
        yield from threads
        for thing in self.things.all:
            yield from self._mentions(thing)
        yield from self.problems
        yield from self._torn()

    @cached_property
    def _text(self) -> str:
        return "\n".join(block.plain for part in self.parts for block in part.blocks)

    # ------------------------------------------------------------ sections

    def _items(self, part: _Part) -> list[str]:
        """The titles of a section's entries; what deep dives and quick hits tell of is kept."""
        match part.name:
            case "deep-dives":
                return self._deep_dives(part)
            case "quick-hits":
                return self._quick_hits(part)
            case "ledger":
                return list(_ledger_of(part.blocks)[0].get("sources", ()))
            case "head" | "framing" | "big-picture" | "connecting-the-dots":
                return []
        entries = [head.plain for head, _ in part.entries() if head]
        spoken = [block for block in part.blocks if block.kind in _SPOKEN]
        if part.name in ("tldr", "worth-watching"):
            return entries or [block.plain for block in spoken]
        return entries or [_headline(block) for block in spoken]

    def _deep_dives(self, part: _Part) -> list[str]:
        titles: list[str] = []
        for heading, blocks in part.entries():
            if heading is None:
                if any(block.kind is not _Kind.HEADING for block in blocks):
                    self._problem(blocks[0], part, "It stands under no title")
                continue
            if not re.search(r"\w", heading.plain) or not blocks:
                self._problem(heading, part, "An entry needs a title and a text")
                continue
            titles.append(_without_id(heading.plain))
            _read_dive(_Dive.of(heading, blocks), self.things)
        return titles

    def _quick_hits(self, part: _Part) -> list[str]:
        titles: list[str] = []
        for heading, blocks in part.entries():
            hits = [block for block in blocks if block.kind in _SPOKEN]
            if heading:
                text = " ".join(block.text for block in hits)
                hits = [replace(heading, lines=[f"**{heading.text}** {text}"])]
            for block in hits:
                if _is_way_out(block.plain):
                    continue
                if group := _read_hit(block, self.things):
                    titles.append(" + ".join(thing.title for thing in group))
                else:
                    self._problem(block, part, "No title can be told from its text")
        return titles

    def _problem(self, block: _Block, part: _Part, reason: str) -> None:
        where = f"line {block.line} ({part.title or part.name})"
        self.problems.append(Rejected(where=where, reason=f"{reason}: {block.plain[:80]!r}."))

    def _digest(self, items: Sequence[list[str]], facts: dict[str, Any]) -> DigestArrival:
        framing = "\n\n".join(
            text
            for part in self.parts
            if part.name in ("head", "framing")
            and (text := _markdown(self._head[1] if part.name == "head" else part.blocks))
        )
        sections = [Section(name="framing", title="Framing", text=framing)] if framing else []
        filled = {part.name for part in self.parts if part.blocks}
        for part, titles in zip(self.parts, items, strict=True):
            if part.name in ("head", "framing") or (not part.blocks and part.name in filled):
                continue
            text = _markdown(part.blocks, bulleted=part.name == "quick-hits")
            sections.append(
                Section(name=part.name, title=part.title, text=text, items=tuple(titles))
            )
        told = [f"## {section.title}\n\n{section.text}".strip() for section in sections]
        body = "\n\n".join([framing, *told[1:]] if framing else told)
        page = PageArrival(
            ref=f"digest-{self.day}", kind=PageKind.DIGEST, title=self.title, text=body
        )
        return DigestArrival(
            day=self.day, page=page, framing=framing, sections=tuple(sections), ledger=facts
        )

    def _mentions(self, thing: _Thing) -> Iterator[MentionArrival]:
        for said in thing.said if thing.is_paper else ():
            yield MentionArrival(
                paper=thing.ref,
                section=said.section,
                day=self.day,
                text=said.text,
                source_name=said.source,
                tier=said.tier,
                tier_reason=said.tier_reason,
                why_it_matters=said.why,
            )

    def _torn(self) -> Iterator[Rejected]:
        """A page without a ledger whose last words are no sentence was cut."""
        if any(part.name == "ledger" for part in self.parts):
            return
        last = next((part.blocks[-1] for part in reversed(self.parts) if part.blocks), None)
        if last is None or last.kind not in _SPOKEN or _is_way_out(last.plain):
            return
        if not last.plain.endswith(tuple('.?!…:)]"”*')):
            yield Rejected(
                where=f"line {last.line}",
                reason=f"The page stops within a sentence: {last.plain[-60:]!r}.",
            )

    # ------------------------------------------------------------ threads

    def _threads(self, items: Sequence[list[str]]) -> Iterator[ThreadArrival | LinkArrival]:
        known = _Names(self.things.all)
        reader = _ThreadReader(self.day, self._text, self.things, known)
        for part, titles in zip(self.parts, items, strict=True):
            if part.name in ("head", "framing", "deep-dives", "quick-hits", "ledger"):
                continue
            for thread in _threads(part):
                if not thread.labelled and part.name != "connecting-the-dots":
                    continue
                if not thread.name or not thread.sentences:
                    where = f"line {thread.line} ({part.title})"
                    self.problems.append(
                        Rejected(where=where, reason="A thread needs a name and a text.")
                    )
                    continue
                members = reader.members(thread.sentences)
                if thread.labelled or len(members) > 1:
                    if part.name == "connecting-the-dots":
                        titles.append(thread.name)
                    yield from self._thread(thread, members, known)

    def _thread(
        self, thread: _Thread, members: Sequence[_Member], names: _Names
    ) -> Iterator[ThreadArrival | LinkArrival]:
        page = PageArrival(
            ref=slugify(thread.name),
            kind=PageKind.THREAD,
            title=thread.name,
            text=_markdown(thread.blocks),
        )
        yield ThreadArrival(page=page, claim=_claim(thread.sentences, names))
        for member, role in zip(members, _roles(members, thread, self.day), strict=True):
            quoted = [member.sentence, member.following]
            yield LinkArrival(
                source=member.thing.ref,
                relation=Relation.PART_OF,
                target=page.ref,
                role=role,
                note=_contribution(member),
                day=member.day,
                status=LinkStatus.ACCEPTED,
                evidence=tuple(Quotation(quote=quote) for quote in quoted if quote),
            )


def _without_date(text: str) -> str:
    for pattern in (_ISO, _WORDS_FIRST, _DAY_FIRST):
        text = pattern.sub("", text)
    return " ".join(text.split()).strip(" |·:,-–—#")


def _headline(block: _Block) -> str:
    """An entry's title; all of its words when it has none."""
    hit = _hit(block)
    return hit.title if hit else block.plain


# ---------------------------------------------------------------- blocks


class _Kind(StrEnum):
    HEADING = "heading"
    PARAGRAPH = "paragraph"
    BULLET = "bullet"
    DIAGRAM = "diagram"


@dataclass
class _Block:
    """A run of lines with `gap` blank lines before it.

    `level` is that of a heading (0: no `#`), or the number of a list item (0: a bullet).
    """

    kind: _Kind
    lines: list[str]
    line: int
    gap: int = 1
    level: int = 0
    fenced: bool = False

    @cached_property
    def text(self) -> str:
        return "\n".join(self.lines) if self.kind is _Kind.DIAGRAM else " ".join(self.lines)

    @cached_property
    def plain(self) -> str:
        return _plain(self.text)


_FENCE = re.compile(r"\s{0,3}(?:```|~~~)")
_HEADING = re.compile(r"\s{0,3}(#{1,6})\s+(\S.*)")
_BULLET = re.compile(r"\s*(?:[-*•–]|\d{1,2}[.)])\s+(?=\S)")
_RULE = re.compile(r"\s*[-*_=─━]{3,}\s*")
_BOX = re.compile("[\u2500-\u257f►◄▲▼]")
_LABEL = re.compile(
    r"[*_]{0,3}(sources?|links?|tier|why it matters|research angles?)\s{0,3}(?:[*_]{0,3}:|$)",
    re.IGNORECASE,
)


def _blocks(lines: Sequence[str]) -> list[_Block]:
    """Paragraphs, headings, list items and drawings. Wrapped lines are joined."""
    blanks = sum(not line.strip() for line in lines)
    unspaced = blanks * 10 < len(lines)
    out: list[_Block] = []
    at, gap, wraps = 0, 1, False
    while at < len(lines):
        line, start = lines[at], at
        at += 1
        if not line.strip() or _RULE.fullmatch(line):
            gap, wraps = gap + 1, False
            continue
        last = out[-1] if out else None
        if _FENCE.match(line):
            end = _fence_end(lines, at)
            out.append(_Block(_Kind.DIAGRAM, list(lines[at:end]), start + 1, gap, fenced=True))
            closed = end < len(lines) and _FENCE.match(lines[end])
            at, wraps = end + 1 if closed else end, False
        elif heading := _HEADING.fullmatch(line):
            text = heading[2].rstrip("# ") or heading[2]
            out.append(_Block(_Kind.HEADING, [text], start + 1, gap, len(heading[1])))
            wraps = False
        elif _is_drawn(line, last if gap <= 1 else None, wraps=wraps):
            if last and last.kind is _Kind.DIAGRAM and not last.fenced and gap <= 1:
                last.lines += [*[""] * gap, line]
            else:
                out.append(_Block(_Kind.DIAGRAM, [line], start + 1, gap))
            wraps = False
        elif bullet := _BULLET.match(line):
            number = int(re.sub(r"\D", "", bullet[0]) or 0)
            out.append(_Block(_Kind.BULLET, [line[bullet.end() :]], start + 1, gap, number))
            wraps = not unspaced
        elif wraps and last and not (_LABEL.match(line) or _section_name(line)):
            last.lines.append(line.strip())
        else:
            out.append(_Block(_Kind.PARAGRAPH, [line.strip()], start + 1, gap))
            wraps = not (unspaced or _section_name(line))
        gap = 0
    return out


def _fence_end(lines: Sequence[str], start: int) -> int:
    """Where a fenced drawing ends; one that nobody closed ends before the next section."""
    for at in range(start, len(lines)):
        if _FENCE.match(lines[at]) or _section_name(lines[at]):
            return at
    return len(lines)


def _is_drawn(line: str, last: _Block | None, *, wraps: bool) -> bool:
    indented = line.startswith(("  ", "\t"))
    if _BOX.search(line) and (indented or "  " in line.strip()):
        return True
    if wraps:
        return False
    if last and last.kind is _Kind.DIAGRAM and not last.fenced:
        return line.startswith(" ") or "   " in line
    return (indented and not _BULLET.match(line)) or "    " in line.strip()


_BOLD = re.compile(r"\*\*|__|(?<![\w*])\*(?=[^\s*])|(?<=[^\s*])\*(?![\w*])")
_LINK = re.compile(r"\[([^\[\]]{0,500})\]\((https?://[^()\s]{1,2000})\)")


def _plain(text: str) -> str:
    """The words, without Markdown's marks and link addresses."""
    return " ".join(_BOLD.sub("", _LINK.sub(r"\1", text)).split())


def _section_name(line: str) -> str:
    """The section a line is the heading of; '' for any other line."""
    if not 4 <= len(line) <= 60:
        return ""
    words = re.sub(r"\(\d{1,4}\)\s*$", "", _plain(line.strip().strip("#").strip()))
    if words.endswith((".", "!", "?", ",")):
        return ""
    return _SECTIONS.get(re.sub(r"[\W\d_]+", "", words.lower()), "")


# ---------------------------------------------------------------- sections


@dataclass
class _Part:
    """A section as it stands: its name ('head' before the first one), its title, its blocks."""

    name: str
    title: str
    blocks: list[_Block] = field(default_factory=list)

    @property
    def where(self) -> str:
        return self.title or "the beginning"

    def entries(self) -> list[tuple[_Block | None, list[_Block]]]:
        """The blocks under each heading of the highest level; first those under none."""
        heads = [b for b in self.blocks if b.kind is _Kind.HEADING and not _LABEL.match(b.plain)]
        highest = min((block.level for block in heads), default=0)
        out: list[tuple[_Block | None, list[_Block]]] = [(None, [])]
        for block in self.blocks:
            if block.kind is _Kind.HEADING and block.level == highest and _may_head(block):
                out.append((block, []))
            else:
                out[-1][1].append(block)
        return out


def _parts(blocks: Sequence[_Block]) -> list[_Part]:
    """The page cut into its sections, known and unknown; what stands before them comes first."""
    level = _section_level(blocks)
    parts = [_Part("head", "")]
    for at, block in enumerate(blocks):
        name = _section_name(block.text) if block.kind in _TITLES else ""
        if name:
            parts.append(_Part(name, block.plain.rstrip(":")))
        elif _LEDGER.match(block.plain) and block.kind is not _Kind.HEADING:
            if parts[-1].name != "ledger":
                parts.append(_Part("ledger", "Ledger"))
            parts[-1].blocks.append(block)
        elif len(parts) > 1 and (entry := _opens(blocks, at, level, parts[-1].name)) is not None:
            if entry:
                if parts[-1].name != "deep-dives":
                    parts.append(_Part("deep-dives", "Deep Dives"))  # its heading is lost
                block.kind, block.level = _Kind.HEADING, level + 1
                parts[-1].blocks.append(block)
            else:
                title = block.plain.rstrip(":")
                parts.append(_Part(slugify(title), title))
        else:
            parts[-1].blocks.append(block)
    return parts


_TITLES = (_Kind.HEADING, _Kind.PARAGRAPH)
_SPOKEN = (_Kind.PARAGRAPH, _Kind.BULLET)


def _section_level(blocks: Iterable[_Block]) -> int:
    """The level at which the page writes its sections; 0 when they are bare lines."""
    levels = [b.level for b in blocks if b.kind in _TITLES and _section_name(b.text)]
    return max(set(levels), key=levels.count) if levels else 0


def _opens(blocks: Sequence[_Block], at: int, level: int, section: str) -> bool | None:
    """Whether a block opens an entry (True), an unknown section (False) or nothing (None)."""
    block = blocks[at]
    if block.kind is _Kind.HEADING:
        if level and block.level > level:
            return None
        if _source_follows(blocks, at) or (section == "deep-dives" and _is_deep_dive(blocks, at)):
            return True
        return None if not level else False
    if block.kind is not _Kind.PARAGRAPH or level or not _may_head(block):
        return None
    if section == "deep-dives" or _source_follows(blocks, at):
        is_hook = blocks[at - 1].kind is _Kind.HEADING and block.gap < 2
        if _is_deep_dive(blocks, at) and (block.gap > 1 or _source_follows(blocks, at)):
            return None if is_hook else True
    return False if block.gap > 1 and _is_short(block) else None


def _may_head(block: _Block) -> bool:
    """Whether a block's words can be a title: one line, no sentence, none of the labels."""
    plain = block.plain
    return (
        len(plain) <= 250
        and not plain.endswith((".", "!", ";", ",", ":"))
        and not (_LABEL.match(plain) or _is_way_out(plain))
    )


def _is_short(block: _Block) -> bool:
    return len(block.plain) <= 60 and "(" not in block.plain


def _is_deep_dive(blocks: Sequence[_Block], at: int) -> bool:
    head = blocks[at].plain
    return ": " in head or " + " in head or _label_follows(blocks, at)


def _label_follows(blocks: Sequence[_Block], at: int) -> bool:
    """Whether one of a deep dive's labels comes before the next heading."""
    for block in blocks[at + 1 : at + 40]:
        if block.kind is _Kind.HEADING or (block.gap > 1 and _may_head(block)):
            return False
        if _LABEL.match(block.text):
            return True
    return False


def _source_follows(blocks: Sequence[_Block], at: int) -> bool:
    following = blocks[at + 1 : at + 3]
    return any(block.plain.lower().startswith(("source:", "sources:")) for block in following)


def _is_way_out(plain: str) -> bool:
    """A line of link words ("Full summary", "MinT summary · MAP summary") whose links are gone."""
    words = [piece.strip().lower() for piece in plain.strip("→ .").split("·")]
    return len(plain) <= 300 and all(
        piece.endswith("summary") and len(piece.split()) <= 6 for piece in words
    )


# ---------------------------------------------------------------- Markdown

_WAY_OUT = re.compile(r"\s{0,3}→ (?:full )?summary\s*$", re.IGNORECASE)


def _markdown(blocks: Sequence[_Block], *, bulleted: bool = False) -> str:
    """The blocks as Markdown, headings from the third level on; drawings exactly as they stand."""
    levels = [block.level for block in blocks if block.kind is _Kind.HEADING]
    highest = min(levels, default=0)
    out: list[str] = []
    previous: _Kind | None = None
    for block in blocks:
        text, kind = _WAY_OUT.sub("", block.text), block.kind
        if not text.strip() or _is_way_out(text):
            continue
        if kind is _Kind.HEADING:
            text = f"{'#' * min(6, 3 + block.level - highest)} {text}"
        elif kind is _Kind.DIAGRAM:
            runs = [len(run) for run in re.findall(r"`+", text)]
            fence = "`" * max([3, *(run + 1 for run in runs)])
            text = f"{fence}\n{text}\n{fence}"
        elif kind is _Kind.BULLET:
            text = f"{block.level}. {text}" if block.level else f"- {text}"
        elif bulleted:
            text, kind = f"- {text}", _Kind.BULLET
        elif label := _label(block):
            text = _with_bold_labels(text, fields=label in ("source", "links", "tier"))
        if out:
            out.append("\n" if kind is previous is _Kind.BULLET else "\n\n")
        out.append(text)
        previous = kind
    return "".join(out)


def _with_bold_labels(text: str, *, fields: bool) -> str:
    if text.startswith(("*", "_")):
        return text
    if fields:
        return _FIELD.sub(lambda m: f"{' ' if m.start() else ''}**{m[1]}:** ", text)
    name, colon, words = text.partition(":")
    return f"**{name}:** {words.strip()}" if colon else text


# ---------------------------------------------------------------- the page's papers and articles


@dataclass(frozen=True)
class _Said:
    """What one entry says of a paper."""

    section: str
    text: str
    source: str = ""
    tier: int | None = None
    tier_reason: str = ""
    why: str = ""


@dataclass
class _Thing:
    """A paper or an article of the page. `id` is `arxiv:…` or `url:…`; '' when only named."""

    title: str
    is_paper: bool
    id: str = ""
    aliases: list[str] = field(default_factory=list)
    questions: list[str] = field(default_factory=list)
    text: str = ""
    origin: str = ""
    told_today: bool = True
    said: list[_Said] = field(default_factory=list)

    @property
    def ref(self) -> Ref:
        bare = re.sub(r"(?<=\d)v\d+$", "", self.id) if self.is_paper else self.id
        return bare or (f"title:{self.title}" if self.is_paper else slugify(self.title))

    @property
    def names(self) -> list[str]:
        return [self.title, *self.aliases]

    def arrival(self) -> PaperArrival | PageArrival:
        if self.is_paper:
            return PaperArrival(
                refs=(self.id,) if self.id else (),
                title=self.title,
                keep=True,
                aliases=tuple(self.aliases),
                questions=tuple(self.questions),
            )
        return PageArrival(
            ref=self.ref,
            kind=PageKind.ARTICLE,
            title=self.title,
            text=self.text,
            aliases=tuple(self.aliases),
            questions=tuple(self.questions),
            extra={"origin": self.origin} if self.origin else {},
        )


@dataclass
class _Things:
    """All of them, each once: the same identifier or the same name is the same thing."""

    all: list[_Thing] = field(default_factory=list)
    _by_id: dict[str, _Thing] = field(default_factory=dict)
    _by_name: dict[tuple[bool, str], _Thing] = field(default_factory=dict)

    def add(self, title: str, *, is_paper: bool, id: str = "", told_today: bool = True) -> _Thing:
        """The thing of this title or identifier, new or known."""
        key = (is_paper, title_key(title))
        bare = re.sub(r"v\d+$", "", id)
        thing = self._by_id.get(bare) if id else None
        if thing is None and (named := self._by_name.get(key)) and not (id and named.id):
            thing = named
        if thing is None:
            thing = _Thing(title, is_paper, id, told_today=told_today)
            self.all.append(thing)
            self._by_name.setdefault(key, thing)
        thing.told_today = thing.told_today or told_today
        if id:
            thing.id = thing.id or id
            self._by_id.setdefault(bare, thing)
        return thing

    def name(self, thing: _Thing, alias: str) -> None:
        """Give a thing a short name, unless it is another one's."""
        key = (thing.is_paper, title_key(alias))
        if alias and alias not in thing.names and self._by_name.setdefault(key, thing) is thing:
            thing.aliases.append(alias)


_WORD = re.compile(r"[^\W_]+")


class _Found(NamedTuple):
    start: int
    end: int
    thing: _Thing


class _Names:
    """Finds the names of the page's things in running text; the case of letters counts."""

    def __init__(self, things: Iterable[_Thing]) -> None:
        self._by_first: dict[str, list[tuple[str, _Thing]]] = {}
        for thing in things:
            for name in thing.names:
                first = _WORD.match(name)
                known = self._by_first.setdefault(first[0], []) if first else None
                if known is not None and len(name) <= 120 and len(known) < 50:
                    known.append((name, thing))
        for known in self._by_first.values():
            known.sort(key=lambda entry: -len(entry[0]))

    def find(self, text: str) -> list[_Found]:
        """Where names stand, from left to right, the longest at each place."""
        out: list[_Found] = []
        for word in _WORD.finditer(text):
            at = word.start()
            if (out and at < out[-1].end) or (at and text[at - 1] in "-_"):
                continue
            for name, thing in self._by_first.get(word[0], ()):
                end = at + len(name)
                if text.startswith(name, at) and not re.match(r"\w", text[end : end + 1]):
                    out.append(_Found(at, end, thing))
                    break
        return out


_ARXIV = re.compile(
    r"(?:arxiv\.org/(?:abs|pdf|html)/|\barxiv\s?:?\s?|\bpaper )(\d{4}\.\d{4,5}(?:v\d{1,3})?)(?!\d)",
    re.IGNORECASE,
)


def _arxiv_in(text: str) -> str:
    """The first arXiv id that a text writes as such, as a reference; ''."""
    match = _ARXIV.search(text)
    found = parse_arxiv(match[1]) if match else None
    if match is None or found is None:
        return ""
    return f"{found}v{found.version}" if found.version else str(found)


# ---------------------------------------------------------------- deep dives

_FIELD = re.compile(r"(?:^|\s)[*_]{0,3}(sources?|links?|tier)[*_]{0,3}:[*_]{0,3}\s*", re.IGNORECASE)
_TIER = re.compile(r"\btier ([1-4])\b", re.IGNORECASE)
_ARTICLE = re.compile(
    r"\b(?:newsletters?|podcast|substack|blogs?|gmail|youtube|video|twitter|tweet|reddit|hacker news"
    r"|issue|episode|interview|coverage|essay|weekly)\b|\br/\w",
    re.IGNORECASE,
)
_PAPER = re.compile(r"\bpapers?\b|\bpreprints?\b|\barxiv\b", re.IGNORECASE)
_GENERIC = frozenset(
    ["position", "position paper", "survey", "a survey", "review", "perspective", "paper", "report"]
)
_ACRONYMS = {
    word.lower(): word
    for word in """
        AI AGI API CoT CPU CUDA DPO GPU GPUs GRPO HPC ICL KV LLM LLMs LoRA ML MLA MoE NLP OCR
        OPD PEFT PPO QA RAG RL RLHF RLVR SAE SAEs SFT SSM SSMs TPU VLA VLM VLMs VAE 2D 3D
    """.split()  # noqa: SIM905
}


def _research_questions(text: str, listed: Sequence[str]) -> list[str]:
    """What `numbered` takes apart; `listed` are list items under the label, and come first."""
    if listed:
        return [" ".join(item.split()) for item in listed if item.strip()]
    return numbered(text)


@dataclass
class _Dive:
    """One deep dive, as its labels divide it."""

    heading: _Block
    hook: str = ""
    body: list[_Block] = field(default_factory=list)
    fields: dict[str, str] = field(default_factory=dict)
    why: str = ""
    angle: str = ""
    listed: list[str] = field(default_factory=list)

    @staticmethod
    def of(heading: _Block, blocks: Sequence[_Block]) -> _Dive:
        dive, expected = _Dive(heading), ""
        for block in blocks:
            label = _label(block)
            if label in ("source", "links", "tier"):
                dive._fields_of(block.text)
            elif label:
                words = re.sub(r"^[^:]{0,40}:\s*", "", block.plain) if ":" in block.plain else ""
                dive._say(label, words)
                if label == "angle" or not words:
                    expected = label
                continue
            elif expected and block.kind is _Kind.BULLET and expected == "angle":
                dive.listed.append(block.plain)
                continue
            elif expected and block.kind is _Kind.PARAGRAPH and not dive._said(expected):
                dive._say(expected, block.plain)
                continue
            elif not (_is_way_out(block.plain) or (block.kind is _Kind.HEADING)):
                dive.body.append(block)
            expected = ""
        if dive.body and dive.body[0].kind is _Kind.PARAGRAPH:
            dive.hook = dive.body.pop(0).text
        return dive

    def _fields_of(self, text: str) -> None:
        pieces = _FIELD.split(text)
        for name, words in zip(pieces[1::2], pieces[2::2], strict=True):
            self.fields.setdefault(name.lower().rstrip("s"), words.strip())

    def _say(self, label: str, words: str) -> None:
        if label == "why":
            self.why = self.why or words
        else:
            self.angle = self.angle or words

    def _said(self, label: str) -> str:
        return self.why if label == "why" else self.angle

    @property
    def links(self) -> list[tuple[str, str]]:
        """The words of each link and, where it is kept, its address."""
        written = self.fields.get("link", "")
        found = _LINK.findall(written)
        return found or [(piece.strip(), "") for piece in written.split("·") if piece.strip()]

    @property
    def tier(self) -> tuple[int | None, str]:
        match = re.match(r"\D{0,9}([1-4])\b[\s.,:;(–—-]*(.*)", _plain(self.fields.get("tier", "")))
        return (int(match[1]), match[2].strip()) if match else (None, "")

    @property
    def source(self) -> str:
        return re.sub(r"\s*\([^()]*\)\s*$", "", _plain(self.fields.get("source", "")))

    @property
    def is_paper(self) -> bool:
        """A paper unless its source says otherwise."""
        if any("paper" in words.lower() or _arxiv_in(address) for words, address in self.links):
            return True
        return bool(_PAPER.search(self.source)) or not _ARTICLE.search(self.source)


def _label(block: _Block) -> str:
    """Which label a block opens with: source, links, tier, why, angle; '' for none."""
    match = _LABEL.match(block.text) if block.kind is not _Kind.DIAGRAM else None
    if match is None:
        return ""
    name = match[1].lower()
    if name.startswith(("why", "research")):
        return "why" if name.startswith("why") else "angle"
    return {"s": "source", "l": "links", "t": "tier"}[name[0]]


def _read_dive(dive: _Dive, things: _Things) -> list[_Thing]:
    """The papers (or the article) of a deep dive, with what it says and asks."""
    heading = dive.heading
    title = _without_id(heading.plain)
    id = _arxiv_in(heading.text)
    names = [] if id else _several(title, dive.links)
    if names:
        group = [things.add(name, is_paper=True, id=_id_of(name, dive.links)) for name in names]
        for thing in group:
            things.name(thing, _short_name(thing.title, dive.links))
    else:
        id = id or _arxiv_in(" ".join(address for _, address in dive.links))
        id = id or _arxiv_in(dive.fields.get("link", ""))
        group = [things.add(title, is_paper=dive.is_paper, id=id if dive.is_paper else "")]
        for alias in _short_names(title):
            things.name(group[0], alias)
    paragraphs = [block for block in dive.body if block.kind is not _Kind.DIAGRAM]
    tier, reason = dive.tier
    for thing in group:
        own = [b for b in paragraphs if len(group) == 1 or _concerns(b.plain, thing, group)]
        text = "\n\n".join(part for part in (dive.hook, _markdown(own)) if part)
        thing.said.append(_Said("Deep Dives", text, dive.source, tier, reason, dive.why))
        thing.text = thing.text or text
    for question in _research_questions(dive.angle, dive.listed):
        for thing in _asked(question, group):
            if question not in thing.questions:
                thing.questions.append(question)
    return group


def _asked(question: str, group: Sequence[_Thing]) -> list[_Thing]:
    """Whose question it is: theirs whom it names, else the first one's."""
    named = {id(found.thing) for found in _Names(group).find(question)}
    return [thing for thing in group if id(thing) in named] or [group[0]]


def _concerns(paragraph: str, thing: _Thing, group: Sequence[_Thing]) -> bool:
    """Of several papers, a paragraph that opens with one of their names is about that one."""
    found = _Names(group).find(paragraph[:60])
    return not (found and found[0].start == 0) or found[0].thing is thing


def _several(title: str, links: Sequence[tuple[str, str]]) -> list[str]:
    """The names in `A + B + C: what they share`; [] when it is one paper's title."""
    names = [name.strip() for name in title.partition(": ")[0].split(" + ")]
    names = [name for name in names if name]
    one = any(words.strip().lower() == "paper" for words, _ in links)
    return names if len(names) > 2 or (len(names) == 2 and not one) else []


def _id_of(name: str, links: Sequence[tuple[str, str]]) -> str:
    for words, address in links:
        first = words.split()[0] if words.split() else ""
        if first and name.startswith(first) and (id := _arxiv_in(address)):
            return id
    return ""


def _short_name(name: str, links: Sequence[tuple[str, str]]) -> str:
    """What a paper of several goes by: the word before "paper" in the links, or its first word."""
    for words, _ in links:
        short = re.sub(r"\s+paper$", "", words, flags=re.IGNORECASE).strip()
        if short != words and name.startswith(short):
            return short if short != name else ""
    first = name.split()[0]
    return first if _is_coined(first) and first != name else ""


def _short_names(title: str) -> list[str]:
    """`MinT` of `MinT: million-scale…`, `DAWN` of `DAWN World…`, both sides of `A & B`."""
    head, colon, _ = title.partition(": ")
    if colon and len(head.split()) <= 6 and head.lower() not in _GENERIC:
        return [head, head.removeprefix("The ")]
    words = head.split()
    if len(words) == 3 and words[1] in ("&", "and"):
        return [words[0], words[2]] if all(_is_coined(w, hyphen=True) for w in words[::2]) else []
    return words[:1] if len(words) > 1 and _is_coined(words[0]) else []


def _is_coined(word: str, *, hyphen: bool = False) -> bool:
    """Whether a word is a name made up for a method: capitals within it, and no acronym of all."""
    if word.lower() in _ACRONYMS or not word[0].isalpha():
        return False
    parts = [word] if hyphen else word.split("-")
    return any(sum(letter.isupper() for letter in part) > 1 for part in parts)


def _without_id(title: str) -> str:
    """A title without `(arXiv …)` at its end."""
    return (
        re.sub(r"\s*[\[(]arxiv[^()\[\]]{0,40}[\])]\s*\.?$", "", title, flags=re.I).strip() or title
    )


# ---------------------------------------------------------------- quick hits

_POINTED = re.compile(r"([^()]{1,300}?) ?\(([^()]{1,200})\)(?:\s*[.:–—-](?=\s|$)\s*|$)")


class _Hit(NamedTuple):
    title: str
    aside: str
    body: str


def _hit(block: _Block) -> _Hit | None:
    """A quick hit taken apart: title, what stands in brackets after it, the rest."""
    text = _WAY_OUT.sub("", block.text).strip()
    plain = _plain(text)
    bold = re.match(r"(?:\*\*|__)(.{1,300}?)(?:\*\*|__)|\[([^\[\]]{1,300})\]\(", text)
    lead = _plain(bold[1] or bold[2]).rstrip(".: ") if bold else ""
    if match := _POINTED.match(plain):
        title = match[1].strip()
        if (not lead or title.startswith(lead[:20])) and not re.search(r"[.!?] [A-Z]", title):
            return _Hit(title, match[2], plain[match.end() :])
    if lead and plain.startswith(lead):
        return _Hit(lead, "", plain[len(lead) :].lstrip(" .:–—-"))
    for cut in (": ", " — ", " – ", ". "):
        title, found, body = plain.partition(cut)
        if found and len(title) <= 120 and len(title.split()) <= 14 and ". " not in title:
            return _Hit(title, "", body.strip())
    return _Hit(plain, "", "") if plain and len(plain) <= 120 and not plain.endswith(".") else None


def _read_hit(block: _Block, things: _Things) -> list[_Thing]:
    """The papers or the article of a quick hit; none when no title can be told."""
    hit = _hit(block)
    if hit is None or not re.search(r"\w", hit.title):
        return []
    is_article = bool(_ARTICLE.search(hit.aside) or _ARTICLE.search(hit.title))
    id = _arxiv_in(f"{hit.title} ({hit.aside})")
    if not id and not is_article:
        id = _arxiv_in(_addresses(block.text)) or _arxiv_in(hit.body[:40])
    title = _without_id(hit.title)
    if not id and (is_article or not _is_paper_hit(hit)):
        thing = things.add(title, is_paper=False, id=_address(block.text))
        thing.text, thing.origin = thing.text or hit.body, thing.origin or hit.aside
        thing.said.append(_Said("Quick Hits", hit.body))
        return [thing]
    names = [title] if id else title.split(" + ")
    shorts = [short.strip() for short in hit.aside.split(",")] if len(names) > 1 else []
    group = [things.add(name.strip(), is_paper=True, id=id) for name in names if name.strip()]
    for at, thing in enumerate(group):
        if len(shorts) == len(group):
            things.name(thing, shorts[at])
        for alias in _short_names(thing.title):
            things.name(thing, alias)
        tier, reason = _tier_in(hit.body)
        thing.said.append(_Said("Quick Hits", hit.body, tier=tier, tier_reason=reason))
    return group


def _is_paper_hit(hit: _Hit) -> bool:
    """Whether a hit without identifier is called a paper at its beginning, or has a tier."""
    first = _sentences(hit.body)[0] if hit.body else ""
    return bool(_PAPER.search(f"{hit.aside} {hit.title} {first}") or _TIER.search(hit.body))


def _tier_in(text: str) -> tuple[int | None, str]:
    """`Tier 3, vision generation, but …` -> 3, "vision generation"."""
    match = _TIER.search(text)
    if match is None:
        return None, ""
    sentence = _sentences(text[match.end() :] or ".")[0]
    reason = re.split(r",? but\b|, noted\b|\) ", sentence)[0]
    return int(match[1]), reason.strip(" .,:;()–—")


def _addresses(text: str) -> str:
    return " ".join(address for _, address in _LINK.findall(text))


def _address(text: str) -> str:
    """The first web address of an article's entry, as a reference; ''."""
    found = _LINK.search(text)
    parsed = parse_url(found[2]) if found else None
    return str(parsed) if parsed and parsed.scheme == "url" else ""


_SENTENCE_END = re.compile(r"[.?!][\"”’)]{0,2}\s+(?=[\"“‘(@]?[A-Z0-9@λ])")
_NOT_THE_END = ("e.g.", "i.e.", "vs.", "cf.", "al.", "Fig.", "No.", "Dr.", "approx.")


def _sentences(text: str) -> list[str]:
    """The sentences of a paragraph, verbatim; at least one."""
    out: list[str] = []
    start = 0
    for match in _SENTENCE_END.finditer(text):
        if text.endswith(_NOT_THE_END, start, match.start() + 1):
            continue
        out.append(text[start : match.end()].strip())
        start = match.end()
    return [*out, text[start:].strip()] if text[start:].strip() or not out else out


# ---------------------------------------------------------------- ledger


@dataclass(frozen=True)
class _Group:
    """`4 Tier 2 agentic: DAgger, MAP`: how many pages, of which kind, which."""

    count: int | None
    kind: str
    tier: int | None
    names: tuple[str, ...]

    def as_extra(self) -> dict[str, Any]:
        return {
            "count": self.count,
            "kind": self.kind,
            "tier": self.tier,
            "names": list(self.names),
        }


_CONTAINERS = re.compile(r"subs?|subreddits?|feeds?|accounts?|slots?|shows?|lists?", re.IGNORECASE)


def _ledger_of(blocks: Iterable[_Block]) -> tuple[dict[str, Any], list[_Group]]:
    """The counts the page's last lines state, by name, and the groups of pages they list."""
    facts: dict[str, Any] = {}
    groups: list[_Group] = []
    for piece in (piece for block in blocks for piece in _split(block.plain, "|")):
        name, colon, said = (part.strip() for part in piece.partition(":"))
        if not colon or not said:
            continue
        if _LEDGER.match(name) or name.lower() == "sources":
            facts["sources"] = dict(_source(entry) for entry in _split(said, ","))
            continue
        number = re.match(r"\D{0,3}(\d[\d,]*)", said)
        fact: dict[str, Any] = {"count": _number(number[1]) if number else None, "detail": said}
        if "pages" in name.lower() and (opens := said.find("(")) >= 0:
            listed = _groups(said[opens + 1 :].rstrip(" .)"))
            fact["groups"] = [group.as_extra() for group in listed]
            groups += listed
        facts[slugify(name).replace("-", "_")] = fact
    return facts, groups


def _source(entry: str) -> tuple[str, dict[str, Any]]:
    """`Twitter morning (22 tweets) + evening (3 tweets)` -> its name, count and further slots."""
    slots = [_slot(slot) for slot in re.split(r"(?<=\)) \+ ", entry)]
    name, fact = slots[0]
    if len(slots) > 1:
        fact["also"] = [{"name": other, **more} for other, more in slots[1:]]
    return name, fact


def _slot(text: str) -> tuple[str, dict[str, Any]]:
    name, _, detail = (part.strip() for part in text.partition("("))
    detail = detail.removesuffix(")")
    counted = re.findall(r"(?<![\w.-])(\d[\d,]*) ([A-Za-z]+)", detail or name)
    items = [number for number, unit in counted if not _CONTAINERS.fullmatch(unit)]
    if not detail and (bare := re.match(r"(.{1,80}?):? (\d[\d,]*)(?: |$)", name)):
        name, detail, items = bare[1], name[len(bare[1]) :].strip(" :"), [bare[2]]
    return name, {"count": _number(items[0]) if items else None, "detail": detail}


def _number(digits: str) -> int | None:
    plain = digits.replace(",", "")
    return int(plain) if plain.isascii() and plain.isdigit() and len(plain) <= 12 else None


def _groups(text: str) -> list[_Group]:
    out: list[_Group] = []
    for piece in _split(text, ";"):
        head, _, names = (part.strip() for part in piece.partition(":"))
        counted = re.match(r"(\d{1,6}) (.*)", head)
        kind = counted[2] if counted else head
        tier = _TIER.search(kind)
        listed = tuple(name.strip() for name in names.split(",") if name.strip())
        if kind or listed:
            count = int(counted[1]) if counted else None
            out.append(_Group(count, kind, int(tier[1]) if tier else None, listed))
    return out


def _split(text: str, separator: str) -> list[str]:
    """Cut at the separators that stand outside brackets."""
    out, start, depth = [], 0, 0
    for at, letter in enumerate(text):
        if letter in "()":
            depth = max(0, depth + (1 if letter == "(" else -1))
        elif letter == separator and not depth:
            out.append(text[start:at].strip())
            start = at + 1
    return [piece for piece in [*out, text[start:].strip()] if piece]


def _use_ledger(groups: Iterable[_Group], things: _Things) -> None:
    """The short names and tiers that the ledger gives to papers of this page."""
    papers = [thing for thing in things.all if thing.is_paper]
    titles = [(f" {_words(thing.title)} ", thing) for thing in papers]
    exact: dict[str, list[_Thing]] = {}
    for thing in papers:
        for name in thing.names:
            exact.setdefault(name, []).append(thing)
    told = [group for group in groups if "concept" not in group.kind.lower()]
    named = [(name, group.tier) for group in told for name in group.names]
    for name, tier in named[:100]:
        words = f" {_words(name)} "
        meant = exact.get(name) or [thing for title, thing in titles if words in title]
        if len(meant) != 1:
            continue
        things.name(meant[0], name)
        if tier is not None:
            meant[0].said = [s if s.tier else replace(s, tier=tier) for s in meant[0].said]


def _words(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.lower()))


# ---------------------------------------------------------------- concepts

_CONCEPT = re.compile(r"((?:\b[A-Z][\w-]{0,40} )?\b[\w-]{2,60}) concept pages?\b")


def _concepts(text: str, groups: Iterable[_Group]) -> list[PageArrival]:
    """The concept pages that the ledger lists and the text names; nothing but their names."""
    slugs: dict[str, None] = {}
    for group in groups:
        if "concept" in group.kind.lower():
            slugs.update((slugify(name.removesuffix(".md")), None) for name in group.names)
    for match in _CONCEPT.finditer(text):
        name = re.sub(r"^(?:The|A|An|This|Its|Our) ", "", match[1])
        if "-" in name.strip("-") or name != name.lower():
            slugs[slugify(name)] = None
    return [
        PageArrival(ref=slug, kind=PageKind.CONCEPT, title=_concept_title(slug)) for slug in slugs
    ]


def _concept_title(slug: str) -> str:
    """`rl-for-llms` -> "RL for LLMs"."""
    words = [_ACRONYMS.get(word, word) for word in slug.split("-") if word]
    title = " ".join(words)
    return title[:1].upper() + title[1:] if words and words[0] == words[0].lower() else title


# ---------------------------------------------------------------- threads

_THREAD = re.compile(
    r"(?:cross-paper )?threads?(?: ?#? ?\d{1,3})?\s?[:.—–-]\s?(?=\S)|cross-paper thread(?: ?#?\d{1,3})?$",
    re.IGNORECASE,
)
_QUOTED = re.compile('["“\'‘]([^"“”]{2,150}?)[.,]?["”\'’][.:]?\\s*')
_NOUN = re.compile(
    r"(?:'s|’s)?\s+(retweet|tweet|position paper|paper|preprint|piece|newsletter|post|report|essay"
    r"|article|episode|blog|issue|coverage)\b"
)
_WRITTEN = frozenset(
    "piece newsletter post report essay article episode blog issue coverage tweet".split()  # noqa: SIM905
)
_ASIDE = re.compile(r"\s*\(([^()]{1,120})\)")
_ON_DAY = re.compile(r" on (?=[01]\d-[0-3]\d)")
_STARTERS = frozenset(
    """
        The A An And But In On Of As At Both Pair Pairs Together While When This That These
        Those Read Also See Like With Then Here Now It Its Two Three Four Five Today
        Yesterday
    """.split()  # noqa: SIM905
)
_EVERYDAY = frozenset(
    """
        follow-up state-of-the-art long-form peer-reviewed pre-registered open-source
        best-paper high-profile well-known single-author companion-paper cross-paper
    """.split()  # noqa: SIM905
)
_ROLES = (
    (Role.CONTRADICTS, re.compile(r"\bcontradict|\brefut(?:e|es|ed|ing)\b", re.IGNORECASE)),
    (Role.FORMALISES, re.compile(r"\bformal(?:i[sz]|ly|\b)|\bclosed[- ]form|\btheorem", re.I)),
    (
        Role.MEASURES,
        re.compile(r"\bmeasur|\bquantif|\d\s?(?:%|percent) of\b|\bscores?\b|\bcorrelat", re.I),
    ),
    (Role.EXTENDS, re.compile(r"\bextend(?:s|ed|ing)?\b|\bgenerali[sz]es?\b", re.IGNORECASE)),
)
_ECHO = re.compile(r"\bamplif(?:y|ies|ied)|\bechoe?s\b|\bconfirms\b|\bsupports\b", re.IGNORECASE)
_COUNTING = re.compile(
    r"(?:both|all|together|two|three|four|five|six|seven|eight|nine|ten|\d{1,2})\b.{0,80}?\b(?:say"
    r"|argue|show|have|make|form|converge|agree|point|push|put|treat|move|find|are|land|report|share)\b",
    re.IGNORECASE,
)
_SHARED = re.compile(r"\bnow ha(?:s|ve)\b|\bsame (?:thing|claim|conclusion)\b|\bconverg", re.I)
_NO_CLAIM = re.compile(
    r"(?:if|the next|how|read|pair|expect|what|who|whether)\b|.{0,200}\bshould expect\b", re.I
)


@dataclass
class _Thread:
    """A thread as the page tells it; `greedy` when it has a heading, so that all under it counts."""

    name: str
    labelled: bool
    greedy: bool
    line: int
    blocks: list[_Block] = field(default_factory=list)

    @cached_property
    def sentences(self) -> list[str]:
        spoken = [b for b in self.blocks if b.kind in (_Kind.PARAGRAPH, _Kind.BULLET)]
        return [s for block in spoken for s in _sentences(block.plain) if s]


def _threads(part: _Part) -> Iterator[_Thread]:
    """The threads of a section: labelled paragraphs, or headings with what stands under them."""
    thread: _Thread | None = None
    for block in part.blocks:
        match = _THREAD.match(block.plain) if block.kind is not _Kind.DIAGRAM else None
        if match or block.kind is _Kind.HEADING:
            if thread:
                yield thread
            name, text = _thread_name(block, match.end() if match else 0)
            thread = _Thread(name, bool(match), block.kind is _Kind.HEADING, block.line)
            if text:
                thread.blocks.append(_Block(_Kind.PARAGRAPH, [text], block.line))
        elif thread and (thread.greedy or not thread.blocks or block.kind is _Kind.BULLET):
            thread.blocks.append(block)
        elif thread:
            yield thread
            thread = None
    if thread:
        yield thread


def _thread_name(block: _Block, cut: int) -> tuple[str, str]:
    """A thread's name, in quotation marks, in bold or up to the first full stop; and the rest."""
    plain = block.plain[cut:].strip()
    if quoted := _QUOTED.match(plain):
        name, text = quoted[1], plain[quoted.end() :]
    elif block.kind is _Kind.HEADING:
        name, text = plain, ""
    else:
        bold = re.match(r"\*\*(.{1,300}?)\*\*", block.text)
        lead = _plain(bold[1])[cut:].strip() if bold else ""
        first = re.match(r"(.{2,200}?)[.?!:](?:\s+|$)", plain)
        name = lead or (first[1] if first else plain[:200])
        text = plain[len(name) :].lstrip(" .:?!—–")
    name = name.strip(" .:?!\"“”'‘’")[:200]
    return name[:1].upper() + name[1:], text.strip()


def _claim(sentences: Sequence[str], names: _Names) -> str:
    """The sentence that says what the members have in common, verbatim."""
    best, highest = "", -100
    for at, sentence in enumerate(sentences):
        named = len({id(found.thing) for found in names.find(sentence)})
        score = (at == 0) + 3 * bool(_COUNTING.match(sentence)) + 2 * bool(_SHARED.search(sentence))
        score += (named > 2) - (named == 1)
        if sentence.endswith("?") or _NO_CLAIM.match(sentence):
            score -= 4
        if score > highest:
            best, highest = sentence, score
    return best


@dataclass
class _Member:
    """Where a thread first names one of its members, and the day that one came up."""

    thing: _Thing
    end: int
    sentence: str
    following: str = ""
    day: str = ""


class _Spotted(NamedTuple):
    """A name in a sentence; `known` when it is one of the page's things, else it is to be added."""

    start: int
    end: int
    title: str
    known: _Thing | None = None
    is_paper: bool = True
    id: str = ""


@dataclass
class _ThreadReader:
    """Finds who takes part in a thread: the page's things, and others named with a date or kind."""

    day: str
    text: str
    things: _Things
    names: _Names
    looked_up: int = 0

    @cached_property
    def _dated(self) -> dict[str, list[tuple[str, str]]]:
        """Under each word shortly before a date, anywhere on the page: those words, and the day."""
        out: dict[str, list[tuple[str, str]]] = {}
        for match in _SHORT_DAY.finditer(self.text):
            before = _sentences(self.text[max(0, match.start() - 80) : match.start()])[-1]
            day = self.day_of(match)
            for word in set(_WORD.findall(before)) if day else ():
                found = out.setdefault(word, [])
                if len(found) < 20:
                    found.append((before, day))
        return out

    def day_of(self, match: re.Match[str]) -> str:
        """A date without year is of the digest's year, unless it would lie in the future."""
        if match[1]:
            return _iso(match[1], match[2], match[3])
        year = int(self.day[:4])
        if f"{match[2]}-{match[3]}" > self.day[5:]:
            year -= 1
        return _iso(f"{year:04}", match[2], match[3])

    @cached_property
    def _titles(self) -> list[tuple[str, _Thing]]:
        """The words of the titles of the page's papers, for those named by a part of one."""
        told = [thing for thing in self.things.all if thing.is_paper and thing.told_today]
        return [(f" {_words(thing.title)} ", thing) for thing in told[:1000]]

    def members(self, sentences: Sequence[str]) -> list[_Member]:
        """Each once, where it is named first, in that order."""
        out: dict[int, _Member] = {}
        for at, sentence in enumerate(sentences):
            spotted = self._spotted(sentence)
            things = [self._thing(spot) for spot in spotted]
            distinct = len({id(thing) for thing in things})
            following = sentences[at + 1] if at + 1 < len(sentences) and distinct > 1 else ""
            if not following.startswith(("Both ", "They ", "All ", "Together ")):
                following = ""
            ends = self._ends(sentence, spotted)
            for spot, thing, end in zip(spotted, things, ends, strict=True):
                member = out.setdefault(id(thing), _Member(thing, end, sentence, following))
                member.day = member.day or self._own_day(sentence, spot)
        for member in out.values():
            member.day = member.day or self._day_elsewhere(member)
        return list(out.values())

    def _thing(self, spot: _Spotted) -> _Thing:
        if spot.known:
            return spot.known
        named = self.names.find(spot.title)
        if named and named[0].end - named[0].start == len(spot.title):
            return named[0].thing
        words = f" {_words(spot.title)} "
        meant = [thing for title, thing in self._titles if words in title]
        if len(meant) == 1 and words.count(" ") > 2:
            return meant[0]
        return self.things.add(spot.title, is_paper=spot.is_paper, id=spot.id, told_today=False)

    # ------------------------------------------------------------ who

    def _spotted(self, sentence: str) -> list[_Spotted]:
        found = self.names.find(sentence)
        spots = [_Spotted(at, end, thing.title, known=thing) for at, end, thing in found]
        for end, noun, aside in islice(_name_ends(sentence), 200):
            spot = self._name_before(sentence[:end], noun, aside)
            if spot and not any(s.start < spot.end and spot.start < s.end for s in spots):
                spots.append(spot)
        return sorted(spots, key=lambda spot: spot.start)

    def _name_before(self, head: str, noun: str, aside: str) -> _Spotted | None:
        """The name at the end of `head`, which a noun such as "paper" or a date follows."""
        start = _name_start(head)
        name = head[start:].strip('"“”‘’ ')
        if len(name) < 2:
            return self._lower_case_name(head) if noun else None
        id = _arxiv_in(aside)
        if not id and (of := _OF_WHOM.search(head[max(0, start - 100) : start])):
            words = [word for word in of[1].split() if word.lower() not in ("the", "a", "an")]
            return _Spotted(start, len(head), " ".join([name, *words]), is_paper=False)
        is_paper = bool(id) or not (noun in _WRITTEN or _outlet(aside))
        return _Spotted(start, len(head), name, is_paper=is_paper, id=id)

    def _lower_case_name(self, head: str) -> _Spotted | None:
        """`the refusal-neurons paper`: a compound that the page uses elsewhere too is a name."""
        match = re.search(r"(?<![\w-])([a-z][a-z0-9]{1,30}-[a-z0-9-]{2,40})$", head)
        if match is None or match[1] in _EVERYDAY or self.looked_up > 200:
            return None
        self.looked_up += 1
        if self.text.count(match[1]) < 2:
            return None
        return _Spotted(match.start(), match.end(), match[1][:1].upper() + match[1][1:])

    # ------------------------------------------------------------ when

    def _own_day(self, sentence: str, spot: _Spotted) -> str:
        """A date in brackets after the name, or `on 05-12`; for an outsider one before it, too."""
        rest = sentence[spot.end :]
        noun = _NOUN.match(rest)
        rest = rest[noun.end() :] if noun else rest
        if aside := _ASIDE.match(rest):
            if re.search(r"\btoday\b", aside[1], re.IGNORECASE):
                return self.day
            if found := _SHORT_DAY.search(aside[1]):
                return self.day_of(found)
        if (on := _ON_DAY.match(rest)) and (found := _SHORT_DAY.match(rest, on.end())):
            return self.day_of(found)
        if spot.known is None and (before := _SHORT_DAY.search(sentence[: spot.start])):
            return self.day_of(before)
        return ""

    def _day_elsewhere(self, member: _Member) -> str:
        thing = member.thing
        if thing.is_paper and thing.told_today:
            return self.day
        for name in thing.names:
            first = _WORD.search(name)
            for before, day in self._dated.get(first[0], ()) if first else ():
                if name in before:
                    return day
            lower = name[:1].lower() + name[1:]
            first = _WORD.search(lower)
            for before, day in self._dated.get(first[0], ()) if first else ():
                if lower in before:
                    return day
        return self.day if thing.told_today else ""

    # ------------------------------------------------------------ what it adds

    def _ends(self, sentence: str, spotted: Sequence[_Spotted]) -> list[int]:
        """Where what is said of each begins: after its noun and brackets, and its companions."""
        ends: dict[int, int] = {}
        for spot in reversed(spotted):
            end = spot.end
            if noun := _NOUN.match(sentence, end):
                end = noun.end()
            if (aside := _ASIDE.match(sentence, end)) and _is_dated(aside[1]):
                end = aside.end()
            if joined := _JOINED.match(sentence, end):
                end = ends.get(joined.end(), end)
            ends[spot.start] = end
        return [ends[spot.start] for spot in spotted]


_JOINED = re.compile(r"\s*(?:\+|, and|,|and|&)\s+(?:the |The )?")
_OF_WHOM = re.compile(r"([\w-]{1,40}(?: [\w-]{1,40}){0,2}) (?:from|by) $")
_NOT_AN_OUTLET = re.compile(
    r"@\w+|\b(?:today|retweets?|papers?|preprint|arxiv|twitter)\b", re.IGNORECASE
)


def _is_dated(aside: str) -> bool:
    today = re.search(r"\btoday\b", aside, re.IGNORECASE)
    return bool(today or _SHORT_DAY.search(aside) or _ARXIV.search(aside))


def _outlet(aside: str) -> str:
    """The letters of where something appeared, in brackets that hold more than a date or an id."""
    return re.sub(r"[\W\d_]+", "", _NOT_AN_OUTLET.sub("", aside)) if _is_dated(aside) else ""


def _name_ends(sentence: str) -> Iterator[tuple[int, str, str]]:
    """Where a name may end: before dated brackets, before a noun; with noun and brackets."""
    for aside in _ASIDE.finditer(sentence):
        if _is_dated(aside[1]):
            tail = max(0, aside.start() - 30)
            noun = next((n for n in _NOUN.finditer(sentence, tail, aside.start())), None)
            if noun and noun.end() == aside.start():
                yield noun.start(), noun[1], aside[1]
            else:
                yield aside.start(), "", aside[1]
    for on in _ON_DAY.finditer(sentence):
        yield on.start(), "", ""
    for noun in _NOUN.finditer(sentence):
        yield noun.start(), noun[1], ""


def _name_start(head: str) -> int:
    """Where the capitalised words at the end of `head` begin; its length when there are none."""
    start = len(head.rstrip())
    words = list(re.finditer(r"\S+", head[max(0, len(head) - 120) :]))
    offset, small = max(0, len(head) - 120), False
    for count, word in enumerate(reversed(words)):
        core = word[0].strip('"“”‘’')
        possessive = core.endswith(("'s", "’s"))
        if count and (core.endswith((",", ";", ":", ".", "!", "?", ")")) or possessive):
            break
        if core in ("of", "the", "for") and count and not small:
            small = True
            continue
        if core in _STARTERS or core[:1] in "@(#" or not any(letter.isupper() for letter in core):
            break
        if count > 7:
            break
        start, small = offset + word.start() + len(word[0]) - len(word[0].lstrip('"“‘')), False
    return start


def _contribution(member: _Member) -> str:
    """The clause that says what a member adds, in the page's words."""
    if member.following:
        return member.following.rstrip(".")[:300]
    sentence = member.sentence
    rest = sentence[member.end :]
    told = _ASIDE.fullmatch(rest.rstrip(" .;,"))
    clause = told[1] if told else rest.split(";")[0]
    clause = re.sub(r"^(?:'s|’s)\b", "", clause).strip(" .,:—–")
    if len(clause.split()) < 2:
        before = sentence[: member.end].rpartition("; ")[2]
        clause = (before + rest.split(";")[0]).strip(" .")
    return clause[:300]


def _roles(members: Sequence[_Member], thread: _Thread, day: str) -> list[Role]:
    """The earliest dated one starts; of the others, the words said of them decide."""
    earlier = [m for m in members if m.day and m.day < day and not _ECHO.search(m.sentence)]
    first = min(earlier, key=lambda member: member.day, default=None)
    out: list[Role] = []
    for member in members:
        words = _contribution(member)
        hook = member.thing.said[0].text.partition("\n")[0] if member.thing.said else ""
        formal = "formal version" in hook.lower() and "formal" in thread.name.lower()
        said = next((role for role, cue in _ROLES if cue.search(words)), Role.SUPPORTS)
        out.append(Role.STARTS if member is first else Role.FORMALISES if formal else said)
    return out
