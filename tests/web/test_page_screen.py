"""Pages in the browser: read, edit, conflict, history, move; each by plain forms."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import sqlalchemy as sa
from sqlmodel import col
from starlette.testclient import TestClient

from app.bootstrap import App
from app.domain.records import Link, Page, PageKind, Relation
from app.importing import import_paths
from app.store import pages
from app.store.db import reading, writing
from app.store.pages import Content
from tests.web.conftest import NOW, PARTIAL, Statements, load, member, parsed, words

Row = dict[str, Any]
WIKI: list[Row] = [
    {
        "type": "concept",
        "id": "kv-cache",
        "title": "KV cache",
        "aliases": ["key-value cache"],
        "text": "# Kept keys\n\nKeys of earlier tokens. See [[paging]] and [[not written]].\n",
    },
    {"type": "concept", "id": "paging", "title": "Paging", "text": "Memory in pages."},
    {
        "type": "paper",
        "id": "arxiv:2605.00001",
        "doi": "10.1000/Paged",
        "title": "Paged keys",
        "abstract": "We keep the key-value cache in pages.",
        "authors": ["Ada Example"],
        "published": "2026-05-07",
        "slug": "paged-keys",
    },
    {"type": "thread", "id": "less-memory", "title": "Less memory", "claim": "It is enough."},
    {
        "type": "link",
        "source": "arxiv:2605.00001",
        "relation": "about",
        "target": "kv-cache",
        "status": "proposed",
        "confidence": 0.9,
        "evidence": [{"quote": "We keep the key-value cache in pages."}],
    },
    member(1, "less-memory", day="2026-05-13"),
]


@pytest.fixture
def wiki(app: App) -> App:
    load(app, WIKI)
    return app


def form_of(client: TestClient, slug: str, **changes: str) -> Row:
    """The editor's fields as the page offers them, with some of them changed."""
    page = parsed(client.get(f"/w/{slug}/edit"))
    fields: Row = {}
    for name in ("title", "kind", "aliases", "tags", "body", "base_rev", "sent"):
        element = page.select_one(f"#editor [name={name}]")
        assert element is not None, name
        if element.name == "select":
            element = element.select_one("option[selected]")
            assert element is not None
        fields[name] = (
            element.get("value") if element.name != "textarea" else element.text.removeprefix("\n")
        )
    return fields | changes


def post(client: TestClient, slug: str, fields: Row) -> Any:
    return client.post(f"/w/{slug}/edit", data=fields)


def version(client: TestClient, slug: str) -> int:
    number: int = client.get(f"/w/{slug}.json").json()["version"]
    return number


# ---------------------------------------------------------------- reading


def test_a_page_shows_its_text_links_and_neighbours(wiki: App, client: TestClient) -> None:
    page = parsed(client.get("/w/kv-cache"))
    assert words(page.h1) == "KV cache"
    text = words(page.main)
    assert "Keys of earlier tokens." in text
    assert "key-value cache" in text
    assert page.select_one('a[href="/w/paging"]')
    missing = page.select_one("a.missing")
    assert missing is not None
    assert "not-written" in str(missing["href"])
    assert page.select_one('form[action^="/review/"]'), "the suggestion can be decided here"
    linked = parsed(client.get("/w/paging"))
    assert "See paging and not written." in words(linked.main)


@pytest.mark.parametrize(
    ("address", "status", "leads"),
    [
        ("/w/key-value-cache", 308, "/w/kv-cache"),
        ("/w/KV cache", 308, "/w/kv-cache"),
        ("/arxiv/2605.00001v3", 303, "/w/paged-keys"),
        ("/doi/10.1000/PAGED", 303, "/w/paged-keys"),
        ("/w/nowhere", 404, None),
        ("/arxiv/2605.99999", 404, None),
        ("/arxiv/nonsense", 404, None),
        ("/doi/10.1000/other", 404, None),
    ],
)
def test_every_name_of_a_page_leads_to_it(
    wiki: App, client: TestClient, address: str, status: int, leads: str | None
) -> None:
    response = client.get(address)
    assert response.status_code == status
    assert response.headers.get("location") == leads
    if status == 308:  # kept for good otherwise: what is undone would not be seen again
        assert response.headers["cache-control"] == "no-cache"


