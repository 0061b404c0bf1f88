"""The queue of deliveries on a real database, and the worker that empties it into a real socket."""

import base64
import hashlib
import hmac
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final
from uuid import uuid4

import httpx
import pytest
import trio

from omnisonic.identity.webhook_secrets import WebhookSecret, make_webhook_secret
from omnisonic.studio.webhooks import EVENT_TYPES, MOST_WAITING, MOST_WEBHOOKS, EventType, RoomEvent, Topic
from omnisonic.studio.webhooks.delivery_queue import (
    ASIDE_S,
    GIVE_UP_S,
    LEASE_S,
    PAUSES_S,
    TRIES_IN_ORDER,
    Delivery,
    DeliveryQueue,
)
from omnisonic.studio.webhooks.delivery_worker import CHANGED_SECRET, WebhookWorker
from omnisonic.studio.webhooks.event_queue import PostgresRoomEvents
from omnisonic.studio.webhooks.sender import RESPONSE_BYTES, WebhookSender
from omnisonic.studio.webhooks.webhook_store import DeliveryRecord, NoSuchWebhook, TooManyWebhooks, WebhookStore
from tests.no_tls import NO_TLS
from tests.studio.databases import Base
from tests.studio.webhooks.receiver import ENDLESS, HANG, OK, Receiver, receiving, status

SECRET: Final = "a signing secret of this test's own"
IMPATIENT_S: Final = 0.3
"""The longest a request may take where the receiver hangs."""
AHEAD: Final = timedelta(minutes=1)
"""Rows have the time of the database, and none comes from later than now."""


def event(type_: EventType = "member.joined", room: str = "jam", body: str = "{}") -> RoomEvent:
    return RoomEvent(uuid4(), type_, room, body)


@dataclass
class Desk:
    """The webhooks of a database, and a clock that only the test moves."""

    base: Base
    began: datetime = field(default_factory=lambda: datetime.now(UTC) + AHEAD)
    made: WebhookSecret = field(default_factory=lambda: make_webhook_secret(SECRET))
    passed: timedelta = timedelta()
    senders: list[WebhookSender] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.store = self.base.of(WebhookStore(self.base.database))
        self.events = self.base.of(PostgresRoomEvents(self.base.database))
        self.queue = self.base.of(DeliveryQueue(self.base.database, self.now))

    def now(self) -> datetime:
        return self.began + self.passed

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.passed += timedelta(seconds=seconds)

    def worker(self, *, within_s: float = 10.0) -> WebhookWorker:
        """A worker whose requests take at most `within_s`."""
        sender = WebhookSender(partial(httpx.AsyncClient, verify=NO_TLS), within_s=within_s)
        self.senders.append(self.base.of(sender))
        return self.base.of(WebhookWorker(DeliveryQueue(self.base.database, self.now), sender, lambda: SECRET))

    async def add(
        self, url: str = "http://localhost:9/", room: str | None = None, events: Sequence[EventType] = EVENT_TYPES
    ) -> int:
        return await self.store.add(url, room, events, self.made)

    async def take(self) -> Delivery:
        """What is next, which must be there."""
        delivery = await self.queue.take()
        assert delivery is not None
        return delivery

    async def records(self, webhook: int) -> list[DeliveryRecord]:
        """The deliveries of this webhook, oldest first."""
        return (await self.store.deliveries(webhook, limit=100))[::-1]

    async def fail(self, delivery: Delivery, *, is_answered: bool = False) -> str:
        return await self.queue.record_failure(delivery, "no", is_answered=is_answered)


@pytest.fixture
async def desk(base: Base) -> AsyncIterator[Desk]:
    desk = Desk(base)
    yield desk
    for sender in desk.senders:
        await sender.aclose()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as receiver:
        yield receiver


async def test_an_event_is_queued_once_for_each_webhook_that_is_for_it(desk: Desk) -> None:
    """By its type and its room; also when the same events are given again because the first answer was lost."""
    all_, jam, lefts = await desk.add(), await desk.add(room="jam"), await desk.add(events=["member.left"])
    assert await desk.events.topics() >= {Topic("room.opened", None), Topic("member.left", "jam")}
    given = [event(), event("member.left"), event(room="other")]
    assert [await desk.events.queue(given) for _ in range(2)] == [0, 0]
    queued = {each: [record.event_id for record in await desk.records(each)] for each in (all_, jam, lefts)}
    ids = [each.id for each in given]
    assert queued == {all_: ids, jam: ids[:2], lefts: ids[1:2]}
    await desk.store.remove(jam)
    with pytest.raises(NoSuchWebhook):
        await desk.records(jam)


