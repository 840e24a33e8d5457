"""Which path, and which input size, each step takes."""

from collections import Counter

import pytest

from pipeline.errors import InfeasibleError
from pipeline.space.search_space import SearchSpace
from pipeline.training.hypernetwork.path_sampling import PathLimits, PathSampler
from pipeline.training.hypernetwork.paths import Paths


def test_each_step_draws_an_input_size(space: SearchSpace):
    paths = Paths(PathSampler(space, 10, seed=0), (32, 64, 96))
    sizes = Counter(paths.resolution_at(at) for at in range(600))
    assert set(sizes) == {32, 64, 96}
    assert min(sizes.values()) > 150
    assert all(paths.path_at(at).resolution == paths.resolution_at(at) for at in range(20))


def test_monitored_paths_are_always_the_same_ones(space: SearchSpace):
    monitored = Paths(PathSampler(space, 10, seed=0), (32, 64)).monitored(3)
    assert monitored == Paths(PathSampler(space, 10, seed=0), (32,)).monitored(4)[:3]
    assert {path.resolution for path in monitored} == {32}


def test_limits_that_one_size_cannot_meet_are_told_before_training(space: SearchSpace):
    sampler = PathSampler(space, 10, seed=0, limits=PathLimits(macs=3e6))
    Paths(sampler, (32,)).check()
    with pytest.raises(InfeasibleError, match="64 pixels"):
        Paths(sampler, (32, 64)).check()
