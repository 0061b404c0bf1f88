"""A studio where people sign in through a provider on a real socket, and what a browser does to get there and back.

To use the fixtures, import `shared_provider`, `provider`, `shared_studio` and `studio` into a test's module.
"""

from collections.abc import Iterator
from typing import Final

import httpx
import pytest

from tests.http.conftest import emptied
from tests.http.openid_provider import OpenIdProvider, running_provider
from tests.http.running import Web, running_web
from tests.http.signing_in import post_form
from tests.postgres_server import PostgresServer, fresh_database

ALL: Final = ["github", "google", "discord"]


@pytest.fixture(scope="module")
def shared_provider() -> Iterator[OpenIdProvider]:
    with running_provider() as provider:
        yield provider


@pytest.fixture
def provider(shared_provider: OpenIdProvider) -> OpenIdProvider:
    """A provider that behaves, and knows Ada."""
    shared_provider.behave()
    return shared_provider


@pytest.fixture(scope="module")
def shared_studio(postgres_process: PostgresServer, shared_provider: OpenIdProvider) -> Iterator[Web]:
    with (
        fresh_database(postgres_process) as url,
        running_web(shared_provider.environment, database_url=url) as web,
    ):
        yield web


@pytest.fixture
def studio(shared_studio: Web) -> Web:
    """A studio where people sign in through the provider, in three ways; nobody has yet."""
    return emptied(shared_studio)


def go_there(client: httpx.Client, name: str, **fields: str) -> str:
    """Press the button, and say yes at the provider: where it sends the browser back to."""
    begun = post_form(client, f"signin/{name}", **fields)
    assert begun.status_code == 302, begun.text
    consented = httpx.get(begun.headers["Location"])
    assert consented.status_code == 302, consented.text
    return consented.headers["Location"]


def sign_in_by(client: httpx.Client, name: str, **fields: str) -> httpx.Response:
    """There and back."""
    return client.get(go_there(client, name, **fields))


def users(web: Web) -> int:
    row = web.do(web.database.row("SELECT count(*) FROM users"))
    assert row is not None
    return int(row[0])
