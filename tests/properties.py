"""How properties are drawn: anew in every run, so that each run may find what no run before it has found.

Hypothesis itself draws the same examples again and again where `CI` is set; these tests do not. There nothing is kept
between runs, so that one seed is drawn for all of them and printed at the top: pytest's `--hypothesis-seed` draws the
same again. Elsewhere what failed is kept in `.hypothesis` and tried first by the next run. A failure prints how to make
it again in either place (`@reproduce_failure`).

What a run has found stays in the test as an `@example`.
"""

import os
import secrets
from typing import Final

import pytest
from hypothesis import HealthCheck, settings

IN_CI: Final = bool(os.environ.get("CI"))

settings.register_profile(
    "anew",
    settings.get_profile("default"),
    print_blob=True,
    database=None if IN_CI else settings.get_profile("default").database,
    # How long an example takes says how busy the machine is. What must be quick has a test that measures it.
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("anew")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Draw the seed, before Hypothesis and pytest-xdist look for it."""
    if IN_CI and config.option.hypothesis_seed is None:
        config.option.hypothesis_seed = str(secrets.randbits(32))


def pytest_report_header(config: pytest.Config) -> str | None:
    """Say which seed it is."""
    seed = config.option.hypothesis_seed
    return None if seed is None else f"properties: --hypothesis-seed={seed}"
