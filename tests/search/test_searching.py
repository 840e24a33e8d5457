"""The search as a whole, against brute force where that is possible."""

from functools import lru_cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import UsageError
from pipeline.records.candidates import Limits
from pipeline.records.search import SearchRecord
from pipeline.search.front import pareto_front
from pipeline.search.hypervolume import hypervolume
from pipeline.search.scoring import Scored
from pipeline.search.settings import SearchSettings
from pipeline.space.cost import architecture_cost
from pipeline.space.encoding import encode
from tests.search.toys import CLASSES, CPU, CPU_MS, GPU, certain, make_toy

QUICK = SearchSettings(candidates=60, population=10, surrogate_share=0.0)
WITH_SURROGATE = SearchSettings(candidates=60, population=10, surrogate_share=0.4)


def qualities(record):
    return -np.array([candidate.log_loss_nats for candidate in record.evaluated])


def latencies(record, target=CPU):
    return np.array([candidate.latency_ms[target].typical for candidate in record.evaluated])


def all_alike(architectures, on_scored):
    for architecture in architectures:
        on_scored(architecture, certain(50.0))
    return [certain(50.0)] * len(architectures)


def never(architectures, on_scored):
    raise AssertionError(f"{len(architectures)} architectures were scored")


# What is found.


@pytest.mark.parametrize(("seed", "surrogate_share"), [(0, 0.0), (1, 0.3)])
@pytest.mark.parametrize(
    ("shape", "of_range", "candidates"),
    [
        ((1, 2), {"cpu": 0.5}, 100),
        ((1, 3), {"macs": 0.4, "cpu": 0.5}, 300),
        ((2, 2), {"macs": 0.5, "gpu": 0.4}, 700),
        ((2, 2), {"macs": 0.7, "macs_min": 0.6, "cpu": 0.7}, 700),
        ((2, 2), {"cpu": 0.5, "confidence": 0.9}, 700),
    ],
)
def test_the_best_of_a_small_space_is_found(shape, of_range, candidates, surrogate_share, seed):
    toy = make_toy(*shape, seed=seed)
    limits = toy.shares(**of_range)
    inside = toy.inside(limits)
    assert 0 < len(inside) < len(toy.everything)
    record = toy.search(
        limits,
        settings=SearchSettings(
            candidates=candidates, population=20, surrogate_share=surrogate_share, patience=40
        ),
        seed=seed,
    )
    best = record.evaluated[record.ranking[0]]
    assert best.accuracy_percent == toy.accuracies(inside).max()
    assert best.architecture == toy.decode(inside[toy.accuracies(inside).argmax()])


def test_every_candidate_is_within_the_limits():
    toy = make_toy()
    limits = Limits(macs=40e6, macs_min=35e6, params=5e6, latency_ms={CPU: 8.5, GPU: 0.75})
    record = toy.search(limits, settings=QUICK)
    assert record.success
    assert record.limits == limits
    assert len(record.evaluated) == 60
    for candidate in record.evaluated:
        assert candidate.violation == 0
        assert 35e6 <= candidate.macs <= 40e6
        assert candidate.params <= 5e6
        assert candidate.latency_ms[CPU].typical <= 8.5
        assert candidate.latency_ms[GPU].typical <= 0.75


def test_latencies_hold_with_their_margin():
    toy = make_toy(3, 4)
    limits = Limits(latency_ms={CPU: 6.0, GPU: 0.6}, confidence=0.975)
    record = toy.search(limits, settings=WITH_SURROGATE)
    assert record.success
    for candidate in record.evaluated:
        for target, ms in limits.latency_ms.items():
            predicted = candidate.latency_ms[target]
            assert predicted.std > 0
            assert predicted.typical + 1.9599 * predicted.std <= ms
    assert latencies(record).max() > 0.85 * 6.0, "close to what the margin leaves"


def test_candidates_carry_their_costs():
    toy = make_toy(3, 3, sizes=(64, 96))
    record = toy.search(Limits(macs=30e6), settings=QUICK)
    for candidate in record.evaluated:
        cost = architecture_cost(candidate.architecture)
        assert (candidate.macs, candidate.params) == (cost.macs, cost.params)
        row = encode(toy.space, [candidate.architecture])
        for target in (CPU, GPU):
            predicted = candidate.latency_ms[target]
            assert predicted.typical == toy.costs(row)[f"latency_ms/{target}"][0]
            assert predicted.std == pytest.approx(toy.uncertainty[target].std_ms(row)[0])
            assert not predicted.foreign
        assert candidate.accuracy_percent == toy.accuracy(candidate.architecture)
        assert candidate.log_loss_nats == candidate.expected_nats == -toy.quality(row)[0]
        assert candidate.error_nats == candidate.expected_std_nats == 0


