"""What must be true of the simulation, whatever its constants are."""

import numpy as np
import pytest

from tests.bench.cluster.check import simulate_even
from tests.bench.cluster.costs import MEASURED, Costs
from tests.bench.cluster.model import Cluster, Load, Network
from tests.bench.cluster.population import Routing, make_sizes, place
from tests.bench.cluster.report import Figures
from tests.bench.cluster.restart import largest_welcome, restart

MEMBERS = 20_000


def run(
    routing: Routing, *, seed: int = 1, stray: float = 0.0, factor: float = 1.0, costs: Costs = MEASURED
) -> Figures:
    """A small cluster: ten gateways."""
    rng = np.random.default_rng(seed)
    people = place(rng, make_sizes(rng, MEMBERS, 500), 10, routing, stray=stray, spread_above=0)
    return Cluster(rng, people, Load(factor=factor), Network(), costs).run(0.5)


def test_the_same_seed_gives_the_same_figures() -> None:
    """And another one others."""
    assert run("none", seed=7) == run("none", seed=7) != run("none", seed=8)


def test_members_are_where_the_routing_says() -> None:
    """All of them; a room has one owner, where it has members; spread rooms go anywhere."""
    rng = np.random.default_rng(1)
    sizes = make_sizes(rng, MEMBERS, 500)
    assert (sizes.sum(), sizes.max()) == (MEMBERS, 500)
    for routing in ("none", "room"):
        people = place(rng, sizes, 10, routing, stray=0.0, spread_above=0)
        assert people.connections.sum() == MEMBERS
        assert (people.local > 0).all()
        assert np.add.reduceat(people.entry_members, people.entry_begin[:-1]).tolist() == sizes.tolist()
        assert (people.remote_share == 0) == (routing == "room")
    spread = place(rng, sizes, 10, "room", stray=0.0, spread_above=400)
    assert 0 < spread.remote_share < sizes[sizes > 400].sum() / MEMBERS


def test_rooms_that_are_at_one_gateway_need_no_packet() -> None:
    """A few members elsewhere do."""
    assert run("room").packets == 0
    assert 0 < run("room", stray=0.01).packets < run("none").packets


def test_under_more_load_batches_grow_and_everything_still_arrives() -> None:
    """Ten times the messages take less than ten times the packets. Slow processors are used up."""
    light, heavy = run("none"), run("none", factor=10)
    assert heavy.deliveries == pytest.approx(10 * light.deliveries, rel=0.2)
    assert heavy.packets < 5 * light.packets
    assert run("none", factor=10, costs=MEASURED.scaled(50)).limit[1] > 0.8


def test_two_gateways_have_the_deliveries_of_their_rooms() -> None:
    """What `check` compares: half of the members are far, and each hears each message."""
    figures = simulate_even((20, 50), 10.0, MEASURED, 1.0)
    assert figures.remote_share == pytest.approx(0.5)
    assert figures.deliveries == pytest.approx(20 * 10 * 50, rel=0.3)
    assert figures.remote_p50_ms > figures.p50_ms


def test_more_shards_answer_more_claims() -> None:
    """All rooms of a gateway that ended are claimed once; a room twice as large is not welcomed on one gateway."""
    rng = np.random.default_rng(1)
    people = place(rng, make_sizes(rng, MEMBERS, 500), 10, "room", stray=0.0, spread_above=0)
    one, six = (restart(rng, people, Network(shards=shards), MEASURED, ended=10) for shards in (1, 6))
    assert one.rooms == six.rooms == len(people.size)
    assert six.all_after_s < one.all_after_s
    assert largest_welcome(Network(), MEASURED, gateways=4) == pytest.approx(
        2 * largest_welcome(Network(), MEASURED, gateways=1), abs=2
    )


def test_what_was_measured_can_be_read_again() -> None:
    """As JSON."""
    assert Costs.read(MEASURED.to_json()) == MEASURED
