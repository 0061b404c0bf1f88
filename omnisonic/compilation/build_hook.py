"""A build hook of hatchling: with `OMNISONIC_COMPILE=1` a wheel holds the compiled build, and is for one Python then.

Without it the wheel is pure and needs no compiler. A checkout, which is installed as editable, is compiled by
`bin/compile` instead.
"""

import os
import shutil
import subprocess
import sys
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class CompilingHook(BuildHookInterface[Any]):
    """Compiles before the wheel is put together."""

    def dependencies(self) -> list[str]:
        """What compiling needs: mypyc, and the packages whose types it reads."""
        if not _is_wanted():
            return []
        core = self.metadata.core
        return [*core.optional_dependencies["compile"], *core.dependencies]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile into the folder of builds, and add the result to the wheel."""
        if version == "editable" or not _is_wanted():
            return
        built = self._built_folder()
        command = [sys.executable, "-m", "omnisonic.compilation", "--into", str(built)]
        subprocess.run(command, cwd=self.root, check=True)
        build_data["pure_python"] = False
        build_data["infer_tag"] = True
        abi = EXTENSION_SUFFIXES[0].split(".")[1]
        build_data["force_include"][str(built)] = f"omnisonic/compilation/built/{abi}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove what is in the wheel now."""
        del version, build_data, artifact_path
        shutil.rmtree(self._built_folder(), ignore_errors=True)

    def _built_folder(self) -> Path:
        return Path(self.directory, "compiled")


def _is_wanted() -> bool:
    return os.environ.get("OMNISONIC_COMPILE") == "1"
