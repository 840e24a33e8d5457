"""Real change told from noise, on simulated campaigns whose truth is known."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as distributions

from pipeline.cli import app as cli
from pipeline.comparing import levels
from pipeline.comparing.levels import level
from pipeline.comparing.measurements import SIGNIFICANCE, ComparisonRecord, compare
from pipeline.comparing.sides import ComparedSide, Measured, read_measured
from pipeline.comparing.targets import TargetsComparison, compare_measured
from pipeline.device.fingerprint import Environment
from pipeline.device.target import Target
from pipeline.errors import MeasurementError, StorageError, TableError, UsageError
from pipeline.files.record import checked, plain
from pipeline.files.whole import write_record
from pipeline.latency.table_files import table_to_write
from pipeline.measure.campaign import environment_of
from pipeline.measure.journal import Journal
from pipeline.measure.protocol import TimingProtocol
from pipeline.measure.statistics import LatencyStats, Visit
from pipeline.records.benchmark import BenchmarkRecord, BenchmarkResult
from pipeline.space.architecture import Architecture
from pipeline.space.search_space import get_space
from tests.comparing.simulated import visits_ms

TARGET = Target.parse("synthetic/onnxruntime-fp32-b1-t1")
ENVIRONMENT = plain(
    Environment(
        device="synthetic",
        cpu="Made-up CPU",
        cpu_flags=("avx2",),
        cores=2,
        memory_gib=8.0,
        governor=None,
        os="Linux 6.0",
        python="3.11.9",
        packages={"onnxruntime": "1.32.0", "torch": "2.14.1", "numpy": "2.1.0"},
    )
)
LEVELS_MS = {f"subject{number}": 0.02 * 1.3**number for number in range(20)}
SWEEPS = 12
UNCHANGED = "no change beyond noise"


def stats_of(minima_ms: np.ndarray) -> LatencyStats:
    values = tuple(float(value) for value in minima_ms)
    return LatencyStats(
        typical=min(values),
        std=0.0,
        median=min(values),
        mean=min(values),
        min=min(values),
        p90=None,
        p99=None,
        cov=0.0,
        n=len(values),
        sweep_minima_ms=values,
    )


def campaign(
    seed: int,
    *,
    levels_ms: Mapping[str, float] = LEVELS_MS,
    changed: Mapping[str, float] | None = None,
    machine: float = 1.0,
    control_moved: float = 1.0,
    noise: Mapping[str, float] | None = None,
    **conditions: Any,
) -> Measured:
    """A campaign as they are: noise within it, and levels that move by themselves between them."""
    rng = np.random.default_rng(seed)

    def minima(level_ms: float, count: int) -> np.ndarray:
        return visits_ms(rng, machine * level_ms, count, **(noise or {}))

    found = {
        name: stats_of(minima(level * (changed or {}).get(name, 1.0), SWEEPS))
        for name, level in levels_ms.items()
    }
    told = {"target": TARGET.setting, "environment": ENVIRONMENT, **conditions}
    return Measured(
        kind="table",
        side=ComparedSide(given=f"t{seed}", path=f"t{seed}.jsonl", target=TARGET.name, failed={}),
        control_ms=tuple(minima(1.3 * control_moved, SWEEPS * len(levels_ms))),
        stats=found,
        identity={},
        conditions=told,
        environment=environment_of(told),
        runtime="onnxruntime",
    )


def verdicts(record: ComparisonRecord) -> dict[str, str]:
    return {subject.name: subject.verdict for subject in record.subjects}


def other_environment(**fields: Any) -> dict[str, Any]:
    return {**ENVIRONMENT, **fields}


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
    trials = 400
    alarms = sum(
        any(
            verdict != UNCHANGED
            for verdict in verdicts(compare(campaign(s), campaign(-s + 9999))).values()
        )
        for s in range(1, trials + 1)
    )
    assert alarms <= distributions.binom.ppf(0.999, trials, SIGNIFICANCE)


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    inside = [
        subject.raw.low_percent <= 3.0 <= subject.raw.high_percent
        for seed in range(60)
        for subject in compare(
            campaign(seed), campaign(seed + 5000, changed=dict.fromkeys(LEVELS_MS, 1.03))
        ).subjects
    ]
    assert np.mean(inside) == pytest.approx(0.95, abs=0.02)


def test_what_one_campaign_knows_would_cry_wolf(monkeypatch: pytest.MonkeyPatch) -> None:
    """Why campaigns' own movement is reckoned with: it is no part of what one campaign sees."""
    one_campaigns_view(monkeypatch)
    alarms = [
        subject.raw.p < SIGNIFICANCE
        for seed in range(20)
        for subject in compare(campaign(seed), campaign(seed + 5000)).subjects
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
    for seed in range(100):
        record = compare(campaign(seed), campaign(seed + 5000, changed={"subject7": factor}))
        found.append(verdicts(record)["subject7"] == verdict)
        assert record.slower + record.faster + record.unchanged == len(LEVELS_MS)
    assert np.mean(found) >= share


def test_a_change_of_everything_but_the_control_network_is_found() -> None:
    changed = dict.fromkeys(LEVELS_MS, 1.05)
    records = [compare(campaign(s), campaign(s + 5000, changed=changed)) for s in range(20)]
    assert sum(it.slower for it in records) > 0.9 * len(records) * len(LEVELS_MS)
    record = records[0]
    assert record.mean_change_percent == pytest.approx(5, abs=0.7)
    assert record.control is not None
    assert record.control.low_percent < 0 < record.control.high_percent


@pytest.mark.parametrize("machine", [1.04, 0.95])
def test_a_machine_that_moved_is_seen_as_the_control_networks(machine: float) -> None:
    percent = 100 * (machine - 1)
    records = [compare(campaign(s), campaign(s + 5000, machine=machine)) for s in range(40)]
    called = sum(record.slower + record.faster for record in records)
    assert called <= SIGNIFICANCE * len(records) * len(LEVELS_MS)
    for record in records:
        assert record.control is not None
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
    newer = other_environment(packages={**ENVIRONMENT["packages"], "onnxruntime": "1.33.0"})
    record = compare(campaign(1), campaign(2, machine=1.08, environment=newer))
    assert record.decided_by == "raw"
    assert record.differing == ("environment.packages.onnxruntime",)
    assert record.slower > 0.9 * len(LEVELS_MS)
    little = compare(campaign(1), campaign(2, machine=1.03, environment=newer))
    assert set(verdicts(little).values()) == {UNCHANGED}


def test_what_cannot_move_latency_is_told_and_decides_nothing() -> None:
    told = compare(campaign(1), campaign(2, environment=other_environment(python="3.12.1")))
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


def write_table(path: Path, seed: int, **options: Any) -> Path:
    made = campaign(seed, **options)
    header = {"device": TARGET.device, "control": "cream-43", **made.conditions}
    with Journal(path, header) as journal:
        for sweep in range(SWEEPS):
            for name, found in made.stats.items():
                control = made.control_ms[len(journal.visits)]
                journal.append(
                    Visit(
                        sweep=sweep,
                        key=name,
                        samples_ms=(found.sweep_minima_ms[sweep], 99.0),
                        control_before_ms=(control, 99.0),
                        control_after_ms=(99.0, control),
                        at="2026-01-01T00:00:00.000+00:00",
                        precision="fp32",
                    )
                )
    return path


def network(operator: str) -> Architecture:
    stages = ((operator,),) * len(get_space("cream").stages)
    return Architecture(space="cream", resolution=32, num_classes=10, stages=stages)


def result_of(
    name: str, stats: LatencyStats | None, architecture: Architecture | None = None
) -> BenchmarkResult:
    return BenchmarkResult(
        name=name,
        target="host/onnxruntime-fp32-b1-t1",
        architecture=architecture,
        macs=None,
        params=None,
        weights="random (seed 0)",
        precision_as_built="fp32" if stats else None,
        latency_ms=stats,
        n=stats.n if stats else 0,
        samples_ms=(),
        predicted_ms=None,
        is_reference=False,
        error=None if stats else "node Conv_3 is not supported",
    )


def benchmark_of(seed: int, **options: Any) -> BenchmarkRecord:
    """A benchmark with the sweeps of a simulated campaign."""
    made = campaign(seed, levels_ms={"mine": 0.3, "cream-14": 0.2}, **options)
    return BenchmarkRecord(
        results=(
            result_of("mine", made.stats["mine"], network("mb4_3x3")),
            result_of("cream-14", made.stats["cream-14"]),
            result_of("lcnet_100", None),
        ),
        protocol=TimingProtocol(),
        control=stats_of(np.array(made.control_ms)),
        seconds=1.0,
        environment=checked(Environment, ENVIRONMENT),
    )


def read_one(given: str) -> Measured:
    (measured,) = read_measured(given)
    return measured


@pytest.mark.usefixtures("workdir")
class TestReading:
    def test_a_table_by_its_target_and_by_its_path(self) -> None:
        path = write_table(table_to_write(TARGET), 1)
        by_target, by_path = read_one(TARGET.name), read_one(str(path))
        assert by_target.stats == by_path.stats
        simulated = campaign(1)
        for name, found in by_target.stats.items():
            assert found.sweep_minima_ms == simulated.stats[name].sweep_minima_ms
        assert by_target.control_ms == simulated.control_ms
        assert by_target.side.target == TARGET.name
        assert compare(by_target, by_path).mean_change_percent == 0

    def test_a_benchmark_by_run_folder_and_record(self) -> None:
        write_record(Path("runs/one/benchmark/record.json"), benchmark_of(1))
        write_record(Path("elsewhere/record.json"), benchmark_of(2, changed={"cream-14": 1.2}))
        named = ["one", "runs/one", "runs/one/benchmark", "runs/one/benchmark/record.json"]
        sides = [read_one(name) for name in named]
        assert len({side.side.path for side in sides}) == 1
        record = compare(sides[0], read_one("elsewhere"))
        assert verdicts(record)["cream-14"] == "slower"
        assert list(record.first.failed) == ["lcnet_100"]
        assert record.first.target == "synthetic/onnxruntime-fp32-b1-t1"
        assert (record.kind, record.decided_by) == ("benchmark", "raw and relative")

    def test_another_network_of_the_same_name_is_told(self) -> None:
        one = benchmark_of(1)
        first, *rest = one.results
        other = first.model_copy(update={"architecture": network("mb6_5x5")})
        write_record(Path("one.json"), one)
        write_record(Path("two.json"), one.model_copy(update={"results": (other, *rest)}))
        record = compare(read_one("one.json"), read_one("two.json"))
        assert record.differing == ("mine: network",)

    def test_two_of_a_kind(self) -> None:
        table = str(write_table(Path("a.jsonl"), 1))
        write_record(Path("b.json"), benchmark_of(1))
        with pytest.raises(UsageError, match=r"a\.jsonl is a latency table and b\.json is a bench"):
            compare_measured(read_measured(table), read_measured("b.json"))

    def test_records_without_the_fastest_runs_say_so(self) -> None:
        record = benchmark_of(1)
        bare = stats_of(np.array([0.3])).model_copy(update={"sweep_minima_ms": ()})
        record = record.model_copy(update={"results": (result_of("mine", bare),)})
        write_record(Path("old.json"), record)
        old = read_one("old.json")
        with pytest.raises(MeasurementError, match=r"old\.json: mine has .* 0 visits"):
            compare(old, old)

    @pytest.mark.parametrize(
        ("prepare", "given", "error", "words"),
        [
            (lambda: None, "no/such", UsageError, "no target, file, run folder"),
            (lambda: None, TARGET.name, TableError, "has no latency table; looked for"),
            (lambda: Path("runs/x").mkdir(parents=True), "x", UsageError, "holds no benchmark"),
            (lambda: Path("x.json").write_text("{"), "x.json", StorageError, "not a readable"),
            (lambda: Path("x.json").write_text("{}"), "x.json", StorageError, "BenchmarkRecord"),
            (lambda: Path("x.jsonl").write_text("{}\n"), "x.jsonl", TableError, "damaged"),
            (
                lambda: (p := write_table(Path("x.jsonl"), 1)).write_text(p.read_text()[:-9]),
                "x.jsonl", TableError, "cut",
            ),
        ],
    )  # fmt: skip
    def test_what_cannot_be_read(
        self, prepare: Callable[[], object], given: str, error: type[Exception], words: str
    ) -> None:
        prepare()
        with pytest.raises(error, match=words):
            read_measured(given)


@pytest.mark.usefixtures("workdir")
class TestCommandLine:
    def run(self, *arguments: str) -> int:
        with pytest.raises(SystemExit) as left:
            cli.main(["compare", *arguments])
        return int(left.value.code or 0)

    def tables(self) -> tuple[str, str]:
        levels = {"a": 0.1, "b": 0.2, "net:[x]": 1.0}
        first = write_table(Path("a.jsonl"), 1, levels_ms=levels)
        second = write_table(
            Path("b.jsonl"), 2, levels_ms={**levels, "new": 1.0}, changed={"a": 1.3}
        )
        return str(first), str(second)

    def test_json_is_the_record(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert self.run(*self.tables(), "--json") == 0
        told = json.loads(capsys.readouterr().out)
        found = TargetsComparison.model_validate(told)
        (record,) = found.targets
        assert found.slower == 1
        assert verdicts(record) == {"a": "slower", "b": UNCHANGED, "net:[x]": UNCHANGED}
        assert (record.slower, record.faster, record.unchanged) == (1, 0, 2)
        assert record.only_in_second == ("new",)

    def test_people_see_the_same(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert self.run(*self.tables()) == 0
        out = capsys.readouterr().out
        for words in (
            "net:[x]",
            "slower",
            "only in B: new",
            "control network:",
            "1 slower, 0 faster",
        ):
            assert words in out
        assert out.index("│ a ") < out.index("│ b ")

    def test_it_fails_on_a_regression_where_something_is_slower_and_it_was_asked_to(self) -> None:
        first, second = self.tables()
        assert self.run(first, second, "--fail-on", "regression") == 1
        assert self.run(second, first, "--fail-on", "regression") == 0
        assert self.run(first, second) == 0

    def test_markdown_is_the_same_table(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert self.run(*self.tables(), "--format", "md") == 0
        lines = capsys.readouterr().out.splitlines()
        rows = [line for line in lines if line.startswith("| ")]
        subjects = [row.split(" | ")[0] for row in rows[2:]]
        assert subjects[0] == "| a"  # the one that is slower
        assert sorted(subjects) == ["| a", "| b", "| net:\\[x\\]"]
        assert all(row.count(" | ") == 6 for row in rows)

    def test_one_form_at_a_time(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert self.run(*self.tables(), "--json", "--format", "md") == 2
        assert "both be printed" in capsys.readouterr().out

    def test_there_is_nothing_else_to_fail_on(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert self.run("a.jsonl", "b.jsonl", "--fail-on", "slower") == 2
        assert "regression" in capsys.readouterr().err
