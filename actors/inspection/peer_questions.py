"""Peer questions: what this gateway asks others about their rooms, in the name of an operator (SPEC 5.5).

A question about a room goes to its owner. An edge of the room knows who that is; otherwise the room memory store does.
The operator has shown the token here. The question has a proof of that (`omnisonic.wire.peer_questions`), and the owner
answers only when its own token is the same. So nobody learns or does more by asking here.

All of it belongs to the gateway's loop. Overload: as many questions at once as inspectors have; an answer is kept up
to `ANSWER_BYTES`, and at most `WAITING` wait to be taken. Owner away, blocked or slow: `owner_silent` after `OWNER_S`.
Link reset: the same, at once. Store unavailable: the same. Crash: raised to the session. Shutdown: cancelled.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Final

import msgspec
import trio

from omnisonic.actors.cluster.cluster import Cluster
from omnisonic.actors.cluster.link_stats import gateway_of
from omnisonic.actors.rooms.registry import Registry
from omnisonic.errors import InvalidInput, Unavailable
from omnisonic.models import RoomId
from omnisonic.wire import inspection as protocol
from omnisonic.wire.inspection import Answer, AskTap, RoomQuestion
from omnisonic.wire.peer_messages import Answer as PeerAnswer
from omnisonic.wire.peer_messages import Ask
from omnisonic.wire.peer_questions import ANSWER_BYTES, prove

OWNER_S: Final = 2.0
"""For each answer of an owner."""
WAITING: Final = 64
SILENT: Final = "owner_silent"


@dataclass(slots=True)
class _Conversation:
    """A question that was asked. `parts` are those of an answer that is not whole yet."""

    peer: str
    answers: trio.MemorySendChannel[Answer]
    parts: list[bytes] = field(default_factory=list)

    def take(self, part: PeerAnswer) -> None:
        """Take a part of an answer. Too much ends the conversation."""
        self.parts.append(part.body)
        if sum(map(len, self.parts)) > ANSWER_BYTES:
            self.answers.close()
        elif not part.more:
            body, self.parts = b"".join(self.parts), []
            try:
                self.answers.send_nowait(protocol.read_answer(body))
            except (msgspec.DecodeError, trio.WouldBlock):
                self.answers.close()
            except (trio.ClosedResourceError, trio.BrokenResourceError):
                pass  # it has ended already


class PeerQuestions:
    """The questions of one gateway. `token` is the operators'."""

    def __init__(self, cluster: Cluster, registry: Registry, token: str) -> None:
        self._cluster = cluster
        self._links = cluster.links
        self._registry = registry
        self._token = token
        self._open: dict[str, _Conversation] = {}
        self._new_number = count(1).__next__
        self._nursery: trio.Nursery | None = None

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Let questions be asked, until cancelled."""
        async with trio.open_nursery() as self._nursery:
            task_status.started()
            await trio.sleep_forever()

    def start(self, task: Callable[[], Awaitable[None]]) -> None:
        """Start a task that asks."""
        if self._nursery is not None:
            self._nursery.start_soon(task)

    async def ask(self, question: RoomQuestion, address: str, take: Callable[[Answer, str], None]) -> bool:
        """Ask the owner of a room. `take` gets each answer, and the name of the gateway that gives it.

        Returns False without asking when this gateway is to answer. Errors: `InvalidInput`, `owner_silent`.
        """
        owner = await self._find_owner(question.room)
        if owner is None:
            return False
        name = gateway_of(owner)
        send, receive = trio.open_memory_channel[Answer](WAITING)
        id_ = str(self._new_number())
        self._open[id_] = _Conversation(owner, send)
        self._links.watch(owner)
        try:
            self._send(owner, id_, question, address)
            await _take_all(question, receive, lambda answer: take(answer, name))
        except (trio.TooSlowError, trio.EndOfChannel):
            raise InvalidInput(f"{name}, which owns the room, did not answer.", code=SILENT) from None
        finally:
            del self._open[id_]
            self._links.send(owner, Ask(id_, b""))
            self._links.unwatch(owner)
        return True

    async def _find_owner(self, room_id: RoomId) -> str | None:
        """The run that owns the room; None when it is this one, or none does. Errors: `InvalidInput`."""
        edge = self._cluster.edges.get(room_id)
        if edge is not None:
            return edge.owner
        if self._registry.get(room_id) is not None:
            return None
        try:
            (owner,) = await self._cluster.store.holders([room_id])
        except Unavailable:
            raise InvalidInput("Redis did not say which gateway owns the room.", code=SILENT) from None
        return None if owner == self._links.run_name else owner

    def _send(self, owner: str, id_: str, question: RoomQuestion, address: str) -> None:
        what = protocol.encode(msgspec.structs.replace(question, here=True)).encode()
        ask = Ask(id_, what, address)
        proof = prove(self._token, self._links.run_name, owner, ask)
        self._links.send(owner, msgspec.structs.replace(ask, proof=proof))

    def on_answer(self, peer: str, answer: PeerAnswer) -> None:
        """A part of an answer of a peer, which was asked."""
        conversation = self._open.get(answer.id)
        if conversation is not None and conversation.peer == peer:
            conversation.take(answer)

    def on_reset(self, peer: str) -> None:
        """The peer's answers may be lost."""
        for conversation in self._open.values():
            if conversation.peer == peer:
                conversation.answers.close()


async def _take_all(
    question: RoomQuestion, receive: trio.MemoryReceiveChannel[Answer], take: Callable[[Answer], None]
) -> None:
    """Take the answers up to the last one. Errors: `TooSlowError`, `EndOfChannel`."""
    wait_s = OWNER_S + (question.for_s if isinstance(question, AskTap) else 0.0)
    while True:
        with trio.fail_after(wait_s):
            answer = await receive.receive()
        take(answer)
        if not isinstance(question, AskTap) or isinstance(answer, protocol.End | protocol.Failed):
            return
