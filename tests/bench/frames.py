"""How many frames a second the studio's page draws while many stems play and many are in the room.

usage: python -m tests.bench.frames [--stems 12] [--members 50] [--seconds 10]

Everybody but the page listens alone, each at another place, so that all their playheads move. The browser has one
processor, and studio and members have the others: its tabs, its drawing without a graphics card, and its sound.
"""

import argparse
import asyncio
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

import httpx
from playwright.sync_api import expect

from omnisonic import aio
from tests.bench.playing import upload
from tests.cli.running import START_S, running
from tests.http.browsing import give_cookies, join, running_browser, stems
from tests.http.signing_in import sign_in

MINUTES: Final = 2.0
BPM: Final = 120
FREE: Final = {
    "REST_RATE_PER_S": "0",
    "REST_ADDRESS_RATE_PER_S": "0",
    "OTEL_SDK_DISABLED": "true",
}
FRAMES: Final = """(seconds) => new Promise((resolve) => {
    const drawn = [performance.now()];
    const draw = (at) => {
        drawn.push(at);
        if (at < drawn[0] + seconds * 1000) return requestAnimationFrame(draw);
        const gaps = drawn.slice(2).map((at, number) => at - drawn[number + 1]).sort((one, other) => one - other);
        const framesPerS = (1000 * gaps.length) / (drawn.at(-1) - drawn[1]);
        return resolve([framesPerS, gaps.at(Math.floor(gaps.length * 0.99)), gaps.at(-1)]);
    };
    requestAnimationFrame(draw);
})"""
"""Frames a second, and the time between two frames in ms: the 99th percentile, and the longest."""


async def listen_alone(client: httpx.Client, session: str, count: int, are_in: threading.Event) -> None:
    """So many members of the room, each at another place of the song, until the task is cancelled."""
    async with AsyncExitStack() as stack:
        for number in range(count):
            who = {"memberId": f"guest-{number}", "displayName": f"Guest {number}"}
            answer = await asyncio.to_thread(client.post, f"/api/rooms/{session}/ticket", json=who)
            made = answer.raise_for_status().json()
            room = await stack.enter_async_context(aio.connect(made["url"], ticket=made["ticket"]))
            place = {"playing": True, "tempoBpm": BPM, "anchorBeat": number, "anchorTime": time.time() * 1000}
            await room.set_state(f"place.{room.member_id}", place, ephemeral=True)
        are_in.set()
        await asyncio.Event().wait()


@contextmanager
def members(client: httpx.Client, session: str, count: int, processors: set[int]) -> Iterator[None]:
    """So many who listen alone, on these processors, until the block ends."""
    are_in, loop = threading.Event(), asyncio.new_event_loop()
    task: asyncio.Task[None] = loop.create_task(listen_alone(client, session, count, are_in))

    def run() -> None:
        os.sched_setaffinity(0, processors)
        try:
            loop.run_until_complete(task)
        except asyncio.CancelledError:
            loop.close()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        assert are_in.wait(START_S), "the members do not come in"
        yield
    finally:
        loop.call_soon_threadsafe(task.cancel)
        thread.join()


def measure(client: httpx.Client, session: str, count: int, seconds: float) -> tuple[float, float, float]:
    """What the page draws while the song plays: as `FRAMES`."""
    url = str(client.base_url).rstrip("/")
    with running_browser() as browser:
        profile = browser.new_context(viewport={"width": 1280, "height": 800})
        give_cookies(profile, client, url)
        page = profile.new_page()
        page.goto(f"{url}/sessions/{session}")
        expect(stems(page)).to_have_count(count)
        join(page)
        page.get_by_role("button", name="Play", exact=True).click()
        expect(page.get_by_role("status", name="Time")).not_to_have_text("0:00.0")
        found: Any = page.evaluate(FRAMES, seconds)
        return found[0], found[1], found[2]


def main() -> None:
    """Print the figures."""
    ask = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    ask.add_argument("--stems", type=int, default=12)
    ask.add_argument("--members", type=int, default=50)
    ask.add_argument("--seconds", type=float, default=10.0)
    args = ask.parse_args()
    first, *others = sorted(os.sched_getaffinity(0))
    rest = set(others) or {first}
    os.sched_setaffinity(0, rest)
    with (
        tempfile.TemporaryDirectory() as data,
        running("serve", OMNISONIC_DATA_DIR=str(Path(data) / "data"), **FREE) as command,
    ):
        command.printed("is running")
        url = f"http://127.0.0.1:{command.port('Studio')}"
        with httpx.Client(base_url=url, headers={"Origin": url}, timeout=60) as ada:
            assert sign_in(ada).status_code == 200
            session = ada.post("/api/sessions", json={"name": "Night jam"}).raise_for_status().json()["session"]["id"]
            upload(ada, session, args.stems, MINUTES)
            with members(ada, session, args.members - 1, rest):
                os.sched_setaffinity(0, {first})
                frames_per_s, most_ms, longest_ms = measure(ada, session, args.stems, args.seconds)
    print(
        f"{args.stems} stems, {args.members} members: {frames_per_s:.1f} frames a second; "
        f"99 of 100 within {most_ms:.1f} ms, {longest_ms:.1f} ms at most"
    )


if __name__ == "__main__":
    main()
