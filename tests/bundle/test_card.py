"""What a bundle says of itself: everything asked for, nothing of this machine's places."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from PIL import Image

from pipeline.bundle.card import Bundle
from pipeline.bundle.latency import target_latencies
from pipeline.device.model_files import PROGRAM
from pipeline.export.classifier import OnnxClassifier
from pipeline.files.whole import read_record
from pipeline.recipe.data import open_data
from pipeline.records.benchmark import EngineAnswers
from tests.bundle import made
from tests.bundle.conftest import MARK, Made
from tests.report.made_up import first_result, without
from tests.report.made_up_measuring import environment


def test_the_card_reads_as_what_it_was_written_from(bundle: Made) -> None:
    assert read_record(bundle.folder / "model.json", Bundle) == bundle.card
    assert bundle.card.architecture == made.architecture()
    assert [stage.operators for stage in bundle.card.stages] == [("MB4 3×3",)] * 5
    assert [stage.channels for stage in bundle.card.stages] == [24, 40, 80, 96, 192]
    assert bundle.card.labels == tuple(map(str, range(10)))
    assert (bundle.card.native_size, bundle.card.input.resolution) == ((8, 8), 32)


def test_each_file_has_its_own_accuracy(bundle: Made) -> None:
    exported = {file.file: file for file in bundle.inputs.export.models[0].files}
    assert {file.file for file in bundle.card.files} == set(exported) - {PROGRAM}
    assert len(bundle.card.files) == 4
    for file in bundle.card.files:
        source = exported[file.file]
        assert file.test_accuracy_percent == source.test_accuracy_percent
        assert file.search_validation_accuracy_percent == source.accuracy_percent
        assert file.agreement_with_fp32 == source.agreement
        assert (file.test_images, file.search_validation_images) == (50, 50)
        assert file.tolerance.max_rms >= 1e-5
        assert "logits of 80 images" in file.tolerance.derivation
    assert bundle.card.left_out == {PROGRAM: "needs PyTorch; it is in the run's export folder"}


def test_accuracy_is_that_of_the_file_in_the_bundle(bundle: Made) -> None:
    data = open_data(bundle.recipe)
    images, labels = next(iter(data.batches("test", 50)))
    for file in bundle.card.files:
        top = OnnxClassifier(bundle.folder / file.file, threads=1)(images.contiguous().numpy())
        right = float((top.argmax(1) == labels.numpy()).mean())
        assert 100 * right == pytest.approx(file.test_accuracy_percent)


def test_a_target_is_predicted_and_measured_or_it_is_said_why_not(bundle: Made) -> None:
    own, other, away = bundle.card.latency
    slug = environment().device
    assert own.target == made.TARGET.replace("host", slug)
    assert (own.runtime, own.precision, own.batch, own.threads) == ("onnxruntime", "fp32", 1, 1)
    assert (own.measured.typical_ms, own.measured.by) == (0.42, "benchmark")
    assert own.predicted.typical_ms == 0.4
    assert own.measured.machine.cpu == environment().cpu
    assert "onnxruntime" in own.measured.machine.packages
    assert any("did not hold still" in doubt and "7.5 %" in doubt for doubt in own.doubts)
    assert (other.file, other.measured) == ("model.onnx", None)
    assert other.measurement_missing == "openvino is not installed"
    assert "profile --target host/openvino-fp32-b1-t1" in (other.prediction_missing or "")
    assert away.target == made.AWAY
    assert away.measured is None
    assert "benchmark --recipe small" in (away.measurement_missing or "")


def test_before_the_benchmark_verification_is_what_was_measured(bundle: Made) -> None:
    own = target_latencies(without(bundle.inputs, "benchmark"), made.architecture(), environment())[
        0
    ]
    assert (own.measured.typical_ms, own.measured.by) == (0.41, "verify")
    assert any("not benchmarked since" in doubt for doubt in own.doubts)


def test_an_engine_that_answers_wrongly_has_no_latency(bundle: Made) -> None:
    wrong = EngineAnswers(
        images=256, accuracy_percent=45, file_accuracy_percent=86, agreement=0.5, wrong=True
    )
    inputs = first_result(bundle.inputs, latency_ms=None, answers=wrong, error="it is wrong")
    own = target_latencies(inputs, made.architecture(), environment())[0]
    assert (own.measured, own.measurement_missing) == (None, "it is wrong")


def test_limits_are_checked_as_measured(bundle: Made) -> None:
    latency, macs = bundle.card.limits
    assert (latency.limit, latency.value, latency.verdict) == (made.LIMIT_MS, 0.42, "met")
    assert (macs.quantity, macs.value, macs.verdict) == ("macs", bundle.card.macs, "met")


def test_test_vectors_are_the_first_images_of_the_test_split(bundle: Made) -> None:
    data = open_data(bundle.recipe)
    images, labels = next(iter(data.batches("test", 16)))
    with np.load(bundle.folder / bundle.card.vectors.file) as kept:
        np.testing.assert_array_equal(kept["inputs"], images.numpy())
        np.testing.assert_array_equal(kept["labels"], labels.numpy())
        for file in bundle.card.files:
            assert kept[file.file].shape == (16, 10)
        with torch.inference_mode():
            logits = bundle.network(images).numpy()
        np.testing.assert_allclose(kept["model.onnx"], logits, atol=1e-4)
    assert [image.label for image in bundle.card.vectors.images] == [
        str(n) for n in labels.tolist()
    ]
    with Image.open(bundle.folder / bundle.card.vectors.images[0].file) as picture:
        assert (picture.mode, picture.size) == ("L", (8, 8))


def test_no_file_names_a_place_a_user_or_a_machine(bundle: Made) -> None:
    files = [path for path in bundle.folder.rglob("*") if path.is_file()]
    assert len(files) > 12
    assert MARK in str(bundle.folder)
    home = str(Path.home()).encode()
    for path in files:
        content = path.read_bytes()
        assert MARK.encode() not in content, path
        assert home not in content, path
    with zipfile.ZipFile(bundle.folder / bundle.card.vectors.file) as arrays:
        assert all(MARK.encode() not in arrays.read(name) for name in arrays.namelist())


def test_onnx_files_hold_no_source_lines(bundle: Made) -> None:
    for file in bundle.card.files:
        model = onnx.load(bundle.folder / file.file)
        assert {item.key for item in model.metadata_props} == {"architecture"}
        for node in model.graph.node:
            assert node.doc_string == ""
            assert {item.key for item in node.metadata_props} <= {"place"}


def test_the_model_card_is_filled_in(bundle: Made) -> None:
    text = (bundle.folder / "README.md").read_text(encoding="utf-8")
    assert "{{" not in text
    assert "None" not in re.sub(r"`None`", "", text)
    for file in bundle.card.files:
        assert f"| `{file.file}` |" in text
    assert "self-test: passed" in text
    assert "openvino is not installed" in text
    assert "CC BY 4.0" in text
    assert "did not hold still" in text


def test_the_example_in_the_model_card_is_of_this_very_model(bundle: Made) -> None:
    text = (bundle.folder / "README.md").read_text(encoding="utf-8")
    (shown,) = re.findall(r"\$ python infer\.py (vectors/\S+)\n\1\n\s+([\d.]+) %  (\d)\n", text)
    with np.load(bundle.folder / bundle.card.vectors.file) as kept:
        logits = kept["model.onnx"][0].astype(np.float64)
    shares = np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()
    assert shown[2] == str(shares.argmax())
    assert float(shown[1]) == pytest.approx(100 * shares.max(), abs=0.02)


def test_the_code_in_the_model_card_loads_the_network_in_timm(
    bundle: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (bundle.folder / "README.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    monkeypatch.chdir(bundle.folder)
    names: dict[str, torch.nn.Module] = {}
    exec(code, names)
    with np.load(bundle.card.vectors.file) as kept, torch.inference_mode():
        found = names["network"](torch.from_numpy(kept["inputs"])).numpy()
        np.testing.assert_allclose(found, kept["model.onnx"], atol=1e-4)
