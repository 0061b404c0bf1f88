"""People with accounts and sessions in a real database, and what they show to the gateway."""

import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, Literal
from uuid import uuid4

from pydantic import SecretStr

from omnisonic.concurrency.asyncio_thread import open_asyncio_thread
from omnisonic.errors import Unavailable
from omnisonic.identity.logins import LoginCookies, login_id
from omnisonic.identity.tickets import LIFE_MS, Ticket, TicketPrinter
from omnisonic.models import LoginId, SessionId, UserId
from omnisonic.operations.gateway_process import open_admission
from omnisonic.operations.gateway_stores import open_presence_and_bus
from omnisonic.settings.settings import Settings
from omnisonic.stores.database.pool import Database
from omnisonic.studio.accounts.account_store import AccountStore
from omnisonic.studio.accounts.login_activity import LoginUse
from omnisonic.studio.sessions.postgres import PostgresSessions
from tests.clients import Bare, upgrade_request
from tests.postgres_server import PATIENT
from tests.rooms import Stage, becomes, listening, open_stage
from tests.stores.conftest import InThread

SECRET: Final = "a secret of this test's own, long enough"
PAGE: Final = "http://127.0.0.1:3000"
"""The origin of the studio's pages."""


@dataclass(frozen=True)
class Somebody:
    """A user who is signed in."""

    name: str
    person: UserId
    token: str

    @property
    def login(self) -> LoginId:
        """Their sign-in."""
        return login_id(self.token)

    def cookie(self, secret: str = SECRET) -> str:
        """The `Cookie` header of their browser."""
        cookies = LoginCookies(secret, secure=False)
        return f"theme=dark; {cookies.name}={cookies.dump(self.token)}"

    def ticket(self, room: str, *, secret: str = SECRET, **differently: Any) -> str:
        """A ticket to `room`, as the web would sign it now; `differently` are fields of `Ticket`."""
        now_ms = time.time_ns() // 1_000_000
        fields = {
            "id": secrets.token_urlsafe(12),
            "room_id": room,
            "member_id": self.name,
            "display_name": self.name.title(),
            "person": self.person,
            "login": self.login,
            "issued_ms": now_ms,
            "expires_ms": now_ms + LIFE_MS,
        }
        return TicketPrinter(secret).sign(Ticket(**{**fields, **differently}))


class People:
    """Makes accounts and sessions, and takes them away, by the stores that the web uses."""

    def __init__(self, accounts: InThread, sessions: InThread, execute: Callable[..., Awaitable[Any]]) -> None:
        self.accounts = accounts
        self.sessions = sessions
        self.execute = execute

    async def sign_up(self, name: str) -> Somebody:
        """A new user, signed in."""
        person = await self.accounts.register(f"{name}@example.com", "no password", name=name.title())
        return Somebody(name, person, await self.accounts.open_login(person))

    async def sign_in_again(self, somebody: Somebody) -> Somebody:
        """The same user, signed in once more."""
        return Somebody(somebody.name, somebody.person, await self.accounts.open_login(somebody.person))

    async def session(self, owner: Somebody, *collaborators: Somebody) -> SessionId:
        """A new session, shared with the collaborators."""
        session = await self.sessions.create(owner.login, "Night jam")
        for collaborator in collaborators:
            digest = secrets.token_urlsafe()
            await self.sessions.invite(owner.login, session.id, digest)
            assert await self.sessions.accept(collaborator.login, digest) == session.id
        return str(session.id)


@asynccontextmanager
async def open_people(database_url: str) -> AsyncIterator[People]:
    """The accounts and sessions in the database at `database_url`."""
    async with open_asyncio_thread() as thread:
        database = Database(database_url, deadlines=PATIENT)
        in_thread = InThread(thread, database)
        await in_thread.open()
        await becomes(lambda: _answers(in_thread), wanted=True)
        use = LoginUse(database)
        yield People(
            InThread(thread, AccountStore(database, use)),
            InThread(thread, PostgresSessions(database, use)),
            in_thread.rows,
        )
        await in_thread.aclose()


async def _answers(database: InThread) -> bool:
    """Whether the database has answered: the first connection may take longer than a query waits for one."""
    try:
        await database.ping()
    except Unavailable:
        return False
    return True


@asynccontextmanager
async def open_ticket_stage(
    database_url: str,
    redis_url: str | None = None,
    *,
    room_access: Literal["open", "ticket"] = "ticket",
    **options: Any,
) -> AsyncIterator[Stage]:
    """A gateway that lets people in by ticket or cookie, on the real database, and on Valkey when there is one.

    With open access it does so for sessions' rooms.
    """
    settings = Settings(
        room_access=room_access, database_url=database_url, redis_url=redis_url, nextauth_secret=SecretStr(SECRET)
    )
    async with (
        open_admission(settings) as (admission, access),
        open_presence_and_bus(redis_url) as (presence, bus),
        open_stage(presence=presence, bus=bus, admission=admission, access=access, **options) as stage,
    ):
        await listening(stage)
        yield stage


def shown(ticket: str) -> str:
    """The `Sec-WebSocket-Protocol` of a client that shows a ticket."""
    return f"omnisonic, ticket.{ticket}"


def unknown_session() -> SessionId:
    """The id of no session."""
    return str(uuid4())


async def enter(stage: Stage, somebody: Somebody, room: str, *, since: str = "", **differently: Any) -> Bare:
    """`somebody` in `room` by a fresh ticket, welcomed; back again with `since`."""
    bare = await stage.bare()
    protocols = shown(somebody.ticket(room, **differently))
    target = f"/?since={since}" if since else "/"
    await bare.stream.send_all(upgrade_request(target, stage.port, Sec_WebSocket_Protocol=protocols))
    head = await bare.head()
    assert head.startswith(b"HTTP/1.1 101"), head
    bare.welcome = await bare.next("welcome")
    return bare
