"""Failures in the suite that runtimes share are explained as in any test; cases are of a class."""

from collections.abc import Iterator

import pytest

from pipeline.device import runtimes
from pipeline.device.runtimes import Runtime, Session

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


@pytest.fixture(scope="class")
def engine(request: pytest.FixtureRequest) -> Runtime:
    """The runtime of a suite; skips where it cannot run."""
    reason = request.cls.unavailable()
    if reason:
        pytest.skip(reason)
    return runtimes.find(request.cls.runtime)


@pytest.fixture(scope="class")
def relu(
    request: pytest.FixtureRequest, engine: Runtime, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Session]:
    """A small model, opened once for a suite."""
    folder = tmp_path_factory.mktemp("relu")
    model = request.cls.models().small(folder / "model")
    with request.cls.opened(engine, model, folder / "built") as session:
        yield session
