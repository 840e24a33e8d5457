"""ONNX Runtime's TensorRT provider is a runtime."""

from pathlib import Path
from typing import ClassVar

import pytest

from pipeline.device.runtimes import onnxruntime_tensorrt
from pipeline.device.target import Target
from pipeline.errors import MeasurementError
from tests.device.runtimes.conformance import PrecisionConformance, RuntimeConformance
from tests.device.runtimes.models import small_model


@pytest.mark.gpu
class TestOnnxRuntimeTensorRt(RuntimeConformance):
    runtime: ClassVar = "onnxruntime_tensorrt"
    kept_mib: ClassVar = 64.0


@pytest.mark.gpu
class TestOnnxRuntimeTensorRtFp16(PrecisionConformance):
    runtime: ClassVar = "onnxruntime_tensorrt"
    precision: ClassVar = "fp16"
    max_rel: ClassVar = 1e-2
    max_rel_network: ClassVar = 3e-2


def test_it_needs_tensorrt_10(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnxruntime_tensorrt, "missing_provider", lambda name: None)
    monkeypatch.setattr(onnxruntime_tensorrt, "driver_problem", lambda: None)
    monkeypatch.setattr(onnxruntime_tensorrt, "_LIBRARY", "libnvinfer_there_is_not.so.10")
    onnxruntime_tensorrt._missing_tensorrt.cache_clear()
    reason = onnxruntime_tensorrt.Runtime().unavailable()
    onnxruntime_tensorrt._missing_tensorrt.cache_clear()
    assert reason
    assert "TensorRT 10 is not installed (libnvinfer_there_is_not.so.10 not found" in reason


def test_its_artifact_is_a_copy_beside_which_engines_may_be_kept(tmp_path: Path) -> None:
    model = small_model(tmp_path / "m")
    target = Target.parse("host/onnxruntime_tensorrt-fp32-b1")
    built = onnxruntime_tensorrt.Runtime().build(model, target, tmp_path / "built")
    assert built.parent == tmp_path / "built"
    assert built.read_bytes() == (model / "model.onnx").read_bytes()
    with pytest.raises(MeasurementError, match=r"nothing.*does not exist"):
        onnxruntime_tensorrt.Runtime().build(tmp_path / "nothing", target, tmp_path / "built")


@pytest.mark.parametrize(("precision", "flags"), [("fp32", "00"), ("fp16", "10"), ("int8", "01")])
def test_the_engine_may_be_of_the_targets_precision_only(
    tmp_path: Path, precision: str, flags: str
) -> None:
    target = Target.parse(f"host/onnxruntime_tensorrt-{precision}-b1")
    options = onnxruntime_tensorrt._provider(tmp_path, target).options
    assert options["trt_fp16_enable"] + options["trt_int8_enable"] == flags
    assert options["trt_engine_cache_path"] == str(tmp_path)
