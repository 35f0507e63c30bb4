"""PDFs: papers by their stamp or DOI, articles else; and files made to hurt whoever reads them."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import zlib
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from app.bootstrap import READERS
from app.domain.items import Document, MentionArrival, PageArrival, PaperArrival
from app.domain.records import PageKind
from app.errors import Unreadable
from app.sources import apart_child
from app.sources.apart import Limits, read_apart
from app.sources.base import File, reader_for
from app.sources.pdf import EXCERPT, PdfReader

CORPORA = Path(__file__).parents[3] / "shared" / "corpora"
PDFS = sorted([*CORPORA.glob("pdf/*/*"), *CORPORA.glob("own/pdf/*")])

Line = tuple[int, int, int, str]  # across, up, size, words

ABSTRACT = [
    "We ask a router for the cheapest model that will do, and then check the answer that it gave.",
    "On nine sets of questions the check costs a tenth of a call and finds most of the wrong an-",
    "swers. Where it does not, a second model is asked, so that nothing is lost on the whole.",
]
PAPER: list[Line] = [
    (72, 740, 18, "Cheap routing with a check"),
    (72, 715, 11, "Ada Lovelace and Charles Babbage"),
    (72, 690, 12, "Abstract"),
    *((72, 675 - 14 * n, 10, words) for n, words in enumerate(ABSTRACT)),
    (72, 600, 12, "1 Introduction"),
    (72, 585, 10, "Some say so (arXiv:2401.00009)."),
]
STAMP: Line = (20, 300, 20, "arXiv:2605.00001v1 [cs.CL] 7 May 2026")
REFERENCES: list[Line] = [
    (72, 740, 12, "References"),
    (72, 720, 10, "[1] B. One. A thing. arXiv:2401.00009, 2024."),
    (72, 700, 10, "[2] C. Two. Another. https://doi.org/10.1145/3292500.3330701"),
]


def pdf(*pages: list[Line], info: dict[str, str] | None = None, stamp: Line | None = None) -> bytes:
    """A PDF of these lines, written by hand; the stamp stands turned beside the first page."""
    contents = []
    for number, page in enumerate(pages):
        lines = [
            f"BT /F1 {size} Tf 1 0 0 1 {x} {y} Tm ({_safe(text)}) Tj ET"
            for x, y, size, text in page
        ]
        if stamp and not number:
            x, y, size, text = stamp
            lines.append(f"BT /F1 {size} Tf 0 1 -1 0 {x} {y} Tm ({_safe(text)}) Tj ET")
        contents.append("\n".join(lines).encode("latin-1"))
    return _file([(f"/Length {len(each)}", each) for each in contents], info or {})


def bomb(size: int, *, times: int = 1) -> bytes:
    """A page whose content becomes `size` bytes when it is unpacked, `times` times over."""
    packer = zlib.compressobj(9)
    parts = [packer.compress(b" " * 1_000_000) for _ in range(size // 1_000_000)]
    packed = b"".join([*parts, packer.flush()])
    for _ in range(times - 1):
        packed = zlib.compress(packed, 9)
    filters = "/FlateDecode " * times
    return _file([(f"/Length {len(packed)} /Filter [{filters}]", packed)], {})


def _safe(text: str) -> str:
    return text.replace("\\", "\\\\").replace("(", "\\(").replace(")", "\\)")


def _file(streams: list[tuple[str, bytes]], info: dict[str, str]) -> bytes:
    kids = " ".join(f"{4 + 2 * n} 0 R" for n in range(len(streams)))
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(streams)} >>".encode(),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    for number, (head, data) in enumerate(streams):
        objects.append(
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents %d 0 R "
            b"/Resources << /Font << /F1 3 0 R >> >> >>" % (5 + 2 * number)
        )
        objects.append(f"<< {head} >>\nstream\n".encode() + data + b"\nendstream")
    told = " ".join(f"/{name} ({_safe(value)})" for name, value in info.items())
    objects.append(f"<< {told} >>".encode())
    out, places = b"%PDF-1.4\n", []
    for number, body in enumerate(objects, start=1):
        places.append(len(out))
        out += b"%d 0 obj\n" % number + body + b"\nendobj\n"
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    size = len(objects) + 1
    trailer = b"trailer\n<< /Size %d /Root 1 0 R /Info %d 0 R >>\nstartxref\n%d\n%%%%EOF\n"
    return (
        out
        + b"xref\n0 %d\n0000000000 65535 f \n" % size
        + table
        + trailer % (size, size - 1, len(out))
    )


def read(data: bytes, name: str = "a.pdf", url: str = "") -> Document:
    return PdfReader().read(File(name, data, url))


def only(document: Document, kind: type[Any]) -> list[Any]:
    return [each for each in document.arrivals if isinstance(each, kind)]


# ---------------------------------------------------------------- what it is


def test_a_paper_is_known_by_its_stamp_and_kept() -> None:
    document = read(pdf(PAPER, REFERENCES, stamp=STAMP))
    (paper,) = only(document, PaperArrival)
    assert paper.refs == ("arxiv:2605.00001v1",)
    assert paper.title == "Cheap routing with a check"  # not the stamp, which is larger
    assert paper.keep and paper.published == "2026-05-07" and paper.categories == ("cs.CL",)
    assert paper.abstract.startswith("We ask a router") and paper.abstract.endswith("on the whole.")
    assert "wrong answers" in paper.abstract
    assert paper.references == ("arxiv:2401.00009", "doi:10.1145/3292500.3330701")
    assert paper.text == ""  # the summary is made of the abstract
    assert only(document, PageArrival) == [] and only(document, MentionArrival) == []


def test_of_a_later_version_the_day_is_not_that_of_the_paper() -> None:
    stamp = (20, 300, 20, "arXiv:2605.00001v3 [cs.CL] 9 Jun 2026")
    (paper,) = only(read(pdf(PAPER, stamp=stamp)), PaperArrival)
    assert paper.refs == ("arxiv:2605.00001v3",) and paper.published == ""


def test_a_paper_that_is_cited_on_the_first_page_is_not_the_paper() -> None:
    document = read(pdf(PAPER))
    assert only(document, PaperArrival) == []
    (page,) = only(document, PageArrival)
    assert page.kind == PageKind.ARTICLE and page.title == "Cheap routing with a check"
    assert [each.paper for each in only(document, MentionArrival)] == ["arxiv:2401.00009"]


def test_the_one_doi_of_the_first_page_is_its_own_and_of_two_none_is() -> None:
    one = [*PAPER[:2], (72, 60, 8, "https://doi.org/10.1145/3292500.3330701")]
    (paper,) = only(read(pdf(one)), PaperArrival)
    assert paper.refs == ("doi:10.1145/3292500.3330701",)
    two = [*one, (72, 40, 8, "doi:10.1000/other.1")]
    assert only(read(pdf(two)), PaperArrival) == []


def test_an_address_at_which_a_paper_is_known_to_be_tells_too() -> None:
    (paper,) = only(read(pdf(PAPER), url="https://arxiv.org/pdf/2605.00001v2"), PaperArrival)
    assert paper.refs == ("arxiv:2605.00001v2",)


@pytest.mark.parametrize(
    "given",
    ["Microsoft Word - final_v3.docx", "untitled", "Template for the conference", "Another paper"],
)
def test_a_title_that_the_first_page_does_not_say_is_not_believed(given: str) -> None:
    document = read(pdf(PAPER, info={"Title": given, "Author": "Typist, Ada Lovelace"}))
    assert document.title == "Cheap routing with a check"
    (page,) = only(document, PageArrival)
    assert page.extra == {"authors": ["Ada Lovelace"]}


def test_metadata_that_the_first_page_bears_out_counts() -> None:
    body = [(72, 700, 10, "Notes on looms"), (72, 680, 30, "WOW LARGE WORDS"), *PAPER[3:5]]
    info = {"Title": "Notes on Looms", "CreationDate": "D:20260508120000Z"}
    document = read(pdf(body, info=info))
    assert (document.title, document.published) == ("Notes on Looms", "2026-05-08")


def test_a_page_gets_the_beginning_of_a_long_text_in_which_nothing_acts() -> None:
    words = "A sentence with [[a page]] and {{count thread:x}} in it, and $5. "
    document = read(pdf(*[[(72, 700, 10, words * 40)] for _ in range(10)]))
    (page,) = only(document, PageArrival)
    assert len(page.text) < EXCERPT * 1.3 and page.text.endswith("…")
    assert "\\[\\[a page\\]\\]" in page.text and "\\{{count" in page.text and "\\$5" in page.text


def test_the_same_file_is_the_same_item_whatever_it_is_called() -> None:
    first, second = (read(pdf(PAPER, stamp=STAMP), name) for name in ("a.pdf", "b (1).pdf"))
    assert (first.key, first.hash) == (second.key, second.hash)
    assert first.hash == sha256(pdf(PAPER, stamp=STAMP)).hexdigest()


def test_it_is_known_by_its_content() -> None:
    assert reader_for(File("download", pdf(PAPER)), READERS).format == "pdf"
    with pytest.raises(Unreadable, match=r"is no PDF: it does not begin with %PDF-"):
        read(b"<html>")


# ---------------------------------------------------------------- what cannot be read


@pytest.mark.skipif(not PDFS, reason="the corpora are not beside the checkout")
@pytest.mark.parametrize("path", PDFS, ids=lambda path: path.name)
def test_each_file_of_the_corpora_ends_with_text_or_a_reason(path: Path) -> None:
    try:
        document = read(path.read_bytes(), path.name)
    except Unreadable as error:
        said = str(error)
        assert said.endswith(".")
        assert len(said) < 400
        return
    told = [each for each in document.arrivals if isinstance(each, PageArrival | PaperArrival)]
    assert document.title
    assert [each for each in told if each.text or getattr(each, "abstract", "")]


def test_a_table_of_contents_that_is_lost_is_made_anew() -> None:
    data = pdf(PAPER)
    assert read(data[: data.index(b"xref")]).title == "Cheap routing with a check"


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (pdf([]), "There is no text in it, only pictures or drawings"),
        (b"%PDF-1.7\n" + os.urandom(5_000), "It is damaged, or made in a way"),
        (b"%PDF-1.7\n" + b"[" * 200_000, "It"),
        (pdf(PAPER)[:200], "It is damaged, or made in a way|There is no text"),
    ],
)
def test_what_has_no_text_says_why(data: bytes, says: str) -> None:
    with pytest.raises(Unreadable, match=says):
        read(data)


@pytest.mark.parametrize(("size", "times"), [(120_000_000, 1), (200_000_000, 1), (150_000_000, 2)])
def test_a_bomb_is_put_down(size: int, times: int) -> None:
    data = bomb(size, times=times)
    assert len(data) < 1_000_000
    with pytest.raises(Unreadable, match=r"None of its 1 pages can be read|takes|took|no text"):
        read(data)


def test_what_goes_on_for_ever_is_ended() -> None:
    """Forms in forms, each drawn ten times: more work than there is time for."""
    streams = []
    for number in range(14):
        inner = f"/X{number + 1} Do " * 12 if number < 13 else "BT /F1 9 Tf (x) Tj ET"
        streams.append(inner)
    data = _forms(streams)
    begun = time.process_time() + sum(os.times()[2:4])
    with pytest.raises(Unreadable):
        PdfReader(limits=Limits(cpu=2, wall=20)).read(File("slow.pdf", data))
    spent = time.process_time() + sum(os.times()[2:4]) - begun
    assert spent < 8  # seconds of work, this process and its children


def _forms(streams: list[str]) -> bytes:
    """A page that draws the first form, which draws the second, and so on."""
    count = len(streams)
    names = " ".join(f"/X{n} {10 + n} 0 R" for n in range(count))
    resources = f"<< /Font << /F1 3 0 R >> /XObject << {names} >> >>"
    objects = {
        1: "<< /Type /Catalog /Pages 2 0 R >>",
        2: "<< /Type /Pages /Kids [4 0 R] /Count 1 >>",
        3: "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
        4: f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 9 9] /Contents 5 0 R /Resources {resources} >>",
        5: "<< /Length 6 >>\nstream\n/X0 Do\nendstream",
    }
    for number, text in enumerate(streams):
        head = f"/Type /XObject /Subtype /Form /BBox [0 0 9 9] /Resources {resources}"
        objects[10 + number] = f"<< {head} /Length {len(text)} >>\nstream\n{text}\nendstream"
    body = "".join(f"{number} 0 obj\n{text}\nendobj\n" for number, text in objects.items())
    return f"%PDF-1.4\n{body}trailer\n<< /Root 1 0 R >>\nstartxref\n0\n%%EOF".encode()


def test_more_memory_than_allowed_is_said_in_words() -> None:
    with pytest.raises(Unreadable, match=r"MiB of memory|broke the reader"):
        read_apart("pdf", bomb(60_000_000), Limits(memory=150 << 20))


# ---------------------------------------------------------------- the process apart


def child(script: str) -> str:
    """What a process prints that has given up what the reader gives up."""
    code = f"import runpy; child = runpy.run_path({apart_child.__file__!r})\n{script}"
    done = subprocess.run(
        [sys.executable, "-I", "-c", code], capture_output=True, text=True, timeout=60
    )
    return (done.stdout + done.stderr).strip()


def test_it_has_no_network_no_files_and_no_programs(tmp_path: Path) -> None:
    said = child(f"""
