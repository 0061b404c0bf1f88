"""Hashes with old parameters are renewed when somebody signs in, whatever happens at the same moment."""

from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import pytest
from argon2 import PasswordHasher

from omnisonic.errors import Unavailable
from omnisonic.http.auth.credentials import Credentials, CredentialsSignIn, PasswordThreads
from omnisonic.http.core.errors import Refusal
from omnisonic.identity.passwords import hash_password, needs_rehash
from omnisonic.models import UserId
from omnisonic.stores.guard.memory import MemoryGuard
from omnisonic.studio.accounts import PasswordEntry
from omnisonic.studio.accounts.account_store import AccountStore
from tests.cli.running import eventually
from tests.http.auth.test_auth_credentials import attempt, count_waiting, locked
from tests.http.running import Web
from tests.http.signing_in import EMAIL, PASSWORD

OLD: Final = PasswordHasher(time_cost=1, memory_cost=1024)
"""Makes hashes as earlier releases did."""


class DisturbedAccounts(AccountStore):
    """Accounts where something happens `before` a hash is renewed, and its answer may be lost."""

    before: Callable[[], Awaitable[object]] | None = None
    is_executed = True
    is_answered = True

    async def rehash(self, user: UserId, password_hash: str, *, replacing: str | None = None) -> bool:
        if self.before is not None:
            await self.before()
        is_renewed = self.is_executed and await super().rehash(user, password_hash, replacing=replacing)
        if not self.is_answered:
            raise Unavailable("The answer is lost.")
        return is_renewed


@pytest.fixture
def accounts(web: Web) -> DisturbedAccounts:
    """One account, whose hash is an old one."""
    accounts = DisturbedAccounts(web.database)
    web.do(accounts.register(EMAIL, OLD.hash(PASSWORD)))
    return accounts


def signed_in(web: Web, accounts: AccountStore) -> PasswordEntry:
    """What the right password was checked against; it opens a sign-in."""
    passwords = PasswordThreads()
    sign_in = CredentialsSignIn(accounts, MemoryGuard(), passwords, registers=False)
    try:
        entry = web.do(sign_in.validate(Credentials(email=EMAIL, password=PASSWORD), "198.51.100.7"))
    finally:
        passwords.close()
    assert web.do(accounts.open_login(entry.user, password_hash=entry.password_hash))
    assert web.do(accounts.password_of(EMAIL)) == entry
    return entry


def test_several_sign_ins_at_once_renew_an_old_hash_once(web: Web, accounts: DisturbedAccounts) -> None:
    """All have the right password, and all are let in, though only one of their hashes is stored."""
    with ThreadPoolExecutor(3) as pool:
        with locked(web, "users"):
            answers = [pool.submit(attempt, web, PASSWORD) for _ in range(3)]
            eventually(lambda: count_waiting(web) == 3, what="all three read the old hash")
        assert [answer.result().status_code for answer in answers] == [200] * 3
    entry = web.do(accounts.password_of(EMAIL))
    assert entry is not None
    assert not needs_rehash(entry.password_hash)


@pytest.mark.parametrize("is_executed", [True, False])
def test_a_renewal_without_an_answer_keeps_nobody_out(
    web: Web, accounts: DisturbedAccounts, *, is_executed: bool
) -> None:
    """Whether it was done or not: what counts is the hash that is stored then."""
    accounts.is_executed, accounts.is_answered = is_executed, False
    assert needs_rehash(signed_in(web, accounts).password_hash) is not is_executed


def test_a_password_that_is_changed_during_the_renewal_is_the_one_that_counts(
    web: Web, accounts: DisturbedAccounts
) -> None:
    """The old one is wrong from then on. The same one, set anew, is right."""
    for password in (PASSWORD, "another password"):
        new_hash = hash_password(password)

        async def change(new_hash: str = new_hash) -> None:
            await accounts.set_password(EMAIL, new_hash)

        web.do(accounts.set_password(EMAIL, OLD.hash(PASSWORD)))
        accounts.before = change
        if password == PASSWORD:
            assert signed_in(web, accounts).password_hash == new_hash
        else:
            with pytest.raises(Refusal, match="do not belong together"):
                signed_in(web, accounts)
