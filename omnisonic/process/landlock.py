"""Landlock: gives up the access to files, TCP ports and other processes (landlock(7)). Linux 5.13 and later.

The ruleset has no exceptions: open files stay usable, and nothing else can be opened, created, removed or renamed.

Kernels: files since 5.13 (ABI 1), renaming and truncating since 6.2 (3), TCP since 6.7 (4), ioctl on devices since 6.10
(5), signals and abstract sockets since 6.12 (6). An older kernel refuses what it knows. A kernel without Landlock, or
where it is switched off at boot or forbidden by a container, has ABI 0. It cannot be removed before the process ends.
"""

import ctypes
import errno
import os
import struct
import sys
from typing import Final

CREATE_RULESET: Final = 444
RESTRICT_SELF: Final = 446
"""System calls. Their numbers are the same on all machines with Python wheels."""
CREATE_RULESET_VERSION: Final = 1
FILE_RIGHTS: Final = ((1, 0x1FFF), (2, 0x3FFF), (3, 0x7FFF), (5, 0xFFFF))
"""ABI versions, and the file rights that can be refused since then."""
TCP_ABI: Final = 4
BIND_AND_CONNECT: Final = 0b11
SCOPE_ABI: Final = 6
SIGNALS_AND_ABSTRACT_SOCKETS: Final = 0b11
_RULESET: Final = struct.Struct("=QQQ")
"""struct landlock_ruleset_attr: files, TCP, scope. Older kernels accept a longer one that ends in zeros."""
_UNAVAILABLE: Final = (errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM)
"""Not built in, switched off at boot, forbidden by a container."""


def landlock_abi() -> int:
    """The version of Landlock in this kernel; 0 for none."""
    if sys.platform != "linux":
        return 0
    try:
        return _call(CREATE_RULESET, None, 0, CREATE_RULESET_VERSION)
    except OSError as problem:
        if problem.errno in _UNAVAILABLE:
            return 0
        raise


def forbid_access(abi: int) -> None:
    """Give up everything that `abi` can refuse. `no_new_privs` must be set. Raises `OSError`."""
    files = max(rights for since, rights in FILE_RIGHTS if since <= abi)
    tcp = BIND_AND_CONNECT if abi >= TCP_ABI else 0
    scope = SIGNALS_AND_ABSTRACT_SOCKETS if abi >= SCOPE_ABI else 0
    ruleset = _call(CREATE_RULESET, _RULESET.pack(files, tcp, scope), _RULESET.size, 0)
    try:
        _call(RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)


def _call(number: int, *arguments: int | bytes | None) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    result = int(libc.syscall(number, *arguments))
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result
