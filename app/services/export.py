"""The kept papers as a bibliography: BibTeX, CSL-JSON or RIS, all of them or those a query finds.

Written as it is read: a wiki of any size costs no more memory than a few hundred papers. Each paper has
the key its library gave it, else one made of its first author, title and year.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass

from sqlmodel import Session

from app.domain import bibtex, citations
from app.domain.citations import Citation
from app.domain.queries import parse_query
from app.errors import Invalid
from app.store import citations as stored


@dataclass(frozen=True)
class Format:
    """A way to write a bibliography down. `suffix` is that of its files."""

    write: Callable[[Iterable[Citation]], Iterator[str]]
    media_type: str
    suffix: str


FORMATS = {
    "bibtex": Format(bibtex.bibtex, "application/x-bibtex", "bib"),
    "csl": Format(citations.csl, "application/vnd.citationstyles.csl+json", "json"),
    "ris": Format(citations.ris, "application/x-research-info-systems", "ris"),
}


def format_of(name: str) -> Format:
    """Raises Invalid, naming those there are."""
    if name not in FORMATS:
        raise Invalid(
            f"There is no bibliography format {name[:40]!r}. Use one of: {', '.join(FORMATS)}."
        )
    return FORMATS[name]


def bibliography(
    reading: Callable[[], AbstractContextManager[Session]], format: str, query: str = ""
) -> Iterator[str]:
    """The bibliography, piece by piece. A session is opened for each few hundred papers.

    `query` is as in the search; only papers are found. Raises Invalid for a format there is not.
    """
    return format_of(format).write(_kept(reading, query))


def _kept(reading: Callable[[], AbstractContextManager[Session]], text: str) -> Iterator[Citation]:
    query = parse_query(text) if text.strip() else None
    mark: int | None = 0
    while mark is not None:
        with reading() as session:
            found, mark = stored.page_of(session, query, after=mark)
        yield from found


def cited(session: Session, page_id: int) -> str:
    """The BibTeX entry of one paper's page; '' for a page of no paper."""
    found = stored.of_page(session, page_id)
    return "" if found is None else "".join(bibtex.bibtex([found])).strip() + "\n"
