"""The kinds of faults: what is done to a gateway, or to Redis, and for how long."""

import random
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import trio

from tests.bench.cluster.scene import Node, Scene, follow
from tests.cli.running import Command
from tests.cluster.witnesses import Witness

LONG_S: Final = (1.0, 6.0)
"""A gateway that is silent for 1.5 s is suspected, and loses its rooms after 3 s."""
SLOW_S: Final = (0.1, 0.6)
RUNS_S: Final = (0.05, 0.3)


@dataclass(frozen=True)
class Fault:
    """One fault that is over. `others` are members whose gateway had none; `from_s` is when they might go on."""

    others: list[Witness]
    from_s: float
    ended_s: float


async def kill_owner(scene: Scene, chance: random.Random) -> Fault:
    """The owner is killed, and started again."""
    return await _end_owner(scene, Command.kill)


async def replace_owner(scene: Scene, chance: random.Random) -> Fault:
    """The owner is stopped in order, and started again: the room goes on by a clock that is a minute off."""
    return await _end_owner(scene, Command.stop)


async def _end_owner(scene: Scene, how: Callable[[Command], object]) -> Fault:
    owner = await scene.owner()
    others = [*scene.other(owner).witnesses]
    from_s = trio.current_time()
    await trio.to_thread.run_sync(owner.end, how)
    await trio.to_thread.run_sync(owner.start)
    await scene.enter(owner)
    return Fault(others, from_s, trio.current_time())


async def freeze_owner(scene: Scene, chance: random.Random) -> Fault:
    """The owner stands still for a while."""

    async def freeze(owner: Node) -> None:
        owner.command.signal(signal.SIGSTOP)
        try:
            await trio.sleep(chance.uniform(*LONG_S))
        finally:
            owner.command.signal(signal.SIGCONT)

    return await _harm_owner(scene, freeze)


async def cut_owner_off(scene: Scene, chance: random.Random) -> Fault:
    """Nothing passes between the owner and Redis for a while."""

    async def cut(owner: Node) -> None:
        for way in owner.ways:
            way.hold()
        await trio.sleep(chance.uniform(*LONG_S))
        for way in owner.ways:
            way.go_on()

    return await _harm_owner(scene, cut)


async def slow_owner(scene: Scene, chance: random.Random) -> Fault:
    """The owner stands still again and again, each time for less than a second."""

    async def slow(owner: Node) -> None:
        until_s = trio.current_time() + chance.uniform(*LONG_S)
        while trio.current_time() < until_s:
            owner.command.signal(signal.SIGSTOP)
            try:
                await trio.sleep(chance.uniform(*SLOW_S))
            finally:
                owner.command.signal(signal.SIGCONT)
            await trio.sleep(chance.uniform(*RUNS_S))

    return await _harm_owner(scene, slow)


async def _harm_owner(scene: Scene, harm: Callable[[Node], Awaitable[None]]) -> Fault:
    owner = await scene.owner()
    from_s = trio.current_time()
    await harm(owner)
    return Fault([*scene.other(owner).witnesses], from_s, trio.current_time())


async def kill_redis(scene: Scene, chance: random.Random) -> Fault:
    """The primary is killed, and is back, empty, after a while."""
    await trio.to_thread.run_sync(scene.primary.kill)
    await trio.sleep(chance.uniform(*LONG_S))
    await trio.to_thread.run_sync(scene.primary.start)
    return _over(scene)


async def freeze_redis(scene: Scene, chance: random.Random) -> Fault:
    """The primary stands still for a while."""
    await trio.to_thread.run_sync(scene.primary.pause)
    try:
        await trio.sleep(chance.uniform(*LONG_S))
    finally:
        scene.primary.resume()
    return _over(scene)


async def flush_redis(scene: Scene, chance: random.Random) -> Fault:
    """Redis loses everything."""
    await trio.to_thread.run_sync(scene.primary.flush)
    return _over(scene)


async def fail_over(scene: Scene, chance: random.Random) -> Fault:
    """The primary is killed, its replica takes over after a while, and the one before follows it."""
    before, after = scene.servers
    await trio.to_thread.run_sync(before[0].kill)
    await trio.sleep(chance.uniform(*LONG_S))
    with after[0].client as client:
        client.replicaof("NO", "ONE")
    after[1][:] = list(after[1][:2])
    fault = _over(scene)
    before[1][:] = [*before[1][:2], "--replicaof", "127.0.0.1", str(after[0].port)]
    await trio.to_thread.run_sync(before[0].start)
    await trio.to_thread.run_sync(follow, after, before)
    scene.servers.reverse()
    return fault


def _over(scene: Scene) -> Fault:
    now_s = trio.current_time()
    return Fault(scene.present, now_s, now_s)


KINDS: Final[dict[str, Callable[[Scene, random.Random], Awaitable[Fault]]]] = {
    "owner killed": kill_owner,
    "owner frozen": freeze_owner,
    "owner cut off": cut_owner_off,
    "owner slow": slow_owner,
    "owner replaced": replace_owner,
    "Redis killed": kill_redis,
    "Redis frozen": freeze_redis,
    "Redis flushed": flush_redis,
    "Redis failed over": fail_over,
}
