"""Predictions of whole networks from a synthetic table, and what is refused instead of guessed."""

import itertools
import json
import shlex
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.device.fingerprint import environment
from pipeline.errors import MissingEntriesError, StorageError, TableError
from pipeline.files.whole import read_record, write_record
from pipeline.latency.calibration import posterior_of
from pipeline.latency.drift import check_path
from pipeline.latency.model import LatencyModel, ModelFile, model_path, save_calibration
from pipeline.latency.table import LatencyTable
from pipeline.records.calibration import Calibration, DriftCheck
from pipeline.records.candidates import LatencyPrediction
from pipeline.search.variation import Variation
from pipeline.space.architecture import Architecture
from pipeline.space.encoding import Rows, encode
from pipeline.space.operator_spec import parse_key
from pipeline.space.search_space import SearchSpace, get_space
from tests.latency import synthetic
from tests.latency.synthetic import TARGET, header, network_ms, times_of, write_table
from tests.space.every_row import every_row

CREAM = get_space("cream")
CLASSES = 10
RESOLUTIONS = (32, 96)
SMALL = CREAM.narrowed(max_depth=2, operators=["mb4_3x3", "mb6_7x7"])


def reachable_ms(
    model: LatencyModel, space: SearchSpace, resolution: int, num_classes: int
) -> tuple[float, float]:
    """Smallest and largest predicted latency in a space."""
    table = model.slot_table(space, resolution, num_classes)
    return table.extreme(largest=False)[0], table.extreme(largest=True)[0]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> LatencyModel:
    """Of the whole space at two resolutions."""
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(tmp_path_factory.mktemp("model"))
        synthetic.write_calibrated_table(CREAM, RESOLUTIONS, CLASSES)
        return LatencyModel.read(TARGET)


def small_table(**changes: Any) -> LatencyTable:
    """A table in the working directory, calibrated for the narrowed space."""
    path = write_table(times_of(SMALL.distinct_operators(32, CLASSES)), **changes)
    save_calibration(path, TARGET, synthetic.calibration(SMALL, 32, CLASSES))
    return LatencyTable.read(TARGET)


def a_network(resolution: int = 32, depth: int = 1, **changes: object) -> Architecture:
    stages = (("mb4_3x3",) * depth,) * 5
    fields = {"space": "cream", "resolution": resolution, "num_classes": CLASSES, **changes}
    return Architecture.model_validate({"stages": stages, **fields})


def random_network(resolution: int, seed: int) -> Architecture:
    random = np.random.default_rng(seed)
    stages = [
        [str(name) for name in random.choice(CREAM.operators, size=random.integers(1, 7))]
        for _ in CREAM.stages
    ]
    return a_network(resolution, stages=stages)


# The tests with hypothesis are inside, so that it does not print a whole model at each example.


def test_one_and_many_predict_the_same(model: LatencyModel) -> None:
    """Also where rows of both resolutions are mixed."""
    one_network = st.builds(random_network, st.sampled_from(RESOLUTIONS), st.integers(0, 2**32))

    @given(st.lists(one_network, min_size=1, max_size=8))
    @settings(max_examples=30)
    def holds(networks: list[Architecture]) -> None:
        typical, std = model.predict_batch(CREAM, encode(CREAM, networks), CLASSES)
        assert typical.shape == std.shape == (len(networks),)
        for network, one, spread in zip(networks, typical, std, strict=True):
            predicted = model.predict(network)
            assert predicted.typical == pytest.approx(one, rel=1e-9)
            assert predicted.std == pytest.approx(spread, rel=1e-9)
            assert not predicted.foreign

    holds()


def test_predictions_are_those_of_the_calibrations_posterior(model: LatencyModel) -> None:
    """Which counts operators walk by walk, where the model looks them up slot by slot."""
    for resolution in RESOLUTIONS:
        known = model.calibrations["cream", resolution, CLASSES]
        networks = [random_network(resolution, seed) for seed in range(30)]
        specs = [parse_key(key) for key in known.operators_ms]
        posterior, counted = posterior_of(known), synthetic.as_regression(specs, networks)
        mean = posterior.mean_ms(counted)
        typical, std = model.predict_batch(CREAM, encode(CREAM, networks), CLASSES)
        assert typical == pytest.approx(mean, rel=1e-9)
        assert std == pytest.approx(posterior.std_ms(counted, mean), rel=1e-9)


