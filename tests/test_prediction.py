"""What `predict` says of many architectures on many targets; tables are synthetic."""

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.architecture_file import published, published_models
from pipeline.cost import architecture_cost
from pipeline.device import HOST, Target
from pipeline.errors import MissingEntriesError, TableError
from pipeline.latency.model import save_calibration
from pipeline.prediction import predict_architectures, predictions_of
from pipeline.space import Architecture, get_space
from tests.latency import synthetic
from tests.latency.synthetic import TARGET, network_ms, times_of, write_table

pytestmark = pytest.mark.usefixtures("workdir")

CREAM = get_space("cream")
OTHER = Target.parse("synthetic/openvino-fp32-b1-t1")
CLASSES = 10
KEYS = {"name", "space", "resolution", "stages", "num_classes", "macs", "params", "latency_ms"}


def a_network(resolution: int = 32, operator: str = "mb4_3x3", **changes: object) -> Architecture:
    fields = {"space": "cream", "resolution": resolution, "num_classes": CLASSES, **changes}
    return Architecture.model_validate({"stages": ((operator,),) * 5, **fields})


SMALL, LARGE = a_network(name="small"), a_network(operator="mb6_7x7")


def write_model(*networks: Architecture, target: Target = TARGET) -> None:
    """A table with the operators of these networks, calibrated for networks of their kind."""
    specs = [placed.spec for network in networks for placed in network.operators()]
    path = write_table(times_of(specs), target)
    for space, resolution, classes in dict.fromkeys(
        (network.space, network.resolution, network.num_classes) for network in networks
    ):
        fit = synthetic.calibration(get_space(space), resolution, classes)
        save_calibration(path, target, fit)


def test_the_figures_of_a_published_model() -> None:
    predicted, notes = predict_architectures([published("cream-287")], None)
    (told,) = predicted
    assert set(told) >= KEYS
    assert (told["name"], told["space"], told["resolution"]) == ("cream-287", "cream", 224)
    assert told["num_classes"] == 1000
    assert told["stages"][1] == ["mb6_5x5", "mb6_5x5"]
    assert round(told["macs"] / 1e6, 2) == 276.26
    assert round(told["params"] / 1e6, 3) == 6.044
    assert told["latency_ms"] == {}
    assert notes == []
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
    predicted, _ = predict_architectures(architectures, None)
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
        predicted, notes = predict_architectures([SMALL, LARGE], names)
        assert notes == []
        for told, network in zip(predicted, (SMALL, LARGE), strict=True):
            assert set(told["latency_ms"]) == {TARGET.name, OTHER.name}
            for latency in told["latency_ms"].values():
                assert set(latency) == {"typical", "std"}
                assert latency["typical"] == pytest.approx(network_ms(network), abs=1e-6)
                assert latency["std"] >= 0


def test_only_the_tables_named_are_used() -> None:
    write_model(SMALL)
    write_model(SMALL, target=OTHER)
    (told,), _ = predict_architectures([SMALL], [OTHER.name])
    assert set(told["latency_ms"]) == {OTHER.name}


def test_this_machines_tables_are_called_host() -> None:
    host = Target.parse(f"{HOST}/onnxruntime-fp32-b1-t1")
    write_model(SMALL, target=host)
    (told,), _ = predict_architectures([SMALL], None)
    assert set(told["latency_ms"]) == {host.name}


def test_one_call_may_mix_resolutions_spaces_and_classes() -> None:
    other_space = a_network(space="cream-table2-released")
    networks = [SMALL, other_space, a_network(64), a_network(num_classes=3), LARGE]
    write_model(*networks)
    predicted, notes = predict_architectures(networks, None)
    assert notes == []
    for told, network in zip(predicted, networks, strict=True):
        found = told["latency_ms"][TARGET.name]["typical"]
        assert found == pytest.approx(network_ms(network), abs=1e-6)


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
        predicted, notes = predict_architectures(networks, None)
        assert [set(each["latency_ms"]) for each in predicted] == [{OTHER.name}] * 2
        (note,) = notes
        assert note.startswith(f"{TARGET.name} is left out: ")
        assert told in note
        with pytest.raises(kind, match=told):
            predict_architectures(networks, [TARGET.name])


def test_a_damaged_table_is_left_out_unless_it_is_named() -> None:
    write_model(SMALL)
    path = Path("latency_tables/synthetic") / f"{TARGET.setting}.jsonl"
    path.write_bytes(path.read_bytes()[:-4])
    predicted, notes = predict_architectures([SMALL], None)
    assert predicted[0]["latency_ms"] == {}
    assert "the line is cut" in notes[0]
    with pytest.raises(TableError, match="the line is cut"):
        predict_architectures([SMALL], [TARGET.name])


def test_nothing_is_predicted_of_nothing() -> None:
    assert predict_architectures([], None) == ([], [])


# For benchmarks: what can be said, and nothing where not.


def test_predictions_are_none_without_a_table() -> None:
    assert predictions_of([SMALL, LARGE], TARGET) == [None, None]


def test_predictions_are_none_where_a_table_cannot_say() -> None:
    write_model(SMALL)
    first, second, third = predictions_of([SMALL, a_network(96), LARGE], TARGET)
    assert first is not None
    assert first.typical == pytest.approx(network_ms(SMALL))
    assert (second, third) == (None, None)


def test_predictions_are_those_predict_tells() -> None:
    write_model(SMALL)
    (told,), _ = predict_architectures([SMALL], [TARGET.name])
    (predicted,) = predictions_of([SMALL], TARGET)
    assert predicted is not None
    latency: dict[str, Any] = told["latency_ms"][TARGET.name]
    assert latency["typical"] == pytest.approx(predicted.typical, abs=1e-6)
    assert latency["std"] == pytest.approx(predicted.std, abs=1e-6)
