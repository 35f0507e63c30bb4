"""BibTeX's way of writing, both ways."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.bibtex import entry, from_tex, read_names, to_tex, write_name
from app.domain.citations import Citation, Name


@pytest.mark.parametrize(
    ("tex", "words"),
    [
        (r"{\"O}zg{\"u}r", "Özgür"),
        (
            r"Ros{\'\i}, \c{c}a, \v s, \ss, stra{\ss}e, \o re, {\AA}ngstr\"om",
            "Rosí, ça, š, ß, straße, øre, Ångström",
        ),
        (r"{BERT}s \& co: 5\% of {\#}1\_a", "BERTs & co: 5% of #1_a"),
        (r"the $\mathcal{O}(n^{2})$ of {It}", r"the $\mathcal{O}(n^{2})$ of It"),
        (r"\$5 and \$6", "$5 and $6"),
        (r"pages 1--2, a --- b, ``so''", "pages 1–2, a — b, “so”"),
        (r"\textbf{bold} and \emph{more {Of} it}", "bold and more Of it"),
        (r"an {unbalanced", "an unbalanced"),
        ("", ""),
    ],
)
def test_the_words_of_a_value(tex: str, words: str) -> None:
    assert from_tex(tex) == words


@given(st.text(alphabet=st.sampled_from("ab Cé\\{}$&%#_^~-`'\"<|,.1"), max_size=30))
def test_any_text_comes_back_as_it_went(text: str) -> None:
    plain = " ".join(text.split())
    for capitals in (False, True):
        assert from_tex(to_tex(plain, capitals=capitals)) == plain


def test_words_with_capitals_are_kept_from_styles() -> None:
    assert to_tex("How BERT reads mRNA in A/B tests", capitals=True) == (
        "How {BERT} reads {mRNA} in {A}/{B} tests"
    )


@pytest.mark.parametrize(
    ("field", "shown"),
    [
        ("Doe, J. and Ana de la Cruz", ["J. Doe", "Ana de la Cruz"]),
        ("van der Berg, K.", ["K. van der Berg"]),
        ("Last, Jr, First", ["First Last Jr"]),
        ("{Tide and Gauge Office} and OpenLab", ["Tide and Gauge Office", "OpenLab"]),
        (r"{\'E}mile Zola", ["Émile Zola"]),
        ("family=Berg, given=Karl, prefix=van der", ["Karl van der Berg"]),
        ("Ann One; Bo Two; Cy Three", ["Ann One", "Bo Two", "Cy Three"]),
        ("Ann One, Bo Two, Cy Three, Di Four", ["Ann One", "Bo Two", "Cy Three", "Di Four"]),
        (" and and ", []),
    ],
)
def test_names_of_a_field(field: str, shown: list[str]) -> None:
    names, others = read_names(field)
    assert [name.shown for name in names] == shown
    assert not others
    again, _ = read_names(" and ".join(write_name(name) for name in names))
    assert again == names


def test_a_list_of_names_that_goes_on() -> None:
    assert read_names("Doe, J. and others") == ((Name("Doe", "J."),), True)


def test_an_entry_of_anything_is_one_entry() -> None:
    """Braces, keys and field names of any kind do not break out of it."""
    text = entry(
        Citation(
            title="Half } a { brace",
            key="key",
            kind="ar}ticle",
            doi="10.1/a}b",
            urls=("https://example.org/{x}",),
            fields={"note": "a } b", "bad name{": "x"},
        )
    )
    assert text.startswith("@misc{key,")
    assert "bad name" not in text
    assert text.count("{") == text.count("}")


def test_names_that_another_program_divides_by_bars() -> None:
    names, _ = read_names("Doe, Jane | Roe, Cy | Lee, Bo B.")
    assert [name.shown for name in names] == ["Jane Doe", "Cy Roe", "Bo B. Lee"]


def test_other_keys_are_written_as_tools_take_them() -> None:
    assert "ids = {a-b, c}" in entry(Citation(title="Tides", key="key", keys=("a=b", "c}", "c")))
