r"""BibTeX's way of writing: LaTeX within its values as plain Unicode and back, names, and whole entries.

What is between dollar signs is a formula and stays as it is both ways. `from_tex(to_tex(text))` is
the text again, but for runs of white space. Pure, linear, and any text will do.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from functools import lru_cache

from app.domain.citations import (
    PAGES,
    Citation,
    Name,
    address,
    other_keys,
    venue_field,
    with_unique_keys,
)
from app.domain.latex import MAX_TITLE, formulas, readable, without_macros

_MARKS = {
    '"': "\u0308", "'": "\u0301", "`": "\u0300", "^": "\u0302", "~": "\u0303", "=": "\u0304",
    ".": "\u0307", "u": "\u0306", "v": "\u030c", "H": "\u030b", "c": "\u0327", "k": "\u0328",
    "d": "\u0323", "b": "\u0331", "r": "\u030a",
}  # fmt: skip
_LETTERS = {
    "ss": "ß", "ae": "æ", "AE": "Æ", "oe": "œ", "OE": "Œ", "aa": "å", "AA": "Å", "o": "ø", "O": "Ø",
    "l": "ł", "L": "Ł", "i": "ı", "j": "ȷ", "dh": "ð", "DH": "Ð", "th": "þ", "TH": "Þ", "dj": "đ",
    "DJ": "Đ", "ng": "ŋ", "NG": "Ŋ", "S": "§", "P": "¶", "pounds": "£", "copyright": "©",
    "ldots": "…", "dots": "…", "textellipsis": "…", "textbackslash": "\\", "textasciitilde": "~",
    "textasciicircum": "^", "textbraceleft": "{", "textbraceright": "}", "textdollar": "$",
    "textunderscore": "_", "textendash": "–", "textemdash": "—", "textquoteleft": "‘",
    "textquoteright": "’", "textquotedblleft": "“", "textquotedblright": "”", "textquotesingle": "'",
    "textquotedbl": '"', "textless": "<", "textgreater": ">", "textbar": "|", "textregistered": "®",
    "texttrademark": "™", "textdegree": "°", "textperiodcentered": "·", "textbullet": "•",
    "guillemotleft": "«", "guillemotright": "»", "quotedblbase": "„", "quotesinglbase": "‚",
    "slash": "/", "LaTeX": "LaTeX", "TeX": "TeX", "BibTeX": "BibTeX", "backslash": "\\",
    "lbrace": "{", "rbrace": "}", "relax": "", "noop": "", "protect": "", "newline": " ",
}  # fmt: skip
_TOKEN = re.compile(
    r"\\(?P<special>[&%$#_{}\\ ,;:!/@*-])"
    r"|\\(?P<mark>[\"'`^~=.]|[uvHckdbr](?![a-zA-Z]))[ ]?(?:\{[ ]?(?P<one>[^\\{}]?)[ ]?\}"
    r"|\{?\\(?P<dotless>[ij])(?![a-zA-Z])[ ]?\}?|(?P<other>[^\\{} ]))"
    r"|\\(?P<name>[a-zA-Z]+)(?:\{\}|[ ]|(?![a-zA-Z]))"
    r"|(?P<dash>---?)|(?P<open>``)|(?P<close>'')|(?P<tie>~)"
)
_SPECIALS = {
    " ": " ",
    ",": " ",
    ";": " ",
    ":": " ",
    "!": "",
    "/": "",
    "@": "",
    "-": "",
    "*": "",
    "\\": " ",
}
_NEEDED = re.compile(r"[\\{}~]|--|``|''")
# A sign that a macro stood for, and a formula, stand aside as one private character each while braces
# are taken off. A text that has such characters of its own loses them.
_ASIDE = {sign: chr(0xE500 + at) for at, sign in enumerate("\\{}$~")}
_BACK = str.maketrans({aside: sign for sign, aside in _ASIDE.items()})
_FIRST_FORMULA, _FORMULAS = 0xE600, 500
_PRIVATE = re.compile("[\ue500-\ue504\ue600-\ue7f3]")
_FORMULA_PLACE = re.compile("[\ue600-\ue7f3]")


def from_tex(text: str) -> str:
    r"""The words of a BibTeX value: `{\"O}zg{\"u}r` -> "Özgür", `{BERT}s \& co` -> "BERTs & co"."""
    line = " ".join(readable(text).split())
    if not _NEEDED.search(line):
        return line
    return _from_tex(line) if len(line) <= 2_000 else _decoded(line)


def _decoded(line: str) -> str:
    line = _PRIVATE.sub("\ufffd", line)
    if len(line) > MAX_TITLE:
        return re.sub(r"(?<!\\)[{}]", "", line)
    held: list[str] = []
    parts: list[str] = []
    at = 0
    for found in formulas(line):
        if len(held) == _FORMULAS:
            break
        parts += [line[at : found.start], chr(_FIRST_FORMULA + len(held))]
        held.append(f"${found.source}$")
        at = found.end
    words = _TOKEN.sub(_letter, "".join([*parts, line[at:]]))
    if re.search(r"\\[a-zA-Z]", words):
        words = without_macros(words)
        if not re.search(r"\\[a-zA-Z]+\{", words):
            words = re.sub(r"[{}]", "", words)
    else:
        words = re.sub(r"[{}]", "", words)
    words = _FORMULA_PLACE.sub(lambda place: held[ord(place[0]) - _FIRST_FORMULA], words)
    return " ".join(unicodedata.normalize("NFC", words.translate(_BACK)).split())


_from_tex = lru_cache(maxsize=4_096)(_decoded)


def _letter(token: re.Match[str]) -> str:
    kind = token.lastgroup
    if kind == "special":
        sign = token["special"]
        return _ASIDE.get(sign) or _SPECIALS.get(sign, sign) if sign != "\\" else " "
    if token["mark"]:
        letter = token["one"] or token["dotless"] or token["other"] or ""
        if not letter and token["mark"] in "~^":
            return _ASIDE["~"] if token["mark"] == "~" else "^"
        return unicodedata.normalize("NFC", letter + _MARKS[token["mark"]]) if letter else ""
    if kind == "name":
        letter = _LETTERS.get(token["name"], token[0])
        if letter == token[0]:
            return letter
        # A space after a macro only ends its name.
        return _ASIDE.get(letter, letter)
    return {"dash": "–" if token[0] == "--" else "—", "open": "“", "close": "”"}.get(
        kind or "", " "
    )


_ESCAPES = {
    "\\": r"\textbackslash{}", "{": r"\textbraceleft{}", "}": r"\textbraceright{}", "$": r"\$",
    "&": r"\&", "%": r"\%", "#": r"\#", "_": r"\_", "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
}  # fmt: skip
_ESCAPED = re.compile(r"[\\{}$&%#_^~]|-(?=-)|`(?=`)|'(?=')")
_CAPITALS = re.compile(r"(?<![\w\\])(?=[\w-]*[^\W_][A-Z])[\w-]{1,80}|(?<![\w\\])[A-Z](?!\w)")


def to_tex(text: str, *, capitals: bool = False) -> str:
    """Plain text as a BibTeX value between braces; formulas stay.

    `capitals`: words with capitals within ("BERT", "mRNA") are kept from styles that take them away.
    """
    line = " ".join(readable(text).split())
    parts: list[str] = []
    at = 0
    for found in formulas(line):
        source = line[found.start : found.end]
        if len(line) > MAX_TITLE or not _is_balanced(source):
            continue
        parts += [_escaped(line[at : found.start], capitals), source]
        at = found.end
    return "".join([*parts, _escaped(line[at:], capitals)])


def _escaped(text: str, capitals: bool) -> str:
    def sign(found: re.Match[str]) -> str:
        # What TeX would make one sign of stays two.
        return _ESCAPES.get(found[0]) or f"{found[0]}{{}}"

    if not capitals:
        return _ESCAPED.sub(sign, text)
    pieces: list[str] = []
    at = 0
    for word in _CAPITALS.finditer(text):
        escaped = _ESCAPED.sub(sign, word[0])
        pieces += [_ESCAPED.sub(sign, text[at : word.start()]), f"{{{escaped}}}"]
        at = word.end()
    return "".join([*pieces, _ESCAPED.sub(sign, text[at:])])


def _is_balanced(source: str) -> bool:
    depth = 0
    for sign in source:
        depth += (sign == "{") - (sign == "}")
        if depth < 0:
            return False
    return depth == 0


# ---------------------------------------------------------------- names

MAX_NAMES = 5_000  # large experiments sign with 3,000
_PIECE = re.compile(r"[{}]| and |[,;|\s]", re.IGNORECASE)
OTHERS = frozenset(["others", "et al", "et al.", "and others", "…"])


def read_names(value: str) -> tuple[tuple[Name, ...], bool]:
    """The names of an author or editor field, in order, and whether the list goes on ("and others")."""
    names: list[Name] = []
    others = False
    line = " ".join(value.split())
    parts = _split(line, " and ")
    for sign in ";|":  # as other programs divide names
        if len(parts) == 1 and line.count(sign) > 1:
            parts = _split(line, sign)
    for raw in parts:
        if re.fullmatch(r"(?:and ?)+", raw, re.IGNORECASE):
            continue
        if from_tex(raw).casefold() in OTHERS:
            others = True
        elif len(names) < MAX_NAMES:
            names += _read_name(raw)
        else:
            others = True
    return tuple(names), others


def _split(text: str, at: str) -> list[str]:
    """The parts between separators that stand in no braces."""
    parts: list[str] = []
    depth = start = 0
    for found in _PIECE.finditer(text):
        sign = found[0]
        if sign == "{":
            depth += 1
        elif sign == "}":
            depth = max(0, depth - 1)
        elif depth == 0 and sign.lower() == at:
            parts.append(text[start : found.start()])
            start = found.end()
    parts.append(text[start:])
    return [part for each in parts if (part := each.strip())]


def _read_name(raw: str) -> list[Name]:
    if _is_one_group(raw):
        shown = from_tex(raw)
        return [Name(shown, body=True)] if shown else []
    if found := _extended(raw):
        return [found]
    parts = _split(raw, ",")
    if len(parts) > 3 and all(" " in part for part in parts):
        return [name for part in parts for name in _read_name(part)]  # commas where "and" belongs
    words = [from_tex(part) for part in parts]
    words = [word for word in words if word]
    if not words:
        return []
    if len(words) == 1:
        pieces = [piece for each in _split(parts[0], " ") if (piece := from_tex(each))]
        if len(pieces) < 2:
            return [Name.guessed(words[0])]
        first = next(
            (at for at, piece in enumerate(pieces[1:-1], start=1) if piece[0].islower()),
            0 if pieces[0][0].islower() else len(pieces) - 1,
        )
        return [Name(" ".join(pieces[first:]), " ".join(pieces[:first]))]
    if len(words) == 2:
        return [Name(words[0], words[1])]
    return [Name(words[0], ", ".join(words[2:]), words[1])]


def _is_one_group(raw: str) -> bool:
    if not raw.startswith("{") or raw.startswith("{\\") or not raw.endswith("}"):
        return False
    depth = 0
    for at, sign in enumerate(raw):
        depth += (sign == "{") - (sign == "}")
        if depth == 0:
            return at == len(raw) - 1
    return False


def _extended(raw: str) -> Name | None:
    """biblatex's "family=Berg, given=Karl, prefix=van der"."""
    if not re.match(r"(?:family|given|prefix|suffix)\s*=", raw):
        return None
    parts: dict[str, str] = {}
    for each in _split(raw, ","):
        name, _, value = each.partition("=")
        parts.setdefault(name.strip().lower(), from_tex(value.strip().strip('"')))
    family = " ".join(each for each in (parts.get("prefix"), parts.get("family")) if each)
    return Name(family, parts.get("given", ""), parts.get("suffix", "")) if family else None