# What is told of it.


@pytest.mark.parametrize("target", [CPU, GPU])
def test_front_and_ranking_are_those_of_the_evaluated(target):
    toy = make_toy()
    record = toy.search(Limits(macs=40e6), settings=QUICK, target=target)
    quality, latency = qualities(record), latencies(record, target)
    assert list(record.front) == pareto_front(quality, latency)
    assert sorted(record.ranking) == list(range(60))
    assert quality[list(record.ranking)].tolist() == sorted(quality, reverse=True)
    assert record.ranking[0] == record.front[-1]
    assert record.target == target
    assert record.strategy == "evolution"
    assert record.num_images == 100
    assert record.reachable == toy.reachable


def test_ties_go_to_the_faster_then_the_smaller():
    record = make_toy().search(Limits(macs=40e6), settings=QUICK, score=all_alike)
    ranked = [record.evaluated[index] for index in record.ranking]
    keys = [(c.latency_ms[CPU].typical, c.macs, c.architecture.short) for c in ranked]
    assert keys == sorted(keys)


def test_the_hypervolume_is_that_of_what_was_scored_by_then():
    toy, slowest = make_toy(), 7.0
    record = toy.search(Limits(latency_ms={CPU: slowest}), settings=QUICK)
    quality, latency = qualities(record), latencies(record)
    assert list(record.hypervolume) == [
        pytest.approx(
            hypervolume(
                quality[:count],
                latency[:count],
                guessing_nats=np.log(CLASSES),
                slowest_ms=slowest,
            )
        )
        for count in range(10, 61, 10)
    ]
    assert record.hypervolume[-1] > record.hypervolume[0]


def test_without_a_limit_on_it_latency_goes_to_the_slowest_there_is():
    toy = make_toy(2, 2)
    for limits in (Limits(), Limits(latency_ms={CPU: 1e3})):
        assert toy.problem(limits).slowest_ms == toy.reachable[CPU_MS][1]
        record = toy.search(limits, settings=QUICK)
        expected = hypervolume(
            qualities(record),
            latencies(record),
            guessing_nats=np.log(CLASSES),
            slowest_ms=toy.reachable[CPU_MS][1],
        )
        assert record.hypervolume[-1] == pytest.approx(expected)


def test_what_is_proved_holds_for_all_that_was_scored():
    toy = make_toy()
    record = toy.search(Limits(macs=40e6, latency_ms={GPU: 0.8}), settings=WITH_SURROGATE)
    exact = record.exact
    assert exact is not None
    assert set(exact.surrogates) == {64}
    assert exact.surrogates[64].samples == 60
    assert exact.chosen_regret_percent >= 0
    assert exact.bound_percent >= exact.best.surrogate_percent
    assert exact.front_gap_percent >= 0
    latency = [point.latency_ms for point in exact.front]
    surrogate = [point.surrogate_percent for point in exact.front]
    assert latency == sorted(latency)
    assert surrogate == sorted(surrogate)
    assert len(exact.front) == min(200, exact.front_points) > 5
    assert surrogate[-1] == pytest.approx(exact.best.surrogate_percent, abs=1e-5)
    for point in exact.front:
        costs = toy.problem(record.limits).costs_of(point.architecture)
        assert costs["macs"] == point.macs <= 40e6
        assert costs[f"latency_ms/{GPU}"] <= 0.8
        assert costs[f"latency_ms/{CPU}"] == point.latency_ms


# Several input sizes.


