"""What a network tells before it is trained: three scores of its weights as they are drawn.

Each takes a few passes over one batch, and is higher for networks that are said to become better.
Residual blocks are not the identity here, where they would tell nothing.
"""

from __future__ import annotations

import math
from contextlib import ExitStack
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.network.operators import last_norms_of_residuals

_ACTIVATIONS = (nn.SiLU, nn.ReLU, nn.ReLU6, nn.Hardswish)
# Gradients of two batches at least are needed for their scatter.
_PARTS = 2
_SMALL = 1e-12


class ZeroCost(NamedTuple):
    """The scores of a network.

    Attributes:
        naswot: Logarithm of the determinant of the kernel of activation patterns (Mellor et al.,
            ICML 2021, equation 2).
        synflow: Logarithm of the sum of synaptic saliencies (Tanaka et al., NeurIPS 2020; as a
            score of networks Abdelfattah et al., ICLR 2021).
        zico: Sum over layers of the logarithm of gradients' means relative to their scatter (Li et
            al., ICLR 2023, equation 13).
    """

    naswot: float
    synflow: float
    zico: float


def zero_cost(network: nn.Module, images: Tensor, labels: Tensor) -> ZeroCost:
    """Scores a network; its weights are as before afterwards, its statistics are not.

    Args:
        network: As it was drawn, on the CPU.
        images: Shape (n, 3, r, r); n a multiple of 2.
        labels: Shape (n,).
    """
    for norm in last_norms_of_residuals(network):
        nn.init.ones_(norm.weight)
    return ZeroCost(
        _naswot(network, images), _synflow(network, images[:1]), _zico(network, images, labels)
    )


def _naswot(network: nn.Module, images: Tensor) -> float:
    n = len(images)
    kernel = torch.zeros(n, n, dtype=torch.float64)

    def patterns(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        on = (inputs[0].reshape(n, -1) > 0).float()
        same = on @ on.T + (1 - on) @ (1 - on).T
        kernel.add_(same.double())

    network.train()
    with ExitStack() as stack, torch.no_grad():
        for module in network.modules():
            if isinstance(module, _ACTIVATIONS):
                stack.callback(module.register_forward_pre_hook(patterns).remove)
        network(images)
    return float(torch.linalg.slogdet(kernel).logabsdet)


def _synflow(network: nn.Module, image: Tensor) -> float:
    """With absolute weights, on an image of ones, in double precision."""
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    network.double().eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.abs_()
    network.zero_grad(set_to_none=True)
    _pass_through_norms(network)
    network(torch.ones_like(image, dtype=torch.float64)).sum().backward()
    total = sum(
        float((parameter.detach() * parameter.grad).abs().sum())
        for parameter in network.parameters()
        if parameter.grad is not None
    )
    network.zero_grad(set_to_none=True)
    network.float().load_state_dict(before)
    return math.log(total + _SMALL)


def _pass_through_norms(network: nn.Module) -> None:
    """Makes batch norms leave their inputs as they are, but for scale and shift."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d) and module.running_mean is not None:
            module.running_mean.zero_()
            assert module.running_var is not None
            module.running_var.fill_(1 - module.eps)


def _zico(network: nn.Module, images: Tensor, labels: Tensor) -> float:
    network.train()
    weights = [
        module.weight for module in network.modules() if isinstance(module, nn.Conv2d | nn.Linear)
    ]
    parts: list[list[Tensor]] = [[] for _ in weights]
    for some, of in zip(images.chunk(_PARTS), labels.chunk(_PARTS), strict=True):
        network.zero_grad(set_to_none=True)
        F.cross_entropy(network(some), of).backward()
        for kept, weight in zip(parts, weights, strict=True):
            if weight.grad is not None:
                kept.append(weight.grad.detach().abs().clone())
    network.zero_grad(set_to_none=True)
    total = 0.0
    for kept in parts:
        if len(kept) == _PARTS:
            gradients = torch.stack(kept)
            std, mean = gradients.std(0), gradients.mean(0)
            there = std > 0
            total += math.log(float((mean[there] / std[there]).sum()) + _SMALL)
    return total
