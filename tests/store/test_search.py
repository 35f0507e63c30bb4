import json
import unicodedata
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlmodel import Session, col

from app.domain.queries import Filters, clean, parse_query
from app.domain.records import (
    Assessment,
    AssessmentTopic,
    Identifier,
    LinkStatus,
    Page,
    PageKind,
    PageText,
    Paper,
    Relation,
    TitleWord,
    Topic,
)
from app.store import search
from app.store.db import reading, writing
from app.store.search import Why
from tests.factories import THEN, make_engine, make_link, make_page


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
    return slugs(session, [page_id for page_id, _ in found.ranked])


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
    assert slugs(session, [page_id for page_id, _ in found.ranked])[0] == "long-road"
    assert found.total == len(found.ranked) == 3
    scores = [score for _, score in found.ranked]
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
    ids = [page_id for page_id, _ in search.recent(session, query, query.filters, limit=9).ranked]
    search.allowed(session, query, query.filters)
    search.hits(session, query, ids, why={}, scores={}, typing=typing)


def test_results_follow_a_changed_and_a_removed_page(session: Session) -> None:
    page = make_page(session, "Old name", text="walrus")
    text = session.get(PageText, page)
    assert text is not None
    text.text = "penguin"
    session.flush()
    search.index(session, page, title="Old name", names="", text="penguin", aliases=())
    assert find(session, "walrus") == []
    assert find(session, "penguin") == ["old-name"]
    session.connection().execute(sa.delete(Page).where(col(Page.id) == page))
    assert find(session, "penguin") == []


def test_what_is_filled_anew_is_found_as_before(session: Session) -> None:
    for number in range(5):
        make_page(session, f"Walrus {number}", text="the sea", aliases=(f"tusks {number}",))
    session.connection().execute(sa.delete(TitleWord))
    search.fill(session, batch=2)
    assert len(find(session, "walrus")) == 5
    assert session.scalars(sa.select(TitleWord.word).order_by(TitleWord.word)).all() == [  # type: ignore[arg-type]
        "tusks",
        "walrus",
    ]


