"""Where the database and Redis are, for the commands that an operator runs beside a studio, such as `migrate`."""

from omnisonic.errors import BadSettings
from omnisonic.operations.embedded.postgres import running_embedded_url
from omnisonic.operations.embedded.valkey import running_valkey_url
from omnisonic.settings.settings import Settings


def database_of(settings: Settings) -> str:
    """The URL: `DATABASE_URL`, or of the database that `omnisonic serve` runs in the data directory now.

    Errors: `BadSettings` when there is neither.
    """
    url = settings.database_url or running_embedded_url(settings.data_dir)
    if url is None:
        raise BadSettings(
            [
                f"DATABASE_URL is not set, and no `omnisonic serve` runs a database in {settings.data_dir.absolute()}: "
                "set it, or OMNISONIC_DATA_DIR."
            ]
        )
    return url


def redis_of(settings: Settings) -> str | None:
    """The URL: `REDIS_URL`, or of the Valkey that `omnisonic serve` runs now. None when there is neither."""
    return settings.redis_url or running_valkey_url(settings.data_dir)
