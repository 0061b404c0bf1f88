"""What coverage does not measure, because it would take twice as long and tests beside it take the same lines.

These are properties, with their hundreds of examples, and pages in a browser, whose routes other tests ask as well.
"""

from collections.abc import Generator

import pytest
from coverage import Coverage
from hypothesis import is_hypothesis_test


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    """Pause the coverage while such a test runs."""
    coverage = Coverage.current()
    if coverage is None or not _is_left_out(item):
        return (yield)
    coverage.stop()
    try:
        return (yield)
    finally:
        coverage.start()


def _is_left_out(item: pytest.Item) -> bool:
    return isinstance(item, pytest.Function) and ("browser" in item.fixturenames or is_hypothesis_test(item.obj))