def test_networks_never_measured_are_predicted(model: LatencyModel) -> None:
    errors = []
    for resolution in RESOLUTIONS:
        for seed in range(40):
            network = random_network(resolution, seed)
            predicted, truth = model.predict(network), network_ms(network)
            errors.append(abs(predicted.typical / truth - 1))
            assert abs(predicted.typical - truth) < 3 * predicted.std
    assert max(errors) < 0.01


def test_a_name_changes_nothing(model: LatencyModel) -> None:
    assert model.predict(a_network()) == model.predict(a_network(name="mine"))


def test_a_batch_of_none_is_none(model: LatencyModel) -> None:
    typical, std = model.predict_batch(CREAM, encode(CREAM, []), CLASSES)
    assert typical.shape == std.shape == (0,)


def test_a_narrowed_space_predicts_what_the_whole_one_does(model: LatencyModel) -> None:
    networks = [a_network(depth=2), a_network(stages=(("mb6_7x7", "mb4_3x3"),) * 5)]
    narrow = model.predict_batch(SMALL, encode(SMALL, networks), CLASSES)
    whole = model.predict_batch(CREAM, encode(CREAM, networks), CLASSES)
    assert narrow[0] == pytest.approx(whole[0], rel=1e-9)
    assert narrow[1] == pytest.approx(whole[1], rel=1e-9)


# What the space reaches.


@pytest.mark.parametrize("per_block_ms", [synthetic.PER_BLOCK_MS, 0.0, -0.05, -5.0])
def test_reachable_bounds_are_those_of_all_networks(
    model: LatencyModel, per_block_ms: float
) -> None:
    """Also where a block more is predicted to cost less."""
    known = model.calibrations["cream", 32, CLASSES]
    changed = known.model_copy(update={"per_block_ms": per_block_ms, "offset_ms": 100.0})
    bent = LatencyModel(model.table, {("cream", 32, CLASSES): changed})
    smallest, largest = reachable_ms(bent, SMALL, 32, CLASSES)
    rows = every_row(SMALL, 32)
    assert len(rows) == SMALL.count()
    typical, _ = bent.predict_batch(SMALL, rows, CLASSES)
    assert smallest == pytest.approx(typical.min(), rel=1e-12)
    assert largest == pytest.approx(typical.max(), rel=1e-12)


def test_reachable_bounds_hold_for_the_whole_space(model: LatencyModel) -> None:
    smallest, largest = reachable_ms(model, CREAM, 96, CLASSES)

    @given(st.integers(0, 2**32))
    @settings(max_examples=50)
    def holds(seed: int) -> None:
        assert smallest <= model.predict(random_network(96, seed)).typical <= largest

    holds()


def test_reachable_bounds_are_reached(model: LatencyModel) -> None:
    smallest, largest = reachable_ms(model, CREAM, 96, CLASSES)
    assert model.predict(a_network(96)).typical == pytest.approx(smallest)
    deepest = a_network(96, stages=(("mb6_7x7",) * 6,) * 5)
    assert model.predict(deepest).typical == pytest.approx(largest)


# As sums over slots.


@pytest.fixture(scope="module")
def scaled(model: LatencyModel) -> LatencyModel:
    """The same, once a check found everything slower."""
    return LatencyModel(model.table, model.calibrations, scale=1.25)


def random_rows(space: SearchSpace, resolution: int, count: int, seed: int) -> Rows:
    variation = Variation.of(space, (resolution,))
    return variation.random(count, np.random.default_rng(seed))


