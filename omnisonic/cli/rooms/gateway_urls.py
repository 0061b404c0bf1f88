"""The URLs of the gateways and the operator's token for them, for `omnisonic rooms`.

The token that `serve` keeps in its data directory is sent to this machine only.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from omnisonic.cli.rooms.inspect_client import GatewayAddress
from omnisonic.errors import BadSettings
from omnisonic.settings.data_directory import GATEWAY, OPERATOR, is_there
from omnisonic.settings.origins import WILDCARDS
from omnisonic.settings.settings import LOOPBACK, Settings

SCHEMES: Final = {"ws": "ws", "wss": "wss", "http": "ws", "https": "wss"}


def find_gateways(settings: Settings, gateways: Sequence[str], token_file: Path | None) -> list[GatewayAddress]:
    """The gateways at these URLs; without any, the one on this machine.

    Raises `BadSettings` for a bad URL, and without a token; `UnusableDataDirectory` when that is another account's.
    """
    urls = [_check_url(url) for url in gateways] or [local_gateway(settings)]
    return [GatewayAddress(url, _token(settings, token_file, url)) for url in dict.fromkeys(urls)]


def _check_url(url: str) -> str:
    scheme, _, rest = url.partition("://") if "://" in url else ("ws", "", url)
    try:
        parts = urlsplit(f"//{rest}")
        is_right = (
            scheme in SCHEMES
            and parts.hostname
            and parts.port != 0
            and not parts.query
            and "@" not in rest
            and rest.isascii()
            and rest.isprintable()
            and " " not in rest
        )
    except ValueError:
        is_right = False
    if not is_right:
        raise BadSettings([f"--gateway {url!r} is no address of a gateway, such as ws://127.0.0.1:8080."])
    return f"{SCHEMES[scheme]}://{rest.rstrip('/')}"


def local_gateway(settings: Settings) -> str:
    """The URL of the gateway on this machine: that of the settings, or of a running `serve`. Raises `BadSettings`."""
    is_set = "gateway_port" in settings.model_fields_set and settings.gateway_port != 0
    try:
        written = "" if is_set else (settings.data_dir / GATEWAY).read_text(encoding="utf-8").strip()
    except OSError:
        written = ""
    if written:
        return _check_url(written)
    if settings.gateway_port == 0:
        raise BadSettings(
            [f"GATEWAY_PORT is 0, and no `omnisonic serve` runs in {settings.data_dir.absolute()}: set --gateway."]
        )
    host = "127.0.0.1" if settings.gateway_host in WILDCARDS else settings.gateway_host
    return f"ws://{f'[{host}]' if ':' in host else host}:{settings.gateway_port}"


def _token(settings: Settings, token_file: Path | None, url: str) -> str:
    if token_file is not None:
        return _read(token_file)
    if settings.admin_token is not None:
        return settings.admin_token.get_secret_value()
    kept = settings.data_dir / OPERATOR
    if urlsplit(url).hostname in LOOPBACK | {settings.gateway_host}:
        if is_there(kept):
            return _read(kept)
        raise BadSettings(
            [f"ADMIN_TOKEN is not set, and there is no token in {kept.absolute()}: set it, or --token-file."]
        )
    raise BadSettings([f"ADMIN_TOKEN is not set, and {url} is another machine: set it, or --token-file."])


def _read(path: Path) -> str:
    try:
        token = path.read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as problem:
        reason = getattr(problem, "strerror", None) or "it is no text"
        raise BadSettings([f"The operator's token cannot be read from {path} ({reason})."]) from None
    if not token or not token.isascii() or not token.isprintable():
        raise BadSettings([f"There is no token in {path}: it must be one line of ASCII."])
    return token
