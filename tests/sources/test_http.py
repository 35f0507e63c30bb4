from __future__ import annotations

import gzip
import json
import socket
import ssl
import threading
import zlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
import trustme

from app import __version__
from app.errors import NotFetched
from app.sources.http import HEADER_BYTES, REDIRECTS, Transport
from app.sources.targets import is_public, target_of
from app.sources.turns import Turns
from tests.servers import hostile
from tests.servers.hostile import HOSTILE, Behaviour, Server, Talk, page, sends_to

CORPORA = Path(__file__).parents[3] / "shared/corpora"
PUBLIC, OTHER = "93.184.215.14", "93.184.215.15"
SOON = 0.4  # a deadline that a test waits for

LATE = {
    *("slow_headers", "slow_body", "slow_chunks", "slow_status", "says_nothing"),
    "stops_in_the_body",
}


def transport(
    *servers: Server,
    seconds: float = 20.0,
    context: ssl.SSLContext | None = None,
    pace: Turns | None = None,
) -> Transport:
    return Transport(
        allow={server.pair for server in servers}, seconds=seconds, context=context, pace=pace
    )


class Network:
    """Names and addresses as the test has them. What is dialled outside of `servers` is refused.

    `names` says for each name what it leads to, asked once, twice …; the last answer stays.
    """

    def __init__(
        self, names: dict[str, list[list[str]]], servers: dict[tuple[str, int], Server]
    ) -> None:
        self.names, self.servers = names, servers
        self.resolved: list[str] = []
        self.dialled: list[tuple[str, int]] = []

    def resolve(self, host: str) -> list[str]:
        self.resolved.append(host)
        if host not in self.names:
            raise socket.gaierror(-2, "Name or service not known")
        answers = self.names[host]
        return answers.pop(0) if len(answers) > 1 else answers[0]

    def connect(self, address: str, port: int, seconds: float) -> socket.socket:
        self.dialled.append((address, port))
        if (address, port) not in self.servers:
            raise ConnectionRefusedError
        return socket.create_connection(self.servers[address, port].pair, seconds)

    def transport(
        self, *, seconds: float = 20.0, context: ssl.SSLContext | None = None
    ) -> Transport:
        return Transport(
            seconds=seconds, context=context, resolve=self.resolve, connect=self.connect
        )


def refused(web: Transport, url: str, **options: float) -> NotFetched:
    with pytest.raises(NotFetched) as caught:
        web.get(url, **options)  # type: ignore[arg-type]
    said = str(caught.value)
    assert said.endswith(".") and len(said) < 400 and said.isprintable(), said
    return caught.value


@pytest.fixture
def canary() -> Iterator[Server]:
    with hostile.canary() as server:
        yield server
    assert server.hits == 0


# ---------------------------------------------------------------- what is asked for and comes


def test_a_page_is_fetched_and_we_say_who_asks() -> None:
    with Server(page(b"<rss/>", content_type="text/xml", set_cookie="a=b", etag='"7"')) as server:
        came = transport(server).get(f"{server.url}feed?a=1", accept="text/xml")
        (asked,) = server.asked
    assert (came.status, came.data, came.url) == (200, b"<rss/>", f"{server.url}feed?a=1")
    assert came.headers["content-type"] == "text/xml" and came.headers["etag"] == '"7"'
    assert "set-cookie" not in came.headers and came.moved == ""
    assert asked.path == "/feed?a=1"
    assert asked.headers["host"] == f"127.0.0.1:{server.port}"
    assert asked.headers["accept"] == "text/xml"
    assert asked.headers["user-agent"].startswith(f"cere-bro/{__version__} ")
    assert not {"cookie", "referer", "authorization"} & asked.headers.keys()


def test_no_proxy_and_no_password_file_of_the_machine_is_used(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, canary: Server
) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, canary.url)
        monkeypatch.setenv(name.upper(), canary.url)
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login ada password secret\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    with Server(page()) as server:
        assert transport(server).get(server.url).data == b"a page"
        assert "authorization" not in server.asked[0].headers


