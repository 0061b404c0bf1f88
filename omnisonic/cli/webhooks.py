"""`omnisonic webhooks`: makes, lists, tests and removes webhooks (docs/webhooks.md).

Only an operator makes webhooks, and only here: whoever may choose an address can make the worker send requests to it.
The secret is printed once, when the webhook is made.
"""

import asyncio
import json
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime

import typer

from omnisonic.cli.database import with_database
from omnisonic.cli.service_urls import find_database_url
from omnisonic.errors import InvalidInput, OmnisonicError
from omnisonic.identity.signing import signing_secret
from omnisonic.identity.webhook_secrets import find_webhook_secret, make_webhook_secret
from omnisonic.models.checks import checked_room_id
from omnisonic.observability.logs import configure_logs
from omnisonic.settings.settings import Settings
from omnisonic.studio.webhooks import EVENT_TYPES, EventType
from omnisonic.studio.webhooks.delivery_worker import CHANGED_SECRET
from omnisonic.studio.webhooks.sender import WebhookSender, check_webhook_url
from omnisonic.studio.webhooks.webhook_store import DeliveryRecord, DeliveryStatus, Webhook, WebhookStore


class WebhookTestFailed(OmnisonicError):
    """The test event was not delivered."""

    code = "webhook_test_failed"


def add(settings: Settings, url: str, *, room: str | None, events: str, as_json: bool) -> None:
    """Make a webhook and print its secret. Raises `InvalidInput`, `TooManyWebhooks`, `BadSettings`, database errors."""
    configure_logs(settings, "webhooks")
    url, wanted = check_webhook_url(url.strip()), _event_types(events)
    if room is not None:
        room = checked_room_id(room)
    made = make_webhook_secret(signing_secret(settings))
    number = asyncio.run(
        with_database(find_database_url(settings), lambda database: WebhookStore(database).add(url, room, wanted, made))
    )
    if as_json:
        fields = {"id": number, "url": url, "room": room, "events": wanted, "secret": made.secret}
        typer.echo(json.dumps(fields, ensure_ascii=False))
        return
    typer.echo(made.secret)
    typer.echo(f"This is the secret of webhook {number}. It is not shown again.", err=True)


def show(settings: Settings, *, as_json: bool) -> None:
    """Print all webhooks, without their secrets. Raises `BadSettings`, and database errors."""
    configure_logs(settings, "webhooks")
    url = find_database_url(settings)
    webhooks = asyncio.run(with_database(url, lambda database: WebhookStore(database).all()))
    if as_json:
        typer.echo(json.dumps({"webhooks": [_webhook_json(each) for each in webhooks]}, ensure_ascii=False))
    else:
        typer.echo(_webhook_table(webhooks))


def show_deliveries(settings: Settings, webhook: int, *, limit: int, failed: bool, as_json: bool) -> None:
    """Print the last deliveries of a webhook. Raises `NoSuchWebhook`, `BadSettings`, and database errors."""
    configure_logs(settings, "webhooks")
    url = find_database_url(settings)
    status: DeliveryStatus | None = "failed" if failed else None
    deliveries = asyncio.run(
        with_database(url, lambda database: WebhookStore(database).deliveries(webhook, limit=limit, status=status))
    )
    if as_json:
        typer.echo(json.dumps({"deliveries": [_delivery_json(each) for each in deliveries]}, ensure_ascii=False))
    else:
        typer.echo(_delivery_table(deliveries))


def test(settings: Settings, webhook_id: int) -> None:
    """Send a test event and print the answer.

    Raises `WebhookTestFailed`, `NoSuchWebhook`, `BadSettings`, and database errors.
    """
    configure_logs(settings, "webhooks")
    url = find_database_url(settings)
    webhook = asyncio.run(with_database(url, lambda database: WebhookStore(database).find(webhook_id)))
    secret = find_webhook_secret(signing_secret(settings), webhook.salt, webhook.secret_digest)
    if secret is None:
        raise WebhookTestFailed(f"{CHANGED_SECRET}.")
    body = {"type": "webhook.test", "timestamp": _time(datetime.now(UTC)), "data": {}}

    async def send() -> str:
        sender = WebhookSender()
        try:
            answer = await sender.send(webhook.url, secret, str(uuid.uuid4()), json.dumps(body))
        finally:
            await sender.aclose()
        if not answer.is_success:
            raise WebhookTestFailed(f"{webhook.url} did not take the event: {answer.text}.")
        return answer.text

    typer.echo(f"{webhook.url} has taken the event: {asyncio.run(send())}.")


def remove(settings: Settings, webhook: int) -> None:
    """Remove a webhook. Raises `NoSuchWebhook`, `BadSettings`, and database errors."""
    configure_logs(settings, "webhooks")
    url = find_database_url(settings)
    asyncio.run(with_database(url, lambda database: WebhookStore(database).remove(webhook)))
    typer.echo(f"Webhook {webhook} is removed.")


def _event_types(text: str) -> list[EventType]:
    """The types in a list with commas, in their usual order; all when it is empty. Raises `InvalidInput`."""
    named = {word.strip() for word in text.split(",") if word.strip()}
    if unknown := sorted(named.difference(EVENT_TYPES)):
        known = ", ".join(EVENT_TYPES)
        raise InvalidInput(f"There is no event {unknown[0]}. The events are: {known}.", code="invalid_events")
    return [type_ for type_ in EVENT_TYPES if type_ in named or not named]


def _webhook_json(webhook: Webhook) -> dict[str, object]:
    return {
        "id": webhook.id,
        "url": webhook.url,
        "room": webhook.room,
        "events": webhook.events,
        "createdAt": _time(webhook.created_at),
        "waiting": webhook.waiting,
        "failures": webhook.failures,
        "problem": webhook.problem,
    }


def _webhook_table(webhooks: Sequence[Webhook]) -> str:
    rows = [
        f"{webhook.id}  {webhook.url}  {'every room' if webhook.room is None else f'room {webhook.room}'}  "
        f"{'all events' if len(webhook.events) == len(EVENT_TYPES) else ', '.join(webhook.events)}  "
        f"{webhook.waiting} waiting{f'  ({webhook.problem})' if webhook.problem else ''}"
        for webhook in webhooks
    ]
    return "\n".join([*rows, f"{len(webhooks)} webhook{'' if len(webhooks) == 1 else 's'}."])


def _delivery_json(delivery: DeliveryRecord) -> dict[str, object]:
    return {
        "id": str(delivery.event_id),
        "type": delivery.type,
        "room": delivery.room,
        "status": delivery.status,
        "attempts": delivery.attempts,
        "result": delivery.result,
        "createdAt": _time(delivery.created_at),
        "finishedAt": None if delivery.finished_at is None else _time(delivery.finished_at),
        "body": None if delivery.body is None else json.loads(delivery.body),
    }


def _delivery_table(deliveries: Sequence[DeliveryRecord]) -> str:
    rows = [
        f"{_time(delivery.created_at)}  {delivery.type:<14}  {delivery.status:<9}  "
        f"{delivery.attempts} tried  {delivery.result or 'not tried yet'}  room {delivery.room}"
        for delivery in deliveries
    ]
    return "\n".join([*rows, f"{len(deliveries)} deliver{'y' if len(deliveries) == 1 else 'ies'}."])


def _time(moment: datetime) -> str:
    """ISO 8601 in UTC, to the second."""
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"