def test_the_editor_of_a_former_address_is_that_of_the_page(app: App, client: TestClient) -> None:
    client.post("/w/old-name/edit", data={"title": "Old name", "kind": "concept", "body": "x"})
    moved = client.post("/w/old-name/rename", data={"slug": "new-name"})
    assert moved.status_code == 303
    answer = client.get("/w/old-name/edit")
    assert (answer.status_code, answer.headers["location"]) == (303, "/w/new-name/edit")


def test_a_page_that_is_not_there_can_be_written(wiki: App, client: TestClient) -> None:
    page = parsed(client.get("/w/nowhere"))
    assert page.select_one('main a[href="/w/nowhere/edit"]')
    for address in ("/w/No slug at all", "/arxiv/2605.99999"):
        assert not parsed(client.get(address)).select_one('main a[href$="/edit"]')


def test_a_paper_shows_its_facts(wiki: App, client: TestClient) -> None:
    text = words(parsed(client.get("/w/paged-keys")).main)
    for fact in ("Ada Example", "arXiv:2605.00001", "We keep the key-value cache", "Less memory"):
        assert fact in text


@pytest.fixture
def extracted(app: App, client: TestClient) -> str:
    """The address of a paper that was kept from the Inbox, with the summary from its abstract."""
    load(
        app,
        [
            {
                "type": "paper",
                "id": "arxiv:2605.00007",
                "title": "Herons",
                "day": "2026-05-12",
                "abstract": "Birds matter. We propose a count of herons. It finds $9$ in [[ten]].",
            }
        ],
    )
    told = {"decision": "keep"}
    assert client.post("/api/v1/inbox/arxiv:2605.00007", json=told).status_code == 200
    return "herons"


def test_an_extracted_summary_says_so_once_and_the_abstract_stands_closed_beside_it(
    extracted: str, client: TestClient
) -> None:
    main = parsed(client.get(f"/w/{extracted}")).main
    text = words(main)
    assert "extracted from the abstract, 14 May 2026" in text
    assert text.lower().count("extracted") == 1
    assert "What it does. We propose a count of herons." in text
    assert main.select_one(".prose.unreviewed a") is None  # brackets of an abstract link nothing
    abstract = main.select_one("details.abstract")
    assert abstract is not None
    assert abstract.get("open") is None
    assert "edited" not in text


def test_the_raw_text_of_an_extracted_summary_says_what_it_is(
    extracted: str, client: TestClient
) -> None:
    assert client.get(f"/w/{extracted}.md").text.startswith("*Extracted from the abstract")
    assert "Birds matter." in client.get(f"/_/card/{extracted}", headers=PARTIAL).text
    assert "extract@2" in words(parsed(client.get(f"/w/{extracted}/history")).main)


def test_a_person_who_saves_an_extracted_summary_makes_it_theirs(
    extracted: str, client: TestClient
) -> None:
    fields = form_of(client, extracted)
    assert fields["body"].startswith("*Extracted from the abstract")
    saved = client.post(
        f"/w/{extracted}/edit", data={**fields, "body": f"{fields['body']}\nSo they say.\n"}
    )
    assert saved.status_code == 303
    main = parsed(client.get(f"/w/{extracted}")).main
    assert "edited by you" in words(main)
    assert main.select_one(".byline") is None
    assert main.select_one(".unreviewed") is None
    assert "So they say." in words(main)


def test_the_words_of_an_abstract_are_found_once(extracted: str, client: TestClient) -> None:
    text = words(parsed(client.get("/search?q=count+herons")).main)
    assert "1 result" in text
    assert "What it does" not in text


def test_the_card_of_a_page_tells_it_in_short(wiki: App, client: TestClient) -> None:
    for slug, said in (("kv-cache", "Keys of earlier"), ("less-memory", "It is enough")):
        assert said in client.get(f"/_/card/{slug}", headers=PARTIAL).text


def test_all_links_of_a_page_stand_on_one_screen(wiki: App, client: TestClient) -> None:
    text = words(parsed(client.get("/w/kv-cache/links")).main)
    assert "Paging" in text
    assert "not written" in text
    assert "Paged keys" in text


