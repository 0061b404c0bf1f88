"""What every presence store promises (`omnisonic.stores.presence`), held on each of them."""

from datetime import UTC, datetime, timedelta
from typing import Final

import pytest
import trio

from omnisonic.errors import Unavailable
from omnisonic.models import PresenceMember, Status
from omnisonic.stores.presence import LeaseBound, RosterLine, TooManyLeases
from tests.stores.conftest import DEADLINE_S, Stage

SHORT_S: Final = 0.1
LONG_S: Final = 60.0
NOON: Final = datetime(2025, 1, 1, 12, tzinfo=UTC)


def member(member_id: str, name: str = "Ada", *, status: Status = "active", seen: datetime = NOON) -> PresenceMember:
    return PresenceMember(member_id, name, status, seen)


async def test_a_roster_is_read_back_as_it_was_written(stage: Stage) -> None:
    """Every field of every member survives, in the order of the member ids."""
    bo, ada = member("bo", "Bø ♪", status="away", seen=NOON.replace(microsecond=123456)), member("ada")
    with trio.fail_after(DEADLINE_S):
        await stage.store.write_rosters("gateway", {"jam": [bo, ada]}, ttl_s=LONG_S)
        assert await stage.store.members("jam") == [ada, bo]
        assert await stage.store.members("another") == []


async def test_writing_a_roster_replaces_the_one_before(stage: Stage) -> None:
    """Who is not in the new roster is gone, and a room not spoken of is left alone."""
    with trio.fail_after(DEADLINE_S):
        await stage.store.write_rosters(
            "gateway", {"jam": [member("ada"), member("bo")], "duo": [member("cy")]}, ttl_s=60
        )
        await stage.store.write_rosters("gateway", {"jam": [member("bo", "Bo")]}, ttl_s=60)
        assert await stage.store.members("jam") == [member("bo", "Bo")]
        assert await stage.store.members("duo") == [member("cy")]


async def test_an_empty_roster_removes_it(stage: Stage) -> None:
    """The last one out leaves nothing, and removing what is not there is no error."""
    with trio.fail_after(DEADLINE_S):
        await stage.store.write_rosters("gateway", {"jam": [member("ada")]}, ttl_s=LONG_S)
        await stage.store.write_rosters("gateway", {"jam": [], "never": []}, ttl_s=LONG_S)
        assert await stage.store.members("jam") == []


async def test_writing_no_rosters_at_all_is_nothing(stage: Stage) -> None:
    """A mirror with nothing to say may say it."""
    with trio.fail_after(DEADLINE_S):
        await stage.store.write_rosters("gateway", {}, ttl_s=LONG_S)
        assert await stage.store.members("jam") == []


async def test_a_roster_that_nobody_refreshes_is_gone_after_its_time(stage: Stage) -> None:
    """A gateway that was killed leaves no ghosts; another's roster, which lives longer, stays."""

    async def only_bo_is_left() -> bool:
        return await stage.store.members("jam") == [member("bo")]

    with trio.fail_after(DEADLINE_S):
        await stage.store.write_rosters("living", {"jam": [member("bo")]}, ttl_s=LONG_S)
        await stage.store.write_rosters("killed", {"jam": [member("ada")]}, ttl_s=SHORT_S)
        await stage.once_passed(SHORT_S, only_bo_is_left)


async def test_refreshing_a_roster_gives_it_its_whole_time_again(stage: Stage) -> None:
    """The last time to live counts, whether longer or shorter than the one before."""

    async def only_the_refreshed_is_left() -> bool:
        return not await stage.store.members("cut short") and await stage.store.members("refreshed") == [member("ada")]

    with trio.fail_after(DEADLINE_S):
        await stage.store.write_rosters("gateway", {"refreshed": [member("ada")]}, ttl_s=SHORT_S)
        await stage.store.write_rosters("gateway", {"refreshed": [member("ada")]}, ttl_s=LONG_S)
        await stage.store.write_rosters("gateway", {"cut short": [member("ada")]}, ttl_s=LONG_S)
        await stage.store.write_rosters("gateway", {"cut short": [member("ada")]}, ttl_s=SHORT_S)
        await stage.once_passed(SHORT_S, only_the_refreshed_is_left)


