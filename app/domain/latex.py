"""LaTeX within scientific text: which pieces are formulas, what they and the macros around them say.

It makes MathML of formulas and plain letters of both; titles, abstracts and bodies share it. Pure,
and safe on any text: the libraries it asks are lenient and copy what an author wrote, so MathML is
built anew from fixed lists, and what they refuse or would never finish stays as its source.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from html import escape
from xml.etree.ElementTree import Element

from latex2mathml.converter import convert_to_element
from pylatexenc.latex2text import LatexNodes2Text, MacroTextSpec
from pylatexenc.latex2text import get_default_latex_context_db as get_writer_context
from pylatexenc.latexwalker import LatexMacroNode, LatexWalker
from pylatexenc.latexwalker import get_default_latex_context_db as get_reader_context
from pylatexenc.macrospec import LatexContextDb, MacroSpec

MAX_FORMULA = 2_000  # characters of source; a longer one stays as its source
MAX_TITLE = 50_000  # characters; a longer title or abstract is not read as LaTeX
_MAX_MATHML = 100_000

FORMULA = re.compile(r"\$(?![\s$])((?:\\.|[^\\$])++)\$", re.DOTALL)
DISPLAY_FORMULA = re.compile(r"\$\$((?:\\.|[^\\$]|\$(?!\$))++)\$\$", re.DOTALL)
_ANY_FORMULA = re.compile(
    r"(?<!\\)\$\$((?:\\.|[^\\$])++)\$\$"
    r"|(?<!\\)\$((?:\\.|[^\\$])++)\$"
    r"|\\\(((?:[^\\]|\\[^()])++)\\\)"
    r"|\\\[((?:[^\\]|\\[^\[\]])++)\\\]",
    re.DOTALL,
)
_SPACES = re.compile("\r\n|[\x0b\x0c\x1c-\x1f\x85]")
_UNREADABLE = re.compile("[\0-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\ud800-\udfff\ufffe\uffff]")
# Marks that turn the reading direction of what follows, and the invisible "tag" letters.
_DECEPTIVE = re.compile("[\u202a-\u202e\u2066-\u2069\U000e0000-\U000e007f]")
_ODD = re.compile(
    "[\0-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff\U000e0000-\U000e007f]"
)


@dataclass(frozen=True)
class Formula:
    """A formula in a text: `text[start:end]` with its signs, `source` without them."""

    start: int
    end: int
    source: str


def readable(text: str) -> str:
    """The text as it may be shown.

    Control characters and lone surrogates are U+FFFD, odd white space is plain, and the marks that
    deceive the eye are gone.
    """
    if not _ODD.search(text):
        return text
    plain = _SPACES.sub(lambda found: "\n" if found[0] == "\r\n" else " ", text)
    return _DECEPTIVE.sub("", _UNREADABLE.sub("\ufffd", plain))


def is_formula(source: str, before: str, after: str) -> bool:
    r"""Whether `$source$` between these two characters is a formula and not a sum of money.

    No white space inside the signs, and no digit outside them unless the source begins as only
    LaTeX does or is signs alone: "$1.05 and $0.51" is money; `5$\times$`, `$\sim$10` and `$>$90`
    are formulas.
    """
    if source[-1:].isspace() or source[:1].isspace():
        return False
    if source[:1] in "\\^_{" or not any(letter.isalnum() for letter in source):
        return True
    return not (before.isdigit() or after.isdigit())


def formulas(text: str) -> Iterator[Formula]:
    r"""The formulas of a text that is not Markdown: `$…$`, `$$…$$`, `\(…\)` and `\[…\]`, in order."""
    at = 0
    while found := _ANY_FORMULA.search(text, at):
        source = found[1] or found[2] or found[3] or found[4]
        before, after = (
            text[max(0, found.start() - 1) : found.start()],
            text[found.end() : found.end() + 1],
        )
        if not source.strip() or (found[2] and not is_formula(source, before, after)):
            at = found.start() + 1
            continue
        yield Formula(found.start(), found.end(), source.strip())
        at = found.end()


def plain_latex(text: str) -> str:
    """A title on one line of plain text, formulas and macros as readable letters."""
    line = " ".join(readable(text).split())
    return line if len(line) > MAX_TITLE else laid_out(line, str, spoken)


def laid_out(text: str, words: Callable[[str], str], formula: Callable[[str], str]) -> str:
    """The text with its macros read, its words and its formulas each written in their own way."""
    if ("$" not in text and "\\" not in text) or _PLACE.search(text):
        return words(text)
    held: list[str] = []
    marked: list[str] = []
    at = 0
    for found in formulas(text):
        if len(held) < _PLACES:
            marked += [text[at : found.start], chr(_FIRST_PLACE + len(held))]
            held.append(found.source)
            at = found.end
    written = without_macros("".join([*marked, text[at:]]))
    parts = (part for part in _PLACE.split(written) if part)
    return "".join(
        formula(held[place])
        if (place := ord(part[0]) - _FIRST_PLACE) in range(len(held))
        else words(part)
        for part in parts
    )


# ------------------------------------------------------------------------------ formulas


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_ELEMENTS = _words(
    "mrow mi mn mo mtext mspace ms msup msub msubsup mfrac msqrt mroot munder mover munderover "
    "mtable mtr mtd mstyle mpadded mphantom menclose mmultiscripts mprescripts"
)
_ATTRIBUTES = _words(
    "displaystyle scriptlevel mathvariant stretchy fence form separator accent accentunder largeop "
    "movablelimits symmetric minsize maxsize lspace rspace width height depth voffset linethickness "
    "columnalign rowalign rowlines columnlines columnspacing rowspacing notation"
)
_KEYWORDS = _words(
    "true false normal bold italic bold-italic double-struck script bold-script fraktur bold-fraktur "
    "sans-serif bold-sans-serif sans-serif-italic sans-serif-bold-italic monospace prefix infix "
    "postfix left center right solid dashed none thin medium thick box top bottom longdiv actuarial "
    "roundedbox circle updiagonalstrike downdiagonalstrike verticalstrike horizontalstrike"
)
_LENGTH = re.compile(r"[+-]?(?:[0-9]{1,3}(?:\.[0-9]{0,4})?|\.[0-9]{1,4})(?:em|ex|px|pt)?")
_LONGEST = {"em": 3.0, "ex": 6.0, "px": 50.0, "pt": 40.0, "": 3.0}
_REFERENCE = re.compile(r"&#x([0-9A-Fa-f]{1,6});")
# A macro may call itself, and \sideset writes its third part twice: both grow without end.
_REFUSED = re.compile(
    r"\\(?:def|newcommand|newenvironment|DeclareMathOperator|sideset)(?![a-zA-Z])"
)
_SPELLED = {
    "bm": r"\boldsymbol",
    "mathds": r"\mathbb",
    "mathbbm": r"\mathbb",
    "nicefrac": r"\frac",
    "arg": r"\operatorname{arg}",
    "ensuremath": "",
    "xspace": "",
}
_OTHER_SPELLING = re.compile(rf"\\({'|'.join(_SPELLED)})(?![a-zA-Z])")


def mathml(source: str, *, display: bool = False) -> str | None:
    """What stands within the `math` element of a formula, None when it does not convert.

    Safe to put into a page: elements, attributes and values are those listed here, text is escaped.
    """
    tree = _converted(source, display)
    written = _written_anew(tree) if tree is not None else ""
    return written if 0 < len(written) <= _MAX_MATHML else None


def _converted(source: str, display: bool) -> Element | None:
    """What latex2mathml makes of it, None when that is nothing or not all of it."""
    if len(source) > MAX_FORMULA or _REFUSED.search(source):
        return None
    latex = _OTHER_SPELLING.sub(lambda found: _SPELLED[found[1]], readable(source))
    try:
        tree = convert_to_element(latex, display="block" if display else "inline")
    except Exception:  # the library raises a dozen kinds on what it cannot read, RecursionError too
        return None
    unknown = any((e.text or "").startswith("\\") for e in tree.iter() if e.tag == "mi")
    return None if unknown else tree


def _written_anew(tree: Element) -> str:
    """The inside of a `math` element, of the elements, attributes and values listed here alone.

    The library copies `\\href`, `\\style`, `\\class` and colours from the author; of these only
    the words stay.
    """
    parts: list[str] = []
    waiting: list[Element | str] = list(reversed(tree))
    while waiting:
        item = waiting.pop()
        if isinstance(item, str):
            parts.append(item)
            continue
        text = escape(readable(_decoded(item.text or "")))
        if item.tag == "mi" and text == "~":
            parts.append("<mo>∼</mo>")  # how the library writes \\sim
        elif item.tag in _ELEMENTS:
            parts.append(f"<{item.tag}{_attributes(item)}>{text}")
            waiting.append(f"</{item.tag}>")
        elif text:
            parts.append(f"<mtext>{text}</mtext>")  # of an element that is not ours to write
        waiting.extend(reversed(item))
    return "".join(parts)


def _decoded(text: str) -> str:
    """The library writes its characters as `&#x…;`; an author's own are safe once escaped."""
    return _REFERENCE.sub(
        lambda found: chr(int(found[1], 16)) if int(found[1], 16) < 0x110000 else "\ufffd", text
    )


