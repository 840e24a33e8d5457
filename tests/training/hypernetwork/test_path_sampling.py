"""Random paths: reproducible, even over depths and operators, never outside the limits."""

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from pipeline.errors import ArchitectureError, InfeasibleError, UnknownNameError, UsageError
from pipeline.space.architecture import Architecture
from pipeline.space.cost import architecture_cost, macs_batch, macs_range, params_batch
from pipeline.space.encoding import Floats, Rows, encode
from pipeline.space.path_counts import PathCounts
from pipeline.space.search_space import SearchSpace
from pipeline.training.hypernetwork import path_sampling
from pipeline.training.hypernetwork.path_sampling import PathLimits, PathSampler
from tests.space.every_row import every_row
from tests.training.hypernetwork.enumerated import CREAM, agreement

SMALL = CREAM.narrowed(max_depth=2, operators=["mb4_3x3", "mb6_5x5"])
SHALLOW = CREAM.narrowed(max_depth=1, operators=["mb4_3x3", "mb4_7x7", "mb6_5x5"])
DEPTHS = CREAM.narrowed(max_depth=2, operators=["mb6_3x3"])


def sum_ms(space: SearchSpace, rows: Rows, num_classes: int):
    """A latency that is a sum over slots, in which deep networks are slow for their MACs."""
    return macs_batch(space, rows, num_classes) / 1e7 + 0.2 * (rows[:, 1:] > 0).sum(axis=1)


def bent_ms(space: SearchSpace, rows: Rows, num_classes: int):
    """A latency that is no sum over slots."""
    return sum_ms(space, rows, num_classes) ** 1.1


def drawn(sampler: PathSampler, count: int) -> list[Architecture]:
    return [sampler.path(step, 32) for step in range(count)]


def even_weights(space: SearchSpace, rows: Rows) -> Floats:
    """As if each stage's depth and each slot's operator were drawn at random."""
    return len(space.operators) ** -np.count_nonzero(rows[:, 1:], axis=1).astype(float)


def inside(space: SearchSpace, limits: PathLimits) -> Rows:
    """Every network of the space that meets the limits."""
    rows = every_row(space, 32)
    macs, params = macs_batch(space, rows, 10), params_batch(space, rows, 10)
    met = (macs >= (limits.macs_min or 0)) & (macs <= (limits.macs or math.inf))
    met &= params <= (limits.params or math.inf)
    if limits.predict_ms is not None:
        met &= limits.predict_ms(space, rows, 10) <= (limits.latency_ms or math.inf)
    return rows[met]


def shares(space: SearchSpace, cost, *wanted: float) -> Sequence[float]:
    """The costs that these shares of the space's networks are below."""
    return np.quantile(cost(space, every_row(space, 32), 10), wanted).tolist()


def limits_of(space: SearchSpace, kind: str) -> PathLimits:
    low, high = shares(space, macs_batch, 0.3, 0.33 if space is SMALL else 0.7)
    params = shares(space, params_batch, 0.5)[0]
    few = 0.02 if space is SMALL else 0.4
    return {
        "none": PathLimits(),
        "window": PathLimits(macs_min=low, macs=high),
        "at least": PathLimits(macs_min=shares(space, macs_batch, 1 - few)[0]),
        "params": PathLimits(params=shares(space, params_batch, few)[0]),
        "latency": PathLimits(latency_ms=shares(space, sum_ms, few)[0], predict_ms=sum_ms),
        "bent": PathLimits(latency_ms=shares(space, bent_ms, few)[0], predict_ms=bent_ms),
        "all": PathLimits(low, high, params, shares(space, bent_ms, 0.34)[0], bent_ms),
    }[kind]


@pytest.mark.parametrize("space", [SHALLOW, DEPTHS], ids=["operators", "depths"])
@pytest.mark.parametrize("kind", ["none", "window", "at least", "params", "latency", "bent"])
def test_every_network_within_the_limits_is_as_likely_as_its_depths(space: SearchSpace, kind: str):
    limits = limits_of(space, kind)
    expected = inside(space, limits)
    assert len(expected) > 8
    rows = encode(space, drawn(PathSampler(space, 10, 1, limits), 12 * len(expected)))
    assert agreement(rows, expected, even_weights(space, expected)) > 1e-3


