"""A round of prioritized paths that teach: who learns what from whom."""

from dataclasses import replace

import pytest
import torch

from pipeline.images.epoch import Epoch
from pipeline.images.image_data import ImageData
from pipeline.network.supernet import Supernet
from pipeline.space.cost import architecture_cost
from pipeline.training.compute import compute_here
from pipeline.training.distillation import distillation_loss, label_loss
from pipeline.training.hypernetwork.board import Board, BoardEntry
from pipeline.training.hypernetwork.cream import Cream
from pipeline.training.hypernetwork.hypernetwork import keep_statistics
from pipeline.training.hypernetwork.path_sampling import PathLimits, PathSampler
from pipeline.training.hypernetwork.paths import Paths
from pipeline.training.hypernetwork.teacher_paths import Matching
from pipeline.training.learner import TrainingStep
from pipeline.training.processes import Processes
from pipeline.training.settings import MatchingSettings, TeachingSettings
from tests.training.tiny import NARROW

BATCH = 16
SETTINGS = TeachingSettings(
    board_size=3, matching=MatchingSettings(images=40, probes=4, every=2, learning_rate=0.01)
)


def a_cream(digits: ImageData, *, matching: bool = True, limits: PathLimits | None = None) -> Cream:
    supernet = Supernet(NARROW, 10, seed=0).train()
    compute = compute_here()
    paths = Paths(PathSampler(NARROW, 10, 0, limits or PathLimits()), (32,))
    chooser = Matching.of(
        supernet,
        {32: digits},
        SETTINGS.matching or MatchingSettings(),
        compute=compute,
        processes=Processes(),
        seed=0,
    )
    return Cream(
        supernet,
        paths,
        compute,
        0.1,
        settings=SETTINGS,
        matching=chooser if matching else None,
        processes=Processes(),
        starts_at=0,
    )


def a_round(cream: Cream, data: ImageData, first: int, steps: int = 4) -> list[float]:
    losses = []
    cream.begin_round(first, steps)
    batches = data.train_batches(Epoch(BATCH, seed=0, number=0, start=first))
    for at, (images, labels) in zip(range(first, first + steps), batches, strict=False):
        cream.supernet.zero_grad(set_to_none=True)
        losses.append(float(cream.gradients(images, labels, TrainingStep(at, 0.01))))
    cream.end_round()
    return losses


def on_the_board(cream: Cream, *percents: int) -> list[BoardEntry]:
    """Paths that none of the first steps takes, as accurate on four batches."""
    entries = []
    for number, percent in enumerate(percents):
        path = cream.paths.sampler.draw(32, "teacher", number)
        macs = architecture_cost(path).macs
        entries.append(
            BoardEntry(
                architecture=path,
                correct=percent / 100 * 4 * BATCH,
                images=4 * BATCH,
                macs=macs,
                latency_ms=None,
                scored_at=-1,
            )
        )
    cream.boards[32].entries = sorted(entries, key=lambda e: -e.accuracy)
    return cream.boards[32].entries


def test_the_first_round_learns_from_labels_and_fills_the_board(matched_digits: ImageData):
    cream = a_cream(matched_digits)
    images, labels = next(iter(matched_digits.train_batches(Epoch(BATCH, seed=0, number=0))))
    student = cream.paths.path_at(0)
    with torch.no_grad(), cream.compute.forward():
        expected = float(label_loss(cream.supernet(images, student), labels, 0.1))
    losses = a_round(cream, matched_digits, 0)
    assert losses[0] == pytest.approx(expected, rel=1e-5)
    entries = cream.boards[32].entries
    assert len(entries) == 3
    assert {e.architecture for e in entries} <= {cream.paths.path_at(at) for at in range(4)}
    assert entries[0].macs == architecture_cost(entries[0].architecture).macs
    assert entries[0].images == BATCH


def test_only_the_student_gets_gradients(matched_digits: ImageData):
    cream = a_cream(matched_digits)
    teacher = on_the_board(cream, 100)[0].architecture
    student = cream.paths.path_at(0)
    assert student != teacher
    cream.begin_round(0, 1)
    cream.gradients(
        *next(iter(matched_digits.train_batches(Epoch(BATCH, seed=0, number=0)))),
        TrainingStep(0, 0.01),
    )
    trained = {id(p) for module in cream.supernet.path(student) for p in module.parameters()}
    with_gradient = {id(p) for p in cream.supernet.parameters() if p.grad is not None}
    assert with_gradient == trained


def test_the_loss_is_the_papers(matched_digits: ImageData):
    cream = a_cream(matched_digits)
    teacher = on_the_board(cream, 100, 90)[0].architecture
    student = cream.paths.path_at(0)
    images, labels = next(iter(matched_digits.train_batches(Epoch(BATCH, seed=0, number=0))))
    with torch.no_grad(), cream.compute.forward():
        logits = cream.supernet(images, student)
        kd = distillation_loss(logits, cream.supernet(images, teacher), SETTINGS.temperature)
        expected = 0.5 * (0.5 * kd + 1.5 * label_loss(logits, labels, 0.1))
    cream.begin_round(0, 1)
    assert float(cream.gradients(images, labels, TrainingStep(0, 0.01))) == pytest.approx(
        float(expected), rel=1e-5
    )


