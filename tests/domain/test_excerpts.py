import time

import pytest

from app.domain.excerpts import Marked, excerpt, written_words
from app.domain.words import stem


def shown(text: str, *terms: str) -> Marked:
    sought = [([stem(w) for w in term.rstrip("*").split()], term.endswith("*")) for term in terms]
    return excerpt(text, written_words(text), sought, stem)


@pytest.mark.parametrize(
    ("text", "terms", "expected"),
    [
        ("caches of keys", ("cache",), "[caches] of keys"),
        ("caches of keys", ("key", "cache"), "[caches] of [keys]"),
        ("a key value store", ("key value",), "a [key value] store"),
        ("a key and a value", ("key value",), ""),
        ("optimal transport", ("opt*",), "[optimal] transport"),
        ("Schrödinger, E\u0301clat!", ("schrodinger", "eclat"), "[Schrödinger], [E\u0301clat]!"),
        ("a  key\n  here", ("key",), "a [key] here"),
        ("nothing", ("key",), ""),
        ("", ("key",), ""),
        ("key", (), ""),
    ],
)
def test_marks_stand_on_words_as_written(text: str, terms: tuple[str, ...], expected: str) -> None:
    parts = shown(text, *terms)
    assert "".join(f"[{part}]" if marked else part for part, marked in parts) == expected


def test_the_part_with_most_different_terms_is_shown() -> None:
    filler = "and so on " * 50
    parts = shown(f"key key key {filler} a key in a cache {filler} end", "key", "cache")
    assert [part for part, marked in parts if marked] == ["key", "cache"]
    assert parts[0] == ("…", False)
    assert parts[-1] == ("…", False)
    assert len("".join(part for part, _ in parts).split()) < 40


def test_a_word_again_and_again_takes_no_time() -> None:
    begun = time.process_time()
    parts = shown("walrus " * 14_000, "walrus", "sea")
    assert time.process_time() - begun < 5  # what grows with the square would take minutes
    assert len(parts) < 80
