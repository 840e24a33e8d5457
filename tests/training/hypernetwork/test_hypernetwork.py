"""Training of the hypernetwork: what is trained, and what is told when it cannot be."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch

from pipeline.errors import DataError, InfeasibleError, PipelineError, UsageError
from pipeline.images.datasets import open_dataset
from pipeline.images.image_data import ImageData
from pipeline.network.supernet import Supernet, load_supernet
from pipeline.records.train import TrainRecord
from pipeline.space.cost import macs_range
from pipeline.training.hypernetwork.hypernetwork import train_hypernetwork
from pipeline.training.hypernetwork.path_sampling import PathLimits, PathSampler
from pipeline.training.scoring.evaluation import HypernetworkScorer
from pipeline.training.settings import ScoreSettings, TrainSettings
from pipeline.work.progress import silent
from tests.training.tiny import NARROW, SINGLE_PATH, train

SHORT = SINGLE_PATH.model_copy(update={"epochs": 1, "sharing": "separate"})


@pytest.fixture(autouse=True)
def _one_path_monitored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.training.hypernetwork.hypernetwork._MONITORED_PATHS", 1)


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> Supernet:
    """After three steps with separate weights."""
    folder = tmp_path_factory.mktemp("short")
    return load_supernet(folder / train(folder, settings=SHORT).checkpoint)


@pytest.mark.parametrize(
    ("epochs", "resolutions", "at_least"),
    [(8, (), 30), pytest.param(12, (64,), 20, marks=pytest.mark.slow)],
    ids=["one input size", "two that share the weights"],
)
def test_it_learns(
    epochs: int, resolutions: tuple[int, ...], at_least: float, digits: ImageData, tmp_path: Path
):
    settings = TrainSettings(epochs=epochs, batch_size=32, resolutions=resolutions)
    record = train(tmp_path, settings=settings, images=320)
    supernet = load_supernet(tmp_path / record.checkpoint)
    assert record.resolutions == (32, *resolutions)
    for resolution in record.resolutions:
        score = HypernetworkScorer(supernet, digits.at(resolution), ScoreSettings(images=143))
        paths = [PathSampler(NARROW, 10, seed=5).draw(resolution, number) for number in range(3)]
        assert min(it.accuracy_percent for it in score.scores(paths)) > at_least
    assert record.scores is not None
    assert record.scores.best_accuracy_percent > at_least
    assert record.scores.best_log_loss_nats < math.log(10)
    assert record.scores.images == digits.record.num_search_validation
    assert 3 < record.scores.networks <= 12
    assert record.epochs[-1].loss < record.epochs[0].loss
    assert [epoch.epoch for epoch in record.epochs] == list(range(epochs))
    assert (record.max_depth, record.resolution) == (1, 32)
    assert record.params == sum(p.numel() for p in supernet.parameters())


def test_only_drawn_paths_are_trained(short: Supernet):
    untouched = Supernet(NARROW, 10, seed=0)
    sampler = PathSampler(NARROW, 10, seed=0)
    drawn = [sampler.path(step, 32) for step in range(3)]
    found = []
    for stage in range(5):
        for operator in NARROW.operators:
            used = any(operator in path.stages[stage] for path in drawn)
            name = f"blocks.{stage + 1}.0.{operator}.conv_pw.weight"
            now, was = short.get_parameter(name), untouched.get_parameter(name)
            assert torch.equal(now, was) != used
            found.append(used)
    assert set(found) == {True, False}


def test_the_average_is_what_is_kept(short: Supernet, tmp_path: Path):
    """After one epoch the average lags behind the weights; without a decay there is none."""
    record = train(tmp_path, settings=SHORT.model_copy(update={"ema_decay": 0.8}))
    name = "tail.classifier.weight"
    kept = load_supernet(tmp_path / record.checkpoint).get_parameter(name)
    assert not torch.equal(kept, short.get_parameter(name))


def _train(data: ImageData, folder: Path, limits: PathLimits, **settings: Any) -> TrainRecord:
    chosen = TrainSettings(**{"epochs": 1, **settings})
    return train_hypernetwork(
        NARROW, data, chosen, limits=limits, folder=folder, seed=0, progress=silent
    )


def test_a_training_that_diverges_is_told(tmp_path: Path):
    data = open_dataset("digits", resolution=32, seed=0, max_train=48)
    with pytest.raises(PipelineError, match="diverged in epoch 1") as caught:
        _train(data, tmp_path, PathLimits(), batch_size=8, learning_rate=1e30)
    assert "learning_rate" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("settings", "macs_share", "error", "words"),
    [
        ({}, 0.99, InfeasibleError, "no path has at most"),
        ({"method": "cream"}, 2.0, DataError, "0 images of digits are held out of training"),
        pytest.param(
            {"sync_batch_norm": True}, 2.0, UsageError, r"train\.sync_batch_norm works on GPUs",
            marks=pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here"),
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_trained_is_told_before_anything_is_written(
    settings: dict[str, Any],
    macs_share: float,
    error: type[PipelineError],
    words: str,
    digits: ImageData,
    tmp_path: Path,
):
    limits = PathLimits(macs=macs_share * macs_range(NARROW, 32, 10)[0])
    with pytest.raises(error, match=words):
        _train(digits, tmp_path, limits, **settings)
    assert not list(tmp_path.iterdir())
