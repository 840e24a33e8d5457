"""The spaces with ResBlock and Conv, from a table to a report."""

import json
from pathlib import Path

import onnx
import pytest

from tests.cli.calling import call

RECIPE = """\
schema_version: 1
name: tiny
data: {{dataset: digits}}
space: {{name: {space}, resolution: 32, max_depth: 1}}
limits: {{latency_of_cream_14: 20}}
profile:
  calibration_networks: 8
  protocol: {{sweeps: 3, sweep_interval_s: 0, unsteady_percent: 1e6}}
train:
  method: cream
  epochs: 4
  teaching: {{board_size: 4, matching: {{images: 128}}}}
score: {{images: 100, recalibration_images: 64}}
search: {{population: 8, candidates: 24}}
verify: {{top_k: 2, protocol: {{sweeps: 3, unsteady_percent: 1e6}}}}
trial: {{candidates: 2, controls: []}}
retrain: {{epochs: 2}}
benchmark: {{protocol: {{sweeps: 3, unsteady_percent: 1e6}}}}
"""


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("space", "operators"),
    [
        ("cream-table2-released", {"res_3x3"}),
        ("cream-table3-released", {"res_3x3", "conv_1x1", "conv_3x3", "conv_5x5"}),
    ],
)
def test_it_trains_searches_and_exports(workdir: Path, space: str, operators: set[str]) -> None:
    Path("tiny.yaml").write_text(RECIPE.format(space=space))
    assert call("run", "--recipe", "tiny.yaml") == 0
    records = {
        stage: json.loads((Path("runs/tiny") / stage / "record.json").read_text())
        for stage in ("train", "search", "export")
    }
    assert records["train"]["method"] == "cream"
    assert len(records["train"]["board"]) == 4
    assert records["train"]["board"][0]["latency_ms"] > 0
    scored = {
        name
        for candidate in records["search"]["evaluated"]
        for stage in candidate["architecture"]["stages"]
        for name in stage
    }
    assert operators <= scored
    (exported,) = records["export"]["models"]
    assert exported["parity"]["top1_agreement"] == 1.0
    onnx.checker.check_model(str(Path("runs/tiny/export") / exported["onnx"]))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["res_3x3", "conv_1x1", "conv_3x3", "conv_5x5"])
def test_each_operator_beyond_table_1_is_exported(workdir: Path, name: str) -> None:
    network = {
        "space": "cream-table3-released",
        "resolution": 64,
        "num_classes": 10,
        "stages": [[name, name]] * 5,
    }
    Path("network.json").write_text(json.dumps(network))
    assert call("export", "--arch", "network.json", "--out", "exported") == 0
    (model,) = Path("exported").glob("**/model.onnx")
    onnx.checker.check_model(str(model))