@pytest.mark.parametrize("space", [SMALL, CREAM.narrowed(max_depth=3), CREAM])
@pytest.mark.parametrize("resolution", RESOLUTIONS)
def test_a_sum_over_slots_is_to_the_bit_what_is_predicted(
    model: LatencyModel, scaled: LatencyModel, space: SearchSpace, resolution: int
) -> None:
    rows = random_rows(space, resolution, 40, 1)
    for one in (model, scaled):
        table = one.slot_table(space, resolution, CLASSES)
        assert table.totals(rows).tolist() == one.predict_batch(space, rows, CLASSES)[0].tolist()
        assert (table.extreme(largest=False)[0], table.extreme(largest=True)[0]) == (
            reachable_ms(one, space, resolution, CLASSES)
        )


@pytest.mark.parametrize("space", [SMALL, CREAM])
def test_a_tangent_is_the_uncertainty_at_its_row_and_nowhere_above_it(
    model: LatencyModel, scaled: LatencyModel, space: SearchSpace
) -> None:
    for one, resolution in itertools.product((model, scaled), RESOLUTIONS):
        rows = random_rows(space, resolution, 60, 2)
        std = one.predict_batch(space, rows, CLASSES)[1]
        for place in (0, 20, 40):
            tangent = one.std_tangent(space, rows[place], CLASSES)
            assert tangent.resolution == resolution
            below = tangent.totals(rows)
            assert below[place] == pytest.approx(std[place], rel=1e-9)
            assert (below <= std * (1 + 1e-9)).all()
            # It follows the uncertainty rather than lying far below it.
            assert (below > 0.5 * std).mean() > 0.5


def test_what_networks_were_seen_to_take_leaves_sums_over_slots_as_they_were(
    model: LatencyModel,
) -> None:
    rows = random_rows(CREAM, 32, 10, 3)
    network = a_network(depth=2)
    slow = LatencyPrediction(typical=2 * model.predict(network).typical, std=0.001)
    updated = model.updated([network], [slow])
    assert updated.predict(network).typical > model.predict(network).typical
    for one, same in (
        (model.slot_table(CREAM, 32, CLASSES), updated.slot_table(CREAM, 32, CLASSES)),
        (
            model.std_tangent(CREAM, rows[0], CLASSES),
            updated.std_tangent(CREAM, rows[0], CLASSES),
        ),
    ):
        assert one.totals(rows).tolist() == same.totals(rows).tolist()


@pytest.mark.usefixtures("workdir")
def test_a_sum_over_slots_is_refused_where_a_prediction_would_be() -> None:
    small_table()
    model = LatencyModel.read(TARGET)
    assert model.slot_table(SMALL, 32, CLASSES).max_depth == 2
    with pytest.raises(TableError, match="is not calibrated for cream at 64 px"):
        model.slot_table(SMALL, 64, CLASSES)
    with pytest.raises(TableError, match="a stage of 3 was asked"):
        model.slot_table(CREAM.narrowed(max_depth=3, operators=SMALL.operators), 32, CLASSES)
    wider = CREAM.narrowed(max_depth=2, operators=[*SMALL.operators, "mb6_5x5"])
    with pytest.raises(MissingEntriesError):
        model.slot_table(wider, 32, CLASSES)


# What is refused.


@pytest.mark.parametrize(
    ("change", "asked"),
    [
        ({"resolution": 64}, "cream at 64 px with 10 classes"),
        ({"resolution": 128}, "cream at 128 px with 10 classes"),
        ({"num_classes": 11}, "cream at 32 px with 11 classes"),
        ({"space": "cream-table1"}, "cream-table1 at 32 px with 10 classes"),
    ],
)
def test_what_was_not_calibrated_is_refused_with_what_was(
    model: LatencyModel, change: dict[str, object], asked: str
) -> None:
    network = a_network(**change)
    space = get_space(network.space)
    for predict in (
        lambda: model.predict(network),
        lambda: model.predict_batch(space, encode(space, [network]), network.num_classes),
        lambda: reachable_ms(model, space, network.resolution, network.num_classes),
    ):
        with pytest.raises(TableError, match=f"is not calibrated for {asked}") as caught:
            predict()
        assert "cream at 32 px, 10 classes, cream at 96 px, 10 classes" in caught.value.message
        words = shlex.split(caught.value.hint or "")
        for option, value in (
            ("--target", TARGET.name),
            ("--space", network.space),
            ("--resolution", str(network.resolution)),
            ("--num-classes", str(network.num_classes)),
        ):
            assert words[words.index(option) + 1] == value


