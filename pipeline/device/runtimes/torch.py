"""PyTorch on the CPU, eager: the exported program, one operation after the other.

It is what an engine is compared with; where no engine can be installed, it runs by itself.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.device.runtimes import LayerTimes, check_precision, random_feed
from pipeline.device.runtimes._blocks import attribute_mean, faster_half
from pipeline.device.runtimes._torch_program import (
    Program,
    ProgramRuntime,
    ProgramSession,
    threads_of,
)
from pipeline.device.target import Target


class Runtime(ProgramRuntime):
    """PyTorch's own operators on the CPU."""

    @contextmanager
    def open(self, artifact: Path, target: Target) -> Iterator[ProgramSession]:
        """Loads a program.

        Raises:
            UnavailableError: The package is missing, or it computes in another precision.
            MeasurementError: PyTorch refuses the file.
        """
        with self._loaded(artifact, target) as program:
            session = ProgramSession(program, program.module)
            with closing(session):
                yield session

    def layer_times(
        self, artifact: Path, target: Target, *, warm_runs: int, runs: int
    ) -> LayerTimes:
        """Times every operation of a run; see `pipeline.device.runtimes.ProfilingRuntime`.

        The mean of the faster half of the runs counts. Operations are called one by one from
        Python, as in a plain run; the clock adds less than a microsecond to each.

        Raises:
            UnavailableError: The package is missing, or it computes in another precision.
            MeasurementError: The program does not load or run, or names no blocks.
        """
        with self._loaded(artifact, target) as program:
            tensors = program.tensors(random_feed(program.inputs()))
            with program.running():
                found = [_timed_run(program.module, tensors) for _ in range(warm_runs + runs)]
        kept = faster_half(found[warm_runs:])
        return attribute_mean(kept[0].modules, kept, str(artifact))

    @contextmanager
    def _loaded(self, artifact: Path, target: Target) -> Iterator[Program]:
        self.require(target)
        with threads_of(target):
            program = Program(artifact, target)
            check_precision(target, program.precision, artifact)
            yield program


class _TimedRun(NamedTuple):
    """Milliseconds of a run, then module and milliseconds of each of its operations."""

    total_ms: float
    modules: list[str | None]
    nodes_ms: list[float]


def _timed_run(module: Any, tensors: list[Any]) -> _TimedRun:
    import torch

    modules: list[str | None] = []
    nodes_ms: list[float] = []

    class Timing(torch.fx.Interpreter):
        def run_node(self, n: torch.fx.Node) -> Any:
            begin = time.perf_counter()
            value = super().run_node(n)
            if n.op == "call_function":
                modules.append(_module_of(n))
                nodes_ms.append((time.perf_counter() - begin) * 1e3)
            return value

    begin = time.perf_counter()
    # As in a plain run, values go as soon as nothing needs them any more.
    Timing(module, garbage_collect_values=True).run(*tensors)
    return _TimedRun((time.perf_counter() - begin) * 1e3, modules, nodes_ms)


def _module_of(node: Any) -> str | None:
    """Path of the module that an operation came from; the program keeps it through saving."""
    stack = list((node.meta.get("nn_module_stack") or {}).values())
    return str(stack[-1][0]) if stack and stack[-1][0] else None
