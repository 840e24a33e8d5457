"""Retraining: from the hypernetwork or from nothing, and reported on test at the end."""

from pathlib import Path
from typing import Any, get_args

import pytest
import torch

from pipeline.errors import ArchitectureError, DataError, StageError, UsageError
from pipeline.images.datasets import open_dataset
from pipeline.images.image_data import ImageData
from pipeline.network.network import build_network, load_checkpoint
from pipeline.network.supernet import Supernet
from pipeline.space.architecture import Architecture
from pipeline.space.search_space import SearchSpace
from pipeline.training.retraining.retraining import retrain
from pipeline.training.scoring.evaluation import tally
from pipeline.training.settings import Optimizer, RetrainSettings
from pipeline.work.progress import Progress, silent
from tests.training.hypernetwork.scored_paths import scored


@pytest.fixture(scope="module")
def few() -> ImageData:
    """48 training images: three steps an epoch."""
    return open_dataset("digits", resolution=32, seed=0, max_train=48)


def _retrain(architecture: Architecture, data: ImageData, folder: Path, *, supernet=None, **kw):
    settings = RetrainSettings(**{"epochs": 1, "batch_size": 16, "warm_start": False, **kw})
    return retrain(
        architecture, data, settings, supernet=supernet, folder=folder, seed=0, progress=silent
    )


def test_it_learns_and_reports(digits: ImageData, tmp_path: Path):
    # Of plain convolutions, which learn fast.
    quick = Architecture(
        space="cream-table3-released",
        resolution=32,
        num_classes=10,
        stages=(("conv_3x3",),) * 5,
    )
    record = _retrain(quick, digits, tmp_path, epochs=6, batch_size=32)
    assert record.test_accuracy_percent > 75
    assert set(record.test_accuracy_by_class_percent) == set("0123456789")
    assert not record.warm_start
    network = build_network(quick, seed=1)
    load_checkpoint(network, tmp_path / record.checkpoint)
    network.eval()
    validation = tally(network, digits.batches("search-validation", 50), 10)
    test = tally(network, digits.batches("test", 50), 10)
    assert record.accuracy_percent == record.epochs[-1].accuracy_percent == validation.percent
    assert record.test_accuracy_percent == test.percent
    by_class = test.percent_by_class(digits.record.class_names)
    assert record.test_accuracy_by_class_percent == by_class


def test_a_warm_start_takes_the_hypernetworks_weights(
    space: SearchSpace, small: Architecture, few: ImageData, tmp_path: Path
):
    """With next to no learning rate the weights stay what they were."""
    supernet = Supernet(space, 10, seed=7)
    kept = {name: tensor.clone() for name, tensor in supernet.state_dict().items()}
    record = _retrain(small, few, tmp_path, supernet=supernet, warm_start=True, learning_rate=1e-12)
    network = build_network(small, seed=1)
    load_checkpoint(network, tmp_path / record.checkpoint)
    expected = supernet.subnet(small)
    for mine, theirs in zip(network.parameters(), expected.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-6)
    assert record.warm_start
    assert all(torch.equal(supernet.state_dict()[n], tensor) for n, tensor in kept.items())


def test_another_hypernetwork_is_another_run(
    space: SearchSpace, small: Architecture, few: ImageData, tmp_path: Path
):
    weights = []
    for seed in (1, 2):
        supernet = Supernet(space, 10, seed=seed)
        record = _retrain(small, few, tmp_path, supernet=supernet, warm_start=True)
        weights.append((tmp_path / record.checkpoint).read_bytes())
    assert weights[0] != weights[1]


def test_an_architecture_the_hypernetwork_lacks_is_told(
    space: SearchSpace, small: Architecture, digits: ImageData, tmp_path: Path
):
    supernet = Supernet(space.narrowed(max_depth=1), 10, seed=0)
    with pytest.raises(ArchitectureError):
        _retrain(small, digits, tmp_path, supernet=supernet, warm_start=True)


