"""The vault test: the links from papers to concepts of a real vault, hidden and proposed again.

    python -m bench vault [--misses] [--human] [--words]

A person's notes become concepts. Wherever a note lists a paper of arXiv, the whole entry is cut out
of its text, so that neither title nor link is left, and the linker has to find the note again: with
no paper linked at all (cold), and with every second one linked. Papers with an abstract and papers
of which only the title is known are counted apart; beside the linker stands tf-idf over the same
words. The vaults are those of ../shared/data; nothing of them is kept.

A second vault, written by a model, whose sources name their topic: the same, as a second figure.
"""

from __future__ import annotations

import argparse
import gzip
import json
import re
import sys
import tarfile
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from app.domain.identifiers import slugify
from app.domain.words import Lexicon
from bench.process import SHARED, run

VAULTS = SHARED / "data" / "vaults"
HUMAN, WRITTEN = "carlos-gg-digitalgarden", "goku2130-research-wiki"
RANKS = 10
SHORTEST = 3  # words of a title that a page may not hold; shorter ones are terms of the field
_LINK = re.compile(r"\[((?:[^\[\]]|\[[^\[\]]*\])+)\]\(\s*<?([^)>\s]*)")
_BULLET = re.compile(r"\s*(?:[-*+]|\d{1,3}[.)])\s")
_YEAR = re.compile(r"\s*\((?:[^()]*[, ])?\(?(?:19|20)\d\d[a-z]?\)?(?:[,;:][^()]*)?\)\.?\s*$")
_NUMBERED = re.compile(r"^\s*\[?(?:arxiv:)?\d{4}\.\d{4,5}(?:v\d+)?\]?:?\s*", re.I)
_SITE = re.compile(r"\s*\((?:paper on )?arxiv(?:\.org)?\)\s*$", re.I)
_WIKILINK = re.compile(r"!?\[\[([^\]|#]*)(?:#[^\]|]*)?(?:\|([^\]]*))?\]\]")
_WORD = re.compile(r"[^\W_]+")
_SOURCE = re.compile(r"\[source:[^\]]*\]")


@dataclass(frozen=True)
class Page:
    """A note that is a concept: its place in the vault, its name, its text."""

    path: str
    name: str
    text: str


@dataclass(frozen=True)
class HiddenPaper:
    """A paper, known by title and perhaps abstract, and the pages that list it (its true links).

    `called` is what the pages themselves call it: that is cut out of them too.
    """

    id: str
    title: str
    abstract: str
    pages: frozenset[str]
    called: tuple[str, ...] = ()


@dataclass(frozen=True)
class Question:
    """A whole test: what a wiki would be given, and what is hidden."""

    pages: tuple[Page, ...]
    papers: tuple[HiddenPaper, ...]
    untitled: int  # papers left out: the vault says no title
    short: int  # titles too short to be looked for in the pages


# ---------------------------------------------------------------- cutting out


def entries(text: str) -> list[list[str]]:
    """A page as blocks of lines: a bullet with all that stands under it, or one other line."""
    blocks: list[list[str]] = []
    depth = -1
    for line in text.split("\n"):
        if depth >= 0 and line.strip() and _depth(line) > depth:
            blocks[-1].append(line)
            continue
        depth = _depth(line) if _BULLET.match(line) else -1
        blocks.append([line])
    return blocks


def _depth(line: str) -> int:
    bare = line.expandtabs(4)
    return len(bare) - len(bare.lstrip())


def without(text: str, named: Iterable[str]) -> str:
    """The text less every entry that holds one of these strings (an arXiv id, say).

    An entry goes with all that stands under it, for that tells of the paper. When the string stands
    in an entry further down, that one goes alone, unless it is a bare address: then it belongs to the
    entry above.
    """
    sought = re.compile("|".join(re.escape(each) for each in named) or r"(?!)")

    def cut(text: str) -> Iterator[str]:
        for block in entries(text):
            below = "\n".join(block[1:])
            addresses = [
                line
                for line, *_ in (entries(below) if below else [])
                if sought.search(line) and not _LINK.search(line)
            ]
            if sought.search(block[0]) or addresses:
                continue
            yield block[0]
            if len(block) > 1:
                yield from cut(below)

    return "\n".join(cut(text))


