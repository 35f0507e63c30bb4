"""The invented wiki that the browser looks at: rows of every type, and what people did with them.

It is built once and copied for each test. All of it is written for these tests; numbers in it that
a test relies on are named here.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlmodel import Session

from app.bootstrap import READERS, App
from app.domain import ownership
from app.domain.digests import Document, Item, Part, Section, Sentence
from app.domain.records import (
    AuthorKind,
    CallState,
    ChangeKind,
    LinkStatus,
    ModelCall,
    Origin,
    Page,
    PageKind,
    RunState,
    VaultConflict,
    VaultProblem,
    Verdict,
)
from app.services import digest, pages, removal, review, rules
from app.services.ingest import Report, import_files
from app.sources.base import File
from app.store import calls, changes, digests, links, papers, runs
from app.store import pages as stored_pages
from app.store.db import reading, writing
from app.store.pages import Author, Content

NOW = datetime(2026, 5, 14, 9, 0, tzinfo=UTC)
DAY = "2026-05-14"
SAMPLES = Path(__file__).parents[1] / "sources" / "data"
KEPT = 40
WAITING = 24
TENSIONS = 3
DECIDED = 6

_CONCEPTS = (
    ("tide-clock", "Tide clock", ("tidal clock",), ("clocks", "sea")),
    ("slack-water-1", "Slack water", ("stand of the tide",), ("sea",)),
    ("harbour-seiche", "Harbour seiche", (), ("sea", "waves")),
    ("kelp-memory", "Kelp memory", ("memory in kelp",), ("life",)),
    ("rope-entropy", "Rope entropy: how ropes forget their knots", ("knot entropy",), ("rope",)),
    ("moon-drift", "Moon drift", (), ("sky",)),
    ("buoy-consensus", "Buoy consensus", ("buoys that agree",), ("signals",)),
    ("fog-signal", "Fog signal", (), ("signals",)),
    ("sail-pressure", "Sail pressure", (), ()),
    ("barnacle-growth", "Barnacle growth", (), ("life",)),
)
_THREADS = (
    ("noise-is-a-clock", "Noise is a clock", "What was called noise in gauges keeps time better than the gauges do."),
    ("kelp-forgets-last", "Kelp forgets last", "Of all that lives in the bay, kelp holds the record of a storm the longest."),
    ("buoys-need-no-shore", "Buoys need no shore", "A ring of buoys agrees on a signal without any station on land."),
)  # fmt: skip
_ROLES = ("starts", "supports", "extends", "contradicts", "supports")
_WORDS = ("gauges", "moorings", "currents", "ferries", "pilots", "storms", "sandbanks", "lanterns")

_LONG = r"""
A **tide clock** is whatever keeps the time of the tide without looking at the moon. See
[[Slack water]] and [[harbour-seiche|the seiche of a harbour]]; nobody has written on
[[Winter ferries]] yet.

## How it is read

The period follows $T = 2\pi\sqrt{\ell / g}$ and, over a season, $$\sum_{k=1}^{n} \frac{1}{k^2} < 2$$

| gauge | minutes late |
| --- | ---: |
| North pier | 4 |
| South pier, behind the long wall that was built last | 11 |

- read twice a day
- compared with the [[Moon drift]] of the year[^1]

```
gauge --> float --> pen        (a long line that does not break: 0123456789012345678901234567890123456789)
```

## What is not known

> Nobody stood there in winter.

Whether [[Kelp memory]] and [[Buoy consensus]] say the same thing is open.

### Small ports

In small ports the clock runs late. It is not the ferry.

