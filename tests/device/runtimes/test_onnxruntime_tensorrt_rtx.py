"""ONNX Runtime with the TensorRT for RTX plugin is a runtime where there is a GPU."""

import importlib.util
from typing import ClassVar

import pytest

from pipeline.device.runtimes import onnxruntime_tensorrt_rtx
from pipeline.device.runtimes._cuda import driver_problem
from pipeline.errors import UnavailableError
from tests.device.runtimes.conformance import RuntimeConformance


class TestOnnxRuntimeTensorRtForRtx(RuntimeConformance):
    runtime: ClassVar = "onnxruntime_tensorrt_rtx"


@pytest.mark.skipif(driver_problem() is None, reason="this machine has an NVIDIA driver")
@pytest.mark.skipif(
    importlib.util.find_spec("onnxruntime_ep_nv_tensorrt_rtx") is None,
    reason="the plugin is not installed",
)
def test_without_a_driver_that_is_the_reason() -> None:
    """And the plugin itself says so."""
    assert onnxruntime_tensorrt_rtx.Runtime().unavailable() == driver_problem()
    with pytest.raises(UnavailableError, match=r"NvTensorRTRTX.* does not load: .*libcuda"):
        onnxruntime_tensorrt_rtx._plugged_in()
