"""What the runtimes on ONNX Runtime share: they differ in the execution provider only.

What decides latency is fixed, not left to defaults: threads, sequential execution, all graph
optimisations, how threads wait, and inputs and outputs bound once.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.device.runtimes import Feed, Inputs, check_feed, check_precision, random_feed
from pipeline.device.target import Target
from pipeline.errors import MeasurementError, UnavailableError

DISTRIBUTIONS = ("onnxruntime", "onnxruntime-gpu")
_TYPES: dict[str, np.dtype[np.generic]] = {
    "tensor(float)": np.dtype(np.float32),
    "tensor(float16)": np.dtype(np.float16),
    "tensor(int64)": np.dtype(np.int64),
    "tensor(uint8)": np.dtype(np.uint8),
    "tensor(int8)": np.dtype(np.int8),
}
_PRECISIONS = {
    "float": "fp32",
    "float16": "fp16",
    "bfloat16": "bf16",
    "uint8": "int8",
    "int8": "int8",
}
_COMPUTING = ("Conv", "Gemm", "MatMul")
# They move and convert values and compute nothing.
_NOT_COMPUTING = frozenset(
    {
        "Cast",
        "DequantizeLinear",
        "Memcpy",
        "MemcpyFromHost",
        "MemcpyToHost",
        "QuantizeLinear",
        "ReorderInput",
        "ReorderOutput",
        "Reshape",
        "Transpose",
    }
)
# Only with such a node can a model of float32 inputs compute in another type.
_CHANGING_TYPE = ("Cast", "Quantize", "Dequantize", "Integer", "NBits", "QLinear")


class Provider(NamedTuple):
    """An execution provider and how it is told to run.

    Attributes:
        name: ONNX Runtime's name for it.
        options: Its own options.
        config: Session options it needs, by ONNX Runtime's names.
        on_gpu: Whether inputs and outputs are to lie in the GPU's memory.
        computes: What it computes in, where it does not tell; None where it does.
    """

    name: str
    options: Mapping[str, str]
    config: Mapping[str, str]
    on_gpu: bool
    computes: str | None = None


CPU = Provider("CPUExecutionProvider", {}, {}, on_gpu=False)


class Profiled(NamedTuple):
    """One run in a profile; nodes are in the order in which they ran.

    Attributes:
        total_ms: Of the whole run.
        names: Of its nodes.
        operations: What each node does.
        types: Type of each node's first input; empty where it has none.
        nodes_ms: Time of each node.
    """

    total_ms: float
    names: list[str]
    operations: list[str]
    types: list[str]
    nodes_ms: list[float]

    @property
    def precision(self) -> str:
        """What convolutions and matrix products compute in; see `Session`."""
        each = list(zip(self.operations, self.types))
        computing = [node for node in each if any(part in node[0] for part in _COMPUTING)]
        others = [node for node in each if node[0] not in _NOT_COMPUTING]
        for nodes in (computing, others):
            found = {precision for node in nodes if (precision := _precision_of(*node))}
            if found:
                return "+".join(sorted(found))
        return "fp32"


@contextmanager
def opened(artifact: Path, target: Target, provider: Provider) -> Iterator[OnnxRuntimeSession]:
    """Loads a model in the precision that the target names.

    What it computes in is read from a profiled run of a session of its own, so that nothing of
    profiling is left in the one that is timed. A model that has no node by which its type could
    change is not profiled: opening a model of float32 costs nothing more.

    Args:
        artifact: An ONNX file.
        target: Batch, threads and precision.
        provider: What runs it.

    Raises:
        UnavailableError: The provider cannot run here, or computes in another precision.
        MeasurementError: ONNX Runtime refuses the file.
    """
    session = load(artifact, target, provider)
    built = provider.computes or session.precision_without_profile()
    if built is None:
        built = profiled(artifact, target, provider, runs=1)[0].precision
    check_precision(target, built, artifact)
    session.precision_as_built = built
    with closing(session):
        yield session


def load(
    artifact: Path, target: Target, provider: Provider, *, profile_into: Path | None = None
) -> OnnxRuntimeSession:
    """Loads a model, whatever it computes in; see `opened`."""
    import onnxruntime as ort

    if not artifact.exists():
        raise MeasurementError(f"{artifact} does not exist; expected an ONNX file")
    if provider.name not in ort.get_available_providers():
        has = ", ".join(ort.get_available_providers())
        raise UnavailableError(
            f"target {target.name}: this ONNX Runtime has {has}; {provider.name} is needed"
        )
    options = _options(ort, target, provider)
    if profile_into is not None:
        options.enable_profiling = True
        options.profile_file_prefix = str(profile_into / "profile")
    try:
        session = ort.InferenceSession(
            str(artifact),
            options,
            providers=[(provider.name, dict(provider.options))],
            # Otherwise it would try again on the CPU, and say so on standard output.
            enable_fallback=0,
        )
    except Exception as error:  # noqa: BLE001  (its exceptions share no base class)
        raise MeasurementError(f"{artifact}: ONNX Runtime refuses it: {error}") from None
    given = session.get_providers()
    if given[0] != provider.name:
        raise UnavailableError(
            f"target {target.name}: ONNX Runtime would run {artifact} with {', '.join(given)}; "
            f"{provider.name} was asked",
            hint="its log on standard error says why the provider does not start",
        )
    return OnnxRuntimeSession(session, ort, artifact, on_gpu=provider.on_gpu)


def profiled(
    artifact: Path, target: Target, provider: Provider, *, runs: int, warm_runs: int = 0
) -> list[Profiled]:
    """Runs a model on random inputs with ONNX Runtime's profiler on.

    Args:
        artifact: An ONNX file.
        target: Batch and threads.
        provider: What runs it.
        runs: How many are told.
        warm_runs: Runs first, which are not.

    Raises:
        UnavailableError: The provider cannot run here.
        MeasurementError: The model does not load or run, or the profile was full before its end.
    """
    with tempfile.TemporaryDirectory() as folder:
        session = load(artifact, target, provider, profile_into=Path(folder))
        session.bind(random_feed(session.inputs()))
        for _ in range(warm_runs + runs):
            session.run_bound()
        found = session.end_profiling()[warm_runs:]
        session.close()
    if len(found) != runs:
        raise MeasurementError(
            f"{artifact}: ONNX Runtime's profile holds {len(found)} of {runs} runs",
            hint="ask for fewer runs",
        )
    return found


class OnnxRuntimeSession:
    """A loaded model; see `pipeline.device.runtimes.Session`."""

    def __init__(self, session: Any, ort: Any, artifact: Path, *, on_gpu: bool) -> None:
        self._session = session
        self._ort = ort
        self._artifact = artifact
        self._memory = "cuda" if on_gpu else "cpu"
        self._binding = session.io_binding()
        self._on_gpu: dict[str, Any] = {}
        self.precision_as_built = ""

    def close(self) -> None:
        """Gives the model's memory back, whoever still holds the session."""
        self._session = self._binding = None
        self._on_gpu = {}

    def precision_without_profile(self) -> str | None:
        """What the model computes in where its nodes leave no doubt, or None."""
        values = (*self._session.get_inputs(), *self._session.get_outputs())
        if {value.type for value in values} != {"tensor(float)"}:
            return None
        if not hasattr(self._session, "get_provider_graph_assignment_info"):
            return None
        for part in self._session.get_provider_graph_assignment_info():
            for node in part.get_nodes():
                if any(name in node.op_type for name in _CHANGING_TYPE):
                    return None
        return "fp32"

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
        once = self._ort.RunOptions()
        if self._memory != "cpu":
            # Not the graph of `run_bound`, which belongs to the addresses bound there.
            once.add_run_config_entry("gpu_graph_id", "-1")
        try:
            return dict(zip(names, self._session.run(names, dict(feed), once)))
        except Exception as error:  # noqa: BLE001  (its exceptions share no base class)
            raise MeasurementError(self._message(error)) from None

    def bind(self, feed: Feed) -> None:
        """Sets the inputs of `run_bound`.

        On a GPU both inputs and outputs keep their addresses, as a CUDA graph requires: binding
        again copies into the same memory.
        """
        check_feed(feed, self.inputs())
        if self._memory != "cpu":
            self._bind_on_gpu(feed)
            return
        self._binding.clear_binding_inputs()
        self._binding.clear_binding_outputs()
        for name, value in feed.items():
            array = np.ascontiguousarray(value)
            self._binding.bind_ortvalue_input(name, self._ort.OrtValue.ortvalue_from_numpy(array))
        for output in self._session.get_outputs():
            self._binding.bind_output(output.name)

    def _bind_on_gpu(self, feed: Feed) -> None:
        arrays = {name: np.ascontiguousarray(value) for name, value in feed.items()}
        try:
            if not self._on_gpu:
                self._reserve_on_gpu(arrays)
            for name, array in arrays.items():
                self._on_gpu[name].update_inplace(array)
            self._binding.synchronize_inputs()
        except Exception as error:  # noqa: BLE001  (as in `run`)
            raise MeasurementError(self._message(error)) from None

    def _reserve_on_gpu(self, arrays: dict[str, NDArray[np.generic]]) -> None:
        value = self._ort.OrtValue
        for name, array in arrays.items():
            self._on_gpu[name] = value.ortvalue_from_numpy(array, self._memory, 0)
            self._binding.bind_ortvalue_input(name, self._on_gpu[name])
        for output in self._session.get_outputs():
            kind = _TYPES[output.type]
            place = value.ortvalue_from_shape_and_type(output.shape, kind, self._memory, 0)
            self._binding.bind_ortvalue_output(output.name, place)

    def run_bound(self) -> None:
        """Runs on the bound inputs."""
        try:
            self._session.run_with_iobinding(self._binding)
            if self._memory != "cpu":
                self._binding.synchronize_outputs()
        except Exception as error:  # noqa: BLE001  (as in `run`)
            raise MeasurementError(self._message(error)) from None

    def end_profiling(self) -> list[Profiled]:
        """Every run so far of a session that profiles."""
        return list(_runs_of(json.loads(Path(self._session.end_profiling()).read_bytes())))

    def _message(self, error: Exception) -> str:
        return f"{self._artifact}: ONNX Runtime does not run it: {error}"


