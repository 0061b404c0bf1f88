"""httpx for what the studio asks of other programs, without the command line that it has for people.

httpx imports its command line, and with it rich and Pygments, wherever they are installed, and does without where they
are not. That is a twelfth of a start of the web, and 8 MB of its memory. So they are hidden from it.
"""

import sys

sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]  # "do not import" (Python's documentation)

import httpx  # noqa: E402

__all__ = ["httpx"]
