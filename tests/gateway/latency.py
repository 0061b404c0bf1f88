"""How long a message takes from one member to another, measured at the far ends of two sockets."""

import trio

from tests.clients import Bare
from tests.processor_time import unhindered_s


async def latencies_ms(speaker: Bare, listener: Bare, for_s: float) -> list[float]:
    """The time each of the messages said in `for_s` seconds took, sorted. Each is said when the last was heard.

    Both are in one room, where nobody else says `tick`. Each heard message is the one that was said: none is lost. The
    gateway runs in this thread too, so what the thread waits for a processor is no time of theirs.
    """
    taken_ms: list[float] = []
    ends_at_s = trio.current_time() + for_s
    while trio.current_time() < ends_at_s:
        started_s = unhindered_s()
        await speaker.say("tick", len(taken_ms))
        assert (await listener.next("tick"))["payload"] == len(taken_ms)
        taken_ms.append((unhindered_s() - started_s) * 1000)
    return sorted(taken_ms)


def percentile(sorted_values: list[float], percent: float) -> float:
    """The value that `percent` of the sorted values do not exceed."""
    return sorted_values[min(int(len(sorted_values) * percent / 100), len(sorted_values) - 1)]
