"""The gate in front of every answer: Host, origin of changes, size of a body, headers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator

import pytest
from fastapi import FastAPI, Request
from fastapi.responses import PlainTextResponse, Response
from fastapi.staticfiles import StaticFiles
from fastapi.testclient import TestClient
from starlette.types import Message

from app.web.security import HEADERS, POLICY, Security

HERE = "http://localhost:8000"


def wiki(**options: object) -> FastAPI:
    web = FastAPI()
    web.state.changes = 0

    @web.get("/")
    def read() -> Response:
        return PlainTextResponse("read", headers={"Vary": "Accept"})

    @web.api_route("/change", methods=["POST", "PUT", "PATCH", "DELETE"])
    async def change(request: Request) -> Response:
        body = await request.body()
        web.state.changes += 1
        return PlainTextResponse(str(len(body)))

    @web.post("/form")
    async def form(request: Request) -> Response:
        return PlainTextResponse(str(len(await request.form())))

    @web.get("/breaks")
    def breaks() -> Response:
        raise RuntimeError("nobody foresaw this")

    web.mount("/static", StaticFiles(directory=".", check_dir=False))
    web.add_middleware(Security, **options)  # type: ignore[arg-type]
    return web


@pytest.fixture
def client() -> Iterator[TestClient]:
    with TestClient(wiki(max_body=1000), base_url=HERE) as client:
        yield client


@pytest.mark.parametrize(
    "host",
    ["localhost", "localhost:8000", "127.0.0.1:9", "[::1]", "[::1]:8000", "LOCALHOST:80"],
)
def test_loopback_names_are_served_on_any_port(client: TestClient, host: str) -> None:
    assert client.get("/", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8000",
        "localhost.evil.example",
        "localhost:8000@evil.example",
        "localhost:8000/evil",
        "localhost:",
        "localhost:0",
        "localhost:65536",
        "localhost:80:80",
        "localhost:abc",
        "localhost.",
        "127.0.0.2",
        "[::2]",
        "localhost, evil.example",
        "local host",
        "",
    ],
)
def test_other_hosts_are_refused_without_being_repeated(client: TestClient, host: str) -> None:
    answer = client.get("/", headers={"Host": host})
    assert answer.status_code == 400
    assert "evil" not in answer.text


def test_two_host_headers_are_refused(client: TestClient) -> None:
    answer = client.get("/", headers=[("Host", "localhost"), ("Host", "localhost")])
    assert answer.status_code == 400


def test_forwarded_headers_change_nothing(client: TestClient) -> None:
    headers = {
        "Host": "evil.example",
        "X-Forwarded-Host": "localhost",
        "Forwarded": "host=localhost",
    }
    assert client.get("/", headers=headers).status_code == 400


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("wiki.example", 200),
        ("wiki.example:444", 200),
        ("notes.example:8443", 200),
        ("notes.example", 400),
        ("notes.example:8444", 400),
    ],
)
def test_configured_hosts_are_served_on_their_port_or_on_any(host: str, status: int) -> None:
    web = wiki(hosts=frozenset({"wiki.example", "notes.example:8443"}))
    with TestClient(web, base_url=HERE) as client:
        assert client.get("/", headers={"Host": host}).status_code == status


FOREIGN = [
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": ""},
    {"Sec-Fetch-Site": "same-origin, cross-site"},
    {"Sec-Fetch-Site": "same-origin", "Origin": "http://evil.example"},
    {"Sec-Fetch-Site": "none", "Origin": "null"},
    {"Sec-Fetch-Site": "cross-site", "Origin": HERE},
    {"Origin": "http://evil.example"},
    {"Origin": "null"},
    {"Origin": ""},
    {"Origin": "localhost:8000"},
    {"Origin": "http://localhost"},
    {"Origin": "http://localhost:8001"},
    {"Origin": "http://127.0.0.1:8000"},
    {"Origin": "http://localhost:8000.evil.example"},
    {"Origin": "http://localhost:8000@evil.example"},
    {"Origin": "http://evil.example/localhost:8000"},
    {"Origin": "http://localhost:8000/"},
    {"Origin": "file://localhost:8000"},
    {"Origin": "http://localhost:8000 http://evil.example"},
    {"Origin": "http://[localhost:8000"},
]


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("headers", FOREIGN, ids=str)
def test_a_change_asked_for_by_another_site_is_not_made(
    client: TestClient, method: str, headers: dict[str, str]
) -> None:
    answer = client.request(method, "/change", headers=headers)
    assert answer.status_code == 403
    assert client.app.state.changes == 0  # type: ignore[attr-defined]
    assert "evil" not in answer.text


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Sec-Fetch-Site": "same-origin"},
        {"Sec-Fetch-Site": "none"},
        {"Sec-Fetch-Site": "same-origin", "Origin": HERE},
        {"Origin": HERE},
        {"Origin": "HTTP://LOCALHOST:8000"},
    ],
    ids=str,
)
def test_our_own_pages_and_programs_may_change_things(
    client: TestClient, headers: dict[str, str]
) -> None:
    assert client.post("/change", headers=headers).status_code == 200


def test_reading_needs_no_origin(client: TestClient) -> None:
    headers = {"Sec-Fetch-Site": "cross-site", "Origin": "http://evil.example"}
    assert client.get("/", headers=headers).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "/", {}, 200),
        ("GET", "/nothing", {}, 404),
        ("GET", "/static/nothing", {}, 404),
        ("GET", "/static/pyproject.toml", {}, 200),
        ("PUT", "/", {}, 405),
        ("GET", "/", {"Host": "evil.example"}, 400),
        ("POST", "/change", {"Origin": "null"}, 403),
        ("POST", "/change", {"Content-Length": "2000"}, 413),
        ("GET", "/breaks", {}, 500),
    ],
)
def test_every_answer_has_the_security_headers(
    method: str, path: str, headers: dict[str, str], status: int
) -> None:
    web = wiki(max_body=1000, crashed=lambda request, error: PlainTextResponse("sorry", 500))
    with TestClient(web, base_url=HERE) as client:
        answer = client.request(method, path, headers=headers)
    assert answer.status_code == status
    assert answer.headers["content-security-policy"] == POLICY
    for name, value in HEADERS:
        assert answer.headers[name.decode()] == value.decode()


def test_pages_vary_with_htmx_and_keep_what_they_vary_with_already(client: TestClient) -> None:
    assert client.get("/").headers["vary"] == "Accept, HX-Request, HX-Request-Type"
    assert "vary" not in client.get("/static/pyproject.toml").headers


def test_a_stricter_policy_of_an_answer_stays() -> None:
    web = FastAPI()

    @web.get("/file")
    def file() -> Response:
        return PlainTextResponse("x", headers={"Content-Security-Policy": "sandbox"})

    web.add_middleware(Security)
    with TestClient(web, base_url=HERE) as client:
        policies = client.get("/file").headers.get_list("content-security-policy")
    assert policies == ["sandbox", POLICY]


def test_the_policy_allows_nothing_inline() -> None:
    assert "unsafe" not in POLICY
    assert POLICY.startswith("default-src 'none'; script-src 'self'; style-src 'self';")


@pytest.mark.parametrize("path", ["/change", "/form"])
@pytest.mark.parametrize(("size", "status"), [(1000, 200), (1001, 413)])
def test_a_body_over_the_limit_is_refused(
    client: TestClient, path: str, size: int, status: int
) -> None:
    body = b"a" * size
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    assert client.post(path, content=body, headers=headers).status_code == status


@pytest.mark.parametrize("path", ["/change", "/form"])
def test_a_body_that_does_not_say_its_size_is_counted_as_it_comes(path: str) -> None:
    web = wiki(max_body=1000)
    taken = 0

    async def receive() -> Message:
        nonlocal taken
        taken += 1
        return {"type": "http.request", "body": b"a" * 300, "more_body": True}

    sent = asyncio.run(called(web, path, receive))
    assert sent[0]["status"] == 413
    assert taken == 4
    assert web.state.changes == 0


def test_a_size_that_lies_does_not_help(client: TestClient) -> None:
    headers = {"Content-Length": "99999999999999999999999999"}
    assert client.post("/change", content=b"", headers=headers).status_code == 413


def test_programs_are_refused_in_json(client: TestClient) -> None:
    answer = client.get("/api/v1/threads", headers={"Host": "evil.example"})
    assert answer.status_code == 400
    assert json.loads(answer.text)["error"]["code"] == "bad_request"


def test_an_error_nobody_handled_goes_on_when_nobody_answers_it(client: TestClient) -> None:
    with pytest.raises(RuntimeError, match="nobody foresaw"):
        client.get("/breaks")


def test_an_error_page_that_fails_itself_still_gives_an_answer() -> None:
    def crashed(request: Request, error: Exception) -> Response:
        raise KeyError("template")

    with TestClient(wiki(crashed=crashed), base_url=HERE) as client:
        answer = client.get("/breaks")
    assert answer.status_code == 500
    assert "template" not in answer.text


def test_websockets_are_closed() -> None:
    sent: list[Message] = []

    async def call() -> None:
        async def receive() -> Message:
            return {"type": "websocket.connect"}

        async def send(message: Message) -> None:
            sent.append(message)

        scope = {"type": "websocket", "path": "/", "headers": [(b"host", b"localhost")]}
        await Security(wiki())(scope, receive, send)

    asyncio.run(call())
    assert [message["type"] for message in sent] == ["websocket.close"]


async def called(web: FastAPI, path: str, receive: object) -> list[Message]:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"",
        "http_version": "1.1",
        "scheme": "http",
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 8000),
        "headers": [
            (b"host", b"localhost:8000"),
            (b"content-type", b"application/x-www-form-urlencoded"),
        ],
    }
    await web(scope, receive, send)  # type: ignore[arg-type]
    return sent


@pytest.mark.parametrize("path", ["/", "/breaks", "/nowhere"])
def test_head_is_get_without_its_body(path: str) -> None:
    web = wiki(crashed=lambda request, error: PlainTextResponse("broken", 500))
    with TestClient(web, base_url=HERE) as client:
        read, head = client.get(path), client.head(path)
    assert read.content
    assert head.content == b""
    assert (head.status_code, head.headers) == (read.status_code, read.headers)


def test_head_from_a_foreign_host_is_refused(client: TestClient) -> None:
    answer = client.head("/", headers={"Host": "evil.example"})
    assert answer.status_code == 400
    assert answer.content == b""
