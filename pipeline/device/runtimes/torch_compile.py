"""PyTorch on the CPU, compiled: the exported program through `torch.compile` and Inductor.

A model is compiled when it is opened, which takes seconds to a minute; what was compiled is kept by
PyTorch in the system's temporary folder, or where TORCHINDUCTOR_CACHE_DIR says. Operations of
different blocks are fused into one kernel, so it does not tell the times of layers.
"""

from __future__ import annotations

import os
import shutil
import sysconfig
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from pipeline.device.runtimes import check_precision, random_feed
from pipeline.device.runtimes._torch_program import (
    Program,
    ProgramRuntime,
    ProgramSession,
    threads_of,
)
from pipeline.device.target import Target


class Runtime(ProgramRuntime):
    """PyTorch's compiler on the CPU."""

    def unavailable(self) -> str | None:
        """Why it cannot run here, or None."""
        return super().unavailable() or _missing_compiler()

    @contextmanager
    def open(self, artifact: Path, target: Target) -> Iterator[ProgramSession]:
        """Loads a program and compiles it for the target's batch.

        Raises:
            UnavailableError: The package or a C++ compiler is missing, or it computes in another
                precision.
            MeasurementError: PyTorch refuses the file, or it does not compile.
        """
        self.require(target)
        import torch
        from torch._inductor import config

        # Compiling in this process: the pool it would start outlives the model it is for.
        config.compile_threads = 1
        with threads_of(target):
            program = Program(artifact, target)
            check_precision(target, program.precision, artifact)
            # Threads and shapes are compiled in.
            compiled = torch.compile(program.module, fullgraph=True, dynamic=False)
            with closing(ProgramSession(program, compiled)) as session:
                session.run(random_feed(session.inputs()))  # compiles
                yield session


def _missing_compiler() -> str | None:
    compiler = os.environ.get("CXX", "g++")
    if shutil.which(compiler) is None:
        return f"the C++ compiler {compiler} is not installed (apt install g++)"
    header = Path(sysconfig.get_path("include")) / "Python.h"
    if not header.is_file():
        return f"Python's headers are not installed ({header}; apt install python3-dev)"
    return None
