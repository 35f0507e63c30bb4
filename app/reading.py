"""Texts of the wiki as HTML, for screens and for what is sent out: links looked up, claims counted."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import tzinfo

from sqlmodel import Session

from app.domain import live_claims as grammar
from app.domain.live_claims import Claim, Filled
from app.domain.markdown import live_claims as written_claims
from app.domain.markdown import replace_claims
from app.rendering import Fill, LinkTarget, Rendered, Resolve, render_body
from app.store import live_claims, pages


def resolver(session: Session) -> Resolve:
    """Names to pages for the renderer, all names of a body in one go."""

    def resolve(keys: Collection[str]) -> Mapping[str, LinkTarget]:
        return {
            key: LinkTarget(found.slug, found.title, found.kind)
            for key, found in pages.resolve(session, keys).items()
        }

    return resolve


def filler(session: Session, zone: tzinfo | None = None, asof: str = "") -> Fill:
    """Live claims to what they say now, all claims of a body in one go.

    `zone` is the reader's (None: the system's). With `asof`, an ISO day, what counts pages says what it
    said at the end of that day; open questions and predictions are counted as they stand now.
    """

    def fill(claims: Collection[Claim]) -> Mapping[Claim, Filled]:
        if not asof:
            return live_claims.fill(session, claims, zone)
        dated = {
            each: replace(each, asof=min(each.asof or asof, asof))
            if each.noun is grammar.Noun.PAGE
            else each
            for each in claims
        }
        filled = live_claims.fill(session, list(dict.fromkeys(dated.values())), zone)
        return {each: filled[as_of] for each, as_of in dated.items()}

    return fill


def told(session: Session, body: str, zone: tzinfo | None = None) -> str:
    """The Markdown of a body with what its live claims say in their place, for who reads it plain."""
    written = {source for source, _, _ in written_claims(body)}
    read = {source: grammar.read(source[2:-2]) for source in written}
    claims = {source: claim for source, claim in read.items() if isinstance(claim, Claim)}
    if not claims:
        return body
    asked = list(dict.fromkeys(claims.values()))[: grammar.MOST_CLAIMS]
    filled = live_claims.fill(session, asked, zone)
    said = {
        source: filled[claim].plain()
        for source, claim in claims.items()
        if claim in filled and filled[claim].words
    }
    return replace_claims(body, {source: _escaped(words) for source, words in said.items()})


def rendered(session: Session, body: str, zone: tzinfo | None = None) -> Rendered:
    """A body as HTML, as the wiki stands; `zone` is the reader's (None: the system's)."""
    return render_body(body, resolver(session), filler(session, zone))


_MARKUP = re.compile(r"([\\`*_\[\]{}<>$#|!~&^])")


def _escaped(words: str) -> str:
    return _MARKUP.sub(r"\\\1", words)
