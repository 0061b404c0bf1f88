"""The speed of an upload to local storage as a ratio to a bare Quart handler and to nginx, and what rooms feel of it.

usage: python -m tests.bench.uploads [--rounds 3] [--megabytes 100] [--load PATH-OF-THE-ROOM-LOAD]

Each is sent the same file by curl, in turns, on this machine. nginx (`dav_methods PUT`) is left out, and said to be,
when it is not installed. Then how much the web's memory grows with one upload and with eight at once. With the room
load (a program that prints a line of JSON with `p99_us`), the rooms' 99th percentile in silence, during one upload,
during eight that share a gigabit a second, and during eight as fast as they can. There the web comes behind the
gateway, as `serve` has it, and curl, in truth elsewhere, last.
"""

import argparse
import asyncio
import os
import shutil
import socket
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from omnisonic.cli.serve import NICENESS
from omnisonic.stores.database.migrations import migrate
from tests.bench.felt import rooms
from tests.bench.web import OURS, SECRET, START_S, furnish, running
from tests.postgres_server import running_postgres
from tests.valkey_server import running_valkey

BARE: Final = ("-m", "tests.bench.bare_handler")
AT_ONCE: Final = 8
LAST: Final = 19
GIGABIT: Final = ("--limit-rate", f"{125_000_000 // AT_ONCE}")
"""What curl is told when eight share such a link."""
NGINX: Final = """
daemon off; error_log {folder}/error.log; pid {folder}/pid; worker_processes 1; {user}
events {{ worker_connections 64; }}
http {{
  access_log off; client_max_body_size 0; client_body_temp_path {folder}/temp;
  proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  server {{ listen 127.0.0.1:{port}; root {folder}/files; location / {{ dav_methods PUT; create_full_put_path on; }} }}
}}
"""


def timed(*arguments: str, niceness: int = 0) -> float:
    """Seconds that curl takes. Errors: `AssertionError` unless the answer is a success."""
    command = [
        "nice",
        "-n",
        str(niceness),
        "curl",
        "-sS",
        "-o",
        os.devnull,
        "-w",
        "%{http_code} %{time_total}",
        *arguments,
    ]
    status, took_s = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert status.startswith("2"), status
    return float(took_s)


def form(port: int, cookie: str, file: Path, *options: str, path: str = "api/upload", niceness: int = 0) -> float:
    """Send the file in a form, with curl's `options`."""
    sent = ("-H", f"Cookie: omnisonic={cookie}", "-F", f"file=@{file}")
    return timed(*options, *sent, f"http://127.0.0.1:{port}/{path}", niceness=niceness)


def put(port: int, file: Path, name: str) -> float:
    """Send the file as it is."""
    return timed("-T", str(file), f"http://127.0.0.1:{port}/{name}")


@contextmanager
def running_nginx(folder: Path) -> Iterator[int]:
    """An nginx that keeps what it is sent."""
    (folder / "files").mkdir(parents=True)
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = int(probe.getsockname()[1])
    user = "user root;" if os.geteuid() == 0 else ""
    (folder / "nginx.conf").write_text(NGINX.format(folder=folder, port=port, user=user))
    command = [shutil.which("nginx") or "/usr/sbin/nginx", "-p", str(folder), "-c", str(folder / "nginx.conf")]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        deadline_s = time.monotonic() + START_S
        while socket.socket().connect_ex(("127.0.0.1", port)):
            assert time.monotonic() < deadline_s, "nginx did not start"
        yield port
    finally:
        process.terminate()
        process.wait()


def resident_mb(pid: int, field: str = "VmRSS") -> float:
    """Memory of a process (proc(5)): `VmRSS` now, `VmHWM` at most so far."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) / 1024


def growth_mb(pid: int, act: Callable[[], object]) -> float:
    """By how much the process grows at most while something is done."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")  # the peak begins anew
    before = resident_mb(pid)
    act()
    return resident_mb(pid, "VmHWM") - before


def many(port: int, cookie: str, file: Path, number: int = AT_ONCE, *options: str, niceness: int = 0) -> list[float]:
    """So many uploads at once, with curl's `options`."""
    with ThreadPoolExecutor(number) as pool:
        return list(pool.map(lambda _: form(port, cookie, file, *options, niceness=niceness), range(number)))


