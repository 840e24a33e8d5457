"""ONNX Runtime on the CPU.

What decides its latency is fixed, not left to defaults: threads, sequential execution, all graph
optimisations, inputs and outputs bound once.
"""

from __future__ import annotations

import importlib.util
import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.device import Precision, Target
from pipeline.errors import MeasurementError, UnavailableError
from pipeline.model_files import FP32
from pipeline.runtimes import (
    Feed,
    Inputs,
    LayerTimes,
    check_feed,
    file_read_by,
    random_feed,
)
from pipeline.runtimes._blocks import attribute, module_of

_PROVIDERS = ["CPUExecutionProvider"]
_TYPES: dict[str, np.dtype[np.generic]] = {
    "tensor(float)": np.dtype(np.float32),
    "tensor(float16)": np.dtype(np.float16),
    "tensor(int64)": np.dtype(np.int64),
    "tensor(uint8)": np.dtype(np.uint8),
    "tensor(int8)": np.dtype(np.int8),
}


class Runtime:
    """ONNX Runtime's CPU execution provider."""

    def unavailable(self) -> str | None:
        """Why it cannot run here, or None."""
        if importlib.util.find_spec("onnxruntime") is None:
            return "the package onnxruntime is not installed (pip install onnxruntime)"
        return None

    def version(self) -> str | None:
        """The installed version."""
        try:
            return metadata.version("onnxruntime")
        except metadata.PackageNotFoundError:
            return None

    def reads(self, precision: Precision) -> str | None:
        """Which file it runs in that precision."""
        return FP32 if precision == "fp32" else None

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
            UnavailableError: The package is missing.
            MeasurementError: ONNX Runtime refuses the file.
        """
        yield self._load(artifact, target)

    def layer_times(
        self, artifact: Path, target: Target, *, warm_runs: int, runs: int
    ) -> LayerTimes:
        """Profiles a network; see `pipeline.runtimes.ProfilingRuntime`.

        The mean of the faster half of the runs counts: a disturbance makes a run slower, never
        faster. A node's time holds one to two microseconds of the profiler's own.

        Raises:
            UnavailableError: The package is missing.
            MeasurementError: The model does not load or run, or names no blocks.
        """
        with tempfile.TemporaryDirectory() as folder:
            session = self._load(artifact, target, profile_into=Path(folder))
            session.bind(random_feed(session.inputs()))
            for _ in range(warm_runs + runs):
                session.run_bound()
            profiled = session.end_profiling()[warm_runs:]
        if len(profiled) != runs:
            raise MeasurementError(
                f"{artifact}: ONNX Runtime's profile holds {len(profiled)} of {runs} runs",
                hint="ask for fewer runs",
            )
        kept = sorted(profiled, key=lambda run: run.total_ms)[: -(-runs // 2)]
        nodes_ms = np.mean([run.nodes_ms for run in kept], axis=0)
        total_ms = float(np.mean([run.total_ms for run in kept]))
        modules = [module_of(name) for name in kept[0].names]
        return attribute(
            list(zip(modules, nodes_ms.tolist(), strict=True)), total_ms, str(artifact)
        )

    def _load(
        self, artifact: Path, target: Target, *, profile_into: Path | None = None
    ) -> OnnxRuntimeSession:
        reason = self.unavailable()
        if reason:
            raise UnavailableError(f"target {target.name}: {reason}")
        import onnxruntime as ort

        if not artifact.exists():
            raise MeasurementError(f"{artifact} does not exist; expected an ONNX file")
        options = ort.SessionOptions()
        options.intra_op_num_threads = target.threads or 1
        options.inter_op_num_threads = 1
        options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
        options.add_free_dimension_override_by_name("batch", target.batch)
        options.log_severity_level = 3
        if profile_into is not None:
            options.enable_profiling = True
            options.profile_file_prefix = str(profile_into / "profile")
        try:
            session = ort.InferenceSession(str(artifact), options, providers=_PROVIDERS)
        except Exception as error:  # noqa: BLE001  (its exceptions share no base class)
            raise MeasurementError(f"{artifact}: ONNX Runtime refuses it: {error}") from None
        return OnnxRuntimeSession(session, ort, artifact)


class _ProfiledRun(NamedTuple):
    """One run in a profile; nodes are in the order in which they ran."""

    total_ms: float
    names: list[str]
    nodes_ms: list[float]


class OnnxRuntimeSession:
    """A loaded model; see `pipeline.runtimes.Session`."""

    def __init__(self, session: Any, ort: Any, artifact: Path) -> None:
        self._session = session
        self._ort = ort
        self._artifact = artifact
        self._binding = session.io_binding()

    @property
    def precision_as_built(self) -> str:
        """ONNX Runtime computes in the types of the file; its inputs tell them."""
        types = {str(dtype) for _, dtype in self.inputs().values()}
        return "fp32" if types == {"float32"} else "+".join(sorted(types))

    def inputs(self) -> Inputs:
        """Shape and type of each input."""
        found: Inputs = {}
        for given in self._session.get_inputs():
            if not all(isinstance(side, int) for side in given.shape):
                raise MeasurementError(
                    f"input {given.name!r} has free dimensions {given.shape}; "
                    "only one named `batch` may be free"
                )
            if given.type not in _TYPES:
                raise MeasurementError(f"input {given.name!r} has type {given.type}, not handled")
            found[given.name] = (tuple(given.shape), _TYPES[given.type])
        return found

    def run(self, feed: Feed) -> dict[str, NDArray[np.generic]]:
        """Runs once."""
        check_feed(feed, self.inputs())
        names = [output.name for output in self._session.get_outputs()]
        try:
            return dict(zip(names, self._session.run(names, dict(feed)), strict=True))
        except Exception as error:  # noqa: BLE001  (its exceptions share no base class)
            raise MeasurementError(self._message(error)) from None

    def bind(self, feed: Feed) -> None:
        """Sets the inputs of `run_bound`."""
        check_feed(feed, self.inputs())
        self._binding.clear_binding_inputs()
        self._binding.clear_binding_outputs()
        for name, value in feed.items():
            array = np.ascontiguousarray(value)
            self._binding.bind_ortvalue_input(name, self._ort.OrtValue.ortvalue_from_numpy(array))
        for output in self._session.get_outputs():
            self._binding.bind_output(output.name)

    def run_bound(self) -> None:
        """Runs on the bound inputs."""
        try:
            self._session.run_with_iobinding(self._binding)
        except Exception as error:  # noqa: BLE001  (as in `run`)
            raise MeasurementError(self._message(error)) from None

    def end_profiling(self) -> list[_ProfiledRun]:
        """Every run so far of a session that profiles."""
        return list(_runs_of(json.loads(Path(self._session.end_profiling()).read_bytes())))

    def _message(self, error: Exception) -> str:
        return f"{self._artifact}: ONNX Runtime does not run it: {error}"


def _runs_of(events: list[dict[str, Any]]) -> Iterator[_ProfiledRun]:
    """Splits a profile into runs: an event is written when it ends, so a run's comes last."""
    names: list[str] = []
    nodes_ms: list[float] = []
    for event in events:
        if event["cat"] == "Node":
            names.append(event["name"])
            nodes_ms.append(event["dur"] / 1e3)
        elif event["name"] == "model_run":
            yield _ProfiledRun(event["dur"] / 1e3, names, nodes_ms)
            names, nodes_ms = [], []
