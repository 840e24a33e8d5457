"""What is read of a GPU through `nvidia-smi`: real answers, and all the ways it can be broken."""

import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.device import gpu as gpu_module
from pipeline.device.gpu import Gpu, visible_gpu
from pipeline.device.gpu_choice import VISIBLE
from pipeline.files.record import checked, plain
from tests.device import machines

# index, uuid, name, driver, memory, SM now/max/set, memory now/max/set, power, persistence, MIG
H100 = (
    "0, GPU-11111111-aaaa-bbbb-cccc-000000000000, NVIDIA H100 80GB HBM3, 580.95.05, 81559, "
    "345, 1980, 1980, 2619, 2619, 2619, 700.00, Enabled, Disabled"
)
RTX = (
    "1, GPU-22222222-aaaa-bbbb-cccc-000000000000, NVIDIA GeForce RTX 4090, 595.71.05, 24564, "
    "210, 3105, [Requested functionality has been deprecated], 405, 10501, "
    "[Requested functionality has been deprecated], 450.00, Disabled, [N/A]"
)
BOARD = "0, [N/A], Orin (nvgpu), 540.4.0, [N/A], " + ", ".join(["[N/A]"] * 9)
BASIC = "0, GPU-33333333-aaaa-bbbb-cccc-000000000000, Tesla K80, 410.48, 11441"
REFUSES_NEW_FIELDS = (
    'case "$1" in *mig.mode*) echo "Field \\"mig.mode.current\\" is not a valid field to query."; '
    f"exit 2;; *) echo '{BASIC}';; esac"
)


@pytest.fixture
def smi(tmp_path: Path):
    """Puts a shell script in the place of `nvidia-smi`; returns the environment variables."""

    def install(script: str, **variables: str) -> dict[str, str]:
        program = tmp_path / "nvidia-smi"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        return {"PATH": str(tmp_path), **variables}

    return install


def answer(*lines: str) -> str:
    return "\n".join(f"echo '{line}'" for line in lines)


def test_a_card_of_a_data_centre(smi):
    assert visible_gpu(smi(answer(H100))) == machines.H100


def test_fields_that_a_card_does_not_tell_are_none(smi):
    found = visible_gpu(smi(answer(RTX)))
    assert found is not None
    assert found.clock_sm_max_mhz == 3105
    assert found.clock_sm_application_mhz is None
    assert found.clock_memory_application_mhz is None
    assert found.persistence_mode is False
    assert found.mig_mode is None
    assert visible_gpu(smi(answer(BOARD))) == Gpu(name="Orin (nvgpu)", driver="540.4.0")


def test_a_driver_that_does_not_know_all_fields_is_asked_for_the_oldest(smi):
    assert visible_gpu(smi(REFUSES_NEW_FIELDS)) == Gpu(
        name="Tesla K80", driver="410.48", memory_mib=11441
    )


@pytest.mark.parametrize(
    "script",
    [
        "exit 9",
        "echo 'NVIDIA-SMI has failed because it could not communicate with the driver'; exit 9",
        f"{answer(H100)}; exit 1",
        "exit 0",
        "echo 'No devices were found'",
        "echo 'a, b, c'",
        answer(f"{H100}, one more"),
        answer(H100.replace("NVIDIA H100 80GB HBM3", "[Unknown Error]")),
        answer(H100.replace("NVIDIA H100 80GB HBM3", "")),
        answer("a, b, c, d, e"),
        r"printf '\377\376,\000,\001,\200,\n,,,,\n'",
        "kill -SEGV $$",
    ],
)
def test_a_broken_one_tells_of_no_gpu(script, smi):
    variables = smi(f"PATH=/usr/bin:/bin\n{script}")
    assert visible_gpu(variables) is None


def test_values_that_are_no_values_are_none(smi):
    odd = H100.replace("81559", "-3").replace("345", "nan").replace("700.00", "ERR!")
    found = visible_gpu(smi(answer(odd.replace("Enabled", "?").replace("1980,", "1e9,"))))
    assert found == Gpu(
        name="NVIDIA H100 80GB HBM3",
        driver="580.95.05",
        clock_memory_mhz=2619,
        clock_memory_max_mhz=2619,
        clock_memory_application_mhz=2619,
        mig_mode=False,
    )


def test_one_that_hangs_is_not_waited_for(smi, monkeypatch, tmp_path):
    monkeypatch.setattr(gpu_module, "_TIMEOUT_S", 0.2)
    assert visible_gpu(smi(f"/bin/sleep 30; : > {tmp_path}/waited")) is None
    assert not (tmp_path / "waited").exists()


def test_one_that_cannot_be_started_tells_of_no_gpu(tmp_path):
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/no/such/interpreter\n")
    program.chmod(0o755)
    assert visible_gpu({"PATH": str(tmp_path)}) is None


@pytest.mark.parametrize("variables", [{"PATH": ""}, {"PATH": "/nowhere"}])
def test_without_the_program_there_is_no_gpu(variables):
    assert visible_gpu(variables) is None


@pytest.mark.parametrize(
    ("visible", "name"),
    [
        (None, "NVIDIA H100 80GB HBM3"),
        (" 1 ,0", "NVIDIA GeForce RTX 4090"),
        ("GPU-2222", "NVIDIA GeForce RTX 4090"),
        ("7", None),
    ],
)
def test_the_card_is_the_first_visible_one(visible, name, smi):
    hidden = {} if visible is None else {VISIBLE: visible}
    found = visible_gpu(smi(answer(H100, RTX), **hidden))
    assert (found and found.name) == name


def test_an_instance_is_of_the_only_card(smi):
    found = visible_gpu(smi(answer(H100.replace("Disabled", "Enabled")), **{VISIBLE: "MIG-5c3b"}))
    assert found is not None
    assert found.mig_mode is True
    assert found.summary.endswith("700 W, cut into instances (MIG)")


def test_in_one_line(smi):
    found = visible_gpu(smi(answer(H100)))
    assert found is not None
    assert found.summary == (
        "NVIDIA H100 80GB HBM3, 81559 MiB, driver 580.95.05, at most 1980 MHz, "
        "memory at most 2619 MHz, 700 W"
    )
    assert Gpu(name="x").summary == "x"


@given(st.lists(st.text(st.characters(codec="utf-8"), max_size=9), min_size=14, max_size=14))
def test_no_answer_crashes(words):
    found = gpu_module._gpu(dict(zip(gpu_module._QUERY, words, strict=True)) | {"name": "x"})
    assert checked(Gpu, plain(found)) == found
