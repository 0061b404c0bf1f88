"""The signing secret of cookies, CSRF tokens and tickets, the same in every part (SPEC 2).

It is `NEXTAUTH_SECRET`. In development it may be missing; then a random one is stored in the data directory, where all
parts on this machine find it.
"""

from typing import Final

from omnisonic.settings.data_directory import kept_secret, private_folder
from omnisonic.settings.settings import Settings

FILE: Final = "secret"


def signing_secret(settings: Settings) -> str:
    """The secret. Raises `BadSettings` when it is missing or weak in production, and `UnusableDataDirectory`."""
    settings.check_secret()
    if settings.nextauth_secret is not None:
        return settings.nextauth_secret.get_secret_value()
    return kept_secret(private_folder(settings.data_dir), FILE)
