"""What `predict` says of many architectures on many targets; tables are synthetic."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.device.fingerprint import environment
from pipeline.device.target import HOST, Target
from pipeline.errors import MissingEntriesError, TableError
from pipeline.files.whole import write_record
from pipeline.latency.drift import check_path, judge_changes
from pipeline.latency.model import save_calibration
from pipeline.latency.prediction import predict_architectures, predictions_of
from pipeline.latency.table import LatencyTable
from pipeline.space.architecture import Architecture
from pipeline.space.architecture_file import published, published_models
from pipeline.space.cost import architecture_cost
from pipeline.space.search_space import get_space
from tests.latency import synthetic
from tests.latency.synthetic import TARGET, header, network_ms, times_of, write_table

pytestmark = pytest.mark.usefixtures("workdir")

CREAM = get_space("cream")
OTHER = Target.parse("synthetic/openvino-fp32-b1-t1")
CLASSES = 10
KEYS = {"name", "space", "resolution", "stages", "num_classes", "macs", "params", "latency_ms"}


def a_network(resolution: int = 32, operator: str = "mb4_3x3", **changes: object) -> Architecture:
    fields = {"space": "cream", "resolution": resolution, "num_classes": CLASSES, **changes}
    return Architecture.model_validate({"stages": ((operator,),) * 5, **fields})


SMALL, LARGE = a_network(name="small"), a_network(operator="mb6_7x7")


def write_model(*networks: Architecture, target: Target = TARGET, **changes: Any) -> None:
    """A table with the operators of these networks, calibrated for networks made of them."""
    kinds: dict[tuple[str, int, int], set[str]] = {}
    for network in networks:
        kind = (network.space, network.resolution, network.num_classes)
        kinds.setdefault(kind, set()).update(name for stage in network.stages for name in stage)
    for (name, resolution, classes), operators in kinds.items():
        space = get_space(name).narrowed(max_depth=2, operators=sorted(operators))
        specs = space.distinct_operators(resolution, classes)
        path = write_table(times_of(specs), target, **changes)
        save_calibration(path, target, synthetic.calibration(space, resolution, classes))


def test_the_figures_of_a_published_model() -> None:
    found = predict_architectures([published("cream-287")], None)
    (told,) = found.architectures
    assert set(told) >= KEYS
    assert (told["name"], told["space"], told["resolution"]) == ("cream-287", "cream", 224)
    assert told["num_classes"] == 1000
    assert told["stages"][1] == ["mb6_5x5", "mb6_5x5"]
    assert round(told["macs"] / 1e6, 2) == 276.26
    assert round(told["params"] / 1e6, 3) == 6.044
    assert told["latency_ms"] == {}
    assert (found.notes, found.targets, found.calibrations) == ([], {}, {})
    assert Architecture.model_validate(
        {key: told[key] for key in KEYS - {"macs", "params", "latency_ms"}}
    ) == published("cream-287")


def test_costs_are_those_of_each_architecture_in_the_order_given() -> None:
    architectures = [
        *(published(name) for name in published_models()),
        SMALL,
        a_network(space="cream-table3", operator="res_3x3", num_classes=3),
        a_network(64),
        SMALL,
    ]
    predicted = predict_architectures(architectures, None).architectures
    assert len(predicted) == len(architectures)
    for told, architecture in zip(predicted, architectures, strict=True):
        cost = architecture_cost(architecture)
        assert (told["macs"], told["params"]) == (cost.macs, cost.params)
        assert (told["name"], told["short"]) == (architecture.name, architecture.short)
    assert json.loads(json.dumps(predicted)) == predicted


def test_latencies_stand_under_their_targets() -> None:
    write_model(SMALL, LARGE)
    write_model(SMALL, LARGE, target=OTHER)
    for names in (None, [OTHER.name, TARGET.name]):
        found = predict_architectures([SMALL, LARGE], names)
        assert found.notes == []
        assert set(found.targets) == set(found.calibrations) == {TARGET.name, OTHER.name}
        for told, network in zip(found.architectures, (SMALL, LARGE), strict=True):
            assert set(told["latency_ms"]) == {TARGET.name, OTHER.name}
            for latency in told["latency_ms"].values():
                assert set(latency) == {"typical", "std"}
                assert latency["typical"] == pytest.approx(network_ms(network), rel=0.01)
                assert latency["std"] > 0


def test_only_the_tables_named_are_used() -> None:
    write_model(SMALL)
    write_model(SMALL, target=OTHER)
    found = predict_architectures([SMALL], [OTHER.name])
    assert set(found.architectures[0]["latency_ms"]) == set(found.targets) == {OTHER.name}


def test_this_machines_tables_are_called_host() -> None:
    host = Target.parse(f"{HOST}/onnxruntime-fp32-b1-t1")
    write_model(SMALL, target=host)
    (told,) = predict_architectures([SMALL], None).architectures
    assert set(told["latency_ms"]) == {host.name}


def test_one_call_may_mix_resolutions_spaces_and_classes() -> None:
    other_space = a_network(space="cream-table2-released")
    networks = [SMALL, other_space, a_network(64), a_network(num_classes=3), LARGE]
    write_model(*networks)
    found = predict_architectures(networks, None)
    assert found.notes == []
    for told, network in zip(found.architectures, networks, strict=True):
        latency = told["latency_ms"][TARGET.name]
        assert latency["typical"] == pytest.approx(network_ms(network), rel=0.01)
    # One calibration of each kind, though two networks are of the first.
    used = [(c.space, c.resolution, c.num_classes) for c in found.calibrations[TARGET.name]]
    assert used == [
        ("cream", 32, CLASSES),
        ("cream-table2-released", 32, CLASSES),
        ("cream", 64, CLASSES),
        ("cream", 32, 3),
    ]


# What is told of the tables.


def test_every_prediction_comes_with_how_wrong_its_table_is() -> None:
    write_model(SMALL)
    found = predict_architectures([SMALL], None)
    about = found.targets[TARGET.name]
    assert about["table"] == f"latency_tables/synthetic/{TARGET.setting}.jsonl"
    assert (about["foreign"], about["scale"]) == ([], 1.0)
    (calibration,) = about["calibrations"]
    (used,) = found.calibrations[TARGET.name]
    assert (calibration["space"], calibration["resolution"], calibration["num_classes"]) == (
        "cream", 32, CLASSES,
    )  # fmt: skip
    assert calibration["method"] == "isolated"
    assert calibration["honesty"] == used.honesty.model_dump(mode="json")
    assert calibration["honesty"]["networks"] == len(used.networks)
    assert json.loads(json.dumps(found.targets)) == found.targets


def test_a_foreign_table_is_left_out_unless_it_is_wanted() -> None:
    elsewhere = replace(environment(), cpu="Another CPU")
    write_model(SMALL, changes=header(machine=elsewhere))
    write_model(SMALL, target=OTHER)
    found = predict_architectures([SMALL], None)
    assert set(found.targets) == {OTHER.name}
    (note,) = found.notes
    assert note.startswith(f"{TARGET.name} is left out: ")
    assert "cpu was 'Another CPU'" in note
    with pytest.raises(TableError, match="cpu was 'Another CPU'") as caught:
        predict_architectures([SMALL], [TARGET.name])
    assert "--allow-foreign" in (caught.value.hint or "")
    wanted = predict_architectures([SMALL], None, allow_foreign=True)
    assert wanted.notes == []
    (difference,) = wanted.targets[TARGET.name]["foreign"]
    assert difference.startswith("cpu was 'Another CPU', is ")
    assert wanted.targets[OTHER.name]["foreign"] == []
    latency = wanted.architectures[0]["latency_ms"]
    assert latency[TARGET.name]["typical"] == pytest.approx(network_ms(SMALL), rel=0.01)
    assert predictions_of([SMALL], TARGET)[0] == [None]


def test_a_check_scales_what_is_predicted_and_is_told() -> None:
    write_model(SMALL)
    (before,) = predict_architectures([SMALL], None).architectures
    table = LatencyTable.read(TARGET)
    write_record(
        check_path(TARGET), judge_changes(table, {"a": 1.1, "b": 1.1, "c": 1.1}, seconds=1.0)
    )
    found = predict_architectures([SMALL], None)
    assert found.targets[TARGET.name]["scale"] == pytest.approx(1.1)
    was, now = (p["latency_ms"][TARGET.name] for p in (before, found.architectures[0]))
    assert now["typical"] == pytest.approx(1.1 * was["typical"], abs=2e-6)
    assert now["std"] == pytest.approx(1.1 * was["std"], abs=2e-6)
    write_record(check_path(TARGET), judge_changes(table, {"a": 1.0, "b": 1.2}, seconds=1.0))
    assert "is stale" in predict_architectures([SMALL], None).notes[0]


def test_without_the_table_that_was_named_there_is_no_prediction() -> None:
    write_model(SMALL)
    with pytest.raises(TableError, match="has no latency table"):
        predict_architectures([SMALL], [TARGET.name, OTHER.name])


@pytest.mark.parametrize(
    ("lacking", "kind", "told"),
    [
        (a_network(96), TableError, "is not calibrated for cream at 96 px"),
        (a_network(num_classes=7), TableError, "with 7 classes"),
        (LARGE, MissingEntriesError, "has no entry for ir_k7"),
    ],
)
def test_a_table_that_does_not_fit_is_left_out_and_said_so(
    lacking: Architecture, kind: type[TableError], told: str
) -> None:
    """For all architectures, so that a column is never half empty."""
    write_model(SMALL)
    write_model(SMALL, lacking, target=OTHER)
    for networks in ([SMALL, lacking], [lacking, SMALL]):
        found = predict_architectures(networks, None)
        assert [set(each["latency_ms"]) for each in found.architectures] == [{OTHER.name}] * 2
        assert set(found.targets) == {OTHER.name}
        (note,) = found.notes
        assert note.startswith(f"{TARGET.name} is left out: ")
        assert told in note
        with pytest.raises(kind, match=told):
            predict_architectures(networks, [TARGET.name])


def test_a_damaged_table_is_left_out_unless_it_is_named() -> None:
    write_model(SMALL)
    path = Path("latency_tables/synthetic") / f"{TARGET.setting}.jsonl"
    path.write_bytes(path.read_bytes()[:-4])
    found = predict_architectures([SMALL], None)
    assert found.architectures[0]["latency_ms"] == {}
    assert "the line is cut" in found.notes[0]
    with pytest.raises(TableError, match="the line is cut"):
        predict_architectures([SMALL], [TARGET.name])


def test_a_table_hardly_begun_is_left_out_too() -> None:
    write_table({SMALL.operators()[0].spec.key: 1.0}, sweeps=range(2))
    found = predict_architectures([SMALL], None)
    assert found.architectures[0]["latency_ms"] == {}
    assert "holds 2 visits, too few" in found.notes[0]


def test_nothing_is_predicted_of_nothing() -> None:
    found = predict_architectures([], None)
    assert (found.architectures, found.targets, found.notes) == ([], {}, [])


# For benchmarks: what can be said, and nothing where not.


def test_predictions_are_none_without_a_table_and_the_reason_is_told() -> None:
    predicted, reason = predictions_of([SMALL, LARGE], TARGET)
    assert predicted == [None, None]
    assert "has no latency table" in (reason or "")


def test_predictions_are_none_where_a_table_cannot_say() -> None:
    write_model(SMALL)
    (first, second, third), reason = predictions_of([SMALL, a_network(96), LARGE], TARGET)
    assert first is not None
    assert first.typical == pytest.approx(network_ms(SMALL), rel=0.01)
    assert not first.foreign
    assert (second, third, reason) == (None, None, None)


def test_predictions_are_those_predict_tells() -> None:
    write_model(SMALL)
    (told,) = predict_architectures([SMALL], [TARGET.name]).architectures
    (predicted,), _ = predictions_of([SMALL], TARGET)
    assert predicted is not None
    latency: dict[str, Any] = told["latency_ms"][TARGET.name]
    assert latency["typical"] == pytest.approx(predicted.typical, abs=1e-6)
    assert latency["std"] == pytest.approx(predicted.std, abs=1e-6)