def test_cookies_are_not_kept_from_one_request_to_the_next() -> None:
    with Server(page(set_cookie="seen=yes")) as server:
        web = transport(server)
        web.get(server.url)
        web.get(server.url)
        assert all("cookie" not in asked.headers for asked in server.asked)


def test_what_did_not_change_is_not_sent_again() -> None:
    def behaviour(talk: Talk) -> None:
        if talk.request.headers.get("if-none-match") == 'W/"a"':
            talk.answer(status="304 Not Modified", etag='W/"a"')
        elif talk.request.headers.get("if-modified-since") == "Sun, 06 Nov 1994 08:49:37 GMT":
            talk.answer(status="304 Not Modified")
        else:
            talk.answer(b"new")

    with Server(behaviour) as server:
        web = transport(server)
        assert web.get(server.url, etag='W/"a"').status == 304
        assert web.get(server.url, modified="Sun, 06 Nov 1994 08:49:37 GMT").data == b""
        assert web.get(server.url, etag='W/"b"').data == b"new"
        # A mark of a length that nobody means is not sent back.
        assert web.get(server.url, etag="x" * 5000).status == 200
        assert "if-none-match" not in server.asked[-1].headers


@pytest.mark.parametrize(
    ("encoding", "pack"),
    [
        ("gzip", gzip.compress),
        ("x-gzip", gzip.compress),
        ("GZIP", gzip.compress),
        ("gzip", lambda data: gzip.compress(data[:500]) + gzip.compress(data[500:])),
        ("gzip", lambda data: gzip.compress(data) + b"noise after the end"),
        ("deflate", zlib.compress),
        ("deflate", lambda data: zlib.compress(data, wbits=-15)),
        ("identity", bytes),
        ("utf-8", bytes),
    ],
)
@pytest.mark.parametrize("step", [1, 7, 100_000])
def test_packed_answers_are_unpacked(
    encoding: str, pack: Callable[[bytes], bytes], step: int
) -> None:
    body = b"many words, many words, other words " * 100
    packed = pack(body)

    def behaviour(talk: Talk) -> None:
        talk.answer(content_encoding=encoding, content_length=str(len(packed)))
        for place in range(0, len(packed), step):
            talk.send(packed[place : place + step])

    with Server(behaviour) as server:
        assert transport(server).get(server.url).data == body


def test_bytes_are_handed_over_as_they_came_whatever_they_are_said_to_be() -> None:
    body = "café".encode("latin-1")
    with Server(page(body, content_type="text/html; charset=utf-99")) as server:
        assert transport(server).get(server.url).data == body


# ---------------------------------------------------------------- limits


def test_exactly_as_much_as_is_wanted_is_taken_and_no_byte_more() -> None:
    with Server(page(bytes(1000))) as server:
        assert len(transport(server).get(server.url, limit=1000).data) == 1000
        assert "0.000999 MB" in str(refused(transport(server), server.url, limit=999))
    packed = gzip.compress(b"x" * 1000)
    with Server(page(packed, content_encoding="gzip")) as server:
        assert len(transport(server).get(server.url, limit=1000).data) == 1000
        refused(transport(server), server.url, limit=999)


def test_headers_up_to_the_limit_are_read() -> None:
    with Server(page(x_more="m" * (HEADER_BYTES - 200))) as server:
        assert transport(server).get(server.url).data == b"a page"
    with Server(page(x_more="m" * HEADER_BYTES)) as server:
        assert "64 kB of headers" in str(refused(transport(server), server.url))


