"""Polygons: their corners as text, and the pixels inside."""

import math
import os
import pathlib
import re
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

MAX_CORNERS = 1000
MAX_COORDINATE = 100_000  # pixels
OUT_OF_REACH = f"is out of reach: give numbers from -{MAX_COORDINATE} to {MAX_COORDINATE}"


def polygon_mask(points: list[tuple[float, float]], height: int, width: int) -> np.ndarray:
    """The inside and the edge of the polygon with corners (x, y), bool [height, width].

    Raises:
        ValueError: fewer than 3 or more than MAX_CORNERS corners, or one that is not finite or
            beyond MAX_COORDINATE.
    """
    if len(points) < 3:
        raise ValueError(f"a polygon has at least 3 corners, not {len(points)}")
    _check_number(len(points), "the polygon")
    for x, y in points:
        if not reachable(x, y):
            raise ValueError(f"the corner {x:g},{y:g} of the polygon {OUT_OF_REACH}")
    image = Image.new("L", (width, height))
    ImageDraw.Draw(image).polygon([tuple(point) for point in points], fill=255, outline=255)
    return np.asarray(image) > 127


def read_points(path: str | os.PathLike[str]) -> list[tuple[float, float]]:
    """The corners of a polygon from a text file, see `parse_points`.

    Raises:
        OSError: no such file.
        ValueError: as `parse_points`, or it is no text.
    """
    try:
        text = pathlib.Path(path).read_text("utf-8-sig")  # Excel and Notepad begin with a mark
    except FileNotFoundError as error:
        raise FileNotFoundError(f"there is no file {path} of a polygon's corners") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is no text file: write x,y of one corner on each line") from error
    return parse_points(text, path)


def parse_points(text: str, name: Any) -> list[tuple[float, float]]:
    """The corners of a polygon: x and y of one corner on each line, # before a comment.

    Raises:
        ValueError: a line that is not two finite numbers up to MAX_COORDINATE, or more than
            MAX_CORNERS of them; the message calls the text `name`.
    """
    points = []
    for number, line in enumerate(text.splitlines(), start=1):
        line = line.partition("#")[0].strip()
        if line:
            points.append(_parse_point(line, f"line {number} of {name} is {line[:40]!r}"))
            _check_number(len(points), name)
    return points


def _parse_point(line, found):
    try:
        x, y = map(float, re.split(r"[\s,;]+", line))
    except ValueError as error:
        raise ValueError(f"{found}: write x,y of one corner on each line") from error
    if not reachable(x, y):
        raise ValueError(f"{found}, which {OUT_OF_REACH}")
    return x, y


def _check_number(count, name):
    if count > MAX_CORNERS:
        raise ValueError(
            f"{name} has more than {MAX_CORNERS} corners: leave some out, or use a mask"
        )


def reachable(x: float, y: float) -> bool:
    """Whether both are finite and at most MAX_COORDINATE from zero."""
    return all(math.isfinite(v) and abs(v) <= MAX_COORDINATE for v in (x, y))
