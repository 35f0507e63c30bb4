"""What a reader found, taken apart; and papers for a server of ours to tell of."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from app.domain.items import Bundle, Document, Rejected


def documents(bundle: Bundle) -> list[Document]:
    return [each for each in bundle.documents if isinstance(each, Document)]


def rejected(bundle: Bundle) -> list[Rejected]:
    return [each for each in bundle.documents if isinstance(each, Rejected)]


def reasons(bundle: Bundle) -> list[str]:
    return [each.reason for each in rejected(bundle)]


def paper(number: int, **facts: Any) -> dict[str, Any]:
    """A paper of ours, as servers/arxiv is fed with it; a higher number was submitted later."""
    at = datetime(2026, 5, 6, 20, tzinfo=UTC) + timedelta(minutes=number)
    return {
        "id": f"2605.{number:05d}",
        "title": f"A study of case {number}",
        "abstract": f"We look at case {number} and find it to be so.",
        "authors": ["Ada Park", "Ben Quill"],
        "categories": ["cs.CL", "cs.LG"],
        "versions": [f"{at:%Y-%m-%dT%H:%M:%SZ}"],
        "day": "2026-05-08",
        **facts,
    }
