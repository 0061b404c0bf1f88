"""The check of `omnisonic doctor` for several gateways: who has a lease, their clocks and versions, and their links.

It reads the leases from Redis, and asks the gateway of this machine for its links, with the operator's token if there
is one. It changes nothing.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Final
from urllib.parse import urlsplit

from omnisonic.cli.check_failed import CheckFailed, CheckWarning
from omnisonic.cli.rooms.gateway_urls import find_gateways, local_gateway
from omnisonic.cli.rooms.inspect_client import GatewayAddress, NotInspected
from omnisonic.cli.rooms.queries import ask_gateways, ask_once
from omnisonic.cli.service_urls import find_redis_url
from omnisonic.errors import BadSettings, Unavailable
from omnisonic.settings.settings import Settings
from omnisonic.stores.room_memory import LEASE_S
from omnisonic.stores.room_memory.valkey import ValkeyRoomMemory
from omnisonic.stores.valkey import ValkeyClient
from omnisonic.wire import inspection
from omnisonic.wire.gateway_info import GatewayInfo, read_info
from omnisonic.wire.inspection_lines import ClusterLine

STEP_S: Final = 2.0
"""How long each step with Redis may take here."""
CLOCK_S: Final = 0.5
"""So much the clock of this machine may differ from that of Redis. More is heard when a room moves."""
CLOCK_ELSEWHERE_S: Final = LEASE_S + 2.0
"""The same for another gateway, of which only the time of its last renewal is known."""
NAMES: Final = 10
"""So many gateways are named in a sentence."""


@dataclass(frozen=True, slots=True)
class Problem:
    """What may be wrong, and how to mend it."""

    sentence: str
    mend: str


@dataclass(frozen=True, slots=True)
class _Leases:
    """The runs that have a lease, what each tells of itself, the time of Redis, and by how much ours is ahead."""

    infos: dict[str, GatewayInfo | None]
    redis_s: float
    ahead_s: float

    def names(self) -> list[str]:
        """The names of the gateways, in order; a gateway that has two runs is there twice."""
        return sorted(run.rpartition(":")[0] or run for run in self.infos)


async def check_cluster(settings: Settings) -> str:
    """Several gateways know each other, or there is one."""
    url = find_redis_url(settings)
    if settings.gateway_cluster == "off":
        return await _check_alone(url)
    if url is None:
        raise CheckFailed(
            "GATEWAY_CLUSTER=on, and REDIS_URL is not set: gateways find each other there.",
            "Set REDIS_URL to a Redis that all gateways can reach.",
        )
    leases = await _read_leases(url)
    lines, unknown = await _ask_links(settings)
    for line in lines:
        if not line.has_lease:
            raise CheckFailed(
                f"{line.gateway} has no lease: nothing is acknowledged in its rooms.",
                "See the check of redis. Its log says more (lease.stale, lease.lost).",
            )
    problems = [
        *_check_address(settings),
        *_check_names(leases),
        *_check_versions(leases),
        *_check_clocks(leases),
        *find_missing_links(lines),
    ]
    if problems:
        mends = dict.fromkeys(problem.mend for problem in problems)
        raise CheckWarning(" ".join(problem.sentence for problem in problems), " ".join(mends))
    names = leases.names()
    if not names:
        return f"On, and no gateway has a lease now. {unknown}".rstrip()
    verb = "gateway has a lease" if len(names) == 1 else "gateways have leases"
    return f"{len(names)} {verb}: {_enumerate(names)}. {_describe_links(lines) or unknown}".rstrip()


async def _check_alone(url: str | None) -> str:
    """No other gateway shares the rooms of this one."""
    names: list[str] = []
    if url is not None:
        with suppress(Unavailable):  # the check of redis says so
            names = (await _read_leases(url)).names()
    if names:
        raise CheckWarning(
            f"GATEWAY_CLUSTER is off here, and gateways at this Redis share their rooms: {_enumerate(names)}.",
            "Set GATEWAY_CLUSTER=on for all gateways at this Redis, or take another Redis for this one.",
        )
    return "One gateway has all rooms (GATEWAY_CLUSTER=off)."


async def _read_leases(url: str) -> _Leases:
    """Errors: `Unavailable`."""
    client, memory = ValkeyClient(url, timeout_s=STEP_S), ValkeyRoomMemory(url, timeout_s=STEP_S)
    try:
        runs = await memory.gateways()
        began_s = time.time()
        seconds, microseconds = await client.command("TIME")
        ended_s = time.time()
    finally:
        for each in (client, memory):
            await each.aclose()
    redis_s = int(seconds) + int(microseconds) / 1e6
    ahead_s = (began_s + ended_s) / 2 - redis_s
    is_known = abs(ahead_s) > (ended_s - began_s) / 2
    return _Leases({run: read_info(info) for run, info in runs.items()}, redis_s, ahead_s if is_known else 0.0)


def _check_address(settings: Settings) -> Iterable[Problem]:
    if settings.redis_url is None:
        yield Problem(
            "REDIS_URL is not set, so this gateway uses the Valkey of `omnisonic serve`, which other machines do not"
            " reach.",
            "Set REDIS_URL to a Redis that all gateways can reach.",
        )


def _check_names(leases: _Leases) -> Iterable[Problem]:
    for name, count in Counter(leases.names()).items():
        if count > 1:
            yield Problem(
                f"{count} gateways are called {name}, or it was started again a moment ago.",
                "Give each gateway its own GATEWAY_ID, or its own port.",
            )


def _check_versions(leases: _Leases) -> Iterable[Problem]:
    versions = sorted({info.version for info in leases.infos.values() if info is not None})
    if len(versions) > 1:
        yield Problem(f"The gateways are of the versions {' and '.join(versions)}.", "Run the same version everywhere.")


def _check_clocks(leases: _Leases) -> Iterable[Problem]:
    mend = "Let the clocks of all machines be set by NTP."
    if abs(leases.ahead_s) > CLOCK_S:
        yield Problem(f"The clock of this machine is {_compare(leases.ahead_s)} that of Redis.", mend)
    for info in leases.infos.values():
        if info is not None and info.now_ms is not None:
            ahead_s = info.now_ms / 1000 - leases.redis_s
            if abs(ahead_s) > CLOCK_ELSEWHERE_S:
                yield Problem(f"The clock of {info.name} is {_compare(ahead_s)} that of Redis.", mend)


def _compare(ahead_s: float) -> str:
    return f"{abs(ahead_s):.1f} s {'ahead of' if ahead_s > 0 else 'behind'}"


def find_missing_links(lines: Iterable[ClusterLine]) -> Iterable[Problem]:
    """What is wrong with the links of these gateways: those that are needed, and are not open."""
    for line in lines:
        missing = [f"{peer.peer} ({peer.state})" for peer in line.peers if peer.state in ("silent", "opening")]
        if missing:
            yield Problem(
                f"{line.gateway} needs a link with {_enumerate(missing)}, and does not hear it.",
                "See that it runs, with the same REDIS_URL. If it was stopped just now, run this again.",
            )


async def _ask_links(settings: Settings) -> tuple[Sequence[ClusterLine], str]:
    """How the gateway of this machine is in its cluster; nothing, and a sentence, when that cannot be known."""
    try:
        (place,) = find_gateways(settings, [], None)
    except BadSettings:
        return (), f"The links of {_own_name(settings)} are not known without its ADMIN_TOKEN."
    outcome = await asyncio.to_thread(_ask_tree, place)
    if isinstance(outcome, NotInspected):
        return (), f"The links of {_own_name(settings)} are not known: it was not reached."
    return [line for answer in outcome if isinstance(answer, inspection.Tree) for line in answer.cluster], ""


def _ask_tree(place: GatewayAddress) -> list[inspection.Answer] | NotInspected:
    ((_, outcome),) = ask_gateways([place], partial(ask_once, inspection.AskTree("1")))
    return outcome


def _own_name(settings: Settings) -> str:
    try:
        return f"{settings.gateway_id}:{urlsplit(local_gateway(settings)).port}"
    except BadSettings:
        return "the gateway on this machine"


def _describe_links(lines: Sequence[ClusterLine]) -> str:
    sentences = []
    for line in lines:
        count = sum(peer.state == "open" for peer in line.peers)
        sentences.append(f"{line.gateway} has {count} open link{'' if count == 1 else 's'}.")
    return " ".join(sentences)


def _enumerate(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMES} more" if len(names) > NAMES else ""
    return f"{', '.join(names[:NAMES])}{more}"
