"""`python -m omnisonic.compilation`: makes or removes the compiled build. `bin/compile` runs it."""

import argparse
import shutil
import sys
from pathlib import Path

from omnisonic.compilation import built_folder
from omnisonic.compilation.compiling import CannotCompile, compile_modules


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser("omnisonic.compilation", description="Compile the hot path of the rooms.")
    parser.add_argument("--clean", action="store_true", help="remove what was compiled, for every Python")
    parser.add_argument("--into", type=Path, default=built_folder(), help="the folder for the result")
    asked = parser.parse_args()
    if asked.clean:
        shutil.rmtree(built_folder().parent, ignore_errors=True)
        return
    try:
        compile_modules(asked.into.absolute())
    except CannotCompile as problem:
        sys.exit(str(problem))
    print(f"compiled into {asked.into}")  # noqa: T201 - it is a command


if __name__ == "__main__":
    main()
