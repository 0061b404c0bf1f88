"""Readiness: `GET /readyz` on the gateway's port, answered by the loop that runs the rooms (SPEC 5.4).

It owns the connections that wait for an answer. The check `loop` is a turn of the dispatcher, which a blocked gateway
does not give. The other checks are calls to what the gateway depends on, each with the timeout `CHECK_S`.

Overload: one probe runs at a time and answers everyone; its result is kept for `FRESH_S`. Beyond `ASKERS` waiting
connections the next ones get 503. Crash of a check: that check has failed, and nothing else. Shutdown: waiting
connections get 503.
"""

import logging
from collections.abc import Awaitable, Callable
from functools import partial
from http import HTTPStatus
from typing import Final, TypeAlias

import trio

from omnisonic.actors.connections.connection import Connection
from omnisonic.actors.runtime.scheduler import Dispatcher
from omnisonic.errors import OmnisonicError, Unavailable
from omnisonic.wire.handshake import Refused, http_response

PATH: Final = "/readyz"
CHECK_S: Final = 1.0
FRESH_S: Final = 0.5
ASKERS: Final = 64
RETRY_AFTER_S: Final = 1
OK: Final = "ok"
_SILENT: Final = f"No answer within {CHECK_S:g} s."
_AWAY: Final = "It does not answer."
_BROKEN: Final = "It could not be checked."
_UNREACHED: Final = frozenset({_SILENT, _AWAY, _BROKEN})

Check: TypeAlias = Callable[[], Awaitable[None]]
"""Returns when the dependency works. Errors: `Unavailable`, and `NotReady`."""
Facts: TypeAlias = Callable[[], dict[str, str | int]]

_log = logging.getLogger(__name__)


class NotReady(OmnisonicError):
    """The gateway itself is not ready. The message says why to anybody who asks."""


class Readiness:
    """The readiness of one gateway. Belongs to the gateway's loop.

    Attributes:
        checks: Add to them before the gateway starts.
        facts: What the answer says beside the checks, by name. Anybody may read it.
    """

    def __init__(self, nursery: trio.Nursery, dispatcher: Dispatcher) -> None:
        self.checks: dict[str, Check] = {"loop": partial(_wait_for_turn, dispatcher)}
        self.facts: dict[str, Facts] = {}
        self._nursery = nursery
        self._waiting: set[Connection] = set()
        self._outcomes: dict[str, str] = {}
        self._fresh_until_s = 0.0
        self._is_probing = False

    def add(self, connection: Connection) -> None:
        """Answer `connection` when the probe has ended. Errors: `Refused` when too many wait."""
        if trio.current_time() < self._fresh_until_s:
            connection.send_http_answer(self._make_answer())
            return
        if len(self._waiting) >= ASKERS:
            raise Refused(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "unavailable",
                "Too many ask how this gateway is.",
                Retry_After=str(RETRY_AFTER_S),
            )
        self._waiting.add(connection)
        if not self._is_probing:
            self._is_probing = True
            self._nursery.start_soon(self._probe)

    def discard(self, connection: Connection) -> None:
        """Forget a connection that has ended, if it waits."""
        self._waiting.discard(connection)

    @trio.lowlevel.enable_ki_protection
    async def _probe(self) -> None:
        outcomes = dict.fromkeys(self.checks, _SILENT)
        try:
            with trio.move_on_after(CHECK_S):
                async with trio.open_nursery() as nursery:
                    for name, check in self.checks.items():
                        nursery.start_soon(_run_check, name, check, outcomes)
        finally:
            self._is_probing = False
        self._outcomes, self._fresh_until_s = outcomes, trio.current_time() + FRESH_S
        for connection in list(self._waiting):
            connection.send_http_answer(self._make_answer())

    def _make_answer(self) -> bytes:
        return _make_answer(self._outcomes, {name: facts() for name, facts in self.facts.items()})


@trio.lowlevel.enable_ki_protection
async def _run_check(name: str, check: Check, outcomes: dict[str, str]) -> None:
    try:
        await check()
    except NotReady as reason:
        outcomes[name] = reason.message
    except Unavailable:
        outcomes[name] = _AWAY  # its message may hold an address, and anybody may ask here
    except Exception as crash:  # noqa: BLE001 - adapters may raise anything, and must not end the gateway
        _log.error("readiness.failed", extra={"check": name}, exc_info=crash)
        outcomes[name] = _BROKEN
    else:
        outcomes[name] = OK


def _make_answer(outcomes: dict[str, str], facts: dict[str, dict[str, str | int]]) -> bytes:
    broken = {name: outcome for name, outcome in outcomes.items() if outcome != OK}
    if not broken:
        return http_response(HTTPStatus.OK, {"ok": True, "checks": outcomes, **facts})
    unreached = [name for name, outcome in broken.items() if outcome in _UNREACHED]
    reasons = [outcome for outcome in broken.values() if outcome not in _UNREACHED]
    if unreached:
        reasons.insert(0, f"{' and '.join(unreached)} cannot be reached.")
    error = f"Not ready: {' '.join(reasons)}"
    body = {"ok": False, "error": error, "code": "unavailable", "checks": outcomes, **facts}
    return http_response(HTTPStatus.SERVICE_UNAVAILABLE, body, Retry_After=str(RETRY_AFTER_S))


class _TurnProbe:
    """An actor that only waits for a turn."""

    def __init__(self) -> None:
        self.is_ready = False
        self.done = trio.Event()

    def run_turn(self) -> bool:
        self.done.set()
        return False


async def _wait_for_turn(dispatcher: Dispatcher) -> None:
    """Return after a turn of the dispatcher."""
    probe = _TurnProbe()
    dispatcher.schedule(probe)
    await probe.done.wait()
