"""What needs no torch loads none: command lines start fast and records read on any machine."""

import json
import subprocess
import sys

import pytest

from tests.checkout import ROOT

PACKAGE = ROOT / "pipeline"
HEAVY = ("torch", "torchvision", "timm", "onnx", "onnxruntime", "tensorrt", "openvino", "pycuda")
GROUND = [
    "architecture_file",
    "cost",
    "device",
    "encoding",
    "errors",
    "files",
    "fingerprint",
    "gpu",
    "machine_state",
    "measure",
    "operator_spec",
    "progress",
    "records",
    "runtimes",
    "space",
    "workspace",
    "yaml_file",
]
EXPORTS = {"pipeline.latency.checking", "pipeline.latency.profiling"}
"""Modules that hand operators to the exporter, which is torch's."""


def _modules(name: str) -> list[str]:
    """A package's modules, itself the first."""
    found = sorted((PACKAGE / name).rglob("*.py"))
    dotted = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in found]
    return [module.removesuffix(".__init__") for module in dotted]


@pytest.mark.parametrize("names", [["pipeline"], [f"pipeline.{name}" for name in GROUND]], ids=len)
def test_the_ground_floor_loads_no_torch_and_no_runtime(names):
    assert _loaded(names) == []


@pytest.mark.parametrize("package", ["search", "report", "latency"])
def test_these_packages_load_no_torch_and_no_runtime(package):
    modules = _modules(package)
    assert len(modules) > 1
    assert _loaded([name for name in modules if name not in EXPORTS]) == []


def _loaded(names: list[str]) -> list[str]:
    code = (
        "import importlib, json, sys\n"
        f"for name in {names!r}: importlib.import_module(name)\n"
        f"print(json.dumps([name for name in {HEAVY!r} if name in sys.modules]))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return list(json.loads(ran.stdout))
