"""The one way text becomes HTML: page bodies, paper titles and abstracts, marked quotations.

Everything an author, a feed or a model wrote passes here and nowhere else. A body is written out
from the tokens of `domain.markdown` with every word escaped, sanitised once more as a whole by nh3
(no SVG, no MathML, no style, no handler, no remote image), and only then do the formulas, held out
as placeholders nobody can guess, go in: rebuilt from a fixed list of MathML elements. Nothing here
raises on any text, and nothing it makes needs an inline style or a script.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from html import escape as escape_text
from html.parser import HTMLParser
from secrets import token_hex
from urllib.parse import quote, urljoin

import nh3
from markdown_it.token import Token
from markupsafe import Markup

from app.domain.grammar import Document, PageRef, parse
from app.domain.identifiers import slugify
from app.domain.latex import MAX_TITLE, laid_out, mathml, plain_latex, readable, spoken
from app.domain.live_claims import LIVE, MOST_CLAIMS, Claim, Filled, Unread, read
from app.domain.markdown import (
    Heading,
    heading_anchor,
    headings_of,
    inline_text,
    link_keys,
    page_names,
    page_ref,
    relation_words,
)

ID_PREFIX = "p-"
MAX_FORMULAS = 60_000  # characters of source in one body; the rest are shown as their source
_SHORT = 300  # characters; what is longer is written each time, so that no text fills the memory
MAX_ADDRESSES = 1_000_000  # characters of href in one body: one definition may serve many links


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
Fill = Callable[[Collection[Claim]], Mapping[Claim, Filled]]


def render_body(
    body: str, resolve: Resolve, fill: Fill | None = None, *, id_prefix: str = ID_PREFIX
) -> Rendered:
    """A Markdown body as safe HTML.

    `resolve` is called once, with all name keys the body links to (see `link_keys`; not at all when
    there are none), and gives back those that are pages; so is `fill` with its live claims, and says
    what each comes to now (without it they are shown as written). Headings are moved so that the
    highest one used is an h2. Every id begins with `id_prefix` (letters, digits and hyphens). A body that
    cannot be read as Markdown is shown as it is written, under a line that says why.
    """
    document = parse(body)
    if document.refused:
        return Rendered(_as_written(document), [])
    keys = {key for name in page_names(document) for key in link_keys(name)}
    pages = resolve(keys) if keys else {}
    formulas = _Formulas()
    claims = _claims(document, fill) if fill else {}
    writer = _Writer(document, pages, claims, formulas, id_prefix)
    clean = _CLEANER.clean(writer.html())
    return Rendered(Markup(formulas.put_back(clean)), writer.contents)


def render_title(text: str) -> Markup:
    r"""A paper title, not Markdown: `$…$` as MathML, `\emph{}` and `\"o` as plain letters."""
    return Markup(_title_html(" ".join(readable(text).split())))


def render_abstract(text: str) -> Markup:
    """An abstract, read as a title is; each paragraph in a `<p>`."""
    paragraphs = (part.split() for part in re.split(r"\n[^\S\n]*\n", readable(text)))
    return Markup("\n".join(f"<p>{_title_html(' '.join(p))}</p>" for p in paragraphs if p))


def plain_title(text: str) -> str:
    """A title as plain text for `<title>`, attributes and feeds; formulas as readable letters."""
    return plain_latex(text)


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


def _escaped(text: str) -> str:
    return escape_text(readable(text))


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
    "a": {"wikilink", "missing", "live", "footnote-back"},
    "span": {"relation", "missing", "live"},
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
        "span": {"title"},
        "pre": {"tabindex"},
        "ol": {"start"},
        "li": {"id"},
        "th": {"scope"},
        "input": {"checked", "disabled", "aria-label"},
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
        claims: Mapping[str, Filled],
        formulas: _Formulas,
        prefix: str,
    ) -> None:
        self._tokens = document.tokens
        self._pages = pages
        self._claims = claims
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
        self.contents = [
            Heading(heading.level, filled_text(heading.text, claims), heading.anchor)
            for heading in self._headings
            if heading.text
        ]

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
                word = "done" if state else "open"
                self._add(f'<input type="checkbox" disabled{state} aria-label="{word}"> ')
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
                case "live_claim":
                    self._live_claim(token.content)
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

    def _live_claim(self, source: str) -> None:
        filled = self._claims.get(source)
        if filled is None:
            self._add(_escaped(source))
            return
        name = f' class="{"missing" if filled.off else "live"}"'
        hint = f' title="{_escaped(filled.title)}"' if filled.title else ""
        words = _escaped(filled.words)
        if filled.href and not self._link_depth:
            self._add(f'<a href="{_escaped(filled.href)}"{name}{hint}>{words}</a>')
        else:
            self._add(f"<span{name}{hint}>{words}</span>")
        self._add(_escaped(filled.after))

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
        name = " ".join(readable(reference.name).split())
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


# ------------------------------------------------------------------------------ live claims


def _claims(document: Document, fill: Fill) -> dict[str, Filled]:
    """What stands for each live claim of a document, by its source with the braces."""
    written = dict.fromkeys(
        token.content
        for block in document.tokens
        for token in block.children or ()
        if token.type == "live_claim"
    )
    readings = {source: read(source[2:-2]) for source in written}
    wanted = list(dict.fromkeys(r for r in readings.values() if isinstance(r, Claim)))
    told = fill(wanted[:MOST_CLAIMS]) if wanted else {}
    return {source: _told(source, reading, told) for source, reading in readings.items()}


def _told(source: str, reading: Claim | Unread, told: Mapping[Claim, Filled]) -> Filled:
    if isinstance(reading, Unread):
        return Filled(source, "", reading.why, off=True)
    filled = told.get(reading)
    if filled is None:
        why = f"A page may have {MOST_CLAIMS} different live claims; this is one more."
        return Filled(source, "", why, off=True)
    # One that cannot be counted is shown as its author wrote it.
    return filled if filled.words else replace(filled, words=source)


def filled_text(text: str, claims: Mapping[str, Filled]) -> str:
    """Plain words with what each live claim says in its place."""
    if not claims or "{{" not in text:
        return text
    return LIVE.sub(lambda at: claims[at[0]].plain() if at[0] in claims else at[0], text)


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


def _formula_html(source: str, display: bool) -> str:
    return (_kept_formula if len(source) <= _SHORT else _written_formula)(source, display)


def _written_formula(source: str, display: bool) -> str:
    """A formula as MathML with its source beside it, or its source when it does not convert."""
    written = mathml(source, display=display)
    if written is None:
        return _formula_source(source)
    hint = _escaped(source)
    name = f'<math display="{"block" if display else "inline"}" alttext="{hint}">'
    return f'<span class="formula" title="{hint}">{name}{written}</math></span>'


_kept_formula = lru_cache(maxsize=2048)(_written_formula)


# ------------------------------------------------------------------------------ titles


def _title_html(text: str) -> str:
    return (_kept_title if len(text) <= _SHORT else _written_title)(text)


def _written_title(text: str) -> str:
    if len(text) > MAX_TITLE:
        return escape_text(text)
    return laid_out(text, escape_text, lambda source: _formula_html(source, False))


_kept_title = lru_cache(maxsize=2048)(_written_title)


# ------------------------------------------------------------------------------ what leaves the wiki


def outward(
    html: str,
    *,
    base: str,
    at: str = "",
    formulas: bool = True,
    styles: Mapping[str, str] | None = None,
    lead: Callable[[str], str | None] | None = None,
) -> str:
    """HTML made here, for a reader who is elsewhere: a file, a feed, a letter.

    Addresses become absolute under `base` ("https://wiki.example", no slash at its end); `at` is the
    path at which places within the text are found, "" when the text itself has them. A link to a page
    nobody wrote is its words alone. Without `formulas` MathML becomes readable letters. With `styles`
    (by tag) each tag carries its style, and nothing but what it links to, as programs for mail want it.
    With `lead` addresses within the wiki become what it says; where that is None, words alone.
    """
    writer = _Outward(base, at, formulas, styles, lead)
    writer.feed(html)
    writer.close()
    return "".join(writer.parts)


_MAILED = frozenset(["href", "title", "start", "scope"])


class _Outward(HTMLParser):
    """Writes tags anew where they must change, and all else as it stands."""

    def __init__(
        self,
        base: str,
        at: str,
        formulas: bool,
        styles: Mapping[str, str] | None,
        lead: Callable[[str], str | None] | None,
    ) -> None:
        super().__init__(convert_charrefs=False)
        self.parts: list[str] = []
        self._base, self._at = base, at
        self._formulas, self._styles, self._lead = formulas, styles, lead
        self._formula = 0  # how deep in a formula that is left out
        self._dropped: list[bool] = []  # of each open link, whether its tag was left out

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self._formula or (tag == "math" and not self._formulas):
            self._formula += tag == "math"
            if self._formula == 1 and tag == "math":
                source = dict(attrs).get("alttext") or ""
                self.parts.append(escape_text(spoken(source)))
            return
        if tag == "a":
            leads = self._place(dict(attrs).get("href") or "")
            self._dropped.append(left := ("class", "missing") in attrs or leads is None)
            if left:
                return
            attrs = [(n, leads if n == "href" else v) for n, v in attrs]
        elif self._styles is None:
            self.parts.append(self.get_starttag_text() or "")
            return
        if tag == "input" and self._styles is not None:  # a box of a list of tasks
            self.parts.append(
                "☑" if ("checked", None) in attrs or ("checked", "") in attrs else "☐"
            )
            return
        if self._styles is not None:
            attrs = [each for each in attrs if each[0] in _MAILED]
            if style := self._styles.get(tag):
                attrs.append(("style", style))
        told = "".join(f' {n}="{escape_text(v or "")}"' for n, v in attrs)
        self.parts.append(f"<{tag}{told}>")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if not self._formula:
            self.parts.append(self.get_starttag_text() or "")

    def handle_endtag(self, tag: str) -> None:
        if self._formula:
            self._formula -= tag == "math"
        elif tag != "a" or not (self._dropped and self._dropped.pop()):
            self.parts.append(f"</{tag}>")

    def handle_data(self, data: str) -> None:
        if not self._formula:
            self.parts.append(data)

    def handle_entityref(self, name: str) -> None:
        self.handle_data(f"&{name};")

    def handle_charref(self, name: str) -> None:
        self.handle_data(f"&#{name};")

    def _place(self, href: str) -> str | None:
        if self._lead is None or href.startswith("#") or _OUTSIDE.match(href):
            return self._absolute(href)
        return self._lead(href)

    def _absolute(self, href: str) -> str:
        if href.startswith("#"):
            return f"{self._base}{self._at}{href}" if self._at else href
        if _OUTSIDE.match(href):
            return href
        if href.startswith("/") and not href.startswith("//"):
            return self._base + href
        try:
            return urljoin(f"{self._base}{self._at or '/'}", href)
        except ValueError:  # what only looks like an address
            return self._base
