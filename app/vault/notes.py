"""A page's file as bytes, and back: front matter and text, and nothing else in the file is touched.

Reading keeps all before the text as it stands (`head`) and how lines end (`newline`). Writing gives
both back: of the front matter only those of our fields change that say something else now, in the
style they were written in. Keys of other tools, comments, order, quotes, a byte order mark and the
ends of lines stay. `parse(render(x)).note` is x, and `render(parse(b).note, …)` gives the bytes b.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from app.domain import front_matter
from app.domain.front_matter import BadField, kind_of, mapping, scalar, unquoted_wikilink, written
from app.domain.grammar import MAX_BODY
from app.domain.identifiers import clean_date, is_slug, parse_id
from app.domain.markdown import name_key
from app.domain.notes import FACTS, NamedLink, Note
from app.domain.records import KINDS, LinkStatus, PageKind, Relation
from app.errors import Unreadable

MAX_HEAD = 262_144  # signs of front matter: some papers have five thousand authors
_MOST_ITEMS = 8_000  # of all lists of a file together
OWN_ID = "cerebro-id"
"""Where the page's slug stands in a file whose `id` is another program's: that one is never touched."""
LISTS = frozenset({"aliases", "tags", "identifiers", "authors", "categories"})
_BOM = "\ufeff"
_KINDS = {kind.value: kind for kind in KINDS}
_RELATIONS = {relation.value: relation for relation in Relation}
_ORDER = {relation: number for number, relation in enumerate(Relation)}
_ALL_FACTS = tuple(dict.fromkeys(name for names in FACTS.values() for name in names))
_DAYS = ("published", "day")
# Forms that are read beside our own, and given up for it when what they say changes.
_OLDER = {"alias": "aliases", "tag": "tags"}
_LINE_END = re.compile(r"\r\n|\r|\n")
_WIKILINK = re.compile(r"\[\[(.*?)\]\]")
_WHOLE_WIKILINK = re.compile(r"\[\[(.*)\]\]", re.DOTALL)
_IDS = tuple(
    re.compile(rf"^{name}[ \t]*:[ \t]*[\"']?([a-z0-9-]{{1,200}})[\"']?[ \t]*$", re.MULTILINE)
    for name in (OWN_ID, "id")
)
_NAMES_OF_ENDS = {"\n": "n", "\r\n": "c", "\r": "r"}
_ENDS = {name: end for end, name in _NAMES_OF_ENDS.items()}

Value = str | tuple[str, ...]


@dataclass(frozen=True)
class Parsed:
    """A file as it was read.

    `head` is all before the text, with the byte order mark. `newline` is how the lines of the text
    end; of a file that mixes them it says so line by line, for `render` alone to understand. Of front
    matter that cannot be read `problem` says why, in a sentence: `head` keeps it as it stands, and
    the note has the text, and the id where a line of its own says it.
    """

    head: str
    newline: str
    note: Note
    problem: str = ""


def parse(data: bytes) -> Parsed:
    """A file's bytes as a note. Raises Unreadable for what is no text, or too long for a page."""
    text = _text(data)
    mark, rest = (_BOM, text[1:]) if text.startswith(_BOM) else ("", text)
    head, problem = mark, ""
    note = Note()
    try:
        found = front_matter.bounds(rest, most=MAX_HEAD)
    except BadField as bad:
        found, problem = None, f"{bad}; the whole file is taken for text."
    if found:
        start, stop, end = found
        head = mark + rest[:end]
        try:
            note = _note(front_matter.fields(rest[start:stop]))
        except BadField as bad:
            problem = f"{bad} It stays as it is until that is put right."
            lines = _LINE_END.sub("\n", rest[start:stop])
            given = next(filter(None, (pattern.search(lines) for pattern in _IDS)), None)
            note = Note(id=given[1] if given else "")
    raw = text[len(head) :]
    if len(raw) > MAX_BODY:
        raise Unreadable("The text is longer than a million characters: split the file.")
    return Parsed(
        head=head,
        newline=_newline_of(raw, head),
        note=replace(note, body=_LINE_END.sub("\n", raw)),
        problem=problem,
    )


