"""The command `omnisonic`, also as `python -m omnisonic`."""

import sys


def main() -> None:
    """Run the command. It needs the extra `studio`, which the library does not bring."""
    try:
        from omnisonic.cli.main import main as run
    except ModuleNotFoundError as missing:
        if missing.name is None or missing.name.startswith("omnisonic"):
            raise
        sys.exit(f"The command needs {missing.name}, which is not installed. Run: pip install 'omnisonic[studio]'")
    run()


if __name__ == "__main__":
    main()
