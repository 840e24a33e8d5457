"""Whether TensorRT can run is told from what is installed, without importing it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.device import Target
from pipeline.errors import UnavailableError
from pipeline.model_files import FP16, FP32, INT8_SYMMETRIC
from pipeline.runtimes import find
from tests.runtimes.conformance import ROOT
from tests.runtimes.stubs import compiled

DRIVER = (
    "int cuInit(unsigned flags) { return 0; }\n"
    "int cuDeviceGetCount(int *count) { *count = 1; return 0; }"
)
NOTHING = "int nothing(void) { return 0; }"


def installed(folder: Path, package: str, version: str, *, module: str | None = None) -> None:
    """What pip leaves of a package; importing its module would end the process."""
    notes = folder / f"{package}-{version}.dist-info"
    notes.mkdir(parents=True)
    (notes / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n")
    if module:
        (folder / module).mkdir()
        (folder / module / "__init__.py").write_text("import os\nos.abort()\n")


def told(folder: Path, runtime: str = "tensorrt") -> tuple[str | None, str]:
    """Version and reason, in a process that finds packages and libraries in a folder."""
    code = (
        "import json\nfrom pipeline.runtimes import find\n"
        f"engine = find({runtime!r})\n"
        "print(json.dumps([engine.version(), engine.unavailable()]))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=os.environ
        | {
            "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)]),
            "LD_LIBRARY_PATH": str(folder),
        },
        capture_output=True,
        text=True,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    version, reason = json.loads(ran.stdout)
    return version, reason


def test_a_part_of_it_is_told_to_be_one(tmp_path: Path) -> None:
    installed(tmp_path, "tensorrt_cu13_bindings", "11.4.0", module="tensorrt_bindings")
    version, reason = told(tmp_path)
    assert version == "11.4.0"
    assert reason == (
        "the package tensorrt is not installed (pip install 'cream-pipeline[tensorrt]'); "
        "only a part of it, 11.4.0, is there"
    )


@pytest.mark.parametrize(("version", "library"), [("10.16.1", "10"), ("11.4.0", "11")])
def test_a_library_that_is_missing_is_named(tmp_path: Path, version: str, library: str) -> None:
    installed(tmp_path, "tensorrt", version, module="tensorrt")
    assert told(tmp_path) == (
        version,
        f"libnvinfer.so.{library} not found, which tensorrt {version} needs "
        "(pip install 'cream-pipeline[tensorrt]')",
    )


def test_a_library_that_is_broken_is_told(tmp_path: Path) -> None:
    installed(tmp_path, "tensorrt", "11.4.0", module="tensorrt")
    (tmp_path / "libnvinfer.so.11").write_text("no library")
    assert told(tmp_path)[1].startswith("libnvinfer.so.11 does not load: ")


@pytest.mark.parametrize("place", [".", "tensorrt_libs"])
def test_with_its_libraries_the_driver_and_pycuda_are_next(tmp_path: Path, place: str) -> None:
    installed(tmp_path, "tensorrt", "11.4.0", module="tensorrt")
    compiled(NOTHING, tmp_path / place / "libnvinfer.so.11")
    if place != ".":
        (tmp_path / place / "__init__.py").write_text("import os\nos.abort()\n")
    (tmp_path / "libcuda.so.1").write_text("no library")
    assert "the NVIDIA driver's library does not load" in told(tmp_path)[1]
    (tmp_path / "libcuda.so.1").unlink()
    compiled(DRIVER, tmp_path / "libcuda.so.1")
    assert told(tmp_path)[1] in (None, "the package pycuda is not installed (pip install pycuda)")


@pytest.mark.parametrize("name", ["tensorrt", "tensorrt_rtx"])
def test_the_precision_is_the_files(name: str, tmp_path: Path) -> None:
    engine = find(name)
    assert engine.reads("fp32") == FP32
    assert engine.reads("fp16") == FP16
    assert engine.reads("int8") == INT8_SYMMETRIC
    assert engine.reads("bf16") is None
    with pytest.raises(UnavailableError, match=f"{name} runtime runs fp32, fp16, int8; bf16"):
        engine.build(tmp_path, Target.parse(f"host/{name}-bf16-b1"), tmp_path)


@pytest.mark.parametrize("name", ["tensorrt", "tensorrt_rtx"])
def test_where_it_cannot_run_nothing_is_built(name: str, tmp_path: Path) -> None:
    engine = find(name)
    reason = engine.unavailable()
    if reason is None:
        pytest.skip("it can run here")
    target = Target.parse(f"host/{name}-fp32-b1")
    with pytest.raises(UnavailableError) as caught:
        engine.build(tmp_path, target, tmp_path / "built")
    assert reason in caught.value.message
    assert not (tmp_path / "built").exists()
