"""Profiling for real: a tiny space, measured, interrupted, gone on with, and used."""

import datetime
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from pipeline.device.fingerprint import environment
from pipeline.device.target import Target
from pipeline.errors import MeasurementError, TableError, UnavailableError
from pipeline.files.cache_folder import CACHE_VARIABLE
from pipeline.latency.calibration import MIN_NETWORKS
from pipeline.latency.in_context import PASSES, in_context_ms, layers_key
from pipeline.latency.model import LatencyModel, model_path
from pipeline.latency.profiling import REFERENCE, _operator_times, profile, visiting_s
from pipeline.latency.sampling import sample_networks
from pipeline.latency.table import network_key
from pipeline.latency.table_files import table_to_write
from pipeline.measure.journal import Journal, read_journal
from pipeline.measure.statistics import Visit
from pipeline.records.profile import ProfileRecord
from pipeline.space.architecture import Architecture
from pipeline.space.architecture_file import published
from pipeline.space.search_space import SearchSpace, get_space
from pipeline.work.progress import Progress
from tests.latency import synthetic
from tests.measure.tiny import CLASSES, QUICK, RESOLUTION, SPACE, TARGET, networks

# In the second sweep of operators and networks, and in the second pass over networks' layers.
STOPPED_AFTER = (30, MIN_NETWORKS + 3)
LAYERS_NOTE = "layers of networks"
HELD_OUT = sample_networks(SPACE, RESOLUTION, CLASSES, MIN_NETWORKS + 1, seed=1)
HELD_OUT = [network for network in HELD_OUT if network not in networks()][:1]


@dataclass
class Profiled:
    """A profile that was stopped twice, gone on with, and asked for once more."""

    folder: Path
    after_stops: list[bytes]
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
        "held_out": HELD_OUT,
        **changes,
    }
    return profile(space, **settings)


@pytest.fixture(scope="module")
def profiled(exports: Path, tmp_path_factory: pytest.TempPathFactory) -> Profiled:
    def stop_among(layers: bool, after: int) -> Progress:
        def stop(done: int, total: int, note: str = "") -> None:
            if (note == LAYERS_NOTE) == layers and done == after:
                raise KeyboardInterrupt

        return stop

    folder = tmp_path_factory.mktemp("profiled")
    exported: list[tuple[int, int, str]] = []
    after_stops = []
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(folder)
        patched.setenv(CACHE_VARIABLE, str(exports))
        path = table_to_write(TARGET)
        for layers, after in zip((False, True), STOPPED_AFTER, strict=True):
            with pytest.raises(KeyboardInterrupt):
                profile_tiny(
                    progress=stop_among(layers, after),
                    export_progress=lambda *at: exported.append(at),
                )
            after_stops.append(path.read_bytes())
            assert not model_path(path).exists()
        record = profile_tiny()
        return Profiled(folder, after_stops, record, profile_tiny(), exported)


@pytest.fixture
def model(profiled: Profiled, monkeypatch: pytest.MonkeyPatch) -> LatencyModel:
    monkeypatch.chdir(profiled.folder)
    return LatencyModel.read(TARGET)


def test_all_operators_and_networks_are_measured(profiled: Profiled, model: LatencyModel) -> None:
    operators = SPACE.distinct_operators(RESOLUTION, CLASSES)
    reference = published(REFERENCE, resolution=RESOLUTION, num_classes=CLASSES)
    keys = {spec.key for spec in operators}
    keys |= {network_key(network) for network in [*networks(), *HELD_OUT, reference]}
    assert set(model.table.entries) == keys
    assert all(stats.typical > 0 for stats in model.table.entries.values())
    record = profiled.record
    assert record.operators == len(operators) == 13
    assert record.visits_measured + record.visits_reused == QUICK.sweeps * len(keys)
    assert record.reference_name == REFERENCE
    assert record.reference_latency_ms == model.table.entries[network_key(reference)].typical
    assert (record.table, record.set_aside) == (str(table_to_write(TARGET)), None)
    assert record.environment == model.table.environment == environment()


def test_the_layers_of_the_calibration_networks_are_measured(model: LatencyModel) -> None:
    assert set(model.table.layers) == {layers_key(network) for network in networks()}
    for network in networks():
        visits = model.table.layers[layers_key(network)]
        assert sorted(visit.sweep for visit in visits) == list(range(PASSES))
        for visit in visits:
            assert len(visit.samples_ms) == len(network.operators())
            assert min(visit.samples_ms) > 0


