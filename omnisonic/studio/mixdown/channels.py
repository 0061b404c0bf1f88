"""From however many channels to one or two (ITU-R BS.775-4, annex 4). Pure.

One channel stays one and two stay two. Of more, those on a side go to that side, those in the middle and behind to
both, at -3 dB; the one for low effects is left out, as the recommendation has it. The whole is then turned down so far
that no side can become louder than one channel at full scale could.
"""

from typing import Final

import numpy as np

from omnisonic.studio.mixdown.blocks import Samples

UNNAMED: Final = {
    3: "FL FR FC",
    4: "FL FR FC BC",
    5: "FL FR FC BL BR",
    6: "FL FR FC FC BL BR",
    7: "FL FR FC FC BC SL SR",
    8: "FL FR FC FC BL BR SL SR",
}
"""What the channels of a file are when it does not say: the usual order, but without one for low effects, which is to
be heard if it is not one. Of more channels than that, all are in the middle."""
NAMELESS: Final = "NONE"
MINUS_3_DB: Final = 0.5**0.5
LOW: Final = ("LFE", "LFE2")


def fold(samples: Samples, names: tuple[str, ...]) -> Samples:
    """One row or two, of these samples whose channels have these names."""
    if len(names) <= 2:
        return samples
    if NAMELESS in names:
        names = tuple(UNNAMED.get(len(names), "FC " * len(names)).split())
    weights = np.array([_weights(name) for name in names], np.float32).T
    weights /= max(float(weights.sum(axis=1).max()), 1.0)
    folded: Samples = weights @ samples
    return folded


def _weights(name: str) -> tuple[float, float]:
    """How loud it is on the left and on the right."""
    if name in LOW:
        return 0.0, 0.0
    side = 1.0 if name in ("FL", "FR", "DL", "DR") else MINUS_3_DB
    if name.endswith("L"):
        return side, 0.0
    if name.endswith("R"):
        return 0.0, side
    behind = MINUS_3_DB if name.startswith("B") else 1.0
    return MINUS_3_DB * behind, MINUS_3_DB * behind
