import json
import os
import socket
import stat
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from app.embeddings.base import Direct
from app.embeddings.remote import (
    AT_ONCE,
    MAX_FRAME,
    Address,
    EncoderServer,
    RemoteEncoder,
    address_of,
)
from app.errors import Misconfigured, Unavailable
from tests.fakes import HashingEncoder

pytestmark = pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="no Unix sockets here")
PATIENT = 5.0  # seconds: these tests are about answers, the deadline has tests of its own


@contextmanager
def serving(encoder: object, data: Path, setting: str = "") -> Iterator[EncoderServer]:
    server = EncoderServer(encoder, data, setting)  # type: ignore[arg-type]
    server.start()
    try:
        yield server
    finally:
        server.stop()


def frame(data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + data


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Slow(HashingEncoder):
    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds

    def encode(self, texts):  # type: ignore[no-untyped-def]
        time.sleep(self.seconds)
        return super().encode(texts)


class Broken(HashingEncoder):
    def encode(self, texts):  # type: ignore[no-untyped-def]
        raise RuntimeError("the model is not well")


@pytest.mark.parametrize(
    "text", ["sparse attention", "ünïcode 🧠", "x" * 5_000, "\ud800 half", "a\x00b"]
)
def test_query_gets_the_vector_the_worker_makes(tmp_path: Path, text: str) -> None:
    encoder = HashingEncoder(dim=48)
    with serving(encoder, tmp_path):
        vector = RemoteEncoder(tmp_path, timeout=PATIENT).encode_query(text, encoder.model)
    assert vector is not None
    sent = text[:2_000].encode("utf-8", "replace").decode()
    assert np.allclose(vector, encoder.encode([sent])[0], atol=1e-6)


def test_same_over_host_and_port(tmp_path: Path) -> None:
    encoder = HashingEncoder()
    setting = f"127.0.0.1:{free_port()}"
    with serving(encoder, tmp_path, setting):
        vector = RemoteEncoder(tmp_path, setting, timeout=PATIENT).encode_query("routing")
        assert vector is not None
        assert not (tmp_path / "encoder.sock").exists()
    assert RemoteEncoder(tmp_path, setting).encode_query("routing") is None


def test_socket_is_its_owners_alone_and_goes_with_the_server(tmp_path: Path) -> None:
    with serving(HashingEncoder(), tmp_path):
        mode = os.stat(tmp_path / "encoder.sock").st_mode
        assert stat.S_ISSOCK(mode)
        assert stat.S_IMODE(mode) == 0o600
    assert list(tmp_path.iterdir()) == []


def test_path_too_long_for_a_socket_is_replaced_and_recorded(tmp_path: Path) -> None:
    data = tmp_path / ("deep" * 20) / ("folder" * 10)
    data.mkdir(parents=True)
    with serving(HashingEncoder(), data) as server:
        assert server.address is not None
        assert len(server.address.path) <= 100
        assert address_of(data) == server.address
        assert RemoteEncoder(data, timeout=PATIENT).encode_query("x y") is not None
        folder = Path(server.address.path).parent
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert not folder.exists()
    assert list(data.iterdir()) == []


def test_socket_left_by_a_dead_worker_is_taken_over(tmp_path: Path) -> None:
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(tmp_path / "encoder.sock"))
    left.close()
    with serving(HashingEncoder(), tmp_path):
        assert RemoteEncoder(tmp_path, timeout=PATIENT).encode_query("x") is not None


def test_second_worker_says_that_there_is_one(tmp_path: Path) -> None:
    with serving(HashingEncoder(), tmp_path):
        with pytest.raises(Unavailable, match="Another worker"):
            EncoderServer(HashingEncoder(), tmp_path).start()
        assert RemoteEncoder(tmp_path, timeout=PATIENT).encode_query("x") is not None


