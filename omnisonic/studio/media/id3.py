"""The tags that some programs put before a file of any kind (ID3v2.4, 3.1). Pure."""

from typing import Final

HEADER_BYTES: Final = 10
FOOTER_BYTES: Final = 10
HAS_FOOTER: Final = 0x10
MOST_TAGS: Final = 8
"""One after the other."""


def tag_bytes(head: bytes) -> int:
    """How long the tag is with which this begins; 0 when it is none. The first `HEADER_BYTES` are enough."""
    if len(head) < HEADER_BYTES or not head.startswith(b"ID3") or max(head[6:HEADER_BYTES]) > 0x7F:
        return 0
    size = 0
    for byte in head[6:HEADER_BYTES]:
        size = size << 7 | byte
    return HEADER_BYTES + size + (FOOTER_BYTES if head[5] & HAS_FOOTER else 0)
