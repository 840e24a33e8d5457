"""A made-up search with everything a search can have: targets, input sizes, proofs, comparisons."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pipeline.records.candidates import Candidate, LatencyPrediction, Limits
from pipeline.records.scores import AccuracyScale, Luck, ScoreSpread
from pipeline.records.search import (
    ExactSearch,
    FrontPoint,
    ResolutionResult,
    SearchRecord,
    SurrogateFit,
    TargetWinner,
)
from pipeline.records.verify import VerifiedCandidate, VerifyRecord
from pipeline.report import ReportInputs
from pipeline.space.architecture import Architecture
from pipeline.space.architecture_file import published, published_models
from pipeline.space.cost import architecture_cost
from tests.report import made_up
from tests.report.made_up_measuring import (
    TARGET,
    environment,
    random_architecture,
    stats,
    steadiness,
    true_latency_ms,
)

OTHER = "host/openvino-int8-b1-t2"
ELSEWHERE = "made-up-board/tensorrt-fp16-b1"
SIZES = (64, 96)
LIMITS = Limits(macs=40e6, latency_ms={TARGET: 0.62, OTHER: 0.40, ELSEWHERE: 0.2}, confidence=0.9)
SCALE = AccuracyScale(log_loss_nats=1.0, accuracy_percent=75.0, percent_per_nat=40.0)
OF_LUCK_NATS, STD_NATS, ERROR_NATS = 0.004, 0.006, 0.009
REMARK = "scores are mostly noise, it is made up (score.images)"
FACTORS = {TARGET: 1.0, OTHER: 0.58, ELSEWHERE: 0.22}


def accuracy_percent(architecture: Architecture, macs: float) -> float:
    """More from larger inputs, but only where there are MACs for them."""
    larger = architecture.resolution > min(SIZES)
    return float((86.5 if larger else 84.0) - (16 if larger else 11) * np.exp(-macs / 9e6))


def candidate(
    architecture: Architecture,
    limits: Limits = LIMITS,
    *,
    rng: np.random.Generator,
    scored: bool = True,
) -> Candidate:
    cost = architecture_cost(architecture)
    guesses = {}
    for target, factor in FACTORS.items():
        noise = 1 + 0.05 * float(rng.standard_normal())
        guess = factor * true_latency_ms(architecture) * (1 if target == TARGET else noise)
        guesses[target] = LatencyPrediction(typical=guess, std=0.015 * guess)
    beyond = [
        (guess.typical + 1.2816 * guess.std) / limits.latency_ms[target] - 1
        for target, guess in guesses.items()
        if target in limits.latency_ms
    ]
    if limits.macs:
        beyond.append(cost.macs / limits.macs - 1)
    score = accuracy_percent(architecture, cost.macs) + 0.4 * float(rng.standard_normal())
    log_loss_nats = 1.0 - (score - 75.0) / 40.0
    known = {
        "accuracy_percent": score,
        "log_loss_nats": log_loss_nats,
        "error_nats": ERROR_NATS,
        "expected_nats": log_loss_nats + OF_LUCK_NATS,
        "expected_std_nats": STD_NATS,
    }
    return Candidate(
        architecture=architecture,
        **(known if scored else {"accuracy_percent": None}),
        macs=cost.macs,
        params=cost.params,
        latency_ms=guesses,
        violation=max([0.0, *beyond]),
    )


def front_of(candidates: Sequence[Candidate], indices: Sequence[int]) -> tuple[int, ...]:
    front: list[int] = []
    best = -1.0
    for index in sorted(indices, key=lambda i: candidates[i].latency_ms[TARGET].typical):
        if (candidates[index].accuracy_percent or 0) > best:
            best = candidates[index].accuracy_percent or 0
            front.append(index)
    return tuple(front)


def exact_search(candidates: Sequence[Candidate], *, complete: bool = True) -> ExactSearch:
    """A front a little above the scores of the networks on theirs."""
    feasible = [i for i, c in enumerate(candidates) if c.violation == 0]
    points = tuple(
        FrontPoint(
            architecture=candidates[index].architecture,
            surrogate_percent=(candidates[index].accuracy_percent or 0) + 0.35,
            latency_ms=candidates[index].latency_ms[TARGET].typical * 0.985,
            macs=candidates[index].macs,
        )
        for index in front_of(candidates, feasible)
    )
    best = points[-1]
    return ExactSearch(
        surrogates={
            64: SurrogateFit(
                samples=300, error_percent=0.31, mean_error_percent=1.42, kendall_tau=0.81
            ),
            96: SurrogateFit(
                samples=300, error_percent=0.44, mean_error_percent=1.71, kendall_tau=0.76
            ),
        },
        best=best,
        bound_percent=best.surrogate_percent + (0 if complete else 0.12),
        front=points,
        front_points=1204,
        front_gap_percent=0.0 if complete else 0.2,
        chosen_regret_percent=0.17,
        seconds=8.4,
    )


def published_candidates(rng: np.random.Generator) -> tuple[Candidate, ...]:
    """The two largest are not in the hypernetwork."""
    names = list(published_models())
    return tuple(
        candidate(
            published(name, resolution=min(SIZES), num_classes=10),
            rng=rng,
            scored=name in names[:-2],
        )
        for name in names
    )


def search_record(rng: np.random.Generator, count: int = 260) -> SearchRecord:
    evaluated = []
    for place in range(count):
        architecture = random_architecture(rng, 4).model_copy(
            update={"resolution": SIZES[place % 2]}
        )
        evaluated.append(candidate(architecture, rng=rng))
    feasible = [i for i, c in enumerate(evaluated) if c.violation == 0]
    ranking = sorted(feasible, key=lambda i: -(evaluated[i].accuracy_percent or 0))

    def best_of(size: int) -> int:
        return next(i for i in ranking if evaluated[i].architecture.resolution == size)

    return SearchRecord(
        limits=LIMITS,
        target=TARGET,
        strategy="evolution",
        success=True,
        message=f"{count} architectures scored, the whole budget (made up)",
        evaluated=tuple(evaluated),
        front=front_of(evaluated, feasible),
        ranking=tuple(ranking),
        num_images=2000,
        scores=ScoreSpread(
            networks=count, images=2000, num_classes=10, std_nats=0.015, error_nats=ERROR_NATS,
            best_log_loss_nats=evaluated[ranking[0]].log_loss_nats or 0.0, best_error_nats=0.02,
            best_accuracy_percent=evaluated[ranking[0]].accuracy_percent or 0.0,
        ),
        scale=SCALE,
        luck=Luck(
            best=ranking[0], nats=OF_LUCK_NATS, std_nats=STD_NATS, percent=40 * OF_LUCK_NATS,
            std_percent=40 * STD_NATS,
        ),
        remarks=(REMARK,),
        hypervolume=(0.31, 0.36, 0.402, 0.402, 0.418, 0.43),
        reachable={
            "macs": (7.2e6, 1.8e8),
            "params": (1.4e6, 9.6e6),
            f"latency_ms/{TARGET}": (0.21, 3.9),
            f"latency_ms/{OTHER}": (0.12, 2.3),
        },
        exact=exact_search(evaluated),
        resolutions=(
            ResolutionResult(
                resolution=64, evaluated=count // 2, best=best_of(64), hypervolume=0.412,
                most_lost_percent=0.9,
            ),
            ResolutionResult(
                resolution=96, evaluated=count // 2, best=best_of(96), hypervolume=0.377,
                most_lost_percent=3.1,
            ),
        ),
        per_target=(
            TargetWinner(target=TARGET, best=ranking[0], shared_lost_percent=0.0),
            TargetWinner(target=OTHER, best=ranking[1], shared_lost_percent=0.42),
            TargetWinner(target=ELSEWHERE, best=None, shared_lost_percent=None),
        ),
        published=published_candidates(rng),
        table_scale={TARGET: 1.012, OTHER: 1.0},
        seed=0,
        seconds=61.0,
    )  # fmt: skip


def verify_record(search: SearchRecord, rng: np.random.Generator) -> VerifyRecord:
    """Two rounds of two: the first is over here, the second there, and the third wins."""
    over = {0: TARGET, 1: OTHER}
    candidates = []
    for place, index in enumerate(search.ranking[:4]):
        chosen = search.evaluated[index]
        measured = {}
        for target in (TARGET, OTHER):
            limit = LIMITS.latency_ms[target]
            typical = min(1.013 * chosen.latency_ms[target].typical, 0.985 * limit)
            measured[target] = 1.021 * limit if over.get(place) == target else typical
        candidates.append(
            VerifiedCandidate(
                candidate=chosen,
                expected_ms={
                    target: LatencyPrediction(typical=guess.typical * (1 + 0.01 * (place > 1)),
                                              std=guess.std * (0.6 if place > 1 else 1))
                    for target, guess in chosen.latency_ms.items()
                },
                measured_ms={t: stats(typical, rng=rng) for t, typical in measured.items()},
                round=1 + place // 2,
                verdict="over" if place in over else "within",
                reason=f"2.1 % over the limit on {over[place]}" if place in over else "",
            )
        )  # fmt: skip
    return VerifyRecord(
        limits=LIMITS,
        candidates=tuple(candidates),
        winner=2,
        control={TARGET: stats(0.2625, 800, rng=rng), OTHER: stats(0.151, 800, rng=rng)},
        steadiness={TARGET: steadiness(), OTHER: steadiness(stopped="budget")},
        unmeasured={ELSEWHERE: "no runtime tensorrt on this machine"},
        seconds=71.0,
        environment=environment(),
    )


def infeasible_record() -> SearchRecord:
    """Nothing within the limits: no candidate, the nearest instead."""
    rng = np.random.default_rng(4)
    limits = Limits(macs=9e6, macs_min=8e6, latency_ms={TARGET: 0.09})
    nearest = candidate(random_architecture(rng, 1), limits, rng=rng, scored=False)
    return SearchRecord(
        limits=limits,
        target=TARGET,
        success=False,
        message="no architecture is within all limits; the nearest misses by a little (made up)",
        evaluated=(),
        front=(),
        ranking=(),
        num_images=2000,
        hypervolume=(),
        reachable={"macs": (7.2e6, 1.8e8), f"latency_ms/{TARGET}": (0.21, 3.9)},
        nearest=nearest,
        seed=0,
        seconds=1.0,
    )


def inputs() -> ReportInputs:
    """The complete run, its search and verification replaced."""
    rng = np.random.default_rng(11)
    search = search_record(rng)
    verify = verify_record(search, rng)
    winner = verify.candidates[verify.winner].candidate
    full = made_up.inputs()
    run = full.model_copy(
        update={
            "name": "made-up-everything",
            "search": search,
            "verify": verify,
            "retrain": made_up.retrain_record(winner.architecture),
            "export": made_up.export_record(winner.architecture),
            "benchmark": made_up.benchmark_record(winner, rng, winner_ms=0.598),
        }
    )
    return made_up.with_trial(run)
