"""What is read off the machine at hand, and which differences between two machines are told."""

from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.device import runtimes
from pipeline.device.fingerprint import (
    EXPORTER,
    RUNTIMES,
    Environment,
    cpu_flags,
    environment,
    frequency_max_mhz,
    huge_pages,
    virtual_machine,
)
from pipeline.device.gpu import Gpu
from pipeline.device.target import usable_cores
from pipeline.files.record import checked, plain
from pipeline.measure.conditions import WHAT_MATTERS, differences_that_matter

CPU_RUNTIMES = sorted(name for name, needs in RUNTIMES.items() if not needs.gpu)
GPU_RUNTIMES = sorted(name for name, needs in RUNTIMES.items() if needs.gpu)

OLD_RECORD = {
    "device": "amd-epyc-9r14-2c",
    "cpu": "AMD EPYC 9R14",
    "cpu_flags": ["avx2", "avx512f"],
    "cores": 2,
    "memory_gib": 7.6,
    "governor": None,
    "os": "Linux 6.1",
    "python": "3.11.9",
    "packages": {"torch": "2.14.1", "onnxscript": "0.7.2", "onnxruntime": "1.31.0"},
}
GPU = Gpu(
    name="NVIDIA H100 80GB HBM3",
    driver="580.95.05",
    memory_mib=81559,
    clock_sm_mhz=345,
    clock_sm_max_mhz=1980,
    clock_sm_application_mhz=1980,
    clock_memory_mhz=2619,
    clock_memory_max_mhz=2619,
    clock_memory_application_mhz=2619,
    power_limit_w=700.0,
    persistence_mode=True,
    mig_mode=False,
)
MEASURED = checked(
    Environment,
    {
        **OLD_RECORD,
        "governor": "performance",
        "frequency_max_mhz": 3700.0,
        "huge_pages": "madvise",
        "virtual_machine": False,
        "gpu": GPU,
    },
)

FIELDS = [field.name for field in fields(Environment)]
FIELDS_OF_GPU = [field.name for field in fields(Gpu)]
NUMBERS = st.floats(0, 1e6)
GPUS = st.builds(Gpu, **{**dict.fromkeys(FIELDS_OF_GPU, ...), "power_limit_w": st.none() | NUMBERS})
ENVIRONMENTS = st.builds(
    Environment,
    **{
        **dict.fromkeys(FIELDS, ...),
        "memory_gib": NUMBERS,
        "frequency_max_mhz": st.none() | NUMBERS,
        "packages": st.dictionaries(st.sampled_from(["torch", "onnxruntime", "numpy"]), st.text()),
        "gpu": st.none() | GPUS,
    },
)
RUNTIME_NAMES = st.sampled_from([*RUNTIMES, "not_listed"])


def test_the_environment_reads_back():
    found = environment()
    assert checked(Environment, plain(found)) == found
    assert found.cores == usable_cores() >= 1
    assert found.memory_gib > 0
    assert {"numpy", "torch", "onnxruntime"} <= set(found.packages)


@given(ENVIRONMENTS)
def test_any_environment_reads_back(machine):
    assert checked(Environment, plain(machine)) == machine


def test_the_oldest_records_still_read():
    old = checked(Environment, OLD_RECORD)
    assert old.gpu is old.huge_pages is old.virtual_machine is old.frequency_max_mhz is None
    assert plain(old).items() >= OLD_RECORD.items()


def test_each_field_has_a_rule_and_each_rule_a_field():
    fields = [*FIELDS, *(f"gpu.{name}" for name in FIELDS_OF_GPU)]
    assert set(WHAT_MATTERS) == set(fields)
    assert all(rule.why for rule in WHAT_MATTERS.values())


def test_each_runtime_there_is_has_its_packages():
    assert set(runtimes.names()) <= set(RUNTIMES)


@given(ENVIRONMENTS, RUNTIME_NAMES)
def test_a_machine_does_not_differ_from_itself(machine, runtime):
    assert differences_that_matter(machine, machine, runtime) == []


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
    return replace(MEASURED, gpu=replace(GPU, **{name: value}))


def measured_value(path):
    name = path.removeprefix("gpu.")
    return getattr(MEASURED if name == path else GPU, name)


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


def test_settings_in_words():
    assert MEASURED.settings == {
        "frequency governor": "performance",
        "fastest clock allowed": "3700 MHz",
        "huge pages": "madvise",
        "virtual machine": "no",
        "GPU": GPU.summary,
    }
    untold = checked(Environment, OLD_RECORD).settings
    assert untold["GPU"] == "none that could be seen"
    assert set(untold.values()) - {untold["GPU"]} == {"not told by the system"}


X86 = """\
processor\t: 0
model name\t: Some CPU
flags\t\t: fpu avx2 {more}
bugs\t\t:
"""
ARM = """\
processor\t: 0
BogoMIPS\t: 108.00
Features\t: fp asimd asimddp
"""


@pytest.mark.parametrize(
    ("cpuinfo", "flags", "virtual"),
    [
        (X86.format(more="hypervisor"), {"fpu", "avx2", "hypervisor"}, True),
        (X86.format(more=""), {"fpu", "avx2"}, False),
        (ARM, {"fp", "asimd", "asimddp"}, None),
        ("flags\t\t:\nbugs\t\t: spectre", set(), None),
        (None, set(), None),
    ],
)
def test_flags_and_the_hypervisor(cpuinfo, flags, virtual, tmp_path):
    if cpuinfo is not None:
        (tmp_path / "proc").mkdir()
        (tmp_path / "proc/cpuinfo").write_text(cpuinfo)
    assert cpu_flags(tmp_path) == flags
    assert virtual_machine(tmp_path) is virtual


@pytest.mark.parametrize(
    ("kernel", "tunables", "expected"),
    [
        ("always [madvise] never\n", None, "madvise"),
        ("[always] madvise never\n", "", "always"),
        ("always [madvise] never\n", "glibc.malloc.hugetlb=1", "madvise, glibc.malloc.hugetlb=1"),
        (
            "always madvise [never]\n",
            "glibc.malloc.check=3:glibc.malloc.hugetlb=2:glibc.rtld.nns=4",
            "never, glibc.malloc.hugetlb=2",
        ),
        ("always [madvise] never\n", "glibc.malloc.check=3", "madvise"),
        ("nonsense", None, None),
        (None, None, None),
        (None, "glibc.malloc.hugetlb=1", "glibc.malloc.hugetlb=1"),
    ],
)
def test_huge_pages(kernel, tunables, expected, tmp_path):
    if kernel is not None:
        file = tmp_path / "sys/kernel/mm/transparent_hugepage/enabled"
        file.parent.mkdir(parents=True)
        file.write_text(kernel)
    variables = {} if tunables is None else {"GLIBC_TUNABLES": tunables}
    assert huge_pages(tmp_path, variables) == expected


@pytest.mark.parametrize(
    ("told", "mhz"), [("3700000\n", 3700.0), ("<unknown>", None), ("", None), (None, None)]
)
def test_the_fastest_clock(told, mhz, tmp_path):
    if told is not None:
        file = tmp_path / "sys/devices/system/cpu/cpu0/cpufreq/scaling_max_freq"
        file.parent.mkdir(parents=True)
        file.write_text(told)
    assert frequency_max_mhz(tmp_path) == mhz
