"""What runs on a device runs there alone: its room, the errors, numpy and the engine."""

import json
import os
import shutil
import subprocess
import venv
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import pipeline
from pipeline import device, errors
from tests.checkout import ROOT
from tests.device.runtimes.models import small_model

ABSENT = ("onnx", "pydantic", "scipy", "torch", "yaml")
PLAN = {"warm_runs": 1, "runs": 3, "burst_ms": 0.0, "max_runs": 3}


def needed(distribution: str) -> set[str]:
    """A distribution and those it asks for, all the way down."""
    found = {distribution}
    for text in metadata.requires(distribution) or ():
        requirement = Requirement(text)
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            found |= needed(requirement.name)
    return found


def lend(distribution: str, site: Path) -> None:
    """Links an installed distribution's files into another environment."""
    files = metadata.files(distribution) or ()
    for name in {path.parts[0] for path in files if path.parts[0] not in ("..", "__pycache__")}:
        if not (site / name).exists():
            (site / name).symlink_to(metadata.distribution(distribution).locate_file(name))


def environment(folder: Path, engine: str) -> Path:
    """The Python of an environment that holds numpy and an engine."""
    venv.create(folder, symlinks=True)
    (site,) = folder.glob("lib/python*/site-packages")
    for distribution in needed("numpy") | needed(engine):
        lend(distribution, site)
    return folder / "bin" / "python"


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what is lent to a device, and nothing else of the package."""
    folder = tmp_path_factory.mktemp("lent")
    for part in (pipeline.__file__, errors.__file__, Path(device.__file__).parent):
        place = folder / Path(part).relative_to(ROOT)
        place.parent.mkdir(exist_ok=True)
        if Path(part).is_dir():
            shutil.copytree(part, place, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copyfile(part, place)
    return folder


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_the_child_opens_and_times_a_model(room: Path, tmp_path: Path, engine: str) -> None:
    python = environment(tmp_path / "venv", engine)
    model = small_model(tmp_path / "model")
    kept = {"PATH": os.environ["PATH"], "PYTHONPATH": str(room), "HOME": str(tmp_path)}

    def run(*command: str, given: str = "") -> str:
        ran = subprocess.run(
            [python, "-s", *command],
            cwd=tmp_path,
            env=kept,
            input=given,
            capture_output=True,
            text=True,
        )
        assert ran.returncode == 0, ran.stderr
        return ran.stdout

    look = "import sys, importlib.util as u\nprint([n for n in sys.argv[1:] if u.find_spec(n)])"
    assert run("-c", look, *ABSENT, engine, "numpy") == f"{[engine, 'numpy']}\n"

    requests = [
        {"do": "open", "key": "a", "model": str(model)},
        {"do": "warm", "key": "a", "duration_ms": 1},
        {"do": "burst", "key": "a", "plan": PLAN},
    ]
    given = "".join(json.dumps(request) + "\n" for request in requests)
    target = f"host/{engine}-fp32-b1-t1"
    opened, warmed, burst = map(
        json.loads, run("-m", "pipeline.device.child", target, given=given).splitlines()
    )
    assert opened == {"precision": "fp32", "notes": []}
    assert warmed == {}
    assert len(burst["samples_ms"]) == 3
    assert min(burst["samples_ms"]) > 0
