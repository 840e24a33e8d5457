"""From sums of operators to whole networks: the fit, and how wrong it is.

A network is not the sum of its operators: caches, layout changes and the runtime's own overhead
differ in context. A scale, an offset and a cost per block, fitted to a few whole networks that
span depth and size, bring sums within a few percent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.cost import macs_batch, operator_macs
from pipeline.encoding import Floats, SlotTable, decode, encode
from pipeline.errors import MeasurementError
from pipeline.records import Calibration, CalibrationNetwork
from pipeline.space import Architecture, SearchSpace

_COEFFICIENTS = 3
MIN_NETWORKS = 5


@dataclass(frozen=True)
class Observation:
    """A whole network: what it is, what its operators sum to, what it took."""

    architecture: Architecture
    macs: int
    operator_sum_ms: float
    measured_ms: float


def choose_networks(
    space: SearchSpace, resolution: int, num_classes: int, count: int, *, seed: int
) -> list[Architecture]:
    """Networks to calibrate on: spread over depth and MACs, the extremes among them.

    Args:
        space: The space, possibly narrowed.
        resolution: Input side in pixels.
        num_classes: Outputs of the classifier.
        count: How many.
        seed: Decides the pool they are picked from.

    Returns:
        At most `count` architectures (fewer in a space that has fewer), each farthest from those
        picked before.
    """
    rng = np.random.default_rng(seed)
    pool = [_random_row(space, resolution, rng) for _ in range(50 * count)]
    # Uniform choices cluster in the middle; one operator everywhere lies towards the ends.
    for code in range(1, len(space.operators) + 1):
        for depth in range(1, space.max_depth + 1):
            stage = [code] * depth + [0] * (space.max_depth - depth)
            pool.append([resolution, *(stage * len(space.stages))])
    by_macs = SlotTable.of(space, resolution, num_classes, operator_macs)
    pool += [by_macs.extreme(largest=largest)[1].tolist() for largest in (False, True)]
    rows = np.unique(np.array(pool, dtype=np.int16), axis=0)
    depth = (rows[:, 1:] > 0).sum(axis=1)
    position = np.column_stack([_unit(np.log(macs_batch(space, rows, num_classes))), _unit(depth)])
    picked = [int(np.argmin(position.sum(axis=1)))]
    while len(picked) < min(count, len(rows)):
        apart = np.min(np.linalg.norm(position[:, None] - position[picked], axis=2), axis=1)
        apart[picked] = -1  # others may be as large and as deep as one that was picked
        picked.append(int(np.argmax(apart)))
    return [decode(space, rows[index], num_classes) for index in picked]


def calibrate(
    space: SearchSpace, resolution: int, num_classes: int, observed: Sequence[Observation]
) -> Calibration:
    """Fits scale, offset and cost per block by relative least squares.

    Args:
        space: The space, possibly narrowed.
        resolution: Input side in pixels.
        num_classes: Outputs of the classifier.
        observed: The calibration networks.

    Returns:
        The coefficients, with leave-one-out errors of the fit and of a line on MACs alone.

    Raises:
        MeasurementError: There are too few networks to fit on and to judge the fit by.
    """
    require_networks(len(observed))
    truth = np.array([o.measured_ms for o in observed])
    features = _features(
        np.array([o.operator_sum_ms for o in observed]),
        np.array([o.architecture.depth for o in observed]),
    )
    coefficients = _fit(features, truth)
    errors = _leave_one_out(features, truth)
    by_macs = np.column_stack([[o.macs for o in observed], np.ones(len(observed))])
    predicted = features @ coefficients
    return Calibration(
        space=space.name,
        resolution=resolution,
        num_classes=num_classes,
        max_depth=max(len(stage) for o in observed for stage in o.architecture.stages),
        scale=float(coefficients[0]),
        offset_ms=float(coefficients[1]),
        per_block_ms=float(coefficients[2]),
        relative_std=float(np.sqrt(np.mean(errors**2))),
        mape_percent=float(100 * np.mean(np.abs(errors))),
        max_error_percent=float(100 * np.max(np.abs(errors))),
        flops_mape_percent=float(100 * np.mean(np.abs(_leave_one_out(by_macs, truth)))),
        networks=tuple(
            CalibrationNetwork(
                architecture=o.architecture,
                macs=o.macs,
                operator_sum_ms=o.operator_sum_ms,
                measured_ms=o.measured_ms,
                predicted_ms=float(value),
            )
            for o, value in zip(observed, predicted, strict=True)
        ),
    )


def require_networks(count: int) -> None:
    """Refuses too few calibration networks.

    Raises:
        MeasurementError: There are fewer than a fit and its leave-one-out errors need.
    """
    if count < MIN_NETWORKS:
        raise MeasurementError(
            f"{count} calibration networks are too few; {MIN_NETWORKS} are the least",
            hint="--calibration-networks 8, or a space with more architectures",
        )


def apply_calibration(calibration: Calibration, sums_ms: Floats, depths: Floats) -> Floats:
    """Predicted latencies in milliseconds, from operator sums and numbers of blocks; shape (n,)."""
    # Element by element: a matrix product rounds differently for one network than for many.
    per_network = calibration.scale * sums_ms + calibration.per_block_ms * depths
    return np.asarray(per_network + calibration.offset_ms)


def _features(sums_ms: Floats, depths: NDArray[np.generic]) -> Floats:
    return np.column_stack([sums_ms, np.ones(len(sums_ms)), depths]).astype(np.float64)


def _fit(features: Floats, truth: Floats) -> Floats:
    """Least squares of relative errors: every network counts the same, fast or slow."""
    weighted = features / truth[:, None]
    found = np.linalg.lstsq(weighted, np.ones(len(truth)), rcond=None)[0]
    return np.asarray(found, dtype=np.float64)


def _leave_one_out(features: Floats, truth: Floats) -> Floats:
    """Relative error of each network predicted by a fit on all others."""
    errors = np.empty(len(truth))
    for left_out in range(len(truth)):
        rest = np.arange(len(truth)) != left_out
        predicted = features[left_out] @ _fit(features[rest], truth[rest])
        errors[left_out] = predicted / truth[left_out] - 1
    return errors


def _random_row(space: SearchSpace, resolution: int, rng: np.random.Generator) -> list[int]:
    row = [resolution]
    for _ in space.stages:
        depth = int(rng.integers(1, space.max_depth + 1))
        codes = rng.integers(1, len(space.operators) + 1, size=depth)
        row += [*map(int, codes), *([0] * (space.max_depth - depth))]
    return row


def _unit(values: NDArray[np.generic]) -> Floats:
    numbers = np.asarray(values, dtype=np.float64)
    span = float(np.ptp(numbers))
    return (numbers - numbers.min()) / span if span else np.zeros_like(numbers)


def observe(
    architecture: Architecture, space: SearchSpace, operator_sum_ms: float, measured_ms: float
) -> Observation:
    """An observation, its MACs filled in."""
    rows = encode(space, [architecture])
    macs = int(macs_batch(space, rows, architecture.num_classes)[0])
    return Observation(architecture, macs, operator_sum_ms, measured_ms)
