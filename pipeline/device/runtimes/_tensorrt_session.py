"""A TensorRT engine loaded on the GPU: runs, device time, copies apart, and times of layers.

Shapes and addresses never change while a session is open, so the engine's work is recorded once as
a CUDA graph. Where it cannot be recorded, each run enqueues its kernels one by one, and the
session's notes say so.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.device.runtimes import DeviceTime, Feed, Inputs, TransferTime, check_feed
from pipeline.device.runtimes._cuda import Buffer, Gpu
from pipeline.device.runtimes._tensorrt_build import listening, logger, out_of_memory, reason
from pipeline.device.runtimes._tensorrt_layers import Layer, layers_of_json, precision_of
from pipeline.errors import MeasurementError

_TYPES: dict[str, np.dtype[np.generic]] = {
    "FLOAT": np.dtype(np.float32),
    "HALF": np.dtype(np.float16),
    "INT8": np.dtype(np.int8),
    "UINT8": np.dtype(np.uint8),
    "INT32": np.dtype(np.int32),
    "INT64": np.dtype(np.int64),
    "BOOL": np.dtype(np.bool_),
}
_OPT = 1
"""Of a profile's smallest, best and largest shape; here they are the same."""


class ProfiledRun(NamedTuple):
    """One run with the profiler on.

    Attributes:
        total_ms: Of the run, by the GPU's clock.
        layers_ms: Name and time of each layer, in the order in which they ran.
    """

    total_ms: float
    layers_ms: list[tuple[str, float]]

    @property
    def names(self) -> list[str]:
        """Of its layers."""
        return [name for name, _ in self.layers_ms]

    @property
    def nodes_ms(self) -> list[float]:
        """Times alone."""
        return [time_ms for _, time_ms in self.layers_ms]


