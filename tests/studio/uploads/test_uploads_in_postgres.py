"""What the stores of uploads on Postgres promise beyond the contract: what they note, and what a list costs."""

import json
from contextlib import suppress
from functools import partial
from typing import Any, Final
from uuid import uuid4

import pytest

from omnisonic.errors import OmnisonicError
from omnisonic.identity.logins import login_id, new_token
from omnisonic.models import LoginId
from omnisonic.stores.database.pool import Database
from omnisonic.studio.accounts.login_activity import LoginUse
from omnisonic.studio.uploads import upload_statements as statements
from tests.stores.conftest import DEADLINE_S
from tests.studio.uploading import SIZE, Call, Studio, calls_about, calls_about_resumable, calls_into

MANY: Final = 20_000
PAGE: Final = 50
MOST_BUFFERS: Final = 120 + 12 * (PAGE + 1)
"""A page of 50 rows, each in a block of its own, what finds them, and the track and the takes of each."""
MAKE: Final = """
WITH track AS (
    INSERT INTO tracks (id, name, position, chosen_id)
    SELECT id, 'take ' || n, n, id FROM (SELECT gen_random_uuid() AS id, n FROM generate_series(1, $3::int) AS n) AS new
    RETURNING id, name
)
INSERT INTO uploads (id, user_id, session_id, object_key, file_name, file_size, mime_type, sha256, track_id)
SELECT id, $1, $2, 'uploads/' || gen_random_uuid(), name, 1, 'audio/x-wav', '', id FROM track
"""


def every_call(studio: Studio, use: LoginUse, login: LoginId, upload: str, key: str) -> list[Call]:
    """Each method of both stores, ready to be called."""
    uploads, resumables = studio.uploads_under(0, use), studio.resumables_under(0, use)
    return [
        *calls_about(uploads, login, upload),
        *calls_into(uploads, login, studio.session, key),
        partial(uploads.list, login, None, limit=1),
        partial(resumables.create, login, "take.wav", SIZE, studio.session),
        *calls_about_resumable(resumables, login, upload, key),
    ]


class Notes(LoginUse):
    """Remembers which uses it was told of."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.noted: list[LoginId] = []

    def note(self, login: LoginId) -> None:
        self.noted.append(login)
        super().note(login)


async def test_every_call_counts_as_use(studio: Studio) -> None:
    """Each of them keeps the sign-in alive, also one that comes to nothing; a stranger's does not."""

    async def noted(login: LoginId, number: int) -> list[LoginId]:
        use = Notes(studio.base.database)
        with suppress(OmnisonicError):
            await every_call(studio, use, login, upload.id, key)[number]()
        await studio.base.thread.call(use.settle, timeout_s=DEADLINE_S)
        return use.noted

    upload, key = await studio.upload("ada", studio.session), await studio.begun()
    for number in range(len(every_call(studio, LoginUse(studio.base.database), "", "", ""))):
        for login in (studio.logins["ada"], studio.logins["cy"]):
            await studio.base.sql("UPDATE logins SET seen_at = now() - interval '1 hour' WHERE id = $1", login)
            assert set(await noted(login, number)) == {login}
            seen = "SELECT count(*) FROM logins WHERE id = $1 AND seen_at > now() - interval '1 minute'"
            assert await studio.base.number(seen, login) == 1
        # Whoever was here before may still be being noted, so the database cannot tell that nobody was.
        assert await noted(login_id(new_token()), number) == []


@pytest.mark.parametrize("mode", ["force_custom_plan", "force_generic_plan"])
async def test_a_list_reads_no_more_than_its_page(studio: Studio, mode: str) -> None:
    """However many uploads there are, of one's own and of a session."""
    base, person = studio.base, studio.persons["ada"]
    for _ in range(4):
        await base.sql(MAKE, person.id, studio.session, MANY // 4)
    await base.sql("VACUUM ANALYZE")
    place = studio.logins["ada"], "infinity", uuid4(), PAGE + 1

    async def explained(statement: str, *values: object) -> dict[str, Any]:
        literals = ", ".join(f"'{value}'" for value in values)
        async with base.database.connection() as connection:
            await connection.execute(f"SET plan_cache_mode = {mode}; PREPARE asked AS {statement}")
            plan = await connection.fetchval(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE asked ({literals})")
            await connection.execute("DEALLOCATE asked; RESET ALL")
            found: dict[str, Any] = json.loads(plan)[0]["Plan"]
            return found

    for statement, values in ((statements.LIST_OWN, place), (statements.LIST_OF_SESSION, (*place, studio.session))):
        plan = await base.thread.call(explained, statement, *values, timeout_s=DEADLINE_S)
        assert plan["Actual Rows"] == PAGE + 1
        assert plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] <= MOST_BUFFERS, plan
