"""Command lines of programs with subcommands, metrics and dataset: errors are one line."""

import argparse
import sys
from collections.abc import Callable

from pix2pix_jax.runtime import console
from pix2pix_jax.runtime.storage import message_of
from pix2pix_jax.settings import home


class Parser(argparse.ArgumentParser):
    """A parser that knows the home folder, see `home`."""

    def parse_known_args(self, args=None, namespace=None):
        """As its base class, which does all parsing by it."""
        return super().parse_known_args(
            home.expanded(sys.argv[1:] if args is None else args), namespace
        )


def parser(name: str, description: str | None) -> Parser:
    """A parser for `python -m pix2pix_jax.NAME` that shows the description as it is written."""
    return Parser(
        prog=f"python -m pix2pix_jax.{name}",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def run(parser: argparse.ArgumentParser, arguments: list[str] | None) -> None:
    """Calls the `run` of the subcommand that the command line (or `arguments`) gives."""
    options = parser.parse_args(arguments)
    console.print_any_name()
    console.stop_in_a_line()
    try:
        options.run(options)
    except (OSError, ValueError) as error:
        sys.exit(f"error: {message_of(error)}")


def path(text: str) -> str:
    """The type of an option that is a path on this machine; a store's would become a folder s3:."""
    if "://" in text:
        raise argparse.ArgumentTypeError(f"{text} is an address: give a path on this machine")
    return text


def at_least(minimum: int) -> Callable[[str], int]:
    """The type of an option that is a whole number from `minimum` on."""

    def number(text):
        try:
            found = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is no whole number") from None
        if found < minimum:
            raise argparse.ArgumentTypeError(f"{text} is not at least {minimum}")
        return found

    return number


positive = at_least(1)
