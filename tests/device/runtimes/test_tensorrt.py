"""TensorRT is a runtime, in every precision; skipped with its own words where it cannot run."""

from typing import ClassVar

import pytest

from tests.device.runtimes.engines import TensorRtConformance


class TestTensorRt(TensorRtConformance):
    runtime: ClassVar = "tensorrt"
    target: ClassVar = "host/tensorrt-fp32-b{batch}"
    package: ClassVar = "tensorrt"
    unsupported: ClassVar = ("bf16",)


@pytest.mark.slow
class TestTensorRtFp16(TensorRtConformance):
    runtime: ClassVar = "tensorrt"
    target: ClassVar = "host/tensorrt-fp16-b{batch}"
    package: ClassVar = "tensorrt"
    unsupported: ClassVar = ("bf16",)
    max_rel: ClassVar = 1e-2
    max_rel_network: ClassVar = 5e-2


@pytest.mark.slow
class TestTensorRtInt8(TensorRtConformance):
    runtime: ClassVar = "tensorrt"
    target: ClassVar = "host/tensorrt-int8-b{batch}"
    package: ClassVar = "tensorrt"
    unsupported: ClassVar = ("bf16",)
    max_rel: ClassVar = 0.2
    max_rel_network: ClassVar = 0.5
