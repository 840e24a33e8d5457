"""Predicting whole networks: a table, its calibration, and the uncertainty of both.

The model of a target is the file `<target>.model.json` beside its table: one calibration for each
(space, resolution, classes) that was profiled. What was not calibrated is refused, not guessed;
so is a table of another machine or runtime, and one that a check found stale.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

from pipeline.device.target import Target
from pipeline.errors import TableError
from pipeline.files.whole import read_record, storage_errors, write_record
from pipeline.latency.calibration import posterior_of
from pipeline.latency.drift import scale_of
from pipeline.latency.observed import Latency, Predicted, Seen
from pipeline.latency.posterior import Networks, Posterior, StdTangent
from pipeline.latency.table import LatencyTable
from pipeline.records.calibration import Calibration
from pipeline.records.candidates import LatencyPrediction
from pipeline.space.architecture import Architecture
from pipeline.space.encoding import Floats, Rows, SlotTable, decode, encode
from pipeline.space.operator_spec import OperatorSpec
from pipeline.space.search_space import SearchSpace, get_space

MODEL_VERSION = 2
_Key = tuple[str, int, int]


class ModelFile(BaseModel):
    """The content of `<target>.model.json`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[2] = 2
    target: str
    calibrations: tuple[Calibration, ...]


@dataclass
class LatencyModel:
    """Predicts the latency of architectures on one target.

    Attributes:
        table: Measured operators.
        calibrations: By (space, resolution, classes).
        foreign: In what the table's machine and software differ from those here.
        scale: What everything changed by since the table was measured, as the last check found.
    """

    table: LatencyTable
    calibrations: dict[_Key, Calibration]
    foreign: tuple[str, ...] = ()
    scale: float = 1.0
    _seen: Seen | None = field(default=None, repr=False)
    _context: dict[_Key, _Context] = field(default_factory=dict, repr=False)
    _slots: dict[tuple[SearchSpace, int, int], _Slots] = field(default_factory=dict, repr=False)

    @classmethod
    def read(cls, target: Target, *, allow_foreign: bool = False) -> LatencyModel:
        """Reads a target's table and calibrations.

        Args:
            target: Which.
            allow_foreign: Whether the table may be of another machine or of other software.

        Raises:
            TableError: The table is missing, damaged, was never calibrated, was found stale, or
                differs from the machine at hand where it matters.
        """
        table = LatencyTable.read(target)
        foreign = table.differences()
        if foreign and not allow_foreign:
            raise TableError(
                f"{table.path} does not hold on this machine: {'; '.join(foreign)}",
                hint=f"measure here: python run_pipeline.py profile --target {target.name}; or use "
                "it for the machine it was measured on, with --allow-foreign",
            )
        calibrations = {_key(c): c for c in _read_calibrations(table.path, target)}
        return cls(table, calibrations, foreign, scale_of(table))

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
                hint=self._profile_again(space, resolution, num_classes),
            )
        return found

    def updated(
        self, architectures: Sequence[Architecture], measured: Sequence[Latency]
    ) -> LatencyModel:
        """This model once networks were measured; predictions of all others move with them.

        What sums over slots tell (`slot_table`, `std_tangent`) stays as it was.

        Args:
            architectures: The networks; one that was seen before counts as measured last.
            measured: What each took.

        Raises:
            TableError: One of them cannot be predicted; see `predict`.
        """
        before = self._seen.measured if self._seen else {}
        found = {**before, **dict(zip(architectures, measured, strict=True))}
        return replace(self, _seen=Seen.of(found, self._predicted)) if found else self

    def predict(self, architecture: Architecture) -> LatencyPrediction:
        """Predicts one network.

        Raises:
            TableError: The table lacks operators or the calibration, or the network is deeper
                than those calibrated on.
        """
        space = get_space(architecture.space)
        rows = encode(space, [architecture])
        typical, std = self.predict_batch(space, rows, architecture.num_classes)
        return LatencyPrediction(
            typical=float(typical[0]), std=float(std[0]), foreign=bool(self.foreign)
        )

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
        for resolution in np.unique(rows[:, 0]):
            here = rows[:, 0] == resolution
            predicted = self._predicted(space, rows[here], num_classes)
            typical[here], std[here] = (
                self._seen.condition(predicted)
                if self._seen
                else (predicted.mean_ms, predicted.std_ms)
            )
        return typical, std

    def _predicted(self, space: SearchSpace, rows: Rows, num_classes: int) -> Predicted:
        """Rows of one resolution as the table and its calibration alone predict them."""
        calibration = self.calibration(space.name, int(rows[0, 0]), num_classes)
        self._check_depth(space, _deepest(space, rows), calibration)
        slots = self._slots_of(space, calibration)
        mean_ms = slots.latency_ms.totals(rows)
        if np.isnan(mean_ms).any():
            lacking = decode(space, rows[int(np.argmax(np.isnan(mean_ms)))], num_classes)
            self._require([placed.spec for placed in lacking.operators()], calibration)
        posterior, networks = self._context_of(calibration).posterior, slots.networks(rows)
        std_ms = self.scale * posterior.std_ms(networks, mean_ms / self.scale)
        return Predicted(space, rows, num_classes, posterior, networks, mean_ms, std_ms, self.scale)

    def slot_table(self, space: SearchSpace, resolution: int, num_classes: int) -> SlotTable:
        """Predicted milliseconds as a sum over slots: what `predict_batch` adds up.

        Raises:
            TableError: The table lacks the calibration or operators, or the space is deeper than
                the networks calibrated on.
        """
        calibration = self.calibration(space.name, resolution, num_classes)
        self._check_depth(space, space.max_depth, calibration)
        self._require(space.distinct_operators(resolution, num_classes), calibration)
        return self._slots_of(space, calibration).latency_ms

    def std_tangent(self, space: SearchSpace, row: Rows, num_classes: int) -> SlotTable:
        """A sum over slots that is nowhere above the standard uncertainty, and equals it at a row.

        The uncertainty is a norm of what a network is made of, so it is convex and lies above each
        of its tangents. As a sum a limit with a margin for it can be part of a linear program.

        Args:
            space: The space the row was encoded with.
            row: Shape (1 + slots,).
            num_classes: Classes of the row's classifier.

        Returns:
            Milliseconds.
        """
        calibration = self.calibration(space.name, int(row[0]), num_classes)
        slots = self._slots_of(space, calibration)
        mean_ms = float(slots.latency_ms.totals(row[None])[0]) / self.scale
        posterior = self._context_of(calibration).posterior
        tangent = posterior.std_tangent(slots.networks(row[None]), mean_ms)
        return slots.tangent_table(tangent, self.scale)

    def _context_of(self, calibration: Calibration) -> _Context:
        key = _key(calibration)
        if key not in self._context:
            self._context[key] = _Context(calibration)
        return self._context[key]

    def _slots_of(self, space: SearchSpace, calibration: Calibration) -> _Slots:
        key = (space, calibration.resolution, calibration.num_classes)
        if key not in self._slots:
            context = self._context_of(calibration)
            self._slots[key] = _Slots(space, calibration, context, self.scale)
        return self._slots[key]

    def _require(self, specs: Sequence[OperatorSpec], calibration: Calibration) -> None:
        self.table.require(specs)
        missing = [spec.key for spec in specs if spec.key not in calibration.operators_ms]
        if not missing:
            return
        raise TableError(
            f"{self.table.path} has {missing[0]}, but its calibration for {calibration.space} at "
            f"{calibration.resolution} px was made without it",
            hint=self._profile_again(
                calibration.space, calibration.resolution, calibration.num_classes
            ),
        )

    def _check_depth(self, space: SearchSpace, deepest: int, calibration: Calibration) -> None:
        if deepest > calibration.max_depth:
            raise TableError(
                f"{self.table.path} was calibrated on networks of {space.name} with up to "
                f"{calibration.max_depth} blocks a stage; a stage of {deepest} was asked",
                hint=self._profile_again(
                    space.name, calibration.resolution, calibration.num_classes
                ),
            )

    def _profile_again(self, space: str, resolution: int, num_classes: int) -> str:
        return (
            f"python run_pipeline.py profile --target {self.table.target.name} "
            f"--space {space} --resolution {resolution} --num-classes {num_classes}"
        )


