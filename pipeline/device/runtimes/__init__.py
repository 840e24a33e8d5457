"""The one seam to inference engines: a runtime builds an artifact and opens sessions on it.

A runtime is one file in this folder with a class `Runtime`; `find` loads it by the file's name,
and nothing is imported before that.

In: the folder of a model, and a target.
Out: sessions that run it, times of its layers, or why that cannot be had here.
Door: this module
Never: an engine imported at the top of a file; timing of runs; an answer in another precision than
    the target's.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Protocol, get_args, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from pipeline.device.target import Precision, Target
from pipeline.errors import MeasurementError, UnavailableError, UnknownNameError

Feed = Mapping[str, NDArray[np.generic]]
Inputs = dict[str, tuple[tuple[int, ...], np.dtype[np.generic]]]
REST = ""


class Session(Protocol):
    """A model loaded and ready to run."""

    @property
    def precision_as_built(self) -> str:
        """What the engine computes convolutions and matrix products in, as it says itself.

        Several precisions are joined by `+` (`fp32+int8`). A model without such a node is told by
        its other nodes.
        """

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


class DeviceTime(NamedTuple):
    """A run as the device's own clock and the host saw it.

    Attributes:
        compute_ms: From the first kernel to the last, by events on the device.
        enqueue_ms: The host's time until the work was handed over.
    """

    compute_ms: float
    enqueue_ms: float


class TransferTime(NamedTuple):
    """Copying a model's inputs to the device and its outputs back, apart from running it.

    Attributes:
        to_device_ms: Median over the copies made.
        to_host_ms: Median over the copies made.
    """

    to_device_ms: float
    to_host_ms: float


@runtime_checkable
class DeviceTimedSession(Session, Protocol):
    """A session on a device that runs apart from the host and has a clock of its own."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of the times must know: that no CUDA graph could be captured, say."""

    def device_time(self) -> DeviceTime:
        """Of the last `run_bound`; asked outside what the host times."""

    def transfer_time(self, runs: int) -> TransferTime:
        """Times the copies of the bound inputs and of the outputs, `runs` times."""


class Reader(Protocol):
    """What says which files it reads."""

    def reads(self, precision: Precision) -> str | None:
        """Which file of a model it runs in that precision (`pipeline.device.model_files`).

        None where it has no such precision. Whether the machine at hand has it is found out when a
        model is opened, from what was built.
        """


class Runtime(Reader, Protocol):
    """An inference engine."""

    def unavailable(self) -> str | None:
        """Why it cannot run on this machine, or None. Must never crash the process."""

    def version(self) -> str | None:
        """The engine's version, or None where it is not installed."""

    def build(self, model: Path, target: Target, into: Path) -> Path:
        """Makes the artifact that `open` takes.

        Args:
            model: Folder with the file that `reads` names.
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
        engine_ms: Each layer of the engine by its own name, in each run that counts, in the order
            in which they ran; empty where the runtime does not keep that.
    """

    total_ms: float
    by_place_ms: dict[str, float]
    engine_ms: dict[str, tuple[float, ...]] = field(default_factory=dict)


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
            artifact: From `build`, of a network that export wrote: its names say which block a
                node is of.
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


def model_file(target: Target) -> str:
    """Which file of a model a target's runtime reads.

    Raises:
        UnknownNameError: There is no such runtime.
        UnavailableError: The runtime has no such precision; names the target that works.
    """
    return file_read_by(find(target.runtime), target)


def file_read_by(engine: Reader, target: Target) -> str:
    """Which file of a model an engine reads for a target; see `model_file`.

    Raises:
        UnavailableError: The engine has no such precision; names the target that works.
    """
    file = engine.reads(target.precision)
    if file is None:
        has = [precision for precision in get_args(Precision) if engine.reads(precision)]
        raise UnavailableError(
            f"target {target.name}: the {target.runtime} runtime runs {', '.join(has)}; "
            f"{target.precision} was asked",
            hint=f"use {target.name.replace(f'-{target.precision}-', f'-{has[0]}-')}",
        )
    return file


def check_precision(target: Target, built: str, model: Path) -> None:
    """Refuses an engine that computes in another precision than was asked.

    An int8 model may keep some layers in a wider type, which its record then says; any other is
    computed in one type.

    Args:
        target: What was asked.
        built: `Session.precision_as_built`.
        model: What messages call the model.

    Raises:
        UnavailableError: Names both precisions.
    """
    types = set(built.split("+"))
    fits = target.precision in types if target.precision == "int8" else types == {target.precision}
    if not fits:
        raise UnavailableError(
            f"target {target.name}: {target.precision} was asked, and the engine would compute "
            f"{model} in {built} on this machine",
            hint="name the precision it has in the target, or use another runtime",
        )


def tells_layer_times(name: str) -> bool:
    """Whether the runtime of that name tells where the time of a run goes.

    Raises:
        UnknownNameError: There is no such runtime.
    """
    return isinstance(find(name), ProfilingRuntime)
