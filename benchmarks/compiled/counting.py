"""What one device does in one step of a compiled program: kernels, bytes and collectives."""

import collections
import math
from collections.abc import Iterator
from typing import NamedTuple

from benchmarks.compiled.hlo import Array, Instruction, Module

CONVOLUTION = "convolution"  # or a matrix product
REDUCTION, FUSION, COPY, COLLECTIVE = "reduction", "fusion", "copy", "collective"
PREFETCH = "prefetch"  # moves between a TPU's memories while it computes
SCALAR = "scalar"  # few numbers outside of a fusion, which a TPU's scalar unit computes
KINDS = (CONVOLUTION, REDUCTION, FUSION, COPY, COLLECTIVE)  # those that are launched
COLLECTIVES = {
    *("all-reduce", "all-gather", "reduce-scatter", "all-to-all"),
    *("collective-permute", "collective-broadcast"),
}
NOTHING = {
    *("parameter", "constant", "tuple", "get-tuple-element", "bitcast", "after-all"),
    *("partition-id", "replica-id", "opt-barrier"),
}
NO_WORK = {"ConcatBitcast", "AllocateBuffer"}  # targets of a TPU's custom calls
MOVES = NOTHING | {"copy", "transpose", "reshape", "slice", "broadcast", "iota", "concatenate"}
PARTS = {"dynamic-slice", "slice", "gather"}  # read a part of their first operand
FEW = 8  # numbers


class Kernel(NamedTuple):
    """Something that is launched, and how often in a step."""

    kind: str
    instruction: Instruction
    times: int
    nbytes: int  # read from the device's memory and written to it, by one launch
    operations: frozenset[str]  # opcodes in it


def one_step(module: Module, steps: int) -> tuple[str, int]:
    """The computation that a step is, and how many of them one run of it holds.

    With several steps that is the body of the loop that runs so often; else the entry.

    Raises:
        ValueError: there is no such loop.
    """
    if steps == 1:
        return module.entry, 1
    for name in _called(module, module.entry):
        for instruction in module.computations[name]:
            if instruction.opcode == "while":
                trips = trip_count(module, instruction)
                if trips > 1 and steps % trips == 0:
                    return instruction.called("body")[0], steps // trips
    raise ValueError(f"the program has no loop of {steps} steps")


def _called(module, name) -> Iterator[str]:
    """Computations that this one runs outside of loops, itself first."""
    yield name
    for instruction in module.computations[name]:
        if instruction.opcode == "call":
            for called in instruction.called():
                yield from _called(module, called)


def trip_count(module: Module, loop: Instruction) -> int:
    """How often a loop runs; 1 if that is not known.

    An optimised program says it; else it is the constant that the condition compares with.
    """
    if found := loop.attribute(r'known_trip_count":\{"n":"(\d+)"'):
        return int(found)
    condition = module.computations[loop.called("condition")[0]]
    constants = [i.literal for i in condition if i.opcode == "constant"]
    return max((int(literal) for literal in constants if literal.isdigit()), default=1)


def kernels(module: Module, name: str, times: int = 1) -> Iterator[Kernel]:
    """All that a computation launches, in loops as often as these run."""
    by_name = {i.name: i for i in module.computations[name]}
    for instruction in module.computations[name]:
        opcode = instruction.opcode
        if opcode == "while":
            trips = trip_count(module, instruction)
            yield from kernels(module, instruction.called("body")[0], times * trips)
        elif opcode in ("call", "conditional"):
            for called in instruction.called():
                yield from kernels(module, called, times)
        elif not _is_nothing(instruction):
            inside = operations(module, instruction)
            moved = _bytes_moved(module, instruction, by_name)
            yield Kernel(_kind(instruction, inside), instruction, times, moved, inside)


def _is_nothing(instruction):
    if instruction.opcode in NOTHING or instruction.opcode.endswith(("-done", "-update")):
        return True
    return instruction.attribute(r'custom_call_target="([^"]*)"') in NO_WORK


def operations(module: Module, instruction: Instruction) -> frozenset[str]:
    """Opcodes of an instruction or, for a fusion, of all that is in it."""
    if instruction.opcode not in ("fusion", "async-start"):
        return frozenset({instruction.opcode})
    inside = (i for called in instruction.called("calls") for i in module.computations[called])
    return frozenset().union(*(operations(module, i) for i in inside))


def _kind(instruction, inside):
    target = instruction.attribute(r'custom_call_target="([^"]*)"')
    if inside & {"convolution", "dot"} or "conv" in target or "gemm" in target:
        return CONVOLUTION
    if any(opcode.removesuffix("-start") in COLLECTIVES for opcode in inside):
        return COLLECTIVE
    if instruction.opcode in ("copy-start", "slice-start"):
        return PREFETCH
    size = sum(math.prod(array.shape) for array in instruction.arrays)
    if instruction.opcode not in ("fusion", "custom-call") and size <= FEW:
        return SCALAR
    if inside <= MOVES:
        return COPY
    return REDUCTION if "reduce" in inside else FUSION


def _bytes_moved(module, instruction, by_name):
    """Operands and results, or the parts of them that are read and written."""
    operands = [by_name[name] for name in instruction.operands]
    if instruction.opcode in ("copy-start", "slice-start"):  # one of the two is on the chip
        return instruction.arrays[1].nbytes
    if instruction.opcode in PARTS:
        return 2 * _nbytes(instruction)
    if instruction.opcode == "dynamic-update-slice":
        return 2 * _nbytes(operands[1])
    if instruction.opcode != "fusion":
        return sum(map(_nbytes, operands)) + _nbytes(instruction)
    return _bytes_of_fusion(module.computations[instruction.called("calls")[0]], operands)


def _bytes_of_fusion(body, operands):
    by_name, users = {i.name: i for i in body}, collections.defaultdict(list)
    for instruction in body:
        for position, name in enumerate(instruction.operands):
            users[name].append((instruction, position))
    total = 0
    for parameter in body:
        if parameter.opcode != "parameter" or not _nbytes(operands[int(parameter.literal)]):
            continue
        uses = users[parameter.name]
        if all(use.opcode in PARTS and position == 0 for use, position in uses):
            total += sum(_nbytes(use) for use, _ in uses)
        elif not all(use.opcode == "dynamic-update-slice" and at == 0 for use, at in uses):
            total += _nbytes(parameter)
    root = next(i for i in body if i.is_root)
    results = [by_name[name] for name in root.operands] if root.opcode == "tuple" else [root]
    return total + sum(_written(result, by_name) for result in results)


def _written(result, by_name):
    if result.opcode == "bitcast":
        return _written(by_name[result.operands[0]], by_name)
    if result.opcode == "dynamic-update-slice":
        return _nbytes(by_name[result.operands[1]])
    return _nbytes(result)


def _nbytes(instruction):
    """Of what it makes, in the device's large memory."""
    return sum(array.nbytes for array in instruction.arrays if not array.on_chip)


def collectives(found: list[Kernel]) -> dict[str, tuple[int, int]]:
    """{name: (how many, bytes that each device gets)} of a step."""
    counts, nbytes = collections.Counter(), collections.Counter()
    for kernel in found:
        for opcode in kernel.operations:
            name = opcode.removesuffix("-start")
            if name in COLLECTIVES:
                made: tuple[Array, ...] = kernel.instruction.arrays
                if opcode == "all-gather-start":  # what it takes, then what it makes
                    made = made[len(made) // 2 :]
                counts[name] += kernel.times
                nbytes[name] += kernel.times * sum(array.nbytes for array in made)
    return {name: (counts[name], nbytes[name]) for name in counts}
