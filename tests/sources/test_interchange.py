"""The interchange format: every type of line, every way a line can be wrong, and files of any size."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.items import (
    AssessmentArrival,
    DecisionArrival,
    LinkArrival,
    PageArrival,
    PaperArrival,
    Quotation,
    Rejected,
    ThreadArrival,
    TopicArrival,
)
from app.domain.records import Announced, LinkStatus, PageKind, Relation, Role, Verdict
from app.errors import Unreadable
from app.sources.base import File
from app.sources.interchange import MAX_LINE_BYTES, Interchange

JSON_CORPUS = Path(__file__).parents[3] / "shared" / "corpora" / "json"
READER = Interchange()


def read(*lines: object, data: bytes | None = None) -> list[Any]:
    """Arrivals of lines given as objects (written as JSON) or as text."""
    text = "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines)
    file = File(name="wiki.jsonl", data=text.encode() if data is None else data)
    return list(READER.read(file).arrivals)


def reason(line: object) -> str:
    (arrival,) = read(line)
    assert isinstance(arrival, Rejected), arrival
    assert arrival.where == "line 1"
    return arrival.reason


def paper(**fields: object) -> dict[str, object]:
    return {"type": "paper", "id": "arxiv:3103.00011", "title": "Slack Water", **fields}


def link(**fields: object) -> dict[str, object]:
    known = {"type": "link", "source": "arxiv:3103.00011", "relation": "about", "target": "tides"}
    return {**known, **fields}


# ---------------------------------------------------------------- each type


def test_topic_line_keeps_its_texts_and_tier() -> None:
    line = {
        "type": "topic",
        "id": "tide_systems",
        "name": "Tides",
        "keep": "water",
        "filter": "ice",
    }
    assert read({**line, "tier": 1, "threshold": 0.3, "colour": "blue"}) == [
        TopicArrival(
            id="tide_systems",
            name="Tides",
            keep="water",
            filter="ice",
            tier=1,
            threshold=0.3,
            extra={"colour": "blue"},
        )
    ]
    assert (read(line)[0].tier, read(line)[0].threshold) == (2, None)


def test_concept_line_keeps_slug_aliases_and_unknown_fields() -> None:
    line = {"type": "concept", "id": "slack--water", "title": "Slack water", "aliases": ["turn"]}
    assert read({**line, "text": "", "mood": {"calm": [1, 2.5, None, True]}}) == [
        PageArrival(
            ref="slack--water",
            kind=PageKind.CONCEPT,
            title="Slack water",
            aliases=("turn",),
            extra={"mood": {"calm": [1, 2.5, None, True]}},
        )
    ]


@pytest.mark.parametrize("text", [None, "", "A note."])
def test_text_may_be_missing_null_or_empty(text: str | None) -> None:
    line = {"type": "concept", "id": "tides", "title": "Tides", "text": text}
    assert read(line)[0].text == (text or "")


def test_paper_line_with_every_field() -> None:
    (arrival,) = read(
        paper(
            id="arXiv:3103.00011v2",
            doi="10.1234/Salt.5",
            slug="slack-water",
            abstract="Of $x^2$.",
            authors=["Ada Brine", {"name": "Bo Fjord"}],
            published="2031-03-01T08:00:00Z",
            venue="Tidal Letters",
            categories=["physics.ao-ph"],
            references=["arxiv:3102.00001v3", "see the book", "doi:10.1234/x"],
            code="https://example.org/slack",
            day="2031-03-03",
            position=4,
            text="# Notes",
            aliases=["Slack"],
            tags=["sea"],
            questions=["Why ice?", {"text": "Why mud?"}],
            mood="calm",
        )
    )
    assert arrival == PaperArrival(
        refs=("arxiv:3103.00011v2", "doi:10.1234/salt.5"),
        title="Slack Water",
        abstract="Of $x^2$.",
        authors=("Ada Brine", "Bo Fjord"),
        published="2031-03-01",
        venue="Tidal Letters",
        categories=("physics.ao-ph",),
        references=("arxiv:3102.00001", "doi:10.1234/x"),
        code_url="https://example.org/slack",
        day="2031-03-03",
        position=4,
        keep=False,
        slug="slack-water",
        text="# Notes",
        aliases=("Slack",),
        tags=("sea",),
        questions=("Why ice?", "Why mud?"),
        extra={"mood": "calm", "unread_references": ["see the book"]},
    )


@pytest.mark.parametrize(
    ("fields", "kept"),
    [
        ({}, True),
        ({"day": ""}, True),
        ({"day": None}, True),
        ({"day": "2031-03-03"}, False),
        ({"day": "2031-03-03", "keep": True}, True),
    ],
)
def test_paper_without_a_day_is_kept_and_one_with_a_day_is_undecided(
    fields: dict[str, object], kept: bool
) -> None:
    assert read(paper(**fields))[0].keep is kept


@pytest.mark.parametrize(
    ("published", "known"),
    [
        ("2031", "2031"),
        (2031, "2031"),
        ("2031-03", "2031-03"),
        ("2031-02-30", "2031-02"),
        ("soon", ""),
        (None, ""),
        ("", ""),
    ],
)
def test_published_is_as_exact_as_it_is_known(published: object, known: str) -> None:
    assert read(paper(published=published))[0].published == known


def test_paper_known_by_a_slug_has_no_identifiers() -> None:
    (arrival,) = read(paper(id="slack-water-1931"))
    assert (arrival.refs, arrival.slug) == ((), "slack-water-1931")


def test_paper_title_broken_over_lines_is_put_on_one() -> None:
    assert read(paper(title="Slack\n  Water"))[0].title == "Slack Water"


def test_page_title_is_kept_exactly() -> None:
    title = " new\nline\t"
    assert read({"type": "page", "id": "n", "kind": "note", "title": title})[0].title == title


def test_thread_line_carries_page_and_claim() -> None:
    line = {
        "type": "thread",
        "id": "sea-clocks",
        "title": "Sea clocks",
        "claim": "Tides tell time.",
    }
    (arrival,) = read({**line, "tags": ["sea"], "colour": "blue"})
    assert isinstance(arrival, ThreadArrival)
    assert arrival.claim == "Tides tell time."
    assert (arrival.page.ref, arrival.page.kind) == ("sea-clocks", PageKind.THREAD)
    assert (arrival.page.tags, arrival.page.extra) == (("sea",), {"colour": "blue"})


@pytest.mark.parametrize("kind", ["note", "article", "episode", "digest", "concept"])
def test_page_line_of_each_kind(kind: str) -> None:
    (arrival,) = read(
        {"type": "page", "id": "pier", "kind": kind, "title": "Pier", "text": "Wood."}
    )
    assert arrival == PageArrival(ref="pier", kind=PageKind(kind), title="Pier", text="Wood.")


def test_article_may_be_known_by_its_address() -> None:
    line = {"type": "page", "kind": "article", "title": "Gauges"}
    (arrival,) = read({**line, "id": "url:https://Blog.Example.org/a#top"})
    assert arrival.ref == "url:https://blog.example.org/a"


def test_link_line_with_every_field() -> None:
    (arrival,) = read(
        link(
            source="arxiv:3103.00011v2",
            relation="part-of",
            target="sea-clocks",
            status="proposed",
            role="supports",
            note="Measures it.",
            day="2031-03",
            at="2031-03-03T09:00:00Z",
            confidence=1,
            reason="named",
            evidence=[{"quote": "a clock", "where": "abstract"}, {"quote": "tide"}, "sill"],
            by="me",
        )
    )
    assert arrival == LinkArrival(
        source="arxiv:3103.00011",
        relation=Relation.PART_OF,
        target="sea-clocks",
        status=LinkStatus.PROPOSED,
        role=Role.SUPPORTS,
        note="Measures it.",
        day="2031-03",
        at="2031-03-03T09:00:00Z",
        confidence=1.0,
        reason="named",
        evidence=(
            Quotation(quote="a clock", where="abstract"),
            Quotation(quote="tide"),
            Quotation(quote="sill"),
        ),
        extra={"by": "me"},
    )


def test_link_without_status_is_accepted() -> None:
    assert read(link())[0].status is LinkStatus.ACCEPTED


def test_decision_line() -> None:
    line = {"type": "decision", "paper": "doi:10.1234/X", "verdict": "keep", "at": "2031-03-03"}
    assert read({**line, "reason": "mine"}) == [
        DecisionArrival(paper="doi:10.1234/x", verdict=Verdict.KEEP, at="2031-03-03", reason="mine")
    ]


def test_assessment_line_names_its_primary_topic_first() -> None:
    (arrival,) = read(
        {
            "type": "assessment",
            "paper": "arxiv:3103.00011",
            "day": "2031-03-03",
            "scorer": "owl",
            "relevance": 9,
            "novelty": None,
            "primary_topic": "sea",
            "topics": ["mud", "sea"],
            "comment": "Clear.",
        }
    )
    assert arrival == AssessmentArrival(
        paper="arxiv:3103.00011",
        day="2031-03-03",
        scorer="owl",
        relevance=9,
        novelty=None,
        topics=("sea", "mud"),
        comment="Clear.",
    )


def test_later_line_with_the_same_id_arrives_too() -> None:
    assert [arrival.title for arrival in read(paper(title="A"), paper(title="B"))] == ["A", "B"]


@pytest.mark.parametrize(
    ("fields", "refs", "version"),
    [
        ({"id": "arxiv:3103.00011", "version": 3}, ("arxiv:3103.00011v3",), 3),
        ({"id": "arxiv:3103.00011v3", "version": 3}, ("arxiv:3103.00011v3",), 3),
        ({"id": "arxiv:3103.00011v3"}, ("arxiv:3103.00011v3",), None),
        ({"id": "doi:10.1000/x", "version": 3}, ("doi:10.1000/x",), 3),
        (
            {"id": "doi:10.1000/x", "identifiers": ["arxiv:3103.00011"], "version": 2},
            ("doi:10.1000/x", "arxiv:3103.00011v2"),
            2,
        ),
    ],
)
def test_the_version_of_a_paper_stands_in_its_id_or_beside_it(
    fields: dict[str, object], refs: tuple[str, ...], version: int | None
) -> None:
    [arrival] = read(paper(**fields))
    assert isinstance(arrival, PaperArrival)
    assert (arrival.refs, arrival.version) == (refs, version)
    assert arrival.announced is None


def test_a_version_or_an_announcement_of_another_kind_is_an_unknown_field() -> None:
    [arrival] = read(paper(version="final", announced="yesterday"))
    assert isinstance(arrival, PaperArrival)
    assert (arrival.version, arrival.announced) == (None, None)
    assert arrival.extra == {"version": "final", "announced": "yesterday"}
    [arrival] = read(paper(id="arxiv:3103.00011v2", version="v3"))
    assert isinstance(arrival, PaperArrival)
    assert arrival.refs == ("arxiv:3103.00011v2",)


@pytest.mark.parametrize("word", ["new", "Cross", "replaced"])
def test_what_a_listing_announced_is_read(word: str) -> None:
    [arrival] = read(paper(announced=word))
    assert isinstance(arrival, PaperArrival)
    assert arrival.announced == Announced(word.lower())


# ---------------------------------------------------------------- bad lines


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("{", "not JSON"),
        ('{"type": "concept"} x', "not JSON"),
        ("[1]", "not a JSON object"),
        ('"text"', "not a JSON object"),
        ("null", "not a JSON object"),
        ('{"type": "paper", "x": NaN}', "NaN"),
        ('{"type": "paper", "x": -Infinity}', "-Infinity"),
        ('{"type": "paper", "x": 1e999}', "too large"),
        ('{"type": "paper", "x": 99999999999999999999}', "too large"),
        ('{"type": "paper", "x": -9223372036854775808}', "too large"),
        ('{"type": "paper", "x": ' + "9" * 5000 + "}", "too large"),
        ('{"type": "paper", "x": ' + "[" * 100_000 + "}", "nested too deeply"),
        ('{"type": "paper", "x": ' + "[" * 30 + "]" * 30 + "}", "nested too deeply"),
        ('{"type": "paper", "x": ' + '{"a":' * 30 + "1" + "}" * 30 + "}", "nested too deeply"),
        ({"id": "tides", "title": "Tides"}, '"type" is missing or empty. Types: topic, concept'),
        ({"type": 3}, '"type" is not a text'),
        ({"type": "planet"}, '"planet" is no type of line'),
        ({"type": "revision", "page": "x"}, "is no type of line"),
        ({"type": "topic", "name": "Tides"}, '"id" is missing'),
        ({"type": "topic", "id": "tide systems", "name": "Tides"}, "letters, digits"),
        ({"type": "topic", "id": "sea", "name": "Sea", "tier": 5}, "from 1 to 4"),
        ({"type": "topic", "id": "sea", "name": "Sea", "tier": True}, "from 1 to 4"),
        ({"type": "topic", "id": "sea", "name": "Sea", "threshold": 2}, "number from 0 to 1"),
        ({"type": "concept", "title": "Tides"}, '"id" is missing'),
        ({"type": "concept", "id": "Tides", "title": "T"}, "no slug"),
        ({"type": "concept", "id": "arxiv:3103.00011", "title": "T"}, "no slug"),
        ({"type": "concept", "id": "tides"}, '"title" is missing'),
        ({"type": "concept", "id": "tides", "title": "  "}, '"title" is missing'),
        ({"type": "concept", "id": "tides", "title": ["T"]}, '"title" is not a text'),
        ({"type": "concept", "id": "tides", "title": "T" * 2001}, "longer than 2,000"),
        ({"type": "concept", "id": "tides", "title": "T", "text": 4}, '"text" is not a text'),
        ({"type": "concept", "id": "tides", "title": "T\x00"}, "NUL"),
        ({"type": "concept", "id": "tides", "title": "T", "x": {"\x00": 1}}, "NUL"),
        (
            {"type": "concept", "id": "tides", "title": "T", "aliases": "x"},
            '"aliases" is not a list',
        ),
        ({"type": "concept", "id": "tides", "title": "T", "tags": [1]}, "not a list of texts"),
        ({"type": "page", "id": "x", "kind": "poem", "title": "T"}, "it is one of note"),
        ({"type": "page", "id": "x", "kind": "paper", "title": "T"}, "it is one of note"),
        ({"type": "page", "id": "arxiv:3103.00011", "title": "T"}, '"type":"paper"'),
        (paper(id="3103.00011"), "neither a slug nor"),
        (paper(id="arxiv:banana"), "neither a slug nor"),
        (paper(id="url:javascript:alert(1)"), "neither a slug nor"),
        (paper(doi="banana"), '"doi" is'),
        (paper(slug="Not A Slug"), "no slug"),
        (paper(title=""), '"title" is missing'),
        (paper(day="2031-03"), '"day" is not a date'),
        (paper(day="tomorrow"), '"day" is not a date'),
        (paper(published=["2031"]), '"published" is not a date'),
        (paper(authors="Ada"), '"authors" is not a list'),
        (paper(keep="yes"), "neither true nor false"),
        (link(source=""), '"source" is missing'),
        (link(target="Tides!"), "neither a slug nor"),
        (link(target="arxiv:3103.00011v9"), "from a page to itself"),
        (link(relation=None), '"relation" is missing'),
        (link(relation="likes"), "it is one of about"),
        (link(status="maybe"), "it is one of proposed"),
        (link(role="supports"), "part-of only"),
        (link(relation="part-of", role="hero"), "it is one of starts"),
        (link(confidence=1.01), "from 0 to 1"),
        (link(confidence="high"), "from 0 to 1"),
        (link(evidence={"quote": "x"}), '"evidence" is not a list'),
        (link(evidence=[{"where": "x"}]), '"evidence" is not a list of'),
        (link(at="yesterday"), "not a date or time"),
        (link(at="0001-01-01T00:00:00+09:00"), "not a date or time"),
        (link(day="soon"), '"day" is not a date'),
        (
            {"type": "decision", "paper": "arxiv:3103.00011", "verdict": "accept"},
            "keep, drop, defer",
        ),
        ({"type": "decision", "paper": "arxiv:3103.00011"}, '"verdict" is missing'),
        (
            {"type": "assessment", "paper": "x", "scorer": "owl", "relevance": 11},
            "from 1 to 10",
        ),
    ],
)
def test_bad_line_is_rejected_with_a_reason(line: object, words: str) -> None:
    said = reason(line)
    assert words in said
    assert said.endswith(".")
    assert len(said) < 400


def test_line_of_ten_megabytes_is_rejected_and_the_next_is_read() -> None:
    long = json.dumps(paper(abstract="x" * 10_000_000))
    rejected, read_on = read(long, paper())
    assert rejected == Rejected(where="line 1", reason="The line is longer than 8 MB.")
    assert isinstance(read_on, PaperArrival)


def test_long_line_below_the_limit_is_read() -> None:
    (arrival,) = read(paper(abstract="x" * (MAX_LINE_BYTES - 1000)))
    assert isinstance(arrival, PaperArrival)


def test_lone_surrogates_become_replacement_characters() -> None:
    (arrival,) = read(
        r'{"type":"concept","id":"x","title":"a\ud800b","text":"\udfff","\udc00":"\udc00"}'
    )
    assert (arrival.title, arrival.text) == ("a�b", "�")
    assert arrival.extra == {"�": "�"}


def test_surrogate_pair_stays_the_letter_it_is() -> None:
    (arrival,) = read(r'{"type":"concept","id":"x","title":"\ud83c\udf0a"}')
    assert arrival.title == "🌊"


def test_bad_lines_between_good_ones_keep_their_numbers() -> None:
    arrivals = read("", paper(), "{oops", "   ", "[]", paper(title="Last"))
    assert [arrival.where for arrival in arrivals if isinstance(arrival, Rejected)] == [
        "line 3",
        "line 5",
    ]
    assert arrivals[-1].title == "Last"


# ---------------------------------------------------------------- files


@pytest.mark.parametrize(
    "data",
    [
        json.dumps(paper()).encode(),
        b"\xef\xbb\xbf" + json.dumps(paper()).encode() + b"\r\n\r\n",
        b"\n\n  \n" + json.dumps(paper()).encode(),
        json.dumps(paper()).encode("utf-16"),
    ],
)
def test_marks_blank_lines_and_line_ends_do_not_matter(data: bytes) -> None:
    file = File(name="x", data=data)
    assert READER.recognises(file)
    assert [arrival.title for arrival in READER.read(file).arrivals] == ["Slack Water"]


def test_separator_characters_inside_a_text_do_not_end_its_line() -> None:
    line = json.dumps(paper(abstract="a\u2028b\x85c"), ensure_ascii=False)
    assert read(line)[0].abstract == "a\u2028b\x85c"


def test_broken_utf8_is_replaced_not_fatal() -> None:
    data = json.dumps(paper(title="Sl#ck")).encode().replace(b"#", b"\xe5")
    assert read(data=data)[0].title == "Sl�ck"


@pytest.mark.parametrize(
    ("data", "ours"),
    [
        (b'{"type":"topic"}', True),
        (b'\n{"id":"x","type":"unheard-of"}', True),
        (b'{"id":"x"}', False),
        (b'{"type":1}', False),
        (b"[]", False),
        (b"# Heading", False),
        (b"", False),
        (b"\x89PNG\r\n\x1a\n\x00\x00", False),
    ],
)
def test_recognises_by_the_first_line(data: bytes, ours: bool) -> None:
    assert READER.recognises(File(name="wiki.jsonl", data=data)) is ours


@pytest.mark.parametrize("data", [b"", b" \n\n", b"%PDF\x00\x01"])
def test_what_is_no_text_at_all_is_unreadable(data: bytes) -> None:
    with pytest.raises(Unreadable, match=r"wiki\.jsonl"):
        read(data=data)


def test_document_is_known_by_its_content_not_by_its_name() -> None:
    data = json.dumps(paper()).encode()
    one, two = (READER.read(File(name=name, data=data)) for name in ("a.jsonl", "b.jsonl"))
    other = READER.read(File(name="a.jsonl", data=data + b"\n{}"))
    assert one.key == two.key != other.key
    assert one.key.startswith("jsonl:")
    assert (one.source.key, one.title) == ("file", "a.jsonl")


def test_arrivals_are_made_one_by_one() -> None:
    data = (json.dumps(paper()) + "\n").encode() * 200_000
    arrivals = READER.read(File(name="big.jsonl", data=data)).arrivals
    assert len(list(islice(arrivals, 3))) == 3


# ---------------------------------------------------------------- hostile input

PLAIN = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
VALUES = (
    PLAIN | st.lists(PLAIN, max_size=3) | st.dictionaries(st.text(max_size=4), PLAIN, max_size=2)
)
FIELDS = st.sampled_from(
    [
        "id",
        "title",
        "name",
        "text",
        "kind",
        "source",
        "target",
        "relation",
        "status",
        "evidence",
        "paper",
        "verdict",
        "day",
        "at",
        "published",
        "authors",
        "tier",
        "confidence",
        "references",
        "questions",
        "identifiers",
    ]
)
TYPES = st.sampled_from(
    ["topic", "concept", "paper", "thread", "page", "link", "decision", "assessment", "x"]
)


@given(TYPES, st.dictionaries(FIELDS, VALUES, max_size=8))
def test_any_values_give_an_arrival_or_a_reason(kind: str, fields: dict[str, object]) -> None:
    assert len(read({"type": kind, "id": "x", "title": "X", **fields})) == 1


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_unreadable(data: bytes) -> None:
    try:
        read(data=data)
    except Unreadable:
        assert not data.strip() or b"\x00" in data
    READER.recognises(File(name="x", data=data))


@pytest.mark.skipif(not JSON_CORPUS.is_dir(), reason="no ../shared/corpora")
def test_no_json_of_the_corpus_gets_past_without_a_reason() -> None:
    for path in sorted(JSON_CORPUS.glob("*.json")):
        data = path.read_bytes()
        if not data.strip() or b"\x00" in data[:1000]:
            continue
        assert all(isinstance(arrival, Rejected) for arrival in read(data=data)), path.name
