"""People who sign in, sign out and fall idle, and the session store that they use: in memory, or on Postgres."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Protocol
from uuid import uuid4

from omnisonic.identity.logins import IDLE_S, login_id, new_token
from omnisonic.models import LoginId, Person, UserId
from omnisonic.studio.accounts.account_store import AccountStore
from omnisonic.studio.sessions import INVITE_S, SessionStore
from omnisonic.studio.sessions.memory import MemorySessions
from omnisonic.studio.sessions.postgres import PostgresSessions
from tests.studio.databases import Base


class People(Protocol):
    """Who may be signed in, and the store that knows them."""

    @property
    def store(self) -> SessionStore: ...

    async def arrives(self, name: str) -> tuple[LoginId, Person]:
        """Somebody new with an account, and their sign-in."""
        ...

    async def signs_out(self, login: LoginId) -> None: ...

    async def falls_idle(self, login: LoginId) -> None: ...

    async def invites_run_out(self) -> None:
        """As if a week had passed for the invites."""
        ...


@dataclass
class MemoryPeople:
    """People in a dictionary, on a clock of the test's."""

    here: dict[LoginId, Person] = field(default_factory=dict)
    passed: timedelta = timedelta()
    store: SessionStore = field(init=False)

    def __post_init__(self) -> None:
        self.store = MemorySessions(self.here.get, lambda: datetime.now(UTC) + self.passed)

    async def arrives(self, name: str) -> tuple[LoginId, Person]:
        login = login_id(new_token())
        self.here[login] = Person(str(uuid4()), name, f"{name}@example.com", None)
        return login, self.here[login]

    async def signs_out(self, login: LoginId) -> None:
        del self.here[login]

    async def falls_idle(self, login: LoginId) -> None:
        del self.here[login]

    async def invites_run_out(self) -> None:
        self.passed += timedelta(seconds=INVITE_S)


class PostgresPeople:
    """People in a database."""

    def __init__(self, base: Base) -> None:
        self.base = base
        self.store: SessionStore = base.of(PostgresSessions(base.database))
        self.accounts: AccountStore = base.of(AccountStore(base.database))

    async def arrives(self, name: str) -> tuple[LoginId, Person]:
        email = f"{name}@example.com"
        user: UserId = await self.accounts.register(email, "hash", name=name)
        return login_id(await self.accounts.open_login(user)), Person(user, name, email, None)

    async def signs_out(self, login: LoginId) -> None:
        assert await self.accounts.end_login(login)

    async def falls_idle(self, login: LoginId) -> None:
        idle = timedelta(seconds=IDLE_S + 1)
        await self.base.sql("UPDATE logins SET seen_at = now() - $2::interval WHERE id = $1", login, idle)

    async def invites_run_out(self) -> None:
        await self.base.sql("UPDATE invites SET expires_at = now()")


_fit: list[type[People]] = [MemoryPeople, PostgresPeople]
