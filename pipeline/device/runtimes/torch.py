"""PyTorch on the CPU, eager: the exported program, one operation after the other.

It is what an engine is compared with; where no engine can be installed, it runs by itself.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.device.runtimes import LayerTimes, check_precision, random_feed
from pipeline.device.runtimes._blocks import attribute
from pipeline.device.runtimes._torch_program import (
    Program,
    ProgramRuntime,
    ProgramSession,
    missing_package,
    threads_of,
)
from pipeline.device.target import Target
from pipeline.errors import UnavailableError


class Runtime(ProgramRuntime):
    """PyTorch's own operators on the CPU."""

    def unavailable(self) -> str | None:
        """Why it cannot run here, or None."""
        return missing_package()

    @contextmanager
    def open(self, artifact: Path, target: Target) -> Iterator[ProgramSession]:
        """Loads a program.

        Raises:
            UnavailableError: The package is missing, or it computes in another precision.
            MeasurementError: PyTorch refuses the file.
        """
        self._require(target)
        with threads_of(target):
            program = Program(artifact, target)
            session = ProgramSession(program, program.module)
            check_precision(target, session.precision_as_built, artifact)
            try:
                yield session
            finally:
                session.close()

    def layer_times(
        self, artifact: Path, target: Target, *, warm_runs: int, runs: int
    ) -> LayerTimes:
        """Times every operation of a run; see `pipeline.device.runtimes.ProfilingRuntime`.

        The mean of the faster half of the runs counts: a disturbance makes a run slower, never
        faster. Operations are called one by one from Python, as in a plain run; the clock adds
        less than a microsecond to each.

        Raises:
            UnavailableError: The package is missing, or it computes in another precision.
            MeasurementError: The program does not load or run, or names no blocks.
        """
        self._require(target)
        with threads_of(target):
            program = Program(artifact, target)
            check_precision(target, program.precision, artifact)
            tensors = program.tensors(random_feed(program.inputs()))
            profiled = []
            with program.running():
                for number in range(warm_runs + runs):
                    found = _timed_run(program.module, tensors)
                    if number >= warm_runs:
                        profiled.append(found)
        kept = sorted(profiled, key=lambda run: run[0])[: -(-runs // 2)]
        total_ms = float(np.mean([run[0] for run in kept]))
        nodes_ms = np.mean([[node_ms for _, node_ms in run[1]] for run in kept], axis=0)
        modules = [module for module, _ in kept[0][1]]
        return attribute(
            list(zip(modules, nodes_ms.tolist(), strict=True)), total_ms, str(artifact)
        )

    def _require(self, target: Target) -> None:
        reason = self.unavailable()
        if reason:
            raise UnavailableError(f"target {target.name}: {reason}")


def _timed_run(module: Any, tensors: list[Any]) -> tuple[float, list[tuple[str | None, float]]]:
    """Milliseconds of a run, then module and milliseconds of each of its operations."""
    import torch

    nodes: list[tuple[str | None, float]] = []

    class Timing(torch.fx.Interpreter):
        def run_node(self, n: torch.fx.Node) -> Any:
            begin = time.perf_counter()
            value = super().run_node(n)
            if n.op == "call_function":
                nodes.append((_module_of(n), (time.perf_counter() - begin) * 1e3))
            return value

    begin = time.perf_counter()
    # As in a plain run, values go as soon as nothing needs them any more.
    Timing(module, garbage_collect_values=True).run(*tensors)
    return (time.perf_counter() - begin) * 1e3, nodes


def _module_of(node: Any) -> str | None:
    """Path of the module that an operation came from; the program keeps it through saving."""
    stack = list((node.meta.get("nn_module_stack") or {}).values())
    return str(stack[-1][0]) if stack and stack[-1][0] else None
