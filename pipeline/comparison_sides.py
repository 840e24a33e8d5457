"""What a comparison compares: a latency table or a benchmark, read from whatever names it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pipeline.benchmark_record import BenchmarkRecord, BenchmarkResult
from pipeline.campaign import environment_of
from pipeline.device import Target
from pipeline.errors import TableError, UsageError
from pipeline.files import read_record
from pipeline.fingerprint import Environment
from pipeline.journal import read_journal
from pipeline.latency.table import LAYERS
from pipeline.latency_stats import MIN_SWEEPS, LatencyStats, Visit, by_key, reduce_visits
from pipeline.record import Record
from pipeline.workspace import run_dir, table_to_read

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
    """One side, read.

    Attributes:
        control_ms: The fastest run of the control network at each visit, in the order made.
        stats: Statistics by subject.
        identity: What each subject was (network, precision), where that is known.
        conditions: Target, protocol, environment …, as JSON.
        environment: The machine and software; None where not all of it is known.
        runtime: The runtime of the target.
    """

    kind: Kind
    side: ComparedSide
    control_ms: tuple[float, ...]
    stats: dict[str, LatencyStats]
    identity: dict[str, dict[str, str | None]]
    conditions: dict[str, Any]
    environment: Environment | None
    runtime: str


def read_measured(given: str) -> Measured:
    """Reads what a user named.

    Args:
        given: A target (its table), the path of a table or a benchmark's record, a run's folder
            or its name (its benchmark).

    Raises:
        UsageError: It names none of these.
        TableError: The table is missing or damaged.
        StorageError: The record cannot be read.
    """
    if Target.is_name(given):
        return _of_table(given, _table_of(Target.parse(given)))
    path = Path(given)
    if path.is_file():
        return _of_table(given, path) if path.suffix == ".jsonl" else _of_record(given, path)
    folder = next((folder for folder in (path, run_dir(given)) if folder.is_dir()), None)
    if folder is not None:
        return _of_record(given, _record_in(folder))
    raise UsageError(
        f"{given!r} is no target, file, run folder or name of a run; expected two of a kind: "
        "targets or their tables (.jsonl), or benchmark records or runs",
        hint="what there is: python run_pipeline.py devices; ls runs",
    )


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


def _of_record(given: str, path: Path) -> Measured:
    record = read_record(path, BenchmarkRecord)
    device = record.environment.device
    settings = sorted({result.target.rpartition("/")[2] for result in record.results})
    target = f"{device}/{'+'.join(settings)}"
    return Measured(
        kind="benchmark",
        side=ComparedSide(
            given=given,
            path=str(path),
            target=target,
            failed={_name(r, record): str(r.error) for r in record.results if r.latency_ms is None},
        ),
        control_ms=record.control.sweep_minima_ms,
        stats={_name(r, record): r.latency_ms for r in record.results if r.latency_ms is not None},
        identity={_name(result, record): _identity(result) for result in record.results},
        conditions={
            "target": target,
            "protocol": record.protocol.model_dump(mode="json"),
            "environment": record.environment.model_dump(mode="json"),
        },
        environment=record.environment,
        runtime=settings[0].split("-")[0] if settings else "",
    )


def _name(result: BenchmarkResult, record: BenchmarkRecord) -> str:
    """A result's name; with its target, unless that is the record's main one."""
    main = record.targets[0]
    return result.name if result.target == main else f"{result.name} on {result.target}"


def _identity(result: BenchmarkResult) -> dict[str, str | None]:
    return {
        "network": result.architecture.short if result.architecture else None,
        "precision": result.precision_as_built,
    }
