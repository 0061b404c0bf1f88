"""An operator at any gateway of a cluster sees and does what the owner of a room knows and can do (SPEC 5.5)."""

import json
from collections.abc import AsyncIterator
from typing import TypeVar

import pytest
import trio

from omnisonic.actors.inspection.peer_answers import ASKED
from omnisonic.actors.inspection.peer_questions import OWNER_S
from omnisonic.actors.inspection.peers import GatewayPeers
from omnisonic.wire import inspection
from omnisonic.wire.peer_messages import Ask
from omnisonic.wire.peer_questions import prove
from tests.cluster.gateways import Stores, cluster_of, open_cluster, open_member_of_cluster
from tests.inspectors import TOKEN, Inspector, inspector
from tests.rooms import Stage, eventually, listening

A = TypeVar("A", bound=inspection.Answer)


@pytest.fixture
async def stores() -> Stores:
    return Stores()


@pytest.fixture
async def stages(stores: Stores) -> AsyncIterator[list[Stage]]:
    """Three gateways that operators may inspect. The third one never has members in `jam`."""
    async with open_cluster("a", "b", "c", stores=stores, admin_token=TOKEN) as stages:
        yield stages


async def asked(operator: Inspector, question: inspection.Question, wanted: type[A]) -> A:
    """The answer to a question, which is of this kind."""
    answer = await operator.asked(question)
    assert isinstance(answer, wanted), answer
    return answer


async def refused(operator: Inspector, question: inspection.Question) -> tuple[str, str]:
    """With which code a question is refused, and the sentence."""
    failed = await asked(operator, question, inspection.Failed)
    assert failed.id == question.id
    return failed.code, failed.message


async def lines_of(operator: Inspector) -> dict[str, tuple[str, int, str | None]]:
    """The state, the members and the owner of each room that a gateway lists."""
    await operator.ask(inspection.AskRooms("1"))
    found: dict[str, tuple[str, int, str | None]] = {}
    while isinstance(answer := await operator.answer(), inspection.Rooms):
        for line in answer.rooms:
            assert line.room not in found
            found[line.room] = line.state, line.members, line.owner
        if not answer.more:
            return found
    raise AssertionError(answer)


async def test_any_gateway_shows_what_the_owner_knows(stages: list[Stage]) -> None:
    """Asked at the owner, at an edge, and where nobody of the room is: the same roster, offset and address."""
    async with stages[0].member("ada") as ada, stages[1].member("bob") as bob:
        await bob.say("note", 1)
        await ada.next("note")
        shown = []
        for stage in stages:
            async with inspector(stage) as operator:
                shown.append(await asked(operator, inspection.AskRoom("q", "jam"), inspection.RoomAnswer))
    assert [answer.owner for answer in shown] == [None, "a", "a"]
    assert {answer.id for answer in shown} == {"q"}
    assert {tuple(member.member for member in answer.room.members) for answer in shown} == {("ada", "bob")}
    assert {(answer.room.offset, answer.room.line.members, answer.room.line.owner) for answer in shown} == {
        (1, 2, None)
    }


async def test_a_gateway_lists_its_rooms_and_marks_those_of_others(stages: list[Stage]) -> None:
    """An edge room is listed once, with the members who are here, and with its owner."""
    async with (
        stages[0].member("ada"),
        stages[1].member("bob"),
        stages[1].member("eve"),
        stages[1].member("joe", "own"),
        inspector(stages[0]) as at_owner,
        inspector(stages[1]) as at_edge,
    ):
        assert await lines_of(at_owner) == {"jam": ("live", 3, None)}
        assert await lines_of(at_edge) == {"own": ("live", 1, None), "jam": ("edge", 2, "a")}


async def test_actions_reach_the_owner(stages: list[Stage]) -> None:
    """Kick, restart and close, asked at an edge and at a gateway that has nothing of the room."""
    async with (
        stages[0].member("ada") as ada,
        stages[1].member("bob") as bob,
        inspector(stages[1]) as at_edge,
        inspector(stages[2]) as elsewhere,
    ):
        assert await refused(at_edge, inspection.AskKick("1", "jam", "nobody")) == (
            "unknown_member",
            "There is no such member in that room.",
        )
        await asked(elsewhere, inspection.AskRestart("2", "jam"), inspection.Done)
        await eventually(lambda: stages[0].room().incarnation == 2)
        await asked(elsewhere, inspection.AskKick("3", "jam", "bob"), inspection.Done)
        assert (await bob.closed())[0] == 4003
        await asked(at_edge, inspection.AskClose("4", "jam"), inspection.Done)
        assert (await ada.closed())[0] == 4004


