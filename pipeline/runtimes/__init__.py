"""The one seam to inference engines: a runtime builds an artifact and opens sessions on it.

A runtime is one file in this folder with a class `Runtime`; `find` loads it by the file's name,
and nothing is imported before that. Runtimes know errors, devices and measuring only.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from pipeline.device import Target
from pipeline.errors import MeasurementError, UnavailableError, UnknownNameError

Feed = Mapping[str, NDArray[np.generic]]
Inputs = dict[str, tuple[tuple[int, ...], np.dtype[np.generic]]]
REST = ""


class Session(Protocol):
    """A model loaded and ready to run."""

    @property
    def precision_as_built(self) -> str:
        """The precision the engine really computes in."""

    def inputs(self) -> Inputs:
        """Shape and type of each input, the target's batch filled in."""

    def run(self, feed: Feed) -> dict[str, NDArray[np.generic]]:
        """Runs once and returns when the outputs are complete.

        Raises:
            MeasurementError: The feed does not fit the model; names the input, what was given
                and what is expected.
        """

    def bind(self, feed: Feed) -> None:
        """Sets the inputs that `run_bound` uses, so that timing excludes copying them in."""

    def run_bound(self) -> None:
        """Runs on the bound inputs and returns when the outputs are complete: what is timed."""


class Runtime(Protocol):
    """An inference engine."""

    def unavailable(self) -> str | None:
        """Why it cannot run on this machine, or None. Must never crash the process."""

    def version(self) -> str | None:
        """The engine's version, or None where it is not installed."""

    def build(self, model: Path, target: Target, into: Path) -> Path:
        """Makes the artifact that `open` takes.

        Args:
            model: Folder with `model.onnx`.
            target: What to build for.
            into: Folder for the artifact.

        Raises:
            UnavailableError: The engine cannot run here, or not in that precision.
            MeasurementError: The engine refuses the model; says which node and why.
        """

    def open(self, artifact: Path, target: Target) -> AbstractContextManager[Session]:
        """Loads an artifact.

        Raises:
            UnavailableError: The engine cannot run here.
            MeasurementError: The artifact does not load.
        """


@dataclass(frozen=True)
class LayerTimes:
    """Where the time of a run goes, by the engine's own profiler.

    Attributes:
        total_ms: Of a profiled run, which profiling makes slower than a plain one.
        by_place_ms: Time of each block by its place, in network order; last `REST`, which is what
            belongs to no block: the engine's own work between nodes, the profiler's, and what
            whole microseconds cut off. The values add up to `total_ms`.
    """

    total_ms: float
    by_place_ms: dict[str, float]


@runtime_checkable
class ProfilingRuntime(Runtime, Protocol):
    """An engine that also tells where the time of a run goes.

    It loads the artifact anew, since profiling is switched on when a model is loaded and slows
    what is timed otherwise. Every node of the engine's own graph belongs to exactly one block. A
    node that the engine put in, such as a reordering of a tensor in memory, belongs to the block
    it feeds, whose kernels ask for it; at the network's end, to the block it comes from.
    """

    def layer_times(
        self, artifact: Path, target: Target, *, warm_runs: int, runs: int
    ) -> LayerTimes:
        """Profiles a network, on random inputs.

        Args:
            artifact: From `build`, of a network that `pipeline.export` wrote: its names say which
                block a node is of.
            target: What the artifact was built for.
            warm_runs: Runs first, which do not count.
            runs: Profiled runs. Engines tell whole microseconds, so 30 are a sensible least.

        Raises:
            UnavailableError: The engine cannot run here.
            MeasurementError: The artifact does not load or run, or names no blocks.
        """


def names() -> tuple[str, ...]:
    """Names of all runtimes, installed or not."""
    modules = (module.name for module in pkgutil.iter_modules(__path__))
    return tuple(sorted(name for name in modules if not name.startswith("_")))


def find(name: str) -> Runtime:
    """The runtime of that name.

    Raises:
        UnknownNameError: There is no such file.
    """
    if name not in names():
        raise UnknownNameError.of("runtime", name, names())
    runtime: Runtime = importlib.import_module(f"{__name__}.{name}").Runtime()
    return runtime


def check_feed(feed: Feed, inputs: Inputs) -> None:
    """Refuses a feed that does not fit a model.

    Raises:
        MeasurementError: Names the input, what was given and what is expected.
    """
    if set(feed) != set(inputs):
        raise MeasurementError(f"inputs {sorted(feed)} given, expected {sorted(inputs)}")
    for name, (shape, dtype) in inputs.items():
        value = feed[name]
        if value.shape != shape or value.dtype != dtype:
            raise MeasurementError(
                f"input {name!r}: given {value.shape} {value.dtype}, expected {shape} {dtype}"
            )


def random_feed(inputs: Inputs) -> Feed:
    """Normally distributed inputs, the same every time; latency does not depend on them."""
    rng = np.random.default_rng(0)
    return {
        name: rng.standard_normal(shape).astype(dtype) for name, (shape, dtype) in inputs.items()
    }


def require_fp32(target: Target) -> None:
    """Refuses any other precision than fp32, for engines that run the exported file as it is.

    Raises:
        UnavailableError: Names the precision and the target that works.
    """
    if target.precision != "fp32":
        raise UnavailableError(
            f"target {target.name}: the {target.runtime} runtime runs fp32 files; "
            f"{target.precision} was asked",
            hint=f"use {target.name.replace(target.precision, 'fp32')}",
        )


def tells_layer_times(name: str) -> bool:
    """Whether the runtime of that name tells where the time of a run goes.

    Raises:
        UnknownNameError: There is no such runtime.
    """
    return isinstance(find(name), ProfilingRuntime)
