"""The best network within limits, and the nearest one to them, by integer programs with a proof.

One binary variable says whether a slot holds an operator. Costs and the surrogate are sums over
slots, so this is a knapsack with several limits, in which each slot chooses at most one operator
and a stage fills from its first slot on. HiGHS solves it by branch and bound; where it is stopped
early its bound still holds. Margins for uncertainty are convex, not linear: tangents are added
until the network found is truly within them (outer approximation, Duran & Grossmann, 1986).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp

from pipeline.errors import SolverError
from pipeline.search.constraints import has_margin
from pipeline.search.exact.linear import Cuts, LinearLimit, by_size, linear_limits, times
from pipeline.search.problem import Problem
from pipeline.space.encoding import Floats, Rows, SlotTable

_SECONDS = 20.0
"""For one program; ordinary ones take less than one."""
_ROUNDS = 40
"""Programs that follow each other because the network found is outside the true limits."""
_TOLERANCE = 1e-6
"""How far, relative to a limit, the solver may be mistaken about a network being within it."""
SURELY = -2 * _TOLERANCE
"""How much tighter limits are in proofs: looser, so that nothing within them is overlooked. A
network found beyond them leads to tighter ones, so one closer to its limit than that can be
missed; the bound then says so."""
_INFEASIBLE, _OPTIMAL, _STOPPED = 2, 0, 1


@dataclass(frozen=True)
class Proved:
    """A network and what is proved about all others.

    Attributes:
        row: Shape (1 + slots,).
        value: What was optimised: the surrogate in nats, or the violation.
        bound: No network within the limits has a better value.
    """

    row: Rows
    value: float
    bound: float


def best_within(problem: Problem, surrogates: Mapping[int, SlotTable], cuts: Cuts) -> Proved | None:
    """The network of highest surrogate within all limits, over all input sizes.

    Args:
        problem: The request.
        surrogates: Quality in nats as a sum over slots, by input size.
        cuts: Grows by the tangents that were needed.

    Returns:
        None where no network is within the limits, which is then proved.
    """
    answers = [
        found
        for _, surrogate in by_size(problem, surrogates)
        if (found := least_within(problem, times(surrogate, -1.0), cuts))
    ]
    if not answers:
        return None
    best = min(answers, key=lambda found: found.value)
    return Proved(best.row, -best.value, -min(found.bound for found in answers))


def nearest(problem: Problem, cuts: Cuts) -> Proved:
    """The network with the smallest violation of the limits, over all input sizes.

    Args:
        problem: The request.
        cuts: Grows by the tangents that were needed.

    Returns:
        Its violation is 0 where it is within the limits.
    """
    answers: list[Proved] = []
    for size in problem.tables.resolutions:
        known = min((found.value for found in answers), default=np.inf)
        answers.append(_nearest_at(problem, size, cuts, known))
    best = min(answers, key=lambda found: found.value)
    if 0 < best.value < 10 * _TOLERANCE:
        # So little may be the solver's tolerance: a search among those within decides.
        for size in problem.tables.resolutions:
            latency = problem.tables.sums[size][problem.latency]
            if within := least_within(problem, latency, cuts):
                return Proved(within.row, 0.0, 0.0)
    return Proved(best.row, best.value, min(found.bound for found in answers))


def least_within(
    problem: Problem, objective: SlotTable, cuts: Cuts, also: Sequence[LinearLimit] = ()
) -> Proved | None:
    """The network within all limits whose sum is least, at the objective's input size.

    Args:
        problem: The request.
        objective: What is summed.
        cuts: Grows by the tangents that were needed.
        also: Limits beside those of the request; they hold to the solver's tolerance.

    Returns:
        None where no network is within the limits, which is then proved.

    Raises:
        SolverError: The limits leave so little that rounding decides.
    """
    size, program = objective.resolution, _Program(objective)
    bound, tightened, step = -np.inf, SURELY, 2 * _TOLERANCE
    excluded: list[LinearLimit] = []
    for _ in range(_ROUNDS):
        limits = [one.tightened(tightened) for one in linear_limits(problem, size, cuts)]
        solution = program.minimise(objective.values, [*limits, *also, *excluded])
        if solution is None and tightened == SURELY:
            return None
        if solution is None:
            # Too tight: those beyond a limit are left out one by one then.
            tightened, step = SURELY, 0.0
            continue
        row, least = solution
        if tightened == SURELY:
            bound = max(bound, objective.fixed + least)
        violation = problem.violation(row[None])[0]
        if violation <= 0:
            value = float(objective.totals(row[None])[0])
            return Proved(row, value, min(bound, value))
        if violation < 10 * _TOLERANCE:
            excluded.append(_all_but(row, objective))
            tightened += step
        if has_margin(problem.limits):
            cuts.add(problem, row)
    raise SolverError(
        f"no network within all limits was found at {size} pixels in {_ROUNDS} integer programs",
        hint="limits this close to each other leave hardly anything; loosen one a little",
    )


def least_of_sums(objective: SlotTable, limits: Sequence[LinearLimit]) -> Rows | None:
    """The network whose sum is least within linear limits; None where there is no network."""
    solution = _Program(objective).minimise(objective.values, limits)
    return None if solution is None else solution[0]


def _nearest_at(problem: Problem, size: int, cuts: Cuts, known: float) -> Proved:
    """The nearest at one input size; any, where none can be nearer than what is known."""
    program = _Program(problem.tables.sums[size][problem.latency])
    found, bound = Proved(np.zeros(0, dtype=np.int16), np.inf, 0.0), 0.0
    for _ in range(_ROUNDS):
        solution = program.loosen(linear_limits(problem, size, cuts))
        if solution is None:
            break
        row, loosened = solution
        bound = max(bound, loosened)
        violation = float(problem.violation(row[None])[0])
        if violation < found.value:
            found = Proved(row, violation, bound)
        if min(found.value, known) <= bound + _TOLERANCE or not has_margin(problem.limits):
            break
        cuts.add(problem, row)
    return Proved(found.row, found.value, min(bound, found.value))


def _all_but(row: Rows, like: SlotTable) -> LinearLimit:
    """What every network keeps to except one: fewer of its blocks, or others beside them."""
    values = np.full(like.values.shape, -1.0)
    values[:, 0] = 0.0
    used = np.flatnonzero(row[1:])
    values[used, row[1 + used]] = 1.0
    table = SlotTable(like.resolution, 0.0, values, like.max_depth)
    return LinearLimit(table, len(used) - 0.5, 0.0)


class _Program:
    """The networks of one input size as binary variables."""

    def __init__(self, like: SlotTable) -> None:
        self._resolution = like.resolution
        self._slots, codes = like.values.shape
        self._operators = codes - 1
        self._depth = like.max_depth

    def minimise(self, values: Floats, limits: Sequence[LinearLimit]) -> tuple[Rows, float] | None:
        """A network with the smallest sum of values.

        Args:
            values: Shape (slots, 1 + operators); code 0 counts nothing.
            limits: All hold, to the solver's tolerance.

        Returns:
            The row and a lower bound of the sum over all networks; None where there is no network.
        """
        objective = np.append(values[:, 1:].ravel(), 0.0)
        return self._solve(objective, limits, loosened=0.0)

    def loosen(self, limits: Sequence[LinearLimit]) -> tuple[Rows, float] | None:
        """A network for which limits have to be loosened least; and by how much, at least."""
        objective = np.append(np.zeros(self._slots * self._operators), 1.0)
        return self._solve(objective, limits, loosened=np.inf)

    def _solve(
        self, objective: Floats, limits: Sequence[LinearLimit], *, loosened: float
    ) -> tuple[Rows, float] | None:
        binary = np.append(np.ones(len(objective) - 1), 0.0)
        scale = np.abs(objective).max() or 1.0
        # Where HiGHS's presolve fails, it solves the program as it stands.
        for presolve in (True, False):
            answer = milp(
                objective / scale,
                constraints=[*self._structure(), *map(self._limit, limits)],
                integrality=binary,
                bounds=Bounds(0.0, np.append(binary[:-1], loosened)),
                options={"time_limit": _SECONDS, "mip_rel_gap": 0.0, "presolve": presolve},
            )
            if answer.status in (_INFEASIBLE, _OPTIMAL, _STOPPED):
                break
        if answer.status == _INFEASIBLE:
            return None
        if answer.x is None:
            raise SolverError(
                f"the integer program ended without an answer: {answer.message}",
                hint="loosen a limit, or narrow the space (space.max_depth)",
            )
        return self._row(answer.x), float(scale * answer.mip_dual_bound)

    def _limit(self, limit: LinearLimit) -> LinearConstraint:
        scale = abs(limit.at_most) or 1.0
        weights = np.append(limit.table.values[:, 1:].ravel(), -limit.slack) / scale
        return LinearConstraint(weights, -np.inf, (limit.at_most - limit.table.fixed) / scale)

    def _structure(self) -> list[LinearConstraint]:
        """At most one operator a slot, one in a stage's first, and none after an empty slot."""
        holds = np.repeat(np.eye(self._slots), self._operators, axis=1)
        holds = np.column_stack([holds, np.zeros(self._slots)])
        first = np.arange(self._slots) % self._depth == 0
        found = [LinearConstraint(holds, first.astype(float), 1.0)]
        if self._depth > 1:
            after = np.flatnonzero(~first)
            found.append(LinearConstraint(holds[after] - holds[after - 1], -np.inf, 0.0))
        return found

    def _row(self, x: Floats) -> Rows:
        chosen = x[:-1].reshape(self._slots, self._operators)
        codes = np.where(chosen.max(axis=1) > 0.5, 1 + chosen.argmax(axis=1), 0)
        return np.concatenate([[self._resolution], codes]).astype(np.int16)
