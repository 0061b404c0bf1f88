"""What tests and documents import comes along with `pip install 'omnisonic[test]'`: nothing more need be installed."""

import ast
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path
from typing import Final

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.embedding.printed import programs

TESTS: Final = Path(__file__).parent
OURS: Final = {"omnisonic", "tests"}
SOURCES: Final = {
    "the tests": [path.read_text() for path in TESTS.rglob("*.py") if "bench" not in path.parts],
    "the documents": list(programs().values()),
}


def imported(source: str) -> Iterator[str]:
    """The packages that a program imports, by what stands before the first dot."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield str(node.module).partition(".")[0]


def coming(*wanted: Requirement) -> set[str]:
    """The distributions that these bring here, with all that they bring themselves."""
    come: set[str] = set()
    seen: set[tuple[str, str]] = set()
    waiting = list(wanted)
    while waiting:
        requirement = waiting.pop()
        come.add(canonicalize_name(requirement.name))
        for extra in {"", *requirement.extras}:
            if (requirement.name, extra) in seen:
                continue
            seen.add((requirement.name, extra))
            try:
                more = map(Requirement, requires(requirement.name) or ())
            except PackageNotFoundError:  # only wanted elsewhere
                continue
            waiting += [each for each in more if each.marker is None or each.marker.evaluate({"extra": extra})]
    return come


@pytest.mark.parametrize("of", SOURCES)
def test_whatever_is_imported_comes_along(of: str) -> None:
    """With what runs the tests; benchmarks are the developers'."""
    come, distributions = coming(Requirement("omnisonic[test]")), packages_distributions()
    wanted = {name for source in SOURCES[of] for name in imported(source)} - OURS - sys.stdlib_module_names
    assert wanted
    assert [name for name in wanted if come.isdisjoint(map(canonicalize_name, distributions.get(name, ())))] == []
