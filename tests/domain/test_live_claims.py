"""Live claims: what is read as one, and what any other text comes to."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.live_claims import (
    MOST_CHARACTERS,
    Claim,
    Noun,
    Unread,
    Verb,
    read,
    written,
)
from app.domain.markdown import live_claims, plain_text, replace_claims
from app.domain.records import Relation, Role


def claim(text: str) -> Claim:
    found = read(text)
    assert isinstance(found, Claim), found
    return found


def why(text: str) -> str:
    found = read(text)
    assert isinstance(found, Unread), found
    return found.why


def test_a_claim_is_a_verb_and_selectors() -> None:
    assert claim("count thread:locatable-signal") == Claim(
        Verb.COUNT, threads=("locatable-signal",)
    )
    assert claim('FIRST concept:"KV cache"').concepts == ("KV cache",)
    assert claim("none concept:a concept:b").concepts == ("a", "b")
    assert claim("count  thread:x  tag:y") == claim("count tag:y thread:x"), "in any order"
    asked = claim("count thread:x kind:questions state:open")
    assert (asked.noun, asked.state, asked.kind) == (Noun.QUESTION, "open", "")


def test_a_relation_that_is_a_role_is_read_as_one() -> None:
    assert claim("first concept:kv-cache relation:formalises").role == Role.FORMALISES
    assert claim("count concept:kv-cache relation:extends").relation == Relation.EXTENDS
    assert claim("count thread:x relation:extends").role == Role.EXTENDS
    assert claim("count page:kivi relation:contradicts").relation == Relation.CONTRADICTS


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("2026-05-14", "2026-05-14", "2026-05-14"),
        ("2026-02", "2026-02-01", "2026-02-28"),
        ("2024", "2024-01-01", "2024-12-31"),
    ],
)
def test_days_months_and_years(text: str, first: str, last: str) -> None:
    found = claim(f"count thread:x since:{text} until:{text}")
    assert (found.since, found.until) == (first, last)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "begins with"),
        ("thread:x count", "begins with"),
        ("sum thread:x", "No live claim is called “sum”"),
        ("count", "count of what?"),
        ("count thread", "needs a name before it"),
        ("count thread:", "cannot be read"),
        ('count thread:" "', "has no value"),
        ('count thread:"x', "cannot be read"),
        ("count thread:x color:red", "There is no selector color:"),
        ("count thread:x until:yesterday", "takes a day"),
        ("count thread:x until:2026-02-30", "takes a day"),
        ("count thread:x until:2026 until:2027", "can be given once"),
        ("count thread:x state:open", "kind:question"),
        ("count kind:question state:late", "cannot be"),
        ("count kind:boat", "No kind is called"),
        ("count role:eats", "No role is called"),
        ("count thread:x relation:eats", "No relation is called"),
        ("count thread:x relation:uses", "Name a concept:"),
        ("count kind:question asof:2026", "Use until:"),
        ("count " + "tag:x" * 100, "characters at most"),
        ("count " + " ".join(f"tag:{n}" for n in range(9)), "selectors at most"),
    ],
)
def test_what_is_wrong_is_said(text: str, says: str) -> None:
    assert says in why(text)


@given(st.text(max_size=MOST_CHARACTERS + 20))
def test_any_text_has_a_reading(text: str) -> None:
    assert isinstance(read(text), Claim | Unread)


_WORDS = st.lists(
    st.sampled_from(
        [
            "count",
            "none",
            "thread:",
            "concept:x",
            '"',
            " ",
            "until:2026",
            ":",
            "role:starts",
            "a",
            "{{",
        ]
    ),
    max_size=30,
)


@given(_WORDS)
def test_what_was_read_is_read_again_from_how_it_is_written(words: list[str]) -> None:
    found = read(" ".join(words))
    if isinstance(found, Claim):
        assert read(written(found)) == found


@given(st.text(alphabet='{}count thread:x"`$\\[]|\n ', max_size=200))
def test_any_body_with_braces_can_be_read(body: str) -> None:
    for source, start, end in live_claims(body):
        assert source.startswith("{{") and source.endswith("}}")
        assert start <= end <= len(body)
    replace_claims(body, {})


def test_code_and_formulas_and_what_is_escaped_hold_no_claims() -> None:
    body = (
        "Has {{count thread:x}}.\n\n`{{count thread:a}}` and $x{{count thread:b}}$, \\{{count thread:c}}"
        "\n\n    {{count thread:d}}\n\n```\n{{count thread:e}}\n```\n"
    )
    assert [source for source, _, _ in live_claims(body)] == ["{{count thread:x}}"]
    assert "{{count thread:c}}" in plain_text(body)


def test_words_take_the_place_of_a_claim_where_it_stands() -> None:
    claim = "{{count thread:x}}"
    body = (
        f"`{claim}` stays.\n\n- A **{claim}** here\n\n| a | b |\n|---|---|\n| x \\| y | {claim} |\n"
    )
    told = replace_claims(body, {claim: "five"})
    assert told.startswith(f"`{claim}` stays.")
    assert "A **five** here" in told
    assert "| x \\| y | five |" in told


def test_a_text_made_to_hurt_is_read_in_time_that_grows_with_it() -> None:
    body = "{{count " * 20_000 + "}}" * 20_000
    assert len(live_claims(body)) <= 20_000
    assert live_claims("{{" * 100_000) == []