def compare(rounds: int, ours: Callable[[], float], peers: dict[str, Callable[[], float]], megabytes: int) -> None:
    """Print a line a round, and the medians."""
    names = ["studio", *peers]
    print(" ".join(f"{name:>14}" for name in ["round", *(f"{name} MB/s" for name in names)]))
    taken: dict[str, list[float]] = {name: [] for name in names}
    for number in range(rounds):
        turns = {"studio": ours, **peers}
        for name in names if number % 2 else names[::-1]:
            taken[name].append(turns[name]())
        print(" ".join(f"{cell:>14}" for cell in [str(number), *(f"{megabytes / taken[n][-1]:.0f}" for n in names)]))
    own_s = statistics.median(taken["studio"])
    for name in peers:
        print(f"studio / {name}: {statistics.median(taken[name]) / own_s:.2f}")


def main() -> None:
    """Print ratios, memory, and latencies."""
    ask = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    ask.add_argument("--rounds", type=int, default=3)
    ask.add_argument("--megabytes", type=int, default=100)
    ask.add_argument("--load")
    args = ask.parse_args()
    with tempfile.TemporaryDirectory() as scratch, running_postgres() as postgres, running_valkey() as valkey:
        folder = Path(scratch)
        folder.chmod(0o755)
        file = folder / "take.wav"
        file.write_bytes(b"RIFF\xff\xff\xff\x05WAVEfmt " + os.urandom(args.megabytes * 1_000_000))
        asyncio.run(migrate(postgres.url))
        cookie, _ = asyncio.run(furnish(postgres.url, valkey.url))
        environ = {
            "DATABASE_URL": postgres.url,
            "REDIS_URL": valkey.url,
            "NEXTAUTH_SECRET": SECRET,
            "OMNISONIC_DATA_DIR": str(folder / "data"),
            "UPLOAD_MAX_BYTES": "1000000000",
            "UPLOAD_QUOTA_BYTES": "0",
            "OTEL_SDK_DISABLED": "true",
        }
        with running(OURS, environ) as (port, pid), running(BARE, {}) as (bare, _):
            peers = {"bare": lambda: form(bare, cookie, file, path="sink")}
            form(port, cookie, file)  # what is loaded at the first request is not memory that an upload needs
            if shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin"):
                with running_nginx(folder / "nginx") as nginx:
                    peers["nginx"] = lambda: put(nginx, file, f"{time.monotonic_ns()}")
                    compare(args.rounds, lambda: form(port, cookie, file), peers, args.megabytes)
            else:
                print("nginx is not installed: `apt-get install nginx-extras`")
                compare(args.rounds, lambda: form(port, cookie, file), peers, args.megabytes)
            print(f"one upload: the web grows by {growth_mb(pid, lambda: form(port, cookie, file)):.1f} MB")
            print(f"{AT_ONCE} at once: the web grows by {growth_mb(pid, lambda: many(port, cookie, file)):.1f} MB")
            if args.load:
                with rooms(args.load, **environ) as felt:
                    put_behind(pid)

                    def upload(number: int, *options: str) -> Callable[[], object]:
                        return lambda: many(port, cookie, file, number, *options, niceness=LAST)

                    works = {
                        "one upload": upload(1),
                        "eight on a gigabit": upload(AT_ONCE, *GIGABIT),
                        "eight uploads": upload(AT_ONCE),
                    }
                    felt.compare(works, args.rounds, lambda: empty(folder / "data" / "uploads" / "uploads"))


def empty(folder: Path) -> None:
    """Delete the files in it."""
    for file in folder.iterdir():
        file.unlink()


def put_behind(pid: int) -> None:
    """Let all threads of a process run where this one does, and come behind others, as those that `serve` starts."""
    for thread in Path(f"/proc/{pid}/task").iterdir():
        os.setpriority(os.PRIO_PROCESS, int(thread.name), NICENESS)
        os.sched_setaffinity(int(thread.name), os.sched_getaffinity(0))


if __name__ == "__main__":
    main()
