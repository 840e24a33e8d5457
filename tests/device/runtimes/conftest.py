"""Failures in the suite that runtimes share are explained as in any test; cases are of a class."""

import pytest

pytest.register_assert_rewrite(
    "tests.device.runtimes.conformance",
    "tests.device.runtimes.layer_times",
    "tests.device.runtimes.suite",
)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Classes say which cases they run: some engines take seconds for each model."""
    if metafunc.cls is None or not hasattr(metafunc.cls, "cases"):
        return
    for name, cases in metafunc.cls.cases().items():
        if name in metafunc.fixturenames:
            metafunc.parametrize(name, list(cases.values()), ids=list(cases))
