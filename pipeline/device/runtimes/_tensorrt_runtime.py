"""What TensorRT and TensorRT for RTX have in common as runtimes."""

from __future__ import annotations

import ctypes
import hashlib
import importlib
import json
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from pipeline.device.model_files import FP16, FP32, INT8_SYMMETRIC
from pipeline.device.runtimes import LayerTimes, check_precision, random_feed
from pipeline.device.runtimes._blocks import attribute_mean, faster_half
from pipeline.device.runtimes._cuda import (
    calls_problem,
    driver_problem,
    gpu_identity,
    use_first_gpu,
)
from pipeline.device.runtimes._packaged import Files, PackagedRuntime, folders_of, missing
from pipeline.device.runtimes._tensorrt_build import BuildSettings, build_engine
from pipeline.device.runtimes._tensorrt_cache import engine_file, keep, read_if_kept, timing_file
from pipeline.device.runtimes._tensorrt_session import EngineSession
from pipeline.device.target import Target
from pipeline.errors import MeasurementError, UnavailableError

_WAY_OF_BUILDING = 1
"""Raised whenever `_tensorrt_build` builds differently, so that kept engines are not taken."""


class EngineRuntime(PackagedRuntime):
    """A TensorRT: engines are built once and kept, and run on the first visible GPU.

    Attributes:
        name: The runtime's name.
        module: The Python module.
        library: The library that the module needs, with `{major}` for the version's.
        extra: What to install.
        compute_capability: Passed to the builder; None where it builds for the GPU at hand anyway.
        keeps_timings: Whether builds on one GPU share what they find out about tactics.
    """

    # The file's precision is the engine's.
    files: ClassVar[Files] = {"fp32": FP32, "fp16": FP16, "int8": INT8_SYMMETRIC}
    name: str
    module: str
    library: str
    extra: str
    compute_capability: str | None
    keeps_timings: bool

    @abstractmethod
    def load_module(self) -> Any:
        """Imports the module, with what it needs.

        Raises:
            UnavailableError: It is missing, or a library it needs is.
        """

    @abstractmethod
    def brings_library(self, library: str) -> bool:
        """Whether an installed package carries the library, where the linker does not look."""

    def unavailable(self) -> str | None:
        """Why it cannot run here, or None.

        The engine itself is not imported: it crashes where there is no driver.
        """
        return self.build_problem() or driver_problem() or calls_problem()

    def build_problem(self) -> str | None:
        """Why engines cannot even be built here, GPU aside; or None."""
        absent = missing(self.module, self.extra)
        version = self.version()
        if absent:
            return f"{absent}; only a part of it, {version}, is there" if version else absent
        if version is None:  # put there by a system's own package, libraries with it
            return None
        library = self.library.format(major=version.split(".")[0])
        if self.brings_library(library):
            return None
        try:
            # Where it is there, the engine's own import finds it loaded.
            ctypes.CDLL(library)
        except OSError as error:
            if f"{library}: cannot open shared object file" in str(error):
                return f"{library} not found, which {self.module} {version} needs ({self.extra})"
            return f"{library} does not load: {error}"
        return None

    def build(self, model: Path, target: Target, into: Path) -> Path:
        """Builds an engine, or takes one that was built of the same file in the same way.

        Raises:
            UnavailableError: It cannot run here, or has no such precision.
            MeasurementError: TensorRT refuses the model.
            StorageError: The engine cannot be written.
        """
        file = super().build(model, target, into)
        self.require(target)
        # Before anything else of CUDA, so that building and running see the same GPU.
        use_first_gpu()
        trt = self.load_module()
        artifact = into / f"{model.name}.{target.setting}.plan"
        keep(artifact, self._plan(trt, file, target))
        return artifact

    @contextmanager
    def open(self, artifact: Path, target: Target) -> Iterator[EngineSession]:
        """Loads an engine.

        Raises:
            UnavailableError: It cannot run here, or the engine computes in another precision.
            MeasurementError: The engine does not load.
            StorageError: Its file cannot be read.
        """
        with closing(self._session(artifact, target)) as session:
            check_precision(target, session.precision_as_built, artifact)
            yield session

    def layer_times(
        self, artifact: Path, target: Target, *, warm_runs: int, runs: int
    ) -> LayerTimes:
        """Profiles a network; see `pipeline.device.runtimes.ProfilingRuntime`.

        Times are the GPU's own. The mean of the faster half of the runs counts. Of a layer that
        several blocks were fused into it is not known what each takes: it counts for the first.

        Raises:
            UnavailableError: It cannot run here, or the engine computes in another precision.
            MeasurementError: The engine does not load or run, or names no blocks.
        """
        with closing(self._session(artifact, target, record=False)) as session:
            check_precision(target, session.precision_as_built, artifact)
            modules = {layer.name: layer.module for layer in session.layers()}
            session.bind(random_feed(session.inputs()))
            kept = faster_half(session.profile(warm_runs, runs))
        names = kept[0].names
        if any(run.names != names for run in kept):
            raise MeasurementError(f"{artifact}: TensorRT ran other layers in some of the runs")
        if modules.keys().isdisjoint(names):
            raise MeasurementError(
                f"{artifact}: TensorRT's profiler and its inspector name layers differently: "
                f"{names[:3]} and {list(modules)[:3]}"
            )
        found = attribute_mean([modules.get(name) for name in names], kept, str(artifact))
        each_ms = zip(*(run.nodes_ms for run in kept))
        return replace(found, engine_ms=dict(zip(names, each_ms)))

    def _plan(self, trt: Any, file: Path, target: Target) -> bytes:
        # A file that is not there is for the builder to tell.
        content = read_if_kept(file) if file.is_file() else None
        facts = self._facts(target)
        timings = timing_file(facts)
        kept = None
        if content is not None:
            kept = engine_file({**facts, "model": _digest(content), "batch": target.batch})
            plan = read_if_kept(kept)
            if plan is not None:
                return plan
        cache = (read_if_kept(timings) or b"") if self.keeps_timings else None
        built = build_engine(trt, file, BuildSettings(target.batch, self.compute_capability, cache))
        if built.timing_cache is not None:
            keep(timings, built.timing_cache)
        if kept is not None:
            keep(kept, built.plan)
        return built.plan

    def _facts(self, target: Target) -> dict[str, str | int | None]:
        """What an engine depends on besides the file and the batch."""
        return {
            "runtime": self.name,
            "version": self.version(),
            "gpu": json.dumps(gpu_identity()),
            "capability": self.compute_capability,
            "way": _WAY_OF_BUILDING,
        }

    def _session(self, artifact: Path, target: Target, *, record: bool = True) -> EngineSession:
        self.require(target)
        plan = read_if_kept(artifact)
        if plan is None:
            raise MeasurementError(f"{artifact} does not exist; expected a TensorRT engine")
        use_first_gpu()
        return EngineSession(self.load_module(), plan, artifact, record=record)


def imported(module: str, extra: str) -> Any:
    """Imports an engine's module.

    Raises:
        UnavailableError: It, or a library that it needs, is missing.
    """
    try:
        return importlib.import_module(module)
    except (ImportError, OSError) as error:
        raise UnavailableError(f"{module} does not import: {error}", hint=extra) from None


def carried(packages: Sequence[str], library: str) -> list[Path]:
    """Files of a library in packages that are installed, whatever the rest of its version."""
    folders = [folder for package in packages for folder in folders_of(package)]
    return [file for folder in folders for file in sorted(folder.glob(f"{library}*"))]


def load_for_all(library: Path, extra: str) -> None:
    """Loads a library so that those loaded later find it by its name.

    Raises:
        UnavailableError: It does not load.
    """
    try:
        ctypes.CDLL(str(library), mode=ctypes.RTLD_GLOBAL)
    except OSError as error:
        raise UnavailableError(f"{library} does not load: {error}", hint=extra) from None


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
