"""The operator's token over HTTP, for many at once: how quickly the guard answers decides who is let in (SPEC 4)."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.http.api.test_rooms_messages import bearer
from tests.http.running import ADMIN_TOKEN, Web, running_web
from tests.valkey_server import ValkeyServer

pytestmark = pytest.mark.timing


def statuses_at_once(web: Web, tokens: list[str]) -> list[int]:
    """What messages that are none get with these tokens, at the same moment: the token is looked at before."""

    def say(token: str) -> int:
        return web.client.post("/api/rooms/jam/messages", json={}, headers=bearer(token)).status_code

    with ThreadPoolExecutor(len(tokens)) as pool:
        return sorted(pool.map(say, tokens))


def test_right_tokens_at_once_wait_for_each_other(database_url: str, valkey: ValkeyServer) -> None:
    """However many come, with a guard that takes its time. Wrong ones are counted one by one."""
    with running_web(database_url=database_url, redis_url=valkey.url) as web:
        for _ in range(2):
            assert statuses_at_once(web, [ADMIN_TOKEN] * 50) == [400] * 50
        assert statuses_at_once(web, ["wrong"] * 9 + [ADMIN_TOKEN] * 41) == [400] * 41 + [401] * 9
        assert statuses_at_once(web, ["wrong"] * 50) == [401] + [429] * 49
        assert statuses_at_once(web, [ADMIN_TOKEN] * 2) == [429] * 2
