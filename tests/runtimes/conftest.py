"""Failures in the suite that runtimes share are explained as in any test."""

import pytest

pytest.register_assert_rewrite("tests.runtimes.conformance", "tests.runtimes.layer_times")
