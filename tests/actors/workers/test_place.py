"""Which worker has a room, and how a worker knows its place."""

import os
import sys

import pytest

from omnisonic.actors.workers.place import WorkerChannels, WorkerPlace, owner_of
from omnisonic.errors import BadSettings

ROOMS = [f"room {number}" for number in range(3000)]


@pytest.mark.parametrize("count", [2, 3, 7])
def test_rooms_are_spread_evenly(count: int) -> None:
    """No worker has a fifth more or less than its share."""
    owners = [owner_of(room, count) for room in ROOMS]
    for index in range(count):
        assert 0.8 < owners.count(index) * count / len(ROOMS) < 1.2


def test_one_more_worker_takes_rooms_from_the_others_and_moves_no_other() -> None:
    """Rendezvous hashing: what changes its owner is now the new one's."""
    moved = [(owner_of(room, 3), owner_of(room, 4)) for room in ROOMS if owner_of(room, 3) != owner_of(room, 4)]
    assert moved
    assert {after for _, after in moved} == {3}


def test_a_room_of_any_name_has_an_owner() -> None:
    """Also one whose name no UTF-8 can write."""
    assert {owner_of(name, 1) for name in ("", "\ud800", "é" * 64)} == {0}


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux hands connections from process to process")
def test_a_place_is_read_again_from_its_words() -> None:
    """With descriptors that work: what is sent to the channel of a worker is received by that worker."""
    channels = WorkerChannels(2)
    fds = [os.dup(fd) for fd in channels.fds]
    place = WorkerPlace.of(",".join(map(str, (1, *fds))))
    try:
        assert (place.index, place.number, place.count, place.others) == (1, 2, 2, [0])
        channels.place(0).channels[1].sending.send(b"packet")
        channels.place(0).inspection_channels[1].sending.send(b"question")
        assert place.channels[1].receiving.recv(100) == b"packet"
        assert place.inspection_channels[1].receiving.recv(100) == b"question"
    finally:
        for channel in (*place.channels, *place.inspection_channels):
            channel.close()
        channels.close()


@pytest.mark.parametrize("words", ["", "0", "x,1,2,3,4", "0,1,2,3", "1,3,4,5,6", "-1,3,4,5,6"])
def test_other_words_are_no_place(words: str) -> None:
    """Nothing is opened for them."""
    with pytest.raises(ValueError, match=r"worker|invalid literal"):
        WorkerPlace.of(words)


def test_only_linux_hands_connections_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """Elsewhere the start ends with a sentence."""
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(BadSettings) as caught:
        WorkerChannels(2)
    assert caught.value.problems == ["GATEWAY_WORKERS is more than 1, which only Linux can do: set it to 1."]
