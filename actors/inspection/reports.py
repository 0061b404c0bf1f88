"""Reports: what an operator sees of a room, a member, a task or a dead letter. Pure.

Making a report changes nothing. Times are numbers: seconds on the loop's clock, milliseconds since 1970.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from omnisonic.actors.cluster.cluster import Cluster
from omnisonic.actors.cluster.edge_room import EdgeRoom
from omnisonic.actors.cluster.link_stats import PeerState, gateway_of
from omnisonic.actors.cluster.measures import ClusterMeasures
from omnisonic.actors.connections.connection import Connection
from omnisonic.actors.rooms.actor import TURN_FRAMES, RoomActor
from omnisonic.actors.rooms.history import History
from omnisonic.actors.rooms.registry import Registry
from omnisonic.actors.rooms.seat import Entry
from omnisonic.actors.rooms.stats import OPERATOR_RESTART
from omnisonic.actors.rooms.tap import SHOWN_BYTES
from omnisonic.actors.runtime.dead_letters import DeadLetter
from omnisonic.actors.runtime.supervisor import ChildRecord, EndedRun
from omnisonic.wire.inspection_lines import (
    ChildLine,
    ClusterLine,
    Ended,
    HeldBy,
    HistoryLine,
    LetterLine,
    MemberLine,
    PeerLine,
    RoomDetail,
    RoomLine,
    State,
    sparse_line,
)

RECENT_MS: Final = 60_000
"""What happened less long ago counts for the state of a room."""
NOTE_CHARACTERS: Final = 160


@dataclass(frozen=True, slots=True)
class Moment:
    """Now: on the loop's clock, and since 1970."""

    now_s: float
    now_ms: int


def room_line(actor: RoomActor, moment: Moment, closed: EndedRun | None = None) -> RoomLine:
    """A room in a row. `closed` is the end of an earlier room of that name, if it crashed too often."""
    stats = actor.stats
    messages_per_s, deliveries_per_s = stats.meter.per_s(moment.now_s, actor.messages, actor.deliveries)
    state, note = _describe_state(actor, moment, closed, is_live=messages_per_s > 0)
    p50_ms, p99_ms = stats.handler_ms()
    queued_bytes, lag_s = _measure_queues(actor.entries, moment.now_s)
    return RoomLine(
        room=actor.room_id,
        incarnation=actor.incarnation,
        state=state,
        note=note[:NOTE_CHARACTERS],
        members=len(actor.entries),
        mailbox=actor.mailbox.frames,
        mailbox_high_water=actor.mailbox.high_water,
        messages=actor.messages,
        messages_per_s=round(messages_per_s, 1),
        deliveries=actor.deliveries,
        deliveries_per_s=round(deliveries_per_s, 1),
        handler_p50_ms=round(p50_ms, 3),
        handler_p99_ms=round(p99_ms, 3),
        restarts=actor.incarnation - 1,
        dead_letters=stats.dead_letters,
        queued_bytes=queued_bytes,
        lag_s=round(lag_s, 3),
        uptime_s=round(moment.now_s - stats.born_s, 1),
    )


def edge_line(edge: EdgeRoom) -> RoomLine:
    """A room of another gateway in a row, with what is known of it here."""
    owner, waiting = gateway_of(edge.owner), edge.waiting_frames
    note = f"waits for its owner, {owner}" if edge.is_paused else f"owned by {owner}"
    note = note[:NOTE_CHARACTERS]
    return sparse_line(edge.room_id, "edge", note, members=len(edge), mailbox=waiting, owner=owner)


def cluster_line(cluster: Cluster, registry: Registry) -> ClusterLine:
    """A gateway in its cluster, with its links."""
    numbers = ClusterMeasures(cluster, registry).measure()
    return ClusterLine(
        gateway=gateway_of(cluster.lease.run),
        run=cluster.lease.run,
        has_lease=cluster.lease.is_valid,
        rooms_owned=int(numbers["rooms_owned"]),
        edge_rooms=int(numbers["edge_rooms"]),
        remote_members=int(numbers["remote_members"]),
        rejoins=int(numbers["rejoins"]),
        peers=tuple(map(_peer_line, cluster.links.describe())),
    )


def _peer_line(peer: PeerState) -> PeerLine:
    stats = peer.stats
    return PeerLine(
        peer=gateway_of(peer.peer),
        run=peer.peer,
        state=peer.state,
        heard_s=round(peer.heard_s, 1),
        lag_s=round(peer.lag_s, 3),
        sent_messages=stats.messages_out,
        sent_bytes=stats.bytes_out,
        received_messages=stats.messages_in,
        received_bytes=stats.bytes_in,
        resets=stats.resets,
    )


def room_detail(actor: RoomActor, moment: Moment, closed: EndedRun | None = None) -> RoomDetail:
    """A room in detail."""
    stalled, memory = actor.stats.last_stall, actor.memory
    return RoomDetail(
        line=room_line(actor, moment, closed),
        epoch=actor.epoch,
        offset=actor.offset,
        history=_history_line(memory.history, moment.now_s),
        state_keys=len(memory.shared_state),
        state_bytes=memory.shared_state.size,
        transport=memory.transport,
        beat=round(memory.transport.beat_at(moment.now_ms), 3),
        mailbox_letters=len(actor.mailbox),
        mailbox_bytes=actor.mailbox.size,
        members=tuple(_member_line(entry, moment) for entry in actor.entries),
        ended=_to_ended(actor.stats.ended_runs),
        last_hog_at=None if stalled is None else to_datetime(stalled[0]),
        last_hog_s=None if stalled is None else round(stalled[1], 3),
    )


