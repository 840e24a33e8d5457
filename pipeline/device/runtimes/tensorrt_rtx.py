"""TensorRT for RTX on NVIDIA GPUs of GeForce and RTX kind.

It compiles without a GPU too, for kinds of GPU that are named; what is compiled for the GPU at hand
is finished when it is loaded.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pipeline.device.runtimes._tensorrt_build import BuildSettings, Built, build_engine
from pipeline.device.runtimes._tensorrt_runtime import (
    EngineRuntime,
    carried,
    imported,
    load_for_all,
)
from pipeline.errors import UnavailableError

_LIBRARIES = ("libtensorrt_rtx.so.1", "libtensorrt_onnxparser_rtx.so.1")
_LIBRARY_PACKAGES = ("onnxruntime_ep_nv_tensorrt_rtx", "tensorrt_rtx_libs")


class Runtime(EngineRuntime):
    """TensorRT for RTX."""

    name = "tensorrt_rtx"
    module = "tensorrt_rtx_bindings"
    distributions = ("tensorrt_rtx_cu13_bindings", "tensorrt_rtx_cu12_bindings", "tensorrt_rtx")
    library = "libtensorrt_rtx.so.{major}"
    extra = "pip install 'cream-pipeline[tensorrt-rtx]'"
    compute_capability = "CURRENT"
    keeps_timings = False  # its timing cache does nothing

    def load_module(self) -> Any:
        """Imports TensorRT for RTX, its libraries first.

        Raises:
            UnavailableError: It is missing, or a library it needs is.
        """
        for library in _LIBRARIES:
            # Not by importing the package that carries them, which writes links beside them and
            # changes where this process's children look for libraries.
            for file in carried(_LIBRARY_PACKAGES, library)[:1]:
                load_for_all(file, self.extra)
        return imported(self.module, self.extra)

    def brings_library(self, library: str) -> bool:
        """Whether a package that carries its libraries is installed."""
        return bool(carried(_LIBRARY_PACKAGES, library))


def compile_ahead(file: Path, *, batch: int, compute_capability: str) -> Built:
    """Builds an engine where there is no GPU: what TensorRT makes of a model can be looked at.

    Args:
        file: An ONNX file.
        batch: Images a call, where the file leaves that free.
        compute_capability: The kind of GPU, such as `SM89`.

    Raises:
        UnavailableError: TensorRT for RTX is not installed, or knows no such GPU.
        MeasurementError: It refuses the file.
    """
    runtime = Runtime()
    problem = runtime.build_problem()
    if problem:
        raise UnavailableError(problem)
    return build_engine(runtime.load_module(), file, BuildSettings(batch, compute_capability))
