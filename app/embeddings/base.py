"""What an encoder is: texts in, unit vectors out. No model, no library and no network here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float32]


class Encoder(Protocol):
    """Makes vectors of texts. `model` names exactly what made them: vectors of two never mix."""

    @property
    def model(self) -> str:
        """Name and revision (fingerprint) of the model, as stored beside each vector."""
        ...

    @property
    def setting(self) -> str:
        """The path or id that loads the model again."""
        ...

    @property
    def dim(self) -> int:
        """How many numbers a vector has."""
        ...

    def encode(self, texts: Sequence[str]) -> Matrix:
        """One unit row a text, (len(texts), dim) float32. Raises Unavailable when it cannot load."""
        ...


@runtime_checkable
class AsksDifferently(Protocol):
    """An encoder whose model reads queries and texts with different prompts."""

    def encode_as_query(self, text: str) -> Matrix:
        """The unit vector (dim,) of a query."""
        ...


def query_vector(encoder: Encoder, text: str) -> Matrix:
    """The unit vector (dim,) of a query. Raises Unavailable when the encoder cannot load."""
    if isinstance(encoder, AsksDifferently):
        return encoder.encode_as_query(text)
    vector: Matrix = encoder.encode([text])[0]
    return vector


# The encoder of a model that is named, or None where it is not on this machine.
FindEncoder = Callable[[str], Encoder | None]


class QueryEncoder(Protocol):
    """Makes the vector of one query in time for an answer, or says that there is none."""

    def encode_query(self, text: str, model: str = "") -> Matrix | None:
        """A unit vector (dim,) by this model ("": by whichever there is), or None.

        None: not in time, nobody there, or no such model. Never raises.
        """
        ...


class Direct:
    """A QueryEncoder that asks encoders of its own process: for commands without a worker.

    `others` finds the encoder of a model that still serves while pages get vectors of another.
    """

    def __init__(self, encoder: Encoder, others: FindEncoder | None = None) -> None:
        self._encoder = encoder
        self._others = others

    def encode_query(self, text: str, model: str = "") -> Matrix | None:
        try:
            encoder = self._encoder
            if model not in ("", encoder.model):
                found = self._others(model) if self._others else None
                if found is None:
                    return None
                encoder = found
            return query_vector(encoder, text)
        except Exception:
            # Words alone still answer; what is wrong with the model is for `doctor` to say.
            return None
