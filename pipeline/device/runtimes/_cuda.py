"""The NVIDIA GPU at hand: whether there is one, and memory, a stream and a clock on it.

Whether a driver answers is asked of the driver's own library, which neither imports nor starts
anything else: engines crash where there is none. The rest goes through pycuda, on the context that
every CUDA library shares; pycuda has no CUDA graphs, so those go through NVIDIA's own bindings, on
the same stream.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.device.gpu_choice import VISIBLE
from pipeline.device.runtimes._packaged import missing
from pipeline.errors import MeasurementError, UnavailableError

_DRIVER = "libcuda.so.1"
_NO_DEVICE = 100
_MAJOR, _MINOR = 75, 76
_NAME_BYTES = 256
_UUID_BYTES = 16


class GpuIdentity(NamedTuple):
    """What an engine built on a GPU is bound to.

    Attributes:
        name: What the driver calls it.
        uuid: Of this very card, in hexadecimal.
        compute_capability: Such as `8.9`.
        driver: The driver's version where the system tells it, and that of the CUDA it serves.
    """

    name: str
    uuid: str
    compute_capability: str
    driver: str


@lru_cache(maxsize=1)
def driver_problem() -> str | None:
    """Why no CUDA program can run here, or None. Asked once a process; never raises."""
    try:
        driver = ctypes.CDLL(_DRIVER)
    except OSError as error:
        if f"{_DRIVER}: cannot open shared object file" in str(error):
            return f"no NVIDIA driver ({_DRIVER} not found)"
        return f"the NVIDIA driver's library does not load: {error}"
    try:
        code = driver.cuInit(0)
        if code == _NO_DEVICE:
            return "the NVIDIA driver finds no GPU (cuInit: CUDA_ERROR_NO_DEVICE)"
        if code != 0:
            return f"the NVIDIA driver does not start (cuInit: {_error_name(driver, code)})"
        count = ctypes.c_int()
        code = driver.cuDeviceGetCount(ctypes.byref(count))
    except AttributeError as error:
        return f"{_DRIVER} is no NVIDIA driver: {error}"
    if code != 0:
        return f"the NVIDIA driver does not answer ({_error_name(driver, code)})"
    if count.value == 0:
        return f"the NVIDIA driver finds no GPU that this process may use ({VISIBLE})"
    return None


def gpu_identity() -> GpuIdentity:
    """The first visible GPU.

    Raises:
        UnavailableError: There is none, or its driver does not answer.
    """
    problem = driver_problem()
    if problem:
        raise UnavailableError(problem)
    driver = ctypes.CDLL(_DRIVER)

    def asked(function: str, *arguments: Any) -> None:
        code = getattr(driver, function)(*arguments)
        if code != 0:
            raise UnavailableError(
                f"the NVIDIA driver does not answer ({function}: {_error_name(driver, code)})"
            )

    device, serves, major, minor = (ctypes.c_int() for _ in range(4))
    name = ctypes.create_string_buffer(_NAME_BYTES)
    uuid = ctypes.create_string_buffer(_UUID_BYTES)
    asked("cuDeviceGet", ctypes.byref(device), 0)
    asked("cuDeviceGetName", name, _NAME_BYTES, device)
    asked("cuDeviceGetUuid", uuid, device)
    asked("cuDeviceGetAttribute", ctypes.byref(major), _MAJOR, device)
    asked("cuDeviceGetAttribute", ctypes.byref(minor), _MINOR, device)
    asked("cuDriverGetVersion", ctypes.byref(serves))
    version = f"CUDA {serves.value // 1000}.{serves.value % 1000 // 10}"
    module = Path("/sys/module/nvidia/version")
    if module.is_file():  # not on every system that has the driver
        version = f"{module.read_text(encoding='utf-8').strip()}, {version}"
    return GpuIdentity(
        name.value.decode(errors="replace"), uuid.raw.hex(), f"{major.value}.{minor.value}", version
    )


def calls_problem() -> str | None:
    """Why this module's own GPU calls cannot be made, or None; imports nothing."""
    return missing("pycuda")


