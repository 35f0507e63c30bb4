"""Importing from a terminal: folders as they are, Maildirs among them, and web addresses."""

from __future__ import annotations

import gzip
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa

from app.bootstrap import App
from app.domain.records import Item, Page, Raw, Source, SourceKind
from app.importing import Imported, import_paths
from app.services.ingest import Outcome
from app.services.interchange import whole
from app.services.linker import shipped_weights
from app.settings import Settings
from app.sources.http import Transport
from app.store.db import reading
from tests.factories import make_engine
from tests.servers.hostile import Server
from tests.servers.hostile import page as an_answer

NOW = datetime(2026, 5, 14, 9, 0, tzinfo=UTC)


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    settings = Settings(data=tmp_path / "data", embedding_model="none", timezone="UTC", now=NOW)
    settings.data.mkdir()
    engine = make_engine(settings.data)
    yield App(settings, engine, shipped_weights(None))
    engine.dispose()


def letter(number: int, words: str = "") -> bytes:
    return (
        f"From: Ada <ada@example.org>\nSubject: Weekly\nMessage-ID: <{number}@example.org>\n"
        f"Date: Fri, 8 May 2026 09:00:00 +0000\n\n{words or f'Words of number {number}.'}\n"
    ).encode()


def items(app: App) -> dict[str, Item]:
    with reading(app.engine) as session:
        found = {item.key: item for item in session.exec(sa.select(Item)).scalars()}
        for item in found.values():
            session.refresh(item)
        session.expunge_all()
        return found


def shown(done: Imported) -> list[str]:
    return [f"{where}: {reason}" for where, reason in done.refused]


@pytest.fixture
def maildir(tmp_path: Path) -> Path:
    box = tmp_path / "Mail"
    for folder in ("cur", "new", "tmp", ".Newsletters/cur", ".Newsletters/new", ".Newsletters/tmp"):
        (box / folder).mkdir(parents=True)
    (box / "cur" / "1.host:2,FS").write_bytes(letter(1))
    (box / "cur" / "2.host:2,S").write_bytes(letter(2))
    (box / "new" / "3.host").write_bytes(letter(3))
    (box / "tmp" / "4.host").write_bytes(letter(4))
    (box / ".Newsletters" / "cur" / "5.host:2,F").write_bytes(letter(5))
    (box / "dovecot-uidlist").write_text("3 V1 N6")
    (box / "cur" / ".hidden").write_text("x")
    return box


def test_a_maildir_is_its_messages_with_their_stars(app: App, maildir: Path) -> None:
    done = import_paths(app, [maildir])
    assert shown(done) == [] and done.files == 4
    assert {key: item.state for key, item in items(app).items()} == {
        "1@example.org": {"starred": True}, "2@example.org": {"starred": False},
        "3@example.org": {}, "5@example.org": {"starred": True},
    }  # fmt: skip
    with reading(app.engine) as session:
        (source,) = session.exec(sa.select(Source)).scalars()
        assert (source.kind, source.key) == (SourceKind.MAIL, "mail")
        titles = [page.title for page in session.exec(sa.select(Page)).scalars()]
        assert titles == ["Weekly"] * 4  # of one name, and four pages
    again = import_paths(app, [maildir]).report
    assert again.total(Outcome.NEW) == again.total(Outcome.CHANGED) == 0


def test_a_star_that_was_set_since_is_noticed(app: App, maildir: Path) -> None:
    import_paths(app, [maildir])
    (maildir / "cur" / "2.host:2,S").rename(maildir / "cur" / "2.host:2,FS")
    import_paths(app, [maildir])
    assert items(app)["2@example.org"].state == {"starred": True}


def test_other_folders_hide_what_they_hid(app: App, tmp_path: Path) -> None:
    vault = tmp_path / "vault"
    (vault / ".trash").mkdir(parents=True)
    (vault / "cur").mkdir()
    (vault / ".trash" / "a.md").write_text("# gone")
    (vault / "cur" / "b.md").write_text("# here")
    assert import_paths(app, [vault]).files == 1


