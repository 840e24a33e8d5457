"""Quality as a sum over blocks, fitted on hypernetwork scores.

Quality is minus the log-loss, in nats.

    quality ≈ input size + Σ over stages [ depth of the stage + Σ over its blocks (operator) ]

An operator's effect is what it has in any stage plus what it has in this one, and everything has a
part of its own at each input size; each of these parts is kept small by ridge regression, so that
what the scores do not tell apart stays alike (a hierarchical normal prior). The fit is a sum over
slots, which an exact search can maximise.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import kendalltau
from sklearn.dummy import DummyRegressor
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import KFold, cross_val_predict

from pipeline.space.encoding import Floats, Rows, SlotTable
from pipeline.space.search_space import SearchSpace

_PENALTIES = np.logspace(-2, 4, 25)
_OWN_AT_A_SIZE = 0.5
"""How large a part of its own at an input size is believed to be beside the common part."""
_FOLDS = 10
LEAST_SAMPLES = 12
"""Scored networks below which nothing is fitted."""


@dataclass(frozen=True)
class Fit:
    """How well the sum explains scores that were left out of its fit.

    Attributes:
        samples: Scored networks.
        error_nats: Root mean square error on networks left out of the fit.
        mean_error_nats: The same for a guess that knows only the mean of the others.
        kendall_tau: Rank correlation of left-out guesses with the scores.
    """

    samples: int
    error_nats: float
    mean_error_nats: float
    kendall_tau: float


@dataclass(frozen=True)
class Surrogate:
    """A fitted sum.

    Attributes:
        tables: Quality in nats as a sum over slots, by input size.
        fits: How good it is, by input size; without sizes that there were no scores at.
    """

    tables: dict[int, SlotTable]
    fits: dict[int, Fit]


def fit_surrogate(
    space: SearchSpace, rows: Rows, quality: Floats, also_at: tuple[int, ...] = ()
) -> Surrogate:
    """Fits the sum, for every input size there is a row of.

    Args:
        space: The space of the rows.
        rows: Shape (n, 1 + slots), n ≥ `LEAST_SAMPLES`.
        quality: Their scores, shape (n,).
        also_at: Input sizes that need no rows; the sum there is what those with rows share.
    """
    left_out = left_out_guesses(space, rows, quality)
    means = cross_val_predict(DummyRegressor(), rows, quality, cv=_folds(rows))
    return Surrogate(
        fit_tables(space, rows, quality, also_at),
        {
            size: _fit(*(each[rows[:, 0] == size] for each in (quality, left_out, means)))
            for size in _sizes(rows)
        },
    )


def left_out_guesses(space: SearchSpace, rows: Rows, quality: Floats) -> Floats:
    """What the sum says of each row when it is fitted without that row; shape (n,).

    Arguments as of `fit_surrogate`.
    """
    inputs = _Features(space, _sizes(rows)).of(rows)
    # The penalty is chosen anew inside each fold, so that what is left out is truly unseen.
    return np.asarray(cross_val_predict(RidgeCV(_PENALTIES), inputs, quality, cv=_folds(rows)))


def fit_tables(
    space: SearchSpace, rows: Rows, quality: Floats, also_at: tuple[int, ...] = ()
) -> dict[int, SlotTable]:
    """The fitted sum alone, without asking how good it is; arguments as of `fit_surrogate`."""
    sizes = _sizes(rows, also_at)
    features = _Features(space, sizes)
    model = RidgeCV(_PENALTIES).fit(features.of(rows), quality)
    return {size: features.table(size, model.coef_, float(model.intercept_)) for size in sizes}


def _sizes(rows: Rows, also_at: tuple[int, ...] = ()) -> tuple[int, ...]:
    return tuple(sorted({*np.unique(rows[:, 0]).tolist(), *also_at}))


def _folds(rows: Rows) -> KFold:
    return KFold(min(_FOLDS, len(rows)), shuffle=True, random_state=0)


def _fit(scores: Floats, left_out: Floats, means: Floats) -> Fit:
    return Fit(
        samples=len(scores),
        error_nats=_rms(left_out - scores),
        mean_error_nats=_rms(means - scores),
        kendall_tau=_tau(left_out, scores),
    )


class _Features:
    """What the score may depend on, each a sum over slots.

    Attributes:
        common: What each code in each slot adds to each feature that all input sizes share; shape
            (slots, 1 + operators, features).
    """

    def __init__(self, space: SearchSpace, resolutions: tuple[int, ...]) -> None:
        self._resolutions = resolutions
        self._depth = space.max_depth
        self.common = _common(len(space.stages), space.max_depth, len(space.operators))

    def of(self, rows: Rows) -> Floats:
        """The features of rows; shape (n, features), those of one size alone last."""
        slots = np.arange(self.common.shape[0])
        common = self.common[slots, rows[:, 1:]].sum(axis=1)
        parts = [common]
        if len(self._resolutions) > 1:
            for size in self._resolutions:
                here = (rows[:, 0] == size)[:, None]
                parts.append(np.hstack([here, _OWN_AT_A_SIZE * here * common]))
        return np.hstack(parts)

    def table(self, size: int, coefficients: Floats, intercept: float) -> SlotTable:
        """The sum over slots that the coefficients make of a row's features."""
        width = self.common.shape[2]
        effects, fixed = coefficients[:width], intercept
        if len(self._resolutions) > 1:
            place = width + self._resolutions.index(size) * (1 + width)
            fixed += float(coefficients[place])
            own = coefficients[place + 1 : place + 1 + width]
            effects = effects + _OWN_AT_A_SIZE * own
        return SlotTable(size, fixed, self.common @ effects, self._depth).on_grid()


def _common(stages: int, depth: int, operators: int) -> Floats:
    """Each operator, anywhere and in each stage; each slot being used, in any stage and in each."""
    held = np.zeros((stages, depth, 1 + operators, 1 + stages, operators))
    used = np.zeros((stages, depth, 1 + operators, 1 + stages, depth))
    for operator in range(operators):
        held[:, :, 1 + operator, 0, operator] = 1.0
        for stage in range(stages):
            held[stage, :, 1 + operator, 1 + stage, operator] = 1.0
    for slot in range(1, depth):
        used[:, slot, 1:, 0, slot] = 1.0
        for stage in range(stages):
            used[stage, slot, 1:, 1 + stage, slot] = 1.0
    both = [each.reshape(stages * depth, 1 + operators, -1) for each in (held, used)]
    return np.concatenate(both, axis=2)


def _rms(errors: Floats) -> float:
    return float(np.sqrt(np.mean(errors**2)))


def _tau(one: Floats, other: Floats) -> float:
    """Rank correlation; 0 of one network, and where one side is all the same."""
    if len(one) < 2:
        return 0.0
    tau = float(kendalltau(one, other).statistic)
    return tau if np.isfinite(tau) else 0.0
