"""Bibliographies: what BibTeX, CSL-JSON and RIS files say, and what is wrong with them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from app.bootstrap import READERS
from app.domain.items import Document, PaperArrival, Rejected
from app.domain.records import SourceKind
from app.errors import Unreadable
from app.sources.base import File, Reader, reader_for
from app.sources.bibliography import Bibtex, CslJson, Ris

SHARED = Path(__file__).resolve().parents[3] / "shared"


def read(reader: Reader, text: str | bytes, name: str = "") -> list[Document | Rejected]:
    data = text.encode() if isinstance(text, str) else text
    found = reader.read(File(name or f"library.{reader.format}", data))
    assert not isinstance(found, Document)
    assert found.source.kind == SourceKind.LIBRARY
    return list(found.documents)


def papers(reader: Reader, text: str | bytes) -> list[PaperArrival]:
    told = []
    for each in read(reader, text):
        assert isinstance(each, Document), each
        [arrival] = each.arrivals
        assert isinstance(arrival, PaperArrival)
        told.append(arrival)
    return told


def paper(reader: Reader, text: str | bytes) -> PaperArrival:
    [only] = papers(reader, text)
    return only


def bib(fields: str, kind: str = "article", key: str = "tide") -> PaperArrival:
    return paper(Bibtex(), f"@{kind}{{{key}, title = {{Tides}}, {fields}}}")


# ---------------------------------------------------------------- BibTeX


def test_an_entry_is_a_kept_paper_with_its_key() -> None:
    [document] = read(
        Bibtex(),
        r"""@Article{doe21,
          title = {Tides of {\O}resund and {BERT}},
          author = {Doe, Ana and {Gauge Office} and others},
          journal = {Journal of Tides}, year = 2021, month = may, volume = {3}, pages = {1--9},
          doi = {https://doi.org/10.1000/Tide}, keywords = {sea, gauges},
          abstract = {It rises by 5\%.},
        }""",
    )
    assert isinstance(document, Document)
    assert (document.key, document.published) == ("doe21", "2021-05")
    [told] = document.arrivals
    assert isinstance(told, PaperArrival)
    assert told.keep
    assert told.refs == ("doi:10.1000/tide",)
    assert told.title == "Tides of Øresund and BERT"
    assert told.authors == ("Ana Doe", "Gauge Office")
    assert (told.venue, told.published) == ("Journal of Tides", "2021-05")
    assert told.abstract == "It rises by 5%."
    assert told.tags == ("sea", "gauges")
    kept = told.extra["citation"]
    assert (kept["key"], kept["others"]) == ("doe21", True)
    assert kept["fields"]["pages"] == "1–9"
    assert kept["fields"]["doi"] == "https://doi.org/10.1000/Tide"


@pytest.mark.parametrize(
    ("fields", "refs"),
    [
        ("eprint = {2101.00001v2}, archiveprefix = {arXiv}", ("arxiv:2101.00001v2",)),
        ("eprint = {2101.00001}, eprinttype = {arxiv}, doi={10.1/x}", ("arxiv:2101.00001",)),
        ("journal = {arXiv preprint arXiv:2101.00001}", ("arxiv:2101.00001",)),
        ("journal = {CoRR}, volume = {abs/2101.00001}", ("arxiv:2101.00001",)),
        ("doi = {10.48550/arXiv.2101.00001}", ("arxiv:2101.00001",)),
        ("url = {https://arxiv.org/abs/2101.00001}", ("arxiv:2101.00001",)),
        (r"doi = {10.1000/a\_b}", ("doi:10.1000/a_b",)),
        ("url = {https://openreview.net/forum?id=aB3dE5}", ("openreview:aB3dE5",)),
        ("url = {https://example.org/tides}", ()),
    ],
)
def test_what_identifies_an_article(fields: str, refs: tuple[str, ...]) -> None:
    assert bib(fields).refs == refs


def test_an_address_is_a_page_of_the_web_unless_others_have_it() -> None:
    one = "@online{%s, title = {Tides %s}, url = {https://example.org/}}"
    assert bib("url = {https://example.org/}", kind="online").refs == ("url:https://example.org/",)
    assert [each.refs for each in papers(Bibtex(), one % (1, 1) + one % (2, 2))] == [(), ()]


@pytest.mark.parametrize(
    ("fields", "published"),
    [
        ("date = {2009-04-21}", "2009-04-21"),
        ("date = {2009-04/2009-06}", "2009-04"),
        ("date = {2009~}", "2009"),
        ("year = {2009}, month = {12~} # may", "2009-05-12"),
        ("year = {c. 2009}", "2009"),
        ("year = 2009, month = {13}", "2009"),
        ("year = {in press}", ""),
        ("year = {1999/2000}", ""),
        ("date = {-0333}", ""),
    ],
)
def test_dates(fields: str, published: str) -> None:
    assert bib(fields).published == published


def test_abbreviations_and_what_is_taken_over_from_the_book() -> None:
    [chapter, _] = papers(
        Bibtex(),
        """@string{sea = "Sea "} @STRING(press = sea # {Press})
        @incollection{one, title = {Tides}, author = "Doe, A.", crossref = {two}}
        @book{two, title = sea # "Levels", publisher = press, year = 2001, doi = {10.1/b}}""",
    )
    assert (chapter.venue, chapter.published, chapter.refs) == ("Sea Levels", "2001", ())
    assert chapter.extra["citation"]["fields"]["publisher"] == "Sea Press"


def test_abbreviations_of_abbreviations_do_not_grow_without_end() -> None:
    steps = "\n".join(f"@string{{a{n} = {' # '.join([f'a{n - 1}'] * 9)}}}" for n in range(1, 40))
    entries = "\n".join(f"@misc{{k{n}, title = a39}}" for n in range(1_000))
    found = read(Bibtex(), f'@string{{a0 = "lol"}}\n{steps}\n{entries}')
    assert any(isinstance(each, Rejected) and "@string" in each.reason for each in found)


def test_a_broken_block_is_told_with_its_line_and_the_others_come() -> None:
    found = read(
        Bibtex(),
        "% comment\n@article{a, title = {One}}\n\n@article{b, title = {Two, year = 2000\n"
        "@article{c, title = {Three}}\n@misc{d}\n",
    )
    assert [each.title for each in found if isinstance(each, Document)] == ["One", "Three"]
    broken, empty = (each for each in found if isinstance(each, Rejected))
    assert broken.where == "line 4"
    assert "broken" in broken.reason
    assert empty.where == "line 6, d"
    assert "no title" in empty.reason


def test_the_same_key_twice_is_two_works_and_the_same_entry_twice_is_one() -> None:
    one, two = "@misc{a, title = {One}}", "@misc{a, title = {Two}}"
    first, second = read(Bibtex(), f"{one}\n{two}\n{one}")
    assert isinstance(first, Document)
    assert isinstance(second, Document)
    assert (first.key, first.title, second.title) == ("a", "One", "Two")
    assert second.key.startswith("a#")


def test_what_changes_an_entry_changes_its_hash_and_nothing_else_does() -> None:
    def hash(text: str) -> str:
        [document] = read(Bibtex(), text)
        assert isinstance(document, Document)
        return document.hash

    told = hash("@misc{a, title = {One}, year = 2001}")
    assert hash('@misc{a,\n\tyear = "2001", title = "One",\n}') == told
    assert hash("@misc{a, title = {One}, year = 2002}") != told


@pytest.mark.parametrize(
    "data",
    [
        "@misc{a, title = {Öresund}}".encode("utf-16"),
        "@misc{a, title = {Öresund}}".encode("utf-16-le"),
        "@misc{a, title = {Öresund}}".encode("utf-16-be"),
        "@misc{a, title = {Öresund}}".encode("utf-8-sig"),
        "% Encoding: ISO8859_1\n@misc{a, title = {Öresund}}".encode("latin-1"),
        "% Encoding: MacRoman\n@misc{a, title = {Öresund}}".encode("mac-roman"),
        "% Encoding: zip\n@misc{a, title = {Öresund}}".encode("cp1252"),
        "@misc{a, title = {Öresund}}\r\n".encode("cp1252"),
    ],
)
def test_encodings(data: bytes) -> None:
    assert Bibtex().recognises(File("library.bib", data))
    assert paper(Bibtex(), data).title == "Öresund"


def test_notes_are_the_text_of_the_page_and_act_nowhere() -> None:
    told = bib("annote = {See [[Bay]] and {{count x}}.\n\n# Not a heading}, note = {printed}")
    assert told.text.split("\n\n") == [r"See \[\[Bay\]\] and count x.", r"\# Not a heading"]
    assert told.extra["citation"]["fields"]["note"] == "printed"


def test_keywords_and_groups_are_tags() -> None:
    assert bib("keywords = {sea; tide, high}, groups = {to read, {a, b}}").tags == (
        "sea",
        "tide, high",
        "to read",
        "a, b",
    )
    old = papers(
        Bibtex(),
        "@misc{a, title = {One}}\n@comment{jabref-meta: groupstree:\n0 AllEntriesGroup:;\n"
        "1 ExplicitGroup:Seas\\;0\\;a\\;;\n}",
    )
    assert old[0].tags == ("Seas",)


# ---------------------------------------------------------------- CSL-JSON


def csl(**item: object) -> PaperArrival:
    given = {"id": "tide", "type": "article-journal", "title": "Tides", **item}
    return paper(CslJson(), json.dumps(given))


def test_an_item_of_csl() -> None:
    told = csl(
        author=[
            {"family": "Berg", "given": "K.", "non-dropping-particle": "van der"},
            {"literal": "Gauge Office"},
        ],
        issued={"date-parts": [["2021", "05", 8]]},
        DOI="10.1000/Tide",
        abstract="<jats:p>It <i>rises</i>.</jats:p>",
        keyword="sea, tide",
        page="1-9",
        note="Citation Key: berg21\narXiv: 2101.00001\nmine",
        **{"container-title": "Journal of Tides"},
    )
    assert told.refs == ("arxiv:2101.00001", "doi:10.1000/tide")
    assert told.authors == ("K. van der Berg", "Gauge Office")
    assert (told.published, told.venue) == ("2021-05-08", "Journal of Tides")
    assert (told.abstract, told.tags) == ("It rises.", ("sea", "tide"))
    assert told.extra["citation"]["key"] == "berg21"
    assert told.extra["citation"]["fields"]["note"] == "mine"


@pytest.mark.parametrize(
    ("issued", "published"),
    [
        ({"date-parts": [[2021]]}, "2021"),
        ({"date-parts": [[2021, 2, 31]]}, "2021-02"),
        ({"date-parts": [[None]]}, ""),
        ({"raw": "May 2021"}, "2021-05"),
        ({"literal": "forthcoming"}, ""),
        ("2021/05/08", "2021-05-08"),
        (7, ""),
    ],
)
def test_dates_of_csl(issued: object, published: str) -> None:
    assert csl(issued=issued).published == published


def test_mendeleys_and_zoteros_variants() -> None:
    inner = {"id": "ITEM-1", "type": "book", "title": "Tides"}
    mendeley = {"citationItems": [{"id": "ITEM-1", "itemData": inner, "uris": []}]}
    assert paper(CslJson(), json.dumps(mendeley)).title == "Tides"
    zotero = {
        "items": [
            {
                "itemType": "preprint",
                "itemID": 4,
                "citationKey": "doe21",
                "title": "Tides",
                "creators": [{"creatorType": "author", "firstName": "Ana", "lastName": "Doe"}],
                "date": "May 8, 2021",
                "archiveID": "arXiv:2101.00001",
                "repository": "arXiv",
                "tags": [{"tag": "sea"}],
                "notes": [{"note": "<p>Read <b>twice</b></p>"}],
            },
            {"itemType": "attachment", "title": "Full text"},
        ],
        "collections": {"X": {"name": "Bays", "items": [4]}},
    }
    told = paper(CslJson(), json.dumps(zotero))
    assert (told.refs, told.authors) == (("arxiv:2101.00001",), ("Ana Doe",))
    assert (told.published, told.venue) == ("2021-05-08", "")
    assert told.tags == ("sea", "Bays")
    assert told.text == "Read **twice**"


@pytest.mark.parametrize(
    "text",
    ["[1]", '[{"type": "book"}]', '[{"type": "book", "title": {"a": 1}}]', '[{"title": ""}]'],
)
def test_items_that_say_nothing_are_refused_in_words(text: str) -> None:
    [refused] = read(CslJson(), text)
    assert isinstance(refused, Rejected)
    assert "title" in refused.reason


@pytest.mark.parametrize(
    "text", ['[{"type":"book"', "[" * 100_000, '{"a": ' + "9" * 10_000 + "}", "7"]
)
def test_what_is_no_json_is_said(text: str) -> None:
    with pytest.raises(Unreadable):
        read(CslJson(), text)


# ---------------------------------------------------------------- RIS


def test_a_record_of_ris() -> None:
    told = paper(
        Ris(),
        "TY  - JOUR\r\nID  - doe21\r\nT1  - Tides of a\r\n  long bay\r\nA1  - Doe, Ana, Jr\r\n"
        "AU  - Gauge Office,\r\nY1  - 2021/05/08/\r\nJF  - Journal of Tides\r\nSP  - 1\r\nEP  - 9\r\n"
        "N2  - It rises.\r\nKW  - sea\r\nKW  - tide\r\nDO  - 10.1000/Tide\r\nSN  - 1234-5678\r\n"
        "N1  - <p>Mine</p>\r\nUR  - https://arxiv.org/abs/2101.00001\r\nER  - \r\n",
    )
    assert told.title == "Tides of a long bay"
    assert told.refs == ("arxiv:2101.00001", "doi:10.1000/tide")
    assert set(told.authors) == {"Ana Doe Jr", "Gauge Office"}
    assert (told.published, told.venue) == ("2021-05-08", "Journal of Tides")
    assert (told.abstract, told.tags, told.text) == ("It rises.", ("sea", "tide"), "Mine")
    fields = told.extra["citation"]["fields"]
    assert (fields["pages"], fields["issn"]) == ("1–9", "1234-5678")


def test_records_without_an_end_or_a_title() -> None:
    one, refused, two = read(
        Ris(), "TY  - BOOK\nTI  - One\nTY  - BOOK\nER  -\nTY  - BOOK\nTI  - Two"
    )
    assert isinstance(one, Document)
    assert isinstance(two, Document)
    assert (one.title, two.title) == ("One", "Two")
    assert isinstance(refused, Rejected)
    assert refused.where == "line 3"


# ---------------------------------------------------------------- whose file it is


@pytest.mark.parametrize(
    ("text", "format"),
    [
        ("@article{a, title={x}}", "bibtex"),
        ("This file was made\nEncoding: UTF8\n\n@Book(a, title={x})", "bibtex"),
        ('{"type": "book", "id": "a", "title": "x"}', "csl"),
        ('[{"citation-key": "a", "type": "video", "title": "x"}]', "csl"),
        ("\n\nTY  - JOUR\nTI  - x\nER  - \n", "ris"),
        ('{"type": "paper", "id": "arxiv:2101.00001", "title": "x"}', "jsonl"),
        ("# How to cite\n\n```\n@article{a, title={x}}\n```\n", "markdown"),
    ],
)
def test_files_are_known_by_their_content(text: str, format: str) -> None:
    assert reader_for(File("file", text.encode()), READERS).format == format


def test_bibtex_without_an_entry_is_said() -> None:
    with pytest.raises(Unreadable, match="BibTeX entry"):
        read(Bibtex(), "no entry here", name="file.txt")
    assert read(Bibtex(), "% nothing yet", name="mine.bib") == []


@pytest.mark.skipif(not (SHARED / "corpora/bibtex").is_dir(), reason="the corpus is not there")
def test_every_file_of_the_corpus_is_read_or_refused_in_words() -> None:
    refused = 0
    files = sorted((SHARED / "corpora").rglob("bibtex/**/*.bib"))
    for path in files:
        file = File(path.name, path.read_bytes())
        try:
            found = reader_for(file, READERS).read(file)
        except Unreadable:
            refused += 1
            continue
        assert not isinstance(found, Document)
        for each in found.documents:
            assert each.title if isinstance(each, Document) else each.reason
    assert refused <= 2  # one file is empty
    assert len(files) > 100