@pytest.mark.parametrize("name", sorted(HOSTILE))
def test_what_a_server_does_ends_in_a_reason(name: str) -> None:
    with Server(HOSTILE[name]) as server:
        web = transport(server, seconds=SOON if name in LATE else 20.0)
        error = refused(web, server.url, limit=20_000)
    assert f"127.0.0.1:{server.port}" in str(error)
    assert error.again and error.after is None
    assert ("did not answer in full within 0.4 seconds" in str(error)) == (name in LATE)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("gzip_bomb", "more than 0.1 MB"),
        ("deflate_bomb", "more than 0.1 MB"),
        ("empty_blocks", "more than 0.1 MB"),
        ("endless_body", "more than 0.1 MB"),
        ("huge_length", "more than 0.1 MB"),
        ("endless_header", "64 kB of headers"),
        ("endless_continue", "64 kB of headers"),
        ("endless_status", "64 kB of headers"),
        ("packed_twice", "more than once"),
        ("packed_as_br", "not asked for ('br')"),
        ("too_short", "broke off in the middle"),
        ("chunks_cut", "broke off in the middle"),
        ("gzip_cut", "broke off in the middle"),
        ("resets", "broke off in the middle"),
        ("gzip_damaged", "damaged"),
        ("hangs_up", "hung up"),
        ("garbage", "not answer as HTTP"),
        ("other_protocol", "not answer as HTTP"),
        ("nothing", "with nothing"),
        ("gzip_of_nothing", "with nothing"),
        ("loop", "more than 5 times"),
        ("to_nowhere", "does not say which"),
    ],
)
def test_the_reason_is_the_true_one(name: str, words: str) -> None:
    with Server(HOSTILE[name]) as server:
        assert words in str(refused(transport(server), server.url, limit=100_000))


def test_a_handshake_that_drips_ends_by_the_deadline() -> None:
    with Server(hostile.slow_handshake, silent=True) as server:
        web = transport(server, seconds=SOON)
        error = refused(web, f"https://127.0.0.1:{server.port}/")
    assert "did not answer in full" in str(error)


def test_a_server_that_never_takes_up_a_handshake_ends_by_the_deadline() -> None:
    with Server(hostile.says_nothing, silent=True) as server:
        web = transport(server, seconds=SOON)
        assert "in full within" in str(refused(web, f"https://127.0.0.1:{server.port}/"))


def test_redirects_are_part_of_the_one_deadline() -> None:
    def behaviour(talk: Talk) -> None:
        talk.ended.wait(SOON / 2)
        talk.answer(status="302 Found", location="/again")

    with Server(behaviour) as server:
        assert "in full within" in str(refused(transport(server, seconds=SOON), server.url))
        assert len(server.asked) <= 3


def test_a_resolver_that_hangs_ends_by_the_deadline() -> None:
    over = threading.Event()

    def resolve(host: str) -> list[str]:
        over.wait(20)
        return [PUBLIC]

    web = Transport(seconds=SOON, resolve=resolve)
    try:
        assert "in full within" in str(refused(web, "http://feeds.example/"))
    finally:
        over.set()


# ---------------------------------------------------------------- where it may go


@pytest.mark.parametrize(
    "url",
    [
        *(f"http://{host}/" for host in ("127.0.0.1", "localhost", "[::1]", "0.0.0.0", "10.1.2.3")),
        *("http://127.1/", "http://2130706433/", "http://0x7f000001/", "http://0177.0.0.1/"),
        *("http://[::ffff:127.0.0.1]/", "http://[64:ff9b::7f00:1]/", "http://[2002:7f00:1::]/"),
        *("http://127.0.0.1./", "http://localhost./", "http://feeds.example./"),
        *("http://\uff11\uff12\uff17.0.0.1/", "http://127\u30020\u30020\u30021/"),
        *("http://[fe80::1%25eth0]/", "http://[fe80::1%eth0]/", "http://[::1", "http://::1/"),
        *("http://user@feeds.example/", "http://user:pw@feeds.example/", "http://@feeds.example/"),
        *("http://feeds.example:22/", "http://feeds.example:99999/", "http://feeds.example:8a/"),
        *("http://feeds.example:0/", "http://feeds.example:-80/", "http://feeds.example:80:80/"),
        *("http://feeds.example\\@127.0.0.1/", "http:\\\\feeds.example/", "http://a\tb.example/"),
        *(
            "http://feeds.example/\r\nx: y",
            "http://feeds.example/\x00",
            "http://feeds.example/\x7f",
        ),
        *("http://feeds example/", "http://feeds%2eexample/", "http://a..example/", "http://-a.b/"),
        *("http:///feed", "http://", "http:feeds.example", "feeds.example", "", "//feeds.example/"),
        *("file:///etc/passwd", "ftp://feeds.example/", "gopher://feeds.example/", "data:,x"),
        *(
            "javascript:alert(1)",
            "HTTP+UNIX://x/",
            "http://metadata.google.internal/",
            "http://nas/",
        ),
        *("http://printer.local/", "http://box.home.arpa/", f"http://{'a' * 64}.example/"),
        *(f"http://{'a.' * 130}example/", f"http://feeds.example/{'a' * 9000}"),
        *(
            "http://feeds.example/\ud800",
            "http://\u200bfeeds.example/",
            "http://xn--\u00e9.example/",
        ),
    ],
)
def test_an_address_is_refused_before_anything_is_asked(url: str) -> None:
    network = Network({}, {})
    error = refused(network.transport(), url)
    assert not error.again
    assert (network.resolved, network.dialled) == ([], [])


