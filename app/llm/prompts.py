"""Prompts: files of ours with a name and a version, filled with the reader's topics and with papers.

A file has front matter (`name`, `version`) and two parts, "# System" and "# User", with
{placeholders}. What is the same in every call of a run stands in the system part, so that the
service caches it; papers stand in the user part alone, as data.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path

from app.domain.scoring import TopicText
from app.domain.untrusted import line, plain
from app.llm.base import Prompt, Request

FOLDER = Path(__file__).parent / "prompts"
LIST_HERE = "[PAPER LIST HERE]"
TOKENS_A_PAPER = 400  # of a reply, generously: three comments of 300 characters and the fields
THINKING = 8_000  # tokens a model may think before it answers; they count as the reply's
MOST_TOKENS = 32_000  # of a reply: every model that is sold gives as many
LONGEST_ABSTRACT = 6_000  # characters; arXiv takes 1,920
_LAYOUT = re.compile(
    r"---\nname: (?P<name>[a-z_]+)\nversion: (?P<version>[0-9]+)\n---\n"
    r"# System\n(?P<system>.*)\n# User\n(?P<user>.*)",
    re.S,
)


@dataclass(frozen=True)
class PaperText:
    """A paper as a prompt shows it. `id` is what the model names it by (`paper_id`)."""

    id: str
    title: str
    abstract: str = ""


def paper_id(row: int, arxiv: str | None) -> str:
    """What a model is told to call a paper: its arXiv id, or "p" and the number of its row."""
    return arxiv or f"p{row}"


@cache
def load(name: str) -> Prompt:
    """The shipped prompt of this name. Its hash is that of the file's bytes."""
    source = (FOLDER / f"{name}.md").read_bytes()
    found = _LAYOUT.fullmatch(source.decode("utf-8"))
    if found is None or found["name"] != name:
        raise ValueError(f"prompts/{name}.md is not laid out as a prompt.")
    return Prompt(
        name,
        int(found["version"]),
        sha256(source).hexdigest(),
        found["system"].strip(),
        found["user"].strip(),
    )


def fill(template: str, values: Mapping[str, str]) -> str:
    """The template with each {name} of `values` replaced, once: no value is looked into again."""
    names = "|".join(map(re.escape, values))
    return re.sub(rf"\{{({names})\}}", lambda found: values[found[1]], template)


def triage_request(
    prompt: Prompt, topics: Sequence[TopicText], papers: Sequence[PaperText], *, model: str
) -> Request:
    """A call that asks for the marks of these papers. The system part is that of every other call.

    The reply is text, one object a line, because a reply that is cut off then keeps its whole lines.
    """
    return Request(
        model=model,
        system=_system(prompt, topics),
        user=fill(prompt.user, {"papers": _listed(papers), "count": _objects(len(papers))}),
        most_tokens=min(THINKING + TOKENS_A_PAPER * len(papers), MOST_TOKENS),
        effort="low",  # hundreds of short judgements a day: what it thinks is paid as what it says
    )


def rendered(prompt: Prompt, topics: Sequence[TopicText]) -> str:
    """The prompt in full as a person reads it, with a mark where the papers of a call stand."""
    user = fill(prompt.user, {"papers": LIST_HERE, "count": "one object a paper"})
    return f"System Prompt\n\n{_system(prompt, topics)}\n\nUser Prompt\n\n{user}"


def _system(prompt: Prompt, topics: Sequence[TopicText]) -> str:
    asked = []
    for number, topic in enumerate(topics, 1):
        asked.append(f"{number}. {line(topic.name)}")
        asked += [f"   - Keep: {line(topic.keep)}"] if topic.keep.strip() else []
        asked += [f"   - Filter: {line(topic.filter)}"] if topic.filter.strip() else []
    # The same wording as above would be the same tokens twice: an id needs its name alone.
    registry = [f"- {line(topic.id)}: {line(topic.name)}" for topic in topics]
    return fill(prompt.system, {"topics": "\n".join(asked), "registry": "\n".join(registry)})


def _objects(count: int) -> str:
    return "1 object" if count == 1 else f"{count} objects"


def _listed(papers: Sequence[PaperText]) -> str:
    return "\n".join(untrusted(paper) for paper in papers)


def untrusted(paper: PaperText) -> str:
    """A paper as one line of JSON: no text in it ends its field, its line or the list around it."""
    said = {
        "id": paper.id,
        "title": line(paper.title)[:500],
        "abstract": plain(paper.abstract).strip()[:LONGEST_ABSTRACT],
    }
    return json.dumps(said, ensure_ascii=False).replace("<", "\\u003c")
