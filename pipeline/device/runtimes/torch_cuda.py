"""PyTorch on an NVIDIA GPU: the exported program as one CUDA graph.

fp32 is fp32: TF32 is off. cuDNN tries all its convolutions.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.device.runtimes import (
    DeviceTime,
    Feed,
    Inputs,
    TransferTime,
    check_precision,
    random_feed,
)
from pipeline.device.runtimes._cuda import driver_problem
from pipeline.device.runtimes._packaged import folders_of
from pipeline.device.runtimes._torch_program import Program, ProgramRuntime, first_line
from pipeline.device.target import Target
from pipeline.errors import UnavailableError

_WARM_RUNS = 3
"""cuDNN and the allocator must have settled before a graph is captured."""


class Runtime(ProgramRuntime):
    """PyTorch's own operators on the GPU."""

    def unavailable(self) -> str | None:
        """Why it cannot run here, or None."""
        return super().unavailable() or _built_without_cuda(self.version()) or driver_problem()

    @contextmanager
    def open(self, artifact: Path, target: Target) -> Iterator[TorchCudaSession]:
        """Loads a program onto the first visible GPU.

        Raises:
            UnavailableError: The package or the driver is missing, or PyTorch does not start on
                this GPU, or it computes in another precision.
            MeasurementError: PyTorch refuses the file, or it does not run.
        """
        self.require(target)
        import torch

        try:
            torch.cuda.init()
        except Exception as error:  # noqa: BLE001  (a driver that is too old, for one)
            raise UnavailableError(
                f"target {target.name}: PyTorch does not start on the GPU: {first_line(error)}"
            ) from None
        torch.backends.cuda.matmul.allow_tf32 = False
        torch.backends.cudnn.allow_tf32 = False
        torch.backends.cudnn.benchmark = True
        with closing(TorchCudaSession(Program(artifact, target, "cuda"))) as session:
            check_precision(target, session.precision_as_built, artifact)
            yield session


class TorchCudaSession:
    """A program on the GPU; see `pipeline.device.runtimes.DeviceTimedSession`."""

    def __init__(self, program: Program) -> None:
        import torch

        self._torch = torch
        self._program = program
        self._stream = torch.cuda.Stream()
        self._start, self._end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        self._graph: Any = None
        self._enqueue_ms = 0.0
        self._notes: tuple[str, ...] = ()
        with program.running():
            self._host = program.tensors(random_feed(program.inputs()))
            self._inputs = [tensor.cuda() for tensor in self._host]
            self._warm_and_capture()

    def _warm_and_capture(self) -> None:
        torch = self._torch
        self._stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._stream):
            for _ in range(_WARM_RUNS):
                self._outputs = self._program.module(*self._inputs)
        self._stream.synchronize()
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph, stream=self._stream):
                self._outputs = self._program.module(*self._inputs)
        except RuntimeError as error:
            self._notes = (f"no CUDA graph: {first_line(error)}",)
            return
        self._graph = graph

    def close(self) -> None:
        """Gives the model's memory back to the GPU, whoever still holds the session."""
        torch = self._torch
        torch.cuda.synchronize()
        self._graph = None
        del self._program, self._inputs, self._outputs, self._host
        torch.cuda.empty_cache()

    @property
    def precision_as_built(self) -> str:
        """The program's, where TF32 is off."""
        backends = self._torch.backends
        if backends.cuda.matmul.allow_tf32 or backends.cudnn.allow_tf32:
            return "tf32"
        return self._program.precision

    @property
    def notes(self) -> tuple[str, ...]:
        """Why no CUDA graph could be captured, if so."""
        return self._notes

    def inputs(self) -> Inputs:
        """Shape and type of each input."""
        return self._program.inputs()

    def run(self, feed: Feed) -> dict[str, NDArray[np.generic]]:
        """Runs once, apart from the bound inputs."""
        tensors = self._program.tensors(feed)
        with self._program.running(), self._torch.cuda.stream(self._stream):
            found = self._program.module(*(tensor.cuda() for tensor in tensors))
            return self._program.named(found)

    def bind(self, feed: Feed) -> None:
        """Copies the inputs of `run_bound` to where its graph reads them."""
        tensors = self._program.tensors(feed)
        with self._program.running():
            self._host = [tensor.pin_memory() for tensor in tensors]
            self._copy_in()
            self._torch.cuda.synchronize()

    def run_bound(self) -> None:
        """Runs on the bound inputs."""
        with self._program.running(), self._torch.cuda.stream(self._stream):
            begin = time.perf_counter()
            self._start.record()
            if self._graph is None:
                self._outputs = self._program.module(*self._inputs)
            else:
                self._graph.replay()
            self._end.record()
            self._enqueue_ms = (time.perf_counter() - begin) * 1e3
            self._stream.synchronize()

    def device_time(self) -> DeviceTime:
        """Of the last `run_bound`."""
        with self._program.running():
            return DeviceTime(self._start.elapsed_time(self._end), self._enqueue_ms)

    def transfer_time(self, runs: int) -> TransferTime:
        """Times the copies between page-locked memory and the GPU."""
        from torch.utils import _pytree

        with self._program.running():
            outputs = _pytree.tree_leaves(self._outputs)
            there = [self._torch.empty_like(one, device="cpu").pin_memory() for one in outputs]

            def copy_out() -> None:
                for place, value in zip(there, outputs):
                    place.copy_(value, non_blocking=True)

            return TransferTime(self._timed(self._copy_in, runs), self._timed(copy_out, runs))

    def _copy_in(self) -> None:
        for place, value in zip(self._inputs, self._host):
            place.copy_(value, non_blocking=True)

    def _timed(self, copy: Callable[[], None], runs: int) -> float:
        times_ms = []
        for _ in range(runs):
            begin = time.perf_counter()
            copy()
            self._torch.cuda.synchronize()
            times_ms.append((time.perf_counter() - begin) * 1e3)
        return statistics.median(times_ms)


def _built_without_cuda(version: str | None) -> str | None:
    """PyTorch for the CPU alone has the same name and version number; its files tell."""
    if any((folder / "lib" / "libtorch_cuda.so").is_file() for folder in folders_of("torch")):
        return None
    return f"the installed torch {version} is for the CPU alone (without CUDA)"
