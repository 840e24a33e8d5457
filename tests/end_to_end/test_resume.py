"""`kill -9` at any moment, then the same command: nothing is lost, nothing repeated."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline.measure.journal import read_journal
from pipeline.recipe.stages import stages
from tests.checkout import ROOT

RECIPE = """\
schema_version: 1
name: tiny
data: {dataset: digits}
space: {name: cream, resolution: 32, max_depth: 1}
limits: {latency_of_cream_14: 5}
profile:
  calibration_networks: 8
  protocol: {sweeps: 3, sweep_interval_s: 0, unsteady_percent: 1000}
train: {epochs: 3}
score: {images: 100, recalibration_images: 64}
search: {population: 6, candidates: 18, surrogate_share: 0.67}
verify: {top_k: 2, protocol: {sweeps: 3, unsteady_percent: 1000}}
trial: {candidates: 3, controls: [lcnet_035, resnet18], budget: 1}
retrain: {epochs: 3}
benchmark: {protocol: {sweeps: 3, unsteady_percent: 1000}}
"""


def start(folder: Path, cache: Path) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "CREAM_PIPELINE_CACHE": str(cache), "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, str(ROOT / "run_pipeline.py"), "run", "--recipe", "tiny.yaml", "--json"],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def visits_of(folder: Path) -> dict[str, list[str]]:
    """Every whole visit on disk, by journal."""
    found = {}
    journals = [*folder.glob("latency_tables/*/*.jsonl"), *folder.glob("runs/*/*/visits*.jsonl")]
    for path in journals:
        lines = path.read_bytes().splitlines(keepends=True)
        found[str(path)] = [line.decode() for line in lines if line.endswith(b"\n")]
    return found


def tried_in(folder: Path) -> dict[str, list[dict[str, float]]]:
    """What each network of the trials reached."""
    record = json.loads((folder / "runs/tiny/trial/record.json").read_text())
    return {
        json.dumps(it["architecture"]) if it["architecture"] else it["timm"]: it["rungs"]
        for it in record["entrants"]
        if it["rungs"]
    }


def check_trained_alike(
    one: dict[str, list[dict[str, float]]], other: dict[str, list[dict[str, float]]]
) -> None:
    """Latencies differ, and with them who takes part; who does in both was trained alike."""
    both = one.keys() & other.keys()
    assert len(both) >= 3
    for name in both:
        for mine, theirs in zip(one[name], other[name], strict=False):
            assert mine["log_loss_nats"] == theirs["log_loss_nats"]


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_killed_at_random_moments_it_ends_like_an_undisturbed_run(tmp_path: Path) -> None:
    folders = {name: tmp_path / name for name in ("undisturbed", "killed")}
    # Each has a cache of its own, so that both have as much to do.
    caches = {name: tmp_path / f"{name}-cache" for name in folders}
    for folder in folders.values():
        folder.mkdir()
        (folder / "tiny.yaml").write_text(RECIPE)
    began = time.monotonic()
    out, err = start(folders["undisturbed"], caches["undisturbed"]).communicate()
    # A stage that cannot go on where it was must fit between two kills, on a slow machine too.
    longest_s = max(8.0, (time.monotonic() - began) / 5)
    assert json.loads(out)["stages"], err.decode()

    moment = random.Random(0)
    seen: dict[str, list[str]] = {}
    kills = 0
    while True:
        process = start(folders["killed"], caches["killed"])
        try:
            out, err = process.communicate(timeout=moment.uniform(1, longest_s))
            break
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            kills += 1
            assert kills < 100
            time.sleep(0.2)
        now = visits_of(folders["killed"])
        for path, lines in seen.items():
            assert now[path][: len(lines)] == lines
        seen = now
    assert process.returncode == 0, err.decode()
    assert kills >= 3

    for path in visits_of(folders["killed"]):
        _, visits = read_journal(Path(path))
        made = [(visit.sweep, visit.key) for visit in visits]
        assert len(made) == len(set(made))
    for stage in stages():
        mine, other = (folder / "runs" / "tiny" / stage.name for folder in folders.values())
        assert {p.name for p in mine.iterdir()} == {p.name for p in other.iterdir()}
    weights = [folder / "runs/tiny/train/supernet.safetensors" for folder in folders.values()]
    assert weights[0].read_bytes() == weights[1].read_bytes()
    searches = [
        json.loads((folder / "runs/tiny/search/record.json").read_text())
        for folder in folders.values()
    ]
    assert [len(search["evaluated"]) for search in searches] == [18, 18]
    records = [
        json.loads((folder / "runs/tiny/train/record.json").read_text())
        for folder in folders.values()
    ]
    for record in records:
        del record["seconds"]
        for epoch in record["epochs"]:
            del epoch["images_per_second"]
    assert records[0] == records[1]
    check_trained_alike(*map(tried_in, folders.values()))
