"""Questions to several gateways at once, for `omnisonic rooms`.

For a gateway that does not answer there is a sentence on standard error and the exit code 1; the others are shown. When
none answers, that is an error.
"""

import sys
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from typing import Any, TypeVar

import msgspec
import trio

from omnisonic.cli.rooms.inspect_client import GatewayAddress, NotInspected, Talk, inspect
from omnisonic.cli.rooms.table import Row, View, make_view
from omnisonic.wire import inspection

T = TypeVar("T")
A = TypeVar("A", inspection.RoomAnswer, inspection.DeadLetterAnswer)


def fetch_views(places: Sequence[GatewayAddress]) -> list[View]:
    """Ask all gateways for their rooms. Raises `NotInspected` when none has answered."""
    return [view for view, _ in fetch_views_and_answers(places, partial(ask_once, inspection.AskRooms("1")))]


def fetch_views_and_answers(
    places: Sequence[GatewayAddress], talk: Callable[[Talk], Awaitable[list[inspection.Answer]]]
) -> list[tuple[View, list[inspection.Answer]]]:
    """Each gateway with its rooms, for which `talk` asks, and all that it has answered. Errors: as `views_of`."""
    found: list[tuple[View, list[inspection.Answer]]] = []
    for place, outcome in ask_gateways(places, talk):
        if isinstance(outcome, NotInspected):
            found.append((View(place.name, problem=outcome.message), []))
        else:
            found.append((make_view(place.name, outcome), outcome))
    if all(view.gateway is None and view.stall is None for view, _ in found):
        raise NotInspected(" ".join(view.sentence() for view, _ in found))
    return found


async def ask_once(question: inspection.Question, talk: Talk) -> list[inspection.Answer]:
    """Ask one question, and return the answers."""
    return await talk.once(question)


def pick_answers(
    found: Iterable[tuple[GatewayAddress, list[inspection.Answer] | NotInspected]], wanted: type[A]
) -> tuple[list[tuple[str, A]], list[str]]:
    """The answers of one kind, each with its gateway's name, and sentences about the gateways without one."""
    answers: list[tuple[str, A]] = []
    problems: list[str] = []
    for place, outcome in found:
        if isinstance(outcome, NotInspected):
            problems.append(outcome.message)
            continue
        for answer in outcome:
            if isinstance(answer, wanted):
                answers.append((place.name, answer))
            elif isinstance(answer, inspection.NotAnswering):
                problems.append(View(place.name, stall=answer).sentence())
    return answers, problems


def ask_gateways(
    places: Sequence[GatewayAddress], talk: Callable[[Talk], Awaitable[T]]
) -> list[tuple[GatewayAddress, T | NotInspected]]:
    """Talk to all gateways at once, and return the outcomes. Runs trio."""
    return trio.run(ask_all, places, talk)


async def ask_all(
    places: Sequence[GatewayAddress], talk: Callable[[Talk], Awaitable[T]]
) -> list[tuple[GatewayAddress, T | NotInspected]]:
    """Talk to all gateways at once, and return the outcomes in the order of `places`."""
    found: dict[GatewayAddress, T | NotInspected] = {}

    async def one(place: GatewayAddress) -> None:
        try:
            found[place] = await inspect(place, talk)
        except NotInspected as problem:
            found[place] = problem

    async with trio.open_nursery() as nursery:
        for place in places:
            nursery.start_soon(one, place)
    return [(place, found[place]) for place in places]


def row_json(row: Row) -> dict[str, Any]:
    """A room as JSON."""
    return {"gateway": row.gateway, **msgspec.to_builtins(row.line)}


def gateway_json(view: View) -> dict[str, Any]:
    """A gateway as JSON, without its rooms."""
    return {
        "gateway": view.name,
        "problem": view.sentence() or None,
        "figures": None if view.gateway is None else msgspec.to_builtins(view.gateway),
        "closed": msgspec.to_builtins(view.closed),
    }


def print_problems(sentences: Iterable[str]) -> bool:
    """Print the sentences that are not empty on standard error. Returns whether there were none."""
    printed = [sentence for sentence in sentences if sentence]
    for sentence in printed:
        sys.stderr.write(f"omnisonic: {sentence}\n")
    return not printed
