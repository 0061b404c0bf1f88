"""Invites and collaborators: what every session store promises (`omnisonic.studio.sessions`), tested on each."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest

from omnisonic.models import UserId
from omnisonic.studio.sessions import INVITE_S, MOST_INVITES, Change, NoSuchSession, OwnerOnly
from tests.studio.asking import CLOCKS_S, NOBODY, at_once, editors, names, outcome, shared_session
from tests.studio.people import People


async def test_an_invite_makes_collaborators_for_a_week(people: People) -> None:
    """It is good for as many as open it, and more than once; then it has run out."""
    ada, _ = await people.arrives("ada")
    bo, person = await people.arrives("bo")
    cy, another = await people.arrives("cy")
    made = await people.store.create(ada, "Night jam")
    invite = await people.store.invite(ada, made.id, "digest")
    assert (invite.role, invite.expires_at.tzinfo) == ("editor", UTC)
    assert abs(invite.expires_at - datetime.now(UTC) - timedelta(seconds=INVITE_S)) < timedelta(seconds=CLOCKS_S)
    for login in (cy, bo, bo):
        assert await people.store.accept(login, "digest") == made.id
    assert await people.store.collaborators(ada, made.id) == editors(another, person)
    seen = await people.store.get(bo, made.id)
    assert (seen.role, seen.owner.id, seen.name) == ("editor", made.owner.id, "Night jam")
    await people.invites_run_out()
    assert await outcome(people.store.accept(bo, "digest")) == "invite_not_found"
    assert (await people.store.get(bo, made.id)).role == "editor"


async def test_addresses_are_the_owner_s_to_see(people: People) -> None:
    """Collaborators see their own and no other's; who has no name goes by what their address begins with."""
    ada, owner = await people.arrives("ada")
    bo, person = await people.arrives("bo")
    cy, another = await people.arrives("cy")
    made = await shared_session(people, ada, bo, cy)
    assert made.owner == owner
    assert (await people.store.get(ada, made.id)).owner == owner
    assert await people.store.collaborators(ada, made.id) == editors(person, another)
    for login, seen in (
        (bo, editors(person, another.without_email())),
        (cy, editors(person.without_email(), another)),
    ):
        assert await people.store.collaborators(login, made.id) == seen
        assert (await people.store.get(login, made.id)).owner == owner.without_email()
        listed = await people.store.list(login, limit=10)
        assert [session.owner for session in listed.sessions] == [owner.without_email()]
    assert (await people.store.offer("digest")).owner.email is None


async def test_an_offer_says_what_the_invite_is_for_and_changes_nothing(people: People) -> None:
    """The session's name, whose it is, and until when; as often as one looks, until it is over."""
    ada, owner = await people.arrives("ada")
    made = await people.store.create(ada, "Night jam")
    invite = await people.store.invite(ada, made.id, "digest")
    await people.store.change(ada, made.id, Change("Dawn"))
    for _ in range(3):
        offer = await people.store.offer("digest")
        assert (offer.session_name, offer.owner.id, offer.invite_ends_at) == ("Dawn", owner.id, invite.expires_at)
    assert await people.store.collaborators(ada, made.id) == []
    assert await outcome(people.store.offer("never made")) == "invite_not_found"
    await people.invites_run_out()
    assert await outcome(people.store.offer("digest")) == "invite_not_found"


async def test_invites_are_listed_and_withdrawn_one_by_one_or_all(people: People) -> None:
    """The newest first, only those that hold; one that is withdrawn opens nothing, the others do."""
    ada, _ = await people.arrives("ada")
    bo, _ = await people.arrives("bo")
    made, other = [await people.store.create(ada, name) for name in ("Night jam", "Another")]
    invites = [await people.store.invite(ada, made.id, f"digest {number}") for number in range(4)]
    elsewhere = await people.store.invite(ada, other.id, "elsewhere")
    assert await people.store.invites(ada, made.id) == invites[::-1]
    await people.store.withdraw(ada, made.id, invites[1].id)
    assert await people.store.invites(ada, made.id) == [invites[3], invites[2], invites[0]]
    assert await outcome(people.store.accept(bo, "digest 1")) == "invite_not_found"
    for gone in (invites[1].id, elsewhere.id, NOBODY, "no uuid", ""):
        assert await outcome(people.store.withdraw(ada, made.id, gone)) == "invite_not_found"
    assert await people.store.accept(bo, "digest 2") == made.id
    for _ in range(2):
        await people.store.withdraw(ada, made.id)
        assert await people.store.invites(ada, made.id) == []
    assert await outcome(people.store.offer("digest 3")) == "invite_not_found"
    assert await people.store.invites(ada, other.id) == [elsewhere]
    await people.invites_run_out()
    assert await people.store.invites(ada, other.id) == []
    assert await outcome(people.store.withdraw(ada, other.id, elsewhere.id)) == "invite_not_found"


