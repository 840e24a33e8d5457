"""OpenVINO on the CPU.

What decides its latency is fixed, not left to defaults: threads, one stream, and the precision,
which on CPUs with bf16 instructions would be bf16.

Batches run in one stream on all threads too. Splitting a batch between as many streams as there are
threads gained nothing on two cores: 2.85 against 2.88 ms at batch 4 and 8.2 against 6.9 ms at batch
8 (medians of 40, cream-14 at 64 px in fp32, 2 threads of a Xeon).
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from pipeline.device.model_files import FP32, INT8_SYMMETRIC
from pipeline.device.runtimes import (
    Feed,
    Inputs,
    LayerTimes,
    check_feed,
    check_precision,
    random_feed,
)
from pipeline.device.runtimes._blocks import attribute, module_of
from pipeline.device.runtimes._onnx_wire import signature
from pipeline.device.runtimes._packaged import Files, PackagedRuntime, missing
from pipeline.device.target import Precision, Target
from pipeline.errors import MeasurementError, UnavailableError

_TYPES: dict[str, np.dtype[np.generic]] = {
    "f32": np.dtype(np.float32),
    "f16": np.dtype(np.float16),
    "i64": np.dtype(np.int64),
    "u8": np.dtype(np.uint8),
    "i8": np.dtype(np.int8),
}
_PRECISIONS = {"f32": "fp32", "f16": "fp16", "bf16": "bf16", "u8": "int8", "i8": "int8"}
_COMPUTING = frozenset({"Convolution", "Deconvolution", "FullyConnected", "MatMul"})
# They hold and move values and compute nothing.
_NOT_COMPUTING = frozenset({"Const", "Convert", "Input", "Output", "Reorder", "Reshape"})
# What is not quantised in an int8 model stays in fp32.
_HINTS: dict[Precision, str] = {"fp32": "f32", "bf16": "bf16", "fp16": "f16", "int8": "f32"}
# Without the instructions bf16 runs nevertheless, through fp32 and several times as slow.
_NEEDS: dict[Precision, str] = {"bf16": "BF16", "fp16": "FP16"}


class Runtime(PackagedRuntime):
    """OpenVINO's CPU plugin; bf16 and fp16 are made of fp32."""

    distributions = ("openvino",)
    # Of the flavours of int8 the symmetric one is faster by a third (`pipeline.export.precision`).
    files: ClassVar[Files] = {"fp32": FP32, "bf16": FP32, "fp16": FP32, "int8": INT8_SYMMETRIC}

    def unavailable(self) -> str | None:
        """Why it cannot run here, or None."""
        return missing("openvino")

    def open(self, artifact: Path, target: Target) -> AbstractContextManager[OpenVinoSession]:
        """Loads a model.

        Raises:
            UnavailableError: The package is missing, or this CPU has no such precision.
            MeasurementError: OpenVINO refuses the file.
        """
        return self._load(artifact, target, _settings(target))

    def layer_times(
        self, artifact: Path, target: Target, *, warm_runs: int, runs: int
    ) -> LayerTimes:
        """Profiles a network; see `pipeline.device.runtimes.ProfilingRuntime`.

        OpenVINO keeps averages only, so that a disturbance stays in them: profile again at another
        time and take the smaller. It cuts times to whole microseconds twice: about a microsecond of
        each node is in the rest.

        Raises:
            UnavailableError: The package is missing, or this CPU has no such precision.
            MeasurementError: The model does not load or run, or names no blocks.
        """
        settings = {**_settings(target), "PERF_COUNT": True}
        with self._load(artifact, target, settings) as session:
            session.bind(random_feed(session.inputs()))
            total_ms, nodes = session.profile(warm_runs, runs)
        return attribute(nodes, total_ms, str(artifact))

    @contextmanager
    def _load(
        self, artifact: Path, target: Target, settings: dict[str, Any]
    ) -> Iterator[OpenVinoSession]:
        self.require(target)
        if not artifact.exists():
            raise MeasurementError(f"{artifact} does not exist; expected an ONNX file")
        _check_capability(target)
        signature = _read_signature(artifact, target.batch)
        compiled = _compile(artifact, signature, settings)
        session = OpenVinoSession(compiled, signature, artifact)
        session.inputs()  # types that are not handled have no precision either
        check_precision(target, session.precision_as_built, artifact)
        with closing(session):
            yield session


