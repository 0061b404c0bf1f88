"""The fork server of `omnisonic serve`: what it imports for the parts, and that it knows no secrets.

What is imported here must start no thread and open no file (`omnisonic.operations.fork_server`).
"""

import os
from collections.abc import Mapping
from typing import Final

from omnisonic.operations.fork_server import ForkServer
from omnisonic.settings.settings import Settings, known_variables

IMPORTED: Final = ("main", "read_settings", "migrate", "gateway", "web", "worker", "parity")
"""Modules of `omnisonic.cli`: what the parts run."""
IMPORTED_LATER: Final = ("httpcore",)
"""What a library imports when the web first uses it."""
BUCKETS: Final = "omnisonic.stores.storage.s3"
BUILD: Final = "OMNISONIC_PURE"
"""The one setting that imports depend on (`omnisonic.compilation`)."""
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
SECRET_WORDS: Final = ("SECRET", "TOKEN", "PASSWORD", "KEY", "HEADERS")
"""The fork server gets no variables of other programs with one of these words in their names."""


def create_fork_server(settings: Settings) -> ForkServer:
    """A fork server for the parts of a studio with these settings."""
    modules = [*(f"omnisonic.cli.{module}" for module in IMPORTED), *IMPORTED_LATER]
    if settings.storage_type != "local":
        modules.append(BUCKETS)
    known = known_variables() - {BUILD}
    environ = {
        name: value
        for name, value in without_secrets(os.environ).items()
        if name.upper() not in known and not any(word in name.upper() for word in SECRET_WORDS)
    }
    return ForkServer(modules, environ | {"PYTHONUNBUFFERED": "1"})


def without_secrets(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables that the parity service gets."""
    return {name: value for name, value in environ.items() if not name.upper().startswith(SECRET_PREFIXES)}
