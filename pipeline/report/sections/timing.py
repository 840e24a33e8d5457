"""How the timing was done: protocol, how steady the machine was, and the table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pipeline.measure.protocol import TimingProtocol
from pipeline.measure.statistics import LatencyStats
from pipeline.measure.steadiness import SPELL_PERCENT, Steadiness, Stopped
from pipeline.records.profile import ProfileRecord
from pipeline.report.blocks import Block, Cell, Heading, Table, columns, pairs_table
from pipeline.report.cells import NONE, latency_cell, number_cell
from pipeline.report.formatting import duration, integer, milliseconds, percent, signed_percent
from pipeline.report.inputs import ReportInputs, resolved_target
from pipeline.report.missing import missing
from pipeline.report.sections.calibration import METHODS

PROTOCOL_WORDS = {
    "sweeps": "visits to each model, at most, spread over the measurement",
    "min_sweeps": "… and at least",
    "agree_percent": "it ends when sweeps apart in time agree within, %",
    "unsteady_percent": "… and is refused where they disagree by more than, %",
    "budget_s": "no sweep begins after, s",
    "sweep_interval_s": "a sweep begins no sooner than this after the one before, s",
    "warm_runs": "untimed runs at the start of a visit",
    "runs": "timed runs of a visit, at least",
    "burst_ms": "a visit goes on for at least, ms",
    "max_runs": "… and for at most so many runs",
    "warmup_ms": "untimed running before the first visit, ms",
    "control_runs": "runs of the control network on each side of a visit",
}
_STOPPED: dict[Stopped, str] = {
    "agreed": "sweeps agreed",
    "sweeps": "all sweeps were made, without agreeing",
    "budget": "the time was up, without agreeing",
}


@dataclass(frozen=True)
class _Campaign:
    """One measurement on one target, which is None where nothing says which."""

    stage: str
    target: str | None
    control: LatencyStats
    steadiness: Steadiness | None


def timing_blocks(inputs: ReportInputs) -> Iterator[Block]:
    """The protocol, how steady the machine was, the control network, and the table."""
    yield Heading("Timing")
    protocols = _protocols(inputs)
    if protocols:
        yield _protocol_table(protocols)
    steady = steadiness_table(inputs)
    if steady:
        yield steady
    campaigns = tuple(_campaigns(inputs))
    if campaigns:
        yield _control_table(campaigns)
    if inputs.profile:
        yield _table_facts(inputs.profile)
    else:
        yield missing(inputs, "profile")


def steadiness_table(inputs: ReportInputs) -> Table | None:
    """Why each stage stopped measuring and what disturbed it; None where nothing was timed."""
    rows = tuple((Cell(it.stage), *_steady_cells(it.steadiness)) for it in _campaigns(inputs))
    if not rows:
        return None
    return Table(
        "How steady the machine was. A slow spell is an unbroken run of visits whose control"
        f" network was more than {SPELL_PERCENT:g} % slower than at its best; a visit is"
        " interrupted where something else ran on its core meanwhile.",
        columns("Stage", "~It stopped because", "#Sweeps", "#Sweeps disagree by", "#Slow spells",
                "#Visits in them", "#Longest", "#Visits interrupted"),
        rows,
    )  # fmt: skip


def unsteady_words(inputs: ReportInputs) -> list[str]:
    """What to say of each measurement that the default protocol would have refused."""
    allowed = TimingProtocol().unsteady_percent
    return [
        f"The machine did not hold still ({it.stage}): sweeps apart in time disagree by"
        f" {percent(it.steadiness.disagreement_percent)}, where {allowed:g} % is the most that is"
        " accepted unless a recipe allows more. Latencies may be off by as much."
        for it in _campaigns(inputs)
        if it.steadiness and it.steadiness.disagreement_percent > allowed
    ]


def _campaigns(inputs: ReportInputs) -> Iterator[_Campaign]:
    """Each measurement there was, a stage's targets one by one."""
    profile, verify, benchmark = inputs.profile, inputs.verify, inputs.benchmark
    if profile:
        target = resolved_target(profile.target, profile.environment)
        yield _Campaign("profile", target, profile.control, profile.steadiness)
    if verify:
        for name, control in verify.control.items():
            stage = "verify" if len(verify.control) == 1 else f"verify, {name}"
            target = resolved_target(name, verify.environment)
            yield _Campaign(stage, target, control, verify.steadiness.get(name))
    if benchmark:
        first = next((result.target for result in benchmark.results), None)
        where = resolved_target(first, benchmark.environment) if first else None
        yield _Campaign("benchmark", where, benchmark.control, benchmark.steadiness)
        for name, timing in benchmark.others.items():
            target = resolved_target(name, benchmark.environment)
            yield _Campaign(f"benchmark, {name}", target, timing.control, timing.steadiness)