[^1]: Counted by hand.
"""


def paper(number: int) -> str:
    """The identifier of one of the papers."""
    return f"arxiv:2605.{number:05}"


def quotation(number: int) -> str:
    """A sentence that stands word for word in the abstract of that paper."""
    return f"The record of {_WORDS[number % 8]} number {number} keeps the time of the tide."


def rows() -> list[dict[str, Any]]:
    """Everything that is imported, as interchange rows."""
    return [
        *({"type": "topic", "id": f"topic-{n}", "name": name, "keep": name} for n, name in enumerate(("Clocks of the sea", "Signals without a shore", "What lives on the piles of old harbours"))),
        *_concepts(),
        *_threads(),
        *(_kept(number) for number in range(1, KEPT + 1)),
        *(_listed(number) for number in range(101, 101 + WAITING)),
        *(_marks(number) for number in range(101, 101 + WAITING)),
        *_accepted(),
        *_proposed(),
        *_predictions(),
        {"type": "page", "id": "notes-from-the-pier", "kind": "note", "title": "Notes from the pier", "text": "Seen from the pier: [[Tide clock]]."},
    ]  # fmt: skip


def _concepts() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [
        {
            "type": "concept",
            "id": slug,
            "title": title,
            "aliases": list(aliases),
            "tags": list(tags),
            "text": _LONG if slug == "tide-clock" else f"{title} is what the bay does to it. See [[Tide clock]].\n\n## Measured\n\nTwice, by hand.",
        }
        for slug, title, aliases, tags in _CONCEPTS
    ]  # fmt: skip
    return [*found, {"type": "concept", "id": "ebb-line", "title": "Ebb line"}]


def _threads() -> list[dict[str, Any]]:
    return [
        {
            "type": "thread",
            "id": slug,
            "title": title,
            "claim": claim,
            "text": f"It began with a gauge that nobody trusted. {claim} [[Tide clock]] says how.",
            "questions": ["Does it hold in winter?", "Who wound it up in the first place?"],
        }
        for slug, title, claim in _THREADS
    ]


def _kept(number: int) -> dict[str, Any]:
    titles = {
        1: r"Mooring in $O(n \log n)$ \emph{Knots} and $\ell_1$ Ropes",
        2: "SeicheNet: A Very Long Title about the Slow Waves of Small Harbours, Measured by Those Who Sleep Next to Them",
    }  # fmt: skip
    return {
        "type": "paper",
        "id": paper(number),
        "title": titles.get(number, f"On {_WORDS[number % 8]} that keep time, part {number}"),
        "abstract": f"We look at one bay for a year. {quotation(number)} With $\\alpha_{{{number}}} \\leq 2$ nothing is lost, and the {_WORDS[(number + 3) % 8]} agree.",
        "authors": ["Ada Example", "Ben Sample", "Cai Instance"][: 1 + number % 3],
        "published": f"2026-{1 + number % 5:02}-{1 + number % 28:02}",
        "venue": "Journal of Small Harbours" if number % 4 == 0 else "",
        "questions": ["Is the pier long enough?", "Does it hold for $n > 2$?"] if number == 1 else [],
    }  # fmt: skip


def _listed(number: int) -> dict[str, Any]:
    return {
        "type": "paper",
        "id": paper(number),
        "title": f"Listed today: {_WORDS[number % 8]} under $\\sigma_{{{number % 10}}}$ waves, {number}",
        "abstract": f"Short and to the point. {quotation(number)} Then it ends.",
        "authors": ["Dee Person"],
        "published": DAY,
        "day": DAY,
        "position": number,
    }


def _marks(number: int) -> dict[str, Any]:
    return {
        "type": "assessment",
        "paper": paper(number),
        "scorer": "test",
        "day": DAY,
        "relevance": 10 - number % 9,
        "novelty": 1 + number % 10,
        "primary_topic": f"topic-{number % 3}",
        "comment": f"Names the {_WORDS[number % 8]} that the reader asked about.",
    }


def _accepted() -> list[dict[str, Any]]:
    about = [
        {"type": "link", "source": paper(n), "relation": "about", "target": _CONCEPTS[(0, n % 10)[n > 14]][0]}
        for n in range(1, KEPT + 1)
    ]  # fmt: skip
    members = [
        {
            "type": "link",
            "source": paper(n),
            "relation": "part-of",
            "target": _THREADS[n % 3][0],
            "role": _ROLES[n % 5],
            "day": f"2026-{1 + n % 5:02}-{1 + n % 13:02}",
            "note": f"Brings the {_WORDS[n % 8]} of a second bay into it." if n % 2 else "",
        }
        for n in range(1, KEPT + 1)
    ]
    return [*about, *members]


def _proposed() -> list[dict[str, Any]]:
    """Three proposals a paper and some tensions, each with a quotation and a confidence of its own."""
    found: list[dict[str, Any]] = []
    for n in range(1, KEPT + 1):
        others = [slug for slug, *_ in _CONCEPTS[1:] if slug != _CONCEPTS[n % 10][0]]
        found += [
            _proposal(n, "uses", others[(n + step) % len(others)], 0.97 - 0.003 * (3 * n + step))
            for step in range(3)
        ]
    return found + [
        _proposal(n, "contradicts", _CONCEPTS[n][0], 0.5 + n / 100) for n in range(1, TENSIONS + 1)
    ]


def _predictions() -> list[dict[str, Any]]:
    """One that is due, one that is not yet, and one that came true."""
    made = {"type": "prediction", "page": "tide-clock", "made": "2026-01-05"}
    return [
        {**made, "text": "The gauge of the North pier will run late by five minutes.", "due": "2026-05"},
        {**made, "text": "Two thirds of all buoys will carry no clock.", "due": "2027", "probability": 0.7},
        {**made, "text": "Kelp will be read as a calendar.", "due": "2026-04", "state": "came-true", "resolved": "2026-04-20", "resolution": "It was, in two bays."},
    ]  # fmt: skip


def _proposal(number: int, relation: str, target: str, confidence: float) -> dict[str, Any]:
    return {
        "type": "link",
        "source": paper(number),
        "relation": relation,
        "target": target,
        "status": "proposed",
        "confidence": round(confidence, 3),
        "reason": "Its abstract says what the page says.",
        "evidence": [{"quote": quotation(number), "where": "abstract"}],
    }


# ---------------------------------------------------------------- building


def build(app: App) -> None:
    """Fill an empty wiki: the rows, three saved documents, decisions, an edit, runs."""
    bring(app, rows())
    for name in ("digest-page.txt", "podcast-show.txt"):
        _read(app, File(name, (SAMPLES / name).read_bytes()))  # with a line that cannot be read
    _decide(app)
    with writing(app.engine) as session:
        _tell(session)
        _edit(session, "tide-clock")
        run = runs.start(session, "daily", now=NOW - timedelta(hours=2))
        assert run.id is not None
        line = "link 3: the file was not there"
        runs.note(session, run.id, step="link", done=12, failed=1, line=line)
        runs.finish(session, run.id, RunState.FAILED, now=NOW - timedelta(hours=1))
        runs.failed(session, "embed", 1, "The model was not there.", now=NOW)
        _spend(session)


def _spend(session: Session) -> None:
    """Enough calls of two models for an older page of them; one unfinished, one of unknown cost."""
    for n in range(60):
        at = NOW - timedelta(hours=12 * (60 - n))
        call = ModelCall(
            at=at,
            day=at.date().isoformat(),
            purpose=("triage", "second look")[n % 2],
            about=DAY if n % 2 == 0 else "",
            model="house-model" if n % 30 == 7 else "claude-sonnet-5-5",
            prompt="triage@1 3f2a9c01",
            state=CallState.RESERVED if n == 59 else CallState.BOOKED,
            batched=n % 5 == 0,
            input_tokens=1_000 * n,
            output_tokens=300,
            reserved=90_000,
            cost=None if n % 30 == 7 or n == 59 else 1_700 * n,
            papers=20,
            outcome="" if n == 59 else "Answered.",
        )
        calls.insert(session, call)


def bring(app: App, found: list[dict[str, Any]], *, name: str = "wiki.jsonl") -> None:
    """Import interchange rows; every one of them must be taken."""
    report = _read(app, File(name, "\n".join(json.dumps(row) for row in found).encode()))
    assert not report.rejected, report.rejected


def _read(app: App, file: File) -> Report:
    with writing(app.engine) as session:
        [(_, report)] = import_files(
            session, [file], READERS, raw_folder=app.raw_folder, now=app.clock()
        )
    assert isinstance(report, Report), report
    return report


def _decide(app: App) -> None:
    with writing(app.engine) as session:
        surest = links.proposals(session, limit=DECIDED)
        for n, row in enumerate(surest):
            link = links.get(session, row.id)  # as the linker would have proposed it
            link.origin, link.signals = Origin.LINKER, [{"name": ("name", "papers")[n % 2]}]
            verdict = Verdict.REJECT if n % 3 == 2 else Verdict.ACCEPT
            review.decide(
                session,
                row.id,
                verdict,
                now=NOW - timedelta(days=1),
                reason="seen before" if n == 2 else "",
            )
        rules.make(session, rules.wanted(session, concept="tide-clock", least="0.9"), now=NOW)


def propose_changes(app: App) -> None:
    """A new thread of three papers, and a machine's new text of a section that is a machine's."""
    with writing(app.engine) as session:
        _propose_changes(session)


def _propose_changes(session: Session) -> None:
    members, slugs = [], []
    for n in (4, 5, 6):
        found = papers.named(session, paper(n))
        assert found is not None
        page = session.get(Page, found.page_id)
        assert page is not None
        slugs.append(page.slug)
        members.append(
            {"page": page.id, "role": "supports", "line": quotation(n), "day": "2026-03-04"}
        )
    changes.propose(
        session,
        kind=ChangeKind.THREAD,
        key="thread:bays",
        title="Bays that keep time by themselves",
        confidence=0.8,
        reason="Three papers say much the same of it, and no thread does.",
        content={"claim": quotation(4), "claim_from": members[0]["page"], "members": members, "concepts": []},
        evidence=[
            {"quotation": each["line"], "where": "abstract", "verbatim": True, "spans": [[4, 10]], "page": slug}
            for each, slug in zip(members, slugs, strict=True)
        ],
        signals=[],
        origin=Origin.LINKER,
        now=NOW,
    )  # fmt: skip
    drift = stored_pages.by_slug(session, "moon-drift")
    assert drift is not None
    body = drift.body.replace("Twice, by hand.", "Twice, by hand, and once by a buoy.")
    content = Content(title=drift.title, kind=drift.kind, body=body, tags=("sky",))
    machine = Author(AuthorKind.MODEL, "house-model")
    stored_pages.revise(session, drift, content, author=machine, now=NOW - timedelta(days=2))
    own = ownership.named(drift.body, "measured")
    assert own is not None
    changes.propose(
        session,
        kind=ChangeKind.EDIT,
        key=f"edit:{drift.id}:measured:1",
        title=drift.title,
        target_id=drift.id,
        confidence=0.5,
        reason="Two papers were accepted since; 1 sentence was struck by the checker.",
        content={
            "base": drift.version,
            "author": {"name": "house-model", "prompt": "concept@1 x"},
            "sections": [{"key": "measured", "title": "Measured", "before_hash": own.hash, "text": "- Three times, twice by hand and once by a buoy."}],
            "papers": [],
            "struck": [{"text": "It drifts by 99 miles.", "struck": "The number “99” is in no text."}],
        },
        evidence=[],
        signals=[],
        origin=Origin.MODEL,
        now=NOW,
    )  # fmt: skip


def _tell(session: Session) -> None:
    """The day's own digest, with a diagram, and a sentence of a model that was struck."""
    sentence = Sentence(quotation(101), ids=(paper(101),), by=AuthorKind.EXTRACT)
    wrong = Sentence("It keeps time for 900 years.", ids=(paper(101),), by=AuthorKind.MODEL, struck="The number “900” is in no text.")  # fmt: skip
    dive = Item(
        "Listed today: currents under waves",
        ref=paper(101),
        url="https://arxiv.org/abs/2605.00101",
        hook=(sentence,),
        parts=(Part("problem", "The problem", (sentence,)), Part("takeaways", "Takeaways", (sentence, wrong), listed=True)),
        diagram="gauge --> float --> pen\n" + "a line that is longer than any phone is wide, and must scroll inside " * 3,
        tier=1,
        sources=("arXiv listing",),
        signals=("confirmation",),
        threads=("noise-is-a-clock",),
    )  # fmt: skip
    document = Document(
        DAY,
        (
            Section("framing", "Framing", ((Sentence("One paper of this day is worth the pier."), wrong),)),
            Section("deep-dives", "Deep Dives", items=(dive,)),
            Section("quick-hits", "Quick Hits", items=(Item("Another one", ref=paper(102), hook=(sentence,)),)),
        ),
        {"sources": {"arXiv listing": WAITING}, "papers": {"listed": WAITING, "kept": 0}, "struck": 2},
    )  # fmt: skip
    digest.store(session, digest.Work(DAY, document, 0, digests.state(session)), now=NOW)


