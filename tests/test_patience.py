"""A limit against tests that hang ends them, and gives as much time again where programs waited for a processor."""

import asyncio
from collections.abc import Callable

import pytest
import trio
from trio.testing import MockClock

from tests.patience import patient_for, patient_timeout

LIMIT_S = 10.0
SHORT_S = 0.2


def busy(share: float) -> Callable[[], float]:
    """A machine where something waits for a processor for this share of the time."""
    return lambda: share * trio.current_time()


@pytest.mark.parametrize(("share", "lasts_s"), [(0.0, LIMIT_S), (0.4, LIMIT_S), (0.6, 2 * LIMIT_S), (1.0, 2 * LIMIT_S)])
async def test_what_hangs_is_ended_after_its_time(share: float, lasts_s: float, autojump_clock: MockClock) -> None:
    """Once its time, or twice; never longer."""
    began_s = trio.current_time()
    with pytest.raises(trio.TooSlowError):
        async with patient_for(LIMIT_S, busy(share)):
            await trio.sleep_forever()
    assert trio.current_time() - began_s == pytest.approx(lasts_s)


async def test_what_ends_in_time_is_not_waited_for(autojump_clock: MockClock) -> None:
    """And what it raises is not wrapped."""
    began_s = trio.current_time()
    async with patient_for(LIMIT_S, busy(1.0)):
        await trio.sleep(1)
    with pytest.raises(LookupError):
        async with patient_for(LIMIT_S, busy(1.0)):
            raise LookupError
    assert trio.current_time() - began_s == pytest.approx(1)


@pytest.mark.parametrize(("share", "times"), [(0.0, 1), (1.0, 2)])
def test_asyncio_has_the_same_patience(share: float, times: int) -> None:
    """Once its time, or twice."""

    async def hang() -> float:
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        with pytest.raises(TimeoutError):
            async with patient_timeout(SHORT_S, lambda: share * loop.time()):
                await loop.create_future()
        return loop.time() - began_s

    assert asyncio.run(hang()) >= times * SHORT_S
