"""`open_gateway`: what a program does with its rooms from outside (SPEC 8)."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import trio

import omnisonic
from omnisonic.stores.bus.memory import MemoryBus
from omnisonic.stores.presence.memory import MemoryPresence
from omnisonic.wire.closing import CloseCode
from tests.embedding.staging import band, hear, member, until
from tests.rooms import Stage, eventually


async def test_a_program_sees_who_is_where() -> None:
    """Rooms that somebody is in, and their members in the order they came."""
    async with band("ada", "bo") as (gateway, [_, bo]), member(gateway, "cy", room="duo"):
        assert (gateway.rooms, gateway.url) == (["jam", "duo"], f"ws://127.0.0.1:{gateway.port}")
        assert [each.display_name for each in gateway.members("jam")] == ["Ada", "Bo"]
        await bo.leave()
        await eventually(lambda: [each.member_id for each in gateway.members("jam")] == ["ada"])
        assert (gateway.members("nowhere"), gateway.room("nowhere")) == ([], None)


async def test_a_program_speaks_into_a_room() -> None:
    """To all in the room's order, from nobody; to one without an offset."""
    async with band("ada", "bo") as (gateway, [ada, bo]):
        gateway.say("jam", "cue", {"bar": 17})
        gateway.say("jam", "psst", to="bo")
        gateway.say("jam", "done")
        (cue,) = [m for m in await until(ada, "done") if m.type != "presence.join"]
        assert (cue.type, cue.payload, cue.sender, cue.offset) == ("cue", {"bar": 17}, None, 1)
        assert [(m.type, m.offset) for m in await until(bo, "done")] == [("cue", 1), ("psst", None)]


@pytest.mark.parametrize(
    ("room", "type_", "payload", "to", "code"),
    [
        ("nowhere", "cue", 1, None, "room_empty"),
        ("jam", "cue", 1, "eve", "unknown_member"),
        ("jam", "welcome", 1, None, "reserved_type"),
        ("jam", "", 1, None, "invalid_message"),
        ("jam", "cue", object(), None, "invalid_message"),
        ("jam", "cue", "a" * 65_536, None, "too_large"),
    ],
)
async def test_what_cannot_be_said_is_told(room: str, type_: str, payload: Any, to: str | None, code: str) -> None:
    """At once, with a stable code."""
    async with band("ada") as (gateway, _):
        with pytest.raises(omnisonic.InvalidInput) as wrong:
            gateway.say(room, type_, payload, to=to)
        assert wrong.value.code == code


async def test_a_program_reaches_somebody_who_is_waited_for() -> None:
    """Their connection broke: what is said to them waits for them, and they can be sent out."""
    async with band("ada") as (gateway, [ada]):
        stage = Stage(gateway._gateway, MemoryPresence(), MemoryBus(), gateway.port)
        async with await stage.bare_member("bo"):
            pass
        await eventually(lambda: [each.connected for each in gateway.members("jam")] == [True, False])
        gateway.say("jam", "psst", to="bo")
        async with await stage.bare_member("bo") as bo:
            await bo.next("psst")
        await eventually(lambda: [each.connected for each in gateway.members("jam")] == [True, False])
        assert gateway.kick("jam", "bo")
        assert (await hear(ada, "presence.leave")).payload == {"memberId": "bo", "reason": "kicked"}


async def test_a_program_sends_somebody_out_or_everybody() -> None:
    """4003 and 4004, with the reason; who is not there is False."""
    async with band("ada", "bo") as (gateway, [ada, bo]):
        assert gateway.kick("jam", "bo", "too loud")
        with pytest.raises(omnisonic.Closed, match="too loud") as kicked:
            await until(bo, "never")
        assert kicked.value.close_code == CloseCode.KICKED
        assert (await hear(ada, "presence.leave")).payload == {"memberId": "bo", "reason": "kicked"}
        assert not gateway.kick("jam", "bo")
        assert gateway.close_room("jam")
        with pytest.raises(omnisonic.Closed) as closed:
            await until(ada, "never")
        assert closed.value.close_code == CloseCode.ROOM_CLOSED
        assert not gateway.close_room("nowhere")


