from collections import Counter
from functools import cache
from html import escape
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.items import (
    Arrival,
    DigestArrival,
    LinkArrival,
    MentionArrival,
    PageArrival,
    PaperArrival,
    Rejected,
    ThreadArrival,
)
from app.domain.records import PageKind, Role
from app.errors import Unreadable
from app.sources.base import File
from app.sources.digest_page import DigestPage

OWN = Path(__file__).parent / "data" / "digest-page.txt"
SEEDS = Path(__file__).parents[3] / "shared" / "data" / "seeds"
SEED = SEEDS / "daily-digest-2026-05-14.txt"
needs_seed = pytest.mark.skipif(not SEED.exists(), reason="the shared data is not here")

READER = DigestPage()
POND = OWN.read_text(encoding="utf-8")
LILY = "title:LilyPad: landing without a splash"
MUD = "title:The Mud Limit: how deep a frog may sit"

MARKDOWN = """# pond wiki digest, 4 March 2031

A quiet day.

## TL;DR

- **Pebble** halves the wait. Twice.
- Nothing else.

## Deep Dives

### Pebble: queues that empty themselves

A queue that knows its end.

**Source:** [Marsh Daily](https://marsh.example/) **Links:** [Paper](https://arxiv.org/abs/3103.11111v2) · [Wiki](https://wiki.example/p) **Tier:** 2. Serving, queues

```
a --> b

   c
```

Pebble builds on [Lotus](https://arxiv.org/abs/3103.22222).

#### Problem

Queues are long.

**Why it matters:** Waiting costs.

**Research angle:**

1. Does it hold at night?
2. Is noon O(1)?

### A walk by the pond

The path is dry.

Source: Reed newsletter

It is long.

## Industry Pulse

**Acme buys Bolt.** The price is not known.

## Connecting the Dots

### Queues everywhere

Pebble shortens queues. Lotus (12-30) measured how long they are.

### One name only

Pebble.

**Cross-paper thread #2: the night shift.** Pebble runs at night; Umbra (03-01) proves why.

## Podcasts

- One on queues.

## Worth Watching

- By 2031-08-01 a queue benchmark appears.

## Quick Hits

- **[Mica](https://arxiv.org/abs/3103.33333)**: a small stone. Tier 3.
- **Slate** (arXiv 3103.44444). Bigger.
- [Queue notes](https://notes.example/q) — on queues.
"""


def arrivals(data: str | bytes, name: str = "page") -> list[Arrival | Rejected]:
    raw = data.encode() if isinstance(data, str) else data
    return list(READER.read(File(name=name, data=raw)).arrivals)


def papers(found: list[Arrival | Rejected]) -> dict[str, PaperArrival]:
    return {a.title: a for a in found if isinstance(a, PaperArrival)}


def pages(found: list[Arrival | Rejected], kind: PageKind) -> dict[str, PageArrival]:
    return {a.ref: a for a in found if isinstance(a, PageArrival) and a.kind is kind}


def digest(found: list[Arrival | Rejected]) -> DigestArrival:
    return next(a for a in found if isinstance(a, DigestArrival))


def threads(found: list[Arrival | Rejected]) -> dict[str, tuple[str, list[tuple[str, str, str]]]]:
    """Of each thread its claim, and the reference, role and day of each member."""
    out: dict[str, tuple[str, list[tuple[str, str, str]]]] = {}
    for arrival in found:
        if isinstance(arrival, ThreadArrival):
            out[arrival.page.ref] = (arrival.claim, [])
        elif isinstance(arrival, LinkArrival) and arrival.role:
            member = (arrival.source, arrival.role.value, arrival.day)
            out[arrival.target][1].append(member)
    return out


@cache
def seed() -> list[Arrival | Rejected]:
    return arrivals(SEED.read_bytes(), SEED.name)


# ---------------------------------------------------------------- the digest itself


def test_document_is_keyed_by_its_day_and_named_by_the_page() -> None:
    document = READER.read(File(name="x.txt", data=POND.encode()))

    assert (document.key, document.published) == ("2031-03-03", "2031-03-03")
    assert (document.source.key, document.source.name) == ("daily-digest", "pond wiki daily digest")
    assert document.title == "Digest of 3 March 2031"


