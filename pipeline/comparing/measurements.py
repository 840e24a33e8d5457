"""Two measurements of the same things, compared: what changed, and what only looks like it.

Each subject has the fastest run of each visit on either side. The fastest of all is its level, and
how near to it other sweeps came is what one campaign knows of its uncertainty. That alone is not
the question, because campaigns that measured the very same thing differ too (docs/measuring.md). So

* the standard error also holds what one campaign cannot see of another (`CAMPAIGN_STD_PERCENT`),
* a change must stand out by itself (p corrected for the number of subjects) and relative to the
  control network, which moves with the machine; where machine or software differ, the control
  network moves with *them*, so the raw change decides, less sure by as much as a whole machine
  moves (`MACHINE_STD_PERCENT`),
* it must be worth the name (`FLOOR_PERCENT`), and more than what a reference seems to have changed
  by, a network that is known to be the same on both sides.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from scipy import stats as distributions

from pipeline.comparing.levels import (
    CAMPAIGN_STD_PERCENT,
    MACHINE_STD_PERCENT,
    Change,
    Level,
    change,
    control_level,
    geometric_mean_percent,
    level,
)
from pipeline.comparing.sides import ComparedSide, Kind, Measured
from pipeline.errors import MeasurementError, UsageError
from pipeline.files.record import Record
from pipeline.measure.conditions import differences_that_matter
from pipeline.measure.journal import differing_fields
from pipeline.measure.statistics import MIN_SWEEPS

SIGNIFICANCE = 0.01
FLOOR_PERCENT = 1.0

Verdict = Literal["slower", "faster", "no change beyond noise"]
UNCHANGED: Verdict = "no change beyond noise"
Pair = tuple[Measured, Measured]


class SubjectComparison(Record):
    """One operator or network, on both sides.

    Attributes:
        first_ms: Its `typical` in the first.
        second_ms: … and in the second.
        raw: The change as measured.
        relative: The change beyond the control network's; None where there is no common one.
        p_adjusted: The raw change's p, corrected for the number of subjects by Benjamini and
            Hochberg.
        is_reference: Whether it is a network to compare with, the same on both sides.
        floor_percent: The least change that counts.
    """

    name: str
    first_ms: float
    second_ms: float
    raw: Change
    relative: Change | None
    p_adjusted: float
    is_reference: bool = False
    floor_percent: float = FLOOR_PERCENT
    verdict: Verdict


class ComparisonRecord(Record):
    """Two tables or two benchmarks, compared on one target.

    Attributes:
        differing: Names of the conditions that differ, all of them.
        decided_by: `raw and relative`: a change has to stand out by itself and relative to the
            control network. `raw`: target, machine or software differ in a way that moves the
            control network too, so only the change as measured decides.
        control: The control network's own change; None where the two have no common one.
        only_in_first: Subjects that the second does not have.
        mean_change_percent: Geometric mean over the common subjects.
        mean_relative_percent: The same, relative to the control network.
        slower: Subjects with that verdict.
        faster: … with that.
        unchanged: … and the others.
        unsteady_percent: By how much sweeps disagreed on either side, where the machine did not
            hold still; else 0.
    """

    kind: Kind
    first: ComparedSide
    second: ComparedSide
    differing: tuple[str, ...]
    decided_by: Literal["raw and relative", "raw"]
    control: Change | None
    subjects: tuple[SubjectComparison, ...]
    only_in_first: tuple[str, ...]
    only_in_second: tuple[str, ...]
    mean_change_percent: float
    mean_relative_percent: float | None
    slower: int
    faster: int
    unchanged: int
    significance: float = SIGNIFICANCE
    floor_percent: float = FLOOR_PERCENT
    campaign_std_percent: float = CAMPAIGN_STD_PERCENT
    machine_std_percent: float = MACHINE_STD_PERCENT
    unsteady_percent: tuple[float, float] = (0.0, 0.0)


def compare(first: Measured, second: Measured) -> ComparisonRecord:
    """Compares two measurements of the same kind, each of one target.

    Raises:
        UsageError: They have no subject in common.
        MeasurementError: A side lacks the fastest runs of visits.
    """
    return compare_pairs([(first, second)])[0]


def compare_pairs(pairs: Sequence[Pair]) -> tuple[ComparisonRecord, ...]:
    """Compares measurements pair by pair, with p corrected for the subjects of all pairs at once.

    Raises:
        UsageError: A pair has no subject in common.
        MeasurementError: A side lacks the fastest runs of visits.
    """
    guarded = [_has_control(pair) and _same_conditions(*pair) for pair in pairs]
    found = [_subjects(pair, guard) for pair, guard in zip(pairs, guarded, strict=True)]
    adjusted = iter(
        distributions.false_discovery_control([it.raw.p for group in found for it in group])
    )
    return tuple(
        _record(pair, _judged(group, [float(next(adjusted)) for _ in group], guard), guard)
        for pair, group, guard in zip(pairs, found, guarded, strict=True)
    )


def _record(pair: Pair, subjects: tuple[SubjectComparison, ...], guarded: bool) -> ComparisonRecord:
    first, second = pair
    relative = [subject.relative.percent for subject in subjects if subject.relative]
    verdicts = [subject.verdict for subject in subjects]
    control = _control(pair)
    return ComparisonRecord(
        kind=first.kind,
        first=first.side,
        second=second.side,
        differing=tuple(_all_differences(pair)),
        decided_by="raw and relative" if guarded else "raw",
        control=change([control[1]], [control[0]], campaigns=2) if control else None,
        subjects=subjects,
        only_in_first=tuple(name for name in first.stats if name not in second.stats),
        only_in_second=tuple(name for name in second.stats if name not in first.stats),
        mean_change_percent=geometric_mean_percent([s.raw.percent for s in subjects]),
        mean_relative_percent=geometric_mean_percent(relative) if relative else None,
        slower=verdicts.count("slower"),
        faster=verdicts.count("faster"),
        unchanged=verdicts.count(UNCHANGED),
        unsteady_percent=(first.unsteady_percent, second.unsteady_percent),
    )


def _minima(measured: Measured, name: str) -> Sequence[float]:
    minima = measured.stats[name].sweep_minima_ms
    if len(minima) < MIN_SWEEPS or min(minima) <= 0:
        raise MeasurementError(
            f"{measured.side.path}: {name} has the fastest runs of {len(minima)} visits, at least "
            f"{MIN_SWEEPS} positive ones are needed to tell change from noise",
            hint="records of older versions lack them: measure anew",
        )
    return minima


def _has_control(pair: Pair) -> bool:
    """Whether both sides ran one and the same control network."""
    first, second = pair
    same = first.conditions.get("control") == second.conditions.get("control")
    return same and min(len(first.control_ms), len(second.control_ms)) >= MIN_SWEEPS


def _control(pair: Pair) -> tuple[Level, Level] | None:
    """The control network's levels; None where there are none of one and the same network."""
    if not _has_control(pair):
        return None
    first, second = (
        control_level(
            side.control_ms, max(len(stats.sweep_minima_ms) for stats in side.stats.values())
        )
        for side in pair
    )
    return first, second


