"""What is read off the machine at hand."""

import pytest
from hypothesis import given, settings

from pipeline.device import runtimes
from pipeline.device.fingerprint import (
    RUNTIMES,
    Environment,
    cpu_flags,
    environment,
    frequency_max_mhz,
    huge_pages,
    virtual_machine,
)
from pipeline.device.target import usable_cores
from pipeline.files.record import checked, plain
from tests.device.machines import ENVIRONMENTS, H100, MEASURED, OLD_RECORD


def test_the_environment_reads_back():
    found = environment()
    assert checked(Environment, plain(found)) == found
    assert found.cores == usable_cores() >= 1
    assert found.memory_gib > 0
    assert {"numpy", "torch", "onnxruntime"} <= set(found.packages)


@settings(max_examples=25)
@given(ENVIRONMENTS)
def test_any_environment_reads_back(machine):
    assert checked(Environment, plain(machine)) == machine


def test_the_oldest_records_still_read():
    old = checked(Environment, OLD_RECORD)
    assert old.gpu is old.huge_pages is old.virtual_machine is old.frequency_max_mhz is None
    assert plain(old).items() >= OLD_RECORD.items()


def test_each_runtime_there_is_has_its_packages():
    assert set(runtimes.names()) <= set(RUNTIMES)


def test_settings_in_words():
    assert MEASURED.settings == {
        "frequency governor": "performance",
        "fastest clock allowed": "3700 MHz",
        "huge pages": "madvise",
        "virtual machine": "no",
        "GPU": H100.summary,
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
