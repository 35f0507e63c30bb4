import sqlite3
import time
from contextlib import closing

import pytest

from app.domain.queries import (
    MAX_LENGTH,
    MAX_TERMS,
    Field,
    Filters,
    InField,
    Query,
    clean,
    fuse,
    index_words,
    parse_query,
    unspaced,
)
from app.domain.records import PageKind


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", Query()),
        ("   \t ", Query()),
        ("sparse attention", Query(words=("sparse", "attention"))),
        ('"flash attention" speed', Query(words=("speed",), phrases=("flash attention",))),
        ("“flash attention” speed", Query(words=("speed",), phrases=("flash attention",))),
        ('"never closed', Query(phrases=("never closed",))),
        ("memory -hardware", Query(words=("memory",), excluded=("hardware",))),
        ('memory -"cache line"', Query(words=("memory",), excluded=("cache line",))),
        ("state-of-the-art", Query(words=("state-of-the-art",))),
        ("c++ C#", Query(words=("c++", "C#"))),
        ("Memory memory MEMORY", Query(words=("Memory",))),
        ("b a b", Query(words=("b", "a"))),
        ("kind:paper moe", Query(words=("moe",), filters=Filters(kind=PageKind.PAPER))),
        ("KIND:Paper moe", Query(words=("moe",), filters=Filters(kind=PageKind.PAPER))),
        ("kind:paper kind:note", Query(filters=Filters(kind=PageKind.NOTE))),
        ("year:2026", Query(filters=Filters(since="2026", until="2026"))),
        ("thread:long-context", Query(filters=Filters(thread="long-context"))),
        ("tag:#Idea", Query(filters=Filters(tag="idea"))),
        ('tag:"two words"', Query(filters=Filters(tag="two words"))),
        # What no operator means is looked for as it stands.
        ("kind:banana", Query(words=("kind:banana",))),
        ("year:20x6", Query(words=("year:20x6",))),
        ("year:99999", Query(words=("year:99999",))),
        ("thread:../etc", Query(words=("thread:../etc",))),
        ("topic:memory_systems", Query(filters=Filters(topic="memory_systems"))),
        ("year:2024..2026", Query(filters=Filters(since="2024", until="2026"))),
        ("year:2026..2024", Query(filters=Filters(since="2024", until="2026"))),
        ("year:2024..", Query(filters=Filters(since="2024"))),
        ("year:..2024", Query(filters=Filters(until="2024"))),
        ("since:2026-05", Query(filters=Filters(since="2026-05"))),
        (
            "since:2024 until:2026-05-08 x",
            Query(words=("x",), filters=Filters(since="2024", until="2026-05-08")),
        ),
        ("title:cache", Query(fields=(InField(Field.TITLE, "cache"),))),
        ('TITLE:"kv cache"', Query(fields=(InField(Field.TITLE, "kv cache"),))),
        ("author:vaswani", Query(fields=(InField(Field.NAMES, "vaswani"),))),
        ("names:rag", Query(fields=(InField(Field.NAMES, "rag"),))),
        ("-title:survey x", Query(words=("x",), fields=(InField(Field.TITLE, "survey", True),))),
        ("title:", Query(words=("title:",))),
        ("title:++", Query(words=("title:++",))),
        ("topic:", Query(words=("topic:",))),
        ("year:..", Query(words=("year:..",))),
        ("since:soon", Query(words=("since:soon",))),
        ("tag:", Query(words=("tag:",))),
        ("before:2026-13-45", Query(words=("before:2026-13-45",))),
        ("a:b:c", Query(words=("a:b:c",))),
        ("-kind:paper", Query(excluded=("kind:paper",))),
        ("arxiv:2605.05838", Query(words=("arxiv:2605.05838",))),
        ("--", Query(words=("--",))),
        ("-", Query(words=("-",))),
        ('""', Query()),
        ('"', Query()),
        ("a\x00b", Query(words=("a", "b"))),
        ("\ud83d x", Query(words=("x",))),
        ("\u202eabc", Query(words=("abc",))),
    ],
)
def test_query_is_read_as_a_person_means_it(text: str, expected: Query) -> None:
    assert parse_query(text) == expected


@pytest.mark.parametrize(
    "text", ["x" * 10_000, "w " * 5_000, '"' * 10_000, "-a:" * 4_000, "a:" * 5_000]
)
def test_long_query_is_cut_and_read_at_once(text: str) -> None:
    begun = time.perf_counter()
    query = parse_query(text)
    assert time.perf_counter() - begun < 0.2
    assert len(query.plain) <= MAX_LENGTH
    assert len(query.words) + len(query.phrases) + len(query.excluded) <= MAX_TERMS


def test_cleaned_text_can_be_stored_and_sent() -> None:
    clean("\ud800\x00\x1b[31m a\u2028b").encode("utf-8")
    assert clean("a\x00\x07 b\n\nc") == "a b c"


def test_plain_text_of_a_query_leaves_operators_out() -> None:
    assert parse_query('kind:paper -x fast "key value"').plain == "fast key value"


def test_filters_alone_are_an_empty_query() -> None:
    assert parse_query("kind:paper -x").is_empty
    assert parse_query("kind:paper -title:x").is_empty
    assert not parse_query("moe").is_empty
    assert not parse_query("title:moe").is_empty


def test_words_of_the_title_have_a_meaning_and_names_have_none() -> None:
    assert parse_query('fast title:cache author:"A. Vaswani" -title:slow').plain == "fast cache"


SAMPLES = (
    "Schrödinger’s naïve bridges, re-used in C++ (k-NN) at 3.5 GHz_x",
    "e\u0301clat a\u0327b \u0301x İstanbul ẞtraße ſ ﬁne K²Ⅷ ½ ٣",
    "注意力机制 と カタカナ 한국어 ไทย Ελλάς ά Москва й العَرَبية हिन्दी עִברית",
    "😀 ™ ® \ue000x \u200bzero\u00adsoft\ufeff \x01 tab\tline\nend",
)


@pytest.mark.parametrize("text", SAMPLES)
def test_words_are_those_of_the_tokeniser_of_sqlite(text: str) -> None:
    with closing(sqlite3.connect(":memory:")) as database:
        database.execute(
            "CREATE VIRTUAL TABLE x USING fts5(t, tokenize='unicode61 remove_diacritics 2')"
        )
        database.execute("CREATE VIRTUAL TABLE words USING fts5vocab(x, instance)")
        database.execute("INSERT INTO x VALUES (?)", (text,))
        told = [row[0] for row in database.execute("SELECT term FROM words ORDER BY offset")]
    assert index_words(text) == told


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("注意", True),
        ("かな", True),
        ("ไทย", True),
        ("한국", True),
        ("Ελλάς й é 🦉", False),
        ("", False),
    ],
)
def test_scripts_without_spaces_are_told(text: str, expected: bool) -> None:
    assert unspaced(text) is expected


@pytest.mark.parametrize(
    ("ranked", "expected"),
    [
        ((), []),
        (([],), []),
        (([3, 1, 2],), [3, 1, 2]),
        (([1, 2, 3], [3, 4]), [3, 1, 2, 4]),
        (([1, 2], [2, 1]), [1, 2]),
        (([1], [2], [2]), [2, 1]),
    ],
)
def test_what_two_rankings_name_comes_before_what_one_does(
    ranked: tuple[list[int], ...], expected: list[int]
) -> None:
    assert fuse(*ranked) == expected
