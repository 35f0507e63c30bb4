"""The worker's encoder over a local socket, and the client that asks it within 300 milliseconds.

Frames are four bytes of length (big-endian) and as many bytes, at most one megabyte. A request is
one frame of JSON, {"text": …, "model": …} (without a model: by the one that pages are encoded by);
the answer one frame of JSON, {"model": …, "dim": …}, and one of raw little-endian float32, or
{"error": …} alone. One request a connection. What is not a frame ends its connection and nothing
else.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import struct
import tempfile
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.embeddings.base import Encoder, FindEncoder, query_vector
from app.errors import Misconfigured, Unavailable

MAX_FRAME = 1_000_000
MAX_TEXT = 2_000  # characters of a query that are encoded
MAX_DIM = 65_536
DEADLINE = 0.3  # seconds a search waits
PATIENCE = 2.0  # seconds the server waits for a request
AT_ONCE = 16  # connections served at a time
_LONGEST_PATH = 100  # bytes; the system's own limit is 104 or 108
_LENGTH = struct.Struct(">I")
_NUMBER = np.dtype("<f4")

Matrix = NDArray[np.float32]


@dataclass(frozen=True)
class Address:
    """Where the encoder listens: a socket file (`path`), or `host` and `port`."""

    path: str = ""
    host: str = ""
    port: int = 0

    def __str__(self) -> str:
        return self.path or f"{self.host}:{self.port}"


def address_of(data: Path, setting: str = "") -> Address:
    """Where the encoder of this data folder is asked: CEREBRO_ENCODER, or the socket file in it.

    Raises Misconfigured when the setting is no host:port.
    """
    if setting.strip():
        return _host_and_port(setting.strip())
    with suppress(OSError, ValueError, Misconfigured):
        recorded = _record(data).read_text("utf-8").strip()
        if recorded:
            return Address(path=recorded) if os.path.isabs(recorded) else _host_and_port(recorded)
    return Address(path=str(data.absolute() / "encoder.sock"))


def _host_and_port(text: str) -> Address:
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not host or not port.isascii() or not port.isdigit() or int(port) > 65_535:
        raise Misconfigured("CEREBRO_ENCODER is host:port, for example 192.168.0.7:8765.")
    return Address(host=host, port=int(port))


def _record(data: Path) -> Path:
    """The file that names the socket when it is not the usual one."""
    return data / "encoder.address"


# ---------------------------------------------------------------- frames


class _BrokenFrame(Exception):
    """The other side sent no frame, half of one, or one that is too large."""


def _send(connection: socket.socket, *frames: bytes) -> None:
    connection.sendall(b"".join(_LENGTH.pack(len(frame)) + frame for frame in frames))


def _receive(connection: socket.socket, until: float) -> bytes:
    """One frame, whole, before `until` (of the monotonic clock)."""
    (length,) = _LENGTH.unpack(_exactly(connection, _LENGTH.size, until))
    if not 0 < length <= MAX_FRAME:
        raise _BrokenFrame
    return _exactly(connection, length, until)


def _exactly(connection: socket.socket, size: int, until: float) -> bytes:
    parts: list[bytes] = []
    while size:
        _set_timeout(connection, until)
        part = connection.recv(min(size, 65_536))
        if not part:
            raise _BrokenFrame
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def _set_timeout(connection: socket.socket, until: float) -> None:
    left = until - time.monotonic()
    if left <= 0:
        raise TimeoutError
    connection.settimeout(left)


# ---------------------------------------------------------------- server


class EncoderServer:
    """Serves an encoder from threads of its own, so that a batch elsewhere does not hold it up.

    With `data` it listens on `encoder.sock` in that folder, which only its owner may open; where
    that path is too long for the system, on one in the temporary folder, recorded in
    `encoder.address`. With `setting` (CEREBRO_ENCODER) it listens on that host and port. `others`
    finds the encoder of another model that is asked for: after a change of model the one before
    serves searches until the new one has read all pages.
    """

    def __init__(
        self, encoder: Encoder, data: Path, setting: str = "", *, others: FindEncoder | None = None
    ) -> None:
        self._encoder = encoder
        self._others = others
        self._found: tuple[str, Encoder | None] = ("", None)  # the other model asked for last
        self._data = data
        self._setting = setting.strip()
        self._slots = threading.BoundedSemaphore(AT_ONCE)
        self._listener: socket.socket | None = None
        self._thread: threading.Thread | None = None
        self._folder = ""
        self.address: Address | None = None

    def start(self) -> Address:
        """Listen, and answer from now on; where.

        Raises Unavailable when another worker answers there already or it cannot be opened, and
        Misconfigured for a setting that is no host:port.
        """
        if self._listener is not None and self.address is not None:
            return self.address
        try:
            self._listener, self.address = self._open()
        except OSError as error:
            raise Unavailable(
                f"The encoder cannot be reached by searches: {error.strerror or error}."
            ) from error
        self._thread = threading.Thread(
            target=self._serve, args=(self._listener,), name="encoder", daemon=True
        )
        self._thread.start()
        return self.address

    def stop(self) -> None:
        """Stop listening and remove the socket file. Safe to call twice."""
        listener, self._listener = self._listener, None
        if listener is None:
            return
        # close() alone does not wake a thread that waits in accept() on every system.
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        if self._thread is not None:
            self._thread.join(timeout=PATIENCE)
        if self.address and self.address.path:
            Path(self.address.path).unlink(missing_ok=True)
        if not self._setting:
            _record(self._data).unlink(missing_ok=True)
        if self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = ""

    def _open(self) -> tuple[socket.socket, Address]:
        if self._setting:
            wanted = _host_and_port(self._setting)
            family, kind, protocol, _, target = socket.getaddrinfo(
                wanted.host, wanted.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )[0]
            return self._listen(socket.socket(family, kind, protocol), target), wanted
        earlier = address_of(self._data)
        if _answers(earlier):
            raise Unavailable("Another worker answers searches already.")
        self._clear(earlier)
        if not hasattr(socket, "AF_UNIX"):
            return self._on_loopback()
        path = self._socket_path()
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        # Nobody can connect between bind and chmod: it does not listen yet.
        listener.bind(path)
        os.chmod(path, 0o600)
        listener.listen(AT_ONCE)
        listener.settimeout(1.0)
        return listener, Address(path=path)

    def _on_loopback(self) -> tuple[socket.socket, Address]:
        listener = self._listen(socket.socket(socket.AF_INET, socket.SOCK_STREAM), ("127.0.0.1", 0))
        address = Address(host="127.0.0.1", port=listener.getsockname()[1])
        _record(self._data).write_text(str(address), "utf-8")
        return listener, address

    def _listen(self, listener: socket.socket, target: Any) -> socket.socket:
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(target)
            listener.listen(AT_ONCE)
        except OSError:
            listener.close()
            raise
        listener.settimeout(1.0)
        return listener

    def _socket_path(self) -> str:
        usual = str(self._data.absolute() / "encoder.sock")
        if len(os.fsencode(usual)) <= _LONGEST_PATH:
            return usual
        name = sha256(os.fsencode(usual)).hexdigest()[:12]
        # A new folder of our own (0700): nobody else can have put a socket there.
        self._folder = tempfile.mkdtemp(prefix=f"cerebro-{name}-")
        path = str(Path(self._folder) / "encoder.sock")
        _record(self._data).write_text(path, "utf-8")
        return path

    def _clear(self, earlier: Address) -> None:
        """Remove what a worker that died left behind."""
        _record(self._data).unlink(missing_ok=True)
        if earlier.path and Path(earlier.path).name == "encoder.sock":
            Path(earlier.path).unlink(missing_ok=True)
            folder = Path(earlier.path).parent
            if folder.name.startswith("cerebro-") and folder != self._data.absolute():
                with suppress(OSError):
                    folder.rmdir()
        (self._data / "encoder.sock").unlink(missing_ok=True)

    def _serve(self, listener: socket.socket) -> None:
        while self._listener is listener:
            try:
                connection, _ = listener.accept()
            except TimeoutError:
                continue
            except OSError:
                if self._listener is not listener:
                    return
                time.sleep(0.05)  # out of file handles, say: try again rather than die
                continue
            if not self._slots.acquire(blocking=False):
                connection.close()
                continue
            threading.Thread(
                target=self._answer, args=(connection,), name="encoder-query", daemon=True
            ).start()

    def _answer(self, connection: socket.socket) -> None:
        try:
            with connection, suppress(OSError, _BrokenFrame):
                asked = _asked(_receive(connection, time.monotonic() + PATIENCE))
                frames = [b'{"error":"no text"}'] if asked is None else self._frames(*asked)
                connection.settimeout(PATIENCE)
                _send(connection, *frames)
        finally:
            self._slots.release()

    def _frames(self, text: str, model: str) -> list[bytes]:
        try:
            encoder = self._encoder_of(model)
            if encoder is None:
                return [b'{"error":"no such model"}']
            vector = np.ascontiguousarray(query_vector(encoder, text), _NUMBER)
        except Exception:
            # Whatever the model trips over, the thread lives on and the search goes by words.
            return [b'{"error":"could not be encoded"}']
        header = {"model": encoder.model, "dim": int(vector.size)}
        return [json.dumps(header).encode(), vector.tobytes()]

    def _encoder_of(self, model: str) -> Encoder | None:
        if self._others is None or model in ("", self._encoder.model):
            return self._encoder
        if self._found[0] != model:
            self._found = (model, self._others(model))
        return self._found[1]


def _asked(frame: bytes) -> tuple[str, str] | None:
    """The text and the model of a request, or None for what is none."""
    try:
        request = json.loads(frame)
    except (ValueError, RecursionError):
        return None
    if not isinstance(request, dict):
        return None
    text, model = request.get("text"), request.get("model", "")
    if not isinstance(text, str) or not text.strip() or not isinstance(model, str):
        return None
    return text[:MAX_TEXT].encode("utf-8", "replace").decode("utf-8"), model


def _answers(address: Address) -> bool:
    """Whether somebody listens there."""
    with suppress(OSError), _connected(address, time.monotonic() + DEADLINE):
        return True
    return False


# ---------------------------------------------------------------- client


def _connected(address: Address, until: float) -> socket.socket:
    if address.path:
        if not hasattr(socket, "AF_UNIX"):
            raise OSError("no such sockets here")
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        target: str | tuple[str, int] = address.path
    else:
        family, target = _resolved(address, until)
        connection = socket.socket(family, socket.SOCK_STREAM)
    try:
        _set_timeout(connection, until)
        connection.connect(target)
    except BaseException:
        connection.close()
        _RESOLVED.pop((address.host, address.port), None)
        raise
    return connection


_RESOLVED: dict[tuple[str, int], tuple[socket.AddressFamily, tuple[str, int]]] = {}


def _resolved(address: Address, until: float) -> tuple[socket.AddressFamily, tuple[str, int]]:
    """The host's numeric address. Looking a name up knows no deadline, so it gets a thread."""
    key = (address.host, address.port)
    if key not in _RESOLVED:
        thread = threading.Thread(target=_resolve, args=key, name="encoder-name", daemon=True)
        thread.start()
        thread.join(max(0.0, until - time.monotonic()))
        if key not in _RESOLVED:
            raise TimeoutError
    return _RESOLVED[key]


