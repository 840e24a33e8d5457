"""How far a file's outputs may be off on another machine, from how far they already differ here.

The same file computes slightly other numbers on another CPU: sums are taken in another order, and
int8 rounds a value that lies between two steps the other way. Measurements of the kind are at hand:
ONNX Runtime against PyTorch (the parity record, fp32), and ONNX Runtime against itself with its
optimisations off, where nothing is fused and int8 is computed as the file spells it out; for fp16
also how far it is from fp32, since some CPUs compute in fp16 and others only read it. What they
show is allowed several times over.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.bundle.card import Tolerance
from pipeline.errors import ExportError
from pipeline.records import Parity

Logits = NDArray[np.float32]

MARGIN = 4
# 84 roundings of float32: what sums in another order come to in a network where both measurements
# happen to agree better.
LEAST_MAX_REL = 1e-5


def tolerance(
    onnx_file: Path,
    images: Logits,
    optimised: Logits,
    parity: Parity,
    *,
    unrounded: Logits | None = None,
) -> Tolerance:
    """What is allowed for a file.

    Args:
        onnx_file: The file.
        images: Shape (n, 3, side, side).
        optimised: Its logits of them, as ONNX Runtime computes them by default.
        parity: Of the fp32 file with PyTorch.
        unrounded: For a file in fp16 the logits of the one in fp32.

    Raises:
        ExportError: The file does not run without optimisations.
    """
    found = {
        f"by which ONNX Runtime with and without its optimisations differ on {len(images)} "
        "images": _distance(_plainly(onnx_file, images), optimised),
        f"by which the fp32 file differs from PyTorch on {parity.images} images of "
        f"{Path(parity.data).name}": parity.max_rel,
    }
    if unrounded is not None:
        # Some CPUs compute in fp16, this one perhaps in fp32 from rounded weights.
        found["which rounding to fp16 comes to"] = _distance(unrounded, optimised)
    told = ", ".join(f"{value:.2g}, {words}" for words, value in found.items())
    return Tolerance(
        max_rel=max(*(MARGIN * value for value in found.values()), LEAST_MAX_REL),
        derivation=f"{MARGIN} times the largest of {told}; at least {LEAST_MAX_REL:g}",
    )


def _distance(other: Logits, logits: Logits) -> float:
    """Largest difference of a logit, relative to its image's largest."""
    relative = np.abs(other - logits).max(axis=1) / np.abs(logits).max(axis=1)
    return float(relative.max())


def _plainly(onnx_file: Path, images: Logits) -> Logits:
    """Logits with nothing fused."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        session = onnxruntime.InferenceSession(
            onnx_file, options, providers=["CPUExecutionProvider"]
        )
        fixed = session.get_inputs()[0].shape[0]
        batch = fixed if isinstance(fixed, int) else 1
        found = [
            session.run(["logits"], {"input": np.repeat(image[None], batch, axis=0)})[0][0]
            for image in images
        ]
    except Exception as error:  # ONNX Runtime's errors have no base class of their own
        raise ExportError(
            f"{onnx_file.name}: does not run without optimisations: {error}"
        ) from error
    return np.stack(found)
