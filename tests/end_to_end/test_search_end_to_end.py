"""A search over two targets and two input sizes, from tables to the report, through the CLI."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from pipeline.cli import app as cli
from pipeline.search.score_journal import ScoreJournal
from pipeline.search.scoring import Scored
from pipeline.space.architecture import Architecture
from pipeline.training.scoring import score_workers
from tests.cli.calling import call

CPU, OTHER = "host/onnxruntime-fp32-b1-t1", "host/openvino-fp32-b1-t1"
RECIPE = f"""\
schema_version: 1
name: two
data: {{dataset: digits}}
space: {{name: cream, resolution: [32, 64], max_depth: 1}}
target: {CPU}
limits:
  macs: 12e6
  latency_of_cream_14: {{{CPU}: 2, {OTHER}: 2}}
profile:
  calibration_networks: 8
  protocol: {{sweeps: 3, sweep_interval_s: 0, unsteady_percent: 1e6}}
train:
  method: cream
  epochs: 3
  teaching: {{board_size: 4, matching: {{images: 128}}}}
score: {{images: 100, recalibration_images: 64}}
search: {{population: 8, candidates: 24, surrogate_share: 0.5, per_target: true}}
verify: {{top_k: 2, protocol: {{sweeps: 3, unsteady_percent: 1e6}}}}
trial: {{candidates: 0}}
retrain: {{epochs: 1}}
benchmark: {{protocol: {{sweeps: 3, unsteady_percent: 1e6}}}}
"""


def record_of(stage: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Path(f"runs/two/{stage}/record.json").read_text())
    return found


def searched() -> dict[str, Any]:
    """The search's record without what depends on the clock."""
    record = record_of("search")
    del record["seconds"], record["exact"]["seconds"]
    return record


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_two_targets_and_two_sizes(
    workdir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("openvino")
    Path("two.yaml").write_text(RECIPE)
    assert call("run", "--recipe", "two.yaml") == 0
    record = searched()
    assert set(record["limits"]["latency_ms"]) == {CPU, OTHER}
    sizes = {candidate["architecture"]["resolution"] for candidate in record["evaluated"]}
    assert sizes == {32, 64} == {result["resolution"] for result in record["resolutions"]}
    assert [winner["target"] for winner in record["per_target"]] == [CPU, OTHER]
    assert record["exact"]["front_points"] > 0
    (verified, *_) = record_of("verify")["candidates"]
    assert set(verified["measured_ms"]) == {CPU, OTHER}
    assert Path("runs/two/report/report.html").exists()

    capsys.readouterr()
    assert call("search", "--recipe", "two.yaml", "--explain", "--json") == 0
    assert json.loads(capsys.readouterr().out)["feasible"]
    limits = "limits.latency_of_cream_14=null"
    assert (
        call(
            "search",
            "--recipe",
            "two.yaml",
            "--explain",
            "--set",
            limits,
            "--set",
            "limits.macs=2e6",
        )
        == 1
    )
    assert "nearest" in capsys.readouterr().out

    _is_the_same_with_any_number_of_workers(record, monkeypatch)
    _is_the_same_when_it_was_killed(record, monkeypatch)
    _finds_the_board()


def _is_the_same_with_any_number_of_workers(
    record: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(score_workers, "_WORTH_WORKERS_MACS", 0)
    for workers in (1, 2):
        shutil.rmtree("runs/two/search")
        assert call("search", "--recipe", "two.yaml", "--set", f"score.workers={workers}") == 0
        assert searched() == record


def _is_the_same_when_it_was_killed(
    record: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    shutil.rmtree("runs/two/search")
    kept, append = [], ScoreJournal.append

    def dies(self: ScoreJournal, architecture: Architecture, scored: Scored) -> None:
        append(self, architecture, scored)
        kept.append(architecture)
        if len(kept) in (5, 20):
            raise Killed

    monkeypatch.setattr(ScoreJournal, "append", dies)
    for _ in range(2):
        with pytest.raises(Killed):
            cli.main(["search", "--recipe", "two.yaml", "--set", "score.workers=1"])
    assert call("search", "--recipe", "two.yaml", "--set", "score.workers=1") == 0
    assert searched() == record
    assert len(kept) == len(set(kept))


def _finds_the_board() -> None:
    assert call("search", "--recipe", "two.yaml", "--set", "search.strategy=board") == 0
    found = record_of("search")
    board = [path["architecture"] for path in record_of("train")["board"]]
    assert found["evaluated"]
    assert all(candidate["architecture"] in board for candidate in found["evaluated"])
