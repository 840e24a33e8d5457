"""What a benchmark hands to the report: models timed on targets."""

from __future__ import annotations

from pydantic import Field

from pipeline.device.fingerprint import Environment
from pipeline.device.target import Target
from pipeline.files.record import Record
from pipeline.measure.protocol import TimingProtocol
from pipeline.measure.statistics import LatencyStats
from pipeline.measure.steadiness import Steadiness
from pipeline.records.candidates import LatencyPrediction
from pipeline.space.architecture import Architecture


class DeviceTiming(Record):
    """A model's runs as a device with a clock of its own saw them, apart from the host.

    Attributes:
        compute_ms: From the first kernel to the last, by events on the device.
        enqueue_ms: Median of the host's time until a run was handed over.
        to_device_ms: Median time to copy the inputs there, which is in no latency; None where that
            was not measured.
        to_host_ms: The same for copying the outputs back.
        clock_sm_mhz: Slowest and fastest clock of its processors read beside the visits.
        temperature_c: Coolest and hottest.
        power_w: Least and most.
        slowdown_reasons: Why the clock was below the highest in some visit.
        warnings: What makes the times doubtful, as NVIDIA's trtexec judges it.
    """

    compute_ms: LatencyStats
    enqueue_ms: float
    to_device_ms: float | None
    to_host_ms: float | None
    clock_sm_mhz: tuple[float, float] | None = None
    temperature_c: tuple[float, float] | None = None
    power_w: tuple[float, float] | None = None
    slowdown_reasons: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


class EngineAnswers(Record):
    """What an engine answered beside what the file that it runs says.

    Attributes:
        images: Of search-validation.
        accuracy_percent: Top-1 as the engine answers.
        file_accuracy_percent: The same as the file says by the ONNX standard's arithmetic.
        agreement: Share of the images with the same top class, 0 to 1.
        wrong: Whether the engine loses more than is allowed, and more than chance explains.
    """

    images: int
    accuracy_percent: float
    file_accuracy_percent: float
    agreement: float
    wrong: bool


class BenchmarkResult(Record):
    """A model timed on a target, or the reason why it was not.

    Attributes:
        macs: None for networks that are not of a search space.
        precision_as_built: What the runtime really computes in.
        predicted_ms: What the table said beforehand, where one could.
        is_reference: Whether it is only there to compare with.
        samples_ms: Every timed run, in the order it was made.
        device: Its times on the device itself; None where that has no clock of its own.
        notes: What a reader of the times must know.
        layers_ms: A profiled run's time by block, in network order, in a run of its own; under the
            empty name what belongs to no block. Empty where the runtime does not tell.
        answers: What its engine answered; None where it was not asked.
        error: Why there is no result; then `latency_ms` is None.
    """

    name: str
    target: str
    architecture: Architecture | None
    macs: int | None
    params: int | None
    weights: str
    precision_as_built: str | None
    latency_ms: LatencyStats | None
    n: int
    samples_ms: tuple[float, ...]
    predicted_ms: LatencyPrediction | None
    is_reference: bool
    device: DeviceTiming | None = None
    notes: tuple[str, ...] = ()
    layers_ms: dict[str, float] = Field(default_factory=dict)
    answers: EngineAnswers | None = None
    error: str | None = None

    @property
    def images_per_second(self) -> float | None:
        """Images that calls one after the other get through."""
        if self.latency_ms is None:
            return None
        return 1e3 * Target.parse(self.target).batch / self.latency_ms.typical


class TargetTiming(Record):
    """How still one target held in a benchmark of several.

    Attributes:
        environment: The machine, with the software of the target's own runtime.
    """

    control: LatencyStats
    steadiness: Steadiness
    environment: Environment


class BenchmarkRecord(Record):
    """Models timed in one interleaved campaign.

    Attributes:
        control: The control network on the first result's target.
        steadiness: How still that target held.
        others: The other targets, by name, that could be measured.
        environment: The machine, with the software of that target's runtime.
    """

    results: tuple[BenchmarkResult, ...]
    protocol: TimingProtocol
    control: LatencyStats
    steadiness: Steadiness | None = None
    others: dict[str, TargetTiming] = Field(default_factory=dict)
    seconds: float
    environment: Environment

    @property
    def targets(self) -> tuple[str, ...]:
        """The targets asked for, the first result's before the others."""
        return tuple(dict.fromkeys(result.target for result in self.results))
