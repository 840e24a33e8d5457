"""Small search problems whose every answer is known: additive costs, a made-up accuracy."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from pipeline.cost import operator_macs, operator_params
from pipeline.encoding import Floats, Rows, SlotTable, decode, encode
from pipeline.operator_spec import OperatorSpec
from pipeline.records import LatencyPrediction, Limits, SearchRecord
from pipeline.search.constraints import latency_key
from pipeline.search.evolution import SearchSettings
from pipeline.search.scoring import OnScored
from pipeline.search.searching import search
from pipeline.search.variation import Variation
from pipeline.space import Architecture, SearchSpace, get_space

CPU, GPU = "cpu/onnxruntime-fp32-b1-t1", "gpu/tensorrt-fp16-b1"
RESOLUTION, CLASSES = 64, 10


def _cpu_ms(spec: OperatorSpec) -> float:
    return operator_macs(spec) / 5e6 + 0.01 * spec.kernel


def _gpu_ms(spec: OperatorSpec) -> float:
    """Launches count more than arithmetic, so that the two devices disagree."""
    return 0.02 + operator_macs(spec) / 5e8 + 0.001 * spec.kernel**2


@dataclass
class Toy:
    """A search problem; `scored` lists what `score` was asked, `calls` how many at a time."""

    space: SearchSpace
    seed: int
    scored: list[str] = field(default_factory=list)
    calls: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        values = {
            "macs": operator_macs,
            "params": operator_params,
            latency_key(CPU): _cpu_ms,
            latency_key(GPU): _gpu_ms,
        }
        self.tables = {
            key: SlotTable.of(self.space, RESOLUTION, CLASSES, value)
            for key, value in values.items()
        }
        shape = (self.space.num_slots, 1 + len(self.space.operators))
        self.effects = np.random.default_rng(self.seed).gamma(2.0, 1.0, shape)
        self.effects[:, 0] = 0

    @property
    def variation(self) -> Variation:
        return Variation.of(self.space, RESOLUTION)

    def costs(self, rows: Rows) -> dict[str, Floats]:
        return {key: table.totals(rows) for key, table in self.tables.items()}

    @property
    def reachable(self) -> dict[str, tuple[float, float]]:
        return {
            key: (table.extreme(largest=False)[0], table.extreme(largest=True)[0])
            for key, table in self.tables.items()
        }

    def accuracies(self, rows: Rows) -> Floats:
        effects = self.effects[np.arange(self.space.num_slots), rows[:, 1:]].sum(axis=1)
        return np.asarray(100 * (1 - np.exp(-effects / 20)))

    def accuracy(self, architecture: Architecture) -> float:
        return float(self.accuracies(encode(self.space, [architecture]))[0])

    def score(self, architectures: Sequence[Architecture], on_scored: OnScored) -> list[float]:
        """Goes through them in an order of its own, as a scorer may."""
        self.calls.append(len(architectures))
        for architecture in sorted(architectures, key=lambda it: it.short):
            self.scored.append(architecture.short)
            on_scored(architecture, self.accuracy(architecture))
        return [self.accuracy(architecture) for architecture in architectures]

    def predict(self, architecture: Architecture) -> dict[str, LatencyPrediction]:
        costs = self.costs(encode(self.space, [architecture]))
        return {
            target: LatencyPrediction(typical=float(costs[latency_key(target)][0]), std=0.01)
            for target in (CPU, GPU)
        }

    def every_row(self) -> Rows:
        """The whole space."""
        codes = range(1, len(self.space.operators) + 1)
        stages = [
            (*stage, *(0,) * (self.space.max_depth - depth))
            for depth in range(1, self.space.max_depth + 1)
            for stage in itertools.product(codes, repeat=depth)
        ]
        everything = itertools.product(stages, repeat=len(self.space.stages))
        return np.array([[RESOLUTION, *itertools.chain(*s)] for s in everything], dtype=np.int16)

    def decode(self, row: Rows) -> Architecture:
        return decode(self.space, row, CLASSES)

    def search(
        self,
        limits: Limits,
        *,
        settings: SearchSettings,
        seed: int = 0,
        cache: Mapping[str, float] | None = None,
        **changes: Any,
    ) -> SearchRecord:
        arguments: dict[str, Any] = {
            "target": CPU,
            "costs": self.costs,
            "predict": self.predict,
            "reachable": self.reachable,
            "score": self.score,
            "on_scored": lambda architecture, accuracy_percent: None,
            **changes,
        }
        return search(
            self.space,
            resolution=RESOLUTION,
            num_classes=CLASSES,
            limits=limits,
            settings=settings,
            seed=seed,
            num_images=100,
            cache=cache or {},
            **arguments,
        )


@pytest.fixture(scope="session")
def toy() -> Callable[..., Toy]:
    """Makes a problem: `toy(max_depth, operators, seed=…)` on the cream space, narrowed."""

    def make(max_depth: int = 6, operators: int = 6, *, seed: int = 0) -> Toy:
        # From both ends of the list, so that few operators differ in expansion and kernel.
        order = [0, 5, 2, 3, 1, 4]
        names = get_space("cream").operators
        chosen = [names[index] for index in sorted(order[:operators])]
        return Toy(get_space("cream").narrowed(max_depth=max_depth, operators=chosen), seed)

    return make
