"""The fields of the settings: every environment variable, its default, its description, and what it may be (SPEC 2).

A field has the name of its variable in lower case, with its unit at the end. Its description is what `--help` and the
documentation print. The fields of storage, rooms and tokens are in
`omnisonic.settings.storage`, `omnisonic.settings.rooms` and `omnisonic.settings.tokens`.
"""

import os
import socket
from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Final, Literal, Self, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationInfo, field_validator, model_validator

from omnisonic.settings.origins import POSTGRES, check_base_url, check_url, parse_host, parse_origin
from omnisonic.settings.rooms import RoomSettings
from omnisonic.settings.storage import StorageSettings
from omnisonic.settings.tokens import TokenSettings

Port: TypeAlias = Annotated[int, Field(ge=0, le=65535)]
Names: TypeAlias = frozenset[str]
Network: TypeAlias = IPv4Network | IPv6Network
Networks: TypeAlias = tuple[Network, ...]

PROVIDERS: Final = ("github", "google", "discord")
NODE_LEVELS: Final[Mapping[str, str]] = {"trace": "debug", "warn": "warning", "fatal": "error"}
"""Levels of loggers for Node, and their names here."""
_SCHEMES: Final = {
    "redis_url": ("redis", "rediss", "unix"),
    "gateway_public_url": ("ws", "wss"),
    "nextauth_url": ("http", "https"),
    "database_url": POSTGRES,
    "livekit_url": ("ws", "wss", "http", "https"),
    **{f"{name}_{of}_url": ("http", "https") for name in PROVIDERS for of in ("base", "api")},
}
"""The schemes that the URL in a setting may have."""
_WITH_OPTIONS: Final = frozenset({"redis_url", "database_url"})
"""The URLs that may have a password, and options as a query."""


class LogSettings(BaseModel):
    """What is logged, and in which form."""

    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="what is logged: `debug`, `info`, `warning` or `error` and worse"
    )
    log_format: Literal["text", "json"] | None = Field(
        default=None, description="`text` or `json`, a JSON object a line (default: `json` in production, else `text`)"
    )

    @field_validator("log_level", "log_format", mode="before")
    @classmethod
    def _in_any_case(cls, value: object, field: ValidationInfo) -> object:
        if not isinstance(value, str):
            return value
        word = value.strip().lower()
        return NODE_LEVELS.get(word, word) if field.field_name == "log_level" else word


class ProviderSettings(BaseModel):
    """Sign-in by GitHub, Google and Discord. A provider is on when its id and its secret are set."""

    github_client_id: str | None = Field(
        default=None, description="the OAuth application at GitHub; with its secret sign-in by GitHub is on"
    )
    github_client_secret: SecretStr | None = Field(default=None, description="the secret to `GITHUB_CLIENT_ID`")
    github_base_url: str = Field(
        default="https://github.com", description="where people sign in to GitHub, or to a GitHub Enterprise"
    )
    github_api_url: str = Field(default="https://api.github.com", description="the API of GitHub, or of the Enterprise")
    google_client_id: str | None = Field(
        default=None, description="the OAuth client at Google; with its secret sign-in by Google is on"
    )
    google_client_secret: SecretStr | None = Field(default=None, description="the secret to `GOOGLE_CLIENT_ID`")
    google_base_url: str = Field(default="https://accounts.google.com", description="Google, or another OpenID issuer")
    google_api_url: str = Field(
        default="https://openidconnect.googleapis.com",
        description="the API of Google, which is not asked: its ID token says who somebody is",
    )
    discord_client_id: str | None = Field(
        default=None, description="the application at Discord; with its secret sign-in by Discord is on"
    )
    discord_client_secret: SecretStr | None = Field(default=None, description="the secret to `DISCORD_CLIENT_ID`")
    discord_base_url: str = Field(default="https://discord.com", description="where people sign in to Discord")
    discord_api_url: str = Field(default="https://discord.com/api", description="the API of Discord")

    @property
    def providers_on(self) -> tuple[str, ...]:
        """The providers that are on."""
        return tuple(name for name in PROVIDERS if getattr(self, f"{name}_client_id"))


