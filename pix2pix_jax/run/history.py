"""The scalars of a run as lines of JSON, in step with its checkpoints."""

import json
import os
import pathlib
from typing import Any

import numpy as np

from pix2pix_jax.runtime.whole_file import whole_file


class History:
    """Appends to a file of {"step": N, name: value, ...} lines.

    Opening it for a run resumed at step N drops the lines after N, and a line torn by a kill:
    the resumed run writes them again.
    """

    def __init__(self, path: str | os.PathLike[str], resume_step: int = 0):
        self._path = pathlib.Path(path)
        rows = [row for row in read_rows(self._path) if row["step"] <= resume_step]
        with whole_file(self._path) as temporary:
            temporary.write_text("".join(json.dumps(row) + "\n" for row in rows))
        self._file = self._path.open("a")

    def __enter__(self) -> "History":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def append(self, step: int, scalars: dict[str, float]) -> None:
        """Adds a line."""
        self._file.write(json.dumps({"step": step, **scalars}) + "\n")
        self._file.flush()

    def curves(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """{name: (steps, values)} over the whole run."""
        return curves(read_rows(self._path))


def read_rows(path: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """The lines of a history file but for a last one torn by a kill; none when there is no file.

    Raises:
        ValueError: another line is damaged.
    """
    path = pathlib.Path(path)
    lines = path.read_bytes().splitlines() if path.exists() else []
    rows = []
    for number, line in enumerate(lines, 1):
        try:
            row = json.loads(line)
            row["step"] + 0
        except (ValueError, TypeError, KeyError) as error:
            if number == len(lines):
                break
            raise ValueError(
                f"{path} is damaged in line {number}: remove that line, or the file to begin a "
                "new history"
            ) from error
        rows.append(row)
    return rows


def curves(rows: list[dict[str, Any]]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """{name: (steps, values)} of history lines."""
    points: dict[str, list[tuple[int, float]]] = {}
    for row in rows:
        for name, value in row.items():
            if name != "step":
                points.setdefault(name, []).append((row["step"], value))
    return {
        name: tuple(np.array(column) for column in zip(*p, strict=True))
        for name, p in points.items()
    }
