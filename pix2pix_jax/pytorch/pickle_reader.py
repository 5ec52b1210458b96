"""The pickle of a state_dict, read without torch and without running any of it.

Python's unpickler imports and calls whatever a file names. `read` instead interprets the few
opcodes that a state_dict needs, decoded by the standard library, and builds nothing but plain
containers, `Storage` and `Tensor`. What it builds takes memory in proportion to the pickle.
"""

import dataclasses
import io
import math
import pickletools
from collections.abc import Iterable
from typing import Any

import numpy as np

STORAGE_TYPES = {
    "DoubleStorage": "<f8",
    "FloatStorage": "<f4",
    "HalfStorage": "<f2",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "<i1",
    "ByteStorage": "<u1",
    "BoolStorage": "?",
}
MAX_DIMENSIONS = 32

CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
LITERALS = {"INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "BINFLOAT"}
LITERALS |= {"BINSTRING", "SHORT_BINSTRING"}  # of Python 2
LITERALS |= {"BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"}
CODE = {"INST", "OBJ", "NEWOBJ", "NEWOBJ_EX", "EXT1", "EXT2", "EXT4", "PERSID"}


class Refused(ValueError):
    """The pickle asks for something that no state_dict needs."""


@dataclasses.dataclass(frozen=True)
class Name:
    """A class or function that the pickle names; only ever compared, never looked up."""

    module: str
    name: str


@dataclasses.dataclass(frozen=True)
class Storage:
    """A flat array whose content lies elsewhere in the file."""

    key: str
    dtype: str  # one of STORAGE_TYPES
    size: int  # elements

    @property
    def nbytes(self) -> int:
        """Bytes of its content."""
        return self.size * (2 if self.dtype == "bfloat16" else np.dtype(self.dtype).itemsize)

    def array(self, content: bytes) -> np.ndarray:
        """Its elements [size]; float16 and bfloat16 become float32.

        Raises:
            ValueError: `content` is of another length.
        """
        if len(content) != self.nbytes:
            raise ValueError(f"storage {self.key!r} has {len(content)} bytes, not {self.nbytes}")
        if self.dtype == "bfloat16":  # the upper half of a float32
            return (np.frombuffer(content, "<u2").astype("<u4") << 16).view("<f4")
        array = np.frombuffer(content, self.dtype)
        return array.astype("<f4") if self.dtype == "<f2" else array


@dataclasses.dataclass(frozen=True)
class Tensor:
    """A view of a storage; offset and strides count elements."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def array(self, flat: np.ndarray) -> np.ndarray:
        """The view of `flat`, the storage's elements.

        Raises:
            ValueError: it repeats elements (a stride of 0), or reaches beyond the storage.
        """
        if len(self.shape) > MAX_DIMENSIONS or math.prod(self.shape) > flat.size:
            raise ValueError("a tensor has more elements than its storage")
        strides = [stride * flat.itemsize for stride in self.strides]
        # numpy checks that the view stays within the buffer
        return np.ndarray(self.shape, flat.dtype, flat, self.offset * flat.itemsize, strides)


ORDERED_DICT = Name("collections", "OrderedDict")
REBUILD_TENSOR = (
    Name("torch._utils", "_rebuild_tensor"),
    Name("torch._utils", "_rebuild_tensor_v2"),
)
REBUILD_PARAMETER = Name("torch._utils", "_rebuild_parameter")
STORAGES = {Name(module, n) for module in ("torch", "torch.storage") for n in STORAGE_TYPES}
ALLOWED = {ORDERED_DICT, *REBUILD_TENSOR, REBUILD_PARAMETER, *STORAGES}


def read(stream: io.BytesIO) -> tuple[Any, dict[str, Storage]]:
    """The object pickled at the stream's position, and the storages that it refers to, by key.

    Dicts, ordered or not, become dicts. The stream is left behind the pickle.

    Raises:
        Refused: it asks for code, or for objects of other classes.
        Exception: of any kind, if it is damaged.
    """
    machine = _Machine()
    for opcode, argument, _ in pickletools.genops(stream):
        machine.step(opcode.name, argument)
    return machine.stack.pop(), machine.storages


class _Machine:
    """The stack machine that pickles are programs for."""

    def __init__(self):
        self.stack: list[Any] = []
        self.storages: dict[str, Storage] = {}
        self._marks: list[int] = []
        self._memo: dict[int, Any] = {}

    def step(self, opcode: str, argument: Any) -> None:
        """Carries out one opcode."""
        stack, memo = self.stack, self._memo
        match opcode:
            case "PROTO" | "FRAME" | "STOP":
                pass
            case _ if opcode in CONSTANTS:
                stack.append(CONSTANTS[opcode])
            case _ if opcode in LITERALS:
                stack.append(argument)
            case "BINPUT" | "LONG_BINPUT":
                memo[argument] = stack[-1]
            case "MEMOIZE":
                memo[len(memo)] = stack[-1]
            case "BINGET" | "LONG_BINGET":
                stack.append(memo[argument])
            case "MARK":
                self._marks.append(len(stack))
            case "EMPTY_LIST":
                stack.append([])
            case "EMPTY_DICT":
                stack.append({})
            case "TUPLE":
                stack.append(tuple(self._pop_to_mark()))
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                stack.append(tuple(self._pop(int(opcode[-1]))))
            case "APPEND" | "APPENDS":
                items = self._pop(1) if opcode == "APPEND" else self._pop_to_mark()
                _expect(stack[-1], list).extend(items)
            case "SETITEM" | "SETITEMS":
                items = self._pop(2) if opcode == "SETITEM" else self._pop_to_mark()
                _set_items(stack[-1], zip(items[::2], items[1::2], strict=True))
            case _:
                self._step_of_objects(opcode, argument)

    def _step_of_objects(self, opcode, argument):
        """The opcodes through which a pickle could run code."""
        stack = self.stack
        match opcode:
            case "GLOBAL":
                stack.append(_allowed(*argument.split(" ", 1)))
            case "STACK_GLOBAL":
                stack.append(_allowed(*self._pop(2)))
            case "BINPERSID":
                stack.append(self._storage(stack.pop()))
            case "REDUCE":
                stack.append(_call(*self._pop(2)))
            case "BUILD":
                target, state = self._pop(2)
                # Which version of each layer wrote it: nothing that we need.
                if not (isinstance(target, dict) and isinstance(state, dict)) or (
                    state.keys() - {"_metadata"}
                ):
                    raise Refused("it sets attributes, which no state_dict needs")
                stack.append(target)
            case _ if opcode in CODE:
                raise Refused(f"it creates objects (opcode {opcode}), which no state_dict needs")
            case _:
                raise ValueError(f"opcode {opcode} is in no state_dict")

    def _pop(self, count):
        if len(self.stack) < count:
            raise ValueError("its pickle takes more than it gave")
        items = self.stack[-count:]
        del self.stack[-count:]
        return items

    def _pop_to_mark(self):
        mark = self._marks.pop()
        items = self.stack[mark:]
        del self.stack[mark:]
        return items

    def _storage(self, reference):
        match reference:
            case ("storage", Name() as name, str(key), _, int(size), *view) if (
                name in STORAGES and size >= 0 and not any(view)
            ):
                storage = Storage(key, STORAGE_TYPES[name.name], size)
            case _:
                raise Refused("it refers to something other than a storage")
        if self.storages.setdefault(key, storage) != storage:
            raise ValueError(f"storage {key!r} is of two types or sizes")
        return storage


def _allowed(module, name):
    found = Name(_expect(module, str), _expect(name, str))
    if found not in ALLOWED:
        raise Refused(f"it asks for {f'{module}.{name}'!r}, which no state_dict needs")
    return found


def _call(function, arguments):
    """What the few functions of `ALLOWED` return; none of them is called."""
    match arguments:
        case () if function == ORDERED_DICT:
            return {}
        case (list(items),) if function == ORDERED_DICT:  # as Python 2 writes it
            return _set_items({}, (_expect(item, list) for item in items))
        case (Storage() as storage, int(offset), tuple(shape), tuple(strides), *_) if (
            function in REBUILD_TENSOR
        ):
            if not all(type(n) is int and n >= 0 for n in (offset, *shape, *strides)):
                raise ValueError("a tensor's shape is not made of numbers")
            return Tensor(storage, offset, shape, strides)
        case (Tensor() as tensor, *_) if function == REBUILD_PARAMETER:
            return tensor
    raise Refused("it makes a call that no state_dict needs")


def _set_items(target: Any, items: Iterable[Any]) -> dict[Any, Any]:
    target = _expect(target, dict)
    for key, value in items:
        target[_expect(key, (str, int))] = value  # no tuples: hashing deep ones would recurse
    return target


def _expect(value, kinds):
    if not isinstance(value, kinds):
        raise ValueError(f"its pickle has a {type(value).__name__} in a wrong place")
    return value
