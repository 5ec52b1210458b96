"""A config field for the size of images."""

import re
from typing import Any

import ml_collections


class Size(ml_collections.FieldReference):
    """A field that is (height, width); one number, in a config file or a flag, means a square."""

    def __init__(self, name: str, default: tuple[int, int]):
        self._name = name  # for the error
        super().__init__(default)

    def set(self, value: Any, type_safe: bool = True) -> None:
        """Takes a number, or one or two of them in a tuple or list."""
        sizes = (value,) if isinstance(value, int) else value
        if (
            not isinstance(sizes, tuple | list)
            or len(sizes) not in (1, 2)
            or any(type(size) is not int for size in sizes)
        ):
            raise ValueError(
                f"config.{self._name} is {value!r}: give one whole number, or (height, width)"
            )
        super().set((*sizes, *sizes)[:2], type_safe)


def last_of_each(argv: list[str]) -> list[str]:
    """A command line without the sizes that a later flag replaces, as it does for other fields.

    ml_collections would make one size of both.
    """
    kept, given = [], set()
    for i in reversed(range(len(argv))):
        match = re.match(r"--?config\.data\.(load|crop)_size(=|$)", argv[i])
        if match and match[1] in given:
            kept = kept if match[2] else kept[:-1]  # --name VALUE
            continue
        given |= {match[1]} if match else set()
        kept.append(argv[i])
    return kept[::-1]
