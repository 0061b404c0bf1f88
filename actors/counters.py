"""What a gateway counts: plain numbers, added to in place and read by whoever wants to know (SPEC 7)."""

from dataclasses import dataclass, field

from omnisonic.wire.closing import CloseCode


@dataclass(slots=True)
class Counters:
    """Totals since the gateway started."""

    connections: int = 0
    refusals: int = 0
    messages: int = 0
    deliveries: int = 0
    fanned_out_bytes: int = 0
    room_restarts: int = 0
    connection_crashes: int = 0
    closes: dict[CloseCode, int] = field(default_factory=dict)

    def handled(self, messages: int, deliveries: int, size: int) -> None:
        """A room had a turn."""
        self.messages += messages
        self.deliveries += deliveries
        self.fanned_out_bytes += size

    def restarted(self) -> None:
        """A room crashed."""
        self.room_restarts += 1

    def closed(self, code: CloseCode) -> None:
        """This end closed a connection."""
        self.closes[code] = self.closes.get(code, 0) + 1
