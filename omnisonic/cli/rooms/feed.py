"""The feed of `omnisonic rooms top`: gets a view of each gateway every second, and reconnects when one is lost.

A trio task follows each gateway. `Feed` runs the tasks in a thread, for programs with another event loop. Only the last
view of each gateway is kept. It is replaced as a whole, so any thread may read it.
"""

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Final

import trio

from omnisonic.cli.rooms.inspect_client import GatewayAddress, NotInspected, Talk, inspect
from omnisonic.cli.rooms.printing import flush, print_json
from omnisonic.cli.rooms.queries import gateway_json, row_json
from omnisonic.cli.rooms.table import View, make_view, rows_of, sort_rows
from omnisonic.wire import inspection

LOOK_S: Final = 1.0
AGAIN_S: Final = 1.0
"""The delay before a reconnection."""
STOP_S: Final = 1.0


async def follow_gateway(place: GatewayAddress, put: Callable[[View], None], *, every_s: float = LOOK_S) -> None:
    """Call `put` with each new view of a gateway, until cancelled. An unreachable gateway is a view, too."""
    last = View(place.name)

    async def look(talk: Talk) -> None:
        nonlocal last
        answers: list[inspection.Answer] = []
        async for answer in talk.stream(inspection.AskRooms("1", every_s)):
            if isinstance(answer, inspection.Failed):
                raise NotInspected(answer.message)
            answers.append(answer)
            if isinstance(answer, inspection.NotAnswering):
                last = mark_stalled(last, answer)
            elif isinstance(answer, inspection.Rooms) and not answer.more:
                last = make_view(place.name, answers)
            else:
                continue
            answers = []
            put(last)

    while True:
        try:
            await inspect(place, look)
        except NotInspected as problem:
            last = View(place.name, last.lines, last.gateway, last.closed, problem=problem.message)
            put(last)
        await trio.sleep(AGAIN_S)


def mark_stalled(last: View, stall: inspection.NotAnswering) -> View:
    """The last view of a gateway that does not answer now."""
    return View(last.name, last.lines, last.gateway, last.closed, stall)


class Feed:
    """The views of several gateways, which a thread updates between `start` and `stop`."""

    def __init__(self, places: Sequence[GatewayAddress]) -> None:
        self._places = places
        self._views = {place.name: View(place.name) for place in places}
        self._token: trio.lowlevel.TrioToken | None = None
        self._scope = trio.CancelScope()
        self._thread = threading.Thread(target=self._run, name="feed", daemon=True)

    def views(self) -> list[View]:
        """The last view of each gateway."""
        return list(self._views.values())

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Stop the thread."""
        if self._token is not None:
            with suppress(trio.RunFinishedError):
                self._token.run_sync_soon(self._scope.cancel)
        self._thread.join(STOP_S)

    def _put(self, view: View) -> None:
        self._views[view.name] = view

    def _run(self) -> None:
        trio.run(self._follow)

    async def _follow(self) -> None:
        self._token = trio.lowlevel.current_trio_token()
        with self._scope:
            async with trio.open_nursery() as nursery:
                for place in self._places:
                    nursery.start_soon(follow_gateway, place, self._put)


def print_forever(places: Sequence[GatewayAddress], *, by: str, reverse: bool) -> None:
    """Print a line of JSON with all rooms every second, until Ctrl-C or a closed pipe."""
    trio.run(partial(_print_forever, places, by=by, reverse=reverse))


async def _print_forever(places: Sequence[GatewayAddress], *, by: str, reverse: bool) -> None:
    views: dict[str, View] = {}

    def put(view: View) -> None:
        views[view.name] = view

    async with trio.open_nursery() as nursery:
        for place in places:
            nursery.start_soon(follow_gateway, place, put)
        while True:
            await trio.sleep(LOOK_S)
            rows = sort_rows(rows_of(list(views.values())), by, reverse=reverse)
            print_json(
                {"gateways": [gateway_json(view) for view in views.values()], "rooms": list(map(row_json, rows))}
            )
            flush()
