"""Predicting whole networks: a table, its calibration, and the uncertainty of both.

The model of a target is the file `<target>.model.json` beside its table: one calibration for each
(space, resolution, classes) that was profiled. What was not calibrated is refused, not guessed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

from pipeline.device import Target
from pipeline.encoding import Floats, Rows, SlotTable, decode, encode
from pipeline.errors import TableError
from pipeline.files import read_record, write_record
from pipeline.latency.calibration import apply_calibration
from pipeline.latency.table import LatencyTable
from pipeline.operator_spec import OperatorSpec
from pipeline.records import Calibration, LatencyPrediction
from pipeline.space import Architecture, SearchSpace, get_space

_Key = tuple[str, int, int]


class ModelFile(BaseModel):
    """The content of `<target>.model.json`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = 1
    target: str
    calibrations: tuple[Calibration, ...]


@dataclass
class LatencyModel:
    """Predicts the latency of architectures on one target.

    Attributes:
        table: Measured operators.
        calibrations: By (space, resolution, classes).
    """

    table: LatencyTable
    calibrations: dict[_Key, Calibration]
    _sums: dict[tuple[SearchSpace, int, int], SlotTable] = field(default_factory=dict, repr=False)

    @classmethod
    def read(cls, target: Target) -> LatencyModel:
        """Reads a target's table and calibrations.

        Raises:
            TableError: The table is missing, damaged, or was never calibrated.
        """
        table = LatencyTable.read(target)
        path = model_path(table.path)
        if not path.exists():
            raise TableError(
                f"{table.path} is not calibrated: {path.name} is not beside it "
                "(its measuring was not finished)",
                hint=f"finish it: python run_pipeline.py profile --target {target.name}",
            )
        content = read_record(path, ModelFile)
        return cls(table, {_key(c): c for c in content.calibrations})

    def calibration(self, space: str, resolution: int, num_classes: int) -> Calibration:
        """The calibration for networks of that kind.

        Raises:
            TableError: There is none; names those there are.
        """
        found = self.calibrations.get((space, resolution, num_classes))
        if found is None:
            known = ", ".join(f"{s} at {r} px, {c} classes" for s, r, c in self.calibrations)
            raise TableError(
                f"{self.table.path} is not calibrated for {space} at {resolution} px with "
                f"{num_classes} classes; it is for {known or 'nothing'}",
                hint=f"python run_pipeline.py profile --target {self.table.target.name} "
                f"--space {space} --resolution {resolution} --num-classes {num_classes}",
            )
        return found

    def predict(self, architecture: Architecture) -> LatencyPrediction:
        """Predicts one network.

        Raises:
            TableError: The table lacks operators or the calibration, or the network is deeper
                than those calibrated on.
        """
        space = get_space(architecture.space)
        rows = encode(space, [architecture])
        typical, std = self.predict_batch(space, rows, architecture.num_classes)
        return LatencyPrediction(typical=float(typical[0]), std=float(std[0]))

    def predict_batch(
        self, space: SearchSpace, rows: Rows, num_classes: int
    ) -> tuple[Floats, Floats]:
        """Predicts encoded networks; rows may mix resolutions.

        Args:
            space: The space the rows were encoded with, possibly narrowed.
            rows: Shape (n, 1 + slots).
            num_classes: Classes of every row's classifier.

        Returns:
            Latency and its standard uncertainty in milliseconds, each of shape (n,).

        Raises:
            TableError: As `predict`.
        """
        typical, std = np.zeros(len(rows)), np.zeros(len(rows))
        for resolution in map(int, np.unique(rows[:, 0])):
            here = rows[:, 0] == resolution
            calibration = self.calibration(space.name, resolution, num_classes)
            self._check_depth(space, rows[here], calibration)
            sums = self._operator_sums(space, rows[here], resolution, num_classes)
            depths = (rows[here, 1:] > 0).sum(axis=1).astype(np.float64)
            typical[here] = apply_calibration(calibration, sums, depths)
            std[here] = typical[here] * calibration.relative_std
        return typical, std

    def reachable_ms(
        self, space: SearchSpace, resolution: int, num_classes: int
    ) -> tuple[float, float]:
        """Smallest and largest predicted latency in a space, in milliseconds."""
        calibration = self.calibration(space.name, resolution, num_classes)
        operators = space.distinct_operators(resolution, num_classes)
        self.table.require(operators)

        def in_context_ms(spec: OperatorSpec) -> float:
            return calibration.scale * self.table.entries[spec.key].typical

        table = SlotTable.of(space, resolution, num_classes, in_context_ms)
        block = np.where(np.arange(table.values.shape[1]) > 0, calibration.per_block_ms, 0.0)
        table = SlotTable(
            table.resolution,
            table.fixed + calibration.offset_ms,
            table.values + block,
            table.max_depth,
        )
        return table.extreme(largest=False)[0], table.extreme(largest=True)[0]

    def _operator_sums(
        self, space: SearchSpace, rows: Rows, resolution: int, num_classes: int
    ) -> Floats:
        """Sums of table entries; only operators that occur in the rows must be there."""
        key = (space, resolution, num_classes)
        if key not in self._sums:
            entries = self.table.entries
            self._sums[key] = SlotTable.of(
                space,
                resolution,
                num_classes,
                lambda spec: entries[spec.key].typical if spec.key in entries else np.nan,
            )
        sums = self._sums[key].totals(rows)
        if np.isnan(sums).any():
            lacking = decode(space, rows[int(np.argmax(np.isnan(sums)))], num_classes)
            self.table.require(placed.spec for placed in lacking.operators())
        return sums

    def _check_depth(self, space: SearchSpace, rows: Rows, calibration: Calibration) -> None:
        used = (rows[:, 1:].reshape(len(rows), -1, space.max_depth) > 0).sum(axis=2)
        deepest = int(used.max(initial=0))
        if deepest > calibration.max_depth:
            raise TableError(
                f"{self.table.path} was calibrated on networks of {space.name} with up to "
                f"{calibration.max_depth} blocks a stage; a stage of {deepest} was asked",
                hint=f"python run_pipeline.py profile --target {self.table.target.name} "
                f"--space {space.name} --resolution {calibration.resolution} "
                f"--num-classes {calibration.num_classes}",
            )


def model_path(table_path: Path) -> Path:
    """Where a table's calibrations are."""
    return table_path.with_name(f"{table_path.stem}.model.json")


def save_calibration(table_path: Path, target: Target, calibration: Calibration) -> None:
    """Adds a calibration to the model beside a table, replacing one of the same kind.

    Raises:
        StorageError: The file cannot be read or written.
    """
    path = model_path(table_path)
    kept = read_record(path, ModelFile).calibrations if path.exists() else ()
    others = tuple(c for c in kept if _key(c) != _key(calibration))
    name = f"{target.device_slug}/{target.setting}"
    write_record(path, ModelFile(target=name, calibrations=(*others, calibration)))


def _key(calibration: Calibration) -> _Key:
    return (calibration.space, calibration.resolution, calibration.num_classes)
