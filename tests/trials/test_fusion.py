"""The posterior over candidates: which inputs stay, what it expects, and how sure it is."""

import numpy as np
import pytest

from pipeline.trials.fusion import fuse

N = 60


def made(seed: int, tried: int = 14, error: float = 0.01) -> tuple[dict, list[int], np.ndarray]:
    """Candidates whose log-loss falls with MACs and rises with a score; the rest is chance."""
    random = np.random.default_rng(seed)
    inputs = {name: random.normal(size=N) for name in ("macs", "score", *map(str, range(8)))}
    truth = 2.0 - 0.2 * inputs["macs"] + 0.15 * inputs["score"]
    places = list(random.permutation(N)[:tried])
    return inputs, places, truth + error * random.normal(size=N)


def test_what_decides_is_found_and_chance_is_left_out() -> None:
    kept = []
    for seed in range(20):
        inputs, tried, y = made(seed)
        found = fuse(inputs, tried, y[tried], 0.01)
        assert {"macs", "score"} <= set(found.inputs)
        assert found.error_nats < 0.3 * found.mean_error_nats
        kept.append(len(found.inputs) - 2)
    assert np.mean(kept) < 2


def test_it_orders_what_was_not_tried() -> None:
    inputs, tried, y = made(3)
    found = fuse(inputs, tried, y[tried], 0.01)
    rest = [place for place in range(N) if place not in tried]
    assert np.corrcoef(found.mean_nats[rest], y[rest])[0, 1] > 0.95


def test_its_uncertainty_is_honest() -> None:
    """Two thirds of what was not tried lie within one deviation, with their own error."""
    shares = []
    for seed in range(30):
        inputs, tried, y = made(seed, tried=16, error=0.03)
        found = fuse(inputs, tried, y[tried], 0.03)
        rest = [place for place in range(N) if place not in tried]
        std = np.sqrt(np.diag(found.cov_nats)[rest] + 0.03**2)
        shares.append(np.mean(np.abs(found.mean_nats[rest] - y[rest]) < std))
    assert 0.55 < np.mean(shares) < 0.95


def test_where_nothing_decides_nothing_is_kept() -> None:
    kept = []
    for seed in range(30):
        random = np.random.default_rng(seed)
        inputs = {str(name): random.normal(size=N) for name in range(6)}
        found = fuse(inputs, list(range(12)), random.normal(2, 0.1, 12), 0.1)
        kept.append((len(found.inputs), found.mean_nats.std()))
    inputs_kept, spread = np.mean(kept, axis=0)
    assert inputs_kept < 1.5
    assert spread < 0.1


def test_a_draw_scatters_as_it_is_unsure() -> None:
    inputs, tried, y = made(5)
    found = fuse(inputs, tried, y[tried], 0.01)
    random = np.random.default_rng(0)
    draws = np.array([found.drawn(random) for _ in range(4000)])
    np.testing.assert_allclose(draws.mean(0), found.mean_nats, atol=0.02)
    np.testing.assert_allclose(draws.std(0), np.sqrt(np.diag(found.cov_nats)), rtol=0.1)


def test_two_trials_leave_it_at_their_mean() -> None:
    inputs, tried, y = made(1, tried=2)
    found = fuse(inputs, tried, y[tried], 0.01)
    assert found.inputs == ()
    assert found.mean_nats == pytest.approx(np.full(N, y[tried].mean()), abs=1e-6)


def test_an_input_that_is_the_same_for_all_is_of_no_use() -> None:
    inputs, tried, y = made(2)
    found = fuse({**inputs, "size": np.full(N, 64.0)}, tried, y[tried], 0.01)
    assert "size" not in found.inputs
    assert np.isfinite(found.cov_nats).all()
