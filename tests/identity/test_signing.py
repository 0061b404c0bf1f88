"""A signing secret that was changed: what the old one has signed is believed, and it signs nothing (SPEC 2)."""

from pathlib import Path
from typing import Final

import pytest

from omnisonic.errors import BadSettings
from omnisonic.identity.logins import LoginCookies
from omnisonic.identity.signing import ChangedSecret, Secret, signing_secret
from omnisonic.identity.tickets import BadTicket, Ticket, TicketPrinter
from omnisonic.settings.settings import Settings

OLD: Final = "the secret that was, of 32 bytes and more"
NEW: Final = "the secret that is, of 32 bytes and more"
OTHER: Final = "a secret of another studio, long enough"
CHANGED: Final = ChangedSecret(NEW, previous=OLD)
NOW_MS: Final = 1_000_000
TICKET: Final = Ticket("id", "jam", "ada", "Ada", "person", "login", NOW_MS, NOW_MS + 30_000)


def cookie_read(signed: Secret, believed: Secret) -> bool:
    """Whether a cookie that one secret has signed is believed by another."""
    return LoginCookies(believed, secure=False).load(LoginCookies(signed, secure=False).dump("token")) == "token"


def ticket_read(signed: Secret, believed: Secret) -> bool:
    """The same for a ticket."""
    try:
        return TicketPrinter(believed).read(TicketPrinter(signed).sign(TICKET), now_ms=NOW_MS) == TICKET
    except BadTicket:
        return False


@pytest.mark.parametrize("read", [cookie_read, ticket_read])
@pytest.mark.parametrize(
    ("signed", "believed", "is_believed"),
    [
        (OLD, CHANGED, True),
        (NEW, CHANGED, True),
        (CHANGED, CHANGED, True),
        (CHANGED, NEW, True),
        (CHANGED, OLD, False),
        (OTHER, CHANGED, False),
        (OLD, NEW, False),
        (OLD, ChangedSecret(OTHER, previous=NEW), False),
    ],
)
def test_the_gateway_believes_both_and_the_web_signs_with_the_new_one(
    read: object, signed: Secret, believed: Secret, is_believed: bool
) -> None:
    """Cookies and tickets alike."""
    assert callable(read)
    assert read(signed, believed) is is_believed


def test_the_setting_is_the_secret_before(tmp_path: Path) -> None:
    """Beside the setting of now, or beside what is kept in the data directory; alone nothing changes."""
    data = {"OMNISONIC_DATA_DIR": str(tmp_path / "data")}
    assert signing_secret(Settings.load({"NEXTAUTH_SECRET": NEW})) == NEW
    both = {"NEXTAUTH_SECRET": NEW, "NEXTAUTH_SECRET_PREVIOUS": OLD}
    assert signing_secret(Settings.load(both)) == CHANGED
    kept = signing_secret(Settings.load(data))
    assert isinstance(kept, str)
    assert signing_secret(Settings.load(data | {"NEXTAUTH_SECRET_PREVIOUS": OLD})) == ChangedSecret(kept, previous=OLD)


def test_neither_is_in_its_words() -> None:
    """Whoever logs it tells nothing."""
    assert NEW not in repr(CHANGED)
    assert OLD not in repr(CHANGED)


def test_the_one_before_must_be_strong_as_well() -> None:
    """What it has signed opens the studio, too."""
    strong = "7f3c9d1e8b5a42060c9e4d7a1b8f3e65"
    settings = Settings.load(
        {"OMNISONIC_ENV": "production", "NEXTAUTH_SECRET": strong, "NEXTAUTH_SECRET_PREVIOUS": "changeme" * 5}
    )
    with pytest.raises(BadSettings, match=r"^NEXTAUTH_SECRET_PREVIOUS is too easy to guess"):
        signing_secret(settings)
