"""One e-mail address in many spellings is one account (SPEC 4)."""

import pytest

from omnisonic.errors import InvalidInput
from omnisonic.identity.emails import checked_email, given_email, normal_email, spellings
from omnisonic.studio.accounts import Identity
from tests.http.running import PASSWORD_HASH, Web
from tests.http.signing_in import PASSWORD, session, sign_in

SPELLINGS = [
    "z\u00f6e@b\u00fccher.example",
    "zo\u0308e@bu\u0308cher.example",  # as a Mac types it
    "z\u00f6e@xn--bcher-kva.example",  # as a browser's field for addresses sends it
    "z\u00f6e@B\u00dcCHER.example",
    "\uff5a\u00f6\uff45\uff20b\u00fccher\uff0eexample",
    "z\u00f6e@b\u00fccher\u3002example",
]
NONE = [
    "ada\u202e@example.com",
    "a\u200bda@example.com",
    "\u3164@example.com",
    "\u212aate@example.com",
    "ada@xn--a.example",
    "ada@b\u200dc.example",
    "\u0301@example.com",
    "ada@example.com\ud800",
    "\u00e4" * 250 + "@b.example",
    "a" * 100_000,
]


@pytest.mark.parametrize("email", SPELLINGS, ids=ascii)
def test_each_spelling_has_the_same_normal_form(email: str) -> None:
    """Composed, in letters of usual width, with the host in its own script."""
    assert normal_email(email) == SPELLINGS[0]
    assert checked_email(f" {email}\t") == email


@pytest.mark.parametrize("email", NONE, ids=range(len(NONE)))
def test_what_cannot_be_an_address_is_none(email: str) -> None:
    """It is told in a sentence, and finds nobody but by itself."""
    with pytest.raises(InvalidInput) as reported:
        normal_email(email)
    assert reported.value.code == "invalid_email"
    assert spellings(email) == [email]


def test_all_spellings_sign_in_to_one_account(web: Web) -> None:
    """The first one registers; the address that is shown is the normal one."""
    people = set()
    for email in SPELLINGS[::-1]:
        client = web.new_client()
        assert sign_in(client, email).status_code == 200, ascii(email)
        people.add((session(client)["user"]["id"], session(client)["user"]["email"]))
    ((_, shown),) = people
    assert shown == SPELLINGS[0]


def test_tries_are_counted_for_all_spellings_together(web: Web) -> None:
    """Who guesses has no more tries for writing the address differently."""
    sign_in(web.new_client(), SPELLINGS[0])
    tries = [sign_in(web.new_client(), email, "wrong").status_code for email in SPELLINGS]
    assert tries == [401] * 5 + [429]


def test_accounts_that_were_made_apart_stay_apart(web: Web) -> None:
    """Each is reached by the spelling it was made with, and a third spelling leads to the one in the normal form."""
    ids = []
    for email in SPELLINGS[:3:2]:
        row = web.do(
            web.database.row("INSERT INTO users (email, password_hash) VALUES ($1, 'x') RETURNING id::text", email)
        )
        assert row is not None
        ids.append(row[0])
    accounts = web.stores.accounts
    found = [web.do(accounts.password_of(email)) for email in SPELLINGS[:3]]
    assert [entry and entry.user for entry in found] == [ids[0], ids[0], ids[1]]


def test_an_account_of_an_old_spelling_is_found_by_all(web: Web) -> None:
    """Nobody is locked out: what a browser once sent is the same account for who types it in letters."""
    web.do(web.database.row("INSERT INTO users (email, password_hash) VALUES ($1, $2)", SPELLINGS[2], PASSWORD_HASH))
    for email in SPELLINGS:
        assert web.do(web.stores.accounts.password_of(email)) is not None, ascii(email)


def test_a_provider_links_every_spelling_but_full_width_letters(web: Web) -> None:
    """There they may be somebody else's mailbox, whose owner must not get at this account."""
    accounts = web.stores.accounts
    user = web.do(accounts.register("zoe@b\u00fccher.example", PASSWORD_HASH))

    def identified(subject: str, email: str) -> str:
        return web.do(accounts.identify(Identity("github", subject, email, True, None, None)))

    assert identified("1", "zoe@xn--bcher-kva.example") == user
    assert identified("2", "\uff5aoe@b\u00fccher.example") != user
    with pytest.raises(InvalidInput):
        given_email("\uff5aoe@b\u00fccher.example")


def test_a_mac_s_address_is_no_error_any_more(web: Web) -> None:
    """400 it was."""
    body = {"email": "ame\u0301lie@example.com", "password": PASSWORD}
    assert web.client.post("/api/auth/callback/credentials", json=body).status_code == 200
