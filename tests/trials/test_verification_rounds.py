"""How candidates are chosen round by round, on a simulated machine whose true latencies are known.

The machine is as its table says, but for its level and for what each network has of its own.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import pytest

from pipeline.device.target import Target
from pipeline.errors import InfeasibleError, UnavailableError
from pipeline.latency.model import LatencyModel, save_calibration
from pipeline.latency.sampling import sample_networks
from pipeline.measure import bench
from pipeline.measure.bench import CONTROL
from pipeline.records.candidates import Candidate, LatencyPrediction, Limits
from pipeline.records.search import SearchRecord
from pipeline.records.verify import VerifyRecord
from pipeline.space.architecture import Architecture
from pipeline.space.architecture_file import parse_short
from pipeline.space.cost import architecture_cost
from pipeline.space.search_space import get_space
from pipeline.trials import verification
from pipeline.trials.verification import MAX_ROUNDS, verify
from tests.latency import synthetic
from tests.latency.synthetic import TARGET, network_ms, times_of, write_table
from tests.measure import simulated

SPACE = get_space("cream").narrowed(max_depth=2, operators=["mb4_3x3", "mb6_5x5"])
SECOND = "synthetic/openvino-fp32-b1-t1"
Truth = Callable[[str, Architecture], float]


def as_the_table_says(setting: str, network: Architecture) -> float:
    return network_ms(network)


@dataclass
class Machine(simulated.SimulatedProcess):
    """A machine on which networks take what they truly take.

    Attributes:
        target: What is measured.
        truth_ms: Latency by the target's setting and the network.
        runs_left: Runs of networks until it is no more, all processes together.
    """

    target: Target
    truth_ms: Truth
    runs_left: Iterator[int]
    at_s: float = 0.0
    calls: list[tuple[float, str, str | float]] = field(default_factory=list)

    def _run(self, key: str) -> None:
        control = key == CONTROL
        took_ms = 1.0 if control else self.truth_ms(self.target.setting, parse_short(key))
        self.at_s += took_ms / 1e3
        if not control and next(self.runs_left, None) is None:
            raise KeyboardInterrupt


@pytest.fixture
def machine(workdir: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Puts a machine in place of this one; nothing needs exporting for it."""

    def use(truth_ms: Truth, *, runs_left: Iterable[int] = count()) -> None:
        left = iter(runs_left)

        def start(target: Target) -> Machine:
            if target.device != TARGET.device:
                raise UnavailableError(f"target {target.name} is elsewhere")
            return Machine(target, truth_ms, left)

        monkeypatch.setattr(bench, "MeasuringProcess", start)
        monkeypatch.setattr(verification, "MeasuringProcess", start)

    def paths(jobs: Sequence[object], **settings: object) -> list[Path]:
        return [Path("nowhere") for _ in jobs]

    monkeypatch.setattr(verification, "export_all", paths)
    use(as_the_table_says)
    return use


@pytest.fixture
def model(workdir: Path) -> LatencyModel:
    path = write_table(times_of(SPACE.distinct_operators(32, 10)))
    save_calibration(path, TARGET, synthetic.calibration(SPACE, 32, 10))
    return LatencyModel.read(TARGET)


def by_latency(number: int = 40) -> list[Architecture]:
    """Networks of the space, the slowest first: it is to be the most accurate."""
    found = sample_networks(SPACE, 32, 10, number, seed=0)
    return sorted(found, key=network_ms, reverse=True)


def searched(
    networks: Sequence[Architecture],
    limits_ms: dict[str, float],
    predict: Callable[[Architecture], LatencyPrediction],
    *,
    confidence: float = 0.5,
) -> SearchRecord:
    """A search that ranks networks in the order given; it evaluated them in another."""
    evaluated = []
    for rank, network in reversed(list(enumerate(networks))):
        cost = architecture_cost(network)
        evaluated.append(
            Candidate(
                architecture=network,
                accuracy_percent=90 - 0.1 * rank,
                macs=cost.macs,
                params=cost.params,
                latency_ms=dict.fromkeys([TARGET.name, *limits_ms], predict(network)),
                violation=0.0,
            )
        )
    return SearchRecord(
        limits=Limits(latency_ms=limits_ms, confidence=confidence),
        target=TARGET.name,
        success=True,
        message="made up for a test",
        evaluated=tuple(evaluated),
        front=(),
        ranking=tuple(reversed(range(len(networks)))),
        num_images=100,
        hypervolume=(),
        reachable={},
        seed=0,
        seconds=0.0,
    )


def verified(search: SearchRecord, models: dict[str, LatencyModel], top_k: int = 3) -> VerifyRecord:
    folder = Path("verify")
    return verify(search, models=models, top_k=top_k, protocol=simulated.QUICK, folder=folder)


def places(record: VerifyRecord, search: SearchRecord) -> dict[int, int]:
    """The round in which each was chosen, by place in the ranking, in the order they were."""
    ranked = [search.evaluated[index] for index in search.ranking]
    return {ranked.index(item.candidate): item.round for item in record.candidates}


def feasible(model: LatencyModel, limit_ms: float) -> list[Architecture]:
    return [n for n in by_latency(200) if model.predict(n).typical <= limit_ms]