def _attributes(element: Element) -> str:
    return "".join(
        f' {name}="{" ".join(value.split())}"'
        for name, value in element.attrib.items()
        if name in _ATTRIBUTES and all(_is_harmless(word) for word in value.split())
    )


def _is_harmless(word: str) -> bool:
    """A keyword of MathML, or a length too short to lay a formula over something else."""
    if word in _KEYWORDS:
        return True
    if not _LENGTH.fullmatch(word):
        return False
    unit = word[-2:] if word[-2:].isalpha() else ""
    return abs(float(word.removesuffix(unit))) <= _LONGEST[unit]


def spoken(source: str) -> str:
    """A formula in plain letters: `$x_i^2/\\sqrt{n}$` -> "x_i^2/√n"."""
    tree = _converted(source, False)
    if tree is None:
        return source
    try:
        return " ".join(_spoken(tree).split()) or source
    except RecursionError:
        return source


def _spoken(element: Element) -> str:
    parts = [_spoken(child) for child in element]
    match element.tag, parts:
        case "mi", _ if len(text := _decoded(element.text or "")) > 1:
            return f" {text} "
        case "mspace", _:
            return " "
        case (("msub" | "munder"), [base, below]):
            space = " " if _is_operator(base) else ""
            return f"{base.rstrip()}_{_group(below)}{space}"
        case "msup", [base, above]:
            return f"{base.rstrip()}^{_group(above)}"
        case "mover", [base, above] if element[1].tag != "mo":
            return f"{base.rstrip()}^{_group(above)}"
        case "mover", [base, _]:
            return base
        case (("msubsup" | "munderover"), [base, below, above]):
            space = " " if _is_operator(base) else ""
            return f"{base.rstrip()}_{_group(below)}^{_group(above)}{space}"
        case "mfrac", [above, below]:
            return f"{_group(above)}/{_group(below)}"
        case "msqrt", _:
            return f"√{_group(''.join(parts))}"
        case _:
            return readable(_decoded(element.text or "")) + "".join(parts)


