"""The signing secret of cookies, CSRF tokens, links and tickets, the same in every part (SPEC 2).

It is `NEXTAUTH_SECRET`. In development it may be missing; then a random one is stored in the data directory, where all
parts on this machine find it. What `NEXTAUTH_SECRET_PREVIOUS` has signed is believed as well; nothing is signed by it.
"""

from dataclasses import dataclass, field
from typing import Final, TypeAlias

from omnisonic.settings.data_directory import kept_secret, private_folder
from omnisonic.settings.settings import Settings

FILE: Final = "secret"


@dataclass(frozen=True, slots=True)
class ChangedSecret:
    """A signing secret that was changed: what signs now, and what did before and is still believed."""

    current: str = field(repr=False)
    previous: str = field(repr=False)


Secret: TypeAlias = str | ChangedSecret
"""A signing secret."""


def believed_secrets(secret: Secret) -> list[str]:
    """All secrets whose signatures are believed, the oldest first; the last one signs (as itsdangerous has it)."""
    return [secret] if isinstance(secret, str) else [secret.previous, secret.current]


def signing_secret(settings: Settings) -> Secret:
    """The secret. Raises `BadSettings` when it is missing or weak in production, and `UnusableDataDirectory`."""
    settings.check_secret()
    if settings.nextauth_secret is not None:
        current = settings.nextauth_secret.get_secret_value()
    else:
        current = kept_secret(private_folder(settings.data_dir), FILE)
    previous = settings.nextauth_secret_previous
    return current if previous is None else ChangedSecret(current, previous.get_secret_value())