def test_the_lists_of_others_are_refused_before_anything_is_asked() -> None:
    if not CORPORA.is_dir():
        pytest.skip("there are no corpora beside this checkout")
    own = (CORPORA / "own/ssrf-targets.jsonl").read_text("utf-8").splitlines()
    urls = [json.loads(line)["url"] for line in own]
    others = (CORPORA / "ssrf/patt-urls.txt").read_text("utf-8").splitlines()
    urls += [url for url in others if "example.com/" not in url]  # one asks a public host
    network = Network({}, {})
    for url in filter(None, urls):
        refused(network.transport(), url)
    assert len(urls) > 50
    assert (network.resolved, network.dialled) == ([], [])


def test_redirects_of_other_peoples_lists_reach_nothing_private() -> None:
    path = CORPORA / "redirect/open-redirect.txt"
    if not path.is_file():
        pytest.skip("there are no corpora beside this checkout")
    where = {"location": ""}
    names = {"feeds.example": [[PUBLIC]]}
    with Server(lambda talk: talk.answer(status="302 Found", **where)) as server:
        network = Network(names, {(PUBLIC, 80): server})
        for line in path.read_text("utf-8").splitlines():
            where["location"] = line.encode("utf-8").decode("latin-1")
            with pytest.raises(NotFetched):
                network.transport().get("http://feeds.example/")
    assert set(network.dialled) <= {(PUBLIC, 80)} | {
        (address, port) for address, port in network.dialled if is_public(address)
    }


@pytest.mark.parametrize("usual_port", [False, True], ids=["its port", "port 80"])
def test_no_redirect_leads_inside(canary: Server, usual_port: bool) -> None:
    locations = hostile.redirects(80 if usual_port else canary.port)
    assert len(locations) > 70
    where = {"location": ""}
    names = {"feeds.example": [[PUBLIC]]}
    for name in ("localhost", "router", "feeds.localhost", "metadata.google.internal"):
        names[name] = [["127.0.0.1"]]
    with Server(lambda talk: talk.answer(status="302 Found", **where)) as server:
        network = Network(
            names,
            {(PUBLIC, 80): server, ("127.0.0.1", canary.port): canary, ("127.0.0.1", 80): canary},
        )
        for location in locations:
            where["location"] = location.encode("utf-8").decode("latin-1")
            refused(network.transport(), "http://feeds.example/")
        assert set(network.dialled) == {(PUBLIC, 80)}
        # The same from a server that may be private: what it may, nobody else may by it.
        for location in locations:
            where["location"] = location.encode("utf-8").decode("latin-1")
            refused(transport(server), server.url)


def test_a_name_that_leads_elsewhere_the_next_time_leads_nowhere(canary: Server) -> None:
    """DNS rebinding: the address that was looked at is the one that is connected to."""
    inside = {("127.0.0.1", 80): canary}
    with Server(page(b"public")) as server:
        network = Network(
            {"feeds.example": [[PUBLIC], ["127.0.0.1"]]}, {(PUBLIC, 80): server} | inside
        )
        web = network.transport()
        assert web.get("http://feeds.example/").data == b"public"
        assert (network.resolved, network.dialled) == (["feeds.example"], [(PUBLIC, 80)])
        error = refused(web, "http://feeds.example/")
        assert "leads to 127.0.0.1" in str(error) and error.again
    with Server(sends_to("http://feeds.example/again")) as server:
        network = Network(
            {"feeds.example": [[PUBLIC], ["127.0.0.1"]]}, {(PUBLIC, 80): server} | inside
        )
        refused(network.transport(), "http://feeds.example/")
        assert network.resolved == ["feeds.example"] * 2
        assert network.dialled == [(PUBLIC, 80)]


