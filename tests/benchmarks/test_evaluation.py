"""The study of scoring: the generations it times."""

import json
from pathlib import Path
from typing import Any

import pytest

import benchmarks.evaluation.__main__ as evaluation
from pipeline.space.encoding import encode
from pipeline.training.scoring.network_score import NetworkScore
from pipeline.work.progress import silent


def test_a_search_records_its_generations(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    class Scorer:
        def __init__(self, *_: object) -> None:
            pass

        def scores(self, architectures: Any, on_scored: Any) -> list[NetworkScore]:
            scores = [NetworkScore(1, (1 / len(it.short),), 50.0) for it in architectures]
            for architecture, scored in zip(architectures, scores, strict=True):
                on_scored(architecture, scored)
            return scores

    monkeypatch.setattr(evaluation, "DATASET", "digits")
    monkeypatch.setattr(evaluation, "TRAIN_IMAGES", 300)
    monkeypatch.setattr(evaluation, "_trained", lambda *_: None)
    monkeypatch.setattr(evaluation, "HypernetworkScorer", Scorer)
    path = tmp_path / "generations.jsonl"
    evaluation._record(path, lambda title: silent)
    shipped, recorded = (evaluation._read(each) for each in (evaluation.GENERATIONS_FILE, path))
    for generations in (shipped, recorded):
        assert {number: len(of) for number, of in generations.items()} == {1: 50, 10: 50, 20: 50}
    made = json.loads(path.read_text().splitlines()[0])
    networks = [it for of in (*shipped.values(), *recorded.values()) for it in of]
    macs = evaluation._problem().costs(encode(evaluation.SPACE, networks))["macs"]
    assert macs.max() <= made["limits"]["macs"]
    best = made["best_log_loss_nats"]
    assert best == sorted(best, reverse=True)
    assert best[0] == 1 / max(len(it.short) for it in recorded[1])
