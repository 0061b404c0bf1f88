"""Accounts: users, their passwords and identities, and their sign-ins (SPEC 4). Here are the models and errors.

A sign-in is a row that can be ended; the cookie only names it (`omnisonic.identity.logins`).
"""

from datetime import datetime

import msgspec

from omnisonic.errors import OmnisonicError
from omnisonic.models import Person, UserId


class EmailTaken(OmnisonicError):
    """An account with that e-mail address exists already."""

    code = "email_taken"


class NotLinked(OmnisonicError):
    """An account with the e-mail address that a provider gave exists, and the provider has not verified the address."""

    code = "account_not_linked"


class PasswordChanged(OmnisonicError):
    """The password was changed or removed after it had been checked."""

    code = "password_changed"


class PasswordEntry(msgspec.Struct, frozen=True):
    """A user who has a password, and its argon2id hash."""

    user: UserId
    password_hash: str


class Identity(msgspec.Struct, frozen=True):
    """A user as a provider knows them. `subject` is the provider's own id for them and never changes."""

    provider: str
    subject: str
    email: str | None
    email_verified: bool
    name: str | None
    image: str | None


class SignedIn(msgspec.Struct, frozen=True):
    """A sign-in that holds: whose it is, and when it ends if it is not used again (UTC)."""

    person: Person
    expires: datetime