def title_of(text: str, arxiv_id: str) -> str:
    """The words of the link to a paper in a page, without author and year; "" when there are none.

    A bare address under an entry marked as a paper takes that entry's words.
    """
    for block in entries(text):
        for line in block:
            if arxiv_id not in line:
                continue
            for words, address in _LINK.findall(line):
                if arxiv_id in address and arxiv_id not in words.split():
                    return clean_title(words)
            if "#PAPER" in block[0] and (said := _LINK.search(block[0])):
                return clean_title(said[1])
    return ""


def clean_title(words: str) -> str:
    """A title as a catalogue has it: no number before it, no author and year after it."""
    words, said = _NUMBERED.sub("", words.replace("\\", "").strip()), ""
    while words != said:
        said, words = words, _SITE.sub("", _YEAR.sub("", words)).strip(' .*_`"')
    is_none = words.lower() in ("pdf", "paper", "arxiv", "link") or "://" in words
    return "" if is_none else words


def flat(text: str) -> str:
    """Lower-case words with one blank between, and one at each end: titles are looked for in it."""
    said = _WORD.findall(unicodedata.normalize("NFKC", text).lower())
    return f" {' '.join(said)} "


def without_titles(text: str, titles: Iterable[str]) -> str:
    """The text less every line in which one of these titles stands, however it is set."""
    sought = [flat(title) for title in titles]
    lines = text.split("\n")
    said = [flat(line) for line in lines]
    whole = flat(text)
    there = [title for title in sought if title in whole]
    gone = {at for at, line in enumerate(said) if any(title in line for title in there)}
    # A title that is broken over two lines takes both.
    for title in there:
        for at in range(len(lines) - 1):
            joined = f"{said[at].rstrip()} {said[at + 1].lstrip()}"
            if title in joined and title not in said[at] and title not in said[at + 1]:
                gone |= {at, at + 1}
    return "\n".join(line for at, line in enumerate(lines) if at not in gone)


def hide(pages: Sequence[Page], papers: Sequence[HiddenPaper]) -> tuple[tuple[Page, ...], int]:
    """The pages without the papers, and how many titles were too short to look for.

    Raises AssertionError when a title or an identifier is still to be found.
    """
    every = {title for paper in papers for title in (paper.title, *paper.called)}
    titles = sorted(title for title in every if len(flat(title).split()) >= SHORTEST)
    ids = [paper.id for paper in papers]
    bare = [replace(page, text=without_titles(without(page.text, ids), titles)) for page in pages]
    for page in bare:
        said = flat(page.text)
        left = [title for title in titles if flat(title) in said]
        left += [each for each in ids if each in page.text]
        if left:
            raise AssertionError(f"{page.name} still holds {left[:3]}")
    return tuple(bare), sum(len(flat(paper.title).split()) < SHORTEST for paper in papers)


# ---------------------------------------------------------------- reading the vaults


