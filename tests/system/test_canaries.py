"""Secrets stay where they belong: nothing of a sign-in, a ticket or an invite is in what a studio prints (SPEC 7)."""

from pathlib import Path
from urllib.parse import urlsplit

import trio

from tests.cli.running import running
from tests.system.musicians import PASSWORD, musician
from tests.system.studio import Served


async def test_what_a_studio_prints_holds_no_secret(tmp_path: Path) -> None:
    """With every message's span printed: passwords, cookies, tickets, invites, and the secrets of the installation."""
    settings = {"OMNISONIC_DATA_DIR": str(tmp_path), "ROOM_ACCESS": "ticket", "OTEL_SDK_DISABLED": "false"}
    with running("serve", **settings) as command:
        studio = Served(command, tmp_path, settings)
        async with musician(studio.visitors, "ada") as ada, musician(studio.visitors, "bo") as bo:
            session = await ada.create("Quiet")
            invite = (await ada.told("POST", f"/api/sessions/{session}/invites", {}, status=201))["url"]
            await bo.ask("GET", urlsplit(invite).path)
            ticket = await bo.ticket(session)
            async with bo.with_ticket(ticket) as client:
                await client.say("chat", {"text": "psst"}, id=1)
                await client.next("ack")
            cookies = [ada.cookie, bo.cookie]
            await bo.sign_out()
        kept = [(tmp_path / name).read_text().strip() for name in ("secret", "admin-token", "postgres/password")]
        assert await trio.to_thread.run_sync(command.stop) == 0
    printed = "\n".join(command.lines)
    assert "/api/sessions" in printed
    values = [part.partition("=")[2] for cookie in cookies for part in cookie.split("; ")]
    secrets = [PASSWORD, ticket["ticket"], invite.rpartition("/")[2], *values, *kept]
    assert len(secrets) == len(set(secrets)) >= 8
    assert [secret for secret in secrets if secret in printed] == []
