"""Nodes of an engine's graph find the block they belong to."""

from collections.abc import Sequence
from typing import NamedTuple

import pytest

from pipeline.device.runtimes import REST
from pipeline.device.runtimes._blocks import attribute, attribute_mean, faster_half, module_of
from pipeline.errors import MeasurementError


@pytest.mark.parametrize(
    ("name", "module"),
    [
        ("blocks.3.1.conv_dw/Conv", "blocks.3.1.conv_dw"),
        ("blocks.0.0.se.act1/Relu:0_nchwc", "blocks.0.0.se.act1"),
        ("bn1.act/Mul/QuickGeluFusion/", "bn1.act"),
        ("ReorderOutput_token_142", None),
        ("logits", None),
        ("", None),
    ],
)
def test_the_module_is_what_stands_before_the_operation(name: str, module: str | None) -> None:
    assert module_of(name) == module


def test_times_add_up_by_block_in_network_order() -> None:
    nodes = [
        (None, 1.0),  # feeds the stem
        ("conv_stem", 2.0),
        ("bn1.act", 4.0),
        ("blocks.0.0.conv_dw", 8.0),
        (None, 16.0),  # within a block
        ("blocks.0.0", 32.0),
        (None, 64.0),  # between blocks: of the one it feeds
        ("blocks.10.0.conv_pw", 128.0),
        ("blocks.11.0.conv", 256.0),  # the last stage is the tail's convolution
        ("blocks.11.0.bn1.act", 512.0),
        ("conv_head", 1024.0),
        ("classifier", 2048.0),
        (None, 4096.0),  # feeds none: of the block it comes from
    ]
    found = attribute(nodes, 9000.0, "model")
    assert list(found.by_place_ms.items()) == [
        ("conv_stem", 7.0),
        ("blocks.0.0", 56.0),
        ("blocks.10.0", 192.0),
        ("tail", 7936.0),
        (REST, 9000.0 - 8191.0),
    ]
    assert found.total_ms == 9000.0


@pytest.mark.parametrize("nodes", [[], [(None, 1.0)], [("conv_pw", 1.0), ("se", 1.0)]])
def test_a_model_that_names_no_block_is_refused(nodes: list[tuple[str | None, float]]) -> None:
    with pytest.raises(MeasurementError, match=r"some/model\.onnx: no node is named") as caught:
        attribute(nodes, 2.0, "some/model.onnx")
    assert caught.value.hint


class Run(NamedTuple):
    total_ms: float
    nodes_ms: Sequence[float] = ()


def test_the_faster_half_of_profiled_runs_counts() -> None:
    runs = [Run(total_ms) for total_ms in (5.0, 1.0, 4.0, 2.0, 3.0)]
    assert [run.total_ms for run in faster_half(runs)] == [1, 2, 3]
    assert [run.total_ms for run in faster_half(runs[:1])] == [5]


def test_the_mean_of_runs_counts() -> None:
    runs = [Run(10.0, [1.0, 2.0]), Run(20.0, [3.0, 6.0])]
    found = attribute_mean(["blocks.0.0.conv", "blocks.1.0.conv"], runs, "model")
    assert found.total_ms == 15.0
    assert found.by_place_ms == {"blocks.0.0": 2.0, "tail": 4.0, REST: 9.0}
