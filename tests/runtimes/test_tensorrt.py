"""TensorRT is a runtime, in every precision; skipped with its own words where it cannot run."""

from typing import ClassVar

import pytest

from tests.runtimes.layer_times import LayerTimesConformance


class TestTensorRt(LayerTimesConformance):
    runtime: ClassVar = "tensorrt"
    target: ClassVar = "host/tensorrt-fp32-b{batch}"
    package: ClassVar = "tensorrt"
    unsupported: ClassVar = ("bf16",)


@pytest.mark.slow
class TestTensorRtFp16(LayerTimesConformance):
    runtime: ClassVar = "tensorrt"
    target: ClassVar = "host/tensorrt-fp16-b{batch}"
    package: ClassVar = "tensorrt"
    unsupported: ClassVar = ("bf16",)
    max_rel: ClassVar = 1e-2
    max_rel_network: ClassVar = 5e-2


@pytest.mark.slow
class TestTensorRtInt8(LayerTimesConformance):
    runtime: ClassVar = "tensorrt"
    target: ClassVar = "host/tensorrt-int8-b{batch}"
    package: ClassVar = "tensorrt"
    unsupported: ClassVar = ("bf16",)
    max_rel: ClassVar = 0.2
    max_rel_network: ClassVar = 0.5