async def test_what_the_block_raises_comes_out_as_it_is() -> None:
    """Not in a group, from either end."""
    with pytest.raises(LookupError, match="mine"):
        async with omnisonic.open_gateway() as gateway, member(gateway, "ada"):
            raise LookupError("mine")


async def test_limits_are_the_settings_of_the_same_name() -> None:
    """A full room says so; a limit that is none is told at once."""
    async with band("ada", max_members_per_room=1) as (gateway, _):
        with pytest.raises(omnisonic.EntryRefused) as full:
            async with member(gateway, "bo"):
                pass
        assert full.value.code == "room_full"
    with pytest.raises(ValueError, match="member_burst"):
        async with omnisonic.open_gateway(member_burst=-1):
            pass
    with pytest.raises(TypeError, match="knows no max_members; there is"):
        async with omnisonic.open_gateway(max_members=3):  # type: ignore[call-arg]
            pass


async def test_only_pages_that_are_named_may_connect() -> None:
    """No page at all unless its origin is given; programs have none."""
    origin = {"Origin": "https://band.example"}
    async with omnisonic.open_gateway() as gateway:
        with pytest.raises(omnisonic.EntryRefused) as foreign:
            async with member(gateway, "ada", headers=origin):
                pass
        assert foreign.value.code == "foreign_origin"
    async with (
        omnisonic.open_gateway(allowed_origins=["https://band.example"]) as gateway,
        member(gateway, "ada", headers=origin),
    ):
        assert gateway.rooms == ["jam"]


async def test_only_the_hosts_that_are_named_are_answered() -> None:
    """However the program writes them; what is none is told at once."""
    async with omnisonic.open_gateway(allowed_hosts=["Band.Example:8080"]) as gateway:
        with pytest.raises(omnisonic.EntryRefused) as wrong:
            async with member(gateway, "ada"):
                pass
        assert wrong.value.code == "wrong_host"
    async with omnisonic.open_gateway(allowed_hosts=["127.0.0.1:8080"]) as gateway, member(gateway, "ada"):
        assert gateway.rooms == ["jam"]
    with pytest.raises(ValueError, match="is not a host's name"):
        async with omnisonic.open_gateway(allowed_hosts=["*.example"]):
            pass


async def test_it_listens_on_ipv6_and_on_every_address() -> None:
    """The URL is one that this machine can use."""
    async with omnisonic.open_gateway("::1") as gateway:
        assert gateway.url == f"ws://[::1]:{gateway.port}"
        async with member(gateway, "ada"):
            pass
    async with omnisonic.open_gateway("0.0.0.0") as gateway, member(gateway, "ada"):
        assert gateway.url.startswith("ws://127.0.0.1:")
    async with omnisonic.open_gateway("::") as gateway, member(gateway, "ada"):
        assert gateway.url == f"ws://[::1]:{gateway.port}"
        async with await trio.open_tcp_stream("127.0.0.1", gateway.port) as stream:
            await stream.send_all(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            assert (await stream.receive_some()).startswith(b"HTTP/1.1 200")


def test_importing_omnisonic_imports_nothing_else() -> None:
    """And what is used then brings no database, no Redis and no web."""
    code = """
import sys, omnisonic
assert not {"trio", "asyncio", "msgspec", "pydantic", "quart"} & set(sys.modules), "import omnisonic"
omnisonic.open_gateway, omnisonic.connect, omnisonic.Room
assert "trio" in sys.modules
assert "omnisonic.aio" not in sys.modules
print(sorted({"asyncpg", "redis", "quart", "hypercorn", "numpy", "aiobotocore"} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")


def test_every_public_name_is_there_and_typed() -> None:
    """The stub and the table of names agree."""
    stub = Path(omnisonic.__file__).with_suffix(".pyi").read_text()
    typed = {line.rpartition(" ")[2] for line in stub.splitlines() if " as " in line}
    names = set(vars(omnisonic)["_MODULES"])
    assert typed == names
    assert all(getattr(omnisonic, name).__doc__ for name in names)
    assert names <= set(dir(omnisonic))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = omnisonic.nothing  # type: ignore[attr-defined]