def render(note: Note, *, head: str = "", newline: str = "\n") -> bytes:
    """The bytes of a note's file; `head` and `newline` are those of the file as it stands.

    Front matter that cannot be read stays as it is. Lines of the text end in "\\n" alone in a note.
    """
    end = _common(newline)
    head = _new_head(note, head, end)
    body = _with_ends(_LINE_END.sub("\n", note.body), newline)
    if body and _has_fence(head) and not head.endswith(("\n", "\r")):
        head += end
    if not _splits_there(head, body):  # a text that begins as front matter does
        head += f"---{end}---{end}"
    return (head + body).encode("utf-8", "replace")


# ---------------------------------------------------------------- bytes, lines


def _text(data: bytes) -> str:
    if len(data) > 4 * MAX_BODY + 4 * MAX_HEAD:
        raise Unreadable("The file is larger than a page may be: split it.")
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise Unreadable("The file is UTF-16 text. Save it as UTF-8.")
    if b"\x00" in data:
        raise Unreadable("The file is not text: it holds zero bytes.")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise Unreadable(f"Line {line} of the file is not UTF-8. Save it as UTF-8.") from None


def _newline_of(text: str, head: str) -> str:
    ends = _LINE_END.findall(text)
    if not ends:
        first = _LINE_END.search(head)
        return first[0] if first else "\n"
    if len(set(ends)) == 1:
        return str(ends[0])
    runs: list[tuple[str, int]] = []
    for end in ends:
        if runs and runs[-1][0] == end:
            runs[-1] = (end, runs[-1][1] + 1)
        else:
            runs.append((end, 1))
    return "".join(f"{count}{_NAMES_OF_ENDS[end]}" for end, count in runs)


def _runs(newline: str) -> list[tuple[str, int]]:
    return [(_ENDS[name], int(count)) for count, name in re.findall(r"([0-9]+)([ncr])", newline)]


def _common(newline: str) -> str:
    if newline in _NAMES_OF_ENDS:
        return newline
    counts = Counter[str]()
    for end, count in _runs(newline):
        counts[end] += count
    return counts.most_common(1)[0][0] if counts else "\n"


def _with_ends(body: str, newline: str) -> str:
    """The text with its lines ended as the file's are. Where they are mixed and their number has
    changed, the commonest end is that of all."""
    if newline == "\n":
        return body
    runs = [] if newline in _NAMES_OF_ENDS else _runs(newline)
    if not runs or sum(count for _, count in runs) != body.count("\n"):
        return body.replace("\n", _common(newline))
    ends = (end for end, count in runs for _ in range(count))
    return re.sub("\n", lambda _: next(ends), body)


def _has_fence(head: str) -> bool:
    return head.removeprefix(_BOM) != ""


def _splits_there(head: str, body: str) -> bool:
    text = head + body
    mark = len(_BOM) if text.startswith(_BOM) else 0
    try:
        found = front_matter.bounds(text[mark:], most=MAX_HEAD)
    except BadField:
        found = None
    return (found[2] + mark if found else mark) == len(head)


# ---------------------------------------------------------------- reading the fields


def _note(fields: Mapping[str, Node]) -> Note:
    kind = _KINDS.get(_one(fields.get("kind")).strip().lower())
    names = _ALL_FACTS if kind is None else FACTS.get(kind, ())
    facts: dict[str, Value] = {
        name: value for name in names if (value := _value(name, fields.get(name)))
    }
    links = [
        NamedLink(relation, name)
        for word, relation in _RELATIONS.items()
        for name in _names(fields.get(word))
    ]
    links += _older_links(fields.get("links"))
    return Note(
        id=_one(fields.get(OWN_ID)).strip() or _one(fields.get("id")).strip(),
        kind=kind,
        title=_one(fields.get("title")),
        aliases=_both("aliases", fields),
        tags=_both("tags", fields),
        identifiers=_many("identifiers", fields.get("identifiers")),
        facts=facts,
        links=tuple(dict.fromkeys(sorted(links, key=lambda link: _ORDER[link.relation]))),
        members=_members(fields.get("members")) if kind is PageKind.THREAD else (),
    )


