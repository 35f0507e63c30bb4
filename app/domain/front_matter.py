"""YAML front matter: where it ends, its fields as nodes, and the texts in them. Pure.

Fields stay YAML nodes until somebody asks for a value: `1e3`, `2026-05-08` and `true` are then the
text that was written, and the nodes know where in the text they stand.
"""

from __future__ import annotations

import re
import warnings

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, ReusedAnchorWarning
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

MAX_FRONT_MATTER = 65_536
_MAX_NODES = 10_000
_MAX_DEPTH = 20
_UNPRINTABLE = re.compile("[\ud800-\udfff\x00]")
_OPENING = re.compile(r"---[^\S\r\n]*(?:\r\n|\r|\n)")
_CLOSING = re.compile(r"(?<=[\r\n])(?:---|\.\.\.)[ \t]*(?:\r\n|\r|\n|\Z)")
_FIELD = re.compile(r"[ \t]*[\w\"'-]+[ \t]*:")

# A name given twice is the file's own affair: the newer one counts, as YAML 1.2 has it.
warnings.simplefilter("ignore", ReusedAnchorWarning)


class BadField(Exception):
    """Why a part of the front matter is not taken, as one sentence."""


def bounds(text: str, *, most: int = MAX_FRONT_MATTER) -> tuple[int, int, int] | None:
    """Where the fields begin and end, and where the text below begins; None without front matter.

    Raises BadField when it begins and does not end, or has more than `most` signs.
    """
    opening = _OPENING.match(text)
    if opening is None:
        return None
    closing = _CLOSING.search(text, opening.end())
    if closing is None:
        if _FIELD.match(text, opening.end()) is None:
            return None  # a rule as the first line, not front matter
        raise BadField("The front matter does not end with ---")
    if closing.start() - opening.end() > most:
        raise BadField(f"The front matter is longer than {most // 1024} kB")
    return opening.end(), closing.start(), closing.end()


def compose(yaml: str) -> MappingNode | None:
    """The fields as one node, whose marks are places in `yaml`; None where there are none.

    Raises BadField for what is no YAML, no fields, or holds too much.
    """
    try:
        root = YAML(typ="safe", pure=True).compose(_UNPRINTABLE.sub("\ufffd", yaml))
    except MarkedYAMLError as error:
        line = f" in line {error.problem_mark.line + 2}" if error.problem_mark else ""
        raise BadField(f"The front matter is not YAML{line}: {error.problem}.") from None
    except RecursionError:
        raise BadField("The front matter is nested too deeply.") from None
    except Exception as error:  # the parser raises whatever it stumbles over
        raise BadField(f"The front matter is not YAML: {type(error).__name__}.") from None
    if root is None:
        return None
    if not isinstance(root, MappingNode):
        raise BadField("The front matter is not a list of fields.")
    _check_size(root)
    return root


def fields(yaml: str) -> dict[str, Node]:
    """The top-level fields as YAML nodes; of two with one name the last. Raises BadField."""
    root = compose(yaml)
    return {} if root is None else mapping(root)


def _check_size(root: Node) -> None:
    """Aliases let a few lines stand for millions of nodes, or for themselves."""
    left = [(root, 0)]
    seen = 0
    while left:
        node, depth = left.pop()
        seen += 1
        if seen > _MAX_NODES:
            raise BadField("The front matter holds too many values.")
        if depth > _MAX_DEPTH:
            raise BadField("The front matter is nested too deeply.")
        if isinstance(node, SequenceNode):
            left += [(item, depth + 1) for item in node.value]
        elif isinstance(node, MappingNode):
            left += [(part, depth + 1) for pair in node.value for part in pair]


def mapping(node: MappingNode) -> dict[str, Node]:
    """The fields of a node by name; of two with one name the last."""
    return {key.value: value for key, value in node.value if isinstance(key, ScalarNode)}


def kind_of(node: Node) -> str:
    """What YAML takes a node for: str, int, null, seq …"""
    return str(node.tag).rsplit(":", 1)[-1]


def written(node: Node | None) -> str | None:
    """A scalar just as it is written (`1e3`, `2026-05-08`, `true` stay text); None when it is none."""
    if not isinstance(node, ScalarNode):
        return None
    if kind_of(node) == "null" and node.style is None:
        return ""
    return _UNPRINTABLE.sub("\ufffd", str(node.value))


def scalar(node: Node | None) -> str | None:
    """A scalar as it is written, without blanks around it; None when it is none."""
    text = written(node)
    return None if text is None else text.strip()


def unquoted_wikilink(node: Node | None) -> str:
    """`[[name]]` without quotes is, to YAML, a list in a list; '' for anything else."""
    for _ in range(2):
        if not isinstance(node, SequenceNode) or not node.value:
            return ""
        if len(node.value) > 1:
            break
        node = node.value[0]
    parts = node.value if isinstance(node, SequenceNode) else [node]
    names = [scalar(part) for part in parts]
    return f"[[{', '.join(filter(None, names))}]]" if all(names) else ""
