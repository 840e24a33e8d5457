"""ONNX Runtime on NVIDIA GPUs of GeForce and RTX kind, by the TensorRT for RTX plugin.

The plugin adds to the ordinary `onnxruntime` package, which has no CUDA memory of its own: every
run copies its inputs to the GPU and its outputs back, and its latency holds that. A node that would
run on the CPU is an error. Networks are strongly typed, so what is computed in is what the file
says; the plugin does not tell it. The `tensorrt_rtx` runtime tells what was built, and times the
GPU alone.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

from pipeline.device.model_files import FP16, FP32, INT8_SYMMETRIC
from pipeline.device.runtimes._cuda import driver_problem
from pipeline.device.runtimes._onnx_session import OnnxRuntimeSession
from pipeline.device.runtimes._packaged import Files, PackagedRuntime, missing
from pipeline.device.target import Target
from pipeline.errors import MeasurementError, UnavailableError

_PLUGIN = "onnxruntime_ep_nv_tensorrt_rtx"
_EXTRA = "pip install 'cream-pipeline[tensorrt-rtx]'"


class Runtime(PackagedRuntime):
    """ONNX Runtime's TensorRT for RTX plugin, whose version this is."""

    distributions = ("onnxruntime_ep_nv_tensorrt_rtx_cu13", "onnxruntime_ep_nv_tensorrt_rtx")
    files: ClassVar[Files] = {"fp32": FP32, "fp16": FP16, "int8": INT8_SYMMETRIC}

    def unavailable(self) -> str | None:
        """Why it cannot run here, or None."""
        return missing("onnxruntime") or missing(_PLUGIN, _EXTRA) or driver_problem()

    @contextmanager
    def open(self, artifact: Path, target: Target) -> Iterator[OnnxRuntimeSession]:
        """Loads a model, building its engine.

        Raises:
            UnavailableError: A package or the driver is missing, or the plugin finds no GPU.
            MeasurementError: The file is missing, or refused with a node of it.
        """
        self.require(target)
        if not artifact.exists():
            raise MeasurementError(f"{artifact} does not exist; expected an ONNX file")
        # There is no option for it, and fp32 would be computed in TF32.
        os.environ["NVIDIA_TF32_OVERRIDE"] = "0"
        ort, devices = _plugged_in()
        options = _options(ort, target, devices)
        try:
            session = ort.InferenceSession(str(artifact), options)
        except Exception as error:  # noqa: BLE001  (its exceptions share no base class)
            raise MeasurementError(f"{artifact}: ONNX Runtime refuses it: {error}") from None
        loaded = OnnxRuntimeSession(session, ort, artifact, on_gpu=False)
        loaded.precision_as_built = target.precision
        with closing(loaded):
            yield loaded


@lru_cache(maxsize=1)
def _plugged_in() -> tuple[Any, tuple[Any, ...]]:
    """ONNX Runtime with the plugin registered, and the plugin's devices.

    Raises:
        UnavailableError: The plugin does not load, or finds no GPU.
    """
    import onnxruntime as ort
    import onnxruntime_ep_nv_tensorrt_rtx as plugin

    name = plugin.get_ep_name()
    try:
        ort.register_execution_provider_library(name, plugin.get_library_path())
    except Exception as error:  # noqa: BLE001  (its exceptions share no base class)
        raise UnavailableError(f"{name} does not load: {error}") from None
    devices = tuple(device for device in ort.get_ep_devices() if device.ep_name == name)
    if not devices:
        raise UnavailableError(f"{name} finds no GPU it can use; it needs Ampere or newer")
    return ort, devices[:1]


def _options(ort: Any, target: Target, devices: tuple[Any, ...]) -> Any:
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_free_dimension_override_by_name("batch", target.batch)
    options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    options.add_provider_for_devices(list(devices), {})
    return options
