"""What proc(5) says of a running process. Linux only."""

import re
from pathlib import Path


def figure_kib(pid: int, name: str) -> int:
    """A line of its status, such as `VmRSS`, or `VmHWM`, which is the most that this ever was; in KiB."""
    found = re.search(rf"^{name}:\s+(\d+)", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1])
