"""Names that machines use: tables of what becomes what."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.identifiers import (
    PaperId,
    clean_date,
    is_slug,
    parse_arxiv,
    parse_doi,
    parse_id,
    parse_url,
    slugify,
    title_key,
)


@pytest.mark.parametrize(
    ("title", "slug"),
    [
        ("KV cache", "kv-cache"),
        ("  KV   cache  ", "kv-cache"),
        ("A/B testing", "a-b-testing"),
        ("C++", "c-plus-plus"),
        ("C#", "c-sharp"),
        ("Ebb & flow", "ebb-and-flow"),
        ("100%", "100-percent"),
        ("Bayes' rule", "bayes-rule"),
        ("Café naïve", "cafe-naive"),
        ("Straße", "strasse"),
        ("Ｆｕｌｌ ｗｉｄｔｈ", "full-width"),
        ("潮汐", "chaoxi"),
        ("../../etc/passwd", "etc-passwd"),
        ("con", "con-page"),
        ("LPT1", "lpt1-page"),
        ("aux.md", "aux-md"),
        ("a" * 100, "a" * 80),
        ("word " * 30, "word-" * 15 + "word"),
    ],
)
def test_titles_become_slugs(title: str, slug: str) -> None:
    assert slugify(title) == slug


@pytest.mark.parametrize("title", ["", "   ", "???", "...", "\x00", "\ud800", "—", "\u200b"])
def test_a_title_without_letters_gets_a_slug_all_the_same(title: str) -> None:
    assert slugify(title).startswith("page-")
    assert is_slug(slugify(title))


@given(st.text(max_size=300))
def test_every_slug_is_an_address_and_its_own_slug(title: str) -> None:
    slug = slugify(title)
    assert is_slug(slug)
    assert len(slug) <= 85
    assert slugify(slug) == slug


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("kv-cache", True),
        ("a--b", True),
        ("-a-", True),
        ("0", True),
        ("a" * 200, True),
        ("a" * 201, False),
        ("", False),
        ("KV", False),
        ("a_b", False),
        ("a b", False),
        ("a\n", False),
        ("é", False),
        ("a/b", False),
    ],
)
def test_what_is_a_slug(text: str, expected: bool) -> None:
    assert is_slug(text) is expected


@pytest.mark.parametrize(
    ("text", "value", "version"),
    [
        ("2605.05838", "2605.05838", None),
        ("2605.05838v3", "2605.05838", 3),
        (" 0704.0001 ", "0704.0001", None),
        ("arXiv:2605.05838v12", "2605.05838", 12),
        ("https://arxiv.org/abs/2605.05838v1", "2605.05838", 1),
        ("http://www.arxiv.org/pdf/2605.05838.pdf", "2605.05838", None),
        ("https://export.arxiv.org/abs/hep-th/9901001v2", "hep-th/9901001", 2),
        ("math.GT/0309136", "math/0309136", None),
        ("MATH/0309136", "math/0309136", None),
        ("https://arxiv.org/html/2605.05838v2/", "2605.05838", 2),
    ],
)
def test_arxiv_ids_in_all_their_forms(text: str, value: str, version: int | None) -> None:
    assert parse_arxiv(text) == PaperId("arxiv", value, version)


@pytest.mark.parametrize(
    "text",
    ["", "2605", "2605.058", "2605.058380", "260.05838", "2605.05838v", "2605.05838 x", "x/1"],
)
def test_what_is_no_arxiv_id(text: str) -> None:
    assert parse_arxiv(text) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10.1000/Tides", "doi:10.1000/tides"),
        ("https://doi.org/10.1000/tides.", "doi:10.1000/tides"),
        ("http://dx.doi.org/10.1000/a(b)c", "doi:10.1000/a(b)c"),
        ("doi:10.1000/x", "doi:10.1000/x"),
        ("10.48550/arXiv.2605.05838", "arxiv:2605.05838"),
        ("https://doi.org/10.48550/arxiv.2605.05838v2", "arxiv:2605.05838"),
    ],
)
def test_dois_in_all_their_forms(text: str, expected: str) -> None:
    assert str(parse_doi(text)) == expected


@pytest.mark.parametrize("text", ["", "10.1000", "10.1/x", "11.1000/x", "10.1000/", "10.1000/a b"])
def test_what_is_no_doi(text: str) -> None:
    assert parse_doi(text) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://Example.org/A?b=C#d", "url:https://example.org/A?b=C"),
        ("HTTP://example.org:8080/", "url:http://example.org:8080/"),
        ("https://arxiv.org/abs/2605.05838v2", "arxiv:2605.05838"),
        ("https://doi.org/10.1000/X", "doi:10.1000/x"),
    ],
)
def test_addresses(text: str, expected: str) -> None:
    assert str(parse_url(text)) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "example.org",
        "ftp://example.org/",
        "javascript:alert(1)",
        "data:text/html,x",
        "file:///etc/passwd",
        "https://",
        "https:///x",
        "http://[::1",
        "http://a:99999/",
        "https://example.org/" + "x" * 2000,
    ],
)
def test_what_is_no_address(text: str) -> None:
    assert parse_url(text) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("arxiv:2605.05838v2", "arxiv:2605.05838"),
        (" ARXIV : 2605.05838 ", "arxiv:2605.05838"),
        ("doi:10.1000/X", "doi:10.1000/x"),
        ("url:https://example.org/", "url:https://example.org/"),
        ("openreview:aB_-9", "openreview:aB_-9"),
        ("s2:0123abcd", "s2:0123abcd"),
        ("arxiv:", None),
        ("arxiv", None),
        ("isbn:123", None),
        ("openreview:a b", None),
        ("kv-cache", None),
        ("title:x", None),
        ("", None),
    ],
)
def test_identifiers_with_their_scheme(text: str, expected: str | None) -> None:
    found = parse_id(text)
    assert (str(found) if found else None) == expected


@given(st.text(max_size=200))
def test_no_text_breaks_a_parser(text: str) -> None:
    for scheme in ("", "arxiv:", "doi:", "url:", "url:https://", "s2:"):
        found = parse_id(scheme + text)
        if found is not None:
            assert parse_id(str(found)) == PaperId(found.scheme, found.value)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("KV Cache", "kv-cache", True),
        ("Ebb & Flow!", "ebb  flow", True),
        ("The $O(n^2)$ tide", "The O(n2) tide", True),
        ("\\textbf{Tide}", "Tide", True),
        ("Café", "Cafe", True),
        ("Tides 1", "Tides 2", False),
        ("潮汐", "風", False),
        ("!!!", "???", False),
        ("!!!", "!!!", True),
    ],
)
def test_titles_are_compared_by_letters_and_digits(one: str, other: str, same: bool) -> None:
    assert (title_key(one) == title_key(other)) is same


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026", "2026"),
        ("2026-05", "2026-05"),
        ("2026-05-08", "2026-05-08"),
        ("2026-05-08T10:00:00Z", "2026-05-08"),
        (" 2026-05-08 ", "2026-05-08"),
        ("2026-13", "2026"),
        ("2026-02-30", "2026-02"),
        ("2026-5-8", ""),
        ("20260508", ""),
        ("8 May 2026", ""),
        ("", ""),
        (None, ""),
        ("later", ""),
    ],
)
def test_dates_are_taken_as_far_as_they_are_known(text: str | None, expected: str) -> None:
    assert clean_date(text) == expected
