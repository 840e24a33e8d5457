"""Limits as sums over slots: what integer programs and exact fronts are made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from pipeline.search.constraints import Bound, bounds
from pipeline.search.problem import Problem
from pipeline.space.encoding import Rows, SlotTable


@dataclass(frozen=True)
class LinearLimit:
    """A sum over slots that is not to be above a number.

    Attributes:
        table: What is summed.
        at_most: Its limit.
        slack: What the limit grows by where each limit of the request is loosened by its whole
            value, as when looking for the nearest network.
        is_least: Whether the request's limit is a lower one; table and limit are negative then.
    """

    table: SlotTable
    at_most: float
    slack: float
    is_least: bool = False

    def tightened(self, share: float) -> LinearLimit:
        """The limit, tighter by a share of it."""
        return replace(self, at_most=self.at_most - share * abs(self.at_most))


@dataclass
class Cuts:
    """Tangents of uncertainties, where limits have a margin.

    A latency's mean plus its margin is convex. Tangents are below it: limits on them admit every
    network that the true limit admits, and some more. With each network found to be one too many
    comes a tangent that excludes it.

    Attributes:
        tangents: By input size, then by target.
    """

    tangents: dict[int, dict[str, list[SlotTable]]] = field(default_factory=dict)

    def add(self, problem: Problem, row: Rows) -> None:
        """Takes the tangents at a row."""
        here = self.tangents.setdefault(int(row[0]), {})
        for target in problem.limits.latency_ms:
            here.setdefault(target, []).append(problem.uncertainty[target].tangent(row))

    def of(self, size: int, target: str) -> Sequence[SlotTable]:
        """The tangents at an input size."""
        return self.tangents.get(size, {}).get(target, ())


def linear_limits(problem: Problem, size: int, cuts: Cuts) -> list[LinearLimit]:
    """The request's limits at one input size; with margins, a relaxation of them.

    Args:
        problem: The request.
        size: Input side in pixels.
        cuts: Tangents of the uncertainties; more make the relaxation tighter.
    """
    found = []
    for bound in bounds(problem.limits):
        table = problem.tables.sums[size][bound.key]
        if bound.at_least:
            found.append(LinearLimit(times(table, -1.0), -bound.value, bound.value, True))
        else:
            found += [
                LinearLimit(one, bound.value, bound.value)
                for one in _with_margin(table, bound, size, cuts)
            ]
    return found


def _with_margin(table: SlotTable, bound: Bound, size: int, cuts: Cuts) -> list[SlotTable]:
    if not bound.margin:
        return [table]
    target = bound.key.partition("/")[2]
    return [table, *(plus(table, bound.margin, tangent) for tangent in cuts.of(size, target))]


def times(table: SlotTable, factor: float) -> SlotTable:
    """A multiple of a sum."""
    return SlotTable(table.resolution, factor * table.fixed, factor * table.values, table.max_depth)


def plus(table: SlotTable, factor: float, other: SlotTable) -> SlotTable:
    """A sum plus a multiple of another one."""
    return SlotTable(
        table.resolution,
        table.fixed + factor * other.fixed,
        table.values + factor * other.values,
        table.max_depth,
    )


def by_size(problem: Problem, tables: Mapping[int, SlotTable]) -> list[tuple[int, SlotTable]]:
    """The tables of the input sizes that are searched."""
    return [(size, tables[size]) for size in problem.tables.resolutions if size in tables]
