"""Retraining: from the hypernetwork or from nothing, and reported on test at the end."""

from pathlib import Path

import pytest
import torch

from pipeline.errors import ArchitectureError, DataError, StageError
from pipeline.network import build_network, load_checkpoint
from pipeline.progress import silent
from pipeline.space import Architecture, SearchSpace
from pipeline.supernet import Supernet
from pipeline.training.evaluation import tally
from pipeline.training.image_data import ImageData
from pipeline.training.retraining import retrain
from pipeline.training.settings import RetrainSettings


def _retrain(architecture: Architecture, data: ImageData, folder: Path, *, supernet=None, **kw):
    settings = RetrainSettings(**{"epochs": 1, "batch_size": 64, "warm_start": False, **kw})
    return retrain(
        architecture, data, settings, supernet=supernet, folder=folder, seed=0, progress=silent
    )


def test_it_learns_and_reports(small: Architecture, digits: ImageData, tmp_path: Path):
    record = _retrain(small, digits, tmp_path, epochs=10, batch_size=32)
    assert record.test_accuracy_percent > 75
    assert set(record.test_accuracy_by_class_percent) == set("0123456789")
    assert not record.warm_start
    network = build_network(small, seed=1)
    load_checkpoint(network, tmp_path / record.checkpoint)
    network.eval()
    validation = tally(network, digits.batches("search-validation", 50), 10)
    test = tally(network, digits.batches("test", 50), 10)
    assert record.accuracy_percent == record.epochs[-1].accuracy_percent == validation.percent
    assert record.test_accuracy_percent == test.percent
    by_class = test.percent_by_class(digits.record.class_names)
    assert record.test_accuracy_by_class_percent == by_class


def test_a_warm_start_takes_the_hypernetworks_weights(
    space: SearchSpace, small: Architecture, digits: ImageData, tmp_path: Path
):
    """With next to no learning rate the weights stay what they were."""
    supernet = Supernet(space, 10, seed=7)
    kept = {name: tensor.clone() for name, tensor in supernet.state_dict().items()}
    record = _retrain(
        small, digits, tmp_path, supernet=supernet, warm_start=True, learning_rate=1e-12
    )
    network = build_network(small, seed=1)
    load_checkpoint(network, tmp_path / record.checkpoint)
    expected = supernet.subnet(small)
    for mine, theirs in zip(network.parameters(), expected.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-6)
    assert record.warm_start
    assert all(torch.equal(supernet.state_dict()[n], tensor) for n, tensor in kept.items())


def test_another_hypernetwork_is_another_run(
    space: SearchSpace, small: Architecture, digits: ImageData, tmp_path: Path
):
    weights = []
    for seed in (1, 2):
        record = _retrain(
            small, digits, tmp_path, supernet=Supernet(space, 10, seed=seed), warm_start=True
        )
        weights.append((tmp_path / record.checkpoint).read_bytes())
    assert weights[0] != weights[1]


def test_a_warm_start_without_hypernetwork_is_told(
    small: Architecture, digits: ImageData, tmp_path: Path
):
    with pytest.raises(StageError) as caught:
        _retrain(small, digits, tmp_path, warm_start=True)
    assert "run_pipeline.py train" in (caught.value.hint or "")


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
