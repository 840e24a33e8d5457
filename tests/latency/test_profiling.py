"""Profiling for real: a tiny space, measured, interrupted, gone on with, and used."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.architecture_file import published
from pipeline.device import Target
from pipeline.errors import MeasurementError, TableError, UnavailableError
from pipeline.journal import read_journal
from pipeline.latency.calibration import MIN_NETWORKS
from pipeline.latency.model import LatencyModel, model_path
from pipeline.latency.profiling import REFERENCE, profile
from pipeline.latency.table import network_key
from pipeline.records import ProfileRecord
from pipeline.space import Architecture, SearchSpace, get_space
from pipeline.workspace import CACHE_VARIABLE, table_to_write
from tests.tiny import CLASSES, QUICK, RESOLUTION, SPACE, TARGET, networks

STOPPED_AFTER = 10


@dataclass
class Profiled:
    """A profile that was stopped, gone on with, and asked for once more."""

    folder: Path
    after_the_stop: bytes
    record: ProfileRecord
    again: ProfileRecord
    exported: list[tuple[int, int, str]]


def profile_tiny(space: SearchSpace = SPACE, **changes: Any) -> ProfileRecord:
    settings: dict[str, Any] = {
        "target": TARGET,
        "resolution": RESOLUTION,
        "num_classes": CLASSES,
        "protocol": QUICK,
        "calibration_networks": MIN_NETWORKS,
        **changes,
    }
    return profile(space, **settings)


@pytest.fixture(scope="module")
def profiled(exports: Path, tmp_path_factory: pytest.TempPathFactory) -> Profiled:
    def stop(done: int, total: int, note: str = "") -> None:
        if done == STOPPED_AFTER:
            raise KeyboardInterrupt

    folder = tmp_path_factory.mktemp("profiled")
    exported: list[tuple[int, int, str]] = []
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(folder)
        patched.setenv(CACHE_VARIABLE, str(exports))
        with pytest.raises(KeyboardInterrupt):
            profile_tiny(progress=stop, export_progress=lambda *at: exported.append(at))
        path = table_to_write(TARGET)
        after_the_stop = path.read_bytes()
        assert not model_path(path).exists()
        record = profile_tiny()
        return Profiled(folder, after_the_stop, record, profile_tiny(), exported)


@pytest.fixture
def model(profiled: Profiled, monkeypatch: pytest.MonkeyPatch) -> LatencyModel:
    monkeypatch.chdir(profiled.folder)
    return LatencyModel.read(TARGET)


def test_all_operators_and_networks_are_measured(profiled: Profiled, model: LatencyModel) -> None:
    operators = SPACE.distinct_operators(RESOLUTION, CLASSES)
    reference = published(REFERENCE, resolution=RESOLUTION, num_classes=CLASSES)
    keys = {spec.key for spec in operators}
    keys |= {network_key(network) for network in [*networks(), reference]}
    assert set(model.table.entries) == keys
    assert all(stats.typical > 0 for stats in model.table.entries.values())
    record = profiled.record
    assert record.operators == len(operators) == 13
    assert record.visits_measured + record.visits_reused == QUICK.sweeps * len(keys)
    assert record.reference_name == REFERENCE
    assert record.reference_latency_ms == model.table.entries[network_key(reference)].typical
    assert record.table == str(table_to_write(TARGET))


def test_what_was_measured_before_a_stop_is_kept(profiled: Profiled) -> None:
    assert profiled.record.visits_reused == STOPPED_AFTER
    path = profiled.folder / table_to_write(TARGET)
    assert path.read_bytes().startswith(profiled.after_the_stop)
    made = [(visit.sweep, visit.key) for visit in read_journal(path)[1]]
    assert len(made) == len(set(made))


def test_a_second_profile_measures_nothing_and_says_the_same(profiled: Profiled) -> None:
    first, again = profiled.record, profiled.again
    assert again.visits_measured == 0
    assert again.visits_reused == first.visits_measured + first.visits_reused
    assert again.calibration == first.calibration
    assert again.control == first.control


def test_the_calibration_rests_on_networks_of_the_space(
    profiled: Profiled, model: LatencyModel
) -> None:
    fit = profiled.record.calibration
    assert model.calibrations == {("cream", RESOLUTION, CLASSES): fit}
    assert [n.architecture for n in fit.networks] == networks()  # the reference is outside it
    assert fit.max_depth == 1
    for network in fit.networks:
        measured = model.table.network_ms(network.architecture)
        assert measured is not None
        assert network.measured_ms == measured.typical
        parts = [model.table.latency_ms(p.spec) for p in network.architecture.operators()]
        assert network.operator_sum_ms == pytest.approx(sum(parts))


def test_the_table_predicts_every_network_of_the_space(
    profiled: Profiled, model: LatencyModel
) -> None:
    for network in profiled.record.calibration.networks:
        predicted = model.predict(network.architecture)
        assert predicted.typical == pytest.approx(network.predicted_ms)
    smallest, largest = model.reachable_ms(SPACE, RESOLUTION, CLASSES)
    assert np.isfinite([smallest, largest]).all()
    assert smallest < largest
    deeper = Architecture(
        space="cream",
        resolution=RESOLUTION,
        num_classes=CLASSES,
        stages=(("mb4_3x3", "mb4_3x3"), *[("mb4_3x3",)] * 4),
    )
    with pytest.raises(TableError, match="a stage of 2 was asked"):
        model.predict(deeper)


def test_exports_are_told_of(profiled: Profiled) -> None:
    total = 1 + 13 + MIN_NETWORKS + 1
    assert profiled.exported[-1][:2] == (total, total)


@pytest.mark.usefixtures("bench_dir")
def test_a_target_on_another_machine_leaves_no_table() -> None:
    foreign = Target.parse("another-board/onnxruntime-fp32-b1-t1")
    with pytest.raises(UnavailableError, match="another-board"):
        profile_tiny(target=foreign)
    with pytest.raises(TableError):
        LatencyModel.read(foreign)


@pytest.mark.usefixtures("workdir")
def test_a_space_with_too_few_networks_is_refused_before_anything_is_exported() -> None:
    lonely = get_space("cream").narrowed(max_depth=1, operators=["mb4_3x3"])
    with pytest.raises(MeasurementError, match="1 calibration networks are too few"):
        profile_tiny(space=lonely, export_progress=_must_not_be_told)
    assert not table_to_write(TARGET).exists()


def _must_not_be_told(done: int, total: int, note: str = "") -> None:
    raise AssertionError(f"{done} of {total}: {note}")
