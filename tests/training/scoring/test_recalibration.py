"""Batch-norm statistics taken anew: those of the images, of one path only."""

import pytest
import torch
from torch import nn

from pipeline.images.image_data import ImageData
from pipeline.network.supernet import Supernet
from pipeline.space.architecture import Architecture
from pipeline.space.search_space import SearchSpace
from pipeline.training.scoring.recalibration import (
    calibrated_outputs,
    recalibrate_batch_norm,
    undisturbed,
)


@pytest.fixture
def supernet(space: SearchSpace) -> Supernet:
    return Supernet(space, 10, seed=0)


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


def test_they_are_to_the_bit_those_of_a_momentum_of_none(digits: ImageData):
    norm, other = nn.BatchNorm2d(3), nn.BatchNorm2d(3, momentum=None)
    batches = digits.sample("train", 100).split(32)
    outputs = calibrated_outputs([norm], batches)
    assert all(torch.equal(*pair) for pair in zip(outputs, map(other, batches), strict=True))
    for (name, mine), theirs in zip(norm.named_buffers(), other.buffers(), strict=True):
        assert torch.equal(mine, theirs), name


def test_recalibration_leaves_other_paths_and_the_momentum(
    supernet: Supernet, small: Architecture, digits: ImageData
):
    other = supernet.blocks[1][0]["mb6_5x5"]
    before = {name: buffer.clone() for name, buffer in other.named_buffers()}
    recalibrate_batch_norm(supernet, small, [digits.sample("train", 32)])
    assert all(torch.equal(buffer, before[name]) for name, buffer in other.named_buffers())
    momenta = {m.momentum for m in supernet.modules() if isinstance(m, nn.BatchNorm2d)}
    assert momenta == {0.1}
    assert not any(m.training for m in supernet.modules())


def test_an_error_leaves_momentum_and_mode(supernet: Supernet, small: Architecture):
    path = supernet.eval().path(small)
    with pytest.raises(RuntimeError):
        calibrated_outputs(path, [torch.zeros(2, 5, 32, 32)])
    momenta = {m.momentum for m in supernet.modules() if isinstance(m, nn.BatchNorm2d)}
    assert momenta == {0.1}
    assert not any(m.training for m in supernet.modules())


def test_modes_are_put_back_one_by_one(supernet: Supernet, small: Architecture, digits: ImageData):
    supernet.train()
    supernet.tail.eval()
    before = [module.training for module in supernet.modules()]
    state = {name: tensor.clone() for name, tensor in supernet.state_dict().items()}
    with undisturbed(supernet, supernet.path(small)):
        assert not any(module.training for module in supernet.modules())
        recalibrate_batch_norm(supernet, small, [digits.sample("train", 32)])
        assert not torch.equal(
            supernet.conv_stem.bn1.running_var, state["conv_stem.bn1.running_var"]
        )
    assert [module.training for module in supernet.modules()] == before
    assert all(torch.equal(supernet.state_dict()[name], tensor) for name, tensor in state.items())
