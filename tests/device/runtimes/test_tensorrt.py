"""TensorRT is a runtime, in every precision; skipped with its own words where it cannot run."""

from typing import ClassVar

from tests.device.runtimes.engines import (
    TensorRtConformance,
    TensorRtFp16Conformance,
    TensorRtInt8Conformance,
)


class TestTensorRt(TensorRtConformance):
    runtime: ClassVar = "tensorrt"


class TestTensorRtFp16(TensorRtFp16Conformance):
    runtime: ClassVar = "tensorrt"


class TestTensorRtInt8(TensorRtInt8Conformance):
    runtime: ClassVar = "tensorrt"