async def test_what_waits_for_one_webhook_is_bounded_and_costs_the_others_nothing(desk: Desk) -> None:
    """One more event is dropped for it, and counted; so are webhooks over their number refused."""
    full, other = await desk.add(), await desk.add()
    await desk.base.sql(
        "INSERT INTO webhook_deliveries (webhook_id, event_id, type, room, body)"
        " SELECT $1, gen_random_uuid(), 'member.left', 'jam', '{}' FROM generate_series(1, $2)",
        full,
        MOST_WAITING,
    )
    assert await desk.events.queue([event()]) == 1
    assert [webhook.waiting for webhook in await desk.store.all()] == [MOST_WAITING, 1]
    delivery = await desk.take()
    assert delivery.webhook_id == full
    await desk.queue.record_success(delivery, "HTTP 204")
    assert await desk.events.queue([event()]) == 0
    assert len(await desk.records(other)) == 2
    for _ in range(MOST_WEBHOOKS - 2):
        await desk.add()
    with pytest.raises(TooManyWebhooks):
        await desk.add()


async def test_a_webhook_is_with_one_worker_at_a_time_and_its_events_come_in_order(desk: Desk) -> None:
    """However many take at once: two webhooks keep two busy, and the third gets nothing."""
    first, second = await desk.add(), await desk.add()
    given = [event() for _ in range(3)]
    await desk.events.queue(given)
    taken: list[Delivery | None] = []

    async def take() -> None:
        taken.append(await desk.queue.take())

    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(take)
    found = [each for each in taken if each is not None]
    assert sorted((each.webhook_id, each.event_id) for each in found) == [
        (first, given[0].id),
        (second, given[0].id),
    ]
    for each in found:
        assert await desk.queue.record_success(each, "HTTP 204") == "delivered"
    order: dict[int, list[object]] = {first: [], second: []}
    while (delivery := await desk.queue.take()) is not None:
        order[delivery.webhook_id].append(delivery.event_id)
        await desk.queue.record_success(delivery, "HTTP 204")
    assert order == {each: [event.id for event in given[1:]] for each in (first, second)}
    assert {(each.status, each.body) for each in await desk.records(first)} == {("delivered", None)}


async def test_the_event_of_a_worker_that_was_killed_is_delivered_again(desk: Desk) -> None:
    """When its lease has run out, and not before; what the first one reports late counts for nothing."""
    webhook = await desk.add()
    await desk.events.queue([event()])
    killed = await desk.take()
    desk.wait(LEASE_S - 1)
    assert await desk.queue.take() is None
    desk.wait(1)
    again = await desk.take()
    assert again.event_id == killed.event_id
    assert await desk.fail(killed) == "lost"
    assert await desk.queue.record_success(killed, "HTTP 204") == "lost"
    assert await desk.queue.record_success(again, "HTTP 204") == "delivered"
    (record,) = await desk.records(webhook)
    assert (record.status, record.attempts, record.result) == ("delivered", 1, "HTTP 204")


async def test_while_a_receiver_is_away_its_events_wait_in_order_for_a_day(desk: Desk) -> None:
    """It is asked more and more rarely; then what is too old is given up, and what is younger comes next."""
    webhook = await desk.add()
    given = [event(body=f'{{"n":{number}}}') for number in range(3)]
    await desk.events.queue(given)
    await desk.base.sql("UPDATE webhook_deliveries SET created_at = now() + interval '1 hour' WHERE body = '{\"n\":2}'")
    tries = 0
    while (delivery := await desk.take()).event_id == given[0].id:
        tries += 1
        outcome = await desk.fail(delivery)
        pause_s = PAUSES_S[min(tries, len(PAUSES_S)) - 1]
        desk.wait(pause_s - 1)
        assert await desk.queue.take() is None
        desk.wait(1)
        assert outcome == ("given_up" if desk.passed.total_seconds() - pause_s >= GIVE_UP_S else "failed")
    assert tries < 32
    assert delivery.event_id == given[2].id
    assert await desk.queue.record_success(delivery, "HTTP 200") == "delivered"
    records = await desk.records(webhook)
    assert [(each.status, each.attempts) for each in records] == [("failed", tries), ("failed", 0), ("delivered", 1)]
    assert [each.body for each in records] == ['{"n":0}', '{"n":1}', None]
    (seen,) = await desk.store.all()
    assert (seen.failures, seen.waiting) == (0, 0)


