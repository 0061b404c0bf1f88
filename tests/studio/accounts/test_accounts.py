"""What the account store promises (`omnisonic.studio.accounts`), on a real Postgres."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final
from uuid import uuid4

import pytest
import trio

from omnisonic.errors import InvalidInput
from omnisonic.identity.logins import IDLE_S, LONGEST_S, login_id, new_token
from omnisonic.models import Person
from omnisonic.studio.accounts import (
    EmailTaken,
    Identity,
    NotLinked,
    PasswordChanged,
    PasswordEntry,
)
from omnisonic.studio.accounts.account_store import SWEPT_AT_ONCE, AccountStore
from tests.studio.databases import Base

ADA: Final = "ada@example.com"
UNVERIFIED: Final = Identity("github", "1", ADA, email_verified=False, name="Ada", image=None)
VERIFIED: Final = Identity("github", "1", ADA, email_verified=True, name="Ada L.", image="https://example.com/ada.png")
CLOCKS_S: Final = 5
"""How far the database's clock may be from ours."""


@pytest.fixture
def accounts(base: Base) -> AccountStore:
    """The account store, with nobody in it."""
    return base.of(AccountStore(base.database))


async def test_an_account_is_found_by_its_address_in_any_case(accounts: AccountStore) -> None:
    """What was registered is found, and nobody else."""
    user = await accounts.register("Ada@Example.com", "hash", name="Ada")
    for email in ("Ada@Example.com", "ada@example.com", "ADA@EXAMPLE.COM"):
        assert await accounts.password_of(email) == PasswordEntry(user, "hash")
    for email in ("", "bo@example.com", "ada@example.com ", "%", "' OR true --", "ada@example.com\0", "\ud800"):
        assert await accounts.password_of(email) is None


async def test_an_address_has_one_account(accounts: AccountStore) -> None:
    """In any case; the password stays what it was."""
    user = await accounts.register(ADA, "hash")
    with pytest.raises(EmailTaken):
        await accounts.register("ADA@example.com", "another hash")
    assert await accounts.password_of(ADA) == PasswordEntry(user, "hash")


async def test_letters_that_only_look_alike_in_lower_case_are_different_addresses(accounts: AccountStore) -> None:
    """U+212A, the Kelvin sign, becomes a k when it is lowered: whoever owns that address must not get at this one's."""
    kate = await accounts.register("kate@example.com", "hash")
    kelvin = Identity("github", "1", "\u212aate@example.com", email_verified=True, name=None, image=None)
    assert await accounts.identify(kelvin) != kate
    assert await accounts.password_of("\u212aate@example.com") is None


async def at_once(*acts: Callable[[], Awaitable[object]]) -> list[object]:
    """What each answered, or the class of what it raised."""
    answers: list[object] = []

    async def do(act: Callable[[], Awaitable[object]]) -> None:
        try:
            answers.append(await act())
        except EmailTaken:
            answers.append(EmailTaken)

    async with trio.open_nursery() as nursery:
        for act in acts:
            nursery.start_soon(do, act)
    return answers


async def test_of_ten_who_register_an_address_at_once_one_gets_it(accounts: AccountStore) -> None:
    """The others are told that it is taken."""
    answers = await at_once(*[partial(accounts.register, ADA, f"hash {number}") for number in range(10)])
    assert answers.count(EmailTaken) == 9


async def test_another_password_ends_all_sign_ins(accounts: AccountStore) -> None:
    """Those of this account; nobody else's."""
    ada, bo = await accounts.register(ADA, "hash"), await accounts.register("bo@example.com", "hash")
    theirs = [login_id(await accounts.open_login(ada)) for _ in range(2)]
    other = login_id(await accounts.open_login(bo))
    assert await accounts.set_password("ADA@example.com", "new hash") == ada
    assert await accounts.password_of(ADA) == PasswordEntry(ada, "new hash")
    assert [await accounts.signed_in(login) for login in theirs] == [None, None]
    assert await accounts.signed_in(other) is not None
    assert await accounts.set_password("nobody@example.com", "hash") is None
    assert await accounts.set_password("\0", "hash") is None


