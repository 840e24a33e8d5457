"""Predictions of whole networks from a synthetic table, and what is refused instead of guessed."""

import itertools
import shlex
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.encoding import encode
from pipeline.errors import MissingEntriesError, StorageError, TableError
from pipeline.files import read_record
from pipeline.latency.model import LatencyModel, ModelFile, model_path, save_calibration
from pipeline.records import Calibration
from pipeline.space import Architecture, SearchSpace, get_space
from tests.latency import synthetic
from tests.latency.synthetic import TARGET, network_ms, operator_sum_ms, times_of, write_table

CREAM = get_space("cream")
CLASSES = 10
RESOLUTIONS = (32, 64)
SMALL = CREAM.narrowed(max_depth=2, operators=["mb4_3x3", "mb6_7x7"])


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> LatencyModel:
    """Of the whole space at two resolutions; every prediction is exactly `network_ms`."""
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(tmp_path_factory.mktemp("model"))
        specs = [s for r in RESOLUTIONS for s in CREAM.distinct_operators(r, CLASSES)]
        path = write_table(times_of(specs))
        for resolution in RESOLUTIONS:
            save_calibration(path, TARGET, synthetic.calibration(CREAM, resolution, CLASSES))
        return LatencyModel.read(TARGET)


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
    one_network = st.builds(random_network, st.sampled_from(RESOLUTIONS), st.integers(0, 2**32))

    @given(st.lists(one_network, min_size=1, max_size=8))
    @settings(max_examples=50)
    def holds(networks: list[Architecture]) -> None:
        typical, std = model.predict_batch(CREAM, encode(CREAM, networks), CLASSES)
        assert typical.shape == std.shape == (len(networks),)
        for network, one, spread in zip(networks, typical, std, strict=True):
            predicted = model.predict(network)
            assert (predicted.typical, predicted.std) == (one, spread)
            assert one == pytest.approx(network_ms(network), rel=1e-6)

    holds()


def test_the_uncertainty_is_that_of_networks_left_out(model: LatencyModel) -> None:
    told = {}
    for resolution, relative_std in zip(RESOLUTIONS, (0.03, 0.05), strict=True):
        known = model.calibrations["cream", resolution, CLASSES]
        told["cream", resolution, CLASSES] = known.model_copy(update={"relative_std": relative_std})
    uncertain = LatencyModel(model.table, told)
    for resolution, relative_std in zip(RESOLUTIONS, (0.03, 0.05), strict=True):
        predicted = uncertain.predict(a_network(resolution))
        assert predicted.std == pytest.approx(relative_std * predicted.typical)


def test_a_name_changes_nothing(model: LatencyModel) -> None:
    assert model.predict(a_network()) == model.predict(a_network(name="mine"))


def test_a_batch_of_none_is_none(model: LatencyModel) -> None:
    typical, std = model.predict_batch(CREAM, encode(CREAM, []), CLASSES)
    assert typical.shape == std.shape == (0,)


def test_a_narrowed_space_predicts_what_the_whole_one_does(model: LatencyModel) -> None:
    network = a_network(depth=2)
    narrow, _ = model.predict_batch(SMALL, encode(SMALL, [network]), CLASSES)
    assert narrow[0] == pytest.approx(model.predict(network).typical)


# What the space reaches.


def every_network(space: SearchSpace, resolution: int) -> Iterator[Architecture]:
    stages = [
        stage
        for depth in range(1, space.max_depth + 1)
        for stage in itertools.product(space.operators, repeat=depth)
    ]
    for chosen in itertools.product(stages, repeat=len(space.stages)):
        yield Architecture(
            space=space.name, resolution=resolution, num_classes=CLASSES, stages=chosen
        )


@pytest.mark.parametrize("per_block_ms", [synthetic.PER_BLOCK_MS, 0.0, -0.05, -5.0])
def test_reachable_bounds_are_those_of_all_networks(
    model: LatencyModel, per_block_ms: float
) -> None:
    """Also where a block more is predicted to cost less."""
    known = model.calibrations["cream", 32, CLASSES]
    changed = known.model_copy(update={"per_block_ms": per_block_ms, "offset_ms": 100.0})
    bent = LatencyModel(model.table, {("cream", 32, CLASSES): changed})
    smallest, largest = bent.reachable_ms(SMALL, 32, CLASSES)
    rows = encode(SMALL, every_network(SMALL, 32))
    assert len(rows) == SMALL.count()
    typical, _ = bent.predict_batch(SMALL, rows, CLASSES)
    assert smallest == pytest.approx(typical.min(), rel=1e-12)
    assert largest == pytest.approx(typical.max(), rel=1e-12)


def test_reachable_bounds_hold_for_the_whole_space(model: LatencyModel) -> None:
    smallest, largest = model.reachable_ms(CREAM, 64, CLASSES)

    @given(st.integers(0, 2**32))
    @settings(max_examples=50)
    def holds(seed: int) -> None:
        assert smallest <= model.predict(random_network(64, seed)).typical <= largest

    holds()


def test_reachable_bounds_are_reached(model: LatencyModel) -> None:
    smallest, largest = model.reachable_ms(CREAM, 64, CLASSES)
    assert model.predict(a_network(64)).typical == pytest.approx(smallest)
    deepest = a_network(64, stages=(("mb6_7x7",) * 6,) * 5)
    assert model.predict(deepest).typical == pytest.approx(largest)


