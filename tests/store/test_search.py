import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlmodel import Session

from app.domain.queries import Filters, parse_query
from app.domain.records import Identifier, LinkStatus, PageKind, Paper, Relation
from app.store import search
from app.store.db import reading, writing
from app.store.search import Why
from tests.factories import make_engine, make_link, make_page


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    engine = make_engine(tmp_path)
    with writing(engine) as opened:
        yield opened
    engine.dispose()


def slugs(session: Session, ids: list[int]) -> list[str]:
    shown = search.hits(session, parse_query(""), ids, why={}, scores={})
    return [hit.slug for hit in shown]


def find(
    session: Session, text: str, filters: Filters | None = None, *, typing: bool = False
) -> list[str]:
    query = parse_query(text)
    found = search.match(session, query, filters or query.filters, typing=typing)
    return slugs(session, [page_id for page_id, _ in found])


def test_title_counts_more_than_a_name_and_a_name_more_than_the_text(session: Session) -> None:
    make_page(session, "Storing keys", text="Serving a model is easier with a paged cache of keys.")
    make_page(session, "Tiered memory", aliases=("paged cache",), text="Where rows are kept.")
    make_page(session, "Paged cache", text="Blocks of a fixed size.")
    for number in range(12):
        make_page(session, f"Filler {number}", text="Other things altogether.")
    assert find(session, "paged cache") == ["paged-cache", "tiered-memory", "storing-keys"]


def test_words_are_found_in_any_form_and_without_accents(session: Session) -> None:
    make_page(session, "Schrödinger bridges", text="Transporting one distribution to another.")
    assert find(session, "schrodinger bridge") == ["schrodinger-bridges"]
    assert find(session, "transported distributions") == ["schrodinger-bridges"]


def test_pages_with_all_words_stand_before_pages_with_some(session: Session) -> None:
    make_page(session, "Gradient", text="gradient gradient gradient gradient")
    make_page(
        session, "Long road", text="a gradient that needs many words before any clipping at all"
    )
    make_page(session, "Clipping", text="clipping")
    found = search.match(session, parse_query("gradient clipping"), Filters())
    assert slugs(session, [page_id for page_id, _ in found])[0] == "long-road"
    assert len(found) == 3
    scores = [score for _, score in found]
    assert scores == sorted(scores, reverse=True)


def test_some_words_are_not_asked_where_all_words_find_enough(session: Session) -> None:
    for number in range(12):
        make_page(session, f"Both {number}", text="sparse routing")
    make_page(session, "One", text="sparse only")
    assert "one" not in find(session, "sparse routing")


def test_pages_with_only_some_words_are_a_bounded_rest(session: Session) -> None:
    make_page(session, "Both", text="sparse routing")
    for number in range(search.PARTIAL + 20):
        make_page(session, f"One {number}", text="sparse only")
    found = find(session, "sparse routing")
    assert found[0] == "both"
    assert len(found) == search.PARTIAL + 1
    assert len(find(session, "sparse")) == search.PARTIAL + 21


def test_little_words_do_not_decide(session: Session) -> None:
    make_page(session, "Decay of memory", text="How rows fade.")
    make_page(session, "Noise", text="what is the why of it and how does it do that")
    assert find(session, "how does the memory decay")[0] == "decay-of-memory"
    assert "noise" not in find(session, "how does the memory decay")


def test_last_word_may_be_a_beginning_while_typing(session: Session) -> None:
    make_page(session, "Speculative decoding", text="Draft and verify.")
    assert find(session, "speculative deco", typing=True) == ["speculative-decoding"]
    assert find(session, "deco") == []
    assert find(session, "deco*") == ["speculative-decoding"]


def test_phrase_has_to_stand_as_it_is(session: Session) -> None:
    make_page(session, "A", text="the key value store of a server")
    make_page(session, "B", text="the value of a key")
    assert find(session, '"key value"') == ["a"]
    assert find(session, '"key value" server store') == ["a"]