async def test_a_rehash_never_brings_an_old_password_back(accounts: AccountStore, base: Base) -> None:
    """It is kept while its password is the account's, and not after that was changed or taken away."""
    ada = await accounts.register(ADA, "hash")
    assert await accounts.rehash(ada, "newer hash", replacing="hash")
    assert await accounts.password_of(ADA) == PasswordEntry(ada, "newer hash")
    assert not await accounts.rehash(ada, "late hash", replacing="hash")
    assert await accounts.password_of(ADA) == PasswordEntry(ada, "newer hash")
    await base.sql("UPDATE users SET password_hash = NULL")
    assert not await accounts.rehash(ada, "late hash")
    assert await accounts.password_of(ADA) is None


async def test_a_password_that_has_changed_meanwhile_opens_nothing(accounts: AccountStore) -> None:
    """Who was checked against the old one is refused, and the sign-in they would replace lives; the new one opens."""
    ada = await accounts.register(ADA, "hash")
    await accounts.set_password(ADA, "new hash")
    before = login_id(await accounts.open_login(ada, password_hash="new hash"))
    with pytest.raises(PasswordChanged):
        await accounts.open_login(ada, replacing=before, password_hash="hash")
    assert await accounts.signed_in(before) is not None
    with pytest.raises(PasswordChanged):
        await accounts.open_login(str(uuid4()))


async def test_no_sign_in_by_an_old_password_survives_its_change(accounts: AccountStore, base: Base) -> None:
    """Ten people sign in with it at the moment of the change: each is refused, or ended with the others."""
    ada = await accounts.register(ADA, "hash 0")

    async def open_login(password_hash: str) -> None:
        try:
            await accounts.open_login(ada, password_hash=password_hash)
        except PasswordChanged:
            return

    for number in range(10):
        async with trio.open_nursery() as nursery:
            for index in range(10):
                nursery.start_soon(open_login, f"hash {number}")
                if index == 5:
                    nursery.start_soon(accounts.set_password, ADA, f"hash {number + 1}")
        assert await base.number("SELECT count(*) FROM logins") == 0


async def test_a_sign_in_is_whose_it_is_until_it_ends(accounts: AccountStore) -> None:
    """Twelve hours from now; ended once, and then there is none to end."""
    ada = await accounts.register(ADA, "hash", name="Ada")
    token = await accounts.open_login(ada)
    signed_in = await accounts.signed_in(login_id(token))
    assert signed_in is not None
    assert signed_in.person == Person(ada, "Ada", ADA, None)
    assert signed_in.expires.tzinfo == UTC
    assert abs(signed_in.expires - datetime.now(UTC) - timedelta(seconds=IDLE_S)) < timedelta(seconds=CLOCKS_S)
    assert await accounts.signed_in(token) is None  # the cookie's secret is not what the database knows
    assert [await accounts.end_login(login_id(token)) for _ in range(2)] == [True, False]
    assert await accounts.signed_in(login_id(token)) is None
    assert not await accounts.end_login(login_id(new_token()))


async def test_signing_in_again_ends_the_sign_in_before(accounts: AccountStore) -> None:
    """The new one replaces it in one step; another device's stays."""
    ada = await accounts.register(ADA, "hash")
    before, elsewhere = [login_id(await accounts.open_login(ada)) for _ in range(2)]
    now = login_id(await accounts.open_login(ada, replacing=before))
    assert await accounts.signed_in(before) is None
    assert await accounts.signed_in(now) is not None
    assert await accounts.signed_in(elsewhere) is not None


