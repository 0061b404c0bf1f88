"""In continuous integration (`CI`) a test that is skipped has failed: it was to be run there, and something is missing.

Unless `skips_in_ci.txt` has its reason. A test that is skipped on purpose everywhere is not worth keeping.
"""

import os
from collections.abc import Generator
from pathlib import Path
from typing import Final, TypeVar

import pytest

IN_CI: Final = bool(os.environ.get("CI"))
LIST: Final = Path(__file__).with_name("skips_in_ci.txt")

Report = TypeVar("Report", pytest.TestReport, pytest.CollectReport)


def excused(text: str) -> set[str]:
    """The reasons in a list: a line each, up to the first `:`. What follows it says why that is right."""
    lines = [line.partition(":") for line in text.splitlines() if line and not line.startswith("#")]
    assert all(why.strip() for _, _, why in lines), "each line is `the skip's reason: why it is right in CI`"
    return {reason.strip() for reason, _, _ in lines}


EXCUSED: Final = excused(LIST.read_text())


def _failed_if_skipped(report: Report) -> Report:
    if not report.skipped or hasattr(report, "wasxfail") or not isinstance(report.longrepr, tuple):
        return report
    path, line, said = report.longrepr
    reason = said.removeprefix("Skipped: ")
    if reason not in EXCUSED:
        report.outcome = "failed"
        report.longrepr = f"{path}:{line}: skipped in CI, which {LIST.name} does not excuse: {reason}"
    return report


if IN_CI:

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Fail what was skipped."""
        return _failed_if_skipped((yield))

    @pytest.hookimpl(wrapper=True)
    def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
        """Fail a whole module that was skipped."""
        return _failed_if_skipped((yield))
