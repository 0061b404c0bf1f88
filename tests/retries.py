"""A test that measures time is tried again as a whole when it failed while programs had to wait for a processor.

Then it was the machine that was late. A test says by the mark `timing` that it measures time. Each try that is left out
is listed at the end of the run, with how long was waited. A test that fails on an idle machine has failed.
"""

from collections.abc import Generator
from typing import Final

import pytest
from _pytest.runner import runtestprotocol

from tests.cpu_pressure import waited_s

TRIES: Final = 3
STARVED_S: Final = 0.05
"""What a bound has room for. Where programs waited longer in all, something was perhaps late by that."""
KEY: Final = "tried again"


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    """Run a test that measures time, at most `TRIES` times."""
    if item.get_closest_marker("timing") is None:
        return None
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    late: list[str] = []
    while True:
        before_s = waited_s()
        reports = runtestprotocol(item, nextitem=nextitem, log=False)
        lost_s = waited_s() - before_s
        failed = [report.when for report in reports if report.failed]
        if failed != ["call"] or lost_s < STARVED_S or len(late) == TRIES - 1:
            break
        late.append(f"it failed when programs had waited {lost_s:.2f} s for a processor: {_said(reports)}")
        item._initrequest()  # type: ignore[attr-defined]  # as pytest does before the first try
    for report in reports:
        if report.when == "call":
            report.user_properties += [(KEY, reason) for reason in late]
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


@pytest.hookimpl(wrapper=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> Generator[None, None, None]:
    """List the tries that were left out."""
    yield
    reports = [report for kind in terminalreporter.stats.values() for report in kind]
    lines = [
        f"{report.nodeid}: {reason}"
        for report in reports
        if isinstance(report, pytest.TestReport)
        for key, reason in report.user_properties
        if key == KEY
    ]
    if lines:
        terminalreporter.section(KEY)
        for line in lines:
            terminalreporter.write_line(line)


def _said(reports: list[pytest.TestReport]) -> str:
    """The last line of what the failure says that names an error."""
    lines = [line.strip(" |+-") for report in reports if report.failed for line in report.longreprtext.splitlines()]
    return next((line for line in reversed(lines) if "Error" in line), "")
