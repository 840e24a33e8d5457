"""Who is tried next: by what the first trials tell, and only what is measured within the limits."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.device.target import Target
from pipeline.measure.protocol import TimingProtocol
from pipeline.records.candidates import Candidate, Limits
from pipeline.records.trial import Entrant
from pipeline.space.architecture import Architecture
from pipeline.space.cost import architecture_cost
from pipeline.training.scoring.network_score import NetworkScore
from pipeline.training.scoring.zero_cost import ZeroCost
from pipeline.trials import further
from pipeline.trials.field import Ladder, Option, Stand, entrant_of
from pipeline.trials.further import Further
from pipeline.trials.known import inputs_of
from tests.training.tiny import NETWORK
from tests.trials.test_trial import training

TARGET = Target.parse("host/onnxruntime-fp32-b1-t1")
OPERATORS = ("mb4_3x3", "mb6_5x5")


def networks() -> list[Architecture]:
    """All of the narrow space."""
    found = []
    for number in range(32):
        bits = [(number >> place) & 1 for place in range(5)]
        stages = tuple((OPERATORS[bit],) for bit in bits)
        found.append(NETWORK.model_copy(update={"stages": stages}))
    return found


def candidate(network: Architecture) -> Candidate:
    cost = architecture_cost(network)
    return Candidate(
        architecture=network,
        accuracy_percent=50.0,
        log_loss_nats=1.5,
        macs=cost.macs,
        params=cost.params,
        latency_ms={},
        violation=0.0,
    )


def truth(network: Architecture) -> float:
    """More MACs are better, and nothing else is of use."""
    return 2.0 - 0.4 * float(np.log(architecture_cost(network).macs / 1e6))


def score(network: Architecture, place: int) -> NetworkScore:
    random = np.random.default_rng(place)
    common = np.random.default_rng(99).normal(0, 0.3, 200)
    return NetworkScore.of(truth(network) + common + random.normal(0, 0.02, 200), 0)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Everything is within the limits but what has the most MACs of all."""
    asked: list[list[str]] = []
    too_large = max(networks(), key=lambda it: architecture_cost(it).macs)

    def climbed(ladders: Sequence[Ladder], *_: Any) -> list[Entrant]:
        asked.append([ladder.options[0].key for ladder in ladders])
        found = []
        for ladder in ladders:
            options = [it for it in ladder.options if it.network != too_large]
            found.append(entrant_of(ladder.kind, options[0], {}))
        return found

    def untrained(pool: Sequence[Architecture], *_: Any) -> dict[Architecture, ZeroCost]:
        random = np.random.default_rng(3)
        return {it: ZeroCost(*random.normal(size=3)) for it in pool}

    monkeypatch.setattr(further, "climbed", climbed)
    monkeypatch.setattr(further, "untrained_scores", untrained)
    return asked


def chooser(budget: int) -> Further:
    stand = Stand([TARGET], TimingProtocol(), Path(), 0)
    return Further(
        [candidate(it) for it in networks()], training(), Limits(), stand, budget, Path()
    )


def first(count: int) -> tuple[list[Entrant], dict[int, NetworkScore]]:
    """Those with the fewest MACs were tried."""
    some = sorted(networks(), key=lambda it: architecture_cost(it).macs)[:count]
    entrants = [entrant_of("candidate", Option.of(it), {}) for it in some]
    return entrants, {place: score(it, place) for place, it in enumerate(some)}


@pytest.mark.usefixtures("machine")
def test_it_goes_where_the_first_trials_point_while_the_budget_lasts() -> None:
    more, (entrants, scores) = chooser(budget=5), first(8)
    while named := more(entrants, scores):
        for it in named:
            assert it.kinds == ("further",)
            assert it.architecture is not None
            assert it.architecture not in [each.architecture for each in entrants]
            scores[len(entrants)] = score(it.architecture, len(entrants))
            entrants.append(it)
    assert len(entrants) == 13
    ordered = sorted(networks(), key=truth)
    places = [ordered.index(it.architecture) for it in entrants[8:] if it.architecture]
    # Of 24 that were left, mostly the better half; and never the one that is over the limits.
    assert np.median(places) < 8
    assert 0 not in places
    assert more.record is not None
    assert "log MACs" in more.record.inputs
    assert more.record.chosen == 5
    assert more.record.error_nats < 0.5 * more.record.mean_error_nats


@pytest.mark.usefixtures("machine")
@pytest.mark.parametrize(("budget", "tried"), [(0, 8), (3, 3)])
def test_without_a_budget_or_trials_nobody_is_named(budget: int, tried: int) -> None:
    more = chooser(budget)
    assert more(*first(tried)) == []
    assert more.record is None


@pytest.mark.usefixtures("machine")
def test_it_chooses_the_same_again() -> None:
    found = [chooser(3)(*first(8)) for _ in range(2)]
    assert found[0] == found[1] != []


def test_a_network_the_hypernetwork_did_not_score_counts_as_the_mean() -> None:
    some = networks()[:3]
    known = {it: candidate(it).model_copy(update={"expected_nats": n}) for it, n in
             zip(some[:2], (1.0, 2.0), strict=True)}  # fmt: skip
    columns = inputs_of(some, known, dict.fromkeys(some, ZeroCost(1.0, 2.0, 3.0)))
    assert columns["hypernetwork's log-loss"] == [1.0, 2.0, 1.5]
    assert columns["log MACs"] == [float(np.log(architecture_cost(it).macs)) for it in some]
    assert {len(values) for values in columns.values()} == {3}
