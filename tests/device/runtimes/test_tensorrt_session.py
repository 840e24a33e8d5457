"""Sessions need a GPU; here is what can be said of them without: every call they make exists.

The names are looked up in NVIDIA's own bindings: those of TensorRT for RTX, which are installed,
and those of TensorRT 10 and 11 over libraries that do nothing.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.device.runtimes import _tensorrt_build, _tensorrt_session
from pipeline.device.runtimes._cuda import calls_problem, driver_problem
from pipeline.device.runtimes._tensorrt_session import EngineSession
from pipeline.errors import UnavailableError
from tests.device.runtimes.children import beside, said
from tests.device.runtimes.engines import compiler
from tests.device.runtimes.stubs import compiled

PRODUCT = {"10": "10.16.1.11", "11": "11.4.0.106"}
BINDINGS = "tensorrt_cu13_bindings"
LIBRARIES = ("nvinfer", "nvinfer_plugin", "nvonnxparser")
FACTORIES = (
    "createInferBuilder_INTERNAL",
    "createInferRefitter_INTERNAL",
    "createInferRuntime_INTERNAL",
    "createNvOnnxParserRefitter_INTERNAL",
    "createNvOnnxParser_INTERNAL",
    "getBuilderPluginRegistry",
    "getNvOnnxParserVersion",
    "getPluginRegistry",
    "initLibNvInferPlugins",
)
# What our variables hold.
CLASSES = {
    "builder": "Builder",
    "network": "INetworkDefinition",
    "config": "IBuilderConfig",
    "parser": "OnnxParser",
    "profile": "IOptimizationProfile",
    "tensor": "ITensor",
    "error": "ParserError",
    "engine": "ICudaEngine",
    "context": "IExecutionContext",
    "inspector": "EngineInspector",
    "runtime": "Runtime",
}
NOT_THE_LIBRARYS = {"ParserError.strerror"}
ONLY_FOR_RTX = {"IBuilderConfig.num_compute_capabilities", "IBuilderConfig.set_compute_capability"}
LOOK_UP = """
import json, sys
names = json.loads(sys.argv[1])
missing = []
for name in names:
    at = trt
    for part in name.split("."):
        at = getattr(at, part, None)
        if at is None:
            missing.append(name)
            break
print(json.dumps(missing))
"""


def names_used() -> set[str]:
    """Every name of the library in our sources, in full."""
    found = set()
    for module in (_tensorrt_build, _tensorrt_session):
        source = Path(module.__file__).read_text(encoding="utf-8")
        found |= set(re.findall(r"(?:\bself\._|(?<![\w.]))trt\.([A-Za-z_.]+\w)", source))
        for variable, owner in CLASSES.items():
            pattern = rf"(?:\bself\._|(?<![\w.])){variable}\.(\w+)"
            found |= {f"{owner}.{name}" for name in re.findall(pattern, source)}
    return found - NOT_THE_LIBRARYS


def test_the_names_used_are_found_in_our_sources() -> None:
    expected = {
        "Builder.build_serialized_network",
        "IBuilderConfig.clear_flag",
        "ICudaEngine.create_execution_context",
        "IExecutionContext.execute_async_v3",
        "IExecutionContext.report_to_profiler",
        "ITensor.get_dimension_name",
        "LayerInformationFormat.JSON",
        "ParserError.node_operator",
        "ProfilingVerbosity.DETAILED",
        "Runtime.deserialize_cuda_engine",
    }
    assert expected <= names_used()
    assert len(names_used()) > 45


def looked_up(names: set[str], imports: str, **variables: str) -> list[str]:
    told = said(f"{imports}\n{LOOK_UP}", json.dumps(sorted(names)), **variables)
    return list(json.loads(told.splitlines()[-1]))


def test_every_name_exists_in_tensorrt_for_rtx() -> None:
    compiler()
    imports = (
        "from pipeline.device.runtimes.tensorrt_rtx import Runtime\ntrt = Runtime().load_module()"
    )
    assert looked_up(names_used(), imports) == []


@pytest.fixture(scope="module", params=PRODUCT)
def product(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the bindings of a TensorRT, and libraries that give nothing."""
    major, version = request.param, PRODUCT[request.param]
    folder = tmp_path_factory.mktemp(f"tensorrt-{major}")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target"]
    command += [str(folder), "--only-binary", ":all:", f"{BINDINGS}=={version}"]
    try:
        ran = subprocess.run(command, capture_output=True, text=True, timeout=120)
    except subprocess.TimeoutExpired:
        pytest.skip(f"{BINDINGS} {version} was not fetched in two minutes")
    if ran.returncode != 0:
        pytest.skip(f"{BINDINGS} {version} cannot be fetched: {ran.stderr.strip()[-200:]}")
    source = "\n".join(f"void *{name}() {{ return 0; }}" for name in FACTORIES)
    for library in LIBRARIES:
        compiled(source, folder / f"lib{library}.so.{major}")
    return folder


@pytest.mark.slow
def test_every_name_exists_in_tensorrt_10_and_11(product: Path) -> None:
    names = names_used() - ONLY_FOR_RTX
    assert looked_up(names, "import tensorrt_bindings as trt", **beside(product)) == []


@pytest.mark.slow
def test_a_library_that_does_not_start_is_told(product: Path, tmp_path: Path) -> None:
    """Strong typing has another number in each major, and a factory may give nothing."""
    (tmp_path / "model.onnx").write_bytes(b"")
    code = (
        "import sys\nfrom pathlib import Path\nimport tensorrt_bindings as trt\n"
        "from pipeline.errors import UnavailableError\n"
        "from pipeline.device.runtimes._tensorrt_build import *\n"
        "from pipeline.device.runtimes._tensorrt_build import _strongly_typed\n"
        "try: build_engine(trt, Path(sys.argv[1]), BuildSettings(1))\n"
        "except UnavailableError as error: print(error.message)\n"
        "try: build_engine(trt, Path(sys.argv[1]), BuildSettings(1, 'SM89'))\n"
        "except UnavailableError as error: print(error.message)\n"
        "print(_strongly_typed(trt))\n"
    )
    told = said(code, str(tmp_path / "model.onnx"), **beside(product))
    first, second, strongly_typed = told.splitlines()
    (version,) = re.findall(r"TensorRT (1[01])\.\S+ does not start", first)
    assert second == first
    assert strongly_typed == {"10": "2", "11": "1"}[version]


@pytest.mark.skipif(
    (driver_problem() or calls_problem()) is None, reason="there is a GPU that can be used"
)
def test_without_a_gpu_a_session_says_why(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match=r"driver|pycuda"):
        EngineSession(compiler(), b"", tmp_path / "engine.plan")
