"""The pytest fixture that comes with the package (SPEC 8)."""

import subprocess
import sys
from pathlib import Path
from typing import Final

OURS: Final = ("-q", "-p", "no:cacheprovider", "-p", "omnisonic.testing", "-W", "error")


def pytest_in(folder: Path, **environ: str) -> tuple[int, str]:
    """Run pytest on a project of its own in `folder`."""
    command = [sys.executable, "-m", "pytest", *OURS]
    env = {"PATH": "/usr/bin:/bin", **environ}
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False, timeout=50)
    return done.returncode, done.stdout


def test_a_project_without_pytest_trio_does_not_notice_the_plugin(tmp_path: Path) -> None:
    """Nothing of Omnisonic is imported but the plugin itself, and what finds compiled modules."""
    (tmp_path / "test_theirs.py").write_text(
        "import sys\n"
        "def test_it():\n"
        "    assert not {'trio', 'msgspec', 'pytest_trio'} & set(sys.modules)\n"
        "    ours = {name for name in sys.modules if 'omnisonic.' in name}\n"
        "    assert ours == {'omnisonic.compilation', 'omnisonic.testing'}\n"
    )
    code, out = pytest_in(tmp_path, PYTEST_DISABLE_PLUGIN_AUTOLOAD="1")
    assert (code, "1 passed" in out) == (0, True), out


def test_the_fixture_works_in_trio_mode_too(tmp_path: Path) -> None:
    """A default gateway, and two tests have two of them."""
    (tmp_path / "pytest.ini").write_text("[pytest]\ntrio_mode = true\n")
    (tmp_path / "test_theirs.py").write_text(
        "import omnisonic\n"
        "seen = set()\n"
        "async def test_one(omnisonic_gateway):\n"
        "    seen.add(omnisonic_gateway.url)\n"
        "    async with omnisonic.connect(omnisonic_gateway.url, room='jam', name='Ada') as room:\n"
        "        assert await room.ask('note') == 1\n"
        "async def test_two(omnisonic_gateway):\n"
        "    assert omnisonic_gateway.rooms == []\n"
    )
    code, out = pytest_in(tmp_path)
    assert (code, "2 passed" in out) == (0, True), out
