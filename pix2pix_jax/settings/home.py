"""The home folder in flags: shells leave the ~ of --name=~/folder as it is."""

import os
import re
from collections.abc import Iterable


def expanded(arguments: Iterable[str]) -> list[str]:
    """A command line with the path of the home folder for ~ at the beginning of its values."""
    return [_expanded(argument) for argument in arguments]


def _expanded(argument):
    match = re.fullmatch(r"(--?[\w.-]+=)?(~(?:/.*)?)", argument, re.DOTALL)
    return f"{match[1] or ''}{os.path.expanduser(match[2])}" if match else argument
