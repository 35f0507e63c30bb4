"""The validator of a model's reply: what counts, what is put right, what is refused and why."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain import replies
from app.domain.replies import LONGEST, ModelMarks, Read, read

PAPERS = ("2605.06470", "2605.06377", "p12")
TOPICS = ("memory_systems", "efficiency_scaling")


def mark(paper: str = PAPERS[0], **other: Any) -> dict[str, Any]:
    return {
        "ARXIVID": paper,
        "COMMENT": "A cache that forgets by age.",
        "RELEVANCE": 8,
        "NOVELTY": 6,
        "PRIMARY_TOPIC_ID": "memory_systems",
        "MATCHED_TOPIC_IDS": [],
        "TOPIC_MATCH_COMMENT": "It is about what is kept and what is forgotten.",
        "HOTSPOT_PAPER_TAGS": [],
        "HOTSPOT_PAPER_COMMENT": "",
    } | other


def said(*objects: Any) -> str:
    return "\n".join(each if isinstance(each, str) else json.dumps(each) for each in objects)


def look(*objects: Any) -> Read:
    return read(said(*objects), PAPERS, TOPICS)


def one(**other: Any) -> tuple[ModelMarks | None, Read]:
    """What becomes of one line with these fields."""
    result = look(mark(**other))
    return result.marks.get(PAPERS[0]), result


def without(*names: str) -> dict[str, Any]:
    return {name: value for name, value in mark().items() if name not in names}


# ------------------------------------------------------------------------------ a good reply


def test_a_line_a_paper_is_read_without_repairs() -> None:
    result = look(
        mark(),
        mark(
            PAPERS[1],
            RELEVANCE=10,
            NOVELTY=1,
            MATCHED_TOPIC_IDS=["efficiency_scaling", "memory_systems"],
            HOTSPOT_PAPER_TAGS=["new_frontier", "daily_hot"],
            HOTSPOT_PAPER_COMMENT="Everybody will ask about it.",
        ),
        mark(PAPERS[2]),
    )
    assert result.missing == () and result.rejected == () and result.repairs == {}
    assert list(result.marks) == list(PAPERS)
    second = result.marks[PAPERS[1]]
    assert (second.relevance, second.novelty) == (10, 1)
    assert second.topics == ("memory_systems", "efficiency_scaling")
    assert second.tags == ("daily_hot", "new_frontier")
    assert second.hotspot_comment == "Everybody will ask about it."


def test_marks_come_in_the_order_in_which_was_asked() -> None:
    result = look(mark(PAPERS[2]), mark(PAPERS[0]))
    assert list(result.marks) == [PAPERS[0], PAPERS[2]]
    assert result.missing == (PAPERS[1],)
    assert result.why(PAPERS[1]) == "The model said nothing about it."


# ------------------------------------------------------------------------------ the shape of it


@pytest.mark.parametrize(
    "text",
    [
        "```json\n{lines}\n```",
        "```jsonl\n{lines}```",
        "Here are the marks you asked for:\n\n{lines}\n\nLet me know if you need more.",
        "\ufeff{lines}",
        "1. {lines}",
        "Answer: {lines}",
    ],
)
def test_what_stands_around_the_lines_is_left_out(text: str) -> None:
    lines = said(mark(), mark(PAPERS[1]))
    result = read(text.replace("{lines}", lines), PAPERS, TOPICS)
    assert set(result.marks) == set(PAPERS[:2])
    assert not result.rejected


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("wrapped", [False, True])
def test_an_array_and_a_wrapper_are_read(indent: int | None, wrapped: bool) -> None:
    objects: Any = [mark(), mark(PAPERS[1]), mark(PAPERS[2])]
    whole = {"papers": objects, "note": "done"} if wrapped else objects
    result = read(json.dumps(whole, indent=indent), PAPERS, TOPICS)
    assert result.missing == () and not result.rejected
    assert bool(result.repairs) == wrapped


def test_objects_over_several_lines_are_read() -> None:
    text = "\n".join(json.dumps(mark(paper), indent=4) for paper in PAPERS)
    assert read(text, PAPERS, TOPICS).missing == ()


def test_a_comma_before_a_closing_bracket_is_mended_and_none_within_a_text() -> None:
    comment = 'Keeps ,} and ,] as they stand, \\" too'
    line = json.dumps(mark()).replace("A cache that forgets by age.", comment)
    line = line.replace("[]", '["memory_systems",]', 1)[:-1] + " , }"
    result = look(line, mark(PAPERS[1]))
    assert result.marks[PAPERS[0]].comment == 'Keeps ,} and ,] as they stand, " too'
    assert PAPERS[1] in result.marks
    assert result.repairs["comma before a closing bracket"] == 1


def test_a_broken_line_costs_only_itself() -> None:
    result = look(
        mark(), json.dumps(mark(PAPERS[1])).replace('"NOVELTY"', "NOVELTY"), mark(PAPERS[2])
    )
    assert result.missing == (PAPERS[1],)
    assert result.rejected[0].line == 2 and result.rejected[0].paper == PAPERS[1]
    assert "no JSON" in result.why(PAPERS[1])


@pytest.mark.parametrize("left", [5, 40, 160, -1])
def test_a_reply_that_was_cut_keeps_its_whole_lines(left: int) -> None:
    whole = json.dumps(mark(PAPERS[1]))
    result = look(mark(), whole[:left])
    assert set(result.marks) == {PAPERS[0]}
    assert result.rejected[-1].reason == "The line is cut off before its end."


@pytest.mark.parametrize(
    "text", ["", "   \n", "I cannot help with that.", "[]", "null", "8", '"x"']
)
def test_a_reply_without_objects_leaves_all_missing(text: str) -> None:
    result = read(text, PAPERS, TOPICS)
    assert result.marks == {} and result.missing == PAPERS


def test_nesting_without_end_is_refused_and_the_next_line_read() -> None:
    deep = '{"ARXIVID":' + '{"a":' * 100_000
    result = look(deep, '{"COMMENT":' + "[" * 100_000, mark(PAPERS[1]))
    assert set(result.marks) == {PAPERS[1]}
    assert result.rejected[0].reason == "The JSON is nested too deep."


def test_a_text_of_braces_alone_is_given_up() -> None:
    for text in ("{" * 400_000, "{\n" * 200_000, '{"a":[\n' * 57_000, '{"a":1,}\n' * 1_000):
        result = read(text, PAPERS, TOPICS)
        assert result.marks == {} and 0 < len(result.rejected) <= 1_000


def test_a_field_of_400_kilobytes_is_cut() -> None:
    found, result = one(COMMENT="word " * 80_000, TOPIC_MATCH_COMMENT="x" * 400_000)
    assert found is not None
    assert len(found.comment) <= LONGEST and found.comment.endswith("word…")
    assert len(found.topic_comment) == LONGEST
    assert result.repairs["comment cut"] == 2


# ------------------------------------------------------------------------------ whose it is


@pytest.mark.parametrize(
    "name",
    [
        "arXiv:2605.06470",
        "2605.06470v3",
        "https://arxiv.org/abs/2605.06470",
        "http://arxiv.org/pdf/2605.06470v1.pdf",
    ],
)
def test_an_id_may_be_written_otherwise(name: str) -> None:
    found, result = one(ARXIVID=name)
    assert found is not None
    assert result.repairs == {"id written otherwise": 1}


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("2605.99999", "Nobody asked"),
        ("p13", "Nobody asked"),
        ("x" * 400_000, "Nobody asked"),
        (2605.0647, "which paper"),
        (None, "which paper"),
        ("  ", "which paper"),
        (["2605.06470"], "which paper"),
    ],
)
def test_an_id_nobody_asked_about_is_refused(name: Any, words: str) -> None:
    found, result = one(ARXIVID=name)
    assert found is None
    assert words in result.rejected[0].reason
    assert len(result.rejected[0].reason) < 200


def test_the_same_said_twice_counts_once() -> None:
    result = look(mark(), mark())
    assert set(result.marks) == {PAPERS[0]}
    assert result.repairs == {"the same said twice": 1}


def test_two_different_lines_for_one_paper_count_for_nothing() -> None:
    result = look(mark(), mark(RELEVANCE=10), mark(PAPERS[1]), mark())
    assert set(result.marks) == {PAPERS[1]}
    assert "two different lines" in result.why(PAPERS[0])


def test_a_bad_line_does_not_take_the_good_one_away() -> None:
    result = look(mark(), mark(RELEVANCE=99))
    assert result.marks[PAPERS[0]].relevance == 8
    assert len(result.rejected) == 1


def test_a_field_twice_in_one_line_is_refused() -> None:
    line = json.dumps(mark())[:-1] + ', "RELEVANCE": 10}'
    result = look(line)
    assert result.why(PAPERS[0]) == "RELEVANCE stands in it twice."
    line = json.dumps(mark())[:-1] + ', "relevance": 10}'
    assert look(line).why(PAPERS[0]) == "RELEVANCE stands in it twice."


def test_words_out_of_a_broken_line_speak_for_no_other_paper() -> None:
    """A comment copied without its quotation marks escaped may hold what looks like a line."""
    forged = json.dumps(mark(PAPERS[1], RELEVANCE=10))
    broken = '{"ARXIVID": "2605.06470", "COMMENT": "it says " ' + forged + '", "RELEVANCE": 8}'
    early = '{"ARXIVID": "2605.06470", "COMMENT": "it says "} and then ' + forged
    for line in (broken, early):
        result = look(line)
        assert result.marks == {}, line


# ------------------------------------------------------------------------------ marks


@pytest.mark.parametrize("field", ["RELEVANCE", "NOVELTY"])
@pytest.mark.parametrize("value", [8, 8.0, "8", " 8 "])
def test_a_whole_number_may_be_written_otherwise(field: str, value: Any) -> None:
    found, result = one(**{field: value})
    assert found is not None
    assert (found.relevance if field == "RELEVANCE" else found.novelty) == 8
    assert bool(result.repairs) == (not isinstance(value, int))


@pytest.mark.parametrize("field", ["RELEVANCE", "NOVELTY"])
@pytest.mark.parametrize(
    "value",
    [0, 11, -3, 7.5, 1e999, float("nan"), float("-inf"), True, "high", "8/10", "", None, [8], {}],
)
def test_what_is_no_mark_is_refused_and_never_made_up(field: str, value: Any) -> None:
    found, result = one(**{field: value})
    assert found is None
    assert result.missing == PAPERS
    assert result.why(PAPERS[0]).startswith(field)


def test_a_number_of_a_hundred_thousand_digits_is_refused() -> None:
    result = look(json.dumps(mark()).replace("8", "9" * 100_000, 1), mark(PAPERS[1]))
    assert set(result.marks) == {PAPERS[1]}
    result = look(json.dumps(mark()).replace("8", "9" * 4_000, 1))
    assert "RELEVANCE is not from 1 to 10" in result.why(PAPERS[0])


@pytest.mark.parametrize("field", sorted(set(replies.FIELDS) - {"ARXIVID"}))
def test_a_missing_field(field: str) -> None:
    result = look(without(field))
    needed = {"COMMENT", "RELEVANCE", "NOVELTY", "PRIMARY_TOPIC_ID"}
    assert (PAPERS[0] in result.marks) == (field not in needed)
    assert result.repairs if field not in needed else result.rejected


# ------------------------------------------------------------------------------ topics and tags


def test_a_topic_is_one_of_the_registry() -> None:
    assert one(PRIMARY_TOPIC_ID="memory")[1].why(PAPERS[0]) == (
        "No topic of the registry is called 'memory'."
    )
    assert one(PRIMARY_TOPIC_ID=3)[0] is None
    found, result = one(PRIMARY_TOPIC_ID=" Memory_Systems ")
    assert found is not None and found.topic == "memory_systems" and result.repairs
    assert read(said(mark()), PAPERS, ()).marks[PAPERS[0]].topic is None


def test_the_primary_topic_is_among_the_matched() -> None:
    found, result = one(MATCHED_TOPIC_IDS=["efficiency_scaling"])
    assert found is not None and found.topics == ("memory_systems", "efficiency_scaling")
    assert result.repairs == {"primary topic missing among the matched": 1}
    found, result = one(MATCHED_TOPIC_IDS=[])
    assert found is not None and found.topics == ("memory_systems",)
    assert result.repairs == {}


@pytest.mark.parametrize(
    ("value", "topics"),
    [
        (["memory_systems", "nonsense", "efficiency_scaling"], 2),
        (["efficiency_scaling", "efficiency_scaling", "memory_systems"], 2),
        ("efficiency_scaling", 2),
        (None, 1),
        ({"a": 1}, 1),
        ([["efficiency_scaling"], 3, None], 1),
    ],
)
def test_matched_topics_are_put_right(value: Any, topics: int) -> None:
    found, result = one(MATCHED_TOPIC_IDS=value)
    assert found is not None and len(found.topics) == topics
    assert result.repairs


@pytest.mark.parametrize(
    ("tags", "comment", "kept"),
    [
        (["daily_hot"], "It is on every page.", ("daily_hot",)),
        (["daily_hot", "hot", "DAILY_HOT"], "It is on every page.", ("daily_hot",)),
        ("new_frontier", "A new field.", ("new_frontier",)),
        (["daily_hot"], "", ()),
        (["daily_hot"], None, ()),
        ([], "It is on every page.", ()),
        (["viral"], "It is on every page.", ()),
        (7, "", ()),
    ],
)
def test_tags_are_of_the_set_and_have_their_reason(tags: Any, comment: Any, kept: Any) -> None:
    found, _ = one(HOTSPOT_PAPER_TAGS=tags, HOTSPOT_PAPER_COMMENT=comment)
    assert found is not None
    assert found.tags == kept
    assert bool(found.hotspot_comment) == bool(kept)


# ------------------------------------------------------------------------------ comments


@pytest.mark.parametrize(
    ("comment", "plain"),
    [
        ("See [the page](https://example.org/x?q=1) for it.", "See the page for it."),
        ("Good ![status](https://example.org/p.png) work", "Good status work"),
        ("Cite [Project update][ref].\n\n[ref]: https://example.org/x", "Cite Project update."),
        ("<script>fetch('https://example.org')</script> We propose.", "We propose."),
        ("A <img src=x onerror=alert(1)> picture", "A picture"),
        ("Graphs.<!-- accept it --> Done", "Graphs. Done"),
        ("It is at https://example.org/a and www.example.org.", "It is at and"),
        ("Joins [[KV cache|the cache]] and [[memory]].", "Joins the cache and memory."),
        ("<<b>script>alert(1)</script>", "< script>alert(1)"),
        ("if a < b and c > d, or a <b and c> d", "if a < b and c > d, or a <b and c> d"),
        ("two\nlines\tand  spaces", "two lines and spaces"),
        ("Or\U000e0049\U000e0067dinary \u200btext\u202e.", "Ordinary text."),
        ("half \ud83d a pair, and NUL \x00 too", "half a pair, and NUL too"),
    ],
)
def test_a_comment_is_plain_words(comment: str, plain: str) -> None:
    found, _ = one(COMMENT=comment, TOPIC_MATCH_COMMENT=comment)
    assert found is not None
    assert found.comment == found.topic_comment == plain


@pytest.mark.parametrize("comment", ["", "  ", "\u200b", "<script>x</script>", 5, None, ["a"], {}])
def test_a_comment_that_says_nothing_is_refused(comment: Any) -> None:
    found, result = one(COMMENT=comment)
    assert found is None
    assert result.why(PAPERS[0]) == "COMMENT says nothing."


# ------------------------------------------------------------------------------ anything at all

values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(TOPICS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
lines = st.fixed_dictionaries(
    {"ARXIVID": st.sampled_from([*PAPERS, "2605.06470v2", "2605.99999"]) | values},
    optional={
        "COMMENT": st.text(min_size=1) | values,
        "RELEVANCE": st.integers(-1, 12) | values,
        "NOVELTY": st.integers(1, 10) | values,
        "PRIMARY_TOPIC_ID": st.sampled_from(TOPICS) | values,
        "MATCHED_TOPIC_IDS": st.lists(st.sampled_from([*TOPICS, "x"]), max_size=4) | values,
        "TOPIC_MATCH_COMMENT": st.text() | values,
        "HOTSPOT_PAPER_TAGS": st.lists(st.sampled_from([*replies.TAGS, "x"])) | values,
        "HOTSPOT_PAPER_COMMENT": st.text() | values,
    },
)


def check(result: Read) -> None:
    assert set(result.marks) | set(result.missing) == set(PAPERS)
    assert not set(result.marks) & set(result.missing)
    for found in result.marks.values():
        assert type(found.relevance) is int and 1 <= found.relevance <= 10
        assert type(found.novelty) is int and 1 <= found.novelty <= 10
        assert found.topic in TOPICS and found.topics[0] == found.topic
        assert len(set(found.topics)) == len(found.topics) and set(found.topics) <= set(TOPICS)
        assert set(found.tags) <= set(replies.TAGS)
        assert bool(found.tags) == bool(found.hotspot_comment)
        assert found.comment
        for text in (found.comment, found.topic_comment, found.hotspot_comment):
            assert len(text) <= LONGEST and "\n" not in text
            text.encode("utf-8")
    for each in result.rejected:
        assert each.reason.endswith((".", "!", "?")) and len(each.reason) < 300
        each.reason.encode("utf-8")


@settings(max_examples=150, deadline=None)
@given(st.lists(lines, max_size=4), st.sampled_from([None, 1]), st.text(max_size=30), st.booleans())
def test_any_objects_are_read_or_refused(
    objects: list[Any], indent: int | None, around: str, as_list: bool
) -> None:
    whole = [objects] if as_list else objects
    check(
        read(around + "\n" + "\n".join(json.dumps(o, indent=indent) for o in whole), PAPERS, TOPICS)
    )


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_any_change_to_a_good_reply_is_read_or_refused(data: st.DataObject) -> None:
    text = said(*(mark(paper) for paper in PAPERS))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(text)))
        gone = data.draw(st.integers(0, 12))
        text = (
            text[:at]
            + data.draw(st.text(max_size=6) | st.sampled_from('{}[],":\\\n'))
            + text[at + gone :]
        )
    check(read(text, PAPERS, TOPICS))


@settings(max_examples=100, deadline=None)
@given(st.text() | st.text(alphabet='{}[]",:\\\n a1'))
def test_any_text_is_read(text: str) -> None:
    check(read(text, PAPERS, TOPICS))
