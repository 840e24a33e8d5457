"""The network in timm's own terms: block strings that `decode_arch_def` reads, and weights.

The blocks of this package are timm's, so are the names of their parameters: timm's `MobileNetV3`,
built of the block strings, takes the weights as they are. A residual bottleneck has no word in that
grammar; networks that hold one have no such form.
"""

from __future__ import annotations

import json
from itertools import groupby
from pathlib import Path

from pipeline.bundle.card import TimmForm
from pipeline.network.network import Network
from pipeline.network.weights import write_weights
from pipeline.space.architecture import Architecture
from pipeline.space.operator_spec import OperatorSpec
from pipeline.space.search_space import PlacedOperator

WEIGHTS = "model.safetensors"
_MOST_STRIDE = 32


def timm_form(architecture: Architecture) -> TimmForm | str:
    """The network as timm builds it, or why timm cannot."""
    stem, *blocks, tail = architecture.operators()
    bottlenecks = [placed.place for placed in blocks if placed.spec.kind == "res"]
    if bottlenecks:
        return (
            f"{', '.join(bottlenecks)}: a residual bottleneck, for which the grammar of timm's "
            "decode_arch_def has no word"
        )
    stride = stem.spec.stride
    for placed in blocks:
        stride *= placed.spec.stride
    if stem.spec.stride != 2 or stride > _MOST_STRIDE:
        return (
            f"timm's MobileNetV3 has a stem of stride 2 and strides of {_MOST_STRIDE} in all; "
            f"this network {stem.spec.stride} and {stride}"
        )
    return TimmForm(
        file=WEIGHTS,
        arch_def=(
            *(tuple(_word(placed.spec) for placed in stage) for _, stage in _by_stage(blocks)),
            (f"cn_r1_k1_s1_c{tail.spec.out_channels}",),
        ),
        stem_size=stem.spec.out_channels,
        num_features=tail.spec.features,
        num_classes=architecture.num_classes,
    )


def write_timm_weights(network: Network, form: TimmForm, folder: Path) -> None:
    """Writes the weights, with the block strings and the architecture in the file's metadata.

    Raises:
        StorageError: The file cannot be written.
    """
    metadata = {
        "architecture": network.architecture.model_dump_json(),
        "arch_def": json.dumps(form.arch_def),
        "timm": form.model_dump_json(exclude={"arch_def"}),
    }
    write_weights(folder / form.file, network, metadata)


def _by_stage(blocks: list[PlacedOperator]) -> groupby[str, PlacedOperator]:
    return groupby(blocks, lambda placed: placed.place.rpartition(".")[0])


def _word(spec: OperatorSpec) -> str:
    """One block, e.g. `ir_r1_k5_s2_e6_c24_se0.25`."""
    words = [spec.kind, "r1", f"k{spec.kernel}", f"s{spec.stride}"]
    if spec.kind == "ir":
        words.append(f"e{spec.expansion}")
    words.append(f"c{spec.out_channels}")
    if spec.se_ratio:
        words.append(f"se{spec.se_ratio:g}")
    return "_".join(words)
