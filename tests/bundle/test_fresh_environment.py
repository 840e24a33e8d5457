"""A stranger's machine: a new environment with three packages, and the folder."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import venv
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.bundle.conftest import Made

PACKAGES = ("numpy", "pillow", "onnxruntime")


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment that has what the model card says, and nothing else."""
    place = tmp_path_factory.mktemp("fresh") / "venv"
    venv.create(place, with_pip=False)
    interpreter = place / "bin" / "python"
    versions = [f"{name}=={metadata.version(name)}" for name in PACKAGES]
    # --no-compile: compiling what is imported once takes longer than all the rest.
    installed = subprocess.run(
        [sys.executable, "-m", "pip", "--python", interpreter, "install", "--quiet",
         "--no-compile", *versions],
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    assert installed.returncode == 0, f"pip cannot install {versions}: {installed.stderr}"
    return interpreter


def run(python: Path, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": "", "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [python, *arguments], cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.slow
def test_the_folder_alone_classifies_and_passes_its_self_test(
    bundle: Made, python: Path, tmp_path: Path
) -> None:
    has = run(
        python,
        "-c",
        "import importlib.util as u, json, sys; "
        "print(json.dumps([n for n in ('pipeline', 'torch', 'timm') if u.find_spec(n)]))",
        cwd=tmp_path,
    )
    assert json.loads(has.stdout) == []

    folder = Path(shutil.copytree(bundle.folder, tmp_path / "device"))
    program = str(folder / "infer.py")
    tested = run(python, program, "--selftest", "--json", cwd=tmp_path)
    assert tested.returncode == 0, tested.stdout + tested.stderr
    result = json.loads(tested.stdout)
    assert result["ok"] is True
    files = [file.file for file in bundle.card.files]
    assert [check["what"] for check in result["checks"]] == ["preprocessing", *files]
    assert {check["ok"] for check in result["checks"]} == {True}

    image = folder / "vectors" / "image-3.png"
    answered = run(python, program, str(image), "--json", "--top", "10", cwd=tmp_path)
    assert answered.returncode == 0, answered.stderr
    (answer,) = json.loads(answered.stdout)["images"]
    with np.load(bundle.folder / bundle.card.vectors.file) as kept, torch.inference_mode():
        shares = bundle.network(torch.from_numpy(kept["inputs"][3:4])).softmax(1)[0].tolist()
    found = {it["label"]: it["probability"] for it in answer["predictions"]}
    assert found == pytest.approx({str(n): share for n, share in enumerate(shares)}, abs=1e-4)
