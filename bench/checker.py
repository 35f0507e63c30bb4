"""The checker of a model's sentences: true ones it strikes, and planted errors it catches.

python -m bench checker [--show] [--seed 1] [--each 200]

True sentences are of three kinds, each held against the title and abstract of its own paper: sentences
of abstracts of the triage days, said in another way by rules (formulas as plain signs, percent as
words, digits as words, names in the plural, another beginning); comments that a model wrote about
those papers; and sentences of the sample digest whose paper is among them. Then each kind of error is
planted in such sentences: a number, a name or an id that its paper does not have. That it has not is
looked up in its letters, without the checker.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from app.domain.checking import check
from app.domain.latex import formulas
from app.domain.sentences import sentences
from bench.process import SHARED

DATA = SHARED / "data"


@dataclass(frozen=True)
class Paper:
    """A paper by its arXiv id."""

    id: str
    title: str
    abstract: str
    day: str = ""

    @property
    def text(self) -> str:
        return f"{self.title}. {self.day}\n{self.abstract}"


@dataclass(frozen=True)
class Case:
    """A sentence with the paper it names as its source, and how it was made."""

    kind: str
    sentence: str
    paper: Paper
    before: str = ""

    @property
    def verdict(self) -> str:
        return check(self.sentence, [self.paper.text], [f"arxiv:{self.paper.id}"])


# ---------------------------------------------------------------- true sentences


def rows(path: str) -> Iterator[dict[str, Any]]:
    with gzip.open(DATA / path, "rt", encoding="utf-8") as lines:
        for row in lines:
            yield json.loads(row)


def read() -> tuple[dict[str, Paper], list[tuple[str, str]]]:
    """Papers of the triage days by id, and (id, comment) of those a model commented on."""
    papers, comments = {}, []
    for path in sorted((DATA / "triage").glob("arxiv_triage_*.jsonl.gz")):
        for row in rows(f"triage/{path.name}"):
            if row.get("abstract"):
                papers[row["arxiv_id"]] = Paper(
                    row["arxiv_id"], row["title"], row["abstract"], row["day"]
                )
            if row.get("comment"):
                comments.append((row["arxiv_id"], row["comment"]))
    for row in rows("triage/hf_daily_upvotes.jsonl.gz"):
        text = row["abstract"] if row.get("abstract_full") else ""
        if text and row["arxiv_id"] not in papers:
            papers[row["arxiv_id"]] = Paper(row["arxiv_id"], row["title"], text, row["day"])
    return papers, comments


_WORDS = dict(
    zip(
        range(2, 11),
        ["two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"],
        strict=True,
    )
)
_DIGITS = {word: str(number) for number, word in _WORDS.items()}


def _unformed(text: str) -> str:
    """Formulas as a model writes them in plain text."""
    parts, at = [], 0
    for found in formulas(text):
        source = found.source
        for pattern, instead in (
            (r"\\times", "x"),
            (r"\\(?:sim|approx)\s*", "about "),
            (r"\\(?:leq?|geq?)\s*", " "),
            (r"\\([%$])", r"\1"),
            (r"\\(?:text|mathrm|mathbf|mathcal)\{([^{}]*)\}", r"\1"),
            (r"\^\{(\w+)\}", r"^\1"),
            (r"\{,\}", ","),
            (r"\\([a-zA-Z]+)", r"\1"),
            (r"[{}]", ""),
        ):
            source = re.sub(pattern, instead, source)
        parts += [text[at : found.start], source]
        at = found.end
    return "".join([*parts, text[at:]]).replace("\\%", "%")


def _reworded(text: str, chance: random.Random) -> str:
    """A sentence said in another way that is as true."""
    ways: list[Callable[[str], str]] = [
        lambda s: re.sub(r"(\d)%(?!-)", r"\1 percent", s, count=1),
        lambda s: re.sub(r"(\d)\s?x\b(?!-)", r"\1 times", s),
        lambda s: re.sub(r"(?<![\d.-])(\d+(?:\.\d+)?)x\b(?!-)", "a factor of \\1", s, count=1),
        lambda s: re.sub(r"(?<= )-(?=\d)", "\u2212", s),
        lambda s: re.sub(r"(?<=\d)(?=000\b)", ",", s),
        lambda s: re.sub(r"(?<=\d),(?=\d{3}\b)", "", s),
        lambda s: re.sub(
            r"(?<![\w.,-])([2-9]|10)(?= [a-z]{4,})", lambda f: _WORDS[int(f[0])], s, count=1
        ),
        lambda s: re.sub(
            rf"\b({'|'.join(_DIGITS)})(?= [a-z]{{4,}})", lambda f: _DIGITS[f[0]], s, count=1
        ),
        lambda s: re.sub(r"(?<=\d)\s?[-\u2013]{1,2}\s?(?=\d+(?:\.\d+)?%)", " to ", s),
        lambda s: re.sub(r"\(([A-Z]{2,6})\)", r"or \1", s),
        lambda s: s.replace("large language model", "LLM", 1),
        lambda s: re.sub(r"\bwe (propose|introduce|present)\b", r"the authors \1", s, flags=re.I),
        lambda s: re.sub(r"\b[Oo]ur (\w+)", r"the \1", s),
        lambda s: s.replace("outperforms", "does better than"),
        lambda s: s.replace("demonstrate", "show").replace("significantly ", ""),
    ]
    chance.shuffle(ways)
    done = 0
    for way in ways:
        told = way(text)
        done += told != text
        text = told
        if done == 3:
            break
    start = chance.choice(
        [
            "",
            "",
            "As the paper says, ",
            "Here, ",
            "The main finding: ",
            "According to its abstract, ",
        ]
    )
    if start and (len(text) < 2 or text[1].islower()):
        first = text.split()[0]
        ordinary = first.lower() in _BEGINNINGS
        text = start + (text[0].lower() + text[1:] if ordinary else text)
    return text


_BEGINNINGS = frozenset(
    [
        "the",
        "we",
        "our",
        "this",
        "these",
        "in",
        "on",
        "by",
        "to",
        "for",
        "it",
        "results",
        "experiments",
        "extensive",
        "while",
        "a",
        "an",
        "and",
        "however",
        "as",
    ]
)


def true_sentences(papers: dict[str, Paper], chance: random.Random, each: int) -> list[Case]:
    """Half of them reworded from abstracts, those with numbers or names first; see `read` for the rest."""
    made = []
    order = list(papers.values())
    chance.shuffle(order)
    for paper in order:
        told = [s for s in sentences(_unformed(paper.abstract)) if 50 < len(s) < 320]
        # One in five without any: of those an id alone can be wrong.
        if plain := chance.random() < 0.2:
            told = [s for s in told if not _figures(s) and not _names(s)]
        told = told if plain else [s for s in told if _figures(s) or _names(s)]
        if told:
            made.append(Case("abstract, reworded", _reworded(chance.choice(told), chance), paper))
        if len(made) >= each:
            break
    return made


def comment_sentences(
    papers: dict[str, Paper], comments: Sequence[tuple[str, str]], chance: random.Random
) -> list[Case]:
    """What a model wrote about papers of these days, sentence by sentence."""
    made = [
        Case("a model's comment", sentence, papers[paper])
        for paper, comment in comments
        if paper in papers
        for sentence in sentences(comment)
        if _names(sentence) or _figures(sentence)
    ]
    chance.shuffle(made)
    return made


def digest_sentences(papers: dict[str, Paper]) -> list[Case]:
    """Sentences of the sample digest under the heading of a paper whose abstract is there.

    Those that speak of other papers too are left out.
    """
    path = DATA / "seeds" / "daily-digest-2026-05-14.txt"
    if not path.exists():
        return []
    made = []
    for paragraph in path.read_text("utf-8").split("\n\n"):
        found = re.match(r"[^\n]{3,90}\(arXiv (\d{4}\.\d{4,5})\)\. ", paragraph)
        if found and found[1] in papers:
            made += [
                Case("the sample digest", sentence, papers[found[1]])
                for sentence in sentences(paragraph[found.end() :])
                if len(sentence.split()) > 3 and not _OF_OTHERS.search(sentence)
            ]
    return made


# What a sentence says that joins its paper to others: their texts are not there.
_OF_OTHERS = re.compile(r"Tier|thread|wiki|[Pp]airs|Cross-ref|same|echo|complement|\d\d-\d\d")


# ---------------------------------------------------------------- planted errors


_FIGURE = re.compile(r"(?<![\w.,^-])-?\d+(?:,\d{3})*(?:\.\d+)?(?![\w.,]*\d)")
_NAME = re.compile(
    r"(?<![\w-])(?:[A-Z][a-z]+[A-Z]\w*|[A-Z]{3,6}s?|[A-Z][A-Za-z]*-?\d[\w.]*|[A-Z][a-z]+-[A-Z]\w+)(?![\w-])"
)


def _figures(text: str) -> list[re.Match[str]]:
    return list(_FIGURE.finditer(text))


def _names(text: str) -> list[re.Match[str]]:
    return [found for found in _NAME.finditer(text) if found[0] not in ("LLM", "LLMs")]


def _put(text: str, found: re.Match[str], instead: str) -> str:
    return text[: found.start()] + instead + text[found.end() :]


def _absent(number: str, paper: Paper) -> bool:
    """Whether a number does not stand in the letters of a paper, whatever its unit."""
    plain = _unformed(paper.text).replace(",", "")
    number = number.lstrip("-")
    word = _WORDS.get(int(number), number) if number.isdigit() else number
    found = re.search(
        rf"(?<![\d.]){re.escape(number)}(?!\d|\.\d)|\b{re.escape(word)}\b", plain, re.I
    )
    return found is None


def _another_digit(case: Case, chance: random.Random) -> str:
    for found in chance.sample(_figures(case.sentence), len(_figures(case.sentence))):
        digits = [at for at, sign in enumerate(found[0]) if sign.isdigit()]
        at = chance.choice(digits)
        other = chance.choice([d for d in "123456789" if d != found[0][at]])
        number = found[0][:at] + other + found[0][at + 1 :]
        if _absent(number.replace(",", ""), case.paper):
            return _put(case.sentence, found, number)
    return ""


def _swapped_digits(case: Case, chance: random.Random) -> str:
    for found in _figures(case.sentence):
        signs = list(found[0])
        digits = [at for at, sign in enumerate(signs) if sign.isdigit()]
        if len(digits) > 1 and signs[digits[-1]] != signs[digits[-2]]:
            one, other = digits[-2:]
            signs[one], signs[other] = signs[other], signs[one]
            number = "".join(signs)
            if _absent(number.replace(",", ""), case.paper):
                return _put(case.sentence, found, number)
    return ""


def _moved_point(case: Case, chance: random.Random) -> str:
    for found in _figures(case.sentence):
        whole, point, rest = found[0].partition(".")
        if point and rest:
            number = f"{whole}{rest[0]}.{rest[1:]}" if len(rest) > 1 else f"{whole}{rest}"
        elif len(whole) > 1 and "," not in whole:
            number = f"{whole}0" if chance.random() < 0.5 else f"{whole[:-1]}.{whole[-1]}"
        else:
            continue
        if _absent(number.lstrip("0") or "0", case.paper):
            return _put(case.sentence, found, number)
    return ""


_UNITS = (
    (r"(?<=\d)\s?(?:%|percent\b)", ("x", " points", " ms", "B")),
    (r"(?<=\d)\s?(?:x\b|times\b|-fold\b)", ("%", " points", " ms")),
    (r"(?<=\d)B\b", ("M", "T")),
    (r"(?<=\d)M\b", ("B", "K")),
    (r"(?<=\d)[Kk]\b", ("M", "B")),
    (r"(?<=\d)\s?ms\b", (" s", " minutes")),
    (r"(?<=\d) (?:hours?|minutes?|seconds?|days?)\b", (" weeks", " ms")),
    (r"(?<=\d)\s?GB\b", ("MB", "TB")),
    (r"(?<=\d) (?:points?|percentage points)\b", ("%", "x")),
    (r"(?<=\d) (?:million)\b", (" billion", " thousand")),
)


def _another_unit(case: Case, chance: random.Random) -> str:
    for pattern, others in chance.sample(_UNITS, len(_UNITS)):
        if found := re.search(pattern, case.sentence):
            number = re.search(r"[\d.,]+$", case.sentence[: found.start()])
            other = chance.choice(others)
            wrong = f"{number[0] if number else ''}{other}".replace(" ", "")
            if wrong not in _unformed(case.paper.text).replace(" ", ""):
                return _put(case.sentence, found, other)
    return ""


def _percent_as_points(case: Case, chance: random.Random) -> str:
    found = re.search(r"(?<=\d)\s?(?:%|percent\b)", case.sentence)
    if found and not re.search(r"point|pp\b|absolute", case.paper.text):
        return _put(case.sentence, found, " percentage points")
    return ""


def _another_word_number(case: Case, chance: random.Random) -> str:
    found = re.search(rf"\b({'|'.join(_DIGITS)})\b", case.sentence)
    if not found:
        return ""
    for word in chance.sample(list(_DIGITS), len(_DIGITS)):
        if word != found[0] and not re.search(
            rf"\b({word}|{_DIGITS[word]})\b", case.paper.text, re.I
        ):
            return _put(case.sentence, found, word)
    return ""


def _dropped_sign(case: Case, chance: random.Random) -> str:
    found = re.search(r"(?<=[\s=(])[-\u2212](?=\d)", case.sentence)
    return _put(case.sentence, found, "") if found else ""


def _another_version(case: Case, chance: random.Random) -> str:
    for found in _names(case.sentence):
        digit = re.search(r"\d", found[0])
        if digit:
            other = str((int(digit[0]) + chance.randint(1, 8)) % 10)
            name = found[0][: digit.start()] + other + found[0][digit.end() :]
            if name.lower() not in case.paper.text.lower():
                return _put(case.sentence, found, name)
    return ""


def _foreign_name(first: bool) -> Callable[[Case, random.Random], str]:
    def plant(case: Case, chance: random.Random) -> str:
        found = [each for each in _names(case.sentence) if (each.start() == 0) == first]
        if not found:
            return ""
        here = re.sub(r"[\W_]", "", case.paper.text.lower())
        for name in chance.sample(_others, len(_others)):
            if re.sub(r"[\W_]", "", name.lower()) not in here:
                return _put(case.sentence, chance.choice(found), name)
        return ""

    return plant


_others: list[str] = []  # names of other papers, filled by `main`


def _id_off_by_one(case: Case, chance: random.Random) -> str:
    year, number = case.paper.id.split(".")
    other = f"{year}.{int(number) + chance.choice((-1, 1)):05}"
    return f"{case.sentence.rstrip('.')} (arXiv {other})."


def _another_date(case: Case, chance: random.Random) -> str:
    year, month, day = case.paper.day.split("-")
    other = int(day) + chance.choice((-2, -1, 1, 2))
    told = chance.choice((f"{month}-{other:02}", f"{year}-{month}-{other:02}", f"May {other}"))
    return f"{case.sentence.rstrip('.')} ({told})." if other > 0 and month == "05" else ""


PLANTS: dict[str, Callable[[Case, random.Random], str]] = {
    "another digit": _another_digit,
    "digits swapped": _swapped_digits,
    "point moved": _moved_point,
    "another unit": _another_unit,
    "percent as points": _percent_as_points,
    "another number word": _another_word_number,
    "sign dropped": _dropped_sign,
    "another version of a model": _another_version,
    "name of another paper": _foreign_name(False),
    "name of another paper, first": _foreign_name(True),
    "arXiv id off by one": _id_off_by_one,
    "another date": _another_date,
}
_ANOTHER_SOURCE = "id of another paper"  # as what it rests on
_ANOTHER_SOURCE_PLAIN = "the same, no number or name"  # there are words alone to tell by


def planted(
    cases: Sequence[Case], papers: Sequence[Paper], chance: random.Random, each: int
) -> list[Case]:
    """`each` errors in all, of every kind as many as there can be."""
    made: dict[str, list[Case]] = {
        kind: [] for kind in (*PLANTS, _ANOTHER_SOURCE, _ANOTHER_SOURCE_PLAIN)
    }
    share = -(-each // len(made))
    order = list(cases)
    for kind, plant in PLANTS.items():
        chance.shuffle(order)
        for case in order:
            wrong = plant(case, chance)
            if wrong and wrong != case.sentence:
                made[kind].append(Case(kind, wrong, case.paper, case.sentence))
            if len(made[kind]) >= 3 * share:
                break
    for kind, plain in ((_ANOTHER_SOURCE, False), (_ANOTHER_SOURCE_PLAIN, True)):
        some = [
            case
            for case in order
            if plain != bool(_figures(case.sentence) or _names(case.sentence))
        ]
        for case in some[: 3 * share]:
            other = chance.choice(papers)
            if other.id != case.paper.id:
                made[kind].append(Case(kind, case.sentence, other, case.sentence))
    found, at = list[Case](), 0
    while len(found) < each and any(len(some) > at for some in made.values()):
        found += [some[at] for some in made.values() if len(some) > at]
        at += 1
    return found[:each]


# ---------------------------------------------------------------- the figures


def main(arguments: Sequence[str] = ()) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench checker")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--each", type=int, default=200)
    parser.add_argument("--show", action="store_true", help="print what went wrong")
    asked = parser.parse_args(arguments)
    if not (DATA / "triage").is_dir():
        print("The triage days are not here; nothing was measured.")
        return
    chance = random.Random(asked.seed)
    papers, comments = read()
    _others[:] = sorted(
        {
            found[0]
            for paper in chance.sample(list(papers.values()), min(400, len(papers)))
            for found in _names(paper.title)
        }
    )
    digest = digest_sentences(papers)
    said = comment_sentences(papers, comments, chance)[: asked.each * 3 // 10]
    told = true_sentences(papers, chance, asked.each - len(said) - len(digest))
    true = [*told, *said, *digest]
    _tell("true sentences, struck", true, asked.show, wrong=lambda case: bool(case.verdict))
    # Errors are planted in more sentences than were looked at above: rare kinds are rare.
    more = true_sentences(papers, chance, 3_000) + [each for each in true if not each.verdict]
    stands = [case for case in more if not case.verdict]
    errors = planted(stands, list(papers.values()), chance, asked.each)
    _tell("planted errors, missed", errors, asked.show, wrong=lambda case: not case.verdict)


def _tell(title: str, cases: Sequence[Case], show: bool, *, wrong: Callable[[Case], bool]) -> None:
    bad = [case for case in cases if wrong(case)]
    print(f"{title}: {len(bad)} of {len(cases)} ({len(bad) / max(1, len(cases)):.3f})")
    of, out = Counter(case.kind for case in cases), Counter(case.kind for case in bad)
    for kind, number in of.items():
        print(f"  {kind:32} {out[kind]:3} of {number}")
    if show:
        for case in bad:
            print(f"  - {case.kind}: {case.verdict or 'not caught'}\n    {case.sentence}")


if __name__ == "__main__":
    main()
