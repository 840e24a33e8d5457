"""TensorRT engines from ONNX files, in one way for TensorRT 10, TensorRT 11 and TensorRT for RTX.

The module `trt` is given, since the three differ in their names but hardly in what is used here.
Networks are strongly typed on all of them: precision is what the file says, and cannot be the
builder's choice. Enumerations are asked for by name, because their numbers changed between majors.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.device.runtimes._onnx_wire import external_weights
from pipeline.errors import MeasurementError, UnavailableError

BATCH = "batch"
INPUT_TYPES = ("FLOAT", "HALF", "INT8", "UINT8", "INT32", "INT64")
_TIMINGS_A_TACTIC = 8
"""As in NVIDIA's own benchmark; the library's default is one, which picks tactics by luck."""
_MOST_ERRORS = 4
_LONGEST_ERROR = 300
_KEPT_MESSAGES = 50
_LAYERS = "Layers:"
_OUT_OF_MEMORY = ("outofmemory", "out of memory")


class Told(NamedTuple):
    """What the library said during a call.

    Attributes:
        errors: Its errors, oldest first.
        warnings: Its warnings.
        layers: The builder's list of the engine's layers, where it prints one.
    """

    errors: tuple[str, ...]
    warnings: tuple[str, ...]
    layers: str | None


@dataclass(frozen=True)
class BuildSettings:
    """What an engine is built for.

    Attributes:
        batch: Images a call, where the file leaves that free.
        compute_capability: Kind of GPU to build for without one at hand, such as `SM89`; only
            TensorRT for RTX can. None for the GPU at hand.
        timing_cache: What earlier builds on this GPU found out about tactics; None for no such
            cache.
    """

    batch: int
    compute_capability: str | None = None
    timing_cache: bytes | None = None


class Built(NamedTuple):
    """An engine.

    Attributes:
        plan: The engine, serialised.
        warnings: What the builder warned of.
        layers: The builder's list of layers; None where it does not print one.
        timing_cache: What this and earlier builds found out about tactics, where that was asked.
    """

    plan: bytes
    warnings: tuple[str, ...]
    layers: str | None
    timing_cache: bytes | None


@lru_cache(maxsize=4)
def logger(trt: Any) -> Any:
    """The process's logger of a module: the library ignores every later one."""

    class Log(trt.ILogger):
        """Keeps what matters; the library prints nothing itself."""

        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.forget()

        def forget(self) -> None:
            self.errors: deque[str] = deque(maxlen=_KEPT_MESSAGES)
            self.warnings: deque[str] = deque(maxlen=_KEPT_MESSAGES)
            self.layers: str | None = None

        def log(self, severity: Any, message: str) -> None:
            if severity in (trt.ILogger.INTERNAL_ERROR, trt.ILogger.ERROR):
                self.errors.append(message)
            elif severity == trt.ILogger.WARNING:
                self.warnings.append(message)
            elif message.startswith(_LAYERS):
                self.layers = message

        def told(self) -> Told:
            return Told(tuple(self.errors), tuple(self.warnings), self.layers)

    return Log()


@contextmanager
def listening(trt: Any) -> Iterator[Any]:
    """The logger, with what was told before forgotten."""
    log = logger(trt)
    log.forget()
    yield log


def build_engine(trt: Any, file: Path, settings: BuildSettings) -> Built:
    """Builds an engine.

    Args:
        trt: `tensorrt` or `tensorrt_rtx_bindings`.
        file: An ONNX file; its precision is the engine's.
        settings: What to build for.

    Raises:
        UnavailableError: TensorRT cannot build here, or is older than 10.
        MeasurementError: The file is missing, keeps weights outside itself, or has free dimensions
            other than `batch`; TensorRT refuses it (says which nodes and why); or the GPU has no
            memory for the build.
    """
    data = _read(file)
    with listening(trt) as log:
        builder = _builder(trt, log)
        network = builder.create_network(_strongly_typed(trt))
        parser = trt.OnnxParser(network, log)
        # From memory, so that the parser has no folder to look for more files in.
        if not parser.parse(data):
            raise _refusal(file, parser, log.told())
        if network.num_outputs == 0:
            raise MeasurementError(f"{file}: is not a whole ONNX file: it has no outputs")
        config = _config(trt, builder, settings)
        profile = _profile(builder, network, settings.batch, file)
        if profile is not None and config.add_optimization_profile(profile) < 0:
            raise MeasurementError(f"{file}: TensorRT refuses the batch: {reason(log.told())}")
        cache = _use_timing_cache(config, settings.timing_cache)
        plan = builder.build_serialized_network(network, config)
        told = log.told()
    if plan is None:
        raise _not_built(file, told)
    return Built(
        bytes(plan),
        told.warnings,
        told.layers,
        None if cache is None else bytes(config.get_timing_cache().serialize()),
    )


def reason(told: Told) -> str:
    """The library's errors in one line, the first ones if there are many."""
    return _listed([" ".join(text.split()) for text in told.errors]) or "it does not say why"


def out_of_memory(told: Told) -> bool:
    """Whether the GPU's memory is what a call lacked."""
    text = " ".join(told.errors).lower()
    return any(words in text for words in _OUT_OF_MEMORY)


def _read(file: Path) -> bytes:
    try:
        data = file.read_bytes()
    except FileNotFoundError:
        raise MeasurementError(f"{file} does not exist; expected an ONNX file") from None
    except OSError as error:
        raise MeasurementError(f"{file}: cannot be read: {error.strerror}") from None
    outside = external_weights(data)
    if outside is not None:
        raise MeasurementError(
            f"{file}: keeps the weights {outside!r} in another file; a model is one file",
            hint="save it with its weights inside: onnx.save(model, path)",
        )
    return data


