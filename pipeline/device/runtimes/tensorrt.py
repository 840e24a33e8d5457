"""TensorRT 10 and 11 on NVIDIA GPUs.

Precision is the file's on both: networks are strongly typed. fp32 is fp32, since TF32 is off.
"""

from __future__ import annotations

from typing import Any

from pipeline.device.runtimes._tensorrt_runtime import EngineRuntime, carried, imported


class Runtime(EngineRuntime):
    """TensorRT."""

    name = "tensorrt"
    module = "tensorrt"
    distributions = (
        "tensorrt",
        "tensorrt_cu13",
        "tensorrt_cu12",
        "tensorrt_cu13_bindings",
        "tensorrt_cu12_bindings",
    )
    library = "libnvinfer.so.{major}"
    extra = "pip install 'cream-pipeline[tensorrt]'"
    compute_capability = None
    keeps_timings = True

    def load_module(self) -> Any:
        """Imports TensorRT.

        Raises:
            UnavailableError: It is missing, or a library it needs is.
        """
        return imported(self.module, self.extra)

    def brings_library(self, library: str) -> bool:
        """Whether the wheel with its libraries is installed."""
        return bool(carried(("tensorrt_libs",), library))
