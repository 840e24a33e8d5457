"""The base of all records: frozen, strict about their fields, with a schema version."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, TypeAdapter

Reading = TypeVar("Reading")


class Record(BaseModel):
    """Base of everything that is written for another stage, machine or day to read."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = 1


def checked(kind: type[Reading], told: object) -> Reading:
    """What a device told, as one of the plain classes of `pipeline.device`, its fields checked.

    Raises:
        ValidationError: A field is missing, unknown, or of another type.
    """
    asked: Any = kind
    read: Reading = _adapter(asked).validate_python(told)
    return read


def plain(told: object) -> dict[str, Any]:
    """The same as JSON holds it."""
    kind: Any = type(told)
    kept: dict[str, Any] = _adapter(kind).dump_python(told, mode="json")
    return kept


@lru_cache(maxsize=16)
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)