class _Context:
    """A calibration's posterior, and the operators' places in it."""

    def __init__(self, calibration: Calibration) -> None:
        self.posterior: Posterior = posterior_of(calibration)
        self.column = {key: index for index, key in enumerate(calibration.operators_ms)}


class _Slots:
    """A space's blocks at one resolution, ready for batches of encoded networks."""

    def __init__(
        self, space: SearchSpace, calibration: Calibration, context: _Context, scale: float
    ) -> None:
        in_context = calibration.in_context_ms
        resolution, num_classes = calibration.resolution, calibration.num_classes

        def latency_ms(spec: OperatorSpec) -> float:
            return in_context.get(spec.key, np.nan)

        def column(spec: OperatorSpec) -> float:
            return float(context.column.get(spec.key, 0))

        table = SlotTable.of(space, resolution, num_classes, latency_ms)
        per_block = np.where(np.arange(table.values.shape[1]) > 0, calibration.per_block_ms, 0.0)
        self.latency_ms = SlotTable(
            resolution,
            table.fixed + calibration.offset_ms,
            table.values + per_block,
            table.max_depth,
        ).on_grid(scale)
        self._columns = SlotTable.of(space, resolution, num_classes, column).values.astype(np.intp)
        fixed = (
            space.stem_spec(resolution),
            space.separable_spec(resolution),
            space.tail_spec(resolution, num_classes),
        )
        self._fixed = np.zeros(len(context.column))
        for spec in fixed:
            self._fixed[int(column(spec))] += 1

    def networks(self, rows: Rows) -> Networks:
        """How often each row holds each operator."""
        used = rows[:, 1:] > 0
        columns = self._columns[np.arange(self._columns.shape[0]), rows[:, 1:]]
        width = len(self._fixed)
        cells = (np.arange(len(rows))[:, None] * width + columns)[used]
        counts = np.bincount(cells, minlength=len(rows) * width).reshape(len(rows), width)
        return Networks(counts + self._fixed, used.sum(axis=1).astype(np.float64))

    def tangent_table(self, tangent: StdTangent, scale: float) -> SlotTable:
        """A tangent of the standard uncertainty, times the table's scale, as a sum over slots."""
        mean = self.latency_ms
        a_block = np.arange(mean.values.shape[1]) > 0
        of_blocks = np.where(a_block, tangent.operators_ms[self._columns] + tangent.per_block_ms, 0)
        of_all = float(self._fixed @ tangent.operators_ms) + tangent.fixed_ms
        return SlotTable(
            mean.resolution,
            scale * of_all + tangent.of_mean * mean.fixed,
            scale * of_blocks + tangent.of_mean * mean.values,
            mean.max_depth,
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
    kept = _calibrations_in(path) if path.exists() else ()
    others = tuple(c for c in kept if _key(c) != _key(calibration))
    name = f"{target.device_slug}/{target.setting}"
    write_record(path, ModelFile(target=name, calibrations=(*others, calibration)))


def _read_calibrations(table_path: Path, target: Target) -> tuple[Calibration, ...]:
    path = model_path(table_path)
    again = f"python run_pipeline.py profile --target {target.name}"
    if not path.exists():
        raise TableError(
            f"{table_path} is not calibrated: {path.name} is not beside it "
            "(its measuring was not finished)",
            hint=f"finish it: {again}",
        )
    if _version(path) < MODEL_VERSION:
        raise TableError(
            f"{path}: was calibrated by an older version of this program",
            hint=f"calibrate anew, with the visits that are there: {again}",
        )
    return read_record(path, ModelFile).calibrations


def _calibrations_in(path: Path) -> tuple[Calibration, ...]:
    """What is kept of a model file when a calibration is added; of an older version nothing."""
    return read_record(path, ModelFile).calibrations if _version(path) >= MODEL_VERSION else ()


def _version(path: Path) -> int:
    """A model file's version; the newest where it tells none, so that reading it says why."""
    with storage_errors(path):
        content = path.read_bytes()
    try:
        return int(json.loads(content)["schema_version"])
    except (ValueError, KeyError, TypeError):
        return MODEL_VERSION


def _deepest(space: SearchSpace, rows: Rows) -> int:
    """Blocks of the deepest stage among encoded networks."""
    used = (rows[:, 1:].reshape(len(rows), -1, space.max_depth) > 0).sum(axis=2)
    return int(used.max(initial=0))


def _key(calibration: Calibration) -> _Key:
    return (calibration.space, calibration.resolution, calibration.num_classes)
