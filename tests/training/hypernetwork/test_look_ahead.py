"""The step ahead, against the optimizer's own and against automatic differentiation."""

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call

from pipeline.training.compute import MAX_GRADIENT_NORM, Compute
from pipeline.training.distillation import distillation_loss, label_loss, taught_loss
from pipeline.training.hypernetwork.look_ahead import StepAhead, placed, step_ahead
from pipeline.training.optimizing import make_optimizer

CPU = Compute(torch.device("cpu"))
Weights = dict[str, Tensor]
# A loss whose gradients are clipped, and one whose gradients are not.
BOTH = pytest.mark.parametrize("scale", [0.1, 100.0])


class Student(nn.Module):
    """Trained for a few steps; its last layer has not been yet."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3)).double()
        self.optimizer = make_optimizer(self.layers, "adamw", learning_rate=0.02, weight_decay=0.3)
        first = list(self.layers[0].parameters())
        for _ in range(3):
            for parameter in first:
                parameter.grad = torch.randn_like(parameter) / 30
            self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)

    @property
    def weights(self) -> Weights:
        return dict(self.layers.named_parameters())


def batch(seed: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(16, 6, generator=generator, dtype=torch.float64)
    return images, torch.randint(0, 3, (16,), generator=generator)


def losses(student: Student, weights: Weights, scale: float) -> tuple[Tensor, Tensor]:
    """CE and KD."""
    images, labels = batch(1)
    taught_by = torch.randn(16, 3, generator=torch.Generator().manual_seed(2)).double()
    logits = functional_call(student.layers, weights, (images,))
    return (
        scale * label_loss(logits, labels, 0.1),
        scale * distillation_loss(logits, taught_by, 2.0),
    )


def validation_loss(student: Student, weights: Weights) -> Tensor:
    images, labels = batch(3)
    return label_loss(functional_call(student.layers, weights, (images,)), labels, 0.0)


def ahead(student: Student, weight: float, scale: float) -> StepAhead:
    weights = student.weights
    parameters = list(weights.values())
    on_labels, on_teacher = (
        torch.autograd.grad(loss, parameters, retain_graph=True)
        for loss in losses(student, weights, scale)
    )
    pairs = list(zip(on_labels, on_teacher, strict=True))
    assert isinstance(student.optimizer, torch.optim.AdamW)
    return step_ahead(
        student.optimizer,
        parameters,
        [0.5 * (weight * t + (2 - weight) * g) for g, t in pairs],
        [0.5 * (t - g) for g, t in pairs],
    )


def slope(student: Student, weight: float, scale: float) -> Tensor:
    parameters = list(student.weights.values())
    step = ahead(student, weight, scale)
    with placed(parameters, step.weights):
        return step.slope_of(
            torch.autograd.grad(validation_loss(student, student.weights), parameters)
        )


def after_the_real_step(student: Student, weight: float, scale: float) -> Student:
    other = copy.deepcopy(student)
    taught_loss(*losses(other, other.weights, scale), weight).backward()
    CPU.step(other.optimizer, list(other.weights.values()))
    return other


def by_autograd(student: Student, weight: float, scale: float) -> Tensor:
    """dL_val/dρ through clipping and a step of AdamW written with torch's operations."""
    through = torch.tensor(weight, dtype=torch.float64, requires_grad=True)
    weights = {name: p.detach().requires_grad_() for name, p in student.weights.items()}
    loss = taught_loss(*losses(student, weights, scale), through)
    gradients = torch.autograd.grad(loss, list(weights.values()), create_graph=True)
    norm = torch.cat([g.flatten() for g in gradients]).norm()
    factor = (MAX_GRADIENT_NORM / (norm + 1e-6)).clamp(max=1)
    moved = {}
    for (name, parameter), gradient in zip(student.weights.items(), gradients, strict=True):
        groups = student.optimizer.param_groups
        (group,) = [g for g in groups if any(p is parameter for p in g["params"])]
        state = student.optimizer.state.get(parameter, {})
        step = float(state.get("step", 0)) + 1
        beta1, beta2 = group["betas"]
        g = factor * gradient
        first = beta1 * state.get("exp_avg", 0) + (1 - beta1) * g
        second = beta2 * state.get("exp_avg_sq", 0) + (1 - beta2) * g**2
        update = first / (1 - beta1**step) / ((second / (1 - beta2**step)).sqrt() + group["eps"])
        decayed = parameter.detach() * (1 - group["lr"] * group["weight_decay"])
        moved[name] = decayed - group["lr"] * update
    (found,) = torch.autograd.grad(validation_loss(student, moved), through)
    return found


@BOTH
def test_it_is_the_step_that_is_really_taken(scale: float):
    student = Student()
    before = copy.deepcopy(student)
    step = ahead(student, 0.3, scale)
    real = after_the_real_step(student, 0.3, scale)
    for value, parameter, was in zip(
        step.weights, real.weights.values(), before.weights.values(), strict=True
    ):
        torch.testing.assert_close(value, parameter.detach(), rtol=1e-12, atol=1e-14)
        assert not torch.equal(value, was)
    for parameter, was in zip(student.weights.values(), before.weights.values(), strict=True):
        assert torch.equal(parameter, was)
        state, kept = student.optimizer.state[parameter], before.optimizer.state[was]
        assert all(torch.equal(state[name], kept[name]) for name in kept)


@BOTH
@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
def test_its_slope_is_the_derivative_through_the_step(weight: float, scale: float):
    student = Student()
    expected = by_autograd(student, weight, scale)
    assert expected.abs() > 1e-6
    torch.testing.assert_close(slope(student, weight, scale), expected, rtol=1e-8, atol=0)


@BOTH
def test_its_slope_is_what_real_steps_with_other_weights_say(scale: float):
    """By five points, as the function bends."""
    student, h = Student(), 1e-3

    def loss(weight: float) -> float:
        real = after_the_real_step(student, weight, scale)
        return float(validation_loss(real, real.weights).detach())

    near, far = (loss(0.4 + d) - loss(0.4 - d) for d in (h, 2 * h))
    expected = (8 * near - far) / (12 * h)
    assert float(slope(student, 0.4, scale)) == pytest.approx(expected, rel=1e-5)


def test_weights_that_nothing_has_moved_yet_do_not_spoil_it():
    """In a residual block that begins as the identity all gradients but one are zero at first."""
    layer = nn.Linear(3, 2)
    optimizer = make_optimizer(layer, "adamw", learning_rate=0.02, weight_decay=0.3)
    assert isinstance(optimizer, torch.optim.AdamW)
    parameters = list(layer.parameters())
    nothing = [torch.zeros_like(parameter) for parameter in parameters]
    step = step_ahead(optimizer, parameters, nothing, nothing)
    assert all(not slopes.any() for slopes in step.slopes)
    torch.testing.assert_close(step.weights[0], (1 - 0.02 * 0.3) * layer.weight.detach())
