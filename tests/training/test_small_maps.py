"""The quick way gives the numbers of the slow one."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.network.network import build_network
from pipeline.space.architecture_file import published
from pipeline.training.small_maps import SmallMaps, small_map_conv2d


def _with_gradients(conv, inputs: Tensor, weight: Tensor, *arguments) -> list[Tensor]:
    inputs, weight = inputs.clone().requires_grad_(), weight.clone().requires_grad_()
    output = conv(inputs, weight, *arguments)
    output.backward(torch.linspace(-1, 1, output.numel()).view_as(output).sin())
    assert inputs.grad is not None
    assert weight.grad is not None
    return [output.detach(), inputs.grad, weight.grad]


@given(
    side=st.integers(1, 9),
    kernel=st.sampled_from([1, 3, 5, 7]),
    stride=st.sampled_from([1, 2]),
    depthwise=st.booleans(),
    channels_last=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_same_output_and_gradients_as_conv2d(
    side: int, kernel: int, stride: int, depthwise: bool, channels_last: bool, seed: int
):
    torch.manual_seed(seed)
    inputs = torch.randn(3, 8, side, side)
    if channels_last:
        inputs = inputs.contiguous(memory_format=torch.channels_last)
    weight = torch.randn(8, 1 if depthwise else 8, kernel, kernel)
    arguments = (None, (stride, stride), (kernel // 2,) * 2, (1, 1), 8 if depthwise else 1)
    quick = _with_gradients(small_map_conv2d, inputs, weight, *arguments)
    slow = _with_gradients(F.conv2d, inputs, weight, *arguments)
    for mine, theirs in zip(quick, slow, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("side", "kernel", "is_quick"),
    [
        (8, 5, False),
        (6, 5, False),
        (5, 5, False),
        (4, 5, True),
        (7, 7, False),
        (6, 7, True),
        (3, 3, False),
        (2, 3, True),
    ],
)
@pytest.mark.parametrize("stride", [1, 2])
def test_the_quick_way_is_for_maps_that_do_not_hold_the_kernel(
    side: int, kernel: int, is_quick: bool, stride: int
):
    conv = nn.Conv2d(8, 8, kernel, stride, kernel // 2, groups=8, bias=False)
    with SmallMaps():
        made_by = conv(torch.randn(2, 8, side, side)).grad_fn
    assert made_by is not None
    assert ("Depthwise" in made_by.name()) == is_quick


@pytest.mark.parametrize(
    "conv",
    [
        nn.Conv2d(4, 4, 3, padding=0, groups=4),
        nn.Conv2d(4, 4, 3, padding=2, dilation=2, groups=4),
        nn.Conv2d(4, 8, 3, padding=1, groups=4),
        nn.Conv2d(4, 4, (3, 5), padding=(1, 2), groups=4),
        nn.Conv2d(4, 4, 3, padding="same", groups=4),
        nn.Conv2d(4, 6, 1, stride=2),
        nn.Conv2d(4, 4, 3, padding=1, groups=2),
    ],
)
@pytest.mark.parametrize("side", [4, 5])
def test_what_is_not_plain_goes_through(conv: nn.Conv2d, side: int):
    inputs = torch.randn(2, 4, side, side)
    with SmallMaps():
        quick = conv(inputs)
    torch.testing.assert_close(quick, conv(inputs), rtol=1e-5, atol=1e-5)


def test_a_pixel_with_bias_is_a_linear_layer():
    conv, inputs = nn.Conv2d(6, 9, 1), torch.randn(5, 6, 1, 1)
    with SmallMaps():
        quick = conv(inputs)
    assert quick.shape == (5, 9, 1, 1)
    torch.testing.assert_close(quick, conv(inputs))


def test_a_network_trains_the_same():
    network = build_network(published("cream-14", resolution=32, num_classes=10), seed=0).double()
    inputs, labels = torch.randn(4, 3, 32, 32).double(), torch.tensor([0, 1, 2, 3])

    def gradients() -> list[Tensor]:
        network.zero_grad()
        F.cross_entropy(network(inputs), labels).backward()
        return [p.grad.clone() for p in network.parameters() if p.grad is not None]

    slow = gradients()
    with SmallMaps():
        quick = gradients()
    assert len(quick) == len(list(network.parameters()))
    for mine, theirs in zip(quick, slow, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-6, atol=1e-9)
