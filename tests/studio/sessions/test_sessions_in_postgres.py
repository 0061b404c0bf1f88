"""What the session store on Postgres promises beyond the contract: what it costs, and what it notes."""

import json
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from functools import partial
from typing import Any, Final
from uuid import UUID, uuid4

import pytest
import trio

from omnisonic.concurrency.asyncio_thread import AsyncioThread
from omnisonic.errors import OmnisonicError, Unavailable
from omnisonic.identity.logins import TOUCH_S, login_id, new_token
from omnisonic.models import UserId
from omnisonic.studio.accounts.login_activity import NOTED, LoginUse
from omnisonic.studio.sessions import listing_statements
from omnisonic.studio.sessions.postgres import PostgresSessions
from tests.stores.conftest import DEADLINE_S, Clock
from tests.studio.asking import every_call, outcome
from tests.studio.databases import DEAD_URL, Base, base_at
from tests.studio.people import PostgresPeople

FEW: Final = 100
MANY: Final = 100_000
MADE_AT_ONCE: Final = 1_000
PAGE: Final = 50
MORE_BUFFERS: Final = 2.5
"""A larger table's index is a level or two deeper, and each session on the page is found by it."""
SAME_WAY: Final = ("SET enable_seqscan = off", "SET enable_hashjoin = off", "SET enable_mergejoin = off")
"""Tables of a few pages are rightly read whole. The way that a large one is read is what must not cost more there."""

SMALL: Final = {"users", "logins", "activity", "comments", "kept_messages", "uploads"}
"""Tables with few rows here, or none."""

MAKE: Final = """
WITH made AS (
    INSERT INTO sessions (owner_id, name) SELECT $1, 'jam ' || n FROM generate_series(1, $2::int) AS n
    RETURNING id, owner_id, created_at
)
INSERT INTO session_members (session_id, user_id, created_at) SELECT id, owner_id, created_at FROM made
"""


@pytest.fixture
def people(base: Base) -> PostgresPeople:
    """Nobody yet."""
    return PostgresPeople(base)


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """All steps of a plan."""
    yield plan
    for below in plan.get("Plans", ()):
        yield from nodes(below)


