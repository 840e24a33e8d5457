"""JSON Schemas of records, for programs that read them without this package."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_ATTRIBUTE = re.compile(r"    (\w+): (.+)")


def schema_of(model: type[BaseModel], name: str) -> dict[str, Any]:
    """The schema of a record as it is written, with its docstrings as descriptions.

    Args:
        model: The record; it has a `schema_version`.
        name: What the record is called among this package's schemas.

    Returns:
        A schema of draft 2020-12. Its `$id` names the record and the version of its fields.
    """
    version = model.model_fields["schema_version"].default
    body = model.model_json_schema(mode="serialization")
    for part in (body, *body.get("$defs", {}).values()):
        _describe(part)
    return {"$schema": DIALECT, "$id": f"urn:cream-pipeline:{name}:{version}", **body}


def schema_text(model: type[BaseModel], name: str) -> str:
    """The same as the content of a file."""
    return json.dumps(schema_of(model, name), indent=1, ensure_ascii=False) + "\n"


def _describe(part: dict[str, Any]) -> None:
    """Gives each property its own words of the docstring's list of attributes, and no title."""
    for shape in part.get("properties", {}).values():
        shape.pop("title", None)
    docstring = inspect.cleandoc(part.get("description", ""))
    about, _, listed = docstring.partition("\nAttributes:\n")
    if about:
        part["description"] = about.strip()
    for name, words in _attributes(listed):
        if name in part.get("properties", {}):
            part["properties"][name]["description"] = words


def _attributes(listed: str) -> Iterator[tuple[str, str]]:
    """Names and words of `name: words` at the first indent; deeper lines go on with the words."""
    name, words = "", ""
    for line in listed.splitlines():
        begins = _ATTRIBUTE.fullmatch(line)
        if begins:
            if name:
                yield name, words
            name, words = begins[1], begins[2]
        elif line.startswith("     ") and name:
            words += f" {line.strip()}"
        elif line.strip():
            break
    if name:
        yield name, words
