"""The report of `make gpu-check` for people: a table of the parts, then what each found."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

_MOST = 200
"""Lines of a part's details; the rest is in the JSON."""


def markdown(report: Mapping[str, Any]) -> str:
    """The whole report.

    Args:
        report: As it is in `gpu-check.json`.
    """
    state = "" if report["complete"] else " **The check has not ended, or was ended.**"
    head = [
        "# GPU check",
        "",
        f"{report['summary']}.{state}",
        "",
        f"{report['started']}, {report['seconds']:g} s of {report['budget_s']:g} s"
        f"{', quick' if report['quick'] else ''}. {report['machine']}",
        "",
    ]
    parts = report["parts"]
    rows = [
        [part["name"], _bold(part["verdict"]), _seconds(part), part["reason"]] for part in parts
    ]
    lines = [*head, *_table(["part", "verdict", "s", "reason"], rows)]
    for part in parts:
        lines += _section(part)
    return "\n".join(lines) + "\n"


def _bold(verdict: str) -> str:
    return f"**{verdict}**" if verdict in ("failed", "not run") else verdict


def _seconds(part: Mapping[str, Any]) -> str:
    return "" if part["seconds"] is None else f"{part['seconds']:.1f}"


def _section(part: Mapping[str, Any]) -> Iterator[str]:
    if not part["details"] and not part["last_lines"]:
        return
    yield from ("", f"## {part['name']}: {part['verdict']}", "", part["title"])
    if part["reason"]:
        yield from ("", part["reason"])
    if part.get("doing") and part["verdict"] == "failed":
        yield from ("", f"It was at: {part['doing']}")
    details = list(_details(part["details"]))
    yield from details[:_MOST]
    if len(details) > _MOST:
        yield from ("", f"… {len(details) - _MOST} more lines in gpu-check.json")
    if part["last_lines"]:
        yield from ("", f"The last lines of {part['log']}:", "", "```text")
        yield from part["last_lines"]
        yield "```"


def _details(details: Mapping[str, Any]) -> Iterator[str]:
    plain = {name: value for name, value in details.items() if not _is_table(value)}
    if plain:
        yield ""
    for name, value in plain.items():
        if isinstance(value, str) and "\n" in value:
            yield from (f"* {_words(name)}:", "", "```text", *value.splitlines(), "```", "")
        elif isinstance(value, dict) and value:
            yield f"* {_words(name)}:"
            yield from (f"    * {key}: {_shown(inner)}" for key, inner in value.items())
        else:
            yield f"* {_words(name)}: {_shown(value)}"
    for name, value in details.items():
        if _is_table(value):
            columns = list(dict.fromkeys(key for row in value for key in row))
            rows = [[_shown(row.get(column)) for column in columns] for row in value]
            yield from ("", f"{_words(name)}:", "", *_table(map(_words, columns), rows))


def _is_table(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(row, dict) for row in value)


def _table(columns: Any, rows: Sequence[Sequence[str]]) -> Iterator[str]:
    names = list(columns)
    yield f"| {' | '.join(names)} |"
    yield f"|{'---|' * len(names)}"
    for row in rows:
        yield f"| {' | '.join(_cell(text) for text in row)} |"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _words(name: str) -> str:
    return name.replace("_", " ")


def _shown(value: object) -> str:
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:.5g}"
    if isinstance(value, dict | list):
        return json.dumps(value, default=str)
    return str(value)
