"""Which differences between two machines make measurements worthless, and how they are told."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.device.fingerprint import EXPORTER, RUNTIMES
from pipeline.measure.conditions import WHAT_MATTERS, differences_that_matter
from tests.device.machines import ENVIRONMENTS, FIELDS, FIELDS_OF_GPU, H100, MEASURED

CPU_RUNTIMES = sorted(name for name, needs in RUNTIMES.items() if not needs.gpu)
GPU_RUNTIMES = sorted(name for name, needs in RUNTIMES.items() if needs.gpu)
RUNTIME_NAMES = st.sampled_from([*RUNTIMES, "not_listed"])


def test_each_field_has_a_rule_and_each_rule_a_field():
    fields = [*FIELDS, *(f"gpu.{name}" for name in FIELDS_OF_GPU)]
    assert set(WHAT_MATTERS) == set(fields)
    assert all(rule.why for rule in WHAT_MATTERS.values())


@settings(max_examples=30)
@given(ENVIRONMENTS, RUNTIME_NAMES)
def test_a_machine_does_not_differ_from_itself(machine, runtime):
    assert differences_that_matter(machine, machine, runtime) == []


@settings(max_examples=30)
@given(ENVIRONMENTS, ENVIRONMENTS, RUNTIME_NAMES)
def test_differences_are_the_same_from_both_sides(one, other, runtime):
    there = differences_that_matter(one, other, runtime)
    back = differences_that_matter(other, one, runtime)
    assert [told.split(" was ")[0] for told in there] == [told.split(" was ")[0] for told in back]


def other_value(value):
    """A value of the same type that is another."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1
    return (*value, "amx_tile") if isinstance(value, tuple) else f"{value}, another"


def doctored(path, value):
    """MEASURED with one field (`cpu`, `gpu.name`) set to another value."""
    name = path.removeprefix("gpu.")
    if name == path:
        return replace(MEASURED, **{name: value})
    return replace(MEASURED, gpu=replace(H100, **{name: value}))


def measured_value(path):
    name = path.removeprefix("gpu.")
    return getattr(MEASURED if name == path else H100, name)


SINGLE = [path for path in WHAT_MATTERS if path not in ("gpu", "packages")]


@pytest.mark.parametrize("runtime", [*RUNTIMES, "not_listed"])
@pytest.mark.parametrize("path", SINGLE)
def test_a_single_difference_is_told_where_it_matters_and_only_there(path, runtime):
    was = measured_value(path)
    assert was is not None
    told = differences_that_matter(MEASURED, doctored(path, other_value(was)), runtime)
    of_gpu = path.startswith("gpu.")
    if WHAT_MATTERS[path].matters == "never" or (of_gpu and runtime in CPU_RUNTIMES):
        assert told == []
    else:
        assert len(told) == 1
        assert told[0].startswith(f"{path} was ")


@pytest.mark.parametrize(
    ("path", "matters"),
    [
        *dict.fromkeys(["cpu", "cpu_flags", "cores", "governor", "huge_pages"], True).items(),
        *dict.fromkeys(["device", "memory_gib", "os", "python"], False).items(),
        *dict.fromkeys(["gpu.name", "gpu.driver", "gpu.power_limit_w"], True).items(),
        *dict.fromkeys(["gpu.clock_sm_max_mhz", "gpu.clock_memory_max_mhz"], True).items(),
        *dict.fromkeys(["gpu.clock_sm_mhz", "gpu.clock_memory_mhz"], False).items(),
    ],
)
def test_what_matters(path, matters):
    assert (WHAT_MATTERS[path].matters != "never") is matters


@pytest.mark.parametrize(
    "path", [path for path in SINGLE if WHAT_MATTERS[path].matters == "where known"]
)
def test_what_one_side_does_not_know_is_no_difference(path):
    unknown = doctored(path, None)
    assert differences_that_matter(MEASURED, unknown, "tensorrt") == []
    assert differences_that_matter(unknown, MEASURED, "tensorrt") == []


def with_packages(**versions):
    packages = {name.replace("_", "-"): version for name, version in versions.items()}
    return replace(MEASURED, packages=packages)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_versions_that_matter_are_those_of_the_runtime_and_of_the_exporter(runtime):
    everything = {name for needs in RUNTIMES.values() for name in needs.packages}
    everything |= {*EXPORTER, "numpy", "timm", "onnx"}
    before = with_packages(**dict.fromkeys(everything, "1.0"))
    for package in everything:
        after = with_packages(**dict.fromkeys(everything, "1.0") | {package: "2.0"})
        told = differences_that_matter(before, after, runtime)
        matters = package in RUNTIMES[runtime].packages or package in EXPORTER
        assert told == ([f"{package} was 1.0, is 2.0"] if matters else [])


def test_differences_are_told_in_words():
    here = replace(
        MEASURED,
        cpu="Intel Xeon",
        cpu_flags=("avx2",),
        packages={**MEASURED.packages, "onnxruntime": "1.32.0"},
    )
    assert differences_that_matter(MEASURED, here, "onnxruntime") == [
        "cpu was 'AMD EPYC 9R14', is 'Intel Xeon'",
        "cpu_flags was 'avx2 avx512f', is 'avx2'",
        "onnxruntime was 1.31.0, is 1.32.0",
    ]


def test_a_package_that_came_or_went_is_told():
    without, with_it = with_packages(torch="2"), with_packages(torch="2", openvino="2026.4.1")
    assert differences_that_matter(without, with_it, "openvino") == [
        "openvino was not installed, is 2026.4.1"
    ]
    assert differences_that_matter(with_it, without, "openvino") == [
        "openvino was 2026.4.1, is not installed"
    ]


@pytest.mark.parametrize("runtime", [*GPU_RUNTIMES, "not_listed"])
def test_a_gpu_that_came_or_went_is_told(runtime):
    without = replace(MEASURED, gpu=None)
    assert differences_that_matter(MEASURED, without, runtime) == [
        "gpu was 'NVIDIA H100 80GB HBM3', is none that could be seen"
    ]
    assert differences_that_matter(without, MEASURED, runtime) == [
        "gpu was none that could be seen, is 'NVIDIA H100 80GB HBM3'"
    ]
    assert differences_that_matter(without, without, runtime) == []


@pytest.mark.parametrize("runtime", CPU_RUNTIMES)
def test_a_gpu_is_nothing_to_runtimes_of_the_cpu(runtime):
    without = replace(MEASURED, gpu=None)
    assert differences_that_matter(MEASURED, without, runtime) == []


def test_a_runtime_that_is_not_listed_is_its_own_package():
    before, after = with_packages(my_engine="1"), with_packages(my_engine="2")
    assert differences_that_matter(before, after, "my_engine") == ["my-engine was 1, is 2"]
