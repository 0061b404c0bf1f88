"""The URLs of the database and of Redis, for commands that an operator runs beside a studio, such as `migrate`."""

from omnisonic.errors import BadSettings
from omnisonic.operations.embedded.postgres import running_embedded_url
from omnisonic.operations.embedded.valkey import running_valkey_url
from omnisonic.settings.settings import Settings


def find_database_url(settings: Settings) -> str:
    """`DATABASE_URL`, or the URL of the database that `omnisonic serve` runs in the data directory now.

    Raises:
        BadSettings: There is neither.
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


def find_redis_url(settings: Settings) -> str | None:
    """`REDIS_URL`, or the URL of the Valkey that `omnisonic serve` runs now. None when there is neither."""
    return settings.redis_url or running_valkey_url(settings.data_dir)