def test_sections_keep_their_order_and_empty_ones_stay() -> None:
    sections = digest(arrivals(POND)).sections

    assert [section.name for section in sections] == [
        *("framing", "tldr", "big-picture", "deep-dives", "industry-pulse"),
        *("connecting-the-dots", "worth-watching", "quick-hits", "ledger"),
    ]
    assert [section.name for section in sections if not section.text] == [
        *("tldr", "industry-pulse", "worth-watching")
    ]
    assert sections[3].items[1] == "The Mud Limit: how deep a frog may sit"
    assert sections[7].items[2] == "RippleFlow + Slow Tide Models"


def test_page_text_is_the_whole_digest_in_markdown() -> None:
    found = digest(arrivals(POND))
    text = found.page.text

    assert found.page.ref == "digest-2031-03-03"
    assert text.startswith(found.framing)
    assert "## TL;DR\n\n## The Big Picture" in text
    assert "### LilyPad: landing without a splash\n\nA leaf is enough." in text
    assert "**Why it matters:** Evenings are long." in text
    assert "\n- PondNet-2 (arXiv 3102.05678v2). A net." in text
    assert "[[" not in text
    assert "Full summary" not in text


def test_drawings_are_kept_to_the_letter() -> None:
    drawing = POND[POND.index("   water") : POND.index("\n\nLilyPad lets")]

    assert f"```\n{drawing}\n```" in digest(arrivals(POND)).page.text


def test_ledger_holds_the_counts_as_stated() -> None:
    ledger = digest(arrivals(POND)).ledger

    assert {name: fact["count"] for name, fact in ledger["sources"].items()} == {
        "MD": 4,
        "RSS": 1200,
        "Birds morning": 2,
        "Clubs": 5,
    }
    assert ledger["sources"]["Birds morning"]["also"][0]["detail"] == "3 songs"
    assert ledger["wiki_pages_updated"]["count"] == 5
    assert ledger["wiki_pages_updated"]["groups"][1] == {
        "count": 1,
        "kind": "Tier 2 sound",
        "tier": 2,
        "names": ["PondNet-2"],
    }


def test_concept_pages_that_are_named_come_without_text() -> None:
    concepts = pages(arrivals(POND), PageKind.CONCEPT)

    assert {ref: page.title for ref, page in concepts.items()} == {
        "rl-for-frogs": "RL for frogs",
        "kv-ponds": "KV ponds",
        "leaf-shapes": "Leaf shapes",
    }
    assert not any(page.text for page in concepts.values())


# ---------------------------------------------------------------- papers, articles, questions


def test_papers_of_deep_dives_and_quick_hits() -> None:
    found = papers(arrivals(POND))

    assert {title: (paper.refs, paper.aliases) for title, paper in found.items()} == {
        "LilyPad: landing without a splash": ((), ("LilyPad",)),
        "The Mud Limit: how deep a frog may sit": ((), ("The Mud Limit", "Mud Limit")),
        "Croak for long nights": ((), ("Croak",)),
        "EchoLens": ((), ()),
        "SIT": ((), ()),
        "DriftBench retrospective": (("arxiv:3102.01234",), ("DriftBench",)),
        "PondNet-2": (("arxiv:3102.05678v2",), ()),
        "RippleFlow": ((), ()),
        "Slow Tide Models": ((), ("SlowTide",)),
        "HERON": ((), ()),
        "Grey Otter": ((), ()),
        "Choir Effect": (("arxiv:3103.00042",), ()),
        "Still-water": ((), ()),
    }
    assert all(paper.keep for paper in found.values())


def test_what_is_no_paper_is_an_article() -> None:
    found = pages(arrivals(POND), PageKind.ARTICLE)

    assert list(found) == [
        *("pond-letter", "jane-reed-on-reeds-rushes-and-rain", "stork", "ispa-croak-rate-trend")
    ]
    assert found["pond-letter"].text.startswith("Five pages on mud.")


def test_questions_are_taken_apart_at_their_numbers() -> None:
    found = papers(arrivals(POND))

    assert found["LilyPad: landing without a splash"].questions == (
        "Does one leaf carry two frogs (or O(1) newts)?",
        "Leaves sink (3) times a day, and nobody knows why.",
    )
    assert found["The Mud Limit: how deep a frog may sit"].questions == (
        "Does the limit hold in winter?",
    )


def test_questions_of_several_papers_go_to_those_they_name() -> None:
    found = papers(arrivals(POND))

    rain, ice, fish = "Croak + SIT-2K in the rain.", "EchoLens under ice.", "What do fish hear?"
    assert found["Croak for long nights"].questions == (rain, fish)
    assert found["EchoLens"].questions == (ice,)
    assert found["SIT"].questions == (rain,)


