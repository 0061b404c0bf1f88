"""What `bin/venv` installs: the versions in constraints.txt, with pip and with uv, for the build as well.

Each test has a checkout of its own, without anything from the network: two versions of one dependency and two of one
build system lie in a folder, and the newer ones are not wanted.
"""

import base64
import hashlib
import itertools
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeAlias

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT: Final = Path(__file__).parent.parent
CONSTRAINTS: Final = ROOT / "constraints.txt"
DEADLINE_S: Final = 120.0
PINNED: Final = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*==[0-9][0-9a-z.]*(?: ; [a-z_]+ [<>=!]+ '[A-Za-z0-9.*]+')?")
"""A name, an exact version, and perhaps for whom: no address, no path, no hash."""
OF_SEVERAL_VERSIONS: Final = frozenset({"numpy"})
"""Its newest version for an older Python is an older one. What is used of it is the same in both."""
SUPPORTED: Final = list(itertools.product(("3.11", "3.12", "3.13", "3.14"), ("linux", "darwin")))
PROJECT: Final = """
[build-system]
requires = ["builder"]
build-backend = "builder"

[project]
name = "studio"
version = "1"
dependencies = ["strings"]
optional-dependencies = { embedded = [], test = [], dev = [] }
"""
BUILDER: Final = """
import base64, hashlib, pathlib, zipfile

def build_editable(folder, config_settings=None, metadata_directory=None):
    return build_wheel(folder)

def build_wheel(folder, config_settings=None, metadata_directory=None):
    name = "studio-1-py3-none-any.whl"
    files = {
        "studio.py": "BUILT_BY = VERSION",
        "studio-1.dist-info/METADATA": "Metadata-Version: 2.1\\nName: studio\\nVersion: 1\\nRequires-Dist: strings\\n"
            "Provides-Extra: embedded\\nProvides-Extra: test\\nProvides-Extra: dev\\n",
        "studio-1.dist-info/WHEEL": "Wheel-Version: 1.0\\nGenerator: own\\n"
            "Root-Is-Purelib: true\\nTag: py3-none-any\\n",
    }
    with zipfile.ZipFile(pathlib.Path(folder, name), "w") as wheel:
        record = "".join(f"{path},," + chr(10) for path in files) + "studio-1.dist-info/RECORD,," + chr(10)
        for path, text in {**files, "studio-1.dist-info/RECORD": record}.items():
            wheel.writestr(path, text)
    return name
"""

Install: TypeAlias = Callable[[str], dict[str, str]]


def wheel(folder: Path, name: str, version: str, source: str) -> None:
    """Put a wheel of one module into `folder`."""
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}.py": source,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: a-test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    digests = {
        path: base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        for path, text in files.items()
    }
    record = "".join(f"{path},sha256={digests[path]},{len(text)}\n" for path, text in files.items())
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as packed:
        for path, text in {**files, f"{info}/RECORD": f"{record}{info}/RECORD,,\n"}.items():
            packed.writestr(path, text)


def uv() -> str | None:
    """The uv of this environment or of the PATH."""
    ours = Path(sysconfig.get_path("scripts")) / "uv"
    return str(ours) if ours.exists() else shutil.which("uv")


