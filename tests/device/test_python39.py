"""What runs on a device runs on Python 3.9, as far as a newer Python can tell."""

import ast
from pathlib import Path

import pytest
import vermin

import pipeline
from pipeline import device, errors

OLDEST = (3, 9)
ROOM = [Path(pipeline.__file__), Path(errors.__file__)]
ROOM += sorted(Path(device.__file__).parent.rglob("*.py"))


class WithoutAnnotations(ast.NodeTransformer):
    """Drops what `from __future__ import annotations` keeps from being evaluated."""

    def visit_arg(self, node: ast.arg) -> ast.arg:
        node.annotation = None
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.returns = None
        return self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        if node.value is None:
            return ast.Pass()
        return ast.Assign([node.target], self.visit(node.value), lineno=node.lineno)


def oldest_python(source: str) -> tuple[int, int]:
    """The oldest Python 3 that has all that a module evaluates."""
    tree = ast.parse(source, feature_version=OLDEST)
    if "from __future__ import annotations" in source:
        tree = WithoutAnnotations().visit(tree)
    config = vermin.Config()
    config.enable_feature("union-types")
    versions = vermin.visit(ast.unparse(tree), config=config).minimum_versions()
    return versions[1] or (3, 0)


@pytest.mark.parametrize("path", ROOM, ids=lambda path: path.stem)
def test_a_module_needs_no_newer_python(path: Path) -> None:
    assert oldest_python(path.read_text(encoding="utf-8")) <= OLDEST


FUTURE = "from __future__ import annotations\n"


@pytest.mark.parametrize(
    "source",
    [
        "def f(x: int | None): ...",
        FUTURE + "Size = int | None",
        FUTURE + "isinstance(1, int | str)",
        FUTURE + "from typing import cast\ncast(int | None, 1)",
        FUTURE + "list(zip([1], [2], strict=True))",
        FUTURE + "from datetime import UTC",
        FUTURE + "import hashlib\nhashlib.file_digest",
        FUTURE + "from itertools import pairwise",
        FUTURE + "from typing import TypeAlias",
        FUTURE + "import tomllib",
        FUTURE + "from dataclasses import dataclass\n@dataclass(slots=True)\nclass A: ...",
        FUTURE + "from dataclasses import dataclass\n@dataclass(kw_only=True)\nclass A: ...",
    ],
)
def test_what_is_newer_is_found(source: str) -> None:
    assert oldest_python(source) > OLDEST


@pytest.mark.parametrize("source", ["match 1:\n    case 1: ...", "try: ...\nexcept* OSError: ..."])
def test_newer_grammar_is_found(source: str) -> None:
    with pytest.raises(SyntaxError):
        oldest_python(source)


def test_annotations_that_are_not_evaluated_may_be_new() -> None:
    assert oldest_python(FUTURE + "class A:\n    x: int | None = None\n    y: int | str") <= OLDEST