def _is_operator(base: str) -> bool:
    """Whether it is a sum, a limit or another function, which stands apart from what follows."""
    words = base.strip()
    return (len(words) > 1 and words.isalpha()) or unicodedata.category(words or "x") == "Sm"


def _group(text: str) -> str:
    """In brackets unless it is one word or number."""
    words = text.strip()
    return words if re.fullmatch(r"[-+−]?[\w.′*∗⊤]+", words) else f"({words})"


# ------------------------------------------------------------------------------ macros

# A formula within `\textbf{…}` must not cut it in two: it stands aside as one private character.
# A text that has such characters of its own is not read as LaTeX.
_FIRST_PLACE, _PLACES = 0xE200, 512
_PLACE = re.compile(f"([{chr(_FIRST_PLACE)}-{chr(_FIRST_PLACE + _PLACES - 1)}])")
# What LaTeX reads as commands but a title means as written stands aside while macros are read.
_ASIDE = {char: chr(0xE100 + number) for number, char in enumerate("%$&#_^~{}\\")}
_BACK = str.maketrans({aside: char for char, aside in _ASIDE.items()})
_SPECIAL = re.compile(r"\\.|[%$&#_^~]|\\$", re.DOTALL)
_MACRO_WITH_GROUP = re.compile(r"\\([a-zA-Z]+)\{([^{}\\]+)\}")
_SHOWN_MACROS = _words(
    "texttt textsf textrm textmd textup textsl textnormal textsuperscript textsubscript mbox uline ul "
    "url"
)
_SILENT_MACROS = _words(
    "it em bf sc tt rm sl itshape bfseries scshape ttfamily xspace noindent par color label centering"
)
_MACRO_WORDS = {
    "LaTeX": "LaTeX",
    "TeX": "TeX",
    "eg": "e.g.",
    "ie": "i.e.",
    "textless": "<",
    "textgreater": ">",
    "textemdash": "—",
    "textendash": "–",
    "\\": " ",
}


