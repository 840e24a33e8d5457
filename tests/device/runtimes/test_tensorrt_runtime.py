"""Whether TensorRT can run is told from what is installed, without importing it."""

import json
import re
from pathlib import Path

import pytest

from pipeline.device.model_files import FP32
from pipeline.device.runtimes import REST, _tensorrt_runtime, find
from pipeline.device.runtimes._cuda import GpuIdentity
from pipeline.device.runtimes._tensorrt_layers import Layer, layers_of_log, precision_of
from pipeline.device.runtimes._tensorrt_session import ProfiledRun
from pipeline.device.runtimes.tensorrt_rtx import Runtime, compile_ahead
from pipeline.device.target import Target
from pipeline.errors import MeasurementError, UnavailableError
from pipeline.files.cache_folder import CACHE_VARIABLE
from pipeline.space.architecture_file import published
from tests.device.runtimes.children import beside, said
from tests.device.runtimes.engines import GPU_KIND, compiler, network_file, one_node
from tests.device.runtimes.stubs import compiled

NETWORK = published("cream-14", resolution=64)
DRIVER = (
    "int cuInit(unsigned flags) { return 0; }\n"
    "int cuDeviceGetCount(int *count) { *count = 1; return 0; }"
)
NOTHING = "int nothing(void) { return 0; }"


