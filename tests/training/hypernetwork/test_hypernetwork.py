"""Training of the hypernetwork: what is trained, and what is told when it cannot be."""

from pathlib import Path

import pytest
import torch

from pipeline.errors import DataError, InfeasibleError, PipelineError, UsageError
from pipeline.images.image_data import ImageData
from pipeline.network.supernet import Supernet, load_supernet
from pipeline.space.cost import macs_range
from pipeline.space.search_space import SearchSpace
from pipeline.training.hypernetwork.hypernetwork import train_hypernetwork
from pipeline.training.hypernetwork.path_sampling import PathLimits, PathSampler
from pipeline.training.scoring.evaluation import HypernetworkScorer
from pipeline.training.settings import ScoreSettings, TrainSettings
from pipeline.work.progress import silent


def _train(space: SearchSpace, data: ImageData, folder: Path, **changes):
    arguments = {
        "settings": TrainSettings(epochs=1, batch_size=64),
        "limits": PathLimits(),
        "seed": 0,
        "progress": silent,
        **changes,
    }
    settings = arguments.pop("settings")
    return train_hypernetwork(space, data, settings, folder=folder, **arguments)


def test_it_learns(space: SearchSpace, digits: ImageData, tmp_path: Path):
    narrow = space.narrowed(max_depth=1)
    record = _train(narrow, digits, tmp_path, settings=TrainSettings(epochs=12, batch_size=32))
    supernet = load_supernet(tmp_path / record.checkpoint)
    score = HypernetworkScorer(supernet, digits, ScoreSettings(images=143))
    sampler = PathSampler(narrow, 10, seed=5)
    scores = [score(sampler.draw(32, number)) for number in range(4)]
    assert min(scores) > 60, scores
    assert record.epochs[-1].loss < record.epochs[0].loss
    assert [epoch.epoch for epoch in record.epochs] == list(range(12))
    assert record.max_depth == 1
    assert record.params == sum(p.numel() for p in supernet.parameters())


def test_only_drawn_paths_are_trained(space: SearchSpace, digits: ImageData, tmp_path: Path):
    """Two steps before growth and three after: what no path went through is as it grew."""
    record = _train(space, digits, tmp_path)
    trained = load_supernet(tmp_path / record.checkpoint)
    untouched = Supernet(space, 10, seed=0)
    sampler = PathSampler(space, 10, seed=0)
    drawn = [sampler.path(step, 32) for step in (2, 3, 4)]
    for stage in range(5):
        used = any("mb6_5x5" in path.stages[stage][:1] for path in drawn)
        name = f"blocks.{stage + 1}.0.mb6_5x5.conv_pw.weight"
        now, was = trained.get_parameter(name), untouched.get_parameter(name)
        # Rows beyond the beginning's keep their random weights until a step trains them.
        beginning = trained.get_parameter(name.replace("mb6_5x5", "mb4_3x3")).shape[0]
        assert torch.equal(now[beginning:], was[beginning:]) != used


def test_paths_outside_the_window_are_not_drawn(
    space: SearchSpace, digits: ImageData, tmp_path: Path
):
    smallest, _ = macs_range(space, 32, 10)
    with pytest.raises(InfeasibleError):
        _train(space, digits, tmp_path, limits=PathLimits(macs=smallest * 0.99))
    assert not list(tmp_path.iterdir())
    record = _train(
        space, digits, tmp_path, limits=PathLimits(macs_min=smallest * 1.2, macs=smallest * 1.5)
    )
    assert record.epochs


def test_a_training_that_diverges_is_told(space: SearchSpace, digits: ImageData, tmp_path: Path):
    with pytest.raises(PipelineError, match="diverged in epoch 1") as caught:
        _train(
            space,
            digits,
            tmp_path,
            settings=TrainSettings(epochs=2, batch_size=16, learning_rate=1e30),
        )
    assert "learning_rate" in (caught.value.hint or "")


def test_several_input_sizes_share_the_weights(
    space: SearchSpace, digits: ImageData, tmp_path: Path
):
    narrow = space.narrowed(max_depth=1)
    settings = TrainSettings(epochs=4, batch_size=32, resolutions=(64,))
    record = _train(narrow, digits, tmp_path, settings=settings)
    assert record.resolutions == (32, 64)
    assert record.resolution == 32
    supernet = load_supernet(tmp_path / record.checkpoint)
    for resolution in record.resolutions:
        score = HypernetworkScorer(supernet, digits.at(resolution), ScoreSettings(images=143))
        paths = [PathSampler(narrow, 10, seed=5).draw(resolution, number) for number in range(2)]
        assert min(score.scores(paths)) > 20


@pytest.mark.parametrize("decay", [0.0, 0.8])
def test_the_average_is_what_is_kept(
    space: SearchSpace, digits: ImageData, tmp_path: Path, decay: float
):
    """After one epoch the average lags behind the weights; without a decay there is none."""
    settings = TrainSettings(epochs=1, batch_size=64, ema_decay=decay)
    record = _train(space, digits, tmp_path, settings=settings)
    plain = _train(space, digits, tmp_path / "plain")
    kept, last = (
        load_supernet(folder / record.checkpoint).get_parameter("tail.classifier.weight")
        for folder in (tmp_path, tmp_path / "plain")
    )
    assert plain.checkpoint == record.checkpoint
    assert torch.equal(kept, last) == (decay == 0.0)


def test_batch_norm_of_several_gpus_needs_gpus(
    space: SearchSpace, digits: ImageData, tmp_path: Path
):
    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    with pytest.raises(UsageError, match="sync_batch_norm"):
        _train(space, digits, tmp_path, settings=TrainSettings(epochs=1, sync_batch_norm=True))


def test_matching_without_images_held_out_is_told(
    space: SearchSpace, digits: ImageData, tmp_path: Path
):
    with pytest.raises(DataError, match="0 images of digits are held out for the matching"):
        _train(space, digits, tmp_path, settings=TrainSettings(epochs=1, method="cream"))
    assert not list(tmp_path.iterdir())
