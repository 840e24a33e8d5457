"""The prioritized board: who enters, who leaves, and whose score is trusted."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.space.architecture import Architecture
from pipeline.training.hypernetwork.board import Board, BoardEntry

NAMES = ("mb4_3x3", "mb6_3x3", "mb4_5x5", "mb6_5x5", "mb4_7x7", "mb6_7x7")
IMAGES = 128
# Some images are hard for all paths: that makes most of the spread between images.
HARD = np.random.default_rng(0).exponential(1.5, IMAGES)


def path(number: int) -> Architecture:
    """A network for each number below 6⁵."""
    stages = tuple((NAMES[number // 6**stage % 6],) for stage in range(5))
    return Architecture(space="cream", resolution=32, num_classes=10, stages=stages)


def entry(number: int, log_loss: float, **changes: object) -> BoardEntry:
    """A path of this mean log-loss, which differs from others' by 0.2 an image besides."""
    own = 0.2 * np.random.default_rng(number + 1).standard_normal(IMAGES)
    losses = HARD - HARD.mean() + own - own.mean() + log_loss
    values = {"macs": 1000, "latency_ms": 1.0, "correct": 64, **changes}
    return BoardEntry(architecture=path(number), log_losses=tuple(losses), **values)  # type: ignore[arg-type]


def on(board: Board) -> list[Architecture]:
    return [it.architecture for it in board.entries]


def test_a_board_fills_up_the_best_first():
    board = Board(3)
    board.renew([entry(0, 1.2), entry(1, 0.8)])
    assert on(board) == [path(1), path(0)]
    board.renew([entry(0, 1.2), entry(1, 0.8), entry(2, 1.0)])
    assert on(board) == [path(1), path(2), path(0)]


def test_differences_are_told_image_by_image():
    """A tenth of a nat, with images that spread over fifteen times as much."""
    better, worse = entry(0, 1.0), entry(1, 1.1)
    unpaired = np.hypot(np.std(better.log_losses), np.std(worse.log_losses)) / np.sqrt(IMAGES)
    assert worse.log_loss - better.log_loss < unpaired
    assert better.is_clearly_better(worse)
    assert not worse.is_clearly_better(better)
    assert not better.is_clearly_better(better)


@pytest.mark.parametrize(
    ("log_loss", "changes", "enters"),
    [
        (0.9, {}, True),  # clearly better than 1.0
        (0.98, {}, False),  # better, by less than chance makes of 128 images
        (0.98, {"macs": 900}, True),  # better and fewer MACs
        (0.98, {"latency_ms": 0.9}, True),  # better and quicker
        (0.98, {"macs": 900, "latency_ms": 1.1}, False),  # fewer MACs, but slower
        (0.98, {"macs": 1100, "latency_ms": 0.9}, False),
        (0.98, {"macs": 900, "latency_ms": None}, True),  # no table: MACs alone
        (1.02, {"macs": 900, "latency_ms": 0.5}, False),  # cheaper and no better
        (0.9, {"macs": 2000, "latency_ms": 2.0}, True),  # clearly better, whatever it costs
        (0.98, {"correct": 128}, False),  # hits do not decide
    ],
)
def test_who_replaces_the_last_entry(log_loss: float, changes: dict[str, object], enters: bool):
    board = Board(2, [entry(0, 0.5), entry(1, 1.0)])
    board.renew([entry(0, 0.5), entry(1, 1.0), entry(2, log_loss, **changes)])
    assert on(board) == [path(0), path(2) if enters else path(1)]


def test_scores_follow_the_weights():
    """Each renewal counts alone: what a path once was keeps it neither up nor down."""
    board = Board(2, [entry(0, 0.1), entry(1, 0.9)])
    board.renew([entry(0, 1.4), entry(1, 0.8), entry(2, 1.0)])
    assert on(board) == [path(1), path(2)]


def test_of_several_that_ask_the_best_enter():
    board = Board(2, [entry(0, 2.0), entry(1, 2.1)])
    board.renew([entry(0, 2.0), entry(1, 2.1), entry(2, 1.8), entry(3, 1.0), entry(4, 1.4)])
    assert on(board) == [path(3), path(4)]


def test_who_teaches():
    board = Board(3)
    assert board.teacher_of(path(0)) is None
    board.renew([entry(number, 1 + number / 10) for number in range(3)])
    assert board.teacher_of(path(9)) == path(0)  # of equal worth, the best
    assert board.teacher_of(path(0)) == path(1)
    board.renew([entry(number, 1 + number / 10, worth=float(number)) for number in range(3)])
    assert board.teacher_of(path(9)) == path(2)
    assert board.teacher_of(path(2)) == path(1)
    assert Board(3, [entry(4, 1.0)]).teacher_of(path(4)) is None


@given(
    st.lists(
        st.lists(
            st.tuples(st.integers(0, 20), st.floats(0.1, 3), st.floats(0.1, 9)),
            max_size=6,
            unique_by=lambda offer: offer[0],
        ),
        max_size=4,
    ),
    st.integers(1, 5),
)
def test_it_is_never_too_long_nor_out_of_order(
    renewals: list[list[tuple[int, float, float]]], size: int
):
    board = Board(size)
    seen: set[Architecture] = set()
    for offers in renewals:
        scored = {path(n): entry(n, loss, latency_ms=ms) for n, loss, ms in offers}
        again = {it.architecture: it for it in board.entries}
        board.renew(list({**again, **scored}.values()))
        seen |= scored.keys()
        losses = [it.log_loss for it in board.entries]
        assert losses == sorted(losses)
        assert len(set(on(board))) == len(board.entries) == min(size, len(seen))