# ---------------------------------------------------------------- many pages


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if a few pages were very many."""
    monkeypatch.setattr(search, "RANKED", 6)
    monkeypatch.setattr(search, "BROAD", 12)
    monkeypatch.setattr(search, "FEW", 3)


@pytest.mark.usefixtures("small")
def test_only_the_best_are_ranked_and_all_are_counted(session: Session) -> None:
    for number in range(10):
        make_page(session, f"Note {number}", PageKind.NOTE, text="walrus of the sea")
    named = make_page(session, "Walrus", text="an animal")
    found = search.match(session, parse_query("walrus"), Filters())
    assert (len(found.ranked), found.total, found.more, found.is_cut) == (6, 11, False, True)
    assert found.ranked[0][0] == named
    scores = [score for _, score in found.ranked]
    assert scores == sorted(scores, reverse=True)


@pytest.mark.usefixtures("small")
def test_of_very_many_those_named_so_come_first_and_then_the_newest(session: Session) -> None:
    first = [make_page(session, f"Walrus {number}", text="sea") for number in range(2)]
    others = [make_page(session, f"Note {number}", text="a walrus") for number in range(14)]
    found = search.match(session, parse_query("walrus"), Filters())
    assert (found.total, found.more) == (16, False)
    ranked = [page_id for page_id, _ in found.ranked]
    assert set(ranked[:2]) == set(first)
    assert ranked[2:] == others[:-5:-1]
    scores = [score for _, score in found.ranked]
    assert scores == sorted(scores, reverse=True)


@pytest.mark.usefixtures("small")
def test_under_filters_no_more_than_a_bound_is_counted(session: Session) -> None:
    for number in range(16):
        make_page(session, f"Note {number}", PageKind.NOTE, text="walrus", tags=("sea",))
    make_page(session, "Walrus", PageKind.CONCEPT)
    found = search.match(session, parse_query("walrus"), Filters(tag="sea"))
    assert (found.total, found.more, len(found.ranked)) == (13, True, 6)
    few = search.match(session, parse_query("walrus"), Filters(kind=PageKind.CONCEPT))
    assert (few.total, few.more, len(few.ranked)) == (1, False, 1)
    dated = search.match(session, parse_query("walrus"), Filters(tag="sea"), by_date=True)
    assert (dated.total, dated.more, len(dated.ranked)) == (13, True, 6)


@pytest.mark.usefixtures("small")
def test_the_newest_of_all_that_match_come_first_by_date(session: Session) -> None:
    for number in range(9):
        make_page(
            session, f"P {number}", PageKind.PAPER, text="walrus", published=f"20{10 + number}"
        )
    by_date = search.match(session, parse_query("walrus"), Filters(), by_date=True)
    assert by_date.total == 9
    expected = [f"p-{number}" for number in range(8, 2, -1)]
    assert slugs(session, [page_id for page_id, _ in by_date.ranked]) == expected
    until = Filters(until="2014")
    bounded = search.match(session, parse_query("walrus"), until, by_date=True)
    assert slugs(session, [page_id for page_id, _ in bounded.ranked])[0] == "p-4"


@pytest.mark.usefixtures("small")
def test_words_that_are_everywhere_do_not_crowd_out_rare_ones(session: Session) -> None:
    for number in range(14):
        make_page(session, f"Note {number}", text="walrus")
    rare = make_page(session, "Rare", text="narwhal")
    found = search.match(session, parse_query("walrus narwhal"), Filters())
    assert [page_id for page_id, _ in found.ranked] == [rare]
    assert not found.lacking
    # A word that nobody has says nothing, so the other has to do.
    lacking = search.match(session, parse_query("walrus zebra"), Filters())
    assert lacking.lacking
    assert len(lacking.ranked) > 1


@pytest.mark.usefixtures("small")
def test_which_pages_hold_the_words_is_known_beyond_the_best(session: Session) -> None:
    ids = [make_page(session, f"Note {number}", text="walrus sea") for number in range(9)]
    other = make_page(session, "Other", text="walrus")
    query = parse_query("walrus sea")
    assert search.holding(session, query, [*ids, other], typing=False) == set(ids)
    assert search.holding(session, parse_query("walrus -sea"), [ids[0], other], typing=False) == {
        other
    }
    assert search.holding(session, query, [], typing=False) == set()


@pytest.mark.usefixtures("small")
def test_recent_pages_are_counted_but_not_all_fetched(session: Session) -> None:
    for day in range(1, 21):
        make_page(session, f"Page {day}", PageKind.NOTE, at=datetime(2026, 5, day, tzinfo=UTC))
    make_page(session, "Paper", PageKind.PAPER, published="2030")
    found = search.recent(session, parse_query(""), Filters(), limit=3)
    assert slugs(session, [page_id for page_id, _ in found.ranked]) == [
        "page-20",
        "page-19",
        "page-18",
    ]
    assert (found.total, found.more) == (21, False)
    notes = search.recent(session, parse_query("kind:note"), Filters(kind=PageKind.NOTE), limit=3)
    assert (notes.total, notes.more) == (15, True)
    by_date = search.recent(session, parse_query(""), Filters(), limit=1, by_date=True)
    assert slugs(session, [page_id for page_id, _ in by_date.ranked]) == ["paper"]


# ---------------------------------------------------------------- what else a page has to be


def judge(session: Session, page: int, *topics: str, others: tuple[str, ...] = ()) -> None:
    """A newer assessment of a paper's page: its first topic is the primary one."""
    paper = session.scalars(sa.select(Paper.id).where(col(Paper.page_id) == page)).one()  # type: ignore[call-overload]
    for topic in (*topics, *others):
        if session.get(Topic, topic) is None:
            session.add(Topic(id=topic, name=topic.replace("_", " ").title()))
    session.flush()
    known = session.scalars(sa.select(sa.func.count()).select_from(Assessment)).one()
    assessment = Assessment(
        paper_id=paper,
        scorer="local",
        day=f"2026-05-{known + 1:02}",
        topic_id=topics[0] if topics else None,
        at=THEN,
    )
    session.add(assessment)
    session.flush()
    for topic in others:
        session.add(AssessmentTopic(assessment_id=assessment.id, topic_id=topic))
    session.flush()


