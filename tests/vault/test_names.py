"""What a page's file is called, and which files are pages."""

from __future__ import annotations

import pytest

from app.domain.identifiers import slugify
from app.domain.records import KINDS, PageKind
from app.vault import names
from tests.vault.corpora import titles


def test_every_kind_has_a_folder_and_a_folder_its_kind() -> None:
    assert set(names.FOLDERS) == set(KINDS)
    for kind, folder in names.FOLDERS.items():
        assert names.kind_of_folder(f"{folder}/x.md") is kind
        assert names.kind_of_folder(f"mine/{folder.upper()}/deep/x.md") is kind
    assert names.kind_of_folder("x.md") is None
    assert names.kind_of_folder("projects/x.md") is None


@pytest.mark.parametrize(
    "title",
    [
        "KV cache",
        "Attention Is All You Need",
        "Café",
        "論文",
        "C++ notes",
        "100% done",
        "a.b",
        "{{ x }}",
        "👩 lab",
    ],
)
def test_a_title_that_can_be_a_file_name_is_one(title: str) -> None:
    assert names.stem_of(title, "slug") == title


@pytest.mark.parametrize(
    "title",
    [
        "",
        ".",
        "..",
        ".hidden",
        "A/B",
        "C:\\notes",
        "what?",
        "a|b",
        "a#b",
        "a^b",
        "[[x]]",
        "trailing.",
        "trailing ",
        " leading",
        "tab\there",
        "new\nline",
        "a\u200bb",
        "\u202egnp",
        "\ufeffBOM",
        "Cafe\u0301",
        "a\u00a0b",
        "CON",
        "nul.md",
        "com1",
        "LPT¹",
        "Aux .txt",
        "page.md",
        "x" * 121,
        "論" * 41,
        "draft.tmp",
        "note~",
        "#draft#",
        "a.sync-conflict-20260101-101010-ABCDEFG",
        "b (conflicted copy 2026-01-01)",
        "c (Conflict)",
        "-rf",
        "~user",
        "\udcff",
    ],
)
def test_a_title_that_cannot_gives_way_to_the_slug(title: str) -> None:
    assert names.stem_of(title, "the-slug") == "the-slug"


def test_a_slug_that_windows_keeps_for_itself_gets_a_sign_behind_it() -> None:
    assert names.stem_of("con", "con") == "con_"
    assert names.free_path(PageKind.NOTE, "nul", "nul", frozenset()) == "notes/nul_.md"


def test_paths_that_a_file_system_takes_for_one_have_one_key() -> None:
    for one, other in [
        ("BERT", "bert"),
        ("Café", "Cafe\u0301"),
        ("Straße", "STRASSE"),
        ("ΑΣ", "ας"),
    ]:
        assert names.path_key(f"notes/{one}.md") == names.path_key(f"notes/{other}.md")
        assert names.stem_key(f"a/{one}.md") == names.stem_key(f"b/{other}.MD")
    assert names.path_key("Cafe") != names.path_key("Café")


def test_twins_get_different_files() -> None:
    taken: set[str] = set()
    paths = []
    for title, slug in [("BERT", "bert-3"), ("bert", "bert"), ("Bert", "bert-2"), ("BERT", "bert")]:
        path = names.free_path(PageKind.CONCEPT, title, slug, taken)
        taken.add(names.stem_key(path))
        paths.append(path)
    assert paths == [
        "concepts/BERT.md",
        "concepts/bert_2.md",
        "concepts/bert-2.md",
        "concepts/bert_3.md",
    ]


def test_every_title_of_the_corpora_gets_a_file_of_its_own() -> None:
    taken: set[str] = set()
    slugs: set[str] = set()
    for title in titles("titles.jsonl") + titles("blns.json"):
        slug, number = slugify(title), 2
        while slug in slugs:
            slug = f"{slugify(title)}-{number}"
            number += 1
        slugs.add(slug)
        path = names.free_path(PageKind.NOTE, title, slug, taken)
        assert names.stem_key(path) not in taken
        assert names.is_page(path)
        assert len(path.rpartition("/")[2].encode()) <= 255
        taken.add(names.stem_key(path))


@pytest.mark.parametrize(
    "path",
    [
        "a.md",
        "notes/A b.md",
        "x/y/z.MD",
        "notes/Cafe\u0301.md",
        "a.tmpl.md",
        "swp.md",
        "tmp/x.md",
        "x (2).md",
    ],
)
def test_these_are_pages(path: str) -> None:
    assert names.is_page(path)


@pytest.mark.parametrize(
    "path",
    [
        "a.txt",
        "a.md~",
        "a.md.tmp",
        "~a.md",
        "a~.md",
        ".a.md",
        ".obsidian/a.md",
        "x/.trash/a.md",
        ".cerebro/a.md",
        "a.sync-conflict-20261128-101010-ABCDEFG.md",
        "a (conflicted copy 2026-11-28).md",
        "a (Jo's conflicted copy 2026-11-28).md",
        "a (Conflict 1).md",
        "a.tmp.md",
        "a.swp.md",
        "a.part.md",
        "a.md.icloud",
        "#a#.md",
        "",
        "/a.md",
        "a//b.md",
        "md",
        ".md",
        "a\udcff.md",
        "a\x00.md",
    ],
)
def test_these_are_none(path: str) -> None:
    assert not names.is_page(path)
