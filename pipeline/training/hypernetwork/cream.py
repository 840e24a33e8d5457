"""Prioritized paths teach the others while the hypernetwork is trained.

The method of *Cream of the Crop* (NeurIPS 2020, section 3): a board holds the best paths found so
far, each step's random path learns from the labels and from one of them, and a matching network
says from which, and how much.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from pipeline.space.architecture import Architecture
from pipeline.space.cost import macs_batch
from pipeline.space.encoding import encode
from pipeline.training.distillation import distillation_loss, label_loss, taught_loss
from pipeline.training.hypernetwork.board import Board, BoardEntry
from pipeline.training.hypernetwork.single_path import SinglePath
from pipeline.training.hypernetwork.teacher_paths import Matching, TeacherPath, most_accurate
from pipeline.training.learner import SavedState, TrainingStep
from pipeline.training.processes import Processes
from pipeline.training.settings import TeachingSettings


@dataclass
class _Seen:
    """A path's hits on the batch of a step.

    Attributes:
        hits: Images classified correctly, a scalar on the device.
    """

    at: int
    path: Architecture
    hits: Tensor
    images: int
    is_student: bool


@dataclass
class Cream(SinglePath):
    """Trains the random path of each step with a teacher; see `SinglePath`.

    Attributes:
        settings: How paths teach each other.
        matching: Chooses who teaches; None: the most accurate of the board does.
        processes: Who else trains the same.
        starts_at: TrainingStep from which paths enter the board.
        boards: One for each input size: accuracies at different sizes are no competition.
    """

    settings: TeachingSettings
    matching: Matching | None
    processes: Processes
    starts_at: int
    boards: dict[int, Board] = field(init=False)
    _teacher_at: dict[int, TeacherPath] = field(default_factory=dict, init=False)
    _score_again: dict[int, Architecture] = field(default_factory=dict, init=False)
    _seen: list[_Seen] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        """Starts with empty boards."""
        self.boards = {size: Board(self.settings.board_size) for size in self.paths.resolutions}

    def begin_round(self, at: int, steps: int) -> None:
        """Chooses the round's teachers."""
        self._teacher_at, self._score_again, self._seen = {}, {}, []
        for resolution, board in self.boards.items():
            its_steps = [
                i for i in range(at, at + steps) if self.paths.resolution_at(i) == resolution
            ]
            if board.entries and its_steps:
                students = [self.paths.path_at(i) for i in its_steps]
                chosen = self._choose(students, board)
                self._teacher_at |= {i: t for i, t in zip(its_steps, chosen, strict=True) if t}
                self._score_again[its_steps[0]] = board.stalest()

    def end_round(self) -> Mapping[str, float]:
        """Updates the boards with what the round's paths were worth."""
        if self._seen:
            hits = self.processes.total(torch.stack([seen.hits for seen in self._seen])).tolist()
            self._update_boards(hits)
        entries = [entry for board in self.boards.values() for entry in board.entries]
        if not entries:
            return {}
        figures = {
            "board_entries": float(len(entries)),
            "board_accuracy_percent": 100 * max(entry.accuracy for entry in entries),
            "board_last_accuracy_percent": 100 * min(entry.accuracy for entry in entries),
        }
        if self._teacher_at:
            weights = torch.stack([teacher.weight for teacher in self._teacher_at.values()])
            figures["teacher_weight"] = float(weights.mean())
            figures["teachers"] = float(len({t.architecture for t in self._teacher_at.values()}))
        return figures

    def state(self) -> SavedState:
        """The boards, and what chooses from them."""
        boards = {
            str(resolution): [entry.model_dump(mode="json") for entry in board.entries]
            for resolution, board in self.boards.items()
        }
        return SavedState(self.matching.tensors() if self.matching else {}, {"boards": boards})

    def load(self, state: SavedState) -> None:
        """Goes on from a state."""
        for resolution, entries in state.values["boards"].items():
            board = self.boards[int(resolution)]
            board.entries = [BoardEntry.model_validate(entry) for entry in entries]
        if self.matching:
            self.matching.load(state.tensors)

    def _learn(self, images: Tensor, labels: Tensor, step: TrainingStep) -> Tensor:
        student, teacher = self.paths.path_at(step.at), self._teacher_at.get(step.at)
        if again := self._score_again.get(step.at):
            self._see(step.at, again, self._without_gradients(images, again), labels)
        teaching = self._without_gradients(images, teacher.architecture) if teacher else None
        with self.compute.forward():
            logits = self.supernet(images, student)
            on_labels = label_loss(logits, labels, self.label_smoothing)
            if teacher is None or teaching is None:
                loss = on_labels
            else:
                on_teacher = distillation_loss(logits, teaching, self.settings.temperature)
                loss = taught_loss(on_labels, on_teacher, teacher.weight)
                self._see(step.at, teacher.architecture, teaching, labels)
        if step.at >= self.starts_at:
            self._see(step.at, student, logits, labels, is_student=True)
        if teacher and self.matching and self.matching.is_due(step.at):
            self.matching.learn(
                student,
                teacher,
                on_labels,
                on_teacher,
                at=step.at,
                learning_rate=step.learning_rate,
            )
        else:
            self.compute.backward(loss)
        return loss.detach()

    def _choose(self, students: Sequence[Architecture], board: Board) -> list[TeacherPath | None]:
        if self.matching:
            return self.matching.choose(students, board)
        return most_accurate(students, board, self.compute.device)

    def _without_gradients(self, images: Tensor, path: Architecture) -> Tensor:
        with torch.no_grad(), self.compute.forward():
            return self.supernet(images, path)

    def _see(
        self,
        at: int,
        path: Architecture,
        logits: Tensor,
        labels: Tensor,
        *,
        is_student: bool = False,
    ) -> None:
        hits = (logits.detach().argmax(1) == labels).sum()
        images = len(labels) * self.processes.count
        self._seen.append(_Seen(at, path, hits, images, is_student))

    def _update_boards(self, hits: Sequence[int]) -> None:
        candidates = self._candidates()
        for seen, correct in zip(self._seen, hits, strict=True):
            board = self.boards[seen.path.resolution]
            if not seen.is_student:
                board.score(seen.path, correct, seen.images, seen.at)
                continue
            macs, latency_ms = candidates[seen.path]
            board.offer(
                BoardEntry(
                    architecture=seen.path,
                    correct=correct,
                    images=seen.images,
                    macs=macs,
                    latency_ms=latency_ms,
                    scored_at=seen.at,
                )
            )

    def _candidates(self) -> dict[Architecture, tuple[int, float | None]]:
        """MACs and predicted latency of the students seen."""
        students = list(dict.fromkeys(seen.path for seen in self._seen if seen.is_student))
        if not students:
            return {}
        space, classes = self.supernet.space, self.supernet.num_classes
        rows = encode(space, students)
        macs = [round(value) for value in macs_batch(space, rows, classes)]
        predict = self.paths.sampler.limits.predict_ms
        latencies: Sequence[float | None] = (
            [None] * len(students) if predict is None else predict(space, rows, classes).tolist()
        )
        return dict(zip(students, zip(macs, latencies, strict=True), strict=True))