def _error_name(driver: Any, code: int) -> str:
    text = ctypes.c_char_p()
    if hasattr(driver, "cuGetErrorName") and driver.cuGetErrorName(code, ctypes.byref(text)) == 0:
        return (text.value or b"").decode(errors="replace")
    return f"error {code}"


def use_first_gpu() -> Any:
    """Makes the first visible GPU current in this thread, and gives pycuda's driver module.

    Raises:
        UnavailableError: There is no driver, no pycuda, or pycuda was told to use another GPU than
            other CUDA libraries would.
    """
    problem = driver_problem() or calls_problem()
    if problem:
        raise UnavailableError(problem)
    try:
        import pycuda.autoprimaryctx as current
        import pycuda.driver as cuda
    except Exception as error:  # noqa: BLE001  (it starts CUDA, and wraps what goes wrong variously)
        raise UnavailableError(f"pycuda does not start: {error}") from None
    if current.device != cuda.Device(0):
        given = os.environ.get("CUDA_DEVICE")
        raise UnavailableError(
            "pycuda was told to use another GPU than the first visible one (by "
            + (f"CUDA_DEVICE={given})" if given is not None else "~/.cuda_device)"),
            hint=f"choose the GPU by {VISIBLE}, which everything here follows",
        )
    return cuda


class Buffer:
    """A tensor's place on the GPU, and page-locked memory on the host to copy it from and to.

    Attributes:
        host: The array on the host.
        address: Where it is on the GPU.
        nbytes: Its size.
    """

    def __init__(self, cuda: Any, shape: tuple[int, ...], dtype: np.dtype[np.generic]) -> None:
        self.nbytes = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
        self._device = cuda.mem_alloc(max(self.nbytes, 1))
        self.address = int(self._device)
        try:
            self.host: NDArray[np.generic] = cuda.pagelocked_empty(shape, dtype)
        except cuda.MemoryError:
            self._device.free()
            raise MeasurementError(
                f"the host has no {self.nbytes / 2**20:.1f} MiB of memory that can be page-locked"
            ) from None

    def free(self) -> None:
        """Gives the GPU's memory back; the host's goes with the last array that shows it."""
        self._device.free()


