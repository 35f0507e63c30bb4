"""Markdown files as they lie in a folder: each kind of page, front matter of every quality."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.front_matter import MAX_FRONT_MATTER
from app.domain.items import (
    Document,
    LinkArrival,
    PageArrival,
    PaperArrival,
    Quotation,
    Rejected,
    ThreadArrival,
)
from app.domain.records import PageKind, Relation, Role
from app.errors import Unreadable
from app.sources.base import File
from app.sources.markdown_folder import MarkdownFolder

VAULT = Path(__file__).parent / "data" / "vault"
WIKI = Path(__file__).parents[2] / "wiki"
READER = MarkdownFolder()


def document(name: str) -> Document:
    return READER.read(File(name=name, data=(VAULT / name).read_bytes()))


def read(text: str, name: str = "pier.md") -> list[Any]:
    return list(READER.read(File(name=name, data=text.encode())).arrivals)


def page(text: str, name: str = "pier.md") -> PageArrival:
    first = read(text, name)[0]
    assert isinstance(first, PageArrival)
    return first


# ---------------------------------------------------------------- kinds of pages


def test_concept_with_links_and_unknown_fields() -> None:
    read_page = document("slack-water.md")
    assert (read_page.key, read_page.source.key, read_page.title) == (
        "slack-water",
        "markdown",
        "Slack water",
    )
    concept, *links = read_page.arrivals
    assert concept == PageArrival(
        ref="slack-water",
        kind=PageKind.CONCEPT,
        title="Slack water",
        text="The pause between [[ebb]] and flood.\n\n## What is known\n\n- It lasts.\n",
        aliases=("turn of the tide", "1e3"),
        tags=("sea", "clocks"),
        extra={"mood": "calm", "depths": [1, 2.5, True, None, "2031-03-01"]},
    )
    assert links == [
        LinkArrival(source="slack-water", relation=Relation.BROADER, target="tides"),
        LinkArrival(
            source="slack-water",
            relation=Relation.RELATED,
            target="sea-clocks",
            note="both keep time",
        ),
    ]


def test_paper_takes_its_file_name_as_address_and_is_kept() -> None:
    paper, *links = document("slack-water-cycle.md").arrivals
    assert paper == PaperArrival(
        refs=("arxiv:3103.00011v2", "doi:10.1234/salt.5"),
        title="Slack Water Is a Limit Cycle",
        authors=("Ada Brine", "Bo Fjord"),
        published="2031-03-01",
        categories=("physics.ao-ph",),
        keep=True,
        slug="slack-water-cycle",
        text="## What it does\n\nMeasures the pause in [[slack-water]].\n",
        aliases=("Slack",),
        tags=("sea",),
        questions=("Does ice change the delay?",),
    )
    assert links == [
        LinkArrival(source="arxiv:3103.00011v2", relation=Relation.ABOUT, target="slack-water"),
        LinkArrival(
            source="arxiv:3103.00011v2",
            relation=Relation.COMPARES,
            target="arxiv:3102.00001",
            evidence=(Quotation(quote="unlike the sine", where="abstract"),),
        ),
    ]


def test_thread_names_its_members_and_the_ones_it_cannot_read() -> None:
    thread, member, *problems = document("sea-clocks.md").arrivals
    assert isinstance(thread, ThreadArrival)
    assert thread.claim == "What the sea repeats, it repeats on time."
    assert (thread.page.ref, thread.page.text) == ("sea-clocks", "Three clocks so far.\n")
    assert thread.page.extra == {}
    assert member == LinkArrival(
        source="arxiv:3103.00011",
        relation=Relation.PART_OF,
        target="sea-clocks",
        role=Role.STARTS,
        day="2031-03-01",
        note="Shows the first clock.",
    )
    assert [problem.where for problem in problems if isinstance(problem, Rejected)] == [
        "member 2",
        "member 3",
        "member 4",
    ]


@pytest.mark.parametrize("kind", ["note", "article", "digest", "episode", "concept"])
def test_page_of_each_other_kind(kind: str) -> None:
    assert page(f"---\nid: x\nkind: {kind}\n---\nText").kind is PageKind(kind)


def test_unknown_kind_is_a_note_and_its_word_is_kept() -> None:
    note = page("---\nid: x\nkind: MOC\n---\nText")
    assert (note.kind, note.extra) == (PageKind.NOTE, {"kind": "MOC"})


def test_identifier_without_a_kind_makes_a_paper() -> None:
    (paper,) = read("---\nid: doi:10.1234/x\ntitle: T\n---\n")
    assert isinstance(paper, PaperArrival)
    assert paper.refs == ("doi:10.1234/x",)


# ---------------------------------------------------------------- titles and addresses


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("No heading here.", "pier"),
        ("Words.\n\n## The Pier ##\n\n# Later", "The Pier"),
        ("```\n# comment\n```\n# Real", "Real"),
        ("#hashtag\n\ntext", "pier"),
        ("---\ntitle: Named\n---\n# Heading", "Named"),
        ("---\ntitle: 1e3\n---\n", "1e3"),
        ("---\ntitle: 2031-03-01\n---\n", "2031-03-01"),
        ("---\ntitle: true\n---\n", "true"),
        ("---\ntitle: 0123\n---\n", "0123"),
        ("---\ntitle: null\n---\n# Heading", "Heading"),
        ("---\ntitle: [a, b]\n---\n# Heading", "Heading"),
    ],
)
def test_title_is_the_named_one_then_the_first_heading_then_the_file(text: str, title: str) -> None:
    assert page(text).title == title


def test_file_without_an_id_lets_the_wiki_choose_its_address_and_keeps_its_name_as_alias() -> None:
    note = page("# The Pier\n", name="Old Folder/Pier Notes.md")
    assert (note.ref, note.aliases) == ("", ("Pier Notes",))


def test_page_with_links_but_no_id_is_named_after_its_file() -> None:
    text = "---\nlinks:\n  - {relation: related, target: tides}\n---\n"
    note, link = read(text, name="Pier Notes.md")
    assert note.ref == link.source == "pier-notes"


@pytest.mark.parametrize(
    ("name", "key"),
    [("a/b/pier.md", "a/b/pier"), ("a\\b\\pier.md", "a/b/pier"), ("/x/pier.md", "x/pier")],
)
def test_key_is_the_path_without_suffix(name: str, key: str) -> None:
    assert READER.read(File(name=name, data=b"text")).key == key


def test_wikilink_without_quotes_is_understood_as_a_target() -> None:
    link = read("---\nid: x\nlinks:\n  - {relation: related, target: [[Sea clocks]]}\n---\n")[1]
    assert link.target == "sea-clocks"


@pytest.mark.parametrize("tags", ["sea, mud", "[sea, mud]", "['#sea', '#mud']", "\n- sea\n- mud"])
def test_tags_are_a_list_or_one_text(tags: str) -> None:
    assert page(f"---\ntags: {tags}\n---\n").tags == ("sea", "mud")


def test_line_ends_and_byte_order_mark_do_not_matter() -> None:
    data = b"\xef\xbb\xbf---\r\nid: pier\r\ntitle: Pier\r\n---\r\nOne\r\nTwo\r\n"
    (note,) = READER.read(File(name="pier.md", data=data)).arrivals
    assert isinstance(note, PageArrival)
    assert (note.ref, note.title, note.text) == ("pier", "Pier", "One\nTwo\n")


# ---------------------------------------------------------------- what is wrong

LAUGHS = "\n".join(
    [f"a0: &a0 [{', '.join(['lol'] * 9)}]"]
    + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 10)]
)


@pytest.mark.parametrize(
    ("front", "words"),
    [
        ("title: [a\ntags: b", "not YAML in line"),
        ("title: 'a", "not YAML in line"),
        ("- a\n- b", "not a list of fields"),
        ("\tid: x", "not YAML"),
        ("a: &a [*a]", "nested too deeply"),
        (LAUGHS, "too many values"),
        ("a: " + "[" * 3000, "nested too deeply"),
        ("%YAML 9.9\n", "not YAML"),
    ],
)
def test_broken_front_matter_is_rejected_and_the_text_kept_as_a_note(
    front: str, words: str
) -> None:
    note, problem = read(f"---\n{front}\n---\n# Pier\n\nWood.\n")
    assert (note.kind, note.title, note.text) == (PageKind.NOTE, "Pier", "# Pier\n\nWood.\n")
    assert problem.where == "front matter"
    assert words in problem.reason
    assert problem.reason.endswith("kept as a note.")


def test_front_matter_that_never_ends_or_is_huge_is_kept_as_text() -> None:
    for text in ("---\nid: x\nWood.", f"---\nid: {'x' * MAX_FRONT_MATTER}\n---\nWood."):
        note, problem = read(text)
        assert note.text == text
        assert problem.where == "front matter"


def test_rule_as_the_first_line_is_not_front_matter() -> None:
    assert read("---\n\nWood.\n")[0].text == "---\n\nWood.\n"


@pytest.mark.parametrize(
    ("front", "where", "words"),
    [
        ("id: Not A Slug", "id", "neither a slug"),
        ("id: x\ntitle: [a]", "title", "not a text"),
        ("id: x\naliases: [{a: b}]", "aliases", "not a list of texts"),
        ("id: x\nlinks: tides", "links", "not a list"),
        ("id: x\nlinks: [{target: tides}]", "link 1", "names no relation"),
        ("id: x\nlinks: [{relation: likes, target: tides}]", "link 1", "none of about"),
        ("id: x\nlinks: [{relation: about}]", "link 1", "names no target"),
        ("id: x\nlinks: [{relation: about, target: A B}]", "link 1", "neither a slug"),
        ("id: x\nlinks: [{relation: about, target: x}]", "link 1", "to itself"),
    ],
)
def test_bad_field_is_named_and_the_page_still_arrives(front: str, where: str, words: str) -> None:
    arrived, problem = read(f"---\n{front}\n---\nWood.")
    assert isinstance(arrived, PageArrival)
    assert arrived.text == "Wood."
    assert problem.where == where
    assert words in problem.reason


def test_nul_and_lone_surrogates_never_leave_the_reader() -> None:
    note = page('---\ntitle: "a\\ud800b\\0c"\nx: "\\udfff"\n---\nA\x00B')
    assert (note.title, note.extra, note.text) == ("a�b�c", {"x": "�"}, "A�B")


def test_empty_file_is_unreadable() -> None:
    with pytest.raises(Unreadable, match=r"pier\.md is empty"):
        read(" \n")


@pytest.mark.parametrize(
    ("name", "data", "ours"),
    [
        ("a.md", b"anything", True),
        ("a.MARKDOWN", b"anything", True),
        ("a.txt", b"---\nid: x\n---\n", True),
        ("a.txt", b"\n# Heading\n", True),
        ("a.txt", b"plain words", False),
        ("a.json", b'{"a": 1}', False),
        ("a.txt", b"---\nno end", False),
    ],
)
def test_recognises_by_name_or_by_its_first_lines(name: str, data: bytes, ours: bool) -> None:
    assert READER.recognises(File(name=name, data=data)) is ours


# ---------------------------------------------------------------- the starter wiki, and damage


@pytest.mark.skipif(not any(WIKI.rglob("*.md")), reason="no starter wiki")
def test_every_page_of_the_starter_wiki_is_read_without_a_problem() -> None:
    for path in sorted(WIKI.rglob("*.md")):
        arrivals = READER.read(File(name=path.name, data=path.read_bytes())).arrivals
        assert not [problem for problem in arrivals if isinstance(problem, Rejected)], path.name


@given(
    st.sampled_from(sorted(path.name for path in VAULT.glob("*.md"))),
    st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), max_size=20),
    st.integers(0, 2000),
)
@settings(deadline=None)
def test_damaged_file_is_read_or_unreadable(
    name: str, flips: list[tuple[int, int]], end: int
) -> None:
    data = bytearray((VAULT / name).read_bytes())
    for at, byte in flips:
        data[at % len(data)] = byte
    file = File(name=name, data=bytes(data[:end]))
    READER.recognises(file)
    try:
        assert list(READER.read(file).arrivals)
    except Unreadable:
        assert not file.text().strip()


@given(st.text(max_size=200))
@settings(deadline=None)
def test_any_front_matter_leaves_the_text_readable(front: str) -> None:
    assert read(f"---\n{front}\n---\nWood.")
