"""Runs a model on a target, on random images, and keeps the outputs.

    python benchmarks/gpu_check_outputs.py MODEL_FOLDER TARGET INTO

A process of its own, since the Python that has a runtime may be another than the one that has the
exporter, and engines do not always live together. It needs numpy, the package and the engine.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np

from pipeline import runtimes
from pipeline.device import Target

FEEDS = 8


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
        rng = np.random.default_rng(0)
        outputs = []
        for _ in range(FEEDS):
            (output,) = session.run({name: rng.standard_normal(shape).astype(dtype)}).values()
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
    main(Path(sys.argv[1]), Target.parse(sys.argv[2]), Path(sys.argv[3]))
