"""Every way to predict the latency of networks, judged on the same truth."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.latency.calibration import Measured, OperatorTimes, calibrate
from pipeline.latency.honesty import Judged, judge, line_on_macs
from pipeline.latency.in_context import in_context_ms, layers_key
from pipeline.latency.model import LatencyModel
from pipeline.latency.profiling import visiting_s
from pipeline.latency.table import LatencyTable, network_key
from pipeline.measure.journal import read_journal
from pipeline.measure.statistics import Visit, reduce_all, split_half_percent
from pipeline.records.calibration import Calibration, Honesty, Method
from pipeline.space.architecture import Architecture
from pipeline.space.cost import architecture_cost
from pipeline.space.encoding import Floats, encode
from pipeline.space.search_space import get_space

SPACE, CLASSES = "cream", 1000
COSTS_AT = (8, 12, 16, 20, 24)


@dataclass(frozen=True)
class Truth:
    """Random networks and what they took."""

    networks: Sequence[Architecture]
    latency_ms: Floats
    split_half_percent: float
    date: str

    @classmethod
    def of(cls, networks: Sequence[Architecture], visits: Mapping[str, Sequence[Visit]]) -> Truth:
        """What visits say of networks."""
        groups = {network_key(network): visits[network_key(network)] for network in networks}
        latency_ms = np.array([stats.typical for stats in reduce_all(groups).values()])
        today = time.strftime("%Y-%m-%d", time.gmtime())
        return cls(networks, latency_ms, split_half_percent(groups), today)

    def judged(
        self, predicted_ms: Floats, std_ms: Floats, flops_ms: Floats, cost_s: float
    ) -> Honesty:
        """Judges predictions of these networks."""
        macs = _macs(self.networks)
        return judge(
            Judged(predicted_ms, std_ms, self.latency_ms, macs),
            flops_ms,
            split_half_percent=self.split_half_percent,
            date=self.date,
            cost_s=cost_s,
        )


def judge_methods(
    table: LatencyTable, calibration: Calibration, truth: Truth
) -> dict[str, Honesty]:
    """Each way to predict, judged on the same networks."""
    cost_s = calibration.honesty.cost_s
    flops_ms = line(calibration, truth.networks)
    unsure = np.full(len(flops_ms), np.inf)
    found = {"MACs alone, a line": truth.judged(flops_ms, unsure, flops_ms, cost_s)}
    for method, times in _times(table, calibration).items():
        words = method.replace("_", " ")
        sums = _sums(times.all_ms, truth.networks)
        found[f"{words}, summed"] = truth.judged(sums, unsure, flops_ms, cost_s)
        fitted = _scaled(times, calibration, truth.networks)
        found[f"{words}, scale + offset + depth"] = truth.judged(fitted, unsure, flops_ms, cost_s)
        alone = _recalibrated({method: times}, calibration, _everything(calibration))
        predicted = _predict(table, alone, truth.networks)
        found[f"{method}, calibrated"] = truth.judged(*predicted, flops_ms, cost_s)
    return found


def cost_against_error(
    table: LatencyTable, calibration: Calibration, truth: Truth
) -> list[dict[str, float]]:
    """Held-out error by number of calibration networks, with what measuring them costs."""
    times = _times(table, calibration)[calibration.method]
    flops_ms = line(calibration, truth.networks)
    # Both extremes first: without them the fit would not reach over the whole space.
    by_macs = np.argsort([network.macs for network in calibration.networks])
    rest = np.random.default_rng(0).permutation(by_macs[1:-1])
    order = np.concatenate([by_macs[[0, -1]], rest])
    visits = read_journal(table.path)[1]
    found = []
    for count in COSTS_AT:
        if count > len(order):
            break
        chosen = order[:count].tolist()
        some = _recalibrated({calibration.method: times}, calibration, chosen)
        networks = [calibration.networks[index].architecture for index in chosen]
        keys = {*times.all_ms, *map(network_key, networks), *map(layers_key, networks)}
        told = truth.judged(*_predict(table, some, truth.networks), flops_ms, 0.0)
        found.append(
            {
                "calibration_networks": count,
                "cost_s": visiting_s(visits, keys),
                "mape_percent": told.mape_percent,
                "max_percent": told.max_percent,
            }
        )
    return found


def _times(table: LatencyTable, calibration: Calibration) -> dict[Method, OperatorTimes]:
    space = get_space(SPACE)
    operators = space.distinct_operators(calibration.resolution, CLASSES)
    found: dict[Method, OperatorTimes] = {
        "isolated": OperatorTimes({s.key: table.entries[s.key].typical for s in operators})
    }
    networks = [network.architecture for network in calibration.networks]
    inside = in_context_ms(table.layers, networks, found["isolated"].all_ms)
    if inside is not None:
        found["in_context"] = OperatorTimes(inside)
    return found


def _recalibrated(
    times: Mapping[Method, OperatorTimes], calibration: Calibration, chosen: Sequence[int]
) -> Calibration:
    networks = [calibration.networks[index] for index in chosen]
    measured = Measured(
        [network.architecture for network in networks],
        np.array([network.measured_ms for network in networks]),
        calibration.honesty.split_half_percent,
        calibration.honesty.date,
        calibration.honesty.cost_s,
    )
    return calibrate(get_space(SPACE), calibration.resolution, CLASSES, times, measured)


def _everything(calibration: Calibration) -> list[int]:
    return list(range(len(calibration.networks)))


def _predict(
    table: LatencyTable, calibration: Calibration, networks: Sequence[Architecture]
) -> tuple[Floats, Floats]:
    space = get_space(SPACE)
    model = LatencyModel(table, {(SPACE, calibration.resolution, CLASSES): calibration})
    return model.predict_batch(space, encode(space, networks), CLASSES)


def _scaled(
    times: OperatorTimes, calibration: Calibration, networks: Sequence[Architecture]
) -> Floats:
    """Scale, offset and cost a block, fitted by relative least squares."""
    known = [network.architecture for network in calibration.networks]
    measured_ms = np.array([network.measured_ms for network in calibration.networks])

    def features(of: Sequence[Architecture]) -> Floats:
        depth = [float(network.depth) for network in of]
        return np.column_stack([_sums(times.all_ms, of), np.ones(len(of)), depth])

    weighted = features(known) / measured_ms[:, None]
    fit = np.linalg.lstsq(weighted, np.ones(len(known)), rcond=None)[0]
    return np.asarray(features(networks) @ fit)


def _sums(times_ms: Mapping[str, float], networks: Sequence[Architecture]) -> Floats:
    return np.array([sum(times_ms[p.spec.key] for p in n.operators()) for n in networks])


def line(calibration: Calibration, networks: Sequence[Architecture]) -> Floats:
    """A line on MACs alone, fitted on the calibration networks."""
    known = [network.architecture for network in calibration.networks]
    measured_ms = np.array([network.measured_ms for network in calibration.networks])
    slope, intercept = line_on_macs(_macs(known), measured_ms)
    return np.asarray(slope * _macs(networks) + intercept)


def _macs(networks: Sequence[Architecture]) -> Floats:
    return np.array([float(architecture_cost(network).macs) for network in networks])
