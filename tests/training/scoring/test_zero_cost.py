"""Scores of untrained networks, each against its definition in a network small enough for that."""

import math

import pytest
import torch
from torch import nn

from pipeline.network.network import build_network
from pipeline.network.timm_networks import TimmNetwork, build_timm
from pipeline.training.scoring.zero_cost import zero_cost
from tests.training.tiny import NETWORK

IMAGES = torch.randn(6, 3, 4, 4, generator=torch.Generator().manual_seed(0))
LABELS = torch.tensor([0, 1, 1, 0, 1, 0])


def tiny() -> nn.Sequential:
    torch.manual_seed(1)
    return nn.Sequential(nn.Flatten(), nn.Linear(48, 5), nn.ReLU(), nn.Linear(5, 2))


def test_naswot_is_the_determinant_of_common_activations() -> None:
    network = tiny()
    on = network[1](IMAGES.flatten(1)) > 0
    kernel = torch.tensor([[float((a == b).sum()) for b in on] for a in on], dtype=torch.float64)
    found = zero_cost(network, IMAGES, LABELS).naswot
    assert found == pytest.approx(float(torch.linalg.slogdet(kernel).logabsdet))


def test_synflow_is_the_flow_through_all_paths_counted_by_each_weight() -> None:
    """Without biases each layer's saliencies add up to the output, so two layers to twice that."""
    torch.manual_seed(2)
    network = nn.Sequential(nn.Flatten(), nn.Linear(48, 5, bias=False), nn.Linear(5, 2, bias=False))
    first, last = (network[i].weight.detach().abs() for i in (1, 2))
    flow = float((last @ first @ torch.ones(48)).sum())
    found = zero_cost(network, IMAGES, LABELS).synflow
    assert found == pytest.approx(math.log(2 * flow), rel=1e-6)


def test_zico_is_of_gradients_over_two_halves() -> None:
    network, total = tiny(), 0.0
    halves = []
    for part in (slice(0, 3), slice(3, 6)):
        network.zero_grad()
        nn.functional.cross_entropy(network(IMAGES[part]), LABELS[part]).backward()
        halves.append([network[i].weight.grad.abs().clone() for i in (1, 3)])
    for first, second in zip(*halves, strict=True):
        both = torch.stack([first, second])
        moved = both.std(0) > 0
        total += math.log(float((both.mean(0)[moved] / both.std(0)[moved]).sum()))
    assert zero_cost(network, IMAGES, LABELS).zico == pytest.approx(total, rel=1e-5)


@pytest.mark.parametrize("which", ["space", "timm"])
def test_real_networks_have_finite_scores_and_keep_their_weights(which: str) -> None:
    if which == "space":
        network: nn.Module = build_network(NETWORK, seed=0)
    else:
        network = build_timm(TimmNetwork("mobilenetv3_small_050", 32, 10), seed=0)
    before = {name: it.detach().clone() for name, it in network.named_parameters()}
    images = torch.randn(8, 3, 32, 32)
    first = zero_cost(network, images, torch.arange(8))
    assert all(map(math.isfinite, first))
    changed = [n for n, it in network.named_parameters() if not torch.equal(it, before[n])]
    # Zero scales of residual blocks were set to one.
    assert all("bn" in name for name in changed)
    assert all(it.dtype == torch.float32 for it in network.parameters())