@pytest.mark.parametrize("kind", ["window", "at least", "params", "latency", "bent", "all"])
def test_narrow_limits_keep_the_odds_of_networks(kind: str):
    limits = limits_of(SMALL, kind)
    expected = inside(SMALL, limits)
    assert 20 < len(expected) < 260
    rows = encode(SMALL, drawn(PathSampler(SMALL, 10, 1, limits), 12 * len(expected)))
    assert agreement(rows, expected, even_weights(SMALL, expected)) > 1e-3


@pytest.mark.parametrize("kind", ["none", "window", "bent"])
def test_a_prior_weighs_operators(kind: str):
    limits = limits_of(SHALLOW, kind)
    prior = (("mb6_5x5", 3.0), ("mb4_7x7", 0.5))
    sampler = PathSampler(SHALLOW, 10, 2, limits, prior)
    expected = inside(SHALLOW, limits)
    weights = np.array([1.0, 0.5, 3.0])[expected[:, 1:] - 1].prod(axis=1)
    rows = encode(SHALLOW, drawn(sampler, 6000))
    assert agreement(rows, expected, weights) > 1e-3


@pytest.mark.parametrize("prior", [(), (("mb6_5x5", 9.0),)])
def test_each_depth_of_a_stage_is_equally_likely(prior: tuple[tuple[str, float], ...]):
    rows = encode(CREAM, drawn(PathSampler(CREAM, 10, 2, PathLimits(), prior), 3000))
    stages = (rows[:, 1:] > 0).reshape(len(rows), len(CREAM.stages), CREAM.max_depth).sum(axis=2)
    for depths in stages.T:
        counts = np.bincount(depths, minlength=CREAM.max_depth + 1)[1:]
        assert chisquare(counts).pvalue > 1e-3


