"""Which rooms this gateway owns, from when to when, for the log (`LOG_LEVEL=debug`).

The logs of all gateways together tell whether a room ever had two owners: a gateway owns it from `room.owned` to
`room.not_owned`, and no longer than `until_s` of the last `lease.renewed` before. All times are those of the lease's
clock, which all gateways on one machine share.
"""

import logging

from omnisonic.actors.runtime.clock import boot_time_s
from omnisonic.models import RoomId

_log = logging.getLogger(__name__)


def note_owned(room_id: RoomId, run: str, fence: int) -> None:
    """The run has claimed the room, or may act for it again."""
    _log.debug("room.owned", extra={"room": room_id, "run": run, "fence": fence, "at_s": boot_time_s()})


def note_not_owned(room_id: RoomId, run: str) -> None:
    """The run does not act for the room from now on."""
    _log.debug("room.not_owned", extra={"room": room_id, "run": run, "at_s": boot_time_s()})


def note_renewed(run: str, until_s: float) -> None:
    """The run may act for its rooms until then."""
    _log.debug("lease.renewed", extra={"run": run, "until_s": until_s})
