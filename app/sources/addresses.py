"""Addresses as newsletters and pages carry them, made into those they lead to. Nothing is asked.

Many links of a mail lead through a counter first. Where the true target is written in the link, it
takes the link's place; where only the counter knows it, there is no address to show.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterator
from urllib.parse import SplitResult, parse_qsl, unquote, urlencode, urljoin, urlsplit, urlunsplit

LONGEST = 2_000  # characters; what is longer is no address anybody follows
_UNWRAPPED = 5  # counters in counters
_HTTP = re.compile(r"https?://[^\s]", re.I)
_TARGETS = ("url", "u", "q", "target", "to", "dest", "destination", "redirect", "redirect_url", "r")
# Parts of a host or path that say that an address only leads on.
_LEADS_ON = re.compile(
    r"track|click|redir|safelinks|awstrack|/cl0/|/l0/|/l\.php$|^/url$|/r/?$|/link|^l\.|^out\.|/out$",
    re.I,
)
_PATH_TARGET = re.compile(r"/(https?(?::|%3a)(?:/|%2f){1,2}.+)$", re.I)
_BASE64 = re.compile(r"(?:ey|aHR0c)[A-Za-z0-9+/_=-]{8,4000}")
_V3 = re.compile(r"/v3/__(https?:/{1,2}.+?)__;")
# Counters that keep the target to themselves.
_COUNTER_HOST = re.compile(
    r"(?:^|\.)(?:click|clicks|track|tracking|trk|ct|links?|email|go|e|t)\d{0,3}\.|list-manage\.|sendgrid\.|"
    r"awstrack\.|hubspotlinks|sidekickopen|mailgun|mandrillapp|sparkpostmail|exacttarget",
    re.I,
)
_COUNTER_PATH = re.compile(
    r"/(?:ls|wf|track|e3t|ss)/(?:click|open|c)\b|/track/|/click[/?]|/redirect/|/cl0/|/e3t/|/wf/",
    re.I,
)
_OPAQUE = re.compile(r"[A-Za-z0-9_.=~+-]{40,}")
_MARKS = re.compile(r"utm_\w+|mc_[ce]id|fbclid|gclid|_hsenc|_hsmi|vero_id|ck_subscriber_id", re.I)
_UNSAFE = re.compile(r"[\s()<>\[\]\"'`\\^{}|*\x00-\x1f\x7f-\x9f]")


def http_address(text: str, base: str = "") -> str:
    """The http(s) address that a link leads to in the end, as Markdown can hold it; '' for none.

    `base`: what a relative address counts from. Marks of campaigns are taken off.
    """
    given = text.strip()
    if not given or len(given) > LONGEST * 4:
        return ""
    try:
        if base:
            given = urljoin(base, given)
        for _ in range(_UNWRAPPED):
            inner = _target(given)
            if not inner:
                break
            given = inner
        parts = urlsplit(given)
        if parts.scheme.lower() not in ("http", "https") or not parts.hostname:
            return ""
        if parts.username is not None or _counts_only(parts):
            return ""
        parts = parts._replace(query=_without_marks(parts.query))
        made = _UNSAFE.sub(lambda sign: _quoted(sign[0]), urlunsplit(parts))
    except ValueError:
        return ""
    return made if len(made) <= LONGEST else ""


def _quoted(sign: str) -> str:
    return "".join(f"%{byte:02X}" for byte in sign.encode("utf-8", "replace"))


def _target(address: str) -> str:
    """The address that is written in this one, when it only leads on; '' otherwise."""
    parts = urlsplit(address)
    host, path = (parts.hostname or "").lower(), parts.path
    if host.endswith("urldefense.com") and (found := _V3.search(address)):
        return re.sub(r"^(https?):/(?!/)", r"\1://", found[1])
    if host.endswith("urldefense.proofpoint.com"):
        coded = dict(parse_qsl(parts.query)).get("u", "")
        return unquote(coded.replace("-", "%").replace("_", "/"))
    if not (_LEADS_ON.search(host) or _LEADS_ON.search(path) or _COUNTER_HOST.search(host)):
        return ""
    for name, value in parse_qsl(parts.query, max_num_fields=50):
        value = value if _HTTP.match(value) else unquote(value)
        if name.lower() in _TARGETS and _HTTP.match(value):
            return value
        if name.lower() == "p" and (found_in := _coded(value)):
            return found_in
    if found := _PATH_TARGET.search(path):
        # What follows the target is the counter's own, after a slash that is none of the target's.
        coded = found[1].split("/", 1)[0] if "%2f" in found[1].lower() else found[1]
        return unquote(coded)
    for part in path.split("/"):
        if inside := _coded(part):
            return inside
    return ""


def _coded(text: str) -> str:
    """The address that base64 holds, alone or in a JSON object of the counter's."""
    found = _BASE64.fullmatch(text.strip().split(".")[0])
    if not found:
        return ""
    coded = found[0].replace("-", "+").replace("_", "/")
    try:
        said = base64.b64decode(coded + "=" * (-len(coded) % 4)).decode("utf-8", "replace")
    except (binascii.Error, ValueError):
        return ""
    if _HTTP.match(said):
        return said.strip() if said.isprintable() else ""
    return next(_addresses_in(said), "")


def _addresses_in(said: str, depth: int = 2) -> Iterator[str]:
    try:
        value = json.loads(said)
    except (ValueError, RecursionError):
        return
    for inner in value.values() if isinstance(value, dict) else ():
        if isinstance(inner, str):
            if _HTTP.match(inner):
                yield inner
            elif depth and inner.startswith("{"):
                yield from _addresses_in(inner, depth - 1)


def _counts_only(parts: SplitResult) -> bool:
    """Whether an address leads to a counter that alone knows where it goes on."""
    opaque = _OPAQUE.search(parts.path) or _OPAQUE.search(parts.query)
    if not opaque:
        return False
    return bool(_COUNTER_HOST.search(parts.hostname or "") or _COUNTER_PATH.search(parts.path))


def _without_marks(query: str) -> str:
    if not _MARKS.search(query):
        return query
    kept = parse_qsl(query, keep_blank_values=True, max_num_fields=200)
    return urlencode([(name, value) for name, value in kept if not _MARKS.fullmatch(name)])