def test_mentions_carry_source_tier_and_why() -> None:
    found = [a for a in arrivals(POND) if isinstance(a, MentionArrival)]
    by_paper = {mention.paper: mention for mention in found}

    lily = by_paper[LILY]
    assert (lily.section, lily.source_name, lily.tier) == ("Deep Dives", "Marsh Daily", 1)
    assert lily.tier_reason == "Landing, leaf mechanics"
    assert lily.why_it_matters == "Splash was the price of landing. LilyPad removes it."
    assert lily.text.startswith("A leaf is enough.")
    assert lily.text.endswith("no runway.")
    net = by_paper["arxiv:3102.05678"]
    assert (net.section, net.tier, net.tier_reason) == ("Quick Hits", 4, "fishing")
    assert by_paper["title:RippleFlow"].tier is None
    assert "counts what comes back" not in by_paper["title:SIT"].text


# ---------------------------------------------------------------- threads


def test_threads_with_claims_and_members() -> None:
    assert threads(arrivals(POND)) == {
        "where-does-the-frog-sit": (
            "Four places of the pond now have papers in one week.",
            [
                (LILY, "supports", "2031-03-03"),
                (MUD, "formalises", "2031-03-03"),
                ("title:HERON", "starts", "2031-02-24"),
                ("title:Grey Otter", "supports", "2031-02-24"),
            ],
        ),
        "counting-is-not-enough": (
            "EchoLens (today), 12.5% of echoes are fish.",
            [
                ("title:EchoLens", "measures", "2031-03-03"),
                ("arxiv:3102.01234", "measures", "2031-03-03"),
                ("stork", "supports", "2031-03-03"),
                ("ispa-croak-rate-trend", "starts", "2031-03-02"),
                ("arxiv:3103.00042", "supports", "2031-03-01"),
            ],
        ),
        "two-versions-of-one-pond": (
            "Both say the same thing: depth is bounded by mud.",
            [
                ("pond-letter", "supports", "2031-03-03"),
                (MUD, "supports", "2031-03-03"),
                ("title:Still-water", "supports", ""),
            ],
        ),
    }


def test_evidence_and_notes_stand_word_for_word_in_the_thread() -> None:
    found = arrivals(POND)
    texts = {a.page.ref: a.page.text for a in found if isinstance(a, ThreadArrival)}
    links = [a for a in found if isinstance(a, LinkArrival)]

    assert links
    assert all(link.evidence and link.note for link in links)
    for link in links:
        assert link.note in texts[link.target]
        assert all(quotation.quote in texts[link.target] for quotation in link.evidence)


def test_a_date_that_would_lie_in_the_future_is_of_the_year_before() -> None:
    found = threads(arrivals(POND.replace("Grey Otter (02-24)", "Grey Otter (12-31)")))

    assert found["where-does-the-frog-sit"][1][2:] == [
        ("title:HERON", "supports", "2031-02-24"),
        ("title:Grey Otter", "starts", "2030-12-31"),
    ]


# ---------------------------------------------------------------- other shapes


def test_markdown_with_filled_sections_and_links() -> None:
    found = arrivals(MARKDOWN)
    sections = {section.name: section for section in digest(found).sections}

    assert sections["tldr"].items == ("Pebble halves the wait. Twice.", "Nothing else.")
    assert sections["industry-pulse"].items == ("Acme buys Bolt",)
    assert sections["worth-watching"].items == ("By 2031-08-01 a queue benchmark appears.",)
    assert sections["podcasts"].text == "- One on queues."
    assert sections["connecting-the-dots"].items == ("Queues everywhere", "The night shift")
    pebble = papers(found)["Pebble: queues that empty themselves"]
    assert pebble.refs == ("arxiv:3103.11111v2",)
    assert pebble.questions == ("Does it hold at night?", "Is noon O(1)?")
    assert papers(found)["Mica"].refs == ("arxiv:3103.33333",)
    articles = pages(found, PageKind.ARTICLE)
    assert list(articles) == ["a-walk-by-the-pond", "url:https://notes.example/q"]
    assert "```\na --> b\n\n   c\n```" in digest(found).page.text
    assert threads(found)["queues-everywhere"][1] == [
        ("arxiv:3103.11111", "supports", "2031-03-04"),
        ("title:Lotus", "starts", "2030-12-30"),
    ]


