"""What a comparison compares: a latency table or a benchmark, read from whatever names it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pipeline.device.fingerprint import Environment
from pipeline.device.target import Target
from pipeline.errors import TableError, UsageError
from pipeline.files.record import Record, plain
from pipeline.files.whole import read_record
from pipeline.files.workspace import run_dir
from pipeline.latency.table import LAYERS
from pipeline.latency.table_files import table_to_read
from pipeline.measure.campaign import environment_of
from pipeline.measure.journal import read_journal
from pipeline.measure.protocol import TimingProtocol
from pipeline.measure.statistics import MIN_SWEEPS, LatencyStats, Visit, by_key, reduce_visits
from pipeline.records.benchmark import BenchmarkRecord, BenchmarkResult
from pipeline.report import resolved_target

Kind = Literal["table", "benchmark"]
_RECORD = "record.json"
_BENCHMARK = Path("benchmark") / _RECORD


class ComparedSide(Record):
    """One of the two that are compared.

    Attributes:
        given: What the user called it.
        path: The file it was read from.
        failed: Why a subject has no result.
    """

    given: str
    path: str
    target: str
    failed: dict[str, str]


@dataclass(frozen=True)
class Measured:
    """One side on one target, read.

    Attributes:
        control_ms: The fastest run of the control network at each visit, in the order made.
        stats: Statistics by subject.
        identity: What each subject was (network, precision), where that is known.
        conditions: Target, protocol, environment …, as JSON.
        environment: The machine and software; None where not all of it is known.
        runtime: The runtime of the target.
        references: Subjects that are only there to compare with.
        unsteady_percent: By how much sweeps disagreed, on the worst of the targets that were
            measured in turn; 0 where the machine held as still as is accepted by default.
    """

    kind: Kind
    side: ComparedSide
    control_ms: tuple[float, ...]
    stats: dict[str, LatencyStats]
    identity: dict[str, dict[str, str | None]]
    conditions: dict[str, Any]
    environment: Environment | None
    runtime: str
    references: frozenset[str] = frozenset()
    unsteady_percent: float = 0.0

    @property
    def setting(self) -> str:
        """The target without the device."""
        return self.side.target.rpartition("/")[2]


def read_measured(given: str) -> tuple[Measured, ...]:
    """Reads what a user named, a target at a time.

    Args:
        given: A target (its table), the path of a table or a benchmark's record, a run's folder
            or its name (its benchmark).

    Raises:
        UsageError: It names none of these.
        TableError: The table is missing or damaged.
        StorageError: The record cannot be read.
    """
    if Target.is_name(given):
        return (_of_table(given, _table_of(Target.parse(given))),)
    path = Path(given)
    if path.is_file():
        return (_of_table(given, path),) if path.suffix == ".jsonl" else _of_record(given, path)
    folder = next((folder for folder in (path, run_dir(given)) if folder.is_dir()), None)
    if folder is not None:
        return _of_record(given, _record_in(folder))
    raise UsageError(
        f"{given!r} is no target, file, run folder or name of a run; expected two of a kind: "
        "targets or their tables (.jsonl), or benchmark records or runs",
        hint="what there is: python run_pipeline.py devices; ls runs",
    )


def of_benchmark(
    given: str, path: Path, record: BenchmarkRecord, *, names: Mapping[str, str] | None = None
) -> tuple[Measured, ...]:
    """What a benchmark measured, a target at a time.

    Args:
        given: What the user called it.
        path: The file it was read from.
        record: The benchmark.
        names: What models are to be called here, by their names in the record; theirs if left out.
    """
    return tuple(_on_target(given, path, record, target, names or {}) for target in record.targets)


def _record_in(folder: Path) -> Path:
    """A benchmark's record in a run's folder, or in the benchmark's own."""
    for record in (folder / _BENCHMARK, folder / _RECORD):
        if record.exists():
            return record
    raise UsageError(
        f"{folder} holds no benchmark; looked for {folder / _BENCHMARK}",
        hint="make it: python run_pipeline.py benchmark --recipe NAME",
    )


def _table_of(target: Target) -> Path:
    path = table_to_read(target)
    if not path.exists():
        raise TableError(
            f"target {target.name} has no latency table; looked for {path}",
            hint=f"measure it: python run_pipeline.py profile --target {target.name}",
        )
    return path


def _of_table(given: str, path: Path) -> Measured:
    header, visits = read_journal(path)
    groups = {
        key: found
        for key, found in by_key(visits).items()
        if len(found) >= MIN_SWEEPS and not key.startswith(LAYERS)
    }
    setting = str(header.get("target"))
    return Measured(
        kind="table",
        side=ComparedSide(
            given=given, path=str(path), target=f"{header.get('device')}/{setting}", failed={}
        ),
        control_ms=tuple(min(visit.control_after_ms) for visit in visits),
        stats={key: reduce_visits(found) for key, found in groups.items()},
        identity={key: {"precision": _precision(found)} for key, found in groups.items()},
        conditions=header,
        environment=environment_of(header),
        runtime=setting.split("-")[0],
    )


def _precision(visits: Sequence[Visit]) -> str:
    return "/".join(sorted({visit.precision for visit in visits}))


def _of_record(given: str, path: Path) -> tuple[Measured, ...]:
    return of_benchmark(given, path, read_record(path, BenchmarkRecord))


def _on_target(
    given: str, path: Path, record: BenchmarkRecord, target: str, names: Mapping[str, str]
) -> Measured:
    results = {
        names.get(result.name, result.name): result
        for result in record.results
        if result.target == target
    }
    # A target of which nothing could be measured has no control network either, and is told by
    # the failures of its subjects.
    timing = record if target == record.targets[0] else record.others.get(target)
    machine = timing.environment if timing else record.environment
    resolved = resolved_target(target, machine)
    return Measured(
        kind="benchmark",
        side=ComparedSide(
            given=given,
            path=str(path),
            target=resolved,
            failed={name: str(it.error) for name, it in results.items() if it.latency_ms is None},
        ),
        control_ms=timing.control.sweep_minima_ms if timing else (),
        stats={name: it.latency_ms for name, it in results.items() if it.latency_ms is not None},
        identity={name: _identity(it) for name, it in results.items()},
        conditions={
            "target": resolved,
            "protocol": record.protocol.model_dump(mode="json"),
            "environment": plain(machine),
        },
        environment=machine,
        runtime=Target.parse(target).runtime,
        references=frozenset(name for name, it in results.items() if it.is_reference),
        unsteady_percent=_unsteady_percent(record),
    )


def _unsteady_percent(record: BenchmarkRecord) -> float:
    """Targets are measured in turn, so how still the machine held is a matter of all of them."""
    steady = (record.steadiness, *(it.steadiness for it in record.others.values()))
    worst = max((it.disagreement_percent for it in steady if it), default=0.0)
    return worst if worst > TimingProtocol().unsteady_percent else 0.0


def _identity(result: BenchmarkResult) -> dict[str, str | None]:
    return {
        "network": result.architecture.short if result.architecture else None,
        "precision": result.precision_as_built,
    }
