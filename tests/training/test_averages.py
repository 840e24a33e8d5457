"""Moving averages: of what, over how many updates, and back again to the bit."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from pipeline.training.averages import Average, NetworkAverage, WeightAverage
from pipeline.training.learner import SavedState


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))


def step(model: nn.Module, average: Average) -> None:
    """Moves weights and statistics as a step of training does."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(1.0)
            parameter.grad = torch.zeros_like(parameter)
        model(torch.randn(8, 3, 5, 5))
    average.update()


def values(model: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


@pytest.mark.parametrize("kind", [NetworkAverage, WeightAverage])
def test_within_applied_the_model_is_the_average_and_afterwards_itself(
    kind: Callable[[nn.Module, float], Average],
):
    model = network()
    average = kind(model, 0.9)
    for _ in range(5):
        step(model, average)
    before = values(model)
    with average.applied():
        within = values(model)
    averaged = set(within) if kind is NetworkAverage else dict(model.named_parameters()).keys()
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[name])
        # How many batches there were is a number of batches, and no mean of such numbers.
        if not name.endswith("num_batches_tracked"):
            assert torch.equal(within[name], before[name]) != (name in averaged), name
    average.keep()
    assert all(torch.equal(tensor, within[name]) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize("kind", [NetworkAverage, WeightAverage])
def test_it_goes_on_from_its_state(kind: Callable[[nn.Module, float], Average]):
    model, other = network(), network()
    average, again = kind(model, 0.9), kind(other, 0.9)
    for _ in range(3):
        step(model, average)
    kept = average.state()
    again.load(SavedState({n: t.clone() for n, t in kept.tensors.items()}, dict(kept.values)))
    other.load_state_dict(values(model))
    for one, its in ((model, average), (other, again)):
        torch.manual_seed(1)
        step(one, its)
        its.keep()
    assert all(torch.equal(t, other.state_dict()[n]) for n, t in model.state_dict().items())


def test_weights_and_statistics_of_a_network_are_averaged():
    model = network()
    average = NetworkAverage(model, 0.5)
    seen = []
    for _ in range(200):
        step(model, average)
        seen.append(values(model))
    # The decay has risen to its end: 0.5 of what was, 0.5 of what is.
    expected = seen[0]
    for now in seen[1:]:
        expected = {
            name: 0.5 * tensor + 0.5 * now[name] if tensor.is_floating_point() else now[name]
            for name, tensor in expected.items()
        }
    average.keep()
    for name, tensor in model.state_dict().items():
        torch.testing.assert_close(tensor, expected[name], rtol=1e-4, atol=1e-4)
    assert "1.running_var" in expected


def test_early_averages_of_a_network_are_over_few_steps():
    """With a decay of 0.9999 an untrained start would stay in the average for ever."""
    model = network()
    start = values(model)["0.bias"]
    average = NetworkAverage(model, 0.9999)
    for _ in range(10):
        step(model, average)
    average.keep()
    assert (model.state_dict()["0.bias"] - start).min() > 5


@pytest.fixture
def module() -> nn.ModuleDict:
    torch.manual_seed(0)
    return nn.ModuleDict({"used": nn.Linear(3, 2), "idle": nn.Linear(3, 2)})


def _moved(module: nn.ModuleDict, by: float) -> None:
    with torch.no_grad():
        for parameter in module["used"].parameters():
            parameter += by
            parameter.grad = torch.zeros_like(parameter)


def test_only_weights_that_moved_are_averaged(module: nn.ModuleDict):
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


def test_the_decay_is_reached(module: nn.ModuleDict):
    average = WeightAverage(module, 0.5)
    average.updates = dict.fromkeys(average.updates, 100)
    start = average.averages["used.bias"].clone()
    _moved(module, 2.0)
    average.update()
    torch.testing.assert_close(average.averages["used.bias"], start + 1.0)
