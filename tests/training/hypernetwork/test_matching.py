"""The matching network and its look ahead, against what automatic differentiation says."""

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call

from pipeline.training.distillation import distillation_loss, label_loss, taught_loss
from pipeline.training.hypernetwork.matching import MatchingNetwork, look_ahead_gradient

RATE = 0.1


@pytest.fixture
def student() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3)).double()


def batch(seed: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(16, 6, generator=generator, dtype=torch.float64)
    return images, torch.randint(0, 3, (16,), generator=generator)


def losses(student: nn.Module, weights: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    images, labels = batch(1)
    taught_by = torch.randn(16, 3, generator=torch.Generator().manual_seed(2)).double()
    logits = functional_call(student, weights, (images,))
    return label_loss(logits, labels, 0.1), distillation_loss(logits, taught_by, 2.0)


def validation_loss(student: nn.Module, weights: dict[str, Tensor]) -> Tensor:
    images, labels = batch(3)
    return label_loss(functional_call(student, weights, (images,)), labels, 0.0)


def ahead(student: nn.Module, weight: Tensor) -> Tensor:
    """Validation loss after a step, differentiable in ρ through the step's gradients."""
    weights = {name: p.detach().requires_grad_() for name, p in student.named_parameters()}
    loss = taught_loss(*losses(student, weights), weight)
    gradients = torch.autograd.grad(loss, list(weights.values()), create_graph=True)
    moved = {name: w - RATE * g for (name, w), g in zip(weights.items(), gradients, strict=True)}
    return validation_loss(student, moved)


def by_product(student: nn.Module, weight: float) -> Tensor:
    weights = dict(student.named_parameters())
    parameters = list(weights.values())
    on_labels, on_teacher = (
        torch.autograd.grad(loss, parameters, retain_graph=True)
        for loss in losses(student, weights)
    )
    with torch.no_grad():
        moved = {
            name: w - RATE * 0.5 * (weight * t + (2 - weight) * g)
            for (name, w), t, g in zip(weights.items(), on_teacher, on_labels, strict=True)
        }
    moved = {name: w.requires_grad_() for name, w in moved.items()}
    validation = torch.autograd.grad(validation_loss(student, moved), list(moved.values()))
    return look_ahead_gradient(on_labels, on_teacher, validation, RATE)


@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
def test_it_is_the_derivative_through_the_student_step(student: nn.Module, weight: float):
    through = torch.tensor(weight, dtype=torch.float64, requires_grad=True)
    (expected,) = torch.autograd.grad(ahead(student, through), through)
    assert expected.abs() > 1e-6
    torch.testing.assert_close(by_product(student, weight), expected, rtol=1e-9, atol=0)


def test_it_is_what_finite_differences_say(student: nn.Module):
    step = 1e-5
    up, down = (ahead(student, torch.tensor(0.4 + d, dtype=torch.float64)) for d in (step, -step))
    expected = (up - down) / (2 * step)
    torch.testing.assert_close(by_product(student, 0.4), expected.detach(), rtol=1e-5, atol=0)


def test_before_it_learns_no_teacher_is_preferred():
    network = MatchingNetwork(4, 3)
    weights = network(torch.randn(5, 7, 4, 3))
    assert weights.shape == (5, 7)
    assert torch.equal(weights, torch.full((5, 7), 0.5))


def test_it_learns_which_difference_helps():
    """Teachers that differ in one class help, those that differ in another harm."""
    network = MatchingNetwork(2, 3)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.05)
    helping, harming = torch.zeros(2, 2, 3)
    helping[:, 0], harming[:, 1] = 0.5, 0.5
    for _ in range(40):
        for difference, slope in ((helping, -1.0), (harming, 1.0)):
            optimizer.zero_grad()
            network(difference).backward(torch.tensor(slope))
            optimizer.step()
    assert network(helping) > 0.6
    assert network(harming) < 0.4