def _edit(session: Session, slug: str) -> None:
    content = Content(
        title="Tide clock",
        kind=PageKind.CONCEPT,
        body=_LONG.replace("winter", "deep winter") + "\nA last line.\n",
        aliases=("tidal clock",),
        tags=("clocks", "sea"),
    )
    pages.save(session, slug, content, base=1, now=NOW - timedelta(hours=3))


def take_out(app: App) -> None:
    """Remove a page, for a reason."""
    with writing(app.engine) as session:
        removal.remove(session, "ebb-line", now=app.clock(), reason="It says nothing.")


def dispute(app: App) -> None:
    """A page and its file that say different things in one line, and files that are left alone."""
    with writing(app.engine) as session:
        page = stored_pages.get(session, "tide-clock")
        filed = f"---\nid: tide-clock\ntags: [brass]\n---\nA line of the file.\n\n{page.body}"
        session.merge(
            VaultConflict(page_id=page.id, base=1, text=filed, hash="1" * 64, at=app.clock())
        )
        for path, reason in (
            ("notes/half.md", "This is no text: line 3 has a byte that cannot be read."),
            ("notes/" + "long-name-" * 9 + ".md", "Another file says that it is this page."),
        ):
            session.merge(VaultProblem(path=path, reason=reason, at=app.clock()))


def statuses(app: App, link_ids: list[int]) -> list[LinkStatus]:
    """How links stand, in the order asked for."""
    with reading(app.engine) as session:
        return [links.get(session, each).status for each in link_ids]