@pytest.mark.parametrize(
    ("query", "titles"),
    [
        ("", ["KV cache", "Less memory", "Paged keys", "Paging"]),
        ("?letter=p", ["Paged keys", "Paging"]),
        ("?by=kind&kind=concept", ["KV cache", "Paging"]),
        ("?by=recent", ["Paging"]),
        ("?by=wanted", ["not written"]),
        ("?by=nonsense&page=x", ["KV cache"]),
    ],
)
def test_the_index_lists_pages(
    wiki: App, client: TestClient, query: str, titles: list[str]
) -> None:
    text = words(parsed(client.get(f"/pages{query}")).main)
    for title in titles:
        assert title in text


def test_the_index_needs_as_many_statements_for_many_pages_as_for_few(
    app: App, client: TestClient, statements: Statements
) -> None:
    def asked(path: str) -> list[int]:
        """Right after a change, and again."""
        numbers = []
        for _ in range(2):
            statements.seen.clear()
            assert client.get(path).status_code == 200
            numbers.append(len(statements))
        return numbers

    def grow(start: int, count: int) -> None:
        load(
            app,
            [
                {
                    "type": "concept",
                    "id": f"c-{n}",
                    "title": f"Concept {n}",
                    "text": f"[[c-0]] [[Unwritten {start}]]" if n else "",
                }
                for n in range(start, start + count)
            ],
        )
        client.get(
            "/more"
        )  # counts what the navigation shows, papers and jobs the first time alone

    paths = ("/w/c-0", "/w/c-0/links", "/pages", "/pages?by=recent", "/w/c-0/history")
    grow(0, 10)
    few = [asked(path) for path in paths]
    grow(10, 40)
    assert [asked(path) for path in paths] == few


def many(app: App, count: int) -> None:
    """So many concepts; every third links to c-0, and each wants a page of its own."""
    load(
        app,
        [
            {
                "type": "concept",
                "id": f"c-{n}",
                "title": f"{'abc'[n % 3]} {n % 7} {n}",
                "text": (f"[[c-0]] [[wanted {n}]]" if n % 3 == 1 else f"[[wanted {n}]]"),
            }
            for n in range(count)
        ],
    )


def walked(client: TestClient, path: str, rel: str = "next") -> list[list[str]]:
    """The pages of a list from this one on, each as the addresses it lists."""
    found = []
    while path:
        page = parsed(client.get(path))
        found.append([str(a["href"]) for a in page.select("ul.list a, ul.dense a.missing")])
        link = page.select_one(f".pager a[rel={rel}]") or page.select_one(f"main p > a[rel={rel}]")
        path = str(link["href"]) if link else ""
    return found


@pytest.mark.parametrize("view", ["", "?by=kind", "?by=kind&kind=concept", "?by=recent", "?by=orphans"])  # fmt: skip
def test_a_long_index_is_walked_forth_and_back_without_a_gap(
    app: App, client: TestClient, view: str
) -> None:
    many(app, 250)
    pages_of_it = walked(client, f"/pages{view}")
    listed = [each for page in pages_of_it for each in page]
    assert len(listed) == len(set(listed)) == (166 if "orphans" in view else 250)
    assert [len(page) for page in pages_of_it[:-1]] == [100] * (len(pages_of_it) - 1)
    sign = "&" if view else "?"
    last = f"/pages{view}{sign}page={len(pages_of_it)}"
    assert walked(client, last)[0] == pages_of_it[-1], "an address with a number alone"
    link = parsed(client.get(last)).select_one(".pager a[rel=prev]")
    assert link is not None
    assert walked(client, str(link["href"]), "prev") == pages_of_it[-2::-1]


def test_a_page_made_meanwhile_neither_repeats_nor_hides_another(
    app: App, client: TestClient
) -> None:
    many(app, 150)
    first = parsed(client.get("/pages"))
    seen = [str(a["href"]) for a in first.select("ul.list a")]
    following = str(first.select_one(".pager a[rel=next]")["href"])
    load(app, [{"type": "concept", "id": f"new-{n}", "title": f"a 0 {n}"} for n in range(30)])
    rest = [str(a["href"]) for a in parsed(client.get(following)).select("ul.list a")]
    assert len({*seen, *rest}) == len(seen) + len(rest) == 150
    assert "101 to 150 of 180" in words(parsed(client.get(following)).select_one(".pager"))


