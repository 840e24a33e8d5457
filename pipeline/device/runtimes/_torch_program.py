"""What the runtimes on PyTorch share: an exported program (`model.pt2`), loaded and run.

A program does not keep names as an ONNX file does, so here its only input is called `input` and its
only output `output`; of several, each is called as in the program, or `output.<number>`.
"""

from __future__ import annotations

import os
import re
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from pipeline.device.model_files import PROGRAM
from pipeline.device.runtimes import Feed, Inputs, check_feed
from pipeline.device.runtimes._packaged import Files, PackagedRuntime, missing
from pipeline.device.target import Target
from pipeline.errors import MeasurementError

_PRECISIONS = {"float32": "fp32", "float16": "fp16", "bfloat16": "bf16", "int8": "int8"}
_NUMPY = ("float32", "float16", "int64", "uint8", "int8")
# Of what a program keeps besides weights, tensors are data; other objects are code when they load.
_CONSTANT = re.compile(r"tensor_\d+|\w+_constants_config\.json")
_COMPUTING = ("conv", "linear", "matmul", "addmm", "bmm", "aten.mm")


class ProgramRuntime(PackagedRuntime):
    """PyTorch: a program is kept in fp32, and run so."""

    distributions = ("torch",)
    files: ClassVar[Files] = {"fp32": PROGRAM}

    def unavailable(self) -> str | None:
        """Why it cannot run here, or None."""
        return missing("torch")


@contextmanager
def threads_of(target: Target) -> Iterator[None]:
    """PyTorch's threads are the process's, so they are what they were afterwards."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(target.threads or 1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class Program:
    """An exported program, read and ready to be called.

    Args:
        artifact: The file.
        target: Gives the batch where the file leaves it free.
        device: Where its weights are put.

    Raises:
        MeasurementError: There is no such file, or PyTorch refuses it.
    """

    def __init__(self, artifact: Path, target: Target, device: str = "cpu") -> None:
        import torch

        self.artifact = artifact
        self._batch = target.batch
        if not artifact.exists():
            raise MeasurementError(f"{artifact} does not exist; expected an exported program")
        try:
            _refuse_code(artifact)
            with _only_data():
                exported = torch.export.load(artifact)
            if device != "cpu":
                from torch.export import passes

                exported = passes.move_to_device_pass(exported, device)
            names = exported.graph_signature.user_inputs
            # Feeds are checked here.
            self.module: Any = exported.module(check_guards=False)
        except MeasurementError:
            raise
        except Exception as error:  # noqa: BLE001  (zip, JSON, pickle and graph: each has its own)
            raise MeasurementError(f"{artifact}: PyTorch refuses it: {first_line(error)}") from None
        self._values = {
            node.target if len(names) > 1 else "input": node.meta["val"]
            for node in self.module.graph.nodes
            if node.op == "placeholder"
        }

    @property
    def precision(self) -> str:
        """What its convolutions and matrix products are in; else what all its nodes are in."""
        computing: set[str] = set()
        others: set[str] = set()
        for node in self.module.graph.nodes:
            dtype = str(getattr(node.meta.get("val"), "dtype", "")).removeprefix("torch.")
            if node.op != "call_function" or dtype not in _PRECISIONS:
                continue
            is_computing = any(name in str(node.target) for name in _COMPUTING)
            (computing if is_computing else others).add(_PRECISIONS[dtype])
        return "+".join(sorted(computing or others)) or "fp32"

    def inputs(self) -> Inputs:
        """Shape and type of each input.

        Raises:
            MeasurementError: Another dimension than the first is free, or a type is not handled.
        """
        found: Inputs = {}
        for name, value in self._values.items():
            kind = str(value.dtype).removeprefix("torch.")
            if kind not in _NUMPY:
                raise MeasurementError(f"input {name!r} has type {kind}, not handled")
            shape = [side if isinstance(side, int) else str(side) for side in value.shape]
            if not all(isinstance(side, int) for side in shape[1:]):
                raise MeasurementError(
                    f"input {name!r} has free dimensions {shape}; only the first, the batch, may "
                    "be free"
                )
            sides = [self._batch if isinstance(side, str) else side for side in shape]
            found[name] = (tuple(sides), np.dtype(kind))
        return found

    def tensors(self, feed: Feed) -> list[Any]:
        """The feed as tensors of their own memory, in the program's order.

        Raises:
            MeasurementError: The feed does not fit.
        """
        import torch

        check_feed(feed, self.inputs())
        return [torch.from_numpy(np.array(feed[name], order="C")) for name in self._values]

    def named(self, outputs: Any) -> dict[str, NDArray[np.generic]]:
        """A call's outputs by name, in memory of their own."""
        from torch.utils import _pytree

        leaves = [leaf.cpu().numpy().copy() for leaf in _pytree.tree_leaves(outputs)]
        if len(leaves) == 1:
            return {"output": leaves[0]}
        return {f"output.{number}": leaf for number, leaf in enumerate(leaves)}

    @contextmanager
    def running(self) -> Iterator[None]:
        """Within it the program is called; without gradients.

        Raises:
            MeasurementError: It does not run.
        """
        import torch

        try:
            with torch.inference_mode():
                yield
        except MeasurementError:
            raise
        except Exception as error:  # noqa: BLE001  (an operator raises what it likes)
            raise MeasurementError(
                f"{self.artifact}: PyTorch does not run it: {first_line(error)}"
            ) from None


class ProgramSession:
    """A program on the CPU; see `pipeline.device.runtimes.Session`.

    Args:
        program: Tells inputs and names outputs.
        call: What runs: the program's own module, or what a compiler made of it.
    """

    def __init__(self, program: Program, call: Callable[..., Any]) -> None:
        self._program = program
        self._call = call
        self._bound: Sequence[Any] = ()
        self.precision_as_built = program.precision

    def close(self) -> None:
        """Gives the model's memory back, whoever still holds the session."""
        del self._program, self._call, self._bound

    def inputs(self) -> Inputs:
        """Shape and type of each input."""
        return self._program.inputs()

    def run(self, feed: Feed) -> dict[str, NDArray[np.generic]]:
        """Runs once."""
        tensors = self._program.tensors(feed)
        with self._program.running():
            return self._program.named(self._call(*tensors))

    def bind(self, feed: Feed) -> None:
        """Sets the inputs of `run_bound`."""
        self._bound = self._program.tensors(feed)

    def run_bound(self) -> None:
        """Runs on the bound inputs."""
        with self._program.running():
            self._call(*self._bound)


def _refuse_code(artifact: Path) -> None:
    """A model is data: reading one may not run what somebody put in it."""
    with zipfile.ZipFile(artifact) as archive:
        paths = [PurePosixPath(name) for name in archive.namelist()]
    if not any(path.parts[1:2] == ("models",) for path in paths):
        raise MeasurementError(f"{artifact}: is not an exported program")
    for path in paths:
        if "constants" in path.parts and not _CONSTANT.fullmatch(path.name):
            raise MeasurementError(f"{artifact}: keeps an object that is no tensor: {path}")


@contextmanager
def _only_data() -> Iterator[None]:
    """Within it PyTorch unpickles tensors and nothing else, though its loader would more."""
    name = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"
    before = os.environ.get(name)
    os.environ[name] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def first_line(error: Exception) -> str:
    """What went wrong, without what PyTorch adds for its own developers."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:500] if lines else type(error).__name__
