"""Notes of an Obsidian vault: what is a note, what it is called, and its customs."""

from __future__ import annotations

import pytest

from app.domain.items import PageArrival, PaperArrival
from app.errors import Unreadable
from app.sources.base import File
from app.sources.obsidian import Obsidian, of_vault


def page(name: str, text: str, reader: Obsidian | None = None) -> PageArrival:
    document = (reader or Obsidian()).read(File(name, text.encode()))
    assert document.format == "obsidian"
    [arrival] = [each for each in document.arrivals if isinstance(each, PageArrival)]
    return arrival


def test_a_note_is_called_what_its_file_is_called() -> None:
    told = page("Ideas/Tide clocks.md", "# Overview\n\nAbout [[Moon|the moon]].")
    assert (told.title, told.ref) == ("Tide clocks", "")
    assert told.text == "# Overview\n\nAbout [[Moon|the moon]]."
    assert page("Tide clocks.md", "---\ntitle: On clocks\n---\nText").aliases == ("Tide clocks",)


def test_names_and_tags_of_its_front_matter_and_of_its_text() -> None:
    told = page(
        "Tide.md",
        "---\naliases: Ebb, Flow\nalias: Slack\ntags: area/sea harbour\ntag: clocks\n---\n"
        "Text #method/gauges, (#tides) and #2024 but not `#code`, [x](#part) or [[A#b]] a#b.\n"
        "```\n#in_code\n```\n# Heading\n#caf\u00e9",
    )
    assert told.aliases == ("Ebb", "Flow", "Slack")
    assert told.tags == (
        *("area/sea", "harbour", "clocks"),
        *("method/gauges", "tides", "caf\u00e9"),
    )


def test_lists_in_front_matter_keep_their_commas() -> None:
    told = page("Tide.md", "---\naliases:\n  - Ebb, or so\ntags: [a/b, '#c']\n---\nText")
    assert (told.aliases, told.tags) == (("Ebb, or so",), ("a/b", "c"))


def test_a_note_of_a_paper_is_that_paper() -> None:
    document = Obsidian().read(File("P.md", b"---\nid: arxiv:2605.00001\n---\nIts text"))
    [paper] = [each for each in document.arrivals if isinstance(each, PaperArrival)]
    assert (paper.refs, paper.title, paper.keep) == (("arxiv:2605.00001",), "P", True)


@pytest.mark.parametrize(
    ("name", "data", "word"),
    [
        ("Board.canvas", b'{"nodes": [], "edges": []}', "Canvas"),
        ("Sketch.excalidraw.md", b"---\n---\nx", "Excalidraw"),
        ("Sketch.excalidraw", b"{}", "Excalidraw"),
        ("Sketch.md", b"---\nexcalidraw-plugin: parsed\n---\nx", "Excalidraw"),
        ("Empty.md", b" \n", "empty"),
    ],
)
def test_what_is_no_note_is_refused_in_words(name: str, data: bytes, word: str) -> None:
    with pytest.raises(Unreadable, match=word):
        Obsidian().read(File(name, data))


def test_it_claims_no_other_format() -> None:
    for name, data in (
        ("a.md", b"# A heading"),
        ("a.json", b'{"nodes": []}'),
        ("a.bib", b"@article{x}"),
        ("a.eml", b"From: a@example.org\n\n---"),
    ):
        assert not Obsidian().recognises(File(name, data))


def test_a_vault_counts_its_attachments_and_tells_two_notes_of_one_name_apart() -> None:
    reader, left = of_vault(
        ["A/Index.md", "B/index.md", "Tide.md", "Board.canvas", "img/x.PNG", "img/y.png", "LICENSE"]
    )
    assert left == {"png": 2, "without an ending": 1}
    assert reader.names == {"A/Index.md", "B/index.md", "Tide.md", "Board.canvas"}
    assert [page(name, "Text", reader).ref for name in ("A/Index.md", "B/index.md", "Tide.md")] == [
        "a-index",
        "b-index",
        "",
    ]
    assert reader.recognises(File("Tide.md", b"plain"))