def test_each_input_size_is_set_beside_all_of_them():
    toy = make_toy(3, 3, sizes=(64, 96, 128))
    limits = toy.shares(cpu=0.25)
    chosen = SearchSettings(candidates=200, population=20, surrogate_share=0.3)
    record = toy.search(limits, settings=chosen)
    quality, latency = qualities(record), latencies(record)
    size_of = np.array([candidate.architecture.resolution for candidate in record.evaluated])
    assert [found.resolution for found in record.resolutions] == [64, 96, 128]
    assert sum(found.evaluated for found in record.resolutions) == 200
    for found in record.resolutions:
        own = size_of == found.resolution
        assert found.evaluated == own.sum() > 0
        assert size_of[found.best] == found.resolution
        assert quality[found.best] == quality[own].max()
        assert found.hypervolume <= record.hypervolume[-1] + 1e-12
        assert found.hypervolume == pytest.approx(
            hypervolume(
                quality[own],
                latency[own],
                guessing_nats=np.log(CLASSES),
                slowest_ms=limits.latency_ms[CPU],
            )
        )
        lost = [
            quality[latency <= ms].max() - quality[own & (latency <= ms)].max()
            for ms in latency
            if ms >= latency[own].min()
        ]
        points = record.scale.percent_per_nat * max(lost)
        assert found.most_lost_percent == pytest.approx(points)
        assert found.most_lost_percent >= 0
    assert record.ranking[0] in {found.best for found in record.resolutions}
    assert set(record.exact.surrogates) == {64, 96, 128}


def test_a_size_that_does_not_fit_is_not_told_of():
    toy = make_toy(2, 2, sizes=(64, 224))
    limits = Limits(macs=toy.tables.reachable[224]["macs"][0] / 2)
    record = toy.search(limits, settings=WITH_SURROGATE)
    assert [found.resolution for found in record.resolutions] == [64]
    assert record.resolutions[0].most_lost_percent == 0
    assert record.success


def test_of_one_input_size_nothing_more_is_told():
    assert make_toy(2, 2).search(Limits(), settings=QUICK).resolutions == ()


# Several targets.


@pytest.mark.parametrize("seed", range(2))
def test_each_target_has_a_winner_of_its_own(seed):
    toy = make_toy(2, 3, seed=seed)
    limits = toy.shares(cpu=0.35, gpu=0.3, macs=0.6)
    chosen = SearchSettings(candidates=150, population=20, per_target=True)
    record = toy.search(limits, settings=chosen, seed=seed)
    quality = qualities(record)
    shared = quality[record.ranking[0]]
    assert [winner.target for winner in record.per_target] == [CPU, GPU]
    for winner in record.per_target:
        own = limits.latency_ms[winner.target]
        fits = (latencies(record, winner.target) <= own) & np.array(
            [candidate.macs <= limits.macs for candidate in record.evaluated]
        )
        assert fits[winner.best]
        assert quality[winner.best] == quality[fits].max()
        lost = record.scale.percent_per_nat * (quality[winner.best] - shared)
        assert winner.shared_lost_percent == lost >= 0
    # What was found for one target may be outside the limits of all; it is no candidate for them.
    inside = [candidate.violation <= 0 for candidate in record.evaluated]
    assert sorted(record.ranking) == np.flatnonzero(inside).tolist()
    assert not all(inside)
    assert set(record.front) <= set(record.ranking)
    assert 150 < len(record.evaluated) <= 450
    assert len({c.architecture for c in record.evaluated}) == len(record.evaluated)


def test_a_target_alone_loses_nothing():
    toy = make_toy(2, 3)
    chosen = SearchSettings(candidates=60, surrogate_share=0.0, per_target=True)
    assert toy.search(toy.shares(cpu=0.4), settings=chosen).per_target == ()
    assert len(toy.scored) == 60


# Randomness, and being killed.


def same(one: SearchRecord, other: SearchRecord) -> bool:
    """All but how long things took."""

    def untimed(record: SearchRecord) -> SearchRecord:
        exact = record.exact and record.exact.model_copy(update={"seconds": 0})
        return record.model_copy(update={"seconds": 0, "exact": exact})

    return untimed(one) == untimed(other)


@pytest.mark.parametrize("chosen", [QUICK, WITH_SURROGATE])
def test_the_same_seed_gives_the_same_record_and_another_one_another(chosen):
    toy = make_toy(3, 4, sizes=(64, 96))
    limits = Limits(macs=40e6, latency_ms={CPU: 7.0, GPU: 0.6}, confidence=0.8)
    first = toy.search(limits, settings=chosen, seed=3)
    assert same(first, toy.search(limits, settings=chosen, seed=3))
    assert not same(first, toy.search(limits, settings=chosen, seed=4))
    assert SearchRecord.model_validate_json(first.model_dump_json()) == first


@lru_cache
def a_whole_search(strategy):
    toy = make_toy(2, 3)
    limits = toy.shares(cpu=0.5, gpu=0.5)
    chosen = SearchSettings(
        strategy=strategy, candidates=60, population=10, surrogate_share=0.4, per_target=True
    )
    return limits, chosen, toy.search(limits, settings=chosen, seed=5)


