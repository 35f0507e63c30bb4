"""A page's file as bytes, and back: nothing that somebody wrote is touched."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import pytest
import yaml as pyyaml
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from app.domain import front_matter
from app.domain.notes import FACTS, NamedLink, Note
from app.domain.records import KINDS, PageKind, Relation
from app.errors import Unreadable
from app.vault import notes as vault_notes
from app.vault.notes import LISTS, parse, render
from tests.vault.corpora import CORPORA, titles

ODD = [
    "null",
    "~",
    "true",
    "Yes",
    "no",
    "1e3",
    "0123",
    "0x1f",
    "1:30",
    "2026-11-22",
    ".inf",
    "key: value",
    "a #b",
    "---",
    "...",
    "- item",
    "? x",
    "{{ 7*7 }}",
    "[[nested]]",
    "&anchor *alias !tag",
    "'single' \"double\"",
    "back\\slash \\n",
    " blanks around ",
    "tab\there",
    "new\nline",
    "\u2028line",
    "next\x85line",
    "\u200f",
    "\ufeffBOM",
    "\u202egnp.exe",
    "👩\u200d🔬 lab",
    "Cafe\u0301",
    "\U0010ffff",
    "<<",
    "=",
    "@at `tick` %percent",
    "x" * 500,
    "trailing:",
    "\x07bell\x7f",
]


def _round(note: Note, **form: str) -> Note:
    found = parse(render(note, **form))
    assert found.problem == ""
    return found.note


# ---------------------------------------------------------------- any note

_SIGNS = st.characters(exclude_categories=["Cs"], exclude_characters="\x00\r")
_TEXT = st.one_of(st.sampled_from(ODD), st.text(_SIGNS, min_size=1, max_size=40))
_LINE = _TEXT.filter(lambda text: text.strip())
_TAG = _TEXT.filter(lambda text: not text.startswith("#"))
_PAGE_NAME = _LINE.filter(
    lambda name: not (name.startswith("[[") and name.endswith("]]")) and "[[" not in name
)


def _unique(texts: st.SearchStrategy[str]) -> st.SearchStrategy[tuple[str, ...]]:
    return st.lists(texts, max_size=4, unique=True).map(tuple)


@st.composite
def notes(draw: st.DrawFn) -> Note:
    kind = draw(st.sampled_from([None, *KINDS]))
    names = FACTS.get(kind, ()) if kind else tuple({n for ns in FACTS.values() for n in ns})
    facts: dict[str, Any] = {}
    for name in names:
        value = draw(_unique(_TEXT) if name in LISTS else st.one_of(st.just(""), _TEXT))
        if value:
            facts[name] = value
    links = draw(
        st.lists(
            st.builds(NamedLink, st.sampled_from(list(Relation)), _PAGE_NAME),
            max_size=5,
            unique=True,
        )
    )
    return Note(
        id=draw(st.one_of(st.just(""), st.from_regex(r"[a-z0-9-]{1,20}", fullmatch=True))),
        kind=kind,
        title=draw(st.one_of(st.just(""), _TEXT)),
        aliases=draw(_unique(_TEXT)),
        tags=draw(_unique(_TAG)),
        identifiers=draw(_unique(_TEXT)),
        facts=facts,
        links=tuple(sorted(links, key=lambda link: list(Relation).index(link.relation))),
        body=draw(st.text(_SIGNS, max_size=200) | st.sampled_from(["---\n", "---\nid: x\n---\n"])),
    )


def _check_any_note(note: Note, newline: str) -> None:
    data = render(note, newline=newline)
    found = parse(data)
    assert found.note == note
    assert found.problem == ""
    assert render(found.note, head=found.head, newline=found.newline) == data


_ANY_NOTE = given(note=notes(), newline=st.sampled_from(["\n", "\r\n", "\r"]))
_SLOW = [HealthCheck.too_slow, HealthCheck.filter_too_much]


@settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=_SLOW)
@_ANY_NOTE
def test_what_is_written_is_read_alike(note: Note, newline: str) -> None:
    _check_any_note(note, newline)


@pytest.mark.soak
@settings(max_examples=2_000, deadline=None, derandomize=True, suppress_health_check=_SLOW)
@_ANY_NOTE
def test_what_is_written_is_read_alike_two_thousand_times(note: Note, newline: str) -> None:
    _check_any_note(note, newline)


# ---------------------------------------------------------------- any bytes

_PIECES = st.sampled_from(
    [
        "---\n",
        "---\r\n",
        "---",
        "--- \n",
        "...\n",
        "\ufeff",
        "\n",
        "\r\n",
        "\r",
        "id: a-b\n",
        "kind: Concept\n",
        "title: 'It''s'  # said\r\n",
        "aliases: [a, b]\n",
        "aliases:\n- a # one\n- b\n",
        "tags: '#x, y'\n",
        "about: [[KV cache]]\n",
        "about:\n  - '[[KV cache|the cache]]'\n",
        "links:\n  - {relation: related, target: x}\n",
        "mine: &m {a: 1}\n",
        "theirs: *m\n",
        "# a remark\n",
        "? odd\n: thing\n",
        "{id: x, title: y}\n",
        "\tx: 1\n",
        "  indented: 1\n",
        "text | >\n",
        "summary: |\n  # no remark\n\n  two\n",
        "title: a\n",
        "[[link]] and text",
        "key:",
        "\u2028",
        "\x85",
        "é",
    ]
)
_BYTES = st.one_of(
    st.lists(_PIECES, max_size=12).map(lambda pieces: "".join(pieces).encode()),
    st.lists(_PIECES, max_size=12).map(
        lambda pieces: ("---\n" + "".join(pieces) + "\n---\nText\n").encode()
    ),
    st.binary(max_size=60),
    st.text(max_size=80).map(lambda text: text.encode("utf-8", "replace")),
)


def _check_any_bytes(data: bytes) -> None:
    try:
        found = parse(data)
    except Unreadable:
        return
    assert render(found.note, head=found.head, newline=found.newline) == data


def _check_any_edit(data: bytes, note: Note) -> None:
    """Another note over any file: the note is in it, and what others wrote is too."""
    try:
        found = parse(data)
    except Unreadable:
        return
    assume(not found.problem)
    written = parse(render(note, head=found.head, newline=found.newline))
    assert written.problem == ""
    assert written.note.body == note.body
    assert written.note.id == note.id
    assert " ".join(written.note.title.split()) == " ".join(note.title.split())
    assert {link.name for link in written.note.links} == {link.name for link in note.links}
    assert _others(written.head) == _others(found.head)


def _others(head: str) -> list[object]:
    text = head.removeprefix("\ufeff")
    place = front_matter.bounds(text)
    root = front_matter.compose(text[place[0] : place[1]]) if place else None
    return vault_notes._others(root, vault_notes._wanted(Note()))


@settings(max_examples=300, deadline=None, derandomize=True, suppress_health_check=_SLOW)
@given(data=_BYTES)
@example(data=b"---\n---")
@example(data=b"---")
@example(data=b"---\nid: x\n---\r\na\r\nb\nc\rd")
def test_any_file_comes_back_byte_for_byte(data: bytes) -> None:
    _check_any_bytes(data)


@pytest.mark.soak
@settings(max_examples=2_000, deadline=None, derandomize=True, suppress_health_check=_SLOW)
@given(data=_BYTES)
def test_any_file_comes_back_two_thousand_times(data: bytes) -> None:
    _check_any_bytes(data)


@settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=_SLOW)
@given(data=_BYTES, note=notes())
def test_any_note_is_written_over_any_file(data: bytes, note: Note) -> None:
    _check_any_edit(data, note)


@pytest.mark.soak
@settings(max_examples=2_000, deadline=None, derandomize=True, suppress_health_check=_SLOW)
@given(data=_BYTES, note=notes())
def test_any_note_is_written_over_any_file_two_thousand_times(data: bytes, note: Note) -> None:
    _check_any_edit(data, note)


# ---------------------------------------------------------------- other readers of YAML


def _yaml_of(data: bytes) -> str:
    found = parse(data).head
    return found.removeprefix("---\n").removesuffix("---\n")


@pytest.mark.parametrize("title", ODD)
def test_an_odd_text_is_the_same_to_every_reader_of_yaml(title: str) -> None:
    note = Note(id="x", title=title, aliases=(title,), facts={"claim": title}, kind=PageKind.THREAD)
    text = _yaml_of(render(note))
    readers = [
        pyyaml.safe_load,
        YAML(typ="safe", pure=True).load,
        _as_yaml_1_1(),
    ]
    for read in readers:
        found = read(text)
        assert (found["title"], found["aliases"], found["claim"]) == (title, [title], title)


def _as_yaml_1_1() -> Any:
    reader = YAML(typ="safe", pure=True)
    reader.version = (1, 1)
    return reader.load


@pytest.mark.parametrize("name", ["titles.jsonl", "blns.json"])
def test_the_titles_of_the_corpora_come_back(name: str) -> None:
    for title in titles(name):
        note = Note(id="x", title=title, aliases=(title,), body=title.replace("\r", "\n"))
        assert _round(note) == note, title
        found = pyyaml.safe_load(_yaml_of(render(replace(note, body=""))))
        assert found["title"] == title


def test_the_bodies_of_the_corpora_come_back() -> None:
    path = CORPORA / "own" / "wikilinks.jsonl"
    if not path.exists():
        pytest.skip("the corpora are not here")
    for line in path.read_text("utf-8").splitlines():
        body = json.loads(line)["md"]
        for note in (Note(body=body), Note(id="x", body=body)):
            for newline in ("\n", "\r\n"):
                assert _round(note, newline=newline) == note
                assert _round(note, newline=newline, head="\ufeff") == note


# ---------------------------------------------------------------- a new file


def test_a_new_file_reads_as_an_obsidian_note() -> None:
    note = Note(
        id="paged-attention",
        kind=PageKind.PAPER,
        title="Paging: a memory for attention",
        aliases=("PagedAttention",),
        tags=("serving", "kv cache"),
        identifiers=("arxiv:2309.06180",),
        facts={"authors": ("A. One", "B. Two"), "published": "2023-09-12"},
        links=(
            NamedLink(Relation.ABOUT, "KV cache"),
            NamedLink(Relation.ABOUT, "llm-serving"),
            NamedLink(Relation.PART_OF, "Memory is paging"),
        ),
        body="Its text.\n",
    )
    assert render(note).decode() == (
        "---\n"
        "id: paged-attention\n"
        "kind: paper\n"
        'title: "Paging: a memory for attention"\n'
        "aliases:\n  - PagedAttention\n"
        "tags:\n  - serving\n  - kv cache\n"
        'identifiers:\n  - "arxiv:2309.06180"\n'
        "authors:\n  - A. One\n  - B. Two\n"
        'published: "2023-09-12"\n'
        'about:\n  - "[[KV cache]]"\n  - "[[llm-serving]]"\n'
        'part-of:\n  - "[[Memory is paging]]"\n'
        "---\n"
        "Its text.\n"
    )


def test_a_text_alone_gets_no_front_matter() -> None:
    assert render(Note(body="Just this.")) == b"Just this."


def test_a_text_that_begins_like_front_matter_stays_text() -> None:
    note = Note(body="---\nid: not-mine\n---\nrest")
    assert render(note).startswith(b"---\n---\n---\n")
    assert _round(note) == note


# ---------------------------------------------------------------- a file that somebody has

THEIRS = """\ufeff---
# how I keep these
cssclasses: [wide,  "tall"]
title:   'KV cache'   # as they call it
aliases: [KV-cache, "key-value cache"]   # both are seen
tags:
- Serving   # keep
- ml
about: [[Attention mechanisms]]
rating: 0x1F
nested:
  - {a: 1,   b: [x]}   # theirs

