"""Prioritized paths teach the others while the hypernetwork is trained.

The method of *Cream of the Crop* (NeurIPS 2020, section 3): a board holds the best paths found so
far, each step's random path learns from the labels and from one of them, and a matching network
says from which, and how much.

A path is found in two looks. In its own step it is compared with its teacher, on the batch that
both see anyway. Every 40 steps those that did best by this are scored, together with all of the
board, on images held out of training, where a path gains nothing by having learned images by heart:
one pass over 128 of them, which paths share as far as they begin alike.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import functional as F

from pipeline.space.architecture import Architecture
from pipeline.space.cost import macs_batch
from pipeline.space.encoding import encode
from pipeline.training.distillation import distillation_loss, label_loss, taught_loss
from pipeline.training.hypernetwork.board import Board, BoardEntry
from pipeline.training.hypernetwork.held_out import HeldOut
from pipeline.training.hypernetwork.matching import Matching, answer_profile
from pipeline.training.hypernetwork.single_path import SinglePath
from pipeline.training.learner import SavedState, TrainingStep
from pipeline.training.processes import Processes
from pipeline.training.settings import TeachingSettings

# Without a matching network a teacher counts half, as much as all do before it has learned.
_HALF = 0.5
# So that a board renewed every 40 steps costs a tenth of them; a short run renews it ten times.
_MOST_STEPS, _LEAST_RENEWALS = 40, 10
# Paths that are scored with a full board each time.
_CANDIDATES = 6


@dataclass(frozen=True)
class _Lesson:
    """What a student learned from.

    Attributes:
        teacher: The path.
        weight: ρ, a scalar on the device.
    """

    teacher: Architecture
    weight: Tensor


@dataclass
class Cream(SinglePath):
    """Trains the random path of each step with a teacher; see `SinglePath`.

    Attributes:
        settings: How paths teach each other.
        held_out: Images that paths are compared on.
        matching: Says who teaches, and how much; None: the best of the board does, with half the
            weight.
        processes: Who else trains the same.
        starts_at: Step from which paths may enter the board.
        steps: Of the whole training.
        boards: One for each input size: accuracies at different sizes are no competition.
    """

    settings: TeachingSettings
    held_out: HeldOut
    matching: Matching | None
    processes: Processes
    starts_at: int
    steps: int
    boards: dict[int, Board] = field(init=False)
    # How much worse than its teacher each student since the last renewal was, by input size.
    _behind: dict[int, list[tuple[Architecture, float]]] = field(init=False)
    _seen: list[tuple[Architecture, Tensor]] = field(default_factory=list, init=False)
    _lessons: list[_Lesson] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        """Starts with empty boards."""
        sizes = self.paths.resolutions
        self.boards = {size: Board(self.settings.board_size) for size in sizes}
        self._behind = {size: [] for size in sizes}

    def end_round(self) -> Mapping[str, float]:
        """Renews the boards that are due."""
        self._note_seen()
        for resolution, behind in self._behind.items():
            if len(behind) >= self._steps_between_renewals:
                self._renew(self.boards[resolution], behind)
                behind.clear()
        figures = {}
        if entries := [entry for board in self.boards.values() for entry in board.entries]:
            figures = {
                "board_entries": float(len(entries)),
                "board_accuracy_percent": 100 * max(entry.accuracy for entry in entries),
                "board_last_accuracy_percent": 100 * min(entry.accuracy for entry in entries),
            }
        if self._lessons:
            weights = torch.stack([lesson.weight for lesson in self._lessons]).tolist()
            figures["teacher_weight"] = statistics.fmean(weights)
            figures["teachers"] = float(len({lesson.teacher for lesson in self._lessons}))
        self._lessons.clear()
        return figures

    def state(self) -> SavedState:
        """The boards, who asks to enter them, and what chooses from them."""
        boards = {
            str(resolution): [entry.model_dump(mode="json") for entry in board.entries]
            for resolution, board in self.boards.items()
        }
        behind = {
            str(resolution): [[path.model_dump(mode="json"), loss] for path, loss in of_size]
            for resolution, of_size in self._behind.items()
        }
        tensors = self.matching.tensors() if self.matching else {}
        return SavedState(tensors, {"boards": boards, "behind": behind})

    def load(self, state: SavedState) -> None:
        """Goes on from a state."""
        for resolution, board in self.boards.items():
            entries = state.values["boards"][str(resolution)]
            board.entries = [BoardEntry.model_validate(entry) for entry in entries]
            self._behind[resolution] = [
                (Architecture.model_validate(path), loss)
                for path, loss in state.values["behind"][str(resolution)]
            ]
        if self.matching:
            self.matching.load(state.tensors)

    def _learn(self, images: Tensor, labels: Tensor, step: TrainingStep) -> Tensor:
        student = self.paths.path_at(step.at)
        teacher = self.boards[student.resolution].teacher_of(student)
        teaching = None if teacher is None else self._without_gradients(images, teacher)
        with self.compute.forward():
            logits = self.supernet(images, student)
            on_labels = label_loss(logits, labels, self.label_smoothing)
        if step.at >= self.starts_at:
            self._see(student, logits.detach(), teaching, labels)
        if teacher is None or teaching is None:
            self.compute.backward(on_labels)
            return on_labels.detach()
        difference = answer_profile(logits.detach(), labels) - answer_profile(teaching, labels)
        self.processes.average([difference])
        weight = self._weight(difference)
        self._lessons.append(_Lesson(teacher, weight))
        with self.compute.forward():
            on_teacher = distillation_loss(logits, teaching, self.settings.temperature)
            loss = taught_loss(on_labels, on_teacher, weight)
        if self.matching and self.matching.is_due(step.at):
            self.matching.learn(
                student, difference, on_labels, on_teacher, at=step.at, optimizer=step.optimizer
            )
        else:
            self.compute.backward(loss)
        return loss.detach()

    @property
    def _steps_between_renewals(self) -> int:
        """Of one input size; its share of all steps."""
        steps = (self.steps - self.starts_at) // len(self.boards)
        return min(_MOST_STEPS, max(1, steps // _LEAST_RENEWALS))

    def _weight(self, difference: Tensor) -> Tensor:
        if self.matching:
            return self.matching.weight(difference)
        return torch.tensor(_HALF, device=difference.device)

    def _without_gradients(self, images: Tensor, path: Architecture) -> Tensor:
        with torch.no_grad(), self.compute.forward():
            return self.supernet(images, path)

    def _see(
        self, student: Architecture, logits: Tensor, teaching: Tensor | None, labels: Tensor
    ) -> None:
        behind = label_loss(logits.float(), labels, 0.0)
        if teaching is not None:
            behind = behind - label_loss(teaching.float(), labels, 0.0)
        self._seen.append((student, behind))

    def _note_seen(self) -> None:
        """Reads back how the round's students did, all at once."""
        if self._seen:
            behind = torch.stack([behind for _, behind in self._seen])
            self.processes.average([behind])
            for (student, _), loss in zip(self._seen, behind.tolist(), strict=True):
                self._behind[student.resolution].append((student, loss))
        self._seen.clear()

    def _renew(self, board: Board, behind: Sequence[tuple[Architecture, float]]) -> None:
        here = [entry.architecture for entry in board.entries]
        in_order = sorted(behind, key=lambda seen: (seen[1], seen[0].short))
        others = dict.fromkeys(path for path, _ in in_order if path not in here)
        # As many paths each time: a board that is not full leaves more room to those who ask.
        asking = list(others)[: board.size + _CANDIDATES - len(here)]
        board.renew(self._scored([*here, *asking]))

    def _scored(self, paths: Sequence[Architecture]) -> list[BoardEntry]:
        """Paths of one input size on the images that all are compared on."""
        images, labels = self.held_out.shared(paths[0].resolution)
        with torch.no_grad(), self.compute.forward():
            logits = torch.stack(self.supernet.forward_all(images, paths)).float()
        losses = F.cross_entropy(
            logits.flatten(0, 1), labels.repeat(len(paths)), reduction="none"
        ).view(len(paths), -1)
        correct = (logits.argmax(-1) == labels).sum(-1)
        worth = torch.zeros_like(losses[:, 0])
        if self.matching:
            worth = self.matching.worth(answer_profile(logits, labels))
        found = torch.cat([losses, correct[:, None], worth[:, None]], 1)
        rows = self.processes.from_first(found).tolist()
        return [
            BoardEntry(
                architecture=path,
                macs=macs,
                latency_ms=latency_ms,
                log_losses=tuple(row[:-2]),
                correct=round(row[-2]),
                worth=row[-1],
            )
            for path, row, (macs, latency_ms) in zip(paths, rows, self._costs(paths), strict=True)
        ]

    def _costs(self, paths: Sequence[Architecture]) -> list[tuple[int, float | None]]:
        """MACs and predicted latency of each."""
        space, classes = self.supernet.space, self.supernet.num_classes
        rows = encode(space, paths)
        macs = [round(value) for value in macs_batch(space, rows, classes)]
        predict = self.paths.sampler.limits.predict_ms
        latencies: Sequence[float | None] = (
            [None] * len(paths) if predict is None else predict(space, rows, classes).tolist()
        )
        return list(zip(macs, latencies, strict=True))
