"""The exception tree: what it promises to the command line."""

import pickle
import re

import pytest

from pipeline import errors
from pipeline.errors import InfeasibleError, PipelineError, UnknownNameError, UsageError

KNOWN = [
    value
    for value in vars(errors).values()
    if isinstance(value, type) and issubclass(value, PipelineError)
]


def test_the_docstring_draws_every_error():
    assert errors.__doc__
    drawn = set(re.findall(r"\b(\w+Error)\b", errors.__doc__))
    assert drawn == {error.__name__ for error in KNOWN}


@pytest.mark.parametrize("error", KNOWN)
def test_wrong_usage_ends_with_2_and_everything_else_with_1(error):
    assert error.exit_code == (2 if issubclass(error, UsageError) else 1)


@pytest.mark.parametrize("error", KNOWN)
@pytest.mark.parametrize("hint", [None, "try again"])
def test_errors_cross_process_boundaries(error, hint):
    there = pickle.loads(pickle.dumps(error("what failed", hint=hint)))
    assert type(there) is error
    assert (there.message, there.hint, str(there)) == ("what failed", hint, "what failed")


def test_an_unknown_name_lists_the_known_ones_and_suggests_the_nearest():
    error = UnknownNameError.of("search space", "craem", ["cream", "cream-table1"])
    assert error.message == "unknown search space 'craem'; known: cream, cream-table1"
    assert error.hint == "did you mean 'cream'?"


def test_of_many_known_names_the_nearest_are_listed():
    error = UnknownNameError.of("network", "net_400", [f"net_{i:03}" for i in range(300)])
    assert "; known: 300 names, the nearest net_" in error.message
    assert error.message.count(",") < 5
    far = UnknownNameError.of("network", "qqq", [f"net_{i:03}" for i in range(300)])
    assert "300 names, such as net_000, net_001" in far.message


@pytest.mark.parametrize("known", [[], ["resnet"]])
def test_nothing_is_suggested_where_nothing_is_near(known):
    assert UnknownNameError.of("thing", "xyz", known).hint is None


def test_an_infeasible_request_is_no_wrong_usage():
    assert InfeasibleError("no").exit_code == 1