async def test_a_tap_shows_the_messages_of_a_room_elsewhere(stages: list[Stage]) -> None:
    """Those of all members, up to its bounds; and a tap that is stopped ends at the owner, too."""
    async with stages[0].member("ada") as ada, stages[1].member("bob") as bob, inspector(stages[2]) as operator:
        await operator.ask(inspection.AskTap("t", "jam", most=2, payload=True))
        await eventually(lambda: bool(stages[0].room().taps))
        await ada.say("note", "here")
        assert await passed(operator) == ("ada", "here")
        await bob.say("note", "there")
        assert await passed(operator) == ("bob", "there")
        end = await operator.answer()
        assert (end.id, isinstance(end, inspection.End) and end.reason) == ("t", "most")
        await operator.ask(inspection.AskTap("u", "jam"))
        await eventually(lambda: bool(stages[0].room().taps))
        await operator.ask(inspection.AskStop("s", "u"))
        assert {type(await operator.answer()), type(await operator.answer())} == {inspection.Done, inspection.End}
        await eventually(lambda: not stages[0].room().taps)


async def passed(operator: Inspector) -> tuple[str | None, object]:
    """The sender and the payload of a message that a tap shows."""
    answer = await operator.answer()
    assert isinstance(answer, inspection.Passed), answer
    return answer.sender, json.loads(answer.payload or "")["payload"]


async def test_a_report_that_is_repeated_goes_on_at_the_owner(stores: Stores) -> None:
    """A stream of one room, at a gateway that does not own it, until the room is gone."""
    async with (
        open_cluster("a", "b", stores=stores, admin_token=TOKEN, empty_room_s=0.1) as stages,
        stages[0].member("ada") as ada,
        inspector(stages[1]) as operator,
    ):
        await operator.ask(inspection.AskRoom("1", "jam", 0.5))
        for _ in range(2):
            assert isinstance(await operator.answer(), inspection.RoomAnswer)
        await ada.websocket.aclose()
        while isinstance(answer := await operator.answer(), inspection.RoomAnswer):
            pass  # an empty room is kept for a while
        assert isinstance(answer, inspection.Failed)
        assert answer.code == "unknown_room"
        assert isinstance(await operator.answer(), inspection.End)


async def test_here_asks_nobody_else(stages: list[Stage]) -> None:
    """The gateway says who owns the room, if it knows."""
    async with (
        stages[0].member("ada"),
        stages[1].member("bob"),
        inspector(stages[1]) as at_edge,
        inspector(stages[2]) as elsewhere,
    ):
        assert await refused(at_edge, inspection.AskRoom("1", "jam", here=True)) == (
            "owned_elsewhere",
            "That room is at another gateway, a.",
        )
        for question in (
            inspection.AskKick("2", "jam", "ada", here=True),
            inspection.AskTap("2", "jam", here=True),
            inspection.AskClose("2", "jam", here=True),
        ):
            assert (await refused(at_edge, question))[0] == "owned_elsewhere"
        assert (await refused(elsewhere, inspection.AskRoom("3", "jam", here=True)))[0] == "unknown_room"
        assert stages[0].roster() == ["ada", "bob"]


async def test_a_room_that_nobody_has_is_unknown_everywhere(stages: list[Stage]) -> None:
    """Also when its last owner is gone, or it is remembered without being there."""
    async with inspector(stages[1]) as operator:
        assert (await refused(operator, inspection.AskRoom("1", "nowhere")))[0] == "unknown_room"