def _value(name: str, node: Node | None) -> Value:
    return _many(name, node) if name in LISTS else _one(node)


def _one(node: Node | None) -> str:
    """A field that is one text; '' when it is none. Blanks that quotes hold are part of it."""
    if not isinstance(node, ScalarNode):
        return ""
    text = written(node) or ""
    return text if node.style in ("'", '"') else text.strip()


def _both(name: str, fields: Mapping[str, Node]) -> tuple[str, ...]:
    older = next(old for old, new in _OLDER.items() if new == name)
    return tuple(dict.fromkeys((*_many(name, fields.get(name)), *_many(name, fields.get(older)))))


def _many(name: str, node: Node | None) -> tuple[str, ...]:
    """A field that is a list of texts, or one text with several in it."""
    if isinstance(node, SequenceNode):
        if link := _bare_wikilink(node):
            return (link,)
        texts: Iterable[str] = (_item(name, item) for item in node.value)
    elif name in ("tags", "identifiers", "categories"):
        texts = re.split(r"[,\s]+", _one(node))
    elif name == "aliases":
        texts = [part.strip() for part in _one(node).split(",")]
    else:
        texts = [_one(node)]
    if name == "tags":
        texts = (text.lstrip("#") for text in texts)
    return tuple(dict.fromkeys(filter(None, texts)))


def _item(name: str, node: Node) -> str:
    """An item of a list as text; '' for what is no text."""
    if isinstance(node, MappingNode):
        return _one(mapping(node).get("name")) if name == "authors" else ""
    return _one(node) or unquoted_wikilink(node)


def _bare_wikilink(node: Node) -> str:
    """`about: [[KV cache]]`, which YAML takes for a list in a list; '' for anything else."""
    flow = isinstance(node, SequenceNode) and node.flow_style and len(node.value) == 1
    return unquoted_wikilink(node) if flow and isinstance(node.value[0], SequenceNode) else ""


def _names(node: Node | None) -> tuple[str, ...]:
    """The pages that the value of a relation names."""
    if node is None:
        return ()
    if isinstance(node, SequenceNode) and not _bare_wikilink(node):
        found = [name for item in node.value for name in _names_in(_link_text(item))]
    else:
        found = list(_names_in(_bare_wikilink(node) or _one(node)))
    return tuple(dict.fromkeys(found))


def _link_text(node: Node) -> str:
    return _one(node) or unquoted_wikilink(node)


def _names_in(text: str) -> Iterator[str]:
    """The page in a wikilink, those in several, or the text itself where it is none."""
    several = _WIKILINK.findall(text)
    whole = _WHOLE_WIKILINK.fullmatch(text.strip())
    if len(several) > 1 and re.fullmatch(r"[\s,;]*", _WIKILINK.sub("", text)):
        inner = several
    elif whole:
        inner = [whole[1]]
    else:
        inner = [text] if text.strip() else []
        yield from inner
        return
    for link in inner:
        if name := re.split(r"[|#]", link, maxsplit=1)[0]:
            yield name if name.strip() == name or whole is None else name.strip()


def _older_links(node: Node | None) -> Iterator[NamedLink]:
    for item in node.value if isinstance(node, SequenceNode) else ():
        if (link := _older_link(item)) is not None:
            yield link


def _older_link(item: Node) -> NamedLink | None:
    """`{relation, target}` of an accepted link; None for what is something else."""
    if not isinstance(item, MappingNode):
        return None
    entry = mapping(item)
    relation = _RELATIONS.get((scalar(entry.get("relation")) or "").lower())
    status = (scalar(entry.get("status")) or LinkStatus.ACCEPTED.value).lower()
    names = _names(entry.get("target"))
    if relation is None or len(names) != 1 or status != LinkStatus.ACCEPTED.value:
        return None
    return NamedLink(relation, names[0])


