r"""Text of papers and of models, made plain: what the eye cannot see is gone, and it links nowhere.

What goes to a model and what comes from one passes through here, in both directions: an instruction
that hides in invisible characters reaches no model, and nothing hidden is carried out by a reply.
"""

from __future__ import annotations

import re
from collections.abc import Callable

# Controls without the line feed and the tab; soft hyphen; joiners; fillers that show as nothing;
# marks of direction; selectors of variants; tags; lone surrogates; what is no character.
_INVISIBLE = re.compile(
    "[\0-\x08\x0b-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f"
    "\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ud800-\udfff\ufdd0-\ufdef\ufe00-\ufe0f\ufeff"
    "\uffa0\ufff0-\ufffb\ufffe\uffff\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U000e0fff]"
)
_LINE_END = re.compile("\r\n?|[\x0b\x0c\x85\u2028\u2029]")
_LONGEST = 4_000  # characters of a text that are looked through for markup

_HIDDEN = re.compile(r"<!--.*?(?:-->|\Z)|<(script|style)\b.*?(?:</\1\s*>|\Z)", re.S | re.I)
# With an attribute or alone in its brackets: "a <b and c> d" is no tag.
_TAG = re.compile(
    r"</?[a-z][a-z0-9-]{0,40}(?:\s[^<>]{0,1000}=[^<>]{0,1000}|\s*/?)>|<![^<>]{0,1000}>", re.I
)
_DEFINITION = re.compile(r"^ {0,3}\[[^\]\n]{1,200}\]:.*$", re.M)
_LINKED = re.compile(
    r"!?\[([^\[\]]{0,500})\](?:\([^()]{0,1000}(?:\([^()]{0,200}\)[^()]{0,200})?\)|\[[^\[\]]{0,200}\])"
)
_WIKILINK = re.compile(r"!?\[\[(?:[^\[\]|]{0,200}\|)?([^\[\]|]{0,200})\]\]")
_ADDRESS = re.compile(
    r"<?(?:(?:https?|ftp|file)://|\b(?:mailto:|javascript:|data:[a-z]+/|www\.))[^\s<>]*>?", re.I
)


def plain(text: str) -> str:
    """The text with nothing invisible in it and its lines ended by line feeds alone.

    Of the ways to write one character it changes none. Any database takes the result.
    """
    return _INVISIBLE.sub("", _LINE_END.sub("\n", text))


def line(text: str) -> str:
    """The same on one line."""
    return " ".join(plain(text).split())


def prose(text: str, longest: int) -> str:
    """A remark on one line without links, addresses, HTML or pictures, cut at a word.

    At most `longest` characters; one that was cut ends in "…". What a link was on stays.
    """
    said = plain(text[: max(_LONGEST, longest)])
    for take_out in (_without_tags, _without_links, _without_tags):
        said = _settled(take_out, said)
    said = _ADDRESS.sub(" ", said)
    return cut(" ".join(said.split()), longest)


def _without_tags(text: str) -> str:
    return _TAG.sub(" ", _HIDDEN.sub(" ", text))


def _without_links(text: str) -> str:
    return _LINKED.sub(r"\1", _WIKILINK.sub(r"\1", _DEFINITION.sub(" ", text)))


def _settled(take_out: Callable[[str], str], text: str) -> str:
    """The text when no more comes out: what is taken out may have held halves together."""
    for _ in range(5):
        before, text = text, take_out(text)
        if text == before:
            break
    return text


def cut(text: str, longest: int) -> str:
    """The text, or its first whole words and "…" where it is longer."""
    if len(text) <= longest:
        return text
    head = text[: longest - 1]
    if not text[longest - 1].isspace():
        head = head.rpartition(" ")[0] or head
    return head.rstrip(" ,;:.") + "…"
