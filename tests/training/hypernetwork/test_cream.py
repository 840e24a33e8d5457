"""Prioritized paths that teach: who learns what from whom, and who gets on the board."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager

import pytest
import torch
from torch import Tensor, nn

from pipeline.images.epoch import Epoch
from pipeline.images.image_data import Batch, ImageData
from pipeline.network.supernet import Supernet
from pipeline.space.architecture import Architecture
from pipeline.space.cost import architecture_cost
from pipeline.training.compute import compute_here
from pipeline.training.distillation import distillation_loss, label_loss
from pipeline.training.hypernetwork import matching
from pipeline.training.hypernetwork.board import Board, BoardEntry
from pipeline.training.hypernetwork.cream import Cream
from pipeline.training.hypernetwork.held_out import HeldOut
from pipeline.training.hypernetwork.hypernetwork import keep_statistics
from pipeline.training.hypernetwork.matching import Matching, answer_profile
from pipeline.training.hypernetwork.path_sampling import PathLimits, PathSampler
from pipeline.training.hypernetwork.paths import Paths
from pipeline.training.learner import TrainingStep
from pipeline.training.optimizing import make_optimizer
from pipeline.training.processes import Processes
from pipeline.training.settings import SHARED_IMAGES, TeachingSettings
from tests.training.tiny import NARROW

BATCH = 16
SETTINGS = TeachingSettings(board_size=3, temperature=2.0)
# A board is renewed every second step, and the matching network learns in it.
STEPS = 20


def a_cream(
    digits: ImageData,
    *,
    is_matched: bool = True,
    limits: PathLimits | None = None,
    sizes: tuple[int, ...] = (32,),
    steps: int = STEPS,
) -> Cream:
    supernet = Supernet(NARROW, 10, seed=0).train()
    compute = compute_here()
    paths = Paths(PathSampler(NARROW, 10, 0, limits or PathLimits()), sizes)
    held_out = HeldOut.of({size: digits.at(size) for size in sizes}, 140, compute.device)
    chooser = Matching.of(
        supernet, held_out, compute=compute, processes=Processes(), steps=steps, seed=0
    )
    chooser.every = 2
    return Cream(
        supernet,
        paths,
        compute,
        0.1,
        settings=SETTINGS,
        held_out=held_out,
        matching=chooser if is_matched else None,
        processes=Processes(),
        starts_at=0,
        steps=steps,
    )


def an_optimizer(cream: Cream) -> torch.optim.Optimizer:
    return make_optimizer(cream.supernet, "adamw", learning_rate=0.01, weight_decay=0.05)


def a_batch(data: ImageData, images: int = BATCH) -> Batch:
    return next(iter(data.train_batches(Epoch(images, seed=0, number=0))))


def a_round(cream: Cream, data: ImageData, first: int, steps: int = 4) -> list[float]:
    """A round of steps whose gradients come to nothing."""
    losses, optimizer = [], an_optimizer(cream)
    at_size = cream.paths.resolution_at
    batches = data.train_batches(Epoch(BATCH, seed=0, number=0, start=first, resolution_at=at_size))
    for at, (images, labels) in zip(range(first, first + steps), batches, strict=False):
        cream.supernet.zero_grad(set_to_none=True)
        losses.append(float(cream.gradients(images, labels, TrainingStep(at, optimizer))))
    cream.end_round()
    return losses


def on_the_board(cream: Cream, *log_losses: float) -> list[BoardEntry]:
    """Paths that none of the first steps takes, as good as is said."""
    board = cream.boards[32]
    for number, log_loss in enumerate(log_losses):
        path = cream.paths.sampler.draw(32, "teacher", number)
        board.entries.append(
            BoardEntry(
                architecture=path,
                macs=architecture_cost(path).macs,
                latency_ms=None,
                log_losses=(log_loss,) * SHARED_IMAGES,
                correct=9,
            )
        )
    return board.entries


def logits_of(cream: Cream, images: Tensor, path: Architecture) -> Tensor:
    with torch.no_grad(), cream.compute.forward():
        return cream.supernet(images, path)


def test_at_first_paths_learn_from_labels_and_fill_the_board(matched_digits: ImageData):
    cream = a_cream(matched_digits)
    images, labels = a_batch(matched_digits)
    logits = logits_of(cream, images, cream.paths.path_at(0))
    losses = a_round(cream, matched_digits, 0)
    assert losses[0] == pytest.approx(float(label_loss(logits, labels, 0.1)), rel=1e-5)
    entries = cream.boards[32].entries
    assert len(entries) == 3
    assert {e.architecture for e in entries} <= {cream.paths.path_at(at) for at in range(4)}
    shared, its_labels = cream.held_out.shared(32)
    for entry in entries:
        logits = logits_of(cream, shared, entry.architecture)
        assert entry.log_loss == pytest.approx(float(label_loss(logits, its_labels, 0.0)), rel=1e-4)
        assert entry.correct == int((logits.argmax(1) == its_labels).sum())
        assert len(entry.log_losses) == 128
        assert entry.macs == architecture_cost(entry.architecture).macs


def test_only_the_student_gets_gradients(matched_digits: ImageData):
    cream = a_cream(matched_digits)
    teacher = on_the_board(cream, 1.0)[0].architecture
    student = cream.paths.path_at(0)
    assert student != teacher
    cream.gradients(*a_batch(matched_digits), TrainingStep(0, an_optimizer(cream)))
    trained = {id(p) for module in cream.supernet.path(student) for p in module.parameters()}
    with_gradient = {id(p) for p in cream.supernet.parameters() if p.grad is not None}
    assert with_gradient == trained


def test_the_loss_is_the_papers_with_the_weight_of_the_steps_own_outputs(
    matched_digits: ImageData,
):
    cream = a_cream(matched_digits)
    assert cream.matching is not None
    torch.manual_seed(0)
    nn.init.normal_(cream.matching.network.linear.weight, std=0.1)
    teacher = on_the_board(cream, 1.0, 2.0)[0].architecture
    images, labels = a_batch(matched_digits)
    logits, taught = (logits_of(cream, images, it) for it in (cream.paths.path_at(0), teacher))
    difference = answer_profile(logits, labels) - answer_profile(taught, labels)
    weight = float(cream.matching.weight(difference))
    assert abs(weight - 0.5) > 0.01
    kd = float(distillation_loss(logits, taught, 2.0))
    expected = 0.5 * (weight * kd + (2 - weight) * float(label_loss(logits, labels, 0.1)))
    loss = cream.gradients(images, labels, TrainingStep(0, an_optimizer(cream)))
    assert float(loss) == pytest.approx(expected, rel=1e-4)


@contextmanager
def images_normalised_over(supernet: Supernet) -> Iterator[list[int]]:
    """Of each batch that a batch norm is given within it."""
    seen: list[int] = []
    layers = [module for module in supernet.modules() if isinstance(module, nn.BatchNorm2d)]
    hooks = [
        layer.register_forward_pre_hook(lambda module, inputs: seen.append(len(inputs[0])))
        for layer in layers
    ]
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()


def test_nothing_is_told_by_batch_norm_over_fewer_than_128_images(matched_digits: ImageData):
    """Neither who teaches, nor with what weight, nor who is on the board, nor what is learned."""
    cream = a_cream(matched_digits)
    on_the_board(cream, 1.0, 2.0)
    optimizer, batch = an_optimizer(cream), a_batch(matched_digits, 128)
    with images_normalised_over(cream.supernet) as seen:
        for at in range(2):
            cream.gradients(*batch, TrainingStep(at, optimizer))
        cream.end_round()
    assert len(cream.boards[32].entries) == 3
    assert cream.matching is not None
    assert cream.matching.network.linear.weight.any()
    assert min(seen) >= 128


def test_without_a_matching_network_the_best_teaches(matched_digits: ImageData):
    cream = a_cream(matched_digits, is_matched=False)
    entries = on_the_board(cream, 0.9, 1.0)
    images, labels = a_batch(matched_digits)
    student = cream.paths.path_at(0)
    logits, taught = (logits_of(cream, images, it) for it in (student, entries[0].architecture))
    kd = float(distillation_loss(logits, taught, 2.0))
    expected = 0.5 * (0.5 * kd + 1.5 * float(label_loss(logits, labels, 0.1)))
    loss = cream.gradients(images, labels, TrainingStep(0, an_optimizer(cream)))
    assert float(loss) == pytest.approx(expected, rel=1e-4)
    cream.gradients(images, labels, TrainingStep(1, an_optimizer(cream)))
    assert len(cream.boards[32].entries) == 2
    cream.end_round()
    assert len(cream.boards[32].entries) == 3
    assert {entry.worth for entry in cream.boards[32].entries} == {0.0}


def test_nobody_is_his_own_teacher(matched_digits: ImageData):
    cream = a_cream(matched_digits)
    alone = on_the_board(cream, 1.0)[0].model_copy(update={"architecture": cream.paths.path_at(1)})
    cream.boards[32].entries = [alone]
    a_round(cream, matched_digits, 0, steps=1)
    images, labels = a_batch(matched_digits)
    expected = label_loss(logits_of(cream, images, alone.architecture), labels, 0.1)
    loss = cream.gradients(images, labels, TrainingStep(1, an_optimizer(cream)))
    assert float(loss) == pytest.approx(float(expected), rel=1e-4)


def a_step_that_learns(
    data: ImageData, every: int
) -> tuple[Cream, torch.optim.Optimizer, list[Tensor]]:
    """Gradients of step 3, after two real steps of another path that the student shares parts with.

    The matching network learns in it if `every` divides 4.
    """
    cream = a_cream(data)
    on_the_board(cream, 1.0, 2.0)
    assert cream.matching is not None
    cream.matching.every = every
    optimizer, parameters = an_optimizer(cream), list(cream.supernet.parameters())
    for at in (0, 1):
        optimizer.zero_grad(set_to_none=True)
        cream.gradients(*a_batch(data), TrainingStep(at, optimizer))
        cream.compute.step(optimizer, parameters)
    before = [p.detach().clone() for p in parameters]
    optimizer.zero_grad(set_to_none=True)
    cream.gradients(*a_batch(data), TrainingStep(3, optimizer))
    assert all(torch.equal(was, now) for was, now in zip(before, parameters, strict=True))
    return cream, optimizer, [p.grad for p in parameters if p.grad is not None]


def test_a_look_ahead_leaves_the_weights_and_the_steps_gradients(matched_digits: ImageData):
    """What the student learns in such a step is what it would learn anyway."""
    learning, _, found = a_step_that_learns(matched_digits, every=4)
    plain, _, expected = a_step_that_learns(matched_digits, every=99)
    scale = max(float(gradient.abs().max()) for gradient in expected)
    for its, other in zip(found, expected, strict=True):
        torch.testing.assert_close(its, other, rtol=1e-3, atol=1e-5 * scale)
    assert learning.matching is not None
    assert plain.matching is not None
    assert learning.matching.network.linear.weight.abs().max() > 0
    assert plain.matching.network.linear.weight.abs().max() == 0


def test_the_look_ahead_goes_where_the_step_then_leads(
    matched_digits: ImageData, monkeypatch: pytest.MonkeyPatch
):
    """With the optimizer's moments, with weight decay, and clipped."""
    looked: list[tuple[Sequence[nn.Parameter], Sequence[Tensor]]] = []
    placed = matching.placed

    def noted(
        parameters: Sequence[nn.Parameter], values: Sequence[Tensor]
    ) -> AbstractContextManager[None]:
        looked.append((parameters, values))
        return placed(parameters, values)

    monkeypatch.setattr(matching, "placed", noted)
    cream, optimizer, gradients = a_step_that_learns(matched_digits, every=4)
    assert torch.cat([gradient.flatten() for gradient in gradients]).norm() > 5
    cream.compute.step(optimizer, list(cream.supernet.parameters()))
    ((parameters, values),) = looked
    assert len(parameters) == len(gradients)
    for parameter, value in zip(parameters, values, strict=True):
        torch.testing.assert_close(value, parameter.detach(), rtol=1e-5, atol=1e-7)


