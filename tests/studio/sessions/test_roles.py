"""Editors and listeners, and passing a session on: what every session store promises (`omnisonic.studio.sessions`)."""

from functools import partial

import pytest

from omnisonic.studio.sessions import Change, OwnerOnly
from tests.studio.asking import NOBODY, at_once, editors, outcome, shared_session
from tests.studio.people import People


async def test_an_invite_carries_a_role_and_nobody_loses_by_one(people: People) -> None:
    """A listener's link makes listeners and leaves an editor one; an editor's link makes a listener an editor."""
    ada, _ = await people.arrives("ada")
    bo, _ = await people.arrives("bo")
    made = await people.store.create(ada, "Night jam")
    listening = await people.store.invite(ada, made.id, "listening", "listener")
    editing = await people.store.invite(ada, made.id, "editing")
    assert (listening.role, editing.role) == ("listener", "editor")
    assert await people.store.invites(ada, made.id) == [editing, listening]
    assert [(await people.store.offer(digest)).role for digest in ("listening", "editing")] == ["listener", "editor"]
    for digest, role in (("listening", "listener"), ("editing", "editor"), ("listening", "editor")):
        assert await people.store.accept(bo, digest) == made.id
        assert (await people.store.get(bo, made.id)).role == role
        assert [session.role for session in (await people.store.list(bo, limit=5)).sessions] == [role]
        assert [person.role for person in await people.store.collaborators(bo, made.id)] == [role]
    await people.store.accept(ada, "listening")
    assert (await people.store.get(ada, made.id)).role == "owner"


async def test_a_role_is_changed_and_no_old_link_changes_it_back(people: People) -> None:
    """Links for editors are taken back with the role, links for listeners hold; only collaborators have a role."""
    ada, owner = await people.arrives("ada")
    bo, person = await people.arrives("bo")
    made = await shared_session(people, ada, bo)
    await people.store.invite(ada, made.id, "listening", "listener")
    changed = await people.store.change_role(ada, made.id, person.id, "listener")
    assert (changed.id, changed.email, changed.role) == (person.id, person.email, "listener")
    assert (await people.store.get(bo, made.id)).role == "listener"
    assert await outcome(people.store.accept(bo, "digest")) == "invite_not_found"
    await people.store.remove(bo, made.id, person.id)
    await people.store.accept(bo, "listening")
    assert (await people.store.get(bo, made.id)).role == "listener"
    await people.store.change_role(ada, made.id, person.id, "editor")
    assert await people.store.collaborators(ada, made.id) == editors(person)
    assert len(await people.store.invites(ada, made.id)) == 1
    for nobody in (owner.id, NOBODY, "no uuid", ""):
        assert await outcome(people.store.change_role(ada, made.id, nobody, "editor")) == "collaborator_not_found"


@pytest.mark.parametrize("role", ["editor", "listener"])
async def test_a_session_is_passed_on_and_both_are_what_they_are_now(people: People, role: str) -> None:
    """The one has what only owners have, the other is an editor; it goes to nobody who is not there."""
    ada, owner = await people.arrives("ada")
    bo, person = await people.arrives("bo")
    made = await shared_session(people, ada, bo)
    await people.store.change_role(ada, made.id, person.id, "listener" if role == "listener" else "editor")
    for nobody in (owner.id, NOBODY, "no uuid", ""):
        assert await outcome(people.store.pass_on(ada, made.id, nobody)) == "collaborator_not_found"
    passed = await people.store.pass_on(ada, made.id, person.id)
    assert (passed.role, passed.owner.id, passed.owner.email) == ("editor", person.id, None)
    theirs = await people.store.get(bo, made.id)
    assert (theirs.role, theirs.owner) == ("owner", person)
    assert await people.store.collaborators(bo, made.id) == editors(owner)
    with pytest.raises(OwnerOnly):
        await people.store.change(ada, made.id, Change("Mine still"))
    await people.store.change(bo, made.id, Change("Mine now"))
    await people.store.remove(ada, made.id, owner.id)
    assert await outcome(people.store.pass_on(bo, made.id, owner.id)) == "collaborator_not_found"


async def test_of_two_who_get_it_at_once_one_has_it(people: People) -> None:
    """The other attempts are refused, whatever else is done to the people meanwhile; somebody owns it in the end."""
    ada, owner = await people.arrives("ada")
    bo, person = await people.arrives("bo")
    cy, another = await people.arrives("cy")
    logins = {owner.id: ada, person.id: bo, another.id: cy}
    for number in range(10):
        made = await people.store.create(ada, "Night jam")
        await people.store.invite(ada, made.id, f"digest {number}")
        for login in (bo, cy):
            await people.store.accept(login, f"digest {number}")
        passing = [partial(people.store.pass_on, ada, made.id, each.id) for each in (person, another) * 5]
        assert await at_once([*passing]) == ["done"] + ["owner_only"] * 9
        now = (await people.store.get(ada, made.id)).owner.id
        assert now in (person.id, another.id)
        outcomes = await at_once(
            [
                partial(people.store.pass_on, logins[now], made.id, owner.id),
                partial(people.store.remove, ada, made.id, owner.id),
                partial(people.store.remove, logins[now], made.id, owner.id),
                partial(people.store.change_role, logins[now], made.id, owner.id, "listener"),
            ]
        )
        assert set(outcomes) <= {"done", "owner_only", "collaborator_not_found", "session_not_found"}
        roles = [await outcome(people.store.get(login, made.id)) for login in (ada, bo, cy)]
        assert roles.count("done") >= 2
        owners = [
            session.owner.id
            for login in (bo, cy)
            for session in (await people.store.list(login, limit=10)).sessions
            if session.id == made.id
        ]
        assert len(set(owners)) == 1
