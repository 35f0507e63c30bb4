"""Which terms of a wiki's papers deserve a page: their ways of writing joined, weighed, named.

A term is worth a page when several papers have it for a subject (it stands in titles, is said again,
has an acronym), when it says more than the longer terms around it (the C-value of Frantzi and
Ananiadou, as a share), and when it tells papers of this wiki apart. Pure.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from app.domain.terms import may_stand_alone, term_key

LEAST = 3  # papers
_SUREST = 0.92  # about so many of the best were accepted, of three lists read by eye
_MOST_SHARE = 0.35  # of the papers of a wiki: what more of them say tells nothing apart
_SMALL = 20  # papers of a wiki too small for that
_WITHIN = 0.65  # of a term's papers that also have one longer term: that one is meant
_HELD = 0.6  # of a subject's papers that one concept has, whose name says a part of it: covered
_SAME = 0.7  # of the papers of two terms that share a word: they are one subject


@dataclass(frozen=True)
class Use:
    """A paper that has a term; as `terms.Term` says it, `paper` being the id of its page."""

    paper: int
    key: str
    written: str
    weight: int


@dataclass(frozen=True)
class Subject:
    """A term with all its ways of writing; `papers` by id. `longer`: keys of longer terms that have
    it within, whose papers count as its own.

    `confidence` is the guessed chance that a reader wants a page of it, by `signals` (name, part).
    """

    key: str
    keys: tuple[str, ...]
    title: str
    aliases: tuple[str, ...]
    papers: tuple[int, ...]
    confidence: float = 0.0
    signals: tuple[tuple[str, float], ...] = ()
    longer: tuple[str, ...] = ()


def expansions(pairs: Iterable[tuple[str, int]]) -> dict[str, str]:
    """Keys of acronyms -> keys of what they mostly stand for, from (written, papers) of the terms.

    Only what two papers agree on, and more than half of those that say what it stands for.
    """
    said: dict[str, Counter[str]] = {}
    for written, papers in pairs:
        long, short = split(written)
        if short and (key := term_key(short)) and (full := term_key(long)) and key != full:
            said.setdefault(key, Counter())[full] += papers
    found = {}
    for key, counts in said.items():
        full, papers = counts.most_common(1)[0]
        if papers >= 2 and papers > counts.total() / 2:
            found[key] = full
    return found


def split(written: str) -> tuple[str, str]:
    """The expansion and the acronym of a term as a paper writes it; without one, the term and ""."""
    if written.endswith(")") and " (" in written:
        long, _, short = written[:-1].rpartition(" (")
        return long, short
    return written, ""


def spelled_out(key: str, full: Mapping[str, str]) -> str:
    """A key with each acronym in it spelled out: the same for every way of writing a term."""
    return " ".join(full.get(stem, stem) for stem in key.split())


def variants(key: str, full: Mapping[str, str]) -> set[str]:
    """The keys under which a term may stand: as it is, spelled out, and with acronyms put in."""
    long = spelled_out(key, full)
    found = {key, long}
    for short, expansion in full.items():
        found |= {f" {one} ".replace(f" {expansion} ", f" {short} ").strip() for one in (key, long)}
    return found


def too_common(papers: int) -> float:
    """How many of a wiki's papers may say a term before it tells nothing apart."""
    return papers * _MOST_SHARE if papers >= _SMALL else papers


def promise(papers: int, titled: int, weight: float) -> float:
    """A first look at a term that so many papers have, by the sum of its weights: more is better."""
    return 0.6 * math.log2(papers / LEAST) + math.log2(1 + titled) + 0.8 * (weight / papers - 2)


def subjects(
    uses: Sequence[Use],
    *,
    papers: int,
    full: Mapping[str, str],
    counts: Mapping[str, int] | None = None,
    unplaced: Collection[int] = (),
) -> list[Subject]:
    """The subjects among these terms that are worth a page, best first.

    uses: the papers of the terms that are judged. papers: how many the wiki has. full: acronyms'
    `expansions`. counts: how many papers have each key, where `uses` may not hold them all.
    unplaced: papers that no concept of the wiki fits.
    """
    groups: dict[str, _Group] = {}
    for use in uses:
        groups.setdefault(spelled_out(use.key, full), _Group()).add(use)
    most = too_common(papers)
    common = {spelled_out(key, full) for key, count in (counts or {}).items() if count > most} | {
        key for key, group in groups.items() if len(group.papers) > most
    }
    kept = {
        key: group
        for key, group in groups.items()
        if len(group.papers) >= LEAST and key not in common
    }
    longer = _longer(kept)
    for key, others in longer.items():
        for other in others if " " in key else ():  # who says the longer term says this one too
            kept[key].join(kept[other])
    kept = {key: group for key, group in kept.items() if len(group.papers) <= most}
    found = []
    for key, group in kept.items():
        within = max(
            (
                len(group.papers.keys() & kept[other].papers.keys())
                for other in longer.get(key, ())
                if other in kept
            ),
            default=0,
        )
        share = within / len(group.papers)
        if share >= _WITHIN or _adds_nothing(key, common):
            continue
        subject = _judged(key, group, papers, share, unplaced)
        if " " in subject.title or may_stand_alone(subject.title):
            found.append(subject)
    found.sort(key=lambda subject: (-subject.confidence, subject.key))
    return _distinct(found)