def test_one_row_that_was_not_calibrated_refuses_the_batch(model: LatencyModel) -> None:
    rows = encode(CREAM, [a_network(32), a_network(64), a_network(96)])
    with pytest.raises(TableError, match="at 64 px"):
        model.predict_batch(CREAM, rows, CLASSES)


@pytest.mark.usefixtures("workdir")
def test_a_network_deeper_than_those_calibrated_on_is_refused() -> None:
    write_table(times_of(CREAM.distinct_operators(32, CLASSES)))
    small_table()
    model = LatencyModel.read(TARGET)
    assert model.predict(a_network(depth=2)).typical > 0
    uneven = a_network(stages=(("mb4_3x3",),) * 4 + (("mb4_3x3",) * 3,))
    told = r"up to 2 blocks a stage; a stage of 3 was asked"
    with pytest.raises(TableError, match=told) as caught:
        model.predict(uneven)
    assert "--space cream" in (caught.value.hint or "")
    with pytest.raises(TableError, match=told):
        reachable_ms(model, CREAM.narrowed(max_depth=3, operators=SMALL.operators), 32, CLASSES)


@pytest.mark.usefixtures("workdir")
def test_an_operator_that_was_not_measured_is_named_and_others_predict() -> None:
    small_table()
    model = LatencyModel.read(TARGET)
    missing = CREAM.block(3, 1, "mb6_5x5", 32)
    stages = [("mb4_3x3",)] * 5
    assert model.predict(a_network(stages=stages)).typical > 0
    stages[3] = ("mb4_3x3", "mb6_5x5")
    lacking = a_network(stages=stages)
    with pytest.raises(MissingEntriesError, match=rf"no entry for {missing.key} \(8 of 9 meas"):
        model.predict(lacking)
    with pytest.raises(MissingEntriesError, match=missing.key):
        model.predict_batch(CREAM, encode(CREAM, [a_network(), lacking]), CLASSES)
    wider = CREAM.narrowed(max_depth=2, operators=[*SMALL.operators, "mb6_5x5"])
    with pytest.raises(MissingEntriesError, match=r"no entry for ir_k5_.* \(23 of 33 measured"):
        reachable_ms(model, wider, 32, CLASSES)
    assert reachable_ms(model, SMALL, 32, CLASSES)[0] > 0


@pytest.mark.usefixtures("workdir")
def test_an_operator_that_was_measured_after_the_calibration_is_refused_too() -> None:
    write_table(times_of(CREAM.distinct_operators(32, CLASSES)))
    small_table()
    model = LatencyModel.read(TARGET)
    late = CREAM.block(3, 0, "mb6_5x5", 32)
    stages = [("mb4_3x3",)] * 5
    stages[3] = ("mb6_5x5",)
    wider = CREAM.narrowed(max_depth=2, operators=[*SMALL.operators, "mb6_5x5"])
    for predict in (
        lambda: model.predict(a_network(stages=stages)),
        lambda: reachable_ms(model, wider, 32, CLASSES),
    ):
        told = r"has ir_k5_.*, but its calibration for cream at 32 px was made without it"
        with pytest.raises(TableError, match=told) as caught:
            predict()
        assert "profile --target" in (caught.value.hint or "")
    with pytest.raises(TableError, match=f"has {late.key}, but"):
        model.predict(a_network(stages=stages))


@pytest.mark.usefixtures("workdir")
def test_a_table_that_was_never_calibrated_is_refused() -> None:
    write_table(times_of(CREAM.distinct_operators(32, CLASSES)))
    with pytest.raises(TableError, match=r"is not calibrated: .*\.model\.json is not") as caught:
        LatencyModel.read(TARGET)
    assert f"profile --target {TARGET.name}" in (caught.value.hint or "")


# Tables of another machine.

