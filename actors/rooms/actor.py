"""The actor of a room: everything of a room that survives a crash of its state (DESIGN 3).

The actor owns the mailbox, the count of messages, the last good roster and the restart window. The `RoomState` inside
it is dropped when it raises; a new one is made from what the actor kept. Connections belong to the gateway, so a crash
of a room closes none. Everything runs in the dispatcher's turn, on the trio thread, and never awaits.

Overload: the mailbox refuses client messages, and a turn handles a bounded number. Crash: what was handled before is
sent, the message that crashed the room becomes a dead letter, mail waits until `restart`. Shutdown: the gateway closes
the connections; there is nothing to do here.
"""

import secrets
import time
from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Final, Protocol

from opentelemetry.trace import Span, use_span

from omnisonic.actors.rooms.batch import Batch, apply_edits
from omnisonic.actors.rooms.hooks import Handoff, RoomContext
from omnisonic.actors.rooms.mailbox import (
    ClientMessages,
    Control,
    Dismiss,
    ExternalMessage,
    Join,
    Leave,
    Mail,
    Mailbox,
    Outside,
)
from omnisonic.actors.rooms.seat import ConnectionHandle, Entry
from omnisonic.actors.rooms.standing import Standing
from omnisonic.actors.rooms.state import RoomState
from omnisonic.actors.rooms.stats import OPERATOR_RESTART, TURNS, UNTIMED, RoomStats
from omnisonic.actors.rooms.tap import Tap
from omnisonic.actors.runtime.dead_letters import DeadLetter
from omnisonic.actors.runtime.supervisor import RestartWindow
from omnisonic.actors.runtime.telemetry import TurnTracer
from omnisonic.models import MemberId
from omnisonic.stores.bus.events import Reply
from omnisonic.wire.closing import CloseCode, Closing
from omnisonic.wire.frames import TEXT, Frame
from omnisonic.wire.messages import encode_envelope, error_frame
from omnisonic.wire.refusals import read_reply_id

CRASHED: Final = "The room could not take this message."
"""The error that the sender of a message gets when it crashed the room."""
TURN_FRAMES: Final = 2048
"""About this many messages are handled in one turn; then the other rooms have theirs."""


class RoomActorEvents(Protocol):
    """What an actor calls when something happens. Called in its turn; must not wait and must not raise."""

    @property
    def schedule(self) -> Callable[["RoomActor"], None]: ...

    def on_roster_change(self, actor: "RoomActor") -> None: ...

    def on_memory_change(self, actor: "RoomActor") -> None: ...

    def on_crash(self, actor: "RoomActor", crash: Exception, letter: DeadLetter) -> None: ...

    def drop(self, actor: "RoomActor", closing: Closing) -> None:
        """Forget a room that has ended, and close everybody who waits for it."""
        ...


class RemoteMembers(Protocol):
    """The members of a room who are connected to other gateways."""

    def send_turn(
        self, epoch: str, offset: int, batch: Batch, stream: bytes, connections: Collection[ConnectionHandle]
    ) -> Collection[ConnectionHandle]:
        """Send them what a turn has for them, and take it out of the `batch`.

        Returns:
            Those of the room's `connections` that are here.
        """
        ...


