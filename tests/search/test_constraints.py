"""Violation as a number, and limits as sentences."""

import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import UsageError
from pipeline.records.candidates import Limits
from pipeline.search.constraints import (
    bounds,
    check_limits,
    has_margin,
    missed,
    out_of_reach,
    question_units,
    violation,
)

CPU, GPU = "cpu/onnxruntime-fp32-b1-t1", "gpu/tensorrt-fp16-b1"
KNOWN = ["macs", "params", f"latency_ms/{CPU}", f"latency_ms/{GPU}"]
ALL = Limits(macs=300e6, macs_min=100e6, params=5e6, latency_ms={CPU: 6.0, GPU: 1.5})


def costs(**values):
    inside = {"macs": 200e6, "params": 4e6, "cpu": 5.0, "gpu": 1.0} | values
    return dict(zip(KNOWN, (np.array([float(v)]) for v in inside.values()), strict=True))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, 0.0),
        ({"macs": 300e6, "params": 5e6, "cpu": 6.0, "gpu": 1.5}, 0.0),
        ({"macs": 100e6}, 0.0),
        ({"macs": 330e6}, 0.1),
        ({"macs": 75e6}, 0.25),
        ({"params": 10e6}, 1.0),
        ({"cpu": 6.6}, 0.1),
        ({"cpu": 6.6, "gpu": 3.0}, 1.0),
        ({"cpu": math.nan}, math.inf),
        ({"cpu": math.inf}, math.inf),
    ],
)
def test_the_violation_is_the_largest_relative_excess(values, expected):
    assert violation(costs(**values), ALL)[0] == pytest.approx(expected)


POSITIVE = st.floats(1e-3, 1e9)


@given(POSITIVE, POSITIVE)
def test_the_violation_is_0_exactly_within_the_limit(cost, limit):
    at_most = violation({"macs": np.array([cost])}, Limits(macs=limit))[0]
    at_least = violation({"macs": np.array([cost])}, Limits(macs_min=limit))[0]
    assert (at_most == 0) == (cost <= limit)
    assert (at_least == 0) == (cost >= limit)


def test_the_violation_is_0_just_within_and_not_just_beyond():
    limit = 6.1
    cost = np.array([np.nextafter(limit, 0), limit, np.nextafter(limit, 9)])
    beyond = violation({f"latency_ms/{CPU}": cost}, Limits(latency_ms={CPU: limit}))
    assert (beyond == 0).tolist() == [True, True, False]


@pytest.mark.parametrize(("confidence", "margin"), [(0.5, 0.0), (0.9, 1.2816), (0.975, 1.9600)])
def test_a_latency_is_to_hold_with_its_margin(confidence, margin):
    limits = Limits(macs=100.0, latency_ms={CPU: 4.0}, confidence=confidence)
    its = {
        "macs": np.array([100.0, 120.0, 90.0]),
        f"latency_ms/{CPU}": np.array([4.0, 3.0, 3.9]),
        f"latency_std_ms/{CPU}": np.array([0.5, 0.1, 0.01]),
    }
    expected = [margin * 0.5 / 4.0, 0.2, max(0.0, (3.9 + margin * 0.01) / 4.0 - 1)]
    assert violation(its, limits) == pytest.approx(expected, abs=1e-5)
    assert has_margin(limits) == (confidence > 0.5)
    assert [bound.margin for bound in bounds(limits)] == pytest.approx([0.0, margin], abs=1e-4)


def test_without_limits_nothing_is_violated():
    assert violation({"macs": np.array([1.0, 2.0])}, Limits()).tolist() == [0, 0]


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        (Limits(macs=0), "limit on MACs: 0 given"),
        (Limits(macs=-1), "limit on MACs: -1 given"),
        (Limits(macs_min=0), "limit on MACs: 0 given"),
        (Limits(params=math.nan), "limit on parameters: nan given"),
        (Limits(latency_ms={CPU: math.inf}), f"limit on latency on {CPU}: inf given"),
        (Limits(latency_ms={CPU: -6.0}), "a positive number expected"),
        (Limits(macs=1e6, macs_min=2e6), "at least 2e+06 and at most 1e+06"),
        (Limits(latency_ms={"orin/tensorrt-fp16-b1": 3}), "'orin/tensorrt-fp16-b1'; known: cpu/"),
    ],
)
def test_limits_that_make_no_sense_are_refused(limits, words):
    with pytest.raises(UsageError) as caught:
        check_limits(limits, CPU, KNOWN)
    assert words in caught.value.message


