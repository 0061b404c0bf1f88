"""What is known of a link of this gateway with a peer: its state, and its totals. Pure."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

LinkState: TypeAlias = Literal["open", "silent", "opening", "idle"]
"""`open`: the peer was heard. `silent`: it is needed, and was not heard for `SILENT_S`. `opening`: it is needed, and
has not answered yet. `idle`: nobody needs it now."""


@dataclass(slots=True)
class LinkStats:
    """Totals of one link, over its resets. Packets without messages count, beats are no messages, parts are."""

    packets_out: int = 0
    packets_in: int = 0
    bytes_out: int = 0
    bytes_in: int = 0
    messages_out: int = 0
    messages_in: int = 0
    resets: int = 0


@dataclass(frozen=True, slots=True)
class PeerState:
    """The link with one peer: how it is, how long ago the peer was heard, how far behind it is, and its totals."""

    peer: str
    state: LinkState
    heard_s: float
    lag_s: float
    stats: LinkStats


def gateway_of(run: str) -> str:
    """The name of the gateway of which this is a run."""
    return run.rpartition(":")[0] or run
