"""Operators in context: what a network's latency says about operators that were timed alone.

    latency = sum over operators of alone_ms · (1 + correction) + offset + per_block · blocks

Alone, an operator finds its weights in the cache and its input in the layout it likes; in a
network it does not. How far off it is then is alike for operators that are alike (same stage, same
kernel, same expansion), so the corrections are given a common normal prior, and whole networks
measured on the target turn it into a posterior: Bayesian linear regression, equally a Gaussian
process over networks (Rasmussen & Williams, *Gaussian Processes for Machine Learning*, 2006,
eq. 2.11 and 2.23-2.24; leave-one-out eq. 5.10-5.12; evidence eq. 5.8). It gives the uncertainty of
every prediction with the prediction itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import NamedTuple

import numpy as np
from scipy import linalg

from pipeline.space.encoding import Floats
from pipeline.space.operator_spec import OperatorSpec

# Standard deviations of relative corrections. The whole level may be far off (another clock, a
# runtime's overhead for each call), what operators share less, what is an operator's own least.
_LEVEL = 0.3
_SHARED = {"stage": 0.04, "kernel": 0.025, "expansion": 0.025, "entry": 0.015}
_OWN = 0.015
# Of the mean operator: a session's overhead is in every operator timed alone, once in a network.
_PER_BLOCK = 0.3
_OFFSET = 3.0
# What the two unknown scales may be, and how firmly they are believed beforehand: the standard
# deviation of their natural logarithms.
_SPREADS = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
_MISFITS = (0.004, 0.006, 0.008, 0.012, 0.016, 0.024, 0.032, 0.048)
_TYPICAL_SPREAD, _TYPICAL_MISFIT = 1.0, 0.01
_BELIEF = 0.7


@dataclass(frozen=True)
class Prior:
    """What is believed before any network is measured.

    Attributes:
        spread: Factor on the standard deviations of the structured corrections.
        misfit: Relative standard deviation of what no additive model expresses, and of the
            measurement itself.
    """

    spread: float
    misfit: float


@dataclass(frozen=True)
class Networks:
    """Networks as the regression sees them.

    Attributes:
        counts: How often each holds each operator; shape (n, operators).
        blocks: How many chosen blocks each has; shape (n,).
    """

    counts: Floats
    blocks: Floats


@dataclass(frozen=True)
class Posterior:
    """Corrections after networks were measured.

    Attributes:
        prior: The scales of the prior it was updated from, averaged.
        in_context_ms: Each operator's time in a network; shape (operators,).
        offset_ms: What a network takes beyond its operators.
        per_block_ms: … and for each chosen block.
        covariance: Of the weights (operators' corrections, offset, per block), in the units of
            `features`; shape (operators + 2, operators + 2).
        left_out_ms: Prediction for each measured network from all others; shape (n,).
        left_out_std_ms: Its standard deviation, the network's own misfit included.
    """

    prior: Prior
    in_context_ms: Floats
    offset_ms: float
    per_block_ms: float
    covariance: Floats
    left_out_ms: Floats
    left_out_std_ms: Floats
    _alone_ms: Floats

    def mean_ms(self, networks: Networks) -> Floats:
        """Predicted latency of each network; shape (n,)."""
        sums = (networks.counts * self.in_context_ms).sum(axis=1)
        return np.asarray(sums + self.offset_ms + self.per_block_ms * networks.blocks)

    def covariance_ms2(self, networks: Networks, others: Networks) -> Floats:
        """Covariance of networks' latencies with others', misfit left out; shape (n, others)."""
        features = _features(self._alone_ms, networks)
        return np.asarray(features @ self.covariance @ _features(self._alone_ms, others).T)

    def std_ms(self, networks: Networks, mean_ms: Floats) -> Floats:
        """Standard deviation of each prediction, misfit included; shape (n,)."""
        features = _features(self._alone_ms, networks)
        of_weights = np.einsum("ij,ij->i", features @ self.covariance, features)
        return np.asarray(np.sqrt(np.maximum(of_weights, 0) + (self.prior.misfit * mean_ms) ** 2))

    def std_tangent(self, network: Networks, mean_ms: float) -> StdTangent:
        """The tangent of `std_ms` at one network: nowhere above it, as a norm is convex."""
        features = _features(self._alone_ms, network)[0]
        std_ms = float(self.std_ms(network, np.array([mean_ms]))[0])
        slope = self.covariance @ features / std_ms
        scale = _scale(self._alone_ms)
        return StdTangent(
            operators_ms=slope[:-2] * self._alone_ms,
            fixed_ms=float(slope[-2] * scale),
            per_block_ms=float(slope[-1] * scale),
            of_mean=float(self.prior.misfit**2 * mean_ms / std_ms),
        )


class StdTangent(NamedTuple):
    """A standard deviation as a sum.

    Attributes:
        operators_ms: For each time an operator is held; shape (operators,).
        fixed_ms: For every network.
        per_block_ms: For each chosen block.
        of_mean: Share of the predicted latency.
    """

    operators_ms: Floats
    fixed_ms: float
    per_block_ms: float
    of_mean: float


def infer(
    operators: Sequence[OperatorSpec],
    alone_ms: Floats,
    networks: Networks,
    measured_ms: Floats,
) -> Posterior:
    """Updates the prior by measured networks.

    The two scales of the prior are unknown; the posterior is averaged over a grid of them, each
    weighted by how probable it makes the measured latencies. A few networks leave the scales open,
    and the average says so in a wider uncertainty, where the best alone would be overconfident.

    Args:
        operators: The operators, in the order of `networks.counts`' columns.
        alone_ms: What each takes alone; shape (operators,).
        networks: The measured networks.
        measured_ms: What they took; shape (n,).
    """
    priors = [Prior(spread, misfit) for spread, misfit in product(_SPREADS, _MISFITS)]
    before = {spread: _covariance(operators, spread) for spread in _SPREADS}
    updates = [
        _update(before[prior.spread], alone_ms, networks, measured_ms, prior) for prior in priors
    ]
    log_weights = np.array([update.log_weight for update in updates])
    probable = np.exp(log_weights - log_weights.max())
    probable /= probable.sum()

    def average(values: list[Floats]) -> Floats:
        return np.asarray(np.tensordot(probable, np.array(values), axes=1))

    weights = average([update.weights for update in updates])
    apart = [update.weights - weights for update in updates]
    left_out = average([update.left_out_ms for update in updates])
    left_out_variance = [u.left_out_variance + (u.left_out_ms - left_out) ** 2 for u in updates]
    scale = _scale(alone_ms)
    return Posterior(
        prior=Prior(
            float(average([np.array(prior.spread) for prior in priors])),
            float(np.sqrt(average([np.array(prior.misfit**2) for prior in priors]))),
        ),
        in_context_ms=alone_ms * (1 + weights[:-2]),
        offset_ms=float(weights[-2] * scale),
        per_block_ms=float(weights[-1] * scale),
        covariance=average(
            [u.covariance + np.outer(a, a) for u, a in zip(updates, apart, strict=True)]
        ),
        left_out_ms=left_out,
        left_out_std_ms=np.sqrt(average(left_out_variance)),
        _alone_ms=alone_ms,
    )


class _Update(NamedTuple):
    """The posterior under one prior; the names are those of `Posterior`."""

    weights: Floats
    covariance: Floats
    log_weight: float
    left_out_ms: Floats
    left_out_variance: Floats


def _update(
    before: Floats,
    alone_ms: Floats,
    networks: Networks,
    measured_ms: Floats,
    prior: Prior,
) -> _Update:
    features = _features(alone_ms, networks)
    explained = features @ before
    noise = np.diag((prior.misfit * measured_ms) ** 2)
    gram = linalg.cho_factor(explained @ features.T + noise, lower=True)
    residual = measured_ms - networks.counts @ alone_ms
    inverse = linalg.cho_solve(gram, np.eye(len(residual)))
    solved = inverse @ residual
    precision = np.diag(inverse)
    evidence = -0.5 * residual @ solved - np.log(np.diag(gram[0])).sum()
    surprise = (
        np.log(prior.spread / _TYPICAL_SPREAD) ** 2 + np.log(prior.misfit / _TYPICAL_MISFIT) ** 2
    )
    return _Update(
        weights=explained.T @ solved,
        covariance=before - explained.T @ inverse @ explained,
        log_weight=float(evidence - 0.5 * surprise / _BELIEF**2),
        left_out_ms=measured_ms - solved / precision,
        left_out_variance=1 / precision,
    )


def _features(alone_ms: Floats, networks: Networks) -> Floats:
    """Milliseconds that each weight is a factor of; shape (n, operators + 2)."""
    scale = _scale(alone_ms)
    fixed = np.full(len(networks.blocks), scale)
    return np.column_stack([networks.counts * alone_ms, fixed, scale * networks.blocks])


def _scale(alone_ms: Floats) -> float:
    return float(alone_ms.mean())


def _covariance(operators: Sequence[OperatorSpec], spread: float) -> Floats:
    """Prior covariance of the weights."""
    alike: dict[str, list[tuple[object, object]]] = {
        "stage": [(spec.kind, spec.out_channels) for spec in operators],
        "kernel": [(spec.kind, spec.kernel) for spec in operators],
        "expansion": [(spec.kind, spec.expansion) for spec in operators],
        "entry": [(spec.stride, spec.in_channels == spec.out_channels) for spec in operators],
    }
    n = len(operators)
    found = np.zeros((n + 2, n + 2))
    found[:n, :n] = _LEVEL**2 + (spread * _OWN) ** 2 * np.eye(n)
    for name, labels in alike.items():
        same = np.array([[one == other for other in labels] for one in labels])
        found[:n, :n] += (spread * _SHARED[name]) ** 2 * same
    found[n, n], found[n + 1, n + 1] = _OFFSET**2, _PER_BLOCK**2
    return found
