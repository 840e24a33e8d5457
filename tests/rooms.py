"""The rooms of the package as their docstrings and imports tell of them."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

_DOOR = re.compile(r"^Door: (.*?)(?=^\w+: |\Z)", re.MULTILINE | re.DOTALL)
_NAME = re.compile(r"`([\w.]+)`")


class Import(NamedTuple):
    """One module of the package imports another."""

    importer: str
    imported: str

    @property
    def rooms(self) -> tuple[str, str]:
        return room_of(self.importer), room_of(self.imported)


def room_of(module: str) -> str:
    """`pipeline.space.cost` lies in `space`; loose modules are rooms of their own."""
    return module.split(".")[1] if "." in module else module


def rooms(package: Path) -> list[str]:
    return sorted(path.parent.name for path in package.glob("*/__init__.py"))


def modules(package: Path) -> dict[str, Path]:
    """Every module of the package, by its dotted name."""
    found = {}
    for path in sorted(package.rglob("*.py")):
        dotted = ".".join(path.relative_to(package.parent).with_suffix("").parts)
        found[dotted.removesuffix(".__init__")] = path
    return found


def door(package: Path, room: str) -> set[str]:
    """The modules that a room's docstring names as its door; `__init__` counts always."""
    docstring = ast.get_docstring(ast.parse((package / room / "__init__.py").read_text("utf-8")))
    named = _DOOR.search(docstring or "")
    if named is None:
        return set()
    inner = {f"{package.name}.{room}.{name}" for name in _NAME.findall(named[1])}
    return inner | {f"{package.name}.{room}"}


def imports(package: Path) -> Iterator[Import]:
    """Every import of one module of the package by another, wherever it stands in the file."""
    known = modules(package)
    for name, path in known.items():
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module in known:
                for alias in node.names:
                    inner = f"{node.module}.{alias.name}"
                    yield Import(name, inner if inner in known else node.module)
            elif isinstance(node, ast.Import):
                yield from (Import(name, a.name) for a in node.names if a.name in known)


def trespasses(package: Path) -> list[Import]:
    """Imports from another room that do not go through its door."""
    doors = {room: door(package, room) for room in rooms(package)}
    return [
        it
        for it in imports(package)
        if it.rooms[0] != it.rooms[1] and it.rooms[1] in doors
        if it.imported not in doors[it.rooms[1]]
    ]
