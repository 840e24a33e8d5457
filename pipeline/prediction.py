"""Predictions for many architectures on many targets, as one JSON-able list."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pipeline.cost import macs_batch, params_batch
from pipeline.device import Target
from pipeline.encoding import encode
from pipeline.errors import TableError
from pipeline.latency.model import LatencyModel
from pipeline.records import LatencyPrediction
from pipeline.space import Architecture, get_space
from pipeline.workspace import all_targets_with_tables


def predict_architectures(
    architectures: Sequence[Architecture], target_names: Sequence[str] | None
) -> tuple[list[dict[str, Any]], list[str]]:
    """Predicts MACs, parameters and latencies.

    Args:
        architectures: n architectures, of any spaces, resolutions and classes.
        target_names: Targets whose tables to use, all of them needed; None for every table that
            can predict all architectures, the others being told in the notes.

    Returns:
        One dictionary for each architecture, and notes on tables that were left out.

    Raises:
        TableError: A named target's table is missing or cannot predict one of them.
    """
    named = target_names is not None
    targets = [Target.parse(n) for n in target_names] if named and target_names else None
    predicted: list[dict[str, Any]] = [
        {
            "name": architecture.name,
            "space": architecture.space,
            "resolution": architecture.resolution,
            "stages": [list(stage) for stage in architecture.stages],
            "num_classes": architecture.num_classes,
            "short": architecture.short,
            "latency_ms": {},
        }
        for architecture in architectures
    ]
    notes: list[str] = []
    groups = _alike(architectures)
    for indices in groups.values():
        _add_costs([architectures[index] for index in indices], indices, predicted)
    for target in targets or all_targets_with_tables():
        try:
            latencies = _latencies(LatencyModel.read(target), architectures, groups)
        except TableError as error:
            if targets:
                raise
            notes.append(f"{target.name} is left out: {error.message}")
            continue
        for index, latency in latencies.items():
            predicted[index]["latency_ms"][target.name] = latency
    return predicted, notes


def predictions_of(
    architectures: Sequence[Architecture], target: Target
) -> list[LatencyPrediction | None]:
    """What a target's table says of each architecture; None where it cannot say anything."""
    try:
        model = LatencyModel.read(target)
    except TableError:
        return [None] * len(architectures)
    return [_prediction_or_none(model, architecture) for architecture in architectures]


def _prediction_or_none(
    model: LatencyModel, architecture: Architecture
) -> LatencyPrediction | None:
    try:
        return model.predict(architecture)
    except TableError:
        return None


def _alike(architectures: Sequence[Architecture]) -> dict[tuple[str, int], list[int]]:
    """Indices of architectures that fit in one array: same space, same classes."""
    groups: dict[tuple[str, int], list[int]] = {}
    for index, architecture in enumerate(architectures):
        groups.setdefault((architecture.space, architecture.num_classes), []).append(index)
    return groups


def _add_costs(
    members: Sequence[Architecture], indices: Sequence[int], predicted: list[dict[str, Any]]
) -> None:
    space = get_space(members[0].space)
    rows = encode(space, members)
    macs = macs_batch(space, rows, members[0].num_classes)
    params = params_batch(space, rows, members[0].num_classes)
    for place, index in enumerate(indices):
        predicted[index] |= {"macs": round(macs[place]), "params": round(params[place])}


def _latencies(
    model: LatencyModel,
    architectures: Sequence[Architecture],
    groups: Mapping[tuple[str, int], Sequence[int]],
) -> dict[int, dict[str, float]]:
    """The prediction of each architecture, by its index."""
    found = {}
    for (space_name, num_classes), indices in groups.items():
        space = get_space(space_name)
        rows = encode(space, [architectures[index] for index in indices])
        typical, std = model.predict_batch(space, rows, num_classes)
        for index, one, spread in zip(indices, np.round(typical, 6), np.round(std, 6), strict=True):
            found[index] = {"typical": float(one), "std": float(spread)}
    return found
