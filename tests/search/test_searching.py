"""The search as a whole, against brute force where that is possible."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import UsageError
from pipeline.records import LatencyPrediction, Limits, SearchRecord
from pipeline.search.constraints import violation
from pipeline.search.evolution import SearchSettings
from pipeline.search.front import pareto_front
from pipeline.space import Architecture

CPU, GPU = "cpu/onnxruntime-fp32-b1-t1", "gpu/tensorrt-fp16-b1"
SMALL = SearchSettings(population=10, generations=6)


def shares(problem, **of_range):
    """Limits at a share of what the space reaches."""

    def at(key, share):
        smallest, largest = problem.reachable[key]
        return smallest + share * (largest - smallest)

    latency = {
        target: at(f"latency_ms/{target}", of_range[name])
        for name, target in (("cpu", CPU), ("gpu", GPU))
        if name in of_range
    }
    macs = {
        field: at("macs", of_range[field]) for field in ("macs", "macs_min") if field in of_range
    }
    return Limits(latency_ms=latency, **macs)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    ("shape", "of_range", "budget"),
    [
        ((1, 2), {"cpu": 0.5}, (5, 20)),
        ((1, 3), {"macs": 0.4, "cpu": 0.5}, (10, 30)),
        ((2, 2), {"macs": 0.5, "gpu": 0.4}, (20, 50)),
        ((2, 2), {"macs": 0.7, "macs_min": 0.6, "cpu": 0.7}, (20, 50)),
        ((2, 3), {"macs": 0.3, "cpu": 0.4, "gpu": 0.5}, (20, 100)),
    ],
)
def test_the_best_of_a_small_space_is_found(toy, shape, of_range, budget, seed):
    problem = toy(*shape, seed=seed)
    limits = shares(problem, **of_range)
    everything = problem.every_row()
    inside = everything[violation(problem.costs(everything), limits) == 0]
    assert 0 < len(inside) < len(everything)
    population, generations = budget
    record = problem.search(
        limits,
        settings=SearchSettings(population=population, generations=generations),
        seed=seed,
    )
    assert record.success
    best = record.evaluated[record.ranking[0]]
    accuracies = problem.accuracies(inside)
    assert best.accuracy_percent == pytest.approx(accuracies.max())
    assert best.architecture == problem.decode(inside[accuracies.argmax()])


def test_every_candidate_is_within_the_limits(toy):
    problem = toy()
    limits = Limits(macs=40e6, macs_min=35e6, params=5e6, latency_ms={CPU: 8.5, GPU: 0.75})
    record = problem.search(limits, settings=SMALL)
    assert record.success
    assert len(record.evaluated) == SMALL.budget
    for candidate in record.evaluated:
        assert candidate.violation == 0
        assert 35e6 <= candidate.macs <= 40e6
        assert candidate.params <= 5e6
        assert candidate.latency_ms[CPU].typical <= 8.5
        assert candidate.latency_ms[GPU].typical <= 0.75


def test_candidates_carry_their_costs(toy):
    from pipeline.cost import architecture_cost

    problem = toy(3, 3)
    record = problem.search(Limits(macs=30e6), settings=SMALL)
    for candidate in record.evaluated:
        cost = architecture_cost(candidate.architecture)
        assert (candidate.macs, candidate.params) == (cost.macs, cost.params)
        assert candidate.latency_ms == problem.predict(candidate.architecture)
        assert candidate.accuracy_percent == problem.accuracy(candidate.architecture)


def test_front_and_ranking_are_those_of_the_evaluated(toy):
    problem = toy()
    record = problem.search(Limits(macs=40e6), settings=SMALL, target=GPU)
    accuracy = np.array([c.accuracy_percent for c in record.evaluated])
    latency = np.array([c.latency_ms[GPU].typical for c in record.evaluated])
    assert list(record.front) == pareto_front(accuracy, latency)
    assert sorted(record.ranking) == list(range(len(record.evaluated)))
    assert accuracy[list(record.ranking)].tolist() == sorted(accuracy, reverse=True)
    assert record.ranking[0] == record.front[-1]


def all_alike(architectures, on_scored) -> list[float]:
    for architecture in architectures:
        on_scored(architecture, 50.0)
    return [50.0] * len(architectures)


def test_ties_go_to_the_faster_then_the_smaller(toy):
    problem = toy()
    record = problem.search(Limits(macs=40e6), settings=SMALL, score=all_alike)
    ranked = [record.evaluated[index] for index in record.ranking]
    keys = [(c.latency_ms[CPU].typical, c.macs, c.architecture.short) for c in ranked]
    assert keys == sorted(keys)


def test_equal_accuracy_and_latency_leave_it_to_the_macs(toy):
    problem = toy()
    record = problem.search(
        Limits(macs=40e6),
        settings=SMALL,
        score=all_alike,
        predict=lambda architecture: {CPU: LatencyPrediction(typical=1.0, std=0.1)},
    )
    ranked = [record.evaluated[index] for index in record.ranking]
    keys = [(c.macs, c.architecture.short) for c in ranked]
    assert keys == sorted(keys)
    assert len(record.front) == len(record.evaluated)


def test_the_best_so_far_never_falls_and_is_reported_for_each_generation(toy):
    problem = toy()
    record = problem.search(Limits(macs=40e6), settings=SMALL)
    best = list(record.best_by_generation)
    assert len(best) == SMALL.generations
    assert best == sorted(best)
    accuracy = [c.accuracy_percent for c in record.evaluated]
    assert best == [max(accuracy[: 10 * (g + 1)]) for g in range(SMALL.generations)]
    assert best[-1] > best[0]


def same(one: SearchRecord, other: SearchRecord) -> bool:
    return one.model_copy(update={"seconds": 0}) == other.model_copy(update={"seconds": 0})


def test_the_same_seed_gives_the_same_record_and_another_one_another(toy):
    problem = toy()
    limits = Limits(macs=40e6, latency_ms={CPU: 7.0})
    first = problem.search(limits, settings=SMALL, seed=3)
    assert same(first, problem.search(limits, settings=SMALL, seed=3))
    assert not same(first, problem.search(limits, settings=SMALL, seed=4))
    assert SearchRecord.model_validate_json(first.model_dump_json()) == first


@pytest.mark.parametrize("killed_after", [0, 1, 13, 30, 59])
def test_a_killed_search_goes_on_to_the_same_record(toy, killed_after):
    problem = toy()
    limits = Limits(macs=40e6, latency_ms={CPU: 7.0})
    whole = problem.search(limits, settings=SMALL, seed=5)
    journal: dict[str, float] = {}

    class KilledError(Exception):
        pass

    def append(architecture: Architecture, accuracy_percent: float) -> None:
        journal[architecture.short] = accuracy_percent

    def append_or_die(architecture: Architecture, accuracy_percent: float) -> None:
        if len(journal) == killed_after:
            raise KilledError
        append(architecture, accuracy_percent)

    with pytest.raises(KilledError):
        problem.search(limits, settings=SMALL, seed=5, on_scored=append_or_die)
    assert len(journal) == killed_after
    problem.scored.clear()
    told: list[int] = []
    again = problem.search(
        limits,
        settings=SMALL,
        seed=5,
        cache=dict(journal),
        on_scored=append,
        progress=lambda done, total, note="": told.append(done),
    )
    assert same(whole, again)
    assert len(problem.scored) == SMALL.budget - killed_after
    assert len(journal) == SMALL.budget
    assert told == list(range(1, SMALL.budget + 1))


def test_a_generation_is_scored_in_one_call_without_what_is_known(toy):
    problem = toy()
    whole = problem.search(Limits(macs=40e6), settings=SMALL)
    assert problem.calls == [SMALL.population] * SMALL.generations
    problem.calls.clear()
    # All of the second generation and a part of the first.
    known = {c.architecture.short: c.accuracy_percent for c in whole.evaluated[7:20]}
    assert same(whole, problem.search(Limits(macs=40e6), settings=SMALL, cache=known))
    assert problem.calls == [7, 10, 10, 10, 10]


def test_an_accuracy_of_0_is_known_as_well(toy):
    problem = toy(1, 2)
    everything = {problem.decode(row).short: 0.0 for row in problem.every_row()}
    record = problem.search(Limits(), settings=SMALL, cache=everything)
    assert len(record.evaluated) == 32
    assert problem.scored == []


def test_nothing_is_scored_twice_and_all_that_is_scored_is_told(toy):
    problem, told = toy(), []
    record = problem.search(
        Limits(macs=40e6),
        settings=SMALL,
        on_scored=lambda architecture, accuracy: told.append((architecture.short, accuracy)),
    )
    assert len(set(problem.scored)) == len(problem.scored) == len(record.evaluated)
    accuracies = {c.architecture.short: c.accuracy_percent for c in record.evaluated}
    assert len(told) == len(record.evaluated)
    assert dict(told) == accuracies
    assert list(dict(told)) != list(accuracies), "an order of its own"


def test_progress_is_told_after_every_candidate(toy):
    problem, told = toy(), []
    problem.search(
        Limits(macs=40e6),
        settings=SMALL,
        progress=lambda done, total, note="": told.append((done, total, note)),
    )
    assert [done for done, _, _ in told] == list(range(1, 61))
    assert {total for _, total, _ in told} == {60}
    best = [float(note.removeprefix("best ").removesuffix(" %")) for _, _, note in told]
    assert best == sorted(best)
    assert best[-1] > best[0] > 0


def never(architectures, on_scored) -> list[float]:
    raise AssertionError(f"{len(architectures)} architectures were scored")


def test_a_limit_out_of_reach_is_named_with_what_is_in_reach(toy):
    problem = toy()
    record = problem.search(Limits(macs=40e6, latency_ms={CPU: 0.006}), settings=SMALL, score=never)
    smallest = problem.reachable[f"latency_ms/{CPU}"][0]
    assert not record.success
    assert record.message == (
        f"no architecture of space cream at 64 pixels has latency on {CPU} at most 0.006 ms "
        f"(the smallest reached is {smallest:.4g} ms)"
    )
    assert record.evaluated == record.front == record.ranking == record.best_by_generation == ()
    assert record.reachable == problem.reachable


def test_every_limit_out_of_reach_is_named(toy):
    problem = toy()
    record = problem.search(
        Limits(macs_min=1e9, latency_ms={CPU: 0.1}), settings=SMALL, score=never
    )
    assert "MACs at least 1000 M (the largest reached is" in record.message
    assert ", nor latency on" in record.message


def test_limits_that_exclude_each_other_are_told_with_the_nearest(toy):
    problem = toy(2, 2)
    everything = problem.every_row()
    limits = shares(problem, macs_min=0.8, gpu=0.2)
    beyond = violation(problem.costs(everything), limits)
    assert beyond.min() > 0
    record = problem.search(limits, settings=SMALL, score=never)
    assert not record.success
    assert "each limit can be met alone" in record.message
    assert f"misses by {100 * beyond.min():.2g} %" in record.message
    nearest = problem.decode(everything[beyond.argmin()])
    assert nearest.short in record.message
    assert "(it has " in record.message


def test_a_space_of_one_architecture(toy):
    problem = toy(1, 1)
    record = problem.search(Limits(), settings=SMALL)
    assert record.success
    assert len(record.evaluated) == len(record.front) == len(record.ranking) == 1
    assert "no further architecture" in record.message
    (smallest, largest) = problem.reachable["macs"]
    assert smallest == largest
    refused = problem.search(Limits(macs=smallest - 1), settings=SMALL, score=never)
    assert not refused.success


@pytest.mark.parametrize("key", ["macs", "params"])
def test_the_only_architecture_at_the_end_of_a_space_is_found(toy, key):
    problem = toy()
    smallest = problem.reachable[key][0]
    record = problem.search(Limits(**{key: smallest}), settings=SMALL)
    assert record.success
    assert {getattr(c, key) for c in record.evaluated} == {smallest}


@given(st.integers(0, 2**32 - 1), st.data())
@settings(max_examples=40)
def test_any_limits_end_in_a_record_that_keeps_them(toy, seed, data):
    problem = toy(2, 2)
    share = st.none() | st.floats(-0.05, 1.05)
    drawn = {name: data.draw(share) for name in ("macs", "macs_min", "cpu", "gpu")}
    limits = shares(problem, **{name: value for name, value in drawn.items() if value is not None})
    arguments = {"settings": SearchSettings(population=4, generations=2), "seed": seed}
    if limits.macs and limits.macs_min and limits.macs_min > limits.macs:
        with pytest.raises(UsageError):
            problem.search(limits, **arguments)
        return
    record = problem.search(limits, **arguments)
    assert record.success == bool(record.evaluated)
    assert all(candidate.violation == 0 for candidate in record.evaluated)
    assert record.message
    everything = problem.every_row()
    inside = (violation(problem.costs(everything), limits) == 0).sum()
    assert len(record.evaluated) <= inside
    # A handful among thousands may be missed, and the message then says no more than that.
    if inside > 20:
        assert record.success


def test_a_target_without_latency_is_refused_before_anything_is_scored(toy):
    with pytest.raises(UsageError, match="orin/tensorrt-fp16-b1"):
        toy().search(Limits(), settings=SMALL, target="orin/tensorrt-fp16-b1", score=never)
