"""What is measured of a gateway's cluster, as numbers. It reads, and changes nothing; it is called on any thread.

A peer is one run of a gateway, and its metrics have the name of the gateway: a gateway that is started again goes on
with the same. Metrics of a peer end when its link is forgotten. Overload: at most `PEERS` names; the rest of them are
added up as one.
"""

from collections import defaultdict
from typing import Final

from omnisonic.actors.cluster.cluster import Cluster
from omnisonic.actors.cluster.link_stats import PeerState, gateway_of
from omnisonic.actors.rooms.registry import Registry

PEERS: Final = 128
OTHERS: Final = "others"
"""The name of all peers over `PEERS`."""


class ClusterMeasures:
    """The numbers of one gateway."""

    def __init__(self, cluster: Cluster, registry: Registry) -> None:
        self._cluster = cluster
        self._registry = registry

    def measure(self) -> dict[str, float]:
        """The current value of each metric of the cluster."""
        cluster = self._cluster
        return {
            "lease": float(cluster.lease.is_valid),
            "rooms_owned": sum(cluster.claims.owns(actor.room_id) for actor in list(self._registry)),
            "edge_rooms": len(cluster.edges),
            "remote_members": len(cluster.owned),
            "rejoins": cluster.edges.rejoins,
        }

    def measure_peers(self) -> dict[str, dict[str, float]]:
        """The current value of each metric of peers, for each by its name."""
        measured: dict[str, dict[str, float]] = {}
        for state in self._cluster.links.describe():
            name = gateway_of(state.peer)
            if name not in measured and len(measured) >= PEERS:
                name = OTHERS
            sums = measured.setdefault(name, defaultdict(float))
            for figure, value in _measure_peer(state).items():
                sums[figure] = max(sums[figure], value) if figure in ("link_up", "lag") else sums[figure] + value
        return measured


def _measure_peer(state: PeerState) -> dict[str, float]:
    stats = state.stats
    return {
        "link_up": float(state.state == "open"),
        "lag": state.lag_s,
        "sent_packets": stats.packets_out,
        "received_packets": stats.packets_in,
        "sent_bytes": stats.bytes_out,
        "received_bytes": stats.bytes_in,
        "sent_messages": stats.messages_out,
        "received_messages": stats.messages_in,
        "resets": stats.resets,
    }
