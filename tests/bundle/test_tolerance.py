"""What the self-test allows: other kernels of the same file, no fault of it or of its input."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper

from pipeline.bundle import infer
from pipeline.bundle.answers import AS_DEVICES_DO, answers
from pipeline.bundle.tolerance import tolerance
from pipeline.errors import ExportError
from pipeline.export.classifier import BY_THE_STANDARD
from pipeline.images.photo import photo_preprocessing
from pipeline.records.dataset import Preprocessing
from tests.bundle.conftest import Made

Images = NDArray[np.float32]
FILES = ("model.onnx", "model.fp16.onnx", "model.int8.onnx", "model.int8-symmetric.onnx")


def passes(bundle: Made, file: str, found: Images) -> bool:
    """Whether `infer.py` takes these for the file's logits of the images kept."""
    (card,) = (it for it in bundle.card.files if it.file == file)
    with np.load(bundle.folder / bundle.card.vectors.file) as kept:
        return bool(infer.judge(file, found, kept[file], card.tolerance.max_rms)["ok"])


def kept_inputs(bundle: Made) -> Images:
    with np.load(bundle.folder / bundle.card.vectors.file) as kept:
        return kept["inputs"]


def weight_of(model: onnx.ModelProto, convolution: onnx.NodeProto) -> onnx.TensorProto:
    """The tensor that scales its weights: that of the quantization in int8."""
    made_by = {name: node for node in model.graph.node for name in node.output}
    name = convolution.input[1]
    while name in made_by:
        node = made_by[name]
        name = node.input[1 if node.op_type == "DequantizeLinear" else 0]
    (tensor,) = (it for it in model.graph.initializer if it.name == name)
    return tensor


