"""Several processes that train together are one training."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.checkout import ROOT

SCRIPT = Path(__file__).with_name("many_processes.py")


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


def test_a_network_alone_is_trained_by_several_as_well(tmp_path: Path):
    """Both say the same of it, accuracy after each one's own statistics included."""
    first, second = trained(tmp_path / "retrain", 2, "retrain")
    assert first == second
    assert first["processes"] == 2
    names = {path.name for path in (tmp_path / "retrain").iterdir()}
    assert names == {"rank-0.json", "rank-1.json", "finished.json", "log.jsonl",
                     "model.safetensors", "tensorboard"}  # fmt: skip


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
  teaching: {board_size: 3, matching: {images: 32, probes: 4}}
retrain: {epochs: 1}
"""


@pytest.mark.slow
def test_the_verb_train_under_torchrun(tmp_path: Path):
    (tmp_path / "tiny.yaml").write_text(RECIPE)
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
        "CREAM_PIPELINE_CACHE": str(tmp_path / "cache"),
    }

    def call(*command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *command],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )

    torchrun = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    pipeline = str(ROOT / "run_pipeline.py")
    options = ("--recipe", "tiny.yaml", "--json")
    assert call(pipeline, "profile", *options).returncode == 0
    for status in ("done", "skipped"):
        told = call(*torchrun, pipeline, "train", *options)
        assert told.returncode == 0, told.stderr
        lines = [json.loads(line) for line in told.stdout.splitlines()]
        assert {line["status"] for line in lines} == {status}
        assert lines[0]["record"]["processes"] == 2
    refused = call(*torchrun, pipeline, "search", *options)
    assert refused.returncode != 0
    assert "use torchrun for the verb train" in refused.stdout
