"""PeerPages: what one worker asks all others, so that the gateway's pages tell of all of them (SPEC 5.4, 9).

Readiness asks whether each answers. Metrics are written by each worker into a socket that comes with the question; they
are put together here, each with the label `worker`.

Overload: a question that cannot be sent at once counts as not answered; at most `WRITERS` answers are written at once.
Worker frozen or starting: not answered; the others' answers are used after `ANSWER_S`. Crash of a rendering: it is
logged, and the same as no answer. Shutdown: cancelled.
"""

import logging
import socket
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Final

import trio

from omnisonic.actors.workers.channels import Channels
from omnisonic.actors.workers.packets import AskMetrics, Ping, Pong
from omnisonic.actors.workers.place import WorkerPlace
from omnisonic.errors import Unavailable

ANSWER_S: Final = 2.0
WRITERS: Final = 4
UP: Final = "omnisonic_worker_up"
"""The metric that says of each worker whether it has answered."""
_UP_HEAD: Final = f"# HELP {UP} Whether this worker of the gateway has answered.\n# TYPE {UP} gauge\n"

_log = logging.getLogger(__name__)


class PeerPages:
    """The questions of one worker to the others, and its answers to theirs. Belongs to the gateway's loop.

    `render` makes this worker's metrics, on a thread; None: there are none.
    """

    def __init__(self, place: WorkerPlace, channels: Channels, render: Callable[[], bytes] | None) -> None:
        self._place = place
        self._channels = channels
        self._render = render
        self._ping = 0
        self._missing: set[int] = set()
        self._ponged = trio.Event()
        self._nursery: trio.Nursery | None = None
        self._writers = 0

    # Readiness

    async def check(self) -> None:
        """Return when all other workers have answered. Errors: `Unavailable` when one cannot be asked."""
        self._ping += 1
        self._ponged = trio.Event()
        self._missing = set(self._place.others)
        for index in self._place.others:
            if not self._channels.try_send(index, Ping(self._place.index, self._ping)):
                raise Unavailable(f"Worker {index + 1} takes no packets.")
        await self._ponged.wait()

    def on_ping(self, packet: Ping) -> None:
        """Another worker asks."""
        self._channels.try_send(packet.sender, Pong(self._place.index, packet.number))

    def on_pong(self, packet: Pong) -> None:
        """Another worker has answered."""
        if packet.number == self._ping:
            self._missing.discard(packet.sender)
            if not self._missing:
                self._ponged.set()

    # Metrics

    async def run(self, task_status: trio.TaskStatus[None]) -> None:
        """Write metrics for other workers, until cancelled."""
        self._writers = 0
        async with trio.open_nursery() as self._nursery:
            task_status.started()
            await trio.sleep_forever()

    def on_ask_metrics(self, sock: socket.socket | None) -> None:
        """Another worker asks for our metrics."""
        if sock is None:
            return
        if self._nursery is None or self._render is None or self._writers >= WRITERS:
            sock.close()
            return
        self._writers += 1
        self._nursery.start_soon(self._write_metrics, sock, self._render)

    async def _write_metrics(self, sock: socket.socket, render: Callable[[], bytes]) -> None:
        try:
            async with trio.SocketStream(trio.socket.from_stdlib_socket(sock)) as stream:
                with trio.move_on_after(ANSWER_S), suppress(trio.BrokenResourceError):
                    await stream.send_all(await trio.to_thread.run_sync(render, abandon_on_cancel=True))
        except Exception as crash:  # noqa: BLE001 - what is measured may raise anything, and must not end the gateway
            _log.error("metrics.failed", exc_info=crash)
        finally:
            self._writers -= 1

    def renderer(self) -> Callable[[], bytes] | None:
        """What renders the metrics of all workers, on a thread of `trio.to_thread`; None: there are none."""
        return None if self._render is None else self._render_all

    def _render_all(self) -> bytes:
        assert self._render is not None
        own = self._render()
        texts = trio.from_thread.run(self._collect)
        return merge_metrics(self._place.count, {self._place.index: own, **texts})

    async def _collect(self) -> dict[int, bytes]:
        """The metrics of the other workers, of those that answer in time."""
        texts: dict[int, bytes] = {}
        async with trio.open_nursery() as nursery:
            for index in self._place.others:
                nursery.start_soon(self._ask_metrics, index, texts)
        return texts

    async def _ask_metrics(self, index: int, texts: dict[int, bytes]) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            is_sent = self._channels.try_send(index, AskMetrics(self._place.index), theirs)
        async with trio.SocketStream(trio.socket.from_stdlib_socket(ours)) as stream:
            text = bytearray()
            with trio.move_on_after(ANSWER_S if is_sent else 0), suppress(trio.BrokenResourceError):
                async for chunk in stream:
                    text += chunk
                if text:
                    texts[index] = bytes(text)


def merge_metrics(count: int, texts: dict[int, bytes]) -> bytes:
    """One text of metrics out of those of the workers, in Prometheus' format; each sample has the label `worker`."""
    heads: dict[str, list[str]] = {}
    samples: dict[str, list[str]] = {}
    for index, text in sorted(texts.items()):
        family, is_new = "", False
        for line in text.decode().splitlines():
            if line.startswith("# HELP "):
                family = line.split(" ", 3)[2]
                is_new = family not in heads
                heads.setdefault(family, [line])
            elif line.startswith("#"):
                if is_new:
                    heads[family].append(line)
            elif line:
                samples.setdefault(family, []).append(_label(line, index + 1))
    parts = (_family(heads[family], samples.get(family, ())) for family in heads)
    ups = "".join(f'{UP}{{worker="{index + 1}"}} {float(index in texts)}\n' for index in range(count))
    return ("".join(parts) + _UP_HEAD + ups).encode()


def _family(head: Iterable[str], samples: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in (*head, *samples))


def _label(sample: str, worker: int) -> str:
    """A sample with the label of its worker."""
    brace, blank = sample.find("{"), sample.find(" ")
    if 0 <= brace < blank:
        rest = sample[brace + 1 :]
        return f'{sample[:brace]}{{worker="{worker}"{"" if rest.startswith("}") else ","}{rest}'
    return f'{sample[:blank]}{{worker="{worker}"}}{sample[blank:]}'
