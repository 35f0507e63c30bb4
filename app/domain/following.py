"""Which file a link leads to in Obsidian. Pure.

It follows `[[X]]` to the file that is called X, in whatever case, or whose path ends so. The names in a
file's `aliases` are for its search alone: a link by one of them leads nowhere, and a click on it makes an
empty file of that name.
"""

from __future__ import annotations

import re
import unicodedata

_UP = re.compile(r"^(?:\.{0,2}/)+")


def plain(name: str) -> str:
    """A name as names of files are compared there: NFC, in lower case, blanks around it taken off."""
    kept = unicodedata.normalize("NFC", name.replace("\N{NO-BREAK SPACE}", " "))
    return kept.strip().lower()


def finds(name: str, path: str) -> bool:
    """Whether a link by this name, without heading and text, leads to the file of this path.

    That another file of the same name lies nearer is not seen here.
    """
    wanted, there = (plain(each).removesuffix(".md") for each in (name, path))
    wanted = _UP.sub("", wanted)
    return bool(wanted) and (there == wanted or there.endswith(f"/{wanted}"))
