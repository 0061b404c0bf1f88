"""What coverage does not measure, because it would take twice as long and tests beside it take the same lines.

These are properties, with their hundreds of examples, pages in a browser, whose routes other tests ask as well, and all
routes asked by all who must not.
"""

from collections.abc import Generator
from typing import Final

import pytest
from coverage import Coverage
from hypothesis import is_hypothesis_test

FILE: Final = "tests/http/test_strangers.py"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    """Pause the coverage while such a test runs."""
    coverage = Coverage.current()
    if coverage is None or not _is_left_out(item):
        return (yield)
    # To look whether what it measures was imported before, as it was, takes 60 ms each time that it starts.
    coverage._warn_preimported_source = False
    coverage.stop()
    try:
        return (yield)
    finally:
        coverage.start()


def _is_left_out(item: pytest.Item) -> bool:
    if not isinstance(item, pytest.Function):
        return False
    return "browser" in item.fixturenames or is_hypothesis_test(item.obj) or item.nodeid.startswith(FILE)