async def test_two_gateways_share_a_room(stage: Stage) -> None:
    """A room's members are those of all its gateways; of a member named twice, the line seen last."""
    soon = NOON + timedelta(seconds=1)
    bo, cy = member("bo", "Bo, moved", seen=soon), member("cy", "Cy, moved", seen=soon)
    with trio.fail_after(DEADLINE_S):
        await stage.store.write_rosters("one", {"jam": [member("ada"), member("bo"), cy]}, ttl_s=LONG_S)
        await stage.store.write_rosters("two", {"jam": [bo, member("cy")]}, ttl_s=LONG_S)
        assert await stage.store.members("jam") == [member("ada"), bo, cy]


async def test_forgetting_an_owner_removes_its_rosters_and_nobody_elses(stage: Stage) -> None:
    """A gateway that starts again cleans up after its last life; other gateways and leases stay."""
    rooms = {f"room {number}": [member("ada")] for number in range(20)}
    with trio.fail_after(DEADLINE_S):
        await stage.store.write_rosters("killed", rooms, ttl_s=LONG_S)
        await stage.store.write_rosters("killed:2", {"room 1": [member("bo")]}, ttl_s=LONG_S)
        await stage.store.put_lease("room 1", member("cy"), ttl_s=LONG_S)
        await stage.store.forget_owner("killed")
        await stage.store.forget_owner("never was")
        assert await stage.store.members("room 0") == []
        assert await stage.store.members("room 1") == [member("bo"), member("cy")]


async def test_a_beat_tells_whether_the_owner_was_remembered(stage: Stage) -> None:
    """False at first, True while it beats in time, False again once it was late or forgotten."""

    async def forgotten() -> bool:
        return not await stage.store.beat("late", ttl_s=SHORT_S / 100)

    with trio.fail_after(DEADLINE_S):
        assert [await stage.store.beat("gateway", ttl_s=LONG_S) for _ in range(3)] == [False, True, True]
        assert not await stage.store.beat("another", ttl_s=LONG_S)
        await stage.store.forget_owner("gateway")
        assert not await stage.store.beat("gateway", ttl_s=LONG_S)
        await stage.store.beat("late", ttl_s=SHORT_S)
        await stage.once_passed(SHORT_S, forgotten)


async def test_a_lease_is_a_member_until_it_is_dropped(stage: Stage) -> None:
    """Put in, renewed under another name, taken back once; a second time there is nothing to take."""
    with trio.fail_after(DEADLINE_S):
        await stage.store.put_lease("jam", member("ada"), ttl_s=LONG_S)
        await stage.store.put_lease("jam", member("ada", "Ada L."), ttl_s=LONG_S)
        assert await stage.store.members("jam") == [member("ada", "Ada L.")]
        assert [await stage.store.drop_lease("jam", "ada") for _ in range(2)] == [True, False]
        assert await stage.store.members("jam") == []


async def test_a_lease_belongs_to_the_person_who_put_it(stage: Stage) -> None:
    """Another person's put and drop change nothing, nobody's neither; its owner renews it and takes it back."""
    with trio.fail_after(DEADLINE_S):
        assert await stage.store.put_lease("jam", member("ada"), ttl_s=LONG_S, person="one")
        for person in ("two", None):
            assert not await stage.store.put_lease("jam", member("ada", "Mallory"), ttl_s=2 * LONG_S, person=person)
            assert not await stage.store.drop_lease("jam", "ada", person=person)
        (lease,) = await stage.store.leases("jam")
        assert (lease.member, lease.person) == (member("ada"), "one")
        assert lease.ttl_s <= LONG_S
        away = member("ada", "Ada L.", status="away")
        assert await stage.store.put_lease("jam", away, ttl_s=LONG_S, person="one")
        assert [type(line) for line in await stage.store.members("jam")] == [PresenceMember]
        assert await stage.store.members("jam") == [away]
        assert await stage.store.drop_lease("jam", "ada", person="one")
        assert await stage.store.leases("jam") == []


