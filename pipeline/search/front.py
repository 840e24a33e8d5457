"""Domination under constraints, fronts, and the choice of survivors (NSGA-II).

Source: Deb, Pratap, Agarwal, Meyarivan, "A fast and elitist multiobjective genetic algorithm:
NSGA-II", IEEE Transactions on Evolutionary Computation 6(2), 2002: constrained domination
(definition 1), non-dominated sorting and crowding distance (section III).
"""

from __future__ import annotations

import bisect
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from pipeline.space.encoding import Floats

Indices = NDArray[np.intp]


def dominates(objectives: Floats, violation: Floats) -> NDArray[np.bool_]:
    """Which of n candidates beats which other one.

    Candidate i dominates candidate j when one of these holds:

    1. i is feasible (its violation is 0) and j is not;
    2. neither is feasible and i's violation is smaller;
    3. both are feasible, i is no worse than j in every objective and better in at least one.

    So no candidate dominates itself or one equal to it, and objectives never excuse a violation.

    Args:
        objectives: To be minimised, shape (n, objectives).
        violation: 0 where feasible, else positive, shape (n,).

    Returns:
        Shape (n, n), True at (i, j) where i dominates j.
    """
    no_worse = (objectives[:, None, :] <= objectives[None, :, :]).all(axis=2)
    better = (objectives[:, None, :] < objectives[None, :, :]).any(axis=2)
    feasible = violation <= 0
    both_feasible = feasible[:, None] & feasible[None, :]
    # Rules 1 and 2 are one comparison, because a feasible candidate's violation is 0.
    less_violation = violation[:, None] < violation[None, :]
    return np.asarray(np.where(both_feasible, no_worse & better, less_violation))


def fronts(objectives: Floats, violation: Floats) -> Iterator[Indices]:
    """Sorts candidates into fronts, the best first.

    The first front is dominated by nobody, the second only by members of the first, and so on;
    each lists its members in their given order. Two objectives sort without comparing pairs
    (Jensen, "Reducing the Run-Time Complexity of Multiobjective EAs", IEEE Transactions on
    Evolutionary Computation 7(5), 2003).

    Args:
        objectives: To be minimised, shape (n, 2).
        violation: As of `dominates`.
    """
    feasible = np.flatnonzero(violation <= 0)
    rank = _ranks(objectives[feasible])
    for front in range(int(rank.max(initial=-1)) + 1):
        yield feasible[rank == front]
    # Rule 2: of infeasible candidates each violation is a front of its own.
    for excess in np.unique(violation[violation > 0]):
        yield np.flatnonzero(violation == excess)


def _ranks(objectives: Floats) -> Indices:
    """The front of each candidate, all of them feasible; shape (n,)."""
    rank = np.zeros(len(objectives), dtype=np.intp)
    # The least second objective of each front so far: of the first one it is the smallest.
    least: list[float] = []
    before, front = None, 0
    for index in np.lexsort(objectives.T[::-1]).tolist():
        point = objectives[index].tolist()
        if point != before:
            front = bisect.bisect_right(least, point[1])
            least[front : front + 1] = [point[1]]
        rank[index], before = front, point
    return rank


def crowding(objectives: Floats) -> Floats:
    """Crowding distance: how far a front's neighbours are from each of its members.

    Args:
        objectives: Of one front, shape (n, objectives).

    Returns:
        Shape (n,); infinite at the ends of the front.
    """
    distance = np.zeros(len(objectives))
    for column in objectives.T:
        order = np.argsort(column, kind="stable")
        span = column[order[-1]] - column[order[0]]
        distance[order[[0, -1]]] = np.inf
        if span > 0:
            distance[order[1:-1]] += (column[order[2:]] - column[order[:-2]]) / span
    return distance


def survivors(objectives: Floats, violation: Floats, size: int) -> Indices:
    """The candidates that live on: whole fronts, the last one thinned where it is crowded.

    Args:
        objectives: To be minimised, shape (n, objectives).
        violation: 0 where feasible, shape (n,).
        size: Most that survive.

    Returns:
        At most `size` indices, best front first; ties go to the earlier candidate.
    """
    kept: list[int] = []
    for front in fronts(objectives, violation):
        room = size - len(kept)
        if len(front) > room:
            roomiest = np.argsort(-crowding(objectives[front]), kind="stable")
            front = front[roomiest[:room]]
        kept += front.tolist()
        if len(kept) == size:
            break
    return np.array(kept, dtype=np.intp)


def pareto_front(quality: Floats, latency: Floats) -> list[int]:
    """Candidates that no other beats in quality and latency at once, fastest first.

    Args:
        quality: To be maximised, shape (n,).
        latency: To be minimised, shape (n,).

    Returns:
        Indices by rising latency; candidates equal in both stand side by side.
    """
    points = np.column_stack([latency, quality])
    front: list[int] = []
    for index in np.lexsort((-quality, latency)).tolist():
        better = not front or quality[index] > quality[front[-1]]
        if better or (points[index] == points[front[-1]]).all():
            front.append(index)
    return front