def as_html(text: str) -> str:
    out = ["<!doctype html><html><head><title>pond</title></head><body><nav>Home</nav>"]
    for block in text.split("\n\n"):
        if block.startswith("   "):
            out.append(f"<pre><code>{escape(block)}</code></pre>")
        elif block.strip():
            out.append(f"<div><p>{escape(block.strip())}</p></div>")
    return "\n".join([*out, "</body></html>"])


def test_the_same_page_as_html_says_the_same() -> None:
    plain = POND.replace("\n\n              ▼\n            frog", "")  # one drawing, one <pre>
    told = [a for a in arrivals(plain) if not isinstance(a, Rejected)]

    assert [a for a in arrivals(as_html(plain)) if not isinstance(a, Rejected)] == told


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("\n", "\r\n"),
        lambda text: "\ufeff" + text,
        lambda text: "\n".join(f"   {line}" for line in text.split("\n")),
    ],
    ids=["windows line ends", "byte order mark", "a margin"],
)
def test_how_the_lines_are_written_changes_nothing(change) -> None:  # type: ignore[no-untyped-def]
    told = [a for a in arrivals(POND) if not isinstance(a, Rejected)]

    assert [a for a in arrivals(change(POND)) if not isinstance(a, Rejected)] == told


def test_sections_may_be_missing_or_in_another_order() -> None:
    head, rest = POND.split("Deep Dives\n\n", 1)
    dives, rest = rest.split("Industry Pulse", 1)
    _, hits = rest.split("Quick Hits\n\n", 1)
    found = arrivals(f"{head}Quick Hits\n\n{hits}\n\n\nDeep Dives\n\n{dives}")

    assert [section.name for section in digest(found).sections][3:] == [
        *("quick-hits", "ledger", "deep-dives")
    ]
    assert len(papers(found)) == 9


def test_deep_dives_are_known_by_their_source_line_when_the_heading_is_lost() -> None:
    told = [a for a in arrivals(POND) if not isinstance(a, Rejected)]
    found = arrivals(POND.replace("\nDeep Dives\n", "\n"))

    assert [a for a in found if not isinstance(a, Rejected)] == told


def test_a_page_that_was_cut_says_where() -> None:
    cut = POND[: POND.index("Tier 4, fishing")]
    found = arrivals(cut + "Tier")

    assert papers(found)["PondNet-2"].refs == ("arxiv:3102.05678v2",)
    assert "stops within a sentence" in [a for a in found if isinstance(a, Rejected)][-1].reason


def test_an_entry_without_a_title_is_rejected_with_its_line() -> None:
    (rejected,) = [a for a in arrivals(POND) if isinstance(a, Rejected)]

    line = POND.split("\n").index("... nothing") + 1
    assert rejected.where == f"line {line} (Quick Hits)"
    assert "No title" in rejected.reason


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("empty", " "),
        ("no day", POND.replace("2031", "MMXXXI")),
        ("no section", "March 3, 2031\n\nA letter about ponds."),
        ("bytes", "\x00\x01\x02"),
    ],
)
def test_what_is_no_digest_is_unreadable(name: str, text: str) -> None:
    with pytest.raises(Unreadable):
        READER.read(File(name=name, data=text.encode()))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (POND, True),
        (MARKDOWN, True),
        (as_html(POND), True),
        ('{"type": "page", "text": "March 3, 2031\\nDeep Dives\\nQuick Hits"}', False),
        ("# A note of 2031-03-03\n\n## TL;DR\n\nx\n\n## Ledger\n\ny", False),
        ("Deep Dives\n\nQuick Hits\n", False),
        ("Daily ArXiv Papers 03/03/2031\n\narXiv ID: 1\n\nDeep dives are good.", False),
    ],
)
def test_recognises_a_digest_and_nothing_else(text: str, expected: bool) -> None:
    assert READER.recognises(File(name="saved", data=text.encode())) is expected


