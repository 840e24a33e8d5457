"""Predicted latency as a sum over slots, where it is one, so that paths can be drawn by it."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np

from pipeline.space.encoding import Floats, Rows, SlotTable
from pipeline.space.search_space import SearchSpace

PredictMs = Callable[[SearchSpace, Rows, int], Floats]

NS_PER_MS = 1_000_000

# Networks that decide whether predictions are sums, and how far sums may be off relative to them.
_CHECKED = 256
SUM_TOLERANCE = 1e-6


@lru_cache(maxsize=16)
def latency_table_ns(
    space: SearchSpace, resolution: int, num_classes: int, predict_ms: PredictMs
) -> SlotTable | None:
    """Nanoseconds that the operators add to predicted latency, rounded to whole ones.

    Args:
        space: The space, possibly narrowed.
        resolution: Input side in pixels.
        num_classes: Outputs of the classifier.
        predict_ms: Predicted milliseconds of n rows, shape (n,).

    Returns:
        None where predictions of random networks are no sums of what single operators add.
    """
    operators, stages, depth = len(space.operators), len(space.stages), space.max_depth
    smallest = np.zeros((stages, depth), dtype=np.int16)
    smallest[:, 0] = 1
    places = [(stage, slot) for stage in range(stages) for slot in range(min(2, depth))]
    changed = np.repeat(smallest[None], len(places) * operators, axis=0)
    for index, (stage, slot) in enumerate(places):
        for code in range(1, operators + 1):
            changed[index * operators + code - 1, stage, slot] = code
    rows = _rows(np.concatenate([smallest[None], changed]), resolution)
    fixed_ms, *changed_ms = predict_ms(space, rows, num_classes).tolist()
    values_ms = np.zeros((stages, depth, 1 + operators))
    added_ms = np.reshape(changed_ms, (stages, -1, operators)) - fixed_ms
    values_ms[:, 0, 1:] = added_ms[:, 0]
    values_ms[:, 1:, 1:] = added_ms[:, 1:2]
    table = SlotTable(resolution, fixed_ms, values_ms.reshape(stages * depth, -1), depth)
    checked = _random_rows(space, resolution)
    predicted_ms = predict_ms(space, checked, num_classes)
    off_ms = np.abs(table.totals(checked) - predicted_ms)
    if not (off_ms <= SUM_TOLERANCE * predicted_ms).all():
        return None
    whole = np.rint(NS_PER_MS * table.values)
    return SlotTable(resolution, round(NS_PER_MS * fixed_ms), whole, depth)


def _random_rows(space: SearchSpace, resolution: int) -> Rows:
    random = np.random.default_rng(0)
    shape = (_CHECKED, len(space.stages), space.max_depth)
    codes = random.integers(1, len(space.operators) + 1, shape)
    depths = random.integers(1, space.max_depth + 1, (*shape[:2], 1))
    return _rows(np.where(np.arange(space.max_depth) < depths, codes, 0), resolution)


def _rows(codes: Rows, resolution: int) -> Rows:
    """Rows of codes of shape (n, stages, max_depth)."""
    rows = codes.reshape(len(codes), -1).astype(np.int16)
    return np.concatenate([np.full((len(rows), 1), resolution, dtype=np.int16), rows], axis=1)