uses:
    - "[[GQA]]"      # the main one
    - "[[H2O|heavy hitters]]"
status: reading
---

The text.
"""


def _theirs() -> tuple[Note, str, str]:
    found = parse(THEIRS.encode())
    assert not found.problem
    return found.note, found.head, found.newline


def test_a_file_is_read() -> None:
    note, _, _ = _theirs()
    assert note.title == "KV cache"
    assert note.aliases == ("KV-cache", "key-value cache")
    assert note.tags == ("Serving", "ml")
    assert note.links == (
        NamedLink(Relation.ABOUT, "Attention mechanisms"),
        NamedLink(Relation.USES, "GQA"),
        NamedLink(Relation.USES, "H2O"),
    )
    assert note.body == "\nThe text.\n"


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_what_is_added_leaves_every_other_line_as_it_is(end: str) -> None:
    theirs = THEIRS.replace("\n", end)
    found = parse(theirs.encode())
    note = replace(
        found.note,
        id="kv-cache",
        kind=PageKind.CONCEPT,
        title="The KV cache",
        links=(*found.note.links, NamedLink(Relation.USES, "PagedAttention")),
        tags=("agents", "ml", "serving"),
    )
    after = render(note, head=found.head, newline=found.newline).decode()
    wanted = (
        theirs.replace("  'KV cache'", "  The KV cache")
        .replace(f"- ml{end}", f"- ml{end}- agents{end}")
        .replace(f'heavy hitters]]"{end}', f'heavy hitters]]"{end}    - "[[PagedAttention]]"{end}')
        .replace(
            f"status: reading{end}", f"status: reading{end}id: kv-cache{end}kind: concept{end}"
        )
    )
    assert after == wanted


def test_what_is_taken_out_takes_its_line_along_and_no_other() -> None:
    note, head, newline = _theirs()
    after = render(
        replace(note, links=note.links[:-1], aliases=note.aliases[1:]), head=head, newline=newline
    ).decode()
    assert after == THEIRS.replace('    - "[[H2O|heavy hitters]]"\n', "").replace(
        '[KV-cache, "key-value cache"]', '["key-value cache"]'
    )


def test_a_field_that_is_empty_now_goes_and_the_remark_above_the_next_stays() -> None:
    head = "---\naliases:\n  - a\n# of the tags\ntags: [x]\n---\n"
    note = parse(head.encode()).note
    assert render(replace(note, aliases=()), head=head) == b"---\n# of the tags\ntags: [x]\n---\n"


def test_what_means_the_same_is_left_as_it_was_written() -> None:
    head = (
        "---\nid: x\nkind: Paper\ntitle: 'A  title'\naliases: [A title, other]\ntags: '#B, a'\n"
        "identifiers: [arXiv:2605.00001v3]\npublished: 2026-05-08T10:00:00Z\n---\n"
    )
    note = Note(
        id="x",
        kind=PageKind.PAPER,
        title="A title",
        aliases=("other",),
        tags=("a", "b"),
        identifiers=("arxiv:2605.00001",),
        facts={"published": "2026-05-08"},
    )
    assert render(note, head=head).decode() == head


def test_the_starter_form_is_read_and_given_up_when_a_link_changes() -> None:
    head = (
        "---\nid: a\nlinks:\n  - {relation: related, target: b}   # one\n"
        "  - relation: about\n    target: '[[C d]]'\n"
        "  - {relation: uses, target: e, status: rejected}   # kept out\n"
        "  - {target: nowhere}\nlast: 1\n---\n"
    )
    note = parse(head.encode()).note
    assert note.links == (NamedLink(Relation.ABOUT, "C d"), NamedLink(Relation.RELATED, "b"))
    assert render(note, head=head).decode() == head
    after = render(replace(note, links=note.links[:1]), head=head).decode()
    assert after == (
        '---\nid: a\nabout:\n  - "[[C d]]"\nlinks:\n'
        "  - {relation: uses, target: e, status: rejected}   # kept out\n"
        "  - {target: nowhere}\nlast: 1\n---\n"
    )


def test_members_of_the_starter_form_are_read_and_stay() -> None:
    head = "---\nid: t\nkind: thread\nmembers:\n  - {paper: arxiv:2309.06180, role: starts}\n---\n"
    note = parse(head.encode()).note
    assert note.members == ("arxiv:2309.06180",)
    assert render(replace(note, title="T"), head=head).decode().count("members") == 1


@pytest.mark.parametrize(
    ("value", "names"),
    [
        ("[[KV cache]]", ["KV cache"]),
        ("'[[KV cache]]'", ["KV cache"]),
        ("kv-cache", ["kv-cache"]),
        ("'[[A]], [[B|b]]'", ["A", "B"]),
        ("\n  - [[A]]\n  - '[[B#Part]]'\n  - c", ["A", "B", "c"]),
        ("[[[A]], [[B]]]", ["A", "B"]),
        ("['[[concepts/A]]']", ["concepts/A"]),
        ("[[One, two]]", ["One, two"]),
        ("", []),
        ("[]", []),
        ("{a: b}", []),
    ],
)
def test_a_link_is_read_however_it_is_written(value: str, names: list[str]) -> None:
    data = f"---\nabout: {value}\n---\n".encode()
    found = parse(data)
    assert [link.name for link in found.note.links] == names
    assert render(found.note, head=found.head) == data


def test_repeated_fields_become_one_when_they_change() -> None:
    head = "---\ntitle: one\nid: x\ntitle: two\n---\n"
    note = parse(head.encode()).note
    assert note.title == "two"
    assert render(note, head=head).decode() == head
    assert render(replace(note, title="three"), head=head) == b"---\nid: x\ntitle: three\n---\n"


def test_an_anchor_that_others_use_keeps_its_value() -> None:
    head = "---\ntitle: &t Old\ncopy: *t\n---\n"
    note = parse(head.encode()).note
    after = render(replace(note, title="New"), head=head)
    assert pyyaml.safe_load(_yaml_of(after)) == {"title": "New", "copy": "Old"}


def test_front_matter_on_one_line_is_written_anew_with_all_it_holds() -> None:
    head = "---\n{title: Old, theirs: [1, yes, 'x'], deep: {a: null}}\n---\n"
    note = parse(head.encode()).note
    after = render(replace(note, title="New"), head=head)
    assert YAML(typ="safe", pure=True).load(_yaml_of(after)) == {
        "title": "New",
        "theirs": [1, "yes", "x"],
        "deep": {"a": None},
    }


@pytest.mark.parametrize(
    "yaml",
    [
        "id: mine\ntitle: [unclosed\n",
        "id: mine\n\ttab: 1\n",
        "id: mine\nx: *nowhere\n",
        "id: mine\nx: 'no end\n",
        "id: mine\nb: &b [x, x]\nc: &c [*b, *b, *b, *b, *b, *b, *b, *b, *b]\n"
        + "".join(
            f"d{n}: &d{n} [{', '.join(['*c' if not n else f'*d{n - 1}'] * 9)}]\n" for n in range(9)
        ),
        "id: mine\nx: " + "[" * 200 + "]" * 200 + "\n",
    ],
)
def test_broken_front_matter_stays_and_the_text_can_be_edited(yaml: str) -> None:
    data = f"---\n{yaml}---\nText.\n".encode()
    found = parse(data)
    assert found.problem
    assert found.note == Note(id="mine", body="Text.\n")
    edited = replace(found.note, title="New", body="Other.\n")
    assert render(edited, head=found.head) == data.replace(b"Text.", b"Other.")


@pytest.mark.parametrize("yaml", ["just words", "- a\n- list", "42"])
def test_front_matter_without_fields_stays(yaml: str) -> None:
    data = f"---\n{yaml}\n---\nText.".encode()
    found = parse(data)
    assert "not a list of fields" in found.problem
    assert render(replace(found.note, id="x"), head=found.head) == data


def test_front_matter_without_an_end_is_text() -> None:
    data = b"---\nid: x\nand on it goes\n"
    found = parse(data)
    assert "does not end" in found.problem
    assert (found.head, found.note.body) == ("", data.decode())
    long = b"---\n" + b"x: y\n" * 60_000 + b"---\nText"
    assert "longer than 256 kB" in parse(long).problem
    assert render(parse(long).note) == long


def test_a_long_text_is_read_and_a_longer_one_refused() -> None:
    data = ("---\nid: x\n---\n" + "é" * 1_000_000).encode()
    found = parse(data)
    assert len(found.note.body) == 1_000_000
    assert render(found.note, head=found.head) == data
    with pytest.raises(Unreadable, match="million"):
        parse(data + b"!")
    with pytest.raises(Unreadable, match="larger"):
        parse(b"x" * 9_000_000)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"\xff\xfeh\x00i\x00", "UTF-16"),
        (b"a\x00b", "zero bytes"),
        (b"one\ntwo \xe9\n", "Line 2"),
        (b"\x89PNG\r\n\x1a\n\xff", "Line 1"),
    ],
)
def test_what_is_no_text_is_refused_in_words(data: bytes, words: str) -> None:
    with pytest.raises(Unreadable, match=words):
        parse(data)


def test_mixed_ends_of_lines_stay_while_the_number_of_lines_does() -> None:
    data = b"---\r\nid: x\n---\na\r\nb\nc\r\nd"
    found = parse(data)
    assert found.note.body == "a\nb\nc\nd"
    edited = replace(found.note, body="a\nB\nc\nd")
    assert render(edited, head=found.head, newline=found.newline) == data.replace(b"b", b"B")
    longer = replace(found.note, body="a\nb\nc\nd\ne")
    after = render(longer, head=found.head, newline=found.newline)
    assert after.endswith(b"a\r\nb\r\nc\r\nd\r\ne")
    ended = (re.sub(r"\r\n?", "\n", text) for text in (longer.body, parse(after).note.body))
    assert len(set(ended)) == 1


def test_a_last_line_without_end_and_a_fence_without_end_stay() -> None:
    for data in (b"---\nid: x\n---", b"---\nid: x\n---\nText", b"---\nid: x\n...\nText"):
        found = parse(data)
        assert render(found.note, head=found.head, newline=found.newline) == data
    found = parse(b"---\nid: x\n---")
    assert render(replace(found.note, body="Text"), head=found.head) == b"---\nid: x\n---\nText"


def test_facts_are_those_of_the_kind_and_another_kinds_words_are_somebody_elses() -> None:
    head = "---\nid: x\nkind: concept\nstatus: reading\n---\n"
    note = parse(head.encode()).note
    assert note.facts == {}
    assert "status: reading" in render(replace(note, title="T"), head=head).decode()
    assert parse(head.replace("kind: concept\n", "").encode()).note.facts == {"status": "reading"}
    thread = parse(head.replace("concept", "thread").encode()).note
    assert thread.facts == {"status": "reading"}


def test_five_thousand_authors_are_kept_and_of_endless_lists_the_first() -> None:
    authors = tuple(f"A. Author of Number {number}" for number in range(5_154))
    note = Note(id="x", kind=PageKind.PAPER, facts={"authors": authors})
    assert _round(note) == note
    links = tuple(NamedLink(Relation.MENTIONS, f"Page {number}") for number in range(30_000))
    many = _round(replace(note, links=links))
    assert many.id == "x" and many.links and set(many.links) < set(links)
    data = render(replace(note, links=links), head=parse(render(note)).head)
    assert parse(data).note == many


@pytest.mark.parametrize(
    "theirs", ["ZK 2026/05 #3", "202401011230", '"2024-01-01 12:30"', "[1, two]", "ABC-7"]
)
def test_what_another_program_calls_id_is_not_touched(theirs: str) -> None:
    head = f"---\nid: {theirs}\ntitle: T\n---\n"
    note = replace(parse(head.encode()).note, id="t")
    after = render(note, head=head).decode()
    assert after == head.removesuffix("---\n") + "cerebro-id: t\n---\n"
    again = parse(after.encode())
    assert again.note == note
    assert render(again.note, head=again.head).decode() == after
    renamed = render(replace(again.note, id="u"), head=again.head).decode()
    assert renamed == after.replace("cerebro-id: t", "cerebro-id: u")
    broken = after.replace("title: T", "title: [")
    assert parse(broken.encode()).note.id == "t"


def test_an_id_that_means_something_here_is_ours() -> None:
    for head in ("---\nid: arxiv:2605.00001\n---\n", "---\nid: one\n---\n", "---\nid:\n---\n"):
        note = replace(parse(head.encode()).note, id="t")
        assert render(note, head=head).decode() == "---\nid: t\n---\n"
    zettel = parse(b"---\nid: 202401011230\n---\n")
    assert zettel.note.id == "202401011230"
    assert render(replace(zettel.note, title="T"), head=zettel.head).decode() == (
        "---\nid: 202401011230\ntitle: T\n---\n"
    )


def test_a_kind_we_do_not_know_stays_on_a_note() -> None:
    head = "---\nid: x\nkind: book\n---\n"
    note = parse(head.encode()).note
    assert note.kind is None
    assert render(replace(note, kind=PageKind.NOTE), head=head).decode() == head
    after = render(replace(note, kind=PageKind.CONCEPT), head=head)
    assert after == b'---\nid: x\nkind: concept\n# kind was "book"\n---\n'
