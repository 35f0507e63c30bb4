"""The one way text becomes HTML: page bodies, paper titles and abstracts, marked quotations.

Everything an author, a feed or a model wrote passes here and nowhere else. A body is written out
from the tokens of `domain.markdown` with every word escaped, sanitised once more as a whole by nh3
(no SVG, no MathML, no style, no handler, no remote image), and only then do the formulas, held out
as placeholders nobody can guess, go in: rebuilt from a fixed list of MathML elements. Nothing here
raises on any text, and nothing it makes needs an inline style or a script.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from html import escape as escape_text
from secrets import token_hex
from urllib.parse import quote
from xml.etree.ElementTree import Element

import nh3
from latex2mathml.converter import convert_to_element
from markdown_it.token import Token
from markupsafe import Markup
from pylatexenc.latex2text import LatexNodes2Text, MacroTextSpec
from pylatexenc.latex2text import get_default_latex_context_db as get_writer_context
from pylatexenc.latexwalker import LatexMacroNode, LatexWalker
from pylatexenc.latexwalker import get_default_latex_context_db as get_reader_context
from pylatexenc.macrospec import LatexContextDb, MacroSpec

from app.domain.identifiers import slugify
from app.domain.markdown import (
    Document,
    Heading,
    PageRef,
    heading_anchor,
    headings_of,
    inline_text,
    is_formula,
    link_keys,
    page_names,
    page_ref,
    parse,
    relation_words,
)

ID_PREFIX = "p-"
MAX_FORMULA = 2_000  # characters of source; a longer one is shown as its source
MAX_FORMULAS = 60_000  # characters of source in one body; the rest are shown as their source
MAX_TITLE = 50_000  # characters; a longer title or abstract is escaped and no more
MAX_ADDRESSES = 1_000_000  # characters of href in one body: one definition may serve many links

_UNREADABLE = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
# Marks that turn the reading direction of what follows, and the invisible "tag" letters.
_DECEPTIVE = re.compile("[\u202a-\u202e\u2066-\u2069\U000e0000-\U000e007f]")


@dataclass(frozen=True)
class LinkTarget:
    """The page a wikilink leads to."""

    slug: str
    title: str
    kind: str


@dataclass(frozen=True)
class Rendered:
    """A body as HTML, and its table of contents: levels as shown (2 to 6), anchors with prefix."""

    html: Markup
    contents: list[Heading]


Resolve = Callable[[Collection[str]], Mapping[str, LinkTarget]]


def render_body(body: str, resolve: Resolve, *, id_prefix: str = ID_PREFIX) -> Rendered:
    """A Markdown body as safe HTML.

    `resolve` is called once, with all name keys the body links to (see `link_keys`; not at all when
    there are none), and gives back those that are pages. Headings are moved so that the highest one used is an h2. Every id begins with
    `id_prefix` (letters, digits and hyphens). A body that cannot be read as Markdown is shown as it
    is written, under a line that says why.
    """
    document = parse(body)
    if document.refused:
        return Rendered(_as_written(document), [])
    keys = {key for name in page_names(document) for key in link_keys(name)}
    pages = resolve(keys) if keys else {}
    formulas = _Formulas()
    writer = _Writer(document, pages, formulas, id_prefix)
    clean = _CLEANER.clean(writer.html())
    return Rendered(Markup(formulas.put_back(clean)), writer.contents)


def render_title(text: str) -> Markup:
    r"""A paper title, not Markdown: `$…$` as MathML, `\emph{}` and `\"o` as plain letters."""
    return Markup(_title_html(" ".join(_readable(text).split())))


def render_abstract(text: str) -> Markup:
    """An abstract, read as a title is; each paragraph in a `<p>`."""
    paragraphs = (part.split() for part in re.split(r"\n[^\S\n]*\n", _readable(text)))
    return Markup("\n".join(f"<p>{_title_html(' '.join(p))}</p>" for p in paragraphs if p))


def plain_title(text: str) -> str:
    """A title as plain text for `<title>`, attributes and feeds; formulas as readable letters."""
    return _plain_title(" ".join(_readable(text).split()))


def render_marked(text: str, spans: Sequence[tuple[int, int]]) -> Markup:
    """Plain text, escaped, with `text[start:end]` of every span in `<mark>`.

    Spans may overlap, come in any order and reach outside the text.
    """
    parts: list[str] = []
    at = 0
    for start, end in _joined_spans(spans, len(text)):
        parts += [_escaped(text[at:start]), "<mark>", _escaped(text[start:end]), "</mark>"]
        at = end
    return Markup("".join([*parts, _escaped(text[at:])]))


def _joined_spans(spans: Iterable[tuple[int, int]], length: int) -> list[tuple[int, int]]:
    joined: list[tuple[int, int]] = []
    for start, end in sorted((max(0, start), min(end, length)) for start, end in spans):
        if start >= end:
            continue
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return joined


def _readable(text: str) -> str:
    """Control characters and lone surrogates as U+FFFD, deceptive marks gone."""
    return _DECEPTIVE.sub("", _UNREADABLE.sub("\ufffd", text.replace("\r\n", "\n")))


def _escaped(text: str) -> str:
    return escape_text(_readable(text))


def _as_written(document: Document) -> Markup:
    notice = f"Shown as it is written: {document.refused}."
    source = _escaped(document.source)
    return Markup(
        f'<p class="notice">{escape_text(notice)}</p>\n<pre tabindex="0">{source}</pre>\n'
    )


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# ------------------------------------------------------------------------------ bodies

_CLASSES = {
    "a": {"wikilink", "missing", "footnote-back"},
    "span": {"relation"},
    "div": {"table", "formula"},
    "section": {"footnotes"},
    "sup": {"footnote"},
    "ul": {"tasks"},
    "th": {"left", "center", "right"},
    "td": {"left", "center", "right"},
}
_CLEANER = nh3.Cleaner(
    tags=set(
        _words(
            "p br hr h2 h3 h4 h5 h6 em strong s code pre blockquote ul ol li a table thead tbody tr "
            "th td div span sup section input"
        )
    ),
    attributes={
        "a": {"href", "title", "id", "rel", "aria-label"},
        "div": {"tabindex", "role", "aria-label"},
        "pre": {"tabindex"},
        "ol": {"start"},
        "li": {"id"},
        "th": {"scope"},
        "input": {"checked", "disabled"},
        **{f"h{level}": {"id"} for level in range(2, 7)},
    },
    allowed_classes=_CLASSES,
    tag_attribute_values={"input": {"type": {"checkbox"}}},
    url_schemes={"http", "https", "mailto"},
    link_rel=None,
    strip_comments=True,
)
_OUTSIDE = re.compile(r"[a-z][a-z0-9+.-]*:", re.IGNORECASE)
_PLAIN_TAGS = {
    "paragraph": "p",
    "blockquote": "blockquote",
    "bullet_list": "ul",
    "thead": "thead",
    "tbody": "tbody",
    "tr": "tr",
    "em": "em",
    "strong": "strong",
    "s": "s",
}
_INLINE_TAGS = frozenset(["em", "strong", "s"])
_WIDE_LINE = 40  # code wider than this may have to be scrolled on a phone, so it takes focus


class _Writer:
    """Writes the tokens of one document as HTML. Every token type it does not know is dropped."""

    def __init__(
        self,
        document: Document,
        pages: Mapping[str, LinkTarget],
        formulas: _Formulas,
        prefix: str,
    ) -> None:
        self._tokens = document.tokens
        self._pages = pages
        self._formulas = formulas
        self._prefix = prefix
        self._parts: list[str] = []
        self._link_depth = 0
        self._address_budget = MAX_ADDRESSES
        found = headings_of(document)
        shift = 2 - min((heading.level for heading in found), default=2)
        self._headings = [
            Heading(min(6, heading.level + shift), heading.text, prefix + heading.anchor)
            for heading in found
        ]
        self._next_heading = iter(self._headings)
        self._level = 2
        self.contents = [heading for heading in self._headings if heading.text]

    def html(self) -> str:
        for token in self._tokens:
            if token.type == "inline":
                self._inline(token.children or ())
            else:
                self._block(token)
        return "".join(self._parts)

    def _add(self, *parts: str) -> None:
        self._parts.extend(parts)

    def _block(self, token: Token) -> None:
        name, _, side = token.type.rpartition("_")
        if name in _PLAIN_TAGS or name in ("ordered_list", "list_item"):
            self._plain_block(name, side, token)
            return
        match token.type:
            case "heading_open":
                heading = next(self._next_heading)
                self._level = heading.level
                self._add(f'<h{heading.level} id="{escape_text(heading.anchor)}">')
            case "heading_close":
                self._add(f"</h{self._level}>\n")
            case "hr":
                self._add("<hr>\n")
            case "fence" | "code_block":
                self._code(token.content)
            case "math_block":
                held = self._formulas.hold(token.content.strip(), display=True)
                self._add(f'<div class="formula" tabindex="0">{held}</div>\n')
            case "table_open":
                self._add(
                    '<div class="table" tabindex="0" role="region" aria-label="Table"><table>\n'
                )
            case "table_close":
                self._add("</table></div>\n")
            case "th_open" | "td_open":
                self._cell(token)
            case "th_close" | "td_close":
                self._add(f"</{token.tag}>")
            case _:
                self._footnote(token)

    def _plain_block(self, name: str, side: str, token: Token) -> None:
        if token.hidden:
            return
        if side == "close":
            self._add(f"</{token.tag}>\n")
        elif name == "ordered_list":
            start = token.attrs.get("start", 1)
            self._add("<ol>\n" if start == 1 else f'<ol start="{int(start)}">\n')
        elif name == "list_item":
            self._add("<li>")
            if "checked" in token.meta:
                state = " checked" if token.meta["checked"] else ""
                self._add(f'<input type="checkbox" disabled{state}> ')
        elif name == "bullet_list" and "contains-task-list" in str(token.attrs.get("class", "")):
            self._add('<ul class="tasks">\n')
        else:
            self._add(f"<{token.tag}>")

    def _code(self, content: str) -> None:
        wide = any(len(line) > _WIDE_LINE for line in content.split("\n"))
        focus = ' tabindex="0"' if wide else ""
        self._add(f"<pre{focus}><code>{_escaped(content)}</code></pre>\n")

    def _cell(self, token: Token) -> None:
        align = str(token.attrs.get("style", "")).removeprefix("text-align:")
        align = f' class="{align}"' if align in ("left", "center", "right") else ""
        scope = ' scope="col"' if token.tag == "th" else ""
        self._add(f"<{token.tag}{scope}{align}>")

    def _footnote(self, token: Token) -> None:
        number = int(token.meta.get("id", 0)) + 1
        again = int(token.meta.get("subId", 0))
        place = f"{number}-{again + 1}" if again else f"{number}"
        match token.type:
            case "footnote_ref":
                self._add(
                    f'<sup class="footnote"><a href="#{self._prefix}fn:{number}"'
                    f' id="{self._prefix}fnref:{place}">[{number}]</a></sup>'
                )
            case "footnote_block_open":
                self._add('<hr>\n<section class="footnotes">\n<ol>\n')
            case "footnote_block_close":
                self._add("</ol>\n</section>\n")
            case "footnote_open":
                self._add(f'<li id="{self._prefix}fn:{number}">')
            case "footnote_close":
                self._add("</li>\n")
            case "footnote_anchor":
                self._add(
                    f' <a class="footnote-back" href="#{self._prefix}fnref:{place}"'
                    f' aria-label="Back to note {place}">↩︎</a>'
                )

    def _inline(self, tokens: Sequence[Token]) -> None:
        for token in tokens:
            match token.type:
                case "text":
                    self._add(_escaped(token.content))
                case "code_inline":
                    self._add(f"<code>{_escaped(token.content)}</code>")
                case "softbreak":
                    self._add("\n")
                case "hardbreak":
                    self._add("<br>\n")
                case "math_inline":
                    self._add(self._formulas.hold(token.content, display=False))
                case "math_inline_double":
                    self._add(self._formulas.hold(token.content, display=True))
                case "link_open":
                    self._open_link(token)
                case "link_close":
                    self._close_link()
                case "image":
                    self._image(token)
                case "footnote_ref":
                    self._footnote(token)
                case _ if token.tag in _INLINE_TAGS:
                    self._add(f"<{'/' if token.nesting < 0 else ''}{token.tag}>")

    def _open_link(self, token: Token) -> None:
        self._link_depth += 1
        if self._link_depth > 1:  # HTML knows no link within a link
            return
        if reference := page_ref(token):
            self._open_page_link(reference)
            return
        self._open_address(str(token.attrs.get("href", "")), str(token.attrs.get("title", "")))

    def _close_link(self) -> None:
        self._link_depth -= 1
        if self._link_depth == 0:
            self._add("</a>")

    def _open_address(self, href: str, title: str) -> None:
        self._address_budget -= len(href) + len(title)
        if self._address_budget < 0:
            self._add("<a>")
            return
        if href.startswith("#"):
            href = f"#{self._prefix}{href[1:]}" if len(href) > 1 else "#"
        hint = f' title="{_escaped(title)}"' if title else ""
        rel = ' rel="noopener noreferrer"' if _OUTSIDE.match(href) else ""
        self._add(f'<a href="{_escaped(href)}"{hint}{rel}>')

    def _open_page_link(self, reference: PageRef) -> None:
        if reference.relation:
            words = _escaped(relation_words(reference.relation))
            self._add(f'<span class="relation">{words}</span> ')
        anchor = f"#{ID_PREFIX}{heading_anchor(reference.heading)}" if reference.heading else ""
        if not reference.name:
            anchor = f"#{self._prefix}{anchor.removeprefix('#' + ID_PREFIX)}" if anchor else "#"
            self._add(f'<a class="wikilink" href="{anchor}">')
            return
        keys = link_keys(reference.name)
        if page := next((self._pages[key] for key in keys if key in self._pages), None):
            self._add(f'<a class="wikilink" href="/w/{quote(page.slug)}{anchor}">')
            return
        name = " ".join(_readable(reference.name).split())
        address = f"/w/{slugify(name)}/edit?title={quote(name, safe='')}"
        self._add(f'<a class="missing" href="{address}" title="No page yet: create">')

    def _image(self, token: Token) -> None:
        """A picture is a link to it: nothing is loaded because a page was opened."""
        words = inline_text(token.children).strip()
        if self._link_depth:
            self._add(_escaped(words or "image"))
            return
        source = str(token.attrs.get("src", ""))
        self._open_address(source, str(token.attrs.get("title", "")))
        self._add(_escaped(words or source or "image"), "</a>")


# ------------------------------------------------------------------------------ formulas


@dataclass
class _Formulas:
    """Formulas on their way round the sanitiser."""

    token: str = field(default_factory=lambda: token_hex(12))
    held: list[tuple[str, bool]] = field(default_factory=list)
    budget: int = MAX_FORMULAS

    def hold(self, source: str, *, display: bool) -> str:
        """Keep a formula; the placeholder to write instead."""
        self.held.append((source, display))
        return f"m{self.token}n{len(self.held) - 1}e"

    def put_back(self, html: str) -> str:
        if not self.held:
            return html
        pattern = re.compile(rf"m{self.token}n(\d+)e")
        return pattern.sub(lambda found: self._html(int(found[1])), html)

    def _html(self, number: int) -> str:
        source, display = self.held[number]
        self.budget -= len(source)
        return _formula_html(source, display) if self.budget >= 0 else _formula_source(source)


def _formula_source(source: str) -> str:
    return f'<code class="formula">{_escaped(source)}</code>'


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


@lru_cache(maxsize=2048)
def _formula_html(source: str, display: bool) -> str:
    """A formula as MathML with its source beside it, or its source when it does not convert."""
    tree = _mathml(source, display)
    written = _written_anew(tree) if tree is not None else ""
    if not written or len(written) > 50 * MAX_FORMULA:
        return _formula_source(source)
    hint = _escaped(source)
    name = f'<math display="{"block" if display else "inline"}" alttext="{hint}">'
    return f'<span class="formula" title="{hint}">{name}{written}</math></span>'


def _mathml(source: str, display: bool) -> Element | None:
    """What latex2mathml makes of it, None when that is nothing or not all of it."""
    if len(source) > MAX_FORMULA or _REFUSED.search(source):
        return None
    latex = _OTHER_SPELLING.sub(lambda found: _SPELLED[found[1]], _readable(source))
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
        text = escape_text(_readable(_decoded(item.text or "")))
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


# ------------------------------------------------------------------------------ titles

_TITLE_FORMULA = re.compile(
    r"(?<!\\)\$\$((?:\\.|[^\\$])++)\$\$"
    r"|(?<!\\)\$((?:\\.|[^\\$])++)\$"
    r"|\\\(((?:[^\\]|\\[^()])++)\\\)"
    r"|\\\[((?:[^\\]|\\[^\[\]])++)\\\]"
)


def _title_pieces(text: str) -> Iterator[tuple[str, bool]]:
    """The text cut at its formulas: each piece with whether it is one."""
    at = 0
    start = 0
    while found := _TITLE_FORMULA.search(text, start):
        source = found[1] or found[2] or found[3] or found[4]
        before = text[max(0, found.start() - 1) : found.start()]
        if not source.strip() or (
            found[2] and not is_formula(source, before, text[found.end() : found.end() + 1])
        ):
            start = found.start() + 1
            continue
        yield text[at : found.start()], False
        yield source.strip(), True
        at = start = found.end()
    yield text[at:], False


@lru_cache(maxsize=2048)
def _title_html(text: str) -> str:
    if len(text) > MAX_TITLE:
        return escape_text(text)
    return _assembled(text, escape_text, lambda source: _formula_html(source, False))


@lru_cache(maxsize=2048)
def _plain_title(text: str) -> str:
    return text if len(text) > MAX_TITLE else _assembled(text, str, _spoken_formula)


def _assembled(text: str, words: Callable[[str], str], formula: Callable[[str], str]) -> str:
    """The text with its macros read, then its words and its formulas each written in their way."""
    held: list[str] = []
    marked: list[str] = []
    for piece, is_math in _title_pieces(text):
        if is_math and len(held) < _PLACES:
            marked.append(chr(_FIRST_PLACE + len(held)))
            held.append(piece)
        else:
            marked.append(piece)
    written = _without_macros("".join(marked))
    return "".join(
        formula(held[place])
        if (place := ord(part[0]) - _FIRST_PLACE) in range(len(held))
        else words(part)
        for part in _PLACE.split(written)
        if part
    )


# A formula within `\textbf{…}` must not cut it in two: it stands aside as one private character.
# Whoever writes such a character themselves gets a formula of their own text, or the character.
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


def _without_macros(text: str) -> str:
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


def _spoken_formula(source: str) -> str:
    """A formula in plain letters: `$x_i^2/\\sqrt{n}$` -> "x_i^2/√n"."""
    tree = _mathml(source, False)
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
        case "msub", [base, below]:
            return f"{base.rstrip()}_{_group(below)}"
        case "munder", [base, below]:
            return f"{base.rstrip()}_{_group(below)} "
        case "msup", [base, above]:
            return f"{base.rstrip()}^{_group(above)}"
        case "mover", [base, above] if element[1].tag != "mo":
            return f"{base.rstrip()}^{_group(above)}"
        case "mover", [base, _]:
            return base
        case "msubsup", [base, below, above]:
            return f"{base.rstrip()}_{_group(below)}^{_group(above)}"
        case "munderover", [base, below, above]:
            return f"{base.rstrip()}_{_group(below)}^{_group(above)} "
        case "mfrac", [above, below]:
            return f"{_group(above)}/{_group(below)}"
        case "msqrt", _:
            return f"√{_group(''.join(parts))}"
        case _:
            return _readable(_decoded(element.text or "")) + "".join(parts)


def _group(text: str) -> str:
    """In brackets unless it is one word or number."""
    words = text.strip()
    return words if re.fullmatch(r"[-+−]?[\w.′*∗⊤]+", words) else f"({words})"
