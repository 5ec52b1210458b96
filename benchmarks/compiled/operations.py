"""Multiplications and additions of the convolutions and matrix products of a program."""

import math
import re

import numpy as np

from benchmarks.compiled.counting import trip_count
from benchmarks.compiled.hlo import Array, Instruction, Module


def flops(module: Module, name: str) -> int:
    """Floating-point operations of a computation, two for each multiplication.

    Products with padding, or with the zeros between the pixels of a dilated image, do not count.

    Args:
        module: a program before optimisation, whose convolutions are not yet calls of a library.
        name: of the computation.
    """
    total, arrays = 0, {i.name: i.arrays for i in module.computations[name]}
    for instruction in module.computations[name]:
        if instruction.opcode == "convolution":
            image, kernel = (arrays[operand][0] for operand in instruction.operands)
            total += 2 * _convolution(instruction, image, kernel)
        elif instruction.opcode == "dot":
            total += 2 * _product(instruction, arrays[instruction.operands[0]][0])
        elif instruction.opcode == "while":
            body = instruction.called("body")[0]
            total += trip_count(module, instruction) * flops(module, body)
        elif instruction.opcode in ("call", "fusion", "conditional"):
            total += sum(flops(module, called) for called in instruction.called())
    return total


def _convolution(instruction: Instruction, image: Array, kernel: Array) -> int:
    """Its multiplications: along each axis, the pairs of an output and a tap that meet a pixel."""
    left, right, result = re.split("_|->", instruction.attribute(r"dim_labels=([\w\->]+)"))
    out = instruction.arrays[0].shape
    axes = [label for label in result if label.isdigit()]
    window = _window(instruction.attribute(r"window=\{([^}]*)\}"), len(axes))
    total = kernel.shape[right.index("i")] * out[result.index("b")] * out[result.index("f")]
    for i, axis in enumerate(axes):
        outputs, taps = np.arange(out[result.index(axis)]), np.arange(window["size"][i])
        position = outputs[:, None] * window["stride"][i] + taps * window["rhs_dilate"][i]
        position = position - window["pad"][i]
        spread = window["lhs_dilate"][i]
        last = (image.shape[left.index(axis)] - 1) * spread
        total *= int(((position >= 0) & (position <= last) & (position % spread == 0)).sum())
    return total


def _window(text, axes) -> dict[str, list[int]]:
    """Of `size=4x4 stride=2x2 pad=1_1x1_1`; the padding before the first pixel only."""
    found = {"size": [1] * axes, "stride": [1] * axes, "pad": [0] * axes}
    found |= {"lhs_dilate": [1] * axes, "rhs_dilate": [1] * axes}
    for key, values in re.findall(r"(\w+)=(\S+)", text):
        found[key] = [int(value.split("_")[0]) for value in values.split("x")]
    return found


def _product(instruction: Instruction, left: Array) -> int:
    """Its multiplications."""
    axes = instruction.attribute(r"lhs_contracting_dims=\{([\d,]*)\}")
    summed = math.prod(left.shape[int(axis)] for axis in axes.split(",") if axis)
    return math.prod(instruction.arrays[0].shape) * summed
