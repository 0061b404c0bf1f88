"""`omnisonic rooms kick`, `close`, `restart`, `dead-letters --replay` and `tap`: what an operator does to a room.

With several gateways it is done on each that has the room. A tap prints as messages pass, and ends by itself.
"""

from collections.abc import Callable, Sequence
from functools import partial

import msgspec
import trio

from omnisonic.cli.rooms.inspect_client import ANSWER_S, GatewayAddress, NotInspected, Talk
from omnisonic.cli.rooms.printing import flush, print_json, print_line
from omnisonic.cli.rooms.queries import asked_all, complain
from omnisonic.cli.rooms.table import View, printable
from omnisonic.wire import inspection as words


def act(places: Sequence[GatewayAddress], question: words.Action, sentence: str, *, as_json: bool) -> bool:
    """Do it, and say `sentence`; whether it was done somewhere. Errors: `NotInspected` when it was nowhere."""
    found = trio.run(asked_all, places, partial(_done, question))
    done = [place.name for place, outcome in found if not isinstance(outcome, NotInspected)]
    problems = [outcome.message for _, outcome in found if isinstance(outcome, NotInspected)]
    if not done:
        raise NotInspected(" ".join(dict.fromkeys(problems)))
    if as_json:
        print_json({"done": True, "gateways": done})
    else:
        print_line(sentence)
    return True


def tap(places: Sequence[GatewayAddress], question: words.AskTap, *, as_json: bool) -> bool:
    """Print what passes in a room until it has been enough. Errors: `NotInspected` when no gateway has the room."""
    several = len(places) > 1
    found = trio.run(asked_all, places, partial(_tapped, question, _printer(as_json=as_json, several=several)))
    problems = [outcome.message for _, outcome in found if isinstance(outcome, NotInspected)]
    if len(problems) == len(places):
        raise NotInspected(" ".join(dict.fromkeys(problems)))
    return True if several else complain(problems)


async def _done(question: words.Action, talk: Talk) -> None:
    (answer,) = await talk.once(question)
    if isinstance(answer, words.NotAnswering):
        raise NotInspected(View(talk.place.name, stall=answer).sentence())


async def _tapped(question: words.AskTap, show: Callable[[str, words.Answer], None], talk: Talk) -> None:
    async for answer in talk.stream(question, wait_s=question.for_s + ANSWER_S):
        match answer:
            case words.Failed():
                raise NotInspected(answer.message)
            case words.NotAnswering():
                raise NotInspected(View(talk.place.name, stall=answer).sentence())
            case _:
                show(talk.place.name, answer)


def _printer(*, as_json: bool, several: bool) -> Callable[[str, words.Answer], None]:
    def show(name: str, answer: words.Answer) -> None:
        if as_json:
            print_json({"gateway": name, **msgspec.to_builtins(answer)})
        else:
            print_line(f"{f'{name}  ' if several else ''}{_line(answer)}")
        flush()

    return show


def _line(answer: words.Answer) -> str:
    match answer:
        case words.Passed():
            missed = f"  (and {answer.missed:,} before it)" if answer.missed else ""
            to = f" to {printable(answer.to)}" if answer.to else ""
            payload = f"  {printable(answer.payload)}" if answer.payload is not None else ""
            what = printable(answer.message) if answer.message is not None else answer.kind
            who = printable(answer.sender or "nobody")
            at = f"{answer.at:%H:%M:%S}.{answer.at.microsecond // 1000:03d}"
            return f"{at}  {who}{to}  {what}  {answer.size} B{payload}{missed}"
        case words.End():
            reasons = {"time": "its time is over", "most": "it has shown as many as it was to"}
            why = reasons.get(answer.reason, answer.reason)
            return f"The tap has ended: {why}. {answer.passed:,} passed, {answer.missed:,} of them unseen."
        case _:
            return ""