@pytest.fixture(params=["pip", "uv"])
def install(request: pytest.FixtureRequest, tmp_path: Path) -> Install:
    """Have the checkout installed with these constraints; what came of it."""
    root, packages, programs = tmp_path / "a checkout", tmp_path / "packages", tmp_path / "programs"
    for folder in (root / "bin", packages, programs):
        folder.mkdir(parents=True)
    shutil.copy(ROOT / "bin" / "venv", root / "bin")
    (root / "pyproject.toml").write_text(PROJECT)
    (programs / "python3").symlink_to(Path(sys.base_prefix) / "bin" / f"python3.{sys.version_info.minor}")
    if request.param == "uv":
        program = uv()
        if program is None:
            pytest.skip("there is no uv here")
        (programs / "uv").symlink_to(program)
    for version in ("1.0", "2.0"):
        wheel(packages, "strings", version, f"VERSION = {version!r}\n")
        wheel(packages, "builder", version, BUILDER.replace("VERSION", repr(version)))
    environ = {
        "PATH": f"{programs}:/usr/bin:/bin",
        "HOME": str(tmp_path),
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": packages.as_uri(),
        "UV_NO_CONFIG": "1",
        "UV_OFFLINE": "1",
        "UV_NO_INDEX": "1",
        "UV_FIND_LINKS": str(packages),
        "UV_PYTHON_DOWNLOADS": "never",
        # Both versions are of one size, and what was compiled of the one may pass for the other's.
        "PYTHONDONTWRITEBYTECODE": "1",
        "PIP_NO_COMPILE": "1",
    }

    def installed(constraints: str) -> dict[str, str]:
        (root / "constraints.txt").write_text(constraints)
        script = 'root=$PWD; . bin/venv; need embedded; exec "$python" -c "$TELL"'
        tell = "import strings, studio; print(strings.VERSION, studio.BUILT_BY)"
        done = subprocess.run(
            ["/bin/sh", "-eu", "-c", script],
            cwd=root,
            env=environ | {"TELL": tell},
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return dict(zip(("dependency", "built by"), done.stdout.split(), strict=True))

    return installed


def test_the_versions_in_the_constraints_are_installed(install: Install) -> None:
    """Of what the checkout needs and of what builds it; when they change, what was installed changes with them."""
    assert install("strings==1.0\nbuilder==1.0\n") == {"dependency": "1.0", "built by": "1.0"}
    assert install("strings==2.0\nbuilder==1.0\n")["dependency"] == "2.0"
    assert install("strings==1.0\nbuilder==2.0\n") == {"dependency": "1.0", "built by": "2.0"}


def constraints() -> list[str]:
    """The lines of the file without its comments."""
    return [line for line in CONSTRAINTS.read_text().splitlines() if not line.startswith("#")]


def test_constraints_are_names_and_exact_versions_only() -> None:
    """They say nothing of where anything comes from, so that they hold wherever it comes from."""
    assert [line for line in constraints() if not PINNED.fullmatch(line)] == []
    assert len(constraints()) > 100


@pytest.mark.parametrize(("python", "platform"), SUPPORTED)
def test_everything_that_is_declared_has_one_version(python: str, platform: str) -> None:
    """On every Python and system, and it is one that pyproject.toml allows."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    extras = project["project"]["optional-dependencies"].values()
    wanted = [
        Requirement(line)
        for line in itertools.chain(
            project["build-system"]["requires"], project["project"]["dependencies"], *extras, ["editables"]
        )
        if not line.startswith("omnisonic")
    ]
    environment = {name: str(value) for name, value in default_environment().items()} | {
        "python_version": python,
        "python_full_version": f"{python}.4",
        "sys_platform": platform,
    }
    named: dict[str, list[str]] = {}
    for requirement in map(Requirement, constraints()):
        if requirement.marker is None or requirement.marker.evaluate(environment):
            named.setdefault(canonicalize_name(requirement.name), []).append(str(requirement.specifier)[2:])
    for requirement in wanted:
        (version,) = named.get(canonicalize_name(requirement.name), [None])
        assert version is not None, f"{requirement.name}: run bin/renew-constraints"
        assert requirement.specifier.contains(Version(version), prereleases=True), f"{requirement}: {version}"


def test_the_product_stands_on_the_same_versions_on_every_python() -> None:
    """All tests run on one Python. A version that another one alone gets is one that they have not seen."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    lines = itertools.chain(project["dependencies"], *(extras[name] for name in ("studio", "embedded")))
    needed = {canonicalize_name(Requirement(line).name) for line in lines}
    several = {name for line in constraints() if ";" in line and (name := line.partition("==")[0]) in needed}
    assert several <= OF_SEVERAL_VERSIONS
