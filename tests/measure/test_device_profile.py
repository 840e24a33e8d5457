"""Profiles of devices as they are written."""

import pytest

from pipeline.errors import ConfigError, UsageError
from pipeline.files.yaml_file import parse_yaml
from pipeline.measure.device_profile import DeviceProfile

PROFILE = """\
schema_version: 1
name: orin
description: A small board
clock_policy: fixed
targets: [tensorrt-fp16-b1]
"""


def test_a_profile_names_settings():
    profile = parse_yaml(PROFILE, DeviceProfile, source="orin.yaml")
    assert profile.targets == ("tensorrt-fp16-b1",)


def test_a_profile_with_a_wrong_setting_is_refused():
    wrong = PROFILE.replace("tensorrt-fp16-b1", "tensorrt-fp12-b1")
    with pytest.raises((ConfigError, UsageError), match="fp12"):
        parse_yaml(wrong, DeviceProfile, source="orin.yaml")
