"""The feed of `omnisonic rooms top`: follows gateways, a look each second, and begins again when one is lost.

Each gateway is followed by a task of trio's; `Feed` runs them in a thread, for whoever has a loop of another kind. A
view is replaced as a whole, so that it may be read from any thread. Nothing is kept but the last view of each gateway.
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
from omnisonic.cli.rooms.table import View, ordered, view_of
from omnisonic.wire import inspection as words

LOOK_S: Final = 1.0
AGAIN_S: Final = 1.0
"""A gateway that was lost is tried again so soon."""
STOP_S: Final = 1.0


async def follow(place: GatewayAddress, put: Callable[[View], None], *, every_s: float = LOOK_S) -> None:
    """Give each new view of a gateway to `put`, until cancelled. Not reaching it is part of the view."""
    last = View(place.name)

    async def look(talk: Talk) -> None:
        nonlocal last
        answers: list[words.Answer] = []
        async for answer in talk.stream(words.AskRooms("1", every_s)):
            if isinstance(answer, words.Failed):
                raise NotInspected(answer.message)
            answers.append(answer)
            if isinstance(answer, words.NotAnswering):
                last = stalled(last, answer)
            elif isinstance(answer, words.Rooms) and not answer.more:
                last = view_of(place.name, answers)
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


def stalled(last: View, stall: words.NotAnswering) -> View:
    """The last view of a gateway, which does not answer now."""
    return View(last.name, last.lines, last.gateway, last.closed, stall)


class Feed:
    """The views of several gateways, kept fresh by a thread between `start` and `stop`."""

    def __init__(self, places: Sequence[GatewayAddress]) -> None:
        self._places = places
        self._views = {place.name: View(place.name) for place in places}
        self._token: trio.lowlevel.TrioToken | None = None
        self._scope = trio.CancelScope()
        self._thread = threading.Thread(target=self._run, name="feed", daemon=True)

    def views(self) -> list[View]:
        """Each gateway as it was seen last."""
        return list(self._views.values())

    def start(self) -> None:
        """Begin to follow."""
        self._thread.start()

    def stop(self) -> None:
        """Follow no more."""
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
                    nursery.start_soon(follow, place, self._put)


def print_forever(places: Sequence[GatewayAddress], *, by: str, reverse: bool) -> None:
    """Print a line of JSON each second, with all rooms of all gateways, until Ctrl-C or until nobody reads any more."""
    trio.run(partial(_print_forever, places, by=by, reverse=reverse))


async def _print_forever(places: Sequence[GatewayAddress], *, by: str, reverse: bool) -> None:
    views: dict[str, View] = {}

    def put(view: View) -> None:
        views[view.name] = view

    async with trio.open_nursery() as nursery:
        for place in places:
            nursery.start_soon(follow, place, put)
        while True:
            await trio.sleep(LOOK_S)
            rows = ordered((row for view in views.values() for row in view.rows()), by, reverse=reverse)
            print_json(
                {"gateways": [gateway_json(view) for view in views.values()], "rooms": list(map(row_json, rows))}
            )
            flush()