@pytest.mark.parametrize(
    "private",
    [
        *("127.0.0.1", "10.0.0.1", "172.31.255.255", "192.168.1.1", "169.254.169.254", "0.0.0.0"),
        *("0.1.2.3", "100.64.0.1", "192.0.0.8", "198.18.0.1", "224.0.0.1", "240.0.0.1", "::"),
        *("255.255.255.255", "::1", "fe80::1", "fe80::1%eth0", "fc00::1", "fd12::1", "ff02::1"),
        *("::ffff:127.0.0.1", "::ffff:93.184.215.14", "64:ff9b::7f00:1", "64:ff9b:1::1", "100::1"),
        *("2002:7f00:1::", "2001:0:5ef5:79fd::1", "2001:db8::1", "5f00::1", "3fff::1", "4000::1"),
        *("168.63.129.16", "192.88.99.1", "not an address", "127.1", ""),
    ],
)
def test_one_private_address_of_a_name_refuses_it_whole(private: str) -> None:
    for answer in ([private], [PUBLIC, private], [private, PUBLIC]):
        network = Network({"feeds.example": [answer]}, {})
        refused(network.transport(), "http://feeds.example/")
        assert network.dialled == []


def test_public_addresses_are_public() -> None:
    assert all(map(is_public, (PUBLIC, "1.1.1.1", "100.63.255.255", "100.128.0.1", "172.32.0.1")))
    assert all(map(is_public, ("2606:4700:4700::1111", "2a00:1450:4001:81b::200e", "192.0.1.1")))


def test_the_next_address_is_tried_when_one_does_not_answer() -> None:
    with Server(page()) as server:
        names = {"feeds.example": [["2606:4700::1", "2606:4700::2", OTHER, PUBLIC]]}
        network = Network(names, {(PUBLIC, 80): server})
        assert network.transport().get("http://feeds.example/").data == b"a page"
    assert network.dialled == [(a, 80) for a in ("2606:4700::1", OTHER, "2606:4700::2", PUBLIC)]
    network = Network({"feeds.example": [[f"93.184.216.{n}" for n in range(200)]]}, {})
    assert "refused the connection" in str(refused(network.transport(), "http://feeds.example/"))
    assert len(network.dialled) == 4


def test_a_name_that_is_not_there_is_said_so() -> None:
    network = Network({"empty.example": [[]]}, {})
    for host in ("feeds.example", "empty.example"):
        error = refused(network.transport(), f"http://{host}/")
        assert "cannot be found" in str(error) and error.again


def test_names_in_other_scripts_are_asked_for_in_ascii() -> None:
    with Server(page()) as server:
        network = Network({"xn--bcher-kva.example": [[PUBLIC]]}, {(PUBLIC, 80): server})
        came = network.transport().get("http://B\u00fccher.example/caf\u00e9?q=\u00fc a#part")
        assert server.asked[0].path == "/caf%C3%A9?q=%C3%BC%20a"
    assert came.url == "http://xn--bcher-kva.example/caf%C3%A9?q=%C3%BC%20a"
    assert server.asked[0].headers["host"] == "xn--bcher-kva.example"


def test_a_pair_that_is_allowed_allows_itself_alone(canary: Server) -> None:
    with Server(page()) as server:
        web = transport(server)
        assert web.get(server.url).data == b"a page"
        for url in (
            *(canary.url, f"http://localhost:{server.port}/", f"http://127.1:{server.port}/"),
            *(f"http://[::ffff:127.0.0.1]:{server.port}/", f"http://127.0.0.2:{server.port}/"),
            *("http://127.0.0.1/", f"http://x@127.0.0.1:{server.port}/"),
        ):
            refused(web, url)
        assert server.hits == 1
        by_name = Transport(allow={("localhost", server.port)})
        assert by_name.get(f"http://LOCALHOST:{server.port}/").data == b"a page"
        refused(by_name, server.url)