ELSEWHERE = [
    ({"cpu": "Another CPU"}, "cpu was 'Another CPU', is "),
    ({"cpu_flags": ("never_heard_of",)}, "cpu_flags was 'never_heard_of', is "),
    ({"packages": {**environment().packages, "onnxruntime": "0.1"}}, "onnxruntime was 0.1, is "),
    ({"packages": {**environment().packages, "torch": "0.1"}}, "torch was 0.1, is "),
]


@pytest.mark.usefixtures("workdir")
@pytest.mark.parametrize(("change", "told"), ELSEWHERE)
def test_a_table_of_another_machine_is_refused_with_what_differs(
    change: dict[str, Any], told: str
) -> None:
    small_table(changes=header(machine=replace(environment(), **change)))
    with pytest.raises(TableError, match="does not hold on this machine: ") as caught:
        LatencyModel.read(TARGET)
    assert told in caught.value.message
    assert f"profile --target {TARGET.name}" in (caught.value.hint or "")
    assert "--allow-foreign" in (caught.value.hint or "")


@pytest.mark.usefixtures("workdir")
@pytest.mark.parametrize(("change", "told"), ELSEWHERE)
def test_a_foreign_table_that_is_wanted_predicts_and_every_prediction_says_so(
    change: dict[str, Any], told: str
) -> None:
    small_table(changes=header(machine=replace(environment(), **change)))
    model = LatencyModel.read(TARGET, allow_foreign=True)
    (difference,) = model.foreign
    assert difference.startswith(told)
    predicted = model.predict(a_network())
    assert predicted.foreign
    own = LatencyModel(model.table, model.calibrations).predict(a_network())
    assert not own.foreign
    assert (predicted.typical, predicted.std) == (own.typical, own.std)


@pytest.mark.usefixtures("workdir")
def test_what_does_not_matter_for_latency_makes_no_table_foreign() -> None:
    machine = replace(environment(), memory_gib=0.5, os="Another 1.0")
    small_table(changes=header(machine=machine))
    assert LatencyModel.read(TARGET).foreign == ()
    assert not LatencyModel.read(TARGET, allow_foreign=True).predict(a_network()).foreign


@pytest.mark.usefixtures("workdir")
def test_a_table_that_does_not_say_where_it_was_measured_is_foreign() -> None:
    small_table(changes={"environment": None})
    with pytest.raises(TableError, match="it does not say what it was measured on"):
        LatencyModel.read(TARGET)
    assert LatencyModel.read(TARGET, allow_foreign=True).predict(a_network()).foreign


# What a check found since.


def checked(table: LatencyTable, **changes: Any) -> None:
    fields: dict[str, Any] = {
        "target": TARGET.name,
        "visits": table.num_visits,
        "verdict": "scaled",
        "scale": 1.25,
        "change_percent": {"control": 25.0},
        "spread_percent": 0.4,
        "at": "2026-01-02T03:04:05.000+00:00",
        "seconds": 10.0,
    }
    write_record(check_path(TARGET), DriftCheck(**{**fields, **changes}))


@pytest.mark.usefixtures("workdir")
def test_everything_a_table_predicts_is_scaled_as_the_check_found() -> None:
    table = small_table()
    before = LatencyModel.read(TARGET)
    checked(table)
    after = LatencyModel.read(TARGET)
    assert (before.scale, after.scale) == (1.0, 1.25)
    rows = encode(SMALL, [a_network(), a_network(depth=2)])
    for was, now in zip(
        before.predict_batch(SMALL, rows, CLASSES),
        after.predict_batch(SMALL, rows, CLASSES),
        strict=True,
    ):
        assert now == pytest.approx(1.25 * was, rel=1e-9)
    one, scaled = before.predict(a_network()), after.predict(a_network())
    assert scaled.typical == pytest.approx(1.25 * one.typical)
    assert scaled.std == pytest.approx(1.25 * one.std)
    reached = reachable_ms(before, SMALL, 32, CLASSES)
    assert reachable_ms(after, SMALL, 32, CLASSES) == pytest.approx([1.25 * ms for ms in reached])