def write_name(name: Name) -> str:
    """A name as BibTeX divides it; a part with " and " or a comma of its own is kept together."""
    if name.body:
        return f"{{{to_tex(name.family)}}}"
    parts = [name.family, name.suffix, name.given] if name.suffix else [name.family, name.given]
    written = [_whole(part) for part in parts if part]
    return ", ".join(written) if len(written) > 1 else f"{{{to_tex(name.family)}}}"


def _whole(part: str) -> str:
    text = to_tex(part)
    return f"{{{text}}}" if "," in part or " and " in f" {part.lower()} " else text


# ---------------------------------------------------------------- entries

MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_VERBATIM = frozenset(["doi", "url", "eprint", "pmid"])
_LEFT_OUT = frozenset(["doi", "url"])


def bibtex(citations: Iterable[Citation]) -> Iterator[str]:
    """A .bib file, entry by entry, in UTF-8."""
    for citation in with_unique_keys(citations):
        yield entry(citation) + "\n\n"


def entry(citation: Citation) -> str:
    """One entry. A month is a macro, so it has no braces."""
    kind = citation.kind if re.fullmatch(r"[a-z][a-z0-9-]{0,39}", citation.kind) else "misc"
    lines = [f"  {name} = {value}" for name, value in _fields(citation)]
    return f"@{kind}{{{citation.key},\n" + ",\n".join(lines) + "\n}"


