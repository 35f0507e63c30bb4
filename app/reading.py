"""Texts of the wiki as HTML, for screens and for what is sent out: a body with its links looked up."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from sqlmodel import Session

from app.rendering import LinkTarget, Rendered, Resolve, render_body
from app.store import pages


def resolver(session: Session) -> Resolve:
    """Names to pages for the renderer, all names of a body in one go."""

    def resolve(keys: Collection[str]) -> Mapping[str, LinkTarget]:
        return {
            key: LinkTarget(found.slug, found.title, found.kind)
            for key, found in pages.resolve(session, keys).items()
        }

    return resolve


def rendered(session: Session, body: str) -> Rendered:
    """A body as HTML, as the wiki stands."""
    return render_body(body, resolver(session))
