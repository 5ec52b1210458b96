"""Command lines of programs with subcommands, metrics and dataset: errors are one line."""

import argparse
import io
import sys


def parser(name: str, description: str | None) -> argparse.ArgumentParser:
    """A parser for `python -m pix2pix_jax.NAME` that shows the description as it is written."""
    return argparse.ArgumentParser(
        prog=f"python -m pix2pix_jax.{name}",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def run(parser: argparse.ArgumentParser, arguments: list[str] | None) -> None:
    """Calls the `run` of the subcommand that the command line (or `arguments`) gives."""
    options = parser.parse_args(arguments)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # file names can be bytes that no encoding has
            stream.reconfigure(errors="backslashreplace")
    try:
        options.run(options)
    except (OSError, ValueError) as error:
        sys.exit(f"error: {error}")


def positive(text: str) -> int:
    """The type of an option that is a whole number from 1 on."""
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"{text} is not at least 1")
    return number
