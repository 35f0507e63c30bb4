"""Where a text says the name of a page without linking to it, and the text with the link in it.

A place counts only when the grammar says so: the link is written there, the body is read again, and
it has to have exactly one link more and the same words as before. So nothing in code, formulas,
addresses, links or headings is ever touched. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from app.domain.file_names import is_file_name
from app.domain.markdown import WikiLink, is_linkable, plain_text, wikilinks
from app.domain.sentences import sentence_spans

SHORTEST = 3  # characters of a name that is looked for
MOST_NAMES = 8  # of one page
_TRIED = 12  # places in one body: each is read anew
_READ = 60_000  # characters of a text that are looked at
_ADDRESS = re.compile(r"https?://\S+", re.I)
_HEADING = re.compile(r"^ {0,3}#{1,6}[ \t].*$|^.+\n {0,3}(?:=+|-+)[ \t]*$", re.M)


@dataclass(frozen=True)
class Mention:
    """A name in a text: the sentence around it, where the name stands in that, and how it is written.

    `body` is the body with the link in it; None for a text that cannot be edited (an abstract).
    """

    sentence: str
    span: tuple[int, int]
    written: str
    body: str | None = None


def sought(names: Sequence[str]) -> tuple[str, ...]:
    """Those of a page's names that are looked for, its title first; none that is too short."""
    told = (" ".join(name.split()) for name in names)
    wanted = [name for name in told if len(name) >= SHORTEST and re.search(r"[^\W\d_]", name)]
    return tuple(dict.fromkeys(wanted))[:MOST_NAMES]


def in_body(body: str, names: Sequence[str], *, title: str, slug: str) -> Mention | None:
    """The first place where a body says one of the names, and the body with a link to the page there.

    The link is to the title, or to the address where no link or no file can be called so.
    """
    if len(body) > _READ:
        return None
    places = list(_places(body, names))
    if not places:
        return None
    shut = [found.span() for rule in (_HEADING, _ADDRESS) for found in rule.finditer(body)]
    before, words = wikilinks(body), plain_text(body)
    tried = 0
    for start, end in places:
        if any(left <= start < right for left, right in shut):
            continue
        if any(link.start <= start < link.end for link in before):
            continue
        tried += 1
        if tried > _TRIED:
            return None
        for link in _links(body[start:end], title, slug):
            linked = f"{body[:start]}{link}{body[end:]}"
            made = _made(linked, start, len(before))
            if made is not None and plain_text(linked) == words:
                return _mention(made.sentence, body[start:end], linked)
    return None


def in_text(text: str, names: Sequence[str]) -> Mention | None:
    """The first place where a plain text, such as an abstract, says one of the names."""
    for start, end in _places(text[:_READ], names):
        for left, right in sentence_spans(text[:_READ]):
            if left <= start < right:
                right = max(right, end)
                return Mention(text[left:right], (start - left, end - left), text[start:end])
    return None


def _places(text: str, names: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Where the names stand as whole words, in order; of names that begin alike the longest."""
    patterns = [_pattern(name) for name in sorted(names, key=len, reverse=True)]
    if patterns:
        for found in re.finditer("|".join(patterns), text):
            yield found.span()


def _pattern(name: str) -> str:
    """A name with capitals inside is one as it is written; any other in whatever case."""
    words = r"[ \t]+".join(map(re.escape, name.split()))
    exact = any(letter.isupper() for letter in name[1:] if letter.isalpha()) and " " not in name
    whole = rf"(?<![\w-]){words}(?![\w-])"
    return whole if exact else f"(?i:{whole})"


def _links(written: str, title: str, slug: str) -> Iterator[str]:
    """The ways to write the link, the plainest first; in a table the bar wants a backslash."""
    target = title if is_linkable(title) and is_file_name(title) else slug
    if written == target:
        yield f"[[{target}]]"
    yield f"[[{target}|{written}]]"
    yield f"[[{target}\\|{written}]]"


def _made(linked: str, start: int, before: int) -> WikiLink | None:
    """The link that begins at `start`, if it is the only one that came."""
    after = wikilinks(linked)
    if len(after) != before + 1:
        return None
    return next((link for link in after if link.start == start), None)


def _mention(sentence: str, written: str, linked: str) -> Mention:
    at = max(sentence.find(written), 0)
    return Mention(sentence, (at, min(at + len(written), len(sentence))), written, linked)