def test_a_redirect_to_inside_may_lead_elsewhere_another_time(canary: Server) -> None:
    """Only an address that is refused as it stands is refused for good."""
    for location in (canary.url, "http://127.0.0.1/", "http://nas/", "file:///x", "http://127.1/"):
        with Server(sends_to(location)) as server:
            error = refused(transport(server), server.url)
            assert error.again
            assert f"127.0.0.1:{server.port} sends on" in str(error)


def test_what_is_not_asked_takes_no_turn() -> None:
    class Recorded(Turns):
        def take(self, host: str, *, spacing: float, seconds: float) -> float:
            taken.append(host)
            return super().take(host, spacing=spacing, seconds=seconds)

    taken: list[str] = []
    with Server(sends_to("http://127.0.0.1/")) as server:
        web = transport(server, pace=Recorded())
        refused(web, server.url)
        refused(web, "http://nas/")
        assert taken == [f"127.0.0.1:{server.port}"]


def test_what_is_refused_says_what_to_do() -> None:
    error = refused(Transport(), "http://127.0.0.1:8080/feed?key=secret")
    assert "list 127.0.0.1:8080 in CEREBRO_FETCH_ALLOW" in str(error)
    assert "list [::1]:80 in CEREBRO_FETCH_ALLOW" in str(refused(Transport(), "http://[::1]/"))


def test_no_reason_repeats_the_query_of_an_address() -> None:
    with Server(page(status="404 Not Found")) as server:
        for url in (f"{server.url}?key=secret", "http://u\x01?key=secret", "http:x?key=secret"):
            assert "secret" not in str(refused(transport(server), url))


# ---------------------------------------------------------------- redirects


@pytest.mark.parametrize("status", ["301 Moved Permanently", "308 Permanent Redirect"])
def test_a_move_for_good_is_told(status: str) -> None:
    def behaviour(talk: Talk) -> None:
        if talk.request.path == "/new":
            talk.answer(b"here")
        else:
            talk.answer(status=status, location="/new#part")

    with Server(behaviour) as server:
        came = transport(server).get(f"{server.url}old")
        assert (came.data, came.url, came.moved) == (
            b"here",
            f"{server.url}new",
            f"{server.url}new",
        )


@pytest.mark.parametrize("status", ["302 Found", "303 See Other", "307 Temporary Redirect"])
def test_a_move_for_now_is_followed_and_not_told(status: str) -> None:
    def behaviour(talk: Talk) -> None:
        if talk.request.path == "/new":
            talk.answer(b"here")
        else:
            talk.answer(status=status, location="new")

    with Server(behaviour) as server:
        came = transport(server).get(f"{server.url}old")
        assert (came.data, came.url, came.moved) == (b"here", f"{server.url}new", "")


def test_of_a_chain_its_lasting_beginning_is_told() -> None:
    steps = {"/1": ("301 Moved", "/2"), "/2": ("308 Moved", "/3"), "/3": ("302 Found", "/4")}
    steps["/4"] = ("301 Moved", "/5")

    def behaviour(talk: Talk) -> None:
        if talk.request.path in steps:
            status, location = steps[talk.request.path]
            talk.answer(status=status, location=location)
        else:
            talk.answer(b"here")

    with Server(behaviour) as server:
        came = transport(server).get(f"{server.url}1")
    assert (came.url, came.moved) == (f"{server.url}5", f"{server.url}3")


def test_as_many_redirects_as_are_followed() -> None:
    def to(last: int) -> Behaviour:
        def behaviour(talk: Talk) -> None:
            step = int(talk.request.path[1:])
            if step == last:
                talk.answer(b"here")
            else:
                talk.answer(status="302 Found", location=f"/{step + 1}")

        return behaviour

    with Server(to(REDIRECTS)) as server:
        assert transport(server).get(f"{server.url}0").data == b"here"
    with Server(to(REDIRECTS + 1)) as server:
        refused(transport(server), f"{server.url}0")


