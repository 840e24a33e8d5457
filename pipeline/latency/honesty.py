"""How wrong predictions are: the figures that stand beside every table."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from pipeline.records.calibration import Honesty
from pipeline.space.encoding import Floats

PAIR_PERCENT = 10.0
INTERVAL = 0.80
_INTERVAL_Z = float(stats.norm.ppf(0.5 + INTERVAL / 2))


@dataclass(frozen=True)
class Judged:
    """Predictions of networks no fit had seen, and what was measured; each of shape (n,)."""

    predicted_ms: Floats
    std_ms: Floats
    measured_ms: Floats
    macs: Floats


def judge(
    judged: Judged, flops_ms: Floats, *, split_half_percent: float, date: str, cost_s: float
) -> Honesty:
    """Makes the honesty block.

    Args:
        judged: What is judged.
        flops_ms: What a line fitted on MACs alone predicts for the same networks, as unseen.
        split_half_percent: The floor: how far two halves of the truth disagree.
        date: Day of the measurement, ISO 8601.
        cost_s: Seconds it took to make the table and the calibration.
    """
    errors = judged.predicted_ms / judged.measured_ms - 1
    absolute = 100 * np.abs(errors)
    inside = np.abs(judged.predicted_ms - judged.measured_ms) <= _INTERVAL_Z * judged.std_ms
    return Honesty(
        networks=len(errors),
        mape_percent=float(absolute.mean()),
        within_5_percent=float(100 * (absolute <= 5).mean()),
        within_10_percent=float(100 * (absolute <= 10).mean()),
        max_percent=float(absolute.max()),
        bias_percent=float(100 * errors.mean()),
        kendall_tau=float(stats.kendalltau(judged.predicted_ms, judged.measured_ms).statistic),
        pair10_percent=pair_percent(judged.predicted_ms, judged.measured_ms),
        coverage_percent=float(100 * inside.mean()),
        split_half_percent=split_half_percent,
        flops_mape_percent=float(100 * np.abs(flops_ms / judged.measured_ms - 1).mean()),
        flops_kendall_tau=float(stats.kendalltau(judged.macs, judged.measured_ms).statistic),
        date=date,
        cost_s=cost_s,
    )


def pair_percent(predicted_ms: Floats, measured_ms: Floats) -> float | None:
    """Share of pairs within 10 % of each other that predictions order rightly, in percent.

    Correlation over the whole range proves nothing, since size alone gives it; what a search needs
    is the order of networks that are nearly equal.

    Returns:
        None where there is no such pair.
    """
    one, other = np.triu_indices(len(measured_ms), 1)
    apart = measured_ms[one] - measured_ms[other]
    near = np.abs(apart) <= PAIR_PERCENT / 100 * np.minimum(measured_ms[one], measured_ms[other])
    near &= apart != 0
    if not near.any():
        return None
    right = (predicted_ms[one] - predicted_ms[other]) * apart > 0
    return float(100 * right[near].mean())


def line_on_macs(macs: Floats, measured_ms: Floats) -> Floats:
    """Slope and intercept of a line through MACs, by relative least squares; shape (2,)."""
    features = np.column_stack([macs, np.ones(len(macs))])
    weighted = features / measured_ms[:, None]
    found = np.linalg.lstsq(weighted, np.ones(len(macs)), rcond=None)[0]
    return np.asarray(found, dtype=np.float64)


def left_out_line(macs: Floats, measured_ms: Floats) -> Floats:
    """Each network predicted by a line on the MACs of all others; shape (n,)."""
    predicted = np.empty(len(macs))
    for index in range(len(macs)):
        rest = np.arange(len(macs)) != index
        slope, intercept = line_on_macs(macs[rest], measured_ms[rest])
        predicted[index] = slope * macs[index] + intercept
    return predicted