class RoomActor:
    """One room, running or about to restart."""

    def __init__(
        self,
        context: RoomContext,
        room_class: Callable[[RoomContext], RoomState],
        events: RoomActorEvents,
        tracer: TurnTracer,
    ) -> None:
        self.mailbox = Mailbox()
        self.window = RestartWindow()
        self.incarnation = 1
        self.messages = 0
        self.deliveries = 0
        self.fanned_out_bytes = 0
        self.memory = context.memory
        self.is_unsaved = False
        """Whether the memory has changed, and its watchers know."""
        self.is_ready = False
        self._holds = 0
        self._is_withdrawn = False
        self.empty_since_s: float | None = context.now_s()
        self.next_expiry_s: float | None = None
        self.entries: tuple[Entry, ...] = context.entries
        self.stats = RoomStats(context.now_s())
        self.taps: list[Tap] | None = None
        self.remotes: RemoteMembers | None = None
        """None when all members are here."""
        self._context = context
        self._room_class = room_class
        self._events = events
        self._tracer = tracer
        self._schedule = events.schedule
        self._room: RoomState | None = room_class(context)

    @property
    def room_id(self) -> str:
        return self._context.room_id

    @property
    def epoch(self) -> str:
        """Names the count of `offset`. It changes when what the room remembered is lost, or may be incomplete."""
        return self.memory.epoch

    @property
    def offset(self) -> int:
        """The number of the last message that was relayed to everyone."""
        return self.memory.history.last

    @property
    def standing(self) -> Standing:
        """Whether this gateway owns the room."""
        return self._context.standing

    @property
    def handoff(self) -> Handoff:
        """What one incarnation of the room leaves to the next."""
        return self._context.handoff

    @property
    def is_alive(self) -> bool:
        """False between a crash and the restart."""
        return self._room is not None

    @property
    def is_withdrawn(self) -> bool:
        """Whether the room goes on in another gateway, and nothing is handled here any more."""
        return self._is_withdrawn

    def hold(self) -> None:
        """Let all mail wait until as many calls of `resume`, because something of the room is being loaded."""
        self._holds += 1
        self.is_ready = True  # nothing is scheduled that is ready already

    @property
    def is_held(self) -> bool:
        """Whether all mail waits."""
        return self._holds > 0

    def begin_with(self, entries: tuple[Entry, ...]) -> None:
        """Begin with these seats, which the room had in another gateway. Nothing may have been handled yet."""
        self._save_entries(entries)
        try:
            self._room = self._room_class(replace(self._context, entries=entries))
        except Exception as crash:  # noqa: BLE001 - as when it restarts
            self._room = None
            self._events.on_crash(self, crash, self._dead_letter("Begin", crash))
            return
        self.next_expiry_s = self._room.roster.next_expiry_s()

    @property
    def keeps_seats(self) -> bool:
        """Whether the room goes on with the seats that it had in another gateway."""
        return self._room is not None and self._room.keeps_seats

    def resume(self) -> None:
        """Begin with what `memory` holds now, and handle the mail that waits."""
        if self._room is not None:
            self._room.offset = self.offset
        self._holds = max(0, self._holds - 1)
        if self._holds:
            return
        self.is_ready = False
        if self.mailbox:
            self._schedule(self)

    def tell(self, mail: Control) -> None:
        """Put control mail in the mailbox."""
        self.mailbox.tell(mail)
        if not self.is_ready:
            self._schedule(self)

    def offer(self, messages: ClientMessages) -> bool:
        """Put client messages in the mailbox. False when it is full; the caller then sends an error."""
        taken = self.mailbox.offer(messages)
        if taken and not self.is_ready:
            self._schedule(self)
        return taken

    def run_turn(self) -> bool:
        """Handle the mail that is there, up to a bound. True when there is more."""
        room = self._room
        if room is None:
            return False
        tracer = self._tracer
        started_ns = time.time_ns() if tracer.left <= 0 else 0
        stats, taps = self.stats, self.taps
        turns = stats.turns
        stats.turns = turns + 1
        began_ns = 0 if turns & UNTIMED and turns >= TURNS else time.perf_counter_ns()
        batch = Batch()
        mailbox, handled = self.mailbox, 0
        queue, take, relay = mailbox.queue, mailbox.take, room.relay
        mail: Mail | None = None
        spans: list[Span] = []
        try:
            while queue and handled < TURN_FRAMES:
                mail = take()
                if taps is not None:
                    _show_to_taps(taps, mail, room)
                if type(mail) is ClientMessages:
                    handled += len(mail.frames)
                    relay(mail, batch)
                else:
                    handled += 1
                    self._handle(room, mail, batch, spans)
                    if batch.opening:
                        handled += len(next(reversed(batch.opening.values()))[1])  # a replay is work for the room
                    if type(mail) is Dismiss and mail.ends_room:
                        break
        except Exception as crash:  # noqa: BLE001 - a room may raise anything, and only this room may fail
            assert mail is not None
            self._end_turn(room, batch)
            _end_spans(spans, room)
            self._handle_crash(room, mail, crash)
            self._end_after(mail)
            if began_ns:
                stats.record_turn(time.perf_counter_ns() - began_ns, self._context.now_ms())
            return False
        self.messages += handled
        self._end_turn(room, batch)
        _end_spans(spans, room)
        self._end_after(mail)
        tracer.left -= handled
        if started_ns:
            tracer.trace_turn(self.room_id, started_ns, handled, len(room.roster))
        if began_ns:
            stats.record_turn(time.perf_counter_ns() - began_ns, self._context.now_ms())
        return len(queue) > 0

    def _end_after(self, mail: Mail | None) -> None:
        if type(mail) is Dismiss and mail.ends_room:
            self._events.drop(self, mail.closing)

    def _handle(self, room: RoomState, mail: Mail, batch: Batch, spans: list[Span]) -> None:
        """Have the room handle control mail. What began outside becomes a span of its trace, until the turn ends."""
        if not isinstance(mail, Outside) or mail.trace is None:
            room.handle(mail, batch)
            return
        what = mail.envelope.type if isinstance(mail, ExternalMessage) else type(mail).__name__
        span = self._tracer.start_external_span(self.room_id, what, mail.trace)
        spans.append(span)
        with use_span(span):
            room.handle(mail, batch)

    def reset(self) -> None:
        """Drop the room's state and make a new one, for an operator. The room must be alive.

        The handoff is dropped, too: the fault may be in it.
        """
        assert self._room is not None
        self.handoff.left = None
        self._save_entries(self._room.roster.entries())
        self.stats.record_end(OPERATOR_RESTART, self._context.now_ms())
        self.restart()

    def restart(self) -> None:
        """Start a new room state from the last good roster; it then handles the mail that waits."""
        if self._is_withdrawn:
            return
        self.incarnation += 1
        try:
            self._room = self._room_class(replace(self._context, entries=self.entries))
        except Exception as crash:  # noqa: BLE001 - as in a turn: a room that cannot start has crashed again
            self._events.on_crash(self, crash, self._dead_letter("Restart", crash))
            return
        for entry in self.entries:
            if entry.connection is not None and not entry.connection.is_open:
                self.mailbox.tell(Leave(entry.connection, "lost", is_final=False))
        if self.mailbox and not self.is_ready:
            self._schedule(self)

    def withdraw(self) -> None:
        """Handle nothing any more: the room goes on in another gateway. Connections and mail stay as they are."""
        self._room, self._is_withdrawn = None, True

    def close(self, closing: Closing) -> None:
        """Close every connection of a room that crashed too often, and of those about to enter."""
        self._room = None
        connections = [entry.connection for entry in self.entries]
        while self.mailbox:
            mail = self.mailbox.take()
            if isinstance(mail, Join):
                connections.append(mail.connection)
        self.entries = ()
        for connection in connections:
            if connection is not None:
                connection.close(closing)

    def _end_turn(self, room: RoomState, batch: Batch) -> None:
        connections: Collection[ConnectionHandle] = room.roster.connections
        others = len(connections) - 1
        stream = batch.stream()
        edits = batch.edits
        if self.remotes is not None:
            connections = self.remotes.send_turn(self.memory.epoch, room.offset, batch, stream, connections)
        for connection, (frame, replay) in batch.opening.items():
            connection.push(frame)
            connection.push_replay(replay)
        for connection in connections:
            data = apply_edits(edits[connection], stream) if connection in edits else stream
            if data:
                connection.push(data)
        for connection, closing in batch.dismissed:
            if data := batch.stream_for(connection, stream):
                connection.push(data)
            connection.close(closing)
        remembered = batch.remembered
        if remembered or batch.binaries or batch.state_changed:
            self.deliveries += (len(remembered) + batch.binaries) * max(others, 0)
            self.memory.history.add(remembered)
            if not self.is_unsaved:
                self.note_change()
        self.fanned_out_bytes += len(stream)
        if batch.roster_changed:
            self._note_roster(room)

    def note_change(self) -> None:
        """Tell that the memory has changed, unless that is known."""
        if not self.is_unsaved:
            self.is_unsaved = True
            self._events.on_memory_change(self)

    def _note_roster(self, room: RoomState) -> None:
        self._save_entries(room.roster.entries())
        self.next_expiry_s = room.roster.next_expiry_s()
        if self.memory.seats is not None:
            self.memory.seats = self.entries
            self.note_change()
        self._events.on_roster_change(self)

    def _save_entries(self, entries: tuple[Entry, ...]) -> None:
        """Keep what a new room state would start from."""
        self.entries = entries
        if entries:
            self.empty_since_s = None
        elif self.empty_since_s is None:
            self.empty_since_s = self._context.now_s()

    def _handle_crash(self, room: RoomState, mail: Mail, crash: Exception) -> None:
        self._room = None
        self._save_entries(room.roster.entries())
        sender, frame = None, None
        if isinstance(mail, ClientMessages):
            seat = room.roster.seat_of(mail.connection)
            sender = seat.member.member_id if seat else None
            frame = mail.current
            if seat is not None:
                mail.connection.push(error_frame("room_crashed", CRASHED, read_reply_id(frame)))
            self.mailbox.put_back(mail)
        elif isinstance(mail, Join) and mail.connection is not room.welcomed:
            self._save_entries(tuple(entry for entry in self.entries if entry.connection is not mail.connection))
            mail.connection.close(Closing(CloseCode.INTERNAL_ERROR, "the room could not take you in"))
        elif isinstance(mail, ExternalMessage):
            frame = TEXT, encode_envelope(mail.envelope)
            mail.reply(Reply(code="room_crashed", message=CRASHED))
        self._events.on_crash(self, crash, self._dead_letter(type(mail).__name__, crash, sender, frame))

    def _dead_letter(
        self, kind: str, crash: Exception, sender: MemberId | None = None, frame: Frame | None = None
    ) -> DeadLetter:
        now_ms, reason = self._context.now_ms(), repr(crash)
        self.stats.record_end(reason, now_ms)
        self.stats.dead_letters += 1
        return DeadLetter(self.room_id, self.incarnation, sender, kind, frame, reason, now_ms)


def _end_spans(spans: list[Span], room: RoomState) -> None:
    """End the spans of messages from outside: they have been sent to all members."""
    for span in spans:
        span.set_attribute("members", len(room.roster))
        span.end()


def _show_to_taps(taps: list[Tap], mail: Mail, room: RoomState) -> None:
    for tap in taps:
        tap.show_mail(mail, room.roster)


def new_epoch() -> str:
    """A new, unique name for a count of messages."""
    return secrets.token_urlsafe(9)
