"""The settings: read once from the environment, validated together, frozen (SPEC 2).

`Settings.load()` is the only way in. A field is called what its variable is called, in lower case and with its
unit at the end; its description is what `--help` and the documentation print.
"""

import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from omnisonic.errors import BadSettings
from omnisonic.origins import WILDCARDS, HostPolicy, OriginPolicy

Port = Annotated[int, Field(ge=0, le=65535)]
Names = Annotated[frozenset[str], NoDecode]

LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})


def _default_data_dir() -> Path:
    return Path("/var/lib/omnisonic") if os.geteuid() == 0 else Path(".omnisonic")


class Settings(BaseSettings):
    """Everything that the environment decides. Defaults are right for one machine, on loopback."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True, populate_by_name=True)

    omnisonic_env: Literal["development", "production"] = Field(
        "development", description="`production` turns the conveniences of development off"
    )
    data_dir: Path = Field(
        default_factory=_default_data_dir,
        validation_alias="OMNISONIC_DATA_DIR",
        description="where this installation keeps its files (default `.omnisonic`, `/var/lib/omnisonic` for root)",
    )
    web_host: str = Field("127.0.0.1", description="address the web listens on")
    web_port: Port = Field(3000, description="port the web listens on; 0 picks a free one")
    gateway_host: str = Field("127.0.0.1", description="address the realtime gateway listens on")
    gateway_port: Port = Field(8080, description="port the realtime gateway listens on; 0 picks a free one")
    gateway_public_url: str | None = Field(
        None, description="the `ws://` or `wss://` URL that browsers reach the gateway by, when a proxy stands before it"
    )
    gateway_id: str = Field(
        default_factory=socket.gethostname,
        description="this gateway's name in the presence store (default: the host's name); a restart cleans up after it",
    )
    redis_url: str | None = Field(
        None, description="`redis://`, `rediss://` or `unix://` URL of presence and bus (default: embedded or in-process)"
    )
    presence_ttl_s: int = Field(
        60, ge=15, le=900, validation_alias="PRESENCE_TTL", description="seconds a roster entry outlives its refresher"
    )
    room_access: Literal["open", "ticket"] | None = Field(
        None, description="who may enter a room (default: `open` on a loopback bind, `ticket` otherwise)"
    )
    allowed_origins: Names = Field(
        frozenset(), description="origins whose pages may connect, comma-separated, exact (default: the web's own)"
    )
    allowed_hosts: Names = Field(
        frozenset(), description="values of `Host` that are answered, comma-separated (default: the names bound to)"
    )
    nextauth_url: str | None = Field(None, description="the public URL of the web")
    member_rate_per_s: float = Field(500, ge=0, description="messages a second that one connection may send; 0: no limit")
    member_burst: int = Field(1000, ge=1, description="messages that one connection may send at once")
    member_queue_bytes: int = Field(
        262_144, ge=0, description="bytes that may wait for one member who does not read; 0: no limit"
    )
    max_connections: int = Field(20_000, ge=0, description="connections the gateway holds; 0: no limit")
    max_connections_per_address: int = Field(5_000, ge=0, description="connections from one address; 0: no limit")
    max_members_per_room: int = Field(2_000, ge=0, description="members in one room; 0: no limit")

    @field_validator("allowed_origins", "allowed_hosts", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return frozenset(part.strip().rstrip("/").lower() for part in value.split(",") if part.strip())
        return value

    @field_validator("allowed_origins")
    @classmethod
    def _are_origins(cls, value: frozenset[str]) -> frozenset[str]:
        for origin in sorted(value):
            parts = urlsplit(origin)
            if parts.scheme not in ("http", "https") or not parts.netloc or parts.path or parts.query:
                raise ValueError(f"{origin!r} is not an origin such as https://studio.example")
        return value

    @field_validator("redis_url")
    @classmethod
    def _is_redis(cls, value: str | None) -> str | None:
        return _with_scheme(value, "redis", "rediss", "unix")

    @field_validator("gateway_public_url")
    @classmethod
    def _is_websocket(cls, value: str | None) -> str | None:
        return _with_scheme(value, "ws", "wss")

    @field_validator("nextauth_url")
    @classmethod
    def _is_http(cls, value: str | None) -> str | None:
        return _with_scheme(value, "http", "https")

    @property
    def is_production(self) -> bool:
        return self.omnisonic_env == "production"

    @property
    def access(self) -> Literal["open", "ticket"]:
        """Who may enter a room: `ROOM_ACCESS`, or by where the gateway is bound."""
        if self.room_access is not None:
            return self.room_access
        return "open" if self.gateway_host in LOOPBACK else "ticket"

    def origin_policy(self, web_port: int) -> OriginPolicy:
        """The origins whose pages may connect, when the web listens on `web_port`."""
        if self.allowed_origins:
            return OriginPolicy(self.allowed_origins)
        own = {f"http://{name}:{web_port}" for name in _names(self.web_host)}
        if self.nextauth_url:
            parts = urlsplit(self.nextauth_url)
            own.add(f"{parts.scheme}://{parts.netloc}".lower())
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
            raise BadSettings([_sentence(problem) for problem in wrong.errors()]) from None

    @classmethod
    def settings_customise_sources(
        cls, settings_cls: type[BaseSettings], init_settings: PydanticBaseSettingsSource, **_: PydanticBaseSettingsSource
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only what `load` hands in: nothing is read behind its back."""
        return (init_settings,)


def variable_of(field: str) -> str:
    """The environment variable that sets `field`."""
    alias = Settings.model_fields[field].validation_alias
    return str(alias) if alias else field.upper()


def _names(host: str) -> frozenset[str]:
    """The names that a visitor may call a listener on `host` by."""
    if host in WILDCARDS:
        return LOOPBACK | {socket.gethostname().lower()}
    return LOOPBACK if host in LOOPBACK else frozenset({host.lower()})


def _with_scheme(value: str | None, *schemes: str) -> str | None:
    if value is not None and urlsplit(value).scheme not in schemes:
        raise ValueError(f"must begin with {' or '.join(f'{scheme}://' for scheme in schemes)}")
    return value


def _sentence(problem: Any) -> str:
    location = str(problem["loc"][0])
    variable = location if location.isupper() else variable_of(location)
    reason = str(problem["msg"]).removeprefix("Value error, ").removeprefix("Input should be ")
    reason = reason if problem["type"] == "value_error" else f"must be {reason}"
    return f"{variable}={problem['input']!s}: {reason.rstrip('.')}."
