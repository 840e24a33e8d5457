"""Calibrating: which method is kept, what is recorded, and how wrong it says it is."""

import numpy as np
import pytest

from pipeline.errors import MeasurementError
from pipeline.latency.calibration import (
    MIN_NETWORKS,
    Measured,
    OperatorTimes,
    calibrate,
    posterior_of,
    require_networks,
)
from pipeline.latency.honesty import Judged, judge, left_out_line
from pipeline.latency.posterior import infer
from pipeline.latency.sampling import design_networks, sample_networks
from pipeline.records.calibration import Calibration
from pipeline.space.cost import architecture_cost
from pipeline.space.operator_spec import parse_key
from pipeline.space.search_space import get_space
from tests.latency import synthetic

SPACE = get_space("cream").narrowed(max_depth=3, operators=["mb4_3x3", "mb6_3x3", "mb6_5x5"])
RESOLUTION, CLASSES = 64, 10
NETWORKS = design_networks(SPACE, RESOLUTION, CLASSES, 16, seed=0)
SPECS = SPACE.distinct_operators(RESOLUTION, CLASSES)
ALONE = {spec.key: synthetic.operator_ms(spec) for spec in SPECS}
RIGHT = {spec.key: synthetic.in_context_ms(spec) for spec in SPECS}
# Times that say little about operators: each is off by its own factor.
WRONG = {key: time_ms * (0.5 + index % 4) for index, (key, time_ms) in enumerate(ALONE.items())}


def fit(
    *, count: int = len(NETWORKS), noise: float = 0.01, **times: dict[str, float]
) -> Calibration:
    measured = synthetic.measured(NETWORKS[:count], noise=noise)
    methods = {
        name: OperatorTimes(all_ms) for name, all_ms in (times or {"isolated": ALONE}).items()
    }
    return calibrate(SPACE, RESOLUTION, CLASSES, methods, measured)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("times", "kept"),
    [
        ({"isolated": ALONE, "in_context": WRONG}, "isolated"),
        ({"isolated": WRONG, "in_context": RIGHT}, "in_context"),
        ({"in_context": RIGHT, "isolated": WRONG}, "in_context"),
    ],
)
def test_the_method_that_predicts_unseen_networks_better_is_kept_and_both_are_told(
    times: dict[str, dict[str, float]], kept: str
) -> None:
    found = fit(**times)
    assert found.method == kept
    assert found.operators_ms == times[kept]
    errors = {error.method: error for error in found.methods}
    assert set(errors) == set(times)
    assert errors[kept].mape_percent == min(error.mape_percent for error in found.methods)
    # Each is what it would have been alone.
    for method, values in times.items():
        alone = fit(**{method: values})
        assert alone.methods == (errors[method],)
        assert alone.honesty.mape_percent == errors[method].mape_percent
        assert alone.honesty.max_percent == errors[method].max_percent
    assert found.honesty == fit(**{kept: times[kept]}).honesty


def test_one_method_is_enough() -> None:
    found = fit()
    assert (found.method, [error.method for error in found.methods]) == ("isolated", ["isolated"])


def test_the_calibration_says_what_it_rests_on() -> None:
    found = fit()
    assert (found.space, found.resolution, found.num_classes) == ("cream", RESOLUTION, CLASSES)
    assert found.max_depth == 3
    assert [network.architecture for network in found.networks] == NETWORKS
    measured = synthetic.measured(NETWORKS, noise=0.01).latency_ms
    for network, architecture, time_ms in zip(found.networks, NETWORKS, measured, strict=True):
        assert network.macs == architecture_cost(architecture).macs
        assert network.operator_sum_ms == pytest.approx(synthetic.operator_sum_ms(architecture))
        assert network.measured_ms == time_ms
        assert network.predicted_std_ms > 0
    assert set(found.in_context_ms) == set(ALONE)
    shallow = sample_networks(SPACE.narrowed(max_depth=2), RESOLUTION, CLASSES, 8, seed=0)
    other = calibrate(
        SPACE, RESOLUTION, CLASSES, {"isolated": OperatorTimes(ALONE)}, synthetic.measured(shallow)
    )
    assert other.max_depth == 2


def test_the_honesty_block_is_of_networks_that_were_left_out() -> None:
    found = fit()
    columns = {
        name: np.array([float(getattr(network, name)) for network in found.networks])
        for name in ("predicted_ms", "predicted_std_ms", "measured_ms", "macs")
    }
    told = Judged(
        columns["predicted_ms"], columns["predicted_std_ms"], columns["measured_ms"],
        columns["macs"],
    )  # fmt: skip
    line = left_out_line(columns["macs"], columns["measured_ms"])
    assert found.honesty == judge(
        told, line, split_half_percent=0.5, date=synthetic.DATE, cost_s=60.0
    )
    posterior = posterior_of(found)
    assert columns["predicted_ms"] == pytest.approx(posterior.left_out_ms, rel=1e-9)
    # What the fit has seen it predicts better than what it has not.
    seen = posterior.mean_ms(
        synthetic.as_regression([parse_key(key) for key in found.operators_ms], NETWORKS)
    )
    errors = np.abs(seen / columns["measured_ms"] - 1)
    assert found.honesty.mape_percent > 100 * errors.mean()


