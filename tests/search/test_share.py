"""Shares of a space, against enumerations."""

from dataclasses import replace

import numpy as np
import pytest

from pipeline.records.candidates import Limits
from pipeline.search.constraints import has_margin
from pipeline.search.cost_tables import CostTables
from pipeline.search.share import share_within
from pipeline.space import path_counts
from pipeline.space.encoding import SlotTable
from tests.search.random_problems import enumerated
from tests.search.toys import CPU, make_toy

CASES = [(seed, 0.5) for seed in range(20)] + [(seed, 0.9) for seed in range(100, 112)]


def test_shares_are_those_of_all_networks():
    """Counted ones always; sampled ones as often as a confidence of 95 % says, and nearly else."""
    hows, missed = [], 0
    for seed, confidence in CASES:
        its = enumerated(seed, confidence=confidence)
        share, true = share_within(its.problem), its.inside.mean()
        several = len(its.problem.limited_keys) > 1 or has_margin(its.problem.limits)
        assert 0 <= share.low <= share.high <= 1
        if share.how == "counted":
            assert not several or share.high == true == 0
            assert share.low - 1e-12 <= true <= share.high + 1e-12
            assert share.high - share.low < 0.01
        else:
            assert several
            assert share.samples > 0
            assert share.low / 1.2 - 1e-4 < true < 1.2 * share.high + 1e-4
            assert share.high - share.low < 0.02
            missed += not share.low <= true <= share.high
        hows.append(share.how)
    assert missed <= 4
    assert min(hows.count(how) for how in ("counted", "sampled")) >= 4


def with_small_macs(seed, sizes):
    """Sums of MACs that are small whole numbers: one bin each."""
    toy, rng = make_toy(2, 3, sizes=sizes), np.random.default_rng(seed)
    sums = {}
    for size, tables in toy.tables.sums.items():
        values = rng.integers(1, 60, tables["macs"].values.shape).astype(float)
        values[:, 0] = 0
        sums[size] = {**tables, "macs": SlotTable(size, 11.0, values, 2)}
    toy.tables = CostTables(sums)
    return toy


@pytest.mark.parametrize("sizes", [(64,), (64, 96)])
@pytest.mark.parametrize("seed", range(2))
def test_one_limited_cost_is_counted_exactly_where_bins_suffice(sizes, seed):
    toy = with_small_macs(seed, sizes)
    macs = toy.costs(toy.everything)["macs"]
    low, high = np.quantile(macs, [0.3, 0.5], method="nearest")
    for limits in (Limits(macs=high), Limits(macs_min=low), Limits(macs=high, macs_min=low)):
        share = share_within(toy.problem(limits))
        assert share.how == "counted"
        assert share.samples == 0
        assert share.low == share.high == pytest.approx(len(toy.inside(limits)) / len(macs))


@pytest.mark.parametrize("bins", [40, 8192])
def test_coarser_counts_are_wider_and_still_hold(monkeypatch, bins):
    monkeypatch.setattr(path_counts, "_BINS", bins)
    toy = make_toy(2, 3, sizes=(64, 96))
    widths = []
    for limits in (
        toy.shares(macs=0.3),
        toy.shares(macs=0.6, macs_min=0.4),
        toy.shares(params=0.5),
        toy.shares(cpu=0.25),
        toy.shares(gpu=0.9),
    ):
        share = share_within(toy.problem(limits))
        true = len(toy.inside(limits)) / len(toy.everything)
        assert share.how == "counted"
        assert share.low <= true <= share.high
        widths.append(share.high - share.low)
    assert (min(widths) > 0.01) if bins == 40 else (max(widths) < 0.01)


def test_without_limits_it_is_everything():
    share = share_within(make_toy(6, 6).problem())
    assert (share.low, share.high, share.how) == (1.0, 1.0, "counted")


def test_the_whole_space_is_counted_too():
    """10²³ networks, and a share that drawing from all of them would not find."""
    toy = make_toy(6, 6)
    share = share_within(toy.problem(toy.shares(macs=0.02)))
    assert share.how == "counted"
    assert 0 < share.low < share.high < 1e-9
    assert share.high < 1.2 * share.low
    several = share_within(toy.problem(toy.shares(macs=0.02, cpu=0.02, params=0.05)))
    assert several.how == "sampled"
    assert 0 < several.low < several.high <= share.high


def test_a_limit_with_a_margin_leaves_less_than_without():
    toy = make_toy(2, 3)
    limits = toy.shares(cpu=0.4)
    alone = share_within(toy.problem(limits))
    with_margin = limits.model_copy(update={"confidence": 0.95})
    share = share_within(toy.problem(with_margin))
    assert share.how == "sampled"
    assert share.low <= len(toy.inside(with_margin)) / len(toy.everything) <= share.high
    assert share.high < alone.low


def test_limits_out_of_reach_leave_nothing():
    toy = make_toy(2, 3)
    share = share_within(toy.problem(Limits(macs=0.9 * toy.reachable["macs"][0])))
    assert (share.low, share.high, share.how) == (0.0, 0.0, "counted")
    nothing = toy.problem(Limits(macs_min=toy.reachable["macs"][1] + 1, latency_ms={CPU: 1e3}))
    assert share_within(nothing).high == 0


def test_an_interval_does_not_claim_that_nothing_is_left():
    """Limits that sampling hits nowhere: rare, perhaps none, but not shown to be none."""
    toy = make_toy(3, 4)
    row = toy.variation.random(1, np.random.default_rng(0))
    costs = {key: float(value[0]) for key, value in toy.costs(row).items()}
    exact = Limits(macs=costs["macs"], macs_min=costs["macs"], params=costs["params"])
    problem = replace(toy.problem(exact))
    share = share_within(problem)
    assert share.how == "sampled"
    assert 0 <= share.low < share.high < 1e-3
