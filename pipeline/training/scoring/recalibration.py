"""Batch-norm statistics taken anew for one network of the hypernetwork, from images."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from pipeline.network.supernet import Supernet
from pipeline.space.architecture import Architecture


def recalibrate_batch_norm(
    supernet: Supernet, architecture: Architecture, batches: Iterable[Tensor]
) -> None:
    """Sets the batch-norm statistics of one path to the plain average over some images.

    Args:
        supernet: Changed in place: the path's statistics, and evaluation mode for all of it.
        architecture: The path.
        batches: Training images, each of shape (n, 3, r, r).
    """
    supernet.eval()
    with torch.inference_mode():
        calibrated_outputs(supernet.path(architecture), batches)


def calibrated_outputs(modules: Sequence[nn.Module], batches: Iterable[Tensor]) -> list[Tensor]:
    """Sends batches through modules that take their batch-norm statistics from them.

    Each batch is normalised with its own statistics, and the plain average of these stays.

    Args:
        modules: One after the other, in evaluation mode; their statistics are changed in place.
        batches: Inputs of the first module.

    Returns:
        One output of the last module a batch.
    """
    norms = _batch_norms(modules)
    momenta = [norm.momentum for norm in norms]
    outputs = []
    try:
        for norm in norms:
            norm.reset_running_stats()
            norm.train()
        for number, batch in enumerate(batches, start=1):
            for norm in norms:
                # What a momentum of None works out from its counter, which on a GPU would wait for
                # the device in every batch norm.
                norm.momentum = 1.0 / number
            outputs.append(through(modules, batch))
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
            norm.eval()
    return outputs


def through(modules: Sequence[nn.Module], x: Tensor) -> Tensor:
    """Output of the last of some modules, one after the other."""
    for module in modules:
        x = module(x)
    return x


@contextmanager
def undisturbed(supernet: Supernet, modules: Iterable[nn.Module]) -> Iterator[None]:
    """Puts back every module's mode and the batch-norm statistics of `modules`.

    Args:
        supernet: In evaluation mode inside the block.
        modules: Those of its modules whose statistics the block may change.
    """
    norms = _batch_norms(dict.fromkeys(modules))
    before = [{name: b.clone() for name, b in norm.named_buffers()} for norm in norms]
    modes = [(module, module.training) for module in supernet.modules()]
    try:
        supernet.eval()
        yield
    finally:
        for norm, buffers in zip(norms, before, strict=True):
            for name, value in buffers.items():
                norm.get_buffer(name).copy_(value)
        for module, was_training in modes:
            module.training = was_training


def _batch_norms(modules: Iterable[nn.Module]) -> list[_BatchNorm]:
    return [part for m in modules for part in m.modules() if isinstance(part, _BatchNorm)]
