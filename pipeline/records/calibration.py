"""A calibration: how a table becomes predictions of whole networks, and how wrong those are."""

from __future__ import annotations

from typing import Literal

from pipeline.files.record import Record
from pipeline.space.architecture import Architecture

Method = Literal["isolated", "in_context"]
"""How the times of operators were had: each alone, or read from the runtime inside networks."""


class Honesty(Record):
    """How far off predictions are, on networks that no fit had seen.

    Each network is predicted from all others (leave-one-out), so every figure is of unseen ones.

    Attributes:
        networks: How many networks the figures rest on.
        mape_percent: Mean absolute relative error.
        within_5_percent: Share of networks whose error is at most 5 %, in percent.
        within_10_percent: … at most 10 %.
        max_percent: Largest absolute relative error.
        bias_percent: Mean relative error; positive where predictions are too slow.
        kendall_tau: Rank correlation of predicted and measured.
        pair10_percent: Share of pairs within 10 % of each other that are ordered rightly; None
            where there is no such pair.
        coverage_percent: Share of networks inside their 80 % interval, which should be near 80.
        split_half_percent: How far two halves of the measured truth disagree: the floor.
        flops_mape_percent: `mape_percent` of a line fitted on MACs alone, on the same networks.
        flops_kendall_tau: `kendall_tau` of MACs alone.
        date: Day the networks were measured, ISO 8601.
        cost_s: Seconds that measuring took: operators and networks, without exports. Opening the
            models counts in the call that opened them.
    """

    networks: int
    mape_percent: float
    within_5_percent: float
    within_10_percent: float
    max_percent: float
    bias_percent: float
    kendall_tau: float
    pair10_percent: float | None
    coverage_percent: float
    split_half_percent: float
    flops_mape_percent: float
    flops_kendall_tau: float
    date: str
    cost_s: float


class CalibrationNetwork(Record):
    """A whole network measured in the sweeps of the table.

    Attributes:
        operator_sum_ms: Sum of its operators' times.
        predicted_ms: What the other networks predict for it.
        predicted_std_ms: Standard uncertainty of that.
    """

    architecture: Architecture
    macs: int
    operator_sum_ms: float
    measured_ms: float
    predicted_ms: float
    predicted_std_ms: float


class MethodError(Record):
    """What a way to get operators' times is worth: its leave-one-out errors."""

    method: Method
    mape_percent: float
    max_percent: float


class Calibration(Record):
    """How sums over a table become latencies of whole networks of one space.

    latency_ms = sum of in_context_ms + offset_ms + per_block_ms · blocks

    Attributes:
        max_depth: Deepest stage among the networks it rests on; deeper ones are not predicted.
        method: How the operators' times were had; the one with the smaller held-out error.
        methods: Held-out error of each method that could be tried.
        operators_ms: Operators' times by that method.
        in_context_ms: … corrected by what whole networks took (`pipeline.latency.posterior`).
        offset_ms: What a network takes beyond its operators.
        per_block_ms: … and for each chosen block.
        misfit: Relative standard deviation of what no additive model expresses.
        honesty: How wrong predictions are.
        networks: Measured networks the calibration rests on.
    """

    space: str
    resolution: int
    num_classes: int
    max_depth: int
    method: Method
    methods: tuple[MethodError, ...]
    operators_ms: dict[str, float]
    in_context_ms: dict[str, float]
    offset_ms: float
    per_block_ms: float
    misfit: float
    honesty: Honesty
    networks: tuple[CalibrationNetwork, ...]


class DriftCheck(Record):
    """A table was looked at again: does it still hold?

    Attributes:
        target: Which.
        visits: Visits the table held then; with more, the check is of another table.
        verdict: `fresh`; `scaled`, if everything moved by the same factor; `stale`.
        scale: What predictions are multiplied by; 1 where the table is fresh.
        change_percent: Now against then, of each thing measured again, the control network among
            them.
        spread_percent: How far the changes are apart.
        at: When, ISO 8601, UTC.
        seconds: What the check took.
    """

    target: str
    visits: int
    verdict: Literal["fresh", "scaled", "stale"]
    scale: float
    change_percent: dict[str, float]
    spread_percent: float
    at: str
    seconds: float