class _Signature(NamedTuple):
    """What OpenVINO forgets of an ONNX file: the names of free dimensions and of outputs.

    Attributes:
        inputs: Shape of each input, the target's batch filled in.
        outputs: Names of the outputs, in order.
    """

    inputs: dict[str, list[int]]
    outputs: list[str]


class OpenVinoSession:
    """A loaded model; see `pipeline.device.runtimes.Session`."""

    def __init__(self, compiled: Any, signature: _Signature, artifact: Path) -> None:
        self._compiled = compiled
        self._signature = signature
        self._artifact = artifact
        self._bound = compiled.create_infer_request()

    def close(self) -> None:
        """Gives the model's memory back, whoever still holds the session."""
        self._bound = self._compiled = None

    @property
    def precision_as_built(self) -> str:
        """What convolutions and matrix products are computed in, by OpenVINO's own graph."""
        computing: set[str] = set()
        others: set[str] = set()
        for node in self._compiled.get_runtime_model().get_ops():
            facts = node.get_rt_info()
            kind = str(facts["layerType"].value)
            precision = _PRECISIONS.get(str(facts["runtimePrecision"].value))
            if precision is None or kind in _NOT_COMPUTING:
                continue
            (computing if kind in _COMPUTING else others).add(precision)
        # Without a node that computes (a model of integers, say) the setting is all there is.
        return "+".join(sorted(computing or others)) or self._hinted()

    def _hinted(self) -> str:
        return _PRECISIONS[self._compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name()]

    def inputs(self) -> Inputs:
        """Shape and type of each input."""
        found: Inputs = {}
        for given in self._compiled.inputs:
            name = _name_of(given, self._signature)
            kind = given.element_type.get_type_name()
            if kind not in _TYPES:
                raise MeasurementError(f"input {name!r} has type {kind}, not handled")
            found[name] = (tuple(self._signature.inputs[name]), _TYPES[kind])
        return found

    def run(self, feed: Feed) -> dict[str, NDArray[np.generic]]:
        """Runs once, on a request of its own, so that bound inputs stay."""
        request = self._compiled.create_infer_request()
        self._fill(request, feed)
        self._infer(request)
        return {
            name: np.array(request.get_output_tensor(index).data)
            for index, name in enumerate(self._signature.outputs)
        }

    def bind(self, feed: Feed) -> None:
        """Sets the inputs of `run_bound`."""
        self._fill(self._bound, feed)

    def run_bound(self) -> None:
        """Runs on the bound inputs."""
        self._infer(self._bound)

    def profile(self, warm_runs: int, runs: int) -> tuple[float, list[tuple[str | None, float]]]:
        """Runs on the bound inputs, and tells how long that took.

        Returns:
            Mean milliseconds of a run, then module and mean milliseconds of each node.
        """
        for _ in range(warm_runs):
            self.run_bound()
        before = self._node_means_ms()
        total_ms = 0.0
        for _ in range(runs):
            self.run_bound()
            total_ms += self._bound.latency
        # The engine averages over all runs since it was loaded, the cold ones too.
        share = warm_runs / runs
        nodes = [
            (module, (1 + share) * all_ms - share * warm_ms)
            for (module, all_ms), (_, warm_ms) in zip(self._node_means_ms(), before)
        ]
        return total_ms / runs, nodes

    def _node_means_ms(self) -> list[tuple[str | None, float]]:
        found = []
        for node in self._compiled.get_runtime_model().get_ordered_ops():
            facts = node.get_rt_info()
            if facts["layerType"].value in ("Const", "Input", "Output"):
                continue
            time_us = str(facts["execTimeMcs"].value)
            modules = map(module_of, str(facts["originalLayersNames"].value).split(","))
            module = next((module for module in modules if module is not None), None)
            # A node whose average is no whole microsecond counts as not executed.
            found.append((module, int(time_us) / 1e3 if time_us.isdigit() else 0.0))
        return found

    def _fill(self, request: Any, feed: Feed) -> None:
        check_feed(feed, self.inputs())
        for name, value in feed.items():
            request.get_tensor(name).data[...] = value

    def _infer(self, request: Any) -> None:
        try:
            # Outputs that are not shared would be copied in every run.
            request.infer(share_outputs=True)
        except Exception as error:  # noqa: BLE001  (its exceptions share no base class)
            raise MeasurementError(
                f"{self._artifact}: OpenVINO does not run it: {_reason(error)}"
            ) from None


