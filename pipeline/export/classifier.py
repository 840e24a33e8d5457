"""An exported classifier, run by ONNX Runtime on the CPU: what it answers, not how fast."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.device.full_batches import full_batches
from pipeline.device.model_files import KINDS
from pipeline.errors import ExportError

# As the ONNX standard defines a file: each node by itself, none fused, laid out anew or computed in
# int8. No kernel for int8 has a part in it, so its answers are the file's own, whatever the CPU.
BY_THE_STANDARD = "ORT_DISABLE_ALL"
AS_FAST_AS_IT_CAN = "ORT_ENABLE_ALL"
_BATCH = 32


def reference_classifier(path: Path, *, threads: int = 0) -> OnnxClassifier:
    """A file's own answers: in int8 by the standard's arithmetic, else as fast as it can.

    Args:
        path: The file, named as `pipeline.device.model_files` names it.
        threads: To compute on; 0 for all cores.

    Raises:
        ExportError: ONNX Runtime refuses the file.
    """
    int8 = KINDS[path.name].precision == "int8"
    optimisation = BY_THE_STANDARD if int8 else AS_FAST_AS_IT_CAN
    return OnnxClassifier(path, threads=threads, optimisation=optimisation)


class OnnxClassifier:
    """A model's file, loaded.

    Args:
        path: The file; its input is `input`, its output `logits`.
        threads: To compute on.
        optimisation: Name in ONNX Runtime's `GraphOptimizationLevel`.

    Raises:
        ExportError: ONNX Runtime refuses the file.
    """

    def __init__(self, path: Path, *, threads: int, optimisation: str = AS_FAST_AS_IT_CAN) -> None:
        import onnxruntime

        self._path = path
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        options.intra_op_num_threads = threads
        options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, optimisation)
        try:
            self._session = onnxruntime.InferenceSession(
                path, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # ONNX Runtime's errors have no base class of their own
            raise self._refused(error) from error

    def __call__(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """Logits of images of shape (n, 3, side, side), n at least 1.

        Raises:
            ExportError: ONNX Runtime does not run it on them.
        """
        try:
            fixed = self._session.get_inputs()[0].shape[0]
            batch = fixed if isinstance(fixed, int) else min(_BATCH, len(images))
            feeds = [{"input": images[part]} for part in full_batches(len(images), batch)]
            outputs = [self._session.run(["logits"], feed)[0] for feed in feeds]
        except Exception as error:  # as above
            raise self._refused(error) from error
        logits: NDArray[np.float32] = np.concatenate(outputs)[: len(images)]
        return logits

    def _refused(self, error: Exception) -> ExportError:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        reason = lines[0] if lines else type(error).__name__
        return ExportError(f"{self._path}: does not run in ONNX Runtime: {reason}")
