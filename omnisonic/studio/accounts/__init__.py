"""Accounts: people, how they prove who they are, and their sign-ins (SPEC 4). Adapter:
`omnisonic.studio.accounts.account_store`.

A sign-in is a row that can be ended; the cookie only names it (`omnisonic.identity.logins`).
"""

from datetime import datetime
from typing import Protocol

import msgspec

from omnisonic.errors import OmnisonicError
from omnisonic.models import LoginId, Person, UserId


class EmailTaken(OmnisonicError):
    """There is an account with that e-mail address already."""

    code = "email_taken"


class NotLinked(OmnisonicError):
    """There is an account with the e-mail address that a provider gave, and the provider does not vouch for it."""

    code = "account_not_linked"


class PasswordChanged(OmnisonicError):
    """The password that was right a moment ago is not the account's any more."""

    code = "password_changed"


class PasswordEntry(msgspec.Struct, frozen=True):
    """A user who has a password, and its argon2id hash."""

    user: UserId
    password_hash: str


class Identity(msgspec.Struct, frozen=True):
    """Who a provider says somebody is. `subject` is the provider's own name for them and never changes."""

    provider: str
    subject: str
    email: str | None
    email_verified: bool
    name: str | None
    image: str | None


class SignedIn(msgspec.Struct, frozen=True):
    """Whose sign-in it is, and when it ends if it is not used again (UTC)."""

    person: Person
    expires: datetime


class AccountStore(Protocol):
    """Errors: every method may raise `Unavailable`.

    E-mail addresses are compared without regard to case or spelling (`omnisonic.identity.emails`). Where two accounts
    are there under spellings of one address, which older releases allowed, it is the one that is spelled as it is asked
    for.
    """

    async def password_of(self, email: str) -> PasswordEntry | None:
        """The password's hash of the account with that address; None when there is no such account or no password."""
        ...

    async def register(self, email: str, password_hash: str, *, name: str | None = None) -> UserId:
        """Make an account with a password. Errors: `EmailTaken`, also when two do so at once."""
        ...

    async def set_password(self, email: str, password_hash: str) -> UserId | None:
        """Give the account another password and end all its sign-ins; None when there is no such account."""
        ...

    async def rehash(self, user: UserId, password_hash: str, *, replacing: str | None = None) -> None:
        """Keep the same password under newer parameters. Nothing happens when `replacing` is its hash no more: the
        password was changed in between. A password that was taken away stays away.
        """
        ...

    async def identify(self, identity: Identity) -> UserId:
        """The account of this identity: known already, linked now by an address the provider has verified, or new.

        When it is linked to an account whose address nobody had verified, that account's password and sign-ins end:
        whoever made it had never shown that the address was theirs. Errors: `NotLinked`.
        """
        ...

    async def open_login(
        self, user: UserId, *, replacing: LoginId | None = None, password_hash: str | None = None
    ) -> str:
        """Sign a user in: the new token. The sign-in `replacing` ends in the same moment.

        Who was let in by a password gives the hash that it was checked against, so that a check under way while the
        password changes, or is taken away, opens nothing. Errors: `PasswordChanged`.
        """
        ...

    async def end_login(self, login: LoginId) -> bool:
        """End a sign-in. False when there was none."""
        ...

    async def signed_in(self, login: LoginId) -> SignedIn | None:
        """Whose sign-in it is, while it holds (`IDLE_S`, `LONGEST_S`)."""
        ...

    async def touch(self, login: LoginId) -> None:
        """Note that the sign-in was used."""
        ...

    async def sweep(self) -> int:
        """Delete what has run out: sign-ins and invites; how many."""
        ...
