"""Peer answers: what other gateways ask about rooms of this one, in the name of their operators (SPEC 5.5).

Each question is a session of its own (`omnisonic.actors.inspection.session`), as if its operator were connected here. A
question without the proof that the operator has shown the token of this gateway is refused, and logged; so is one that
comes a second time. What an operator does is logged with the address that the other gateway has told.

All of it belongs to the gateway's loop; while that is blocked, nothing is answered, and the asker says so. Overload: at
most `ASKED` questions at once; answers wait until less than `BEHIND_BYTES` waits for the peer, for as long as for any
inspector. Deadline: `ASKED_S`, and the time of a tap. Link reset, asker gone: the session ends. Crash of a session: it
is logged, and ends that session. Shutdown: cancelled.
"""

import logging
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

import trio
from trio_websocket import ConnectionClosed

from omnisonic.actors.cluster.link_stats import gateway_of
from omnisonic.actors.cluster.links import PeerLinks
from omnisonic.actors.inspection.session import InspectorConnection
from omnisonic.errors import InvalidInput
from omnisonic.wire import inspection as protocol
from omnisonic.wire.peer_messages import Ask
from omnisonic.wire.peer_questions import is_proved, split_answer

ASKED: Final = 16
ASKED_S: Final = 10.0
BEHIND_BYTES: Final = 1_048_576
ASKERS: Final = 1024
"""So many gateways are known by the number of their last question."""

Serve: TypeAlias = Callable[[InspectorConnection, str], Awaitable[None]]
"""Serves one inspector: connection and address."""

_log = logging.getLogger(__name__)


class AskingOperator:
    """An operator who has asked another gateway one question, with the calls of a WebSocket."""

    def __init__(self, links: PeerLinks, peer: str, ask: Ask) -> None:
        self.closed: object = None
        """Something when the asker has gone."""
        self.scope = trio.CancelScope()
        self._links = links
        self._peer = peer
        self._ask = ask
        self._is_asked = False

    async def get_message(self) -> bytes:
        """The question, and then nothing more, until the asker has gone."""
        if self._is_asked:
            await trio.sleep_forever()
        self._is_asked = True
        await trio.lowlevel.checkpoint()
        return self._ask.what

    async def send_message(self, message: str | bytes) -> None:
        """Send an answer. Errors: `ConnectionClosed`."""
        body = message.encode() if isinstance(message, str) else message
        for part in split_answer(self._ask.id, body):
            await self._links.wait_until_sent(self._peer, BEHIND_BYTES)
            if self.closed is not None:
                raise ConnectionClosed(None)
            self._links.send(self._peer, part)

    async def ping(self) -> None:
        """Nothing: the link says when the peer is gone."""
        await trio.lowlevel.checkpoint()

    def hang_up(self) -> None:
        """The asker has gone."""
        self.closed = "gone"
        self.scope.cancel()


class PeerAnswers:
    """The answers of one gateway. `token` is the operators'; None: there are none. `serve` runs a session."""

    def __init__(self, links: PeerLinks, serve: Serve, token: str | None) -> None:
        self._links = links
        self._serve = serve
        self._token = token
        self._asking: dict[tuple[str, str], AskingOperator] = {}
        self._last: dict[str, int] = {}
        self._nursery: trio.Nursery | None = None

    def __len__(self) -> int:
        """How many questions are being answered."""
        return len(self._asking)

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Answer until cancelled."""
        try:
            async with trio.open_nursery() as self._nursery:
                task_status.started()
                await trio.sleep_forever()
        finally:
            self._nursery = None
            self._asking.clear()

    def on_ask(self, peer: str, ask: Ask) -> None:
        """A peer asks, or wants no more answers."""
        key = peer, ask.id
        if not ask.what:
            if key in self._asking:
                self._asking[key].hang_up()
            return
        if self._nursery is None:
            return
        try:
            for_s = self._admit(peer, ask)
        except InvalidInput as refusal:
            failed = protocol.Failed(protocol.read_id(ask.what), refusal.code, refusal.message)
            for part in split_answer(ask.id, protocol.encode(failed).encode()):
                self._links.send(peer, part)
            return
        self._asking[key] = operator = AskingOperator(self._links, peer, ask)
        self._nursery.start_soon(self._answer, key, operator, f"{ask.address} at {gateway_of(peer)}", for_s)

    def _admit(self, peer: str, ask: Ask) -> float:
        """Check a question. Returns for how long it may be answered. Errors: `InvalidInput`."""
        if self._token is None or not is_proved(self._token, peer, self._links.run_name, ask):
            problem = f"{gateway_of(peer)} asks without the token of this gateway."
            _log.warning("inspector.refused", extra={"address": ask.address, "problem": problem})
            what = "no ADMIN_TOKEN" if self._token is None else "another ADMIN_TOKEN"
            name = gateway_of(self._links.run_name)
            raise InvalidInput(f"{name}, which owns the room, has {what}.", code="owner_refused")
        if not ask.id.isdecimal() or int(ask.id) <= self._last.get(peer, 0):
            raise InvalidInput("That question was asked before.", code="owner_refused")
        self._last[peer] = int(ask.id)
        while len(self._last) > ASKERS:
            del self._last[next(iter(self._last))]
        if len(self._asking) >= ASKED:
            raise InvalidInput(f"The owner of the room answers {ASKED} questions already.", code="owner_busy")
        question = protocol.read_question(ask.what)
        return ASKED_S + (question.for_s if isinstance(question, protocol.AskTap) else 0.0)

    async def _answer(self, key: tuple[str, str], operator: AskingOperator, address: str, for_s: float) -> None:
        operator.scope.deadline = trio.current_time() + for_s
        try:
            with operator.scope:
                await self._serve(operator, address)
        except Exception as crash:  # noqa: BLE001 - one question must not end the others
            _log.warning("inspector.failed", extra={"address": address}, exc_info=crash)
        finally:
            operator.closed = "gone"
            self._asking.pop(key, None)

    def on_reset(self, peer: str) -> None:
        """The peer does not wait for answers any more."""
        for (asker, _), operator in self._asking.items():
            if asker == peer:
                operator.hang_up()
