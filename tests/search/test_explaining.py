"""What limits leave, and what would do where they leave nothing."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import UsageError
from pipeline.records.candidates import Limits
from pipeline.search.constraints import bounds
from pipeline.search.explaining import check_request, explain
from pipeline.search.explanation import Explanation
from tests.search.toys import CPU, GPU, make_toy

SMALL = make_toy(2, 2)
WHOLE = make_toy()


def limits_of(costs, requested, margin):
    """The request's limits where they hold, else what a network has."""

    def at_most(value, cost):
        return None if value is None else max(value, cost)

    return Limits(
        macs=at_most(requested.macs, costs.macs),
        macs_min=None if requested.macs_min is None else min(requested.macs_min, costs.macs),
        params=at_most(requested.params, costs.params),
        latency_ms={
            target: max(ms, has.typical + margin * has.std)
            for target, ms in requested.latency_ms.items()
            for has in [costs.latency_ms[target]]
        },
        confidence=requested.confidence,
    )


def limits_told(message, confidence):
    """The limits that a message says would do."""
    told = message.partition("It would be within: ")[2]
    fields = {"latency_ms": {}, "confidence": confidence}
    pattern = re.compile(r"(.+) at (most|least) ([\d.e+]+) (M|ms)")
    for one in told.split(", "):
        what, end, value, unit = pattern.fullmatch(one).groups()
        number = float(value) * (1e6 if unit == "M" else 1)
        if what.startswith("latency on "):
            fields["latency_ms"][what.removeprefix("latency on ")] = number
        else:
            name = {"MACs": "macs", "parameters": "params"}[what]
            fields[name if end == "most" else f"{name}_min"] = number
    return Limits(**fields)


def test_limits_that_can_be_met():
    limits = SMALL.shares(macs=0.5, cpu=0.6)
    told = explain(SMALL.problem(limits))
    assert told.feasible
    assert told.nearest is None
    assert told.message == "the limits can be met"
    assert told.limits == limits
    assert told.architectures == len(SMALL.everything) == 6**5
    assert told.reachable == SMALL.tables.reachable
    assert told.share.low <= len(SMALL.inside(limits)) / 6**5 <= told.share.high
    assert Explanation.model_validate_json(told.model_dump_json()) == told


def test_without_limits_everything_is_left():
    told = explain(make_toy(3, 3, sizes=(64, 96)).problem())
    assert told.feasible
    assert told.share.low == 1
    assert told.architectures == 2 * 39**5
    assert set(told.reachable) == {64, 96}


def test_a_limit_out_of_reach_alone_is_named_with_what_is_reached():
    smallest = WHOLE.reachable["macs"][0]
    told = explain(WHOLE.problem(Limits(macs=0.9 * smallest, latency_ms={CPU: 1e3})))
    assert not told.feasible
    assert told.share.high == 0
    assert told.nearest.macs == smallest
    assert told.nearest.violation == pytest.approx(1 / 0.9 - 1)
    assert told.message.startswith(
        "no architecture of space cream at 64 pixels has MACs at most "
        f"{0.9 * smallest / 1e6:.4g} M (the smallest reached is {smallest / 1e6:.4g} M)"
        f"; the nearest, {told.nearest.architecture.short}, misses by 11 %: MACs at most"
    )


def test_every_limit_out_of_reach_is_named():
    told = explain(WHOLE.problem(Limits(macs_min=1e9, latency_ms={CPU: 0.5})))
    assert "MACs at least 1000 M (the largest reached is" in told.message
    assert ", nor latency on" in told.message


SHARES = st.floats(0.01, 0.99)


@given(
    st.fixed_dictionaries(
        {}, optional=dict.fromkeys(("macs", "macs_min", "params", "cpu", "gpu"), SHARES)
    ),
    st.sampled_from([0.5, 0.9]),
)
@settings(max_examples=15)
def test_any_request_is_explained_as_an_enumeration_would(shares, confidence):
    toy = SMALL
    limits = toy.shares(**shares, confidence=confidence)
    if limits.macs and limits.macs_min and limits.macs_min > limits.macs:
        return
    problem = toy.problem(limits)
    told = explain(problem)
    beyond = problem.violation(toy.everything)
    assert told.feasible == (beyond.min() == 0)
    if told.feasible:
        return
    assert told.share.low == told.share.high == 0
    assert told.nearest.violation == pytest.approx(beyond.min(), abs=1e-6)
    assert told.nearest.accuracy_percent is None
    assert f"the nearest, {told.nearest.architecture.short}, misses by" in told.message
    margin = next((bound.margin for bound in bounds(limits) if bound.margin), 0.0)
    for would_do in (
        limits_of(told.nearest, limits, margin),
        limits_told(told.message, confidence),
    ):
        again = toy.problem(would_do)
        assert explain(again).feasible
        assert again.violation(toy.everything).min() == 0
    # What would do is no looser than it has to be, to the four digits that are told.
    both = (limits_told(told.message, confidence), limits_of(told.nearest, limits, margin))
    for one, other in zip(*map(bounds, both), strict=True):
        assert (one.key, one.at_least) == (other.key, other.at_least)
        assert one.value == pytest.approx(other.value, rel=2e-3)


