"""What each runtime says of itself before it is used, by what is installed."""

import json
from pathlib import Path

import pytest

from pipeline.device import runtimes
from pipeline.device.model_files import FP16, FP32, INT8, INT8_SYMMETRIC, PROGRAM
from pipeline.device.runtimes import _packaged
from pipeline.device.runtimes._packaged import folders_of, missing, version_of
from pipeline.device.target import Target
from pipeline.errors import UnavailableError
from tests.device.runtimes.children import beside, said

OF_TENSORRT = {"fp32": FP32, "fp16": FP16, "int8": INT8_SYMMETRIC}
READS = {
    "onnxruntime": {"fp32": FP32, "fp16": FP16, "int8": INT8},
    "onnxruntime_cuda": {"fp32": FP32, "fp16": FP16},
    "onnxruntime_tensorrt": OF_TENSORRT,
    "onnxruntime_tensorrt_rtx": OF_TENSORRT,
    "openvino": {"fp32": FP32, "bf16": FP32, "fp16": FP32, "int8": INT8_SYMMETRIC},
    "tensorrt": OF_TENSORRT,
    "tensorrt_rtx": OF_TENSORRT,
    "torch": {"fp32": PROGRAM},
    "torch_compile": {"fp32": PROGRAM},
    "torch_cuda": {"fp32": PROGRAM},
}
PRECISIONS = ("fp32", "fp16", "bf16", "int8")
ENGINES = (
    "cuda",
    "onnxruntime",
    "openvino",
    "pycuda",
    "tensorrt",
    "tensorrt_rtx_bindings",
    "torch",
)


@pytest.mark.parametrize("name", runtimes.names())
def test_which_file_it_runs_in_each_precision(name: str) -> None:
    engine = runtimes.find(name)
    found = {precision: engine.reads(precision) for precision in PRECISIONS}
    assert {precision: file for precision, file in found.items() if file} == READS[name]


@pytest.mark.parametrize(
    ("name", "precision"),
    [(name, each) for name in READS for each in PRECISIONS if each not in READS[name]],
)
def test_a_precision_it_cannot_run_is_refused(name: str, precision: str, tmp_path: Path) -> None:
    """Never another one in silence."""
    target = Target.parse(f"host/{name}-{precision}-b1")
    told = (
        f"{name} runtime runs {', '.join(p for p in PRECISIONS if p in READS[name])}; {precision}"
    )
    with pytest.raises(UnavailableError, match=told) as caught:
        runtimes.find(name).build(tmp_path, target, tmp_path / "built")
    assert caught.value.hint == f"use host/{name}-fp32-b1"
    assert not (tmp_path / "built").exists()


def test_finding_one_imports_nothing() -> None:
    """Whether it can run here is asked on every command line, so it must cost nothing."""
    code = (
        "import sys\nfrom pathlib import Path\nfrom pipeline.device import runtimes\n"
        "for name in runtimes.names():\n"
        "    engine = runtimes.find(name)\n"
        "    engine.unavailable(), engine.version()\n"
        "print([name for name in sys.argv[1:] if name in sys.modules])\n"
        # The libraries of TensorRT for RTX are a quarter of a gigabyte.
        "print('tensorrt_rtx' in Path('/proc/self/maps').read_text())"
    )
    assert said(code, *ENGINES) == "[]\nFalse\n"


@pytest.fixture(scope="module")
def where_nothing_is_installed() -> dict[str, list[str]]:
    """By runtime: why it cannot run, and what opening a model with it raises."""
    code = (
        "import json, sys\n"
        "sys.modules |= dict.fromkeys(sys.argv[1:])\n"
        "from pathlib import Path\n"
        "from pipeline.device import runtimes\n"
        "from pipeline.device.target import Target\n"
        "from pipeline.errors import UnavailableError\n"
        "told = {}\n"
        "for name in runtimes.names():\n"
        "    engine = runtimes.find(name)\n"
        "    try:\n"
        "        with engine.open(Path('x'), Target.parse(f'host/{name}-fp32-b1')): pass\n"
        "    except UnavailableError as error:\n"
        "        told[name] = [engine.unavailable(), error.message]\n"
        "print(json.dumps(told))"
    )
    return json.loads(said(code, *ENGINES))


@pytest.mark.parametrize("name", runtimes.names())
def test_where_it_cannot_run_it_says_so_and_does_not_crash(
    name: str, where_nothing_is_installed: dict[str, list[str]]
) -> None:
    reason, error = where_nothing_is_installed[name]
    assert "is not installed" in reason
    assert error == f"target host/{name}-fp32-b1: {reason}"


def test_without_a_gpu_those_that_need_one_say_so() -> None:
    code = (
        "from pipeline.device import runtimes\n"
        "from pipeline.device.fingerprint import RUNTIMES\n"
        "print([n for n in runtimes.names() if RUNTIMES[n].gpu and not "
        "runtimes.find(n).unavailable()])"
    )
    assert said(code, CUDA_VISIBLE_DEVICES="-1") == "[]\n"


def test_packages_are_looked_for_without_importing_them(tmp_path: Path) -> None:
    (tmp_path / "engine_x").mkdir()
    (tmp_path / "engine_x" / "__init__.py").write_text("import os\nos.abort()\n")
    code = (
        "from pipeline.device.runtimes._packaged import *\n"
        "print(missing('engine_x'), [str(place) for place in folders_of('engine_x')])"
    )
    assert said(code, **beside(tmp_path)) == f"None {[str(tmp_path / 'engine_x')]}\n"


def test_what_is_not_installed_is_told_with_how_to_install_it() -> None:
    assert missing("engine_x") == "the package engine_x is not installed (pip install engine_x)"
    assert missing("engine_x", "get it") == "the package engine_x is not installed (get it)"
    assert folders_of("engine_x") == []


def test_the_first_distribution_there_is_tells_the_version() -> None:
    numpy = _packaged.metadata.version("numpy")
    assert version_of(("engine-x", "numpy", "torch")) == numpy
    assert version_of(("engine-x",)) is None
