"""Times as NVIDIA's `trtexec` writes them, so that what reads its files reads ours.

`trtexec --exportTimes` and `--exportProfile` write the two shapes made here, and its statistics
differ from the usual ones: percentiles are samples, never between two. TensorRT's Python packages
carry no trtexec, and one of another version measures in another way by default.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from pipeline.errors import MeasurementError

PERCENTILES = (90.0, 95.0, 99.0)
_ENQUEUE_BOUND = 0.8
_UNSTEADY_PERCENT = 2.5
_WHOLE_PERCENT = 100.0


class Sample(NamedTuple):
    """One run.

    Attributes:
        enqueue_ms: The host's time to hand the work over.
        compute_ms: From the first kernel to the last, on the GPU's clock.
        to_device_ms: Copying the inputs; None where no copy was part of the run.
        to_host_ms: Copying the outputs; None where no copy was part of the run.
    """

    enqueue_ms: float
    compute_ms: float
    to_device_ms: float | None = None
    to_host_ms: float | None = None

    @property
    def latency_ms(self) -> float:
        """Of the copies that were made and the work, as trtexec adds them."""
        return (self.to_device_ms or 0.0) + self.compute_ms + (self.to_host_ms or 0.0)


class Summary(NamedTuple):
    """trtexec's statistics of one kind of time.

    Attributes:
        min_ms: The least.
        max_ms: The largest.
        mean_ms: The mean.
        median_ms: The middle one, or the mean of the middle two.
        percentiles_ms: By percentage.
        variation_percent: Standard deviation in percent of the mean.
    """

    min_ms: float
    max_ms: float
    mean_ms: float
    median_ms: float
    percentiles_ms: Mapping[float, float]
    variation_percent: float


def percentile(times_ms: Sequence[float], percent: float) -> float:
    """The sample that so many percent of the samples do not exceed; none is made up between two.

    Raises:
        MeasurementError: There are no samples, or the percentage is not between 0 and 100.
    """
    if not times_ms or not 0 <= percent <= _WHOLE_PERCENT:
        raise MeasurementError(
            f"percentile {percent} of {len(times_ms)} samples; expected 0 to 100 of at least one"
        )
    # Whole numbers first: of ten samples, one is above the 90th percentile, not 0.99….
    above = int((_WHOLE_PERCENT - percent) * len(times_ms) / _WHOLE_PERCENT)
    return sorted(times_ms)[max(len(times_ms) - 1 - above, 0)]


def summary(times_ms: Sequence[float], percents: Sequence[float] = PERCENTILES) -> Summary:
    """The statistics trtexec prints.

    Raises:
        MeasurementError: There are no samples, or a percentage is not between 0 and 100.
    """
    if not times_ms:
        raise MeasurementError("no samples were given; expected at least one")
    mean = statistics.fmean(times_ms)
    return Summary(
        min_ms=min(times_ms),
        max_ms=max(times_ms),
        mean_ms=mean,
        median_ms=statistics.median(times_ms),
        percentiles_ms={percent: percentile(times_ms, percent) for percent in percents},
        variation_percent=_WHOLE_PERCENT * statistics.pstdev(times_ms) / mean if mean else 0.0,
    )


def warnings_of(samples: Sequence[Sample]) -> list[str]:
    """What trtexec warns of: times that say little about the GPU.

    Raises:
        MeasurementError: There are no samples.
    """
    compute = summary([sample.compute_ms for sample in samples])
    enqueue_ms = statistics.median([sample.enqueue_ms for sample in samples])
    told = []
    if enqueue_ms > _ENQUEUE_BOUND * compute.median_ms:
        told.append(
            f"the host hands work over in {enqueue_ms:.3f} ms, the GPU does it in "
            f"{compute.median_ms:.3f} ms: the host may be what limits it; a CUDA graph helps"
        )
    if compute.variation_percent > _UNSTEADY_PERCENT:
        told.append(
            f"compute times vary by {compute.variation_percent:.1f} %: the GPU's clock is not "
            "steady; lock it"
        )
    copies = {
        "inputs to the GPU": [sample.to_device_ms for sample in samples],
        "outputs to the host": [sample.to_host_ms for sample in samples],
    }
    for what, times_ms in copies.items():
        known = [time_ms for time_ms in times_ms if time_ms is not None]
        if known and (median_ms := statistics.median(known)) >= compute.median_ms:
            told.append(
                f"copying {what} takes {median_ms:.3f} ms, computing {compute.median_ms:.3f} ms: "
                "the copies limit it"
            )
    return told


def export_times(samples: Sequence[Sample]) -> list[dict[str, float]]:
    """What `trtexec --exportTimes` writes, one object a run.

    Runs follow one another on a common clock that starts at 0: what lies between them is not
    known. Copies that were not made take no time.
    """
    written = []
    clock_ms = 0.0
    for sample in samples:
        in_end = clock_ms + (sample.to_device_ms or 0.0)
        compute_end = in_end + sample.compute_ms
        out_end = compute_end + (sample.to_host_ms or 0.0)
        written.append(
            {
                "startEnqMs": clock_ms,
                "endEnqMs": clock_ms + sample.enqueue_ms,
                "startH2dMs": clock_ms,
                "endH2dMs": in_end,
                "startComputeMs": in_end,
                "endComputeMs": compute_end,
                "startD2hMs": compute_end,
                "endD2hMs": out_end,
                "h2dMs": sample.to_device_ms or 0.0,
                "computeMs": sample.compute_ms,
                "d2hMs": sample.to_host_ms or 0.0,
                "latencyMs": sample.latency_ms,
            }
        )
        clock_ms = max(out_end, clock_ms + sample.enqueue_ms)
    return written


def export_profile(layers_ms: Mapping[str, Sequence[float]]) -> list[dict[str, float | str]]:
    """What `trtexec --exportProfile` writes: the number of runs, then one object a layer.

    Args:
        layers_ms: Time of each layer in each profiled run, in the order in which layers run.

    Raises:
        MeasurementError: Layers have different numbers of runs, or none.
    """
    counts = {len(times_ms) for times_ms in layers_ms.values()}
    if len(counts) != 1 or counts == {0}:
        raise MeasurementError(
            f"layers with {sorted(counts)} runs were given; expected the same number, at least one"
        )
    total_ms = sum(sum(times_ms) for times_ms in layers_ms.values())
    written: list[dict[str, float | str]] = [{"count": counts.pop()}]
    for name, times_ms in layers_ms.items():
        written.append(
            {
                "name": name,
                "timeMs": sum(times_ms),
                "averageMs": statistics.fmean(times_ms),
                "medianMs": statistics.median(times_ms),
                "percentage": _WHOLE_PERCENT * sum(times_ms) / total_ms if total_ms else 0.0,
            }
        )
    return written
