"""Operators that share weights: each is the centre and the first channels of the largest."""

import pytest
import torch

from pipeline.network.entangled import EntangledSlot
from pipeline.network.operators import build_operator, imitate_training, initialise, seeded
from pipeline.space.operator_spec import OperatorSpec
from pipeline.space.search_space import get_space

SPACE = get_space("cream-table3-released")
NAMES = ("mb4_3x3", "mb4_7x7", "mb6_5x5", "res_3x3", "conv_1x1", "conv_3x3")


def specs(slot: int = 1) -> dict[str, OperatorSpec]:
    return {name: SPACE.block(1, slot, name, 32) for name in NAMES}


@pytest.fixture
def slot() -> EntangledSlot:
    with seeded(0):
        slot = EntangledSlot(specs())
        initialise(slot)
        imitate_training(slot)
    return slot.eval()


def test_a_kind_has_one_set_of_weights_of_the_largest_kernel_and_expansion(slot: EntangledSlot):
    """The space need not offer that operator itself."""
    largest = {"ir": "mb6_7x7", "res": "res_3x3", "cn": "conv_3x3"}
    expected = sum(
        parameter.numel()
        for name in largest.values()
        for parameter in build_operator(SPACE.block(1, 1, name, 32)).parameters()
    )
    assert sum(parameter.numel() for parameter in slot.parameters()) == expected


def test_a_part_is_the_first_channels_and_the_centre_of_the_kernel(slot: EntangledSlot):
    whole, part = slot.largest["ir"], slot["mb4_3x3"].alone()
    mid = part.conv_pw.out_channels
    assert torch.equal(part.conv_pw.weight, whole.conv_pw.weight[:mid])
    assert torch.equal(part.conv_dw.weight, whole.conv_dw.weight[:mid, :, 2:5, 2:5])
    assert torch.equal(part.conv_pwl.weight, whole.conv_pwl.weight[:, :mid])
    assert torch.equal(part.bn2.weight, whole.bn2.weight[:mid])
    squeezed = part.se.conv_reduce.out_channels
    assert torch.equal(part.se.conv_expand.weight, whole.se.conv_expand.weight[:mid, :squeezed])


@pytest.mark.parametrize("name", NAMES)
def test_a_part_computes_what_it_does_alone_and_as_statistics_of_its_own(
    slot: EntangledSlot, name: str
):
    spec, part = specs()[name], slot[name]
    x = torch.randn(2, spec.in_channels, spec.resolution, spec.resolution)
    with torch.inference_mode():
        assert torch.equal(part(x), part.alone()(x))
    others = {other: slot[other].alone().state_dict() for other in NAMES if other != name}
    part.train()(x)
    for other, before in others.items():
        after = slot[other].alone().state_dict()
        assert all(torch.equal(before[key], after[key]) for key in before)


def test_a_step_of_one_operator_moves_the_common_part_of_the_others(slot: EntangledSlot):
    """And nothing of a whole beyond the part that took the step."""
    part = slot["mb4_3x3"]
    part(torch.randn(2, part.spec.in_channels, 8, 8)).square().sum().backward()
    gradient = slot.largest["ir"].conv_dw.weight.grad
    assert gradient is not None
    mid = slot["mb4_3x3"].alone().conv_dw.out_channels
    inside = torch.zeros_like(gradient, dtype=torch.bool)
    inside[:mid, :, 2:5, 2:5] = True
    assert torch.count_nonzero(gradient[~inside]) == 0
    assert torch.count_nonzero(gradient[inside]) == int(inside.sum())
    assert all(parameter.grad is None for parameter in slot.largest["cn"].parameters())


def test_statistics_are_kept_by_operators_alone(slot: EntangledSlot):
    names = [name for name, _ in slot.named_buffers()]
    assert names
    assert all(name.startswith("operators.") for name in names)
