"""A measuring campaign: models in, journalled visits and statistics out.

Profiling, verification and benchmarking are the same thing with different subjects, so that one
number (`LatencyStats.typical`) means the same everywhere.
"""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from pipeline.device.fingerprint import Environment
from pipeline.device.runtimes import TransferTime
from pipeline.device.target import Target
from pipeline.errors import UnsteadyError, UsageError
from pipeline.files.record import checked, plain
from pipeline.measure.bench import Course, MeasuringBench, Place, places_of
from pipeline.measure.conditions import differences_that_matter
from pipeline.measure.engines import engine_environment
from pipeline.measure.journal import Journal, field_differences
from pipeline.measure.protocol import TimingProtocol
from pipeline.measure.schedule import is_finished, measure, why_stopped
from pipeline.measure.statistics import (
    MIN_SWEEPS,
    LatencyStats,
    Visit,
    by_key,
    control_stats,
    reduce_all,
)
from pipeline.measure.steadiness import Steadiness, steadiness
from pipeline.work.progress import Progress, silent

CONTROL_NETWORK = "cream-43"
_T = TypeVar("_T")


@dataclass(frozen=True)
class Campaign:
    """What a campaign found.

    Attributes:
        stats: Statistics of each subject that could be measured.
        visits: All visits of the subjects asked for, in the order they were made.
        failed: Why a subject could not be measured.
        precision: What the engine computes each subject in.
        control: The control network over the whole journal; None where no subject was measured.
        steadiness: Why measuring stopped, and how still the machine held; None as well.
        measured: Visits made by this call.
        reused: Visits that were in the journal before.
        opening_s: Seconds it took to open each model; empty where nothing was left to measure.
        notes: What a reader of a subject's times must know.
        transfers: Copying to the device and back, for subjects that run on one; empty where
            nothing was left to measure.
    """

    stats: dict[str, LatencyStats]
    visits: dict[str, list[Visit]]
    failed: dict[str, str]
    precision: dict[str, str]
    control: LatencyStats | None
    steadiness: Steadiness | None
    measured: int
    reused: int
    opening_s: dict[str, float]
    notes: dict[str, tuple[str, ...]] = field(default_factory=dict)
    transfers: dict[str, TransferTime] = field(default_factory=dict)


