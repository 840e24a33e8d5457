"""Targets and their names, and what is read off the machine at hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.device.target import HOST, Target, host_slug, usable_cores
from pipeline.errors import UsageError

TARGETS = st.builds(
    Target,
    device=st.from_regex(r"[a-z0-9][a-z0-9.-]{0,12}", fullmatch=True),
    runtime=st.from_regex(r"[a-z][a-z0-9_]{0,12}", fullmatch=True),
    precision=st.sampled_from(["fp32", "fp16", "bf16", "int8"]),
    batch=st.integers(1, 512),
    threads=st.none() | st.integers(1, 128),
)


@given(TARGETS)
def test_a_target_reads_back_from_its_name(target):
    assert Target.parse(target.name) == target
    assert target.name == f"{target.device}/{target.setting}"


@pytest.mark.parametrize(
    ("name", "target"),
    [
        (
            "host/onnxruntime-fp32-b1-t1",
            Target(device="host", runtime="onnxruntime", precision="fp32", batch=1, threads=1),
        ),
        ("orin/tensorrt-fp16-b1", Target(device="orin", runtime="tensorrt", precision="fp16")),
        (
            "rtx4090/tensorrt_rtx-int8-b16",
            Target(device="rtx4090", runtime="tensorrt_rtx", precision="int8", batch=16),
        ),
    ],
)
def test_names_of_targets(name, target):
    assert Target.parse(name) == target


@pytest.mark.parametrize(
    "name",
    [
        "",
        "host",
        "onnxruntime-fp32-b1",
        "host/onnxruntime",
        "host/onnxruntime-fp32",
        "host/onnxruntime-fp64-b1",
        "host/onnxruntime-fp32-b0",
        "host/onnxruntime-fp32-b1-t0",
        "host/onnxruntime-fp32-b1-2",
        "Host/onnxruntime-fp32-b1",
        "host/tensorrt-rtx-fp32-b1",
        "../host/onnxruntime-fp32-b1",
        "-host/onnxruntime-fp32-b1",
        "host/onnxruntime-fp32-b1\n",
    ],
)
def test_what_is_no_target_is_refused(name):
    with pytest.raises(UsageError) as caught:
        Target.parse(name)
    assert repr(name) in caught.value.message
    assert "DEVICE/RUNTIME-PRECISION-bBATCH" in caught.value.message
    assert caught.value.hint


def test_host_is_this_machine_under_both_names():
    here = Target.parse("host/onnxruntime-fp32-b1-t1")
    by_slug = Target.parse(f"{host_slug()}/onnxruntime-fp32-b1-t1")
    assert here.device == HOST
    assert here.is_here
    assert by_slug.is_here
    assert here.device_slug == by_slug.device_slug == host_slug()
    assert not Target.parse("orin/tensorrt-fp16-b1").is_here


def test_the_slug_says_how_many_cores_there_are():
    assert host_slug().endswith(f"-{usable_cores()}c")


@pytest.mark.parametrize("changes", [{"batch": 0}, {"threads": 0}, {"precision": "fp8"}])
def test_a_target_of_the_impossible_is_refused(changes):
    given_ = {"device": "host", "runtime": "onnxruntime", "precision": "fp32", **changes}
    with pytest.raises(UsageError, match=str(*changes.values())):
        Target(**given_)
