"""What a runtime must do to offer layer times; its test is a subclass of this class too."""

import tempfile
from pathlib import Path

import pytest

from pipeline.device.runtimes import REST, ProfilingRuntime, Runtime
from pipeline.errors import MeasurementError
from tests.device.runtimes.conformance import SMALL, RuntimeConformance


class LayerTimesConformance(RuntimeConformance):
    """The tests."""

    @pytest.fixture
    def profiler(self, engine: Runtime) -> ProfilingRuntime:
        assert isinstance(engine, ProfilingRuntime)
        return engine

    @pytest.mark.usefixtures("bench_dir")
    @pytest.mark.parametrize("batch", [1, None])
    def test_every_block_has_a_time_and_they_add_up(
        self, profiler: ProfilingRuntime, tmp_path: Path, batch: int | None
    ) -> None:
        target = self.target_of(1)
        artifact = profiler.build(self.models().network(SMALL, batch), target, tmp_path)
        found = profiler.layer_times(artifact, target, warm_runs=5, runs=30)
        places = [operator.place for operator in SMALL.operators()]
        assert list(found.by_place_ms) == [*places, REST]
        assert all(found.by_place_ms[place] > 0 for place in places)
        assert sum(found.by_place_ms.values()) == pytest.approx(found.total_ms)
        # What no node accounts for: for small networks the profiler's own work is a good part.
        assert 0 <= found.by_place_ms[REST] < 0.5 * found.total_ms

    @pytest.mark.usefixtures("bench_dir")
    def test_what_costs_more_takes_longer(self, profiler: ProfilingRuntime, tmp_path: Path) -> None:
        """A block with the largest expansion and kernel against one with the smallest of both."""
        stages = (("mb6_7x7", "mb4_3x3"), *SMALL.stages[1:])
        network = SMALL.model_copy(update={"stages": stages, "resolution": 128})
        target = self.target_of(1)
        artifact = profiler.build(self.models().network(network, 1), target, tmp_path)
        found = profiler.layer_times(artifact, target, warm_runs=5, runs=30).by_place_ms
        assert found["blocks.1.0"] > found["blocks.1.1"]

    @pytest.mark.usefixtures("bench_dir")
    def test_nothing_stays_on_the_disk(
        self, profiler: ProfilingRuntime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        model = self.models().network(SMALL, 1)
        before = sorted(path.name for path in model.iterdir())
        empty = tmp_path / "empty"
        empty.mkdir()
        monkeypatch.setattr(tempfile, "tempdir", str(empty))
        monkeypatch.chdir(empty)
        target = self.target_of(1)
        artifact = profiler.build(model, target, tmp_path / "built")
        profiler.layer_times(artifact, target, warm_runs=1, runs=2)
        failing = profiler.build(
            self.models().failing(tmp_path / "failing"), target, tmp_path / "built"
        )
        with pytest.raises(MeasurementError, match="failing"):
            profiler.layer_times(failing, target, warm_runs=1, runs=2)
        assert list(empty.iterdir()) == []
        assert sorted(path.name for path in model.iterdir()) == before

    def test_a_model_without_blocks_is_told(
        self, profiler: ProfilingRuntime, tmp_path: Path
    ) -> None:
        target = self.target_of(1)
        artifact = profiler.build(
            self.models().small(tmp_path / "small"), target, tmp_path / "built"
        )
        with pytest.raises(MeasurementError, match=r"small.*no node is named after a block"):
            profiler.layer_times(artifact, target, warm_runs=0, runs=1)
