"""Import: a look first, then the doing; and files nobody should have sent."""

from __future__ import annotations

import io
import json
import os
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from app.bootstrap import App
from app.domain.records import Item, Page, PageKind, Paper, Raw
from app.services.interchange import whole
from app.sources.http import Transport
from app.store import pages
from app.store.db import generation, reading, writing
from app.store.pages import PERSON, Content, create
from app.web.routes import importing
from tests.factories import THEN, make_engine
from tests.servers.hostile import Server
from tests.servers.hostile import page as an_answer
from tests.web.conftest import parsed, words

CONCEPT = {"type": "concept", "id": "cache", "title": "Cache", "text": "A store of results."}
PAPER = {"type": "paper", "id": "arxiv:2605.00001", "title": "A cache study", "day": "2026-05-14"}


def lines(*rows: Any) -> bytes:
    return "\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows).encode()


def upload(client: TestClient, *files: tuple[str, bytes], **fields: str) -> Any:
    return client.post("/import", files=[("files", file) for file in files] or None, data=fields)


def token(answer: Any) -> str:
    field = parsed(answer).select_one("form[action='/import/run'] input[name=token]")
    assert field is not None, words(parsed(answer).main)
    return str(field["value"])


def counts(answer: Any) -> dict[str, str]:
    return {words(d.dt): words(d.dd) for d in parsed(answer).select("dl.counts > div")}


def stored(app: App) -> tuple[int, ...]:
    """How much of everything the wiki holds, and how often it changed."""
    with reading(app.engine) as session:
        tables = (Page, Paper, Item, Raw)
        numbers = [session.scalar(sa.select(sa.func.count()).select_from(t)) or 0 for t in tables]
        return (*numbers, generation(session))


def test_the_form_takes_files_and_pasted_text(client: TestClient) -> None:
    page = parsed(client.get("/import"))
    form = page.select_one("form[action='/import']")
    assert form["enctype"] == "multipart/form-data"
    assert form.select_one("input[type=file]").has_attr("multiple")
    assert "an export of cere-bro" in words(form)


def test_a_preview_says_what_would_come_in_and_changes_nothing(
    client: TestClient, app: App
) -> None:
    before = stored(app)
    answer = upload(client, ("papers.jsonl", lines(CONCEPT, PAPER, "not json", {"type": "dog"})))
    assert answer.status_code == 200
    assert counts(answer) == {"new": "2", "changed": "0", "already here": "0", "not taken": "2"}
    page = parsed(answer)
    shown = [words(li) for li in page.select("ul.list > li")]
    assert shown == ["Concept: Cache new", "Paper: A cache study new"]
    assert page.select("ul.list .kind:not(.only)") == []  # the column is as wide as a mark
    assert "1 concept, 1 paper; some of them:" in words(page.main)
    assert "line 3" in words(page.main)
    assert "This is not JSON" in words(page.main)
    assert stored(app) == before


def test_a_confirmed_import_is_done_once_and_told(client: TestClient, app: App) -> None:
    name = token(upload(client, ("papers.jsonl", lines(CONCEPT, PAPER))))
    answer = client.post("/import/run", data={"token": name})
    notice = parsed(answer).select_one(".notice")
    assert "2 new, 0 changed, 0 already here." in words(notice)
    assert notice.a["href"] == "/inbox"
    assert client.get("/w/cache").status_code == 200
    assert stored(app)[:4] == (1, 1, 1, 1)
    again = client.post("/import/run", data={"token": name})
    assert again.status_code == 404
    assert "not here any more" in words(parsed(again).select_one(".notice"))


def test_the_same_file_again_changes_nothing(client: TestClient, app: App) -> None:
    data = lines(CONCEPT, PAPER)
    client.post("/import/run", data={"token": token(upload(client, ("a.jsonl", data)))})
    answer = upload(client, ("b.jsonl", data))
    assert counts(answer)["already here"] == "2"
    assert counts(answer)["new"] == "0"
    assert parsed(answer).select_one("form[action='/import/run'] button") is None


def test_what_an_import_would_change_is_named(client: TestClient, app: App) -> None:
    client.post("/import/run", data={"token": token(upload(client, ("a.jsonl", lines(CONCEPT))))})
    answer = upload(client, ("b.jsonl", lines({**CONCEPT, "text": "Something else."})))
    assert counts(answer)["changed"] == "1"
    assert [words(li) for li in parsed(answer).select("ul.list > li")] == ["Concept: Cache changed"]
    with reading(app.engine) as session:
        assert pages.get(session, "cache").body == "A store of results."


