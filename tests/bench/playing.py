"""How quickly a browser plays eight stems of four minutes, in how much memory, and how two browsers keep together.

usage: python -m tests.bench.playing [--stems 8] [--minutes 4] [--starts 5] [--together 20]

On this machine: a web and a worker, which cut the stems into segments, and Chromium without a window or a sound card.
First sound is when the mixer's meter moves; the delay of the mixer (30 ms) and that of the sound card come after it.
Memory is that of the page's process (proportional set size, proc(5)), in a browser that nobody debugs: a debugger keeps
all that a page has fetched. Frames are counted while all meters are read.
"""

import argparse
import asyncio
import io
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, Final

import httpx
import numpy as np
import soundfile  # type: ignore[import-untyped]
from playwright.sync_api import Browser, Page

from omnisonic.http.core.static_files import StaticFiles
from omnisonic.stores.database.migrations import migrate
from tests.bench.web import OURS, SECRET, furnish, running
from tests.http.browsing import ARGUMENTS, CHROMIUM, running_browser
from tests.postgres_server import running_postgres
from tests.valkey_server import running_valkey

RATE_HZ: Final = 48_000
CUT_S: Final = 600.0
LISTEN_S: Final = 60
"""Over six seams."""
TOGETHER_S: Final = 180
PREPARED: Final = """async () => {
    player.prepare(3);
    await new Promise((resolve) => setTimeout(resolve, 2000));
    return start(3);
}"""
PLAYER: Final = """async ([address, tracks]) => {
    const { Player } = await import(address);
    window.player = new Player();
    window.tracks = tracks;
    player.setTracks(tracks);
    window.start = async (position_s) => {
        const moves = ({ id }) => player.levelOf(id).peak > -60;
        const until = async (done) => {
            while (!done()) await new Promise((resolve) => setTimeout(resolve, 4));
            return performance.now() - begun;
        };
        let begun = performance.now();
        player.stop();
        await until(() => !tracks.some(moves));
        begun = performance.now();
        player.start({ position_s });
        return [await until(() => tracks.some(moves)), await until(() => tracks.every(moves))];
    };
    window.frames = (seconds) => new Promise((resolve) => {
        let count = 0;
        const ends = performance.now() + seconds * 1000;
        const draw = () => {
            for (const { id } of tracks) player.levelOf(id);
            count += 1;
            if (performance.now() < ends) requestAnimationFrame(draw);
            else resolve(count / seconds);
        };
        requestAnimationFrame(draw);
    });
    // Where the song would have begun, on the machine's clock.
    window.origin_ms = () => performance.timeOrigin + performance.now() - 1000 * player.position_s;
    document.body.onclick = () => player.openContext();
}"""


def stem(seconds: float, seed: int) -> bytes:
    """Noise in stereo of 16 bits: no other sound makes larger segments."""
    file = io.BytesIO()
    sound = np.random.default_rng(seed).normal(0, 0.05, (round(seconds * RATE_HZ), 2)).astype(np.float32)
    soundfile.write(file, sound, RATE_HZ, format="WAV", subtype="PCM_16")
    return file.getvalue()


def upload(client: httpx.Client, session: str, stems: int, minutes: float) -> list[str]:
    """The ids of new stems, cut by the worker."""
    ids = []
    for number in range(stems):
        file = ("stem.wav", stem(60 * minutes, number))
        answer = client.post("/api/upload", data={"sessionId": session}, files={"file": file})
        ids.append(str(answer.raise_for_status().json()["upload"]["id"]))
    ends_at = time.monotonic() + CUT_S
    while any(client.get(f"/api/upload/{upload_id}/segments").status_code != 200 for upload_id in ids):
        assert time.monotonic() < ends_at, "the worker does not come to an end"
        time.sleep(1)
    return ids


def tracks_of(ids: list[str]) -> list[dict[str, Any]]:
    """The tracks of these uploads."""
    mix = {"gainDb": -12, "pan": 0, "muted": False, "offsetSeconds": 0}
    return [{"id": upload_id, "uploadId": upload_id, **mix} for upload_id in ids]


@contextmanager
def page_of(browser: Browser, port: int, cookie: str, ids: list[str]) -> Iterator[Page]:
    """A page with a player of these uploads, in a profile of its own, that may make sounds."""
    url = f"http://127.0.0.1:{port}"
    profile = browser.new_context()
    profile.add_cookies([{"name": "omnisonic", "value": cookie, "url": url}])
    page = profile.new_page()
    page.goto(f"{url}/sessions")
    page.evaluate(PLAYER, [StaticFiles().url("sound/player.js"), tracks_of(ids)])
    page.mouse.click(2, 2)
    yield page
    profile.close()


def page_megabytes() -> float:
    """The memory of the largest page of the browser that this process has started."""
    sizes = [0.0]
    for pid in descendants(os.getpid()):
        folder = Path(f"/proc/{pid}")
        with suppress(OSError):
            if b"--type=renderer" in (folder / "cmdline").read_bytes():
                found = re.search(r"^Pss: +([0-9]+) kB", (folder / "smaps_rollup").read_text(), re.MULTILINE)
                sizes.append(int(found[1]) / 1024 if found else 0.0)
    return max(sizes)