async def test_a_lease_of_nobody_is_anybodys_and_so_is_one_that_expired(stage: Stage) -> None:
    """Where people are not known all may change it; whoever puts it next owns it, until it has run out."""

    async def put_by_two() -> bool:
        return await stage.store.put_lease("jam", member("ada"), ttl_s=LONG_S, person="two")

    with trio.fail_after(DEADLINE_S):
        assert await stage.store.put_lease("jam", member("ada"), ttl_s=LONG_S)
        assert await stage.store.put_lease("jam", member("ada"), ttl_s=SHORT_S, person="one")
        assert [lease.person for lease in await stage.store.leases("jam")] == ["one"]
        await stage.once_passed(SHORT_S, put_by_two)


async def test_nobody_puts_a_lease_beside_another_persons_seat(stage: Stage) -> None:
    """Whose it is the gateways say. They themselves may, and anybody beside a seat of nobody known, or after it."""
    ada = RosterLine('a"da é', "Ada", "active", NOON, "one")
    lease = member('a"da é', "Mallory")
    with trio.fail_after(DEADLINE_S):
        await stage.store.write_rosters("two", {"jam": [member("bo")]}, ttl_s=LONG_S)
        await stage.store.write_rosters("gateway", {"jam": [member("x"), ada], "duo": [member("ada")]}, ttl_s=LONG_S)
        assert await stage.store.members("jam") == [member('a"da é'), member("bo"), member("x")]
        assert not await stage.store.put_lease("jam", lease, ttl_s=LONG_S, person="two")
        assert not await stage.store.put_lease("jam", lease, ttl_s=LONG_S)
        assert await stage.store.leases("jam") == []
        assert await stage.store.put_lease("jam", member("bo"), ttl_s=LONG_S, person="two")
        assert await stage.store.put_lease("duo", lease, ttl_s=LONG_S, person="two")
        assert await stage.store.put_lease("jam", lease, ttl_s=SHORT_S, person="one")
        await stage.store.write_rosters("gateway", {"jam": []}, ttl_s=LONG_S)
        assert await stage.store.drop_lease("jam", lease.member_id, person="one")
        assert await stage.store.put_lease("jam", lease, ttl_s=LONG_S, person="two")


async def test_leases_are_bounded_by_holder_and_by_room(stage: Stage) -> None:
    """One more than may be changes nothing; one's own renewals always go through, and what is over makes room."""
    one, two = LeaseBound("one", 2, 3), LeaseBound("two", 2, 3)

    async def put(name: str, bound: LeaseBound | None, *, ttl_s: float = LONG_S) -> str:
        try:
            assert await stage.store.put_lease("jam", member(name), ttl_s=ttl_s, bound=bound)
        except TooManyLeases as full:
            return full.code
        return "put"

    async def made_room() -> bool:
        return await put("y", two) == "put"

    with trio.fail_after(DEADLINE_S):
        assert [await put(name, one) for name in ("a", "b", "c", "a", "b")] == [
            *("put", "put", "too_many_leases", "put", "put")
        ]
        assert [await put(name, two) for name in ("x", "y", "x")] == ["put", "too_many_leases", "put"]
        assert [line.member_id for line in await stage.store.members("jam")] == ["a", "b", "x"]
        assert await stage.store.put_lease("duo", member("a"), ttl_s=LONG_S, bound=one)
        assert await stage.store.drop_lease("jam", "a")
        assert await put("y", two, ttl_s=SHORT_S) == "put"
        assert await put("c", one) == "too_many_leases"
        assert await put("x", LeaseBound("one", 1, 3)) == "too_many_leases", "taken over, it would be one too many"
        await stage.once_passed(SHORT_S, made_room)
        assert await put("z", LeaseBound("three", 2, 0)) == "too_many_leases"
        assert await put("z", None) == "put"


