"""The posterior against a direct computation, and what it must do on data that are made up."""

import functools
from dataclasses import asdict, dataclass, replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from pipeline.latency import posterior
from pipeline.latency.honesty import INTERVAL
from pipeline.latency.posterior import Networks, Posterior, Prior, infer
from pipeline.latency.sampling import design_networks, sample_networks
from pipeline.space.architecture import Architecture
from pipeline.space.encoding import Floats
from pipeline.space.operator_spec import OperatorSpec
from pipeline.space.search_space import SearchSpace, get_space
from tests.latency import synthetic

CREAM = get_space("cream")
NARROW = CREAM.narrowed(max_depth=3, operators=["mb4_3x3", "mb6_3x3", "mb6_5x5"])
RESOLUTION, CLASSES = 64, 10


@dataclass
class Problem:
    """Operators timed alone, measured networks, and others to be predicted."""

    operators: list[OperatorSpec]
    alone_ms: Floats
    networks: Networks
    measured_ms: Floats
    unseen: Networks
    truth_ms: Floats

    def solved(self, **changes: object) -> Posterior:
        given = {
            "operators": self.operators,
            "alone_ms": self.alone_ms,
            "networks": self.networks,
            "measured_ms": self.measured_ms,
            **changes,
        }
        return infer(**given)  # type: ignore[arg-type]

    def without(self, left: int) -> "Problem":
        rest = np.arange(len(self.measured_ms)) != left
        return replace(
            self,
            networks=Networks(self.networks.counts[rest], self.networks.blocks[rest]),
            measured_ms=self.measured_ms[rest],
        )

    def only(self, one: int) -> Networks:
        return Networks(self.networks.counts[[one]], self.networks.blocks[[one]])


@functools.cache
def problem(
    space: SearchSpace = NARROW, count: int = 12, *, noise: float = 0.0, seed: int = 0
) -> Problem:
    """Networks whose truth is `synthetic.network_ms`."""
    operators = space.distinct_operators(RESOLUTION, CLASSES)
    designed = design_networks(space, RESOLUTION, CLASSES, count, seed=seed)
    unseen = [n for n in _random_networks(space) if n not in designed]
    return Problem(
        operators,
        np.array([synthetic.operator_ms(spec) for spec in operators]),
        synthetic.as_regression(operators, designed),
        synthetic.measured(designed, noise=noise, seed=seed).latency_ms,
        synthetic.as_regression(operators, unseen),
        np.array([synthetic.network_ms(network) for network in unseen]),
    )


def _random_networks(space: SearchSpace) -> list[Architecture]:
    return sample_networks(space, RESOLUTION, CLASSES, 40, seed=99)


@pytest.fixture
def one_prior(monkeypatch: pytest.MonkeyPatch) -> Prior:
    """Only one pair of scales is possible, so nothing is averaged."""
    prior = Prior(spread=1.0, misfit=0.012)
    monkeypatch.setattr(posterior, "_SPREADS", (prior.spread,))
    monkeypatch.setattr(posterior, "_MISFITS", (prior.misfit,))
    return prior


# Against the textbook, computed another way: in the space of weights, with explicit inverses.


def directly(given: Problem, prior: Prior) -> tuple[Floats, Floats, float]:
    """Mean and covariance of the weights in milliseconds, and the log of the prior's probability.

    Weights are here what operators take beyond their time alone, the offset, and that per block.
    """
    specs, alone, n = given.operators, given.alone_ms, len(given.operators)
    spread = prior.spread
    before = np.zeros((n + 2, n + 2))
    for i, one in enumerate(specs):
        for j, other in enumerate(specs):
            relative = 0.3**2
            if one.kind == other.kind:
                relative += (0.04 * spread) ** 2 * (one.out_channels == other.out_channels)
                relative += (0.025 * spread) ** 2 * (one.kernel == other.kernel)
                relative += (0.025 * spread) ** 2 * (one.expansion == other.expansion)
            keeps_width = [spec.in_channels == spec.out_channels for spec in (one, other)]
            if one.stride == other.stride and keeps_width[0] == keeps_width[1]:
                relative += (0.015 * spread) ** 2
            relative += (0.015 * spread) ** 2 * (i == j)
            before[i, j] = alone[i] * alone[j] * relative
    before[n, n] = (3.0 * alone.mean()) ** 2
    before[n + 1, n + 1] = (0.3 * alone.mean()) ** 2

    seen = rows_of(given.networks)
    noise = np.diag((prior.misfit * given.measured_ms) ** 2)
    beyond = given.measured_ms - given.networks.counts @ alone
    covariance = np.linalg.inv(np.linalg.inv(before) + seen.T @ np.linalg.inv(noise) @ seen)
    mean = covariance @ seen.T @ np.linalg.inv(noise) @ beyond
    evidence = stats.multivariate_normal(cov=seen @ before @ seen.T + noise).logpdf(beyond)
    believed = stats.norm(scale=0.7).logpdf(
        [np.log(prior.spread / 1.0), np.log(prior.misfit / 0.01)]
    )
    return mean, covariance, float(evidence + believed.sum())


