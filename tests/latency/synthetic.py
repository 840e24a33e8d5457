"""Synthetic tables: made-up times that follow from operators' sizes. Nothing here was measured."""

import math
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.device.fingerprint import Environment, environment
from pipeline.device.target import Target
from pipeline.files.record import plain
from pipeline.latency.calibration import Measured, OperatorTimes, calibrate
from pipeline.latency.model import save_calibration
from pipeline.latency.posterior import Networks
from pipeline.latency.sampling import design_networks
from pipeline.latency.table import network_key
from pipeline.latency.table_files import table_to_write
from pipeline.measure.campaign import CONTROL_NETWORK
from pipeline.measure.journal import Journal
from pipeline.measure.statistics import Visit
from pipeline.records.calibration import Calibration
from pipeline.space.architecture import Architecture
from pipeline.space.cost import operator_macs
from pipeline.space.operator_spec import OperatorSpec
from pipeline.space.search_space import SearchSpace

TARGET = Target.parse("synthetic/onnxruntime-fp32-b1-t1")
OFFSET_MS, PER_BLOCK_MS = 0.3, 0.01
DATE = "2026-01-01"


def operator_ms(spec: OperatorSpec) -> float:
    """Alone: grows with MACs, and with the kernel beyond what MACs say."""
    return 0.03 + operator_macs(spec) / 4e6 + 0.006 * spec.kernel**2


def correction(spec: OperatorSpec) -> float:
    """How much more an operator takes in a network: by its stage's width, and by its kernel."""
    return 0.05 + 0.01 * math.log2(spec.out_channels / 16) + 0.01 * (spec.kernel - 3)


def in_context_ms(spec: OperatorSpec) -> float:
    """The truth about an operator in a network."""
    return operator_ms(spec) * (1 + correction(spec))


def operator_sum_ms(architecture: Architecture) -> float:
    """Sum of the operators, each alone."""
    return sum(operator_ms(placed.spec) for placed in architecture.operators())


def network_ms(architecture: Architecture) -> float:
    """The truth about a network, without noise: something that a calibration can express."""
    in_context = sum(in_context_ms(placed.spec) for placed in architecture.operators())
    return in_context + OFFSET_MS + PER_BLOCK_MS * architecture.depth


def times_of(
    specs: Iterable[OperatorSpec], networks: Iterable[Architecture] = ()
) -> dict[str, float]:
    """Times by key, as a table holds them."""
    return {
        **{spec.key: operator_ms(spec) for spec in specs},
        **{network_key(network): network_ms(network) for network in networks},
    }


def header(target: Target = TARGET, machine: Environment | None = None) -> dict[str, Any]:
    """A table's header, of the machine at hand unless another is given."""
    return {
        "device": target.device_slug,
        "target": target.setting,
        "control": CONTROL_NETWORK,
        "environment": plain(machine or environment()),
    }


def visit(
    key: str, samples_ms: Sequence[float], *, sweep: int = 0, at: str = f"{DATE}T00:00:00+00:00"
) -> Visit:
    """A visit, with a control network that takes 1 ms."""
    return Visit(
        sweep=sweep,
        key=key,
        samples_ms=tuple(samples_ms),
        control_before_ms=(1.0, 1.5),
        control_after_ms=(1.25, 1.0),
        at=at,
        precision="fp32",
    )


def write_table(
    times_ms: Mapping[str, float],
    target: Target = TARGET,
    *,
    sweeps: Iterable[int] = range(3),
    changes: Mapping[str, Any] | None = None,
) -> Path:
    """Writes visits to the target's place in the working directory, after those that are there.

    Args:
        times_ms: The fastest run of each visit, by key.
        target: Whose table.
        sweeps: Numbers of the sweeps.
        changes: Fields of the header that differ from `header`.
    """
    path = table_to_write(target)
    with Journal(path, {**header(target), **(changes or {})}) as journal:
        for sweep in sweeps:
            for key, time_ms in times_ms.items():
                journal.append(visit(key, (time_ms, 2 * time_ms), sweep=sweep))
    return path


def write_calibrated_table(
    space: SearchSpace, resolutions: Sequence[int], num_classes: int
) -> Path:
    """Writes a table of a space at each input size, and its calibrations beside it."""
    specs = [spec for size in resolutions for spec in space.distinct_operators(size, num_classes)]
    path = write_table(times_of(specs))
    for resolution in resolutions:
        save_calibration(path, TARGET, calibration(space, resolution, num_classes))
    return path


def measured(networks: Sequence[Architecture], *, noise: float = 0.0, seed: int = 0) -> Measured:
    """What networks took, with relative noise of that standard deviation."""
    random = np.random.default_rng(seed)
    truth = np.array([network_ms(network) for network in networks])
    return Measured(
        architectures=networks,
        latency_ms=truth * (1 + noise * random.standard_normal(len(networks))),
        split_half_percent=0.5,
        date=DATE,
        cost_s=60.0,
    )


@lru_cache(maxsize=64)
def calibration(
    space: SearchSpace, resolution: int, num_classes: int, count: int = 24
) -> Calibration:
    """A calibration of noise-free networks, from operators timed alone."""
    networks = design_networks(space, resolution, num_classes, count, seed=0)
    alone = times_of(space.distinct_operators(resolution, num_classes))
    return calibrate(
        space, resolution, num_classes, {"isolated": OperatorTimes(alone)}, measured(networks)
    )


def as_regression(
    operators: Sequence[OperatorSpec], architectures: Sequence[Architecture]
) -> Networks:
    """Networks as the regression sees them, counted one by one."""
    walks = [[placed.spec for placed in network.operators()] for network in architectures]
    return Networks(
        np.array([[walk.count(spec) for spec in operators] for walk in walks], dtype=float),
        np.array([float(network.depth) for network in architectures]),
    )
