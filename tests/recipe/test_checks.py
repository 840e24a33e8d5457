"""Settings that a later stage could not work by are refused before anything is done."""

import shutil
import sys
from pathlib import Path

import pytest

from pipeline.device.target import host_slug
from pipeline.errors import PipelineError
from pipeline.recipe.checks import check_recipe
from pipeline.recipe.recipe import read_recipe
from tests.checkout import ROOT
from tests.cli.calling import call

WRONG = [
    # What the form already tells.
    (["retrain.epoch=3"], "epochs"),
    (["space.name=craem"], "cream"),
    (["space.resolution=65"], "64"),
    (["space.max_depth=9"], "max_depth"),
    (["limits.macs=0"], "greater than 0"),
    (["limits.latency_ms=3ms"], "plain number"),
    (["limits.latency_ms=2"], "not both"),
    (["space.resolution=null", "train.resolutions=[64]"], "space.resolution"),
    (["target=host/onnxruntime"], "RUNTIME-PRECISION-bBATCH"),
    (["retrain.batch_size=48", "retrain.accumulate=5"], "accumulate"),
    (["search.strategy=board_"], "board"),
    # What rooms tell.
    (["search.strategy=board"], "train.method=cream"),
    (["target=host/onxruntime-fp32-b1-t1"], "onnxruntime"),
    (["target=host/onnxruntime-bf16-b1-t1"], "fp32"),
    (["target=nosuchdevice/onnxruntime-fp32-b1-t1"], "unknown device"),
    (["target=raspberry-pi-5/onnxruntime-fp32-b1-t1"], "has no latency table"),
    (["benchmark.targets=[hst/onnxruntime-fp32-b1-t1]"], "'host'"),
    (["benchmark.targets=[host/onnxrt-fp32-b1-t1]"], "unknown runtime"),
    (
        ["limits.latency_of_cream_14={raspberry-pi-5/onnxruntime-fp32-b1-t1: 1}"],
        "has no latency table",
    ),
    (["limits.macs=1e5"], "MACs"),
    (["limits.params=1000"], "parameters"),
    (["limits.macs_min=6e6"], "at least"),
    (["train_limits={macs: 1e5}"], "MACs"),
    (["train.operator_prior={mb3_3x3: 2}"], "unknown operator"),
    (["train.operator_prior={mb4_3x3: 1e9}"], "mb4_3x3"),
    (["train.sync_batch_norm=true"], "train.sync_batch_norm"),
    (["retrain.sync_batch_norm=true"], "retrain.sync_batch_norm"),
    (["retrain.batch_size=1"], "retrain.batch_size"),
    (["retrain.batch_size=2", "retrain.accumulate=2"], "retrain.accumulate"),
    (["retrain.rand_augment=rand-q9"], "rand-m9-mstd0.5"),
    (["retrain.rand_augment=rand-inc9"], "rand-m9-mstd0.5"),
    (["retrain.teacher={source: resnet5}"], "resnet50"),
    (["retrain.teacher={source: resnet50, weights: gone.pth}"], "gone.pth"),
    (["trial.controls=[mobilenetv3_small_10]"], "mobilenetv3_small_100"),
    (["benchmark.references=[mobilenetv3_smal_100]"], "mobilenetv3_small_100"),
]


@pytest.mark.parametrize(("settings", "words"), WRONG, ids=lambda it: str(it)[:60])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_it_is_told_before_anything_is_done(
    settings: list[str], words: str, workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _skip_where_there_is_a_gpu(settings)
    shutil.copytree(ROOT / "profiles", "profiles")
    given = [word for setting in settings for word in ("--set", setting)]
    assert call("run", "--recipe", "demo", *given) != 0
    told = capsys.readouterr().err
    assert words in told
    assert "Traceback" not in told
    assert [path.name for path in workdir.glob("runs/*/*")] in ([], ["recipe.yaml"])


def _skip_where_there_is_a_gpu(settings: list[str]) -> None:
    if any("sync_batch_norm" in setting for setting in settings):
        import torch

        if torch.cuda.is_available():
            pytest.skip("this machine has a GPU, so it is no wrong setting")


@pytest.mark.parametrize("name", ["demo", "fashion-mnist", "imagenet"])
def test_recipes_that_ship_are_right(name: str, workdir: Path) -> None:
    check_recipe(read_recipe(name))


def test_without_a_compiler_nothing_is_to_be_compiled(
    workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(PipelineError, match=r"train\.compile .*no-such-compiler"):
        check_recipe(read_recipe("demo", ["train.compile=true"]))


def test_an_engine_that_is_missing_is_told(workdir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(PipelineError, match="onnxruntime"):
        check_recipe(read_recipe("demo"))


def test_a_limit_that_one_input_size_meets_is_enough(workdir: Path) -> None:
    check_recipe(read_recipe("demo", ["space.resolution=[32, 224]", "limits.macs=4e6"]))


def test_this_machine_may_be_called_by_its_name(workdir: Path) -> None:
    name = f"{host_slug()}/onnxruntime-int8-b1-t1"
    check_recipe(read_recipe("demo", [f"benchmark.targets=[{name}]"]))