def test_what_was_measured_before_a_stop_is_kept(profiled: Profiled) -> None:
    path = profiled.folder / table_to_write(TARGET)
    first, second = profiled.after_stops
    assert path.read_bytes().startswith(second)
    assert second.startswith(first)
    assert first.count(b"\n") == 1 + STOPPED_AFTER[0]
    made = [(visit.sweep, visit.key) for visit in read_journal(path)[1]]
    assert len(made) == len(set(made))
    measured_at_the_second_stop = profiled.record.visits_reused + STOPPED_AFTER[1]
    assert second.count(b"\n") == 1 + measured_at_the_second_stop
    assert len(made) == profiled.record.visits_reused + PASSES * MIN_NETWORKS


def test_a_second_profile_measures_nothing_and_says_the_same(profiled: Profiled) -> None:
    first, again = profiled.record, profiled.again
    assert again.visits_measured == 0
    assert again.visits_reused == first.visits_measured + first.visits_reused
    # But for what opening the models took, which only a call that measures knows.
    same_cost = again.calibration.honesty.model_copy(
        update={"cost_s": first.calibration.honesty.cost_s}
    )
    assert first.calibration == again.calibration.model_copy(update={"honesty": same_cost})


def test_the_calibration_rests_on_networks_of_the_space(
    profiled: Profiled, model: LatencyModel
) -> None:
    fit = profiled.record.calibration
    assert model.calibrations == {
        (SPACE.name, RESOLUTION, CLASSES): profiled.again.calibration,
    }
    assert [n.architecture for n in fit.networks] == networks()  # the reference is outside it
    assert HELD_OUT[0] not in networks()
    assert fit.max_depth == 1
    for network in fit.networks:
        measured = model.table.network_ms(network.architecture)
        assert measured is not None
        assert network.measured_ms == measured.typical
        parts = [fit.operators_ms[p.spec.key] for p in network.architecture.operators()]
        assert network.operator_sum_ms == pytest.approx(sum(parts))


def test_operators_times_are_those_of_the_method_that_was_kept(
    profiled: Profiled, model: LatencyModel
) -> None:
    fit = profiled.record.calibration
    operators = SPACE.distinct_operators(RESOLUTION, CLASSES)
    alone = {spec.key: model.table.latency_ms(spec) for spec in operators}
    by_method = {
        "isolated": alone,
        "in_context": in_context_ms(model.table.layers, networks(), alone),
    }
    assert {error.method for error in fit.methods} == set(by_method)
    assert fit.operators_ms == by_method[fit.method]
    best = min(fit.methods, key=lambda error: error.mape_percent)
    assert best.method == fit.method
    assert fit.honesty.mape_percent == pytest.approx(best.mape_percent)


def test_the_honesty_block_is_of_what_was_measured(profiled: Profiled) -> None:
    fit = profiled.record.calibration
    told = fit.honesty
    assert told.networks == MIN_NETWORKS
    errors = [abs(n.predicted_ms / n.measured_ms - 1) for n in fit.networks]
    assert told.mape_percent == pytest.approx(100 * np.mean(errors))
    assert told.max_percent == pytest.approx(100 * max(errors))
    assert told.flops_mape_percent > 0
    assert told.split_half_percent >= 0
    _, visits = read_journal(profiled.folder / table_to_write(TARGET))
    assert told.date in {visit.at[:10] for visit in visits}
    # Where nothing was opened, cost is what lies between visits.
    visiting_s = profiled.again.calibration.honesty.cost_s
    assert 0 < visiting_s <= min(told.cost_s, seconds_between(visits[0], visits[-1]))
    figures = told.model_dump(exclude={"date", "pair10_percent"})
    assert np.isfinite([float(value) for value in figures.values()]).all()


def seconds_between(first: Visit, last: Visit) -> float:
    start, end = (datetime.datetime.fromisoformat(visit.at) for visit in (first, last))
    return (end - start).total_seconds()


def test_the_table_predicts_every_network_of_the_space(
    profiled: Profiled, model: LatencyModel
) -> None:
    table = model.slot_table(SPACE, RESOLUTION, CLASSES)
    smallest, largest = table.extreme(largest=False)[0], table.extreme(largest=True)[0]
    assert np.isfinite([smallest, largest]).all()
    assert smallest < largest
    for network in [*networks(), *HELD_OUT]:
        predicted = model.predict(network)
        assert smallest * (1 - 1e-9) <= predicted.typical <= largest * (1 + 1e-9)
        assert predicted.std > 0
        assert not predicted.foreign
    deeper = Architecture(
        space=SPACE.name,
        resolution=RESOLUTION,
        num_classes=CLASSES,
        stages=(("conv_1x1", "conv_1x1"), *[("conv_1x1",)] * 4),
    )
    with pytest.raises(TableError, match="a stage of 2 was asked"):
        model.predict(deeper)


