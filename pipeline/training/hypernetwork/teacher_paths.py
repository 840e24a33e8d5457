"""Who teaches the students of a round, and how the matching network learns to choose."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.images.image_data import Batch, ImageData
from pipeline.images.randomness import generator_for
from pipeline.network.supernet import Supernet
from pipeline.space.architecture import Architecture
from pipeline.training.compute import Compute
from pipeline.training.distillation import label_loss
from pipeline.training.hypernetwork.board import Board
from pipeline.training.hypernetwork.matching import MatchingNetwork, look_ahead_gradient
from pipeline.training.processes import Processes
from pipeline.training.settings import MatchingSettings

# Without a matching network a teacher counts half, as much as all do before it has learned.
_HALF = 0.5
_VALIDATION_BATCH = 128
_ADAM = "adam/"


@dataclass(frozen=True)
class TeacherPath:
    """Who teaches a student.

    Attributes:
        architecture: The path.
        weight: ρ, a scalar between 0 and 1.
        difference: Student's minus teacher's outputs for the probes, shape (probes, classes);
            None where nothing is matched.
    """

    architecture: Architecture
    weight: Tensor
    difference: Tensor | None = None


def most_accurate(
    students: Sequence[Architecture], board: Board, device: torch.device
) -> list[TeacherPath | None]:
    """The most accurate other path of the board teaches each student, with half the weight."""
    weight = torch.tensor(_HALF, device=device)
    chosen = [next(iter(board.teachers_of(student)), None) for student in students]
    return [None if path is None else TeacherPath(path, weight) for path in chosen]


@dataclass
class Matching:
    """The teacher to which the matching network gives the largest weight teaches, with that.

    Attributes:
        supernet: Whose paths.
        compute: Where, and in which precision.
        processes: Who else trains the same.
        settings: How it learns.
        held_out: Images of the matching network, by input size.
        network: The matching network.
        optimizer: Its optimizer.
        seed: Of the order of its images.
    """

    supernet: Supernet
    compute: Compute
    processes: Processes
    settings: MatchingSettings
    held_out: Mapping[int, Batch]
    network: MatchingNetwork
    optimizer: torch.optim.Optimizer
    seed: int

    @classmethod
    def of(
        cls,
        supernet: Supernet,
        data: Mapping[int, ImageData],
        settings: MatchingSettings,
        *,
        compute: Compute,
        processes: Processes,
        seed: int,
    ) -> Matching:
        """A matching network that has not learned yet.

        Args:
            supernet: Whose paths.
            data: The images by input size.
            settings: How it learns.
            compute: Where, and in which precision.
            processes: Who else trains the same.
            seed: Of the order of its images.
        """
        held_out = {}
        for resolution, of_size in data.items():
            images, labels = of_size.labelled_sample("matching-validation", settings.images)
            held_out[resolution] = (images.to(compute.device), labels.to(compute.device))
        network = MatchingNetwork(settings.probes, supernet.num_classes).to(compute.device)
        optimizer = torch.optim.Adam(network.parameters(), lr=settings.learning_rate)
        return cls(supernet, compute, processes, settings, held_out, network, optimizer, seed)

    def choose(self, students: Sequence[Architecture], board: Board) -> list[TeacherPath | None]:
        """A teacher for each student, None where the board has no other path.

        The outputs of all students and teachers for the probes are computed in one pass that
        shares their leading blocks, and all weights in one more.

        Args:
            students: At the board's input size.
            board: Holds at least one path.
        """
        candidates = [entry.architecture for entry in board.entries]
        paths = list(dict.fromkeys([*students, *candidates]))
        outputs = dict(zip(paths, self._outputs(paths), strict=True))
        taught = torch.stack([outputs[path] for path in students])
        teaching = torch.stack([outputs[path] for path in candidates])
        differences = taught[:, None] - teaching[None]
        with torch.no_grad():
            weights = self.processes.from_first(self.network(differences))
        # The only place where the device is waited for.
        on_cpu = weights.cpu()
        chosen: list[TeacherPath | None] = []
        for row, student in enumerate(students):
            others = [i for i, path in enumerate(candidates) if path != student]
            best = max(others, key=lambda i: float(on_cpu[row, i]), default=None)
            chosen.append(
                None
                if best is None
                else TeacherPath(candidates[best], weights[row, best], differences[row, best])
            )
        return chosen

    def is_due(self, at: int) -> bool:
        """Whether the network learns in step `at`."""
        return (at + 1) % self.settings.every == 0

    def learn(
        self,
        student: Architecture,
        teacher: TeacherPath,
        on_labels: Tensor,
        on_teacher: Tensor,
        *,
        at: int,
        learning_rate: float,
    ) -> None:
        """Lets the network learn from one step ahead, and leaves that step's gradients.

        Args:
            student: The path of the step.
            teacher: Its teacher, chosen by this network.
            on_labels: CE of the student, with its graph.
            on_teacher: KD of the student, with its graph.
            at: Number of the step.
            learning_rate: Of the student's step.
        """
        if teacher.difference is None:
            raise AssertionError("a teacher that was matched has a difference")
        parameters = [p for module in self.supernet.path(student) for p in module.parameters()]
        labels = self.compute.gradients(on_labels, parameters, keep=True)
        taught = self.compute.gradients(on_teacher, parameters, keep=False)
        for gradients in (labels, taught):
            self.processes.average(gradients)
        weight = teacher.weight
        both = [0.5 * (weight * t + (2 - weight) * g) for t, g in zip(taught, labels, strict=True)]
        with _moved(parameters, both, -learning_rate):
            validation = self.compute.gradients(
                self._validation_loss(student, at), parameters, keep=False
            )
        slope = look_ahead_gradient(labels, taught, validation, learning_rate)
        self.optimizer.zero_grad()
        self.network(teacher.difference).backward(slope)
        self.processes.average([p.grad for p in self.network.parameters() if p.grad is not None])
        self.optimizer.step()
        scale = self.compute.scaler.get_scale()
        for parameter, gradient in zip(parameters, both, strict=True):
            parameter.grad = gradient * scale

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

    def _outputs(self, paths: Sequence[Architecture]) -> list[Tensor]:
        """Softmax outputs for the probes, each of shape (probes, classes)."""
        images = self.held_out[paths[0].resolution][0][: self.settings.probes]
        with torch.no_grad(), self.compute.forward():
            return [F.softmax(y.float(), dim=1) for y in self.supernet.forward_all(images, paths)]

    def _validation_loss(self, student: Architecture, at: int) -> Tensor:
        images, labels = self.held_out[student.resolution]
        drawn = torch.randperm(len(labels), generator=generator_for(self.seed, "matching", at))
        chosen = drawn[:_VALIDATION_BATCH].to(labels.device)
        with self.compute.forward():
            logits = self.supernet(images[chosen], student)
            return label_loss(logits, labels[chosen], 0.0)


@contextmanager
def _moved(
    parameters: Sequence[nn.Parameter], directions: Sequence[Tensor], length: float
) -> Iterator[None]:
    """Within it parameters are moved; afterwards they are what they were, to the bit."""
    kept = [parameter.detach().clone() for parameter in parameters]
    with torch.no_grad():
        torch._foreach_add_(list(parameters), list(directions), alpha=length)
    try:
        yield
    finally:
        with torch.no_grad():
            torch._foreach_copy_(list(parameters), kept)