async def explained(base: Base, settings: Sequence[str], statement: str, *values: object) -> dict[str, Any]:
    """How a prepared statement is carried out under these settings of the planner, and what it touches."""
    literals = ", ".join(f"'{value}'" for value in values)

    async def explain() -> str:
        async with base.database.connection() as connection:
            await connection.execute(";".join([*settings, f"PREPARE asked AS {statement}"]))
            plan = await connection.fetchval(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE asked ({literals})")
            await connection.execute("DEALLOCATE asked; RESET ALL")
            return str(plan)

    plan: dict[str, Any] = json.loads(await base.thread.call(explain, timeout_s=DEADLINE_S))[0]["Plan"]
    return plan


def buffers(plan: dict[str, Any]) -> int:
    return int(plan["Shared Hit Blocks"]) + int(plan["Shared Read Blocks"])


def reads_no_more_than_a_page(plan: dict[str, Any]) -> None:
    """No step reads sessions or roles from end to end, or has more rows than the page and the one after."""
    for node in nodes(plan):
        assert node["Node Type"] != "Seq Scan" or node["Relation Name"] in SMALL, node
        assert node["Actual Rows"] <= PAGE + 1, node


async def middle_of(base: Base, user: UserId) -> tuple[datetime, UUID]:
    """The place in the middle of a user's list."""
    ((created_at, session),) = await base.sql(
        "SELECT created_at, session_id FROM session_members WHERE user_id = $1 ORDER BY created_at "
        "OFFSET (SELECT count(*) / 2 FROM session_members WHERE user_id = $1) LIMIT 1",
        user,
    )
    return created_at, session


async def test_listing_costs_the_same_with_a_hundred_thousand_sessions(people: PostgresPeople) -> None:
    """One's own and others': the first page and one in the middle touch as much as with a hundred, by either plan."""
    base = people.base
    ada, person = await people.arrives("ada")
    _, another = await people.arrives("bo")

    async def make(count: int) -> None:
        for user in (person.id, another.id):
            for _ in range(0, count, MADE_AT_ONCE):
                await base.sql(MAKE, user, min(count, MADE_AT_ONCE))

    async def cost(*settings: str) -> int:
        """Buffers touched by the first page and by the one in the middle of Ada's list."""
        await base.sql("VACUUM ANALYZE")
        plans = [
            await explained(base, settings, listing_statements.LIST, ada, *place, PAGE + 1)
            for place in (("infinity", uuid4()), await middle_of(base, person.id))
        ]
        for plan in plans:
            reads_no_more_than_a_page(plan)
        return sum(map(buffers, plans))

    plans = ("SET plan_cache_mode = force_custom_plan", "SET plan_cache_mode = force_generic_plan")
    await make(FEW)
    few = [await cost(*SAME_WAY, plan) for plan in plans]
    await make(MANY)
    many = [await cost(plan) for plan in plans]
    for some, most in zip(few, many, strict=True):
        assert most <= MORE_BUFFERS * some, (most, some)


async def test_invites_and_removals_take_turns(people: PostgresPeople) -> None:
    """Whoever opens an invite, removes, leaves or deletes has the session's lock first, so that none sees half."""
    ada, _ = await people.arrives("ada")
    band = [await people.arrives(name) for name in ("bo", "cy", "di")]
    made = await people.store.create(ada, "Night jam")
    await people.store.invite(ada, made.id, "digest")
    (bo, bos), (cy, cys), (di, _) = band
    for login in (bo, cy):
        await people.store.accept(login, "digest")
    acts: list[Callable[[], Awaitable[object]]] = [
        partial(people.store.remove, ada, made.id, bos.id),
        partial(people.store.remove, cy, made.id, cys.id),
        partial(people.store.accept, di, "digest"),
    ]
    held = people.base.holding("SELECT FROM sessions WHERE id = $1 FOR NO KEY UPDATE", made.id)
    async with trio.open_nursery() as nursery, held:
        for number, act in enumerate(acts, 1):
            nursery.start_soon(outcome, act())
            await people.base.once_waiting(number)
    # Bo's removal came first and took the invites back, so Di came too late.
    assert await people.store.collaborators(ada, made.id) == []


async def test_sessions_made_in_one_transaction_have_an_order(people: PostgresPeople) -> None:
    """Each has a time of its own, which is its members' too."""
    ada, person = await people.arrives("ada")
    await people.base.sql(MAKE, person.id, 50)
    listing = await people.store.list(ada, limit=50)
    assert [each.name for each in listing.sessions] == [f"jam {number}" for number in range(50, 0, -1)]
    assert len({each.created_at for each in listing.sessions}) == 50


async def test_without_a_database_every_call_is_unavailable(thread: AsyncioThread) -> None:
    """Nobody is taken for a stranger, and nothing for missing."""
    async with base_at(DEAD_URL, thread) as dead:
        store = dead.of(PostgresSessions(dead.database))
        for call in every_call(store, login_id(new_token()), str(uuid4())):
            with pytest.raises(Unavailable):
                await call()


class Using:
    """Uses of sign-ins as the database knows them, with a store whose clock is the test's."""

    def __init__(self, people: PostgresPeople, *, most_noted: int = NOTED) -> None:
        self.base = people.base
        self.clock = Clock()
        self.use = LoginUse(self.base.database, self.clock, most_noted=most_noted)
        self.store = self.base.of(PostgresSessions(self.base.database, self.use))

    async def noted(self, call: Callable[[], Awaitable[object]]) -> bool:
        """Whether a use is written for `call`, whatever comes of it. As if all were unused for an hour until then."""
        await self.base.sql("UPDATE logins SET seen_at = now() - interval '1 hour'")
        with suppress(OmnisonicError):
            await call()
        await self.base.thread.call(self.use.settle, timeout_s=DEADLINE_S)
        return bool(await self.base.number("SELECT count(*) FROM logins WHERE seen_at > now() - interval '1 minute'"))


async def test_a_sign_in_in_use_is_noted_every_five_minutes(people: PostgresPeople) -> None:
    """The first use, and then none until the time has passed, however many there are."""
    ada, _ = await people.arrives("ada")
    using = Using(people)
    use = partial(using.store.list, ada, limit=1)
    assert [await using.noted(use) for _ in range(3)] == [True, False, False]
    using.clock.now_s += TOUCH_S - 1
    assert not await using.noted(use)
    using.clock.now_s += 1
    assert [await using.noted(use) for _ in range(2)] == [True, False]


async def test_every_call_counts_as_use(people: PostgresPeople) -> None:
    """Each of them keeps the sign-in alive, also one that comes to nothing; a stranger's does not."""
    ada, _ = await people.arrives("ada")
    setting_up = Using(people)
    made = await setting_up.store.create(ada, "Night jam")
    await people.base.thread.call(setting_up.use.settle, timeout_s=DEADLINE_S)
    for number in range(len(every_call(people.store, ada, made.id))):
        using = Using(people)
        assert await using.noted(every_call(using.store, ada, made.id)[number])
    using = Using(people)
    for call in every_call(using.store, login_id(new_token()), made.id):
        assert not await using.noted(call)


async def test_what_is_remembered_of_uses_is_bounded(people: PostgresPeople) -> None:
    """Beyond the bound, the use that was noted longest ago is forgotten, and so noted again too early."""
    ada, _ = await people.arrives("ada")
    bo, _ = await people.arrives("bo")
    using = Using(people, most_noted=1)
    ada_uses, bo_uses = (partial(using.store.list, login, limit=1) for login in (ada, bo))
    assert [await using.noted(use) for use in (ada_uses, bo_uses, bo_uses)] == [True, True, False]
    assert await using.noted(ada_uses)


async def test_a_note_that_fails_is_tried_with_the_next_use(
    thread: AsyncioThread, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing is raised to whoever asked; what is logged does not name the sign-in."""
    async with base_at(DEAD_URL, thread) as dead:
        use = LoginUse(dead.database)

        async def note() -> None:
            use.note("a sign-in")
            await use.settle()

        for _ in range(2):
            await thread.call(note, timeout_s=DEADLINE_S)
    assert [record.levelname for record in caplog.records] == ["WARNING"] * 2
    assert "a sign-in" not in caplog.text.replace("The use of a sign-in", "")
