"""How many architectures a second a latency model predicts.

    python benchmarks/predict_speed.py --check

Random architectures are written to a JSON-lines file and read back, as `predict --arch FILE` does;
then the parts of that work are timed apart. The floor is on the prediction itself: latency and
its uncertainty, of encoded architectures, in one call. Needs a calibrated table of the target.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from pipeline.device.target import Target, host_slug
from pipeline.errors import PipelineError
from pipeline.latency.model import LatencyModel
from pipeline.latency.sampling import sample_networks
from pipeline.space.architecture_file import read_architectures
from pipeline.space.encoding import encode
from pipeline.space.search_space import get_space

FLOOR_PER_S = 100_000
Result = TypeVar("Result")


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
        read_s, given = _fastest(lambda: read_architectures(str(file)), 1)
    encode_s, rows = _fastest(lambda: encode(space, given), 1)
    first_s, _ = _fastest(lambda: model.predict_batch(space, rows, num_classes), 1)
    predict_s, _ = _fastest(lambda: model.predict_batch(space, rows, num_classes), repeats)
    told = {
        "target": target,
        "device": host_slug(),
        "architectures": len(given),
        "read_per_s": len(given) / read_s,
        "encode_per_s": len(given) / encode_s,
        "first_predict_per_s": len(given) / first_s,
        "predict_per_s": len(given) / predict_s,
    }
    if as_json:
        sys.stdout.write(json.dumps(told) + "\n")
    else:
        for name in ("read", "encode", "first_predict", "predict"):
            sys.stdout.write(f"{name.replace('_', ' '):14s} {told[f'{name}_per_s']:12,.0f} /s\n")
    if check and told["predict_per_s"] < FLOOR_PER_S:
        sys.stderr.write(f"{told['predict_per_s']:,.0f} architectures/s, floor {FLOOR_PER_S:,}\n")
        raise typer.Exit(1)


def _fastest(call: Callable[[], Result], repeats: int) -> tuple[float, Result]:
    """Seconds of the fastest call, and what the last one returned."""
    taken = []
    for _ in range(repeats):
        start = time.perf_counter()
        result = call()
        taken.append(time.perf_counter() - start)
    return min(taken), result


if __name__ == "__main__":
    try:
        typer.run(main)
    except PipelineError as error:
        sys.exit(f"{error.message}\ntry: {error.hint}" if error.hint else error.message)