def test_excluded_words_and_phrases_keep_pages_out(session: Session) -> None:
    make_page(session, "A", text="memory of agents")
    make_page(session, "B", text="memory of a chip in hardware")
    make_page(session, "C", text="memory with a cache line")
    assert set(find(session, "memory -hardware")) == {"a", "c"}
    assert set(find(session, 'memory -"cache line" -hardware')) == {"a"}


def test_filters_hold(session: Session) -> None:
    paper = make_page(
        session, "P1", PageKind.PAPER, text="routing", published="2026-05", tags=("idea",)
    )
    other = make_page(session, "P2", PageKind.PAPER, text="routing", published="2024-11-03")
    make_page(session, "Note", PageKind.NOTE, text="routing", at=datetime(2025, 2, 3, tzinfo=UTC))
    thread = make_page(session, "Routing pays", PageKind.THREAD, text="claim")
    make_link(session, paper, thread)
    make_link(session, other, thread, status=LinkStatus.PROPOSED)
    cases: dict[str, set[str]] = {
        "routing kind:paper": {"p1", "p2"},
        "routing year:2024": {"p2"},
        "routing year:2025": {"note"},
        "routing tag:idea": {"p1"},
        "routing tag:#IDEA": {"p1"},
        "routing tag:ide": set(),
        "routing -claim thread:routing-pays": {"p1"},
        "routing thread:no-such": set(),
        "routing kind:paper year:2026 thread:routing-pays tag:idea": {"p1"},
    }
    for text, expected in cases.items():
        assert set(find(session, text)) == expected, text


@pytest.mark.parametrize(
    ("since", "until", "expected"),
    [
        ("", "", {"month", "day", "year"}),
        ("2026-05-10", "", {"month", "day"}),  # a month reaches to its end
        ("2026-05", "2026-05", {"month", "day"}),
        ("2026", "2026", {"month", "day"}),
        ("2026-05-20", "2026-05-20", {"month", "day"}),
        ("2026-05-21", "", {"month"}),
        ("2026-06", "", set()),
        ("", "2026-04-30", {"year"}),
        ("2025-07-01", "2025-07-31", {"year"}),
    ],
)
def test_dates_of_a_month_or_a_year_reach_to_their_end(
    session: Session, since: str, until: str, expected: set[str]
) -> None:
    make_page(session, "Month", PageKind.PAPER, text="routing", published="2026-05")
    make_page(session, "Day", PageKind.PAPER, text="routing", published="2026-05-20")
    make_page(session, "Year", PageKind.PAPER, text="routing", published="2025")
    assert set(find(session, "routing", Filters(since=since, until=until))) == expected


def test_snippet_marks_the_words_where_they_stand(session: Session) -> None:
    filler = "Nothing of interest stands here. " * 30
    page = make_page(session, "P", text=f"{filler}Then routing decides. {filler}")
    (hit,) = search.hits(
        session, parse_query("route"), [page], why={page: Why.WORDS}, scores={page: 1.5}
    )
    assert ("routing", True) in hit.snippet
    assert sum(marked for _, marked in hit.snippet) == 1
    assert (hit.why, hit.score) == (Why.WORDS, 1.5)
    assert len("".join(part for part, _ in hit.snippet)) < 400


def test_snippet_without_words_is_the_beginning_of_the_text(session: Session) -> None:
    page = make_page(session, "P", text="A first sentence. " + "And more of it. " * 60)
    (hit,) = search.hits(session, parse_query("zebra"), [page], why={}, scores={})
    ((text, marked),) = hit.snippet
    assert text.startswith("A first sentence.")
    assert len(text) < 260
    assert not marked


def test_marks_in_a_text_do_not_become_ours(session: Session) -> None:
    page = make_page(session, "P", text="\x02fake\x03 <b>routing</b> \x03 and \x02 more")
    (hit,) = search.hits(session, parse_query("routing"), [page], why={}, scores={})
    assert [part for part, marked in hit.snippet if marked] == ["routing"]
    assert "<b>routing</b>" in "".join(part for part, _ in hit.snippet)


