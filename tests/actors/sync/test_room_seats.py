"""The members of a room in its record: how much is written, and what is told to those who lose something."""

from omnisonic.actors.rooms.mailbox import Join
from omnisonic.actors.rooms.roster import Roster
from omnisonic.actors.rooms.seat import PENDING_BYTES, Entry, Wait
from omnisonic.actors.sync.room_seats import PENDING_IN_ALL_BYTES, SEATS, decode_seats, encode_seats
from omnisonic.wire.recovery import Position
from tests.actors.handles import FakeConnection, member
from tests.actors.room_stage import Stage

MEMBER_BYTES = 100


def waiting(number: int, *pending: bytes) -> Entry:
    """Somebody who is waited for, and what is kept for them."""
    return Entry(member(f"member{number}"), None, None, wait=Wait(1e9, "lost", None), pending=pending)


def test_what_is_kept_for_members_is_written_within_a_bound() -> None:
    """A full room in which each has as much as fits. Who gets little does not lose it for those who get much."""
    much = [waiting(number, bytes(PENDING_BYTES)) for number in range(SEATS - 1)]
    value = encode_seats([*much, little := waiting(SEATS, b"little")])
    assert len(value) <= PENDING_IN_ALL_BYTES + PENDING_BYTES + SEATS * MEMBER_BYTES
    seats = decode_seats(value, 0.0, 0.0)
    assert [seat.member for seat in seats] == [entry.member for entry in [*much, little]]
    assert [bool(seat.pending) for seat in seats] == [not seat.has_lost for seat in seats]
    assert sum(seat.has_lost for seat in seats) == SEATS - PENDING_IN_ALL_BYTES // PENDING_BYTES
    assert seats[-1].pending == (b"little",)


def test_what_was_lost_once_stays_lost() -> None:
    """Also when the room moves again before they come back."""
    seats = [waiting(number, bytes(PENDING_BYTES)) for number in range(SEATS)]
    once = decode_seats(encode_seats(seats), 0.0, 0.0)
    assert decode_seats(encode_seats(once), 0.0, 0.0) == once
    assert [entry.has_lost for entry in Roster(once).entries()] == [entry.has_lost for entry in once]


def test_who_has_lost_something_is_told_of_a_gap_once() -> None:
    """Nobody knows how much it was. The room's own messages come as to all."""
    stage = Stage()
    epoch = stage.room.memory.epoch
    lost, whole = waiting(1), waiting(2, b"")
    stage.room.roster = Roster([Entry(lost.member, None, None, wait=lost.wait, has_lost=True), whole])
    told: list[tuple[bool, list[str]]] = []
    for name in ("member1", "member2", "member1"):
        connection = FakeConnection(name)
        stage.turn(Join(connection, member(name), since=Position(epoch, 0)))
        welcome, *rest = connection.received()
        told.append((welcome["payload"]["recovered"], [each["type"] for each in rest]))
    assert told == [(False, ["history.gap"]), (True, []), (True, [])]