def test_what_is_wanted_most_comes_first_and_goes_on(app: App, client: TestClient) -> None:
    rows: list[Row] = [
        {"type": "page", "kind": "note", "id": f"n-{n}", "title": f"N {n}", "text": " ".join(f"[[w {m}]]" for m in range(n * 60, n * 60 + 60)) + " [[all]]"}
        for n in range(10)
    ]  # fmt: skip
    load(app, rows)
    wanted = walked(client, "/pages?by=wanted")
    assert [len(page) for page in wanted] == [500, 101]
    assert wanted[0][0] == "/w/all/edit"
    assert len({each for page in wanted for each in page}) == 601


@pytest.mark.parametrize(
    "place",
    ["~", "~~", "x~", "~1", "x~-1", "x~99999999999999", "x~٣", "'; DROP TABLE page; --~1", "\x00~1",
     "\ud800~1", "2026-05-14~1", "9999-99-99T00:00:00Z~1", "b 1~1" * 200, "%~_"],
)  # fmt: skip
@pytest.mark.parametrize("view", ["title", "kind", "recent", "orphans", "wanted"])
def test_a_place_that_is_none_does_no_harm(
    wiki: App, client: TestClient, place: str, view: str
) -> None:
    written = place.encode("utf-8", "surrogatepass")
    for side in ("after", "before"):
        path = f"/pages?by={view}&page=2&{urlencode({side: written})}"
        assert client.get(path).status_code == 200
    assert client.get("/pages?letter=%00").status_code == 200
    assert client.get("/pages?letter=%F4%8F%BF%BF").status_code == 200


def test_links_to_a_page_come_in_parts_the_newest_first(app: App, client: TestClient) -> None:
    load(app, [{"type": "concept", "id": "hub", "title": "Hub"}])
    load(app, [{"type": "page", "kind": "note", "id": f"n-{n}", "title": f"N {n}", "text": "[[hub]]"} for n in range(230)])  # fmt: skip
    page = parsed(client.get("/w/hub/links"))
    assert "Linked from 230" in words(page.main)
    seen = [str(a["href"]) for a in page.select("section:first-of-type li p > a:not(.n)")]
    more = page.select_one("li.more a")
    assert (len(seen), seen[0]) == (100, "/w/n-229")
    while more is not None:
        rows = parsed(client.get(str(more["href"]), headers=PARTIAL))
        assert rows.html is None
        seen += [str(a["href"]) for a in rows.select("li:not(.more) p > a:not(.n)")]
        more = rows.select_one("li.more a")
    assert seen == [f"/w/n-{n}" for n in range(229, -1, -1)]
    assert client.get("/w/hub/links?before=x").status_code == 200
    assert client.get(f"/w/hub/links?before={9**30}").status_code == 200


def test_a_long_history_comes_in_parts(app: App, client: TestClient) -> None:
    with writing(app.engine) as session:
        note = Content(title="Log", kind=PageKind.NOTE, body="0")
        page = pages.create(session, note, author=pages.PERSON, now=NOW)
        for n in range(1, 120):
            note = Content(title="Log", kind=PageKind.NOTE, body="word " * n)
            pages.revise(session, page, note, author=pages.PERSON, now=NOW)

    def numbers(path: str) -> tuple[list[int], Any]:
        shown = parsed(client.get(path))
        return [int(tr.select("td")[1].text) for tr in shown.select("tbody tr")], shown

    seen, shown = numbers("/w/log/history")
    assert "1 to 50 of 120" in words(shown.select_one(".pager"))
    paths = ["/w/log/history"]
    while link := shown.select_one(".pager a[rel=next]"):
        paths.append(str(link["href"]))
        more, shown = numbers(paths[-1])
        assert words(shown.select("tbody tr")[0].select_one("ins")) == (
            "+1" if more[0] > 1 else "+2"
        )
        seen += more
    assert seen == list(range(120, 0, -1))
    back = shown.select_one(".pager a[rel=prev]")
    assert numbers(str(back["href"]))[0] == numbers(paths[-2])[0]
    for odd in ("x", "-1", "0", "9" * 40, "1"):
        assert client.get(f"/w/log/history?before={odd}").status_code == 200


