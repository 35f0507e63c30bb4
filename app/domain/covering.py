"""Which article or episode is about one paper chiefly: it covers that paper. Pure.

Few, exact grounds: the piece's own title says the paper's title; or it links one paper only, and says
that paper's title in its text or the paper's coined name ("FlashAttention") in its own title.
"""

from __future__ import annotations

import re
import unicodedata

_LEAST_WORDS = 3  # a shorter title is a phrase that anybody may say: "Attention", "Scaling laws"
_COINED = re.compile(r"(?=\S*[^\W\d_])(?=\S*(?:\d|.[A-Z]))[\w.+-]{3,40}")
_WORD = re.compile(r"[\w.+-]*\w")
_PLAIN = re.compile(r"[^\W_]+")


def covers(paper: str, *, title: str, text: str, papers: int) -> str:
    """Why a piece covers the paper called `paper`, in a sentence; '' when nothing says so.

    `title` and `text` are the piece's, `papers` how many papers it links or names in all.
    """
    if _says(title, paper):
        return "Its title says the title of the paper."
    if papers != 1:
        return ""
    if _says(text, paper):
        return "It links this paper only, and says its title."
    name, colon, _ = paper.partition(":")
    if colon and _COINED.fullmatch(name.strip()) and name.strip() in _WORD.findall(title):
        return "It links this paper only, and has its name in its title."
    return ""


def _says(text: str, title: str) -> bool:
    """Whether the words of `title` stand in `text` one after the other."""
    wanted = _words(title)
    return wanted.count(" ") > _LEAST_WORDS and wanted in _words(text)


def _words(text: str) -> str:
    """The words of a text as titles are compared, with a space before and behind each."""
    return f" {' '.join(_PLAIN.findall(unicodedata.normalize('NFKC', text).casefold()))} "
