"""Several processes that train together are one training."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

SCRIPT = Path(__file__).with_name("many_processes.py")
ROOT = SCRIPT.parents[2]


def trained(folder: Path, processes: int, statistics: str) -> list[dict[str, Any]]:
    """What each process tells, in the order of their ranks."""
    folder.mkdir()
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node"]
    command = [*torchrun, str(processes), str(SCRIPT), str(folder), statistics]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [json.loads((folder / f"rank-{rank}.json").read_text()) for rank in range(processes)]


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, Any]]]:
    folder = tmp_path_factory.mktemp("two") / "moving"
    return folder, trained(folder, 2, "moving")


def test_both_take_the_same_paths_from_the_same_teachers(two: tuple[Path, list[dict[str, Any]]]):
    _, (first, second) = two
    assert first["processes"] == second["processes"] == 2
    assert first["paths"] == second["paths"]
    assert len(first["paths"]) == 16
    assert first["teachers"] == second["teachers"]
    assert first["teachers"]
    assert first["boards"] == second["boards"]
    assert first["board"] == second["board"]
    assert first["matching"] == second["matching"]
    assert any(first["matching"])


def test_both_end_with_the_same_weights(two: tuple[Path, list[dict[str, Any]]]):
    _, (first, second) = two
    assert first["weights"] == second["weights"]


def test_the_first_alone_writes(two: tuple[Path, list[dict[str, Any]]]):
    folder, _ = two
    names = {path.name for path in folder.iterdir() if not path.name.startswith("rank-")}
    assert names == {"finished.json", "log.jsonl", "supernet.safetensors", "tensorboard"}
    assert len(list((folder / "tensorboard").iterdir())) == 1


def test_with_frozen_batch_norm_two_are_one_on_the_joint_batch(tmp_path: Path):
    """Adam divides by the gradient's size, so rounding is seen where gradients are next to none."""
    (alone,) = trained(tmp_path / "one", 1, "frozen")
    first, second = trained(tmp_path / "two", 2, "frozen")
    assert first["weights"] == second["weights"]
    assert first["paths"] == alone["paths"]
    assert [entry["architecture"] for entry in first["board"]] == [
        entry["architecture"] for entry in alone["board"]
    ]
    one, other = torch.tensor(alone["moved"]), torch.tensor(first["moved"])
    assert one.norm() > 0.1
    assert (one - other).norm() < 0.01 * one.norm()
