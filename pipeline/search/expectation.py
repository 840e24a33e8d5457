"""The log-loss to expect of scored networks on other images: their scores, less their luck.

The best of many scores owes its place to its error as well (the winner's curse), and the more so
the more were made. So a score is combined with what all the others tell of such a network, each by
its variance. With score sᵢ and its error eᵢ, and a guess mᵢ that errs by τ:

    τ² = mean(sᵢ − mᵢ)² − mean eᵢ²,    shrinkage bᵢ = eᵢ² / (τ² + eᵢ²),
    expectedᵢ = sᵢ − bᵢ (sᵢ − mᵢ),     stdᵢ = eᵢ √(1 − bᵢ)

the posterior of normal errors about a normal prior, its variance estimated from the same scores
(Efron & Morris, "Data Analysis Using Stein's Estimator and Its Generalizations", Journal of the
American Statistical Association 70(350), 1975). The guess is a sum over blocks that was fitted
without the network (`pipeline.search.surrogate`); of too few networks for that, their mean. Either
way a score never goes all the way to it: of d residuals bᵢ is (d − 2)/d at most, as in Stein's
estimator, because τ is no better known than they tell.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from pipeline.records.candidates import Candidate
from pipeline.search.problem import Problem
from pipeline.search.surrogate import LEAST_SAMPLES, left_out_guesses
from pipeline.space.encoding import Floats, Rows
from pipeline.training.scoring.network_score import NetworkScore, paired_errors_nats


class Expectation(NamedTuple):
    """What is expected of networks: mean and standard deviation, shape (n,) each."""

    mean: Floats
    std: Floats


def posterior(scores: Floats, errors: Floats, guesses: Floats, known: int) -> Expectation:
    """Scores and guesses combined by their variances; see the module.

    Args:
        scores: Shape (n,).
        errors: Their standard errors, shape (n,).
        guesses: Shape (n,).
        known: Degrees of freedom of the residuals (scores − guesses); 1 at least.
    """
    residuals = scores - guesses
    error_variance = float(np.mean(errors**2))
    least = 2 * error_variance / (known - 2) if known > 2 else np.inf
    variance = max(float((residuals**2).sum()) / known - error_variance, least)
    # An error of 0 leaves the score as it is, also where the guesses do not err either.
    whole = np.where(errors > 0, variance + errors**2, 1.0)
    shrinkage = errors**2 / whole
    return Expectation(scores - shrinkage * residuals, errors * np.sqrt(1 - shrinkage))


def expected_nats(
    problem: Problem, rows: Rows, scores: Sequence[NetworkScore], errors: Floats
) -> Expectation:
    """The log-losses to expect of scored networks.

    Args:
        problem: Of their space.
        rows: Shape (n, 1 + slots), n ≥ 2.
        scores: Theirs.
        errors: As `pipeline.training.scoring.network_score.paired_errors_nats` tells them.
    """
    log_losses = np.array([score.log_loss_nats for score in scores])
    if len(rows) < LEAST_SAMPLES:
        mean = np.full(len(rows), log_losses.mean())
        return posterior(log_losses, errors, mean, known=len(rows) - 1)
    guesses = left_out_guesses(problem.space, rows, log_losses)
    return posterior(log_losses, errors, guesses, known=len(rows))


def scored_candidates(
    problem: Problem, rows: Rows, scores: Sequence[NetworkScore]
) -> list[Candidate]:
    """Scored networks with everything known about them.

    Args:
        problem: The request.
        rows: Shape (n, 1 + slots).
        scores: Theirs.
    """
    errors = paired_errors_nats(scores)
    expected = None if errors is None else expected_nats(problem, rows, scores, errors)
    found = []
    for place, (unscored, score) in enumerate(zip(problem.candidates(rows), scores, strict=True)):
        known = {
            "accuracy_percent": score.accuracy_percent,
            "log_loss_nats": score.log_loss_nats,
        }
        if errors is not None and expected is not None:
            known["error_nats"] = float(errors[place])
            known["expected_nats"] = float(expected.mean[place])
            known["expected_std_nats"] = float(expected.std[place])
        found.append(unscored.model_copy(update=known))
    return found