def _steady_cells(steady: Steadiness | None) -> tuple[Cell, ...]:
    if steady is None:
        return (Cell("not recorded", tone="muted"), *[NONE] * 6)
    interrupted = steady.interrupted_percent
    return (
        Cell(_STOPPED[steady.stopped], tone="" if steady.stopped == "agreed" else "warn"),
        Cell(str(steady.sweeps), steady.sweeps),
        Cell(percent(steady.disagreement_percent, 2), steady.disagreement_percent),
        Cell(integer(steady.spells) if steady.spells else "none", steady.spells),
        Cell(percent(steady.disturbed_percent), steady.disturbed_percent),
        Cell(_longest(steady), steady.longest_spell_s),
        Cell("not counted", tone="muted")
        if interrupted is None
        else Cell(percent(interrupted), interrupted),
    )


def _longest(steady: Steadiness) -> str:
    if not steady.spells:
        return "–"
    return duration(steady.longest_spell_s) if steady.longest_spell_s > 0 else "one visit"


def _protocols(inputs: ReportInputs) -> dict[str, TimingProtocol]:
    records = {"profile": inputs.profile, "benchmark": inputs.benchmark}
    return {stage: record.protocol for stage, record in records.items() if record}


def _protocol_table(protocols: dict[str, TimingProtocol]) -> Table:
    rows = []
    for name in TimingProtocol.model_fields:
        values = [float(getattr(protocol, name)) for protocol in protocols.values()]
        words = PROTOCOL_WORDS.get(name, name)
        rows.append((Cell(words), *(Cell(f"{value:g}", value) for value in values)))
    titles = columns("~Setting", *(f"#{stage}" for stage in protocols))
    return Table("The timing protocol.", titles, tuple(rows))


def _control_table(campaigns: Sequence[_Campaign]) -> Table:
    rows = tuple((Cell(it.stage), *_control_cells(it, campaigns)) for it in campaigns)
    titles = columns("Stage", "#Typical", "#Drift", "#Median", "#Scatter (CoV)", "#Runs")
    caption = (
        "The control network, the same file in every stage: what drifts on a target, from the first"
        " stage that measured there, is the machine and not the models."
    )
    return Table(caption, titles, rows)


def _control_cells(campaign: _Campaign, all_of_them: Sequence[_Campaign]) -> tuple[Cell, ...]:
    stats = campaign.control
    first = next(it for it in all_of_them if it.target == campaign.target)
    drift = 100 * (stats.typical / first.control.typical - 1)
    return (
        latency_cell(stats),
        number_cell(None if campaign is first else drift, signed_percent),
        number_cell(stats.median, milliseconds),
        Cell(percent(100 * stats.cov), stats.cov),
        Cell(integer(stats.n), stats.n),
    )


def _table_facts(profile: ProfileRecord) -> Table:
    calibration = profile.calibration
    honesty = calibration.honesty
    return pairs_table(
        "The latency table.",
        [
            ("file", profile.table),
            ("target", profile.target),
            ("space", f"{profile.space}, {profile.resolution}², {profile.num_classes} classes"),
            ("operators measured", integer(profile.operators)),
            ("visits measured", integer(profile.visits_measured)),
            ("visits of earlier measurements reused", integer(profile.visits_reused)),
            ("calibration networks", integer(len(calibration.networks))),
            ("operators' times from", METHODS[calibration.method]),
            ("mean absolute error, leave-one-out", percent(honesty.mape_percent)),
            ("… of a line through MACs alone", percent(honesty.flops_mape_percent)),
            (f"reference {profile.reference_name}", milliseconds(profile.reference_latency_ms)),
        ],
    )