def _fields(citation: Citation) -> Iterator[tuple[str, str]]:
    more = citation.fields
    title, subtitle = citation.title, more.get("subtitle", "")
    if subtitle and title.endswith(f": {subtitle}"):
        title = title.removesuffix(f": {subtitle}")
    else:
        subtitle = ""
    yield "title", _braced(to_tex(title, capitals=True))
    if subtitle:
        yield "subtitle", _braced(to_tex(subtitle, capitals=True))
    people = [write_name(name) for name in citation.authors]
    if citation.others:
        people.append("others")
    if people:
        yield "author", _braced(" and ".join(people))
    if editors := [
        write_name(Name.kept(each)) for each in more.get("editor", "").split(" and ") if each
    ]:
        yield "editor", _braced(" and ".join(editors))
    if citation.published:
        year, *rest = citation.published.split("-")
        yield "year", _braced(year)
        if rest:
            yield "month", MONTHS[int(rest[0]) - 1]
        if len(rest) == 2:
            yield "date", _braced(citation.published)
    elif citation.year:
        yield "year", _braced(to_tex(citation.year))
    if citation.venue:
        yield venue_field(citation.kind), _braced(to_tex(citation.venue))
    for name, value in sorted(more.items()):
        if name in ("subtitle", "editor") or name in _LEFT_OUT or not _is_field(name):
            continue
        written = _verbatim(value) if name in _VERBATIM else to_tex(value)
        yield name, _braced(written.replace("–", "--") if name == "pages" else written)
    if citation.doi:
        yield "doi", _braced(_verbatim(citation.doi))
    if citation.arxiv:
        yield "eprint", _braced(citation.arxiv)
        yield "archiveprefix", "{arXiv}"
        if citation.category:
            yield "primaryclass", _braced(_verbatim(citation.category))
    url = address(citation)
    if url and (citation.urls or citation.kind in PAGES or not citation.doi):
        yield "url", _braced(_verbatim(url))
    if keys := other_keys(citation):
        yield "ids", _braced(keys)
    if citation.tags:
        words = [
            f"{{{to_tex(tag)}}}" if re.search("[,;]", tag) else to_tex(tag) for tag in citation.tags
        ]
        yield "keywords", _braced(", ".join(words))
    if citation.abstract:
        yield "abstract", _braced(to_tex(citation.abstract))


def _is_field(name: str) -> bool:
    return re.fullmatch(r"[a-z][a-z0-9-]{0,39}", name) is not None


def _braced(value: str) -> str:
    return f"{{{value}}}"


def _verbatim(value: str) -> str:
    """An address or a number: no TeX in it, and no brace that would end the value."""
    line = value.strip()
    if " " in line:
        return to_tex(line)
    for sign in "{}\\":
        line = line.replace(sign, f"%{ord(sign):02X}")
    return line
