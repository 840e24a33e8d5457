"""From sums of operators to whole networks: the fit, and how wrong it is.

A network is not the sum of its operators: caches, layout changes and the runtime's own overhead
differ in context. A few whole networks, measured in the same sweeps, correct the operators' times
(`pipeline.latency.posterior`) and say how far off predictions are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.errors import MeasurementError
from pipeline.latency.honesty import Judged, judge, left_out_line
from pipeline.latency.posterior import Networks, Posterior, infer
from pipeline.records.calibration import Calibration, CalibrationNetwork, Method, MethodError
from pipeline.space.architecture import Architecture
from pipeline.space.cost import architecture_cost
from pipeline.space.encoding import Floats
from pipeline.space.operator_spec import parse_key
from pipeline.space.search_space import SearchSpace

MIN_NETWORKS = 8
Times = Mapping[str, float]


@dataclass(frozen=True)
class OperatorTimes:
    """Times of operators by one method.

    Attributes:
        all_ms: Milliseconds by operator.
        without_ms: The same as each calibration network in turn would leave them, had it never been
            measured; None where no network had a part in them.
    """

    all_ms: Times
    without_ms: Sequence[Times] | None = None


@dataclass(frozen=True)
class Measured:
    """Whole networks of one space at one resolution, and what they took.

    Attributes:
        architectures: The networks.
        latency_ms: Typical latency of each.
        split_half_percent: How far two halves of that measurement disagree.
        date: Day of the measurement, ISO 8601.
        cost_s: Seconds that measuring operators and networks took.
    """

    architectures: Sequence[Architecture]
    latency_ms: Floats
    split_half_percent: float
    date: str
    cost_s: float


def calibrate(
    space: SearchSpace,
    resolution: int,
    num_classes: int,
    methods: Mapping[Method, OperatorTimes],
    measured: Measured,
) -> Calibration:
    """Fits corrections to operators' times, by the method that predicts unseen networks best.

    Args:
        space: The space, possibly narrowed.
        resolution: Input side in pixels.
        num_classes: Outputs of the classifier.
        methods: Times of all of the space's operators, by each method that was tried.
        measured: The calibration networks.

    Raises:
        MeasurementError: There are too few networks to fit on and to judge the fit by.
    """
    require_networks(len(measured.architectures))
    predicted = {name: _left_out(times, measured) for name, times in methods.items()}
    errors = {
        name: 100 * np.abs(left_out_ms / measured.latency_ms - 1)
        for name, (left_out_ms, _) in predicted.items()
    }
    method = min(methods, key=lambda name: float(errors[name].mean()))
    fit = _Fit.of(methods[method].all_ms, measured.architectures, measured.latency_ms)
    networks = _networks(measured, fit, *predicted[method])
    macs = np.array([float(network.macs) for network in networks])
    return Calibration(
        space=space.name,
        resolution=resolution,
        num_classes=num_classes,
        max_depth=max(len(stage) for a in measured.architectures for stage in a.stages),
        method=method,
        methods=tuple(
            MethodError(method=name, mape_percent=e.mean(), max_percent=e.max())
            for name, e in errors.items()
        ),
        operators_ms=dict(methods[method].all_ms),
        in_context_ms=dict(zip(fit.keys, fit.posterior.in_context_ms.tolist(), strict=True)),
        offset_ms=fit.posterior.offset_ms,
        per_block_ms=fit.posterior.per_block_ms,
        misfit=fit.posterior.prior.misfit,
        honesty=judge(
            Judged(*predicted[method], measured.latency_ms, macs),
            left_out_line(macs, measured.latency_ms),
            split_half_percent=measured.split_half_percent,
            date=measured.date,
            cost_s=measured.cost_s,
        ),
        networks=networks,
    )


def require_networks(count: int) -> None:
    """Refuses too few calibration networks.

    Raises:
        MeasurementError: There are fewer than a fit and its leave-one-out errors need.
    """
    if count < MIN_NETWORKS:
        raise MeasurementError(
            f"{count} calibration networks are too few; {MIN_NETWORKS} are the least",
            hint="--calibration-networks 24, or a space with more architectures",
        )


def posterior_of(calibration: Calibration) -> Posterior:
    """The posterior a calibration records, from the measurements it keeps."""
    architectures = [network.architecture for network in calibration.networks]
    latency_ms = np.array([network.measured_ms for network in calibration.networks])
    return _Fit.of(calibration.operators_ms, architectures, latency_ms).posterior


@dataclass(frozen=True)
class _Fit:
    keys: tuple[str, ...]
    posterior: Posterior
    sums_ms: Floats

    @classmethod
    def of(cls, times: Times, architectures: Sequence[Architecture], latency_ms: Floats) -> _Fit:
        keys = tuple(times)
        networks = _counted(keys, architectures)
        alone_ms = np.array(list(times.values()))
        posterior = infer([parse_key(key) for key in keys], alone_ms, networks, latency_ms)
        return cls(keys, posterior, networks.counts @ alone_ms)

    def predict(self, architecture: Architecture) -> tuple[float, float]:
        """Latency of a network and its standard uncertainty, in milliseconds."""
        network = _counted(self.keys, [architecture])
        mean_ms = self.posterior.mean_ms(network)
        return float(mean_ms[0]), float(self.posterior.std_ms(network, mean_ms)[0])


def _left_out(times: OperatorTimes, measured: Measured) -> tuple[Floats, Floats]:
    """Prediction of each network by all others, and its standard uncertainty; shape (n,) each."""
    if times.without_ms is None:
        posterior = _Fit.of(times.all_ms, measured.architectures, measured.latency_ms).posterior
        return posterior.left_out_ms, posterior.left_out_std_ms
    found = np.empty((2, len(measured.architectures)))
    for index, without_ms in enumerate(times.without_ms):
        rest = [a for place, a in enumerate(measured.architectures) if place != index]
        fit = _Fit.of(without_ms, rest, np.delete(measured.latency_ms, index))
        found[:, index] = fit.predict(measured.architectures[index])
    return found[0], found[1]


def _counted(keys: Sequence[str], architectures: Sequence[Architecture]) -> Networks:
    column = {key: index for index, key in enumerate(keys)}
    counts = np.zeros((len(architectures), len(keys)))
    for row, architecture in enumerate(architectures):
        for placed in architecture.operators():
            counts[row, column[placed.spec.key]] += 1
    return Networks(counts, np.array([float(a.depth) for a in architectures]))


def _networks(
    measured: Measured, fit: _Fit, predicted_ms: Floats, predicted_std_ms: Floats
) -> tuple[CalibrationNetwork, ...]:
    return tuple(
        CalibrationNetwork(
            architecture=architecture,
            macs=architecture_cost(architecture).macs,
            operator_sum_ms=float(fit.sums_ms[index]),
            measured_ms=float(measured.latency_ms[index]),
            predicted_ms=float(predicted_ms[index]),
            predicted_std_ms=float(predicted_std_ms[index]),
        )
        for index, architecture in enumerate(measured.architectures)
    )
