"""Which networks are measured: inside the space, spread over it, and every operator seen."""

from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.latency.sampling import design_networks, sample_networks
from pipeline.space.architecture import Architecture
from pipeline.space.cost import architecture_cost, macs_range
from pipeline.space.search_space import SearchSpace, get_space, space_names

CREAM = get_space("cream")
CLASSES = 10
SPACES = {
    **{name: get_space(name) for name in space_names()},
    "narrow": CREAM.narrowed(max_depth=2, operators=["mb4_3x3", "mb6_7x7"]),
    "flat": CREAM.narrowed(max_depth=1),
    "one operator": CREAM.narrowed(operators=["mb6_5x5"]),
}
Choose = Callable[..., list[Architecture]]
WAYS: list[Choose] = [sample_networks, design_networks]
seeds = st.integers(0, 2**32 - 1)


def stage_depths(networks: list[Architecture]) -> Counter[int]:
    return Counter(len(stage) for network in networks for stage in network.stages)


@pytest.mark.parametrize("choose", WAYS)
@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
def test_networks_are_distinct_and_lie_inside_the_space(choose: Choose, space: SearchSpace) -> None:
    networks = choose(space, 96, CLASSES, 20, seed=0)
    assert len(set(networks)) == len(networks) == 20
    assert {(n.space, n.resolution, n.num_classes) for n in networks} == {(space.name, 96, CLASSES)}
    assert {name for n in networks for stage in n.stages for name in stage} == set(space.operators)
    assert set(stage_depths(networks)) == set(range(1, space.max_depth + 1))


@pytest.mark.parametrize("choose", WAYS)
def test_the_seed_decides_the_networks(choose: Choose) -> None:
    one, same, other = (choose(CREAM, 96, CLASSES, 10, seed=seed) for seed in (3, 3, 4))
    assert one == same
    assert set(one) != set(other)


@pytest.mark.parametrize("choose", WAYS)
@pytest.mark.parametrize(("depth", "operators", "total"), [(1, 1, 1), (1, 2, 32), (2, 1, 32)])
def test_a_small_space_gives_all_it_has_once(
    choose: Choose, depth: int, operators: int, total: int
) -> None:
    space = CREAM.narrowed(max_depth=depth, operators=CREAM.operators[:operators])
    assert space.count() == total
    networks = choose(space, 32, CLASSES, 5 * total // 4 + 1, seed=0)
    assert len(networks) == len(set(networks))
    # The rarest networks of a space with unlike depths may be missed; none is made up.
    assert 0.8 * total <= len(networks) <= total


def test_random_networks_spread_over_depth_as_independent_stages_would_not() -> None:
    random = np.random.default_rng(0)
    independent = random.integers(1, CREAM.max_depth + 1, size=(300, len(CREAM.stages))).sum(axis=1)
    depths = [n.depth for n in sample_networks(CREAM, 96, CLASSES, 300, seed=0)]
    assert np.std(depths) > 1.7 * np.std(independent)
    stages = len(CREAM.stages)
    assert min(depths) <= stages + 2
    assert max(depths) >= stages * CREAM.max_depth - 2


def test_random_networks_hold_each_operator_about_equally_often() -> None:
    networks = sample_networks(CREAM, 96, CLASSES, 300, seed=0)
    counts = Counter(name for n in networks for stage in n.stages for name in stage)
    expected = sum(counts.values()) / len(CREAM.operators)
    assert set(counts) == set(CREAM.operators)
    for count in counts.values():
        assert count == pytest.approx(expected, rel=0.1)


@given(seed=seeds, count=st.integers(1, 30))
@settings(max_examples=8)
def test_a_large_space_gives_as_many_random_networks_as_are_wanted(seed: int, count: int) -> None:
    networks = sample_networks(CREAM, 32, CLASSES, count, seed=seed)
    assert len(set(networks)) == count


# Designed ones.


@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
@pytest.mark.parametrize("count", [2, 8, 20])
def test_the_smallest_and_the_largest_network_are_among_the_designed(
    space: SearchSpace, count: int
) -> None:
    networks = design_networks(space, 96, CLASSES, count, seed=1)
    assert len(networks) == count
    macs = [architecture_cost(network).macs for network in networks]
    assert (min(macs), max(macs)) == macs_range(space, 96, CLASSES)


def without_extremes(networks: list[Architecture]) -> list[Architecture]:
    return sorted(networks, key=lambda n: architecture_cost(n).macs)[1:-1]


@given(seed=seeds, count=st.integers(14, 40))
@settings(max_examples=12)
def test_each_operator_is_dealt_equally_often_to_each_place(seed: int, count: int) -> None:
    """Both as the first block of each stage and as a later one."""
    networks = without_extremes(design_networks(CREAM, 96, CLASSES, count, seed=seed))
    assert len(networks) == count - 2
    for stage in range(len(CREAM.stages)):
        blocks = [network.stages[stage] for network in networks]
        for dealt in ([b[0] for b in blocks], [name for b in blocks for name in b[1:]]):
            counts = [dealt.count(name) for name in CREAM.operators]
            assert min(counts) >= 1
            assert max(counts) - min(counts) <= 1


@given(seed=seeds)
@settings(max_examples=8)
def test_designed_networks_are_of_all_depths_alike(seed: int) -> None:
    networks = without_extremes(design_networks(CREAM, 96, CLASSES, 2 + 24, seed=seed))
    depths = sorted(network.depth for network in networks)
    # A level of depth for each, from 1 to 6 in equal steps, and stages within one block of it.
    levels = np.linspace(1, CREAM.max_depth, 24).round() * len(CREAM.stages)
    assert np.abs(np.array(depths) - levels).max() <= len(CREAM.stages)
    assert np.corrcoef(depths, levels)[0, 1] > 0.95


@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
def test_twenty_four_designed_networks_hold_every_operator_of_a_space(space: SearchSpace) -> None:
    networks = design_networks(space, 96, CLASSES, 24, seed=0)
    seen = {placed.spec for network in networks for placed in network.operators()}
    assert seen == set(space.distinct_operators(96, CLASSES))