async def test_an_event_that_a_receiver_cannot_take_does_not_hold_up_the_others(desk: Desk) -> None:
    """After a few answers with an error it waits aside; the next ones go ahead, and it is tried again later."""
    await desk.add()
    given = [event() for _ in range(2)]
    await desk.events.queue(given)
    await put_aside(desk, given[0])
    delivery = await desk.take()
    assert delivery.event_id == given[1].id
    await desk.queue.record_success(delivery, "HTTP 200")
    assert await desk.queue.take() is None
    desk.wait(ASIDE_S)
    assert (await desk.take()).event_id == given[0].id


async def put_aside(desk: Desk, first: RoomEvent) -> None:
    """The receiver answers this event, which is next, with errors until it waits aside, at the documented pauses."""
    for pause_s in (*PAUSES_S[: TRIES_IN_ORDER - 1], PAUSES_S[0]):
        delivery = await desk.take()
        assert delivery.event_id == first.id
        assert await desk.fail(delivery, is_answered=True) == "failed"
        desk.wait(pause_s - 1)
        assert await desk.queue.take() is None
        desk.wait(1)


async def test_several_events_in_a_row_that_a_receiver_cannot_take_wait_aside_one_by_one(desk: Desk) -> None:
    """Each after as many tries and pauses as the first. A receiver that is away afterwards is soon asked again."""
    await desk.add()
    given = [event() for _ in range(4)]
    await desk.events.queue(given)
    for bad in given[:3]:
        await put_aside(desk, bad)
    for pause_s in PAUSES_S[:2]:
        delivery = await desk.take()
        assert delivery.event_id == given[3].id
        assert await desk.fail(delivery) == "failed"
        desk.wait(pause_s)
    delivery = await desk.take()
    assert await desk.queue.record_success(delivery, "HTTP 200") == "delivered"
    assert {each.attempts for each in (await desk.records(delivery.webhook_id))[:3]} == {TRIES_IN_ORDER}


async def test_a_removed_webhook_gets_nothing_and_fails_nobody(desk: Desk) -> None:
    """While it is being removed, events wait for that and go to the others; a delivery under way is lost."""
    removed, other = await desk.add(), await desk.add()
    await desk.events.queue([event()])
    delivery = await desk.take()
    held = desk.base.holding("DELETE FROM webhooks WHERE id = $1", removed)
    async with trio.open_nursery() as nursery, held:
        nursery.start_soon(desk.events.queue, [event()])
        await desk.base.once_waiting(1)
    assert len(await desk.records(other)) == 2
    assert delivery.webhook_id == removed
    assert await desk.queue.record_success(delivery, "HTTP 204") == "lost"


async def test_what_has_ended_is_listed_for_some_days(desk: Desk) -> None:
    """Then it is dropped, the oldest first; what waits stays."""
    webhook = await desk.add()
    await desk.events.queue([event() for _ in range(3)])
    for _ in range(2):
        await desk.queue.record_success(await desk.take(), "HTTP 204")
    drop = partial(desk.queue.drop_old, timedelta(days=7))
    assert await drop(10) == 0
    await desk.base.sql("UPDATE webhook_deliveries SET finished_at = finished_at - interval '8 days'")
    assert [await drop(1), await drop(10), await drop(10)] == [1, 1, 0]
    assert [each.status for each in await desk.records(webhook)] == ["waiting"]


async def test_a_receiver_gets_each_event_signed(desk: Desk, receiver: Receiver) -> None:
    """The body as it was queued, under an id that stays the same when it is sent again."""
    await desk.add(receiver.url)
    given = event(body='{"type":"member.joined","data":{"displayName":"Zoë"}}')
    await desk.events.queue([given])
    receiver.answers = [status("500 Oops"), OK]
    worker = desk.worker()
    assert await worker.deliver_next()
    desk.wait(PAUSES_S[0])
    assert await worker.deliver_next()
    assert not await worker.deliver_next()
    assert [each.headers["webhook-id"] for each in receiver.requests] == [str(given.id)] * 2
    for request in receiver.requests:
        assert request.body == given.body.encode()
        assert request.headers["content-type"] == "application/json"
        signed = f"{given.id}.{request.headers['webhook-timestamp']}.{given.body}".encode()
        key = base64.b64decode(desk.made.secret.removeprefix("whsec_"))
        signature = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
        assert request.headers["webhook-signature"] == f"v1,{signature}"