@pytest.mark.parametrize(
    ("strategy", "killed_after"),
    [*(("evolution", count) for count in (0, 13, 59, 100)), ("exact", 20), ("exact", 50)],
)
def test_a_killed_search_goes_on_to_the_same_record(strategy, killed_after):
    toy = make_toy(2, 3)
    limits, chosen, whole = a_whole_search(strategy)
    assert len(whole.evaluated) > 100
    journal: dict[str, Scored] = {}

    class KilledError(Exception):
        pass

    def keep(architecture, scored):
        journal[architecture.short] = scored

    def keep_or_die(architecture, scored):
        if len(journal) == killed_after:
            raise KilledError
        keep(architecture, scored)

    with pytest.raises(KilledError):
        toy.search(limits, settings=chosen, seed=5, keep=keep_or_die)
    assert len(journal) == killed_after
    toy.scored.clear()
    told: list[int] = []
    again = toy.search(
        limits,
        settings=chosen,
        seed=5,
        cache=dict(journal),
        keep=keep,
        progress=lambda done, total, note="": told.append(done),
    )
    assert same(whole, again)
    assert len(toy.scored) == len(whole.evaluated) - killed_after
    assert len(journal) == len(whole.evaluated)
    assert told == list(range(1, len(whole.evaluated) + 1))


def test_a_generation_is_scored_in_one_call_without_what_is_known():
    toy = make_toy()
    whole = toy.search(Limits(macs=40e6), settings=QUICK)
    assert toy.calls == [10] * 6
    toy.calls.clear()
    # All of the second generation and a part of the first.
    known = {
        c.architecture.short: Scored(certain(c.accuracy_percent), 1.0)
        for c in whole.evaluated[7:20]
    }
    assert same(whole, toy.search(Limits(macs=40e6), settings=QUICK, cache=known))
    assert toy.calls == [7, 10, 10, 10, 10]


def test_a_log_loss_of_0_is_known_as_well():
    toy = make_toy(1, 2)
    everything = {toy.decode(row).short: Scored(certain(100.0), 0.1) for row in toy.everything}
    record = toy.search(Limits(), settings=QUICK, cache=everything)
    assert len(record.evaluated) == 32
    assert toy.scored == []


# What cannot be met.


def assert_infeasible(toy, record):
    """The nearest is named, nothing was scored."""
    assert not record.success
    assert record.evaluated == record.front == record.ranking == record.hypervolume == ()
    assert record.exact is None
    assert record.per_target == record.resolutions == ()
    assert record.nearest is not None
    assert record.nearest.violation > 0
    row = encode(toy.space, [record.nearest.architecture])
    assert record.nearest.violation == toy.problem(record.limits).violation(row)[0]
    assert f"the nearest, {record.nearest.architecture.short}, misses by" in record.message
    assert "It would be within: " in record.message


def test_a_limit_out_of_reach_is_named_with_what_is_in_reach():
    toy = make_toy()
    smallest = toy.reachable[CPU_MS][0]
    record = toy.search(
        Limits(macs=40e6, latency_ms={CPU: 0.5 * smallest}), settings=QUICK, score=never
    )
    assert_infeasible(toy, record)
    assert record.message.startswith(
        f"no architecture of space cream at 64 pixels has latency on {CPU} at most "
        f"{0.5 * smallest:.4g} ms (the smallest reached is {smallest:.4g} ms); the nearest"
    )
    assert record.reachable == toy.reachable


def test_limits_that_exclude_each_other_are_told_with_the_nearest():
    toy = make_toy(2, 2)
    limits = toy.shares(macs_min=0.8, gpu=0.2)
    beyond = toy.problem(limits).violation(toy.everything)
    record = toy.search(limits, settings=QUICK, score=never)
    assert_infeasible(toy, record)
    assert "each limit can be met alone" in record.message
    assert record.nearest.violation == pytest.approx(beyond.min(), abs=1e-9)


def test_a_space_of_one_architecture():
    toy = make_toy(1, 1)
    record = toy.search(Limits(), settings=WITH_SURROGATE)
    assert record.success
    assert len(record.evaluated) == len(record.front) == len(record.ranking) == 1
    assert "no further architecture" in record.message
    smallest, largest = toy.reachable["macs"]
    assert smallest == largest
    assert_infeasible(toy, toy.search(Limits(macs=smallest - 1), settings=QUICK, score=never))


