"""Inspector and metrics of a gateway in another program, where it asks for them (SPEC 8)."""

import logging
from typing import Any

import pytest
import trio
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from trio_websocket import HandshakeError

import omnisonic
from omnisonic.wire import inspection as words
from tests.clients import DEADLINE_S
from tests.embedding.staging import band, member
from tests.inspectors import TOKEN, inspector


class Sloth(omnisonic.Room[int]):
    """Counts its members' messages; tasks of the program have its object."""

    def initial_state(self) -> int:
        return 0

    def on_message(self, member: omnisonic.Member, message: omnisonic.Message) -> None:
        self.state += 1


async def test_an_operator_inspects_and_restarts_a_room_of_the_programs_own() -> None:
    """With the token. The new object begins anew, the old one is no room any more, and members notice nothing."""
    async with band("ada", room_class=Sloth, inspector=TOKEN) as (gateway, (ada,)):
        await ada.ask("chat", 1)
        before = gateway.room("jam")
        assert before is not None
        async with inspector(gateway) as operator:
            shown = await operator.asked(words.AskRoom("1", "jam"))
            assert isinstance(shown, words.RoomAnswer)
            assert [line.member for line in shown.room.members] == ["ada"]
            assert isinstance(await operator.asked(words.AskRestart("2", "jam")), words.Done)
        after = gateway.room("jam")
        assert after is not None
        assert (before.state, after.state) == (1, 0)
        with pytest.raises(RuntimeError, match="no room any more"):
            before.say("late")
        await ada.ask("chat", 2)
        assert after.state == 1


@pytest.mark.parametrize("options", [{}, {"inspector": "another token than that"}], ids=["without", "wrong"])
async def test_nobody_else_inspects(options: dict[str, Any]) -> None:
    """Without a token there is nothing to inspect."""
    async with omnisonic.open_gateway(**options) as gateway:
        with pytest.RaisesGroup(HandshakeError, flatten_subgroups=True, allow_unwrapped=True):
            async with inspector(gateway):
                pass


@pytest.mark.parametrize("token", ["", "changeme"])
@pytest.mark.parametrize("name", ["inspector", "metrics_token"])
async def test_a_token_that_is_easy_to_guess_opens_no_gateway_for_others(name: str, token: str) -> None:
    """An empty one opens none at all."""
    with pytest.raises(omnisonic.BadSettings, match=f"^{name} is "):
        async with omnisonic.open_gateway("0.0.0.0", **{name: token}):  # type: ignore[arg-type]
            pass


async def test_metrics_must_be_something_that_measures() -> None:
    """A reader is not a provider."""
    with pytest.raises(TypeError, match="MeterProvider"):
        async with omnisonic.open_gateway(metrics=InMemoryMetricReader()):  # type: ignore[arg-type]
            pass


async def test_gateways_share_the_programs_own_meters_one_after_another_and_at_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Each says which port it is of, and says nothing once it has ended."""
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], shutdown_on_exit=False)

    async def members() -> dict[object, object]:
        data = await trio.to_thread.run_sync(reader.get_metrics_data)
        return {
            (point.attributes or {})["server.port"]: point.value  # type: ignore[union-attr]
            for resource in (data.resource_metrics if data else ())
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == "omnisonic.members"
            for point in metric.data.data_points
        }

    with trio.fail_after(DEADLINE_S), caplog.at_level(logging.WARNING):
        async with (
            omnisonic.open_gateway(metrics=provider) as one,
            omnisonic.open_gateway(metrics=provider) as other,
            member(one, "ada"),
        ):
            assert await members() == {one.port: 1, other.port: 0}
        assert await members() == {}
        async with omnisonic.open_gateway(port=one.port, metrics=provider) as again, member(again, "ada"):
            assert await members() == {one.port: 1}
    provider.shutdown()
    assert not [record for record in caplog.records if record.name.startswith("opentelemetry")]
