"""How many architectures a second a latency model predicts.

    python -m benchmarks.predict_speed --check

Random architectures are written to a JSON-lines file and read back, as `predict --arch FILE` does;
then the parts of that work are timed apart. The floor is on the prediction itself: latency and
its uncertainty, of encoded architectures, in one call. Needs a calibrated table of the target.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.command import judge, run, tell
from benchmarks.timing import timed
from pipeline.device.target import Target, host_slug
from pipeline.latency.model import LatencyModel
from pipeline.latency.sampling import sample_networks
from pipeline.space.architecture_file import read_architectures
from pipeline.space.encoding import encode
from pipeline.space.search_space import get_space

FLOOR_PER_S = 100_000


def main(
    target: str = "host/onnxruntime-fp32-b1-t1",
    architectures: Annotated[int, typer.Option(min=1)] = 10_000,
    repeats: Annotated[int, typer.Option(min=1)] = 7,
    as_json: Annotated[bool, typer.Option("--json")] = False,
    check: Annotated[bool, typer.Option(help="Exit 1 below the floor.")] = False,
) -> None:
    """Prints architectures a second for reading, encoding and predicting."""
    model = LatencyModel.read(Target.parse(target))
    space_name, resolution, num_classes = next(iter(model.calibrations))
    space = get_space(space_name)
    drawn = sample_networks(space, resolution, num_classes, architectures, seed=0)
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "architectures.jsonl"
        file.write_text("".join(f"{network.model_dump_json()}\n" for network in drawn))
        read_s, given = timed(read_architectures, str(file))
    encode_s, rows = timed(encode, space, given)
    first_s, *later_s = (
        timed(model.predict_batch, space, rows, num_classes)[0] for _ in range(1 + repeats)
    )
    told = {
        "target": target,
        "device": host_slug(),
        "architectures": len(given),
        "read_per_s": len(given) / read_s,
        "encode_per_s": len(given) / encode_s,
        "first_predict_per_s": len(given) / first_s,
        "predict_per_s": len(given) / min(later_s),
    }
    tell(told, _lines, as_json=as_json)
    per_s = len(given) / min(later_s)
    slow = per_s < FLOOR_PER_S
    judge([f"{per_s:,.0f} architectures/s, floor {FLOOR_PER_S:,}"] * slow, check=check)


def _lines(told: dict[str, Any]) -> Iterator[str]:
    for name in ("read", "encode", "first_predict", "predict"):
        yield f"{name.replace('_', ' '):14s} {told[f'{name}_per_s']:12,.0f} /s"


if __name__ == "__main__":
    run(main)
