"""ONNX Runtime on the CPU is a runtime."""

from pathlib import Path
from typing import ClassVar

import pytest

from pipeline import runtimes
from pipeline.errors import UnknownNameError
from tests.runtimes.conformance import RuntimeConformance
from tests.runtimes.layer_times import LayerTimesConformance


class TestOnnxRuntime(LayerTimesConformance, RuntimeConformance):
    runtime: ClassVar = "onnxruntime"
    target: ClassVar = "host/onnxruntime-fp32-b{batch}-t1"
    package: ClassVar = "onnxruntime"
    unsupported: ClassVar = ("bf16", "fp16", "int8")


def test_every_file_is_a_runtime_and_has_its_test() -> None:
    files = {path.stem for path in Path(runtimes.__file__).parent.glob("*.py")} - {"__init__"}
    assert set(runtimes.names()) == {name for name in files if not name.startswith("_")}
    tests = {path.stem.removeprefix("test_") for path in Path(__file__).parent.glob("test_*.py")}
    assert {name.removeprefix("_") for name in files} == tests
    for name in runtimes.names():
        assert runtimes.find(name)


def test_an_unknown_runtime_is_named_with_those_there_are() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown runtime 'onnx'; known: .*onnxruntime"):
        runtimes.find("onnx")
