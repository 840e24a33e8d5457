"""A measuring campaign: models in, journalled visits and statistics out.

Profiling, verification and benchmarking are the same thing with different subjects, so that one
number (`LatencyStats.typical`) means the same everywhere.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.device import Target, environment
from pipeline.errors import MeasurementError
from pipeline.journal import Journal
from pipeline.measure import (
    LatencyStats,
    TimingProtocol,
    Visit,
    by_key,
    control_stats,
    measure,
    reduce_visits,
)
from pipeline.progress import Progress, silent
from pipeline.worker import MeasuringProcess

CONTROL = "control"
CONTROL_NETWORK = "cream-43"


@dataclass(frozen=True)
class Campaign:
    """What a campaign found.

    Attributes:
        stats: Statistics of each subject that could be measured.
        visits: All visits of the subjects asked for, in the order they were made.
        failed: Why a subject could not be measured.
        precision: What the engine computes each subject in.
        control: The control network over the whole journal.
        measured: Visits made by this call.
        reused: Visits that were in the journal before.
    """

    stats: dict[str, LatencyStats]
    visits: dict[str, list[Visit]]
    failed: dict[str, str]
    precision: dict[str, str]
    control: LatencyStats
    measured: int
    reused: int


def conditions(target: Target, protocol: TimingProtocol) -> dict[str, Any]:
    """What must be the same for two campaigns to share a journal."""
    here = environment()
    relevant = ("torch", "onnxscript", target.runtime)
    return {
        "device": target.device_slug,
        "target": target.setting,
        "protocol": protocol.model_dump(exclude={"sweeps"}),
        "control": CONTROL_NETWORK,
        "cpu": here.cpu,
        "cpu_flags": list(here.cpu_flags),
        "cores": here.cores,
        "packages": {name: here.packages[name] for name in relevant if name in here.packages},
    }


def run_campaign(
    subjects: Mapping[str, Path],
    control: Path,
    target: Target,
    protocol: TimingProtocol,
    journal_path: Path,
    *,
    seed: int = 0,
    skip_refused: bool = False,
    progress: Progress = silent,
) -> Campaign:
    """Measures subjects, going on where the journal ends.

    Args:
        subjects: Folder with `model.onnx` for each key.
        control: The control network's folder.
        target: Where they run.
        protocol: How they are timed.
        journal_path: Where each visit is kept.
        seed: Decides the order of visits.
        skip_refused: Whether a model the engine refuses is reported in `failed`; else it raises.
        progress: Told after each visit.

    Raises:
        UnavailableError: The target cannot be measured here.
        MeasurementError: A model is refused (every model, with `skip_refused`), or the measuring
            process died.
        TableError: The journal is of other conditions.
        StorageError: A visit could not be written.
    """

    def waiting() -> None:
        progress(0, 1, f"waiting: another process is measuring into {journal_path}")

    with Journal(journal_path, conditions(target, protocol), waiting) as journal:
        wanted = {(sweep, key) for sweep in range(protocol.sweeps) for key in subjects}
        before = len(journal.visits)
        reused = len(wanted & journal.done)
        failed: dict[str, str] = {}
        pending = sorted({key for _, key in wanted - journal.done}, key=list(subjects).index)
        if pending:
            with MeasuringProcess(target) as process:
                process.open(CONTROL, control)
                for index, key in enumerate(pending):
                    progress(reused, len(wanted), f"opening {index + 1} of {len(pending)}")
                    try:
                        process.open(key, subjects[key])
                    except MeasurementError as error:
                        if not skip_refused or not process.is_alive:
                            raise
                        failed[key] = error.message
                _visit_all(process, journal, subjects, failed, protocol, seed, wanted, progress)
        measured = len(journal.visits) - before
        return _reduce(journal.visits, subjects, failed, measured, reused)


def _visit_all(
    process: MeasuringProcess,
    journal: Journal,
    subjects: Mapping[str, Path],
    failed: Mapping[str, str],
    protocol: TimingProtocol,
    seed: int,
    wanted: set[tuple[int, str]],
    progress: Progress,
) -> None:
    keys = [key for key in subjects if key not in failed]
    done = journal.done
    finished = len(wanted & done)
    for visit in measure(process, keys, CONTROL, protocol, seed=seed, done=done, now=utc_now):
        journal.append(visit)
        finished += 1
        progress(finished, len(wanted), visit.key)


def _reduce(
    visits: list[Visit],
    subjects: Mapping[str, Path],
    failed: dict[str, str],
    measured: int,
    reused: int,
) -> Campaign:
    groups = by_key(visits)
    kept = {key: groups[key] for key in subjects if key not in failed}
    if failed and not kept:
        raise MeasurementError("; ".join(failed.values()))
    return Campaign(
        stats={key: reduce_visits(group) for key, group in kept.items()},
        visits=kept,
        failed=failed,
        precision={key: group[-1].precision for key, group in kept.items()},
        control=control_stats(visits),
        measured=measured,
        reused=reused,
    )


def utc_now() -> str:
    """The time, ISO 8601, UTC, to the millisecond."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
