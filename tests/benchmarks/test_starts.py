"""Both starts of the same networks: which are taken, and what is said of them."""

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.ranking import starts, truth
from benchmarks.ranking.design import read_design
from benchmarks.ranking.starts import from_shallow_to_deep
from benchmarks.ranking.truth import STARTS, AloneQuestion, AloneResult, Start
from pipeline.network.operators import last_norms_of_residuals
from pipeline.space.architecture import Architecture
from pipeline.training.retraining import alone
from pipeline.training.settings import RetrainSettings
from tests.benchmarks.command_line import call
from tests.checkout import ROOT

DESIGN = ROOT / "benchmarks" / "ranking" / "results" / "design.json"


def answer(question: AloneQuestion, gain: float) -> AloneResult:
    better = gain if question.start == "identity" else 0.0
    return AloneResult(
        question=question,
        test_percent=30 + question.architecture.depth / 10 + question.seed + better,
        by_epoch_percent=(20.0, 30.0),
        loss_by_epoch=(2.0, 1.5 - better / 10),
        seconds=1.0,
    )


def test_six_networks_from_the_shallowest_to_the_deepest() -> None:
    design = read_design(DESIGN, 10)
    networks = from_shallow_to_deep(design)
    depths = [network.depth for network in networks]
    assert len(networks) == 6
    assert depths == sorted(set(depths))
    small: list[Architecture] = [it for it in design.architectures if it.resolution == 64]
    assert (depths[0], depths[-1]) == (min(it.depth for it in small), max(it.depth for it in small))
    assert set(networks) <= set(small)


@pytest.mark.parametrize(("gain", "code"), [(1.5, 0), (0.0, 1)])
def test_the_gain_is_told_and_checked(
    gain: float, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "design.json").write_text(DESIGN.read_text())
    asked = []

    def answered(questions, work, kind, journal, progress):
        asked.extend(questions)
        return [answer(question, gain) for question in questions]

    monkeypatch.setattr(truth, "answered", answered)
    done = call(starts.main, "--folder", str(tmp_path), "--check")
    assert done.exit_code == code
    assert f"gains {gain:+.2f} points" in done.stdout
    assert len(asked) == 6 * len(STARTS) * 3
    told = json.loads(call(starts.main, "--folder", str(tmp_path), "--json").stdout)
    assert [row["gain_percent"] for row in told["networks"]] == pytest.approx([gain] * 6)
    first = told["networks"][0]
    assert first["ones"]["test_percent"] == pytest.approx([30.6, 31.6, 32.6])
    assert first["identity"]["last_loss"] == pytest.approx(1.5 - gain / 10)


@pytest.mark.parametrize("start", STARTS)
def test_the_start_is_that_of_the_question(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = from_shallow_to_deep(read_design(DESIGN, 10))[-1]
    scales: list[bool] = []

    def trained(*_: Any, **__: Any) -> Any:
        built = alone.build_network(network, seed=0)
        scales.extend(bool(norm.weight.any()) for norm in last_norms_of_residuals(built))
        raise KeyboardInterrupt

    monkeypatch.setattr(truth, "trained", trained)
    question = AloneQuestion(
        architecture=network,
        dataset="none",
        max_train=None,
        settings=RetrainSettings(epochs=1),
        seed=0,
        start=start,
    )
    with pytest.raises(KeyboardInterrupt):
        truth.train_alone(question, tmp_path, data=tmp_path)
    assert scales
    assert all(scales) if start == "ones" else not any(scales)
