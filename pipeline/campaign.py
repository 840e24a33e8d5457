"""A measuring campaign: models in, journalled visits and statistics out.

Profiling, verification and benchmarking are the same thing with different subjects, so that one
number (`LatencyStats.typical`) means the same everywhere.
"""

from __future__ import annotations

import datetime
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from pipeline.device import Target
from pipeline.errors import MeasurementError, UnsteadyError
from pipeline.fingerprint import Environment, differences_that_matter, environment
from pipeline.journal import Journal, field_differences
from pipeline.latency_stats import LatencyStats, Visit, by_key, control_stats, reduce_all
from pipeline.measure import TimingProtocol, is_finished, measure, why_stopped
from pipeline.progress import Progress, silent
from pipeline.steadiness import Steadiness, steadiness
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
        steadiness: Why measuring stopped, and how still the machine held.
        measured: Visits made by this call.
        reused: Visits that were in the journal before.
        opening_s: Seconds it took to open each model; empty where nothing was left to measure.
    """

    stats: dict[str, LatencyStats]
    visits: dict[str, list[Visit]]
    failed: dict[str, str]
    precision: dict[str, str]
    control: LatencyStats
    steadiness: Steadiness
    measured: int
    reused: int
    opening_s: dict[str, float]


def conditions(target: Target, protocol: TimingProtocol) -> dict[str, Any]:
    """The header of a journal: what its visits were made of, with, and on."""
    return {
        "device": target.device_slug,
        "target": target.setting,
        "protocol": protocol.of_a_visit(),
        "control": CONTROL_NETWORK,
        "environment": environment().model_dump(mode="json"),
    }


def differing_conditions(found: Mapping[str, Any], given: Mapping[str, Any]) -> list[str]:
    """In what two headers differ so that their visits cannot be told together."""
    runtime = str(given["target"]).split("-")[0]
    then, now = environment_of(found), environment_of(given)
    machines = differences_that_matter(then, now, runtime) if then and now else []
    return [*field_differences(_settings(found), _settings(given)), *machines]


def environment_of(header: Mapping[str, Any]) -> Environment | None:
    """The machine in a journal's header; None where it does not say."""
    try:
        return Environment.model_validate(header.get("environment"))
    except ValidationError:
        return None


def _settings(header: Mapping[str, Any]) -> dict[str, Any]:
    """A header's fields that must be equal; a machine without facts counts as one of them."""
    kept = {key: value for key, value in header.items() if key != "environment"}
    return {**kept, "environment": "given" if environment_of(header) else "missing"}


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
        UnsteadyError: Sweeps apart in time disagree too much for any number to be trusted.
        TableError: The journal is of other conditions.
        StorageError: A visit could not be written.
    """

    def waiting() -> None:
        progress(0, 1, f"waiting: another process is measuring into {journal_path}")

    with Journal(
        journal_path, conditions(target, protocol), waiting, differing_conditions
    ) as journal:
        known = list(journal.visits)
        failed: dict[str, str] = {}
        opening_s: dict[str, float] = {}
        if not is_finished(known, list(subjects), protocol):
            with MeasuringProcess(target) as process:
                process.open(CONTROL, control)
                opening_s, failed = _open_all(process, subjects, seed, skip_refused, progress)
                _visit_all(process, journal, subjects, failed, protocol, seed, progress)
        found = _reduce(journal.visits, known, subjects, failed, protocol, opening_s)
    _check_steady(found.steadiness, target, protocol, journal_path)
    return found


def _open_all(
    process: MeasuringProcess,
    subjects: Mapping[str, Path],
    seed: int,
    skip_refused: bool,
    progress: Progress,
) -> tuple[dict[str, float], dict[str, str]]:
    """Opens every model; returns the seconds each took, and why some were refused.

    In random order: models that are opened first are about half a percent slower (their memory
    lies elsewhere), which would tell networks from those they are compared with.
    """
    opening_s, failed = {}, {}
    keys = list(subjects)
    order = np.random.default_rng(seed).permutation(len(keys))
    for index, key in enumerate(keys[place] for place in order):
        progress(0, 1, f"opening {index + 1} of {len(subjects)}")
        start = time.monotonic()
        try:
            process.open(key, subjects[key])
        except MeasurementError as error:
            if not skip_refused or not process.is_alive:
                raise
            failed[key] = error.message
        opening_s[key] = time.monotonic() - start
    return opening_s, failed


def _visit_all(
    process: MeasuringProcess,
    journal: Journal,
    subjects: Mapping[str, Path],
    failed: Mapping[str, str],
    protocol: TimingProtocol,
    seed: int,
    progress: Progress,
) -> None:
    keys = [key for key in subjects if key not in failed]
    known = list(journal.visits)
    made = Counter(visit.key for visit in known)
    finished = sum(made[key] for key in keys)
    for visit in measure(process, keys, CONTROL, protocol, seed=seed, known=known, now=utc_now):
        journal.append(visit)
        finished += 1
        # More sweeps than the least follow only while they disagree.
        sweeps = max(protocol.least_sweeps, visit.sweep + 1)
        progress(finished, sum(max(made[key], sweeps) for key in keys), visit.key)


def _reduce(
    visits: list[Visit],
    known: list[Visit],
    subjects: Mapping[str, Path],
    failed: dict[str, str],
    protocol: TimingProtocol,
    opening_s: dict[str, float],
) -> Campaign:
    groups = by_key(visits)
    kept = {key: groups[key] for key in subjects if key in groups and key not in failed}
    if failed and not kept:
        raise MeasurementError("; ".join(failed.values()))
    return Campaign(
        stats=reduce_all(kept),
        visits=kept,
        failed=failed,
        precision={key: group[-1].precision for key, group in kept.items()},
        control=control_stats(visits),
        steadiness=steadiness(
            [visit for visit in visits if visit.key in kept],
            kept,
            why_stopped(visits, list(kept), protocol),
        ),
        measured=len(visits) - len(known),
        reused=sum(visit.key in kept for visit in known),
        opening_s=opening_s,
    )


def _check_steady(
    found: Steadiness, target: Target, protocol: TimingProtocol, journal: Path
) -> None:
    if found.disagreement_percent <= protocol.unsteady_percent:
        return
    raise UnsteadyError(
        f"this machine cannot measure {target.name} now: sweeps apart in time disagree by "
        f"{found.disagreement_percent:.1f} % ({protocol.unsteady_percent:g} % allowed) after "
        f"{found.sweeps} sweeps, with {found.spells} slow spells over "
        f"{found.disturbed_percent:.0f} % of the visits",
        hint=f"close what else runs, use fewer threads, then move {journal} away and measure anew",
    )


def utc_now() -> str:
    """The time, ISO 8601, UTC, to the millisecond."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
