"""What a gateway counts by itself: plain numbers, added to in place and read by whoever wants to know (SPEC 7)."""

from dataclasses import dataclass, field

from omnisonic.wire.closing import CloseCode


@dataclass(slots=True)
class Counters:
    """Totals since the gateway started."""

    connections: int = 0
    room_restarts: int = 0
    connection_crashes: int = 0
    closes: dict[CloseCode, int] = field(default_factory=dict)

    def count_close(self, code: CloseCode) -> None:
        """Note that a connection was closed by this end."""
        self.closes[code] = self.closes.get(code, 0) + 1
