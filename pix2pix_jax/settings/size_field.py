"""A config field for the size of images."""

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
