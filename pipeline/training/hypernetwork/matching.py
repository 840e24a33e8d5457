"""The matching network: how much a path of the board should count as a student's teacher.

*Cream of the Crop* (NeurIPS 2020), section 3.3: a linear layer sees by how much the softmax
outputs of student and teacher differ, and its sigmoid is the weight ρ of that teacher in the
student's loss. Two things differ from the paper's code:

* It showed both paths a few images of their own. Batch norm over so few normalises by noise, and a
  pass of every student through more would cost more than its lesson. But a step computes the
  outputs of both for its whole batch anyway: these are what the network sees.
* The images are others at each step, so outputs are told in a way that means the same for any image
  (`answer_profile`).

The layer is linear in the difference, in the paper as here: which teacher's weight is the largest
does not depend on the student, only how large it is does. So teachers are ranked by `worth`, which
takes their own outputs alone; these are the ones for the images that all paths are compared on.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pipeline.network.supernet import Supernet
from pipeline.space.architecture import Architecture
from pipeline.training.compute import Compute
from pipeline.training.distillation import label_loss
from pipeline.training.hypernetwork.held_out import HeldOut
from pipeline.training.hypernetwork.look_ahead import placed, step_ahead
from pipeline.training.processes import Processes

# Of a profile: the right class, and the likeliest of the others; all the rest is next to nothing.
_ANSWERS = 5
# A weight can go about 1/16 from zero in a run (see `Pace`): a teacher that is surer of the right
# class by 5 points can then count 0.83, or 0.17.
_SCALE = 500.0
# As the paper trains on ImageNet with 1024 images a step: 100 of 120 epochs with teachers.
_PAPER_STEPS, _PAPER_EVERY, _PAPER_LEARNING_RATE = 125_000, 200, 1e-4
_ADAM = "adam/"


def answer_profile(logits: Tensor, labels: Tensor) -> Tensor:
    """What a path answers, whatever the images are.

    Args:
        logits: Shape (…, n, classes).
        labels: Shape (n,).

    Returns:
        The softmax output for the right class, and those for the others, the likeliest first: means
        over the n images, times 500. Shape (…, answers).
    """
    answers = torch.softmax(logits.float(), -1)
    right = labels.view(-1, 1).expand(*answers.shape[:-1], 1)
    others = answers.scatter(-1, right, -1.0)
    wrong = others.topk(min(_ANSWERS, answers.shape[-1]) - 1, dim=-1).values
    return _SCALE * torch.cat([answers.gather(-1, right), wrong], -1).mean(-2)


class MatchingNetwork(nn.Module):
    """Difference of two paths' profiles to the weight ρ of one as the other's teacher.

    Args:
        num_classes: Classes of their outputs.
    """

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.linear = nn.Linear(min(_ANSWERS, num_classes), 1)
        # Before it has learned anything it prefers no teacher: ρ = ½ for all, and of equal ones the
        # first on the board, the most accurate, teaches.
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, differences: Tensor) -> Tensor:
        """Weights of teachers.

        Args:
            differences: Profile of the student minus that of the teacher, shape (…, answers).

        Returns:
            ρ in 0 to 1, shape (…).
        """
        return torch.sigmoid(self.linear(differences).squeeze(-1))


@dataclass(frozen=True)
class Pace:
    """How often the matching network learns, and how fast.

    Attributes:
        every: Steps between two updates.
        learning_rate: Of its Adam optimizer.
    """

    every: int
    learning_rate: float

    @classmethod
    def of(cls, steps: int) -> Pace:
        """The pace of a training with so many steps in which paths teach.

        A run as long as the paper's has its pace: every 200 steps, 1e-4. In one that is q times
        shorter, updates come √q times as often and are √q times as large. Adam moves a weight by
        about its learning rate an update, so how far a weight can go stays the same.
        """
        share = min(1.0, math.sqrt(max(1, steps) / _PAPER_STEPS))
        return cls(max(1, round(share * _PAPER_EVERY)), _PAPER_LEARNING_RATE / share)


@dataclass
class Matching:
    """The matching network while it is used, and learns.

    Attributes:
        supernet: Whose paths.
        compute: Where, and in which precision.
        processes: Who else trains the same.
        held_out: Images it learns from.
        network: The matching network.
        optimizer: Its optimizer.
        every: Steps between two updates.
        seed: Of the order of its images.
    """

    supernet: Supernet
    compute: Compute
    processes: Processes
    held_out: HeldOut
    network: MatchingNetwork
    optimizer: torch.optim.Optimizer
    every: int
    seed: int

    @classmethod
    def of(
        cls,
        supernet: Supernet,
        held_out: HeldOut,
        *,
        compute: Compute,
        processes: Processes,
        steps: int,
        seed: int,
    ) -> Matching:
        """A matching network that has not learned yet.

        Args:
            supernet: Whose paths.
            held_out: Images it learns from.
            compute: Where, and in which precision.
            processes: Who else trains the same.
            steps: Of the training in which paths teach.
            seed: Of the order of its images.
        """
        pace = Pace.of(steps)
        network = MatchingNetwork(supernet.num_classes).to(compute.device)
        optimizer = torch.optim.Adam(network.parameters(), lr=pace.learning_rate)
        return cls(supernet, compute, processes, held_out, network, optimizer, pace.every, seed)

    def weight(self, difference: Tensor) -> Tensor:
        """ρ of a teacher, a scalar, for the student's profile minus the teacher's."""
        with torch.no_grad():
            weight: Tensor = self.network(difference)
            return weight

    def worth(self, profiles: Tensor) -> Tensor:
        """How much teachers with these profiles are worth, to any student; shape (…)."""
        with torch.no_grad():
            return -profiles @ self.network.linear.weight[0]

    def is_due(self, at: int) -> bool:
        """Whether the network learns in step `at`."""
        return (at + 1) % self.every == 0

    def learn(
        self,
        student: Architecture,
        difference: Tensor,
        on_labels: Tensor,
        on_teacher: Tensor,
        *,
        at: int,
        optimizer: torch.optim.Optimizer,
    ) -> None:
        """Lets the network learn from one step ahead, and leaves that step's gradients.

        Args:
            student: The path of the step.
            difference: Its profile minus its teacher's.
            on_labels: CE of the student, with its graph.
            on_teacher: KD of the student, with its graph.
            at: Number of the step.
            optimizer: Takes the student's step; an AdamW.
        """
        if not isinstance(optimizer, torch.optim.AdamW):
            raise AssertionError("the look ahead is that of AdamW")
        weight = self.weight(difference)
        parameters = self.supernet.parameters_of(student)
        labels = self.compute.gradients(on_labels, parameters, keep=True)
        taught = self.compute.gradients(on_teacher, parameters, keep=False)
        for gradients in (labels, taught):
            self.processes.average(gradients)
        both = [0.5 * (weight * t + (2 - weight) * g) for t, g in zip(taught, labels, strict=True)]
        ahead = step_ahead(
            optimizer,
            parameters,
            both,
            [0.5 * (t - g) for t, g in zip(taught, labels, strict=True)],
        )
        with placed(parameters, ahead.weights):
            validation = self._validation_loss(student, at)
            slope = ahead.slope_of(self.compute.gradients(validation, parameters, keep=False))
        self.optimizer.zero_grad()
        self.network(difference).backward(slope)
        self.processes.average([p.grad for p in self.network.parameters() if p.grad is not None])
        self.optimizer.step()
        scale = self.compute.scaler.get_scale()
        for parameter, gradient in zip(parameters, both, strict=True):
            # In the parameter's own layout: a fused optimizer takes elements as they lie in memory.
            parameter.grad = torch.empty_like(parameter).copy_(gradient * scale)

    def tensors(self) -> dict[str, Tensor]:
        """Weights and optimizer of the network, by name."""
        parameters = dict(self.network.named_parameters())
        adam = {
            f"{_ADAM}{name}/{key}": value
            for name, parameter in parameters.items()
            for key, value in self.optimizer.state.get(parameter, {}).items()
        }
        return {**self.network.state_dict(), **adam}

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Takes over what `tensors` gave."""
        parameters = dict(self.network.named_parameters())
        self.network.load_state_dict({name: tensors[name] for name in parameters})
        for name, value in tensors.items():
            if name.startswith(_ADAM):
                of, _, key = name.removeprefix(_ADAM).rpartition("/")
                self.optimizer.state[parameters[of]][key] = value.clone()

    def _validation_loss(self, student: Architecture, at: int) -> Tensor:
        images, labels = self.held_out.drawn(student.resolution, self.seed, at)
        with self.compute.forward():
            return label_loss(self.supernet(images, student), labels, 0.0)
