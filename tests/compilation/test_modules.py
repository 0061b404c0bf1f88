"""What is compiled: its sources are known, and classes that others inherit from stay open to them."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

import omnisonic
from omnisonic.compilation import MODULES
from omnisonic.compilation.compiling import find_sources

PACKAGE: Final = Path(omnisonic.__file__).parent
TESTS: Final = Path(__file__).parent.parent
DECORATOR: Final = "mypyc_attr(allow_interpreted_subclasses=True)"
COMPILED: Final = {name: PACKAGE.parent / f"{name.replace('.', '/')}.py" for name in MODULES}


def classes(source: str) -> Iterator[ast.ClassDef]:
    """The classes of a module, also those in functions."""
    return (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ClassDef))


def inherited(source: str) -> set[tuple[str, str]]:
    """The classes of other modules that a module inherits from: their modules, and their names."""
    tree = ast.parse(source)
    imported = {
        alias.asname or alias.name: (node.module or "", alias.name)
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    bases = {ast.unparse(base).partition("[")[0] for each in classes(source) for base in each.bases}
    return {imported[base] for base in bases if base in imported}


@pytest.fixture(scope="module")
def closed() -> set[tuple[str, str]]:
    """The classes that are compiled, and raise `TypeError` when a class in Python inherits from them."""
    return {
        (name, each.name)
        for name, path in COMPILED.items()
        for each in classes(path.read_text())
        if DECORATOR not in map(ast.unparse, each.decorator_list) and "Protocol" not in map(ast.unparse, each.bases)
    }


def test_classes_that_others_inherit_from_are_open(closed: set[tuple[str, str]]) -> None:
    """In the package, the documents' rooms and the tests. The pure build would not notice."""
    paths = [*PACKAGE.rglob("*.py"), *(PACKAGE / "actors").rglob("*.py"), *TESTS.rglob("*.py")]
    compiled = {path.resolve() for path in COMPILED.values()}
    sources = {path: path.read_text() for path in paths if path.resolve() not in compiled}
    likely = {path: source for path, source in sources.items() if any(name in source for name in MODULES)}
    heirs = {path.name: found for path, source in likely.items() if (found := inherited(source) & closed)}
    assert heirs == {}
    assert ("omnisonic.actors.rooms.roster", "Roster") in closed


def test_what_inherits_from_an_open_class_is_found() -> None:
    """So that the test above can fail."""
    source = "from omnisonic.actors.rooms.roster import Roster as R\ndef f():\n    class Own(R[int], dict): ...\n"
    assert inherited(source) == {("omnisonic.actors.rooms.roster", "Roster")}


def test_the_sources_of_the_build_are_all_that_is_imported() -> None:
    """What is compiled, what that imports of ours, and nothing else."""
    sources = find_sources(PACKAGE, MODULES)
    assert {str(path.relative_to(PACKAGE)) for path in COMPILED.values()} <= set(sources)
    assert {"wire/closing.py", "models/__init__.py", "errors.py", "observability/trace_context.py"} <= set(sources)
    assert not {"__init__.py", "actors/gateway.py", "cli/main.py", "compilation/__init__.py"} & set(sources)
    assert find_sources(PACKAGE, ["omnisonic.wire.frames"]) == ["wire/frames.py"]
