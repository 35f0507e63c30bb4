"""A text as it reads in a letter without HTML."""

from __future__ import annotations

import pytest

from app.mail.plain import WIDTH, as_text
from app.rendering import outward, render_body


def text(body: str) -> str:
    return as_text(
        outward(render_body(body, lambda keys: {}).html, base="https://w", formulas=False)
    )


@pytest.mark.parametrize(
    ("body", "reads"),
    [
        ("# One\n\nwords\n\n## Two\n\nmore", "One\n===\n\nwords\n\nTwo\n---\n\nmore\n"),
        ("- one\n- two\n  - three\n  - four\n\nend", "- one\n- two\n  - three\n  - four\n\nend\n"),
        ("3. three\n4. four", "3. three\n4. four\n"),
        ("> said\n> so\n\nend", "> said so\n\nend\n"),
        ("see [here](https://a.b/c) now", "see here <https://a.b/c> now\n"),
        ("<https://a.b/c>", "https://a.b/c\n"),
        ("see [[Tide tables]]", "see Tide tables\n"),
        ("a $x_i^2/\\sqrt{n}$ b", "a x_i^2/√n b\n"),
        ("| a | b |\n|---|--:|\n| 1 | 2 |", "a | b\n1 | 2\n"),
        ("- [x] done\n- [ ] open", "- [x] done\n- [ ] open\n"),
        ("said[^1]\n\n[^1]: by Ada", "said[1]\n\n--------------------\n\n1. by Ada\n"),
        ("*one* **two** `three` &amp; <b>", "one two three & <b>\n"),
        ("", "\n"),
    ],
)
def test_what_markdown_means_is_readable(body: str, reads: str) -> None:
    assert text(body) == reads


def test_lines_are_wrapped_and_diagrams_are_not() -> None:
    diagram = "  a ──► " + "b" * 100 + "\n\n  c"
    told = text(f"{'word ' * 60}\n\n- {'item ' * 40}\n\n```\n{diagram}\n```\n\nend")
    lines = told.split("\n")
    assert all(len(line) <= WIDTH for line in lines if "bbb" not in line)
    assert "      a ──► " + "b" * 100 in lines
    at = next(n for n, line in enumerate(lines) if line.startswith("- item"))
    assert lines[at + 1].startswith("  item")  # under the words of its entry
    assert told.split().count("word") == 60 and told.split().count("item") == 40


def test_nothing_a_text_holds_breaks_it() -> None:
    for body in (
        "](<",
        "<ul><li>",
        "> - > 1. # x",
        "|a|\n|-|",
        "\0\x1b[31m",
        "[[[[x]]]]",
        "- \n  - \n",
    ):
        assert isinstance(text(body), str)
