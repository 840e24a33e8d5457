"""Problems of random sums and random limits, with the answers of an enumeration."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from pipeline.records.candidates import Limits
from pipeline.search.constraints import MACS, PARAMS, latency_key
from pipeline.search.cost_tables import CostTables
from pipeline.search.problem import Problem
from pipeline.space.encoding import Floats, Rows, SlotTable
from pipeline.space.search_space import SearchSpace, get_space
from tests.search.toys import CLASSES, CPU, CPU_MS, GPU, GPU_MS, Norm
from tests.space.every_row import every_row

_SHAPES = [(5, 1, 4), (5, 2, 2), (4, 2, 3), (3, 3, 3), (3, 2, 4), (2, 3, 4), (3, 3, 2), (4, 1, 6)]


@dataclass(frozen=True)
class Enumerated:
    """A random problem and the answers of an enumeration.

    Attributes:
        problem: Random sums, random limits.
        surrogates: Random too, by input size.
        rows: Every network.
    """

    problem: Problem
    surrogates: dict[int, SlotTable]
    rows: Rows

    @cached_property
    def values(self) -> Floats:
        """The surrogate of every network."""
        found = np.empty(len(self.rows))
        for size, table in self.surrogates.items():
            here = self.rows[:, 0] == size
            found[here] = table.totals(self.rows[here])
        return found

    @cached_property
    def violation(self) -> Floats:
        return self.problem.violation(self.rows)

    @cached_property
    def latency_ms(self) -> Floats:
        return self.problem.tables(self.rows)[self.problem.latency]

    @property
    def inside(self) -> NDArray[np.bool_]:
        """Which networks are within the limits."""
        return self.violation <= 0

    @cached_property
    def front(self) -> tuple[Floats, Floats]:
        """Latency and surrogate of the true front, fastest first."""
        latency, value = self.latency_ms[self.inside], self.values[self.inside]
        order = np.lexsort((-value, latency))
        latency, value = latency[order], value[order]
        before = np.concatenate([[-np.inf], np.maximum.accumulate(value)[:-1]])
        return latency[value > before], value[value > before]


def enumerated(seed: int, *, confidence: float = 0.5) -> Enumerated:
    """A random space, random sums and random limits; some leave nothing."""
    rng = np.random.default_rng(seed)
    stages, depth, operators = _SHAPES[seed % len(_SHAPES)]
    sizes = (64,) if rng.random() < 0.7 else (64, 96)
    cream = get_space("cream")
    space = cream.narrowed(max_depth=depth, operators=cream.operators[:operators]).model_copy(
        update={"stages": cream.stages[:stages]}
    )
    rows = every_row(space, *sizes)
    sums = {size: _random_sums(rng, space, size) for size in sizes}
    surrogates = {
        size: _random_table(rng, space, size, fixed=40.0, mean=0.5, std=1.5) for size in sizes
    }
    tables = CostTables(sums)
    limits = _random_limits(rng, tables(rows), confidence)
    uncertainty = {
        target: Norm.of({s: each[latency_key(target)] for s, each in sums.items()}, 0.05, seed)
        for target in (CPU, GPU)
    }
    problem = Problem(space, CLASSES, limits, CPU, tables, uncertainty)
    return Enumerated(problem, surrogates, rows)


def _random_table(
    rng: np.random.Generator,
    space: SearchSpace,
    size: int,
    *,
    fixed: float,
    mean: float,
    std: float,
) -> SlotTable:
    values = rng.normal(mean, std, (space.num_slots, 1 + len(space.operators)))
    values[:, 0] = 0
    return SlotTable(size, fixed, values, space.max_depth).on_grid()


def _random_sums(rng: np.random.Generator, space: SearchSpace, size: int) -> dict[str, SlotTable]:
    shape = (space.num_slots, 1 + len(space.operators))
    common = rng.gamma(2.0, 1.0, shape)
    found = {}
    for key, unit, whole in (
        (MACS, 4e6, True),
        (PARAMS, 3e5, True),
        (CPU_MS, 0.7, False),
        (GPU_MS, 0.1, False),
    ):
        values = unit * (size / 64) * (common + rng.gamma(1.0, 1.0, shape))
        values[:, 0] = 0
        table = SlotTable(size, 5 * unit, np.rint(values) if whole else values, space.max_depth)
        found[key] = table.on_grid()
    return found


def _random_limits(
    rng: np.random.Generator, costs: Mapping[str, Floats], confidence: float
) -> Limits:
    """Most are the very cost of a network, and so hit exactly."""

    tight = 0.2 if rng.random() < 0.3 else 1.0

    def at(key: str, low: float, high: float) -> float:
        return float(np.quantile(costs[key], rng.uniform(low, high), method="nearest"))

    macs = at(MACS, 0.2, 1.0) if rng.random() < 0.5 else None
    macs_min = at(MACS, 0.0, 0.7) if rng.random() < 0.4 else None
    if macs is not None and macs_min is not None:
        macs_min, macs = sorted([macs_min, macs])
    params = at(PARAMS, 0.1 * tight, 0.9 * tight) if rng.random() < 0.5 else None
    latency_ms = {
        target: at(latency_key(target), 0.0, 0.9 * tight)
        for target, chance in ((CPU, 0.7), (GPU, 0.5))
        if rng.random() < chance or confidence > 0.5
    }
    return Limits(
        macs=macs, macs_min=macs_min, params=params, latency_ms=latency_ms, confidence=confidence
    )