def test_a_key_is_not_sent_on_to_another_host() -> None:
    with Server(page()) as other, Server(sends_to(other.url)) as server:
        web = transport(server, other)
        web.get(server.url, headers={"X-Api-Key": "secret", "Host": "x", "Cookie": "a=b"})
        assert server.asked[0].headers["x-api-key"] == "secret"
        assert server.asked[0].headers["host"] == f"127.0.0.1:{server.port}"
        assert "cookie" not in server.asked[0].headers
        assert "x-api-key" not in other.asked[0].headers
        assert "referer" not in other.asked[0].headers


# ---------------------------------------------------------------- what servers say no with


@pytest.mark.parametrize(
    ("status", "again", "words"),
    [
        ("401 Unauthorized", False, "user and password"),
        ("403 Forbidden", True, "does not let us in"),
        ("404 Not Found", True, "no such page"),
        ("410 Gone", False, "gone for good"),
        ("418 Teapot", True, "something else"),
        ("429 Too Many Requests", True, "too often"),
        ("500 Oh no", True, "a fault of its own"),
        ("503 Busy", True, "just now"),
    ],
)
def test_a_status_is_told_in_words(status: str, again: bool, words: str) -> None:
    with Server(page(b"a long page that is not read", status=status)) as server:
        error = refused(transport(server), server.url)
    assert words in str(error)
    assert (error.again, error.status, error.after) == (again, int(status[:3]), None)


@pytest.mark.parametrize("status", ["429 Too Many Requests", "503 Service Unavailable"])
def test_a_host_that_asks_to_be_left_alone_is(status: str) -> None:
    for value, seconds in hostile.asks_to_wait(datetime.now(UTC) + timedelta(hours=1)).items():
        if seconds is None or value.endswith("GMT"):
            continue
        with Server(page(status=status, retry_after=value[:200])) as server:
            web = transport(server)
            assert refused(web, server.url).after == seconds
            if seconds > 100:
                error = refused(web, server.url)
                assert len(server.asked) == 1
                assert "not to be asked again for" in str(error)
                assert error.after is not None and seconds - 60 < error.after <= seconds


def test_a_date_to_wait_for_is_honoured() -> None:
    then = (datetime.now(UTC) + timedelta(hours=2)).replace(microsecond=0)
    said = format_datetime(then, usegmt=True)
    with Server(page(status="503 Busy", retry_after=said)) as server:
        after = refused(transport(server), server.url).after
    assert after is not None and 7000 < after <= 7200


def test_nonsense_in_place_of_seconds_is_no_time_to_wait() -> None:
    for value in ("soon", "-5", "1e3"):
        with Server(page(status="429 Too Many", retry_after=value)) as server:
            web = transport(server)
            assert refused(web, server.url).after is None
            refused(web, server.url)
            assert len(server.asked) == 2


# ---------------------------------------------------------------- one at a time, and spaced


