"""The settings: read once from the environment, validated together, frozen (SPEC 2).

`Settings.load()` reads them. A value that cannot be used stops the start with a sentence that names its variable and
shows no secret. `explain` and `settings_table` print the descriptions for `--help` and the documentation.
"""

import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from omnisonic.errors import BadSettings
from omnisonic.redaction import redacted_text
from omnisonic.settings.fields import SettingsFields, variable_of
from omnisonic.settings.origins import WILDCARDS, HostPolicy, OriginPolicy, host_name, origin, origin_of
from omnisonic.settings.secret_strength import SIGNING_BYTES, secret_problems

LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})


class Settings(SettingsFields):
    """All settings of the studio. The defaults are right for one machine, on loopback.

    `load` reads them from the environment. The constructor takes them as keyword arguments, by the names of the
    variables in lower case (docs/operating.md).

    Raises:
        pydantic.ValidationError: By the constructor, for a value that cannot be used. `load` raises `BadSettings`.

    Example:
        settings = omnisonic.Settings.load()
        settings = omnisonic.Settings.load({**os.environ, "WEB_PORT": "8000"})
    """

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
        """Who may enter a room: `ROOM_ACCESS`. Without it `open` only where no other machine can connect."""
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
        """Check that the signing secret and the tokens are strong. Raises `BadSettings`.

        Call it in whatever signs or checks signatures.
        """
        _raise_if(self._signing_problems() + self._token_problems())

    def check_tokens(self) -> None:
        """Check that the operator's token and the scraper's are strong, if there are any. Raises `BadSettings`."""
        _raise_if(self._token_problems())

    def check_sign_in(self) -> None:
        """Check that people can sign in, and safely. Raises `BadSettings`. Call it in whatever serves sign-in."""
        problems = self._signing_problems() + self._token_problems()
        if self.is_production and "github" not in self.providers_on and not self.auth_enable_credentials:
            problems.append(
                "GITHUB_CLIENT_ID is not set: production needs sign-in by GitHub, "
                "unless AUTH_ENABLE_CREDENTIALS is true."
            )
        _raise_if(problems)

    def _signing_problems(self) -> list[str]:
        if not self.is_production:
            return []
        problems = secret_problems("NEXTAUTH_SECRET", self.nextauth_secret, SIGNING_BYTES)
        if self.nextauth_secret_previous is not None:
            problems += secret_problems("NEXTAUTH_SECRET_PREVIOUS", self.nextauth_secret_previous, SIGNING_BYTES)
        return problems

    def _token_problems(self) -> list[str]:
        return self.weak_tokens() if self.is_production else []

    def origin_policy(self, web_port: int) -> OriginPolicy:
        """The origins whose pages may connect when the web listens on `web_port`."""
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
        return HostPolicy(frozenset(map(host_name, names)), any_address=bound_to in WILDCARDS)

    @classmethod
    def load(cls, environ: Mapping[str, str] | None = None) -> Self:
        """Read the settings from the environment.

        Args:
            environ: The variables. Defaults to `os.environ`.

        Returns:
            The settings, frozen.

        Raises:
            BadSettings: With one sentence for each variable that cannot be used.
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
            raise BadSettings([_sentence(problem) for problem in wrong.errors(include_url=False)]) from None


def known_variables() -> frozenset[str]:
    """The environment variables of all settings."""
    return frozenset(map(variable_of, Settings.model_fields))


def explain(field: str) -> str:
    """The description of `field` with its default: a line of `--help`."""
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
    """The host names by which a listener on `host` is reached."""
    if host in WILDCARDS:
        return LOOPBACK | {socket.gethostname().lower()}
    return LOOPBACK if host in LOOPBACK else frozenset({host_name(host)})


def _raise_if(problems: list[str]) -> None:
    if problems:
        raise BadSettings(problems)


def _sentence(problem: ErrorDetails) -> str:
    """The sentence for one problem that pydantic found."""
    location = str(problem["loc"][0]) if problem["loc"] else ""
    variable = location if not location or location.isupper() else variable_of(location)
    if not variable:  # it is about several
        return _requirement(problem) + "."
    if _holds_secret(variable, str(problem["input"])):
        return f"{variable}: {_requirement(problem)}."
    return redacted_text(f'{variable} is "{problem["input"]}": {_requirement(problem)}.')


def _holds_secret(variable: str, value: str) -> bool:
    """Whether a value must not be shown. A malformed URL may have its password anywhere before the `@`."""
    is_secret = variable.endswith(("_SECRET", "_SECRET_PREVIOUS", "_TOKEN", "_KEY"))
    return is_secret or (variable.endswith("_URL") and "@" in value)


def _requirement(problem: ErrorDetails) -> str:
    limits = problem.get("ctx", {})
    match problem["type"]:
        case "int_parsing" | "int_from_float":
            return "it must be a whole number"
        case "bool_parsing" | "bool_type":
            return "it must be true or false"
        case "float_parsing" | "finite_number":
            return "it must be a number"
        case "greater_than_equal":
            return f"it must be at least {limits['ge']:g}"
        case "less_than_equal":
            return f"it must be at most {limits['le']:g}"
        case "literal_error":
            return f"it must be {str(limits['expected']).replace(chr(39), '')}"
        case _:
            return str(problem["msg"]).removeprefix("Value error, ").rstrip(".")
