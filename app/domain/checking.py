r"""Whether a sentence says more than the texts it rests on: its numbers, its names, its ids.

A model writes sentences and names the texts that each rests on. Here it is checked that every number
with its unit, every date, name, quotation and id in a sentence stands in one of those texts, and that
the sentence speaks of them at all. Both sides are read alike: "18.3x" is $18.3\times$ and "a factor of
18.3", "10^6" a million, "−0.13" never 0.13, and 5% never 5 points. What is said in ordinary words is
not looked at: that a result holds, or that it was the larger one, no checker of words can tell. Pure.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from itertools import pairwise

from app.domain.evidence import COMMON_STEMS
from app.domain.latex import formulas
from app.domain.words import STOP, stem

LEAST_SHARED = 0.25  # of the words of a sentence that stand in what it cites
LONGEST = 1_000  # characters of a sentence
_FEW = 4  # words, of which no share is taken
_READ = 60_000  # characters of a text that are looked at
_WINDOW = 4  # tokens between a name and its number: "Llama 3.1 models of 8B"


def check(sentence: str, texts: Sequence[str], ids: Sequence[str] = ()) -> str:
    """ "" when all that the sentence states stands in the texts; else why not, in one sentence.

    `texts` are those that it rests on, with their titles, dates and what was counted for them; `ids`
    what they are called. A sentence that rests on nothing may state no number and no name.
    """
    if len(sentence) > LONGEST:
        return f"It is longer than {LONGEST} characters, which no sentence is."
    said = _normal(sentence)
    cited = _Cited(tuple(_reading(text[:_READ]) for text in texts))
    rest, problem = _identifiers(said, cited, ids)
    if not problem:
        problem = _quotations(rest, cited)
    if not problem:
        rest, problem = _dates_stand(rest, cited)
    if not problem:
        rest, problem = _names_stand(rest, cited)
    if not problem:
        problem = _numbers_stand(rest, said, cited, len(set(ids)))
    if problem:
        return f"{problem} {_WHERE if texts else 'and it rests on no text.'}"
    if texts and not _speaks_of(said, cited):
        return "It speaks of other things than what it rests on."
    return ""


_WHERE = "does not stand in what it rests on."


# ---------------------------------------------------------------- reading


_SUPERSCRIPT = re.compile("[⁻⁺]?[⁰¹²³⁴⁵⁶⁷⁸⁹]+")
_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺", "0123456789-+")
_DASHES = str.maketrans("\u2010\u2011\u2012\u2212\ufe63\uff0d", "------")
_WRAPPED = re.compile(
    r"\\(?:text|math|emph|operatorname|bm|boldsymbol|underline|mbox)[a-z]{0,6}\s*\{([^{}]*)\}"
)
_MACROS = (
    (re.compile(r"\\(?:times|cdot)(?![a-zA-Z])"), "×"),
    (re.compile(r"\\(?:sim|approx|simeq|leq?|geq?|ll|gg|lesssim|gtrsim)(?![a-zA-Z])"), " "),
    (re.compile(r"\\(?:pm|mp)(?![a-zA-Z])"), " ± "),
    (re.compile(r"\\(?:to|rightarrow|mapsto)(?![a-zA-Z])"), " → "),
    (re.compile(r"\\(?:left|right|big|Big|displaystyle|quad|qquad)(?![a-zA-Z])"), " "),
    (re.compile(r"\\[,;:! ]|(?<=\d)\{,\}(?=\d{3})"), ""),
    (re.compile(r"\\([%$#&_{}])"), r"\1"),
    (re.compile(r"\^\{\s*(-?\d+)\s*\}"), r"^\1"),
    (re.compile(r"[_^]\{([^{}]*)\}"), r" \1 "),
    (re.compile(r"[{}]"), ""),
    (re.compile(r"\\([a-zA-Z]+)"), r" \1 "),
    (re.compile(r"(?<=\d)~(?=\w)"), " "),
    (re.compile(r"[~≈∼≃]"), " "),
)
_ACCENT = re.compile(r"\\[\"'^`~=.]\s?\{?\\?([a-zA-Z])\}?")
_BETWEEN = re.compile(r"(?<=[\d%x×kKMBT])\s?[\u2013\u2014]\s?(?=[\d.])")


def _normal(text: str) -> str:
    """The text in one way of writing: formulas without their signs, one minus, one "x" for times."""
    text = _SUPERSCRIPT.sub(lambda found: "^" + found[0].translate(_SUPERSCRIPTS), text)
    text = unicodedata.normalize("NFKC", text).translate(_DASHES)
    # Without accents, which LaTeX writes as macros of their own.
    bare = (sign for sign in unicodedata.normalize("NFD", text) if not unicodedata.combining(sign))
    text = _ACCENT.sub(r"\1", "".join(bare))
    if "$" in text or "\\" in text:
        parts, at = [], 0
        for found in formulas(text):
            parts += [text[at : found.start], found.source]
            at = found.end
        text = "".join([*parts, text[at:]])
        for _ in range(3):
            text = _WRAPPED.sub(r"\1", text)
    for pattern, instead in _MACROS:
        text = pattern.sub(instead, text)
    text = _BETWEEN.sub(" to ", text)
    text = re.sub(r"(?<=\d)\s?×(?!\s?10\^)", "x", text).replace("×", " x ")
    return " ".join(text.replace("\u2019", "'").replace("\u2018", "'").split())


_WORD = re.compile(r"[^\W_]+(?:\.\d+)*")
_PIECE = re.compile(r"\d+(?:\.\d+)*[^\W\d_]*|[^\W\d_]+")


def _tokens(text: str) -> list[str]:
    """Words and numbers in lower case, letters apart from the digits after them: "Qwen2.5" is two."""
    return [piece for word in _WORD.findall(text.lower()) for piece in _PIECE.findall(word)]


@dataclass(frozen=True)
class _Reading:
    """One text as sentences are held against it."""

    plain: str  # as `_normal`
    squeezed: str  # its letters and digits alone, words apart by one blank
    tokens: tuple[str, ...]
    stems: frozenset[str]
    initials: str
    pairs: frozenset[str]  # initials of two words that a hyphen joins, or that stand together twice
    upper: frozenset[str]  # words of capitals alone, as written
    numbers: tuple[_Number, ...]
    dates: tuple[_Date, ...]


@lru_cache(maxsize=1_000)
def _reading(text: str) -> _Reading:
    plain = _normal(text)
    tokens = tuple(_tokens(plain))
    words = _WORD.findall(plain)
    rest = _DATE.sub(" ", plain)
    return _Reading(
        plain,
        _squeezed(plain),
        tokens,
        frozenset(map(stem, tokens)),
        _initials(plain),
        _pairs(plain, words),
        frozenset(word for word in words if len(word) > 1 and word.isupper()),
        tuple(_numbers(rest)),
        tuple(_dates(plain)),
    )


def _initials(plain: str) -> str:
    """The first letters of the words of each clause, without the small words and with them."""
    told = []
    for clause in _CLAUSE.split(plain):
        words = [word.lower() for word in _WORD.findall(_OWNER.sub("", clause))]
        told += [
            "".join(word[0] for word in words if word not in STOP),
            "".join(word[0] for word in words),
        ]
    return " ".join(told)


_CLAUSE, _OWNER = re.compile(r"[.,;:()]\s"), re.compile(r"'s\b")


def _pairs(plain: str, words: Sequence[str]) -> frozenset[str]:
    joined = [
        each
        for pair in re.findall(r"([^\W\d_])\w+-([^\W\d_])\w+", plain)
        for each in ["".join(pair)]
    ]
    told = Counter((a.lower(), b.lower()) for a, b in pairwise(words))
    again = [a[0] + b[0] for (a, b), times in told.items() if times > 1 and not {a, b} & STOP]
    return frozenset(each.lower() for each in (*joined, *again))


def _squeezed(text: str) -> str:
    return " ".join(_WORD.findall(text.lower()))


@dataclass(frozen=True)
class _Cited:
    texts: tuple[_Reading, ...]

    def has(self, piece: str) -> bool:
        """Whether a word stands in a text, in this or another of its forms."""
        lowered = piece.lower()
        return any(lowered in each.tokens or stem(lowered) in each.stems for each in self.texts)

    def has_phrase(self, phrase: str) -> bool:
        wanted = f" {_squeezed(phrase)} "
        return any(wanted in f" {each.squeezed} " for each in self.texts)

    def has_run(self, pieces: Sequence[str]) -> bool:
        """Whether the pieces stand side by side, the last one a plural or not."""
        first, count = pieces[0], len(pieces)
        for each in self.texts:
            for at, token in enumerate(each.tokens):
                if token == first and _alike(each.tokens[at : at + count], pieces):
                    return True
        return False

    def has_near(self, head: str, number: str) -> bool:
        """Whether a number stands a few words behind a name."""
        for each in self.texts:
            for at, token in enumerate(each.tokens):
                if token == head and number in each.tokens[at + 1 : at + 2 + _WINDOW]:
                    return True
        return False


def _alike(found: Sequence[str], wanted: Sequence[str]) -> bool:
    if len(found) != len(wanted) or list(found[:-1]) != list(wanted[:-1]):
        return False
    return found[-1] == wanted[-1] or found[-1].removesuffix("s") == wanted[-1].removesuffix("s")


# ---------------------------------------------------------------- ids


_ARXIV = re.compile(r"(?<![\w.])(?:arxiv\s?:?\s?)?(\d{4}\.\d{4,5})(?:v\d{1,2})?(?![\w]|\.\d)", re.I)
_DOI = re.compile(r"(?:doi\s?:?\s?)?\b10\.\d{4,9}/[^\s,;)\]]+", re.I)
_ADDRESS = re.compile(r"https?://\S+|\bwww\.\S+|\b[a-z0-9-]+\.(?:com|org|net|io|ai|dev)\b\S*", re.I)


def _identifiers(said: str, cited: _Cited, ids: Sequence[str]) -> tuple[str, str]:
    """The sentence without its ids and addresses, and what is wrong with one of them."""
    named = " ".join(ids).lower()
    for pattern in (_ADDRESS, _DOI, _ARXIV):
        for found in pattern.finditer(said):
            told = (found[1] if pattern is _ARXIV else found[0]).lower().rstrip(".")
            if told not in named and not any(told in each.plain.lower() for each in cited.texts):
                return said, f"The id {found[0]!r}"
        said = pattern.sub(" ", said)
    return said, ""


# ---------------------------------------------------------------- quotations


_QUOTED = re.compile(r"[\u201c\u201e\"]([^\u201c\u201d\u201e\"]{3,400})[\u201d\u201c\"]")


def _quotations(said: str, cited: _Cited) -> str:
    """What is quoted word for word, of three words and more, and does not stand there."""
    for found in _QUOTED.finditer(said):
        if len(_WORD.findall(found[1])) >= 3 and not cited.has_phrase(found[1]):
            return f"The quotation \u201c{found[1][:60]}\u201d"
    return ""


# ---------------------------------------------------------------- dates


_MONTHS = "january february march april may june july august september october november december"
_MONTH = {name[:3]: at for at, name in enumerate(_MONTHS.split(), 1)}
_NAMED = (
    r"(?:Jan(?:uary)?|Feb(?:ruary)?|Mar(?:ch)?|Apr(?:il)?|May|June?|July?|Aug(?:ust)?|"
    r"Sept?(?:ember)?|Oct(?:ober)?|Nov(?:ember)?|Dec(?:ember)?)"
)
_DATE = re.compile(
    r"(?<![\w.-])(?P<y1>(?:19|20)\d\d)-(?P<m1>0[1-9]|1[0-2])(?:-(?P<d1>[0-3]\d))?(?![\w-])"
    r"|(?<![\w.-])(?P<m2>0[1-9]|1[0-2])-(?P<d2>[0-3]\d)(?![\w%-]|\.\d)"
    rf"|\b(?P<m3>{_NAMED})\.?\s(?P<d3>[0-3]?\d)(?:st|nd|rd|th)?(?:,?\s(?P<y3>(?:19|20)\d\d))?(?![\w%]|\.\d)"
    rf"|\b(?P<d4>[0-3]?\d)(?:st|nd|rd|th)?\s(?P<m4>{_NAMED})\b\.?(?:\s(?P<y4>(?:19|20)\d\d))?"
    rf"|\b(?P<m5>{_NAMED})\.?\s(?P<y5>(?:19|20)\d\d)\b"
)
_Date = tuple[int, int, int]  # year, month, day; 0 where it is not said


def _dates(text: str) -> Iterator[_Date]:
    for found in _DATE.finditer(text):
        yield _date(found)


def _date(found: re.Match[str]) -> _Date:
    told = {name[0]: value for name, value in found.groupdict().items() if value}
    month = told["m"]
    return (
        int(told.get("y", 0)),
        int(month) if month.isdigit() else _MONTH[month[:3].lower()],
        int(told.get("d", 0)),
    )


def _dates_stand(said: str, cited: _Cited) -> tuple[str, str]:
    """The sentence without its dates, and what is wrong with one of them."""
    known = {date for each in cited.texts for date in each.dates}
    for found in _DATE.finditer(said):
        told = _date(found)
        if not any(
            all(not a or a == b for a, b in zip(told, date, strict=True))
            or (told[1:] == date[1:] and not (told[0] and date[0]))
            for date in known
        ) and not cited.has_phrase(found[0]):
            return said, f"The date {found[0]!r}"
    return _DATE.sub(" , ", said), ""


# ---------------------------------------------------------------- numbers


@dataclass(frozen=True)
class _Number:
    """A number as it may be meant: each a value and the unit it is of, "" for none."""

    written: str
    readings: frozenset[tuple[Decimal, str]]
    word: str = ""  # written as a word: it counts, and may count what the sentence is about
    named: bool = False  # a part of a name, as in "GPT-4": it counts nothing


_SCALES = {
    **dict.fromkeys(("k", "K", "thousand"), 3),
    **dict.fromkeys(("M", "million", "mn"), 6),
    **dict.fromkeys(("B", "b", "bn", "billion", "G"), 9),
    **dict.fromkeys(("T", "trillion"), 12),
}
_UNITS = {
    "%": "% percent per-cent pct",
    "pp": "pp pps ppt percentage-point percentage-points percent-points point points pts pt",
    "x": "x X times fold",
    "ms": "ms millisecond milliseconds",
    "us": "us μs µs microsecond microseconds",
    "s": "s sec secs second seconds",
    "min": "min mins minute minutes",
    "h": "h hr hrs hour hours",
    "day": "day days",
    "week": "week weeks",
    "month": "month months",
    "year": "year years",
    "kB": "KB kB kilobyte kilobytes KiB",
    "MB": "MB megabyte megabytes MiB",
    "GB": "GB gigabyte gigabytes GiB",
    "TB": "TB terabyte terabytes TiB",
    "bit": "bit bits",
    "byte": "byte bytes",
    "W": "W watt watts",
    "kW": "kW kilowatt kilowatts",
    "MW": "MW megawatt megawatts",
    "kWh": "kWh",
    "J": "J joule joules",
    "Hz": "Hz hertz",
    "kHz": "kHz",
    "MHz": "MHz",
    "GHz": "GHz",
    "dB": "dB decibel decibels",
    "m": "m metre metres meter meters",
    "km": "km kilometre kilometres kilometer kilometers",
    "cm": "cm centimetre centimetres centimeter centimeters",
    "mm": "mm millimetre millimetres millimeter millimeters",
    "kg": "kg",
    "°": "° degree degrees",
    "$": "$ dollar dollars USD",
    "fps": "fps FPS",
    "tok/s": "tok/s tokens/s tps",
}
_UNIT = {word: unit for unit, words in _UNITS.items() for word in words.split()}
_ATTACHED = "|".join(sorted((re.escape(w) for w in _UNIT), key=len, reverse=True))
_SCALED = "|".join(sorted(map(re.escape, _SCALES), key=len, reverse=True))
_NUMBER = re.compile(
    r"(?P<before>factor of )?"
    r"(?P<sign>(?:(?<=[\s(=\[,:;/])|(?<=^))[-+])?(?P<money>[$€£])?"
    r"(?<![\d.])(?P<digits>\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?|(?<!\w)\.\d+)"
    r"(?:\s?[x*·]\s?10\s?\^\s?(?P<times>[-+]?\d{1,3})|\^\s?(?P<power>[-+]?\d{1,3})|e(?P<exp>[-+]?\d{1,3})(?!\w))?"
    rf"(?:[\s-]?(?P<scale>{_SCALED})(?![\w]))?"
    rf"(?:[\s-]?(?P<unit>percentage[\s-]points?|percent[\s-]points?|per cent|{_ATTACHED})(?![\w]))?"
)
_FRACTIONS = {"half": 2, "third": 3, "quarter": 4, "fifth": 5, "sixth": 6, "eighth": 8, "tenth": 10}
_COUNTS = {
    word: at
    for at, word in enumerate(
        [
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
            "thirteen",
            "fourteen",
            "fifteen",
            "sixteen",
            "seventeen",
            "eighteen",
            "nineteen",
            "twenty",
        ],
        2,
    )
} | dict(
    zip(
        ["thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"],
        range(30, 100, 10),
        strict=True,
    )
)
_ORDINALS = {
    word: at
    for at, word in enumerate(
        ["third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth"], 3
    )
}
_FACTORS = {
    **dict.fromkeys(["twice", "double", "doubles", "doubled", "doubling", "twofold"], 2),
    **dict.fromkeys(["thrice", "triple", "triples", "tripled", "tripling", "threefold"], 3),
    **dict.fromkeys(["quadruple", "quadruples", "quadrupled", "fourfold"], 4),
    "fivefold": 5,
    "tenfold": 10,
}
_HALVES = frozenset(["half", "halves", "halve", "halved", "halving"])
_LARGE = {"dozen": 12, "hundred": 100, "thousand": 1000, "million": 10**6, "billion": 10**9}
_LARGE |= {f"{word}s": value for word, value in _LARGE.items()}
_NUMERAL = re.compile(
    r"\b(?P<share>(?:one|two|three|four|a|an)[\s-](?:half|third|quarter|fifth|sixth|eighth|tenth)s?)\b"
    rf"|\b(?P<word>{'|'.join([*_COUNTS, *_ORDINALS, *_FACTORS, *_HALVES, *_LARGE])})\b",
    re.I,
)
_JOINED = re.compile(
    r"\s?(?:,|,?\s?(?:and|or|to|vs\.?|versus|through|→|->|±|/|-)|\()\s?[-+$]?|\s?-\s?"
)


def _numbers(text: str) -> list[_Number]:
    """Every number of a text, in digits and in words."""
    found = [(each.span(), _readings(each)) for each in _NUMBER.finditer(text)]
    # Of "12.4 to 8.1%" the first is one of the second's kind as well.
    for at in range(len(found) - 2, -1, -1):
        (_, end), own = found[at]
        (start, _), following = found[at + 1]
        if _JOINED.fullmatch(text[end:start]) and not any(unit for _, unit in own):
            lent = {(value, unit) for value, _ in own for _, unit in following}
            scaled = {_scale_of(text, found[at + 1][0])} - {0}
            lent |= {(value.scaleb(by), unit) for value, unit in lent for by in scaled}
            found[at] = (found[at][0], own | lent)
    made = [
        _Number(
            text[slice(*span)].strip(" -"),
            frozenset(some),
            named=_IN_A_NAME.search(text[max(0, span[0] - 3) : span[0]]) is not None,
        )
        for span, some in found
    ]
    made += [_numeral(each) for each in _NUMERAL.finditer(text)]
    return made


_IN_A_NAME = re.compile(r"[^\W\d_]-?$|[^\W\d_]\d$")


def _readings(found: re.Match[str]) -> set[tuple[Decimal, str]]:
    value = Decimal(found["digits"].replace(",", ""))
    if found["times"]:
        value = value.scaleb(int(found["times"]))
    elif found["exp"]:
        value = value.scaleb(int(found["exp"]))
    elif found["power"]:
        raised = int(found["power"])
        small = value == 10 or (value < 1000 and 0 <= raised <= 12)
        value = value**raised if small else value
    if found["scale"]:
        value = value.scaleb(_SCALES[found["scale"]])
    if found["sign"] == "-":
        value = -value
    told = (found["unit"] or "").replace("per cent", "%")
    unit = _UNIT.get(re.sub(r"[\s-]+", "-", told), "")
    unit = unit or ("$" if found["money"] else "x" if found["before"] else "")
    if re.match(r"0\d", found["digits"]):
        unit = f"0{unit}"  # no count is written so: it is part of something else
    return {(value, unit)}


def _scale_of(text: str, span: tuple[int, int]) -> int:
    found = _NUMBER.fullmatch(text, *span)
    return _SCALES[found["scale"]] if found and found["scale"] else 0


def _numeral(found: re.Match[str]) -> _Number:
    written = found[0].lower()
    if found["share"]:
        count, part = re.split(r"[\s-]", written)
        below = _FRACTIONS[part.rstrip("s") if part != "halves" else "half"]
        share = Decimal(_COUNTS.get(count, 1)) / below
        readings = {(share, ""), (share * 100, "%")}
        if below in (3, 6):
            readings |= {(round(share * 100, places), "%") for places in (0, 1, 2)}
    elif written in _HALVES:
        readings = {(Decimal("0.5"), ""), (Decimal(50), "%"), (Decimal(2), "x")}
    elif written in _FACTORS:
        readings = {
            (Decimal(_FACTORS[written]), "x"),
            (Decimal(100 * _FACTORS[written] - 100), "%"),
        }
    else:
        value = _COUNTS.get(written) or _ORDINALS.get(written) or _LARGE[written]
        readings = {(Decimal(value), "")}
        if unit := _NEXT_UNIT.match(found.string, found.end()):
            readings |= {(Decimal(value), _UNIT[unit[1]])}
    return _Number(written, frozenset(readings), written)


_SMALL = 20  # up to which a bare number counts things
_NEAR = 40  # characters before a number in which it is said that something falls
_NEXT_UNIT = re.compile(rf"[\s-]({_ATTACHED})(?!\w)")
_DOWN = re.compile(
    r"\b(?:negativ|minus|drop|fall|fell|declin|decreas|reduc|lower|los[est]|cut|degrad|below|down|"
    r"worse|shrink|hurt)\w*",
    re.I,
)


def _numbers_stand(rest: str, said: str, cited: _Cited, count: int) -> str:
    """A number of the sentence that no text has, or has with another unit or sign."""
    known = {
        reading for each in cited.texts for number in each.numbers for reading in number.readings
    }
    values = {value for value, _ in known}
    counted = {
        value
        for each in cited.texts
        for number in each.numbers
        if not number.named
        for value, _ in number.readings
    }
    for number in _numbers(rest):
        if number.word and (
            cited.has_phrase(number.word)
            or _counts(number, counted, count)
            or _counts_a_list(number.word, rest)
            or not known.isdisjoint(
                number.readings - {each for each in number.readings if not each[1]}
            )
        ):
            continue
        falls = any(
            _DOWN.search(
                re.split(r"[(=:]", rest[max(0, found.start() - _NEAR) : found.start()])[-1]
            )
            for found in re.finditer(re.escape(number.written), rest)
        )
        told = values if any(value > _SMALL for value, _ in number.readings) else counted
        if not any(_stands(reading, known, told, falls) for reading in number.readings):
            return f"The number \u201c{number.written}\u201d"
    return ""


def _counts(number: _Number, values: set[Decimal], count: int) -> bool:
    """Whether a word counts what the sentence rests on, or is a count that a text has in digits."""
    return any(
        (value in values or (value == count and count > 1)) and not unit
        for value, unit in number.readings
    )


def _counts_a_list(word: str, said: str) -> bool:
    """Whether a word counts what follows it behind a colon: "Three findings: a; b; c"."""
    found = re.search(rf"\b{word}\b[^.:;]{{0,40}}:(.+)", said, re.I)
    if not found:
        return False
    parts = (
        found[1].split(";") if ";" in found[1] else re.split(r",(?: and| or)?|\band\b", found[1])
    )
    return len([part for part in parts if part.strip()]) == _COUNTS.get(word)


def _stands(
    reading: tuple[Decimal, str], known: set[tuple[Decimal, str]], values: set[Decimal], falls: bool
) -> bool:
    value, unit = reading
    told = {value, -value} if falls else {value}
    if not unit:
        return not values.isdisjoint(told)
    return any((each, unit) in known for each in told)


# ---------------------------------------------------------------- names


_TOKEN = re.compile(r"@?[^\W_](?:[\w.'+&@-]*[\w+])?")
_BEGINS = re.compile(r"(?:^|[.!?:;]\s|[\u201c\"(\[]\s?|\s[-\u2013\u2014]\s|\u2014)\s?$")
_OWN = frozenset(["AI", "ML", "I", "OK", "PhD", "arXiv", "TL;DR"])
_KNOWN = {
    "llm": ("language model",),
    "llms": ("language model",),
    "lm": ("language model",),
    "lms": ("language model",),
    "vlm": ("vision language", "visual language"),
    "vlms": ("vision language", "visual language"),
    "rl": ("reinforcement learning", "rlhf", "rlvr", "reinforcement"),
    "kv": ("key value",),
    "ar": ("autoregressive", "auto regressive"),
    "qa": ("question answering",),
    "cot": ("chain of thought",),
    "sft": ("supervised fine tuning", "supervised finetuning"),
    "rag": ("retrieval augmented",),
    "moe": ("mixture of experts",),
    "nlp": ("natural language processing",),
    "gpu": ("gpus",),
}
_FUNCTION = frozenset(
    [
        "of",
        "the",
        "and",
        "for",
        "in",
        "on",
        "with",
        "to",
        "a",
        "an",
        "by",
        "from",
        "via",
        "as",
        "at",
        "or",
    ]
)
_ENDINGS = re.compile(
    r".{2,}(?:ly|ing|ed|tion|sion|tions|sions|ment|ments|ness|ity|ities|ence|ance|ers|ism|ists|istic|"
    r"[cntu]ial|(?:rr|qu|ci|ist|par)ent|onal|ical|able|ible|ful|less|ous|ives?|ally|ward|wise|ship|[au]tes?|prets?|fy|fies|i[sz]es?|pens?)$"
)


def _names_stand(said: str, cited: _Cited) -> tuple[str, str]:
    """The sentence without the numbers in its names, and the first name that no text has."""
    expanded = _expansions(said, cited)
    kept, at = [], 0
    for found in _TOKEN.finditer(said):
        word = found[0].removesuffix("'s").removesuffix("'")
        if _NUMBER.fullmatch(word) or _NUMBER.fullmatch(f"{word}"):
            continue
        begins = _BEGINS.search(said[: found.start()]) is not None
        if not _is_name(word, begins):
            continue
        if found.start() not in expanded and not _name_stands(word, begins, cited):
            return said, f"The name \u201c{word}\u201d"
        if any(sign.isdigit() for sign in word):
            kept.append(said[at : found.start()])
            at = found.end()
    return " ".join([*kept, said[at:]]), ""


def _is_name(word: str, begins: bool) -> bool:
    letters = [sign for sign in word if sign.isalpha()]
    if not letters or word in _OWN or (begins and _NUMERAL.fullmatch(word)):
        return False
    if word[0] == "@" or any(sign.isupper() for sign in word[1:]):
        return True
    if any(sign.isdigit() for sign in word):
        # "8-bit", "3-layer", "1.5k": a number and what it counts; "gpt4", "k8s": a name.
        return not re.match(r"\d", word)
    return word[0].isupper() and (len(word) > 1 or not begins)


def _name_stands(word: str, begins: bool, cited: _Cited) -> bool:
    plain = word.lstrip("@")
    if cited.has_phrase(plain) and not _mistaken(plain, cited):
        return True
    pieces = _tokens(plain)
    if not pieces or (cited.has_run(pieces) and not _mistaken(plain, cited)):
        return True
    parts = [part for part in re.split(r"[-/&+.]", plain) if part]
    if len(parts) == 1:
        return _part_stands(plain, begins, cited)
    numbered = [(one, other) for one, other in pairwise(pieces) if other[0].isdigit()]
    if any(not one[0].isdigit() and not cited.has_near(one, other) for one, other in numbered):
        return False
    named = [part.lower() for part in parts if part.isalpha() and part.istitle()]
    if any(not cited.has_near(one, other) for one, other in pairwise(named)):
        return False
    return all(
        _part_stands(part, begins and place == 0, cited)
        for place, part in enumerate(parts)
        if not part[0].isdigit() and any(sign.isupper() for sign in part)
    ) and all(cited.has(part) or _in_numbers(part, cited) for part in parts if part[0].isdigit())


def _in_numbers(part: str, cited: _Cited) -> bool:
    own = {value for number in _numbers(part) for value, _ in number.readings}
    return any(
        value in own
        for each in cited.texts
        for number in each.numbers
        for value, _ in number.readings
    )


def _mistaken(word: str, cited: _Cited) -> bool:
    """Whether a short word of capitals stands there in small letters alone: "IT" is not "it"."""
    if len(word) > 3 or not word.isupper() or word.lower() not in STOP:
        return False
    return not any(word in each.upper for each in cited.texts)


def _part_stands(word: str, begins: bool, cited: _Cited) -> bool:
    lowered = word.lower()
    if len(word) == 1 or (cited.has(word) and not _mistaken(word, cited)):
        return True
    pieces = _tokens(word)
    if len(pieces) > 1:
        return cited.has_run(pieces)
    if any(cited.has_phrase(known) for known in _KNOWN.get(lowered, ())):
        return True
    single = word.removesuffix("s") if len(word) > 2 else word
    if single.isupper():
        short = single.lower()
        return any(
            short in (each.initials if len(short) > 2 else each.pairs) for each in cited.texts
        )
    if word[1:].islower():
        return lowered in STOP or (
            begins and (stem(lowered) in _ORDINARY or _ENDINGS.match(lowered) is not None)
        )
    # "TriAttention" of "Tri-Attention": what a hyphen holds apart in one of them.
    return len(word) > 5 and any(lowered in each.squeezed.replace(" ", "") for each in cited.texts)


def _expansions(said: str, cited: _Cited) -> set[int]:
    """Where words in capitals stand that spell an acronym of the texts: "Group Relative Policy …"."""
    found = list(_TOKEN.finditer(said))
    spelled: set[int] = set()
    for first in range(len(found)):
        letters, members = "", list[int]()
        for each in found[first : first + 8]:
            word = each[0]
            if word.lower() in _FUNCTION and members:
                continue
            if not word[0].isupper() or not word[0].isalpha():
                break
            letters += "".join(part[0] for part in word.split("-") if part).upper()
            members.append(each.start())
            if len(members) > 1 and any(letters in text.upper for text in cited.texts):
                spelled.update(members)
    return spelled


# ---------------------------------------------------------------- what it speaks of


def _speaks_of(said: str, cited: _Cited) -> bool:
    """Whether enough of the words of a sentence stand in what it rests on."""
    every = (word for word in _tokens(said) if word not in STOP and word not in _UNIT)
    own = {stem(word) for word in every} - _ORDINARY
    own = {each for each in own if len(each) > 2 and not each[0].isdigit()}
    if len(own) < _FEW:
        return True
    told = frozenset[str]().union(*(each.stems for each in cited.texts))
    return len(own & told) / len(own) >= LEAST_SHARED


# Words that begin sentences and name nothing, by their stems.
_ORDINARY = COMMON_STEMS | frozenset(
    stem(word)
    for word in [
        "a",
        "about",
        "above",
        "accept",
        "account",
        "achieve",
        "across",
        "adapt",
        "add",
        "address",
        "adopt",
        "after",
        "again",
        "against",
        "aim",
        "align",
        "all",
        "allow",
        "almost",
        "alone",
        "along",
        "already",
        "also",
        "alter",
        "although",
        "altogether",
        "among",
        "analyse",
        "analyze",
        "and",
        "another",
        "answer",
        "any",
        "anyone",
        "anything",
        "apart",
        "appear",
        "apply",
        "approach",
        "are",
        "argue",
        "around",
        "article",
        "as",
        "ask",
        "assess",
        "assume",
        "at",
        "attack",
        "attempt",
        "augment",
        "author",
        "avoid",
        "away",
        "back",
        "balance",
        "base",
        "be",
        "beat",
        "because",
        "become",
        "before",
        "begin",
        "behind",
        "below",
        "benchmark",
        "besides",
        "best",
        "better",
        "between",
        "beyond",
        "bigger",
        "bind",
        "both",
        "bound",
        "break",
        "bring",
        "build",
        "but",
        "by",
        "calibrate",
        "call",
        "can",
        "capture",
        "carry",
        "cast",
        "catch",
        "cause",
        "challenge",
        "change",
        "characterise",
        "characterize",
        "cheap",
        "cheaper",
        "check",
        "choose",
        "claim",
        "clear",
        "close",
        "closer",
        "code",
        "collect",
        "combine",
        "common",
        "compare",
        "complement",
        "compose",
        "compress",
        "compute",
        "concern",
        "confirm",
        "connect",
        "consider",
        "contain",
        "continue",
        "contrast",
        "contribute",
        "control",
        "convert",
        "correct",
        "cost",
        "could",
        "count",
        "couple",
        "cover",
        "create",
        "cross",
        "curious",
        "current",
        "cut",
        "data",
        "day",
        "decide",
        "decompose",
        "decouple",
        "deepen",
        "defend",
        "define",
        "deliver",
        "demonstrate",
        "depend",
        "derive",
        "describe",
        "design",
        "detect",
        "determine",
        "develop",
        "diagnose",
        "differ",
        "direct",
        "disentangle",
        "distil",
        "distill",
        "do",
        "does",
        "double",
        "down",
        "draw",
        "drive",
        "drop",
        "during",
        "each",
        "earlier",
        "early",
        "easy",
        "either",
        "else",
        "elsewhere",
        "embed",
        "employ",
        "enable",
        "encode",
        "encourage",
        "end",
        "enforce",
        "enough",
        "enrich",
        "ensure",
        "establish",
        "estimate",
        "evaluate",
        "even",
        "ever",
        "every",
        "everyone",
        "everything",
        "evidence",
        "evolve",
        "examine",
        "exceed",
        "except",
        "exist",
        "expand",
        "experiment",
        "explain",
        "exploit",
        "explore",
        "expose",
        "express",
        "extend",
        "extract",
        "fact",
        "fail",
        "fall",
        "far",
        "fast",
        "faster",
        "favour",
        "feed",
        "few",
        "fewer",
        "fill",
        "filter",
        "final",
        "find",
        "first",
        "fit",
        "fix",
        "focus",
        "follow",
        "for",
        "force",
        "form",
        "formalise",
        "formalize",
        "foster",
        "found",
        "four",
        "frame",
        "free",
        "from",
        "full",
        "further",
        "fuse",
        "gain",
        "gap",
        "generalise",
        "generalize",
        "generate",
        "get",
        "give",
        "given",
        "go",
        "good",
        "grow",
        "guarantee",
        "guide",
        "half",
        "hand",
        "handle",
        "hard",
        "hardly",
        "has",
        "have",
        "head",
        "help",
        "hence",
        "her",
        "here",
        "high",
        "his",
        "hit",
        "hold",
        "how",
        "however",
        "human",
        "idea",
        "identify",
        "ignore",
        "illustrate",
        "implement",
        "imply",
        "important",
        "improve",
        "in",
        "include",
        "incorporate",
        "increase",
        "indeed",
        "induce",
        "infer",
        "inform",
        "inherit",
        "inject",
        "inside",
        "inspect",
        "instead",
        "integrate",
        "interpret",
        "into",
        "introduce",
        "invert",
        "investigate",
        "is",
        "isolate",
        "it",
        "its",
        "itself",
        "join",
        "jointly",
        "just",
        "keep",
        "key",
        "know",
        "label",
        "lack",
        "land",
        "large",
        "larger",
        "last",
        "late",
        "later",
        "launch",
        "lead",
        "learn",
        "leave",
        "less",
        "lesson",
        "let",
        "leverage",
        "lie",
        "lift",
        "light",
        "like",
        "likely",
        "limit",
        "line",
        "link",
        "list",
        "little",
        "load",
        "locate",
        "long",
        "longer",
        "look",
        "lose",
        "low",
        "lower",
        "main",
        "maintain",
        "make",
        "manage",
        "many",
        "map",
        "mark",
        "match",
        "maybe",
        "mean",
        "meanwhile",
        "measure",
        "meet",
        "memory",
        "merge",
        "method",
        "mid",
        "might",
        "mine",
        "mirror",
        "mitigate",
        "mix",
        "model",
        "modify",
        "monitor",
        "more",
        "moreover",
        "most",
        "motivate",
        "move",
        "much",
        "must",
        "name",
        "narrow",
        "near",
        "nearly",
        "need",
        "neither",
        "never",
        "nevertheless",
        "new",
        "newer",
        "next",
        "no",
        "nobody",
        "none",
        "nor",
        "not",
        "note",
        "nothing",
        "now",
        "number",
        "observe",
        "obtain",
        "occasional",
        "of",
        "off",
        "offer",
        "often",
        "old",
        "on",
        "once",
        "one",
        "only",
        "open",
        "operate",
        "optimise",
        "optimize",
        "or",
        "ordinary",
        "organise",
        "organize",
        "other",
        "otherwise",
        "our",
        "out",
        "outline",
        "outperform",
        "outside",
        "over",
        "overall",
        "overcome",
        "own",
        "paper",
        "parameterise",
        "parameterize",
        "part",
        "partition",
        "pass",
        "past",
        "pay",
        "people",
        "per",
        "perform",
        "perhaps",
        "permit",
        "pick",
        "pin",
        "place",
        "plain",
        "plan",
        "play",
        "point",
        "pose",
        "post",
        "predict",
        "prefer",
        "prepare",
        "present",
        "preserve",
        "prevent",
        "prior",
        "probe",
        "problem",
        "process",
        "produce",
        "profile",
        "project",
        "promise",
        "promote",
        "proof",
        "propose",
        "protect",
        "prove",
        "provide",
        "prune",
        "publish",
        "pull",
        "push",
        "put",
        "quantify",
        "question",
        "quick",
        "quite",
        "raise",
        "range",
        "rank",
        "reach",
        "read",
        "real",
        "realise",
        "realize",
        "reason",
        "recall",
        "recast",
        "receive",
        "recent",
        "reconcile",
        "reconstruct",
        "record",
        "recover",
        "reduce",
        "refine",
        "reframe",
        "reformulate",
        "regard",
        "relate",
        "relax",
        "release",
        "rely",
        "remain",
        "remember",
        "remove",
        "render",
        "replace",
        "report",
        "represent",
        "reproduce",
        "require",
        "rerank",
        "reshape",
        "resist",
        "resolve",
        "respect",
        "rest",
        "restore",
        "restrict",
        "result",
        "rethink",
        "retain",
        "retrieve",
        "return",
        "reuse",
        "reveal",
        "review",
        "revisit",
        "reward",
        "rewrite",
        "right",
        "roughly",
        "route",
        "run",
        "same",
        "sample",
        "save",
        "say",
        "scale",
        "score",
        "search",
        "second",
        "see",
        "seek",
        "seem",
        "select",
        "send",
        "separate",
        "serve",
        "set",
        "seven",
        "several",
        "shape",
        "share",
        "shed",
        "shift",
        "short",
        "should",
        "show",
        "shrink",
        "side",
        "similar",
        "simple",
        "simplify",
        "simulate",
        "since",
        "single",
        "sit",
        "situate",
        "six",
        "size",
        "skip",
        "slow",
        "slower",
        "small",
        "smaller",
        "so",
        "solve",
        "some",
        "somehow",
        "someone",
        "something",
        "sometimes",
        "soon",
        "source",
        "span",
        "sparse",
        "specialise",
        "specialize",
        "specify",
        "speed",
        "split",
        "stabilise",
        "stabilize",
        "stack",
        "stand",
        "start",
        "state",
        "stay",
        "steer",
        "step",
        "still",
        "stop",
        "store",
        "strengthen",
        "stress",
        "strong",
        "stronger",
        "structure",
        "study",
        "substitute",
        "such",
        "suffer",
        "suggest",
        "summarise",
        "summarize",
        "supply",
        "support",
        "sure",
        "surpass",
        "survey",
        "sustain",
        "swap",
        "synthesise",
        "synthesize",
        "system",
        "tackle",
        "tailor",
        "take",
        "target",
        "task",
        "teach",
        "team",
        "tell",
        "ten",
        "test",
        "than",
        "that",
        "the",
        "their",
        "theirs",
        "them",
        "then",
        "theory",
        "there",
        "therefore",
        "these",
        "they",
        "thing",
        "think",
        "third",
        "this",
        "those",
        "though",
        "thread",
        "three",
        "through",
        "thus",
        "tie",
        "time",
        "to",
        "today",
        "together",
        "told",
        "too",
        "top",
        "toward",
        "towards",
        "trace",
        "track",
        "trade",
        "train",
        "transfer",
        "transform",
        "translate",
        "treat",
        "trim",
        "true",
        "truth",
        "try",
        "tune",
        "turn",
        "twist",
        "two",
        "type",
        "under",
        "underlie",
        "understand",
        "unify",
        "unless",
        "unlike",
        "unlock",
        "until",
        "up",
        "update",
        "upon",
        "us",
        "use",
        "usual",
        "usually",
        "validate",
        "value",
        "vary",
        "verify",
        "very",
        "via",
        "view",
        "visit",
        "want",
        "warn",
        "was",
        "watch",
        "way",
        "we",
        "week",
        "weigh",
        "well",
        "were",
        "what",
        "whatever",
        "when",
        "where",
        "whereas",
        "whether",
        "which",
        "while",
        "who",
        "whoever",
        "whole",
        "whose",
        "why",
        "wide",
        "widen",
        "wider",
        "will",
        "win",
        "with",
        "within",
        "without",
        "word",
        "work",
        "works",
        "would",
        "wrap",
        "write",
        "year",
        "yes",
        "yesterday",
        "yet",
        "yield",
        "you",
        "your",
    ]
)
