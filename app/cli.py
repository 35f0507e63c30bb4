"""The command line: the verbs of the services for a terminal and for other programs.

Exit codes: 0 done; 1 could not, with one line that says what and what to do; 2 wrong usage; 3 done
in part. With --json standard output holds JSON alone; progress goes to standard error. Imports are
inside the commands on purpose: `cerebro --help` must not pay for a database.
"""

from __future__ import annotations

import gc
import io
import json
import logging
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Protocol, TextIO

import typer

from app.errors import CerebroError, Invalid, NotFound, Unavailable
from app.sources.formats import NAMES as FORMAT_NAMES
from app.sources.formats import in_words

if TYPE_CHECKING:
    from app.bootstrap import App
    from app.fetching import Preview
    from app.store.sources import Row

cli = typer.Typer(
    name="cerebro",
    help="A research wiki that reads with memory.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
Json = Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")]


def main() -> None:
    """The entry point: every refusal becomes one line on standard error, exit code 1 or 2."""
    # Many threads make a product with one vector slower, not faster; torch counts its own.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    # Nothing that an import makes is garbage: looking for it took a tenth of every start.
    gc.set_threshold(50_000)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal that cannot show a sign shows "?"
            stream.reconfigure(errors="replace")
    if sys.stdout.isatty():
        sys.stdout = _Terminal(sys.stdout)
    try:
        cli()
    except CerebroError as error:
        _say(f"cerebro: {' '.join(str(error).split())}")
        raise SystemExit(2 if isinstance(error, Invalid) else 1) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None


def _open() -> App:
    from app.bootstrap import build
    from app.settings import load

    _log()
    return build(load())


def _log() -> None:
    from app.settings import load

    logging.basicConfig(
        level=load().log.upper(),
        format="%(asctime)s %(levelname)s %(name)s %(message)s",
        stream=sys.stderr,
    )


def _say(words: str) -> None:
    print(_harmless(words), file=sys.stderr)


# Fetched titles and texts may hold what a terminal would take as an order.
_ORDERS = {
    code: "\N{REPLACEMENT CHARACTER}"
    for code in (*range(32), *range(127, 160))
    if chr(code) not in "\t\n"
}


def _harmless(words: str) -> str:
    return words.translate(_ORDERS)


class _Terminal:
    """Standard output where it is a terminal: no text that is printed can act on it."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, words: str) -> int:
        self._stream.write(_harmless(words))
        return len(words)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _out(value: object) -> None:
    print(json.dumps(value, ensure_ascii=False, default=str))


class _At(Protocol):
    """Says how far the work is: now at so many, of so many where that is known, at what."""

    def __call__(self, at: int, total: int | None = None, words: str | None = None) -> None: ...


@contextmanager
def _bar(words: str, total: int | None) -> Iterator[_At]:
    """A progress bar on standard error, on a terminal alone."""
    if not sys.stderr.isatty():
        yield lambda at, total=None, words=None: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(words, total=total)
        yield lambda at, total=None, words=None: progress.update(
            task, completed=at, total=total, description=words
        )


# ---------------------------------------------------------------- running


@cli.command()
def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.", min=1, max=65535)] = 8000,
    no_worker: Annotated[bool, typer.Option("--no-worker", help="Start no worker.")] = False,
    no_starter: Annotated[
        bool, typer.Option("--no-starter", help="Leave an empty wiki empty.")
    ] = False,
    no_password: Annotated[
        bool,
        typer.Option("--no-password", help="Listen beyond this machine without a password."),
    ] = False,
) -> None:
    """Serve the wiki, with one worker beside it."""
    from app.serving import serve as run

    _log()
    run(
        host=host,
        port=port,
        with_worker=not no_worker,
        with_starter=not no_starter,
        no_password=no_password,
    )


@cli.command()
def worker(
    once: Annotated[bool, typer.Option("--once", help="Stop when nothing is pending.")] = False,
) -> None:
    """Run pending work: encode texts, link papers."""
    import signal

    from app.worker import Worker

    app = _open()
    with _bar("working", None) as at:
        parent = os.environ.get("CEREBRO_PARENT", "")
        runner = Worker(
            app,
            progress=lambda step, done, total: at(done, total, step),
            parent=int(parent) if parent.isdigit() else None,
        )
        signal.signal(signal.SIGTERM, lambda *_: runner.stopping.set())
        signal.signal(signal.SIGINT, lambda *_: runner.stopping.set())
        if once:
            done = runner.once("command")
            _say(f"Done: {done} rows." if done else "Nothing was pending.")
        else:
            runner.forever()


@cli.command()
def migrate(
    source: Annotated[
        str, typer.Option("--from", help="Copy a whole wiki: the database it is in.")
    ] = "",
    target: Annotated[
        str, typer.Option("--to", help="The empty database to copy it to, with --from.")
    ] = "",
    as_json: Json = False,
) -> None:
    """Bring the database up to date; with --from and --to copy a wiki to another database.

    Adds no pages. A copy is compared by count and hash, table by table, before it counts.
    """
    from app.settings import load
    from app.store import schema
    from app.store.db import open_engine

    if bool(source) != bool(target):
        raise Invalid("A copy needs both --from and --to.")
    if not source:
        from app.bootstrap import bring_up_to_date, place_of
        from app.services import backup as backups

        _log()
        settings = load()
        engine = open_engine(settings.url)
        if said := backups.finish(place_of(settings, engine)):
            _say(said)
        done = bring_up_to_date(settings, engine)
        _say("The schema is up to date now." if done else "The schema was up to date.")
        return
    from app.store.transfer import copy

    origin, other = open_engine(source, named="--from"), open_engine(target, named="--to")
    if origin.url == other.url:
        raise Invalid("--from and --to name the same database.")
    if not schema.holds_a_wiki(origin):
        raise NotFound("There is no wiki in the database that --from names: look at the address.")
    for engine in (origin, other):
        schema.upgrade(engine)
    with _bar("copying", None) as at:
        copied = copy(origin, other, progress=lambda rows: at(rows))
    for table in copied:
        if as_json:
            _out({"table": table.table, "rows": table.rows, "hash": table.hash})
        elif table.rows:
            print(f"{table.rows:>9}  {table.table}  {table.hash[:12]}")
    _say(
        "Copied, and the same on both sides. Set CEREBRO_DATABASE_URL to the new database and "
        "keep the data folder: raw bytes and the vault are files in it."
    )


@cli.command()
def backup(
    file: Annotated[
        Path,
        typer.Argument(help="The file to write, or a folder: then it is named after the time."),
    ],
    force: Annotated[
        bool, typer.Option("--force", help="Replace the file if it is there already.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Write the whole wiki into one file, while it is used: database, raw bytes and vault.

    Settings and passwords are not in it. Files that cannot be read are named, exit code 3.
    """
    from app.services import backup as backups

    app = _open()
    with _bar("backup", None) as at:
        made = backups.backup(
            app.place,
            file,
            now=app.clock(),
            force=force,
            progress=lambda words: at(0, None, words),
        )
    if as_json:
        _out(made.as_json())
    else:
        print(
            f"{made.path}: {made.size / 1e6:,.1f} MB in {made.seconds:.1f} s, with {made.in_words()}."
        )
    _say_left_out(made.left_out, made.links)
    if made.left_out:
        raise typer.Exit(3)


def _say_left_out(left_out: Sequence[tuple[str, str]], links: Sequence[str]) -> None:
    for path, why in left_out:
        _say(f"{path}: {why}")
    if links:
        _say(f"Links to other files are not followed, nor kept: {', '.join(links[:_SHOWN])}")


@cli.command()
def restore(
    file: Annotated[Path, typer.Argument(help="A backup that `cerebro backup` wrote.")],
    as_json: Json = False,
) -> None:
    """Put a backup into an empty place: the database, data folder and vault that the settings name.

    Everything is compared with its hash before anything is put in place; nothing is written over.
    """
    from app.bootstrap import build, place_of
    from app.services import backup as backups
    from app.settings import load
    from app.store.db import open_engine

    _log()
    settings = load()
    engine = open_engine(settings.url)
    with _bar("restore", None) as at:
        restored = backups.restore(
            place_of(settings, engine), file, progress=lambda words: at(0, None, words)
        )
    engine.dispose()
    app = build(settings)
    with _bar("vault", None):
        trouble = _in_step(app)
    if as_json:
        _out(restored.as_json())
    else:
        print(
            f"Restored from {file.name}, made {restored.made_at[:16].replace('T', ' ')}: "
            f"{restored.in_words()}."
        )
    if restored.left_out:
        _say("What could not be read when the backup was made is missing here too:")
    _say_left_out(restored.left_out, restored.links)
    if trouble:
        _say(trouble)


def _in_step(app: App) -> str:
    """Write what the vault does not show yet; what kept it from that, in a sentence, or ''."""
    from app.store import runs
    from app.syncing import once

    try:
        with runs.at_work(app.engine) as owner:
            once(app, owner)
    except CerebroError as error:
        return str(error)
    return ""


@cli.command()
def assets() -> None:
    """Install the fonts and scripts that the browser needs (npm, by lock file)."""
    from app.web.assets import install

    for line in install():
        _say(line)


@cli.command()
def doctor(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be mended, and change nothing.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Look at everything that is stored, mend what is derived, and say in words what was done.

    Exit code 1 when something is left that only a backup or a person can put right.
    """
    from app.services.backup import kept as kept_backups
    from app.services.doctor import Finding, Patient, examine
    from app.store.db import reading

    app = _open()
    with _bar("doctor", None) as at:
        findings = examine(
            Patient(app.engine, app.settings.data, app.raw_folder, app.vault_folder),
            now=app.clock(),
            dry_run=dry_run,
            progress=lambda words: at(0, None, words),
        )
        if not dry_run and all(each.ok for each in findings):
            at(0, None, "vault")
            trouble = _in_step(app)
            said = trouble or "the vault and the wiki are in step"
            findings.append(Finding("sync", not trouble, said))
        with reading(app.engine) as session:
            kept = kept_backups(session, app.settings.data)
        findings.append(Finding("backups", not (kept.on and kept.trouble), kept.says))
    if as_json:
        _out(
            [
                {
                    "check": each.check,
                    "ok": each.ok,
                    "says": each.says,
                    "wrong": each.wrong,
                    "mended": each.mended,
                }
                for each in findings
            ]
        )
    else:
        for each in findings:
            mark = "mended" if each.mended else "ok" if each.ok else "FAIL"
            print(f"{mark:<6}  {each.check}: {each.says}")
    if not all(each.ok for each in findings):
        raise typer.Exit(1)


@cli.command()
def sync(
    as_json: Json = False,
    deletions: Annotated[
        bool,
        typer.Option(
            "--deletions", help="Many files are gone on purpose: take their pages out of the wiki."
        ),
    ] = False,
    anew: Annotated[
        bool,
        typer.Option(
            "--anew", help="Take the folder as it is, and write every file that is not there."
        ),
    ] = False,
) -> None:
    """Bring the vault and the wiki into step: what was edited in files, and what in the wiki.

    Exit code 3 when something is left: a conflict, a file that could not be taken up or written.
    """
    from app.store import mirror, runs
    from app.store.db import reading
    from app.syncing import once

    app = _open()
    with runs.at_work(app.engine) as owner:
        report = once(app, owner, deletions=deletions, anew=anew)
    with reading(app.engine) as session:
        problems = {row.path: row.reason for row in mirror.problems(session)}
        conflicts = [slug for _, slug, _ in mirror.conflicts(session)]
    if as_json:
        _out({"vault": app.vault_folder, **report.as_json(problems), "conflicts": conflicts})
    else:
        for words, paths in report.lines(but="conflicts"):
            for path in paths:
                called = report.renamed.get(path) if words == "moved" else None
                print(f"{words:>18}  {path}" + (f" (now called {called})" if called else ""))
        for path, reason in sorted(problems.items()):
            print(f"{'refused':>18}  {path or app.vault_folder}: {reason}")
        for slug in conflicts:
            print(f"{'in conflict':>18}  /w/{slug}/conflict")
        left = {"not taken up": len(problems), "in conflict": len(conflicts)}
        left["still waiting"] = report.waiting
        said = [
            report.words_but("conflicts"),
            *(f"{number:,} {what}" for what, number in left.items() if number),
        ]
        _say(f"{', '.join(filter(None, said)) or 'In step'}.")
    if problems or conflicts or report.waiting:
        raise typer.Exit(3)


@cli.command()
def rebuild(
    source: Annotated[
        Path | None,
        typer.Option("--from", help="A vault to restore a wiki from, into an empty one."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Make anew what is derived: texts that are searched, red links, numbers, the Inbox's order.

    With --from, restore a whole wiki into an empty database from the files of a vault alone: pages,
    links and decisions. The vault is only read. Files that did not come are named, exit code 3.
    """
    from app.services import rebuild as rebuilding
    from app.store.db import writing
    from app.vault.folder import Vault

    app = _open()
    with _bar("rebuild", None) as at:
        if source is None:
            with writing(app.engine) as session:
                made = rebuilding.anew(session, progress=at)
            _out(made.as_json()) if as_json else print(made.in_words())
            return
        vault = Vault(source)
        with writing(app.engine) as session:
            done = rebuilding.from_vault(session, vault, now=app.clock(), progress=at)
    if as_json:
        _out(done.as_json())
    else:
        print(f"Restored from {vault.root}: {done.in_words()}.")
        for path, reason in sorted(done.problems.items()):
            _say(f"{path}: {reason}")
    if done.problems:
        raise typer.Exit(3)


@cli.command("health")
def health_(
    as_json: Json = False,
    links: Annotated[
        bool,
        typer.Option(
            "--links", help="Write the links that Obsidian does not follow by the names of files."
        ),
    ] = False,
) -> None:
    """Compare what the texts say with what the wiki counts, and list what wants a hand."""
    from app.services import wording
    from app.services.health import as_json as told
    from app.services.health import lint
    from app.store import mirror
    from app.store.db import reading, writing

    app = _open()
    if links:
        with writing(app.engine) as session:
            done = wording.word(session, now=app.clock())
        if as_json:
            _out(done.as_json())
            return
        print(done.in_words)
        if done.act:
            print(f"Undo it with `cerebro undo --act {done.act}`.")
        return
    with reading(app.engine) as session:
        checks = lint(session, app.zone)
        conflicts = mirror.conflicts(session)
    if as_json:
        _out(told(checks))
        return
    if conflicts:
        print(f"Pages whose file says something else: {len(conflicts):,}")
    for _, slug, title in conflicts:
        print(f"    {title}: put both together at /w/{slug}/conflict")
    for check in checks:
        print(f"{check.title}: {check.total:,}")
        for doubt in check.doubts[:_SHOWN]:
            says = f"“{doubt.says}”; " if doubt.says else ""
            print(f"    {doubt.title}: {says}{doubt.found}")
            if doubt.live:
                print(f"        write {doubt.live}")
        if check.total > _SHOWN:
            print(f"    and {check.total - _SHOWN:,} more: --json, or the Health screen")


_SHOWN = 10  # of each check, without --json


# ---------------------------------------------------------------- import


@cli.command("import")
def import_(
    paths: Annotated[list[str], typer.Argument(help="Files, folders or web addresses.")],
    format: Annotated[
        str | None,
        typer.Option(
            "--format",
            help=f"The format, where the content does not tell. One of: {in_words(FORMAT_NAMES)}.",
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would change, and change nothing.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Read files by their content, and web addresses: papers, articles, mail, PDF, lists, notes.

    A zip archive is read like a folder. What `export` wrote is read back whole into an empty wiki.
    """
    from app.importing import import_paths

    app = _open()
    with _bar("reading", None) as at:
        result = import_paths(app, paths, format=format, dry_run=dry_run, progress=at)
    if as_json:
        _out(result.as_json())
    else:
        for line in result.in_words():
            print(line)
    for where, reason in result.refused:
        _say(f"{where}: {reason}")
    if result.failed:
        raise typer.Exit(1)
    if result.refused:
        raise typer.Exit(3)


@cli.command()
def export(
    format: Annotated[
        str,
        typer.Option(
            "--format",
            help="jsonl: everything, to be read back. bibtex, csl, ris: kept papers. "
            "graphml: pages and accepted links, for Gephi. Into a folder: markdown, every page as a "
            "file, and site, every page as HTML.",
        ),
    ] = "jsonl",
    query: Annotated[
        str, typer.Option(help="Only papers that this search finds: kind, tag, year, words.")
    ] = "",
    file: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            help="The file, standard output when left out; of markdown and site an empty folder.",
        ),
    ] = None,
) -> None:
    """Write the whole wiki, its papers as a bibliography, or its graph with each page's PageRank."""
    from app.exporting import FOLDERS, into_folder
    from app.services.export import FORMATS, bibliography
    from app.services.graph import graphml
    from app.services.interchange import whole
    from app.store.db import reading

    formats = ("jsonl", *FORMATS, "graphml", *FOLDERS)
    if format not in formats:
        raise Invalid(f"There is no format {format!r} to export. Use one of: {', '.join(formats)}.")
    if format not in FORMATS and query:
        raise Invalid(f"{format} is exported whole. Leave --query out.")
    if format in FOLDERS and file is None:
        raise Invalid(f"{format} is many files. Name a folder for them with -o.")
    app = _open()
    if format in FOLDERS and file is not None:
        with _bar("writing", None) as at:
            into_folder(app.engine, format, file, zone=app.zone, progress=at)
        return
    if format == "jsonl":
        with (
            _bar("writing", None) as at,
            _written(file) as write,
            reading(app.engine) as session,
        ):
            for number, line in enumerate(whole(session), start=1):
                write(line.encode())
                at(number)
        return
    if format != "graphml":
        with _written(file) as write:
            for piece in bibliography(lambda: reading(app.engine), format, query):
                write(piece.encode("utf-8", "replace"))
        return
    with _written(file) as write, reading(app.engine) as session:
        for piece in graphml(session, app.graph):
            write(piece.encode())


@contextmanager
def _written(file: Path | None) -> Iterator[Callable[[bytes], object]]:
    """Standard output, or a file that is there whole or not at all; yields what writes to it."""
    if file is None:
        yield sys.stdout.buffer.write
        return
    if file.is_dir():
        raise Unavailable(f"{file} cannot be written: it is a folder. Name a file in it.")
    file = file.resolve()  # a link goes on leading there
    part = file.with_name(f"{file.name}.part")
    try:
        if file.exists() and not file.is_file():  # a pipe or a device, such as /dev/null
            with file.open("wb") as stream:
                yield stream.write
            return
        with part.open("wb") as stream:
            yield stream.write
        part.replace(file)
    except OSError as error:
        raise Unavailable(f"{file} cannot be written: {error.strerror}.") from error
    finally:
        part.unlink(missing_ok=True)


# ---------------------------------------------------------------- sources

sources_cli = typer.Typer(
    help="List the sources that are fetched; add, change, pause or remove one.",
    invoke_without_command=True,
    rich_markup_mode=None,
)
cli.add_typer(sources_cli, name="sources")

Named = Annotated[str, typer.Argument(help="Its number, name, key or address.")]
Options = Annotated[
    list[str] | None,
    typer.Option("--option", help="key=value, for its connector; may be given several times."),
]
Every = Annotated[str, typer.Option(help="How often it is fetched: 90m, 6h, 2d.")]


@sources_cli.callback()
def sources(context: typer.Context, as_json: Json = False) -> None:
    """List the sources that are fetched, how each stands, and when it is fetched next."""
    if context.invoked_subcommand is not None:
        return
    from app.fetching import told
    from app.store import sources as stored
    from app.store.db import reading

    app = _open()
    with reading(app.engine) as session:
        rows = stored.listed(session)
        for row in rows:
            if as_json:
                _out(told(row))
                continue
            counts = row.counts
            print(
                f"{row.id:>4}  {row.state:<8}  {row.source.name[:40]:<40}  "
                f"{counts.items:>7,} items  {counts.papers:>6,} papers  {_next_try(app, row)}"
            )
            if why := row.subscription.stopped or row.subscription.last_error:
                print(f"      {why}")
    if not rows and not as_json:
        print("There are no sources. Add one: cerebro sources add cs.CL, or the address of a feed.")


def _next_try(app: App, row: Row) -> str:
    if row.next_try is None:
        return "not fetched by itself"
    return f"next {row.next_try.astimezone(app.zone):%Y-%m-%d %H:%M}"


@sources_cli.command("add")
def add_source(
    addresses: Annotated[
        list[str], typer.Argument(help="Addresses, or words such as cs.CL or r/MachineLearning.")
    ],
    connector: Annotated[
        str, typer.Option(help="Say outright what fetches it, and ask nobody.")
    ] = "",
    option: Options = None,
    name: Annotated[str, typer.Option(help="What it is called here.")] = "",
    every: Every = "",
    preview: Annotated[
        bool, typer.Option("--preview", help="Say what would come in, and add nothing.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Find the source at an address and subscribe to it; of a list of feeds, to each."""
    from app.errors import Conflict
    from app.fetching import find_all, named, told, with_choices
    from app.fetching import preview as preview_of
    from app.services import subscriptions
    from app.store import sources as stored
    from app.store.db import writing

    minutes = subscriptions.every_in_minutes(every) if every else None
    options = _options(option)
    if name and len(addresses) > 1:
        raise Invalid("Use --name with one address.")
    app = _open()
    there = 0
    failed: list[str] = []
    for address in addresses:
        try:
            if connector:
                found, is_list = [named(app, address, connector=connector)], False
            else:
                found, is_list = find_all(app, address)
        except CerebroError as error:
            if len(addresses) == 1:
                raise
            failed.append(f"{address}: {error}")
            continue
        others = () if is_list else found[1:]
        for each in found if is_list else found[:1]:
            chosen = with_choices(each, options=options, name="" if is_list else name)
            if preview:
                _previewed(preview_of(app, chosen), as_json)
                continue
            try:
                with writing(app.engine) as session:
                    made = subscriptions.add(
                        session,
                        chosen,
                        connectors=app.connectors,
                        every_minutes=minutes,
                        now=app.clock(),
                    )
                    row = stored.of(session, made.id or 0)
            except Conflict as error:
                if len(addresses) == 1 and not is_list:
                    raise
                there += 1
                _say(str(error))
                continue
            if as_json:
                _out(told(row))
            else:
                print(f"{row.id}  {row.source.name}: {chosen.words or row.source.url}")
        for other in others:
            _say(f"Also there: {other.name} ({other.url})")
    if not preview and not as_json and not failed:
        print("The worker fetches what was added; `cerebro fetch` does it now.")
    for why in failed:
        _say(why)
    if failed:
        raise typer.Exit(1 if len(failed) == len(addresses) else 3)


def _options(given: list[str] | None) -> dict[str, str]:
    found = {}
    for each in given or ():
        key, sign, value = each.partition("=")
        if not sign or not key.strip():
            raise Invalid(f"{each[:60]!r} is no option: write key=value.")
        found[key.strip()] = value.strip()
    return found


def _previewed(seen: Preview, as_json: bool) -> None:
    if as_json:
        _out(seen.as_json())
        return
    print(f"{seen.found.name}, fetched by {seen.found.connector} from {seen.found.url}")
    print(seen.words)
    for sample in seen.samples:
        print(f"  {sample.day:<10}  {sample.kind:<8}  {sample.title}")
    for rejected in seen.rejected:
        _say(f"{rejected.where}: {rejected.reason}")


@sources_cli.command("show")
def show_source(source: Named, as_json: Json = False) -> None:
    """Say how a source stands: its last fetches, and what could not be read."""
    from app.fetching import fetch_told, told
    from app.store import sources as stored
    from app.store.db import reading

    app = _open()
    with reading(app.engine) as session:
        row = stored.get(session, source)
        fetches = stored.fetches(session, row.id)
        brought = stored.brought(session, [each.id or 0 for each in fetches])
        refused = [each for one in fetches for each in stored.refusals(session, one.id or 0)][:100]
        if as_json:
            told_fetches = [fetch_told(each, brought.get(each.id or 0)) for each in fetches]
            _out(told(row) | {"fetches": told_fetches})
            return
        its = row.subscription
        print(f"{row.id}  {row.source.name}: {row.state}, {_next_try(app, row)}")
        print(f"  {its.connector} from {row.source.url}, every {its.every_minutes} minutes")
        for key, value in its.options.items():
            print(f"  {key}: {value}")
        if why := its.stopped or its.last_error:
            print(f"  {why}")
        for each in fetches:
            came = brought.get(each.id or 0) or stored.Brought()
            days = f" {each.first_day} to {each.last_day}" if each.first_day else ""
            print(
                f"  {each.asked_at.astimezone(app.zone):%Y-%m-%d %H:%M}  {each.reason.value}{days}: "
                f"{each.state.value}, {came.new} new, {came.changed} changed, {came.rejected} not read"
                + (f". {each.error}" if each.error else "")
            )
        for name, refusal in refused:
            _say(f"{name}, {refusal['where']}: {refusal['reason']}")


@sources_cli.command("edit")
def edit_source(
    source: Named,
    name: Annotated[str | None, typer.Option(help="What it is called here.")] = None,
    every: Every = "",
    option: Options = None,
) -> None:
    """Change a source. With other options it is fetched like one that is new."""
    from app.services import subscriptions
    from app.store import sources as stored
    from app.store.db import writing

    minutes = subscriptions.every_in_minutes(every) if every else None
    given = _options(option)
    app = _open()
    with writing(app.engine) as session:
        row = stored.get(session, source)
        subscriptions.edit(
            session,
            row.id,
            connectors=app.connectors,
            name=name,
            every_minutes=minutes,
            options={**row.subscription.options, **given} if given else None,
            now=app.clock(),
        )
        row = stored.of(session, row.id)
    print(f"{row.id}  {row.source.name}: every {row.subscription.every_minutes} minutes.")


@sources_cli.command("pause")
def pause_source(source: Named) -> None:
    """Fetch a source no more by itself, until it is resumed."""
    from app.services import subscriptions
    from app.store import sources as stored
    from app.store.db import writing

    app = _open()
    with writing(app.engine) as session:
        found = subscriptions.pause(session, stored.get(session, source).id)
    print(f"{found.name} is paused.")


@sources_cli.command("resume")
def resume_source(source: Named) -> None:
    """Fetch a source by itself again, whatever stopped it."""
    from app.services import subscriptions
    from app.store import sources as stored
    from app.store.db import writing

    app = _open()
    with writing(app.engine) as session:
        found = subscriptions.resume(session, stored.get(session, source).id, now=app.clock())
    print(f"{found.name} is fetched again, and is due now.")


@sources_cli.command("remove")
def remove_source(source: Named) -> None:
    """Fetch a source no more. What came in from it stays."""
    from app.services import subscriptions
    from app.store import sources as stored
    from app.store.db import writing

    app = _open()
    with writing(app.engine) as session:
        row = stored.get(session, source)
        print(subscriptions.remove(session, row.id, now=app.clock()))


@sources_cli.command("opml")
def opml_of_sources(
    file: Annotated[
        Path | None, typer.Option("-o", "--output", help="The file; standard output when left out.")
    ] = None,
) -> None:
    """Write the feeds and podcasts among the sources as OPML; `import` reads one."""
    from app.fetching import opml

    app = _open()
    with _written(file) as write:
        write(opml(app))


@cli.command()
def fetch(
    sources: Annotated[
        list[str] | None,
        typer.Argument(help="Numbers, names or addresses; all that are not paused when left out."),
    ] = None,
    first: Annotated[str, typer.Option("--from", help="The first day of a back-fill.")] = "",
    last: Annotated[str, typer.Option("--to", help="Its last day; default the first.")] = "",
    due: Annotated[bool, typer.Option("--due", help="Only those whose time has come.")] = False,
    as_json: Json = False,
) -> None:
    """Fetch sources now and read what comes; with --from and --to what they had on those days."""
    from app.fetching import fetch_now
    from app.store import sources as stored
    from app.store.db import reading

    if (first or last) and (not sources or due):
        raise Invalid("A back-fill is of sources that are named: cerebro fetch SOURCE --from DAY.")
    if sources and due:
        raise Invalid("Use --due, or name sources.")
    if last and not first:
        raise Invalid("Say with --from where the days begin.")
    app = _open()
    now = app.clock()
    with reading(app.engine) as session:
        if sources:
            ids = [stored.get(session, each).id for each in sources]
        else:
            standing = [row for row in stored.listed(session, counts={}) if row.next_try]
            ids = [row.id for row in standing if not due or row.subscription.due_at <= now]
    if not ids:
        if not as_json:
            print("Nothing is due." if due else "There is no source to fetch.")
        return
    with _bar("fetching", None) as at:
        results = fetch_now(
            app,
            ids,
            first=first,
            last=last,
            progress=lambda done, total, words: at(done, total, words[:40]),
        )
    failed = [each for each in results if each.failed]
    for each in results:
        if as_json:
            _out(each.as_json())
        elif not each.failed:
            print(each.words)
        for where, why in each.refusals:
            _say(f"{each.name}, {where}: {why}")
    for each in failed:
        _say(each.words)
    if failed or any(each.refusals for each in results):
        raise typer.Exit(1 if len(failed) == len(results) else 3)


@cli.command()
def digest(
    day: Annotated[str, typer.Option(help="A day; the newest that has one when left out.")] = "",
    month: Annotated[str, typer.Option(help="The overview of a month, such as 2026-05.")] = "",
    html: Annotated[
        Path | None,
        typer.Option(help="Write it as one HTML file that loads nothing; - is standard output."),
    ] = None,
    mail: Annotated[
        bool, typer.Option("--mail", help="Send it by mail now, whether it went out or not.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Print the digest of a day or a month, write it to a file, or send it by mail."""
    from app.domain.records import ActKind
    from app.pipeline import digest_now, mail_now
    from app.reading import rendered
    from app.services.sending import as_file
    from app.store import acts
    from app.store.db import reading

    if day and month:
        raise Invalid("Name a day or a month, not both.")
    to_output = html is not None and str(html) == "-"
    if to_output and as_json:
        raise Invalid("Standard output takes one of --json and --html -.")
    app = _open()
    words = f"`cerebro digest` of {day or month or 'the newest day'}"
    with acts.doing(app.engine, ActKind.WORK, words, clock=app.clock):
        told = digest_now(app, day=day, month=month)
    if html is not None:
        if told.edition is None:
            raise Invalid(
                "A month that is not over has no page yet. It is read at /digest/" + month
            )
        with reading(app.engine) as session:
            page = as_file(
                told.edition, rendered(session, told.edition.body, app.zone).html, base=app.home
            )
        with _written(None if to_output else html) as write:
            write(page)
    if mail:
        _say(mail_now(app, told.day))
    if as_json:
        _out(told.document.as_json())
    elif html is None and not mail:
        print(told.body, end="")


# ---------------------------------------------------------------- the linker and review


@cli.command()
def link(
    paper: Annotated[
        str | None, typer.Option(help="One paper, by arxiv:…, doi:… or its page.")
    ] = None,
    candidates: Annotated[
        int, typer.Option(help="With --json: how many candidates of each relation.", min=1, max=100)
    ] = 10,
    as_json: Json = False,
) -> None:
    """Propose links for kept papers that have no accepted `about` link, or for one paper."""
    from app.domain.records import ActKind
    from app.pipeline import link_now
    from app.store import acts

    app = _open()
    if app.encoder is None:
        _say("There is no sentence encoder: linking by words and graph alone.")
    words = f"`cerebro link` {f'of {paper}' if paper else 'of all that has no link'}"
    with acts.doing(app.engine, ActKind.WORK, words, clock=app.clock):
        rows, proposed = link_now(app, paper=paper or "", limit=candidates)
    if as_json:
        for row in rows:
            _out(row)
    else:
        print(f"{proposed} links proposed. Decide them at /review or with `cerebro review`.")


@cli.command()
def triage(
    day: Annotated[str, typer.Option(help="The day of a listing; the newest when left out.")] = "",
    model: Annotated[
        bool,
        typer.Option("--model", help="Have a language model judge the best first, in the budget."),
    ] = False,
    as_json: Json = False,
) -> None:
    """List the papers of a day by how likely you keep them; without a model, unless asked for."""
    from app.pipeline import judge_now, triage_now
    from app.services.triage import as_json as told

    app = _open()
    if app.encoder is None:
        _say("There is no sentence encoder: the day is judged by words alone.")
    with _bar("encoding", None) as at:
        which, rows = triage_now(app, day, progress=at)
    if model:
        judged, left = judge_now(app, which)
        _say(f"The model judged {judged} papers; {left} of its last call are still to be judged.")
        which, rows = triage_now(app, which)
    if as_json:
        for row in rows:
            _out(told(row))
        return
    print(f"{which}: {len(rows)} papers, best first (score, relevance, novelty, tier, topic)")
    wide = max((len(row["primary_topic"] or "-") for row in rows), default=0)
    for row in rows:
        marks = [row["relevance"], row["novelty"], row["tier"]]
        words = "  ".join(f"{'-' if mark is None else mark:>2}" for mark in marks)
        topic = row["primary_topic"] or "-"
        print(f"{row['score']:.2f}  {words}  {topic:<{wide}}  {row['title']}")


@cli.command()
def review(as_json: Json = False) -> None:
    """List what waits for a decision, the surest first: links, then changes of concepts (c7)."""
    from app.store import changes, links
    from app.store.db import reading

    app = _open()
    with reading(app.engine) as session:
        changed = changes.waiting(session, limit=100_000)
        rows = links.proposals(session, limit=100_000) + links.proposals(
            session, tension=True, limit=100_000
        )
        near = links.resembled(session, rows) if as_json else {}
    for row in rows:
        if as_json:
            _out(
                {
                    "id": row.id,
                    "kind": "link",
                    "source": row.source_slug,
                    "relation": row.relation.value,
                    "target": row.target_slug,
                    "confidence": round(row.confidence, 4),
                    "reason": row.reason,
                    "evidence": row.evidence,
                    "resembles": near[row.id],
                    "signals": row.signals,
                    **({"question": row.question_text} if row.question_text else {}),
                }
            )
        else:
            print(
                f"{row.id:>6}  {row.confidence:.2f}  {row.source_title} "
                f"[{row.relation.value}] {row.target_title}"
            )
    for row in changed:
        if as_json:
            _out(changes.as_json(row))
        else:
            print(f"{f'c{row.id}':>6}  {row.confidence:.2f}  {row.title} [{row.kind.value}]")
    if not rows and not changed and not as_json:
        print("Nothing to review.")


@cli.command()
def decide(
    id: Annotated[str, typer.Argument(help="The proposal, as `cerebro review` lists it: 7 or c7.")],
    decision: Annotated[str, typer.Argument(help="accept, reject or defer.")],
    reason: Annotated[str, typer.Option(help="Why; kept with the decision.")] = "",
    as_json: Json = False,
) -> None:
    """Accept, reject or defer one proposal."""
    from app.services import review as deciding
    from app.store.db import writing

    app = _open()
    verdict = deciding.verdict(decision, of="link")
    with writing(app.engine) as session:
        which = deciding.reference(id)
        made = deciding.decide(session, which, verdict, now=app.clock(), reason=reason)
        answer = {
            "decision": made.id,
            "proposal": str(which),
            "link": made.link_id,
            "verdict": verdict.value,
        }
    if as_json:
        _out(answer)
    else:
        print(f"Done. Take it back with `cerebro undo {answer['decision']}`.")


# ---------------------------------------------------------------- what was


ThePage = Annotated[str, typer.Argument(metavar="PAGE", help="The address, title or alias.")]


@cli.command()
def show(
    page: ThePage,
    as_of: Annotated[
        str, typer.Option("--as-of", help="As it stood at the end of this day, YYYY-MM-DD.")
    ] = "",
    version: Annotated[int | None, typer.Option(help="As this version of it was.")] = None,
    as_json: Json = False,
) -> None:
    """Print the text of a page: now, as of a day with its links, or of one version."""
    from app.services import history as past
    from app.services import removal
    from app.store.db import reading

    if as_of and version is not None:
        raise Invalid("Name a day or a version, not both.")
    app = _open()
    day = past.day_of(as_of, app.today()) if as_of else None
    with reading(app.engine) as session:
        found = removal.standing(session, page)
        if version is not None:
            told = past.revision(session, found, version)
        else:
            told = past.then(session, found, day or app.today(), app.zone)
    if as_json:
        _out(told)
        return
    print(f"# {told['title']}\n\n{told['body']}".rstrip())
    if day is not None:
        for row in told["links"]:
            print(f"→ {row['relation']} {row['target']}")
        for row in told["backlinks"]:
            print(f"← {row['relation']} {row['source']}")


@cli.command()
def history(
    page: Annotated[
        str, typer.Argument(metavar="[PAGE]", help="The address, title or alias.")
    ] = "",
    link: Annotated[
        int | None, typer.Option(help="What was decided of this link, by its number.")
    ] = None,
    limit: Annotated[int, typer.Option(help="How many.", min=1, max=200)] = 50,
    before: Annotated[
        int, typer.Option(help="Only those before this version, or this decision.", min=0)
    ] = 0,
    as_json: Json = False,
) -> None:
    """The versions of a page, newest first: who, when, why and what changed; or of a link what was decided.

    `cerebro diff`, `blame`, `show --version` and `revert` take the numbers.
    """
    from app.services import history as past
    from app.services import removal
    from app.store.db import LARGEST_ID, reading

    if (link is None) == (not page.strip()):
        raise Invalid("Name one: a page, as in `cerebro history kv-cache`, or a link, as --link 7.")
    app = _open()
    before = min(before, LARGEST_ID)
    with reading(app.engine) as session:
        if link is not None:
            told = past.of_link(session, link, before=before, limit=limit)
        else:
            found = removal.standing(session, page)
            told = past.revisions(session, found, before=before, limit=limit)
    if as_json:
        _out(told)
        return
    if link is not None:
        source, target = told["source"]["title"], told["target"]["title"]
        print(f"{source} {told['relation']} {target}: {told['status']}, {told['came']}")
        for row in told["decisions"]:
            words = f"undid {row['undoes']}" if row["undoes"] else row["verdict"]
            rest = "; ".join(part for part in (row["reason"], _undone(app, row)) if part)
            line = f"{_moment(app, row['at'])}  decision {row['id']:<6} {words} by {row['who']}"
            print(f"{line} ({rest})" if rest else line)
    else:
        for row in told["revisions"]:
            what = ", ".join("text" if name == "body" else name for name in row["changed"])
            rest = "; ".join(part for part in (row["note"], what) if part)
            line = f"{row['number']:>5}  {_moment(app, row['at'])}  {_author(row)}"
            print(f"{line} ({rest})" if rest else line)
    if told["next"]:
        _say(f"There is more: add --before {told['next']}.")


@cli.command()
def blame(page: ThePage, as_json: Json = False) -> None:
    """Each paragraph of a page with who wrote it last, when, and in which version."""
    from app.services import history as past
    from app.services import removal
    from app.store.db import reading

    app = _open()
    with reading(app.engine) as session:
        told = past.blamed(session, removal.standing(session, page), limit=sys.maxsize)
    if as_json:
        _out(told)
        return
    oldest = told["oldest"]
    for row in told["paragraphs"]:
        for made in row["revisions"][:1]:
            who = "somebody earlier" if made["number"] == oldest > 1 else _author(made)
            print(f"{made['number']:>5}  {_moment(app, made['at'])}  {who}  line {row['line']}")
        print("".join(f"       {line}\n" for line in row["text"].split("\n")))


@cli.command()
def diff(
    page: ThePage,
    older: Annotated[
        int | None, typer.Argument(metavar="[FROM]", help="A version; 0 is nothing.", min=0)
    ] = None,
    newer: Annotated[
        int | None, typer.Argument(metavar="[TO]", help="A version; the newest when left out.")
    ] = None,
    as_json: Json = False,
) -> None:
    """What changed between two versions of a page; without numbers, what the last one changed."""
    from app.services import history as past
    from app.services import removal
    from app.store.db import reading

    app = _open()
    with reading(app.engine) as session:
        told = past.difference(session, removal.standing(session, page), older, newer)
    if as_json:
        _out(told)
        return
    print(f"--- version {told['from']}\n+++ version {told['to']}")
    for name, values in told["fields"].items():
        for sign, value in (("-", values["from"]), ("+", values["to"])):
            if value is not None:
                print(f"{sign}{name}: {', '.join(value) if isinstance(value, list) else value}")
    signs = {"same": " ", "added": "+", "removed": "-"}
    for row in told["lines"]:
        if row["kind"] == "gap":
            print(f"@@ {row['hidden']} lines as they were @@")
        else:
            print(signs[row["kind"]] + "".join(part["text"] for part in row["parts"]))
    if not told["lines"] and not told["fields"]:
        _say("They say the same.")


@cli.command()
def revert(
    page: ThePage,
    version: Annotated[int, typer.Argument(help="The version to bring back.")],
    base: Annotated[
        int | None, typer.Option(help="Only where the page is still at this version.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Bring an earlier version of a page back, as a new version; nothing in between is lost."""
    from app.services import pages as editing
    from app.services import removal
    from app.store.db import writing

    app = _open()
    with writing(app.engine) as session:
        found = removal.standing(session, page)
        saved = editing.restore(session, found.slug, version, now=app.clock(), base=base)
        answer = {
            "page": saved.page.slug,
            "version": saved.page.version,
            "changed": saved.changed,
        }
    if as_json:
        _out(answer)
    elif answer["changed"]:
        print(f"Version {version} is back, as version {answer['version']}.")
    else:
        print(f"The page says what version {version} says already: nothing was changed.")


def _moment(app: App, at: str) -> str:
    from datetime import datetime

    return f"{datetime.fromisoformat(at).astimezone(app.zone):%Y-%m-%d %H:%M}"


def _author(made: dict[str, Any]) -> str:
    from app.domain.ownership import author_words
    from app.domain.records import AuthorKind

    words = author_words(AuthorKind(made["author_kind"]), made["author"])
    return f"{words} {made['prompt']}".strip()


def _undone(app: App, row: dict[str, Any]) -> str:
    return f"undone on {_moment(app, row['undone_at'])}" if row["undone_at"] else ""


@cli.command()
def remove(
    slug: Annotated[str, typer.Argument(help="The address of the page, as in /w/SLUG.")],
    reason: Annotated[str, typer.Option(help="Why; kept with the decision.")] = "",
    as_json: Json = False,
) -> None:
    """Take a page out of the wiki. Its text and history are kept, and `cerebro undo` brings it back."""
    from app.services import removal
    from app.store.db import writing

    app = _open()
    with writing(app.engine) as session:
        made = removal.remove(session, slug, now=app.clock(), reason=reason)
        answer = {"removed": slug, "decision": made.id}
    if as_json:
        _out(answer)
    else:
        print(f"Removed. Put it back with `cerebro undo {answer['decision']}`.")


@cli.command()
def undo(
    decision: Annotated[
        int | None, typer.Argument(help="The decision; the last one when left out.")
    ] = None,
    act: Annotated[
        int | None,
        typer.Option(
            help="An import, a run or the like, as `cerebro activity` lists it, as a whole."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Take something back: the last thing decided, a decision, or an import or a run as a whole.

    A decision goes with all others of the same action. Right after `cerebro undo --act N` it takes
    that undo back as a whole. What was undone is named; `cerebro activity` lists decisions and acts
    with their numbers.
    """
    from app.services import acts
    from app.services import review as deciding
    from app.store import activity as log
    from app.store.db import writing

    if act is not None and decision is not None:
        raise Invalid("Name a decision or an act, not both.")
    app = _open()
    with writing(app.engine) as session:
        if act is None and decision is None and (last := acts.newest_undo(session)) is not None:
            act = last.id
        if act is not None:
            with _bar("undoing", None):
                whole = acts.undo(session, act, now=app.clock())
        else:
            taken = deciding.undo(session, decision, now=app.clock()).decisions
            ids = [each.id or 0 for each in taken]
            words = [log.in_words(each) for each in log.of_decisions(session, ids)]
    if act is not None:
        if as_json:
            _out(whole.as_json())
        else:
            for line in whole.in_words():
                print(line)
    elif as_json:
        _out({"undone": ids, "words": words})
    else:
        more = f" and {len(words) - _SHOWN:,} more" if len(words) > _SHOWN else ""
        print(f"Undone: {'; '.join(words[:_SHOWN])}{more}.")


@cli.command()
def activity(
    limit: Annotated[int, typer.Option(help="How many lines.", min=1, max=1000)] = 20,
    kind: Annotated[
        str, typer.Option(help="save, decision, removal, merge or act; all when left out.")
    ] = "",
    who: Annotated[str, typer.Option(help="you, machine, or a rule as in rule:3.")] = "",
    page: Annotated[str, typer.Option(help="Only what happened to this page, by address.")] = "",
    day: Annotated[str, typer.Option(help="Only of one day, YYYY-MM-DD.")] = "",
    as_json: Json = False,
) -> None:
    """What happened, newest first: saves, decisions, removals, and imports and runs as a whole."""
    from app.services.acts import counts_in_words
    from app.store import activity as log
    from app.store.db import reading

    asked = log.Asked(what=log.what(kind), who=who, page=page, day=day)
    app = _open()
    with reading(app.engine) as session:
        events, _ = log.listed(session, asked, zone=app.zone, limit=limit)
    if as_json:
        for each in events:
            _out(log.as_json(each))
        return
    for each in events:
        number = f"act {each.act}" if each.what == log.What.ACT else ""
        number = number or (f"decision {each.decision}" if each.decision else "")
        about = f"{each.title} → {each.other[1]}" if each.other else each.title
        rest = [
            counts_in_words(each.counts, undo=each.undoes),
            each.reason,
            "undone" if each.undone else "",
        ]
        told = "; ".join(part for part in rest if part)
        at = each.at.astimezone(app.zone)
        words = f"{at:%Y-%m-%d %H:%M}  {number:<14}  {each.verb} {about}"
        print(f"{words} ({told})" if told else words)
    if not events:
        print("Nothing of this kind happened.")


@cli.command()
def record(as_json: Json = False) -> None:
    """How you decided what the linker proposed, and whether its confidence was right."""
    from app.domain.record import calibration_error, calibration_words
    from app.store import record as stored
    from app.store.db import reading

    app = _open()
    with reading(app.engine) as session:
        if as_json:
            _out(stored.told(session, today=app.clock().date()))
            return
        bins = stored.by_confidence(session)
    decided = sum(each.decided.count for each in bins)
    print(calibration_words(calibration_error(bins), decided))
    for each in bins:
        if each.decided.count:
            low, high = each.decided.interval
            print(
                f"{each.start:.1f} to {each.end:.1f}  {each.decided.accepted:>6} of "
                f"{each.decided.count:>6} accepted, {100 * (each.decided.share or 0):3.0f}% "
                f"(likely {100 * low:.0f} to {100 * high:.0f}%)"
            )


@cli.command()
def rules(as_json: Json = False) -> None:
    """List the rules that accept links for you, and what each has done."""
    from app.services.rules import told
    from app.store import rules as stored
    from app.store.db import reading

    app = _open()
    with reading(app.engine) as session:
        rows = stored.listed(session)
    for row in rows:
        if as_json:
            _out(told(row))
            continue
        where = row.concept[1] if row.concept else "any concept"
        ended = "ended, " if row.ended_at else ""
        print(
            f"{row.id:>6}  about {where} from {row.least:g}: {ended}"
            f"{row.accepted} accepted, {row.undone} undone, {row.standing} standing"
        )
    if not rows and not as_json:
        print("There are no rules. Make one at /rules.")


@cli.command()
def costs(as_json: Json = False) -> None:
    """Say what calls of the language model cost today, this month and in all, against the budgets."""
    from app.calls import ready
    from app.domain.money import dollars, month_of
    from app.services.costs import at_most, spending, told
    from app.store import calls
    from app.store.db import reading

    app = _open()
    day = app.today().isoformat()
    with reading(app.engine) as session:
        chosen = app.llm_in_force(session)
        if as_json:
            _out(told(session, chosen, day))
            return
        found = spending(session, day)
        uses = calls.by_use(session, *month_of(day))
        why_not = ready(session, app)
    for words, spent, budget in (
        ("today", found.today, chosen.daily),
        ("this month", found.month, chosen.monthly),
        ("in all", found.all, None),
    ):
        of = f" of {dollars(budget)}" if budget else ""
        print(f"{words:<11} {at_most(spent)}{of}, {spent.calls} calls")
    for use in uses:
        print(
            f"{use.purpose:<11} {use.model}: {at_most(use.sum)}, {use.sum.calls} calls this month"
        )
    if found.all.unknown:
        print(f"The cost of {found.all.unknown} calls is not known: see /costs.")
    print(f"Nothing is called now. {why_not}" if why_not else f"{chosen.model} may be called now.")


@cli.command()
def topics(as_json: Json = False) -> None:
    """List your topics: how well each picks, and the threshold that your decisions ask for."""
    from app.services.topics import told
    from app.store import topics as stored
    from app.store.db import reading

    app = _open()
    with reading(app.engine) as session:
        records = stored.records(session, today=app.today())
        rows = [told(topic, records[topic.id]) for topic in stored.listed(session)]
    wide = max((len(row["id"]) for row in rows), default=0)
    for row in rows:
        if as_json:
            _out(row)
            continue
        judged = row["judged"]
        share = f"{100 * row['precision']:.0f}% of {judged} kept" if judged else "none decided"
        asks = row["proposed"]
        other = asks is not None and asks["better"]
        tier = "retired" if row["retired"] else f"tier {row['tier']}"
        print(
            f"{row['id']:<{wide}}  {tier:<7}  from {row['threshold']:<5g}  "
            f"{row['waiting']:>6} waiting  {row['picked']:>6} picked, "
            f"{share}, {row['missed']} missed"
            + (f"; {asks['threshold']:g} would be better" if other else "")
        )
    if not rows and not as_json:
        print("There are no topics. Add one at /topics, or import lines of type topic.")


@cli.command()
def atlas(
    range_: Annotated[
        str, typer.Option("--range", help="12-weeks, 6-months, year or all.")
    ] = "12-weeks",
    of: Annotated[str, typer.Option(help="Papers to count: picked, kept or came.")] = "picked",
    asof: Annotated[str, typer.Option(help="The last day that counts; default today.")] = "",
    as_json: Json = False,
) -> None:
    """Count papers by topic and week; weeks are named by their Monday."""
    from app.domain.atlas import Measure, Range, columns, measured, spread
    from app.domain.identifiers import whole_day
    from app.errors import Invalid
    from app.store import atlas as stored
    from app.store import topics as registry
    from app.store.db import reading

    app = _open()
    day = whole_day(asof) if asof else app.today()
    if range_ not in set(Range) or of not in set(Measure):
        raise Invalid(f"Use --range {', '.join(Range)} and --of {', '.join(Measure)}.")
    if day is None or day > app.today():
        raise Invalid(f"{asof[:40]!r} is no day that has been. Days are written 2026-05-14.")
    with reading(app.engine) as session:
        earliest = stored.earliest(session) if range_ == Range.ALL else None
        weeks = columns(Range(range_), today=day, earliest=earliest)
        counted = stored.by_day(session, weeks[0].first, day)
        names = {each.id: each.name for each in registry.listed(session)}
    found = spread(measured(counted, Measure(of)), weeks, today=day)
    if not as_json and found:
        print(f"{'':<30}" + "".join(f"{each.first:%d.%m.}".rjust(8) for each in weeks))
    for topic, name in [*names.items(), (None, "No topic")]:
        if topic not in found:
            continue
        if as_json:
            numbers = {
                each.first.isoformat(): number
                for each, number in zip(weeks, found[topic], strict=True)
            }
            told = {"topic": topic, "name": name, "of": of, "weeks": weeks[0].weeks}
            _out(told | {"papers": numbers})
        else:
            cells = "".join(f"{number or '':>8}" for number in found[topic])
            print(f"{name[:29]:<30}{cells}")
    if not found and not as_json:
        print("No such paper came in these weeks.")


# ---------------------------------------------------------------- threads and search


@cli.command()
def threads(
    query: Annotated[
        str, typer.Option(help="Words, or a sentence, that claims or members say.")
    ] = "",
    status: Annotated[str, typer.Option(help="growing, dormant, contradicted or closed.")] = "",
    moved: Annotated[
        bool, typer.Option("--moved", help="Only those that moved this week.")
    ] = False,
    between: Annotated[
        tuple[str, str] | None, typer.Option(help="Only those with members about both concepts.")
    ] = None,
    asof: Annotated[str, typer.Option(help="As they stood on this day.")] = "",
    members: Annotated[bool, typer.Option("--members", help="Name the members too.")] = False,
    as_json: Json = False,
) -> None:
    """List threads with their computed counters, the last moved first, or the best match."""
    from app.services.search import AskedThreads
    from app.services.search import threads as find
    from app.services.threads import as_json as told
    from app.store.db import reading

    app = _open()
    asked = AskedThreads(query, status, moved, between or (), asof)
    encoder = app.query_encoder_for_commands(_say) if query else None
    with reading(app.engine) as session:
        found = find(session, asked, today=app.today(), index=app.index, query_encoder=encoder)
        rows = told(session, found.rows, until=found.day, members=members)
    if found.notice:
        _say(found.notice)
    for row, thread in zip(rows, found.rows, strict=True):
        if as_json:
            _out(row)
            continue
        numbers = thread.numbers
        print(
            f"{thread.title}\n    {thread.claim}\n    {numbers.papers} "
            f"paper{'' if numbers.papers == 1 else 's'} since "
            f"{numbers.since or 'never'}, latest {numbers.latest or 'never'}, {numbers.status}"
        )
        for each in row.get("members", ()):
            print(
                f"    {each['day'] or '          '}  {each['role'] or 'belongs'}: {each['title']}"
            )
    if not rows and not as_json:
        print("No thread fits." if asked != AskedThreads() else "There are no threads yet.")


@cli.command()
def questions(
    state: Annotated[str, typer.Option(help="open, partly, answered or all.")] = "open",
    thread: Annotated[str, typer.Option(help="Only of this thread (its address).")] = "",
    concept: Annotated[str, typer.Option(help="Only of pages about this concept.")] = "",
    as_json: Json = False,
) -> None:
    """List what pages leave open, the newest first."""
    from app.domain.records import QuestionState
    from app.services.questions import as_json as told
    from app.store import questions as stored
    from app.store.db import reading

    known = [each.value for each in QuestionState]
    if state not in (*known, "all"):
        raise Invalid(f"{state[:40]!r} is no state of a question: {', '.join(known)} or all.")
    app = _open()
    with reading(app.engine) as session:
        rows = stored.listed(
            session,
            state=None if state == "all" else QuestionState(state),
            thread=thread,
            concept=concept,
            limit=100_000,
        )
    for row in rows:
        if as_json:
            _out(told(row))
        else:
            by = f", answered by {row.by[1]}" if row.by else ""
            print(f"{row.id:>6}  {row.state.value:<8}  {row.text}\n        {row.title}{by}")
    if not rows and not as_json:
        print("There is no such question.")


@cli.command()
def predictions(
    due: Annotated[bool, typer.Option("--due", help="Only those that are due today.")] = False,
    resolved: Annotated[bool, typer.Option("--resolved", help="Those that were judged.")] = False,
    as_json: Json = False,
) -> None:
    """List predictions, the soonest due first; `predict` adds one, `resolve` judges one."""
    from app.services.predictions import as_json as told
    from app.store import predictions as stored
    from app.store.db import reading

    if due and resolved:
        raise Invalid("Use --due or --resolved, not both.")
    app = _open()
    with reading(app.engine) as session:
        if due:
            rows = stored.due(session, until=app.today().isoformat(), limit=100_000)
        elif resolved:
            rows = stored.resolved(session, limit=100_000)
        else:
            rows = stored.open_ones(session, limit=100_000)
    for row in rows:
        if as_json:
            _out(told(row))
        else:
            print(
                f"{row.id:>6}  {row.due or 'no date':<10}  {row.state.value:<9}  {row.text}\n"
                f"        {row.title}"
            )
    if not rows and not as_json:
        print("There is no such prediction.")


@cli.command()
def predict(
    page: Annotated[str, typer.Argument(help="The page that says so: its address or title.")],
    text: Annotated[str, typer.Argument(help="What will be true, in one sentence.")],
    due: Annotated[str, typer.Option(help="2026-09-30, 2026-09, 2026 or “in 90 days”.")] = "",
    probability: Annotated[str, typer.Option(help="0.7 or 70%; may be left out.")] = "",
    made: Annotated[str, typer.Option(help="The day it was said; today when left out.")] = "",
    as_json: Json = False,
) -> None:
    """Note what a page foretells."""
    from app.services import predictions as foretelling
    from app.store.db import writing

    app = _open()
    with writing(app.engine) as session:
        row = foretelling.add(
            session,
            page,
            text,
            due=due,
            made=made,
            probability=probability,
            today=app.today(),
            now=app.clock(),
        )
    if as_json:
        _out(foretelling.as_json(row))
    else:
        print(f"Noted as {row.id}" + (f", due {row.due}." if row.due else "; it has no date."))


@cli.command()
def resolve(
    id: Annotated[int, typer.Argument(help="The prediction, as `cerebro predictions` lists it.")],
    state: Annotated[str, typer.Argument(help="came-true, failed, withdrawn; open takes it back.")],
    reason: Annotated[str, typer.Option(help="Why; kept with the judgement.")] = "",
    page: Annotated[str, typer.Option(help="Evidence: the page, by address or title.")] = "",
    quotation: Annotated[str, typer.Option(help="Its words, as they stand in that page.")] = "",
    day: Annotated[str, typer.Option(help="When it turned out; today when left out.")] = "",
    as_json: Json = False,
) -> None:
    """Judge a prediction, or take its judgement back."""
    from app.services import predictions as foretelling
    from app.store.db import writing

    app = _open()
    with writing(app.engine) as session:
        row = foretelling.resolve(
            session,
            id,
            state,
            resolution=reason,
            page=page,
            quotation=quotation,
            day=day,
            today=app.today(),
        )
    if as_json:
        _out(foretelling.as_json(row))
    elif row.state.value == "open":
        print("It is open again.")
    else:
        print(f"Done. Take it back with `cerebro resolve {row.id} open`.")


@cli.command()
def search(
    query: Annotated[str, typer.Argument(help='Words; also title:word author:name "phrase" -not.')],
    mode: Annotated[str, typer.Option(help="words, meaning or both.")] = "both",
    kind: Annotated[str | None, typer.Option(help="Only pages of this kind.")] = None,
    thread: Annotated[str | None, typer.Option(help="Only members of this thread.")] = None,
    topic: Annotated[str | None, typer.Option(help="Only papers on this topic (its id).")] = None,
    tag: Annotated[str | None, typer.Option(help="Only pages with this tag.")] = None,
    since: Annotated[str | None, typer.Option(help="Only from this day, month or year on.")] = None,
    until: Annotated[str | None, typer.Option(help="Only up to this day, month or year.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100)] = 20,
    as_json: Json = False,
) -> None:
    """Search pages by words, by meaning, or by both."""
    from app.services.search import search as find
    from app.store.db import reading

    app = _open()
    encoder = app.query_encoder_for_commands(_say) if mode != "words" else None
    with reading(app.engine) as session:
        found = find(
            session,
            query,
            mode=mode,
            kind=kind,
            thread=thread,
            topic=topic,
            tag=tag,
            since=since,
            until=until,
            limit=limit,
            faceted=False,
            index=app.index,
            query_encoder=encoder,
        )
    if found.notice:
        _say(found.notice)
    for hit in found.hits:
        if as_json:
            _out(
                {
                    "slug": hit.slug,
                    "title": hit.title,
                    "kind": str(hit.kind),
                    "score": round(hit.score, 6),
                    "why": str(hit.why),
                    "snippet": "".join(part for part, _ in hit.snippet),
                    "threads": [thread.slug for thread in hit.threads],
                }
            )
        else:
            print(f"{hit.title}  [{hit.kind}]  /w/{hit.slug}")
            print(f"    {''.join(part for part, _ in hit.snippet)}")
    if not found.hits and not as_json:
        print("Nothing was found.")


if __name__ == "__main__":
    main()
