"""What holds for every test: one Postgres, Valkey and S3 server for all, many sockets, and a deadline under trio."""

import contextlib
import functools
import gc
import inspect
import resource
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import pytest

from tests.node_packages import node_packages
from tests.patience import patient_for
from tests.postgres_server import database_url, postgres_process
from tests.prepared_postgres import run_folder
from tests.python_packages import generator_python
from tests.s3_server import s3, s3_process
from tests.scratch import use_memory
from tests.valkey_cluster import failing_cluster, valkey_cluster, valkey_cluster_processes
from tests.valkey_server import valkey, valkey_process

pytest_plugins = ("tests.left_out", "tests.properties", "tests.retries", "tests.skips")
__all__ = [
    "database_url",
    "failing_cluster",
    "generator_python",
    "node_packages",
    "postgres_process",
    "s3",
    "s3_process",
    "valkey",
    "valkey_cluster",
    "valkey_cluster_processes",
    "valkey_process",
]

TEST_S: Final = 120.0
"""A test that takes longer hangs, or the machine is busy (`tests.patience`)."""
LONG: Final = ("system", "cli", "interop", "embedding", "operations", "client_js")
"""The folders whose tests start programs and browsers, those that take longest first."""
LONG_UNTIL: Final = 0.8
"""Their share of the run: what comes then is short."""
DESCRIPTORS: Final = 16_384
"""Enough for thousands of members at both ends of their sockets."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Spread the files that take long, and give every asynchronous test its deadline."""
    turns = _turns(items)
    items.sort(key=lambda item: turns[item.path])
    for item in items:
        if isinstance(item, pytest.Function) and inspect.iscoroutinefunction(item.obj):
            lasts = item.get_closest_marker("lasts")
            item.obj = _within(TEST_S + (lasts.args[0] if lasts else 0.0), item.obj)


def pytest_collection_finish() -> None:
    """From here on garbage is collected again, but not looked for in what was imported, which stays.

    While thousands of tests are collected all of it stays. To look through it again and again took a third of the time,
    in each worker.
    """
    gc.freeze()
    gc.enable()


def _turns(items: list[pytest.Item]) -> dict[Path, float]:
    """When each file has its turn. Files are handed out one at a time, so that workers would wait for a long last one,
    and would be in each other's way if all that start programs came at once.
    """
    folders = {item.path: item.path.relative_to(Path(__file__).parent).parts[0] for item in items}
    long = sorted(
        (path for path, folder in folders.items() if folder in LONG), key=lambda path: LONG.index(folders[path])
    )
    short = [path for path, folder in folders.items() if folder not in LONG]
    return {
        **{path: LONG_UNTIL * number / len(long) for number, path in enumerate(long)},
        **{path: number / len(short) for number, path in enumerate(short)},
    }


def _within(deadline_s: float, test: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    @functools.wraps(test)
    async def timed(*args: Any, **kwargs: Any) -> None:
        async with patient_for(deadline_s):
            await test(*args, **kwargs)

    return timed


def pytest_configure(config: pytest.Config) -> None:
    """Have the same ground under all tests, however they were started."""
    gc.disable()  # until all are collected
    use_memory()
    run = contextlib.ExitStack()
    run.enter_context(run_folder())
    config.add_cleanup(run.close)
    _take_descriptors()
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # A shell lets what it starts in the background ignore Ctrl-C, and so would all that is started from here.
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _take_descriptors() -> None:
    """Let the suite have the descriptors of thousands of sockets: an ordinary shell begins with 1,024 or less."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(DESCRIPTORS, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
