"""What documents, docstrings and messages point at is there: links, files, modules."""

import ast
import functools
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.checkout import ROOT, text_files
from tests.rooms import modules, rooms

DOCUMENTS = sorted(path for path, _ in text_files() if path.suffix == ".md")
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
FILE = re.compile(r"(?<![\w./-])(?:pipeline|benchmarks|tests|docs)/[\w/-]+(?:\.\w+)+")
IMPORT = re.compile(
    r"from ((?:pipeline|tests|benchmarks)[\w.]*) import (\w+(?: as \w+)?(?:, \w+(?: as \w+)?)*)"
)
DOTTED = re.compile(r"(?<![\w./-])(?:pipeline|tests|benchmarks)(?:\.[A-Za-z_]\w*)+")


def slug(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_links_lead_somewhere(document):
    text = (ROOT / document).read_text(encoding="utf-8")
    for link in LINK.findall(re.sub(r"```.*?```", "", text, flags=re.DOTALL)):
        if "://" in link:
            continue
        name, _, anchor = link.partition("#")
        to = (ROOT / document).parent / name if name else ROOT / document
        assert to.exists(), link
        if anchor:
            headings = re.findall(r"^#+ (.*)$", to.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in map(slug, headings), link


def test_files_that_are_named_are_there():
    missing = {
        f"{path}: {name}"
        for path, text in text_files()
        for name in FILE.findall(text)
        # Results say which script made them, by the name that it had then.
        if path.suffix not in (".json", ".jsonl") and not name.startswith("pipeline/shipped/")
        if not (ROOT / name).exists()
    }
    assert missing == set()


def test_modules_that_are_named_are_there():
    unknown = {
        f"{path}: {name}"
        for path, text in text_files()
        for name in [*DOTTED.findall(text), *imported(text)]
        if not is_there(name)
    }
    assert unknown == set()


def imported(text: str) -> Iterator[str]:
    """What is imported of the package, in code within strings too."""
    for module, names in IMPORT.findall(text):
        for name in names.split(","):
            yield f"{module}.{name.split(' as ')[0].strip()}"


def test_the_floor_plan_is_that_of_the_contracts():
    plan = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    named = re.findall(r"^\| `(\w+)` \|", plan, re.MULTILINE)
    assert sorted(named) == sorted([*rooms(ROOT / "pipeline"), "errors"])
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    (layers,) = re.findall(r"^layers = \[\n(.*?)^\]", project, re.MULTILINE | re.DOTALL)
    assert named == re.findall(r'"(\w+)"', layers)[::-1]


def is_there(name: str) -> bool:
    """Whether a dotted name is a module, or a top-level name of one with attributes of its own."""
    known, parts = all_modules(), name.split(".")
    if (ROOT / Path(*parts)).is_dir():
        return True
    for end in range(len(parts), 0, -1):
        module = ".".join(parts[:end])
        if module in known:
            rest = parts[end:]
            return not rest or rest[0] in names_of(known[module])
    return False


@functools.cache
def all_modules() -> dict[str, Path]:
    return modules(ROOT / "pipeline") | modules(ROOT / "benchmarks") | modules(ROOT / "tests")


@functools.cache
def names_of(path: Path) -> frozenset[str]:
    found = set(_names(ast.parse(path.read_text(encoding="utf-8")).body))
    return frozenset(found | {"__main__", "__file__", "__name__"})


def _names(body: list[ast.stmt]) -> Iterator[str]:
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            named = (node for target in targets for node in ast.walk(target))
            yield from (it.id for it in named if isinstance(it, ast.Name))
        elif isinstance(node, ast.ImportFrom | ast.Import):
            yield from ((alias.asname or alias.name).split(".")[0] for alias in node.names)
        elif isinstance(node, ast.If | ast.With | ast.Try):
            yield from _names(node.body)