def test_an_address_is_fetched_and_read_by_what_comes(app: App, tmp_path: Path) -> None:
    note = tmp_path / "note.md"
    note.write_text("# A note")
    bib = b"@article{a, title={A study of looms}, author={Lovelace, Ada}, year={2026}}"
    with Server(an_answer(bib)) as server:
        app.web = Transport(allow={server.pair})
        done = import_paths(app, [f"{server.url}refs.bib", note])
    assert shown(done) == [] and done.files == 2
    with reading(app.engine) as session:
        assert {page.title for page in session.exec(sa.select(Page)).scalars()} >= {"A note"}
        assert session.scalar(sa.select(sa.func.count()).select_from(Raw)) == 2


def test_a_dry_run_fetches_and_keeps_nothing(app: App) -> None:
    with Server(an_answer(letter(1))) as server:
        app.web = Transport(allow={server.pair})
        done = import_paths(app, [f"{server.url}a.eml"], dry_run=True)
    assert done.files == 1 and items(app) == {} and not app.raw_folder.exists()


def test_what_does_not_come_is_refused_by_its_address_and_the_others_go_on(
    app: App, tmp_path: Path
) -> None:
    note = tmp_path / "note.md"
    note.write_text("# A note")
    done = import_paths(app, ["http://127.0.0.1:1/x", "https://", note, tmp_path / "nowhere"])
    assert done.files == 1
    assert [where for where, _ in done.refused][:2] == ["http://127.0.0.1:1/x", "https://"]
    assert all(reason.endswith(".") for _, reason in done.refused)


def test_a_pdf_that_cannot_be_read_says_why(app: App, tmp_path: Path) -> None:
    (tmp_path / "broken.pdf").write_bytes(b"%PDF-1.4\nnothing else")
    done = import_paths(app, [tmp_path / "broken.pdf"])
    assert done.failed and "damaged" in shown(done)[0]
    assert shown(done)[0].count("broken.pdf") == 1


# ---------------------------------------------------------------- archives


def packed(path: Path, **files: bytes | str) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in files.items():
            file.writestr(name, data)
    return path


def titles(app: App) -> set[str]:
    with reading(app.engine) as session:
        return set(session.exec(sa.select(Page.title)).scalars())


def test_a_zip_archive_is_read_like_a_folder(app: App, tmp_path: Path) -> None:
    path = packed(
        tmp_path / "notes.zip",
        **{
            "notes/Tide.md": "# Tide\n\nOf the [[Moon]].",
            "notes/Moon.md": "---\nkind: concept\n---\n# Moon\n",
            "notes/.hidden.md": "# Hidden",
            ".git/x.md": "# Of git",
            "notes/data.bin": b"\x00\x01\x02",
            "notes/inner.zip": packed(tmp_path / "i.zip", **{"a.md": "# Inner"}).read_bytes(),
            "notes/inner.gz": gzip.compress(b"# Inner"),
        },
    )
    done = import_paths(app, [path])
    assert titles(app) == {"Tide", "Moon"}
    assert {where for where, _ in done.refused} == {
        *("notes/data.bin", "notes/inner.zip", "notes/inner.gz")
    }
    assert all("archive in an archive" in why for where, why in done.refused if "inner" in where)
    again = import_paths(app, [path])
    assert (again.report.total(Outcome.NEW), again.report.total(Outcome.CHANGED)) == (0, 0)


def test_an_obsidian_vault_in_an_archive_is_one(app: App, tmp_path: Path) -> None:
    files = {"v/.obsidian/app.json": "{}", "v/Tide.md": "Of #sea.", "v/moon.png": b"\x89PNG"}
    done = import_paths(app, [packed(tmp_path / "v.zip", **files)])
    assert titles(app) == {"Tide"}
    assert (done.refused, dict(done.left)) == ([], {"png": 1})


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"good.md": "# Good", "../evil.md": "# Evil"}, "outside its folder"),
        ({"good.md": "# Good", "/tmp/evil.md": "# Evil"}, "outside its folder"),
        ({"good.md": "# Good", "GOOD.md": "# Evil"}, "would be one file"),
        ({"good.md": "# Good", "big.md": b"\0" * 30_000_000}, "100 times smaller"),
        ({"[Content_Types].xml": "<x/>", "word/document.xml": "<x/>"}, "another program"),
        ({".hidden.md": "# Hidden"}, "no file in this archive"),
    ],
)
def test_a_hostile_archive_is_refused_whole(
    app: App, tmp_path: Path, files: dict[str, bytes | str], words: str
) -> None:
    done = import_paths(app, [packed(tmp_path / "x.zip", **files)])
    [(where, why)] = done.refused
    assert where == "x.zip" and words in why and done.failed
    assert titles(app) == set() and items(app) == {}
    assert not (app.settings.data / "raw").exists()


