"""PyTorch's table of translations to ONNX, built once a process and not in every export.

Building it is more than half of what exporting an operator takes (`benchmarks/export_speed.py`),
and hundreds are exported for a latency table. PyTorch has no public way to hand one in, so the
method that builds it is made to remember. A PyTorch without that method exports as slowly as
before.
"""

from __future__ import annotations

import functools


@functools.cache
def build_registry_once() -> bool:
    """Makes exports of this process share one table.

    Returns:
        Whether this PyTorch has the method.
    """
    try:
        from torch.onnx._internal.exporter._registration import ONNXRegistry

        build = ONNXRegistry.__dict__["from_torchlib"].__func__
    except (ImportError, KeyError, AttributeError):
        return False
    built = functools.cache(functools.partial(build, ONNXRegistry))
    ONNXRegistry.from_torchlib = staticmethod(built)  # type: ignore[method-assign]
    return True