async def test_an_owner_that_does_not_answer_is_said(stages: list[Stage], stores: Stores) -> None:
    """In a sentence that names it, within the deadline; and the next question is answered again."""
    async with stages[0].member("ada"), stages[1].member("bob"), inspector(stages[1]) as operator:
        await asked(operator, inspection.AskRoom("1", "jam"), inspection.RoomAnswer)
        stores.busses["a"].is_away = True
        began_s = trio.current_time()
        assert await refused(operator, inspection.AskRoom("2", "jam")) == (
            "owner_silent",
            "a, which owns the room, did not answer.",
        )
        assert trio.current_time() - began_s < OWNER_S + 1
        stores.busses["a"].is_away = False


async def test_a_report_that_is_repeated_waits_for_its_owner(stages: list[Stage], stores: Stores) -> None:
    """What is wrong is said each time, and the report goes on when the owner answers again."""
    async with stages[0].member("ada"), inspector(stages[2]) as operator:
        await operator.ask(inspection.AskRoom("1", "jam", 0.5))
        assert isinstance(await operator.answer(), inspection.RoomAnswer)
        stores.busses["a"].is_away = True
        while isinstance(answer := await operator.answer(), inspection.RoomAnswer):
            pass
        assert isinstance(answer, inspection.Failed)
        assert (answer.id, answer.code) == ("1", "owner_silent")
        stores.busses["a"].is_away = False
        while isinstance(answer := await operator.answer(), inspection.Failed):
            assert answer.code == "owner_silent"
        assert isinstance(answer, inspection.RoomAnswer)


async def test_a_store_that_does_not_answer_is_said(stages: list[Stage], stores: Stores) -> None:
    """Where nobody can know who owns a room."""
    async with inspector(stages[2]) as operator:
        stores.memories["c"].is_away = True
        assert await refused(operator, inspection.AskRoom("1", "jam")) == (
            "owner_silent",
            "Redis did not say which gateway owns the room.",
        )
        stores.memories["c"].is_away = False


