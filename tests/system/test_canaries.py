"""Secrets stay where they belong: nothing of a sign-in, a ticket or an invite is in what a studio tells (SPEC 7)."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Final, TypeAlias
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
import trio

from tests.cli.running import START_S, running
from tests.http.oauth_studio import go_there
from tests.http.openid_provider import CLIENT_SECRET, OpenIdProvider, running_provider
from tests.otlp_receiver import running_otlp_receiver
from tests.prepared_postgres import prepare_data_directory
from tests.system.musicians import PASSWORD, musician
from tests.system.studio import Served

ADMIN_TOKEN: Final = "canary-of-the-operator-0f2c9d"
GUESSED_TOKEN: Final = "canary-of-somebody-else-77ab01"
SIGNED: Final = "canary that signs cookies and tickets 5d0e"
KEPT: Final = ("postgres/password",)
"""The secrets that an installation makes for itself, but for those that are given here."""

Telling: TypeAlias = Callable[[], AbstractContextManager[tuple[dict[str, str], Callable[[], str]]]]
"""The settings that make a studio tell somewhere, and what was told there so far."""


@contextmanager
def told_to_console() -> Iterator[tuple[dict[str, str], Callable[[], str]]]:
    """As development does: spans are printed with all else."""
    yield {"OTEL_SDK_DISABLED": "false"}, str


@contextmanager
def told_to_otlp() -> Iterator[tuple[dict[str, str], Callable[[], str]]]:
    """The same when traces and metrics go to a receiver: every byte that it gets."""
    with running_otlp_receiver() as receiver:

        def reported() -> str:
            assert receiver.spans()
            assert receiver.metrics("omnisonic-web")
            return b"\n".join(receiver.bodies).decode("latin-1")

        yield receiver.environment, reported


@pytest.mark.parametrize("told_to", [told_to_console, told_to_otlp], ids=["console", "otlp"])
async def test_what_a_studio_tells_holds_no_secret(tmp_path: Path, told_to: Telling) -> None:
    """Passwords, cookies, tickets, invites, codes of sign-in, tokens, and the secrets of the installation."""
    with told_to() as (telemetry, reported), running_provider() as provider:
        settings = {
            "OMNISONIC_DATA_DIR": str(prepare_data_directory(tmp_path)),
            "ROOM_ACCESS": "ticket",
            "ADMIN_TOKEN": ADMIN_TOKEN,
            "NEXTAUTH_SECRET": SIGNED,
            **provider.environment,
            **telemetry,
        }
        with running("serve", **settings) as command:
            studio = Served(command, tmp_path)
            secrets = await _visited(studio)
            secrets += await trio.to_thread.run_sync(_signed_in_by_provider, studio, provider)
            secrets += [(tmp_path / name).read_text().strip() for name in KEPT]
            assert await trio.to_thread.run_sync(command.stop) == 0
        everything = "\n".join(command.lines) + reported()
    assert "/api/sessions" in everything
    secrets += [PASSWORD, ADMIN_TOKEN, GUESSED_TOKEN, SIGNED, CLIENT_SECRET]
    assert len(secrets) == len(set(secrets)) >= 14
    assert [secret for secret in secrets if secret in everything] == []


async def _visited(studio: Served) -> list[str]:
    """Two people sign in, meet and leave, and an operator speaks; the secrets that they had."""
    async with musician(studio.visitors, "ada") as ada, musician(studio.visitors, "bo") as bo:
        session = await ada.create("Quiet")
        invite = (await ada.reported("POST", f"/api/sessions/{session}/invites", {}, status=201))["url"]
        for method, path in (("GET", ""), ("GET", "/api"), ("POST", "/api")):
            assert (await bo.ask(method, path + urlsplit(invite).path)).status_code == 200
        ticket = await bo.ticket(session)
        async with bo.with_ticket(ticket) as client:
            await client.say("chat", {"text": "psst"}, id=1)
            await client.next("ack")
            await trio.to_thread.run_sync(_spoken_by_operator, studio, session)
            await client.next("cue")
        await ada.reported("POST", "/api/export", {"sessionId": session}, status=202)
        cookies = [ada.cookie, bo.cookie]
        await bo.sign_out()
    values = [part.partition("=")[2] for cookie in cookies for part in cookie.split("; ")]
    return [ticket["ticket"], invite.rpartition("/")[2], *values]


def _spoken_by_operator(studio: Served, session: str) -> None:
    """With the right token, and with a wrong one."""
    with _client(studio) as client:
        for token, status in ((GUESSED_TOKEN, 401), (ADMIN_TOKEN, 202)):
            said = client.post(
                f"/api/rooms/{session}/messages", json={"type": "cue"}, headers={"Authorization": f"Bearer {token}"}
            )
            assert said.status_code == status, said.text


def _signed_in_by_provider(studio: Served, provider: OpenIdProvider) -> list[str]:
    """By each provider, and once more with a code that was used; what their addresses and cookies held."""
    secrets: list[str] = []
    for name in ("github", "google", "discord"):
        with _client(studio) as client:
            back = go_there(client, name)
            query = parse_qs(urlsplit(back).query)
            assert client.get(back).status_code == 302
            client.get(back)
            secrets += [query["code"][0], query["state"][0], *client.cookies.values()]
    assert provider.calls
    return list(dict.fromkeys(secrets))


def _client(studio: Served) -> httpx.Client:
    return httpx.Client(base_url=f"http://127.0.0.1:{studio.visitors.web_port}", timeout=START_S)
