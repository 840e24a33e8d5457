"""What a training step is said to cost."""

import pytest

from benchmarks.training_step import ROUND, _cream_step_s


def test_what_the_look_ahead_costs_counts_once_in_200_steps() -> None:
    single, cream = [0.1] * 2 * ROUND, [0.13] * 2 * ROUND
    for due in (ROUND - 1, 2 * ROUND - 1):
        cream[due] = 0.33
    found = _cream_step_s(cream, single, [0.2, 0.4], 200)
    assert found == pytest.approx(0.13 + 0.2 / 200 + 0.3 / ROUND)
