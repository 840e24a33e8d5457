"""The schedule by step, and which parameters decay."""

import math
from typing import get_args

import pytest
import torch
from torch import nn

from pipeline.training.optimizing import Schedule, make_optimizer
from pipeline.training.settings import Optimizer

PEAK = 0.02


def network() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 2))


@pytest.mark.parametrize("name", get_args(Optimizer))
def test_only_weights_of_convolutions_and_linear_layers_decay(name: Optimizer):
    model = network()
    made = make_optimizer(model, name, learning_rate=PEAK, weight_decay=0.3)
    decay = {id(p): group["weight_decay"] for group in made.param_groups for p in group["params"]}
    assert {decay[id(p)] for p in model.parameters() if p.ndim > 1} == {0.3}
    assert {decay[id(p)] for p in model.parameters() if p.ndim <= 1} == {0.0}


@pytest.mark.parametrize("name", get_args(Optimizer))
def test_a_checkpoint_can_hold_the_state(name: Optimizer):
    model = network()
    made = make_optimizer(model, name, learning_rate=PEAK, weight_decay=0.0)
    model(torch.randn(4, 3, 3, 3)).square().sum().backward()
    made.step()
    kept = [value for of in made.state.values() for value in of.values()]
    assert kept
    assert all(isinstance(value, torch.Tensor) for value in kept)


@pytest.mark.parametrize(
    ("steps", "share"), [(100, 0.2), (7, 0.2), (50, 0.0), (1, 0.2), (500, 0.006)]
)
def test_it_rises_linearly_and_falls_as_half_a_cosine(steps: int, share: float):
    made = make_optimizer(network(), "adamw", learning_rate=PEAK, weight_decay=0.0)
    schedule = Schedule(made, steps, warmup_share=share)
    rising = round(share * steps)
    for at in range(steps):
        if at < rising:
            expected = PEAK * (0.1 + 0.9 * at / rising)
        else:
            expected = PEAK * 0.5 * (1 + math.cos(math.pi * (at - rising) / (steps - rising)))
        assert schedule.set(at) == pytest.approx(expected)
        assert {group["lr"] for group in made.param_groups} == {schedule.set(at)}


def test_it_may_stay_at_its_peak_before_it_falls():
    """Until then it is the same whatever follows."""

    def rates(steps: int, rising: int, stable: int) -> list[float]:
        made = make_optimizer(network(), "adamw", learning_rate=PEAK, weight_decay=0.0)
        shares = {"warmup_share": rising / steps, "stable_share": stable / steps}
        schedule = Schedule(made, steps, **shares)
        return [schedule.set(at) for at in range(steps)]

    short, long = rates(40, 4, 20), rates(80, 4, 60)
    assert short[4:21] == long[4:61:1][:17] == [PEAK] * 17
    assert short[:20] == long[:20]
    assert short[21] < PEAK
    assert short[-20:] == rates(24, 4, 0)[-20:] == pytest.approx(long[-20:])


def test_it_depends_on_the_step_alone():
    """So a run that goes on after a kill has the rates of one that was not killed."""
    made = make_optimizer(network(), "sgd", learning_rate=PEAK, weight_decay=0.0)
    schedule = Schedule(made, 40, warmup_share=0.25)
    in_order = [schedule.set(at) for at in range(40)]
    again = Schedule(
        make_optimizer(network(), "sgd", learning_rate=PEAK, weight_decay=0.0),
        40,
        warmup_share=0.25,
    )
    assert [again.set(at) for at in reversed(range(40))] == in_order[::-1]