def installed(folder: Path, package: str, version: str, *, module: str | None = None) -> None:
    """What pip leaves of a package; importing its module would end the process."""
    notes = folder / f"{package}-{version}.dist-info"
    notes.mkdir(parents=True)
    (notes / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n")
    if module:
        (folder / module).mkdir()
        (folder / module / "__init__.py").write_text("import os\nos.abort()\n")


def told(folder: Path, runtime: str = "tensorrt") -> tuple[str | None, str]:
    """Version and reason, in a process that finds packages and libraries in a folder."""
    code = (
        "import json\nfrom pipeline.device.runtimes import find\n"
        f"engine = find({runtime!r})\n"
        "print(json.dumps([engine.version(), engine.unavailable()]))"
    )
    version, reason = json.loads(said(code, **beside(folder)))
    return version, reason


def test_a_part_of_it_is_told_to_be_one(tmp_path: Path) -> None:
    installed(tmp_path, "tensorrt_cu13_bindings", "11.4.0", module="tensorrt_bindings")
    version, reason = told(tmp_path)
    assert version == "11.4.0"
    assert reason == (
        "the package tensorrt is not installed (pip install 'cream-pipeline[tensorrt]'); "
        "only a part of it, 11.4.0, is there"
    )


@pytest.mark.parametrize(("version", "library"), [("10.16.1", "10"), ("11.4.0", "11")])
def test_a_library_that_is_missing_is_named(tmp_path: Path, version: str, library: str) -> None:
    installed(tmp_path, "tensorrt", version, module="tensorrt")
    assert told(tmp_path) == (
        version,
        f"libnvinfer.so.{library} not found, which tensorrt {version} needs "
        "(pip install 'cream-pipeline[tensorrt]')",
    )


def test_a_library_that_is_broken_is_told(tmp_path: Path) -> None:
    installed(tmp_path, "tensorrt", "11.4.0", module="tensorrt")
    (tmp_path / "libnvinfer.so.11").write_text("no library")
    assert told(tmp_path)[1].startswith("libnvinfer.so.11 does not load: ")


@pytest.mark.parametrize("place", [".", "tensorrt_libs"])
def test_with_its_libraries_the_driver_and_pycuda_are_next(tmp_path: Path, place: str) -> None:
    installed(tmp_path, "tensorrt", "11.4.0", module="tensorrt")
    compiled(NOTHING, tmp_path / place / "libnvinfer.so.11")
    if place != ".":
        (tmp_path / place / "__init__.py").write_text("import os\nos.abort()\n")
    (tmp_path / "libcuda.so.1").write_text("no library")
    assert "the NVIDIA driver's library does not load" in told(tmp_path)[1]
    (tmp_path / "libcuda.so.1").unlink()
    compiled(DRIVER, tmp_path / "libcuda.so.1")
    assert told(tmp_path)[1] in (None, "the package pycuda is not installed (pip install pycuda)")


@pytest.mark.parametrize("name", ["tensorrt", "tensorrt_rtx"])
def test_where_it_cannot_run_nothing_is_built(name: str, tmp_path: Path) -> None:
    engine = find(name)
    reason = engine.unavailable()
    if reason is None:
        pytest.skip("it can run here")
    target = Target.parse(f"host/{name}-fp32-b1")
    with pytest.raises(UnavailableError) as caught:
        engine.build(tmp_path, target, tmp_path / "built")
    assert reason in caught.value.message
    assert not (tmp_path / "built").exists()


# Engines are kept. The compiler is real; the GPU it would ask for is named.


class OnNamedGpu(Runtime):
    """TensorRT for RTX, building for a GPU that is not here."""

    compute_capability = GPU_KIND

    def unavailable(self) -> str | None:
        return self.build_problem()


@pytest.fixture
def here(workdir: Path, monkeypatch: pytest.MonkeyPatch) -> OnNamedGpu:
    compiler()
    monkeypatch.setattr(_tensorrt_runtime, "use_first_gpu", lambda: None)
    be_on(monkeypatch, "one card")
    return OnNamedGpu()


def be_on(monkeypatch: pytest.MonkeyPatch, uuid: str) -> None:
    named = GpuIdentity("GPU", uuid, "8.9", "CUDA 13.2")
    monkeypatch.setattr(_tensorrt_runtime, "gpu_identity", lambda: named)


def kept(tmp_path: Path) -> set[str]:
    return {path.name for path in (tmp_path / "cache" / "engines").glob("*")}


def target(name: str) -> Target:
    return Target.parse(f"host/tensorrt_rtx-{name}")


def test_an_engine_is_built_once(
    here: OnNamedGpu, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = one_node(tmp_path / "model").parent
    built = here.build(model, target("fp32-b1"), tmp_path / "1")
    assert built.parent == tmp_path / "1"
    (engine,) = kept(tmp_path)
    assert engine.endswith(".plan")

    def refuse(*arguments: object) -> None:
        raise AssertionError("built again")

    monkeypatch.setattr(_tensorrt_runtime, "build_engine", refuse)
    again = here.build(model, target("fp32-b1"), tmp_path / "2")
    assert again.read_bytes() == built.read_bytes()


def test_what_an_engine_depends_on_makes_another(
    here: OnNamedGpu, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = one_node(tmp_path / "model").parent
    here.build(model, target("fp32-b1"), tmp_path / "built")
    here.build(model, target("fp32-b2"), tmp_path / "built")
    one_node(tmp_path / "model", op="Neg")
    here.build(model, target("fp32-b1"), tmp_path / "built")
    be_on(monkeypatch, "another card")
    here.build(model, target("fp32-b1"), tmp_path / "built")
    monkeypatch.setattr(OnNamedGpu, "version", lambda self: "1.8")
    here.build(model, target("fp32-b1"), tmp_path / "built")
    assert len(kept(tmp_path)) == 5


def test_what_is_refused_is_not_kept(here: OnNamedGpu, tmp_path: Path) -> None:
    model = tmp_path / "hostile"
    model.mkdir()
    for content in (b"", b"text"):
        (model / FP32).write_bytes(content)
        with pytest.raises(MeasurementError, match="hostile"):
            here.build(model, target("fp32-b1"), tmp_path / "built")
    with pytest.raises(MeasurementError, match=r"hostile/model\.fp16\.onnx does not exist"):
        here.build(model, target("fp16-b1"), tmp_path / "built")
    assert kept(tmp_path) == set()
    assert not (tmp_path / "built").exists()


def test_an_engine_that_is_not_there_is_told(here: OnNamedGpu, tmp_path: Path) -> None:
    with (
        pytest.raises(MeasurementError, match=r"none\.plan does not exist"),
        here.open(tmp_path / "none.plan", target("fp32-b1")),
    ):
        pass


# Times of layers become times of blocks. The layers are real, the times are made up.


class Profiled:
    """A session whose layers took a millisecond each, and the first run was disturbed."""

    def __init__(self, layers: list[Layer]) -> None:
        self._layers = layers
        self.prefix = ""
        self.precision_as_built = precision_of(layers)
        self.closed = False

    def layers(self) -> list[Layer]:
        return self._layers

    def inputs(self) -> dict[str, object]:
        return {}

    def bind(self, feed: object) -> None:
        del feed

    def profile(self, warm_runs: int, runs: int) -> list[ProfiledRun]:
        del warm_runs
        each = [(1.0 + 9.0 * (run == 0)) for run in range(runs)]
        names = [self.prefix + layer.name for layer in self._layers]
        return [ProfiledRun(ms * len(names) + 0.5, [(name, ms) for name in names]) for ms in each]

    def close(self) -> None:
        self.closed = True


@pytest.fixture(scope="module")
def layers(exports: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Layer]:
    compiler()
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv(CACHE_VARIABLE, str(exports))
        file = network_file(NETWORK, FP32, tmp_path_factory.mktemp("layers"))
    built = compile_ahead(file, batch=1, compute_capability=GPU_KIND)
    return layers_of_log(built.layers or "")


@pytest.fixture
def profiled(layers: list[Layer], monkeypatch: pytest.MonkeyPatch) -> Profiled:
    """The session that the runtime opens."""
    session = Profiled(layers)
    monkeypatch.setattr(OnNamedGpu, "_session", lambda self, *given, **named: session)
    return session


def test_layers_times_become_blocks_times(profiled: Profiled) -> None:
    found = OnNamedGpu().layer_times(Path("a"), target("fp32-b1"), warm_runs=1, runs=4)
    places = [operator.place for operator in NETWORK.operators()]
    layers = [layer.name for layer in profiled.layers()]
    assert list(found.by_place_ms) == [*places, REST]
    assert found.total_ms == len(layers) + 0.5
    assert sum(found.by_place_ms.values()) == pytest.approx(found.total_ms)
    assert found.by_place_ms[REST] == pytest.approx(0.5)
    assert found.engine_ms == dict.fromkeys(layers, (1.0, 1.0))
    assert profiled.closed


def test_another_precision_than_asked_is_refused(profiled: Profiled) -> None:
    asked = target("fp16-b1")
    told = re.escape("fp16 was asked, and the engine would compute a in fp32")
    with pytest.raises(UnavailableError, match=told), OnNamedGpu().open(Path("a"), asked):
        pass
    with pytest.raises(UnavailableError, match=told):
        OnNamedGpu().layer_times(Path("a"), asked, warm_runs=0, runs=1)
    assert profiled.closed


def test_names_that_do_not_match_are_told(profiled: Profiled) -> None:
    profiled.prefix = "other "
    with pytest.raises(MeasurementError, match="name layers differently"):
        OnNamedGpu().layer_times(Path("a"), target("fp32-b1"), warm_runs=0, runs=1)
