"""The command line called in this process."""

import pytest

from pipeline import cli


def call(*arguments: str) -> int:
    """Its exit code."""
    with pytest.raises(SystemExit) as left:
        cli.main(list(arguments))
    code = left.value.code
    assert code is None or isinstance(code, int)
    return code or 0
