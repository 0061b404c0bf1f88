"""Events for webhooks from a real gateway, in a real Postgres (docs/webhooks.md)."""

import json
from collections.abc import AsyncIterator
from typing import Any, Final

import pytest

from omnisonic.identity.webhook_secrets import make_webhook_secret
from omnisonic.operations.gateway_records import open_records
from omnisonic.studio.webhooks import EVENT_TYPES
from tests.gateway.people import People, enter, open_ticket_stage
from tests.rooms import Stage, becomes, eventually

GRACE_S: Final = 0.5


@pytest.fixture
async def stage(database_url: str, people: People) -> AsyncIterator[Stage]:
    """A gateway that waits a moment for members whose connections break, and one webhook for everything."""
    made = make_webhook_secret("secret")
    await people.execute(
        "INSERT INTO webhooks (url, events, salt, secret_digest) VALUES ('https://example.com', $1, $2, $3)",
        EVENT_TYPES,
        made.salt,
        made.digest,
    )
    async with (
        open_records(database_url) as records,
        open_ticket_stage(
            database_url,
            room_access="open",
            messages=records.messages,
            room_events=records.room_events,
            grace_s=GRACE_S,
        ) as stage,
    ):
        writer = stage.gateway.event_writer
        assert writer is not None
        await eventually(lambda: bool(writer.topics))
        yield stage


async def bodies(people: People, room: str) -> list[dict[str, Any]]:
    """The events of this room, in their order."""
    rows = await people.execute("SELECT body FROM webhook_deliveries WHERE room = $1 ORDER BY number", room)
    return [json.loads(row["body"]) for row in rows]


async def told(people: People, room: str) -> list[str]:
    return [f"{body['type']} {body['data'].get('memberId', '')}".strip() for body in await bodies(people, room)]


async def test_a_member_whose_connection_breaks_has_not_left(stage: Stage, people: People) -> None:
    """Within the grace they come back and nobody is told; later they have left, and the room is empty."""
    stays = await stage.bare_member("ada")
    broken = await stage.bare_member("bo")
    await broken.aclose()
    async with stage.member("bo"):
        pass
    opened = ["room.opened", "member.joined ada", "member.joined bo", "member.left bo"]
    await becomes(lambda: told(people, "jam"), wanted=opened)
    await stays.aclose()
    await becomes(lambda: told(people, "jam"), wanted=[*opened, "member.left ada", "room.emptied"])


async def test_a_kept_message_is_queued_with_itself(stage: Stage, people: People) -> None:
    """When it is acknowledged, its event is there, once; a message that is not kept brings none."""
    ada = await people.sign_up("ada")
    room = await people.session(ada)
    async with await enter(stage, ada, room) as member:
        for _ in range(2):
            await member.say("chat", {"text": "Héllo"}, id="m1", keep=True)
            await member.next("ack")
        await member.say("note")
        kept = [body for body in await bodies(people, room) if body["type"] == "message.kept"]
    (body,) = kept
    assert body["data"] == {
        "roomId": room,
        "epoch": member.welcome["payload"]["epoch"],
        "offset": 1,
        "id": "m1",
        "from": "ada",
        "userId": ada.person,
        "displayName": "Ada",
        "type": "chat",
        "payload": {"text": "Héllo"},
        "payloadOmitted": False,
    }