class ExportSettings(BaseModel):
    """How many mixdowns are made, for how long, and how long they are kept."""

    export_max_active: int = Field(
        default=2, ge=0, le=1000, description="mixdowns of one session in the making at once; 0: no limit"
    )
    export_max_active_per_user: int = Field(
        default=4, ge=0, le=1000, description="mixdowns that one user may have in the making at once; 0: no limit"
    )
    export_worker_concurrency: int = Field(default=2, ge=1, le=64, description="mixdowns that a worker makes at once")
    export_max_duration_seconds: int = Field(
        default=600, ge=1, le=86_400, description="seconds that making one mixdown may take"
    )
    export_retention_days: int = Field(
        default=30, ge=1, le=36_500, description="days that a mixdown is kept after it was asked for"
    )


class MessageSettings(BaseModel):
    """How long kept messages of rooms stay."""

    message_retention_days: int = Field(
        default=0, ge=0, le=36_500, description="days that kept messages stay; 0: as long as their session"
    )


class WebSettings(BaseModel):
    """How many connections one web process holds, and how many requests it allows."""

    web_max_connections: int = Field(
        default=4_000,
        ge=0,
        description="connections that one web process holds, if half its file descriptors are as many; 0: those",
    )
    web_max_connections_per_address: int = Field(
        default=256,
        ge=0,
        description="connections to one web process from one address, but those of `TRUSTED_PROXIES`; 0: half of all",
    )
    rest_rate_per_s: float = Field(
        default=20, ge=0, allow_inf_nan=False, description="requests a second that one person may make; 0: no limit"
    )
    rest_burst: int = Field(default=600, ge=1, description="requests that one person may make at once")
    rest_address_rate_per_s: float = Field(
        default=100,
        ge=0,
        allow_inf_nan=False,
        description="requests a second from one address, whoever makes them; 0: no limit",
    )
    rest_address_burst: int = Field(default=3000, ge=1, description="requests from one address at once")


def _default_data_dir() -> Path:
    return Path("/var/lib/omnisonic") if os.geteuid() == 0 else Path(".omnisonic")


class SettingsFields(
    LogSettings,
    ProviderSettings,
    RoomSettings,
    ExportSettings,
    MessageSettings,
    StorageSettings,
    TokenSettings,
    WebSettings,
):
    """All fields, validated together and frozen."""

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
    omnisonic_pure: bool = Field(
        default=False, description="`true`: rooms run as plain Python, even where a compiled build is there"
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
        description=(
            "`redis://`, `rediss://` or `unix://` URL of presence, bus and what rooms remember"
            " (default: embedded or in-process)"
        ),
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
        description="host names that are answered, on any port, comma-separated (default: the names bound to)",
    )
    nextauth_url: str | None = Field(default=None, description="the public URL of the web (default: where it listens)")
    auth_enable_credentials: bool | None = Field(
        default=None, description="sign-in by e-mail and password (default: on in development, off in production)"
    )
    livekit_url: str | None = Field(
        default=None, description="a LiveKit server: with its key and secret, tickets carry a token for it"
    )
    livekit_api_key: str | None = Field(default=None, description="the key of that LiveKit server")
    livekit_api_secret: SecretStr | None = Field(default=None, description="the secret to `LIVEKIT_API_KEY`")

    @field_validator("allowed_origins", "allowed_hosts", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return frozenset(part.strip().rstrip("/").lower() for part in value.split(",") if part.strip())
        return value

    @field_validator("allowed_origins")
    @classmethod
    def _are_origins(cls, value: frozenset[str]) -> frozenset[str]:
        return frozenset(parse_origin(origin) for origin in sorted(value))

    @field_validator("allowed_hosts")
    @classmethod
    def _are_hosts(cls, value: frozenset[str]) -> frozenset[str]:
        return frozenset(parse_host(name) for name in sorted(value))

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
            name = field.field_name or ""
            check = check_url if name in _WITH_OPTIONS else check_base_url
            check(value, _SCHEMES[name])
        return value

    @model_validator(mode="after")
    def _pairs_are_whole(self) -> Self:
        together = [(f"{name}_client_id", f"{name}_client_secret") for name in PROVIDERS]
        together += [("livekit_url", "livekit_api_key"), ("livekit_api_key", "livekit_api_secret")]
        for one, other in together:
            if bool(getattr(self, one)) != bool(getattr(self, other)):
                given, missing = (one, other) if getattr(self, one) else (other, one)
                raise ValueError(f"{variable_of(missing)} is not set, and {variable_of(given)} needs it")
        return self


def variable_of(field: str) -> str:
    """The environment variable that sets `field`."""
    alias = SettingsFields.model_fields[field].validation_alias
    return str(alias) if alias else field.upper()