def conditions(target: Target, protocol: TimingProtocol) -> dict[str, Any]:
    """The header of a journal: what its visits were made of, with, and on."""
    return {
        "device": target.device_slug,
        "target": target.setting,
        "protocol": protocol.of_a_visit(),
        "control": CONTROL_NETWORK,
        "environment": plain(engine_environment(target.runtime)),
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
        return checked(Environment, header.get("environment"))
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
    """Measures subjects on one target; see `run_campaigns`, whose errors it raises.

    Args:
        subjects: Folder of each model.
        control: The control network's folder.
        target: Where they run.
        protocol: How they are timed.
        journal_path: Where each visit is kept.
        seed: Decides the order of visits.
        skip_refused: Whether a model that cannot be measured is reported in `failed`.
        progress: Told after each visit.
    """
    course = Course(target, subjects, control, journal_path)
    return run_campaigns(
        [course], protocol, seed=seed, skip_refused=skip_refused, progress=progress
    )[0]


def run_campaigns(
    courses: Sequence[Course],
    protocol: TimingProtocol,
    *,
    seed: int = 0,
    skip_refused: bool = False,
    progress: Progress = silent,
) -> list[Campaign]:
    """Measures subjects, interleaved over all targets, going on where the journals end.

    A subject at which the measuring process dies is given up and the rest is measured. Without
    `skip_refused` that is an error, but only then.

    Args:
        courses: What is measured on each target.
        protocol: How subjects are timed.
        seed: Decides the order of visits.
        skip_refused: Whether a model that an engine refuses, or a target that this machine does not
            have, is reported in `failed`; else it is an error. So it is where nothing is left.
        progress: Told after each visit.

    Returns:
        One campaign a course, in their order.

    Raises:
        UsageError: Two targets would be measured into one journal.
        UnavailableError: A target cannot be measured here.
        MeasurementError: A model is refused, or the measuring process died.
        UnsteadyError: Sweeps apart in time disagree too much for any number to be trusted.
        TableError: A journal is of other conditions.
        StorageError: A visit could not be written.
    """
    paths = [course.journal for course in courses]
    if len(set(paths)) < len(paths):
        names = ", ".join(course.target.name for course in courses)
        raise UsageError(f"two of the targets {names} are the same; name each once")
    with ExitStack() as stack:
        journals = [stack.enter_context(_journal(course, protocol, progress)) for course in courses]
        known = [list(journal.visits) for journal in journals]
        keys = [
            place.key for index, course in enumerate(courses) for place in places_of(index, course)
        ]
        bench = MeasuringBench(courses, skip_refused=skip_refused)
        transfers: dict[Place, TransferTime] = {}
        if not is_finished(_placed(known), keys, protocol):
            with bench:
                bench.open_all(seed, progress)
                _visit_all(bench, journals, protocol, seed, progress)
                transfers = bench.transfer_times()
        found = [
            _reduce(index, course, journal.visits, known[index], bench, transfers, protocol)
            for index, (course, journal) in enumerate(zip(courses, journals, strict=True))
        ]
    _check_failures(found, bench, skip_refused=skip_refused)
    for campaign, course in zip(found, courses, strict=True):
        _check_steady(campaign.steadiness, course.target, protocol, course.journal)
    return found


def _journal(course: Course, protocol: TimingProtocol, progress: Progress) -> Journal:
    def waiting() -> None:
        progress(0, 1, f"waiting: another process is measuring into {course.journal}")

    return Journal(
        course.journal, conditions(course.target, protocol), waiting, differing_conditions
    )


def _placed(visits: Sequence[Sequence[Visit]]) -> list[Visit]:
    """Visits of all courses, called as the bench calls their subjects, in the order made."""
    placed = [
        visit.model_copy(update={"key": Place(index, visit.key).key})
        for index, group in enumerate(visits)
        for visit in group
    ]
    return placed if len(visits) == 1 else sorted(placed, key=lambda visit: visit.at)


def _visit_all(
    bench: MeasuringBench,
    journals: Sequence[Journal],
    protocol: TimingProtocol,
    seed: int,
    progress: Progress,
) -> None:
    keys = [place.key for place in bench.kept]
    known = _placed([journal.visits for journal in journals])
    made = Counter(visit.key for visit in known)
    finished = sum(made[key] for key in keys)
    for visit in measure(bench, keys, protocol, seed=seed, known=known, now=utc_now):
        place = bench.places[visit.key]
        journals[place.course].append(visit.model_copy(update={"key": place.name}))
        finished += 1
        # More sweeps than the least follow only while they disagree.
        sweeps = max(protocol.least_sweeps, visit.sweep + 1)
        progress(finished, sum(max(made[key], sweeps) for key in keys), place.name)


def _reduce(
    index: int,
    course: Course,
    visits: list[Visit],
    known: list[Visit],
    bench: MeasuringBench,
    transfers: Mapping[Place, TransferTime],
    protocol: TimingProtocol,
) -> Campaign:
    def of_course(told: Mapping[Place, _T]) -> dict[str, _T]:
        return {place.name: value for place, value in told.items() if place.course == index}

    groups = by_key(visits)
    failed = of_course(bench.failed)
    kept = {key: groups[key] for key in course.subjects if key in groups and key not in failed}
    # A target whose process died may leave fewer visits than a statistic needs.
    kept = {key: group for key, group in kept.items() if len(group) >= MIN_SWEEPS}
    return Campaign(
        stats=reduce_all(kept),
        visits=kept,
        failed={key: error.message for key, error in failed.items()},
        precision={key: group[-1].precision for key, group in kept.items()},
        control=control_stats(visits) if kept else None,
        steadiness=steadiness(
            [visit for visit in visits if visit.key in kept],
            kept,
            why_stopped(visits, list(kept), protocol),
        )
        if kept
        else None,
        measured=len(visits) - len(known),
        reused=sum(visit.key in kept for visit in known),
        opening_s=of_course(bench.opening_s),
        notes=of_course(bench.notes),
        transfers=of_course(transfers),
    )


def _check_failures(
    found: Sequence[Campaign], bench: MeasuringBench, *, skip_refused: bool
) -> None:
    """Tells failures as an error where the caller does not want to know them one by one.

    Raises:
        MeasurementError: A process died, or nothing could be measured.
        UnavailableError: No target can be measured here.
    """
    failures = list(bench.failed.values())
    nothing_left = not any(campaign.stats for campaign in found)
    if not failures or (skip_refused and not nothing_left):
        return
    told = list(dict.fromkeys(error.message for error in failures))
    hint = failures[0].hint
    if not nothing_left:
        hint = "what was measured is kept; the same command measures the rest"
    raise type(failures[0])("; ".join(told), hint=hint)


def _check_steady(
    found: Steadiness | None, target: Target, protocol: TimingProtocol, journal: Path
) -> None:
    if found is None or found.disagreement_percent <= protocol.unsteady_percent:
        return
    raise UnsteadyError(
        f"this machine cannot measure {target.name} now: sweeps apart in time disagree by "
        f"{found.disagreement_percent:.1f} % ({protocol.unsteady_percent:g} % allowed) after "
        f"{found.sweeps} sweeps, with {found.spells} slow spells over "
        f"{found.disturbed_percent:.0f} % of the visits",
        hint=f"close what else runs, use fewer threads, then move {journal} away and measure anew; "
        "or let a recipe allow more (protocol.unsteady_percent in profile, verify and benchmark), "
        "which its report then says",
    )


def utc_now() -> str:
    """The time, ISO 8601, UTC, to the millisecond."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
