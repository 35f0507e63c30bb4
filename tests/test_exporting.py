"""A wiki as a folder of files or as an archive of them: whole, or not at all."""

from __future__ import annotations

import io
import re
import zipfile
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from sqlalchemy.engine import Engine
from sqlmodel import Session

from app.domain.records import (
    Decision,
    Identifier,
    LinkStatus,
    PageKind,
    Paper,
    PaperState,
    Relation,
    Thread,
    Verdict,
)
from app.errors import Conflict, Invalid, Unavailable
from app.exporting import into_archive, into_folder
from app.store.db import reading, writing
from app.store.pages import PERSON, Content, create, rename
from app.vault import notes
from tests.factories import THEN, make_engine, make_link


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    """Pages of every odd sort: hostile text, a device's name, twins, a formula, red links."""
    engine = make_engine(tmp_path)
    with writing(engine) as session:
        tide = page(
            session,
            "Tide <script>alert(1)</script>",
            body='[[Moon]] and [[Nowhere]] and [[con|the device]] <img src=x onerror="alert(1)">\n\n'
            "[out](https://example.org/?a=1&b=2) [bad](javascript:alert(1)) [in](/settings)\n\n"
            "## A heading\n\n[[#A heading]] $x^2$ {{count kind:paper}} papers",
            aliases=('"Flood" & <b>',),
            tags=("sea",),
        )
        page(session, "Moon", kind=PageKind.NOTE, body="It pulls. [[Moon tide]]")
        page(session, "moon tide", kind=PageKind.NOTE, body="Lower.")
        page(session, "con", kind=PageKind.NOTE, slug="con")
        page(session, "7 things", kind=PageKind.NOTE)
        page(session, "Ödegård", kind=PageKind.NOTE)
        paper = Paper(
            state=PaperState.KEPT,
            title="On $n$ tides",
            title_key="ontides",
            abstract="Half of <b>it</b>.\n\nAnd $n > 1$.",
            authors=["Ana <Doe>"],
            code_url="javascript:alert(1)",
            created_at=THEN,
        )
        session.add(paper)
        session.flush()
        session.add(Identifier(scheme="arxiv", value="2605.00001", paper_id=paper.id))
        session.flush()
        content = Content(title="On $n$ tides", kind=PageKind.PAPER)
        own = create(session, content, author=PERSON, now=THEN, paper=paper)
        thread = page(session, "Pull", kind=PageKind.THREAD)
        session.add(Thread(page_id=thread, claim="The moon <i>pulls</i>."))
        assert own.id
        make_link(session, own.id, thread, Relation.PART_OF, status=LinkStatus.ACCEPTED)
        make_link(session, own.id, tide, Relation.ABOUT, status=LinkStatus.REJECTED)
        session.add(Decision(at=THEN, verdict=Verdict.KEEP, paper_id=paper.id))
        gone = page(session, "Gone", kind=PageKind.NOTE)
        removed = session.get_one(type(own), gone)
        removed.kind, removed.slug = PageKind.REMOVED, "gone-removed"
    return engine


def page(
    session: Session,
    title: str,
    *,
    kind: PageKind = PageKind.CONCEPT,
    body: str = "",
    slug: str = "",
    aliases: tuple[str, ...] = (),
    tags: tuple[str, ...] = (),
) -> int:
    content = Content(title=title, kind=kind, body=body, aliases=aliases, tags=tags)
    made = create(session, content, author=PERSON, now=THEN)
    if slug and made.slug != slug:
        rename(session, made, slug, now=THEN)
    assert made.id
    return made.id


