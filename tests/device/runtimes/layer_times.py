"""What a runtime must do to offer layer times; its test is a subclass of a class here too."""

import tempfile
from pathlib import Path

import pytest

from pipeline.device.runtimes import REST, LayerTimes, ProfilingRuntime, Runtime
from pipeline.errors import MeasurementError
from pipeline.space.architecture import Architecture
from tests.device.runtimes.conformance import SMALL, PrecisionConformance, RuntimeConformance


class BlockTimesConformance(PrecisionConformance):
    """In one precision, every block has its time."""

    def times(
        self, engine: Runtime, network: Architecture, batch: int | None, into: Path
    ) -> LayerTimes:
        assert isinstance(engine, ProfilingRuntime)
        target = self.target_of()
        artifact = engine.build(self.models().network(network, batch), target, into)
        return engine.layer_times(artifact, target, warm_runs=5, runs=30)

    @pytest.mark.usefixtures("bench_dir")
    @pytest.mark.parametrize("batch", [pytest.param(1, marks=pytest.mark.slow), None])
    def test_every_block_has_a_time_and_they_add_up(
        self, engine: Runtime, tmp_path: Path, batch: int | None
    ) -> None:
        found = self.times(engine, SMALL, batch, tmp_path)
        places = [operator.place for operator in SMALL.operators()]
        assert list(found.by_place_ms) == [*places, REST]
        assert all(found.by_place_ms[place] > 0 for place in places)
        assert sum(found.by_place_ms.values()) == pytest.approx(found.total_ms)
        assert found.by_place_ms[REST] >= 0

    @pytest.mark.slow
    @pytest.mark.usefixtures("bench_dir")
    def test_what_costs_more_takes_longer(self, engine: Runtime, tmp_path: Path) -> None:
        """A block with the largest expansion and kernel against one with the smallest of both."""
        stages = (("mb6_7x7", "mb4_3x3"), *SMALL.stages[1:])
        network = SMALL.model_copy(update={"stages": stages, "resolution": 128})
        found = self.times(engine, network, 1, tmp_path)
        assert found.by_place_ms["blocks.1.0"] > found.by_place_ms["blocks.1.1"]
        # What no node accounts for: for small networks the profiler's own work is a good part.
        assert found.by_place_ms[REST] < 0.5 * found.total_ms


class LayerTimesConformance(BlockTimesConformance, RuntimeConformance):
    """All that a runtime that tells the times of layers must do, in its first precision."""

    @pytest.mark.usefixtures("bench_dir")
    def test_nothing_stays_on_the_disk(
        self, engine: Runtime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert isinstance(engine, ProfilingRuntime)
        model = self.models().network(SMALL, None)
        before = sorted(path.name for path in model.iterdir())
        empty = tmp_path / "empty"
        empty.mkdir()
        monkeypatch.setattr(tempfile, "tempdir", str(empty))
        monkeypatch.chdir(empty)
        target = self.target_of()
        artifact = engine.build(model, target, tmp_path / "built")
        engine.layer_times(artifact, target, warm_runs=1, runs=2)
        failing = engine.build(
            self.models().failing(tmp_path / "failing"), target, tmp_path / "built"
        )
        with pytest.raises(MeasurementError, match="failing"):
            engine.layer_times(failing, target, warm_runs=1, runs=2)
        assert list(empty.iterdir()) == []
        assert sorted(path.name for path in model.iterdir()) == before

    def test_a_model_without_blocks_is_told(self, engine: Runtime, tmp_path: Path) -> None:
        assert isinstance(engine, ProfilingRuntime)
        target = self.target_of()
        artifact = engine.build(self.models().small(tmp_path / "small"), target, tmp_path / "built")
        with pytest.raises(MeasurementError, match=r"small.*no node is named after a block"):
            engine.layer_times(artifact, target, warm_runs=0, runs=1)