async def test_a_sign_in_lasts_twelve_hours_unused_and_thirty_days_at_most(accounts: AccountStore, base: Base) -> None:
    """The view in the database says the same as `omnisonic.identity.logins`, and touching does not bring back what has
    ended.
    """
    ada = await accounts.register(ADA, "hash")
    login = login_id(await accounts.open_login(ada))

    async def holds(seen_s: float, made_s: float) -> bool:
        ages = timedelta(seconds=seen_s), timedelta(seconds=made_s)
        await base.sql("UPDATE logins SET seen_at = now() - $1::interval, created_at = now() - $2::interval", *ages)
        await accounts.touch(login)
        return await accounts.signed_in(login) is not None

    assert await holds(IDLE_S - CLOCKS_S, IDLE_S)
    assert not await holds(IDLE_S, IDLE_S)
    assert await holds(0, LONGEST_S - CLOCKS_S)
    signed_in = await accounts.signed_in(login)
    assert signed_in is not None
    assert signed_in.expires < datetime.now(UTC) + timedelta(seconds=2 * CLOCKS_S)
    assert not await holds(0, LONGEST_S)
    assert not await accounts.end_login(login)


async def test_using_a_sign_in_keeps_it_alive(accounts: AccountStore, base: Base) -> None:
    """Touching notes the use; another's is not touched."""
    ada = await accounts.register(ADA, "hash")
    one, other = [login_id(await accounts.open_login(ada)) for _ in range(2)]
    await base.sql("UPDATE logins SET seen_at = seen_at - interval '1 hour'")
    await accounts.touch(one)
    unused = await base.sql("SELECT id FROM logins WHERE seen_at < now() - interval '30 minutes'")
    assert [row[0] for row in unused] == [other]


async def test_a_known_identity_is_its_account_whatever_it_says_now(accounts: AccountStore) -> None:
    """The provider's name for somebody counts; another address, or none, makes no other account."""
    user = await accounts.identify(VERIFIED)
    for later in (UNVERIFIED, Identity("github", "1", None, email_verified=False, name=None, image=None)):
        assert await accounts.identify(later) == user
    for other in (("google", "1"), ("github", "2")):
        assert await accounts.identify(Identity(*other, None, email_verified=False, name=None, image=None)) != user


async def test_a_new_identity_makes_an_account(accounts: AccountStore) -> None:
    """With its name, its picture, and the address when the provider vouches for it; without a password."""
    user = await accounts.identify(VERIFIED)
    signed_in = await accounts.signed_in(login_id(await accounts.open_login(user)))
    assert signed_in is not None
    assert signed_in.person == Person(user, "Ada L.", ADA, "https://example.com/ada.png")
    assert await accounts.password_of(ADA) is None
    with pytest.raises(EmailTaken):
        await accounts.register(ADA, "hash")


async def test_an_address_that_nobody_vouches_for_is_not_kept(accounts: AccountStore) -> None:
    """It keeps nobody out: whoever the address belongs to gets an account with it."""
    squatter = await accounts.identify(UNVERIFIED)
    signed_in = await accounts.signed_in(login_id(await accounts.open_login(squatter)))
    assert signed_in is not None
    assert signed_in.person == Person(squatter, "Ada", None, None)
    assert await accounts.register(ADA, "hash") != squatter


async def test_an_unverified_address_of_an_account_is_refused(accounts: AccountStore, base: Base) -> None:
    """Nothing is linked and nothing made; also in another case."""
    await accounts.register(ADA, "hash")
    shouting = Identity("google", "2", "ADA@EXAMPLE.COM", email_verified=False, name=None, image=None)
    for identity in (UNVERIFIED, shouting):
        with pytest.raises(NotLinked):
            await accounts.identify(identity)
    assert await base.number("SELECT count(*) FROM identities") == 0
    assert await base.number("SELECT count(*) FROM users") == 1


