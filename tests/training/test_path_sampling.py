"""Random paths: reproducible, uniform, never outside the window."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.cost import architecture_cost, macs_range
from pipeline.errors import InfeasibleError
from pipeline.space import SearchSpace, get_space
from pipeline.training.path_sampling import PathSampler

CREAM = get_space("cream")


@given(st.integers(0, 2000), st.tuples(st.floats(0.1, 0.5), st.floats(0.55, 0.9)))
def test_paths_are_within_the_window_and_the_same_each_time(step: int, window):
    smallest, largest = macs_range(CREAM, 32, 10)
    low, high = (smallest + share * (largest - smallest) for share in window)
    sampler = PathSampler(CREAM, 32, 10, (low, high), seed=1)
    path = sampler.draw(0, step)
    assert low <= architecture_cost(path).macs <= high
    assert path == sampler.draw(0, step)
    assert path.num_classes == 10


def test_steps_epochs_and_seeds_draw_their_own_paths():
    draws = [
        PathSampler(CREAM, 32, 10, (None, None), seed).draw(epoch, step)
        for seed in range(2)
        for epoch in range(5)
        for step in range(20)
    ]
    assert len(set(draws)) > 195


def test_depths_and_operators_are_uniform(space: SearchSpace):
    sampler = PathSampler(space, 32, 10, (None, None), seed=0)
    paths = [sampler.draw(0, step) for step in range(600)]
    depths = Counter(len(stage) for path in paths for stage in path.stages)
    names = Counter(name for path in paths for stage in path.stages for name in stage)
    assert depths.keys() == {1, 2}
    assert abs(depths[1] / 3000 - 0.5) < 0.04
    assert abs(names["mb4_3x3"] / names.total() - 0.5) < 0.04


def test_an_impossible_window_tells_the_reach_of_the_space(space: SearchSpace):
    smallest, largest = macs_range(space, 32, 10)
    sampler = PathSampler(space, 32, 10, (None, smallest / 2), seed=0)
    with pytest.raises(InfeasibleError) as caught:
        sampler.draw(0, 0)
    assert f"{smallest / 1e6:.2f} M to {largest / 1e6:.2f} M" in caught.value.message
    assert caught.value.hint
