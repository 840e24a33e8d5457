"""What an exported network leaves as: files, how accurate they are, and which are refused."""

import json
from pathlib import Path

import pytest
import torch

from pipeline.device.model_files import FP16, FP32, INT8, INT8_SYMMETRIC, KINDS, PROGRAM
from pipeline.errors import ExportError
from pipeline.export import artefacts as exported_files
from pipeline.export.artefacts import check_accuracy, describe_files, write_files
from pipeline.export.precision import Images, make_file
from pipeline.files.whole import digest_of_file, write_record
from pipeline.images.datasets import open_dataset
from pipeline.images.epoch import Epoch
from pipeline.images.image_data import ImageData
from pipeline.network.network import Network, build_network, save_checkpoint
from pipeline.recipe.recipe import Recipe
from pipeline.recipe.resume import StageContext
from pipeline.recipe.stages import find_stage
from pipeline.records.export import ExportedFile, ExportedModel, ExportRecord
from pipeline.space.architecture import Architecture
from tests.images.conftest import _one_thread as _one_thread
from tests.report.made_up import export_record, retrain_record

ARCHITECTURE = Architecture(
    space="cream", resolution=32, num_classes=10, stages=(("mb4_3x3",),) * 5, name="small"
)


@pytest.fixture(scope="module")
def data() -> ImageData:
    return open_dataset("digits", resolution=32, seed=0)


