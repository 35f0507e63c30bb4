"""Threads that nobody wrote yet: three or more papers that say the same of the same thing.

A thread is a claim, not a topic. So papers are not compared: their *statements* are, the sentences
in which authors say what they found, what is wrong, or what they chose. A group is one statement of
each of several papers that share two telling words at least, of which one (the core) is rare in the
wiki, and that are alike pair by pair: by sentence vectors where there are some, else by words. Its
name comes from what they share, its claim is a sentence of one of them. Pure.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from app.domain.definitions import places
from app.domain.latex import formulas
from app.domain.membership import role
from app.domain.records import Role
from app.domain.sentences import sentence_spans
from app.domain.terms import Term, term_key, terms
from app.domain.threads import day_of
from app.domain.words import STOP, initials, words
from app.domain.words import stem as stem_of
from app.domain.words import stems as stems_of

LEAST = 3  # papers of a group
MOST = 8
FLOOR = 0.5  # confidence from which a group is proposed
LOWEST = 0.1  # below which it is not worth a look
_READ = 20_000  # characters of a text that are looked at
_SHORTEST, _LONGEST = 50, 330  # characters of a statement
_MOST_STATEMENTS = 8  # of a paper
_RARE = 0.08  # of the papers at most say the core of a group
_TELLING = 0.3  # of the papers at most say a word that counts as shared
_FEW = 6  # papers may say a rare word, however few papers there are
_ALIKE = 0.42  # cosine of two statements' vectors, at least
_ALIKE_IN_WORDS = 0.12  # cosine of their words, where there are no vectors
_AT_ONCE = 40  # statements of one core that are compared

Array = NDArray[np.float32]


class Kind(StrEnum):
    """What a statement does."""

    FINDING = "finding"
    DIAGNOSIS = "diagnosis"
    CHOICE = "choice"


@dataclass(frozen=True)
class Source:
    """A kept paper as it is read for statements. `day` is ISO or ""; `authors` may be unknown."""

    paper: int
    title: str
    text: str
    day: str = ""
    authors: tuple[str, ...] = ()
    where: str = "abstract"  # which of its texts `text` is


@dataclass(frozen=True)
class Statement:
    """A sentence of a paper's text, as it stands there, and its telling stems.

    `moves` are what it says in the abstract ("few": a small part does most of it), whatever it speaks
    of; `strength` (0..1.5) says how much it is a claim.
    """

    paper: int
    text: str
    kinds: frozenset[Kind]
    moves: frozenset[str]
    strength: float
    stems: frozenset[str]


@dataclass(frozen=True)
class Rarity:
    """How many of the `papers` say a stem; of a stem nobody was asked about, none."""

    counts: Mapping[str, int]
    papers: int

    def idf(self, stem: str) -> float:
        return math.log((self.papers + 1) / (self.counts.get(stem, 0) + 1))

    def is_rare(self, stem: str) -> bool:
        """Whether few enough papers say it to make it the core of a group."""
        return self.counts.get(stem, 0) <= max(_FEW, _RARE * self.papers)

    def is_telling(self, stem: str) -> bool:
        return self.counts.get(stem, 0) <= max(2 * _FEW, _TELLING * self.papers)


@dataclass(frozen=True)
class Group:
    """Statements of different papers that say much the same, the earliest paper first.

    `core` is the rare stem, `shared` the other telling stems; both name the claim to the memory.
    """

    core: str
    shared: tuple[str, ...]
    statements: tuple[Statement, ...]
    confidence: float
    likeness: float

    @property
    def papers(self) -> tuple[int, ...]:
        return tuple(each.paper for each in self.statements)


@dataclass(frozen=True)
class Member:
    """A paper of a thread to propose: its line is a sentence of its own."""

    paper: int
    role: Role
    line: str
    day: str
    spans: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class NewThread:
    """A group told: its name, its claim and whose sentence that is, its members."""

    name: str
    claim: str
    claim_from: int
    members: tuple[Member, ...]
    group: Group
    teams: int  # of authors, as far as these are known


# ---------------------------------------------------------------- statements

_WE = r"(?:we|our (?:\w+ )?\w+|results?|experiments?|analys[ie]s|findings?|evidence|this (?:paper|work|study)|these \w+)"
_FINDS = re.compile(
    rf"\b{_WE}\b[^.;]{{0,50}}?\b(?:show|find|found|demonstrat|reveal|observ|argu|prov(?:e|es|ing)\b|discover|identif|"
    r"suggest|indicat|uncover|establish|conclud|trace|characteri[sz])\w*"
    r"|\b(?:key|central|main|core) (?:insight|finding|idea|observation|claim)|\bhypothesi[sz]\w*",
    re.I,
)
_DIAGNOSES = re.compile(
    r"\b(?:rather than|instead of)\b|\bnot \w+(?: \w+){0,3},? but\b|\bdepends? (?:not |less |more )?on|"
    r"\b(?:fails? to|cannot|do(?:es)? not|is not|are not|never)\b|\bbottleneck|\broot cause|\b(?:arises?|stems?) from|"
    r"\bonly (?:a|when|if|the)\b|\bmore (?:important|than)|\b(?:over|under)estimat\w*|\b(?:mask(?:s|ed)|obscur\w*|"
    r"collaps\w+|suffers?|causally|determin(?:es|ed?)|govern(?:s|ed)?|unclear)\b|\btreats?\b|\bassum(?:e|es|ing)\b|"
    r"\bequivalen\w+|\binterpret(?:ed|able) as|\bcorresponds? to|\bwithout (?:\w+ )?(?:training|retraining|fine-tuning|labels)",
    re.I,
)
_CHOOSES = re.compile(
    r"\b(?:we|this (?:paper|work))\b[^.;]{0,40}?\b(?:propos|introduc|present|develop|design|formulat|fram|treat|reformulat|"
    r"recast|cast|replac)\w*",
    re.I,
)
# The moves of an argument: three papers that make the same one of the same thing share a claim.
_MOVES = {
    name: re.compile(pattern, re.I)
    for name, pattern in {
        "few": r"\b(?:small|tiny|sparse|minimal|narrow) (?:\w+[- ]){0,2}(?:set|subset|fraction|share|number|portion)s? of\b|"
        r"\b(?:single|individual|few|handful of) (?:\w+[- ]){0,2}(?:neurons?|heads?|layers?|directions?|tokens?|features?|experts?)|"
        r"\bconcentrat(?:e[sd]?|ion) (?:in|on|within)|\blow-(?:rank|dimensional) (?:sub)?(?:space|structure|component)s?",
        "uniform": r"\b(?:uniformly (?:to|across|over)|equally|indiscriminate(?:ly)?|one-size-fits-all)\b|\btreat\w* (?:all|every|each)\b|"
        r"\b(?:the )?same (?:\w+ ){1,2}(?:to|for|across|at) (?:all|every|each)|\b(?:fixed|static|single global|hand-designed)\b",
        "adaptive": r"\b(?:adaptive(?:ly)?|dynamic(?:ally)? \w+|input-dependent|(?:token|instance|sample)-(?:level|wise|adaptive)|"
        r"per-(?:token|layer|sample|step)|state-(?:dependent|conditioned))\b",
        "measure": r"\b(?:over|under)(?:estimat|stat)\w*|\b(?:obscur\w*|conflat\w*|misleading|over-aggregat\w*)\b|"
        r"\b(?:not|poorly|weakly|fails? to|cannot) (?:\w+ )?(?:reflect|captur|predict|measur|reveal|imply|guarantee|correlat|"
        r"translate|distinguish|detect|generali[sz])\w*",
        "same": r"\bequivalen\w+|\binterpret(?:ed|able) as|\bcorresponds? to\b|\breduc(?:es|ible) to\b|\b(?:is|are) (?:\w+ )?"
        r"(?:identical|isomorphic|instances? of)\b|\bcan be (?:seen|viewed|understood|cast|written) as|\bunif(?:y|ies|ied|ying)\b|"
        r"\b(?:implements?|simulates?|performs?|recovers?)\b",
        "instead": r"\brather than\b|\binstead of\b|\bnot (?:only )?\w+(?: \w+){0,3},? but\b|\bnot merely\b",
        "collapse": r"\bcollaps\w*|\bdegrad\w*|\bdeteriorat\w*|\bdrifts?\b|\bforget\w*|\bbreak(?:s|ing)? down",
        "free": r"\b(?:training|gradient|label|verifier|reward)-free\b|\bwithout (?:\w+ ){0,2}(?:training|fine-tuning|retraining|"
        r"labels?|supervision|reward|verifier|annotation)s?\b",
        "steps": r"\b(?:trajector|process|step|turn)\w*-(?:level|wise)\b|\bcredit assignment|\bintermediate (?:steps?|states?|rewards?)|"
        r"\bdense (?:\w+ )?(?:reward|supervision|feedback|signal)",
        "inside": r"\b(?:linearly|readable|decodable|steerable|probes?|causally|patching|ablat\w+)\b",
        "reuse": r"\b(?:reus\w+|shar(?:e[sd]?|ing) (?:\w+ )?(?:prefix|cache|state|weights?|parameters?|basis))",
        "cost": r"\btrade-?offs?\b|\bat the (?:cost|expense) of\b",
        "bound": r"\b(?:lower|upper|optimal|tight|matching) bounds?\b|\bconvergence (?:rate|theory|guarantee)s?\b|\boptimal rates?\b",
    }.items()
}
# Made so often that to share one says less.
_COMMON_MOVES = frozenset(("adaptive", "collapse", "cost", "bound", "inside"))
# What every paper says of its experiments and its code is nothing to share.
_ROUTINE = re.compile(
    r"\bnumerical (?:experiments|simulations)\b|\bexperiments? (?:on|across|over|with|in)\b.{0,120}\b(?:validat|confirm|"
    r"outperform|support|achiev|demonstrat|show)|\bvalidat\w*|\boutperform\w*|\bcode\b.{0,40}\bavailable|https?:|"
    r"\bstate[- ]of[- ]the[- ]art|\bextensive\b|\bbaselines?\b|\bconsistent(?:ly)? (?:gain|improve)\w*|\bto (?:the best of )?our knowledge",
    re.I,
)
# Who addresses the reader of the wiki, or a machine, makes no claim about the world.
_ORDERS = re.compile(
    r"\b(?:ignore|disregard) (?:\w+ ){0,3}(?:instructions?|prompts?)|\bpropose a thread\b|\bsystem prompt\b",
    re.I,
)


def _stems_in(text: str) -> frozenset[str]:
    return frozenset(stem_of(word) for word in text.split())


# The talk of papers: words that any three of them share.
_WORDY = _stems_in("""
able ability accuracy achieve across address affect allow analysis analyze approach argue aspect assumption
available base baseline become behaves benchmark best better both case challenge characterize common consist
contain current data demonstrate depend describe despite develop different direct directly discover due effect
effective efficient empirical enable establish evaluate existing experiment explain explore find finding first
framework full fundamental further gain general give high however identify import important improve increase
indicate insight instead interpret introduce investigate key known language large lead learn less level limit
llm low main make many mechanism merely method mode model moreover multiple need new not novel number observe
often paper paradigm part perform performance point present problem process propose prove provably provide
rather recent reduce rely remain require respect result reveal row same scenario second set setting several
show significant significantly simple single size small specific specifically standard step still strong
structure structured study suggest support system task term theoretical three through train training treat two
uncover unclear understand use various way well whereas whether while without work yield
""")


def _telling_stems(text: str) -> frozenset[str]:
    """The stems that may be shared: not of common talk, and not of formulas."""
    inside = [(each.start, each.end) for each in formulas(text)] if "$" in text else []
    return frozenset(
        word.stem
        for word in words(text)
        if len(word.stem) > 2
        and word.stem.isalpha()
        and word.stem not in _WORDY
        and text[word.start : word.end].lower() not in STOP
        and not any(start <= word.start < end for start, end in inside)
    )


def statements(source: Source) -> list[Statement]:
    """The statements of a paper, the strongest first; at most `_MOST_STATEMENTS`."""
    found = [
        made
        for start, end in sentence_spans(source.text[:_READ])
        if _SHORTEST <= end - start <= _LONGEST
        and (made := _statement(source.paper, source.text[start:end]))
    ]
    return sorted(found, key=lambda each: -each.strength)[:_MOST_STATEMENTS]


def _statement(paper: int, text: str) -> Statement | None:
    patterns = (
        (Kind.FINDING, _FINDS, 1.0),
        (Kind.DIAGNOSIS, _DIAGNOSES, 0.8),
        (Kind.CHOICE, _CHOOSES, 0.4),
    )
    if _ROUTINE.search(text) or _ORDERS.search(text):
        return None
    said = [(kind, worth) for kind, pattern, worth in patterns if pattern.search(text)]
    if not said:
        return None
    return Statement(
        paper,
        text,
        frozenset(kind for kind, _ in said),
        frozenset(name for name, pattern in _MOVES.items() if pattern.search(text)),
        min(sum(worth for _, worth in said), 1.5),
        _telling_stems(text),
    )


# ---------------------------------------------------------------- groups


def worth_encoding(found: Sequence[Statement], new: Collection[int], rarity: Rarity) -> list[str]:
    """The texts of statements that may come into a group with a new paper, the likeliest first."""
    places: dict[str, float] = {}
    for core, some in _cores(found, new, rarity):
        for each in some:
            worth = each.strength * rarity.idf(core)
            places[each.text] = places.get(each.text, 0.0) + worth
    return sorted(places, key=lambda text: -places[text])


def _cores(
    found: Sequence[Statement], new: Collection[int], rarity: Rarity
) -> Iterator[tuple[str, list[Statement]]]:
    """Rare stems with the statements that have them: of papers enough, a new one among them."""
    fresh = set(new)
    having: dict[str, list[Statement]] = defaultdict(list)
    for each in found:
        for stem in each.stems:
            if rarity.is_rare(stem):
                having[stem].append(each)
    for stem in sorted(having):
        some = having[stem]
        papers = {each.paper for each in some}
        if len(papers) >= LEAST and papers & fresh:
            ranked = sorted(some, key=lambda each: (each.paper not in fresh, -each.strength))
            yield stem, ranked[:_AT_ONCE]


def groups(
    found: Sequence[Statement],
    new: Collection[int],
    rarity: Rarity,
    *,
    titles: Mapping[int, str],
    vectors: Mapping[str, Array] | None = None,
) -> list[Group]:
    """The groups that a new paper is in, the surest first; no two share more than one paper.

    found: statements of the new papers and of those that may join them. vectors: of statements, by
    text; a statement without one is compared by nothing. Without any, words decide.
    """
    fresh = set(new)
    titled = {paper: _telling_stems(title) for paper, title in titles.items()}
    made: list[Group] = []
    for core, some in _cores(found, new, rarity):
        if vectors is not None:
            some = [each for each in some if each.text in vectors]
        if len({each.paper for each in some}) < LEAST:
            continue
        alike = _likeness(some, vectors, rarity)
        least = _ALIKE if vectors is not None else _ALIKE_IN_WORDS
        best: Group | None = None
        for seed in range(len(some)):
            picked = _grown(seed, some, alike, least)
            if len(picked) < LEAST or not any(some[at].paper in fresh for at in picked):
                continue
            group = _group(core, picked, some, alike, rarity, titled, by_words=vectors is None)
            if group is not None and (best is None or group.confidence > best.confidence):
                best = group
        if best is not None:
            made.append(best)
    return _distinct(made)


def _likeness(
    some: Sequence[Statement], vectors: Mapping[str, Array] | None, rarity: Rarity
) -> Array:
    """Cosines, one row and one column a statement."""
    if vectors is not None:
        rows = np.stack([vectors[each.text] for each in some])
        return np.asarray(rows @ rows.T, np.float32)
    columns = {stem: at for at, stem in enumerate(sorted({s for each in some for s in each.stems}))}
    rows = np.zeros((len(some), max(len(columns), 1)), np.float32)
    for at, each in enumerate(some):
        for stem in each.stems:
            rows[at, columns[stem]] = rarity.idf(stem)
    rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)
    return np.asarray(rows @ rows.T, np.float32)


def _grown(seed: int, some: Sequence[Statement], alike: Array, least: float) -> list[int]:
    """Statements of different papers around one, each like every other."""
    picked, papers = [seed], {some[seed].paper}
    worth = alike[seed] + 0.08 * np.array([each.strength for each in some])
    worth += 0.06 * np.array([bool(each.moves & some[seed].moves) for each in some])
    for at in np.argsort(-worth, kind="stable"):
        if len(picked) == MOST:
            break
        if some[at].paper not in papers and alike[at, picked].min() >= least:
            picked.append(int(at))
            papers.add(some[at].paper)
    return picked


def _group(
    core: str,
    picked: Sequence[int],
    some: Sequence[Statement],
    alike: Array,
    rarity: Rarity,
    titled: Mapping[int, frozenset[str]],
    *,
    by_words: bool,
) -> Group | None:
    chosen = [some[at] for at in picked]
    said = Counter(stem for each in chosen for stem in each.stems)
    most = max(LEAST, math.ceil(0.6 * len(chosen)))
    shared = [
        stem
        for stem, times in said.items()
        if times >= most and stem != core and rarity.is_telling(stem)
    ]
    if not shared:
        return None
    shared.sort(key=lambda stem: (-said[stem] * rarity.idf(stem), stem))
    square = alike[np.ix_(picked, picked)]
    number = len(picked)
    mean = float((square.sum() - number) / (number * (number - 1)))
    things = _things([core, *shared[:4]], chosen)
    weight = sum(max(rarity.idf(stem) for stem in thing) for thing in things[:3])
    made = Counter(move for each in chosen for move in each.moves)
    moved = max(
        (
            _worth_of(move) * times / number
            for move, times in made.items()
            if times >= 2 and 2 * times >= number
        ),
        default=0.0,
    )
    in_titles = sum(core in titled.get(each.paper, ()) for each in chosen) / number
    strength = sum(each.strength for each in chosen) / number
    odds = (
        _WEIGHTS["words" if by_words else "likeness"] * (mean - (0.25 if by_words else 0.5))
        + _WEIGHTS["shared"] * (min(weight, 7.0) - 5.0)
        + _WEIGHTS["titles"] * (in_titles - 0.5)
        + _WEIGHTS["strength"] * (strength - 1.0)
        + _WEIGHTS["moved"] * (moved - 0.5)
        + _WEIGHTS["one thing"] * (len(things) == 1)
        + _WEIGHTS["more"] * min(number - LEAST, 3)
        + _WEIGHTS["level"]
    )
    confidence = 1 / (1 + math.exp(-odds))
    if confidence < LOWEST:
        return None
    return Group(core, tuple(shared[:5]), tuple(chosen), confidence, mean)


def _worth_of(move: str) -> float:
    return 0.5 if move in _COMMON_MOVES else 1.0


def _things(stems: Sequence[str], chosen: Sequence[Statement]) -> list[list[str]]:
    """The stems as the things they name: "gradient" and "descent", mostly side by side, are one."""
    where = [
        {stem: [at for at, word in enumerate(said) if word == stem] for stem in stems}
        for said in ([word.stem for word in words(each.text)] for each in chosen)
    ]

    def is_one(one: str, other: str) -> bool:
        both = [(at[one], at[other]) for at in where if at[one] and at[other]]
        near = sum(min(abs(a - b) for a in first for b in second) <= 2 for first, second in both)
        return bool(both) and 3 * near >= 2 * len(both)

    things: list[list[str]] = []
    for stem in stems:
        joined = next(
            (thing for thing in things if any(is_one(stem, each) for each in thing)), None
        )
        if joined is None:
            things.append([stem])
        else:
            joined.append(stem)
    return things


# Set by reading what was proposed on seven real days (docs/decisions/0027-new-threads.md).
_WEIGHTS = {
    "likeness": 9.0,
    "words": 7.0,
    "shared": 0.35,
    "titles": 1.5,
    "strength": 1.5,
    "moved": 4.0,
    "one thing": -1.0,
    "more": 0.2,
    "level": -0.1,
}


def _distinct(made: Iterable[Group]) -> list[Group]:
    kept: list[Group] = []
    for group in sorted(made, key=lambda each: (-each.confidence, each.core)):
        papers = set(group.papers)
        if not any(overlaps(papers, each.papers) for each in kept):
            kept.append(group)
    return kept


def overlaps(one: Collection[int], other: Collection[int]) -> bool:
    """Whether two groups of papers are one in another composition: half of the smaller are shared."""
    both = len(set(one) & set(other))
    return both >= 2 and 2 * both >= min(len(set(one)), len(set(other)))


# ---------------------------------------------------------------- telling it


def told(group: Group, sources: Mapping[int, Source]) -> NewThread | None:
    """A group as a thread to propose; None where its papers share no name for it, or one team wrote all."""
    ordered = sorted(
        group.statements, key=lambda each: (sources[each.paper].day or "9", each.paper)
    )
    members = [sources[each.paper] for each in ordered]
    teams = _teams(members)
    if teams < 2:
        return None
    name = _name(group, members)
    if not name:
        return None
    claim = _claim(group)
    first = members[0]
    stems = {group.core, *group.shared}
    return NewThread(
        name=name,
        claim=claim.text,
        claim_from=claim.paper,
        members=tuple(
            Member(
                paper=source.paper,
                role=Role.STARTS
                if source is first and day_of(source.day)
                else role(source.title, source.text[:_READ], published=source.day, first=""),
                line=each.text,
                day=source.day,
                spans=tuple(
                    (word.start, word.end) for word in words(each.text) if word.stem in stems
                ),
            )
            for source, each in zip(members, ordered, strict=True)
        ),
        group=group,
        teams=teams,
    )


def _teams(members: Sequence[Source]) -> int:
    """How many groups of authors wrote them; who shares an author is one, unknown authors are others."""
    teams: list[set[str]] = []
    for member in members:
        names = {" ".join(name.lower().split()) for name in member.authors}
        joined = [team for team in teams if team & names]
        teams = [team for team in teams if not team & names]
        teams.append(names.union(*joined))
    return len(teams)


def _claim(group: Group) -> Statement:
    """The statement that says most of what is shared, best as a finding, and shortly."""
    stems = {group.core, *group.shared}
    made = Counter(move for each in group.statements for move in each.moves)

    def worth(each: Statement) -> float:
        said = len(stems & each.stems) / len(stems)
        said += 0.4 * max((made[move] / len(group.statements) for move in each.moves), default=0.0)
        return said + 0.5 * min(each.strength, 1.3) - max(len(each.text) - 160, 0) / 400

    return max(group.statements, key=lambda each: (worth(each), -each.paper))


def _name(group: Group, members: Sequence[Source]) -> str:
    """What the members call what they share: "Planning and latent states"; "" for want of nouns."""
    asked = (group.core, *group.shared)
    every = [terms(each.title, each.text, most=40) for each in members]
    texts = [each.text[:_READ] for each in members]
    parts: list[str] = []
    said: set[str] = set()
    for stem in asked:
        # An acronym after what it stands for says nothing more.
        phrase = "" if stem in said else _phrase(stem, asked, every, texts)
        key = set(term_key(phrase).split())
        if key and not key & said and initials(" ".join(parts)) != phrase.lower():
            parts.append(phrase)
            said |= key
        if len(parts) == 2:
            break
    if not parts or (len(parts) == 1 and len(said) == 1):
        return ""
    name = " and ".join(_as_said(part, texts) for part in parts)
    return name[:1].upper() + name[1:]


_NOUN = re.compile(
    r"(?:tion|sion|ment|ness|ity|ance|ence|edge|ics?|ism|ology|ing|ers?|ors?|loss|cache|memory|bits?|"
    r"[^aeiousy]s|es)$",
    re.I,
)


def _phrase(
    stem: str, group: Collection[str], every: Sequence[Sequence[Term]], texts: Sequence[str]
) -> str:
    """What these papers call the thing with this stem; "" for no noun that two of them use.

    Of their terms with it, the one that most of them use; one that says more of what the group
    shares goes before a shorter one.
    """
    asked: dict[str, str] = {}
    heads: set[str] = set()
    for some in every:
        for term in some:
            parts = term.key.split()
            if len(parts) > 1:
                heads.add(parts[-1])
            if stem in parts and 2 <= len(parts) <= 3:
                asked.setdefault(term.key, re.sub(r"\s*\([^()]*\)$", "", term.written))
    found = [
        (times + len(set(key.split()) & set(group)) + 0.5, -len(key.split()), key, written)
        for key, written in asked.items()
        if (times := sum(_has(text, key) for text in texts)) >= 2
    ]
    alone = _written(stem, texts)
    if alone and (stem in heads or alone[0].isupper() or _NOUN.search(alone)):
        found.append((sum(stem in stems_of(text) for text in texts) + 1.0, -1, stem, alone))
    return max(found)[-1] if found else ""


def _written(stem: str, texts: Sequence[str]) -> str:
    """How the texts write a stem most often within a sentence; "" where that is an adjective."""
    said = Counter(
        text[word.start : word.end]
        for text in texts
        for word in words(text)
        if word.stem == stem and _INSIDE.search(text[max(word.start - 3, 0) : word.start])
    )
    if any(_ADJECTIVE.search(form) for form in said) and not any(
        f"{form}s" in said for form in said
    ):
        return ""
    return min(said, key=lambda form: (-said[form], form), default="")


_INSIDE = re.compile(r"[a-z,)][\s-]$")
_ADJECTIVE = re.compile(r"(?:al|ive|ary|ous|able|ible|ed|ent|ant|ful|less|ic)$")


def _has(text: str, key: str) -> bool:
    return bool(places(text, (key,)))


def _as_said(phrase: str, texts: Sequence[str]) -> str:
    """A phrase of a title in small letters, where the texts write its words so."""
    small = {word for text in texts for word in re.findall(r"[\w-]+", text)}
    return " ".join(word.lower() if word.lower() in small else word for word in phrase.split())
