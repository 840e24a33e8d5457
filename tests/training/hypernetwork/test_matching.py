"""The matching network: what it sees, how fast it learns, and that it learns what helps."""

import pytest
import torch

from pipeline.training.hypernetwork.matching import MatchingNetwork, Pace, answer_profile


def logits_of(*answers: list[float]) -> torch.Tensor:
    return torch.tensor(answers).log()


def test_a_profile_tells_right_answers_and_the_likeliest_wrong_ones():
    logits = logits_of([0.5, 0.125, 0.375], [0.25, 0.625, 0.125])
    found = answer_profile(logits, torch.tensor([0, 1]))
    torch.testing.assert_close(found, 500 * torch.tensor([0.5625, 0.3125, 0.125]))


def test_a_profile_means_the_same_whatever_the_images_are():
    """Of other images, in another order, of other classes."""
    torch.manual_seed(0)
    logits, labels = torch.randn(2, 64, 7), torch.randint(0, 7, (64,))
    profiles = answer_profile(logits, labels)
    assert profiles.shape == (2, 5)
    order, renamed = torch.randperm(64), torch.randperm(7)
    others = torch.empty_like(logits).index_copy_(-1, renamed, logits)[:, order]
    torch.testing.assert_close(answer_profile(others, renamed[labels][order]), profiles)
    twice = answer_profile(logits.repeat(1, 2, 1), labels.repeat(2))
    torch.testing.assert_close(twice, profiles)


def test_before_it_learns_no_teacher_is_preferred():
    network = MatchingNetwork(10)
    weights = network(torch.randn(7, 5))
    assert torch.equal(weights, torch.full((7,), 0.5))


def test_it_learns_in_a_short_run_which_difference_helps():
    """Teachers that are surer of the right class help, those that are surer of wrong ones harm."""
    network, pace = MatchingNetwork(3), Pace.of(300)
    optimizer = torch.optim.Adam(network.parameters(), lr=pace.learning_rate)
    helping = 500 * torch.tensor([-0.05, 0.04, 0.01])
    harming = -helping
    for _ in range(300 // pace.every // 2):
        for difference, slope in ((helping, -1.0), (harming, 1.0)):
            optimizer.zero_grad()
            network(difference).backward(torch.tensor(slope))
            optimizer.step()
    assert network(helping) > 0.8
    assert network(harming) < 0.2


def test_a_training_as_long_as_the_papers_has_the_papers_pace():
    assert Pace.of(125_000) == Pace(every=200, learning_rate=1e-4)
    assert Pace.of(500_000) == Pace.of(125_000)


@pytest.mark.parametrize("steps", [300, 600, 5000, 40_000])
def test_its_weights_can_go_as_far_in_a_short_run(steps: int):
    pace = Pace.of(steps)
    updates = steps / pace.every
    assert updates >= 24
    assert updates * pace.learning_rate == pytest.approx(0.0625, rel=0.1)


def test_however_short_a_run_is_it_has_a_pace():
    assert Pace.of(0) == Pace.of(1)
    assert Pace.of(0).every == 1