# What was seen decides who is next.


def test_a_level_that_changed_is_learnt_from_the_first_round(
    machine: Callable[..., None], model: LatencyModel
) -> None:
    """Everything is 5 % slower: after one round those are passed over that this puts over."""
    machine(lambda _, network: 1.05 * network_ms(network))
    limit_ms = network_ms(by_latency()[10])
    search = searched(feasible(model, limit_ms), {TARGET.name: limit_ms}, model.predict)
    record = verified(search, {TARGET.name: model})
    chosen = places(record, search)
    assert [chosen[place] for place in (0, 1, 2)] == [1, 1, 1]
    assert max(chosen.values()) == 2
    best = list(chosen)[record.winner]
    ranked = [search.evaluated[index].architecture for index in search.ranking]
    excess = [1.05 * network_ms(network) / limit_ms - 1 for network in ranked]
    assert excess[best] <= 0
    passed_over = set(range(best)) - set(chosen)
    assert len(passed_over) >= 10
    assert min(excess[place] for place in passed_over) > -0.005
    for item in record.candidates:
        expected, measured = item.expected_ms[TARGET.name], item.measured_ms[TARGET.name]
        off = abs(expected.typical / measured.typical - 1)
        assert off == pytest.approx(0.05, abs=0.01) if item.round == 1 else off < 0.008
        if item.round == 1:
            assert expected == item.candidate.latency_ms[TARGET.name]


def test_without_a_model_the_searchs_predictions_stay_and_the_next_are_taken(
    machine: Callable[..., None], model: LatencyModel
) -> None:
    machine(lambda _, network: 1.02 * network_ms(network))
    limit_ms = network_ms(by_latency()[10])
    search = searched(feasible(model, limit_ms), {TARGET.name: limit_ms}, model.predict)
    record = verified(search, {}, top_k=5)
    chosen = places(record, search)
    assert list(chosen) == list(range(len(chosen)))
    assert all(item.expected_ms == item.candidate.latency_ms for item in record.candidates)
    assert max(chosen.values()) > 1


def test_a_winner_with_nobody_above_it_ends_it_after_one_round(
    machine: Callable[..., None], model: LatencyModel
) -> None:
    machine(lambda _, network: 0.97 * network_ms(network))
    networks = by_latency()
    search = searched(networks, {TARGET.name: network_ms(networks[0])}, model.predict)
    record = verified(search, {TARGET.name: model})
    assert places(record, search) == {0: 1, 1: 1, 2: 1}
    assert record.winner == 0


class Levelling:
    """A model that believes all networks to be off by one factor: the mean of those seen."""

    def __init__(self, plain_ms: dict[Architecture, float], seen: Sequence[float] = ()) -> None:
        self._plain_ms = plain_ms
        self._seen = list(seen)

    def predict(self, network: Architecture) -> LatencyPrediction:
        factor = sum(self._seen) / len(self._seen) if self._seen else 1.0
        typical = factor * self._plain_ms[network]
        return LatencyPrediction(typical=typical, std=0.001 * typical)

    def updated(
        self, networks: Sequence[Architecture], measured: Sequence[LatencyPrediction]
    ) -> "Levelling":
        ratios = [m.typical / self._plain_ms[n] for n, m in zip(networks, measured, strict=True)]
        return Levelling(self._plain_ms, [*self._seen, *ratios])


def choose(
    machine: Callable[..., None],
    predicted: Sequence[float],
    truth: Sequence[float],
    top_k: int = 1,
) -> tuple[VerifyRecord, SearchRecord]:
    """Verifies networks, the most accurate first, against a limit of 1 ms."""
    networks = by_latency(len(predicted))
    truth_ms = dict(zip(networks, truth, strict=True))
    machine(lambda _, network: truth_ms[network])
    model = Levelling(dict(zip(networks, predicted, strict=True)))
    search = searched(networks, {TARGET.name: 1.0}, model.predict)
    return verified(search, {TARGET.name: model}, top_k), search  # type: ignore[dict-item]


def test_who_was_passed_over_comes_back_when_more_was_seen(machine: Callable[..., None]) -> None:
    """Number 1 looks too slow once number 0 was; then number 2 shows that it need not be."""
    record, search = choose(machine, [0.99, 0.95, 0.90, 0.8], [1.08, 0.95, 0.90, 0.8])
    assert places(record, search) == {0: 1, 2: 2, 1: 3}
    assert [item.verdict for item in record.candidates] == ["over", "within", "within"]
    assert record.winner == 2
    assert record.candidates[record.winner].candidate.accuracy_percent == pytest.approx(89.9)
    second, third = record.candidates[1:]
    assert second.expected_ms[TARGET.name].typical == pytest.approx(0.9 * 1.08 / 0.99)
    level = (1.08 / 0.99 + 1) / 2
    assert third.expected_ms[TARGET.name].typical == pytest.approx(0.95 * level)


