"""What limits leave of a space, and what to ask for instead where they leave nothing."""

from __future__ import annotations

import math

from pipeline.records.candidates import Candidate
from pipeline.search.constraints import bounds, check_limits, missed, out_of_reach, question_units
from pipeline.search.exact.integer_program import nearest
from pipeline.search.exact.linear import Cuts
from pipeline.search.explanation import Explanation, Share
from pipeline.search.problem import Problem
from pipeline.search.share import share_within


def check_request(problem: Problem) -> None:
    """Refuses limits that make no sense, are in another unit, or that nothing is known about.

    Raises:
        UsageError: Says which, and what was expected.
    """
    check_limits(problem.limits, problem.target, known=problem.tables.keys)
    question_units(problem.limits, problem.tables.reachable_over_all)


def explain(problem: Problem) -> Explanation:
    """Says what can be reached and what the limits leave of it.

    Raises:
        UsageError: As `check_request`.
    """
    check_request(problem)
    closest = nearest_candidate(problem)
    feasible = closest.violation <= 0
    share = share_within(problem) if feasible else Share(low=0.0, high=0.0, how="counted")
    message = "the limits can be met" if feasible else describe_infeasible(problem, closest)
    return Explanation(
        space=problem.space.name,
        limits=problem.limits,
        target=problem.target,
        architectures=problem.space.count() * len(problem.tables.resolutions),
        reachable=problem.tables.reachable,
        share=share,
        feasible=feasible,
        nearest=None if feasible else closest,
        message=message,
    )


def nearest_candidate(problem: Problem) -> Candidate:
    """The architecture with the smallest violation; 0 where there is one inside the limits."""
    found = nearest(problem, Cuts())
    return problem.candidates(found.row[None])[0]


def describe_infeasible(problem: Problem, closest: Candidate) -> str:
    """Which limits exclude everything, and what the nearest architecture has instead.

    Args:
        problem: The request.
        closest: The architecture with the smallest violation.
    """
    sizes = ", ".join(map(str, problem.tables.resolutions))
    alone = out_of_reach(problem.limits, problem.tables.reachable_over_all)
    if alone:
        why = f"no architecture of space {problem.space.name} at {sizes} pixels has " + (
            ", nor ".join(alone)
        )
    else:
        why = "each limit can be met alone, but no architecture is within all of them"
    row_costs = problem.costs_of(closest.architecture)
    return (
        f"{why}; the nearest, {closest.architecture.short}, misses by "
        f"{100 * closest.violation:.2g} %: {', '.join(missed(row_costs, problem.limits))}. "
        f"It would be within: {', '.join(_would_do(problem, row_costs))}"
    )


def _would_do(problem: Problem, costs: dict[str, float]) -> list[str]:
    """The limits the nearest architecture keeps to: the request's, or its own costs."""
    told = []
    for bound in bounds(problem.limits):
        cost = costs[bound.key] + (bound.margin * costs[bound.std_key] if bound.margin else 0.0)
        if bound.at_least:
            limit = f"least {bound.show(_outwards(min(cost, bound.value), up=False))}"
        else:
            limit = f"most {bound.show(_outwards(max(cost, bound.value), up=True))}"
        told.append(f"{bound.label} at {limit}")
    return told


def _outwards(limit: float, *, up: bool) -> float:
    """The limit as it will be shown, with four digits, and no tighter for that."""
    unit = 10.0 ** (math.floor(math.log10(limit)) - 3)
    return unit * (math.ceil(limit / unit) if up else math.floor(limit / unit))
