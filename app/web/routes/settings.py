"""Settings: how the interface looks and answers to keys, and how this wiki was started.

Theme and keys are the browser's own, kept in cookies. What the program was started with is shown,
never its secrets, and not changed here.
"""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response
from sqlalchemy.engine import make_url

from app.bootstrap import App
from app.errors import Invalid
from app.settings import Settings
from app.store import preferences
from app.web.deps import Form, Reads, TheApp, text
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
def settings(request: Request, session: Reads, app: TheApp, saved: str = "") -> Response:
    """The choices of this browser, and how the wiki runs."""
    floor = preferences.floor(session)
    return page(request, "settings/page.html", saved=saved == "1", facts=facts(app, floor))


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


def facts(app: App, floor: float | None = None) -> list[Fact]:
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
        "llm_model": ("Language model", chosen.llm_model or "none: no model is ever called"),
        "llm_daily_budget_usd": ("Budget a day", _dollars(chosen.llm_daily_budget_usd)),
        "timezone": ("Time zone", chosen.timezone or "the system's"),
        "allowed_hosts": ("Answers to", ", ".join(sorted({"localhost", *chosen.hosts}))),
        "password_hash": ("Password", "set" if chosen.password_hash else "none"),
    }
    if chosen.now:
        values["now"] = ("Fixed time", chosen.now.isoformat())
    fixed = chosen.fixed_by_environment()
    sources = {name: _source(chosen, name, fixed) for name in values}
    if floor is not None and chosen.linker_floor is None:
        sources["linker_floor"] = "chosen under Review, Record"
    return [Fact(words, value, sources[name]) for name, (words, value) in values.items()]


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


def _vectors(app: App) -> str:
    if app.encoder is not None:
        return app.encoder.model
    if not app.settings.vectors_wanted:
        return "off: pages are found by words alone"
    return f"off: {app.settings.embedding_model} is not installed"


def _dollars(amount: float) -> str:
    return f"${amount:.2f}" if amount else "none: nothing is spent"