class Gpu:
    """What a session uses of the GPU; everything is freed by `close`.

    Args:
        what: What messages call the user of the GPU.

    Raises:
        UnavailableError: See `use_first_gpu`.
        MeasurementError: The GPU has no memory left.
    """

    def __init__(self, what: str) -> None:
        self._what = what
        self._cuda = use_first_gpu()
        self._buffers: list[Buffer] = []
        self._graph: _Graph | None = None
        with self._errors():
            # Not the default stream, on which engines synchronise the whole device.
            self._stream = self._cuda.Stream()
            self._start, self._end = self._cuda.Event(), self._cuda.Event()

    @property
    def stream(self) -> int:
        """The stream, as engines want it."""
        return int(self._stream.handle)

    def buffer(self, shape: tuple[int, ...], dtype: np.dtype[np.generic]) -> Buffer:
        """A place for a tensor.

        Raises:
            MeasurementError: The GPU has no memory left, or refuses.
        """
        size_mib = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize / 2**20
        with self._errors(f"{size_mib:.1f} MiB for a tensor {shape}"):
            made = Buffer(self._cuda, shape, dtype)
        self._buffers.append(made)
        return made

    def upload(self, buffers: Sequence[Buffer]) -> None:
        """Starts copies from the host; see `wait`."""
        with self._errors():
            for each in buffers:
                self._cuda.memcpy_htod_async(each.address, each.host, self._stream)

    def download(self, buffers: Sequence[Buffer]) -> None:
        """Starts copies to the host; see `wait`."""
        with self._errors():
            for each in buffers:
                self._cuda.memcpy_dtoh_async(each.host, each.address, self._stream)

    def wait(self) -> None:
        """Returns when everything on the stream is done.

        Raises:
            MeasurementError: Something on it failed.
        """
        with self._errors():
            self._stream.synchronize()

    def start_clock(self) -> None:
        """Puts a mark on the stream."""
        self._start.record(self._stream)

    def stop_clock(self) -> None:
        """Puts the second mark on the stream."""
        self._end.record(self._stream)

    def clock_ms(self) -> float:
        """Time on the GPU between the two marks, both of which the GPU has passed.

        Raises:
            MeasurementError: They were not set, or not passed.
        """
        with self._errors():
            return float(self._start.time_till(self._end))

    def capture(self, enqueue: Callable[[], None]) -> str | None:
        """Records what a call puts on the stream as a CUDA graph, for `launch`.

        Args:
            enqueue: What is recorded; must have run once before.

        Returns:
            None, or why there is no graph. What `enqueue` raises is among the reasons: an engine
            may be unable to be recorded and still run.
        """
        self._drop_graph()
        if importlib.util.find_spec("cuda") is None or not importlib.util.find_spec(
            "cuda.bindings"
        ):
            return "the package cuda-bindings is not installed"
        try:
            from cuda.bindings import runtime

            self._graph = _Graph(runtime, self.stream, enqueue)
        except (ImportError, RuntimeError, MeasurementError) as error:
            return str(error)
        return None

    def launch(self) -> None:
        """Puts the recorded work on the stream.

        Raises:
            MeasurementError: The GPU refuses it, or none was recorded.
        """
        if self._graph is None:
            raise MeasurementError(f"{self._what}: no CUDA graph was recorded")
        try:
            self._graph.launch()
        except _CudaCallError as error:
            raise MeasurementError(f"{self._what}: {error}") from None

    def close(self) -> None:
        """Frees everything; may be called again."""
        self._drop_graph()
        while self._buffers:
            self._buffers.pop().free()

    def _drop_graph(self) -> None:
        graph, self._graph = self._graph, None
        if graph is not None:
            graph.destroy()

    @contextmanager
    def _errors(self, asked: str = "") -> Iterator[None]:
        try:
            yield
        except self._cuda.MemoryError:
            free, total = self._cuda.mem_get_info()
            wanted = f", {asked} asked" if asked else ""
            raise MeasurementError(
                f"{self._what}: the GPU is out of memory: {free / 2**20:.0f} of "
                f"{total / 2**20:.0f} MiB are free{wanted}",
                hint="end what else uses the GPU (nvidia-smi lists it), or take a smaller batch",
            ) from None
        except self._cuda.Error as error:
            raise MeasurementError(f"{self._what}: the GPU refuses: {error}") from None


class _CudaCallError(RuntimeError):
    """A call of the CUDA runtime that did not succeed."""


class _Graph:
    """Recorded work, through `cuda.bindings.runtime`, whose calls return their error first."""

    def __init__(self, runtime: Any, stream: int, enqueue: Callable[[], None]) -> None:
        self._runtime = runtime
        self._stream = runtime.cudaStream_t(stream)
        # Other threads may go on calling CUDA meanwhile.
        mode = runtime.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal
        self._call("cudaStreamBeginCapture", self._stream, mode)
        try:
            enqueue()
        except BaseException:
            # A stream that records must be let go; its own complaint adds nothing to the cause.
            _, graph = runtime.cudaStreamEndCapture(self._stream)
            runtime.cudaGetLastError()
            if int(graph or 0):
                runtime.cudaGraphDestroy(graph)
            raise
        graph = self._call("cudaStreamEndCapture", self._stream)
        try:
            self._work = self._call("cudaGraphInstantiate", graph, 0)
        finally:
            runtime.cudaGraphDestroy(graph)

    def launch(self) -> None:
        error = self._runtime.cudaGraphLaunch(self._work, self._stream)[0]
        if int(error) != 0:
            raise _CudaCallError(f"cudaGraphLaunch: {error!s}")

    def destroy(self) -> None:
        self._runtime.cudaGraphExecDestroy(self._work)

    def _call(self, name: str, *arguments: Any) -> Any:
        error, *results = getattr(self._runtime, name)(*arguments)
        if int(error) != 0:
            self._runtime.cudaGetLastError()  # so that the next call does not report it again
            raise _CudaCallError(f"{name}: {getattr(error, 'name', error)}")
        return results[0] if results else None
