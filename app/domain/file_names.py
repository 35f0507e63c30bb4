"""Which titles can be names of files, and which names of files are pages'. Pure.

`[[KV cache]]` finds the file of that name in Obsidian and its like, and the page of that title here.
"""

from __future__ import annotations

import re
import unicodedata

from app.domain.grammar import is_attachment

MAX_STEM = 120  # bytes: with folder, `.md` and a conflict copy's mark well below 255
_FORBIDDEN = re.compile(r'[\\/:*?"<>|#^\[\]]')
# What no eye sees, or sees as a blank that it is not.
_UNSEEN = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
_DEVICE = re.compile(
    r"(?:con|prn|aux|nul|conin\$|conout\$|(?:com|lpt)[0-9¹²³])[ ]*(?:\..*)?", re.IGNORECASE
)
_OTHERS = re.compile(
    r"""\.sync-conflict- | \(conflict | \(conflicted[ ]copy | 's[ ]conflicted[ ]copy
      | ^~ | ~$ | ^\#.*\#$ | \.(?:tmp|temp|swp|swo|swx|part|partial|crdownload|icloud|bak|orig)$""",
    re.IGNORECASE | re.VERBOSE,
)


def is_device(name: str) -> bool:
    """Whether Windows takes it for a device, whatever stands behind a dot."""
    return _DEVICE.fullmatch(name) is not None


def is_file_name(title: str) -> bool:
    """Whether every file system takes a title as the name of a file as it stands.

    One that looks like a picture's or another file's is none: a wikilink by it is no link to a page.
    """
    if not title or title != title.strip() or title[0] in ".-" or title[-1] == ".":
        return False
    if _FORBIDDEN.search(title) or is_device(title) or title.lower().endswith(".md"):
        return False
    if is_attachment(title):
        return False
    if any(unicodedata.category(sign) in _UNSEEN for sign in title):
        return False
    if any(sign.isspace() and sign != " " for sign in title):
        return False
    if not unicodedata.is_normalized("NFC", title) or len(title.encode()) > MAX_STEM:
        return False
    return is_page(f"{title}.md")


def is_page(path: str) -> bool:
    """Whether a file of this path (relative, with slashes) is taken for a page.

    Hidden files and folders, what editors and sync programs leave beside a file (temp files, backups,
    conflict copies), names that are no Unicode, and what does not end in .md are none.
    """
    parts = path.split("/")
    if any(not part or part.startswith(".") for part in parts):
        return False
    if not parts[-1].lower().endswith(".md") or not _is_text(path):
        return False
    # Both `x.tmp.md` and `x.md~`: the mark stands before the ending or instead of it.
    return _OTHERS.search(stem(path)) is None


def stem(path: str) -> str:
    """A file's name without folder and ending."""
    name = path.rpartition("/")[2]
    return name[:-3] if name.lower().endswith(".md") else name


def _is_text(path: str) -> bool:
    try:
        path.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return "\x00" not in path
