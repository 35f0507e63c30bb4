"""The terms of one paper: what is one, how it is folded, and that no text is too strange."""

import pytest

from app.domain.terms import LONGEST, MOST, term_key, terms


def keys(title: str, text: str = "") -> list[str]:
    return [term.key for term in terms(title, text)]


def written(title: str, text: str = "") -> list[str]:
    return [term.written for term in terms(title, text)]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Mixture of Experts", "mixture-of-experts"),
        ("tea kettle", "Tea Kettles"),
        ("fine-tuning", "finetuning"),
        ("multi-modal models", "Multimodal Model"),
        ("pre\u2010training", "pre-training"),
        ("\ufb01ne-tuning", "fine-tuning"),  # a ligature
    ],
)
def test_ways_of_writing_a_term_have_one_key(one: str, other: str) -> None:
    assert term_key(one) == term_key(other) != ""


def test_different_terms_have_different_keys() -> None:
    assert len({term_key(name) for name in ("tea leaves", "tea leaf oil", "leaves of grass")}) == 3


def test_terms_are_runs_of_words_without_praise_and_general_heads() -> None:
    found = written(
        "Kettles", "We propose a novel leaf rolling method that improves black tea oxidation."
    )
    assert "leaf rolling" in found
    assert "black tea oxidation" in found
    assert not [term for term in found if "novel" in term or "method" in term or "propose" in term]


def test_what_stands_in_the_title_or_is_said_again_weighs_more() -> None:
    weights = {
        term.written.lower(): term.weight
        for term in terms(
            "Cold withering of tea",
            "Cold withering is gentle. Here cold withering meets pan firing, then steam drying. "
            "Pan firing is hot.",
        )
    }
    assert weights["cold withering"] == 4
    assert weights["pan firing"] == 2
    assert weights["steam drying"] == 1


@pytest.mark.parametrize(
    ("text", "both"),
    [
        ("We study leaf area index (LAI) of shrubs.", "leaf area index (LAI)"),
        ("A mixture of brewers (MoB) serves all.", "mixture of brewers (MoB)"),
        ("Two tea oxidation levels (TOLs) were seen.", "tea oxidation levels (TOL)"),
        ("The LAI (leaf area index) of shrubs grows.", "leaf area index (LAI)"),
        ("Using the green leaf volatile (GLV; see below) count", "green leaf volatile (GLV)"),
    ],
)
def test_acronyms_are_joined_with_what_they_stand_for(text: str, both: str) -> None:
    found = {term.key: term.written for term in terms("Leaves", text)}
    long, _, short = both[:-1].rpartition(" (")
    assert found[term_key(long)] == found[term_key(short)] == both


@pytest.mark.parametrize(
    "text",
    [
        "The harvest was good (see Table 3) this year.",
        "It grew well (WHO) in shade.",
        "Leaves fell (USA, 2021) early.",
        "Nothing stands before it: (ABC)",
        "(XYZ) begins the text",
    ],
)
def test_brackets_that_hold_no_acronym_make_none(text: str) -> None:
    assert not [term for term in terms("Leaves", text) if term.written.endswith(")")]


@pytest.mark.parametrize(
    "title", ["LeafNet: Cold Withering of Tea", "Steep - Cold Withering of Tea"]
)
def test_name_a_title_gives_its_own_system_is_none_of_its_terms(title: str) -> None:
    name = title.split()[0].strip(":")
    assert term_key(name) not in keys(title, f"{name} withers tea. {name} is a program.")
    assert term_key(name) in keys("Withering", f"We run LeafNet and STEEP. {name.upper()} withers.")


def test_title_in_capitals_is_read_as_any_other() -> None:
    found = terms("COLD WITHERING OF GREEN TEA LEAVES", "")
    assert "cold withering" in [term.written for term in found]
    assert all(term.written.islower() for term in found)


def test_title_case_is_not_kept_but_acronyms_are() -> None:
    found = written("Cold Withering of UV Lit Tea Gardens")
    assert "cold withering" in found
    assert any(term.startswith("UV lit tea") for term in found)


def test_text_decides_how_a_term_of_the_title_is_written() -> None:
    assert "Assam flush" in written("Assam Flush Timing", "An Assam flush is early.")


def test_formulas_and_macros_are_no_words() -> None:
    found = written(
        "Steeping",
        r"The heat loss $\mathcal{L}_{tea leaf} = \sum_i x_i$ of a pot \textbf{wall} and \(water "
        r"bath\) with \emph{clay lid} cooling.",
    )
    assert not [term for term in found if "mathcal" in term or "textbf" in term or "emph" in term]
    assert not [term for term in found if "water bath" in term or "tea leaf" in term]


def test_marks_part_terms() -> None:
    assert not [term for term in written("Pots", "clay pot, iron lid; tea leaf. Water bath") if
                "pot iron" in term or "leaf water" in term]  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        "Wir untersuchen die langsame Welkung von Teeblättern und zeigen, dass die Wärme der Kanne "
        "den Geschmack der Blätter stärker verändert als die Härte des Wassers in der Kanne selbst, "
        "sofern die Blätter vorher lange genug gewelkt wurden.",
        "茶叶的缓慢萎凋会改变茶汤的味道，而水的硬度影响较小。" * 5,
        "Медленное завяливание чайного листа меняет вкус настоя сильнее чем жёсткость воды " * 4,
    ],
)
def test_text_in_another_language_gives_only_acronyms(text: str) -> None:
    assert terms("", text) == []
    assert [term.key for term in terms("", text + " Leaf Area Index (LAI)")] != []


@pytest.mark.parametrize(("title", "text"), [("", ""), ("  ", "\n\n"), ("!?", "... --- ((((")])
def test_nothing_said_gives_no_term(title: str, text: str) -> None:
    assert terms(title, text) == []


def test_a_paper_has_few_terms_and_keys_are_short() -> None:
    text = " ".join(f"the leaf{chr(97 + n % 26)} pot{chr(97 + n // 26)} lid," for n in range(600))
    found = terms("Tea", text + " antidisestablishmentarian" * 4)
    assert 0 < len(found) <= MOST
    assert all(0 < len(term.key) <= LONGEST for term in found)
    assert len({term.key for term in found}) == len(found)


def test_same_text_gives_the_same_terms() -> None:
    text = "Cold withering and pan firing of tea. Pan firing (PF) is hot."
    assert terms("Tea", text) == terms("Tea", text)


HOSTILE = {
    "one long word": "a" * 200_000,
    "hyphens": "a-" * 100_000,
    "brackets": "(" * 100_000,
    "bracketed": "(AB) " * 40_000,
    "acronyms after long runs": ("b " * 30 + "(ABCDEFGH) ") * 3_000,
    "dollars": "$" * 100_000,
    "backslashes": "\\(" * 50_000,
    "of of of": "mixture of " * 50_000,
    "one run": "and the of " * 5_000 + "leaf " * 60_000,
    "colons": ":" * 100_000,
    "nul and surrogates": "leaf\x00rolling \ud800 pan firing " * 5_000,
    "combining marks": "e\u0301\u0301\u0301 leaf " * 20_000,
    "prefixes": "multi-" * 50_000,
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_hostile_texts_give_few_short_terms(text: str) -> None:
    for title, body in ((text, ""), ("Tea", text)):
        found = terms(title, body)
        assert len(found) <= MOST
        assert all(0 < len(term.key) <= LONGEST for term in found)
        assert all("\n" not in term.written for term in found)
