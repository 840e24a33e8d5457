"""ONNX Runtime's CUDA provider is a runtime."""

from pathlib import Path
from typing import ClassVar

import pytest

from pipeline.device.runtimes import onnxruntime_cuda
from tests.device.runtimes.conformance import PrecisionConformance, RuntimeConformance


@pytest.mark.gpu
class TestOnnxRuntimeCuda(RuntimeConformance):
    runtime: ClassVar = "onnxruntime_cuda"
    kept_mib: ClassVar = 64.0


@pytest.mark.gpu
class TestOnnxRuntimeCudaFp16(PrecisionConformance):
    runtime: ClassVar = "onnxruntime_cuda"
    precision: ClassVar = "fp16"
    max_rel: ClassVar = 1e-2
    max_rel_network: ClassVar = 3e-2


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of an ONNX Runtime that is as empty as the folder."""
    monkeypatch.setattr(onnxruntime_cuda, "folders_of", lambda name: [tmp_path])
    return tmp_path


@pytest.mark.usefixtures("package")
def test_a_package_without_the_provider_is_told() -> None:
    reason = onnxruntime_cuda.Runtime().unavailable()
    assert reason
    assert "onnxruntime-gpu is not installed: onnxruntime " in reason
    assert "environment of its own" in reason


def test_without_any_package_that_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnxruntime_cuda, "missing", lambda name: "missing")
    reason = onnxruntime_cuda.Runtime().unavailable()
    assert reason
    assert reason.startswith("the package onnxruntime-gpu is not installed; it replaces")


def test_with_the_provider_it_depends_on_the_driver(
    package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (package / "capi").mkdir()
    (package / "capi/libonnxruntime_providers_cuda.so").touch()
    for told in ("no driver", None):
        monkeypatch.setattr(onnxruntime_cuda, "driver_problem", lambda told=told: told)
        assert onnxruntime_cuda.Runtime().unavailable() == told
