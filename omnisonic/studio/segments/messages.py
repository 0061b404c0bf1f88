"""The messages from the process that cuts a file into segments to the worker that started it: a header, then bytes."""

import struct
from enum import IntEnum
from typing import Final

HEADER: Final = struct.Struct("<BI")
"""The type of a message, and how many bytes follow."""
MOST_BYTES: Final = 8_388_608
"""Of one message: three times a segment of 24 bits that cannot be compressed."""


class MessageType(IntEnum):
    """The types of messages, and what follows."""

    SEGMENT = 0
    """The FLAC file of the next segment."""
    DONE = 1
    """A `Cut` as JSON. The last message."""
    UNUSABLE = 2
    """A sentence: there are no segments because of the file. The last message."""
    FAILED = 3
    """A sentence: there are no segments, and the file is not to blame. The last message."""