def _members(node: Node | None) -> tuple[str, ...]:
    found: list[str] = []
    for item in node.value if isinstance(node, SequenceNode) else ():
        if isinstance(item, MappingNode):
            found += _names(mapping(item).get("paper"))
        else:
            found += _names_in(_link_text(item))
    return tuple(dict.fromkeys(found))


# ---------------------------------------------------------------- what a file says, compared


def _wanted(note: Note) -> dict[str, Value]:
    """The fields of a note in the order in which a new file has them, empty ones too."""
    names = _ALL_FACTS if note.kind is None else FACTS.get(note.kind, ())
    found: dict[str, Value] = {
        "id": note.id,
        "kind": note.kind.value if note.kind else "",
        "title": note.title,
        "aliases": note.aliases,
        "tags": note.tags,
        "identifiers": note.identifiers,
    }
    for name in names:
        value = note.facts.get(name, "")
        found[name] = value if isinstance(value, str) == (name not in LISTS) else ""
    for word, relation in _RELATIONS.items():
        found[word] = tuple(link.name for link in note.links if link.relation is relation)
    return _fitting(found)


def _fitting(wanted: dict[str, Value]) -> dict[str, Value]:
    """The fields cut so that they can be read again: of a list that is far too long the first items."""
    lists = {name: value for name, value in wanted.items() if isinstance(value, tuple)}
    while (items := sum(map(len, lists.values()))) > 1_000:
        signs = sum(len(_scalar(text)) + 12 for value in lists.values() for text in value)
        if items <= _MOST_ITEMS and signs <= MAX_HEAD * 3 // 4:
            break
        longest = max(lists, key=lambda name: sum(map(len, lists[name])) + len(lists[name]))
        lists[longest] = lists[longest][: len(lists[longest]) // 2]
    return {**wanted, **lists}


def _meaning(name: str, value: Value, title: str) -> object:
    """What the wiki makes of a field: two that mean the same need no writing."""
    if not value:
        return None
    if name in _RELATIONS:
        return frozenset(value)
    if name == "title":
        return " ".join(str(value).split())
    if name in _DAYS:
        return clean_date(str(value)) or value
    if name == "identifiers":
        return frozenset(_identifier(text) for text in value)
    if name == "aliases":
        own = name_key(title)
        names = {name_key(text): " ".join(text.split()) for text in reversed(value)}
        return (
            tuple(reversed([kept for key, kept in names.items() if key not in ("", own)])) or None
        )
    if name == "tags":
        return frozenset(" ".join(text.lower().split()) for text in value)
    return value


def _identifier(text: str) -> str:
    found = parse_id(text)
    return str(found) if found else text


# ---------------------------------------------------------------- writing the fields


def _new_head(note: Note, head: str, end: str) -> str:
    mark = _BOM if head.startswith(_BOM) else ""
    wanted = _wanted(note)
    try:
        found = front_matter.bounds(head[len(mark) :], most=MAX_HEAD)
        root = front_matter.compose(head[len(mark) :][found[0] : found[1]]) if found else None
    except BadField:
        return head
    if not found:
        lines = "".join(_lines(name, value, "", end) for name, value in wanted.items() if value)
        return f"{mark}---{end}{lines}---{end}" if lines else mark
    start, stop = (place + len(mark) for place in found[:2])
    yaml = head[start:stop]
    end = (_LINE_END.search(head) or re.compile("(?s).*").match(end) or [end])[0]
    now = _note(mapping(root)) if root is not None else Note()
    said = _said(root, now, note.kind)
    changed = {
        name: value
        for name, value in wanted.items()
        if _meaning(name, value, note.title) != _meaning(name, said.get(name, ""), now.title)
        and not (
            name == "kind" and note.kind is PageKind.NOTE and _has(root, "kind") and not now.kind
        )
    }
    if not changed:
        return head
    if _has_anothers_id(root, note.id):
        wanted, changed = (
            {OWN_ID if name == "id" else name: value for name, value in fields.items()}
            for fields in (wanted, changed)
        )
    edited = _edited(yaml, root, wanted, changed, end)
    if edited is None or not _says(edited, root, wanted, changed, note.title):
        edited = _anew(root, wanted, end)
    return head[:start] + edited + head[stop:]


def _has_anothers_id(root: MappingNode | None, ours: str) -> bool:
    """Whether `id` is another program's, or a number that a person gave, and ours stands beside it."""
    fields = mapping(root) if root is not None else {}
    if OWN_ID in fields:
        return True
    node = fields.get("id")
    text = _one(node).strip()
    if not text:
        return isinstance(node, SequenceNode | MappingNode)
    return text != ours and (text.isdigit() or not (is_slug(text) or parse_id(text) is not None))


def _said(root: MappingNode | None, now: Note, kind: PageKind | None) -> dict[str, Value]:
    """The fields that a file has now, of which those of a kind are facts."""
    said = _wanted(replace(now, kind=kind, facts=_all_facts(root)))
    return {**said, "kind": now.kind.value if now.kind else ""}


def _all_facts(root: MappingNode | None) -> dict[str, Value]:
    fields = mapping(root) if root is not None else {}
    return {name: _value(name, fields.get(name)) for name in _ALL_FACTS}


def _has(root: MappingNode | None, name: str) -> bool:
    return root is not None and name in mapping(root)


@dataclass
class _Piece:
    """A part of the front matter as it stands: a field (`name`), or what lies between two."""

    text: str
    name: str = ""
    value: Node | None = None
    start: int = 0  # where it stands in the front matter


def _pieces(yaml: str, root: MappingNode) -> list[_Piece] | None:
    """The front matter cut at its fields; None when they do not stand on lines of their own."""
    starts = []
    for key, _ in root.value:
        start = key.start_mark.index
        while start and yaml[start - 1] in " ?":
            start -= 1
        if start and yaml[start - 1] not in "\r\n":
            return None
        starts.append(start)
    if starts != sorted(starts):
        return None
    pieces = [_Piece(yaml[: starts[0]])] if starts else [_Piece(yaml)]
    for (key, value), start, stop in zip(root.value, starts, [*starts[1:], len(yaml)], strict=True):
        text = yaml[start:stop]
        last = max(key.end_mark.index, _last(value)) - start
        cut = len(text)
        for line in reversed(text.splitlines(keepends=True) if "\r" not in text else _split(text)):
            if cut - len(line) < last or (line.strip() and not line.startswith("#")):
                break
            cut -= len(line)
        name = key.value if isinstance(key, ScalarNode) else ""
        pieces += [_Piece(text[:cut], str(name), value, start), _Piece(text[cut:])]
    return pieces


def _split(text: str) -> list[str]:
    return [part for part in re.split(r"(?<=\n)|(?<=\r)(?!\n)", text) if part]


def _last(node: Node) -> int:
    """Where the last sign of a value stands, comments below it not counted."""
    children: list[Node] = []
    if isinstance(node, SequenceNode) and not node.flow_style:
        children = list(node.value)
    elif isinstance(node, MappingNode) and not node.flow_style:
        children = [part for pair in node.value for part in pair]
    if children:
        return max(_last(child) for child in children[-2:])
    if isinstance(node, ScalarNode) and node.style in ("|", ">"):
        return int(node.start_mark.index)
    return int(node.end_mark.index)


def _edited(
    yaml: str,
    root: MappingNode | None,
    wanted: Mapping[str, Value],
    changed: Mapping[str, Value],
    end: str,
) -> str | None:
    """The front matter with the changed fields changed; None when it is no plain list of fields."""
    if root is None:
        pieces: list[_Piece] | None = [_Piece(yaml)]
        indent = ""
    elif root.flow_style:
        return None
    else:
        pieces = _pieces(yaml, root)
        indent = " " * (root.value[0][0].start_mark.column if root.value else 0)
    if pieces is None:
        return None
    if any(name in _RELATIONS for name in changed) and _give_up_links(pieces):
        before = mapping(root) if root is not None else {}
        changed = {
            name: value
            for name, value in wanted.items()
            if name in changed
            or (name in _RELATIONS and frozenset(value) != frozenset(_names(before.get(name))))
        }
    for piece in pieces:
        if piece.name in _OLDER and _OLDER[piece.name] in changed:
            piece.text, piece.name = "", ""
    place = -1
    for name, value in wanted.items():
        own = [number for number, piece in enumerate(pieces) if piece.name == name]
        if name in changed:
            for number in own[:-1]:
                pieces[number].text, pieces[number].name = "", ""
            if own:
                piece = pieces[own[-1]]
                theirs = _unknown_kind(piece.value) if name == "kind" else ""
                piece.text = _rewritten(piece, name, value, indent, end)
                if theirs:
                    piece.text = f"{_ended(piece.text, end)}# {name} was {_quoted(theirs)}{end}"
            elif value:
                new = _Piece(_lines(name, value, indent, end), name)
                pieces.insert(place + 1 if place >= 0 else len(pieces), new)
                own = [place + 1 if place >= 0 else len(pieces) - 1]
        if own and pieces[own[-1]].text:
            place = own[-1]
    return "".join(piece.text for piece in pieces)


def _unknown_kind(node: Node | None) -> str:
    """What stands under `kind` and means nothing here: kept as a remark when ours goes there."""
    text = _one(node).strip()
    return "" if text.lower() in _KINDS else text


def _give_up_links(pieces: list[_Piece]) -> bool:
    """Take out of the older form, `links:`, what stands under the relations now."""
    found = False
    for piece in pieces:
        if piece.name != "links" or not isinstance(piece.value, SequenceNode):
            continue
        items = _items(piece)
        kept = [item for item in items if _older_link(item.node) is None]
        if len(kept) == len(items):
            continue
        piece.text = _joined(piece, [item.text for item in kept]) if kept else ""
        if not kept:
            piece.name = ""
        found = True
    return found


@dataclass
class _Item:
    node: Node
    text: str


def _items(piece: _Piece) -> list[_Item]:
    """The items of a list as they stand: whole lines of a block, the source of each in a flow."""
    value = piece.value
    assert isinstance(value, SequenceNode)
    nodes: list[Node] = list(value.value)
    if value.flow_style:
        return [
            _Item(
                node,
                piece.text[
                    node.start_mark.index - piece.start : node.end_mark.index - piece.start
                ].strip(),
            )
            for node in nodes
        ]
    starts = [_line_of(piece.text, node.start_mark.index - piece.start) for node in nodes]
    stops = [*starts[1:], len(piece.text)]
    return [
        _Item(node, piece.text[start:stop])
        for node, start, stop in zip(nodes, starts, stops, strict=True)
    ]


def _line_of(text: str, place: int) -> int:
    """Where the line of the item's dash begins."""
    dash = text.rfind("-", 0, place)
    return max(text.rfind("\n", 0, dash), text.rfind("\r", 0, dash)) + 1


def _joined(piece: _Piece, items: list[str]) -> str:
    """The field with these items in place of its own."""
    value = piece.value
    assert isinstance(value, SequenceNode)
    if value.flow_style:
        start, stop = value.start_mark.index - piece.start, value.end_mark.index - piece.start
        return f"{piece.text[:start]}[{', '.join(items)}]{piece.text[stop:]}"
    first = _line_of(piece.text, value.value[0].start_mark.index - piece.start)
    return piece.text[:first] + "".join(items)


def _rewritten(piece: _Piece, name: str, value: Value, indent: str, end: str) -> str:
    """A field with another value, in the style it was written in."""
    node = piece.value
    if isinstance(value, tuple):
        if isinstance(node, SequenceNode) and node.value and not _bare_wikilink(node):
            return _rewritten_list(piece, name, value, end)
        if isinstance(node, SequenceNode) and node.flow_style and not node.value and value:
            return _joined(piece, [_quoted(_as_written(name, text)) for text in value])
        if value and node is not None and node.start_mark.index == node.end_mark.index:
            line = _ended(piece.text, end)
            return line + "".join(_block_item(name, text, f"{indent}  ", end) for text in value)
        return _lines(name, value, indent, end) if value else ""
    if not value:
        return ""
    if isinstance(node, ScalarNode) and node.style not in ("|", ">"):
        start, stop = node.start_mark.index - piece.start, node.end_mark.index - piece.start
        old = piece.text[start:stop]
        if start == stop:
            colon = piece.text.rfind(":", 0, start) + 1
            if colon:
                return f"{piece.text[:colon]} {_scalar(value)}{piece.text[colon:]}"
        elif "\n" not in old and "\r" not in old:
            return piece.text[:start] + _scalar(value) + piece.text[stop:]
    return _lines(name, value, indent, end)


def _rewritten_list(piece: _Piece, name: str, value: tuple[str, ...], end: str) -> str:
    node = piece.value
    assert isinstance(node, SequenceNode)
    flow = bool(node.flow_style)
    read: Callable[[Node], str] = (
        (lambda item: next(iter(_names_in(_link_text(item))), ""))
        if name in _RELATIONS
        else (lambda item: _item(name, item).lstrip("#" if name == "tags" else ""))
    )
    first = _line_of(piece.text, node.value[0].start_mark.index - piece.start)
    dash = piece.text[first : piece.text.find("-", first)] if not flow else ""
    old: dict[object, str] = {}
    others: list[str] = []
    for item in _items(piece):
        text = read(item.node)
        if text:
            old.setdefault(_item_key(name, text), item.text if flow else _ended(item.text, end))
        else:  # no text: somebody else's
            others.append(item.text if flow else _ended(item.text, end))
    order = list(value)
    if name not in ("authors", "aliases", "categories"):
        keys = list(old)
        order.sort(key=lambda text: _place_of(keys, _item_key(name, text)))
    new = [
        old.get(_item_key(name, text))
        or (_quoted(_as_written(name, text)) if flow else _block_item(name, text, dash, end))
        for text in order
    ]
    return _joined(piece, [*new, *others]) if new or others else ""


def _item_key(name: str, text: str) -> object:
    """By which an item of a list is found again: names that count case keep it."""
    return _meaning(name, (text,), "") if name in ("tags", "identifiers") else text


def _place_of(keys: list[object], key: object) -> int:
    return keys.index(key) if key in keys else len(keys)


def _ended(line: str, end: str) -> str:
    return line if line.endswith(("\n", "\r")) else line + end


def _lines(name: str, value: Value, indent: str, end: str) -> str:
    """A field as a new file has it."""
    if isinstance(value, str):
        return f"{indent}{name}: {_scalar(value)}{end}"
    items = "".join(_block_item(name, text, f"{indent}  ", end) for text in value)
    return f"{indent}{name}:{end}{items}"


def _block_item(name: str, text: str, indent: str, end: str) -> str:
    return f"{indent}- {_scalar(_as_written(name, text))}{end}"


def _as_written(name: str, text: str) -> str:
    """A page's name as a wikilink, where it can stand in one."""
    if name not in _RELATIONS or re.search(r"[|#]|^\s|\s$|^\[\[|\]\]$", text):
        return text
    return f"[[{text}]]"


# ---------------------------------------------------------------- scalars

_WORDS = frozenset({"null", "true", "false", "yes", "no", "on", "off", "y", "n"})
_PLAIN = re.compile(r"[^\W\d_](?:[\w./()+'-]| (?! ))*", re.DOTALL)


def _scalar(text: str) -> str:
    """A text as every YAML reader takes it for this very text: plain where that is sure."""
    if (
        _PLAIN.fullmatch(text)
        and not text.endswith(" ")
        and text.casefold() not in _WORDS
        and unicodedata.is_normalized("NFC", text)
        and not any(_is_unseen(sign) for sign in text)
    ):
        return text
    return _quoted(text)


def _quoted(text: str) -> str:
    return '"' + "".join(_escaped(sign) for sign in text) + '"'


def _is_unseen(sign: str) -> bool:
    """Whether a sign is better written as a number: no reader may drop it, no eye overlook it."""
    if sign in "\u200c\u200d":  # joins emoji and letters
        return False
    return (
        unicodedata.category(sign) in ("Cc", "Cf", "Cs", "Zl", "Zp")
        or ord(sign) & 0xFFFE == 0xFFFE
        or 0xFDD0 <= ord(sign) <= 0xFDEF
    )


def _escaped(sign: str) -> str:
    if sign in '"\\':
        return f"\\{sign}"
    if not _is_unseen(sign):
        return sign
    known = {"\n": "\\n", "\t": "\\t"}.get(sign)
    if known:
        return known
    if 0xD800 <= ord(sign) <= 0xDFFF:
        return "\ufffd"
    return f"\\u{ord(sign):04X}" if ord(sign) <= 0xFFFF else f"\\U{ord(sign):08X}"


# ---------------------------------------------------------------- when it cannot be edited in place


def _says(
    yaml: str,
    root: MappingNode | None,
    wanted: Mapping[str, Value],
    changed: Mapping[str, Value],
    title: str,
) -> bool:
    """Whether edited front matter says what is wanted, and all else as before."""
    try:
        new = front_matter.compose(yaml)
    except BadField:
        return False
    if _others(new, wanted) != _others(root, wanted):
        return False
    fields = mapping(new) if new is not None else {}
    note = _note(fields)
    said = _said(new, note, _KINDS.get(str(wanted["kind"])))
    said[OWN_ID] = said["id"]
    return all(
        _meaning(name, said.get(name, ""), note.title) == _meaning(name, value, title)
        for name, value in changed.items()
    )


def _others(root: MappingNode | None, wanted: Mapping[str, Value]) -> list[object]:
    """The fields of other tools, as values that can be compared."""
    ours = {*wanted, *_OLDER, "links"}
    return [
        (_plain(key), _plain(value))
        for key, value in (root.value if root is not None else ())
        if not (isinstance(key, ScalarNode) and key.value in ours)
    ]


def _plain(node: Node) -> object:
    if isinstance(node, SequenceNode):
        return [_plain(item) for item in node.value]
    if isinstance(node, MappingNode):
        return [(_plain(key), _plain(value)) for key, value in node.value]
    return str(node.tag), node.value


def _anew(root: MappingNode | None, wanted: Mapping[str, Value], end: str) -> str:
    """The whole front matter written anew, other tools' fields after ours with the same values."""
    lines = [_lines(name, value, "", end) for name, value in wanted.items() if value]
    for key, value in root.value if root is not None else ():
        if isinstance(key, ScalarNode):
            if key.value in _OLDER or key.value in wanted:
                continue
            if key.value == "links" and isinstance(value, SequenceNode):
                value = _without_links(value)
                if not value.value:
                    continue
            lines.append(f"{_flow(key)}: {_flow(value)}{end}")
        else:
            lines.append(f"? {_flow(key)}{end}: {_flow(value)}{end}")
    return "".join(lines)


def _without_links(node: SequenceNode) -> SequenceNode:
    kept = [item for item in node.value if _older_link(item) is None]
    return SequenceNode(node.tag, kept, node.start_mark, node.end_mark, flow_style=True)


def _flow(node: Node) -> str:
    """A value on one line, with its anchors resolved."""
    own = str(node.tag)
    tag = f"{own} " if own.startswith("!") and own != "!" else ""
    if isinstance(node, SequenceNode):
        return f"{tag}[{', '.join(_flow(item) for item in node.value)}]"
    if isinstance(node, MappingNode):
        pairs = (f"{_flow(key)}: {_flow(value)}" for key, value in node.value)
        return f"{tag}{{{', '.join(pairs)}}}"
    text = str(node.value)
    if tag or kind_of(node) == "str" or getattr(node, "style", None) is not None:
        return tag + _quoted(text)
    return text or "null"
