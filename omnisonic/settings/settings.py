"""The settings: read once from the environment, validated together, frozen (SPEC 2).

`Settings.load()` is the only way in. A field is called what its variable is called, in lower case and with its
unit at the end; its description is what `--help` and the documentation print (`explain`, `settings_table`).

Nothing here runs: it is read at the start, and a value that cannot be used stops the start with a sentence.
"""

import os
import socket
from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self, TypeAlias
from urllib.parse import urlsplit

from pydantic import (
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import ErrorDetails

from omnisonic.errors import BadSettings
from omnisonic.settings.exports import ExportSettings
from omnisonic.settings.logs import LogSettings
from omnisonic.settings.messages import sentence
from omnisonic.settings.origins import WILDCARDS, HostPolicy, OriginPolicy
from omnisonic.settings.providers import PROVIDERS, ProviderSettings
from omnisonic.settings.secret_strength import ADMIN_TOKEN_BYTES, SIGNING_BYTES, secret_problems
from omnisonic.settings.storage import StorageSettings
from omnisonic.settings.urls import POSTGRES, check_url, origin, origin_in, origin_of
from omnisonic.settings.web import WebSettings

Port: TypeAlias = Annotated[int, Field(ge=0, le=65535)]
Names: TypeAlias = frozenset[str]
Network: TypeAlias = IPv4Network | IPv6Network
Networks: TypeAlias = tuple[Network, ...]

LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})
_SCHEMES: Final = {
    "redis_url": ("redis", "rediss", "unix"),
    "gateway_public_url": ("ws", "wss"),
    "nextauth_url": ("http", "https"),
    "database_url": POSTGRES,
    "livekit_url": ("ws", "wss", "http", "https"),
    **dict.fromkeys(("github_base_url", "google_base_url", "discord_base_url"), ("http", "https")),
    **dict.fromkeys(("github_api_url", "google_api_url", "discord_api_url"), ("http", "https")),
}
"""What the URL in a setting may begin with."""


def _default_data_dir() -> Path:
    return Path("/var/lib/omnisonic") if os.geteuid() == 0 else Path(".omnisonic")


