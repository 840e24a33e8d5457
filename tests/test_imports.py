"""Who imports whom: floors, doors, the closed room, and what is never loaded."""

import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.checkout import ROOT
from tests.rooms import door, modules, rooms, trespasses

PACKAGE = ROOT / "pipeline"
HEAVY = ("torch", "torchvision", "timm", "onnx", "onnxruntime", "tensorrt", "openvino", "pycuda")
LIGHT = (
    *("cli", "comparing", "device", "files", "latency", "measure", "recipe", "records"),
    *("report", "search", "space", "trials", "work"),
)
LOADS_TORCH = {
    # They hand networks to the exporter, which is torch's.
    "pipeline.latency.checking",
    "pipeline.latency.profiling",
    "pipeline.trials.benchmark",
    "pipeline.trials.engine_answers",
    "pipeline.trials.field",
    "pipeline.trials.further",
    "pipeline.trials.known",
    "pipeline.trials.trial",
    "pipeline.trials.verification",
}
SEEDS = {
    "floors": ("space/cost.py", "pipeline.measure.steadiness", "pipeline.space.cost"),
    "acyclic": ("space/operator_spec.py", "pipeline.space.search_space", "in pipeline.space"),
    "device": ("device/burst.py", "pydantic", "pipeline.device.burst"),
    "no-torch": ("search/front.py", "torch", "pipeline.search.front"),
}
"""An import that breaks each contract and no other, and what the message must name."""


def contracts() -> dict[str, dict[str, object]]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return {it["id"]: it for it in project["tool"]["importlinter"]["contracts"]}


def test_rooms_are_few_and_each_has_a_floor():
    found = rooms(PACKAGE)
    floors = contracts()["floors"]["layers"]
    assert sorted(floors) == sorted([*found, "errors"])
    assert len(found) <= 20
    assert {path.name for path in PACKAGE.glob("*.py")} == {"__init__.py", "errors.py"}


@pytest.mark.parametrize("folder", [PACKAGE, *(PACKAGE / name for name in rooms(PACKAGE))])
def test_a_level_holds_what_can_be_read_at_once(folder):
    for level in (folder, *(path.parent for path in folder.rglob("__init__.py"))):
        assert len([path for path in level.glob("*.py") if path.stem != "__init__"]) <= 25


@pytest.mark.parametrize("room", rooms(PACKAGE))
def test_a_room_says_what_it_is(room):
    text = (PACKAGE / room / "__init__.py").read_text(encoding="utf-8")
    for word in ("In", "Out", "Door", "Never"):
        assert re.search(rf"^{word}: \S", text, re.MULTILINE), word
    named = door(PACKAGE, room)
    (entry,) = [name for name in named if name.count(".") == 1]
    attributes = {f"{entry}.main"} if room == "cli" else set()
    assert named - attributes <= set(modules(PACKAGE))


def test_rooms_are_entered_by_their_doors():
    assert trespasses(PACKAGE) == []


def test_an_import_past_a_door_is_found(tmp_path):
    package = Path(shutil.copytree(PACKAGE, tmp_path / "pipeline"))
    path = package / "recipe" / "request.py"
    path.write_text(f"{path.read_text('utf-8')}\nfrom pipeline.search import exact\n", "utf-8")
    assert ("pipeline.recipe.request", "pipeline.search.exact") in trespasses(package)


def test_a_violation_of_each_contract_is_caught(tmp_path):
    assert set(SEEDS) == set(contracts())
    package = Path(shutil.copytree(PACKAGE, tmp_path / "pipeline"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for file, module, _ in SEEDS.values():
        path = package / file
        path.write_text(f"{path.read_text('utf-8')}\nimport {module}\n", "utf-8")
    ran = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command as c; c()"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 1, ran.stderr
    broken = ran.stdout.partition("Broken contracts")[2]
    for identity, (_, _, named) in SEEDS.items():
        name = str(contracts()[identity]["name"])
        assert re.search(rf"^{re.escape(name)} BROKEN", ran.stdout, re.MULTILINE), name
        assert named in broken.partition(name)[2]


def test_what_needs_no_torch_loads_none_and_no_engine():
    names = [
        module
        for module in modules(PACKAGE)
        if module.split(".")[1:2] and module.split(".")[1] in (*LIGHT, "errors")
        if module not in LOADS_TORCH | {"pipeline.device.child"}
    ]
    code = (
        "import importlib, json, sys\n"
        "loaded = {}\n"
        f"for name in {names!r}:\n"
        "    importlib.import_module(name)\n"
        f"    for heavy in set({HEAVY!r}) & set(sys.modules):\n"
        "        loaded.setdefault(heavy, name)\n"
        "print(json.dumps(loaded))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout) == {}
