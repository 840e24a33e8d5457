"""ONNX Runtime on the CPU.

A fp16 model is computed in fp32 on x86, with casts around it: such a target ends in an error that
says so. On CPUs with half-precision kernels (some of Arm's) it runs.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import ClassVar

from pipeline.device.model_files import FP16, FP32, INT8
from pipeline.device.runtimes import LayerTimes, check_precision
from pipeline.device.runtimes._blocks import attribute_mean, faster_half, module_of
from pipeline.device.runtimes._onnx_session import (
    CPU,
    DISTRIBUTIONS,
    OnnxRuntimeSession,
    opened,
    profiled,
)
from pipeline.device.runtimes._packaged import Files, PackagedRuntime, missing
from pipeline.device.target import Target


class Runtime(PackagedRuntime):
    """ONNX Runtime's CPU execution provider."""

    distributions = DISTRIBUTIONS
    files: ClassVar[Files] = {"fp32": FP32, "fp16": FP16, "int8": INT8}

    def unavailable(self) -> str | None:
        """Why it cannot run here, or None."""
        return missing("onnxruntime")

    def open(self, artifact: Path, target: Target) -> AbstractContextManager[OnnxRuntimeSession]:
        """Loads a model.

        Raises:
            UnavailableError: The package is missing, or would compute in another precision.
            MeasurementError: ONNX Runtime refuses the file.
        """
        self.require(target)
        return opened(artifact, target, CPU)

    def layer_times(
        self, artifact: Path, target: Target, *, warm_runs: int, runs: int
    ) -> LayerTimes:
        """Profiles a network; see `pipeline.device.runtimes.ProfilingRuntime`.

        The mean of the faster half of the runs counts. A node's time holds one to two microseconds
        of the profiler's own.

        Raises:
            UnavailableError: The package is missing, or would compute in another precision.
            MeasurementError: The model does not load or run, or names no blocks.
        """
        self.require(target)
        found = profiled(artifact, target, CPU, runs=runs, warm_runs=warm_runs)
        check_precision(target, found[0].precision, artifact)
        kept = faster_half(found)
        return attribute_mean([module_of(name) for name in kept[0].names], kept, str(artifact))
