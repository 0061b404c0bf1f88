"""The webhook worker: takes events from the queue and delivers them, at least once (docs/webhooks.md). Asyncio.

Several workers may share the queue (`omnisonic.studio.webhooks.delivery_queue`). Overload: `AT_ONCE` requests, one for
each webhook. Crash, or shutdown in the middle of a request: the event is delivered again when the lease of its webhook
has run out. A request that crashes is logged, and counts as failed. The database unavailable: logged, and tried again.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final, get_args

from opentelemetry import metrics

from omnisonic.errors import OmnisonicError
from omnisonic.identity.signing import Secret
from omnisonic.identity.webhook_secrets import find_webhook_secret
from omnisonic.observability.metrics import WEBHOOK_ATTEMPTS
from omnisonic.studio.job_loop import JobLoop
from omnisonic.studio.webhooks.delivery_queue import Delivery, DeliveryQueue, Outcome
from omnisonic.studio.webhooks.sender import Answer, WebhookSender

AT_ONCE: Final = 4
RETRY_S: Final = 5.0
"""The pause after the database did not answer."""
CHANGED_SECRET: Final = "NEXTAUTH_SECRET was changed: remove this webhook and add it again"  # noqa: S105

_log = logging.getLogger(__name__)


class WebhookWorker:
    """Delivers the events in `queue`.

    Args:
        queue: Where the events are.
        sender: Sends the requests.
        signing_secret: Returns the signing secret. Raises `OmnisonicError` when it is missing or weak.
        sleep: Waits; another clock in tests.
    """

    def __init__(
        self,
        queue: DeliveryQueue,
        sender: WebhookSender,
        signing_secret: Callable[[], Secret],
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._queue = queue
        self._sender = sender
        self._signing_secret = signing_secret
        self._attempts = WEBHOOK_ATTEMPTS.counter(metrics.get_meter("studio-worker"))
        for outcome in get_args(Outcome):
            self._attempts.add(0, {"outcome": outcome})  # so that the first one is seen as a rise
        self._jobs = JobLoop(
            self.deliver_next,
            queue,
            postponed="webhook.postponed",
            failed="webhook.failed",
            at_once=AT_ONCE,
            retry_s=RETRY_S,
            sleep=sleep,
        )

    async def run(self) -> None:
        """Deliver all events that come. Never returns."""
        await self._jobs.run()

    async def deliver_next(self) -> bool:
        """Try to deliver the next event. False when there is none now. Raises `Unavailable`."""
        delivery = await self._queue.take()
        if delivery is None:
            return False
        answer = await self._send(delivery)
        if answer.is_success:
            outcome = await self._queue.record_success(delivery, answer.text)
        else:
            outcome = await self._queue.record_failure(delivery, answer.text, is_answered=answer.is_answered)
            _log.warning(
                "webhook.not_delivered",
                extra={"webhook": delivery.webhook_id, "reason": answer.text, "outcome": outcome},
            )
        self._attempts.add(1, {"outcome": outcome})
        return True

    async def _send(self, delivery: Delivery) -> Answer:
        try:
            secret = find_webhook_secret(self._signing_secret(), delivery.salt, delivery.digest)
        except OmnisonicError as problem:
            return Answer(problem.message)
        if secret is None:
            return Answer(CHANGED_SECRET)
        try:
            return await self._sender.send(delivery.url, secret, str(delivery.event_id), delivery.body)
        except Exception as crash:  # noqa: BLE001 - the event counts as tried: it must not hold up the others for ever
            _log.exception("webhook.failed")
            return Answer(f"it cannot be sent: {type(crash).__name__}")