@pytest.mark.usefixtures("workdir")
def test_a_stale_table_predicts_nothing() -> None:
    checked(small_table(), verdict="stale", scale=1.0, change_percent={"control": 8.0, "b": -1.5})
    for allow_foreign in (False, True):
        with pytest.raises(TableError, match=r"is stale: checked at 2026-01-02T03") as caught:
            LatencyModel.read(TARGET, allow_foreign=allow_foreign)
        assert "-1.5 to +8.0 %" in caught.value.message
        assert f"profile --target {TARGET.name}" in (caught.value.hint or "")


# The file.


@pytest.mark.usefixtures("workdir")
def test_a_calibration_replaces_its_own_kind_and_keeps_the_others() -> None:
    path = write_table(times_of(CREAM.distinct_operators(32, CLASSES)))
    first, second = (synthetic.calibration(SMALL, r, CLASSES) for r in RESOLUTIONS)
    other_classes = synthetic.calibration(SMALL, 32, CLASSES + 1)
    for saved in (first, second, other_classes):
        save_calibration(path, TARGET, saved)
    newer = first.model_copy(update={"offset_ms": 9.0})
    save_calibration(path, TARGET, newer)
    read = LatencyModel.read(TARGET).calibrations
    assert read == {
        ("cream", 32, CLASSES): newer,
        ("cream", 96, CLASSES): second,
        ("cream", 32, CLASSES + 1): other_classes,
    }
    assert len(read_record(model_path(path), ModelFile).calibrations) == 3
    assert model_path(path).name == "onnxruntime-fp32-b1-t1.model.json"
    assert [file.name for file in path.parent.iterdir() if file.name.startswith(".")] == []


@pytest.mark.usefixtures("workdir")
def test_a_model_that_was_read_predicts_what_the_calibration_does(model: LatencyModel) -> None:
    known = model.calibrations["cream", 32, CLASSES]
    assert Calibration.model_validate_json(known.model_dump_json()) == known
    fresh = LatencyModel(
        model.table, {("cream", 32, CLASSES): synthetic.calibration(CREAM, 32, CLASSES)}
    )
    network = random_network(32, 7)
    assert model.predict(network).typical == pytest.approx(fresh.predict(network).typical, rel=1e-9)
    assert model.predict(network).std == pytest.approx(fresh.predict(network).std, rel=1e-9)


def old_file(table: LatencyTable) -> None:
    content = json.loads(model_path(table.path).read_text())
    content["schema_version"] = 1
    content["calibrations"][0]["scale"] = 1.1
    model_path(table.path).write_text(json.dumps(content))


@pytest.mark.usefixtures("workdir")
def test_a_model_of_an_older_version_is_refused_with_the_command_that_renews_it() -> None:
    table = small_table()
    old_file(table)
    with pytest.raises(TableError, match=r"model\.json: was calibrated by an older ver") as caught:
        LatencyModel.read(TARGET)
    assert f"run_pipeline.py profile --target {TARGET.name}" in (caught.value.hint or "")
    save_calibration(table.path, TARGET, synthetic.calibration(SMALL, 96, CLASSES))
    # Nothing of the older version is kept, since nothing reads it any more.
    assert list(LatencyModel.read(TARGET).calibrations) == [("cream", 96, CLASSES)]


@pytest.mark.usefixtures("workdir")
@pytest.mark.parametrize(
    "content",
    [
        '{"target": "x"', "", "[]", "null", '{"schema_version": 2}', '{"schema_version": 3}',
        '{"schema_version": "two", "target": "x", "calibrations": []}',
    ],
)  # fmt: skip
def test_a_damaged_model_file_is_named_and_not_written_over(content: str) -> None:
    table = small_table()
    model_path(table.path).write_text(content)
    with pytest.raises(StorageError, match=r"\.model\.json"):
        LatencyModel.read(TARGET)
    with pytest.raises(StorageError, match=r"\.model\.json"):
        save_calibration(table.path, TARGET, synthetic.calibration(SMALL, 32, CLASSES))
    assert model_path(table.path).read_text() == content