def test_when_nobody_is_expected_within_the_nearest_are_tried(
    machine: Callable[..., None],
) -> None:
    """They may have something of their own, as number 2 here."""
    record, search = choose(
        machine, [0.99, 0.97, 0.95, 0.93, 0.96], [1.2, 1.2, 0.999, 1.2, 1.2], top_k=2
    )
    assert places(record, search) == {0: 1, 1: 1, 3: 2, 2: 2}
    assert record.winner == 3


def test_it_ends_after_some_rounds_with_the_best_that_was_within(
    machine: Callable[..., None],
) -> None:
    """Though more accurate ones may be within."""
    many = 9
    predicted = [0.99 - 0.001 * rank for rank in range(many)]
    truth = [1.2] + [1.002] * (many - 2) + [0.9]
    networks = by_latency(many)
    search = searched(
        networks,
        {TARGET.name: 1.0},
        lambda n: LatencyPrediction(typical=predicted[networks.index(n)], std=0.001),
    )
    machine(lambda _, network: truth[networks.index(network)])
    with pytest.raises(InfeasibleError, match=f"none of {MAX_ROUNDS} candidates") as caught:
        verified(search, {}, top_k=1)
    told = f"the nearest: 1.002 ms on {TARGET.name} is 0.2 % over the limit of 1 ms"
    assert told in caught.value.message
    record = verified(search, {}, top_k=3)
    assert max(places(record, search).values()) == 3
    assert places(record, search)[many - 1] == 3
    assert record.winner == many - 1


# Several targets.


def test_each_target_has_its_own_level(machine: Callable[..., None], model: LatencyModel) -> None:
    """What one target has seen says nothing of the other."""
    change = {TARGET.setting: 1.0, Target.parse(SECOND).setting: 1.05}
    machine(lambda setting, network: change[setting] * network_ms(network))
    limit_ms = network_ms(by_latency()[10])
    limits_ms = {TARGET.name: limit_ms * 1.002, SECOND: limit_ms}
    search = searched(feasible(model, limit_ms), limits_ms, model.predict)
    record = verified(search, {TARGET.name: model, SECOND: model})
    assert max(item.round for item in record.candidates) == 2
    for item in record.candidates:
        for name, level in ((TARGET.name, 1.0), (SECOND, 1.05)):
            expected, measured = item.expected_ms[name], item.measured_ms[name]
            level_known = item.round == 2
            off = measured.typical / expected.typical
            assert off == pytest.approx(1.0 if level_known else level, abs=0.008)
        if item.verdict == "over":
            assert SECOND in item.reason
            assert TARGET.name not in item.reason
    best = record.candidates[record.winner].candidate.architecture
    assert 0.985 * limit_ms < 1.05 * network_ms(best) <= limit_ms


def test_who_is_over_where_nothing_can_be_measured_is_not_worth_a_round(
    machine: Callable[..., None],
) -> None:
    """With the confidence asked for: 0.95 ± 0.05 ms is within 1 ms at 80 %, not at 90 %."""
    elsewhere = "another-board/tensorrt-fp16-b1"
    networks = by_latency(4)
    machine(lambda _, network: 1.5 if network == networks[0] else 0.9)
    guesses = [
        LatencyPrediction(typical=0.9, std=0.0),
        LatencyPrediction(typical=0.95, std=0.05),
        LatencyPrediction(typical=0.9, std=0.0),
        LatencyPrediction(typical=0.8, std=0.0),
    ]
    limits_ms = {TARGET.name: 1.0, elsewhere: 1.0}
    found = {}
    for confidence in (0.8, 0.9):
        search = searched(
            networks,
            limits_ms,
            lambda n: guesses[networks.index(n)],
            confidence=confidence,
        )
        record = verified(search, {}, top_k=1)
        assert set(record.unmeasured) == {elsewhere}
        found[confidence] = places(record, search)
    assert found == {0.8: {0: 1, 1: 2}, 0.9: {0: 1, 2: 2}}


# Interrupted.


@pytest.mark.parametrize("after", [1, 20, 30, 45])
def test_interrupted_it_ends_as_if_it_had_not_been(
    machine: Callable[..., None], model: LatencyModel, after: int
) -> None:
    """In the first round, or between rounds, or in a later one; nothing is measured twice."""

    def slow(setting: str, network: Architecture) -> float:
        return 1.05 * network_ms(network)

    limit_ms = network_ms(by_latency()[10])
    search = searched(feasible(model, limit_ms), {TARGET.name: limit_ms}, model.predict)
    machine(slow, runs_left=range(after))
    with pytest.raises(KeyboardInterrupt):
        verified(search, {TARGET.name: model})
    (journal,) = Path("verify").iterdir()
    kept = journal.read_text()
    machine(slow)
    resumed = verified(search, {TARGET.name: model})
    assert journal.read_text().startswith(kept)
    lines = journal.read_text().splitlines()
    assert len(lines) == 1 + simulated.QUICK.sweeps * len(resumed.candidates)
    journal.unlink()
    undisturbed = verified(search, {TARGET.name: model})
    assert outcome(resumed) == outcome(undisturbed)


def outcome(record: VerifyRecord) -> list[tuple[str, str, int]]:
    return [
        (item.candidate.architecture.short, item.verdict, item.round) for item in record.candidates
    ]
