"""Predictions after networks were measured: against a direct computation, and as properties."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import TableError
from pipeline.latency.calibration import posterior_of
from pipeline.latency.model import LatencyModel
from pipeline.latency.observed import LEAST_NOISE, LEVEL_STD
from pipeline.latency.sampling import sample_networks
from pipeline.records.candidates import LatencyPrediction
from pipeline.space.architecture import Architecture
from pipeline.space.encoding import Floats, encode
from pipeline.space.operator_spec import parse_key
from pipeline.space.search_space import get_space
from tests.latency import synthetic
from tests.latency.synthetic import TARGET, network_ms

CREAM = get_space("cream")
NARROW = CREAM.narrowed(max_depth=3, operators=["mb6_3x3", "mb4_3x3", "mb6_5x5"])
CLASSES, RESOLUTIONS = 10, (32, 96)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> LatencyModel:
    """Of the narrowed space at two resolutions, its table checked and found 25 % too fast."""
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(tmp_path_factory.mktemp("observed"))
        synthetic.write_calibrated_table(NARROW, RESOLUTIONS, CLASSES)
        return replace(LatencyModel.read(TARGET), scale=1.25)


@dataclass
class Measured:
    """A latency as measured; all that is asked of one."""

    typical: float
    std: float


def networks(resolution: int, count: int, seed: int = 0) -> list[Architecture]:
    return sample_networks(NARROW, resolution, CLASSES, count, seed=seed)


def times(
    model: LatencyModel, seen: Sequence[Architecture], change: Callable[[int], float]
) -> list[Measured]:
    """Measurements that are off the prediction by a factor."""
    found = []
    for index, network in enumerate(seen):
        typical = model.predict(network).typical * change(index)
        found.append(Measured(typical, 0.006 * typical))
    return found


def uneven(index: int) -> float:
    return 1 + 0.01 * (3 + np.sin(index))


# Against conditioning written out: one matrix over all networks, and its inverse.


def directly(
    model: LatencyModel,
    seen: Sequence[Architecture],
    measured: Sequence[Measured],
    asked: Sequence[Architecture],
) -> tuple[Floats, Floats]:
    """Mean and standard deviation of the networks asked for."""
    every = [*seen, *asked]
    mean = np.array([model.predict(network).typical for network in every])
    covariance = np.zeros((len(every), len(every)))
    for resolution in RESOLUTIONS:
        known = model.calibrations["cream", resolution, CLASSES]
        posterior, specs = posterior_of(known), [parse_key(key) for key in known.operators_ms]
        alone = np.array(list(known.operators_ms.values()))
        for i, one in enumerate(every):
            for j, other in enumerate(every):
                if {one.resolution, other.resolution} == {resolution}:
                    counted = synthetic.as_regression(specs, [one, other])
                    blocks = alone.mean() * counted.blocks
                    offset = np.full(2, alone.mean())
                    features = np.column_stack([counted.counts * alone, offset, blocks])
                    shared = features[0] @ posterior.covariance @ features[1]
                    covariance[i, j] = model.scale**2 * shared
                    own = posterior.prior.misfit**2 * mean[i] * mean[j]
                    covariance[i, j] += own if one == other else 0
    covariance += LEVEL_STD**2 * np.outer(mean, mean)
    n = len(seen)
    noise = np.diag([max(one.std, LEAST_NOISE * one.typical) ** 2 for one in measured])
    gain = covariance[n:, :n] @ np.linalg.inv(covariance[:n, :n] + noise)
    beyond = np.array([one.typical for one in measured]) - mean[:n]
    left = covariance[n:, n:] - gain @ covariance[:n, n:]
    return mean[n:] + gain @ beyond, np.sqrt(np.diag(left))


def test_it_is_gaussian_conditioning_as_in_the_textbook(model: LatencyModel) -> None:
    """Networks of two kinds are measured, one claiming no doubt; seen and unseen are asked for."""
    seen = [*networks(32, 4), *networks(96, 3)]
    measured = [*times(model, seen[:-1], uneven), Measured(9.0, 0.0)]
    asked = [*networks(32, 6, seed=1), *networks(96, 6, seed=2), seen[1], seen[-1]]
    mean, std = directly(model, seen, measured, asked)
    after = model.updated(seen, measured)
    for network, typical, spread in zip(asked, mean, std, strict=True):
        found = after.predict(network)
        assert found.typical == pytest.approx(typical, rel=1e-9)
        assert found.std == pytest.approx(spread, rel=1e-6)
        assert found.typical != pytest.approx(model.predict(network).typical, rel=1e-3)


def test_nothing_seen_changes_nothing(model: LatencyModel) -> None:
    after = model.updated([], [])
    for network in networks(32, 5):
        assert after.predict(network) == model.predict(network)


def test_the_model_that_was_asked_stays_as_it_was(model: LatencyModel) -> None:
    seen, other = networks(32, 3), networks(32, 1, seed=3)[0]
    before = model.predict(other)
    after = replace(model, foreign=("elsewhere",)).updated(seen, times(model, seen, uneven))
    assert model.predict(other) == before != after.predict(other)
    assert after.predict(other).foreign


# What it must do.


def test_more_seen_never_leaves_more_doubt(model: LatencyModel) -> None:
    everyone = [*networks(32, 6), *networks(96, 3)]
    asked = [*everyone, *networks(32, 4, seed=5), *networks(96, 4, seed=6)]

    @given(st.permutations(range(len(everyone))), st.data())
    @settings(max_examples=25)
    def holds(order: list[int], data: st.DataObject) -> None:
        shown = [everyone[index] for index in order]
        more = data.draw(st.integers(2, len(shown)))
        fewer = data.draw(st.integers(1, more - 1))
        measured = times(model, shown, uneven)
        before, after = (model.updated(shown[:n], measured[:n]) for n in (fewer, more))
        for network in asked:
            plain = model.predict(network)
            left = after.predict(network).std
            assert left <= before.predict(network).std * (1 + 1e-9)
            # A prediction before anything is seen counts no change of the level at all.
            assert left <= np.hypot(plain.std, LEVEL_STD * plain.typical)

    holds()


@pytest.mark.parametrize("change", [1.03, 0.97, 1.0])
def test_a_common_change_moves_all_others_with_it(model: LatencyModel, change: float) -> None:
    seen = networks(32, 5)
    after = model.updated(seen, times(model, seen, lambda _: change))
    for network in networks(32, 20, seed=7):
        moved = after.predict(network).typical / model.predict(network).typical
        assert moved == pytest.approx(change, abs=0.003)


def test_who_was_measured_is_predicted_as_measured(model: LatencyModel) -> None:
    seen = networks(32, 6)
    measured = times(model, seen, uneven)
    after = model.updated(seen, measured)
    for network, one in zip(seen, measured, strict=True):
        found = after.predict(network)
        assert abs(found.typical - one.typical) < 1.5 * one.std
        assert found.std < one.std
        off = abs(model.predict(network).typical - one.typical)
        assert abs(found.typical - one.typical) < off / 2
    renamed = seen[2].model_copy(update={"name": "mine"})
    assert after.predict(renamed) == after.predict(seen[2])


def test_networks_of_another_kind_share_the_level_only(model: LatencyModel) -> None:
    seen = networks(32, 5)
    after = model.updated(seen, times(model, seen, uneven))
    others = networks(96, 8, seed=8)
    moved = [after.predict(n).typical / model.predict(n).typical for n in others]
    assert moved == pytest.approx([moved[0]] * len(moved), rel=1e-9)
    assert 1.02 < moved[0] < 1.04


def test_networks_like_one_that_was_off_move_more_than_others(model: LatencyModel) -> None:
    """The calibration has seen an operator in no network; now one is made of it, and is slow."""
    known = synthetic.calibration(NARROW, 32, CLASSES)
    without = NARROW.narrowed(operators=["mb6_3x3", "mb4_3x3"])
    measured = tuple(
        known.networks[0].model_copy(update={"architecture": one, "measured_ms": network_ms(one)})
        for one in sample_networks(without, 32, CLASSES, 12, seed=0)
    )
    unsure = known.model_copy(update={"networks": measured})
    before = LatencyModel(model.table, {("cream", 32, CLASSES): unsure})
    slow = [of_one_kind("mb6_5x5", depth=3)]
    after = before.updated(slow, times(before, slow, lambda _: 1.06))

    def moved(network: Architecture) -> float:
        return after.predict(network).typical / before.predict(network).typical

    alike, unlike = (of_one_kind(name, depth=2) for name in ("mb6_5x5", "mb4_3x3"))
    assert moved(alike) > moved(unlike) + 0.005


def of_one_kind(name: str, *, depth: int) -> Architecture:
    stages = ((name,) * depth,) * 5
    return Architecture(space="cream", resolution=32, num_classes=CLASSES, stages=stages)


def test_seeing_twice_is_seeing_all_of_it(model: LatencyModel) -> None:
    """In one step or in two; a network measured again counts as measured last."""
    seen = [*networks(32, 4), *networks(96, 2)]
    measured = times(model, seen, uneven)
    early = [Measured(2 * one.typical, one.std) for one in measured[:3]]
    at_once = model.updated(seen, measured)
    step_by_step = model.updated(seen[:3], early).updated(seen[::-1], measured[::-1])
    for network in (*seen, *networks(32, 4, seed=9)):
        one, other = at_once.predict(network), step_by_step.predict(network)
        assert one.typical == pytest.approx(other.typical, rel=1e-9)
        assert one.std == pytest.approx(other.std, rel=1e-6)


def test_spaces_narrowed_in_any_way_predict_the_same(model: LatencyModel) -> None:
    """Also of networks that were measured, whatever their codes are."""
    seen = networks(32, 5)
    after = model.updated(seen, times(model, seen, uneven))
    asked = [*seen, *networks(32, 5, seed=10)]
    reordered = CREAM.narrowed(max_depth=4, operators=["mb6_5x5", "mb6_3x3", "mb4_3x3"])
    one = after.predict_batch(CREAM, encode(CREAM, asked), CLASSES)
    for space in (NARROW, reordered):
        other = after.predict_batch(space, encode(space, asked), CLASSES)
        assert other[0] == pytest.approx(one[0], rel=1e-9)
        assert other[1] == pytest.approx(one[1], rel=1e-6)


def test_measurements_count_whatever_form_they_have(model: LatencyModel) -> None:
    (seen,) = networks(32, 1)
    as_record = model.updated([seen], [LatencyPrediction(typical=3.0, std=0.05)])
    assert as_record.predict(seen) == model.updated([seen], [Measured(3.0, 0.05)]).predict(seen)


def test_a_network_that_cannot_be_predicted_is_refused(model: LatencyModel) -> None:
    seen = sample_networks(NARROW, 64, CLASSES, 1, seed=0)
    with pytest.raises(TableError, match="not calibrated for cream at 64 px"):
        model.updated(seen, [Measured(1.0, 0.1)])
