"""Writers over HTTP against a server that is killed again and again: what was acknowledged and is gone.

python -m bench kills [--kills 200] [--seconds 1500] [--pages 400] [--seed 1] [--database sqlite|postgresql]

`cerebro serve` runs with its worker on a loopback port. Four write to it at once: one edits pages, one
decides proposals and takes decisions back, one imports papers, and one, an editor beside the program,
changes files of the vault. Each notes what was acknowledged: an answer of 2xx, a file that was put in
place. At random moments all processes are ended by SIGKILL, a fifth of the times while they start; some
times the worker alone. After each kill the database is looked at as it lies there, and the program is
started anew.

Printed: acknowledged writes that are gone, writes that are there in part, what the engine and the
doctor find wrong, seconds and CPU seconds until the server answers again, and in how many seconds of
rest the vault and the database say the same.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence, Sized
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from app.domain.records import GONE
from app.errors import CerebroError
from app.services import health
from app.store.db import in_words, reading
from app.vault import notes
from bench import built, postgres
from bench.client import Answer, Client, Gone, free_port
from bench.process import WITHOUT_MODEL, children_of, cpu_below, machine, serve, started

BACK_SECONDS = 5.0  # in which a server is to answer again
REST_SECONDS = 2.0  # of rest after which vault and database are to say the same
PATIENCE = 60.0
PAGES = 12  # that the editor changes in turn
PAPERS = 8  # in one import
EVERY = 8  # starts between two looks at a server at rest


@dataclass
class Acknowledged:
    """What clients were told is stored; only added to."""

    saves: list[tuple[str, int, str]] = field(default_factory=list)  # slug, version, marker
    decisions: list[int] = field(default_factory=list)
    undone: list[int] = field(default_factory=list)
    imports: list[tuple[str, ...]] = field(default_factory=list)
    begun: list[tuple[str, ...]] = field(default_factory=list)  # imports, answered or not
    files: list[str] = field(default_factory=list)  # markers of lines in the vault
    answers: Counter[str] = field(default_factory=Counter)

    def total(self) -> int:
        each: tuple[Sized, ...] = (
            *(self.saves, self.decisions, self.undone),
            *(self.imports, self.files),
        )
        return sum(map(len, each))

    def in_words(self) -> str:
        return (
            f"{len(self.saves)} edits, {len(self.decisions)} decisions, {len(self.undone)} undone, "
            f"{len(self.imports)} imports, {len(self.files)} files"
        )


@dataclass
class Found:
    """What was measured; `lost` and `torn` say in words what and after which kill."""

    kills: Counter[str] = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)
    torn: list[str] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)
    back: list[float] = field(default_factory=list)  # seconds
    cpu: list[float] = field(default_factory=list)  # CPU seconds of the same starts
    rest: list[float] = field(default_factory=list)  # seconds until vault and database agree
    apart: list[str] = field(default_factory=list)  # what did not agree when it should
    acknowledged: Acknowledged = field(default_factory=Acknowledged)

    def lines(self) -> Iterator[str]:
        """What was found, for reading."""
        did = ", ".join(f"{number} {what}" for what, number in sorted(self.kills.items()))
        yield f"{self.kills.total()} kills: {did}"
        yield f"{self.acknowledged.total()} writes acknowledged: {self.acknowledged.in_words()}"
        yield f"answers: {dict(sorted(self.acknowledged.answers.items()))}"
        for words, problems in (
            ("acknowledged and lost", self.lost),
            ("there in part", self.torn),
            ("damaged, or found by the doctor", self.damaged),
        ):
            yield f"{words}: {len(problems)}"
            yield from (f"    {each}" for each in problems[:10])
        yield f"seconds until it answers again: {_spread(self.back)}, at most {BACK_SECONDS:.0f}"
        yield f"CPU seconds of that: {_spread(self.cpu)}"
        yield f"seconds of rest until the vault says the same: {_spread(self.rest)}"
        yield f"looks at rest that found the two apart: {len(self.apart)}"
        yield from (f"    {each}" for each in self.apart[:10])


def _spread(values: Sequence[float]) -> str:
    if not values:
        return "not measured"
    cut = statistics.quantiles(values, n=100) if len(values) > 1 else [values[0]] * 99
    return f"median {cut[49]:.2f}, p90 {cut[89]:.2f}, most {max(values):.2f} ({len(values)} times)"


def main(arguments: Sequence[str] = ()) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench kills")
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument(
        "--seconds", type=float, default=1_500, help="after which no more are begun"
    )
    parser.add_argument("--pages", type=int, default=400)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--database", choices=["sqlite", "postgresql"], default="sqlite")
    asked = parser.parse_args(arguments)
    if asked.database == "postgresql" and not postgres.available():
        print("PostgreSQL is not installed; nothing was measured.")
        return
    print(machine())
    with built.opened(asked.pages, asked.database) as wiki:
        found = measure(wiki, kills=asked.kills, seconds=asked.seconds, seed=asked.seed)
    for line in found.lines():
        print(line)
    if found.lost or found.torn or found.damaged:
        sys.exit(1)


def measure(
    wiki: built.Wiki,
    *,
    kills: int,
    seconds: float,
    seed: int = 1,
    say: Callable[[str], None] = lambda line: print(line, file=sys.stderr, flush=True),
) -> Found:
    """Kill so many times, or until so many seconds have passed; the wiki is written to."""
    run = _Run(wiki, random.Random(seed))
    until = time.monotonic() + seconds
    threads = [threading.Thread(target=run.write, args=(step, n)) for n, step in run.writers()]
    for thread in threads:
        thread.start()
    try:
        while run.found.kills.total() < kills and time.monotonic() < until:
            run.once(last=False)
            if run.found.kills.total() % 20 == 0:
                say(f"{run.found.kills.total()} kills, {run.acknowledged.total()} writes")
        run.once(last=True)
    finally:
        run.over.set()
        run.kill()
        for thread in threads:
            thread.join()
    return run.found


class _Run:
    def __init__(self, wiki: built.Wiki, chance: random.Random) -> None:
        self.wiki = wiki
        self.chance = chance
        self.found = Found()
        self.acknowledged = self.found.acknowledged
        self.over = threading.Event()
        self.up = threading.Event()  # writers may ask
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None
        self.starts = 0
        self._asking = 0
        self._lock = threading.Lock()
        self._looked = Acknowledged()
        self._start_seconds = 4.0

    # ------------------------------------------------------------ the server

    def once(self, *, last: bool) -> None:
        """Start the server, kill it at a random moment, and look at what lies there.

        The last time it is let be, and looked at when it is at rest.
        """
        self._start()
        if not last and self.chance.random() < 0.2:
            time.sleep(self.chance.random() * self._start_seconds)
            self._end("while it starts")
            return
        self._wait()
        self.up.set()
        if last or self.starts % EVERY == 0:
            time.sleep(1.0)
            self._rest()
        if last:
            self._end("at the end")
            return
        self.up.set()
        time.sleep(0.1 + 1.5 * self.chance.random())
        if self.chance.random() < 0.15 and (worker := self._worker()):
            with suppress(ProcessLookupError):
                os.kill(worker, signal.SIGKILL)
                self.found.kills["of the worker alone"] += 1
            time.sleep(self.chance.random())
        self._end("at work")

    def _start(self) -> None:
        self.starts += 1
        settings = {**self.wiki.settings, **WITHOUT_MODEL}
        with (self.wiki.data / "serve.log").open("ab") as log:
            self.process = started(serve(self.port), self.wiki.data, settings, log, apart=True)

    def _wait(self) -> None:
        """Until it answers; how long that took, and the CPU seconds."""
        assert self.process is not None
        begun, client = time.monotonic(), Client(self.port, seconds=PATIENCE)
        while time.monotonic() - begun < PATIENCE:
            if self.process.poll() is not None:
                log = (self.wiki.data / "serve.log").read_text(errors="replace")
                raise AssertionError(f"the server ended by itself: {log[-2000:]}")
            with suppress(Gone):
                if client.get("/healthz").ok:
                    break
            time.sleep(0.02)
        self.found.back.append(time.monotonic() - begun)
        self.found.cpu.append(cpu_below(self.process.pid))
        self._start_seconds = statistics.median(self.found.back)

    def _worker(self) -> int | None:
        assert self.process is not None
        return next(iter(children_of(self.process.pid)), None)

    def kill(self) -> None:
        """End the server and all below it, as a power cut would end them."""
        if self.process is not None and self.process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def _end(self, when: str) -> None:
        self.kill()
        self.up.clear()
        last = when == "at the end"
        if not last:
            self.found.kills[when] += 1
        self._still()
        self._look(f"kill {self.found.kills.total()}, {when}", last=last)

    def _still(self) -> None:
        """Until no writer is at a request."""
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            with self._lock:
                if not self._asking:
                    return
            time.sleep(0.01)
        raise AssertionError("a writer waits for an answer that does not come")

    def _rest(self) -> None:
        """Let the writers rest; how long it takes until vault and database say the same."""
        self.up.clear()
        self._still()
        begun = time.monotonic()
        differ: list[str] = []
        while time.monotonic() - begun < PATIENCE:
            differ = list(apart(self.wiki))
            if not differ:
                self.found.rest.append(time.monotonic() - begun)
                return
            time.sleep(0.05)
        self.found.apart += [f"start {self.starts}: {each}" for each in differ[:3]]

    # ------------------------------------------------------------ the writers

    def writers(self) -> Iterator[tuple[int, Callable[[Client, random.Random, int], None]]]:
        yield from enumerate((self._edit, self._decide, self._import, self._file))

    def write(self, step: Callable[[Client, random.Random, int], None], number: int) -> None:
        client, chance, turn = Client(self.port), random.Random(number), 0
        while not self.over.is_set():
            if not self.up.wait(0.1):
                continue
            with self._lock:
                self._asking += 1
            turn += 1
            try:
                step(client, chance, turn)
            except Gone:
                self.acknowledged.answers["no answer"] += 1
            finally:
                with self._lock:
                    self._asking -= 1
            time.sleep(0.01)

    def _count(self, answer: Answer) -> bool:
        self.acknowledged.answers[str(answer.status)] += 1
        return answer.ok

    def _edit(self, client: Client, chance: random.Random, turn: int) -> None:
        slug, marker = f"killed-{turn % PAGES}", f"edit-{turn}-of-many"
        near = chance.randrange(PAGES)
        body = f"{marker}\n\nIt is near [[killed-{near}]] and [[nowhere {turn % 50}]].\n" * 5
        # Over whatever stands there: a file of the vault may have changed it meanwhile.
        answer = client.put_page(slug, {"title": f"Killed {turn % PAGES}", "body": body})
        if self._count(answer):
            self.acknowledged.saves.append((slug, answer.json()["version"], marker))

    def _decide(self, client: Client, chance: random.Random, turn: int) -> None:
        made, undone = self.acknowledged.decisions, set(self.acknowledged.undone)
        if turn % 3 == 0 and (standing := [each for each in made if each not in undone]):
            which = chance.choice(standing)
            if self._count(client.post(f"/api/v1/decisions/{which}/undo", {})):
                self.acknowledged.undone.append(which)
            return
        listed = client.get("/api/v1/review?limit=20&kind=link")
        if not listed.ok or not (rows := listed.json()["proposals"]):
            self._count(listed)
            return
        word = chance.choice(("accept", "accept", "reject"))
        number = chance.choice(rows)["id"]
        answer = client.post(f"/api/v1/review/{number}", {"decision": word})
        if self._count(answer):
            made.append(answer.json()["decision"])

    def _import(self, client: Client, chance: random.Random, turn: int) -> None:
        ids = tuple(f"2609.{turn % 10_000:04d}{n}" for n in range(PAPERS))
        text = "\n".join(
            json.dumps(
                {
                    "type": "paper",
                    "id": f"arxiv:{own}",
                    "title": f"Case {own} of many",
                    "abstract": f"What is said of case {own} is short. " * 5,
                }
            )
            for own in ids
        )
        self.acknowledged.begun.append(ids)
        if self._count(client.import_text(text)):
            self.acknowledged.imports.append(ids)
        time.sleep(0.2)

    def _file(self, client: Client, chance: random.Random, turn: int) -> None:
        """Put a line to the end of a file, as an editor does: beside it, synced, then in its place."""
        folder = self.wiki.data / "vault"
        files = [path for path in folder.rglob("*.md") if ".cerebro" not in path.parts]
        if files:
            path, marker = chance.choice(sorted(files)), f"file-{turn}-of-many"
            with suppress(FileNotFoundError):
                text = path.read_bytes()
                beside = path.with_name(f".{path.name}.bench.tmp")
                with beside.open("wb") as written:
                    written.write(text + f"\n{marker}\n".encode())
                    written.flush()
                    os.fsync(written.fileno())
                os.replace(beside, path)
                self.acknowledged.files.append(marker)
        time.sleep(0.5)

    # ------------------------------------------------------------ looking

    def _look(self, when: str, *, last: bool) -> None:
        """What of the newly acknowledged is not there, and whether all is whole."""
        now, before = self.acknowledged, self._looked
        new = Acknowledged(
            saves=now.saves[len(before.saves) :],
            decisions=now.decisions[len(before.decisions) :],
            undone=now.undone[len(before.undone) :],
            imports=now.imports[len(before.imports) :],
            begun=now.begun[len(before.begun) :],
        )
        with reading(self.wiki.engine) as session, in_words(self.wiki.engine):
            whole = health.check(session, raw_folder=self.wiki.data / "raw")
            self.found.damaged += [f"{when}: {each.says}" for each in whole if not each.ok]
            ask = session.connection().execute
            for words, problems in ((self.found.lost, lost), (self.found.torn, torn)):
                words += [f"{when}: {each}" for each in problems(ask, now if last else new)]
        if last:
            kept = b"\n".join(_texts(self.wiki))
            self.found.lost += [
                f"the line {marker} of a file"
                for marker in now.files
                if f"{marker}\n".encode() not in kept
            ]
        # As many as were there a moment ago: no writer is at a request now.
        self._looked = Acknowledged(
            list(now.saves),
            list(now.decisions),
            list(now.undone),
            list(now.imports),
            list(now.begun),
        )


# ---------------------------------------------------------------- what is looked for


def lost(ask: Callable[..., Any], told: Acknowledged) -> Iterator[str]:
    """Acknowledged writes that are not in the database."""
    for slug, version, marker in told.saves:
        body = ask(_SAVED, {"slug": slug, "number": version}).scalar()
        if body is None or marker not in body:
            yield f"the edit {marker} of {slug}, version {version}"
    for number in told.decisions:
        if ask(_DECIDED, {"id": number}).first() is None:
            yield f"decision {number}"
    for number in told.undone:
        if not ask(_DECIDED, {"id": number}).scalar():
            yield f"that decision {number} is undone"
    for ids in told.imports:
        for own in ids:
            if ask(_IMPORTED, {"value": own}).first() is None:
                yield f"the imported paper {own}"


def torn(ask: Callable[..., Any], told: Acknowledged) -> Iterator[str]:
    """Writes of which a part is there."""
    for row in ask(_HALF_PAGES):
        yield f"page {row.slug} at version {row.version}: {row.revisions} revisions, {row.texts} texts"
    for row in ask(_HALF_DECISIONS):
        yield f"link {row.id} is {row.status}, and its last decision says {row.verdict}"
    for ids in told.begun:
        there = sum(ask(_IMPORTED, {"value": own}).first() is not None for own in ids)
        if there not in (0, len(ids)):
            yield f"{there} of {len(ids)} papers of one import"


_SAVED = sa.text(
    """SELECT revision.body FROM revision JOIN page ON page.id = revision.page_id
    WHERE page.slug = :slug AND revision.number = :number"""
)
_DECIDED = sa.text("SELECT undone FROM decision WHERE id = :id")
_IMPORTED = sa.text(
    """SELECT paper.id FROM paper JOIN identifier ON identifier.paper_id = paper.id
    WHERE identifier.scheme = 'arxiv' AND identifier.value = :value"""
)
_HALF_PAGES = sa.text(
    """SELECT * FROM (SELECT slug, version, kind,
        (SELECT COUNT(*) FROM revision WHERE revision.page_id = page.id
            AND (number < version OR body = page.body)) AS revisions,
        (SELECT COUNT(*) FROM page_text WHERE page_text.page_id = page.id) AS texts FROM page
    ) AS counted WHERE kind NOT IN ('merged', 'removed') AND (revisions <> version OR texts <> 1)"""
)
_HALF_DECISIONS = sa.text(
    """SELECT link.id, link.status, decision.verdict FROM link
    JOIN decision ON decision.id = (SELECT MAX(id) FROM decision AS last WHERE last.link_id = link.id
        AND NOT last.undone AND last.undoes_id IS NULL AND last.verdict IN ('accept', 'reject'))
    WHERE (decision.verdict = 'accept') <> (link.status = 'accepted') AND link.origin = 'linker'"""
)


def apart(wiki: built.Wiki) -> Iterator[str]:
    """Pages whose file does not say what they say, and files of no page; nothing when all agree."""
    folder = wiki.data / "vault"
    with reading(wiki.engine) as session:
        rows = session.connection().execute(_MIRRORED).all()
        waiting = session.connection().execute(_WAITING).scalar()
    if waiting:
        yield f"{waiting} pages wait for their files"
    known = set()
    for slug, kind, title, body, version, path, mirrored in rows:
        if kind in GONE:
            continue
        if path is None or mirrored != version:
            yield f"{slug} is at version {version}, its file {path} at {mirrored}"
            continue
        known.add(path)
        try:
            note = notes.parse((folder / path).read_bytes()).note
        except (OSError, CerebroError) as error:
            yield f"{path}: {error}"
            continue
        if note.body.replace("\r\n", "\n") != body or note.title not in ("", title):
            yield f"{path} says something else than {slug}"
    for file in folder.rglob("*.md"):
        inside = file.relative_to(folder)
        if inside.parts[0] != ".cerebro" and inside.as_posix() not in known:
            yield f"{inside} is the file of no page"


_MIRRORED = sa.text(
    """SELECT page.slug, page.kind, page.title, page.body, page.version, mirror.path, mirror.version
    FROM page LEFT JOIN mirror ON mirror.page_id = page.id"""
)
_WAITING = sa.text("SELECT COUNT(*) FROM unmirrored")


def _texts(wiki: built.Wiki) -> Iterator[bytes]:
    """Every text there is: of each revision, of conflicts, and of each file of the vault."""
    with reading(wiki.engine) as session:
        for statement in (_REVISIONS, _CONFLICTS):
            for text in session.connection().execute(statement).scalars():
                yield text.encode()
    for path in (wiki.data / "vault").rglob("*"):
        if path.is_file():
            yield path.read_bytes()


_REVISIONS = sa.text("SELECT body FROM revision")
_CONFLICTS = sa.text("SELECT text FROM vault_conflict")


if __name__ == "__main__":
    main(sys.argv[1:])
