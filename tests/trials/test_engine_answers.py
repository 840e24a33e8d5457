"""Whether an engine computes what its file says: judged on made-up logits, and asked for real."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import numpy_helper

from pipeline.device.model_files import FP32, INT8
from pipeline.device.target import Target
from pipeline.errors import ExportError, UnavailableError
from pipeline.export.cache import cached_network
from pipeline.trials.engine_answers import Exam, compare, examine
from tests.measure.tiny import RESOLUTION, TARGET, networks

IN_INT8 = Target.parse("host/onnxruntime-int8-b3-t1")


def exam_of(labels: list[int], max_drop_percent: float = 1.0) -> Exam:
    """Images that nobody looks at."""
    return Exam(np.zeros((len(labels), 3, 1, 1), np.float32), np.array(labels), max_drop_percent)


def sure_of(classes: list[int]) -> NDArray[np.float32]:
    return np.eye(10, dtype=np.float32)[classes]


def test_an_engine_that_answers_as_its_file_does_is_right() -> None:
    labels, said = [1] * 50 + [2] * 50, [1] * 90 + [3] * 10
    found = compare(sure_of(said), sure_of(said), exam_of(labels, 0))
    assert (found.images, found.agreement, found.wrong) == (100, 1.0, False)
    assert found.accuracy_percent == found.file_accuracy_percent == 50


def test_one_that_loses_far_more_than_is_allowed_is_wrong() -> None:
    labels = [1] * 1000
    said, told = [1] * 867 + [2] * 133, [1] * 450 + [2] * 550
    found = compare(sure_of(told), sure_of(said), exam_of(labels, 5))
    assert (found.file_accuracy_percent, found.accuracy_percent) == (86.7, 45.0)
    assert found.wrong


def test_chance_is_no_fault() -> None:
    labels, said = [1] * 256, [1] * 220 + [2] * 36
    # Seven of 256 lost, 2.7 points: a standard error of 1.0.
    near = compare(sure_of([1] * 213 + [2] * 43), sure_of(said), exam_of(labels, 1))
    assert near.accuracy_percent < near.file_accuracy_percent - 2.7
    assert not near.wrong
    assert compare(sure_of([1] * 200 + [2] * 56), sure_of(said), exam_of(labels, 1)).wrong


def test_answers_that_are_no_numbers_are_wrong() -> None:
    logits = sure_of([1] * 20)
    logits[3, 4] = np.nan
    assert compare(logits, sure_of([1] * 20), exam_of([0] * 20, 100)).wrong


@given(
    st.lists(st.tuples(*[st.integers(0, 9)] * 3), min_size=1, max_size=60),
    st.floats(0, 100),
)
def test_more_allowed_makes_no_engine_wrong(
    answers: list[tuple[int, int, int]], allowed: float
) -> None:
    labels, told, said = (list(them) for them in zip(*answers, strict=True))
    found = compare(sure_of(told), sure_of(said), exam_of(labels, allowed))
    stricter = compare(sure_of(told), sure_of(said), exam_of(labels, 0))
    assert found.wrong <= stricter.wrong
    assert 0 <= found.agreement <= 1
    # An engine that loses nothing is never wrong.
    assert not stricter.wrong or found.accuracy_percent < found.file_accuracy_percent


@pytest.fixture
def images() -> NDArray[np.float32]:
    return (
        np.random.default_rng(1).standard_normal((7, 3, RESOLUTION, RESOLUTION)).astype(np.float32)
    )


def model_in(file: str, batch: int) -> Path:
    return cached_network(networks()[0], batch=batch, file=file)


@pytest.mark.usefixtures("bench_dir")
def test_engines_are_asked_for_real(images: NDArray[np.float32]) -> None:
    exam = Exam(images, np.zeros(len(images), np.int64), 1.0)
    found = examine(TARGET, "it", model_in(FP32, 1), exam)
    assert (found.images, found.agreement, found.wrong) == (7, 1.0, False)
    # Three a call, the last call filled up.
    found = examine(IN_INT8, "it", model_in(INT8, 3), exam)
    assert found.agreement >= 6 / 7


@pytest.mark.usefixtures("bench_dir")
def test_an_engine_that_runs_other_weights_than_the_file_says_is_found_out(
    images: NDArray[np.float32], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if its kernels were wrong: the file is read as it is, the engine is given another."""
    shutil.copytree(model_in(FP32, 1), tmp_path / "right")
    shutil.copytree(tmp_path / "right", tmp_path / "spoilt")
    model = onnx.load(tmp_path / "spoilt" / FP32)
    for tensor in model.graph.initializer:
        if tensor.name.endswith("classifier.weight"):
            values = numpy_helper.to_array(tensor)
            tensor.CopyFrom(numpy_helper.from_array(-values, tensor.name))
    onnx.save(model, tmp_path / "spoilt" / FP32)
    said = examine(TARGET, "it", tmp_path / "right", Exam(images, np.zeros(7, np.int64), 1.0))
    assert said.agreement == 1
    from pipeline.trials import engine_answers

    real = engine_answers.reference_classifier
    monkeypatch.setattr(
        engine_answers, "reference_classifier", lambda path: real(tmp_path / "right" / path.name)
    )
    labels = real(tmp_path / "right" / FP32)(images).argmax(axis=1)
    found = examine(TARGET, "it", tmp_path / "spoilt", Exam(images, labels, 1.0))
    assert (found.file_accuracy_percent, found.wrong) == (100, True)
    assert found.accuracy_percent < 50


@pytest.mark.usefixtures("bench_dir")
def test_what_cannot_be_asked_is_told(images: NDArray[np.float32], tmp_path: Path) -> None:
    exam = Exam(images, np.zeros(len(images), np.int64), 1.0)
    away = Target.parse("another-board/onnxruntime-fp32-b1-t1")
    with pytest.raises(UnavailableError, match="is on another-board"):
        examine(away, "it", model_in(FP32, 1), exam)
    with pytest.raises(ExportError, match="does not run in ONNX Runtime"):
        examine(TARGET, "it", model_in(FP32, 1), exam._replace(images=images[:, :, :4]))
