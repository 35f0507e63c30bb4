"""The terms of a paper: what it speaks of, under one key whatever the way of writing.

Candidates are runs of words between stop words and punctuation, as in RAKE, and every shorter run
in them that may begin and end a term; acronyms are joined with their expansions by the algorithm of
Schwartz and Hearst. Which terms deserve a page is judged over the whole wiki, by `domain/wanted.py`.
Pure, without a tagger of parts of speech, and linear in the length of the text.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

from app.domain import words
from app.domain.latex import formulas

MOST = 16  # terms of a paper
LONGEST = 80  # characters of a key
_READ = 30_000  # characters of a text that are looked at
_WORDS = 4  # words of a term, a compound with hyphens being one
_LETTERS = 40  # of a word; what is longer is none
_ENGLISH = 0.12  # stop words among the words of an English text, at least
_SHORT = 30  # words of a text too short to tell its language

_WORD = re.compile(r"[^\W_]+(?:(?:[-\u2010\u2011/]|['\u2019](?!s\b))[^\W_]+){0,6}")
_PART = re.compile(r"[^\W_]+")
_APART = re.compile(r"\s{1,3}|['\u2019]s\s{1,3}")
_IN_BRACKETS = re.compile(r"\(([^()\n]{2,80})\)")
_TITLE_NAME = re.compile(r"\s*([^:\n]{1,40}?)\s*(?::|\s[-\u2013\u2014]\s)")


def _list(text: str) -> frozenset[str]:
    return frozenset(text.split())


# What ends a run: verbs, adverbs and words of the papers' own talk that no term has in it.
_BREAKS = words.STOP | _list("""
across along already although always among amongst another around away became because become becomes
before behind below besides beyond cannot certain despite down either else enough especially etc even
every few fewer first five four fully furthermore get gets give given gives giving hence just last
least less let like likely little made mainly make makes making many might moreover mostly namely near
nearly neither never next nor now often once onto otherwise own particularly per perhaps quite rather
second seem seems seen she since six so something sometimes still ten than thereby therefore third
three throughout thus together too toward towards two typically unlike until us usually various versus
vs well whereas whereby wherein whether yet against e.g i.e eg ie al

accelerate accelerates achieve achieved achieves achieving acquire adapt adapts add added adding address addressed addresses
addressing adopt adopted adopts advance advances affect affects aim aimed aiming aims align aligns allow
allowed allowing allows analyze analyzed analyzes apply applied applies applying appear appears arise
arises argue assess assesses associated assume assumes attain attains attempt attempts augment augments
based begin being believe benefit benefits boost boosts boosting bring brings  bridges build built
builds call called capture captured captures capturing  causes caused challenge challenges
challenging characterize choose chosen combine combined combines combining come comes compare compared
compares comparing complement comprise comprises comprising compute computes conduct conducted confirm
confirms consider considered considering considers consist consisting consists constitute construct
constructed constructs contain containing contains contribute contributes convert converts cover covers
covering create created creates creating decide decrease decreases define defined defines deliver
delivers delivering demonstrate demonstrated demonstrates demonstrating depend depends derive derived
derives describe described describes deploy deployed designed designs detail determine develop developed
developing develops devise differ differs discover discovers discuss discussed discusses due elicit
eliminate eliminates eliminating emerge emerged emerges emerging employ employed employing employs
enable enabled enables enabling edit edits compress compresses prune prunes quantize quantizes encounter encourage enforce enhance enhanced enhances enhancing ensure
ensures ensuring establish established establishes evaluate evaluated evaluates evaluating examine
examines exceed exceeds exhibit exhibits exist existed exists expand expands explain explains exploit
exploits exploiting explore explored explores exploring expose extend extended extends extending facilitate
facilitates facilitating fail fails failed fall falls fill find finding findings finds focus focused focuses
focusing follow followed following follows form formulate found frame  gains generate generated
generates handle handles handling help helping helps highlight highlighting highlights hinder hinders
hold holds identify identified identifies identifying illustrate implement implemented implements imply
improve improved improvement improvements improves improving incorporate incorporated incorporates
incorporating increase increased increases increasing incur incurs indicate indicates inform inspired
integrate integrated integrates integrating introduce introduced introduces introducing investigate
investigated investigates investigating involve involved involves involving keep keeps know known
lack lacks lead leading leads learn learned learns leave leaves leverage leveraged leverages leveraging lie lies limit
limits maintain maintaining maintains match matches maximize mean means meet meets minimize minimizes
minimizing mitigate mitigates mitigating motivate motivated move  needed needs observe observed
observes obtain obtained obtains occur occurs offer offers offering open-source opens operate operates
optimize optimizes outperform outperforming outperforms outperformed overcome overcomes perform performed
performing performs permit pose poses posit possess predict predicted predicts prefer present presented
presents preserve preserves preserving prevent prevents produce produced produces producing promote
propose proposed proposes proposing prove proved proven proves provide provided provides providing publish
pursue put raise raised raises range ranging reach reaches realize receive received recover recovers reduce
reduced reduces reducing refer referred refers reflect reflects regard regarding release released releases
relies rely relying remain remaining remains remove removes removing replace replaces report reported reports
represent represented represents require required requires requiring resolve resolves result resulted
resulting results retain retains retaining reveal revealed revealing reveals  runs satisfy save say see seek seeks select
selects serve serves set sets shed  show showed showing shown shows share shares significantly simplify
solve solved solves solving speed stem stems strengthen struggle struggles study studied studies
substantially succeed suffer suffers suggest suggesting suggests suit summarize  supported supporting
supports surpass surpasses surpassing synthesize synthesizes tackle tackles tackling tailored take taken takes
taking   tend term termed  tested think tested train trains treat treats try turn
understand unify unifies unlock   use used uses using utilize utilized utilizes utilizing
validate validated validates validating vary verify view want work working works yield yielded yielding
yields