def test_server_that_was_stopped_starts_again(tmp_path: Path) -> None:
    server = EncoderServer(HashingEncoder(), tmp_path)
    for _ in range(2):
        server.start()
        assert RemoteEncoder(tmp_path, timeout=PATIENT).encode_query("x") is not None
        server.stop()
        server.stop()


def test_nobody_there_is_no_error(tmp_path: Path) -> None:
    assert RemoteEncoder(tmp_path).encode_query("x") is None
    assert RemoteEncoder(tmp_path / "missing").encode_query("x") is None
    assert RemoteEncoder(tmp_path, f"127.0.0.1:{free_port()}").encode_query("x") is None
    assert RemoteEncoder(tmp_path, "no.such.host.invalid:80").encode_query("x") is None
    assert RemoteEncoder(tmp_path, "not an address").encode_query("x") is None


def test_slow_encoder_is_given_up_in_time(tmp_path: Path) -> None:
    with serving(Slow(2.0), tmp_path):
        begun = time.monotonic()
        assert RemoteEncoder(tmp_path, timeout=0.3).encode_query("x") is None
        assert time.monotonic() - begun < 1.0


def test_encoder_that_fails_leaves_the_server_alive(tmp_path: Path) -> None:
    with serving(Broken(), tmp_path):
        for _ in range(3):
            assert RemoteEncoder(tmp_path, timeout=PATIENT).encode_query("x") is None


def test_vector_of_another_model_does_not_count(tmp_path: Path) -> None:
    with serving(HashingEncoder(), tmp_path):
        assert RemoteEncoder(tmp_path, timeout=PATIENT).encode_query("x", "other") is None


def test_model_that_still_serves_answers_beside_the_new_one(tmp_path: Path) -> None:
    new, old, loaded = HashingEncoder(dim=48), HashingEncoder(dim=32), []

    def others(model: str) -> HashingEncoder | None:
        loaded.append(model)
        return old if model == old.model else None

    server = EncoderServer(new, tmp_path, others=others)
    server.start()
    try:
        client = RemoteEncoder(tmp_path, timeout=PATIENT)
        for _ in range(2):
            vector = client.encode_query("routing", old.model)
            assert vector is not None
            assert np.allclose(vector, old.encode(["routing"])[0], atol=1e-6)
        assert loaded == [old.model]
        for model in (new.model, ""):
            vector = client.encode_query("routing", model)
            assert vector is not None
            assert vector.size == 48
        assert client.encode_query("routing", "gone@1") is None
    finally:
        server.stop()


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"\x00",
        b"\x00\x00\x00\x05{",
        b"\xff\xff\xff\xff" + b"a" * 100,
        struct.pack(">I", MAX_FRAME + 1),
        struct.pack(">I", 0),
        frame(b"no json"),
        frame(b"[1,2]"),
        frame(b'{"text": 5}'),
        frame(b'{"text": ""}'),
        frame(b'{"text": "x", "model": 5}'),
        frame(b"[" * 100_000),
        frame(b"\xff\xfe\xfd"),
        b"GET / HTTP/1.1\r\n\r\n",
    ],
)
def test_server_outlives_what_is_no_request(tmp_path: Path, sent: bytes) -> None:
    with serving(HashingEncoder(), tmp_path) as server:
        assert server.address is not None
        with socket.socket(socket.AF_UNIX) as hostile:
            hostile.settimeout(PATIENT)
            hostile.connect(server.address.path)
            try:
                hostile.sendall(sent)
                hostile.shutdown(socket.SHUT_WR)
                answer = hostile.recv(4_096)
            except OSError:
                answer = b""
        assert answer == b"" or "error" in json.loads(answer[4:])
        assert RemoteEncoder(tmp_path, timeout=PATIENT).encode_query("x") is not None


