"""Settings: how the interface looks and answers to keys, the model and its budget, how the wiki runs.

Theme and keys are the browser's own, kept in cookies. Model and budget are the wiki's, in force for
every process at once. What the program was started with is shown, never its secrets, and not changed
here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response
from sqlalchemy.engine import make_url
from sqlmodel import Session

from app import calls
from app.bootstrap import App
from app.domain import money
from app.domain.money import LLMSettings
from app.domain.records import VaultProblem
from app.errors import Conflict, Invalid
from app.mail.smtp import Sent
from app.services import backup, commits, costs, sending
from app.settings import Settings
from app.store import editions, preferences
from app.store.db import reading
from app.store.preferences import Commits
from app.web.deps import Form, Reads, TheApp, Writes, text
from app.web.routes.feed import base_of
from app.web.templating import page

router = APIRouter(include_in_schema=False)

YEAR = 365 * 24 * 60 * 60
_THEMES = {"auto": "", "system": "", "": "", "light": "light", "dark": "dark"}


@dataclass(frozen=True)
class Fact:
    """A setting as it is in force: its value in words, and where it comes from."""

    name: str
    value: str
    source: str


@router.get("/settings")
def settings(
    request: Request, session: Reads, app: TheApp, saved: str = "", mailed: str = ""
) -> Response:
    """The choices of this browser, and how the wiki runs."""
    return _page(request, session, app, saved=saved == "1", mailed=mailed == "1")


def _page(
    request: Request,
    session: Session,
    app: App,
    *,
    saved: bool = False,
    status: int = 200,
    given: Mapping[str, str] | None = None,
    refused: Invalid | None = None,
    mailed: bool = False,
    unsent: str = "",
) -> Response:
    chosen, fixed = app.llm_in_force(session), app.llm_fixed
    monthly = "" if chosen.monthly is None else money.exact(chosen.monthly)
    llm = {
        "model": chosen.model,
        "daily": money.exact(chosen.daily),
        "monthly": monthly,
        "papers": str(chosen.papers),
        "batches": "on" if chosen.batches else "",
        "second_look": "on" if chosen.second_look else "",
        "prose": "on" if chosen.prose else "",
        "edits": "on" if chosen.edits else "",
    }
    return page(
        request,
        "settings/page.html",
        status_code=status,
        saved=saved,
        llm=llm if given is None else llm | {k: v for k, v in given.items() if k not in fixed},
        fixed=fixed,
        models=sorted({each.model for each in costs.all_prices(session)}),
        why_not=calls.ready(session, app),
        problem=str(refused or ""),
        fields=refused.fields if refused else {},
        facts=facts(app, chosen, preferences.floor(session)),
        mail=_mail(session, app),
        git=_git(session, app),
        kept=backup.kept(session, app.settings.data),
        mailed=mailed,
        unsent=unsent,
    )


def _git(session: Session, app: App) -> dict[str, str]:
    """When the vault is committed, when it was last, and what keeps it from being."""
    problem = session.get(VaultProblem, commits.PROBLEM)
    chosen = preferences.commits(session)
    return {
        "root": str(app.vault_folder),
        "when": chosen.value,
        "last": preferences.committed(session)[0],
        "problem": problem.reason if problem and chosen is not Commits.OFF else "",
    }


@router.post("/settings/git")
def save_git(form: Form, session: Writes) -> Response:
    """Choose when the vault is committed to its git repository. Raises Invalid for no such choice."""
    when = text(form, "when").strip().lower()
    if when not in set(Commits):
        raise Invalid("The vault is committed never, after each change, or once a day: choose one.")
    preferences.set_commits(session, Commits(when))
    return RedirectResponse("/settings?saved=1#git", 303)


@router.post("/settings/backups")
def save_backups(form: Form, session: Writes) -> Response:
    """Choose whether a backup a day is made. Raises Invalid for no such choice."""
    when = text(form, "when").strip().lower()
    if when not in ("daily", "off"):
        raise Invalid("A backup is made once a day or never by itself: choose one.")
    preferences.set_backups_wanted(session, when == "daily")
    return RedirectResponse("/settings?saved=1#backups", 303)


def _mail(session: Session, app: App) -> dict[str, object]:
    """Whether mail is on, to whom it goes, and what became of the last digest that was to go out."""
    chosen, post = app.settings, app.post
    missing = [
        name
        for name, there in (
            ("CEREBRO_SMTP", chosen.mail_server is not None),
            ("CEREBRO_MAIL_TO", bool(chosen.readers)),
        )
        if not there
    ]
    last = editions.last_posting(session)
    return {
        "on": post is not None,
        "missing": " and ".join(missing),
        "to": ", ".join(str(each) for each in post.to) if post else "",
        "last": last,
        "day": editions.day_in_words(last.day) if last else "",
    }


@router.post("/settings/mail/test")
def send_test(request: Request, app: TheApp) -> Response:
    """Send a letter that says that mail works. 502 with the reason when it was not sent, 409 without mail."""
    post = app.post
    if post is None:
        raise Conflict(
            "Mail is off: set CEREBRO_SMTP and CEREBRO_MAIL_TO where the program starts."
        )
    came = post.send(sending.test_letter(post, base=base_of(request, app), now=app.clock()))
    if isinstance(came, Sent) and not came.refused:
        return RedirectResponse("/settings?mailed=1#mail", 303)
    with reading(app.engine) as session:
        return _page(request, session, app, status=502, unsent=sending.in_words(came))


@router.post("/settings/model")
def save_model(request: Request, form: Form, session: Writes, app: TheApp) -> Response:
    """Keep model, budgets and what the model is used for. 422 with what was typed when it will not do."""
    names = ("model", "daily", "monthly", "papers", "batches", "second_look", "prose", "edits")
    given = {name: text(form, name) for name in names}
    try:
        costs.save_llm(session, given, fixed=app.llm_fixed)
    except Invalid as error:
        return _page(request, session, app, status=422, given=given, refused=error)
    return RedirectResponse("/settings?saved=1#model", 303)


@router.post("/settings")
def save(form: Form) -> Response:
    """Keep the choices in cookies for a year. Raises Invalid for a theme there is none of."""
    theme = text(form, "theme").strip().lower()
    if theme not in _THEMES:
        raise Invalid(
            "A theme is light, dark or auto.", fields={"theme": "Use light, dark or auto."}
        )
    response = RedirectResponse("/settings?saved=1", 303)
    for name, value in (
        ("theme", _THEMES[theme]),
        ("keys", "on" if text(form, "keys") == "on" else "off"),
    ):
        response.set_cookie(name, value, max_age=YEAR, path="/", samesite="lax")
    return response


def facts(app: App, llm: LLMSettings, floor: float | None = None) -> list[Fact]:
    """The settings in force, in the order a reader asks for them; secrets only as set or not.

    `floor` is the confidence from which on links are proposed, where the reader chose one.
    """
    chosen = app.settings
    values = {
        "data": ("Data", str(chosen.data.absolute())),
        "vault": ("Your Markdown", str(chosen.vault_path.absolute())),
        "database_url": ("Database", _database(chosen.url)),
        "embedding_model": ("Vectors", _vectors(app)),
        "linker_floor": ("Links are proposed", _floor(app, floor)),
        "llm_model": ("Language model", llm.model or "none: no model is ever called"),
        "llm_daily_budget_usd": ("Budget a day", _budget(llm.daily)),
        "llm_monthly_budget_usd": ("Budget a month", _budget(llm.monthly)),
        "timezone": ("Time zone", chosen.timezone or "the system's"),
        "allowed_hosts": ("Answers to", ", ".join(sorted({"localhost", *chosen.hosts}))),
        "password_hash": ("Password", "set" if chosen.password_hash else "none"),
        "fetch_allow": ("Private addresses fetched from", _private(chosen)),
        "base_url": ("Found from elsewhere at", chosen.base_url or "the address it is asked under"),
        "smtp": ("Mail goes through", _server(chosen)),
        "imap": ("Newsletters come from", _mailbox(chosen)),
        "mail_to": ("Mail goes to", chosen.mail_to or "nobody"),
        "mail_from": ("Mail is from", str(chosen.sender or "nobody")),
    }
    if chosen.now:
        values["now"] = ("Fixed time", chosen.now.isoformat())
    fixed = chosen.fixed_by_environment()
    sources = {name: _source(chosen, name, fixed) for name in values}
    if floor is not None and chosen.linker_floor is None:
        sources["linker_floor"] = "chosen under Review, Record"
    for name, (kept, nobody) in _LLM.items():
        if kept not in app.llm_fixed:
            own = getattr(llm, kept) != nobody
            sources[f"llm_{name}"] = "chosen above" if own else "default"
    return [Fact(words, value, sources[name]) for name, (words, value) in values.items()]


def _private(chosen: Settings) -> str:
    pairs = sorted(chosen.fetch_pairs)
    if not pairs:
        return "none: whatever leads to this machine or its network is refused"
    named = ", ".join(
        f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in pairs
    )
    return f"{named}: a source may lead to these, and to no other private address"


def _floor(app: App, chosen: float | None) -> str:
    given = app.settings.linker_floor
    value = given if given is not None else chosen if chosen is not None else app.weights.floor
    return f"from a confidence of {value:g} on"


def _source(chosen: Settings, name: str, fixed: frozenset[str]) -> str:
    if name in fixed:
        return f"fixed by CEREBRO_{name.upper()}"
    default = type(chosen).model_fields[name].default
    return "default" if getattr(chosen, name) == default else "cerebro.toml"


def _database(url: str) -> str:
    return make_url(url).render_as_string(hide_password=True)


def _server(chosen: Settings) -> str:
    server = chosen.mail_server
    if server is None:
        return "no server: no mail is sent"
    signed = ", signed on with a password" if server.user else ""
    return f"{server.host}:{server.port}, TLS {server.tls}{signed}"


def _mailbox(chosen: Settings) -> str:
    server = chosen.mailbox
    if server is None:
        return "no mailbox: no mail is fetched"
    return f"{server.host}:{server.port}, TLS {server.tls}, signed on with a password"


def _vectors(app: App) -> str:
    if app.encoder is not None:
        return app.encoder.model
    if not app.settings.vectors_wanted:
        return "off: pages are found by words alone"
    return f"off: {app.settings.embedding_model} is not installed"


_LLM = {
    "model": ("model", ""),
    "daily_budget_usd": ("daily", 0),
    "monthly_budget_usd": ("monthly", None),
}


def _budget(amount: int | None) -> str:
    if amount is None:
        return "none beside that of a day"
    return money.dollars(amount) if amount else "none: nothing is spent"
