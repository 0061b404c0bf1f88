"""Which messages with an `id` a room knows: a member's own, whatever the others say (SPEC 5.2)."""

from collections import defaultdict

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from omnisonic.actors.rooms.acknowledged import ACKNOWLEDGED, OF_MEMBER, Acknowledged
from omnisonic.models import MemberId
from omnisonic.wire.messages import Envelope


def say(room: Acknowledged, sender: MemberId, *ids: int) -> None:
    """Have these messages accepted. Their offset is their id."""
    for id_ in ids:
        room.add(sender, Envelope("note", msgspec.Raw(b"1"), None, id_), id_)


def known(room: Acknowledged, sender: MemberId, most: int) -> list[int]:
    """The ids below `most` that the room knows of this sender."""
    return [id_ for id_ in range(most) if room.find(sender, Envelope("note", msgspec.Raw(b"1"), None, id_)) == id_]


def test_one_member_has_all_the_place_while_nobody_else_says_anything() -> None:
    """What many messages at once were about is known when they are sent again."""
    room = Acknowledged()
    say(room, "ada", *range(ACKNOWLEDGED + 100))
    assert known(room, "ada", ACKNOWLEDGED + 100) == list(range(100, ACKNOWLEDGED + 100))


def test_who_says_much_makes_nobody_be_forgotten() -> None:
    """Ada is away, Bo says on and on, Cy is new: all that Ada has said lately is known."""
    room = Acknowledged()
    say(room, "ada", *range(OF_MEMBER))
    say(room, "bo", *range(5 * ACKNOWLEDGED))
    say(room, "cy", *range(2 * OF_MEMBER))
    assert known(room, "ada", OF_MEMBER) == list(range(OF_MEMBER))
    assert known(room, "cy", 2 * OF_MEMBER) == list(range(2 * OF_MEMBER))
    assert len(room) == ACKNOWLEDGED


def test_the_place_that_is_left_has_the_newest() -> None:
    """Whose they are makes no difference."""
    room = Acknowledged()
    for number in range(ACKNOWLEDGED):
        say(room, "ada", number)
        say(room, "bo", number)
    half = list(range(ACKNOWLEDGED // 2, ACKNOWLEDGED))
    assert known(room, "ada", ACKNOWLEDGED) == known(room, "bo", ACKNOWLEDGED) == half


def test_an_id_that_names_another_message_takes_the_place_of_the_first() -> None:
    """Among the last, and among the others: it is one message, the newest."""
    room = Acknowledged()
    say(room, "ada", *range(ACKNOWLEDGED))
    say(room, "ada", 1, ACKNOWLEDGED - 1)
    assert len(room) == ACKNOWLEDGED
    say(room, "ada", *range(ACKNOWLEDGED, 2 * ACKNOWLEDGED - 2))
    assert known(room, "ada", ACKNOWLEDGED) == [1, ACKNOWLEDGED - 1]


def test_among_too_many_members_the_oldest_go() -> None:
    """There is no place for some of each."""
    room = Acknowledged()
    for number in range(2 * ACKNOWLEDGED):
        say(room, f"m{number}", 1)
    assert [known(room, f"m{number}", 2) for number in (0, ACKNOWLEDGED - 1)] == [[], []]
    assert [known(room, f"m{number}", 2) for number in (ACKNOWLEDGED, 2 * ACKNOWLEDGED - 1)] == [[1], [1]]


@settings(max_examples=30)
@given(
    st.lists(
        st.tuples(st.integers(0, ACKNOWLEDGED // OF_MEMBER - 1), st.integers(0, 500), st.integers(1, 400)),
        max_size=60,
    )
)
def test_everybodys_last_messages_are_known(turns: list[tuple[int, int, int]]) -> None:
    """As many as are certain, whoever said how much when, also with ids that were used before; never too many."""
    room, said = Acknowledged(), defaultdict[MemberId, dict[int, None]](dict)
    for number, first, count in turns:
        sender = f"m{number}"
        for id_ in range(first, first + count):
            say(room, sender, id_)
            said[sender].pop(id_, None)
            said[sender][id_] = None
    assert len(room) == min(ACKNOWLEDGED, sum(map(len, said.values())))
    assert len(room) == sum(len(known(room, sender, 900)) for sender in said)
    for sender, ids in said.items():
        order = list(ids)
        kept = set(known(room, sender, 900))
        assert kept == set(order[len(order) - len(kept) :])
        assert len(kept) >= min(OF_MEMBER, len(order))