def child_line(record: ChildRecord, note: str, now_s: float) -> ChildLine:
    """A supervised task in a row."""
    uptime_s = round(now_s - record.since_s, 1) if record.state == "running" else 0.0
    return ChildLine(record.name, record.state, note, uptime_s, record.restarts, _to_ended(record.ended_runs))


def letter_line(number: int, letter: DeadLetter, *, payload: bool, replayed: bool) -> LetterLine:
    """A dead letter in a row."""
    content = b"" if letter.frame is None else letter.frame[1]
    shown = content[:SHOWN_BYTES].decode(errors="replace") if payload and letter.frame is not None else None
    return LetterLine(
        number,
        letter.room_id,
        letter.incarnation,
        letter.sender,
        letter.type,
        len(content),
        letter.reason[:NOTE_CHARACTERS],
        to_datetime(letter.at_ms),
        shown,
        replayed,
    )


def to_datetime(ms: int) -> datetime:
    """The time, from milliseconds since 1970."""
    return datetime.fromtimestamp(ms / 1000, UTC)


def _describe_state(actor: RoomActor, moment: Moment, closed: EndedRun | None, *, is_live: bool) -> tuple[State, str]:
    """The state of a room in a word, and a note about it; the worst comes first."""
    stats, since_ms = actor.stats, moment.now_ms - RECENT_MS
    crashes = [life for life in stats.ended_runs if life.reason != OPERATOR_RESTART and life.at_ms > since_ms]
    if not actor.is_alive:
        return "restarting", crashes[-1].reason if crashes else ""
    if crashes:
        often = f", {len(crashes)} times in a minute" if len(crashes) > 1 else ""
        return "crashed", f"{crashes[-1].reason}, {_ago(crashes[-1].at_ms, moment)}{often}"
    if closed is not None and closed.at_ms > since_ms:
        return "crashed", f"closed {_ago(closed.at_ms, moment)}: {closed.reason}"
    if stats.last_stall is not None and stats.last_stall[0] > since_ms:
        return "hogged", f"a turn took {stats.last_stall[1]:.1f} s, {_ago(stats.last_stall[0], moment)}"
    if not actor.standing.is_owned:
        return "degraded", "it may have another owner: nothing is acknowledged"
    if actor.mailbox.frames > TURN_FRAMES:
        return "behind", f"{actor.mailbox.frames} messages wait"
    if not actor.entries:
        return "empty", ""
    if all(entry.wait is not None for entry in actor.entries):
        return "waiting", f"the connections of all {len(actor.entries)} broke"
    return ("live", "") if is_live else ("quiet", "")


def _ago(at_ms: int, moment: Moment) -> str:
    return f"{max(0, moment.now_ms - at_ms) // 1000} s ago"


def _measure_queues(entries: tuple[Entry, ...], now_s: float) -> tuple[int, float]:
    """The bytes that wait in send buffers, and how long the oldest has waited."""
    queued_bytes, since_s = 0, now_s
    for entry in entries:
        connection = entry.connection
        if isinstance(connection, Connection) and connection.queued_bytes:
            queued_bytes += connection.queued_bytes
            since_s = min(since_s, connection.queued_since_s or now_s)
    return queued_bytes, now_s - since_s


def _history_line(history: History, now_s: float) -> HistoryLine:
    count = len(history)
    return HistoryLine(
        messages=count,
        size_bytes=history.size,
        first_offset=history.first if count else None,
        last_offset=history.last,
        age_s=round(now_s - (history.first_s or now_s), 1) if count else None,
    )


def _member_line(entry: Entry, moment: Moment) -> MemberLine:
    member, wait = entry.member, entry.wait
    queued_bytes, lag_s = _measure_queues((entry,), moment.now_s)
    connection = entry.connection if isinstance(entry.connection, Connection) else None
    address = getattr(entry.connection, "address", None)
    held_by: HeldBy = "wait" if wait is not None else "connection" if entry.connection is not None else "lease"
    until_s = wait.until_s if wait is not None else entry.lease_until_s
    return MemberLine(
        member=member.member_id,
        display_name=member.display_name,
        status=member.status,
        connected=entry.connection is not None,
        held_by=held_by,
        address=address,
        connected_s=None if connection is None else round(moment.now_s - connection.opened_s, 1),
        queued_bytes=queued_bytes,
        lag_s=round(lag_s, 3),
        until=None if until_s is None else to_datetime(moment.now_ms + round((until_s - moment.now_s) * 1000)),
        reason=None if wait is None else wait.reason,
        kept=len(entry.pending),
        kept_bytes=sum(map(len, entry.pending)),
    )


def _to_ended(lives: Iterable[EndedRun]) -> tuple[Ended, ...]:
    return tuple(Ended(to_datetime(life.at_ms), life.reason[:NOTE_CHARACTERS]) for life in lives)
