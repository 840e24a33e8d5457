"""What a comparison compares is read from whatever names it: a target, a table, a record, a run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.comparing.measurements import compare
from pipeline.comparing.sides import Measured, read_measured
from pipeline.comparing.targets import compare_measured
from pipeline.device.fingerprint import Environment
from pipeline.errors import MeasurementError, StorageError, TableError, UsageError
from pipeline.files.record import checked
from pipeline.files.whole import write_record
from pipeline.latency.table_files import table_to_write
from pipeline.measure.protocol import TimingProtocol
from pipeline.measure.statistics import LatencyStats
from pipeline.records.benchmark import BenchmarkRecord, BenchmarkResult
from pipeline.space.architecture import Architecture
from pipeline.space.search_space import get_space
from tests.comparing.simulated import (
    ENVIRONMENT,
    TARGET,
    campaign,
    stats_of,
    verdicts,
    write_table,
)


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
