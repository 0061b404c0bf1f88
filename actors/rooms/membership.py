"""Who is in a room: entering, leaving, coming back, and leases, as pure state. No trio, no clock, no socket (DESIGN 3).

Owned by the room's actor. What changes is written down in the turn's batch. Overload, crash and shutdown: see
`omnisonic.actors.rooms.state`, whose `RoomState` adds the messages.
"""

from typing import TypeAlias, assert_never

import msgspec
from msgspec.structs import replace
from mypy_extensions import mypyc_attr

from omnisonic.actors.rooms.batch import Batch
from omnisonic.actors.rooms.history import Recovery
from omnisonic.actors.rooms.hooks import Hooks, RoomContext
from omnisonic.actors.rooms.mailbox import (
    ChangeRole,
    ChangeStanding,
    DropLease,
    DropLeasesOf,
    Expire,
    Join,
    Leave,
    PutLease,
    SyncLeases,
)
from omnisonic.actors.rooms.roster import REMOVED, Joined, Left, Roster, Updated
from omnisonic.actors.rooms.seat import ConnectionHandle, Entry, Seat
from omnisonic.actors.rooms.shared_state import StateConflict
from omnisonic.actors.rooms.transport import begin_transport
from omnisonic.errors import InvalidInput
from omnisonic.models import Member, MemberId, UserId
from omnisonic.wire import messages
from omnisonic.wire.closing import CloseCode, Closing
from omnisonic.wire.frames import TEXT, header
from omnisonic.wire.messages import ReplyId, Welcome
from omnisonic.wire.recovery import HistoryGap, Position, gap_frame
from omnisonic.wire.transport import Tempo

LeaseMail: TypeAlias = PutLease | DropLease | DropLeasesOf | SyncLeases | Expire


