"""The truth of the ranking study: networks of a space, each trained alone, with several seeds."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmarks.jobs import Entry
from benchmarks.trainings import SPACE, Training, trained
from pipeline.images.randomness import seed_for
from pipeline.space.architecture import Architecture
from pipeline.space.cost import architecture_cost

RESOLUTION = 32
CLASSES = 10

_DRAWS = 4000


class AloneResult(Entry):
    """What came out; percent are top-1 on images it was not trained on."""

    question: Training
    search_validation_percent: float
    test_percent: float
    seconds: float

    @property
    def percent(self) -> float:
        """On both together: 5,000 and 10,000 images."""
        return (self.search_validation_percent + 2 * self.test_percent) / 3


def spread_over_macs(n: int, *, seed: int) -> list[Architecture]:
    """Random networks at equal steps over the MACs that random networks of the space have.

    Depths are drawn first, so that shallow networks are among them.
    """
    random = np.random.default_rng(seed_for(seed, "ranking"))
    drawn = {_drawn(random) for _ in range(_DRAWS)}
    by_macs = sorted((architecture_cost(network).macs, network.short, network) for network in drawn)
    costs = np.array([cost for cost, _, _ in by_macs])
    chosen: dict[str, Architecture] = {}
    later_first = -np.arange(len(costs))
    for wanted in np.linspace(costs[0], costs[-1], n):
        # Which of equals comes first must not be left to the CPU; the results kept have the later.
        for index in np.lexsort((later_first, np.abs(costs - wanted))):
            _, short, network = by_macs[index]
            if short not in chosen:
                chosen[short] = network
                break
    return list(chosen.values())


def _drawn(random: np.random.Generator) -> Architecture:
    stages = tuple(
        tuple(
            str(name)
            for name in random.choice(SPACE.operators, random.integers(1, SPACE.max_depth + 1))
        )
        for _ in SPACE.stages
    )
    return Architecture(space=SPACE.name, resolution=RESOLUTION, num_classes=CLASSES, stages=stages)


def train_alone(question: Training, scratch: Path) -> AloneResult:
    """Trains one network and evaluates it."""
    record = trained(question, scratch)
    return AloneResult(
        question=question,
        search_validation_percent=record.accuracy_percent,
        test_percent=record.test_accuracy_percent,
        seconds=record.seconds,
    )
