"""ONNX Runtime's CUDA provider is a runtime."""

from pathlib import Path
from typing import ClassVar

import pytest

from pipeline.device.runtimes import onnxruntime_cuda
from tests.device.runtimes.conformance import GpuConformance


@pytest.mark.gpu
class TestOnnxRuntimeCuda(GpuConformance):
    runtime: ClassVar = "onnxruntime_cuda"
    target: ClassVar = "host/onnxruntime_cuda-fp32-b{batch}"
    package: ClassVar = "onnxruntime"
    unsupported: ClassVar = ("bf16", "int8")
    kept_mib: ClassVar = 64.0


@pytest.mark.gpu
class TestOnnxRuntimeCudaFp16(TestOnnxRuntimeCuda):
    target: ClassVar = "host/onnxruntime_cuda-fp16-b{batch}"
    max_rel: ClassVar = 1e-2
    max_rel_network: ClassVar = 3e-2


class Spec:
    def __init__(self, place: Path) -> None:
        self.submodule_search_locations = [str(place)]


def test_a_package_without_the_provider_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(onnxruntime_cuda.importlib.util, "find_spec", lambda name: Spec(tmp_path))
    reason = onnxruntime_cuda.Runtime().unavailable()
    assert reason
    assert "onnxruntime-gpu is not installed" in reason
    assert "environment of its own" in reason


def test_with_the_provider_it_depends_on_the_driver(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "capi").mkdir()
    (tmp_path / "capi/libonnxruntime_providers_cuda.so").touch()
    monkeypatch.setattr(onnxruntime_cuda.importlib.util, "find_spec", lambda name: Spec(tmp_path))
    monkeypatch.setattr(onnxruntime_cuda, "driver_problem", lambda: "no driver")
    assert onnxruntime_cuda.Runtime().unavailable() == "no driver"
    monkeypatch.setattr(onnxruntime_cuda, "driver_problem", lambda: None)
    assert onnxruntime_cuda.Runtime().unavailable() is None
