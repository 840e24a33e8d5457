"""What a score holds, and the error of comparisons against repeated draws of images."""

import numpy as np
import pytest

from pipeline.training.scoring.network_score import (
    NetworkScore,
    paired_errors_nats,
    scale_of,
    spread_of,
)


def drawn(rng, qualities, images=300, *, hardness=1.0, own=0.2):
    """Scores of networks on images that are as hard for all of them, but for errors of each."""
    common = hardness * rng.normal(size=images)
    losses = np.add.outer(np.asarray(qualities), common) + own * rng.normal(
        size=(len(qualities), images)
    )
    return [NetworkScore.of(each, hits=0) for each in losses]


@pytest.mark.parametrize("images", [1, 3, 99, 100, 101, 143, 2000])
def test_a_score_is_the_mean_over_all_images(images: int):
    losses = np.random.default_rng(images).gamma(2.0, size=images)
    score = NetworkScore.of(losses.astype(np.float32), hits=images // 3)
    assert score.log_loss_nats == pytest.approx(losses.mean(), rel=1e-6)
    assert len(score.log_losses) == min(images, 100)
    assert score.accuracy_percent == pytest.approx(100 * (images // 3) / images)


def test_its_own_error_is_that_of_other_images():
    rng = np.random.default_rng(0)
    scores = [NetworkScore.of(rng.gamma(2.0, size=143), hits=0) for _ in range(400)]
    errors = np.array([score.error_nats for score in scores])
    assert np.sqrt(np.mean(errors**2)) == pytest.approx(np.sqrt(2 / 143), rel=0.03)


@pytest.mark.parametrize(("count", "images"), [(2, 400), (3, 143), (12, 90)])
def test_the_error_of_a_difference_is_that_of_both(count: int, images: int):
    """Whatever all networks have in common on an image, which is most of what one by itself has."""
    rng = np.random.default_rng(1)
    qualities = np.linspace(1, 2, count)
    found, told = [], []
    for _ in range(300):
        scores = drawn(rng, qualities, images)
        found.append(scores[0].log_loss_nats - scores[1].log_loss_nats)
        told.append(paired_errors_nats(scores)[:2])
    told_variance = np.mean(np.square(told), axis=0)
    assert np.sqrt(told_variance.sum()) == pytest.approx(np.std(found), rel=0.12)
    assert told_variance == pytest.approx([0.2**2 / images] * 2, rel=0.12)


def test_errors_are_each_networks_own():
    rng = np.random.default_rng(2)
    common = rng.normal(size=2000)
    owns = [0.1] * 20 + [0.5]
    scores = [NetworkScore.of(common + own * rng.normal(size=2000), hits=0) for own in owns]
    errors = paired_errors_nats(scores)
    assert errors[-1] == pytest.approx(0.5 / np.sqrt(2000), rel=0.25)
    assert errors[:-1].max() < 0.25 * 0.5 / np.sqrt(2000) * 1.5


def test_networks_that_differ_by_the_same_on_all_images_have_no_error():
    common = np.random.default_rng(3).gamma(2.0, size=500)
    scores = [NetworkScore.of(common + shift, hits=0) for shift in (0.0, 0.1, 0.7)]
    assert paired_errors_nats(scores) == pytest.approx([0, 0, 0], abs=1e-12)


def test_of_one_network_or_one_image_no_error_is_known():
    one = NetworkScore.of(np.array([1.0, 2.0]), hits=1)
    assert paired_errors_nats([one]) is None
    assert spread_of([one], 10) is None
    single = NetworkScore.of(np.array([1.0]), hits=1)
    assert paired_errors_nats([single, single]) is None
    assert single.error_nats is None


@pytest.mark.parametrize("own", [0.02, 1.0])
def test_a_spread_tells_networks_from_their_errors(own: float):
    rng = np.random.default_rng(4)
    qualities = rng.normal(2.0, 0.05, 200)
    spread = spread_of(drawn(rng, qualities, 400, own=own), 10)
    assert spread.networks == 200
    assert spread.images == 400
    assert spread.error_nats == pytest.approx(own / 20, rel=0.05)
    assert spread.own_variance == pytest.approx(0.05**2, rel=0.35)
    true = 0.05**2 / (0.05**2 + own**2 / 400)
    assert spread.reliability_at(400) == pytest.approx(true, abs=0.1)
    assert spread.reliability_at(4000) > spread.reliability_at(400)


def told(log_losses, accuracies):
    pairs = zip(log_losses, accuracies, strict=True)
    return scale_of([NetworkScore(1, (loss,), accuracy) for loss, accuracy in pairs])


def test_a_log_loss_is_told_as_the_accuracy_that_goes_with_it():
    """However noisy hits are beside it."""
    rng = np.random.default_rng(5)
    log_losses = rng.normal(1.5, 0.1, 400)
    scale = told(log_losses, 60 - 20 * (log_losses - 1.5) + rng.normal(0, 3, 400))
    assert scale.percent_per_nat == pytest.approx(20, rel=0.15)
    assert scale.percent(1.5) == pytest.approx(60, abs=0.5)
    assert scale.percent(1.4) - scale.percent(1.5) == pytest.approx(0.1 * scale.percent_per_nat)


@pytest.mark.parametrize(
    ("log_losses", "accuracies"), [((1.5, 1.5, 1.5), (60, 60, 60)), ((1.4, 1.5, 1.6), (59, 60, 61))]
)
def test_where_accuracy_does_not_follow_log_loss_all_are_told_alike(log_losses, accuracies):
    scale = told(log_losses, accuracies)
    assert scale.percent(1.5) == scale.percent(9.0) == 60.0
