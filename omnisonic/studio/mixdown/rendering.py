"""Renders a mix: the stems are read in `PARTS`, summed block by block, and given to the master. Blocking, and at the
mercy of the files: call it only in a process in the sandbox (`omnisonic.studio.mixdown.process`).

Which stem is in which part, and in what order they are summed, is always the same, so that the same files give the same
bytes. Memory grows with the number of stems, and not with their length. Overload: nothing is read much before it is
needed. Shutdown: end the process.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from itertools import chain, zip_longest
from typing import BinaryIO, Final

import msgspec

from omnisonic.models import ExportFormat
from omnisonic.studio.mixdown import Bits, Mixed, Project
from omnisonic.studio.mixdown.blocks import BLOCK_FRAMES, Samples
from omnisonic.studio.mixdown.click import click, click_frames
from omnisonic.studio.mixdown.master import Master, recording
from omnisonic.studio.mixdown.part import Part, Readable, Stems
from omnisonic.studio.mixdown.submix import Sum

PARTS: Final = 2
MOST_SENTENCES: Final = 10
"""On files in which something is missing."""
ALMOST: Final = 0.99
"""How far it is at most until it is done: what files say of their length need not be true."""


def read_here(shares: Sequence[Stems]) -> list[Readable]:
    """Read them in this process."""
    return [Part(share) for share in shares]


def render(
    project: Project,
    files: Sequence[BinaryIO],
    output: BinaryIO,
    format_: ExportFormat,
    *,
    bits: Bits = 24,
    told: Callable[[float], None],
    read: Callable[[Sequence[Stems]], Sequence[Readable]] = read_here,
) -> Mixed:
    """Mix `files`, each the sound of the stem in its place, into `output`, which can be sought and is written from its
    beginning. `told` hears how much is done, from 0 to 1, never less than before. `read` has each
    of the shares of the stems read.

    Errors: `UnusableStem`, `OSError` when `output` cannot be written; what is in it is then of no use.
    """
    with ExitStack() as stack:
        stems = list(zip(project.stems, files, strict=True))
        shares = [stems[begin::PARTS] for begin in range(PARTS)]
        parts = [stack.enter_context(closing(part)) for part in read([share for share in shares if share])]
        length = max([part.frames_said() for part in parts], default=click_frames(project))
        master = Master(recording(output, format_, bits))
        done = 0
        told(0.0)
        for block in _mixed(parts) if parts else click(project):
            master.go_on(block)
            done += block.shape[1]
            told(min(done / length, ALMOST) if length else 0.0)
        result = msgspec.structs.replace(master.finish(), warning=_warning([part.missing() for part in parts]))
    told(1.0)
    return result


def _warning(missing: Sequence[Sequence[str | None]]) -> str | None:
    """What is missing in the stems of each part, in the order of the stems."""
    in_turn = chain.from_iterable(zip_longest(*missing))
    sentences = [sentence for sentence in in_turn if sentence is not None]
    more = len(sentences) - MOST_SENTENCES
    if more > 0:
        sentences[MOST_SENTENCES:] = [f"Something is missing in {more} more."]
    return " ".join(sentences) or None


def _mixed(parts: Sequence[Readable]) -> Iterator[Samples]:
    """The sum of all parts, in blocks of two rows."""
    total = Sum([part.read for part in parts])
    while (block := total.read(BLOCK_FRAMES)).shape[1]:
        yield block