def test_connections_that_say_nothing_do_not_keep_others_out_for_long(tmp_path: Path) -> None:
    with serving(HashingEncoder(), tmp_path) as server:
        assert server.address is not None
        silent = []
        for _ in range(AT_ONCE * 2):
            each = socket.socket(socket.AF_UNIX)
            each.settimeout(PATIENT)
            try:
                each.connect(server.address.path)
            except BlockingIOError:  # the queue is full: these are as many as there can be
                each.close()
                break
            silent.append(each)
        assert len(silent) >= AT_ONCE
        client = RemoteEncoder(tmp_path, timeout=1.0)
        until = time.monotonic() + 10
        while client.encode_query("x") is None:
            assert time.monotonic() < until
            time.sleep(0.1)
        for each in silent:
            each.close()


@pytest.mark.parametrize(
    "reply",
    [
        b"",
        b"\x00\x00",
        struct.pack(">I", 0xFFFFFFFF),
        frame(b"junk"),
        frame(b"[]"),
        frame(b'{"dim": "9"}'),
        frame(b'{"dim": true}'),
        frame(b'{"dim": -4}'),
        frame(b'{"dim": 1000000000}'),
        frame(b'{"dim": 4}'),
        frame(b'{"dim": 4}') + frame(b"short"),
        frame(b'{"dim": 1}') + frame(struct.pack("<f", float("nan"))),
        frame(b'{"dim": 1}') + frame(struct.pack("<f", float("inf"))),
        frame(b'{"dim": 2}') + frame(struct.pack("<ff", 0.0, 0.0)),
        frame(b'{"error": "no"}'),
    ],
)
def test_client_takes_no_nonsense_for_a_vector(tmp_path: Path, reply: bytes) -> None:
    with answering(tmp_path, lambda peer: peer.sendall(reply)):
        assert RemoteEncoder(tmp_path, timeout=2.0).encode_query("x") is None


def test_client_keeps_its_deadline_against_a_dripping_server(tmp_path: Path) -> None:
    def drip(peer: socket.socket) -> None:
        for byte in frame(b'{"dim": 4, "model": "m"}'):
            peer.sendall(bytes([byte]))
            time.sleep(0.1)

    with answering(tmp_path, drip):
        begun = time.monotonic()
        assert RemoteEncoder(tmp_path, timeout=0.3).encode_query("x") is None
        assert time.monotonic() - begun < 1.0


@contextmanager
def answering(data: Path, reply: Callable[[socket.socket], None]) -> Iterator[None]:
    """Somebody else on the encoder's socket, who answers as told."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(data / "encoder.sock"))
    listener.listen(1)

    def serve() -> None:
        peer, _ = listener.accept()
        with peer:
            peer.settimeout(PATIENT)
            try:
                peer.recv(4_096)
                reply(peer)
            except OSError:
                return

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield
    finally:
        thread.join(PATIENT)
        listener.close()


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("10.0.0.7:8765", Address(host="10.0.0.7", port=8765)),
        ("worker.lan:1", Address(host="worker.lan", port=1)),
        ("[::1]:8765", Address(host="::1", port=8765)),
    ],
)
def test_setting_names_host_and_port(tmp_path: Path, setting: str, expected: Address) -> None:
    assert address_of(tmp_path, setting) == expected


@pytest.mark.parametrize("setting", ["host", "host:", ":80", "host:port", "host:99999", "host:²"])
def test_setting_that_is_no_address_is_refused(tmp_path: Path, setting: str) -> None:
    with pytest.raises(Misconfigured):
        address_of(tmp_path, setting)


def test_encoder_of_the_same_process_answers_or_says_none() -> None:
    assert Direct(HashingEncoder()).encode_query("routing") is not None
    assert Direct(Broken()).encode_query("routing") is None
    new, old = HashingEncoder(dim=48), HashingEncoder(dim=32)
    assert Direct(new).encode_query("routing", old.model) is None
    direct = Direct(new, {old.model: old}.get)
    for model, dim in ((new.model, 48), (old.model, 32), ("", 48)):
        vector = direct.encode_query("routing", model)
        assert vector is not None
        assert vector.size == dim
    assert direct.encode_query("routing", "gone@1") is None
