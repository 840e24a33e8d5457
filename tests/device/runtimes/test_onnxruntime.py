"""ONNX Runtime on the CPU is a runtime, in every precision it computes."""

from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import pytest

from pipeline.device import runtimes
from pipeline.device.model_files import FP16, INT8
from pipeline.device.runtimes import Runtime, _onnx_session
from pipeline.device.target import Target
from pipeline.errors import UnavailableError, UnknownNameError
from pipeline.space.architecture import Architecture
from pipeline.space.operator_spec import parse_key
from pipeline.space.search_space import get_space, space_names
from tests.device.runtimes.layer_times import BlockTimesConformance, LayerTimesConformance
from tests.device.runtimes.models import OnnxModels
from tests.device.runtimes.suite import OPERATORS


class TestOnnxRuntime(LayerTimesConformance):
    runtime: ClassVar = "onnxruntime"
    threads: ClassVar = 1

    def test_it_runs_on_several_threads(self, engine: Runtime, tmp_path: Path) -> None:
        target = replace(self.target_of(), threads=2)
        artifact = engine.build(self.models().small(tmp_path), target, tmp_path)
        with engine.open(artifact, target) as session:
            session.bind(runtimes.random_feed(session.inputs()))
            session.run_bound()


class TestOnnxRuntimeInt8(BlockTimesConformance):
    runtime: ClassVar = "onnxruntime"
    threads: ClassVar = 1
    precision: ClassVar = "int8"
    max_rel: ClassVar = 0.03
    max_rel_network: ClassVar = 0.05


def opened_precision(model: Path, precision: str, into: Path) -> str:
    target = Target.parse(f"host/onnxruntime-{precision}-b1-t1")
    engine = runtimes.find("onnxruntime")
    with engine.open(engine.build(model, target, into), target) as session:
        return session.precision_as_built


@pytest.mark.parametrize(("file", "asked"), [(INT8, "fp32"), (INT8, "fp16")])
def test_a_file_in_another_precision_than_asked_is_refused(
    tmp_path: Path, file: str, asked: str
) -> None:
    """A file that is called otherwise than it is, say."""
    model = OnnxModels(file).small(tmp_path / "m")
    engine = runtimes.find("onnxruntime")
    target = Target.parse(f"host/onnxruntime-{asked}-b1-t1")
    name = runtimes.model_file(target)
    (model / file).rename(model / name)
    with pytest.raises(UnavailableError, match=f"{asked} was asked.*in int8"):
        opened_precision(model, asked, tmp_path)
    assert engine.unavailable() is None


@pytest.mark.usefixtures("bench_dir")
def test_fp16_is_computed_as_such_or_refused(tmp_path: Path) -> None:
    """On x86 it would be fp32 with casts."""
    model = OnnxModels(FP16).operator(parse_key(OPERATORS["ir4_3x3"]), 1)
    built = _onnx_session.profiled(
        model / FP16, Target.parse("host/onnxruntime-fp32-b1-t1"), _onnx_session.CPU, runs=1
    )[0].precision
    if built == "fp16":
        assert opened_precision(model, "fp16", tmp_path) == "fp16"
        return
    assert built == "fp32"
    with pytest.raises(
        UnavailableError, match=r"fp16 was asked.* in fp32 on this machine"
    ) as caught:
        opened_precision(model, "fp16", tmp_path)
    assert caught.value.hint


def test_every_file_is_a_runtime_and_has_its_test() -> None:
    files = {path.stem for path in Path(runtimes.__file__).parent.glob("*.py")} - {"__init__"}
    assert set(runtimes.names()) == {name for name in files if not name.startswith("_")}
    tests = {path.stem.removeprefix("test_") for path in Path(__file__).parent.glob("test_*.py")}
    assert {name.removeprefix("_") for name in files} == tests
    for name in runtimes.names():
        assert runtimes.find(name)


def test_an_unknown_runtime_is_named_with_those_there_are() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown runtime 'onnx'; known: .*onnxruntime"):
        runtimes.find("onnx")


def test_the_suite_runs_every_operator_of_the_search_spaces() -> None:
    """But for widths, strides and resolutions."""

    def form(key: str) -> tuple[object, ...]:
        spec = parse_key(key)
        return spec.kind, spec.kernel, spec.expansion, spec.se_ratio

    found = set()
    for name in space_names():
        space = get_space(name)
        for operator in space.operators:
            architecture = Architecture(
                space=name,
                resolution=64,
                num_classes=10,
                stages=((operator, operator),) * len(space.stages),
            )
            found |= {form(placed.spec.key) for placed in architecture.operators()}
    assert found == {form(key) for key in OPERATORS.values()}