async def test_of_fifty_leases_put_at_once_four_are_there(stage: Stage) -> None:
    """However many ask at the same moment."""
    outcomes: list[str] = []

    async def put(number: int) -> None:
        bound, is_over = LeaseBound("ada", 4, 99), False
        while not is_over:
            try:
                await stage.store.put_lease("jam", member(f"m{number}"), ttl_s=LONG_S, bound=bound)
            except TooManyLeases:
                outcomes.append("full")
            except Unavailable:  # fifty at once are too many for its deadline when the machine is busy
                continue
            is_over = True

    with trio.fail_after(DEADLINE_S):
        async with trio.open_nursery() as nursery:
            for number in range(50):
                nursery.start_soon(put, number)
        assert len(outcomes) == 46
        assert len(await stage.store.members("jam")) == 4


async def test_leases_end_with_their_person_or_with_the_room(stage: Stage) -> None:
    """Those of one person and no other's; then all. Rosters stay, and so do other rooms."""
    with trio.fail_after(DEADLINE_S):
        for name, person in (("ada", "one"), ("ada 2", "one"), ("bo", "two"), ("anybody", None)):
            await stage.store.put_lease("jam", member(name), ttl_s=LONG_S, person=person)
            await stage.store.put_lease("duo", member(name), ttl_s=LONG_S, person=person)
        await stage.store.write_rosters("gateway", {"jam": [member("cy")]}, ttl_s=LONG_S)
        await stage.store.end_leases("jam", "one")
        await stage.store.end_leases("jam", "nobody")
        assert [line.member_id for line in await stage.store.members("jam")] == ["anybody", "bo", "cy"]
        await stage.store.end_leases("jam", None)
        await stage.store.end_leases("nowhere", None)
        assert await stage.store.members("jam") == [member("cy")]
        assert len(await stage.store.leases("duo")) == 4


async def test_heads_are_counted_as_members_are_listed(stage: Stage) -> None:
    """Each member of a room once, whichever gateways and leases name them; in the order of the rooms asked for."""
    with trio.fail_after(DEADLINE_S):
        await stage.store.write_rosters(
            "one", {"jam": [member("ada"), member('b"o é')], "duo": [member("ada")]}, ttl_s=60
        )
        await stage.store.write_rosters("two", {"jam": [member('b"o é'), member("cy")]}, ttl_s=LONG_S)
        await stage.store.put_lease("jam", member("cy"), ttl_s=LONG_S)
        await stage.store.put_lease("jam", member("di"), ttl_s=LONG_S, person="one")
        await stage.store.put_lease("solo", member("ada"), ttl_s=LONG_S)
        rooms = ["jam", "nobody", "solo", "duo", "jam"]
        assert await stage.store.head_counts(rooms) == [4, 0, 1, 1, 4]
        assert await stage.store.head_counts(rooms) == [len(await stage.store.members(room)) for room in rooms]
        assert await stage.store.head_counts([]) == []


async def test_heads_that_ran_out_are_not_counted(stage: Stage) -> None:
    """Neither a lease nor a killed gateway's roster."""

    async def nobody() -> bool:
        return await stage.store.head_counts(["jam", "duo"]) == [0, 1]

    with trio.fail_after(DEADLINE_S):
        await stage.store.write_rosters("killed", {"jam": [member("ada")], "duo": [member("ada")]}, ttl_s=SHORT_S)
        await stage.store.put_lease("jam", member("bo"), ttl_s=SHORT_S)
        await stage.store.put_lease("duo", member("bo"), ttl_s=LONG_S)
        await stage.once_passed(SHORT_S, nobody)


