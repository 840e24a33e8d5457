"""The networks of the ranking study: windows of equal predicted latency, two input sizes in each.

Between windows networks differ in cost, so that "more MACs first" can be right; inside one they do
not, and only what a method knows besides costs can tell them apart.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmarks.jobs import Entry
from benchmarks.trainings import SPACE
from pipeline.device.target import Target
from pipeline.files.whole import write_atomic
from pipeline.images.randomness import seed_for
from pipeline.latency.model import LatencyModel
from pipeline.space.architecture import Architecture
from pipeline.space.cost import architecture_cost
from pipeline.space.encoding import Floats, encode
from pipeline.space.operator_spec import parse_choice

DATASET, CLASSES = "imagewoof2-112", 10
SIZES = (64, 96)
TARGET = "intel-xeon-processor-2c/onnxruntime-fp32-b1-t1"
"""A table that ships, so that the same networks are drawn everywhere."""
TABLE_CLASSES = 1000
"""Of its calibration. A classifier of other size changes every network's latency by the same
constant."""

_WINDOWS = 2
_OF_A_SIZE = 5
_WITHIN = 0.05
"""Relative distance from the middle of a window; so all are within ±10 % of each of them."""
_DRAWS = 20_000
# What the largest networks at the larger size cost to train decides what the study costs.
_SHARES = (0.12, 0.5)
"""Where the first and the last window lie between the least latency at the larger size and the most
at the smaller one, on a logarithmic scale."""


class DesignedNetwork(Entry):
    """A network of the study.

    Attributes:
        window: Which, from the fastest.
        latency_ms: Predicted on the design's target.
    """

    architecture: Architecture
    window: int
    latency_ms: float
    macs: int


class Design(Entry):
    """All of them, and whose latency it is."""

    target: str
    networks: tuple[DesignedNetwork, ...]

    @property
    def architectures(self) -> tuple[Architecture, ...]:
        """The networks, a window after the other, small and large inputs in turn."""
        return tuple(it.architecture for it in self.networks)


def read_design(path: Path, num_classes: int) -> Design:
    """The design that a study began with; one that begins gets it drawn."""
    if path.exists():
        return Design.model_validate_json(path.read_text(encoding="utf-8"))
    design = draw_design(num_classes)
    write_atomic(path, design.model_dump_json(indent=1) + "\n")
    return design


def draw_design(num_classes: int) -> Design:
    """Draws the networks, the same ones everywhere."""
    model = LatencyModel.read(Target.parse(TARGET), allow_foreign=True)
    random = np.random.default_rng(seed_for(0, "ranking design"))
    by_size: dict[int, tuple[list[Architecture], Floats]] = {}
    for size in SIZES:
        networks = sorted(
            {_random_network(random, size, num_classes) for _ in range(_DRAWS)},
            key=lambda network: network.short,
        )
        latency_ms = model.predict_batch(SPACE, encode(SPACE, networks), TABLE_CLASSES)[0]
        by_size[size] = networks, latency_ms
    least, most = by_size[SIZES[-1]][1].min(), by_size[SIZES[0]][1].max()
    middles = np.exp(
        np.log(least) + np.linspace(*_SHARES, _WINDOWS) * (np.log(most) - np.log(least))
    )
    found = []
    for window, middle_ms in enumerate(middles):
        spread = []
        for networks, latency_ms in by_size.values():
            inside = np.flatnonzero(np.abs(latency_ms / middle_ms - 1) <= _WITHIN)
            chosen = _spread([networks[i] for i in inside], _OF_A_SIZE, random)
            spread.append(
                [
                    DesignedNetwork(
                        architecture=networks[inside[i]],
                        window=window,
                        latency_ms=float(latency_ms[inside[i]]),
                        macs=architecture_cost(networks[inside[i]]).macs,
                    )
                    for i in chosen
                ]
            )
        found += [network for pair in zip(*spread, strict=True) for network in pair]
    return Design(target=TARGET, networks=tuple(found))


def _random_network(random: np.random.Generator, size: int, num_classes: int) -> Architecture:
    """Depths are drawn first, so that shallow networks are among them."""
    stages = tuple(
        tuple(
            str(name)
            for name in random.choice(SPACE.operators, random.integers(1, SPACE.max_depth + 1))
        )
        for _ in SPACE.stages
    )
    return Architecture(space=SPACE.name, resolution=size, num_classes=num_classes, stages=stages)


def _spread(networks: list[Architecture], count: int, random: np.random.Generator) -> list[int]:
    """Indices of networks that differ in depth, kernels and expansion as much as they can.

    Each is the farthest of a few hundred from those chosen before it, the first is random.
    """
    some = random.permutation(len(networks))[:400]
    traits = np.array([_traits(networks[i]) for i in some])
    traits = (traits - traits.mean(0)) / np.maximum(traits.std(0), 1e-9)
    chosen = [0]
    while len(chosen) < count:
        distance = np.linalg.norm(traits[:, None] - traits[None, chosen], axis=2).min(1)
        chosen.append(int(distance.argmax()))
    return [int(some[i]) for i in chosen]


def _traits(network: Architecture) -> tuple[float, float, float]:
    choices = [parse_choice(name) for stage in network.stages for name in stage]
    kernels = float(np.mean([choice.kernel for choice in choices]))
    expansions = float(np.mean([choice.expansion for choice in choices]))
    return float(len(choices)), kernels, expansions
