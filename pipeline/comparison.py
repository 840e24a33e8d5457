"""Two measurements of the same things, compared: what changed, and what only looks like it.

Each subject has the fastest run of each visit on either side. Welch's test on their logarithms
says whether two *campaigns* differ; that alone is not the question, because campaigns that measured
the very same thing differ too (docs/measuring.md). So

* the standard error also holds what one campaign cannot see of another (`CAMPAIGN_STD_PERCENT`),
* a change must stand out by itself (p corrected for the number of subjects) and relative to the
  control network, which moves with the machine; where machine or software differ, the control
  network moves with *them*, so the raw change decides, less sure by as much as a whole machine
  moves (`MACHINE_STD_PERCENT`),
* it must be worth the name (`FLOOR_PERCENT`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np
from scipy import stats as distributions

from pipeline.comparison_sides import ComparedSide, Kind, Measured
from pipeline.errors import MeasurementError, UsageError
from pipeline.fingerprint import differences_that_matter
from pipeline.journal import differing_fields
from pipeline.latency_stats import MIN_SWEEPS
from pipeline.record import Record

CAMPAIGN_STD_PERCENT = 0.6
"""How far one subject's level moves between campaigns by itself: standard deviation."""
MACHINE_STD_PERCENT = 1.0
"""How far the level of a whole machine moves between campaigns: standard deviation."""
SIGNIFICANCE = 0.01
FLOOR_PERCENT = 1.0
CONFIDENCE = 0.95

Verdict = Literal["slower", "faster", "no change beyond noise"]
_WORDS: Mapping[Kind, str] = {"table": "a latency table", "benchmark": "a benchmark"}
_LOG_PERCENT = 1 / 100
_UNCHANGED: Verdict = "no change beyond noise"


class Change(Record):
    """By how much the second is slower than the first (negative: faster).

    Attributes:
        low_percent: Lower end of the 95 % confidence interval.
        high_percent: Its upper end.
        p: Probability of a change as large if nothing had changed; not corrected for the number
            of subjects.
    """

    percent: float
    low_percent: float
    high_percent: float
    p: float


class SubjectComparison(Record):
    """One operator or network, on both sides.

    Attributes:
        first_ms: Its `typical` in the first.
        second_ms: … and in the second.
        raw: The change as measured.
        relative: The change beyond the control network's; None where there is no common one.
        p_adjusted: The raw change's p, corrected for the number of subjects by Benjamini and
            Hochberg.
    """

    name: str
    first_ms: float
    second_ms: float
    raw: Change
    relative: Change | None
    p_adjusted: float
    verdict: Verdict


class ComparisonRecord(Record):
    """Two tables or two benchmarks, compared.

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


def compare(first: Measured, second: Measured) -> ComparisonRecord:
    """Compares two measurements of the same kind.

    Raises:
        UsageError: They are of different kinds, or have no subject in common.
        MeasurementError: A side lacks the fastest runs of visits.
    """
    if first.kind != second.kind:
        raise UsageError(
            f"{first.side.given} is {_WORDS[first.kind]} and {second.side.given} is "
            f"{_WORDS[second.kind]}; only two of a kind can be compared",
            hint="two targets or tables, or two runs or benchmark records",
        )
    common = [name for name in first.stats if name in second.stats]
    if not common:
        raise UsageError(
            f"{first.side.given} and {second.side.given} have no subject in common "
            f"({len(first.stats)} and {len(second.stats)} subjects)"
        )
    levels = [{name: _level(_minima(side, name)) for name in common} for side in (first, second)]
    control = _control(first, second)
    guarded = control is not None and _same_conditions(first, second)
    subjects = _judged(
        [_pair(first, second, name, levels, control, guarded) for name in common], guarded
    )
    relative = [s.relative.percent for s in subjects if s.relative]
    verdicts = [subject.verdict for subject in subjects]
    return ComparisonRecord(
        kind=first.kind,
        first=first.side,
        second=second.side,
        differing=tuple(_all_differences(first, second, common)),
        decided_by="raw and relative" if guarded else "raw",
        control=_change([control[1]], [control[0]], campaigns=2) if control else None,
        subjects=subjects,
        only_in_first=tuple(name for name in first.stats if name not in second.stats),
        only_in_second=tuple(name for name in second.stats if name not in first.stats),
        mean_change_percent=_geometric_mean([s.raw.percent for s in subjects]),
        mean_relative_percent=_geometric_mean(relative) if relative else None,
        slower=verdicts.count("slower"),
        faster=verdicts.count("faster"),
        unchanged=verdicts.count(_UNCHANGED),
    )


class _Level(NamedTuple):
    """A mean of logarithms, the variance of that mean, and its degrees of freedom."""

    log_ms: float
    variance: float
    dof: int


def _level(minima_ms: Sequence[float]) -> _Level:
    logs = np.log(minima_ms)
    return _Level(float(logs.mean()), float(logs.var(ddof=1)) / len(logs), len(logs) - 1)


def _change(
    after: Sequence[_Level],
    before: Sequence[_Level],
    *,
    campaigns: int,
    machine: bool = False,
) -> Change:
    """The sum of some levels less that of others, as a change in percent.

    Welch's t with the Welch-Satterthwaite degrees of freedom (Welch, Biometrika 34, 1947), which
    hold for any sum of independent means. What is known beforehand adds to the variance and has
    infinite degrees of freedom (Guide to the Expression of Uncertainty in Measurement, G.4.2).

    Args:
        after: Levels that count up.
        before: Levels that count down.
        campaigns: How often `CAMPAIGN_STD_PERCENT` comes in: once a subject and campaign.
        machine: Whether the whole machine's movement is to be reckoned with.
    """
    terms = [*after, *before]
    delta = sum(level.log_ms for level in after) - sum(level.log_ms for level in before)
    known = campaigns * (CAMPAIGN_STD_PERCENT * _LOG_PERCENT) ** 2
    known += 2 * (MACHINE_STD_PERCENT * _LOG_PERCENT) ** 2 if machine else 0.0
    variance = sum(level.variance for level in terms) + known
    doubt = sum(level.variance**2 / level.dof for level in terms)
    dof = variance**2 / doubt if doubt else math.inf
    error = math.sqrt(variance)
    reach = error * float(distributions.t.ppf((1 + CONFIDENCE) / 2, dof))
    return Change(
        percent=100 * math.expm1(delta),
        low_percent=100 * math.expm1(delta - reach),
        high_percent=100 * math.expm1(delta + reach),
        p=float(2 * distributions.t.sf(abs(delta) / error, dof)),
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


def _control(first: Measured, second: Measured) -> tuple[_Level, _Level] | None:
    """The control network's levels; None where there are none of one and the same network."""
    same = first.conditions.get("control") == second.conditions.get("control")
    if not same or not first.control_ms or not second.control_ms:
        return None
    return _control_level(first), _control_level(second)


