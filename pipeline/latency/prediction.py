"""Predictions for many architectures on many targets, with how far off they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pipeline.device.target import Target
from pipeline.errors import TableError
from pipeline.latency.model import LatencyModel
from pipeline.latency.table_files import all_targets_with_tables
from pipeline.records.calibration import Calibration
from pipeline.records.candidates import LatencyPrediction
from pipeline.space.architecture import Architecture
from pipeline.space.cost import macs_batch, params_batch
from pipeline.space.encoding import encode
from pipeline.space.search_space import get_space

_Groups = Mapping[tuple[str, int], Sequence[int]]


@dataclass
class Predictions:
    """What was predicted.

    Attributes:
        architectures: A JSON-able dictionary for each architecture.
        targets: By target's name: its table, in what that differs from this machine, what the
            last check scaled it by, and the honesty block of each calibration used.
        calibrations: The calibrations used, by target's name.
        notes: Tables that were left out, and why.
    """

    architectures: list[dict[str, Any]]
    targets: dict[str, dict[str, Any]] = field(default_factory=dict)
    calibrations: dict[str, list[Calibration]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def predict_architectures(
    architectures: Sequence[Architecture],
    target_names: Sequence[str] | None,
    *,
    allow_foreign: bool = False,
) -> Predictions:
    """Predicts MACs, parameters and latencies.

    Args:
        architectures: n architectures, of any spaces, resolutions and classes.
        target_names: Targets whose tables to use, all of them needed; None for every table that
            can predict all architectures, the others being told in the notes.
        allow_foreign: Whether tables of other machines or software may be used.

    Raises:
        TableError: A named target's table is missing or cannot predict one of them.
    """
    targets = [Target.parse(name) for name in target_names or ()]
    found = Predictions([_described(architecture) for architecture in architectures])
    groups = _alike(architectures)
    for indices in groups.values():
        _add_costs([architectures[index] for index in indices], indices, found.architectures)
    for target in targets or all_targets_with_tables():
        try:
            model = LatencyModel.read(target, allow_foreign=allow_foreign)
            latencies = _latencies(model, architectures, groups)
        except TableError as error:
            if targets:
                raise
            found.notes.append(f"{target.name} is left out: {error.message}")
            continue
        for index, latency in latencies.items():
            found.architectures[index]["latency_ms"][target.name] = latency
        used = _used(model, architectures)
        found.calibrations[target.name] = used
        found.targets[target.name] = _about(model, used)
    return found


def predictions_of(
    architectures: Sequence[Architecture], target: Target, *, allow_foreign: bool = False
) -> tuple[list[LatencyPrediction | None], str | None]:
    """What a target's table says of each architecture.

    Args:
        architectures: Of any spaces.
        target: Whose table.
        allow_foreign: Whether the table may be of another machine or of other software.

    Returns:
        A prediction for each, None where the table says nothing of it; and, where the table cannot
        be used at all, why.
    """
    try:
        model = LatencyModel.read(target, allow_foreign=allow_foreign)
    except TableError as error:
        return [None] * len(architectures), error.message
    return [_prediction_or_none(model, architecture) for architecture in architectures], None


def _prediction_or_none(
    model: LatencyModel, architecture: Architecture
) -> LatencyPrediction | None:
    try:
        return model.predict(architecture)
    except TableError:
        return None


def _described(architecture: Architecture) -> dict[str, Any]:
    return {
        "name": architecture.name,
        "space": architecture.space,
        "resolution": architecture.resolution,
        "stages": [list(stage) for stage in architecture.stages],
        "num_classes": architecture.num_classes,
        "short": architecture.short,
        "latency_ms": {},
    }


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
    model: LatencyModel, architectures: Sequence[Architecture], groups: _Groups
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


def _used(model: LatencyModel, architectures: Sequence[Architecture]) -> list[Calibration]:
    kinds = dict.fromkeys((a.space, a.resolution, a.num_classes) for a in architectures)
    return [model.calibration(*kind) for kind in kinds]


def _about(model: LatencyModel, used: Sequence[Calibration]) -> dict[str, Any]:
    return {
        "table": str(model.table.path),
        "foreign": list(model.foreign),
        "scale": model.scale,
        "calibrations": [
            {
                "space": calibration.space,
                "resolution": calibration.resolution,
                "num_classes": calibration.num_classes,
                "method": calibration.method,
                "honesty": calibration.honesty.model_dump(mode="json"),
            }
            for calibration in used
        ],
    }
