"""The signing secret is changed while people are there: nobody is signed out, and no form or link is lost (SPEC 2).

Three webs on the same rows and files: before the change, after it, and when the old secret is forgotten.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx
import pytest

from omnisonic.identity.signing import ChangedSecret
from omnisonic.stores.storage.local import LocalStorage
from tests.http.api.test_uploads import SOUND, send
from tests.http.oauth_studio import go_there, provider, shared_provider
from tests.http.openid_provider import OpenIdProvider
from tests.http.running import SECRET, Web, running_web
from tests.http.signing_in import EMAIL, PASSWORD, csrf_token, session, sign_in
from tests.postgres_server import PostgresServer, fresh_database

__all__ = ["provider", "shared_provider"]

NEW: Final = "the secret after the change, of 32 bytes"


@dataclass(frozen=True)
class Webs:
    """The studio before the change, after it, and later."""

    before: Web
    after: Web
    later: Web


@pytest.fixture(scope="module")
def webs(
    postgres_process: PostgresServer, shared_provider: OpenIdProvider, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Webs]:
    folder: Path = tmp_path_factory.mktemp("uploads")
    environ = shared_provider.environment
    with (
        fresh_database(postgres_process) as url,
        running_web(environ, database_url=url, storage=LocalStorage(folder)) as before,
        running_web(
            environ, database_url=url, storage=LocalStorage(folder), secret=ChangedSecret(NEW, previous=SECRET)
        ) as after,
        running_web(environ, database_url=url, storage=LocalStorage(folder), secret=NEW) as later,
    ):
        yield Webs(before, after, later)


def moved(client: httpx.Client, web: Web) -> httpx.Client:
    """The same browser, at another web: cookies do not know ports."""
    there = web.new_client()
    there.cookies.update(client.cookies)
    return there


def test_who_was_signed_in_stays_so(webs: Webs) -> None:
    """As long as the old secret is believed."""
    ada = webs.before.new_client()
    sign_in(ada)
    assert session(moved(ada, webs.after))["user"]["email"] == EMAIL
    assert session(moved(ada, webs.later)) == {}


def test_who_signs_in_now_is_signed_in_by_the_new_secret(webs: Webs) -> None:
    """Which is all that is left later; the old one knows nothing of it."""
    ada = webs.after.new_client()
    sign_in(ada)
    assert session(moved(ada, webs.later))["user"]["email"] == EMAIL
    assert session(moved(ada, webs.before)) == {}


@pytest.mark.parametrize(("opened", "sent", "status"), [
    ("before", "after", 200), ("after", "after", 200), ("after", "later", 200),
    ("before", "later", 403), ("after", "before", 403),
])  # fmt: skip
def test_a_form_that_was_open_can_be_sent(webs: Webs, opened: str, sent: str, status: int) -> None:
    """Its token and its cookie are of the web that made the page."""
    client = getattr(webs, opened).new_client()
    form = {"csrfToken": csrf_token(client), "email": EMAIL, "password": PASSWORD, "json": "true"}
    assert moved(client, getattr(webs, sent)).post("/api/auth/callback/credentials", data=form).status_code == status


@pytest.mark.parametrize(("made", "followed", "status"), [
    ("before", "after", 200), ("after", "after", 200), ("after", "later", 200),
    ("before", "later", 403), ("after", "before", 403),
])  # fmt: skip
def test_a_link_to_a_file_goes_on_working(webs: Webs, made: str, followed: str, status: int) -> None:
    """For its fifteen minutes."""
    here, there = getattr(webs, made), getattr(webs, followed)
    ada = here.new_client()
    sign_in(ada)
    link = send(ada).json()["downloadUrl"].replace(here.url, there.url)
    got = there.client.get(link)
    assert got.status_code == status
    assert (got.content == SOUND) is (status == 200)


@pytest.mark.parametrize(("begun", "ended", "is_in"), [
    ("before", "after", True), ("after", "later", True), ("before", "later", False), ("after", "before", False),
])  # fmt: skip
def test_who_is_at_a_provider_meanwhile_comes_back(
    webs: Webs, provider: OpenIdProvider, begun: str, ended: str, is_in: bool
) -> None:
    """With the transaction in their cookie."""
    here, there = getattr(webs, begun), getattr(webs, ended)
    client = here.new_client()
    back = go_there(client, "github").replace(here.url, there.url)
    returned = moved(client, there)
    returned.get(back)
    assert bool(session(returned)) is is_in