def test_several_files_are_one_import_and_links_reach_across(client: TestClient, app: App) -> None:
    link = {"type": "link", "source": "arxiv:2605.00001", "relation": "about", "target": "cache"}
    answer = upload(
        client,
        ("links.jsonl", lines(link, {"type": "dog"})),
        ("things.jsonl", lines(CONCEPT, PAPER)),
        ("broken.bin", b"\x00\x01\x02"),
    )
    assert counts(answer)["new"] == "3"
    refused = words(parsed(answer).main)
    assert "links.jsonl, line 2" in refused
    assert "broken.bin" in refused
    client.post("/import/run", data={"token": token(answer)})
    assert "Cache" in words(parsed(client.get("/w/a-cache-study")).main)


def test_pasted_text_is_a_file_too(client: TestClient, app: App) -> None:
    answer = upload(client, text=lines(CONCEPT).decode())
    assert counts(answer)["new"] == "1"
    client.post("/import/run", data={"token": token(answer)})
    assert client.get("/w/cache").status_code == 200


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        ([], "Choose a file or paste some text first."),
        ([("", b"")], "Choose a file or paste some text first."),
        ([("empty.jsonl", b"")], "empty.jsonl: It is empty."),
        ([("blank.jsonl", b" \n\n ")], "blank.jsonl: It is empty."),
        ([("picture.png", b"\x89PNG\r\n\x1a\n\x00\x00\x00")], "picture.png: It is in no format"),
        ([("a.jsonl", b'{"type": "dog"}')], "is no type of line"),
    ],
)
def test_what_cannot_be_read_is_refused_in_a_sentence_with_the_form(
    client: TestClient, app: App, files: list[tuple[str, bytes]], sentence: str
) -> None:
    before = stored(app)
    answer = upload(client, *files)
    page = parsed(answer)
    assert answer.status_code == 422
    assert sentence in words(page.select_one(".notice"))
    assert page.select_one("input[type=file]") is not None
    assert stored(app) == before


@pytest.mark.parametrize(
    "form",
    [
        {},
        {"files": "a text where a file should be"},
        {"text": "   ", "extra": "field"},
        {"files": ""},
    ],
)
def test_a_form_without_a_file_is_asked_for_one(client: TestClient, form: dict[str, str]) -> None:
    answer = client.post("/import", data=form)
    assert answer.status_code == 422
    assert "Choose a file" in words(parsed(answer).select_one(".notice"))


@pytest.mark.parametrize(
    "name",
    [
        "../../../etc/passwd",
        "..\\..\\windows\\system32\\evil.jsonl",
        "/absolute/path.jsonl",
        "a" * 500 + ".jsonl",
        "<script>alert(1)</script>.jsonl",
        "..",
        "con.jsonl",
        "naïve 名.jsonl",
    ],
)
def test_the_clients_file_name_is_only_text(client: TestClient, app: App, name: str) -> None:
    answer = upload(client, (name, lines(CONCEPT)))
    assert answer.status_code == 200
    assert "<script>alert" not in answer.text
    held = app.settings.data / "uploads"
    files = [
        path for path in app.settings.data.rglob("*") if path.is_file() and held in path.parents
    ]
    assert len(files) == 2
    assert all(len(path.name) == 64 and set(path.name) <= set("0123456789abcdef") for path in files)
    done = client.post("/import/run", data={"token": token(answer)})
    assert "1 new" in words(parsed(done).select_one(".notice"))


@pytest.mark.parametrize(
    "name",
    ["", "abc", "../../../wiki.sqlite3", "0" * 64, "f" * 63 + "/", "Z" * 64, "x" * 100_000],
)
def test_a_token_that_names_no_upload_is_not_found(client: TestClient, app: App, name: str) -> None:
    answer = client.post("/import/run", data={"token": name})
    assert answer.status_code == 404
    assert "not here any more" in words(parsed(answer).select_one(".notice"))
    assert client.post("/import/run").status_code == 404


def test_a_held_file_is_no_token(client: TestClient, app: App) -> None:
    upload(client, ("a.jsonl", b'[{"name": "x", "sha256": "../../etc"}]' + lines(CONCEPT)))
    upload(client, ("b.jsonl", lines(CONCEPT)))
    held = [path.name for path in (app.settings.data / "uploads").rglob("*") if path.is_file()]
    statuses = {client.post("/import/run", data={"token": name}).status_code for name in held}
    assert statuses <= {200, 404}
    assert stored(app)[0] == 1


