"""How loud a stem is on the left and on the right. Pure.

Both laws keep the power of the two sides together, whatever the pan: sin² + cos² = 1. One channel is 3 dB down on
either side when it stands in the middle, and as it is on the one side when it stands there. Two channels are as they
are in the middle, and towards a side that side gains up to 3 dB while the other one goes away.
"""

import math


def gains(channels: int, gain_db: float, pan: float) -> tuple[float, float]:
    """The factors for the left and the right, of one channel or two; `pan` beyond -1 and 1 is as those."""
    angle = (min(max(pan, -1.0), 1.0) + 1) * math.pi / 4
    factor = 10 ** (gain_db / 20) * math.sqrt(channels)
    return math.cos(angle) * factor, math.sin(angle) * factor