def rows_of(networks: Networks) -> Floats:
    return np.column_stack([networks.counts, np.ones(len(networks.blocks)), networks.blocks])


def test_one_prior_gives_the_posterior_of_the_textbook(one_prior: Prior) -> None:
    given = problem(noise=0.01)
    found = given.solved()
    mean, covariance, _ = directly(given, one_prior)
    assert asdict(found.prior) == pytest.approx(asdict(one_prior))
    assert found.in_context_ms == pytest.approx(given.alone_ms + mean[:-2], rel=1e-8)
    assert found.offset_ms == pytest.approx(mean[-2], rel=1e-8)
    assert found.per_block_ms == pytest.approx(mean[-1], rel=1e-7)
    rows = rows_of(given.unseen)
    predicted = given.unseen.counts @ given.alone_ms + rows @ mean
    assert found.mean_ms(given.unseen) == pytest.approx(predicted, rel=1e-9)
    variance = np.diag(rows @ covariance @ rows.T) + (one_prior.misfit * predicted) ** 2
    assert found.std_ms(given.unseen, predicted) == pytest.approx(np.sqrt(variance), rel=1e-6)


def test_many_priors_are_averaged_by_how_probable_they_make_the_data() -> None:
    given = problem(noise=0.01)
    priors = [Prior(s, m) for s in posterior._SPREADS for m in posterior._MISFITS]
    solved = [directly(given, prior) for prior in priors]
    logs = np.array([log for _, _, log in solved])
    probable = np.exp(logs - logs.max())
    probable /= probable.sum()
    rows = rows_of(given.unseen)
    predicted = given.unseen.counts @ given.alone_ms + np.array([rows @ m for m, _, _ in solved])
    mean = probable @ predicted
    within = [
        np.diag(rows @ covariance @ rows.T) + (prior.misfit * mean) ** 2
        for prior, (_, covariance, _) in zip(priors, solved, strict=True)
    ]
    between = (predicted - mean) ** 2
    found = given.solved()
    assert found.mean_ms(given.unseen) == pytest.approx(mean, rel=1e-8)
    std = np.sqrt(probable @ (np.array(within) + between))
    assert found.std_ms(given.unseen, mean) == pytest.approx(std, rel=1e-5)
    assert found.prior.spread == pytest.approx(probable @ [prior.spread for prior in priors])
    # More than one prior counts, or this would be the test above once more.
    assert probable.max() < 0.9


@pytest.mark.parametrize("left", [0, 7])
def test_many_priors_are_averaged_for_a_network_left_out_too(left: int) -> None:
    """How far they are apart is a part of the uncertainty; their weights are those of all data."""
    given = problem(count=8, noise=0.01)
    row, sums = rows_of(given.only(left))[0], given.only(left).counts[0] @ given.alone_ms
    means, variances, logs = [], [], []
    for prior in (Prior(s, m) for s in posterior._SPREADS for m in posterior._MISFITS):
        mean, covariance, _ = directly(given.without(left), prior)
        means.append(sums + row @ mean)
        own = (prior.misfit * given.measured_ms[left]) ** 2
        variances.append(row @ covariance @ row + own)
        logs.append(directly(given, prior)[2])
    probable = np.exp(np.array(logs) - max(logs))
    probable /= probable.sum()
    found, mean = given.solved(), probable @ means
    assert found.left_out_ms[left] == pytest.approx(mean, rel=1e-8)
    std = np.sqrt(probable @ (np.array(variances) + (np.array(means) - mean) ** 2))
    assert found.left_out_std_ms[left] == pytest.approx(std, rel=1e-6)
    assert np.sqrt(probable @ variances) < 0.999 * std


@pytest.mark.parametrize("left", range(12))
def test_a_network_left_out_is_predicted_as_if_it_had_never_been_measured(
    one_prior: Prior, left: int
) -> None:
    given = problem(noise=0.02)
    found, refitted = given.solved(), given.without(left).solved()
    network = given.only(left)
    assert found.left_out_ms[left] == pytest.approx(refitted.mean_ms(network)[0], rel=1e-9)
    of_weights = refitted.std_ms(network, np.zeros(1))[0]
    std = np.hypot(of_weights, one_prior.misfit * given.measured_ms[left])
    assert found.left_out_std_ms[left] == pytest.approx(std, rel=1e-6)


