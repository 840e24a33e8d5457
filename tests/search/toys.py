"""Small search problems whose every answer is known: additive costs, a made-up accuracy."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any

import numpy as np

from pipeline.records.candidates import Limits
from pipeline.records.search import SearchRecord
from pipeline.search.constraints import MACS, PARAMS, latency_key
from pipeline.search.cost_tables import CostTables
from pipeline.search.problem import Problem, Uncertainty
from pipeline.search.scoring import OnScored, Scored
from pipeline.search.searching import search
from pipeline.search.settings import SearchSettings
from pipeline.search.variation import Variation
from pipeline.space.architecture import Architecture
from pipeline.space.cost import operator_macs, operator_params
from pipeline.space.encoding import Floats, Rows, SlotTable, decode, encode
from pipeline.space.operator_spec import OperatorSpec
from pipeline.space.search_space import SearchSpace, get_space
from pipeline.training.scoring.network_score import NetworkScore
from tests.space.every_row import every_row

CPU, GPU = "cpu/onnxruntime-fp32-b1-t1", "gpu/tensorrt-fp16-b1"
CPU_MS, GPU_MS = latency_key(CPU), latency_key(GPU)
RESOLUTION, CLASSES = 64, 10


def certain(accuracy_percent: float) -> NetworkScore:
    """A score without an error in comparisons: the same log-loss on all images."""
    log_loss = -math.log(accuracy_percent / 100)
    return NetworkScore(2, (log_loss, log_loss), accuracy_percent)


@dataclass(frozen=True)
class Norm:
    """An uncertainty as a posterior's is: the norm of a linear map of what a network holds.

    Attributes:
        fixed: Of every network, by input size; shape (dimensions,).
        parts: What each code of each slot adds, by input size; shape (slots, codes, dimensions).
        max_depth: Slots a stage.
    """

    fixed: Mapping[int, Floats]
    parts: Mapping[int, Floats]
    max_depth: int

    @classmethod
    def of(cls, tables: Mapping[int, SlotTable], relative: float, seed: int) -> "Norm":
        """One that is about that part of what the tables sum; more for parts that go together."""
        rng = np.random.default_rng(seed)
        fixed = {s: relative * t.fixed * rng.normal(size=6) for s, t in tables.items()}
        parts = {
            s: relative * t.values[..., None] * rng.normal(0.5, 1.0, (*t.values.shape, 6))
            for s, t in tables.items()
        }
        return cls(fixed, parts, next(iter(tables.values())).max_depth)

    def _vectors(self, rows: Rows) -> Floats:
        found = np.zeros((len(rows), 6))
        for size, parts in self.parts.items():
            here = rows[:, 0] == size
            each = parts[np.arange(len(parts)), rows[here, 1:]]
            found[here] = self.fixed[size] + each.sum(axis=1)
        return found

    def std_ms(self, rows: Rows) -> Floats:
        return np.asarray(np.linalg.norm(self._vectors(rows), axis=1))

    def tangent(self, row: Rows) -> SlotTable:
        vector, size = self._vectors(row[None])[0], int(row[0])
        unit = vector / np.linalg.norm(vector)
        fixed, values = float(self.fixed[size] @ unit), self.parts[size] @ unit
        return SlotTable(size, fixed, values, self.max_depth)


def _cpu_ms(spec: OperatorSpec) -> float:
    return operator_macs(spec) / 5e6 + 0.01 * spec.kernel


def _gpu_ms(spec: OperatorSpec) -> float:
    """Launches count more than arithmetic, so that the two devices disagree."""
    return 0.02 + operator_macs(spec) / 5e8 + 0.001 * spec.kernel**2


_COSTS = {MACS: operator_macs, PARAMS: operator_params, CPU_MS: _cpu_ms, GPU_MS: _gpu_ms}


@lru_cache(maxsize=64)
def _costs_of(
    space: SearchSpace, sizes: tuple[int, ...]
) -> tuple[CostTables, dict[str, Uncertainty]]:
    sums = {
        size: {
            key: SlotTable.of(space, size, CLASSES, value).on_grid()
            for key, value in _COSTS.items()
        }
        for size in sizes
    }
    uncertainty: dict[str, Uncertainty] = {
        target: Norm.of({s: t[latency_key(target)] for s, t in sums.items()}, 0.03, 1)
        for target in (CPU, GPU)
    }
    return CostTables(sums), uncertainty


@dataclass
class Toy:
    """A search problem; `scored` lists what `score` was asked, `calls` how many at a time."""

    space: SearchSpace
    seed: int
    sizes: tuple[int, ...] = (RESOLUTION,)
    scored: list[str] = field(default_factory=list)
    calls: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.tables, self.uncertainty = _costs_of(self.space, self.sizes)
        shape = (self.space.num_slots, 1 + len(self.space.operators))
        self.effects = np.random.default_rng(self.seed).gamma(2.0, 1.0, shape)
        self.effects[:, 0] = 0

    def problem(self, limits: Limits | None = None, target: str = CPU) -> Problem:
        return Problem(
            self.space, CLASSES, limits or Limits(), target, self.tables, self.uncertainty
        )

    @property
    def variation(self) -> Variation:
        return self.problem().variation

    def costs(self, rows: Rows) -> dict[str, Floats]:
        return self.tables(rows)

    @property
    def reachable(self) -> dict[str, tuple[float, float]]:
        return self.tables.reachable_over_all

    def at(self, key: str, share: float) -> float:
        """The value at a share of what is reached of a cost."""
        smallest, largest = self.reachable[key]
        return smallest + share * (largest - smallest)

    def shares(self, **of_range: float) -> Limits:
        """Limits at a share of what the space reaches: `macs`, `macs_min`, `params`, `cpu`, …"""
        confidence = of_range.pop("confidence", 0.5)
        targets = {"cpu": CPU, "gpu": GPU}
        latency_ms = {
            target: self.at(latency_key(target), of_range.pop(name))
            for name, target in targets.items()
            if name in of_range
        }
        keys = {"macs": MACS, "macs_min": MACS, "params": PARAMS}
        others = {name: self.at(keys[name], share) for name, share in of_range.items()}
        return Limits(latency_ms=latency_ms, confidence=confidence, **others)

    def accuracies(self, rows: Rows) -> Floats:
        effects = self.effects[np.arange(self.space.num_slots), rows[:, 1:]].sum(axis=1)
        return np.asarray(100 * (1 - np.exp(-(effects + rows[:, 0] / 32) / 20)))

    def accuracy(self, architecture: Architecture) -> float:
        return float(self.accuracies(encode(self.space, [architecture]))[0])

    def quality(self, rows: Rows) -> Floats:
        """Minus the log-losses."""
        return np.array([-certain(it).log_loss_nats for it in self.accuracies(rows).tolist()])

    def score(
        self, architectures: Sequence[Architecture], on_scored: OnScored
    ) -> list[NetworkScore]:
        """Goes through them in an order of its own, as a scorer may."""
        self.calls.append(len(architectures))
        scores = {it: certain(self.accuracy(it)) for it in architectures}
        for architecture in sorted(architectures, key=lambda it: it.short):
            self.scored.append(architecture.short)
            on_scored(architecture, scores[architecture])
        return [scores[architecture] for architecture in architectures]

    @cached_property
    def everything(self) -> Rows:
        """The whole space."""
        return every_row(self.space, *self.sizes)

    def inside(self, limits: Limits) -> Rows:
        """All that is inside limits."""
        return self.everything[self.problem(limits).violation(self.everything) <= 0]

    def decode(self, row: Rows) -> Architecture:
        return decode(self.space, row, CLASSES)

    def search(
        self,
        limits: Limits,
        *,
        settings: SearchSettings,
        seed: int = 0,
        target: str = CPU,
        cache: Mapping[str, Scored] | None = None,
        **changes: Any,
    ) -> SearchRecord:
        arguments: dict[str, Any] = {
            "score": self.score,
            "keep": lambda architecture, scored: None,
            **changes,
        }
        return search(
            self.problem(limits, target),
            settings=settings,
            seed=seed,
            num_images=100,
            cache=cache or {},
            **arguments,
        )


def make_toy(
    max_depth: int = 6, operators: int = 6, *, seed: int = 0, sizes: tuple[int, ...] = (RESOLUTION,)
) -> Toy:
    """A problem on the cream space, narrowed."""
    # From both ends of the list, so that few operators differ in expansion and kernel.
    order = [0, 5, 2, 3, 1, 4]
    names = get_space("cream").operators
    chosen = [names[index] for index in sorted(order[:operators])]
    return Toy(get_space("cream").narrowed(max_depth=max_depth, operators=chosen), seed, sizes)