def _common(pair: Pair) -> list[str]:
    first, second = pair
    common = [name for name in first.stats if name in second.stats]
    if not common:
        raise UsageError(
            f"{first.side.given} and {second.side.given} have no subject in common "
            f"({len(first.stats)} and {len(second.stats)} subjects)"
        )
    return common


def _subjects(pair: Pair, guarded: bool) -> list[SubjectComparison]:
    """The common subjects before they are judged."""
    common = _common(pair)
    levels = [{name: level(_minima(side, name)) for name in common} for side in pair]
    control = _control(pair)
    return [_subject(pair, name, levels, control, guarded) for name in common]


def _subject(
    pair: Pair,
    name: str,
    levels: Sequence[Mapping[str, Level]],
    control: tuple[Level, Level] | None,
    guarded: bool,
) -> SubjectComparison:
    first, second = pair
    before, after = (side[name] for side in levels)
    return SubjectComparison(
        name=name,
        first_ms=first.stats[name].typical,
        second_ms=second.stats[name].typical,
        raw=change([after], [before], campaigns=2, machine=not guarded),
        relative=change([after, control[0]], [before, control[1]], campaigns=4)
        if control
        else None,
        p_adjusted=1.0,
        is_reference=name in first.references & second.references
        and first.identity.get(name) == second.identity.get(name),
        verdict=UNCHANGED,
    )


def _judged(
    subjects: Sequence[SubjectComparison], adjusted: Sequence[float], guarded: bool
) -> tuple[SubjectComparison, ...]:
    """The verdicts, with p corrected for the number of subjects.

    Of the subjects called slower or faster, no more than `SIGNIFICANCE` are expected to be false
    (Benjamini and Hochberg, J. R. Stat. Soc. B 57, 1995).
    """
    moved = _references_moved_percent(subjects) if guarded else 0.0
    judged = []
    for subject, p in zip(subjects, adjusted, strict=True):
        floor = FLOOR_PERCENT if subject.is_reference else max(FLOOR_PERCENT, moved)
        verdict = _verdict(subject, p, floor, guarded)
        judged.append(
            subject.model_copy(update={"p_adjusted": p, "floor_percent": floor, "verdict": verdict})
        )
    return tuple(judged)


def _references_moved_percent(subjects: Sequence[SubjectComparison]) -> float:
    """The most that a network which is the same on both sides seems to have changed by.

    Both by itself and relative to the control network, as a change has to.
    """
    changes = [_percents(subject, guarded=True) for subject in subjects if subject.is_reference]
    return max((max(min(percents), -max(percents), 0.0) for percents in changes), default=0.0)


def _percents(subject: SubjectComparison, *, guarded: bool) -> list[float]:
    changes = [subject.raw]
    if guarded and subject.relative is not None:
        changes.append(subject.relative)
    return [it.percent for it in changes]


def _verdict(
    subject: SubjectComparison, p_adjusted: float, floor_percent: float, guarded: bool
) -> Verdict:
    percents = _percents(subject, guarded=guarded)
    significant = p_adjusted < SIGNIFICANCE
    if guarded and subject.relative is not None:
        # Not corrected for the number of subjects: what this guards against, a machine that moved,
        # happens to all of them at once.
        significant = significant and subject.relative.p < SIGNIFICANCE
    if significant and min(percents) >= floor_percent:
        return "slower"
    if significant and max(percents) <= -floor_percent:
        return "faster"
    return UNCHANGED


def _same_conditions(first: Measured, second: Measured) -> bool:
    """Whether nothing differs that would move the control network as well."""
    if first.side.target != second.side.target:
        return False
    if first.conditions.get("environment") == second.conditions.get("environment"):
        return True
    if first.environment is None or second.environment is None:
        return False
    return not differences_that_matter(first.environment, second.environment, first.runtime)


def _all_differences(pair: Pair) -> list[str]:
    first, second = pair
    told = [name for name, *_ in differing_fields(first.conditions, second.conditions)]
    for name in _common(pair):
        one, other = first.identity.get(name, {}), second.identity.get(name, {})
        told += [f"{name}: {field}" for field, *_ in differing_fields(one, other)]
    return told
