"""What a run lacks to be compared, and the command that makes it."""

from __future__ import annotations

import shlex
from pathlib import Path

from pipeline.files.record import Record
from pipeline.report import ReportInputs

_TOLD_BY = {
    "retrain": "the accuracy of the network",
    "export": "files, their sizes and accuracies",
    "benchmark": "latency",
}


class Gap(Record):
    """Stages that a run has not finished.

    Attributes:
        run: What the user called it.
        stages: Their names.
        not_compared: What cannot be compared without them.
        command: What makes them.
    """

    run: str
    stages: tuple[str, ...]
    not_compared: tuple[str, ...]
    command: str


def gap_of(given: str, folder: Path, inputs: ReportInputs) -> Gap | None:
    """What a run lacks; None where it has all that can be compared.

    Args:
        given: What the user called it.
        folder: The run's folder, which holds its recipe.
        inputs: Its records.
    """
    stages = [stage for stage in _TOLD_BY if getattr(inputs, stage) is None]
    if not stages:
        return None
    verb = stages[0] if stages == ["benchmark"] else "run"
    recipe = shlex.quote(str(folder / "recipe.yaml"))
    return Gap(
        run=given,
        stages=tuple(stages),
        not_compared=tuple(_TOLD_BY[stage] for stage in stages),
        command=f"python run_pipeline.py {verb} --recipe {recipe} --run {shlex.quote(inputs.name)}",
    )