@pytest.mark.parametrize(
    ("answer", "result"),
    [
        (status("500 Oops"), "HTTP 500"),
        (status("302 Found", "Location: http://localhost:9/inside"), "HTTP 302; redirects are not followed"),
        (HANG, f"no response within {IMPATIENT_S:g} s"),
        (b"SSH-2.0-here\r\n\r\n", "status line"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000, ""),
    ],
    ids=["error", "redirect", "hangs", "no-http", "long-head"],
)
async def test_what_a_bad_receiver_does_is_told_and_tried_again(
    desk: Desk, receiver: Receiver, answer: bytes, result: str
) -> None:
    """One request each, and no further."""
    webhook = await desk.add(receiver.url)
    await desk.events.queue([event()])
    receiver.answers = [answer]
    assert await desk.worker(within_s=IMPATIENT_S).deliver_next()
    (record,) = await desk.records(webhook)
    assert (record.status, record.attempts) == ("waiting", 1)
    assert record.result is not None
    assert result in record.result
    assert record.result
    assert len(receiver.requests) == 1
    assert [(each.failures, each.problem) for each in await desk.store.all()] == [(1, record.result)]


async def test_of_an_endless_response_only_the_beginning_is_read(desk: Desk, receiver: Receiver) -> None:
    """Its status counts. The connection is closed, so the receiver cannot go on."""
    webhook = await desk.add(receiver.url)
    await desk.events.queue([event()])
    receiver.answers = [ENDLESS]
    assert await desk.worker().deliver_next()
    (record,) = await desk.records(webhook)
    assert (record.status, record.result) == ("delivered", f"HTTP 200, and a response over {RESPONSE_BYTES} bytes")
    assert receiver.sent_bytes < 64 * 1024 * 1024


async def test_a_webhook_whose_secret_is_forgotten_is_not_called(desk: Desk, receiver: Receiver) -> None:
    """The signing secret was changed: nothing is sent, and the operator learns why. Nor where nobody listens."""
    desk.made = make_webhook_secret("another")
    changed = await desk.add(receiver.url)
    desk.made = make_webhook_secret(SECRET)
    nobody = await desk.add("http://localhost:9/")
    await desk.events.queue([event()])
    worker = desk.worker()
    assert [await worker.deliver_next() for _ in range(3)] == [True, True, False]
    assert receiver.requests == []
    assert (await desk.store.find(changed)).problem == CHANGED_SECRET
    (record,) = await desk.records(nobody)
    assert record.result


async def test_a_request_that_crashes_is_an_attempt_that_has_failed(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    """The event waits and is given up like any other; so is what goes to an address that is refused today."""
    webhook, refused = await desk.add(), await desk.add("https://127.0.0.1:99999/")
    await desk.events.queue([event()])

    async def crash(_request: httpx.Request) -> httpx.Response:
        raise ExceptionGroup("unable to connect", [OverflowError("port must be 0-65535.")])

    sender = WebhookSender(lambda: httpx.AsyncClient(transport=httpx.MockTransport(crash)))
    desk.senders.append(desk.base.of(sender))
    worker = desk.base.of(WebhookWorker(DeliveryQueue(desk.base.database, desk.now), sender, lambda: SECRET))
    assert [await worker.deliver_next() for _ in range(3)] == [True, True, False]
    records = [*await desk.records(webhook), *await desk.records(refused)]
    assert [(each.status, each.attempts, each.result) for each in records] == [
        ("waiting", 1, "it cannot be sent: ExceptionGroup"),
        ("waiting", 1, "The port of a webhook's URL is from 1 to 65535."),
    ]
    assert [record.message for record in caplog.records if record.exc_info] == ["webhook.failed"]
    desk.wait(PAUSES_S[0])
    assert [await worker.deliver_next() for _ in range(3)] == [True, True, False]