@pytest.mark.parametrize("key", ["macs", "params"])
def test_the_only_architectures_at_the_end_of_a_space_are_found(key):
    toy = make_toy()
    smallest = toy.reachable[key][0]
    record = toy.search(Limits(**{key: smallest}), settings=QUICK)
    assert record.success
    assert {getattr(c, key) for c in record.evaluated} == {smallest}


@pytest.mark.parametrize(
    ("limits", "target", "words"),
    [
        (Limits(latency_ms={CPU: 0.006}), CPU, "was 6 ms meant"),
        (Limits(macs=60), CPU, "was 60 M meant"),
        (Limits(macs_min=2e6, macs=1e6), CPU, "leave nothing"),
        (Limits(), "orin/tensorrt-fp16-b1", "orin/tensorrt-fp16-b1"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_scored(limits, target, words):
    with pytest.raises(UsageError, match=words):
        make_toy().search(limits, settings=QUICK, target=target, score=never)


# Any limits.

NAMES = ("macs", "macs_min", "params", "cpu", "gpu")
ANY_SHARES = st.fixed_dictionaries({}, optional={name: st.floats(-0.05, 1.05) for name in NAMES})


def assert_keeps(toy, limits, *, chosen, seed):
    """A record that keeps the limits, or names the nearest; whether it is the former."""
    if limits.macs and limits.macs_min and limits.macs_min > limits.macs:
        with pytest.raises(UsageError, match="leave nothing"):
            toy.search(limits, settings=chosen, seed=seed)
        return False
    record = toy.search(limits, settings=chosen, seed=seed)
    assert record.message
    if not record.success:
        assert_infeasible(toy, record)
        return False
    assert record.nearest is None
    assert 0 < len(record.evaluated) <= chosen.candidates
    assert all(candidate.violation == 0 for candidate in record.evaluated)
    rows = encode(toy.space, [candidate.architecture for candidate in record.evaluated])
    assert (toy.problem(limits).violation(rows) == 0).all()
    assert len(np.unique(rows, axis=0)) == len(rows)
    if record.exact:
        assert record.exact.chosen_regret_percent >= -1e-6
    return True


@given(
    ANY_SHARES,
    st.sampled_from([0.5, 0.9]),
    st.sampled_from([(64,), (64, 96)]),
    st.sampled_from([0.0, 0.6]),
    st.integers(0, 2**32 - 1),
)
@settings(max_examples=10)
def test_any_limits_are_kept_exactly_where_they_can_be(shares, confidence, sizes, share, seed):
    toy = make_toy(2, 2, sizes=sizes)
    limits = toy.shares(**shares, confidence=confidence)
    chosen = SearchSettings(candidates=25, population=5, surrogate_share=share)
    found = assert_keeps(toy, limits, chosen=chosen, seed=seed)
    assert found == (len(toy.inside(limits)) > 0)


@given(ANY_SHARES, st.sampled_from([0.5, 0.9]), st.integers(0, 2**32 - 1))
@settings(max_examples=6)
def test_any_limits_are_kept_in_the_whole_space(shares, confidence, seed):
    toy = make_toy()
    limits = toy.shares(**shares, confidence=confidence)
    chosen = SearchSettings(candidates=20, population=10, surrogate_share=0.0)
    assert_keeps(toy, limits, chosen=chosen, seed=seed)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_two_hundred_random_sets_of_limits_are_kept_or_refused_with_the_nearest():
    """A tenth of the searches prove something too, in a space where that is quick."""
    rng = np.random.default_rng(0)
    kept = 0
    for number in range(200):
        proves = number % 10 == 0
        sizes = (64, 96) if number % 4 == 0 else (64,)
        toy = make_toy(3, 3, sizes=sizes) if proves else make_toy(sizes=sizes)
        drawn = rng.uniform(-0.02, 1.02, len(NAMES)) ** rng.choice([1, 2])
        given_ = rng.random(len(NAMES)) < 0.55
        shares = {
            name: float(share)
            for name, share, there in zip(NAMES, drawn, given_, strict=True)
            if there
        }
        limits = toy.shares(**shares, confidence=float(rng.choice([0.5, 0.5, 0.9])))
        chosen = SearchSettings(
            candidates=40, population=10, surrogate_share=0.5 if proves else 0.0
        )
        kept += assert_keeps(toy, limits, chosen=chosen, seed=number)
    assert 60 < kept < 180
