"""How it was measured, on what, with which files, and the commands to make it again."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping

from pipeline.device import Environment
from pipeline.measure import LatencyStats, TimingProtocol
from pipeline.records import DatasetRecord, ProfileRecord
from pipeline.report.blocks import (
    Block,
    Cell,
    Code,
    Heading,
    Section,
    Table,
    Text,
    columns,
    pairs_table,
)
from pipeline.report.formatting import (
    duration,
    file_size,
    integer,
    milliseconds,
    percent,
    plus_minus,
    signed_percent,
)
from pipeline.report.inputs import STAGES, ReportInputs
from pipeline.report.missing import missing
from pipeline.report.summary import Summary
from pipeline.workspace import run_dir

_TYPICAL = (
    "“Typical” is the one latency that limits, tables, verification and benchmarks use. Every model"
    " is visited many times over the whole measurement, in random order, with a control network"
    " before and after each visit. A visit's fastest run is divided by the control network's at"
    " that moment; typical is the median of those ratios, times the control network's undisturbed"
    " latency. So neither an interruption nor a slow spell of the machine moves it. ± is one"
    " standard uncertainty, from visits that are apart in time."
)
_MACS = (
    "MACs are multiply-accumulates of convolutions and linear layers for one image. The field often"
    " writes “FLOPs” for the same number; one MAC is two floating-point operations."
)
_PROTOCOL_WORDS = {
    "sweeps": "visits to each model, spread over the measurement",
    "warm_runs": "untimed runs at the start of a visit",
    "runs": "timed runs of a visit, at least",
    "burst_ms": "a visit goes on for at least, ms",
    "max_runs": "… and for at most so many runs",
    "warmup_ms": "untimed running before the first visit, ms",
    "control_runs": "runs of the control network on each side of a visit",
}


def section(inputs: ReportInputs, summary: Summary) -> Section:
    """The fine print that makes the numbers above believable."""
    blocks: list[Block] = [Text(_TYPICAL), Text(_MACS)]
    blocks += _timing(inputs)
    blocks.append(Heading("Data"))
    blocks += _data(inputs)
    blocks.append(Heading("Machine and software"))
    blocks.append(_environment(inputs) or missing(inputs, "profile"))
    blocks.append(Heading("Files"))
    blocks.append(_files(summary) if summary.files else missing(inputs, "profile"))
    blocks.append(Heading("Make it again"))
    blocks += _commands(inputs, summary)
    return Section("method", "How it was measured", "Method", tuple(blocks))


def _timing(inputs: ReportInputs) -> Iterator[Block]:
    yield Heading("Timing")
    protocols = _protocols(inputs)
    if protocols:
        yield _protocol_table(protocols)
    controls = _controls(inputs)
    if controls:
        yield _control_table(controls)
    if inputs.profile:
        yield _table_facts(inputs.profile)
    else:
        yield missing(inputs, "profile")


def _protocols(inputs: ReportInputs) -> dict[str, TimingProtocol]:
    records = {"profile": inputs.profile, "benchmark": inputs.benchmark}
    return {stage: record.protocol for stage, record in records.items() if record}


def _protocol_table(protocols: dict[str, TimingProtocol]) -> Table:
    rows = []
    for name in TimingProtocol.model_fields:
        values = [float(getattr(protocol, name)) for protocol in protocols.values()]
        words = _PROTOCOL_WORDS.get(name, name)
        rows.append((Cell(words), *(Cell(f"{value:g}", value) for value in values)))
    titles = columns("~Setting", *(f"#{stage}" for stage in protocols))
    return Table("The timing protocol.", titles, tuple(rows))


def _controls(inputs: ReportInputs) -> dict[str, LatencyStats]:
    records = {"profile": inputs.profile, "verify": inputs.verify, "benchmark": inputs.benchmark}
    return {stage: record.control for stage, record in records.items() if record}


def _control_table(controls: dict[str, LatencyStats]) -> Table:
    first = next(iter(controls.values()))
    rows = tuple(
        (
            Cell(stage),
            Cell(plus_minus(stats.typical, stats.std, "ms"), stats.typical),
            Cell("–")
            if stats is first
            else Cell(signed_percent(100 * (stats.typical / first.typical - 1)), stats.typical),
            Cell(milliseconds(stats.min), stats.min),
            Cell(milliseconds(stats.median), stats.median),
            Cell(percent(100 * stats.cov), stats.cov),
            Cell(integer(stats.n), stats.n),
        )
        for stage, stats in controls.items()
    )
    titles = columns(
        "Stage", "#Typical", "#Drift", "#Fastest", "#Median", "#Scatter (CoV)", "#Runs"
    )
    caption = (
        "The control network, the same file in every stage: what drifts here is the machine, not"
        " the models."
    )
    return Table(caption, titles, rows)


def _table_facts(profile: ProfileRecord) -> Table:
    calibration = profile.calibration
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
            ("mean absolute error, leave-one-out", percent(calibration.mape_percent)),
            ("… of a line through MACs alone", percent(calibration.flops_mape_percent)),
            ("largest error, leave-one-out", percent(calibration.max_error_percent)),
            ("stated relative uncertainty", percent(100 * calibration.relative_std)),
            (f"reference {profile.reference_name}", milliseconds(profile.reference_latency_ms)),
        ],
    )  # fmt: skip


def _data(inputs: ReportInputs) -> Iterator[Block]:
    record = inputs.retrain or inputs.train
    if record is None:
        yield missing(inputs, "train")
        return
    yield _dataset_table(record.dataset)


def _dataset_table(dataset: DatasetRecord) -> Table:
    steps = dataset.preprocessing
    mean, std = (", ".join(f"{v:.4g}" for v in values) for values in (steps.mean, steps.std))
    names = ", ".join(dataset.class_names[:20]) + (" …" if len(dataset.class_names) > 20 else "")
    return pairs_table(
        "Images. Choices are made on search-validation; test is reported and decides nothing.",
        [
            ("data set", dataset.name),
            ("source", dataset.source),
            ("SHA-256 of the files", dataset.checksum or "not hashed: too many files"),
            ("train", integer(dataset.num_train)),
            ("search-validation, held out of train", integer(dataset.num_search_validation)),
            ("test", integer(dataset.num_test)),
            (f"classes ({len(dataset.class_names)})", names),
            ("padding", f"{steps.pad} pixels a side"),
            ("resized to", f"{steps.resolution} × {steps.resolution}, {steps.resize}"),
            ("grey to RGB", "repeated three times" if steps.grayscale_to_rgb else "no"),
            ("mean subtracted", mean),
            ("divided by", std),
        ],
    )


def _environment(inputs: ReportInputs) -> Table | None:
    distinct: list[tuple[Environment, list[str]]] = []
    for stage, environment in inputs.environments().items():
        known = next((stages for machine, stages in distinct if machine == environment), None)
        if known is None:
            distinct.append((environment, [stage]))
        else:
            known.append(stage)
    if not distinct:
        return None
    rows: list[tuple[str, list[str]]] = [
        ("device", [e.device for e, _ in distinct]),
        ("CPU", [e.cpu for e, _ in distinct]),
        ("instruction sets", [" ".join(e.cpu_flags) or "none of note" for e, _ in distinct]),
        ("cores usable", [str(e.cores) for e, _ in distinct]),
        ("memory", [f"{e.memory_gib:g} GiB" for e, _ in distinct]),
        ("frequency governor", [e.governor or "not told by the system" for e, _ in distinct]),
        ("operating system", [e.os for e, _ in distinct]),
        ("Python", [e.python for e, _ in distinct]),
    ]
    packages = sorted({name for e, _ in distinct for name in e.packages})
    rows += [(name, [e.packages.get(name, "–") for e, _ in distinct]) for name in packages]
    titles = columns("~What", *("~" + ", ".join(stages) for _, stages in distinct))
    cells = tuple((Cell(name), *map(Cell, values)) for name, values in rows)
    caption = "One column a machine and set of versions; above each the stages that ran there."
    return Table(caption, titles, cells)


def _files(summary: Summary) -> Table:
    rows = tuple(
        (
            Cell(file.role),
            Cell(file.path, code=True),
            Cell("–" if file.size_bytes is None else file_size(file.size_bytes), file.size_bytes),
            Cell(file.sha256 or "not recorded", code=file.sha256 is not None),
        )
        for file in summary.files
    )
    return Table("Files of the run.", columns("File", "Path", "#Size", "SHA-256"), rows)


def _commands(inputs: ReportInputs, summary: Summary) -> Iterator[Block]:
    yield Code("Everything; what is done is skipped", inputs.command("run"))
    stages = "\n".join(inputs.command(stage) for stage in (*STAGES, "report"))
    yield Code("Stage by stage", stages)
    if summary.architecture:
        arch = shlex.quote(summary.architecture.short)
        device, _, setting = (summary.target or "").partition("/")
        target = f" --target {shlex.quote(f'host/{setting}')}" if device and setting else ""
        yield Code(
            "The chosen network on another machine, random weights",
            f"python run_pipeline.py benchmark --arch {arch}{target}",
        )
    done = [(stage, getattr(inputs, stage)) for stage in STAGES]
    seconds: dict[str, float] = {
        stage: float(record.seconds) for stage, record in done if record is not None
    }
    if seconds:
        yield _times(seconds)
    where = run_dir(inputs.name) / "recipe.yaml"
    label = f"The recipe with every default and override, as kept in {where}"
    yield Code(label, _recipe_text(inputs), folded=True)


def _times(seconds: Mapping[str, float]) -> Table:
    total = sum(seconds.values())
    rows = tuple((Cell(stage), Cell(duration(took), took)) for stage, took in seconds.items())
    return Table(
        "Time each stage took.",
        columns("Stage", "#Time"),
        rows,
        totals=(Cell("all"), Cell(duration(total), total)),
    )


def _recipe_text(inputs: ReportInputs) -> str:
    return json.dumps(inputs.recipe, indent=2, ensure_ascii=False, default=str)