def _control_level(measured: Measured) -> _Level:
    """One value a sweep.

    The control network runs beside every visit. Its many bursts of one sweep share a moment of the
    machine and are no independent values.
    """
    sweeps = max(len(stats.sweep_minima_ms) for stats in measured.stats.values())
    logs = np.log(measured.control_ms)
    parts = np.array_split(logs, min(sweeps, len(logs)))
    return _level([float(np.exp(part.mean())) for part in parts])


def _pair(
    first: Measured,
    second: Measured,
    name: str,
    levels: Sequence[Mapping[str, _Level]],
    control: tuple[_Level, _Level] | None,
    guarded: bool,
) -> SubjectComparison:
    """A subject before it is judged."""
    before, after = (side[name] for side in levels)
    relative = control and _change([after, control[0]], [before, control[1]], campaigns=4)
    return SubjectComparison(
        name=name,
        first_ms=first.stats[name].typical,
        second_ms=second.stats[name].typical,
        raw=_change([after], [before], campaigns=2, machine=not guarded),
        relative=relative,
        p_adjusted=1.0,
        verdict=_UNCHANGED,
    )


def _judged(pairs: Sequence[SubjectComparison], guarded: bool) -> tuple[SubjectComparison, ...]:
    """Corrects for the number of subjects (Benjamini and Hochberg, J. R. Stat. Soc. B 57, 1995).

    Of the subjects called slower or faster, no more than `SIGNIFICANCE` are expected to be false.
    """
    adjusted = distributions.false_discovery_control([pair.raw.p for pair in pairs])
    return tuple(
        pair.model_copy(
            update={"p_adjusted": float(p), "verdict": _verdict(pair, float(p), guarded)}
        )
        for pair, p in zip(pairs, adjusted, strict=True)
    )


def _verdict(subject: SubjectComparison, p_adjusted: float, guarded: bool) -> Verdict:
    changes = [subject.raw]
    significant = p_adjusted < SIGNIFICANCE
    if guarded and subject.relative is not None:
        # Not corrected for the number of subjects: what this guards against, a machine that moved,
        # happens to all of them at once.
        changes.append(subject.relative)
        significant = significant and subject.relative.p < SIGNIFICANCE
    if significant and min(change.percent for change in changes) >= FLOOR_PERCENT:
        return "slower"
    if significant and max(change.percent for change in changes) <= -FLOOR_PERCENT:
        return "faster"
    return _UNCHANGED


def _geometric_mean(percents: Sequence[float]) -> float:
    return float(100 * np.expm1(np.mean(np.log1p(np.divide(percents, 100)))))


def _same_conditions(first: Measured, second: Measured) -> bool:
    """Whether nothing differs that would move the control network as well."""
    if first.side.target != second.side.target:
        return False
    if first.conditions.get("environment") == second.conditions.get("environment"):
        return True
    if first.environment is None or second.environment is None:
        return False
    return not differences_that_matter(first.environment, second.environment, first.runtime)


def _all_differences(first: Measured, second: Measured, common: Sequence[str]) -> list[str]:
    told = [name for name, *_ in differing_fields(first.conditions, second.conditions)]
    for name in common:
        one, other = first.identity.get(name, {}), second.identity.get(name, {})
        told += [f"{name}: {field}" for field, *_ in differing_fields(one, other)]
    return told