def _rows(path: Path) -> list[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as text:
        return [json.loads(line) for line in text]


def _files(name: str) -> dict[str, str]:
    """Path inside the vault -> text, Markdown only."""
    found: dict[str, str] = {}
    with tarfile.open(VAULTS / f"{name}.tar.gz") as archive:
        for member in archive:
            stream = archive.extractfile(member) if member.name.endswith(".md") else None
            if stream:
                path = PurePosixPath(member.name.removeprefix("./"))
                inside = path.relative_to(name) if path.parts[0] == name else path
                found[str(inside)] = stream.read().decode("utf-8", "replace")
    return found


def split_front(text: str) -> tuple[str, str]:
    """(front matter, body) of a Markdown file."""
    match = re.match(r"---\n(.*?)\n---\n?", text, re.S)
    return (match[1], text[match.end() :]) if match else ("", text)


def _field(front: str, name: str) -> str:
    match = re.search(rf"^{name}:[ \t]*(.*)$", front, re.M)
    return match[1].strip().strip("'\"") if match else ""


def _plain(text: str) -> str:
    """Wikilinks as the words they show: their addresses are those of the vault."""
    return _WIKILINK.sub(lambda m: m[2] or PurePosixPath(m[1] or "").name, text)


def human() -> Question:
    """The garden a person wrote: all its notes are concepts, those without a paper too."""
    files = _files(HUMAN)
    listed: dict[str, set[str]] = defaultdict(set)
    for row in _rows(VAULTS / f"{HUMAN}.page_papers.jsonl.gz"):
        listed[row["arxiv_id"]].add(row["page"])
    known = {row["arxiv_id"]: row for row in _rows(VAULTS / f"{HUMAN}.papers.jsonl.gz")}
    papers: list[HiddenPaper] = []
    for arxiv_id, places in sorted(listed.items()):
        said = [title for place in sorted(places) if (title := title_of(files[place], arxiv_id))]
        paper = known.get(arxiv_id, {})
        title = paper.get("title") or (said[0] if said else "")
        papers.append(
            HiddenPaper(
                arxiv_id, title, paper.get("abstract") or "", frozenset(places), tuple(said)
            )
        )
    notes = [
        Page(path, _field(split_front(text)[0], "title") or PurePosixPath(path).stem, text)
        for path, text in sorted(files.items())
        if path.startswith("content/AI") and not path.endswith("_index.md")
    ]
    return _question([replace(n, text=_plain(split_front(n.text)[1])) for n in notes], papers)


def written() -> Question:
    """The wiki a model wrote: a topic page for each topic; a source names its topic."""
    files = _files(WRITTEN)
    known = {row["arxiv_id"]: row for row in _rows(VAULTS / f"{WRITTEN}.papers.jsonl.gz")}
    papers: list[HiddenPaper] = []
    for path, text in sorted(files.items()):
        front, _ = split_front(text)
        arxiv_id = re.fullmatch(r"arxiv:(\d{4}\.\d{4,5})", _field(front, "id"))
        topic = f"topics/{_field(front, 'topic')}.md"
        if path.startswith("sources/") and arxiv_id and topic in files:
            abstract = known.get(arxiv_id[1], {}).get("abstract") or ""
            papers.append(
                HiddenPaper(arxiv_id[1], _field(front, "title"), abstract, frozenset([topic]))
            )
    notes = []
    for path, text in sorted(files.items()):
        if path.startswith("topics/"):
            front, body = split_front(text)
            name = _field(front, "title") or PurePosixPath(path).stem
            notes.append(Page(path, name, _SOURCE.sub("", _plain(body))))
    return _question(notes, papers)


def _question(notes: Sequence[Page], papers: Sequence[HiddenPaper]) -> Question:
    titled = tuple(paper for paper in papers if paper.title)
    # The untitled are cut out with the others, but cannot be asked for.
    pages, short = hide(notes, papers)
    inside = {page.path for page in pages}
    asked = tuple(paper for paper in titled if paper.pages & inside)
    return Question(pages, asked, untitled=len(papers) - len(titled), short=short)


# ---------------------------------------------------------------- asking


Ranked = Mapping[str, Sequence[str]]  # paper -> paths of pages, best first


def _cerebro(*arguments: str) -> list[str]:
    """The command line, which encodes no text that was encoded in an earlier run."""
    return [sys.executable, "-m", "bench.kept_vectors", *arguments]


def by_linker(
    question: Question, linked: Sequence[HiddenPaper], settings: Mapping[str, str]
) -> tuple[Ranked, dict[str, Any]]:
    """What `cerebro link` answers in a wiki where these papers are linked already.

    Also every printed row by "paper path", for reading.
    """
    with TemporaryDirectory() as folder:
        data, file = Path(folder) / "data", Path(folder) / "wiki.jsonl"
        rows = interchange(question, linked)
        file.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
        run(_cerebro("migrate"), data, settings)
        run(_cerebro("import", str(file)), data, settings)
        said, _ = run(_cerebro("link", "--candidates", str(RANKS), "--json"), data, settings)
    return answered(question, said)


def interchange(question: Question, linked: Sequence[HiddenPaper]) -> list[dict[str, Any]]:
    """The wiki to ask, as lines of interchange: all pages, all papers, the links of some."""
    slug = _slugs(question.pages)
    rows: list[dict[str, Any]] = [
        {"type": "concept", "id": slug[page.path], "title": page.name, "text": page.text}
        for page in question.pages
    ]
    for paper in question.papers:
        rows.append(
            {
                "type": "paper",
                "id": f"arxiv:{paper.id}",
                "title": paper.title,
                "abstract": paper.abstract,
                "published": f"20{paper.id[:2]}-{paper.id[2:4]}",
            }
        )
    for paper in linked:
        for path in sorted(paper.pages & slug.keys()):
            rows.append(
                {
                    "type": "link",
                    "source": f"arxiv:{paper.id}",
                    "relation": "about",
                    "target": slug[path],
                    "status": "accepted",
                }
            )
    return rows


def answered(question: Question, said: str) -> tuple[Ranked, dict[str, Any]]:
    """The lines of `cerebro link --json` as paths of pages by paper, best first, and the rows."""
    path_of = {name: path for path, name in _slugs(question.pages).items()}
    ranked: dict[str, list[str]] = defaultdict(list)
    printed: dict[str, Any] = {}
    for line in said.splitlines():
        row = json.loads(line)
        if row["relation"] == "about" and row["target"] in path_of:
            paper, path = row["paper"].removeprefix("arxiv:"), path_of[row["target"]]
            ranked[paper].append(path)
            printed[f"{paper} {path}"] = row
    return ranked, printed


def _slugs(pages: Sequence[Page]) -> dict[str, str]:
    """Path -> an address of its own: two folders may hold notes of one name."""
    found: dict[str, str] = {}
    for page in pages:
        name = slugify(page.name) or "note"
        taken = set(found.values())
        found[page.path] = next(
            each
            for each in (name, *(f"{name}-{number}" for number in range(2, 1_000)))
            if each not in taken
        )
    return found


def by_words(question: Question, linked: Sequence[HiddenPaper]) -> Ranked:
    """The baseline: cosine of tf-idf, a page being its name, its text and its linked papers."""
    said: dict[str, list[str]] = {page.path: [page.name, page.text] for page in question.pages}
    for paper in linked:
        for path in paper.pages & said.keys():
            said[path] += [paper.title, paper.abstract]
    done = {paper.id for paper in linked}
    asked = [paper for paper in question.papers if paper.id not in done]
    lexicon = Lexicon()
    there = lexicon.counts(["\n".join(parts) for parts in said.values()])
    here = lexicon.counts([f"{paper.title}\n{paper.abstract}" for paper in asked])
    there.resize(there.shape[0], here.shape[1])
    held = np.asarray((there > 0).sum(axis=0)).ravel()
    weight = np.log((1 + len(said)) / (1 + held)) + 1
    for counts in (there, here):
        counts.data = 1 + np.log(counts.data)
    near = (_units(here.multiply(weight)) @ _units(there.multiply(weight)).T).toarray()
    paths = list(said)
    order = np.argsort(-near, axis=1, kind="stable")[:, :RANKS]
    return {paper.id: [paths[at] for at in row] for paper, row in zip(asked, order, strict=True)}


def _units(rows: Any) -> Any:
    rows = rows.tocsr()
    length = np.sqrt(np.asarray(rows.multiply(rows).sum(axis=1)).ravel())
    length[length == 0] = 1
    return rows.multiply(1 / length[:, None]).tocsr()


# ---------------------------------------------------------------- telling


def figures(papers: Sequence[HiddenPaper], ranked: Ranked) -> dict[str, float]:
    """recall@1, @5: share of a paper's true pages among the first so many; mrr of the first true."""
    found = [(paper.pages, list(ranked.get(paper.id, ()))) for paper in papers]

    def recall(count: int) -> float:
        return float(np.mean([len(true & set(row[:count])) / len(true) for true, row in found]))

    def first(true: frozenset[str], row: list[str]) -> float:
        return next((1 / place for place, each in enumerate(row, 1) if each in true), 0.0)

    return {
        "recall@1": recall(1),
        "recall@5": recall(5),
        "mrr": float(np.mean([first(true, row) for true, row in found])),
    }


def lines(how: str, question: Question, ranked: Ranked, plain: Ranked) -> Iterator[str]:
    """A line for the papers with an abstract, one for titles alone."""
    for words, some in (
        ("with abstract", [p for p in question.papers if p.abstract]),
        ("title alone", [p for p in question.papers if not p.abstract]),
    ):
        if some:
            cells = "".join(
                f"{ours:9.3f} ({theirs:.3f})"
                for ours, theirs in zip(
                    figures(some, ranked).values(), figures(some, plain).values(), strict=True
                )
            )
            yield f"{how:12s} {words:14s} n={len(some):4d} {cells}"


def misses(question: Question, ranked: Ranked, printed: Mapping[str, Any]) -> Iterator[str]:
    """One line a paper whose page is not among the first five, for reading."""
    names = {page.path: page.name for page in question.pages}
    for paper in question.papers:
        row = list(ranked.get(paper.id, ()))
        if not paper.pages & set(row[:5]):
            true = "; ".join(sorted(names.get(path, path) for path in paper.pages))
            said = "; ".join(
                f"{names[path]} {printed[f'{paper.id} {path}']['confidence']:.2f}"
                for path in row[:5]
            )
            kind = "abstract" if paper.abstract else "title"
            yield f"{kind} | {paper.title} | true: {true} | first: {said}"


def measure(name: str, question: Question, settings: Mapping[str, str], *, show: bool) -> None:
    """Prints one vault's figures; both halves are asked in turn with the other half linked."""
    print(
        f"\n{name}: {len(question.pages)} pages, {len(question.papers)} papers asked, "
        f"{question.untitled} without any title left out, {question.short} titles of one or two words"
    )
    print(f"{'':37s} {'recall@1':>9s} (words){'recall@5':>9s} (words){'mrr':>9s} (words)")
    ranked, printed = by_linker(question, (), settings)
    for line in lines("cold", question, ranked, by_words(question, ())):
        print(line, flush=True)
    if show:
        print("\n".join(misses(question, ranked, printed)))
    ranked, printed = {}, {}
    plain: dict[str, Sequence[str]] = {}
    for start in (0, 1):
        linked = question.papers[start::2]
        found, said = by_linker(question, linked, settings)
        ranked |= found
        printed |= said
        plain |= by_words(question, linked)
    for line in lines("half linked", question, ranked, plain):
        print(line, flush=True)
    if show:
        print("\n".join(misses(question, ranked, printed)))


def main(arguments: Sequence[str] = ()) -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        prog="python -m bench vault",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--misses", action="store_true", help="print each paper not in the first 5")
    parser.add_argument("--words", action="store_true", help="without vectors")
    parser.add_argument("--human", action="store_true", help="the person's vault alone")
    given = parser.parse_args(arguments)
    if not VAULTS.is_dir():
        print(f"There are no vaults at {VAULTS}; nothing was measured.")
        return
    settings = {"CEREBRO_EMBEDDING_MODEL": "none"} if given.words else {}
    measure("a person's garden", human(), settings, show=given.misses)
    if not given.human:
        measure("a model's wiki", written(), settings, show=given.misses)


if __name__ == "__main__":
    main(sys.argv[1:])