def test_uploads_are_forgotten_after_a_day(client: TestClient, app: App) -> None:
    name = token(upload(client, ("a.jsonl", lines(CONCEPT))))
    folder: Path = app.settings.data / "uploads"
    old = time.time() - importing.KEPT_SECONDS - 60
    for path in folder.rglob("*"):
        if path.is_file():
            os.utime(path, (old, old))
    upload(client, ("b.jsonl", lines(PAPER)))
    assert client.post("/import/run", data={"token": name}).status_code == 404
    assert len([path for path in folder.rglob("*") if path.is_file()]) == 2


def test_too_much_at_once_is_refused_and_nothing_is_kept(client: TestClient, app: App) -> None:
    before = stored(app)
    answer = upload(client, ("big.jsonl", b" " * (importing.MAX_UPLOAD + 1)))
    assert answer.status_code in (413, 422)
    assert not (app.settings.data / "uploads").exists()
    assert stored(app) == before


def test_many_lines_are_previewed_with_a_few_examples(client: TestClient, app: App) -> None:
    rows = [{"type": "concept", "id": f"c-{n}", "title": f"Concept {n}"} for n in range(200)]
    answer = upload(client, ("many.jsonl", lines(*rows, *["broken"] * 200)))
    assert counts(answer) == {"new": "200", "changed": "0", "already here": "0", "not taken": "200"}
    assert len(parsed(answer).select("ul.list > li")) <= importing.SAMPLES
    assert len(answer.text) < 60_000


# ---------------------------------------------------------------- an address

SENTENCES = "Looms that are checked each week stand still less often than others do. " * 5
WEB_PAGE = f"""<!doctype html><html><head><title>Why checks pay</title></head><body><article>
<h1>Why checks pay</h1><p>{SENTENCES}</p><p>{SENTENCES}</p></article></body></html>""".encode()
PAPER_PAGE = b"""<!doctype html><html><head><meta name="citation_title" content="Cheap looms">
<meta name="citation_arxiv_id" content="2605.00007"><meta name="citation_author" content="Lovelace, Ada">
</head><body>x</body></html>"""


def allow(app: App, server: Server) -> None:
    app.web = Transport(allow={server.pair})


def test_an_address_is_fetched_shown_and_then_brought_in(client: TestClient, app: App) -> None:
    with Server(an_answer(WEB_PAGE, content_type="text/html")) as server:
        allow(app, server)
        before = stored(app)
        answer = upload(client, address=f" {server.url}posts/checks ")
        assert counts(answer)["new"] == "1"
        assert [words(li) for li in parsed(answer).select("ul.list > li")] == [
            "Article: Why checks pay new"
        ]
        assert stored(app) == before and len(server.asked) == 1
        done = client.post("/import/run", data={"token": token(answer)})
    assert "1 new" in words(parsed(done).select_one(".notice"))
    assert len(server.asked) == 1  # what was looked at is what comes in
    with reading(app.engine) as session:
        (item,) = session.exec(sa.select(Item)).scalars()
        assert item.url == f"{server.url}posts/checks"
        assert item.page_id is not None and item.format == "html"


def test_the_page_of_a_paper_is_that_paper_and_it_is_kept(client: TestClient, app: App) -> None:
    with Server(an_answer(PAPER_PAGE, content_type="text/html")) as server:
        allow(app, server)
        answer = upload(client, address=f"{server.url}abs/2605.00007")
        client.post("/import/run", data={"token": token(answer)})
    with reading(app.engine) as session:
        (paper,) = session.exec(sa.select(Paper)).scalars()
        assert (paper.title, paper.state.value, paper.authors) == (
            "Cheap looms",
            "kept",
            ["Ada Lovelace"],
        )
        (item,) = session.exec(sa.select(Item)).scalars()
        assert item.paper_id == paper.id


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        ("looms.example", "This is no address of a web page"),
        ("javascript:alert(1)", "This is no address of a web page"),
        ("file:///etc/passwd", "This is no address of a web page"),
        ("http://127.0.0.1:1/x", "127.0.0.1"),
        ("http://169.254.169.254/latest", "169.254.169.254"),
        ("http://user:secret@example.org/", ""),
    ],
)
def test_an_address_from_which_nothing_comes_is_told_in_a_sentence(
    client: TestClient, app: App, address: str, sentence: str
) -> None:
    before = stored(app)
    answer = upload(client, address=address)
    assert answer.status_code == 422
    notice = words(parsed(answer).select_one(".notice"))
    assert notice and sentence in notice and "Traceback" not in notice
    assert parsed(answer).select_one("input[name=address]")["value"] == address
    assert stored(app) == before


