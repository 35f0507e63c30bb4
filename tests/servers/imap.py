"""IMAP servers on loopback: one that keeps mail as servers do, and one that does as it is told.

`ImapServer` is pymap with its mailboxes in memory: `append` puts a message there, `flag` sets or takes
away its star, as another program for mail would. `ScriptedServer` answers line by line what a test
says, so that the client meets what no real library lets a server do.
"""

from __future__ import annotations

import asyncio
import imaplib
import re
import socket
import ssl
import threading
import time
from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import trustme
from proxyprotocol.reader import ProxyProtocolReader
from pymap.backend.dict import Config, Login
from pymap.imap import IMAPServer
from pymap.user import Passwords, UserMetadata
from pysasl.hashing import BuiltinHash

USER, PASSWORD = "ada@example.org", "canary/91@sesame"


class ImapServer:
    """A server for the time of a `with`. `tls` is "" (none), "starttls" or "at once"."""

    def __init__(self, *, tls: str = "") -> None:
        self.tls = tls
        self._ca = trustme.CA()
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._ca.issue_cert("127.0.0.1", "localhost").configure_cert(self._context)
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.port = 0

    @property
    def address(self) -> str:
        """What CEREBRO_IMAP says to fetch from here."""
        scheme = {"": "imap", "starttls": "starttls", "at once": "imaps"}[self.tls]
        return f"{scheme}://ada%40example.org:canary%2F91%40sesame@127.0.0.1:{self.port}"

    @property
    def pair(self) -> tuple[str, int]:
        return ("127.0.0.1", self.port)

    def trusted(self) -> ssl.SSLContext:
        context = ssl.create_default_context()
        self._ca.configure_trust(context)
        return context

    def authority(self, folder: Path) -> str:
        """A file with this server's authority, for SSL_CERT_FILE."""
        path = folder / "authority.pem"
        self._ca.cert_pem.write_to_path(str(path))
        return str(path)

    def __enter__(self) -> ImapServer:
        self._thread.start()
        if not self._ready.wait(20):
            raise RuntimeError("The IMAP server did not begin.")
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(10)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._end = asyncio.Event()
        with suppress(asyncio.CancelledError):
            self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        args = Namespace(passlib_cfg=None, proxy_protocol="noop")
        config = Config(
            args,
            host="127.0.0.1",
            port=0,
            demo_data=False,
            demo_user=USER,
            demo_password=PASSWORD,
            ssl_context=self._context,
            tls_enabled=self.tls == "starttls",
            invalid_user_sleep=0.0,
            hash_context=BuiltinHash(rounds=1),
            reject_dnsbl=False,
        )
        config.apply_context()
        login = Login(config)
        user = UserMetadata(config, USER, password=await Passwords(config).hash_password(PASSWORD))
        await login.demo_user_identity.set(user)
        reader = ProxyProtocolReader(config.proxy_protocol)
        server = await asyncio.start_server(
            reader.get_callback(IMAPServer(login, config)),
            host="127.0.0.1",
            port=0,
            ssl=self._context if self.tls == "at once" else None,
        )
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._end.wait()
        server.close()
        left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    # ------------------------------------------------------------ as another program for mail

    @contextmanager
    def client(self) -> Iterator[imaplib.IMAP4]:
        if self.tls == "at once":
            found: imaplib.IMAP4 = imaplib.IMAP4_SSL(
                "127.0.0.1", self.port, ssl_context=self.trusted()
            )
        else:
            found = imaplib.IMAP4("127.0.0.1", self.port)
            if self.tls:
                found.starttls(self.trusted())
        token = f"\0{USER}\0{PASSWORD}".encode()
        found.authenticate("PLAIN", lambda _: token)
        try:
            yield found
        finally:
            found.logout()

    def append(
        self,
        message: bytes,
        *,
        folder: str = "INBOX",
        starred: bool = False,
        at: float | None = None,
    ) -> None:
        """Put a message into a folder, which is made when it is not there; `at`: when it came."""
        when = imaplib.Time2Internaldate(time.time() if at is None else at)
        with self.client() as client:
            client.create(folder)
            kind, said = client.append(folder, r"(\Flagged)" if starred else "()", when, message)
            assert kind == "OK", said

    def flag(self, uid: int, *, starred: bool, folder: str = "INBOX") -> None:
        with self.client() as client:
            client.select(folder)
            sign = "+" if starred else "-"
            kind, said = client.uid("STORE", str(uid), f"{sign}FLAGS", r"(\Flagged)")
            assert kind == "OK", said

    def flags(self, folder: str = "INBOX") -> list[bytes]:
        """The flags of each message, as the server has them."""
        with self.client() as client:
            client.select(folder, readonly=True)
            _, said = client.fetch("1:*", "(FLAGS)")
            return [found[1] for row in said if (found := re.search(rb"FLAGS \(([^)]*)\)", row))]

    def remove(self, uid: int, folder: str = "INBOX") -> None:
        with self.client() as client:
            client.select(folder)
            client.uid("STORE", str(uid), "+FLAGS", r"(\Deleted)")
            client.expunge()