def _adds_nothing(key: str, common: Collection[str]) -> bool:
    """Whether a term is but a piece of one that most papers have ("large language")."""
    return any(f" {key} " in f" {other} " for other in common)


@dataclass
class _Group:
    """One subject as it is gathered: by paper, the greatest weight of its uses."""

    papers: dict[int, int] = field(default_factory=dict)
    keys: Counter[str] = field(default_factory=Counter)
    written: Counter[str] = field(default_factory=Counter)
    longer: set[str] = field(default_factory=set)

    def add(self, use: Use) -> None:
        self.papers[use.paper] = max(use.weight, self.papers.get(use.paper, 0))
        self.keys[use.key] += 1
        self.written[use.written] += 1

    def join(self, other: _Group) -> None:
        self.longer.update(other.keys)
        for paper, weight in other.papers.items():
            self.papers[paper] = max(weight, self.papers.get(paper, 0))

    @property
    def titled(self) -> int:
        return sum(weight >= 3 for weight in self.papers.values())


def _longer(groups: Mapping[str, _Group]) -> dict[str, list[str]]:
    """Of each key the keys that have it within."""
    found: dict[str, list[str]] = {}
    for key in groups:
        stems = key.split()
        for start in range(len(stems)):
            for end in range(start + 1, len(stems) + 1):
                part = " ".join(stems[start:end])
                if part != key and part in groups:
                    found.setdefault(part, []).append(key)
    return found


def _judged(
    key: str, group: _Group, papers: int, within: float, unplaced: Collection[int]
) -> Subject:
    count, titled = len(group.papers), group.titled
    weight = sum(group.papers.values()) / count
    free = sum(paper in unplaced for paper in group.papers) / count
    words = len(key.split())
    parts = {
        "papers": 0.6 * math.log2(count / LEAST),
        "titles": 1.0 * math.log2(1 + titled) - 1.0,
        "salience": 0.8 * (weight - 2),
        "words": -1.5 if words == 1 else 0.3,
        "alone": -1.5 * within,
        "distinct": 0.35 * (math.log2((papers + 1) / count) - 3) if papers >= _SMALL else 0.0,
        "unplaced": 0.4 * free,
    }
    odds = sum(parts.values())
    title, aliases = named(group.written)
    return Subject(
        key=key,
        keys=tuple(sorted(group.keys)),
        longer=tuple(sorted(group.longer)),
        title=title,
        aliases=aliases,
        papers=tuple(sorted(group.papers)),
        confidence=round(_SUREST / (1 + math.exp(-odds / 2)), 4),
        signals=tuple(
            (name, round(part, 3))
            for name, part in sorted(parts.items(), key=lambda each: -each[1])
        ),
    )


def _distinct(found: Sequence[Subject]) -> list[Subject]:
    """Without what a better one says in other words, or of the same papers."""
    kept: list[Subject] = []
    by_root: dict[str, list[int]] = {}
    for subject in found:
        roots = _roots(subject.key)
        rivals = {place for root in roots for place in by_root.get(root, ())}
        if any(_is_same(subject, kept[place]) for place in rivals):
            continue
        for root in roots:
            by_root.setdefault(root, []).append(len(kept))
        kept.append(subject)
    return kept


def _is_same(subject: Subject, better: Subject) -> bool:
    own, other = _roots(subject.key), _roots(better.key)
    if own == other or (own > other and own - other <= _SAYS_LITTLE):
        return True
    if own > other or own < other:
        return False
    papers, theirs = set(subject.papers), set(better.papers)
    return len(papers & theirs) >= _SAME * min(len(papers), len(theirs))


