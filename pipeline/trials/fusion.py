"""What the trials tell of networks that were not tried: a posterior over candidates.

A linear model of log-losses after a rung, in what is known of a network before it is trained
(`pipeline.trials.known`). There are a dozen trials and as many inputs, so each input has to earn
its place: inputs are taken in one by one while the error on trials that are left out falls (the
PRESS statistic; Allen, Technometrics 1974). Weights have a normal prior, so that few trials move
little.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.space.encoding import Floats

_PRIOR_VARIANCE = 1.0
"""Of a weight, relative to the variance of log-losses; inputs are standardised."""
_LEAST_GAIN = 0.05
"""Share by which an input has to lower the left-out error."""


@dataclass(frozen=True)
class Fused:
    """What is expected of each candidate after the rung.

    Attributes:
        mean_nats: Shape (n,).
        cov_nats: Shape (n, n); of the expectation, without a trial's own error.
        inputs: Names of the inputs that earned their place.
        error_nats: Root mean square error on trials left out of the fit.
        mean_error_nats: The same for a guess that knows only the mean of the others.
    """

    mean_nats: Floats
    cov_nats: Floats
    inputs: tuple[str, ...]
    error_nats: float
    mean_error_nats: float

    def drawn(self, random: np.random.Generator) -> Floats:
        """Log-losses as they may be, shape (n,): one draw of Thompson sampling."""
        jitter = 1e-12 * np.eye(len(self.mean_nats))
        factor = np.linalg.cholesky(self.cov_nats + jitter)
        return np.asarray(self.mean_nats + factor @ random.standard_normal(len(self.mean_nats)))


def fuse(
    inputs: Mapping[str, Sequence[float]],
    tried: Sequence[int],
    log_losses: Sequence[float],
    error_nats: float,
) -> Fused:
    """Fits the model to the trials.

    Args:
        inputs: Of each candidate, by name; n values each.
        tried: Places of those that were tried, two at least.
        log_losses: Theirs.
        error_nats: Standard error of a trial's log-loss in comparisons.
    """
    y = np.asarray(log_losses, dtype=float)
    columns = {name: _standardised(values) for name, values in inputs.items()}
    n = len(next(iter(columns.values())))
    constant = np.ones((n, 1))
    spread = max(float(y.var(ddof=1)), error_nats**2, 1e-12)
    noise = max(error_nats**2, 0.05 * spread) / spread
    chosen: list[str] = []
    design = constant
    error = mean_error = _left_out_error(design[tried], y, noise)
    while len(chosen) < min(len(columns), len(tried) - 2):
        found = min(
            (
                (_left_out_error(np.hstack([design, columns[name]])[tried], y, noise), name)
                for name in columns
                if name not in chosen
            ),
        )
        if found[0] > (1 - _LEAST_GAIN) * error:
            break
        error = found[0]
        chosen.append(found[1])
        design = np.hstack([design, columns[found[1]]])
    precision = _precision(design[tried], noise)
    weights = np.linalg.solve(precision, design[tried].T @ (y - y.mean()) / noise)
    cov = spread * (design @ np.linalg.solve(precision, design.T))
    # Networks alike in all that was chosen still differ: by what the fit leaves.
    own = max(error**2 - error_nats**2, 0.0)
    cov = cov + own * np.eye(n)
    return Fused(y.mean() + design @ weights, cov, tuple(chosen), error, mean_error)


def _standardised(values: Sequence[float]) -> Floats:
    column = np.asarray(values, dtype=float)
    std = float(column.std())
    return np.asarray((column - column.mean()) / std if std > 0 else 0 * column)[:, None]


def _precision(design: Floats, noise: float) -> Floats:
    """Of the weights, relative to the spread of log-losses; the constant's prior is flat."""
    prior = np.full(design.shape[1], 1 / _PRIOR_VARIANCE)
    prior[0] = 1e-9
    return np.asarray(design.T @ design / noise + np.diag(prior))


def _left_out_error(design: Floats, y: Floats, noise: float) -> float:
    """Root mean square error of each trial by the others, in one fit."""
    hat = design @ np.linalg.solve(_precision(design, noise), design.T) / noise
    residuals = (y - y.mean()) - hat @ (y - y.mean())
    leverage = np.minimum(np.diag(hat), 1 - 1e-9)
    return float(np.sqrt(np.mean((residuals / (1 - leverage)) ** 2)))
