"""What is searched: a space, its costs, and the limits."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

import numpy as np

from pipeline.records.candidates import Candidate, LatencyPrediction, Limits
from pipeline.search.constraints import (
    MACS,
    PARAMS,
    bounds,
    has_margin,
    latency_key,
    std_key,
    violation,
)
from pipeline.search.cost_tables import CostTables
from pipeline.search.variation import Variation
from pipeline.space.architecture import Architecture
from pipeline.space.encoding import Floats, Rows, SlotTable, decode, encode
from pipeline.space.search_space import SearchSpace


class Uncertainty(Protocol):
    """How uncertain predictions of one target are."""

    def std_ms(self, rows: Rows) -> Floats:
        """Standard uncertainty of each row's latency; shape (n,)."""

    def tangent(self, row: Rows) -> SlotTable:
        """A sum over slots, nowhere above the standard uncertainty and equal to it at `row`."""


@dataclass(frozen=True)
class Problem:
    """A request: the most accurate networks of a space within limits.

    Attributes:
        space: What is searched, possibly narrowed.
        num_classes: Classes of every network.
        limits: What every network keeps to, all at once.
        target: Whose latency makes the front, together with quality.
        tables: Additive costs, at every input size that is searched.
        uncertainty: Of each target's latency.
        foreign: Targets whose tables are of another machine.
    """

    space: SearchSpace
    num_classes: int
    limits: Limits
    target: str
    tables: CostTables
    uncertainty: Mapping[str, Uncertainty] = field(default_factory=dict)
    foreign: frozenset[str] = frozenset()

    @cached_property
    def variation(self) -> Variation:
        """The rows of the space, and the ways from one to the next."""
        return Variation.of(self.space, self.tables.resolutions)

    @property
    def latency(self) -> str:
        """The name of the searched target's latency among the costs."""
        return latency_key(self.target)

    @cached_property
    def slowest_ms(self) -> float:
        """The slowest allowed latency on the searched target: its limit, or the largest there is.

        Fronts are measured against it.
        """
        largest = self.tables.reachable_over_all[self.latency][1]
        return min(self.limits.latency_ms.get(self.target, largest), largest)

    def costs(self, rows: Rows) -> dict[str, Floats]:
        """Costs of rows by name; with a margin, the uncertainties of limited latencies too."""
        found = self.tables(rows)
        if has_margin(self.limits):
            for target in self.limits.latency_ms:
                found[std_key(target)] = self.uncertainty[target].std_ms(rows)
        return found

    def costs_of(self, architecture: Architecture) -> dict[str, float]:
        """The same of one architecture."""
        rows = encode(self.space, [architecture])
        return {key: float(values[0]) for key, values in self.costs(rows).items()}

    def violation(self, rows: Rows) -> Floats:
        """The largest relative excess of each row over a limit; 0 where all hold."""
        return violation(self.costs(rows), self.limits)

    def within(self, limits: Limits, target: str) -> Problem:
        """The same space under other limits."""
        return Problem(
            self.space,
            self.num_classes,
            limits,
            target,
            self.tables,
            self.uncertainty,
            self.foreign,
        )

    def limits_alone(self, target: str) -> Limits:
        """The limits without those on other targets' latencies."""
        own = {name: ms for name, ms in self.limits.latency_ms.items() if name == target}
        return self.limits.model_copy(update={"latency_ms": own})

    @property
    def guessing_nats(self) -> float:
        """Log-loss of giving each class the same probability."""
        return math.log(self.num_classes)

    @property
    def limited_keys(self) -> tuple[str, ...]:
        """Names of the costs that have a limit."""
        return tuple(dict.fromkeys(bound.key for bound in bounds(self.limits)))

    def architectures(self, rows: Rows) -> list[Architecture]:
        """The networks of rows."""
        return [decode(self.space, row, self.num_classes) for row in rows]

    def candidates(self, rows: Rows) -> list[Candidate]:
        """Rows with everything known about them before they are scored."""
        costs = self.costs(rows)
        beyond = violation(costs, self.limits)
        targets = [key.partition("/")[2] for key in self.tables.keys if key.startswith("latency")]
        std_ms = {target: self.uncertainty[target].std_ms(rows) for target in targets}
        return [
            Candidate(
                architecture=architecture,
                accuracy_percent=None,
                macs=round(costs[MACS][index]),
                params=round(costs[PARAMS][index]),
                latency_ms={
                    target: LatencyPrediction(
                        typical=float(costs[latency_key(target)][index]),
                        std=float(std_ms[target][index]),
                        foreign=target in self.foreign,
                    )
                    for target in targets
                },
                violation=float(beyond[index]),
            )
            for index, architecture in enumerate(self.architectures(rows))
        ]


def as_rows(rows: list[Rows], width: int) -> Rows:
    """Rows in one array, none of them too."""
    return np.array(rows, dtype=np.int16).reshape(len(rows), width)