def test_topics_of_the_newest_assessment_narrow_and_are_counted(session: Session) -> None:
    first, second, third = (
        make_page(session, f"P{number}", PageKind.PAPER, text="routing") for number in (1, 2, 3)
    )
    make_page(session, "Note", PageKind.NOTE, text="routing")
    judge(session, first, "memory_systems")
    judge(session, second, "agents", others=("agents", "memory_systems"))
    judge(session, third, "memory_systems")
    judge(session, third, "agents")  # thought better of
    assert set(find(session, "routing topic:memory_systems")) == {"p1", "p2"}
    assert set(find(session, "routing topic:agents")) == {"p2", "p3"}
    assert find(session, "routing topic:none") == []
    counted = search.facets(session, [first, second, third]).topics
    assert [(each.value, each.label, each.count) for each in counted] == [
        ("agents", "Agents", 2),
        ("memory_systems", "Memory Systems", 2),
    ]
    assert search.topic_name(session, "agents") == "Agents"
    assert search.topic_name(session, "none") is None


def test_words_are_asked_of_one_field(session: Session) -> None:
    make_page(session, "Attention sinks", text="by somebody", aliases=("first tokens",))
    make_page(session, "Other", PageKind.PAPER, text="attention", authors=("Ashish Vaswani",))
    make_page(session, "First attention", text="vaswani")
    cases: dict[str, set[str]] = {
        "title:attention": {"attention-sinks", "first-attention"},
        'title:"attention sinks"': {"attention-sinks"},
        'title:"sinks attention"': set(),
        "author:vaswani": {"other"},
        'names:"first tokens"': {"attention-sinks"},
        "attention author:vaswani": {"other"},
        "attention -author:vaswani": {"attention-sinks", "first-attention"},
        "attention -title:first": {"attention-sinks", "other"},
        "title:attention title:first": {"first-attention"},
        "somebody title:sinks": {"attention-sinks"},
    }
    for text, expected in cases.items():
        assert set(find(session, text)) == expected, text
    query = parse_query("title:attention -title:first")
    left = search.allowed(session, query, query.filters)
    assert left is not None
    ids = [row[0] for row in session.connection().execute(left)]
    assert slugs(session, ids) == ["attention-sinks"]
    assert search.allowed(session, parse_query("attention"), Filters()) is None


def test_a_phrase_does_not_reach_from_one_field_into_the_next(session: Session) -> None:
    make_page(session, "About walrus", text="meat of the sea", aliases=("tusk bearer",))
    assert find(session, '"walrus tusk"') == []
    assert find(session, '"bearer meat"') == []
    assert find(session, '"tusk bearer"') == ["about-walrus"]


@pytest.mark.parametrize(
    ("query", "marked"),
    [
        ("transport", ["transports"]),
        ("schrodinger", ["Schrödinger"]),
        ('"optimal transports"', ["optimal transports"]),
        ("opti*", ["optimal"]),
        ("naive bridge", ["Naïve", "bridges"]),
        ("e\u0301clat", ["éclat"]),
    ],
)
def test_marks_stand_on_the_words_as_they_are_written(
    session: Session, query: str, marked: list[str]
) -> None:
    page = make_page(
        session, "P", text="Naïve  Schrödinger bridges:\n optimal transports, with e\u0301clat."
    )
    (hit,) = search.hits(session, parse_query(query), [page], why={}, scores={})
    written = [unicodedata.normalize("NFC", part) for part, is_marked in hit.snippet if is_marked]
    assert " ".join(written).split() == " ".join(marked).split()
    assert "".join(part for part, _ in hit.snippet).startswith("Naïve Schrödinger bridges: optimal")


def test_very_long_texts_are_kept_and_found(session: Session) -> None:
    words = " ".join(f"word{number}" for number in range(110_000))
    assert len(words) > 900_000
    long = make_page(session, "Long", text=words, authors=("a" * 5000,))
    repeated = make_page(session, "Repeated", text="walrus " * 140_000)
    one = make_page(session, "One word", text="x" * 1_000_000 + " penguin")
    assert find(session, "word77") == ["long"]
    assert find(session, "walrus") == ["repeated"]
    assert find(session, "penguin") == ["one-word"]
    shown = search.hits(
        session, parse_query("walrus word500"), [long, repeated, one], why={}, scores={}
    )
    assert [any(marked for _, marked in hit.snippet) for hit in shown] == [True, True, False]


