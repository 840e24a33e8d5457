"""Schemas of records: what a docstring says of an attribute is the property's description."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from pipeline.files.json_schema import DIALECT, schema_of


class Inner(BaseModel):
    """A part."""

    share: float


class Outer(BaseModel):
    """A record.

    It has two paragraphs.

    Attributes:
        latency_ms: Of one call, in milliseconds,
            as measured.
        inner: A part of it.
    """

    model_config = ConfigDict(extra="forbid")

    schema_version: Literal[3] = 3
    latency_ms: float | None = None
    inner: Inner | None = None


def test_a_schema_names_its_record_and_version() -> None:
    schema = schema_of(Outer, "outer")
    assert schema["$schema"] == DIALECT
    assert schema["$id"] == "urn:cream-pipeline:outer:3"
    assert schema["properties"]["schema_version"]["const"] == 3
    assert schema["additionalProperties"] is False


def test_attributes_are_described_where_they_are() -> None:
    schema = schema_of(Outer, "outer")
    assert schema["description"] == "A record.\n\nIt has two paragraphs."
    words = schema["properties"]["latency_ms"]["description"]
    assert words == "Of one call, in milliseconds, as measured."
    assert schema["properties"]["inner"]["description"] == "A part of it."
    assert schema["$defs"]["Inner"]["description"] == "A part."
    assert "description" not in schema["$defs"]["Inner"]["properties"]["share"]
