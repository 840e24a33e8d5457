"""Runs whose models are exported and timed for real: one network twice, and a heavier one.

The three are visited in turn in one campaign, which is then taken apart into the benchmarks of
three runs: what a busy machine does in the meantime, it does to all of them.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pipeline.comparing.runs import MODEL
from pipeline.export.architectures import export_models
from pipeline.files.whole import write_record
from pipeline.recipe.recipe import read_recipe
from pipeline.recipe.resume import prepare_run
from pipeline.records.benchmark import BenchmarkRecord
from pipeline.space.architecture import Architecture
from pipeline.trials.benchmark import RANDOM, BenchmarkSubject, benchmark
from tests.comparing.test_command import compared
from tests.measure.tiny import QUICK, TARGET, networks

PROTOCOL = QUICK.model_copy(update={"sweeps": 30, "min_sweeps": 30, "runs": 10})


def slowed(architecture: Architecture) -> Architecture:
    """Three more blocks in each stage: so much slower that it shows beside whatever else runs.

    How small a change is found is measured by `benchmarks/changes.py`.
    """
    deeper = tuple((*stage, *["mb6_7x7"] * 3) for stage in architecture.stages)
    return architecture.model_copy(update={"stages": deeper})


def make_runs(networks_of_runs: dict[str, Architecture]) -> None:
    """Exports each network once, times all of them in turn, and writes the runs' records."""
    made: list[str] = []
    for name, architecture in networks_of_runs.items():
        run = prepare_run(read_recipe("demo"), name)
        same = next((it for it in made if networks_of_runs[it] == architecture), None)
        made.append(name)
        if same:
            shutil.copytree(Path("runs", same, "export"), run / "export")
            continue
        exported = export_models([architecture], None, run / "export", batch=None)
        write_record(run / "export" / "record.json", exported)
    subjects = [
        BenchmarkSubject(
            name, Path("runs", name, "export", str(architecture.name)), RANDOM, architecture
        )
        for name, architecture in networks_of_runs.items()
    ]
    record = benchmark({TARGET: subjects}, protocol=PROTOCOL, folder=Path("measured"))
    for name, architecture in networks_of_runs.items():
        write_record(
            Path("runs", name, "benchmark", "record.json"), part_of(record, name, architecture)
        )


def part_of(record: BenchmarkRecord, run: str, architecture: Architecture) -> BenchmarkRecord:
    """One run's benchmark: its own model and the control network."""
    (own,) = (it for it in record.results if it.name == run)
    own = own.model_copy(update={"name": architecture.name})
    return record.model_copy(update={"results": (own,)})


@pytest.mark.slow
@pytest.mark.usefixtures("bench_dir")
def test_a_slowed_model_is_named_and_the_same_one_is_not(
    capsys: pytest.CaptureFixture[str],
) -> None:
    plain = networks()[0].model_copy(update={"name": "demo-cream"})
    make_runs({"before": plain, "again": plain, "slowed": slowed(plain)})

    code, same = compared(capsys, "runs/before", "again")
    assert (code, same.verdict) == (0, "no change beyond noise, in what could be compared")
    assert same.findings == ()
    assert [gap.stages for gap in same.gaps] == [("retrain",)] * 2

    code, slower = compared(capsys, "before", "slowed")
    assert code == 1
    words = [finding.words for finding in slower.findings]
    assert "architecture, stage 5: 3 more blocks MB6 7×7" in words
    (regression,) = (it.words for it in slower.findings if it.is_regression)
    assert regression.startswith(f"{MODEL} is slower on {TARGET.setting}: ")

    code, faster = compared(capsys, "slowed", "before")
    assert (code, faster.regressions) == (0, 0)
    assert any(" is faster on " in finding.words for finding in faster.findings)
