"""The lease of this gateway: while it is valid, no other gateway can own this one's rooms (SPEC 5.5, DESIGN 8).

One lease holds all rooms of one *run* of a gateway. The store keeps it for `LEASE_S` after a renewal has arrived. This
side counts on it for `VALID_S` after a renewal was *sent*, so it stops before anybody else may begin. A run whose lease
has ended never lives again: the gateway takes another name, and what it held is not its own any more.

The time is one that goes on while the machine is suspended (`omnisonic.actors.runtime.clock`). A process that stood
still may run a room before a timer: the scheduler calls `check` before that.

Overload and store slow: a renewal is given up at the store's deadline and tried again after `RETRY_S`; one failure in a
row does not end the validity. Store unavailable: stale after `VALID_S`, and valid again with the first renewal, when
the lease lives. Crash: restarted by its supervisor, the same. Shutdown: `end`, so that others need not wait.
"""

import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Final, Protocol

import trio

from omnisonic.actors.cluster.owner_log import note_renewed
from omnisonic.actors.runtime.clock import boot_time_s
from omnisonic.errors import Unavailable
from omnisonic.stores.room_memory import LEASE_S, VALID_S, Renewal

RENEW_S: Final = 1.0
RETRY_S: Final = 0.25
END_S: Final = 1.0

_log = logging.getLogger(__name__)


class LeaseStore(Protocol):
    """The part of a room memory store that keeps leases. Errors: `Unavailable`."""

    async def renew(self, owner: str, info: bytes = b"", *, begins: bool = False, ttl_s: float = LEASE_S) -> Renewal:
        """Renew the lease of `owner`, or create that of a new one (`begins`). Not alive: it ended, for good."""
        ...

    async def end(self, owner: str) -> None:
        """End the lease now."""
        ...


class LeaseEvents(Protocol):
    """What a lease calls. Must not wait."""

    def on_stale(self) -> None:
        """Rooms must not act as their owner now. The lease may still live."""
        ...

    def on_renewed(self) -> None:
        """The lease is valid, first or again, with the run as it was before: what it held, it holds."""
        ...

    def on_dead(self) -> None:
        """The lease is valid with another `run`. What the run before held is not held any more."""
        ...


class Lease:
    """The lease of this gateway. It is stale until `run_renewals` has begun it.

    Attributes:
        run: The name of the current run, from `new_run`. A name is never used again after a failure.
    """

    def __init__(
        self,
        store: LeaseStore,
        events: LeaseEvents,
        new_run: Callable[[], str],
        info: Callable[[], bytes] = bytes,
        now_s: Callable[[], float] = boot_time_s,
    ) -> None:
        self.run = new_run()
        self._store = store
        self._events = events
        self._new_run = new_run
        self._info = info
        self._now_s = now_s
        self._is_begun = False
        """The store has said that the lease of `run` lives."""
        self._is_told_valid = False
        self._is_new_run = False
        self._is_ending = False
        self._valid_until_s = self._settled_at_s = now_s()
        self._changed = trio.Event()

    @property
    def is_valid(self) -> bool:
        """Whether no other gateway can own a room of this one now."""
        return self._is_begun and self._now_s() < self._valid_until_s

    @property
    def settled_in_s(self) -> float:
        """In how many seconds a room may be claimed that this run did not hold; 0 for now."""
        return max(0.0, self._settled_at_s - self._now_s())

    def check(self, now_s: float | None = None) -> None:
        """Find out whether the lease has become stale, by the clock of the lease, and call `on_stale` if so."""
        if self._is_told_valid and (self._now_s() if now_s is None else now_s) >= self._valid_until_s:
            self._become_stale()

    async def run_renewals(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Begin and renew the lease until cancelled, or until it has ended. In service after the first try."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._watch_validity)
            is_in_service = False
            while not self._is_ending:
                sent_at_s = self._now_s()
                pause_s = await self._renew(sent_at_s)
                if not is_in_service:
                    is_in_service = True
                    task_status.started()
                await trio.sleep(max(0.0, pause_s - (self._now_s() - sent_at_s)))
            nursery.cancel_scope.cancel()

    async def end(self) -> None:
        """End the lease, `END_S` at most, and call nothing any more: others may claim what it still holds."""
        self._is_ending, self._is_begun, self._is_told_valid = True, False, False
        with trio.move_on_after(END_S):
            try:
                await self._store.end(self.run)
            except Unavailable as problem:
                _log.warning("lease.not_ended", extra={"problem": problem.message})

    async def _renew(self, sent_at_s: float) -> float:
        """Renew or begin once. Returns how long to wait after `sent_at_s` before the next time."""
        run, begins = self.run, not self._is_begun
        try:
            renewal = await self._store.renew(run, self._info(), begins=begins, ttl_s=LEASE_S)
        except Unavailable as problem:
            _log.debug("lease.not_renewed", extra={"problem": problem.message})
            if begins:
                self._take_new_run()  # the store may have begun it, and it may have ended since
            return RETRY_S + self._now_s() - sent_at_s
        if self._is_ending:
            return 0.0
        if not renewal.is_alive:
            return await self._lose(run, begins=begins)
        self._is_begun = True
        self._valid_until_s = sent_at_s + VALID_S
        note_renewed(run, self._valid_until_s)
        self._settled_at_s = self._now_s() + renewal.settled_in_s
        if self.is_valid and not self._is_told_valid:
            self._become_valid()
        return RENEW_S

    async def _lose(self, run: str, *, begins: bool) -> float:
        """The run was declared dead. Returns how long to wait for the next one."""
        _log.warning("lease.lost", extra={"run": run})
        self._is_begun = False
        if self._is_told_valid:
            self._become_stale()
        self._take_new_run()
        if begins:
            return RETRY_S
        with suppress(Unavailable):  # a store that may have lost claims still has the lease, and others wait for it
            await self._store.end(run)
        return 0.0

    def _take_new_run(self) -> None:
        self.run = self._new_run()
        self._is_new_run = True

    def _become_valid(self) -> None:
        self._is_told_valid = True
        self._changed.set()
        is_new_run, self._is_new_run = self._is_new_run, False
        _log.info("lease.valid", extra={"run": self.run})
        if is_new_run:
            self._events.on_dead()
        else:
            self._events.on_renewed()

    def _become_stale(self) -> None:
        self._is_told_valid = False
        _log.warning("lease.stale", extra={"run": self.run})
        self._events.on_stale()

    async def _watch_validity(self) -> None:
        """Call `on_stale` when the time has come and nothing else runs."""
        while True:
            self._changed = trio.Event()
            if not self._is_told_valid:
                await self._changed.wait()
            while self._is_told_valid:
                await trio.sleep(max(0.0, self._valid_until_s - self._now_s()))
                self.check()