# ---------------------------------------------------------------- editing


def test_the_editor_offers_the_page_and_saves_it(wiki: App, client: TestClient) -> None:
    fields = form_of(client, "kv-cache")
    assert fields["title"] == "KV cache"
    assert fields["body"].startswith("# Kept keys\n\nKeys")
    assert fields["base_rev"] == "1"
    saved = post(client, "kv-cache", fields | {"body": "New text.", "tags": "serving\nmemory"})
    assert (saved.status_code, saved.headers["location"]) == (303, "/w/kv-cache")
    stands = client.get("/w/kv-cache.json").json()
    assert (stands["body"], stands["tags"]) == ("New text.", ["memory", "serving"])
    assert stands["aliases"] == ["key-value cache"]


def test_a_text_that_begins_with_empty_lines_survives_the_editor(
    app: App, client: TestClient
) -> None:
    body = "\n\n\tIndented </textarea><b>not bold</b> &amp; &lt;\n"
    post(client, "odd", {"title": "Odd", "kind": "note", "body": body, "base_rev": ""})
    assert form_of(client, "odd")["body"].replace("\r\n", "\n") == body


def test_a_new_page_from_a_red_link(wiki: App, client: TestClient) -> None:
    fields = form_of(client, "not-written")
    assert (fields["title"], fields["base_rev"]) == ("Not written", "")
    saved = post(client, "not-written", fields | {"title": "Not written", "body": "Now it is."})
    assert saved.headers["location"] == "/w/not-written"
    page = parsed(client.get("/w/kv-cache"))
    assert page.select_one('a[href="/w/not-written"]')
    assert not page.select("a.missing")


def test_a_page_made_from_nothing_gets_its_address_from_its_title(
    app: App, client: TestClient
) -> None:
    assert client.get("/new").status_code == 200
    for expected in ("/w/the-tides", "/w/the-tides-2"):
        saved = post(client, "new-page", {"title": "The tides", "kind": "note", "base_rev": ""})
        assert saved.headers["location"] == expected


def test_a_page_called_new_page_can_be_edited(app: App, client: TestClient) -> None:
    post(client, "new-page", {"title": "New page", "kind": "note", "base_rev": ""})
    fields = form_of(client, "new-page", body="Text.")
    assert post(client, "new-page", fields).headers["location"] == "/w/new-page"
    assert client.get("/w/new-page.md").text == "Text."
    made = post(client, "new-page", {"title": "Another", "kind": "note", "base_rev": ""})
    assert made.headers["location"] == "/w/another"


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"title": ""}, "title"),
        ({"title": "x" * 501}, "title"),
        ({"kind": "castle"}, "kind"),
        ({"base_rev": "x"}, ""),
        ({"base_rev": "99"}, ""),
        ({"base_rev": "٣"}, ""),
        ({"base_rev": "9" * 50}, ""),
    ],
)
def test_a_wrong_field_is_named_and_the_text_stays_in_the_form(
    wiki: App, client: TestClient, changes: dict[str, str], field: str
) -> None:
    fields = form_of(client, "paging", body="My long text.", **changes)
    response = post(client, "paging", fields)
    assert response.status_code == 422
    page = parsed(response)
    assert page.select_one("#summary")
    if field:
        assert page.select_one(f"#{field}-problem")
    body = page.select_one("#editor [name=body]")
    assert body is not None
    assert "My long text." in body.text
    assert version(client, "paging") == 1


def test_a_preview_saves_nothing(wiki: App, client: TestClient) -> None:
    fields = form_of(client, "paging", body="**Bold** [[kv-cache]] <script>x()</script>")
    shown = parsed(post(client, "paging", fields | {"preview": "1"})).select_one("#preview")
    assert shown is not None
    assert shown.strong is not None
    assert shown.script is None
    assert version(client, "paging") == 1
    assert "<strong>Bold" in client.post("/_/preview", data=fields, headers=PARTIAL).text


