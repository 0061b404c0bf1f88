"""The fork server of `omnisonic serve`: what it imports for the parts, and that it knows no secrets.

What is imported here must start no thread and open no file (`omnisonic.operations.fork_server`).
"""

import os
from collections.abc import Mapping
from typing import Final

from omnisonic.operations.embedded import KEPT_VARIABLES
from omnisonic.operations.fork_server import ForkServer
from omnisonic.settings.settings import Settings

IMPORTED: Final = ("main", "read_settings", "migrate", "gateway", "web", "worker", "parity")
"""Modules of `omnisonic.cli`: what the parts run."""
IMPORTED_LATER: Final = ("httpcore",)
"""What a library imports when the web first uses it."""
BUCKETS: Final = "omnisonic.stores.storage.s3"
SECRET_PREFIXES: Final = (
    "DATABASE_URL",
    "REDIS_URL",
    "NEXTAUTH_SECRET",
    "ADMIN_TOKEN",
    "METRICS_TOKEN",
    "STORAGE_",
    "S3_",
    "AWS_",
    "MINIO_",
    "GITHUB_",
    "GOOGLE_",
    "DISCORD_",
    "LIVEKIT_",
    "PGPASS",
)
"""Prefixes of the variables that the parity service does not get: secrets, and what belongs to them."""
KEPT_NAMES: Final = ("HOME", "OMNISONIC_PURE")
KEPT_PREFIXES: Final = (*KEPT_VARIABLES, "LC_", "OTEL_")
"""The variables that imports may depend on: of Python, the system, which build runs, and OpenTelemetry. No other
program's: they may hold a secret, whatever their names are."""
EXPORTERS: Final = "OTEL_EXPORTER_"
"""Where telemetry goes, and with what credentials. No import depends on it."""


def create_fork_server(settings: Settings) -> ForkServer:
    """A fork server for the parts of a studio with these settings."""
    modules = [*(f"omnisonic.cli.{module}" for module in IMPORTED), *IMPORTED_LATER]
    if settings.storage_type != "local":
        modules.append(BUCKETS)
    environ = {name: value for name, value in os.environ.items() if _is_kept(name)}
    return ForkServer(modules, environ | {"PYTHONUNBUFFERED": "1"})


def _is_kept(name: str) -> bool:
    return name in KEPT_NAMES or (name.startswith(KEPT_PREFIXES) and not name.startswith(EXPORTERS))


def without_secrets(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables that the parity service gets."""
    return {name: value for name, value in environ.items() if not name.upper().startswith(SECRET_PREFIXES)}
