"""Several gateways asked at once, for `omnisonic rooms`.

One that does not answer is a sentence on standard error and the exit code 1, and the others are shown; when none does,
that is an error.
"""

import sys
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from typing import Any, TypeVar

import msgspec
import trio

from omnisonic.cli.rooms.inspect_client import GatewayAddress, NotInspected, Talk, inspect
from omnisonic.cli.rooms.table import Row, View, view_of
from omnisonic.wire import inspection as words

T = TypeVar("T")
A = TypeVar("A", words.RoomAnswer, words.DeadLetterAnswer)


def views_of(places: Sequence[GatewayAddress]) -> list[View]:
    """Each gateway with its rooms. Errors: `NotInspected` when none has answered."""
    return [view for view, _ in views_and_answers(places, partial(asked, words.AskRooms("1")))]


def views_and_answers(
    places: Sequence[GatewayAddress], talk: Callable[[Talk], Awaitable[list[words.Answer]]]
) -> list[tuple[View, list[words.Answer]]]:
    """Each gateway with its rooms, for which `talk` asks, and all that it has answered. Errors: as `views_of`."""
    found: list[tuple[View, list[words.Answer]]] = []
    for place, outcome in all_asked(places, talk):
        if isinstance(outcome, NotInspected):
            found.append((View(place.name, problem=outcome.message), []))
        else:
            found.append((view_of(place.name, outcome), outcome))
    if all(view.gateway is None and view.stall is None for view, _ in found):
        raise NotInspected(" ".join(view.sentence() for view, _ in found))
    return found


async def asked(question: words.Question, talk: Talk) -> list[words.Answer]:
    """The answers to one question."""
    return await talk.once(question)


def sifted(
    found: Iterable[tuple[GatewayAddress, list[words.Answer] | NotInspected]], wanted: type[A]
) -> tuple[list[tuple[str, A]], list[str]]:
    """The answers of the `wanted` kind, each with its gateway's name, and sentences about what else came."""
    answers: list[tuple[str, A]] = []
    problems: list[str] = []
    for place, outcome in found:
        if isinstance(outcome, NotInspected):
            problems.append(outcome.message)
            continue
        for answer in outcome:
            if isinstance(answer, wanted):
                answers.append((place.name, answer))
            elif isinstance(answer, words.NotAnswering):
                problems.append(View(place.name, stall=answer).sentence())
    return answers, problems


def all_asked(
    places: Sequence[GatewayAddress], talk: Callable[[Talk], Awaitable[T]]
) -> list[tuple[GatewayAddress, T | NotInspected]]:
    """What came of talking to each gateway, all at once."""
    return trio.run(asked_all, places, talk)


async def asked_all(
    places: Sequence[GatewayAddress], talk: Callable[[Talk], Awaitable[T]]
) -> list[tuple[GatewayAddress, T | NotInspected]]:
    """What came of talking to each gateway, all at once, in the order of `places`."""
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


def complain(sentences: Iterable[str]) -> bool:
    """Say on standard error what is wrong; whether nothing was."""
    told = [sentence for sentence in sentences if sentence]
    for sentence in told:
        sys.stderr.write(f"omnisonic: {sentence}\n")
    return not told
