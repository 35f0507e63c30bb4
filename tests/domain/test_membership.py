"""Papers as members of threads: how sure, in which role, and with which line of their own."""

from __future__ import annotations

import pytest

from app.domain.linking import Candidate
from app.domain.membership import FLOOR, ThreadText, best, membership, reason, role
from app.domain.records import Role

THREAD = ThreadText(
    7, "Boats wait for nothing", "Boats that leave at slack water lose no time.", "2024-03-01"
)


def member(text: str, confidence: float = 0.999, **more: str):  # type: ignore[no-untyped-def]
    told = {"title": "On boats", "published": "2024-05-01", **more}
    candidate = Candidate(1, 7, confidence, True, ())
    return membership(candidate, THREAD, text=text, **told)


def test_a_paper_that_speaks_of_the_claim_is_surer_than_one_that_does_not() -> None:
    bears = member("We show that boats which leave at slack water lose no time at all.")
    beside = member("We paint lamps in many colours for the harbour of a town.")
    assert bears.confidence > beside.confidence


def test_a_thread_is_proposed_for_less_than_a_concept_would_be() -> None:
    text = "We paint lamps in many colours for the harbour of a town."
    assert member(text, 0.9).confidence < FLOOR < member(text, 0.9999).confidence


def test_the_line_is_a_sentence_of_the_paper_that_says_what_it_adds() -> None:
    text = (
        "Recent harbours are full of boats. We show that boats which leave at slack water save 20% "
        "of their fuel. Code is publicly available at a harbour near you."
    )
    found = member(text)
    assert found.line.startswith("We show that boats") and found.line in text
    for each in found.sentences:
        assert each.text in text
        assert all(each.text[a:b] for a, b in each.spans)


def test_without_a_text_the_title_is_the_line() -> None:
    assert member("").line == "On boats"


@pytest.mark.parametrize(
    ("title", "text", "published", "expected"),
    [
        ("Boats", "We sail.", "2024-02-01", Role.STARTS),
        ("Boats", "Contrary to what is believed, boats lose time.", "2024-04", Role.CONTRADICTS),
        ("Boats", "We prove a lower bound on waiting.", "2024-04", Role.FORMALISES),
        ("An empirical study of boats", "We sail.", "2024-04", Role.MEASURES),
        ("Boats", "We extend slack water sailing to rivers.", "2024-04", Role.EXTENDS),
        ("Boats", "We deploy the rule in a ferry line.", "2024-04", Role.APPLIES),
        ("Boats", "We sail.", "2024-04", Role.SUPPORTS),
        ("Boats", "We sail.", "", Role.SUPPORTS),
    ],
)
def test_cues_and_dates_decide_the_role(
    title: str, text: str, published: str, expected: Role
) -> None:
    assert role(title, text, published=published, first=THREAD.first) is expected


def test_at_most_two_threads_of_a_paper_are_proposed() -> None:
    found = [member("We show slack water helps boats.", sure) for sure in (0.9995, 0.9999, 0.9997)]
    ranked = best(found)
    assert [proposed for _, proposed in ranked] == [True, True, False]
    assert [each.confidence for each, _ in ranked] == sorted(
        (each.confidence for each in found), reverse=True
    )


def test_the_reason_names_members_and_what_the_paper_would_do() -> None:
    found = member("We prove a lower bound on waiting.")
    assert reason(found, ["Ferries", "Punts"]) == (
        "It reads like “Ferries” and “Punts”; it would formalise the claim."
    )
