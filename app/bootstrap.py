"""Settings become a running App. The only place that wires; tests pass fakes here."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import date, datetime, tzinfo
from functools import cached_property
from pathlib import Path

from sqlalchemy.engine import Engine
from sqlmodel import Session

from app.domain.linking import Weights
from app.domain.money import LLMSettings, of_dollars
from app.embeddings.base import Direct, Encoder, QueryEncoder
from app.embeddings.remote import RemoteEncoder
from app.embeddings.sentence import SentenceTransformerEncoder, available, model_id
from app.errors import Unavailable
from app.llm.anthropic import AnthropicModel
from app.llm.base import Model
from app.mail.smtp import Post
from app.services import backup
from app.services.backup import Place
from app.services.linker import shipped_weights
from app.services.sending import HOME
from app.services.triage import Fitted
from app.settings import Settings
from app.sources.articles import ArticleReader
from app.sources.arxiv import ArxivAtom, ArxivConnector, ArxivListing, ListingConnector
from app.sources.base import Reader
from app.sources.bibliography import Bibtex, CslJson, Ris
from app.sources.connectors import Connector, Web
from app.sources.digest_page import DigestPage
from app.sources.feeds import Feed, FeedConnector
from app.sources.huggingface import DailyPapers, DailyPapersConnector
from app.sources.imap import ImapConnector
from app.sources.interchange import Interchange
from app.sources.link_list import LinkList
from app.sources.mail import MailReader
from app.sources.markdown_folder import MarkdownFolder
from app.sources.oai import OaiConnector, OaiRecords
from app.sources.obsidian import Obsidian
from app.sources.openreview import OpenReview, OpenReviewConnector
from app.sources.opml import Opml
from app.sources.pdf import PdfReader
from app.sources.podcast_page import PodcastPage
from app.sources.podcasts import ChaptersFile, Podcast, PodcastConnector, Transcript
from app.sources.reddit import Reddit, RedditConnector
from app.sources.semantic_scholar import SemanticScholar, SemanticScholarConnector
from app.sources.triage_page import TriagePage
from app.store import preferences, schema, vectors
from app.store.corpus import Library
from app.store.db import open_engine, reading
from app.store.graph import LinkGraph
from app.store.hosts import Hosts
from app.store.relations import NameIndex
from app.store.vectors import VectorIndex

log = logging.getLogger("cerebro")

# In the order in which they look at a file: the surest first.
READERS: tuple[Reader, ...] = (
    PdfReader(),
    ArxivAtom(),
    ArxivListing(),
    OaiRecords(),
    DailyPapers(),
    Podcast(),  # before feeds: it is one
    Feed(),
    Opml(),
    Reddit(),
    LinkList(),
    ChaptersFile(),
    Transcript(),
    CslJson(),  # its first `type` is none of jsonl's
    Interchange(),
    TriagePage(),
    PodcastPage(),
    DigestPage(),
    MailReader(),
    Bibtex(),
    Ris(),
    SemanticScholar(),
    OpenReview(),
    Obsidian(),
    MarkdownFolder(),
    ArticleReader(),  # of any page of the web that is none of those
)

# In the order in which they are asked whether some words name a source of theirs.
CONNECTORS: tuple[Connector, ...] = (
    ArxivConnector(),
    ListingConnector(),
    SemanticScholarConnector(),
    OpenReviewConnector(),
    OaiConnector(),
    DailyPapersConnector(),
    RedditConnector(),
    ImapConnector(),
    PodcastConnector(),
    FeedConnector(),
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
    model: Model | None = None  # whether it may be called is for app/calls.py to say
    readers: tuple[Reader, ...] = READERS
    connectors: tuple[Connector, ...] = CONNECTORS
    library: Library = field(default_factory=Library)  # what the linker keeps
    names: NameIndex = field(default_factory=NameIndex)  # of papers, for one thread
    graph: LinkGraph = field(default_factory=LinkGraph)
    scorer: Fitted = field(default_factory=Fitted)

    @property
    def clock(self) -> Callable[[], datetime]:
        return self.settings.clock

    def weights_in_force(self, session: Session) -> Weights:
        """The linker's weights with the floor in force: a set variable's, else the reader's own."""
        floor = self.settings.linker_floor
        if floor is None:
            floor = preferences.floor(session)
        return self.weights if floor is None else replace(self.weights, floor=floor)

    @property
    def llm_fixed(self) -> frozenset[str]:
        """Names of `LLMSettings` that were set at the start, and are not the reader's to choose."""
        named = {"llm_model": "model", "llm_daily_budget_usd": "daily"}
        fixed = {words for name, words in named.items() if name in self.settings.model_fields_set}
        if self.settings.llm_monthly_budget_usd is not None:
            fixed.add("monthly")
        return frozenset(fixed)

    def llm_in_force(self, session: Session) -> LLMSettings:
        """What is in force for calls of the model: what was set at the start, else the reader's own."""
        chosen, fixed = preferences.llm(session), self.llm_fixed
        if "model" in fixed:
            chosen = replace(chosen, model=self.settings.llm_model.strip())
        if "daily" in fixed:
            chosen = replace(chosen, daily=of_dollars(self.settings.llm_daily_budget_usd))
        if self.settings.llm_monthly_budget_usd is not None:
            chosen = replace(chosen, monthly=of_dollars(self.settings.llm_monthly_budget_usd))
        return chosen

    @property
    def raw_folder(self) -> Path:
        return self.settings.data / "raw"

    @property
    def place(self) -> Place:
        """Where this wiki is, for backups."""
        return place_of(self.settings, self.engine)

    @property
    def vault_folder(self) -> Path:
        return self.settings.vault_path

    @cached_property
    def web(self) -> Web:
        """The one way out; made when it is first asked for something."""
        from app.sources.http import Transport  # what it needs would slow every command's start

        return Transport(allow=self.settings.fetch_pairs, pace=Hosts(self.engine))

    def secret(self, connector: str) -> str:
        """What a connector signs in with, '' for one that needs nothing. For its requests alone."""
        kept = self.settings.secret_of(connector)
        return kept.get_secret_value()

    @property
    def post(self) -> Post | None:
        """How mail goes out, or None while it is off."""
        server, sender = self.settings.mail_server, self.settings.sender
        readers = self.settings.readers
        return Post(server, sender, readers) if server and sender and readers else None

    @property
    def home(self) -> str:
        """Where this wiki is for who reads elsewhere; no slash at the end."""
        return self.settings.base_url or HOME

    @property
    def zone(self) -> tzinfo | None:
        """The reader's time zone, or None for the system's."""
        return self.settings.zone

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
        return Direct(self.encoder, self.encoder_of)

    def encoder_of(self, model: str) -> Encoder | None:
        """The encoder of a model there are vectors of, or None when it is not on this machine now."""
        with reading(self.engine) as session:
            setting = vectors.setting_of(session, model)
        if setting is None or not available(setting) or model_id(setting) != model:
            return None
        return SentenceTransformerEncoder(setting)