def with_weights_scaled(source: Path, by: float, into: Path) -> Path:
    """The file with the weights of its middle convolution scaled."""
    model = onnx.load(source)
    convolutions = [
        node for node in model.graph.node if node.op_type == "Conv" and ".se." not in node.name
    ]
    tensor = weight_of(model, convolutions[len(convolutions) // 2])
    values = numpy_helper.to_array(tensor)
    tensor.CopyFrom(numpy_helper.from_array((values * by).astype(values.dtype), tensor.name))
    onnx.save(model, into)
    return into


@pytest.mark.parametrize("file", FILES)
def test_other_kernels_pass(bundle: Made, file: str) -> None:
    for setting in AS_DEVICES_DO:
        assert passes(bundle, file, answers(bundle.folder / file, kept_inputs(bundle), setting))


@pytest.mark.parametrize("file", FILES)
def test_what_is_kept_is_what_the_file_says(bundle: Made, file: str) -> None:
    with np.load(bundle.folder / bundle.card.vectors.file) as kept:
        said = answers(bundle.folder / file, kept["inputs"], BY_THE_STANDARD)
        np.testing.assert_allclose(kept[file], said, atol=1e-5)


def test_kernels_that_are_wrong_are_no_measure(bundle: Made) -> None:
    """As where a machine loses what a register held: logits are those of other classes."""
    path, inputs = bundle.folder / "model.int8.onnx", kept_inputs(bundle)
    said = answers(path, inputs, BY_THE_STANDARD)
    how = bundle.card.preprocessing
    assert tolerance(path, inputs, said, how, precision="int8").max_rms < 0.5
    with pytest.raises(ExportError, match="computes it wrongly on this machine") as caught:
        tolerance(path, inputs, np.roll(said, 1, axis=1), how, precision="int8")
    assert "another CPU" in (caught.value.hint or "")


@pytest.mark.parametrize("by", [0.0, 1.5])
@pytest.mark.parametrize("file", FILES)
def test_a_spoilt_convolution_is_caught(bundle: Made, file: str, by: float, tmp_path: Path) -> None:
    same = with_weights_scaled(bundle.folder / file, 1.0, tmp_path / "same.onnx")
    assert passes(bundle, file, answers(same, kept_inputs(bundle)))
    spoilt = with_weights_scaled(bundle.folder / file, by, tmp_path / "spoilt.onnx")
    assert not passes(bundle, file, answers(spoilt, kept_inputs(bundle)))


@pytest.mark.parametrize("file", FILES)
def test_a_wrong_mean_or_deviation_is_caught(bundle: Made, file: str) -> None:
    how, inputs = bundle.card.preprocessing, kept_inputs(bundle)
    mean, std = (np.float32(values[0]) for values in (how.mean, how.std))
    scaled = inputs * std + mean
    wrong = [scaled / std, scaled - mean, scaled * 255]
    if ".int8" not in file:
        # Near the right scale; within the rounding of a network trained as little as this one.
        wrong.append(2 * scaled - 1)
    for inputs in wrong:
        assert not passes(bundle, file, answers(bundle.folder / file, inputs))


@pytest.mark.parametrize("file", FILES)
def test_swapped_colours_are_caught(bundle: Made, file: str) -> None:
    """Gray images have no colours to swap: the same network is shown smooth coloured ones."""
    how = photo_preprocessing(bundle.card.input.resolution)
    images = coloured(how, 24)
    path = bundle.folder / file
    (precision,) = (it.precision for it in bundle.card.files if it.file == file)
    expected = answers(path, images, BY_THE_STANDARD)
    allowed = tolerance(path, images, expected, how, precision=precision).max_rms
    first, expected = images[:16], expected[:16]
    assert infer.judge(file, answers(path, first), expected, allowed)["ok"]
    swapped = answers(path, np.ascontiguousarray(first[:, ::-1]))
    assert not infer.judge(file, swapped, expected, allowed)["ok"]


def coloured(how: Preprocessing, n: int) -> Images:
    """Ramps between two colours at random."""
    rng = np.random.default_rng(0)
    share = np.linspace(0, 1, how.resolution)[:, None] * np.ones(how.resolution)
    one, other = rng.uniform(0, 1, (2, n, 3, 1, 1))
    mean, std = (np.array(values).reshape(3, 1, 1) for values in (how.mean, how.std))
    return ((one + (other - one) * share - mean) / std).astype(np.float32)


def test_the_least_is_that_of_the_precision(bundle: Made) -> None:
    fp32, fp16, *int8 = (file.tolerance for file in bundle.card.files)
    assert fp32.max_rms == 1e-5
    assert "84 roundings of float32" in fp32.derivation
    assert fp16.max_rms == pytest.approx(0.0039, abs=1e-4)
    assert all(fp16.max_rms < it.max_rms for it in int8)
    assert "one step in which its logits are quantized" in int8[0].derivation


def test_the_rule_is_as_written() -> None:
    expected = np.array([[1.0, -1.0, 3.0], [0.0, 6.0, 6.1]])
    spread = np.sqrt(expected.var(axis=1).mean())
    assert infer.distance(expected + 0.5, expected) == pytest.approx(0.5 / spread)
    within = infer.judge("it", expected + 0.5, expected, 0.51 / spread)
    assert (within["ok"], within["clear_classes_changed"]) == (True, 0)
    assert not infer.judge("it", expected + 0.5, expected, 0.49 / spread)["ok"]
    assert not infer.judge("it", expected * np.nan, expected, 10.0)["ok"]


def test_a_class_may_change_only_where_it_was_close() -> None:
    expected = np.zeros((8, 10))
    expected[:, 0], expected[:, 1] = 4.0, 3.9
    close, clear = expected.copy(), expected.copy()
    close[0, 1] = 4.1
    assert infer.judge("it", close, expected, 0.2)["ok"]
    expected[:, 1] = clear[:, 1] = 2.0
    clear[0, 1] = 4.1
    found = infer.judge("it", clear, expected, 0.2)
    assert (found["ok"], found["clear_classes_changed"]) == (False, 1)
    assert found["found"] < found["allowed"]
