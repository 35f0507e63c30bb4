"""A client of a running wiki, for measurements that write: it waits for no answer longer than it must."""

from __future__ import annotations

import json
import re
import socket
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from typing import Any
from urllib.parse import urlencode

_TOKEN = re.compile(r'name="token" value="([0-9a-f]{64})"')


class Gone(Exception):
    """No answer came: the server was ended, and what was asked for is done or not."""


@dataclass(frozen=True)
class Answer:
    """What a server answered, its body as text."""

    status: int
    etag: str
    text: str

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300

    def json(self) -> Any:
        return json.loads(self.text)


class Client:
    """Speaks to one server, over a new connection each time: the server may be another by then."""

    def __init__(self, port: int, *, seconds: float = 90.0) -> None:
        self.port = port
        self._seconds = seconds

    def ask(self, method: str, path: str, body: str = "", **headers: str) -> Answer:
        """One request. Raises Gone when no whole answer came."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=self._seconds)
        try:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body.encode() or None, named)
            answer = connection.getresponse()
            text = answer.read().decode()
            return Answer(answer.status, answer.headers.get("ETag", "").strip('W/"'), text)
        except (HTTPException, OSError) as error:
            raise Gone(str(error)) from error
        finally:
            connection.close()

    def get(self, path: str) -> Answer:
        return self.ask("GET", path)

    def put_page(self, slug: str, page: dict[str, Any], *, base: str = "*") -> Answer:
        return self.ask(
            "PUT",
            f"/api/v1/pages/{slug}",
            json.dumps(page),
            Content_Type="application/json",
            If_Match=f'"{base}"' if base != "*" else base,
        )

    def post(self, path: str, fields: dict[str, str]) -> Answer:
        form = "application/x-www-form-urlencoded"
        return self.ask("POST", path, urlencode(fields), Content_Type=form)

    def import_text(self, text: str) -> Answer:
        """Paste a text into the import form, look at what it would bring, and import it."""
        shown = self.post("/import", {"text": text})
        token = _TOKEN.search(shown.text)
        return self.post("/import/run", {"token": token[1]}) if token else shown


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