@pytest.mark.parametrize("left", [0, 5, 11])
def test_with_many_priors_too_a_network_left_out_is_all_but_unseen(left: int) -> None:
    """Only which priors are probable still knows of it."""
    given = problem(noise=0.01)
    network = given.only(left)
    found, refitted = given.solved(), given.without(left).solved()
    std = found.left_out_std_ms[left]
    assert abs(found.left_out_ms[left] - refitted.mean_ms(network)[0]) < 0.25 * std
    assert std == pytest.approx(refitted.std_ms(network, given.measured_ms[[left]])[0], rel=0.25)


# What it finds.


@pytest.mark.parametrize("space", [CREAM, NARROW], ids=["whole", "narrowed"])
def test_corrections_that_are_alike_for_alike_operators_are_found(space: SearchSpace) -> None:
    few, many = problem(space, 24), problem(space, 96)
    errors = [
        100 * np.abs(given.solved().mean_ms(given.unseen) / given.truth_ms - 1)
        for given in (few, many)
    ]
    assert errors[0].mean() < 0.3
    assert errors[1].max() < 0.3
    # Operators alone are far off, so there was something to find.
    alone = many.unseen.counts @ many.alone_ms
    assert 100 * np.abs(alone / many.truth_ms - 1).min() > 5


def test_what_single_blocks_take_in_a_network_is_found() -> None:
    """Of stem and tail, which every network has, only the sum can be known."""
    given = problem(NARROW, 96)
    found = given.solved()
    truth = np.array([synthetic.in_context_ms(spec) for spec in given.operators])
    block = np.array([spec.kind == "ir" for spec in given.operators])
    beyond = found.in_context_ms + found.per_block_ms - truth - synthetic.PER_BLOCK_MS
    assert np.abs(beyond[block] / truth[block]).max() < 0.02
    fixed = found.in_context_ms[~block].sum() + found.offset_ms
    assert fixed == pytest.approx(truth[~block].sum() + synthetic.OFFSET_MS, rel=0.02)


def test_what_is_not_additive_is_told_from_what_is() -> None:
    misfits = [problem(count=24, noise=noise).solved().prior.misfit for noise in (0, 0.01, 0.04)]
    assert misfits[0] < 0.005
    assert 0.006 < misfits[1] < 0.016
    assert 0.028 < misfits[2] < 0.048


def test_without_a_reason_to_correct_hardly_anything_is_corrected() -> None:
    given = problem(count=24)
    plain = given.solved(measured_ms=given.networks.counts @ given.alone_ms)
    sums = given.unseen.counts @ given.alone_ms
    assert plain.mean_ms(given.unseen) == pytest.approx(sums, rel=1e-12)
    assert plain.in_context_ms == pytest.approx(given.alone_ms, rel=1e-12)


def test_the_more_networks_the_smaller_the_uncertainty(one_prior: Prior) -> None:
    given = problem(count=24)
    stds = []
    for count in (8, 12, 16, 24):
        seen = Networks(given.networks.counts[:count], given.networks.blocks[:count])
        found = given.solved(networks=seen, measured_ms=given.measured_ms[:count])
        stds.append(found.std_ms(given.unseen, given.truth_ms))
    for fewer, more in pairwise(stds):
        assert (more < fewer).all()
    assert (stds[-1] > one_prior.misfit * given.truth_ms).all()


def test_also_where_scales_are_open_more_networks_leave_less_uncertainty() -> None:
    stds = []
    for count in (8, 16, 48):
        given = problem(count=count, noise=0.01)
        stds.append((given.solved().std_ms(given.unseen, given.truth_ms) / given.truth_ms).mean())
    assert stds[0] > stds[1] > stds[2]


def test_networks_of_operators_in_no_measured_network_are_less_certain() -> None:
    given = problem()
    seen = design_networks(
        NARROW.narrowed(operators=["mb4_3x3", "mb6_3x3"]), RESOLUTION, CLASSES, 12, seed=0
    )
    found = given.solved(
        networks=synthetic.as_regression(given.operators, seen),
        measured_ms=synthetic.measured(seen).latency_ms,
    )
    never_seen = np.array([spec.kernel == 5 for spec in given.operators])
    share = given.unseen.counts[:, never_seen].sum(axis=1) / given.unseen.blocks
    relative = found.std_ms(given.unseen, given.truth_ms) / given.truth_ms
    assert relative[share > 0.4].min() > 1.2 * relative[share < 0.1].max()


