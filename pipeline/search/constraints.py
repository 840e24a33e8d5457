"""Limits as numbers: how far over them an architecture is, and whether they can be met at all."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from pipeline.errors import UsageError
from pipeline.records.candidates import Limits
from pipeline.space.encoding import Floats, Rows

Costs = Callable[[Rows], Mapping[str, Floats]]

MACS = "macs"
PARAMS = "params"
_LATENCY = "latency_ms/"
_STD = "latency_std_ms/"
_UNITS = (1e3, 1e6, 1e9)
_FAR = 30.0
"""Times beyond what a space reaches at which a limit is more likely a slip of the unit."""


def latency_key(target: str) -> str:
    """The name of a target's latency among the costs."""
    return f"{_LATENCY}{target}"


def std_key(target: str) -> str:
    """The name of that latency's standard uncertainty among the costs."""
    return f"{_STD}{target}"


@dataclass(frozen=True)
class Bound:
    """One limit on one cost.

    Attributes:
        key: The cost: `macs`, `params` or `latency_ms/<target>`.
        value: MACs, parameters or milliseconds.
        at_least: Whether the cost may not be below `value`, instead of not above it.
        margin: Standard uncertainties that are added to the cost first.
    """

    key: str
    value: float
    at_least: bool = False
    margin: float = 0.0

    @property
    def std_key(self) -> str:
        """The name of the cost's standard uncertainty among the costs."""
        return std_key(self.key.removeprefix(_LATENCY))

    def excess(self, costs: Mapping[str, Floats]) -> Floats:
        """How far beyond the bound each network is, relative to the bound; negative inside it."""
        cost = costs[self.key]
        if self.margin:
            cost = cost + self.margin * costs[self.std_key]
        beyond = self.value - cost if self.at_least else cost - self.value
        return beyond / self.value

    def describe(self) -> str:
        """For people, e.g. `MACs at most 300 M`."""
        margin = f" with a margin of {self.margin:.2g} uncertainties" if self.margin else ""
        end = "least" if self.at_least else "most"
        return f"{self.label} at {end} {self.show(self.value)}{margin}"

    @property
    def label(self) -> str:
        """What is limited, in words."""
        return _label(self.key)

    def show(self, cost: float) -> str:
        """A value of this cost with its unit."""
        return show_cost(self.key, cost)


def show_cost(key: str, cost: float) -> str:
    """A cost with its unit, e.g. `300 M` or `6.12 ms`; without where millions would hide it."""
    if key.startswith(_LATENCY):
        return f"{cost:.4g} ms"
    return f"{cost / 1e6:.4g} M" if cost >= 1e4 else f"{cost:.4g}"


def _label(key: str) -> str:
    if key.startswith(_LATENCY):
        return f"latency on {key.removeprefix(_LATENCY)}"
    return {MACS: "MACs", PARAMS: "parameters"}[key]


def bounds(limits: Limits) -> list[Bound]:
    """The limits that are set, one by one."""
    found = [
        Bound(key, value, at_least)
        for key, value, at_least in (
            (MACS, limits.macs, False),
            (MACS, limits.macs_min, True),
            (PARAMS, limits.params, False),
        )
        if value is not None
    ]
    margin = float(ndtri(limits.confidence))
    return found + [
        Bound(latency_key(name), ms, margin=margin) for name, ms in limits.latency_ms.items()
    ]


def has_margin(limits: Limits) -> bool:
    """Whether latency limits are to hold with more than even odds."""
    return limits.confidence > 0.5


