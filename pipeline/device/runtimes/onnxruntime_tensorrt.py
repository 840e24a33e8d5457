"""ONNX Runtime on an NVIDIA GPU, by its TensorRT execution provider.

The provider is a part of `onnxruntime-gpu` and needs TensorRT 10, whose libraries cannot share a
process with TensorRT 11: it wants an environment of its own. Engines and timings are kept in the
folder of the model's artifact. The whole model is one engine, run as one CUDA graph: a node that
would run elsewhere is an error.

Which precision each layer has is TensorRT's choice where fp16 is allowed, and this provider does
not tell it: `precision_as_built` is what was allowed. The `tensorrt` runtime tells what was built.
"""

from __future__ import annotations

import ctypes
import os
import shutil
from contextlib import AbstractContextManager
from functools import lru_cache
from pathlib import Path
from typing import ClassVar

from pipeline.device.model_files import FP16, FP32, INT8_SYMMETRIC
from pipeline.device.runtimes._cuda import driver_problem
from pipeline.device.runtimes._onnx_session import (
    DISTRIBUTIONS,
    OnnxRuntimeSession,
    Provider,
    opened,
)
from pipeline.device.runtimes._packaged import Files, PackagedRuntime, folders_of
from pipeline.device.runtimes.onnxruntime_cuda import NO_CPU, load_cuda_libraries, missing_provider
from pipeline.device.target import Target
from pipeline.errors import MeasurementError, UnavailableError

_LIBRARY = "libnvinfer.so.10"


class Runtime(PackagedRuntime):
    """ONNX Runtime's TensorRT execution provider."""

    distributions = DISTRIBUTIONS
    files: ClassVar[Files] = {"fp32": FP32, "fp16": FP16, "int8": INT8_SYMMETRIC}

    def unavailable(self) -> str | None:
        """Why it cannot run here, or None."""
        return missing_provider("TensorRT") or driver_problem() or _missing_tensorrt()

    def build(self, model: Path, target: Target, into: Path) -> Path:
        """Copies the ONNX file to where its engine is going to be kept.

        Raises:
            UnavailableError: It has no such precision.
            MeasurementError: There is no such file.
        """
        source = super().build(model, target, into)
        if not source.is_file():
            raise MeasurementError(f"{source} does not exist; expected an ONNX file")
        into.mkdir(parents=True, exist_ok=True)
        return Path(shutil.copyfile(source, into / source.name))

    def open(self, artifact: Path, target: Target) -> AbstractContextManager[OnnxRuntimeSession]:
        """Loads a model, building its engine if it is not beside it yet.

        Raises:
            UnavailableError: The package, its provider, TensorRT 10 or the driver is missing.
            MeasurementError: TensorRT refuses the file, or a node of it.
        """
        self.require(target)
        # TensorRT computes fp32 in TF32 unless told otherwise; the provider has no option for it.
        os.environ["NVIDIA_TF32_OVERRIDE"] = "0"
        load_cuda_libraries()
        _load_tensorrt()
        return opened(artifact, target, _provider(artifact.parent, target))


def _provider(folder: Path, target: Target) -> Provider:
    fp16 = "1" if target.precision == "fp16" else "0"
    int8 = "1" if target.precision == "int8" else "0"
    options = {
        "device_id": "0",
        "trt_fp16_enable": fp16,
        "trt_bf16_enable": "0",
        "trt_int8_enable": int8,
        "trt_cuda_graph_enable": "1",
        "trt_engine_cache_enable": "1",
        "trt_engine_cache_path": str(folder),
        "trt_timing_cache_enable": "1",
        "trt_timing_cache_path": str(folder),
    }
    return Provider(
        "TensorrtExecutionProvider",
        options,
        NO_CPU,
        on_gpu=True,
        computes=target.precision,
    )


def _packaged() -> list[Path]:
    """TensorRT's library in its Python package, of whose names there have been two."""
    packages = ("tensorrt_libs", "tensorrt_cu12_libs", "tensorrt_cu13_libs")
    places = [folder / _LIBRARY for package in packages for folder in folders_of(package)]
    return [place for place in places if place.is_file()]


@lru_cache(maxsize=1)
def _missing_tensorrt() -> str | None:
    """Whether TensorRT 10 is here; looks for the file first, since loading it takes a second."""
    if _packaged():
        return None
    try:
        ctypes.CDLL(_LIBRARY)
    except OSError:
        return (
            f"TensorRT 10 is not installed ({_LIBRARY} not found; pip install tensorrt-cu13==10.*)"
        )
    return None


def _load_tensorrt() -> None:
    """The provider finds the library by its name alone, which works once it is loaded."""
    for path in _packaged()[:1]:
        try:
            ctypes.CDLL(str(path), mode=ctypes.RTLD_GLOBAL)
        except OSError as error:
            raise UnavailableError(f"{path} does not load: {error}") from None
