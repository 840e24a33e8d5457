"""Input sizes: three that the images decide, those that leave no paths, and what limits go by."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from pipeline.files.whole import read_record, write_record
from pipeline.images.image_data import ImageData
from pipeline.latency import profiling
from pipeline.recipe.recipe import Recipe, read_recipe
from pipeline.recipe.report_stage import report_inputs
from pipeline.recipe.resume import RECORD, Manifest
from pipeline.recipe.sizes import sizes_of
from pipeline.records.input_sizes import InputSizes
from pipeline.records.profile import ProfileRecord
from pipeline.records.train import TrainRecord
from pipeline.space.cost import macs_range
from pipeline.space.search_space import get_space
from tests.cli.calling import call
from tests.latency.synthetic import TARGET, write_calibrated_table
from tests.report.made_up import inputs

SPACE = get_space("cream").narrowed(max_depth=1)
RECIPE = f"""\
schema_version: 1
name: sized
data: {{dataset: digits, max_train: 32}}
space: {{name: cream, max_depth: 1}}
target: {TARGET.name}
train: {{epochs: 1, batch_size: 16}}
retrain: {{epochs: 1}}
"""
# Below the smallest network at 96 pixels, above that at 64.
MACS = 0.9 * macs_range(SPACE, 96, 10)[0]


@pytest.fixture
def recipe(workdir: Path) -> Recipe:
    Path("sized.yaml").write_text(RECIPE)
    return read_recipe("sized.yaml")


@pytest.fixture
def tables(recipe: Recipe) -> None:
    write_calibrated_table(SPACE, (32, 64, 96), 10)


def images(*sides: tuple[int, int]) -> ImageData:
    found = [SimpleNamespace(pixels=np.zeros(shape)) for shape in sides]
    return cast(ImageData, SimpleNamespace(originals=lambda split, n: found[:n]))


def measured(resolution: int, reference_ms: float, **changed: Any) -> ProfileRecord:
    profile = inputs().profile
    assert profile is not None
    changes = {"target": TARGET.name, "resolution": resolution, "also": (), **changed}
    return profile.model_copy(update={"reference_latency_ms": reference_ms, **changes})


def write_profile(record: ProfileRecord) -> None:
    folder = Path("runs/sized/profile")
    write_record(folder / RECORD, record)
    manifest = Manifest(stage="profile", inputs_digest="", files={}, finished_at="", seconds=0.0)
    write_record(folder / "manifest.json", manifest)


@pytest.mark.parametrize(
    ("side", "expected"),
    [
        (8, (64, 96, 32)),
        (96, (64, 96, 32)),
        (112, (96, 128, 64)),
        (129, (96, 160, 64)),
        (192, (128, 192, 96)),
        (224, (160, 224, 96)),
        (3000, (160, 224, 96)),
    ],
)
def test_sizes_follow_the_images(recipe: Recipe, side: int, expected: tuple[int, ...]) -> None:
    chosen = sizes_of(recipe, None, images((side, side + 50), (side + 70, side), (900, 2, 3)))
    assert chosen == InputSizes(resolutions=expected, image_side=side, images=3)


def test_what_was_profiled_is_not_chosen_again(recipe: Recipe) -> None:
    kept = InputSizes(resolutions=(96, 128, 64), image_side=100, images=64)
    assert sizes_of(recipe, measured(96, 1.0, sizes=kept), images((300, 300))) == kept
    # A run whose recipe named its size before has kept no choice.
    named = measured(96, 1.0, sizes=InputSizes(resolutions=(96,)))
    assert sizes_of(recipe, named, images((300, 300))).resolutions == (160, 224, 96)


def test_named_sizes_need_no_images(recipe: Recipe) -> None:
    space = recipe.space.model_copy(update={"resolution": (64, 32)})
    named = recipe.model_copy(update={"space": space})
    assert sizes_of(named, None, images()) == InputSizes(resolutions=(64, 32))


@pytest.mark.usefixtures("tables")
def test_tables_are_measured_at_every_size(
    recipe: Recipe, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def profile(*_: object, resolution: int, **__: object) -> ProfileRecord:
        return measured(resolution, 1.0)

    monkeypatch.setattr(profiling, "profile", profile)
    assert call("profile", "--recipe", "sized.yaml") == 0
    record = read_record(Path("runs/sized/profile/record.json"), ProfileRecord)
    assert [it.resolution for it in (record, *record.also)] == [64, 96, 32]
    assert record.sizes == InputSizes(resolutions=(64, 96, 32), image_side=8, images=32)
    told = capsys.readouterr().err
    assert "input sizes: 64, 96, 32 pixels, chosen from the images, whose shorter side is 8" in told


@pytest.mark.usefixtures("tables")
def test_explain_says_which_sizes_and_what_limits_go_by(
    capsys: pytest.CaptureFixture[str],
) -> None:
    write_profile(measured(64, 2.0, also=(measured(96, 5.0), measured(32, 0.5))))
    limits = f"limits={{latency_of_cream_14: 3, macs: {MACS}}}"
    assert call("search", "--explain", "--recipe", "sized.yaml", "--set", limits, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    # 96 pixels are left out, and the limit is where it was.
    assert told["limits"]["latency_ms"] == {TARGET.name: 6.0}
    chosen, reference, left_out = told["sizes"]
    assert "64, 96, 32 pixels" in chosen
    assert reference.endswith("a multiple of what cream-14 takes at 64 pixels")
    assert left_out.startswith("96 pixels are left out: no path has at most")


@pytest.mark.usefixtures("tables")
@pytest.mark.parametrize("macs", [1.0, 1e12], ids=["none would be left", "all are left"])
def test_explain_leaves_nothing_out(macs: float, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("--set", f"limits.macs={macs}", "--json")
    call("search", "--explain", "--recipe", "sized.yaml", *arguments)
    told = json.loads(capsys.readouterr().out)
    assert len(told["sizes"]) == 1
    assert set(told["reachable"]) == {"32", "64", "96"}


@pytest.mark.usefixtures("tables")
def test_sizes_without_paths_are_not_trained_at(capsys: pytest.CaptureFixture[str]) -> None:
    write_profile(measured(64, 2.0, sizes=InputSizes(resolutions=(64, 96, 32), image_side=8)))
    limits = f"limits.macs={MACS}"
    assert call("train", "--recipe", "sized.yaml", "--set", limits) == 0
    record = read_record(Path("runs/sized/train/record.json"), TrainRecord)
    assert (record.resolution, record.resolutions) == (64, (64, 32))
    assert list(record.left_out) == [96]
    assert "96 pixels are left out: no path has at most" in capsys.readouterr().err


def test_the_report_is_on_the_winner_s_size_and_keeps_what_limits_go_by(recipe: Recipe) -> None:
    made_up = inputs()
    assert made_up.verify is not None
    winner = made_up.verify.candidates[made_up.verify.winner].candidate.architecture
    sizes = InputSizes(resolutions=(96, winner.resolution))
    of_winner, elsewhere = measured(winner.resolution, 1.0), measured(winner.resolution, 9.0)
    also = (elsewhere.model_copy(update={"target": "host/x-fp32-b1"}), of_winner)
    run = Path("runs/sized")
    write_profile(measured(96, 2.5, also=also, sizes=sizes))
    write_record(run / "verify" / RECORD, made_up.verify)
    found = report_inputs(recipe, run).profile
    assert found is not None
    assert (found.target, found.resolution, found.sizes) == (TARGET.name, winner.resolution, sizes)
    assert (found.reference_name, found.reference_latency_ms) == ("cream-14 at 96 pixels", 2.5)
