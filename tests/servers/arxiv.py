"""An arXiv on loopback: its API, its listings as feeds, and its OAI-PMH service; and Hugging Face's daily papers.

It is fed with papers as plain dicts:

    {"id": "2605.00001", "title": …, "abstract": …, "authors": […], "categories": ["cs.CL", …],
     "versions": ["2026-05-06T20:00:00Z", …], "day": "2026-05-08", "announced": "new",
     "doi": …, "comment": …, "journal": …, "deleted": True, "datestamp": "2026-05-08"}

`id` and `title` are enough; `versions` are the times of submission, the first of them the paper's own.
Each request is logged with its time, so that who asks too fast is seen.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import parse_qsl, unquote_plus, urlencode, urlsplit
from xml.sax.saxutils import escape, quoteattr

from app.sources.connectors import Response, Web

Paper = Mapping[str, Any]
NOON = "2026-05-07T12:00:00Z"
_TOKEN = re.compile(
    r"\s*(\(|\)|AND\b|OR\b|submittedDate:\[\d{8,12} TO \d{8,12}\]|[a-z]{2,3}:(?:\"[^\"]*\"|[^\s()]+))"
)
_MOST = 2_000
_NOW = datetime(2026, 5, 8, 1, 0, tzinfo=UTC)


@dataclass(frozen=True)
class Asked:
    """A request as it came. `at` is the moment by the monotonic clock, in seconds."""

    path: str
    query: dict[str, str]
    headers: dict[str, str]
    at: float


Fault = Callable[[Asked], "tuple[int, bytes] | None"]
"""What is answered in place of the right answer: status and body, or None for the right one."""


@dataclass
class _State:
    papers: list[Paper]
    daily: dict[str, list[Any]] = field(default_factory=dict)
    today: str = "2026-05-08"
    page: int = 100  # records of a page of OAI-PMH
    fault: Fault | None = None
    tokens: dict[str, tuple[dict[str, str], int]] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)


class ArxivServer:
    """A server for the time of a `with`. What it knows may change meanwhile.

    `papers` in any order; `daily` are days with entries of Hugging Face's API; `today` is the day of
    the listing; `fault` stands in for answers; `asked` are the requests.
    """

    def __init__(
        self,
        papers: Iterable[Paper] = (),
        *,
        daily: Mapping[str, list[Any]] | None = None,
        today: str = "2026-05-08",
        page: int = 100,
        fault: Fault | None = None,
    ) -> None:
        self.state = _State(list(papers), dict(daily or {}), today, page, fault)
        state = self.state

        class Handler(_Handler):
            def do_GET(self) -> None:
                self.answer(state)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.05,), daemon=True
        )

    @property
    def pair(self) -> tuple[str, int]:
        return "127.0.0.1", int(self._server.server_address[1])

    @property
    def root(self) -> str:
        return f"http://127.0.0.1:{self.pair[1]}"

    @property
    def api(self) -> str:
        return f"{self.root}/api/query"

    @property
    def oai(self) -> str:
        return f"{self.root}/oai"

    @property
    def hf(self) -> str:
        return f"{self.root}/api/daily_papers"

    @property
    def papers(self) -> list[Paper]:
        return self.state.papers

    @property
    def asked(self) -> list[Asked]:
        return self.state.asked

    def forget_tokens(self) -> None:
        """Resumption tokens that were given are expired from now on."""
        with self.state.lock:
            self.state.tokens.clear()

    def __enter__(self) -> ArxivServer:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def answer(self, state: _State) -> None:
        parts = urlsplit(self.path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        asked = Asked(parts.path, dict(parse_qsl(parts.query)), headers, time.monotonic())
        with state.lock:
            state.asked.append(asked)
        given = state.fault(asked) if state.fault else None
        kind = "application/xml; charset=utf-8"
        if given is not None:
            status, body = given
        elif asked.path == "/api/query":
            status, body = api_answer(state.papers, asked.query)
            kind = "application/atom+xml; charset=utf-8"
        elif asked.path.startswith(("/rss/", "/atom/")):
            _, form, codes = asked.path.split("/", 2)
            body = listing(
                state.papers, unquote_plus(codes).replace("+", " ").split(), state.today, form
            )
            status, kind = 200, f"application/{form}+xml; charset=utf-8"
        elif asked.path == "/oai":
            with state.lock:
                status, body = (
                    200,
                    oai_answer(state, asked.query, f"http://{headers.get('host', '')}/oai"),
                )
        elif asked.path == "/api/daily_papers":
            status, body = _daily(state, asked.query)
            kind = "application/json; charset=utf-8"
        else:
            status, body = 404, b"There is nothing here."
        mark = f'"{sha256(body).hexdigest()[:20]}"'
        if status == 200 and headers.get("if-none-match") == mark:
            status, body = 304, b""
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        if status in (200, 304):
            self.send_header("ETag", mark)
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = True


# ---------------------------------------------------------------- what a paper says


def versions(paper: Paper) -> list[str]:
    return list(paper.get("versions") or [NOON])


def categories(paper: Paper) -> list[str]:
    return list(paper.get("categories") or ["cs.CL"])


def _tag(name: str, text: object) -> str:
    return f"<{name}>{escape(str(text))}</{name}>" if text else ""


# ---------------------------------------------------------------- the API


def api_answer(papers: Sequence[Paper], query: Mapping[str, str]) -> tuple[int, bytes]:
    """A page of Atom, or an error that is one entry, as the API has it."""
    start, size = query.get("start", "0"), query.get("max_results", "10")
    for name, value in (("start", start), ("max_results", size)):
        if not value.isdigit():
            return 400, _error(f"{name} must be an integer")
    if int(size) > _MOST:
        return 400, _error(f"max_results must not be over {_MOST}")
    words, ids = query.get("search_query", ""), query.get("id_list", "")
    found = [paper for paper in papers if not paper.get("deleted")]
    if ids:
        wanted = [each.strip() for each in ids.split(",")]
        for each in wanted:
            if not re.fullmatch(r"(\d{4}\.\d{4,5}|[a-z-]+/\d{7})(v\d+)?", each):
                return 400, _error(f"incorrect id format for {each}")
        bare = {each.partition("v")[0] for each in wanted}
        found = [paper for paper in found if paper["id"] in bare]
    if words:
        try:
            holds = _query(words)
        except ValueError:
            return 400, _error("malformed search_query")
        found = [paper for paper in found if holds(paper)]
    key = {
        "lastUpdatedDate": lambda paper: (versions(paper)[-1], paper["id"]),
        "submittedDate": lambda paper: (versions(paper)[0], paper["id"]),
    }.get(query.get("sortBy", ""))
    if key:
        found = sorted(found, key=key, reverse=query.get("sortOrder", "descending") == "descending")
    chosen = found[int(start) : int(start) + int(size)]
    title = f"arXiv Query: search_query={words}&id_list={ids}&start={start}&max_results={size}"
    own = sha256(title.encode()).hexdigest()[:27]
    body = "".join(_atom_entry(paper) for paper in chosen)
    return 200, (
        "<?xml version='1.0' encoding='UTF-8'?>\n"
        '<feed xmlns:opensearch="http://a9.com/-/spec/opensearch/1.1/" '
        'xmlns:arxiv="http://arxiv.org/schemas/atom" xmlns="http://www.w3.org/2005/Atom">\n'
        f"<id>https://arxiv.org/api/{own}</id>{_tag('title', title)}"
        f"<updated>{_NOW:%Y-%m-%dT%H:%M:%SZ}</updated>"
        f"<link href={quoteattr('https://arxiv.org/api/query?' + urlencode(query))} type='application/atom+xml'/>"
        f"<opensearch:itemsPerPage>{size}</opensearch:itemsPerPage>"
        f"<opensearch:totalResults>{len(found)}</opensearch:totalResults>"
        f"<opensearch:startIndex>{start}</opensearch:startIndex>{body}</feed>\n"
    ).encode()


def _atom_entry(paper: Paper) -> str:
    times = versions(paper)
    own = f"{paper['id']}v{len(times)}"
    codes = categories(paper)
    authors = "".join(f"<author>{_tag('name', name)}</author>" for name in paper.get("authors", []))
    terms = "".join(
        f"<category term={quoteattr(code)} scheme='http://arxiv.org/schemas/atom'/>"
        for code in codes
    )
    return (
        f"<entry><id>http://arxiv.org/abs/{own}</id>{_tag('title', paper['title'])}"
        f"<updated>{times[-1]}</updated>"
        f"<link href='https://arxiv.org/abs/{own}' rel='alternate' type='text/html'/>"
        f"{_tag('summary', paper.get('abstract', 'Nothing is said.'))}{terms}<published>{times[0]}</published>"
        f"{_tag('arxiv:comment', paper.get('comment'))}"
        f"<arxiv:primary_category term={quoteattr(codes[0])}/>"
        f"{_tag('arxiv:journal_ref', paper.get('journal'))}{authors}"
        f"{_tag('arxiv:doi', paper.get('doi'))}</entry>\n"
    )


def _error(words: str) -> bytes:
    where = f"https://arxiv.org/api/errors#{words.replace(' ', '_')}"
    return (
        "<?xml version='1.0' encoding='UTF-8'?>\n"
        '<feed xmlns:opensearch="http://a9.com/-/spec/opensearch/1.1/" xmlns="http://www.w3.org/2005/Atom">'
        "<id>https://arxiv.org/</id><title>arXiv Search Results</title>"
        "<opensearch:totalResults>1</opensearch:totalResults><opensearch:startIndex>0</opensearch:startIndex>"
        f"<entry><id>{where}</id><title>Error</title>{_tag('summary', words)}"
        "<author><name>arXiv api core</name></author></entry></feed>"
    ).encode()


def _query(words: str) -> Callable[[Paper], bool]:
    """A search_query as a test of a paper: fields, AND, OR, brackets, ranges. Raises ValueError."""
    tokens: list[str] = []
    at = 0
    while words[at:].strip():
        found = _TOKEN.match(words, at)
        if not found:
            raise ValueError(words)
        tokens.append(found[1])
        at = found.end()
    tokens.reverse()

    def either() -> Callable[[Paper], bool]:
        terms = [both()]
        while tokens and tokens[-1] == "OR":
            tokens.pop()
            terms.append(both())
        return lambda paper: any(term(paper) for term in terms)

    def both() -> Callable[[Paper], bool]:
        terms = [one()]
        while tokens and tokens[-1] == "AND":
            tokens.pop()
            terms.append(one())
        return lambda paper: all(term(paper) for term in terms)

    def one() -> Callable[[Paper], bool]:
        if not tokens:
            raise ValueError(words)
        token = tokens.pop()
        if token == "(":
            inner = either()
            if not tokens or tokens.pop() != ")":
                raise ValueError(words)
            return inner
        name, _, value = token.partition(":")
        if not value:
            raise ValueError(words)
        if name == "submittedDate":
            begin, end = value.strip("[]").split(" TO ")
            return lambda paper: begin <= re.sub(r"\D", "", versions(paper)[0])[:12] <= end
        if name == "cat":
            shape = re.compile(re.escape(value).replace(r"\*", ".*"))
            return lambda paper: any(shape.fullmatch(code) for code in categories(paper))
        text = value.strip('"').lower()
        fields = {"ti": ["title"], "abs": ["abstract"], "all": ["title", "abstract"]}.get(name)
        if fields is None:
            raise ValueError(words)
        return lambda paper: any(text in str(paper.get(each, "")).lower() for each in fields)

    found_query = either()
    if tokens:
        raise ValueError(words)
    return found_query


# ---------------------------------------------------------------- listings


def listing(papers: Sequence[Paper], codes: Sequence[str], day: str, form: str = "rss") -> bytes:
    """The listing of categories on a day: of papers whose `day` it is."""
    chosen = [
        paper
        for paper in papers
        if paper.get("day", day) == day
        and any(c == code or c.startswith(f"{code}.") for c in categories(paper) for code in codes)
    ]
    name = "+".join(codes)
    at = datetime.fromisoformat(f"{day}T00:00:00-04:00")
    head = f"{_tag('title', f'{name} updates on arXiv.org')}"
    spaces = (
        'xmlns:arxiv="http://arxiv.org/schemas/atom" xmlns:dc="http://purl.org/dc/elements/1.1/"'
    )
    if form == "atom":
        entries = "".join(_listing_entry(paper, at, "entry") for paper in chosen)
        return (
            f"<?xml version='1.0' encoding='UTF-8'?>\n<feed {spaces} xmlns=\"http://www.w3.org/2005/Atom\">"
            f"<id>http://rss.arxiv.org/atom/{name}</id>{head}<updated>{at.isoformat()}</updated>{entries}</feed>"
        ).encode()
    items = "".join(_listing_entry(paper, at, "item") for paper in chosen)
    return (
        f"<?xml version='1.0' encoding='UTF-8'?>\n<rss {spaces} version=\"2.0\"><channel>{head}"
        f"<link>http://rss.arxiv.org/rss/{name}</link>"
        f"<description>{name} updates on the arXiv.org e-print archive.</description>"
        f"<lastBuildDate>{format_datetime(at)}</lastBuildDate><pubDate>{format_datetime(at)}</pubDate>"
        "<skipDays><day>Saturday</day><day>Sunday</day></skipDays>"
        f"{items}</channel></rss>"
    ).encode()


def _listing_entry(paper: Paper, at: datetime, name: str) -> str:
    own = f"{paper['id']}v{len(versions(paper))}"
    said = str(paper.get("announced") or "new")
    words = (
        f"arXiv:{own} Announce Type: {said} \nAbstract: {paper.get('abstract', 'Nothing is said.')}"
    )
    shared = (
        f"<arxiv:announce_type>{said}</arxiv:announce_type>"
        f"{_tag('dc:creator', ', '.join(paper.get('authors', [])))}{_tag('arxiv:DOI', paper.get('doi'))}"
        f"{_tag('arxiv:journal_reference', paper.get('journal'))}"
    )
    if name == "entry":
        codes = "".join(f"<category term={quoteattr(code)}/>" for code in categories(paper))
        return (
            f"<entry><id>oai:arXiv.org:{own}</id>{_tag('title', paper['title'])}"
            f"<link href='https://arxiv.org/abs/{paper['id']}' rel='alternate' type='text/html'/>"
            f"{_tag('summary', words)}{codes}<published>{at.isoformat()}</published>{shared}</entry>\n"
        )
    codes = "".join(_tag("category", code) for code in categories(paper))
    return (
        f"<item>{_tag('title', paper['title'])}<link>https://arxiv.org/abs/{paper['id']}</link>"
        f"{_tag('description', words)}<guid isPermaLink='false'>oai:arXiv.org:{own}</guid>{codes}"
        f"<pubDate>{format_datetime(at)}</pubDate>{shared}</item>\n"
    )


# ---------------------------------------------------------------- OAI-PMH


def oai_answer(state: _State, query: Mapping[str, str], base: str) -> bytes:
    """An answer to a request of OAI-PMH: Identify, ListSets, ListRecords, or an error."""
    verb = query.get("verb", "")
    if verb == "Identify":
        body = (
            f"<Identify><repositoryName>arXiv</repositoryName><baseURL>{base}</baseURL></Identify>"
        )
    elif verb == "ListSets":
        sets = sorted({name for paper in state.papers for name in _sets(paper)})
        body = "".join(
            f"<set>{_tag('setSpec', name)}{_tag('setName', name)}</set>" for name in sets
        )
        body = f"<ListSets>{body}</ListSets>"
    elif verb == "ListRecords":
        body = _list_records(state, dict(query))
    else:
        body = "<error code='badVerb'>Illegal verb</error>"
    attributes = " ".join(f"{name}={quoteattr(value)}" for name, value in query.items())
    return (
        "<?xml version='1.0' encoding='UTF-8'?>\n<OAI-PMH xmlns=\"http://www.openarchives.org/OAI/2.0/\">"
        f"<responseDate>{state.today}T02:00:00Z</responseDate><request {attributes}>{base}</request>"
        f"{body}</OAI-PMH>\n"
    ).encode()


def _sets(paper: Paper) -> list[str]:
    found = []
    for code in categories(paper):
        archive, _, name = code.partition(".")
        found.append(f"{archive}:{archive}:{name}" if name else f"physics:{archive}")
    return found


def _stamp(paper: Paper) -> str:
    return str(paper.get("datestamp") or paper.get("day") or versions(paper)[-1][:10])


def _list_records(state: _State, query: dict[str, str]) -> str:
    start = 0
    if token := query.get("resumptionToken"):
        if token not in state.tokens:
            return "<error code='badResumptionToken'>The token is not known or has expired</error>"
        query, start = state.tokens[token]
    prefix = query.get("metadataPrefix", "")
    if not prefix:
        return "<error code='badArgument'>metadataPrefix is missing</error>"
    if prefix not in ("arXiv", "arXivRaw", "oai_dc"):
        return f"<error code='cannotDisseminateFormat'>{escape(prefix)}</error>"
    chosen = sorted(
        (
            paper
            for paper in state.papers
            if query.get("from", "") <= _stamp(paper) <= query.get("until", "9999")
            and any(name.startswith(query.get("set", "")) for name in _sets(paper))
        ),
        key=lambda paper: (_stamp(paper), paper["id"]),
    )
    if not chosen:
        return "<error code='noRecordsMatch'/>"
    records = "".join(_record(paper, prefix) for paper in chosen[start : start + state.page])
    following = start + state.page
    token = ""
    if following < len(chosen):
        token = f"t{len(state.tokens)}-{following}"
        state.tokens[token] = query, following
    mark = ""
    if token or start:
        mark = f"<resumptionToken completeListSize='{len(chosen)}' cursor='{start}'>{token}</resumptionToken>"
    return f"<ListRecords>{records}{mark}</ListRecords>"


def _record(paper: Paper, prefix: str) -> str:
    deleted = " status='deleted'" if paper.get("deleted") else ""
    sets = "".join(_tag("setSpec", name) for name in _sets(paper))
    head = (
        f"<header{deleted}><identifier>oai:arXiv.org:{paper['id']}</identifier>"
        f"<datestamp>{_stamp(paper)}</datestamp>{sets}</header>"
    )
    if deleted:
        return f"<record>{head}</record>"
    return f"<record>{head}<metadata>{_METADATA[prefix](paper)}</metadata></record>\n"


def _parts(name: str) -> tuple[str, str]:
    forenames, _, key = name.rpartition(" ")
    return key, forenames


def _arxiv(paper: Paper) -> str:
    times = versions(paper)
    authors = "".join(
        f"<author>{_tag('keyname', key)}{_tag('forenames', rest)}</author>"
        for key, rest in map(_parts, paper.get("authors", []))
    )
    updated = times[-1][:10] if len(times) > 1 else ""
    return (
        '<arXiv xmlns="http://arxiv.org/OAI/arXiv/">'
        f"{_tag('id', paper['id'])}{_tag('created', times[0][:10])}{_tag('updated', updated)}"
        f"<authors>{authors}</authors>{_tag('title', paper['title'])}"
        f"{_tag('categories', ' '.join(categories(paper)))}{_tag('comments', paper.get('comment'))}"
        f"{_tag('journal-ref', paper.get('journal'))}{_tag('doi', paper.get('doi'))}"
        f"{_tag('abstract', paper.get('abstract', 'Nothing is said.'))}</arXiv>"
    )


def _raw(paper: Paper) -> str:
    dates = "".join(
        f"<version version='v{number}'>"
        f"<date>{format_datetime(datetime.fromisoformat(at).astimezone(UTC), usegmt=True)}</date>"
        "<size>9kb</size></version>"
        for number, at in enumerate(versions(paper), start=1)
    )
    return (
        '<arXivRaw xmlns="http://arxiv.org/OAI/arXivRaw/">'
        f"{_tag('id', paper['id'])}<submitter>Somebody</submitter>{dates}{_tag('title', paper['title'])}"
        f"{_tag('authors', ', '.join(paper.get('authors', [])))}"
        f"{_tag('categories', ' '.join(categories(paper)))}{_tag('comments', paper.get('comment'))}"
        f"{_tag('journal-ref', paper.get('journal'))}{_tag('doi', paper.get('doi'))}"
        f"{_tag('abstract', paper.get('abstract', 'Nothing is said.'))}</arXivRaw>"
    )


def _dublin_core(paper: Paper) -> str:
    creators = "".join(
        _tag("dc:creator", ", ".join(part for part in _parts(name) if part))
        for name in paper.get("authors", [])
    )
    dates = "".join(_tag("dc:date", at[:10]) for at in versions(paper))
    comment = f"Comment: {paper['comment']}" if paper.get("comment") else ""
    doi = f"doi:{paper['doi']}" if paper.get("doi") else ""
    return (
        '<oai_dc:dc xmlns:oai_dc="http://www.openarchives.org/OAI/2.0/oai_dc/" '
        'xmlns:dc="http://purl.org/dc/elements/1.1/">'
        f"{_tag('dc:title', paper['title'])}{creators}"
        f"{_tag('dc:subject', 'Computer Science - Computation and Language')}"
        f"{_tag('dc:description', paper.get('abstract', 'Nothing is said.'))}{_tag('dc:description', comment)}"
        f"{dates}<dc:type>text</dc:type>{_tag('dc:identifier', 'http://arxiv.org/abs/' + paper['id'])}"
        f"{_tag('dc:identifier', doi)}</oai_dc:dc>"
    )


_METADATA = {"arXiv": _arxiv, "arXivRaw": _raw, "oai_dc": _dublin_core}


# ---------------------------------------------------------------- Hugging Face


def _daily(state: _State, query: Mapping[str, str]) -> tuple[int, bytes]:
    day = query.get("date", state.today)
    if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", day) or day > state.today:
        return 400, json.dumps({"error": "Invalid date"}).encode()
    start, size = int(query.get("p", "0")), int(query.get("limit", "50"))
    entries = state.daily.get(day, [])
    return 200, json.dumps(entries[start * size : (start + 1) * size]).encode()


class Unpaced:
    """A Web that asks at once, and notes the spacing it was asked to keep."""

    def __init__(self, web: Web) -> None:
        self._web = web
        self.spacings: list[float] = []

    def get(self, url: str, *, spacing: float = 0.0, **options: Any) -> Response:
        self.spacings.append(spacing)
        return self._web.get(url, **options)

    def dial(self, host: str, port: int) -> Any:
        return self._web.dial(host, port)