def test_texts_no_screen_can_show_are_found(session: Session) -> None:
    make_page(session, "Odd \x01 title", text="walrus\u202e \ue000 \ufffd \U0010ffff ﬁne ² Ⅷ ٣")
    assert find(session, "walrus") == ["odd-title"]
    assert find(session, "odd") == ["odd-title"]


# ---------------------------------------------------------------- mistyped names


def near(session: Session, typed: str) -> list[str]:
    found = search.near_titles(session, parse_query(typed), Filters())
    return slugs(session, [page_id for page_id, _ in found])


def test_of_all_titles_those_with_most_of_the_words_are_near(session: Session) -> None:
    make_page(session, "Speculative decoding of long answers")
    make_page(session, "Speculative thought")
    for number in range(40):
        make_page(session, f"Decoding {number} of brain waves")
    assert near(session, "specualtive decodig") == ["speculative-decoding-of-long-answers"]
    assert near(session, "speculatve") == [
        "speculative-thought",
        "speculative-decoding-of-long-answers",
    ]
    assert near(session, "specualtive decodig zzzzzzz answrs")[0].startswith("speculative-decoding")


def test_near_titles_keep_to_filters_and_exclusions(session: Session) -> None:
    make_page(session, "Walrus one", PageKind.NOTE)
    make_page(session, "Walrus two", PageKind.PAPER, text="tusks")
    paper = Filters(kind=PageKind.PAPER)
    found = search.near_titles(session, parse_query("walrsu"), paper)
    assert slugs(session, [page_id for page_id, _ in found]) == ["walrus-two"]
    assert near(session, "walrsu -tusks") == ["walrus-one"]


def test_words_learnt_meanwhile_are_known_and_words_taken_back_forgotten(tmp_path: Path) -> None:
    engine = make_engine(tmp_path)
    with writing(engine) as session:
        make_page(session, "Walrus")
    with writing(engine) as session:
        make_page(session, "Narwhal")
        assert near(session, "narwahl") == ["narwhal"]
        session.rollback()
    with writing(engine) as session:
        assert near(session, "narwahl") == []
        make_page(session, "Penguin", aliases=("tuxedo bird",))
    with reading(engine) as session:
        assert near(session, "pengiun") == ["penguin"]
        assert near(session, "tuxdeo") == ["penguin"]
        assert near(session, "warlus") == ["walrus"]
    engine.dispose()


# ---------------------------------------------------------------- every string


@cache
def naughty() -> list[str]:
    """Strings that break programs, where the shared corpora are."""
    folder = Path(__file__).parents[3] / "shared" / "corpora"
    queries, strings = folder / "own" / "search-queries.jsonl", folder / "strings" / "blns.json"
    if not (queries.is_file() and strings.is_file()):
        return []
    own = [json.loads(line)["q"] for line in queries.read_text("utf-8").splitlines()]
    return [*own, *json.loads(strings.read_text("utf-8"))]


def test_naughty_strings_have_an_answer(session: Session) -> None:
    if not naughty():
        pytest.skip("no ../shared here")
    make_page(session, "A page", text="a b c rowid and words", aliases=("NULL",))
    for text in naughty():
        query = parse_query(text)
        found = search.match(session, query, query.filters, typing=True)
        ids = [page_id for page_id, _ in found.ranked] or [1]
        search.hits(session, query, ids, why={}, scores={}, typing=True)
        search.complete(session, text)
    # All of them at once, as phrases, exclusions, beginnings and words of a field.
    for first in range(0, len(naughty()), 8):
        some = naughty()[first : first + 8]
        for form in ('"{}"', "a -{}", 'title:"{}"', "{}*"):
            query = parse_query(" ".join(form.format(text[:50]) for text in some))
            search.match(session, query, query.filters)
            search.holding(session, query, [1], typing=True)


@pytest.mark.parametrize("text", ["\x00", "\ud83d", "a\x00b", "' OR 1=1--", "%", "\U0010ffff"])
def test_filters_take_every_string(session: Session, text: str) -> None:
    make_page(session, "A page", text="a b c")
    filters = Filters(topic=clean(text), tag=clean(text), thread="x")
    assert search.match(session, parse_query("a"), filters).total == 0
    assert search.near_titles(session, parse_query(text), filters) == []
    assert search.named(session, text, parse_query(text), filters) == []
