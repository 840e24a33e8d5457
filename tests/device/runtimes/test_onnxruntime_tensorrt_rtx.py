"""ONNX Runtime with the TensorRT for RTX plugin is a runtime where there is a GPU."""

import importlib.util
from pathlib import Path
from typing import ClassVar

import pytest

from pipeline.device import runtimes
from pipeline.device.runtimes import onnxruntime_tensorrt_rtx
from pipeline.device.runtimes._cuda import driver_problem
from pipeline.device.target import Target
from pipeline.errors import UnavailableError
from tests.device.runtimes.conformance import RuntimeConformance


class TestOnnxRuntimeTensorRtForRtx(RuntimeConformance):
    runtime: ClassVar = "onnxruntime_tensorrt_rtx"


@pytest.mark.skipif(driver_problem() is None, reason="this machine has an NVIDIA driver")
@pytest.mark.skipif(
    importlib.util.find_spec("onnxruntime_ep_nv_tensorrt_rtx") is None,
    reason="the plugin is not installed",
)
class TestWithoutADriver:
    def test_the_reason_is_the_driver(self, tmp_path: Path) -> None:
        engine = runtimes.find("onnxruntime_tensorrt_rtx")
        assert engine.unavailable() == driver_problem()
        target = Target.parse("host/onnxruntime_tensorrt_rtx-fp32-b1")
        with (
            pytest.raises(UnavailableError, match="driver"),
            engine.open(tmp_path / "model.onnx", target),
        ):
            pass

    def test_the_plugin_itself_says_why_it_does_not_load(self) -> None:
        with pytest.raises(UnavailableError, match=r"NvTensorRTRTX.* does not load: .*libcuda"):
            onnxruntime_tensorrt_rtx._plugged_in()
