"""`omnisonic webhooks`, on a real database."""

import json
from typing import Final

from tests.cli.postgres_running import query
from tests.cli.running import completed
from tests.cli.webhook_receiver import Receiver

SECRET: Final = "a signing secret of this test's own"
GIVEN_UP: Final = """
INSERT INTO webhook_deliveries (webhook_id, event_id, type, room, body, status, attempts, result, created_at,
    finished_at)
VALUES (2, gen_random_uuid(), 'member.left', 'jam', '{}', 'failed', 28, 'HTTP 500', '2026-11-01T12:00:00Z', now())
RETURNING 1
"""


def webhooks(database_url: str, *arguments: str, code: int = 0) -> tuple[str, str]:
    """What the command prints, on both outputs."""
    shown = completed("webhooks", *arguments, DATABASE_URL=database_url, NEXTAUTH_SECRET=SECRET)
    assert shown.returncode == code, shown.stderr
    return shown.stdout, shown.stderr


def test_a_webhook_is_made_tested_listed_and_removed(database_url: str, receiver: Receiver) -> None:
    """The secret alone is on standard output, once, for `$(…)`; the lists never have it."""
    url = receiver.url
    secret, said = webhooks(database_url, "add", url)
    assert secret.startswith("whsec_")
    assert said == "This is the secret of webhook 1. It is not shown again.\n"
    made, _ = webhooks(
        database_url, "add", "https://example.com", "--room", "jam", "--events", "member.left, room.opened", "--json"
    )
    fields = json.loads(made)
    assert fields.pop("secret").startswith("whsec_")
    events = ["room.opened", "member.left"]
    assert fields == {"id": 2, "url": "https://example.com", "room": "jam", "events": events}
    assert query(database_url, GIVEN_UP) == 1
    assert webhooks(database_url, "ls")[0] == (
        f"1  {url}  every room  all events  0 waiting\n"
        "2  https://example.com  room jam  room.opened, member.left  0 waiting\n2 webhooks.\n"
    )
    assert webhooks(database_url, "deliveries", "2", "--failed")[0] == (
        "2026-11-01T12:00:00Z  member.left     failed     28 tried  HTTP 500  room jam\n1 delivery.\n"
    )
    receiver.statuses = [204, 500]
    assert webhooks(database_url, "test", "1")[0] == f"{url} has taken the event: HTTP 204.\n"
    refused = f"omnisonic: {url} did not take the event: HTTP 500.\n"
    assert webhooks(database_url, "test", "1", code=1) == ("", refused)
    assert [body["type"] for body in receiver.taken] == ["webhook.test"] * 2
    assert webhooks(database_url, "rm", "2")[0] == "Webhook 2 is removed.\n"


def test_what_cannot_be_done_with_webhooks_is_said_in_a_sentence(database_url: str) -> None:
    """Events that there are not, and numbers of none. What addresses there may be: tests/identity."""
    sentences = {
        ("add", "https://example.com", "--events", "room.open"): "There is no event room.open. The events are:"
        " room.opened, room.emptied, member.joined, member.left, message.kept.",
        ("deliveries", "7"): "There is no webhook 7. `omnisonic webhooks ls` lists them.",
    }
    for arguments, sentence in sentences.items():
        assert webhooks(database_url, *arguments, code=1) == ("", f"omnisonic: {sentence}\n")
