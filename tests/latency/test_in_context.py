"""The in-context method: made-up visits, and a made-up measuring process that can be stopped."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.device.burst import Burst, BurstPlan
from pipeline.device.runtimes import REST, LayerTimes, tells_layer_times
from pipeline.device.target import Target
from pipeline.errors import MeasurementError, TableError
from pipeline.latency import in_context
from pipeline.latency.in_context import PASSES, in_context_ms, layers_key, measure_in_context
from pipeline.latency.sampling import design_networks
from pipeline.measure.bench import CONTROL
from pipeline.measure.journal import read_journal
from pipeline.measure.protocol import TimingProtocol
from pipeline.measure.statistics import Visit, by_key
from pipeline.space.architecture import Architecture
from pipeline.space.operator_spec import OperatorSpec
from pipeline.space.search_space import get_space
from tests.latency import synthetic
from tests.latency.synthetic import visit

HOST = Target.parse("host/onnxruntime-fp32-b1-t1")
SPACE = get_space("cream").narrowed(max_depth=2, operators=["mb4_3x3", "mb6_5x5"])
RESOLUTION, CLASSES = 32, 10
NETWORKS = design_networks(SPACE, RESOLUTION, CLASSES, 8, seed=0)


def a_network(*first_stage: str) -> Architecture:
    return Architecture(
        space="cream",
        resolution=RESOLUTION,
        num_classes=CLASSES,
        stages=(first_stage, *(("mb4_3x3",),) * 4),
    )


# Reading visits. The walk is stem, separable block, first stage, four blocks, tail.

SHORT, LONG = a_network("mb4_3x3"), a_network("mb4_3x3", "mb4_3x3", "mb4_3x3")
FIRST, LATER = LONG.operators()[2].spec, LONG.operators()[3].spec
STEM = SHORT.operators()[0].spec


def alone(*operators: OperatorSpec) -> dict[str, float]:
    return {spec.key: 1.0 for spec in operators}


def layers(*visits: tuple[Architecture, list[float]]) -> dict[str, list[Visit]]:
    return by_key(visit(layers_key(network), times_ms) for network, times_ms in visits)


def test_of_the_passes_the_faster_counts_place_by_place() -> None:
    found = in_context_ms(
        layers((SHORT, [5, 2, 3, 4, 5, 6, 7, 8]), (SHORT, [1, 9, 3, 4, 5, 6, 7, 8])),
        [SHORT],
        {placed.spec.key: 1.0 for placed in SHORT.operators()},
    )
    assert found is not None
    assert list(found.values()) == [1, 2, 3, 4, 5, 6, 7, 8]


def test_an_operator_at_several_places_takes_their_mean() -> None:
    found = in_context_ms(
        layers(
            (LONG, [1, 2, 3, 10, 20, 4, 5, 6, 7, 8]),
            (LONG, [1, 2, 3, 12, 18, 4, 5, 6, 7, 8]),
            (SHORT, [3, 2, 5, 4, 5, 6, 7, 8]),
        ),
        [LONG, SHORT],
        alone(STEM, FIRST, LATER),
    )
    # Of the later blocks the faster passes are 10 and 18; the others were in two networks.
    assert found == {STEM.key: 2, FIRST.key: 4, LATER.key: 14}


def test_an_operator_in_none_of_the_networks_takes_its_time_alone_at_the_level_of_the_others() -> (
    None
):
    visits = layers((SHORT, [1.0] * 8))
    assert in_context_ms(visits, [SHORT], alone(STEM, FIRST)) == {STEM.key: 1, FIRST.key: 1}
    # The stem takes half of what it takes alone, so the other is taken to as well.
    assert in_context_ms(visits, [SHORT], {STEM.key: 2.0, LATER.key: 9.0}) == {
        STEM.key: 1,
        LATER.key: 4.5,
    }
    assert in_context_ms(visits, [SHORT], alone(LATER)) is None


def test_a_network_that_was_not_profiled_leaves_nothing_to_tell() -> None:
    assert in_context_ms(layers((SHORT, [1.0] * 8)), [SHORT, LONG], alone(STEM)) is None
    assert in_context_ms({}, [SHORT], alone(STEM)) is None


def test_only_the_networks_asked_for_are_read() -> None:
    visits = layers((SHORT, [1.0] * 8), (LONG, [3.0] * 10))
    assert in_context_ms(visits, [SHORT], alone(STEM)) == {STEM.key: 1}
    assert in_context_ms(visits, [LONG, SHORT], alone(STEM)) == {STEM.key: 2}


def test_visits_that_follow_from_operators_give_them_back() -> None:
    operators = SPACE.distinct_operators(RESOLUTION, CLASSES)
    visits = layers(
        *(
            (network, [synthetic.in_context_ms(placed.spec) for placed in network.operators()])
            for network in NETWORKS
        )
    )
    found = in_context_ms(visits, NETWORKS, alone(*operators))
    assert found == pytest.approx({spec.key: synthetic.in_context_ms(spec) for spec in operators})
    assert found is not None
    assert list(found) == [spec.key for spec in operators]


def test_which_runtimes_tell_the_times_of_operators() -> None:
    assert tells_layer_times(HOST.runtime)
    assert tells_layer_times("openvino")


# Measuring, with a process that is made up.

PROTOCOL = TimingProtocol(sweeps=3, control_runs=2, warmup_ms=0.0)


class Process:
    """Stands for the measuring process; remembers what it was asked."""

    asked: list[tuple[str, str]]
    runs: list[int]
    stop_after: int | None
    silent: str | None

    def __init__(self, target: Target) -> None:
        self.target = target

    def __enter__(self) -> "Process":
        self.asked.append(("start", ""))
        return self

    def __exit__(self, *_: object) -> None:
        self.asked.append(("end", ""))

    def open(self, key: str, model: Path) -> None:
        assert model == folder(key)
        self.asked.append(("open", key))

    def precision(self, key: str) -> str:
        assert key == CONTROL
        return "fp32"

    def burst(self, key: str, plan: BurstPlan) -> Burst:
        assert key == CONTROL
        return Burst([1.0 + run for run in range(plan.runs)])

    def layer_times(self, key: str, model: Path, *, warm_runs: int, runs: int) -> LayerTimes:
        assert model == folder(key)
        profiled = [asked for asked in self.asked if asked[0] == "layers"]
        if self.stop_after is not None and len(profiled) == self.stop_after:
            raise KeyboardInterrupt
        self.asked.append(("layers", key))
        self.runs.append(runs)
        (network,) = [n for n in NETWORKS if layers_key(n) == key]
        times_ms = {
            placed.place: synthetic.in_context_ms(placed.spec) for placed in network.operators()
        }
        if self.silent:
            del times_ms[self.silent]
        return LayerTimes(sum(times_ms.values()) + 0.5, {**times_ms, REST: 0.5})


@pytest.fixture
def process(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Process]]:
    monkeypatch.setattr(in_context, "MeasuringProcess", Process)
    Process.asked, Process.runs, Process.stop_after, Process.silent = [], [], None, None
    return Process


def folder(key: str) -> Path:
    return Path("models") / str(abs(hash(key)))


JOURNAL = Path("journal.jsonl")


def profile(**changes: Any) -> list[tuple[int, int]]:
    told: list[tuple[int, int]] = []
    measure_in_context(
        {network: folder(layers_key(network)) for network in NETWORKS},
        {network: changes.get("latency_ms", 4.0) for network in NETWORKS},
        folder(CONTROL),
        HOST,
        changes.get("protocol", PROTOCOL),
        JOURNAL,
        seed=changes.get("seed", 0),
        progress=lambda done, total, note="": told.append((done, total)),
    )
    return told


def profiled(process: type[Process]) -> list[str]:
    return [key for do, key in process.asked if do == "layers"]


@pytest.mark.usefixtures("workdir")
def test_every_network_is_profiled_once_a_pass(process: type[Process]) -> None:
    told = profile()
    total = PASSES * len(NETWORKS)
    assert told == [(done, total) for done in range(1, total + 1)]
    keys = {layers_key(network) for network in NETWORKS}
    order = profiled(process)
    for number in range(PASSES):
        assert set(order[number * len(keys) : (number + 1) * len(keys)]) == keys
    # Passes are in unlike orders, so that a slow spell meets other networks.
    assert order[: len(keys)] != order[len(keys) :]
    # Profiling loads a network anew, so only the control network is held open.
    assert [key for do, key in process.asked if do == "open"] == [CONTROL]
    assert process.asked[-1] == ("end", "")


@pytest.mark.usefixtures("workdir")
def test_a_visit_holds_the_operators_of_its_network_in_order(process: type[Process]) -> None:
    profile()
    header, visits = read_journal(JOURNAL)
    assert header["target"] == HOST.setting
    assert len(visits) == PASSES * len(NETWORKS)
    for made in visits:
        (network,) = [n for n in NETWORKS if layers_key(n) == made.key]
        assert made.samples_ms == pytest.approx(
            [synthetic.in_context_ms(placed.spec) for placed in network.operators()]
        )
        assert made.control_before_ms == made.control_after_ms == (1.0, 2.0)
        assert made.precision == "fp32"
    operators = SPACE.distinct_operators(RESOLUTION, CLASSES)
    assert in_context_ms(by_key(visits), NETWORKS, alone(*operators)) == pytest.approx(
        {spec.key: synthetic.in_context_ms(spec) for spec in operators}
    )


@pytest.mark.usefixtures("workdir")
@pytest.mark.parametrize("after", [0, 1, 7, 8, 15])
def test_what_was_profiled_before_a_stop_is_not_profiled_again(
    process: type[Process], after: int
) -> None:
    process.stop_after = after
    with pytest.raises(KeyboardInterrupt):
        profile()
    assert process.asked[-1] == ("end", "")
    before, made = JOURNAL.read_bytes(), profiled(process)
    assert len(read_journal(JOURNAL)[1]) == len(made) == after
    process.stop_after, process.asked = None, []
    profile()
    assert JOURNAL.read_bytes().startswith(before)
    visits = [(v.sweep, v.key) for v in read_journal(JOURNAL)[1]]
    assert sorted(visits) == sorted(
        (number, layers_key(network)) for number in range(PASSES) for network in NETWORKS
    )
    # The order is that of an undisturbed campaign.
    rest = profiled(process)
    JOURNAL.unlink()
    process.asked = []
    profile()
    assert profiled(process) == made + rest


@pytest.mark.usefixtures("workdir")
def test_where_all_is_done_no_process_is_started(process: type[Process]) -> None:
    profile()
    before = JOURNAL.read_bytes()
    process.asked = []
    assert profile() == []
    assert process.asked == []
    assert JOURNAL.read_bytes() == before


@pytest.mark.usefixtures("workdir")
@pytest.mark.parametrize(
    ("latency_ms", "runs"), [(0.1, 30), (2.0, 30), (4.0, 15), (7.5, 8), (100.0, 8)]
)
def test_short_networks_are_profiled_over_more_runs(
    process: type[Process], latency_ms: float, runs: int
) -> None:
    profile(latency_ms=latency_ms)
    assert set(process.runs) == {runs}


@pytest.mark.usefixtures("workdir")
def test_an_operator_that_the_engine_does_not_tell_of_is_named(process: type[Process]) -> None:
    process.silent = "blocks.3.0"
    with pytest.raises(MeasurementError, match=r"tells no time for blocks\.3\.0 of cream@32c10:"):
        profile()
    assert read_journal(JOURNAL)[1] == []


@pytest.mark.usefixtures("workdir", "process")
def test_visits_made_in_another_way_are_not_mixed_in() -> None:
    profile()
    with pytest.raises(TableError, match="control_runs was 2, is 3"):
        profile(protocol=PROTOCOL.model_copy(update={"control_runs": 3}))
    # How often is another matter than how.
    assert profile(protocol=PROTOCOL.model_copy(update={"sweeps": 9})) == []


@pytest.mark.usefixtures("workdir", "process")
def test_what_is_kept_is_plain_json() -> None:
    profile()
    lines = JOURNAL.read_text().splitlines()
    keys = [json.loads(line)["line"]["visit"]["key"] for line in lines[1:]]
    assert all(key.startswith("layers:cream@32c10:") for key in keys)