@mypyc_attr(allow_interpreted_subclasses=True)
class RoomMembership(Hooks):
    """The roster of one room and the rules for entering it. `offset` counts the messages relayed to the whole room."""

    def __init__(self, context: RoomContext) -> None:
        self.context = context
        self.memory = context.memory
        self.roster = Roster(context.entries)
        self.offset = context.memory.history.last
        self.welcomed: ConnectionHandle | None = None
        """The connection that has entered, while its `on_join` runs: a crash there is not the newcomer's fault."""

    def _join(self, join: Join, batch: Batch) -> None:
        connection = join.connection
        if (join.is_rejoin or not connection.is_open) and self._has_newer(join):
            batch.begin(connection, b"")
            batch.dismiss(connection, Closing(CloseCode.REPLACED))
            return
        try:
            self._check_place(join, batch)
            member = self._check_presence(self._wanted_member(join))
        except InvalidInput as wrong:
            batch.begin(connection, make_error(wrong))
            batch.dismiss(connection, Closing(CloseCode.POLICY, wrong.code))
            return
        if self._needs_place(join.member.member_id):  # who is here comes before who may come back
            self._handle_leave(self.roster.drop_oldest_wait(), batch)
        if join.tempo is not None and not len(self.roster):
            self._begin_transport(join.tempo, batch)
        self.memory.is_left = False
        event = self.roster.join(member, connection, join.person)
        event.seat.is_listener = join.is_listener
        if isinstance(event, Joined):
            batch.to_all(messages.join_frame(event.seat.line))
        else:
            if event.old is not None:
                batch.dismiss(event.old, Closing(CloseCode.REPLACED))
            if event.changed:
                batch.to_all(messages.update_frame(event.seat.line))
        self._begin(connection, event.seat, join.since, batch)
        batch.roster_changed = True
        if isinstance(event, Joined):
            self.welcomed = connection
            self.on_join(event.seat.member)
            self.welcomed = None

    def _begin_transport(self, tempo: Tempo, batch: Batch) -> None:
        memory = self.memory
        kept, now_ms = memory.transport, self.context.now_ms()
        memory.transport = begin_transport(kept, tempo, now_ms, is_left=memory.is_left)
        batch.state_changed = batch.state_changed or memory.transport is not kept

    def _wanted_member(self, join: Join) -> Member:
        """The member as they want to be shown: who has been here all the time stays as they are shown."""
        seat = self.roster.seat_named(join.member.member_id) if join.is_rejoin else None
        return join.member if seat is None else replace(seat.member, connected=True)

    def _has_newer(self, join: Join) -> bool:
        """Whether the member has come by a newer connection than this one, which was here before or has ended.

        A join may have waited at another gateway until its client gave up and connected elsewhere.
        """
        seat = self.roster.seat_named(join.member.member_id)
        return seat is not None and seat.connection is not None and seat.connection.is_open

    def _handle_change(self, change: ChangeStanding | ChangeRole, batch: Batch) -> None:
        if isinstance(change, ChangeRole):
            self._change_role(change, batch)
        else:
            self._change_standing(batch)

    def _change_standing(self, batch: Batch) -> None:
        """Tell everyone whether other gateways are heard, and send the acknowledgements that may go out now."""
        standing = self.context.standing
        batch.to_all(messages.RESTORED_FRAME if standing.is_owned else messages.DEGRADED_FRAME)
        if standing.is_owned:
            for connection, frame_ in standing.take_held():
                if self.roster.seat_of(connection) is not None:
                    batch.to_one(connection, frame_)

    def _change_role(self, change: ChangeRole, batch: Batch) -> None:
        """From now on the connection is a listener's, or is one no more. What it has set before stays."""
        seat = self.roster.seat_of(change.connection)
        if seat is not None:
            seat.is_listener = change.is_listener
            batch.roster_changed = True  # so that it outlives a crash of the room

    def _check_place(self, join: Join, batch: Batch) -> None:
        """Check that there is a seat. Errors: `InvalidInput` (`member_taken`, `room_full`, `seat_contested`)."""
        member_id = join.member.member_id
        if self._check_taken(member_id, join.person, batch):
            raise InvalidInput("Somebody else is in this room by that memberId.", code="member_taken")
        if self._needs_place(member_id) and not self.roster.is_waiting:
            raise InvalidInput("This room is full.", code="room_full")
        if self.roster.record_takeover(member_id, self.context.now_s()):
            raise InvalidInput(
                "Two of your connections take this memberId from each other. Close one, and try again in two minutes.",
                code="seat_contested",
            )

    def _needs_place(self, member_id: MemberId) -> bool:
        """Whether the room is full for this member."""
        return 0 < self.context.max_members <= len(self.roster) and member_id not in self.roster

    def _check_presence(self, wanted: Member) -> Member:
        """Ask the hook how to show a member. A member who is here keeps their name when the new one is refused.

        Errors: `InvalidInput` when a newcomer is refused.
        """
        seat = self.roster.seat_named(wanted.member_id)
        before = None if seat is None else replace(seat.member, connected=True)
        if wanted == before:
            return wanted
        try:
            if (shown := self.on_presence(wanted, before)) is not None:
                return shown
        except InvalidInput:
            if before is None:
                raise
        if before is None:
            raise InvalidInput("This room does not let you in under that name.", code="name_refused")
        return replace(wanted, display_name=before.display_name)

    def _begin(self, connection: ConnectionHandle, seat: Seat, since: Position | None, batch: Batch) -> None:
        """Send a newcomer the `welcome`, then what they have missed since, then what was kept for them."""
        context, memory = self.context, self.memory
        after, is_complete, replay = self.offset, False, list[bytes]()
        if not context.standing.is_owned:
            replay.append(messages.DEGRADED_FRAME)  # first: what follows may not count
        if since is not None:
            if (gap := memory.disprove(since)) is not None:
                batch.to_others(connection, gap_frame(gap))
            recovery = memory.plan_recovery(since, self.offset)
            if seat.has_lost and recovery.is_complete:
                recovery = Recovery(False, recovery.after, HistoryGap(since.epoch, since.offset + 1, None, None))
            after, is_complete = recovery.after, recovery.is_complete
            if recovery.gap is not None:
                replay.append(gap_frame(recovery.gap))
            replay += self._collect_missed(after, seat, batch)
        replay += seat.take_pending()
        welcome = Welcome(
            context.room_id, seat.member.member_id, context.ttl_s, memory.epoch, after, context.now_ms(), is_complete
        )
        lines = [each.line for each in self.roster]
        transport = msgspec.json.encode(memory.transport)
        frame = messages.welcome_frame(welcome, lines, memory.shared_state.to_json(), transport)
        batch.begin(connection, frame, replay)

    def _collect_missed(self, after: int, seat: Seat, batch: Batch) -> list[bytes]:
        """The frames after this offset, in parts. Those that the member has sent are left out."""
        history, parts = self.memory.history, list[bytes]()
        contents = history.after(after) + batch.remembered[max(0, after - history.last) :]
        offset = self.offset - len(contents)
        for content in contents:
            offset += 1
            if not content.endswith(b"%b%d}" % (seat.relay_suffix, offset)):
                parts += header(TEXT, len(content)), content
        return parts

    def _announce_update(self, event: Joined | Updated | None, batch: Batch) -> None:
        if event is not None:
            make = messages.join_frame if isinstance(event, Joined) else messages.update_frame
            batch.to_all(make(event.seat.line))
        batch.roster_changed = True
        if isinstance(event, Joined):
            self.on_join(event.seat.member)

    def _end_connection(self, leave: Leave, batch: Batch) -> None:
        now_s, grace_s = self.context.now_s(), max(self.context.grace_s, leave.wait_s)
        if leave.is_final or not grace_s:
            self._handle_leave(self.roster.leave(leave.connection, leave.reason, now_s), batch)
        else:
            self._handle_leave(self.roster.wait(leave.connection, leave.reason, now_s, grace_s), batch)

    def _handle_leave(self, event: Left | None, batch: Batch) -> None:
        if event is not None:
            batch.to_all(messages.leave_frame(event.member_id, event.reason))
            for key, frame in self.memory.shared_state.drop_ephemeral(event.member_id):
                batch.change_state(key, frame)
        batch.roster_changed = True
        self._announce_leave(event)

    def _announce_leave(self, event: Left | None) -> None:
        if event is not None and event.member is not None:
            self.on_leave(event.member, event.reason)

    def _handle_lease(self, mail: LeaseMail, batch: Batch) -> None:
        match mail:
            case PutLease():
                if not self._check_taken(mail.member.member_id, mail.person, batch):
                    self._put_lease(mail.member, mail.until_s, mail.person, batch)
            case DropLease():
                if not self.roster.belongs_to_other(mail.member_id, mail.person):
                    self._handle_leave(self.roster.drop_lease(mail.member_id), batch)
            case DropLeasesOf():
                for seat in [seat for seat in self.roster if seat.person == mail.person]:
                    self._handle_leave(self.roster.remove(seat.member.member_id, REMOVED), batch)
                    self._handle_leave(self.roster.drop_lease(seat.member.member_id), batch)
            case SyncLeases():
                self._sync_leases(mail.leases, batch)
            case Expire():
                self._expire(batch)
            case _ as never:
                assert_never(never)

    def _put_lease(self, member: Member, until_s: float, person: UserId | None, batch: Batch) -> None:
        try:
            shown = self._check_presence(member)
        except InvalidInput:
            return  # the room does not let them in under that name
        self._announce_update(self.roster.put_lease(shown, until_s, person), batch)

    def _check_taken(self, member_id: MemberId, person: UserId | None, batch: Batch) -> bool:
        """End leases that ran out, and check whether the seat still belongs to another user."""
        if self.roster.belongs_to_other(member_id, person):
            self._expire(batch)
        return self.roster.belongs_to_other(member_id, person)

    def _expire(self, batch: Batch) -> None:
        now_s = self.context.now_s()
        for left in self.roster.expire(now_s):
            self._handle_leave(left, batch)
        for update in self.roster.show_broken(now_s):
            self._announce_update(update, batch)

    def _dismiss(self, closing: Closing, batch: Batch) -> None:
        left: list[Left | None] = []
        for connection in list(self.roster.connections):
            batch.dismiss(connection, closing)
            left.append(self.roster.leave(connection, closing.word, self.context.now_s()))
        left += [self.roster.remove(seat.member.member_id, closing.word) for seat in list(self.roster)]
        batch.roster_changed = True
        for event in left:  # all have left by now, even if a hook raises
            self._announce_leave(event)

    def _sync_leases(self, leases: tuple[Entry, ...], batch: Batch) -> None:
        """Make the leases equal to the store's, which may know changes that this room missed."""
        named = {entry.member.member_id for entry in leases}
        for seat in [seat for seat in self.roster if seat.member.member_id not in named]:
            self._handle_leave(self.roster.drop_lease(seat.member.member_id), batch)
        for entry in leases:
            if entry.lease_until_s is not None:
                self._put_lease(entry.member, entry.lease_until_s, entry.person, batch)


def make_error(wrong: InvalidInput, reply_id: ReplyId | None = None) -> bytes:
    """The `error` frame that tells a client about `wrong`."""
    version = wrong.version if isinstance(wrong, StateConflict) else None
    return messages.error_frame(wrong.code, wrong.message, reply_id, version)