class Clock:
    """Time that passes when somebody waits."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_turns_are_spaced_from_the_end_of_one_to_the_next() -> None:
    clock = Clock()
    turns = Turns(clock=clock)
    assert turns.take("a", spacing=3.0, seconds=30.0) == 0.0
    clock.now += 2.0
    turns.give("a", spacing=3.0)
    assert turns.take("a", spacing=0.0, seconds=30.0) == 3.0
    assert turns.take("b", spacing=0.0, seconds=30.0) == 0.0
    clock.now += 3.0
    # Who asks for a longer space gets it, whoever was there before.
    assert turns.take("a", spacing=5.0, seconds=30.0) == 2.0
    assert turns.take("a", spacing=3.0, seconds=30.0) == 0.0


def test_a_turn_that_was_never_given_back_ends_by_itself() -> None:
    clock = Clock()
    turns = Turns(clock=clock)
    assert turns.take("a", spacing=0.0, seconds=30.0) == 0.0
    assert turns.take("a", spacing=0.0, seconds=30.0) > 0
    clock.now += 31.0
    assert turns.take("a", spacing=0.0, seconds=30.0) == 0.0


def test_a_host_is_asked_by_one_at_a_time() -> None:
    at_once, most, lock = 0, 0, threading.Lock()

    def behaviour(talk: Talk) -> None:
        nonlocal at_once, most
        with lock:
            at_once += 1
            most = max(most, at_once)
        talk.ended.wait(0.03)
        with lock:
            at_once -= 1
        talk.answer(b"a page")

    with Server(behaviour) as server:
        web = transport(server)
        threads = [threading.Thread(target=web.get, args=(server.url,)) for _ in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        assert (len(server.asked), most) == (5, 1)


def test_each_request_waits_for_its_space_and_a_failed_one_counts() -> None:
    waited: list[float] = []

    class Recorded(Turns):
        def take(self, host: str, *, spacing: float, seconds: float) -> float:
            wait = super().take(host, spacing=spacing, seconds=seconds)
            waited.append(wait)
            return wait

    with Server(page(status="500 Oh no")) as server:
        web = transport(server, pace=Recorded())
        for _ in range(2):
            refused(web, server.url, spacing=0.2)
        assert len(server.asked) == 2
    assert waited[0] == 0.0 and 0 < waited[1] <= 0.2


# ---------------------------------------------------------------- TLS


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def _tls(authority: trustme.CA, *names: str) -> tuple[ssl.SSLContext, list[str | None]]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names).configure_cert(context)
    asked: list[str | None] = []
    context.sni_callback = lambda _sock, name, _context: asked.append(name)
    return context, asked


def _trusting(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


def test_a_certificate_is_checked_by_name_though_an_address_is_dialled(
    authority: trustme.CA,
) -> None:
    context, asked = _tls(authority, "feeds.example")
    with Server(page(b"in secret"), tls=context) as server:
        names = {"feeds.example": [[PUBLIC]], "other.example": [[PUBLIC]]}
        network = Network(names, {(PUBLIC, 443): server})
        web = network.transport(context=_trusting(authority))
        assert web.get("https://feeds.example/").data == b"in secret"
        error = refused(web, "https://other.example/")
        assert "certificate" in str(error) and error.again
        untrusting = network.transport()
        assert "certificate" in str(refused(untrusting, "https://feeds.example/"))
        assert asked == ["feeds.example", "other.example", "feeds.example"]
        assert len(server.asked) == 1


def test_a_server_without_tls_is_said_so() -> None:
    with Server(page(), silent=True) as server:
        error = refused(transport(server), f"https://127.0.0.1:{server.port}/")
    assert "TLS" in str(error)


def test_a_body_that_drips_within_tls_ends_by_the_deadline(authority: trustme.CA) -> None:
    context, _ = _tls(authority, "127.0.0.1")
    with Server(hostile.slow_body, tls=context) as server:
        web = transport(server, seconds=SOON, context=_trusting(authority))
        assert "in full within" in str(refused(web, server.url))


# ---------------------------------------------------------------- what is not HTTP


def test_mail_is_dialled_by_the_same_rules() -> None:
    with Server(lambda talk: talk.send(b"* OK ready\r\n"), silent=True) as server:
        network = Network(
            {"mail.example": [[PUBLIC], ["127.0.0.1"]]},
            {(PUBLIC, 993): server, (PUBLIC, 143): server},
        )
        web = network.transport()
        with web.dial("mail.example", 993) as dialled:
            assert dialled.recv(100) == b"* OK ready\r\n"
            assert dialled.gettimeout() is not None
        with pytest.raises(NotFetched, match=r"leads to 127\.0\.0\.1"):
            web.dial("mail.example", 993)
        for host, port in (
            *(("mail.example", 25), ("mail.example", 80), ("127.0.0.1", 143), ("localhost", 143)),
            *(("0x7f000001", 993), ("::1", 993), ("nas", 993), ("a b.example", 993), ("", 993)),
        ):
            with pytest.raises(NotFetched):
                web.dial(host, port)
        assert network.dialled == [(PUBLIC, 993)]
        refused(web, "http://mail.example:143/")
        with transport(server).dial("127.0.0.1", server.port) as dialled:
            assert dialled.recv(100)


def test_an_address_has_one_spelling() -> None:
    assert target_of("HTTP://Feeds.Example:80").url == "http://feeds.example/"
    assert target_of("https://feeds.example:443/a?b#c").url == "https://feeds.example/a?b"
    assert target_of("https://feeds.example:80/%41%zz'\"<>").netloc == "feeds.example:80"
    assert target_of("http://[2A00::0:1]:8080?x").url == "http://[2a00::1]:8080/?x"
