"""Real change told from noise, on simulated campaigns whose truth is known."""

import functools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as distributions

from pipeline.comparing import levels
from pipeline.comparing.levels import level
from pipeline.comparing.measurements import SIGNIFICANCE, compare
from pipeline.errors import UsageError
from tests.comparing.simulated import (
    ENVIRONMENT,
    LEVELS_MS,
    SWEEPS,
    UNCHANGED,
    campaign,
    verdicts,
    visits_ms,
)

plain = functools.cache(campaign)
"""Campaigns in which nothing changed, by their seeds; each is drawn once."""


def one_campaigns_view(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaves only what a campaign knows of itself."""
    monkeypatch.setattr(levels, "CAMPAIGN_STD_PERCENT", 0.0)


def test_a_level_is_the_fastest_visit_give_or_take_what_the_next_two_say() -> None:
    found = level([1.3, 1.02, 1.5, 1.0, 1.01])
    assert found.log_ms == 0.0
    assert found.variance == pytest.approx(np.log(1.02) ** 2)


def test_a_level_that_not_even_three_visits_reached_is_not_known() -> None:
    found = level([1.0, 1.01, 1.3, 1.4])
    assert (found.log_ms, found.dof) == (0.0, np.inf)
    assert found.variance == pytest.approx(np.log(1.4) ** 2 / 3)


@given(
    st.lists(st.floats(1.0, 2.0), min_size=3, max_size=20),
    st.floats(1.0, 9.0),
)
def test_slow_visits_do_not_move_a_level_that_is_known(
    minima_ms: list[float], slower: float
) -> None:
    spared = [1.0, 1.005, 1.01]
    busy = [slower * minimum for minimum in minima_ms]
    quiet, disturbed = level(spared), level([*busy, *spared])
    assert disturbed.log_ms == quiet.log_ms
    assert disturbed.variance <= quiet.variance


@pytest.mark.parametrize("disturbed", [0.0, 0.5])
def test_levels_are_off_no_more_often_than_the_law_says(disturbed: float) -> None:
    """Robson and Whitlock's, for three visits: beyond x times their spread in (1 + x)^-2 of all.

    It is exact where visits are spread evenly near the floor, as some are.
    """
    rng = np.random.default_rng(0)
    found = [
        level(visits_ms(rng, 1.0, SWEEPS, campaign_std=0.0, disturbed=disturbed))
        for _ in range(2000)
    ]
    off = np.array([it.log_ms / np.sqrt(it.variance) for it in found])
    for times in (0.5, 1.0, 3.0):
        assert np.mean(off > times) <= (1 + times) ** -2 + 0.01
    even = [level(1 + 0.03 * rng.random(SWEEPS)) for _ in range(2000)]
    off = np.array([it.log_ms / np.sqrt(it.variance) for it in even])
    for times in (0.5, 1.0, 3.0):
        assert np.mean(off > times) == pytest.approx((1 + times) ** -2, abs=0.03)


def test_noise_raises_no_more_alarms_than_stated() -> None:
    """Under noise alone each alarm is a false one: no more than 1 % of comparisons may have any."""
    trials = 100
    alarms = sum(
        any(
            verdict != UNCHANGED
            for verdict in verdicts(compare(plain(s), plain(-s + 9999))).values()
        )
        for s in range(1, trials + 1)
    )
    assert alarms <= distributions.binom.ppf(0.999, trials, SIGNIFICANCE)


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    inside = [
        subject.raw.low_percent <= 3.0 <= subject.raw.high_percent
        for seed in range(40)
        for subject in compare(
            plain(seed), campaign(seed + 5000, changed=dict.fromkeys(LEVELS_MS, 1.03))
        ).subjects
    ]
    assert np.mean(inside) == pytest.approx(0.95, abs=0.02)


def test_what_one_campaign_knows_would_cry_wolf(monkeypatch: pytest.MonkeyPatch) -> None:
    """Why campaigns' own movement is reckoned with: it is no part of what one campaign sees."""
    one_campaigns_view(monkeypatch)
    alarms = [
        subject.raw.p < SIGNIFICANCE
        for seed in range(20)
        for subject in compare(plain(seed), plain(seed + 5000)).subjects
    ]
    assert np.mean(alarms) > 0.05


@pytest.mark.parametrize(
    ("factor", "verdict", "share"),
    [
        (1.05, "slower", 0.75),
        (1 / 1.05, "faster", 0.75),
        (1.1, "slower", 0.99),
        (1 / 1.1, "faster", 0.99),
    ],
)
def test_a_real_change_of_one_of_many_is_found(factor: float, verdict: str, share: float) -> None:
    found = []
    for seed in range(40):
        record = compare(plain(seed), campaign(seed + 5000, changed={"subject7": factor}))
        found.append(verdicts(record)["subject7"] == verdict)
        assert record.slower + record.faster + record.unchanged == len(LEVELS_MS)
    assert np.mean(found) >= share


def test_a_change_of_everything_but_the_control_network_is_found() -> None:
    changed = dict.fromkeys(LEVELS_MS, 1.05)
    records = [compare(plain(s), campaign(s + 5000, changed=changed)) for s in range(20)]
    assert sum(it.slower for it in records) > 0.9 * len(records) * len(LEVELS_MS)
    record = records[0]
    assert record.mean_change_percent == pytest.approx(5, abs=0.7)
    assert record.control.low_percent < 0 < record.control.high_percent


@pytest.mark.parametrize("machine", [1.04, 0.95])
def test_a_machine_that_moved_is_seen_as_the_control_networks(machine: float) -> None:
    percent = 100 * (machine - 1)
    records = [compare(plain(s), campaign(s + 5000, machine=machine)) for s in range(20)]
    called = sum(record.slower + record.faster for record in records)
    assert called <= SIGNIFICANCE * len(records) * len(LEVELS_MS)
    for record in records:
        assert record.control.percent == pytest.approx(percent, abs=4)
        assert record.mean_change_percent == pytest.approx(percent, abs=1)
        assert record.mean_relative_percent == pytest.approx(0, abs=4)


def test_a_control_network_that_moved_alone_changes_nothing_else() -> None:
    record = compare(campaign(1), campaign(2, control_moved=0.9))
    assert set(verdicts(record).values()) == {UNCHANGED}
    assert record.mean_relative_percent == pytest.approx(11, abs=2)


def test_a_change_too_small_to_matter_is_none_however_sure(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one_campaigns_view(monkeypatch)
    still: dict[str, Any] = {"noise": {"campaign_std": 0.0, "noise": 1e-4}}
    small = campaign(2, changed=dict.fromkeys(LEVELS_MS, 1.008), **still)
    record = compare(campaign(1, **still), small)
    assert all(subject.p_adjusted < 1e-6 for subject in record.subjects)
    assert record.unchanged == len(LEVELS_MS)
    large = campaign(2, changed=dict.fromkeys(LEVELS_MS, 1.012), **still)
    assert compare(campaign(1, **still), large).slower == len(LEVELS_MS)


@settings(max_examples=25)
@given(seed=st.integers(0, 10_000), factor=st.floats(0.8, 1.25))
def test_the_other_way_round_is_the_opposite(seed: int, factor: float) -> None:
    levels = {"a": 0.1, "b": 1.0}
    one = campaign(seed, levels_ms=levels)
    other = campaign(seed + 1, levels_ms=levels, changed={"a": factor})
    there, back = compare(one, other), compare(other, one)
    opposite = {"slower": "faster", "faster": "slower", UNCHANGED: UNCHANGED}
    for forth, reverse in zip(there.subjects, back.subjects, strict=True):
        assert (1 + forth.raw.percent / 100) * (1 + reverse.raw.percent / 100) == pytest.approx(1)
        assert forth.p_adjusted == pytest.approx(reverse.p_adjusted)
        if abs(abs(forth.raw.percent) - 1) > 0.1:  # the floor is in percent, not in logarithms
            assert reverse.verdict == opposite[forth.verdict] or forth.relative is not None


def test_a_measurement_is_no_different_from_itself() -> None:
    record = compare(campaign(1), campaign(1))
    assert record.differing == ()
    assert {subject.raw.percent for subject in record.subjects} == {0.0}
    assert {subject.p_adjusted for subject in record.subjects} == {1.0}


def test_p_values_are_corrected_for_the_number_of_subjects() -> None:
    record = compare(campaign(1), campaign(2, changed={"subject3": 1.1}))
    expected = distributions.false_discovery_control([s.raw.p for s in record.subjects])
    assert [s.p_adjusted for s in record.subjects] == pytest.approx(list(expected))


def test_other_software_moves_the_control_network_too_and_so_does_not_excuse_a_change() -> None:
    packages = {**ENVIRONMENT["packages"], "onnxruntime": "1.33.0"}
    newer = {**ENVIRONMENT, "packages": packages}
    record = compare(campaign(1), campaign(2, machine=1.08, environment=newer))
    assert record.decided_by == "raw"
    assert record.differing == ("environment.packages.onnxruntime",)
    assert record.slower > 0.9 * len(LEVELS_MS)
    little = compare(campaign(1), campaign(2, machine=1.03, environment=newer))
    assert set(verdicts(little).values()) == {UNCHANGED}


def test_what_cannot_move_latency_is_told_and_decides_nothing() -> None:
    told = compare(campaign(1), campaign(2, environment={**ENVIRONMENT, "python": "3.12.1"}))
    assert told.differing == ("environment.python",)
    assert told.decided_by == "raw and relative"


@pytest.mark.parametrize(
    "conditions",
    [{"environment": {"device": "synthetic"}}, {"control": "another"}],
    ids=["an environment that does not tell enough", "another control network"],
)
def test_where_it_is_not_sure_that_conditions_are_the_same_they_are_not(
    conditions: dict[str, Any],
) -> None:
    record = compare(campaign(1), campaign(2, **conditions))
    assert record.decided_by == "raw"
    assert record.differing
    assert (record.control is None) == ("control" in conditions)


def test_subjects_of_one_side_are_listed() -> None:
    first = campaign(1, levels_ms={"a": 1.0, "b": 1.0, "c": 1.0})
    second = campaign(2, levels_ms={"b": 1.0, "d": 1.0})
    record = compare(first, second)
    assert list(verdicts(record)) == ["b"]
    assert (record.only_in_first, record.only_in_second) == (("a", "c"), ("d",))
    with pytest.raises(UsageError, match=r"no subject in common \(3 and 1 subjects\)"):
        compare(first, campaign(3, levels_ms={"d": 1.0}))
