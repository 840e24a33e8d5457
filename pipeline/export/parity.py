"""Whether an exported model answers as the network it was made of."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pipeline.errors import ExportError
from pipeline.export.classifier import OnnxClassifier
from pipeline.export.to_onnx import evaluation_copy
from pipeline.network.network import Network
from pipeline.records.export import Parity

_PARITY_BATCH = 32


def measure_parity(network: Network, onnx_file: Path, images: Tensor, data: str) -> Parity:
    """Compares an exported file, run by ONNX Runtime on the CPU, with the network it was made of.

    Args:
        network: What was exported; left exactly as it is.
        onnx_file: The `model.onnx`.
        images: Shape (n, 3, resolution, resolution), n at least 1.
        data: Which images these are: a data set's name, or `random`.

    Raises:
        ExportError: The file does not run, or an output is not finite.
    """
    source = evaluation_copy(network)
    with torch.inference_mode():
        expected = torch.cat([source(part) for part in images.split(_PARITY_BATCH)]).numpy()
    run = OnnxClassifier(onnx_file, threads=torch.get_num_threads())
    found = run(images.contiguous().numpy())
    if found.shape != expected.shape or not (np.isfinite(found) & np.isfinite(expected)).all():
        raise ExportError(
            f"{onnx_file}: outputs of shape {found.shape} cannot be compared with the network's "
            f"{expected.shape}: the shapes differ, or a value is not finite"
        )
    distance = np.abs(found - expected)
    scale = np.maximum(np.abs(expected).max(axis=1), np.finfo(np.float32).tiny)
    return Parity(
        images=len(images),
        data=data,
        max_abs=float(distance.max()),
        max_rel=float((distance.max(axis=1) / scale).max()),
        top1_agreement=float((found.argmax(axis=1) == expected.argmax(axis=1)).mean()),
    )


def check_parity(parity: Parity, name: str, *, max_rel: float = 1e-3) -> None:
    """Refuses an exported model whose outputs are not those of its network.

    Args:
        parity: What was measured.
        name: The model's, for the message.
        max_rel: Largest relative difference of a logit allowed; the default is for fp32.

    Raises:
        ExportError: The difference is larger.
    """
    if parity.max_rel > max_rel:
        raise ExportError(
            f"{name}: logits differ by up to {parity.max_rel:.2g} (relative) once exported; "
            f"expected at most {max_rel:.2g} on {parity.images} images of {parity.data}"
        )
