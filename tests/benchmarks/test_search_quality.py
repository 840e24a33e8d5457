"""The study of search quality: what it tells, and the curves it draws."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import benchmarks.search_quality.__main__ as search_quality
from benchmarks.search_quality.curves import steps, unrolled
from benchmarks.search_quality.setup import Scores, Study
from benchmarks.search_quality.strategies import STRATEGIES
from pipeline.search.score_journal import ScoreJournal
from pipeline.space.encoding import encode
from pipeline.training.scoring.network_score import NetworkScore
from tests.benchmarks.command_line import call


@pytest.fixture
def made_up_study(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """Scores that are free, in place of a hypernetwork's; lists every network that was scored."""
    scored: list[str] = []

    def trained(study: Any, progress: Any) -> SimpleNamespace:
        rows = study.problem.variation.uniform()
        inside = rows[study.problem.violation(rows) <= 0][:4]
        board = [SimpleNamespace(architecture=it) for it in study.problem.architectures(inside)]
        return SimpleNamespace(board=board, seconds=1.0)

    @contextmanager
    def scores(study: Any, trained: Any, images: int) -> Iterator[Any]:
        def score(architectures: Any, on_scored: Any) -> list[NetworkScore]:
            rows = encode(study.problem.space, architectures)
            percents = (30.0 + rows[:, 1:] @ np.linspace(0.2, 0.4, rows.shape[1] - 1)).tolist()
            scores = [NetworkScore(2, (3 - it / 50, 3 - it / 50), it) for it in percents]
            for architecture, one in zip(architectures, scores, strict=True):
                on_scored(architecture, one)
            scored.extend(f"{images} {it.short}" for it in architectures)
            return scores

        yield Scores(score, ScoreJournal(tmp_path / f"scores-{images}.jsonl"))

    monkeypatch.setattr(Study, "trained", trained)
    monkeypatch.setattr(Study, "scores", scores)
    return scored


@pytest.mark.slow
def test_strategies_are_compared_at_equal_cost(
    monkeypatch: pytest.MonkeyPatch,
    made_up_study: list[str],
    tmp_path: Path,
) -> None:
    monkeypatch.setattr(search_quality, "RESULTS", tmp_path / "published" / "results.json")
    monkeypatch.setattr(search_quality, "PICTURE", tmp_path / "published" / "picture.svg")
    options = ("--dataset", "digits", "--max-train", "300", "--images", "100", "--budget", "40")
    kept = ("--seeds", "2", "--folder", str(tmp_path))
    told = call(search_quality.main, *options, *kept, "--json", "--publish")
    assert told.exit_code == 0, told.stderr
    found = json.loads(told.stdout)
    assert set(found["strategies"]) == set(STRATEGIES)
    for strategy in found["strategies"].values():
        assert all(count <= 40 for count in strategy["evaluations"])
        for curve in strategy["curves"]:
            assert curve == sorted(curve)
            assert curve[0][0] == 1
    seeded = found["strategies"]["seeded evolution"]
    assert seeded["best_percent"]["low"] <= seeded["best_percent"]["mean"]
    assert 12 <= seeded["surrogate"][0]["samples"] <= 40
    assert found["board_evaluations"] == 4
    assert set(found["at_board_evaluations"]) == {*STRATEGIES, "board"}
    assert found["strategies"]["random"]["evaluations"] == [40, 40]
    assert len(made_up_study) == len(set(made_up_study)), "one is scored once, whoever asks"
    of_search = [it for it in made_up_study if it.startswith("100 ")]
    assert found["scores"]["distinct_networks"] == len(of_search)
    assert json.loads(search_quality.RESULTS.read_text()) == found
    assert search_quality.PICTURE.read_text().startswith("<?xml")

    before = len(made_up_study)
    again = call(search_quality.main, *options, *kept)
    assert again.exit_code == 0
    assert len(made_up_study) == before, "a run goes on with the scores that are there"
    assert "seeded evolution - random" in again.stdout


def test_curves_are_told_by_their_rises() -> None:
    curve = [1.0, 1.0, 2.5, 2.5, 2.5, 3.0]
    assert steps(curve) == [(1, 1.0), (3, 2.5), (6, 3.0)]
    assert unrolled(steps(curve), 6) == curve