async def test_leases_tell_the_time_they_have_left(stage: Stage) -> None:
    """In the order of the member ids, without the rosters' members, and each with its own time."""
    with trio.fail_after(DEADLINE_S):
        await stage.store.put_lease("jam", member("bo"), ttl_s=LONG_S)
        await stage.store.put_lease("jam", member("ada"), ttl_s=2 * LONG_S)
        await stage.store.write_rosters("gateway", {"jam": [member("cy")]}, ttl_s=LONG_S)
        ada, bo = await stage.store.leases("jam")
        assert (ada.member, bo.member) == (member("ada"), member("bo"))
        assert LONG_S < ada.ttl_s <= 2 * LONG_S
        assert LONG_S - DEADLINE_S < bo.ttl_s <= LONG_S


async def test_a_lease_shorter_than_a_second_expires_in_time(stage: Stage) -> None:
    """It is gone from the leases and from the members, and can no longer be dropped; another stays."""

    async def expired() -> bool:
        return [lease.member.member_id for lease in await stage.store.leases("jam")] == ["bo"]

    with trio.fail_after(DEADLINE_S):
        await stage.store.put_lease("jam", member("ada"), ttl_s=SHORT_S)
        await stage.store.put_lease("jam", member("bo"), ttl_s=LONG_S)
        await stage.once_passed(SHORT_S, expired)
        assert await stage.store.members("jam") == [member("bo")]
        assert not await stage.store.drop_lease("jam", "ada")


async def test_a_gateways_line_wins_over_a_lease(stage: Stage) -> None:
    """Whoever has a socket is as the gateway says, even where the lease is newer; the lease shows again afterwards."""
    lease = member("ada", "from REST", seen=NOON + timedelta(hours=1))
    with trio.fail_after(DEADLINE_S):
        await stage.store.put_lease("jam", lease, ttl_s=LONG_S)
        await stage.store.write_rosters("gateway", {"jam": [member("ada", "from the gateway")]}, ttl_s=LONG_S)
        assert await stage.store.members("jam") == [member("ada", "from the gateway")]
        await stage.store.write_rosters("gateway", {"jam": []}, ttl_s=LONG_S)
        assert await stage.store.members("jam") == [lease]


@pytest.mark.parametrize(
    ("one", "other"),
    [(("a", "b:c"), ("a:b", "c")), (("a%3A", "b"), ("a:", "b")), (("*", "é"), ("x", "é")), (("a ", "b"), ("a", " b"))],
)
async def test_names_with_any_characters_never_meet(stage: Stage, one: tuple[str, str], other: tuple[str, str]) -> None:
    """Colons, stars, blanks, percent signs and other alphabets in ids of rooms, owners and members stay apart."""
    (room, name), (other_room, other_name) = one, other
    with trio.fail_after(DEADLINE_S):
        await stage.store.write_rosters(name, {room: [member("roster")]}, ttl_s=LONG_S)
        await stage.store.put_lease(room, member(name), ttl_s=LONG_S)
        assert await stage.store.members(other_room) == []
        assert not await stage.store.drop_lease(other_room, other_name)
        await stage.store.write_rosters(other_name, {other_room: []}, ttl_s=LONG_S)
        if other_name != name:
            await stage.store.forget_owner(other_name)
        assert [each.member_id for each in await stage.store.members(room)] == sorted(["roster", name])


async def test_many_rooms_are_written_and_read(stage: Stage) -> None:
    """More rooms, and more bytes, than one command carries: every one of them arrives."""
    crowd = [member(f"member {number:04}", "N" * 64) for number in range(2000)]
    rooms = {f"room {number}": [member("ada", f"Ada of {number}")] for number in range(450)}
    with trio.fail_after(DEADLINE_S):
        await stage.store.write_rosters("gateway", {"hall": crowd, **rooms, "hall 2": crowd}, ttl_s=LONG_S)
        for number in (0, 99, 100, 199, 449):
            assert await stage.store.members(f"room {number}") == [member("ada", f"Ada of {number}")]
        assert len(await stage.store.members("hall")) == len(await stage.store.members("hall 2")) == 2000


async def test_a_store_answers_a_ping_and_closes_twice(stage: Stage) -> None:
    """Both are safe at any time."""
    with trio.fail_after(DEADLINE_S):
        await stage.store.ping()
        await stage.store.aclose()
        await stage.store.aclose()
