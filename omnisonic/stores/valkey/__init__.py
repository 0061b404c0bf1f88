"""The client of Valkey or Redis servers (7 or later): commands with a deadline, errors as sentences.

What is at the URL shows by itself: one server, the primary among several that the URL names, or a cluster. Presence,
bus, guard and room memory use it, each with its own instance. It belongs to the asyncio loop that first uses it.

Overload: a command waits for one of the connections, and that wait counts against its deadline. Crash of the server, or
silence: `Unavailable`, at once or when the deadline passes; nothing is sent again, but to the server of a cluster that
another one names. The next call connects anew. A command that is given up takes its connection with it, so that no
later command can read its answer. In a cluster, commands to the servers that live go on while one is away, and those to
that one once a replica is promoted. Shutdown: `aclose`.
"""

import asyncio
import math
from collections.abc import Sequence
from typing import Any, Final

from redis.exceptions import (
    AskError,
    ClusterCrossSlotError,
    ClusterDownError,
    MovedError,
    ReadOnlyError,
    ResponseError,
    TryAgainError,
)

from omnisonic.errors import Unavailable
from omnisonic.stores.valkey.errors import FAILURES, unavailable
from omnisonic.stores.valkey.server import (
    CONNECT_TIMEOUT_S,
    Address,
    Connection,
    OneServer,
    Word,
    Words,
)
from omnisonic.stores.valkey.servers import Servers, is_replica
from omnisonic.stores.valkey.slots import bucket_of, slot_of, slot_of_key
from omnisonic.stores.valkey.url import read_url

__all__ = (
    "CONNECTIONS",
    "CONNECT_TIMEOUT_S",
    "FAILURES",
    "TIMEOUT_S",
    "Connection",
    "ValkeyClient",
    "Word",
    "Words",
    "bucket_of",
)

TIMEOUT_S: Final = 0.25
"""The deadline of a command of the presence mirror (RELIABILITY 2)."""
CONNECTIONS: Final = 32
ROLE_EVERY_S: Final = 1.0
MOST_REDIRECTS: Final = 8
"""A command that is sent on more often than this is given up: the servers of the cluster disagree."""
REDIRECT_PAUSE_S: Final = 0.01
"""From the second time on, each time longer by this: they may be about to agree."""


