"""The moving average of weights: over each weight's own updates, and back again to the bit."""

import pytest
import torch
from torch import nn

from pipeline.training.weight_average import WeightAverage


@pytest.fixture
def module() -> nn.Module:
    torch.manual_seed(0)
    return nn.ModuleDict({"used": nn.Linear(3, 2), "idle": nn.Linear(3, 2)})


def _moved(module: nn.Module, by: float) -> None:
    with torch.no_grad():
        for parameter in module["used"].parameters():  # type: ignore[index]
            parameter += by
            parameter.grad = torch.zeros_like(parameter)


def test_only_what_moved_is_averaged(module: nn.Module):
    before = {name: p.detach().clone() for name, p in module.named_parameters()}
    average = WeightAverage(module, 0.9)
    for _ in range(3):
        _moved(module, 1.0)
        average.update()
    assert average.updates == {
        "used.weight": 3, "used.bias": 3, "idle.weight": 0, "idle.bias": 0
    }  # fmt: skip
    expected = 0.0
    for update in range(3):
        decay = (1 + update) / (10 + update)
        expected = decay * expected + (1 - decay) * (update + 1)
    torch.testing.assert_close(average.averages["used.weight"], before["used.weight"] + expected)
    assert torch.equal(average.averages["idle.weight"], before["idle.weight"])


def test_the_decay_is_reached(module: nn.Module):
    average = WeightAverage(module, 0.5)
    average.updates = dict.fromkeys(average.updates, 100)
    start = average.averages["used.bias"].clone()
    _moved(module, 2.0)
    average.update()
    torch.testing.assert_close(average.averages["used.bias"], start + 1.0)


def test_applied_and_put_back(module: nn.Module):
    average = WeightAverage(module, 0.9)
    _moved(module, 1.0)
    now = module["used"].weight.detach().clone()  # type: ignore[index]
    with average.applied():
        assert not torch.equal(module["used"].weight, now)  # type: ignore[index]
    assert torch.equal(module["used"].weight, now)  # type: ignore[index]
    average.keep()
    assert torch.equal(module["used"].weight, average.averages["used.weight"])  # type: ignore[index]


def test_restart_begins_with_the_weights_as_they_are(module: nn.Module):
    average = WeightAverage(module, 0.9)
    _moved(module, 1.0)
    average.update()
    average.restart()
    assert torch.equal(average.averages["used.weight"], module["used"].weight)  # type: ignore[index]
    assert set(average.updates.values()) == {0}
