"""Reads the text of an XLA program: its computations, their instructions, and arrays' sizes."""

import math
import re
from collections.abc import Iterator
from typing import NamedTuple

PACKAGE = "pix2pix_jax/"  # source lines are named that lie below it
ARRAY = re.compile(r"([a-z][a-z0-9]*)\[([\d,]*)\](\{[^}]*\})?")
HEAD = re.compile(r"^(ENTRY )?%?([\w.\-]+) (?:\(.*\) -> .* )?\{$")
NAME = re.compile(r"^(ROOT )?%?([\w.\-]+) = ")
CALLS = ("calls", "to_apply", "body", "condition", "branch_computations", "called_computations")
CALLED = re.compile(rf"\b({'|'.join(CALLS)})=(\{{[^}}]*\}}|%?[\w.\-]+)")


class Array(NamedTuple):
    """Type and shape of an array."""

    dtype: str
    shape: tuple[int, ...]
    on_chip: bool = False  # in a TPU's vector or scalar memory, not in the chip's large one

    @property
    def nbytes(self) -> int:
        """Its bytes, without padding."""
        bits = 8 if self.dtype == "pred" else int("0" + "".join(re.findall(r"\d+", self.dtype)[:1]))
        return math.prod(self.shape) * bits // 8


class Instruction(NamedTuple):
    """One line of a computation."""

    name: str
    arrays: tuple[Array, ...]  # what it makes; several for a tuple
    opcode: str
    operands: tuple[str, ...]  # names of instructions of the same computation
    literal: str  # text of the operands: a constant's value
    attributes: str  # what follows the operands, as text
    is_root: bool

    def called(self, *attributes: str) -> list[str]:
        """Names of the computations that it calls, in all attributes or in these."""
        found = CALLED.findall(self.attributes)
        texts = [text for key, text in found if not attributes or key in attributes]
        return [name for text in texts for name in re.findall(r"[\w.\-]+", text)]

    def attribute(self, pattern: str) -> str:
        """The first group of a pattern in the attributes; "" if it is not there."""
        match = re.search(pattern, self.attributes)
        return match[1] if match else ""


class Module(NamedTuple):
    """A program."""

    computations: dict[str, list[Instruction]]
    entry: str
    sources: dict[str, str]  # stack_frame_id -> file:line, the innermost of this project


def parse(text: str) -> Module:
    """Reads what `as_text()` of a compiled program, or of an HLO module, returns."""
    computations, entry, current = {}, "", None
    for line in text.splitlines():
        line = re.sub(r"/\*.*?\*/", "", line).strip()
        if current is None:
            if head := HEAD.match(line):
                current = computations.setdefault(head[2], [])
                entry = head[2] if head[1] else entry
        elif line == "}":
            current = None
        elif head := NAME.match(line):
            current.append(_instruction(head, line[head.end() :]))
    return Module(computations, entry, _sources(text))


def _instruction(head, text) -> Instruction:
    """Of `shape opcode(operands), attributes`."""
    end = _closing(text, 0) if text.startswith("(") else text.index(" ")
    shape, rest = text[:end], text[end:].lstrip()
    start = rest.index("(")
    end = _closing(rest, start)
    operands = rest[start + 1 : end - 1]
    return Instruction(
        name=head[2],
        arrays=tuple(_arrays(shape)),
        opcode=rest[:start],
        operands=tuple(_names(operands)),
        literal=operands,
        attributes=rest[end:].lstrip(", "),
        is_root=bool(head[1]),
    )


def _arrays(text) -> Iterator[Array]:
    """All array types in a text such as `(f32[2,3]{1,0:T(8,128)S(1)}, s32[])`."""
    for dtype, dims, layout in ARRAY.findall(text):
        shape = tuple(int(n) for n in dims.split(",") if n)
        yield Array(dtype, shape, on_chip="S(" in layout)


def _closing(text, start):
    """Position after the parenthesis that closes the one at `start`; quotes may hold others."""
    depth, quoted = 0, False
    for i in range(start, len(text)):
        if text[i] == '"':
            quoted = not quoted
        elif not quoted:
            depth += (text[i] == "(") - (text[i] == ")")
            if depth == 0:
                return i + 1
    raise ValueError(f"a parenthesis is not closed in: {text[:100]}")


def _names(operands) -> Iterator[str]:
    """Of instructions; in some texts their types stand before them."""
    for part in re.sub(r"[\[{(][^\])}]*[\])}]", "", operands).split(","):
        if found := re.search(r"%?([A-Za-z_][\w.\-]*)$", part.strip()):
            yield found[1]


def _sources(text) -> dict[str, str]:
    """Of the tables at the head of an optimised program."""
    names = text.partition("\nFileNames\n")[2].partition("\n\n")[0]
    files = dict(re.findall(r'^(\d+) "(.*)"$', names, re.MULTILINE))
    place = r"^(\d+) \{file_name_id=(\d+) .*?\bline=(\d+)"
    places = {i: f"{files[name]}:{line}" for i, name, line in re.findall(place, text, re.MULTILINE)}
    frame = r"^(\d+) \{file_location_id=(\d+)(?: parent_frame_id=(\d+))?"
    sources = {}
    for i, location, parent in re.findall(frame, text, re.MULTILINE):
        # The parent is printed one too large: the first frame has none, and says 1.
        outer = sources.get(str(int(parent or 1) - 1), "")
        source = places[location]
        if PACKAGE in source:
            source = PACKAGE + source.split(PACKAGE)[-1]
        elif outer.startswith(PACKAGE):
            source = outer
        sources[i] = source
    return sources