class ValkeyClient:
    """Commands to what is at `url` (`redis://`, `rediss://` or `unix://`), each with a deadline of `timeout_s`.

    At most `connections` to each server are open at once. Errors: `InvalidInput` (`invalid_redis_url`) when `url`
    cannot be used. No message ever holds the URL's secret.
    """

    def __init__(self, url: str, *, timeout_s: float = TIMEOUT_S, connections: int = CONNECTIONS) -> None:
        self.timeout_s = timeout_s
        seeds, options = read_url(url)
        self.name = ", ".join(map(str, seeds))
        self._asked_role_at_s = -math.inf
        self._servers = Servers(
            seeds, lambda address: OneServer(address, options, connections=connections), longest_s=timeout_s
        )

    @property
    def renewals(self) -> int:
        """How often a server has turned out to be not what it was. Who has connections of their own opens others."""
        return self._servers.renewals

    async def is_cluster(self) -> bool:
        """Whether the keys are divided among servers: then commands need a hash tag. Errors: `Unavailable`."""
        await self._find()
        return self._servers.is_cluster

    async def count_servers(self) -> int:
        """How many servers have keys; each of them has answered. Errors: `Unavailable`, of the first that has not."""
        await self._find()
        servers = self._servers.all()
        deadline_s = asyncio.get_running_loop().time() + self.timeout_s
        told = await _together([self._run(server, [("PING",)], deadline_s) for server in servers])
        for server, (answer,) in zip(servers, told, strict=True):
            if isinstance(error := self._outcome(server, answer), Unavailable):
                raise error
        return len(servers)

    async def command(self, *words: Word, **options: Any) -> Any:
        """Send one command and return its answer as the server gives it. Errors: `Unavailable`.

        In a cluster it goes to the server that has its first key, and all its keys must be in one slot.
        """
        server = self._servers.alone
        if server is None:
            await self._find()
            server = self._servers.alone
            if server is None:
                (answer,) = await self._spread([words])
                if isinstance(answer, Unavailable):
                    raise answer
                return answer
        try:
            async with asyncio.timeout(self.timeout_s), server.slots:
                return await server.execute(*words, **options)
        except FAILURES as failure:
            self._note(server, failure)
            raise unavailable(failure, str(server.address)) from failure

    async def commands(self, commands: Sequence[Words]) -> list[Any]:
        """Send many commands together, in one round trip to each server, and return their answers in order.

        Errors: `Unavailable` when one fails; others may have been done.
        """
        answers = await self.commands_each(commands)
        for answer in answers:
            if isinstance(answer, Unavailable):
                raise answer
        return answers

    async def commands_each(self, commands: Sequence[Words]) -> list[Any]:
        """As `commands`, but an `Unavailable` is in the place of the answer that it prevented, and none is raised."""
        if not commands:
            return []
        try:
            await self._find()
        except Unavailable as error:
            return [error] * len(commands)
        server = self._servers.alone
        if server is None:
            return await self._spread(commands)
        answers = await self._run(server, commands, asyncio.get_running_loop().time() + self.timeout_s)
        return [self._outcome(server, answer) for answer in answers]

    async def command_at_primary(self, *words: Word) -> Any:
        """As `command`, but a primary that became a replica refuses it, as it refuses commands that write.

        Otherwise what is published there would reach nobody who is at the new primary, and no error would say so. The
        server is asked every `ROLE_EVERY_S` at most, in the same round trip. After a refusal `renewals` has grown, and
        the next call looks for the primary.
        """
        server = self._server_to_ask()
        if server is None:
            return await self.command(*words)
        deadline_s = asyncio.get_running_loop().time() + self.timeout_s
        role, answer = await self._run(server, [("ROLE",), words], deadline_s)
        if self._learn_role(server, role):
            raise unavailable(ReadOnlyError(), str(server.address))
        answer = self._outcome(server, answer)
        if isinstance(answer, Unavailable):
            raise answer
        return answer

    async def watch_role(self) -> None:
        """Ask the server that is alone, every `ROLE_EVERY_S` at most, whether it is the primary as before.

        When it became a replica, `renewals` grows, and the next call looks for the primary.
        """
        server = self._server_to_ask()
        if server is not None:
            (role,) = await self._run(server, [("ROLE",)], asyncio.get_running_loop().time() + self.timeout_s)
            self._learn_role(server, role)

    async def connections(self, names: Sequence[str], *, is_again: bool = False) -> list[tuple[Connection, list[str]]]:
        """New connections, not yet open, each with those of `names` (keys or channels) that its server has.

        They are outside of the pool, and the caller closes them. `is_again`: the last ones failed. Errors: `FAILURES`.
        """
        await (self._servers.find_again() if is_again else self._servers.find())
        if self._servers.alone is not None:
            return [(self._servers.alone.new_connection(), list(names))]
        places: dict[OneServer, list[str]] = {}
        for name in names:
            places.setdefault(self._servers.at(slot_of_key(name)), []).append(name)
        return [(server.new_connection(), placed) for server, placed in places.items()]

    def unavailable(self, failure: Exception) -> Unavailable:
        """The error to raise for `failure`, one of `FAILURES`: a sentence with the address and without the secret."""
        return unavailable(failure, self.name)

    async def aclose(self) -> None:
        """Close all connections. Safe to call twice."""
        await self._servers.close()

    def _server_to_ask(self) -> OneServer | None:
        """The server that is alone, if it has to be asked for its role now."""
        now_s = asyncio.get_running_loop().time()
        if self._servers.alone is None or now_s < self._asked_role_at_s + ROLE_EVERY_S:
            return None
        self._asked_role_at_s = now_s
        return self._servers.alone

    def _learn_role(self, server: OneServer, role: Any) -> bool:
        """Note the answer to ROLE. Whether the server was the primary and is a replica now."""
        if server is not self._servers.alone or isinstance(role, FAILURES):
            return False
        is_demoted = self._servers.is_primary and is_replica(role)
        if is_demoted:
            self._servers.renew(server)
        self._servers.is_primary = not is_replica(role)
        return is_demoted

    async def _find(self) -> None:
        """Return once it is known what is there. Errors: `Unavailable`."""
        if self._servers.alone is None and not self._servers.is_cluster:
            try:
                async with asyncio.timeout(self.timeout_s):
                    await self._servers.find()
            except FAILURES as failure:
                raise self.unavailable(failure) from failure

    async def _spread(self, commands: Sequence[Words]) -> list[Any]:
        """Send `commands` to the servers of the cluster that have their keys, and on to where these send them."""
        deadline_s = asyncio.get_running_loop().time() + self.timeout_s
        answers: list[Any] = [None] * len(commands)
        slots = [slot_of(words) for words in commands]
        asking: dict[int, Address] = {}
        waiting = list(range(len(commands)))
        for attempt in range(MOST_REDIRECTS + 1):
            batches: dict[tuple[OneServer, bool], list[int]] = {}
            for at in waiting:
                try:
                    sent_to = asking.get(at)
                    server = self._servers.at(slots[at]) if sent_to is None else self._servers.known(sent_to)
                    batches.setdefault((server, sent_to is not None), []).append(at)
                except FAILURES as failure:
                    answers[at] = self.unavailable(failure)
            told = await _together(
                [
                    self._run(server, [commands[at] for at in batch], deadline_s, is_asking=is_asking)
                    for (server, is_asking), batch in batches.items()
                ]
            )
            waiting, asking = [], {}
            for ((server, _), batch), batch_answers in zip(batches.items(), told, strict=True):
                for at, answer in zip(batch, batch_answers, strict=True):
                    if attempt < MOST_REDIRECTS and isinstance(answer, AskError | TryAgainError):
                        waiting.append(at)
                        self._redirect(server, answer, at, asking)
                    else:
                        answers[at] = self._outcome(server, answer)
            if not waiting:
                break
            left_s = deadline_s - asyncio.get_running_loop().time()
            await asyncio.sleep(max(0.0, min(attempt * REDIRECT_PAUSE_S, left_s)))
        return answers

    def _redirect(
        self, server: OneServer, answer: AskError | TryAgainError, at: int, asking: dict[int, Address]
    ) -> None:
        """Note where the command `at` is to go next: to the server that `answer` names, or to the same."""
        if isinstance(answer, AskError):
            address = Address(answer.host or server.address.host, answer.port)
            if isinstance(answer, MovedError):
                self._servers.move(answer.slot_id, address)
            else:
                asking[at] = address

    async def _run(
        self, server: OneServer, commands: Sequence[Words], deadline_s: float, *, is_asking: bool = False
    ) -> list[Any]:
        """The answers of one server; the failure in place of each when it gives none."""
        try:
            async with asyncio.timeout_at(deadline_s):
                return await server.run(commands, is_asking=is_asking)
        except FAILURES as failure:
            return [failure] * len(commands)

    def _outcome(self, server: OneServer, answer: Any) -> Any:
        """The answer, or `Unavailable` in place of a failure."""
        if not isinstance(answer, FAILURES):
            return answer
        self._note(server, answer)
        error = unavailable(answer, str(server.address))
        error.__cause__ = answer
        return error

    def _note(self, server: OneServer, failure: Exception) -> None:
        """Draw conclusions from `failure`: whether to look for another server, or at this one again."""
        if server is self._servers.alone and isinstance(
            failure, ReadOnlyError | AskError | ClusterDownError | ClusterCrossSlotError
        ):
            self._servers.renew(server)
        elif not isinstance(failure, ResponseError) or isinstance(failure, ClusterDownError):
            self._servers.doubt(server)


async def _together(runs: Sequence[Any]) -> list[list[Any]]:
    """The outcomes of all `runs`, which never raise."""
    return [await runs[0]] if len(runs) == 1 else list(await asyncio.gather(*runs))
