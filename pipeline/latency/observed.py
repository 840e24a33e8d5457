"""What a few measured networks say of all others: predictions conditioned on what was seen.

Before anything is seen, latencies of networks are jointly normal: the posterior of operators'
corrections, which networks that share operators share; a misfit of each network's own; and one
relative error of the level that all have in common. Measured networks condition that distribution
(Rasmussen & Williams, *Gaussian Processes for Machine Learning*, 2006, eq. 2.23-2.24, with the
prediction as the mean function).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy import linalg

from pipeline.latency.posterior import Networks, Posterior
from pipeline.space.architecture import Architecture
from pipeline.space.encoding import Floats, Rows, encode
from pipeline.space.search_space import SearchSpace, get_space

# Relative standard deviation of the level of the whole machine against when the table was measured:
# another moment changed the level by 1.2 to 4 % where that was studied, a new session by 0.1 %.
LEVEL_STD = 0.02
# Of a measured latency, relative, at least: sweeps that agree by chance claim too much, and one
# estimate repeats within 0.6 to 0.8 %.
LEAST_NOISE = 0.005
_Kind = tuple[str, int, int]


class Latency(Protocol):
    """A latency with its standard uncertainty, in milliseconds."""

    @property
    def typical(self) -> float:
        """Milliseconds."""

    @property
    def std(self) -> float:
        """Its standard uncertainty."""


@dataclass(frozen=True)
class Predicted:
    """Networks of one calibration, n of them, as they were predicted before any was seen.

    Attributes:
        space: The space they are encoded in, possibly narrowed.
        rows: Shape (n, 1 + slots), at least one, all at one resolution.
        num_classes: Outputs of their classifiers.
        posterior: The calibration's; in milliseconds before `scale`.
        networks: What they are made of.
        mean_ms: Shape (n,).
        std_ms: Standard deviation, without a change of the level; shape (n,).
        scale: What the table's predictions are multiplied by.
    """

    space: SearchSpace
    rows: Rows
    num_classes: int
    posterior: Posterior
    networks: Networks
    mean_ms: Floats
    std_ms: Floats
    scale: float

    def covariance_ms2(self, others: Predicted) -> Floats:
        """Prior covariance of the networks' latencies with others'; shape (n, others)."""
        of_means = np.outer(self.mean_ms, others.mean_ms)
        found = LEVEL_STD**2 * of_means
        if self._kind == others._kind:
            of_weights = self.posterior.covariance_ms2(self.networks, others.networks)
            rows, other_rows = (_whole_rows(one.space, one.rows) for one in (self, others))
            same = (rows[:, None, :] == other_rows).all(axis=2)
            found += self.scale**2 * of_weights
            found += self.posterior.prior.misfit**2 * of_means * same
        return np.asarray(found)

    @property
    def _kind(self) -> _Kind:
        return (self.space.name, int(self.rows[0, 0]), self.num_classes)


Predict = Callable[[SearchSpace, Rows, int], Predicted]


@dataclass(frozen=True)
class Seen:
    """Measured networks, m of them, ready to condition predictions of others.

    Attributes:
        measured: What each took.
    """

    measured: Mapping[Architecture, Latency]
    _groups: tuple[Predicted, ...]
    _cholesky: tuple[Floats, bool]
    _solved: Floats

    @classmethod
    def of(cls, measured: Mapping[Architecture, Latency], predict: Predict) -> Seen:
        """Compares measured networks with what was predicted of them.

        Args:
            measured: At least one.
            predict: Predicts rows of a space that are all at one resolution, with that many
                classes, as if nothing had been seen.
        """
        groups = _by_kind(measured)
        predicted = tuple(
            predict(get_space(space), encode(get_space(space), members), classes)
            for (space, _, classes), members in groups.items()
        )
        latencies = [measured[member] for members in groups.values() for member in members]
        typical_ms = np.array([latency.typical for latency in latencies])
        claimed_ms = np.array([latency.std for latency in latencies])
        noise_ms = np.maximum(claimed_ms, LEAST_NOISE * typical_ms)
        before = np.block([[one.covariance_ms2(other) for other in predicted] for one in predicted])
        cholesky = linalg.cho_factor(before + np.diag(noise_ms**2), lower=True)
        beyond_ms = typical_ms - np.concatenate([group.mean_ms for group in predicted])
        return cls(measured, predicted, cholesky, linalg.cho_solve(cholesky, beyond_ms))

    def condition(self, asked: Predicted) -> tuple[Floats, Floats]:
        """Predictions in the light of what was seen.

        Returns:
            Latency of each network asked for and its standard deviation, in milliseconds, each of
            shape (n,). The deviation counts what is left open of the level, which no prediction
            before did; from the first measured network on, each one more can only lessen it.
        """
        shared = np.hstack([asked.covariance_ms2(group) for group in self._groups])
        explained = np.einsum("ij,ji->i", shared, linalg.cho_solve(self._cholesky, shared.T))
        before = asked.std_ms**2 + (LEVEL_STD * asked.mean_ms) ** 2
        return (
            np.asarray(asked.mean_ms + shared @ self._solved),
            np.asarray(np.sqrt(np.maximum(before - explained, 0))),
        )


def _whole_rows(space: SearchSpace, rows: Rows) -> Rows:
    """Rows of a narrowed space as the whole space of that name encodes them.

    Args:
        space: The space the rows were encoded with.
        rows: Shape (n, 1 + slots), blocks before gaps.

    Returns:
        Shape (n, 1 + slots of the whole space); equal for equal networks.
    """
    whole = get_space(space.name)
    codes = np.array([0, *(1 + whole.operators.index(name) for name in space.operators)])
    stages = codes[rows[:, 1:]].reshape(len(rows), len(space.stages), space.max_depth)
    deeper = np.pad(stages, ((0, 0), (0, 0), (0, whole.max_depth - space.max_depth)))
    return np.column_stack([rows[:, 0], deeper.reshape(len(rows), -1)]).astype(np.int16)


def _by_kind(architectures: Mapping[Architecture, Latency]) -> dict[_Kind, list[Architecture]]:
    groups: dict[_Kind, list[Architecture]] = {}
    for one in architectures:
        groups.setdefault((one.space, one.resolution, one.num_classes), []).append(one)
    return groups
