"""A model's reply about the papers of a day, read strictly: which marks count, and why the rest do not.

The contract is one JSON object a line and paper. What a reply holds beside that is left out; what
can be put right without a guess is put right and counted; everything else counts for nothing and
says why, so that the paper can be asked about again.

    what a reply holds                                   what becomes of it
    ---------------------------------------------------  --------------------------------------------
    code fences, words around the objects                left out, counted
    a JSON array; an object that holds one list of them  read as its objects, counted
    objects over several lines                           read
    a comma before a closing bracket                     left out, counted
    text that is no JSON, cut off, or nested too deep    rejected; reading goes on at the next line
    a field twice in one object                          rejected
    further fields                                       left out, counted
    names of fields in other case                        read, counted
    ARXIVID with a version, "arXiv:" or an address       read, counted
    ARXIVID missing, no text, or of no paper asked about rejected
    two objects for one paper that say the same          one counts, counted
    two objects for one paper that differ                rejected, both: nobody knows which is meant
    RELEVANCE, NOVELTY as 8.0 or "8"                     8, counted
    RELEVANCE, NOVELTY missing, 7.5, "high", true, NaN   rejected
    RELEVANCE, NOVELTY outside 1..10                     rejected: no mark is made up
    COMMENT missing, empty or no text                    rejected
    another comment missing or no text                   empty, counted
    a comment with links, HTML, pictures                 their words alone, counted
    a comment of more than 400 characters                cut at a word, counted
    PRIMARY_TOPIC_ID missing or not in the registry      rejected
    a topic in other case or with spaces around it       read, counted
    MATCHED_TOPIC_IDS without the primary topic          added, counted where there are several
    MATCHED_TOPIC_IDS with unknown or repeated topics    those left out, counted
    a list given as one text                             a list of one, counted
    a list missing or of another type                    empty, counted
    a tag other than daily_hot and new_frontier          left out, counted
    a hotspot comment without a tag                      left out, counted
    a tag without a hotspot comment                      left out, counted: a claim needs its reason
    invisible characters, lone surrogates                left out

Pure: no clock, no database, no model. Never raises for what a reply says.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from app.domain.identifiers import parse_arxiv
from app.domain.untrusted import line, plain, prose

TAGS = ("daily_hot", "new_frontier")
LONGEST = 400  # characters of a comment
FIELDS = (
    "ARXIVID",
    "COMMENT",
    "RELEVANCE",
    "NOVELTY",
    "PRIMARY_TOPIC_ID",
    "MATCHED_TOPIC_IDS",
    "TOPIC_MATCH_COMMENT",
    "HOTSPOT_PAPER_TAGS",
    "HOTSPOT_PAPER_COMMENT",
)
_MOST_TEXT = 1_000_000  # characters of a reply that are read; no model says so much at once
_MOST_BROKEN = 100  # pieces that are no JSON; after so many the rest is none either
_BETWEEN = " \n\t,[]"  # what may stand between two objects
_MENDED = 20_000  # characters within which a broken object is mended


@dataclass(frozen=True)
class ModelMarks:
    """What a model says of one paper. `topics` are ids, the primary one first."""

    relevance: int
    novelty: int
    topic: str | None
    topics: tuple[str, ...]
    comment: str
    topic_comment: str
    tags: tuple[str, ...] = ()
    hotspot_comment: str = ""


@dataclass(frozen=True)
class Rejected:
    """A piece of a reply that does not count: its line, whose it is ("" if unknown), a sentence why."""

    line: int
    paper: str
    reason: str


@dataclass(frozen=True)
class Read:
    """A reply as it counts.

    `marks` by id of the paper; `missing` are the papers without, in the order they were asked
    about; `repairs` counts in words what was put right or left out.
    """

    marks: dict[str, ModelMarks]
    missing: tuple[str, ...]
    rejected: tuple[Rejected, ...]
    repairs: dict[str, int] = field(default_factory=dict)

    def why(self, paper: str) -> str:
        """Why a missing paper has no marks, in one sentence."""
        said = [each.reason for each in self.rejected if each.paper == paper]
        return said[-1] if said else "The model said nothing about it."


class _Refused(Exception):
    """An object that does not count; its text is the reason."""


class _Fields(dict[str, Any]):
    """A JSON object, and the names that stood in it more than once."""

    twice: frozenset[str] = frozenset()


def read(text: str, papers: Sequence[str], topics: Sequence[str]) -> Read:
    """Reads a reply about `papers` (ids as they were shown) with the ids of the topic registry."""
    repairs: Counter[str] = Counter()
    rejected: list[Rejected] = []
    asked = {paper: paper for paper in papers}
    known = {topic.casefold(): topic for topic in topics}
    found: dict[str, ModelMarks] = {}
    torn: set[str] = set()
    for at, said in _objects(text, repairs, rejected):
        paper = ""
        # What is left out of an object that does not count need not be counted.
        put_right: Counter[str] = Counter()
        try:
            named = _named(said, put_right)
            paper = _paper(named.get("ARXIVID"), asked, put_right)
            _once(said, named)
            marks = _marks(named, known, put_right)
        except _Refused as refusal:
            rejected.append(Rejected(at, paper, str(refusal)))
            continue
        repairs.update(put_right)
        if paper in torn:
            rejected.append(Rejected(at, paper, _TORN))
        elif paper not in found:
            found[paper] = marks
        elif found[paper] == marks:
            repairs["the same said twice"] += 1
        else:
            del found[paper]
            torn.add(paper)
            rejected.append(Rejected(at, paper, _TORN))
    marks_in_order = {paper: found[paper] for paper in asked if paper in found}
    missing = tuple(paper for paper in asked if paper not in found)
    return Read(marks_in_order, missing, tuple(rejected), dict(repairs))


_TORN = "The reply has two different lines for this paper."


# ------------------------------------------------------------------------------ objects


def _objects(
    text: str, repairs: Counter[str], rejected: list[Rejected]
) -> Iterator[tuple[int, _Fields]]:
    """The JSON objects of a reply with their lines, those within a list or wrapper one by one."""
    text = plain(text)
    if len(text) > _MOST_TEXT:
        text = text[:_MOST_TEXT]
        rejected.append(Rejected(0, "", f"The reply is longer than {_MOST_TEXT:,} characters."))
    at, counted, lines, broken = 0, 0, 1, 0
    while (start := _next(text, at)) >= 0:
        if text[at:start].strip(_BETWEEN):
            repairs["text around the objects"] += 1
        lines += text.count("\n", counted, start)
        counted = start
        value, end, mended = _value(text, start)
        if value is None:
            broken += 1
            rejected.append(Rejected(lines, _named_in(text, start), _unreadable(text, start)))
            # Only a new line is taken for a new beginning: what stands behind a broken text may be
            # words out of it, and those speak for nobody.
            at = text.find("\n", start) + 1
            if not at or broken >= _MOST_BROKEN:
                return
            continue
        if mended:
            repairs["comma before a closing bracket"] += 1
        at = end
        for each in _unwrapped(value, repairs):
            if isinstance(each, _Fields):
                yield lines, each
            else:
                rejected.append(Rejected(lines, "", "What stands here is no object."))
    if text[at:].strip(_BETWEEN):
        repairs["text around the objects"] += 1


def _next(text: str, at: int) -> int:
    """Where the next object begins, from where the last one ended or a line begins; -1: nowhere.

    Behind other words on the line of the last one none does: they may be words out of it.
    """
    while (start := text.find("{", at)) >= 0:
        fresh = at == 0 or text[at - 1] == "\n" or text.find("\n", at, start) >= 0
        if fresh or not text[at:start].strip(_BETWEEN):
            return start
        at = text.find("\n", start) + 1
        if not at:
            return -1
    return -1


def _value(text: str, start: int) -> tuple[_Fields | None, int, bool]:
    """The object that begins at `start`, where it ends, and whether it was mended."""
    try:
        value, end = _DECODER.raw_decode(text, start)
        return value, end, False
    except (ValueError, RecursionError):
        pass
    mended, end = _without_commas(text, start)
    if mended:
        try:
            return _DECODER.decode(mended), end, True
        except (ValueError, RecursionError):
            pass
    return None, start, False


def _pairs(pairs: list[tuple[str, Any]]) -> _Fields:
    fields = _Fields(pairs)
    if len(fields) < len(pairs):
        fields.twice = frozenset(
            n for n, times in Counter(n for n, _ in pairs).items() if times > 1
        )
    return fields


_DECODER = json.JSONDecoder(object_pairs_hook=_pairs, strict=False)


def _without_commas(text: str, start: int) -> tuple[str, int]:
    """The object at `start` without commas before closing brackets; "" when it has none or no end."""
    kept: list[str] = []
    depth, quoted, escaped, dropped = 0, False, False, False
    for place in range(start, min(len(text), start + _MENDED)):
        sign = text[place]
        if quoted:
            kept.append(sign)
            if escaped:
                escaped = False
            elif sign == "\\":
                escaped = True
            elif sign == '"':
                quoted = False
            continue
        if sign in "}]":
            last = next((n for n in range(len(kept) - 1, -1, -1) if not kept[n].isspace()), 0)
            if kept and kept[last] == ",":
                del kept[last]
                dropped = True
            depth -= 1
        elif sign in "{[":
            depth += 1
        elif sign == '"':
            quoted = True
        kept.append(sign)
        if not depth:
            return ("".join(kept) if dropped else ""), place + 1
    return "", start


def _unwrapped(value: _Fields, repairs: Counter[str]) -> Sequence[Any]:
    """The object; or those of the one list that it is a wrapper of."""
    if any(name.strip().upper() == "ARXIVID" for name in value):
        return [value]
    lists = [each for each in value.values() if isinstance(each, list)]
    if len(lists) == 1 and lists[0] and all(isinstance(each, _Fields) for each in lists[0]):
        repairs["objects within another one"] += 1
        return lists[0]
    return [value]


def _unreadable(text: str, start: int) -> str:
    """Why an object could not be read, in a sentence."""
    try:
        _DECODER.raw_decode(text, start)
    except RecursionError:
        return "The JSON is nested too deep."
    except json.JSONDecodeError as error:
        if error.pos >= len(text.rstrip()) or error.msg.startswith("Unterminated"):
            return "The line is cut off before its end."
        return f"This is no JSON: {error.msg.lower()} at character {error.pos - start + 1} of it."
    except ValueError:  # a number with more digits than Python reads
        pass
    return "This is no JSON."


_ID_IN = re.compile(r'\{\s*"ARXIVID"\s*:\s*"([^"\\\n]{1,100})"')


def _named_in(text: str, start: int) -> str:
    """The id that a broken object begins with; it says whose line was lost and decides nothing."""
    found = _ID_IN.match(text, start)
    return found[1] if found else ""


# ------------------------------------------------------------------------------ fields


def _named(said: _Fields, repairs: Counter[str]) -> dict[str, Any]:
    """The fields of the contract by their names."""
    named: dict[str, Any] = {}
    for name, value in said.items():
        proper = name.strip().upper()
        if proper not in FIELDS:
            repairs["further field"] += 1
            continue
        if proper != name:
            repairs["name of a field in other case"] += 1
        named[proper] = value
    return named


def _once(said: _Fields, named: Mapping[str, Any]) -> None:
    proper = Counter(name.strip().upper() for name in said)
    twice = sorted(
        {n.strip().upper() for n in said.twice} | {n for n, k in proper.items() if k > 1}
    )
    if any(name in named for name in twice):
        raise _Refused(f"{next(name for name in twice if name in named)} stands in it twice.")


def _paper(value: Any, asked: Mapping[str, str], repairs: Counter[str]) -> str:
    if not isinstance(value, str) or not value.strip():
        raise _Refused("It does not say which paper it is about.")
    name = line(value[:500])
    if name in asked:
        return name
    found = parse_arxiv(name)
    if found is not None and found.value in asked:
        repairs["id written otherwise"] += 1
        return found.value
    raise _Refused(f"Nobody asked about {line(name)[:60]!r}.")


def _marks(
    named: Mapping[str, Any], topics: Mapping[str, str], repairs: Counter[str]
) -> ModelMarks:
    relevance = _mark("RELEVANCE", named.get("RELEVANCE"), repairs)
    novelty = _mark("NOVELTY", named.get("NOVELTY"), repairs)
    topic = _topic(named.get("PRIMARY_TOPIC_ID"), topics, repairs)
    comment = _comment("COMMENT", named, repairs)
    if not comment:
        raise _Refused("COMMENT says nothing.")
    hotspot = _comment("HOTSPOT_PAPER_COMMENT", named, repairs)
    tags = _tags(named, repairs)
    if hotspot and not tags:
        hotspot = ""
        repairs["hotspot comment without a tag"] += 1
    if tags and not hotspot:
        tags = ()
        repairs["tag without a hotspot comment"] += 1
    matched = _matched(named, topic, topics, repairs)
    about = _comment("TOPIC_MATCH_COMMENT", named, repairs)
    return ModelMarks(relevance, novelty, topic, matched, comment, about, tags, hotspot)


def _mark(name: str, value: Any, repairs: Counter[str]) -> int:
    if value is None:
        raise _Refused(f"{name} is missing.")
    mark = value
    if isinstance(mark, str) and re.fullmatch(r"\s*[0-9]{1,3}\s*", mark, re.ASCII):
        mark = int(mark)
    if isinstance(mark, float) and mark.is_integer():
        mark = int(mark)
    if isinstance(mark, bool) or not isinstance(mark, int):
        raise _Refused(f"{name} is no whole number: {_shown(value)}.")
    if not 1 <= mark <= 10:
        raise _Refused(f"{name} is not from 1 to 10: {_shown(value)}.")
    if not isinstance(value, int):
        repairs["number written otherwise"] += 1
    return mark


def _shown(value: Any) -> str:
    """The beginning of a value, for a sentence."""
    if isinstance(value, list | dict):
        return "a list" if isinstance(value, list) else "an object"
    try:
        return line(repr(value)[:60])
    except ValueError:  # a whole number with more digits than Python writes
        return "a number of very many digits"


def _topic(value: Any, topics: Mapping[str, str], repairs: Counter[str]) -> str | None:
    if not topics:
        return None
    if not isinstance(value, str) or not value.strip():
        raise _Refused("PRIMARY_TOPIC_ID is missing.")
    name = line(value[:500])
    topic = topics.get(name.casefold())
    if topic is None:
        raise _Refused(f"No topic of the registry is called {name[:60]!r}.")
    if topic != value:
        repairs["topic written otherwise"] += 1
    return topic


def _matched(
    named: Mapping[str, Any], primary: str | None, topics: Mapping[str, str], repairs: Counter[str]
) -> tuple[str, ...]:
    if primary is None:
        return ()
    given = _texts("MATCHED_TOPIC_IDS", named, repairs)
    found = [topics.get(line(each[:500]).casefold()) for each in given]
    known = list(dict.fromkeys(topic for topic in found if topic is not None))
    if len(known) < len(given):
        repairs["unknown or repeated topic"] += len(given) - len(known)
    if known and primary not in known:
        repairs["primary topic missing among the matched"] += 1
    return (primary, *(topic for topic in known if topic != primary))


def _tags(named: Mapping[str, Any], repairs: Counter[str]) -> tuple[str, ...]:
    given = [each.strip() for each in _texts("HOTSPOT_PAPER_TAGS", named, repairs)]
    found = tuple(tag for tag in TAGS if tag in given)
    if len(found) < len(given):
        repairs["unknown or repeated tag"] += len(given) - len(found)
    return found


def _texts(name: str, named: Mapping[str, Any], repairs: Counter[str]) -> list[str]:
    """A field that is a list of texts."""
    value = named.get(name)
    if isinstance(value, str):
        if value.strip():
            repairs["list written as one text"] += 1
        return [value] if value.strip() else []
    if not isinstance(value, list):
        repairs["list missing"] += 1
        return []
    texts = [each for each in value if isinstance(each, str)]
    if len(texts) < len(value):
        repairs["other than text in a list"] += len(value) - len(texts)
    return texts


def _comment(name: str, named: Mapping[str, Any], repairs: Counter[str]) -> str:
    value = named.get(name)
    if not isinstance(value, str):
        repairs["comment missing"] += 1
        return ""
    said = prose(value, LONGEST)
    if said.endswith("…") and len(value) > LONGEST:
        repairs["comment cut"] += 1
    elif said != line(value):
        repairs["markup in a comment"] += 1
    return said
