"""Merging: one answer of the gateway out of those of its workers (docs/inspecting.md). Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from omnisonic.wire.inspection import Answer, NotAnswering, Rooms, Tree
from omnisonic.wire.inspection_lines import (
    ChildLine,
    ClosedRoom,
    ClusterLine,
    GatewayLine,
    LetterLine,
    RoomLine,
    sparse_line,
)


@dataclass(slots=True)
class WorkerReport:
    """What one worker has said; nothing when it did not answer at all."""

    worker: int
    rooms: list[RoomLine] = field(default_factory=list)
    gateway: GatewayLine | None = None
    children: tuple[ChildLine, ...] = ()
    closed: tuple[ClosedRoom, ...] = ()
    cluster: tuple[ClusterLine, ...] = ()
    stall: NotAnswering | None = None

    def add(self, answer: Answer) -> bool:
        """Add an answer. Returns whether it is the last one."""
        match answer:
            case Rooms():
                self.rooms.extend(answer.rooms)
                self.gateway, self.closed = answer.gateway, answer.closed
                return not answer.more
            case Tree():
                self.gateway, self.children, self.closed = answer.gateway, answer.children, answer.closed
                self.cluster = answer.cluster
            case NotAnswering():
                self.stall = answer
            case _:
                pass
        return True

    def problem(self) -> str:
        """A sentence that says what is wrong with this worker; empty when nothing is."""
        if self.gateway is not None:
            return ""
        if self.stall is None:
            return f"Worker {self.worker} does not answer."
        what = "something" if self.stall.room is None else f"the room {self.stall.room}"
        return f"Worker {self.worker} is not answering: {what} keeps it busy, for {self.stall.for_s:.1f} s by now."


def merge_rooms(reports: Iterable[WorkerReport]) -> list[RoomLine]:
    """All rooms, also those that block a worker, of which only the name is known."""
    rooms: list[RoomLine] = []
    for report in reports:
        rooms += report.rooms
        if report.stall is not None and report.stall.room is not None:
            stall = report.stall
            note = f"keeps its worker waiting, {stall.for_s:.1f} s by now: {stall.at}"
            rooms.append(sparse_line(report.stall.room, "stuck", note))
    return rooms


def merge_gateways(lines: Sequence[GatewayLine]) -> GatewayLine:
    """One line out of those of workers; `lines` has one at least."""
    first = lines[0]
    sums = {
        name: round(sum(getattr(line, name) for line in lines), 1)
        for name, kind in GatewayLine.__annotations__.items()
        if kind in (int, float) and name not in ("pid", "uptime_s", "answer_ms")
    }
    return msgspec.structs.replace(
        first,
        name=first.name.rpartition("/")[0] or first.name,
        uptime_s=max(line.uptime_s for line in lines),
        answer_ms=max(line.answer_ms for line in lines),
        **sums,
    )


def merge_children(reports: Iterable[WorkerReport]) -> tuple[ChildLine, ...]:
    """Each worker in a line, and after it its tasks."""
    children: list[ChildLine] = []
    for report in reports:
        name, line = f"worker {report.worker}", report.gateway
        if line is None:
            children.append(ChildLine(name, "silent", report.problem(), 0.0, 0, ()))
            continue
        note = f"pid {line.pid}, {line.rooms} rooms, {line.members} members, {line.connections} connections"
        children.append(ChildLine(name, "running", note, line.uptime_s, 0, ()))
        children += [msgspec.structs.replace(child, name=f"{name}: {child.name}") for child in report.children]
    return tuple(children)


def merge_closed(reports: Iterable[WorkerReport]) -> tuple[ClosedRoom, ...]:
    """The rooms that failed too often lately, in any worker."""
    return tuple(closed for report in reports for closed in report.closed)


def merge_letters(letters: Mapping[int, Sequence[LetterLine]], count: int) -> tuple[LetterLine, ...]:
    """The dead letters of `count` workers, by their indices; oldest first, with numbers that are the gateway's."""
    numbered = (
        msgspec.structs.replace(line, letter=line.letter * count + index)
        for index, lines in letters.items()
        for line in lines
    )
    return tuple(sorted(numbered, key=lambda line: (line.at, line.letter)))


def split_letter(number: int, count: int) -> tuple[int, int]:
    """The index of the worker of a dead letter, and the number that the letter has there."""
    return number % count, number // count