@settings(max_examples=150, deadline=None)
@given(
    start=st.integers(0, len(POND)),
    length=st.integers(0, len(POND)),
    flips=st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), max_size=30),
)
def test_damage_never_raises_anything_but_unreadable(
    start: int, length: int, flips: list[tuple[int, int]]
) -> None:
    data = bytearray(POND.encode()[start // 8 : start // 8 + length])
    for at, value in flips:
        if at < len(data):
            data[at] = value
    file = File(name="2031-03-03.txt", data=bytes(data))
    READER.recognises(file)
    try:
        document = READER.read(file)
    except Unreadable:
        return
    found = list(document.arrivals)
    assert Counter(type(arrival) for arrival in found)[DigestArrival] == 1


# ---------------------------------------------------------------- the real page


@needs_seed
def test_seed_counts() -> None:
    found = seed()
    kept = papers(found)

    assert not [a for a in found if isinstance(a, Rejected)]
    assert len(kept) == 27
    assert sum(bool(paper.refs) for paper in kept.values()) == 13
    assert len(pages(found, PageKind.ARTICLE)) == 8
    assert len({question for paper in kept.values() for question in paper.questions}) == 18
    assert sum(isinstance(a, MentionArrival) for a in found) == 22
    assert {page.title for page in pages(found, PageKind.CONCEPT).values()} == {
        *("KV cache", "RL for LLMs", "Agent benchmarks", "Responsible AI", "GPU kernels")
    }


@needs_seed
def test_seed_text_is_complete_but_for_titles_and_lost_links() -> None:
    text = digest(seed()).page.text.replace("**", "")
    lines = [line.strip() for line in SEED.read_text(encoding="utf-8").split("\n") if line.strip()]
    missing = [
        line
        for line in lines
        if line.removesuffix(" → summary") not in text and not line.endswith("summary")
    ]

    assert missing == lines[:3]


@needs_seed
def test_seed_ledger() -> None:
    ledger = digest(seed()).ledger

    assert ledger["wiki_pages_updated"]["count"] == 12
    counts = {name: fact["count"] for name, fact in ledger["sources"].items()}
    assert counts["HF"] == 22
    assert counts["RSS"] == 26
    assert counts["Reddit"] == 12
    assert [slot["count"] for slot in ledger["sources"]["Twitter morning slot"]["also"]] == [3, 1]


@needs_seed
def test_seed_threads_as_a_careful_reader_lists_them() -> None:
    short = {
        f"title:{paper.title}": paper.aliases[-1] if paper.aliases else paper.title
        for paper in papers(seed()).values()
    }
    today = "2026-05-14"
    told = {
        ref: [(short.get(source, source), role, day) for source, role, day in members]
        for ref, (_, members) in threads(seed()).items()
    }

    assert told == {
        "where-does-the-routing-decision-live": [
            ("MinT", Role.SUPPORTS, today),
            ("Orthrus", Role.SUPPORTS, today),
            ("Extrapolation Cliff", Role.SUPPORTS, today),
            ("CARE", Role.STARTS, "2026-05-11"),
            ("Sakana Conductor", Role.SUPPORTS, "2026-05-11"),
        ],
        "empirical-and-formal-versions-of-the-same-energy-thesis": [
            ("semianalysis-cerebras", Role.STARTS, "2026-05-13"),
            ("Energy-to-Token", Role.FORMALISES, today),
        ],
        "benchmark-over-aggregation": [
            ("Soohak", Role.STARTS, "2026-05-12"),
            ("AgentLens", Role.MEASURES, today),
            ("arxiv:2605.08518", Role.MEASURES, today),
            ("pangram", Role.MEASURES, today),
            ("aisi-cyber-eval-doubling-rate", Role.SUPPORTS, "2026-05-13"),
        ],
        "agentic-stack-triangle": [
            ("AgentLens", Role.SUPPORTS, today),
            ("DAgger", Role.SUPPORTS, today),
            ("MAP", Role.SUPPORTS, today),
            ("arxiv:2605.10698", Role.SUPPORTS, "2026-05-13"),
        ],
        "interpretability-follows-the-architecture": [
            ("WriteSAE", Role.SUPPORTS, today),
            ("Refusal-neurons", Role.STARTS, "2026-05-12"),
        ],
    }


@needs_seed
def test_seed_claims_stand_in_their_threads() -> None:
    found = [a for a in seed() if isinstance(a, ThreadArrival)]

    assert [thread.claim.split()[0] for thread in found] == [
        *("Five", "Both", "Three", "AgentLens", "The")
    ]
    assert all(thread.claim in thread.page.text for thread in found)


@needs_seed
def test_other_saved_pages_are_not_claimed() -> None:
    others = [path for path in SEEDS.iterdir() if path.is_file() and path != SEED]

    assert others
    assert not [p.name for p in others if READER.recognises(File(p.name, p.read_bytes()))]