def test_an_archive_that_is_cut_off_is_refused(app: App, tmp_path: Path) -> None:
    path = packed(tmp_path / "x.zip", **{"good.md": "# Good"})
    path.write_bytes(path.read_bytes()[:-30])
    [(_, why)] = import_paths(app, [path]).refused
    assert "cut off" in why and titles(app) == set()


CORPUS = Path(__file__).parents[2] / "shared" / "corpora" / "own" / "zip"


@pytest.mark.skipif(not CORPUS.is_dir(), reason="there is no corpus of archives")
def test_of_the_corpus_the_good_one_comes_in(app: App) -> None:
    for path in sorted(CORPUS.glob("*.zip")):
        done = import_paths(app, [path])
        assert done.failed == (path.stem != "good"), path.name
    assert titles(app) == {"good", "b"}


# ---------------------------------------------------------------- a whole wiki


def exported(app: App) -> bytes:
    with reading(app.engine) as session:
        return "".join(whole(session)).encode()


@pytest.fixture
def other(tmp_path: Path) -> Iterator[App]:
    settings = Settings(data=tmp_path / "other", embedding_model="none", timezone="UTC", now=NOW)
    settings.data.mkdir()
    engine = make_engine(settings.data)
    yield App(settings, engine, shipped_weights(None))
    engine.dispose()


LINES = """\
{"type":"concept","id":"tide","title":"Tide","aliases":["Flood"],"text":"Of [[moon]].","mine":1}
{"type":"concept","id":"moon","title":"Moon","text":"It pulls."}
{"type":"thread","id":"pull","title":"Pull","claim":"The moon pulls."}
{"type":"paper","id":"arxiv:2605.00001","title":"On tides","abstract":"Tides.","day":"2026-05-08"}
{"type":"paper","id":"no-identifier","title":"Plain","text":"Text.","volume":"3"}
{"type":"paper","id":"doi:10.1000/1","slug":"waits","title":"Waits","keep":false}
{"type":"link","source":"arxiv:2605.00001","relation":"about","target":"tide","at":"2026-05-08"}
{"type":"link","source":"no-identifier","relation":"part-of","target":"pull","role":"starts"}
{"type":"decision","paper":"doi:10.1000/1","verdict":"drop","at":"2026-05-09"}
{"type":"question","page":"tide","text":"Why?"}
{"type":"prediction","page":"pull","text":"It floods.","due":"2027"}
"""


def test_a_whole_wiki_is_read_back_into_an_empty_one(app: App, other: App, tmp_path: Path) -> None:
    (tmp_path / "lines.jsonl").write_text(LINES)
    assert import_paths(app, [tmp_path / "lines.jsonl"]).refused == []
    file = tmp_path / "wiki.jsonl"
    file.write_bytes(exported(app))
    tried = import_paths(other, [file], dry_run=True)
    assert tried.whole and titles(other) == set()
    done = import_paths(other, [file])
    assert done.whole and done.refused == [] and done.files == 1
    assert done.as_json()["kinds"]["thread"] == {"new": 1}  # type: ignore[index]
    assert exported(other) == file.read_bytes()


def test_with_marks_and_ends_of_another_system(app: App, other: App, tmp_path: Path) -> None:
    (tmp_path / "lines.jsonl").write_text(LINES)
    import_paths(app, [tmp_path / "lines.jsonl"])
    file = tmp_path / "wiki.jsonl"
    file.write_bytes(b"\xef\xbb\xbf" + exported(app).replace(b"\n", b"\r\n"))
    assert import_paths(other, [file]).refused == []
    assert exported(other) == exported(app)


def test_one_that_is_damaged_is_refused(app: App, other: App, tmp_path: Path) -> None:
    (tmp_path / "lines.jsonl").write_text(LINES)
    import_paths(app, [tmp_path / "lines.jsonl"])
    file = tmp_path / "wiki.jsonl"
    file.write_bytes(exported(app)[:-40])
    done = import_paths(other, [file])
    [(where, why)] = done.refused
    assert done.failed and where == "wiki.jsonl" and "Nothing was imported" in why
    assert titles(other) == set()


