"""Sources that many researchers begin with: what the first steps and the list of sources offer.

`address` is what `cerebro sources add` takes. Nobody fetches any of it before a reader chooses it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from app.errors import Invalid
from app.sources.connectors import Connector, Found
from app.sources.discovery import source_key


@dataclass(frozen=True)
class Default:
    """A source on offer; `key` names it in forms, `words` say in a sentence what it brings."""

    key: str
    group: str
    name: str
    address: str
    connector: str
    words: str
    ticked: bool = False


_LISTS, _SITES, _TALKS = "Listings of papers", "Blogs and newsletters", "Podcasts and forums"

DEFAULTS = (
    Default("cs-cl", _LISTS, "arXiv cs.CL", "cs.CL", "arxiv", "New papers on language and its models, each working day.", True),
    Default("cs-lg", _LISTS, "arXiv cs.LG", "cs.LG", "arxiv", "New papers on machine learning; some hundreds each working day."),
    Default("cs-ai", _LISTS, "arXiv cs.AI", "cs.AI", "arxiv", "New papers on artificial intelligence at large."),
    Default("cs-cv", _LISTS, "arXiv cs.CV", "cs.CV", "arxiv", "New papers on images and video."),
    Default("cs-ir", _LISTS, "arXiv cs.IR", "cs.IR", "arxiv", "New papers on search and recommendation."),
    Default("stat-ml", _LISTS, "arXiv stat.ML", "stat.ML", "arxiv", "New papers on the statistics of learning."),
    Default("hf-daily", _LISTS, "Hugging Face daily papers", "https://huggingface.co/papers", "hf-daily", "A few papers each day that people chose and voted for.", True),
    Default("bair", _SITES, "BAIR blog", "https://bair.berkeley.edu/blog/feed.xml", "feed", "Researchers of Berkeley explain their papers."),
    Default("google-research", _SITES, "Google Research blog", "https://research.google/blog/rss/", "feed", "What Google's researchers publish, in short."),
    Default("lil-log", _SITES, "Lil'Log", "https://lilianweng.github.io/index.xml", "feed", "Long surveys of one subject at a time."),
    Default("import-ai", _SITES, "Import AI", "https://importai.substack.com/feed", "feed", "A weekly letter on new papers and what they may lead to."),
    Default("ahead-of-ai", _SITES, "Ahead of AI", "https://magazine.sebastianraschka.com/feed", "feed", "How language models are built, paper by paper."),
    Default("interconnects", _SITES, "Interconnects", "https://www.interconnects.ai/feed", "feed", "Open models and how they are trained after pretraining."),
    Default("simon-willison", _SITES, "Simon Willison", "https://simonwillison.net/atom/everything/", "feed", "Daily notes on what language models can be used for."),
    Default("twiml", _TALKS, "The TWIML AI Podcast", "https://feeds.megaphone.fm/MLN2155636147", "podcast", "Talks with the authors of papers, weekly."),
    Default("mlst", _TALKS, "Machine Learning Street Talk", "https://anchor.fm/s/1e4a0eac/podcast/rss", "podcast", "Long talks about the ideas behind papers."),
    Default("latent-space", _TALKS, "Latent Space", "https://api.substack.com/feed/podcast/1084089.rss", "podcast", "People who build with models, and the papers they read."),
    Default("r-ml", _TALKS, "r/MachineLearning", "r/MachineLearning", "reddit", "Papers that people discuss, with the score they gave."),
)  # fmt: skip


def found(each: Default, connectors: Sequence[Connector]) -> Found:
    """The source as it would be added, unasked. Raises Invalid where its connector is not there."""
    connector = next((c for c in connectors if c.name == each.connector), None)
    if connector is None:
        raise Invalid(f"{each.name} needs the connector {each.connector!r}, which is not here.")
    own = connector.finds(each.address)
    if own is not None:
        return replace(own, name=each.name, words=each.words)
    return Found(
        key=source_key(connector.name, each.address),
        connector=connector.name,
        url=each.address,
        name=each.name,
        words=each.words,
    )


def default(key: str) -> Default | None:
    """The one that forms call by this key."""
    return next((each for each in DEFAULTS if each.key == key), None)