def test_hits_name_threads_dates_and_skip_what_is_gone(session: Session) -> None:
    paper = make_page(session, "P", PageKind.PAPER, text="x", published="2026-05-07")
    first = make_page(session, "A thread", PageKind.THREAD)
    make_link(session, paper, first)
    (hit,) = search.hits(session, parse_query("x"), [paper, 999], why={}, scores={})
    assert hit.date == "2026-05-07"
    assert [(t.slug, t.title) for t in hit.threads] == [("a-thread", "A thread")]


def test_facets_count_kinds_years_and_threads(session: Session) -> None:
    thread = make_page(session, "Routing pays", PageKind.THREAD)
    ids = [
        make_page(session, "P1", PageKind.PAPER, published="2026-05"),
        make_page(session, "P2", PageKind.PAPER, published="2025"),
        make_page(session, "N", PageKind.NOTE),
    ]
    make_link(session, ids[0], thread)
    make_link(session, ids[2], thread, Relation.MENTIONS)
    found = search.facets(session, ids)
    assert [(c.value, c.count) for c in found.kinds] == [("paper", 2), ("note", 1)]
    assert [(c.value, c.count) for c in found.years] == [("2026", 2), ("2025", 1)]
    assert [(c.value, c.label, c.count) for c in found.threads] == [
        ("routing-pays", "Routing pays", 1)
    ]
    assert search.facets(session, []) == search.Facets()


def test_page_is_found_by_each_of_its_names(session: Session) -> None:
    page = make_page(session, "KV cache", aliases=("key-value cache",))
    paper_page = make_page(session, "A paper", PageKind.PAPER)
    paper = (
        session.connection()
        .execute(
            Paper.__table__.select()  # type: ignore[attr-defined]
        )
        .one()
    )
    session.add(Identifier(scheme="arxiv", value="2605.05838", paper_id=paper.id))
    session.flush()
    for text, expected in {
        "kv cache": page,
        "KV  CACHE": page,
        "kv-cache": page,
        "Key-Value cache": page,
        "arxiv:2605.05838v2": paper_page,
        "2605.05838": paper_page,
        "https://arxiv.org/abs/2605.05838": paper_page,
    }.items():
        query = parse_query(text)
        assert search.named(session, text, query, query.filters) == [expected], text
    assert search.named(session, "kv", parse_query("kv"), Filters()) == []
    assert search.named(session, "KV cache", parse_query("x"), Filters(kind=PageKind.NOTE)) == []


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("specualtive decodng", "speculative-decoding"),
        ("Shrodinger brigde", "schrodinger-bridges"),
        ("retreival augmented", "retrieval-augmented-generation"),
        ("grafs", None),
        ("qqqqqq", None),
        ("abc", None),
    ],
)
def test_mistyped_title_is_still_found(session: Session, typed: str, expected: str | None) -> None:
    make_page(session, "Speculative decoding")
    make_page(session, "Schrödinger bridges", aliases=("Schrodinger bridge",))
    make_page(session, "Retrieval-augmented generation", aliases=("RAG",))
    make_page(session, "KV cache")
    found = search.near_titles(session, parse_query(typed), Filters())
    assert slugs(session, [page_id for page_id, _ in found][:1]) == ([expected] if expected else [])


def test_what_no_word_index_knows_is_found_letter_by_letter(session: Session) -> None:
    make_page(session, "自注意力机制", text="一种机制")
    make_page(session, "Notes 🧠", text="thoughts")
    for text, expected in {"注意力": ["自注意力机制"], "🧠": ["Notes 🧠"], "🦴": []}.items():
        query = parse_query(text)
        ids = search.containing(session, query, Filters())
        shown = search.hits(session, query, ids, why={}, scores={})
        assert [hit.title for hit in shown] == expected


def test_completion_offers_the_name_itself_then_beginnings_then_words(session: Session) -> None:
    make_page(session, "Attention sinks")
    make_page(session, "Attention", aliases=("soft alignment",))
    make_page(session, "Sparse attention")
    make_page(session, "Alignment", aliases=("attentive tuning",))
    offered = [c.title for c in search.complete(session, "attent")]
    assert offered == ["Attention", "Attention sinks", "Alignment", "Sparse attention"]
    assert search.complete(session, "attention")[0].title == "Attention"
    (by_alias, *_) = search.complete(session, "soft al")
    assert (by_alias.title, by_alias.alias) == ("Attention", "soft alignment")