def check_limits(limits: Limits, target: str, known: Collection[str]) -> None:
    """Refuses limits that make no sense or that nothing is known about.

    Args:
        limits: What was asked.
        target: Whose latency is minimised, limited or not.
        known: Names of the costs that can be computed.

    Raises:
        UsageError: A limit is not a positive number, the MACs window is empty, or the latency of a
            target is not known.
    """
    for bound in bounds(limits):
        if not (math.isfinite(bound.value) and bound.value > 0):
            raise UsageError(
                f"limit on {_label(bound.key)}: {bound.value:g} given, a positive number expected"
            )
    if limits.macs is not None and limits.macs_min is not None and limits.macs_min > limits.macs:
        raise UsageError(
            f"limits on MACs leave nothing: at least {limits.macs_min:g} and at most "
            f"{limits.macs:g} given"
        )
    for name in (target, *limits.latency_ms):
        if latency_key(name) not in known:
            tables = sorted(k.removeprefix(_LATENCY) for k in known if k.startswith(_LATENCY))
            raise UsageError(
                f"no latency is known for target {name!r}; known: {', '.join(tables) or 'none'}",
                hint=f"measure it: python run_pipeline.py profile --target {name}",
            )


def violation(costs: Mapping[str, Floats], limits: Limits) -> Floats:
    """The largest relative excess over any limit.

    Args:
        costs: Each cost of n architectures, shape (n,), by name; with a margin, the standard
            uncertainties of limited latencies too.
        limits: Every one of them is to hold; a cost equal to its limit is within it.

    Returns:
        Shape (n,): 0 exactly where every limit holds, 0.1 where the worst is missed by a tenth of
        the limit, infinity where a cost is not a number.
    """
    worst = np.zeros(len(next(iter(costs.values()))))
    for bound in bounds(limits):
        excess = bound.excess(costs)
        worst = np.maximum(worst, np.where(np.isnan(excess), np.inf, excess))
    return worst


def out_of_reach(limits: Limits, reachable: Mapping[str, tuple[float, float]]) -> list[str]:
    """The limits that no architecture meets, even taken alone.

    Args:
        limits: What was asked.
        reachable: Smallest and largest value of each cost in the space.

    Returns:
        One sentence part a limit, with the nearest value the space reaches.
    """
    told = []
    for bound in bounds(limits):
        if bound.key not in reachable:
            continue
        smallest, largest = reachable[bound.key]
        if bound.at_least and largest < bound.value:
            told.append(f"{bound.describe()} (the largest reached is {bound.show(largest)})")
        if not bound.at_least and smallest > bound.value:
            told.append(f"{bound.describe()} (the smallest reached is {bound.show(smallest)})")
    return told


def missed(costs: Mapping[str, float], limits: Limits) -> list[str]:
    """The limits one architecture misses, with what it has instead."""
    arrays = {key: np.array(value) for key, value in costs.items()}
    return [
        f"{bound.describe()} (it has {_has(costs, bound)})"
        for bound in bounds(limits)
        if bound.excess(arrays) > 0
    ]


def _has(costs: Mapping[str, float], bound: Bound) -> str:
    std = f" ± {costs[bound.std_key]:.2g}" if bound.margin else ""
    return bound.show(costs[bound.key]) + std


def question_units(limits: Limits, reachable: Mapping[str, tuple[float, float]]) -> None:
    """Refuses a limit that only makes sense in another unit.

    Args:
        limits: What was asked.
        reachable: Smallest and largest value of each cost in the space.

    Raises:
        UsageError: A limit is far beyond what the space reaches, and a thousand or a million times
            more or less is within it; asks which was meant.
    """
    for bound in bounds(limits):
        smallest, largest = reachable[bound.key]
        if smallest / _FAR <= bound.value <= largest * _FAR:
            continue
        factors = [*_UNITS, *(1 / unit for unit in _UNITS)]
        meant = next((f for f in factors if smallest <= f * bound.value <= largest), None)
        if meant:
            raise UsageError(
                f"{bound.describe()} is asked for, but networks of this space have "
                f"{bound.show(smallest)} to {bound.show(largest)}; was "
                f"{bound.show(meant * bound.value)} meant?",
                hint="latency_ms counts milliseconds, macs and params count units (60e6, not 60)",
            )