async def test_a_verified_address_takes_the_account_from_whoever_made_it_unproven(accounts: AccountStore) -> None:
    """The account is linked; the password and the sign-ins from before end, since nobody had shown whose they are."""
    user = await accounts.register(ADA, "hash of somebody's", name=None)
    theirs = login_id(await accounts.open_login(user))
    assert await accounts.identify(VERIFIED) == user
    assert await accounts.password_of(ADA) is None
    assert await accounts.signed_in(theirs) is None
    with pytest.raises(PasswordChanged):
        await accounts.open_login(user, password_hash="hash of somebody's")
    signed_in = await accounts.signed_in(login_id(await accounts.open_login(user)))
    assert signed_in is not None
    assert signed_in.person == Person(user, "Ada L.", ADA, "https://example.com/ada.png")


async def test_a_second_provider_with_the_same_address_is_linked_and_ends_nothing(accounts: AccountStore) -> None:
    """The address was verified once: password and sign-ins set up since then stay, and so does the name."""
    user = await accounts.identify(VERIFIED)
    await accounts.set_password(ADA, "hash")
    login = login_id(await accounts.open_login(user))
    google = Identity("google", "2", "Ada@example.com", email_verified=True, name="Another name", image=None)
    assert await accounts.identify(google) == user
    assert await accounts.password_of(ADA) == PasswordEntry(user, "hash")
    signed_in = await accounts.signed_in(login)
    assert signed_in is not None
    assert signed_in.person.name == "Ada L."


async def test_ten_callbacks_at_once_make_one_account(accounts: AccountStore, base: Base) -> None:
    """Of the same identity; and of two providers with the same verified address."""
    google = Identity("google", "2", ADA, email_verified=True, name=None, image=None)
    answers = await at_once(*[partial(accounts.identify, identity) for identity in (VERIFIED, google) * 5])
    assert len(set(answers)) == 1
    assert await base.number("SELECT count(*) FROM users") == 1
    assert await base.number("SELECT count(*) FROM identities") == 2
    nameless = Identity("github", "3", None, email_verified=False, name=None, image=None)
    assert len(set(await at_once(*[partial(accounts.identify, nameless)] * 10))) == 1
    assert await base.number("SELECT count(*) FROM users") == 2


async def test_what_a_provider_says_is_kept_only_as_far_as_it_is_text(accounts: AccountStore) -> None:
    """NUL and lone surrogates vanish from a name; an address with them is none; an identity with them is refused."""
    odd = Identity("github", "1", "a\0da@example.com", email_verified=True, name="A\0da \ud800", image="\0")
    user = await accounts.identify(odd)
    signed_in = await accounts.signed_in(login_id(await accounts.open_login(user)))
    assert signed_in is not None
    assert signed_in.person == Person(user, "Ada ", None, None)
    with pytest.raises(InvalidInput):
        await accounts.identify(Identity("github", "1\0", None, email_verified=False, name=None, image=None))


async def test_the_sweep_deletes_what_has_run_out_and_nothing_else(accounts: AccountStore, base: Base) -> None:
    """Sign-ins and invites, more than one statement takes; a second sweep finds nothing."""
    user = await accounts.register(ADA, "hash")
    login = login_id(await accounts.open_login(user))
    await base.sql(
        "INSERT INTO logins (id, user_id, seen_at) "
        "SELECT 'old ' || n, $1, now() - interval '13 hours' FROM generate_series(1, $2::int) AS n",
        user,
        SWEPT_AT_ONCE + 1,
    )
    (session,) = await base.sql("INSERT INTO sessions (owner_id, name) VALUES ($1, 'jam') RETURNING id", user)
    await base.sql(
        "INSERT INTO invites (digest, session_id, expires_at) "
        "SELECT 'digest ' || n, $1, now() + n * interval '1 hour' FROM generate_series(-2, 2) AS n",
        session[0],
    )
    assert await accounts.sweep() == SWEPT_AT_ONCE + 1 + 3
    assert await accounts.sweep() == 0
    assert await accounts.signed_in(login) is not None
    assert await base.number("SELECT count(*) FROM invites WHERE expires_at > now()") == 2
