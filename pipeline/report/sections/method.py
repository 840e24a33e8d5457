"""How it was measured, on what, with which files, and the commands to make it again."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping

from pipeline.device.fingerprint import Environment
from pipeline.files.workspace import run_dir
from pipeline.report.blocks import Block, Cell, Code, Heading, Section, Table, Text, columns
from pipeline.report.cells import number_cell
from pipeline.report.formatting import duration, file_size
from pipeline.report.inputs import STAGES, ReportInputs
from pipeline.report.missing import missing
from pipeline.report.percentiles import CONFIDENCE
from pipeline.report.sections.data import data_blocks
from pipeline.report.sections.timing import timing_blocks
from pipeline.report.summary import Summary

_TYPICAL = (
    "“Typical” is the one latency that limits, tables, verification and benchmarks use: the fastest"
    " of all timed runs. Disturbances only add time, so of many runs, in sweeps that are apart in"
    " time, the fastest is the one they spared; a slow spell does not move it as long as one visit"
    " is spared. Each sweep visits every model once, in random order, with a control network before"
    " and after each visit. ± is one standard uncertainty, from how far sweeps disagree."
    " Percentiles are of single runs; “at most” is a run that is above the true percentile at"
    f" {CONFIDENCE}, if runs are independent."
)
_MACS = (
    "MACs are multiply-accumulates of convolutions and linear layers for one image. The field often"
    " writes “FLOPs” for the same number; one MAC is two floating-point operations."
)


def section(inputs: ReportInputs, summary: Summary) -> Section:
    """The fine print that makes the numbers above believable."""
    blocks: list[Block] = [Text(_TYPICAL), Text(_MACS)]
    blocks += timing_blocks(inputs)
    blocks.append(Heading("Data"))
    blocks += _data(inputs)
    blocks.append(Heading("Machine and software"))
    blocks.append(_environment(inputs) or missing(inputs, "profile"))
    blocks.append(Heading("Files"))
    blocks.append(_files(summary) if summary.files else missing(inputs, "profile"))
    blocks.append(Heading("Make it again"))
    blocks += _commands(inputs, summary)
    return Section("method", "How it was measured", "Method", tuple(blocks))


def _data(inputs: ReportInputs) -> Iterator[Block]:
    record = inputs.retrain or inputs.train
    if record is None:
        yield missing(inputs, "train")
        return
    yield from data_blocks(record.dataset)


def _environment(inputs: ReportInputs) -> Table | None:
    distinct: list[tuple[dict[str, str], list[str]]] = []
    for stage, environment in inputs.environments().items():
        facts = {**_machine(environment), **environment.packages}
        known = next((stages for others, stages in distinct if others == facts), None)
        if known is None:
            distinct.append((facts, [stage]))
        else:
            known.append(stage)
    if not distinct:
        return None
    machine = list(_machine(next(iter(inputs.environments().values()))))
    packages = sorted({name for facts, _ in distinct for name in facts} - {*machine})
    titles = columns("~What", *("~" + ", ".join(stages) for _, stages in distinct))
    cells = tuple(
        (Cell(name), *(Cell(facts.get(name, "–")) for facts, _ in distinct))
        for name in (*machine, *packages)
    )
    caption = "One column a machine and set of versions; above each the stages that ran there."
    return Table(caption, titles, cells)


def _machine(environment: Environment) -> dict[str, str]:
    """What stays the same of a machine: a GPU's momentary clock is left out."""
    return {
        "device": environment.device,
        "CPU": environment.cpu,
        "instruction sets": " ".join(environment.cpu_flags) or "none of note",
        "cores usable": str(environment.cores),
        "memory": f"{environment.memory_gib:g} GiB",
        **environment.settings,
        "operating system": environment.os,
        "Python": environment.python,
    }


def _files(summary: Summary) -> Table:
    rows = tuple(
        (
            Cell(file.role),
            Cell(file.path, code=True),
            number_cell(file.size_bytes, file_size),
            Cell(file.sha256 or "not recorded", code=file.sha256 is not None),
        )
        for file in summary.files
    )
    return Table("Files of the run.", columns("File", "Path", "#Size", "SHA-256"), rows)


def _commands(inputs: ReportInputs, summary: Summary) -> Iterator[Block]:
    yield Code("Everything; what is done is skipped", inputs.command("run"))
    where = run_dir(inputs.name) / "recipe.yaml"
    exact = f"python run_pipeline.py run --recipe {shlex.quote(str(where))}"
    yield Code("This very run, with its overrides", f"{exact} --run {shlex.quote(inputs.name)}")
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
