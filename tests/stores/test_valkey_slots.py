"""Which server has which keys of a cluster (`omnisonic.stores.valkey.slots`)."""

import pytest

from omnisonic.stores.valkey.server import Address, Words
from omnisonic.stores.valkey.slots import SlotMap, bucket_of, read_slots, slot_of, slot_of_key

ONE, TWO, THREE = Address("10.0.0.1", 6379), Address("10.0.0.2", 6379), Address("::1", 7000)


def test_a_slot_is_found_between_the_ends_of_its_range() -> None:
    """Both ends belong to the range; a slot that nobody has is None."""
    slots = SlotMap([(100, 199, TWO), (0, 99, ONE), (300, 16383, ONE)])
    assert [slots.find(slot) for slot in (0, 99, 100, 199, 200, 299, 300, 16383)] == [
        ONE,
        ONE,
        TWO,
        TWO,
        None,
        None,
        ONE,
        ONE,
    ]
    assert slots.addresses == [ONE, TWO]
    assert not SlotMap([])


def test_a_slot_that_moved_is_where_it_moved_to() -> None:
    """Only that slot; and its server is one of the cluster's."""
    slots = SlotMap([(0, 16383, ONE)])
    slots.move(7, THREE)
    assert [slots.find(slot) for slot in (6, 7, 8)] == [ONE, THREE, ONE]
    assert slots.addresses == [ONE, THREE]


@pytest.mark.parametrize("unknown", [b"", b"?", None])
def test_a_server_that_does_not_know_its_name_has_the_one_it_was_asked_by(unknown: bytes | None) -> None:
    """The others are named as they are told; replicas are left out."""
    answer = [[0, 8191, [unknown, 7000, b"id"], [b"10.0.0.9", 6379, b"replica"]], [8192, 16383, [b"10.0.0.2", 6379]]]
    slots = read_slots(answer, ONE)
    assert slots.find(0) == Address(ONE.host, 7000)
    assert slots.addresses == [Address(ONE.host, 7000), TWO]


@pytest.mark.parametrize(
    ("words", "key"),
    [
        (("SET", "{a}:b", "x"), "a"),
        (("SPUBLISH", b"a", b"x"), "a"),
        (("EVAL", "return 1", 2, "x{a}", "y{a}", "b"), "a"),
        (("EVAL", "return 1", 0, "a"), None),
        (("PING",), None),
        (("CLUSTER", "SLOTS"), None),
    ],
)
def test_a_command_goes_by_its_first_key(words: Words, key: str | None) -> None:
    """By the hash tag, where there is one."""
    assert slot_of(words) == (None if key is None else slot_of_key(key))


def test_a_bucket_is_the_same_in_every_process() -> None:
    """It is part of names that others read, so it must never change."""
    assert [bucket_of(name, 16) for name in ("jam", "duo", "Ü ♪", "\ud800")] == [7, 4, 13, 8]


def test_an_address_is_shown_as_in_a_url() -> None:
    """With the brackets of IPv6; a socket's path as it is."""
    assert [str(each) for each in (ONE, THREE, Address("/run/valkey.sock", 0))] == [
        "10.0.0.1:6379",
        "[::1]:7000",
        "/run/valkey.sock",
    ]
