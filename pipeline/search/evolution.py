"""Evolution of architectures inside limits, as ask and tell.

Constrained NSGA-II (Deb et al., 2002) on two objectives, quality up and the target's latency
down. Other costs are limits, not objectives: each further objective makes more of a population
incomparable and weakens selection, and MACs mostly agree with latency (they break ties in the
final ranking). Survivors keep the whole front; parents are the best of a few survivors, because the
question is the best network within the limits and the front comes with it.

Candidates are feasible by construction: whatever sampling, mutation and crossover make is repaired
before it is asked about, so that no evaluation is spent on a network that cannot be used. Where a
guide guesses qualities, more children are made than asked about, and the most promising are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pipeline.search.constraints import violation
from pipeline.search.front import Indices, survivors
from pipeline.search.problem import Problem, as_rows
from pipeline.search.repair import repair
from pipeline.search.variation import Random
from pipeline.space.encoding import Floats, Rows

_ROUNDS = 20
"""Times a generation is topped up before it stays smaller than the population."""
_OFFSPRING = 4
"""Children made for each that is asked about, where there is a guide to choose among them."""
_TOURNAMENT = 4
"""Survivors of which the best becomes a parent."""


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
    """Proposes architectures and learns from their qualities: minus their log-losses, in nats.

    Alternate `ask` and `tell`. What is asked depends on the arguments and the qualities told, on
    nothing else.

    Args:
        problem: The request; every asked row keeps to its limits.
        population: Architectures asked for at a time, and most that survive.
        mutation_probability: Chance of each choice of a child to be drawn anew, beside the one
            that always is.
        rng: Random generator.

    Attributes:
        guide: Guesses qualities: of several children the most promising are asked about. None:
            each is.
    """

    def __init__(
        self, problem: Problem, *, population: int, mutation_probability: float, rng: Random
    ) -> None:
        self._problem = problem
        self._size = population
        self._mutation_probability = mutation_probability
        self._rng = rng
        self._asked: set[bytes] = set()
        self._planted: list[Rows] = []
        self._population: _Population | None = None
        self.guide: Callable[[Rows], Floats] | None = None

    def plant(self, rows: Rows) -> int:
        """Rows to ask for before any children, in this order.

        Returns:
            How many will be asked for: those inside the limits that never were.
        """
        new = self._never_asked(rows[self._problem.violation(rows) <= 0], len(rows))
        self._planted += new
        return len(new)

    def learn(self, rows: Rows, quality: Floats) -> None:
        """Takes rows inside the limits whose qualities are known already."""
        self._asked.update(row.tobytes() for row in rows)
        self.tell(rows, quality)

    def ask(self, most: int | None = None) -> Rows:
        """Rows to score next: inside the limits, none asked before.

        Args:
            most: Fewer than the population, for the last ones of a budget.

        Returns:
            At most `population` rows; none where no further ones were found.
        """
        size = self._size if most is None else min(most, self._size)
        found, self._planted = self._planted[:size], self._planted[size:]
        room = size - len(found)
        made = self._new(room * _OFFSPRING if self.guide else room)
        if self.guide and len(made):
            made = made[np.argsort(-self.guide(made), kind="stable")]
        found += list(made[:room])
        self._asked.update(row.tobytes() for row in found)
        return as_rows(found, 1 + self._problem.variation.slots)

    def _new(self, count: int) -> Rows:
        """Distinct rows inside the limits that were never asked about; at most that many."""
        found: dict[bytes, Rows] = {}
        for attempt in range(_ROUNDS):
            room = count - len(found)
            if room <= 0:
                break
            rows, left = repair(self._proposals(room, attempt), self._problem, self._rng)
            new = [row for row in rows[left <= 0] if row.tobytes() not in self._asked]
            found.update((row.tobytes(), row) for row in new)
        return as_rows(list(found.values())[:count], 1 + self._problem.variation.slots)

    def tell(self, rows: Rows, quality: Floats) -> None:
        """Takes the qualities of asked rows and lets the fittest survive.

        Args:
            rows: As asked.
            quality: Shape (n,).
        """
        costs = self._problem.costs(rows)
        objectives = np.column_stack([-quality, costs[self._problem.latency]])
        everyone = _Population(rows, objectives, violation(costs, self._problem.limits))
        if self._population:
            everyone = self._population.joined(everyone)
        fittest = survivors(everyone.objectives, everyone.violation, self._size)
        self._population = everyone.chosen(fittest)

    def _proposals(self, n: int, attempt: int) -> Rows:
        """Children; random rows where those bring nothing new any more."""
        if attempt < _ROUNDS // 2 and self._population:
            return self._children(self._population, n)
        return self._problem.variation.random(n, self._rng)

    def _children(self, population: _Population, n: int) -> Rows:
        one, other = (self._parents(population, n) for _ in range(2))
        crossed = self._problem.variation.cross(one, other, self._rng)
        return self._problem.variation.mutate(crossed, self._mutation_probability, self._rng)

    def _parents(self, population: _Population, n: int) -> Rows:
        """The best of a few random survivors, n times."""
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
