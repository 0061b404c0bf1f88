"""What the simulation counts, and the figures that it prints."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from tests.bench.cluster.population import Floats, Ints, Population

if TYPE_CHECKING:
    from tests.bench.cluster.model import Network

BINS_S: Final = np.geomspace(1e-4, 100, 241)


@dataclass(frozen=True, slots=True)
class Figures:
    """Of one run. Rates are a second; shares are of what there is, 1 is all of it."""

    deliveries: float
    packets: float
    packet_mb: float
    writes: float
    write_mb: float
    gateway_cpu: float
    gateway_cpu_mean: float
    gateway_nic: float
    redis_cpu: float
    redis_nic: float
    connections: int
    p50_ms: float
    remote_p50_ms: float
    remote_p99_ms: float
    lag_ms: float
    remote_share: float

    @property
    def limit(self) -> tuple[str, float]:
        """What is used most, and how much of it."""
        used = {
            "gateway CPU": self.gateway_cpu,
            "gateway NIC": self.gateway_nic,
            "Redis CPU": self.redis_cpu,
            "Redis NIC": self.redis_nic,
        }
        return max(used.items(), key=lambda item: item[1])


class Meter:
    """Totals since `begin`."""

    def __init__(self, gateways: int, network: "Network") -> None:
        self._gateways = gateways
        self._network = network
        self.begin()

    def begin(self) -> None:
        """Count from here on."""
        self.work_s = np.zeros(self._gateways)
        self.redis_work_s = np.zeros(self._network.shards)
        self.bytes_in = np.zeros(self._gateways)
        self.bytes_out = np.zeros(self._gateways)
        self.deliveries = 0.0
        self.lag_s = 0.0
        self._packets = 0.0
        self._packet_bytes = np.zeros(self._network.shards)
        self._writes = 0.0
        self._write_bytes = np.zeros(self._network.shards)
        self._delays = {False: np.zeros(len(BINS_S) - 1), True: np.zeros(len(BINS_S) - 1)}

    def delay(self, seconds: Floats, deliveries: Ints, *, is_remote: bool = False) -> None:
        """So many deliveries came so long after they were said."""
        bins, _ = np.histogram(np.clip(seconds, BINS_S[0], BINS_S[-1]), BINS_S, weights=deliveries)
        self._delays[is_remote] += bins

    def count_packets(self, shard: Ints, packets: Floats, size_bytes: Floats) -> None:
        """Packets between gateways."""
        self._packets += float(packets.sum())
        self._packet_bytes += np.bincount(shard, size_bytes, self._network.shards)

    def count_writes(
        self, shard_of: Ints, rooms: Ints, room_bytes: Floats, rosters: Ints, roster_bytes: Floats
    ) -> None:
        """Rooms whose memory, and rosters that were written."""
        self._writes += len(rooms) + len(rosters)
        for written, size_bytes in ((rooms, room_bytes), (rosters, roster_bytes)):
            self._write_bytes += np.bincount(shard_of[written], size_bytes, self._network.shards)

    def figures(self, seconds: float, people: Population) -> Figures:
        """What was counted in `seconds`."""
        nic = self._network.nic_bytes_per_s * seconds
        one_way = np.maximum(self._packet_bytes + self._write_bytes, self._packet_bytes)
        return Figures(
            deliveries=self.deliveries / seconds,
            packets=self._packets / seconds,
            packet_mb=float(self._packet_bytes.sum()) / seconds / 1e6,
            writes=self._writes / seconds,
            write_mb=float(self._write_bytes.sum()) / seconds / 1e6,
            gateway_cpu=float(self.work_s.max()) / seconds,
            gateway_cpu_mean=float(self.work_s.mean()) / seconds,
            gateway_nic=float(max(self.bytes_in.max(), self.bytes_out.max())) / nic,
            redis_cpu=float(self.redis_work_s.max()) / seconds,
            redis_nic=float(one_way.max()) / nic,
            connections=int(people.connections.max()),
            p50_ms=_percentile(self._delays[False], 0.5) * 1000,
            remote_p50_ms=_percentile(self._delays[True], 0.5) * 1000,
            remote_p99_ms=_percentile(self._delays[True], 0.99) * 1000,
            lag_ms=self.lag_s * 1000,
            remote_share=people.remote_share,
        )


def _percentile(bins: Floats, share: float) -> float:
    if not bins.sum():
        return 0.0
    return float(BINS_S[int(np.searchsorted(np.cumsum(bins), share * bins.sum())) + 1])
