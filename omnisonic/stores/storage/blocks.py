"""Bytes as they come, in larger blocks: what is done to each block has a price of its own, such as a thread's hop."""

from collections.abc import AsyncIterator

from omnisonic.stores.storage import CHUNK_BYTES


async def in_blocks(chunks: AsyncIterator[bytes], size: int = CHUNK_BYTES) -> AsyncIterator[bytes]:
    """The same bytes, in blocks of at least `size` but for the last. No chunk is cut, and none read ahead."""
    waiting: list[bytes] = []
    waiting_bytes = 0
    async for chunk in chunks:
        waiting.append(chunk)
        waiting_bytes += len(chunk)
        if waiting_bytes >= size:
            block = waiting[0] if len(waiting) == 1 else b"".join(waiting)
            waiting, waiting_bytes = [], 0
            yield block
    if waiting_bytes:
        yield b"".join(waiting)