def test_a_draft_is_kept_and_offered_until_the_page_is_saved(wiki: App, client: TestClient) -> None:
    draft = {"title": "Paging", "body": "Half a thought", "base_rev": "1"}
    assert client.post("/_/draft/paging", data=draft).status_code == 204
    assert "Half a thought" in client.get("/w/paging/edit").text
    post(client, "paging", form_of(client, "paging", body="Whole."))
    assert "Half a thought" not in client.get("/w/paging/edit").text


def test_edits_of_different_lines_are_joined_and_it_is_said(app: App, client: TestClient) -> None:
    start = {"title": "Poem", "kind": "note", "body": "One\n\nTwo\n\nThree", "base_rev": ""}
    post(client, "poem", start)
    first, second = form_of(client, "poem"), form_of(client, "poem")
    post(client, "poem", first | {"body": "1\n\nTwo\n\nThree"})
    joined = post(client, "poem", second | {"body": "One\r\n\r\nTwo\r\n\r\n3"})
    assert joined.headers["location"] == "/w/poem?saved=merged"
    assert client.get("/w/poem.md").text == "1\n\nTwo\n\n3"
    assert "put together" in client.get(joined.headers["location"]).text


def test_a_conflict_shows_both_texts_and_can_be_solved(wiki: App, client: TestClient) -> None:
    first, second = form_of(client, "paging"), form_of(client, "paging")
    post(client, "paging", first | {"body": "Their words."})
    response = post(client, "paging", second | {"body": "My words."})
    assert response.status_code == 409
    page = parsed(response)
    conflict = page.select_one(".conflict")
    assert conflict is not None
    assert "My words." in conflict.text
    assert "Their words." in conflict.text
    merged = page.select_one("#editor [name=body]")
    base = page.select_one("#editor [name=base_rev]")
    assert merged is not None
    assert base is not None
    assert "My words." in merged.text
    assert "Their words." in merged.text
    assert client.get("/w/paging.md").text == "Their words."
    solved = post(client, "paging", second | {"body": "Our words.", "base_rev": str(base["value"])})
    assert solved.status_code == 303
    assert client.get("/w/paging.md").text == "Our words."


def test_the_same_change_by_two_is_a_conflict_and_a_second_click_is_none(
    wiki: App, client: TestClient
) -> None:
    """Two who count from four to five have counted to six."""
    first, second = form_of(client, "paging"), form_of(client, "paging")
    for _ in range(2):
        assert post(client, "paging", first | {"body": "5 so far."}).status_code == 303
    response = post(client, "paging", second | {"body": "5 so far."})
    assert response.status_code == 409
    assert parsed(response).select_one("#editor [name=body]").get_text().strip() == "5 so far."  # type: ignore[union-attr]
    assert len(parsed(client.get("/w/paging/history")).select("tbody tr")) == 2


def test_a_page_that_somebody_made_meanwhile_is_a_conflict(wiki: App, client: TestClient) -> None:
    fields = {"title": "Paging", "kind": "concept", "body": "Mine.", "base_rev": ""}
    assert post(client, "paging", fields).status_code == 409
    assert client.get("/w/paging.md").text == "Memory in pages."


# ---------------------------------------------------------------- history, moving


def test_history_diff_and_restore(wiki: App, client: TestClient) -> None:
    post(client, "paging", form_of(client, "paging", body="Memory in segments.", title="Segments"))
    history = parsed(client.get("/w/paging/history"))
    assert len(history.select("tbody tr")) == 2
    diff = parsed(client.get("/w/paging/diff?from=1&to=2"))
    assert [e.get_text() for e in diff.select("del.line")] == ["Memory in pages."]
    assert [e.get_text() for e in diff.select("ins.line")] == ["Memory in segments."]
    assert "Segments" in words(diff.select_one(".facts"))
    assert client.get("/w/paging/diff").status_code == 200
    assert client.get("/w/paging/diff?from=0&to=1").status_code == 200
    assert client.get("/w/paging/diff?from=1&to=9").status_code == 404
    restored = client.post("/w/paging/restore", data={"version": "1"})
    assert restored.headers["location"] == "/w/paging?saved=restored"
    assert client.get("/w/paging.md").text == "Memory in pages."
    for number in ("0", "99", "x", "", "9" * 30):
        assert client.post("/w/paging/restore", data={"version": number}).status_code == 404