def test_a_short_run_moves_the_weights_of_teachers(matched_digits: ImageData):
    """A step of 1e-4 would leave them at a half."""
    cream = a_cream(matched_digits)
    on_the_board(cream, 1.0, 2.0)
    a_round(cream, matched_digits, 0, steps=2)
    assert cream.matching is not None
    assert cream.matching.network.linear.weight.abs().max() > 0.001


def asked(cream: Cream, monkeypatch: pytest.MonkeyPatch) -> list[Architecture]:
    """Fills with the paths that are shown the shared images."""
    shown: list[Architecture] = []
    forward_all = cream.supernet.forward_all

    def noted(images: Tensor, paths: Sequence[Architecture]) -> list[Tensor]:
        shown.extend(paths)
        return forward_all(images, paths)

    monkeypatch.setattr(cream.supernet, "forward_all", noted)
    return shown


def test_those_that_were_best_beside_their_teachers_are_scored_with_the_board(
    matched_digits: ImageData, monkeypatch: pytest.MonkeyPatch
):
    cream = a_cream(matched_digits)
    shown = asked(cream, monkeypatch)
    entries = on_the_board(cream, 1.0, 2.0, 3.0)
    here = [entry.architecture for entry in entries]
    others = dict.fromkeys(cream.paths.sampler.draw(32, "other", i) for i in range(40))
    behind = [(path, float(-i)) for i, path in enumerate(others) if path not in here]
    assert len(behind) > 8
    cream._behind[32] = [*behind, (here[2], -99.0)]
    cream.end_round()
    assert shown == [*here, *(path for path, _ in behind[:-7:-1])]
    cream.end_round()
    assert len(shown) == 9


