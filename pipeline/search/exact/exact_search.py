"""The surrogate's best network and front within the limits, from scores to proof."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from pipeline.records.scores import AccuracyScale
from pipeline.records.search import ExactSearch, FrontPoint, SurrogateFit
from pipeline.search.exact.exact_front import exact_front
from pipeline.search.exact.integer_program import Proved, best_within
from pipeline.search.exact.linear import Cuts
from pipeline.search.exact.surrogate_front import ExactFront, joined_fronts
from pipeline.search.problem import Problem
from pipeline.search.surrogate import LEAST_SAMPLES, Fit, Surrogate, fit_surrogate
from pipeline.space.encoding import Floats, Rows, SlotTable

_MOST_TOLD = 200


@dataclass(frozen=True)
class ExactAnswer:
    """What is proved of a surrogate.

    Attributes:
        surrogate: The fit.
        best: The network of highest surrogate within the limits, and the bound for all others.
        front: Surrogate against latency, over all input sizes.
        seconds: What fitting and proving took.
    """

    surrogate: Surrogate
    best: Proved
    front: ExactFront
    seconds: float

    def spread(self, most: int, share: float = 1.0) -> Rows:
        """Networks of the front, evenly along it, those of highest surrogate first.

        Args:
            most: How many.
            share: Of the front's networks, counted from the highest.
        """
        last = len(self.front.rows) - 1
        count = min(most, 1 + int(share * last))
        places = np.linspace(last, (1 - share) * last, count).round().astype(int)
        rows: Rows = self.front.rows[places]
        return rows


def search_exactly(problem: Problem, rows: Rows, quality: Floats) -> ExactAnswer | None:
    """Fits the surrogate on scores and finds its best network and its front.

    Args:
        problem: The request; there are networks within its limits.
        rows: Scored networks, shape (n, 1 + slots).
        quality: Their scores in nats, shape (n,).

    Returns:
        None where there are too few scores to fit.
    """
    if len(rows) < LEAST_SAMPLES:
        return None
    start = time.monotonic()
    sizes = problem.tables.resolutions
    surrogate = fit_surrogate(problem.space, rows, quality, also_at=sizes)
    best, front = best_and_front(problem, surrogate.tables)
    return ExactAnswer(surrogate, best, front, time.monotonic() - start)


def best_and_front(problem: Problem, surrogates: dict[int, SlotTable]) -> tuple[Proved, ExactFront]:
    """The network of highest surrogate, and the front over all input sizes.

    Args:
        problem: The request; there are networks within its limits.
        surrogates: Quality in nats as a sum over slots, by input size.
    """
    cuts = Cuts()
    best = best_within(problem, surrogates, cuts)
    if best is None:
        raise AssertionError("networks within the limits were scored, so there is a best one")
    front = joined_fronts([exact_front(problem, table, cuts) for table in surrogates.values()])
    return best, front


def tell_exactly(
    problem: Problem, answer: ExactAnswer, chosen: Rows, scale: AccuracyScale
) -> ExactSearch:
    """The answer for the record.

    Args:
        problem: The request.
        answer: What was proved.
        chosen: The best network by score, shape (1 + slots,).
        scale: How its log-losses are told as accuracies.
    """
    front = answer.front
    kept = np.linspace(0, len(front.rows) - 1, min(_MOST_TOLD, len(front.rows))).round().astype(int)
    of_chosen = answer.surrogate.tables[int(chosen[0])].totals(chosen[None])[0]
    of_best = np.array([answer.best.value])
    return ExactSearch(
        surrogates={size: _told(fit, scale) for size, fit in answer.surrogate.fits.items()},
        best=_points(problem, answer.best.row[None], of_best, scale)[0],
        bound_percent=scale.percent(-answer.best.bound),
        front=tuple(_points(problem, front.rows[kept], front.surrogate[kept], scale)),
        front_points=len(front.rows),
        front_gap_percent=scale.percent_per_nat * front.gap_nats,
        chosen_regret_percent=scale.percent_per_nat * float(answer.best.value - of_chosen),
        seconds=answer.seconds,
    )


def _told(fit: Fit, scale: AccuracyScale) -> SurrogateFit:
    return SurrogateFit(
        samples=fit.samples,
        error_percent=scale.percent_per_nat * fit.error_nats,
        mean_error_percent=scale.percent_per_nat * fit.mean_error_nats,
        kendall_tau=fit.kendall_tau,
    )


def _points(
    problem: Problem, rows: Rows, surrogate: Floats, scale: AccuracyScale
) -> list[FrontPoint]:
    costs = problem.tables(rows)
    return [
        FrontPoint(
            architecture=architecture,
            surrogate_percent=scale.percent(-float(surrogate[index])),
            latency_ms=float(costs[problem.latency][index]),
            macs=round(costs["macs"][index]),
        )
        for index, architecture in enumerate(problem.architectures(rows))
    ]
