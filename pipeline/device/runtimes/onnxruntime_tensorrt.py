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
import importlib.util
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

from pipeline.device.model_files import FP16, FP32, INT8_SYMMETRIC
from pipeline.device.runtimes import file_read_by
from pipeline.device.runtimes._cuda import driver_problem
from pipeline.device.runtimes._onnx_session import (
    OnnxRuntimeSession,
    Provider,
    installed_version,
    opened,
)
from pipeline.device.runtimes.onnxruntime_cuda import NO_CPU, load_cuda_libraries, missing_provider
from pipeline.device.target import Precision, Target
from pipeline.errors import MeasurementError, UnavailableError

_LIBRARY = "libnvinfer.so.10"
_READS: dict[Precision, str] = {"fp32": FP32, "fp16": FP16, "int8": INT8_SYMMETRIC}


class Runtime:
    """ONNX Runtime's TensorRT execution provider."""

    def unavailable(self) -> str | None:
        """Why it cannot run here, or None."""
        return missing_provider("TensorRT") or driver_problem() or _missing_tensorrt()

    def version(self) -> str | None:
        """ONNX Runtime's installed version, whether or not it has the provider."""
        return installed_version()

    def reads(self, precision: Precision) -> str | None:
        """Which file it runs in that precision."""
        return _READS.get(precision)

    def build(self, model: Path, target: Target, into: Path) -> Path:
        """Copies the ONNX file to where its engine is going to be kept.

        Raises:
            UnavailableError: It has no such precision.
            MeasurementError: There is no such file.
        """
        source = model / file_read_by(self, target)
        if not source.is_file():
            raise MeasurementError(f"{source} does not exist; expected an ONNX file")
        into.mkdir(parents=True, exist_ok=True)
        return Path(shutil.copyfile(source, into / source.name))

    @contextmanager
    def open(self, artifact: Path, target: Target) -> Iterator[OnnxRuntimeSession]:
        """Loads a model, building its engine if it is not beside it yet.

        Raises:
            UnavailableError: The package, its provider, TensorRT 10 or the driver is missing.
            MeasurementError: TensorRT refuses the file, or a node of it.
        """
        reason = self.unavailable()
        if reason:
            raise UnavailableError(f"target {target.name}: {reason}")
        # TensorRT computes fp32 in TF32 unless told otherwise; the provider has no option for it.
        os.environ["NVIDIA_TF32_OVERRIDE"] = "0"
        load_cuda_libraries()
        _load_tensorrt()
        with opened(artifact, target, _provider(artifact.parent, target)) as session:
            yield session


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
    found = []
    for package in ("tensorrt_libs", "tensorrt_cu12_libs", "tensorrt_cu13_libs"):
        spec = importlib.util.find_spec(package)
        places = (spec.submodule_search_locations or []) if spec else []
        found += [path for place in places if (path := Path(place) / _LIBRARY).is_file()]
    return found


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
