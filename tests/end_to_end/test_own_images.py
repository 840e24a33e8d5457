"""A user's own folder of images goes through retraining, export, bundle and report.

What comes before retraining is made up; in the slow test it is not.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import redirect_stderr
from pathlib import Path

import pytest
import torch

from pipeline.files import workspace
from pipeline.files.whole import read_record, write_record
from pipeline.recipe.resume import RECORD, Manifest
from pipeline.records.export import ExportRecord
from pipeline.records.retrain import RetrainRecord
from tests.checkout import ROOT
from tests.cli.calling import call
from tests.end_to_end.own_images import CLASSES, LEVEL, SKIPPED, TRAIN_IMAGES, UPRIGHT, make_images
from tests.report import made_up

RECIPE = """\
schema_version: 1
name: own
data: {{dataset: "{images}"}}
space: {{name: cream, resolution: 32, max_depth: 1}}
limits: {{latency_of_cream_14: 5}}
profile:
  calibration_networks: 8
  protocol: {{sweeps: 3, sweep_interval_s: 0, unsteady_percent: 1e6}}
train: {{epochs: 1, batch_size: 16}}
score: {{images: 8, recalibration_images: 32}}
search: {{population: 6, candidates: 12, surrogate_share: 0.67}}
verify: {{top_k: 2, protocol: {{sweeps: 3, unsteady_percent: 1e6}}}}
trial: {{candidates: 2, controls: [lcnet_035]}}
retrain: {{epochs: 12, batch_size: 16}}
export: {{parity_images: 8, accuracy_images: 8}}
benchmark: {{protocol: {{sweeps: 3, unsteady_percent: 1e6}}}}
"""
BROKEN, CUT = SKIPPED


def write_recipe(place: Path) -> None:
    images = make_images(place / "mes photos 写真")
    (place / "own.yaml").write_text(RECIPE.format(images=images), encoding="utf-8")


def make_up_what_comes_before(run: Path) -> None:
    """Records of a search that chose a network for two classes that trains and exports fast."""
    inputs = made_up.inputs(class_names=CLASSES)
    verify = inputs.verify
    assert verify is not None
    candidates = list(verify.candidates)
    chosen = candidates[verify.winner].candidate
    network = chosen.architecture.model_copy(
        update={
            "space": "cream-table3-released",
            "stages": (("conv_3x3",),) * 5,
            "num_classes": 2,
            "resolution": 32,
        }
    )
    candidate = chosen.model_copy(update={"architecture": network})
    candidates[verify.winner] = candidates[verify.winner].model_copy(
        update={"candidate": candidate}
    )
    records = {
        "train": inputs.train,
        "search": inputs.search,
        "verify": verify.model_copy(update={"candidates": tuple(candidates)}),
        "trial": inputs.trial and inputs.trial.model_copy(update={"entrants": (), "winner": None}),
    }
    for stage, record in records.items():
        assert record is not None
        write_record(run / stage / RECORD, record)
        manifest = Manifest(stage=stage, inputs_digest="", files={}, finished_at="", seconds=0.0)
        write_record(run / stage / "manifest.json", manifest)


@pytest.fixture(scope="module")
def retrained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A working directory in which the verb `retrain` ended well."""
    place = tmp_path_factory.mktemp("own")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        patch.setattr(workspace, "_SHIPPED", ())
        patch.setenv("CREAM_PIPELINE_CACHE", str(place / "cache"))
        write_recipe(place)
        make_up_what_comes_before(place / "runs" / "own")
        with (place / "told.txt").open("w") as told, redirect_stderr(told):
            assert call("retrain", "--recipe", "own.yaml") == 0
        yield place
    torch.set_num_threads(threads)


def test_what_is_skipped_is_told_before_training(retrained: Path) -> None:
    told = (retrained / "told.txt").read_text()
    before, _, after = told.partition("retraining the winner")
    assert "checking images: 98/98  2 cannot be read" in before
    assert f"skipped 2 unreadable images: {BROKEN} (is no image in a format" in before
    assert f"{CUT} (image file is truncated" in before
    assert "left out 1 file that no image has the suffix of (.heic: 1)" in before
    path = before.partition("all that is skipped: ")[2].splitlines()[0]
    assert [line.split(":")[0] for line in Path(path).read_text().splitlines()] == list(SKIPPED)
    assert "skipped" not in after


def test_the_record_says_which_images_were_used(retrained: Path) -> None:
    record = read_record(retrained / "runs" / "own" / "retrain" / RECORD, RetrainRecord)
    dataset = record.dataset
    assert dataset.class_names == CLASSES
    assert dataset.num_skipped == 2
    assert list(dataset.skipped) == list(SKIPPED)
    for name, reason in SKIPPED.items():
        assert reason in dataset.skipped[name]
    assert sum(dataset.images_by_class["train"]) == dataset.num_train == 2 * TRAIN_IMAGES - 8
    assert dataset.images_by_class["test"] == (8, 8)
    assert dataset.checksum is not None
    assert str(retrained) not in json.dumps(dataset.skipped) + str(dataset.skipped_list)
    # Stripes one way or the other: sixteen images of test, and none of them a matter of luck.
    assert record.test_accuracy_percent > 70


def test_export_bundle_and_report_go_on_from_there(
    retrained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call("export", "--recipe", "own.yaml", "--bundle", "device") == 0
    exported = read_record(retrained / "runs" / "own" / "export" / RECORD, ExportRecord)
    (model,) = exported.models
    assert model.parity.top1_agreement == 1.0
    assert model.preprocessing is not None
    assert model.preprocessing.exif_transpose
    done = subprocess.run(
        [sys.executable, "infer.py", "--selftest"],
        cwd=retrained / "device",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    card = (retrained / "device" / "model.json").read_text(encoding="utf-8")
    assert json.loads(card)["labels"] == list(CLASSES)

    assert call("report", "--recipe", "own.yaml") == 0
    folder = retrained / "runs" / "own" / "report"
    for form in ("html", "md"):
        text = (folder / f"report.{form}").read_text(encoding="utf-8").replace("\\", "")
        assert "Skipped 2 unreadable images" in text
        assert BROKEN in text
        assert UPRIGHT in text
        assert LEVEL in text
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "Images of each class." in page
    assert "Skipped: files that cannot be read." in page


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_whole_pipeline(tmp_path: Path) -> None:
    write_recipe(tmp_path)
    done = subprocess.run(
        [sys.executable, str(ROOT / "run_pipeline.py"), "run", "--recipe", "own.yaml", "--json"],
        cwd=tmp_path,
        env={**os.environ, "CREAM_PIPELINE_CACHE": str(tmp_path / "cache")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.index("checking images: 98/98") < done.stderr.index("measuring operators")
    assert done.stderr.count("skipped 2 unreadable images") == 2
    page = Path(tmp_path, json.loads(done.stdout)["report"]["html"]).read_text(encoding="utf-8")
    assert "Skipped 2 unreadable images" in page