def test_a_page_that_is_gone_or_has_no_article_is_told(client: TestClient, app: App) -> None:
    with Server(an_answer(b"no", status="404 Not Found")) as gone:
        allow(app, gone)
        answer = upload(client, address=gone.url)
        assert answer.status_code == 422 and "404" in words(parsed(answer).select_one(".notice"))
    with Server(an_answer(b"<html><body><div id=app></div></body></html>")) as empty:
        allow(app, empty)
        answer = upload(client, address=f"{empty.url}app")
        assert answer.status_code == 422
        assert "There is no article on this page" in words(parsed(answer).select_one(".notice"))


# ---------------------------------------------------------------- archives, and whole wikis


def zipped(**files: str | bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in files.items():
            file.writestr(name, data)
    return out.getvalue()


def test_an_archive_is_unpacked_and_looked_at_first(client: TestClient, app: App) -> None:
    notes = {"n/Tide.md": "# Tide", "n/Moon.md": "# Moon", "n/.x/Hidden.md": "# Hidden"}
    answer = upload(client, ("notes.zip", zipped(**notes)))
    assert (answer.status_code, counts(answer)["new"], counts(answer)["not taken"]) == (
        200,
        "2",
        "0",
    )
    done = client.post("/import/run", data={"token": token(answer)})
    assert done.status_code == 200
    with reading(app.engine) as session:
        assert set(session.exec(sa.select(Page.title)).scalars()) == {"Tide", "Moon"}


def test_a_vault_in_an_archive_is_read_as_one(client: TestClient, app: App) -> None:
    vault = {".obsidian/app.json": "{}", "Tide.md": "Of #sea.\n\n# Heading", "x.md": "X"}
    answer = upload(client, ("vault.zip", zipped(**vault)))
    client.post("/import/run", data={"token": token(answer)})
    with reading(app.engine) as session:
        assert set(session.exec(sa.select(Page.title)).scalars()) == {"Tide", "x"}


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"good.md": "# Good", "../evil.md": "# Evil"}, "outside its folder"),
        ({"good.md": "# Good", "big.md": b"\0" * 30_000_000}, "100 times smaller"),
        ({"a": b"a" * 100, "A": b""}, "would be one file"),
    ],
)
def test_a_hostile_archive_is_refused_whole(
    client: TestClient, app: App, files: dict[str, str | bytes], said: str
) -> None:
    before = stored(app)
    answer = upload(client, ("x.zip", zipped(**files)), text=lines(CONCEPT).decode())
    assert answer.status_code == 422
    assert said in words(parsed(answer).main)
    assert stored(app) == before
    assert not list((app.settings.data / "uploads").glob("??/*"))


def test_a_whole_wiki_is_read_back_into_an_empty_one(
    client: TestClient, app: App, tmp_path: Path
) -> None:
    folder = tmp_path / "other"
    folder.mkdir()
    engine = make_engine(folder)
    with writing(engine) as session:
        content = Content(title="Tide", kind=PageKind.CONCEPT, body="Of [[Moon]].")
        create(session, content, author=PERSON, now=THEN)
    with reading(engine) as session:
        file = "".join(whole(session)).encode()
    answer = upload(client, ("wiki.jsonl", file))
    assert counts(answer)["new"] == "2"  # a page and its revision
    assert stored(app)[0] == 0
    client.post("/import/run", data={"token": token(answer)})
    with reading(app.engine) as session:
        assert "".join(whole(session)).encode() == file


def test_a_whole_wiki_that_is_damaged_says_where(client: TestClient, app: App) -> None:
    first = '{"type":"wiki","format":"cere-bro","version":1}'
    answer = upload(client, ("wiki.jsonl", lines(first, {"type": "concept", "id": "../x"})))
    assert answer.status_code == 422
    assert "Line 2:" in words(parsed(answer).main)
    assert stored(app)[0] == 0


def test_the_screen_names_formats_as_people_do(client: TestClient) -> None:
    screen = client.get("/import").text
    assert "Daily Papers of Hugging Face" in screen
    assert "hf-daily" not in screen
