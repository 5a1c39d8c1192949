"""`aeda`, or `python -m aeda_core`: the command line of the book."""

import sys


def main() -> None:
    """`aeda`; says what to install where the packages of the book are missing."""
    try:
        from aeda_core import cli
    except ModuleNotFoundError as missing:
        sys.exit(
            f"`aeda` is the command line of the book and needs {missing.name}, which is not installed; install the "
            "book's packages with `pip install 'aeda-core[book]'`."
        )
    cli.main()


if __name__ == "__main__":
    main()