def test_students_are_compared_with_their_teachers_on_the_steps_batch(
    matched_digits: ImageData,
):
    cream = a_cream(matched_digits, steps=400)
    teacher = on_the_board(cream, 1.0)[0].architecture
    a_round(cream, matched_digits, 0, steps=3)
    batches = matched_digits.train_batches(Epoch(BATCH, seed=0, number=0))
    for at, (path, behind) in enumerate(cream._behind[32]):
        images, labels = next(batches)
        assert path == cream.paths.path_at(at) != teacher
        student, taught = (
            float(label_loss(logits_of(cream, images, it), labels, 0.0)) for it in (path, teacher)
        )
        assert behind == pytest.approx(student - taught, abs=1e-4)


def test_all_of_the_board_is_scored_again(matched_digits: ImageData):
    cream = a_cream(matched_digits)
    on_the_board(cream, 0.0, 0.0, 0.0)  # nothing the untrained hypernetwork can keep up
    a_round(cream, matched_digits, 0, steps=2)
    assert all(entry.log_loss > 1 for entry in cream.boards[32].entries)


@pytest.mark.parametrize(("steps", "between"), [(7, 1), (100, 10), (125_000, 40)])
def test_a_board_is_renewed_ten_times_in_a_short_run(
    steps: int, between: int, matched_digits: ImageData
):
    cream = a_cream(matched_digits, steps=steps, is_matched=False)
    path = cream.paths.path_at(0)
    cream._behind[32] = [(path, 0.0)] * (between - 1)
    cream.end_round()
    assert not cream.boards[32].entries
    cream._behind[32].append((path, 0.0))
    cream.end_round()
    assert [entry.architecture for entry in cream.boards[32].entries] == [path]
    assert not cream._behind[32]


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
    """With a board, and with students seen since it was renewed."""
    cream, other = a_cream(matched_digits), a_cream(matched_digits)
    for first, steps in ((0, 4), (4, 4), (8, 1)):
        a_round(cream, matched_digits, first, steps)
    state = cream.state()
    other.load(state)
    assert other.boards == cream.boards
    assert other.boards[32].entries
    assert other._behind == cream._behind
    assert len(other._behind[32]) == 1
    again = other.state()
    assert again.values == state.values
    assert again.tensors.keys() == state.tensors.keys()
    assert any(name.startswith("adam/") for name in state.tensors)
    assert all(torch.equal(again.tensors[name], state.tensors[name]) for name in state.tensors)


def test_each_input_size_has_its_own_board(matched_digits: ImageData):
    cream = a_cream(matched_digits, sizes=(32, 64))
    a_round(cream, matched_digits, 0, steps=6)
    for resolution, board in cream.boards.items():
        assert board.entries
        assert {e.architecture.resolution for e in board.entries} == {resolution}
    assert isinstance(cream.boards[32], Board)


def test_batch_norm_statistics_of_other_paths_are_not_touched_by_teaching(
    matched_digits: ImageData,
):
    cream = a_cream(matched_digits)
    keep_statistics(cream.supernet, keep=False)
    on_the_board(cream, 1.0)
    before = {name: b.clone() for name, b in cream.supernet.named_buffers()}
    a_round(cream, matched_digits, 0)
    assert all(torch.equal(b, before[name]) for name, b in cream.supernet.named_buffers())
