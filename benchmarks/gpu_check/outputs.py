"""Runs a model on a target, on random images, and keeps the outputs.

    python -m benchmarks.gpu_check.outputs MODEL_FOLDER TARGET INTO

A process of its own, since the Python that has a runtime may be another than the one that has the
exporter, and engines do not always live together. It needs numpy, the package and the engine.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.device import runtimes
from pipeline.device.target import Target
from pipeline.errors import UnavailableError

FEEDS = 8
_PATCHES = 4
UNAVAILABLE = 3
"""Exit code where the engine, or this machine, has no such precision."""


def images(count: int, shape: tuple[int, ...], *, seed: int) -> NDArray[np.float32]:
    """Patches of random colours, which differ more than noise does once it is averaged."""
    channels, *sides = shape
    coarse = np.random.default_rng(seed).standard_normal((count, channels, _PATCHES, _PATCHES))
    height, width = (side // _PATCHES for side in sides)
    return coarse.repeat(height, axis=2).repeat(width, axis=3).astype(np.float32)


def main(model: Path, target: Target, into: Path) -> None:
    """Writes `outputs.npy` of shape (FEEDS, batch, …), and `told.json`."""
    into.mkdir(parents=True, exist_ok=True)
    runtime = runtimes.find(target.runtime)
    start = time.monotonic()
    artifact = runtime.build(model, target, into / "built")
    built_s = time.monotonic() - start
    with runtime.open(artifact, target) as session:
        opened_s = time.monotonic() - start - built_s
        ((name, (shape, dtype)),) = session.inputs().items()
        outputs = []
        for image in images(FEEDS, shape[1:], seed=1):
            (output,) = session.run({name: image[None].astype(dtype)}).values()
            outputs.append(np.asarray(output, dtype=np.float64))
        told = {
            "version": runtime.version(),
            "built_s": built_s,
            "opened_s": opened_s,
            "precision_as_built": session.precision_as_built,
            "notes": list(getattr(session, "notes", ())),
        }
    np.save(into / "outputs.npy", np.stack(outputs))
    (into / "told.json").write_text(json.dumps(told), encoding="utf-8")


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]), Target.parse(sys.argv[2]), Path(sys.argv[3]))
    except UnavailableError as error:
        sys.stderr.write(f"{error.message}\n")
        sys.exit(UNAVAILABLE)
