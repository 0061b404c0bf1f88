"""The cluster of a gateway, put into the gateway: where its rooms are, and what operators see of it (SPEC 5.4, 5.5)."""

from collections.abc import Callable
from typing import Final

from omnisonic.actors.cluster.cluster import Cluster
from omnisonic.actors.cluster.measures import ClusterMeasures
from omnisonic.actors.gateway import Gateway
from omnisonic.actors.inspection.peers import GatewayPeers
from omnisonic.actors.inspection.readiness import NotReady
from omnisonic.actors.runtime.telemetry import ANY_TARGET, MetricsTarget, publish_cluster_metrics

NO_LEASE: Final = (
    "It has no lease in Redis, so its rooms are provisional: nothing is acknowledged, and another gateway may own them."
)


async def join_cluster(gateway: Gateway, cluster: Cluster) -> None:
    """Let rooms be where the cluster says, show the cluster to operators, and start it. Before the gateway starts."""
    gateway.cluster = cluster
    gateway.find_place, gateway.release_rooms = cluster.find_place, cluster.hand_over

    async def check_lease() -> None:
        if not cluster.lease.is_valid:
            raise NotReady(NO_LEASE)

    gateway.readiness.checks["lease"] = check_lease
    gateway.readiness.facts["cluster"] = lambda: _count(cluster)
    gateway.notes["lease"] = lambda: f"{'valid' if cluster.lease.is_valid else 'not valid'}, as {cluster.lease.run}"
    gateway.notes["links"] = lambda: _describe_links(cluster)
    gateway.notes["cluster"] = lambda: f"{len(cluster.edges)} edge rooms, {len(cluster.owned)} members elsewhere"
    peers = GatewayPeers(cluster, gateway.registry, gateway.inspection.serve_here, gateway.options.admin_token or None)
    cluster.inspection = peers
    await cluster.start()
    await gateway.start_child("peer_answers", peers.answers.run)
    if peers.questions is not None:
        await gateway.start_child("peer_questions", peers.questions.run)
        gateway.inspection.ask_owners(peers.questions)


def measure_cluster(gateway: Gateway, target: MetricsTarget = ANY_TARGET) -> Callable[[], None]:
    """Register the metrics of the gateway's cluster, if it has one. Returns what ends this."""
    if gateway.cluster is None:
        return _do_nothing
    return publish_cluster_metrics(ClusterMeasures(gateway.cluster, gateway.registry), target)


def _do_nothing() -> None:
    """Nothing was registered."""


def _count(cluster: Cluster) -> dict[str, str | int]:
    """What anybody may know: numbers, and no names."""
    states = [state.state for state in cluster.links.describe()]
    return {
        "lease": "valid" if cluster.lease.is_valid else "not valid",
        "links": len(states),
        "open": states.count("open"),
        "silent": states.count("silent"),
    }


def _describe_links(cluster: Cluster) -> str:
    states = [state.state for state in cluster.links.describe()]
    return f"{len(states)} peers, {states.count('open')} open, {states.count('silent')} silent"
