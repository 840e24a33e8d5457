"""Tables read back from journals, and what they say of operators they lack."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.device.fingerprint import environment
from pipeline.device.target import Target
from pipeline.errors import MissingEntriesError, TableError
from pipeline.latency.table import LatencyTable, network_key
from pipeline.measure.journal import Journal
from pipeline.space.architecture import Architecture
from pipeline.space.operator_spec import OperatorSpec, parse_key
from pipeline.space.search_space import get_space
from tests.latency.synthetic import TARGET, header, operator_ms, times_of, visit, write_table

K3, K5, K7 = (parse_key(f"ir_k{k}_s1_e6_i40_o40_r28_se0.25") for k in (3, 5, 7))
STEM = parse_key("cn_k3_s2_i3_o16_r224")
NETWORK = Architecture(
    space="cream", resolution=32, num_classes=10, stages=(("mb4_3x3",),) * 5, name="mine"
)

pytestmark = pytest.mark.usefixtures("workdir")


def table_with(*specs: OperatorSpec, networks: tuple[Architecture, ...] = ()) -> LatencyTable:
    write_table(times_of(specs, networks))
    return LatencyTable.read(TARGET)


def test_entries_are_what_the_visits_say() -> None:
    table = table_with(K3, STEM)
    assert set(table.entries) == {K3.key, STEM.key}
    assert table.latency_ms(K3) == pytest.approx(operator_ms(K3))
    assert (table.entries[K3.key].n, table.entries[K3.key].std) == (6, 0)
    assert table.target == TARGET


def test_a_table_is_of_no_space() -> None:
    """Spaces that share an operator share its entry."""
    space = get_space("cream-table2-released").narrowed(operators=["mb4_3x3"])
    write_table(times_of(get_space("cream").distinct_operators(64, 10)))
    LatencyTable.read(TARGET).require(space.distinct_operators(64, 10))


def test_a_network_is_found_under_what_it_is_and_not_its_name() -> None:
    table = table_with(STEM, networks=(NETWORK,))
    renamed = NETWORK.model_copy(update={"name": "yours"})
    found = table.network_ms(renamed)
    assert found is not None
    assert found == table.entries[network_key(NETWORK)]
    assert table.network_ms(NETWORK.model_copy(update={"num_classes": 11})) is None


def test_where_there_is_no_table_the_command_that_makes_one_is_told() -> None:
    with pytest.raises(TableError, match="has no latency table; looked for") as caught:
        LatencyTable.read(TARGET)
    assert "latency_tables/synthetic/onnxruntime-fp32-b1-t1.jsonl" in caught.value.message
    assert caught.value.hint
    assert caught.value.hint.endswith(f"profile --target {TARGET.name}")


def test_what_is_missing_is_told_with_counts_and_the_nearest() -> None:
    table = table_with(K3, K5, STEM)
    with pytest.raises(MissingEntriesError) as caught:
        table.require([STEM, K3, K7, K7, parse_key("ds_k3_s1_i16_o16_r16"), K5])
    assert f"has no entry for {K7.key} (3 of 5 measured; nearest {K5.key})" in caught.value.message
    assert str(table.path) in caught.value.message
    assert f"--target {TARGET.name}" in (caught.value.hint or "")
    with pytest.raises(MissingEntriesError, match=K7.key):
        table.latency_ms(K7)


@pytest.mark.parametrize(
    ("known", "nearest"),
    [
        ("ir_k5_s1_e6_i40_o40_r28_se0.25 ir_k7_s2_e6_i40_o40_r28_se0.25", "ir_k5_s1_e6_i40"),
        ("ir_k7_s1_e6_i40_o40_r14_se0.25 ir_k7_s1_e6_i24_o24_r56_se0.25", "ir_k7_s1_e6_i40"),
        ("ir_k7_s1_e4_i40_o40_r28_se0.25 ir_k3_s1_e6_i40_o40_r28_se0.25", "ir_k7_s1_e4_i40"),
    ],
)
def test_the_nearest_is_alike_in_kernel_stride_and_size(known: str, nearest: str) -> None:
    table = table_with(*map(parse_key, known.split()))
    with pytest.raises(MissingEntriesError, match=rf"\(0 of 1 measured; nearest {nearest}"):
        table.require([K7])


def test_neither_another_kind_nor_a_network_is_near() -> None:
    table = table_with(STEM, networks=(NETWORK,))
    with pytest.raises(MissingEntriesError, match=r"\(0 of 1 measured\)"):
        table.require([K7])


def test_an_operator_visited_too_rarely_is_missing() -> None:
    write_table(times_of([K3]))
    write_table(times_of([K5]), sweeps=range(2))
    table = LatencyTable.read(TARGET)
    assert set(table.entries) == {K3.key}
    with pytest.raises(MissingEntriesError, match=rf"{K5.key} \(1 of 2 measured"):
        table.require([K3, K5])


@pytest.mark.parametrize("sweeps", [0, 2])
def test_a_table_hardly_begun_is_refused_and_told_how_to_go_on(sweeps: int) -> None:
    write_table(times_of([K3]), sweeps=range(sweeps))
    with pytest.raises(TableError, match=f"holds {sweeps} visits, too few for any entry") as caught:
        LatencyTable.read(TARGET)
    assert f"profile --target {TARGET.name}" in (caught.value.hint or "")


def test_the_times_of_layers_are_kept_apart_from_entries() -> None:
    path = write_table(times_of([K3]))
    layers = f"layers:{NETWORK.short}"
    with Journal(path, header()) as journal:
        for sweep in range(3):
            journal.append(visit(layers, [0.1, 0.2], sweep=sweep))
    table = LatencyTable.read(TARGET)
    assert set(table.entries) == {K3.key}
    assert [v.sweep for v in table.layers[layers]] == [0, 1, 2]
    assert table.num_visits == 6


def test_the_control_network_is_told_over_the_whole_table() -> None:
    table = table_with(K3, STEM)
    assert (table.control.typical, table.control.n) == (1.0, 12)


# Of which machine it is.


def test_a_table_of_this_machine_differs_in_nothing() -> None:
    table = table_with(K3)
    assert table.environment == environment()
    assert table.differences() == ()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"cpu": "Another CPU"}, "cpu was 'Another CPU', is "),
        ({"cores": 999}, "cores was 999, is "),
        ({"packages": {**environment().packages, "onnxruntime": "0.1"}}, "onnxruntime was 0.1, is"),
        ({"memory_gib": 0.5, "os": "Another 1.0", "device": "another"}, None),
        ({"packages": {**environment().packages, "openvino": "0.1"}}, None),
    ],
)
def test_what_differs_is_told_where_it_matters(change: dict[str, Any], told: str | None) -> None:
    machine = replace(environment(), **change)
    write_table(times_of([K3]), changes=header(machine=machine))
    differences = LatencyTable.read(TARGET).differences()
    if told is None:
        assert differences == ()
    else:
        (one,) = differences
        assert one.startswith(told)


def test_a_table_that_says_nothing_of_its_machine_is_of_another() -> None:
    write_table(times_of([K3]), changes={"environment": None})
    table = LatencyTable.read(TARGET)
    assert table.environment is None
    assert table.differences() == ("it does not say what it was measured on",)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"target": "openvino-fp32-b1-t1"}, "holds synthetic/openvino-fp32-b1-t1, asked for"),
        ({"device": "another-board"}, "holds another-board/onnxruntime-fp32-b1-t1, asked for"),
    ],
)
def test_a_table_under_another_name_is_refused(changes: dict[str, str], told: str) -> None:
    write_table(times_of([K3]), changes=changes)
    with pytest.raises(TableError, match=told) as caught:
        LatencyTable.read(TARGET)
    assert TARGET.name in caught.value.message


def test_a_cut_table_is_refused_with_the_way_out() -> None:
    path = write_table(times_of([K3]))
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(TableError, match=":4: the line is cut") as caught:
        LatencyTable.read(TARGET)
    assert "profile" in (caught.value.hint or "")


def test_host_is_this_machines_own_name() -> None:
    host = Target.parse("host/onnxruntime-fp32-b1-t1")
    named = Target.parse(f"{host.device_slug}/onnxruntime-fp32-b1-t1")
    write_table(times_of([K3]), host)
    assert LatencyTable.read(host).entries == LatencyTable.read(named).entries
    assert Path("latency_tables").is_dir()
    assert not Path("latency_tables/host").exists()
