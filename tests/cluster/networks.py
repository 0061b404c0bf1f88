"""Gateways in networks of their own (Linux network namespaces), each of which can be cut off from the Valkey."""

import contextlib
import functools
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

NUMBER: Final = os.getpid() % 100_000
"""Tells apart what two runs of the tests make on one machine."""


@dataclass(frozen=True)
class Network:
    """One network: a namespace, with one cable to the Valkey and one to the members, who are outside.

    Attributes:
        name: The namespace.
        store_address: Where the Valkey is, as seen from inside.
        gateway_address: Where members reach what runs inside.
    """

    name: str
    cable: str
    store_address: str
    gateway_address: str

    def inside(self, *command: str) -> list[str]:
        """This command, run inside."""
        return ["ip", "netns", "exec", self.name, *command]

    def cut(self) -> None:
        """Pull out the cable to the Valkey: what is sent arrives nowhere, and nobody is told."""
        _ip("link", "set", self.cable, "down")

    def mend(self) -> None:
        """Put it in again."""
        _ip("link", "set", self.cable, "up")


@functools.cache
def missing() -> str | None:
    """What this machine lacks for networks; None when nothing."""
    if shutil.which("ip") is None:
        return "there is no `ip` on this machine"
    try:
        with networks(1):
            return None
    except subprocess.CalledProcessError:
        return "this user may make no network namespaces (CAP_NET_ADMIN, CAP_SYS_ADMIN)"


@contextlib.contextmanager
def networks(count: int) -> Iterator[list[Network]]:
    """So many networks, which are gone with the block. Errors: `CalledProcessError` when this user may make none."""
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(_network(number)) for number in range(count)]


@contextlib.contextmanager
def _network(number: int) -> Iterator[Network]:
    name = f"omnisonic-{NUMBER}-{number}"
    block = f"10.{200 + NUMBER % 50}"
    to_store, to_members = 2 * number, 2 * number + 1
    with contextlib.ExitStack() as stack:
        _ip("netns", "add", name)
        stack.callback(_ip, "netns", "delete", name)
        _ip("-n", name, "link", "set", "lo", "up")
        for subnet, inside in ((to_store, "store"), (to_members, "members")):
            outside = f"o{NUMBER}-{subnet}"
            _ip("link", "add", outside, "type", "veth", "peer", "name", inside, "netns", name)
            stack.callback(_ip, "link", "delete", outside)
            _ip("address", "add", f"{block}.{subnet}.1/24", "dev", outside)
            _ip("-n", name, "address", "add", f"{block}.{subnet}.2/24", "dev", inside)
            _ip("link", "set", outside, "up")
            _ip("-n", name, "link", "set", inside, "up")
        yield Network(name, f"o{NUMBER}-{to_store}", f"{block}.{to_store}.1", f"{block}.{to_members}.2")


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)