async def test_a_session_has_so_many_invites_and_no_more(people: People) -> None:
    """Also when they are made all at once; those that are withdrawn or over make room."""
    ada, _ = await people.arrives("ada")
    made = await people.store.create(ada, "Night jam")
    making: list[Callable[[], Awaitable[object]]]
    making = [partial(people.store.invite, ada, made.id, f"digest {number}") for number in range(MOST_INVITES + 5)]
    assert await at_once(making) == ["done"] * MOST_INVITES + ["too_many_invites"] * 5
    held = await people.store.invites(ada, made.id)
    assert len(held) == MOST_INVITES
    await people.store.withdraw(ada, made.id, held[0].id)
    assert await outcome(people.store.invite(ada, made.id, "another")) == "done"
    assert await outcome(people.store.invite(ada, made.id, "one more")) == "too_many_invites"
    await people.invites_run_out()
    assert await outcome(people.store.invite(ada, made.id, "one more")) == "done"


async def test_an_owner_who_opens_their_own_invite_stays_the_owner(people: People) -> None:
    """They get to the session, and are no collaborator of it."""
    ada, _ = await people.arrives("ada")
    made = await shared_session(people, ada, ada)
    assert (await people.store.get(ada, made.id)).role == "owner"
    assert await people.store.collaborators(ada, made.id) == []
    assert await names(people.store, ada) == ["Night jam"]


@pytest.mark.parametrize("digest", ["", "never made", "digest ", "DIGEST", "' OR true --", "%"])
async def test_an_invite_that_was_never_made_opens_nothing(people: People, digest: str) -> None:
    """Only the very digest counts."""
    ada, _ = await people.arrives("ada")
    bo, _ = await people.arrives("bo")
    await shared_session(people, ada)
    assert await outcome(people.store.accept(bo, digest)) == "invite_not_found"
    assert await names(people.store, bo) == []


async def test_a_collaborator_sees_the_session_and_owns_nothing(people: People) -> None:
    """What only the owner may do is refused as such, and nothing happens."""
    ada, person = await people.arrives("ada")
    bo, _ = await people.arrives("bo")
    cy, another = await people.arrives("cy")
    made = await shared_session(people, ada, bo, cy)
    for act in (
        partial(people.store.change, bo, made.id, Change("Mine now")),
        partial(people.store.delete, bo, made.id),
        partial(people.store.invite, bo, made.id, "digest of bo's"),
        partial(people.store.invites, bo, made.id),
        partial(people.store.withdraw, bo, made.id),
        partial(people.store.withdraw, bo, made.id, NOBODY),
        partial(people.store.remove, bo, made.id, another.id),
        partial(people.store.remove, bo, made.id, person.id),
        partial(people.store.remove, bo, made.id, NOBODY),
        partial(people.store.remove, bo, made.id, "no uuid"),
        partial(people.store.change_role, bo, made.id, another.id, "listener"),
        partial(people.store.pass_on, bo, made.id, person.id),
    ):
        with pytest.raises(OwnerOnly):
            await act()
    assert await people.store.get(ada, made.id) == made
    assert len(await people.store.collaborators(ada, made.id)) == 2
    assert await outcome(people.store.accept(cy, "digest of bo's")) == "invite_not_found"


async def test_whoever_is_removed_cannot_return_by_the_old_invite(people: People) -> None:
    """The role is gone and the invites are taken back, the other collaborators stay, and a new invite works."""
    ada, _ = await people.arrives("ada")
    bo, person = await people.arrives("bo")
    cy, another = await people.arrives("cy")
    made = await shared_session(people, ada, bo, cy)
    await people.store.remove(ada, made.id, person.id)
    with pytest.raises(NoSuchSession):
        await people.store.get(bo, made.id)
    assert await names(people.store, bo) == []
    assert await outcome(people.store.accept(bo, "digest")) == "invite_not_found"
    assert await people.store.collaborators(ada, made.id) == editors(another)
    assert await people.store.invites(ada, made.id) == []
    await people.store.invite(ada, made.id, "new digest")
    assert await people.store.accept(bo, "new digest") == made.id


