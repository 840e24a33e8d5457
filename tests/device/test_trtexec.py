"""Times in trtexec's shapes, and its statistics, by values worked out by hand."""

import pytest

from pipeline.device.trtexec import (
    Sample,
    export_profile,
    export_times,
    percentile,
    summary,
    warnings_of,
)
from pipeline.errors import MeasurementError

STEADY = [Sample(0.1, 1.0, 0.2, 0.1)] * 10


@pytest.mark.parametrize(
    ("count", "percent", "found"),
    [
        (10, 90, 9),
        (10, 95, 10),
        (10, 99, 10),
        (100, 90, 90),
        (100, 99, 99),
        (1000, 99, 990),
        (3, 0, 1),
        (3, 100, 3),
        (1, 50, 1),
    ],
)
def test_a_percentile_is_one_of_the_samples(count: int, percent: float, found: int) -> None:
    times = [float(i + 1) for i in range(count)]
    assert percentile(times[::-1], percent) == found


@pytest.mark.parametrize(("times", "percent"), [([], 50), ([1.0], -1), ([1.0], 100.5)])
def test_a_percentile_of_nothing_is_refused(times: list[float], percent: float) -> None:
    with pytest.raises(MeasurementError, match=r"expected 0 to 100 of at least one"):
        percentile(times, percent)


def test_the_statistics_are_those_trtexec_prints() -> None:
    found = summary([4.0, 1.0, 3.0, 2.0])
    assert (found.min_ms, found.max_ms, found.mean_ms, found.median_ms) == (1, 4, 2.5, 2.5)
    assert found.percentiles_ms == {90: 4, 95: 4, 99: 4}
    assert found.variation_percent == pytest.approx(100 * 1.25**0.5 / 2.5)
    assert summary([0.0, 0.0]).variation_percent == 0
    with pytest.raises(MeasurementError, match="no samples"):
        summary([])


def test_steady_times_of_a_busy_gpu_need_no_warning() -> None:
    assert warnings_of(STEADY) == []


@pytest.mark.parametrize(
    ("samples", "told"),
    [
        ([Sample(0.81, 1.0)] * 3, "hands work over in 0.810 ms"),
        ([Sample(0.1, 1.0), Sample(0.1, 1.06)], "vary by 2.9 %"),
        ([Sample(0.1, 1.0, 1.0, 0.1)] * 3, "copying inputs to the GPU takes 1.000 ms"),
        ([Sample(0.1, 1.0, 0.1, 2.0)] * 3, "copying outputs to the host takes 2.000 ms"),
    ],
)
def test_what_says_little_about_the_gpu_is_warned_of(samples: list[Sample], told: str) -> None:
    (warning,) = warnings_of(samples)
    assert told in warning


@pytest.mark.parametrize("enqueue_ms", [0.8, 0.799])
def test_up_to_eight_tenths_the_host_is_fast_enough(enqueue_ms: float) -> None:
    assert warnings_of([Sample(enqueue_ms, 1.0)] * 3) == []


def test_times_are_written_as_trtexec_does() -> None:
    first, second = export_times([Sample(0.5, 2.0, 1.0, 0.25), Sample(5.0, 2.0)])
    assert first == {
        "startEnqMs": 0.0,
        "endEnqMs": 0.5,
        "startH2dMs": 0.0,
        "endH2dMs": 1.0,
        "startComputeMs": 1.0,
        "endComputeMs": 3.0,
        "startD2hMs": 3.0,
        "endD2hMs": 3.25,
        "h2dMs": 1.0,
        "computeMs": 2.0,
        "d2hMs": 0.25,
        "latencyMs": 3.25,
    }
    assert list(second) == list(first)
    assert (second["startEnqMs"], second["endComputeMs"]) == (3.25, 5.25)
    assert (second["h2dMs"], second["d2hMs"], second["latencyMs"]) == (0.0, 0.0, 2.0)


def test_a_profile_is_written_as_trtexec_does() -> None:
    assert export_profile({"conv": [1.0, 2.0, 6.0], "pool": [0.5, 0.25, 0.25]}) == [
        {"count": 3},
        {
            "name": "conv",
            "timeMs": 9.0,
            "averageMs": 3.0,
            "medianMs": 2.0,
            "percentage": 90.0,
        },
        {
            "name": "pool",
            "timeMs": 1.0,
            "averageMs": pytest.approx(1 / 3),
            "medianMs": 0.25,
            "percentage": 10.0,
        },
    ]


@pytest.mark.parametrize("layers", [{}, {"a": []}, {"a": [1.0], "b": [1.0, 2.0]}])
def test_a_profile_of_unequal_runs_is_refused(layers: dict[str, list[float]]) -> None:
    with pytest.raises(MeasurementError, match="expected the same number"):
        export_profile(layers)