# What is refused.


@pytest.mark.parametrize(
    ("change", "asked"),
    [
        ({"resolution": 96}, "cream at 96 px with 10 classes"),
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
        lambda: model.reachable_ms(space, network.resolution, network.num_classes),
    ):
        with pytest.raises(TableError, match=f"is not calibrated for {asked}") as caught:
            predict()
        assert "cream at 32 px, 10 classes, cream at 64 px, 10 classes" in caught.value.message
        words = shlex.split(caught.value.hint or "")
        for option, value in (
            ("--target", TARGET.name),
            ("--space", network.space),
            ("--resolution", str(network.resolution)),
            ("--num-classes", str(network.num_classes)),
        ):
            assert words[words.index(option) + 1] == value


def test_one_row_that_was_not_calibrated_refuses_the_batch(model: LatencyModel) -> None:
    rows = encode(CREAM, [a_network(32), a_network(128), a_network(64)])
    with pytest.raises(TableError, match="at 128 px"):
        model.predict_batch(CREAM, rows, CLASSES)


@pytest.mark.usefixtures("workdir")
def test_a_network_deeper_than_those_calibrated_on_is_refused() -> None:
    path = write_table(times_of(CREAM.distinct_operators(32, CLASSES)))
    save_calibration(path, TARGET, synthetic.calibration(SMALL, 32, CLASSES))
    model = LatencyModel.read(TARGET)
    assert model.predict(a_network(depth=2)).typical > 0
    uneven = a_network(stages=(("mb4_3x3",),) * 4 + (("mb4_3x3",) * 3,))
    with pytest.raises(TableError, match=r"up to 2 blocks a stage; a stage of 3 was asked") as e:
        model.predict(uneven)
    assert "--space cream" in (e.value.hint or "")


@pytest.mark.usefixtures("workdir")
def test_an_operator_that_was_not_measured_is_named_and_others_predict() -> None:
    missing = CREAM.block(3, 1, "mb6_5x5", 32)
    specs = [spec for spec in CREAM.distinct_operators(32, CLASSES) if spec != missing]
    path = write_table(times_of(specs))
    save_calibration(path, TARGET, synthetic.calibration(CREAM, 32, CLASSES))
    model = LatencyModel.read(TARGET)
    stages = [("mb4_3x3",)] * 5
    assert model.predict(a_network(stages=stages)).typical > 0
    stages[3] = ("mb6_5x5",)  # first in its stage it is another operator
    assert model.predict(a_network(stages=stages)).typical > 0
    stages[3] = ("mb4_3x3", "mb6_5x5")
    lacking = a_network(stages=stages)
    with pytest.raises(MissingEntriesError, match=rf"no entry for {missing.key} \(8 of 9 meas"):
        model.predict(lacking)
    with pytest.raises(MissingEntriesError, match=missing.key):
        model.predict_batch(CREAM, encode(CREAM, [a_network(), lacking]), CLASSES)
    with pytest.raises(MissingEntriesError, match=rf"{missing.key} \({len(specs)} of "):
        model.reachable_ms(CREAM, 32, CLASSES)
    assert model.reachable_ms(SMALL, 32, CLASSES)[0] > 0


@pytest.mark.usefixtures("workdir")
def test_a_table_that_was_never_calibrated_is_refused() -> None:
    write_table(times_of(CREAM.distinct_operators(32, CLASSES)))
    with pytest.raises(TableError, match=r"is not calibrated: .*\.model\.json is not") as caught:
        LatencyModel.read(TARGET)
    assert f"profile --target {TARGET.name}" in (caught.value.hint or "")


@pytest.mark.usefixtures("workdir")
def test_a_damaged_model_file_is_named() -> None:
    path = write_table(times_of(CREAM.distinct_operators(32, CLASSES)))
    model_path(path).write_text('{"target": "x"')
    with pytest.raises(StorageError, match=r"\.model\.json"):
        LatencyModel.read(TARGET)


# The file.


@pytest.mark.usefixtures("workdir")
def test_a_calibration_replaces_its_own_kind_and_keeps_the_others() -> None:
    path = write_table(times_of(CREAM.distinct_operators(32, CLASSES)))
    first, second = (synthetic.calibration(CREAM, r, CLASSES) for r in RESOLUTIONS)
    for saved in (first, second):
        save_calibration(path, TARGET, saved)
    newer = first.model_copy(update={"scale": 9.0})
    save_calibration(path, TARGET, newer)
    read = LatencyModel.read(TARGET).calibrations
    assert read == {
        ("cream", 32, CLASSES): newer,
        ("cream", 64, CLASSES): second,
    }
    assert len(read_record(model_path(path), ModelFile).calibrations) == 2
    assert model_path(path).name == "onnxruntime-fp32-b1-t1.model.json"
    assert [file.name for file in path.parent.iterdir() if file.name.startswith(".")] == []


def test_a_calibration_survives_its_file(model: LatencyModel) -> None:
    known = model.calibrations["cream", 32, CLASSES]
    assert Calibration.model_validate_json(known.model_dump_json()) == known
    assert {n.architecture.space for n in known.networks} == {"cream"}
    sums = np.array([n.operator_sum_ms for n in known.networks])
    assert sums == pytest.approx([operator_sum_ms(n.architecture) for n in known.networks])
