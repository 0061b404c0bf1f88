"""A closed-loop room load in plain Python: the first member of each room talks, every delivery is counted.

A speaker keeps at most `WINDOW` messages under way to the last member of its room. Messages are small JSON.
"""

import json
import select
import socket
import time
from dataclasses import dataclass, field
from typing import Final

from tests.rooms import masked_frame, upgrade_request

WINDOW: Final = 16
WARM_UP_S: Final = 0.3
MARK: Final = b'"note"'


@dataclass
class Member:
    """One connection of the load."""

    sock: socket.socket
    room: int
    is_last: bool


@dataclass
class Room:
    """How far the room's last member is behind its speaker."""

    speaker: socket.socket
    under_way: int = field(default=0)


def deliveries_per_s(port: int, rooms: int, members: int, seconds: float) -> float:
    """Load the server at `port` for `seconds`; messages delivered to all members together, a second."""
    message = masked_frame(0x81, json.dumps({"type": "note", "payload": {"pad": "x" * 64}}).encode())
    everyone: dict[int, Member] = {}
    state: list[Room] = []
    ready = select.poll()
    for room in range(rooms):
        for index in range(members):
            sock = enter(port, room, index)
            everyone[sock.fileno()] = Member(sock, room, index == members - 1)
            ready.register(sock, select.POLLIN)
            if index == 0:
                state.append(Room(sock))
    delivered = 0
    start = time.perf_counter() + WARM_UP_S
    while (now := time.perf_counter()) < start + seconds:
        for each in state:
            while each.under_way < WINDOW:
                each.speaker.send(message)
                each.under_way += 1
        for fd, _ in ready.poll(10):
            member = everyone[fd]
            count = member.sock.recv(1 << 18).count(MARK)
            if now >= start:
                delivered += count
            if member.is_last:
                state[member.room].under_way -= count
    for member in everyone.values():
        member.sock.close()
    return delivered / seconds


def enter(port: int, room: int, index: int) -> socket.socket:
    """Connect as a member of a room, and wait for the upgrade. Raises `SystemExit` when it is refused."""
    sock = socket.create_connection(("127.0.0.1", port))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.sendall(upgrade_request(f"/?roomId=room{room}&memberId=m{index}&displayName=M{index}", port))
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += sock.recv(65_536)
    if not answer.startswith(b"HTTP/1.1 101"):
        raise SystemExit(f"refused: {answer[:200]!r}")
    return sock
