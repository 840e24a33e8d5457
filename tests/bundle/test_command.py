"""`export --bundle` as a user meets it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from pipeline.bundle import making
from pipeline.recipe.recipe import save_recipe
from tests.bundle.conftest import Made
from tests.cli.calling import call


@pytest.fixture
def exported(bundle: Made, workdir: Path) -> Path:
    """A working directory with a run that is exported, and its recipe."""
    shutil.copytree(bundle.run, workdir / "runs" / bundle.run.name)
    save_recipe(bundle.recipe, workdir / "small.yaml")
    return workdir


def export(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    return call("export", *arguments), *capsys.readouterr()


def test_a_bundle_needs_a_recipe(workdir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = export(capsys, "--arch", "cream-14", "--bundle", "device", "--json")
    error = json.loads(out)["error"]
    assert (code, error["type"], err) == (2, "UsageError", "")
    assert "--bundle needs --recipe" in error["message"]
    assert "--recipe demo --bundle device" in error["hint"]
    assert not Path("device").exists()


def test_it_is_made_of_what_was_exported_and_then_replaced(
    exported: Path,
    bundle: Made,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(making, "_JUDGING_IMAGES", 8)
    code, out, err = export(capsys, "--recipe", "small.yaml", "--bundle", "device", "--json")
    assert code == 0, err
    told = json.loads(out)
    assert (told["export"], told["replaced"], told["self_test"]) == ("skipped", False, "passed")
    there = {str(path) for path in Path("device").rglob("*") if path.is_file()}
    assert set(told["files"]) == there
    assert "device/model.onnx" in there
    assert "making the bundle" in err
    for name in ("model.onnx", "infer.py", "vectors/image-0.png", "vectors/vectors.npz"):
        made_before = (bundle.folder / name).read_bytes()
        assert (Path("device") / name).read_bytes() == made_before
    # How one is replaced is a matter of its folder, and no second is made.
    monkeypatch.setattr(making, "make_bundle", lambda *made_of: bundle.card)
    code, out, _ = export(capsys, "--recipe", "small.yaml", "--bundle", "device")
    assert code == 0
    assert "in place of an earlier one" in out


def test_another_folder_is_refused_before_anything_is_done(
    workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (workdir / "mine").mkdir()
    (workdir / "mine" / "file").write_text("mine")
    code, _, err = export(capsys, "--recipe", "demo", "--bundle", "mine")
    assert code == 2
    assert "mine: is there and no bundle of this program" in err
    assert not Path("runs").exists()


def test_a_run_that_is_not_retrained_says_what_to_do(
    workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = export(capsys, "--recipe", "demo", "--bundle", "device", "--run", "mine")
    assert code == 1
    assert "runs/mine" in err
    assert "run_pipeline.py retrain --recipe demo" in err
    assert not Path("device").exists()