def _roots(key: str) -> frozenset[str]:
    """The stems of a key, nearly alike ones as one: "optimizer" and "optimization"."""
    roots = {_DERIVED.sub("", stem)[:6] for stem in key.split()} - _SAYS_NOTHING
    return frozenset(roots) or frozenset([key])


_DERIVED = re.compile(r"(?<=....)(?:ic|er|or|al|iv|at)$")
_SAYS_NOTHING = frozenset(["bas", "base", "driven", "power", "enabl", "enhanc", "larg"])
# Words that a longer term adds to a shorter one without being about something else.
_SAYS_LITTLE = frozenset(["reason", "prompt", "model", "system", "approa", "techni", "method"])


# ---------------------------------------------------------------- what has a page


class Covered:
    """What the concepts of a wiki say already, by their names."""

    def __init__(self, names: Iterable[tuple[int, str]], full: Mapping[str, str]) -> None:
        """names: (concept, one of its names). full: acronyms' `expansions`."""
        self._within: set[str] = set()
        self._stems: dict[int, list[frozenset[str]]] = {}
        for concept, name in names:
            key = spelled_out(term_key(name), full)
            stems = key.split()
            self._within.update(
                " ".join(stems[start:end])
                for start in range(len(stems))
                for end in range(start + 1, min(len(stems), start + 8) + 1)
            )
            if stems:
                self._stems.setdefault(concept, []).append(frozenset(stems))

    def says(self, key: str) -> bool:
        """Whether a concept's name has this key within."""
        return key in self._within

    def has(self, subject: Subject, about: Mapping[int, int]) -> bool:
        """Whether a concept's name says the subject, or has most of its papers and says a part.

        about: concepts, and how many papers of the subject each has.
        """
        if self.says(subject.key):
            return True
        stems = set(subject.key.split())
        return any(
            papers >= _HELD * len(subject.papers)
            and any(name <= stems for name in self._stems.get(concept, ()))
            for concept, papers in about.items()
        )


# ---------------------------------------------------------------- names


def named(written: Mapping[str, int]) -> tuple[str, tuple[str, ...]]:
    """A title and other names, from how often papers write a term in which way.

    The title is the most frequent way, an acronym alone being spelled out; the first letter large,
    the others as most papers have them within a sentence.
    """
    plain: Counter[str] = Counter()
    for way, count in written.items():
        long, short = split(way)
        plain[long] += count
        if short:
            plain[short] += count
    folded: dict[str, Counter[str]] = {}
    for name, count in plain.items():
        folded.setdefault(" ".join(name.replace("-", " ").casefold().split()), Counter())[name] += (
            count
        )
    ways = sorted(
        ((counts.total(), _cased(counts)) for counts in folded.values()),
        key=lambda each: (-each[0], each[1]),
    )
    full = [name for _, name in ways if not _is_bare(name)]
    title = full[0] if full else ways[0][1]
    others = [
        name
        for count, name in ways
        if name != title
        and count > 1
        and (term_key(name) != term_key(title) or _singular(name) == _singular(title))
    ]
    return _begun_large(title), tuple(_begun_large(name) for name in others[:4])


def _is_bare(name: str) -> bool:
    return " " not in name and sum(map(str.isupper, name)) >= 2


def _cased(counts: Counter[str]) -> str:
    """The most frequent way, with the words small that one paper in ten writes small."""
    name = counts.most_common(1)[0][0]
    ways = [(_PART.findall(way), count) for way, count in counts.items()]
    parts = _PART.findall(name)
    for place, part in enumerate(parts):
        said: Counter[str] = Counter()
        for way, count in ways:
            if len(way) == len(parts):
                said[way[place]] += count
        small = part.lower()
        if said[small] >= 0.1 * said.total() and not _is_acronym_like(said, small):
            parts[place] = small
        else:
            del said[small]
            parts[place] = said.most_common(1)[0][0]
    every = iter(parts)
    return _PART.sub(lambda _: next(every), name)


_PART = re.compile(r"[^\W_]+")


def _is_acronym_like(said: Counter[str], small: str) -> bool:
    """Whether most write it with two capitals: KV, SQL, LoRA."""
    large = sum(count for way, count in said.items() if sum(map(str.isupper, way)) >= 2)
    return 2 * large > said.total()


def _singular(name: str) -> str:
    """A name as its plural would be compared: "software engineers" is no "software engineering"."""
    return " ".join(part.casefold().removesuffix("s") for part in _PART.findall(name))


def _begun_large(name: str) -> str:
    first = _PART.match(name)
    return name if first and first[0] != first[0].lower() else name[:1].upper() + name[1:]