@pytest.mark.parametrize(("token", "what"), [(None, "no ADMIN_TOKEN"), ("another token", "another ADMIN_TOKEN")])
async def test_nobody_learns_or_does_more_by_asking_elsewhere(
    stores: Stores, token: str | None, what: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A gateway with another token, or without one, refuses all that comes from gateways, and logs it."""
    async with (
        open_member_of_cluster("a", stores, admin_token=token) as a,
        open_member_of_cluster("b", stores, admin_token=TOKEN) as b,
    ):
        await listening(a, 2)
        async with a.member("ada"), b.member("bob"), inspector(b) as operator:
            for question in (
                inspection.AskRoom("1", "jam"),
                inspection.AskTap("1", "jam"),
                inspection.AskKick("1", "jam", "ada"),
                inspection.AskClose("1", "jam"),
                inspection.AskRestart("1", "jam"),
            ):
                assert await refused(operator, question) == ("owner_refused", f"a, which owns the room, has {what}.")
            assert a.roster() == ["ada", "bob"]
            assert a.room().incarnation == 1
    refusals = [record for record in caplog.records if record.message == "inspector.refused"]
    assert len(refusals) == 5


async def test_a_question_without_a_proof_or_that_comes_again_does_nothing(stages: list[Stage]) -> None:
    """What whoever writes to Redis could send: without the token, made for another gateway, or a second time."""
    a, b, c = map(cluster_of, stages)
    kick = inspection.encode(inspection.AskKick("1", "jam", "ada", here=True)).encode()
    run, owner = b.lease.run, a.lease.run
    assert isinstance(a.inspection, GatewayPeers)
    async with stages[0].member("ada") as ada, stages[1].member("bob"):
        bare = Ask("1", kick, "10.0.0.9")
        forged = [
            bare,
            Ask("1", kick, "10.0.0.9", prove("guess", run, owner, bare)),
            Ask("1", kick, "10.0.0.9", prove(TOKEN, run, c.lease.run, bare)),
            Ask("1", kick, "10.0.0.9", prove(TOKEN, c.lease.run, owner, bare)),
            Ask("2", kick, "10.0.0.9", prove(TOKEN, run, owner, bare)),
            Ask("1", kick, "10.0.0.8", prove(TOKEN, run, owner, bare)),
        ]
        for ask in forged:
            a.inspection.on_ask(run, ask)
            assert not len(a.inspection.answers), ask
        real = Ask("1", kick, "10.0.0.9", prove(TOKEN, run, owner, bare))
        await ada.say("note", 1, id="x")
        await ada.next("ack")
        assert stages[0].roster() == ["ada", "bob"]
        a.inspection.on_ask(run, real)
        assert len(a.inspection.answers) == 1
        assert (await ada.closed())[0] == 4003
        a.inspection.on_ask(run, Ask("1", b""))
    async with stages[0].member("ada") as ada, stages[1].member("bob"):
        await eventually(lambda: not len(a.inspection.answers))  # type: ignore[union-attr]
        a.inspection.on_ask(run, real)
        assert not len(a.inspection.answers)
        await ada.say("note", 2, id="y")
        await ada.next("ack")
        assert "ada" in stages[0].roster()


async def test_an_owner_answers_a_bounded_number_of_questions(stages: list[Stage]) -> None:
    """More are refused; those whose asker has gone make room."""
    a, b = map(cluster_of, stages[:2])
    assert isinstance(a.inspection, GatewayPeers)
    look = inspection.encode(inspection.AskRoom("1", "jam", here=True)).encode()
    async with stages[0].member("ada"), inspector(stages[2]) as operator:
        for number in range(1, ASKED + 1):
            ask = Ask(str(number), look)
            proof = prove(TOKEN, b.lease.run, a.lease.run, ask)
            a.inspection.on_ask(b.lease.run, Ask(ask.id, look, proof=proof))
        assert len(a.inspection.answers) == ASKED
        assert (await refused(operator, inspection.AskRoom("1", "jam")))[0] == "owner_busy"
        for number in range(1, ASKED + 1):
            a.inspection.on_ask(b.lease.run, Ask(str(number), b""))
        await eventually(lambda: not len(a.inspection.answers))  # type: ignore[union-attr]
        await asked(operator, inspection.AskRoom("2", "jam"), inspection.RoomAnswer)


async def test_what_was_asked_is_forgotten(stages: list[Stage]) -> None:
    """At the owner at once, though the question could have more answers; and nobody watches the link any more."""
    a, c = cluster_of(stages[0]), cluster_of(stages[2])
    assert isinstance(a.inspection, GatewayPeers)
    async with stages[0].member("ada"), inspector(stages[2]) as operator:
        await asked(operator, inspection.AskRoom("1", "jam"), inspection.RoomAnswer)
        await eventually(lambda: not len(a.inspection.answers))  # type: ignore[union-attr]
        assert [(peer.state, peer.peer) for peer in c.links.describe()] == [("open", a.lease.run)]


async def test_a_long_answer_comes_whole(stages: list[Stage], monkeypatch: pytest.MonkeyPatch) -> None:
    """In many parts."""
    monkeypatch.setattr("omnisonic.wire.peer_questions.PART_BYTES", 100)
    async with stages[0].crowd(20), inspector(stages[2]) as operator:
        answer = await asked(operator, inspection.AskRoom("1", "jam"), inspection.RoomAnswer)
        assert len(answer.room.members) == 20


async def test_the_tree_has_the_lease_and_the_links(stages: list[Stage]) -> None:
    """Of the gateway that is asked."""
    async with stages[0].member("ada"), stages[1].member("bob"), inspector(stages[1]) as operator:
        tree = await asked(operator, inspection.AskTree("1"), inspection.Tree)
        (line,) = tree.cluster
        assert (line.gateway, line.has_lease, line.rooms_owned, line.edge_rooms) == ("b", True, 0, 1)
        (peer,) = line.peers
        assert (peer.peer, peer.run, peer.state) == ("a", cluster_of(stages[0]).lease.run, "open")
        assert peer.sent_messages > 0


async def test_a_provisional_room_is_degraded(stages: list[Stage], stores: Stores) -> None:
    """For an operator, too, as long as nothing in it is acknowledged."""
    async with stages[0].member("ada") as ada, inspector(stages[0]) as operator:
        stores.memories["a"].is_away = True
        await ada.next("room.degraded")
        assert await lines_of(operator) == {"jam": ("degraded", 1, None)}
        stores.memories["a"].is_away = False
        await ada.next("room.restored")
        assert (await lines_of(operator))["jam"][0] != "degraded"
