"""The pipeline from a checkout: hands over to `pipeline.cli.app`."""

import sys


def main() -> None:
    """Runs the command line; without the dependencies, says in one line how to install them."""
    try:
        from pipeline.cli.app import main as command_line
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] == "pipeline":
            raise
        sys.exit(
            f"{error.name} is not installed for {sys.executable}. "
            "Run `make setup`, then use .venv/bin/python run_pipeline.py"
        )
    command_line()


if __name__ == "__main__":
    main()