def test_without_a_matching_network_the_most_accurate_teaches(matched_digits: ImageData):
    cream = a_cream(matched_digits, matching=False)
    entries = on_the_board(cream, 80, 100, 90)
    cream.begin_round(0, 3)
    chosen = cream._teacher_at
    assert {t.architecture for t in chosen.values()} == {entries[0].architecture}
    assert all(float(teacher.weight) == 0.5 for teacher in chosen.values())


def test_nobody_is_his_own_teacher(matched_digits: ImageData):
    cream = a_cream(matched_digits)
    entry = on_the_board(cream, 100)[0].model_copy(update={"architecture": cream.paths.path_at(1)})
    cream.boards[32].entries = [entry]
    cream.begin_round(0, 3)
    assert set(cream._teacher_at) == {0, 2}
    assert isinstance(cream.matching, Matching)
    assert cream.matching.choose([entry.architecture], Board(3, [entry])) == [None]


def test_a_look_ahead_leaves_the_weights_and_the_steps_gradients(matched_digits: ImageData):
    """The network learns in step 1; what the student learns there is what it would learn anyway."""
    batch = next(iter(matched_digits.train_batches(Epoch(BATCH, seed=0, number=0))))

    def gradients(*, learns: bool) -> tuple[Cream, list[torch.Tensor]]:
        cream = a_cream(matched_digits)
        on_the_board(cream, 100, 90)
        assert cream.matching is not None
        if not learns:
            cream.matching = replace(
                cream.matching, settings=MatchingSettings(images=40, probes=4, every=99)
            )
        cream.begin_round(1, 1)
        before = [p.detach().clone() for p in cream.supernet.parameters()]
        cream.gradients(*batch, TrainingStep(1, 0.01))
        assert all(
            torch.equal(was, now)
            for was, now in zip(before, cream.supernet.parameters(), strict=True)
        )
        return cream, [p.grad for p in cream.supernet.parameters() if p.grad is not None]

    learning, found = gradients(learns=True)
    plain, expected = gradients(learns=False)
    scale = max(float(gradient.abs().max()) for gradient in expected)
    for its, other in zip(found, expected, strict=True):
        torch.testing.assert_close(its, other, rtol=1e-3, atol=1e-5 * scale)
    assert learning.matching is not None
    assert plain.matching is not None
    assert learning.matching.network.linear.weight.abs().max() > 0
    assert plain.matching.network.linear.weight.abs().max() == 0


def test_scores_are_taken_again_each_round(matched_digits: ImageData):
    cream = a_cream(matched_digits)
    on_the_board(cream, 100, 99, 98)  # nothing the untrained hypernetwork can keep up
    for first in (0, 4, 8):
        a_round(cream, matched_digits, first, steps=2)
    assert all(entry.accuracy < 0.9 for entry in cream.boards[32].entries)


def test_latency_is_on_the_board(matched_digits: ImageData):
    limits = PathLimits(predict_ms=lambda space, rows, classes: rows[:, 1:].sum(1) / 7.0)
    cream = a_cream(matched_digits, limits=limits)
    a_round(cream, matched_digits, 0)
    for entry in cream.boards[32].entries:
        codes = sum(
            NARROW.operators.index(name) + 1
            for stage in entry.architecture.stages
            for name in stage
        )
        assert entry.latency_ms == pytest.approx(codes / 7)


def test_state_goes_round(matched_digits: ImageData):
    cream, other = a_cream(matched_digits), a_cream(matched_digits)
    for first in (0, 4):
        a_round(cream, matched_digits, first)
    state = cream.state()
    other.load(state)
    assert other.boards == cream.boards
    assert other.boards[32].entries
    again = other.state()
    assert again.values == state.values
    assert again.tensors.keys() == state.tensors.keys()
    assert any(name.startswith("adam/") for name in state.tensors)
    assert all(torch.equal(again.tensors[name], state.tensors[name]) for name in state.tensors)


def test_each_input_size_has_its_own_board(matched_digits: ImageData):
    cream = a_cream(matched_digits)
    cream.paths = Paths(cream.paths.sampler, (32, 64))
    cream.boards = {32: Board(3), 64: Board(3)}
    assert cream.matching is not None
    cream.matching = Matching.of(
        cream.supernet,
        {32: matched_digits, 64: matched_digits.at(64)},
        cream.matching.settings,
        compute=cream.compute,
        processes=Processes(),
        seed=0,
    )
    cream.begin_round(0, 6)
    batches = matched_digits.train_batches(
        Epoch(BATCH, seed=0, number=0, resolution_at=cream.paths.resolution_at)
    )
    for at, (images, labels) in zip(range(6), batches, strict=False):
        assert images.shape[-1] == cream.paths.resolution_at(at)
        cream.gradients(images, labels, TrainingStep(at, 0.01))
    cream.end_round()
    for resolution, board in cream.boards.items():
        assert board.entries
        assert {e.architecture.resolution for e in board.entries} == {resolution}
    cream.begin_round(6, 6)
    for at, teacher in cream._teacher_at.items():
        assert teacher.architecture.resolution == cream.paths.resolution_at(at)


def test_batch_norm_statistics_of_other_paths_are_not_touched_by_teaching(
    matched_digits: ImageData,
):
    cream = a_cream(matched_digits)
    keep_statistics(cream.supernet, keep=False)
    on_the_board(cream, 100)
    before = {name: b.clone() for name, b in cream.supernet.named_buffers()}
    a_round(cream, matched_digits, 0)
    assert all(torch.equal(b, before[name]) for name, b in cream.supernet.named_buffers())
