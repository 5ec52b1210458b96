"""Compiles one program and describes it as a row: plain numbers, which a JSON file can hold."""

import argparse
import collections
import functools
import hashlib
import itertools
import json
import pathlib
import re
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax

from benchmarks.compiled import counting, hlo, programs, report
from benchmarks.compiled.operations import flops
from benchmarks.compiled.targets import TARGETS, devices


class Case(NamedTuple):
    """What is compiled."""

    target: str
    config: str
    work: str  # step or translation
    dtype: str
    batch: int  # on each device


def cases(options: argparse.Namespace) -> Iterator[Case]:
    """All combinations of the options."""
    fields = (options.target, options.config, options.work, options.dtype, options.batch)
    return itertools.starmap(Case, itertools.product(*fields))


def measure(
    case: Case, known: dict[str, dict[str, Any]], folder: pathlib.Path | None, listed: bool
) -> tuple[dict[str, Any], str]:
    """Compiles a program, unless it is known.

    Args:
        case: what to compile.
        known: rows by the fingerprint of their program.
        folder: for the program's text, if any.
        listed: whether to list its kernels.

    Returns:
        the row, and the list of kernels.
    """
    chips = _devices(case.target)
    used = len(chips) if case.work == "step" else 1
    config = programs.config_of(case.config, case.batch * used, case.dtype)
    training = case.work == "step"
    lowered = (
        programs.training(config, chips) if training else programs.translation(config, chips[0])
    )
    row = case._asdict() | {"program": _fingerprint(case, lowered)}
    if row["program"] in known and not listed:
        return known[row["program"]], ""
    steps = programs.STEPS if training else 1
    began = time.perf_counter()
    try:
        compiled = lowered.compile()
    except jax.errors.JaxRuntimeError as error:
        row["memory"] = _memory_asked_for(error)
        return row | {"seconds": time.perf_counter() - began}, ""
    row["seconds"] = time.perf_counter() - began
    text = compiled.as_text()
    if folder:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{'-'.join(map(str, case))}.txt").write_text(text)
    found, module, repeats = _kernels(text, steps)
    operations = _operations(lowered.as_text(dialect="hlo"), steps) // used
    counts, moved = collections.Counter(), 0
    for kernel in found:
        counts[kernel.kind] += kernel.times / repeats
        moved += kernel.times * kernel.nbytes // repeats
    row |= {"kernels": counts, "moved": moved, "operations": operations}
    row |= {"collectives": counting.collectives(found), "memory": _memory(compiled)}
    return row, report.listing(found, module) if listed else ""


@functools.cache
def _devices(target):
    return devices(TARGETS[target])


def _fingerprint(case, lowered):
    """Of a program, and of what compiles it."""
    facts = (case.target, jax.__version__, lowered.as_text())
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()[:16]


def _kernels(text, steps):
    """Those of a compiled program, the program, and how many steps they are of."""
    module = hlo.parse(text)
    name, repeats = counting.one_step(module, steps)
    return list(counting.kernels(module, name)), module, repeats


def _operations(text, steps):
    module = hlo.parse(text)
    name, repeats = counting.one_step(module, steps)
    return flops(module, name) // repeats


def _memory(compiled) -> int:
    """Bytes on each device while it runs."""
    found = compiled.memory_analysis()
    kept = found.argument_size_in_bytes + found.output_size_in_bytes - found.alias_size_in_bytes
    return kept + found.temp_size_in_bytes + found.generated_code_size_in_bytes


def _memory_asked_for(error) -> int:
    """Of a program that does not fit; TPUs' compiler says how much it would be.

    Raises:
        JaxRuntimeError: it failed for another reason.
    """
    asked = re.search(r"Used ([\d.]+)([GM]) of [\d.]+[GM] hbm", str(error))
    if not asked:
        raise error
    return int(float(asked[1]) * 2 ** {"M": 20, "G": 30}[asked[2]])


def read(path: pathlib.Path) -> dict[str, dict[str, Any]]:
    """Rows of a file by the fingerprint of their program; none if there is no file."""
    rows = map(json.loads, path.read_text().splitlines()) if path.exists() else ()
    return {row["program"]: row for row in rows}


def append(path: pathlib.Path, row: dict[str, Any]) -> None:
    """Adds a row to a file."""
    with path.open("a") as file:
        file.write(json.dumps(row) + "\n")
