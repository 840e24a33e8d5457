"""Exports outside a recipe: folders, weights, parity, and what is refused."""

from pathlib import Path

import onnx
import pytest
import torch

from pipeline.device.model_files import FP16, FP32, PROGRAM
from pipeline.errors import CheckpointError, UnknownNameError, UsageError
from pipeline.export.architectures import PARITY_IMAGES, RANDOM_SEED, export_models
from pipeline.export.parity import measure_parity
from pipeline.files.whole import digest_of_file
from pipeline.network.network import build_network, save_checkpoint
from pipeline.space.architecture import Architecture

pytestmark = pytest.mark.usefixtures("workdir")

OUT = Path("out")
SPACE = "cream-table3-released"


def a_network(name: str | None = None, operator: str = "conv_1x1") -> Architecture:
    """Of plain convolutions, which have the fewest nodes to export."""
    return Architecture(
        space=SPACE, resolution=32, num_classes=5, stages=((operator,),) * 5, name=name
    )


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of `a_network`, with other weights than random ones of the usual seed."""
    file = tmp_path_factory.mktemp("weights") / "mine.safetensors"
    save_checkpoint(build_network(a_network(), seed=RANDOM_SEED + 1), file)
    return file


def test_several_architectures_are_exported_each_to_its_folder() -> None:
    seen: list[tuple[int, int, str]] = []
    architectures = [a_network("first one"), a_network(operator="conv_5x5")]
    record = export_models(
        architectures,
        None,
        OUT,
        batch=2,
        precisions=["fp16"],
        progress=lambda *at: seen.append(at),
    )
    assert [model.onnx for model in record.models] == [
        "first_one/model.onnx",
        f"{SPACE}-32-1/model.onnx",
    ]
    assert [model.architecture for model in record.models] == architectures
    assert seen == [(1, 2, "first one"), (2, 2, architectures[1].short)]
    for model in record.models:
        assert model.sha256 == digest_of_file(OUT / model.onnx)
        assert (model.weights, model.batch, model.opset) == ("random (seed 0)", 2, 20)
        assert model.preprocessing is None
        assert (model.parity.images, model.parity.data) == (PARITY_IMAGES, "random")
        assert model.parity.max_rel < 1e-4
        assert model.parity.top1_agreement == 1.0
        assert [file.file for file in model.files] == [FP32, FP16, PROGRAM]
        assert model.files[0].sha256 == model.sha256
        for file in model.files:
            path = (OUT / model.onnx).with_name(file.file)
            assert (file.sha256, file.size_bytes) == (digest_of_file(path), path.stat().st_size)
            assert file.accuracy_percent is None
    assert sorted(file.name for file in OUT.rglob("*.*")) == sorted([FP32, FP16, PROGRAM] * 2)


def test_int8_is_refused_without_images() -> None:
    with pytest.raises(UsageError, match="here are none") as caught:
        export_models([a_network()], None, OUT, batch=1, precisions=["int8"])
    assert "--recipe" in (caught.value.hint or "")
    assert not OUT.exists()
    with pytest.raises(UnknownNameError, match="unknown precision of a file 'int9'"):
        export_models([a_network()], None, OUT, batch=1, precisions=["int9"])


def test_a_checkpoint_is_what_is_exported(checkpoint: Path) -> None:
    record = export_models([a_network("mine")], checkpoint, OUT, batch=2)
    (model,) = record.models
    assert model.weights == "checkpoint mine.safetensors (safetensors)"
    assert [file.file for file in model.files] == [FP32, PROGRAM]
    assert model.batch == 2
    shape = onnx.load(OUT / model.onnx).graph.input[0].type.tensor_type.shape
    assert [dim.dim_value for dim in shape.dim] == [2, 3, 32, 32]
    images = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    with_them = measure_parity(
        build_network(a_network(), seed=RANDOM_SEED + 1), OUT / model.onnx, images, "random"
    )
    without = measure_parity(
        build_network(a_network(), seed=RANDOM_SEED), OUT / model.onnx, images, "random"
    )
    assert with_them.max_rel < 1e-4
    assert without.max_rel > 0.1


@pytest.mark.parametrize("count", [0, 2])
def test_one_checkpoint_is_of_one_architecture(checkpoint: Path, count: int) -> None:
    with pytest.raises(UsageError, match=f"given for {count} architectures") as caught:
        export_models([a_network(str(n)) for n in range(count)], checkpoint, OUT, batch=None)
    assert caught.value.hint
    assert not OUT.exists()


def test_a_checkpoint_of_another_network_is_refused_and_leaves_nothing(checkpoint: Path) -> None:
    with pytest.raises(CheckpointError):
        export_models([a_network(operator="conv_5x5")], checkpoint, OUT, batch=None)
    assert not OUT.exists()


@pytest.mark.parametrize(
    ("names", "folder"),
    [
        (["same", "same"], "same"),
        (["a b", "a/b"], "a_b"),
        ([f"{SPACE}-32-1", None], f"{SPACE}-32-1"),
    ],
)
def test_two_architectures_do_not_share_a_folder(names: list[str | None], folder: str) -> None:
    with pytest.raises(UsageError, match=f"would be written to '{folder}'"):
        export_models([a_network(name) for name in names], None, OUT, batch=None)
    assert not OUT.exists()


@pytest.mark.parametrize("name", ["../outside", "/outside", "..", ".", "…/\0", "a" * 50 + "/"])
def test_no_name_leads_out_of_the_folder(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[Path] = []

    def stop(network: object, into: Path, *, batch: int | None) -> Path:
        written.append(into)
        raise KeyboardInterrupt

    monkeypatch.setattr("pipeline.export.architectures.export_network", stop)
    with pytest.raises(KeyboardInterrupt):
        export_models([a_network(name)], None, OUT, batch=None)
    (into,) = written
    assert into.resolve().parent == OUT.resolve()
    assert "\0" not in str(into)
