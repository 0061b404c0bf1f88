"""`omnisonic rooms kick`, `close`, `restart`, `dead-letters --replay` and `tap`.

A gateway that is asked alone asks the owner of the room, if that is another one. With several gateways an action is
sent to each, for its own room. A tap prints messages as they pass, and ends by
itself.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

import msgspec
import trio

from omnisonic.cli.rooms.inspect_client import ANSWER_S, GatewayAddress, NotInspected, Talk
from omnisonic.cli.rooms.printing import flush, print_json, print_line
from omnisonic.cli.rooms.queries import ask_all, print_problems
from omnisonic.cli.rooms.table import View, printable
from omnisonic.wire import inspection

Q = TypeVar("Q", bound=inspection.Action | inspection.AskTap)


def act(places: Sequence[GatewayAddress], question: inspection.Action, sentence: str, *, as_json: bool) -> bool:
    """Send an action to all gateways, and print `sentence`. Raises `NotInspected` when no gateway did it."""
    found = trio.run(ask_all, places, partial(_send_action, _for_all_of(places, question)))
    done = [place.name for place, outcome in found if not isinstance(outcome, NotInspected)]
    problems = [outcome.message for _, outcome in found if isinstance(outcome, NotInspected)]
    if not done:
        raise NotInspected(" ".join(dict.fromkeys(problems)))
    if as_json:
        print_json({"done": True, "gateways": done})
    else:
        print_line(sentence)
    return True


def tap(places: Sequence[GatewayAddress], question: inspection.AskTap, *, as_json: bool) -> bool:
    """Print the messages of a room until the limits of `question`. Raises `NotInspected` when no gateway has it."""
    several = len(places) > 1
    question = _for_all_of(places, question)
    found = trio.run(ask_all, places, partial(_print_tap, question, _printer(as_json=as_json, several=several)))
    problems = [outcome.message for _, outcome in found if isinstance(outcome, NotInspected)]
    if len(problems) == len(places):
        raise NotInspected(" ".join(dict.fromkeys(problems)))
    return True if several else print_problems(problems)


def _for_all_of(places: Sequence[GatewayAddress], question: Q) -> Q:
    """The question as it is asked of each of these: of several, for their own rooms, or the owner would get all."""
    if len(places) == 1 or isinstance(question, inspection.AskReplay):
        return question
    return msgspec.structs.replace(question, here=True)


async def _send_action(question: inspection.Action, talk: Talk) -> None:
    (answer,) = await talk.once(question)
    if isinstance(answer, inspection.NotAnswering):
        raise NotInspected(View(talk.place.name, stall=answer).sentence())


async def _print_tap(question: inspection.AskTap, show: Callable[[str, inspection.Answer], None], talk: Talk) -> None:
    async for answer in talk.stream(question, wait_s=question.for_s + ANSWER_S):
        match answer:
            case inspection.Failed():
                raise NotInspected(answer.message)
            case inspection.NotAnswering():
                raise NotInspected(View(talk.place.name, stall=answer).sentence())
            case _:
                show(talk.place.name, answer)


def _printer(*, as_json: bool, several: bool) -> Callable[[str, inspection.Answer], None]:
    def show(name: str, answer: inspection.Answer) -> None:
        if as_json:
            print_json({"gateway": name, **msgspec.to_builtins(answer)})
        else:
            print_line(f"{f'{name}  ' if several else ''}{_line(answer)}")
        flush()

    return show


def _line(answer: inspection.Answer) -> str:
    match answer:
        case inspection.Passed():
            missed = f"  (and {answer.missed:,} before it)" if answer.missed else ""
            to = f" to {printable(answer.to)}" if answer.to else ""
            payload = f"  {printable(answer.payload)}" if answer.payload is not None else ""
            what = printable(answer.message) if answer.message is not None else answer.kind
            who = printable(answer.sender or "nobody")
            at = f"{answer.at:%H:%M:%S}.{answer.at.microsecond // 1000:03d}"
            return f"{at}  {who}{to}  {what}  {answer.size} B{payload}{missed}"
        case inspection.End():
            reasons = {"time": "its time is over", "most": "it has shown as many as it was to"}
            why = reasons.get(answer.reason, answer.reason)
            return f"The tap has ended: {why}. {answer.passed:,} passed, {answer.missed:,} of them unseen."
        case _:
            return ""