def test_exports_are_told_of(profiled: Profiled) -> None:
    # The control is one of the networks, and counts once.
    total = 13 + MIN_NETWORKS + 1 + len(HELD_OUT)
    assert profiled.exported[-1][:2] == (total, total)


# What goes into the calibration, from visits that are made up.

SMALL, LARGE = networks()[0], networks()[-1]


def layers(network: Architecture, times: float) -> Visit:
    alone = [synthetic.operator_ms(placed.spec) for placed in network.operators()]
    return synthetic.visit(layers_key(network), [times * ms for ms in alone])


@pytest.mark.usefixtures("workdir")
def test_a_network_left_out_tells_nothing_of_operators_that_it_alone_holds() -> None:
    operators = SPACE.distinct_operators(RESOLUTION, CLASSES)
    path = table_to_write(TARGET)
    with Journal(path, synthetic.header(TARGET)) as journal:
        for network, times in ((SMALL, 2.0), (LARGE, 4.0)):
            journal.append(layers(network, times))
    alone = synthetic.times_of(operators)
    stats = {key: SimpleNamespace(typical=time_ms) for key, time_ms in alone.items()}
    campaign: Any = SimpleNamespace(stats=stats)
    assert set(SMALL.stages) == {("conv_1x1",)}
    assert set(LARGE.stages) == {("conv_5x5",)}
    found = _operator_times(campaign, operators, [SMALL, LARGE], path)
    assert found["isolated"].all_ms == alone
    inside = found["in_context"]
    assert inside.without_ms is not None
    of_small, of_large = ({p.spec for p in network.operators()} for network in (SMALL, LARGE))
    for spec in operators:
        time_ms, without_small, without_large = (
            times[spec.key] / alone[spec.key] for times in (inside.all_ms, *inside.without_ms)
        )
        if spec in of_small and spec in of_large:
            assert (time_ms, without_small, without_large) == pytest.approx((3, 4, 2))
        elif spec in of_small:
            assert (time_ms, without_small, without_large) == pytest.approx((2, 4, 2))
        else:
            assert (time_ms, without_small, without_large) == pytest.approx((4, 4, 2))


@pytest.mark.usefixtures("workdir")
def test_without_layers_of_every_network_operators_are_those_timed_alone() -> None:
    operators = SPACE.distinct_operators(RESOLUTION, CLASSES)
    path = table_to_write(TARGET)
    with Journal(path, synthetic.header(TARGET)) as journal:
        journal.append(layers(LARGE, 2.0))
    stats = {k: SimpleNamespace(typical=ms) for k, ms in synthetic.times_of(operators).items()}
    campaign: Any = SimpleNamespace(stats=stats)
    assert list(_operator_times(campaign, operators, [SMALL, LARGE], path)) == ["isolated"]


def test_the_cost_counts_the_subjects_visits_and_no_interruption() -> None:
    def at(second: int, key: str) -> Visit:
        return synthetic.visit(key, [1.0], at=f"2026-01-01T00:{second // 60:02}:{second % 60:02}Z")

    visits = [at(0, "a"), at(2, "b"), at(5, "other"), at(6, "a"), at(606, "b"), at(610, "a")]
    # From 0 to 2, from 5 to 6, from 606 to 610; ten minutes of nothing are an interruption.
    assert visiting_s(visits, {"a", "b"}) == 2 + 1 + 4
    assert visiting_s(visits, {"other"}) == 3
    assert visiting_s([], {"a"}) == 0


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


@pytest.mark.usefixtures("workdir")
def test_a_network_that_is_held_out_is_not_calibrated_on_though_the_design_has_it() -> None:
    told = f"{MIN_NETWORKS - 1} calibration networks are too few"
    with pytest.raises(MeasurementError, match=told):
        profile_tiny(held_out=[networks()[2]], export_progress=_must_not_be_told)


def _must_not_be_told(done: int, total: int, note: str = "") -> None:
    raise AssertionError(f"{done} of {total}: {note}")
