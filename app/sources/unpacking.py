"""Unpacking what a server packed, in small steps: whoever feeds it counts, and stops when it is enough."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from app.errors import NotFetched

_STEP = 64 * 1024  # bytes unpacked at a time

# Said by servers that mean the type of the text: nothing is packed.
_UNPACKED = frozenset({"", "identity", "none", "utf-8", "utf8", "binary", "8bit"})


def unpacking(encoding: str, host: str) -> Unpacking | None:
    """How a body of this Content-Encoding is unpacked, None when it is not packed.

    Raises NotFetched for a way that is not known, and for what is packed twice.
    """
    said = map(str.strip, encoding.lower().split(","))
    packed = [each for each in said if each not in _UNPACKED]
    if not packed:
        return None
    if len(packed) > 1:
        raise NotFetched(f"{host} packs its answer more than once, which is not unpacked.")
    if packed[0] not in ("gzip", "x-gzip", "deflate"):
        raise NotFetched(
            f"{host} packs its answer in a way that was not asked for ({packed[0][:20]!a})."
        )
    return Unpacking(host, gzip=packed[0] != "deflate")


class Unpacking:
    """Unpacks gzip, or deflate with and without its header, in small steps."""

    def __init__(self, host: str, *, gzip: bool) -> None:
        self._host = host
        self._gzip = gzip
        self._inflating = zlib.decompressobj(16 + zlib.MAX_WBITS) if gzip else None
        self._begun = b""
        self._came = self._over = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        """What these bytes unpack to, in pieces of `_STEP` bytes at most. Raises NotFetched."""
        self._came = self._came or bool(data)
        if self._inflating is None:
            self._begun += data
            if len(self._begun) < 2:
                return
            data, self._begun = self._begun, b""
            zlib_header = data[0] & 0x0F == 8 and int.from_bytes(data[:2], "big") % 31 == 0
            self._inflating = zlib.decompressobj(zlib.MAX_WBITS if zlib_header else -zlib.MAX_WBITS)
        while True:
            if self._inflating.eof:
                # Some servers send one gzip file after another; other bytes after the end are noise.
                if self._over or not (self._gzip and data.startswith(b"\x1f")):
                    self._over = self._over or bool(data)
                    return
                self._inflating = zlib.decompressobj(16 + zlib.MAX_WBITS)
            try:
                piece = self._inflating.decompress(data, _STEP)
            except zlib.error as error:
                raise NotFetched(f"{self._host} sent a packed answer that is damaged.") from error
            if piece:
                yield piece
            data = (
                self._inflating.unused_data
                if self._inflating.eof
                else self._inflating.unconsumed_tail
            )
            if not self._inflating.eof and not data and len(piece) < _STEP:
                return

    def end(self) -> None:
        """Raises NotFetched when there should be more. Nothing at all is an empty answer."""
        if self._came and not (self._inflating and self._inflating.eof):
            raise NotFetched(f"{self._host} broke off in the middle of its answer.")
