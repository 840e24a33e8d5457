"""Convolutions on small feature maps, computed the quick way.

At the end of a network for small inputs the maps have 8 × 8 pixels and fewer, down to one.
oneDNN's kernel for the weight gradients of depthwise convolutions takes only maps that hold the
whole kernel (`ih >= min_ih` in jit_uni_dw_conv_kernel_utils.hpp); on smaller ones the gradients
come from a general kernel, and take most of a training step. So does preparing 1×1 convolutions of
single pixels. The same numbers come, up to rounding, out of matrix products.

Forward and backward of one layer in this way, relative to torch's own; 128 images, 480 channels
(240 from 6 × 6 on), stride 1, one core of an AMD EPYC (Zen 4), the least of many interleaved
repetitions:

| kernel | 2 × 2 | 3 × 3 | 4 × 4 | 6 × 6 | 8 × 8 |
|---|--:|--:|--:|--:|--:|
| 3 | 0.10 | (2.22) | (3.03) | (2.68) | (4.19) |
| 5 | 0.06 | 0.17 | 0.26 | (1.17) | (1.36) |
| 7 | 0.03 | 0.07 | 0.17 | 0.24 | (1.08) |

In brackets is what is not done: there the map holds the kernel. With 96 channels or a stride of 2
it turns at the same sizes. A training step of cream-14 takes 0.47 of the time at 32 pixels, 0.78 at
64 and 0.98 at 96.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

# Up to this side so few products are left that a matrix product does not pay.
_TINY_SIDE = 2

_Ints = int | tuple[int, ...]


class SmallMaps(TorchFunctionMode):
    """Within it, `conv2d` on small maps takes the quick way: `with SmallMaps(): …`."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Replaces `conv2d`, lets everything else through."""
        if func is F.conv2d:
            func = small_map_conv2d
        return func(*args, **(kwargs or {}))


def small_map_conv2d(
    inputs: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: _Ints = 1,
    padding: str | _Ints = 0,
    dilation: _Ints = 1,
    groups: int = 1,
) -> Tensor:
    """As `torch.nn.functional.conv2d`, quicker where the map is small."""
    channels, side = inputs.shape[-3], inputs.shape[-1]
    kernel = weight.shape[-1]
    is_plain = (
        inputs.ndim == 4
        and inputs.shape[-2:] == (side, side)
        and weight.shape[-2:] == (kernel, kernel)
        and kernel % 2 == 1
        and _is_all(padding, kernel // 2)
        and _is_all(dilation, 1)
    )
    if is_plain and groups == channels == weight.shape[0] and bias is None and channels > 1:
        step = stride if isinstance(stride, int) else stride[0]
        if _is_all(stride, step):
            return _depthwise(inputs, weight, step)
    if is_plain and groups == 1 and side == kernel == 1:
        return F.linear(inputs.flatten(1), weight.flatten(1), bias)[:, :, None, None]
    return F.conv2d(inputs, weight, bias, stride, padding, dilation, groups)


def _is_all(value: str | _Ints, expected: int) -> bool:
    return value == expected or value == (expected, expected)


def _depthwise(inputs: Tensor, weight: Tensor, stride: int) -> Tensor:
    side, kernel = inputs.shape[-1], weight.shape[-1]
    # What reaches further than the map is wide only ever meets padding.
    beyond = max(0, kernel // 2 - (side - 1))
    weight = weight[..., beyond : kernel - beyond, beyond : kernel - beyond]
    kernel = weight.shape[-1]
    if torch.is_grad_enabled() and kernel > side:
        result: Tensor = _Depthwise.apply(inputs, weight, stride)
        return result
    return F.conv2d(inputs, weight, None, stride, kernel // 2, 1, inputs.shape[1])


class _Depthwise(torch.autograd.Function):
    """Depthwise convolution whose weight gradient is a matrix product for each channel."""

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, weight: Tensor, stride: int) -> Tensor:
        ctx.save_for_backward(inputs, weight)
        ctx.stride = stride
        return F.conv2d(inputs, weight, None, stride, weight.shape[-1] // 2, 1, inputs.shape[1])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None]:
        (gradient,) = gradients
        inputs, weight = ctx.saved_tensors
        stride, kernel = ctx.stride, weight.shape[-1]
        to_inputs = torch.ops.aten.convolution_backward(
            gradient,
            inputs,
            weight,
            bias_sizes=None,
            stride=[stride] * 2,
            padding=[kernel // 2] * 2,
            dilation=[1, 1],
            transposed=False,
            output_padding=[0, 0],
            groups=inputs.shape[1],
            output_mask=[True, False, False],
        )[0]
        return to_inputs, _to_weight(inputs, gradient, kernel, stride), None


def _to_weight(inputs: Tensor, gradient: Tensor, kernel: int, stride: int) -> Tensor:
    """Gradient of the weights: products of pixels, gathered by the weight that joins them."""
    channels, side = inputs.shape[1], inputs.shape[-1]
    before = inputs.permute(1, 2, 3, 0).flatten(1, 2)  # (channels, pixels in, n)
    after = gradient.permute(1, 0, 2, 3).flatten(2)  # (channels, n, pixels out)
    if side <= _TINY_SIDE:
        products = _products_by_hand(inputs, gradient)
    else:
        products = torch.bmm(before.contiguous(), after.contiguous()).flatten(1)
    joined = products.new_zeros(channels, kernel * kernel + 1)
    joined.index_add_(1, _joining_weight(side, kernel, stride), products)
    return joined[:, :-1].reshape(channels, 1, kernel, kernel)


def _products_by_hand(inputs: Tensor, gradient: Tensor) -> Tensor:
    """Sums over images of every input pixel times every output pixel; few of them, so no bmm."""
    before = inputs.permute(0, 2, 3, 1).flatten(1, 2)[:, :, None]
    after = gradient.permute(0, 2, 3, 1).flatten(1, 2)[:, None]
    return (before * after).sum(0).flatten(0, 1).t()


@lru_cache(maxsize=64)
def _joining_weight(side: int, kernel: int, stride: int) -> Tensor:
    """Which weight joins an input pixel to an output pixel; kernel² where none does.

    Returns:
        Shape (pixels in · pixels out,).
    """
    into = torch.arange(side)
    out = torch.arange(-(-side // stride))
    offset = into[:, None] - out[None, :] * stride + kernel // 2
    is_inside = (offset >= 0) & (offset < kernel)
    rows, columns = offset[:, None, :, None], offset[None, :, None, :]
    inside = is_inside[:, None, :, None] & is_inside[None, :, None, :]
    return torch.where(inside, rows * kernel + columns, kernel * kernel).flatten()
