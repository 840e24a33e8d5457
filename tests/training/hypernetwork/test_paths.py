"""Which path, and which input size, each step takes."""

from collections import Counter

import pytest

from pipeline.errors import InfeasibleError
from pipeline.space.search_space import SearchSpace
from pipeline.training.hypernetwork.path_sampling import PathLimits, PathSampler
from pipeline.training.hypernetwork.paths import Paths


def test_before_growth_only_what_others_grow_from_is_drawn(space: SearchSpace):
    sampler = PathSampler(space, 10, seed=0, limits=PathLimits(macs_min=2e6))
    paths = Paths(sampler, (32,), grown_at=10)
    before = {name for at in range(10) for stage in paths.path_at(at).stages for name in stage}
    after = {name for at in range(10, 30) for stage in paths.path_at(at).stages for name in stage}
    assert before == {"mb4_3x3"}
    assert after == {"mb4_3x3", "mb6_5x5"}


def test_a_prior_does_not_keep_out_what_others_grow_from(space: SearchSpace):
    sampler = PathSampler(space, 10, seed=0, operator_prior=(("mb4_3x3", 0.0),))
    paths = Paths(sampler, (32,), grown_at=5)
    assert {n for stage in paths.path_at(0).stages for n in stage} == {"mb4_3x3"}
    assert {n for stage in paths.path_at(5).stages for n in stage} == {"mb6_5x5"}


def test_each_step_draws_an_input_size(space: SearchSpace):
    paths = Paths(PathSampler(space, 10, seed=0), (32, 64, 96), grown_at=0)
    sizes = Counter(paths.resolution_at(at) for at in range(600))
    assert set(sizes) == {32, 64, 96}
    assert min(sizes.values()) > 150
    assert all(paths.path_at(at).resolution == paths.resolution_at(at) for at in range(20))


def test_monitored_paths_stay_the_same_until_operators_grow(space: SearchSpace):
    paths = Paths(PathSampler(space, 10, seed=0), (32, 64), grown_at=10)
    assert paths.monitored(3, 3) == paths.monitored(9, 3)
    assert paths.monitored(10, 3) == paths.monitored(500, 3) != paths.monitored(3, 3)
    assert {path.resolution for path in paths.monitored(10, 3)} == {32}


def test_limits_that_one_size_cannot_meet_are_told_before_training(space: SearchSpace):
    sampler = PathSampler(space, 10, seed=0, limits=PathLimits(macs=3e6))
    Paths(sampler, (32,), grown_at=4).check()
    with pytest.raises(InfeasibleError, match="64 pixels"):
        Paths(sampler, (32, 64), grown_at=4).check()
