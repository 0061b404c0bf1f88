"""How long a message takes from one member to another, measured at the far ends of two sockets."""

import trio

from tests.clients import Bare


async def latencies_ms(speaker: Bare, listener: Bare, for_s: float) -> list[float]:
    """The time each of the messages said in `for_s` seconds took, sorted. Each is said when the last was heard.

    Both are in one room, where nobody else says `tick`. Each heard message is the one that was said: none is lost.
    """
    taken_ms: list[float] = []
    ends_at_s = trio.current_time() + for_s
    while (started_s := trio.current_time()) < ends_at_s:
        await speaker.say("tick", len(taken_ms))
        assert (await listener.next("tick"))["payload"] == len(taken_ms)
        taken_ms.append((trio.current_time() - started_s) * 1000)
    return sorted(taken_ms)


def percentile(sorted_values: list[float], percent: float) -> float:
    """The value that `percent` of the sorted values do not exceed."""
    return sorted_values[min(int(len(sorted_values) * percent / 100), len(sorted_values) - 1)]
