"""What an exported network leaves as: files, how accurate they are, and which are refused."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from pipeline.device.model_files import FP16, FP32, INT8, INT8_SYMMETRIC, KINDS, PROGRAM
from pipeline.errors import ExportError
from pipeline.export.artefacts import check_accuracy, describe_files, write_files
from pipeline.export.precision import make_file
from pipeline.files.whole import digest_of_file, read_record, write_record
from pipeline.images.datasets import open_dataset
from pipeline.images.epoch import Epoch
from pipeline.images.image_data import ImageData
from pipeline.network.network import Network, build_network, save_checkpoint
from pipeline.recipe.recipe import Recipe
from pipeline.recipe.resume import StageContext
from pipeline.recipe.stages import find_stage
from pipeline.records.export import ExportedFile, ExportedModel, ExportRecord
from pipeline.space.architecture import Architecture
from pipeline.training.scoring.evaluation import tally
from tests.images.conftest import _one_thread as _one_thread
from tests.report.made_up import export_record, retrain_record

ARCHITECTURE = Architecture(
    space="cream-table3-released",
    resolution=32,
    num_classes=10,
    stages=(("conv_3x3",),) * 5,
    name="small",
)


@pytest.fixture(scope="module")
def data() -> ImageData:
    return open_dataset("digits", resolution=32, seed=0)


@pytest.fixture(scope="module")
def network() -> Network:
    """Trained long enough to be sure of most of its answers."""
    few = open_dataset("digits", resolution=32, seed=0, max_train=384)
    torch.manual_seed(0)
    network = build_network(ARCHITECTURE, seed=0).train()
    optimizer = torch.optim.AdamW(network.parameters(), 4e-3)
    for epoch in range(6):
        for images, labels in few.train_batches(Epoch(32, seed=0, number=epoch)):
            loss = torch.nn.functional.cross_entropy(network(images), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        optimizer.param_groups[0]["lr"] *= 0.65
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


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, network: Network) -> Path:
    """A run whose network is retrained and exported in every precision."""
    place = tmp_path_factory.mktemp("runs") / "small"
    (place / "retrain").mkdir(parents=True)
    save_checkpoint(network, place / "retrain" / "model.safetensors")
    write_record(place / "retrain" / "record.json", retrain_record(ARCHITECTURE))
    # A batch that no split is a multiple of: the last call is filled up.
    asked = recipe(precisions=["fp16", "int8"], max_accuracy_drop_percent=5, batch=7)
    context = StageContext(asked, place, place / "export", lambda label: lambda *at: None)
    record = find_stage("export").work(context)
    write_record(place / "export" / "record.json", record)
    return place


@pytest.fixture
def exported(run: Path, tmp_path: Path) -> Path:
    """A copy of the exported files."""
    return Path(shutil.copytree(run / "export", tmp_path / "export"))


def test_every_file_is_written_and_near_fp32(run: Path) -> None:
    (model,) = read_record(run / "export" / "record.json", ExportRecord).models
    assert [file.file for file in model.files] == list(KINDS)
    assert model.calibration_images == 256
    by_name = {file.file: file for file in model.files}
    for name, file in by_name.items():
        path = run / "export" / name
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


@pytest.mark.parametrize(
    ("target", "precisions", "files"),
    [
        ("host/onnxruntime-fp32-b1-t1", [], [FP32, PROGRAM]),
        ("host/onnxruntime-fp32-b1-t1", ["fp32"], [FP32, PROGRAM]),
        ("host/onnxruntime-int8-b1-t1", [], [FP32, INT8, PROGRAM]),
        ("host/onnxruntime-fp32-b1-t1", ["fp16", "int8"], list(KINDS)),
    ],
)
def test_what_is_asked_for_and_what_the_benchmark_reads_is_written(
    target: str, precisions: list[str], files: list[str]
) -> None:
    asked = recipe(precisions=precisions).model_copy(update={"target": target})
    settings = find_stage("export").settings(asked)
    assert list(settings["files"]) == files
    json.dumps(settings)


def test_a_file_that_loses_too_much_is_refused(exported: Path, data: ImageData) -> None:
    """It was calibrated on images that are far too dark."""
    dark = 0.02 * data.sample("train", 64).contiguous().numpy()
    (exported / INT8).unlink()
    make_file(exported, INT8, dark)
    described = describe_files(exported, [FP32, INT8], data, images=100)
    words = r"small: model\.int8\.onnx is .* points less accurate on search-validation than fp32"
    with pytest.raises(ExportError, match=words) as caught:
        check_accuracy(described, "small", max_drop_percent=1, calibration_images=64)
    assert "export.calibration_images=256" in (caught.value.hint or "")


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
    run: Path, network: Network, data: ImageData
) -> None:
    (file,) = describe_files(run / "export", [FP32], data)
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