def test_a_target_without_a_table_is_refused_with_the_command_that_measures_it():
    with pytest.raises(UsageError) as caught:
        check_limits(Limits(), "orin/tensorrt-fp16-b1", ["macs", "params"])
    assert "known: none" in caught.value.message
    assert caught.value.hint
    assert "profile --target orin/tensorrt-fp16-b1" in caught.value.hint


def test_good_limits_pass():
    check_limits(ALL, CPU, KNOWN)
    check_limits(Limits(), GPU, KNOWN)
    check_limits(Limits(macs=1e6, macs_min=1e6), GPU, KNOWN)


REACHABLE = {
    "macs": (76e6, 832e6),
    "params": (2e6, 20e6),
    f"latency_ms/{CPU}": (2.25, 30.0),
    f"latency_ms/{GPU}": (0.5, 3.0),
}


@pytest.mark.parametrize(
    ("limits", "told"),
    [
        (ALL, []),
        (Limits(macs=76e6, macs_min=76e6, params=2e6, latency_ms={CPU: 2.25}), []),
        (Limits(macs=50e6), ["MACs at most 50 M (the smallest reached is 76 M)"]),
        (Limits(macs_min=900e6), ["MACs at least 900 M (the largest reached is 832 M)"]),
        (Limits(params=1e6), ["parameters at most 1 M (the smallest reached is 2 M)"]),
        (
            Limits(macs=50e6, latency_ms={CPU: 0.006, GPU: 1}),
            [
                "MACs at most 50 M (the smallest reached is 76 M)",
                f"latency on {CPU} at most 0.006 ms (the smallest reached is 2.25 ms)",
            ],
        ),
    ],
)
def test_limits_out_of_reach_are_told_with_what_is_in_reach(limits, told):
    assert out_of_reach(limits, REACHABLE) == told


def test_missed_limits_are_told_with_what_there_is():
    its = {key: float(value[0]) for key, value in costs(macs=75e6, cpu=7.0).items()}
    assert missed(its, ALL) == [
        "MACs at least 100 M (it has 75 M)",
        f"latency on {CPU} at most 6 ms (it has 7 ms)",
    ]


def test_a_missed_margin_is_told_with_the_uncertainty():
    limits = Limits(latency_ms={CPU: 4.0}, confidence=0.9)
    (told,) = missed({f"latency_ms/{CPU}": 3.9, f"latency_std_ms/{CPU}": 0.2}, limits)
    assert told == (
        f"latency on {CPU} at most 4 ms with a margin of 1.3 uncertainties (it has 3.9 ms ± 0.2)"
    )
    assert missed({f"latency_ms/{CPU}": 3.9, f"latency_std_ms/{CPU}": 0.05}, limits) == []


@pytest.mark.parametrize(
    ("limits", "suggested"),
    [
        (Limits(latency_ms={CPU: 0.006}), "was 6 ms meant?"),
        (Limits(latency_ms={CPU: 6.0, GPU: 1500.0}), "was 1.5 ms meant?"),
        (Limits(macs=300), "was 300 M meant?"),
        (Limits(macs_min=0.3e6, macs=400e6), "was 300 M meant?"),
        (Limits(params=5), "was 5 M meant?"),
        (Limits(params=5e12), "was 5 M meant?"),
    ],
)
def test_a_limit_in_another_unit_is_questioned(limits, suggested):
    with pytest.raises(UsageError, match=re.escape(suggested)) as caught:
        question_units(limits, REACHABLE)
    assert "milliseconds" in caught.value.hint


@pytest.mark.parametrize(
    "limits",
    [
        Limits(),
        ALL,
        Limits(macs=50e6, params=1e6, latency_ms={CPU: 1.0, GPU: 0.1}),
        Limits(macs_min=2e9, latency_ms={CPU: 500.0}),
        # No other unit makes sense of these either.
        Limits(macs=1e12, latency_ms={CPU: 0.05}),
    ],
)
def test_a_limit_out_of_reach_alone_is_not_questioned(limits):
    question_units(limits, REACHABLE)