def test_where_networks_had_a_part_in_the_times_each_is_predicted_from_times_without_it() -> None:
    measured = synthetic.measured(NETWORKS, noise=0.01)
    without = [RIGHT if index != 3 else WRONG for index in range(len(NETWORKS))]
    found = calibrate(
        SPACE, RESOLUTION, CLASSES, {"in_context": OperatorTimes(ALONE, without)}, measured
    )
    assert found.operators_ms == ALONE
    assert found.in_context_ms == fit().in_context_ms
    for left, network in enumerate(found.networks):
        rest = [index for index in range(len(NETWORKS)) if index != left]
        specs = [parse_key(key) for key in without[left]]
        refitted = infer(
            specs,
            np.array(list(without[left].values())),
            synthetic.as_regression(specs, [NETWORKS[index] for index in rest]),
            measured.latency_ms[rest],
        )
        alone = synthetic.as_regression(specs, [NETWORKS[left]])
        mean = refitted.mean_ms(alone)
        assert network.predicted_ms == pytest.approx(mean[0], rel=1e-9)
        assert network.predicted_std_ms == pytest.approx(refitted.std_ms(alone, mean)[0], rel=1e-6)
    errors = [abs(n.predicted_ms / n.measured_ms - 1) for n in found.networks]
    assert max(errors) == errors[3]
    assert found.methods[0].max_percent == pytest.approx(100 * errors[3])
    assert found.honesty.max_percent == pytest.approx(100 * errors[3])


def test_networks_that_macs_do_not_tell_apart_are_told_apart_by_operators() -> None:
    found = fit(noise=0.0).honesty
    assert found.mape_percent < 0.5 < 1 < found.flops_mape_percent
    assert found.kendall_tau >= found.flops_kendall_tau


def test_a_network_measured_wrongly_makes_the_figures_worse_and_no_other_number_is_hidden() -> None:
    clean = synthetic.measured(NETWORKS)
    spoilt = clean.latency_ms.copy()
    spoilt[5] *= 1.2
    found = calibrate(
        SPACE, RESOLUTION, CLASSES, {"isolated": OperatorTimes(ALONE)},
        Measured(NETWORKS, spoilt, clean.split_half_percent, clean.date, clean.cost_s),
    )  # fmt: skip
    worst = max(found.networks, key=lambda n: abs(n.predicted_ms / n.measured_ms - 1))
    assert worst.architecture == NETWORKS[5]
    assert found.honesty.max_percent == pytest.approx(100 * (1 - 1 / 1.2), abs=3)
    assert found.misfit > fit(noise=0.0).misfit


@pytest.mark.parametrize("count", [0, 1, MIN_NETWORKS - 1])
def test_too_few_networks_are_refused_with_the_way_out(count: int) -> None:
    assert MIN_NETWORKS == 8
    told = f"{count} calibration networks are too few; 8 are the least"
    with pytest.raises(MeasurementError, match=told) as caught:
        fit(count=count)
    assert "--calibration-networks 24" in (caught.value.hint or "")
    with pytest.raises(MeasurementError, match=told):
        require_networks(count)


def test_the_least_number_of_networks_is_enough() -> None:
    require_networks(MIN_NETWORKS)
    assert fit(count=MIN_NETWORKS).honesty.networks == MIN_NETWORKS


# What is kept of it in a file.


def test_a_calibration_survives_its_file() -> None:
    known = fit(isolated=ALONE, in_context=WRONG)
    read = Calibration.model_validate_json(known.model_dump_json(indent=2))
    assert read == known
    # The order too, which is that of the regression's columns.
    assert list(read.operators_ms) == list(known.operators_ms) == list(ALONE)


def test_a_calibration_that_was_read_gives_the_posterior_it_was_made_from() -> None:
    known = fit()
    found = posterior_of(Calibration.model_validate_json(known.model_dump_json()))
    assert found.in_context_ms == pytest.approx(list(known.in_context_ms.values()), rel=1e-12)
    assert (found.offset_ms, found.per_block_ms) == pytest.approx(
        (known.offset_ms, known.per_block_ms), rel=1e-12
    )
    assert found.prior.misfit == pytest.approx(known.misfit, rel=1e-12)
    told = [(n.predicted_ms, n.predicted_std_ms) for n in known.networks]
    assert found.left_out_ms == pytest.approx([ms for ms, _ in told], rel=1e-12)
    assert found.left_out_std_ms == pytest.approx([std for _, std in told], rel=1e-12)


def test_the_recorded_terms_add_up_to_the_posteriors_prediction() -> None:
    """`in_context_ms`, `offset_ms` and `per_block_ms` are all a reader of the file needs."""
    known = fit()
    unseen = sample_networks(SPACE, RESOLUTION, CLASSES, 20, seed=5)
    specs = [parse_key(key) for key in known.operators_ms]
    predicted = posterior_of(known).mean_ms(synthetic.as_regression(specs, unseen))
    by_hand = [
        sum(known.in_context_ms[placed.spec.key] for placed in network.operators())
        + known.offset_ms
        + known.per_block_ms * network.depth
        for network in unseen
    ]
    assert predicted == pytest.approx(by_hand, rel=1e-9)
