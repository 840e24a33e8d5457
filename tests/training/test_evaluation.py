"""Scores: recalibrated, repeatable, and without a trace in the hypernetwork."""

import pytest
import torch
from torch import nn

from pipeline.errors import ArchitectureError, DataError
from pipeline.space import Architecture, SearchSpace
from pipeline.supernet import Supernet
from pipeline.training.evaluation import HypernetworkScorer, recalibrate_batch_norm, tally
from pipeline.training.image_data import ImageData
from pipeline.training.settings import ScoreSettings

SETTINGS = ScoreSettings(images=100, recalibration_images=64)


@pytest.fixture
def supernet(space: SearchSpace) -> Supernet:
    return Supernet(space, 10, seed=0)


def _first_class(images: torch.Tensor) -> torch.Tensor:
    return torch.eye(3)[torch.zeros(len(images), dtype=torch.int64)]


def test_tally_counts_hits_by_class():
    batches = [(torch.zeros(2, 1), torch.tensor([0, 1])), (torch.zeros(2, 1), torch.tensor([0, 0]))]
    counted = tally(_first_class, batches, 3)
    assert counted.percent == 75.0
    assert counted.percent_by_class(["a", "b", "c"]) == {"a": 100.0, "b": 0.0}


def test_nothing_to_evaluate_on_is_an_error():
    with pytest.raises(DataError, match="no images"):
        tally(_first_class, [], 3)


def test_recalibrated_statistics_are_those_of_the_images(
    supernet: Supernet, small: Architecture, digits: ImageData
):
    images = digits.sample("train", 64)
    recalibrate_batch_norm(supernet, small, images.split(32))
    stem = supernet.conv_stem
    with torch.no_grad():
        halves = [stem.conv(half) for half in images.split(32)]
    mean = torch.stack([half.mean((0, 2, 3)) for half in halves]).mean(0)
    var = torch.stack([half.var((0, 2, 3)) for half in halves]).mean(0)
    torch.testing.assert_close(stem.bn1.running_mean, mean, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(stem.bn1.running_var, var, rtol=1e-4, atol=1e-5)


def test_recalibration_leaves_other_paths_and_the_momentum(
    supernet: Supernet, small: Architecture, digits: ImageData
):
    other = supernet.blocks[1][0]["mb6_5x5"]
    before = {name: buffer.clone() for name, buffer in other.named_buffers()}
    recalibrate_batch_norm(supernet, small, [digits.sample("train", 32)])
    assert all(torch.equal(buffer, before[name]) for name, buffer in other.named_buffers())
    momenta = {m.momentum for m in supernet.modules() if isinstance(m, nn.BatchNorm2d)}
    assert momenta == {0.1}


@pytest.mark.parametrize("training", [True, False])
def test_scores_repeat_and_leave_no_trace(
    supernet: Supernet, small: Architecture, digits: ImageData, training: bool
):
    supernet.train(training)
    before = {name: tensor.clone() for name, tensor in supernet.state_dict().items()}
    score = HypernetworkScorer(supernet, digits, SETTINGS)
    other = small.model_copy(update={"stages": (("mb6_5x5",),) * 5})
    first = [score(small), score(other)]
    assert [score(small), score(other)] == first
    assert all(0 <= value <= 100 for value in first)
    after = supernet.state_dict()
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())
    assert supernet.training == training
    assert all(m.training == training for m in supernet.modules())


def test_a_score_is_the_accuracy_of_the_recalibrated_network(
    supernet: Supernet, small: Architecture, digits: ImageData
):
    scored = HypernetworkScorer(supernet, digits, SETTINGS)(small)
    recalibrate_batch_norm(supernet, small, [digits.sample("train", 64)])
    network = supernet.subnet(small).eval()
    batches = list(digits.batches("search-validation", 100))[:1]
    assert scored == tally(network, batches, 10).percent


def test_a_failure_leaves_no_trace_either(
    supernet: Supernet, small: Architecture, digits: ImageData
):
    score = HypernetworkScorer(supernet, digits, SETTINGS)
    before = {name: tensor.clone() for name, tensor in supernet.state_dict().items()}
    with pytest.raises(ArchitectureError):
        score(small.model_copy(update={"num_classes": 3}))
    assert all(torch.equal(supernet.state_dict()[n], tensor) for n, tensor in before.items())