@given(factor=st.floats(1e-4, 1e4))
@settings(max_examples=4)
def test_the_unit_of_time_does_not_matter(factor: float) -> None:
    given_ = problem(noise=0.01)
    one = given_.solved()
    other = given_.solved(
        alone_ms=factor * given_.alone_ms, measured_ms=factor * given_.measured_ms
    )
    mean, scaled = one.mean_ms(given_.unseen), other.mean_ms(given_.unseen)
    assert scaled == pytest.approx(factor * mean, rel=1e-9)
    std, scaled_std = one.std_ms(given_.unseen, mean), other.std_ms(given_.unseen, scaled)
    assert scaled_std == pytest.approx(factor * std, rel=1e-6)
    assert other.left_out_ms == pytest.approx(factor * one.left_out_ms, rel=1e-9)
    assert other.left_out_std_ms == pytest.approx(factor * one.left_out_std_ms, rel=1e-6)
    assert other.in_context_ms == pytest.approx(factor * one.in_context_ms, rel=1e-9)
    assert asdict(other.prior) == pytest.approx(asdict(one.prior))


def test_a_thousand_times_the_times_are_a_thousand_times_the_prediction() -> None:
    given = problem(noise=0.01)
    mean = given.solved().mean_ms(given.unseen)
    slow = given.solved(alone_ms=1000 * given.alone_ms, measured_ms=1000 * given.measured_ms)
    assert slow.mean_ms(given.unseen) == pytest.approx(1000 * mean, rel=1e-9)


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=4)
def test_neither_the_order_of_operators_nor_that_of_networks_matters(seed: int) -> None:
    given_ = problem(noise=0.01)
    random = np.random.default_rng(seed)
    columns = random.permutation(len(given_.operators))
    rows = random.permutation(len(given_.measured_ms))
    one = given_.solved()
    other = infer(
        [given_.operators[column] for column in columns],
        given_.alone_ms[columns],
        Networks(given_.networks.counts[rows][:, columns], given_.networks.blocks[rows]),
        given_.measured_ms[rows],
    )
    unseen = Networks(given_.unseen.counts[:, columns], given_.unseen.blocks)
    mean = one.mean_ms(given_.unseen)
    assert other.mean_ms(unseen) == pytest.approx(mean, rel=1e-9)
    assert other.std_ms(unseen, mean) == pytest.approx(one.std_ms(given_.unseen, mean), rel=1e-6)
    assert other.left_out_ms == pytest.approx(one.left_out_ms[rows], rel=1e-9)
    assert other.in_context_ms == pytest.approx(one.in_context_ms[columns], rel=1e-9)


# What its intervals are worth.


@pytest.mark.parametrize(
    ("spread", "misfit", "count"),
    [(1.0, 0.01, 24), (1.0, 0.03, 24), (2.0, 0.01, 24), (1.0, 0.01, 12)],
    ids=["typical", "hardly additive", "corrections apart", "few networks"],
)
def test_eight_of_ten_networks_lie_inside_their_interval(
    spread: float, misfit: float, count: int
) -> None:
    """Of truths drawn from the prior; networks that were left out, and such never measured."""
    drawn = 60
    base = problem(count=count)
    size = len(base.operators)
    before = posterior._covariance(base.operators, spread)
    z = stats.norm.ppf((1 + INTERVAL) / 2)
    random = np.random.default_rng(0)
    inside, inside_left_out = [], []
    for _ in range(drawn):
        weights = random.multivariate_normal(np.zeros(size + 2), before)
        beyond = np.array([*(base.alone_ms * weights[:-2]), *(base.alone_ms.mean() * weights[-2:])])

        def measured(networks: Networks, beyond: Floats = beyond) -> Floats:
            exact = networks.counts @ base.alone_ms + rows_of(networks) @ beyond
            return exact * (1 + misfit * random.standard_normal(len(exact)))

        truth_ms, unseen_ms = measured(base.networks), measured(base.unseen)
        found = base.solved(measured_ms=truth_ms)
        mean = found.mean_ms(base.unseen)
        inside.append(np.abs(mean - unseen_ms) <= z * found.std_ms(base.unseen, mean))
        inside_left_out.append(np.abs(found.left_out_ms - truth_ms) <= z * found.left_out_std_ms)
    assert np.mean(inside) == pytest.approx(0.8, abs=0.08)
    assert np.mean(inside_left_out) == pytest.approx(0.8, abs=0.08)