@pytest.fixture(scope="module")
def network(data: ImageData) -> Network:
    """Trained long enough to be sure of most of its answers."""
    torch.manual_seed(0)
    network = build_network(ARCHITECTURE, seed=0).train()
    optimizer = torch.optim.AdamW(network.parameters(), 3e-3)
    for epoch in range(12):
        for images, labels in data.train_batches(Epoch(64, seed=0, number=epoch)):
            loss = torch.nn.functional.cross_entropy(network(images), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        optimizer.param_groups[0]["lr"] *= 0.8
    return network.eval()


def recipe(**export: object) -> Recipe:
    return Recipe.model_validate(
        {
            "schema_version": 1,
            "name": "small",
            "data": {"dataset": "digits"},
            "space": {"resolution": 32},
            "train": {"epochs": 1},
            "retrain": {"epochs": 1},
            "export": {"parity_images": 16, "accuracy_images": 100, **export},
        }
    )


@pytest.fixture
def retrained(workdir: Path, network: Network) -> Path:
    """A run whose network is retrained."""
    folder = workdir / "runs" / "small" / "retrain"
    folder.mkdir(parents=True)
    save_checkpoint(network, folder / "model.safetensors")
    write_record(folder / "record.json", retrain_record(ARCHITECTURE))
    return folder.parent


def export(run: Path, recipe: Recipe) -> ExportedModel:
    context = StageContext(recipe, run, run / "export", lambda label: lambda *at: None)
    record = find_stage("export").work(context)
    assert isinstance(record, ExportRecord)
    return record.models[0]


def test_every_file_is_written_and_near_fp32(retrained: Path, data: ImageData) -> None:
    model = export(retrained, recipe(precisions=["fp16", "int8"], max_accuracy_drop_percent=5))
    assert [file.file for file in model.files] == list(KINDS)
    assert model.calibration_images == 256
    by_name = {file.file: file for file in model.files}
    for name, file in by_name.items():
        path = retrained / "export" / name
        assert (file.sha256, file.size_bytes) == (digest_of_file(path), path.stat().st_size)
        assert (file.precision, file.title) == (KINDS[name].precision, KINDS[name].title)
    fp32 = by_name[FP32]
    assert fp32.accuracy_percent is not None
    assert fp32.accuracy_percent > 50
    assert (fp32.agreement, fp32.images) == (1.0, 100)
    assert fp32.sha256 == model.sha256
    assert by_name[FP16].agreement is not None
    assert by_name[FP16].agreement >= 0.99
    for name in (INT8, INT8_SYMMETRIC):
        assert by_name[name].agreement is not None
        assert by_name[name].agreement >= 0.94
        assert by_name[name].test_accuracy_percent is not None
    assert by_name[PROGRAM].accuracy_percent is None


def test_fp32_alone_is_the_default_and_needs_no_calibration(retrained: Path) -> None:
    model = export(retrained, recipe())
    assert [file.file for file in model.files] == [FP32, PROGRAM]
    assert model.calibration_images is None


def test_what_the_benchmark_reads_is_written(retrained: Path) -> None:
    target = "host/onnxruntime-int8-b1-t1"
    asked = recipe(max_accuracy_drop_percent=100).model_copy(update={"target": target})
    assert [file.file for file in export(retrained, asked).files] == [FP32, INT8, PROGRAM]
    stage = find_stage("export")
    assert stage.settings(asked)["files"] == (FP32, INT8, PROGRAM)
    assert stage.settings(recipe()) == stage.settings(recipe(precisions=["fp32"]))
    assert stage.settings(recipe()) != stage.settings(recipe(precisions=["fp16"]))
    json.dumps(stage.settings(asked))


def test_a_file_that_loses_too_much_is_refused(
    retrained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def badly(folder: Path, file: str, images: Images) -> Path:
        """Calibrated on images that are far too dark."""
        return make_file(folder, file, 0.02 * images)

    monkeypatch.setattr(exported_files, "make_file", badly)
    words = (
        r"small-cream: model\.int8\.onnx is .* points less accurate on search-validation than fp32"
    )
    with pytest.raises(ExportError, match=words) as caught:
        export(retrained, recipe(precisions=["int8"], calibration_images=64))
    assert "export.calibration_images=256" in (caught.value.hint or "")
    assert not (retrained / "export" / "record.json").exists()


def judged(name: str, accuracy: float | None) -> ExportedFile:
    return ExportedFile(
        file=name,
        precision=KINDS[name].precision,
        title="",
        sha256="",
        size_bytes=1,
        accuracy_percent=accuracy,
    )


def test_the_refusal_says_by_how_much_and_what_to_do() -> None:
    files = [judged(FP32, 91.2), judged(FP16, 91.0), judged(INT8, 88.0), judged(PROGRAM, None)]
    check_accuracy(files, "small", max_drop_percent=3.3, calibration_images=256)
    with pytest.raises(ExportError) as caught:
        check_accuracy(files, "small", max_drop_percent=1, calibration_images=256)
    assert caught.value.message == (
        "small: model.int8.onnx is 3.20 points less accurate on search-validation than fp32 "
        "(88.00 % against 91.20 %); at most 1 is allowed"
    )
    assert caught.value.hint == (
        "calibrate on more images (export.calibration_images=1024), leave int8 out of "
        "export.precisions, or allow more (export.max_accuracy_drop_percent)"
    )
    with pytest.raises(ExportError, match=r"model\.fp16\.onnx is 0\.20 points") as caught:
        check_accuracy(files, "small", max_drop_percent=0.1, calibration_images=256)
    assert (caught.value.hint or "").startswith("leave fp16 out")


def test_accuracy_is_that_of_the_network_on_all_images_of_each_split(
    network: Network, data: ImageData, tmp_path: Path
) -> None:
    from pipeline.export.to_onnx import export_network
    from pipeline.training.scoring.evaluation import tally

    export_network(network, tmp_path, batch=7)
    write_files(network, tmp_path, [FP32], batch=7, calibration=None)
    (file,) = describe_files(tmp_path, [FP32], data)
    for split, found in (
        ("search-validation", file.accuracy_percent),
        ("test", file.test_accuracy_percent),
    ):
        assert found == tally(network, data.batches(split, 64), 10).percent
    assert file.images == data.record.num_search_validation


def test_a_file_that_does_not_run_is_named(tmp_path: Path, data: ImageData) -> None:
    (tmp_path / FP32).write_bytes(b"not a model")
    with pytest.raises(ExportError, match=r"model\.onnx: does not run in ONNX Runtime"):
        describe_files(tmp_path, [FP32], data)


def test_a_network_that_is_no_program_is_named(tmp_path: Path) -> None:
    broken = build_network(ARCHITECTURE, seed=0)
    broken.conv_stem = torch.nn.Conv2d(7, 16, 3)
    with pytest.raises(ExportError, match="small: does not export to PyTorch"):
        write_files(broken, tmp_path, [PROGRAM], batch=1, calibration=None)
    assert list(tmp_path.iterdir()) == []


def test_records_without_files_still_read() -> None:
    model = export_record(ARCHITECTURE).models[0].model_dump(mode="json")
    del model["files"], model["calibration_images"]
    assert ExportedModel.model_validate(model).files == ()
