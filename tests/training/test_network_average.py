"""The average of a network trained on its own holds weights and statistics."""

import torch
from torch import nn

from pipeline.training.network_average import NetworkAverage


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))


def step(model: nn.Module, average: NetworkAverage) -> None:
    """Moves weights and statistics as a step of training does."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(1.0)
        model(torch.randn(8, 3, 5, 5))
    average.update()


def values(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def test_weights_and_statistics_are_averaged():
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


def test_early_averages_are_over_few_steps():
    """With a decay of 0.9999 an untrained start would stay in the average for ever."""
    model = network()
    start = values(model)["0.bias"]
    average = NetworkAverage(model, 0.9999)
    for _ in range(10):
        step(model, average)
    average.keep()
    assert (model.state_dict()["0.bias"] - start).min() > 5


def test_within_applied_the_network_is_the_average_and_afterwards_itself():
    model = network()
    average = NetworkAverage(model, 0.9)
    for _ in range(5):
        step(model, average)
    before = values(model)
    with average.applied():
        assert not torch.equal(model.state_dict()["0.bias"], before["0.bias"])
        assert not torch.equal(model.state_dict()["1.running_mean"], before["1.running_mean"])
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_it_goes_on_from_its_state():
    model, other = network(), network()
    average, again = NetworkAverage(model, 0.9), NetworkAverage(other, 0.9)
    for _ in range(3):
        step(model, average)
    kept = average.state()
    again.load(type(kept)({n: t.clone() for n, t in kept.tensors.items()}, dict(kept.values)))
    other.load_state_dict(values(model))
    torch.manual_seed(1)
    step(model, average)
    torch.manual_seed(1)
    step(other, again)
    average.keep()
    again.keep()
    assert all(torch.equal(t, other.state_dict()[n]) for n, t in model.state_dict().items())
