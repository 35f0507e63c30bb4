"""What people call the formats that can be read, by the name each has in `--format`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

NAMES: Mapping[str, str] = {
    "jsonl": "an export of cere-bro",
    "obsidian": "a vault of Obsidian",
    "markdown": "Markdown notes",
    "bibtex": "BibTeX",
    "ris": "RIS",
    "csl": "CSL-JSON, as of Zotero",
    "pdf": "a PDF",
    "html": "a saved web page",
    "link-list": "a list of links",
    "arxiv-atom": "arXiv search results",
    "arxiv-rss": "the daily list of arXiv",
    "oai": "OAI-PMH records",
    "hf-daily": "Daily Papers of Hugging Face",
    "semantic-scholar": "Semantic Scholar",
    "openreview": "OpenReview",
    "feed": "RSS, Atom or JSON feed",
    "podcast": "a podcast feed",
    "chapters": "chapters of an episode",
    "transcript": "a transcript",
    "opml": "OPML list of feeds",
    "mail": "newsletters by mail",
    "reddit": "posts of Reddit",
    "triage-page": "a page of triaged papers",
    "digest-page": "a page of a daily digest",
    "podcast-page": "a page of a podcast",
}


def in_words(formats: Iterable[str]) -> str:
    """These formats with what people call them: "ris (RIS), mail (newsletters by mail)"."""
    return ", ".join(f"{each} ({NAMES[each]})" if each in NAMES else each for each in formats)