Answers = Callable[[str, str], "list[bytes] | None"]


class ScriptedServer:
    """Answers each command as a test says, over plain TCP, one connection after another.

    `answers` is given the command's name (UID commands as "UID FETCH") and its arguments, and gives
    back pieces to send; "{tag}" in them is the command's. None hangs up, and a piece b"~" waits a
    little, b"~~" until the end. What nothing is said of is answered as a friendly server would.
    """

    def __init__(self, answers: Answers, *, greeting: bytes = b"* OK here\r\n") -> None:
        self.answers, self.greeting = answers, greeting
        self.heard: list[str] = []
        self._ended = threading.Event()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)

    @property
    def address(self) -> str:
        return f"imap://ada:canary91@127.0.0.1:{self.port}"

    @property
    def pair(self) -> tuple[str, int]:
        return ("127.0.0.1", self.port)

    def __enter__(self) -> ScriptedServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)  # else `accept` goes on waiting
        self._listening.close()
        self._thread.join(5)

    def _serve(self) -> None:
        while not self._ended.is_set():
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            with client, suppress(OSError):
                self._talk(client)

    def _talk(self, client: socket.socket) -> None:
        if not self._send(client, [self.greeting], "*"):
            return
        with client.makefile("rb") as lines:
            for line in lines:
                said = line.decode("utf-8", "replace").strip()
                self.heard.append(said)
                tag, _, rest = said.partition(" ")
                name, _, arguments = rest.partition(" ")
                if name.upper() == "UID":
                    second, _, arguments = arguments.partition(" ")
                    name = f"UID {second}"
                pieces = self.answers(name.upper(), arguments)
                if pieces is None:
                    return
                if not self._send(client, pieces or _friendly(name.upper()), tag):
                    return

    def _send(self, client: socket.socket, pieces: list[bytes], tag: str) -> bool:
        for piece in pieces:
            if piece == b"~~":
                self._ended.wait(30)
                return False
            if piece == b"~":
                if self._ended.wait(0.02):
                    return False
                continue
            client.sendall(piece.replace(b"{tag}", tag.encode()))
        return True


def _friendly(name: str) -> list[bytes]:
    match name:
        case "CAPABILITY":
            return [b"* CAPABILITY IMAP4rev1\r\n{tag} OK done\r\n"]
        case "EXAMINE" | "SELECT":
            return [
                b"* 1 EXISTS\r\n* OK [UIDVALIDITY 7] ok\r\n* OK [UIDNEXT 2] ok\r\n{tag} OK done\r\n"
            ]
        case "UID SEARCH":
            return [b"* SEARCH 1\r\n{tag} OK done\r\n"]
        case "UID FETCH":
            return [b"* 1 FETCH (UID 1 FLAGS () RFC822.SIZE 40)\r\n{tag} OK done\r\n"]
        case "LOGOUT":
            return [b"* BYE\r\n{tag} OK done\r\n"]
        case _:
            return [b"{tag} OK done\r\n"]
