"""ONNX Runtime on an NVIDIA GPU, by its CUDA execution provider.

The package is `onnxruntime-gpu`, which takes the place of `onnxruntime`. Every run is one CUDA
graph on fixed addresses; convolutions are chosen by trying all; fp32 is fp32, not TF32; a node that
would run on the CPU is an error.
"""

from __future__ import annotations

import contextlib
import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.device.model_files import FP16, FP32
from pipeline.device.runtimes import file_read_by
from pipeline.device.runtimes._cuda import driver_problem
from pipeline.device.runtimes._onnx_session import (
    OnnxRuntimeSession,
    Provider,
    installed_version,
    missing_package,
    opened,
)
from pipeline.device.target import Precision, Target
from pipeline.errors import UnavailableError

NO_CPU = {"session.disable_cpu_ep_fallback": "1"}
_READS: dict[Precision, str] = {"fp32": FP32, "fp16": FP16}
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


class Runtime:
    """ONNX Runtime's CUDA execution provider."""

    def unavailable(self) -> str | None:
        """Why it cannot run here, or None."""
        return missing_provider("CUDA") or driver_problem()

    def version(self) -> str | None:
        """The installed version, whether or not it has the provider."""
        return installed_version()

    def reads(self, precision: Precision) -> str | None:
        """Which file it runs in that precision; int8 has no kernels in this provider."""
        return _READS.get(precision)

    def build(self, model: Path, target: Target, into: Path) -> Path:
        """Checks the precision; the ONNX file itself is the artifact.

        Raises:
            UnavailableError: It has no such precision.
        """
        del into
        return model / file_read_by(self, target)

    @contextmanager
    def open(self, artifact: Path, target: Target) -> Iterator[OnnxRuntimeSession]:
        """Loads a model.

        Raises:
            UnavailableError: The package, its provider or the driver is missing, or it would
                compute in another precision.
            MeasurementError: ONNX Runtime refuses the file, or would run a node on the CPU.
        """
        reason = self.unavailable()
        if reason:
            raise UnavailableError(f"target {target.name}: {reason}")
        load_cuda_libraries()
        with opened(artifact, target, _PROVIDER) as session:
            yield session


def missing_provider(name: str) -> str | None:
    """Why the installed package has no such provider, or None; imports nothing.

    Args:
        name: `CUDA` or `TensorRT`.
    """
    missing = missing_package()
    spec = None if missing else importlib.util.find_spec("onnxruntime")
    if spec is None:
        return (
            "the package onnxruntime-gpu is not installed; it replaces onnxruntime, so give it an "
            "environment of its own and name that in the device's profile (python: ...)"
        )
    library = f"libonnxruntime_providers_{name.lower()}.so"
    places = spec.submodule_search_locations or []
    if any((Path(place) / "capi" / library).is_file() for place in places):
        return None
    return (
        f"onnxruntime-gpu is not installed: onnxruntime {installed_version()} has no {name} "
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