def test_operators_of_weight_zero_are_no_part_of_the_paths():
    prior = (("mb4_3x3", 0.0), ("mb6_7x7", 0.0))
    sampler = PathSampler(CREAM, 10, 3, PathLimits(), prior)
    names = {name for path in drawn(sampler, 256) for stage in path.stages for name in stage}
    assert names == {"mb4_5x5", "mb4_7x7", "mb6_3x3", "mb6_5x5"}
    smallest, largest = sampler.extremes(32)
    assert smallest.stages == (("mb4_5x5",),) * 5
    assert largest.stages == (("mb6_5x5",) * 6,) * 5
    ends = macs_range(CREAM, 32, 10)
    with pytest.raises(InfeasibleError):
        PathSampler(CREAM, 10, 3, PathLimits(macs=ends[0]), prior).path(0, 32)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gives up after few draws, so that many random limits can be tried."""
    monkeypatch.setattr(path_sampling, "_TRIED_DRAWS", 2048)
    monkeypatch.setattr(path_sampling, "_EXTREME_DRAWS", 512)


@pytest.mark.usefixtures("impatient")
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.integers(0, 1000),
    st.integers(0, 10),
    st.tuples(st.floats(0, 0.5), st.floats(0.5, 1), st.floats(0.3, 1), st.floats(0.3, 1)),
    st.sampled_from([sum_ms, bent_ms]),
)
def test_paths_are_within_the_limits_or_there_are_none(step: int, seed: int, ends, predict_ms):
    space = CREAM.narrowed(max_depth=3)
    corners = encode(space, PathSampler(space, 10, 0).extremes(32))
    macs, params, latency_ms = (
        [low + share * (high - low) for share in some]
        for (low, high), some in (
            (macs_batch(space, corners, 10), ends[:2]),
            (params_batch(space, corners, 10), ends[2:3]),
            (predict_ms(space, corners, 10), ends[3:]),
        )
    )
    limits = PathLimits(macs[0], macs[1], params[0], latency_ms[0], predict_ms)
    sampler = PathSampler(space, 10, seed, limits)
    try:
        paths = [sampler.path(step, 32), sampler.draw(32, "one", step), *sampler.extremes(32)]
    except InfeasibleError:
        paths = []
    event("feasible" if paths else "infeasible")
    rows = encode(space, paths)
    assert (macs_batch(space, rows, 10) >= macs[0]).all()
    assert (macs_batch(space, rows, 10) <= macs[1]).all()
    assert (params_batch(space, rows, 10) <= params[0]).all()
    assert (predict_ms(space, rows, 10) <= latency_ms[0]).all()


def test_a_path_is_the_same_whatever_else_was_asked():
    limits = PathLimits(macs=3e6, latency_ms=2.0, predict_ms=bent_ms)
    sampler = PathSampler(SMALL, 10, 4, limits)
    steps = [700, 3, 255, 256, 0, 1025]
    before = {step: sampler.path(step, 32) for step in steps}
    one = sampler.draw(32, "one", 5)
    for cached in ("_counts", "_chunk", "_require_paths"):
        getattr(path_sampling, cached).cache_clear()
    again = PathSampler(SMALL, 10, 4, limits)
    assert again.draw(32, "one", 5) == one
    assert {step: again.path(step, 32) for step in sorted(steps)} == before
    assert one.num_classes == 10
    assert one.resolution == 32


def test_steps_seeds_resolutions_and_places_draw_their_own_paths():
    draws = [
        PathSampler(CREAM, 10, seed).path(step, resolution).stages
        for seed in range(2)
        for resolution in (32, 64)
        for step in range(300)
    ]
    draws += [PathSampler(CREAM, 10, 0).draw(32, place, 1).stages for place in ("a", "b", 0, 1)]
    assert len(set(draws)) == 1204


def test_chunks_of_steps_are_not_alike():
    assert len(set(drawn(PathSampler(CREAM, 10, 0), 1000))) == 1000


@pytest.mark.parametrize("end", ["lower", "upper"])
def test_a_window_of_hardly_any_networks_costs_few_draws(end: str, monkeypatch):
    smallest, largest = macs_range(CREAM, 224)
    window = (None, smallest * 1.5) if end == "lower" else (largest * 0.99, None)
    sampler = PathSampler(CREAM, 1000, 0, PathLimits(*window))
    assert path_sampling._counts(sampler, 224).total < 1e-2 * CREAM.max_depth ** len(CREAM.stages)
    counts = []
    draw = PathCounts.draw

    def counting(self, rng, count):
        counts.append(count)
        return draw(self, rng, count)

    monkeypatch.setattr(PathCounts, "draw", counting)
    paths = [sampler.path(step, 224) for step in range(256)]
    assert len(set(paths)) > 200
    assert sum(counts) <= 1024


def test_a_latency_limit_that_hardly_any_network_meets_is_no_obstacle():
    """Where latency is a sum over slots: by rejection none would be found."""
    deep = encode(CREAM, [PathSampler(CREAM, 10, 0).path(0, 32)])
    limit_ms = 0.4 * sum_ms(CREAM, deep, 10)[0]
    sampler = PathSampler(CREAM, 10, 0, PathLimits(latency_ms=limit_ms, predict_ms=sum_ms))
    rows = encode(CREAM, drawn(sampler, 256))
    assert (sum_ms(CREAM, rows, 10) <= limit_ms).all()
    assert (sum_ms(CREAM, rows, 10) > 0.8 * limit_ms).mean() > 0.9
    assert path_sampling._counts(sampler, 32).total < 1e-1 * CREAM.max_depth ** len(CREAM.stages)


@pytest.mark.parametrize("kind", ["none", "window", "at least", "params", "latency", "bent", "all"])
def test_extremes_are_those_of_an_enumeration(kind: str):
    limits = limits_of(SMALL, kind)
    macs = macs_batch(SMALL, inside(SMALL, limits), 10)
    smallest, largest = PathSampler(SMALL, 10, 5, limits).extremes(32)
    assert architecture_cost(smallest).macs == macs.min()
    assert architecture_cost(largest).macs == macs.max()


def test_extremes_within_a_window_come_close_to_its_ends():
    """Most networks are near its upper end: a sample of them would not show the lower one."""
    smallest, largest = PathSampler(CREAM, 1000, 0, PathLimits(2e8, 6e8)).extremes(224)
    assert 2e8 <= architecture_cost(smallest).macs < 2.001e8
    assert 5.999e8 < architecture_cost(largest).macs <= 6e8


def test_a_window_without_networks_tells_the_reach_of_the_space(monkeypatch):
    monkeypatch.setattr(PathCounts, "draw", None)
    smallest, largest = macs_range(SMALL, 32, 10)
    sampler = PathSampler(SMALL, 10, 0, PathLimits(macs=smallest / 2))
    for asked in (
        lambda: sampler.path(0, 32),
        lambda: sampler.draw(32),
        lambda: sampler.extremes(32),
    ):
        with pytest.raises(
            InfeasibleError, match=r"no path has at most 1[.]04115 M MACs; "
        ) as caught:
            asked()
        assert f"{smallest / 1e6:.2f} M to {largest / 1e6:.2f} M MACs" in caught.value.message
        assert "space cream with max_depth 2 at 32 pixels" in caught.value.message
        assert caught.value.hint


@pytest.mark.parametrize(
    ("limits", "told"),
    [
        (
            PathLimits(params=1e5),
            "no path has at most 0.1 M parameters; .*, down to 0.8.* M parameters$",
        ),
        (PathLimits(latency_ms=0.5, predict_ms=sum_ms), "no path has .*, down to 1.* ms predicted"),
        (
            PathLimits(latency_ms=0.5, predict_ms=bent_ms),
            "none of 2048 random paths has at most 0.5 ms predicted latency; the lowest "
            "predicted latency seen is 1.* ms; space",
        ),
        (
            PathLimits(macs_min=4e6, macs=5e6, params=1e6),
            "none of 2048 random paths has between 4 M and 5 M MACs and at most 1 M parameters; "
            "the most MACs seen are 3.* M; space",
        ),
        (
            PathLimits(macs=2e6, params=2e6, latency_ms=0.5, predict_ms=bent_ms),
            "has at most 2 M MACs, at most 2 M parameters and at most 0.5 ms predicted latency; ",
        ),
    ],
)
@pytest.mark.usefixtures("impatient")
def test_limits_that_exclude_all_paths_are_told(limits: PathLimits, told: str):
    with pytest.raises(InfeasibleError, match=told):
        PathSampler(SMALL, 10, 0, limits).draw(32, "first")


def test_limits_that_hardly_any_path_meets_are_told():
    smallest = encode(CREAM, [PathSampler(CREAM, 10, 0).extremes(32)[0]])
    limits = PathLimits(latency_ms=1.1 * bent_ms(CREAM, smallest, 10)[0], predict_ms=bent_ms)
    with pytest.raises(InfeasibleError, match=r"only .* of 65536 random paths ha.* at most"):
        PathSampler(CREAM, 10, 0, limits).path(0, 32)


@pytest.mark.parametrize(
    ("limits", "told"),
    [
        ({"macs": 0.0}, "limit macs: 0 given, a positive number expected"),
        ({"params": -1.0}, "limit params: -1 given"),
        ({"macs_min": math.nan}, "limit macs_min: nan given"),
        ({"latency_ms": math.inf, "predict_ms": sum_ms}, "limit latency_ms: inf given"),
        ({"macs_min": 2e6, "macs": 1e6}, r"at least 2e\+06 and at most 1e\+06 given"),
        ({"latency_ms": 2.0}, "a limit of 2 ms given without predict_ms"),
    ],
)
def test_limits_that_make_no_sense_are_refused(limits, told: str):
    with pytest.raises(UsageError, match=told):
        PathLimits(**limits)


@pytest.mark.parametrize(
    ("prior", "told"),
    [
        ([("mb4_3x3", -1.0)], "mb4_3x3: -1 given, a weight from 1e-06 to 1e[+]06 expected, or 0"),
        ([("mb4_3x3", math.nan)], "nan given"),
        ([("mb4_3x3", math.inf)], "inf given"),
        ([("mb4_3x3", 1e-9)], "1e-09 given"),
        ([("mb4_3x3", 0.0), ("mb6_5x5", 0.0)], "leaves no operator: mb4_3x3 0, mb6_5x5 0"),
        ([("mb4_3x3", 1.0), ("mb4_3x3", 2.0)], "names an operator twice"),
    ],
)
def test_priors_that_make_no_sense_are_refused(prior, told: str):
    with pytest.raises(UsageError, match=told):
        PathSampler(SMALL, 10, 0, PathLimits(), tuple(prior))


def test_a_prior_of_an_unknown_operator_is_refused():
    with pytest.raises(UnknownNameError, match="mb5_3x3") as caught:
        PathSampler(SMALL, 10, 0, PathLimits(), (("mb5_3x3", 1.0),))
    assert caught.value.hint


def test_a_resolution_the_space_has_not_is_refused():
    with pytest.raises(ArchitectureError, match="resolution 30"):
        PathSampler(SMALL, 10, 0).path(0, 30)
