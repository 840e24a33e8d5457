"""Whether a table still holds: verdicts on made-up changes, and checks of synthetic tables."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.device.fingerprint import environment
from pipeline.device.target import Target
from pipeline.errors import StorageError, TableError, UnsteadyError
from pipeline.files.whole import read_record, write_record
from pipeline.latency import checking
from pipeline.latency.checking import check
from pipeline.latency.drift import check_path, judge_changes, scale_of
from pipeline.latency.model import LatencyModel, save_calibration
from pipeline.latency.sampling import design_networks
from pipeline.latency.table import LatencyTable, network_key
from pipeline.measure.bench import CONTROL
from pipeline.measure.campaign import Campaign
from pipeline.measure.statistics import LatencyStats, reduce_visits
from pipeline.measure.steadiness import Steadiness
from pipeline.records.calibration import DriftCheck
from pipeline.space.architecture import Architecture
from pipeline.space.search_space import get_space
from tests.latency import synthetic
from tests.latency.synthetic import TARGET, header, times_of, visit, write_table

CLASSES, RESOLUTION = 10, 32
SPACE = get_space("cream").narrowed(max_depth=2, operators=["mb4_3x3", "mb6_5x5"])
SPECS = SPACE.distinct_operators(RESOLUTION, CLASSES)
NETWORKS = design_networks(SPACE, RESOLUTION, CLASSES, 10, seed=0)
ONE = Architecture(
    space="cream", resolution=RESOLUTION, num_classes=CLASSES, stages=(("mb4_3x3",),) * 5
)

pytestmark = pytest.mark.usefixtures("workdir")


def a_table(**changes: Any) -> LatencyTable:
    path = write_table(times_of(SPECS, NETWORKS), **changes)
    save_calibration(path, TARGET, synthetic.calibration(SPACE, RESOLUTION, CLASSES))
    return LatencyTable.read(TARGET)


# The verdict.


@pytest.mark.parametrize(
    ("changes", "verdict", "scale"),
    [
        ([1.0, 1.0, 1.0], "fresh", 1.0),
        ([1.009, 1.009, 1.009], "fresh", 1.0),
        ([0.992, 1.0, 1.008], "fresh", 1.0),
        ([0.97, 1.0, 1.02], "fresh", 1.0),  # unlike, but not yet too much
        ([1.011, 1.011, 1.011], "scaled", 1.011),
        ([0.9, 0.9, 0.9], "scaled", 0.9),
        ([1.19, 1.2, 1.22], "scaled", 1.2),
        ([1.24, 1.24, 1.24], "scaled", 1.24),
        ([1.26, 1.26, 1.26], "stale", 1.0),  # alike, but too far
        ([0.7, 0.7, 0.7], "stale", 1.0),
        ([1.0, 1.0, 1.1], "stale", 1.0),  # apart, though the middle has not moved
        ([1.1, 1.1, 1.2], "stale", 1.0),
        ([0.9, 1.0, 1.1], "stale", 1.0),
    ],
)
def test_the_verdict_on_changes(changes: list[float], verdict: str, scale: float) -> None:
    table = a_table()
    found = judge_changes(table, dict(zip("abc", changes, strict=True)), seconds=3.0)
    assert found.verdict == verdict
    assert found.scale == pytest.approx(scale)
    assert found.change_percent == pytest.approx(
        {key: 100 * (change - 1) for key, change in zip("abc", changes, strict=True)}
    )
    assert (found.target, found.visits, found.seconds) == (TARGET.name, table.num_visits, 3.0)


def test_one_entry_that_a_slow_spell_met_does_not_move_the_scale() -> None:
    found = judge_changes(
        a_table(), {"a": 1.1, "b": 1.1, "c": 1.1, "d": 1.1, "e": 1.14}, seconds=0.0
    )
    assert (found.verdict, found.scale) == ("scaled", pytest.approx(1.1))
    assert 1 < found.spread_percent < 3


def test_changes_one_way_and_the_other_are_judged_alike() -> None:
    """The factor is sought among logarithms, where twice and half are as far from one."""
    table = a_table()

    @given(st.lists(st.floats(0.8, 1.25), min_size=2, max_size=9))
    @settings(max_examples=50)
    def holds(changes: list[float]) -> None:
        there = judge_changes(table, {str(i): c for i, c in enumerate(changes)}, seconds=0.0)
        back = judge_changes(table, {str(i): 1 / c for i, c in enumerate(changes)}, seconds=0.0)
        assert there.spread_percent == pytest.approx(back.spread_percent, abs=1e-9)
        assert there.scale >= min(changes) or there.scale == 1
        assert there.scale <= max(changes) or there.scale == 1
        if "scaled" == there.verdict == back.verdict:
            assert there.scale == pytest.approx(1 / back.scale)

    holds()


# What it means for the table.


def kept(table: LatencyTable, change: float, *, apart: float = 1.0) -> DriftCheck:
    found = judge_changes(table, {"a": change, "b": change * apart}, seconds=0.0)
    write_record(check_path(TARGET), found)
    return found


def test_a_table_that_was_never_checked_is_taken_as_it_is() -> None:
    assert scale_of(a_table()) == 1.0


@pytest.mark.parametrize(("change", "scale"), [(1.004, 1.0), (1.15, 1.15), (0.9, 0.9)])
def test_the_last_check_decides(change: float, scale: float) -> None:
    table = a_table()
    kept(table, 1.2)
    kept(table, change)
    assert scale_of(table) == pytest.approx(scale)
    assert LatencyModel.read(TARGET).scale == pytest.approx(scale)


@pytest.mark.parametrize("apart", [1.0, 1.2], ids=["scaled", "stale"])
def test_a_check_counts_no_more_once_the_table_was_measured_on(apart: float) -> None:
    kept(a_table(), 1.1, apart=apart)
    more = a_table(sweeps=[3])
    assert scale_of(more) == 1.0
    assert LatencyModel.read(TARGET).scale == 1.0


@pytest.mark.parametrize(("change", "apart"), [(1.1, 1.2), (1.4, 1.0)])
def test_a_stale_table_is_refused_with_what_was_found(change: float, apart: float) -> None:
    table = a_table()
    found = kept(table, change, apart=apart)
    with pytest.raises(TableError, match="is stale: checked at") as caught:
        scale_of(table)
    assert found.at in caught.value.message
    changes = found.change_percent.values()
    assert f"{min(changes):+.1f} to {max(changes):+.1f} %" in caught.value.message
    assert f"profile --target {TARGET.name}" in (caught.value.hint or "")
    with pytest.raises(TableError, match="is stale"):
        LatencyModel.read(TARGET)


def test_a_damaged_check_is_named() -> None:
    table = a_table()
    check_path(TARGET).write_text("{")
    with pytest.raises(StorageError, match=r"b1-t1\.check\.json"):
        scale_of(table)


# A check from end to end, on a machine that is made up.


class Machine:
    """Stands for exporting and measuring: everything takes so many times what the table says."""

    def __init__(self, table: LatencyTable) -> None:
        self.table = table
        self.change: Callable[[str], float] = lambda key: 1.0
        self.measured: list[str] = []
        self.error: Exception | None = None

    def export_all(self, jobs: Any, *, batch: int, **_: Any) -> list[Path]:
        assert batch == TARGET.batch
        return [Path(str(number)) for number, _ in enumerate(jobs)]

    def run_campaign(
        self, subjects: Mapping[str, Path], control: Path, target: Target, *_: Any, **__: Any
    ) -> Campaign:
        if self.error:
            raise self.error
        assert (control, target) == (Path("0"), TARGET)
        self.measured = list(subjects)
        return Campaign(
            stats={key: self._stats(self.table.entries[key], key) for key in subjects},
            visits={},
            failed={},
            precision={},
            control=self._stats(self.table.control, CONTROL),
            steadiness=Steadiness(
                stopped="agreed", sweeps=8, disagreement_percent=0.3, spells=0,
                disturbed_percent=0, longest_spell_s=0, interrupted_percent=None,
            ),
            measured=0,
            reused=0,
            opening_s={},
        )  # fmt: skip

    def _stats(self, then: LatencyStats, key: str) -> LatencyStats:
        now_ms = then.typical * self.change(key)
        return reduce_visits([visit(key, [now_ms, 1.5 * now_ms], sweep=s) for s in range(3)])


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    made_up = Machine(a_table())
    monkeypatch.setattr(checking, "run_campaign", made_up.run_campaign)
    monkeypatch.setattr(checking, "export_all", made_up.export_all)
    return made_up


def test_a_check_looks_at_networks_of_all_sizes_and_at_the_control_network(
    machine: Machine,
) -> None:
    found = check(TARGET)
    assert set(found.change_percent) == {*machine.measured, CONTROL}
    assert len(set(machine.measured)) == len(machine.measured) == 4
    entries = machine.table.entries
    times = sorted(entries[network_key(network)].typical for network in NETWORKS)
    checked = [entries[key].typical for key in machine.measured]
    assert set(checked) <= set(times)
    assert checked == sorted(checked)
    # Not the slowest, which would take the time of all the others.
    assert (checked[0], checked[-1]) == (times[0], times[len(times) // 2])


def test_a_machine_that_did_not_change_leaves_predictions_alone(machine: Machine) -> None:
    before = LatencyModel.read(TARGET).predict(ONE)
    found = check(TARGET)
    assert (found.verdict, found.scale, found.visits) == ("fresh", 1.0, machine.table.num_visits)
    assert found.seconds >= 0
    assert read_record(check_path(TARGET), DriftCheck) == found
    assert LatencyModel.read(TARGET).predict(ONE) == before


def test_a_slower_machine_scales_predictions_until_it_is_measured_on(machine: Machine) -> None:
    before = LatencyModel.read(TARGET).predict(ONE)
    machine.change = lambda key: 1.12
    found = check(TARGET)
    assert (found.verdict, found.scale) == ("scaled", pytest.approx(1.12))
    assert list(found.change_percent.values()) == pytest.approx([12] * len(found.change_percent))
    after = LatencyModel.read(TARGET).predict(ONE)
    assert after.typical == pytest.approx(1.12 * before.typical)
    assert after.std == pytest.approx(1.12 * before.std)
    # A second check compares with the table again, not with the first check.
    assert check(TARGET).scale == pytest.approx(1.12)
    a_table(sweeps=[3])
    assert LatencyModel.read(TARGET).predict(ONE) == before


def test_a_machine_on_which_not_all_is_slower_makes_the_table_stale(
    machine: Machine,
) -> None:
    machine.change = lambda key: 1.0 if key == CONTROL else 1.2
    assert check(TARGET).verdict == "stale"
    with pytest.raises(TableError, match="is stale"):
        LatencyModel.read(TARGET)
    # Not for good: the machine may have been busy.
    machine.change = lambda key: 1.0
    assert check(TARGET).verdict == "fresh"
    assert LatencyModel.read(TARGET).scale == 1.0


def test_a_machine_that_does_not_hold_still_leaves_the_last_check_alone(machine: Machine) -> None:
    machine.change = lambda key: 1.1
    first = check(TARGET)
    machine.error = UnsteadyError("does not hold still")
    with pytest.raises(UnsteadyError):
        check(TARGET)
    assert read_record(check_path(TARGET), DriftCheck) == first


def test_a_table_of_operators_alone_can_be_checked(machine: Machine) -> None:
    machine.table.path.unlink()
    write_table(times_of(SPECS[:2]))
    machine.table = LatencyTable.read(TARGET)
    assert set(check(TARGET).change_percent) == {SPECS[0].key, SPECS[1].key, CONTROL}


def test_a_table_without_a_whole_entry_has_nothing_to_check(machine: Machine) -> None:
    machine.table.path.unlink()
    write_table(times_of(SPECS), sweeps=[0, 1])
    with pytest.raises(TableError, match="has no entry to check") as caught:
        check(TARGET)
    assert "profile" in (caught.value.hint or "")
    assert machine.measured == []


def test_a_table_of_another_machine_cannot_be_checked(machine: Machine) -> None:
    machine.table.path.unlink()
    elsewhere = replace(environment(), cpu="Another CPU")
    a_table(changes=header(machine=elsewhere))
    with pytest.raises(TableError, match="cpu was 'Another CPU'") as caught:
        check(TARGET)
    assert f"profile --target {TARGET.name}" in (caught.value.hint or "")
    assert machine.measured == []
    assert not check_path(TARGET).exists()


def test_without_a_table_there_is_nothing_to_check() -> None:
    with pytest.raises(TableError, match="has no latency table"):
        check(TARGET)
