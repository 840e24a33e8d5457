"""What sharing PyTorch's table of translations saves exports (`pipeline.export.translations`).

    python -m benchmarks.export_speed --check

Each operator of cream-14 is exported twice, one after the other: with a table built for that
export, and with the one built before. Prints the medians and the median of the pairs' ratios.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import torch
import typer
from torch.onnx._internal.exporter._registration import ONNXRegistry

from benchmarks.command import judge, run, tell
from benchmarks.timing import timed
from pipeline.export.to_onnx import export_operator
from pipeline.export.translations import build_registry_once
from pipeline.space.architecture_file import published
from pipeline.space.operator_spec import OperatorSpec

MOST = 0.8
RESOLUTION = 64


def main(
    operators: Annotated[int, typer.Option(min=1, help="At most so many.")] = 12,
    as_json: Annotated[bool, typer.Option("--json")] = False,
    check: Annotated[bool, typer.Option(help="Exit 1 above the ratio allowed.")] = False,
) -> None:
    """Prints seconds an export takes with either table."""
    torch.set_num_threads(1)
    ways = {"alone_s": ONNXRegistry.__dict__["from_torchlib"]}
    build_registry_once()
    ways["shared_s"] = ONNXRegistry.__dict__["from_torchlib"]
    network = published("cream-14", resolution=RESOLUTION)
    specs = list(dict.fromkeys(placed.spec for placed in network.operators()))[:operators]
    with tempfile.TemporaryDirectory() as scratch:
        for way in ways:  # what is loaded or built only once counts for neither
            _export_s(specs[0], ways[way], Path(scratch) / way)
        pairs = [
            {way: _export_s(spec, ways[way], Path(scratch) / f"{n}{way}") for way in ways}
            for n, spec in enumerate(specs)
        ]
    told = {
        "operators": len(pairs),
        **{way: median(pair[way] for pair in pairs) for way in ways},
        "ratio": median(pair["shared_s"] / pair["alone_s"] for pair in pairs),
    }
    tell(told, _lines, as_json=as_json)
    missed = told["ratio"] > MOST
    judge([f"ratio {told['ratio']:.2f}, at most {MOST:g} is allowed"] * missed, check=check)


def _lines(told: dict[str, Any]) -> Iterator[str]:
    yield (
        f"{told['operators']} operators: {told['alone_s']:.3f} s each with a table of its own, "
        f"{told['shared_s']:.3f} s with a shared one, ratio {told['ratio']:.2f}"
    )


def _export_s(spec: OperatorSpec, way: object, into: Path) -> float:
    ONNXRegistry.from_torchlib = way  # type: ignore[assignment]
    return timed(export_operator, spec, into, batch=1)[0]


if __name__ == "__main__":
    run(main)
