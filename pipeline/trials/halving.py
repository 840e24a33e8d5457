"""Successive halving: who goes on after a rung of the trials, and who wins.

Jamieson and Talwalkar, AISTATS 2016, with a third instead of a half (Li et al., "ASHA", MLSys 2020,
take a fourth): all are trained for a while, the best third goes on. Scores are of the same images,
so they are compared in pairs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from pipeline.training.scoring.network_score import NetworkScore, paired_errors_nats

ETA = 3


def promoted(
    scores: Mapping[int, NetworkScore], off_the_shelf: Sequence[int], *, eta: int = ETA
) -> list[int]:
    """Who goes on: the best third of the search space's, and the best off the shelf.

    Args:
        scores: Of all that were trained up to this rung, by place.
        off_the_shelf: Places of networks that only stand beside.
        eta: One in so many goes on.

    Returns:
        Places, in their order.
    """
    ours = [place for place in scores if place not in off_the_shelf]
    others = [place for place in scores if place in off_the_shelf]
    best = sorted(ours, key=lambda place: scores[place].log_loss_nats)
    kept = best[: math.ceil(len(ours) / eta)]
    kept += sorted(others, key=lambda place: scores[place].log_loss_nats)[:1]
    return sorted(kept)


def best_of(scores: Mapping[int, NetworkScore], latency_ms: Mapping[int, float]) -> int | None:
    """The best; of those that cannot be told from it, the fastest.

    Two are told apart where their log-losses differ by more than the standard error of that
    difference.

    Args:
        scores: By place; of the same images.
        latency_ms: Of each, by place.

    Returns:
        Its place; None where there are none.
    """
    if not scores:
        return None
    places = list(scores)
    errors = dict(zip(places, _errors_nats([scores[it] for it in places]), strict=True))
    best = min(places, key=lambda it: scores[it].log_loss_nats)
    alike = [
        it
        for it in places
        if scores[it].log_loss_nats - scores[best].log_loss_nats
        <= math.hypot(errors[it], errors[best])
    ]
    return min(alike, key=lambda it: (latency_ms[it], scores[it].log_loss_nats))


def _errors_nats(scores: Sequence[NetworkScore]) -> Sequence[float]:
    found = paired_errors_nats(scores)
    return [0.0] * len(scores) if found is None else [float(it) for it in found]
