"""The signing secret: what cookies, CSRF tokens and tickets are signed with, the same in every part (SPEC 2).

`NEXTAUTH_SECRET` when it is set. Development does without: one is made at random and kept in the data directory, where
the parts on this machine find it.
"""

from typing import Final

from omnisonic.settings.data_directory import kept_secret, private_folder
from omnisonic.settings.settings import Settings

FILE: Final = "secret"


def signing_secret(settings: Settings) -> str:
    """The secret. Errors: `BadSettings` in production when it is missing or short; `UnusableDataDirectory`."""
    settings.check_secret()
    if settings.nextauth_secret is not None:
        return settings.nextauth_secret.get_secret_value()
    return kept_secret(private_folder(settings.data_dir), FILE)
