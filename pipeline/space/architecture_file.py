"""Architectures by name and from files.

What a command line calls `--arch`: a published model (`cream-287`), a JSON file with one
architecture, a JSON-lines file with many, or the one-line form (`cream@224c1000:mb4_3x3/…`).
"""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from pipeline.errors import ArchitectureError, StorageError, UnknownNameError
from pipeline.files.yaml_file import read_yaml
from pipeline.space.architecture import Architecture
from pipeline.space.search_space import Stages

_PUBLISHED = Path(__file__).parent / "spaces" / "published" / "cream.yaml"
_SHORT = re.compile(
    r"(?P<space>[\w-]+)@(?P<resolution>\d{1,9})(?:c(?P<classes>\d{1,9}))?:(?P<stages>.+)"
)


class PublishedModel(BaseModel):
    """A model of the paper: its architecture and what was published about it.

    Attributes:
        published_mmacs: The size printed in the paper, batch norm and pooling counted in.
        top1_percent: ImageNet top-1 accuracy.
        top5_percent: ImageNet top-5 accuracy.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    resolution: int
    stages: Stages
    published_mmacs: float
    top1_percent: float
    top5_percent: float


class _PublishedFile(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1]
    space: str
    models: dict[str, PublishedModel]


@cache
def _published_file() -> _PublishedFile:
    return read_yaml(_PUBLISHED, _PublishedFile)


def published_models() -> dict[str, PublishedModel]:
    """The paper's six models, smallest first."""
    return _published_file().models


def published(name: str, *, resolution: int | None = None, num_classes: int = 1000) -> Architecture:
    """A published model as an architecture.

    Args:
        name: `cream-14` … `cream-604`.
        resolution: Another input size than the published one, in pixels.
        num_classes: Outputs of the classifier.

    Raises:
        UnknownNameError: No model has that name.
    """
    models = published_models()
    if name not in models:
        raise UnknownNameError.of("published model", name, models)
    model = models[name]
    return Architecture(
        space=_published_file().space,
        resolution=resolution or model.resolution,
        num_classes=num_classes,
        stages=model.stages,
        name=name,
    )


def parse_short(text: str) -> Architecture:
    """Reads `Architecture.short`.

    Raises:
        ArchitectureError: The text is not of that form.
    """
    match = _SHORT.fullmatch(text)
    if match is None:
        raise ArchitectureError(
            f"{text!r} is no architecture; expected SPACE@RESOLUTION:OPERATOR,…/OPERATOR,…/…"
        )
    stages = [stage.split(",") for stage in match["stages"].split("/")]
    fields = {"space": match["space"], "resolution": int(match["resolution"]), "stages": stages}
    if match["classes"]:
        fields["num_classes"] = int(match["classes"])
    return _architecture(fields, text)


def read_architectures(given: str) -> list[Architecture]:
    """Reads what `--arch` names: a published model, a file, or the one-line form.

    Raises:
        UnknownNameError: Neither a published model nor a file.
        StorageError: The file cannot be read.
        ArchitectureError: The file does not hold architectures of a known space.
    """
    if given in published_models():
        return [published(given)]
    if _SHORT.fullmatch(given):
        return [parse_short(given)]
    path = Path(given)
    try:
        is_there = path.exists()
    except OSError as error:
        raise StorageError(f"architecture file {given}: {error.strerror}") from None
    if not is_there:
        looks_like_path = "/" in given or path.suffix in (".json", ".jsonl")
        if looks_like_path:
            raise StorageError(
                f"architecture file {given} does not exist",
                hint="a published name such as cream-287 works too",
            )
        raise UnknownNameError.of("architecture", given, published_models())
    return _read_file(path)


def _read_file(path: Path) -> list[Architecture]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise StorageError(f"{path}: cannot be read: {reason}") from None
    try:
        whole = json.loads(text)
    except (ValueError, RecursionError):
        return _read_lines(path, text)
    items = whole if isinstance(whole, list) else [whole]
    if not items:
        raise ArchitectureError(f"{path}: holds no architecture")
    return [_architecture(item, f"{path}") for item in items]


def _read_lines(path: Path, text: str) -> list[Architecture]:
    found = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            item = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise ArchitectureError(f"{path}:{number}: not JSON: {error}") from None
        found.append(_architecture(item, f"{path}:{number}"))
    if not found:
        raise ArchitectureError(f"{path}: holds no architecture")
    return found


def _architecture(item: Any, where: str) -> Architecture:
    try:
        return Architecture.model_validate(item)
    except ValidationError as error:
        problem = error.errors()[0]
        key = ".".join(map(str, problem["loc"])) or "the whole"
        raise ArchitectureError(f"{where}: {key}: {problem['msg']}") from None
    except ArchitectureError as error:
        raise ArchitectureError(f"{where}: {error.message}", hint=error.hint) from None
    except UnknownNameError as error:
        raise UnknownNameError(f"{where}: {error.message}", hint=error.hint) from None