def test_completion_without_text_offers_what_was_changed_last(session: Session) -> None:
    for day in range(1, 6):
        make_page(session, f"Page {day}", at=datetime(2026, 5, day, tzinfo=UTC))
    assert [c.slug for c in search.complete(session, "  ", limit=2)] == ["page-5", "page-4"]


def test_completion_names_each_page_once_and_keeps_its_limit(session: Session) -> None:
    for number in range(30):
        make_page(
            session, f"Memory {number}", aliases=(f"memory of {number}", f"memories {number}")
        )
    offered = search.complete(session, "mem", limit=8)
    assert len(offered) == len({each.page_id for each in offered}) == 8


@pytest.mark.parametrize(
    "text",
    [
        '"', '""', "a AND", "NOT", "NEAR(a b, 3)", "title:", "*", "^a", "(", "{a b}:c", "-a", "--",
        "' OR 1=1--", "%", "_", "\\", "\x00", "a\x00b", "\ud83d", "\u202e", "rowid", "?1", ":name",
        "a" * 10_000, "w " * 4_000, "AND OR NOT", '"a" "b" OR', "c++", "ﬁ", "́", "\ue000",
    ],
)  # fmt: skip
@pytest.mark.parametrize("typing", [False, True])
def test_any_string_has_an_answer(session: Session, text: str, typing: bool) -> None:
    make_page(session, "A page", text="a b c rowid and words")
    query = parse_query(text)
    search.match(session, query, query.filters, typing=typing)
    search.containing(session, query, query.filters)
    search.near_titles(session, query, query.filters)
    search.named(session, text, query, query.filters)
    search.complete(session, text)
    ids = search.recent(session, query, query.filters)
    search.allowed(session, query, query.filters)
    search.hits(session, query, ids, why={}, scores={}, typing=typing)


def test_results_follow_a_changed_and_a_removed_page(tmp_path: Path) -> None:
    engine = make_engine(tmp_path)
    with writing(engine) as session:
        page = make_page(session, "Old name", text="walrus")
    with writing(engine) as session:
        connection = session.connection()
        connection.exec_driver_sql("UPDATE page_text SET text = 'penguin'")
        assert find(session, "walrus") == []
        assert find(session, "penguin") == ["old-name"]
        connection.exec_driver_sql("DELETE FROM page WHERE id = ?", (page,))
        assert find(session, "penguin") == []
    engine.dispose()


def test_ten_thousand_pages_are_searched_in_little_time(tmp_path: Path) -> None:
    engine = make_engine(tmp_path)
    with writing(engine) as session:
        connection = session.connection()
        connection.exec_driver_sql(
            """WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10000)
            INSERT INTO page (id, slug, kind, title, title_key, body, version, author_kind, author,
                created_at, updated_at, extra)
            SELECT i, 'page-' || i, 'paper', 'Paper ' || i || ' of agents', 'paper ' || i || ' of agents',
                '', 1, 'import', '', '2026-05-08 00:00:00.000000', '2026-05-08 00:00:00.000000', '{}'
            FROM n"""
        )
        connection.exec_driver_sql(
            """INSERT INTO page_text (page_id, title, names, text, hash)
            SELECT id, title, 'someone', 'memory of agents number ' || id || ' and group ' || (id % 97), id
            FROM page"""
        )
    with reading(engine) as session:
        for text in ("agents", "memory group 13", "page-77", "zzzz"):
            query = parse_query(text)
            begun = time.process_time()
            found = search.match(session, query, query.filters)
            search.facets(session, [page_id for page_id, _ in found])
            assert time.process_time() - begun < 1.0, text
        for text in ("p", "pa", "paper 12", "agen", "zzz", ""):
            begun = time.process_time()
            search.complete(session, text)
            assert time.process_time() - begun < 0.25, text
    engine.dispose()
