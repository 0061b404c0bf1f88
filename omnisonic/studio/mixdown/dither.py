"""From floating point to whole numbers, with dither. Pure, and the same every time.

Dither of two uniform numbers (TPDF, two steps wide) makes the error of rounding a steady noise that does not depend on
the sound (Lipshitz, Wannamaker, Vanderkooy: Quantization and Dither, 1992). Blocks of nothing but digital silence stay
that.
"""

from typing import Final, TypeAlias

import numpy as np
from numpy.random import SFC64
from numpy.typing import NDArray

from omnisonic.studio.mixdown import Bits
from omnisonic.studio.mixdown.blocks import Samples

Integers: TypeAlias = NDArray[np.int32]
"""One row a channel; full scale is `2 ** (bits - 1)`."""

SEED: Final = 770
HALF: Final = 65_536
"""Each uniform number is one of so many: much finer than a step is audible in."""


class Dither:
    """Takes the mix in blocks of two rows. One task owns it."""

    def __init__(self, bits: Bits) -> None:
        self._full_scale: int = 2 ** (bits - 1)
        self._noise = SFC64(SEED)
        self._peak = 0

    @property
    def peak(self) -> float:
        """The highest sample so far, of full scale."""
        return self._peak / self._full_scale

    def rounded(self, block: Samples) -> Integers:
        """The block in whole numbers. It does not reach full scale (`omnisonic.studio.mixdown.limiter`)."""
        if not block.any():
            return np.zeros(block.shape, np.int32)
        # In double precision: a step of 24 bits is the last bit of a float.
        exact = np.multiply(block, self._full_scale, dtype=np.float64)
        exact += self._dither(block.size).reshape(block.shape)
        rounded: Integers = np.rint(exact, out=exact).astype(np.int32)
        self._peak = max(self._peak, int(rounded.max()), -int(rounded.min()))
        return rounded

    def _dither(self, count: int) -> NDArray[np.float64]:
        uniform = np.asarray(self._noise.random_raw(-(-count // 2)), "<u8").view("<u2")[: 2 * count]
        dither: NDArray[np.float64] = np.subtract(uniform[:count], uniform[count:], dtype=np.float64)
        return dither / HALF
