"""TensorRT is a runtime, in every precision; skipped with its own words where it cannot run."""

from typing import ClassVar

import pytest

from tests.device.runtimes.engines import (
    TensorRtConformance,
    TensorRtFp16Conformance,
    TensorRtInt8Conformance,
)


class TestTensorRt(TensorRtConformance):
    runtime: ClassVar = "tensorrt"


@pytest.mark.slow
class TestTensorRtFp16(TensorRtFp16Conformance):
    runtime: ClassVar = "tensorrt"


@pytest.mark.slow
class TestTensorRtInt8(TensorRtInt8Conformance):
    runtime: ClassVar = "tensorrt"