async def test_a_collaborator_may_leave_and_the_invites_stay(people: People) -> None:
    """They leave by themselves, and may come again."""
    ada, _ = await people.arrives("ada")
    bo, person = await people.arrives("bo")
    made = await shared_session(people, ada, bo)
    await people.store.remove(bo, made.id, person.id)
    assert await people.store.collaborators(ada, made.id) == []
    assert await outcome(people.store.remove(bo, made.id, person.id)) == "session_not_found"
    assert await people.store.accept(bo, "digest") == made.id


async def test_only_collaborators_can_be_removed(people: People) -> None:
    """Not the owner, not somebody else, not an id that is none; and then the invites stay."""
    ada, person = await people.arrives("ada")
    _, somebody = await people.arrives("bo")
    cy, _ = await people.arrives("cy")
    made = await shared_session(people, ada)
    strangers: tuple[UserId, ...] = (person.id, somebody.id, NOBODY, "no uuid", "")
    for user in strangers:
        assert await outcome(people.store.remove(ada, made.id, user)) == "collaborator_not_found"
    assert (await people.store.get(ada, made.id)).role == "owner"
    assert await people.store.accept(cy, "digest") == made.id


async def test_of_fifty_removals_at_once_one_succeeds(people: People) -> None:
    """The others are told that there is no such collaborator."""
    ada, _ = await people.arrives("ada")
    bo, person = await people.arrives("bo")
    made = await shared_session(people, ada, bo)
    outcomes = await at_once([partial(people.store.remove, ada, made.id, person.id)] * 50)
    assert outcomes == ["collaborator_not_found"] * 49 + ["done"]


async def test_an_invite_opened_fifty_times_at_once_makes_one_collaborator_each(people: People) -> None:
    """Ten people press the link five times each."""
    ada, _ = await people.arrives("ada")
    band = [await people.arrives(f"member{number}") for number in range(10)]
    made = await shared_session(people, ada)
    assert await at_once([partial(people.store.accept, login, "digest") for login, _ in band * 5]) == ["done"] * 50
    came = await people.store.collaborators(ada, made.id)
    assert sorted(person.id for person in came) == sorted(person.id for _, person in band)


async def test_a_removal_holds_against_an_invite_opened_at_the_same_moment(people: People) -> None:
    """In whatever order it comes about, whoever was removed is out, and nobody waits for each other in a ring."""
    ada, _ = await people.arrives("ada")
    bo, person = await people.arrives("bo")
    for number in range(15):
        made = await people.store.create(ada, "Night jam")
        await people.store.invite(ada, made.id, f"digest {number}")
        await people.store.accept(bo, f"digest {number}")
        opening = partial(people.store.accept, bo, f"digest {number}")
        removal = partial(people.store.remove, ada, made.id, person.id)
        outcomes = await at_once([opening, opening, removal, opening, opening])
        assert set(outcomes) <= {"done", "invite_not_found"}
        assert await people.store.collaborators(ada, made.id) == []


async def test_everything_at_once_ends_in_order(people: People) -> None:
    """Invites, openings, removals and changes while the session is deleted: each is done, or told why not."""
    ada, _ = await people.arrives("ada")
    bo, person = await people.arrives("bo")
    for number in range(15):
        made = await people.store.create(ada, "Night jam")
        await people.store.invite(ada, made.id, f"digest {number}")
        await people.store.accept(bo, f"digest {number}")
        outcomes = await at_once(
            [
                partial(people.store.accept, bo, f"digest {number}"),
                partial(people.store.change, ada, made.id, Change("Dawn")),
                partial(people.store.remove, ada, made.id, person.id),
                partial(people.store.delete, ada, made.id),
                partial(people.store.accept, bo, f"digest {number}"),
                partial(people.store.invite, ada, made.id, f"late {number}"),
                partial(people.store.remove, bo, made.id, person.id),
            ]
        )
        known = {"done", "invite_not_found", "session_not_found", "collaborator_not_found"}
        assert set(outcomes) <= known
        assert await names(people.store, ada) == await names(people.store, bo) == []
