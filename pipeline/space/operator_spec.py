"""One operator of a network: what it is, where its shape comes from, and its key.

An `OperatorSpec` is a whole block (convolutions, normalisation, activation, squeeze-and-excitation
together), because inference runtimes fuse inside a block and latency is a property of the block.
Its `key` names it in latency tables, in timm's block-string grammar extended by what latency
depends on: channels, input resolution, classes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from pipeline.errors import UnknownNameError, UsageError

Kind = Literal["cn", "ds", "ir", "res", "tail"]
KINDS: tuple[Kind, ...] = ("cn", "ds", "ir", "res", "tail")


@dataclass(frozen=True, slots=True)
class Choice:
    """An operator as a search space offers it: without shape.

    Attributes:
        kind: `ir` (MBConv), `res` (residual bottleneck) or `cn` (convolution, batch norm, swish).
        kernel: Side of the square kernel.
        expansion: MBConv's expansion ratio; 1 for the others.
    """

    kind: Kind
    kernel: int
    expansion: int = 1

    @property
    def name(self) -> str:
        """The name in files, e.g. `mb6_5x5`, `res_3x3`, `conv_1x1`."""
        stem = {"ir": f"mb{self.expansion}", "res": "res", "cn": "conv"}[self.kind]
        return f"{stem}_{self.kernel}x{self.kernel}"

    @property
    def label(self) -> str:
        """The notation of the paper's supplement (Figures 1 and 2), e.g. `MB6 5×5`."""
        stem = {"ir": f"MB{self.expansion}", "res": "Res", "cn": "Conv"}[self.kind]
        return f"{stem} {self.kernel}×{self.kernel}"


_CHOICE = re.compile(r"(?:mb(?P<expansion>[1-9])|(?P<plain>res|conv))_(?P<k>[1-9])x(?P=k)")


@lru_cache(maxsize=256)
def parse_choice(name: str) -> Choice:
    """Reads an operator's name.

    Args:
        name: `mb{expansion}_{k}x{k}`, `res_3x3` or `conv_{k}x{k}`.

    Raises:
        UnknownNameError: The name is not of that form.
    """
    match = _CHOICE.fullmatch(name)
    if match is None or int(match["k"]) % 2 == 0:
        raise UnknownNameError(
            f"unknown operator {name!r}; expected mb4_3x3, mb6_5x5, res_3x3, conv_1x1 …",
            hint="list them: python run_pipeline.py spaces",
        )
    kernel = int(match["k"])
    if match["expansion"]:
        return Choice("ir", kernel, int(match["expansion"]))
    if match["plain"] == "res":
        if kernel != 3:
            raise UnknownNameError(f"unknown operator {name!r}; the residual bottleneck is res_3x3")
        return Choice("res", kernel)
    return Choice("cn", kernel)


@dataclass(frozen=True, slots=True)
class OperatorSpec:
    """An operator with its shape.

    Attributes:
        kind: `cn` (convolution, batch norm, swish), `ds` (depthwise-separable), `ir` (MBConv),
            `res` (bottleneck of He et al., 2016), `tail` (1×1 convolution, pooling, classifier).
        kernel: Side of the square kernel; 1 for the tail.
        stride: 1 or 2.
        in_channels: Channels of the input.
        out_channels: Channels of the output; of the last 1×1 convolution for the tail.
        resolution: Side of the square input, in pixels.
        expansion: Expansion ratio (`ir`), else 1.
        se_ratio: Squeeze-and-excitation width relative to the expanded channels; 0 for none.
        features: Width of the classifier's hidden layer (`tail`), else 0.
        num_classes: Classes (`tail`), else 0.
    """

    kind: Kind
    kernel: int
    stride: int
    in_channels: int
    out_channels: int
    resolution: int
    expansion: int = 1
    se_ratio: float = 0.0
    features: int = 0
    num_classes: int = 0

    @property
    def key(self) -> str:
        """The readable name under which tables hold this operator."""
        words = [self.kind, f"k{self.kernel}", f"s{self.stride}"]
        if self.expansion != 1:
            words.append(f"e{self.expansion}")
        words += [f"i{self.in_channels}", f"o{self.out_channels}", f"r{self.resolution}"]
        if self.se_ratio:
            words.append(f"se{self.se_ratio:g}")
        if self.kind == "tail":
            words += [f"f{self.features}", f"c{self.num_classes}"]
        return "_".join(words)

    @property
    def out_resolution(self) -> int:
        """Side of the output's feature map in pixels (before pooling, for the tail)."""
        return -(-self.resolution // self.stride)

    @property
    def expanded_channels(self) -> int:
        """Channels the depthwise convolution works on (`ir`, `ds`)."""
        return self.in_channels * self.expansion

    @property
    def se_channels(self) -> int:
        """Width inside squeeze-and-excitation: a multiple of 8; 0 without it."""
        return round_channels(self.expanded_channels * self.se_ratio) if self.se_ratio else 0

    @property
    def has_residual(self) -> bool:
        """Whether the input is added to the output unchanged."""
        same = self.stride == 1 and self.in_channels == self.out_channels
        return same and self.kind in ("ir", "ds", "res")


_FIELDS = {
    "k": ("kernel", int),
    "s": ("stride", int),
    "e": ("expansion", int),
    "i": ("in_channels", int),
    "o": ("out_channels", int),
    "r": ("resolution", int),
    "se": ("se_ratio", float),
    "f": ("features", int),
    "c": ("num_classes", int),
}


@lru_cache(maxsize=4096)
def parse_key(key: str) -> OperatorSpec:
    """Reads an operator's key; the inverse of `OperatorSpec.key`.

    Raises:
        UsageError: A token is unknown, missing or repeated.
    """
    kind, *tokens = key.split("_")
    if kind not in KINDS:
        raise UsageError(f"operator key {key!r}: unknown kind {kind!r}; known: {', '.join(KINDS)}")
    values: dict[str, int | float] = {}
    for token in tokens:
        match = re.fullmatch(r"([a-z]+)([0-9.]+)", token)
        if match is None or match[1] not in _FIELDS:
            raise UsageError(f"operator key {key!r}: unknown token {token!r}")
        field, read = _FIELDS[match[1]]
        if field in values:
            raise UsageError(f"operator key {key!r}: token {token!r} stands twice")
        try:
            values[field] = read(match[2])
        except ValueError:
            raise UsageError(f"operator key {key!r}: token {token!r} is no number") from None
    try:
        spec = OperatorSpec(kind=kind, **values)  # type: ignore[arg-type]
    except TypeError:
        raise UsageError(f"operator key {key!r}: a token is missing") from None
    if spec.key != key:
        raise UsageError(f"operator key {key!r} is not in its normal form {spec.key!r}")
    return spec


def round_channels(channels: float, divisor: int = 8) -> int:
    """Rounds to the nearest multiple, never down by more than 10 % (the MobileNet rule)."""
    rounded = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * channels else rounded