def descendants(pid: int) -> list[int]:
    """All processes that this one has started, and those that they have."""
    children: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            children += map(int, task.read_text().split())
    return children + [each for child in children for each in descendants(child)]


@contextmanager
def own_page(port: int, cookie: str, ids: list[str]) -> Iterator[str]:
    """The address of a page that plays by itself. What it asks for comes from the studio."""
    script = f"""<!doctype html><body><script type="module">
        import {{ Player }} from "{StaticFiles().url("sound/player.js")}";
        const player = new Player();
        player.setTracks({json.dumps(tracks_of(ids))});
        player.start({{ position_s: 5 }});
    </script>"""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/":
                status, media_type, body = 200, "text/html", script.encode()
            else:
                headers = {"Cookie": f"omnisonic={cookie}"}
                answer = httpx.get(f"http://127.0.0.1:{port}{self.path}", headers=headers, timeout=60)
                status, media_type, body = answer.status_code, answer.headers["Content-Type"], answer.content
            self.send_response(status)
            self.send_header("Content-Type", media_type)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name that it has there
            """Log nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()
        thread.join()


def measure_memory(port: int, cookie: str, ids: list[str]) -> None:
    """Print how much memory a page takes that plays on and on."""
    with tempfile.TemporaryDirectory() as profile, own_page(port, cookie, ids) as address:
        options = ("--headless", "--autoplay-policy=no-user-gesture-required", f"--user-data-dir={profile}")
        browser = subprocess.Popen([str(CHROMIUM), *ARGUMENTS, *options, address], stderr=subprocess.DEVNULL)
        try:
            memory = []
            for _ in range(LISTEN_S):
                time.sleep(1)
                memory.append(page_megabytes())
        finally:
            browser.kill()  # SIGTERM leaves it running
            browser.wait()
    print(f"memory of a page over {LISTEN_S} s: {statistics.median(memory):.0f} MB, {max(memory):.0f} MB at most")


def measure_one(page: Page, minutes: float, starts: int) -> None:
    """Print the figures of one browser."""
    length_s = 60 * minutes
    for number in range(starts):
        first, last = page.evaluate("(at) => start(at)", round(length_s * (number + 0.5) / (starts + 1), 3))
        print(f"start {number + 1}: first sound after {first:.0f} ms, all after {last:.0f} ms")
    first, last = page.evaluate(PREPARED)
    print(f"where it was prepared: first sound after {first:.0f} ms, all after {last:.0f} ms")
    print(f"frames a second with meters: {page.evaluate('frames(5)'):.0f}")
    page.evaluate("player.stop()")


def measure_two(one: Page, other: Page, starts: int) -> None:
    """Print how far apart two browsers are after each start, and after three minutes."""

    def start() -> float:
        at_ms = time.time() * 1000 + 400
        for page in (one, other):
            begin = "(at) => player.start({ position_s: 5, atPerformance_ms: at - performance.timeOrigin })"
            page.evaluate(begin, at_ms)
        one.wait_for_timeout(700)
        return apart()

    def apart() -> float:
        origins: list[Any] = [page.evaluate("origin_ms()") for page in (one, other)]
        return abs(float(origins[0] - origins[1]))

    found = [start() for _ in range(starts)]
    print(f"two browsers, {starts} starts: {statistics.median(found):.2f} ms apart, {max(found):.2f} at most")
    one.wait_for_timeout(TOGETHER_S * 1000)
    print(f"after {TOGETHER_S} s: {apart():.2f} ms apart")


def main() -> None:
    """Print the figures."""
    ask = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    ask.add_argument("--stems", type=int, default=8)
    ask.add_argument("--minutes", type=float, default=4.0)
    ask.add_argument("--starts", type=int, default=5)
    ask.add_argument("--together", type=int, default=20)
    args = ask.parse_args()
    with tempfile.TemporaryDirectory() as data, running_postgres() as postgres, running_valkey() as valkey:
        asyncio.run(migrate(postgres.url))
        cookie, session = asyncio.run(furnish(postgres.url, valkey.url))
        environ = {
            "DATABASE_URL": postgres.url,
            "REDIS_URL": valkey.url,
            "NEXTAUTH_SECRET": SECRET,
            "OMNISONIC_DATA_DIR": data,
            "OTEL_SDK_DISABLED": "true",
        }
        worker = subprocess.Popen(
            [sys.executable, "-m", "omnisonic", "worker"],
            env=os.environ | environ,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            with running(OURS, environ) as (port, _):
                headers = {"Cookie": f"omnisonic={cookie}", "Origin": f"http://127.0.0.1:{port}"}
                with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=60) as client:
                    ids = upload(client, session, args.stems, args.minutes)
                measure_memory(port, cookie, ids)
                with running_browser() as browser, page_of(browser, port, cookie, ids) as page:
                    measure_one(page, args.minutes, args.starts)
                    with page_of(browser, port, cookie, ids) as other:
                        measure_two(page, other, args.together)
        finally:
            worker.terminate()
            worker.wait()


if __name__ == "__main__":
    main()
