"""ONNX Runtime on an NVIDIA GPU, by its CUDA execution provider.

The package is `onnxruntime-gpu`, which takes the place of `onnxruntime`. Every run is one CUDA
graph on fixed addresses; convolutions are chosen by trying all; fp32 is fp32, not TF32; a node that
would run on the CPU is an error.
"""

from __future__ import annotations

import contextlib
import sys
from contextlib import AbstractContextManager
from pathlib import Path
from typing import ClassVar

from pipeline.device.model_files import FP16, FP32
from pipeline.device.runtimes._cuda import driver_problem
from pipeline.device.runtimes._onnx_session import (
    DISTRIBUTIONS,
    OnnxRuntimeSession,
    Provider,
    opened,
)
from pipeline.device.runtimes._packaged import (
    Files,
    PackagedRuntime,
    folders_of,
    missing,
    version_of,
)
from pipeline.device.target import Target

NO_CPU = {"session.disable_cpu_ep_fallback": "1"}
_PROVIDER = Provider(
    "CUDAExecutionProvider",
    {
        "device_id": "0",
        "use_tf32": "0",
        "cudnn_conv_algo_search": "EXHAUSTIVE",
        "cudnn_conv_use_max_workspace": "1",
        "enable_cuda_graph": "1",
    },
    NO_CPU,
    on_gpu=True,
)


class Runtime(PackagedRuntime):
    """ONNX Runtime's CUDA execution provider, which has no kernels for int8."""

    distributions = DISTRIBUTIONS
    files: ClassVar[Files] = {"fp32": FP32, "fp16": FP16}

    def unavailable(self) -> str | None:
        """Why it cannot run here, or None."""
        return missing_provider("CUDA") or driver_problem()

    def open(self, artifact: Path, target: Target) -> AbstractContextManager[OnnxRuntimeSession]:
        """Loads a model.

        Raises:
            UnavailableError: The package, its provider or the driver is missing, or it would
                compute in another precision.
            MeasurementError: ONNX Runtime refuses the file, or would run a node on the CPU.
        """
        self.require(target)
        load_cuda_libraries()
        return opened(artifact, target, _PROVIDER)


def missing_provider(name: str) -> str | None:
    """Why the installed package has no such provider, or None; imports nothing.

    Args:
        name: `CUDA` or `TensorRT`.
    """
    if missing("onnxruntime"):
        return (
            "the package onnxruntime-gpu is not installed; it replaces onnxruntime, so give it an "
            "environment of its own and name that in the device's profile (python: ...)"
        )
    library = f"libonnxruntime_providers_{name.lower()}.so"
    if any((folder / "capi" / library).is_file() for folder in folders_of("onnxruntime")):
        return None
    return (
        f"onnxruntime-gpu is not installed: onnxruntime {version_of(DISTRIBUTIONS)} has no {name} "
        "provider; onnxruntime-gpu replaces it, so give that an environment of its own and name "
        "it in the device's profile (python: ...)"
    )


def load_cuda_libraries() -> None:
    """Loads CUDA and cuDNN from their packages, if they are installed as such.

    What is not found there is looked for on the system's path, and its absence is told when a
    session opens.
    """
    import onnxruntime as ort

    # It reports by printing, and standard output is not its own.
    with contextlib.redirect_stdout(sys.stderr):
        ort.preload_dlls()
