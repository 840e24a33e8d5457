"""Paths of the hypernetwork drawn at random, among the networks within the limits.

Without limits each depth of a stage is equally likely, and so is each operator of a slot. Were all
networks equally likely, five of six stages would be as deep as they can be, and shallow networks
would hardly be trained. Limits leave these odds as they are among the networks that meet them.
Drawing depths and operators until all limits are met would hardly ever hit narrow ones. So paths
are drawn from weighted counts of the networks within one limit, the one that leaves the fewest (see
`pipeline.space.path_counts`), and those that miss another are drawn again.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from pipeline.errors import InfeasibleError, UnknownNameError, UsageError
from pipeline.images.randomness import seed_for
from pipeline.space.architecture import Architecture
from pipeline.space.cost import macs_batch, operator_macs, operator_params, params_batch
from pipeline.space.encoding import Rows, SlotTable, decode
from pipeline.space.operator_spec import OperatorSpec
from pipeline.space.path_counts import PathCounts
from pipeline.space.search_space import SearchSpace, check_resolution
from pipeline.training.hypernetwork.path_latency import (
    NS_PER_MS,
    SUM_TOLERANCE,
    PredictMs,
    latency_table_ns,
)

_CHUNK = 256

# Batches grow up to this, so that few draws are wasted where all are inside the limits and little
# time where hardly any is.
_LARGEST_BATCH = 8192

# Limits that so few of the drawn paths meet are better told than sat out. The same draws decide it
# whatever path is asked for, so that a training does not stop in the middle for bad luck.
_TRIED_DRAWS = 65536
_NEEDED_INSIDE = 16

# A search for an extreme path ends when so many draws beyond the best so far find none.
_EXTREME_DRAWS = 8192
_EXTREME_ROUNDS = 32

# Beyond these, the weight of a whole network would not be a number a computer has.
_LEAST_WEIGHT, _MOST_WEIGHT = 1e-6, 1e6


@dataclass(frozen=True)
class PathLimits:
    """What every path meets.

    Attributes:
        macs_min: Fewest MACs; None where there is no limit, as for the others.
        macs: Most MACs.
        params: Most parameters.
        latency_ms: Most milliseconds by `predict_ms`.
        predict_ms: Predicted milliseconds of n rows, shape (n,), from a space, possibly narrower
            than the sampler's, rows of it and the number of classes. Needed with `latency_ms`.

    Raises:
        UsageError: A limit is not a positive number, the MACs window is empty, or latency is
            limited and nothing predicts it.
    """

    macs_min: float | None = None
    macs: float | None = None
    params: float | None = None
    latency_ms: float | None = None
    predict_ms: PredictMs | None = None

    def __post_init__(self) -> None:
        for name in ("macs_min", "macs", "params", "latency_ms"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value > 0):
                raise UsageError(f"limit {name}: {value:g} given, a positive number expected")
        if self.macs_min is not None and self.macs is not None and self.macs_min > self.macs:
            raise UsageError(
                f"limits on MACs leave nothing: at least {self.macs_min:g} and at most "
                f"{self.macs:g} given"
            )
        if self.latency_ms is not None and self.predict_ms is None:
            raise UsageError(
                f"a limit of {self.latency_ms:g} ms given without predict_ms, which is to predict "
                "the latency of paths"
            )

    def __str__(self) -> str:
        """For people, e.g. `at most 300 M MACs and at most 6 ms predicted latency`."""
        asked = [] if self.macs_min is None else [f"at least {_millions(self.macs_min)} MACs"]
        if self.macs is not None:
            asked.append(f"at most {_millions(self.macs)} MACs")
        if self.macs_min is not None and self.macs is not None:
            asked = [f"between {_millions(self.macs_min)} and {_millions(self.macs)} MACs"]
        if self.params is not None:
            asked.append(f"at most {_millions(self.params)} parameters")
        if self.latency_ms is not None:
            asked.append(f"at most {self.latency_ms:g} ms predicted latency")
        return " and ".join(filter(None, (", ".join(asked[:-1]), *asked[-1:])))


@dataclass(frozen=True)
class PathSampler:
    """Draws single paths, each network within the limits with a probability like its weight.

    The weight of a network is the product of its operators', each as a share of all operators'
    weights: so those of one depth weigh as much together as those of another.

    Attributes:
        space: The space, possibly narrowed.
        num_classes: Outputs of the classifier.
        seed: Of the draws.
        limits: What every path meets.
        operator_prior: Weights of operators, from 1e-6 to 1e6; an operator not named weighs 1, and
            networks that hold one of weight 0 are not among the paths.

    Raises:
        UnknownNameError: The prior names an operator the space does not have.
        UsageError: The prior is no such weights, names an operator twice, or leaves none.
    """

    space: SearchSpace
    num_classes: int
    seed: int
    limits: PathLimits = PathLimits()
    operator_prior: tuple[tuple[str, float], ...] = ()

    def __post_init__(self) -> None:
        weights = dict(self.operator_prior)
        if len(weights) < len(self.operator_prior):
            raise UsageError(f"an operator prior names an operator twice: {self._prior}")
        for name, weight in weights.items():
            if name not in self.space.operators:
                raise UnknownNameError.of(
                    f"operator of space {self.space.name} in a prior", name, self.space.operators
                )
            if weight != 0 and not _LEAST_WEIGHT <= weight <= _MOST_WEIGHT:
                raise UsageError(
                    f"operator prior {name}: {weight:g} given, a weight from {_LEAST_WEIGHT:g} to "
                    f"{_MOST_WEIGHT:g} expected, or 0"
                )
        if not any(weights.get(name, 1.0) for name in self.space.operators):
            raise UsageError(f"an operator prior of zeros leaves no operator: {self._prior}")

    def path(self, step: int, resolution: int) -> Architecture:
        """The path of one training step, always the same one, whatever else was drawn before.

        Args:
            step: Its number, from 0.
            resolution: Input side in pixels.

        Raises:
            ArchitectureError: The spaces are not defined at this resolution.
            InfeasibleError: No network meets the limits, or too few do; see `draw`.
        """
        chunk, place = divmod(step, _CHUNK)
        return _chunk(self, resolution, chunk)[place]

    def draw(self, resolution: int, *place: int | str) -> Architecture:
        """A path for one place in a run, e.g. `("monitored", 2)`; always the same one.

        Args:
            resolution: Input side in pixels.
            place: What the path is for. Unrelated to the paths of steps.

        Raises:
            ArchitectureError: The spaces are not defined at this resolution.
            InfeasibleError: No network meets the limits, or too few of those that meet the
                narrowest one meet the others: about one in four thousand is needed.
        """
        return self._decoded(_rows_inside(self, resolution, 1, "draw", *place)[0])

    def extremes(self, resolution: int) -> tuple[Architecture, Architecture]:
        """The paths with the fewest and with the most MACs.

        They are the smallest and the largest network of the space where these meet the limits.
        Where one does not, it is looked for in rounds of a fixed number of draws, each among the
        networks beyond the best so far, until a round finds none within the limits: close to the
        extreme, not proven to be it.

        Args:
            resolution: Input side in pixels.

        Raises:
            ArchitectureError: The spaces are not defined at this resolution.
            InfeasibleError: As `draw`.
        """
        return (
            _extreme(self, resolution, largest=False),
            _extreme(self, resolution, largest=True),
        )

    @property
    def _prior(self) -> str:
        return ", ".join(f"{name} {weight:g}" for name, weight in self.operator_prior)

    @property
    def _weights(self) -> tuple[float, ...]:
        """Of the operators of `_drawn_space`; their sum is 1."""
        weights = dict(self.operator_prior)
        found = [weights.get(name, 1.0) for name in self._drawn_space.operators]
        return tuple(weight / sum(found) for weight in found)

    @property
    def _drawn_space(self) -> SearchSpace:
        """The space without operators of weight 0: rows are drawn from it."""
        never = {name for name, weight in self.operator_prior if weight == 0}
        return self.space.narrowed(operators=[n for n in self.space.operators if n not in never])

    def _table(self, resolution: int, value: Callable[[OperatorSpec], float]) -> SlotTable:
        return SlotTable.of(self._drawn_space, resolution, self.num_classes, value)

    def _latency_table_ns(self, resolution: int) -> SlotTable | None:
        """None where latency is not limited, or not a sum over slots."""
        predict_ms = self.limits.predict_ms
        if self.limits.latency_ms is None or predict_ms is None:
            return None
        return latency_table_ns(self._drawn_space, resolution, self.num_classes, predict_ms)

    def _decoded(self, row: Rows) -> Architecture:
        return decode(self._drawn_space, row, self.num_classes)


@lru_cache(maxsize=16)
def _counts(sampler: PathSampler, resolution: int) -> PathCounts:
    """Counts of the networks within the limit that leaves the fewest."""
    check_resolution(resolution)
    limits, weights = sampler.limits, sampler._weights
    macs = sampler._table(resolution, operator_macs)
    counts = [PathCounts.of(macs, weights, limits.macs_min, limits.macs)]
    if limits.params is not None:
        params = sampler._table(resolution, operator_params)
        counts.append(PathCounts.of(params, weights, None, limits.params))
    latency_ns = sampler._latency_table_ns(resolution)
    if limits.latency_ms is not None and latency_ns is not None:
        # What predictions are off the sums, and what sums are off for rounding every slot.
        most_ns = NS_PER_MS * limits.latency_ms * (1 + 2 * SUM_TOLERANCE)
        most_ns += 1 + sampler.space.num_slots
        counts.append(PathCounts.of(latency_ns, weights, None, most_ns))
    return min(counts, key=lambda count: count.total)


@lru_cache(maxsize=64)
def _chunk(sampler: PathSampler, resolution: int, number: int) -> tuple[Architecture, ...]:
    rows = _rows_inside(sampler, resolution, _CHUNK, "path", number)
    return tuple(map(sampler._decoded, rows))


@lru_cache(maxsize=64)
def _extreme(sampler: PathSampler, resolution: int, *, largest: bool) -> Architecture:
    _require_paths(sampler, resolution)
    macs = sampler._table(resolution, operator_macs)
    row = macs.extreme(largest=largest)[1]
    if len(_Draws(sampler, resolution).inside(row[None])):
        return sampler._decoded(row)
    rows = _rows_inside(sampler, resolution, _CHUNK, "extremes")
    for number in range(_EXTREME_ROUNDS):
        totals = macs.totals(rows)
        row = rows[int(totals.argmax() if largest else totals.argmin())]
        limits = _beyond(sampler.limits, float(macs.totals(row[None])[0]), largest=largest)
        if limits is None:
            break
        draws = _Draws(replace(sampler, limits=limits), resolution, "extremes", number)
        rows = draws.more(_EXTREME_DRAWS)
        if not len(rows):
            break
    return sampler._decoded(row)


def _beyond(limits: PathLimits, macs: float, *, largest: bool) -> PathLimits | None:
    """The limits for networks with more, or fewer, MACs than these; None where there are none."""
    low, high = limits.macs_min, limits.macs
    low, high = (macs + 1, high) if largest else (low, macs - 1)
    if low is not None and high is not None and low > high:
        return None
    return replace(limits, macs_min=low, macs=high)


def _rows_inside(sampler: PathSampler, resolution: int, count: int, *place: int | str) -> Rows:
    """The first `count` rows inside the limits of the draws for a place."""
    _require_paths(sampler, resolution)
    draws = _Draws(sampler, resolution, *place)
    found: list[Rows] = []
    size = 2 * count
    while sum(map(len, found)) < count:
        found.append(draws.more(size))
        size = min(2 * size, _LARGEST_BATCH)
    return np.concatenate(found)[:count]


@lru_cache(maxsize=64)
def _require_paths(sampler: PathSampler, resolution: int) -> None:
    """Refuses limits that no path meets, or too few.

    Raises:
        ArchitectureError: The spaces are not defined at this resolution.
        InfeasibleError: They do not.
    """
    if not _counts(sampler, resolution).total:
        raise _infeasible(sampler, resolution, f"no path has {sampler.limits}")
    draws = _Draws(sampler, resolution, "limits")
    found, drawn, size = 0, 0, _CHUNK
    while found < _NEEDED_INSIDE and drawn < _TRIED_DRAWS:
        found += len(draws.more(size))
        drawn += size
        size = min(drawn, _LARGEST_BATCH)
    if found < _NEEDED_INSIDE:
        share = f"only {found}" if found else "none"
        told = f"{share} of {drawn} random paths {'have' if found > 1 else 'has'} {sampler.limits}"
        raise _infeasible(sampler, resolution, told + draws.nearest_seen())


def _infeasible(sampler: PathSampler, resolution: int, told: str) -> InfeasibleError:
    space = sampler.space
    macs = sampler._table(resolution, operator_macs)
    smallest, largest = (macs.extreme(largest=end)[0] for end in (False, True))
    told += (
        f"; space {space.name} with max_depth {space.max_depth} at {resolution} pixels reaches "
        f"from {smallest / 1e6:.2f} M to {largest / 1e6:.2f} M MACs"
    )
    if sampler.limits.params is not None:
        fewest = sampler._table(resolution, operator_params).extreme(largest=False)[0]
        told += f", down to {_millions(fewest)} parameters"
    if latency_ns := sampler._latency_table_ns(resolution):
        least_ns = latency_ns.extreme(largest=False)[0]
        told += f", down to {least_ns / NS_PER_MS:.4g} ms predicted latency"
    return InfeasibleError(
        told, hint="widen the limits, or change the resolution, max_depth or the operators"
    )


class _Draws:
    """The draws for one place, and how near those outside the limits came."""

    def __init__(self, sampler: PathSampler, resolution: int, *place: int | str) -> None:
        self._rng = np.random.default_rng(seed_for(sampler.seed, "path", resolution, *place))
        self._counts = _counts(sampler, resolution)
        self._sampler = sampler
        self._fewest_macs, self._most_macs = math.inf, 0.0
        self._fewest_params = math.inf
        self._least_ms = math.inf

    def more(self, count: int) -> Rows:
        """Draws `count` rows, where there are any, and returns those inside the limits."""
        if not self._counts.total:
            return np.zeros((0, 1 + self._sampler.space.num_slots), dtype=np.int16)
        return self.inside(self._counts.draw(self._rng, count))

    def inside(self, rows: Rows) -> Rows:
        """Those of the rows that meet all limits."""
        space, num_classes = self._sampler._drawn_space, self._sampler.num_classes
        limits = self._sampler.limits
        macs = macs_batch(space, rows, num_classes)
        self._fewest_macs = macs.min(initial=self._fewest_macs)
        self._most_macs = macs.max(initial=self._most_macs)
        rows = rows[(macs >= (limits.macs_min or 0)) & (macs <= (limits.macs or math.inf))]
        if limits.params is not None:
            params = params_batch(space, rows, num_classes)
            self._fewest_params = params.min(initial=self._fewest_params)
            rows = rows[params <= limits.params]
        if limits.latency_ms is not None and limits.predict_ms is not None and len(rows):
            latency_ms = limits.predict_ms(space, rows, num_classes)
            self._least_ms = latency_ms.min(initial=self._least_ms)
            rows = rows[latency_ms <= limits.latency_ms]
        return rows

    def nearest_seen(self) -> str:
        """The nearest to each limit that none of the drawn rows, within those before it, met."""
        limits, told = self._sampler.limits, ""
        if limits.macs_min is not None and self._most_macs < limits.macs_min:
            told += f"; the most MACs seen are {_millions(self._most_macs)}"
        if limits.macs is not None and limits.macs < self._fewest_macs:
            told += f"; the fewest MACs seen are {_millions(self._fewest_macs)}"
        if limits.params is not None and limits.params < self._fewest_params < math.inf:
            told += f"; the fewest parameters seen are {_millions(self._fewest_params)}"
        if limits.latency_ms is not None and limits.latency_ms < self._least_ms < math.inf:
            told += f"; the lowest predicted latency seen is {self._least_ms:.4g} ms"
        return told


def _millions(value: float) -> str:
    return f"{value / 1e6:.6g} M"