import os, socket, subprocess
child["give_up"](20, 1 << 30)
def tried(name, act):
    try:
        print(name, act())
    except OSError as error:
        print(name, type(error).__name__)
tried("socket", lambda: socket.create_connection(("127.0.0.1", 9)))
tried("open", lambda: open({str(tmp_path / "x")!r}, "w"))
tried("os.open", lambda: os.open({str(tmp_path / "y")!r}, os.O_CREAT | os.O_WRONLY))
tried("run", lambda: subprocess.run(["/bin/true"]))
tried("fork", lambda: os.fork())
tried("remove", lambda: os.remove({__file__!r}))
""")
    assert said.split("\n") == [
        f"{name} PermissionError" for name in ("socket", "open", "os.open", "run", "fork", "remove")
    ]
    assert list(tmp_path.iterdir()) == [] and Path(__file__).exists()


@pytest.mark.skipif(sys.platform != "linux", reason="seccomp is Linux's")
def test_what_goes_around_python_has_no_network_either() -> None:
    said = child("""
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
child["give_up"](20, 1 << 30)
print(libc.socket(2, 1, 0), ctypes.get_errno(), libc.execve(b"/bin/true", None, None), ctypes.get_errno())
""")
    assert said == "-1 1 -1 1"


def test_it_sees_nothing_of_our_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CEREBRO_IMAP", "imaps://ada:canary@mail.example")
    monkeypatch.setenv("PYTHONPATH", "/nowhere")
    assert read_apart("pdf", pdf(PAPER))["pages"] == 1


def test_it_ends_when_whoever_asked_does_not_wait() -> None:
    with pytest.raises(Unreadable, match="takes too long"):
        read_apart("pdf", _forms(["/X0 Do " * 3]), Limits(wall=0.01))


def test_an_answer_that_is_too_long_is_not_read() -> None:
    with pytest.raises(Unreadable, match="more text than is read"):
        read_apart("pdf", pdf(PAPER), Limits(answer=100))