def test_limits_that_exclude_each_other_are_told_so():
    limits = SMALL.shares(macs_min=0.8, gpu=0.2)
    beyond = SMALL.problem(limits).violation(SMALL.everything)
    told = explain(SMALL.problem(limits))
    assert "each limit can be met alone, but no architecture is within all of them" in told.message
    assert f"misses by {100 * beyond.min():.2g} %" in told.message
    nearest = SMALL.problem(limits).violation(SMALL.everything) == beyond.min()
    assert told.nearest.architecture in [SMALL.decode(row) for row in SMALL.everything[nearest]]


def test_the_nearest_is_that_of_all_input_sizes():
    toy = make_toy(1, 2, sizes=(64, 96))
    small = toy.tables.reachable[64]["macs"][0]
    told = explain(toy.problem(Limits(macs=0.8 * small)))
    assert told.nearest.architecture.resolution == 64
    assert "at 64, 96 pixels" in told.message
    large = toy.tables.reachable[96]["macs"][1]
    told = explain(toy.problem(Limits(macs_min=1.25 * large)))
    assert told.nearest.architecture.resolution == 96
    assert told.nearest.violation == pytest.approx(0.2)


def test_a_network_is_within_the_limits_that_are_its_own_costs():
    rng = np.random.default_rng(0)
    for row in WHOLE.variation.random(4, rng):
        costs = {key: float(value[0]) for key, value in WHOLE.costs(row[None]).items()}
        limits = Limits(
            macs=costs["macs"],
            params=costs["params"],
            latency_ms={target: costs[f"latency_ms/{target}"] for target in (CPU, GPU)},
        )
        assert explain(WHOLE.problem(limits)).feasible


# Units.


@pytest.mark.parametrize(
    ("limits", "suggested"),
    [
        (Limits(latency_ms={CPU: 0.006}), f"latency on {CPU} at most 0.006 ms is asked for.*6 ms"),
        (Limits(latency_ms={CPU: 9000}), "was 9 ms meant"),
        (Limits(macs=60), "MACs at most 60 is asked for.*was 60 M meant"),
        (Limits(macs=60, latency_ms={CPU: 6.0}), "was 60 M meant"),
        (Limits(params=5), "was 5 M meant"),
    ],
)
def test_a_slip_of_the_unit_is_questioned_before_anything_else(limits, suggested):
    with pytest.raises(UsageError, match=suggested) as caught:
        explain(WHOLE.problem(limits))
    assert "milliseconds" in caught.value.hint


@pytest.mark.parametrize("share", [0.05, 0.3, 0.999])
@pytest.mark.parametrize("key", ["macs", "params", "cpu"])
def test_what_is_merely_infeasible_is_not_questioned(key, share):
    reached = {name.partition("/")[2] or name: value for name, value in WHOLE.reachable.items()}
    smallest = reached[CPU if key == "cpu" else key][0]
    limit = share * smallest
    limits = Limits(latency_ms={CPU: limit}) if key == "cpu" else Limits(**{key: limit})
    check_request(WHOLE.problem(limits))
    assert not explain(WHOLE.problem(limits)).feasible


@pytest.mark.parametrize(
    ("limits", "target", "words"),
    [
        (Limits(macs=-1), CPU, "a positive number expected"),
        (Limits(macs=1e6, macs_min=2e6), CPU, "leave nothing"),
        (Limits(), "orin/tensorrt-fp16-b1", "no latency is known for target 'orin/"),
    ],
)
def test_requests_that_make_no_sense_are_refused(limits, target, words):
    with pytest.raises(UsageError, match=words):
        explain(WHOLE.problem(limits, target))