def _options(ort: Any, target: Target, provider: Provider) -> Any:
    threads = target.threads or 1
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.add_free_dimension_override_by_name("batch", target.batch)
    options.log_severity_level = 3
    # Several threads wait for each other's work busily, which is what latency wants; but only
    # while a run lasts, for the cores belong to the next session then.
    waiting = (
        {"session.force_spinning_stop": "1"}
        if threads > 1
        else {"session.intra_op.allow_spinning": "0"}
    )
    told = {"session.record_ep_graph_assignment_info": "1"}
    for name, value in {**waiting, **told, **provider.config}.items():
        options.add_session_config_entry(name, value)
    return options


def _precision_of(operation: str, kind: str) -> str | None:
    # It takes float32 and quantises that itself.
    return "int8" if operation.startswith("DynamicQuantize") else _PRECISIONS.get(kind)


def _runs_of(events: Iterable[dict[str, Any]]) -> Iterator[Profiled]:
    """Splits a profile into runs: an event is written when it ends, so a run's comes last."""
    nodes: list[dict[str, Any]] = []
    for event in events:
        if event["cat"] == "Node":
            nodes.append(event)
        elif event["name"] == "model_run":
            yield Profiled(
                event["dur"] / 1e3,
                [node["name"] for node in nodes],
                [node["args"]["op_name"] for node in nodes],
                [_first_type(node["args"].get("input_type_shape") or []) for node in nodes],
                [node["dur"] / 1e3 for node in nodes],
            )
            nodes = []


def _first_type(inputs: list[dict[str, Any]]) -> str:
    return next((kind for value in inputs for kind in value), "")
