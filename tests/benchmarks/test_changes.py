"""The benchmark of `compare`, on benchmarks that are made up and so need no measuring."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from typer.testing import Result

from benchmarks import changes
from pipeline.comparing.runs import MODEL
from pipeline.device.target import Target
from pipeline.errors import UsageError
from pipeline.files.whole import write_record
from pipeline.space.architecture_file import parse_short
from tests.benchmarks.command_line import call
from tests.comparing.made_up_runs import campaign


def study(folder: Path, stage: int = 1) -> Path:
    """Where the benchmarks of the default study are looked for."""
    before = parse_short(changes.NETWORK)
    networks = {"before": before, "after": changes.with_block(before, "mb6_7x7", stage)}
    return changes.place(folder, networks, [*map(Target.parse, changes.TARGETS.split(","))])


def keep(folder: Path, name: str, factors: Sequence[float], *, seed: int) -> None:
    """Benchmarks of a model that is slower by these factors."""
    for number, factor in enumerate(factors):
        record = campaign(seed + number, model=factor)
        results = tuple(
            it if it.is_reference else it.model_copy(update={"name": MODEL})
            for it in record.results
        )
        path = folder / f"{name}-{number}" / "record.json"
        write_record(path, record.model_copy(update={"results": results}))


def answer(folder: Path, *options: str) -> Result:
    return call(changes.main, "--folder", str(folder), "--campaigns", "4", *options)


def test_a_block_more_is_found_and_noise_is_not(tmp_path: Path) -> None:
    keep(study(tmp_path), "before", [1.0] * 4, seed=0)
    keep(study(tmp_path), "after", [1.2] * 4, seed=50)
    told = answer(tmp_path, "--check", "--json")
    assert told.exit_code == 0
    found = json.loads(told.stdout)
    assert (found["false"], found["found"]) == (0.0, 1.0)
    assert (found["unchanged_pairs"], found["changed_pairs"]) == (24, 16)
    assert len(found["by_target"]) == 2
    for setting, percent in found["typical_change_percent"].items():
        assert percent == pytest.approx(20, abs=2), setting
    for spread in found["spread_percent"].values():
        assert 0 < spread["fastest run"] < 3
    shown = answer(tmp_path).stdout
    assert "on any target                                      0.0%  100.0%" in shown


@pytest.mark.parametrize(
    ("before", "after", "missed"),
    [
        ([1.0] * 4, [1.0] * 4, "changes found: 0%"),
        ([1.0, 1.2, 1.4, 1.6], [2.0] * 4, "false changes: 50%"),
    ],
)
def test_each_floor_is_checked(
    tmp_path: Path, before: list[float], after: list[float], missed: str
) -> None:
    keep(study(tmp_path), "before", before, seed=0)
    keep(study(tmp_path), "after", after, seed=50)
    told = answer(tmp_path, "--check")
    assert told.exit_code == 1
    assert missed in told.stderr
    assert answer(tmp_path).exit_code == 0


def test_what_was_measured_of_another_study_is_not_taken_up(tmp_path: Path) -> None:
    assert study(tmp_path) == study(tmp_path)
    assert study(tmp_path) != study(tmp_path, stage=5)


def test_a_stage_that_is_not_there_is_told() -> None:
    with pytest.raises(UsageError, match=r"stage is 6; cream@32c10:.* has 5"):
        changes.with_block(parse_short(changes.NETWORK), "mb6_7x7", 6)
