"""Questions to a session store, and what came of them."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final
from uuid import uuid4

import trio

from omnisonic.errors import OmnisonicError
from omnisonic.models import Collaborator, LoginId, Person, Session, SessionId
from omnisonic.studio.sessions import Change, SessionStore
from tests.studio.people import People

NOBODY: Final = str(uuid4())
"""No user and no session is called that."""
CLOCKS_S: Final = 5
"""How far the database's clock may be from ours."""


def calls_about(store: SessionStore, login: LoginId, session: SessionId) -> list[Callable[[], Awaitable[object]]]:
    """Each method that takes a session, ready to be called."""
    return [
        partial(store.get, login, session),
        partial(store.change, login, session, Change("Mine now")),
        partial(store.delete, login, session),
        partial(store.invite, login, session, "digest of a stranger"),
        partial(store.invites, login, session),
        partial(store.withdraw, login, session),
        partial(store.withdraw, login, session, NOBODY),
        partial(store.see, login, session),
        partial(store.collaborators, login, session),
        partial(store.change_role, login, session, NOBODY, "listener"),
        partial(store.pass_on, login, session, NOBODY),
        partial(store.remove, login, session, NOBODY),
    ]


def every_call(store: SessionStore, login: LoginId, session: SessionId) -> list[Callable[[], Awaitable[object]]]:
    """Each method, ready to be called."""
    return [
        *calls_about(store, login, session),
        partial(store.list, login, limit=10),
        partial(store.create, login, "A jam"),
        partial(store.accept, login, "digest"),
    ]


def editors(*persons: Person) -> list[Collaborator]:
    """These people, as editors of a session."""
    return [Collaborator(each.id, each.name, each.email, each.image, "editor") for each in persons]


async def names(store: SessionStore, login: LoginId, *, limit: int = 10) -> list[str]:
    return [session.name for session in (await store.list(login, limit=limit)).sessions]


async def outcome(answer: Awaitable[object]) -> str:
    """`done`, or the code of the error."""
    try:
        await answer
    except OmnisonicError as error:
        return error.code
    return "done"


async def at_once(acts: list[Callable[[], Awaitable[object]]]) -> list[str]:
    """What became of all these acts, made at the same moment, in the order of the alphabet."""
    outcomes: list[str] = []

    async def do(act: Callable[[], Awaitable[object]]) -> None:
        outcomes.append(await outcome(act()))

    async with trio.open_nursery() as nursery:
        for act in acts:
            nursery.start_soon(do, act)
    return sorted(outcomes)


async def shared_session(people: People, owner: LoginId, *others: LoginId) -> Session:
    """A session of the owner's that the others have come to by an invite, whose digest is `digest`."""
    made = await people.store.create(owner, "Night jam")
    await people.store.invite(owner, made.id, "digest")
    for login in others:
        assert await people.store.accept(login, "digest") == made.id
    return made