class Settings(LogSettings, ProviderSettings, ExportSettings, StorageSettings, WebSettings):
    """Everything that the environment decides. Defaults are right for one machine, on loopback."""

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)

    omnisonic_env: Literal["development", "production"] = Field(
        default="development", description="`production` turns the conveniences of development off"
    )
    data_dir: Path = Field(
        default_factory=_default_data_dir,
        validation_alias="OMNISONIC_DATA_DIR",
        description="where this installation keeps its files (default `.omnisonic`, `/var/lib/omnisonic` for root)",
    )
    rooms_first: bool = Field(
        default=True,
        description="`false`: all parts share the processors alike; `true`: the gateway comes before the others, and "
        "mixdowns get only the time that nobody else wants",
    )
    web_host: str = Field(default="127.0.0.1", description="address the web listens on")
    web_port: Port = Field(default=3000, description="port the web listens on; 0 picks a free one")
    gateway_host: str = Field(default="127.0.0.1", description="address the realtime gateway listens on")
    gateway_port: Port = Field(default=8080, description="port the realtime gateway listens on; 0 picks a free one")
    gateway_public_url: str | None = Field(
        default=None,
        description="the `ws://` or `wss://` URL that browsers reach the gateway by, behind a proxy",
    )
    gateway_id: str = Field(
        default_factory=socket.gethostname,
        description="this gateway's name in the presence store, kept over a restart (default: the host's name)",
    )
    parity_host: str = Field(default="127.0.0.1", description="address the parity service listens on")
    parity_port: Port = Field(default=8000, description="port the parity service listens on; 0 picks a free one")
    parity_enabled: bool | None = Field(
        default=None,
        description="whether the parity service, which has no sign-in, may run (default: in development only)",
    )
    web_workers: int = Field(default=1, ge=1, le=64, description="web processes under `serve`")
    trusted_proxies: Networks = Field(
        default=(),
        description="addresses or networks whose `X-Forwarded-For` is believed, comma-separated (default: none)",
    )
    database_url: str | None = Field(
        default=None, repr=False, description="`postgresql://` URL of the database (default: embedded, under `serve`)"
    )
    database_timeout_s: float = Field(
        default=2.5,
        ge=0.5,
        le=60,
        allow_inf_nan=False,
        validation_alias="DATABASE_TIMEOUT_SECONDS",
        description="seconds after which a request that waits for the database gets 503; more for a slow one",
    )
    redis_url: str | None = Field(
        default=None,
        repr=False,
        description="`redis://`, `rediss://` or `unix://` URL of presence and bus (default: embedded or in-process)",
    )
    presence_ttl_s: int = Field(
        default=60,
        ge=15,
        le=900,
        validation_alias="PRESENCE_TTL",
        description="seconds a roster entry outlives its refresher",
    )
    room_access: Literal["open", "ticket"] | None = Field(
        default=None,
        description="who may enter rooms that are no session's: `open` or `ticket` (default: `open` in development on "
        "loopback with nothing public configured, `ticket` otherwise)",
    )
    allowed_origins: Names = Field(
        default=frozenset(),
        description="origins whose pages may connect, comma-separated, exact (default: the web's own)",
    )
    allowed_hosts: Names = Field(
        default=frozenset(),
        description="values of `Host` that are answered, comma-separated (default: the names bound to)",
    )
    nextauth_url: str | None = Field(default=None, description="the public URL of the web (default: where it listens)")
    nextauth_secret: SecretStr | None = Field(
        default=None,
        description="signs cookies and tickets; production needs it (default: kept in the data directory)",
    )
    admin_token: SecretStr | None = Field(
        default=None, description="opens what is the operator's (default: kept in the data directory by `serve`)"
    )
    auth_enable_credentials: bool | None = Field(
        default=None, description="sign-in by e-mail and password (default: on in development, off in production)"
    )
    livekit_url: str | None = Field(
        default=None, description="a LiveKit server: with its key and secret, tickets carry a token for it"
    )
    livekit_api_key: str | None = Field(default=None, description="the key of that LiveKit server")
    livekit_api_secret: SecretStr | None = Field(default=None, description="the secret to `LIVEKIT_API_KEY`")
    member_rate_per_s: float = Field(
        default=500,
        ge=0,
        allow_inf_nan=False,
        description="messages a second that one connection may send; 0: no limit",
    )
    member_burst: int = Field(default=1000, ge=1, description="messages that one connection may send at once")
    member_queue_bytes: int = Field(
        default=262_144, ge=0, description="bytes that may wait for one member who does not read; 0: no limit"
    )
    max_connections: int = Field(default=20_000, ge=0, description="connections the gateway holds; 0: no limit")
    max_connections_per_address: int = Field(
        default=5_000, ge=0, description="connections from one address; 0: no limit"
    )
    max_members_per_room: int = Field(default=2_000, ge=0, description="members in one room; 0: no limit")

    @field_validator("allowed_origins", "allowed_hosts", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return frozenset(part.strip().rstrip("/").lower() for part in value.split(",") if part.strip())
        return value

    @field_validator("allowed_origins")
    @classmethod
    def _are_origins(cls, value: frozenset[str]) -> frozenset[str]:
        return frozenset(origin_in(origin) for origin in sorted(value))

    @field_validator("allowed_hosts")
    @classmethod
    def _are_hosts(cls, value: frozenset[str]) -> frozenset[str]:
        for name in sorted(value):
            if any(mark in name for mark in "/@ *"):
                raise ValueError(f"{name!r} is not a host's name such as studio.example")
        return value

    @field_validator("trusted_proxies", mode="before")
    @classmethod
    def _are_networks(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        try:
            return tuple(ip_network(part.strip()) for part in value.split(",") if part.strip())
        except ValueError:
            raise ValueError("each must be an address or a network such as 10.0.0.0/8") from None

    @field_validator(*_SCHEMES)
    @classmethod
    def _is_url(cls, value: str | None, field: ValidationInfo) -> str | None:
        if value is not None:
            check_url(value, _SCHEMES[field.field_name or ""])
        return value

    @model_validator(mode="after")
    def _pairs_are_whole(self) -> Self:
        together = [(f"{name}_client_id", f"{name}_client_secret") for name in PROVIDERS]
        together += [("livekit_url", "livekit_api_key"), ("livekit_api_key", "livekit_api_secret")]
        for one, other in (*together, ("livekit_url", "livekit_api_secret")):
            if bool(getattr(self, one)) != bool(getattr(self, other)):
                given, missing = (one, other) if getattr(self, one) else (other, one)
                raise ValueError(f"{variable_of(missing)} is not set, and {variable_of(given)} needs it")
        return self

    @property
    def is_production(self) -> bool:
        return self.omnisonic_env == "production"

    @property
    def logs_json(self) -> bool:
        """Whether each line of a log is a JSON object."""
        return self.is_production if self.log_format is None else self.log_format == "json"

    @property
    def local_storage_dir(self) -> Path:
        """The folder of local storage."""
        return self.storage_local_dir or self.data_dir / "uploads"

    @property
    def access(self) -> Literal["open", "ticket"]:
        """Who may enter a room: `ROOM_ACCESS`; without it `open` only where nobody but this machine can come."""
        if self.room_access is not None:
            return self.room_access
        is_local = {self.gateway_host, self.web_host} <= LOOPBACK and self.gateway_public_url is None
        if self.nextauth_url is not None:
            is_local = is_local and urlsplit(self.nextauth_url).hostname in LOOPBACK
        return "open" if is_local and not self.is_production else "ticket"

    @property
    def parity_on(self) -> bool:
        """Whether the parity service may run."""
        return not self.is_production if self.parity_enabled is None else self.parity_enabled

    @property
    def credentials_on(self) -> bool:
        """Whether people sign in by e-mail and password."""
        return not self.is_production if self.auth_enable_credentials is None else self.auth_enable_credentials

    @property
    def is_https(self) -> bool:
        """Whether browsers reach the web over TLS."""
        return (self.nextauth_url or "").startswith("https:")

    def check_secret(self) -> None:
        """See that what is signed cannot be forged, nor the operator's token guessed. Errors: `BadSettings`.

        For whatever signs or checks signatures.
        """
        _raise_if(self._signing_problems() + self._admin_token_problems())

    def check_admin_token(self) -> None:
        """See that nobody can guess the operator's token, when there is one. Errors: `BadSettings`."""
        _raise_if(self._admin_token_problems())

    def check_sign_in(self) -> None:
        """See that people can sign in, and safely. Errors: `BadSettings`; for whatever serves sign-in."""
        problems = self._signing_problems() + self._admin_token_problems()
        if self.is_production and "github" not in self.providers_on and not self.auth_enable_credentials:
            problems.append(
                "GITHUB_CLIENT_ID is not set: production needs sign-in by GitHub, "
                "unless AUTH_ENABLE_CREDENTIALS is true."
            )
        _raise_if(problems)

    def _signing_problems(self) -> list[str]:
        return secret_problems("NEXTAUTH_SECRET", self.nextauth_secret, SIGNING_BYTES) if self.is_production else []

    def _admin_token_problems(self) -> list[str]:
        if self.admin_token is None or not self.is_production:
            return []
        return secret_problems("ADMIN_TOKEN", self.admin_token, ADMIN_TOKEN_BYTES)

    def origin_policy(self, web_port: int) -> OriginPolicy:
        """The origins whose pages may connect, when the web listens on `web_port`."""
        if self.allowed_origins:
            return OriginPolicy(self.allowed_origins)
        own = {origin("http", name, web_port) for name in _names(self.web_host)}
        if self.nextauth_url:
            own.add(origin_of(urlsplit(self.nextauth_url)))
        return OriginPolicy(frozenset(own))

    def host_policy(self, bound_to: str) -> HostPolicy:
        """The hosts that a listener on `bound_to` answers to."""
        if self.allowed_hosts:
            return HostPolicy(self.allowed_hosts)
        names = set(_names(bound_to))
        for url in (self.nextauth_url, self.gateway_public_url):
            if url and (name := urlsplit(url).hostname):
                names.add(name)
        return HostPolicy(frozenset(names), any_address=bound_to in WILDCARDS)

    @classmethod
    def load(cls, environ: Mapping[str, str] | None = None) -> Self:
        """Read the settings from `environ` (default: this process's).

        Errors: `BadSettings` with one sentence for each variable that cannot be used.
        """
        values = {name.upper(): value for name, value in (os.environ if environ is None else environ).items()}
        known: dict[str, Any] = {}
        for name, field in cls.model_fields.items():
            variable = variable_of(name)
            if values.get(variable):
                known[str(field.validation_alias or name)] = values[variable]
        try:
            return cls(**known)
        except ValidationError as wrong:
            raise BadSettings([_told(problem) for problem in wrong.errors(include_url=False)]) from None


def variable_of(field: str) -> str:
    """The environment variable that sets `field`."""
    alias = Settings.model_fields[field].validation_alias
    return str(alias) if alias else field.upper()


def known_variables() -> frozenset[str]:
    """The environment variables of all settings."""
    return frozenset(map(variable_of, Settings.model_fields))


def explain(field: str) -> str:
    """What `field` means and what it is when nobody sets it: a line of `--help`."""
    info = Settings.model_fields[field]
    meaning = info.description or ""
    if "(default" in meaning or info.default is None or info.default_factory:
        return meaning
    return f"{meaning} (default {info.default})"


def settings_table() -> str:
    """All settings as a Markdown table, for the documentation."""
    rows = [f"| `{variable_of(field)}` | {explain(field)} |" for field in Settings.model_fields]
    return "\n".join(["| variable | meaning |", "| --- | --- |", *rows]) + "\n"


def _names(host: str) -> frozenset[str]:
    """The names that a visitor may call a listener on `host` by."""
    if host in WILDCARDS:
        return LOOPBACK | {socket.gethostname().lower()}
    return LOOPBACK if host in LOOPBACK else frozenset({host.lower()})


def _raise_if(problems: list[str]) -> None:
    if problems:
        raise BadSettings(problems)


def _told(problem: ErrorDetails) -> str:
    location = str(problem["loc"][0]) if problem["loc"] else ""
    return sentence(problem, location if not location or location.isupper() else variable_of(location))
