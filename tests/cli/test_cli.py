"""The command line as a user meets it: verbs, JSON, and one clear message for each mistake."""

import json
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.cli import app as cli
from pipeline.device.target import Target, host_slug
from pipeline.latency.model import save_calibration
from pipeline.measure.journal import Journal
from pipeline.measure.statistics import Visit
from pipeline.space.architecture import Architecture
from pipeline.space.cost import architecture_cost
from pipeline.space.search_space import get_space
from tests.checkout import ROOT
from tests.cli.calling import call
from tests.latency import synthetic

VERBS = [
    command.name or command.callback.__name__
    for command in cli.app.registered_commands
    if command.callback
]
HOST = "host/onnxruntime-fp32-b1-t1"
FILE = "small.json"
SMALL = {
    "space": "cream",
    "resolution": 32,
    "num_classes": 10,
    "stages": [["mb4_3x3"], ["mb4_3x3"], ["mb4_3x3"], ["mb4_3x3"], ["mb4_3x3"]],
}

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(workdir: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command line in this process: exit code, standard output, standard error."""

    def run(*arguments: str) -> tuple[int, str, str]:
        code = call(*arguments)
        out, err = capsys.readouterr()
        return code, out, err

    return run


def write(path: str, value: object) -> str:
    Path(path).write_text(value if isinstance(value, str) else json.dumps(value))
    return path


def table_of(entries: int) -> Path:
    """A made-up table with so many operators of the smallest network."""
    path = Path("latency_tables") / host_slug() / "onnxruntime-fp32-b1-t1.jsonl"
    header = synthetic.header(Target.parse(HOST))
    walk = Architecture.model_validate(SMALL).operators()
    with Journal(path, header) as journal:
        for sweep in range(3):
            for placed in walk[:entries]:
                journal.append(
                    Visit(
                        sweep=sweep,
                        key=placed.spec.key,
                        samples_ms=(0.01,),
                        control_before_ms=(1.0,),
                        control_after_ms=(1.0,),
                        at="2026-01-01T00:00:00Z",
                        precision="fp32",
                    )
                )
    return path


def table_that_lacks_an_operator() -> None:
    """A made-up, calibrated table of all that the smallest network holds, but for one block."""
    others = get_space("cream").narrowed(max_depth=2, operators=["mb4_5x5"])
    walk = Architecture.model_validate(SMALL).operators()
    specs = [*(placed.spec for placed in walk[:-2]), *others.distinct_operators(32, 10)]
    path = synthetic.write_table(synthetic.times_of(specs))
    save_calibration(path, synthetic.TARGET, synthetic.calibration(others, 32, 10))


class Bomb:
    """Runs a command when it is unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch exploded",)


# Each mistake: what is prepared, the command line, the exit code, words of the message.
MISTAKES: dict[str, tuple[Callable[[], object], list[str], int, list[str]]] = {
    "no such architecture file": (
        lambda: None, ["predict", "--arch", "no/such.json"], 1, ["no/such.json", "does not exist"],
    ),
    "no such published model": (
        lambda: None, ["predict", "--arch", "cream-288"], 2, ["cream-288", "cream-287"],
    ),
    "no such recipe file": (
        lambda: None, ["run", "--recipe", "no/such.yaml"], 1, ["no/such.yaml", "no file"],
    ),
    "no such recipe": (lambda: None, ["run", "--recipe", "dmo"], 2, ["dmo", "demo"]),
    "no such checkpoint": (
        lambda: None, ["export", "--arch", "cream-14", "--checkpoint", "no.pth"], 1, ["no.pth"],
    ),
    "unknown verb": (lambda: None, ["serch"], 2, ["serch"]),
    "unknown option": (lambda: None, ["predict", "--arc", "cream-14"], 2, ["--arc"]),
    "no option at all": (lambda: None, ["predict"], 2, ["--arch"]),
    "neither architecture nor recipe": (lambda: None, ["benchmark"], 2, ["--arch", "--recipe"]),
    "unknown key in an architecture": (
        lambda: write("a.json", SMALL | {"depth": 3}),
        ["predict", "--arch", "a.json"], 2, ["a.json", "depth"],
    ),
    "unknown key in a recipe": (
        lambda: None, ["train", "--recipe", "demo", "--set", "train.epoch=3"],
        2, ["train.epoch", "epochs"],
    ),
    "override without a value": (
        lambda: None, ["train", "--recipe", "demo", "--set", "train.epochs"], 2, ["key=value"],
    ),
    "unknown operator": (
        lambda: write("a.json", SMALL | {"stages": [["mb9_9x9"]] * 5}),
        ["predict", "--arch", "a.json"], 2, ["mb9_9x9", "mb4_3x3"],
    ),
    "unknown space": (
        lambda: write("a.json", SMALL | {"space": "creme"}),
        ["predict", "--arch", "a.json"], 2, ["creme", "cream"],
    ),
    "unknown space of a profile": (
        lambda: None, ["profile", "--space", "creme"], 2, ["creme", "cream"],
    ),
    "architecture too deep": (
        lambda: write("a.json", SMALL | {"stages": [["mb4_3x3"] * 7] + [["mb4_3x3"]] * 4}),
        ["predict", "--arch", "a.json"], 2, ["7 blocks", "1 to 6"],
    ),
    "too few stages": (
        lambda: write("a.json", SMALL | {"stages": [["mb4_3x3"]]}),
        ["predict", "--arch", "a.json"], 2, ["5 stages"],
    ),
    "resolution 100": (
        lambda: write("a.json", SMALL | {"resolution": 100}),
        ["predict", "--arch", "a.json"], 2, ["resolution 100", "96, 128"],
    ),
    "resolution 100 of a listing": (
        lambda: None, ["spaces", "--resolution", "100"], 2, ["resolution 100"],
    ),
    "architecture file cut in the middle": (
        lambda: write("a.json", json.dumps(SMALL)[:40]),
        ["predict", "--arch", "a.json"], 2, ["a.json:1", "not JSON"],
    ),
    "architecture file that is a folder": (
        lambda: Path("f.json").mkdir(), ["predict", "--arch", "f.json"], 1, ["f.json"],
    ),
    "target of no form": (
        lambda: None, ["predict", "--arch", "cream-14", "--target", "gpu"],
        2, ["gpu", "DEVICE/RUNTIME"],
    ),
    "unknown runtime": (
        lambda: write("a.json", SMALL),
        ["benchmark", "--arch", "a.json", "--target", "host/tensorflow-fp32-b1"],
        2, ["tensorflow", "onnxruntime"],
    ),
    "target on another device": (
        lambda: write("a.json", SMALL),
        ["benchmark", "--arch", "a.json", "--target", "orin/onnxruntime-fp32-b1-t1"],
        1, ["orin", host_slug()],
    ),
    "no table": (
        lambda: None, ["predict", "--arch", "cream-14", "--target", HOST],
        1, ["no latency table", "profile --target"],
    ),
    "table cut in the middle of a line": (
        lambda: os.truncate(path := table_of(9), path.stat().st_size - 20),
        ["predict", "--arch", FILE, "--target", HOST],
        1, ["line is cut", "profile"],
    ),
    "table with a damaged line": (
        lambda: (path := table_of(9)).write_text(path.read_text().replace("0.01", "0.02", 1)),
        ["predict", "--arch", FILE, "--target", HOST], 1, [".jsonl:2", "damaged"],
    ),
    "table that was never calibrated": (
        lambda: table_of(9),
        ["predict", "--arch", FILE, "--target", HOST], 1, ["not calibrated", "profile"],
    ),
    "table that lacks operators": (
        table_that_lacks_an_operator,
        ["predict", "--arch", FILE, "--target", synthetic.TARGET.name],
        1, ["no entry for", "nearest", "profile --target"],
    ),
    "empty image folder": (
        lambda: Path("images/train").mkdir(parents=True),
        ["profile", "--recipe", "demo", "--set", "data.dataset=images"], 1, ["images"],
    ),
    "no image folder": (
        lambda: None,
        ["profile", "--recipe", "demo", "--set", "data.dataset=no/such/images"], 1, ["no/such"],
    ),
    "stage without its input": (
        lambda: None, ["search", "--recipe", "demo"], 1, ["needs the record of profile"],
    ),
    "checkpoint that is no checkpoint": (
        lambda: write("weights.pth.tar", "text"),
        ["export", "--arch", "cream-14", "--checkpoint", "weights.pth.tar"], 1,
        ["weights.pth.tar"],
    ),
    "checkpoint that is a pickle bomb": (
        lambda: Path("bomb.pth.tar").write_bytes(pickle.dumps({"state_dict": Bomb()})),
        ["export", "--arch", "cream-14", "--checkpoint", "bomb.pth.tar"], 1,
        ["bomb.pth.tar", "code"],
    ),
    "two architectures of one name": (
        lambda: write("a.jsonl", "\n".join([json.dumps(SMALL | {"name": "x"})] * 2)),
        ["benchmark", "--arch", "a.jsonl"], 2, ["same name"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
@pytest.mark.parametrize("as_json", [False, True])
def test_a_mistake_ends_in_one_clear_message(run: Run, mistake: str, as_json: bool) -> None:
    prepare, arguments, code, words = MISTAKES[mistake]
    if FILE in arguments:
        write(FILE, SMALL)
    prepare()
    left, out, err = run(*arguments, *(["--json"] if as_json else []))
    assert left == code
    if as_json:
        told = json.loads(out)
        assert set(told) == {"error"}
        assert set(told["error"]) == {"type", "message", "hint"}
        text = f"{told['error']['message']} {told['error']['hint']}"
    else:
        assert out == ""
        assert err.count("error:") == 1
        text = err
    assert "Traceback" not in out + err
    for word in words:
        assert word in text
    assert not Path("exploded").exists()


def test_the_verbs_are_those_of_the_documentation() -> None:
    one_stage_each = "train search verify trial retrain export benchmark report"
    assert sorted(f"run devices spaces profile predict compare {one_stage_each}".split()) == sorted(
        VERBS
    )


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help_with_an_example(run: Run, verb: str) -> None:
    code, out, _ = run(verb, "--help")
    assert code == 0
    assert f"run_pipeline.py {verb}" in out.replace("\n", " ")
    assert "--json" in out


def test_help_loads_neither_torch_nor_a_runtime() -> None:
    program = (
        "import sys\n"
        "from pipeline import cli\n"
        "try: cli.main(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'onnxruntime', 'openvino', 'tensorrt', 'onnx', 'timm', 'scipy'}\n"
        "heavy |= {'numpy', 'pydantic', 'yaml', 'rich.progress'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "Usage" in done.stdout


def test_predict_without_a_table_gives_the_published_figures(run: Run) -> None:
    code, out, _ = run("predict", "--arch", "cream-287", "--json")
    assert code == 0
    (told,) = json.loads(out)["architectures"]
    assert {"name", "space", "resolution", "stages", "num_classes", "macs", "params"} <= set(told)
    assert told["name"] == "cream-287"
    assert (told["macs"], told["params"]) == (276262016, 6044368)
    assert told["latency_ms"] == {}


def test_predict_takes_many_and_keeps_their_order(run: Run) -> None:
    names = [f"n{number}" for number in range(7)]
    spaces = ["cream", "cream-table3"]
    lines = [
        json.dumps(SMALL | {"name": name, "space": spaces[number % 2], "num_classes": number + 1})
        for number, name in enumerate(names)
    ]
    write("many.jsonl", "\n".join(lines))
    _, out, _ = run("predict", "--arch", "many.jsonl", "--json")
    told = json.loads(out)["architectures"]
    assert [item["name"] for item in told] == names
    for line, item in zip(lines, told, strict=True):
        cost = architecture_cost(Architecture.model_validate_json(line))
        assert (item["macs"], item["params"]) == (cost.macs, cost.params)


def test_spaces_lists_exact_counts(run: Run) -> None:
    _, out, _ = run("spaces", "--json")
    listed = {space["name"]: space for space in json.loads(out)["spaces"]}
    assert listed["cream"]["architectures"] == 550043705401318915942176
    assert [round(macs / 1e6) for macs in listed["cream"]["macs"]] == [76, 832]
    assert run("spaces")[1].count("MB6 7×7") >= 1


def test_devices_lists_runtimes_and_profiles(run: Run) -> None:
    Path("profiles").mkdir()
    profile = "{schema_version: 1, name: mine, description: x, clock_policy: y, targets: []}"
    write("profiles/mine.yaml", profile)
    _, out, _ = run("devices", "--json")
    told = json.loads(out)
    assert told["host"] == host_slug()
    assert {"onnxruntime"} <= {runtime["name"] for runtime in told["runtimes"]}
    assert [profile["name"] for profile in told["profiles"]] == ["mine"]
    assert {"gpu", "huge_pages", "virtual_machine"} <= set(told["environment"])
    words = run("devices")[1]
    assert host_slug() in words
    assert "GPU: " in words
    assert "huge pages: " in words


def test_an_interrupt_says_that_the_command_goes_on(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*arguments: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("pipeline.cli.stages.run_recipe", interrupted)
    code, _, err = run("run", "--recipe", "demo")
    assert code == 130
    assert "goes on" in err


def test_a_full_disk_is_a_message(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: object, **options: object) -> None:
        raise OSError(28, "No space left on device", "some/file")

    monkeypatch.setattr("pipeline.cli.stages.run_recipe", full)
    code, out, _ = run("run", "--recipe", "demo", "--json")
    assert code == 1
    assert "some/file: No space left" in json.loads(out)["error"]["message"]
