"""YAML files read into strict models, with errors that name the line.

Recipes, device profiles and search spaces all come through here, so that a wrong key or value is
reported in one way everywhere.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from pipeline.errors import ConfigError, StorageError

Location = tuple[str | int, ...]
Model = TypeVar("Model", bound=BaseModel)


def read_yaml(path: Path, model: type[Model], overrides: Sequence[str] = ()) -> Model:
    """Reads one YAML file into a model.

    Args:
        path: The file.
        model: The pydantic model it must match exactly.
        overrides: `dotted.key=value` assignments laid over the file; values are read as YAML.

    Raises:
        StorageError: The file cannot be read.
        ConfigError: It is not YAML, or holds an unknown key, a wrong type or a wrong value.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise StorageError(f"{path}: cannot be read: {reason}") from None
    return parse_yaml(text, model, source=str(path), overrides=overrides)


def parse_yaml(
    text: str, model: type[Model], *, source: str, overrides: Sequence[str] = ()
) -> Model:
    """Reads YAML text into a model; see `read_yaml`."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "not YAML"
        raise ConfigError(f"{source}{line}: {problem}") from None
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{source}: a value that cannot be read: {error}") from None
    if not isinstance(data, dict):
        raise ConfigError(f"{source}: expected keys and values, found {type(data).__name__}")
    lines: dict[Location, int] = {}
    if root is not None:
        _collect_lines(root, (), lines, source, set())
    for override in overrides:
        _apply(data, override)
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise ConfigError(_explain(error, model, source, lines)) from None


def _collect_lines(
    node: yaml.Node, at: Location, lines: dict[Location, int], source: str, seen: set[int]
) -> None:
    lines.setdefault(at, node.start_mark.line + 1)
    if id(node) in seen:
        return  # an alias: it may lead into itself, or multiply without end
    seen.add(id(node))
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            here = (*at, str(key.value))
            if here in lines:
                raise ConfigError(
                    f"{source}:{key.start_mark.line + 1}: key {key.value!r} stands twice"
                )
            lines[here] = key.start_mark.line + 1
            _collect_lines(value, here, lines, source, seen)
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            _collect_lines(item, (*at, index), lines, source, seen)


def _apply(data: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key.strip():
        raise ConfigError(
            f"--set {override!r}: expected key=value", hint="for example: --set retrain.epochs=3"
        )
    try:
        value = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError):
        raise ConfigError(f"--set {override!r}: the value is not YAML") from None
    place = data
    *parents, last = key.strip().split(".")
    for parent in parents:
        inner = place.setdefault(parent, {})
        if not isinstance(inner, dict):
            raise ConfigError(f"--set {override!r}: {parent!r} holds a value, not keys")
        place = inner
    place[last] = value


def _explain(
    error: ValidationError, model: type[BaseModel], source: str, lines: Mapping[Location, int]
) -> str:
    told = []
    for problem in error.errors():
        where: Location = problem["loc"]
        line = next(
            (lines[where[:n]] for n in range(len(where), 0, -1) if where[:n] in lines), None
        )
        name = ".".join(str(part) for part in where) or "file"
        at = f"{source}:{line}" if line else source
        if problem["type"] == "extra_forbidden":
            told.append(f"{at}: unknown key {name!r}{_near(model, where)}")
        elif problem["type"] == "missing":
            told.append(f"{at}: key {name!r} is missing")
        else:
            reason = str(problem["msg"]).removeprefix("Value error, ")
            told.append(f"{at}: {name}: {reason}, given {problem['input']!r}")
    return "\n".join(told)


def _near(model: type[BaseModel], where: Location) -> str:
    """The known keys where an unknown one stands, the nearest first."""
    known = _keys_at(model, where[:-1])
    if not known:
        return ""
    near = difflib.get_close_matches(str(where[-1]), known, n=1, cutoff=0.5)
    did_you_mean = f"; did you mean {near[0]!r}?" if near else ""
    return f"{did_you_mean} known: {', '.join(sorted(known))}"


def _keys_at(model: type[BaseModel], path: Iterable[str | int]) -> list[str]:
    for part in path:
        field = model.model_fields.get(str(part))
        inner = field.annotation if field else None
        options = [inner, *getattr(inner, "__args__", ())]
        nested = [o for o in options if isinstance(o, type) and issubclass(o, BaseModel)]
        if not nested:
            return []
        model = nested[0]
    return list(model.model_fields)
