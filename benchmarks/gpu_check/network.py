"""The network whose outputs are compared: one that answers to its input.

With the weights that exports for timing have, a signal dies away layer by layer, and a network that
ignored its input would pass. Here batch norm has seen images first, as in training.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from benchmarks.gpu_check.outputs import images
from pipeline.device.model_files import FP32, PROGRAM
from pipeline.export.precision import make_file
from pipeline.export.to_onnx import export_network
from pipeline.network.network import build_network
from pipeline.space.architecture import Architecture

_SEEN = 64


def write_network(architecture: Architecture, into: Path, file: str) -> Path:
    """Writes `model.onnx` and one more file of a network.

    Args:
        architecture: Of three input channels.
        into: Folder for the files.
        file: Which (`pipeline.device.model_files`).

    Returns:
        The folder.
    """
    side = architecture.resolution
    seen = images(_SEEN, (3, side, side), seed=0)
    network = build_network(architecture, seed=0)
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the mean over all that was seen
    with torch.no_grad():
        network.train()(torch.from_numpy(seen))
    network.eval()
    export_network(network, into, batch=1, file=FP32)
    if file == PROGRAM:
        export_network(network, into, batch=1, file=PROGRAM)
    elif file != FP32:
        make_file(into, file, seen)
    return into
