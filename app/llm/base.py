"""What a call of the model is: what goes out, what comes back, and how it can fail.

Nothing here knows a service; `anthropic.py` speaks to one that has the Messages API. The model has no
hands: no tools, no links, no files. What it says is text, and is checked before any of it is stored.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol


@dataclass(frozen=True)
class Prompt:
    """A prompt file as it stands: `name@version` and its hash name it for ever.

    `system` and `user` are templates with `{placeholders}`; what is the same in every call of a run
    is in `system`, so that it can be cached.
    """

    name: str
    version: int
    hash: str
    system: str
    user: str

    @property
    def label(self) -> str:
        """As it is kept with what it made: "triage@1 3f2a9c01"."""
        return f"{self.name}@{self.version} {self.hash[:8]}"


@dataclass(frozen=True)
class Request:
    """One call. `system` is cached by the service when it is long enough; `user` never is.

    `schema` asks for JSON of that shape; None for text. `most_tokens` bounds the reply, what the
    model thinks before it included. `effort` ("low", "medium", "high") says how much it should think;
    "" leaves that to the model, and so does a model that knows no such thing.
    """

    model: str
    system: str
    user: str
    most_tokens: int
    schema: dict[str, Any] | None = None
    effort: str = ""


@dataclass(frozen=True)
class Tokens:
    """Tokens of a call by kind, as they are billed: `input` is what no cache had."""

    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write: int = 0
    cache_write_1h: int = 0


@dataclass(frozen=True)
class Reply:
    """What came back whole. `stop` is "end_turn", "max_tokens", "refusal" …: text may be cut or empty.

    `tokens` is None when the service did not say, or said what cannot be.
    """

    text: str
    stop: str
    model: str
    request_id: str = ""
    tokens: Tokens | None = None


@dataclass(frozen=True)
class Failure:
    """A call that gave nothing, in one sentence for a person.

    `later`: it is worth trying again, after `wait` seconds where the service said how long.
    `free`: it is certain that nothing is billed (refused before it was begun, or never sent).
    """

    reason: str
    later: bool
    wait: float | None = None
    free: bool = False
    status: int | None = None
    request_id: str = ""


Answer = Reply | Failure


@dataclass(frozen=True)
class BatchStands:
    """A Message Batch as the service says: ended or not, and how many of its requests did what."""

    ended: bool
    counts: dict[str, int] = field(default_factory=dict)


class Model(Protocol):
    """A service that answers. No method raises for what the service or the network does."""

    @property
    def ready(self) -> str:
        """ "" when calls can be made; else one sentence that says what is missing."""
        ...

    def ask(self, request: Request) -> Answer: ...

    def count(self, request: Request) -> int | None:
        """The request's input tokens as the service counts them; None when it does not say."""
        ...

    def send_batch(self, requests: Sequence[tuple[str, Request]]) -> str | Failure:
        """Begin a Message Batch; its id."""
        ...

    def look_at_batch(self, batch: str) -> BatchStands | Failure: ...

    def results_of_batch(self, batch: str) -> Iterator[tuple[str, Answer]] | Failure:
        """Answers by the ids that `send_batch` was given, in any order."""
        ...

    def cancel_batch(self, batch: str) -> Failure | None: ...