def test_into_a_wiki_that_is_not_empty_it_is_read_line_by_line(
    app: App, other: App, tmp_path: Path
) -> None:
    (tmp_path / "lines.jsonl").write_text(LINES)
    import_paths(app, [tmp_path / "lines.jsonl"])
    file = tmp_path / "wiki.jsonl"
    file.write_bytes(exported(app))
    (tmp_path / "mine.md").write_text("# Mine")
    import_paths(other, [tmp_path / "mine.md"])
    done = import_paths(other, [file])
    assert done.refused == [] and not done.whole
    assert done.report.unread["revision"] and "paper" not in done.report.unread
    assert any("only for a wiki that is empty" in line for line in done.in_words())
    assert titles(other) == titles(app) | {"Mine"}
    with reading(other.engine) as session:
        tide = session.exec(sa.select(Page).where(Page.slug == "tide")).scalar_one()
        assert tide.extra == {"mine": 1}
    again = import_paths(other, [file])
    assert (again.report.total(Outcome.NEW), again.report.total(Outcome.CHANGED)) == (0, 0)


def test_into_the_wiki_that_wrote_it_it_changes_nothing(app: App, tmp_path: Path) -> None:
    (tmp_path / "lines.jsonl").write_text(LINES)
    import_paths(app, [tmp_path / "lines.jsonl"])
    file = tmp_path / "wiki.jsonl"
    file.write_bytes(exported(app))
    done = import_paths(app, [file])
    assert (done.report.total(Outcome.NEW), done.report.total(Outcome.CHANGED)) == (0, 0)
    assert done.refused == []


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.zip", b"PK\x03\x04 cut off"),
        ("a.jsonl", b'{"type":"paper"}\n'),
        ("a.bib", b"@article{x, title={"),
        ("b.bib", b"no entry at all"),
        ("a.json", b'[{"id":1,"type":"book"}]'),
        ("a.ris", b"TY  - JOUR\nER  -\n"),
        ("a.opml", b"<opml><body>"),
        ("a.pdf", b"%PDF-1.4 cut off"),
        ("a.xml", b"<rss><channel><item>"),
        ("a.eml", b"no mail"),
        ("a.md", b""),
    ],
)
def test_a_bad_file_fails_alone_and_beside_a_good_one_in_part(
    app: App, tmp_path: Path, name: str, data: bytes
) -> None:
    (tmp_path / name).write_bytes(data)
    alone = import_paths(app, [tmp_path / name])
    assert alone.failed and len(alone.refused) == 1, shown(alone)
    (tmp_path / "good.md").write_text("# Good\n\nText.\n")
    both = import_paths(app, [tmp_path / name, tmp_path / "good.md"])
    assert not both.failed and len(both.refused) == 1
    assert next(both.in_words()).endswith("1 rejected (below, with the reasons)")


@pytest.mark.parametrize("vault", [False, True], ids=["folder", "vault"])
def test_two_notes_of_one_id_are_not_one_page(app: App, tmp_path: Path, vault: bool) -> None:
    notes = tmp_path / "notes"
    (notes / "a").mkdir(parents=True)
    if vault:
        (notes / ".obsidian").mkdir()
    (notes / "One.md").write_text("---\nid: mine\n---\n\nThe first.\n")
    (notes / "a" / "Two.md").write_text("---\nid: mine\n---\n\nThe second.\n")
    (notes / "Topic.md").write_text("Upper.\n")
    (notes / "topic.md").write_text("Lower.\n")
    done = import_paths(app, [notes])
    with reading(app.engine) as session:
        texts = {page.body.strip() for page in session.exec(sa.select(Page)).scalars()}
    said = "\n".join(shown(done))
    for file, other, text in (
        ("a/Two.md", "One.md", "The second."),
        ("topic.md", "Topic.md", "Lower."),
    ):
        assert text in texts or (
            file in said and other in said and "would be the same page" in said
        )
    assert {"The first.", "Upper."} <= texts
    assert "would be the same page as One.md" in said


def test_what_an_import_changed_is_named(app: App, tmp_path: Path) -> None:
    note = tmp_path / "Tea.md"
    note.write_text("First.\n")
    import_paths(app, [note])
    note.write_text("Second.\n")
    assert "  changed: Tea" in list(import_paths(app, [note]).in_words())
