"""Settings become a running App. The only place that wires; tests pass fakes here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path

from sqlalchemy.engine import Engine

from app.domain.linking import Weights
from app.domain.words import Lexicon
from app.embeddings.base import Direct, Encoder, QueryEncoder
from app.embeddings.remote import RemoteEncoder
from app.embeddings.sentence import SentenceTransformerEncoder, available, model_id
from app.services.linker import shipped_weights
from app.settings import Settings
from app.sources.base import Reader
from app.sources.digest_page import DigestPage
from app.sources.interchange import Interchange
from app.sources.markdown_folder import MarkdownFolder
from app.sources.podcast_page import PodcastPage
from app.sources.triage_page import TriagePage
from app.store import schema
from app.store.db import open_engine
from app.store.vectors import VectorIndex

# In the order in which they look at a file: the surest first.
READERS: tuple[Reader, ...] = (
    Interchange(),
    TriagePage(),
    PodcastPage(),
    DigestPage(),
    MarkdownFolder(),
)


@dataclass
class App:
    """Everything a process needs, given once. `encoder` is None where there are no vectors."""

    settings: Settings
    engine: Engine
    weights: Weights
    encoder: Encoder | None = None
    query_encoder: QueryEncoder | None = None
    index: VectorIndex | None = None
    readers: tuple[Reader, ...] = READERS
    lexicon: Lexicon = field(default_factory=Lexicon)  # the linker's, for one thread

    @property
    def clock(self) -> Callable[[], datetime]:
        return self.settings.clock

    @property
    def raw_folder(self) -> Path:
        return self.settings.data / "raw"

    def today(self) -> date:
        """The reader's day, in their time zone."""
        return self.clock().astimezone(self.settings.zone).date()

    def query_encoder_for_commands(self, say: Callable[[str], None]) -> QueryEncoder | None:
        """The worker's encoder if one answers; else the model is loaded here, and `say` says so."""
        if self.encoder is None or self.query_encoder is None:
            return None
        if self.query_encoder.encode_query("hello") is not None:
            return self.query_encoder
        say("No worker answers: loading the sentence encoder here, which takes some seconds.")
        return Direct(self.encoder)


def build(settings: Settings) -> App:
    """Open the wiki that the settings name, its schema brought up to date.

    Loads no model: the encoder does that on its first use. Raises Misconfigured or Unavailable
    with one line that says what is wrong.
    """
    engine = open_engine(settings.url)
    schema.upgrade(engine)
    app = App(settings, engine, shipped_weights(settings.linker_weights))
    if settings.vectors_wanted and available(settings.embedding_model):
        model = model_id(settings.embedding_model)
        app.encoder = SentenceTransformerEncoder(settings.embedding_model)
        app.query_encoder = RemoteEncoder(settings.data, settings.encoder, model=model)
        app.index = VectorIndex(model)
    return app
