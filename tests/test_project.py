"""The project's own promises: what ships, what is declared, what the documents say."""

import ast
import functools
import importlib.metadata
import json
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from pipeline.cli.app import app
from pipeline.device.target import Target
from pipeline.files.yaml_file import parse_yaml, read_yaml
from pipeline.measure.device_profile import DeviceProfile
from tests.checkout import ROOT, project_files, text_files

PACKAGE = ROOT / "pipeline"
PROFILES = sorted((ROOT / "profiles").glob("*.yaml"))
MODULES = sorted(PACKAGE.rglob("*.py"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
HEAVY = {"onnx", "onnxruntime", "openvino", "pycuda", "tensorrt", "timm", "torch", "torchvision"}


@pytest.mark.parametrize("path", PROFILES, ids=lambda path: path.stem)
def test_a_profile_loads_and_says_how_to_hold_the_clock(path):
    profile = read_yaml(path, DeviceProfile)
    assert profile.name == path.stem
    assert len(profile.clock_policy.split()) > 10
    assert profile.targets
    assert len(set(profile.targets)) == len(profile.targets)
    for setting in profile.targets:
        assert Target.parse(f"{profile.name}/{setting}").setting == setting


def test_the_default_target_comes_first_on_this_machine():
    host = read_yaml(ROOT / "profiles" / "host.yaml", DeviceProfile)
    assert host.targets[0] == "onnxruntime-fp32-b1-t1"


def test_the_profile_in_the_contributing_guide_loads():
    guide = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```yaml\n(.*?)```", guide, re.DOTALL)
    assert parse_yaml(example, DeviceProfile, source="CONTRIBUTING.md").name == "my-board"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_is_small_and_named_for_what_it_holds(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400
    assert path.stem not in {"common", "helpers", "misc", "tools", "util", "utils"}


def test_no_file_names_a_registry_or_a_path_of_the_machine_it_was_written_on():
    registries = [
        ("py" + "pi", "org"),
        ("python" + "hosted", "org"),
        ("debian", "org"),
        ("npm" + "js", "org"),
    ]
    hosts = "|".join(rf"(?:[\w-]+\.)*{name}\.{domain}" for name, domain in registries)
    places = "|".join(re.escape(str(place)) for place in (ROOT, Path.home()) if place != Path("/"))
    told = re.compile(rf"\b(?:{hosts})\b|(?<![\w./])(?:{places}|/home/\w+|/Users/\w+)(?:/|\b)")
    found = [f"{path}: {match[0]}" for path, text in text_files() for match in told.finditer(text)]
    assert found == []


def test_every_third_party_import_is_declared():
    extras = PROJECT["project"]["optional-dependencies"]
    for_users = [extras[name] for name in extras if name != "dev"]
    requirements = sum(for_users, PROJECT["project"]["dependencies"])
    declared = {_normal(re.split(r"[<>=~!\[; ]", requirement)[0]) for requirement in requirements}
    providers = importlib.metadata.packages_distributions()
    undeclared = {}
    for path in MODULES:
        for name in _imported(path) - sys.stdlib_module_names - {"pipeline"}:
            found = {_normal(provider) for provider in providers.get(name, [name])}
            if not found & declared:
                undeclared.setdefault(name, []).append(str(path.relative_to(ROOT)))
    assert undeclared == {}


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _imported(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.split(".")[0])
    return names


def test_the_extras_are_those_the_documents_name():
    extras = set(PROJECT["project"]["optional-dependencies"])
    assert extras == {
        "cuda",
        "data",
        "dev",
        "openvino",
        "parquet",
        "tensorrt",
        "tensorrt-rtx",
    }
    named = {
        extra
        for path, text in text_files()
        if path.suffix == ".md"
        for extra in re.findall(r"\.\[([\w-]+)\]|cream-pipeline\[([\w-]+)\]", text)
    }
    assert {name for pair in named for name in pair if name} <= extras


def test_the_command_line_loads_neither_torch_nor_a_runtime():
    code = "import json, sys, pipeline.cli.app; print(json.dumps(list(sys.modules)))"
    loaded = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True
    )
    assert HEAVY & set(json.loads(loaded.stdout)) == set()


def test_a_wheel_ships_everything_that_is_no_code(tmp_path):
    built = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert built.returncode == 0, built.stderr
    (wheel,) = tmp_path.glob("*.whl")
    shipped = set(zipfile.ZipFile(wheel).namelist())
    assert {f"pipeline/shipped/profiles/{path.name}" for path in PROFILES} <= shipped
    assert "pipeline/shipped/latency_tables/README.md" in shipped
    data = {str(path.relative_to(ROOT)) for path in project_files() if path.is_relative_to(PACKAGE)}
    assert data <= shipped


def test_the_help_of_make_names_every_target():
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    (phony,) = re.findall(r"^\.PHONY: (.*)$", text.replace("\\\n", ""), re.MULTILINE)
    helped = set(re.findall(r'@echo "make ([\w-]+) ', text))
    assert helped == set(phony.split()) - {"help"}


def test_each_slow_test_is_in_a_group_and_each_group_has_its_target():
    text = (ROOT / "Makefile").read_text(encoding="utf-8").replace("\\\n", "")
    groups = {
        name: [set(part.split()) for part in value.split("--ignore")]
        for name, value in re.findall(r"^SLOW_([a-z]+) := (.*)$", text, re.MULTILINE)
    }
    (listed,) = re.findall(r"^SLOW_GROUPS := (.*)$", text, re.MULTILINE)
    assert set(listed.split()) == set(groups)
    assert {f"test-slow-{name}" for name in groups} <= set(text.split())
    for path, source in text_files():
        if (
            path.parts[0] == "tests"
            and path.name.startswith("test_")
            and re.search(r"pytest\.mark\.slow\b", source)
        ):
            places = {str(path), *map(str, path.parents)}
            found = [
                name
                for name, (taken, *left) in groups.items()
                if places & taken and not any(places & out for out in left)
            ]
            assert len(found) == 1, f"{path}: {found}"


def test_every_command_the_project_tells_people_to_run_exists():
    told = {}
    for path, text in text_files():
        if path.suffix == ".md" or path.parts[0] in ("pipeline", "Makefile"):
            for verb in re.findall(r"run_pipeline\.py ([a-z][a-z-]*)", text):
                told.setdefault(verb, path)
    assert "run" in told
    for verb, path in told.items():
        answer = help_of(verb)
        assert answer.exit_code == 0, f"{path} names {verb!r}: {answer.output}"


def test_the_options_in_the_documents_exist():
    for path, text in text_files():
        if path.suffix != ".md":
            continue
        for verb, rest in re.findall(r"run_pipeline\.py ([a-z][a-z-]*)((?: [^\n`|#]*)?)", text):
            options = set(re.findall(r"--[a-z][a-z-]*", rest))
            if options:
                helped = help_of(verb).output
                missing = {name for name in options if not re.search(rf"{name}\b", helped)}
                assert missing == set(), f"{path}: {verb}"


@functools.cache
def help_of(verb: str) -> Result:
    plain = {"COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb"}
    return CliRunner(env=plain).invoke(app, [verb, "--help"])


def test_without_the_dependencies_the_way_to_install_them_is_one_line():
    bare = subprocess.run(
        [sys.executable, "-S", "run_pipeline.py", "devices"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert bare.returncode == 1
    assert "make setup" in bare.stderr
    assert len(bare.stderr.splitlines()) == 1
