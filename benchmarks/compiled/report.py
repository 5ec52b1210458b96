"""Rows as a Markdown table, and the kernels of a program as a list."""

import collections
import re
from typing import Any

from benchmarks.compiled import counting
from benchmarks.compiled.hlo import Module
from benchmarks.compiled.targets import TARGETS

COLUMNS = (
    *("target", "config", "work", "dtype", "batch", "kernels", "convolutions", "reductions"),
    *("other fusions", "copies", "collectives", "their MB", "memory, MiB", "largest batch"),
    *("operations, GFLOP", "moved, MB", "floor, ms"),
)
EXAMPLES = 3  # of the arrays that a group of kernels makes
PREFIX = re.compile(r"^jit\(\w+\)/(while/body/)?(closed_call/)?")


def table(rows: list[dict[str, Any]]) -> str:
    """A line for each row; those that do not fit have no counts."""
    lines = [f"| {' | '.join(COLUMNS)} |", "|" + "---|" * len(COLUMNS)]
    for row in rows:
        name = [str(row[key]) for key in ("target", "config", "work", "dtype", "batch")]
        memory = [f"{row['memory'] / 2**20:,.0f}", largest_batch(row, rows)]
        counts, work = ["does not fit"] + [""] * 6, [""] * 3
        if kernels := row.get("kernels"):
            counts = [sum(kernels.get(kind, 0) for kind in counting.KINDS)]
            counts += [kernels.get(kind, 0) for kind in counting.KINDS]
            counts = [f"{count:,.0f}" for count in counts]
            counts.append(f"{sum(n for _, n in row['collectives'].values()) / 1e6:,.0f}")
            work = [f"{row['operations'] / 1e9:,.1f}", f"{row['moved'] / 1e6:,.0f}"]
            work.append(f"{1000 * floor(row):.2f}")
        lines.append(f"| {' | '.join(name + counts + memory + work)} |")
    return "\n".join(lines)


def floor(row: dict[str, Any]) -> float:
    """Seconds of a step at the target's peak rates."""
    target = TARGETS[row["target"]]
    operations = row["operations"] / target.flops[row["dtype"]]
    return max(operations, row["moved"] / target.memory_rate)


def largest_batch(row: dict[str, Any], rows: list[dict[str, Any]]) -> str:
    """Images on a device, by the line through the two largest batches of the same kind of row."""
    same = ("target", "config", "work", "dtype")
    alike = [other for other in rows if all(other[key] == row[key] for key in same)]
    points = sorted({(other["batch"], other["memory"]) for other in alike})[-2:]
    if len(points) < 2:
        return ""
    (small, less), (large, more) = points
    slope = (more - less) / (large - small)
    return f"{small + (TARGETS[row['target']].memory - less) / slope:,.0f}"


def listing(found: list[counting.Kernel], module: Module) -> str:
    """Kernels by kind and by what they come from, the most frequent first.

    A line has: launches, MB that they move, the operation with numbers as #, the line of source,
    and some of the arrays made.
    """
    groups = collections.defaultdict(list)
    for kernel in found:
        instruction = kernel.instruction
        name = PREFIX.sub("", instruction.attribute(r'op_name="([^"]*)"')) or instruction.name
        source = module.sources.get(instruction.attribute(r"stack_frame_id=(\d+)"), "")
        groups[kernel.kind, re.sub(r"\d+", "#", name), source].append(kernel)
    lines = []
    for kind in dict.fromkeys(kernel.kind for kernel in found):
        parts = {key[1:]: group for key, group in groups.items() if key[0] == kind}
        lines.append(f"{kind}: {_launches(kernel for kernel in found if kernel.kind == kind)}")
        for (name, source), group in sorted(parts.items(), key=lambda part: -len(part[1])):
            made = [_text(kernel.instruction.arrays[0]) for kernel in group]
            examples = " ".join(list(dict.fromkeys(made))[:EXAMPLES])
            lines.append(f"  {_launches(group)}  {name}  {source}  {examples}")
    return "\n".join(lines)


def _launches(kernels):
    group = list(kernels)
    moved = sum(kernel.times * kernel.nbytes for kernel in group) / 1e6
    return f"{sum(kernel.times for kernel in group):5} {moved:9,.1f} MB"


def _text(array):
    return f"{array.dtype}[{','.join(map(str, array.shape))}]"
