"""What is measured of a gateway, as numbers. It reads, and changes nothing; it is called on any thread."""

from typing import TYPE_CHECKING

from omnisonic.wire.closing import CloseCode

if TYPE_CHECKING:
    from omnisonic.actors.gateway import Gateway


def measure_gateway(gateway: "Gateway") -> dict[str, float]:
    """The current value of each metric of `omnisonic.actors.runtime.telemetry`."""
    actors = list(gateway.registry)
    totals = gateway.registry.totals()
    messages, events = gateway.message_writer, gateway.event_writer
    return {
        "connections": len(gateway.connections),
        "rooms": len(actors),
        "members": sum(len(actor.entries) for actor in actors),
        "messages": totals.messages,
        "deliveries": totals.deliveries,
        "fanned_out_bytes": totals.fanned_out_bytes,
        "mailbox_depth": max((len(actor.mailbox.queue) for actor in actors), default=0),
        "room_restarts": gateway.counters.room_restarts,
        "dead_letters": gateway.registry.dead_letters.total,
        "slow_consumer_closes": gateway.counters.closes.get(CloseCode.TOO_SLOW, 0),
        "mirror_lag_s": gateway.mirror_lag_s(),
        "memory_lag_s": gateway.memory_lag_s(),
        "kept_messages": 0 if messages is None else messages.written,
        "keep_lag_s": 0.0 if messages is None else messages.lag_s,
        "dropped_room_events": 0 if events is None else events.dropped,
    }
