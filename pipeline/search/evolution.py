"""Evolution of architectures inside limits, as ask and tell.

Constrained NSGA-II (Deb et al., 2002) on two objectives, accuracy up and the target's latency
down. Other costs are limits, not objectives: each further objective makes more of a population
incomparable and weakens selection, and MACs mostly agree with latency (they break ties in the
final ranking). Survivors keep the whole front; parents are the most accurate of a few survivors,
because the question is the most accurate network within the limits and the front comes with it.

Candidates are feasible by construction: whatever sampling, mutation and crossover make is repaired
before it is asked about, so that no evaluation is spent on a network that cannot be used.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from pipeline.encoding import Floats, Rows
from pipeline.records import Limits
from pipeline.search.constraints import Costs, latency_key, violation
from pipeline.search.front import Indices, survivors
from pipeline.search.repair import repair
from pipeline.search.variation import Random, Variation

_ROUNDS = 20
"""Times a generation is topped up before it stays smaller than the population."""
_TOURNAMENT = 4
"""Survivors of which the most accurate becomes a parent."""


class SearchSettings(BaseModel):
    """How long to search, and how.

    At most `population` × `generations` architectures are scored, none of them twice.

    Attributes:
        population: Architectures scored in a generation, and most that survive it.
        generations: Generations, the initial one included.
        mutation_probability: Chance of each slot of a child to be drawn anew, beside the one slot
            that always is.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    population: int = Field(default=20, ge=2)
    generations: int = Field(default=25, ge=1)
    mutation_probability: float = Field(default=0.02, ge=0, le=1)

    @property
    def budget(self) -> int:
        """Most architectures that are scored."""
        return self.population * self.generations


@dataclass(frozen=True)
class _Population:
    """Rows with their objectives (error, latency; both to be minimised) and violation."""

    rows: Rows
    objectives: Floats
    violation: Floats

    def joined(self, other: _Population) -> _Population:
        return _Population(
            np.concatenate([self.rows, other.rows]),
            np.concatenate([self.objectives, other.objectives]),
            np.concatenate([self.violation, other.violation]),
        )

    def chosen(self, indices: Indices) -> _Population:
        return _Population(self.rows[indices], self.objectives[indices], self.violation[indices])


class Evolution:
    """Proposes architectures and learns from their accuracies.

    Alternate `ask` and `tell`. What is asked depends on the arguments and the accuracies told, on
    nothing else.

    Args:
        variation: The space's rows.
        seeds: Rows to start from, shape (n, width), n ≥ 1.
        costs: Costs of rows, by name.
        limits: What every asked row keeps to.
        target: Whose latency is the second objective.
        settings: Sizes and rates.
        rng: Random generator.
    """

    def __init__(
        self,
        variation: Variation,
        seeds: Rows,
        *,
        costs: Costs,
        limits: Limits,
        target: str,
        settings: SearchSettings,
        rng: Random,
    ) -> None:
        self._variation = variation
        self._seeds = seeds
        self._costs = costs
        self._limits = limits
        self._latency = latency_key(target)
        self._settings = settings
        self._rng = rng
        self._asked: set[bytes] = set()
        self._population: _Population | None = None

    def ask(self) -> Rows:
        """Rows to score next: inside the limits, none asked before.

        Returns:
            At most `population` rows; none where no further ones were found.
        """
        found: list[Rows] = []
        for attempt in range(_ROUNDS):
            room = self._settings.population - len(found)
            if not room:
                break
            proposals = self._proposals(room, attempt)
            rows, left = repair(proposals, self._variation, self._costs, self._limits, self._rng)
            found += self._never_asked(rows[left <= 0], room)
        return np.array(found, dtype=np.int16).reshape(len(found), 1 + self._variation.slots)

    def tell(self, rows: Rows, accuracy_percent: Floats) -> None:
        """Takes the accuracies of asked rows and lets the fittest survive.

        Args:
            rows: As asked.
            accuracy_percent: Shape (n,).
        """
        costs = self._costs(rows)
        objectives = np.column_stack([-accuracy_percent, costs[self._latency]])
        everyone = _Population(rows, objectives, violation(costs, self._limits))
        if self._population:
            everyone = self._population.joined(everyone)
        fittest = survivors(everyone.objectives, everyone.violation, self._settings.population)
        self._population = everyone.chosen(fittest)

    def _proposals(self, n: int, attempt: int) -> Rows:
        """Seeds, later children; random rows where those bring nothing new any more."""
        if attempt < _ROUNDS // 2 and self._population:
            return self._children(self._population, n)
        return self._variation.random(n, self._rng) if attempt else self._seeds

    def _children(self, population: _Population, n: int) -> Rows:
        one, other = (self._parents(population, n) for _ in range(2))
        crossed = self._variation.cross(one, other, self._rng)
        return self._variation.mutate(crossed, self._settings.mutation_probability, self._rng)

    def _parents(self, population: _Population, n: int) -> Rows:
        """The most accurate of a few random survivors, n times."""
        drawn = self._rng.integers(0, len(population.rows), (n, _TOURNAMENT))
        best = population.objectives[drawn, 0].argmin(axis=1)
        chosen: Indices = drawn[np.arange(n), best]
        return population.rows[chosen]

    def _never_asked(self, rows: Rows, most: int) -> list[Rows]:
        """Takes new rows up to `most`, and remembers them."""
        new: list[Rows] = []
        for row in rows:
            if len(new) == most:
                break
            if row.tobytes() not in self._asked:
                self._asked.add(row.tobytes())
                new.append(row)
        return new