@pytest.mark.parametrize("change", [{"num_classes": 7}, {"resolution": 64}])
def test_images_that_do_not_fit_are_told(
    change: dict[str, int], small: Architecture, digits: ImageData, tmp_path: Path
):
    with pytest.raises(DataError, match="10 classes at 32 pixels"):
        _retrain(small.model_copy(update=change), digits, tmp_path)


EVERYTHING: dict[str, Any] = {
    "epochs": 2,
    "batch_size": 16,
    "ema_decay": 0.9,
    "rand_augment": "rand-m9-mstd0.5",
    "random_erasing": 0.5,
    "mixup": 0.2,
    "cutmix": 0.5,
    "accumulate": 2,
    "learning_rate": 1e-3,
    "teacher": {"temperature": 2.0},
}


@pytest.mark.parametrize(
    "optimizer",
    [
        "rmsproptf",
        *(pytest.param(o, marks=pytest.mark.slow) for o in get_args(Optimizer) if o != "rmsproptf"),
    ],
)
def test_a_killed_run_ends_with_the_bits_of_one_that_was_not(
    optimizer: Optimizer,
    space: SearchSpace,
    small: Architecture,
    few: ImageData,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    """With everything that has a state or draws random numbers, by each optimizer."""
    monkeypatch.setattr("pipeline.training.fitting._ROUND", 1)
    monkeypatch.setattr("pipeline.training.fitting._CHECKPOINT_EVERY_S", 0.0)
    settings = RetrainSettings(**{**EVERYTHING, "optimizer": optimizer})

    def train(folder: Path, progress: Progress = silent) -> bytes:
        record = retrain(
            small,
            few,
            settings,
            supernet=Supernet(space, 10, seed=0),
            scored=[scored(small, 50.0), scored(_larger(small), 60.0)],
            folder=folder,
            seed=0,
            progress=progress,
        )
        assert record.teacher == f"hypernetwork, {_larger(small).short}"
        return (folder / record.checkpoint).read_bytes()

    def killed(done: int, total: int, note: str = "") -> None:
        if done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "killed", killed)
    assert (tmp_path / "killed" / "checkpoint").exists()
    assert train(tmp_path / "killed") == train(tmp_path / "whole")


def test_the_average_is_what_is_kept(small: Architecture, few: ImageData, tmp_path: Path):
    """The accuracy of each epoch, of the record and of the file are all that of the average."""
    found = {}
    for decay in (0.0, 0.9):
        folder = tmp_path / str(decay)
        record = _retrain(small, few, folder, epochs=2, ema_decay=decay)
        found[decay] = (folder / record.checkpoint).read_bytes()
    network = build_network(small, seed=1)
    load_checkpoint(network, folder / record.checkpoint)
    network.eval()
    percent = tally(network, few.batches("search-validation", 50), 10).percent
    assert percent == record.accuracy_percent == record.epochs[-1].accuracy_percent
    assert found[0.0] != found[0.9]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"warm_start": True}, "to start from the hypernetwork"),
        ({"teacher": {}}, "be taught by the hypernetwork"),
        ({"sync_batch_norm": True}, "GPUs only"),
        ({"accumulate": 16}, "expected at least 2"),
    ],
)
def test_what_cannot_be_done_is_told_before_anything_is_written(
    settings: dict[str, Any],
    words: str,
    small: Architecture,
    digits: ImageData,
    tmp_path: Path,
):
    folder = tmp_path / "run"
    with pytest.raises((StageError, UsageError), match=words) as caught:
        _retrain(small, digits, folder, **settings)
    assert not folder.exists()
    if isinstance(caught.value, StageError):
        assert "run_pipeline.py train" in (caught.value.hint or "")


def _larger(small: Architecture) -> Architecture:
    return small.model_copy(update={"stages": (("mb6_5x5",), *small.stages[1:])})
