"""Growing operators computes what their beginnings computed."""

import pytest
import torch

from pipeline.network.supernet import Supernet
from pipeline.space.architecture import Architecture
from pipeline.space.search_space import SearchSpace, get_space, space_names
from pipeline.training.hypernetwork.growth import beginnings, grow
from pipeline.training.hypernetwork.hypernetwork import keep_statistics
from pipeline.training.hypernetwork.path_sampling import PathSampler

CREAM = get_space("cream")


def test_beginnings_of_the_released_space():
    assert set(beginnings(CREAM).values()) == {"mb4_3x3"}


def test_each_kind_has_its_own_beginning():
    origin = beginnings(get_space("cream-table3"))
    assert origin["conv_5x5"] == "conv_1x1"
    assert origin["res_3x3"] == "res_3x3"
    assert origin["mb6_7x7"] == "mb4_3x3"


def test_an_operator_that_cannot_hold_the_smallest_begins_at_random():
    space = CREAM.narrowed(operators=["mb6_3x3", "mb4_5x5", "mb6_5x5"])
    assert beginnings(space) == {
        "mb6_3x3": "mb6_3x3",
        "mb4_5x5": "mb4_5x5",
        "mb6_5x5": "mb6_3x3",
    }


@pytest.mark.parametrize("name", space_names())
def test_every_operator_of_every_space_has_a_beginning_that_begins_itself(name: str):
    space = get_space(name)
    origin = beginnings(space)
    assert tuple(origin) == space.operators
    assert all(origin[smallest] == smallest for smallest in origin.values())


@pytest.mark.parametrize("name", ["cream", "cream-table3"])
def test_growth_changes_no_path(name: str):
    space = get_space(name).narrowed(max_depth=2)
    supernet = _worn(Supernet(space, 10, seed=0))
    origin = beginnings(space)
    inputs = torch.randn(4, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    sampler = PathSampler(space, 10, seed=0)
    paths = [sampler.draw(64, number) for number in range(4)]
    before = []
    for path in paths:
        stages = tuple(tuple(origin[name] for name in stage) for stage in path.stages)
        smaller = path.model_copy(update={"stages": stages})
        before.append([_output(supernet, inputs, smaller, mode) for mode in (True, False)])
    grow(supernet)
    for path, outputs in zip(paths, before, strict=True):
        for mode, output in zip((True, False), outputs, strict=True):
            after = _output(supernet, inputs, path, mode)
            torch.testing.assert_close(after, output, rtol=1e-3, atol=1e-4)


def _output(
    supernet: Supernet, inputs: torch.Tensor, path: Architecture, training: bool
) -> torch.Tensor:
    """With the statistics left as they are."""
    keep_statistics(supernet, keep=not training)
    with torch.no_grad():
        return supernet.train(training)(inputs, path)


def test_what_has_grown_learns(space: SearchSpace):
    supernet = Supernet(space, 10, seed=0).train()
    grow(supernet)
    path = Architecture(space="cream", resolution=32, num_classes=10, stages=(("mb6_5x5",),) * 5)
    supernet(torch.randn(8, 3, 32, 32), path).square().sum().backward()
    new = supernet.blocks[2][0]["mb6_5x5"].conv_pwl.weight
    assert new[:, 96:].eq(0).all()
    assert new.grad[:, 96:].ne(0).any()


def _worn(supernet: Supernet) -> Supernet:
    """Gives norms scales and statistics that are not those they are built with."""
    generator = torch.Generator().manual_seed(0)
    for name, tensor in supernet.state_dict().items():
        if tensor.ndim == 1:
            offset = 0.5 if name.endswith(("running_var", "weight")) else 0.0
            tensor.copy_(offset + torch.rand(tensor.shape, generator=generator))
    return supernet
