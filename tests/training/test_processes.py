"""Several processes that train together are one training."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.checkout import ROOT

SCRIPT = Path(__file__).with_name("many_processes.py")


def torchrun(processes: int, *command: str) -> tuple[str, ...]:
    start = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node")
    return (sys.executable, *start, str(processes), *command)


def called(*command: str, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **variables}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def trained(folder: Path, processes: int, what: str) -> list[dict[str, Any]]:
    """What each process tells, in the order of their ranks; each sees what torchrun tells it."""
    folder.mkdir()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    shared = {"WORLD_SIZE": str(processes), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    done = called(sys.executable, str(SCRIPT), str(folder), what, folder=folder, **shared)
    assert done.returncode == 0, done.stderr
    return [json.loads((folder / f"rank-{rank}.json").read_text()) for rank in range(processes)]


def written(folder: Path) -> set[str]:
    """What is there besides what the test itself writes."""
    return {path.name for path in folder.iterdir() if not path.name.startswith("rank-")}


def test_two_train_one_hypernetwork(tmp_path: Path):
    """On the same paths from the same teachers, to the same weights; the first alone writes."""
    folder = tmp_path / "two"
    first, second = trained(folder, 2, "hypernetwork")
    assert first == second
    assert first["processes"] == 2
    assert len(first["paths"]) == 6
    assert first["teachers"]
    assert first["board"]
    assert any(first["matching"])
    assert written(folder) == {"finished.json", "log.jsonl", "supernet.safetensors", "tensorboard"}
    assert len(list((folder / "tensorboard").iterdir())) == 1


@pytest.mark.slow
def test_a_network_alone_is_trained_by_several_as_well(tmp_path: Path):
    """Both say the same of it, accuracy after each one's own statistics included."""
    folder = tmp_path / "two"
    first, second = trained(folder, 2, "network")
    assert first == second
    assert first["processes"] == 2
    assert written(folder) == {"finished.json", "log.jsonl", "model.safetensors", "tensorboard"}


@pytest.mark.slow
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


RECIPE = """\
schema_version: 1
name: tiny
data: {dataset: digits}
space: {name: cream, resolution: 32, max_depth: 1}
profile:
  calibration_networks: 8
  protocol: {sweeps: 3, sweep_interval_s: 0, unsteady_percent: 1e6}
train:
  method: cream
  epochs: 2
  teaching: {board_size: 3, matching: {images: 128}}
retrain: {epochs: 1}
"""


@pytest.mark.slow
def test_the_verb_train_under_torchrun(tmp_path: Path):
    (tmp_path / "tiny.yaml").write_text(RECIPE)
    cache = str(tmp_path / "cache")

    def call(*command: str) -> subprocess.CompletedProcess[str]:
        return called(*command, folder=tmp_path, CREAM_PIPELINE_CACHE=cache)

    pipeline = str(ROOT / "run_pipeline.py")
    options = ("--recipe", "tiny.yaml", "--json")
    assert call(sys.executable, pipeline, "profile", *options).returncode == 0
    for status in ("done", "skipped"):
        told = call(*torchrun(2, pipeline, "train", *options))
        assert told.returncode == 0, told.stderr
        lines = [json.loads(line) for line in told.stdout.splitlines()]
        assert {line["status"] for line in lines} == {status}
        assert lines[0]["record"]["processes"] == 2
    refused = call(*torchrun(2, pipeline, "search", *options))
    assert refused.returncode != 0
    assert "use torchrun for the verb train" in refused.stdout