def _settings(target: Target) -> dict[str, Any]:
    return {
        "INFERENCE_PRECISION_HINT": _HINTS[target.precision],
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": 1,
        "INFERENCE_NUM_THREADS": target.threads or 1,
        # The measuring process is pinned as a whole.
        "ENABLE_CPU_PINNING": False,
    }


def _import_engine() -> Any:
    """Imports OpenVINO without its telemetry.

    Otherwise the import itself reports to its makers over the network, and leaves an identity in
    the home directory.
    """
    sys.modules.setdefault("openvino_telemetry", cast(Any, None))
    import openvino

    return openvino


def _compile(artifact: Path, signature: _Signature, settings: dict[str, Any]) -> Any:
    engine = _import_engine()
    core = engine.Core()
    with _refusals(artifact):
        model = core.read_model(artifact)
        names = [_name_of(given, signature) for given in model.inputs]
        model.reshape({name: engine.PartialShape(signature.inputs[name]) for name in names})
    if model.is_dynamic():
        raise MeasurementError(
            f"{artifact}: has shapes that depend on the data; OpenVINO would compute on without "
            "checking that they fit"
        )
    with _refusals(artifact):
        return core.compile_model(model, "CPU", settings)


@contextmanager
def _refusals(artifact: Path) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # noqa: BLE001  (its exceptions share no base class)
        raise MeasurementError(f"{artifact}: OpenVINO refuses it: {_reason(error)}") from None


def _read_signature(artifact: Path, batch: int) -> _Signature:
    found = signature(artifact.read_bytes())
    if found is None:
        raise MeasurementError(f"{artifact}: is not an ONNX file: it holds no graph")
    inputs = {name: _shape(name, sides, batch) for name, sides in found.inputs.items()}
    return _Signature(inputs, found.outputs)


def _shape(name: str, given: list[int | str | None], batch: int) -> list[int]:
    shape = [batch if side == "batch" else side for side in given]
    fixed = [side for side in shape if isinstance(side, int)]
    if fixed != shape:
        raise MeasurementError(
            f"input {name!r} has free dimensions {given}; only one named `batch` may be free"
        )
    return fixed


def _name_of(given: Any, signature: _Signature) -> str:
    """An input is also called what a cast that fell away after it made of it."""
    return next((name for name in given.names if name in signature.inputs), given.any_name)


def _check_capability(target: Target) -> None:
    needed = _NEEDS.get(target.precision)
    if needed is None:
        return
    has = _import_engine().Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    if needed not in has:
        raise UnavailableError(
            f"target {target.name}: this CPU does not compute {target.precision}: OpenVINO tells "
            f"{', '.join(has)}",
            hint="use fp32 or int8 in the target",
        )


def _reason(error: Exception) -> str:
    """What went wrong, without the places in its sources where it was noticed."""
    lines = [line.strip() for line in str(error).splitlines()]
    told = [line for line in lines if line and not line.startswith(("Exception from", "Check '"))]
    return " ".join(told) or str(error).strip()
