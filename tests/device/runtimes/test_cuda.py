"""Whether there is a GPU is told in words, whatever a driver does; nothing crashes."""

import ctypes.util
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from pipeline.device.runtimes import _cuda
from pipeline.errors import MeasurementError, UnavailableError
from tests.device.runtimes.children import said
from tests.device.runtimes.stubs import compiled

HAS_DRIVER = _cuda.driver_problem() is None
PROBLEM = _cuda.driver_problem() or _cuda.calls_problem()
NO_DRIVER_FILE = "no NVIDIA driver (libcuda.so.1 not found)"


def driver(*, init: int = 0, count: int = 1, count_code: int = 0, names: bool = True) -> str:
    """The source of a driver that answers what it is told to."""
    named = (
        "int cuGetErrorName(int code, const char **name) {"
        ' if (code == 999) { *name = "CUDA_ERROR_UNKNOWN"; return 0; } return 1; }'
        if names
        else ""
    )
    return (
        f"int cuInit(unsigned flags) {{ return {init}; }}\n"
        f"int cuDeviceGetCount(int *count) {{ *count = {count}; return {count_code}; }}\n"
        "int cuDeviceGet(int *device, int ordinal) { *device = ordinal; return 0; }\n"
        "int cuDeviceGetName(char *name, int size, int device)"
        ' { const char *is = "Stub GPU"; for (int i = 0; i < 9; i++) name[i] = is[i]; return 0; }\n'
        "int cuDeviceGetUuid(char *uuid, int device)"
        " { for (int i = 0; i < 16; i++) uuid[i] = i; return 0; }\n"
        "int cuDeviceGetAttribute(int *value, int which, int device)"
        " { *value = which == 75 ? 8 : 9; return 0; }\n"
        "int cuDriverGetVersion(int *version) { *version = 13020; return 0; }\n" + named
    )


def asked(folder: Path, expression: str) -> object:
    """What a process says that finds the driver in a folder."""
    code = (
        "import json\nfrom pipeline.device.runtimes import _cuda, find\n"
        "from pipeline.errors import *\n"
        f"print(json.dumps({expression}))"
    )
    return json.loads(said(code, LD_LIBRARY_PATH=str(folder)))


@pytest.mark.parametrize(
    ("source", "told"),
    [
        (driver(), None),
        (
            driver(init=100),
            "the NVIDIA driver finds no GPU (cuInit: CUDA_ERROR_NO_DEVICE)",
        ),
        (driver(init=999), "the NVIDIA driver does not start (cuInit: CUDA_ERROR_UNKNOWN)"),
        (driver(init=803), "the NVIDIA driver does not start (cuInit: error 803)"),
        (driver(init=803, names=False), "the NVIDIA driver does not start (cuInit: error 803)"),
        (
            driver(count=0),
            "the NVIDIA driver finds no GPU that this process may use (CUDA_VISIBLE_DEVICES)",
        ),
        (driver(count_code=999), "the NVIDIA driver does not answer (CUDA_ERROR_UNKNOWN)"),
    ],
)
def test_what_a_driver_answers_is_told(tmp_path: Path, source: str, told: str | None) -> None:
    compiled(source, tmp_path / "libcuda.so.1")
    assert asked(tmp_path, "_cuda.driver_problem()") == told


def test_a_library_that_is_no_driver_is_told(tmp_path: Path) -> None:
    compiled("int other(void) { return 0; }", tmp_path / "libcuda.so.1")
    found = asked(tmp_path, "_cuda.driver_problem()")
    assert str(found).startswith("libcuda.so.1 is no NVIDIA driver: ")


def test_a_file_that_is_no_library_is_told(tmp_path: Path) -> None:
    (tmp_path / "libcuda.so.1").write_text("text")
    found = asked(tmp_path, "_cuda.driver_problem()")
    assert str(found).startswith("the NVIDIA driver's library does not load: ")


def test_the_gpu_is_known_by_what_its_driver_says(tmp_path: Path) -> None:
    compiled(driver(), tmp_path / "libcuda.so.1")
    name, uuid, capability, version = asked(tmp_path, "_cuda.gpu_identity()")
    assert (name, uuid) == ("Stub GPU", bytes(range(16)).hex())
    assert capability == "8.9"
    assert version.endswith("CUDA 13.2")


@pytest.mark.parametrize("runtime", ["tensorrt_rtx", "onnxruntime_tensorrt_rtx"])
def test_where_there_is_a_driver_it_is_no_reason(tmp_path: Path, runtime: str) -> None:
    compiled(driver(), tmp_path / "libcuda.so.1")
    assert "driver" not in str(asked(tmp_path, f"find({runtime!r}).unavailable()"))


@pytest.mark.skipif(HAS_DRIVER, reason="this machine has an NVIDIA driver")
def test_without_a_driver_every_way_to_the_gpu_says_so() -> None:
    if ctypes.util.find_library("cuda") is None:
        assert _cuda.driver_problem() == NO_DRIVER_FILE
    for ask in (_cuda.gpu_identity, _cuda.use_first_gpu, lambda: _cuda.Gpu("a model")):
        with pytest.raises(UnavailableError, match=r"driver"):
            ask()


@pytest.mark.gpu
@pytest.mark.skipif(PROBLEM is not None, reason=str(PROBLEM))
class TestOnAGpu:
    @pytest.fixture
    def gpu(self) -> Iterator[_cuda.Gpu]:
        gpu = _cuda.Gpu("a test")
        yield gpu
        gpu.close()
        gpu.close()

    def test_what_is_copied_there_comes_back(self, gpu: _cuda.Gpu) -> None:
        buffer = gpu.buffer((3, 5), np.dtype(np.float32))
        sent = np.arange(15, dtype=np.float32).reshape(3, 5)
        buffer.host[...] = sent
        gpu.start_clock()
        gpu.upload([buffer])
        gpu.stop_clock()
        gpu.wait()
        assert gpu.clock_ms() > 0
        buffer.host[...] = 0
        gpu.download([buffer])
        gpu.wait()
        np.testing.assert_array_equal(buffer.host, sent)

    def test_running_out_of_memory_is_named(self, gpu: _cuda.Gpu) -> None:
        with pytest.raises(MeasurementError, match=r"a test: the GPU is out of memory.*MiB"):
            gpu.buffer((2**40,), np.dtype(np.float32))

    def test_copies_can_be_recorded_and_launched(self, gpu: _cuda.Gpu) -> None:
        buffer = gpu.buffer((4,), np.dtype(np.float32))
        assert gpu.capture(lambda: gpu.upload([buffer])) is None
        buffer.host[...] = 7
        gpu.launch()
        gpu.wait()
        buffer.host[...] = 0
        gpu.download([buffer])
        gpu.wait()
        assert buffer.host.tolist() == [7, 7, 7, 7]