def _latex_contexts() -> tuple[LatexContextDb, LatexContextDb]:
    """What macros take, and what is written for them; one nobody knows is written as it is."""
    read = get_reader_context()
    read.add_context_category(
        "titles",
        prepend=True,
        macros=[
            *(MacroSpec(name, "{") for name in _SHOWN_MACROS),
            *(MacroSpec(name, "") for name in ("it", "em", "bf", "sc", "tt", "rm", "sl")),
            *(MacroSpec(name, "") for name in _MACRO_WORDS if name != "\\"),
            MacroSpec("href", "{{"),
            MacroSpec("verb", ""),
        ],
    )
    written = get_writer_context()
    written.add_context_category(
        "titles",
        prepend=True,
        macros=[
            *(MacroTextSpec(name, simplify_repl="%s") for name in _SHOWN_MACROS),
            *(MacroTextSpec(name, simplify_repl="") for name in _SILENT_MACROS),
            *(MacroTextSpec(name, simplify_repl=_in_words) for name in _MACRO_WORDS),
            *(
                MacroTextSpec(name, simplify_repl=_verbatim)
                for name in ("input", "include", "verb")
            ),
            *(MacroTextSpec(name, simplify_repl="[cit.]") for name in ("cite", "citep", "citet")),
            MacroTextSpec("href", simplify_repl="%(2)s"),
        ],
    )
    written.set_unknown_macro_spec(MacroTextSpec("", simplify_repl=_verbatim))
    return read, written


def _in_words(node: LatexMacroNode) -> str:
    return _MACRO_WORDS[node.macroname] + str(node.macro_post_space)


def _verbatim(node: LatexMacroNode) -> str:
    return str(node.latex_verbatim())


_READ, _WRITTEN = _latex_contexts()
_TO_TEXT = LatexNodes2Text(latex_context=_WRITTEN, keep_comments=True)


def without_macros(text: str) -> str:
    """Text macros and accents as Unicode; the text as it is when it holds none or they are broken."""
    if "\\" not in text:
        return text
    aside = _SPECIAL.sub(lambda found: _ASIDE.get(found[0], found[0]), text)
    aside = _MACRO_WITH_GROUP.sub(_set_aside, aside)
    missing = aside.count("{") - aside.count("}")
    if missing < 0:
        return text
    try:
        nodes, _, _ = LatexWalker(aside + "}" * missing, latex_context=_READ).get_latex_nodes()
        written = str(_TO_TEXT.nodelist_to_text(nodes))
    except Exception:  # on hostile text the library raises whatever comes to hand
        return text
    return re.sub(r"\s+", " ", written.translate(_BACK))


def _set_aside(found: re.Match[str]) -> str:
    """The braces after a macro nobody knows are as much part of the text as its name."""
    if _WRITTEN.get_macro_spec(found[1]).macroname:
        return found[0]
    return f"\\{found[1]}{_ASIDE['{']}{found[2]}{_ASIDE['}']}"