class Tags(HTMLParser):
    """What a file of HTML has: its tags with their attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


def exported(engine: Engine, format: str, folder: Path) -> dict[str, str]:
    into_folder(engine, format, folder)
    return {
        str(path.relative_to(folder)): path.read_text("utf-8")
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


# ---------------------------------------------------------------- the site


def test_every_link_of_the_site_leads_to_a_file_of_it(engine: Engine, tmp_path: Path) -> None:
    files = exported(engine, "site", tmp_path / "out")
    pages = [path for path in files if path.startswith("w/")]
    assert len(pages) == 8
    reached = set()
    for path, text in files.items():
        if not path.endswith(".html"):
            continue
        for _, attrs in Tags(text).tags:
            href = attrs.get("href")
            if href is None or href.startswith(("https://", "#")):
                continue
            parts = urlsplit(href)
            assert not (parts.scheme or parts.netloc or href.startswith("/")), href
            place = (tmp_path / "out" / path).parent / unquote(parts.path)
            assert place.is_file(), (path, href)
            reached.add(str(place.resolve().relative_to((tmp_path / "out").resolve())))
    assert set(pages) <= reached


def test_nothing_in_the_site_acts_or_loads(engine: Engine, tmp_path: Path) -> None:
    files = exported(engine, "site", tmp_path / "out")
    for path, text in files.items():
        for tag, attrs in Tags(text).tags if path.endswith(".html") else ():
            assert tag not in ("script", "img", "iframe", "object", "form", "input"), path
            assert not any(name.startswith("on") or name == "style" for name in attrs), path
            assert not (attrs.get("href") or "").startswith(("javascript:", "data:")), path
    assert "url(" not in files["style.css"] and "@import" not in files["style.css"]


def test_a_page_of_the_site(engine: Engine, tmp_path: Path) -> None:
    files = exported(engine, "site", tmp_path / "out")
    [tide] = [text for path, text in files.items() if path.startswith("w/tide")]
    assert '<a class="wikilink" href="moon.html">' in tide
    assert "Nowhere" in tide and "missing" not in tide  # a red link is its words
    assert 'href="con_.html"' in tide
    assert 'href="https://example.org/?a=1&amp;b=2"' in tide
    assert "<a>in</a>" not in tide and ">in<" not in tide  # a link to a screen is its words
    assert 'href="#p-a-heading"' in tide and 'id="p-a-heading"' in tide
    assert "<math" in tide and "&lt;script&gt;" in tide
    assert "1 papers" in re.sub("<[^>]+>", "", tide)
    paper = files["w/on-n-tides.html"]
    assert 'href="https://arxiv.org/abs/2605.00001"' in paper
    assert '<a href="pull.html">' in paper and "tide-" not in paper  # a rejected link is none
    thread = files["w/pull.html"]
    assert "The moon &lt;i&gt;pulls" in thread and 'href="on-n-tides.html"' in thread
    assert not any("gone" in path for path in files)


def test_the_index_of_the_site(engine: Engine, tmp_path: Path) -> None:
    files = exported(engine, "site", tmp_path / "out")
    assert "8 pages" in files["index.html"]
    assert {path for path in files if path.startswith("index/note")} == {
        *("index/note-0.html", "index/note-c.html", "index/note-m.html")
    }
    assert "7 things" in files["index/note-0.html"] and "Ödegård" in files["index/note-0.html"]


def test_an_empty_wiki_is_a_site_too(tmp_path: Path) -> None:
    files = exported(make_engine(tmp_path), "site", tmp_path / "out")
    assert set(files) == {"index.html", "style.css"}
    assert "Nothing is written yet" in files["index.html"]


# ---------------------------------------------------------------- the vault


def test_the_vault_is_a_file_for_each_page(engine: Engine, tmp_path: Path) -> None:
    files = exported(engine, "markdown", tmp_path / "out")
    shown = {path for path in files if not path.startswith(".cerebro")}
    assert "notes/Moon.md" in shown and "notes/moon tide.md" in shown
    assert "notes/con_.md" in shown and "papers/On $n$ tides.md" in shown
    assert len(shown) == 8
    assert len([path for path in files if path.startswith(".cerebro/pages/")]) == 8
    read = {path: notes.parse(text.encode()).note for path, text in files.items() if path in shown}
    paper = read["papers/On $n$ tides.md"]
    assert (paper.kind, paper.identifiers) == (PageKind.PAPER, ("arxiv:2605.00001",))
    assert [(link.relation, link.name) for link in paper.links] == [(Relation.PART_OF, "Pull")]
    assert files[".cerebro/decisions.jsonl"].count("\n") == 1


# ---------------------------------------------------------------- whole, or not at all


@pytest.mark.parametrize("format", ["site", "markdown"])
def test_the_archive_has_the_same_files_and_the_same_bytes(
    engine: Engine, tmp_path: Path, format: str
) -> None:
    files = exported(engine, format, tmp_path / "out")
    first, second = io.BytesIO(), io.BytesIO()
    into_archive(engine, format, first)
    into_archive(engine, format, second)
    assert first.getvalue() == second.getvalue()
    with zipfile.ZipFile(first) as archive:
        assert archive.testzip() is None
        assert {name: archive.read(name).decode() for name in archive.namelist()} == files


def test_a_folder_that_is_empty_is_used_and_one_that_is_not_is_left(
    engine: Engine, tmp_path: Path
) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    into_folder(engine, "site", folder)
    before = sorted(folder.rglob("*"))
    with pytest.raises(Conflict, match="is not empty"):
        into_folder(engine, "site", folder)
    assert sorted(folder.rglob("*")) == before
    (tmp_path / "file").write_text("x")
    with pytest.raises(Conflict, match="is no folder"):
        into_folder(engine, "site", tmp_path / "file")
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Conflict, match="is no folder"):
        into_folder(engine, "site", tmp_path / "link")
    with pytest.raises(Invalid, match="no format"):
        into_folder(engine, "pdf", tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_what_fails_on_the_way_leaves_nothing(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.rename", full)
    with pytest.raises(Unavailable, match="No space left"):
        into_folder(engine, "site", tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir() if "out" in path.name) == []


def test_the_wiki_is_not_changed(engine: Engine, tmp_path: Path) -> None:
    from app.services.interchange import whole

    with reading(engine) as session:
        before = "".join(whole(session))
    exported(engine, "site", tmp_path / "a")
    exported(engine, "markdown", tmp_path / "b")
    with reading(engine) as session:
        assert "".join(whole(session)) == before
