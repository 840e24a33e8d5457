"""ONNX Runtime on the CPU.

A fp16 model is computed in fp32 on x86, with casts around it: such a target ends in an error that
says so. On CPUs with half-precision kernels (some of Arm's) it runs.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from pipeline.device.model_files import FP16, FP32, INT8
from pipeline.device.runtimes import LayerTimes, check_precision, file_read_by
from pipeline.device.runtimes._blocks import attribute, module_of
from pipeline.device.runtimes._onnx_session import (
    CPU,
    OnnxRuntimeSession,
    installed_version,
    missing_package,
    opened,
    profiled,
)
from pipeline.device.target import Precision, Target
from pipeline.errors import UnavailableError

_READS: dict[Precision, str] = {"fp32": FP32, "fp16": FP16, "int8": INT8}


class Runtime:
    """ONNX Runtime's CPU execution provider."""

    def unavailable(self) -> str | None:
        """Why it cannot run here, or None."""
        return missing_package()

    def version(self) -> str | None:
        """The installed version."""
        return installed_version()

    def reads(self, precision: Precision) -> str | None:
        """Which file it runs in that precision."""
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
            UnavailableError: The package is missing, or would compute in another precision.
            MeasurementError: ONNX Runtime refuses the file.
        """
        self._require(target)
        with opened(artifact, target, CPU) as session:
            yield session

    def layer_times(
        self, artifact: Path, target: Target, *, warm_runs: int, runs: int
    ) -> LayerTimes:
        """Profiles a network; see `pipeline.device.runtimes.ProfilingRuntime`.

        The mean of the faster half of the runs counts: a disturbance makes a run slower, never
        faster. A node's time holds one to two microseconds of the profiler's own.

        Raises:
            UnavailableError: The package is missing, or would compute in another precision.
            MeasurementError: The model does not load or run, or names no blocks.
        """
        self._require(target)
        found = profiled(artifact, target, CPU, runs=runs, warm_runs=warm_runs)
        check_precision(target, found[0].precision, artifact)
        kept = sorted(found, key=lambda run: run.total_ms)[: -(-runs // 2)]
        nodes_ms = np.mean([run.nodes_ms for run in kept], axis=0)
        total_ms = float(np.mean([run.total_ms for run in kept]))
        modules = [module_of(name) for name in kept[0].names]
        return attribute(
            list(zip(modules, nodes_ms.tolist(), strict=True)), total_ms, str(artifact)
        )

    def _require(self, target: Target) -> None:
        reason = self.unavailable()
        if reason:
            raise UnavailableError(f"target {target.name}: {reason}")