def _builder(trt: Any, log: Any) -> Any:
    try:
        builder = trt.Builder(log)
    except TypeError:  # what the bindings make of a factory that returns nothing
        raise UnavailableError(
            f"TensorRT {trt.__version__} does not start: {reason(log.told())}"
        ) from None
    return builder


def _strongly_typed(trt: Any) -> int:
    flag = getattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None)
    if flag is None:
        raise UnavailableError(
            f"TensorRT {trt.__version__} chooses precisions by itself; 10 or newer takes the file's"
        )
    return 1 << int(flag)


def _config(trt: Any, builder: Any, settings: BuildSettings) -> Any:
    config = builder.create_builder_config()
    tf32 = getattr(trt.BuilderFlag, "TF32", None)
    if tf32 is not None:  # on by default, and then fp32 is not what is computed
        config.clear_flag(tf32)
    # Tells which layer is which node, and what it computes in.
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
    if hasattr(config, "avg_timing_iterations"):
        config.avg_timing_iterations = _TIMINGS_A_TACTIC
    # One stream, so that the times of layers do not overlap and are those of the run.
    config.max_aux_streams = 0
    if settings.compute_capability is not None:
        _set_compute_capability(trt, config, settings.compute_capability)
    return config


def _set_compute_capability(trt: Any, config: Any, name: str) -> None:
    known = getattr(trt, "ComputeCapability", None)
    if known is None:
        raise UnavailableError(
            f"TensorRT {trt.__version__} builds for the GPU at hand only; {name} was asked"
        )
    if name not in known.__members__:
        raise UnavailableError(
            f"TensorRT for RTX builds for {', '.join(known.__members__)}; {name} was asked"
        )
    config.num_compute_capabilities = 1
    config.set_compute_capability(known.__members__[name], 0)


def _use_timing_cache(config: Any, content: bytes | None) -> Any | None:
    if content is None:
        return None
    cache = config.create_timing_cache(content)
    if cache is None or not config.set_timing_cache(cache, ignore_mismatch=False):
        # Of another GPU or version: tactics are timed anew, which costs time only.
        cache = config.create_timing_cache(b"")
        config.set_timing_cache(cache, ignore_mismatch=False)
    return cache


def _profile(builder: Any, network: Any, batch: int, file: Path) -> Any | None:
    """The one range of shapes an engine is for: exactly the target's batch; None if none is free.

    Raises:
        MeasurementError: Another dimension is free, or an input's type is not handled.
    """
    profile = builder.create_optimization_profile()
    free = False
    for tensor in (network.get_input(index) for index in range(network.num_inputs)):
        if tensor.dtype.name not in INPUT_TYPES:
            raise MeasurementError(
                f"{file}: input {tensor.name!r} has type {tensor.dtype.name.lower()}, not handled"
            )
        given = tuple(tensor.shape)
        named = [tensor.get_dimension_name(i) if side < 0 else side for i, side in enumerate(given)]
        shape = tuple(batch if side == BATCH else side for side in named)
        if not all(isinstance(side, int) for side in shape):
            raise MeasurementError(
                f"{file}: input {tensor.name!r} has free dimensions {tuple(named)}; "
                "only one named `batch` may be free"
            )
        if shape != given:
            free = True
            profile.set_shape(tensor.name, shape, shape, shape)
    if not profile:  # the library tells a profile it cannot use in no other way
        raise MeasurementError(f"{file}: TensorRT cannot be built for a batch of {batch}")
    return profile if free else None


def _refusal(file: Path, parser: Any, told: Told) -> MeasurementError:
    errors = [parser.get_error(index) for index in range(parser.num_errors)]
    described = [_described(error) for error in errors]
    text = " ".join(described)
    hint = None
    if "zero point" in text or "DequantizeLinear" in text:
        hint = (
            "TensorRT takes int8 with zero points of zero and biases left in floating point: "
            "the file model.int8-symmetric.onnx"
        )
    elif any(error.node_operator() in text and "lugin" in text for error in errors):
        hint = "the operator is none of TensorRT's; run the model with the onnxruntime runtime"
    return MeasurementError(
        f"{file}: TensorRT refuses it: {_listed(described) or reason(told)}", hint=hint
    )


def _described(error: Any) -> str:
    """One error of the parser: node, operator, code and description."""
    what = f"{error.code().name}: {' '.join(error.desc().split())}"
    if error.node() < 0:
        return what
    name = repr(error.node_name()) if error.node_name() else f"number {error.node()}"
    return f"node {name} ({error.node_operator()}): {what}"


def _listed(items: list[str]) -> str:
    shown = [_clipped(item) for item in dict.fromkeys(items)]
    more = len(shown) - _MOST_ERRORS
    return "; ".join(shown[:_MOST_ERRORS]) + (f"; and {more} more" if more > 0 else "")


def _clipped(text: str) -> str:
    return text if len(text) <= _LONGEST_ERROR else f"{text[:_LONGEST_ERROR]} …"


def _not_built(file: Path, told: Told) -> MeasurementError:
    if out_of_memory(told):
        return MeasurementError(
            f"{file}: the GPU is out of memory while TensorRT builds: {reason(told)}",
            hint="end what else uses the GPU (nvidia-smi lists it), or take a smaller batch",
        )
    return MeasurementError(f"{file}: TensorRT builds no engine of it: {reason(told)}")