def test_a_moved_page_is_found_at_its_old_address(wiki: App, client: TestClient) -> None:
    fields = form_of(client, "paging", body="Written before the move.")
    moved = client.post("/w/paging/rename", data={"slug": "pages-of-memory", "title": "Pages"})
    assert moved.headers["location"] == "/w/pages-of-memory?saved=renamed"
    assert client.get("/w/paging").headers["location"] == "/w/pages-of-memory"
    text = words(parsed(client.get("/w/pages-of-memory")).main)
    assert "KV cache" in text
    saved = post(client, "paging", fields)
    assert saved.headers["location"].startswith("/w/pages-of-memory")
    assert client.get("/w/pages-of-memory.md").text == "Written before the move."


@pytest.mark.parametrize(
    ("slug", "status"), [("Bad slug", 422), ("", 422), ("../x", 422), ("kv-cache", 409)]
)
def test_a_page_cannot_be_moved_to_what_is_no_free_address(
    wiki: App, client: TestClient, slug: str, status: int
) -> None:
    assert client.post("/w/paging/rename", data={"slug": slug}).status_code == status
    assert client.get("/w/paging").status_code == 200


@pytest.mark.parametrize(
    "path", ["/w/{}/edit", "/w/{}/restore", "/w/{}/rename", "/_/draft/{}", "/_/preview"]
)
@pytest.mark.parametrize("slug", ["nowhere", "Not a slug", "%00", "x" * 300])
def test_posts_without_fields_never_break(
    wiki: App, client: TestClient, path: str, slug: str
) -> None:
    for send in (
        {"data": {}},
        {
            "content": b"\xff=%ff&&&=;",
            "headers": {"Content-Type": "application/x-www-form-urlencoded"},
        },
        {"files": {"body": ("x.txt", b"\xff\x00"), "title": ("y", b"z")}},
        {"content": b"{", "headers": {"Content-Type": "application/json"}},
        {"content": b"--x", "headers": {"Content-Type": "multipart/form-data; boundary=x"}},
    ):
        response = client.post(path.format(slug), **send)  # type: ignore[arg-type]
        assert response.status_code < 500, response.text


def test_when_it_was_written_is_told_by_the_clock_of_the_wiki(app: App, client: TestClient) -> None:
    post(client, "new-page", {"title": "Clock", "kind": "note", "base_rev": ""})
    assert client.get("/w/clock.json").json()["created_at"] == NOW.isoformat()


SHOW = Path(__file__).parents[1] / "sources" / "data" / "podcast-show.txt"


def test_an_episode_says_when_it_was_how_long_and_what_it_recommends(
    app: App, client: TestClient
) -> None:
    import_paths(app, [SHOW])
    page = parsed(client.get("/w/why-slack-water-keeps-time")).main
    headings = [words(each) for each in page.select("h2")]
    assert headings.index("Takeaways") < headings.index("Recommended reading")
    assert "minutes" in words(page)
    with reading(app.engine) as session:
        read_on = session.connection().execute(
            sa.select(col(Page.title), col(Link.note))
            .join(Link, col(Link.target_id) == col(Page.id))
            .where(col(Link.relation) == Relation.RECOMMENDS)
            .where(col(Link.source_id) == pages.get(session, "why-slack-water-keeps-time").id)
        )
        expected = [(title, note) for title, note in read_on]
    assert expected
    for title, note in expected:
        assert title in words(page)
        assert note in words(page)


def test_a_form_without_a_kind_keeps_the_kind(client: TestClient) -> None:
    post(client, "tea", {"title": "Tea", "kind": "concept", "body": "One.", "base_rev": ""})
    post(client, "tea", {"title": "Tea", "body": "Two.", "base_rev": "1"})
    found = client.get("/api/v1/pages/tea").json()
    assert (found["kind"], found["body"].strip()) == ("concept", "Two.")
    post(client, "cup", {"title": "Cup", "body": "Round.", "base_rev": ""})
    assert client.get("/api/v1/pages/cup").json()["kind"] == "note"
