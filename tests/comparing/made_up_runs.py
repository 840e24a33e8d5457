"""Complete runs, made up, whose benchmarks hold the sweeps of simulated campaigns."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from pipeline.comparing.runs import ComparedRun
from pipeline.measure.statistics import LatencyStats
from pipeline.records.benchmark import BenchmarkRecord, TargetTiming
from pipeline.report import ReportInputs
from pipeline.space.architecture import Architecture
from tests.comparing.simulated import visits_ms
from tests.report import made_up
from tests.report.made_up_measuring import TARGET, steadiness

SWEEPS = 12
OTHER_TARGET = "host/onnxruntime-int8-b1-t1"


@lru_cache(maxsize=1)
def whole_run() -> ReportInputs:
    """Under limits that leave room, so that they are met whatever else changes."""
    inputs = made_up.inputs()
    limits = inputs.verify.limits.model_copy(update={"macs": 1e9, "latency_ms": {TARGET: 10.0}})
    return made_up.changed(inputs, "verify", limits=limits)


def campaign(
    seed: int,
    *,
    model: float = 1.0,
    machine: float = 1.0,
    other_machine: float = 1.0,
    disturbed: float = 0.0,
) -> BenchmarkRecord:
    """A benchmark on two targets.

    Args:
        seed: Of the noise.
        model: By what the run's own model is slower.
        machine: By what everything is slower.
        other_machine: By what everything on the second target is, on top of that.
        disturbed: Share of visits that something else ran beside.
    """
    rng = np.random.default_rng(seed)
    record = whole_run().benchmark

    def timed(stats: LatencyStats, factor: float) -> LatencyStats:
        minima = visits_ms(rng, stats.typical * machine * factor, SWEEPS, disturbed=disturbed)
        moved = {"typical": float(min(minima)), "sweep_minima_ms": tuple(map(float, minima))}
        return stats.model_copy(update=moved)

    own, *_ = record.results
    results = [
        it.model_copy(
            update={"latency_ms": timed(it.latency_ms, 1.0 if it.is_reference else model)}
        )
        if it.latency_ms
        else it
        for it in record.results
    ]
    stats = timed(own.latency_ms, model * other_machine)
    results.append(own.model_copy(update={"target": OTHER_TARGET, "latency_ms": stats}))
    other = TargetTiming(
        control=timed(record.control, other_machine),
        steadiness=steadiness(),
        environment=record.environment,
    )
    return record.model_copy(
        update={
            "results": tuple(results),
            "control": timed(record.control, 1.0),
            "others": {OTHER_TARGET: other},
        }
    )


def a_run(name: str, seed: int, **moved: float) -> ComparedRun:
    """A complete run; see `campaign`."""
    inputs = whole_run().model_copy(update={"name": name, "benchmark": campaign(seed, **moved)})
    return ComparedRun(name, Path("runs") / name, inputs)


def with_inputs(run: ComparedRun, **records: object) -> ComparedRun:
    """The same run with other records; None for a stage that has not run."""
    return replace(run, inputs=run.inputs.model_copy(update=records))


def with_changed(run: ComparedRun, stage: str, **fields: object) -> ComparedRun:
    """The same run, had the record of one stage other fields."""
    return replace(run, inputs=made_up.changed(run.inputs, stage, **fields))


def with_architecture(run: ComparedRun, architecture: Architecture) -> ComparedRun:
    """The same run, had it ended with another network."""
    inputs = run.inputs
    own = inputs.benchmark.results[0].name
    model = inputs.export.models[0].model_copy(update={"architecture": architecture})
    results = tuple(
        it.model_copy(update={"architecture": architecture}) if it.name == own else it
        for it in inputs.benchmark.results
    )
    run = with_changed(run, "retrain", architecture=architecture)
    run = with_changed(run, "export", models=(model,))
    return with_changed(run, "benchmark", results=results)
