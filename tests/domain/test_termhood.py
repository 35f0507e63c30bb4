"""Which terms of a wiki deserve a page: joined, weighed against their neighbours, and named."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from app.domain.termhood import Covered, Subject, Use, expansions, named, subjects, variants
from app.domain.terms import term_key


def said(written: str, papers: Iterable[int], weight: int = 3, *, under: str = "") -> list[Use]:
    """These papers have the term; `under` the key of its acronym, say."""
    return [Use(paper, term_key(under or written), written, weight) for paper in papers]


def found(*uses: list[Use], papers: int = 100, **more: object) -> dict[str, Subject]:
    every = [use for some in uses for use in some]
    return {
        each.title: each
        for each in subjects(every, papers=papers, full=more.pop("full", {}), **more)  # type: ignore[arg-type]
    }


def test_a_term_of_three_papers_is_a_subject_and_of_two_is_none() -> None:
    judged = found(said("cold withering", [1, 2, 3]), said("pan firing", [4, 5]))
    assert judged.keys() == {"Cold withering"}
    assert judged["Cold withering"].papers == (1, 2, 3)
    assert 0 < judged["Cold withering"].confidence < 1


def test_ways_of_writing_are_one_subject() -> None:
    judged = found(said("Cold Withering", [1, 2]), said("cold-withering", [3, 4]))
    assert [each.papers for each in judged.values()] == [(1, 2, 3, 4)]


def test_acronym_and_expansion_are_one_subject_where_papers_say_so() -> None:
    both = "leaf area index (LAI)"
    uses = [
        *said(both, [1, 2], under="LAI"),
        *said(both, [1, 2]),
        *said("LAI", [3, 4]),
        *said("leaf area index", [5]),
        *said("LAI map", [6, 7]),
        *said("leaf area index map", [8]),
    ]
    full = expansions([(both, 2)])
    judged = found(uses, full=full)
    assert judged["Leaf area index"].papers == (1, 2, 3, 4, 5, 6, 7, 8)
    assert "LAI" in judged["Leaf area index"].aliases
    assert judged["LAI map"].papers == (6, 7, 8)
    assert {term_key("LAI map"), term_key("leaf area index map")} <= variants(
        term_key("LAI map"), full
    )


def test_one_paper_or_a_divided_vote_makes_no_expansion() -> None:
    assert expansions([("leaf area index (LAI)", 1)]) == {}
    assert expansions([("leaf area index (LAI)", 2), ("low acid infusion (LAI)", 2)]) == {}
    assert expansions([("leaf area index (LAI)", 3), ("low acid infusion (LAI)", 2)]) == {
        term_key("LAI"): term_key("leaf area index")
    }


def test_what_most_papers_say_is_no_subject_and_nor_is_a_piece_of_it() -> None:
    judged = found(
        said("green tea", range(60)),
        said("tea", range(20), weight=5),
        said("cold withering", range(60, 64)),
    )
    assert judged.keys() == {"Cold withering"}
    assert "Green tea" in found(said("green tea", [1, 2, 3, 4]), papers=5)  # too few to tell


def test_count_of_papers_that_were_not_read_tells_what_is_common() -> None:
    uses = said("green tea", range(10))
    assert found(uses, counts={term_key("green tea"): 90}) == {}


def test_a_piece_that_mostly_stands_in_one_longer_term_gives_way_to_it() -> None:
    judged = found(said("leaf area index", [1, 2, 3, 4]), said("area index", [1, 2, 3, 5]))
    assert judged.keys() == {"Leaf area index"}


def test_a_longer_term_stands_beside_a_shorter_that_has_papers_of_its_own() -> None:
    judged = found(said("leaf area index", [1, 2, 3]), said("leaf area", [4, 5, 6, 7, 8, 9]))
    assert judged.keys() == {"Leaf area index", "Leaf area"}
    assert {1, 2, 3} < set(judged["Leaf area"].papers)  # who says the longer says the shorter


def test_two_names_for_the_same_papers_are_proposed_once() -> None:
    judged = found(said("cold withering", [1, 2, 3, 4], 4), said("withering time", [1, 2, 3], 3))
    assert judged.keys() == {"Cold withering"}
    reworded = found(said("leaf optimization", [1, 2, 3], 4), said("leaf optimizer", [5, 6, 7], 3))
    assert reworded.keys() == {"Leaf optimization"}


def test_more_papers_titles_and_unplaced_papers_are_surer() -> None:
    def sure(uses: list[Use], **more: object) -> float:
        return next(iter(found(uses, **more).values())).confidence

    few = said("cold withering", [1, 2, 3], 2)
    assert sure(said("cold withering", [1, 2, 3], 3)) > sure(few)
    assert sure(said("cold withering", range(9), 2)) > sure(few)
    assert sure(few, unplaced={1, 2, 3}) > sure(few)


def test_a_single_word_is_a_subject_only_when_it_names_something() -> None:
    judged = found(
        said("low-rank", [1, 2, 3], 4),
        said("fermentation", [4, 5, 6], 4),
        said("RAG", [7, 8, 9], 4),
    )
    assert judged.keys() == {"Fermentation", "RAG"}


@pytest.mark.parametrize(
    ("ways", "title", "aliases"),
    [
        ({"cold withering": 3, "Cold Withering": 5}, "Cold withering", ()),
        ({"UV light": 2, "uv light": 1}, "UV light", ()),
        ({"Monte Carlo brewing": 3}, "Monte Carlo brewing", ()),
        ({"text-to-tea": 1, "Text-to-Tea": 2}, "Text-to-tea", ()),
        ({"leaf area index (LAI)": 2, "LAI": 5}, "Leaf area index", ("LAI",)),
        ({"tea kettle": 2, "tea kettles": 3}, "Tea kettles", ("Tea kettle",)),
        ({"tea engineering": 4, "tea engineers": 2}, "Tea engineering", ()),
        ({"LAI": 4}, "LAI", ()),
    ],
)
def test_title_and_other_names(ways: dict[str, int], title: str, aliases: tuple[str, ...]) -> None:
    assert named(ways) == (title, aliases)


def subject(name: str, papers: Iterable[int] = (1, 2, 3)) -> Subject:
    key = term_key(name)
    return Subject(key, (key,), name, (), tuple(papers))


def test_a_concept_covers_what_its_name_has_within() -> None:
    covered = Covered([(7, "Cold withering of tea"), (8, "LAI")], {"lai": "leaf area index"})
    assert covered.has(subject("Cold witherings"), {})
    assert covered.has(subject("leaf area index"), {})
    assert not covered.has(subject("Cold leaf"), {})


def test_a_concept_with_most_of_the_papers_covers_what_its_name_says_a_part_of() -> None:
    covered = Covered([(7, "Withering"), (8, "Kettles")], {})
    term = subject("Cold withering")
    assert covered.has(term, {7: 2})
    assert not covered.has(term, {7: 1})
    assert not covered.has(term, {8: 3})


def test_no_uses_no_subjects() -> None:
    assert subjects([], papers=0, full={}) == []