paper papers article survey surveys  reviews experiment experiments experimental extensive extensively
result conclusion conclusions abstract introduction section appendix contribution contributions insight insights
literature author authors researcher researchers researches et work's  github https http www com org project website
available publicly significance importance advantage advantages limitation limitations drawback drawbacks
state-of-the-art sota state-of-art so-called in-depth well-known non-trivial cutting-edge real-world
""")  # fmt: skip

# What no term begins with: adjectives that praise or count, and other words that say nothing alone.
_NO_START = _list("""
able abundant accelerated accurate adaptive automated actual additional adequate advanced ai-based all-in-one alternative apparent
appropriate arbitrary available average bad balanced basic best better big broad broader classic classical
close closed clear common commonly comparable competitive complete complex complicated comprehensive
considerable consistent conventional core corresponding costly critical crucial current customized
daily deeper desired desirable detailed different difficult direct distinct diverse dominant dynamic dramatic early
easy effective efficient elegant empirical end entire essential evaluation serving exact excellent exceptional
existing expensive explicit extra extreme fair fast faster final fine finer flexible free frequent full
fundamental further future general generic good great greater growing hard heavy helpful
heterogeneous high high-quality higher highly holistic huge human-like ideal identical immense
impactful important impressive inaccurate increased incremental independent individual inefficient
inferior inherent initial innovative intensive interesting internal intrinsic intuitive irrelevant key
large-scale larger largest late later latest lightweight limited long-standing longer low lower main major
massive meaningful minimal modal modest modern natural necessary negative new newly nontrivial notable noteworthy
novel numerous obvious only open optimal ordinary original other overall partial particular
perfect plausible poor popular positive possible potential powerful practical precise previous primary
principled prior promising proper pure quick rapid raw real reasonable recent recently redundant related relative
relevant reliable remarkable respective rich rigorous robust same scalable separate serious several severe
short shorter significant similar simple simpler single slow small smaller special specialized specific standard
straightforward strict strong stronger subsequent substantial successful such sufficient suitable
superior systematic tedious theoretical thorough total traditional true two-fold typical
ultimate unclear unified unique universal unknown unnecessary unprecedented unseen useful usual valid
valuable varied varying vast versatile viable vital weak whole wide widely widespread worse
training-free plug-and-play
number variety majority amount set sets series types type kind kinds terms case cases way ways example
examples  goal goals aim  problems  issues  tasks fact need ability abilities ones
one's respect attention's method methods approach approaches framework frameworks model's performance
challenge order lot
""")  # fmt: skip

# What no term ends with: heads that any subject has, and adjectives.
_NO_END = _list("""
ability abilities accuracy advancement advancements amount amounts analyses application applications approach
approaches area areas aspect aspects assumption attempt attribute attributes
availability average background baseline baselines basis behavior behaviors behaviour behaviours breakthrough budget budgets
capabilities capability capacity case cases category categories change changes characteristic characteristics
choice choices comparison comparisons complexity component components comprehension
computation concept concepts consumption context contexts concern concerns condition conditions constraint constraints content contents
context-aware cost costs count counterpart counterparts criteria data dataset
datasets day degree degrees demand demands detail details development developments
difference differences difficulty dimension dimensions direction directions discrepancy domain domains
effect effectiveness effects efficacy efficiency effort efforts element elements end entities entity environment environments
error errors evidence example examples expense experience experiences expert-level extent factor footprint footprints factors feature features
field fields framework frameworks function functions future gap gaps goal goals ground group
groups growth image images guidance guideline guidelines idea ideas impact impacts implementation implementations implication
implications information input inputs instance instances interest issue issues item items
knowledge landscape length lengths level levels line lines loss losses lot manner
margin margins material matrices matrix mechanism mechanisms memory method methodologies methodology methods metric metrics model-based module
modules nature need needs notion number numbers objective objectives ones operation operations opportunity opportunities
option options order outcome outcomes output outputs overhead overheads pair pairs paradigm paradigms parameter
parameters part parts pattern patterns people performance performances period perspective perspectives phase
phases phenomena phenomenon pipeline pipelines place point points position potential power practice practices
practitioners precision preliminary presence principle principles problem problems procedure procedures process
processes progress properties property proportion purpose purposes quality quantity queries query question questions
rate rates ratio ratios reason reasons regime regimes region regions relation relations
relationship relationships requirement requirements research resource resources response responses
role roles rule rules sample samples scale scales scenario scenarios scene scheme schemes scope score
scores sense setting settings setup side signal signals situation size sizes skill
skills solution solutions source sources space spaces speed speedup speedups stage stages step steps strategies strategy
structure structures stuff style subject subset success suite sum system-level task tasks technique
techniques technologies technology terms text texts thing things time times tool tools topic topics test tests code codes review reviews target targets support update updates need run runs trade-off trade-offs
tradeoff tradeoffs trend trends type types usage usefulness user users utility value values variant
variants variation variations variety version versions video videos volume way ways weights year years
adaptive aware able available based better capable certain comparable competitive complex compared consistent critical crucial
different difficult diverse effective efficient essential existing free future general generic high higher hard human important
intelligent large larger limited local long low lower main modern multiple natural necessary new novel
open optimal possible powerful practical previous promising proposed real recent relevant robust scalable sequential
significant similar simple single small specific strong suitable superior trained useful various visual semantic
dynamic static linguistic textual multimodal contextual computational temporal spatial mathematical mental
generative autonomous statistical global digital online offline automatic automated fine-grained end-to-end
step-by-step large-scale high-quality long-term short-term long-context low-resource high-resolution domain-specific
task-specific human-like cost-effective resource-constrained open-ended general-purpose
""")  # fmt: skip

# "Mixture of experts": heads whose "of" belongs to the term.
_OF = _list("mixture mixtures chain chains tree trees graph graphs theory bag internet skeleton swarm "
            "program programs society quality rate law rank league federation needle")  # fmt: skip

# Single words that are never a term: what every paper is made of.
_COMMON = _list("""
accuracy acceleration action actions activation activations adaptation allocation agent agents algorithm algorithms ai analysis annotation annotations api apis architecture
architectures art assessment attention assistant assistants author automation backbone baseline batch bias challenge class
classes classification code collection communication communication community company comparison competition conversation compression computation computer
computing consistency content context contexts control cost coverage cpu cpus data dataset datasets decision decisions design
detection development device devices dialogue distribution distributions diversity document documents
domain editing education efficiency embedding embeddings engineering enhancement environment environments error
estimation evaluation evolution execution expert experts exploration extraction feature features feedback fidelity
formulation foundation framework function fusion generalization generation generations goal gpu gpus guidance html json pdf url urls
human humans image images implementation importance inference information intervention initialization innovation input
instruction instructions integration intelligence interaction interactions interface internet interpretation
investigation item knowledge label labels language languages layer layers learner learning library life llm llms lm lms
machine management matching measure measurement mechanism memory method metric metrics model modeling modelling models
motion navigation network networks noise object objects observation observations optimization output
overview parameter parameters perception performance perspective pipeline planning platform policy policies position
practice precision prediction predictions preference preferences principle prior process processing product
program programming programs prompt prompts property quality query queries queries query question questions ranking
reasoning recognition recommendation reduction redundancy regularization relation representation representations
request research response retrieval reward rewards robustness safety sampling scale scaling scene scenes science
search segmentation selection semantics sequence sequences server setting similarity simulation software solution
source space speech stability step strategy structure style supervision survey synthesis system systems task tasks
taxonomy teacher technique technology text texts theory time token tokens tool tools training transfer
transformation transformer transformers translation understanding user users validation variance variety vector vectors
verification version video videos vision world
""")  # fmt: skip
# Gerunds that are names of things; any other begins a clause ("accelerating ...").
_GERUNDS = _list("""
batching caching chunking crowdsourcing debugging decoding denoising editing embedding encoding fine-tuning
finetuning forecasting forgetting fuzzing grounding hashing inpainting jailbreaking learning masking meta-learning
merging offloading outpainting planning post-training postprocessing pre-training preprocessing pretraining
profiling programming prompting pruning ranking re-ranking reasoning red-teaming relighting rendering reranking
role-playing routing sampling scaling scheduling self-training serving sharding sliding splatting
steering streaming stitching talking training tuning unlearning upsampling watermarking
""")  # fmt: skip
# Of the gerunds those that are done to a model: "pruning LLMs" is no name.
_DONE_TO_MODELS = _list("pruning tuning training scaling merging editing fine-tuning finetuning prompting "
                        "programming steering pre-training pretraining planning")  # fmt: skip
_MODELS = frozenset(["llm", "llms", "language models", "large language models"])
# Participles that begin the name of a thing; any other tells what was done to one ("quantized LLMs").
_PARTICIPLES = _list("""
augmented biased bounded coded coupled directed distributed embodied federated feed gated grouped guided
interleaved masked mixed named nested paged red seed self-supervised semi-supervised shared situated speed sparse structured
supervised trusted unstructured unsupervised weighted
""")  # fmt: skip
# Words that belong together: no term begins or ends between them.
_TOGETHER = frozenset([
    ("large", "language"), ("language", "model"), ("language", "models"), ("state", "space"),
    ("neural", "network"), ("neural", "networks"), ("machine", "learning"), ("deep", "learning"),
    ("natural", "language"), ("artificial", "intelligence"), ("time", "series"), ("key", "value"),
])  # fmt: skip
# What names a whole field: no paper is found by it.
_FIELDS = _list("""
artificial-intelligence machine-learning deep-learning natural-language-processing natural-language computer-vision artificial-general-intelligence
neural-networks neural-network machine-learning-models deep-neural-networks deep-learning-models language-models language-model
data-mining big-data computer-science foundation-models ai-systems deep-neural-network
""")  # fmt: skip
_NOUN_ENDINGS = ("tion", "sion", "ment", "ity", "ism", "ance", "ence", "ness", "graphy", "logy")


@dataclass(frozen=True)
class Term:
    """A term of one paper: its key, how the paper writes it, and how much it is the paper's subject.

    A term that the paper writes in two ways has "expansion (ACRONYM)" for `written`, under both keys.
    `weight`: 1 for a term that is said, one more for each of: said again, given an acronym; and 2
    for a place in the title.
    """

    key: str
    written: str
    weight: int


def term_key(name: str) -> str:
    """The key of a term: stems without stop words, so that case, plural and hyphens do not count."""
    return " ".join(word.stem for word in key_words(name))[:LONGEST]


def key_words(text: str) -> Iterator[words.Word]:
    """The words of a text as keys have them: no stop words, "pre-training" as "pretraining"."""
    held: words.Word | None = None
    for word in words.words(text):
        lower = unicodedata.normalize("NFKC", text[word.start : word.end]).lower()
        if held is not None:
            between = text[held.end : word.start]
            tuning = between == " " and lower.startswith(("tun", "train")) and held.stem in _TUNING
            if tuning or (len(between) == 1 and between in _HYPHENS):
                lower = held.stem + lower
                word = words.Word("", held.start, word.end)
            else:
                yield held
            held = None
        if lower in _PREFIXES:
            held = words.Word(lower, word.start, word.end)
        elif lower not in words.STOP:
            yield words.Word(words.stem(lower), word.start, word.end)
    if held is not None:
        yield held


@lru_cache(maxsize=50_000)
def _word_key(word: str) -> str:
    return term_key(word)


_HYPHENS = "-\u2010\u2011"
_TUNING = _list("fine pre post")  # "fine tuning" is written so too
_PREFIXES = _list("multi pre post fine non co meta hyper micro sub super semi re inter intra")


def terms(title: str, text: str, *, most: int = MOST) -> list[Term]:
    """The terms of a paper, weightiest first, at most `most` keys.

    The name that a title gives its own system ("KIVI: ...") is none of its terms. A text that is not
    English gives only its acronyms: this knows no other language's stop words.
    """
    text = text[:_READ]
    title = title[:1_000]
    found = _Found(short=dict(_acronyms(title)) | dict(_acronyms(text)))
    own = _own_name(title)
    shouting = _is_shouted(title)
    if _is_english(title, text):
        found.read(title.lower() if shouting else title, titled=True)
        found.read(text)
    found.name_acronyms()
    return found.chosen(own, most)


# ---------------------------------------------------------------- words


class _Word(NamedTuple):
    text: str
    lower: str
    start: int
    end: int


def _runs(text: str) -> Iterator[list[_Word]]:
    """Words side by side, with no stop word, number or mark between them."""
    run: list[_Word] = []
    formula = (
        [(each.start, each.end) for each in formulas(text)] if "$" in text or "\\" in text else []
    )
    at = 0
    for match in _WORD.finditer(text):
        start, end = match.span()
        while at < len(formula) and formula[at][1] <= start:
            at += 1
        word = _Word(match[0], match[0].lower(), start, end)
        inside = at < len(formula) and formula[at][0] < end
        after_macro = start > 0 and text[start - 1] in "\\@#_^{"
        if (
            run
            and text[run[-1].end : start] != " "
            and not _APART.fullmatch(text, run[-1].end, start)
        ):
            yield from _joined(run)
            run = []
        if word.lower == "of" and run:
            run.append(word)
        elif inside or after_macro or not _is_word(word.lower):
            yield from _joined(run)
            run = []
        else:
            run.append(word)
    yield from _joined(run)


def _joined(run: list[_Word]) -> Iterator[list[_Word]]:
    """A run cut at each "of" that does not belong to a term."""
    if all(word.lower != "of" for word in run):
        if run:
            yield run
        return
    part: list[_Word] = []
    for place, word in enumerate(run):
        if word.lower == "of":
            kept = part and part[-1].lower in _OF and place + 1 < len(run)
            if not kept:
                if part:
                    yield part
                part = []
                continue
        part.append(word)
    if part:
        yield part


@lru_cache(maxsize=50_000)
def _is_word(word: str) -> bool:
    """Whether a term may have this lower-case word in it."""
    if not 2 <= len(word) <= _LETTERS or word[0].isdigit() or word in _BREAKS:
        return False
    return not word.endswith("ly") or word in ("family", "assembly", "anomaly")


def _is_english(title: str, text: str) -> bool:
    found = [match[0].lower() for match in _PART.finditer(f"{title} {text[:3000]}")]
    if len(found) < _SHORT:
        return all(len(word) <= _LETTERS for word in found)
    return sum(word in words.STOP for word in found) >= _ENGLISH * len(found)


def _is_shouted(title: str) -> bool:
    letters = [letter for letter in title if letter.isalpha()]
    return len(letters) > 12 and sum(map(str.isupper, letters)) > 0.8 * len(letters)


def _own_name(title: str) -> str:
    """The key of the name before the colon of a title; "" where that is no name."""
    found = _TITLE_NAME.match(title)
    if not found:
        return ""
    said = found[1].split()
    name_like = any(any(map(str.isupper, word[1:])) or any(map(str.isdigit, word)) for word in said)
    return term_key(found[1]) if len(said) == 1 or (len(said) <= 3 and name_like) else ""


# ---------------------------------------------------------------- acronyms


def _acronyms(text: str) -> Iterator[tuple[str, str]]:
    """(acronym, expansion) of "expansion (ACRONYM)", and of "ACRONYM (expansion)"."""
    for match in _IN_BRACKETS.finditer(text):
        inside = re.split(r"[;,]", match[1], maxsplit=1)[0].strip()
        before = text[max(0, match.start() - 200) : match.start()].rstrip()
        if _is_acronym(inside):
            if expansion := _expansion(inside, before):
                yield _singular(inside), expansion
        elif _is_acronym(last := before[-11:].rpartition(" ")[2]) and (
            _expansion(last, inside) == inside
        ):
            yield _singular(last), inside


def _is_acronym(text: str) -> bool:
    return (
        2 <= len(text) <= 10
        and text[0].isalnum()
        and " " not in text
        and sum(map(str.isupper, text)) >= 2
        and all(letter.isalnum() or letter == "-" for letter in text)
    )


def _singular(acronym: str) -> str:
    return acronym[:-1] if acronym.endswith("s") and acronym[:-1].isupper() else acronym


def _expansion(acronym: str, before: str) -> str:
    """Schwartz and Hearst (2003): the shortest end of `before` that has the letters in their order.

    The first letter has to begin a word; at most as many words more as the acronym has letters.
    """
    short = [letter for letter in _singular(acronym).lower() if letter.isalnum()]
    at, place = len(before) - 1, len(short) - 1
    while place >= 0:
        while at >= 0 and (
            before[at].lower() != short[place]
            or (place == 0 and at > 0 and before[at - 1].isalnum())
        ):
            at -= 1
        if at < 0:
            return ""
        at, place = at - 1, place - 1
    expansion = before[at + 1 :].rstrip(" ~'\u2019\"`,-")
    said = expansion.split()
    if len(said) > min(len(short) + 5, 2 * len(short)) or not 1 <= len(said) <= 7:
        return ""
    if re.search(r"[.;:!?()\[\]{}$\\]", expansion) or (
        len(said) == 1 and "-" not in expansion and len(expansion) < 8
    ):
        return ""
    return " ".join(said)


# ---------------------------------------------------------------- choosing


@dataclass
class _Found:
    """What was found in one paper so far."""

    short: dict[str, str]  # expansion by acronym
    count: dict[str, int] = field(default_factory=dict)
    alone: dict[str, int] = field(default_factory=dict)  # times it stood in no longer term
    written: dict[str, str] = field(default_factory=dict)
    titled: set[str] = field(default_factory=set)
    in_text: set[str] = field(default_factory=set)
    defined: set[str] = field(default_factory=set)
    size: dict[str, int] = field(default_factory=dict)

    def read(self, text: str, *, titled: bool = False) -> None:
        for run in _runs(text):
            starts = [place for place, word in enumerate(run) if _may_begin(word.lower)]
            ends = [place + 1 for place, word in enumerate(run) if _may_end(word.lower)]
            for start in starts:
                for end in ends:
                    if not start < end <= start + _WORDS + 1 or _cuts(run, start, end):
                        continue
                    part = run[start:end]
                    if _may_be_term(part):
                        self.note(text, part, titled, whole=len(part) == len(run))

    def note(self, text: str, part: list[_Word], titled: bool, *, whole: bool) -> None:
        written = " ".join(text[part[0].start : part[-1].end].split())
        key = " ".join(filter(None, (_word_key(word.text) for word in part)))[:LONGEST]
        if not key:
            return
        self.count[key] = self.count.get(key, 0) + 1
        self.alone[key] = self.alone.get(key, 0) + whole
        self.size[key] = sum(word.lower != "of" for word in part)
        if titled:
            self.titled.add(key)
            self.written.setdefault(key, _CAPITALISED.sub(lambda word: word[0].lower(), written))
        elif key not in self.in_text:
            # How it is written within a sentence says more than a title in capitals.
            self.in_text.add(key)
            self.written[key] = written

    def name_acronyms(self) -> None:
        for acronym, expansion in self.short.items():
            short, long = term_key(acronym), term_key(expansion)
            if not short or not long or short == long or _hyphened(expansion) in _FIELDS:
                continue
            both = f"{expansion} ({acronym})"
            times = self.count.get(short, 0) + self.count.get(long, 0)
            for key in (short, long):
                self.count[key] = max(times, 1)
                self.alone[key] = max(times, 1)
                self.size[key] = 2
                self.written[key] = both
                self.defined.add(key)
            if short in self.titled or long in self.titled:
                self.titled |= {short, long}

    def chosen(self, own: str, most: int) -> list[Term]:
        found: list[tuple[float, int, Term]] = []
        for key, count in self.count.items():
            if key == own or (len(key) < 3 and key not in self.defined):
                continue
            weight = 1 + 2 * (key in self.titled) + (count > 1) + (key in self.defined)
            single = self.size[key] == 1
            if single and not _is_name(self.written[key]) and (weight < 2 or not self.alone[key]):
                continue  # a word that is said once, or only within longer terms
            rank = (
                weight
                + 0.3 * min(count, 5)
                + (0 if single else 1)
                + (0.5 if self.alone[key] else 0)
            )
            rank -= 0.7 * max(0, self.size[key] - 3)
            found.append((-rank, len(found), Term(key, self.written[key], weight)))
        return [term for _, _, term in sorted(found)[:most]]


def _cuts(run: list[_Word], start: int, end: int) -> bool:
    """Whether `run[start:end]` begins or ends between words that belong together."""
    return any(
        0 < place < len(run) and (run[place - 1].lower, run[place].lower) in _TOGETHER
        for place in (start, end)
    )


_CAPITALISED = re.compile(r"(?<![^\W_])[^\W\d_a-z](?![^\W\d_]*[^\W\d_a-z])[^\W\d_]+")


def _may_be_term(part: list[_Word]) -> bool:
    """Of words of which the first may begin and the last may end a term."""
    rest = " ".join(word.lower for word in part[1:])
    if part[0].lower in _DONE_TO_MODELS and rest in _MODELS:
        return False
    if _hyphened(" ".join(word.lower for word in part)) in _FIELDS:
        return False
    return len(part) > 1 or may_stand_alone(part[0].text)


@lru_cache(maxsize=50_000)
def _may_begin(word: str) -> bool:
    if word in _NO_START or word == "of":
        return False
    if word.endswith("ing") and word.rpartition("-")[2] not in _GERUNDS and len(word) > 5:
        return False
    return not word.endswith("ed") or "-" in word or word in _PARTICIPLES


@lru_cache(maxsize=50_000)
def _may_end(word: str) -> bool:
    if word.endswith("ed") and len(word) > 5 and "-" not in word:
        return False  # "knowledge encoded"
    return word not in _NO_END and word != "of"


def _hyphened(name: str) -> str:
    return name.lower().replace(" ", "-")


@lru_cache(maxsize=50_000)
def may_stand_alone(word: str) -> bool:
    """Whether one word can be a term: a name by its letters, or a noun by its ending."""
    lower = word.lower()
    if lower in _COMMON or lower in _NO_END:
        return False
    parts = lower.split("-")
    if len(parts) > 2:
        return any(part in ("of", "to", "in") for part in parts[1:-1])
    if _is_name(word) and len(parts) == 1:
        return True
    last = parts[-1].removesuffix("s")
    itself = parts[0] == "self" and not last.endswith("ed")
    if len(parts) == 2 and not (itself or last in _GERUNDS):
        return False
    return itself or last in _GERUNDS or (len(last) > 5 and last.endswith(_NOUN_ENDINGS))


def _is_name(text: str) -> bool:
    """Two capitals, or one within: RAG, LoRA, MoE."""
    return sum(map(str.isupper, text)) >= 2 and not any(map(str.isdigit, text))
