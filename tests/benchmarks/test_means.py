"""Means over seeds."""

import numpy as np
import pytest
from scipy.stats import ttest_1samp, ttest_rel

from benchmarks.means import Mean, mean_difference, mean_of


def test_means_and_differences_have_students_interval() -> None:
    one, other = np.random.default_rng(0).normal(80, 1, (2, 5)).tolist()
    for mean, test in (
        (mean_of(one), ttest_1samp(one, 0)),
        (mean_difference(one, other), ttest_rel(one, other)),
    ):
        low, high = test.confidence_interval(0.95)
        assert (mean.low_percent, mean.high_percent) == pytest.approx((low, high))
        assert mean.percent == pytest.approx((low + high) / 2)
    assert mean_of([3.0]) == Mean(3.0, None, None)