def _resolve(host: str, port: int) -> None:
    with suppress(OSError, UnicodeError):
        family, _, _, _, target = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        _RESOLVED[host, port] = (family, (str(target[0]), int(target[1])))


class RemoteEncoder:
    """Asks the worker for the vector of a query: a QueryEncoder that never loads a model."""

    def __init__(self, data: Path, setting: str = "", *, timeout: float = DEADLINE) -> None:
        self._data = data
        self._setting = setting
        self._timeout = timeout

    def encode_query(self, text: str, model: str = "") -> Matrix | None:
        """The unit vector (dim,) of the text, or None after `timeout` seconds at the latest.

        An answer by another model than the one asked for does not count.
        """
        until = time.monotonic() + self._timeout
        try:
            # Looked up anew each time: the worker may have come later, or come back elsewhere.
            address = address_of(self._data, self._setting)
            return self._ask(address, text, model, until)
        except (OSError, ValueError, RecursionError, _BrokenFrame, Misconfigured):
            return None

    def _ask(self, address: Address, text: str, model: str, until: float) -> Matrix | None:
        request = json.dumps({"text": text[:MAX_TEXT], "model": model}).encode()
        with _connected(address, until) as connection:
            _set_timeout(connection, until)
            _send(connection, request)
            header = json.loads(_receive(connection, until))
            dim = header.get("dim") if isinstance(header, dict) else None
            if not isinstance(dim, int) or isinstance(dim, bool) or not 0 < dim <= MAX_DIM:
                return None
            if model and header.get("model") != model:
                return None
            data = _receive(connection, until)
        if len(data) != dim * _NUMBER.itemsize:
            return None
        vector = np.frombuffer(data, _NUMBER).astype(np.float32)
        length = float(np.linalg.norm(vector))
        return vector / length if np.isfinite(length) and length > 0 else None