def place_of(settings: Settings, engine: Engine) -> Place:
    """Where the wiki of these settings is, for backups."""
    return Place(engine, settings.data, settings.data / "raw", settings.vault_path)


def bring_up_to_date(settings: Settings, engine: Engine) -> bool:
    """Bring the schema up to date, after a copy of the database was kept; whether anything was done."""

    def before(to: str) -> None:
        backup.before_migration(engine, settings.data, to=to, now=settings.clock(), say=log.warning)

    return schema.upgrade(engine, before=before)


def build(settings: Settings) -> App:
    """Open the wiki that the settings name, its schema brought up to date.

    Loads no model: the encoder does that on its first use. Raises Misconfigured or Unavailable
    with one line that says what is wrong.
    """
    try:
        settings.data.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Unavailable(
            f"The folder {settings.data} cannot be made: {error.strerror}."
        ) from error
    if not os.access(settings.data, os.R_OK | os.X_OK):
        raise Unavailable(f"The folder {settings.data} cannot be read: check whose it is.")
    engine = open_engine(settings.url)
    if said := backup.finish(place_of(settings, engine)):
        log.warning(said)
    bring_up_to_date(settings, engine)
    app = App(settings, engine, shipped_weights(settings.linker_weights), model=AnthropicModel())
    if settings.vectors_wanted and available(settings.embedding_model):
        app.encoder = SentenceTransformerEncoder(settings.embedding_model)
        app.query_encoder = RemoteEncoder(settings.data, settings.encoder)
        app.index = VectorIndex()
    return app
