"""The prioritized board: who enters, who leaves, and whose score is trusted."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.space.architecture import Architecture
from pipeline.training.hypernetwork.board import Board, BoardEntry

NAMES = ("mb4_3x3", "mb6_3x3", "mb4_5x5", "mb6_5x5", "mb4_7x7", "mb6_7x7")


def path(number: int) -> Architecture:
    """A network for each number below 6⁵."""
    stages = tuple((NAMES[number // 6**stage % 6],) for stage in range(5))
    return Architecture(space="cream", resolution=32, num_classes=10, stages=stages)


def entry(number: int, hits: float, **changes: object) -> BoardEntry:
    values = {"images": 128, "macs": 1000, "latency_ms": 1.0, "scored_at": 0, **changes}
    return BoardEntry(architecture=path(number), correct=hits, **values)  # type: ignore[arg-type]


def test_a_board_fills_up_and_is_sorted():
    board = Board(3)
    assert all(board.offer(entry(number, hits)) for number, hits in ((0, 50), (1, 90), (2, 70)))
    assert [e.correct for e in board.entries] == [90, 70, 50]


@pytest.mark.parametrize(
    ("hits", "changes", "enters"),
    [
        (104, {}, True),  # clearly better than 90 of 128
        (96, {}, False),  # better, by less than chance makes of one batch
        (96, {"macs": 900}, True),  # better and fewer MACs
        (96, {"latency_ms": 0.9}, True),  # better and quicker
        (96, {"macs": 900, "latency_ms": 1.1}, False),  # fewer MACs, but slower
        (96, {"macs": 1100, "latency_ms": 0.9}, False),
        (96, {"macs": 900, "latency_ms": None}, True),  # no table: MACs alone
        (90, {"macs": 900, "latency_ms": 0.5}, False),  # cheaper and no better
        (104, {"macs": 2000, "latency_ms": 2.0}, True),  # clearly better, whatever it costs
    ],
)
def test_who_replaces_the_last_entry(hits: int, changes: dict[str, object], enters: bool):
    board = Board(2)
    board.offer(entry(0, 120))
    board.offer(entry(1, 90))
    assert board.offer(entry(2, hits, **changes)) == enters
    assert (path(2) in [e.architecture for e in board.entries]) == enters
    assert len(board.entries) == 2
    assert board.entries[0].architecture == path(0)


def test_an_early_lucky_batch_does_not_stay_for_ever():
    board = Board(2)
    board.offer(entry(0, 127))  # lucky: it is really right half the time
    board.offer(entry(1, 80))
    for step in range(1, 12):
        board.score(path(0), 64, 128, step)
    lucky = next(e for e in board.entries if e.architecture == path(0))
    assert lucky.accuracy < 0.62
    assert board.entries[-1].architecture == path(0)
    assert board.offer(entry(2, 100))
    assert path(0) not in [e.architecture for e in board.entries]


def test_scores_follow_the_weights():
    board = Board(1)
    board.offer(entry(0, 30))
    for step in range(1, 40):
        board.score(path(0), 110, 128, step)
    assert board.entries[0].accuracy == pytest.approx(110 / 128, abs=0.02)
    assert board.entries[0].scored_at == 39


def test_a_path_that_is_there_is_scored_again_and_not_twice_on_the_board():
    board = Board(3)
    board.offer(entry(0, 64))
    assert board.offer(entry(0, 128, scored_at=7))
    (only,) = board.entries
    assert only.accuracy == pytest.approx((0.9 * 64 + 128) / (0.9 * 128 + 128))
    assert only.scored_at == 7


def test_who_teaches_and_who_is_scored_next():
    board = Board(3)
    for number, (hits, at) in enumerate(((90, 5), (110, 9), (100, 7))):
        board.offer(entry(number, hits, scored_at=at))
    assert board.teachers_of(path(1)) == [path(2), path(0)]
    assert board.teachers_of(path(9)) == [path(1), path(2), path(0)]
    assert board.stalest() == path(0)
    board.score(path(5), 10, 128, 30)  # left the board since it taught: nothing happens
    assert len(board.entries) == 3


@given(
    st.lists(
        st.tuples(st.integers(0, 40), st.integers(0, 128), st.floats(0.1, 9), st.integers(1, 99)),
        max_size=60,
    ),
    st.integers(1, 5),
)
def test_it_is_never_too_long_nor_out_of_order(
    offers: list[tuple[int, int, float, int]], size: int
):
    board = Board(size)
    for at, (number, hits, latency_ms, macs) in enumerate(offers):
        candidate = entry(number, hits, latency_ms=latency_ms, macs=macs, scored_at=at)
        if not board.offer(candidate):
            last = board.entries[-1]
            assert not candidate.is_clearly_better(last)
            assert not candidate.is_better_and_cheaper(last)
    accuracies = [e.accuracy for e in board.entries]
    assert accuracies == sorted(accuracies, reverse=True)
    assert len(board.entries) == min(size, len({number for number, *_ in offers}))
    assert len({e.architecture for e in board.entries}) == len(board.entries)