class EngineSession:
    """A loaded engine; see `pipeline.device.runtimes.DeviceTimedSession`.

    Args:
        trt: The module the engine was built with.
        plan: The engine, serialised.
        artifact: What messages call it.
        record: Whether to record the work as a CUDA graph; not for profiling.

    Raises:
        UnavailableError: There is no GPU that can be used.
        MeasurementError: The engine does not load or run, or the GPU has no memory for it.
    """

    def __init__(self, trt: Any, plan: bytes, artifact: Path, *, record: bool = True) -> None:
        self._trt = trt
        self._artifact = artifact
        self._gpu = Gpu(str(artifact))
        self._inputs: dict[str, Buffer] = {}
        self._outputs: dict[str, Buffer] = {}
        self._bound: dict[str, NDArray[np.generic]] | None = None
        self._recorded = False
        self._precision: str | None = None
        self._enqueue_ms = 0.0
        self._notes: tuple[str, ...] = ()
        self._runtime: Any = None
        self._engine: Any = None
        self._context: Any = None
        try:
            self._load(plan)
            self._prepare(record=record)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Gives the GPU's memory back, whoever still holds the session."""
        try:
            self._gpu.close()
        finally:
            self._inputs, self._outputs, self._bound = {}, {}, None
            # A context refers to its engine, and that to its runtime.
            self._context = None
            self._engine = None
            self._runtime = None

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of the times must know."""
        return self._notes

    @property
    def precision_as_built(self) -> str:
        """What the engine's convolutions and matrix products compute in, as its inspector says.

        Raises:
            MeasurementError: It does not tell.
        """
        # Once: asking whether an object is a session asks for all that sessions have.
        if self._precision is None:
            self._precision = precision_of(self.layers())
        return self._precision

    def layers(self) -> list[Layer]:
        """The engine's layers, as its inspector tells them.

        Raises:
            MeasurementError: It does not tell.
        """
        with listening(self._trt):
            inspector = self._engine.create_engine_inspector()
            inspector.execution_context = self._context
            text = inspector.get_engine_information(self._trt.LayerInformationFormat.JSON)
            if not text:
                raise self._refusal("TensorRT does not tell its layers")
        return layers_of_json(text)

    def inputs(self) -> Inputs:
        """Shape and type of each input."""
        return {
            name: (buffer.host.shape, buffer.host.dtype) for name, buffer in self._inputs.items()
        }

    def run(self, feed: Feed) -> dict[str, NDArray[np.generic]]:
        """Runs once; bound inputs stay.

        Raises:
            MeasurementError: The feed does not fit, or the engine does not run.
        """
        check_feed(feed, self.inputs())
        self._fill(feed)
        self._launch()
        self._gpu.download(list(self._outputs.values()))
        self._gpu.wait()
        found = {name: buffer.host.copy() for name, buffer in self._outputs.items()}
        if self._bound is not None:
            self._fill(self._bound)
        return found

    def bind(self, feed: Feed) -> None:
        """Sets the inputs of `run_bound`, on the GPU.

        Raises:
            MeasurementError: The feed does not fit, or the engine does not run.
        """
        check_feed(feed, self.inputs())
        self._bound = {name: np.array(value) for name, value in feed.items()}
        self._fill(self._bound)

    def run_bound(self) -> None:
        """Runs on the bound inputs and returns when the outputs are complete, on the GPU.

        Raises:
            MeasurementError: Nothing is bound, or the engine does not run.
        """
        if self._bound is None:
            raise MeasurementError(f"{self._artifact}: no inputs are bound")
        self._launch()

    def device_time(self) -> DeviceTime:
        """Of the last run.

        Raises:
            MeasurementError: There was none.
        """
        return DeviceTime(self._gpu.clock_ms(), self._enqueue_ms)

    def transfer_time(self, runs: int) -> TransferTime:
        """Times the copies of the inputs and of the outputs.

        Raises:
            MeasurementError: The GPU refuses them.
        """
        inputs, outputs = list(self._inputs.values()), list(self._outputs.values())
        to_device_ms, to_host_ms = [], []
        for _ in range(runs):
            to_device_ms.append(self._copy_ms(lambda: self._gpu.upload(inputs)))
            to_host_ms.append(self._copy_ms(lambda: self._gpu.download(outputs)))
        return TransferTime(float(np.median(to_device_ms)), float(np.median(to_host_ms)))

    def profile(self, warm_runs: int, runs: int) -> list[ProfiledRun]:
        """Runs on the bound inputs with the engine's profiler on; the first runs do not count.

        Raises:
            MeasurementError: The engine does not run.
        """
        collected: list[tuple[str, float]] = []

        class Profiler(self._trt.IProfiler):  # type: ignore[name-defined]
            def report_layer_time(self, layer_name: str, ms: float) -> None:
                collected.append((layer_name, ms))

        context = self._context
        profiler = Profiler()  # the context does not keep it alive
        context.profiler = profiler
        # Otherwise each enqueue would wait for its own times.
        context.enqueue_emits_profile = False
        found = []
        for _ in range(warm_runs + runs):
            collected.clear()
            self.run_bound()
            if not context.report_to_profiler():
                raise MeasurementError(f"{self._artifact}: TensorRT's profiler reports nothing")
            found.append(ProfiledRun(self._gpu.clock_ms(), list(collected)))
        return found[warm_runs:]

    def _load(self, plan: bytes) -> None:
        with listening(self._trt) as log:
            try:
                self._runtime = self._trt.Runtime(log)
            except TypeError:  # what the bindings make of a factory that returns nothing
                raise self._refusal("TensorRT does not start") from None
            self._engine = self._runtime.deserialize_cuda_engine(plan)
            if self._engine is None:
                raise self._refusal(
                    "TensorRT does not load it; it may be damaged, or built on another GPU or "
                    "version"
                )
            self._context = self._engine.create_execution_context()
            if self._context is None:
                raise self._refusal("TensorRT cannot prepare it to run")
            # What was asked for at build names layers; marking each for a tracer costs time.
            self._context.nvtx_verbosity = self._trt.ProfilingVerbosity.NONE
            self._place_tensors(self._engine, self._context)

    def _place_tensors(self, engine: Any, context: Any) -> None:
        if not context.set_optimization_profile_async(0, self._gpu.stream):
            raise self._refusal("TensorRT refuses its profile of shapes")
        names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
        is_input = {
            name: engine.get_tensor_mode(name) == self._trt.TensorIOMode.INPUT for name in names
        }
        for name in names:
            if is_input[name]:
                shape = engine.get_tensor_shape(name)
                if any(side < 0 for side in shape):
                    shape = engine.get_tensor_profile_shape(name, 0)[_OPT]
                if not context.set_input_shape(name, tuple(shape)):
                    raise self._refusal(f"TensorRT refuses the shape {tuple(shape)} of {name!r}")
        for name in names:
            shape = tuple(context.get_tensor_shape(name))
            kind = engine.get_tensor_dtype(name).name
            if kind not in _TYPES:
                raise MeasurementError(
                    f"{self._artifact}: tensor {name!r} has type {kind.lower()}, not handled"
                )
            if any(side < 0 for side in shape):
                raise MeasurementError(
                    f"{self._artifact}: the shape of output {name!r} depends on the data {shape}"
                )
            buffer = self._gpu.buffer(shape, _TYPES[kind])
            (self._inputs if is_input[name] else self._outputs)[name] = buffer
            if not context.set_tensor_address(name, buffer.address):
                raise self._refusal(f"TensorRT refuses the memory of {name!r}")

    def _fill(self, values: Feed) -> None:
        for name, value in values.items():
            self._inputs[name].host[...] = value
        self._gpu.upload(list(self._inputs.values()))
        self._gpu.wait()

    def _prepare(self, *, record: bool) -> None:
        """Runs once, since a first run starts what cannot be recorded, then records the graph."""
        self._fill({name: np.zeros_like(buffer.host) for name, buffer in self._inputs.items()})
        self._launch()
        if not record:
            return
        problem = self._gpu.capture(self._enqueue)
        self._recorded = problem is None
        if problem is not None:
            self._notes = (f"no CUDA graph: each run enqueues its kernels one by one ({problem})",)

    def _launch(self) -> None:
        self._gpu.start_clock()
        started = time.perf_counter()
        if self._recorded:
            self._gpu.launch()
        else:
            self._enqueue()
        self._enqueue_ms = (time.perf_counter() - started) * 1e3
        self._gpu.stop_clock()
        self._gpu.wait()

    def _enqueue(self) -> None:
        if not self._context.execute_async_v3(self._gpu.stream):
            raise self._refusal("TensorRT does not run it")

    def _copy_ms(self, copy: Callable[[], None]) -> float:
        self._gpu.start_clock()
        copy()
        self._gpu.stop_clock()
        self._gpu.wait()
        return self._gpu.clock_ms()

    def _refusal(self, what: str) -> MeasurementError:
        """The error for a call that returned nothing or false: why is in the library's log."""
        told = logger(self._trt).told()
        if out_of_memory(told):
            return MeasurementError(
                f"{self._artifact}: the GPU is out of memory: {reason(told)}",
                hint="end what else uses the GPU (nvidia-smi lists it), or take a smaller batch",
            )
        return MeasurementError(f"{self._artifact}: {what}: {reason(told)}")
