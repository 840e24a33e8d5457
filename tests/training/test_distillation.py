"""The loss of a path, against its formula written out."""

import pytest
import torch

from pipeline.training.distillation import distillation_loss, label_loss, taught_loss

STUDENT = torch.tensor([[2.0, 0.0, -1.0], [0.0, 1.0, 0.5]])
TEACHER = torch.tensor([[1.0, 1.0, -2.0], [0.0, 3.0, 0.0]])


@pytest.mark.parametrize("temperature", [1.0, 2.0, 4.0])
def test_distillation_is_the_divergence_of_softened_outputs(temperature: float):
    given, expected = ((x / temperature).softmax(1) for x in (STUDENT, TEACHER))
    by_hand = (expected * (expected / given).log()).sum(1).mean() * temperature**2
    torch.testing.assert_close(distillation_loss(STUDENT, TEACHER, temperature), by_hand)
    assert distillation_loss(TEACHER, TEACHER, temperature).abs() < 1e-6


def test_the_gradient_of_distillation_is_that_of_soft_cross_entropy():
    student = STUDENT.clone().requires_grad_()
    (found,) = torch.autograd.grad(distillation_loss(student, TEACHER, 1.0), student)
    soft = -(TEACHER.softmax(1) * student.log_softmax(1)).sum(1).mean()
    torch.testing.assert_close(found, torch.autograd.grad(soft, student)[0])


def test_no_gradient_goes_into_the_teacher():
    teacher = TEACHER.clone().requires_grad_()
    student = STUDENT.clone().requires_grad_()
    distillation_loss(student, teacher, 2.0).backward()
    assert teacher.grad is None


def test_labels_are_smoothed():
    labels = torch.tensor([0, 1])
    smoothed = torch.full((2, 3), 0.1 / 3)
    smoothed[[0, 1], labels] += 0.9
    by_hand = -(smoothed * STUDENT.log_softmax(1)).sum(1).mean()
    torch.testing.assert_close(label_loss(STUDENT, labels, 0.1), by_hand)


@pytest.mark.parametrize(("weight", "expected"), [(0.0, 3.0), (0.5, 2.75), (1.0, 2.5)])
def test_the_teacher_counts_as_the_matching_network_says(weight: float, expected: float):
    found = taught_loss(torch.tensor(3.0), torch.tensor(2.0), torch.tensor(weight))
    assert float(found) == pytest.approx(expected)
